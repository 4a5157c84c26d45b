"""kb notes: what a person writes about a record, in papers/notes/ID.md."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from kb_tools.cli.output import (
    dry_run_option,
    json_option,
    put,
    put_changes,
    put_json,
    say,
    say_none,
    shown_path,
    table,
    take_text,
    terminal,
    with_collection,
)
from kb_tools.errors import InvalidRecordError, NotFoundError, UsageError
from kb_tools.records.index import Index
from kb_tools.records.notes import notes_files, notes_path, read_notes
from kb_tools.records.store import Change, Collection


@click.command("notes")
@click.argument("record", required=False)
@click.option("--path", "only_path", is_flag=True, help="Print where the notes are, or would be.")
@click.option("--print", "only_print", is_flag=True, help="Print the notes; open nothing.")
@click.option("--add", "added", metavar="TEXT", help="Put a paragraph at the end of the notes; - reads it from stdin.")
@dry_run_option
@json_option
@with_collection
def notes_command(
    collection: Collection,
    record: str | None,
    only_path: bool,
    only_print: bool,
    added: str | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Open your notes on a record in $VISUAL or $EDITOR: Markdown, in papers/notes/ID.md, begun where there are none.

    Notes are shown on the page of their record, found by `kb search` and the site, and go along with `kb mv`
    and `kb dedupe`.  Where stdout is no terminal they are printed.  Without RECORD, records with notes are listed.

    \b
    Examples:
      kb notes ddim
      kb notes ddim --add "Eq. 12 is the one to remember."
      kb notes ddim --print | less
    """
    if only_path + only_print + (added is not None) > 1:
        raise UsageError("--path, --print and --add are three things", hint="leave two of them out")
    if dry_run and added is None:
        raise UsageError("--dry-run belongs to --add", hint='kb notes ddim --add "A thought." --dry-run')
    index = collection.index()
    if record is None:
        if only_path or only_print or added is not None:
            raise UsageError("of which record?", hint="kb notes ddim")
        return _list(collection, index, as_json=as_json)
    ident = collection.resolve(record, index)
    path = notes_path(collection.papers, ident)
    if only_path:
        put(str(path))
        return 0
    before = read_notes(path)
    heading = f"# {index.record(ident)['title']}\n"
    if added is not None:
        _add(collection, path, before, heading, take_text("-") if added == "-" else added, dry_run=dry_run)
    elif as_json or only_print or not terminal():
        _print(ident, path, before, collection, as_json=as_json)
    else:
        _edit(collection, ident, before, heading)
    return 0


def _list(collection: Collection, index: Index, *, as_json: bool) -> int:
    """Every record with notes: its id, how many words they have, its title."""
    titles = {entry.id: entry.title for entry in index.entries()}
    rows, code = [], 0
    for path in notes_files(collection.papers):
        try:
            text = read_notes(path) or ""
        except InvalidRecordError as error:
            say(f"kb: {error.message}")
            code = error.exit_code
            continue
        if path.stem in titles:
            rows.append((path.stem, len(text.split()), titles[path.stem], shown_path(path, collection)))
        else:
            say(f"kb: {shown_path(path, collection)}: there is no record {path.stem}")
    if as_json:
        put_json([dict(zip(("id", "words", "title", "path"), row, strict=True)) for row in rows])
    else:
        table(("id", "words", "title"), [row[:3] for row in rows], shades=({"fg": "cyan"},))
    if not rows and not code:
        say_none(not titles, "no notes yet; `kb notes ID` begins them")
    return code


def _print(ident: str, path: Path, text: str | None, collection: Collection, *, as_json: bool) -> None:
    if as_json:
        put_json({"id": ident, "path": shown_path(path, collection), "text": text})
    elif text is None:
        raise NotFoundError(f"there are no notes on {ident}", hint=f"`kb notes {ident}` on a terminal begins them")
    else:
        put(text.removesuffix("\n"))


def _add(collection: Collection, path: Path, before: str | None, heading: str, added: str, *, dry_run: bool) -> None:
    paragraph = added.strip()
    if not paragraph:
        raise UsageError("there is no text to add", hint='kb notes ddim --add "A thought."')
    change = Change(path, before, f"{(before or heading).rstrip()}\n\n{paragraph}\n")
    changes = collection.write([change], dry_run=dry_run)
    put_changes(collection, changes, dry_run=dry_run)
    if not dry_run:
        put(shown_path(path, collection))


def _edit(collection: Collection, ident: str, before: str | None, heading: str) -> None:
    """Open the file itself, so that what is saved is there at once; what was only begun is taken away again."""
    from kb_tools.cli.edit import open_editor

    path = notes_path(collection.papers, ident)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("there is no terminal to open an editor in", hint=f"kb notes {ident} --print, or --add TEXT")
    begun = before is None or not before.strip()
    if begun:
        collection.write([Change(path, before, f"{heading}\n")])
    try:
        open_editor(path, 3 if begun else 0, otherwise="the notes are as it left them")
    finally:
        if begun and path.is_file() and path.read_bytes().strip() in (b"", heading.strip().encode()):
            path.unlink()
    after = read_notes(path)
    if after is None and begun:
        say(f"{ident}: no notes were written")
    elif after == before:
        say(f"{ident}: nothing was changed")
    else:
        say(f"{ident}: changed ({shown_path(path, collection)})")
