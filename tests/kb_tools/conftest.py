"""A small collection of made-up records, laid out canonically, for one test to read or break."""

from __future__ import annotations

import json
import shlex
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import settings

from kb_tools.records.layout import dump, dump_topics
from kb_tools.records.schema import schemas
from kb_tools.records.store import Collection

# The same examples every time: a failure is a change of the code, never of luck.
settings.register_profile("kb", max_examples=40, deadline=None, derandomize=True)
settings.load_profile("kb")

TOPICS = {
    "basics": {"title": "Basics", "summary": "Where to begin."},
    "speed": {"title": "Speed", "summary": "Fewer steps."},
}


def paper(ident: str, **fields: Any) -> dict[str, Any]:
    """A valid record; fields given replace the defaults."""
    base = {
        "id": ident,
        "kind": "paper",
        "title": f"The paper called {ident}",
        "authors": [f"Author of {ident}"],
        "year": 2020,
        "topics": ["basics"],
        "status": "unread",
        "summary": "What it is.\nWhat it shows.",
    }
    return base | fields


@pytest.fixture
def record() -> Callable[..., dict[str, Any]]:
    return paper


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Collection]:
    """make(a_record, another, ..., topics=...) writes a collection and returns it; a text is written as it is."""

    def build(*records: Mapping[str, Any], topics: Mapping[str, Any] = TOPICS, **texts: str) -> Collection:
        root = tmp_path / "collection"
        (root / "papers" / "resources").mkdir(parents=True, exist_ok=True)
        (root / "implementations").mkdir(exist_ok=True)
        (root / "mkdocs.yml").write_text("site_name: test\n")
        (root / "papers" / "topics.yaml").write_text(dump_topics(topics), encoding="utf-8")
        for name, text in schemas().items():
            (root / "papers" / name).write_text(text, encoding="utf-8")
        collection = Collection(root)
        for data in records:
            collection.path_of(data["id"], data["kind"]).write_text(dump(data), encoding="utf-8")
        for stem, text in texts.items():
            (root / "papers" / f"{stem}.yaml").write_text(text, encoding="utf-8", newline="")
        return collection

    return build


@pytest.fixture
def program() -> Callable[[Path, str], Path]:
    """program(path, code) writes a command that runs Python code; through sh, as `#!` takes no path with a space."""

    def write(path: Path, code: str) -> Path:
        path.write_text(
            f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(code)} "$@"\n', encoding="utf-8"
        )
        path.chmod(0o755)
        return path

    return write


class Outcome:
    """What a command did: exit code, data, talk."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def kb(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """kb(collection, "list", "--json") runs the command in this process, off a terminal."""
    from kb_tools.cli import main

    def run(collection: Collection, *arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["kb", *arguments])
        capfd.readouterr()
        code = main(["-C", str(collection.root), *arguments])
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


FIXTURES = Path(__file__).parent / "fixtures"


class Answer(NamedTuple):
    """What the test server sends: status, content type, body, more headers; `slow` sends a byte and then waits."""

    status: int
    kind: str
    body: bytes
    headers: Mapping[str, str] = {}
    slow: bool = False


class Server:
    """A real HTTP server on loopback.  It answers with `answers` in turn, the last one again and again."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.agents: list[str] = []
        self.released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                address = urlsplit(self.path)
                outer.asked.append((self.command, address.path, dict(parse_qsl(address.query)), body))
                outer.agents.append(self.headers["User-Agent"])
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                self.send_response(answer.status)
                headers = {"Content-Type": answer.kind, "Content-Length": str(len(answer.body)), **answer.headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if answer.slow:
                    self.wfile.write(answer.body[:1])
                    outer.released.wait(20)
                else:
                    self.wfile.write(answer.body)

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:
                """The test says what matters."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self.released.set()
        self.http.shutdown()
        self.http.server_close()


class FakeClock:
    """Time that passes only while somebody sleeps; `slept` are the waits."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0
        self.slept: list[float] = []

    def wall(self) -> float:
        return self.now

    def steady(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def jitter(self) -> float:
        return 0.5


def recorded(name: str, kind: str | None = None) -> Answer:
    """A recorded answer by its path under fixtures/, without suffix."""
    data = json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))
    sent = data.get("headers", {}).get("content-type")
    default = "text/plain" if "rate_limited" in name and not sent else "application/atom+xml"
    return Answer(data["status_code"], kind or sent or default, data["body"].encode())


def entry(
    ident: str,
    *,
    title: str = "A Title",
    authors: tuple[str, ...] = ("Ada Lovelace",),
    version: int = 1,
    more: str = "",
) -> str:
    """One Atom entry as arXiv writes it; `more` are further elements."""
    people = "".join(f"<author><name>{name}</name></author>" for name in authors)
    return (
        f"<entry><id>http://arxiv.org/abs/{ident}v{version}</id><title>{title}</title>"
        f"<updated>2021-02-03T04:05:06Z</updated><summary>What it\n  does.</summary>"
        f"<published>2020-06-19T17:00:00Z</published>{more}{people}</entry>"
    )


def feed(*entries: str, total: int | None = None) -> Answer:
    """An Atom feed of entries, as arXiv sends it."""
    body = (
        "<?xml version='1.0' encoding='UTF-8'?>"
        '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:arxiv="http://arxiv.org/schemas/atom"'
        ' xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/">'
        f"<opensearch:totalResults>{len(entries) if total is None else total}</opensearch:totalResults>"
        f"{''.join(entries)}</feed>"
    )
    return Answer(200, "application/atom+xml", body.encode())


def as_json(data: object, status: int = 200) -> Answer:
    return Answer(status, "application/json", json.dumps(data).encode())


class Web:
    """Makers of answers, for tests that need no import of this file."""

    Answer = Answer
    recorded = staticmethod(recorded)
    entry = staticmethod(entry)
    feed = staticmethod(feed)
    as_json = staticmethod(as_json)


@pytest.fixture
def web() -> type[Web]:
    return Web


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeClock:
    """No test sleeps, and none shares a cache with another or with the user."""
    fake = FakeClock()
    monkeypatch.setattr("kb_tools.services.transport.CLOCK", fake)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("S2_API_KEY", "OPENALEX_API_KEY", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return fake


@pytest.fixture
def servers(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Server]]:
    """One server each for arxiv, s2 and openalex, where the commands will look for them; each is down at first."""
    made = {name: Server() for name in ("arxiv", "s2", "openalex")}
    for name, server in made.items():
        server.answers = [Answer(503, "text/plain", b"down")]
        path = "/api/query" if name == "arxiv" else ""
        monkeypatch.setenv(f"KB_{name.upper()}_URL", server.url + path)
    yield made
    for server in made.values():
        server.close()
