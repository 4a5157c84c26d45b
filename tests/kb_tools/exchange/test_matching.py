"""Which works are one: what speaks against it outweighs every address that they share."""

from __future__ import annotations

from typing import Any

import pytest

from kb_tools.exchange.matching import alike, match
from kb_tools.exchange.work import Work

BASE = {"title": "Fast Sampling by Steps of Many Sizes", "authors": ["Ann Roe"], "year": 2021}
REPOSITORY = {"code": "https://github.com/example/solver"}
BOOK = {"authors": ["Ann Roe"], "doi": "10.1000/x"}
PAGE = {"home": "https://example.org/solver"}


def works(*fields: dict[str, Any]) -> list:
    return match([Work(number, one) for number, one in enumerate(fields, 1)], [], {})


OTHER = {"title": "Guidance Made Cheap for Everybody", "authors": ["Bob Doe"], "year": 2022}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (BASE | {"arxiv": "2101.00001", "links": REPOSITORY}, OTHER | {"arxiv": "2101.00002", "links": REPOSITORY}),
        (BASE | {"links": PAGE}, OTHER | {"links": PAGE}),
        (BASE | {"doi": "10.1000/book.1"}, OTHER | {"doi": "10.1000/book.1"}),
        (BASE | {"doi": "10.1000/a"}, BASE | {"doi": "10.1000/b"}),
        (BASE | {"arxiv": "2101.00001"}, BASE | {"arxiv": "2101.00002"}),
        (BASE | {"arxiv": "2101.00001"}, BASE | {"doi": "10.48550/arXiv.2101.00002"}),
        (
            BASE | {"links": {"home": "https://openreview.net/forum?id=AAAA"}},
            OTHER | {"links": {"home": "https://openreview.net/forum?id=BBBB"}},
        ),
        (BOOK | {"title": "A Book of Steps, Volume 1"}, BOOK | {"title": "A Book of Steps, Volume 2"}),
        (BOOK | {"title": "Introduction"}, BOOK | {"title": "Introduction", "authors": ["Bob Doe"]}),
        ({"title": "Alpha", "links": PAGE}, {"title": "Beta", "links": PAGE}),
    ],
)  # fmt: skip
def test_what_speaks_against_it_makes_two_works(first, second):
    one, two = works(first, second)
    assert one.record is not None
    assert two.record is not None
    assert one.id != two.id


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (BASE | {"arxiv": "2101.00001"}, {"title": "Another Title", "arxiv": "2101.00001"}),
        (BASE | {"arxiv": "2101.00001"}, BASE | {"doi": "10.48550/arXiv.2101.00001"}),
        (BASE | {"doi": "10.1000/A"}, BASE | {"doi": "10.1000/a", "title": "Fast sampling by steps of many sizes."}),
        (BASE | {"links": PAGE}, BASE | {"links": PAGE, "title": f"{BASE['title']}: A Longer Story"}),
        (BASE, BASE | {"authors": ["Anne Row"]}),
        (BASE | {"links": PAGE}, BASE | {"links": {"home": "http://www.example.org/solver/?utm_source=x"}}),
    ],
)
def test_what_agrees_makes_one(first, second):
    one, two = works(first, second)
    assert (two.id, two.record) == (one.id, None)


def test_a_title_that_differs_from_the_one_taken_for_is_named():
    _, two = works(BASE | {"arxiv": "2101.00001"}, {"title": "Another Title", "arxiv": "2101.00001"})
    assert two.taken_for == BASE["title"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (BASE | {"arxiv": "2101.00001"}, BASE | {"arxiv": "2101.00002"}),
        (BASE | {"links": PAGE}, {"title": "The Page of the Solver", "links": PAGE}),
        (BASE | {"doi": "10.1000/x"}, {"title": "Errata", "authors": ["Ann Roe"], "doi": "10.1000/x"}),
    ],
)
def test_what_is_not_certain_is_added_and_named(first, second):
    one, two = works(first, second)
    assert two.record is not None
    assert two.maybe == (one.id,)
    assert f"may be the same work as {one.id}" in two.remarks


def test_a_doi_stands_in_one_record():
    one, two = works(BASE | {"doi": "10.1000/book.1"}, OTHER | {"doi": "10.1000/BOOK.1"})
    assert two.record is not None
    assert "doi" not in two.record
    assert f"left out, it is that of {one.id}: the DOI 10.1000/BOOK.1" in two.remarks


def test_what_the_record_of_a_work_lacks_is_named():
    _, two = works(BASE, BASE | {"arxiv": "2101.00001", "doi": "10.1000/x"})
    assert two.remarks == (
        "the record does not have its arXiv:2101.00001",
        "the record does not have its DOI 10.1000/x",
    )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("A Title of Some Length", "a title, of some length!", True),
        ("Schrödinger Bridges", "Schrodinger bridges", True),
        ("A Long Title Here", "A Long Title Here: and its Subtitle", True),
        ("A Long Title Here", "A Long Title Here II", False),
        ("Short", "Short: and its Subtitle", False),
        ("One Thing about Samplers", "Another Thing about Solvers", False),
    ],
)
def test_titles_are_compared_by_their_words(one, other, same):
    assert alike(one, other) is alike(other, one) is same


def test_an_export_says_itself_under_which_topics_its_records_stand():
    fields = {"kind": "paper", "title": "Much Faster Sampling of Things", "topics": ["speed"]}
    topics = {"basics": "Basics", "speed": "Speed"}
    for ours, filed in ((True, ["speed"]), (False, ["speed", "basics"])):
        [found] = match([Work(1, dict(fields), section=("Basics",), ours=ours)], [], topics)
        assert found.record is not None and found.record["topics"] == filed
