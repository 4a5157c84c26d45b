"""kb new-method: the files of a method, from templates."""

from __future__ import annotations

import click

from kb_tools.cli.output import dry_run_option, put_changes, say, shown_path, with_collection
from kb_tools.errors import NotFoundError, UsageError
from kb_tools.records.fields import PAPER_KINDS
from kb_tools.records.store import Collection


@click.command("new-method")
@click.argument("record")
@dry_run_option
@with_collection
def new_method_command(collection: Collection, record: str, dry_run: bool) -> None:
    """Write the files of a new method from templates: the method, its demo, its tests, its planted bugs.

    RECORD is the paper's record; it gets `implementation:`, and what it says fills the templates.  Files that are there
    already are left alone, so this also writes what a method lacks.  `kb check ID` says what is still to do.

    \b
    Examples:
      kb new-method flow-matching
      kb new-method flow-matching --dry-run
    """
    from kb_tools.methods.new_method import new_files

    try:
        ident = collection.resolve(record)
    except NotFoundError as error:
        error.hint = f"{error.hint}; its paper comes first: `kb add ARXIV-ID --slug {record}`"
        raise
    data = collection.document(ident).require()
    if data["kind"] not in PAPER_KINDS:
        raise UsageError(f"{ident} is a {data['kind']}, not a paper: methods belong to papers")
    if not data.get("authors"):
        raise UsageError(
            f"{ident} is a stub, and the templates take title, authors and venue from it",
            hint=f"fill it first: `kb refresh {ident} --apply`, or by hand `kb edit {ident}`",
        )
    if not (collection.root / "implementations" / "demos").is_dir():
        raise UsageError(f"{collection.root} holds no code: methods are written in a clone of the whole repository")
    changes = new_files(collection.root, ident, data)
    collection.write(changes, dry_run=dry_run)
    if not data.get("implementation"):
        named = {"implementation": ident.replace("-", "_")}
        changes += collection.change([ident], lambda _: named, dry_run=dry_run)
    put_changes(collection, changes, dry_run=dry_run)
    for change in changes:
        done = "would be written" if dry_run else "written" if change.before is None else "changed"
        say(f"{shown_path(change.path, collection)}: {done}")
    if not dry_run:
        say(f"kb: next: the method, then its tests, then its demo; `kb check {ident}` says what is left to do")
