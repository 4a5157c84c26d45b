"""What a file names: its works, as far as it tells, what of it is no work, and where each stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

Data = Mapping[str, Any]  # a record as plain data, whose fields have the plain types of the model


class Work(NamedTuple):
    """One work that a file names.

    line: where, from 1.  fields: what it says, under a record's names.  remarks: what could not be taken, in words.
    section: the headings above it, outermost first.  ours: a collection wrote it; it is taken as it is.
    """

    line: int
    fields: dict[str, Any]
    remarks: tuple[str, ...] = ()
    section: tuple[str, ...] = ()
    ours: bool = False


class Unread(NamedTuple):
    """What a file holds and no work was made of.  refused: it should have been one, and cannot be read."""

    line: int
    says: str
    refused: bool = False


class Reading(NamedTuple):
    """All that a file holds."""

    works: list[Work]
    unread: list[Unread]


def address(record: Data) -> str | None:
    """Where a record's work can be read: arXiv, else DOI, else the first link."""
    if record.get("arxiv"):
        return f"https://arxiv.org/abs/{record['arxiv']}"
    if record.get("doi"):
        return f"https://doi.org/{record['doi']}"
    return next(iter((record.get("links") or {}).values()), None)
