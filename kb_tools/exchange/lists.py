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
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from kb_tools.exchange.list_blocks import Block, blocks
from kb_tools.exchange.list_carried import given_back, taken_out
from kb_tools.exchange.list_line import LINK, URL, Said, is_address, is_label, is_title, label, plain, said
from kb_tools.exchange.markdown import HEADINGS
from kb_tools.exchange.references import names, numbered, reference
from kb_tools.exchange.work import Reading, Unread, Work
from kb_tools.records.reference import arxiv_id, arxiv_mentioned, doi

_PAPERS = re.compile(
    r"\.pdf$|//(?:www\.)?(?:proceedings|papers|jmlr|openreview|aclanthology|ieeexplore|dl\.acm|link\.springer|"
    r"(?:bio|med)rxiv|sciencedirect|nature|semanticscholar)\.|//openaccess\.thecvf|//(?:www\.)?pmlr|\.mlr\.press"
)
_BOX = re.compile(r"\[([ xX])\]\s+")
_QUOTED = re.compile(r'["“](.+?)["”]')
_BY = re.compile(r"^\s*by\s+(.+?)\s*$")
_WR = re.compile(r"\*{0,2}WR\s*=\s*([1-3])\*{0,2}")
_READ = re.compile(r":(?:zap|white_check_mark|heavy_check_mark):|✅|⚡")
_CITED = re.compile(r"\*\*(.+?)\s*\((\d{4})\)\.?\*\*\s*\*(.+?)\*\s*$")
_BOLD = re.compile(r"\*\*((?:(?!\*\*).)+)\*\*\s*$")
_ITALIC = re.compile(r"\*((?:\\.|[^*\\])+)\*$")
_NAMED = re.compile(r"(.+?):\s*(https?://\S+)$")
_KEY = re.compile(
    r"(?i)[\W_]*(?:paper|code|project(?: page)?|pdf|arxiv|links?|web ?site|url|github|home ?page|video|slides|demo|"
    r"abstract|doi)[\W_]*"
)
_RUNS_OVER = 8  # lines of one reference
_SIDE_LINK = re.compile(r"\[\[([^\]]+)\]\(([^\s)]+)\)\]")
_OF_TITLES = re.compile(r"\b(?:title|paper|publication|work|article)s?\b")
_YEAR = re.compile(r"\b(1[6-9]|20)\d\d\b")
_INITIALS = re.compile(r"([^,&]+), ((?:[A-Z]\.[\s-]?)+)(?:,|&|$|et al\.)")
_ALIAS = re.compile(r"^(.*\S)\s+\(([^(),]{2,30})\)$")
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
        self.people: list[str] | None = None  # names told apart already
        self.others = False
        self.year: int | None = None
        self.venue = ""
        self.worth_reading: int | None = None
        self.read = False
        self.linked = False  # the title is the words of a link: all of it, a note in brackets too
        self.said: list[str] = []

    def paper(self) -> str | None:
        """The arXiv id that the item has so far."""
        return next((found[0] for _, url in self.links if (found := _arxiv(url))), None)


def loads(text: str) -> Reading:
    """Every item of a list, in its order; `section` of each is the headings above it.  What is no item is unread where
    it carries an address.  An item of our own export is the record that it was."""
    lines, carried = taken_out(text)
    reader = _Reader()
    for block in blocks("\n".join(lines)):
        reader.take(block)
    return given_back(Reading([_work(item) for item in reader.items], reader.unread), carried, lines)


class _Reader:
    """The items of a list while its blocks are read.

    A heading, a bold line or a bare item may be the title of a work whose address stands below it: it waits, and is an
    item as soon as the address of a paper comes.
    """

    def __init__(self) -> None:
        self.items: list[_Item] = []
        self.unread: list[Unread] = []
        self.above: list[_Item | None] = [None]  # the item at each depth that further lines belong to
        self.waiting: list[_Item | None] = [None]  # the title at each depth that waits for an address

    def take(self, block: Block) -> None:
        """Read one more block."""
        for stack in (self.above, self.waiting):
            del stack[block.depth + 1 :]
            stack += [stack[-1]] * (block.depth + 1 - len(stack))
        if block.heading:
            self._heading(block)
            return
        if block.depth == 0 or block.opens:
            self.above[block.depth] = self.above[block.depth - 1] if block.depth else None
        if block.opens:
            self.waiting[block.depth] = self.waiting[block.depth - 1] if block.depth else None
        lines = _joined(block) if block.readable and block.cells is None else list(enumerate(block.lines, block.line))
        for number, line in lines:
            body = line.strip().removesuffix("\\").rstrip()
            if body:
                self._line(number, block, body)

    def _heading(self, block: Block) -> None:
        self.above, self.waiting = [None], [None]
        (words,) = block.lines
        told = said(words)
        if told.title and any(_of_a_paper(url) for _, url in told.links):
            item = _of_said(block.line, list(block.section[:-1]), told)
            self.items.append(item)
            self.waiting = [item]
        elif URL.search(words):
            self._not_read(block.line, words)
        elif len(plain(words).split()) > 2:
            self.waiting = [_Item(block.line, list(block.section[:-1]), words)]

    def _line(self, number: int, block: Block, body: str) -> None:
        first = number == block.line
        begun = _begin(number, block, body, first=first) if block.readable else None
        open_item = self.above[block.depth]
        if begun is not None:
            self.items.append(begun)
            self.above[block.depth] = begun
            if not begun.links:
                self.waiting[block.depth] = begun
        elif open_item is not None and block.readable and (not self._is_elsewhere(open_item, body)):
            _continue(open_item, body)
        elif block.readable and self._completes(block, body):
            return
        elif URL.search(body) or arxiv_mentioned(body):
            self._not_read(number, body)
        elif block.opens and first and is_title(body) and len(plain(body).split()) > 2:
            self.waiting[block.depth] = _Item(number, list(block.section), plain(body))

    def _not_read(self, number: int, text: str) -> None:
        says = f"not read, though it carries an address: {' '.join(text.split())[:60]}"
        self.unread.append(Unread(number, says))

    @staticmethod
    def _is_elsewhere(item: _Item, body: str) -> bool:
        """Whether a line gives another paper's id than the item has: it is no part of that."""
        found, own = arxiv_mentioned(body), item.paper()
        return bool(found and own and found[0] != own)

    def _completes(self, block: Block, body: str) -> bool:
        """Give a line to the title that waits for it: people, or a label with an address."""
        item = self.waiting[block.depth]
        if item is None or self._is_elsewhere(item, body):
            return False
        told = said(body)
        key = re.match(r"(?i)[\W_]*(authors?|venue|year|published)[\W_]*:[\W_]*(.+)", body)
        people = told.people or ((names(italic[1]) or ([], False))[0] if (italic := _ITALIC.match(body)) else None)
        if key and key[1].lower().startswith("author"):
            people = (names(key[2]) or ([], False))[0]
        labelled = bool(re.match(r"\W*\[|\W*\w+(?: \w+)?\W*:", body)) or bool(told.people)
        if told.title and not key:
            return False
        if told.links and not (labelled and (self._has_line(item) or any(_of_a_paper(url) for _, url in told.links))):
            return False
        if not (told.links or people or key):
            return False
        item.people = item.people or people or None
        item.others = item.others or told.others
        if key and key[1].lower() in ("venue", "published"):
            item.venue = plain(key[2])
        item.year = item.year or told.year
        named = re.match(r"\W*(\w+(?: \w+)?)\W*:", body)
        item.links += [
            (
                label(named[1]) if named and (name == "home" or is_address(name) or name.startswith("http")) else name,
                url,
            )
            for name, url in told.links
        ]
        if told.links and not self._has_line(item):
            self.items.append(item)
            self.items.sort(key=lambda one: one.line)
        return True

    def _has_line(self, item: _Item) -> bool:
        return any(one is item for one in self.items[-20:])


def _joined(block: Block) -> list[tuple[int, str]]:
    """The lines of a block; those of references that run over several are one."""
    lines = list(enumerate(block.lines, block.line))
    if len(lines) == 1 or LINK.search(block.lines[0]):
        return lines
    marked = [number for number, line in lines if numbered(line) and line.lstrip().startswith("[")]
    if len(marked) > 1 and marked[0] == block.line:
        starts = marked
    elif all(reference(line) for _, line in lines):
        return lines
    elif reference(" ".join(block.lines[:_RUNS_OVER])):
        starts = [block.line]
        for (_, before), (number, _) in pairwise(lines):
            begun = starts[-1] - block.line
            here = number - block.line
            if before.rstrip().endswith((".", ")")) and all(
                reference(" ".join(part)) for part in (block.lines[begun:here], block.lines[here : here + _RUNS_OVER])
            ):
                starts.append(number)
    else:
        return lines
    ends = [*starts[1:], block.line + len(lines)]
    return [
        (start, " ".join(line.strip() for number, line in lines if start <= number < end))
        for start, end in zip(starts, ends, strict=True)
    ]


def _begin(number: int, block: Block, body: str, *, first: bool) -> _Item | None:
    """The item that a line begins; None if it begins none."""
    if block.cells is not None:
        return _of_row(number, block, block.cells)
    section, bulleted = list(block.section), block.opens and first
    box = _BOX.match(body) if bulleted else None
    body = body[box.end() :] if box else body
    link = LINK.match(body)
    title, tail = (body[: link.end()], body[link.end() :]) if link else ("", body)
    mark = _WR.search(tail)
    body = (title + _READ.sub("", _WR.sub("", tail))).strip()
    item = _of_body(number, section, body, bulleted=bulleted, boxed=box is not None)
    if item is None or is_address(item.title) or (item.linked and is_label(item.title)):
        item = _anywhere(number, section, body, bulleted=bulleted)
    if item is not None:
        item.read = bool(box and box[1] in "xX") or bool(_READ.search(tail))
        item.worth_reading = int(mark[1]) if mark else None
    return item


def _anywhere(number: int, section: list[str], body: str, *, bulleted: bool) -> _Item | None:
    """An item whose link does not stand first: behind its authors, in bold, or in brackets behind its title.

    Outside of a list only a line that begins with the link or the title in bold of a paper is one, or a reference as a
    style prints it: the rest is prose.
    """
    if not bulleted:
        begins = re.match(r"\W{0,4}\[|\*\*", body)
        if (found := reference(body)) and (found.year or arxiv_mentioned(body)):
            return _of_said(number, section, said(body))
        if not begins or not any(_of_a_paper(url) for _, url in said(body).links):
            return None
    told = said(body)
    if bulleted and not told.title and told.people and told.rest:
        told = told._replace(title=told.rest, people=None, rest="")
    if not told.title or not (any(url.startswith("http") for _, url in told.links) or (told.people and told.year)):
        return None
    return _of_said(number, section, told)


def _of_said(number: int, section: list[str], told: Said) -> _Item:
    item = _Item(number, section, told.title)
    item.links, item.linked = told.links, told.linked
    item.authors, item.people, item.others = told.authors, told.people, told.others
    item.year, item.venue = told.year, told.venue
    item.said += [told.rest] if told.rest else []
    return item


def _of_row(number: int, block: Block, cells: Mapping[str, str]) -> _Item | None:
    """The work of a table's row: the cell under `Title` or the like, else the first that is one."""
    told = {header: said(cell) for header, cell in cells.items()}
    links = [link for one in told.values() for link in one.links]
    if not any(url.startswith("http") for _, url in links):
        return None
    headed = next((one for header, one in told.items() if _OF_TITLES.search(header) and is_title(one.title)), None)
    linked = next((one for one in told.values() if one.linked and is_title(one.title)), None)
    texts = [plain(LINK.sub("", cell)).strip(" -*") for cell in cells.values()]
    longest = next((text for text in texts if len(text.split()) > 2 and is_title(text) and names(text) is None), "")
    chosen = headed or linked
    if chosen is None and not longest:
        return None
    item = _of_said(number, list(block.section), chosen) if chosen else _Item(number, list(block.section), longest)
    item.linked = True
    item.links = [
        *(chosen.links if chosen else []),
        *(link for one in told.values() if one is not chosen for link in one.links),
    ]
    for header, cell in cells.items():
        text = plain(LINK.sub(r"\1", cell)).strip(" -*")
        if "author" in header and told[header] is not chosen:
            item.authors = text
        elif re.search(r"venue|conf|journal|publish", header) and told[header] is not chosen and not item.venue:
            item.venue = text
        if re.search(r"year|date|venue|conf|publish", header) and item.year is None and (year := _YEAR.search(text)):
            item.year = int(year.group())
    return item


def _of_a_paper(url: str) -> bool:
    return bool(_arxiv(url) or doi(url) or _PAPERS.search(url))


def _arxiv(url: str) -> tuple[str, int | None] | None:
    """The arXiv id that an address names, in whatever form."""
    return arxiv_id(url) or arxiv_mentioned(url)


def _of_body(number: int, section: list[str], body: str, *, bulleted: bool, boxed: bool) -> _Item | None:
    if cited := _CITED.match(body):
        item = _Item(number, section, cited[3])
        item.authors, item.year = cited[1], int(cited[2])
        return item
    link = LINK.match(body)
    behind = body[link.end() :].strip(" .,") if link else ""
    if bulleted and link and link[2].startswith("http") and (not behind or behind.startswith("by ")):
        item = _Item(number, section, link[1])
        item.links.append(("home", link[2]))
        item.linked = True
        if quoted := _QUOTED.match(link[1]):
            item.title, item.authors = quoted[1], _by(link[1][quoted.end() :])
        item.authors = _by(body[link.end() :]) or item.authors
        return item
    if (named := _NAMED.match(body)) and not _KEY.fullmatch(named[1]) and not LINK.search(body):
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
    return _Item(number, section, body) if boxed and body and not said(body).links else None


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
        item.links += [(label(name), url) for name, url in links]
        if item.year is None and (year := _YEAR.search(_SIDE_LINK.sub("", line))):
            item.year = int(year.group())
        return
    told = said(line)
    if told.links and not told.title and (told.people or is_label(LINK.sub("", line)) or not told.rest):
        item.links += told.links
        item.people, item.others = item.people or told.people, item.others or told.others
        return
    if told.people and not told.links and not item.authors and not item.people and not item.said:
        item.people, item.others = told.people, told.others
        return
    if re.search(r"\w", line) and "](#" not in line:
        item.said.append(plain(line))


def _work(item: _Item) -> Work:
    title, alias = plain(item.title).strip().rstrip("."), None
    if not item.linked and (found := _ALIAS.match(title)):
        title, alias = found.groups()
    authors, others = (item.people, item.others) if item.people is not None else _people(plain(item.authors))
    heading_year = next((name for name in reversed(item.section) if _YEAR.fullmatch(name)), None)
    fields: dict[str, Any] = {
        "kind": _kind(item),
        "title": title,
        "authors": authors,
        "venue": item.venue,
        "year": item.year or (int(heading_year) if heading_year else None),
        "aliases": [alias] if alias else [],
        "worth_reading": item.worth_reading,
        "status": "read" if item.read else None,
        "summary": "\n".join(item.said),
    }
    links: dict[str, str] = {}
    remarks = ["not all authors are named"] if others else []
    for name, url in item.links:
        if (found_arxiv := _arxiv(url)) and "arxiv" not in fields:
            fields["arxiv"], fields["arxiv_version"] = found_arxiv
        elif (found_doi := doi(url)) and "doi" not in fields:
            fields["doi"] = found_doi
        elif re.match("https?://", url) and links.setdefault(name, url) != url:
            remarks.append(f"left out, a second link called {name}: {url}")
    fields["links"] = links
    return Work(
        item.line, {name: value for name, value in fields.items() if value}, tuple(remarks), tuple(item.section)
    )


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
    if any(_arxiv(url) or doi(url) for url in urls):
        return "paper"
    if any(re.search(r"//(www\.)?(youtube\.com|youtu\.be|vimeo\.com)/", url) for url in urls):
        return "video"
    if any(re.search(r"//(www\.)?(github|gitlab)\.com/", url) for url in urls):
        return "code"
    for name in reversed(item.section):
        for kind, words in _WORD_OF_KIND:
            if re.search(rf"(?i)\b({words})\b", name):
                return kind
    return "paper" if not urls or _PAPERS.search(urls[0]) else "webpage"
