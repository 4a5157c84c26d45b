"""Marks that travel between the site and the records without loss."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from kb_tools.errors import InvalidRecordError
from kb_tools.progress.marks import Mark, dumps, loads, marks_of, merged, newer


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_marks_go_out_and_come_back():
    marks = {"a": Mark("read", at("2026-11-21T09:30:00")), "b": Mark("skipped", at("2026-01-01T00:00:00"))}
    text = dumps(marks)
    assert json.loads(text) == {
        "schema_version": 1,
        "marks": {"a": {"s": "read", "t": "2026-11-21T09:30:00Z"}, "b": {"s": "skipped", "t": "2026-01-01T00:00:00Z"}},
    }
    assert loads(text, "f") == marks


def test_times_of_other_zones_and_milliseconds_are_understood():
    text = '{"schema_version": 1, "marks": {"a": {"s": "read", "t": "2026-11-21T09:30:00.123+02:00"}}}'
    assert loads(text, "f")["a"].as_json()["t"] == "2026-11-21T07:30:00Z"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "has no marks"),
        ('{"schema_version": 2, "marks": {}}', "schema_version 2"),
        ('{"schema_version": 1, "marks": {"a": {"s": "done", "t": "2026-11-21"}}}', "'a' has no status"),
        ('{"schema_version": 1, "marks": {"a": {"s": "read", "t": "yesterday"}}}', "'a' has no time"),
        ('{"schema_version": 1, "marks": {"a": {"s": "read"}}}', "'a' has no time"),
        ('{"schema_version": 1, "marks": {"a": "read"}}', "'a' has no status"),
    ],
)
def test_a_bad_file_is_refused_by_name(text, message):
    with pytest.raises(InvalidRecordError, match=message):
        loads(text, "marks.json")


def test_the_newest_mark_wins(make, record):
    entries = make(
        record("dated", status="read", read_on="2026-11-20"), record("undated", status="read"), record("fresh")
    ).entries()
    old, new = at("2026-11-19T23:00:00"), at("2026-11-20T08:00:00")
    assert newer({"dated": Mark("skipped", old)}, entries) == {}
    assert newer({"dated": Mark("skipped", at("2026-11-20T00:00:00"))}, entries) == {}, "the same moment"
    assert newer({"dated": Mark("skipped", new)}, entries) == {"dated": Mark("skipped", new)}
    assert set(newer({"undated": Mark("unread", old), "fresh": Mark("read", old)}, entries)) == {
        "undated",
        "fresh",
    }
    assert newer({"dated": Mark("read", new)}, entries) == {}, "nothing to say"
    assert merged({"a": Mark("read", old)}, {"a": Mark("unread", new)}) == {"a": Mark("unread", new)}


def test_what_a_collection_exports_it_imports_as_nothing_new(make, record):
    entries = make(
        record("a", status="read", read_on="2026-11-20"), record("b", status="reading"), record("c")
    ).entries()
    marks = marks_of(entries)
    assert set(marks) == {"a", "b"}
    assert newer(loads(dumps(marks), "f"), entries) == {}
