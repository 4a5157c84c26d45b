"""kb list --author and --year, which search and export share."""

from __future__ import annotations

import pytest


@pytest.fixture
def shelf(make, record):
    return make(
        record("ncsn", year=2019, authors=["Yang Song", "Stefano Ermon"]),
        record("ddim", year=2020, authors=["Jiaming Song", "Chenlin Meng"]),
        record("edm", year=2022, authors=["Tero Karras"]),
        record("dsb", year=2021, authors=["Valentin De Bortoli", "Søren Łęcki", "Éric D\u2019Aubigné"]),
        record("undated", year=None, authors=["J. Ho"]),
    )


def ids(outcome) -> list[str]:
    assert outcome.code == 0, outcome.err
    return sorted(line.partition("\t")[0] for line in outcome.out.splitlines())


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["song"], ["ddim", "ncsn"]),
        (["Song, Yang"], ["ncsn"]),
        (["y. song"], ["ncsn"]),
        (["jiaming ermon"], []),
        (["soren lecki"], ["dsb"]),
        (["SØREN"], ["dsb"]),
        (["eric d'aubigne"], ["dsb"]),
        (["ho"], ["undated"]),
        (["karras", "ermon"], ["edm", "ncsn"]),
    ],
)
def test_authors(kb, shelf, names, found):
    assert ids(kb(shelf, "list", *(word for name in names for word in ("--author", name)))) == found


@pytest.mark.parametrize(
    ("years", "found"),
    [
        ("2020", ["ddim"]),
        ("2019..2021", ["ddim", "dsb", "ncsn"]),
        ("2021..", ["dsb", "edm"]),
        ("..2020", ["ddim", "ncsn"]),
        ("2020..2020", ["ddim"]),
    ],
)
def test_years(kb, shelf, years, found):
    assert ids(kb(shelf, "list", "--year", years)) == found


@pytest.mark.parametrize("years", ["", "..", "20", "2021..2019", "2019-2021", "20192021", "soon"])
def test_years_that_are_none(kb, shelf, years):
    assert kb(shelf, "list", "--year", years).code == 2


def test_search_and_export_share_them(kb, shelf):
    assert ids(kb(shelf, "search", "paper", "--author", "song", "--year", "2020..")) == ["ddim"]
    exported = kb(shelf, "export", "--format", "csv", "--author", "karras").out
    assert "edm" in exported and "ncsn" not in exported
    assert kb(shelf, "list", "--author", " ").code == 2


def test_search_looks_into_abstracts_venues_and_notes_after_all_else(kb, make, record):
    collection = make(
        record("a", abstract="About thermodynamics."),
        record("b", venue="Journal of Thermodynamics"),
        record("c", notes=["Mind its thermodynamics."]),
        record("d", title="Thermodynamics"),
        record("e"),
    )
    found = kb(collection, "search", "thermodynamics").out
    assert [line.partition("\t")[0] for line in found.splitlines()] == ["d", "b", "a", "c"]


def test_a_word_that_stands_nowhere_is_answered_with_one_that_does(kb, make, record):
    collection = make(record("a", title="Thermodynamics of images"), record("b", title="Images and noise"))
    assert "did you mean `kb search thermodynamics images`?" in kb(collection, "search", "termodynamics", "images").err
    assert "no record holds them all" in kb(collection, "search", "thermodynamics", "noise").err
    outcome = kb(collection, "search", "qqqqq")
    assert outcome.out == "" and "did you mean" not in outcome.err and outcome.code == 0
