"""What is exported comes back as the same records, field by field, and other programs read it all the same."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
import rispy

from kb_tools.errors import InvalidRecordError
from kb_tools.exchange import ris, whole
from kb_tools.records.store import Collection

RECORDS: dict[str, dict[str, Any]] = {
    "a": {
        "id": "a",
        "kind": "survey",
        "title": "A -->  & <b> on $x_0$",
        "authors": ["Aaron van den Oord", "Smith, Inc.", "Roe"],
        "year": 2020,
        "venue": "ICML 2021",
        "arxiv": "2006.11230",
        "arxiv_version": 3,
        "links": {"code": "https://example.org/c?a=1&b=2", "pdf": "https://example.org/p.pdf"},
        "aliases": ["A; B", "-- C"],
        "topics": ["one", "two"],
        "worth_reading": 3,
        "why": "Since <!-- it --> is.",
        "status": "read",
        "read_on": "2021-02-03",
        "summary": "First.\nSecond.",
        "abstract": "One line.\nAnother.",
        "builds_on": ["b"],
        "notes": ["A caution.", "Another, in\ntwo lines."],
        "sources": [{"seed": "001", "section": "S", "line": 4, "as_written": {"title": "T", "year": None}}],
        "withdrawn": True,
    },
    "b": {"id": "b", "kind": "blog", "title": "=1+1", "status": "unread", "links": {"home": "https://x.org/a"}},
}
KEYS = {"a": "oord2020a", "b": "b1"}


@functools.cache
def collected() -> dict[str, dict[str, Any]]:
    """The records of the collection, as its files have them."""
    collection = Collection(Path(__file__).parents[3])
    data: list[Any] = [document.data for document in collection.documents()]
    assert len(data) > 80
    return {record["id"]: dict(record) for record in data}


def keyed(records: dict[str, Any]) -> dict[str, str]:
    return {ident: f"key{number}" for number, ident in enumerate(records)}


@pytest.mark.parametrize("records", [RECORDS, None], ids=["made", "collected"])
def test_ris_comes_back_whole(records: dict[str, Any] | None):
    records = records or collected()
    back = ris.loads(ris.dumps(records, keyed(records)), "refs.ris")
    assert back.unread == []
    assert [work.fields for work in back.works] == list(records.values())
    assert all(work.ours and not work.remarks for work in back.works)


def test_ris_that_carries_a_record_is_what_other_readers_expect():
    records = collected()
    read = rispy.loads(ris.dumps(records, keyed(records)))
    assert [one["title"] for one in read] == [record["title"] for record in records.values()]
    assert [len(one.get("authors", [])) for one in read] == [len(one.get("authors", [])) for one in records.values()]
    assert not any("unknown_tag" in one for one in read)
    # All that readers of other makes meet is one field of their own choice, on one line.
    assert all(one["custom8"].startswith(f"{whole.NAME} {{") and "\n" not in one["custom8"] for one in read)
    assert all(json.loads(one["custom8"].partition(" ")[2]) for one in read)


def test_what_somebody_changes_in_ris_stays_changed():
    text = ris.dumps(RECORDS, KEYS).replace("TI  - =1+1", "TI  - Two").replace("KW  - two", "KW  - speed")
    first, second = ris.loads(text, "refs.ris").works
    assert second.fields == RECORDS["b"] | {"title": "Two"}
    assert first.fields == RECORDS["a"] | {"topics": ["one", "speed"]}


@pytest.mark.parametrize("carried", ["[", "7", '{"colour": "red"}', '{"year": ["x"]}'])
def test_a_reference_that_carries_no_record_costs_itself(carried: str):
    lines = ris.dumps(RECORDS, KEYS).split("\n")
    place = next(number for number, line in enumerate(lines) if line.startswith("C8  - "))
    lines[place] = f"C8  - {whole.NAME} {carried}"
    back = ris.loads("\n".join(lines), "refs.ris")
    assert [work.fields["id"] for work in back.works] == ["b"]
    assert [(lost.line, lost.refused) for lost in back.unread] == [(1, True)]


def test_a_custom_field_of_somebody_else_is_named():
    (work,) = ris.loads("TY  - JOUR\nTI  - X\nC8  - mine\nER  - \n", "refs.ris").works
    assert not work.ours and "not kept: custom8" in work.remarks


@pytest.mark.parametrize("carried", ["{", "[]", '{"colour": "red"}', '{"id": null}', "[" * 100_000])
def test_what_is_no_record_is_refused(carried: str):
    from kb_tools.exchange.work import Work

    with pytest.raises(InvalidRecordError):
        whole.restored(Work(1, {"kind": "paper", "title": "X"}), carried)
