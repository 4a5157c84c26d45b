"""The site of a collection of one's own: its title and colours, and none of the project's pages."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit
from xml.etree import ElementTree

import pytest
from mkdocs.utils.yaml import yaml_load
from playwright.sync_api import expect

from kb_tools.appearance.colours import TEXT, contrast
from kb_tools.errors import InvalidRecordError, KbError
from kb_tools.records.layout import dump, dump_topics
from kb_tools.records.model import Colours
from kb_tools.records.settings import BEHIND
from kb_tools.records.store import Collection
from kb_tools.site import own
from kb_tools.site.build import Builder, build
from kb_tools.site.writing import read_tree

ROOT = Path(__file__).resolve().parents[2]
TOPICS = {
    "folding": {"title": "Folding", "summary": "How a chain finds its shape."},
    "empty": {"title": "Empty", "summary": "Nothing stands here."},
}
OURS = ("gallery", "verification", "speed", "contribute", "compare", "code", "samples")
WORDS = ("diffusion", "proven", "verif", "gallery", "pytorch", "reading lists", "mit.")  # of the project alone
TITLE = 'Folds & "shapes" <read>'


def paper(n: int, **fields: Any) -> dict[str, Any]:
    base = {
        "id": f"fold-{n}", "kind": "paper", "title": f"The fold of number {n}", "authors": ["Ada Lovelace"],
        "year": 1990 + n, "topics": ["folding"], "why": "It is short", "summary": "What it is.\nWhat it shows.",
        "builds_on": [f"fold-{n // 2}"] if n else [],
    }  # fmt: skip
    return base | fields


@pytest.fixture
def mine(tmp_path: Path) -> Callable[..., Collection]:
    """mine(records, more lines of kb.yaml) makes a collection of one's own."""

    def make(records: list[dict[str, Any]], more: str = "", topics: dict[str, Any] = TOPICS) -> Collection:
        (tmp_path / "papers" / "resources").mkdir(parents=True)
        (tmp_path / "papers" / "topics.yaml").write_text(dump_topics(topics))
        (tmp_path / "kb.yaml").write_text(f"title: {json.dumps(TITLE)}\n{more}")
        collection = Collection(tmp_path)
        for record in records:
            collection.path_of(record["id"], record["kind"]).write_text(dump(record))
        return collection

    return make


def pages(site: Path) -> dict[str, str]:
    """Address within the site -> HTML."""
    found = {path.relative_to(site).as_posix(): path.read_text("utf-8") for path in site.rglob("*.html")}
    return {name.removesuffix("index.html"): html for name, html in found.items()}


def said(html: str) -> str:
    """What a page says, in lower case: without its elements, scripts and styles."""
    return re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", html, flags=re.DOTALL).lower()


def check_links(site: Path) -> None:
    shown = pages(site)
    for page, html in shown.items():
        for link in re.findall(r'(?:href|src)="([^"]*)"', html):
            target = urlsplit(urljoin(f"http://site.invalid/{page}", link))
            if target.netloc == "site.invalid":
                path = unquote(target.path).lstrip("/")
                assert path in shown or (site / path).is_file(), f"{page}: {link}"
                if target.fragment and path in shown:
                    assert f'id="{target.fragment}"' in shown[path], f"{page}: {link}"


@pytest.mark.parametrize("count", [0, 1, 50])
def test_it_has_the_owners_title_and_none_of_the_projects_pages_and_words(mine: Callable, count: int) -> None:
    collection = mine([paper(n) for n in range(count)], 'description: "What I read."\n')
    site = build(collection, collection.root / "build").site
    assert [name for name in OURS if (site / name).exists()] == []
    check_links(site)
    for page, html in pages(site).items():
        assert "Folds &amp; &#34;shapes&#34; &lt;read&gt;</title>" in html, page
        if not page.startswith("data/"):  # which names every field that papers.json can have
            assert [word for word in WORDS if word in said(html)] == [], page
    home = said(pages(site)[""])
    assert "what i read." in home
    assert ("kb add" in home) == (count == 0)
    assert ("start reading" in home) == (count > 0)
    assert ("read next" in home) == (count > 0)
    assert ("paths" in home) == (count > 1)
    assert " 1 papers" not in home
    assert (f"browse all {count}" in home) == (count > 1)
    nav = re.findall(r'<ul class="kb-nav">.*?</ul>', pages(site)[""], re.DOTALL)[0]
    assert re.findall(r">([^<>]+)</a>", nav) == ["Papers", "Topics", "Reading order", "Graph"]
    feed = ElementTree.fromstring((site / "feed.xml").read_bytes())
    assert feed.findtext("{*}title") == TITLE
    assert len(feed.findall("{*}entry")) == count
    assert (site / "llms.txt").read_text().startswith('# Folds & "shapes" <read>\n\n> What I read.\n')
    assert len(json.loads((site / "data" / "papers.json").read_text())["papers"]) == count
    assert len(json.loads((site / "data" / "search.json").read_text())["docs"]) == count + len(TOPICS)


def test_what_it_holds_brings_its_page(mine: Callable) -> None:
    blog = {"id": "blog", "kind": "blog", "title": "A blog", "links": {"page": "https://example.com/"}}
    collection = mine([paper(0), blog])
    site = build(collection, collection.root / "build").site
    assert "A blog" in pages(site)["resources/"]
    assert 'href="resources/"' in pages(site)[""]
    check_links(site)


def test_its_code_is_shown_where_it_has_some(mine: Callable) -> None:
    collection = mine([paper(0, implementation="fold", arxiv="2001.00001")])
    folder = collection.root / "implementations"
    (folder / "evidence").mkdir(parents=True)
    (folder / "fold.py").write_text('"""Folds."""\n\n\ndef fold(x):\n    return -x\n')
    (folder / "demos").mkdir()
    (folder / "demos" / "fold.py").write_text("from implementations.fold import fold\n\nX = fold(2)\n")
    site = build(collection, collection.root / "build").site
    assert {"gallery/", "verification/", "code/fold-0/"} <= pages(site).keys()
    assert "git clone" not in pages(site)["code/fold-0/"]
    check_links(site)


def test_where_it_stands_and_where_its_records_are_seen(mine: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KB_SITE_URL", raising=False)
    lines = 'site_url: "https://example.org/mine"\nrepository: "https://example.org/mine.git?a=1&b=2"\n'
    collection = mine([paper(0)], lines)
    site = build(collection, collection.root / "build").site
    html = pages(site)["papers/fold-0/"]
    assert '<link rel="canonical" href="https://example.org/mine/papers/fold-0/">' in html
    assert '<a href="https://example.org/mine.git?a=1&amp;b=2">Source</a>' in html
    assert "og:image" not in html
    ids = re.findall(r"<id>(.*?)</id>", (site / "feed.xml").read_text())
    assert ids == ["https://example.org/mine/feed.xml", "https://example.org/mine/papers/fold-0"]
    monkeypatch.setenv("KB_SITE_URL", "https://example.com/")
    site = build(collection, collection.root / "build").site
    assert '<link rel="canonical" href="https://example.com/papers/fold-0/">' in pages(site)["papers/fold-0/"]


def variables(css: str, selector: str) -> dict[str, str]:
    """The colours that the last rule of this selector sets."""
    rule = css[css.rindex(selector) :]
    return dict(re.findall(r"--([\w-]+):(#[0-9a-fA-F]{6})", rule[: rule.index("}")]))


@pytest.mark.parametrize("colours", [("#7a1fa2", "#e0b0ff"), ("#6d6d6d", "#808a90"), ("#000000", "#ffffff")])
def test_text_in_the_owners_colours_can_be_read(mine: Callable, colours: tuple[str, str]) -> None:
    light, dark = colours
    collection = mine([paper(0)], f'colours: {{light: "{light}", dark: "{dark}"}}\n')
    site = build(collection, collection.root / "build").site
    css = (site / "assets" / "css" / "kb.css").read_text()
    for scheme, selector, colour in (("light", ":root", light), ("dark", '[data-md-color-scheme="slate"]', dark)):
        found = variables(css, selector)
        assert found["accent"] == found["code-f"] == colour
        assert contrast(found["accent"], found["accent-soft"]) >= TEXT
        assert contrast(found["on-accent"], found["accent"]) >= TEXT
        assert all(contrast(found["accent-2"], one) >= TEXT for one in BEHIND[scheme])
    assert light in (site / "assets" / "img" / "favicon.svg").read_text()


def test_a_colour_that_cannot_be_read_stops_the_build(mine: Callable) -> None:
    collection = mine([paper(0)], 'colours: {light: "#ffdd00"}\n')
    with pytest.raises(InvalidRecordError, match=r"contrast of 1\.18"):
        build(collection, collection.root / "build")


def test_new_settings_are_shown_by_the_next_build_and_the_same_write_nothing(mine: Callable) -> None:
    collection = mine([paper(0), paper(1)])
    builder = Builder(collection, collection.root / "build")
    builder.build()
    assert builder.build().written == []
    (collection.root / "kb.yaml").write_text('title: "Another"\ncolours: {light: "#7a1fa2"}\n')
    again = builder.build()
    assert all("Another</title>" in html for html in pages(again.site).values())
    assert read_tree(again.site) == read_tree(build(collection, collection.root / "anew").site)


def test_its_own_templates_come_first(mine: Callable) -> None:
    collection = mine([paper(0)])
    assert own.sources(collection.root) == ROOT / "site"
    (collection.root / "site" / "templates").mkdir(parents=True)
    assert own.sources(collection.root) == collection.root / "site"


def test_without_templates_and_settings_it_is_said_what_to_write(mine: Callable) -> None:
    collection = mine([paper(0)])
    (collection.root / "kb.yaml").unlink()
    with pytest.raises(KbError, match="no templates") as caught:
        build(collection, collection.root / "build")
    assert "kb.yaml" in (caught.value.hint or "")


def test_the_settings_of_mkdocs_are_those_of_the_project_but_for_what_is_the_owners(
    mine: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KB_SITE_URL", raising=False)
    collection = mine([paper(0)])
    build(collection, collection.root / "build")
    ours = yaml_load((ROOT / "mkdocs.yml").read_text())
    theirs = yaml_load((collection.root / "build" / "mkdocs.yml").read_text())
    assert [dict([entry]) for entry in [(title, file) for title, file, _ in own.NAV]] == ours.pop("nav")
    assert [next(iter(entry)) for entry in theirs.pop("nav")] == [
        "Home", "Papers", "Topics", "Reading order", "Graph", "Data and feeds",
    ]  # fmt: skip
    assert theirs["theme"].pop("custom_dir") == str(ROOT / "site" / "theme")
    assert ours["theme"].pop("custom_dir") == "site/theme"
    for name in ("site_name", "site_description", "docs_dir", "site_dir", "extra"):
        ours.pop(name, None)
        theirs.pop(name, None)
    assert theirs == ours | {"site_url": ""}


def test_colours_left_out_are_the_projects() -> None:
    files = {own.STYLES: b"a{}\n"}
    own.coloured(files, Colours())
    assert files == {own.STYLES: b"a{}\n"}


@pytest.mark.browser
def test_its_list_filters_and_its_search_finds_without_a_word_of_code(
    mine: Callable, serve: Callable, opened: Callable
) -> None:
    collection = mine([paper(n) for n in range(3)])
    site = serve(collection, build(collection, collection.root / "build"))
    page, _ = opened(site, "papers/?q=number+2")
    expect(page.locator("[data-shown]")).to_have_text("1 of 3 papers")
    page.locator("[data-reset]").first.click()
    expect(page.locator("[data-shown]")).to_have_text("3 papers")
    page.locator("[data-search]").click()
    page.locator(".search-line input").fill("qqqqqq")
    expect(page.locator(".search-card")).to_contain_text("This list may not have it.")
    assert page.locator(".search-card a").count() == 0
