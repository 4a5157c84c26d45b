"""kb set, kb tag: fields of records changed from the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence

import click

from kb_tools.changing.setting import Assignment, assignments, setting
from kb_tools.cli.output import dry_run_option, json_option, put_changes, put_json, say, shown_path, with_collection
from kb_tools.errors import UsageError
from kb_tools.records.store import Change, Collection

_SIGNED = re.compile(r"[+-][a-z0-9][a-z0-9-]*")
_OPTIONS = frozenset({"--dry-run", "--json", "--root", "--help", "-h", "-C"})


@click.command("set")
@click.argument("words", nargs=-1, required=True, metavar="RECORD... FIELD=VALUE...")
@dry_run_option
@json_option
@with_collection
def set_command(collection: Collection, words: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Set fields of records: FIELD=VALUE, and for lists FIELD+=VALUE and FIELD-=VALUE.  An empty VALUE takes it away.

    Fields are called as in the file, or in short: wr, topic, alias, author, cite, note; links.pdf=https://... is one
    link.  Edges take any name of a record.  Topics, edges and new names are held against the collection, a cycle is
    refused, and only the lines of what changes are changed.  What says something new is dated, as in `kb edit`.

    \b
    Examples:
      kb set ddim wr=2 topic+=sampling builds_on+=ddpm alias+=DDIM
      kb set ddim why="Few steps." status=read --dry-run
      kb set ddim ddpm topics=foundations,sampling
    """
    records, given = assignments(words)
    if not records or not given:
        missing = "no record" if given else "nothing to set"
        raise UsageError(f"{missing} was named", hint="kb set ddim wr=2 topic+=sampling")
    _set(collection, records, given, dry_run=dry_run, as_json=as_json)


class _Signed(click.Command):
    """A command whose arguments may begin with a minus: what is no option of its own is a topic to take away."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        signed = [f"topics{word[0]}={word[1:]}" if _is_topic(word) else word for word in args]
        return super().parse_args(ctx, signed)


def _is_topic(word: str) -> bool:
    return bool(_SIGNED.fullmatch(word)) and word not in _OPTIONS


@click.command("tag", cls=_Signed)
@click.argument("words", nargs=-1, required=True, metavar="RECORD... +TOPIC... -TOPIC...")
@dry_run_option
@json_option
@with_collection
def tag_command(collection: Collection, words: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Put records under topics (+TOPIC), or take them out (-TOPIC).  `kb topics` lists what there is.

    \b
    Examples:
      kb tag ddim +sampling -foundations
      kb tag ddpm ddim 2011.13456 +foundations --dry-run
    """
    records, given = assignments(words)
    strange = [one.name for one in given if one.field != "topics"]
    if not records or not given or strange:
        missing = f"{strange[0]} is no topic" if strange else "no record was named" if given else "no topic was named"
        raise UsageError(missing, hint="kb tag ddim +sampling -foundations")
    _set(collection, records, given, dry_run=dry_run, as_json=as_json)


def _set(
    collection: Collection, records: list[str], given: Sequence[Assignment], *, dry_run: bool, as_json: bool
) -> None:
    index = collection.index()
    idents = list(dict.fromkeys(collection.resolve(record, index) for record in records))
    changes = collection.write(setting(collection, index, idents, given), dry_run=dry_run)
    _report(collection, idents, changes, dry_run=dry_run, as_json=as_json)


def _report(
    collection: Collection, idents: Sequence[str], changes: Sequence[Change], *, dry_run: bool, as_json: bool
) -> None:
    paths = {change.path.stem: change.path for change in changes if change.after is not None}
    if as_json:
        put_json([{"id": one, "changed": one in paths, "written": one in paths and not dry_run} for one in idents])
        return
    put_changes(collection, changes, dry_run=dry_run)
    for ident in idents:
        if ident not in paths:
            say(f"{ident}: is so already")
        elif not dry_run:
            say(f"{ident}: changed ({shown_path(paths[ident], collection)})")
