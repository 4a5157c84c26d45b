"""What only several files show together: edges, cycles, and names that mean two things."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter

from kb_tools.errors import Problem
from kb_tools.records.fields import PAPER_KINDS
from kb_tools.records.reader import Document, Key
from kb_tools.records.reference import fold

EDGES = ("builds_on", "about", "cites")


def check_relations(documents: list[Document], topics: Document) -> Iterator[Problem]:
    """Problems between records, and between records and topics."""
    known = {document.path.stem: document for document in documents}
    records = {ident: document for ident, document in known.items() if document.data is not None}
    former = former_ids(known)
    for ident, document in records.items():
        yield from _edges(ident, document, known, former)
        yield from _topics_of(document, topics)
        yield from _repeated(document)
    yield from _filled(topics, known, former)
    yield from _cycles(records)
    yield from _clashes(records)
    yield from _same_file_twice(documents)


def former_ids(documents: Mapping[str, Document]) -> dict[str, str]:
    """Former id -> id, for every former id that no record has today."""
    return {
        old: ident
        for ident, document in documents.items()
        for old in document.strings("former_ids")
        if old not in documents
    }


def _edges(ident: str, document: Document, known: dict, former: dict[str, str]) -> Iterator[Problem]:
    for field in EDGES:
        for index, other in enumerate(document.strings(field)):
            if other == ident:
                yield _at(document, (field, index), "self", f"{field}: names the record itself", "delete it")
            elif other not in known:
                yield _unknown(document, (field, index), field, other, known, former)
            elif field != "cites" and known[other].string("kind") not in (*PAPER_KINDS, None):
                message = f"{field}: {other} is a {known[other].string('kind')}, not a paper"
                yield _at(document, (field, index), "edge", message, "name a paper, survey or tutorial")


def _unknown(document: Document, path: Key, field: str, other: str, known: dict, former: dict[str, str]) -> Problem:
    if other in former:
        return _at(
            document, path, "unknown-id", f"{field}: {other} is called {former[other]} now", f"write {former[other]}"
        )
    near = get_close_matches(other, known, n=1)
    fix = f"did you mean {near[0]}?" if near else "add the record, or delete the edge"
    return _at(document, path, "unknown-id", f"{field}: there is no record {other}", fix)


def _topics_of(document: Document, topics: Document) -> Iterator[Problem]:
    if topics.problems and topics.data is None:
        return  # that file is reported, and what it held cannot be known
    known = topics.data or {}
    for index, topic in enumerate(document.strings("topics")):
        if topic not in known:
            near = get_close_matches(topic, known, n=1)
            fix = f"did you mean {near[0]}?" if near else "add it to papers/topics.yaml"
            yield _at(document, ("topics", index), "unknown-topic", f"topics: there is no topic {topic}", fix)


def _filled(topics: Document, known: dict, former: dict[str, str]) -> Iterator[Problem]:
    for topic, value in (topics.data or {}).items():
        filled = value.get("filled_by") if isinstance(value, dict) else None
        for index, other in enumerate(filled if isinstance(filled, list) else []):
            if isinstance(other, str) and other not in known:
                yield _unknown(topics, (topic, "filled_by", index), f"{topic}.filled_by", other, known, former)


def _repeated(document: Document) -> Iterator[Problem]:
    # Not authors: two people of one name may have written a paper together.
    for field in (*EDGES, "topics", "aliases", "former_ids"):
        texts = document.strings(field)
        for index, text in enumerate(texts):
            if text in texts[:index]:
                yield _at(document, (field, index), "repeated", f"{field}: {text} stands twice", "delete one")


def _cycles(records: dict[str, Document]) -> Iterator[Problem]:
    """Every cycle of builds_on: one is found, one of its edges is set aside, and the search goes on."""
    edges = {
        ident: [need for need in document.strings("builds_on") if need in records and need != ident]
        for ident, document in sorted(records.items())
    }
    while True:
        try:
            TopologicalSorter(edges).prepare()
        except CycleError as error:
            backwards = error.args[1][:-1]
            start = backwards.index(min(backwards))
            # graphlib lists each node before the one that builds on it; said the other way round it reads "builds on".
            cycle = [backwards[start], *reversed(backwards[start + 1 :]), *reversed(backwards[:start])]
            ident, need = cycle[0], cycle[1 % len(cycle)]
            document = records[ident]
            index = document.strings("builds_on").index(need)
            words = " -> ".join([*cycle, cycle[0]])
            yield _at(
                document, ("builds_on", index), "cycle", f"builds_on: a cycle, {words}", "delete one of these edges"
            )
            edges[ident].remove(need)
        else:
            return


def _clashes(records: dict[str, Document]) -> Iterator[Problem]:
    """Names, arXiv ids and DOIs by which two records would be meant."""
    seen: dict[tuple, tuple[str, str]] = {}
    for ident in records:
        seen["name", True, fold(ident)] = seen["name", False, fold(ident)] = (ident, "id")
    for ident, document in sorted(records.items()):
        is_paper = document.string("kind") in PAPER_KINDS
        # A paper and its author's post may share a name: a reference to it is then answered with both ids.
        keys: list[tuple[tuple, str, Key]] = []
        for field in ("aliases", "former_ids"):
            for index, name in enumerate(document.strings(field)):
                keys.append((("name", is_paper, fold(name)), field, (field, index)))
        title = document.string("title")
        if title is not None:
            # Two people may choose one title: only the same title by the same first author is the same work.
            first_author = document.strings("authors")[:1]
            keys.append((("title", is_paper, fold(title), *first_author), "title", ("title",)))
        for field in ("arxiv", "doi"):
            value = document.string(field)
            if value is not None:
                keys.append(((field, is_paper, value.lower()), field, (field,)))
        if (cited := document.string("key")) is not None:
            keys.append((("key", True, cited), "key", ("key",)))
        for key, field, path in keys:
            other, where = seen.setdefault(key, (ident, field))
            if other != ident:
                code = "duplicate" if field in ("title", "arxiv", "doi") else "clash"
                message = f"{field}: the same as the {where} of {other}"
                fix = "delete one of the two records" if code == "duplicate" else "choose another name"
                yield _at(document, path, code, message, fix)


def _same_file_twice(documents: list[Document]) -> Iterator[Problem]:
    first: dict[str, Document] = {}
    for document in documents:
        other = first.setdefault(document.path.stem, document)
        if other is not document:
            place = other.path.parent.name
            message = f"id: {document.path.stem} is also a file in {place}/"
            yield _at(document, ("id",), "duplicate", message, "rename or delete one of the two")


def _at(document: Document, path: Key, code: str, message: str, fix: str) -> Problem:
    return Problem(document.path, *document.where(path), code, message, fix=fix)
