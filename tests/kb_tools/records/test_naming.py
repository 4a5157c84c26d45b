"""Proposed ids: valid, free, and telling as far as the title and the names are."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb_tools.records.naming import propose_id

ID = r"[a-z0-9]+(-[a-z0-9]+)*"
WORK = {"title": "Denoising Diffusion Implicit Models", "authors": ["Jiaming Song"], "year": 2020}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "song-2020-denoising"),
        ({"title": "On the Use of a Thing"}, "song-2020-use"),
        ({"authors": ["Évariste Łukasiewicz"]}, "lukasiewicz-2020-denoising"),
        ({"authors": []}, "denoising-diffusion-implicit"),
        ({"authors": ["宋佳铭"]}, "denoising-diffusion-implicit"),
        ({"authors": ["   "]}, "denoising-diffusion-implicit"),
        ({"year": None}, "song-denoising"),
        ({"title": "扩散模型"}, "song-2020"),
        ({"title": "扩散模型 (Diffusion)"}, "song-2020-diffusion"),
        ({"title": "扩散模型", "authors": ["宋佳铭"], "arxiv": "2010.02502"}, "arxiv-2010-02502"),
        ({"title": "Диффузия", "authors": [], "arxiv": "math.GT/0309136"}, "arxiv-math-gt-0309136"),
        ({"title": "Диффузия", "authors": ["Иванов"], "doi": "10.1000/ab_C.(1)"}, "doi-10-1000-ab-c-1"),
        ({"title": "Диффузия", "authors": ["Иванов"]}, "untitled"),
    ],
)
def test_proposals(fields, expected):
    assert propose_id(WORK | fields, ()) == expected


def test_what_is_taken_is_made_longer_and_then_counted():
    taken: list[str] = []
    for _ in range(6):
        taken.append(propose_id(WORK, taken))
    assert taken == [
        "song-2020-denoising",
        "song-2020-denoising-diffusion",
        "song-2020-denoising-diffusion-implicit",
        "song-2020-denoising-diffusion-implicit-models",
        "song-2020-denoising-2",
        "song-2020-denoising-3",
    ]
    assert propose_id({"title": "模型", "authors": []}, ("untitled",)) == "untitled-2"


def test_files_that_are_no_records_keep_their_names():
    assert propose_id({"title": "Topics"}, ()) == "topics-2"
    assert propose_id({"title": "Outside"}, ()) == "outside-2"


@given(
    title=st.text(min_size=1, max_size=300),
    authors=st.lists(st.text(max_size=120), max_size=2),
    year=st.none() | st.integers(1500, 2100),
    used=st.integers(0, 4),
)
def test_every_proposal_is_an_id_and_free(title, authors, year, used):
    taken: set[str] = set()
    for _ in range(used + 1):
        ident = propose_id({"title": title, "authors": authors, "year": year}, taken)
        assert re.fullmatch(ID, ident), ident
        assert len(ident) <= 64
        assert ident not in taken
        taken.add(ident)
