"""The graph of a collection: its edges, what they add up to, what is missing, and what is alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Collection as Container
from dataclasses import dataclass
from heapq import heappop, heappush
from math import sqrt
from typing import Any, NamedTuple, Protocol

from kb_tools.graphs.dag import components
from kb_tools.graphs.order import Readable

KINDS = ("builds_on", "cites", "about")
DAMPING = 0.85


class Linked(Readable, Protocol):
    """What the graph asks of a record; a `Record` and an index `Entry` both have it."""

    @property
    def title(self) -> str: ...
    @property
    def topics(self) -> list[str]: ...
    @property
    def cites(self) -> list[str]: ...
    @property
    def about(self) -> list[str]: ...


class Edge(NamedTuple):
    """`source` builds on, cites, or is about `target`."""

    source: str
    target: str
    kind: str


@dataclass(frozen=True)
class Stats:
    """Figures of a graph.  chain: the longest path of builds_on, first read first.  The rankings are (id, figure)."""

    records: int
    edges: dict[str, int]
    chain: tuple[str, ...]
    most_built_on: list[tuple[str, int]]
    most_cited: list[tuple[str, int]]
    rank: list[tuple[str, float]]
    alone: list[str]


class Work(NamedTuple):
    """A work beyond the collection, and the records that cite it."""

    title: str
    arxiv: str | None
    doi: str | None
    cited_by: tuple[str, ...]


class Similar(NamedTuple):
    """A record that is like another: `shared` is what both cite, `together` what cites both; score in 0..2."""

    ident: str
    score: float
    shared: tuple[str, ...]
    together: tuple[str, ...]


def edges(records: Mapping[str, Linked], kinds: Container[str] = KINDS) -> list[Edge]:
    """Every edge between two records, by source, kind and target; edges to no record are left out."""
    return [
        Edge(ident, target, kind)
        for ident in sorted(records)
        for kind in KINDS
        if kind in kinds
        for target in sorted(set(getattr(records[ident], kind)))
        if target in records and target != ident
    ]


def around(ident: str, links: Iterable[Edge], depth: int) -> set[str]:
    """A record and everything within `depth` edges of it, in either direction."""
    neighbours: dict[str, set[str]] = {}
    for edge in links:
        neighbours.setdefault(edge.source, set()).add(edge.target)
        neighbours.setdefault(edge.target, set()).add(edge.source)
    near, border = {ident}, {ident}
    for _ in range(depth):
        border = {other for one in border for other in neighbours.get(one, ())} - near
        near |= border
    return near


def reached(targets: Mapping[str, Sequence[str]]) -> dict[str, set[str]]:
    """All that each node leads to, in one step or more; a node of a circle leads to itself.

    targets: node -> the nodes at the ends of its arrows, all of them keys themselves.
    """
    found: dict[str, set[str]] = {}
    for group in components(targets):
        ends = {other for ident in group for other in targets[ident]}
        found.update(dict.fromkeys(group, ends.union(*(found.get(other, ()) for other in ends))))
    return found


def implied(links: Iterable[Edge]) -> list[Edge]:
    """The edges that say nothing new: their target is also reached through another target of their source.

    What is left is the transitive reduction.  Of edges into or within a circle none is left out for another of the
    same circle, so that whatever is joined stays joined.
    """
    links = list(links)
    targets: dict[str, list[str]] = {ident: [] for edge in links for ident in edge[:2]}
    for edge in links:
        targets[edge.source].append(edge.target)
    below = reached(targets)
    return [
        edge
        for edge in links
        if any(
            edge.target in below[via] and edge.source not in below[via] and via not in below[edge.target]
            for via in targets[edge.source]
            if via != edge.target
        )
    ]


def nearest(ident: str, links: Iterable[Edge], most: int, key: Callable[[str], Any]) -> list[str]:
    """A record and up to `most - 1` of those that it leads to along `links`: the fewest steps away, then by `key`.

    Each of them is the target of one that came before it, so that none is cut off from the first.
    """
    targets: dict[str, list[str]] = {}
    for edge in links:
        targets.setdefault(edge.source, []).append(edge.target)
    found: dict[str, None] = {}
    waiting: list[tuple[int, Any, str]] = [(0, key(ident), ident)]
    while waiting and len(found) < most:
        steps, _, one = heappop(waiting)
        if one in found:
            continue
        found[one] = None
        for other in targets.get(one, ()):
            if other not in found:
                heappush(waiting, (steps + 1, key(other), other))
    return list(found)


def statistics(records: Mapping[str, Linked], count: int = 10) -> Stats:
    """Figures over all records; rankings hold the first `count`, ties by id."""
    links = edges(records)
    of_kind = {kind: [edge for edge in links if edge.kind == kind] for kind in KINDS}
    touched = {ident for edge in links for ident in edge[:2]}
    return Stats(
        records=len(records),
        edges={kind: len(found) for kind, found in of_kind.items()},
        chain=longest_chain(of_kind["builds_on"]),
        most_built_on=_most(of_kind["builds_on"], count),
        most_cited=_most(of_kind["cites"], count),
        rank=_first(page_rank(records, of_kind["cites"]), count),
        alone=sorted(set(records) - touched),
    )


def longest_chain(links: Iterable[Edge]) -> tuple[str, ...]:
    """The longest path along builds_on, from what is read first to what is read last.

    Papers that build on each other in a circle count as one step, named by the first of their ids.
    """
    import networkx as nx

    graph = nx.DiGraph((edge.target, edge.source) for edge in sorted(links))
    groups = nx.condensation(graph)
    return tuple(min(groups.nodes[group]["members"]) for group in nx.dag_longest_path(groups))


def page_rank(nodes: Iterable[str], links: Iterable[Edge], tolerance: float = 1e-12) -> dict[str, float]:
    """PageRank (Page et al. 1999) of records by what cites them; the ranks add up to 1.

    By power iteration: networkx would load scipy for it.
    """
    names = sorted(nodes)
    if not names:
        return {}
    out: dict[str, list[str]] = {name: [] for name in names}
    for edge in links:
        out[edge.source].append(edge.target)
    rank = dict.fromkeys(names, 1 / len(names))
    change = 1.0
    while change > tolerance:
        # What cites nothing gives its rank to everybody.
        idle = sum(rank[name] for name in names if not out[name])
        following = dict.fromkeys(names, (1 - DAMPING + DAMPING * idle) / len(names))
        for name in names:
            for target in out[name]:
                following[target] += DAMPING * rank[name] / len(out[name])
        change = sum(abs(following[name] - rank[name]) for name in names)
        rank = following
    return rank


def missing(works: Iterable[Work], least: int) -> list[Work]:
    """Works that at least `least` records cite and that are none of them, most cited first."""
    found = [work for work in works if len(work.cited_by) >= least]
    return sorted(found, key=lambda work: (-len(work.cited_by), work.title))


def similar(ident: str, records: Mapping[str, Linked], works: Iterable[Work] = (), count: int = 10) -> list[Similar]:
    """Records like this one: bibliographic coupling plus co-citation, each as a cosine in 0..1.

    Coupling (Kessler 1963) counts the references that two works share, works beyond the collection included;
    co-citation (Small 1973) the records that cite both.
    """
    cited: dict[str, set[str]] = {name: {one for one in records[name].cites if one in records} for name in records}
    for work in works:
        for name in work.cited_by:
            if name in cited:
                cited[name].add(work.title)
    citing: dict[str, set[str]] = {name: set() for name in records}
    for name, found in cited.items():
        for one in found & citing.keys():
            citing[one].add(name)
    results = []
    for other in sorted(records.keys() - {ident}):
        shared, together = cited[ident] & cited[other], citing[ident] & citing[other]
        score = _cosine(shared, cited[ident], cited[other]) + _cosine(together, citing[ident], citing[other])
        if score:
            results.append(Similar(other, score, tuple(sorted(shared)), tuple(sorted(together))))
    return sorted(results, key=lambda one: (-one.score, one.ident))[:count]


def _cosine(both: set[str], one: set[str], other: set[str]) -> float:
    return len(both) / sqrt(len(one) * len(other)) if both else 0.0


def _most(links: Sequence[Edge], count: int) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for edge in links:
        counts[edge.target] = counts.get(edge.target, 0) + 1
    return _first(counts, count)


def _first(figures: Mapping[str, float], count: int) -> list:
    return sorted(figures.items(), key=lambda item: (-item[1], item[0]))[:count]
