"""What a service says about a work, in the fields of a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kb_tools.errors import NetworkError
from kb_tools.exchange.latex import accented
from kb_tools.records import plain_text

MAX_LETTERS = 20_000


@dataclass(frozen=True)
class Upstream:
    """A work as `service` describes it; absent facts are None, absent authors an empty tuple.

    updated: the day of its latest version, as YYYY-MM-DD.
    """

    service: str
    title: str
    authors: tuple[str, ...]
    year: int | None
    abstract: str | None = None
    venue: str | None = None
    arxiv: str | None = None
    version: int | None = None
    doi: str | None = None
    withdrawn: bool = False
    updated: str | None = None
    scholar: str | None = None  # how Semantic Scholar names it

    @property
    def reference(self) -> str | None:
        """How it can be named to be looked up again."""
        return self.arxiv or self.doi or self.scholar


@dataclass(frozen=True)
class News:
    """One thing that a service says of a work and its record does not.

    kind: version, published or withdrawn.  now: what it is by now.  known: what the record says, or nothing.
    """

    kind: str
    now: str
    known: str = ""


@dataclass(frozen=True)
class Cited:
    """One entry of a reference list, as far as the service knows what it is."""

    title: str
    arxiv: str | None = None
    doi: str | None = None


def news(record: Mapping[str, Any], work: Upstream) -> list[News]:
    """What happened to a work since its record was written, the gravest first; changes nothing.

    A version is new if it is above that of the record; where the record names none, if it is of a later day than the
    record.  A record without version and day is told nothing of versions: see `dated`.
    """
    found = []
    if work.withdrawn and not record.get("withdrawn"):
        found.append(News("withdrawn", "by its authors or by arXiv"))
    place = [str(value) for name in ("venue", "doi") if (value := getattr(work, name)) and not record.get(name)]
    if place:
        found.append(News("published", ", ".join(place)))
    version, day = record.get("arxiv_version"), record.get("added")
    newer = work.version > version if version and work.version else str(work.updated or "") > str(day or "9999")
    if newer and work.version:
        known = f"v{version}" if version else f"record of {day}"
        found.append(News("version", f"v{work.version}" + (f" of {work.updated}" if work.updated else ""), known))
    return found


def dated(record: Mapping[str, Any]) -> bool:
    """Whether it can be said which version of a work a record is of, or at least of which day."""
    return bool(record.get("arxiv_version") or record.get("added"))


def one_line(text: str | None) -> str | None:
    """Text on one line, its entities, tags and TeX accents made letters.

    Raises NetworkError for a text that is longer than any field of a record may be.
    """
    if text is None:
        return None
    if len(text) > MAX_LETTERS:
        raise NetworkError(f"a text of {len(text)} letters came back, which is no metadata", hint="look at the paper")
    return plain_text.one_line(accented(plain_text.without_markup(text))) or None
