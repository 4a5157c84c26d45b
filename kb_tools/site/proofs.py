"""What is known of the tests themselves: planted bugs, the two-sample test, benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Table:
    """Rows of one benchmark, with its columns in the order in which they first appear."""

    name: str
    facts: Mapping[str, Any]
    columns: list[str]
    rows: list[Mapping[str, Any]]


@dataclass(frozen=True)
class Proofs:
    """mutants: module -> its row of planted bugs.  two_sample: the record of that test, or nothing."""

    mutants: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    two_sample: Mapping[str, Any] = field(default_factory=dict)
    benchmarks: list[Table] = field(default_factory=list)


def read_proofs(root: Path, problems: list[str]) -> Proofs:
    """All there is; what cannot be read is added to `problems`, and what is not there is left out."""
    evidence = root / "implementations" / "evidence"
    mutants = _mapping(evidence / "mutants.yaml", problems).get("methods", [])
    results = sorted((root / "benchmarks" / "results").glob("*.yaml"))
    tables = [_table(path, _mapping(path, problems)) for path in results]
    return Proofs(
        {str(row["method"]): row for row in mutants if isinstance(row, dict) and row.get("mutants")},
        _mapping(evidence / "two-sample.yaml", problems),
        [table for table in tables if table.rows],
    )


def _mapping(path: Path, problems: list[str]) -> dict[str, Any]:
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 - it is a safe one
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problems.append(f"{path.name}: cannot be read: {' '.join(str(error).split())}")
        return {}
    if not isinstance(found, dict):
        problems.append(f"{path.name}: holds no mapping")
        return {}
    return found


def _table(path: Path, report: Mapping[str, Any]) -> Table:
    rows: list[Mapping[str, Any]] = [row for row in report.get("rows") or [] if isinstance(row, dict)]
    columns = list(dict.fromkeys(column for row in rows for column, value in row.items() if not _nested(value)))
    facts = {key: value for key, value in report.items() if not _nested(value) and key != "schema_version"}
    return Table(path.stem.replace("_", " ").replace("-", " "), facts, columns, rows)


def _nested(value: object) -> bool:
    return isinstance(value, dict | list)
