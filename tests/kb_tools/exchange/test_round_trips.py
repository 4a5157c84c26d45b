"""Whatever the records say: an export that is read back gives the same records, in every format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from kb_tools.exchange.formats import FORMATS, Export, read, write
from kb_tools.records.fields import KINDS, STATUSES

# What some format or other reads as a mark: of TeX, BibTeX, Markdown, HTML, CSV, RIS, JSON; and letters beyond ASCII.
LETTERS = st.sampled_from("abXY \\{}&%$#_~^-`'?!<>,;:\"|@*[]()=+./1éøΣ–“”世\u2028")
LINES = st.one_of(
    st.text(LETTERS, min_size=1, max_size=16).map(lambda text: " ".join(text.split())).filter(bool),
    st.sampled_from(
        ["TY  - JOUR", "ER  -", "-->", "<!-- x -->", "and", "# A", "- [ ] B", "2020", "WR=3", "null", "'=1"]
    ),
)
TEXTS = st.lists(LINES, min_size=1, max_size=3).map("\n".join)
SLUGS = st.sampled_from(["ddpm", "ddim", "score-sde", "a1"])
URLS = st.sampled_from(
    ["https://x.org/a_b%7E?c=1&d=(2)#e", "https://arxiv.org/abs/2006.11239v2", "https://doi.org/10.1/x"]
)
TOPICS = {"one": "The first", "two": "Papers", "three": "2020"}


def several(strategy: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(strategy, min_size=1, max_size=3, unique=True)


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "authors": several(LINES),
    "year": st.integers(1600, 2100),
    "venue": LINES,
    "publication": st.dictionaries(
        st.sampled_from(["volume", "pages", "editor", "note", "publisher", "month"]), LINES, min_size=1
    ),
    "key": st.sampled_from(["Roe:2020x", "a+b/c"]),
    "arxiv": st.sampled_from(["2006.11230", "hep-th/9901001"]),
    "arxiv_version": st.integers(1, 9),
    "doi": st.sampled_from(["10.1162/NECO_a_00142", "10.1000/(a)<b>;c"]),
    "links": st.dictionaries(st.sampled_from(["home", "pdf", "code", "x_y-1"]), URLS, min_size=1),
    "aliases": several(LINES),
    "former_ids": several(SLUGS),
    "topics": several(st.sampled_from([*TOPICS, "elsewhere"])),
    "worth_reading": st.integers(1, 3),
    "worth_reading_by": LINES,
    "why": LINES,
    "read_on": st.just("2021-02-03"),
    "summary": TEXTS,
    "abstract": TEXTS,
    "builds_on": several(SLUGS),
    "cites": several(SLUGS),
    "implementation": st.just("ddim"),
    "equations": st.dictionaries(
        st.sampled_from(["4", "section 2"]), st.fixed_dictionaries({"tex": TEXTS, "says": LINES})
    ),
    "sources": st.lists(st.fixed_dictionaries({"seed": st.just("001"), "section": LINES, "line": st.integers(1, 9)})),
    "corrections": several(TEXTS),
    "notes": several(TEXTS),
    "withdrawn": st.just(True),
    "added": st.just("2021-02-04"),
}
RECORDS = st.lists(
    st.fixed_dictionaries(
        {"kind": st.sampled_from(KINDS), "title": LINES, "status": st.sampled_from(STATUSES)}, optional=FIELDS
    ),
    min_size=1,
    max_size=3,
)


def without_gaps(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if value}


@pytest.mark.parametrize("form", FORMATS)
@given(drawn=RECORDS)
@settings(max_examples=12, phases=[Phase.explicit, Phase.generate])
def test_an_export_read_back_gives_the_same_records(form: str, drawn: list[dict[str, Any]]):
    records = {f"r{number}": {"id": f"r{number}", **without_gaps(record)} for number, record in enumerate(drawn)}
    found = read(write(Export(records, records, TOPICS, "Mine"), form), form, "x")
    assert found.unread == []
    assert {work.fields["id"]: work.fields for work in found.works} == records
    assert len(found.works) == len(records)
    assert all(work.ours and not work.remarks for work in found.works)
