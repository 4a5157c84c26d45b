"""What is to be planted in a module, from its source and from three files beside its tests, all optional:

equivalent_mutants.yaml  module -> list of {mutant, reason}: mutants that no test could kill, each with the reason
unreached.yaml           module -> {function: reason}: functions that the fast tests are not meant to reach
pitfalls.yaml            module -> list of {name, replace, by}: well-known mistakes, as edits of the source
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

ALSO = ("common.noise",)  # beside the methods: every draw of every method goes through it


class MutantError(ValueError):
    """Mutation testing that cannot go on; the message says what to mend."""


@dataclass(frozen=True)
class Plan:
    """One module and what is to be planted in it.  unreached, equivalent: name -> reason.

    planted: name -> line and what makes the tree; a thousand trees at once would weigh down every fork.
    """

    module: str
    path: Path
    tests: tuple[Path, ...]
    planted: dict[str, tuple[int, Callable[[], ast.Module]]]
    equivalent: dict[str, str]
    unreached: dict[str, str]
    key: str


def plan(method: str, root: Path = ROOT) -> Plan:
    """Everything to plant in implementations/<method>.py ("ddpm", "common.noise")."""
    path = locate(f"{PACKAGE}.{method}", root)
    if path is None:
        raise MutantError(f"no module {PACKAGE}.{method} under {root}")
    folder = root.joinpath("tests", PACKAGE, *method.split(".")[:-1])
    leaf = method.split(".")[-1]
    tests = tuple(sorted([*folder.glob(f"test_{leaf}.py"), *folder.glob(f"test_{leaf}_*.py")]))
    if not tests:
        raise MutantError(f"no tests for {method}: looked for test_{leaf}.py in {folder}")
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    unreached = {"demo": "judged by its claims", **_steering("unreached", method, root, {})}
    planted = {m.id: (m.line, partial(m.plant, tree)) for m in mutants(tree, frozenset(unreached))}
    planted |= dict(_pitfalls(method, source, root))
    equivalent = {row["mutant"]: row["reason"] for row in _steering("equivalent_mutants", method, root, [])}
    gone = [name for name in equivalent if name not in planted]
    if gone:
        raise MutantError(f"equivalent_mutants.yaml, {method}: no such mutant now, remove it: {'; '.join(gone)}")
    return Plan(method, path, tests, planted, equivalent, unreached, _key(method, path, tests, source, root))


def every(root: Path = ROOT) -> list[str]:
    """All methods that have tests, in alphabetical order, and what else is worth it."""
    methods = sorted(path.stem for path in (root / PACKAGE).glob("*.py"))
    tests = root / "tests" / PACKAGE
    found = [method for method in methods if (tests / f"test_{method}.py").is_file()]
    return found + [module for module in ALSO if locate(f"{PACKAGE}.{module}", root)]


def _pitfalls(method: str, source: str, root: Path) -> Iterator[tuple[str, tuple[int, Callable[[], ast.Module]]]]:
    for pitfall in _steering("pitfalls", method, root, []):
        name, old = f"pitfall: {pitfall['name']}", pitfall["replace"]
        if source.count(old) != 1:
            times = f"occurs {source.count(old)} times in {method}.py, not once"
            raise MutantError(f"pitfalls.yaml, {method}, {pitfall['name']}: {old!r} {times}")
        line = source[: source.index(old)].count("\n") + 1
        yield name, (line, partial(ast.parse, source.replace(old, pitfall["by"])))


def _steering(name: str, method: str, root: Path, default: Any) -> Any:
    path = root / "tests" / PACKAGE / f"{name}.yaml"
    if not path.is_file():
        return default
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get(method, default)


def _key(method: str, path: Path, tests: Sequence[Path], source: str, root: Path) -> str:
    """Changes with anything that an outcome depends on: the method's text, its tests, and all that both import."""
    files = {f"{PACKAGE}.{method}": path, **closure(path, root)}
    for test in [*tests, *(root / "tests" / PACKAGE).glob("conftest.py")]:
        files |= {str(test.relative_to(root)): test, **closure(test, root)}
    return sha256(f"{hash_of(files)}{source}".encode()).hexdigest()
