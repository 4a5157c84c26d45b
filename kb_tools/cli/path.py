"""kb order, kb next: what to read, in which order, and why."""

from __future__ import annotations

import click

from kb_tools.cli.output import (
    json_option,
    put,
    put_json,
    say_invalid,
    say_none,
    style,
    table,
    terminal,
    with_collection,
)
from kb_tools.graphs.order import next_papers, reading_order
from kb_tools.records.store import Collection

goal_option = click.option(
    "--goal", "goals", multiple=True, metavar="PAPER", help="Only what this paper needs (repeat for several goals)."
)


@click.command("order")
@goal_option
@click.option("--left", is_flag=True, help="Leave out what is read or skipped.")
@json_option
@with_collection
def order_command(collection: Collection, goals: tuple[str, ...], left: bool, as_json: bool) -> int:
    """Give the order to read in: everything, or all that a goal needs.

    What a paper builds on always comes before it.  Among what is ready, tutorials come first, then what is worth most,
    counting what it leads to; then what is older.  Papers that build on each other are one step.

    \b
    Examples:
      kb order --goal consistency-models
      kb order --goal ldm --goal edm --left
    """
    index = collection.index()
    entries = {entry.id: entry for entry in index.entries()}
    wanted = [collection.resolve(goal, index) for goal in goals]
    done = {ident for ident, entry in entries.items() if entry.status in ("read", "skipped")} if left else set()
    steps = reading_order(entries, wanted, done)
    if as_json:
        put_json(
            [
                {
                    "position": number,
                    "ids": list(step.ids),
                    "titles": [entries[ident].title for ident in step.ids],
                    "status": [entries[ident].status for ident in step.ids],
                    "worth_reading": step.worth_reading,
                    "priority": step.priority,
                    "needs": list(step.needs),
                    "needed_by": list(step.needed_by),
                    "opens": step.opens,
                    "why": step.why,
                }
                for number, step in enumerate(steps, 1)
            ]
        )
    elif terminal():
        for number, step in enumerate(steps, 1):
            for position, ident in enumerate(step.ids):
                lead = f"{number:3}" if position == 0 else "  +"
                entry = entries[ident]
                status = "" if entry.status == "unread" else style(f"  {entry.status}", fg="green")
                put(f"{lead}  {style(ident, bold=True)}  {entry.title} ({entry.year or 'no year'}){status}")
            put(style(f"     {step.why}", dim=True))
    else:
        rows = [
            (number, " + ".join(step.ids), entries[step.ids[0]].year, entries[step.ids[0]].status, step.why)
            for number, step in enumerate(steps, 1)
        ]
        table((), rows)
    if not steps:
        say_none(not entries, "nothing is left to read")
    return say_invalid(index)


@click.command("next")
@click.option("-n", "--count", type=click.IntRange(1, 100), default=3, show_default=True, help="How many to suggest.")
@goal_option
@json_option
@with_collection
def next_command(collection: Collection, count: int, goals: tuple[str, ...], as_json: bool) -> int:
    """Say what to read next, and why: papers whose prerequisites you have read, begun ones first.

    \b
    Example:
      kb next --goal consistency-models
    """
    index = collection.index()
    entries = {entry.id: entry for entry in index.entries()}
    wanted = [collection.resolve(goal, index) for goal in goals]
    found = next_papers(entries, goals=wanted, count=count)
    if as_json:
        put_json(
            [
                {
                    "ids": list(one.ids),
                    "titles": [entries[ident].title for ident in one.ids],
                    "opens": one.opens,
                    "why": one.why,
                }
                for one in found
            ]
        )
    elif not terminal():
        table((), [(" + ".join(one.ids), entries[one.ids[0]].title, one.why) for one in found])
    else:
        for one in found:
            for ident in one.ids:
                put(f"{style(ident, bold=True)}  {entries[ident].title} ({entries[ident].year or 'no year'})")
            put(f"    {one.why}")
            if entries[one.ids[0]].why:
                put(style(f"    {entries[one.ids[0]].why}", dim=True))
    if not found:
        say_none(not entries, "nothing is left to read here")
    return say_invalid(index)
