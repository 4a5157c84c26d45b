"""Marks are the reader's: nobody else's count as theirs, no tab takes back another's, and "done" means one thing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
WHEN = "2026-01-01T00:00:00Z"


def stored(page: Page) -> dict[str, str]:
    marks = page.evaluate("JSON.parse(localStorage.getItem('kb:/:v1') ?? '{}')")
    return {ident: mark["s"] for ident, mark in marks.items()}


def put(page: Page, ready: Callable[[Page], None], **marks: str) -> None:
    """Marks as an earlier visit has left them."""
    text = json.dumps({ident: {"s": state, "t": WHEN} for ident, state in marks.items()})
    page.evaluate(f"localStorage.setItem('kb:/:v1', {json.dumps(text)})")
    page.reload()
    ready(page)


def test_a_newcomer_has_read_nothing_and_the_owners_marks_are_the_owners(
    small: Any, opened: Callable, ready: Callable
) -> None:
    page, _ = opened(small)
    expect(page.locator("[data-count]")).to_have_text("0 of 5")
    assert page.locator("[data-next] > li").first.get_attribute("data-id") == "start", "which the owner has read"
    expect(page.locator('[data-next] button[data-mark="start"]')).to_have_attribute("data-state", "unread")
    page.get_by_role("button", name="Take over the owner's mark").click()
    assert stored(page) == {"start": "read"}
    expect(page.locator("[data-count]")).to_have_text("1 of 5")
    expect(page.locator("[data-adopt]")).to_be_hidden()
    page.goto(small.address + "papers/start/")
    ready(page)
    expect(page.locator(".owner")).to_have_text("Read by the list's owner")


def test_undo_takes_back_this_tabs_change_and_no_other(small: Any, opened: Callable, ready: Callable) -> None:
    page, watched = opened(small)
    other = watched.page()
    other.goto(small.address + "papers/")
    ready(other)
    undo = page.get_by_role("button", name="Undo")
    page.locator('[data-next] button[data-mark="start"]').click()
    other.locator('button[data-mark="solo"]').click()
    expect(page.locator("[data-count]")).to_have_text("2 of 5")
    undo.click()
    assert stored(page) == {"solo": "read"}
    page.locator('[data-next] button[data-mark="start"]').click()
    expect(undo).to_be_visible()
    other.locator('button[data-mark="start"]').click()
    expect(undo).to_be_hidden()
    assert stored(page) == {"solo": "read", "start": "unread"}, "what another tab wrote since cannot be undone here"


def test_undo_outlives_a_reload(small: Any, opened: Callable, ready: Callable) -> None:
    page, _ = opened(small, "papers/ring/")
    page.get_by_role("button", name="skipped", exact=True).click()
    page.goto(small.address)
    ready(page)
    page.get_by_role("button", name="Undo").click()
    assert stored(page) == {}


def test_what_is_skipped_is_done_in_words_bars_and_totals(small: Any, opened: Callable, ready: Callable) -> None:
    page, _ = opened(small)
    put(page, ready, start="skipped", ring="read", survey="read")
    path = page.locator('[data-path="start ring survey"]')
    expect(path.locator("[data-path-count]")).to_have_text("done")
    assert path.locator("[data-bar]").evaluate("bar => bar.style.width") == "100%"
    expect(page.locator("[data-count]")).to_have_text("3 of 5")
    expect(page.locator("[data-count-word]")).to_have_text("papers done, 1 of them skipped")
    expect(page.locator("[data-pill]")).to_have_text("3 of 5 done")
    put(page, ready, start="skipped", ring="read", survey="read", solo="read", spite="skipped")
    expect(page.locator("[data-count]")).to_have_text("5 of 5")
    assert page.locator("[data-progress] [data-bar]").evaluate("bar => bar.style.width") == "100%"
    page.goto(small.address + "order/?goal=survey")
    expect(page.locator("[data-shown]")).to_have_text(
        "To understand The paper called survey: these 3, you have read 2 and skipped 1"
    )


def test_marks_can_be_cleared_after_a_question_and_come_back(small: Any, opened: Callable, ready: Callable) -> None:
    page, _ = opened(small)
    expect(page.locator("[data-clear]")).to_be_hidden()
    put(page, ready, start="read", ring="reading", gone="read")
    page.get_by_role("button", name="Clear…").click()
    page.keyboard.press("Escape")
    assert len(stored(page)) == 3
    page.get_by_role("button", name="Clear…").click()
    page.get_by_role("dialog", name="Clear 3 marks?").get_by_role("button", name="Clear").click()
    expect(page.locator("[data-count]")).to_have_text("0 of 5")
    assert stored(page) == {}
    page.get_by_role("button", name="Undo").click()
    assert stored(page) == {"start": "read", "ring": "reading", "gone": "read"}


def test_a_file_of_marks_says_what_it_changes_first(small: Any, opened: Callable, ready: Callable) -> None:
    page, _ = opened(small)
    put(page, ready, ring="read")
    marks = {"ring": {"s": "reading", "t": "2026-02-01T00:00:00Z"}, "solo": {"s": "read", "t": WHEN}}
    text = json.dumps({"schema_version": 1, "marks": marks})
    file = {"name": "m.json", "mimeType": "application/json", "buffer": text.encode()}
    page.locator("[data-file]").set_input_files(file)
    question = page.get_by_role("dialog", name="Change 2 marks?")
    expect(question).to_contain_text("RING: read → reading")
    question.get_by_role("button", name="Leave as they are").click()
    assert stored(page) == {"ring": "read"}
    page.locator("[data-file]").set_input_files(file)
    question.get_by_role("button", name="Change", exact=True).click()
    expect(page.locator("[data-say]")).to_have_text("2 marks changed")
    assert stored(page) == {"ring": "reading", "solo": "read"}
    page.locator("[data-file]").set_input_files(file)
    expect(page.locator("[data-say]")).to_have_text("That file changes no mark")
