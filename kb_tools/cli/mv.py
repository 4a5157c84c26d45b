"""kb mv: another id for a record."""

from __future__ import annotations

import click

from kb_tools.changing.renaming import renaming
from kb_tools.cli.output import dry_run_option, json_option, put_changes, put_json, say, shown_path, with_collection
from kb_tools.records.store import Collection


@click.command("mv")
@click.argument("record")
@click.argument("new", metavar="NEW")
@dry_run_option
@json_option
@with_collection
def mv_command(collection: Collection, record: str, new: str, dry_run: bool, as_json: bool) -> None:
    """Give a record the id NEW: its file and its notes are renamed, and every edge to it; all files change, or none.

    The old id goes on working, as a former id.  Marks, citation key and every other field stay.  A method's record
    shares its name with its code, demo, tests and evidence, and is not renamed here.

    \b
    Examples:
      kb mv chan-tutorial chan-2024-tutorial --dry-run
      kb mv ho-2020-denoising ddpm
    """
    index = collection.index()
    old = collection.resolve(record, index)
    changes = collection.write(renaming(collection, index, old, new), dry_run=dry_run)
    if as_json:
        edges = [shown_path(one.path, collection) for one in changes if one.before is not None and one.after]
        put_json({"id": new, "former": old, "changed": edges, "written": not dry_run})
        return
    put_changes(collection, changes, dry_run=dry_run)
    if not dry_run:
        for change in changes:
            if change.after is not None:
                done = f"was {old}" if change.before is None else "changed"
                say(f"{shown_path(change.path, collection)}: {done}")
