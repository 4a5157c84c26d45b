"""The arXiv id of a bibliography's entry, in whatever field its author or a program put it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kb_tools.records.reference import arxiv_id, arxiv_mentioned

# Fields that hold an id and nothing else; a bare number is one there.
_IDS = ("eprint", "arxiv", "arxivid", "arxiv_id", "arxiv-id", "archive_location")
# Fields that name where the work appeared or lies: an id in them is of the work.
_PLACES = [
    "doi",
    "url",
    "pdf",
    "ee",
    "link",
    "links",
    "eprint",
    "journal",
    "journaltitle",
    "booktitle",
    "number",
    "volume",
    "series",
    "publisher",
    "institution",
    "howpublished",
    "file",
    "local-url",
    "biburl",
]
# Fields in which somebody may speak of other works: an id counts where little else is said.
_WORDS = ("note", "annote", "comment", "addendum", "pubstate", "venue")
_FEW = 5


def arxiv_in(fields: Mapping[str, str]) -> tuple[str | None, int | None]:
    """arXiv id and version of an entry; the version may stand in a field of its own."""
    version = fields.get("eprintversion", "")
    found = _in_ids(fields) or _in_places(fields)
    if found is None:
        return None, None
    return found[0], int(version) if version.isdecimal() else found[1]


def _in_ids(fields: Mapping[str, str]) -> tuple[str, int | None] | None:
    archive = fields.get("archiveprefix") or fields.get("eprinttype") or fields.get("archive") or "arxiv"
    for name in _IDS:
        value = fields.get(name, "").strip()
        if not value or (name in ("eprint", "archive_location") and archive.strip().lower() != "arxiv"):
            continue
        category = (fields.get("primaryclass") or fields.get("eprintclass") or "").strip().lower()
        if re.fullmatch(r"\d{7}(v\d+)?", value) and category:
            value = f"{category.partition('.')[0]}/{value}"
        if found := arxiv_id(value) or arxiv_mentioned(value):
            return found
    return None


def _in_places(fields: Mapping[str, str]) -> tuple[str, int | None] | None:
    for name in _PLACES:
        if name in fields and (found := arxiv_mentioned(fields[name])):
            return found
    for name in _WORDS:
        value = fields.get(name, "")
        if (found := arxiv_mentioned(value)) and len(re.findall(r"[A-Za-z]{2,}", value)) <= _FEW:
            return found
    return None
