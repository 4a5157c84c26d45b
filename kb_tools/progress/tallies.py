"""How far the reading is: how many papers have each status, in all, per topic, and on the way to each goal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from kb_tools.graphs.order import Readable, reading_order
from kb_tools.records.fields import PAPER_KINDS


@dataclass(frozen=True)
class Tally:
    """How many of a set of records have each status."""

    total: int
    read: int
    reading: int
    skipped: int

    @property
    def done(self) -> int:
        """What needs no more reading: read, or skipped on purpose."""
        return self.read + self.skipped

    @property
    def unread(self) -> int:
        return self.total - self.done - self.reading

    @classmethod
    def of(cls, statuses: Iterable[str]) -> Tally:
        listed = list(statuses)
        return cls(len(listed), *(listed.count(status) for status in ("read", "reading", "skipped")))


class Listed(Readable, Protocol):
    """What counting asks of a record."""

    @property
    def topics(self) -> list[str]: ...


def overall(records: Mapping[str, Listed]) -> Tally:
    """All papers, surveys and tutorials; resources are not counted."""
    return Tally.of(record.status for record in records.values() if record.kind in PAPER_KINDS)


def of_topics(records: Mapping[str, Listed], topics: Iterable[str]) -> dict[str, Tally]:
    """Topic id -> tally of its papers, in the order given; topics without papers are left out."""
    papers = [record for record in records.values() if record.kind in PAPER_KINDS]
    tallies = {topic: Tally.of(paper.status for paper in papers if topic in paper.topics) for topic in topics}
    return {topic: tally for topic, tally in tallies.items() if tally.total}


def of_goals(records: Mapping[str, Listed], goals: Iterable[str]) -> dict[str, Tally]:
    """Goal -> tally of everything on the way to it, the goal included."""
    return {
        goal: Tally.of(records[ident].status for step in reading_order(records, [goal]) for ident in step.ids)
        for goal in goals
    }
