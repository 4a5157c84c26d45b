"""Reading lists: every item of the five seeds is found and known again; what we write, we read."""

from __future__ import annotations

from pathlib import Path

import pytest

from kb_tools.exchange import lists, markdown
from kb_tools.exchange.matching import match
from kb_tools.records.store import Collection

ROOT = Path(__file__).resolve().parents[3]
SEEDS = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests/papers/seeds").glob("*.txt"))}
# What a seed says in passing is no item of its list: (seed, line) -> the record that came of it.
IN_PASSING = {
    ("000", 20): ["diffusers"],
    ("002", 61): ["sohl-dickstein-webpage"],
    ("004", 3): ["awesome-diffusion-models"],
}


def records() -> list[dict]:
    index = Collection(ROOT).index()
    return [index.record(entry.id) for entry in index.entries()]


def test_every_item_of_the_seeds_is_the_record_that_names_it():
    """The records say on which line of which seed they stand; the manifest's tests hold that true."""
    ours = records()
    expected: dict[tuple[str, int], list[str]] = {}
    for record in ours:
        for source in record.get("sources", []):
            expected.setdefault((source["seed"], source["line"]), []).append(record["id"])
    for seed, text in SEEDS.items():
        for found in match(lists.loads(text).works, ours, {}):
            assert found.record is None, f"{seed}:{found.work.line} is taken for new: {found.work}"
            assert found.id in expected.pop((seed, found.work.line))
    assert expected == IN_PASSING


def test_the_seeds_alone_give_each_work_once():
    """Seeds 001 and 002 share ten papers, by title alone, for 001 has no links."""
    works = [work for seed in ("001", "002") for work in lists.loads(SEEDS[seed]).works]
    new = [found for found in match(works, [], {}) if found.record]
    again = [found for found in match(works, [], {}) if not found.record]
    assert {found.work.fields["title"] for found in again} <= {found.work.fields["title"] for found in new} | {
        "Yang Song webpage"  # seed 002 gives it the address of another item
    }
    assert len(new) + len(again) == 18 + 28
    assert len({found.id for found in new}) == len(new)


LIST = r"""
# Mine
Not an item, only [a link](https://example.org).

## Papers
### Speed
#### 2020
- [x] [Denoising \[Diffusion\]](https://arxiv.org/abs/2010.02502v4) **WR=3** :zap:
  *Jiaming Song, Stefano Ermon*
  Fast *and* simple.
- [Nested](https://arxiv.org/abs/2006.11239)
  - said of it
* [ ] **Ho, J., Jain, A., et al. (2021).** *Title here (TH).*
- "A Book" by Ada Lovelace and Évariste Galois
- [Up](#mine)
Named: https://example.org/named
"""


def test_the_styles_of_lists():
    first, nested, cited, book, named = lists.loads(LIST).works
    assert first.fields == {
        "kind": "paper", "title": "Denoising [Diffusion]", "authors": ["Jiaming Song", "Stefano Ermon"], "year": 2020,
        "arxiv": "2010.02502", "arxiv_version": 4, "worth_reading": 3, "status": "read", "summary": "Fast and simple.",
    }  # fmt: skip
    assert (first.line, first.section) == (8, ("Mine", "Papers", "Speed", "2020"))
    assert (nested.fields["title"], nested.fields["summary"]) == ("Nested", "said of it")
    assert cited.fields == {
        "kind": "paper", "title": "Title here", "aliases": ["TH"], "authors": ["J. Ho", "A. Jain"], "year": 2021,
    }  # fmt: skip
    assert cited.remarks == ("not all authors are named",)
    assert (book.fields["title"], book.fields["authors"]) == ("A Book", ["Ada Lovelace", "Évariste Galois"])
    assert named.fields["links"] == {"home": "https://example.org/named"}


def test_what_we_write_we_read():
    ours = {record["id"]: record for record in records()}
    topics = Collection(ROOT).index().topics()
    works = lists.loads(markdown.dumps(ours, topics, "All of it")).works
    assert len(works) == len(ours)
    by_id = {found.id: found.work for found in match(works, ours.values(), topics)}
    assert set(by_id) == set(ours)
    for ident, work in by_id.items():
        for field in ("title", "authors", "year", "worth_reading"):
            assert work.fields.get(field) == (ours[ident].get(field) or None), (ident, field)
        assert (work.fields.get("status") == "read") == (ours[ident]["status"] == "read")


@pytest.mark.parametrize("hostile", ["[x](javascript:alert(1))", "**WR=3** <b>", "a_b*c*`d`|e~~f~~", "\\[ \\] & #"])
def test_markup_in_a_title_stays_text(hostile):
    record = {"id": "a", "kind": "paper", "title": hostile, "year": 2020, "links": {"home": "https://example.org/(a)"}}
    (work,) = lists.loads(markdown.dumps({"a": record}, {}, "# x")).works
    assert work.fields["title"] == hostile
    assert "worth_reading" not in work.fields


def test_a_name_is_no_name_of_somebody_elses_work():
    ours = [
        {
            "id": "blog",
            "kind": "blog",
            "title": "What?",
            "authors": ["Lilian Weng"],
            "links": {"home": "https://a.b/c"},
        },
        {"id": "long", "kind": "paper", "title": "A long title that nobody else would choose", "authors": ["A B"]},
        {"id": "paper", "kind": "paper", "title": "Same", "authors": ["A B"], "arxiv": "2006.11239"},
        {"id": "post", "kind": "blog", "title": "Same", "authors": ["A B"], "links": {"home": "https://a.b/same"}},
    ]
    asked = {
        '- "What?" by Ari Seff': None,
        '- "A long title that nobody else would choose" by A Bee': "long",
        "- [What?](http://www.a.b/c/?x=1)": "blog",
        "- [Same](https://arxiv.org/pdf/2006.11239v2)": "paper",
        "- [Same](https://a.b/same)": "post",
        "## Posts\n- [Same](https://elsewhere.org)": "post",
        "## Papers\n- [Same](https://elsewhere.org/x.pdf)": "paper",
        "- [Wrong title](https://arxiv.org/abs/2006.11239)": "paper",
    }
    for text, expected in asked.items():
        (found,) = match(lists.loads(text).works, ours, {})
        assert (None if found.record else found.id) == expected, text
