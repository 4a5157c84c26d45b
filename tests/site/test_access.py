"""axe-core over every kind of page: WCAG 2.2 AA and its best practices, however the reader has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import Page

pytestmark = pytest.mark.browser

PAGES = (
    "", "papers/", "papers/?view=cards", "papers/ddim/", "papers/cfg/", "topics/", "topics/sampling/",
    "order/?goal=ect",
    "order/goals/", "graph/", "graph/?focus=ddim&depth=2", "graph/ect/", "gallery/", "verification/", "speed/",
    "resources/", "contribute/", "data/", "code/ddim/", "404.html",
)  # fmt: skip
FEW = ("", "papers/?view=cards", "papers/ddim/", "graph/?focus=ddim", "graph/ect/", "verification/", "code/ddim/")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Page) -> list[str]:
    result = page.evaluate("(tags) => axe.run({ runOnly: tags, resultTypes: ['violations'] })", RULES)
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in result["violations"]
        for node in rule["nodes"]
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pages", "options"),
    [
        pytest.param(PAGES, {"color_scheme": "light"}, id="light"),
        pytest.param(FEW, {"color_scheme": "dark"}, id="dark"),
        pytest.param(FEW, {"viewport": {"width": 320, "height": 640}}, id="320 px"),
        pytest.param(FEW, {"forced_colors": "active"}, id="forced colours"),
    ],
)
def test_axe_finds_nothing(
    real: Any, opened: Callable, ready: Callable, pages: tuple[str, ...], options: dict[str, Any]
) -> None:
    page, _ = opened(real, "404.html", reduced_motion="reduce", **options)
    page.add_init_script(path=AXE_FILE_PATH)
    found = []
    for address in pages:
        page.goto(real.address + address)
        ready(page)
        if address in ("order/goals/", "verification/", "speed/", "resources/"):
            page.locator("details").evaluate_all("all => all.forEach((one) => (one.open = true))")
        found += [f"{address or 'home'}: {each}" for each in violations(page)]
    assert found == []


@pytest.mark.parametrize("opener", ["search", "keys"])
def test_axe_finds_nothing_in_what_opens(real: Any, opened: Callable, opener: str) -> None:
    page, _ = opened(real, "404.html", reduced_motion="reduce")
    page.add_init_script(path=AXE_FILE_PATH)
    page.goto(real.address + "papers/")
    page.locator("html[data-ready]").wait_for(state="attached")
    page.keyboard.press("s" if opener == "search" else "?")
    if opener == "search":
        page.locator("dialog input").fill("diffusion")
        page.locator("dialog [role=option]").first.wait_for()
    result = page.evaluate("(tags) => axe.run('dialog', { runOnly: tags })", RULES)
    assert [(rule["id"], [n["target"] for n in rule["nodes"]]) for rule in result["violations"]] == []


def mark_one(page: Page) -> None:
    page.locator("button[data-mark]").first.click()


def clear_marks(page: Page) -> None:
    mark_one(page)
    page.locator("[data-clear]").click()
    page.locator("dialog[open]").wait_for()


STATES: dict[str, tuple[str, int, Callable[[Page], object]]] = {
    "a paper marked": ("papers/", 1280, mark_one),
    "asked before marks go": ("", 1280, clear_marks),
    "no paper matches": ("papers/?q=zzzqqq", 1280, lambda page: page.locator("[data-empty]").wait_for()),
    "facets on a phone": ("papers/", 390, lambda page: page.locator("[data-facets-of]").click()),
    "every fold of a paper": ("papers/ddim/", 390, lambda page: unfold(page)),
    "the graph enlarged": ("graph/", 390, lambda page: page.locator("[data-zoom-to=in]").click()),
}


def unfold(page: Page) -> None:
    page.locator("details").evaluate_all("all => all.forEach((one) => (one.open = true))")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing_in_states_that_a_reader_brings_about(
    real: Any, opened: Callable, ready: Callable, state: str, scheme: str
) -> None:
    address, width, bring_about = STATES[state]
    size = {"width": width, "height": 844}
    page, _ = opened(real, "404.html", reduced_motion="reduce", color_scheme=scheme, viewport=size)
    page.add_init_script(path=AXE_FILE_PATH)
    page.goto(real.address + address)
    ready(page)
    bring_about(page)
    assert violations(page) == []
