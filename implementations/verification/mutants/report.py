"""What came of the mutants of a module: its row, the file it is kept in, tables of several."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from implementations.verification.code_hash import ROOT, code_hash
from implementations.verification.mutants.modules import GROUPS, MutantError, group_of
from implementations.verification.mutants.plan import PITFALL, Plan
from implementations.verification.mutants.recorded import COUNTS, SURVIVED, path_of
from implementations.verification.mutants.run import Outcome


def summary(job: Plan, ran: dict[str, Outcome], root: Path = ROOT) -> dict[str, Any]:
    """The row of a module: counts, score, and by name its pitfalls, survivors and equivalents with their reasons.

    An equivalent mutant that a test killed is no equivalent: MutantError says which test did.
    """
    wrong = [f"{n} (by {ran[n].killed_by})" for n in job.equivalent if n in ran and ran[n].killed_by]
    if wrong:
        raise MutantError(f"equivalents of {job.module}: killed, so not equivalent: {'; '.join(wrong)}")
    judged = {name: o for name, o in ran.items() if name not in job.equivalent}
    survivors = [name for name, o in judged.items() if not o.killed_by]
    killed = len(judged) - len(survivors)
    return {
        "module": job.module,
        "recorded": datetime.now(UTC).date().isoformat(),
        "code": code_hash(job.module, root),
        "mutants": len(ran),
        "equivalent": len(ran) - len(judged),
        "killed": killed,
        "survived": len(survivors),
        "score": round(killed / len(judged), 4) if judged else 1.0,
        "cpu_seconds": round(sum(o.seconds for o in ran.values())),
        "pitfalls": [
            {"pitfall": name.removeprefix(PITFALL), "killed_by": o.killed_by or SURVIVED}
            for name, o in ran.items()
            if name.startswith(PITFALL)
        ],
        "survivors": survivors,
        "equivalents": [{"mutant": name, "reason": reason} for name, reason in job.equivalent.items()],
    }


def record(row: dict[str, Any], root: Path = ROOT) -> Path:
    """Keep the row of a module, in place of an earlier one.  Returns its file."""
    from implementations.lab.checkpoint import write_atomically

    path = path_of(row["module"], root)
    write_atomically(path, dump(row).encode())
    return path


def dump(row: dict[str, Any]) -> str:
    """YAML in which every pitfall, survivor and equivalent stands on a line of its own: a change is a line's change."""
    return yaml.dump(row, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float("inf"))


def tables(rows: Sequence[dict[str, Any]]) -> str:
    """A table for each group that has rows: a line for each module, and one for the group."""
    heads = ("", *COUNTS, "score", "pitfalls", "CPU s")
    groups = {group: [row for row in rows if group_of(row["module"]) == group] for group in GROUPS}
    blocks = [
        [(group, *heads[1:]), *(_line(row["module"], [row]) for row in members), _line(f"all {group}", members)]
        for group, members in groups.items()
        if members
    ]
    widths = [max(map(len, column)) for column in zip(*(line for block in blocks for line in block), strict=True)]
    return "\n\n".join("\n".join(_set(line, widths) for line in block) for block in blocks)


def _line(name: str, rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """The cells of one row, or of several put together."""
    counts = {column: sum(row[column] for row in rows) for column in COUNTS}
    judged = counts["killed"] + counts["survived"]
    pitfalls = [pitfall for row in rows for pitfall in row["pitfalls"]]
    seen = sum(pitfall["killed_by"] != SURVIVED for pitfall in pitfalls)
    return (
        name,
        *map(str, counts.values()),
        f"{counts['killed'] / judged:.1%}" if judged else "",
        f"{seen} of {len(pitfalls)}",
        str(sum(row["cpu_seconds"] for row in rows)),
    )


def _set(line: Sequence[str], widths: Sequence[int]) -> str:
    """The name to the left, figures to the right."""
    return "  ".join(
        cell.rjust(w) if k else cell.ljust(w) for k, (cell, w) in enumerate(zip(line, widths, strict=True))
    )


class _Dumper(yaml.SafeDumper):
    """Mappings inside a list stand on one line; nothing is written as an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _list(dumper: _Dumper, items: list[Any]) -> yaml.Node:
    node = dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=not items)
    for item in node.value:
        item.flow_style = isinstance(item, yaml.MappingNode)
    return node


_Dumper.add_representer(list, _list)
