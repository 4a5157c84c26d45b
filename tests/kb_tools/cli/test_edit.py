"""kb edit: only what is valid replaces a record, and no typed word is lost."""

from __future__ import annotations

import io
import shlex
import sys
from datetime import date

import pexpect
import pytest


@pytest.fixture
def shelf(make, record):
    return make(record("ddpm"))


@pytest.fixture
def editor(monkeypatch, tmp_path):
    """editor("text = ...") makes an editor of a line of Python that turns the text of the file into another."""

    def use(line: str, code: int = 0) -> None:
        script = tmp_path / "an editor.py"
        script.write_text(
            "import sys\nfrom pathlib import Path\npath = Path(sys.argv[-1])\ntext = path.read_bytes().decode()\n"
            f"{line}\npath.write_bytes(text.encode())\nsys.exit({code})\n"
        )
        monkeypatch.delenv("VISUAL", raising=False)
        monkeypatch.setenv("EDITOR", f"{shlex.quote(sys.executable)} {shlex.quote(str(script))}")

    return use


def dated(text: str) -> str:
    """The text of a record that was changed today."""
    return f'{text}changed: "{date.today().isoformat()}"\n'


def test_a_valid_edit_is_kept_byte_for_byte(kb, shelf, editor):
    path = shelf.papers / "ddpm.yaml"
    before = path.read_text()
    editor("text = text.replace('year: 2020', 'year:   2021  # first version')")
    dry = kb(shelf, "edit", "The paper called ddpm", "--dry-run")
    assert "+year:   2021  # first version" in dry.out
    assert path.read_text() == before
    assert kb(shelf, "edit", "ddpm").code == 0
    assert path.read_text() == dated(before.replace("year: 2020", "year:   2021  # first version"))
    editor("pass")
    assert "nothing was changed" in kb(shelf, "edit", "ddpm").err
    assert not list(shelf.papers.glob(".*"))


def test_an_edit_that_is_not_valid_is_kept_beside_and_gone_on_with(kb, shelf, editor):
    path = shelf.papers / "ddpm.yaml"
    before = path.read_text()
    editor("text = text.replace('year: 2020', 'year: MMXX')")
    outcome = kb(shelf, "edit", "ddpm")
    assert outcome.code == 5
    assert "ddpm.yaml:6:1: year: must be a whole number" in outcome.err
    assert path.read_text() == before
    assert ".ddpm.kb-edit.yaml" in outcome.err
    assert kb(shelf, "list").code == 0, "the draft is no record"
    editor("text = text.replace('MMXX', '2021')")
    assert "going on with the text kept" in kb(shelf, "edit", "ddpm").err
    assert path.read_text() == dated(before.replace("year: 2020", "year: 2021"))
    assert not list(shelf.papers.glob(".*"))


def test_an_editor_may_date_a_change(kb, shelf, editor):
    editor("text = text.replace('year: 2020', 'year: 2021') + 'changed: \"2026-01-02\"\\n'")
    assert kb(shelf, "edit", "ddpm").code == 0
    assert shelf.index().record("ddpm")["changed"] == "2026-01-02"


def test_a_record_that_changed_meanwhile_is_not_overwritten(kb, shelf, editor):
    path = shelf.papers / "ddpm.yaml"
    theirs = path.read_text().replace("2020", "1999")
    editor(f"Path({str(path)!r}).write_text({theirs!r}); text = text.replace('2020', '2021')")
    outcome = kb(shelf, "edit", "ddpm")
    assert outcome.code == 6
    assert path.read_text() == theirs
    assert "year: 2021" in (shelf.papers / ".ddpm.kb-edit.yaml").read_text()


def test_a_rename_a_failing_and_a_missing_editor_change_nothing(kb, shelf, editor, monkeypatch):
    path = shelf.papers / "ddpm.yaml"
    before = path.read_text()
    editor("text = text.replace('id: ddpm', 'id: other')")
    assert kb(shelf, "edit", "ddpm").code == 5
    (shelf.papers / ".ddpm.kb-edit.yaml").unlink()
    editor("text = 'half written'", code=3)
    assert kb(shelf, "edit", "ddpm").code == 1
    draft = shelf.papers / ".ddpm.kb-edit.yaml"
    assert draft.read_text() == "half written", "what was typed is kept, even if the editor failed"
    draft.unlink()
    monkeypatch.setenv("VISUAL", "no-such-editor-here")
    assert kb(shelf, "edit", "ddpm").code == 2
    assert not draft.exists(), "an editor that never started leaves nothing behind"
    assert kb(shelf, "edit", "no-such-record").code == 3
    assert path.read_text() == before


def test_a_broken_record_is_mended(kb, shelf, editor):
    path = shelf.papers / "bad.yaml"
    path.write_text(f"{(shelf.papers / 'ddpm.yaml').read_text().replace('ddpm', 'bad')}title: twice: here\n")
    editor("text = text.replace('title: twice: here\\n', '')")
    assert kb(shelf, "edit", "bad").code == 0
    assert kb(shelf, "check").code == 0


KB = "import sys; from kb_tools.cli import main; sys.exit(main())"


def at_a_terminal(root, question: str, answer: str, *arguments: str) -> tuple[int, str]:
    """Run `kb` on a terminal of its own and answer its question.  Returns code and screen; TIMEOUT if it hangs.

    An interrupt is typed again every two seconds, as a person would: one that falls between the printing of the
    question and the wait for its answer is only noticed at the next key.
    """
    child = pexpect.spawn(sys.executable, ["-c", KB, "-C", str(root), *arguments], encoding="utf-8", timeout=60)
    screen = io.StringIO()
    child.logfile_read = screen
    child.expect_exact(question)
    child.send(answer)
    tries = 15 if answer == "\x03" else 0
    while child.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=2 if tries else 60):
        assert tries, f"no end after the answer:\n{screen.getvalue()}"
        tries -= 1
        child.send(answer)
    child.close()
    code = child.exitstatus if child.signalstatus is None else -child.signalstatus
    assert code is not None, "closed, but not ended"
    return code, screen.getvalue()


@pytest.fixture
def nano(monkeypatch, program, tmp_path):
    """An editor called nano, which writes down how it was called; it spoils the year, and mends it the second time."""
    calls = tmp_path / "calls"
    script = program(
        tmp_path / "nano",
        "import sys\nfrom pathlib import Path\n"
        f"calls, path = Path({str(calls)!r}), Path(sys.argv[-1])\n"
        "with calls.open('a') as out:\n    print(*sys.argv[1:-1], file=out)\n"
        "text = path.read_text()\n"
        "path.write_text(text.replace('MMXX', '2021') if 'MMXX' in text else text.replace('2020', 'MMXX'))\n",
    )
    monkeypatch.setenv("VISUAL", str(script))
    return calls


def test_on_a_terminal_the_editor_is_opened_again_at_the_error(shelf, nano):
    path = shelf.papers / "ddpm.yaml"
    before = path.read_text()
    code, screen = at_a_terminal(shelf.root, "Open it again? [Y/n]", "\n", "edit", "ddpm")
    assert code == 0, screen
    assert "ddpm.yaml:6:1: year: must be a whole number" in screen
    assert path.read_text() == dated(before.replace("year: 2020", "year: 2021"))
    assert nano.read_text() == "\n+6\n", "the second time at line 6"
    assert not list(shelf.papers.glob(".*"))


@pytest.mark.parametrize(("typed", "expected"), [("n\n", 5), ("\x03", 130)])
def test_on_a_terminal_one_may_leave_it_for_later(shelf, nano, typed, expected):
    path = shelf.papers / "ddpm.yaml"
    before = path.read_text()
    code, screen = at_a_terminal(shelf.root, "Open it again? [Y/n]", typed, "edit", "ddpm")
    assert code == expected, screen
    assert path.read_text() == before
    assert "year: MMXX" in (shelf.papers / ".ddpm.kb-edit.yaml").read_text()
    assert nano.read_text() == "\n"
