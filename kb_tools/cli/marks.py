"""kb read, kb status: the owner's progress, kept in the records."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import click

from kb_tools.cli.output import (
    dry_run_option,
    json_option,
    put_changes,
    put_json,
    say,
    shown_path,
    table,
    with_collection,
)
from kb_tools.errors import NotFoundError, UsageError
from kb_tools.records.fields import STATUSES
from kb_tools.records.store import Change, Collection


@click.command("read")
@click.argument("records", nargs=-1, required=True)
@click.option("--on", metavar="DATE", help="The day it was read, as 2026-11-21 (default: today).")
@dry_run_option
@json_option
@with_collection
def read_command(
    collection: Collection, records: tuple[str, ...], on: str | None, dry_run: bool, as_json: bool
) -> None:
    """Mark records as read, today or on another day.

    \b
    Examples:
      kb read ddpm
      kb read 2010.02502 --on 2026-11-20
    """
    mark(collection, records, "read", on, dry_run=dry_run, as_json=as_json)


@click.command("status")
@click.argument("words", nargs=-1, metavar="[RECORD]... [STATUS]")
@click.option("--on", metavar="DATE", help="The day of the mark, as 2026-11-21 (default: today).")
@dry_run_option
@json_option
@with_collection
def status_command(
    collection: Collection, words: tuple[str, ...], on: str | None, dry_run: bool, as_json: bool
) -> None:
    """Show the reading status of records, or set it: unread, reading, read or skipped.

    Without a record, list everything that is being read.

    \b
    Examples:
      kb status
      kb status ddpm ddim
      kb status ddpm ddim reading
    """
    if len(words) > 1 and words[-1] in STATUSES:
        mark(collection, words[:-1], words[-1], on, dry_run=dry_run, as_json=as_json)
        return
    if on or dry_run:
        raise UsageError("--on and --dry-run need a status to set", hint="kb status ddpm reading --dry-run")
    index = collection.index()
    entries = {entry.id: entry for entry in index.entries()}
    if words:
        try:
            chosen = [entries[collection.resolve(word, index)] for word in words]
        except NotFoundError as error:
            if len(words) > 1 and words[-1] in error.message:
                error.hint = f"{error.hint or ''}  A status is {', '.join(STATUSES)}.".strip()
            raise
    else:
        chosen = [entry for entry in entries.values() if entry.status == "reading"]
        if not chosen:
            say("kb: nothing is being read; `kb next` has suggestions")
    if as_json:
        put_json([{"id": entry.id, "status": entry.status, "read_on": entry.read_on} for entry in chosen])
    else:
        rows = [(entry.id, entry.status, entry.read_on, entry.title) for entry in chosen]
        table(("id", "status", "on", "title"), rows, shades=({"bold": True}, {"fg": "cyan"}))


def mark(
    collection: Collection,
    references: tuple[str, ...],
    status: str,
    on: str | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Set the status of records and the day of it; `unread` takes the day away."""
    if status == "unread" and on is not None:
        raise UsageError("--on: what is unread has no day", hint="leave --on out")
    day = _day(on)
    index = collection.index()
    idents = list(dict.fromkeys(collection.resolve(reference, index) for reference in references))
    fields = {"status": status, "read_on": None if status == "unread" else day}

    def changes_of(record: Mapping) -> Mapping:
        return {} if record.get("status") == status and on is None else fields

    changes = collection.change(idents, changes_of, dry_run=dry_run)
    report(collection, idents, changes, status, dry_run=dry_run, as_json=as_json)


def report(
    collection: Collection, idents: list[str], changes: list[Change], status: str, *, dry_run: bool, as_json: bool
) -> None:
    """Say which records changed and which were so already."""
    changed = {change.path.stem for change in changes}
    if as_json:
        put_json(
            [
                {
                    "id": ident,
                    "status": status,
                    "changed": ident in changed,
                    "written": ident in changed and not dry_run,
                }
                for ident in idents
            ]
        )
        return
    put_changes(collection, changes, dry_run=dry_run)
    for ident in idents:
        if ident not in changed:
            say(f"{ident}: is {status} already")
    if not dry_run:
        for change in changes:
            say(f"{change.path.stem}: {status} ({shown_path(change.path, collection)})")


def _day(on: str | None) -> str:
    if on is None:
        return date.today().isoformat()
    try:
        day = date.fromisoformat(on)
    except ValueError:
        raise UsageError(f"--on: {on!r} is no date", hint="write it as 2026-11-21") from None
    if day > date.today():
        raise UsageError(f"--on: {on} is still to come", hint="give the day of the mark, or leave --on out for today")
    return day.isoformat()
