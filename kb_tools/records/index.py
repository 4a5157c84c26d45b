"""A derived copy of the records for fast listing: SQLite in .kb/, never authoritative.

A row is used only while its file's size, modification time, change time and inode are those it was read at, and only
if the file had been still for a moment when it was read: otherwise the file is read again.  A broken or unwritable
cache costs time, never truth: it is rebuilt, or kept in memory.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from kb_tools import __version__
from kb_tools.errors import InvalidRecordError, plain
from kb_tools.records.fields import RECORD_FIELDS, TOPICS_FILE
from kb_tools.records.notes import read_notes
from kb_tools.records.reference import arxiv_id, fold

_FORMAT = 6
_ASKED = 100  # words of a search that SQLite looks for; it refuses a condition of more than a thousand parts
_UNKNOWN = ("", -1, -1, -1, -1, 0)  # the row of a file that there was not
_SETTLED_NS = 100_000_000  # a file that changed this shortly before it was read may change again unseen

# What listing, filtering and ordering need; the rest of a record stays out of the way.
CARD_FIELDS = (
    "id",
    "kind",
    "title",
    "authors",
    "year",
    "venue",
    "arxiv",
    "doi",
    "aliases",
    "topics",
    "worth_reading",
    "why",
    "status",
    "read_on",
    "builds_on",
    "about",
    "cites",
    "implementation",
)
# What a plain listing shows and sorts by; the rest of a card is read where it is asked for.
_SHOWN = ("id", "kind", "title", "year", "worth_reading", "status")
_REST = tuple(name for name in CARD_FIELDS if name not in _SHOWN)

# What every command reads of every file stands apart from what is read of a few.
_TABLES = """
create table file (
    path text primary key, id text, size int, mtime int, ctime int, inode int, checked int, card text, rest text,
    problems text
);
create index file_id on file (id);
create index file_invalid on file (path) where problems is not null;
create table content (path text primary key, id text, record text, words text);
create index content_id on content (id);
create table note (path text primary key, id text, words text);
create index note_id on note (id);
create table name (key text, rank int, id text, path text);
create index name_key on name (key);
create index name_path on name (path);
"""


class Entry:
    """The listed part of a record, with the model's names; absent texts and numbers are None, absent lists empty."""

    __slots__ = (*CARD_FIELDS, "_rest", "has_summary", "path")

    id: str
    kind: str
    title: str
    authors: list[str]
    year: int | None
    venue: str | None
    arxiv: str | None
    doi: str | None
    aliases: list[str]
    topics: list[str]
    worth_reading: int | None
    why: str | None
    status: str
    read_on: str | None
    builds_on: list[str]
    about: list[str]
    cites: list[str]
    implementation: str | None
    has_summary: bool
    path: str

    def __init__(self, card: list, rest: str) -> None:
        """card, rest: as `_card` makes them."""
        # Spelled out because a listing makes one for every record.
        self.id, self.kind, self.title, self.year, self.worth_reading, self.status, self.has_summary, self.path = card
        self._rest = rest

    def __getattr__(self, name: str) -> Any:
        """A field of the rest, which is read when the first of them is asked for."""
        if name not in _REST:
            raise AttributeError(f"an entry has no field {name!r}")
        for field, value in zip(_REST, json.loads(self._rest), strict=True):
            setattr(self, field, value)
        return getattr(self, name)


class Invalid(NamedTuple):
    """A file that cannot be used: its path inside the collection and its problems, one per line."""

    id: str
    path: str
    problems: str


class Index:
    """The cache of one collection, brought up to date when it is opened."""

    def __init__(self, root: Path, files: Iterable[os.DirEntry[str]]) -> None:
        self.root = root
        files = list(files)
        try:
            self.base = self._open(root / ".kb" / "index.sqlite")
            self._refresh(files)
        except (sqlite3.DatabaseError, OSError):
            self.base = self._fresh(sqlite3.connect(":memory:"))
            self._refresh(files)

    def entries(self) -> list[Entry]:
        """Every readable record, by id."""
        query = "select card, rest from file where rest is not null order by id, path"
        rows = self.base.execute(query).fetchall()
        cards = json.loads("[" + ",".join([card for card, _ in rows]) + "]")
        return [Entry(card, rest) for card, (_, rest) in zip(cards, rows, strict=True)]

    def invalid(self) -> list[Invalid]:
        """Every file that cannot be used, by path."""
        rows = self.base.execute("select id, path, problems from file where problems is not null order by path")
        return [Invalid(*row) for row in rows]

    def topics(self) -> dict[str, str]:
        """Topic id -> title, in the order of topics.yaml; empty if that file cannot be read."""
        row = self.base.execute("select card from file where id = ''").fetchone()
        return json.loads(row[0]) if row and row[0] else {}

    def record(self, ident: str) -> dict:
        """Everything the file of a record says, as plain data."""
        row = self.base.execute("select record from content where id = ?", (ident,)).fetchone()
        if row is None:
            raise KeyError(ident)
        return json.loads(row[0])

    def records(self) -> list[dict]:
        """Everything the files of all readable records say, by id, as they were at one moment."""
        rows = self.base.execute("select record from content order by id, path")
        return [json.loads(record) for (record,) in rows]

    def named(self, keys: list[str]) -> list[tuple[int, str]]:
        """(rank, id) of every record that answers to one of these keys, best rank first."""
        marks = ",".join("?" * len(keys))
        query = f"select min(rank), id from name where key in ({marks}) group by id order by 1, 2"  # noqa: S608
        return self.base.execute(query, keys).fetchall()

    def names(self) -> Iterator[tuple[str, str]]:
        """(key, id) of every name in the collection."""
        return self.base.execute("select key, id from name order by rank, key, id")

    def search(self, words: list[str]) -> list[tuple[Entry, str]]:
        """Records that contain every word (folded) somewhere, each with its folded text."""
        asked = words[:_ASKED]
        where = " and ".join(["instr(said, ?) > 0"] * len(asked)) or "true"
        query = f"select card, rest, said from ({self._said()}) join file using (path) where {where} order by name"  # noqa: S608
        rows = self.base.execute(query, asked)
        rest = words[_ASKED:]
        return [
            (Entry(json.loads(card), more), text) for card, more, text in rows if all(word in text for word in rest)
        ]

    def words(self) -> Counter[str]:
        """Every word that a search looks at, folded, and how many records have it."""
        found: Counter[str] = Counter()
        for (text,) in self.base.execute(f"select said from ({self._said()})"):  # noqa: S608
            found.update(set(re.findall(r"\w+", text)))
        return found

    def _said(self) -> str:
        """A query of path, id and folded text of every record; what is noted about it ends its last line."""
        if self.base.execute("select 1 from note limit 1").fetchone() is None:
            return "select path, id as name, words as said from content"
        joined = "content.words || coalesce(' ' || note.words, '') as said"
        return f"select content.path, content.id as name, {joined} from content left join note using (id)"  # noqa: S608

    def _open(self, path: Path) -> sqlite3.Connection:
        path.parent.mkdir(exist_ok=True)
        base = sqlite3.connect(path, timeout=5)
        try:
            if base.execute("pragma user_version").fetchone()[0] == _version():
                return base
            base.close()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            base.close()
        # Another kb may be rebuilding at this moment: each builds a file of its own, and the last one stays.
        fresh = path.with_name(f"index.{os.getpid()}.sqlite")
        fresh.unlink(missing_ok=True)
        self._fresh(sqlite3.connect(fresh)).close()
        fresh.replace(path)
        return sqlite3.connect(path, timeout=5)

    def _fresh(self, base: sqlite3.Connection) -> sqlite3.Connection:
        base.executescript(_TABLES + f"pragma user_version = {_version()};")
        return base

    def _refresh(self, files: list[os.DirEntry[str]]) -> None:
        rows = self.base.execute("select path, size, mtime, ctime, inode, checked from file")
        known = {row[0]: row for row in rows.fetchall()}
        prefix = len(str(self.root)) + 1
        changed: list[tuple[str, Path, os.stat_result]] = []
        for file in files:
            path, stat = file.path[prefix:], file.stat(follow_symlinks=False)
            path = path if path.isprintable() else plain(path)
            _, *was, checked = known.pop(path, _UNKNOWN)
            written, moved = stat.st_mtime_ns, stat.st_ctime_ns
            same = was == [stat.st_size, written, moved, stat.st_ino]
            if not same or written + _SETTLED_NS > checked or moved + _SETTLED_NS > checked:
                changed.append((path, Path(file.path), stat))
        if not changed and not known:
            return
        with self.base:
            self.base.execute("begin immediate")
            # A row without a file in our list may be of a file that another kb added after we listed them.
            gone = [path for path in known if not (self.root / path).exists()]
            for path in (*gone, *(path for path, _, _ in changed)):
                for table in ("file", "content", "name", "note"):
                    self.base.execute(f"delete from {table} where path = ?", (path,))  # noqa: S608
            for path, place, stat in changed:
                self._add(path, place, stat)

    def _add(self, path: str, place: Path, stat: os.stat_result) -> None:
        from kb_tools.records.reader import read_file
        from kb_tools.records.shapes import check_id, check_shapes

        stamp = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, time.time_ns())
        if place.suffix == ".md":
            self._add_note(path, place, stamp)
            return
        document = read_file(place)
        if Path(path).name == TOPICS_FILE:
            topics = {
                key: topic.get("title") or key
                for key, topic in (document.data or {}).items()
                if isinstance(topic, dict)
            }
            row = ("", *stamp, json.dumps(topics, ensure_ascii=False), None, None)
        else:
            ident = Path(path).stem
            check_shapes(document)
            check_id(document)
            if document.problems:
                row = (ident, *stamp, None, None, "\n".join(str(problem) for problem in document.problems))
            else:
                data = document.require()
                row = (ident, *stamp, *_card(data, path), None)
                content = (path, ident, json.dumps(data, ensure_ascii=False), _words(data))
                self.base.execute("insert into content values (?, ?, ?, ?)", content)
                self.base.executemany(
                    "insert into name values (?, ?, ?, ?)", [(key, rank, ident, path) for key, rank in _names(data)]
                )
        # Two names that cannot be shown may have the same escapes: neither is valid, and one stands for both.
        self._put_file((path, *row))

    def _put_file(self, row: tuple[object, ...]) -> None:
        self.base.execute(f"insert or replace into file values ({','.join('?' * len(row))})", row)  # noqa: S608

    def _add_note(self, path: str, place: Path, stamp: tuple[int, ...]) -> None:
        """Notes that cannot be read are for `kb check` to report, and hold no words."""
        try:
            text = fold(read_notes(place) or "")
        except InvalidRecordError:
            text = ""
        self.base.execute("insert or replace into note values (?, ?, ?)", (path, place.stem, text))
        self._put_file((path, None, *stamp, None, None, None))


def _version() -> int:
    """Changes whenever the cache of another version cannot be trusted; fits a signed 32-bit integer."""
    seed = repr((__version__, _FORMAT, CARD_FIELDS, list(RECORD_FIELDS)))
    return zlib.crc32(seed.encode()) & 0x7FFFFFFF


def _card(data: dict, path: str) -> tuple[str, str]:
    """The two parts of what an Entry holds."""
    values = {name: data.get(name) or ([] if RECORD_FIELDS[name] is list else None) for name in CARD_FIELDS}
    values["status"] = values["status"] or "unread"
    card = [*(values[name] for name in _SHOWN), bool(data.get("summary")), path]
    return json.dumps(card, ensure_ascii=False), json.dumps([values[name] for name in _REST], ensure_ascii=False)


def _words(data: dict) -> str:
    """Everything a search looks at, folded, most telling first, one field per line."""
    aliases, authors, topics = (data.get(name) or [] for name in ("aliases", "authors", "topics"))
    parts = [
        " | ".join([data["id"], *aliases]),
        data["title"],
        ", ".join(authors),
        " ".join([*topics, *(str(data.get(name) or "") for name in ("arxiv", "venue", "year", "kind"))]),
        " ".join(data.get(name) or "" for name in ("why", "summary")),
        " ".join([data.get("abstract") or "", *(data.get("notes") or [])]),
    ]
    return "\n".join(fold(part) for part in parts)


def _names(data: dict) -> Iterator[tuple[str, int]]:
    """(key, rank) under which a record is found; a lower rank wins."""
    yield fold(data["id"]), 0
    for former in data.get("former_ids") or []:
        yield fold(former), 1
    if data.get("arxiv"):
        found = arxiv_id(data["arxiv"])
        yield f"arxiv:{found[0] if found else data['arxiv']}", 2
    if data.get("doi"):
        yield f"doi:{data['doi'].lower()}", 2
    if data.get("key"):
        yield fold(data["key"]), 2
    for name in [data["title"], *(data.get("aliases") or [])]:
        yield fold(name), 3
