"""Where a visitor of the first page comes in, found by rule from whatever records there are."""

from __future__ import annotations

from dataclasses import dataclass

from kb_tools.records.model import Record
from kb_tools.site.knowledge import Knowledge

STEPS, AFTER = 6, 5  # papers shown behind a door
DEPENDENTS = 2  # papers that build on another before it is one that people come from


@dataclass(frozen=True)
class Doors:
    """start: what to read first.  hub: the paper that most others build on, if any.  after: the first of these.

    unlocked: how many there are of these.
    """

    start: list[Record]
    hub: Record | None
    after: list[Record]
    unlocked: int


def doors(k: Knowledge) -> Doors:
    """The first step of the order and the way to the hub; then what builds on the hub, the most worth reading first."""
    hub = _hub(k)
    if hub is None:
        return Doors([k.records[i] for i in k.order[:STEPS]], None, [], 0)
    way = dict.fromkeys([k.order[0], *k.path_to[hub], hub])
    after = sorted(_builds_on(k, hub), key=lambda i: (-(k.records[i].worth_reading or 0), k.position[i]))
    start = [k.records[i] for i in list(way)[:STEPS]]
    return Doors(start, k.records[hub], [k.records[i] for i in after[:AFTER]], len(after))


def _hub(k: Knowledge) -> str | None:
    """The paper that most papers build on directly; of several the first in the order."""
    papers = [i for i in k.order if k.records[i].kind == "paper" and len(_builds_on(k, i)) >= DEPENDENTS]
    return max(papers, key=lambda i: len(_builds_on(k, i)), default=None)


def _builds_on(k: Knowledge, ident: str) -> list[str]:
    """Papers that build on this one directly; resources may, too."""
    return [i for i in k.unlocks[ident] if i in k.papers]
