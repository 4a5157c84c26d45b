"""Reading lists as people write them in Markdown: the styles of the five seed lists, and our own export.

An item begins on a line of its own as
    - [ ] [Title](address) **WR=3**        a box, a link, by whom, a mark: each may be left out but the title
    - [ ] **Ho, J. & Jain, A. (2020).** *Title.*
    - "Title" by Author
    Title: address
    **Title** :zap:
and its authors (in italics), links and description follow on the next lines, up to an empty one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kb_tools.exchange.markdown import HEADINGS
from kb_tools.exchange.work import Reading, Work
from kb_tools.records.reference import arxiv_id, doi

_HEADING = re.compile(r"(#+)\s+(.*?)\s*#*$")
_BULLET = re.compile(r"(\s*)[-*+]\s+(.*)$")
_BOX = re.compile(r"\[([ xX])\]\s+")
_LINK = re.compile(r"\[((?:\\.|[^\]\\])+)\]\(\s*<?([^\s)>]+)>?\s*\)")
_QUOTED = re.compile(r'["“](.+?)["”]')
_BY = re.compile(r"^\s*by\s+(.+?)\s*$")
_WR = re.compile(r"\*{0,2}WR\s*=\s*([1-3])\*{0,2}")
_READ = re.compile(r":(?:zap|white_check_mark|heavy_check_mark):|✅|⚡")
_CITED = re.compile(r"\*\*(.+?)\s*\((\d{4})\)\.?\*\*\s*\*(.+?)\*\s*$")
_BOLD = re.compile(r"\*\*((?:(?!\*\*).)+)\*\*\s*$")
_ITALIC = re.compile(r"\*((?:\\.|[^*\\])+)\*$")
_NAMED = re.compile(r"(.+?):\s*(https?://\S+)$")
_SIDE_LINK = re.compile(r"\[\[([^\]]+)\]\(([^\s)]+)\)\]")
_YEAR = re.compile(r"\b(1[6-9]|20)\d\d\b")
_INITIALS = re.compile(r"([^,&]+), ((?:[A-Z]\.[\s-]?)+)(?:,|&|$|et al\.)")
_ALIAS = re.compile(r"^(.*\S)\s+\(([^(),]{2,30})\)$")
_ESCAPE = re.compile(r"\\([\\`*_\[\]<>&|~#().!-])")
_WORD_OF_KIND = (
    ("video", r"videos?|lectures|talks?"),
    ("textbook", r"(text)?books?"),
    ("course", r"courses?"),
    ("code", r"code|repositor(y|ies)|implementations?"),
    ("webpage", r"web ?pages?|websites?"),
    ("paper", r"papers?|surveys?"),
    ("blog", r"blogs?|posts?|articles?"),
)


class _Item:
    """One entry of a list while its lines are read."""

    def __init__(self, line: int, section: list[str], title: str) -> None:
        self.line, self.section, self.title = line, section, title
        self.links: list[tuple[str, str]] = []
        self.authors = ""
        self.year: int | None = None
        self.worth_reading: int | None = None
        self.read = False
        self.linked = False  # the title is the words of a link: all of it, a note in brackets too
        self.said: list[str] = []


def loads(text: str) -> Reading:
    """Every item of a list, in its order; `section` of each is the headings above it."""
    return Reading([_work(item) for item in _items(text)], [])


def _items(text: str) -> Iterator[_Item]:
    section: list[tuple[int, str]] = []
    item: _Item | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.rstrip().removesuffix("\\").rstrip()
        if heading := _HEADING.match(line):
            section = [
                *((depth, name) for depth, name in section if depth < len(heading[1])),
                (len(heading[1]), heading[2]),
            ]
        begun = None if heading or not line.strip() else _begin(number, [name for _, name in section], line)
        if heading or begun or not line.strip():
            if item is not None:
                yield item
            item = begun
        elif item is not None:
            _continue(item, line.strip())
    if item is not None:
        yield item


def _begin(number: int, section: list[str], line: str) -> _Item | None:
    """The item that a line begins; None if it begins none."""
    bullet = _BULLET.match(line)
    body = bullet[2] if bullet else line.strip()
    box = _BOX.match(body)
    body = body[box.end() :] if box else body
    link = _LINK.match(body)
    title, tail = (body[: link.end()], body[link.end() :]) if link else ("", body)
    mark = _WR.search(tail)
    body = (title + _READ.sub("", _WR.sub("", tail))).strip()
    item = _of_body(number, section, body, bulleted=bullet is not None, boxed=box is not None)
    if item is not None:
        item.read = bool(box and box[1] in "xX") or bool(_READ.search(tail))
        item.worth_reading = int(mark[1]) if mark else None
    return item


def _of_body(number: int, section: list[str], body: str, *, bulleted: bool, boxed: bool) -> _Item | None:
    if cited := _CITED.match(body):
        item = _Item(number, section, cited[3])
        item.authors, item.year = cited[1], int(cited[2])
        return item
    link = _LINK.match(body)
    if bulleted and link and not link[2].startswith("#"):
        item = _Item(number, section, link[1])
        item.links.append(("home", link[2]))
        item.linked = True
        if quoted := _QUOTED.match(link[1]):
            item.title, item.authors = quoted[1], _by(link[1][quoted.end() :])
        item.authors = _by(body[link.end() :]) or item.authors
        return item
    if named := _NAMED.match(body):
        item = _Item(number, section, named[1])
        item.links.append(("home", named[2]))
        return item
    quoted = _QUOTED.match(body)
    if bulleted and quoted:
        item = _Item(number, section, quoted[1])
        item.authors = _by(body[quoted.end() :])
        return item
    if not bulleted and (bold := _BOLD.match(body)):
        return _Item(number, section, bold[1])
    return _Item(number, section, body) if boxed and body else None


def _by(text: str) -> str:
    found = _BY.match(text)
    return found[1] if found else ""


def _continue(item: _Item, line: str) -> None:
    """One more line of an item: authors, links and year, or what it says."""
    if not item.authors and (italic := _ITALIC.match(line)):
        item.authors = italic[1]
        return
    links = _SIDE_LINK.findall(line)
    if links or re.fullmatch(r"[A-Z][a-z]{2} \d{4}", line):
        item.links += [(re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"), url) for name, url in links]
        if item.year is None and (year := _YEAR.search(_SIDE_LINK.sub("", line))):
            item.year = int(year.group())
        return
    bullet = _BULLET.match(line)
    words = bullet[2] if bullet else line
    if re.search(r"\w", words) and "](#" not in words:
        item.said.append(_plain(words))


def _work(item: _Item) -> Work:
    title, alias = _plain(item.title).strip().rstrip("."), None
    if not item.linked and (found := _ALIAS.match(title)):
        title, alias = found.groups()
    authors, others = _people(_plain(item.authors))
    heading_year = next((name for name in reversed(item.section) if _YEAR.fullmatch(name)), None)
    fields: dict[str, Any] = {
        "kind": _kind(item),
        "title": title,
        "authors": authors,
        "year": item.year or (int(heading_year) if heading_year else None),
        "aliases": [alias] if alias else [],
        "worth_reading": item.worth_reading,
        "status": "read" if item.read else None,
        "summary": "\n".join(item.said),
    }
    links: dict[str, str] = {}
    for name, url in item.links:
        if (found_arxiv := arxiv_id(url)) and "arxiv" not in fields:
            fields["arxiv"], fields["arxiv_version"] = found_arxiv
        elif (found_doi := doi(url)) and "doi" not in fields:
            fields["doi"] = found_doi
        elif re.match("https?://", url):
            links.setdefault(name, url)
    fields["links"] = links
    remarks = ("not all authors are named",) if others else ()
    return Work(item.line, {name: value for name, value in fields.items() if value}, remarks, tuple(item.section))


def _people(text: str) -> tuple[list[str], bool]:
    """Names, and whether more are meant: `Ho, J., Jain, A., & Abbeel, P.` or `Jonathan Ho, Ajay Jain and P. Abbeel`."""
    others = bool(re.search(r"\bet al\b|\bothers\b", text))
    if _INITIALS.match(text):
        return [f"{initials.strip()} {family.strip()}" for family, initials in _INITIALS.findall(text)], others
    names = re.split(r",\s*(?:and\s+|&\s*)?|\s+and\s+|\s+&\s+", re.sub(r",?\s*\bet al\.?$", "", text))
    return [name.strip() for name in names if name.strip()], others


def _kind(item: _Item) -> str:
    """What an item is, by its address, else by the headings above it, the nearest first; a paper if nothing says."""
    for name in reversed(item.section):
        for kind, title in HEADINGS.items():
            if name == title:
                return kind
    urls = [url for _, url in item.links]
    if any(arxiv_id(url) or doi(url) for url in urls):
        return "paper"
    if any(re.search(r"//(www\.)?(youtube\.com|youtu\.be|vimeo\.com)/", url) for url in urls):
        return "video"
    if any(re.search(r"//(www\.)?(github|gitlab)\.com/", url) for url in urls):
        return "code"
    for name in reversed(item.section):
        for kind, words in _WORD_OF_KIND:
            if re.search(rf"(?i)\b({words})\b", name):
                return kind
    papers = r"\.pdf$|//(proceedings|papers|jmlr|openreview)\."
    return "paper" if not urls or re.search(papers, urls[0]) else "webpage"


def _plain(text: str) -> str:
    """Markdown as text: links by their words, emphasis and escapes gone."""
    text = _LINK.sub(r"\1", text)
    text = re.sub(r"(?<!\\)(\*+|``?)(?=\S)(.+?)(?<=\S)(?<!\\)\1", r"\2", text)
    return _ESCAPE.sub(r"\1", text).strip()
