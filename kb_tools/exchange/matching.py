"""Which of the works that a file names a collection already has, and a record for each of the others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from kb_tools.exchange.work import Data, Work
from kb_tools.records.fields import PAPER_KINDS, RECORD_FIELDS
from kb_tools.records.naming import family_word, propose_id
from kb_tools.records.reference import fold

_DISTINCT = 6  # words of a title that nobody chooses a second time
# What a file that is no export of a collection says about a work has no second source.
_CLAIMED = ("kind", "title", "authors", "year", "venue")


class Matched(NamedTuple):
    """A work of a file, the id of its record, and whether that record is new.

    record: what is to be written for a new one; None for one that exists.  A work without a title has no id.
    """

    work: Work
    id: str
    record: dict[str, Any] | None
    remarks: tuple[str, ...]


class Known:
    """Every name, identifier and address under which the records of a collection are met."""

    def __init__(self, records: Iterable[Data]) -> None:
        self.ids: set[str] = set()
        self.kinds: dict[str, str] = {}  # id -> its kind; papers, surveys and tutorials are one
        self.families: dict[str, str] = {}
        self.names: dict[str, list[str]] = {}
        self.marks: dict[str, list[str]] = {}
        self.own: dict[
            str, set[str]
        ] = {}  # id -> marks that are of the work itself: not its code, not its project page
        for record in records:
            self.add(record)

    def add(self, record: Data) -> None:
        """Know one more record."""
        ident = str(record["id"])
        self.ids.update([ident, *(record.get("former_ids") or [])])
        self.kinds[ident] = _kind(record)
        self.families[ident] = family_word(record)
        self.own.setdefault(ident, set())
        written = [source.get("as_written") or {} for source in record.get("sources") or [] if isinstance(source, dict)]
        names = [ident, *(record.get("former_ids") or []), *(record.get("aliases") or [])]
        for name in [*names, *(words.get("title") for words in written)]:
            _note(self.names, _name(name), ident)
        for mark in (_url(words["link"]) for words in written if words.get("link")):
            _note(self.marks, mark, ident)
            self.own[ident].add(mark)
        self.note(record, ident)

    def note(self, fields: Mapping[str, Any], ident: str) -> None:
        """Know a record by one more title, identifier or address."""
        _note(self.names, _name(fields["title"]), ident)
        marks = _marks(fields)
        for mark in marks:
            _note(self.marks, mark, ident)
        self.own[ident].update(_own(marks))

    def find(self, fields: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...]]:
        """The id of the record that a work is, and what is odd about it; None if it is none of them.

        An identifier or an address is believed, and so is a name; where they mean different records, the name wins.
        Between a paper and a resource only the address of the work itself counts: a paper's link to its code is not
        the record of that code.  An export of a collection says for certain what kind a work is; a list is guessed at.
        """
        kind, certain = _kind(fields), "id" in fields
        aliases = fields.get("aliases") or []
        title = str(fields["title"])
        asked = [title, *(f"{title} ({alias})" for alias in aliases)]
        marked = [
            ident
            for mark in _marks(fields)
            for ident in self.marks.get(mark, [])
            if self.kinds[ident] == kind
            or (not certain and ("paper" not in (kind, self.kinds[ident]) or mark in self.own[ident]))
        ]
        named = [ident for name in asked for ident in self.names.get(_name(name), [])]
        if certain:
            named = [ident for ident in named if self.kinds[ident] == kind]
        # Two people may choose one short title; a long one by somebody else is the same work with a name misspelt.
        family = family_word(fields)
        if family and len(_name(title).split()) < _DISTINCT:
            named = [ident for ident in named if self.families[ident] in ("", family)]
        both = [ident for ident in named if ident in marked]
        if both:
            return both[0], ()
        # The same title may be a paper and its author's post: only an address can tell, else the kind does.
        named = sorted(dict.fromkeys(named), key=lambda ident: (self.kinds[ident] == "paper") != (kind == "paper"))
        if named and marked:
            return named[0], (f"its address is that of {marked[0]}",)
        if named and (len(named) == 1 or (self.kinds[named[0]] == "paper") == (kind == "paper")):
            return named[0], ()
        return (marked[0] if marked else named[0] if named else None), ()


def match(
    works: Iterable[Work], records: Iterable[Data], topics: Mapping[str, str], *, taken: Iterable[str] = ()
) -> list[Matched]:
    """For every work its record: the one that exists, or a new one; no work becomes a record twice.

    topics: id -> title; a work is filed under those that its keywords or the headings above it name.
    taken: ids that no new record may have, because a file that is not valid has them.
    """
    known = Known(records)
    known.ids.update(taken)
    matched = []
    for work in works:
        if not work.fields.get("title"):
            matched.append(Matched(work, "", None, (*work.remarks, "has no title")))
            continue
        ident, odd = known.find(work.fields)
        record = None
        if ident is None:
            record = _record(work, known, topics)
            ident = str(record["id"])
            known.add(record)
        elif not odd:
            known.note(work.fields, ident)
        matched.append(Matched(work, ident, record, (*work.remarks, *odd)))
    return matched


def _record(work: Work, known: Known, topics: Mapping[str, str]) -> dict[str, Any]:
    fields = dict(work.fields)
    fields.setdefault("kind", "paper")
    wanted = fields.get("id")
    taken = not isinstance(wanted, str) or wanted in known.ids or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", wanted)
    fields["id"] = propose_id(fields, known.ids) if taken else wanted
    fields["topics"] = _topics(work, topics)
    if "id" not in work.fields:  # only an export of a collection gives ids
        claimed: list[str] = [name for name in _CLAIMED if fields.get(name)]
        fields["unverified"] = claimed
        if fields.get("worth_reading"):
            fields["worth_reading_by"] = "the imported list"
    fields.setdefault("status", "unread")
    return {name: fields[name] for name in RECORD_FIELDS if fields.get(name)}


def _topics(work: Work, topics: Mapping[str, str]) -> list[str]:
    """Ids of the topics that keywords and headings name, by id or title, the nearest heading first."""
    by_name = {_name(name): ident for ident, title in topics.items() for name in (title, ident)}
    words = [*(work.fields.get("topics") or []), *reversed(work.section)]
    return list(dict.fromkeys(by_name[_name(word)] for word in words if _name(word) in by_name))


def _note(table: dict[str, list[str]], key: str, ident: str) -> None:
    if key and ident not in table.setdefault(key, []):
        table[key].append(ident)


def _name(name: object) -> str:
    """A name as it is compared: without case, accents and punctuation."""
    return " ".join(re.findall(r"\w+", fold(str(name or ""))))


def _marks(fields: Mapping[str, Any]) -> list[str]:
    """What tells a work apart by itself: arXiv id, DOI, addresses."""
    marks = [f"arxiv:{fields['arxiv']}"] if fields.get("arxiv") else []
    if fields.get("doi"):
        marks.append(f"doi:{str(fields['doi']).lower()}")
    links = fields.get("links") or {}
    return marks + [_url(url) for url in links.values()]


def _kind(fields: Mapping[str, Any]) -> str:
    """What a work is, as far as that tells it from another of the same name."""
    kind = str(fields.get("kind") or "paper")
    return "paper" if kind in PAPER_KINDS else kind


def _own(marks: list[str]) -> list[str]:
    """Which of a work's marks are of the work itself: its identifiers, or, where it has none, its first address."""
    return [mark for mark in marks if mark.startswith(("arxiv:", "doi:"))] or marks[:1]


def _url(url: str) -> str:
    """An address as it is compared: without scheme, www, query and trailing slash; videos by their number."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:
        return url
    query = parse_qs(parts.query)
    if host == "youtu.be":
        return f"youtube:{parts.path.strip('/')}"
    if host.endswith("youtube.com") and (number := query.get("v") or query.get("list")):
        return f"youtube:{number[0]}"
    return f"{host}{parts.path.rstrip('/')}"
