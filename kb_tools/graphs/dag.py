"""Directed graphs of ids: groups that lead to each other, and an order that respects the arrows.

networkx takes longer to load than a command may take, so it is asked only where arrows run in a circle; all else is
done by `graphlib` of the standard library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from typing import Any


def components(leads_to: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Strongly connected components, each after every other that it leads to.

    leads_to: node -> the nodes at the ends of its arrows, all of them keys themselves.
    """
    try:
        return [[node] for node in TopologicalSorter(leads_to).static_order()]
    except CycleError:
        import networkx as nx

        groups = nx.condensation(nx.DiGraph({node: list(targets) for node, targets in leads_to.items()}))
        return [sorted(groups.nodes[group]["members"]) for group in reversed(list(nx.topological_sort(groups)))]


def topological(leads_to: Sequence[set[int]], key: Callable[[int], Any]) -> list[int]:
    """The nodes 0, 1, ... of an acyclic graph, none before what leads to it; among those ready, the least key first."""
    sorter: TopologicalSorter[int] = TopologicalSorter(dict.fromkeys(range(len(leads_to)), ()))
    for node, targets in enumerate(leads_to):
        for target in targets:
            sorter.add(target, node)
    sorter.prepare()
    ready: list[tuple[Any, int]] = []
    sequence = []
    while sorter.is_active():
        for node in sorter.get_ready():
            heappush(ready, (key(node), node))
        _, first = heappop(ready)
        sequence.append(first)
        sorter.done(first)
    return sequence
