"""The command.

python -m implementations.verification.mutants ddpm [--limit N]    # or make mutants METHODS="ddpm ddim"
python -m implementations.verification.mutants                     # all of them, or make mutants
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from implementations.verification.mutants.plan import MutantError, every, plan
from implementations.verification.mutants.report import REQUIRED, record, summary, table
from implementations.verification.mutants.run import outcomes, unchanged


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 if every method's score reaches 95 %, 1 if not, 2 if something must be mended first."""
    parser = argparse.ArgumentParser(prog="mutants", description="Plant one mistake at a time, run the fast tests")
    parser.add_argument(
        "methods", nargs="*", help='modules of implementations, "ddpm" or "common.noise"; none: all that have tests'
    )
    parser.add_argument("--limit", type=int, help="run only so many, spread evenly; nothing is recorded")
    parser.add_argument("--jobs", type=int, default=1, help="how many at a time")
    parser.add_argument("--fresh", action="store_true", help="forget what an earlier run found")
    parser.add_argument("--list", action="store_true", help="print the mutants and run none")
    options = parser.parse_args(arguments)
    rows, problems = [], 0
    for method in options.methods or every():
        try:
            job = plan(method)
            if options.list:
                for name, (line, _) in job.planted.items():
                    print(f"{method}.py:{line}  {name}")
                continue
            ran = outcomes(job, limit=options.limit, jobs=options.jobs, fresh=options.fresh)
            unchanged(job)
            row = summary(job, ran)
        except MutantError as problem:
            print(f"mutants: {problem}", file=sys.stderr)
            problems += 1
            continue
        rows.append(row)
        print(f"{method}: killed {row['killed']} of {row['mutants'] - row['equivalent']} ({row['score']:.1%})", end="")
        print(f", {row['equivalent']} equivalent, {row['cpu_seconds']} CPU seconds", flush=True)
        if options.limit is None:
            record(row)
    if len(rows) > 1:
        print(f"\n{table(rows)}\n")
    low = [row["method"] for row in rows if row["score"] < REQUIRED]
    if low:
        print(f"mutants: below {REQUIRED:.0%}: {', '.join(low)}", file=sys.stderr)
    return 2 if problems else 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
