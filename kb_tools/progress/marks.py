"""Marks: what was read and when, in the site's own file format.

{"schema_version": 1, "marks": {"ddim": {"s": "read", "t": "2026-11-21T09:30:00Z"}}}: `s` is a status, `t` when it was
set.  A record keeps the date alone (`read_on`), which stands for the start of that day in UTC; a status without a date
is older than any mark.  The newest wins, and marks for ids that the collection does not have are kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from kb_tools.errors import InvalidRecordError
from kb_tools.records.fields import STATUSES

SCHEMA_VERSION = 1
UNKNOWN_MARKS = "unknown-marks.json"  # in papers/: marks for ids that are no record (yet)
_UNDATED = datetime(1970, 1, 1, tzinfo=UTC)


class Mark(NamedTuple):
    """A status and the moment (UTC) when it was set."""

    status: str
    time: datetime

    def as_json(self) -> dict[str, str]:
        return {"s": self.status, "t": self.time.strftime("%Y-%m-%dT%H:%M:%SZ")}


class Marked(Protocol):
    """What marks ask of a record; a `Record` and an index `Entry` both have it."""

    @property
    def status(self) -> str: ...
    @property
    def read_on(self) -> str | None: ...


def marks_of(records: Mapping[str, Marked]) -> dict[str, Mark]:
    """The marks that records carry: every status but unread, by id."""
    marks = {}
    for ident in sorted(records):
        record = records[ident]
        if record.status != "unread":
            marks[ident] = Mark(record.status, _of_date(record.read_on))
    return marks


def dumps(marks: Mapping[str, Mark]) -> str:
    """Text of a progress file."""
    data = {"schema_version": SCHEMA_VERSION, "marks": {ident: marks[ident].as_json() for ident in sorted(marks)}}
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def loads(text: str, name: str) -> dict[str, Mark]:
    """Marks of a progress file.  Raises InvalidRecordError naming `name` and the first thing that is wrong."""
    hint = "export it again from the site, or with `kb progress export`"
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRecordError(f"{name} is not JSON: {error}", hint=hint) from None
    if not isinstance(data, dict) or not isinstance(data.get("marks"), dict):
        raise InvalidRecordError(f"{name} is no progress file: it has no marks", hint=hint)
    if data.get("schema_version") != SCHEMA_VERSION:
        raise InvalidRecordError(
            f"{name} has schema_version {data.get('schema_version')!r}; this kb reads {SCHEMA_VERSION}", hint=hint
        )
    return {ident: _parse(ident, mark, name) for ident, mark in data["marks"].items()}


def newer(marks: Mapping[str, Mark], records: Mapping[str, Marked]) -> dict[str, Mark]:
    """The marks that say something else than their record, and said it later."""
    found = {}
    for ident, mark in marks.items():
        record = records.get(ident)
        if record is not None and mark.status != record.status and mark.time > _of_date(record.read_on):
            found[ident] = mark
    return found


def merged(*several: Mapping[str, Mark]) -> dict[str, Mark]:
    """Union of marks; the newest wins, and among equals the first."""
    result: dict[str, Mark] = {}
    for marks in several:
        for ident, mark in marks.items():
            if ident not in result or mark.time > result[ident].time:
                result[ident] = mark
    return result


def fields_of(mark: Mark) -> dict[str, str | None]:
    """The fields of a record that say the same as a mark."""
    if mark.status == "unread" or mark.time == _UNDATED:
        return {"status": mark.status, "read_on": None}
    return {"status": mark.status, "read_on": mark.time.strftime("%Y-%m-%d")}


def _of_date(date: str | None) -> datetime:
    return datetime.fromisoformat(date).replace(tzinfo=UTC) if date else _UNDATED


def _parse(ident: str, mark: object, name: str) -> Mark:
    hint = 'a mark is {"s": "read", "t": "2026-11-21T09:30:00Z"}'
    if not isinstance(mark, dict) or mark.get("s") not in STATUSES:
        raise InvalidRecordError(f"{name}: the mark of {ident!r} has no status out of {', '.join(STATUSES)}", hint=hint)
    try:
        time = datetime.fromisoformat(mark["t"])
    except (KeyError, TypeError, ValueError):
        raise InvalidRecordError(f"{name}: the mark of {ident!r} has no time", hint=hint) from None
    return Mark(mark["s"], time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC))
