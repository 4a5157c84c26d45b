"""Lines of measured numbers as SVG, both axes logarithmic.  Colours come from the page's styles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from markupsafe import Markup

from kb_tools.site.markup import text

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 14, 52
MARKS = (1, 2, 5)
MOST_PLACES = 12
"""Marks across that have room for their numbers."""


@dataclass(frozen=True)
class Series:
    """One line.  colour: its number among the page's colours.  thin: a baseline, drawn dashed and without dots.
    hollow: with rings for dots, beside another line of its colour.
    """

    points: Sequence[tuple[float, float]]
    colour: int
    thin: bool = False
    hollow: bool = False


def log_log(series: Sequence[Series], *, across: str, label: str) -> Markup:
    """A chart of all points above 0; what is not is left out, and its line goes on behind it.  Empty if there is none.

    across: name of the axis; what is upwards, the page says above.  label: what the picture is, for who cannot see it.
    """
    shown = [(line, [(x, y) for x, y in line.points if x > 0 and y > 0]) for line in series]
    every = [point for _, points in shown for point in points]
    if not every:
        return Markup()
    (x_low, x_high), (y_low, y_high) = (_limits([point[axis] for point in every]) for axis in (0, 1))

    def place(x: float, y: float) -> tuple[float, float]:
        right = LEFT + (log10(x) - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)
        return right, HEIGHT - BOTTOM - (log10(y) - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)

    body = [f'<svg class="chart plot" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" '
            f'aria-label="{text(label)}">']  # fmt: skip
    for value in _places(sorted({x for x, _ in every}), x_low, x_high):
        x, _ = place(value, 10**y_low)
        body.append(f'<path class="grid" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        body.append(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{value:g}</text>')
    for value in _ticks(y_low, y_high) or [min(y for _, y in every)]:
        _, y = place(10**x_low, value)
        body.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        body.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    body.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">{text(across)}</text>')
    for line, points in shown:
        at = [place(*point) for point in points]
        way = "L".join(f"{x:.1f} {y:.1f}" for x, y in at)
        body.append(f'<path class="line s{line.colour}{" thin" if line.thin else ""}" d="M{way}"/>')
        if not line.thin:
            dot = f"dot-mark s{line.colour}{' is-hollow' if line.hollow else ''}"
            body += [f'<circle class="{dot}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in at]
    return Markup("\n").join(Markup(part) for part in [*body, "</svg>"])  # noqa: S704 - every string went through text()


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Powers of ten that hold all values with a little room, never the same one twice."""
    low, high = log10(min(values)), log10(max(values))
    room = max(0.04 * (high - low), 0.05)
    return low - room, high + room


def _places(measured: Sequence[float], low: float, high: float) -> Sequence[float]:
    """Marks across: where something was measured, if that is not at too many places."""
    return measured if len(measured) <= MOST_PLACES else _ticks(low, high)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two powers of ten: 1, 2 and 5 of each decade, of a long axis the 1 alone."""
    marks = MARKS if high - low < 3.2 else (1,)
    every = (mark * 10.0**power for power in range(floor(low) - 1, ceil(high) + 1) for mark in marks)
    return [float(f"{value:.3g}") for value in every if low <= log10(value) <= high]
