"""The blocks of a Markdown file in which works may stand: items, paragraphs and rows, told apart by CommonMark.

markdown-it-py finds the blocks; what is inside one is handed on as it was written, with references and the links of
web pages in the one form `[words](address)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from kb_tools.records.plain_text import without_markup

if TYPE_CHECKING:
    from markdown_it.token import Token

_REFERENCE = re.compile(r"\[([^\[\]]+)\](?:\[([^\[\]]*)\])?(?!\()")
_BADGE = re.compile(r"\[!\[([^\[\]]*)\]\([^()\s]*(?:\s[^()]*)?\)\]\(([^()\s]+)[^()]*\)")
_IMAGE = re.compile(r"!\[[^\[\]]*\]\([^()]*\)|<img\b[^<>]*>", re.IGNORECASE)
_ANCHOR = re.compile(r"<a\b[^<>]*?\bhref\s*=\s*[\"']?([^\"'<>\s]+)[\"']?[^<>]*>(.*?)</a>", re.IGNORECASE | re.DOTALL)
_TAGS = re.compile(
    r"</?(?:li|ul|ol|br|hr|div|details|summary|table|thead|tbody|tr|td|th|center|h[1-6]|font|kbd|code)\b[^<>]*>", re.I
)
_ITEM_OF_A_PAGE = re.compile(r"(?i)\s*<(?:li|tr)\b")
_ITEM_INSIDE = re.compile(r"(?i)<(?:li|tr)\b")
_EMPHASIS = re.compile(r"<(b|strong|summary|i|em)\b[^<>]*>\s*([^<>]+?)\s*</\1\s*>", re.IGNORECASE)
LONGEST = 20_000  # letters of one block: no list has an item of that length


class Block(NamedTuple):
    """line: of its first line, from 1.  section: the headings above it, outermost first.  lines: what is written.

    depth: how many lists it stands in.  opens: it is the first block of an item.  cells: header -> text, for a row.
    readable: it is no code, and not longer than anything that somebody writes.  heading: it is the last of `section`.
    """

    line: int
    section: tuple[str, ...]
    lines: list[str]
    depth: int = 0
    opens: bool = False
    cells: Mapping[str, str] | None = None
    readable: bool = True
    heading: bool = False


def blocks(text: str) -> Iterator[Block]:
    """Every block, in the order of the file."""
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark").enable("table").disable(["code", "lheading", "html_block"])
    reader.core.ruler.disable("inline")
    env: dict[str, Any] = {}
    tokens = reader.parse(text, env)
    references = {label.casefold(): found["href"] for label, found in env.get("references", {}).items()}
    section: list[tuple[int, str]] = []
    depth, opens = 0, False
    rows = iter(tokens)
    for token in rows:
        above = tuple(name for _, name in section)
        line = (token.map[0] if token.map else 0) + 1
        if token.type == "heading_open":
            level = int(token.tag[1:])
            words = _written(next(rows).content, references)
            section = [*((deep, name) for deep, name in section if deep < level), (level, words)]
            yield Block(line, tuple(name for _, name in section), [words.replace("\n", " ")], heading=True)
        elif token.type == "table_open":
            yield from _table(rows, above, references)
        elif token.type in ("list_item_open", "list_item_close"):
            opens = token.type == "list_item_open"
            depth += 1 if opens else -1
        elif token.type == "fence" or (token.type == "inline" and len(token.content) > LONGEST):
            yield Block(line, above, [token.content], depth, readable=False)
        elif token.type == "inline":
            for offset, text in _parts(token.content):
                page = _ITEM_OF_A_PAGE.match(text) is not None
                lines = _written(text, references).split("\n")
                yield Block(line + offset, above, lines, depth + page, opens or page)
                opens = False


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """The items of a page's own list, each by the lines before it; anything else is one part."""
    begun = [found.start() for found in _ITEM_INSIDE.finditer(text)] if "<" in text else []
    for start, end in zip([0, *begun], [*begun, len(text)], strict=True):
        if text[start:end].strip():
            yield text.count("\n", 0, start), text[start:end]


def _table(tokens: Iterator[Token], section: tuple[str, ...], references: Mapping[str, str]) -> Iterator[Block]:
    """Every row under the header, its cells by the names that stand above them."""
    header: list[str] = []
    cells: list[str] = []
    line, body = 0, False
    for token in tokens:
        if token.type == "table_close":
            return
        if token.type == "tbody_open":
            body = True
        elif token.type == "tr_open":
            line, cells = (token.map[0] if token.map else 0) + 1, []
        elif token.type == "inline":
            cells.append(_written(token.content, references).replace("\n", " ").strip())
        elif token.type == "tr_close" and not body:
            header = cells
        elif token.type == "tr_close":
            named: dict[str, str] = {}
            for number, cell in enumerate(cells):
                name = header[number].strip().lower() if number < len(header) else ""
                named[name if name and name not in named else f"{name} {number}"] = cell
            yield Block(line, section, [" ".join(cells)], cells=named)


def _written(text: str, references: Mapping[str, str]) -> str:
    """A block's text with every link as `[words](address)`, without pictures and marks of web pages."""
    if references:
        text = _REFERENCE.sub(lambda found: _resolved(found, references), text)
    text = _IMAGE.sub("", _BADGE.sub(r"[[\1](\2)]", text)) if "![" in text or "<img" in text else text
    if "<" in text:
        text = _ANCHOR.sub(lambda found: f"[{found[2].strip()}]({found[1]})", text)
        text = _EMPHASIS.sub(lambda found: _starred(found[2], "*" if found[1].lower() in ("i", "em") else "**"), text)
        text = _TAGS.sub(" ", without_markup(text))
    # The words of a link may run over several lines.
    return re.sub(r"\[([^\[\]]*\n[^\[\]]*)\]\(", lambda found: f"[{' '.join(found[1].split())}](", text).strip()


def _starred(words: str, stars: str) -> str:
    """Words of a page in bold or italics, in Markdown's own way."""
    return words if "*" in words else f"{stars}{words}{stars}"


def _resolved(found: re.Match[str], references: Mapping[str, str]) -> str:
    url = references.get(" ".join((found[2] or found[1]).split()).casefold())
    return f"[{found[1]}]({url})" if url else found.group()
