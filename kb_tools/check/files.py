"""What one file shows by itself: syntax, model, name, layout, and fields that must come together."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from kb_tools.errors import InvalidRecordError, Problem
from kb_tools.progress.marks import UNKNOWN_MARKS, loads
from kb_tools.records.fields import OUTSIDE_FILE, PAPER_KINDS, TOPICS_FILE
from kb_tools.records.layout import canonical
from kb_tools.records.notes import notes_files, read_notes
from kb_tools.records.reader import Document, read_file
from kb_tools.records.schema import schemas
from kb_tools.records.shapes import check_id
from kb_tools.records.store import Collection
from kb_tools.records.validate import validate_record, validate_topics

# A field of the first column says nothing without the one of the second.
_TOGETHER = (
    ("worth_reading", "worth_reading_by", "say whose score it is: `seed 002` or `editors`"),
    ("cites", "cites_source", "say where the list was read"),
    ("equations", "equations_from", "say which version numbers them"),
    ("equations", "implementation", "name the method that implements them"),
    ("algorithms", "implementation", "name the method that implements them"),
    ("symbols", "implementation", "name the method whose names they are"),
)


def topics_document(collection: Collection) -> Document:
    """topics.yaml as read, with what is wrong in it; a collection without one has no topics."""
    path = collection.papers / TOPICS_FILE
    if not path.exists():
        return Document(path, "")
    document = read_file(path)
    validate_topics(document)
    return document


def outside_document(collection: Collection) -> Document:
    """outside.yaml as read; a collection without one cites nothing beyond itself."""
    path = collection.papers / OUTSIDE_FILE
    return read_file(path) if path.exists() else Document(path, "")


def check_files(collection: Collection, documents: list[Document], others: list[Document]) -> Iterator[Problem]:
    """Validate every document; the model's problems go to the documents, the others are yielded."""
    for document in documents:
        validate_record(document)
        check_id(document)
        if document.data is not None:
            yield from _together(document, document.data)
            yield from _authors_code(document, document.data)
            yield from _status(document, document.data)
            yield from _stub(document, document.data)
        yield from _layout(document)
    for other in others:
        if other.text:
            yield from _layout(other)
    for name, text in schemas().items():
        path = collection.papers / name
        try:
            same = path.read_text(encoding="utf-8") == text
        except FileNotFoundError:
            same = False
        except (OSError, UnicodeDecodeError):
            yield Problem(path, 0, 0, "schema", "cannot be read as text", fix="delete it, then run `kb fmt`")
            continue
        if not same:
            yield Problem(path, 0, 0, "schema", "is not the schema of this version's records", fix="run `kb fmt`")


def check_marks(collection: Collection) -> Iterator[Problem]:
    """The marks that wait for their records, if there are any, can be read."""
    path = collection.papers / UNKNOWN_MARKS
    if not path.exists():
        return
    try:
        loads(path.read_text(encoding="utf-8"), path.name)
    except InvalidRecordError as error:
        yield Problem(path, 0, 0, "marks", error.message, fix="mend it, or delete it and the marks in it")
    except (OSError, UnicodeDecodeError):
        yield Problem(path, 0, 0, "marks", "cannot be read as text", fix="mend it, or delete it and the marks in it")


def check_notes(collection: Collection, documents: list[Document]) -> Iterator[Problem]:
    """Every file of notes can be read, and is about a record that there is."""
    known = {document.path.stem for document in documents}
    called = {former: d.path.stem for d in documents if d.data is not None for former in d.strings("former_ids")}
    for path in notes_files(collection.papers):
        try:
            read_notes(path)
        except InvalidRecordError as error:
            message = error.message.removeprefix(f"{path}: ")
            yield Problem(path, 0, 0, "notes", message, fix=error.hint)
        if path.stem not in known:
            now = called.get(path.stem)
            fix = f"call it {now}.md" if now else "give it the id of a record, or delete it"
            yield Problem(path, 0, 0, "notes", f"there is no record {path.stem}", fix=fix)


def _together(document: Document, data: dict) -> Iterator[Problem]:
    for field, other, fix in _TOGETHER:
        if data.get(field) and not data.get(other):
            line, column = document.where((field,))
            yield Problem(document.path, line, column, "incomplete", f"{field}: stands without {other}", fix=fix)


def _authors_code(document: Document, data: dict) -> Iterator[Problem]:
    links = data.get("links")
    if data.get("authors_code") and not (isinstance(links, dict) and links.get("code")):
        line, column = document.where(("authors_code",))
        message, fix = "authors_code: stands without links.code", "name the repository as links.code"
        yield Problem(document.path, line, column, "incomplete", message, fix=fix)


def _status(document: Document, data: dict) -> Iterator[Problem]:
    day, status = data.get("read_on"), data.get("status") or "unread"
    if not isinstance(day, str):
        return
    line, column = document.where(("read_on",))
    if status == "unread":
        fix = "set the status with `kb status`, or delete read_on"
        yield Problem(document.path, line, column, "status", "read_on: a date, but the status is unread", fix=fix)
    try:
        date.fromisoformat(day)
    except ValueError:
        yield Problem(document.path, line, column, "status", f"read_on: there is no day {day!r}", fix="mend the date")


def _stub(document: Document, data: dict) -> Iterator[Problem]:
    """A paper that was added without asking anybody has an arXiv id and no authors yet."""
    if data.get("kind") in PAPER_KINDS and data.get("arxiv") and not data.get("authors"):
        line, column = document.where(("arxiv",))
        fix = f"run `kb refresh {document.path.stem} --apply`, or write them"
        yield Problem(document.path, line, column, "stub", "is a stub: it has no authors yet", fix=fix)


def _layout(document: Document) -> Iterator[Problem]:
    if document.problems or document.data is None:
        return
    text = canonical(document)
    if text != document.text:
        pairs = zip(document.text.split("\n"), text.split("\n"), strict=False)
        line = next((number for number, (is_now, should) in enumerate(pairs, 1) if is_now != should), 1)
        yield Problem(
            document.path,
            line,
            1,
            "layout",
            "is not laid out canonically from here",
            fix=f"run `kb fmt {document.path.stem}`",
        )
