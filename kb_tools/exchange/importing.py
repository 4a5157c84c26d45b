"""What is to become of each work that a file names: read -> clean -> match -> plan; writing and reporting follow.

`plan` writes nothing.  Everything that the file holds has its row, so that nothing can vanish between two steps.
"""

from __future__ import annotations

from datetime import date
from typing import Literal, NamedTuple

from kb_tools.errors import InvalidRecordError
from kb_tools.exchange.cleaning import clean
from kb_tools.exchange.matching import Matched, match
from kb_tools.exchange.work import Reading
from kb_tools.records.index import Index
from kb_tools.records.store import Change, Collection

Status = Literal["added", "incomplete", "exists", "refused", "not read"]


class Row(NamedTuple):
    """What becomes of one thing that a file holds.

    incomplete: it is added, and the remarks say what is lost or not certain.  refused: it is a work, and is left out.
    taken_for: the title of the record that exists, where it is not the work's own.
    maybe: ids of records that may be the same work, and of which that is not certain.
    """

    status: Status
    line: int
    title: str | None = None
    id: str = ""
    remarks: tuple[str, ...] = ()
    taken_for: str | None = None
    maybe: tuple[str, ...] = ()
    change: Change | None = None


def plan(collection: Collection, reading: Reading) -> list[Row]:
    """A row for everything that a file holds, by line."""
    index = collection.index()
    works = [clean(work) for work in reading.works]
    taken = [path.stem for path in collection.files()]
    rows = [_row(collection, index, found) for found in match(works, index.records(), index.topics(), taken=taken)]
    rows += [Row("refused" if lost.refused else "not read", lost.line, remarks=(lost.says,)) for lost in reading.unread]
    return sorted(rows, key=lambda row: row.line)


def _row(collection: Collection, index: Index, found: Matched) -> Row:
    title = found.work.fields.get("title")
    row = Row("exists", found.work.line, title, found.id, found.remarks, found.taken_for, found.maybe)
    if not found.id:
        return row._replace(status="refused")
    if found.record is None:
        return row
    hidden = collection.hidden(index, (found.record.get("arxiv"), found.record.get("doi")))
    if hidden is not None:
        place = hidden.relative_to(collection.root).as_posix()
        return row._replace(status="refused", remarks=(f"{place} is not valid and names it: mend that file first",))
    from kb_tools.incoming.adding import new_record

    try:
        dated = {} if found.work.ours else {"added": date.today().isoformat()}
        change = new_record(collection, {**found.record, **dated})
    except InvalidRecordError as error:
        return row._replace(status="refused", remarks=tuple(error.message.splitlines()))
    return row._replace(status="incomplete" if found.remarks else "added", change=change)
