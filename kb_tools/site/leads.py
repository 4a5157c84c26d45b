"""What leads to a paper: the nearest of what it builds on, directly or not, as a map of lines and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from markupsafe import Markup

from kb_tools.graphs.graph import Edge, edges, implied, nearest
from kb_tools.graphs.rails import Rails, rails
from kb_tools.records.model import Record
from kb_tools.site.knowledge import Knowledge, name_of
from kb_tools.site.markup import text

MOST = 15  # papers in one picture
LINES = 3  # of a name
WIDTH = 344  # of a picture, in pixels: what a small phone has
EDGE, STEP, ROOM = 15, 18, 112  # to the first line, between two lines, for all of them
NAME, LEADING, FIRST = 13, 16, 34  # height of letters, from line to line of a name, of a row with one line
HUES = 5  # of lines
YEAR = 38  # the room of a year
LETTER, CAPITAL = 0.565, 0.745  # widths, in heights
SIGNS = {"reading": "…", "read": "✓", "skipped": "–"}
RADII = {0: 6, 1: 6, 2: 7, 3: 8}


@dataclass(frozen=True)
class Leads:
    """What leads to a paper.

    records: those drawn, in reading order, the paper itself last.  more: how many stand before it and are not drawn.
    follow: arrows between those drawn that follow from others, and circles: that lead back; neither is drawn.
    """

    goal: Record
    records: list[Record]
    more: int
    follow: int
    circles: int
    svg: Markup


def first_goal(k: Knowledge) -> str | None:
    """Of the papers worth most whose way fits into one picture, the one through which most ways lead.

    A way is a paper before it with one that builds on it; None where no paper builds on another.
    """
    ahead: dict[str, int] = dict.fromkeys(k.papers, 0)
    for way in k.path_to.values():
        for ident in way:
            ahead[ident] += 1
    goals = [i for i in k.order if k.path_to[i]]
    fitting = [i for i in goals if len(k.path_to[i]) < MOST] or goals
    return max(
        fitting,
        key=lambda i: (k.papers[i].worth_reading or 0, len(k.path_to[i]) * ahead[i], len(k.path_to[i])),
        default=None,
    )


def by_source(k: Knowledge) -> dict[str, list[Edge]]:
    """What each paper builds on, for `leads_to`."""
    found: dict[str, list[Edge]] = {}
    for edge in edges(k.papers, ["builds_on"]):
        found.setdefault(edge.source, []).append(edge)
    return found


def leads_to(k: Knowledge, ident: str, base: str, links: Mapping[str, Sequence[Edge]] | None = None) -> Leads:
    """base: the way from the page to the site's root.  links: what `by_source` says, where it is known already."""
    links = by_source(k) if links is None else links
    before = [edge for i in (ident, *k.path_to[ident]) for edge in links.get(i, ())]
    shown = nearest(ident, before, MOST, lambda i: (-(k.papers[i].worth_reading or 0), k.position[i]))
    order = [*sorted((i for i in shown if i != ident), key=lambda i: k.position[i]), ident]
    inside = [edge for i in sorted(shown) for edge in links.get(i, ()) if edge.target in shown]
    follow = implied(inside)
    needs: dict[str, list[str]] = {i: [] for i in order}
    for edge in inside:
        if edge not in follow:
            needs[edge.source].append(edge.target)
    plan = rails(order, needs)
    records = [k.papers[i] for i in order]
    more = len(k.path_to[ident]) - (len(order) - 1)
    return Leads(k.papers[ident], records, more, len(follow), len(plan.back), _svg(k, records, plan, base))


def _svg(k: Knowledge, records: Sequence[Record], plan: Rails, base: str) -> Markup:
    step = min(STEP, ROOM / max(plan.width, 1))
    names_at = round(EDGE + step * max(plan.width - 1, 0) + 18)
    names = [wrapped(name_of(record), WIDTH - YEAR - names_at) for record in records]
    tops = [4]
    for name in names:
        tops.append(tops[-1] + FIRST + LEADING * (len(name) - 1))
    middle = {r.id: round((tops[n] + tops[n + 1]) / 2) for n, r in enumerate(records)}
    across = {i: round(EDGE + step * column) for i, column in plan.columns.items()}
    goal, height = records[-1], tops[-1] + 4
    above = {r.id: middle[records[n - 1].id] for n, r in enumerate(records) if n}
    label = text(f"What leads to {name_of(goal)}")
    lines = [f'<svg class="leads" viewBox="0 0 {WIDTH} {height}" role="group" aria-label="{label}">']
    lines.append(f'<path class="goal" d="{_band(tops[-2], tops[-1])}"/>')
    for turn in plan.turns:
        x1, x2, y2 = across[turn.source], across[turn.target], middle[turn.target]
        y1, side = middle[turn.source], max(middle[turn.source], above[turn.target])
        down = f"V{side}" if side > y1 else ""
        bend = f"C{x1} {(side + y2) // 2} {x2} {(side + y2) // 2} {x2} {y2}"
        if abs(plan.columns[turn.target] - turn.column) > 1:
            lines.append(f'<path class="gap" pathLength="10" d="M{x1} {side}{bend}"/>')
        way = f"M{x1} {y1}V{y2}" if x1 == x2 else f"M{x1} {y1}{down}{bend}"
        hue = f"s{turn.column % HUES + 1}"
        lines.append(f'<path class="e {hue}" data-from="{turn.source}" data-to="{turn.target}" d="{way}"/>')
    for n, record in enumerate(records):
        y, worth = middle[record.id], record.worth_reading or 0
        start = round(y - LEADING * (len(names[n]) - 1) / 2 + NAME * 0.36, 1)
        spans = "".join(
            f'<tspan x="{names_at}"{f" dy={chr(34)}{LEADING}{chr(34)}" if at else ""}>{text(part)}</tspan>'
            for at, part in enumerate(names[n])
        )
        here = " is-goal" if record is goal else ""
        lines.append(
            f'<a href="{base}papers/{record.id}/" class="n w{worth} {text(record.status)}{here}"'
            f' data-node="{record.id}" aria-label="{text(said(k, record))}"><title>{text(record.title)}</title>'
            f'<path class="row" d="{_band(tops[n], tops[n + 1])}"/>'
            f'<circle cx="{across[record.id]}" cy="{y}" r="{RADII[worth]}"/>'
            f'<text class="sign" x="{across[record.id]}" y="{y + 4}">{SIGNS.get(record.status, "○")}</text>'
            f'<text class="name" y="{start}">{spans}</text>'
            f'<text class="year" x="{WIDTH - 8}" y="{y + 4}">{record.year or ""}</text></a>'
        )
    return Markup("\n").join(Markup(line) for line in [*lines, "</svg>"])  # noqa: S704 - all went through text()


def _band(top: int, bottom: int) -> str:
    return f"M0 {top}h{WIDTH}v{bottom - top}H0z"


def wrapped(name: str, room: float) -> list[str]:
    """A name in lines no wider than `room` pixels; the last ends in an ellipsis where that is not all of it."""
    return list(_wrapped(name, room))


@lru_cache(maxsize=1 << 14)  # a paper stands in many pictures
def _wrapped(name: str, room: float) -> tuple[str, ...]:
    lines = [""]
    words = name.split()
    for n, word in enumerate(words):
        longer = f"{lines[-1]} {word}".strip()
        if _wide(longer) <= room or not lines[-1]:
            lines[-1] = longer
        elif len(lines) < LINES:
            lines.append(word)
        else:
            lines[-1] += " " + " ".join(words[n:])
            break
    return tuple(_cut(line, room) for line in lines)


def _cut(line: str, room: float) -> str:
    if _wide(line) <= room:
        return line
    while line and _wide(f"{line}…") > room:
        line = line[:-1]
    return f"{line.rstrip()}…"


def _wide(words: str) -> float:
    return NAME * sum(CAPITAL if letter.isupper() else LETTER for letter in words)


def said(k: Knowledge, record: Record) -> str:
    """What a screen reader says of a paper in a picture; the script puts the status behind it."""
    parts = [name_of(record), str(record.year or "undated")]
    if record.worth_reading:
        parts.append(f"worth reading {record.worth_reading} of 3")
    needs = [name_of(k.papers[i]) for i in record.builds_on if i in k.papers]
    parts.append(f"builds on {', '.join(needs)}" if needs else "builds on nothing here")
    return "; ".join(parts)
