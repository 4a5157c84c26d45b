"""A person's notes, which are Markdown, as HTML that can do nothing but be read.

Raw HTML stays text; addresses are those that records may have, or another record's notes; pictures become links, for a
page asks nothing of another host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from kb_tools.records.reference import fold
from kb_tools.site.markup import inert, safe_url

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

TOP = 3  # level of a note's first headings: it stands in a section of a page
_BREAKS = ("softbreak", "hardbreak")
_ALIGNED = {"text-align:right": "end", "text-align:center": "mid"}


def rendered(text: str, title: str, address: Callable[[str], str | None]) -> Markup:
    """Notes as HTML without a blank line or a tab.

    title: of the record, which is not said again at their beginning.  address: of the page of a record by its id, or
    None if there is no such record; `[DDPM](ddpm.md)` is a link to it.
    """
    tokens = _below(_tokens(text, title))
    for token in tokens:
        if token.type == "fence":
            token.info = ""
        if place := _ALIGNED.get(str(token.attrs.pop("style", ""))):
            token.attrs["class"] = place
        if token.children:
            token.children = list(_inline(token.children, address))
    return inert(str(_reader().renderer.render(tokens, _reader().options, {})))


def words(text: str, title: str) -> str:
    """What notes say, without the marks of Markdown."""
    found = []
    for token in _tokens(text, title):
        if token.type in ("fence", "code_block"):
            found.append(token.content)
        found += [" " if child.type in _BREAKS else child.content for child in token.children or ()]
        found.append(" ")
    return " ".join("".join(found).split())


@lru_cache(maxsize=1)
def _reader() -> MarkdownIt:
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    for name in ("fence", "code_block"):
        reader.add_render_rule(name, _code)
    return reader


def _code(renderer: object, tokens: list[Token], at: int, options: object, env: object) -> str:
    """A block of code; its line breaks are written so that the lines of a page are not its own."""
    said = str(escape(tokens[at].content)).replace("\n", "&#10;")
    return f"<pre><code>{said}</code></pre>\n"


def _tokens(text: str, title: str) -> list[Token]:
    """The parsed text, without the heading that `kb notes` begins it with."""
    tokens = _reader().parse(text)
    if len(tokens) > 2 and tokens[0].tag == "h1" and fold(tokens[1].content) == fold(title):
        return tokens[3:]
    return tokens


def _below(tokens: list[Token]) -> list[Token]:
    """The same with headings that fit under those of a page, none of them more than one level below the last."""
    last = first = 0
    for token in tokens:
        if token.type == "heading_open":
            level = int(token.tag[1])
            first = min(first or level, level)
            last = min(TOP + level - first, (last or TOP - 1) + 1, 6)
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{last}"
    return tokens


def _inline(tokens: list[Token], address: Callable[[str], str | None]) -> Iterator[Token]:
    """Text with links that a page may have; those that it may not have are spans."""
    from markdown_it.token import Token

    tag = ""  # of the link that the token stands in
    for token in tokens:
        if token.type == "image":
            shown = Token("text", "", 0, content=token.content or "picture")
            source = safe_url(str(token.attrs.get("src", "")))
            link = Token("link_open", "a", 1, attrs={"href": source}) if source and not tag else None
            yield from [link, shown, Token("link_close", "a", -1)] if link else [shown]
            continue
        if token.type == "link_open":
            target = _target(str(token.attrs.get("href", "")), address)
            token.tag = tag = "a" if target else "span"
            token.attrs = {"href": target} if target else {}
        elif token.type == "link_close":
            token.tag, tag = tag, ""
        yield token


def _target(href: str, address: Callable[[str], str | None]) -> str | None:
    if safe_url(href):
        return href
    file = href.split("#")[0].removeprefix("./")
    return address(file.removesuffix(".md")) if file.endswith(".md") else None
