"""The references of a RIS file, each read for itself, so that one which does not end or begin costs nobody else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from kb_tools.exchange.arxiv_places import arxiv_in

_TAG = re.compile(r"\s{0,4}([A-Z][A-Z0-9])  ?-(?: |$)")
_HALF_A_TAG = re.compile(r"(?:TY|TI|T1|AU|A1|PY|Y1|DO|UR)\b(?!  ?-)\s*\S")
# What a reference says in its own words: an arXiv id there may be another work's.
_WORDS = frozenset({"title", "primary_title", "abstract", "notes_abstract", "keywords", "authors", "first_authors"})


class Reference(NamedTuple):
    """line: where it begins, from 1.  said: what rispy makes of it.  remarks: what had to be mended."""

    line: int
    said: dict[str, Any]
    remarks: list[str]


def references(text: str) -> Iterator[Reference]:
    """Every reference.  Raises ValueError or KeyError where rispy stops at one."""
    import rispy

    for line, lines, remarks in _cut(text):
        for said in rispy.loads("\n".join(lines) + "\n"):
            yield Reference(line, said, remarks)


def _cut(text: str) -> Iterator[tuple[int, list[str], list[str]]]:
    """(line, lines, remarks) of each reference, with the type and the end that it lacks put in."""
    begun, lines, remarks = 0, list[str](), list[str]()
    for number, line in enumerate(text.split("\n"), 1):
        found = _TAG.match(line)
        tag = found[1] if found else ""
        if tag == "TY" and lines:
            yield begun, [*lines, "ER  - "], [*remarks, "the reference does not end; the next one ends it"]
            lines, remarks = [], []
        if not lines:
            if not tag or tag == "ER":
                continue
            begun = number
            if tag != "TY":
                lines, remarks = ["TY  - GEN"], ["the reference has no type"]
        lines.append("ER  - " if tag == "ER" else line.lstrip() if tag else line)
        if not tag and _HALF_A_TAG.match(line):
            remarks.append(f"line {number} looks like a tag, and is read as text: {line.strip()[:60]}")
        if tag == "ER":
            yield begun, lines, remarks
            lines, remarks = [], []
    if lines:
        yield begun, [*lines, "ER  - "], [*remarks, "the reference does not end"]


def arxiv_of(said: Mapping[str, Any]) -> tuple[str | None, int | None]:
    """arXiv id and version of a reference, under whatever tag a program puts them."""
    texts = {name: value for name, value in said.items() if isinstance(value, str) and name not in _WORDS}
    addresses = " ".join(str(url) for url in said.get("urls") or [])
    notes = [text for note in said.get("notes") or [] for text in str(note).splitlines()]
    unknown = said.get("unknown_tag")
    unknown = unknown.values() if isinstance(unknown, Mapping) else []
    places = [addresses, *texts.values(), *(str(value) for values in unknown for value in values)]
    number = {"number": texts.get("number", ""), "volume": texts.get("volume", "")}
    return arxiv_in(
        {"url": " | ".join(places), "note": "\n".join(notes), "journal": texts.get("journal_name", "")} | number
    )
