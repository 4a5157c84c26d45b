"""Curves of several methods on one page: what is drawn where, and evidence that is not what it should be."""

from __future__ import annotations

import re
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast
from xml.etree import ElementTree

import pytest

from kb_tools.site.comparison import compared_in, comparisons
from kb_tools.site.plots import Series, log_log
from tests.site.conftest import Site

SVG = "{http://www.w3.org/2000/svg}"


def drawn(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def chart(*series: Series) -> ElementTree.Element:
    return drawn(str(log_log(series, across="evaluations", label="Two & more")))


def places(root: ElementTree.Element, kind: str) -> list[tuple[float, float]]:
    found = next(p for p in root.iter(f"{SVG}path") if kind in p.get("class", "").split())
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", found.get("d", ""))]


def test_a_power_law_is_a_straight_line_that_falls() -> None:
    at = places(chart(Series([(n, 3 / n) for n in (1, 2, 4, 16)], 1)), "s1")
    rises = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(at)]
    assert all(abs(rise - rises[0]) < 0.02 for rise in rises) and rises[0] > 0  # downwards, as SVG counts
    steps = [b[0] - a[0] for a, b in pairwise(at)]
    assert steps[2] == pytest.approx(2 * steps[0], abs=0.2)  # 4 to 16 is twice as far as 1 to 2


def test_ticks_stand_where_points_of_their_value_do() -> None:
    root = chart(Series([(1, 0.01), (10, 1.0)], 2))
    ends = places(root, "s2")
    words = {
        t.text: (float(t.get("x", "nan")), float(t.get("y", "nan"))) for t in root.iter(f"{SVG}text") if t.get("x")
    }
    assert words["10"][0] == pytest.approx(ends[1][0], abs=0.1)
    assert words["0.01"][1] == pytest.approx(ends[0][1] + 4, abs=0.1)


def test_what_has_no_logarithm_is_left_out_and_nothing_is_no_chart() -> None:
    assert len(places(chart(Series([(1, 1.0), (2, 0.0), (4, 0.5)], 1)), "s1")) == 2
    assert log_log([Series([(1, 0.0)], 1)], across="a", label="c") == ""


def test_a_single_point_has_axes_too() -> None:
    root = chart(Series([(4, 0.2)], 1))
    assert len(list(root.iter(f"{SVG}circle"))) == 1
    assert {"4", "0.2"} <= {t.text for t in root.iter(f"{SVG}text")}


def across(*series: Series) -> list[str | None]:
    """The marks on the axis across."""
    return [t.text for t in chart(*series).iter(f"{SVG}text") if t.get("text-anchor") == "middle"][:-1]


def test_marks_across_stand_where_something_was_measured_if_there_is_room() -> None:
    assert across(Series([(n, 1.0 / n) for n in (1, 3, 4)], 1), Series([(16, 0.3)], 2)) == ["1", "3", "4", "16"]
    assert across(Series([(n, 1.0 / n) for n in range(1, 40)], 1)) == ["1", "2", "5", "10", "20"]


def test_heights_between_round_numbers_have_a_mark_all_the_same() -> None:
    root = chart(Series([(1, 0.31), (2, 0.32)], 1))
    assert "0.31" in {t.text for t in root.iter(f"{SVG}text")}


def test_a_baseline_is_dashed_and_has_no_dots() -> None:
    root = chart(Series([(1, 1.0), (2, 2.0)], 1, thin=True))
    assert not list(root.iter(f"{SVG}circle"))
    assert places(root, "thin")


def test_a_second_line_of_a_colour_has_rings_for_dots() -> None:
    points = [(1, 1.0), (2, 2.0)]
    root = chart(Series(points, 1), Series([(x, 2 * y) for x, y in points], 1, hollow=True))
    classes = [circle.get("class", "") for circle in root.iter(f"{SVG}circle")]
    assert ["is-hollow" in of.split() for of in classes] == [False, False, True, True]
    assert not [path for path in root.iter(f"{SVG}path") if "thin" in path.get("class", "").split()]


def method(ident: str, *curves: Any) -> Any:
    return SimpleNamespace(
        slug=ident,
        record=SimpleNamespace(id=ident),
        entries=[
            {"curves": 3, "figures": [{"file": f"{ident}-cuda.webp"}]},
            {"curves": list(curves), "figures": [{"file": f"{ident}.webp"}]},
        ],
    )


def curve(**changes: Any) -> dict[str, Any]:
    line = {"name": "ours", "across": [1, 2], "up": [0.5, 0.25], "sd": [0.1, 0.2]}
    return {
        "name": "few-steps",
        "across": "evaluations",
        "up": "distance",
        "lines": [line, line | {"name": "old"}],
    } | changes


def gathered(*methods: Any) -> tuple[dict[str, Any], list[str]]:
    k = SimpleNamespace(problems=[])
    return comparisons(cast(Any, k), methods), k.problems


def test_methods_share_a_page_each_in_a_colour_of_its_own() -> None:
    pages, problems = gathered(*(method(f"m{n}", curve()) for n in range(3)))
    (page,) = pages.values()
    assert not problems and (page.title, page.places) == ("Few steps", [1, 2])
    assert [(line.method.slug, line.colour, line.thin) for line in page.lines] == [
        ("m0", 1, False), ("m0", 1, True), ("m1", 2, False), ("m1", 2, True), ("m2", 3, False), ("m2", 3, True),
    ]  # fmt: skip
    assert page.lines[0].points == [(1, 0.5, 0.1), (2, 0.25, 0.2)]
    assert [c.name for c in compared_in(pages, cast(Any, SimpleNamespace(id="m1")))] == ["few-steps"]
    assert not compared_in(pages, cast(Any, SimpleNamespace(id="m7")))


@pytest.mark.parametrize(
    ("names", "thin", "hollow"),
    [
        (["distilled", "trained", "Euler"], "Euler", ["trained"]),
        (["student", "teacher"], "teacher", []),
        (["alone"], None, []),
    ],
)
def test_only_the_last_line_of_a_method_is_its_baseline(names: list[str], thin: str | None, hollow: list[str]) -> None:
    lines = [{"name": name, "across": [1, 2], "up": [0.5, 0.25]} for name in names]
    pages, _ = gathered(method("m0", curve(lines=lines)), method("m1", curve()))
    of_first = [line for line in pages["few-steps"].lines if line.method.slug == "m0"]
    assert [line.name for line in of_first if line.thin] == ([thin] if thin else [])
    assert [line.name for line in of_first if line.hollow] == hollow


def test_one_method_alone_is_beside_nothing() -> None:
    pages, problems = gathered(method("m0", curve()), method("m1", curve(name="some-curve")), method("m2"))
    assert not pages and not problems


def test_a_curve_that_nobody_wrote_about_is_called_by_its_name() -> None:
    pages, _ = gathered(*(method(f"m{n}", curve(name="some-curve")) for n in range(2)))
    assert (pages["some-curve"].title, pages["some-curve"].lead) == ("Some curve", "")


@pytest.mark.parametrize(
    "broken",
    [curve(lines=[{"name": "x", "across": [1], "up": [1.0, 2.0]}]), curve(lines=None), {"name": "few-steps"}, 3,
     curve(lines=[{"name": "x", "across": ["a"], "up": [1.0]}])],
)  # fmt: skip
def test_a_curve_that_cannot_be_read_is_named_and_the_others_stand(broken: Any) -> None:
    pages, problems = gathered(method("m0", broken), method("m1", curve()), method("m2", curve()))
    assert len(problems) == 1 and "evidence of m0: a curve cannot be read" in problems[0]
    assert [line.method.slug for line in pages["few-steps"].lines] == ["m1", "m1", "m2", "m2"]


def test_curves_of_one_name_in_other_units_are_not_laid_together() -> None:
    pages, problems = gathered(method("m0", curve()), method("m1", curve(up="seconds")), method("m2", curve()))
    assert "few-steps is seconds here and distance elsewhere" in problems[0]
    assert {line.method.slug for line in pages["few-steps"].lines} == {"m0", "m2"}


def test_the_page_shows_every_number_and_the_paper_leads_to_it(small: Site) -> None:
    html = small.html("compare/few-steps")
    for number in ("0.03", "0.012", "1.4", "0.003", "± 0.002"):
        assert number in html
    svg = re.search(r'<svg class="chart plot".*?</svg>', html, re.S)
    assert svg and len(re.findall(r"<circle", svg.group())) >= 3
    assert "compare/few-steps/" in small.html("papers/ring")  # two records share the method of the toy
