"""kb export: the records for other programs."""

from __future__ import annotations

from collections.abc import Mapping

import click

from kb_tools.cli.listing import select, selection
from kb_tools.cli.output import dry_run_option, put_file, say, say_invalid, with_collection
from kb_tools.exchange.work import Data
from kb_tools.records.store import Collection

FORMATS = ("bibtex", "csl-json", "ris", "csv", "json", "markdown")


@click.command("export")
@click.argument("records", nargs=-1)
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="bibtex", show_default=True, help="What to write."
)
@click.option("-o", "--output", "file", default="-", metavar="FILE", help="Where to write (default: stdout).")
@click.option("--title", default="Reading list", show_default=True, help="Heading of a Markdown list.")
@selection
@dry_run_option
@with_collection
def export_command(
    collection: Collection,
    records: tuple[str, ...],
    form: str,
    file: str,
    title: str,
    dry_run: bool,
    **choices,
) -> int:
    """Write records for other programs: all of them, those named, or those that every filter lets through.

    JSON holds everything.  BibTeX holds what a citation needs and comes back with title, authors, year, venue, ids,
    links, aliases, topics, summary and abstract as they were.  CSL-JSON and RIS are for reference managers, CSV for
    spreadsheets; Markdown is a reading list with boxes, years and WR marks.

    \b
    Examples:
      kb export --format bibtex -o refs.bib
      kb export ddpm ddim --format csl-json
      kb export --topic sampling --wr 2 --format markdown --title Sampling
    """
    index = collection.index()
    named = {collection.resolve(record, index) for record in records}
    every = {record["id"]: record for record in index.records()}
    entries = [entry for entry in index.entries() if entry.id in every and (not records or entry.id in named)]
    chosen = {entry.id: every[entry.id] for entry in select(index, entries, **choices)}
    put_file(file, _text(form, chosen, every, index.topics(), title), dry_run=dry_run)
    if file != "-" and not dry_run:
        say(f"{file}: {len(chosen)} records")
    return say_invalid(index)


def _text(
    form: str, chosen: Mapping[str, Data], every: Mapping[str, Data], topics: Mapping[str, str], title: str
) -> str:
    if form == "csv":
        from kb_tools.exchange.tables import dump_csv

        return dump_csv(chosen)
    if form == "json":
        from kb_tools.exchange.tables import dump_json

        return dump_json(chosen)
    if form == "markdown":
        from kb_tools.exchange import markdown

        return markdown.dumps(chosen, topics, title)
    from kb_tools.exchange import bibtex, csl, ris

    # A key is the same whatever is exported beside it.
    keys = bibtex.keys(every)
    writer = {"bibtex": bibtex.dumps, "csl-json": csl.dumps, "ris": ris.dumps}[form]
    return writer(chosen, keys)
