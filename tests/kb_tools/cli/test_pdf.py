"""kb pdf: whole PDFs in the user's cache, and nothing of them anywhere else."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

PDF = b"%PDF-1.5\n" + bytes(range(256)) * 800  # more than one part


@pytest.fixture
def shelf(make, record, servers):
    server = servers["s2"]
    return make(
        record("dsm", links={"pdf": f"{server.url}/dsm.pdf"}),
        record("bare", doi="10.1000/x"),
        record("odd", links={"pdf": "ftp://example.org/x.pdf"}),
    )


@pytest.fixture
def cache(clock, tmp_path) -> Path:
    return tmp_path / "cache" / "diffusion-kb" / "pdfs"


def test_it_is_downloaded_once_to_the_cache_and_not_to_the_collection(kb, shelf, servers, web, cache):
    servers["s2"].answers = [web.Answer(200, "application/pdf", PDF)]
    before = sorted(path for path in shelf.root.rglob("*") if ".kb" not in path.parts)
    outcome = kb(shelf, "pdf", "dsm")
    assert outcome.code == 0
    path = Path(outcome.out.removesuffix("\n"))
    assert path.parent == cache and path.name.startswith("dsm-") and path.suffix == ".pdf"
    assert path.read_bytes() == PDF
    assert kb(shelf, "pdf", "The paper called dsm").out == outcome.out
    assert len(servers["s2"].asked) == 1
    servers["s2"].answers = [web.Answer(200, "application/pdf", PDF + b"more")]
    told = json.loads(kb(shelf, "pdf", "dsm", "--no-cache", "--json").out)["data"]
    assert told == {
        "id": "dsm", "path": str(path), "from": f"{servers['s2'].url}/dsm.pdf", "bytes": len(PDF) + 4,
        "downloaded": True,
    }  # fmt: skip
    assert path.read_bytes() == PDF + b"more"
    assert sorted(path for path in shelf.root.rglob("*") if ".kb" not in path.parts) == before
    assert [path.name for path in cache.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, "text/html", b"<html>sign in</html>"), "sends text/html instead of a PDF"),
        ((200, "application/pdf", b""), "instead of a PDF"),
        ((404, "text/plain", b"%PDF-"), "answers HTTP 404"),
        ((200, "application/pdf", PDF, {"Content-Length": str(len(PDF) + 9)}), "gives no PDF"),
        ((302, "text/plain", b"", {"Location": "/dsm.pdf"}), "gives no PDF: TooManyRedirects"),
    ],
)
def test_what_is_no_whole_pdf_is_a_network_failure_and_leaves_what_was_there(
    kb, shelf, servers, web, cache, answer, words
):
    servers["s2"].answers = [web.Answer(200, "application/pdf", PDF)]
    path = Path(kb(shelf, "pdf", "dsm").out.removesuffix("\n"))
    servers["s2"].answers = [web.Answer(*answer)]
    outcome = kb(shelf, "pdf", "dsm", "--no-cache")
    assert (outcome.code, outcome.out) == (4, "")
    assert words in outcome.err
    assert path.read_bytes() == PDF
    assert list(cache.iterdir()) == [path]


def test_a_server_that_is_not_there_is_a_network_failure(kb, make, record, clock):
    shelf = make(record("dsm", links={"pdf": "http://127.0.0.1:9/x.pdf"}))
    assert kb(shelf, "pdf", "dsm").code == 4


@pytest.mark.parametrize("name", ["bare", "odd", "nothing"])
def test_no_address(kb, shelf, name):
    assert kb(shelf, "pdf", name).code == 3


def test_a_cache_that_takes_nothing_is_said(kb, shelf, servers, web, cache, monkeypatch):
    servers["s2"].answers = [web.Answer(200, "application/pdf", PDF)]

    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    outcome = kb(shelf, "pdf", "dsm")
    assert outcome.code == 6
    assert f"{cache}" in outcome.err and "cannot be written: No space left on device" in outcome.err
    assert list(cache.iterdir()) == []


def test_it_is_opened_where_that_is_asked_for(kb, shelf, servers, web, monkeypatch):
    servers["s2"].answers = [web.Answer(200, "application/pdf", PDF)]
    opened: list[str] = []
    monkeypatch.setattr("click.launch", lambda path: opened.append(path) or 1)
    outcome = kb(shelf, "pdf", "dsm", "--open")
    assert opened == [outcome.out.removesuffix("\n")]
    assert "no viewer could be started" in outcome.err
