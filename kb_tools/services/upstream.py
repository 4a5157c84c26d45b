"""What a service says about a work, in the fields of a record."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from kb_tools.errors import NetworkError

MAX_LETTERS = 20_000

# What the strict reader refuses in a file: controls, bidirectional and zero-width formatting.
_INVISIBLE = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})


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


@dataclass(frozen=True)
class Cited:
    """One entry of a reference list, as far as the service knows what it is."""

    title: str
    arxiv: str | None = None
    doi: str | None = None


def one_line(text: str | None) -> str | None:
    """Text on one line without invisible characters: titles arrive hard-wrapped, abstracts with Windows line ends.

    Raises NetworkError for a text that is longer than any field of a record may be.
    """
    if text is None:
        return None
    if len(text) > MAX_LETTERS:
        raise NetworkError(f"a text of {len(text)} letters came back, which is no metadata", hint="look at the paper")
    seen = "".join(
        letter if unicodedata.category(letter) not in _INVISIBLE else " " if letter.isspace() else "" for letter in text
    )
    return unicodedata.normalize("NFC", re.sub(r"\s+", " ", seen).strip()) or None
