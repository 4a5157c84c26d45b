"""kb export: the records for other programs."""

from __future__ import annotations

import click

from kb_tools.cli.forms import FORM
from kb_tools.cli.listing import select, selection
from kb_tools.cli.output import dry_run_option, put_file, say, say_invalid, with_collection
from kb_tools.exchange.formats import LISTED, Export, form_of, write
from kb_tools.records.store import Collection


@click.command("export")
@click.argument("records", nargs=-1)
@click.option(
    "--format", "form", type=FORM, metavar="NAME", help=f"What to write: {LISTED} (default: by FILE, or bibtex)."
)
@click.option("-o", "--output", "file", default="-", metavar="FILE", help="Where to write (default: stdout).")
@click.option("--title", default="Reading list", show_default=True, help="Heading of a Markdown list.")
@selection
@dry_run_option
@with_collection
def export_command(
    collection: Collection,
    records: tuple[str, ...],
    form: str | None,
    file: str,
    title: str,
    dry_run: bool,
    **choices,
) -> int:
    """Write records for other programs: all of them, those named, or those that every filter lets through.

    Every form comes back through `kb import` as the same records.  BibTeX is what a paper cites, CSL-JSON and RIS are
    for reference managers, CSV is for spreadsheets, JSON for programs; Markdown is a reading list with boxes, years
    and WR marks.  What a form has no place for is carried along where other programs pass it over.

    \b
    Examples:
      kb export --format bibtex -o refs.bib
      kb export ddpm ddim --format csl
      kb export --topic sampling --wr 2 --format md --title Sampling
    """
    index = collection.index()
    named = {collection.resolve(record, index) for record in records}
    every = {record["id"]: record for record in index.records()}
    entries = [entry for entry in index.entries() if entry.id in every and (not records or entry.id in named)]
    chosen = {entry.id: every[entry.id] for entry in select(index, entries, **choices)}
    text = write(Export(chosen, every, index.topics(), title), form or form_of(file) or "bibtex")
    put_file(file, text, dry_run=dry_run)
    if file != "-" and not dry_run:
        say(f"{file}: {len(chosen)} records")
    return say_invalid(index)
