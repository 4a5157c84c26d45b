"""Venues as people write them, told apart; and what citations make of them."""

from __future__ import annotations

import json

import pytest
import rispy
from bibtexparser.entrypoint import parse_string

from kb_tools.exchange import bibtex, csl, ris
from kb_tools.exchange.venue import Venue, venue_of

ICLR = "International Conference on Learning Representations"


@pytest.mark.parametrize(
    ("written", "venue"),
    [
        ("ICLR 2021", Venue("conference", ICLR, 2021)),
        ("SIGGRAPH Asia 2022", Venue("conference", "ACM SIGGRAPH Asia", 2022)),
        ("NeurIPS 2021 Workshop",
         Venue("workshop", "Advances in Neural Information Processing Systems Workshop", 2021)),
        ("JMLR 6:695-709, 2005", Venue("journal", "Journal of Machine Learning Research", 2005, "6", "", "695-709")),
        ("Neural Computation 23(7):1661-1674, 2011 (report 1358, 2010)",
         Venue("journal", "Neural Computation", 2011, "23", "7", "1661-1674")),
        ("ACM Computing Surveys 56(4), 2023", Venue("journal", "ACM Computing Surveys", 2023, "56", "4")),
        ("TMLR 2023", Venue("journal", "Transactions on Machine Learning Research", 2023)),
        ("Proc. (First) Berkeley Symposium on Probability, pp. 403-432",
         Venue("conference", "Proceedings of the (First) Berkeley Symposium on Probability", pages="403-432")),
        ("Proceedings of the Royal Society", Venue("conference", "Proceedings of the Royal Society")),
        ("arXiv 2022", Venue("preprint")),
        ("", Venue("preprint")),
        ("ICLR Blogposts 2024", Venue("other", "ICLR Blogposts 2024")),
        ("CVPR 2022 tutorial (YouTube)", Venue("other", "CVPR 2022 tutorial (YouTube)")),
        ("Nature", Venue("other", "Nature")),
        ("XICLR 2021", Venue("other", "XICLR 2021")),
    ],
)  # fmt: skip
def test_a_venue_is_told_apart(written: str, venue: Venue) -> None:
    assert venue_of({"kind": "paper", "venue": written}) == venue


def test_what_is_no_paper_has_no_proceedings() -> None:
    assert venue_of({"kind": "video", "venue": "ICLR 2021"}) == Venue("other", "ICLR 2021")


def test_pages_have_ends() -> None:
    both, one = Venue("journal", pages="695-709"), Venue("journal", pages="12")
    assert (both.first_page, both.last_page, one.first_page, one.last_page) == ("695", "709", "12", "")


PAPERS = {
    "a": {"id": "a", "kind": "paper", "title": "Implicit", "authors": ["J. Song"], "year": 2020, "venue": "ICLR 2021"},
    "b": {"id": "b", "kind": "paper", "title": "Matching", "year": 2005, "venue": "JMLR 6:695-709, 2005"},
    "c": {"id": "c", "kind": "paper", "title": "Alone", "year": 2022, "arxiv": "2210.02303", "venue": "arXiv 2022"},
    "d": {"id": "d", "kind": "textbook", "title": "A book", "year": 2003, "venue": "Springer"},
}  # fmt: skip
KEYS = dict.fromkeys(PAPERS, "") | {i: i for i in PAPERS}


def test_bibtex_has_an_entry_of_each_type_and_the_year_of_the_publication() -> None:
    entries = {e.key: e for e in parse_string(bibtex.dumps(PAPERS, KEYS)).entries}
    assert {key: e.entry_type for key, e in entries.items()} == {
        "a": "inproceedings", "b": "article", "c": "misc", "d": "book",
    }  # fmt: skip
    a, b, c, d = (e.fields_dict for e in (entries["a"], entries["b"], entries["c"], entries["d"]))
    assert (a["booktitle"].value, a["year"].value, a["origdate"].value) == (ICLR, "2021", "2020")
    assert [b[name].value for name in ("journal", "volume", "pages", "year")] == [
        "Journal of Machine Learning Research", "6", "695--709", "2005",
    ]  # fmt: skip
    assert "note" not in c and c["eprint"].value == "2210.02303" and d["publisher"].value == "Springer"
    assert [work.fields for work in bibtex.loads(bibtex.dumps(PAPERS, KEYS)).works] == [
        {name: value for name, value in paper.items() if value} for paper in PAPERS.values()
    ]


def test_an_entry_of_somebody_else_keeps_the_year_it_gives() -> None:
    (work,) = bibtex.loads("@book{k, title={Old}, year={2001}, origdate={1923}}").works
    assert work.fields["year"] == 2001


def test_csl_and_ris_tell_kinds_apart() -> None:
    items = {item["id"]: item for item in json.loads(csl.dumps(PAPERS, KEYS))}
    assert [items[i]["type"] for i in "abcd"] == ["paper-conference", "article-journal", "article", "book"]
    assert (items["a"]["issued"], items["a"]["original-date"]) == ({"date-parts": [[2021]]}, {"date-parts": [[2020]]})
    assert (items["b"]["volume"], items["b"]["page"], "original-date" in items["b"]) == ("6", "695-709", False)
    tagged = {one["id"]: one for one in rispy.loads(ris.dumps(PAPERS, KEYS))}
    assert [tagged[i]["type_of_reference"] for i in "abcd"] == ["CPAPER", "JOUR", "UNPB", "BOOK"]
    assert (tagged["b"]["volume"], tagged["b"]["start_page"], tagged["b"]["end_page"]) == ("6", "695", "709")
