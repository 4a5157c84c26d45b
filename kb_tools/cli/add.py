"""kb add: new records from references."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING

import click

from kb_tools.cli.import_ import reading_of
from kb_tools.cli.listing import check_topics
from kb_tools.cli.output import (
    dry_run_option,
    json_option,
    put,
    put_changes,
    put_json,
    say,
    shown_path,
    with_collection,
)
from kb_tools.errors import ConflictError, InvalidRecordError, UsageError
from kb_tools.exchange.work import Reading
from kb_tools.incoming.pipeline import ADDED, Row, Wishes, take
from kb_tools.records.fields import STATUSES
from kb_tools.records.index import Index
from kb_tools.records.naming import RESERVED
from kb_tools.records.reference import fold
from kb_tools.records.store import Collection

if TYPE_CHECKING:
    from kb_tools.incoming.adding import Data
    from kb_tools.services.references import Reference


@click.command("add")
@click.argument("references", nargs=-1, metavar="REF...")
@click.option(
    "--from", "files", multiple=True, metavar="FILE", help="Add what FILE names too: whatever `kb import` reads."
)
@click.option("--slug", metavar="ID", help="The new record's id (default: author-year-word); for one reference.")
@click.option("--topic", "topics", multiple=True, metavar="TOPIC", help="A topic (repeat for more than one).")
@click.option("--wr", type=click.IntRange(1, 3), help="Worth reading: 1 skim, 2 read, 3 read and implement.")
@click.option("--status", type=click.Choice(STATUSES), default="unread", show_default=True, help="Reading status.")
@click.option("--update", is_flag=True, help="Of what is there already, refresh title, authors, abstract and version.")
@click.option("--allow-withdrawn", is_flag=True, help="Add withdrawn papers too.")
@click.option("--offline", is_flag=True, help="Ask nobody; write stubs that `kb refresh` fills later.")
@click.option("--no-cache", is_flag=True, help="Ask again, even what was answered within a day.")
@click.option("--open", "open_editor", is_flag=True, help="Open the new records in $VISUAL or $EDITOR.")
@dry_run_option
@json_option
@with_collection
def add_command(
    collection: Collection,
    references: tuple[str, ...],
    files: tuple[str, ...],
    slug: str | None,
    topics: tuple[str, ...],
    wr: int | None,
    status: str,
    update: bool,
    allow_withdrawn: bool,
    offline: bool,
    no_cache: bool,
    open_editor: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Add papers by arXiv id, DOI, address, or title; - reads a list from standard input, one per line.

    All of them are asked for at once.  Addresses of arXiv and its mirrors, publishers, OpenReview, the ACL Anthology
    and Semantic Scholar are understood.  A title in quotes adds the paper that is called exactly so; otherwise those
    that may be meant are listed, and nothing is added.  What is there already (the same arXiv id, DOI or title) stays
    as it is.  The id of a new record is proposed as author-year-word and never changes later.  From a file, what has
    an arXiv id or a DOI is taken; `kb import` takes everything, as the file has it, and asks nobody.

    \b
    Examples:
      kb add 2006.11239 https://arxiv.org/abs/2010.02502v4 --topic sampling
      kb add 10.1162/neco.2011.00142 --slug dsm --wr 2
      kb add "Denoising diffusion implicit models"
      kb add https://aclanthology.org/2023.acl-long.1
      kb add - < list.txt
      kb add --from refs.bib --dry-run
    """
    from kb_tools.incoming.asking import ask, named_in, stubs
    from kb_tools.services.references import parse_all

    if not references and not files:
        raise UsageError(
            "nothing to add was named", hint="kb add 2006.11239, kb add - < list.txt, kb add --from refs.bib"
        )
    named = named_in((file, _reading(file)) for file in files)
    wanted = parse_all([*_texts(references), *named.references])
    if not wanted and not named.nameless:
        say("kb: nothing to add")
        return 0
    index = collection.index()
    check_topics(topics, index)
    _check_slug(slug, wanted, index)
    today = date.today().isoformat()
    given: Data = {"topics": list(topics), "status": status}
    if wr:
        given |= {"worth_reading": wr, "worth_reading_by": "editors"}
    if status != "unread":
        given["read_on"] = today
    reading = stubs(wanted, index) if offline else ask(wanted, index, fresh=no_cache, tell=say)
    after = [lost._replace(line=place) for place, lost in enumerate(named.nameless, len(wanted) + 1)]
    wishes = Wishes(given, slug, update, allow_withdrawn)
    rows = take(collection, Reading(reading.works, [*reading.unread, *after]), wishes, dry_run=dry_run)
    if offline:
        rows = [row._replace(notes=(_stub(row.id),)) if row.status in ADDED else row for row in rows]
    added = {row.id for row in rows if row.status in ADDED}
    _report(collection, rows, {} if dry_run else _places(collection, added), dry_run=dry_run, as_json=as_json)
    if open_editor and not dry_run:
        _edit(collection, [row.id for row in rows if row.id in added])
    statuses = {row.status for row in rows}
    if "refused" in statuses:
        return InvalidRecordError.exit_code
    return 3 if "missing" in statuses else 6 if statuses & {"withdrawn", "conflict"} else 0


def _texts(references: tuple[str, ...]) -> Iterator[str]:
    for text in references:
        if text == "-":
            lines = (line.partition(" #")[0].strip() for line in sys.stdin)
            yield from (line for line in lines if line and not line.startswith("#"))
        else:
            yield text


def _reading(file: str) -> Reading:
    reading = reading_of(file)
    if not reading.works:
        say(f"kb: {file} names no work that could be recognised; `kb add - < {file}` takes one reference per line")
    return reading


def _check_slug(slug: str | None, wanted: list[Reference], index: Index) -> None:
    if slug is None:
        return
    if len(wanted) != 1:
        raise UsageError("--slug names one record, and there are several references", hint="add them one at a time")
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug) or len(slug) > 64 or slug in RESERVED:
        raise UsageError(
            f"--slug: {slug!r} is no id", hint="ids are lower-case words joined by hyphens, as in score-sde"
        )
    taken = [ident for _, ident in index.named([fold(slug)]) if ident not in _idents(index, wanted)]
    if taken:
        raise ConflictError(f"--slug: {slug} already means {taken[0]}", hint="choose another id")


def _idents(index: Index, wanted: list[Reference]) -> set[str]:
    return {ident for one in wanted for _, ident in index.named([one.key])}


def _stub(ident: str) -> str:
    return f"a stub: `kb refresh {ident} --apply` fills it, and `kb check` reports it until then"


def _places(collection: Collection, added: set[str]) -> dict[str, dict[str, object]]:
    """Where new papers stand in the reading order, and why."""
    if not added:
        return {}
    from kb_tools.graphs.order import reading_order

    steps = reading_order(collection.entries())
    return {
        ident: {"position": number, "of": len(steps), "why": step.why}
        for number, step in enumerate(steps, 1)
        for ident in added & set(step.ids)
    }


def _report(
    collection: Collection,
    rows: list[Row],
    places: Mapping[str, Mapping[str, object]],
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    put_changes(collection, [row.change for row in rows if row.change], dry_run=dry_run and not as_json)
    if as_json:
        put_json([_facts(collection, row, places.get(row.id, {}), dry_run=dry_run) for row in rows])
    for row in rows:
        if row.change and not dry_run and not as_json:
            put(shown_path(row.change.path, collection))
        words = f"{row.id}: {row.status}" if row.id else f"kb: {row.status}"
        if row.change and dry_run:
            words = f"{row.id}: would be {row.status}"
        say("; ".join([words, *_says(row)]))
        for one in row.near:
            by = f"{one.authors[0]}{' and others' if one.authors[1:] else ''}, " if one.authors else ""
            say(f"    {one.reference or 'no id'}  {one.title} ({by}{one.year or 'no year'})")
        if row.near:
            say("    add the one that is meant by its id, as in `kb add " + (row.near[0].reference or "ID") + "`")
        if place := places.get(row.id):
            say(f"    {place['position']} of {place['of']} in the reading order: {place['why']}")


def _facts(collection: Collection, row: Row, place: Mapping[str, object], *, dry_run: bool) -> dict[str, object]:
    """A row as JSON; what is seldom there is left out where it is not."""
    seldom = {"newer_version": row.newer, "taken_for": row.taken_for, "maybe": list(row.maybe)}
    return {
        "reference": row.name,
        "status": row.status,
        "id": row.id or None,
        "path": shown_path(row.change.path, collection) if row.change else None,
        "says": "; ".join(_says(row)) or None,
        "written": bool(row.change) and not dry_run,
        **{name: value for name, value in seldom.items() if value},
        **({"candidates": [one._asdict() for one in row.near]} if row.near else {}),
        **place,
    }


def _says(row: Row) -> list[str]:
    taken = [f"its title there is: {row.taken_for}"] if row.taken_for else []
    return [*row.notes, *taken, *row.remarks]


def _edit(collection: Collection, idents: list[str]) -> None:
    """Open new records in the editor, one after the other, as `kb edit` does."""
    from kb_tools.cli.edit import edit

    for ident in idents:
        edit(collection, ident, dry_run=False)
