"""RIS, which reference managers of every make read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from kb_tools.errors import InvalidRecordError
from kb_tools.exchange import whole
from kb_tools.exchange.names import split
from kb_tools.exchange.ris_references import arxiv_of, references
from kb_tools.exchange.venue import venue_of
from kb_tools.exchange.work import Data, Reading, Unread, Work, address
from kb_tools.records.reference import arxiv_id, doi

_TYPES = {
    "blog": "BLOG",
    "video": "VIDEO",
    "course": "ELEC",
    "textbook": "BOOK",
    "code": "COMP",
    "webpage": "ELEC",
}
_KIND_OF_TYPE = {"BLOG": "blog", "VIDEO": "video", "BOOK": "textbook", "COMP": "code", "ELEC": "webpage"}
_ENTRY_OF_TYPE = {
    "JOUR": "article",
    "CONF": "inproceedings",
    "CPAPER": "inproceedings",
    "CHAP": "incollection",
    "BOOK": "book",
    "THES": "phdthesis",
    "RPRT": "techreport",
}
_SAID = ("volume", "number", "publisher", "edition", "issn")
_VENUES = ("journal_name", "secondary_title", "alternate_title1", "alternate_title3", "publisher")
# Fields that are in the record, or say only how a program keeps the reference.
_USED = frozenset(
    [
        "type_of_reference",
        "title",
        "primary_title",
        "authors",
        "first_authors",
        "year",
        "publication_year",
        "date",
        "id",
        "doi",
        "urls",
        "keywords",
        "notes",
        "abstract",
        "notes_abstract",
        "start_page",
        "end_page",
        "accession_number",
        "access_date",
        "name_of_database",
        "database_provider",
        "custom8",
    ]
)
_PUBLISHED = {"conference": "CPAPER", "workshop": "CPAPER", "journal": "JOUR", "preprint": "UNPB"}


def dumps(records: Mapping[str, Data], citation_keys: Mapping[str, str]) -> str:
    """The records as RIS, one tag a line.  A preprint is a `UNPB`, an unpublished work.

    What RIS has no tag for is in the last custom field, and comes back.
    """
    lines: list[str] = []
    for ident, record in records.items():
        own = list(_lines(record, citation_keys[ident]))
        (work,) = loads("\n".join(own), ident).works
        carried = f"C8  - {whole.NAME} {whole.text(whole.rest(record, work.fields))}"
        lines += [*own[:-1], carried, own[-1], ""]
    return "\n".join(lines)


def loads(text: str, name: str) -> Reading:
    """Every reference of a RIS file, read by rispy.  Raises InvalidRecordError if it holds none."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    try:
        found = list(references(text))
    except (OSError, ValueError, KeyError) as error:
        raise InvalidRecordError(
            f"{name} is not RIS: {error}", hint="each reference is from `TY  - ` to `ER  - `"
        ) from None
    works, lost = [], []
    for one in found:
        carried = str(one.said.pop("custom8", ""))
        try:
            work = _whole(_work(one.line, one.said), carried)
        except InvalidRecordError as error:
            lost.append(Unread(one.line, f"the reference {error.message}", refused=True))
        else:
            works.append(work._replace(remarks=(*one.remarks, *work.remarks)))
    return Reading(works, lost)


def _whole(work: Work, custom: str) -> Work:
    """The record that an export wrote, or a stranger's work as it is."""
    name, _, carried = custom.partition(" ")
    if name == whole.NAME:
        return whole.restored(work, carried)
    return work._replace(remarks=(*work.remarks, "not kept: custom8")) if custom else work


def _work(line: int, one: Data) -> Work:
    texts = {key: value for key, value in one.items() if isinstance(value, str)}
    kind = texts.get("type_of_reference", "")
    urls = [url for url in one.get("urls") or [] if isinstance(url, str)]
    pages_of = [url for url in urls if arxiv_id(url) is None and doi(url) is None]
    arxiv, version = arxiv_of(one)
    pages = "-".join(texts[end] for end in ("start_page", "end_page") if texts.get(end))
    year = re.search(
        r"\b(1[6-9]|20)\d\d\b", texts.get("year") or texts.get("publication_year") or texts.get("date") or ""
    )
    said = {"type": _ENTRY_OF_TYPE.get(kind, ""), "pages": pages} | {name: texts.get(name, "") for name in _SAID}
    fields = {
        "kind": _KIND_OF_TYPE.get(kind, "paper"),
        "title": texts.get("title") or texts.get("primary_title"),
        "authors": [name for one in one.get("authors") or one.get("first_authors") or [] for name in _person(one)],
        "year": int(year.group()) if year else None,
        "venue": next((texts[name] for name in _VENUES if texts.get(name)), None),
        "publication": {name: value for name, value in said.items() if value},
        "key": texts.get("id"),
        "arxiv": arxiv,
        "arxiv_version": version,
        "doi": doi(texts.get("doi", "")),
        "links": {"home": pages_of[0]} if pages_of else {},
        "topics": one.get("keywords") or [],
        "summary": "\n".join(one.get("notes") or []),
        "abstract": texts.get("abstract") or texts.get("notes_abstract"),
    }
    dropped = sorted(key for key in one if key not in _USED and key not in _SAID and key not in _VENUES and one[key])
    remarks = (f"not kept: {', '.join(dropped)}",) if dropped else ()
    return Work(line, {name: value for name, value in fields.items() if value}, remarks)


def _person(name: str) -> list[str]:
    """`Family, Given, Suffix` as it is written on a paper."""
    parts = [part.strip() for part in name.split(",")]
    whole = " ".join(part for part in [*parts[1:2], parts[0], *parts[2:]] if part)
    return [whole] if whole else []


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
