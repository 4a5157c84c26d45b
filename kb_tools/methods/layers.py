"""Which room of implementations/ may import which: common <- methods <- demos <- showcases, and what they stand on.

A method's file holds its paper alone, so it knows nothing of data, training, pictures or proofs; and nothing but a demo
knows a demo.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PACKAGE = "implementations"
ALLOWED = {
    "common": {"common"},
    "methods": {"common", "methods"},
    "verification": {"common", "methods", "verification", "lab"},
    "lab": {"common", "verification", "lab"},
    "demos": {"common", "methods", "verification", "lab", "demos"},
    "showcases": {"common", "methods", "verification", "lab", "demos", "showcases"},
}
LIBRARIES = {"torch", "numpy", "scipy"}
"""Beside the standard library, all that a method and what methods need may import."""
WHY = {
    "methods": f"a method's file holds its paper alone: what trains, shows or judges it goes to {PACKAGE}/demos/",
    "common": "what methods need stands on torch alone",
    "verification": "what proves methods must not know a demo: pass what it needs as an argument",
    "lab": "what demos stand on must not know a method or a demo: pass what it needs as an argument",
    "demos": "a showcase may take from a demo, and no demo from a showcase: move what both need beside the demos",
}


def room_of(parts: tuple[str, ...]) -> str:
    """The room of a module by the parts of its name under the package."""
    return parts[0] if parts and parts[0] in ALLOWED else "methods"


def imports(tree: ast.Module) -> Iterator[tuple[str, int, int]]:
    """Every module that an import statement names, at any depth, with its line and column (from 1).

    A name imported from the package itself, or from a room, counts as the module that it may be.
    """
    for node in _statements(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
            if node.module in (PACKAGE, f"{PACKAGE}.demos"):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            yield name, node.lineno, node.col_offset + 1


def methods_imported(tree: ast.Module) -> Iterator[list[Any]]:
    """The modules directly under the package that a file imports: [name, line, column]."""
    for name, line, column in imports(tree):
        parts = name.split(".")
        if parts[0] == PACKAGE and len(parts) > 1 and room_of(tuple(parts[1:])) == "methods":
            yield [parts[1], line, column]


def demos_imported(tree: ast.Module) -> Iterator[list[Any]]:
    """The modules of implementations/demos/ that a file imports: [name, line, column]."""
    for name, line, column in imports(tree):
        parts = name.split(".")
        if parts[:2] == [PACKAGE, "demos"] and len(parts) > 2:
            yield [parts[2], line, column]


def strangers(tree: ast.Module, room: str) -> Iterator[list[Any]]:
    """The imports of a file that its room does not allow: [module, line, column]."""
    for name, line, column in imports(tree):
        parts = name.split(".")
        if parts[0] == PACKAGE:
            wrong = len(parts) > 1 and room_of(tuple(parts[1:])) not in ALLOWED[room]
        else:
            known = parts[0] in sys.stdlib_module_names or parts[0] in LIBRARIES
            wrong = room in ("methods", "common") and not known
        if wrong:
            yield [name, line, column]


def files(root: Path) -> Iterator[tuple[Path, str]]:
    """Every Python file of the package with its room, in order."""
    folder = root / PACKAGE
    for path in sorted(folder.rglob("*.py")):
        yield path, room_of(path.relative_to(folder).with_suffix("").parts)


def unwritten(tree: ast.Module) -> list[str]:
    """The functions that only say what is to be written: they raise what the templates of `kb new-method` raise."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            raised = [r.exc for r in ast.walk(node) if isinstance(r, ast.Raise) and isinstance(r.exc, ast.Call)]
            names = {call.func.id for call in raised if isinstance(call.func, ast.Name)}
            if "NotImplementedError" in names or (
                node.name.startswith("test_") and isinstance(node.body[0], ast.Raise)
            ):
                found.append(node.name)
    return found


def code_lines(source: str, tree: ast.Module) -> int:
    """Lines that hold code: no blank ones, comments or docstrings."""
    words: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            words.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(source.splitlines(), start=1)
    return sum(1 for n, line in lines if n not in words and line.strip() and not line.lstrip().startswith("#"))


def _statements(tree: ast.Module) -> Iterator[Any]:
    """Every statement, at any depth; expressions, which are most of a tree, hold none."""
    queue: list[ast.AST] = [tree]
    for node in queue:
        yield node
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            queue += getattr(node, name, ())
