"""Where lines run in a map of lines."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from kb_tools.graphs.rails import Rails, Turn, rails


def lines(plan: Rails, order: list[str]) -> list[tuple[int, int, int]]:
    """Column, first and last row of each line, read from the arrows alone."""
    row = {ident: n for n, ident in enumerate(order)}
    ends: dict[str, int] = {}
    for turn in plan.turns:
        ends[turn.source] = max(ends.get(turn.source, 0), row[turn.target])
    return [(plan.columns[source], row[source], end) for source, end in ends.items()]


@given(st.integers(1, 12), st.data())
def test_no_line_runs_over_another_nor_through_a_node(count, data):
    order = [f"p{n}" for n in range(count)]
    pairs = data.draw(st.lists(st.sampled_from(list(combinations(order, 2)) or [("p0", "p0")]), unique=True))
    needs = {i: [a for a, b in pairs if b == i and a != b] for i in order}
    plan = rails(order, needs)
    drawn = lines(plan, order)
    for (column, top, bottom), (other, first, last) in combinations(drawn, 2):
        assert column != other or bottom <= first or last <= top, "they may touch where one ends and the next begins"
    for n, ident in enumerate(order):
        assert not any(c == plan.columns[ident] and top < n < bottom for c, top, bottom in drawn), ident
    wanted = sorted((a, b) for a, b in pairs if a != b)
    assert sorted((turn.source, turn.target) for turn in plan.turns) == wanted, "every arrow is drawn"
    assert all(turn.column == plan.columns[turn.source] for turn in plan.turns)
    assert plan.width == max(plan.columns.values()) + 1
    assert set(plan.columns.values()) == set(range(plan.width)), "no column is empty"


def test_a_chain_is_one_line_and_a_branch_is_another():
    assert rails(["a", "b", "c"], {"b": ["a"], "c": ["b"]}).columns == {"a": 0, "b": 0, "c": 0}
    # b and c both build on a, d on both: a's line goes on beside b.
    plan = rails(["a", "b", "c", "d"], {"b": ["a"], "c": ["a"], "d": ["b", "c"]})
    assert plan.columns == {"a": 0, "b": 1, "c": 0, "d": 0}
    assert plan.turns == [Turn("a", "b", 0), Turn("a", "c", 0), Turn("b", "d", 1), Turn("c", "d", 0)]


def test_what_leads_back_is_told_and_what_is_not_there_is_passed_over():
    plan = rails(["a", "b"], {"a": ["b"], "b": ["a", "gone"]})
    assert (plan.turns, plan.back) == ([Turn("a", "b", 0)], [("b", "a")])
    assert rails([], {}) == Rails({}, [], 0, [])
