"""kb import: works that a bibliography or a reading list names."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from kb_tools.cli.forms import FORM
from kb_tools.cli.output import (
    dry_run_option,
    json_option,
    put_changes,
    put_json,
    say,
    shown_path,
    table,
    take_bytes,
    terminal,
    with_collection,
)
from kb_tools.errors import InvalidRecordError, NotFoundError, UsageError
from kb_tools.exchange.formats import LISTED, form_of, read
from kb_tools.exchange.reading import decode
from kb_tools.exchange.work import Reading
from kb_tools.incoming.pipeline import Row, Wishes, take
from kb_tools.records.store import Collection

_SHADES = ({"fg": "cyan"}, {"bold": True}, None, {"dim": True})


@click.command("import")
@click.argument("file")
@click.option("--format", "form", type=FORM, metavar="NAME", help=f"What FILE is: {LISTED} (default: by its name).")
@click.option("--encoding", metavar="NAME", help="How FILE is encoded (default: UTF-8, or else a guess that is said).")
@click.option("--strict", is_flag=True, help="Add nothing if anything of FILE would be lost or is not certain.")
@dry_run_option
@json_option
@with_collection
def import_command(
    collection: Collection,
    file: str,
    form: str | None,
    encoding: str | None,
    strict: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Add the works that FILE (- for stdin) names: BibTeX, CSL-JSON, RIS, CSV, a reading list in Markdown, or JSON.

    What `kb export` wrote comes back as the same records, whichever form it is in.  CSV is read as Zotero, Scopus,
    Google Scholar and Publish or Perish save it, or under any header that names a title.

    A work that the collection has, by arXiv id, or by DOI, address or alias under the same title, is left as it is,
    and nothing is added twice.  What a list claims is noted in the new record as not confirmed.

    Everything in FILE has a row: added; incomplete, which is added too, with what was lost; exists, with the title it
    was taken for where that differs; refused, with the reason; not read.

    \b
    Examples:
      kb import refs.bib --dry-run
      kb import README.md --strict
      kb import library.csv
      curl -s https://example.org/list.md | kb import - --format md
    """
    rows = take(collection, reading_of(file, form, encoding), Wishes(strict=strict), dry_run=dry_run)
    lost = [row for row in rows if row.lossy]
    changes = [] if strict and lost else [row.change for row in rows if row.change]
    name = "stdin" if file == "-" else file
    _report(collection, name, rows, written=bool(changes) and not dry_run, as_json=as_json)
    put_changes(collection, changes, dry_run=dry_run and not as_json)
    _count(rows, dry_run=dry_run or (strict and bool(lost)))
    if strict and lost:
        raise InvalidRecordError(
            "\n    ".join(f"{name}:{row.line}: {row.status}: {_remarks(row)}" for row in lost),
            hint="nothing was written; mend these, or leave out --strict",
        )
    return InvalidRecordError.exit_code if any(row.status == "refused" for row in rows) else 0


def reading_of(file: str, form: str | None = None, encoding: str | None = None) -> Reading:
    """What a file names (- for stdin).  form: what it is, if its name does not say so.

    Raises UsageError, NotFoundError, or InvalidRecordError.
    """
    form = form or form_of(file)
    if form is None:
        if file != "-" and not Path(file).exists():
            raise NotFoundError(f"there is no file {file}")
        raise UsageError(
            f"{file}: its name does not say what it is",
            hint=f"say it with --format: {LISTED}",
        )
    name = "stdin" if file == "-" else file
    text, guessed = decode(take_bytes(file), encoding, name)
    if guessed:
        say(f"kb: {name} is not UTF-8; it was read as {guessed}, and --encoding names another")
    return read(text, form, name)


def _report(collection: Collection, name: str, rows: list[Row], *, written: bool, as_json: bool) -> None:
    if as_json:
        put_json(
            [
                {
                    "status": row.status,
                    "id": row.id,
                    "file": name,
                    "line": row.line,
                    "title": row.title,
                    "taken_for": row.taken_for,
                    "maybe": list(row.maybe),
                    "remarks": list(row.remarks),
                    "path": shown_path(row.change.path, collection) if row.change else None,
                    "written": bool(row.change) and written,
                }
                for row in rows
            ]
        )
        return
    if terminal():
        table(
            ("status", "id", "line", "title"),
            [(row.status, row.id, row.line, row.title) for row in rows],
            shades=_SHADES,
            under=[_remarks(row) for row in rows],
        )
    else:
        table((), [(row.status, row.id, row.line, _remarks(row), row.title) for row in rows])


def _remarks(row: Row) -> str:
    taken = [f"taken for {row.id}: {row.taken_for}"] if row.taken_for else []
    return "; ".join([*taken, *row.remarks])


def _count(rows: list[Row], *, dry_run: bool) -> None:
    """How much became what; what was lost is always counted."""
    if not rows:
        say("kb: the file names no work that could be recognised")
    states = Counter(row.status for row in rows)
    added = states["added"] + states["incomplete"]
    parts = [f"{added} {'would be added' if dry_run else 'added'}", f"{states['exists']} exist already"]
    losses = {
        "incomplete": states["incomplete"],
        "taken for another title": sum(1 for row in rows if row.taken_for),
        "possible duplicates": sum(1 for row in rows if row.maybe),
        "refused": states["refused"],
        "not read": states["not read"],
    }
    say(f"kb: {', '.join([*parts, *(f'{count} {words}' for words, count in losses.items() if count)])}")
