"""The notes of records: papers/notes/ID.md, a Markdown file for each record that somebody wrote about."""

from __future__ import annotations

from pathlib import Path

from kb_tools.errors import InvalidRecordError
from kb_tools.records.fields import NOTES

MAX_BYTES = 256 * 1024


def notes_path(papers: Path, ident: str) -> Path:
    """Where the notes of a record lie.  papers: the folder of the records."""
    return papers / NOTES / f"{ident}.md"


def notes_files(papers: Path) -> list[Path]:
    """Every file of notes, by name, whether there is a record for it or not."""
    return sorted(path for path in (papers / NOTES).glob("*.md") if not path.name.startswith("."))


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
