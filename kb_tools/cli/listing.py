"""kb list, kb search: many records, one line each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from operator import attrgetter

import click

from kb_tools.cli.output import json_option, put_json, say, say_invalid, say_none, table, with_collection
from kb_tools.errors import UsageError
from kb_tools.records.fields import KINDS, PAPER_KINDS, RECORD_FIELDS, STATUSES
from kb_tools.records.index import CARD_FIELDS, Entry, Index
from kb_tools.records.reference import fold
from kb_tools.records.store import Collection

COLUMNS = ("id", "year", "kind", "worth_reading", "status", "title")
_HEADINGS = {"worth_reading": "wr"}
_SHADES = {"id": {"bold": True}, "status": {"fg": "cyan"}, "kind": {"dim": True}}
_SORTS: dict[str, Callable[[Entry], tuple]] = {
    "year": lambda entry: (entry.year or 9999, entry.id),
    "id": lambda entry: (entry.id,),
    "title": lambda entry: (fold(entry.title), entry.id),
    "wr": lambda entry: (-(entry.worth_reading or 0), entry.year or 9999, entry.id),
    "status": lambda entry: (
        STATUSES.index(entry.status) if entry.status in STATUSES else 9,
        entry.year or 9999,
        entry.id,
    ),
    "kind": lambda entry: (KINDS.index(entry.kind), entry.year or 9999, entry.id),
}
_EXTRA_FIELDS = ("path", "has_summary")


def selection(function: Callable) -> Callable:
    """Options that choose records, for `select`."""
    options = [
        click.option(
            "--topic", "topics", multiple=True, metavar="TOPIC", help="Only this topic (repeat for more than one)."
        ),
        click.option("--status", "statuses", multiple=True, type=click.Choice(STATUSES), help="Only this status."),
        click.option("--wr", type=click.IntRange(1, 3), help="Only worth reading N or more."),
        click.option(
            "--kind",
            "kinds",
            multiple=True,
            type=click.Choice((*KINDS, "resource")),
            help="Only this kind; resource means all that are not papers, surveys or tutorials.",
        ),
        click.option(
            "--author", "authors", multiple=True, metavar="NAME", help="Only by this author (repeat for more than one)."
        ),
        click.option(
            "--year", "years", metavar="YEARS", help="Only of these years: 2020, 2019..2021, 2020.. or ..2020."
        ),
        click.option("--has", multiple=True, type=click.Choice(("code", "summary")), help="Only records that have it."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def _filters(function: Callable) -> Callable:
    """Options that list and search share."""
    options = [
        selection,
        click.option("--sort", type=click.Choice(tuple(_SORTS)), help="Sort by this instead."),
        click.option("--reverse", is_flag=True, help="Turn the order round."),
        click.option("--fields", metavar="A,B,...", help="Columns (or JSON keys) to print: any fields of a record."),
        click.option("--exit-code", is_flag=True, help="Exit with 1 if nothing matches."),
        json_option,
        with_collection,
    ]
    for option in reversed(options):
        function = option(function)
    return function


@click.command("list")
@_filters
def list_command(collection: Collection, sort: str | None, **choices) -> int:
    """List records: all of them, or those that every filter lets through.

    \b
    Examples:
      kb list --topic sampling --wr 2 --status unread
      kb list --kind resource --sort title
      kb list --author song --year 2019..2021
      kb list --has code --fields id,implementation,arxiv
      kb list --json | jq -r '.data[].title'
    """
    index = collection.index()
    entries = sorted(index.entries(), key=_SORTS[sort or "year"])
    return _print(index, entries, **choices)


@click.command("search")
@click.argument("words", nargs=-1, required=True)
@_filters
def search_command(collection: Collection, words: tuple[str, ...], sort: str | None, **choices) -> int:
    """Find records that contain every word, wherever it stands, best match first.

    Case and accents do not matter.  Ids and aliases count most, then titles, authors, topics and venues, summaries,
    and last abstracts and notes, those of `kb notes` too.  Where nothing is found, words that look like yours are
    suggested.

    \b
    Examples:
      kb search song score
      kb search classifier-free --status unread
    """
    wanted = list(dict.fromkeys(fold(" ".join(words)).split()))
    if not wanted:
        raise UsageError("there is no word to search for", hint="kb search score matching")
    index = collection.index()
    scored = [(_score(text, wanted), entry) for entry, text in index.search(wanted)]
    if not scored:
        _suggest(index, wanted)
    key = _SORTS[sort] if sort else None
    scored.sort(key=lambda hit: key(hit[1]) if key else (-hit[0], *_SORTS["wr"](hit[1])))
    return _print(index, [entry for _, entry in scored], **choices)


def _suggest(index: Index, wanted: list[str]) -> None:
    """Say which words stand nowhere, and what may be meant by them."""
    from difflib import get_close_matches

    known = index.words()
    strange = [word for word in wanted if not any(word in other for other in known)]
    meant = {}
    for word in strange:
        near = get_close_matches(word, known, n=3, cutoff=0.75)
        if near:  # of words that look alike, the one that more records have
            meant[word] = max(near, key=lambda other: (known[other] > 1, other == near[0]))
    if meant and len(meant) == len(strange):
        say(f"kb: did you mean `kb search {' '.join(meant.get(word, word) for word in wanted)}`?")
    elif len(wanted) > 1 and not strange:
        say("kb: each of these words stands somewhere, but no record holds them all")


def _score(text: str, wanted: list[str]) -> int:
    """How telling the places are where the words stand: each word counts once, at its best place."""
    total = 0
    lines = text.split("\n")
    for word in wanted:
        for worth, line in zip((32, 16, 8, 4, 2, 1), lines, strict=True):
            if word in line:
                exact = word in line.replace(" | ", " ").replace(",", " ").split()
                total += 2 * worth if exact else worth
                break
    return total


def select(
    index: Index,
    entries: Iterable[Entry],
    *,
    topics: tuple[str, ...],
    statuses: tuple[str, ...],
    wr: int | None,
    kinds: tuple[str, ...],
    has: tuple[str, ...],
    authors: tuple[str, ...] = (),
    years: str | None = None,
) -> list[Entry]:
    """The entries that every option of `selection` lets through.

    Raises UsageError for a topic that is none, and for years that are none.
    """
    check_topics(topics, index)
    names = [_name_words(name) for name in authors]
    if [] in names:
        raise UsageError("--author: an empty name is nobody's", hint="kb list --author song")
    first, last = _years(years) if years is not None else (0, 9999)
    wanted_kinds = {kind for kind in KINDS if kind in kinds or ("resource" in kinds and kind not in PAPER_KINDS)}
    return [
        entry
        for entry in entries
        if (not topics or not set(topics).isdisjoint(entry.topics))
        and (not statuses or entry.status in statuses)
        and (wr is None or (entry.worth_reading or 0) >= wr)
        and (not kinds or entry.kind in wanted_kinds)
        and (not names or any(_is_by(wanted, author) for author in entry.authors for wanted in names))
        and (years is None or (entry.year is not None and first <= entry.year <= last))
        and ("code" not in has or entry.implementation)
        and ("summary" not in has or entry.has_summary)
    ]


def _name_words(name: str) -> list[str]:
    """The words of a name without case, accents, and marks such as the stop of an initial."""
    from kb_tools.records.naming import LETTERS

    return re.findall(r"\w+", fold(name.lower().translate(LETTERS)))


def _is_by(wanted: list[str], author: str) -> bool:
    """Whether every word that was asked for begins one of the author's: `j ho` is Jonathan Ho."""
    words = _name_words(author)
    return all(any(word.startswith(part) for word in words) for part in wanted)


def _years(text: str) -> tuple[int, int]:
    """First and last year of 2020, 2019..2021, 2020.. or ..2020."""
    match = re.fullmatch(r"(\d{4})?(\.\.)?(\d{4})?", text.strip())
    if match is None or not (match[1] or match[3]) or (match[1] and match[3] and not match[2]):
        raise UsageError(f"--year: {text!r} names no years", hint="write 2020, 2019..2021, 2020.. or ..2020")
    first = int(match[1] or 0)
    last = int(match[3] or 9999) if match[2] else int(match[1] or match[3])
    if first > last:
        raise UsageError(f"--year: {text} ends before it begins", hint=f"write {last}..{first}")
    return (first, last) if match[2] else (last, last)


def _print(
    index: Index,
    entries: Iterable[Entry],
    *,
    reverse: bool,
    fields: str | None,
    exit_code: bool,
    as_json: bool,
    **choices,
) -> int:
    chosen = select(index, entries, **choices)
    if reverse:
        chosen.reverse()
    columns = _columns(fields)
    if as_json:
        names = columns if fields else [*CARD_FIELDS, *_EXTRA_FIELDS]
        put_json([_values(entry, names, index) for entry in chosen])
    else:
        heading = [_HEADINGS.get(name, name) for name in columns]
        table(heading, _rows(chosen, columns, index), shades=[_SHADES.get(name) for name in columns])
    if not chosen:
        say_none(not index.entries(), "nothing matches")
    return say_invalid(index) or (1 if exit_code and not chosen else 0)


def _rows(chosen: list[Entry], columns: list[str], index: Index) -> list[list[object]]:
    """The named fields of records, as cells; quick where the card holds them all."""
    if len(columns) > 1 and all(name in CARD_FIELDS or name in _EXTRA_FIELDS for name in columns):
        return [list(cells) for cells in map(attrgetter(*columns), chosen)]
    return [list(_values(entry, columns, index).values()) for entry in chosen]


def _values(entry: Entry, names: Iterable[str], index: Index) -> dict[str, object]:
    """The named fields of one record; what the card does not hold is read from the whole record."""
    whole: dict | None = None
    values = {}
    for name in names:
        if name in CARD_FIELDS or name in _EXTRA_FIELDS:
            values[name] = getattr(entry, name)
        else:
            whole = whole or index.record(entry.id)
            values[name] = whole.get(name)
    return values


def _columns(fields: str | None) -> list[str]:
    if fields is None:
        return list(COLUMNS)
    known = [*RECORD_FIELDS, *_EXTRA_FIELDS]
    names = ["worth_reading" if name.strip() == "wr" else name.strip() for name in fields.split(",")]
    for name in names:
        if name not in known:
            from difflib import get_close_matches

            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"fields are {', '.join(known)}"
            raise UsageError(f"--fields: a record has no field {name!r}", hint=hint)
    return names


def check_topics(topics: Iterable[str], index: Index) -> None:
    """Raise UsageError for a --topic that the collection does not have."""
    known = index.topics() if topics else {}
    for topic in topics:
        if topic not in known:
            from difflib import get_close_matches

            near = get_close_matches(topic, known, n=1)
            every = f"topics are {', '.join(known)}" if known else "papers/topics.yaml names none; see `kb check`"
            hint = f"did you mean {near[0]}?" if near else every
            raise UsageError(f"--topic: there is no topic {topic!r}", hint=hint)
