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
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from kb_tools.methods.equations import anchors
from kb_tools.methods.layers import PACKAGE, code_lines, demos_imported, files, methods_imported, strangers, unwritten

_HERE = Path(__file__).resolve()
_PROOFS = _HERE.parents[2] / PACKAGE / "verification"
_READERS = (
    _HERE,
    _HERE.with_name("equations.py"),
    _HERE.with_name("layers.py"),
    _PROOFS / "evidence" / "store.py",
    _PROOFS / "code_hash.py",
    _PROOFS / "mutants" / "modules.py",
    _PROOFS / "mutants" / "recorded.py",
)


class Facts(NamedTuple):
    """One method.

    equations, sections, algorithms, strays, names: as in `equations`.  imports: other methods, (module of the
    package, line, column).  demos: those of other methods that its demo imports, alike.  lines: of code.  unwritten:
    functions of it and of its tests that only say what is to be written.  says_why: its docstring has a sentence on why
    it is long.  broken: (file inside the collection, line, why it is not Python), of its own file and of those it uses.
    entries: what was measured.  stale: why that says nothing about the code of now.  failing: recorded claims that do
    not hold.  unreadable: why the file of evidence cannot be used.  bugs: why the planted bugs were not counted on the
    code of now, or not enough of them were seen.
    """

    equations: dict[str, list[int]]
    sections: dict[str, list[int]]
    algorithms: dict[str, list[int]]
    strays: list[list[Any]]
    names: list[str]
    imports: list[list[Any]]
    demos: list[list[Any]]
    lines: int
    unwritten: list[str]
    says_why: bool
    broken: list[list[Any]]
    entries: list[dict[str, Any]]
    stale: str | None
    failing: list[str]
    unreadable: str | None
    bugs: list[str]


class Known(NamedTuple):
    """methods: the facts of each, by module.  strangers: (file inside the collection, room, module it must not import,
    line, column), of all files of the package.
    """

    methods: dict[str, Facts]
    strangers: list[list[Any]]


def known(root: Path, modules: Iterable[str]) -> Known:
    """What the code of the collection at root says, of these methods and of who imports what."""
    kept = root / ".kb" / "methods.json"
    state = _state(root)
    before = _read(kept, state)
    methods = before.methods if before else {}
    found = {module: methods.get(module) or _derive(root, module) for module in modules}
    wrong = before.strangers if before else _strangers(root)
    # What was edited while it was read must not stand under the hash of what it was before.
    if (before is None or not found.keys() <= methods.keys()) and _state(root) == state:
        _keep(kept, state, Known(methods | found, wrong))
    return Known(found, wrong)


def facts_of(root: Path, module: str) -> Facts:
    """The facts of one method."""
    return known(root, [module]).methods[module]


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


def _read(kept: Path, state: str) -> Known | None:
    try:
        data = json.loads(kept.read_text(encoding="utf-8"))
        if data["state"] == state:
            return Known({module: Facts(**one) for module, one in data["methods"].items()}, list(data["strangers"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return None


def _keep(kept: Path, state: str, facts: Known) -> None:
    temporary = kept.with_name(f"methods.{os.getpid()}.tmp")
    methods = {module: one._asdict() for module, one in facts.methods.items()}
    try:
        text = json.dumps({"state": state, "methods": methods, "strangers": facts.strangers})
        kept.parent.mkdir(exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(kept)
    except (OSError, TypeError):  # a folder that takes nothing; evidence edited by hand to what JSON cannot hold
        with suppress(OSError):
            temporary.unlink()


def _strangers(root: Path) -> list[list[Any]]:
    found = []
    for path, room in files(root):
        with suppress(OSError, SyntaxError, ValueError):  # what is no Python is reported by whoever uses it
            tree = ast.parse(path.read_text(encoding="utf-8"))
            name = path.relative_to(root).as_posix()
            found += [[name, room, *place] for place in strangers(tree, room)]
    return found


def _derive(root: Path, module: str) -> Facts:
    # Loaded late, and neither torch nor numpy with it: this package knows what evidence hashes.
    from implementations.verification.evidence import store
    from implementations.verification.mutants import recorded

    path = root / PACKAGE / f"{module}.py"
    facts = Facts({}, {}, {}, [], [], [], [], 0, [], False, [], [], None, [], None, [])
    try:
        code = path.read_text(encoding="utf-8")
        tree = ast.parse(code)
        found = anchors(code)
        facts = facts._replace(
            imports=list(methods_imported(tree)),
            equations=found.equations,
            sections=found.sections,
            algorithms=found.algorithms,
            strays=[list(stray) for stray in found.strays],
            names=sorted(found.names),
            lines=code_lines(code, tree),
            unwritten=unwritten(tree),
            says_why="Long because" in (ast.get_docstring(tree) or ""),
        )
    except OSError as error:
        facts = facts._replace(stale=f"{PACKAGE}/{path.name} cannot be read: {error.strerror}")
    except (SyntaxError, ValueError, tokenize.TokenError) as error:
        facts.broken.append(_broken(error, f"{PACKAGE}/{path.name}"))
    with suppress(OSError, SyntaxError, ValueError):  # its evidence says that it cannot be read
        demo = (root / PACKAGE / "demos" / path.name).read_text(encoding="utf-8")
        facts = facts._replace(demos=list(demos_imported(ast.parse(demo))))
    with suppress(OSError, SyntaxError, ValueError):  # pytest says so
        tests = (root / "tests" / PACKAGE / f"test_{module}.py").read_text(encoding="utf-8")
        facts = facts._replace(unwritten=facts.unwritten + unwritten(ast.parse(tests)))
    slug = module.replace("_", "-")
    try:
        facts = facts._replace(
            entries=(store.read(slug, root) or {"entries": []})["entries"],
            failing=store.failing(slug, root),
            stale=facts.stale or store.stale(slug, root),
        )
        stale = recorded.stale(module, root)
        facts = facts._replace(bugs=[stale] if stale else recorded.weak(module, root))
    except store.EvidenceError as error:
        facts = facts._replace(unreadable=str(error))
    except SyntaxError as error:
        facts.broken.append(_broken(error, Path(error.filename or path).relative_to(root).as_posix()))
    except (OSError, ValueError) as error:
        facts = facts._replace(stale=f"the code that {slug} uses cannot be read: {error}")
    return facts


def _broken(error: Exception, file: str) -> list[Any]:
    line = getattr(error, "lineno", None) or 0
    return [file, line, str(getattr(error, "msg", None) or error)]
