"""CSL-JSON: what Zotero, pandoc and every citeproc read."""

from __future__ import annotations

import json
from collections.abc import Mapping

from kb_tools.exchange.names import split
from kb_tools.exchange.venue import venue_of
from kb_tools.exchange.work import Data, address

# https://docs.citationstyles.org/en/stable/specification.html#appendix-iii-types
_TYPES = {
    "blog": "post-weblog",
    "video": "motion_picture",
    "course": "webpage",
    "textbook": "book",
    "code": "software",
    "webpage": "webpage",
}
_PUBLISHED = {"conference": "paper-conference", "workshop": "paper-conference", "journal": "article-journal"}


def dumps(records: Mapping[str, Data], citation_keys: Mapping[str, str]) -> str:
    """A CSL-JSON array of the records; their ids are the BibTeX keys, so that a text can change between the two."""
    items = [item(record, citation_keys[ident]) for ident, record in records.items()]
    return json.dumps(items, indent=1, ensure_ascii=False) + "\n"


def item(record: Data, key: str) -> dict:
    """One item.  A paper that appeared nowhere else is an `article`, as preprints are."""
    arxiv, venue = record.get("arxiv"), venue_of(record)
    fields = {
        "id": key,
        "citation-key": key,
        "type": _TYPES.get(record["kind"]) or _PUBLISHED.get(venue.kind, "article"),
        "title": record["title"],
        "author": [_name(name) for name in record.get("authors") or []],
        "issued": {"date-parts": [[venue.year or record["year"]]]} if venue.year or record.get("year") else None,
        "original-date": {"date-parts": [[record["year"]]]} if venue.year not in (None, record.get("year")) else None,
        "container-title": venue.name,
        "volume": venue.volume,
        "issue": venue.number,
        "page": venue.pages,
        "archive": "arXiv" if arxiv else None,
        "archive_location": arxiv,
        "number": f"arXiv:{arxiv}" if arxiv else None,
        "DOI": record.get("doi"),
        "URL": address(record),
        "keyword": ", ".join(record.get("topics") or []),
        "abstract": record.get("abstract"),
        "annote": record.get("summary"),
    }
    return {name: value for name, value in fields.items() if value}


def _name(name: str) -> dict[str, str]:
    parts = split(name)
    if parts.literal:
        return {"literal": parts.literal}
    named = {
        "given": parts.given,
        "non-dropping-particle": parts.particle,
        "family": parts.family,
        "suffix": parts.suffix,
    }
    return {part: value for part, value in named.items() if value}
