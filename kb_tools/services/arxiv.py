"""arXiv's Atom interface: one request for all ids, answers matched by id, and every way of saying no told apart.

The `arxiv` package asks and reads the entries.  By itself it repairs truncated XML and returns an empty list for
`Rate exceeded.`, web pages and error entries alike: so its requests go through our transport, and it is handed an
answer only after that was found to be a whole, plain feed.
https://info.arxiv.org/help/api/user-manual.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree

from kb_tools.errors import NetworkError, UsageError
from kb_tools.records.reference import arxiv_id, doi
from kb_tools.services.transport import BusyError, Reply, Service, Transport
from kb_tools.services.upstream import Upstream, one_line

if TYPE_CHECKING:
    import arxiv

NAME = "arXiv"
BATCH = 50
NEAR = 10  # works that a search gives
SPACING = 3.0  # https://info.arxiv.org/help/api/tou.html: one request every three seconds, one connection at a time

_ATOM = "{http://www.w3.org/2005/Atom}"
_ARXIV = "{http://arxiv.org/schemas/atom}"
_OPENSEARCH = "{http://a9.com/-/spec/opensearch/1.1/}"
_XML_KINDS = frozenset({"application/atom+xml", "application/xml", "text/xml"})
# arXiv shows the reason for a withdrawal as the comment of that version (https://arxiv.org/help/versions).
_WITHDRAWN = re.compile(
    r"""(?ix) ^\W*(?:temporarily\s)?(?:withdrawn|retracted)\b(?!\s(?:papers?|articles?|preprints?)\b)
    | \b(?:has|have)\s(?:now\s)?been\s(?:withdrawn|retracted)\b
    | \b(?:is|was)\s(?:being\s|hereby\s)?withdrawn\b
    | \b(?:has|have)\swithdrawn\s(?:this|the)\b
    | \b(?:paper|article|manuscript|submission|preprint)\swithdrawn\b
    | \bwithdrawn\s(?:by|due|because)\b
    | \b(?:i|we)\s(?:hereby\s)?withdraw\b
    | \bwithdraw(?:s|ing)?\s(?:this|the|our)\s(?:paper|article|manuscript|submission|preprint|work)\b
    | \b(?:paper|article|manuscript|submission|preprint)\s(?:has\sbeen|is|was)\sremoved\b
    | \bremoved\s(?:from\sarxiv\s)?by\s(?:the\s)?arxiv\b
    """
)
# A comment may speak of another paper, or of a venue that the paper left.
_OF_ANOTHER = re.compile(r"(?i)\d{4}\.\d{4,5}|/\d{7}|\b(?:which|that|whose|supersedes|replaces)\b")
# Or of a part of the paper, which itself stays.
_OF_A_PART = re.compile(
    r"(?i)\b(?:sections?|claims?|theorems?|lemmas?|propositions?|corollar(?:y|ies)|appendix|results?)\b"
    r"(?!.*\b(?:paper|article|manuscript|submission|preprint|work)\b)"
)
_FROM_A_VENUE = re.compile(r"(?i)\s*from\s(?!arxiv\b)")
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
    transport = connect(patient=patient, fresh=fresh, tell=tell, until=until)
    found: dict[str, Upstream] = {}
    for start in range(0, len(idents), BATCH):
        batch = list(idents[start : start + BATCH])
        papers = map(_paper, _results(transport, len(batch), id_list=batch))
        found |= {paper.arxiv: paper for paper in papers if paper.arxiv is not None and paper.arxiv in batch}
    return found


def titled(title: str, transport: Transport) -> list[Upstream]:
    """Papers with the words of a title in theirs, one after the other, the nearest first.

    Raises NetworkError when arXiv gave no usable answer.
    """
    words = " ".join(re.findall(r"\w+", title))
    return [_paper(one) for one in _results(transport, NEAR, query=f'ti:"{words}"', max_results=NEAR)]


def connect(
    *, patient: bool, fresh: bool, tell: Callable[[str], None] | None = None, until: float = math.inf
) -> Transport:
    return Transport(service(), patient=patient, fresh=fresh, tell=tell, until=until)


def _results(transport: Transport, most: int, **wanted: Any) -> Iterator[arxiv.Result]:
    """What the arxiv package reads in the one answer to one request, which goes through our transport.

    most: how many works the answer may hold.  wanted: as `arxiv.Search` has it.
    """
    import arxiv
    import requests
    from requests.adapters import BaseAdapter

    class Adapter(BaseAdapter):
        sent = 0

        def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
            if self.sent:  # it left an entry out, and would look for it on a next page
                raise NetworkError("arXiv sends an entry that the arxiv package cannot read", hint=_LATER)
            params = dict(parse_qsl(urlsplit(request.url or "").query))
            reply, self.sent = transport.ask("", params, lambda reply: whole(reply, most))
            response = requests.Response()
            response.status_code, response._content = reply.status, reply.body
            return response

        def close(self) -> None:
            """The connection is the transport's."""

    adapter, client = Adapter(), arxiv.Client(page_size=most, delay_seconds=0, num_retries=0)
    client._session.mount("https://", adapter)
    search = arxiv.Search(**{"max_results": None, **wanted})
    for seen, result in enumerate(client.results(search), start=1):
        yield result
        if seen == adapter.sent:
            return  # it would ask for a next page of a feed that counts more than it holds


def whole(reply: Reply, asked: int) -> tuple[Reply, int]:
    """The reply and its number of entries, if it is a whole, plain answer to a request for so many ids.

    Raises NetworkError, BusyError or UsageError for everything else.
    """
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
    if len(entries) < min(int(total), asked):
        raise BusyError(f"arXiv counts {total} results but sends {len(entries)}", hint=_LATER)
    for entry in entries:
        _check_entry(entry)
    return reply, len(entries)


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


def _check_entry(entry: ElementTree.Element) -> None:
    """The arxiv package leaves out an entry without id or dates, and a title may be empty: neither is an answer."""
    address = _text(entry, f"{_ATOM}id")
    dated = all(_is_date(_text(entry, f"{_ATOM}{name}").strip()) for name in ("published", "updated"))
    title = one_line(_text(entry, f"{_ATOM}title"))
    if arxiv_id(address) is None or title is None or not dated:
        raise NetworkError(
            f"arXiv sends an entry without id, title or dates ({one_line(address) or 'no id'})", hint=_LATER
        )


def _is_date(words: str) -> bool:
    """Whether it is a moment that the arxiv package can read."""
    try:
        datetime.fromisoformat(words).astimezone(UTC)
    except (ValueError, OverflowError):
        return False
    return True


def _paper(result: arxiv.Result) -> Upstream:
    found = arxiv_id(result.entry_id)
    title = one_line(result.title)
    assert found is not None and title is not None, "looked at by _check_entry"
    abstract, comment = one_line(result.summary), one_line(result.comment or "") or ""
    authors = (one_line(author.name) for author in result.authors)
    return Upstream(
        service=NAME,
        title=title,
        # A colon between a collaboration and its members arrives as a name of its own.
        authors=tuple(name for name in authors if name and re.search(r"\w", name)),
        year=result.published.year,
        abstract=abstract,
        venue=one_line(result.journal_ref or ""),
        arxiv=found[0],
        version=found[1],
        doi=doi((result.doi or "").split(" ")[0]),
        # An abstract speaks of other papers too: only one that begins so is about itself.
        withdrawn=_is_withdrawn(comment)
        or re.match(r"(?i)this \w+ (?:has been|is|was) (?:withdrawn|removed by arxiv)", abstract or "") is not None,
        updated=result.updated.date().isoformat() if result.updated else None,
    )


def _is_withdrawn(comment: str) -> bool:
    """Whether a comment says that its own paper was taken back from arXiv."""
    for sentence in re.split(r"[.;]\s+", comment):
        found = _WITHDRAWN.search(sentence)
        if (
            found
            and not _OF_ANOTHER.search(sentence[: found.start()])
            and not _OF_A_PART.search(re.split("[,:(]", sentence[: found.end()])[-1])
            and not _FROM_A_VENUE.match(sentence, found.end())
        ):
            return True
    return False


def _text(element: ElementTree.Element, tag: str) -> str:
    return element.findtext(tag) or ""
