"""JSON for programs and for another collection: everything that the records say."""

from __future__ import annotations

import json
from collections.abc import Mapping

from kb_tools.errors import InvalidRecordError
from kb_tools.exchange.whole import checked
from kb_tools.exchange.work import Data, Reading, Unread, Work

SCHEMA_VERSION = 1


def dump_json(records: Mapping[str, Data]) -> str:
    """Everything the records say: what `kb import` reads back whole."""
    return (
        json.dumps({"schema_version": SCHEMA_VERSION, "data": list(records.values())}, indent=1, ensure_ascii=False)
        + "\n"
    )


def load_json(text: str, name: str) -> Reading:
    """The records of an export; an entry that is none is named.  Raises InvalidRecordError if it is no export."""
    hint = "write one with `kb export --format json`"
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRecordError(f"{name} is not JSON: {error}", hint=hint) from None
    if not isinstance(data, dict) or not isinstance(data.get("data"), list):
        raise InvalidRecordError(f"{name} is no export of records", hint=hint)
    if data.get("schema_version") != SCHEMA_VERSION:
        version = data.get("schema_version")
        raise InvalidRecordError(f"{name} has schema_version {version!r}; this kb reads {SCHEMA_VERSION}", hint=hint)
    works, unread = [], []
    for number, record in enumerate(data["data"], 1):
        try:
            works.append(Work(number, checked(record), ours=True))
        except InvalidRecordError as error:
            unread.append(Unread(number, f"entry {number} of data {error.message}", refused=True))
    return Reading(works, unread)
