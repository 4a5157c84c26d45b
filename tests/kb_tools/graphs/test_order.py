"""The reading order: hand-made cases, and its properties on random graphs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb_tools.errors import NotFoundError
from kb_tools.graphs.order import main_goals, next_papers, reading_order


@dataclass
class Paper:
    id: str
    builds_on: list[str] = field(default_factory=list)
    worth_reading: int | None = None
    kind: str = "paper"
    year: int | None = 2020
    status: str = "unread"


def shelf(*papers: Paper) -> dict[str, Paper]:
    return {paper.id: paper for paper in papers}


def ids(steps) -> list[str]:
    return [ident for step in steps for ident in step.ids]


def test_a_goal_gives_what_it_needs_and_nothing_else():
    papers = shelf(
        Paper("goal", ["b", "c"]),
        Paper("b", ["a"]),
        Paper("c", ["a"]),
        Paper("a"),
        Paper("above", ["goal"]),
        Paper("x"),
    )
    assert ids(reading_order(papers, ["goal"])) == ["a", "b", "c", "goal"]


def test_tutorials_come_first_then_worth_then_age_then_id():
    papers = shelf(
        Paper("zeta", worth_reading=1, year=1990),
        Paper("plain", worth_reading=2, year=2010),
        Paper("older", worth_reading=2, year=2000),
        Paper("beta", worth_reading=2, year=2010),
        Paper("none"),
        Paper("guide", kind="tutorial"),
    )
    assert ids(reading_order(papers)) == ["guide", "older", "beta", "plain", "zeta", "none"]


def test_a_prerequisite_is_worth_what_it_leads_to():
    papers = shelf(Paper("dull", worth_reading=1), Paper("great", ["dull"], 3), Paper("good", worth_reading=2))
    steps = reading_order(papers)
    assert ids(steps) == ["dull", "great", "good"]
    assert (steps[0].worth_reading, steps[0].priority) == (1, 3)
    assert steps[0].why == "Needed for great; worth 1 of 3 itself, but it leads to 3."


def test_a_cycle_is_one_step_to_be_read_together():
    papers = shelf(
        Paper("a"), Paper("b", ["a", "d"], year=2021), Paper("c", ["b"]), Paper("d", ["c"]), Paper("e", ["d"])
    )
    steps = reading_order(papers, ["e"])
    assert [step.ids for step in steps] == [("a",), ("c", "d", "b"), ("e",)]
    assert "together: they build on each other" in steps[1].why
    assert steps[1].needs == ("a",)
    assert steps[1].needed_by == ("e",)


def test_resources_and_edges_to_nothing_are_left_out():
    papers = shelf(Paper("a", ["nothing", "post", "a"]), Paper("post", kind="blog"))
    assert ids(reading_order(papers)) == ["a"]
    with pytest.raises(NotFoundError, match="post"):
        reading_order(papers, ["post"])


def test_every_reason_is_a_sentence_about_the_paper():
    papers = shelf(
        Paper("root"),
        Paper("mid", ["root"], 2),
        Paper("top", ["mid"], 3),
        Paper("alone", worth_reading=2),
        Paper("t", kind="tutorial"),
    )
    reasons = {step.ids[0]: step.why for step in reading_order(papers, ["top", "alone", "t"])}
    assert reasons == {
        "root": "Needed for mid; opens 2 papers in all.",
        "mid": "Needed for top; worth 2 of 3 itself, but it leads to 3.",
        "top": "The goal; it builds on mid.",
        "alone": "The goal itself.",
        "t": "The goal itself.",
    }


def test_next_needs_its_prerequisites_read_and_says_so():
    papers = shelf(
        Paper("a", status="read"),
        Paper("b", ["a"], 3),
        Paper("c", ["b"], 3),
        Paper("d", worth_reading=1),
        Paper("s", status="skipped"),
    )
    found = next_papers(papers, count=5)
    assert [one.ids for one in found] == [("b",), ("d",)]
    assert found[0].why == "You have read a; it opens 1 paper, first c."
    papers["d"].status = "reading"
    assert next_papers(papers, count=1)[0].why == "You have begun it; it asks for nothing; worth reading 1 of 3."
    assert next_papers(papers, goals=["b"], count=5)[0].ids == ("b",)


def test_main_goals_are_the_best_papers_that_lead_to_no_other():
    papers = shelf(
        Paper("a", [], 3), Paper("b", ["a"], 3), Paper("m", ["b"], 1), Paper("c", ["m"], 3), Paper("d", ["a"], 2)
    )
    assert main_goals(papers) == ["c"]


names = [f"p{number:02}" for number in range(12)]


@st.composite
def shelves(draw, acyclic: bool = True) -> dict[str, Paper]:
    """Random papers; without cycles, each builds on earlier ones only, in a shuffled naming."""
    size = draw(st.integers(1, len(names)))
    order = draw(st.permutations(names[:size]))
    papers = {}
    for place, name in enumerate(order):
        pool = order[:place] if acyclic else order
        needs = draw(st.lists(st.sampled_from(pool), max_size=3, unique=True)) if pool else []
        papers[name] = Paper(
            name,
            needs,
            draw(st.sampled_from([None, 1, 2, 3])),
            draw(st.sampled_from(["paper", "tutorial"])),
            draw(st.sampled_from([2019, 2020, None])),
        )
    return papers


@given(shelves(), st.data())
def test_the_order_is_a_permutation_of_the_closure_with_prerequisites_first(papers, data):
    goals = data.draw(st.lists(st.sampled_from(sorted(papers)), max_size=2, unique=True))
    graph = nx.DiGraph([(need, paper.id) for paper in papers.values() for need in paper.builds_on])
    graph.add_nodes_from(papers)
    closure = set(goals).union(*(nx.ancestors(graph, goal) for goal in goals)) if goals else set(papers)
    order = ids(reading_order(papers, goals))
    assert sorted(order) == sorted(closure)
    place = {ident: number for number, ident in enumerate(order)}
    assert all(place[need] < place[ident] for ident in order for need in papers[ident].builds_on)


@given(shelves(acyclic=False))
def test_with_cycles_every_paper_stands_once_and_what_is_outside_a_cycle_keeps_its_order(papers):
    steps = reading_order(papers)
    assert sorted(ids(steps)) == sorted(papers)
    place = {ident: number for number, step in enumerate(steps) for ident in step.ids}
    assert all(place[need] <= place[ident] for ident in papers for need in papers[ident].builds_on)


@given(shelves(), st.data())
def test_the_order_of_the_files_does_not_matter(papers, data):
    shuffled = {ident: papers[ident] for ident in data.draw(st.permutations(sorted(papers)))}
    assert reading_order(shuffled) == reading_order(papers)


@given(shelves(), st.data())
def test_reading_a_paper_only_removes_it(papers, data):
    done = set(data.draw(st.lists(st.sampled_from(sorted(papers)), max_size=3)))
    assert ids(reading_order(papers, done=done)) == [ident for ident in ids(reading_order(papers)) if ident not in done]


@given(shelves(), st.integers(1, 3))
def test_an_unrelated_paper_moves_nothing_else(papers, worth):
    more = {**papers, "unrelated": Paper("unrelated", [], worth)}
    assert [ident for ident in ids(reading_order(more)) if ident != "unrelated"] == ids(reading_order(papers))


@given(shelves())
def test_what_is_next_is_always_ready(papers):
    for number, paper in enumerate(papers.values()):
        paper.status = ("read", "unread", "skipped", "reading")[number % 4]
    done = {ident for ident, paper in papers.items() if paper.status in ("read", "skipped")}
    found = next_papers(papers, count=20)
    assert all(done.issuperset(papers[ident].builds_on) for one in found for ident in one.ids)
    assert bool(found) == bool(set(papers) - done)


def test_the_order_does_not_depend_on_the_hash_seed():
    script = (
        "import json, random\nfrom types import SimpleNamespace as P\nfrom kb_tools.graphs.order import reading_order\n"
        "r = random.Random(5)\nn = [f'p{i}' for i in range(60)]\n"
        "p = {x: P(id=x, kind='paper', year=2020, status='unread', worth_reading=None,"
        " builds_on=r.sample(n[:i], min(i, 2))) for i, x in enumerate(n)}\n"
        "print(json.dumps([s.ids for s in reading_order(p)]))"
    )
    orders = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(orders) == 1
    assert len(json.loads(orders.pop())) == 60
