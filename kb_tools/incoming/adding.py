"""What a server says, as fields of a record, new or brought up to date; a person's words are never touched."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from kb_tools.errors import InvalidRecordError
from kb_tools.exchange.cleaning import clean
from kb_tools.exchange.work import Asked, Work
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
    arxiv_id = work.arxiv or reference.arxiv
    fields = _said(work) | {"arxiv": arxiv_id, "doi": work.doi or reference.doi}
    if reference.page and not arxiv_id and not fields["doi"]:
        fields["links"] = {"home": reference.page}
    if arxiv_id and not work.year:
        fields["year"] = year_of(arxiv_id)
    if work.service != arxiv.NAME:
        fields["notes"] = [f"{_STAND_IN_NOTE}{work.service}, {date.today().isoformat()}."]
        fields["unverified"] = list(_STAND_IN)
    return fields


def _said(work: Upstream) -> Data:
    """What a service says, under a record's names; what it does not say is absent."""
    fields: Data = {
        "title": work.title,
        "authors": list(work.authors),
        "year": work.year,
        "venue": work.venue,
        "arxiv": work.arxiv,
        "arxiv_version": work.version,
        "doi": work.doi,
        "abstract": work.abstract,
        "withdrawn": work.withdrawn,
    }
    return {name: value for name, value in fields.items() if value}


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
    said = clean(Work(1, _said(work), asked=Asked(work.title))).fields
    stub = not record.get("authors")
    own = work.service == arxiv.NAME
    changes: Data = {}
    if (own or stub) and "title" in said and fold(str(record.get("title") or "")) != fold(said["title"]):
        changes["title"] = said["title"]
    names, authors = strings(record, "authors"), strings(said, "authors")
    if (own or stub) and authors and [fold(name) for name in names] != [fold(name) for name in authors]:
        changes["authors"] = list(authors)
    for field in ("abstract", "arxiv_version"):
        if field in said and own and record.get(field) != said[field]:
            changes[field] = said[field]
    for field in ("venue", "doi", "year"):
        if field in said and not record.get(field):
            changes[field] = said[field]
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
    return Change(path, None, document.text, sound=True)
