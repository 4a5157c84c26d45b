"""The collection for other programs: JSON, BibTeX, feeds, sitemap, a plain list for language models.

The page "Data and feeds" (site/pages/data/index.md) says what each file holds; a test holds the two together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree import ElementTree

from kb_tools.appearance.notation import spoken
from kb_tools.exchange import bibtex, work
from kb_tools.exchange.venue import venue_of
from kb_tools.records.model import Record
from kb_tools.site import notes
from kb_tools.site.knowledge import Knowledge, name_of
from kb_tools.site.writing import Memo

ATOM = "http://www.w3.org/2005/Atom"
SITEMAP = "http://www.sitemaps.org/schemas/sitemap/0.9"
_CONTROLS = {n: None for n in range(32) if chr(n) not in "\t\n"}
FEED_ID = "tag:diffusion-kb,2026:"


def files(k: Knowledge, address: str, pages: Iterable[str], memo: Memo) -> dict[str, bytes]:
    """All files of data, by name.  address: where the site stands, or nothing.  pages: addresses within it."""

    def fed(title: str, name: str, records: list[Record]) -> bytes:
        ids = address if k.settings and address else FEED_ID
        return memo.get(name, (title, records, address, ids), lambda: feed(title, name, records, address, ids))

    papers = [k.records[i] for i in k.order]
    made = {
        "data/papers.json": _json({"schema_version": 1, "papers": [paper(k, r) for r in papers]}),
        "data/marks.json": _json({r.id: mark(k, r) for r in papers}),
        "data/search.json": _json({"schema_version": 1, "docs": list(_documents(k))}),
        "data/papers.bib": bibtex.dumps({r.id: r.model_dump() for r in papers}, k.citation_keys).encode(),
        "feed.xml": fed(k.title, "feed.xml", list(k.papers.values())),
        "llms.txt": plain_list(k, address).encode(),
    }
    for ident, topic in k.topics.items():
        about = [r for r in k.papers.values() if ident in r.topics]
        if about:
            name = f"topics/{ident}/feed.xml"
            made[name] = fed(f"{topic.title} · {k.title}", name, about)
    if address:
        made["sitemap.xml"] = sitemap(address, pages)
        made["robots.txt"] = f"User-agent: *\nAllow: /\nSitemap: {address}sitemap.xml\n".encode()
    return made


def paper(k: Knowledge, record: Record) -> dict[str, Any]:
    """A record as papers.json has it."""
    kept = record.model_dump(exclude_defaults=True, exclude={"sources", "equations", "abstract"})
    more: dict[str, Any] = {"order": k.position[record.id], "url": f"papers/{record.id}/"}
    if k.unlocks[record.id]:
        more["unlocks"] = k.unlocks[record.id]
    method = k.methods.get(record.id)
    if method:
        more["verified"] = method.proven
    return kept | more


def mark(k: Knowledge, record: Record) -> dict[str, Any]:
    """What a browser needs of a paper to count progress and to say what is next."""
    return {
        "name": name_of(record),
        "title": record.title,
        "status": record.status,
        "needs": [b for b in record.builds_on if b in k.papers],
        "former": record.former_ids,
        "kind": record.kind,
        "year": record.year,
        "wr": record.worth_reading,
        "why": record.why or "",
    }


def linked_data(record: Record, key: str, address: str) -> str:
    """A paper as schema.org's ScholarlyArticle, safe inside a <script> element."""
    venue = venue_of(record.model_dump())
    part = {"journal": "Periodical", "conference": "Book", "workshop": "Book"}.get(venue.kind)  # proceedings are a book
    data: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": "ScholarlyArticle",
        "headline": record.title,
        "author": [{"@type": "Person", "name": name} for name in record.authors],
        "datePublished": str(record.year) if record.year else None,
        "identifier": key,
        "url": f"{address}papers/{record.id}/" if address else None,
        "sameAs": work.address(record.model_dump()),
        "isPartOf": {"@type": part, "name": venue.name} if part else None,
    }
    text = json.dumps({k: v for k, v in data.items() if v}, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def citation(record: Record) -> list[tuple[str, str]]:
    """The citation_* tags that Zotero and Google Scholar read, without their prefix."""
    tags = [("title", record.title), *(("author", name) for name in record.authors)]
    venue = venue_of(record.model_dump())
    if venue.year or record.year:
        tags.append(("publication_date", str(venue.year or record.year)))
    if venue.kind == "journal":
        tags.append(("journal_title", venue.name))
    elif venue.kind in ("conference", "workshop"):
        tags.append(("conference_title", venue.name))
    parts = {"volume": venue.volume, "issue": venue.number, "firstpage": venue.first_page, "lastpage": venue.last_page}
    tags += [(name, value) for name, value in parts.items() if value]
    if record.doi:
        tags.append(("doi", record.doi))
    if record.arxiv:
        tags += [("arxiv_id", record.arxiv), ("pdf_url", f"https://arxiv.org/pdf/{record.arxiv}")]
    return tags


def feed(title: str, name: str, records: Iterable[Record], address: str, ids: str = FEED_ID) -> bytes:
    """An Atom feed: what came or changed last stands first.  `published` is when the paper was, as far as is known.

    ids: what the ids of the feed and its entries begin with.
    """
    root = ElementTree.Element("feed", xmlns=ATOM)
    listed = sorted(sorted(records, key=lambda r: (-(r.year or 0), r.id)), key=_day, reverse=True)
    up = address or "../" * name.count("/") or "./"
    _add(root, "title", title)
    _add(root, "id", ids + name)
    _add(root, "updated", _moment(listed))
    _add(root, "link", rel="self", href=f"{address}{name}" if address else name.rsplit("/", 1)[-1])
    _add(root, "link", rel="alternate", type="text/html", href=f"{up}papers/")
    for record in listed:
        entry = _add(root, "entry")
        _add(entry, "title", record.title)
        _add(entry, "id", f"{ids}papers/{record.id}")
        _add(entry, "updated", _moment([record]))
        if published := _published(record):
            _add(entry, "published", published)
        _add(entry, "link", rel="alternate", type="text/html", href=f"{up}papers/{record.id}/")
        for author in record.authors or ["unknown"]:
            _add(_add(entry, "author"), "name", author)
        for topic in record.topics:
            _add(entry, "category", term=topic)
        _add(entry, "summary", " ".join([*filter(None, [record.why]), *(record.summary or "").split("\n")]).strip())
    ElementTree.indent(root, " ")
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _day(record: Record) -> str:
    """When a record came, or last changed.  A build must not depend on the clock, so one that does not say is old."""
    return max(record.added or "1970-01-01", record.changed or "")


def _moment(records: Iterable[Record]) -> str:
    return f"{max(map(_day, records), default='1970-01-01')}T00:00:00Z"


def _published(record: Record) -> str | None:
    """When the paper came out: the month of its arXiv id, else its year."""
    month = re.match(r"(\d\d)(\d\d)\.", record.arxiv or "") if record.arxiv else None
    if month:
        return f"20{month[1]}-{month[2]}-01T00:00:00Z"
    return f"{record.year}-01-01T00:00:00Z" if record.year else None


def _add(parent: ElementTree.Element, tag: str, words: str | None = None, **attributes: str) -> ElementTree.Element:
    child = ElementTree.SubElement(parent, tag, attributes)
    child.text = _xml(words) if words else None
    return child


def _xml(words: str) -> str:
    """Without the characters that XML has no way to write."""
    return words.translate(_CONTROLS)


def sitemap(address: str, pages: Iterable[str]) -> bytes:
    root = ElementTree.Element("urlset", xmlns=SITEMAP)
    for page in sorted(pages):
        _add(_add(root, "url"), "loc", address + page)
    ElementTree.indent(root, " ")
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def plain_list(k: Knowledge, address: str) -> str:
    """llms.txt: what the site is, and each paper in one line, in reading order."""
    lines = [
        f"# {_flat(k.title)}",
        "",
        *_about(k),
        "## Papers in reading order",
        "",
    ]
    for ident in k.order:
        record = k.records[ident]
        reason = f": {record.why}" if record.why else ""
        lines.append(f"- [{_flat(record.title)}]({address}papers/{ident}/) ({record.year or 'undated'}){_flat(reason)}")
    if k.methods:
        lines += ["", "## Code", ""]
    lines += [f"- [{m.source.path}]({address}code/{m.record.id}/): {_flat(m.headline)}" for m in k.methods.values()]
    lines += ["", "## Data", "", f"- [All papers as JSON]({address}data/papers.json)"]
    lines += [f"- [All papers as BibTeX]({address}data/papers.bib)", f"- [What these files hold]({address}data/)", ""]
    return "\n".join(lines)


def _about(k: Knowledge) -> list[str]:
    """What the site is, as a quotation; nothing where its owner does not say."""
    if k.settings:
        return [f"> {_flat(k.settings.description)}", ""] if k.settings.description else []
    said = "Papers on diffusion models in an order to read them, each with a plain summary; methods as short PyTorch"
    return [f"> {said} files whose samplers are checked against exact answers.", ""]


def _flat(words: str) -> str:
    return " ".join(words.replace("[", "(").replace("]", ")").split())


def _documents(k: Knowledge) -> Iterable[Mapping[str, str]]:
    """What the site's search reads: address, title, names, authors, kind, why to read it, text."""
    for ident in k.order:
        r = k.records[ident]
        topics = " ".join(k.topics[t].title for t in r.topics if t in k.topics)
        equations = [equation.says for equation in r.equations.values()]
        said = " ".join([r.summary or "", topics, r.venue or "", *equations])
        names = [*r.aliases, ident, r.arxiv or ""]
        yield _document(f"papers/{ident}/", r.title, names, r.authors, r.kind, r.why or "", said, _written(k, r))
    for ident, topic in k.topics.items():
        yield _document(f"topics/{ident}/", topic.title, [ident], [], "topic", "", topic.summary)
    for ident, r in k.resources.items():
        said = " ".join([r.summary or "", r.venue or ""])
        yield _document(f"resources/#{ident}", r.title, r.aliases, r.authors, r.kind, r.why or "", said, _written(k, r))
    for ident, method in k.methods.items():
        names = [method.name, *(name for _, name, *_ in method.source.definitions)]
        yield _document(f"code/{ident}/", method.source.path, names, [], "method", "", method.source.docstring)


def _written(k: Knowledge, record: Record) -> str:
    said = k.written.get(record.id)
    return notes.words(said, record.title) if said else ""


def _document(
    url: str,
    title: str,
    names: Iterable[str],
    authors: Iterable[str],
    kind: str,
    why: str,
    said: str,
    noted: str = "",
) -> Mapping[str, str]:
    """noted: what stands behind the text as it is, for notes can be long and are no prose of ours."""
    return {
        "u": url,
        "t": title,
        "n": "\n".join(filter(None, names)),
        "a": ", ".join(authors),
        "k": kind,
        "w": spoken(" ".join(why.split())),
        "x": f"{spoken(' '.join(said.split()))} {noted}".strip(),
    }


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
