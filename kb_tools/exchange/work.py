"""What a file or a service names: its works, as far as it tells, what of it is no work, and where each stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from kb_tools.services.upstream import Upstream

Data = Mapping[str, Any]  # a record as plain data, whose fields have the plain types of the model


class Asked(NamedTuple):
    """How somebody named a work of which a service was asked.

    answer: what the service says; None if nobody did.  known: the id of the record that answers to the name.
    """

    name: str
    version: int | None = None
    answer: Upstream | None = None
    known: str = ""


class Candidate(NamedTuple):
    """A work that may be meant: how to name it to `kb add`, and what it is."""

    reference: str
    title: str
    authors: tuple[str, ...]
    year: int | None


class Work(NamedTuple):
    """One work that a file or a service names.

    line: where, from 1; of a list of references the place in it.  fields: what is said of it, under a record's names.
    remarks: what could not be taken, in words.  section: the headings above it, outermost first.  ours: a collection
    wrote it; it is taken as it is.  asked: it was named to a service, whose identifiers are believed.
    """

    line: int
    fields: dict[str, Any]
    remarks: tuple[str, ...] = ()
    section: tuple[str, ...] = ()
    ours: bool = False
    asked: Asked | None = None


class Unread(NamedTuple):
    """What no work was made of.

    refused: it should have been one, and cannot be read.  name: what nobody knows.  near: what may be meant by it.
    """

    line: int
    says: str
    refused: bool = False
    name: str = ""
    near: tuple[Candidate, ...] = ()


class Reading(NamedTuple):
    """All that a file holds, or all that was asked for."""

    works: list[Work]
    unread: list[Unread]


def address(record: Data) -> str | None:
    """Where a record's work can be read: arXiv, else DOI, else the first link."""
    if record.get("arxiv"):
        return f"https://arxiv.org/abs/{record['arxiv']}"
    if record.get("doi"):
        return f"https://doi.org/{record['doi']}"
    return next(iter((record.get("links") or {}).values()), None)
