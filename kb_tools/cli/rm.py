"""kb rm: records taken out, with the edges that lead to them."""

from __future__ import annotations

import click

from kb_tools.changing.pointers import Pointer
from kb_tools.changing.removing import Removal, removal
from kb_tools.cli.output import (
    agreed,
    dry_run_option,
    json_option,
    named_file,
    put_changes,
    put_json,
    say,
    shown_path,
    with_collection,
    yes_option,
)
from kb_tools.errors import ConflictError
from kb_tools.records.store import Collection

_NAMED = 6  # pointers that a line of talk names


@click.command("rm")
@click.argument("records", nargs=-1, required=True)
@yes_option
@click.option("--leave-code", is_flag=True, help="Also remove the record of a method; its code stays, without one.")
@dry_run_option
@json_option
@with_collection
def rm_command(
    collection: Collection, records: tuple[str, ...], yes: bool, leave_code: bool, dry_run: bool, as_json: bool
) -> int:
    """Remove records, their notes, and every edge that leads to them; all files change, or none.

    What points at them is said first, and on a terminal you are asked; elsewhere --yes answers.  A record whose method
    has code is kept, unless --leave-code says otherwise.  What git knew of it stays in its history.

    \b
    Examples:
      kb rm ebm-tutorial --dry-run
      kb rm chan-tutorial diffrep-survey --yes
    """
    index = collection.index()
    idents = list(dict.fromkeys(named_file(collection, record, index) for record in records))
    plan = removal(collection, index, idents)
    if plan.code and not leave_code:
        raise ConflictError(
            f"{', '.join(idents)}: a method's code belongs to it: "
            + ", ".join(shown_path(path, collection) for path in plan.code),
            hint="remove the code first, or let it stay without a record: --leave-code",
        )
    for ident in idents:
        _say_pointers(ident, [one for one in plan.pointers if one.target == ident])
    for path in plan.unread:
        say(f"kb: {shown_path(path, collection)} is not valid, and may name one of them: mend it afterwards")
    if not dry_run and not yes and not agreed(_question(idents, plan)):
        say("kb: nothing was removed")
        return 1
    collection.write(plan.changes, dry_run=dry_run)
    if as_json:
        put_json(
            [
                {
                    "id": ident,
                    "pointers": [one.as_json() for one in plan.pointers if one.target == ident],
                    "written": not dry_run,
                }
                for ident in idents
            ]
        )
        return 0
    put_changes(collection, plan.changes, dry_run=dry_run)
    for change in plan.changes if not dry_run else ():
        say(f"{shown_path(change.path, collection)}: {'removed' if change.after is None else 'changed'}")
    return 0


def _say_pointers(ident: str, found: list[Pointer]) -> None:
    if not found:
        say(f"{ident}: nothing points at it")
        return
    shown = ", ".join(f"{one.id} ({one.field})" for one in found[:_NAMED])
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    say(f"{ident}: {len(found)} place{'s point' if len(found) > 1 else ' points'} at it: {shown}{more}")


def _question(idents: list[str], plan: Removal) -> str:
    edges = f", and {len(plan.pointers)} edge{'s' * (len(plan.pointers) > 1)} with it" if plan.pointers else ""
    return f"Remove {', '.join(idents)}{edges}?"
