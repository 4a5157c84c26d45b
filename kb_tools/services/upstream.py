"""What a service says about a work, in the fields of a record."""

from __future__ import annotations

from dataclasses import dataclass

from kb_tools.errors import NetworkError
from kb_tools.exchange.latex import accented
from kb_tools.records import plain_text

MAX_LETTERS = 20_000


@dataclass(frozen=True)
class Upstream:
    """A work as `service` describes it; absent facts are None, absent authors an empty tuple."""

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
    scholar: str | None = None  # how Semantic Scholar names it

    @property
    def reference(self) -> str | None:
        """How it can be named to be looked up again."""
        return self.arxiv or self.doi or self.scholar


@dataclass(frozen=True)
class Cited:
    """One entry of a reference list, as far as the service knows what it is."""

    title: str
    arxiv: str | None = None
    doi: str | None = None


def one_line(text: str | None) -> str | None:
    """Text on one line, its entities, tags and TeX accents made letters.

    Raises NetworkError for a text that is longer than any field of a record may be.
    """
    if text is None:
        return None
    if len(text) > MAX_LETTERS:
        raise NetworkError(f"a text of {len(text)} letters came back, which is no metadata", hint="look at the paper")
    return plain_text.one_line(accented(plain_text.without_markup(text))) or None
