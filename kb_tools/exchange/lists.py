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
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kb_tools.errors import InvalidRecordError
from kb_tools.exchange import whole
from kb_tools.exchange.list_blocks import Block, blocks
from kb_tools.exchange.markdown import HEADINGS, boxed
from kb_tools.exchange.work import Reading, Unread, Work
from kb_tools.records.reference import arxiv_id, doi

_URL = re.compile(r"https?://[^\s<>\"]+")
_PAPERS = re.compile(
    r"\.pdf$|//(?:www\.)?(?:proceedings|papers|jmlr|openreview|aclanthology|ieeexplore|dl\.acm|link\.springer|"
    r"(?:bio|med)rxiv|sciencedirect|nature|semanticscholar)\.|//openaccess\.thecvf|//(?:www\.)?pmlr|\.mlr\.press"
)
# Words of a link that say what lies there, and not what it is called.
_LABEL = re.compile(
    r"(?i)[\W_]*(?:(?:the\s+|full\s+|official\s+|project\s+)?(?:paper|pdf|arxiv|abs|html|code|codes|github|git|repo|repository|"
    r"project|page|home\s?page|web\s?site|website|web|link|links|video|slides?|poster|blog|demo|data|datasets?|here|"
    r"openreview|doi|bib|bibtex|colab|supp|supplement|source|url|pytorch|tensorflow|jax|models?|weights|hugging\s?face|"
    r"v?\d[\d.v]*)[\W_]*)+"
)
_WIKI = re.compile(r"\[\[[^\[\]()]*\]\](?!\()")
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
_CARRIED = re.compile(rf"\s*<!-- {whole.NAME} (\{{.*\}}) -->\s*")
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
        self.venue = ""
        self.worth_reading: int | None = None
        self.read = False
        self.linked = False  # the title is the words of a link: all of it, a note in brackets too
        self.said: list[str] = []


def loads(text: str) -> Reading:
    """Every item of a list, in its order; `section` of each is the headings above it.  What is no item is unread where
    it carries an address.  An item of our own export is the record that it was."""
    if f"<!-- {whole.NAME} " not in text:
        return _loads(text)
    carried: dict[int, str] = {}
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if found := _CARRIED.fullmatch(line):
            carried[number], lines[number - 1] = found[1], ""
    return _with_carried(_loads("\n".join(lines)), carried, lines)


def _with_carried(reading: Reading, carried: Mapping[int, str], lines: Sequence[str]) -> Reading:
    """Every work with what the comment under it carries; a comment with no work above it is one by itself.

    What stands right above such a comment and was not read, as a title of numbers alone, is in the comment.
    """
    numbers = sorted(carried)
    under: dict[int, int] = {}  # line of a work -> line of the comment; of two works above one comment, the first
    taken: set[int] = set()
    for work in reading.works:
        place = bisect(numbers, work.line)
        if place < len(numbers) and numbers[place] not in taken:
            under[work.line] = numbers[place]
            taken.add(numbers[place])
    stray = [Work(number, {}) for number in numbers if number not in taken]
    inside = {above for one in stray for above in _above(one.line, lines)}
    works, unread = [], [lost for lost in reading.unread if lost.line not in inside]
    for work in sorted([*reading.works, *stray], key=lambda one: one.line):
        number = under.get(work.line, None if work.fields else work.line)
        try:
            works.append(work if number is None else _restored(work, carried[number]))
        except InvalidRecordError as error:
            unread.append(Unread(work.line, f"the item {error.message}", refused=True))
    return Reading(works, unread)


def _above(number: int, lines: Sequence[str]) -> Iterator[int]:
    """The lines above a line of that number, up to an empty one."""
    while number > 1 and lines[number - 2].strip():
        number -= 1
        yield number


def _restored(work: Work, carried: str) -> Work:
    """The record that an export wrote.  A box that somebody ticked since then counts, whatever it was before."""
    restored = whole.restored(work._replace(fields=boxed(work.fields) if work.fields else {}), carried)
    if work.fields.get("status") == "read":
        restored.fields["status"] = "read"
    return restored


def _loads(text: str) -> Reading:
    items: list[_Item] = []
    unread: list[Unread] = []
    above: list[_Item | None] = [None]  # the item at each depth that further lines belong to
    for block in blocks(text):
        del above[block.depth + 1 :]
        above += [above[-1]] * (block.depth + 1 - len(above))
        if block.depth == 0 or block.opens:
            above[block.depth] = above[block.depth - 1] if block.depth else None
        for number, line in enumerate(block.lines, block.line):
            body = line.strip().removesuffix("\\").rstrip()
            if not body:
                continue
            begun = _begin(number, block, body, first=number == block.line) if block.readable else None
            if begun is not None:
                items.append(begun)
                above[block.depth] = begun
            elif (open_item := above[block.depth]) is not None and block.readable:
                _continue(open_item, body)
            elif _URL.search(body):
                unread.append(Unread(number, f"not read, though it carries an address: {' '.join(body.split())[:60]}"))
    return Reading([_work(item) for item in items], unread)


def _begin(number: int, block: Block, body: str, *, first: bool) -> _Item | None:
    """The item that a line begins; None if it begins none."""
    if block.cells is not None:
        return _of_row(number, block, block.cells)
    section, bulleted = list(block.section), block.opens and first
    box = _BOX.match(body) if bulleted else None
    body = body[box.end() :] if box else body
    link = _LINK.match(body)
    title, tail = (body[: link.end()], body[link.end() :]) if link else ("", body)
    mark = _WR.search(tail)
    body = (title + _READ.sub("", _WR.sub("", tail))).strip()
    item = _of_body(number, section, body, bulleted=bulleted, boxed=box is not None)
    if item is None or _is_address(item.title) or (item.linked and _LABEL.fullmatch(item.title)):
        item = _anywhere(number, section, body, bulleted=bulleted)
    if item is not None:
        item.read = bool(box and box[1] in "xX") or bool(_READ.search(tail))
        item.worth_reading = int(mark[1]) if mark else None
    return item


def _is_title(words: str) -> bool:
    """Whether words can be the name of a work: no address, no picture, no more than a label."""
    return bool(re.search(r"\w", words)) and not _is_address(words) and not _LABEL.fullmatch(_plain(words))


def _is_address(words: str) -> bool:
    """Whether words are an address or a picture."""
    return re.match(r"https?://|!\[|\[\[", _plain(words)) is not None


def _anywhere(number: int, section: list[str], body: str, *, bulleted: bool) -> _Item | None:
    """An item whose link does not stand first: behind its authors, in bold, or in brackets behind its title.

    Outside of a list only a line that begins with the link or the title in bold of a paper is one: the rest is prose.
    """
    body = _WIKI.sub("", body).strip()
    links = [(found[1], found[2]) for found in _LINK.finditer(body)]
    bare = [url.rstrip(".,;:)>") for url in _URL.findall(_LINK.sub(" ", body))]
    urls = [url for _, url in links] + bare
    if not any(url.startswith("http") for url in urls):
        return None
    if not bulleted and not (re.match(r"\W{0,4}\[|\*\*", body) and any(_of_a_paper(url) for url in urls)):
        return None
    named = next((link for link in links if link[1].startswith("http") and _is_title(link[0].strip("* _"))), None)
    quoted, bold = _QUOTED.search(body), re.search(r"\*\*((?:(?!\*\*).)+)\*\*", body)
    before = re.split(r"\(?\[|https?://", body, maxsplit=1)[0].strip(" -–—:|,.(")
    authors = ""
    if quoted and not (named and quoted[1] in named[0]) and _is_title(quoted[1]):
        title, authors = quoted[1], body[: quoted.start()].strip(" ,.:*")
        rest = body[quoted.end() :]
    elif named:
        title, rest = named[0], body.replace(f"[{named[0]}]({named[1]})", " ", 1)
    elif bold and _is_title(_LINK.sub("", bold[1])):
        title, rest = _LINK.sub("", bold[1]), body[bold.end() :]
    elif _is_title(before):
        title, rest = before, body[len(before) :]
    else:
        left = re.sub(r"\s+", " ", _URL.sub(" ", _LINK.sub(" ", body))).strip(" -–—:|,.()[]")
        if not _is_title(left):
            return None
        title, rest = left, ""
    item = _Item(number, section, title.strip("* _"))
    item.authors = authors
    item.linked = named is not None and title == named[0]
    item.links = [(_label(words) if (words, url) != named else "home", url) for words, url in links]
    item.links += [("home", url) for url in bare]
    left = _URL.sub(" ", _LINK.sub(" ", rest))
    item.year = int(found.group()) if (found := _YEAR.search(left)) else None
    left = re.sub(r"\s+", " ", re.sub(r"\[[\s,|]*\]|\([\s,|]*\)", " ", left)).strip(" -–—:|,.()[]*\\")
    if re.search(r"[^\W\d]", left):
        item.said.append(_plain(left))
    return item


def _of_row(number: int, block: Block, cells: Mapping[str, str]) -> _Item | None:
    """The work of a table's row: the cell under `Title` or the like, else the first with a link that is named."""
    links = [
        (header, found[1], found[2])
        for header, cell in cells.items()
        for found in _LINK.finditer(cell)
        if found[2].startswith("http")
    ]
    bare = [url.rstrip(".,;:)>") for cell in cells.values() for url in _URL.findall(_LINK.sub(" ", cell))]
    if not links and not bare:
        return None
    titled = next((cell for header, cell in cells.items() if re.search(r"\b(?:title|paper|publication)\b", header)), "")
    title = re.sub(r"\s+", " ", _LINK.sub(r"\1", titled)).strip(" *_")
    if not _is_title(title):
        title = next((words.strip("* _") for _, words, _ in links if _is_title(words.strip("* _"))), "")
    if not title:
        return None
    item = _Item(number, list(block.section), title)
    item.linked = True
    item.links = [("home" if words.strip("* _") == title else _label(words), url) for _, words, url in links]
    item.links += [("home", url) for url in bare]
    for header, cell in cells.items():
        text = _plain(_LINK.sub(r"\1", cell)).strip(" -*")
        if "author" in header:
            item.authors = text
        elif re.search(r"venue|conf|journal|publish", header) and not item.venue:
            item.venue = text
        if re.search(r"year|date|venue|conf|publish", header) and item.year is None and (year := _YEAR.search(text)):
            item.year = int(year.group())
    return item


def _label(words: str) -> str:
    """The name of a link in a record."""
    return re.sub(r"[^a-z0-9]+", "-", _plain(words).lower()).strip("-0123456789") or "home"


def _of_a_paper(url: str) -> bool:
    return bool(arxiv_id(url) or doi(url) or _PAPERS.search(url))


def _of_body(number: int, section: list[str], body: str, *, bulleted: bool, boxed: bool) -> _Item | None:
    if cited := _CITED.match(body):
        item = _Item(number, section, cited[3])
        item.authors, item.year = cited[1], int(cited[2])
        return item
    link = _LINK.match(body)
    if bulleted and link and link[2].startswith("http"):
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
        item.links += [(_label(name), url) for name, url in links]
        if item.year is None and (year := _YEAR.search(_SIDE_LINK.sub("", line))):
            item.year = int(year.group())
        return
    if re.search(r"\w", line) and "](#" not in line:
        item.said.append(_plain(line))


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
        "venue": item.venue,
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
    return "paper" if not urls or _PAPERS.search(urls[0]) else "webpage"


def _plain(text: str) -> str:
    """Markdown as text: links by their words, emphasis and escapes gone."""
    text = _LINK.sub(r"\1", text)
    text = re.sub(r"(?<!\\)(\*+|``?)(?=\S)(.+?)(?<=\S)(?<!\\)\1", r"\2", text)
    return _ESCAPE.sub(r"\1", text).strip()
