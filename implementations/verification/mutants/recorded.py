"""What was counted: implementations/evidence/<slug>.bugs.yaml, and whether it still stands and suffices.

Needs the standard library and PyYAML alone, so that a check of the records may ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from implementations.verification.code_hash import PACKAGE, ROOT, code_hash
from implementations.verification.mutants.modules import GROUPS, group_of, slug_of

REQUIRED = 0.95
SURVIVED = "nothing"  # what killed a pitfall that no test saw
COUNTS = ("mutants", "equivalent", "killed", "survived")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class RecordedError(ValueError):
    """A file of planted bugs that cannot be used; the message ends with the remedy."""


def path_of(module: str, root: Path = ROOT) -> Path:
    return root / PACKAGE / "evidence" / f"{slug_of(module)}.bugs.yaml"


def read(module: str, root: Path = ROOT) -> dict[str, Any] | None:
    """The row of a module ("ddim", "common.noise"), or None if none was recorded.

    Raises RecordedError when the file is not what a run writes.
    """
    path = path_of(module, root)
    try:
        row = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - one of the two safe loaders
    except FileNotFoundError:
        return None
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise RecordedError(f"{path.name} is not YAML ({' '.join(str(problem).split())}): {_remedy(module)}") from None
    if not _sound(row, module):
        raise RecordedError(f"{path.name} is not the count of the bugs planted in {module}: {_remedy(module)}")
    return row


def stale(module: str, root: Path = ROOT) -> str | None:
    """Why nothing is known of the tests of a module's present code, and the remedy; None if it is known."""
    try:
        row = read(module, root)
    except RecordedError as problem:
        return str(problem)
    if row is None:
        return f"no planted bugs were counted for {slug_of(module)}: {_remedy(module)}"
    if row["code"] != code_hash(module, root):
        return f"planted bugs were counted on other code than {slug_of(module)} has now: {_remedy(module)}"
    return None


def weak(module: str, root: Path = ROOT) -> list[str]:
    """What is not enough in the row of a module; empty where there is none, which is for `stale` to say."""
    try:
        row = read(module, root)
    except RecordedError:
        return []
    return [] if row is None else shortcomings(row)


def shortcomings(row: Mapping[str, Any]) -> list[str]:
    """Too few mutants killed; pitfalls that nothing killed; of a method, no pitfalls at all."""
    found = [low] if (low := too_low(row)) else []
    found += [f"no test sees the pitfall {one['pitfall']!r}" for one in row["pitfalls"] if one["killed_by"] == SURVIVED]
    if group_of(row["module"]) == GROUPS[0] and not row["pitfalls"]:
        found.append("no pitfall is listed: of the field's well-known mistakes, at least one applies")
    return found


def too_low(row: Mapping[str, Any]) -> str | None:
    """Why the score of a row does not do, or None if it does."""
    if row["score"] >= REQUIRED:
        return None
    return f"{row['score']:.2%} of the planted bugs are seen, fewer than {REQUIRED:.0%}"


def _remedy(module: str) -> str:
    return f"run `make mutants METHODS={slug_of(module)}`"


def _sound(row: Any, module: str) -> bool:
    if not isinstance(row, dict) or row.get("module") != module or not isinstance(row.get("code"), str):
        return False
    if not all(type(row.get(count)) is int for count in COUNTS) or not isinstance(row.get("score"), int | float):
        return False
    if not all(isinstance(row.get(name), list) for name in ("pitfalls", "survivors", "equivalents")):
        return False
    if not all(isinstance(one, dict) and {"pitfall", "killed_by"} <= one.keys() for one in row["pitfalls"]):
        return False
    return row["mutants"] == row["killed"] + row["survived"] + row["equivalent"]
