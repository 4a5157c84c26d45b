"""What a format has no place for, carried beside an entry so that an export read back gives the same record.

An entry is written, and read again as a stranger's; what the record has and the reader does not find goes along.  So a
field that somebody changes in the entry itself stays changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from kb_tools.errors import InvalidRecordError
from kb_tools.exchange.work import Data, Work
from kb_tools.records.fields import RECORD_FIELDS
from kb_tools.records.reader import Document
from kb_tools.records.shapes import check_shapes

NAME = "diffusion-kb"  # of the place where another program's format lets us put it
_PLAINEST = " :,;.()[]!?*+/'"


def rest(record: Data, found: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record that are not what a reader found; None for one that the record does not have.

    The id goes along in any case: without it nothing is a record.
    """
    return {
        name: record.get(name)
        for name in RECORD_FIELDS
        if name == "id" or (record.get(name) or None) != (found.get(name) or None)
    }


def text(carried: Mapping[str, Any]) -> str:
    """What is carried on one line of ASCII that no mark-up can be taken for."""
    written = json.dumps(carried, separators=(",", ":"))
    return written.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026").replace("--", "-\\u002d")


def plainest(carried: Mapping[str, Any]) -> str:
    """What is carried, in letters that mean nothing to TeX, and that lines may be broken in at any space."""
    written = json.dumps(carried, separators=(",", ":"), ensure_ascii=False)
    quoted = quote(written, safe=_PLAINEST).replace("_", "%5F").replace("~", "%7E")
    return quoted.replace("  ", " %20")


def from_plainest(value: str) -> str:
    """What `plainest` wrote, as the text that `restored` reads."""
    return unquote(" ".join(value.split()))


def restored(work: Work, carried: object) -> Work:
    """The work as the record that it was.  Raises InvalidRecordError if it is none."""
    if isinstance(carried, str):
        try:
            carried = json.loads(carried)
        except (ValueError, RecursionError) as error:
            raise InvalidRecordError(f"carries what is not JSON: {error}") from None
    if not isinstance(carried, dict):
        raise InvalidRecordError("carries what is no record")
    fields = {name: value for name, value in {**work.fields, **carried}.items() if value is not None}
    return work._replace(fields=checked(fields), remarks=(), ours=True)


def checked(record: object) -> dict[str, Any]:
    """A record whose fields have the plain types of the model.  Raises InvalidRecordError that says what it does."""
    if not isinstance(record, dict):
        raise InvalidRecordError("is no record")
    unknown = [str(key) for key in record if key not in RECORD_FIELDS]
    if unknown:
        raise InvalidRecordError(f"has unknown fields {', '.join(unknown)}")
    document = Document(Path("data"), "")
    document.data = record
    check_shapes(document)
    if document.problems:
        raise InvalidRecordError("; ".join(problem.message for problem in document.problems))
    try:
        json.dumps(record, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidRecordError("holds half a character (a lone surrogate)") from None
    return record
