"""What the search dialog does with hits, input methods, failures, and words that are nowhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_a_hit_is_a_link(small: Any, opened: Callable, ready: Callable) -> None:
    page, watched = opened(small)
    page.keyboard.press("Control+k")
    page.get_by_role("combobox").fill("zebra")
    hit = page.get_by_role("option").first
    expect(hit).to_have_attribute("href", small.address + "papers/solo/")
    with watched.context.expect_page():
        hit.click(modifiers=["Control"])
    with watched.context.expect_page():
        page.keyboard.press("Control+Enter")
    assert page.url == small.address
    page.keyboard.press("Enter")
    page.wait_for_url("**/papers/solo/")
    page.go_back()
    ready(page)
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox")).to_have_value("zebra")
    expect(page.get_by_role("option").first).to_contain_text("Zebra")


def test_enter_that_ends_a_composition_stays(small: Any, opened: Callable) -> None:
    page, watched = opened(small)
    page.keyboard.press("Control+k")
    page.get_by_role("combobox").wait_for()
    wire = watched.context.new_cdp_session(page)
    wire.send("Input.imeSetComposition", {"text": "ring", "selectionStart": 4, "selectionEnd": 4})
    page.get_by_role("option").first.wait_for()
    key = {"type": "keyDown", "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
    wire.send("Input.dispatchKeyEvent", key)
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.url == small.address
    expect(page.get_by_role("dialog")).to_be_visible()


def test_a_failed_fetch_is_said_and_tried_again(small: Any, browser: Any, ready: Callable) -> None:
    context = browser.new_context()
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    context.route("**/search.json", lambda route: route.abort())
    page.goto(small.address)
    ready(page)
    page.keyboard.press("Control+k")
    page.get_by_role("combobox").fill("ring")
    expect(page.locator("dialog [role=status]")).to_contain_text("could not be fetched")
    context.unroute("**/search.json")
    page.get_by_role("combobox").fill("zebra")
    expect(page.get_by_role("option").first).to_contain_text("Zebra")
    assert errors == []
    context.close()


def test_a_search_that_cannot_be_fetched_says_so(small: Any, browser: Any, ready: Callable) -> None:
    context = browser.new_context()
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    context.route("**/hits.js", lambda route: route.abort())
    page.goto(small.address)
    ready(page)
    page.keyboard.press("Control+k")
    expect(page.get_by_text("The search could not be fetched. Load the page again.")).to_be_visible()
    assert errors == []
    context.close()


def test_a_hit_shows_the_words_and_an_empty_answer_says_what_to_do(small: Any, opened: Callable) -> None:
    page, _ = opened(small)
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox")
    field.fill("reason to read solo")
    expect(page.get_by_role("option").first.locator("mark").first).to_have_text("Reason")
    field.fill("qqqqqqqq")
    expect(page.get_by_role("dialog")).to_contain_text("0 found")
    expect(page.get_by_role("link", name="How to add a paper")).to_be_visible()
    field.fill("zebra qqqqqqqq")
    expect(page.locator("dialog [role=status]")).to_contain_text("none has all of these words")


def test_what_readers_type_has_its_paper_among_the_first_three(real: Any, opened: Callable) -> None:
    page, _ = opened(real, "404.html")
    wanted = {
        "dppm": "papers/ddpm/",
        "one step": "papers/consistency-models/",
        "ddpm": "papers/ddpm/",
        "langevin": "papers/ncsn/",
        "sohldickstein": "papers/dpm/",
    }
    found = page.evaluate(
        """async ([base, words]) => {
             const { open } = await import(new URL('assets/js/hits.js', base).href);
             const find = await open(base);
             return Object.fromEntries(words.map((one) => [one, find(one).hits.slice(0, 3).map((hit) => hit.id)]));
           }""",
        [real.address, list(wanted)],
    )
    missing = {words: found[words] for words, paper in wanted.items() if paper not in found[words]}
    assert missing == {}, json.dumps(found, indent=1)
    assert found["ddpm"][0] == "papers/ddpm/", "who types a name gets it first"


def test_keys_of_one_letter_can_be_turned_off(small: Any, opened: Callable, ready: Callable) -> None:
    page, _ = opened(small, "papers/ring/")
    page.keyboard.press("?")
    page.get_by_role("checkbox", name="Keys of one letter").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    page.keyboard.press("s")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.goto(small.address + "papers/start/")
    ready(page)
    page.keyboard.press("x")
    assert page.evaluate("localStorage.getItem('kb:/:v1')") is None
    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog", name="Search")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Keys").last.click()
    page.get_by_role("checkbox", name="Keys of one letter").check()
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    expect(page.locator("[data-states] button[aria-pressed=true]")).to_have_text("read")
