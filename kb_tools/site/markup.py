"""Text to HTML: nothing from a record reaches a page before it went through here.

Pages reach mkdocs as Markdown files that hold one raw HTML block.  So besides the characters of HTML, those that
Markdown, attribute lists and template engines read (`[ ] { } \\ ` * _ ~ ! |`) are written as entities too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader, StrictUndefined
from jinja2.compiler import CodeGenerator
from markupsafe import Markup, escape

from kb_tools.appearance.notation import Piece, pieces

ALLOWED_SCHEMES = frozenset({"http", "https", "mailto"})
ACTIVE = "[]{}\\`*_~!|"  # what Markdown, attribute lists and templates read, and HTML does not
_ACTIVE = str.maketrans({c: f"&#{ord(c)};" for c in ACTIVE})


def text(value: object) -> Markup:
    """`value` as inert text, usable between tags and inside quoted attributes.  Markup passes as it is."""
    return value if isinstance(value, Markup) else _inert(str(value))


@lru_cache(maxsize=1 << 15)
def _inert(value: str) -> Markup:
    return Markup(str(escape(value)).translate(_ACTIVE))  # noqa: S704 - escaped here


def inert(html: str) -> Markup:
    """HTML that is whole and safe already, so that nothing in it means anything to Markdown or to templates."""
    return Markup(html.translate(_ACTIVE).replace("\t", "&#9;").strip())  # noqa: S704 - of markup made here


def plain(value: str) -> str:
    """`value` for the front matter: one line of entities, quoted as YAML (JSON is YAML)."""
    return json.dumps(str(text(" ".join(value.split()))))


def safe_url(value: str) -> str | None:
    """`value` if it is an absolute address whose scheme is allowed, else None."""
    try:
        parts = urlsplit(value.strip())
    except ValueError:
        return None
    if parts.scheme.lower() not in ALLOWED_SCHEMES or not (parts.netloc or parts.scheme.lower() == "mailto"):
        return None
    return value.strip()


def sentences(value: str) -> list[str]:
    """The lines of a text field; a record keeps one sentence per line."""
    return [line.strip() for line in value.splitlines() if line.strip()]


def prose(value: str, link: Callable[[str], Markup] = text) -> Markup:
    """A sentence with the plain-text mathematics of records set.  `link` turns the stretches between into HTML."""
    return _prose(value) if link is text else Markup("".join([_html(piece, link) for piece in pieces(value)]))  # noqa: S704 - joined from Markup


@lru_cache(maxsize=1 << 14)  # why a paper is worth reading stands on many pages
def _prose(value: str) -> Markup:
    return Markup("".join([_html(piece, text) for piece in pieces(value)]))  # noqa: S704 - joined from Markup


def _html(piece: Piece, link: Callable[[str], Markup]) -> Markup:
    if piece.kind == "code":
        return Markup("<code>{}</code>").format(text(piece.body))
    if piece.kind != "math":
        return link(piece.body) if piece.kind == "text" else text(piece.body)
    out = text(piece.body) if piece.upright or not piece.body else Markup("<i>{}</i>").format(text(piece.body))
    if piece.sub:
        out += Markup("<sub>{}</sub>").format(text(piece.sub))
    if piece.sup:
        out += Markup("<sup>{}</sup>").format(text(piece.sup))
    return out


class _EscapedOnce(CodeGenerator):
    """What `finalize` returns is Markup: escaping that would change nothing, and takes longer than all else."""

    def _output_child_pre(self, node: Any, frame: Any, finalize: Any) -> None:
        self.write("(environment.finalize(")

    def _output_child_post(self, node: Any, frame: Any, finalize: Any) -> None:
        self.write("))")


class _Environment(Environment):
    code_generator_class = _EscapedOnce


def environment(templates: Path, cache: Path) -> Environment:
    """Templates with escaping on, and an error for every name that is not there.  `cache` keeps them compiled."""
    cache.mkdir(parents=True, exist_ok=True)

    def finalize(value: object) -> object:
        return value if isinstance(value, Markup) else text(value)

    env = _Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=finalize,
        keep_trailing_newline=True,
        bytecode_cache=FileSystemBytecodeCache(str(cache)),
    )
    env.filters.update(prose=prose, sentences=sentences, safe_url=safe_url, capitalised=_capitalised)
    return env


def _capitalised(value: str) -> str:
    """With a capital at the start; names within stay as they are, unlike with `capitalize`."""
    return value[:1].upper() + value[1:]


def page(title: str, body: str, *, description: str = "", extra: Mapping[str, Any] | None = None) -> str:
    """A Markdown file: front matter and one raw HTML block.

    extra: more front matter: pairs of our own names and texts, or JSON that is safe inside a <script> element.
    A blank line would end the block for some readers of Markdown, so none is left; templates and highlighted code
    put no meaning into one.
    """
    meta = [f"title: {plain(title)}"]
    if description:
        meta.append(f"description: {plain(description)}")
    for name, value in (extra or {}).items():
        if isinstance(value, str):
            meta.append(f"{name}: {json.dumps(value)}")
        else:
            meta += [f"{name}:", *(f"- [{json.dumps(key)}, {plain(said)}]" for key, said in value)]
    block = re.sub(r"\n[ \t]*(?=\n)", "", body)
    return "---\n" + "\n".join(meta) + "\n---\n\n" + block.strip() + "\n"
