"""BibTeX in both directions, parsed and laid out by bibtexparser.

An exported entry is what a paper cites plus, in fields that styles pass over, what the entry needs to come back as the
record it was: the id (`ids`, biblatex's aliases of a key), kind, venue as the record has it, year of the first version
(`origdate`; `year` is that of the publication), topics, links, aliases, summary and abstract; and the rest of the
record, which no program has a name for, in one field of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from kb_tools.errors import InvalidRecordError
from kb_tools.exchange import whole
from kb_tools.exchange.arxiv_places import arxiv_in
from kb_tools.exchange.bibtex_entries import BibEntry, entries
from kb_tools.exchange.latex import NotLatexError, escaped, plain
from kb_tools.exchange.names import is_literal, people
from kb_tools.exchange.venue import venue_of
from kb_tools.exchange.work import Data, Reading, Unread, Work, address
from kb_tools.records.fields import KINDS, PUBLICATION_FIELDS
from kb_tools.records.naming import family_word, title_words
from kb_tools.records.reference import arxiv_id, doi

_VENUES = (
    "venue",
    "journal",
    "journaltitle",
    "booktitle",
    "publisher",
    "school",
    "institution",
    "howpublished",
)
_ADDRESSES = {"url": "home", "pdf": "pdf", "ee": "home", "link": "home", "howpublished": "home", "note": "home"}
_PLACE_OF_TYPE = {
    "inproceedings": "booktitle",
    "conference": "booktitle",
    "incollection": "booktitle",
    "inbook": "booktitle",
    "article": "journal",
    "book": "publisher",
    "phdthesis": "school",
    "mastersthesis": "school",
    "techreport": "institution",
}
_NO_TYPES = frozenset({"misc", "online", "software", "video", "unpublished", "electronic"})
_EDITED = frozenset({"book", "mvbook", "collection", "mvcollection", "proceedings", "mvproceedings"})
# Fields whose content is in the record, or says only where the entry stands in its file.
_KEPT = frozenset(
    [
        "author",
        "title",
        "year",
        "date",
        "origdate",
        "entrysubtype",
        "ids",
        "links",
        "keywords",
        "eprint",
        "archiveprefix",
        "eprinttype",
        "primaryclass",
        "eprintclass",
        "eprintversion",
        "arxiv",
        "arxivid",
        "doi",
        "url",
        "pdf",
        "ee",
        "link",
        "crossref",
        "xdata",
    ]
)
_KIND_OF_TYPE = {
    "book": "textbook",
    "mvbook": "textbook",
    "proceedings": "textbook",
    "mvproceedings": "textbook",
    "software": "code",
    "online": "webpage",
    "video": "video",
}
_INDENT = "  "


def keys(records: Mapping[str, Data]) -> dict[str, str]:
    """id -> citation key: first author's family name, year, first word of weight in the title (ho2020denoising).

    A record's own key stays.  Where two others would be the same, the younger record's takes further words of
    its title.  Keys are given over a whole collection, so that they do not depend on what is exported.
    """
    given: dict[str, str] = {}
    for ident, record in records.items():
        if record.get("key"):
            given.setdefault(record["key"], ident)
    for ident in sorted(
        records.keys() - set(given.values()), key=lambda ident: (records[ident].get("year") or 9999, ident)
    ):
        for key in _candidates(records[ident]):
            if given.setdefault(key, ident) == ident:
                break
    return {ident: key for key, ident in given.items()}


def _candidates(record: Data) -> Iterable[str]:
    family, year = family_word(record), record.get("year") or ""
    words = title_words(record)
    least = 1 if family else 2
    yield from (
        f"{family}{year}{''.join(words[:count])}" for count in range(least, max(least, len(words)) + 1) if words
    )
    yield record["id"]


def entry(record: Data, key: str) -> str:
    """The entry that a paper cites, ending without a newline."""
    return _written([(key, _type(record), _cited(record))]).rstrip("\n")


def dumps(records: Mapping[str, Data], citation_keys: Mapping[str, str]) -> str:
    """Text of a BibTeX file from which `loads` gets back every record as it was."""
    entries = []
    for ident, record in records.items():
        key, kind, fields = citation_keys[ident], _type(record), _cited(record) | _own(record)
        found = _work(BibEntry(1, kind, key, {name: value for name, value in fields.items() if value})).fields
        entries.append((key, kind, fields | {whole.NAME: whole.plainest(whole.rest(record, found))}))
    return _written(entries)


def _type(record: Data) -> str:
    """What kind of entry it is, in the types that every style knows."""
    if said := (record.get("publication") or {}).get("type"):
        return said
    if record["kind"] == "textbook":
        return "book"
    return {"conference": "inproceedings", "workshop": "inproceedings", "journal": "article"}.get(
        venue_of(record).kind, "misc"
    )


def _cited(record: Data) -> dict[str, str]:
    venue, kind, said = venue_of(record), _type(record), record.get("publication") or {}
    place = _PLACE_OF_TYPE.get(kind, "note" if "note" not in said else "howpublished")
    return {
        "title": "{" + escaped(record["title"]) + "}",
        "author": " and ".join(_author(name) for name in record.get("authors") or []),
        place: escaped(record.get("venue") or "" if said.get("type") else venue.name),
        "volume": venue.volume,
        "number": venue.number,
        "pages": venue.pages.replace("-", "--"),
        **{name: _said(name, value) for name, value in said.items() if name != "type"},
        "year": str(venue.year or record.get("year") or ""),
        "eprint": record.get("arxiv") or "",
        "archiveprefix": "arXiv" if record.get("arxiv") else "",
        "doi": _verbatim(record.get("doi") or ""),
        "url": _verbatim(address(record) or ""),
    }


def _said(name: str, value: str) -> str:
    """A part of a publication as an entry has it."""
    if name == "pages":
        return escaped(value.replace("-", "\N{EN DASH}")).replace("\N{EN DASH}", "--")
    return " and ".join(_author(one) for one in value.split(" and ")) if name == "editor" else escaped(value)


def _publication(one: BibEntry, text: _Texts, *, ours: bool) -> dict[str, str]:
    """What an entry says of the publication; an export of ours names the fields that the record has."""
    names = (
        [name for name in one.fields.get("publication", "").split() if name != "key"] if ours else PUBLICATION_FIELDS
    )
    said: dict[str, str] = {}
    for name in names:
        if name == "type":
            said[name] = one.kind if ours or one.kind not in _NO_TYPES else ""
        elif name == "editor":
            said[name] = " and ".join(_line(text.of(name, person)) for person in people(one.fields.get(name, ""))[0])
        elif name == "pages":
            said[name] = re.sub(r"\s*[-\u2013\u2014]+\s*", "-", text.line(name))
        elif not _address(one.fields.get(name, "")):
            said[name] = text.line(name)
    if not ours and one.kind in _EDITED and not one.fields.get("author"):
        said.pop("editor", None)  # they are the authors of the record
    return {name: value for name, value in said.items() if value}


def _own(record: Data) -> dict[str, str]:
    return {
        "ids": record["id"],
        "publication": " ".join([*(record.get("publication") or {}), *(["key"] if record.get("key") else [])]),
        "entrysubtype": record["kind"],
        "venue": escaped(record.get("venue") or ""),
        "origdate": str(record.get("year") or ""),
        "eprintversion": str(record.get("arxiv_version") or ""),
        "links": " ".join(f"{name} {_verbatim(url)}" for name, url in (record.get("links") or {}).items()),
        "aliases": "; ".join(escaped(alias).replace(";", "{;}") for alias in record.get("aliases") or []),
        "keywords": ", ".join(record.get("topics") or []),
        "annotation": _paragraph(record.get("summary") or ""),
        "abstract": _paragraph(record.get("abstract") or ""),
    }


def _paragraph(text: str) -> str:
    """Text of several lines; one that begins like an entry must not be taken for one."""
    return re.sub(r"(?m)^(\s*)@", r"\1{@}", escaped(text))


def _author(name: str) -> str:
    return "{" + escaped(name) + "}" if is_literal(name) else escaped(name)


def _verbatim(value: str) -> str:
    """An address as it is: BibTeX only counts its braces."""
    return value.replace("{", "%7B").replace("}", "%7D")


def _written(entries: list[tuple[str, str, dict[str, str]]]) -> str:
    from bibtexparser.entrypoint import write_string
    from bibtexparser.library import Library
    from bibtexparser.model import Block, Entry, Field
    from bibtexparser.writer import BibtexFormat

    layout = BibtexFormat()
    layout.indent, layout.block_separator, layout.trailing_comma = _INDENT, "\n", False
    blocks: list[Block] = [
        Entry(kind, key, [Field(name, "{" + value + "}") for name, value in fields.items() if value])
        for key, kind, fields in entries
    ]
    return write_string(Library(blocks), unparse_stack=[], bibtex_format=layout)


def loads(text: str) -> Reading:
    """Every work of a BibTeX file, those that stand under one key included, and the entries that cannot be read."""
    found, unread = entries(text)
    works = []
    for one in found:
        carried = one.fields.get(whole.NAME)
        try:
            work = _work(one)
            works.append(work if carried is None else whole.restored(work, whole.from_plainest(carried)))
        except InvalidRecordError as error:
            unread.append(Unread(one.line, f"@{one.kind}{{{one.key}: {error.message}", refused=True))
    return Reading(works, unread)


def _work(one: BibEntry) -> Work:
    fields, text = one.fields, _Texts(one.fields, one.remarks)
    subtype, ident = fields.get("entrysubtype", ""), fields.get("ids", "")
    # In an export of ours `year` is that of the publication.
    ours = subtype in KINDS and bool(ident or fields.get(whole.NAME))
    author = fields.get("author") or (fields.get("editor") if one.kind in _EDITED else None) or ""
    authors, doubts = people(author)
    one.remarks += doubts
    found_arxiv, version = arxiv_in(fields)
    data: dict[str, Any] = {
        "id": (ident or None) if ours else None,
        "kind": subtype if ours else _KIND_OF_TYPE.get(one.kind, "paper"),
        "title": text.title() if ours else _unquoted(text.title()),
        "authors": [name for name in (_line(text.of("author", name)) for name in authors) if name],
        "year": _year(fields, one.remarks, ours=ours),
        "venue": _venue(fields, text),
        "publication": _publication(one, text, ours=ours),
        "key": one.key if not ours or "key" in fields.get("publication", "").split() else None,
        "arxiv": found_arxiv,
        "arxiv_version": version,
        "doi": _doi(fields.get("doi", "")),
        "links": _links(fields),
        "aliases": [_line(text.of("aliases", part)) for part in re.split(r"; ", fields.get("aliases", "")) if part],
        "topics": [word.strip() for word in re.split("[,;]", fields.get("keywords", "")) if word.strip()],
        "summary": text.of("annotation", fields.get("annotation", "")).strip(),
        "abstract": text.of("abstract", fields.get("abstract", "")).strip(),
    }
    dropped = (
        [] if ours else sorted(name for name in fields if name not in _KEPT and name not in text.used and fields[name])
    )
    if dropped:
        one.remarks.append(f"not kept: {', '.join(dropped)}")
    return Work(
        one.line, {name: value for name, value in data.items() if value}, tuple(dict.fromkeys(one.remarks)), ours=ours
    )


class _Texts:
    """The fields of an entry as text; one that the converter cannot read stays as its source, and is named."""

    def __init__(self, fields: Mapping[str, str], remarks: list[str]) -> None:
        self.fields, self.remarks, self.used = fields, remarks, set[str]()

    def of(self, name: str, value: str) -> str:
        """A value as text."""
        self.used.add(name)
        try:
            return plain(value) if value else ""
        except NotLatexError as error:
            self.remarks.append(f"{name}: left as its source, {error}")
            return value

    def line(self, name: str) -> str:
        """A field as text on one line; empty if the entry lacks it."""
        value = self.of(name, self.fields.get(name, ""))
        return _line(value) if value else ""

    def title(self) -> str:
        """Title and subtitle."""
        title, subtitle = self.line("title"), self.line("subtitle")
        return f"{title}: {subtitle}" if title and subtitle else title or subtitle


def _year(fields: Mapping[str, str], remarks: list[str], *, ours: bool) -> int | None:
    said = (fields.get("origdate") if ours else None) or fields.get("year") or fields.get("date") or ""
    year = re.search(r"\b(1[6-9]|20)\d\d\b", said)
    if year is None and said:
        remarks.append(f"no year in {said!r}")
    return int(year.group()) if year else None


def _venue(fields: Mapping[str, str], text: _Texts) -> str | None:
    """The first field that names one; an address is none."""
    for name in _VENUES:
        if fields.get(name) and not _address(fields[name]):
            return text.line(name)
    return None


def _doi(text: str) -> str | None:
    """The bare DOI as it is written: its case means nothing, but is somebody's choice."""
    text = text.strip()
    found = doi(text)
    return (text[-len(found) :] if text.lower().endswith(found) else found) if found else None


def _links(fields: Mapping[str, str]) -> dict[str, str]:
    """The links that an export wrote, or the addresses of somebody else's entry that say more than an identifier."""
    words = fields.get("links", "").split()
    if words:
        return dict(zip(words[::2], words[1::2], strict=False))
    links: dict[str, str] = {}
    for field, name in _ADDRESSES.items():
        url = _address(fields.get(field, ""))
        if url and arxiv_id(url) is None and doi(url) is None and url not in links.values():
            links[field if name in links else name] = url
    return links


def _address(value: str) -> str | None:
    """The web address that a field is, with or without its command."""
    value = value.strip()
    if not value.startswith(("http", "\\")):
        return None
    found = re.fullmatch(r"\\(?:url|href)\s*\{([^{}]*)\}.*", value, re.DOTALL)
    value = found[1].strip() if found else value
    value = value.replace(r"\_", "_").replace(r"\%", "%").replace(r"\&", "&").replace(r"\#", "#").replace(r"\~", "~")
    return value if re.match(r"https?://\S+$", value) else None


def _unquoted(title: str) -> str:
    """A title without the quotation marks that some databases put around all of it."""
    return title[1:-1].strip() if re.fullmatch(r'"[^"]+"', title) else title


def _line(value: str) -> str:
    return " ".join(value.split())
