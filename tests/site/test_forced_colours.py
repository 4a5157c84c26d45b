"""Colours that the reader's system sets: what is marked stays told apart, and every sign can be seen."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

pytestmark = pytest.mark.browser

STYLE = "(one, of) => getComputedStyle(one, of[0])[of[1]]"


def luminance(colour: tuple[float, ...]) -> float:
    """Of sRGB in 0 to 255, by WCAG's definition."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (part / 255 for part in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def numbers(colour: str) -> tuple[float, ...]:
    """The first three of rgb(1, 2, 3)."""
    return tuple(float(part) for part in colour.split("(")[1].rstrip(")").replace(",", " ").split()[:3])


def pixel(shot: Image.Image, across: int, down: int) -> tuple[float, ...]:
    found = shot.getpixel((across, down))
    assert isinstance(found, tuple)
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_tick_is_seen_and_has_no_box(small: Any, opened: Callable, ready: Callable, scheme: str) -> None:
    page, _ = opened(small, "order/", forced_colors="active", color_scheme=scheme, device_scale_factor=4)
    ready(page)
    mark = page.locator("button.mark").first
    while mark.get_attribute("data-state") != "read":
        mark.click()
    page.mouse.move(0, 0)
    mark.blur()
    shot = Image.open(BytesIO(mark.screenshot())).convert("RGB")
    middle, reach = shot.width // 2, 6 * 4  # pixels: half the side of a square within the disc, around the tick
    disc = pixel(shot, middle - 9 * 4, middle)
    assert contrast(disc, numbers(mark.evaluate(STYLE, ["::after", "color"]))) >= 4.5
    for across, down in [(-1, -1), (1, -1), (-1, 1), (1, 1), (0, -1), (0, 1)]:
        seen = pixel(shot, middle + across * reach, middle + down * reach)
        assert seen == pytest.approx(disc, abs=2), (across, down)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", ["unread", "reading", "read", "skipped"])
def test_names_in_the_graph_are_seen_in_every_state(
    small: Any, opened: Callable, ready: Callable, scheme: str, state: str
) -> None:
    page, _ = opened(small, "graph/", forced_colors="active", color_scheme=scheme)
    ready(page)
    node = page.locator(".chart-box .n").first
    node.evaluate("(one, state) => (one.setAttribute('class', `n ${state}`))", state)
    ground, ink = (numbers(node.locator(part).first.evaluate(STYLE, [None, "fill"])) for part in ("rect", "text"))
    assert contrast(ground, ink) >= 4.5, (ground, ink)


def test_what_is_said_over_the_page_has_an_edge(small: Any, opened: Callable, ready: Callable) -> None:
    page, _ = opened(small, "order/", forced_colors="active")
    ready(page)
    said = page.locator(".kb-say").first
    assert said.evaluate(STYLE, [None, "borderTopStyle"]) == "solid"
    edge, ground = (numbers(said.evaluate(STYLE, [None, of])) for of in ("borderTopColor", "backgroundColor"))
    assert contrast(edge, ground) >= 3
