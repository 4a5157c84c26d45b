"""A new id for a record: its file, its notes, and every edge that leads to it."""

from __future__ import annotations

from kb_tools.changing.notes import moved_notes
from kb_tools.changing.pointers import names_of, repointed
from kb_tools.changing.removing import code_of
from kb_tools.errors import ConflictError, UsageError
from kb_tools.records.edit import set_fields
from kb_tools.records.index import Index
from kb_tools.records.naming import is_id
from kb_tools.records.reference import fold
from kb_tools.records.store import Change, Collection


def renaming(collection: Collection, index: Index, old: str, new: str) -> list[Change]:
    """The changes that call a record `new`; `old` becomes one of its former ids.

    Raises UsageError for what is no id, ConflictError where the id is taken or a method's code has the old one.
    """
    if not is_id(new):
        raise UsageError(f"{new!r} is no id", hint="ids are lower-case words joined by hyphens, as in score-sde")
    if new == old:
        raise UsageError(f"{old} is called so already", hint="name another id")
    _check_free(collection, index, old, new)
    document = collection.document(old)
    former = [*document.strings("former_ids"), old]
    renamed = set_fields(document, {"id": new, "former_ids": [name for name in former if name != new]})
    target = document.path.with_name(f"{new}.yaml")
    changes = [Change(document.path, document.text, None), Change(target, None, renamed.text)]
    changes += moved_notes(collection, old, new)
    names = dict.fromkeys(names_of(index, [old]), new)
    names.pop(new, None)
    return [*changes, *repointed(collection, index, names, among=[old])]


def _check_free(collection: Collection, index: Index, old: str, new: str) -> None:
    taken = [ident for _, ident in index.named([fold(new)]) if ident != old]
    taken += [path.stem for path in collection.files() if path.stem == new]
    if taken:
        raise ConflictError(f"{new} already means {taken[0]}", hint="choose another id")
    code = [*code_of(collection, old), *code_of(collection, new)]
    if code:
        files = ", ".join(path.relative_to(collection.root).as_posix() for path in code)
        raise ConflictError(
            f"{old} is a method with code, and record, code, demo, tests and evidence share one name: {files}",
            hint="rename these by hand, with the imports and the record's `implementation`; then the record's file",
        )
