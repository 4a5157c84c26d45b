"""kb import: works that a bibliography or a reading list names."""

from __future__ import annotations

from pathlib import Path

import click

from kb_tools.cli.output import (
    dry_run_option,
    json_option,
    put_changes,
    put_json,
    say,
    shown_path,
    table,
    take_text,
    with_collection,
)
from kb_tools.errors import NotFoundError, UsageError
from kb_tools.exchange.matching import Matched
from kb_tools.exchange.work import Work
from kb_tools.records.store import Change, Collection

_FORMAT_OF = {".bib": "bibtex", ".json": "json", ".md": "markdown", ".markdown": "markdown", ".txt": "markdown"}
_SHADES = ({"fg": "cyan"}, {"bold": True}, None, None, {"dim": True})


@click.command("import")
@click.argument("file")
@click.option(
    "--format",
    "form",
    type=click.Choice(("bibtex", "json", "markdown")),
    help="What FILE is (default: by its name: .bib, .json, .md or .txt).",
)
@dry_run_option
@json_option
@with_collection
def import_command(collection: Collection, file: str, form: str | None, dry_run: bool, as_json: bool) -> int:
    """Add the works that FILE (- for stdin) names: BibTeX, a reading list in Markdown, or a JSON export.

    A work that the collection has, by arXiv id, DOI, address, title or alias, is left as it is, and nothing is added
    twice.  What a list claims is noted in the new record as not confirmed.

    \b
    Examples:
      kb import refs.bib --dry-run
      kb import README.md
      curl -s https://example.org/list.md | kb import - --format markdown
    """
    from kb_tools.exchange.matching import match

    works = works_in(file, form)
    index = collection.index()
    matched = match(works, index.records(), index.topics(), taken=[path.stem for path in collection.files()])
    changes: list[Change] = []
    rows: list[tuple[str, Matched]] = []
    for found in matched:
        record = found.record or {}
        hidden = collection.hidden(index, (record.get("arxiv"), record.get("doi")))
        if hidden is not None:
            remark = f"{shown_path(hidden, collection)} is not valid and names it: mend that file first"
            rows.append(("invalid", found._replace(remarks=(remark,))))
            continue
        change = _change(collection, found)
        if change is not None and not isinstance(change, Change):
            rows.append(("invalid", found._replace(remarks=change)))
            continue
        rows.append(("exists" if change is None else "new", found))
        changes += [change] if change else []
    collection.write(changes, dry_run=dry_run)
    _report(collection, rows, changes, dry_run=dry_run, as_json=as_json)
    return 5 if any(state == "invalid" for state, _ in rows) else 0


def works_in(file: str, form: str | None = None) -> list[Work]:
    """The works that a file names (- for stdin).  form: what it is, if its name does not say so.

    Raises UsageError, NotFoundError, or InvalidRecordError.
    """
    form = form or _FORMAT_OF.get(Path(file).suffix.lower())
    if form is None:
        if file != "-" and not Path(file).exists():
            raise NotFoundError(f"there is no file {file}")
        raise UsageError(
            f"{file}: its name does not say what it is",
            hint="call it .bib, .md or .json, or use `kb import --format bibtex`, json or markdown",
        )
    text, name = take_text(file), "stdin" if file == "-" else file
    if form == "bibtex":
        from kb_tools.exchange.bibtex import loads

        return loads(text, name)
    if form == "json":
        from kb_tools.exchange.tables import load_json

        return load_json(text, name)
    from kb_tools.exchange import lists

    return lists.loads(text)


def _change(collection: Collection, found: Matched) -> Change | tuple[str, ...] | None:
    """The new file of a work; what is wrong with it; None if the work is no new one."""
    from kb_tools.records.layout import dump
    from kb_tools.records.reader import read_bytes
    from kb_tools.records.shapes import check_id
    from kb_tools.records.validate import validate_record

    if not found.id:
        return found.remarks
    if found.record is None:
        return None
    path = collection.path_of(found.id, str(found.record["kind"]))
    document = read_bytes(path, dump(found.record).encode("utf-8"))
    validate_record(document)
    check_id(document)
    if document.problems:
        return tuple(problem.message for problem in document.problems)
    return Change(path, None, document.text)


def _report(
    collection: Collection, rows: list[tuple[str, Matched]], changes: list[Change], *, dry_run: bool, as_json: bool
) -> None:
    paths = {change.path.stem: shown_path(change.path, collection) for change in changes}
    if as_json:
        put_json(
            [
                {
                    "status": state,
                    "id": found.id,
                    "line": found.work.line,
                    "title": found.work.fields.get("title"),
                    "remarks": list(found.remarks),
                    "path": paths.get(found.id) if state == "new" else None,
                    "written": state == "new" and not dry_run,
                }
                for state, found in rows
            ]
        )
        return
    table(
        ("status", "id", "line", "remarks", "title"),
        [
            (state, found.id, found.work.line, "; ".join(found.remarks), found.work.fields.get("title"))
            for state, found in rows
        ],
        shades=_SHADES,
    )
    put_changes(collection, changes, dry_run=dry_run)
    counts = {state: sum(1 for is_now, _ in rows if is_now == state) for state in ("new", "exists", "invalid")}
    if not rows:
        say("kb: the file names no work that could be recognised")
    invalid = f", {counts['invalid']} not valid and left out" if counts["invalid"] else ""
    say(f"kb: {counts['new']} {'would be added' if dry_run else 'added'}, {counts['exists']} exist already{invalid}")
