"""`kb serve`: a saved record is built and shown."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from kb_tools.site.build import Builder
from kb_tools.site.serve import Builds, Reloading, stamps, watch


@pytest.fixture
def served(tmp_path: Path, write: Callable, a_record: Callable) -> Iterator[tuple[str, list[str], Path]]:
    """Address, lines that were told, and the file of the record."""
    collection = write([a_record("ring")])
    builder, builds, stop = Builder(collection, tmp_path / "build"), Builds(), threading.Event()
    seen = stamps(tmp_path)
    report = builder.build()
    handler = partial(Reloading, directory=str(report.site), builds=builds)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    told: list[str] = []
    threads = [
        threading.Thread(target=server.serve_forever, daemon=True),
        threading.Thread(target=watch, args=(builder, tmp_path, seen, stop, builds.tell, told.append), daemon=True),
    ]
    for thread in threads:
        thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", told, tmp_path / "papers" / "ring.yaml"
    stop.set()
    builds.close()
    server.shutdown()
    server.server_close()
    for thread in threads:
        thread.join()


@pytest.mark.browser
def test_a_saved_record_is_shown_without_asking_and_a_broken_one_is_told(served: Any, browser: Browser) -> None:
    address, told, path = served
    page = browser.new_page()
    page.goto(address + "papers/ring/")
    expect(page.locator("h1")).to_have_text("The paper called ring")
    whole = path.read_text()
    path.write_text(whole.replace("The paper called ring", "A better title"))
    expect(page.locator("h1")).to_have_text("A better title", timeout=30_000)
    path.write_text(whole.replace("kind: paper", "kind: nonsense"))
    for _ in range(300):
        if any(line.startswith("not rebuilt") for line in told):
            break
        page.wait_for_timeout(100)
    assert any("nonsense" in line for line in told), told
    expect(page.locator("h1")).to_have_text("A better title")
    page.close()


def test_what_is_saved_while_the_first_build_runs_is_built_too(
    tmp_path: Path, write: Callable, a_record: Callable
) -> None:
    collection = write([a_record("ring")])
    builder, built, stop = Builder(collection, tmp_path / "build"), threading.Event(), threading.Event()
    seen = stamps(tmp_path)
    builder.build()
    path = tmp_path / "papers" / "ring.yaml"
    path.write_text(path.read_text().replace("The paper called ring", "A better title"))
    args = (builder, tmp_path, seen, stop, built.set, lambda line: None)
    watcher = threading.Thread(target=watch, args=args, daemon=True)
    watcher.start()
    try:
        assert built.wait(30)
    finally:
        stop.set()
        watcher.join()
    page = tmp_path / "build" / "site" / "papers" / "ring" / "index.html"
    assert "A better title" in page.read_text()
