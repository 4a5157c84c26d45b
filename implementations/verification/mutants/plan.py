"""What is to be planted in a module, from its source and from its file of bugs.

tests/implementations/bugs/<slug>.yaml, which a module may do without, holds

  pitfalls     list of {name, replace, by}: well-known mistakes, as edits of the source
  equivalents  list of {mutant, reason}: mutants that no test could kill, each with the reason
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from implementations.verification.code_hash import PACKAGE, ROOT, closure, hash_of, locate
from implementations.verification.mutants.edits import mutants
from implementations.verification.mutants.modules import MutantError, bugs_of, folder_of_tests, own_tests

PITFALL = "pitfall: "  # what the name of such a mutant begins with
FIELDS = {"pitfalls": {"name", "replace", "by"}, "equivalents": {"mutant", "reason"}}
Bugs = dict[str, list[dict[str, str]]]


@dataclass(frozen=True)
class Plan:
    """One module and what is to be planted in it.  equivalent: name -> reason.

    planted: name -> line and what makes the tree; a thousand trees at once would weigh down every fork.  key: changes
    with anything that an outcome depends on.
    """

    module: str
    path: Path
    tests: tuple[Path, ...]
    planted: dict[str, tuple[int, Callable[[], ast.Module]]]
    equivalent: dict[str, str]
    key: str


def plan(module: str, root: Path = ROOT) -> Plan:
    """Everything to plant in a module of the package ("ddpm", "common.noise")."""
    path = locate(f"{PACKAGE}.{module}", root)
    if path is None:
        raise MutantError(f"no module {PACKAGE}.{module} under {root}")
    tests = own_tests(module, root)
    if not tests:
        leaf = module.split(".")[-1]
        raise MutantError(f"no tests for {module}: looked for test_{leaf}.py in {folder_of_tests(module, root)}")
    source, bugs = path.read_text(encoding="utf-8"), _bugs(module, root)
    tree = ast.parse(source)
    planted = {m.id: (m.line, partial(m.plant, tree)) for m in mutants(tree)} | dict(_pitfalls(module, source, bugs))
    equivalent = {row["mutant"]: row["reason"] for row in bugs["equivalents"]}
    gone = [name for name in equivalent if name not in planted]
    if gone:
        raise MutantError(f"equivalents of {module}: no such mutant now, remove it: {'; '.join(gone)}")
    return Plan(module, path, tests, planted, equivalent, _key(module, path, tests, source, bugs, root))


def _bugs(module: str, root: Path) -> Bugs:
    """The file of bugs, each of its lists empty where there is none."""
    path = bugs_of(module, root)
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except yaml.YAMLError as problem:
        raise MutantError(f"{path.relative_to(root)}: not YAML: {' '.join(str(problem).split())}") from None
    found = {} if found is None else found
    if not isinstance(found, dict) or not found.keys() <= FIELDS.keys():
        raise MutantError(f"{path.relative_to(root)}: want the lists {' and '.join(FIELDS)}, nothing else")
    for name, rows in found.items():
        if not isinstance(rows, list) or not all(_is_row(row, FIELDS[name]) for row in rows):
            want = ", ".join(sorted(FIELDS[name]))
            raise MutantError(f"{path.relative_to(root)}: {name} must be a list of {{{want}}}, each of them text")
    return {name: found.get(name, []) for name in FIELDS}


def _is_row(row: Any, fields: set[str]) -> bool:
    return isinstance(row, dict) and row.keys() == fields and all(isinstance(value, str) for value in row.values())


def _pitfalls(module: str, source: str, bugs: Bugs) -> Iterator[tuple[str, tuple[int, Callable[[], ast.Module]]]]:
    seen = set()
    for pitfall in bugs["pitfalls"]:
        name, old = pitfall["name"], pitfall["replace"]
        if name in seen:
            raise MutantError(f"pitfalls of {module}: two are named {name!r}")
        seen.add(name)
        if source.count(old) != 1:
            times = f"occurs {source.count(old)} times in the source, not once"
            raise MutantError(f"pitfalls of {module}, {name}: {old!r} {times}")
        line = source[: source.index(old)].count("\n") + 1
        yield f"{PITFALL}{name}", (line, partial(ast.parse, source.replace(old, pitfall["by"])))


def _key(module: str, path: Path, tests: Sequence[Path], source: str, bugs: Bugs, root: Path) -> str:
    """A hash of the module's text, its pitfalls, its tests, what those share, and all that any of them import."""
    files = {f"{PACKAGE}.{module}": path, **closure(path, root)}
    shared = (file for file in (root / "tests" / PACKAGE).rglob("*.py") if not file.name.startswith("test_"))
    for test in [*tests, *shared]:
        files |= {str(test.relative_to(root)): test, **closure(test, root)}
    return sha256(f"{hash_of(files)}{source}{bugs['pitfalls']}".encode()).hexdigest()
