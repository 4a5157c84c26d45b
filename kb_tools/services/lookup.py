"""From references to descriptions: arXiv first, Semantic Scholar for what has no arXiv id, or when arXiv is silent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kb_tools.errors import KbError, NetworkError
from kb_tools.records.reference import impossible
from kb_tools.services import arxiv, semanticscholar, transport
from kb_tools.services.answers import Unlisted
from kb_tools.services.references import Reference
from kb_tools.services.upstream import Upstream


@dataclass(frozen=True)
class Found:
    """What was found: by key of the reference; a reference that no service knows is absent.

    fallback: why arXiv could not be asked, if its papers come from elsewhere.
    """

    works: dict[str, Upstream]
    fallback: NetworkError | None = None


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
    by_doi = _from_scholar([one for one in references if one.arxiv is None], scholar)
    idents = {one.key: one.arxiv for one in references if one.arxiv}
    idents |= {key: work.arxiv for key, work in by_doi.items() if work.arxiv and not impossible(work.arxiv)}
    if not idents:
        return Found(by_doi)
    wanted = list(dict.fromkeys(idents.values()))
    try:
        papers = arxiv.fetch(wanted, patient=patient, fresh=fresh, tell=tell, until=arxiv_end)
    except NetworkError as error:
        return Found(by_doi | _instead(references, error, patient=patient, fresh=fresh, tell=tell), error)
    return Found(by_doi | {key: papers[ident] for key, ident in idents.items() if ident in papers})


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
    names = {one.key: semanticscholar.reference_of(arxiv=one.arxiv, doi=one.doi) or "" for one in references}
    try:
        found = semanticscholar.papers(list(names.values()), scholar)
    except Unlisted:
        return {}
    return {key: found[name] for key, name in names.items() if name in found}
