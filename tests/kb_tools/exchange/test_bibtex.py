"""BibTeX out and in: what comes back is what went out, and what others write is understood."""

from __future__ import annotations

from pathlib import Path

import pytest
from bibtexparser.entrypoint import parse_string
from hypothesis import given
from hypothesis import strategies as st

from kb_tools.exchange.bibtex import dumps, entry, keys, loads
from kb_tools.exchange.cleaning import clean
from kb_tools.exchange.latex import escaped, plain
from kb_tools.records.store import Collection

ROOT = Path(__file__).resolve().parents[3]

LETTERS = st.sampled_from("abXY \\{}&%$#_~^-`'?!<>,;:\"|@*[]()=+./1éøΣ–“”世")
LINES = st.text(LETTERS, min_size=1, max_size=24).map(lambda text: " ".join(text.split())).filter(bool)
NAMES = st.lists(LINES, max_size=3, unique=True)


def records() -> dict[str, dict]:
    index = Collection(ROOT).index()
    return {found.id: index.record(found.id) for found in index.entries()}


def test_every_record_of_the_collection_comes_back_exactly():
    ours = records()
    text = dumps(ours, keys(ours))
    works = loads(text).works
    assert [work.fields for work in works] == list(ours.values())
    assert not any(work.remarks for work in works)
    types = {work.fields["id"]: text.split("\n")[work.line - 1].split("{")[0] for work in works}
    assert {types[i] for i in ("ddim", "ddpm", "edm", "unet")} == {"@inproceedings"}
    assert types["score-matching"] == types["dsm"] == "@article"
    assert set(types.values()) == {"@inproceedings", "@article", "@book", "@misc"}


@given(st.lists(st.tuples(LINES, NAMES, LINES, st.lists(LINES, min_size=1, max_size=3)), min_size=1, max_size=3))
def test_any_text_comes_back_exactly(drawn):
    """Titles, names, venues and summaries full of what TeX and BibTeX read as commands."""
    made = {
        f"r{number}": {
            "id": f"r{number}",
            "kind": "survey",
            "title": title,
            "authors": authors,
            "year": 2020,
            "venue": venue,
            "summary": "\n".join(lines),
        }
        for number, (title, authors, venue, lines) in enumerate(drawn)
    }
    works = loads(dumps(made, keys(made))).works
    said = [{name: value for name, value in record.items() if value} for record in made.values()]
    assert [work.fields for work in works] == said


def test_keys_and_what_a_publication_is_come_back():
    record = {
        "id": "x", "kind": "paper", "title": "X", "authors": ["A B"], "year": 2020, "venue": "A Journal & More",
        "publication": {"type": "article", "pages": "S1-S9", "editor": "C D and E, Inc.", "note": "5% off"},
        "key": "Roe:2020x",
    }  # fmt: skip
    other = {"id": "y", "kind": "paper", "title": "Y", "authors": ["A Roe"], "publication": {"note": "mine"}}
    made = {"x": record, "y": other}
    text = dumps(made, keys(made))
    assert "@article{Roe:2020x," in text
    assert "pages = {S1--S9}" in text
    assert "journal = {A Journal \\& More}" in text
    assert [work.fields for work in loads(text).works] == [record, other]


@pytest.mark.parametrize("line", ["@misc{b, title = {Not mine}}", "  @(", "@string{a = 1}", "@comment{"])
def test_a_line_that_begins_like_an_entry_stays_in_its_text(line):
    made = {"a": {"id": "a", "kind": "paper", "title": "A", "abstract": f"First.\n{line}\nLast."}}
    found = loads(dumps(made, keys(made)))
    assert ([work.fields for work in found.works], found.unread) == (list(made.values()), [])


@given(LINES)
def test_escaped_text_is_plain_text_again(text):
    assert plain(escaped(text)) == text


def test_an_entry_is_what_a_paper_cites():
    record = {
        "id": "x-1", "kind": "paper", "title": "A {B} & 100% of $C_1$ ~ #2",
        "authors": ["Ada Lovelace", "Évariste Galois", "OpenAI", "Aaron van den Oord", "Smith, Inc."],
        "year": 2020, "arxiv": "2006.11230", "venue": "ICML 2020", "summary": "Ours.",
    }  # fmt: skip
    library = parse_string(entry(record, "lovelace2020b"))
    assert not library.failed_blocks
    (found,) = library.entries
    assert found.key == "lovelace2020b"
    assert {field.key: field.value for field in found.fields} == {
        "title": r"{A \{B\} \& 100\% of $C_1$ \textasciitilde{} \#2}",
        "author": "Ada Lovelace and Évariste Galois and {OpenAI} and Aaron van den Oord and {Smith, Inc.}",
        "year": "2020",
        "eprint": "2006.11230",
        "archiveprefix": "arXiv",
        "url": "https://arxiv.org/abs/2006.11230",
        "booktitle": "International Conference on Machine Learning",
    }


def test_keys_are_unique_and_do_not_depend_on_what_else_is_added_later():
    older = {"id": "one", "title": "The Score of Things", "authors": ["Yang Song"], "year": 2021}
    younger = {"id": "two", "title": "Score matching", "authors": ["Jiaming Song"], "year": 2021}
    third = {"id": "zwei", "title": "Score", "authors": ["Bernt Øksendal"]}
    assert keys({"two": younger, "one": older, "zwei": third}) == {
        "one": "song2021score",
        "two": "song2021scorematching",
        "zwei": "oksendalscore",
    }
    ours = records()
    assert len(set(keys(ours).values())) == len(ours)


FOREIGN = r"""
@string{nips = "Advances in Neural Information Processing Systems"}
@comment{nothing}
@ARTICLE{a1,
  Title = {Denoising {D}iffusion \& {\'E}tude of $x_0$},
  AUTHOR = "Song, Jiaming and {OpenAI} and van den Oord, A{\"a}ron and others",
  journal = nips,
  year = 2021, eprint = {2010.02502v4}, archivePrefix = {arXiv}, month = jan }
@inproceedings{a1, title = {Same Key}, author={Doe, Jr., John}, booktitle={ICML}, year={in press},
  doi={https://doi.org/10.1162/NECO_a_00142}, url={https://example.org/p.pdf}, keywords = {one, two}}
@book{b, title = {Twice}, title = {Twice again}, date = {2007-11-02}}
@misc{c, title = {In a journal}, journal = {arXiv preprint arXiv:1312.6114}}
"""


def test_what_others_write_is_understood():
    first, second, third, fourth = loads(FOREIGN).works
    assert first.line == 4
    assert first.fields == {
        "kind": "paper",
        "title": "Denoising Diffusion & Étude of $x_0$",
        "authors": ["Jiaming Song", "OpenAI", "Aäron van den Oord"],
        "year": 2021,
        "venue": "Advances in Neural Information Processing Systems",
        "publication": {"type": "article", "month": "January"},
        "key": "a1",
        "arxiv": "2010.02502",
        "arxiv_version": 4,
    }
    assert first.remarks == ("not all authors are named",)
    assert second.fields == {
        "kind": "paper",
        "title": "Same Key",
        "authors": ["John Doe Jr."],
        "venue": "ICML",
        "publication": {"type": "inproceedings"},
        "key": "a1",
        "doi": "10.1162/NECO_a_00142",
        "links": {"home": "https://example.org/p.pdf"},
        "topics": ["one", "two"],
    }
    assert second.remarks == ("no year in 'in press'",)
    assert third.fields == {
        "kind": "textbook", "title": "Twice", "year": 2007, "publication": {"type": "book"}, "key": "b",
    }  # fmt: skip
    assert fourth.fields["arxiv"] == "1312.6114"


@pytest.mark.parametrize("broken", ["@misc{x, title = {Foo", '@misc{x, title = {Foo}, y = "1}\n@book{b, title = {q}}'])
def test_a_broken_entry_is_named_with_its_line(broken):
    found = loads("% refs\n@misc{ok, title={Fine}}\n" + broken)
    assert [work.fields["title"] for work in found.works][:1] == ["Fine"]
    assert (found.unread[0].line, found.unread[0].refused) == (3, True)
    assert found.unread[0].says.startswith("not a whole entry: @misc{x")


def test_a_part_of_the_publication_that_is_too_long_is_named():
    [work] = loads("@article{a, title = {T}, volume = {7}, series = {" + "x" * 501 + "}}").works
    kept = clean(work)
    assert kept.fields["publication"] == {"type": "article", "volume": "7"}
    assert "left out, longer than 500 letters: the series" in kept.remarks


def test_every_address_of_an_entry_is_kept():
    [work] = loads(
        "@misc{a, title = {T}, url = {https://a.org/1}, ee = {https://b.org/2}, link = {https://a.org/1}}"
    ).works
    assert work.fields["links"] == {"home": "https://a.org/1", "ee": "https://b.org/2"}
