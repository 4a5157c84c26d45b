"""Methods beside each other: curves of one name, from the evidence of all that recorded one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from kb_tools.records.model import Record
from kb_tools.site.knowledge import Knowledge, Method, name_of
from kb_tools.site.plots import Series, log_log

COLOURS = 8
TEXTS = {
    "few-steps": (
        "Few steps",
        "What distillation and consistency models buy: the same noise goes through each method and through the "
        "solver it learned from, and what comes out is held against the end of the exact path. A lower line is "
        "nearer; a flat one has nothing to gain from more steps.",
        "Each method is measured on the law that its demo trains on, and trained for seconds: compare a full line with "
        "the dashed one of its colour first. Those that draw new noise between evaluations leave the path by that: "
        "their samples may be good, and far from where it ends.",
    )
}
"""Title, first paragraph and what to mind, of the page of a curve; one that has none is called by its name."""


@dataclass(frozen=True)
class Line:
    """One line of one method.  thin: the baseline, measured beside it.  hollow: the method once more, in another way.
    points: across, up, and the spread over seeds.
    """

    method: Method
    name: str
    colour: int
    thin: bool
    hollow: bool
    points: list[tuple[float, float, float]]


@dataclass(frozen=True)
class Comparison:
    """All that recorded a curve of this name, in reading order."""

    name: str
    title: str
    lead: str
    mind: str
    across: str
    up: str
    lines: list[Line]

    @property
    def places(self) -> list[float]:
        """Every place at which something was measured."""
        return sorted({x for line in self.lines for x, _, _ in line.points})

    @property
    def methods(self) -> list[Method]:
        return list({line.method.record.id: line.method for line in self.lines}.values())

    @property
    def chart(self) -> Markup:
        series = [
            Series([(x, y) for x, y, _ in line.points], line.colour, line.thin, line.hollow) for line in self.lines
        ]
        said = ", ".join(f"{name_of(line.method.record)}: {line.name}" for line in self.lines)
        return log_log(series, across=self.across, label=f"{self.up} against {self.across}; {said}")


def comparisons(k: Knowledge, methods: Iterable[Method]) -> dict[str, Comparison]:
    """By the name of the curve, those that two methods or more recorded.  methods: in the order in which they are
    shown.  A curve that cannot be read is a problem of `k`, and left out.
    """
    from implementations.verification.evidence.store import own_entry

    found: dict[str, Comparison] = {}
    for method in methods:
        for curve in own_entry(method.entries, method.slug).get("curves", []) if method.entries else []:
            try:
                _add(found, method, curve)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                k.problems.append(f"evidence of {method.slug}: a curve cannot be read: {error!r}")
    return {name: page for name, page in found.items() if len(page.methods) > 1}


def _add(found: dict[str, Comparison], method: Method, curve: Mapping[str, Any]) -> None:
    lines = [
        (str(line["name"]), [(float(a), float(b), float(c)) for a, b, c in zip(*_numbers(line), strict=True)])
        for line in curve["lines"]
    ]
    name = curve["name"]
    title, lead, mind = TEXTS.get(name, (name.replace("-", " ").capitalize(), "", ""))
    page = found.setdefault(name, Comparison(name, title, lead, mind, curve["across"], curve["up"], []))
    if (curve["across"], curve["up"]) != (page.across, page.up):
        raise ValueError(f"{name} is {curve['up']} here and {page.up} elsewhere")
    colour = len(page.methods) % COLOURS + 1
    last = len(lines) - 1
    page.lines.extend(  # a curve ends with what the method is measured beside
        Line(method, called, colour, 0 < k == last, 0 < k < last, points) for k, (called, points) in enumerate(lines)
    )


def _numbers(line: Mapping[str, Any]) -> tuple[list[float], list[float], list[float]]:
    return line["across"], line["up"], line.get("sd") or [0.0] * len(line["up"])


def compared_in(pages: Mapping[str, Comparison], record: Record) -> list[Comparison]:
    """The comparisons that a paper's method stands in."""
    return [page for page in pages.values() if any(method.record.id == record.id for method in page.methods)]
