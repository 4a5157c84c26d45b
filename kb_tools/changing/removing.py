"""Taking records out of the collection, with the edges that lead to them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from kb_tools.changing.notes import removed_notes
from kb_tools.changing.pointers import Pointer, names_of, pointers, repointed
from kb_tools.errors import InvalidRecordError
from kb_tools.records.index import Index
from kb_tools.records.store import Change, Collection


class Removal(NamedTuple):
    """What removing records means.

    pointers: who names them and loses these edges.  code: files of their methods, which would stay without a record.
    unread: files that cannot be used and seem to name one of them.
    """

    changes: list[Change]
    pointers: list[Pointer]
    code: list[Path]
    unread: list[Path]


def removal(collection: Collection, index: Index, idents: list[str]) -> Removal:
    """The changes that take records and their notes away, and every edge to them."""
    names = names_of(index, idents)
    found = pointers(collection, index, names, among=idents)
    changes = [_gone(collection, ident) for ident in idents]
    changes += [change for ident in idents for change in removed_notes(collection, ident)]
    changes += repointed(collection, index, dict.fromkeys(names), among=idents)
    code = [path for ident in idents for path in code_of(collection, ident)]
    return Removal(changes, found, code, _unread(collection, index, names, idents))


def code_of(collection: Collection, ident: str) -> list[Path]:
    """The files of a record's method that are there: code, demo, tests, evidence."""
    from kb_tools.check import files_of

    return sorted(
        path for path in files_of(collection, ident) if not path.is_relative_to(collection.papers) and path.exists()
    )


def _gone(collection: Collection, ident: str) -> Change:
    document = collection.document(ident)
    if document.path.is_symlink() or document.path.read_bytes() != document.text.encode("utf-8"):
        raise InvalidRecordError(f"{document.path}: is no text that could be shown first", hint="delete it by hand")
    return Change(document.path, document.text, None)


def _unread(collection: Collection, index: Index, names: list[str], idents: list[str]) -> list[Path]:
    """Files that are not valid and hold one of the ids as a word: edges in them cannot be found for certain."""
    import re

    pattern = re.compile(rb"(?<![\w-])(?:" + b"|".join(re.escape(name.encode()) for name in names) + rb")(?![\w-])")
    paths = [collection.root / one.path for one in index.invalid() if one.id not in idents]
    return [path for path in paths if path.is_file() and not path.is_symlink() and pattern.search(path.read_bytes())]
