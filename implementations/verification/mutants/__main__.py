"""The command.

python -m implementations.verification.mutants ddim [--limit N]    # or make mutants METHODS="ddim common.noise"
python -m implementations.verification.mutants                     # all that are counted, or make mutants
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from implementations.verification.code_hash import ROOT
from implementations.verification.mutants.modules import MutantError, every, named, slug_of
from implementations.verification.mutants.plan import plan
from implementations.verification.mutants.recorded import REQUIRED, shortcomings, too_low
from implementations.verification.mutants.report import record, summary, tables
from implementations.verification.mutants.run import outcomes, unchanged


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 if the tests of every module see enough, 1 if not, 2 if something must be mended first."""
    parser = argparse.ArgumentParser(prog="mutants", description="Plant one mistake at a time, run the fast tests")
    parser.add_argument(
        "modules",
        nargs="*",
        help='methods by slug or module ("flow-matching", "flow_matching"), "common.noise", "verification.oracles"; '
        "none: all of them that have tests",
    )
    parser.add_argument("--limit", type=int, help="run only so many, spread evenly; nothing is recorded")
    parser.add_argument("--jobs", type=int, default=1, help="how many at a time")
    parser.add_argument("--fresh", action="store_true", help="forget what an earlier run found")
    parser.add_argument("--list", action="store_true", help="print the mutants and run none")
    parser.add_argument("--record-anyway", action="store_true", help=f"record a score below {REQUIRED:.0%}% too")
    options = parser.parse_args(arguments)
    try:
        modules = named(options.modules) or every()
        if options.list:
            return _listed(modules)
    except MutantError as problem:
        _complain(problem)
        return 2
    rows, enough, stopped = [], True, False
    for module in modules:
        try:
            row = _counted(module, options)
        except MutantError as problem:
            _complain(problem)
            stopped = True
            continue
        rows.append(row)
        print(f"{module}: killed {row['killed']} of {row['mutants'] - row['equivalent']} ({row['score']:.1%})", end="")
        print(f", {row['equivalent']} equivalent, {row['cpu_seconds']} CPU seconds", flush=True)
        low, slug = too_low(row), slug_of(module)
        # A part of the mutants may hold no pitfall: then only the score can be judged.
        short = shortcomings(row) if options.limit is None else [low] if low else []
        _complain(*(f"{slug}: {what}" for what in short))
        enough = enough and not short
        if options.limit is None and (not low or options.record_anyway):
            record(row)
        elif options.limit is None:
            _complain(f"{slug}: not recorded, because too few are seen; --record-anyway would")
    if len(rows) > 1:
        print(f"\n{tables(rows)}\n")
    return 2 if stopped else 0 if enough else 1


def _listed(modules: Sequence[str]) -> int:
    for module in modules:
        job = plan(module)
        for name, (line, _) in job.planted.items():
            print(f"{job.path.relative_to(ROOT)}:{line}  {name}")
    return 0


def _counted(module: str, options: argparse.Namespace) -> dict[str, Any]:
    job = plan(module)
    ran = outcomes(job, limit=options.limit, jobs=options.jobs, fresh=options.fresh)
    unchanged(job)
    return summary(job, ran)


def _complain(*problems: object) -> None:
    for line in "\n".join(map(str, problems)).splitlines():
        print(f"mutants: {line}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
