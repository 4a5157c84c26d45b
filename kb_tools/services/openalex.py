"""OpenAlex: reference lists, where Semantic Scholar has none.  https://developers.openalex.org

A work names what it cites by OpenAlex ids only, so the list takes one more request per hundred of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from kb_tools.records.reference import arxiv_id, doi
from kb_tools.services.answers import Unlisted, listing, read_json
from kb_tools.services.transport import Reply, Service, Transport
from kb_tools.services.upstream import Cited, one_line

NAME = "OpenAlex"
BATCH = 100  # values joined by | in one filter
SPACING = 0.2


def service() -> Service:
    key = os.environ.get("OPENALEX_API_KEY")
    return Service.at(
        NAME,
        "KB_OPENALEX_URL",
        "https://api.openalex.org",
        spacing=SPACING,
        secret={"api_key": key} if key else None,
    )


def connect(*, patient: bool = False, fresh: bool = False, tell: Callable[[str], None] | None = None) -> Transport:
    return Transport(service(), patient=patient, fresh=fresh, tell=tell)


def doi_of(*, arxiv: str | None, doi: str | None) -> str | None:
    """The DOI under which OpenAlex knows a work: arXiv gives one to each of its papers."""
    return f"10.48550/arxiv.{arxiv}" if arxiv else doi


def references(identifier: str, transport: Transport) -> list[Cited]:
    """The reference list of the work with this DOI.

    Raises Unlisted if OpenAlex does not know the work or lists nothing, NetworkError if it gave no usable answer.
    """
    path = f"/works/https://doi.org/{quote(identifier, safe='')}"
    work = transport.ask(path, {"select": "id,title,referenced_works"}, _work)
    cited = [str(one).rpartition("/")[2] for one in listing(work, "referenced_works", NAME)]
    if not cited:
        raise Unlisted(f"{NAME} lists no references of this work")
    found: list[Cited] = []
    for start in range(0, len(cited), BATCH):
        batch = "|".join(cited[start : start + BATCH])
        params = {"filter": f"openalex:{batch}", "select": "id,title,doi,ids", "per-page": str(BATCH)}
        results = listing(transport.ask("/works", params, _work), "results", NAME)
        found += [one for item in results if (one := _cited(item)) is not None]
    return found


def _work(reply: Reply) -> dict[str, Any]:
    return read_json(reply, NAME, dict)


def _cited(item: object) -> Cited | None:
    if not isinstance(item, Mapping):
        return None
    title = one_line(item.get("title"))
    if title is None:
        return None
    identifier = str(item.get("doi") or "")
    found = arxiv_id(identifier)
    return Cited(title, found[0] if found else None, None if found else doi(identifier))
