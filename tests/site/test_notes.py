"""A person's notes on the page of their record: Markdown that can do nothing but be read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_FILE_PATH

from kb_tools.errors import KbError
from kb_tools.site.build import Builder, build
from kb_tools.site.notes import rendered, words
from kb_tools.site.serve import stamps
from tests.site.test_access import violations


def html(text: str, title: str = "T") -> str:
    return str(rendered(text, title, {"ddpm": "../ddpm/"}.get))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("*a* **b** ~~c~~", "<p><em>a</em> <strong>b</strong> <s>c</s></p>"),
        ("[a](ddpm.md) [b](./ddpm.md#x)", '<p><a href="../ddpm/">a</a> <a href="../ddpm/">b</a></p>'),
        ("[a](gone.md) [b](/etc) [c](#x)", "<p><span>a</span> <span>b</span> <span>c</span></p>"),
        ("[a](https://x.org/?q=1&r=2 'says')", '<p><a href="https://x.org/?q=1&amp;r=2">a</a></p>'),
        ("![a](https://x.org/a.png)![b](b.png)", '<p><a href="https://x.org/a.png">a</a>b</p>'),
        ("[![a](https://x.org/a.png)](https://x.org)", '<p><a href="https://x.org">a</a></p>'),
        ("```js\na\n\n\tb\n```", "<pre><code>a&#10;&#10;&#9;b&#10;</code></pre>"),
        ("|a|\n|-:|\n|1|", '<table><thead><tr><th class="end">a</th></tr></thead><tbody><tr><td class="end">1</td>'),
        ("<b onclick=x>a</b>", "<p>&lt;b onclick=x&gt;a&lt;/b&gt;</p>"),
        ("`{{ a }}` {% b %}", "<p><code>&#123;&#123; a &#125;&#125;</code> &#123;% b %&#125;</p>"),
    ],
)
def test_markdown_is_shown_and_nothing_more(text, shown):
    assert re.sub(r"\n(?=<)", "", html(text)).startswith(shown)


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "JAVASCRIPT:alert(1)", "data:text/html,x", "file:///etc", "//x"]
)
def test_no_link_leads_where_a_record_s_may_not(address):
    assert "<a" not in html(f"[a]({address}) ![b]({address}) <{address}>")


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("# T\n\n## A\n\n### B\n\n## C", [3, 4, 3]),  # the first is the page's own
        ("# Other\n\n## A", [3, 4]),
        ("### A\n\n###### B\n\n# C", [3, 4, 3]),
        ("# A\n\n## B\n\n### C\n\n#### D\n\n##### E", [3, 4, 5, 6, 6]),
    ],
)
def test_headings_stand_under_the_page_s_and_none_skips_a_level(text, levels):
    assert [int(n) for n in re.findall(r"<h(\d)>", html(text))] == levels
    assert html(text).count("</h") == len(levels)


def test_words_are_those_that_are_read():
    text = "# T\n\nOne *two*\nthree, [four](x.md).\n\n- ![five](a.png)\n\n```\nsix\n```\n\n|a|\n|-|\n|b|"
    assert words(text, "t") == "One two three, four. five six a b"


def test_they_stand_below_the_summary_and_the_search_reads_them(small: Any) -> None:
    page = small.html("papers/ring")
    assert page.index('id="summary"') < page.index('id="notes"') < page.index('id="algorithms"')
    assert '<a href="#notes">Notes</a>' in page
    assert '<a href="../start/">where to start</a>' in page
    assert page.count("The paper called ring</h") == 1
    assert "<code>def keep(x):&#10;&#10;&#9;return x / 2" in page
    assert 'id="notes"' not in small.html("papers/start")
    docs = json.loads((small.folder / "data" / "search.json").read_text())["docs"]
    assert [doc["u"] for doc in docs if "wide-angle-lens" in doc["x"]] == ["papers/ring/"]


def test_saved_notes_are_built_and_only_where_they_are_shown(
    tmp_path: Path, write: Callable, a_record: Callable
) -> None:
    blog = {"id": "blog", "kind": "blog", "title": "A blog", "links": {"page": "https://example.com/"}}
    collection = write([a_record("ring"), a_record("solo"), blog])
    builder = Builder(collection, tmp_path / "build")
    site = builder.build().site
    folder = tmp_path / "papers" / "notes"
    folder.mkdir()
    before = stamps(tmp_path)
    (folder / "solo.md").write_text("Twice *read*.\n")
    assert stamps(tmp_path).keys() - before.keys() == {folder / "solo.md"}
    report = builder.build()
    assert {"site/papers/solo/index.html", "site/data/search.json"} <= set(report.written)
    assert "site/papers/ring/index.html" not in report.written
    assert "<p>Twice <em>read</em>.</p>" in (site / "papers" / "solo" / "index.html").read_text()
    (folder / "blog.md").write_text("Of a *blog*.\n")
    builder.build()
    assert "<p>Of a <em>blog</em>.</p>" in (site / "resources" / "index.html").read_text()
    (folder / "solo.md").unlink()
    builder.build()
    assert 'id="notes"' not in (site / "papers" / "solo" / "index.html").read_text()


def test_notes_that_cannot_be_read_stop_the_build(tmp_path: Path, write: Callable, a_record: Callable) -> None:
    collection = write([a_record("ring")])
    (tmp_path / "papers" / "notes").mkdir()
    (tmp_path / "papers" / "notes" / "ring.md").write_bytes(b"caf\xe9")
    with pytest.raises(KbError, match=r"ring\.md: is not UTF-8"):
        build(collection, tmp_path / "build")
    assert build(collection, tmp_path / "build", strict=False).pages


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_them_and_they_fit_a_phone(
    small: Any, opened: Callable, ready: Callable, scheme: str
) -> None:
    page, _ = opened(small, "404.html", color_scheme=scheme, viewport={"width": 320, "height": 640})
    page.add_init_script(path=AXE_FILE_PATH)
    page.goto(small.address + "papers/ring/#notes")
    ready(page)
    assert [each for each in violations(page) if ".written" in each or "#notes" in each] == []
    reach = "(notes) => Math.max(...[...notes.querySelectorAll('*')].map((one) => one.getBoundingClientRect().right))"
    assert page.locator(".written").evaluate(reach) <= 320
    assert page.locator(".written pre").evaluate("(pre) => pre.scrollWidth <= pre.clientWidth")
