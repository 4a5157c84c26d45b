"""A new record from what a server says, and an old one brought up to date; a person's words are never touched."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from kb_tools.errors import InvalidRecordError
from kb_tools.records.index import Index
from kb_tools.records.layout import dump
from kb_tools.records.naming import arxiv_slug
from kb_tools.records.reader import Value, read_bytes
from kb_tools.records.reference import fold, year_of
from kb_tools.records.shapes import check_id
from kb_tools.records.store import Change, Collection
from kb_tools.records.validate import validate_record
from kb_tools.services import arxiv
from kb_tools.services.references import Reference
from kb_tools.services.upstream import Upstream

Data = dict[str, Value]

_STAND_IN = ("title", "authors", "year")
_STAND_IN_NOTE = "Title, authors and year come from "


def fields_of(work: Upstream, reference: Reference) -> Data:
    """The upstream fields of a new record; where arXiv did not speak for its own paper, the record says who did."""
    fields: Data = {
        "title": work.title,
        "authors": list(work.authors),
        "year": work.year or (year_of(reference.arxiv) if reference.arxiv else None),
        "venue": work.venue,
        "arxiv": work.arxiv or reference.arxiv,
        "arxiv_version": work.version,
        "doi": work.doi or reference.doi,
        "abstract": work.abstract,
        "withdrawn": work.withdrawn,
    }
    if work.service != arxiv.NAME:
        fields["notes"] = [f"{_STAND_IN_NOTE}{work.service}, {date.today().isoformat()}."]
        fields["unverified"] = list(_STAND_IN)
    return fields


def stub_fields(reference: Reference) -> Data:
    """All that an arXiv id says by itself; check reports the record until a refresh fills it."""
    ident = reference.arxiv or ""
    return {"title": f"arXiv:{ident}", "year": year_of(ident), "arxiv": ident, "unverified": ["title"]}


def stub_slug(reference: Reference) -> str:
    return arxiv_slug(reference.arxiv or "")


def refreshed(record: Mapping[str, Value], work: Upstream) -> Data:
    """Fields of a record that a server says differently, as they should be; nothing is ever emptied.

    A title or name that differs only in case or accents stays as it is, and so do a venue and a DOI that are there.
    Only arXiv may change what is there; another service fills what is absent.
    """
    stub = not record.get("authors")
    own = work.service == arxiv.NAME
    changes: Data = {}
    if (own or stub) and fold(str(record.get("title") or "")) != fold(work.title):
        changes["title"] = work.title
    names = strings(record, "authors")
    if (own or stub) and work.authors and [fold(name) for name in names] != [fold(name) for name in work.authors]:
        changes["authors"] = list(work.authors)
    for field, value in (("abstract", work.abstract), ("arxiv_version", work.version)):
        if value is not None and own and record.get(field) != value:
            changes[field] = value
    for field, value in (("venue", work.venue), ("doi", work.doi), ("year", work.year)):
        if value is not None and not record.get(field):
            changes[field] = value
    if work.withdrawn and not record.get("withdrawn"):
        changes["withdrawn"] = True
    if changes:
        changes["changed"] = date.today().isoformat()
    return changes | _confirmed(record, stub) if own else changes


def _confirmed(record: Mapping[str, Value], stub: bool) -> Data:
    """What a record said about its stand-in service, taken back once arXiv itself has spoken."""
    notes = [note for note in strings(record, "notes") if note.startswith(_STAND_IN_NOTE)]
    if not notes and not stub:
        return {}
    changes: Data = {"unverified": [field for field in strings(record, "unverified") if field not in _STAND_IN]}
    if notes:
        changes["notes"] = [note for note in strings(record, "notes") if note not in notes]
    return changes


def strings(record: Mapping[str, Value], field: str) -> list[str]:
    """The texts of a list; empty if there is none."""
    value = record.get(field)
    return [str(item) for item in value] if isinstance(value, list) else []


def new_record(collection: Collection, data: Data) -> Change:
    """The file of a new record, validated.  Raises InvalidRecordError that names each problem, for no file shows it."""
    path = collection.path_of(str(data["id"]), str(data["kind"]))
    document = read_bytes(path, dump(data).encode("utf-8", "replace"))
    validate_record(document)
    check_id(document)
    if document.problems:
        hint = "nothing was written for it"
        raise InvalidRecordError("\n".join(problem.message for problem in document.problems), hint=hint)
    return Change(path, None, document.text)


def same_work(index: Index, work: Upstream, reference: Reference) -> str | None:
    """The id of the record of this work: the same arXiv id or DOI, or the same title without another arXiv id."""
    keys = [reference.key]
    keys += [f"arxiv:{work.arxiv}"] if work.arxiv else []
    keys += [f"doi:{work.doi}"] if work.doi else []
    for _, ident in index.named(keys):
        return ident
    for _, ident in index.named([fold(work.title)]):
        record = index.record(ident)
        ours = work.arxiv or reference.arxiv
        if fold(record["title"]) == fold(work.title) and not (ours and record.get("arxiv") not in (None, ours)):
            return ident
    return None
