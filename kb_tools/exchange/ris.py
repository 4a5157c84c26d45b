"""RIS, which reference managers of every make read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kb_tools.exchange.names import split
from kb_tools.exchange.venue import venue_of
from kb_tools.exchange.work import Data, address

_TYPES = {
    "blog": "BLOG",
    "video": "VIDEO",
    "course": "ELEC",
    "textbook": "BOOK",
    "code": "COMP",
    "webpage": "ELEC",
}
_PUBLISHED = {"conference": "CPAPER", "workshop": "CPAPER", "journal": "JOUR", "preprint": "UNPB"}


def dumps(records: Mapping[str, Data], citation_keys: Mapping[str, str]) -> str:
    """The records as RIS, one tag a line.  A preprint is a `UNPB`, an unpublished work."""
    return "\n".join(line for ident, record in records.items() for line in (*_lines(record, citation_keys[ident]), ""))


def _lines(record: Data, key: str) -> Iterator[str]:
    arxiv, venue = record.get("arxiv"), venue_of(record)
    tags: list[tuple[str, str | None]] = [
        ("TY", _TYPES.get(record["kind"]) or _PUBLISHED.get(venue.kind, "GEN")),
        ("ID", key),
        ("TI", record["title"]),
        *(("AU", _name(name)) for name in record.get("authors") or []),
        ("PY", str(venue.year or record.get("year") or "")),
        ("T2", venue.name),
        ("VL", venue.volume),
        ("IS", venue.number),
        ("SP", venue.first_page),
        ("EP", venue.last_page),
        ("DO", record.get("doi")),
        ("UR", address(record)),
        ("AN", f"arXiv:{arxiv}" if arxiv else None),
        *(("KW", topic) for topic in record.get("topics") or []),
        ("AB", record.get("abstract")),
        ("N1", record.get("summary")),
    ]
    yield from (f"{tag}  - {' '.join(value.split())}" for tag, value in tags if value)
    yield "ER  - "


def _name(name: str) -> str:
    """Family name, given names, suffix: what RIS wants.  A name without a comma is taken whole."""
    parts = split(name)
    if parts.literal:
        return parts.literal.replace(",", "")
    family = f"{parts.particle} {parts.family}".strip()
    return ", ".join(part for part in (family, parts.given, parts.suffix) if part)
