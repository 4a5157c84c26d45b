"""kb dedupe: records that could be one work, and one record made of two."""

from __future__ import annotations

import click

from kb_tools.changing.merging import Merge, merge, pairs
from kb_tools.changing.pointers import names_of, pointers
from kb_tools.cli.output import (
    agreed,
    cut,
    dry_run_option,
    json_option,
    put_changes,
    put_json,
    say,
    say_invalid,
    shown_path,
    table,
    with_collection,
    yes_option,
)
from kb_tools.errors import UsageError
from kb_tools.records.store import Collection

_SHOWN = 60  # columns of a value that is not kept


@click.command("dedupe")
@click.argument("records", nargs=-1, metavar="[KEEP [OTHER]]")
@yes_option
@click.option("--drop-identifiers", is_flag=True, help="Give up OTHER's arXiv id and DOI, though they contradict.")
@dry_run_option
@json_option
@with_collection
def dedupe_command(
    collection: Collection, records: tuple[str, ...], yes: bool, drop_identifiers: bool, dry_run: bool, as_json: bool
) -> int:
    """List records that could be one work, by the rules of `kb import`; with two named, make one record of them.

    KEEP stays as it is and takes from OTHER what it does not say; lists are joined, notes put together, every edge to
    OTHER leads to KEEP, and OTHER's id, title and citation key go on working.  What is not kept is said.  All files
    change, or none; on a terminal you are asked, elsewhere --yes answers.

    \b
    Examples:
      kb dedupe
      kb dedupe ddpm ho-2020-denoising --dry-run
    """
    index = collection.index()
    if len(records) > 2:
        raise UsageError("two records are made one at a time", hint="kb dedupe KEEP OTHER")
    idents = [collection.resolve(record, index) for record in records]
    if len(idents) == 2:
        plan = merge(collection, index, idents[0], idents[1], drop_identifiers=drop_identifiers)
        return _merge(collection, idents, plan, yes=yes, dry_run=dry_run, as_json=as_json)
    if yes or dry_run or drop_identifiers:
        raise UsageError("a list changes nothing: two records have to be named", hint="kb dedupe KEEP OTHER --dry-run")
    found = [pair for pair in pairs(index) if not idents or idents[0] in pair]
    if as_json:
        put_json([{"keep": one.keep, "other": one.other, "why": one.why, "sure": one.sure} for one in found])
        return say_invalid(index)
    titles = {entry.id: entry.title for entry in index.entries()}
    rows = [(one.keep, one.other, "is" if one.sure else "may be", one.why, titles[one.other]) for one in found]
    table(("keep", "other", "", "why", "title"), rows, shades=({"bold": True}, {"bold": True}, {"fg": "cyan"}))
    say(f"kb: {len(found)} pair{'s' * (len(found) != 1)}" + ("; `kb dedupe KEEP OTHER` makes one of two" * bool(found)))
    return say_invalid(index)


def _merge(collection: Collection, idents: list[str], plan: Merge, *, yes: bool, dry_run: bool, as_json: bool) -> int:
    keep, other = idents
    index = collection.index()
    count = len(pointers(collection, index, names_of(index, [other]), among=idents))
    for name, value in plan.lost.items():
        say(f"{other}: not kept: {name}: {cut(' '.join(str(value).split()), _SHOWN)}")
    question = f"Make {other} part of {keep}, with {count} edge{'s' * (count != 1)}?"
    if not dry_run and not yes and not agreed(question):
        say("kb: nothing was changed")
        return 1
    changes = collection.write(plan.changes, dry_run=dry_run)
    if as_json:
        put_json({"id": keep, "former": other, "lost": plan.lost, "edges": count, "written": not dry_run})
        return 0
    put_changes(collection, changes, dry_run=dry_run)
    for change in changes if not dry_run else ():
        say(f"{shown_path(change.path, collection)}: {'removed' if change.after is None else 'changed'}")
    return 0
