"""A slice of the invented corpus: what is named is found, and nothing is lost in silence or made up."""

from __future__ import annotations

import pytest

from benchmarks.wild.corpus import KINDS, files
from benchmarks.wild.judge import Verdict, imported, judged
from benchmarks.wild.truth import Truth, Wild

SHARE = 0.05


@pytest.fixture(autouse=True)
def no_cache_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KB_ROOT", raising=False)


@pytest.mark.parametrize("form", sorted({kind.partition(":")[0] for kind in KINDS}))
def test_what_is_named_is_found_or_reported(form):
    total = Verdict()
    for kind, wild in files(SHARE, seed="slice"):
        if kind.partition(":")[0] == form:
            total += judged(wild, *imported(wild))
    assert total.works > 0
    assert (total.silent, total.invented, total.wrong_people) == (0, 0, 0), total.faults
    assert total.found == total.works, total.faults
    assert total.ids_found == total.ids, total.faults
    assert total.people_found >= 0.99 * total.people, total.faults


def test_the_corpus_has_no_work_twice():
    titles = [truth.title for _, wild in files(SHARE) for truth in wild.truths]
    assert len(titles) > 200
    assert sum(round(count) for _, count in KINDS.values()) >= 3_000


def row(**changes):
    return {"status": "added", "id": "a", "line": 1, "remarks": [], "taken_for": None} | changes


RECORD = {"id": "a", "title": "A Work of Rivers", "authors": ["Ann Roe"], "year": "2020", "arxiv": "2006.11239"}


@pytest.mark.parametrize(
    ("record", "rows", "expected"),
    [
        (RECORD, [row()], {}),
        (None, [], {"silent": 1}),
        (None, [row(status="refused", id="", remarks=["no title"])], {"reported": 1}),
        (RECORD | {"title": "A Work"}, [row()], {"silent": 1}),
        (RECORD | {"arxiv": "2006.11230"}, [row()], {"silent": 1}),
        (RECORD | {"year": "2021"}, [row()], {"silent": 1}),
        (RECORD | {"authors": ["Bob Doe"]}, [row()], {"silent": 1, "wrong_people": 1}),
        (RECORD | {"authors": ["Ann Roe", "Bob Doe"]}, [row()], {"wrong_people": 1}),
        (RECORD | {"authors": ["Roe Ann"]}, [row(remarks=["not certain who this is"])], {}),
    ],
)
def test_the_judge_sees_what_is_wrong(record, rows, expected):
    wild = Wild("a.bib", b"", [Truth("A Work of Rivers", [], 2020, "2006.11239", ["Ann Roe"], first=1, last=3)])
    verdict = judged(wild, rows, [record] if record else [])
    wrong = {name: getattr(verdict, name) for name in ("silent", "reported", "invented", "wrong_people")}
    assert {name: count for name, count in wrong.items() if count} == expected


def test_the_judge_sees_what_is_made_up():
    verdict = judged(Wild("a.bib", b"", []), [row()], [RECORD])
    assert (verdict.invented, verdict.works) == (1, 0)
