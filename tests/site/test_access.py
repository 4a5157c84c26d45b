"""axe-core over every kind of page: WCAG 2.2 AA and its best practices, however the reader has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.base import AXE_FILE_PATH

pytestmark = pytest.mark.browser

PAGES = (
    "", "papers/", "papers/?view=cards", "papers/ddim/", "papers/cfg/", "topics/", "topics/sampling/",
    "order/?goal=ect",
    "order/goals/", "graph/", "graph/?focus=ddim&depth=2", "graph/ect/", "gallery/", "verification/", "speed/",
    "resources/", "contribute/", "data/", "code/ddim/", "404.html",
)  # fmt: skip
FEW = ("", "papers/?view=cards", "papers/ddim/", "graph/?focus=ddim", "graph/ect/", "verification/", "code/ddim/")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


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
        if address in ("verification/", "speed/"):
            page.locator("details").evaluate_all("all => all.forEach((one) => (one.open = true))")
        result = page.evaluate("(tags) => axe.run({ runOnly: tags, resultTypes: ['violations'] })", RULES)
        found += [
            f"{address or 'home'}: {rule['id']}: {node['target']} {node['failureSummary']}"
            for rule in result["violations"]
            for node in rule["nodes"]
        ]
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
