"""What a page costs its reader, measured in chromium: weight, LCP, CLS, TBT, and how long the list takes to filter.

Pages are served gzipped from this machine.  For LCP, CLS and TBT the network is slowed to 1.6 Mbit/s with 150 ms of
latency and the processor to a quarter, as Lighthouse does for a phone; the filter is timed at full speed.
"""

from __future__ import annotations

import gzip
import shutil
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from kb_tools.site.serve import Handler

PACKED = (".html", ".css", ".js", ".json", ".svg", ".xml", ".txt")
SLOW_NETWORK = {"offline": False, "latency": 150, "downloadThroughput": 200_000, "uploadThroughput": 93_750}
SLOW_PROCESSOR = 4
QUIET_MS = 1200  # how long nothing more may come before a page counts as loaded
WORDS = ("d", "di", "dif", "diff", "", "noise", "noise sco", "score", "", "z", "zz", "", "song", "2", "")
# TBT as Lighthouse has it: of each task after the first paint, what is over 50 ms.
WATCH = """
window.seen = { lcp: 0, cls: 0, tasks: [] };
const watch = (type, act) =>
  new PerformanceObserver((list) => list.getEntries().forEach(act)).observe({ type, buffered: true });
watch("largest-contentful-paint", (entry) => { seen.lcp = entry.startTime; });
watch("layout-shift", (entry) => { if (!entry.hadRecentInput) seen.cls += entry.value; });
watch("longtask", (entry) => { seen.tasks.push([entry.startTime, entry.duration]); });
"""
FIGURES = """() => {
  const painted = performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0;
  const late = seen.tasks.filter(([start]) => start >= painted).map(([, took]) => Math.max(0, took - 50));
  return { lcp: seen.lcp, cls: seen.cls, tbt: late.reduce((sum, took) => sum + took, 0) };
}"""
# From the key press until the rows that the next frame shows have their place.
FILTER = """(word) => {
  const field = document.querySelector("[data-filters] input[name=q]");
  field.value = word;
  const start = performance.now();
  field.dispatchEvent(new InputEvent("input", { bubbles: true }));
  document.body.getBoundingClientRect();
  return performance.now() - start;
}"""


class Packed(Handler):
    """The site's own handler, which gzips what a web server gzips, and counts what it sends."""

    def __init__(self, *args: Any, sent: list[tuple[str, int]], **options: Any) -> None:
        self._sent = sent
        super().__init__(*args, **options)

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() else path
        if not path.is_file():
            self.send_error(404)
            return
        body, packed = path.read_bytes(), path.suffix in PACKED
        body = gzip.compress(body, 6, mtime=0) if packed else body
        self._sent.append((path.suffix, len(body)))
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Length", str(len(body)))
        if packed:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def served(site: Path) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """Its address, and the list of all that was sent: suffix and bytes."""
    sent: list[tuple[str, int]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Packed, directory=str(site), sent=sent))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", sent
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's, else playwright's own."""
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def visit(browser: Browser, site: Path, page: str, rounds: int) -> dict[str, Any]:
    """Weight of a first visit to a page without pictures of samples, and medians of LCP, CLS and TBT."""
    found: list[dict[str, float]] = []
    with served(site) as (address, sent):
        for _ in range(rounds):
            sent.clear()
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            opened = context.new_page()
            opened.route(
                "**/*", lambda route: route.continue_() if route.request.url.startswith(address) else route.abort()
            )
            opened.add_init_script(WATCH)
            _slow_down(opened)
            opened.goto(address + page, timeout=120_000)
            _until_quiet(opened, sent)
            found.append(opened.evaluate(FIGURES))
            context.close()
        weight = [(kind, size) for kind, size in sent if kind != ".webp"]
    raw = (site / page / "index.html").stat().st_size
    medians = {name: statistics.median(one[name] for one in found) for name in ("lcp", "cls", "tbt")}
    return {
        "html_kb": round(raw / 1000, 1),
        "first_visit_kb_gzipped": round(sum(size for _, size in weight) / 1000, 1),
        "requests": len(weight),
        "lcp_ms": round(medians["lcp"]),
        "cls": round(medians["cls"], 4),
        "tbt_ms": round(medians["tbt"]),
    }


def filter_times(browser: Browser, site: Path) -> dict[str, float]:
    """Milliseconds from a key press in the list's filter until the page is laid out for the next frame."""
    with served(site) as (address, _):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{address}papers/")
        page.locator("html[data-ready]").wait_for(state="attached")
        page.wait_for_load_state("networkidle")
        for word in WORDS:  # the browser compiles what it runs often
            page.evaluate(FILTER, word)
        times = [page.evaluate(FILTER, word) for word in WORDS * 2]
        page.close()
    return {"median_ms": round(statistics.median(times), 1), "most_ms": round(max(times), 1)}


def _slow_down(page: Page) -> None:
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", SLOW_NETWORK)
    session.send("Emulation.setCPUThrottlingRate", {"rate": SLOW_PROCESSOR})


def _until_quiet(page: Page, sent: list[tuple[str, int]]) -> None:
    """Until nothing was asked for, and so nothing shifted by what came, for a while."""
    before = -1
    while before != len(sent):
        before = len(sent)
        page.wait_for_timeout(QUIET_MS)
