"""A graph as other programs read it: JSON, DOT, GraphML, Mermaid, and a picture that needs no program."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape

from kb_tools.graphs.graph import Edge, Linked
from kb_tools.graphs.placing import Place, Plan, curve, plan

Nodes = Mapping[str, Linked]

_SIGNS = {"unread": "", "reading": "…", "read": "✓", "skipped": "–"}
_FILLS = {"unread": "#ffffff", "reading": "#ffe9a8", "read": "#bfe3c4", "skipped": "#e4e4e4"}


def as_json(nodes: Nodes, links: Sequence[Edge]) -> str:
    """Nodes and links, as d3 and networkx (node_link_graph with edges="links") read them."""
    data = {
        "directed": True,
        "multigraph": True,
        "graph": {},
        "nodes": [{"id": ident, **_facts(nodes[ident])} for ident in sorted(nodes)],
        "links": [{"source": edge.source, "target": edge.target, "kind": edge.kind} for edge in links],
    }
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def as_dot(nodes: Nodes, links: Sequence[Edge]) -> str:
    """Graphviz: what is read first stands left, arrows point to what opens."""
    lines = ["digraph kb {", "  rankdir=LR;", "  node [shape=box, style=filled];"]
    for ident in sorted(nodes):
        node = nodes[ident]
        words = f'label={_quoted(_label(ident, node))}, tooltip={_quoted(node.title)}, fillcolor="{_fill(node)}"'
        lines.append(f"  {_quoted(ident)} [{words}];")
    for edge in links:
        style = "" if edge.kind == "builds_on" else ", style=dashed, constraint=false"
        lines.append(f'  {_quoted(edge.target)} -> {_quoted(edge.source)} [class="{edge.kind}"{style}];')
    return "\n".join([*lines, "}", ""])


def as_mermaid(nodes: Nodes, links: Sequence[Edge]) -> str:
    """A Mermaid flowchart; nodes are numbered, for Mermaid takes some words of its own for ids."""
    names = {ident: f"n{number}" for number, ident in enumerate(sorted(nodes))}
    lines = ["flowchart LR"]
    lines += [f'  {name}["{_entities(_label(ident, nodes[ident]))}"]' for ident, name in names.items()]
    for edge in links:
        arrow = "-->" if edge.kind == "builds_on" else "-.->"
        lines.append(f"  {names[edge.target]} {arrow} {names[edge.source]}")
    return "\n".join([*lines, ""])


def as_graphml(nodes: Nodes, links: Sequence[Edge]) -> str:
    """GraphML, for Gephi, yEd and networkx; edges point from a work to what it builds on or cites."""
    import networkx as nx

    graph = nx.MultiDiGraph()
    for ident in sorted(nodes):
        facts = {key: value for key, value in _facts(nodes[ident]).items() if value is not None}
        graph.add_node(ident, **facts)
    for edge in links:
        graph.add_edge(edge.source, edge.target, key=edge.kind, kind=edge.kind)
    return "\n".join(nx.generate_graphml(graph)) + "\n"


# What a picture needs to be read by itself; a page that holds one has its own colours for the same classes.
_STYLE = """
svg{font:500 11px Inter,system-ui,sans-serif;background:#fff;color:#17212b}text{fill:currentColor}
.lane rect{fill:#f3f6f6}.lane:nth-of-type(even) rect{fill:#fff}.lane text,.year{fill:#5f6b78}
.e{fill:none;stroke:#6b7a86;stroke-width:1.2;marker-end:url(#tip)}
.e.cites,.e.about{stroke-dasharray:3 3;opacity:.6}#tip path{fill:#6b7a86}
.n rect{fill:#fff;stroke:#17212b}.n.w3 rect{stroke-width:2}.n.read rect{fill:#bfe3c4}.n.reading rect{fill:#ffe9a8}
.n.skipped rect{fill:#e4e4e4}.n[aria-current] rect{fill:#fbeadd;stroke:#a34a12}
"""
TIP = (
    '<defs><marker id="tip" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="6" markerHeight="6" orient="auto">'
    '<path d="M0 0 6 3 0 6z"/></marker></defs>'
)


def as_svg(nodes: Nodes, links: Sequence[Edge]) -> str:
    """A picture: years from left to right, a lane for each first topic, arrows from what is read first.

    Size is worth, fill and sign are the reading status; every node is a link to its record's page and has a title.
    """
    names = {ident: _short(ident) for ident in nodes}
    lanes = sorted({topic for node in nodes.values() for topic in node.topics[:1]})
    titles = {lane: escape(lane) for lane in lanes} | {"": "no topic"}
    chart = plan(nodes, links, names, lanes)
    body = [
        chart_node(node, chart.places[i], escape(names[i]), href=f"papers/{escape(i)}/", title=escape(_titled(node)))
        for i, node in sorted(nodes.items())
    ]
    return alone(chart, [*chart_frame(chart, titles), *chart_edges(chart, links), *body])


def alone(chart: Plan, body: Iterable[str]) -> str:
    """A file of its own with what the other functions gave."""
    return "\n".join([chart_head(chart), f"<style>{_STYLE}</style>", *body, "</svg>", ""])


def chart_head(chart: Plan, extra: str = "") -> str:
    """The start of a picture; `extra` is written among its attributes."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {chart.width} {chart.height}"'
        f' width="{chart.width}" height="{chart.height}"{extra}>'
    )


def chart_frame(chart: Plan, titles: Mapping[str, str]) -> list[str]:
    """Arrowhead, lanes with their titles (lane -> HTML; lanes without one are not drawn), and years."""
    lines = [
        TIP,
        *(
            f'<g class="lane"><rect y="{lane.top}" width="{chart.width}" height="{lane.height}"/>'
            f'<text x="8" y="{lane.top + 14}">{titles[lane.name]}</text></g>'
            for lane in chart.lanes
            if lane.name in titles
        ),
    ]
    lines += [f'<text class="year" x="{year.x}" y="16">{year.year or "no year"}</text>' for year in chart.years]
    return lines


def chart_edges(chart: Plan, links: Sequence[Edge]) -> list[str]:
    """An arrow for each edge, from what is read first (or cited) to what builds on it."""
    return [
        f'<path class="e{"" if edge.kind == "builds_on" else f" {edge.kind}"}"'
        f' d="{curve(chart.places[edge.target], chart.places[edge.source])}"/>'
        for edge in links
    ]


def chart_node(node: Linked, place: Place, name: str, *, href: str, title: str, extra: str = "") -> str:
    """A link with a box, a sign for its status and a name; all strings are HTML.

    title: what is shown on hovering.  extra: more attributes of the link.
    """
    worth = f" w{node.worth_reading}" if node.worth_reading else ""
    return (
        f'<a href="{href}" class="n{worth} {escape(node.status)}"{extra}><title>{title}</title>'
        f'<rect x="{place.x}" y="{place.y}" width="{place.width}" height="{place.height}" rx="{place.height // 2}"/>'
        f'<text x="{place.x + 8}" y="{place.middle + 4}">{_SIGNS.get(node.status) or "○"}</text>'
        f'<text x="{place.x + 21}" y="{place.middle + 4}">{name}</text></a>'
    )


def _titled(node: Linked) -> str:
    return f"{node.title} ({node.year or 'no year'}, {node.status})"


FORMATS: dict[str, Callable[[Nodes, Sequence[Edge]], str]] = {
    "json": as_json,
    "dot": as_dot,
    "graphml": as_graphml,
    "mermaid": as_mermaid,
    "svg": as_svg,
}


def _facts(node: Linked) -> dict[str, str | int | None]:
    return {
        "title": node.title,
        "kind": node.kind,
        "year": node.year,
        "topic": node.topics[0] if node.topics else None,
        "worth_reading": node.worth_reading,
        "status": node.status,
    }


def _label(ident: str, node: Linked) -> str:
    return f"{ident} {_SIGNS.get(node.status, '')}".strip()


def _fill(node: Linked) -> str:
    return _FILLS.get(node.status, _FILLS["unread"])


def _short(ident: str) -> str:
    return ident if len(ident) <= 18 else f"{ident[:17]}…"


def _quoted(text: str) -> str:
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{plain}"'


def _entities(text: str) -> str:
    """Text inside a Mermaid label: its own entity form, for quotes cannot be escaped."""
    return "".join(letter if letter.isalnum() or letter in " -._…✓–" else f"#{ord(letter)};" for letter in text)
