"""How long large imports and collections take: seconds of CPU of processes of their own."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from textwrap import fill

from benchmarks.processes import spend
from benchmarks.wild.bibtex import written
from benchmarks.wild.truth import Inventor

SIZES = (1_000, 3_500, 7_000)
PAPERS = 2_600
IMPORT_BAR, BUILD_BAR, LIST_BAR = 20.0, 40.0, 0.15


def seconds(arguments: list[str], folder: Path) -> float:
    """CPU time, user and system, of one command of kb."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "OMP_NUM_THREADS": "1"}
    return spend([sys.executable, "-m", "kb_tools", *arguments], folder=folder, environment=environment).cpu


def bibliography(size: int) -> str:
    """Entries with accents, an abstract and an arXiv id."""
    inventor = Inventor(f"times {size}")
    abstract = "We show that 5\\% of {all} rivers reach the sea, and that $O(n^2)$ of them do so twice. " * 8
    texts = []
    for number in range(size):
        truth = inventor.work(accents=0.2, particles=0.1)
        people = " and ".join(one.turned for one in truth.people)
        fields = {"title": f"{{{truth.title}}}", "author": people, "year": str(truth.year), "abstract": abstract}
        texts.append(written("article", f"key{number}", fields | {"eprint": truth.arxiv or "", "journal": "CoRR"}))
    return "\n".join(texts)


def reading_list(size: int) -> str:
    """Items under headings."""
    inventor = Inventor(f"list {size}")
    lines = ["# Works", ""]
    for number in range(size):
        truth = inventor.work()
        if number % 50 == 0:
            lines += ["", f"## Part {number // 50}", ""]
        lines.append(
            f"- **{truth.title}** [[paper](https://arxiv.org/abs/{truth.arxiv})] "
            f"[[code](https://github.com/e/{number})]"
        )
    return "\n".join(lines) + "\n"


def section(heading: str) -> str:
    """The part of the page that says so, measured now."""
    forms: dict[str, tuple[str, Callable[[int], str]]] = {
        "BibTeX": ("refs.bib", bibliography),
        "a list in Markdown": ("README.md", reading_list),
    }
    rows = ["| Works | " + " | ".join(forms) + " |", "| ---: |" + " ---: |" * len(forms)]
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            cells = []
            for name, make in forms.values():
                root = Path(folder) / f"{name}-{size}"
                seconds(["init", str(root)], Path(folder))
                file = Path(folder) / name
                file.write_text(make(size), encoding="utf-8")
                cells.append(f"{seconds(['-C', str(root), 'import', str(file), '--json'], Path(folder)):.1f} s")
            rows.append(f"| {size:,} | {' | '.join(cells)} |")
        large = Path(folder) / f"refs.bib-{SIZES[-1]}"
        listed = min(seconds(["-C", str(large), "list"], Path(folder)) for _ in range(4))
    built, other = _built()
    return "\n\n".join(
        [
            heading,
            fill(
                "Seconds of CPU, user and system, of one process on two shared cores; the bar is "
                f"{IMPORT_BAR:.0f} s for {SIZES[-1]:,} works. Each work is parsed, matched with all others, "
                f"written as a file "
                "of its own, synced, and read again.",
                118,
            ),
            "\n".join(rows),
            fill(
                f"`kb build` of {PAPERS:,} papers from nothing: {built:.1f} s of CPU (bar {BUILD_BAR:.0f} "
                f"s). `kb list` of "
                f"that collection, its index at hand: {other * 1000:.0f} ms (bar {LIST_BAR * 1000:.0f} ms); of the "
                f"{SIZES[-1]:,} works imported above: {listed * 1000:.0f} ms.",
                118,
            ),
        ]
    )


def _built() -> tuple[float, float]:
    from benchmarks.site import write_collection

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "papers"
        root.mkdir()
        write_collection(root, PAPERS)
        built = seconds(["-C", str(root), "build"], root)
        return built, min(seconds(["-C", str(root), "list"], root) for _ in range(4))
