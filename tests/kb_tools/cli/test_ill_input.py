"""What no command can do anything with is refused by a word, with its exit code, and never by a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date, timedelta

import pytest

from kb_tools.errors import NotFoundError
from kb_tools.records.store import Collection

TOMORROW = (date.today() + timedelta(days=1)).isoformat()


@pytest.fixture
def shelf(make, record):
    return make(
        record("first", title="Noise and score", arxiv="2006.11239", status="read", read_on="2026-11-01"),
        record("second", builds_on=["first"]),
        record("post", kind="blog"),
    )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["search", ""], 2, "no word to search for"),
        (["search", " ", "\u0301"], 2, "no word to search for"),
        (["list", "--fields", ""], 2, "no field ''"),
        (["-C", "", "list"], 3, "-C names no folder"),
        (["show", ""], 3, "kb list"),
        (["show", "zzzzzz"], 3, "kb search WORDS"),
        (["show", "x" * 5000], 3, "x" * 100 + "..."),
        (["show", "2010.02502"], 3, "kb add 2010.02502"),
        (["show", "https://doi.org/10.1162/neco.2011.00142"], 3, "kb add https://doi.org/10.1162/neco.2011.00142"),
        (["next", "--goal", "post"], 3, "a goal is a paper"),
        (["graph", "edges", "--around", ""], 3, "no record is called ''"),
        (["graph", "--format", "svg", "--json"], 2, "one of them"),
        (["read", "second", "--on", TOMORROW], 2, "still to come"),
        (["status", "first", "unread", "--on", "2026-11-01"], 2, "has no day"),
        (["export", "-o", ""], 2, "no file to write to"),
        (["export", "-o", "."], 2, "no file to write to"),
        (["progress", "export", "."], 2, "no file to write to"),
        (["import", "nowhere"], 3, "no file nowhere"),
        (["import", "nowhere.bib"], 3, "no file nowhere.bib"),
        (["run"], 2, "name the method"),
        (["run", "--seed", "1", "first"], 2, "kb run RECORD --seed"),
        (["init", ""], 2, "cannot be empty"),
        (["init", "new", "--name", " "], 2, "cannot be empty"),
        (["init", "new", "--name", "two\nlines"], 2, "one line"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else None,
)
def test_it_is_refused_by_a_word(kb, shelf, monkeypatch, tmp_path, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in shelf.files()}
    outcome = kb(shelf, *arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert words in outcome.err
    assert {path: path.read_bytes() for path in shelf.files()} == before
    assert not (tmp_path / "new").exists()


def test_a_search_may_be_as_long_as_it_likes(kb, shelf):
    """SQLite refuses a condition of more than a thousand parts: what it is not asked must still count."""
    text = next(text for entry, text in shelf.index().search(["noise"]) if entry.id == "first").replace("\n", " ")
    parts = {part for word in text.split() for start in range(len(word)) for part in (word[start:], word[: start + 1])}
    assert len(parts) > 100
    assert kb(shelf, "search", *sorted(parts)).out.split("\t")[0] == "first"
    outcome = kb(shelf, "search", *sorted(parts), *(f"~{number}" for number in range(1200)))
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "kb: nothing matches\n")


def test_an_empty_root_is_not_the_nearest_one(shelf, monkeypatch):
    monkeypatch.chdir(shelf.root)
    monkeypatch.setenv("KB_ROOT", "")
    assert Collection.find().root == shelf.root
    with pytest.raises(NotFoundError):
        Collection.find("")


def test_no_editor_is_opened_without_a_terminal(shelf):
    surroundings = {name: value for name, value in os.environ.items() if name not in ("VISUAL", "EDITOR")}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from kb_tools.cli import main; sys.exit(main())"]
        + ["-C", str(shelf.root), "edit", "first"],
        env=surroundings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "set VISUAL" in done.stderr
    assert not list(shelf.papers.glob(".*kb-edit*"))


@pytest.mark.parametrize("command", [["list"], ["search", "x"], ["next"], ["order"]])
def test_an_empty_collection_says_what_to_do_first(kb, make, record, command):
    for more in ([], ["--json"]):
        outcome = kb(make(), *command, *more)
        assert (outcome.code, outcome.err) == (0, "kb: no records yet; `kb add` a paper or `kb import` a list\n")
    done = kb(make(record("done", status="read", read_on="2026-11-01")), "next")
    assert done.err == "kb: nothing is left to read here\n"
