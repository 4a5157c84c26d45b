"""Which of the works that a file names a collection already has, and a record for each of the others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from kb_tools.exchange.work import Data, Work
from kb_tools.records.fields import PAPER_KINDS, RECORD_FIELDS
from kb_tools.records.naming import RESERVED, ascii_word, family_word, propose_id
from kb_tools.records.reference import title_key as _name

_DISTINCT = 6  # words of a title that nobody chooses a second time
_SUBTITLED = 3  # words before a subtitle that say which work is meant
_MOST = 0.7  # share of its words by which a title is known in another spelling
_COUNTED = re.compile("utm_.*|ref|fbclid")  # parts of an address that tell where a reader comes from
_NUMBER = re.compile(r"\d+|[ivx]+")
# What a file that is no export of a collection says about a work has no second source.
_CLAIMED = ("kind", "title", "authors", "year", "venue")


class Matched(NamedTuple):
    """A work of a file, the id of its record, and whether that record is new.

    record: what is to be written for a new one; None for one that exists.  A work without a title has no id.
    taken_for: the title of the record that exists, where it is not the work's own.
    maybe: ids of records that may be the same work, and of which that is not certain.
    """

    work: Work
    id: str
    record: dict[str, Any] | None
    remarks: tuple[str, ...]
    taken_for: str | None = None
    maybe: tuple[str, ...] = ()


class Found(NamedTuple):
    """What a collection has of a work: the record that it is, those that it may be, and what is odd about it."""

    id: str | None
    maybe: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()


class _Card:
    """What tells one record from another."""

    def __init__(self, record: Data) -> None:
        self.kind = _kind(record)
        self.title = str(record["title"])
        self.family = family_word(record)
        self.families = _families(record)
        self.arxiv, self.doi = identifiers(record)
        self.key = record.get("key")
        self.own: set[str] = set()  # marks that are of the work itself: not its code, not its project page


class Known:
    """Every name, identifier and address under which the records of a collection are met."""

    def __init__(self, records: Iterable[Data]) -> None:
        self.ids: set[str] = set()
        self.cards: dict[str, _Card] = {}
        self.keys: dict[str, str] = {}  # citation key -> id
        self.names: dict[str, list[str]] = {}
        self.marks: dict[str, list[str]] = {}
        for record in records:
            self.add(record)

    def add(self, record: Data) -> None:
        """Know one more record."""
        ident = str(record["id"])
        self.ids.update([ident, *(record.get("former_ids") or [])])
        card = self.cards[ident] = _Card(record)
        if record.get("key"):
            self.keys.setdefault(record["key"], ident)
        written = [source.get("as_written") or {} for source in record.get("sources") or [] if isinstance(source, dict)]
        names = [ident, *(record.get("former_ids") or []), *(record.get("aliases") or [])]
        for name in [*names, *(words.get("title") for words in written)]:
            _note(self.names, _name(name), ident)
        for mark in (_url(words["link"]) for words in written if words.get("link")):
            _note(self.marks, mark, ident)
            card.own.add(mark)
        self.note(record, ident)

    def note(self, fields: Mapping[str, Any], ident: str) -> None:
        """Know a record by one more title, identifier or address."""
        card = self.cards[ident]
        _note(self.names, _name(fields["title"]), ident)
        marks = _marks(fields)
        for mark in marks:
            _note(self.marks, mark, ident)
        card.own.update(_own(marks))
        arxiv, doi = identifiers(fields)
        card.arxiv, card.doi = card.arxiv or arxiv, card.doi or doi

    def find(self, fields: Mapping[str, Any], *, ours: bool, asked: bool = False) -> Found:
        """The record that a work is, and those that it may be.

        Nothing may speak against it: two arXiv ids, two DOIs, or two titles by different people are two works.  An
        arXiv id is believed whatever the title, but where that is the name of another record, for lists give wrong
        addresses.  A DOI and an address, which a whole book or a repository may share, count under one title only; what
        is no paper, such as a video, is its address.

        ours: an export of a collection says for certain what kind a work is; others guess.  asked: a service gave its
        identifiers, which are right whatever the title: each is believed.
        """
        card = _Card(fields)
        marked = self._marked(fields, card, ours=ours)
        named = self._named(fields, card, ours=ours)
        arxiv = self.marks.get(f"arxiv:{card.arxiv}", []) if card.arxiv else []
        shared = self.marks.get(f"doi:{card.doi}", []) if asked and card.doi else []
        believed = [ident for ident in marked if ident in arxiv]
        believed += [ident for ident in shared if ident in marked and not self._contradicted(card, ident)]
        possible = [ident for ident in dict.fromkeys([*named, *marked]) if not self._contradicted(card, ident)]
        both = [ident for ident in named if ident in marked and ident in possible]
        sure = [ident for ident in named if ident in possible]
        sure += [ident for ident in marked if ident in possible and self._one_title(fields, ident)]
        # The same title may be a paper and its author's post: only an address can tell, else the kind does.
        sure.sort(key=lambda ident: (self.cards[ident].kind == "paper") != (card.kind == "paper"))
        if believed and sure and believed[0] not in sure and not asked:
            return Found(sure[0], odd=(f"its arXiv id is that of {believed[0]}",))
        found = [*(ident for ident in both if ident in believed), *believed, *both, *sure]
        if found:
            return Found(found[0])
        near = [*named, *(ident for ident in marked if self._shares_own(fields, ident))]
        return Found(None, tuple(dict.fromkeys(near)))

    def _marked(self, fields: Mapping[str, Any], card: _Card, *, ours: bool) -> list[str]:
        """Records with an identifier or an address of the work.

        Between a paper and a resource only the address of the work itself counts: a paper's link to its code is not
        the record of that code.
        """
        marked = [
            ident
            for mark in _marks(fields)
            for ident in self.marks.get(mark, [])
            if self.cards[ident].kind == card.kind
            or (not ours and ("paper" not in (card.kind, self.cards[ident].kind) or mark in self.cards[ident].own))
        ]
        return list(dict.fromkeys(marked))

    def _named(self, fields: Mapping[str, Any], card: _Card, *, ours: bool) -> list[str]:
        """Records with the title of the work as title, alias or id."""
        asked = [card.title, *(f"{card.title} ({alias})" for alias in fields.get("aliases") or [])]
        named = [ident for name in asked for ident in self.names.get(_name(name), [])]
        if ours:
            named = [ident for ident in named if self.cards[ident].kind == card.kind]
        # Two people may choose one short title; a long one by somebody else is the same work with a name misspelt.
        if card.family and len(_name(card.title).split()) < _DISTINCT:
            named = [ident for ident in named if self.cards[ident].family in ("", card.family)]
        return list(dict.fromkeys(named))

    def _contradicted(self, card: _Card, ident: str) -> bool:
        """Whether a work has another arXiv id or another DOI than a record."""
        other = self.cards[ident]
        if card.arxiv and other.arxiv:
            return card.arxiv != other.arxiv
        return bool(card.doi and other.doi and card.doi != other.doi)

    def _one_title(self, fields: Mapping[str, Any], ident: str) -> bool:
        """Whether a work is called by a name of a record, or by another spelling of its title; strangers choose both.

        A name that somebody else gave the record, with its address, is meant for it whoever is said to have written it.
        """
        title, other = _name(fields["title"]), _name(self.cards[ident].title)
        if title != other and ident in self.names.get(title, []):
            return True
        if "paper" not in (_kind(fields), self.cards[ident].kind) and self._shares_own(fields, ident):
            return True
        if self._strangers(fields, ident):
            pages = {mark for mark in _marks(fields) if not mark.startswith("doi:")}
            page = not self.cards[ident].own.isdisjoint(
                pages
            )  # chapters called Introduction share the DOI of their book
            return title == other and (page or len(title.split()) >= _DISTINCT)
        return alike(title, other)

    def _shares_own(self, fields: Mapping[str, Any], ident: str) -> bool:
        """Whether what a work is known by is what the record itself is known by, and nobody else is named."""
        return not self._strangers(fields, ident) and not self.cards[ident].own.isdisjoint(_marks(fields))

    def _strangers(self, fields: Mapping[str, Any], ident: str) -> bool:
        """Whether the authors of a work and of a record are known, and none is the same."""
        families, other = _families(fields), self.cards[ident].families
        return bool(families and other and families.isdisjoint(other))


def match(
    works: Iterable[Work], records: Iterable[Data], topics: Mapping[str, str], *, taken: Iterable[str] = ()
) -> list[Matched]:
    """For every work its record: the one that exists, or a new one; no work becomes a record twice.

    A work that nobody described needs no title where the collection knows it by what was asked for.
    topics: id -> title; a work is filed under those that its keywords or the headings above it name.
    taken: ids that no new record may have, because a file that is not valid has them.
    """
    known = Known(records)
    known.ids.update(taken)
    matched = []
    for work in works:
        if not work.fields.get("title"):
            ident = work.asked.known if work.asked and work.asked.known in known.cards else ""
            says = () if ident else ("has no title",)
            matched.append(Matched(work, ident, None, (*work.remarks, *says)))
            continue
        ident, maybe, odd = known.find(work.fields, ours=work.ours, asked=work.asked is not None)
        if ident is None:
            matched.append(_new(work, known, topics, maybe))
            continue
        card, title = known.cards[ident], str(work.fields["title"])
        remarks = (*work.remarks, *(odd or _unknown_of(work.fields, card)))
        other = None if ident in known.names.get(_name(title), []) else card.title
        if not odd:
            known.note(work.fields, ident)
        matched.append(Matched(work, ident, None, remarks, other))
    return matched


def _new(work: Work, known: Known, topics: Mapping[str, str], maybe: tuple[str, ...]) -> Matched:
    """A new record for a work that the collection does not have.  A DOI stands in one record only."""
    remarks = [*work.remarks, *(f"may be the same work as {ident}" for ident in maybe)]
    owner = next((ident for ident in known.marks.get(f"doi:{str(work.fields.get('doi')).lower()}", [])), None)
    if owner is not None and known.cards[owner].kind == _kind(work.fields):
        remarks.append(f"left out, it is that of {owner}: the DOI {work.fields['doi']}")
        work = work._replace(fields={name: value for name, value in work.fields.items() if name != "doi"})
    key = work.fields.get("key")
    if key in known.keys:
        remarks.append(f"not kept, it is that of {known.keys[key]}: the citation key {key}")
        work = work._replace(fields={name: value for name, value in work.fields.items() if name != "key"})
    record = _record(work, known, topics)
    by_name = {_name(name) for ident, title in topics.items() for name in (title, ident)}
    foreign = [word for word in work.fields.get("topics") or [] if _name(word) not in by_name]
    if foreign:
        remarks.append(f"not kept, no topic is called so: {', '.join(foreign)}")
    known.add(record)
    return Matched(work, str(record["id"]), record, tuple(remarks), None, maybe)


def _unknown_of(fields: Mapping[str, Any], card: _Card) -> list[str]:
    """What a file says of a work that exists, and its record does not: an import leaves records as they are."""
    arxiv, doi = identifiers(fields)
    said = [f"arXiv:{arxiv}" if arxiv and not card.arxiv else "", f"DOI {doi}" if doi and not card.doi else ""]
    key = fields.get("key")
    said.append(f"citation key {key}" if key and key != card.key else "")
    return [f"the record does not have its {one}" for one in said if one]


def _record(work: Work, known: Known, topics: Mapping[str, str]) -> dict[str, Any]:
    fields = dict(work.fields)
    fields.setdefault("kind", "paper")
    wanted = fields.get("id")
    taken = (
        not isinstance(wanted, str)
        or wanted in known.ids | RESERVED
        or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", wanted)
    )
    fields["id"] = propose_id(fields, known.ids) if taken else wanted
    fields["topics"] = _topics(work, topics)
    if not work.ours and not work.asked:
        claimed: list[str] = [name for name in _CLAIMED if fields.get(name)]
        fields["unverified"] = claimed
        if fields.get("worth_reading"):
            fields["worth_reading_by"] = "the imported list"
    fields.setdefault("status", "unread")
    return {name: fields[name] for name in RECORD_FIELDS if fields.get(name)}


def _topics(work: Work, topics: Mapping[str, str]) -> list[str]:
    """Ids of the topics that keywords and headings name, by id or title, the nearest heading first."""
    by_name = {_name(name): ident for ident, title in topics.items() for name in (title, ident)}
    words = [*(work.fields.get("topics") or []), *(() if work.ours else reversed(work.section))]
    return list(dict.fromkeys(by_name[_name(word)] for word in words if _name(word) in by_name))


def _note(table: dict[str, list[str]], key: str, ident: str) -> None:
    if key and ident not in table.setdefault(key, []):
        table[key].append(ident)


def identifiers(fields: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """arXiv id and DOI of a work; the DOI that arXiv itself gives is its id again."""
    arxiv, doi = fields.get("arxiv"), str(fields.get("doi") or "").lower() or None
    if doi and doi.startswith("10.48550/arxiv."):
        return arxiv or doi.removeprefix("10.48550/arxiv."), None
    return arxiv, doi


def _marks(fields: Mapping[str, Any]) -> list[str]:
    """What a work is met by: arXiv id, DOI, addresses."""
    arxiv, doi = identifiers(fields)
    marks = [f"arxiv:{arxiv}"] if arxiv else []
    if doi:
        marks.append(f"doi:{doi}")
    links = fields.get("links") or {}
    return marks + [_url(url) for url in links.values()]


def _families(fields: Mapping[str, Any]) -> frozenset[str]:
    """The last words of all names."""
    words = (str(name).split() for name in fields.get("authors") or [])
    return frozenset(ascii_word(one[-1]) or one[-1] for one in words if one)


def alike(one: str, other: str) -> bool:
    """Whether two titles are spellings of one: the same words but for few, or one with a subtitle that the other lacks.

    Words are compared without case, accents and punctuation.  Numbers are not spelt in two ways: they tell volumes.
    """
    first, second = sorted((_name(one).split(), _name(other).split()), key=len)
    if any(_NUMBER.fullmatch(word) for word in {*first} ^ {*second}):
        return False
    if first == second or (len(first) >= _SUBTITLED and second[: len(first)] == first):
        return True
    common = len(set(first) & set(second))
    return common >= _SUBTITLED and common / len({*first, *second}) > _MOST


def _kind(fields: Mapping[str, Any]) -> str:
    """What a work is, as far as that tells it from another of the same name."""
    kind = str(fields.get("kind") or "paper")
    return "paper" if kind in PAPER_KINDS else kind


def _own(marks: list[str]) -> list[str]:
    """Which of a work's marks are of the work itself: its identifiers, or, where it has none, its first address."""
    return [mark for mark in marks if mark.startswith(("arxiv:", "doi:"))] or marks[:1]


def _url(url: str) -> str:
    """An address as it is compared: without scheme, www and trailing slash, but with what its query asks for.

    Videos by their number; what only counts visits is no part of an address.
    """
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
    asked = sorted(pair for pair in parse_qsl(parts.query) if not _COUNTED.fullmatch(pair[0]))
    return f"{host}{parts.path.rstrip('/')}{'?' + urlencode(asked) if asked else ''}"
