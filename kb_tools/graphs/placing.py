"""Where each node of a graph stands: time from left to right, a lane for each topic, few crossings.

Years that hold nothing take no room.  Within a year a node stands to the right of what it builds on, so that every
arrow points to the right unless its years say otherwise.  The same graph is always placed in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from kb_tools.graphs.graph import Edge, Linked

ROW, GAP, PADDING = 30, 30, 32
WIDE, NARROW = 8.2, 6.2  # pixels of a letter at 11 px: capitals, the rest
LANE_HEAD, HEAD, MARGIN = 20, 26, 12
SWEEPS = 8


@dataclass(frozen=True)
class Place:
    """The box of a node, in pixels from the top left."""

    x: int
    y: int
    width: int
    height: int

    @property
    def middle(self) -> int:
        return self.y + self.height // 2


@dataclass(frozen=True)
class Lane:
    name: str
    top: int
    height: int


@dataclass(frozen=True)
class Span:
    """The columns of one year; 0 is no year."""

    year: int
    x: int
    width: int


@dataclass(frozen=True)
class Plan:
    width: int
    height: int
    places: dict[str, Place]
    lanes: list[Lane]
    years: list[Span]


def plan(
    nodes: Mapping[str, Linked], links: Iterable[Edge], names: Mapping[str, str], lanes: Sequence[str] = ()
) -> Plan:
    """Places for all `nodes`.  names: id -> what is written on a node.  lanes: topics in the order of their lanes.

    A node stands in the lane of its first topic, or of "" if that has none; without `lanes`, all stand in one.
    """
    arrows = [edge for edge in links if edge.kind == "builds_on" and edge.source in nodes and edge.target in nodes]
    ranks = _ranks(nodes, arrows)
    columns = sorted({(nodes[i].year or 0, ranks[i]) for i in nodes})
    column = {i: columns.index((nodes[i].year or 0, ranks[i])) for i in nodes}
    lane_of = {i: next((topic for topic in nodes[i].topics[:1] if topic in lanes), "") for i in nodes}
    used = [lane for lane in [*lanes, ""] if lane in lane_of.values()]

    cells: dict[tuple[str, int], list[str]] = {}
    for ident in sorted(nodes):
        cells.setdefault((lane_of[ident], column[ident]), []).append(ident)
    rows = {lane: max(len(cell) for (of, _), cell in cells.items() if of == lane) for lane in used}
    head, tops, top = (LANE_HEAD if lanes else 4), {}, (HEAD if nodes else 0)
    for lane in used:
        tops[lane] = top
        top += head + ROW * rows[lane] + 6
    y = _rows(cells, arrows, {lane: (tops[lane] + head, rows[lane]) for lane in used})

    widths = [0] * len(columns)
    for ident in nodes:
        widths[column[ident]] = max(widths[column[ident]], _width(names[ident]))
    lefts = [MARGIN + sum(widths[:n]) + GAP * n for n in range(len(columns))]
    places = {
        i: Place(lefts[column[i]], y[i] + (ROW - h) // 2, _width(names[i]), h)
        for i in sorted(nodes)
        for h in [18 + 2 * (nodes[i].worth_reading or 0)]
    }
    years = []
    for year in sorted({year for year, _ in columns}):
        mine = [n for n, (of, _) in enumerate(columns) if of == year]
        years.append(Span(year, lefts[mine[0]], lefts[mine[-1]] + widths[mine[-1]] - lefts[mine[0]]))
    width = (lefts[-1] + widths[-1] if columns else 0) + MARGIN
    found = [Lane(lane, tops[lane], head + ROW * rows[lane] + 6) for lane in used]
    return Plan(width, top + 4, places, found, years)


def curve(start: Place, end: Place) -> str:
    """An SVG path from the right side of one box to the left side of another, or around where that lies behind."""
    x1, y1, x2, y2 = start.x + start.width, start.middle, end.x - 2, end.middle
    bend = max(14, (x2 - x1) // 2) if x2 > x1 else 40
    return f"M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"


@lru_cache(maxsize=1 << 14)  # a node stands in many pictures
def _width(name: str) -> int:
    return round(sum(WIDE if letter.isupper() else NARROW for letter in name)) + PADDING


def _ranks(nodes: Mapping[str, Linked], arrows: Sequence[Edge]) -> dict[str, int]:
    """How many steps of its own year a node builds on; edges of a circle are passed over."""
    needs: dict[str, list[str]] = {ident: [] for ident in nodes}
    for edge in arrows:
        if nodes[edge.source].year == nodes[edge.target].year:
            needs[edge.source].append(edge.target)
    ranks: dict[str, int] = {}

    def rank(ident: str, above: frozenset[str]) -> int:
        if ident not in ranks:
            below = [rank(other, above | {ident}) for other in needs[ident] if other not in above | {ident}]
            if above:
                return max(below, default=-1) + 1
            ranks[ident] = max(below, default=-1) + 1
        return ranks[ident]

    for ident in sorted(nodes):
        rank(ident, frozenset())
    return ranks


def _rows(
    cells: Mapping[tuple[str, int], list[str]], arrows: Sequence[Edge], lanes: Mapping[str, tuple[int, int]]
) -> dict[str, int]:
    """The y of each node: cells are sorted by where their neighbours stand, to and fro, until little crosses."""
    near: dict[str, list[str]] = {}
    for edge in arrows:
        near.setdefault(edge.source, []).append(edge.target)
        near.setdefault(edge.target, []).append(edge.source)
    y = {i: lanes[lane][0] + ROW * n for (lane, _), cell in cells.items() for n, i in enumerate(cell)}
    order = sorted(cells, key=lambda cell: (cell[1], cell[0]))
    for sweep in range(SWEEPS):
        before = dict(y)
        for lane, column in order if sweep % 2 == 0 else reversed(order):
            cell = cells[lane, column]
            wanted = {i: sum(y[o] for o in near[i]) / len(near[i]) if near.get(i) else float(y[i]) for i in cell}
            top, rows = lanes[lane]
            mean = sum(wanted.values()) / len(cell)
            first = min(max(round((mean - top) / ROW - (len(cell) - 1) / 2), 0), rows - len(cell))
            for n, ident in enumerate(sorted(cell, key=lambda i: (wanted[i], i))):
                y[ident] = top + ROW * (first + n)
        if y == before:
            break
    return y
