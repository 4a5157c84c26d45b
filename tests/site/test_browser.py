"""The site as a reader has it: in chromium, with nothing but this machine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from kb_tools.cli import main
from kb_tools.progress.marks import dumps, loads
from kb_tools.records.store import Collection

pytestmark = pytest.mark.browser


@pytest.mark.slow
def test_every_page_is_quiet_and_fits(real: Any, opened: Callable) -> None:
    page, watched = opened(real, viewport={"width": 320, "height": 640}, color_scheme="dark")
    for address in real.pages():
        page.goto(real.address + address)
        wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wider <= 0, f"{address} is {wider} px wider than a small phone"
        assert page.locator("h1").count() == 1, address
        assert watched.complaints == [], address


def test_hostile_record_stays_text_even_without_a_policy(small: Any, opened: Callable, ready: Callable) -> None:
    page, _ = opened(small, bypass_csp=True)
    for address in small.pages():
        page.goto(small.address + address)
        assert page.evaluate("window.pwned") is None, address
    page.goto(small.address)
    ready(page)
    page.keyboard.press("s")
    page.get_by_role("combobox").fill("pwned")
    page.get_by_role("option").first.wait_for()
    assert page.evaluate("window.pwned") is None
    page.goto(small.address + "papers/?q=spite")
    ready(page)
    page.locator('button[data-mark="spite"]').click()
    page.goto(small.address)
    ready(page)
    assert page.evaluate("window.pwned") is None
    page.goto(small.address + "order/?goal=spite")
    ready(page)
    assert page.evaluate("window.pwned") is None
    page.goto(small.address + "papers/spite/")
    assert "<script>window.pwned=1</script>" in page.locator("h1").inner_text()
    assert "{{ config.site_name }} {% raw %}" in page.title()


def test_the_policy_forbids_inline_scripts(small: Any, browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(small.address)
    page.evaluate("() => { const s = document.createElement('script'); s.textContent = 'window.pwned = 1';"
                  " document.body.append(s); }")  # fmt: skip
    assert page.evaluate("window.pwned") is None
    assert "Content Security Policy" in refused[0]
    context.close()


def test_a_mark_is_one_click_and_survives_a_reload(small: Any, opened: Callable, ready: Callable) -> None:
    page, _ = opened(small, "papers/")
    expect(page.locator("[data-pill]")).to_have_text("0 of 5 read")
    mark = page.locator('button[data-mark="ring"]')
    mark.click()
    expect(mark).to_have_attribute("data-state", "read")
    expect(page.locator("[role=status].kb-say")).to_contain_text("RING: read. 1 of 5 read.")
    page.reload()
    ready(page)
    expect(mark).to_have_attribute("data-state", "read")
    expect(page.locator("[data-pill]")).to_have_text("1 of 5 read")
    page.goto(small.address + "papers/ring/")
    ready(page)
    expect(page.locator("[data-states] button[aria-pressed=true]")).to_have_text("read")
    page.get_by_role("button", name="reading", exact=True).click()
    expect(page.locator("[data-pill]")).to_have_text("0 of 5 read")
    stored = page.evaluate("JSON.parse(localStorage.getItem('kb:/:v1'))")
    assert stored["ring"]["s"] == "reading"
    page.keyboard.press("x")
    expect(page.locator("[data-states] button[aria-pressed=true]")).to_have_text("read")
    page.keyboard.press("k")
    page.wait_for_url("**/papers/start/")


def test_marks_can_be_taken_to_a_shell(small: Any, opened: Callable) -> None:
    page, _ = opened(small, permissions=["clipboard-read", "clipboard-write"])
    page.evaluate(
        """localStorage.setItem('kb:/:v1', JSON.stringify({ solo: { s: 'read', t: '2026-01-01T00:00:00Z' },
             ring: { s: 'read', t: '2026-01-01T00:00:00Z' }, survey: { s: 'skipped', t: '2026-01-01T00:00:00Z' } }))"""
    )
    page.reload()
    page.get_by_role("button", name="Copy as kb command").click()
    page.wait_for_function(
        "navigator.clipboard.readText().then((t) => t === 'kb status ring solo read\\nkb status survey skipped\\n')"
    )


def test_a_mark_for_a_paper_that_is_gone_is_kept_and_never_counted(
    small: Any, opened: Callable, ready: Callable
) -> None:
    page, _ = opened(small)
    marks = {i: {"s": "read", "t": "2026-01-01T00:00:00Z"} for i in ("start", "ring", "solo", "survey", "gone")}
    page.evaluate(f"localStorage.setItem('kb:/:v1', {json.dumps(json.dumps(marks))})")
    page.reload()
    ready(page)
    expect(page.locator("[data-count]")).to_have_text("4 of 5")
    page.locator('[data-next] button[data-mark="spite"]').click()
    expect(page.locator("[data-count]")).to_have_text("5 of 5")
    expect(page.locator("[data-next]")).to_contain_text("All done")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export marks").click()
    assert "gone" in json.loads(download.value.path().read_text())["marks"]


def test_marks_go_out_to_kb_and_come_back(small: Any, opened: Callable, ready: Callable, tmp_path: Path) -> None:
    page, _ = opened(small)
    page.locator('[data-next] button[data-mark="start"]').click()
    page.locator('[data-next] button[data-mark="ring"]').click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export marks").click()
    text = download.value.path().read_text()
    assert {i: m.status for i, m in loads(text, "marks").items()} == {"start": "read", "ring": "read"}
    root = shutil.copytree(small.collection.root, tmp_path / "copy", ignore=shutil.ignore_patterns("build"))
    assert main(["-C", str(root), "progress", "import", str(download.value.path())]) == 0
    assert Collection(root).records()["ring"].status == "read"

    page.evaluate("localStorage.clear()")
    page.reload()
    ready(page)
    expect(page.locator("[data-count]")).to_have_text("0 of 5")
    marks = loads(text, "marks") | loads(
        '{"schema_version": 1, "marks": {"solo": {"s": "read", "t": "2026-01-01T00:00:00Z"},'
        ' "gone-paper": {"s": "read", "t": "2026-01-01T00:00:00Z"}}}',
        "marks",
    )
    chosen = {"name": "m.json", "mimeType": "application/json", "buffer": dumps(marks).encode()}
    page.locator("[data-file]").set_input_files(chosen)
    expect(page.get_by_role("dialog", name="Change 4 marks?")).to_contain_text("Zebra crossing: unread → read")
    page.get_by_role("button", name="Change", exact=True).click()
    expect(page.locator("[data-count]")).to_have_text("3 of 5")
    expect(page.locator("[data-progress-note]")).to_contain_text("gone-paper")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("[data-count]")).to_have_text("0 of 5")


@pytest.mark.parametrize("text", ["not json", "[]", '{"schema_version": 2, "marks": {}}', "null"])
def test_a_wrong_file_of_marks_changes_nothing(small: Any, opened: Callable, text: str) -> None:
    page, _ = opened(small)
    page.locator("[data-file]").set_input_files({"name": "x", "mimeType": "text/plain", "buffer": text.encode()})
    expect(page.locator(".kb-say")).to_contain_text("That file")
    assert page.evaluate("localStorage.getItem('kb:/:v1')") is None


def test_marks_work_where_storage_is_refused(small: Any, opened: Callable, ready: Callable) -> None:
    page, _ = opened(small, "404.html")
    page.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no'); } });")
    page.goto(small.address + "papers/")
    ready(page)
    mark = page.locator('button[data-mark="ring"]')
    mark.click()
    expect(mark).to_have_attribute("data-state", "read")
    expect(page.locator(".kb-say")).to_contain_text("refuses storage")


def test_broken_and_renamed_marks_are_understood(small: Any, opened: Callable, ready: Callable) -> None:
    page, _ = opened(small)
    page.evaluate("localStorage.setItem('kb:/:v1', '{broken')")
    page.reload()
    ready(page)
    expect(page.locator("[data-count]")).to_have_text("0 of 5")
    moved = page.evaluate(
        """async () => {
          const { renamed } = await import(new URL('assets/js/progress.js', location).href);
          return renamed({ old: { s: 'read', t: '2026-01-01T00:00:00Z' } }, { now: { former: ['old'] } });
        }"""
    )
    assert moved == {"now": {"s": "read", "t": "2026-01-01T00:00:00Z"}}


def shown(page: Page) -> list[str]:
    return page.locator(".paper-row:visible").evaluate_all("rows => rows.map((row) => row.dataset.id)")


def test_filters_sort_and_keep_their_state_in_the_address(small: Any, opened: Callable, ready: Callable) -> None:
    page, _ = opened(small, "papers/")
    count = page.locator("[data-shown]")
    assert shown(page)[0] == "start"
    assert sorted(shown(page)) == ["ring", "solo", "spite", "start", "survey"]
    page.locator("select[name=topic]").select_option("speed")
    expect(count).to_have_text("2 of 5 papers")
    page.locator("select[name=wr]").select_option("1")
    assert shown(page) == ["solo"]
    assert "topic=speed" in page.url
    assert "wr=1" in page.url
    page.reload()
    ready(page)
    expect(count).to_have_text("1 of 5 papers")
    page.get_by_role("button", name="Clear filters").first.click()
    expect(count).to_have_text("5 papers")
    page.locator("select[name=kind]").select_option("survey")
    assert shown(page) == ["survey"]
    page.locator("select[name=kind]").select_option("")
    page.locator("select[name=code]").select_option("code")
    assert sorted(shown(page)) == ["ring", "spite"]
    page.locator("select[name=code]").select_option("verified")
    assert sorted(shown(page)) == ["ring", "spite"]
    page.locator("select[name=code]").select_option("authors")
    assert shown(page) == ["solo"]
    page.locator("select[name=code]").select_option("none")
    assert sorted(shown(page)) == ["start", "survey"]
    page.locator("select[name=code]").select_option("")
    page.locator("select[name=year]").select_option("1999")
    assert shown(page) == ["solo"]
    page.locator("select[name=year]").select_option("")
    page.locator('button[data-mark="start"]').click()
    page.locator("select[name=status]").select_option("read")
    assert shown(page) == ["start"]
    page.locator("select[name=status]").select_option("")
    page.locator("select[name=sort]").select_option("old")
    assert shown(page)[:2] == ["solo", "start"]
    page.locator("select[name=sort]").select_option("title")
    assert shown(page)[-1] == "solo", "Zebra comes last"


def test_each_choice_says_how_many_it_leaves(small: Any, opened: Callable) -> None:
    page, _ = opened(small, "papers/?topic=speed")

    def choices(name: str) -> list[str]:
        return page.locator(f"select[name={name}] option:enabled").all_inner_texts()

    assert choices("kind") == ["any", "paper (2)"]
    assert choices("wr") == ["any", "2, read (1)", "1, skim (1)"]
    assert choices("topic")[1].startswith("Basics (3)"), "a facet does not count against itself"


def test_cards_are_the_same_papers_and_the_choice_is_in_the_address(
    small: Any, opened: Callable, ready: Callable
) -> None:
    page, _ = opened(small, "papers/?kind=survey")
    page.get_by_role("button", name="Cards").click()
    assert "view=cards" in page.url
    assert "kind=survey" in page.url
    page.reload()
    ready(page)
    expect(page.get_by_role("button", name="Cards")).to_have_attribute("aria-pressed", "true")
    assert shown(page) == ["survey"]


def test_back_keeps_filter_and_place(real: Any, opened: Callable, ready: Callable) -> None:
    page, _ = opened(real, "papers/", viewport={"width": 900, "height": 500})
    page.locator("select[name=kind]").select_option("paper")
    page.locator("select[name=sort]").select_option("new")
    before = page.locator("[data-shown]").inner_text()
    page.evaluate("scrollTo({ top: 900, behavior: 'instant' })")
    page.locator(".paper-row:visible .row-title").nth(12).click()
    page.wait_for_url("**/papers/*/")
    page.go_back()
    ready(page)
    expect(page.locator("[data-shown]")).to_have_text(before)
    expect(page.locator("select[name=sort]")).to_have_value("new")
    page.wait_for_function("scrollY > 500")


def test_text_filter_finds_authors_and_summaries_and_has_an_empty_state(small: Any, opened: Callable) -> None:
    page, _ = opened(small, "papers/")
    field = page.get_by_label("Filter by words")
    field.fill("jiaming")
    expect(page.locator(".paper-row:visible")).to_have_count(1)
    assert shown(page) == ["solo"]
    field.fill("evariste 2001.00001")
    expect(page.locator(".paper-row:visible")).to_have_count(1)
    assert shown(page) == ["ring"]
    field.fill("no such words")
    expect(page.locator("[data-empty]")).to_be_visible()
    page.locator("[data-empty] button").click()
    expect(page.locator(".paper-row:visible")).to_have_count(5)


def test_the_list_works_by_keyboard(small: Any, opened: Callable) -> None:
    page, _ = opened(small, "papers/")
    page.locator("[data-filters]").wait_for()
    second = shown(page)[1]
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator(f'button[data-mark="{second}"]')).to_have_attribute("data-state", "read")
    page.keyboard.press("/")
    page.keyboard.type("zebra")
    expect(page.locator(".paper-row:visible")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator(".paper-row:visible")).to_have_count(5)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_contain_text("next paper")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("v")
    expect(page.locator("[data-papers]")).to_have_attribute("data-view", "cards")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/papers/*/")


def test_a_page_can_be_walked_with_the_tab_key(small: Any, opened: Callable) -> None:
    page, _ = opened(small, "papers/ring/")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#content :focus")).to_have_count(1)
    page.get_by_role("button", name="read", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.locator("[data-pill]")).to_have_text("1 of 5 read")
    hidden = page.evaluate(
        """() => [...document.querySelectorAll('a, button, input, select, summary, [tabindex]')].filter((e) => {
             e.focus({ focusVisible: true });
             const box = e.getBoundingClientRect();
             return document.activeElement === e && (box.width === 0 || box.height === 0) && e.tabIndex >= 0;
           }).map((e) => e.outerHTML.slice(0, 90))"""
    )
    assert hidden == [], "what can be reached can be seen"


def test_order_can_be_cut_to_a_goal(small: Any, opened: Callable) -> None:
    page, _ = opened(small, "order/")
    page.locator('button[data-mark="start"]').click()
    page.get_by_label("I want to understand").select_option("survey")
    expect(page.locator("[data-shown]")).to_contain_text("these 3, you have read 1")
    expect(page.locator("#ring [data-why]")).to_have_text("Needed for The paper called survey.")
    assert page.locator(".step:visible").evaluate_all("s => s.map((e) => e.dataset.id)") == ["start", "ring", "survey"]
    page.get_by_label("only what is left").check()
    expect(page.locator(".step:visible")).to_have_count(2)
    assert "goal=survey" in page.url


def test_what_to_read_next_follows_the_marks_and_agrees_with_kb(small: Any, opened: Callable) -> None:
    from kb_tools.graphs.order import next_papers

    page, _ = opened(small)

    def cards() -> list[str]:
        return page.locator("[data-next] > li").evaluate_all("s => s.map((e) => e.dataset.id)")

    records = small.collection.records()
    papers = {
        i: r.model_copy(update={"status": "unread"})
        for i, r in records.items()
        if r.kind in ("paper", "survey", "tutorial")
    }
    assert cards() == [s.ids[0] for s in next_papers(papers, count=3)]
    page.locator('[data-next] button[data-mark="start"]').click()
    papers["start"] = papers["start"].model_copy(update={"status": "read"})
    assert cards() == [s.ids[0] for s in next_papers(papers, count=3)]


def test_maths_is_drawn(small: Any, opened: Callable) -> None:
    page, _ = opened(small, "papers/ring/")
    page.evaluate("document.fonts.ready")
    boxes = page.locator("math, math mi, math msqrt").evaluate_all(
        "nodes => nodes.map((n) => [n.namespaceURI, n.getBoundingClientRect().width, n.getBoundingClientRect().height])"
    )
    assert len(boxes) > 5
    for namespace, width, height in boxes:
        assert namespace == "http://www.w3.org/1998/Math/MathML"
        assert width > 0
        assert height > 0
    assert page.evaluate("document.fonts.check('20px \"STIX Two Math\"')")
    root = page.locator("math msqrt").first.bounding_box()
    letter = page.locator("math msqrt mi").first.bounding_box()
    assert root is not None
    assert letter is not None
    assert root["width"] > letter["width"], "a root is wider than what stands under it"


def test_code_and_bibtex_can_be_copied(small: Any, opened: Callable) -> None:
    page, _ = opened(small, "papers/ring/", permissions=["clipboard-read", "clipboard-write"])
    page.locator(".equation:not(.algorithm) .copy").click()
    expect(page.locator(".kb-say")).to_have_text("Copied")
    assert "    kept = alpha * x  # Eq. 2\n" in page.evaluate("navigator.clipboard.readText()")
    page.locator(".code:has-text('@misc') .copy").click()
    page.wait_for_function("navigator.clipboard.readText().then((t) => t.startsWith('@misc{lovelace2020paper'))")


def test_without_scripts_everything_can_be_read(small: Any, opened: Callable) -> None:
    page, _ = opened(small, java_script_enabled=False)
    assert page.locator("h1").is_visible()
    assert page.locator("[data-next] > li").count() == 2
    page.goto(small.address + "papers/")
    assert page.locator(".paper-row:visible").count() == 5
    assert page.locator('.mark[data-mark="start"]').get_attribute("data-state") == "read"
    page.goto(small.address + "papers/ring/")
    for heading in ("In short", "Samples", "What was measured", "Cite"):
        assert page.get_by_role("heading", name=heading, exact=True).is_visible()
    assert page.locator("math").first.is_visible()
    page.goto(small.address + "order/goals/")
    assert page.locator(".goal").count() >= 3
    page.goto(small.address + "graph/")
    assert page.locator(".chart a.n:visible").count() == 5
    assert page.locator(".graph-table tbody tr:visible").count() == 5
    page.locator('.chart a[href="../papers/ring/"]').click()
    page.wait_for_url("**/papers/ring/")
    page.goto(small.address + "papers/start/")
    page.get_by_role("link", name="Two steps: 4 papers").click()
    page.wait_for_url("**/graph/start.svg")
    assert page.locator("a").count() == 4


def test_scheme_follows_the_system_and_the_choice_is_kept(small: Any, opened: Callable) -> None:
    page, _ = opened(small, color_scheme="dark")
    assert page.locator("body").get_attribute("data-md-color-scheme") == "slate"
    page.get_by_role("button", name="Dark scheme").click()
    expect(page.locator("body")).to_have_attribute("data-md-color-scheme", "default")
    page.goto(small.address + "papers/")
    expect(page.locator("body")).to_have_attribute("data-md-color-scheme", "default")


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("ddpm", "papers/ddpm/"),
        ("score sde", "papers/score-sde/"),
        ("2010.02502", "papers/ddim/"),
        ("denosing implicit models", "papers/ddim/"),
        ("estimating gradients of the data", "papers/ncsn/"),
        ("classifer free guidence", "papers/cfg/"),
        ("hyvarinen", "papers/score-matching/"),
        ("vqvae", "papers/vq-vae/"),
        ("dalle2", "papers/dall-e-2/"),
        ("arXiv:2006.11239v2", "papers/ddpm/"),
        ("https://arxiv.org/abs/2006.11239v2", "papers/ddpm/"),
        ("ddpm.py", "code/ddpm/"),
    ],
)
def test_search_finds_what_is_half_remembered(real: Any, opened: Callable, words: str, first: str) -> None:
    page, _ = opened(real, "404.html")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("combobox").fill(words)
    expect(page.get_by_role("option").first).to_have_attribute("href", real.address + first)


def test_search_by_keyboard_and_what_is_not_there(real: Any, opened: Callable) -> None:
    page, _ = opened(real)
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox")
    field.fill("jonathan ho")
    expect(page.get_by_role("option").nth(2)).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option").nth(1)).to_have_attribute("aria-selected", "true")
    expect(field).to_have_attribute("aria-activedescendant", "hit-1")
    field.fill("qqqqqqqq")
    expect(page.get_by_role("dialog")).to_contain_text("0 found")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    field.fill("u-net")
    expect(page.get_by_role("option").first).to_contain_text("U-Net")
    page.keyboard.press("Enter")
    page.wait_for_url("**/papers/unet/")


def test_first_visit_is_light(real: Any, browser: Browser) -> None:
    """150 KB compressed without samples: HTML, styles, scripts and data compress; fonts already are."""
    import gzip

    context = browser.new_context()
    page = context.new_page()
    sizes: dict[str, int] = {}

    def weigh(response: Any) -> None:
        body = response.body()
        sizes[response.url] = len(body) if response.url.endswith((".woff2", ".webp")) else len(gzip.compress(body))

    page.on("requestfinished", lambda request: weigh(request.response()))
    page.goto(real.address, wait_until="networkidle")
    total = sum(size for url, size in sizes.items() if "/samples/" not in url)
    assert total <= 150_000, json.dumps(sizes, indent=1)
    context.close()


def test_what_a_filter_gives_back_is_all_there(real: Any, opened: Callable) -> None:
    page, _ = opened(real, "papers/?sort=title")
    rows = page.locator(".paper-row:not([hidden])")
    every = rows.count()
    assert every > 40, "more than one frame shows"
    titles = rows.locator(".row-title").all_inner_texts()
    page.locator("input[name=q]").fill("zzqxw")
    expect(rows).to_have_count(0)
    page.locator("input[name=q]").fill("")
    expect(rows).to_have_count(every)
    assert rows.locator(".row-title").all_inner_texts() == titles


def test_what_an_address_names_is_unfolded(real: Any, opened: Callable) -> None:
    page, _ = opened(real, "verification/")
    named = page.locator("details[id^=planted-]").first
    assert not named.evaluate("one => one.open")
    page.locator(f"td a[href='#{named.get_attribute('id')}']").first.click()
    assert named.evaluate("one => one.open")


def test_a_printed_path_says_where_it_leads(real: Any, opened: Callable) -> None:
    page, _ = opened(real, "order/?goal=ddim")
    page.emulate_media(media="print")
    expect(page.locator("[data-shown]")).to_be_visible()
    expect(page.locator("[data-shown]")).to_contain_text("To understand DDIM")
    expect(page.locator("[data-goal-form]")).to_be_hidden()
    expect(page.locator("[data-print]")).to_be_hidden()
