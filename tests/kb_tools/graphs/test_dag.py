"""Groups and orders of small graphs, held against what can be walked to and against networkx."""

from __future__ import annotations

import subprocess
import sys

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb_tools.graphs.dag import components, topological

NODES = [f"n{number}" for number in range(12)]
EDGES = st.lists(st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)), max_size=40)


def walked(leads_to: dict[str, list[str]]) -> dict[str, set[str]]:
    """Node -> itself and all that can be walked to from it."""
    found = {}
    for start in leads_to:
        seen, border = {start}, [start]
        while border:
            border = [other for node in border for other in leads_to[node] if other not in seen]
            seen.update(border)
        found[start] = seen
    return found


@given(edges=EDGES)
def test_components_lead_to_each_other_and_come_after_what_they_lead_to(edges):
    leads_to = {node: [target for source, target in edges if source == node] for node in NODES}
    to = walked(leads_to)
    found = components(leads_to)
    assert sorted(node for group in found for node in group) == sorted(NODES)
    place = {node: number for number, group in enumerate(found) for node in group}
    for one in NODES:
        for other in NODES:
            assert (place[one] == place[other]) == (other in to[one] and one in to[other])
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


@pytest.mark.parametrize(("end", "loaded"), [([], "False"), (["a"], "True")], ids=["acyclic", "a circle"])
def test_networkx_is_loaded_only_where_arrows_run_in_a_circle(end, loaded):
    script = (
        "import sys\nfrom kb_tools.graphs.dag import components, topological\n"
        f"components({{'a': ['b'], 'b': {end}}})\ntopological([{{1}}, set()], int)\nprint('networkx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == loaded
