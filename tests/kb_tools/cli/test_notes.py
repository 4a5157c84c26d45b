"""kb notes: a person's words about a record are kept, found, checked, and go where the record goes."""

from __future__ import annotations

import io
import json
import shlex
import sys

import pexpect
import pytest

from kb_tools.check import about, check, files_of


@pytest.fixture
def shelf(make, record):
    return make(record("ddpm", title="Denoising: a study"), record("ddim", aliases=["DDIM"]))


def written(shelf, ident: str) -> str:
    return (shelf.papers / "notes" / f"{ident}.md").read_text(encoding="utf-8")


def test_text_is_added_under_a_heading_that_is_the_title(kb, shelf, monkeypatch):
    dry = kb(shelf, "notes", "ddpm", "--add", "Crème first.", "--dry-run")
    assert "+# Denoising: a study\n+\n+Crème first.\n" in dry.out
    assert not (shelf.papers / "notes").exists()
    outcome = kb(shelf, "notes", "ddpm", "--add", "Crème first.")
    assert (outcome.code, outcome.out) == (0, "papers/notes/ddpm.md\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\n- one\n- two\n\n"), encoding="utf-8"))
    assert kb(shelf, "notes", "ddpm", "--add", "-").code == 0
    assert written(shelf, "ddpm") == "# Denoising: a study\n\nCrème first.\n\n- one\n- two\n"
    assert kb(shelf, "notes", "ddpm", "--print").out == written(shelf, "ddpm")
    assert kb(shelf, "notes", "ddpm").out == written(shelf, "ddpm"), "off a terminal they are printed"
    assert kb(shelf, "notes", "DDIM", "--path").out == f"{shelf.papers}/notes/ddim.md\n"


def test_json_and_the_list(kb, shelf):
    assert json.loads(kb(shelf, "notes", "ddpm", "--json").out)["data"] == {
        "id": "ddpm", "path": "papers/notes/ddpm.md", "text": None,
    }  # fmt: skip
    empty = kb(shelf, "notes")
    assert (empty.code, empty.out) == (0, "")
    assert "no notes yet" in empty.err
    kb(shelf, "notes", "ddpm", "--add", "Two words.")
    (shelf.papers / "notes" / "gone.md").write_text("Lost.\n")
    (shelf.papers / "notes" / "ddim.md").write_bytes(b"\xff\xfe")
    listed = kb(shelf, "notes")
    assert listed.out == "ddpm\t6\tDenoising: a study\n"  # the sign of the heading counts as a word
    assert listed.code == 5
    assert "papers/notes/gone.md: there is no record gone" in listed.err and "ddim.md: is not UTF-8" in listed.err
    row = {"id": "ddpm", "words": 6, "title": "Denoising: a study", "path": "papers/notes/ddpm.md"}
    assert json.loads(kb(shelf, "notes", "--json").out)["data"] == [row]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["ddim", "--print"], 3, "no notes on ddim"),
        (["ddim", "--print", "--path"], 2, "leave two of them out"),
        (["ddim", "--add", " \n"], 2, "no text to add"),
        (["ddim", "--dry-run"], 2, "--dry-run belongs to --add"),
        (["--add", "x"], 2, "of which record?"),
        (["nothing", "--path"], 3, "no record is called"),
    ],
)
def test_what_cannot_be_meant_is_said(kb, shelf, arguments, code, words):
    outcome = kb(shelf, "notes", *arguments)
    assert outcome.code == code
    assert words in outcome.err
    assert outcome.out == ""


def test_a_search_finds_them_as_soon_as_they_are_saved_and_no_longer(kb, shelf):
    assert kb(shelf, "search", "zebra").out == ""
    kb(shelf, "notes", "ddim", "--add", "The ZÉBRA of samplers.")
    assert kb(shelf, "search", "zebra", "--fields", "id").out == "ddim\n"
    assert kb(shelf, "search", "zebra", "ddim", "--fields", "id").out == "ddim\n"
    assert "did you mean `kb search zebra`" in kb(shelf, "search", "zebro").err
    assert kb(shelf, "search", "author", "--fields", "id").out.split() == ["ddim", "ddpm"], "and all others as before"
    path = shelf.papers / "notes" / "ddim.md"
    path.write_text("An okapi.\n")
    assert kb(shelf, "search", "zebra").out == ""
    assert kb(shelf, "search", "okapi", "--fields", "id").out == "ddim\n"
    path.write_bytes(b"okapi \xff")
    assert kb(shelf, "search", "okapi").out == ""
    path.unlink()
    assert kb(shelf, "search", "okapi").out == ""
    assert kb(shelf, "list", "--fields", "id").out.split() == ["ddim", "ddpm"]


def test_check_names_notes_that_nobody_can_read_or_that_are_about_nothing(shelf, record, make):
    make(record("tddpm", former_ids=["old-name"]))
    folder = shelf.papers / "notes"
    folder.mkdir()
    (folder / "ddpm.md").write_bytes(b"caf\xe9")
    (folder / "ddim.md").symlink_to("/etc/hostname")
    (folder / "old-name.md").write_text("Mine.\n")
    (folder / "nobody.md").write_text("Whose?\n")
    (folder / ".hidden.md").write_text("An editor's.\n")
    found = {p.path.name: (p.message, p.fix) for p in check(shelf) if p.code == "notes"}
    assert found == {
        "ddpm.md": ("is not UTF-8", "save the file as UTF-8"),
        "ddim.md": ("is a symbolic link", "replace it by a plain file in the collection"),
        "old-name.md": ("there is no record old-name", "call it tddpm.md"),
        "nobody.md": ("there is no record nobody", "give it the id of a record, or delete it"),
    }
    assert [p.message for p in about(check(shelf), files_of(shelf, "ddpm"))] == ["is not UTF-8"]


def test_show_says_where_they_are(kb, shelf):
    assert "your notes" not in kb(shelf, "show", "ddpm").out
    kb(shelf, "notes", "ddpm", "--add", "A thought.")
    assert "your notes   papers/notes/ddpm.md\n" in kb(shelf, "show", "ddpm").out
    assert json.loads(kb(shelf, "show", "ddpm", "--json").out)["data"]["notes_file"] == "papers/notes/ddpm.md"


def on_a_terminal(shelf, monkeypatch, tmp_path, line: str, code: int = 0) -> pexpect.spawn:
    """`kb notes ddpm` with an editor that is one line of Python about `path`."""
    script = tmp_path / "editor.py"
    script.write_text(f"import sys\nfrom pathlib import Path\npath = Path(sys.argv[-1])\n{line}\nsys.exit({code})\n")
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", shlex.join([sys.executable, str(script)]))
    run = "import sys; from kb_tools.cli import main; sys.exit(main())"
    child = pexpect.spawn(
        sys.executable, ["-c", run, "-C", str(shelf.root), "notes", "ddpm"], encoding="utf-8", timeout=30
    )
    child.expect(pexpect.EOF)
    child.close()
    return child


def test_the_editor_opens_the_file_itself(shelf, monkeypatch, tmp_path):
    child = on_a_terminal(shelf, monkeypatch, tmp_path, "path.write_text(path.read_text() + 'Mine.\\n')")
    assert child.exitstatus == 0
    assert "ddpm: changed (papers/notes/ddpm.md)" in str(child.before)
    assert written(shelf, "ddpm") == "# Denoising: a study\n\nMine.\n"
    child = on_a_terminal(shelf, monkeypatch, tmp_path, "pass")
    assert "nothing was changed" in str(child.before)
    child = on_a_terminal(shelf, monkeypatch, tmp_path, "path.write_bytes(b'\\xff')")
    assert child.exitstatus == 5
    assert (shelf.papers / "notes" / "ddpm.md").read_bytes() == b"\xff", "no byte of a person's is thrown away"


@pytest.mark.parametrize(("line", "code"), [("pass", 0), ("pass", 1), ("path.write_text('')", 0), ("path.unlink()", 0)])
def test_notes_that_were_only_begun_leave_nothing(shelf, monkeypatch, tmp_path, line, code):
    child = on_a_terminal(shelf, monkeypatch, tmp_path, line, code)
    assert child.exitstatus == code
    assert not list((shelf.papers / "notes").iterdir())
