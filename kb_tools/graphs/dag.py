"""Directed graphs of ids without a library: groups that lead to each other, and an order that respects the arrows.

networkx has both, and takes longer to load than a list of a thousand papers takes to order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import Any


def components(leads_to: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Strongly connected components, each after every other that it leads to (Tarjan, SIAM J. Comput. 1972).

    leads_to: node -> the nodes at the ends of its arrows, all of them keys themselves.
    """
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    waiting: set[str] = set()
    found: list[list[str]] = []
    for root in leads_to:
        path = [] if root in number else [(root, iter(leads_to[root]))]
        while path:
            node, rest = path[-1]
            if node not in number:
                number[node] = low[node] = len(number)
                stack.append(node)
                waiting.add(node)
            for other in rest:
                if other not in number:
                    path.append((other, iter(leads_to[other])))
                    break
                if other in waiting:
                    low[node] = min(low[node], number[other])
            else:
                path.pop()
                if path:
                    above = path[-1][0]
                    low[above] = min(low[above], low[node])
                if low[node] == number[node]:
                    group = [stack.pop()]
                    while group[-1] != node:
                        group.append(stack.pop())
                    waiting.difference_update(group)
                    found.append(group)
    return found


def topological(leads_to: Sequence[set[int]], key: Callable[[int], Any]) -> list[int]:
    """The nodes 0, 1, ... of an acyclic graph, none before what leads to it; among those ready, the least key first."""
    before = [0] * len(leads_to)
    for targets in leads_to:
        for target in targets:
            before[target] += 1
    ready = [(key(node), node) for node, count in enumerate(before) if count == 0]
    heapify(ready)
    sequence = []
    while ready:
        _, node = heappop(ready)
        sequence.append(node)
        for target in leads_to[node]:
            before[target] -= 1
            if before[target] == 0:
                heappush(ready, (key(target), target))
    return sequence
