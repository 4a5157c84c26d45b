"""What leads to a paper: which papers are drawn, that words and picture agree, and how it goes with 300 papers."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import networkx as nx
import pytest

from kb_tools.graphs.order import reading_order
from kb_tools.records.model import Record
from kb_tools.site import graphs
from kb_tools.site.knowledge import Knowledge
from kb_tools.site.leads import MOST, WIDTH, Leads, first_goal, leads_to, wrapped

SVG = "{http://www.w3.org/2000/svg}"


def knowledge(records: list[dict[str, Any]]) -> Knowledge:
    found = {data["id"]: Record.model_validate(data) for data in records}
    return Knowledge(Path(), found, {}, reading_order(found), {})


@pytest.fixture
def made(a_record: Callable) -> Callable[..., Knowledge]:
    """made(c=("a", "b"), ...): papers and what they build on."""

    def make(worth: dict[str, int] | None = None, **needs: tuple[str, ...]) -> Knowledge:
        idents = dict.fromkeys([*needs, *(i for some in needs.values() for i in some)])
        return knowledge(
            [
                a_record(
                    i, aliases=[i.upper()], builds_on=list(needs.get(i, ())), worth_reading=(worth or {}).get(i, 2)
                )
                for i in idents
            ]
        )

    return make


def arrows(way: Leads) -> set[tuple[str, str]]:
    return {(a, b) for a, b in re.findall(r'data-from="([^"]+)" data-to="([^"]+)"', way.svg)}


def idents(way: Leads) -> list[str]:
    return [record.id for record in way.records]


def test_arrows_that_follow_are_counted_and_not_drawn(made: Callable) -> None:
    k = made(d=("a", "b", "c"), c=("b",), b=("a",))
    way = leads_to(k, "d", "../")
    assert idents(way) == ["a", "b", "c", "d"]
    assert arrows(way) == {("a", "b"), ("b", "c"), ("c", "d")}
    assert (way.follow, way.more, way.circles) == (2, 0, 0), "a to d and b to d"


def test_a_circle_is_told_and_nothing_is_lost(made: Callable) -> None:
    way = leads_to(made(a=("b",), b=("a",), c=("a",)), "c", "../")
    assert set(idents(way)) == {"a", "b", "c"}
    assert len(arrows(way)) + way.circles + way.follow == 3
    assert way.circles == 1


def test_of_many_the_nearest_and_those_worth_most_are_drawn(made: Callable) -> None:
    first = tuple(f"n{n:02}" for n in range(20))
    k = made(dict.fromkeys(first[6:], 3), goal=first, n00=("far",))
    way = leads_to(k, "goal", "../")
    assert len(way.records) == MOST
    assert set(idents(way)) == {"goal", *first[6:]}, "the 14 that are worth 3"
    assert way.more == 21 - 14


def test_what_is_drawn_stays_joined_when_some_is_not(made: Callable) -> None:
    chain = {f"c{n:02}": (f"c{n - 1:02}",) for n in range(1, 30)}
    way = leads_to(made(**chain), "c29", "../")
    assert idents(way) == [f"c{n:02}" for n in range(29 - MOST + 1, 30)]
    assert nx.is_weakly_connected(nx.DiGraph(arrows(way)))
    assert way.more == 29 - (MOST - 1)


def test_the_first_goal_is_where_most_ways_meet(made: Callable) -> None:
    needs = {"middle": ("a", "b"), "x": ("middle",), "y": ("middle",), "z": ("a",), "best": ("z",)}
    assert first_goal(made(**needs)) == "middle", "two before, two after"
    assert first_goal(made({"z": 3}, **needs)) == "z", "worth goes first"
    assert first_goal(made(alone=())) is None
    long = {f"c{n:02}": (f"c{n - 1:02}",) for n in range(1, 30)}
    assert first_goal(made(**long)) == "c14", "14 before it just fit; 15 before it would not"


def test_a_picture_is_xml_and_nothing_stands_outside_or_over_another(real: Any) -> None:
    pages = sorted(path.parent for path in (real.folder / "graph").glob("*/index.html"))
    papers = {i: r for i, r in real.collection.records().items() if r.kind in ("paper", "survey", "tutorial")}
    whole = nx.DiGraph((i, need) for i, r in papers.items() for need in r.builds_on if need in papers)
    assert [page.name for page in pages] == sorted(i for i in whole if nx.descendants(whole, i))
    for page in pages:
        html = (page / "index.html").read_text(encoding="utf-8")
        drawn = re.search(r'<svg class="leads".*?</svg>', html, re.DOTALL)
        assert drawn, page.name
        svg = ElementTree.fromstring(drawn[0].replace("<svg ", f'<svg xmlns="{SVG[1:-1]}" ', 1))
        links = svg.findall(f"{SVG}a")
        assert {link.get("data-node") for link in links} == {page.name} | nx.descendants(whole, page.name)
        rows = [float(link.findall(f"{SVG}circle")[0].get("cy", "")) for link in links]
        assert rows == sorted(rows)
        assert min(b - a for a, b in pairwise(rows)) >= 24, "a row is a target"
        words = re.findall(r'class="entry-title" href="\.\./\.\./papers/([^/]+)/"', html)
        assert words == [link.get("data-node") for link in links], "the words say the same in the same order"


def test_names_are_wrapped_and_only_the_longest_are_cut() -> None:
    assert wrapped("DDPM", 200) == ["DDPM"]
    lines = wrapped("Score-based generative modeling through stochastic differential equations", 200)
    assert " ".join(lines) == "Score-based generative modeling through stochastic differential equations"
    assert len(lines) > 1
    long = wrapped("word " * 60, 200)
    assert len(long) == 3
    assert long[-1].endswith("…")
    assert wrapped("x" * 300, 200)[0].endswith("…")


def test_three_hundred_papers(a_record: Callable) -> None:
    rng = random.Random(0)
    order = [f"p{rng.random():.12f}".replace(".", "-") for _ in range(300)]
    k = knowledge(
        [
            a_record(
                i, title=f"A title of some length about {i}", year=1990 + n // 9, worth_reading=rng.choice([1, 2, 3]),
                builds_on=rng.sample(order[max(0, n - 40) : n], min(n, rng.choice([0, 1, 2, 2, 3, 4]))),
            )
            for n, i in enumerate(order)
        ]
    )  # fmt: skip
    start = time.process_time()
    ways = [leads_to(k, i, "../../") for i in k.papers if k.path_to[i]]
    chart = graphs.whole(k)
    assert time.process_time() - start < 6, "the graph's part of a build of ten seconds"
    assert max(way.more for way in ways) > 100
    for way in ways:
        assert len(way.records) == min(MOST, 1 + len(k.path_to[way.goal.id]))
        assert len(way.records) + way.more == 1 + len(k.path_to[way.goal.id])
        assert len(way.svg.encode()) < 16_000
        assert all(0 < float(x) < WIDTH / 2 for x in re.findall(r'cx="([\d.]+)"', way.svg))
    whole = nx.DiGraph((i, need) for i, r in k.papers.items() for need in r.builds_on)
    assert chart.arrows == nx.transitive_reduction(whole).number_of_edges()
    assert chart.arrows + chart.follow == whole.number_of_edges()
    assert len(chart.svg.encode()) < 300_000
