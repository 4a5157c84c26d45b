"""A file of code as the site shows it: highlighted lines with anchors, those of each equation, whole algorithms.

Line numbers are never written down in a record: an equation is found by its comment (`# Eq. 12`) each time, and so is
an algorithm (`# Alg. 2`).
"""

from __future__ import annotations

import ast
import hashlib
import html
import json
import re
from collections.abc import Callable, Iterator
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

from kb_tools.methods.equations import Anchors, anchors
from kb_tools.methods.layers import PACKAGE
from kb_tools.site.markup import text
from kb_tools.site.names import Target, defined, imported, of_package, uses
from kb_tools.site.writing import write_if_changed

CONTEXT = 3
WHOLE_FUNCTION = 14
INDENT, DEEPEST, NARROW = 4, 5, 36  # columns of a level, the deepest with a class, what every screen has room for

Address = Callable[[str, str], str | None]
"""A dotted module and a name there ("" is the module itself) -> where the site shows it, if it does."""
_ANCHOR = re.compile(r"\S\s+# (?:Eqs?|Algs?|section|appendix)\b.{1,16}$")  # a short comment behind code
_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


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
class Function:
    """A function of a file, by lines: its decorators or `def`, its `def`, where its signature and it end, its words.

    name: with those of the classes and functions around it.
    """

    name: str
    first: int
    line: int
    signature: int
    last: int
    words: range

    @property
    def body(self) -> int:
        return max(self.signature, self.words.stop - 1) + 1


@dataclass(frozen=True)
class Reference:
    """A name that a file imports from the package, where it stands: line, and columns from 0.

    attribute: what is taken of it, up to column `beyond`, if that is said right there.
    """

    start: int
    end: int
    target: Target
    attribute: str = ""
    beyond: int = 0


@dataclass(frozen=True)
class Excerpt:
    """Some lines of a file; `marked` are those that implement an equation.

    inside: the function that they are of.  cut: the line of a docstring that is shown without the lines under it.
    """

    lines: tuple[int, ...]
    marked: frozenset[int]
    inside: str
    cut: int = 0

    @property
    def first(self) -> int:
        return self.lines[0]


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

    @property
    def dotted(self) -> str:
        """Its name where it is imported."""
        return f"{PACKAGE}.{self.module.replace('/', '.')}"

    @cached_property
    def rows(self) -> list[str]:
        """Its lines as they are written."""
        return self.code.split("\n")

    @cached_property
    def anchors(self) -> Anchors:
        return anchors(self.code)

    @property
    def equations(self) -> dict[str, list[int]]:
        """Number -> lines of the comments that name it."""
        return self.anchors.equations

    @cached_property
    def _tree(self) -> ast.Module:
        return ast.parse(self.code)

    @property
    def docstring(self) -> str:
        return ast.get_docstring(self._tree) or ""

    @cached_property
    def functions(self) -> list[Function]:
        """All of them, each after those around it."""
        return list(self._functions(self._tree, ""))

    def _functions(self, within: ast.AST, name: str) -> Iterator[Function]:
        for node in ast.iter_child_nodes(within):
            inner = f"{name}.{node.name}".lstrip(".") if isinstance(node, _NAMED) else name
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                start, end = _span(node.body[0])
                words = range(start, end + 1) if ast.get_docstring(node) is not None else range(0)
                signature = self.anchors.signatures[node.lineno]
                yield Function(inner, first, node.lineno, signature, _span(node)[1], words)
            if isinstance(node, ast.stmt):
                yield from self._functions(node, inner)

    @cached_property
    def places(self) -> dict[str, int]:
        """The line of each name that the file defines at its top level."""
        return defined(self._tree)

    @cached_property
    def imported(self) -> dict[str, Target]:
        """What names mean that it imports from the package."""
        return imported(self._tree.body)

    @cached_property
    def references(self) -> dict[int, list[Reference]]:
        """Line -> the imported names on it."""
        found: dict[int, list[Reference]] = {}
        for node in self._tree.body:
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    name = alias.asname or alias.name
                    if name in self.imported and of_package(node.module or ""):
                        start = self._column(alias.lineno, alias.col_offset)
                        reference = Reference(start, start + len(alias.name), self.imported[name])
                        found.setdefault(alias.lineno, []).append(reference)
            for use in uses(node):
                if use.name in self.imported:
                    line, start = use.node.lineno, self._column(use.node.lineno, use.node.col_offset)
                    beyond = self._column(line, use.node.end_col_offset or 0) if use.attribute else 0
                    attribute = use.attribute if use.node.end_lineno == line else ""
                    reference = Reference(start, start + len(use.name), self.imported[use.name], attribute, beyond)
                    found.setdefault(line, []).append(reference)
        return {line: sorted(references, key=lambda r: r.start) for line, references in found.items()}

    def _column(self, line: int, offset: int) -> int:
        """The column of a character, from its offset in bytes."""
        return len(self.rows[line - 1].encode()[:offset].decode())

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
        """The places that implement an equation, or a section; one excerpt per function, with its signature."""
        marked: dict[Function | None, set[int]] = {}
        for line in self.equations.get(number, self.anchors.sections.get(number, [])):
            marked.setdefault(next(iter(self._around(line)), None), set()).update(self._statement(line))
        return [self._excerpt(function, lines) for function, lines in marked.items()]

    def whole(self, number: str) -> list[Excerpt]:
        """The functions that implement an algorithm, from first to last line, but of a docstring its first line."""
        found = []
        for line in self.anchors.algorithms.get(number, []):
            function = next(f for f in self.functions if f.line == line)
            lines = [n for n in range(function.first, function.last + 1) if n not in function.words[1:]]
            cut = function.words.start if len(function.words) > 1 else 0
            found.append(Excerpt(tuple(lines), frozenset(), function.name, cut))
        return found

    def _around(self, line: int) -> list[Function]:
        """The functions around a line, the outermost first."""
        return [f for f in self.functions if f.first <= line <= f.last]

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

    def _excerpt(self, function: Function | None, marked: set[int]) -> Excerpt:
        """The signature, and the whole body or, if that is long, what is near a marked line."""
        first, last = (function.body, function.last) if function else (1, len(self.lines))
        if function and last - first < WHOLE_FUNCTION:
            shown = set(range(first, last + 1))
        else:
            shown = {n for m in marked for n in range(max(first, m - CONTEXT), min(last, m + CONTEXT) + 1)}
        inner = [f for f in self.functions if function and function.first < f.first and f.last <= last]
        for f in inner:
            shown -= set(f.words)
            if any(f.first <= m <= f.last for m in marked):
                shown |= set(range(f.line, f.signature + 1))
        shown |= marked
        shown = {n for n in shown if self._beside_code(n, shown)}
        if function:
            shown |= set(range(function.line, function.signature + 1))
        words = {n for f in (function, *inner) if f for n in f.words}
        shown |= {n for n in range(min(shown), max(shown)) if {n - 1, n + 1} <= shown and n not in words}
        return Excerpt(tuple(sorted(shown)), frozenset(marked), function.name if function else "")

    def _beside_code(self, n: int, shown: set[int]) -> bool:
        """Whether a line is not empty, or the next shown lines on both sides are not."""
        if self.rows[n - 1].strip():
            return True
        before, after = n - 1, n + 1
        while before in shown and not self.rows[before - 1].strip():
            before -= 1
        while after in shown and not self.rows[after - 1].strip():
            after += 1
        return before in shown and after in shown

    def marked_code(self, excerpt: Excerpt) -> list[str]:
        """The marked lines of an excerpt, as they are written."""
        return [self.rows[n - 1] for n in excerpt.lines if n in excerpt.marked]

    def html(self, excerpt: Excerpt, address: Address) -> Markup:
        """An excerpt: dots where lines are left out, and the lines counted as in the file."""
        out: list[Markup] = []
        last = excerpt.first - 1
        for n in excerpt.lines:
            if n != last + 1 and last != excerpt.cut:
                indent = len(self.rows[n - 1]) - len(self.rows[n - 1].lstrip())
                out.append(Markup("<i>{}...</i>").format(" " * indent))
            out.append(self.line(n, address, marked=n in excerpt.marked, jump=n != last + 1, cut=n == excerpt.cut))
            last = n
        return Markup("\n").join(out)

    def line(
        self, n: int, address: Address, *, marked: bool, anchor: bool = False, jump: bool = False, cut: bool = False
    ) -> Markup:
        """One line, whose number the style sheet counts; with `anchor` it can be linked to.

        jump: it does not follow the line before it.  cut: it is the first of a docstring whose rest is left out.
        """
        row, line = self.rows[n - 1], self._linked(n, address)
        if cut:
            quotes = row.strip().lstrip("rR")[:3]
            line = Markup('{}<span class="s"> ...{}</span>').format(line, text(quotes))
        if _ANCHOR.search(row):
            line = Markup(str(line).replace('<span class="c">', '<span class="c n">'))  # noqa: S704 - stays on one line
        level = (len(row) - len(row.lstrip())) // INDENT
        # A long line that is wrapped hangs under itself: as deep as most lines by default, else as its class says.
        kind = f' class="i{min(level, DEEPEST)}"' if level > 1 and len(row) > NARROW else ""
        tag, place = ("mark" if marked else "span"), (f' id="L{n}"' if anchor else "")
        count = f' style="counter-set:line {n}"' if jump else ""
        return Markup(f"<{tag}{kind}{place}{count}>{line}</{tag}>")  # noqa: S704

    def _linked(self, n: int, address: Address) -> Markup:
        """A highlighted line, with its imported names as links where there is something to link to."""
        spans = []
        for r in self.references.get(n, ()):
            module, name = r.target
            whole = address(f"{module}.{name}".rstrip("."), r.attribute) if r.attribute else None
            href = whole or address(module, name)
            if href:
                spans.append((r.start, r.beyond if whole else r.end, href))
        return Markup(_with_links(self.lines[n - 1], spans) if spans else self.lines[n - 1])  # noqa: S704


def _span(node: ast.stmt) -> tuple[int, int]:
    return node.lineno, node.end_lineno or node.lineno


def _first_line(node: ast.FunctionDef | ast.ClassDef) -> str:
    return (ast.get_docstring(node) or "").split("\n")[0]


def _with_links(line: str, spans: list[tuple[int, int, str]]) -> str:
    """Links around columns of a line of HTML; each span begins and ends inside the same element."""
    starts, ends = {start: href for start, _, href in spans}, {end for _, end, _ in spans}
    out, column = [], 0
    for part in re.findall(r"<[^>]*>|&[^;]+;|.", line):
        if part.startswith("<"):
            out.append(part)
            continue
        if column in starts:
            out.append(f'<a href="{text(starts[column])}">')
        out.append(part)
        column += 1
        if column in ends:
            out.append("</a>")
    return "".join(out)
