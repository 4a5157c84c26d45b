"""What check can mend by itself, because there is only one way to: layout, quotes, ids that were renamed, repetitions.

A file with any other problem of syntax is left as it is; nothing that a person must decide is decided here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kb_tools.check.files import outside_document, topics_document
from kb_tools.check.outside import become_records
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
    outside = outside_document(collection)
    readable_outside = _readable(outside) if outside.text else None
    arrived = become_records(readable_outside, documents) if readable_outside else []
    cited = _citations(readable_outside, arrived) if readable_outside else {}
    changes = []
    for document in documents:
        readable = _readable(document)
        if readable is not None:
            lists = _lists(readable, former, cited.get(document.path.stem, []))
            changes.append(Change(document.path, document.text, canonical(set_fields(readable, lists))))
    topics = topics_document(collection)
    readable = _readable(topics) if topics.text else None
    if readable is not None:
        changes.append(Change(topics.path, topics.text, canonical(readable)))
    if readable_outside is not None:
        places = {place for place, _ in arrived}
        left = [work for place, work in enumerate(_works(readable_outside)) if place not in places]
        kept = set_fields(readable_outside, {"works": left}) if places else readable_outside
        changes.append(Change(outside.path, outside.text, canonical(kept)))
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


def _works(outside: Document) -> list[Any]:
    works = (outside.data or {}).get("works")
    return works if isinstance(works, list) else []


def _citations(outside: Document, arrived: list[tuple[int, str]]) -> dict[str, list[str]]:
    """Record -> the works it cites that were outside and are records now."""
    found: dict[str, list[str]] = {}
    for place, ident in arrived:
        for citing in _works(outside)[place].get("cited_by", []):
            found.setdefault(citing, []).append(ident)
    return found


def _lists(document: Document, former: Mapping[str, str], cites: list[str]) -> dict[str, Value]:
    """The lists of a record, each entry once and by its present name.  cites: what it cites too, if it says what."""
    lists: dict[str, Value] = {}
    for field in _SETS:
        value = (document.data or {}).get(field)
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            names = document.strings(field)
            names += cites if field == "cites" else []
            lists[field] = list(dict.fromkeys(former.get(name, name) if field in EDGES else name for name in names))
    return lists
