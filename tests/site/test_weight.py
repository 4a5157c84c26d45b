"""What pages weigh: the theme's style sheets without what nothing matches, and the budgets of each kind of page."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kb_tools.site.generator import THEME_FILES
from kb_tools.site.scripts import loaded
from kb_tools.site.styles import Words, pruned

KB = 1024
PAPER, PAPER_WITH_CODE = 30 * KB, 42 * KB  # of HTML; of the second less code and mathematics
FIRST_VISIT, THEME = 150_000, 30 * KB  # all that a page loads but pictures, compressed; the theme's style sheets
KINDS = ("", "papers/", "papers/ldm/", "papers/ddpm/", "papers/score-sde/", "topics/", "topics/sampling/", "order/")
KINDS += ("order/goals/", "graph/", "graph/ect/", "gallery/", "verification/", "speed/", "resources/")
KINDS += ("contribute/", "data/", "code/ddim/", "404.html")


def squeezed(data: bytes) -> int:
    return len(gzip.compress(data, mtime=0))


def test_a_page_of_a_paper_is_light(real: Any) -> None:
    heavy = {}
    for ident in real.collection.records():
        path = real.folder / "papers" / ident / "index.html"
        if not path.is_file():
            continue
        html = path.read_text(encoding="utf-8")
        limit = PAPER
        if 'id="program"' in html:
            html, limit = re.sub(r"<(pre|math)\b.*?</\1>", "", html, flags=re.DOTALL), PAPER_WITH_CODE
        if len(html.encode()) > limit:
            heavy[ident] = len(html.encode())
    assert heavy == {}


def test_the_theme_weighs_what_is_used_of_it(real: Any) -> None:
    sheets = list((real.folder / THEME_FILES).glob("*.css"))
    assert sheets
    assert sum(path.stat().st_size for path in sheets) <= THEME


@pytest.mark.browser
@pytest.mark.slow
def test_a_first_visit_is_within_its_budget(real: Any, opened: Callable, ready: Callable) -> None:
    page, watched = opened(real, "404.html")
    got: list[str] = []
    watched.context.on("request", lambda request: got.append(request.url))
    over = {}
    for address in KINDS:
        got.clear()
        page.goto(real.address + address)
        ready(page)
        page.evaluate("document.fonts.ready.then(() => 1)")
        weight = 0
        for url in dict.fromkeys(got):
            path = real.folder / url.removeprefix(real.address).partition("?")[0]
            path = path / "index.html" if path.is_dir() else path
            if path.suffix not in (".webp", ".png", ".svg"):
                weight += path.stat().st_size if path.suffix == ".woff2" else squeezed(path.read_bytes())
        if weight > FIRST_VISIT:
            over[address] = weight
    assert over == {}


@pytest.mark.browser
def test_what_is_told_ahead_is_what_is_loaded(real: Any, opened: Callable) -> None:
    page, _ = opened(real, "papers/ldm/")
    told = page.evaluate("[...document.querySelectorAll('link[rel=modulepreload]')].map((one) => one.href)")
    assert [url.rsplit("/", 1)[1] for url in told] == loaded(real.folder / "assets" / "js")
    entries = page.evaluate(
        "performance.getEntriesByType('resource').map((one) => [one.name, one.startTime])"
        ".filter(([name]) => name.endsWith('.js') || name.endsWith('marks.json'))"
    )
    names = [name for name, _ in entries]
    assert sorted(set(names)) == sorted(names), "nothing is fetched twice"
    began = dict(entries)
    first = next(name for name in names if name.endswith("/main.js"))
    late = {name: at for name, at in entries if (name in told or name.endswith("json")) and at > began[first]}
    assert not late, f"asked for after main.js, at {began[first]}: {late}"


# Selectors of a sheet that match something on the page, states and parts of elements left aside.
STATES = (
    "hover focus focus-visible focus-within active target checked before after marker selection placeholder visited"
)
MATCHED = r"""([name, states]) => {
  const state = new RegExp(`::?(?:${states.split(" ").join("|")}|-[\\w-]+)(?![\\w-])`, "g");
  const there = (one) => {
    try {
      return document.querySelector(one.replace(state, "") || "*");
    } catch {
      return false;
    }
  };
  const parts = (rule) => rule.selectorText.split(/,(?![^(]*\))/).map((one) => one.trim()).filter(there);
  // A rule that only names values which nothing asks for has no effect.
  const asked = [...document.styleSheets].filter((one) => one.ownerNode?.title !== "whole")
    .flatMap((one) => [...one.cssRules].map((rule) => rule.cssText)).join("\n");
  const idle = ({ style }) => style.length > 0
    && [...style].every((name) =>
      name.startsWith("--") && !asked.includes(`var(${name})`) && !asked.includes(`var(${name},`));
  const walk = (rules) => [...rules].flatMap((rule) =>
    rule.selectorText === undefined ? walk(rule.cssRules ?? []) : idle(rule) ? [] : parts(rule));
  const sheet = [...document.styleSheets].find((one) => one.href?.endsWith(name) || one.ownerNode?.title === name);
  return [...new Set(walk(sheet.cssRules))];
}"""
PUT_IN = """(css) => {
  const style = document.createElement("style");
  style.title = "whole";
  style.textContent = css;
  document.head.append(style);
}"""


@pytest.mark.browser
@pytest.mark.slow
def test_nothing_that_matches_is_lost(real: Any, opened: Callable, ready: Callable) -> None:
    """The whole sheet is put into each kind of page: every selector of it that matches there is in ours as well."""
    import material

    whole = Path(material.__file__).parent / "templates" / THEME_FILES
    page, _ = opened(real, "404.html")
    lost: dict[str, list[str]] = {}
    for address in KINDS:
        page.goto(real.address + address)
        ready(page)
        for path in sorted(whole.glob("*.css")):
            page.evaluate(PUT_IN, path.read_text(encoding="utf-8"))
            before, after = (page.evaluate(MATCHED, [name, STATES]) for name in ("whole", path.name))
            page.evaluate("document.querySelector('style[title=whole]').remove()")
            kept = set(after)
            missing = [one for one in before if one not in kept]
            if missing:
                lost[f"{address} {path.name}"] = missing
    assert lost == {}


def prune(css: str, html: str, script: str = "", other: str = "") -> str:
    words = Words()
    words.add_page(html, frame=True)
    words.add_script(script)
    return pruned({"a.css": css}, words, [other])["a.css"]


@pytest.mark.parametrize(
    ("css", "html", "kept"),
    [
        (".a{x:1}.b{x:1}", '<p class="a">', ".a{x:1}"),
        (".a,.b{x:1}", '<p class="a">', ".a{x:1}"),
        (".a .b>.c{x:1}", '<p class="a b">', ""),
        ("@media print{.a{x:1}.b{x:1}}", '<p class="b">', "@media print{.b{x:1}}"),
        ("@media print{@supports (x:1){.a{x:1}}}", '<p class="b">', ""),
        ("ul li{x:1}p{x:1}", "<ul><li>", "ul li{x:1}"),
        ("p:not(.gone){x:1}", "<p>", "p:not(.gone){x:1}"),
        ("p:is(.a,.b) i{x:1}", '<p class="b"><i>', "p:is(.a,.b) i{x:1}"),
        ("p:is(.a,.c) i{x:1}", '<p class="b"><i>', ""),
        ("*,:after,::marker{x:1}", "<p>", "*,:after,::marker{x:1}"),
        (".md\\:a{x:1}", '<p class="md:a">', ".md\\:a{x:1}"),
        ("#a{x:1}#b{x:1}", '<p id="b">', "#b{x:1}"),
        ("[data-md-x=a]{x:1}[data-md-x=b]{x:1}[data-md-y]{x:1}", '<p data-md-x="b">', "[data-md-x=b]{x:1}"),
        ("[href^='x,y']{x:1}", "<p>", "[href^='x,y']{x:1}"),
        (".a{x:url('data:image/svg+xml;x,{}')}", '<p class="a">', ".a{x:url('data:image/svg+xml;x,{}')}"),
        ('.a:before{content:"}{;"}', '<p class="a">', '.a:before{content:"}{;"}'),
        (":root{--a:1;--b:2;--c:var(--b)}p{x:var(--a)}", "<p>", ":root{--a:1}p{x:var(--a)}"),
        ("@keyframes k{0%{x:1}to{x:2}}@keyframes l{0%{x:1}}p{animation:k 1s}", "<p>",
         "@keyframes k{0%{x:1}to{x:2}}p{animation:k 1s}"),
        ('@charset "UTF-8";p{x:1}', "<p>", '@charset "UTF-8";p{x:1}'),
        ("@font-face{font-family:x}p{x:1}/* no */", "<p>", "@font-face{font-family:x}p{x:1}"),
    ],
)  # fmt: skip
def test_rules_that_can_match_are_kept_and_others_go(css: str, html: str, kept: str) -> None:
    assert prune(css, html) == kept


def test_what_scripts_may_name_is_kept() -> None:
    assert prune(".is-open dialog{x:1}", "<p>", 'make("dialog"); list.add("is-open")') == ".is-open dialog{x:1}"
    assert prune(":root{--a:1}", "<p>", other="p{x:var(--a)}") == ":root{--a:1}"


@pytest.mark.parametrize("css", ["p{x:1", "p{x:1}}", "p{x:'1}"])
def test_a_sheet_that_cannot_be_read_is_refused(css: str) -> None:
    with pytest.raises(ValueError, match=r"brace|style sheet"):
        prune(css, "<p>")


def test_the_chain_of_imports(tmp_path: Path) -> None:
    (tmp_path / "main.js").write_text(
        'import { a } from "./b.js";\nimport {\n  c,\n} from "./c.js";\nimport("./late.js");\n'
    )
    (tmp_path / "b.js").write_text('import { d } from "./d.js";\nimport { c } from "./c.js";\n')
    (tmp_path / "c.js").write_text("export const c = 1;\n")
    (tmp_path / "d.js").write_text('import { a } from "./main.js";\n')
    assert loaded(tmp_path) == ["b.js", "c.js", "d.js"]
    assert loaded(tmp_path / "none") == []
