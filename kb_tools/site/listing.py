"""A method's file as the site shows it: highlighted lines with anchors, and the lines of each numbered equation.

Line numbers are never written down in a record: an equation is found by its comment (`# Eq. 12`) each time.
"""

from __future__ import annotations

import ast
import hashlib
import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from markupsafe import Markup
from pygments import __version__ as pygments_version
from pygments import highlight
from pygments.filter import simplefilter
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String, Text, _TokenType

from kb_tools.equations import anchors
from kb_tools.site.markup import text
from kb_tools.site.writing import write_if_changed

CONTEXT = 3
WHOLE_FUNCTION = 14


# What has a colour of its own on the site, and the class it gets; everything else needs no element.
_COLOURED = (
    (Keyword, Keyword), (Operator.Word, Keyword), (String, String), (Comment, Comment), (Number, Number),
    (Name.Function, Name.Function), (Name.Class, Name.Function), (Name.Decorator, Name.Function),
    (Name.Builtin, Name.Builtin),
)  # fmt: skip


@simplefilter
def _coloured(self: Any, lexer: Any, stream: Any, options: Any) -> Iterator[tuple[_TokenType, str]]:
    """Tokens with the fewest kinds that the site's colours tell apart."""
    for kind, value in stream:
        yield next((to for of, to in _COLOURED if kind in of and kind is not Name.Builtin.Pseudo), Text), value


def _highlighted(code: str, cache: Path | None) -> list[str]:
    """One HTML string per line.  Tokens that span lines (docstrings) are closed and opened again by Pygments.

    cache: a folder that keeps what was made of a text before.
    """
    name = hashlib.sha256(f"{pygments_version}\0{_COLOURED}\0{code}".encode()).hexdigest()[:32]
    path = cache / f"{name}.json" if cache else None
    if path and path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    lexer = PythonLexer(stripnl=False)
    lexer.add_filter(_coloured())
    lines = [_inert(line) for line in highlight(code, lexer, HtmlFormatter(nowrap=True)).rstrip("\n").split("\n")]
    if path:
        write_if_changed(path, json.dumps(lines, ensure_ascii=False).encode())
    return lines


def _inert(line: str) -> str:
    """Highlighted code with the characters of its text that Markdown reads written as entities."""
    parts = re.split(r"(<[^>]*>)", line)
    return "".join(part if part.startswith("<") else str(text(html.unescape(part))) for part in parts)


@dataclass(frozen=True)
class Excerpt:
    """Lines first..last of a file; `marked` are those that implement the equation."""

    first: int
    last: int
    marked: frozenset[int]
    inside: str
    html: Markup
    code: str

    @property
    def marked_code(self) -> list[str]:
        return [line for n, line in enumerate(self.code.split("\n"), self.first) if n in self.marked]


@dataclass(frozen=True)
class MethodSource:
    """One file of implementations/."""

    module: str
    path: str
    code: str
    cache: Path | None = None

    @classmethod
    def read(cls, root: Path, module: str, cache: Path | None = None) -> MethodSource:
        """cache: where to keep highlighted code.  Errors: FileNotFoundError; SyntaxError when it does not parse."""
        path = f"implementations/{module}.py"
        code = (root / path).read_text(encoding="utf-8")
        ast.parse(code, filename=path)
        return cls(module, path, code, cache)

    @cached_property
    def lines(self) -> list[str]:
        return _highlighted(self.code, self.cache)

    @cached_property
    def equations(self) -> dict[str, list[int]]:
        found = anchors(self.code)
        return found.equations | found.sections

    @cached_property
    def _tree(self) -> ast.Module:
        return ast.parse(self.code)

    @property
    def docstring(self) -> str:
        return ast.get_docstring(self._tree) or ""

    @cached_property
    def _functions(self) -> list[tuple[int, int, ast.FunctionDef]]:
        return [(*_span(node), node) for node in ast.walk(self._tree) if isinstance(node, ast.FunctionDef)]

    @cached_property
    def definitions(self) -> list[tuple[str, str, int, int, str]]:
        """Kind, name, first line, last line and first sentence of each public function and class."""
        return [
            ("class" if isinstance(node, ast.ClassDef) else "function", node.name, *_span(node), _first_line(node))
            for node in self._tree.body
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
        ]

    @cached_property
    def imports(self) -> list[str]:
        """Modules of other methods that this file imports from."""
        nodes = [node.module for node in self._tree.body if isinstance(node, ast.ImportFrom) and node.module]
        return [m.split(".")[1] for m in nodes if re.fullmatch(r"implementations\.[a-z0-9_]+", m)]

    def excerpts(self, number: str) -> list[Excerpt]:
        """The places that implement an equation, nearest lines around each; one excerpt per function."""
        if number not in self._excerpts:
            self._excerpts[number] = self._find(number)
        return self._excerpts[number]

    @cached_property
    def _excerpts(self) -> dict[str, list[Excerpt]]:
        return {}

    def _find(self, number: str) -> list[Excerpt]:
        by_function: dict[tuple[int, int, str], set[int]] = {}
        for line in self.equations.get(number, []):
            by_function.setdefault(self._function(line), set()).update(self._statement(line))
        return [self._excerpt(where, marked) for where, marked in by_function.items()]

    def _function(self, line: int) -> tuple[int, int, str]:
        """First line, last line and name of the innermost function around a line, or the whole file."""
        around = [(start, end, node.name) for start, end, node in self._functions if start <= line <= end]
        return max(around, default=(1, len(self.lines), ""))

    @cached_property
    def _statements(self) -> list[tuple[int, int]]:
        simple = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return, ast.Expr, ast.Assert, ast.Raise)
        return [_span(node) for node in ast.walk(self._tree) if isinstance(node, simple)]

    def _statement(self, line: int) -> range:
        """The lines of the smallest statement on, or directly under, a comment's line."""
        for at in (line, line + 1):
            spans = [(start, end) for start, end in self._statements if start <= at <= end]
            if spans:
                start, end = min(spans, key=lambda span: span[1] - span[0])
                return range(min(start, line), end + 1)
        return range(line, line + 1)

    def _excerpt(self, where: tuple[int, int, str], marked: set[int]) -> Excerpt:
        start, end, name = where
        start = self._body_start(start, end)
        if end - start >= WHOLE_FUNCTION or not name:
            start, end = max(start, min(marked) - CONTEXT), min(end, max(marked) + CONTEXT)
        source = self.code.split("\n")
        while start < min(marked) and not source[start - 1].strip():
            start += 1
        while end > max(marked) and not source[end - 1].strip():
            end -= 1
        rows = Markup("\n").join(
            line_html(n, self.lines[n - 1], n in marked, anchor=False) for n in range(start, end + 1)
        )
        return Excerpt(start, end, frozenset(marked), name, rows, "\n".join(source[start - 1 : end]))

    def _body_start(self, start: int, end: int) -> int:
        """First line after a function's docstring."""
        for first, last, node in self._functions:
            if (first, last) == (start, end) and ast.get_docstring(node) is not None and len(node.body) > 1:
                return _span(node.body[0])[1] + 1
        return start


def _span(node: ast.stmt) -> tuple[int, int]:
    return node.lineno, node.end_lineno or node.lineno


def _first_line(node: ast.FunctionDef | ast.ClassDef) -> str:
    return (ast.get_docstring(node) or "").split("\n")[0]


def line_html(number: int, line: str, marked: bool, *, anchor: bool) -> Markup:
    """One line of code, whose number the style sheet counts; with `anchor`, it can be linked to."""
    tag, mark = ("mark" if marked else "span"), (f' id="L{number}"' if anchor else "")
    return Markup(f"<{tag}{mark}>{line}</{tag}>")  # noqa: S704
