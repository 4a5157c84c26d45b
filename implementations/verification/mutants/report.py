"""What came of the mutants of a module: its row, the file it is kept in, a table of several."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from implementations.verification import evidence
from implementations.verification.code_hash import ROOT, code_hash
from implementations.verification.mutants.plan import MutantError, Plan
from implementations.verification.mutants.run import Outcome

REQUIRED = 0.95


def summary(job: Plan, ran: dict[str, Outcome], root: Path = ROOT) -> dict[str, Any]:
    """The row of a method in the table: counts, score, survivors, equivalents and what was left out, with reasons.

    An equivalent mutant that a test killed is no equivalent: MutantError says which test did.
    """
    wrong = [f"{n} (by {ran[n].killed_by})" for n in job.equivalent if n in ran and ran[n].killed_by]
    if wrong:
        raise MutantError(f"equivalent_mutants.yaml, {job.module}: killed, so not equivalent: {'; '.join(wrong)}")
    judged = {name: o for name, o in ran.items() if name not in job.equivalent}
    survivors = [name for name, o in judged.items() if not o.killed_by]
    killed = len(judged) - len(survivors)
    return {
        "method": job.module,
        "recorded": datetime.now(UTC).date().isoformat(),
        "code": code_hash(job.module, root),
        "mutants": len(ran),
        "equivalent": len(ran) - len(judged),
        "killed": killed,
        "survived": len(survivors),
        "score": round(killed / len(judged), 4) if judged else 1.0,
        "cpu_seconds": round(sum(o.seconds for o in ran.values())),
        "pitfalls": [
            {"pitfall": name.removeprefix("pitfall: "), "killed_by": o.killed_by or "nothing"}
            for name, o in ran.items()
            if name.startswith("pitfall: ")
        ],
        "survivors": survivors,
        "equivalents": [{"mutant": name, "reason": reason} for name, reason in job.equivalent.items()],
        "left_alone": [{"function": name, "reason": reason} for name, reason in job.unreached.items()],
    }


def record(row: dict[str, Any], root: Path = ROOT) -> Path:
    """Put a method's row into implementations/evidence/mutants.yaml, in place of its earlier one."""
    from implementations.lab.checkpoint import write_atomically

    path = evidence.path_of("mutants", root)
    table = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {"methods": []}
    rows = [old for old in table["methods"] if old["method"] != row["method"]] + [row]
    write_atomically(path, evidence.dump({"methods": sorted(rows, key=lambda r: r["method"])}).encode())
    return path


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The summaries of several methods, a line for each and one for all together."""
    columns = ("mutants", "equivalent", "killed", "survived")
    heads = ("method", *columns, "score", "pitfalls", "CPU s")
    lines = []
    for row in rows:
        seen = sum(p["killed_by"] != "nothing" for p in row["pitfalls"])
        counts = [str(row[column]) for column in columns]
        pitfalls = f"{seen} of {len(row['pitfalls'])}"
        lines.append([row["method"], *counts, f"{row['score']:.1%}", pitfalls, str(row["cpu_seconds"])])
    total = {column: sum(row[column] for row in rows) for column in (*columns, "cpu_seconds")}
    judged = total["killed"] + total["survived"]
    score = f"{total['killed'] / judged:.1%}" if judged else ""
    lines.append(["all", *(str(total[column]) for column in columns), score, "", str(total["cpu_seconds"])])
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if k == 0 else cell.rjust(w) for k, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in [heads, *lines]
    )
