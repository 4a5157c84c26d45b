"""The graph in a browser: the picture and the table say the same, and both follow filters, keys and marks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import networkx as nx
import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

# A level arrow has no height, which counts as not visible.
DRAWN = "(arrow) => getComputedStyle(arrow).display !== 'none'"


def kept(page: Page) -> list[str]:
    return sorted(page.locator(".chart a.n:not(.is-dim)").evaluate_all("all => all.map((n) => n.dataset.node)"))


def rows(page: Page) -> list[str]:
    return sorted(page.locator("[data-row]:visible").evaluate_all("all => all.map((n) => n.dataset.row)"))


def test_picture_and_table_say_the_same(real: Any, opened: Callable) -> None:
    page, _ = opened(real, "graph/")
    papers = {i: r for i, r in real.collection.records().items() if r.kind in ("paper", "survey", "tutorial")}
    assert kept(page) == rows(page) == sorted(papers)
    arrows = page.locator(".chart [data-from]").evaluate_all("all => all.map((e) => [e.dataset.from, e.dataset.to])")
    wanted = [[need, i] for i, r in papers.items() for need in r.builds_on if need in papers]
    assert sorted(arrows) == sorted(wanted)
    shown = page.locator(".chart [data-from]").evaluate_all(
        f"all => all.filter({DRAWN}).map(({{ dataset: {{ to, from }} }}) => [to, from])"
    )
    reduced = nx.transitive_reduction(nx.DiGraph((i, need) for need, i in wanted)).edges
    assert sorted(map(tuple, shown)) == sorted(reduced)
    words = page.locator("#map + p").inner_text()
    assert f"{len(reduced)} arrows are drawn. {len(wanted) - len(reduced)} more follow" in words
    assert page.locator("[data-row=ddim] td").nth(4).inner_text() == "DDPM"


def test_filters_cut_both_and_stay_in_the_address(small: Any, opened: Callable, ready: Callable) -> None:
    page, _ = opened(small, "graph/")
    page.locator("select[name=topic]").select_option("speed")
    assert kept(page) == rows(page) == ["solo", "spite"]
    page.locator("select[name=topic]").select_option("")
    page.get_by_placeholder("Find:").fill("zebra")
    assert kept(page) == rows(page) == ["solo"]
    expect(page.locator("[data-shown]")).to_have_text("1 of 5 papers")
    page.reload()
    ready(page)
    assert kept(page) == ["solo"]
    page.get_by_role("button", name="Clear").click()
    assert len(kept(page)) == 5
    page.locator("select[name=focus]").select_option("start")
    assert kept(page) == ["ring", "start"]
    page.locator("select[name=depth]").select_option("2")
    assert kept(page) == ["ring", "spite", "start", "survey"]
    assert "focus=start&depth=2" in page.url


def test_citations_come_when_they_are_asked_for(small: Any, opened: Callable) -> None:
    page, _ = opened(small, "graph/")
    assert page.locator(".e.cites").count() == 1, "the legend's"
    page.locator("input[name=cites]").check()
    expect(page.locator(".chart .e.cites")).to_have_count(1)
    page.locator("input[name=cites]").uncheck()
    expect(page.locator(".chart .e.cites")).to_have_count(0)


def test_arrow_keys_lead_from_paper_to_paper(small: Any, opened: Callable) -> None:
    page, _ = opened(small, "graph/")
    assert page.locator('.chart a[tabindex="0"]').count() == 1
    page.locator('.chart a[data-node="start"]').focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator('.chart a[data-node="ring"]')).to_be_focused()
    page.keyboard.press("x")
    expect(page.locator('.chart a[data-node="ring"]')).to_have_class("n w3 is-near read")
    expect(page.locator('[data-status="ring"]')).to_have_text("read")
    expect(page.locator('.chart a[data-node="ring"]')).to_have_attribute(
        "aria-label", "RING; 2020; worth reading 3 of 3; builds on START; read"
    )
    page.keyboard.press("a")
    assert kept(page) == ["ring", "spite", "start", "survey"]
    page.keyboard.press("Enter")
    page.wait_for_url("**/papers/ring/")


def test_neighbours_of_a_paper_grow_in_place(small: Any, opened: Callable) -> None:
    page, _ = opened(small, "papers/start/")
    nodes = page.locator(".chart-box a.n")
    assert nodes.evaluate_all("all => all.map((n) => n.dataset.node)") == ["start", "ring"]
    expect(page.locator('.chart-box a.n[data-node="start"]')).to_have_class("n w2 unread")
    page.get_by_role("link", name="Two steps: 4 papers").click()
    expect(nodes).to_have_count(4)
    page.locator('.chart-box a.n[data-node="survey"]').click()
    page.wait_for_url("**/papers/survey/")


def test_size_of_the_picture(small: Any, opened: Callable) -> None:
    page, _ = opened(small, "graph/", viewport={"width": 320, "height": 640})
    chart = page.locator(".chart")

    def width() -> float:
        return chart.evaluate("chart => chart.getBoundingClientRect().width")

    def node() -> float:
        return page.locator(".chart [data-node] rect").first.evaluate("one => one.getBoundingClientRect().width")

    natural, drawn = width(), node()
    page.get_by_role("button", name="Larger").click()
    assert width() > natural
    assert node() > 1.2 * drawn, "what is drawn grows, not its margin"
    page.get_by_role("button", name="Fit").click()
    assert width() <= 320
    blank = page.locator("[data-chart-box]").evaluate(
        "box => box.querySelector('.lane').getBoundingClientRect().top - box.getBoundingClientRect().top"
    )
    assert blank < 60, "nothing stands above the picture"


NODES = "(all) => all.map((node) => node.dataset.node)"
LETTERS = """(texts) => texts.map((text) => {
  const { width } = text.ownerSVGElement.getBoundingClientRect();
  return parseFloat(getComputedStyle(text).fontSize) * width / text.ownerSVGElement.viewBox.baseVal.width;
})"""
IN_ORDER = """(nodes) => nodes.map((node) => {
  const all = node.ownerSVGElement.getBoundingClientRect();
  const [stop, name, year] = ["circle", ".name", ".year"].map((one) => node.querySelector(one).getBoundingClientRect());
  const edges = [all.left, stop.left, stop.right, name.left, name.right, year.left, year.right, all.right];
  return edges.every((edge, n) => n === 0 || edges[n - 1] <= edge);
})"""


@pytest.mark.parametrize("address", ["graph/", "graph/ect/", "graph/ediff-i/", "graph/h-space-self-discovery/"])
def test_the_first_view_can_be_read_on_a_phone(real: Any, opened: Callable, address: str) -> None:
    page, _ = opened(real, address, viewport={"width": 390, "height": 844})
    page.evaluate("document.fonts.ready.then(() => 1)")
    picture = page.locator(".leads")
    assert min(picture.locator("a text:not(.sign)").evaluate_all(LETTERS)) >= 11
    assert all(picture.locator("a").evaluate_all(IN_ORDER)), "no name over a line, a year or the edge"
    assert picture.evaluate("svg => svg.getBoundingClientRect().top") < 700, "it begins on the first screen"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_another_paper_is_chosen_with_scripts_and_without(small: Any, opened: Callable, ready: Callable) -> None:
    page, _ = opened(small, "graph/")
    assert page.locator("#leads").inner_text() == "What leads to RING"
    assert page.locator("[data-leads-form] option").evaluate_all("all => all.map((one) => one.value)")[0] == "ring"
    page.locator("[data-leads-form] select").select_option("survey")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**/graph/survey/")
    ready(page)
    assert page.locator(".leads a").evaluate_all(NODES) == ["start", "ring", "survey"]
    page.locator('.leads a[data-node="ring"]').click()
    page.wait_for_url("**/papers/ring/")
    page.get_by_role("link", name="What leads here, drawn").click()
    page.wait_for_url("**/graph/ring/")
    page, _ = opened(small, "graph/", java_script_enabled=False)
    assert not page.locator("[data-leads-form]").is_visible()
    page.locator('.pick a[href="../graph/spite/"]').click()
    page.wait_for_url("**/graph/spite/")
    assert page.locator(".leads a:visible").count() == 3
    assert page.locator(".leads-words li:visible").count() == 3


def test_a_card_says_what_a_paper_is_and_lets_itself_be_read(small: Any, opened: Callable) -> None:
    page, _ = opened(small, "graph/survey/")
    card, ring = page.locator("#node-card"), page.locator('.leads a[data-node="ring"]')
    assert card.is_hidden()
    ring.hover()
    expect(card).to_be_visible()
    assert card.inner_text().split("\n")[0] == "The paper called ring"
    assert "worth reading 3 of 3" in card.inner_text()
    assert "Reason to read ring" in card.inner_text()
    assert "unread" in card.inner_text()
    expect(ring).to_have_attribute("aria-describedby", "node-card")
    card.hover()
    page.wait_for_timeout(500)  # longer than it stays after the pointer has left
    assert card.is_visible(), "the pointer is on it"
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()
    assert ring.get_attribute("aria-describedby") is None
    page.mouse.move(0, 0)
    page.locator(".leads-words button").first.focus()
    page.keyboard.press("Shift+Tab")
    expect(page.locator('.leads a[data-node="survey"]')).to_be_focused()
    expect(card).to_contain_text("The paper called survey")
    page.keyboard.press("Tab")
    expect(card).to_be_hidden()


def test_a_card_holds_what_is_hostile_as_text(small: Any, opened: Callable, hostile: tuple[str, ...]) -> None:
    page, _ = opened(small, "graph/spite/")
    page.locator('.leads a[data-node="spite"]').hover()
    card = page.locator("#node-card")
    expect(card).to_be_visible()
    assert hostile[0] in card.inner_text()
    assert page.evaluate("window.pwned") is None


def test_what_follows_is_drawn_when_asked_for_or_when_the_paper_between_is_out(real: Any, opened: Callable) -> None:
    # CFG builds on ADM and DDPM, ADM on DDPM too: that DDPM leads to CFG follows, until ADM is filtered out.
    page, _ = opened(real, "graph/")
    arrow, between = (page.locator(f'.chart [data-from="{one}"][data-to="cfg"]') for one in ("ddpm", "adm"))
    assert between.evaluate(DRAWN)
    assert not arrow.evaluate(DRAWN)
    page.locator("input[name=all]").check()
    assert arrow.evaluate(DRAWN)
    page.locator("input[name=all]").uncheck()
    assert not arrow.evaluate(DRAWN)
    page.locator("[data-graph-form] select[name=wr]").select_option("3")
    assert arrow.evaluate(DRAWN), "of what lies between only ADM leads to CFG, and is worth 2"
    page.locator("[data-graph-form] select[name=wr]").select_option("")
    assert not arrow.evaluate(DRAWN)


def test_no_name_is_cut_on_the_left_at_first_sight(real: Any, opened: Callable) -> None:
    for address in ("graph/", "graph/?focus=cfg", "graph/?focus=ect&depth=2"):
        for width in (390, 1280):
            page, _ = opened(real, address, viewport={"width": width, "height": 844})
            edge = page.locator("[data-chart-box]").evaluate("box => box.getBoundingClientRect().left")
            boxes = page.locator(".chart a rect").evaluate_all(
                "all => all.map((one) => one.getBoundingClientRect()).map(({ left, right }) => [left, right])"
            )
            assert not [box for box in boxes if box[0] < edge < box[1]], (address, width)
            page.close()


def test_forced_colours_leave_names_on_their_lanes(small: Any, opened: Callable) -> None:
    page, _ = opened(small, "graph/", forced_colors="active")
    style = "(one) => { const { fill, stroke } = getComputedStyle(one); return [fill, stroke]; }"
    page.evaluate("document.body.style.cssText = 'background: Canvas; color: CanvasText'")
    paper, ink = page.evaluate(
        "() => { const { backgroundColor, color } = getComputedStyle(document.body); return [backgroundColor, color]; }"
    )
    for lane in page.locator(".chart .lane rect").all():
        fill, stroke = lane.evaluate(style)
        assert fill == paper
        assert stroke not in (paper, "none")
    assert {
        one.evaluate(style)[0] for one in page.locator(":is(.chart .lane text, .chart .year, .leads .year)").all()
    } == {ink}
