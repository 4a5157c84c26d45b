"""Groups and orders of small graphs, held against networkx."""

from __future__ import annotations

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from kb_tools.graphs.dag import components, topological

NODES = [f"n{number}" for number in range(12)]
EDGES = st.lists(st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)), max_size=40)


@given(edges=EDGES)
def test_components_are_those_of_networkx_each_after_what_it_leads_to(edges):
    graph = nx.DiGraph()
    graph.add_nodes_from(NODES)
    graph.add_edges_from(edges)
    found = components({node: list(graph.successors(node)) for node in NODES})
    assert sorted(map(sorted, found)) == sorted(map(sorted, nx.strongly_connected_components(graph)))
    place = {node: number for number, group in enumerate(found) for node in group}
    assert all(place[target] <= place[source] for source, target in edges)


@given(pairs=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=40), keys=st.permutations(range(12)))
def test_the_order_is_that_of_networkx(pairs, keys):
    graph = nx.DiGraph()
    graph.add_nodes_from(range(12))
    graph.add_edges_from((min(pair), max(pair)) for pair in pairs if pair[0] != pair[1])
    expected = list(nx.lexicographical_topological_sort(graph, key=lambda node: keys[node]))
    assert topological([set(graph.successors(node)) for node in range(12)], lambda node: keys[node]) == expected


def test_a_long_chain_and_a_long_cycle_need_no_recursion():
    chain = {str(number): [str(number + 1)] for number in range(5_000)} | {"5000": []}
    assert [group[0] for group in components(chain)] == [str(number) for number in range(5_000, -1, -1)]
    [cycle] = components(chain | {"5000": ["0"]})
    assert len(cycle) == 5_001
