"""The notes of records: papers/notes/ID.md, a Markdown file for each record that somebody wrote about."""

from __future__ import annotations

from pathlib import Path

from kb_tools.errors import InvalidRecordError
from kb_tools.records.fields import NOTES
from kb_tools.records.store import Change, Collection

MAX_BYTES = 256 * 1024


def notes_path(collection: Collection, ident: str) -> Path:
    """Where the notes of a record lie."""
    return collection.papers / NOTES / f"{ident}.md"


def read_notes(path: Path) -> str | None:
    """The text of a file of notes; None if there is none.  Raises InvalidRecordError for what is no text."""
    if path.is_symlink():
        raise InvalidRecordError(f"{path}: is a symbolic link", hint="replace it by a plain file in the collection")
    if not path.exists():
        return None
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRecordError(f"{path}: is not UTF-8", hint="save the file as UTF-8") from None
    except OSError as error:
        raise InvalidRecordError(f"{path}: cannot be read: {error.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise InvalidRecordError(f"{path}: is larger than {MAX_BYTES // 1024} KiB", hint="shorten it")
    return text


def removed_notes(collection: Collection, ident: str) -> list[Change]:
    """What takes the notes of a record away, if it has some."""
    path = notes_path(collection, ident)
    text = read_notes(path)
    return [] if text is None else [Change(path, text, None)]


def moved_notes(collection: Collection, old: str, new: str) -> list[Change]:
    """What gives the notes of one record to another, behind what that one has."""
    text = read_notes(notes_path(collection, old))
    if text is None:
        return []
    target = notes_path(collection, new)
    there = read_notes(target)
    joined = text if not (there or "").strip() else f"{(there or '').rstrip()}\n\n{text.lstrip()}"
    return [Change(notes_path(collection, old), text, None), Change(target, there, joined)]
