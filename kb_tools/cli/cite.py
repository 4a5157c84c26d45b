"""kb cite, kb refresh: what the servers know better than the records, as suggestions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

import click

from kb_tools.cli.output import json_option, put_changes, put_json, say, shown_path, with_collection
from kb_tools.errors import NetworkError, UsageError
from kb_tools.records.fields import PAPER_KINDS
from kb_tools.records.index import Entry
from kb_tools.records.store import Change, Collection

if TYPE_CHECKING:
    from kb_tools.incoming.citing import References
    from kb_tools.services.upstream import Upstream

apply_option = click.option(
    "--apply/--dry-run", default=False, help="Write what is suggested, or show it as a diff (the default)."
)
no_cache_option = click.option("--no-cache", is_flag=True, help="Ask again, even what was answered within a day.")


@click.command("cite")
@click.argument("records", nargs=-1, required=True)
@apply_option
@no_cache_option
@json_option
@with_collection
def cite_command(collection: Collection, records: tuple[str, ...], apply: bool, no_cache: bool, as_json: bool) -> int:
    """Suggest citations of records: ask Semantic Scholar for their reference lists, then OpenAlex.

    Works of the collection that a record does not list yet are shown as a diff, and written with source and date by
    --apply.  Nothing is ever removed.  Works beyond the collection go to papers/outside.yaml, for `kb graph missing`,
    when they stand there already or two of the records cite them.

    \b
    Examples:
      kb cite edm
      kb cite ddim score-sde --apply
    """
    index = collection.index()
    entries = {entry.id: entry for entry in index.entries()}
    idents = list(dict.fromkeys(collection.resolve(record, index) for record in records))
    for ident in idents:
        if not entries[ident].arxiv and not entries[ident].doi:
            raise UsageError(f"{ident} has neither an arXiv id nor a DOI to ask for", hint="write its cites by hand")
    found = _ask(entries, idents, fresh=no_cache)
    changes = _refresh(collection, {}, found, apply=apply)
    _show(collection, changes, found, {}, apply=apply, as_json=as_json)
    silent = [one for one in found if one.source is None]
    if not silent:
        return 0
    return 4 if any(isinstance(failure, NetworkError) for one in silent for failure in one.failures) else 3


@click.command("refresh")
@click.argument("records", nargs=-1)
@click.option("--only", type=click.Choice(("fields", "cites")), help="Only what arXiv says, or only citations.")
@apply_option
@no_cache_option
@json_option
@with_collection
def refresh_command(
    collection: Collection, records: tuple[str, ...], only: str | None, apply: bool, no_cache: bool, as_json: bool
) -> int:
    """Look for what is new upstream: titles, authors, abstracts and versions at arXiv, then citations.

    All papers with an arXiv id, or those named.  Shown as a diff, written by --apply.  Summaries, scores, marks and
    every other word of a person stay as they are, and so do the citations that are there.

    \b
    Examples:
      kb refresh --only fields
      kb refresh ddpm ddim --apply
    """
    from kb_tools.services import arxiv

    index = collection.index()
    entries = {entry.id: entry for entry in index.entries()}
    idents = list(dict.fromkeys(collection.resolve(record, index) for record in records)) or [
        entry.id for entry in entries.values() if entry.kind in PAPER_KINDS and entry.arxiv
    ]
    for ident in idents:
        if not entries[ident].arxiv:
            raise UsageError(f"{ident} has no arXiv id to ask for", hint="add `arxiv:` to it, or use `kb cite`")
    code = 0
    works: dict[str, Upstream] = {}
    if only != "cites":
        papers = arxiv.fetch([str(entries[ident].arxiv) for ident in idents], fresh=no_cache, tell=say)
        works = {ident: papers[name] for ident in idents if (name := str(entries[ident].arxiv)) in papers}
        for ident in idents:
            if ident not in works:
                say(f"{ident}: arXiv does not know {entries[ident].arxiv}")
                code = 3
    found = _ask(entries, idents, fresh=no_cache) if only != "fields" else []
    changes = _refresh(collection, works, found, apply=apply)
    _show(collection, changes, found, works, apply=apply, as_json=as_json)
    return code


def _ask(entries: Mapping[str, Entry], idents: list[str], *, fresh: bool) -> list[References]:
    """The reference lists of records; what could not be asked is said once per service and reason."""
    from kb_tools.incoming.citing import Asker

    asker = Asker(entries, fresh=fresh)
    found = [asker.ask(ident) for ident in idents]
    for error in asker.down.values():
        say(f"kb: {error.message}; it was not asked again")
    for one in found:
        for failure in one.failures:
            if not isinstance(failure, NetworkError):
                say(f"{one.ident}: {failure.message}")
        if one.source is None:
            say(f"{one.ident}: no list of references; its citations stay as they are")
        else:
            counts = f"{len(one.new)} new, {len(one.known)} known, {len(one.outside)} beyond the collection"
            say(f"{one.ident}: {one.source} lists {counts}")
    return found


def _refresh(
    collection: Collection, works: Mapping[str, Upstream], found: list[References], *, apply: bool
) -> list[Change]:
    """Change upstream fields, citations, and outside.yaml; returns every change."""
    from kb_tools.incoming.adding import refreshed
    from kb_tools.incoming.citing import cites_changes, outside_change

    lists = {one.ident: one for one in found if one.source is not None}
    day = date.today().isoformat()

    def changes_of(record: Mapping) -> Mapping:
        ident = record["id"]
        changes = refreshed(record, works[ident]) if ident in works else {}
        return changes | (cites_changes(record, lists[ident], day) if ident in lists else {})

    changes = collection.change(list(dict.fromkeys([*works, *lists])), changes_of, dry_run=not apply)
    outside = outside_change(collection, lists.values())
    return changes + (collection.write([outside], dry_run=not apply) if outside else [])


def _show(
    collection: Collection,
    changes: list[Change],
    found: list[References],
    works: Mapping[str, Upstream],
    *,
    apply: bool,
    as_json: bool,
) -> None:
    if as_json:
        lists = {one.ident: one for one in found}
        changed = {change.path.stem for change in changes}
        put_json([_facts(ident, lists.get(ident), ident in changed, apply) for ident in {**works, **lists}])
        return
    put_changes(collection, changes, dry_run=not apply)
    if apply:
        for change in changes:
            say(f"{shown_path(change.path, collection)}: written")
    elif changes:
        say(f"kb: {len(changes)} files would change; --apply writes them")
    else:
        say("kb: nothing new")


def _facts(ident: str, one: References | None, changed: bool, apply: bool) -> dict[str, object]:
    facts: dict[str, object] = {"id": ident, "changed": changed, "written": changed and apply}
    if one is not None:
        facts |= {
            "source": one.source,
            "new": list(one.new),
            "known": list(one.known),
            "outside": [{"title": work.title, "arxiv": work.arxiv, "doi": work.doi} for work in one.outside],
            "failures": [failure.message for failure in one.failures],
        }
    return facts
