"""kb updates: what happened at arXiv since the records were written."""

from __future__ import annotations

import click

from kb_tools.cli.output import (
    json_option,
    put_json,
    say,
    say_invalid,
    say_none,
    table,
    with_collection,
)
from kb_tools.errors import NotFoundError, UsageError
from kb_tools.records.fields import PAPER_KINDS
from kb_tools.records.store import Collection


@click.command("updates")
@click.argument("records", nargs=-1)
@click.option("--no-cache", is_flag=True, help="Ask again, even what was answered within a day.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if there is anything new.")
@json_option
@with_collection
def updates_command(
    collection: Collection, records: tuple[str, ...], no_cache: bool, exit_code: bool, as_json: bool
) -> int:
    """Say what is new at arXiv of all papers, or of those named: a newer version, a publication, a withdrawal.

    One request for up to fifty papers; nothing is written.  `kb refresh ID --apply` takes over what arXiv says.  A
    version is new if it is above the record's `arxiv_version`, or, without that, younger than the record.

    \b
    Examples:
      kb updates
      kb updates ddpm ddim --json
      kb updates --exit-code --no-cache || mail -s "new versions" me
    """
    from kb_tools.services import arxiv
    from kb_tools.services.upstream import dated, news

    index = collection.index()
    entries = {entry.id: entry for entry in index.entries()}
    named = list(dict.fromkeys(collection.resolve(record, index) for record in records))
    for ident in named:
        if not entries[ident].arxiv:
            raise UsageError(f"{ident} has no arXiv id to ask for", hint="name others, or add `arxiv:` to it")
    idents = named or [entry.id for entry in entries.values() if entry.kind in PAPER_KINDS and entry.arxiv]
    if not idents:
        say_none(not entries, "no paper has an arXiv id to ask for")
        if as_json:
            put_json([])
        return say_invalid(index)
    works = arxiv.fetch([str(entries[ident].arxiv) for ident in idents], fresh=no_cache, tell=say)
    rows, undated, unknown = [], 0, []
    for ident in idents:
        work, record = works.get(str(entries[ident].arxiv)), index.record(ident)
        if work is None:
            unknown.append(ident)
            continue
        undated += not dated(record)
        rows += [(ident, one.kind, one.now, one.known, entries[ident].title) for one in news(record, work)]
    if as_json:
        put_json([dict(zip(("id", "kind", "now", "known", "title"), row, strict=True)) for row in rows])
    else:
        table(("id", "what", "now", "known", "title"), rows, shades=({"fg": "cyan"},))
    for ident in unknown:
        say(f"{ident}: arXiv does not know {entries[ident].arxiv}")
    if undated:
        say(f"kb: {undated} without arxiv_version and day: `kb refresh --only fields --apply` notes their versions")
    new = len({row[0] for row in rows})
    asked = f"{len(idents)} paper{'s' if len(idents) != 1 else ''}"
    say(f"kb: {new} of {asked} with news" if new else f"kb: nothing new of {asked}")
    return say_invalid(index) or (NotFoundError.exit_code if unknown else 1 if exit_code and rows else 0)
