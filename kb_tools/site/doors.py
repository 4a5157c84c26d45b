"""Where a visitor of the first page comes in, found by rule from whatever records there are."""

from __future__ import annotations

from dataclasses import dataclass

from kb_tools.records.model import Record
from kb_tools.site.knowledge import Knowledge

DEPENDENTS = 2  # papers that build on another before it is one that people come from


@dataclass(frozen=True)
class Doors:
    """What stands behind the doors for who knows nothing and for who knows one paper; either can be empty.

    hub: the paper that most others build on, if any.  start: a tutorial, if the order begins with one, and what leads
    to the hub, and the hub; without a hub, the reading order.  after: what builds on the hub, the most worth first.
    """

    hub: Record | None
    start: list[Record]
    after: list[Record]


def doors(k: Knowledge) -> Doors:
    """The doors of a collection."""
    hub = _hub(k)
    if hub is None:
        return Doors(None, [k.records[i] for i in k.order], [])
    first = [i for i in k.order[:1] if k.records[i].kind == "tutorial"]
    start = dict.fromkeys([*first, *k.path_to[hub], hub])
    after = sorted(_builds_on(k, hub), key=lambda i: (-(k.records[i].worth_reading or 0), k.position[i]))
    return Doors(k.records[hub], [k.records[i] for i in start], [k.records[i] for i in after])


def _hub(k: Knowledge) -> str | None:
    """The paper that most papers build on directly; of several the first in the order."""
    found = [i for i in k.order if k.records[i].kind == "paper" and len(_builds_on(k, i)) >= DEPENDENTS]
    return max(found, key=lambda i: len(_builds_on(k, i)), default=None)


def _builds_on(k: Knowledge, ident: str) -> list[str]:
    """Papers that build on this one directly; resources may, too."""
    return [i for i in k.unlocks[ident] if i in k.papers]
