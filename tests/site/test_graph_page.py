"""The graph in a browser: the picture and the table say the same, and both follow filters, keys and marks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


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
