"""Fields of a record set from words such as `wr=2`, `topics+=sampling`, `links.code=https://...`.

The words are understood here, held against the collection, and turned into the fields to write; the model has the last
word when these are written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from typing import NamedTuple

from kb_tools.changing.pointers import EDGES, pointers, texts
from kb_tools.errors import ConflictError, NotFoundError, UsageError
from kb_tools.records.edit import set_fields
from kb_tools.records.fields import PAPER_KINDS, PUBLICATION_FIELDS, RECORD_FIELDS, STATUSES
from kb_tools.records.index import Index
from kb_tools.records.layout import canonical
from kb_tools.records.reader import Value
from kb_tools.records.reference import arxiv_id, doi, fold, impossible
from kb_tools.records.store import Change, Collection

_WORD = re.compile(r"([A-Za-z_]+)(?:\.([A-Za-z0-9_-]+))?(\+=|-=|=)(.*)", re.DOTALL)
_SHORT = (
    {"wr": "worth_reading"}
    | {one: f"{one}s" for one in ("topic", "author", "cite", "note", "link", "correction")}
    | {"alias": "aliases"}
)
# Fields that are more than a word or a list of words, or that other commands keep in step with the rest.
_ELSEWHERE = {
    "id": "`kb mv` gives a record another id",
    "former_ids": "`kb mv` keeps them",
    "abstract": "`kb refresh` takes it from arXiv, and `kb edit` changes it by hand",
    **dict.fromkeys(("equations", "algorithms", "symbols", "sources"), "`kb edit` changes it"),
}
# What says nothing new about a work: marks, names, and where it stands among the others.
_UNDATED = frozenset({"status", "read_on", "worth_reading", "worth_reading_by", "topics", "aliases", "key", *EDGES})
_DATES = ("added", "changed")
# What no two records share.
_OWN = frozenset({"title", "aliases", "key", "arxiv", "doi"})


class Assignment(NamedTuple):
    """One word: the field, the part of it (`links.pdf`), the sign (=, += or -=), and the value as it was written."""

    field: str
    part: str | None
    sign: str
    value: str

    @property
    def name(self) -> str:
        return f"{self.field}.{self.part}" if self.part else self.field


def assignments(words: Iterable[str]) -> tuple[list[str], list[Assignment]]:
    """Words without an assignment, which name records, and the assignments.  Raises UsageError for an unknown field."""
    others: list[str] = []
    found: list[Assignment] = []
    for word in words:
        match = _WORD.fullmatch(word)
        if match is None:
            others.append(word)
        else:
            found.append(_checked(match[1], match[2], match[3], match[4].strip()))
    return others, found


def _checked(written: str, part: str | None, sign: str, value: str) -> Assignment:
    field = _SHORT.get(written, written)
    if field in _ELSEWHERE:
        raise UsageError(f"{written} is not set here", hint=_ELSEWHERE[field])
    shape = RECORD_FIELDS.get(field)
    if shape is None:
        names = [name for name in (*RECORD_FIELDS, *_SHORT) if name not in _ELSEWHERE]
        near = get_close_matches(written.lower(), names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"fields are {', '.join(names)}"
        raise UsageError(f"a record has no field {written!r}", hint=hint)
    if part is not None and shape is not dict:
        raise UsageError(f"{field} has no parts", hint=f"write {written}{sign}...")
    if shape is dict and (part is None or sign == "+="):
        example = "links.pdf=https://..." if field == "links" else "publication.volume=3"
        raise UsageError(f"{field} is set part by part", hint=f"as in {example}; an empty value takes it away")
    if field == "publication" and part not in PUBLICATION_FIELDS:
        near = get_close_matches(str(part), PUBLICATION_FIELDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"parts are {', '.join(PUBLICATION_FIELDS)}"
        raise UsageError(f"publication has no part {part!r}", hint=hint)
    if shape not in (list, dict) and sign != "=":
        raise UsageError(f"{field} holds one value", hint=f"write {written}={value}; only lists know += and -=")
    if sign != "=" and not value:
        raise UsageError(f"{written}{sign} names nothing", hint=f"write {written}{sign}VALUE")
    return Assignment(field, part, sign, value)


def setting(collection: Collection, index: Index, idents: Iterable[str], given: Sequence[Assignment]) -> list[Change]:
    """The changes that set fields of records; a record that becomes another kind may move to another folder.

    Raises what `new_fields` raises, and UsageError for a value that the model refuses.
    """
    from kb_tools.records.validate import validate_record

    idents = list(idents)
    changes: list[Change] = []
    alone = [one.name for one in given if one.field in _OWN and one.value and one.sign != "-="]
    if alone and len(idents) > 1:
        raise UsageError(f"{alone[0]} is of one record, and {len(idents)} are named", hint="set them one at a time")
    for ident in idents:
        document = collection.document(ident)
        record = document.require()
        edited = set_fields(document, new_fields(collection, index, record, given))
        validate_record(edited)
        if edited.problems:
            problem = edited.problems[0]
            raise UsageError(f"{ident}: {problem.message}", hint=problem.fix)
        path = collection.path_of(ident, str(edited.require()["kind"]))
        if path.parent == document.path.parent:
            changes.append(Change(document.path, document.text, edited.text))
            continue
        held = [one for one in pointers(collection, index, [ident]) if one.field in ("builds_on", "about")]
        if held and path.parent != collection.papers:
            where = ", ".join(f"{one.id} ({one.field})" for one in held)
            raise UsageError(f"kind: {ident} is named as a paper by {where}", hint="take these edges away first")
        # The schema is named from the folder, so the whole file is laid out again.
        changes += [Change(document.path, document.text, None), Change(path, None, canonical(edited))]
    return [change for change in changes if change.before != change.after]


def new_fields(
    collection: Collection, index: Index, record: Mapping[str, Value], given: Sequence[Assignment]
) -> dict[str, Value]:
    """The fields of a record that change, as they should be (None: absent).

    Raises UsageError for a value that cannot be meant, NotFoundError for an id that no record has, and ConflictError
    for a name or an identifier that another record has.
    """
    meant: dict[str, Value] = {}
    for one in given:
        now = meant.get(one.field, record.get(one.field))
        meant[one.field] = _value(collection, index, record, one, now)
    _check_edges(index, record, meant)
    _check_names(index, record, meant)
    _complete(record, meant)
    changed = {name: value for name, value in meant.items() if (value or None) != (record.get(name) or None)}
    if changed.keys() - _UNDATED - set(_DATES) and "changed" not in meant:
        changed["changed"] = date.today().isoformat()
    return changed


def _value(collection: Collection, index: Index, record: Mapping, one: Assignment, now: Value) -> Value:
    shape = RECORD_FIELDS[one.field]
    if shape is dict:
        left = {key: value for key, value in (now if isinstance(now, dict) else {}).items() if key != one.part}
        return left | ({str(one.part): one.value} if one.value and one.sign == "=" else {})
    if shape is list:
        return _list(collection, index, record, one, now)
    if not one.value:
        return None
    if shape is int:
        if not re.fullmatch(r"-?\d{1,9}", one.value):
            raise UsageError(f"{one.name}: {one.value!r} is no whole number", hint=f"as in {one.name}=2")
        return int(one.value)
    if shape is bool:
        if one.value not in ("true", "false", "yes", "no"):
            raise UsageError(f"{one.name}: {one.value!r} is neither true nor false", hint=f"{one.name}=true")
        return one.value in ("true", "yes")
    return _text(one)


def _text(one: Assignment) -> str:
    if one.field == "arxiv":
        found = arxiv_id(one.value)
        reason = impossible(found[0]) if found else "write it as in arxiv=2006.11239"
        if found is None or reason:
            raise UsageError(f"arxiv: {one.value!r} is no arXiv id", hint=reason)
        return found[0]
    if one.field == "doi":
        return doi(one.value) or one.value
    if one.field == "status" and one.value not in STATUSES:
        near = get_close_matches(one.value, STATUSES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"a status is {', '.join(STATUSES)}"
        raise UsageError(f"status: there is no status {one.value!r}", hint=hint)
    if one.field in ("read_on", *_DATES):
        try:
            date.fromisoformat(one.value)
        except ValueError:
            raise UsageError(f"{one.field}: {one.value!r} is no date", hint="write it as 2026-11-21") from None
    return one.value


def _list(collection: Collection, index: Index, record: Mapping, one: Assignment, now: Value) -> Value:
    old = [str(item) for item in now] if isinstance(now, list) else []
    split = one.field in (*EDGES, "topics", "unverified")
    named = [item.strip() for item in one.value.split(",")] if split else [one.value]
    named = [item for item in named if item]
    if one.sign == "-=":
        gone = [_present(collection, index, one.field, item, old) for item in named]
        return [item for item in old if item not in gone]
    if one.field in EDGES:
        named = [collection.resolve(item, index) for item in named]
    elif one.field == "topics":
        _check_topics(named, index)
    kept = old if one.sign == "+=" else []
    return list(dict.fromkeys([*kept, *named])) if one.field != "authors" else [*kept, *named]


def _present(collection: Collection, index: Index, field: str, item: str, old: list[str]) -> str:
    """What of a list is meant; a record by any of its names, a text without regard to case and accents."""
    if item in old:
        return item
    for text in old:
        if fold(text) == fold(item):
            return text
    if field in EDGES:
        try:
            return collection.resolve(item, index)
        except NotFoundError:
            pass
    known = [*old, *(index.topics() if field == "topics" else ())]
    if item in known:
        return item
    near = get_close_matches(item, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(old) or 'none'}"
    raise UsageError(f"{field}: there is no {item!r} to take away", hint=hint)


def _check_topics(named: Iterable[str], index: Index) -> None:
    known = index.topics()
    for topic in named:
        if topic not in known:
            near = get_close_matches(topic, known, n=1)
            every = f"topics are {', '.join(known)}; `kb topics add` makes a new one"
            hint = f"did you mean {near[0]}?" if near else every
            raise UsageError(f"topics: there is no topic {topic!r}", hint=hint)


def _check_edges(index: Index, record: Mapping, meant: Mapping[str, Value]) -> None:
    own, entries = str(record["id"]), {entry.id: entry for entry in index.entries()}
    for field in meant.keys() & set(EDGES):
        for other in set(texts(meant.get(field))) - set(texts(record.get(field))):
            if other == own:
                raise UsageError(f"{field}: {own} cannot name itself", hint="name another record")
            if field != "cites" and other in entries and entries[other].kind not in PAPER_KINDS:
                kind = entries[other].kind
                raise UsageError(f"{field}: {other} is a {kind}, not a paper", hint="name a paper, survey or tutorial")
    edges = {entry.id: entry.builds_on for entry in entries.values()}
    for need in set(texts(meant.get("builds_on"))) - set(texts(record.get("builds_on"))):
        way = path_between(edges, need, own)
        if way:
            words = " -> ".join([own, *way])
            raise UsageError(f"builds_on: {need} would close a cycle, {words}", hint="leave one of these edges out")


def path_between(edges: Mapping[str, Sequence[str]], start: str, goal: str) -> list[str]:
    """A way along the edges, both ends included; empty if there is none."""
    ways = {start: [start]}
    todo = [start]
    while todo:
        here = todo.pop()
        if here == goal:
            return ways[here]
        for there in edges.get(here, ()):
            if there not in ways:
                ways[there] = [*ways[here], there]
                todo.append(there)
    return []


def _check_names(index: Index, record: Mapping, meant: Mapping[str, Value]) -> None:
    """Nobody else may answer to a new alias, citation key, arXiv id or DOI; a paper and its author's post may share."""
    new = [
        (f"alias {name}", fold(name)) for name in set(texts(meant.get("aliases"))) - set(texts(record.get("aliases")))
    ]
    for field, key in (("key", "{}"), ("arxiv", "arxiv:{}"), ("doi", "doi:{}")):
        if (value := meant.get(field)) and value != record.get(field):
            text = fold(str(value)) if field == "key" else str(value).lower()
            new.append((f"{field} {value}", key.format(text)))
    kinds = {entry.id: entry.kind in PAPER_KINDS for entry in index.entries()}
    for says, key in new:
        for _, other in index.named([key]):
            if other != record["id"] and (kinds[other] == kinds.get(str(record["id"])) or says.startswith("key ")):
                raise ConflictError(f"{says}: {other} is called so already", hint=f"see `kb show {other}`")


def _complete(record: Mapping, meant: dict[str, Value]) -> None:
    """What must stand beside a field that was set: whose score it is, and the day of a mark."""
    if "worth_reading" in meant and "worth_reading_by" not in meant:
        # A score that somebody else gave is no longer theirs once it is another.
        same = meant["worth_reading"] == record.get("worth_reading") and record.get("worth_reading_by")
        meant["worth_reading_by"] = (same or "editors") if meant["worth_reading"] else None
    if "status" in meant and "read_on" not in meant and meant["status"] != (record.get("status") or "unread"):
        meant["read_on"] = None if meant["status"] in (None, "unread") else date.today().isoformat()
    if meant.get("cites") and not (meant.get("cites_source") or record.get("cites_source")):
        raise UsageError("cites: nothing says where the list was read", hint='add cites_source="the paper"')
