"""What `kb build` writes: links that resolve, text that stays text, nothing twice."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import pytest

from kb_tools.errors import KbError
from kb_tools.incoming.adding import fields_of
from kb_tools.records.fields import PAPER_KINDS
from kb_tools.services import arxiv
from kb_tools.services.references import Reference
from kb_tools.services.transport import Reply, Transport
from kb_tools.site import generator
from kb_tools.site.build import Builder, build
from kb_tools.site.writing import read_tree

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "kb_tools" / "fixtures"
BASICS = {"basics": {"title": "Basics", "summary": "Where to begin."}}
ADDRESS = "http://site.invalid/"
LOADING = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "form": "action"}


class Page(HTMLParser):
    """Ids, links, loaded addresses, elements and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.elements.append((tag, found))
        if found.get("id"):
            self.ids.append(found["id"] or "")
        if tag == "a" and found.get("href") is not None:
            self.links.append(found["href"] or "")
        elif found.get(LOADING.get(tag, "")):
            self.loaded.append(found[LOADING[tag]] or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(site: Any) -> dict[str, Page]:
    return {
        page: Page((site.folder / page / ("index.html" if not page.endswith(".html") else "")).read_text("utf-8"))
        for page in site.pages()
    }


@pytest.mark.parametrize("which", ["real", "small"])
def test_every_internal_link_and_anchor_resolves(which: str, request: pytest.FixtureRequest) -> None:
    site: Any = request.getfixturevalue(which)
    pages = parsed(site)
    broken = []
    for page, content in pages.items():
        for link in content.links + content.loaded:
            target = urlsplit(urljoin(ADDRESS + page, link))
            if f"{target.scheme}://{target.netloc}/" != ADDRESS:
                continue
            path = unquote(target.path).lstrip("/")
            if path in pages:
                if target.fragment and unquote(target.fragment) not in pages[path].ids:
                    broken.append(f"{page}: {link}: no such anchor")
            elif not (site.folder / path).is_file():
                broken.append(f"{page}: {link}: no such page")
    assert broken == []


@pytest.mark.parametrize("which", ["real", "small"])
def test_no_page_loads_anything_from_elsewhere_and_no_id_stands_twice(
    which: str, request: pytest.FixtureRequest
) -> None:
    for page, content in parsed(request.getfixturevalue(which)).items():
        outside = [a for a in content.loaded if urlsplit(urljoin(ADDRESS + page, a)).netloc != "site.invalid"]
        assert outside == [], page
        assert len(content.ids) == len(set(content.ids)), page


def check_inert(site: Any) -> None:
    """No page has an element, attribute or address that a record brought."""
    for page, content in parsed(site).items():
        for tag, attributes in content.elements:
            assert not [name for name in attributes if name.startswith("on")], (page, tag)
            assert tag not in ("iframe", "object", "embed", "base"), page
            for name in ("href", "src"):
                assert not (attributes.get(name) or "").strip().lower().startswith(("javascript:", "data:")), page
            if tag == "script":
                assert attributes.get("src") or attributes.get("type") == "application/ld+json", page
            if tag == "img":
                assert attributes["src"] != "x", page


def test_hostile_text_stays_text(small: Any, hostile: tuple[str, ...]) -> None:
    check_inert(small)
    text = Page(small.html("papers/spite")).text
    squeezed = " ".join(text.split())
    for payload in hostile:
        assert squeezed.count(" ".join(payload.split())) >= 10, payload


def test_hostile_answer_of_arxiv_stays_text(
    tmp_path: Path, write: Callable, hostile: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recorded answer with every payload in its title, author and abstract, through the reader of `kb add`."""
    recorded = json.loads((FIXTURES / "arxiv" / "single_entry_plain.json").read_text("utf-8"))["body"]
    spite = escape(" ".join(hostile))
    for words in ("Heat-bath random walks with Markov bases", "Caprice Stanley", "Graphs on lattice points"):
        assert words in recorded
        recorded = recorded.replace(words, f"{words} {spite}")
    reply = Reply(200, "application/atom+xml", recorded.encode())
    monkeypatch.setattr(Transport, "ask", lambda self, path, params, read: read(reply))
    work = arxiv.fetch(["1605.08386"])["1605.08386"]
    fields = fields_of(work, Reference("1605.08386", "1605.08386", None, None))
    kept = {name: value for name, value in fields.items() if value}
    collection = write([{"id": "walks", "kind": "paper", **kept, "topics": ["basics"]}], BASICS)
    report = build(collection, tmp_path / "build")
    site = SimpleNamespace(folder=report.site, pages=lambda: ["papers/walks/", "papers/", "order/", ""])
    check_inert(site)
    assert hostile[0] in Page((report.site / "papers" / "walks" / "index.html").read_text("utf-8")).text


def test_what_cannot_be_set_is_shown_as_written_and_reported(small: Any) -> None:
    assert [p for p in small.report.problems if p.startswith("spite: equation A.1")]
    assert r"</math><script>window.pwned=1</script>" in Page(small.html("papers/spite")).text


def test_strict_build_refuses_what_cannot_be_shown(tmp_path: Path, write: Callable) -> None:
    collection = write()
    with pytest.raises(KbError, match=r"spite: equation A\.1"):
        build(collection, tmp_path / "build")
    assert not (tmp_path / "build" / "site").exists()


def test_a_build_without_a_change_writes_nothing_and_one_change_writes_what_shows_it(
    tmp_path: Path, write: Callable, a_record: Callable
) -> None:
    records = [a_record("a"), a_record("b", builds_on=["a"]), a_record("c", topics=["empty"], year=2021)]
    topics = BASICS | {"empty": {"title": "Empty", "summary": "Nothing."}}
    collection = write(records, topics)
    out = tmp_path / "build"
    first = build(collection, out)
    assert first.written
    again = build(collection, out)
    assert (again.written, again.removed) == ([], [])

    path = tmp_path / "papers" / "c.yaml"
    path.write_text(path.read_text().replace("What c is.", "What c was."))
    changed = build(collection, out).written
    assert {name for name in changed if name.startswith("docs/")} == {
        "docs/papers/c.md", "docs/topics/empty.md", "docs/topics/empty/feed.xml", "docs/feed.xml",
        "docs/data/papers.json", "docs/data/papers.bib", "docs/data/search.json",
    }  # fmt: skip
    assert "site/papers/c/index.html" in changed
    assert "site/papers/a/index.html" not in changed

    path.unlink()
    gone = build(collection, out)
    assert "site/papers/c/index.html" in gone.removed
    assert not (out / "site" / "papers" / "c").exists()


def test_every_record_of_the_collection_is_on_the_site(real: Any) -> None:
    resources = Page(real.html("resources"))
    for ident, found in real.collection.records().items():
        if found.kind in PAPER_KINDS:
            assert found.title in Page(real.html(f"papers/{ident}")).text, ident
        else:
            assert ident in resources.ids, ident
            assert found.title in resources.text, ident


def test_paper_page_shows_all_there_is(small: Any) -> None:
    page = Page(small.html("papers/ring"))
    for needed in ("summary", "samples", "read-first", "unlocks", "symbols", "algorithms", "alg-2", "equations",
                   "eq-2", "program", "claims", "path", "explained", "citations", "cite", "origin"):  # fmt: skip
        assert needed in page.ids
    links = set(page.links)
    assert {"https://arxiv.org/abs/2001.00001", "https://arxiv.org/pdf/2001.00001"} <= links
    assert {"../start/", "../survey/", "../../code/ring/#L10"} <= links
    said = "Worth reading 3 of 3, says a reading list", "Reading list 001, line 1"
    for words in (*said, "proven: 1 claim holds", "0.4987", "≤ 0.51", "seed 0", "64 × 32 px"):
        assert words in page.text
    assert len(re.findall(r"<mark[ >]", small.html("papers/ring"))) == 1


def test_shown_lines_are_those_of_the_equation(small: Any) -> None:
    html = small.html("papers/ring")
    start = html.index("<code style", html.index('id="eq-2"'))
    block = html[start : html.index("</code>", start)]
    lines = block.split("\n")
    first = int(lines[0].split("counter-set:line ")[1].split('"')[0]) + 1
    marked = [n for n, line in enumerate(lines, first) if "<mark" in line]
    assert first == 10, "the signature"
    assert marked == [12]
    assert Page(lines[1]).text == "    ...", "where the docstring was"
    assert "Eq. 2" in lines[marked[0] - first]
    assert "counter-set:line 12" in lines[marked[0] - first]


def headings(html: str) -> list[tuple[str, str]]:
    return [(level, Page(said).text) for level, said in re.findall(r"<h([123])[^>]*>(.*?)</h\1>", html, re.DOTALL)]


def test_a_paper_opens_with_symbols_and_algorithms_then_equations_samples_and_claims(small: Any) -> None:
    found = headings(small.html("papers/ring"))
    wanted = ["Summary", "Read first", "Symbols", "Algorithm 2", "Equation 2", "Samples", "What was measured"]
    found = [(level, said.partition(",")[0]) for level, said in found]
    names = [said.replace("In short", "Summary") for _, said in found]
    assert [name for name in names if name in wanted] == wanted
    assert {("3", "Algorithm 2"), ("3", "Equation 2")} <= set(found)


def test_an_algorithm_has_its_steps_and_the_whole_function(small: Any) -> None:
    html = small.html("papers/ring")
    block = html[html.index('id="alg-2"') : html.index('id="equations"')]
    steps = re.findall(r"<li(.*?)>(.*?)</li>", block)
    assert [(kind, Page(said).text) for kind, said in steps] == [
        ("", "repeat"), (' class="d1"', "keep αx0"), ("", "until done"),
    ]  # fmt: skip
    assert steps[1][1].count("<math>") == 1
    shown = Page(block[block.index("<pre") :]).text
    assert [line.strip()[:12] for line in shown.strip().split("\n")] == [
        "def step(x, ", '"""One step;', "kept = alpha", "return kept ",
    ]  # fmt: skip
    assert "<mark" not in block
    symbols = html[html.index('id="symbols"') : html.index("</table>", html.index('id="symbols"'))]
    assert [Page(cell).text for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", symbols)][3:] == [
        "α¯", "alpha", "what is kept of x0",
    ]  # fmt: skip


def test_what_is_minimised_stands_first_then_what_samples(write: Callable, a_record: Callable, tmp_path: Path) -> None:
    algorithm = {"says": "It.", "steps": ["do it"]}
    numbers = ("1", "2", "3", "10", "section 4")
    record = a_record("ring", implementation="ring", algorithms=dict.fromkeys(numbers, algorithm))
    collection = write([record], BASICS)
    code = "def other(x):  # Alg. 1\n    return x\n\n\ndef sample(  # Alg. 3\n    x,\n):  # Alg. 2\n    return x\n\n\n"
    code += "class A:\n    def the_loss(self):  # Alg. 10\n        return 0\n\n\n"
    code += "def last():  # section 4\n    return 1\n"
    (tmp_path / "implementations" / "ring.py").write_text(code)
    html = (build(collection, tmp_path / "build", strict=False).site / "papers" / "ring" / "index.html").read_text()
    assert [said for level, said in headings(html) if level == "3" and said[0] in "AS"] == [
        "Algorithm 10", "Algorithm 2", "Algorithm 3", "Algorithm 1", "Section 4",
    ]  # fmt: skip
    assert html.count(">sample</span>(") == 1, "two algorithms of one function show it once"
    assert "A.the_loss" in html


def test_the_program_can_be_had_and_where_it_is_cloned_from_is_said_when_it_is_known(
    small: Any, write: Callable, tmp_path: Path
) -> None:
    for page in ("papers/ring", "code/ring"):
        found = Page(small.html(page))
        assert "git clone https://example.com/ring.git" in found.text
        assert "kb run ring" in found.text
        assert {"../../code/ring/ring.py", "../../code/ring/ring_flat.py"} <= set(found.links)
    folder = small.folder / "code" / "ring"
    code = (small.collection.root / "implementations" / "ring.py").read_text("utf-8")
    assert (folder / "ring.py").read_text("utf-8") == code
    space: dict[str, Any] = {}
    exec((folder / "ring_flat.py").read_text("utf-8"), space)
    assert space["step"](4, 0.5) == (-2, 2)
    collection = write()
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'ring'\n")
    page = build(collection, tmp_path / "build", strict=False).site / "papers" / "ring" / "index.html"
    assert "git clone" not in page.read_text("utf-8")
    assert "kb run ring" in page.read_text("utf-8")


def test_the_authors_code_is_told_from_ours(small: Any) -> None:
    page = Page(small.html("papers/solo"))
    assert "https://example.com/zebra" in page.links
    assert "Authors’ code, stripes alone: Apache-2.0, looked at on 2026-11-20." in " ".join(page.text.split())
    assert "looked at" not in Page(small.html("papers/ring")).text
    assert "https://example.com/zebra" in Page(small.html("papers")).links


def test_imported_names_lead_to_where_they_are_defined(real: Any) -> None:
    line = (ROOT / "implementations" / "dpm.py").read_text().split("\n").index("class GaussianDiffusion:") + 1
    for page in ("papers/ddpm", "papers/ddim", "code/iddpm"):
        assert f'<a href="../../code/dpm/#L{line}">GaussianDiffusion</a>' in real.html(page), page
    assert re.search(r'<a href="../../code/ddpm/#L\d+">ddpm.loss</a>', real.html("code/cfg"))
    assert re.search(r'<a href="../../code/common/rows/#L\d+">for_all</a>', real.html("papers/ddpm"))
    assert "implementations/common/rows.py" in Page(real.html("code/common/rows")).text


def test_data_files_are_the_records(small: Any, hostile: tuple[str, ...]) -> None:
    papers = json.loads((small.folder / "data" / "papers.json").read_text("utf-8"))
    assert papers["schema_version"] == 1
    assert papers["papers"][0]["id"] == "start"
    assert {p["id"]: p["title"] for p in papers["papers"]}["spite"] == " ".join(hostile)
    marks = json.loads((small.folder / "data" / "marks.json").read_text("utf-8"))
    assert marks["start"]["status"] == "read"
    assert marks["ring"]["needs"] == ["start"]


def test_stale_evidence_says_so(tmp_path: Path, write: Callable) -> None:
    collection = write()
    code = tmp_path / "implementations" / "ring.py"
    code.write_text(code.read_text().replace("alpha * x", "alpha * x * 1"))
    report = build(collection, tmp_path / "build", strict=False)
    text = Page((report.site / "papers" / "ring" / "index.html").read_text("utf-8")).text
    assert "stale: the code changed since" in text
    assert "proven" not in text


def tables(html: str, label: str) -> list[list[str]]:
    """The cells, row by row, of the table under this label."""
    region = html[html.index(f'aria-label="{label}"') :]
    rows = re.findall(r"<tr>(.*?)</tr>", region[: region.index("</table>")], re.DOTALL)
    return [[Page(cell).text for cell in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row, re.DOTALL)] for row in rows]


def test_planted_bugs_are_shown_in_groups_each_with_its_total_and_with_no_other(small: Any) -> None:
    html = small.html("verification")
    ring = ["21", "1", "19", "1", "95.0 %", "1 of 1"]
    methods = tables(html, "Planted bugs: Methods")
    assert methods[1] == ["RING", *ring, "2026-11-25"]
    assert methods[2][1:] == [*ring, "2026-11-25"], "two records of one method"
    assert methods[3:] == [["All", "42", "2", "38", "2", "95.0 %", "2 of 2", ""]]
    assert tables(html, "Planted bugs: What no paper owns")[1:] == [
        ["common.even", "10", "0", "10", "0", "100.0 %", "0 of 0", "2026-11-25"],
        ["common.odd_one", "11", "1", "8", "2", "80.0 %", "0 of 0", "2026-11-25 older than the code"],
        ["All", "21", "1", "18", "2", "90.0 %", "0 of 0", ""],
    ]
    assert html.count("Planted bugs: ") == 2, "nothing verifies here"
    assert "19 of 20" in tables(html, "Methods")[1]
    assert "f: a -> b" in Page(html).text


@pytest.mark.parametrize(
    "text",
    ["module: other", "module: [", "killed: many", "pitfalls: [a]", "equivalents: [{mutant: m}]", "survivors: null"],
)
def test_what_was_counted_and_cannot_be_used_is_left_out_and_reported(
    tmp_path: Path, write: Callable, text: str
) -> None:
    collection = write()
    path = tmp_path / "implementations" / "evidence" / "common.even.bugs.yaml"
    path.write_text(f"{path.read_text()}{text}\n")
    report = build(collection, tmp_path / "build", strict=False)
    assert "common.even.bugs.yaml" in "".join(report.problems)
    assert "common.even" not in (report.site / "verification" / "index.html").read_text("utf-8")


def test_a_folder_without_templates_is_refused(tmp_path: Path, write: Callable, a_record: Callable) -> None:
    collection = write([a_record("a")], BASICS)
    shutil.rmtree(tmp_path / "site")
    with pytest.raises(KbError, match="no templates"):
        build(collection, tmp_path / "build")


def test_vendored_fonts_carry_their_licence() -> None:
    fonts = ROOT / "site" / "assets" / "fonts"
    assert "SIL OPEN FONT LICENSE" in (fonts / "OFL.txt").read_text()
    readme = (fonts / "README.txt").read_text()
    assert all(font.name in readme for font in fonts.glob("*.woff2"))


def test_pages_that_markdown_leaves_alone_are_as_mkdocs_makes_them(
    small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator, "is_raw", lambda markdown: False)
    slow = build(small.collection, tmp_path / "build", strict=False)
    assert read_tree(slow.site) == read_tree(small.folder)


@pytest.mark.parametrize(
    "markdown", ["# A title\n", "<div class='kb'>\n\n*x*\n</div>", "<div >\tx</div>", "<div >x</div>\n\n# More\n"]
)
def test_what_markdown_would_change_is_not_left_alone(markdown: str) -> None:
    assert not generator.is_raw(markdown)


def test_a_long_way_to_a_goal_is_cut_where_it_begins(write: Callable, a_record: Callable, tmp_path: Path) -> None:
    chain = [a_record(f"p{n:02}", year=2000 + n, builds_on=[f"p{n - 1:02}"] if n else []) for n in range(20)]
    build(write(chain, BASICS), tmp_path / "build", strict=False)
    page = Page((tmp_path / "build" / "site" / "order" / "goals" / "index.html").read_text("utf-8"))
    ways = [href for href in page.links if href.endswith("papers/p18/")]
    assert len(ways) == 2, "as a goal, and right before p19"
    assert "../../papers/p19/#path" in page.links
    assert [href for href in page.links if href.endswith("papers/p00/")] == ["../../papers/p00/"] * 14


CHANGES: dict[str, tuple[str, str, str]] = {
    "a title": ("papers/ring.yaml", "The paper called ring", "A better title"),
    "a status": ("papers/start.yaml", "status: read", "status: skipped"),
    "a name others use": ("papers/ring.yaml", "RING", "RANG"),
    "a year": ("papers/start.yaml", "year: 2018", "year: 2017"),
    "an edge": ("papers/ring.yaml", "builds_on: [start]", "builds_on: [solo]"),
    "a topic": ("papers/topics.yaml", 'title: "Basics"', 'title: "Beginnings"'),
    "a template": ("site/templates/paper.html", "In short", "In brief"),
    "code": ("implementations/ring.py", "kept = alpha * x", "kept = alpha * x + 0"),
    "evidence": ("implementations/evidence/ring.yaml", "0.4987", "0.4986"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_building_again_gives_what_building_anew_gives(write: Callable, tmp_path: Path, change: str) -> None:
    name, old, new = CHANGES[change]
    collection = write()
    builder = Builder(collection, tmp_path / "again")
    builder.build(strict=False)
    path = tmp_path / name
    before = path.read_text("utf-8")
    assert old in before
    path.write_text(before.replace(old, new), encoding="utf-8")
    again = builder.build(strict=False)
    assert again.written != []
    anew = build(collection, tmp_path / "anew", strict=False)
    assert read_tree(again.site) == read_tree(anew.site)


def test_the_work_for_a_page_does_not_grow_with_the_number_of_pages(
    write: Callable, a_record: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mkdocs lists all pages for the context of each, unless it is handed the list."""
    from mkdocs.structure.files import Files

    listed = []
    whole = Files.documentation_pages
    monkeypatch.setattr(Files, "documentation_pages", lambda self, **how: listed.append(1) or whole(self, **how))
    collection = write([a_record(f"paper-{n}") for n in range(12)])
    report = build(collection, tmp_path / "build")
    assert report.pages > 12 > len(listed) > 0
