"""What check can mend by itself, because there is only one way to: layout, quotes, ids that were renamed, repetitions.

A file with any other problem of syntax is left as it is; nothing that a person must decide is decided here.
"""

from __future__ import annotations

from collections.abc import Mapping

from kb_tools.check.files import outside_document, topics_document
from kb_tools.check.relations import EDGES, former_ids
from kb_tools.records.edit import set_fields
from kb_tools.records.layout import canonical
from kb_tools.records.reader import Document, Value, read_text
from kb_tools.records.schema import schemas
from kb_tools.records.store import Change, Collection

_SETS = (
    *EDGES,
    "topics",
    "aliases",
    "former_ids",
)  # lists in which nothing is meant twice; two authors may share a name


def mended(collection: Collection) -> list[Change]:
    """Every file that can be mended, before and after."""
    documents = list(collection.documents())
    former = former_ids({document.path.stem: document for document in documents})
    changes = []
    for document in documents:
        readable = _readable(document)
        if readable is not None:
            laid_out = canonical(set_fields(readable, _lists(readable, former)))
            changes.append(Change(document.path, document.text, laid_out))
    for document in (topics_document(collection), outside_document(collection)):
        readable = _readable(document) if document.text else None
        if readable is not None:
            changes.append(Change(document.path, document.text, canonical(readable)))
    changes += schema_changes(collection)
    return [change for change in changes if change.after != change.before]


def schema_changes(collection: Collection) -> list[Change]:
    """The schemas in papers/ as this version of the records has them; what is no text there is not overwritten."""
    changes = []
    for name, text in schemas().items():
        path = collection.papers / name
        try:
            changes.append(Change(path, path.read_text(encoding="utf-8"), text))
        except FileNotFoundError:
            changes.append(Change(path, None, text))
        except (OSError, UnicodeDecodeError):
            continue
    return changes


def _readable(document: Document) -> Document | None:
    """The document with what has a sure replacement replaced; None if it still cannot be read."""
    document = read_text(document.path, document.text)
    while spots := [problem.mend for problem in document.problems if problem.mend]:
        text = document.text
        for start, end, words in sorted(spots, reverse=True):
            text = text[:start] + words + text[end:]
        document = read_text(document.path, text)
    return None if document.problems or document.data is None else document


def _lists(document: Document, former: Mapping[str, str]) -> dict[str, Value]:
    """The lists of a record, each entry once and by its present name."""
    lists: dict[str, Value] = {}
    for field in _SETS:
        value = (document.data or {}).get(field)
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            names = document.strings(field)
            lists[field] = list(dict.fromkeys(former.get(name, name) if field in EDGES else name for name in names))
    return lists
