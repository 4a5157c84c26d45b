"""What no command can do anything with is refused by a word, with its exit code, and never by a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date, timedelta

import pytest

from kb_tools.errors import NotFoundError
from kb_tools.records.layout import dump
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


BROKEN = 'id: broken\nkind: paper\ntitle: One\ntitle: Two\narxiv: "2010.02502"\n'


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["search", "noise"],
        ["next"],
        ["order"],
        ["order", "--json"],
        ["graph", "edges"],
        ["graph", "--format", "dot"],
        ["graph", "stats"],
        ["graph", "stats", "--json"],
        ["graph", "similar", "first", "--json"],
        ["progress"],
        ["progress", "export"],
        ["export"],
    ],
    ids=" ".join,
)
def test_what_speaks_of_all_records_names_those_it_could_not_read(kb, shelf, command):
    assert kb(shelf, *command).code == 0
    (shelf.papers / "broken.yaml").write_text(BROKEN)
    outcome = kb(shelf, *command)
    assert (outcome.code, outcome.out != "") == (5, True)
    assert "papers/broken.yaml:4:1: title: stands twice" in outcome.err


def test_a_work_whose_record_cannot_be_read_is_not_added_beside_it(kb, shelf, tmp_path):
    (shelf.papers / "broken.yaml").write_text(BROKEN)
    bib = tmp_path / "refs.bib"
    bib.write_text("@misc{a, title={DDIM}, eprint={2010.02502}}\n@misc{b, title={Another}, eprint={2010.02503}}\n")
    before = sorted(path.name for path in shelf.files())
    outcome = kb(shelf, "add", "2010.02502", "--offline")
    assert (outcome.code, outcome.out) == (6, "")
    assert "papers/broken.yaml is not valid, and names 2010.02502" in outcome.err
    assert sorted(path.name for path in shelf.files()) == before
    assert shelf.hidden(shelf.index(), [None, "2010.02502"]) == shelf.papers / "broken.yaml"
    for other in ("2010.0250", "010.02502", None):
        assert shelf.hidden(shelf.index(), [other]) is None, "a part of an id is another one"
    outcome = kb(shelf, "import", str(bib))
    assert (outcome.code, "1 added" in outcome.err) == (5, True)
    assert "papers/broken.yaml is not valid and names it" in outcome.out
    assert {entry.arxiv for entry in shelf.entries().values()} == {"2006.11239", "2010.02503", None}


def test_an_interrupt_while_modules_are_loaded_is_an_interrupt(shelf):
    """The finder of modules stands in for a person who is quicker than the imports."""
    script = """
import sys
from kb_tools.cli import main
class Impatient:
    def find_spec(self, name, path=None, target=None):
        if name == "kb_tools.cli.app":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Impatient())
sys.exit(main(["list"]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "kb: interrupted\n")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"bad\xff.yaml", "bad\\udcff.yaml"),
        (b"new\nline.yaml", "new\\nline.yaml"),
        (b"red\x1b[31m.yaml", "red\\x1b[31m.yaml"),
    ],
)
def test_a_file_whose_name_cannot_be_shown_breaks_only_itself(kb, shelf, name, shown):
    place = shelf.papers / os.fsdecode(name)
    place.write_bytes(b"id: first\nkind: paper\ntitle: Another\n")
    for _ in range(2):  # read, and then known
        outcome = kb(shelf, "list", "--fields", "id,title")
        assert (outcome.code, len(outcome.out.splitlines())) == (5, 3)
        assert f"papers/{shown}:1:1: id: first is not the name of the file" in outcome.err
    found = json.loads(kb(shelf, "check", "--json").out)["data"]
    assert {one["path"] for one in found} == {f"papers/{shown}"}
    assert f"papers/{shown}:1:1: id:" in kb(shelf, "check").out
    place.unlink()
    assert kb(shelf, "list").code == 0


def test_a_pipe_among_the_records_is_not_waited_for(kb, shelf):
    os.mkfifo(shelf.papers / "pipe.yaml")
    assert "pipe.yaml: is no plain file" in kb(shelf, "list").err
    assert "is no plain file" in kb(shelf, "check").out


def test_a_pipe_to_write_to_is_written_to_and_stays_one(kb, shelf, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert kb(shelf, "export", "first", "--format", "json", "-o", str(pipe)).code == 0
        assert [one["id"] for one in json.loads(os.read(reader, 65_536))["data"]] == ["first"]
        assert kb(shelf, "export", "--dry-run", "-o", str(pipe)).code == 0
        assert os.read(reader, 65_536) == b""
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_the_home_of_somebody_who_is_not_there(kb, shelf, monkeypatch):
    assert kb(shelf, "-C", "~nobody-of-this-name/x", "list").code == 3
    assert kb(shelf, "init", "~nobody-of-this-name/x").code == 2


def test_a_mark_that_has_found_its_record_is_not_kept_to_undo_what_follows(kb, shelf, record, tmp_path):
    """Marked on the site before there was a record; marked unread later, which has no date."""
    file, other = tmp_path / "marks.json", tmp_path / "other.json"
    file.write_text('{"schema_version": 1, "marks": {"third": {"s": "read", "t": "2026-11-20T00:00:00Z"}}}')
    other.write_text('{"schema_version": 1, "marks": {}}')
    assert "kept for later, no such record now: third" in kb(shelf, "progress", "import", str(file)).err
    shelf.path_of("third", "paper").write_text(dump(record("third")))
    assert "third: unread -> read" in kb(shelf, "progress", "import", str(other)).err
    assert kb(shelf, "status", "third", "unread").code == 0
    assert kb(shelf, "progress", "import", str(other)).code == 0
    assert shelf.entries()["third"].status == "unread"
    assert kb(shelf, "check").code == 0
