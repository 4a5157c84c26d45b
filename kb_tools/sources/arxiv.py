"""arXiv's Atom interface: one request for all ids, answers matched by id, and every way of saying no told apart.

The feed is read here and not by the arxiv package: that one repairs truncated XML and returns an empty list for
`Rate exceeded.`, web pages and error entries alike, so everything would have to be parsed strictly before it anyway.
https://info.arxiv.org/help/api/user-manual.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from xml.etree import ElementTree

from kb_tools.errors import NetworkError, UsageError
from kb_tools.records.reference import arxiv_id, doi
from kb_tools.sources.transport import BusyError, Reply, Service, Transport
from kb_tools.sources.upstream import Upstream, one_line

NAME = "arXiv"
BATCH = 50
SPACING = 3.0  # https://info.arxiv.org/help/api/tou.html: one request every three seconds, one connection at a time

_ATOM = "{http://www.w3.org/2005/Atom}"
_ARXIV = "{http://arxiv.org/schemas/atom}"
_OPENSEARCH = "{http://a9.com/-/spec/opensearch/1.1/}"
_XML_KINDS = frozenset({"application/atom+xml", "application/xml", "text/xml"})
# arXiv shows the reason for a withdrawal as the comment of that version (https://arxiv.org/help/versions).
_WITHDRAWN = re.compile(
    r"""(?ix) ^\W*(?:withdrawn|retracted)\b
    | \b(?:has|have)\s(?:now\s)?been\s(?:withdrawn|retracted)\b
    | \b(?:is|was)\s(?:being\s|hereby\s)?withdrawn\b
    | \b(?:has|have)\swithdrawn\s(?:this|the)\b
    | \b(?:paper|article|manuscript|submission|preprint)\swithdrawn\b
    | \bwithdrawn\s(?:by|due|because)\b
    | \b(?:i|we)\s(?:hereby\s)?withdraw\b
    """
)
_LATER = "nothing is wrong with the reference: try again in a few minutes"


def service() -> Service:
    return Service.at(NAME, "KB_ARXIV_URL", "https://export.arxiv.org/api/query", spacing=SPACING)


def fetch(
    idents: Sequence[str],
    *,
    patient: bool = True,
    fresh: bool = False,
    tell: Callable[[str], None] | None = None,
    until: float = math.inf,
) -> dict[str, Upstream]:
    """Bare arXiv id -> what arXiv says of its latest version; an id that arXiv does not know is absent.

    Raises NetworkError when arXiv gave no usable answer, UsageError when it refuses an id.
    """
    transport = Transport(service(), patient=patient, fresh=fresh, tell=tell, until=until)
    found: dict[str, Upstream] = {}
    for start in range(0, len(idents), BATCH):
        batch = list(idents[start : start + BATCH])
        params = {"id_list": ",".join(batch), "start": "0", "max_results": str(len(batch))}
        found |= transport.ask("", params, lambda reply, batch=batch: read_feed(reply, batch))
    return found


def read_feed(reply: Reply, asked: Sequence[str]) -> dict[str, Upstream]:
    """The papers of a feed, by bare id.  Raises for everything that is not a whole, plain answer to what was asked."""
    start = reply.body.lstrip()[:200].lower()
    if start.startswith(b"rate exceeded"):
        raise BusyError("arXiv is asked too often: it answers `Rate exceeded.`", hint=_LATER)
    if b"<html" in start or start.startswith(b"<!doctype html") or reply.kind == "text/html":
        raise NetworkError(
            f"arXiv answers with a web page instead of data (HTTP {reply.status}): {reply.excerpt()}",
            hint="a proxy, a login page, or an outage: open https://arxiv.org in a browser",
        )
    if reply.kind not in _XML_KINDS:
        raise NetworkError(
            f"arXiv answers with {reply.kind or 'no content type'} instead of a feed (HTTP {reply.status}): "
            f"{reply.excerpt()}",
            hint="check KB_ARXIV_URL",
        )
    feed = _parse(reply)
    entries = feed.findall(f"{_ATOM}entry")
    for entry in entries:
        if "/api/errors" in _text(entry, f"{_ATOM}id"):
            raise UsageError(
                f"arXiv refuses the request: {one_line(_text(entry, f'{_ATOM}summary'))}", hint="check the ids"
            )
    if reply.status != 200:
        raise NetworkError(f"arXiv answers HTTP {reply.status}: {reply.excerpt()}", hint="check KB_ARXIV_URL")
    total = _text(feed, f"{_OPENSEARCH}totalResults").strip()
    if not total.isdecimal():
        raise NetworkError("arXiv sends a feed that does not say how many results it has", hint=_LATER)
    if len(entries) < min(int(total), len(asked)):
        raise BusyError(f"arXiv counts {total} results but sends {len(entries)}", hint=_LATER)
    papers = (_paper(entry) for entry in entries)
    return {paper.arxiv: paper for paper in papers if paper.arxiv is not None and paper.arxiv in asked}


class _NoDoctype(ElementTree.TreeBuilder):
    """Refuses document types, and with them every entity that could be declared."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise NetworkError(
            "arXiv sends XML with a document type, which could hide anything; it is not read",
            hint="something between here and arXiv changes its answers",
        )


def _parse(reply: Reply) -> ElementTree.Element:
    parser = ElementTree.XMLParser(target=_NoDoctype())  # noqa: S314 - no document type, hence no entities to expand
    try:
        parser.feed(reply.body)
        root = parser.close()
    except ElementTree.ParseError as error:
        line, column = error.position
        raise BusyError(
            f"arXiv sends broken XML (line {line}, column {column}): cut off on the way?", hint=_LATER
        ) from None
    if root.tag != f"{_ATOM}feed":
        name = root.tag.rpartition("}")[2]
        raise NetworkError(f"arXiv sends XML that is no Atom feed but <{name}>", hint="check KB_ARXIV_URL")
    return root


def _paper(entry: ElementTree.Element) -> Upstream:
    address = _text(entry, f"{_ATOM}id")
    found = arxiv_id(address)
    title = one_line(_text(entry, f"{_ATOM}title"))
    published = _text(entry, f"{_ATOM}published").strip()
    if found is None or title is None or not re.match(r"\d{4}-", published):
        raise NetworkError(
            f"arXiv sends an entry without id, title or date ({one_line(address) or 'no id'})", hint=_LATER
        )
    abstract = one_line(_text(entry, f"{_ATOM}summary"))
    comment = one_line(_text(entry, f"{_ARXIV}comment")) or ""
    authors = (one_line(_text(author, f"{_ATOM}name")) for author in entry.findall(f"{_ATOM}author"))
    return Upstream(
        source=NAME,
        title=title,
        authors=tuple(name for name in authors if name),
        year=int(published[:4]),
        abstract=abstract,
        venue=one_line(_text(entry, f"{_ARXIV}journal_ref")),
        arxiv=found[0],
        version=found[1],
        doi=doi(_text(entry, f"{_ARXIV}doi").split(" ")[0]),
        # An abstract speaks of other papers too: only one that begins so is about itself.
        withdrawn=bool(
            _WITHDRAWN.search(comment) or re.match(r"(?i)this \w+ (?:has been|is|was) withdrawn", abstract or "")
        ),
    )


def _text(element: ElementTree.Element, tag: str) -> str:
    return element.findtext(tag) or ""
