"""`kb` and papis side by side: one command that makes its own environment and collections, and measures both in turns.

    python -m benchmarks.kb_beside_papis                 # 60, 100, 1,000 and 10,000 records: about five minutes
    python -m benchmarks.kb_beside_papis --sizes 60 100 --try     # only print: keep no figures

Each command is a process of its own, with warm indexes, the two tools in turns.  What is kept is the median of its
wall-clock seconds and of its CPU seconds (user and system).  The wall clock is held against the bars where the machine
did nothing else when the run began; the CPU seconds of the two tools can be compared in any case.  The figures go to
benchmarks/results/kb.yaml and the tables to docs/kb-speed.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import NamedTuple

import yaml

from benchmarks.processes import Spent, peer, spend
from kb_tools import __version__
from kb_tools.records.layout import dump, dump_topics
from kb_tools.records.reader import Value
from kb_tools.records.schema import schemas

PROJECT = Path(__file__).resolve().parents[1]
RESULTS = PROJECT / "benchmarks" / "results" / "kb.yaml"
PAGE = PROJECT / "docs" / "kb-speed.md"
PEER = "papis==0.16.1"
SIZES = (60, 100, 1_000, 10_000)
BARS = {  # seconds of wall clock, by task and number of records
    "start": dict.fromkeys(SIZES, 0.060),
    "list with columns": {60: 0.150, 1_000: 0.200, 10_000: 0.250},
    "search": {60: 0.150, 1_000: 0.200, 10_000: 0.250},
    "check": {60: 0.5, 1_000: 3.0},
}
WORDS = [
    "diffusion",
    "score",
    "noise",
    "sampling",
    "latent",
    "guidance",
    "transport",
    "flow",
    "image",
    "text",
    "video",
    "audio",
    "control",
    "editing",
    "training",
    "network",
    "likelihood",
    "bound",
    "step",
    "schedule",
    "solver",
    "distillation",
    "consistency",
    "attention",
    "variance",
    "reverse",
    "process",
    "model",
]
PATIENCE = 45.0  # seconds after which no further run of a task is begun
QUIET = 1.0  # load of the machine below which the wall clock is that of kb alone
RARE = "wasserstein"  # stands in every hundredth title


class Task(NamedTuple):
    """One thing to do with either tool: makers of the command lines.

    before: done each time, unmeasured.  fine: exit codes; 1 where findings are no failure.
    """

    name: str
    kb: Callable[[], list[str]]
    papis: Callable[[], list[str]]
    before: Callable[[], None] = lambda: None
    fine: tuple[int, ...] = (0,)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), metavar="N")
    parser.add_argument("--rounds", type=int, default=7, help=f"runs of each command; none begins after {PATIENCE:g} s")
    parser.add_argument("--report-only", action="store_true", help="write the page from the figures of the last run")
    parser.add_argument("--try", dest="only_try", action="store_true", help="print the page; keep no figures")
    options = parser.parse_args()
    if options.report_only:
        PAGE.write_text(_page(yaml.safe_load(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")
        return 0
    load_before = os.getloadavg()[0]
    papis = peer(PEER, PROJECT / "build" / "benchmarks" / "papis")
    began = time.monotonic()
    rows = []
    with tempfile.TemporaryDirectory(prefix="kb-benchmark-") as folder:
        for size in options.sizes:
            rows += _measure(Path(folder) / str(size), size, papis, options.rounds)
    report = {
        "schema_version": 1,
        "measured": date.today().isoformat(),
        "kb": __version__,
        "papis": PEER.partition("==")[2],
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "rounds": options.rounds,
        "minutes": round((time.monotonic() - began) / 60, 1),
        "load_before": round(load_before, 2),
        "load_after": round(os.getloadavg()[0], 2),
        "rows": rows,
    }
    print(_page(report))
    if not options.only_try:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(yaml.safe_dump(report, sort_keys=False, allow_unicode=True), encoding="utf-8")
        PAGE.write_text(_page(report), encoding="utf-8")
    return 0


def _tasks(root: Path, papis: Path, size: int) -> list[Task]:
    own = str(Path(sys.executable).with_name("kb"))
    kb, theirs = [own, "-C", str(root)], [str(papis), "-l", "work"]
    new = iter(range(10_000, 99_999))
    every = "{doc[year]} {doc[ref]} {doc[title]}"
    middle = f"work-{size // 2}"

    def added_by_papis() -> list[str]:
        number = next(new)
        facts = [("title", f"A new work {number}"), ("author", "Lovelace, Ada"), ("eprint", f"2601.{number}")]
        return [*theirs, "add", "--batch", *(word for pair in facts for word in ("--set", *pair))]

    def forget() -> None:
        shutil.rmtree(root / ".kb", ignore_errors=True)

    return [
        Task(
            "(Python alone)",
            lambda: [sys.executable, "-c", "pass"],
            lambda: [str(papis.with_name("python")), "-c", "pass"],
        ),
        Task("start", lambda: [own, "--version"], lambda: [str(papis), "--version"]),
        Task("list with columns", lambda: [*kb, "list"], lambda: [*theirs, "list", "--all", "--format", every]),
        Task("search", lambda: [*kb, "search", RARE], lambda: [*theirs, "list", "--all", "--format", every, RARE]),
        Task("show", lambda: [*kb, "show", middle], lambda: [*theirs, "export", "--format", "yaml", f"ref:{middle}"]),
        Task("export, BibTeX", lambda: [*kb, "export"], lambda: [*theirs, "export", "--all", "--format", "bibtex"]),
        Task(
            "export, JSON",
            lambda: [*kb, "export", "--format", "json"],
            lambda: [*theirs, "export", "--all", "--format", "json"],
        ),
        Task("add", lambda: [*kb, "add", "--offline", f"2601.{next(new)}"], added_by_papis),
        Task("check", lambda: [*kb, "check"], lambda: [*theirs, "doctor", "--all"], fine=(0, 1)),
        Task("index from nothing", lambda: [*kb, "list", "--wr", "3"], lambda: [*theirs, "cache", "reset"], forget),
    ]


def _measure(folder: Path, size: int, papis: Path, rounds: int) -> list[dict]:
    """One row per task: medians of both tools."""
    print(f"{size} records", file=sys.stderr)
    root, library = folder / "kb", folder / "papis" / "library"
    _write_collections(root, library, size)
    environment = {
        **os.environ,
        "XDG_CONFIG_HOME": str(folder / "papis" / "config"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    rows = []
    for task in _tasks(root, papis, size):
        if not rows:  # both tools have their index, and all files were read once
            spend([str(papis), "-l", "work", "list", "ref:work-0"], environment=environment)
            spend([str(Path(sys.executable).with_name("kb")), "-C", str(root), "list"], environment=environment)
        spent: dict[str, list[Spent]] = {"kb": [], "papis": []}
        start = time.monotonic()
        while len(spent["kb"]) < rounds and time.monotonic() - start < PATIENCE:
            task.before()
            spent["kb"].append(spend(task.kb(), environment=environment, fine=task.fine))
            spent["papis"].append(spend(task.papis(), environment=environment, fine=task.fine))
        row: dict = {"records": size, "task": task.name, "runs": len(spent["kb"])}
        for tool, seconds in spent.items():
            row[f"{tool}_wall"] = round(statistics.median(one.wall for one in seconds), 4)
            row[f"{tool}_cpu"] = round(statistics.median(one.cpu for one in seconds), 4)
        row["bar"] = BARS.get(task.name, {}).get(size)
        rows.append(row)
        print("  ", row, file=sys.stderr)
    return rows


def _write_collections(root: Path, library: Path, size: int) -> None:
    """The same made-up works for both: a title, three authors, a summary, an abstract of 150 words."""
    chance = random.Random(size)
    papers = root / "papers"
    (papers / "resources").mkdir(parents=True)
    (root / "mkdocs.yml").write_text("site_name: benchmark\n")
    topics: dict[str, Value] = {
        f"topic-{number}": {"title": f"Topic {number}", "summary": "A topic."} for number in range(20)
    }
    (papers / "topics.yaml").write_text(dump_topics(topics))
    for name, text in schemas().items():
        (papers / name).write_text(text)
    config = library.parent / "config" / "papis" / "config"
    config.parent.mkdir(parents=True)
    config.write_text(f"[settings]\ndefault-library = work\n\n[work]\ndir = {library}\n")
    for number in range(size):
        words = [chance.choice(WORDS) for _ in range(6)] + ([RARE] if number % 100 == 50 else [])
        title = f"{' '.join(words).capitalize()} {number}"
        authors = [f"{chance.choice('ABCDEFGH')}. {chance.choice(WORDS).capitalize()}son" for _ in range(3)]
        abstract = " ".join(chance.choice(WORDS) for _ in range(150)).capitalize() + "."
        year, arxiv = 2015 + number % 11, f"{1501 + number // 99_999:04}.{number + 1:05}"
        earlier = [f"work-{chance.randrange(number)}" for _ in range(min(number, 2))]
        record = {
            "id": f"work-{number}",
            "kind": "paper",
            "title": title,
            "authors": list(dict.fromkeys(authors)),
            "year": year,
            "arxiv": arxiv,
            "topics": [f"topic-{number % 20}"],
            "worth_reading": 1 + number % 3,
            "worth_reading_by": "editors",
            "status": "unread",
            "summary": "It does one thing.\nIt shows that it does it.",
            "abstract": abstract,
            "builds_on": sorted(set(earlier)),
        }
        (papers / f"work-{number}.yaml").write_text(dump(record), encoding="utf-8")
        folder = library / f"work-{number}"
        folder.mkdir(parents=True)
        info = {
            "papis_id": f"{number:032x}",
            "ref": f"work-{number}",
            "type": "article",
            "title": title,
            "author": " and ".join(authors),
            "author_list": [{"given": name.split()[0], "family": name.split()[1]} for name in authors],
            "year": year,
            "eprint": arxiv,
            "tags": [f"topic-{number % 20}"],
            "abstract": abstract,
        }
        (folder / "info.yaml").write_text(yaml.safe_dump(info, allow_unicode=True), encoding="utf-8")


def _page(report: dict) -> str:
    """The results as Markdown."""
    quiet = report["load_before"] < QUIET
    lines = [
        "# How fast `kb` is, beside papis",
        "",
        "Written by `make bench-kb`, which makes an environment for papis and the collections,",
        "and measures both tools in turns, each command as a process of its own. Medians of seconds: wall clock / CPU",
        f"(user and system), of {report['rounds']} runs, or of as many as begin within {PATIENCE:g} seconds.",
        "",
        f"Measured {report['measured']} in {report['minutes']:g} minutes: kb {report['kb']}, papis {report['papis']} "
        f"(its default index), Python {report['python']}, {report['cores']} cores,",
        f"load {report['load_before']:g} at the start and {report['load_after']:g} at the end.",
        "",
    ]
    if quiet:
        missed = [row for row in report["rows"] if row["bar"] is not None and row["kb_wall"] > row["bar"]]
        lines += [
            "The last column is the bar for `kb`, in seconds of wall clock, and whether it was met: "
            + ("all were." if not missed else f"{len(missed)} of {_barred(report)} were not."),
        ]
    else:
        lines += [
            "The machine did other work at the same time, so the wall clock says little and is not held against the",
            "bars; CPU seconds can be compared between the two tools.",
        ]
    for size in dict.fromkeys(row["records"] for row in report["rows"]):
        lines += [
            "",
            f"## {size:,} records",
            "",
            "| | kb | papis | papis / kb, CPU | bar |",
            "|---|---|---|---|---|",
        ]
        lines += [_line(row, quiet=quiet) for row in report["rows"] if row["records"] == size]
    lines += [
        "",
        "What is compared: `kb list` with six columns and `papis list --all --format` with three; `kb search` and",
        "`papis list` for a word in every hundredth title; `kb show` and `papis export --format yaml` of one record;",
        "`kb add --offline` and `papis add --batch --set`, neither of which asks a server; `kb check` (files, model,",
        "layout, edges, cycles, names) and `papis doctor --all` (its default checks, which look at less). *Index from",
        "nothing* is the first list after the derived index was deleted, and `papis cache reset`.",
        "",
    ]
    return "\n".join(lines)


def _barred(report: dict) -> int:
    return sum(1 for row in report["rows"] if row["bar"] is not None)


def _line(row: dict, *, quiet: bool) -> str:
    """One row of a table."""
    figures = [f"{_seconds(row[f'{tool}_wall'])} / {_seconds(row[f'{tool}_cpu'])}" for tool in ("kb", "papis")]
    bar = "" if row["bar"] is None else f"{row['bar']:g}"
    if bar and quiet:
        bar += ": met" if row["kb_wall"] <= row["bar"] else ": **missed**"
    return f"| {row['task']} | {figures[0]} | {figures[1]} | {row['papis_cpu'] / row['kb_cpu']:.1f} | {bar} |"


def _seconds(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main())
