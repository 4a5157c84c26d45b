"""Every command that writes, on a real file system that is full or read-only: one message, exit code 6, nothing lost.

The file system is a small one in memory, mounted in a namespace of its own, which any user may have and which is gone
with its process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

# Copies a collection to a new file system, spoils that, runs each command there, and prints what came of it.
DRIVER = """
import contextlib, io, json, os, pathlib, shutil, subprocess, sys, traceback
source, place, how, commands = sys.argv[1:4] + [json.loads(sys.argv[4])]
place, build = pathlib.Path(place), subprocess.check_call
build(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place])
shutil.copytree(source, place, dirs_exist_ok=True)
build([sys.executable, "-m", "kb_tools", "-C", place, "list"], stdout=subprocess.DEVNULL)
from kb_tools.cli import main
if how == "full":
    with contextlib.suppress(OSError), (place / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))
else:
    build(["mount", "-o", "remount,ro", place])

def held():
    files = (p for p in sorted(place.rglob("*")) if p.is_file() and not {".kb", "build"} & set(p.parts))
    return {str(p.relative_to(place)): p.read_bytes() for p in files if p.name != "filler"}

before, found = held(), []
for command in commands:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([word.replace("PLACE", str(place)) for word in command])
        except BaseException:
            code = traceback.format_exc()
    now = held()
    found.append([code, err.getvalue(), now == before])
    before = now
print(json.dumps(found))
"""
ALONE = ("unshare", "--user", "--map-root-user", "--mount")  # a namespace in which anybody may mount
ON = ("-C", "PLACE")
LEAF = "rm of what nothing points at"  # no file is to be written for that
COMMANDS = {  # those that make, change or remove a file, each in a way that would change one
    "init": ("init", "PLACE/new"),
    "add": (*ON, "add", "2106.09999", "--offline"),
    "import": (*ON, "import", "REFS"),
    "refresh": (*ON, "refresh", "ddpm", "--only", "fields", "--apply"),
    "cite": (*ON, "cite", "ddpm", "--apply"),
    "set": (*ON, "set", "ddim", "year=2021"),
    "tag": (*ON, "tag", "ddim", "+speed"),
    "topics": (*ON, "topics", "add", "mine", "Mine"),
    "mv": (*ON, "mv", "ddpm", "other"),
    "rm": (*ON, "rm", "ddpm", "--yes"),  # which changes ddim, as that builds on it
    "dedupe": (*ON, "dedupe", "ddpm", "ddim", "--yes"),
    "edit": (*ON, "edit", "ddim"),
    "notes": (*ON, "notes", "ddim", "--add", "A thought."),
    "read": (*ON, "read", "ddim"),
    "status": (*ON, "status", "ddim", "reading"),
    "progress import": (*ON, "progress", "import", "MARKS"),
    "progress export": (*ON, "progress", "export", "PLACE/marks.json"),
    "export": (*ON, "export", "--format", "bibtex", "-o", "PLACE/refs.bib"),
    "fmt": (*ON, "fmt"),
    "check --fix": (*ON, "check", "--fix"),
    "new-method": (*ON, "new-method", "ddim"),
    "build": (*ON, "build"),
    "build --out": (*ON, "build", "--out", "PLACE/elsewhere"),
    "serve": (*ON, "serve", "--port", "0"),
    LEAF: (*ON, "rm", "ddim", "--yes"),
}


class Done(NamedTuple):
    """What came of a command: its exit code or traceback, what it said, and whether every file was as before."""

    code: int | str
    said: str
    same: bool


@pytest.fixture
def outcomes(
    make: Callable, record: Callable, servers: Mapping[str, Any], web: Any, tmp_path: Path
) -> Callable[[str], Mapping[str, Done]]:
    """outcomes(how) runs every command on a file system that is "full" or "read-only"."""

    def run(how: str) -> Mapping[str, Done]:
        collection = make(record("ddpm", arxiv="2006.11239"), record("ddim", builds_on=["ddpm"]))
        (collection.root / "mkdocs.yml").unlink()
        (collection.root / "kb.yaml").write_text('title: "Mine"\n')
        (collection.root / "implementations" / "demos").mkdir()
        untidy = collection.papers / "ddim.yaml"
        untidy.write_text(untidy.read_text().replace("year: 2020", "year:   2020"))
        (tmp_path / "refs.bib").write_text("@article{x, title={A new one}, author={Ada Lovelace}, year={2020}}")
        mark = {"s": "read", "t": "2026-01-01T00:00:00Z"}
        (tmp_path / "marks.json").write_text(json.dumps({"schema_version": 1, "marks": {"ddim": mark}}))
        servers["arxiv"].answers = [web.feed(web.entry("2006.11239", version=3))]
        cited = {"citedPaper": {"paperId": "x", "title": "The paper called ddim", "externalIds": {}}}
        servers["s2"].answers = [web.as_json({"offset": 0, "data": [cited]})]
        place = tmp_path / "place"
        place.mkdir()
        skip_without_mounts(place)
        names = {"REFS": str(tmp_path / "refs.bib"), "MARKS": str(tmp_path / "marks.json")}
        commands = [[names.get(word, word) for word in command] for command in COMMANDS.values()]
        done = subprocess.run(
            [*ALONE, sys.executable, "-c", DRIVER, str(collection.root), str(place), how, json.dumps(commands)],
            env=os.environ | {"EDITOR": "sed -i s/2020/2021/"},
            capture_output=True, text=True, check=False, timeout=200,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found = [Done(*one) for one in json.loads(done.stdout.splitlines()[-1])]
        return dict(zip(COMMANDS, found, strict=True))

    return run


def skip_without_mounts(place: Path) -> None:
    """Skip the test, and say why, where no file system can be mounted."""
    try:
        tried = [*ALONE, "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
        done = subprocess.run(tried, capture_output=True, text=True, check=False, timeout=20)
    except OSError as error:
        pytest.skip(f"no file system to fill: {error}")
    if done.returncode:
        pytest.skip(f"no file system to fill: {done.stderr.strip()}")


@pytest.mark.parametrize(
    ("how", "reason"), [("full", "No space left on device"), ("read-only", "Read-only file system")]
)
def test_a_command_that_cannot_write_says_so_in_one_line_and_changes_nothing(outcomes, measured, how, reason):
    found = outcomes(how)
    leaf = found.pop(LEAF)
    for name, done in found.items():
        assert done.code == 6, (name, done)
        said = [line for line in done.said.splitlines() if line.startswith("kb:") and reason in line]
        assert len(said) == 1 and "/place" in said[0], (name, done.said)
        assert done.same, name
    if how == "full":
        assert (leaf.code, leaf.same) == (0, False), "a record that nothing points at can go, and makes room"
    case = "full-file-system" if how == "full" else "read-only-mount"
    measured(case, commands=len(found), exit_code=6, files_changed=0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", [("list",), ("export", "--format", "json"), ("--version",), ("--help",)])
def test_a_full_disk_behind_stdout_is_no_crash(make, record, arguments):
    collection = make(*(record(f"paper-{number}") for number in range(50)))
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "kb_tools", *arguments],
            cwd=collection.root, env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])},
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 6
    assert done.stderr.startswith("kb: the output: cannot be ")
    assert "No space left on device" in done.stderr and "Traceback" not in done.stderr


def test_a_device_that_takes_nothing_is_named(kb, make, record):
    outcome = kb(make(record("ddpm")), "export", "--format", "bibtex", "-o", "/dev/full")
    assert (outcome.code, outcome.err) == (6, "kb: /dev/full: cannot be written: No space left on device\n")
