"""kb fmt, kb check: the files themselves."""

from __future__ import annotations

import click

from kb_tools.cli.output import (
    dry_run_option,
    json_option,
    put,
    put_changes,
    put_json,
    say,
    shown_path,
    style,
    with_collection,
)
from kb_tools.errors import NotFoundError, UsageError
from kb_tools.records.fields import OUTSIDE_FILE, PAPER_KINDS, TOPICS_FILE
from kb_tools.records.layout import canonical
from kb_tools.records.reader import Document, read_file
from kb_tools.records.store import Change, Collection


@click.command("fmt")
@click.argument("records", nargs=-1)
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit with 1 if a file would change.")
@dry_run_option
@with_collection
def fmt_command(collection: Collection, records: tuple[str, ...], only_check: bool, dry_run: bool) -> int:
    """Lay out record files in the one canonical way: all of them, or those named.

    Keys in the model's order, quotes where YAML could misread, one sentence per line of a summary.  Comments stay with
    their field.  Without arguments this also brings topics.yaml, outside.yaml and the schemas in papers/ up to
    date.

    \b
    Example:
      kb fmt --dry-run
    """
    from kb_tools.check.mending import schema_changes

    index = collection.index() if records else None
    documents = [collection.document(collection.resolve(record, index)) for record in records]
    if not records:
        documents = _all_documents(collection)
    broken = [document for document in documents if document.problems]
    changes = [
        Change(document.path, document.text, canonical(document)) for document in documents if not document.problems
    ]
    if not records:
        changes += schema_changes(collection)
    changes = collection.write(changes, dry_run=dry_run or only_check)
    put_changes(collection, changes, dry_run=dry_run)
    for change in changes:
        if only_check:
            put(shown_path(change.path, collection))
        elif not dry_run:
            say(f"{shown_path(change.path, collection)}: laid out")
    for document in broken:
        for problem in document.problems:
            say(f"kb: left as it is: {problem}")
    if broken:
        return 5
    files = "1 file" if len(documents) == 1 else f"{len(documents)} files"
    say(f"kb: {files}, {len(changes)} {'would change' if dry_run or only_check else 'changed'}")
    return 1 if only_check and changes else 0


def _all_documents(collection: Collection) -> list[Document]:
    others = (collection.papers / name for name in (TOPICS_FILE, OUTSIDE_FILE))
    return [*collection.documents(), *(read_file(path) for path in others if path.exists())]


@click.command("check")
@click.argument("records", nargs=-1)
@click.option(
    "--fix", is_flag=True, help="Mend what can only be mended in one way, and print what was changed as a diff."
)
@dry_run_option
@json_option
@with_collection
def check_command(collection: Collection, records: tuple[str, ...], fix: bool, dry_run: bool, as_json: bool) -> int:
    """Report every problem of every file, each with its place and its fix; exit with 1 if there is one.

    Files, model, layout, edges, cycles, names that clash, topics, schemas; the records against the code: equation
    comments, imports; and all that a finished method has: a demo, tests, evidence on ten seeds whose claims stand,
    planted bugs that are seen.  With RECORDS, only what is about them, and which of their fields nobody has written
    yet.

    --fix lays out files, quotes what YAML would misread, takes out byte order marks and repetitions, writes the present
    id for a former one, and renews the schemas; what a person must decide stays a problem.

    \b
    Examples:
      kb check ddim
      kb check --fix --dry-run
      kb check --json | jq -r '.data[].code' | sort | uniq -c
    """
    from kb_tools.check import about, check, files_of

    if dry_run and not fix:
        raise UsageError("--dry-run belongs to --fix: a check writes nothing", hint="kb check --fix --dry-run")
    if records and fix:
        raise UsageError("--fix mends all files: leave out the records", hint="kb check --fix --dry-run")
    if fix:
        _mend(collection, dry_run=dry_run, as_json=as_json)
    problems = check(collection)
    if records:
        named = [_named(collection, record) for record in records]
        problems = about(problems, {path for ident in named for path in files_of(collection, ident)})
        for ident in named:
            _say_unwritten(collection, ident)
    if as_json:
        put_json(
            [
                {
                    "path": shown_path(problem.path, collection),
                    "line": problem.line,
                    "column": problem.column,
                    "code": problem.code,
                    "message": problem.message,
                    "fix": problem.fix,
                }
                for problem in problems
            ]
        )
    else:
        for problem in problems:
            place = f":{problem.line}:{problem.column}" if problem.line else ""
            remedy = style(f"; fix: {problem.fix}", fg="green") if problem.fix else ""
            where = style(f"{shown_path(problem.path, collection)}{place}:", bold=True)
            put(f"{where} {style(problem.code, fg='red')}: {problem.message}{remedy}")
    files = len({problem.path for problem in problems})
    count = len(records) or len(collection.files())
    checked = f"{count} record{'s' * (count != 1)} checked"
    if problems:
        found = f"{len(problems)} problem{'s' * (len(problems) > 1)} in {files} file{'s' * (files > 1)}"
        say(f"kb: {found}; {checked}")
        return 1
    say(f"kb: {checked}, no problems")
    return 0


def _named(collection: Collection, reference: str) -> str:
    """The id of a record, also of one that cannot be read, or of a method that has no record yet."""
    slug = reference.replace("_", "-")
    own = (collection.papers / f"{reference}.yaml", collection.papers / "resources" / f"{reference}.yaml")
    code = collection.root / "implementations" / f"{reference.replace('-', '_')}.py"
    if any(path.is_file() for path in own):
        return reference
    return slug if code.is_file() else collection.resolve(reference)


def _say_unwritten(collection: Collection, ident: str) -> None:
    """Fields that only a person can write, and that are empty: no problem, but no finished record either."""
    try:
        data = collection.document(ident).data
    except NotFoundError:
        return
    if data is not None:
        wanted = ("summary", "why", "worth_reading", "topics", "builds_on", "venue")
        empty = [field for field in wanted if not data.get(field)] if data.get("kind") in PAPER_KINDS else []
        if empty:
            say(f"kb: {ident}: not written yet: {', '.join(empty)} (`kb edit {ident}`)")


def _mend(collection: Collection, *, dry_run: bool, as_json: bool) -> None:
    """Write what check can mend by itself, with its diff on stdout (nothing but JSON goes there under --json)."""
    from kb_tools.check.mending import mended

    changes = collection.write(mended(collection), dry_run=dry_run)
    put_changes(collection, changes, dry_run=not as_json)
    for change in changes:
        say(f"{shown_path(change.path, collection)}: {'would be mended' if dry_run else 'mended'}")
