"""The mathematics of prose: what looks like it and is not in the one grammar that pages set it by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kb_tools.appearance.notation import unset
from kb_tools.errors import Problem
from kb_tools.records.reader import Document

_FIELDS = ("why", "summary", "notes", "corrections")
_INNER = ("says", "steps")
_FIX = "write it as x_t, x_{t-1}, sigma^2, x~ or sqrt(...); put code between back-quotes"


def check_wording(documents: list[Document], topics: Document) -> Iterator[Problem]:
    """One problem for each field with something that would be printed as it was typed."""
    for document in documents:
        for where, said in _said(document.data or {}):
            yield from _complain(document, where, said)
    for ident, topic in (topics.data or {}).items():
        for where, said in _said(topic if isinstance(topic, dict) else {}):
            yield from _complain(topics, (ident, *where), said)


def _said(data: dict[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The sentences of a record, with where they stand; LaTeX between dollar signs is set by another hand."""
    for field in _FIELDS:
        yield from _lines((field,), data.get(field))
    for field in ("equations", "algorithms"):
        entries = data.get(field)
        for number, entry in (entries if isinstance(entries, dict) else {}).items():
            for inner in _INNER if isinstance(entry, dict) else ():
                yield from _lines((field, number, inner), entry.get(inner))
    symbols = data.get("symbols")
    for place, symbol in enumerate(symbols if isinstance(symbols, list) else []):
        if isinstance(symbol, dict):
            yield from _lines(("symbols", place, "says"), symbol.get("says"))


def _lines(where: tuple[str | int, ...], value: object) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, list):
        yield from (((*where, n), line) for n, line in enumerate(value) if isinstance(line, str))


def _complain(document: Document, where: tuple[str | int, ...], said: str) -> Iterator[Problem]:
    found = [one for part in said.split("$")[::2] for line in part.split("\n") for one in unset(line)]
    if found:
        message = f"{where[0]}: {found[0]} cannot be set as mathematics"
        yield Problem(document.path, *document.where(where), "mathematics", message, fix=_FIX)
