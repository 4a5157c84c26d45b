"""Two sites, each built once: the real collection, and a small one made to show everything and to attack it."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, sync_playwright

from implementations.verification.code_hash import code_hash
from implementations.verification.evidence import store
from kb_tools.records.layout import dump, dump_topics
from kb_tools.records.store import Collection
from kb_tools.site.build import Report, build
from kb_tools.site.serve import Handler
from tests.site import firefox

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = (
    "<script>window.pwned=1</script>",
    '"><img src=x onerror="window.pwned=1">',
    "</title></textarea></pre><svg onload=window.pwned=1>",
    "[click](javascript:window.pwned=1)",
    '{ onclick="window.pwned=1" } {: onmouseover="window.pwned=1" }',
    "{{ config.site_name }} {% raw %} {# x #}",
    "--> <!-- &lt;b&gt; **bold** `code` <https://example.com>",
)
SPITE = " ".join(HOSTILE)
HOSTILE_TEX = "</math><script>window.pwned=1</script>"
ADDRESS = "https://example.com/ring.git"

NOTES = """# The paper called ring

Half-way to [where to start](start.md), as <i>said</i> in https://example.com/.

## A table, and code

| step | kept |
|-----:|:----:|
| 1    | half |

```python
def keep(x):

\treturn x / 2  # of a line so long that it does not fit the narrowest of all phones that anybody may still have
```

- [ ] try it on a wide-angle-lens-that-has-a-very-long-name-without-a-space-in-it-for-phones

![what it looks like](https://example.com/ring.png)
"""
RING_CODE = '''"""A toy on the ring.

Nobody, 2020. arXiv:2001.00001.
It turns each point half-way to the origin.
"""

from __future__ import annotations


def step(x, alpha):  # Alg. 2
    """One step; text in here is not an anchor: # Eq. 9"""
    kept = alpha * x  # Eq. 2
    return kept - x, kept


def spite():
    return "</code><script>window.pwned=1</script>{{ 7 }}"  # Eq. A.1
'''


def record(ident: str, **fields: Any) -> dict[str, Any]:
    base = {
        "id": ident,
        "kind": "paper",
        "title": f"The paper called {ident}",
        "authors": ["Ada Lovelace", "Évariste Galois"],
        "year": 2020,
        "topics": ["basics"],
        "worth_reading": 2,
        "why": f"Reason to read {ident}",
        "summary": f"What {ident} is.\nRead ring next.",
        "sources": [{"seed": "001", "section": "All", "line": 1}],
    }
    return base | fields


def showcase() -> list[dict[str, Any]]:
    """Records that use every field a page can show."""
    equation = {
        "2": {"tex": r"\mathbf{k}_t = \sqrt{\bar\alpha_t}\, \mathbf{x}_0", "says": "Keeps a part of x_0."},
        "A.1": {"tex": r"</math><script>window.pwned=1</script> \frac{1}", "says": SPITE},
    }
    return [
        record("start", kind="tutorial", year=2018, title="Where to start", aliases=["START"], status="read"),
        record(
            "ring", arxiv="2001.00001", aliases=["RING"], builds_on=["start"], cites=["start"], implementation="ring",
            equations={"2": equation["2"]}, equations_from="arXiv v2", worth_reading=3, worth_reading_by="seed 001",
            algorithms={"2": {"says": "A step of $x_0$.", "steps": ["repeat", r"  keep $\alpha x_0$", "until done"]}},
            symbols=[{"paper": r"\bar\alpha", "code": "alpha", "says": "what is kept of x_0"}],
        ),
        record(
            "solo", year=1999, topics=["speed"], title="Zebra crossing", worth_reading=1, authors=["Song Jiaming"],
            links={"code": "https://example.com/zebra"},
            authors_code={"licence": "Apache-2.0", "looked": "2026-11-20", "note": "stripes alone"},
        ),
        record("survey", kind="survey", year=2023, about=["ring"], builds_on=["ring"]),
        record(
            "spite", title=SPITE, authors=[SPITE, "B"], venue=SPITE, aliases=["SPITE " + SPITE], why=SPITE,
            summary=SPITE, builds_on=["ring"], cites_source=SPITE, corrections=[SPITE], notes=[SPITE],
            unverified=[SPITE], worth_reading_by=SPITE, topics=["speed"], implementation="ring",
            equations={"A.1": equation["A.1"]}, equations_from=SPITE,
            algorithms={"2": {"says": SPITE, "steps": [SPITE, f"  {SPITE}", f"${HOSTILE_TEX}$"]}},
            symbols=[{"paper": HOSTILE_TEX, "code": SPITE, "says": SPITE}],
            sources=[{"seed": "001", "section": SPITE, "line": 2, "as_written": {"title": SPITE, "link": SPITE}}],
            links={"page": "https://example.com/?a=1&b={x}[y]'`"},
        ),
        record("blog-post", kind="blog", title="A blog " + SPITE, about=["ring"], notes=[SPITE],
               links={"page": "https://example.com/blog", "copy": "https://example.org/blog"}),
    ]  # fmt: skip


TOPICS = {
    "basics": {"title": "Basics", "summary": "Where to begin."},
    "speed": {"title": "Speed " + SPITE, "summary": SPITE},
    "empty": {
        "title": "Empty",
        "summary": "Nothing stands here.",
        "filled_by": ["ring"],
        "missing": [{"title": SPITE, "arxiv": "1501.00001"}],
        "sources": [{"seed": "001", "section": SPITE, "line": 3}],
    },
}


def write_collection(root: Path, records: list[dict[str, Any]], topics: dict[str, Any]) -> Collection:
    """A collection with one method, its evidence and its picture, and the project's own templates."""
    (root / "papers" / "resources").mkdir(parents=True)
    (root / "papers" / "topics.yaml").write_text(dump_topics(topics), encoding="utf-8")
    collection = Collection(root)
    for data in records:
        collection.path_of(data["id"], data["kind"]).write_text(dump(data), encoding="utf-8")
    for name in ("mkdocs.yml", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, root)
    shutil.copytree(ROOT / "site", root / "site")
    (root / "pyproject.toml").write_text(f'[project.urls]\nRepository = "{ADDRESS}"\n')
    folder = root / "implementations"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "ring.py").write_text(RING_CODE)
    (folder / "demos").mkdir()
    (folder / "demos" / "ring.py").write_text("from implementations.ring import step\n\nSTEP = step(2, 0.5)\n")
    (folder / "evidence").mkdir()
    Image.new("RGB", (64, 32), "teal").save(folder / "evidence" / "ring.webp")
    claim = {
        "name": "halves", "statement": "Halves the radius. " + SPITE, "of": "Eq. 2", "relation": "<=", "bound": 0.51,
        "value": 0.4987, "sd": 0.001, "worst": 0.5, "control": 1.0, "control_best": 0.99, "control_is": SPITE,
        "holds": True,
    }  # fmt: skip
    entry = {
        "device": "cpu", "recorded": "2026-11-21", "code": code_hash("demos.ring", root),
        "versions": {"torch": "2.13.0"},
        "data": "digits", "seeds": [0, 1], "seconds": 1.5, "parameters": 1234, "network_evaluations": 10,
        "claims": [claim], "figures": [{"file": "ring.webp", "alt": "A ring " + SPITE, "width": 64, "height": 32}],
        "curves": [{
            "name": "few-steps", "across": "evaluations " + SPITE, "up": "distance " + SPITE,
            "lines": [
                {"name": "ours " + SPITE, "across": [1, 2, 4], "up": [0.03, 0.02, 0.012], "sd": [0.002, 0.001, 0.0]},
                {"name": "teacher", "across": [1, 4, 64], "up": [1.4, 0.1, 0.003], "sd": [0.01, 0.01, 0.001]},
            ],
        }],
    }  # fmt: skip
    (folder / "evidence" / "ring.yaml").write_text(store.dump({"method": "ring", "entries": [entry]}))
    for module in ("common.even", "common.odd_one"):
        path = folder.joinpath(*module.split(".")).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text("X = 1\n")
    write_bugs(root, "ring", killed=19, survivors=[SPITE], pitfalls=[{"pitfall": SPITE, "killed_by": SPITE}])
    write_bugs(root, "common.even", killed=10, equivalents=[])
    write_bugs(root, "common.odd_one", killed=8, survivors=["f: a -> b", "f: b -> a"], code="of another day")
    return collection


def write_bugs(root: Path, module: str, killed: int, survivors: Sequence[str] = (), **changes: Any) -> Path:
    """What was counted of the bugs planted in a module: one equivalent beside those that matter."""
    equivalents = changes.pop("equivalents", [{"mutant": SPITE, "reason": SPITE}])
    judged = killed + len(survivors)
    row = {
        "module": module, "recorded": "2026-11-25", "code": code_hash(module, root),
        "mutants": judged + len(equivalents), "equivalent": len(equivalents), "killed": killed,
        "survived": len(survivors), "score": killed / judged, "cpu_seconds": 3, "pitfalls": [],
        "survivors": list(survivors), "equivalents": equivalents,
    }  # fmt: skip
    path = root / "implementations" / "evidence" / f"{module.replace('_', '-')}.bugs.yaml"
    path.write_text(store.dump(row | changes))
    return path


@dataclass(frozen=True)
class Site:
    """A built site and where it is served."""

    collection: Collection
    report: Report
    address: str

    @property
    def folder(self) -> Path:
        return self.report.site

    def pages(self) -> list[str]:
        """Addresses of all pages, relative to the site."""
        found = sorted(p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*.html"))
        return [name.removesuffix("index.html") for name in found]

    def html(self, page: str) -> str:
        return (self.folder / page / "index.html").read_text(encoding="utf-8")


def served(collection: Collection, report: Report) -> Iterator[Site]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(report.site)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Site(collection, report, f"http://127.0.0.1:{server.server_port}/")
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def serve() -> Iterator[Callable[[Collection, Report], Site]]:
    """serve(collection, report) serves what was built until the test ends."""
    with ExitStack() as stack:
        yield lambda collection, report: stack.enter_context(contextmanager(served)(collection, report))


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site of the project's own records."""
    collection = Collection(ROOT)
    yield from served(collection, build(collection, tmp_path_factory.mktemp("real")))


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site of the made-up records and notes, hostile ones among them; one of its equations cannot be set."""
    root = tmp_path_factory.mktemp("small")
    collection = write_collection(root, showcase(), TOPICS)
    notes = root / "papers" / "notes"
    notes.mkdir()
    (notes / "ring.md").write_text(NOTES, encoding="utf-8")
    (notes / "spite.md").write_text("\n\n".join(HOSTILE), encoding="utf-8")
    yield from served(collection, build(collection, root / "build", strict=False))


@contextmanager
def chromium() -> Iterator[Browser]:
    """KB_CHROMIUM, the system's, else playwright's own."""
    names = (os.environ.get("KB_CHROMIUM"), "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = next((found for name in names if name and (found := shutil.which(name))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Any]]:
    """second() is a window of Firefox.  Where there is none its tests are skipped, but not on CI."""
    program = firefox.found()
    with ExitStack() as stack:
        windows: list[Any] = []

        def window() -> Any:
            if program is None:
                assert not os.environ.get("CI"), "no firefox here: tests/ensure_programs.sh installs one"
                pytest.skip("no firefox here: only chromium was looked at")
            if not windows:
                windows.append(stack.enter_context(firefox.firefox(program, tmp_path_factory.mktemp("firefox"))))
            return windows[0]

        yield window


@pytest.fixture(scope="session")
def hostile() -> tuple[str, ...]:
    """Payloads that the record called `spite` carries, joined by blanks, in each of its fields."""
    return HOSTILE


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Collection]:
    """write(records, topics) makes a collection in tmp_path; without records, the one of the site `small`."""

    def make(records: list[dict[str, Any]] | None = None, topics: dict[str, Any] | None = None) -> Collection:
        return write_collection(tmp_path, records or showcase(), topics or TOPICS)

    return make


@pytest.fixture(scope="session")
def a_record() -> Callable[..., dict[str, Any]]:
    return record


class Watched:
    """A context whose pages report what no page may do: errors, dialogs, requests to another origin."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.context, self.origin = context, origin
        self.complaints: list[str] = []
        context.route("**/*", self._route)
        context.on("page", self._watch)

    def _route(self, route: Any) -> None:
        url = route.request.url
        if url.startswith((self.origin, "blob:", "data:")):
            route.continue_()
        else:
            self.complaints.append(f"request to {url}")
            route.abort()

    def _watch(self, page: Page) -> None:
        page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", self._dismiss)

    def _dismiss(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def page(self) -> Page:
        page = self.context.new_page()
        page.set_default_timeout(30_000)
        return page


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., tuple[Page, Watched]]]:
    """opened(site, page="", **context options): a page, and what watches it; complaints fail the test."""
    watched: list[Watched] = []

    def open_(site: Any, address: str = "", **options: Any) -> tuple[Page, Watched]:
        watched.append(Watched(browser.new_context(**options), site.address))
        page = watched[-1].page()
        page.goto(site.address + address)
        if options.get("java_script_enabled", True):
            settle(page)
        return page, watched[-1]

    yield open_
    for each in watched:
        each.context.close()
        assert each.complaints == []


def settle(page: Page) -> None:
    """Wait until the scripts have done what they do at the start."""
    page.locator("html[data-ready]").wait_for(state="attached")


@pytest.fixture(scope="session")
def ready() -> Callable[[Page], None]:
    return settle
