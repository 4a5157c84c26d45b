"""What a module's behaviour depends on: its own code and all it uses of `implementations`, as one hash.

Only code that can run counts: of an imported module the definitions that are used, those that they use, and so on, with
all that importing it does beyond defining things.  So the demo of one method may change without making what was
measured on the methods that import it old; and so may comments, docstrings and the layout of the code, for it is the
syntax tree that is hashed, alike for every version of Python.
Reads files, imports nothing of them, and needs the standard library alone.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = "implementations"
UNSAID = frozenset({"type_comment", "type_ignores", "type_params", "kind", "ctx"})
"""Fields of syntax trees that say nothing of what the code here does, or that only some versions of Python have."""
ROOT = Path(__file__).resolve().parents[2]


def locate(module: str, root: Path = ROOT) -> Path | None:
    """The file of a dotted module name, or None if there is none under root."""
    base = root.joinpath(*module.split("."))
    return next(
        (path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()),
        None,
    )


def closure(path: Path, root: Path = ROOT) -> dict[str, Path]:
    """Every module under `implementations` that this file imports, directly or not: name -> file."""
    found: dict[str, Path] = {}
    queue = [path]
    while queue:
        for name in _read(queue.pop())[1]:
            parts = name.split(".")
            for end in range(1, len(parts) + 1):  # importing a.b.c runs a/__init__.py and a/b/__init__.py too
                module = ".".join(parts[:end])
                file = locate(module, root)
                if file is not None and module not in found:
                    found[module] = file
                    queue.append(file)
    return found


def demo_of(slug: str) -> str:
    """The module of a method's demo within the package: that of score-sde is demos.score_sde."""
    return f"demos.{slug.replace('-', '_')}"


def code_hash(module: str, root: Path = ROOT, *, definition: str = "") -> str:
    """sha256 of the code of a module (its name within the package, "ddim") and of all it uses of the package.

    definition: only what this function, class or constant of the module reaches.
    """
    name = f"{PACKAGE}.{module}"
    path = locate(name, root)
    if path is None:
        raise FileNotFoundError(f"no module {name} under {root}: looked for {name.replace('.', '/')}.py")
    total = hashlib.sha256()
    for part, code in sorted(_Reach(root).collect(name, definition).items()):
        total.update(f"{part}\0".encode() + code + b"\0")
    return f"sha256:{total.hexdigest()}"


@dataclass(frozen=True)
class _Unit:
    """A statement of a module's top level.

    binds: the names it defines; none if it does something else, which importing the module does too.  uses: the names
    it mentions, with the attribute if it is one of the name's ("data", "load").  imports: what names mean that it
    binds, or that are bound inside it: name -> (module, name there or "").
    """

    code: bytes
    binds: frozenset[str]
    uses: frozenset[tuple[str, str]]
    imports: dict[str, tuple[str, str]]


@dataclass(frozen=True)
class _File:
    """binding: name -> the units that define it.  imports: what names mean that the top level imports."""

    units: list[_Unit]
    binding: dict[str, list[int]]
    imports: dict[str, tuple[str, str]]


class _Reach:
    """Collects, module by module, the top-level statements that can run when all of one module can."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: dict[str, _File | None] = {}
        self.whole: set[str] = set()
        self.wanted: set[tuple[str, str]] = set()
        self.asked: set[tuple[str, str, str]] = set()
        self.taken: dict[str, set[int]] = {}

    def collect(self, name: str, definition: str) -> dict[str, bytes]:
        """Module -> the code of it that counts, in the order of the file: for all of a module, or one definition."""
        if definition:
            self._name(name, definition)
        else:
            self._everything(name)
        found = {}
        for module, taken in self.taken.items():
            file = self._file(module)
            assert file is not None, "only modules with a file are entered"
            units = [file.units[k] for k in sorted(taken)]
            # where an import stands among others, and with what others on its line, is layout
            imported = sorted(unit.code for unit in units if unit.code.startswith(b"import "))
            found[module] = b"\n".join(imported + [u.code for u in units if not u.code.startswith(b"import ")])
        return found

    def _file(self, module: str) -> _File | None:
        if module not in self.files:
            path = locate(module, self.root) if module.split(".")[0] == PACKAGE else None
            self.files[module] = None if path is None else _file(path, path.read_text(encoding="utf-8"))
        return self.files[module]

    def _enter(self, module: str) -> _File | None:
        """The file of a module, with what importing it runs taken; None if the package has no such module."""
        file = self._file(module)
        if file is not None and module not in self.taken:
            self.taken[module] = set()
            parent = module.rpartition(".")[0]
            if parent:
                self._everything(parent)
            for k, unit in enumerate(file.units):
                if not unit.binds:
                    self._take(module, file, k)
        return file

    def _everything(self, module: str) -> None:
        if module not in self.whole:
            self.whole.add(module)
            file = self._enter(module)
            if file is not None:
                for k in range(len(file.units)):
                    self._take(module, file, k)

    def _name(self, module: str, name: str) -> None:
        """A name of a module: what defines it there, or the module of that name inside a package."""
        if (module, name) in self.wanted:
            return
        self.wanted.add((module, name))
        file = self._enter(module)
        if file is None:
            return
        for k in file.binding.get(name, ()):
            self._take(module, file, k)
        if name not in file.binding:
            self._everything(f"{module}.{name}")

    def _take(self, module: str, file: _File, k: int) -> None:
        if k in self.taken[module]:
            return
        self.taken[module].add(k)
        unit = file.units[k]
        for name, attribute in unit.uses:
            target = unit.imports.get(name) or file.imports.get(name)
            if name in file.binding and name not in unit.imports:
                self._name(module, name)
            if target is not None:
                self._imported(*target, attribute)

    def _imported(self, module: str, name: str, attribute: str) -> None:
        """What is used of an import: a name of a module or, where the name is itself a module, an attribute of it."""
        if (module, name, attribute) in self.asked:
            return
        self.asked.add((module, name, attribute))
        inner = f"{module}.{name}" if name else module
        if name and self._file(inner) is None:
            self._name(module, name)
            file = self._file(module)
            if file is not None and name in file.imports:  # only handed on there: what it is counts where it comes from
                self._imported(*file.imports[name], attribute)
        elif attribute:
            self._enter(module)
            self._name(inner, attribute)
        else:
            self._everything(inner)


@cache
def _file(path: Path, source: str) -> _File:
    units = [unit for node in ast.parse(source, filename=str(path)).body for unit in _units(node)]
    binding: dict[str, list[int]] = {}
    for k, unit in enumerate(units):
        for name in unit.binds:
            binding.setdefault(name, []).append(k)
    top = {name: meaning for unit in units for name, meaning in unit.imports.items() if name in unit.binds}
    return _File(units, binding, top)


def _units(node: ast.stmt) -> Iterator[_Unit]:
    """What a statement at the top level is to the hash: one unit, or one for each name that it imports."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        for name, (module, what) in _meanings(node).items():
            inside = {name: (module, what)} if module.split(".")[0] == PACKAGE else {}
            yield _Unit(
                f"import {module} {what} as {name}".encode(),
                frozenset([name]),
                frozenset(),
                inside,
            )
    elif not _is_words(node):
        nodes = [] if _runs_as_command(node) else list(ast.walk(node))
        attributes = {id(n.value): n.attr for n in nodes if isinstance(n, ast.Attribute)}
        uses = {(n.id, attributes.get(id(n), "")) for n in nodes if isinstance(n, ast.Name)}
        imports: dict[str, tuple[str, str]] = {}
        for n in nodes:
            if isinstance(n, ast.Import | ast.ImportFrom):
                imports |= _meanings(n)
        inside = {name: meaning for name, meaning in imports.items() if meaning[0].split(".")[0] == PACKAGE}
        yield _Unit(canonical(node), _binds(node), frozenset(uses), inside)


def _meanings(node: ast.Import | ast.ImportFrom) -> dict[str, tuple[str, str]]:
    """Name -> the module that it is taken from, and its name there or nothing."""
    if isinstance(node, ast.Import):
        return {alias.asname or alias.name: (alias.name, "") for alias in node.names}
    module = "." * node.level + (node.module or "")
    return {alias.asname or alias.name: (module, alias.name) for alias in node.names}


def _binds(node: ast.stmt) -> frozenset[str]:
    """The names that a statement only defines; none if it does anything else."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return frozenset([node.name])
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    names = [n for target in targets for n in (target.elts if isinstance(target, ast.Tuple) else [target])]
    if all(isinstance(n, ast.Name) for n in names):
        return frozenset(n.id for n in names if isinstance(n, ast.Name))
    return frozenset()


def hash_of(files: dict[str, Path]) -> str:
    """sha256 over the names and the code of files; the names, not the places, so that a moved checkout is the same."""
    total = hashlib.sha256()
    for name, path in sorted(files.items()):
        total.update(f"{name}\0".encode() + _read(path)[0] + b"\0")
    return f"sha256:{total.hexdigest()}"


def canonical(node: ast.AST) -> bytes:
    """A syntax tree as text, without docstrings and without what Python's versions write in different ways."""
    parts: list[str] = []
    _write(node, parts)
    return "".join(parts).encode("utf-8", "surrogatepass")


def _write(node: ast.AST, parts: list[str]) -> None:
    parts.append(f"({type(node).__name__}")
    for name in node._fields:
        value = getattr(node, name, None)
        nothing = value is None or value == []
        if name in UNSAID or (nothing and not isinstance(node, ast.Constant)):
            continue
        parts.append(f" {name}=")
        for item in value if isinstance(value, list) else [value]:
            if not isinstance(item, ast.AST):
                parts.append(f"{item!r},")
            elif not _is_words(item):
                _write(item, parts)
    parts.append(")")


def _is_words(node: ast.AST) -> bool:
    """Whether a statement is a text alone: a docstring, or what a constant is, in words."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _read(path: Path) -> tuple[bytes, frozenset[str]]:
    """The code of a file, and the names it imports under the package."""
    return _parse(path, path.read_text(encoding="utf-8"))


@cache
def _parse(path: Path, source: str) -> tuple[bytes, frozenset[str]]:
    tree = ast.parse(source, filename=str(path))
    return canonical(tree), frozenset(_imports(tree))


def _imports(tree: ast.Module) -> Iterator[str]:
    """Names within the package.  What a file imports only when run as a command has no part in its behaviour."""
    for node in (node for part in tree.body if not _runs_as_command(part) for node in ast.walk(part)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [
                node.module,
                *(f"{node.module}.{alias.name}" for alias in node.names),
            ]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == PACKAGE)


def _runs_as_command(node: ast.stmt) -> bool:
    """Whether this is the block `if __name__ == "__main__":`."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Compare) and ast.unparse(node.test.left) == "__name__"
