"""BibTeX in both directions, parsed and laid out by bibtexparser.

An exported entry is what a paper cites plus, in fields that styles pass over, what the entry needs to come back as the
record it was: the id (`ids`, biblatex's aliases of a key), kind, venue as the record has it, year of the first version
(`origdate`; `year` is that of the publication), topics, links, aliases, summary and abstract.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from kb_tools.errors import InvalidRecordError
from kb_tools.exchange.latex import escaped, plain
from kb_tools.exchange.names import is_literal, people, split_bibtex
from kb_tools.exchange.venue import venue_of
from kb_tools.exchange.work import Data, Work, address
from kb_tools.records.fields import KINDS
from kb_tools.records.naming import family_word, title_words
from kb_tools.records.reference import arxiv_id, doi

if TYPE_CHECKING:
    from bibtexparser.model import Entry

# The fields of a record that an exported entry carries, and gives back unchanged.
CARRIED = (
    "id",
    "kind",
    "title",
    "authors",
    "year",
    "venue",
    "arxiv",
    "arxiv_version",
    "doi",
    "links",
    "aliases",
    "topics",
    "summary",
    "abstract",
)
_VENUES = (
    "venue",
    "journal",
    "journaltitle",
    "booktitle",
    "publisher",
    "school",
    "institution",
    "howpublished",
    "note",
)
_KIND_OF_TYPE = {"book": "textbook", "software": "code", "online": "webpage", "video": "video"}
_INDENT = "  "


def keys(records: Mapping[str, Data]) -> dict[str, str]:
    """id -> citation key: first author's family name, year, first word of weight in the title (ho2020denoising).

    Where two would be the same, the younger record's takes further words of its title.  Keys are given over a whole
    collection, so that they do not depend on what is exported.
    """
    given: dict[str, str] = {}
    for ident in sorted(records, key=lambda ident: (records[ident].get("year") or 9999, ident)):
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
    """Text of a BibTeX file from which `loads` gets back the carried fields of every record."""
    entries = [
        (citation_keys[ident], _type(record), _cited(record) | _own(record)) for ident, record in records.items()
    ]
    return _written(entries)


def _type(record: Data) -> str:
    """What kind of entry it is, in the types that every style knows."""
    if record["kind"] == "textbook":
        return "book"
    return {"conference": "inproceedings", "workshop": "inproceedings", "journal": "article"}.get(
        venue_of(record).kind, "misc"
    )


def _cited(record: Data) -> dict[str, str]:
    venue, kind = venue_of(record), _type(record)
    place = {"inproceedings": "booktitle", "article": "journal", "book": "publisher"}.get(kind, "note")
    return {
        "title": "{" + escaped(record["title"]) + "}",
        "author": " and ".join(_author(name) for name in record.get("authors") or []),
        place: escaped(venue.name),
        "volume": venue.volume,
        "number": venue.number,
        "pages": venue.pages.replace("-", "--"),
        "year": str(venue.year or record.get("year") or ""),
        "eprint": record.get("arxiv") or "",
        "archiveprefix": "arXiv" if record.get("arxiv") else "",
        "doi": _verbatim(record.get("doi") or ""),
        "url": _verbatim(address(record) or ""),
    }


def _own(record: Data) -> dict[str, str]:
    return {
        "ids": record["id"],
        "entrysubtype": record["kind"],
        "venue": escaped(record.get("venue") or ""),
        "origdate": str(record.get("year") or ""),
        "eprintversion": str(record.get("arxiv_version") or ""),
        "links": " ".join(f"{name} {_verbatim(url)}" for name, url in (record.get("links") or {}).items()),
        "aliases": "; ".join(escaped(alias).replace(";", "{;}") for alias in record.get("aliases") or []),
        "keywords": ", ".join(record.get("topics") or []),
        "annotation": escaped(record.get("summary") or ""),
        "abstract": escaped(record.get("abstract") or ""),
    }


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


def loads(text: str, name: str) -> list[Work]:
    """Every work of a BibTeX file, those that stand under one key included.

    Raises InvalidRecordError naming `name` and the place of every entry that cannot be read.
    """
    works = []
    for entry in _entries(text, name):
        fields: dict[str, str] = {}
        for field in entry.fields:
            fields.setdefault(field.key.lower(), str(field.value).strip())
        works.append(_work((entry.start_line or 0) + 1, entry.entry_type.lower(), fields))
    return works


def _entries(text: str, name: str) -> list[Entry]:
    """The entries with their enclosures gone and abbreviations (@string) written out."""
    import logging

    from bibtexparser.entrypoint import parse_string
    from bibtexparser.library import Library
    from bibtexparser.middlewares import default_parse_stack
    from bibtexparser.model import Entry, ParsingFailedBlock, String

    logging.getLogger("bibtexparser").setLevel(logging.CRITICAL)  # it logs what it also returns
    blocks, problems = [], []
    for number, block in enumerate(parse_string(text, parse_stack=[]).blocks):
        while isinstance(block, ParsingFailedBlock) and block.ignore_error_block:  # a key or field that stands twice
            block = block.ignore_error_block
        if isinstance(block, Entry):
            block.key = str(number)
            blocks.append(block)
        elif isinstance(block, String):
            blocks.append(block)
        elif isinstance(block, ParsingFailedBlock):
            problems.append(
                f"{name}:{(block.start_line or 0) + 1}: not a whole entry: {(block.raw or '').strip()[:60]}"
            )
    if problems:
        raise InvalidRecordError("\n".join(problems), hint="mend these entries, or take them out of the file")
    library = Library(blocks)
    for step in default_parse_stack():
        library = step.transform(library)
    return library.entries


def _work(line: int, kind: str, fields: Mapping[str, str]) -> Work:
    remarks = []
    authors, others = _people(fields.get("author") or fields.get("editor") or "")
    if others:
        remarks.append("not all authors are named")
    own = fields.get("entrysubtype") in KINDS  # an export of ours: `year` is that of the publication there
    said = (fields.get("origdate") if own else None) or fields.get("year") or fields.get("date") or ""
    year = re.search(r"\b(1[6-9]|20)\d\d\b", said)
    if year is None and said:
        remarks.append(f"no year in {said!r}")
    found_arxiv, version = _arxiv(fields)
    url = fields.get("url", "").removeprefix(r"\url{").rstrip("}")
    subtype = fields.get("entrysubtype", "")
    data: dict[str, Any] = {
        "id": fields.get("ids"),
        "kind": subtype if subtype in KINDS else _KIND_OF_TYPE.get(kind, "paper"),
        "title": _line(fields.get("title", "")),
        "authors": authors,
        "year": int(year.group()) if year else None,
        "venue": next((_line(fields[name]) for name in _VENUES if fields.get(name)), None),
        "arxiv": found_arxiv,
        "arxiv_version": version,
        "doi": _doi(fields.get("doi", "")),
        "links": _links(fields.get("links"), url),
        "aliases": [_line(part) for part in re.split(r"; ", fields["aliases"])] if fields.get("aliases") else [],
        "topics": [word.strip() for word in re.split("[,;]", fields.get("keywords", "")) if word.strip()],
        "summary": plain(fields.get("annotation", "")).strip(),
        "abstract": plain(fields.get("abstract", "")).strip(),
    }
    return Work(line, {name: value for name, value in data.items() if value}, tuple(remarks))


def _people(field: str) -> tuple[list[str], bool]:
    """Names as written on a paper, and whether more are meant."""
    if not field:
        return [], False
    names = people(" ".join(field.split()))
    found = [_line(split_bibtex(name).whole()) for name in names if name.lower() != "others"]
    return [name for name in found if name], len(found) < len(names)


def _arxiv(fields: Mapping[str, str]) -> tuple[str | None, int | None]:
    """arXiv id and version, wherever an entry keeps them: eprint, DOI, address, or journal `arXiv preprint ...`."""
    version = fields.get("eprintversion", "")
    places = [fields.get("doi", ""), fields.get("url", ""), *fields.get("journal", "").split()]
    if fields.get("archiveprefix", fields.get("eprinttype", "arxiv")).lower() == "arxiv":
        places.insert(0, fields.get("eprint", ""))
    for place in places:
        if found := arxiv_id(place):
            return found[0], int(version) if version.isdecimal() else found[1]
    return None, None


def _doi(text: str) -> str | None:
    """The bare DOI as it is written: its case means nothing, but is somebody's choice."""
    found = doi(text)
    return text.strip()[-len(found) :] if found else None


def _links(own: str | None, url: str) -> dict[str, str]:
    """The links that an export wrote, or the address of somebody else's entry if it says more than an identifier."""
    words = own.split() if own else []
    if words:
        return dict(zip(words[::2], words[1::2], strict=False))
    if re.match("https?://", url) and arxiv_id(url) is None and doi(url) is None:
        return {"home": url}
    return {}


def _line(value: str) -> str:
    return " ".join(plain(value).split())
