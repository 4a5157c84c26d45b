"""How long reading takes: a rule that a page can state, not a measurement."""

from __future__ import annotations

from collections.abc import Iterable

from kb_tools.records.model import Record

BY_KIND = {"tutorial": 4.0, "survey": 3.0}
BY_WORTH = {1: 0.5, 2: 1.0, 3: 2.0}
OTHERWISE = 1.0
RULE = (
    "Hours are estimates by one rule: half an hour for a paper to skim, one for a paper to read, two for one to read "
    "and implement; three for a survey, four for a tutorial. Writing code comes on top."
)


def hours(record: Record) -> float:
    """Hours to read a paper: by its kind, else by how much it is worth reading."""
    return BY_KIND.get(record.kind) or BY_WORTH.get(record.worth_reading or 0, OTHERWISE)


def in_words(records: Iterable[Record]) -> str:
    """Hours to read all of them: "half an hour", "about 1 hour", "about 7 hours"; a half over is rounded up."""
    total = sum(map(hours, records))
    if total < 1:
        return "half an hour" if total else "no time"
    whole = int(total + 0.5)
    return f"about {whole} hour{'s' if whole != 1 else ''}"
