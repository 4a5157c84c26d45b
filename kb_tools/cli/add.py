"""kb add: new records from references."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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
from kb_tools.errors import ConflictError, InvalidRecordError, NetworkError, UsageError
from kb_tools.records.fields import STATUSES
from kb_tools.records.index import Index
from kb_tools.records.naming import RESERVED
from kb_tools.records.reference import fold
from kb_tools.records.store import Change, Collection

if TYPE_CHECKING:
    from kb_tools.incoming.adding import Data
    from kb_tools.services.references import Reference
    from kb_tools.services.upstream import Upstream

_TRIES = 5  # another kb may take a slug between the look and the write


@dataclass
class _Outcome:
    """What became of one reference: added, exists, updated, missing, refused, withdrawn or conflict."""

    reference: str
    status: str
    id: str | None = None
    says: str | None = None
    change: Change | None = None
    facts: dict[str, object] = field(default_factory=dict)


@click.command("add")
@click.argument("references", nargs=-1, metavar="REF...")
@click.option(
    "--from", "files", multiple=True, metavar="FILE", help="Add what FILE names too: BibTeX (.bib) or a Markdown list."
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
    """Add papers by arXiv id, arXiv address, or DOI; - reads a list from standard input, one per line.

    All of them are asked for at once.  What is there already (the same arXiv id, DOI or title) stays as it is.  The
    id of a new record is proposed as author-year-word and never changes later.  From a file, what has an arXiv id or
    a DOI is taken; `kb import` takes everything, as the file has it, and asks nobody.

    \b
    Examples:
      kb add 2006.11239 https://arxiv.org/abs/2010.02502v4 --topic sampling
      kb add 10.1162/neco.2011.00142 --slug dsm --wr 2
      kb add - < list.txt
      kb add --from refs.bib --dry-run
    """
    from kb_tools.services.references import parse_all

    if not references and not files:
        raise UsageError(
            "nothing to add was named", hint="kb add 2006.11239, kb add - < list.txt, kb add --from refs.bib"
        )
    named, nameless = _in_files(files)
    wanted = parse_all([*_texts(references), *named])
    if not wanted and not nameless:
        say("kb: nothing to add")
        return 0
    index = collection.index()
    check_topics(topics, index)
    _check_slug(slug, wanted, index)
    given: Data = {"topics": list(topics), "status": status, "added": date.today().isoformat()}
    if wr:
        given |= {"worth_reading": wr, "worth_reading_by": "editors"}
    if status != "unread":
        given["read_on"] = date.today().isoformat()

    known = {one.key: ident for one in wanted for _, ident in index.named([one.key])}
    if not wanted:
        outcomes = []
    elif offline:
        outcomes = [_add_stub(collection, one, known.get(one.key), slug, given, dry_run=dry_run) for one in wanted]
    else:
        works = _ask(wanted, known, fresh=no_cache)
        outcomes = [
            _settle(collection, one, works, slug, given, update=update, withdrawn=allow_withdrawn, dry_run=dry_run)
            for one in wanted
        ]
    outcomes += nameless
    _place(collection, outcomes, dry_run=dry_run)
    _report(collection, outcomes, dry_run=dry_run, as_json=as_json)
    if open_editor and not dry_run:
        _edit(collection, [one.id for one in outcomes if one.status == "added" and one.id])
    statuses = {one.status for one in outcomes}
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


def _in_files(files: tuple[str, ...]) -> tuple[list[str], list[_Outcome]]:
    """The arXiv ids and DOIs of the works in files, and those works that have neither."""
    from kb_tools.services.references import FORMS, parse

    named: list[str] = []
    nameless: list[_Outcome] = []
    wrong: list[str] = []
    for file in files:
        reading = reading_of(file)
        if not reading.works:
            say(f"kb: {file} names no work that could be recognised; `kb add - < {file}` takes one reference per line")
        for lost in reading.unread:
            state = "refused" if lost.refused else "missing"
            nameless.append(_Outcome(file, state, says=f"{file}:{lost.line}: {lost.says}"))
        for work in reading.works:
            reference = work.fields.get("arxiv") or work.fields.get("doi")
            if reference:
                named.append(str(reference))
                try:
                    parse(named[-1])
                except UsageError as error:
                    wrong.append(f"{file}:{work.line}: {error.message}")
            else:
                title = str(work.fields.get("title") or "a work without a title")
                says = f"{file}:{work.line}: it has neither an arXiv id nor a DOI; `kb import` takes it as it stands"
                nameless.append(_Outcome(title, "missing", says=f"{title} ({says})"))
    if wrong:
        hint = f"nothing was asked and nothing written; mend the file: write {FORMS}"
        raise UsageError("\n    ".join(wrong), hint=hint)
    return named, nameless


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


def _ask(wanted: list[Reference], known: Mapping[str, str], *, fresh: bool) -> dict[str, Upstream] | None:
    """What the servers say, by key; None if all is there already and nobody could be asked about newer versions."""
    from kb_tools.services.lookup import describe

    nothing_new = len(known) == len(wanted)
    try:
        found = describe(wanted, patient=not nothing_new, fresh=fresh, tell=say)
    except NetworkError as error:
        if not nothing_new:
            raise
        say(f"kb: newer versions were not looked for: {error.message}")
        return None
    if found.fallback is not None:
        say(f"kb: {found.fallback.message}; Semantic Scholar was asked instead, and the records say so")
    return found.works


def _settle(
    collection: Collection,
    reference: Reference,
    works: dict[str, Upstream] | None,
    slug: str | None,
    given: Data,
    *,
    update: bool,
    withdrawn: bool,
    dry_run: bool,
) -> _Outcome:
    """Add one work, or say why not."""
    from kb_tools.incoming.adding import fields_of, new_record, same_work

    work = (works or {}).get(reference.key)
    for last in (*[False] * (_TRIES - 1), True):
        index = collection.index()
        ident = next((ident for _, ident in index.named([reference.key])), None)
        if ident is None and work is not None:
            ident = same_work(index, work, reference)
        if ident is not None:
            return _existing(collection, reference, ident, index.record(ident), work, update=update, dry_run=dry_run)
        if work is None:
            return _Outcome(reference.name, "missing", says=f"no service knows {reference.name}")
        if work.withdrawn and not withdrawn:
            says = f"{reference.name} was withdrawn: {work.title}; --allow-withdrawn adds it all the same"
            return _Outcome(reference.name, "withdrawn", says=says)
        if hidden := _hidden(collection, index, reference, work.arxiv, work.doi):
            return hidden
        fields = fields_of(work, reference)
        new = slug or _propose(index, fields)
        change = new_record(collection, {"id": new, "kind": "paper", **fields, **given})
        try:
            collection.write([change], dry_run=dry_run)
        except ConflictError:
            if last or slug or not change.path.exists():
                raise
            continue
        return _Outcome(reference.name, "added", new, _version_note(reference, work), change)
    raise AssertionError("the last try returns or raises")


def _hidden(collection: Collection, index: Index, reference: Reference, *names: str | None) -> _Outcome | None:
    """What is said where a file that is not valid may be the record of a work, which would then be added twice."""
    path = collection.hidden(index, (reference.name, *names))
    if path is None:
        return None
    says = f"{shown_path(path, collection)} is not valid, and names {reference.name}: mend it first, see `kb check`"
    return _Outcome(reference.name, "conflict", says=says)


def _propose(index: Index, fields: Data) -> str:
    from kb_tools.records.naming import propose_id

    # Every name is taken, and that of a file that cannot be read too.
    taken = {name for name, _ in index.names()} | {one.id for one in index.invalid()}
    return propose_id(fields, taken)


def _version_note(reference: Reference, work: Upstream) -> str | None:
    if reference.version and work.version and reference.version != work.version:
        return f"v{reference.version} was asked for; the record describes the latest, v{work.version}"
    return None


def _existing(
    collection: Collection,
    reference: Reference,
    ident: str,
    record: Mapping,
    work: Upstream | None,
    *,
    update: bool,
    dry_run: bool,
) -> _Outcome:
    from kb_tools.incoming.adding import refreshed

    if update and work is not None:
        changes = collection.change([ident], lambda data: refreshed(data, work), dry_run=dry_run)
        if changes:
            return _Outcome(reference.name, "updated", ident, None, changes[0])
        return _Outcome(reference.name, "exists", ident, "nothing upstream has changed")
    outcome = _Outcome(reference.name, "exists", ident)
    ours = record.get("arxiv_version")
    theirs = max(reference.version or 0, (work.version if work else None) or 0)
    if ours and theirs > ours:
        outcome.says = f"arXiv has v{theirs}, the record describes v{ours}; --update refreshes it"
        outcome.facts = {"newer_version": theirs}
    return outcome


def _add_stub(
    collection: Collection, reference: Reference, ident: str | None, slug: str | None, given: Data, *, dry_run: bool
) -> _Outcome:
    from kb_tools.incoming.adding import new_record, stub_fields, stub_slug

    if ident is not None:
        return _Outcome(reference.name, "exists", ident)
    if reference.arxiv is None:
        raise UsageError(f"--offline: a DOI says nothing by itself ({reference.name})", hint="write the record by hand")
    if hidden := _hidden(collection, collection.index(), reference):
        return hidden
    new = slug or stub_slug(reference)
    change = new_record(collection, {"id": new, "kind": "paper", **stub_fields(reference), **given})
    collection.write([change], dry_run=dry_run)
    says = f"a stub: `kb refresh {new} --apply` fills it, and `kb check` reports it until then"
    return _Outcome(reference.name, "added", new, says, change)


def _place(collection: Collection, outcomes: list[_Outcome], *, dry_run: bool) -> None:
    """Where new papers stand in the reading order, and why."""
    added = {one.id: one for one in outcomes if one.status == "added"}
    if dry_run or not added:
        return
    from kb_tools.graphs.order import reading_order

    steps = reading_order(collection.entries())
    for number, step in enumerate(steps, 1):
        for ident in added.keys() & set(step.ids):
            added[ident].facts |= {"position": number, "of": len(steps), "why": step.why}


def _report(collection: Collection, outcomes: list[_Outcome], *, dry_run: bool, as_json: bool) -> None:
    put_changes(collection, [one.change for one in outcomes if one.change], dry_run=dry_run and not as_json)
    if as_json:
        put_json(
            [
                {
                    "reference": one.reference,
                    "status": one.status,
                    "id": one.id,
                    "path": shown_path(one.change.path, collection) if one.change else None,
                    "says": one.says,
                    "written": bool(one.change) and not dry_run,
                    **one.facts,
                }
                for one in outcomes
            ]
        )
    for one in outcomes:
        if one.change and not dry_run and not as_json:
            put(shown_path(one.change.path, collection))
        words = f"{one.id}: {one.status}" if one.id else f"kb: {one.status}"
        if one.status in ("added", "updated") and dry_run:
            words = f"{one.id}: would be {one.status}"
        say(words + (f"; {one.says}" if one.says else ""))
        if "position" in one.facts:
            say(f"    {one.facts['position']} of {one.facts['of']} in the reading order: {one.facts['why']}")


def _edit(collection: Collection, idents: list[str]) -> None:
    """Open new records in the editor, one after the other, as `kb edit` does."""
    from kb_tools.cli.edit import edit

    for ident in idents:
        edit(collection, ident, dry_run=False)
