"""CSV in both directions: a row per work under a header, for spreadsheets, and as other programs save their lists.

Read are our own tables, which come back whole, and those of Zotero, Scopus, Google Scholar and Publish or Perish, or
any other whose header names its columns in such words.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from kb_tools.errors import InvalidRecordError
from kb_tools.exchange import whole
from kb_tools.exchange.arxiv_places import arxiv_in
from kb_tools.exchange.names import people
from kb_tools.exchange.work import Data, Reading, Unread, Work, address
from kb_tools.records.fields import KINDS, RECORD_FIELDS
from kb_tools.records.reference import arxiv_id, doi

_REST = whole.NAME  # the column of what the others do not say, for a program
COLUMNS: tuple[str, ...] = (
    "id",
    "kind",
    "title",
    "authors",
    "year",
    "venue",
    "arxiv",
    "doi",
    "url",
    "topics",
    "worth_reading",
    "status",
    "read_on",
    "why",
    "builds_on",
    "implementation",
    _REST,
)
_FORMULA = re.compile(r"'*[=+\-@]")
_LONGEST_CELL = 10_000_000  # letters; the reader's own limit is below what an abstract and all edges may take
_MOST_BROKEN = 100  # rows after which a file is given up: each costs a look at all that follows
# What programs call the columns, in lower case, the surest name first.
_HEADERS: dict[str, tuple[str, ...]] = {
    "title": ("title", "article title", "document title", "paper title", "paper"),
    "authors": ("author full names", "authors", "author", "author names", "author(s)", "creators"),
    "year": ("year", "publication year", "pub year", "date", "publication date", "published", "cover date"),
    "venue": (
        "venue",
        "publication title",
        "source title",
        "publication",
        "journal",
        "journal/book",
        "booktitle",
        "proceedings title",
        "conference name",
        "conference",
        "source",
    ),
    "arxiv": ("arxiv", "arxiv id", "arxivid", "arxiv_id", "eprint"),
    "doi": ("doi", "article doi"),
    "url": (
        "url",
        "link",
        "links",
        "articleurl",
        "article url",
        "address",
        "paper link",
        "paper url",
        "arxiv link",
    ),
    "pdf": ("pdf", "pdf link", "pdf url", "fulltexturl"),
    "code": ("code", "code link", "code url", "github", "repository"),
    "key": ("citation key", "citekey", "bibtex key", "citation_key"),
    "topics": ("topics", "topic", "keywords", "author keywords", "manual tags", "tags"),
    "abstract": ("abstract", "abstract note"),
    "summary": ("summary", "notes", "note"),
    "editor": ("editor", "editors"),
    "kind": ("kind", "item type", "document type", "entry type", "type"),
}
_PARTS: dict[str, tuple[str, ...]] = {
    "volume": ("volume",),
    "number": ("issue", "number"),
    "pages": ("pages",),
    "publisher": ("publisher",),
    "series": ("series",),
    "edition": ("edition",),
    "address": ("place",),
    "isbn": ("isbn",),
    "issn": ("issn",),
}
_ENDS = ("page start", "startpage", "start page"), ("page end", "endpage", "end page")
# How a program keeps and counts its rows, and nothing of the work.
_INNER = frozenset(
    [
        *("key", "date added", "date modified", "access date", "library catalog", "archive", "type", "source"),
        *("cites", "citesurl", "gsrank", "querydate", "citationurl", "ecc", "citesperyear", "citesperauthor"),
        *("authorcount", "age", "relatedurl", "author(s) id", "cited by", "eid", "publication stage", "page count"),
        *("num pages", "authors", "author", "year", "date", "publication year", "journal abbreviation", "short title"),
    ]
)
_OF_PERISH = frozenset({"gsrank", "articleurl", "citesurl"})
_OF_SCOPUS = frozenset({"eid", "author(s) id"})
_KINDS = {
    "book": "textbook",
    "computerprogram": "code",
    "software": "code",
    "webpage": "webpage",
    "web page": "webpage",
    "blogpost": "blog",
    "videorecording": "video",
}
_ENTRIES = {
    "journalarticle": "article",
    "article": "article",
    "review": "article",
    "conferencepaper": "inproceedings",
    "conference paper": "inproceedings",
    "booksection": "incollection",
    "book chapter": "incollection",
    "book": "book",
    "thesis": "phdthesis",
    "report": "techreport",
}
# Lines by which Zotero keeps what it has no column for.
_EXTRA_KEY = re.compile(r"(?im)^citation key:\s*(\S+)\s*$")
_EXTRA_KNOWN = re.compile(r"(?im)^(?:citation key|arxiv|eprint|version|publisher)\s*:.*$|^arxiv:\S+.*$")
_HINT = "its first line names the columns: title, authors, year, ..."


class _Row(NamedTuple):
    """A row by its first line, or why there is none."""

    line: int
    cells: list[str]
    broken: str = ""


def dumps(records: Mapping[str, Data]) -> str:
    """One row per record under a header; lists are joined by `; `.

    A cell that a spreadsheet would run as a formula gets an apostrophe before it.  The last column is for programs:
    what the others do not say, so that the same records come back.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in records.values():
        cells = {name: _cell(record.get(name)) for name in COLUMNS} | {"url": address(record) or ""}
        found = _ours(1, cells).fields
        writer.writerow((cells | {_REST: whole.text(whole.rest(record, found))}).values())
    return stream.getvalue()


def loads(text: str, name: str) -> Reading:
    """Every row of a table, by its line.  Raises InvalidRecordError if no column has a title."""
    limit = csv.field_size_limit(_LONGEST_CELL)
    try:
        return _read(_rows(text.removeprefix("\ufeff")), name)
    finally:
        csv.field_size_limit(limit)


def _rows(text: str) -> Iterator[_Row]:
    """The rows that hold anything; one that is broken costs the line that it begins on."""
    lines = list(io.StringIO(text, newline=""))
    begun = 0
    # Excel's own line for other programs.
    if lines and (said := re.fullmatch(r"sep=(.)", lines[0].strip("\r\n"))):
        begun, delimiter = 1, said[1]
    else:
        delimiter = max(",;\t", key=lines[0].count) if lines else ","
    for _ in range(_MOST_BROKEN):
        first = begun
        rows = csv.reader(lines[first:], delimiter=delimiter, strict=True)
        try:
            for cells in rows:
                if any(cell.strip() for cell in cells):
                    yield _Row(begun + 1, cells)
                begun = first + rows.line_num
            return
        except csv.Error as error:
            yield _Row(begun + 1, [], str(error))
            begun += 1
    yield _Row(begun + 1, [], f"and all below it: more than {_MOST_BROKEN} rows are broken")


def _read(rows: Iterator[_Row], name: str) -> Reading:
    top = next(rows, _Row(1, []))
    header = [" ".join(word.split()).lower() or f"column {place}" for place, word in enumerate(top.cells, 1)]
    header = [word if header.index(word) == place else f"{word} {place + 1}" for place, word in enumerate(header)]
    ours = _REST in header
    if top.broken or set(header).isdisjoint(_HEADERS["title"]):
        raise InvalidRecordError(f"{name}: {top.broken or 'no column is called title'}", hint=_HINT)
    works, unread = [], []
    for row in rows:
        try:
            works.append(_work_of(row, header, ours=ours))
        except InvalidRecordError as error:
            unread.append(Unread(row.line, f"the row {error.message}", refused=True))
    return Reading(works, unread)


def _work_of(row: _Row, header: list[str], *, ours: bool) -> Work:
    """The work of a row.  Raises InvalidRecordError that says what the row is."""
    if row.broken:
        raise InvalidRecordError(f"is no CSV: {row.broken}")
    counted = f"has {len(row.cells)} cells under {len(header)} names"
    if any(row.cells[len(header) :]) or (ours and len(row.cells) < len(header)):
        raise InvalidRecordError(counted)
    cells = {word: cell.strip() for word, cell in zip(header, row.cells, strict=False) if cell.strip()}
    if ours and cells.get(_REST):
        return whole.restored(_ours(row.line, cells), cells[_REST])
    # A row that somebody wrote under ours is a stranger's.
    work = _theirs(row.line, cells, frozenset(header))
    return work if len(row.cells) >= len(header) else work._replace(remarks=(f"the row {counted}", *work.remarks))


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        plain = all(";" not in one and one == one.strip() for one in value)
        text = "; ".join(value) if plain else json.dumps(value, ensure_ascii=False)
    else:
        text = str(value)
    return f"'{text}" if _FORMULA.match(text) else text


def _bare(cell: str) -> str:
    """A cell without the apostrophe that keeps it from being a formula."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _ours(line: int, cells: Mapping[str, str]) -> Work:
    """A row under our own names."""
    fields: dict[str, Any] = {}
    for name, cell in cells.items():
        text = _bare(cell.strip())
        shape = RECORD_FIELDS.get(name)
        if shape is None or not text:
            continue
        if shape is list:
            fields[name] = [part.strip() for part in text.split(";") if part.strip()]
        else:
            fields[name] = int(text) if shape is int and text.isdecimal() else text
    # A spreadsheet takes an arXiv id for a number and drops its last zeros; the address beside it has them.
    beside = arxiv_id(cells.get("url", ""))
    if beside and fields.get("arxiv") and beside[0].rstrip("0") == fields["arxiv"].rstrip("0"):
        fields["arxiv"] = beside[0]
    return Work(line, fields, ours=True)


def _theirs(line: int, cells: Mapping[str, str], header: frozenset[str]) -> Work:
    """A row that somebody else's program wrote."""
    used: set[str] = set()

    def of(names: tuple[str, ...]) -> str:
        found = next((name for name in names if cells.get(name)), "")
        used.add(found)
        return _bare(cells.get(found, ""))

    said = {name: of(columns) for name, columns in _HEADERS.items()}
    parts = {name: of(columns) for name, columns in _PARTS.items()}
    parts["pages"] = parts["pages"] or "-".join(page for page in map(of, _ENDS) if page)
    parts["pages"] = re.sub(r"\s*[-\u2013\u2014]+\s*", "-", parts["pages"])
    parts["editor"] = " and ".join(people(said["editor"].strip("; "))[0])
    kind = said["kind"].lower()
    parts["type"] = _ENTRIES.get(kind, "")
    if said["venue"].lower() == "scopus":
        said["venue"] = ""
    authors, doubts = _authors(said["authors"], header)
    extra = cells.get("extra", "")
    if key := _EXTRA_KEY.search(extra):
        said["key"] = said["key"] or key[1]
    if not _EXTRA_KNOWN.sub("", extra).strip():
        used.add("extra")
    arxiv, version = arxiv_in(
        {"arxiv": said["arxiv"], "archive_location": cells.get("archive location", "")}
        | {"archive": cells.get("archive", ""), "url": f"{said['url']} {said['pdf']}", "doi": said["doi"]}
        | {"journal": said["venue"], "number": parts["number"], "note": extra}
    )
    used.add("archive location" if arxiv and arxiv in cells.get("archive location", "") else "")
    if arxiv and arxiv in parts["number"]:
        parts["number"] = ""
    year = re.search(r"\b(1[6-9]|20)\d\d\b", said["year"])
    if said["year"] and not year:
        doubts = [*doubts, f"no year in {said['year']!r}"]
    fields = {
        "kind": _KINDS.get(kind, kind if kind in KINDS else "paper"),
        "title": said["title"],
        "authors": authors,
        "year": int(year.group()) if year else None,
        "venue": said["venue"] or parts["publisher"],
        "publication": {name: value for name, value in parts.items() if value},
        "key": said["key"],
        "arxiv": arxiv,
        "arxiv_version": version,
        "doi": doi(said["doi"]) or next((found for url in _urls(said["url"]) if (found := doi(url))), None),
        "links": _links(said),
        "topics": _keywords(said["topics"]),
        "summary": said["summary"],
        "abstract": said["abstract"],
        "why": of(("why",)),
        "status": of(("status",)).lower(),
        "worth_reading": int(wr) if (wr := of(("worth_reading", "wr"))).isdecimal() else None,
    }
    dropped = sorted(set(cells) - used - _INNER)
    remarks = [*doubts, *([f"not kept: {', '.join(dropped)}"] if dropped else [])]
    return Work(line, {name: value for name, value in fields.items() if value}, tuple(remarks))


def _authors(text: str, header: frozenset[str]) -> tuple[list[str], list[str]]:
    """Names as they are written on a paper, and what is not certain about them."""
    text = text.strip("; ")
    if header & _OF_PERISH:  # J Ho, A Jain, ...
        more = re.search(r"(?:\.\.\.|\u2026)\s*$", text)
        names = [name.strip(" .\u2026") for name in text.split(",")]
        return [name for name in names if name], ["not all authors are named"] if more else []
    if header & _OF_SCOPUS:  # Ho J.; Jain A., or the names in full with numbers
        text = re.sub(r"\s*\(\d+\)", "", text)
        text = re.sub(r"(?<=[A-Z]\.), (?=\w[^;,]* (?:[A-Z]\.-?)+(?:,|;|$))", "; ", text)
        text = re.sub(r"(?:^|(?<=; ))([^;,]*[^;,\s]) ((?:[A-Z]\.-?)+)(?=;|$)", r"\1, \2", text)
    return people(re.sub(r"\s*[;|]\s*", "; ", text))


def _urls(text: str) -> list[str]:
    return [url for url in re.split(r"[;|\s]+", text) if url]


def _links(said: Mapping[str, str]) -> dict[str, str]:
    """The addresses of a row that say more than an identifier."""
    links: dict[str, str] = {}
    for name, place in (("home", "url"), ("pdf", "pdf"), ("code", "code")):
        for url in _urls(said[place]):
            if arxiv_id(url) is None and doi(url) is None and url not in links.values():
                links[f"{name}-{len(links)}" if name in links else name] = url
    return links


def _keywords(text: str) -> list[str]:
    """Words joined by semicolons, or by commas where there are none."""
    return [word.strip() for word in text.split(";" if ";" in text else ",") if word.strip()]
