"""Notes that go or move with their record."""

from __future__ import annotations

from kb_tools.records.notes import notes_path, read_notes
from kb_tools.records.store import Change, Collection


def removed_notes(collection: Collection, ident: str) -> list[Change]:
    """What takes the notes of a record away, if it has some."""
    path = notes_path(collection.papers, ident)
    text = read_notes(path)
    return [] if text is None else [Change(path, text, None)]


def moved_notes(collection: Collection, old: str, new: str) -> list[Change]:
    """What gives the notes of one record to another, behind what that one has."""
    text = read_notes(notes_path(collection.papers, old))
    if text is None:
        return []
    target = notes_path(collection.papers, new)
    there = read_notes(target)
    joined = text if not (there or "").strip() else f"{(there or '').rstrip()}\n\n{text.lstrip()}"
    return [Change(notes_path(collection.papers, old), text, None), Change(target, there, joined)]
