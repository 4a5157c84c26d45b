"""Works that were named by reference, as servers describe them: the reader of `kb add`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from kb_tools.errors import NetworkError, UsageError
from kb_tools.exchange.work import Asked, Candidate, Reading, Unread, Work
from kb_tools.incoming.adding import Data, fields_of, stub_fields, stub_slug
from kb_tools.records.index import Index
from kb_tools.records.reference import title_key
from kb_tools.services.lookup import Found, describe
from kb_tools.services.references import FORMS, Reference, parse
from kb_tools.services.upstream import Upstream

_SHOWN = 5  # works that may be meant by a title


class Named(NamedTuple):
    """What files name by arXiv id or DOI, and what they name otherwise."""

    references: list[str]
    nameless: list[Unread]


def named_in(readings: Iterable[tuple[str, Reading]]) -> Named:
    """References of the works in files.  readings: name of a file, and what it holds.

    Raises one UsageError that lists every reference that can be none.
    """
    found = Named([], [])
    wrong: list[str] = []
    for file, reading in readings:
        for lost in reading.unread:
            says = f"{file}:{lost.line}: {lost.says}"
            found.nameless.append(lost._replace(says=says, name=file))
        for work in reading.works:
            reference = work.fields.get("arxiv") or work.fields.get("doi")
            if reference:
                found.references.append(str(reference))
                try:
                    parse(str(reference))
                except UsageError as error:
                    wrong.append(f"{file}:{work.line}: {error.message}")
            else:
                title = str(work.fields.get("title") or "a work without a title")
                says = f"{file}:{work.line}: it has neither an arXiv id nor a DOI; `kb import` takes it as it stands"
                found.nameless.append(Unread(work.line, f"{title} ({says})", name=title))
    if wrong:
        hint = f"nothing was asked and nothing written; mend the file: write {FORMS}"
        raise UsageError("\n    ".join(wrong), hint=hint)
    return found


def ask(wanted: Sequence[Reference], index: Index, *, fresh: bool, tell: Callable[[str], None]) -> Reading:
    """What the servers say of each.  One that nobody knows, and the collection neither, is unread.

    tell: is given what a person should know of the asking.  Raises NetworkError if nobody answers, unless all is in
    the collection already.
    """
    known = _known(wanted, index)
    nothing_new = len(known) == len(wanted)
    unknown = [one for one in wanted if not (one.title and one.key in known)]
    try:
        found = describe(unknown, patient=not nothing_new, fresh=fresh, tell=tell) if unknown else Found({})
    except NetworkError as error:
        if not nothing_new:
            raise
        tell(f"kb: newer versions were not looked for: {error.message}")
        found = Found({})
    if found.fallback is not None:
        tell(f"kb: {found.fallback.message}; Semantic Scholar was asked instead, and the records say so")
    reading = Reading([], [])
    for place, reference in enumerate(wanted, 1):
        answer = found.works.get(reference.key)
        if answer is None and reference.key not in known:
            reading.unread.append(_unknown(place, reference, found.near.get(reference.key, [])))
        else:
            reading.works.append(_work(place, reference, answer, known=known.get(reference.key, "")))
    return reading


def _unknown(place: int, reference: Reference, near: Sequence[Upstream]) -> Unread:
    """What nobody knows, and what may be meant by a title: it is never guessed."""
    says = f"no service knows {reference.name}"
    if reference.page:
        says += "; `kb add` takes its title too, in quotes"
    if near:
        exact = all(title_key(work.title) == title_key(reference.title) for work in near)
        says = "several papers are called so" if exact else f"no paper is called exactly so: {reference.name}"
    candidates = [Candidate(work.reference or "", work.title, work.authors, work.year) for work in near[:_SHOWN]]
    return Unread(place, says, name=reference.name, near=tuple(candidates))


def stubs(wanted: Sequence[Reference], index: Index) -> Reading:
    """All that arXiv ids say by themselves.  Raises UsageError for another name that the collection does not have."""
    known = _known(wanted, index)
    works = []
    for place, reference in enumerate(wanted, 1):
        fields: Data = {}
        if reference.key not in known:
            if reference.arxiv is None:
                raise UsageError(
                    f"--offline: only an arXiv id says something by itself, not {reference.name}",
                    hint="write the record by hand",
                )
            fields = {"id": stub_slug(reference), **stub_fields(reference)}
        works.append(_work(place, reference, None, fields, known=known.get(reference.key, "")))
    return Reading(works, [])


def _known(wanted: Iterable[Reference], index: Index) -> dict[str, str]:
    """Key -> id of those that the collection has."""
    return {one.key: named[0][1] for one in wanted if (named := index.named([one.key]))}


def _work(
    place: int, reference: Reference, answer: Upstream | None, fields: Data | None = None, *, known: str = ""
) -> Work:
    said = {"arxiv": reference.arxiv, "doi": reference.doi} if answer is None else fields_of(answer, reference)
    return Work(place, {**said, **(fields or {})}, asked=Asked(reference.name, reference.version, answer, known))
