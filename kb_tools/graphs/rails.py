"""Where each node of a small graph stands when it is drawn as a map of lines, the first at the top.

Every node has a row of its own and a line of its own, which runs down from it to the last node that it leads to and
turns off to each of the others on its way.  So all arrows from one node share one line, and no two lines run over each
other.  The same graph is always placed in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Turn:
    """An arrow from `source`, whose line is in `column`, to `target`, which stands further down."""

    source: str
    target: str
    column: int


@dataclass(frozen=True)
class Rails:
    """columns: node -> column, from 0.  turns: by source, then from top to bottom.  width: how many columns there are.

    back: arrows, as (source, target), that would lead up; they are not among the turns.
    """

    columns: dict[str, int]
    turns: list[Turn]
    width: int
    back: list[tuple[str, str]]


def rails(order: Sequence[str], needs: Mapping[str, Sequence[str]]) -> Rails:
    """order: all nodes, from top to bottom.  needs: node -> where its arrows come from; others than in `order` are
    passed over.
    """
    row = {ident: number for number, ident in enumerate(order)}
    pairs = [(source, ident) for ident in order for source in dict.fromkeys(needs.get(ident, ())) if source in row]
    arrows = [pair for pair in pairs if row[pair[0]] < row[pair[1]]]
    last = {source: max(row[t] for s, t in arrows if s == source) for source, _ in arrows}
    columns: dict[str, int] = {}
    taken: dict[int, str] = {}  # column -> the node whose line runs in it
    for ident in order:
        ending = [column for column, source in taken.items() if last[source] == row[ident]]
        for column in ending:
            del taken[column]
        free = min(set(range(len(taken) + 1)) - taken.keys())
        columns[ident] = min(ending, default=free)
        if ident in last:
            taken[columns[ident]] = ident
    turns = [
        Turn(source, target, columns[source]) for source, target in sorted(arrows, key=lambda a: (row[a[0]], row[a[1]]))
    ]
    back = [pair for pair in pairs if row[pair[0]] > row[pair[1]]]
    return Rails(columns, turns, max(columns.values(), default=-1) + 1, back)
