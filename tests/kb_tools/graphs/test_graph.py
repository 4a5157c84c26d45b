"""The graph: edges, figures against hand-made graphs and networkx, and formats read back by other programs."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb_tools.graphs.drawing import FORMATS, as_dot, as_graphml, as_json, as_mermaid, as_svg
from kb_tools.graphs.graph import (
    Edge,
    Work,
    around,
    edges,
    implied,
    longest_chain,
    missing,
    nearest,
    page_rank,
    reached,
    similar,
    statistics,
)


@dataclass(frozen=True)
class Node:
    """What the graph asks of a record."""

    id: str
    title: str
    kind: str = "paper"
    year: int | None = 2020
    status: str = "unread"
    worth_reading: int | None = None
    topics: list[str] = field(default_factory=lambda: ["basics"])
    builds_on: list[str] = field(default_factory=list)
    cites: list[str] = field(default_factory=list)
    about: list[str] = field(default_factory=list)


def node(ident: str, fields: dict[str, Any]) -> Node:
    named: dict[str, Any] = {"title": f"Title of {ident}"}
    return Node(ident, **named | fields)


def graph(**records: dict[str, Any]) -> dict[str, Node]:
    return {ident: node(ident, fields) for ident, fields in records.items()}


# a <- b <- c, and c cites a; d stands alone; e is about b.
SMALL = graph(
    a={"year": 2015, "worth_reading": 3},
    b={"builds_on": ["a"], "cites": ["a", "gone"]},
    c={"builds_on": ["b"], "cites": ["a", "b"], "topics": ["speed"], "status": "read"},
    d={"year": None, "topics": []},
    e={"kind": "blog", "about": ["b"]},
)


def test_edges_are_those_between_records():
    assert edges(SMALL) == [
        Edge("b", "a", "builds_on"),
        Edge("b", "a", "cites"),
        Edge("c", "b", "builds_on"),
        Edge("c", "a", "cites"),
        Edge("c", "b", "cites"),
        Edge("e", "b", "about"),
    ]
    assert [edge.source for edge in edges(SMALL, ["about"])] == ["e"]


def test_around_counts_edges_in_either_direction():
    links = edges(SMALL, ["builds_on"])
    assert around("a", links, 1) == {"a", "b"}
    assert around("a", links, 2) == {"a", "b", "c"}
    assert around("d", links, 3) == {"d"}


PAIRS = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda p: p[0] != p[1]), unique=True)


def linked(pairs: list[tuple[int, int]]) -> list[Edge]:
    return [Edge(f"p{a}", f"p{b}", "builds_on") for a, b in pairs]


@given(PAIRS)
def test_what_is_implied_is_what_networkx_reduces_away(pairs):
    links = linked([(max(pair), min(pair)) for pair in pairs])
    links = list(dict.fromkeys(links))
    kept = nx.transitive_reduction(nx.DiGraph(edge[:2] for edge in links)).edges
    assert sorted(edge[:2] for edge in set(links) - set(implied(links))) == sorted(kept)


@given(PAIRS)
def test_nothing_is_cut_off_by_leaving_out_what_is_implied_in_circles_either(pairs):
    links = linked(pairs)
    kept = nx.DiGraph(edge[:2] for edge in set(links) - set(implied(links)))
    kept.add_nodes_from(ident for edge in links for ident in edge[:2])
    whole = nx.DiGraph(edge[:2] for edge in links)
    assert {i: nx.descendants(whole, i) for i in whole} == {i: nx.descendants(kept, i) for i in whole}


@given(PAIRS)
def test_reached_is_what_networkx_walks_to(pairs):
    whole = nx.DiGraph(pairs)
    assert reached({i: list(whole.successors(i)) for i in whole}) == {
        i: {other for step in whole.successors(i) for other in {step} | nx.descendants(whole, step)} for i in whole
    }


def test_many_ways_through_a_deep_graph_take_no_time():
    # Two of each rank, both leading to both of the next: 2^200 ways, which nobody can walk one by one.
    ranks = [[f"a{n}", f"b{n}"] for n in range(200)]
    targets = {i: below for above, below in zip(ranks, [*ranks[1:], []], strict=True) for i in above}
    assert len(reached(targets)["a0"]) == 398


def test_the_nearest_come_first_and_none_is_cut_off():
    # goal builds on near and far-off; deep stands behind near, best behind deep.
    links = linked([(0, 1), (0, 2), (1, 3), (3, 4), (2, 3)])
    key = {"p0": 0, "p1": 2, "p2": 1, "p3": 0, "p4": 0}.__getitem__
    assert nearest("p0", links, 3, key) == ["p0", "p2", "p1"], "of those one step away, the one with the lesser key"
    assert nearest("p0", links, 9, key) == ["p0", "p2", "p1", "p3", "p4"]
    assert nearest("p0", linked([(0, 1), (1, 0)]), 9, key) == ["p0", "p1"], "a circle ends"
    assert nearest("p0", [], 9, key) == ["p0"]


def test_statistics_of_a_graph_counted_by_hand():
    stats = statistics(SMALL)
    assert (stats.records, stats.edges) == (5, {"builds_on": 2, "cites": 3, "about": 1})
    assert stats.chain == ("a", "b", "c")
    assert stats.most_cited == [("a", 2), ("b", 1)]
    assert stats.most_built_on == [("a", 1), ("b", 1)]
    assert stats.alone == ["d"]
    assert stats.rank[0][0] == "a"


def test_a_circle_is_one_step_of_a_chain():
    links = [Edge(*one, "builds_on") for one in (("b", "a"), ("c", "b"), ("b", "c"), ("d", "c"))]
    assert longest_chain(links) == ("a", "b", "d")
    assert longest_chain([]) == ()


def test_rank_of_two_papers_solved_by_hand():
    # b cites a, a cites nothing: r_a = 0.075 + 0.425 r_a + 0.85 r_b, r_b = 0.075 + 0.425 r_a
    rank = page_rank("ab", [Edge("b", "a", "cites")])
    r_a = (0.075 + 0.85 * 0.075) / (1 - 0.425 - 0.85 * 0.425)
    assert rank["a"] == pytest.approx(r_a, abs=1e-10)
    assert page_rank([], []) == {}


@given(st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda pair: pair[0] != pair[1]), max_size=24))
def test_rank_is_the_stationary_state_of_a_random_reader(pairs):
    """Against a dense linear solve of the definition, by numpy."""
    numpy = pytest.importorskip("numpy")
    size = 8
    step = numpy.zeros((size, size))
    for source in range(size):
        targets = [target for one, target in pairs if one == source]
        for target in targets or range(size):
            step[target, source] = 1 / len(targets or range(size))
    exact = numpy.linalg.solve(numpy.eye(size) - 0.85 * step, numpy.full(size, 0.15 / size))
    rank = page_rank([str(n) for n in range(size)], [Edge(str(a), str(b), "cites") for a, b in sorted(pairs)])
    assert [rank[str(n)] for n in range(size)] == pytest.approx(exact.tolist(), abs=1e-9)


WORKS = [
    Work("Shared", "1706.03762", None, ("b", "c", "d")),
    Work("Another", None, None, ("a", "b", "c")),
    Work("Rare", None, "10.1/x", ("a",)),
]


def test_missing_counts_those_who_cite():
    assert [work.title for work in missing(WORKS, 3)] == ["Another", "Shared"]
    assert [work.title for work in missing(WORKS, 1)] == ["Another", "Shared", "Rare"]
    assert missing(WORKS, 4) == []


def test_likeness_computed_by_hand():
    """b cites a, Shared, Another; c cites a, b, Shared, Another: coupling 3/sqrt(3*4).  Nothing cites both."""
    found = {one.ident: one for one in similar("b", SMALL, WORKS)}
    assert found["c"].score == pytest.approx(3 / 12**0.5)
    assert found["c"].shared == ("Another", "Shared", "a")
    # a cites Another and Rare: coupling 1/sqrt(3*2); c cites a and b, b cites a: co-citation 1/sqrt(2*1).
    assert found["a"].score == pytest.approx(1 / 6**0.5 + 1 / 2**0.5)
    assert found["a"].together == ("c",)
    assert [one.ident for one in similar("b", SMALL, WORKS, count=1)] == ["a"]
    assert similar("e", SMALL) == []


HOSTILE = graph(
    a={"title": '"><script>alert(1)</script> \\" ]; x --> y', "topics": ["<b>&"]},
    b={"builds_on": ["a"], "cites": ["a"], "worth_reading": 3, "status": "reading", "title": "Über & α"},
    end={"builds_on": ["b"], "year": None, "topics": []},
)
LINKS = edges(HOSTILE)


def test_json_is_read_back_by_networkx():
    back = nx.node_link_graph(json.loads(as_json(HOSTILE, LINKS)), edges="links")
    assert set(back.edges(data="kind")) == {tuple(edge) for edge in LINKS}
    assert back.nodes["a"]["title"] == HOSTILE["a"].title


def test_graphml_is_read_back_by_networkx():
    back = nx.read_graphml(io.BytesIO(as_graphml(HOSTILE, LINKS).encode()), force_multigraph=True)
    assert {(source, target, kind) for source, target, kind in back.edges(data="kind")} == {tuple(e) for e in LINKS}
    assert (back.nodes["b"]["year"], back.nodes["b"]["title"]) == (2020, "Über & α")


def test_dot_quotes_what_it_must():
    text = as_dot(HOSTILE, LINKS)
    assert text.count("->") - text.count("-->") == len(LINKS)
    assert r'tooltip="\"><script>alert(1)</script> \\\" ]; x --> y"' in text
    assert '"a" -> "b" [class="builds_on"];' in text
    assert text.startswith("digraph") and text.endswith("}\n")


def test_mermaid_uses_no_word_of_its_own():
    lines = as_mermaid(HOSTILE, LINKS).splitlines()
    assert lines[0] == "flowchart LR"
    assert lines[1:] == ['  n0["a"]', '  n1["b …"]', '  n2["end"]', "  n0 --> n1", "  n0 -.-> n1", "  n1 --> n2"]


def test_svg_has_a_link_and_a_title_for_every_node_and_no_markup_from_records():
    text = as_svg(HOSTILE, LINKS)
    root = ElementTree.fromstring(text)
    space = {"s": "http://www.w3.org/2000/svg"}
    links = root.findall("s:a", space)
    assert [link.get("href") for link in links] == ["papers/a/", "papers/b/", "papers/end/"]
    assert links[0].findtext("s:title", None, space) == f"{HOSTILE['a'].title} (2020, unread)"
    assert len(root.findall("s:path", space)) == len(LINKS)
    assert "script" not in {element.tag.rpartition("}")[2] for element in root.iter()}
    assert not re.search(r"(?:href|src)=\"(?!papers/)", text)


def test_svg_puts_years_from_left_to_right():
    root = ElementTree.fromstring(as_svg(SMALL, edges(SMALL, ["builds_on"])))
    space = {"s": "http://www.w3.org/2000/svg"}
    boxes = {link.get("href"): link.find("s:rect", space) for link in root.findall("s:a", space)}
    x = {href: float(box.get("x", "nan")) for href, box in boxes.items() if box is not None}
    assert x["papers/d/"] < x["papers/a/"] < x["papers/b/"]


@pytest.mark.parametrize("form", FORMATS)
def test_formats_of_nothing_are_whole(form):
    assert FORMATS[form]({}, []).strip()


@pytest.mark.parametrize("form", FORMATS)
def test_formats_do_not_depend_on_the_order_of_records(form):
    turned = dict(reversed(HOSTILE.items()))
    assert FORMATS[form](HOSTILE, LINKS) == FORMATS[form](turned, edges(turned))
