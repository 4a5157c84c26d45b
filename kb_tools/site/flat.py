"""A method in one file: what it imports from the package is put above it, and no more of that than it uses.

Names stay what they are.  Where two files give one name to two things, that of the file which is imported gets the
file's name in front, and the head of the flattened file says so; what cannot be told apart so is an error.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

from kb_tools.methods.layers import PACKAGE
from kb_tools.site.names import Target, Use, definitions, imported, of_package, uses

FUTURE = "from __future__ import annotations"
RULE = 120
_DEFINES = re.compile(r"^(?:def|class|async|@)", re.MULTILINE)


class FlattenError(ValueError):
    """A method that cannot be put into one file; the message says why."""


class _File:
    """A file of the package.  uses: of each statement of its top level, the names that are not local in it."""

    def __init__(self, path: str, code: str) -> None:
        self.path = path
        self.rows = code.split("\n")
        self.body = ast.parse(code, filename=path).body
        self.words = ast.get_docstring(ast.Module(self.body, [])) is not None
        self.uses = [tuple(uses(node)) for node in self.body]
        self.in_strings = [_in_strings(node) for node in self.body]
        self.imported = imported(self.body)
        self.defining: dict[str, list[int]] = {}
        self.foreign: dict[str, Target] = {}  # what names mean that are imported from elsewhere
        for k, node in enumerate(self.body):
            for name in definitions(node):
                self.defining.setdefault(name, []).append(k)
            if isinstance(node, ast.Import):
                outside = [alias for alias in node.names if not of_package(alias.name)]
                self.foreign |= {alias.asname or alias.name.split(".")[0]: (alias.name, "") for alias in outside}
            elif isinstance(node, ast.ImportFrom) and not of_package(node.module or ""):
                self.foreign |= {alias.asname or alias.name: (node.module or "", alias.name) for alias in node.names}


_file = lru_cache(maxsize=256)(_File)


@dataclass(frozen=True)
class _Module:
    """A module by its dotted name, and which statements of its file are used; docstrings and imports are none."""

    name: str
    file: _File
    used: set[int] = field(default_factory=set)

    @property
    def nodes(self) -> list[ast.stmt]:
        """The statements that are used, in order."""
        return [self.file.body[k] for k in sorted(self.used)]

    @cached_property
    def own(self) -> set[str]:
        """The names that they define."""
        return {name for node in self.nodes for name in definitions(node)}

    @cached_property
    def foreign(self) -> dict[str, Target]:
        """What names mean that they use of what is imported from elsewhere."""
        names = {use.name for k in self.used for use in self.file.uses[k]}
        names |= {name for k in self.used for name in self.file.in_strings[k]}
        return {name: meaning for name, meaning in self.file.foreign.items() if name in names}


class _Reach:
    """The statements that a module needs: all of its own and, of others, what defines a name that is used.

    Of each file that is imported, what it does beside defining things is needed too.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.modules: dict[str, _Module] = {}

    def everything(self, name: str) -> None:
        """All statements of a module."""
        module = self._enter(name)
        if module:
            for k in range(len(module.file.body)):
                self._use(module, k)

    def _enter(self, name: str) -> _Module | None:
        from implementations.verification.code_hash import locate

        path = locate(name, self.root) if of_package(name) else None
        if path is None:
            return None
        if name not in self.modules:
            file = _file(path.relative_to(self.root).as_posix(), path.read_text(encoding="utf-8"))
            module = self.modules[name] = _Module(name, file)
            if "." in name:
                self.everything(name.rpartition(".")[0])
            for k, node in enumerate(file.body):
                if not definitions(node):
                    self._use(module, k)
        return self.modules[name]

    def _use(self, module: _Module, k: int) -> None:
        node = module.file.body[k]
        words = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if k in module.used or words or isinstance(node, ast.Import | ast.ImportFrom):
            return
        module.used.add(k)
        for use in module.file.uses[k]:
            self._name(module, use.name, use.attribute)
        for name in module.file.in_strings[k]:
            self._name(module, name, "")

    def _name(self, module: _Module, name: str, attribute: str) -> None:
        file = module.file
        for k in file.defining.get(name, ()):
            self._use(module, k)
        if name in file.defining or name not in file.imported:
            return
        where, what = file.imported[name]
        inner = f"{where}.{what}".rstrip(".")
        there = self._enter(inner)
        if there is None:
            source = self._enter(where)
            if source:
                self._name(source, what, "")
        elif attribute:
            self._name(there, attribute, "")
        else:
            self.everything(inner)


def flatten(module: str, root: Path) -> str:
    """The text of a file that needs nothing of the package and does what the module (its name within it) does.

    Errors: FlattenError; OSError and SyntaxError of what cannot be read.
    """
    reach = _Reach(root)
    reach.everything(f"{PACKAGE}.{module}")
    return _Flat(reach.modules, f"{PACKAGE}.{module}").text()


class _Flat:
    def __init__(self, modules: dict[str, _Module], target: str) -> None:
        self.modules, self.target = modules, modules[target]
        self.order = list(self._ordered(target, set()))
        self.renamed: dict[Target, str] = {}
        self._name()

    def text(self) -> str:
        inlined = [m for m in self.order if m is not self.target and m.own]
        setup = [m for m in self.order if m is not self.target and not m.own and m.nodes]  # it may matter to imports
        body = self._whole(self.target)
        parts = [self._head(inlined)]
        if any(FUTURE in m.file.rows for m in self.order):
            parts.append(FUTURE)
        parts += ["\n".join([_title(m), "", *self._imports([m]), _joined(self._pieces(m)).rstrip()]) for m in setup]
        imports = "\n".join(self._imports([m for m in self.order if m not in setup]))
        parts += [imports] if imports else []
        flat = "\n\n".join(parts)
        for m in inlined:
            flat += f"\n\n{_title(m)}\n" + _joined(self._pieces(m))
        flat += f"\n\n{_title(self.target)}\n" + _joined([body]) if inlined or setup else f"\n{_joined([body])}"
        ast.parse(flat)
        return flat.rstrip("\n") + "\n"

    def _ordered(self, name: str, seen: set[str]) -> Iterator[_Module]:
        """Modules after all that they import; packages before what is in them."""
        if name in seen or name not in self.modules:
            return
        seen.add(name)
        yield from self._ordered(name.rpartition(".")[0], seen)
        module = self.modules[name]
        for node in module.file.body:
            for other in _package_imports(node):
                yield from self._ordered(other, seen)
        yield module

    def _meaning(self, module: str, name: str) -> Target | None:
        """The definition, or the module (with no name), that a name of a module means, if it is one of the package."""
        found = self.modules.get(module)
        if found and name in found.own:
            return (module, name)
        if found and name in found.file.imported:
            return self._meaning(*found.file.imported[name])
        inner = f"{module}.{name}".rstrip(".")
        return (inner, "") if inner in self.modules else None

    def _name(self) -> None:
        """Give every definition its name in the flattened file."""
        foreign: dict[str, set[Target]] = {}
        for module in self.order:
            for name, meaning in module.foreign.items():
                foreign.setdefault(name, set()).add(meaning)
        for name, meanings in foreign.items():
            if len(meanings) > 1:
                said = " and ".join(".".join(part for part in meaning if part) for meaning in sorted(meanings))
                raise FlattenError(f"{name} is {said}")
        owners: dict[str, list[str]] = {}
        for module in self.order:
            for name in module.own:
                owners.setdefault(name, []).append(module.name)
        taken = set(owners) | set(foreign)
        for name, where in sorted(owners.items()):
            for module in where:
                if name not in foreign and (len(where) == 1 or module == self.target.name):
                    continue
                new = f"{module.split('.')[-1]}_{name}"
                if new in taken:
                    raise FlattenError(f"{name} of {module} has no name left: {new} is another thing")
                taken.add(new)
                self.renamed[module, name] = new

    def _imports(self, modules: list[_Module]) -> list[str]:
        """One statement for each module outside the package: the standard library first."""
        whole, parts = set(), {}
        for module in modules:
            for name, (outside, inner) in module.foreign.items():
                if inner:
                    parts.setdefault(outside, set()).add(inner if name == inner else f"{inner} as {name}")
                else:
                    whole.add(outside if name == outside.split(".")[0] else f"{outside} as {name}")
        lines = [f"import {name}" for name in sorted(whole)]
        lines += [f"from {outside} import {', '.join(sorted(names))}" for outside, names in sorted(parts.items())]
        ours = [line for line in lines if line.split()[1].split(".")[0] in sys.stdlib_module_names]
        others = [line for line in lines if line not in ours]
        return [*ours, *([""] if ours and others else []), *others]

    def _head(self, inlined: list[_Module]) -> str:
        """The docstring of the method, and what was done to its file."""
        file = self.target.file
        words = "\n".join(file.rows[: file.body[0].end_lineno]) + "\n\n" if file.words else ""
        made = [f"# {file.path} in one file" + (", with what it uses of these:" if inlined else ".")]
        made += [f"#   {module.file.path}" for module in inlined]
        for (module, name), new in sorted(self.renamed.items()):
            made.append(f"# {module.removeprefix(PACKAGE + '.')}.{name} is called {new} here: {name} is another thing.")
        return words + "\n".join(made)

    def _pieces(self, module: _Module) -> Iterator[str]:
        """The definitions of a module that are used, each with the comments right above it."""
        rows = self._edited(module)
        for node in module.nodes:
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
            while first > 1 and module.file.rows[first - 2].startswith("#"):
                first -= 1
            yield "\n".join(rows[first - 1 : node.end_lineno])

    def _whole(self, module: _Module) -> str:
        """All of a module but its docstring and its imports."""
        rows: list[str | None] = list(self._edited(module))
        for k, node in enumerate(module.file.body):
            if (not k and module.file.words) or isinstance(node, ast.Import | ast.ImportFrom):
                rows[node.lineno - 1 : node.end_lineno] = [None] * ((node.end_lineno or 0) - node.lineno + 1)
        return "\n".join(row for row in rows if row is not None).strip("\n")

    def _edited(self, module: _Module) -> list[str]:
        """The lines of a module with the names that things have in the flattened file."""
        edits: list[tuple[int, int, int, str]] = []
        file = module.file
        for k in module.used:
            node = file.body[k]
            for inner in ast.walk(node):
                if isinstance(inner, ast.Import | ast.ImportFrom) and list(_package_imports(inner)):
                    raise FlattenError(f"{module.file.path}:{inner.lineno}: an import inside a function")
            for name in file.in_strings[k]:
                meaning = self._meaning(module.name, name)
                if meaning and self._called(meaning) != name:
                    raise FlattenError(
                        f"{module.file.path}: {name} stands inside an f-string, and has another name here"
                    )
            for use in file.uses[k]:
                edits += self._edit(module, use)
            for name in definitions(node) if hasattr(node, "body") else ():
                new = self.renamed.get((module.name, name))
                if new:
                    line = file.rows[node.lineno - 1].encode()
                    at = re.search(rb"(?:def|class)\s+", line)
                    assert at is not None, "a definition begins with def or class"
                    edits.append((node.lineno, at.end(), at.end() + len(name.encode()), new))
        rows = [row.encode() for row in file.rows]
        for line, start, end, new in sorted(edits, reverse=True):
            rows[line - 1] = rows[line - 1][:start] + new.encode() + rows[line - 1][end:]
        return [row.decode() for row in rows]

    def _edit(self, module: _Module, use: Use) -> Iterator[tuple[int, int, int, str]]:
        meaning = self._meaning(module.name, use.name)
        if meaning is None:
            return
        node, written = use.node, use.name
        if not meaning[1]:  # a module: what counts is what is taken of it
            inner = self._meaning(meaning[0], use.attribute) if use.attribute else None
            if inner is None or not inner[1]:
                raise FlattenError(f"{module.file.path}:{node.lineno}: {use.name} is a module, and used as such")
            meaning, written, end = inner, "", node.end_col_offset
            if node.end_lineno != node.lineno:
                raise FlattenError(f"{module.file.path}:{node.lineno}: {use.name}.{use.attribute} stands on two lines")
        else:
            end = node.col_offset + len(use.name.encode())
        new = self._called(meaning)
        if new == written:
            return
        if new in use.hidden:
            raise FlattenError(f"{module.file.path}:{node.lineno}: {new} is a local name there")
        yield node.lineno, node.col_offset, end or 0, new

    def _called(self, meaning: Target) -> str:
        return self.renamed.get(meaning, meaning[1])


def _package_imports(node: ast.stmt) -> Iterator[str]:
    """Every module of the package that an import may mean."""
    if isinstance(node, ast.ImportFrom) and node.module and not node.level and of_package(node.module):
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if of_package(alias.name))


def _in_strings(node: ast.stmt) -> set[str]:
    """Names inside f-strings."""
    strings = [inner for inner in ast.walk(node) if isinstance(inner, ast.JoinedStr)]
    return {inner.id for string in strings for inner in ast.walk(string) if isinstance(inner, ast.Name)}


def _title(module: _Module) -> str:
    return f"# ---- {module.file.path} ".ljust(RULE, "-")


def _joined(pieces: Iterable[str]) -> str:
    """Definitions, with the blank lines that belong between them."""
    text, before = "", False
    for piece in pieces:
        now = bool(_DEFINES.search(piece))
        text += ("\n\n" if now or before else "\n") + piece + "\n"
        before = now
    return text
