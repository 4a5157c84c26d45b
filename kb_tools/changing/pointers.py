"""Everything that names a record by its id: edges of other records, topics that it fills, works that it cites."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from kb_tools.records.edit import set_fields
from kb_tools.records.fields import OUTSIDE_FILE, TOPICS_FILE
from kb_tools.records.index import Index
from kb_tools.records.reader import Document, Value, read_file
from kb_tools.records.store import Change, Collection

EDGES = ("builds_on", "about", "cites")

Names = Mapping[str, str | None]  # id -> the id to write instead; None: nothing


class Pointer(NamedTuple):
    """One place that names a record: `id` is the record, or the name of the file, that holds it."""

    id: str
    field: str
    target: str

    def as_json(self) -> dict[str, str]:
        return self._asdict()


def names_of(index: Index, idents: Iterable[str]) -> list[str]:
    """The ids by which records are named: their own, and those that they once had."""
    wanted = list(dict.fromkeys(idents))
    former = [old for record in index.records() if record["id"] in wanted for old in record.get("former_ids") or []]
    return [*wanted, *former]


def pointers(
    collection: Collection, index: Index, targets: Iterable[str], *, among: Iterable[str] = ()
) -> list[Pointer]:
    """Who names one of `targets`, but for the records in `among`."""
    wanted, left_out = set(targets), set(among)
    found = [
        Pointer(record["id"], field, other)
        for record in index.records()
        if record["id"] not in left_out
        for field in EDGES
        for other in record.get(field) or []
        if other in wanted
    ]
    for name, field, idents in _elsewhere(collection):
        found += [Pointer(name, field, ident) for ident in idents if ident in wanted]
    return found


def repointed(collection: Collection, index: Index, names: Names, *, among: Iterable[str] = ()) -> list[Change]:
    """Every file that names an id of `names`, with what is to stand there instead; records in `among` are left out.

    An edge that would lead to the record itself goes, and so does one that stands there already.
    """
    left_out = set(among)
    changes = []
    for record in index.records():
        ident = record["id"]
        lists: dict[str, Value] = {
            field: replaced(record[field], names, ident)
            for field in EDGES
            if not names.keys().isdisjoint(record.get(field) or ())
        }
        if lists and ident not in left_out:
            document = collection.document(ident)
            changes.append(Change(document.path, document.text, set_fields(document, lists).text))
    return [*changes, *_topics_repointed(collection, names), *_outside_repointed(collection, names)]


def replaced(idents: Iterable[str], names: Names, own: str | None = None) -> list[Value]:
    """A list of ids with the new ones in place of the old, each once and never the record's own."""
    new = (names.get(ident, ident) for ident in idents)
    return list(dict.fromkeys(ident for ident in new if ident is not None and ident != own))


def _elsewhere(collection: Collection) -> list[tuple[str, str, list[str]]]:
    """(name of the file, field, ids) of every list of ids that stands in no record."""
    found = []
    for topic in (_readable(collection.papers / TOPICS_FILE).data or {}).values():
        if isinstance(topic, dict):
            found.append((TOPICS_FILE, "filled_by", texts(topic.get("filled_by"))))
    works = (_readable(collection.papers / OUTSIDE_FILE).data or {}).get("works")
    for work in works if isinstance(works, list) else ():
        if isinstance(work, dict):
            found.append((OUTSIDE_FILE, "cited_by", texts(work.get("cited_by"))))
    return found


def _topics_repointed(collection: Collection, names: Names) -> list[Change]:
    document = _readable(collection.papers / TOPICS_FILE)
    fields: dict[str, Value] = {}
    for ident, topic in (document.data or {}).items():
        filled = texts(topic.get("filled_by")) if isinstance(topic, dict) else []
        if isinstance(topic, dict) and not names.keys().isdisjoint(filled):
            kept = {name: value for name, value in topic.items() if name != "filled_by"}
            fields[ident] = {**kept, "filled_by": left} if (left := replaced(filled, names)) else kept
    if not fields:
        return []
    return [Change(document.path, document.text, set_fields(document, fields).text)]


def _outside_repointed(collection: Collection, names: Names) -> list[Change]:
    """Works that nobody cites any more go, and the file with the last of them."""
    document = _readable(collection.papers / OUTSIDE_FILE)
    works = (document.data or {}).get("works")
    left: list[Value] = []
    for work in works if isinstance(works, list) else ():
        if isinstance(work, dict) and not names.keys().isdisjoint(texts(work.get("cited_by"))):
            citing = replaced(texts(work.get("cited_by")), names)
            if not citing:
                continue
            work = {**work, "cited_by": citing}
        left.append(work)
    if left == (works or []):
        return []
    return [Change(document.path, document.text, set_fields(document, {"works": left}).text if left else None)]


def _readable(path: Path) -> Document:
    """A file as read; one that is not there, or cannot be used, holds nothing."""
    document = read_file(path) if path.exists() else Document(path, "")
    return document if not document.problems else Document(path, "")


def texts(value: Value) -> list[str]:
    """The texts of a list; empty for what is none."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
