"""kb progress: bars per topic and goal, and the site's marks in and out."""

from __future__ import annotations

from collections.abc import Mapping

import click

from kb_tools.cli.output import (
    dry_run_option,
    json_option,
    pad,
    put,
    put_changes,
    put_file,
    put_json,
    say,
    say_invalid,
    style,
    table,
    take_text,
    terminal,
    with_collection,
)
from kb_tools.errors import NotFoundError
from kb_tools.graphs.order import main_goals
from kb_tools.progress import marks, tallies
from kb_tools.progress.marks import Mark
from kb_tools.progress.tallies import Tally
from kb_tools.records.store import Change, Collection

_BAR = 24


@click.group("progress", invoke_without_command=True)
@click.option(
    "--goal", "goals", multiple=True, metavar="PAPER", help="Show the way to this paper (default: the main goals)."
)
@json_option
@click.pass_context
def progress_command(context: click.Context, goals: tuple[str, ...], as_json: bool) -> int:
    """Show how far the reading is: in all, per topic, and on the way to each goal.

    The site keeps marks in the browser; export and import speak its file format, and the newest mark wins.

    \b
    Examples:
      kb progress --goal consistency-models
      kb progress export marks.json
      kb progress import ~/Downloads/progress.json --dry-run
    """
    if context.invoked_subcommand is None:
        return context.invoke(_show, goals=goals, as_json=as_json)
    return 0


@click.command(hidden=True)
@with_collection
def _show(collection: Collection, goals: tuple[str, ...], as_json: bool) -> int:
    index = collection.index()
    entries = {entry.id: entry for entry in index.entries()}
    titles = index.topics()
    wanted = [collection.resolve(goal, index) for goal in goals] or main_goals(entries)
    parts: list[tuple[str, Mapping[str, Tally]]] = [
        ("all", {"papers": tallies.overall(entries)}),
        ("topic", tallies.of_topics(entries, titles)),
        ("goal", tallies.of_goals(entries, wanted)),
    ]
    if as_json:
        put_json(
            [
                {
                    "group": group,
                    "id": name,
                    "total": tally.total,
                    "read": tally.read,
                    "reading": tally.reading,
                    "skipped": tally.skipped,
                    "unread": tally.unread,
                }
                for group, each in parts
                for name, tally in each.items()
            ]
        )
    elif terminal():
        _bars(parts, titles)
    else:
        table(
            (),
            [
                (group, name, tally.total, tally.read, tally.reading, tally.skipped, tally.unread)
                for group, each in parts
                for name, tally in each.items()
            ],
        )
    return say_invalid(index)


def _bars(parts: list[tuple[str, Mapping[str, Tally]]], titles: Mapping[str, str]) -> None:
    names = {name: titles.get(name, name) if group == "topic" else name for group, each in parts for name in each}
    widest = max(len(name) for name in names.values())
    for group, each in parts:
        if group != "all" and each:
            put()
            put(style({"topic": "Topics", "goal": "On the way to"}[group], bold=True))
        for name, tally in each.items():
            read, done = (round(_BAR * part / tally.total) for part in (tally.read, tally.done))
            bar = style("█" * read, fg="green") + "▒" * (done - read) + "░" * (_BAR - done)
            rest = [
                f"{count} {word}" for count, word in ((tally.reading, "reading"), (tally.skipped, "skipped")) if count
            ]
            words = f"{tally.done} of {tally.total}" + (f", {', '.join(rest)}" if rest else "")
            put(f"{pad(names[name], widest)}  {bar}  {words}")


@progress_command.command("export")
@click.argument("file", default="-")
@dry_run_option
@with_collection
def export_command(collection: Collection, file: str, dry_run: bool) -> int:
    """Write all marks to FILE (default: stdout) in the site's format.

    \b
    Example:
      kb progress export marks.json
    """
    index = collection.index()
    entries = {entry.id: entry for entry in index.entries()}
    kept = marks.merged(marks.marks_of(entries), _unknown(collection))
    put_file(file, marks.dumps(kept), dry_run=dry_run)
    if file != "-" and not dry_run:
        say(f"{file}: {len(kept)} marks")
    return say_invalid(index)


@progress_command.command("import")
@click.argument("file")
@dry_run_option
@json_option
@with_collection
def import_command(collection: Collection, file: str, dry_run: bool, as_json: bool) -> None:
    """Take the marks of FILE (- for stdin) into the records.  The newest mark wins; unknown ids are kept and listed.

    \b
    Example:
      kb progress import progress.json --dry-run
    """
    index = collection.index()
    entries = {entry.id: entry for entry in index.entries()}
    given = marks.merged(marks.loads(take_text(file), file), _unknown(collection))
    known: dict[str, Mark] = {}
    unknown: dict[str, Mark] = {}
    for ident, mark in given.items():
        try:
            current = collection.resolve(ident, index)
            known = marks.merged(known, {current: mark})
        except NotFoundError:
            unknown[ident] = mark
    taken = marks.newer(known, entries)
    path = collection.papers / marks.UNKNOWN_MARKS
    before = path.read_text(encoding="utf-8") if path.exists() else None
    # Marks that have found their record must not be kept: they would undo what is set there later.
    after = marks.dumps(unknown) if unknown or before is not None else None

    def changes_of(record: Mapping) -> Mapping:
        return marks.fields_of(taken[record["id"]])

    changes = collection.change(list(taken), changes_of, dry_run=dry_run)
    if after is not None:
        changes += collection.write([Change(path, before, after)], dry_run=dry_run)
    if as_json:
        put_json(
            {
                "changed": {ident: mark.as_json() for ident, mark in taken.items()},
                "unchanged": sorted(set(known) - set(taken)),
                "unknown": {ident: mark.as_json() for ident, mark in unknown.items()},
                "written": not dry_run,
            }
        )
        return
    put_changes(collection, changes, dry_run=dry_run)
    for ident, mark in taken.items():
        say(f"{ident}: {entries[ident].status} -> {mark.status}")
    say(f"kb: {len(taken)} changed, {len(known) - len(taken)} as they were")
    if unknown:
        say(f"kb: kept for later, no such record now: {', '.join(sorted(unknown))}")


def _unknown(collection: Collection) -> dict[str, Mark]:
    path = collection.papers / marks.UNKNOWN_MARKS
    return marks.loads(take_text(str(path)), str(path)) if path.exists() else {}
