"""Our site beside Zensical and plain mkdocs-material, at 60, 300 and 1,000 made-up papers.

    python -m benchmarks.site [--sizes 60 300 1000] [--rounds N] [--ours] [--report-only]

`kb build` makes Markdown of the records and the site of that.  The peers are given the same Markdown, so they are
spared the first half; their navigation is ours (with every page in it mkdocs-material takes several times as long), and
they have their search.  Measured of each, as processes of their own and in turns: a build from nothing, one after a
single record got another title (for the peers: after the pages that say so were changed), one after nothing changed;
and what came out.  Through chromium (see site_pages.py): what a first visit weighs, LCP, CLS, TBT, how long the list
takes to filter; and how long `kb serve` takes to show a saved record.

Zensical goes to an environment of its own under build/benchmarks/.  Figures go to benchmarks/results/site.yaml, the
page to docs/site-speed.md.  Exit code 1 if a bar of ours is missed.

--ours measures nothing but our builds, in seconds of CPU and up to 2,600 papers: a minute instead of a quarter of an
hour, and of use on a machine that has other work to do.  The other figures of the page stay as they are.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

import yaml
from mkdocs.utils.yaml import yaml_load

from benchmarks import report
from benchmarks.kb_beside_papis import WORDS
from benchmarks.processes import Spent, peer, spend
from benchmarks.site_pages import chromium, filter_times, visit
from kb_tools.records.layout import dump, dump_topics
from kb_tools.site.writing import read_tree, write_tree

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "benchmarks"
PAGE = ROOT / "docs" / "site-speed.md"
ZENSICAL = "zensical==0.0.73"
SIZES, IN_BROWSER = (60, 300, 1_000), (60, 1_000)
ALONE = {60: 3.0, 300: None, 1_000: 10.0, 2_600: 40.0}  # papers of the builds without peers; seconds of CPU at most
QUIET_MKDOCS = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
PAGES = {"home": "", "list": "papers", "paper": "papers/work-30"}
PATIENCE = 40.0  # seconds after which no further round of a size is begun
TASKS = ("from_nothing", "one_change", "no_change")
OURS = "kb build"
BARS = {
    "seconds from nothing": {60: 3.0, 1_000: 10.0},
    "files written when nothing changed": dict.fromkeys(SIZES, 0),
    "KB of HTML, a paper": dict.fromkeys(IN_BROWSER, 20.0),
    "KB of a first visit, gzipped": {60: 150.0},
    "ms to filter": {300: 50.0},
    "seconds until kb serve shows a saved record": {60: 1.0, 300: 1.0},
}


class Maker(NamedTuple):
    """A generator: its command, where it writes, and what it keeps from one build to the next."""

    name: str
    command: list[str]
    site: Path
    kept: list[Path]


# The collection


def write_collection(root: Path, size: int) -> None:
    """Papers of the shape of ours: a summary of five sentences, up to twelve others cited.

    Each builds on those at a half and at a third of its number, so that what stands before one grows as slowly as it
    does in our own records: eleven papers of 60, thirty of 1,000.
    """
    chance = random.Random(size)
    (root / "papers").mkdir(parents=True)
    topics: dict[str, Any] = {
        f"topic-{n}": {"title": f"Topic {n}", "summary": "What the papers of it share."} for n in range(20)
    }
    (root / "papers" / "topics.yaml").write_text(dump_topics(topics), encoding="utf-8")
    shutil.copy(ROOT / "mkdocs.yml", root)
    shutil.copytree(ROOT / "site", root / "site")

    def sentence(length: int) -> str:
        return " ".join(chance.choices(WORDS, k=length)).capitalize() + "."

    for number in range(size):
        earlier = range(max(0, number - 60), number)
        record: dict[str, Any] = {
            "id": f"work-{number}",
            "kind": "paper",
            "title": sentence(8)[:-1],
            "authors": list(dict.fromkeys(f"{chance.choice('ABCDEFGH')}. {sentence(1)[:-1]}son" for _ in range(4))),
            "year": 2005 + 20 * number // size,
            "venue": "Proceedings",
            "arxiv": f"2001.{number + 1:05}",
            "aliases": [f"W{number}"],
            "topics": [f"topic-{number % 20}"],
            "worth_reading": 1 + number % 3,
            "worth_reading_by": "list 001",
            "why": sentence(12),
            "summary": "\n".join(sentence(18) for _ in range(5)),
            "builds_on": [f"work-{n}" for n in sorted({number // 2, number // 3} - {number})],
            "cites": [f"work-{n}" for n in sorted(chance.sample(earlier, min(12, len(earlier))))],
            "sources": [{"seed": "001", "section": "All", "line": number + 1}],
        }
        (root / "papers" / f"work-{number}.yaml").write_text(dump(record), encoding="utf-8")


def retitle(root: Path, title: str) -> None:
    """Save one record with another title."""
    path = root / "papers" / "work-30.yaml"
    record = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(dump({**record, "title": title}), encoding="utf-8")


# The generators


def makers(root: Path) -> tuple[Maker, list[Maker]]:
    """Ours, and the peers, which find their Markdown in a folder of their own."""
    own = str(Path(sys.executable).with_name("kb"))
    ours = Maker(OURS, [own, "-C", str(root), "build"], root / "build" / "site", [root / "build"])
    settings = yaml_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    peers = []
    for name, command in (
        ("Zensical", [str(peer(ZENSICAL, WORK / ZENSICAL)), "build", "-f", "mkdocs.yml"]),
        ("mkdocs-material", [sys.executable, "-m", "mkdocs", "build", "-q", "-f", "mkdocs.yml"]),
    ):
        folder = root.with_name(f"{root.name}-{name.lower()}")
        folder.mkdir()
        config = {
            "site_name": settings["site_name"],
            "docs_dir": "docs",
            "site_dir": "site",
            "theme": {"name": "material", "font": False},  # its fonts would come from another server
            "plugins": ["search"],
            "markdown_extensions": settings["markdown_extensions"],
            "nav": settings["nav"],
            "not_in_nav": settings["not_in_nav"],
        }
        (folder / "mkdocs.yml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        peers.append(Maker(name, command, folder / "site", [folder / "site", folder / ".cache"]))
    return ours, peers


# What is measured


def builds(root: Path, size: int, rounds: int) -> list[dict[str, Any]]:
    """A row for each generator: medians of its three builds, and what came out."""
    ours, peers = makers(root)
    spent: dict[tuple[str, str], list[Spent]] = {(m.name, t): [] for m in (ours, *peers) for t in TASKS}
    written = 0
    begun = time.monotonic()
    for number in range(rounds):
        if number and time.monotonic() - begun > PATIENCE:
            break
        for maker in (ours, *peers):
            for path in maker.kept:
                shutil.rmtree(path, ignore_errors=True)
        for task in TASKS:
            if task == "one_change":
                retitle(root, f"Another title {number}")
            before = _stamps(ours.site)
            spent[ours.name, task].append(spend(ours.command, folder=root))
            if task == "no_change":
                written = max(written, sum(before.get(path) != stamp for path, stamp in _stamps(ours.site).items()))
            for maker in peers:
                folder = maker.site.parent
                write_tree(folder / "docs", dict(read_tree(root / "build" / "docs")))
                spent[maker.name, task].append(spend(maker.command, folder=folder, environment=QUIET_MKDOCS))
    rows = []
    for maker in (ours, *peers):
        row: dict[str, Any] = {"papers": size, "generator": maker.name, "runs": len(spent[maker.name, TASKS[0]])}
        for task in TASKS:
            row[task] = round(statistics.median(one.wall for one in spent[maker.name, task]), 2)
            row[f"{task}_cpu"] = round(statistics.median(one.cpu for one in spent[maker.name, task]), 2)
        files = [path.stat().st_size for path in maker.site.rglob("*") if path.is_file()]
        row |= {"megabytes": round(sum(files) / 1e6, 1), "files": len(files)}
        if maker is ours:
            row["written_when_nothing_changed"] = written
        rows.append(row)
        print("  ", row, file=sys.stderr)
    return rows


def _stamps(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def serving(root: Path, rounds: int) -> float:
    """Median of the seconds from saving a record until `kb serve` answers with its page as it now is."""
    own = str(Path(sys.executable).with_name("kb"))
    command = [own, "-C", str(root), "serve", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        address = process.stderr.readline().split()[0]
        took = []
        for number in range(rounds):
            title = f"Saved title {number}"
            start = time.perf_counter()
            retitle(root, title)
            while title not in _text(f"{address}papers/work-30/"):
                if time.perf_counter() - start > 60:
                    raise SystemExit("kb serve did not show a saved record within a minute")
                time.sleep(0.02)
            took.append(time.perf_counter() - start)
            time.sleep(0.5)  # the rest of that build ends
        return round(statistics.median(took), 2)
    finally:
        process.terminate()
        process.wait()


def _text(address: str) -> str:
    with urlopen(address) as answer:
        return answer.read().decode()


def in_browser(root: Path, size: int, rounds: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """A row for each generator and page, and how long the list takes to filter."""
    ours, peers = makers_made(root)
    rows = []
    with chromium() as browser:
        for page, place in PAGES.items() if size in IN_BROWSER else ():
            for name, site in (ours, *peers):
                rows.append({"papers": size, "generator": name, "page": page, **visit(browser, site, place, rounds)})
                print("  ", rows[-1], file=sys.stderr)
        return rows, {"papers": size, **filter_times(browser, ours[1])}


def makers_made(root: Path) -> tuple[tuple[str, Path], list[tuple[str, Path]]]:
    """Names and sites of what `builds` has built."""
    peers = [(name, root.with_name(f"{root.name}-{name.lower()}") / "site") for name in ("Zensical", "mkdocs-material")]
    return (OURS, root / "build" / "site"), peers


def alone(folder: Path, rounds: int) -> dict[str, Any]:
    """Seconds of CPU of our three builds, the least of each, of one collection after the other."""
    rows = []
    for size, bar in ALONE.items():
        root = folder / str(size)
        write_collection(root, size)
        ours = Maker(OURS, [sys.executable, "-m", "kb_tools", "-C", str(root), "build"], root, [root / "build"])
        took: dict[str, list[float]] = {task: [] for task in TASKS}
        for number in range(rounds):
            for path in ours.kept:
                shutil.rmtree(path, ignore_errors=True)
            for task in TASKS:
                if task == "one_change":
                    retitle(root, f"Another title {number}")
                took[task].append(spend(ours.command, folder=ROOT).cpu)
        rows.append({"papers": size, **{task: round(min(took[task]), 2) for task in TASKS}, "at_most": bar})
        print("  ", rows[-1], file=sys.stderr)
    load = round(os.getloadavg()[0], 1)
    return {**report.provenance(), "rounds": rounds, "load_after": load, "builds": rows}


# The report


def judged(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Each bar with our figure."""
    own = {row["papers"]: row for row in results["builds"] if row["generator"] == OURS}
    pages = {(row["papers"], row["page"]): row for row in results["pages"] if row["generator"] == OURS}
    figures: dict[str, Callable[[int], float]] = {
        "seconds from nothing": lambda n: own[n]["from_nothing"],
        "files written when nothing changed": lambda n: own[n]["written_when_nothing_changed"],
        "KB of HTML, a paper": lambda n: pages[n, "paper"]["html_kb"],
        "KB of a first visit, gzipped": lambda n: pages[n, "home"]["first_visit_kb_gzipped"],
        "ms to filter": lambda n: next(row["median_ms"] for row in results["filter"] if row["papers"] == n),
        "seconds until kb serve shows a saved record": lambda n: own[n]["shown_by_kb_serve"],
    }
    return [
        {"bar": name, "papers": size, "at_most": bar, "figure": value, "holds": value <= bar}
        for name, bars in BARS.items()
        for size, bar in bars.items()
        if size in own
        for value in [figures[name](size)]
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.site", description="Our site beside two generators")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), metavar="N")
    parser.add_argument("--rounds", type=int, default=3, help="as far as 40 s let them")
    parser.add_argument("--report-only", action="store_true", help="write the page from the figures of the last run")
    parser.add_argument("--ours", action="store_true", help="only our builds, in seconds of CPU")
    options = parser.parse_args()
    if options.ours:
        results = yaml.safe_load((report.RESULTS / "site.yaml").read_text(encoding="utf-8"))
        WORK.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="site-", dir=WORK) as folder:
            results["alone"] = alone(Path(folder), options.rounds)
        report.write("site", results)
        PAGE.write_text(written(results), encoding="utf-8")
        return int(any(row["at_most"] and row["from_nothing"] > row["at_most"] for row in results["alone"]["builds"]))
    if options.report_only:
        results = yaml.safe_load((report.RESULTS / "site.yaml").read_text(encoding="utf-8"))
        PAGE.write_text(written(results), encoding="utf-8")
        return 0
    if min(options.sizes) < IN_BROWSER[0]:
        parser.error(f"--sizes: at least {IN_BROWSER[0]}")
    results: dict[str, Any] = {
        "what": "our site beside Zensical and plain mkdocs-material on the same Markdown; seconds, wall clock and CPU",
        **report.provenance("mkdocs", "mkdocs-material", "playwright"),
    }
    results["versions"]["zensical"] = ZENSICAL.partition("==")[2]
    results |= {"builds": [], "pages": [], "filter": []}
    kept = yaml.safe_load((report.RESULTS / "site.yaml").read_text(encoding="utf-8"))
    results |= {"alone": kept["alone"]} if "alone" in kept else {}
    WORK.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="site-", dir=WORK) as folder:
        for size in options.sizes:
            print(f"{size} papers", file=sys.stderr)
            root = Path(folder) / str(size)
            write_collection(root, size)
            rows = builds(root, size, options.rounds)
            rows[0]["shown_by_kb_serve"] = serving(root, options.rounds)
            pages, filtered = in_browser(root, size, options.rounds)
            results["builds"] += rows
            results["pages"] += pages
            results["filter"].append(filtered)
    results["load_after"] = round(os.getloadavg()[0], 1)
    results["bars"] = judged(results)
    path = report.write("site", results)
    PAGE.write_text(written(results), encoding="utf-8")
    print(written(results))
    missed = [bar for bar in results["bars"] if not bar["holds"]]
    for bar in missed:
        print(f"missed: {bar['bar']} at {bar['papers']} papers: {bar['figure']}, bar {bar['at_most']}", file=sys.stderr)
    print(f"kept in {path.relative_to(ROOT)} and {PAGE.relative_to(ROOT)}", file=sys.stderr)
    return 1 if missed else 0


def written(results: dict[str, Any]) -> str:
    """The page."""
    v = results["versions"]
    built = [
        (
            f"{r['papers']:,}", r["generator"], *(f"{r[t]:.2f} / {r[f'{t}_cpu']:.2f}" for t in TASKS),
            f"{r['megabytes']:.1f} MB, {r['files']:,} files",
            f"{r['shown_by_kb_serve']:.2f}" if "shown_by_kb_serve" in r else "",
        )
        for r in results["builds"]
    ]  # fmt: skip
    visited = [
        (
            f"{r['papers']:,}", r["page"], r["generator"], f"{r['html_kb']:.1f}", f"{r['first_visit_kb_gzipped']:.1f}",
            r["requests"], f"{r['lcp_ms']:,}", f"{r['cls']:.3f}", f"{r['tbt_ms']:,}",
        )
        for r in results["pages"]
    ]  # fmt: skip
    filtered = [(f"{r['papers']:,}", f"{r['median_ms']:.1f}", f"{r['most_ms']:.1f}") for r in results["filter"]]
    bars = [
        (b["bar"], f"{b['papers']:,}", f"{b['at_most']:g}", f"{b['figure']:g}", "holds" if b["holds"] else "missed")
        for b in results["bars"]
    ]
    return "\n".join(
        [
            "# How fast the site is, beside two generators",
            "",
            "Written by `python -m benchmarks.site`, which makes the collections, an environment for Zensical, and the",
            "sites. `kb build` makes Markdown of records and the site of that; the others are given the same Markdown",
            "and the same navigation, and build their search. One change is another title of one record.",
            "",
            f"Measured {results['recorded']} on {results['machine']}, load {results['load_after']} at the end: Python "
            f"{v['python']}, mkdocs {v['mkdocs']}, mkdocs-material {v['mkdocs-material']}, Zensical {v['zensical']}.",
            "",
            "## Builds",
            "",
            "Medians of seconds, wall clock / CPU, each build a process of its own. *serve*: from saving a record",
            "until `kb serve`, which was running, answers with its page as it now is.",
            "",
            *_table(("Papers", "", "from nothing", "one change", "no change", "what came out", "serve"), built),
            "",
            "## Pages",
            "",
            "KB of HTML as it is; KB of all that a first visit brings, gzipped, without pictures of samples; LCP, CLS",
            "and TBT with the network at 1.6 Mbit/s and 150 ms and the processor at a quarter, in milliseconds. The",
            "made-up papers have no code; equations beside their code make some of our own pages two or three times as",
            "large (see their sizes under build/site/papers/).",
            "",
            *_table(("Papers", "Page", "", "HTML", "first visit", "requests", "LCP", "CLS", "TBT"), visited),
            "",
            "## Filter of the list",
            "",
            "Milliseconds from a key press until the list is laid out again, as far as the screen shows it: what comes",
            "back further down follows in the next frames.",
            "",
            *_table(("Papers", "median", "most"), filtered),
            "",
            "## Bars",
            "",
            *_table(("", "Papers", "at most", "measured", ""), bars),
            "",
            *(_alone(results["alone"]) if "alone" in results else []),
        ]
    )


def _alone(results: dict[str, Any]) -> list[str]:
    """The part of the page on our builds without peers."""
    built = [
        (f"{r['papers']:,}", *(f"{r[task]:.2f}" for task in TASKS), f"{r['at_most']:g}" if r["at_most"] else "")
        for r in results["builds"]
    ]
    return [
        "## `kb build` alone",
        "",
        f"Measured {results['recorded']} on {results['machine']}, shared with other work (load "
        f"{results['load_after']} at the end), by",
        "`python -m benchmarks.site --ours`: seconds of CPU, user and system, which grow too when a machine is loaded;",
        f"the least of {results['rounds']}. The bar is for a build from nothing.",
        "",
        *_table(("Papers", "from nothing", "one change", "no change", "bar"), built),
        "",
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(str(cell) for cell in line)} |" for line in lines]


if __name__ == "__main__":
    sys.exit(main())
