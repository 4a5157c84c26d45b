"""The transport: spacing, waiting, deadlines, redirects, cache; with a clock that only moves while it sleeps."""

from __future__ import annotations

import json
import subprocess
import sys
from email.utils import formatdate

import pytest

from kb_tools.errors import NetworkError, StorageError
from kb_tools.services import transport
from kb_tools.services.transport import MAX_BYTES, Service, Transport, cache_folder


@pytest.fixture
def server(servers, web):
    servers["arxiv"].answers = [web.Answer(200, "text/plain", b"fine")]
    return servers["arxiv"]


@pytest.fixture
def service(server):
    return Service.at("Test", "KB_TEST_URL", server.url, spacing=3.0)


def ask(service, query="1", **options):
    return Transport(service, **options).ask("/x", {"q": query}, lambda reply: reply.text())


def test_requests_are_three_seconds_apart(service, clock):
    for query in ("1", "2", "3"):
        ask(service, query)
    assert clock.slept == [3.0, 3.0]
    clock.now += 1.0
    ask(service, "4")
    assert clock.slept[2:] == [2.0]


def test_the_spacing_holds_across_processes(service, clock):
    script = (
        "import sys\nfrom kb_tools.services import transport\n"
        "class Clock(transport.Clock):\n"
        "    def wall(self):\n        return float(sys.argv[2])\n"
        "    def sleep(self, seconds):\n        print(seconds)\n"
        "transport.CLOCK = Clock()\n"
        "service = transport.Service.at('Test', 'KB_TEST_URL', sys.argv[1], spacing=3.0)\n"
        "transport.Transport(service).ask('/other', {}, lambda reply: reply.text())\n"
    )
    ask(service)
    done = subprocess.run(
        [sys.executable, "-c", script, service.url, repr(clock.now + 1)], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) == 2.0


def test_the_spacing_is_counted_from_the_end_of_an_exchange(service, clock, monkeypatch):
    """However long our own side took to get the first request out, the server sees three seconds between two."""

    one = Transport(service)
    real = one._exchange

    def delayed(*arguments):
        clock.now += 1.5
        return real(*arguments)

    monkeypatch.setattr(one, "_exchange", delayed)
    one.ask("/x", {"q": "1"}, lambda reply: reply.text())
    ask(service, "2")
    assert clock.slept == [3.0]


def test_a_clock_that_was_set_back_does_not_block(service, clock):
    ask(service, "1")
    clock.now -= 10_000
    ask(service, "2")
    assert clock.slept == []


def test_waits_grow_and_are_announced(service, server, web, clock):
    lines = []
    server.answers = [web.Answer(503, "text/plain", b"")] * 3 + [web.Answer(200, "text/plain", b"at last")]
    assert ask(service, tell=lines.append) == "at last"
    # 3, 10 and 30 s, each longer by half of the jitter of 25 %
    assert [wait for wait in clock.slept if wait > 3.0] == [3.375, 11.25, 33.75]
    assert len(lines) == 3
    assert "trying again in 11 s" in lines[1]


@pytest.mark.parametrize(("form", "expected"), [("number", 20.0), ("date", 20.0)])
def test_retry_after_is_honoured(service, server, web, clock, form, expected):
    value = "20" if form == "number" else formatdate(clock.now + 20, usegmt=True)
    server.answers = [web.Answer(429, "text/plain", b"", {"Retry-After": value}), web.Answer(200, "text/plain", b"ok")]
    ask(service)
    assert clock.slept[0] == pytest.approx(expected, abs=1.0)


@pytest.mark.parametrize("value", ["soon", "", "-5"])
def test_a_retry_after_that_says_nothing_changes_nothing(service, server, web, clock, value):
    server.answers = [web.Answer(429, "text/plain", b"", {"Retry-After": value}), web.Answer(200, "text/plain", b"ok")]
    ask(service)
    assert clock.slept[0] == 3.375


def test_a_wait_beyond_the_deadline_is_not_begun(service, server, web, clock):
    server.answers = [web.Answer(429, "text/plain", b"", {"Retry-After": "3600"})]
    with pytest.raises(NetworkError, match="asks to wait 3600 s"):
        ask(service)
    assert clock.slept == []


def test_one_short_attempt_waits_for_nothing(service, server, web, clock):
    server.answers = [web.Answer(429, "text/plain", b"")]
    with pytest.raises(NetworkError):
        ask(service, patient=False)
    assert (len(server.asked), clock.slept) == (1, [])


def test_redirects_inside_the_host_are_followed(service, server, web):
    server.answers = [
        web.Answer(301, "text/plain", b"", {"Location": "/y?q=2"}),
        web.Answer(200, "text/plain", b"here"),
    ]
    assert ask(service) == "here"
    assert [path for _, path, _, _ in server.asked] == ["/x", "/y"]


@pytest.mark.parametrize("location", ["http://elsewhere.example/", "ftp://127.0.0.1/", None])
def test_redirects_elsewhere_are_named_and_not_followed(service, server, web, location):
    server.answers = [web.Answer(302, "text/plain", b"", {"Location": location} if location else {})]
    with pytest.raises(NetworkError, match="sends us elsewhere: HTTP 302") as caught:
        ask(service)
    assert len(server.asked) == 1
    assert "KB_TEST_URL" in str(caught.value.hint)


def test_redirects_in_circles_end(service, server, web):
    server.answers = [web.Answer(302, "text/plain", b"", {"Location": "/x"})]
    with pytest.raises(NetworkError, match="in circles"):
        ask(service)
    assert len(server.asked) == 4


def test_a_secure_address_is_never_left_for_a_plain_one():
    assert not transport._same_service("https://a.example/x", "http://a.example/x")
    assert transport._same_service("http://a.example/x", "https://a.example/y")


def test_a_flood_is_cut_off(service, server, web):
    server.answers = [web.Answer(200, "text/plain", b"x" * (MAX_BYTES + 1))]
    with pytest.raises(NetworkError, match="sends more than 16 MiB"):
        ask(service)


def test_answers_are_kept_for_a_day(service, server, web, clock):
    assert ask(service) == "fine"
    server.answers = [web.Answer(200, "text/plain", b"new")]
    clock.now += 86_000
    assert ask(service) == "fine"
    assert ask(service, fresh=True) == "new"
    assert ask(service) == "new"
    clock.now += 86_401
    server.answers = [web.Answer(200, "text/plain", "neuer ü".encode())]
    assert ask(service) == ask(service) == "neuer ü"
    assert len(server.asked) == 3


def test_failures_are_not_kept(service, server, web):
    def refuse(reply):
        raise NetworkError("cannot be used", hint="-")

    with pytest.raises(NetworkError):
        Transport(service).ask("/x", {"q": "1"}, refuse)
    assert ask(service) == "fine"
    assert len(server.asked) == 2


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"url": 1}', "null"])
def test_a_damaged_cache_counts_as_none(service, server, damage):
    ask(service)
    [kept] = cache_folder().glob("*.json")
    kept.write_text(damage)
    assert ask(service) == "fine"
    assert len(server.asked) == 2


def test_a_cache_that_cannot_be_used_is_named(service, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="the cache folder cannot be used") as caught:
        ask(service)
    assert "XDG_CACHE_HOME" in str(caught.value.hint)


def test_secrets_are_sent_and_neither_kept_nor_shown(server, web):
    service = Service.at(
        "Test", "KB_TEST_URL", server.url, spacing=0.0, headers={"x-api-key": "hidden"}, secret={"key": "hidden"}
    )
    assert ask(service) == "fine"
    assert server.asked[0][2] == {"q": "1", "key": "hidden"}
    [kept] = cache_folder().glob("*.json")
    assert "hidden" not in kept.read_text()
    server.answers = [web.Answer(302, "text/plain", b"", {"Location": "http://elsewhere.example/"})]
    with pytest.raises(NetworkError) as caught:
        ask(service, "2")
    assert "hidden" not in caught.value.message


def test_a_posted_question_is_part_of_what_is_kept(service, server):
    one = Transport(service)
    for idents in (["a"], ["b"], ["a"]):
        one.ask("/batch", {}, lambda reply: reply.text(), body={"ids": idents})
    assert [(method, body) for method, _, _, body in server.asked] == [
        ("POST", {"ids": ["a"]}),
        ("POST", {"ids": ["b"]}),
    ]


def test_import_of_the_sources_loads_no_http_library():
    script = (
        "import sys\nimport kb_tools.services.arxiv, kb_tools.services.semanticscholar, kb_tools.services.openalex\n"
        "print(sorted({'requests', 'urllib3', 'filelock', 'lxml', 'networkx'} & set(sys.modules)))"
    )
    assert (
        json.loads(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)
        == []
    )
