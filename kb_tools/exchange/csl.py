"""CSL-JSON: what Zotero, pandoc and every citeproc read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from kb_tools.errors import InvalidRecordError
from kb_tools.exchange import whole
from kb_tools.exchange.arxiv_places import arxiv_in
from kb_tools.exchange.formulas import tagged
from kb_tools.exchange.names import split
from kb_tools.exchange.venue import venue_of
from kb_tools.exchange.work import Data, Reading, Unread, Work, address
from kb_tools.records.reference import arxiv_id, doi

# https://docs.citationstyles.org/en/stable/specification.html#appendix-iii-types
_TYPES = {
    "blog": "post-weblog",
    "video": "motion_picture",
    "course": "webpage",
    "textbook": "book",
    "code": "software",
    "webpage": "webpage",
}
_HINT = "programs write it as a list of items: [{...}, ...]"
_KIND_OF_TYPE = {kind: ours for ours, kind in _TYPES.items()}
_ENTRY_OF_TYPE = {
    "article-journal": "article",
    "paper-conference": "inproceedings",
    "chapter": "incollection",
    "book": "book",
    "thesis": "phdthesis",
    "report": "techreport",
}
_SAID = {
    "volume": "volume",
    "number": "issue",
    "pages": "page",
    "publisher": "publisher",
    "series": "collection-title",
    "edition": "edition",
    "address": "publisher-place",
    "isbn": "isbn",
    "issn": "issn",
    "note": "note",
}
# Fields that are in the record, or say only how the item is kept.
_USED = frozenset(
    [
        "id",
        "citation-key",
        "type",
        "title",
        "author",
        "editor",
        "issued",
        "original-date",
        "container-title",
        "event-title",
        "archive",
        "archive_location",
        "number",
        "doi",
        "url",
        "keyword",
        "annote",
        "abstract",
        "custom",
    ]
)
_PUBLISHED = {"conference": "paper-conference", "workshop": "paper-conference", "journal": "article-journal"}


def dumps(records: Mapping[str, Data], citation_keys: Mapping[str, str]) -> str:
    """A CSL-JSON array of the records; their ids are the BibTeX keys, so that a text can change between the two.

    What CSL has no field for is in `custom`, which programs pass over, and comes back.
    """
    items = []
    for ident, record in records.items():
        one = item(record, citation_keys[ident])
        items.append(one | {"custom": {whole.NAME: whole.rest(record, _work(1, one).fields)}})
    return json.dumps(items, indent=1, ensure_ascii=False) + "\n"


def item(record: Data, key: str) -> dict:
    """One item.  A paper that appeared nowhere else is an `article`, as preprints are."""
    arxiv, venue = record.get("arxiv"), venue_of(record)
    fields = {
        "id": key,
        "citation-key": key,
        "type": _TYPES.get(record["kind"]) or _PUBLISHED.get(venue.kind, "article"),
        "title": tagged(record["title"]),
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


def loads(text: str, name: str) -> Reading:
    """Every item of a CSL-JSON file, by its number.  Raises InvalidRecordError if it is none."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRecordError(f"{name} is not JSON: {error}", hint=_HINT) from None
    items = data.get("items") if isinstance(data, dict) else data
    if not isinstance(items, list):
        raise InvalidRecordError(f"{name} is no list of CSL items", hint=_HINT)
    works, unread = [], []
    for number, one in enumerate(map(_flat, items), 1):
        if isinstance(one, dict) and isinstance(one.get("title"), str):
            try:
                works.append(_whole(_work(number, one), one.get("custom")))
            except InvalidRecordError as error:
                unread.append(Unread(number, f"item {number} {error.message}", refused=True))
        else:
            unread.append(Unread(number, f"item {number} has no title", refused=True))
    return Reading(works, unread)


def _flat(item: object) -> object:
    """An item whose titles are texts: a registry of DOIs has lists of one."""
    if not isinstance(item, dict):
        return item
    lists = {name: item.get(name) for name in ("title", "container-title")}
    return item | {name: one[0] for name, one in lists.items() if isinstance(one, list) and one}


def _whole(work: Work, custom: object) -> Work:
    """The record that an export wrote, or a stranger's work as it is."""
    carried = custom.get(whole.NAME) if isinstance(custom, dict) else None
    return work if carried is None else whole.restored(work, carried)


def _work(number: int, one: Data) -> Work:
    texts = {key.lower(): str(value) for key, value in one.items() if isinstance(value, str | int)}
    arxiv, version = arxiv_in(texts)
    kind = texts.get("type", "")
    url = texts.get("url", "")
    said = {field: texts.get(key, "") for field, key in _SAID.items()} | {"type": _ENTRY_OF_TYPE.get(kind, "")}
    said["editor"] = " and ".join(_people(one.get("editor")))
    said["pages"] = re.sub(r"\s*[-\u2013\u2014]+\s*", "-", said["pages"])
    said["number"] = "" if arxiv and arxiv in said["number"] else said["number"]
    fields = {
        "kind": _KIND_OF_TYPE.get(kind, "paper"),
        "title": texts["title"],
        "authors": _people(one.get("author")),
        "year": _year(one.get("original-date")) or _year(one.get("issued")),
        "venue": texts.get("container-title") or texts.get("event-title") or texts.get("publisher"),
        "publication": {name: value for name, value in said.items() if value},
        "key": texts.get("citation-key") or texts.get("id"),
        "arxiv": arxiv,
        "arxiv_version": version,
        "doi": doi(texts.get("doi", "")),
        "links": {"home": url} if url and arxiv_id(url) is None and doi(url) is None else {},
        "topics": [word.strip() for word in re.split("[,;]", texts.get("keyword", "")) if word.strip()],
        "summary": texts.get("annote"),
        "abstract": texts.get("abstract"),
    }
    known = {*_USED, *_SAID.values()}
    dropped = sorted(key for key in one if key.lower() not in known and one[key])
    remarks = (f"not kept: {', '.join(dropped)}",) if dropped else ()
    return Work(number, {name: value for name, value in fields.items() if value}, remarks)


def _people(names: object) -> list[str]:
    """Names as they are written on a paper."""
    found = []
    for name in names if isinstance(names, list) else []:
        if isinstance(name, dict):
            parts = ("given", "dropping-particle", "non-dropping-particle", "family", "suffix")
            found.append(
                str(name.get("literal") or name.get("name") or "")
                or " ".join(str(name[part]) for part in parts if name.get(part))
            )
    return [" ".join(name.split()) for name in found if name.strip()]


def _year(date: object) -> int | None:
    """The year of a CSL date, however it is written."""
    found = re.search(r"\b(1[6-9]|20)\d\d\b", json.dumps(date)) if date else None
    return int(found.group()) if found else None


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
