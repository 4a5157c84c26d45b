"""Records that could be one work, and making one record of two."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple

from kb_tools.changing.notes import moved_notes
from kb_tools.changing.pointers import EDGES, names_of, replaced, repointed, texts
from kb_tools.changing.removing import code_of
from kb_tools.changing.setting import path_between
from kb_tools.errors import ConflictError, UsageError
from kb_tools.exchange.matching import Known, identifiers
from kb_tools.records.edit import set_fields
from kb_tools.records.fields import PAPER_KINDS
from kb_tools.records.index import Index
from kb_tools.records.reader import Value
from kb_tools.records.reference import fold
from kb_tools.records.store import Change, Collection

_JOINED = ("aliases", "former_ids", "topics", *EDGES, "sources", "corrections", "notes")
_PARTS = ("links", "publication")
# Fields that say nothing without the first of them, or contradict it.
_TOGETHER = (
    ("arxiv", "arxiv_version"),
    ("worth_reading", "worth_reading_by"),
    ("status", "read_on"),
    ("equations", "equations_from"),
    ("cites", "cites_source"),
)
_APART = frozenset({"id", "kind", "added", "changed", "unverified", *_JOINED, *_PARTS})
_LONGEST_ALIAS = 500


class Pair(NamedTuple):
    """Two records that could be one work.  sure: whether an import would take one for the other."""

    keep: str
    other: str
    why: str
    sure: bool


class Merge(NamedTuple):
    """What making one record of two writes, and what of the second is in no file afterwards: field -> value."""

    changes: list[Change]
    lost: dict[str, Value]


def pairs(index: Index) -> list[Pair]:
    """Every pair that could be one work, by the rules of an import, which see arXiv id, DOI, address, title and alias.

    The record that has code, or came first, is named first.
    """
    records = sorted(
        index.records(),
        key=lambda record: (not record.get("implementation"), record.get("added") or "9999", record["id"]),
    )
    by_id = {record["id"]: record for record in records}
    known = Known([])
    found = []
    for record in records:
        seen = known.find(record, ours=True)
        maybe = [ident for ident in seen.maybe if ident != seen.id]
        for ident in [seen.id, *maybe] if seen.id else maybe:
            found.append(Pair(ident, record["id"], _why(by_id[ident], record), ident == seen.id))
        known.add(record)
    return sorted(found, key=lambda pair: (not pair.sure, pair.keep, pair.other))


def _why(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """What two records share."""
    shared = [
        f"{name} {first}"
        for name, first, second in zip(("arXiv id", "DOI"), identifiers(one), identifiers(other), strict=True)
        if first and first == second
    ]
    addresses = set((one.get("links") or {}).values()) & set((other.get("links") or {}).values())
    shared += [f"address {address}" for address in sorted(addresses)]
    if fold(one["title"]) == fold(other["title"]):
        shared.append("title")
    elif {fold(name) for name in _names(one)} & {fold(name) for name in _names(other)}:
        shared.append("name")
    return f"the same {', '.join(shared)}" if shared else "much the same title"


def _names(record: Mapping[str, Any]) -> list[str]:
    return [record["id"], record["title"], *(record.get("former_ids") or []), *(record.get("aliases") or [])]


def merge(collection: Collection, index: Index, keep: str, other: str, *, drop_identifiers: bool = False) -> Merge:
    """The changes that make one record of two: `other` goes, and all that leads to it leads to `keep`.

    What `keep` says stays, what it does not say is taken from the other, lists are joined.  The other id becomes a
    former id, its title and citation key become aliases.  drop_identifiers: give up the other's arXiv id and DOI
    where they contradict.  Raises UsageError for one record twice, ConflictError for what cannot be one.
    """
    if keep == other:
        raise UsageError(f"{keep} and {other} are one record already", hint="name two records")
    first, second = index.record(keep), index.record(other)
    _check(collection, first, second, drop_identifiers=drop_identifiers)
    names = dict.fromkeys(names_of(index, [other]), keep)
    if drop_identifiers:
        said = {name: value for name, value in second.items() if name not in ("arxiv", "arxiv_version", "doi")}
        fields = _joined(first, said, names)
    else:
        fields = _joined(first, second, names)
    _check_cycle(index, keep, other, fields)
    document = collection.document(keep)
    gone = collection.document(other)
    changes = [
        Change(document.path, document.text, set_fields(document, fields).text),
        Change(gone.path, gone.text, None),
        *moved_notes(collection, other, keep),
        *repointed(collection, index, names, among=[keep, other]),
    ]
    return Merge(changes, _lost(first | fields, second))


def _check(collection: Collection, first: Mapping, second: Mapping, *, drop_identifiers: bool) -> None:
    keep, other = first["id"], second["id"]
    if (first["kind"] in PAPER_KINDS) != (second["kind"] in PAPER_KINDS):
        raise ConflictError(
            f"{keep} is a {first['kind']} and {other} a {second['kind']}: they are two works",
            hint=f"if one of them is wrong, change it first: kb set {other} kind={first['kind']}",
        )
    pairs_of = zip(("arXiv ids", "DOIs"), identifiers(first), identifiers(second), strict=True)
    against = [f"{name} {one} and {two}" for name, one, two in pairs_of if one and two and one != two]
    if against and not drop_identifiers:
        raise ConflictError(
            f"{keep} and {other} have different {' and different '.join(against)}: they are two works",
            hint=f"if those of {other} are wrong, --drop-identifiers gives them up",
        )
    if code := code_of(collection, other):
        files = ", ".join(path.relative_to(collection.root).as_posix() for path in code)
        both = "both have code" if code_of(collection, keep) else f"name them the other way round: {other} {keep}"
        raise ConflictError(f"{other} is a method, and its code shares its name: {files}", hint=both)


def _joined(first: Mapping[str, Any], second: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Value]:
    """The fields of the first that change."""
    fields: dict[str, Value] = {}
    for head, *rest in _TOGETHER:
        if _absent(first, head) and not _absent(second, head):
            fields |= {name: second.get(name) for name in (head, *rest)}
    tied = {name for group in _TOGETHER for name in group}
    fields |= {
        name: value
        for name, value in second.items()
        if name not in tied | _APART and _absent(first, name) and not _absent(second, name)
    }
    taken = {name for name in fields if _absent(first, name)}
    for name in _PARTS:
        fields[name] = {**(second.get(name) or {}), **(first.get(name) or {})}
    for name in _JOINED:
        both = [*(first.get(name) or []), *(second.get(name) or [])]
        fields[name] = [item for place, item in enumerate(both) if item not in both[:place]]
    for name in EDGES:
        fields[name] = replaced(texts(fields[name]), names, first["id"])
    former: dict[str, None] = dict.fromkeys([*texts(fields["former_ids"]), second["id"]])
    fields["former_ids"] = [*former]
    fields["aliases"] = _aliases(first, second)
    doubtful = [name for name in second.get("unverified") or [] if name in taken]
    unverified: dict[str, None] = dict.fromkeys([*(first.get("unverified") or []), *doubtful])
    fields["unverified"] = [*unverified]
    days = [record["added"] for record in (first, second) if record.get("added")]
    fields["added"] = min(days) if days else None
    fields["changed"] = date.today().isoformat()
    return fields


def _absent(record: Mapping[str, Any], name: str) -> bool:
    value = record.get(name)
    return value in (None, "", [], {}, False) or (name == "status" and value == "unread")


def _aliases(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Value]:
    """All names of both but what the joined record is called anyway."""
    own = first.get("aliases") or []
    names = [*(second.get("aliases") or []), second["title"]]
    if first.get("key") and second.get("key"):
        names.append(second["key"])
    seen = {fold(first["title"]), fold(first["id"]), fold(first.get("key") or ""), *map(fold, own)}
    found: list[Value] = [*own]
    for name in names:
        if fold(name) not in seen and len(name) <= _LONGEST_ALIAS:
            found.append(name)
            seen.add(fold(name))
    return found


def _check_cycle(index: Index, keep: str, other: str, fields: Mapping[str, Value]) -> None:
    edges = {
        entry.id: [keep if need == other else need for need in entry.builds_on]
        for entry in index.entries()
        if entry.id != other
    }
    edges[keep] = texts(fields["builds_on"])
    for need in edges[keep]:
        if way := path_between(edges, need, keep):
            words = " -> ".join([keep, *way])
            raise ConflictError(f"as one record they would close a cycle of builds_on, {words}", hint="delete an edge")


def _lost(joined: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Value]:
    """What the second says and the joined record does not."""
    names = [fold(name) for name in joined.get("aliases") or []]
    return {
        name: value
        for name, value in second.items()
        if name not in ("id", "added", "changed", "unverified", *_JOINED)
        and not _absent(second, name)
        and joined.get(name) != value
        and not (name in ("title", "key") and (fold(value) in names or fold(value) == fold(joined.get(name) or "")))
        and not (name in _PARTS and value.items() <= (joined.get(name) or {}).items())
    }
