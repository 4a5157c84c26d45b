"""The doors of the first page, and the hours that are told of what stands behind them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kb_tools.graphs.order import reading_order
from kb_tools.records.model import Record
from kb_tools.site.build import build
from kb_tools.site.doors import Doors, doors
from kb_tools.site.hours import hours, in_words
from kb_tools.site.knowledge import Knowledge


def paper(ident: str, *needs: str, **fields: Any) -> Record:
    base = {"id": ident, "kind": "paper", "title": ident.upper(), "year": 2020, "builds_on": list(needs)}
    return Record.model_validate(base | fields)


def found(*records: Record) -> Doors:
    by_id = {record.id: record for record in records}
    return doors(Knowledge(Path(), by_id, {}, reading_order(by_id), {}))


def ids(records: list[Record]) -> list[str]:
    return [record.id for record in records]


def test_an_empty_collection_has_nothing_behind_a_door() -> None:
    assert found() == Doors(None, [], [])


def test_one_paper_is_a_start_and_nobody_knows_it() -> None:
    there = found(paper("alone"))
    assert (there.hub, ids(there.start), there.after) == (None, ["alone"], [])


def test_one_dependent_makes_no_hub() -> None:
    there = found(paper("base"), paper("next", "base"))
    assert (there.hub, ids(there.start), there.after) == (None, ["base", "next"], [])


def test_the_hub_is_what_most_build_on_and_its_way_leads_there() -> None:
    there = found(
        paper("root"), paper("hub", "root"), paper("aside", "root"), paper("low", "hub", worth_reading=1),
        paper("high", "hub", worth_reading=3), paper("none", "hub"), paper("far", "high", worth_reading=3),
    )  # fmt: skip
    assert there.hub and there.hub.id == "hub"  # three build on it, two on root, one on high
    assert ids(there.start) == ["root", "hub"]
    assert ids(there.after) == ["high", "low", "none"], "the most worth first, what has no score last"


def test_of_equals_the_first_in_the_order() -> None:
    records = [paper("one"), paper("two"), *(paper(f"{base}-{n}", base) for base in ("one", "two") for n in (1, 2))]
    first = reading_order({r.id: r for r in records})[0].ids[0]
    there = found(*records)
    assert there.hub and there.hub.id == first


def test_a_tutorial_at_the_head_of_the_order_comes_first_and_another_paper_does_not() -> None:
    rest = [paper("hub"), paper("a", "hub"), paper("b", "hub")]
    assert ids(found(paper("course", kind="tutorial", worth_reading=3), *rest).start) == ["course", "hub"]
    assert ids(found(paper("other", worth_reading=3), *rest).start) == ["hub"]


def test_a_tutorial_and_a_resource_are_no_hub() -> None:
    there = found(paper("course", kind="tutorial"), *(paper(f"p{n}", "course") for n in range(3)))
    assert there.hub is None
    blogs = [Record.model_validate({"id": f"b{n}", "kind": "blog", "title": "B", "builds_on": ["p"]}) for n in (1, 2)]
    by_id = {record.id: record for record in [paper("p"), *blogs]}
    k = Knowledge(Path(), by_id, {}, reading_order({"p": by_id["p"]}), {})
    assert doors(k).hub is None


def test_a_circle_is_walked_once() -> None:
    there = found(paper("a", "b"), paper("b", "a"), paper("c", "a"))
    assert there.hub and there.hub.id == "a"
    assert sorted(ids(there.start)) == ["a", "b"]
    assert sorted(ids(there.after)) == ["b", "c"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, 1.0),
        ({"worth_reading": 1}, 0.5),
        ({"worth_reading": 2}, 1.0),
        ({"worth_reading": 3}, 2.0),
        ({"kind": "survey", "worth_reading": 1}, 3.0),
        ({"kind": "tutorial"}, 4.0),
    ],
)
def test_hours_go_by_kind_then_by_worth(fields: dict[str, Any], expected: float) -> None:
    assert hours(paper("p", **fields)) == expected


@pytest.mark.parametrize(
    ("worths", "words"),
    [
        ([], "no time"),
        ([1], "half an hour"),
        ([1, 1], "about 1 hour"),
        ([1, 2], "about 2 hours"),  # 1.5
        ([3, 3, 1], "about 5 hours"),  # 4.5
        ([None, 3], "about 3 hours"),
    ],
)
def test_hours_in_words(worths: list[int | None], words: str) -> None:
    assert in_words(paper("p", worth_reading=worth) for worth in worths) == words


def card(html: str, heading: str) -> str:
    """The door of this heading on the built first page."""
    return html[html.index(heading) :].split('<li class="card">')[0].split("</section>")[0]


def test_the_first_page_has_three_doors(real: Any) -> None:
    html = real.html("")
    new, known, code = (card(html, f"<h3>{h}</h3>") for h in (
        "“This is new to me”", "“I know DDPM. What came after?”", "“I want the code of …”",
    ))  # fmt: skip
    # The order begins with a tutorial; DDPM, worth 3, builds on DPM, worth 1, and U-Net, worth 2: 4 + 0.5 + 1 + 2.
    assert "4 papers, about 8 hours." in new
    assert "of the" in known
    assert 'href="./papers/ddim/"' in known
    assert 'href="./code/ddpm/"' in code
    assert "Hours are estimates by one rule" in html


@pytest.mark.parametrize("count", [1, 2, 50])
def test_doors_without_a_choice_are_not_drawn(write: Callable, a_record: Callable, count: int) -> None:
    collection = write([a_record(f"p{n}", topics=["speed"]) for n in range(count)])
    html = (build(collection, collection.root / "build").site / "index.html").read_text(encoding="utf-8")
    assert 'id="doors"' not in html
    assert 'id="next"' in html


def test_a_long_way_is_cut_and_says_so(write: Callable, a_record: Callable) -> None:
    chain = [a_record(f"p{n}", builds_on=[f"p{n - 1}"] if n else []) for n in range(8)]
    leaves = [a_record(f"q{n}", builds_on=["p7"]) for n in range(7)]
    collection = write([*chain, *leaves])
    html = (build(collection, collection.root / "build").site / "index.html").read_text(encoding="utf-8")
    assert "The first of the 8 on the way to The paper called p7: 5 papers, about 5 hours." in card(
        html, "“This is new"
    )
    assert "5 of the 7 that build on it, those most worth reading first: about 5 hours." in card(html, "“I know The")
    assert "I want the code" not in html
