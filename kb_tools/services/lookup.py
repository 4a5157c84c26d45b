"""From references to descriptions: arXiv first, Semantic Scholar for what has no arXiv id, or when arXiv is silent.

A title is asked of both in this order, and means a work only if the work is called exactly so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kb_tools.errors import KbError, NetworkError
from kb_tools.records.reference import impossible, title_key
from kb_tools.services import arxiv, semanticscholar, transport
from kb_tools.services.answers import Unlisted
from kb_tools.services.references import Reference
from kb_tools.services.transport import Transport
from kb_tools.services.upstream import Upstream


@dataclass(frozen=True)
class Found:
    """What was found: by key of the reference; a reference that no service knows is absent.

    fallback: why arXiv could not be asked, if its papers come from elsewhere.  near: by key of a title that no work, or
    more than one, has exactly: what may be meant.
    """

    works: dict[str, Upstream]
    fallback: NetworkError | None = None
    near: dict[str, list[Upstream]] = field(default_factory=dict)


def describe(
    references: Sequence[Reference],
    *,
    patient: bool = True,
    fresh: bool = False,
    tell: Callable[[str], None] | None = None,
) -> Found:
    """Ask for all works in as few requests as there are services to ask, and give up after two minutes in all.

    Of these, one attempt's time is kept for each service that comes after another.  Raises NetworkError if neither
    arXiv nor its stand-in gives a usable answer, UsageError if arXiv refuses an id.
    """
    end = transport.CLOCK.steady() + transport.DEADLINE_SECONDS
    arxiv_end = end - transport.ATTEMPT_SECONDS
    scholar_end = arxiv_end - transport.ATTEMPT_SECONDS
    scholar = semanticscholar.connect(patient=patient, fresh=fresh, tell=tell, until=scholar_end)
    named = _from_scholar([one for one in references if one.arxiv is None and not one.title], scholar)
    titles = [one for one in references if one.title]
    by_title = Found({})
    if titles:
        first = arxiv.connect(patient=patient, fresh=fresh, tell=tell, until=scholar_end)
        second = semanticscholar.connect(patient=patient, fresh=fresh, tell=tell, until=arxiv_end)
        by_title = _titled(titles, first, second)
    by_other = named | by_title.works
    idents = {one.key: one.arxiv for one in references if one.arxiv}
    idents |= {
        key: work.arxiv
        for key, work in by_other.items()
        if work.arxiv and work.service != arxiv.NAME and not impossible(work.arxiv)
    }
    if not idents or (by_title.fallback and not any(one.arxiv for one in references)):
        return Found(by_other, by_title.fallback, by_title.near)
    wanted = list(dict.fromkeys(idents.values()))
    try:
        papers = arxiv.fetch(wanted, patient=patient, fresh=fresh, tell=tell, until=arxiv_end)
    except NetworkError as error:
        instead = _instead(references, error, patient=patient, fresh=fresh, tell=tell)
        return Found(by_other | instead, error, by_title.near)
    found = {key: papers[ident] for key, ident in idents.items() if ident in papers}
    return Found(by_other | found, by_title.fallback, by_title.near)


def _titled(references: Sequence[Reference], first: Transport, second: Transport) -> Found:
    """Works by their titles: of arXiv, then of Semantic Scholar.  Raises NetworkError if neither gives an answer."""
    found = Found({})
    silent: NetworkError | None = None
    for one in references:
        title, near = one.title or "", []
        try:
            near = [] if silent else arxiv.titled(title, first)
        except NetworkError as error:
            silent = error
        exact = _exact(title, near)
        if not exact:
            try:
                others = semanticscholar.titled(title, second)
            except NetworkError as error:
                if silent:
                    raise NetworkError(f"{silent.message}; {error.message}", hint=silent.hint) from None
                others = []
            near += [work for work in others if work.arxiv is None or work.arxiv not in [other.arxiv for other in near]]
            exact = _exact(title, near)
        if len(exact) == 1:
            found.works[one.key] = exact[0]
        elif near:
            found.near[one.key] = exact or near
    return Found(found.works, silent, found.near)


def _exact(title: str, works: Sequence[Upstream]) -> list[Upstream]:
    return [work for work in works if title_key(work.title) == title_key(title)]


def _instead(
    references: Sequence[Reference],
    error: NetworkError,
    *,
    patient: bool,
    fresh: bool,
    tell: Callable[[str], None] | None,
) -> dict[str, Upstream]:
    """The arXiv papers as Semantic Scholar describes them, after one short attempt; else arXiv's own failure."""
    if tell and patient:
        tell(f"kb: {error.message}; asking {semanticscholar.NAME} instead")
    scholar = semanticscholar.connect(fresh=fresh, tell=tell)
    try:
        return _from_scholar([one for one in references if one.arxiv], scholar)
    except KbError as second:
        raise NetworkError(f"{error.message}; {second.message}", hint=error.hint) from None


def _from_scholar(references: Sequence[Reference], scholar) -> dict[str, Upstream]:
    if not references:
        return {}
    names = {
        one.key: one.scholar or semanticscholar.reference_of(arxiv=one.arxiv, doi=one.doi) or "" for one in references
    }
    try:
        found = semanticscholar.papers(list(names.values()), scholar)
    except Unlisted:
        return {}
    return {key: found[name] for key, name in names.items() if name in found}
