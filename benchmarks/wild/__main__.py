"""What `kb import` makes of some 3,000 invented works in bibliographies and reading lists as people really have them.

    python -m benchmarks.wild [--only WORDS] [--seed SEED] [--faults N] [--times]

Every kind of file is imported into a collection of its own; the judge compares the records and the report with what
the file truly names.  A table by kind is printed, and kept in docs/import-benchmark.md unless --only or --seed asks for
something else; --faults tells N faults of each kind.  --times measures large imports and collections too (minutes).
Exit code 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from textwrap import fill

from benchmarks.wild import times
from benchmarks.wild.corpus import files
from benchmarks.wild.judge import Verdict, imported, judged

PAGE = Path(__file__).resolve().parents[2] / "docs" / "import-benchmark.md"
LEAST = 0.99  # of the works, of their arXiv ids, and of their authors
_HEADER = ("Kind", "Works", "Found", "arXiv ids", "Authors", "Years", "Broken, named", "Lost in silence", "Made up")
_TIMES = "## How long it takes"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wild")
    parser.add_argument("--only", default="", metavar="WORDS", help="kinds whose name has these words")
    parser.add_argument("--seed", default="1", help="other works of the same kinds")
    parser.add_argument("--faults", type=int, default=0, metavar="N", help="tell N faults of each kind")
    parser.add_argument("--times", action="store_true", help="measure large imports and collections too")
    chosen = parser.parse_args()
    total, rows = Verdict(), list[tuple[str, ...]]()
    for kind, wild in files(seed=chosen.seed):
        if chosen.only not in kind:
            continue
        verdict = judged(wild, *imported(wild))
        rows.append(_row(kind, verdict))
        total += verdict
        for fault in verdict.faults[: chosen.faults]:
            print(f"{kind}: {fault}", file=sys.stderr)
    rows.append(_row("all", total))
    for row in rows:
        print(f"{row[0]:<40}" + "".join(f"{cell:>16}" for cell in row[1:]))
    if chosen.times or not (chosen.only or chosen.seed != "1"):
        PAGE.write_text(_page(rows, total, measured=chosen.times), encoding="utf-8")
    return 0 if good(total) else 1


def good(total: Verdict) -> bool:
    """Whether nothing is lost in silence or made up, and nearly everything is found."""
    shares = (
        (total.found, total.works), (total.ids_found, total.ids), (total.people_found, total.people),
    )  # fmt: skip
    lost = total.silent + total.invented + total.wrong_people
    return lost == 0 and all(found >= LEAST * all_ for found, all_ in shares)


def _row(kind: str, verdict: Verdict) -> tuple[str, ...]:
    return (
        kind,
        str(verdict.works),
        str(verdict.found),
        f"{verdict.ids_found} of {verdict.ids}",
        f"{verdict.people_found} of {verdict.people}",
        f"{verdict.years_found} of {verdict.years}",
        str(verdict.reported),
        str(verdict.silent + verdict.wrong_people),
        str(verdict.invented),
    )


def _page(rows: Sequence[tuple[str, ...]], total: Verdict, *, measured: bool) -> str:
    before = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    kept = before[before.index(_TIMES) :].rstrip("\n") if _TIMES in before else ""
    parts = [
        "# What an import finds",
        "Written by `python -m benchmarks.wild`, which invents bibliographies and reading lists "
        "with known truth, imports "
        f"each into a collection of its own, and judges records and report. Last run: {date.today().isoformat()}.",
        f"{total.works} whole works and {_damaged()} broken entries, of {len(rows) - 1} kinds. "
        f"Nothing of `kb` reads or "
        "writes them: the texts are put together by hand, and the records are read by a plain YAML "
        "parser. The works, the "
        "people and the arXiv ids are invented and the same on every run; `--seed` makes others of the same kinds.",
        "*Found*: there is a record with exactly the title of the work. *arXiv ids*, *Authors*, *Years*: those of the "
        "truth that are in the record, letter by letter. *Broken, named*: entries with a comma, a "
        "brace, a key or an end "
        "too few or too many that became no record, and whose line the report names. *Lost in silence*: works, ids, "
        "years or authors that are missing or wrong without a remark. *Made up*: records of what is no work.",
        _table(_HEADER, rows),
        "The judge accepts wrong authors only where the report says that they are not certain, and "
        "counts them as wrong "
        "all the same, but for the few forms that no reader could be sure of (`A. Roe, B. Doe` in a field in which a "
        "comma stands between family and given name).",
        *([times.section(_TIMES)] if measured else [kept] if kept else []),
    ]
    return "\n\n".join(part if part.startswith(("#", "|")) else fill(part, 118) for part in parts) + "\n"


def _damaged() -> int:
    return sum(truth.damaged for _, wild in files() for truth in wild.truths)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def lines() -> Iterator[Sequence[str]]:
        yield header
        yield ["---", *["---:"] * (len(header) - 1)]
        yield from rows

    return "\n".join("| " + " | ".join(line) + " |" for line in lines())


if __name__ == "__main__":
    sys.exit(main())
