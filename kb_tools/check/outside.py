"""outside.yaml held against the records: who cites what is none of ours."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from kb_tools.errors import Problem
from kb_tools.records.reader import Document, Key
from kb_tools.records.reference import fold
from kb_tools.records.validate import validate_outside


def check_outside(outside: Document, documents: list[Document]) -> Iterator[Problem]:
    """Problems of the model go to the document; unknown ids, repeated works and works that are records are yielded."""
    works = validate_outside(outside)
    if works is None:
        return
    known = [document.path.stem for document in documents]
    names = {name: ident for document in documents for name, ident in _names_of(document)}
    for index, work in enumerate(works.works):
        path: Key = ("works", index)
        for name in _names(work.title, work.arxiv, work.doi):
            other = names.setdefault(name, "")
            if other:
                fix = f"`kb check --fix` deletes it here, and adds {other} to cites of the records that name it"
                yield _at(outside, path, "duplicate", f"{work.title}: is the record {other}", fix)
                break
            if names.setdefault(f"seen {name}", str(index)) != str(index):
                yield _at(outside, path, "repeated", f"{work.title}: stands twice", "join the two")
                break
        for place, ident in enumerate(work.cited_by):
            if ident not in known:
                near = get_close_matches(ident, known, n=1)
                fix = f"did you mean {near[0]}?" if near else "delete it"
                message = f"cited_by: there is no record {ident}"
                yield _at(outside, (*path, "cited_by", place), "unknown-id", message, fix)
            if ident in work.cited_by[:place]:
                message = f"cited_by: {ident} stands twice"
                yield _at(outside, (*path, "cited_by", place), "repeated", message, "delete one")


def become_records(outside: Document, documents: list[Document]) -> list[tuple[int, str]]:
    """Works of outside.yaml that are records by now: their places in the list, and the ids."""
    works = validate_outside(outside)
    names = {name: ident for document in documents for name, ident in _names_of(document)}
    found = []
    for place, work in enumerate(works.works if works else ()):
        known = [names[name] for name in _names(work.title, work.arxiv, work.doi) if name in names]
        if known:
            found.append((place, known[0]))
    return found


def _names_of(document: Document) -> Iterator[tuple[str, str]]:
    title = document.string("title")
    if title is not None:
        for name in _names(title, document.string("arxiv"), document.string("doi")):
            yield name, document.path.stem


def _names(title: str, arxiv: str | None, doi: str | None) -> list[str]:
    names = [f"title {fold(title)}"]
    return names + [f"arxiv {arxiv}"] * bool(arxiv) + [f"doi {(doi or '').lower()}"] * bool(doi)


def _at(document: Document, path: Key, code: str, message: str, fix: str) -> Problem:
    return Problem(document.path, *document.where(path), code, message, fix=fix)
