"""On paper, and on a phone: what is printed from either scheme, and what 390 pixels show."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from kb_tools.site.proofs import set_number

pytestmark = pytest.mark.browser

PHONE = {"viewport": {"width": 390, "height": 844}}
CUT = "(all) => all.filter((one) => one.scrollWidth > one.clientWidth + 1).length"


# What is painted behind an element: its own background, or that of the nearest around it that has one.
BEHIND = """(one) => {
  for (let at = one; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (!/^rgba\\(.*, 0\\)$/.test(colour)) return colour;
  }
  return 'rgb(255, 255, 255)';
}"""


def light(colour: str) -> float:
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 765


def sheets(page: Page) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4")))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_paper_has_dark_ink_on_white(small: Any, opened: Callable, scheme: str) -> None:
    page, _ = opened(small, "papers/ring/", color_scheme=scheme)
    page.emulate_media(media="print", color_scheme=scheme)
    for part in ("h1", ".code code", ".code mark", ".equation-math"):
        ink = page.locator(part).first.evaluate("(one) => getComputedStyle(one).color")
        paper = page.locator(part).first.evaluate(BEHIND)
        assert light(paper) - light(ink) > 0.6, f"{part}: {ink} on {paper}"


def test_no_line_of_code_is_cut_on_paper_and_the_number_stays(real: Any, opened: Callable) -> None:
    page, _ = opened(real, "papers/ddpm/", viewport={"width": 700, "height": 1000})
    page.emulate_media(media="print")
    assert page.locator(".equation pre").evaluate_all(CUT) == 0
    expect(page.locator(".links a[href*='arxiv.org/abs']")).to_be_visible()
    expect(page.locator(".links a[href*='arxiv.org/pdf']")).to_be_hidden()
    expect(page.locator(".jumps")).to_be_hidden()
    assert page.locator("h2, h3").evaluate_all(
        "(all) => all.every((one) => getComputedStyle(one).breakAfter === 'avoid')"
    )


def test_the_order_takes_at_most_three_sheets_with_boxes_to_tick(real: Any, opened: Callable) -> None:
    page, _ = opened(real, "order/", color_scheme="dark")
    assert sheets(page) <= 3
    page.emulate_media(media="print")
    expect(page.locator("#ddpm")).to_contain_text("arXiv 2006.11239")
    expect(page.locator("#ddpm .on-paper")).to_be_visible()
    box = page.locator("#ddpm .mark").evaluate(
        "(one) => { const s = getComputedStyle(one, '::before'); return [s.borderTopStyle, s.borderRadius] }"
    )
    assert box == ["solid", "2px"]


def test_steps_of_the_order_are_numbered_once(small: Any, opened: Callable) -> None:
    page, _ = opened(small, "order/")
    before = page.locator(".step").first.evaluate("(one) => getComputedStyle(one, '::before').content")
    assert before in ("none", "normal")


def test_claims_are_cards_on_a_phone(real: Any, opened: Callable) -> None:
    page, _ = opened(real, "verification/", **PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(".scroll:has(.stack)").evaluate_all(CUT) == 0
    cell = page.locator(".claims td[data-l=Value]").first
    assert "Value" in cell.evaluate("(one) => getComputedStyle(one, '::before').content")
    assert cell.evaluate("(one) => one.getBoundingClientRect().right") <= 390
    tall = page.locator(".num").evaluate_all("(all) => all.filter((one) => one.getClientRects().length > 1).length")
    assert tall == 0, "no number is broken"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (4.621e-15, "4.6 × 10<sup>−15</sup>"),
        (1e-9, "10<sup>−9</sup>"),
        (-2.5e-7, "−2.5 × 10<sup>−7</sup>"),
        (1.2e12, "1.2 × 10<sup>12</sup>"),
        (-0.5492, "−0.5492"),
        (0.0, "0"),
        (12.5, "12.5"),
    ],
)
def test_numbers_are_set(value: float, shown: str) -> None:
    assert set_number(value) == f'<span class="num">{shown}</span>'


def test_facets_are_folded_on_a_phone_and_say_how_many_are_set(real: Any, opened: Callable) -> None:
    page, _ = opened(real, "papers/?kind=survey&sort=new", **PHONE)
    button = page.locator("[data-facets-of]")
    expect(button).to_have_text("Topic, year and more (1 set)")
    expect(page.locator("select[name=kind]")).to_be_hidden()
    expect(page.locator("select[name=sort]")).to_be_visible()
    button.click()
    expect(button).to_have_attribute("aria-expanded", "true")
    page.locator("select[name=kind]").select_option("")
    expect(button).to_have_text("Topic, year and more")
    button.click()
    top = page.locator(".paper-row").first.bounding_box()
    assert top is not None
    assert top["y"] < 560, "the first paper is in sight"


def test_facets_need_no_button_on_a_wide_screen(small: Any, opened: Callable) -> None:
    page, _ = opened(small, "papers/", viewport={"width": 1280, "height": 900})
    expect(page.locator("[data-facets-of]")).to_be_hidden()
    expect(page.locator("select[name=kind]")).to_be_visible()
    rows = page.locator(".filters label").evaluate_all("(all) => new Set(all.map((one) => one.offsetTop)).size")
    assert rows <= 2, "labels of one row differ by no more than their fields"


def test_jumps_stay_in_sight_and_lead_to_what_is_there(real: Any, opened: Callable) -> None:
    page, _ = opened(real, "papers/ddpm/", **PHONE, reduced_motion="reduce")
    names = page.locator(".jumps a").all_inner_texts()
    assert names[:4] == ["In short", "Symbols", "Algorithms", "Equations"]
    page.locator(".jumps a[href='#equations']").click()
    row, heading = page.locator(".jumps").bounding_box(), page.locator("#equations").bounding_box()
    assert row is not None
    assert heading is not None
    assert -1 <= row["y"] <= 2
    assert heading["y"] >= row["y"] + row["height"] - 1, "not hidden under the row"


def test_the_main_row_shows_where_one_is(real: Any, opened: Callable) -> None:
    page, _ = opened(real, "resources/", **PHONE)
    right = page.locator(".kb-nav [aria-current]").evaluate("(one) => one.getBoundingClientRect().right")
    assert right <= 390


def test_an_equation_is_a_heading_that_says_what_it_is(small: Any) -> None:
    html = small.html("papers/ring")
    (heading,) = re.findall(r'<h3 class="equation-no"><a href="#eq-2">(.*?)</h3>', html)
    assert re.sub(r"<[^>]*>", "", heading) == "Equation 2, keeps a part of x0"
    assert '<div class="kb-say" role="status"' in html
    assert 'role="region" aria-label="BibTeX"' in html


def test_a_last_run_that_gave_the_same_picture_is_not_shown(real: Any, opened: Callable) -> None:
    page, _ = opened(real, "papers/ddpm/")
    expect(page.locator("h2#fresh")).to_have_count(0)
    assert page.locator("#samples").evaluate(
        "(one) => Boolean(document.getElementById('equations').compareDocumentPosition(one) & 4)"
    )
