"""kb edit: a record in an editor, validated before it takes the old one's place."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from contextlib import suppress
from datetime import date
from pathlib import Path

import click

from kb_tools.cli.output import dry_run_option, named_file, put_changes, say, shown_path, with_collection
from kb_tools.errors import InvalidRecordError, KbError, StorageError, UsageError
from kb_tools.records.reader import Document, read_bytes
from kb_tools.records.store import Change, Collection

# Editors that open a file at a line when it is named before the file as +N.
_TAKES_LINE = frozenset({"vi", "vim", "nvim", "view", "nano", "emacs", "emacsclient", "micro", "joe", "kak", "ed"})


@click.command("edit")
@click.argument("record")
@dry_run_option
@with_collection
def edit_command(collection: Collection, record: str, dry_run: bool) -> None:
    """Open a record in $VISUAL or $EDITOR; it is validated when you leave, and only then replaces the old one.

    What does not validate can be opened again at the first error.  Otherwise the record stays as it was, and your
    text is kept beside it.

    \b
    Examples:
      kb edit ddpm
      VISUAL=nano kb edit ddim --dry-run
    """
    edit(collection, named_file(collection, record), dry_run=dry_run)


def edit(collection: Collection, ident: str, *, dry_run: bool) -> None:
    """Let a person change the file of an id.  Raises KbError, with the text kept beside the file, if it is not used."""
    document = collection.document(ident)
    path, before = document.path, document.text
    if not before:
        document.require()
    draft = path.with_name(f".{path.stem}.kb-edit.yaml")
    if draft.exists():
        say(f"kb: going on with the text kept in {shown_path(draft, collection)}")
    else:
        _keep(draft, before)
    try:
        edited = _edited(draft, path)
    except KbError:
        if draft.exists() and draft.read_bytes() == before.encode("utf-8"):
            draft.unlink()
        raise
    if edited.text == before:
        draft.unlink()
        say(f"{path.stem}: nothing was changed")
        return
    kept = f"your text is kept in {shown_path(draft, collection)}; `kb edit {path.stem}` goes on with it"
    if edited.problems:
        raise InvalidRecordError("\n".join(str(problem) for problem in edited.problems), hint=kept)
    change = Change(path, before, _dated(edited, document).text)
    try:
        collection.write([change], dry_run=dry_run)
    except KbError as error:
        error.hint = kept
        raise
    draft.unlink()
    put_changes(collection, [change], dry_run=dry_run)
    if not dry_run:
        say(f"{path.stem}: changed ({shown_path(path, collection)})")


def _dated(edited: Document, before: Document) -> Document:
    """The edited record with the day of its change, unless its editor wrote one."""
    from kb_tools.records.edit import set_fields

    if edited.require().get("changed") != (before.data or {}).get("changed"):
        return edited
    return set_fields(edited, {"changed": date.today().isoformat()})


def _keep(draft: Path, text: str) -> None:
    try:
        draft.write_bytes(text.encode("utf-8"))
    except OSError as error:
        with suppress(OSError):  # the next edit would go on with what of it is there
            draft.unlink(missing_ok=True)
        raise StorageError(f"{draft}: cannot be written: {error.strerror}", hint="check the permissions") from None


def _edited(draft: Path, path: Path) -> Document:
    """The draft after the editor was closed, again and again while it is not valid and somebody is there to ask."""
    line = 0
    while True:
        open_editor(draft, line, otherwise="the record is as it was")
        try:
            raw = draft.read_bytes()
        except OSError as error:
            raise StorageError(f"{draft}: cannot be read back: {error.strerror}") from None
        document = read_bytes(path, raw)
        _validate(document)
        if not document.problems or not (sys.stdin.isatty() and sys.stderr.isatty()):
            return document
        for problem in document.problems:
            say(f"kb: {problem}")
        if not click.confirm("Open it again?", default=True, err=True):
            return document
        line = document.problems[0].line


def _validate(document: Document) -> None:
    from kb_tools.records.shapes import check_id
    from kb_tools.records.validate import validate_record

    validate_record(document)
    check_id(document)


def open_editor(file: Path, line: int = 0, *, otherwise: str) -> None:
    """Let a person change a file, and come back when the editor is closed.

    line: where to begin, for editors known to take one.  otherwise: how things are when the editor ends with an error,
    for the message.  Raises UsageError where no editor can be started, KbError where it ends with an error.
    """
    named = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not named:
        if not sys.stdin.isatty():
            raise UsageError(
                "no editor is set, and there is no terminal to open vi in", hint="set VISUAL to your editor"
            )
        named = "vi"
    try:
        command = shlex.split(named)
    except ValueError as error:
        raise UsageError(f"VISUAL or EDITOR is no command: {error}", hint="check its quotes") from None
    if line and Path(command[0]).name in _TAKES_LINE:
        command.append(f"+{line}")
    try:
        code = subprocess.run([*command, str(file)], check=False).returncode
    except OSError as error:
        raise UsageError(f"cannot start {command[0]}: {error.strerror}", hint="set VISUAL to your editor") from None
    if code:
        raise KbError(f"{command[0]} ended with exit code {code}; {otherwise}")
