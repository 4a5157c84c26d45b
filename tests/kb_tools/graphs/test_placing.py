"""Where the nodes of a graph stand."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from kb_tools.graphs.graph import Edge
from kb_tools.graphs.placing import plan


@dataclass(frozen=True)
class Node:
    """What the graph asks of a record."""

    id: str
    year: int | None
    topics: list[str]
    worth_reading: int | None
    kind: str = "paper"
    status: str = "unread"
    title: str = ""
    builds_on: list[str] = field(default_factory=list)
    cites: list[str] = field(default_factory=list)
    about: list[str] = field(default_factory=list)


def nodes_of(years, topics=("a", "b", "c"), seed=0):
    rng = random.Random(seed)
    return {
        f"p{n}": Node(f"p{n}", year, topics=[rng.choice(topics)], worth_reading=rng.choice([None, 1, 2, 3]))
        for n, year in enumerate(years)
    }


def overlaps(a, b):
    return a.x < b.x + b.width and b.x < a.x + a.width and a.y < b.y + b.height and b.y < a.y + a.height


@given(st.lists(st.one_of(st.none(), st.integers(2000, 2004)), min_size=1, max_size=25), st.integers(0, 999))
def test_boxes_never_overlap_and_stay_in_their_lane_and_year(years, seed):
    nodes = nodes_of(years, seed=seed)
    rng = random.Random(seed)
    links = [Edge(a, b, "builds_on") for a, b in combinations(nodes, 2) if rng.random() < 0.15]
    chart = plan(nodes, links, {i: i * 3 for i in nodes}, ["a", "b", "c"])
    assert not [pair for pair in combinations(chart.places.values(), 2) if overlaps(*pair)]
    spans = {span.year: span for span in chart.years}
    for ident, place in chart.places.items():
        span = spans[nodes[ident].year or 0]
        assert span.x <= place.x
        assert place.x + place.width <= span.x + span.width
        lane = next(lane for lane in chart.lanes if lane.name == nodes[ident].topics[0])
        assert lane.top <= place.y
        assert place.y + place.height <= lane.top + lane.height
        assert place.x + place.width <= chart.width
    xs = [span.x for span in chart.years]
    assert xs == sorted(xs)


def test_what_is_built_on_within_a_year_stands_left_of_it_even_in_a_circle():
    nodes = nodes_of([2020, 2020, 2020, 2020])
    chain = [Edge("p1", "p0", "builds_on"), Edge("p2", "p1", "builds_on")]
    x = {i: p.x for i, p in plan(nodes, chain, {i: i for i in nodes}).places.items()}
    assert x["p0"] < x["p1"] < x["p2"]
    assert x["p3"] == x["p0"]
    circle = plan(nodes, [*chain, Edge("p0", "p2", "builds_on")], {i: i for i in nodes})
    assert len(circle.places) == 4


def test_the_order_of_nodes_and_edges_moves_nothing():
    nodes = nodes_of([2019, 2020, 2020, 2021, 2021, 2021])
    links = [Edge("p3", "p0", "builds_on"), Edge("p4", "p1", "builds_on"), Edge("p5", "p2", "builds_on")]
    turned = dict(reversed(nodes.items()))
    names = {i: i for i in nodes}
    assert plan(nodes, links, names, ["a", "b"]) == plan(turned, links[::-1], names, ["a", "b"])


def test_a_neighbour_pulls_a_node_to_its_row():
    nodes = nodes_of([2019, 2019, 2020, 2020], topics=("a",))
    crossed = [Edge("p2", "p1", "builds_on"), Edge("p3", "p0", "builds_on")]
    y = {i: p.middle for i, p in plan(nodes, crossed, {i: i for i in nodes}).places.items()}
    assert (y["p2"] < y["p3"]) == (y["p1"] < y["p0"]), "the two arrows do not cross"


def test_three_hundred_papers_have_a_picture_of_bounded_size():
    rng = random.Random(7)
    nodes = nodes_of([rng.randint(2015, 2026) for _ in range(300)], topics=[f"t{n}" for n in range(15)], seed=7)
    idents = sorted(nodes, key=lambda i: nodes[i].year or 0)
    links = [Edge(idents[n], idents[rng.randrange(n)], "builds_on") for n in range(1, 300)]
    chart = plan(nodes, links, dict.fromkeys(nodes, "a name of size"), [f"t{n}" for n in range(15)])
    assert not [pair for pair in combinations(chart.places.values(), 2) if overlaps(*pair)]
    assert chart.height < 15 * 12 * 30, "a dozen rows a lane at most"
    assert chart.width < 12 * 10 * 170, "ten columns a year at most"


def test_nothing_has_an_empty_picture():
    chart = plan({}, [], {})
    assert (chart.places, chart.lanes, chart.years) == ({}, [], [])
