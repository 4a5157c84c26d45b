"""Data and feeds: whole, readable by what they are meant for, and as the page about them says."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

from kb_tools.exchange import bibtex
from kb_tools.records.model import Record
from kb_tools.site import machine_readable
from kb_tools.site.knowledge import gather
from kb_tools.site.writing import Memo

ROOT = Path(__file__).resolve().parents[2]
ATOM = {"a": "http://www.w3.org/2005/Atom"}


@pytest.fixture
def knowledge(write: Callable, tmp_path: Path) -> Any:
    return gather(write(), tmp_path / "build")


def test_every_field_of_papers_json_is_described(real: Any) -> None:
    page = (ROOT / "site" / "pages" / "data" / "index.md").read_text()
    described = set(re.findall(r"^\| `(\w+)` \|", page, re.M))
    papers = json.loads((real.folder / "data" / "papers.json").read_text("utf-8"))["papers"]
    used = {field for paper in papers for field in paper}
    possible = Record.model_fields.keys() - {"sources", "equations", "abstract"} | {
        "order",
        "url",
        "unlocks",
        "verified",
    }
    assert described == possible
    assert used <= described
    assert [paper["order"] for paper in papers] == list(range(1, len(papers) + 1))


def test_feeds_hold_every_paper_and_stay_the_same_from_build_to_build(small: Any, knowledge: Any) -> None:
    root = ElementTree.parse(small.folder / "feed.xml").getroot()
    entries = root.findall("a:entry", ATOM)
    ids = [entry.findtext("a:id", "", ATOM) for entry in entries]
    assert sorted(ids) == sorted(f"tag:diffusion-kb,2026:papers/{i}" for i in knowledge.papers)
    for element in [root, *entries]:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT00:00:00Z", element.findtext("a:updated", "", ATOM))
        assert element.findtext("a:title", "", ATOM)
    links = [entry.find("a:link", ATOM) for entry in entries]
    assert all(link is not None and link.get("href", "").startswith("./papers/") for link in links)
    topic = ElementTree.parse(small.folder / "topics" / "speed" / "feed.xml").getroot()
    assert len(topic.findall("a:entry", ATOM)) == 2
    assert not (small.folder / "topics" / "empty" / "feed.xml").exists()
    again = machine_readable.feed("t", "feed.xml", knowledge.papers.values(), "")
    assert again == machine_readable.feed("t", "feed.xml", list(knowledge.papers.values())[::-1], "")


def test_hostile_text_in_feeds_and_lists_is_text(small: Any, hostile: tuple[str, ...]) -> None:
    root = ElementTree.parse(small.folder / "feed.xml").getroot()
    titles = [title.text or "" for title in root.iterfind("a:entry/a:title", ATOM)]
    assert " ".join(hostile) in titles
    plain = (small.folder / "llms.txt").read_text("utf-8")
    assert plain.count("\n- [") == len(list(root.iterfind("a:entry", ATOM))) + 5, "2 files of code, 3 of data"


def test_bibtex_of_all_comes_back(small: Any, knowledge: Any) -> None:
    works = bibtex.loads((small.folder / "data" / "papers.bib").read_text("utf-8")).works
    assert [work.fields["id"] for work in works] == knowledge.order
    assert works[0].fields["title"] == "Where to start"


def test_an_address_makes_a_sitemap_of_every_page(knowledge: Any) -> None:
    files = machine_readable.files(knowledge, "https://example.org/kb/", ["", "papers/", "papers/ring/"], Memo())
    found = [loc.text for loc in ElementTree.fromstring(files["sitemap.xml"]).iter() if loc.tag.endswith("loc")]
    assert found == ["https://example.org/kb/", "https://example.org/kb/papers/", "https://example.org/kb/papers/ring/"]
    assert b"Sitemap: https://example.org/kb/sitemap.xml" in files["robots.txt"]
    assert "https://example.org/kb/papers/ring/" in files["llms.txt"].decode()
    assert "sitemap.xml" not in machine_readable.files(knowledge, "", [""], Memo())


def test_zotero_and_search_engines_can_read_a_paper(small: Any) -> None:
    html = small.html("papers/ring")
    tags = re.findall(r'<meta name="(citation_\w+)" content="([^"]*)">', html)
    assert ("citation_title", "The paper called ring") in tags
    assert [value for name, value in tags if name == "citation_author"] == ["Ada Lovelace", "Évariste Galois"]
    assert ("citation_publication_date", "2020") in tags
    assert ("citation_arxiv_id", "2001.00001") in tags
    block = re.search(r'<script type="application/ld\+json">(.*?)</script>', html)
    assert block
    found = json.loads(block[1])
    assert (found["@type"], found["headline"]) == ("ScholarlyArticle", "The paper called ring")
    assert found["author"][1] == {"@type": "Person", "name": "Évariste Galois"}


def test_hostile_text_cannot_leave_the_linked_data(small: Any, hostile: tuple[str, ...]) -> None:
    html = small.html("papers/spite")
    block = html.split('<script type="application/ld+json">')[1].split("</script>")[0]
    assert json.loads(block)["headline"] == " ".join(hostile)


def test_the_card_has_the_size_that_sites_ask_for(small: Any) -> None:
    card = (small.folder / "assets" / "img" / "card.png").read_bytes()
    assert Image.open(io.BytesIO(card)).size == (1200, 630)
    assert len(card) < 150_000


def test_what_the_search_reads_has_every_paper_topic_and_method(small: Any, knowledge: Any) -> None:
    docs = json.loads((small.folder / "data" / "search.json").read_text("utf-8"))["docs"]
    found = {doc["u"] for doc in docs}
    assert {f"papers/{i}/" for i in knowledge.papers} | {f"topics/{i}/" for i in knowledge.topics} <= found
    assert {"code/ring/", "resources/#blog-post"} <= found
