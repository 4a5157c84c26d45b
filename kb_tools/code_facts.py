"""What the files of implementations/ say that records are held against.

Parsing every method and hashing what its evidence was measured on takes longer than all else that check does, so the
outcome is kept in .kb/methods.json under a hash of every byte it was made from.  It is derived: any change of the code,
of the evidence, or of what reads them makes it anew, and a file that cannot be used costs time only.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import sys
import tokenize
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from kb_tools.equations import equation_lines

PACKAGE = "implementations"
_HERE = Path(__file__).resolve()
_READERS = (
    _HERE,
    _HERE.with_name("equations.py"),
    _HERE.parents[1] / PACKAGE / "verification" / "evidence.py",
    _HERE.parents[1] / PACKAGE / "verification" / "code_hash.py",
)


class Facts(NamedTuple):
    """One method.

    equations: number -> lines of the comments that name it.  imports: (module of the package, line, column).
    broken: (file inside the collection, line, why it is not Python), of its own file and of those it uses.  entries:
    what was measured.  stale: why that says nothing about the code of now.  failing: recorded claims that do not hold.
    unreadable: why the file of evidence cannot be used.
    """

    equations: dict[str, list[int]]
    imports: list[list[Any]]
    broken: list[list[Any]]
    entries: list[dict[str, Any]]
    stale: str | None
    failing: list[str]
    unreadable: str | None


def facts_of(root: Path, modules: Iterable[str]) -> dict[str, Facts]:
    """The facts of methods of the collection at root, by module."""
    kept = root / ".kb" / "methods.json"
    state = _state(root)
    known = _read(kept, state)
    found = {module: known.get(module) or _derive(root, module) for module in modules}
    # What was edited while it was read must not stand under the hash of what it was before.
    if not found.keys() <= known.keys() and _state(root) == state:
        _keep(kept, state, known | found)
    return found


def _state(root: Path) -> str:
    """A hash of what facts are made from: the names of all files, the bytes of code and evidence, and the readers."""
    total = hashlib.sha256(repr(sys.version_info[:2]).encode())
    files = list(_READERS)
    for folder, folders, names in os.walk(root / PACKAGE):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        files += (Path(folder, name) for name in sorted(names))
    for path in files:
        total.update(f"\0{path}\0".encode(errors="surrogateescape"))
        if path.suffix in (".py", ".yaml"):
            try:
                total.update(hashlib.sha256(path.read_bytes()).digest())
            except OSError as error:
                total.update(repr(error.errno).encode())
    return total.hexdigest()


def _read(kept: Path, state: str) -> dict[str, Facts]:
    try:
        data = json.loads(kept.read_text(encoding="utf-8"))
        if data["state"] == state:
            return {module: Facts(**facts) for module, facts in data["methods"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {}


def _keep(kept: Path, state: str, facts: dict[str, Facts]) -> None:
    temporary = kept.with_name(f"methods.{os.getpid()}.tmp")
    try:
        text = json.dumps({"state": state, "methods": {module: one._asdict() for module, one in facts.items()}})
        kept.parent.mkdir(exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(kept)
    except (OSError, TypeError):  # a folder that takes nothing; evidence edited by hand to what JSON cannot hold
        with suppress(OSError):
            temporary.unlink()


def _derive(root: Path, module: str) -> Facts:
    # Loaded late, and neither torch nor numpy with it: this package knows what evidence hashes.
    from implementations.verification import evidence

    path = root / PACKAGE / f"{module}.py"
    facts = Facts({}, [], [], [], None, [], None)
    try:
        code = path.read_text(encoding="utf-8")
        facts = facts._replace(imports=list(_imports(ast.parse(code))), equations=equation_lines(code))
    except OSError as error:
        facts = facts._replace(stale=f"{PACKAGE}/{path.name} cannot be read: {error.strerror}")
    except (SyntaxError, ValueError, tokenize.TokenError) as error:
        facts.broken.append(_broken(error, f"{PACKAGE}/{path.name}"))
    slug = module.replace("_", "-")
    try:
        facts = facts._replace(
            entries=(evidence.read(slug, root) or {"entries": []})["entries"],
            failing=evidence.failing(slug, root),
            stale=facts.stale or evidence.stale(slug, root),
        )
    except evidence.EvidenceError as error:
        facts = facts._replace(unreadable=str(error))
    except SyntaxError as error:
        facts.broken.append(_broken(error, Path(error.filename or path).relative_to(root).as_posix()))
    except (OSError, ValueError) as error:
        facts = facts._replace(stale=f"the code that {slug} uses cannot be read: {error}")
    return facts


def _broken(error: Exception, file: str) -> list[Any]:
    line = getattr(error, "lineno", None) or 0
    return [file, line, str(getattr(error, "msg", None) or error)]


def _imports(tree: ast.Module) -> Iterator[list[Any]]:
    """Modules directly under implementations/ that import statements name, with their line and column."""
    for node in _statements(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
            if node.module == PACKAGE:
                names = [f"{PACKAGE}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == PACKAGE and len(parts) > 1:
                yield [parts[1], node.lineno, node.col_offset + 1]


def _statements(tree: ast.Module) -> Iterator[Any]:
    """Every statement, at any depth; expressions, which are most of a tree, hold none."""
    queue: list[ast.AST] = [tree]
    for node in queue:
        yield node
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            queue += getattr(node, field, ())
