"""Run the tests that nothing is lost and nothing is let in, and write down what they measured: docs/never-lost.md.

    python benchmarks/kb_never_lost.py               # three to ten minutes
    python benchmarks/kb_never_lost.py --report-only # from the figures of the last run

The tests leave their figures in build/reports/never-lost.json; a test that fails ends this with its exit code.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from textwrap import fill

PROJECT = Path(__file__).resolve().parents[1]
TESTS = PROJECT / "tests" / "kb_tools" / "never_lost"
FIGURES = PROJECT / "build" / "reports" / "never-lost.json"
PAGE = PROJECT / "docs" / "never-lost.md"

WRITTEN = {
    "disk-full-on-sync": "disk full when the file is synced",
    "disk-failing-on-sync": "disk failing when the file is synced",
    "disk-full-on-create": "disk full when the file is created",
    "read-only-file-system": "read-only file system",
    "read-only-folder": "folder that may not be written to",
    "write-cut-off-by-the-kernel": "write cut off by the kernel after 600 bytes",
    "full-file-system": "a file system that is full (each of the commands that write)",
    "read-only-mount": "one that is mounted read-only (the same)",
    "one-of-several-not-valid": "three records marked at once, one of them not valid",
}
LET_IN = {
    "control-character": "control character in a title",
    "escaped-control-character": r"escaped control character (`\x1b[31m`)",
    "bidi-override": "bidirectional override",
    "zero-width-space": "zero-width space",
    "nul-byte": "NUL byte",
    "byte-order-mark": "byte order mark",
    "lone-carriage-return": "lone carriage returns",
    "not-utf-8": "Latin-1",
    "utf-16": "UTF-16",
    "title-of-1-mb": "title of 1 MB",
    "deep-nesting": "50,000 open brackets",
    "alias-bomb": "alias bomb (9 to the 12th)",
    "tag": "tag that asks for `os.system`",
    "duplicate-key": "key that stands twice",
    "merge-key": "merge key",
    "second-document": "second document in the file",
    "empty": "empty file",
    "path-in-the-id-of-a-file": "`id: ../bad` in a file",
    "link-out-of-the-collection": "symbolic links out of the collection, a file and a folder",
    "path-in-an-id": "imported ids `../x`, `..`, `/etc/passwd`, `a/b`, with NUL, `-rf`, `é`",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--report-only", action="store_true", help="write the page from the figures of the last run")
    if not parser.parse_args().report_only:
        FIGURES.unlink(missing_ok=True)
        done = subprocess.run([sys.executable, "-m", "pytest", "-q", str(TESTS)], cwd=PROJECT, check=False)
        if done.returncode:
            return done.returncode
    cases = json.loads(FIGURES.read_text(encoding="utf-8"))["cases"]
    PAGE.write_text(_page(cases), encoding="utf-8")
    print(f"{PAGE.relative_to(PROJECT)}: {len(cases)} cases")
    return 0


def _page(cases: dict[str, dict]) -> str:
    at_once, killed = cases["writers-at-once"], cases["killed-writers"]
    unnamed = set(cases) - {*WRITTEN, *LET_IN, "writers-at-once", "killed-writers", "crlf"}
    if unnamed:
        raise SystemExit(f"cases that this page does not name: {', '.join(sorted(unnamed))}")
    parts = [
        "# Never lost, never let in",
        "Written by `python benchmarks/kb_never_lost.py`, which runs `tests/kb_tools/never_lost/` and keeps what it "
        f"measured. Last run: {date.fromtimestamp(FIGURES.stat().st_mtime).isoformat()}.",
        "How a record is written: prepared and validated in memory; under the collection's lock (the kernel's: it dies "
        "with its process) put into a temporary file in the same folder, synced, read again from disk and parsed; "
        "compared with the bytes that the change was made from; then put in place with one rename, and the folder "
        "synced.",
        "## Many writers",
        f"{at_once['processes']} processes added {at_once['records_each']} records each at the same time: "
        f"{at_once['valid']} valid records afterwards, {at_once['lost']} lost. The lock was not free within its ten "
        f"seconds {at_once['lock_waits_over']} times (exit code 6, nothing written, and the command was given again).",
        "## Killed writers",
        f"{killed['writes']} writes, each ended by `kill -9` at a random moment: {killed['old']} times the old file "
        f"stood there whole, {killed['new']} times the new one, {killed['broken']} times anything else. "
        f"{killed['unfinished']} times a temporary file was left behind, which no command takes for a record and the "
        "next writer removes.",
        "## Disks that take no more",
        _table(
            ("What happens", "Exit code", "Files changed"),
            [
                (words, cases[case]["exit_code"], cases[case]["files_changed"])
                for case, words in WRITTEN.items()
                if case in cases  # not every machine lets its users mount
            ],
        ),
        "## What is not let in",
        "Each file was put into a collection beside a sound one. `kb list` showed the sound one, named the other and "
        "ended with exit code 5; `show`, `status` and `fmt` refused it; `check` reported it, and nothing else; the "
        "file stayed as it was, byte for byte. The last rows are names instead of files.",
        _table(
            ("What", "Refused", "Found by check as", "Files changed"),
            [_let_in(words, cases[case]) for case, words in LET_IN.items()],
        ),
        "Windows line ends are read, and kept: marking a paper in such a file changed "
        f"{cases['crlf']['other_bytes_changed']} other bytes.",
        "No shell, no `eval`, no pickle: commands run programs (the editor) from a list of words, records are read by "
        "a parser of plain data, and the caches are SQLite and JSON.",
        "Elsewhere in the tests: no text and no bytes crash the reader, records come back from what is written, no "
        "comment is lost, and changing one field changes nothing else (Hypothesis, in `tests/kb_tools/records/`); "
        "arXiv's ways of saying no (`tests/kb_tools/services/`); pipes, names of files that cannot be shown, and "
        "whatever else a command cannot mean (`tests/kb_tools/cli/test_ill_input.py`).",
    ]
    return "\n\n".join(part if part.startswith(("#", "|")) else fill(part, 118) for part in parts) + "\n"


def _let_in(words: str, facts: dict) -> tuple:
    changed = next(value for name, value in facts.items() if name.startswith("files_"))
    return words, "yes" if facts["refused"] else "no", ", ".join(facts.get("codes", [])), changed


def _table(header: tuple[str, ...], rows: list[tuple]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
