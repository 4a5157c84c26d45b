"""The one way in: read -> clean -> match -> plan -> write -> report, whoever names the works.

A file is read by `exchange.reading`, a service by `incoming.asking`; both give a `Reading`, and `take` does the rest.
Everything in it has its row, so that nothing can vanish between two steps; whoever called reports the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal, NamedTuple

from kb_tools.changing.pointers import EDGES, replaced
from kb_tools.errors import ConflictError, InvalidRecordError
from kb_tools.exchange.cleaning import clean
from kb_tools.exchange.matching import Matched, match
from kb_tools.exchange.work import Asked, Candidate, Reading, Unread, Work
from kb_tools.records.index import Index
from kb_tools.records.reader import Value
from kb_tools.records.store import Change, Collection

Status = Literal[
    "added", "incomplete", "exists", "updated", "missing", "refused", "withdrawn", "conflict", "not read"
]  # fmt: skip
ADDED = ("added", "incomplete")
_TRIES = 5  # another kb may take an id between the look and the write


class Wishes(NamedTuple):
    """What is wanted beside the works.

    given: fields of every new record.  slug: the id of the only one.  update: what exists is brought up to date.
    withdrawn: papers that were taken back are added too.  strict: nothing is written if anything would be lost.
    """

    given: Mapping[str, Value] = {}
    slug: str | None = None
    update: bool = False
    withdrawn: bool = False
    strict: bool = False


class Row(NamedTuple):
    """What became of one thing that was named.

    incomplete: it is added, and the remarks say what is lost or not certain.  refused: it is a work, and is left out.
    missing: nobody knows it.  conflict: a file that is not valid may be its record.
    name: as what it was asked for.  taken_for: the title of the record that exists, where it is not the work's own.
    maybe: ids of records that may be the same work, and of which that is not certain.  notes: what is said beside, and
    is no loss.  newer: the version that arXiv has, where it is not the record's.  near: what may be meant.
    """

    status: Status
    line: int
    title: str | None = None
    id: str = ""
    remarks: tuple[str, ...] = ()
    taken_for: str | None = None
    maybe: tuple[str, ...] = ()
    change: Change | None = None
    name: str = ""
    notes: tuple[str, ...] = ()
    newer: int | None = None
    near: tuple[Candidate, ...] = ()

    @property
    def lossy(self) -> bool:
        """Whether anything of it is lost or not certain."""
        return bool(self.remarks or self.taken_for)


def take(collection: Collection, reading: Reading, wishes: Wishes, *, dry_run: bool) -> list[Row]:
    """Make records of works: all that can be added is written, or nothing; returns a row for each, by line.

    Raises ConflictError if files change all the time, or if the slug that is wished for is taken.
    """
    works = [clean(work) for work in reading.works]
    for last in (*[False] * (_TRIES - 1), True):
        rows = [*_planned(collection, works, wishes), *map(_unread, reading.unread)]
        changes = [row.change for row in rows if row.change]
        if not (wishes.strict and any(row.lossy for row in rows)):
            try:
                collection.write(changes, dry_run=dry_run)
            except ConflictError:
                if last or not any(_overtaken(change) for change in changes):
                    raise
                continue
        return sorted(rows, key=lambda row: row.line)
    raise AssertionError("the last try returns or raises")


def _planned(collection: Collection, works: list[Work], wishes: Wishes) -> list[Row]:
    """What is to become of each work, as the collection is now; nothing is written."""
    index = collection.index()
    given = {name: value for name, value in {"id": wishes.slug, **wishes.given}.items() if value}
    works = [work._replace(fields={**work.fields, **given}) for work in works]
    # Every name is taken, and that of a file that cannot be read too.
    taken = {path.stem for path in collection.files()} | ({name for name, _ in index.names()} if works else set())
    found = _led_on(match(works, index.records() if works else [], index.topics(), taken=taken))
    rows = [_row(collection, index, one, wishes) for one in found]
    refused = {row.id for row in rows if row.status == "refused"} - {""}
    if not any(row.status == "exists" and row.id in refused for row in rows):
        return rows
    # A record that is not made must not stand for other works: these are looked at again without it.
    others = [work for work, row in zip(works, rows, strict=True) if row.status != "refused"]
    again = iter(_planned(collection, others, wishes))
    return [row if row.status == "refused" else next(again) for row in rows]


def _led_on(found: list[Matched]) -> list[Matched]:
    """Edges of records that come together lead to the same works as before, whatever these are called here."""
    ours = [(one.work.fields.get("id"), one.id) for one in found if one.work.ours]
    names = {there: here for there, here in ours if isinstance(there, str) and here}
    led = []
    for one in found:
        record = one.record
        if record is not None and one.work.ours:
            edges = {name: replaced(record[name], names, one.id) for name in EDGES if record.get(name)}
            one = one._replace(record={**record, **edges})
        led.append(one)
    return led


def _row(collection: Collection, index: Index, found: Matched, wishes: Wishes) -> Row:
    work, asked = found.work, found.work.asked
    row = Row("exists", work.line, work.fields.get("title"), found.id, found.remarks, found.taken_for, found.maybe)
    row = row._replace(name=asked.name if asked else "")
    if not found.id:
        return row._replace(status="refused")
    if found.record is None:
        return _existing(collection, index, row, asked, wishes) if asked else row
    if asked and found.record.get("withdrawn") and not wishes.withdrawn:
        says = f"{row.name} was withdrawn: {row.title}; --allow-withdrawn adds it all the same"
        return row._replace(status="withdrawn", id="", notes=(says,), remarks=())
    hidden = collection.hidden(index, (row.name, found.record.get("arxiv"), found.record.get("doi")))
    if hidden is not None:
        place = hidden.relative_to(collection.root).as_posix()
        if not asked:
            return row._replace(status="refused", remarks=(f"{place} is not valid and names it: mend that file first",))
        says = f"{place} is not valid, and names {row.name}: mend it first, see `kb check`"
        return row._replace(status="conflict", id="", remarks=(says,))
    return _new(collection, row, found.record, work, wishes)


def _new(collection: Collection, row: Row, record: dict[str, Any], work: Work, wishes: Wishes) -> Row:
    from kb_tools.incoming.adding import new_record

    if wishes.slug and row.id != wishes.slug:
        raise ConflictError(f"--slug: {wishes.slug} was taken meanwhile", hint="choose another id")
    dated = {} if work.ours else {"added": date.today().isoformat()}
    try:
        change = new_record(collection, {**record, **dated})
    except InvalidRecordError as error:
        ident = "" if work.asked else row.id
        return row._replace(status="refused", id=ident, remarks=tuple(error.message.splitlines()))
    asked, version = work.asked, record.get("arxiv_version")
    if asked and asked.version and version and asked.version != version:
        says = f"v{asked.version} was asked for; the record describes the latest, v{version}"
        row = row._replace(notes=(says,))
    return row._replace(status="incomplete" if row.remarks else "added", change=change)


def _existing(collection: Collection, index: Index, row: Row, asked: Asked, wishes: Wishes) -> Row:
    """What exists stays as it is, but for a wish to bring it up to date; that arXiv has a newer version is said."""
    from kb_tools.incoming.adding import refreshed

    answer = asked.answer
    row = row._replace(remarks=())
    if wishes.update and answer is not None:
        changes = collection.change([row.id], lambda data: refreshed(data, answer), dry_run=True)
        if changes:
            return row._replace(status="updated", taken_for=None, change=changes[0])
        return row._replace(notes=("nothing upstream has changed",))
    ours = index.record(row.id).get("arxiv_version")
    theirs = max(asked.version or 0, (answer.version if answer else None) or 0)
    if ours and theirs > ours:
        says = f"arXiv has v{theirs}, the record describes v{ours}; --update refreshes it"
        return row._replace(notes=(says,), newer=theirs)
    return row


def _unread(lost: Unread) -> Row:
    status: Status = "refused" if lost.refused else "missing" if lost.name else "not read"
    return Row(status, lost.line, remarks=(lost.says,), name=lost.name, near=lost.near)


def _overtaken(change: Change) -> bool:
    """Whether somebody else wrote or removed the file meanwhile."""
    if change.before is None or not change.path.exists():
        return change.path.exists() == (change.before is None)
    return change.path.read_text(encoding="utf-8") != change.before
