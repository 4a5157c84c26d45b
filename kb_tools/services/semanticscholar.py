"""Semantic Scholar's graph: reference lists, and what a paper is when arXiv does not answer.

https://api.semanticscholar.org/api-docs/graph
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from kb_tools.errors import NetworkError
from kb_tools.records.reference import arxiv_id, doi
from kb_tools.services.answers import Unlisted, listing, read_json
from kb_tools.services.transport import Reply, Service, Transport
from kb_tools.services.upstream import Cited, Upstream, one_line

NAME = "Semantic Scholar"
BATCH = 100
PAGE = 500
MAX_REFERENCES = 10_000  # the service itself ends there
SPACING = 1.1  # one request per second is what a key is good for

_PAPER_FIELDS = "title,authors,year,venue,externalIds"


def service() -> Service:
    key = os.environ.get("S2_API_KEY")
    return Service.at(
        NAME,
        "KB_S2_URL",
        "https://api.semanticscholar.org/graph/v1",
        spacing=SPACING,
        headers={"x-api-key": key} if key else None,
    )


def reference_of(*, arxiv: str | None, doi: str | None) -> str | None:
    """How the service names a work."""
    return f"ARXIV:{arxiv}" if arxiv else f"DOI:{doi}" if doi else None


def papers(references: Sequence[str], transport: Transport) -> dict[str, Upstream]:
    """Reference (as of `reference_of`) -> what the service says; what it does not know is absent."""
    found: dict[str, Upstream] = {}
    for start in range(0, len(references), BATCH):
        batch = list(references[start : start + BATCH])
        answers = transport.ask(
            "/paper/batch",
            {"fields": _PAPER_FIELDS},
            lambda reply, batch=batch: _batch(reply, batch),
            body={"ids": batch},
        )
        found |= {name: paper for name, paper in zip(batch, answers, strict=True) if paper is not None}
    return found


def titled(title: str, transport: Transport) -> list[Upstream]:
    """The work whose title is nearest; none if the service finds none."""
    try:
        data = transport.ask(
            "/paper/search/match", {"query": title, "fields": _PAPER_FIELDS}, lambda reply: read_json(reply, NAME, dict)
        )
    except Unlisted:
        return []
    items = listing(data, "data", NAME)
    return [paper for item in items if isinstance(item, Mapping) and (paper := _paper(item)) is not None]


def references(reference: str, transport: Transport) -> list[Cited]:
    """The reference list of a work, all its pages.

    Raises Unlisted if the service does not know the work or has no list of it, NetworkError without a usable answer.
    """
    found: list[Cited] = []
    offset = 0
    while offset < MAX_REFERENCES:
        params = {"fields": "title,externalIds", "offset": str(offset), "limit": str(PAGE)}
        data = transport.ask(f"/paper/{quote(reference, safe=':/')}/references", params, _page)
        found += [cited for item in listing(data, "data", NAME) if (cited := _cited(item)) is not None]
        following = data.get("next")
        if following is None:
            break
        if not isinstance(following, int) or following <= offset:
            raise NetworkError(f"{NAME} sends pages that do not go on (next: {following!r})", hint="try again later")
        offset = following
    if not found:
        raise Unlisted(f"{NAME} lists no references of this work")
    return found


def _page(reply: Reply) -> dict[str, Any]:
    data = read_json(reply, NAME, dict)
    if data.get("data") is None:
        raise Unlisted(f"{NAME} may not show the references of this work (its publisher withholds them)")
    return data


def _batch(reply: Reply, batch: Sequence[str]) -> list[Upstream | None]:
    if reply.status == 400 and "No valid paper ids" in reply.text():
        return [None] * len(batch)
    data = read_json(reply, NAME, list)
    if len(data) != len(batch):
        raise NetworkError(
            f"{NAME} was asked for {len(batch)} works and answers with {len(data)}", hint="try again later"
        )
    return [_paper(item) if isinstance(item, Mapping) else None for item in data]


def _paper(item: Mapping[str, Any]) -> Upstream | None:
    title = one_line(item.get("title"))
    if title is None:
        return None
    names = item.get("authors") or []
    authors = (one_line(author.get("name")) for author in names if isinstance(author, Mapping))
    year = item.get("year")
    arxiv, found_doi = _identifiers(item)
    corpus = (item.get("externalIds") or {}).get("CorpusId")
    return Upstream(
        service=NAME,
        title=title,
        authors=tuple(name for name in authors if name),
        year=year if isinstance(year, int) else None,
        venue=one_line(item.get("venue")),
        arxiv=arxiv,
        doi=found_doi,
        scholar=f"CorpusID:{corpus}" if isinstance(corpus, int) else None,
    )


def _cited(item: object) -> Cited | None:
    work = item.get("citedPaper") if isinstance(item, Mapping) else None
    if not isinstance(work, Mapping):
        return None
    title = one_line(work.get("title"))
    if title is None:
        return None
    return Cited(title, *_identifiers(work))


def _identifiers(work: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """arXiv id and DOI; the DOI that arXiv itself gives out is an arXiv id."""
    external = work.get("externalIds") or {}
    found = arxiv_id(str(external.get("ArXiv") or external.get("DOI") or ""))
    published = doi(str(external.get("DOI") or ""))
    return (found[0] if found else None), (None if published and arxiv_id(published) else published)


def connect(
    *,
    patient: bool = False,
    fresh: bool = False,
    tell: Callable[[str], None] | None = None,
    until: float = math.inf,
) -> Transport:
    return Transport(service(), patient=patient, fresh=fresh, tell=tell, until=until)
