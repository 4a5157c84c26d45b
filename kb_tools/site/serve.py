"""`kb serve`: the site on this machine, rebuilt when a record, a method, its evidence or a template changes."""

from __future__ import annotations

import gc
import http.server
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from kb_tools.errors import KbError, UsageError
from kb_tools.records.fields import SETTINGS_FILE
from kb_tools.site.build import Builder
from kb_tools.site.knowledge import CollectionLike

POLL_SECONDS = 0.15
EVENTS, SCRIPT = "/_kb/builds", "/_kb/reload.js"
RELOAD = b"""new EventSource("/_kb/builds").addEventListener("built", () => location.reload());
"""
WATCHED = (
    ("papers", "*.yaml"),
    ("papers/notes", "*.md"),
    ("implementations", "*.py"),
    ("implementations/evidence", "*"),
    ("site", "*"),
    ("benchmarks/results", "*.yaml"),
    ("build/runs", "*.json"),
)


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of one folder, the site's own page for what is not there, nothing kept by the browser."""

    extensions_map = {  # noqa: RUF012  (the base class declares it so)
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".webp": "image/webp",
        ".woff2": "font/woff2",
        ".js": "text/javascript",
    }

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        page = Path(self.directory) / "404.html"
        if code != 404 or not page.is_file():
            super().send_error(code, message, explain)
            return
        body = page.read_bytes()
        self.send_response(404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of each request."""


class Builds:
    """How many builds there were, and a way to wait for the next."""

    def __init__(self) -> None:
        self._count, self._changed, self._closed = 0, threading.Condition(), False

    def tell(self) -> None:
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait(self, seconds: float) -> bool | None:
        """Whether there was a build within `seconds`; None when there will be no more."""
        with self._changed:
            seen = self._count
            self._changed.wait_for(lambda: self._closed or self._count > seen, seconds)
            return None if self._closed else self._count > seen


class Reloading(Handler):
    """The same, with a script in every page that loads it again after a build."""

    def __init__(self, *args: Any, builds: Builds, **options: Any) -> None:
        self._builds = builds
        super().__init__(*args, **options)

    def do_GET(self) -> None:
        if self.path == SCRIPT:
            self._answer("text/javascript", RELOAD)
        elif self.path == EVENTS:
            self._tell()
        elif self.path.split("?")[0].endswith(("/", ".html")) and (page := self._page()) is not None:
            self._answer("text/html; charset=utf-8", page)
        else:
            super().do_GET()

    def _page(self) -> bytes | None:
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() else path
        if not path.is_file():
            return None
        return path.read_bytes().replace(b"</head>", f'<script defer src="{SCRIPT}"></script></head>'.encode(), 1)

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _tell(self) -> None:
        """An event for each build, for as long as the page is open."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            while (built := self._builds.wait(15)) is not None:
                self.wfile.write(b"event: built\ndata: 1\n\n" if built else b": still here\n\n")
                self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            return


def serve(collection: CollectionLike, host: str = "127.0.0.1", port: int = 8000, open_browser: bool = False) -> None:
    """Build, serve until interrupted, build again after each change, and have open pages load themselves again.

    port 0 takes a free one.  Errors: KbError as `build`; UsageError when the address cannot be bound.
    """
    out = collection.root / "build"
    builder, builds = Builder(collection, out), Builds()
    seen = stamps(collection.root)  # before they are read: what is saved from here on is built again
    builder.build()
    gc.freeze()  # what is kept from build to build need not be looked through again in each
    handler = partial(Reloading, directory=str(out / "site"), builds=builds)
    try:
        server = http.server.ThreadingHTTPServer((host, port), handler)
    except OSError as error:
        raise UsageError(f"cannot serve on {host}:{port}: {error.strerror}", hint="choose another --port") from error
    address = f"http://{host}:{server.server_port}/"
    print(f"{address}   (Ctrl C ends it)", file=sys.stderr)
    stop = threading.Event()
    watcher = threading.Thread(target=watch, args=(builder, collection.root, seen, stop, builds.tell), daemon=True)
    watcher.start()
    if open_browser:
        webbrowser.open(address)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    finally:
        stop.set()
        builds.close()
        server.server_close()
        watcher.join()


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def watch(
    builder: Builder,
    root: Path,
    seen: dict[Path, int],
    stop: threading.Event,
    built: Callable[[], None],
    tell: Callable[[str], None] = _say,
) -> None:
    """Rebuild after each change until `stop` is set.

    seen: `stamps` from before the last build.  built: called after each build.  tell: is given a line.
    """
    while not stop.wait(POLL_SECONDS):
        now = stamps(root)
        if now == seen:
            continue
        seen = now
        try:
            report = builder.build()
        except KbError as error:
            tell(f"not rebuilt: {error.message}")
        else:
            tell(f"rebuilt in {report.seconds:.1f} s: {len(report.written)} files written")
            built()


def stamps(root: Path) -> dict[Path, int]:
    """Every file the site is made from, with the time of its last change."""
    return dict(_stamps(root))


def _stamps(root: Path) -> Iterator[tuple[Path, int]]:
    for folder, pattern in WATCHED:
        for path in (root / folder).rglob(pattern):
            try:
                if path.is_file() and not path.name.startswith("."):
                    yield path, path.stat().st_mtime_ns
            except FileNotFoundError:
                continue  # a writer's temporary file, gone again
    for config in (root / SETTINGS_FILE, root / "mkdocs.yml", root / "CONTRIBUTING.md"):
        if config.is_file():
            yield config, config.stat().st_mtime_ns
