"""The pictures of who builds on whom: the whole collection, and the neighbourhood of one paper."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import shorten

from markupsafe import Markup

from kb_tools.graphs import drawing
from kb_tools.graphs.graph import Edge, edges, implied
from kb_tools.graphs.placing import plan
from kb_tools.records.model import Record
from kb_tools.site.knowledge import Knowledge, name_of
from kb_tools.site.leads import said
from kb_tools.site.markup import text
from kb_tools.site.writing import Memo

LONGEST_NAME = 28  # letters of a node


@dataclass(frozen=True)
class Map:
    """The graph of all papers, as part of a page.  arrows: how many are drawn; follow: how many follow from those."""

    svg: Markup
    arrows: int
    follow: int


@dataclass(frozen=True)
class Neighbourhood:
    """What is within one step of a paper, as part of a page, and within two, as a file (None if that is no more)."""

    svg: Markup
    near: int
    wide: int
    file: str | None


def whole(k: Knowledge) -> Map:
    """Links with labels, one lane for each topic.  Arrows that follow from others are there, but not shown at first."""
    every = edges(k.papers, ["builds_on"])
    follow = set(implied(every))
    links = [edge for edge in every if edge not in follow]
    names = {i: _short(record) for i, record in k.papers.items()}
    chart = plan(k.papers, links, names, list(k.topics))
    titles = {lane.name: str(text(k.topics[lane.name].title if lane.name else "no topic")) for lane in chart.lanes}
    nodes = [
        drawing.chart_node(
            record, chart.places[i], str(text(names[i])), href=f"../papers/{i}/", title=str(text(record.title)),
            extra=f' data-node="{i}" aria-label="{text(said(k, record))}"',
        )
        for i in k.order
        for record in [k.papers[i]]
    ]  # fmt: skip
    hidden = [edge for edge in every if edge in follow]
    faint = [line.replace('class="e"', 'class="e follows"') for line in drawing.chart_edges(chart, hidden)]
    arrows = [*_named_edges(faint, hidden), *_named_edges(drawing.chart_edges(chart, links), links)]
    body = [*drawing.chart_frame(chart, titles), *arrows, *nodes]
    head = drawing.chart_head(chart, ' class="chart" role="group" aria-label="Papers by year and topic" data-chart')
    svg = Markup("\n").join(Markup(part) for part in [head, *body, "</svg>"])  # noqa: S704 - every string went through text()
    return Map(svg, len(links), len(hidden))


def neighbourhoods(k: Knowledge, base: str, memo: Memo) -> tuple[dict[str, Neighbourhood], dict[str, bytes]]:
    """Of every paper that has neighbours; and the files of the wider pictures, by name."""
    links = edges(k.papers, ["builds_on"])
    beside: dict[str, set[str]] = {i: {i} for i in k.papers}
    at: dict[str, list[Edge]] = {i: [] for i in k.papers}
    for edge in links:
        for ident, other in ((edge.source, edge.target), (edge.target, edge.source)):
            beside[ident].add(other)
            at[ident].append(edge)
    found, files = {}, {}
    for ident in k.papers:
        near = beside[ident]
        wide = near.union(*(beside[i] for i in near))
        if len(near) == 1:
            continue
        name = f"graph/{ident}.svg" if wide > near else None
        if name:
            files[name] = _picture(k, ident, wide, at, "../papers/", memo, alone=True).encode()
        found[ident] = Neighbourhood(
            Markup(_picture(k, ident, near, at, base, memo, alone=False)),  # noqa: S704 - as above
            len(near),
            len(wide),
            name,
        )
    return found, files


def _picture(
    k: Knowledge, center: str, idents: set[str], at: dict[str, list[Edge]], base: str, memo: Memo, *, alone: bool
) -> str:
    """at: the arrows at each paper, those that leave it and those that end there."""
    nodes = {i: k.papers[i] for i in sorted(idents, key=lambda i: k.position[i])}
    inside = [edge for i in sorted(nodes) for edge in at[i] if edge.source == i and edge.target in idents]
    name = f"{base} {center} {alone}"
    return memo.get(name, (list(nodes.values()), inside), lambda: _drawn(center, nodes, inside, base, alone))


def _drawn(center: str, nodes: dict[str, Record], inside: list[Edge], base: str, alone: bool) -> str:
    names = {i: _short(record) for i, record in nodes.items()}
    chart = plan(nodes, inside, names)
    body = [*drawing.chart_frame(chart, {}), *drawing.chart_edges(chart, inside)]
    for i, record in nodes.items():
        here = ' aria-current="page"' if i == center else ""
        body.append(
            drawing.chart_node(
                record, chart.places[i], str(text(names[i])), href=f"{base}{i}/",
                title=str(text(record.title)), extra=f' data-node="{i}"{here}',
            )
        )  # fmt: skip
    if alone:
        return drawing.alone(chart, body)
    label = text(f"What {name_of(nodes[center])} builds on, and what builds on it")
    head = drawing.chart_head(chart, f' class="chart" role="group" aria-label="{label}"')
    return "\n".join([head, *body, "</svg>"])


def _named_edges(drawn: list[str], links: list[Edge]) -> list[str]:
    """The same arrows, each saying which two papers it joins."""
    return [
        line.replace("<path ", f'<path data-from="{edge.target}" data-to="{edge.source}" ', 1)
        for line, edge in zip(drawn, links, strict=True)
    ]


def _short(record: Record) -> str:
    """The name as everywhere, cut between words where it is long."""
    name = name_of(record)
    return (
        name
        if len(name) <= LONGEST_NAME
        else shorten(name, LONGEST_NAME, placeholder="…") or f"{name[: LONGEST_NAME - 1]}…"
    )
