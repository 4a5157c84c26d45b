"""Short names made from a record: what a new id and a citation key are built of."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from kb_tools.records.fields import OUTSIDE_FILE, TOPICS_FILE

_SMALL_WORDS = re.compile("(?i)a|an|the|on|in|of|and|for|to|with|from|by|is|are|at|as|into|via|towards?|using")
# Letters that Unicode does not take apart.
LETTERS = str.maketrans({"ø": "o", "æ": "ae", "œ": "oe", "ß": "ss", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
_LONGEST = 64
_COLLECTIVE = re.compile(
    r"\b(?:Collaborations?|Team|Group|Consortium|Project|Inc\.?|Ltd\.?|Foundation|Institute|Association)$"
)
# Names of files in papers/ that are no records.
RESERVED = frozenset(Path(name).stem for name in (TOPICS_FILE, OUTSIDE_FILE))


def is_id(text: str) -> bool:
    """Whether a text can be the id of a record: the shape that the model asks for, and no other file's name."""
    return bool(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", text)) and len(text) <= _LONGEST and text not in RESERVED


def ascii_word(text: str) -> str:
    """Lower-case ASCII letters and digits of a text, accents taken off."""
    folded = unicodedata.normalize("NFKD", text.lower().translate(LETTERS))
    return re.sub(r"[^a-z0-9]", "", folded)


def is_collective(name: str) -> bool:
    """Whether a name is that of a collaboration, a team or a company."""
    return bool(_COLLECTIVE.search(name))


def family_word(record: Mapping[str, Any]) -> str:
    """The first author's last word, the first of a collaboration's that says which; nothing without an author."""
    authors = record.get("authors")
    first = str(authors[0]) if isinstance(authors, list) and authors else ""
    words = first.split()
    if len(words) > 1 and is_collective(first):
        words = [word for word in words if not _SMALL_WORDS.fullmatch(word)][:1]
    return ascii_word(words[-1]) if words else ""


def title_words(record: Mapping[str, Any]) -> list[str]:
    """The words of weight in the title."""
    words = [ascii_word(word) for word in re.findall(r"\w+", str(record["title"])) if not _SMALL_WORDS.fullmatch(word)]
    return [word for word in words if word]


def propose_id(record: Mapping[str, Any], taken: Collection[str]) -> str:
    """An id that nobody has: author-year-word, or three words of the title where no author is known.

    Where it is taken, further words of the title follow, at last a number.  A name or a title without a Latin letter
    says nothing here; where neither has one, the id is made of the arXiv id or the DOI.
    """
    return next(slug for slug in _slugs(record) if slug not in taken and slug not in RESERVED)


def arxiv_slug(ident: str) -> str:
    """The id of a record of which only the arXiv id is known."""
    return f"arxiv-{_slug(ident)}"


def _slugs(record: Mapping[str, Any]) -> Iterator[str]:
    words, family = title_words(record), family_word(record)
    head = [family, str(record.get("year") or "")] if family else []
    head = [part[:_LONGEST] for part in head if part]
    least = min(1 if head else 3, len(words))
    proposals = ["-".join([*head, *words[:count]]) for count in range(least, len(words) + 1)]
    fitting = [slug for slug in proposals if slug and len(slug) <= _LONGEST]
    base = fitting[0] if fitting else _without_words(record, head)
    yield from fitting or [base]
    base = base[: _LONGEST - 5].strip("-")
    yield from (f"{base}-{number}" for number in range(2, 10_000))


def _without_words(record: Mapping[str, Any], head: list[str]) -> str:
    """An id where the title gives none: the author and year, else the arXiv id, else the DOI."""
    if head:
        return "-".join(head)[:_LONGEST].strip("-")
    if record.get("arxiv"):
        return arxiv_slug(str(record["arxiv"]))
    doi = _slug(str(record.get("doi") or ""))
    return f"doi-{doi}"[:_LONGEST].strip("-") if doi else "untitled"


def _slug(text: str) -> str:
    """A text as part of an id."""
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")
