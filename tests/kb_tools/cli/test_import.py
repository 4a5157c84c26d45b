"""kb import: what is new is added once, what is there is left, what is not valid is named."""

from __future__ import annotations

import io
import json
import sys
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

from kb_tools.records.store import Collection

BIB = """@article{a, title={The paper called ddpm}, author={of ddpm, Author}, year=2020}
@article{b, title={A {N}ew One}, author={Doe, Jane}, year=2021, eprint={2101.00001v2}, archiveprefix={arXiv},
  keywords={speed, unheard of}}
@article{c, title={A new one, again}, author={Doe, J.}, doi={10.48550/arXiv.2101.00001}}
"""


@pytest.fixture
def shelf(make, record):
    return make(record("ddpm", arxiv="2006.11239"), record("jane", former_ids=["doe-2021-new"]))


def data(outcome) -> list[dict]:
    return json.loads(outcome.out)["data"]


def files(collection) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in collection.papers.rglob("*") if path.is_file()}


def test_new_works_are_added_once(kb, shelf, tmp_path):
    file = tmp_path / "refs.bib"
    file.write_text(BIB)
    before = files(shelf)
    dry = kb(shelf, "import", str(file), "--dry-run")
    assert "+++ b/papers/doe-2021-new-one.yaml" in dry.out
    assert "1 would be added, 2 exist" in dry.err
    assert files(shelf) == before
    rows = data(kb(shelf, "import", str(file), "--json"))
    assert [(row["status"], row["id"], row["line"]) for row in rows] == [
        ("exists", "ddpm", 1),
        ("incomplete", "doe-2021-new-one", 2),
        ("exists", "doe-2021-new-one", 4),
    ]
    assert rows[1]["remarks"] == ["not kept, no topic is called so: unheard of"]
    assert [row["taken_for"] for row in rows] == [None, None, "A New One"]
    added = shelf.document("doe-2021-new-one").require()
    assert added == {
        "id": "doe-2021-new-one", "kind": "paper", "title": "A New One", "authors": ["Jane Doe"], "year": 2021,
        "arxiv": "2101.00001", "arxiv_version": 2, "topics": ["speed"], "status": "unread",
        "publication": {"type": "article"}, "key": "b",
        "unverified": ["kind", "title", "authors", "year"], "added": date.today().isoformat(),
    }  # fmt: skip
    assert kb(shelf, "check").code == 0
    after = files(shelf)
    again = kb(shelf, "import", str(file))
    assert "0 added, 3 exist" in again.err
    assert files(shelf) == after
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize("form", ["bibtex", "csl-json", "csv", "json", "markdown", "ris"])
def test_a_collection_goes_through_a_file_into_another(kb, shelf, tmp_path, record, form):
    whole = record(
        "whole", kind="tutorial", title="Über {all} & $x_0$", authors=["OpenAI", "Aaron van den Oord"], venue="ICML",
        arxiv="2006.11230", arxiv_version=3, doi="10.1162/NECO_a_00142", links={"code": "https://x.org/a_b%7E#c"},
        aliases=["W; X"], topics=["speed", "basics"], abstract="First.\nSecond.", status="read", read_on="2026-11-20",
    )  # fmt: skip
    from kb_tools.records.layout import dump

    (shelf.papers / "whole.yaml").write_text(dump(whole), encoding="utf-8")
    file = tmp_path / "all"
    assert kb(shelf, "export", "--format", form, "-o", str(file)).code == 0
    before = files(shelf)
    for path in shelf.files():
        path.unlink()
    assert "3 added" in kb(shelf, "import", str(file), "--format", form).err
    assert files(shelf) == before


@pytest.mark.parametrize("form", ["bibtex", "csl-json", "csv", "json", "markdown", "ris"])
def test_edges_lead_to_the_same_works_whatever_these_are_called_here(kb, make, tmp_path, record, form):
    """`ddpm` is another work there than here, and `denoising` there is the `ddpm` of here."""
    there = make(
        record("ddpm", title="Doubly damped pendulum motion", arxiv="2301.00001"),
        record("denoising", title="Denoising", authors=["Jane Doe"], arxiv="2006.11239"),
        record("next", title="What follows", builds_on=["ddpm", "denoising"], cites=["ddpm", "next-to-next"]),
        record("next-to-next", title="And then", builds_on=["next"]),
    )
    file = tmp_path / "all"
    assert kb(there, "export", "--format", form, "-o", str(file)).code == 0
    for path in there.files():
        path.unlink()
    shelf = make(record("ddpm", title="Denoising", authors=["Jane Doe"], arxiv="2006.11239"))
    rows = {row["title"]: row["id"] for row in data(kb(shelf, "import", str(file), "--format", form, "--json"))}
    other = rows["Doubly damped pendulum motion"]
    assert other not in ("ddpm", "denoising")
    found = shelf.document("next").require()
    assert (found["builds_on"], found["cites"]) == ([other, "ddpm"], [other, "next-to-next"])
    assert shelf.document("next-to-next").require()["builds_on"] == ["next"]


def test_what_is_not_valid_is_left_out_and_the_rest_added(kb, shelf, tmp_path):
    file = tmp_path / "refs.bib"
    file.write_text(
        f"@misc{{a, title={{Fine}}}}\n@misc{{b, title={{{'x' * 501}}}}}\n@misc{{c, title={{nul\0}}}}\n@misc{{d}}"
    )
    outcome = kb(shelf, "import", str(file), "--json")
    assert outcome.code == 5
    assert [row["status"] for row in data(outcome)] == ["added", "refused", "added", "refused"]
    assert [path.stem for path in shelf.files()] == ["ddpm", "fine", "jane", "nul"]
    assert kb(shelf, "list").code == 0


def test_an_id_of_a_file_that_is_not_valid_is_not_taken(kb, shelf, tmp_path):
    (shelf.papers / "fine.yaml").write_text("id: fine\ntitle: x: y\n")
    file = tmp_path / "list.md"
    file.write_text("- [ ] Fine\n")
    assert [row["id"] for row in data(kb(shelf, "import", str(file), "--json"))] == ["fine-2"]


def test_a_file_that_cannot_be_read_changes_nothing(kb, shelf, tmp_path, monkeypatch):
    before = files(shelf)
    (tmp_path / "broken.bib").write_text("@misc{b, title={")
    (tmp_path / "binary.bib").write_bytes(b"@misc{a, title={\xe9\0}}")
    (tmp_path / "x.pdf").write_text("%PDF")
    for name, code in (("broken.bib", 5), ("binary.bib", 5), ("x.pdf", 2), ("none.bib", 3)):
        assert kb(shelf, "import", str(tmp_path / name)).code == code, name
    assert files(shelf) == before
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"\xef\xbb\xbf- [ ] From stdin\r\n")))
    assert "1 added" in kb(shelf, "import", "-", "--format", "markdown").err
    assert shelf.document("stdin").require()["title"] == "From stdin"


def test_the_code_of_a_paper_is_a_record_of_its_own(kb, shelf, tmp_path, record):
    """A paper links to its code; the record of that code has the same address and is another work."""
    repository = "https://github.com/someone/score"
    code = record("score-code", kind="code", title="score", links={"home": repository})
    paper = record("score-paper", title="Score", arxiv="2011.13456", links={"code": repository})
    for number, works in enumerate(([paper, code], [code, paper])):
        file = tmp_path / f"{number}.json"
        file.write_text(json.dumps({"schema_version": 1, "data": works}))
        outcome = kb(shelf, "import", str(file), "--json")
        assert {one["id"] for one in json.loads(outcome.out)["data"]} == {"score-paper", "score-code"}
        assert {"score-paper", "score-code"} <= set(shelf.entries())
        for ident in ("score-paper", "score-code"):
            shelf.document(ident).path.unlink()


def test_a_list_that_names_the_code_of_a_paper_names_another_work(kb, make, record, tmp_path):
    links = {"pdf": "https://example.org/score.pdf", "code": "https://github.com/someone/score"}
    shelf = make(record("paper", title="A Paper on Scores", links=links))
    file = tmp_path / "list.md"
    file.write_text(
        "- [someone/score](https://github.com/someone/score)\n\n- [Notes on It](https://example.org/score.pdf)\n"
    )
    outcome = kb(shelf, "import", str(file), "--json")
    first, second = data(outcome)
    assert (first["status"], first["id"], first["maybe"]) == ("added", "someone-score", [])
    assert (second["status"], second["maybe"]) == ("incomplete", ["paper"]), "one address, two titles: not certain"


def test_the_whole_collection_comes_back_from_its_own_export(kb, tmp_path):
    """Every record of this project, through JSON, into an empty collection: the same data."""
    ours = Collection(Path(__file__).resolve().parents[3])
    file = tmp_path / "all.json"
    assert kb(ours, "export", "--format", "json", "-o", str(file)).code == 0
    assert kb(ours, "init", str(tmp_path / "new")).code == 0
    theirs = Collection(tmp_path / "new")
    (theirs.papers / "topics.yaml").write_bytes((ours.papers / "topics.yaml").read_bytes())
    outcome = kb(theirs, "import", str(file))
    assert outcome.code == 0, outcome.err
    assert theirs.index().records() == ours.index().records()
