"""Prove the project on every promised Python of this machine: `make pythons`.  `--fits` says whether this one is.

For each: a copy of the working tree in a folder with a space and an accent in its name, an environment made by the
Makefile from constraints.txt, `kb check` and `kb build` under LC_ALL=C, and the fast tests.  All of it lies under
build/pythons/<version>/; an environment is kept until what pyproject.toml asks for, or constraints.txt, changes.

Standard library only: it runs before anything is installed.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TREE = "l'été à"
KEPT = {".venv", "build", ".kb", "diffusion_kb.egg-info"}  # of a copy: what is made there, and of no other use

Version = tuple[int, int, int]


def project(root: Path = ROOT) -> dict[str, Any]:
    """What pyproject.toml says of the project at `root`, and not of its tools."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def made_from(root: Path) -> str:
    """A digest of all that an environment of the project at `root` is made from."""
    pins = (root / "constraints.txt").read_text(encoding="utf-8")
    return hashlib.sha256(json.dumps([project(root), pins]).encode()).hexdigest()


def promised(version: Version, specifier: str) -> bool:
    """Whether (3, 11, 0) and the like satisfies a specifier such as ">=3.11,!=3.14.1,<3.15"."""
    for clause in specifier.split(","):
        parts = re.fullmatch(r"\s*(>=|<|!=)\s*(\d+)\.(\d+)(?:\.(\d+))?\s*", clause)
        if not parts:
            raise ValueError(
                f"requires-python holds {clause.strip()!r}: >=, < and != with plain versions are understood"
            )
        bound = (int(parts[2]), int(parts[3]), int(parts[4] or 0))
        if not {">=": version >= bound, "<": version < bound, "!=": version != bound}[parts[1]]:
            return False
    return True


def asked(python: Path) -> tuple[Version, Path] | None:
    """An interpreter's version and where it really lies; nothing if it does not start, or is no CPython released."""
    question = (
        "import os, sys; v = sys.version_info; print(sys.implementation.name == 'cpython' and v[3] == 'final', "
        "v[0], v[1], v[2], os.path.realpath(sys.executable))"
    )
    try:
        done = subprocess.run([python, "-c", question], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    told = re.fullmatch(r"True (\d+) (\d+) (\d+) (.+)\n", done.stdout)
    return ((int(told[1]), int(told[2]), int(told[3])), Path(told[4])) if told else None


def found(system: Path, managed: Path, path: str) -> dict[Version, Path]:
    """The Pythons from 3.11 on, promised or not, one per version: all that lie in the folder of the system, and of what
    a version manager keeps in folders of its own and of what is on PATH the newest patch of each minor version.
    """

    def among(folders: Iterable[Path]) -> dict[Version, Path]:
        files = {
            file.resolve()
            for folder in folders if folder.is_dir()
            for file in folder.iterdir() if re.fullmatch(r"python3(\.\d+)?", file.name)
        }  # fmt: skip
        return {known[0]: known[1] for file in sorted(files) if (known := asked(file)) and known[0] >= (3, 11, 0)}

    elsewhere = [Path(folder) for folder in path.split(os.pathsep) if folder and Path(folder) != system]
    others = among([*managed.glob("*/bin"), *elsewhere])
    newest = {version[:2]: version for version in sorted(others)}
    return dict(sorted(({version: others[version] for version in newest.values()} | among([system])).items()))


def copied(source: Path, target: Path) -> None:
    """Make `target` hold the files of the working tree at `source`, ignored ones left out; write only what differs."""
    listing = ["git", "-C", str(source), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, capture_output=True, check=True).stdout.decode("utf-8", "surrogateescape")
    wanted = {name for name in names.split("\0") if name and (source / name).is_file()}
    target.mkdir(parents=True, exist_ok=True)
    for folder, folders, files in os.walk(target):
        here = Path(folder)
        if here == target:
            folders[:] = [name for name in folders if name not in KEPT]
        for file in files:
            if (here / file).relative_to(target).as_posix() not in wanted:
                (here / file).unlink()
    for name in wanted:
        data, file = (source / name).read_bytes(), target / name
        if not file.is_file() or file.read_bytes() != data:
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, file)


class Failure(Exception):
    """A step that failed; its words say which."""


class Proof:
    """What is run with one Python, in a folder of its own; `said` collects what came of it."""

    def __init__(self, version: Version, python: Path, folder: Path, pips: Sequence[Path]) -> None:
        self.version, self.python, self.pips = version, python, pips
        self.tree, self.log = folder / TREE, folder / "log.txt"
        self.bin = self.tree / ".venv" / "bin"
        self.said: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)
        self.log.write_bytes(b"")

    def run(self, what: str, *command: str | Path, seconds: int = 1800, **surroundings: str) -> str:
        """Run a command in the tree, its output into the log.  Returns what it printed; Failure if it failed."""
        inherited = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHONPATH")}
        print(f"{name(self.version)}: {what} ...", flush=True)
        started = time.monotonic()
        with self.log.open("r+b") as log:
            log.seek(0, os.SEEK_END)
            log.write(f"\n$ {' '.join(map(str, command))}\n".encode("utf-8", "surrogateescape"))
            log.flush()
            begin = log.tell()
            try:
                code = subprocess.run(
                    command, cwd=self.tree, env=inherited | surroundings, stdin=subprocess.DEVNULL, stdout=log,
                    stderr=subprocess.STDOUT, timeout=seconds, check=False,
                ).returncode  # fmt: skip
            except subprocess.TimeoutExpired:
                raise Failure(f"{what}: not done after {seconds} s") from None
            except OSError as error:
                raise Failure(f"{what}: {error}") from None
            log.seek(begin)
            printed = log.read().decode("utf-8", "replace")
        if code:
            raise Failure(f"{what}: exit code {code}")
        self.said.append(f"{what} {time.monotonic() - started:.0f} s")
        return printed

    def end_of_log(self) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-40:])

    def environment(self) -> None:
        """An empty environment; where Python comes without ensurepip, its pip is put there by that of another."""
        home = self.tree / ".venv"
        try:
            self.run("venv", self.python, "-m", "venv", home)
            return
        except Failure:
            shutil.rmtree(home, ignore_errors=True)
        self.run("venv without pip", self.python, "-m", "venv", "--without-pip", home)
        for other in self.pips:
            try:
                self.run(f"pip by {other}", other, "-m", "pip", "--python", self.bin / "python", "install", "pip")
                return
            except Failure:
                continue
        shutil.rmtree(home, ignore_errors=True)
        raise Failure("no pip: ensurepip is missing (Debian: apt-get install python3-venv), and no other's pip helped")

    def prove(self) -> None:
        """Everything, from the copy to the tests.  Failure names the first step that failed."""
        copied(ROOT, self.tree)
        made = made_from(self.tree)
        stamp = self.tree / ".venv" / "made-from"
        if not stamp.is_file() or stamp.read_text() != made:
            shutil.rmtree(self.tree / ".venv", ignore_errors=True)
            self.environment()
            self.run("install", "make", ".venv/dev.stamp", LC_ALL="C")
            stamp.write_text(made)
        failed = []
        for what, command in {
            "check": [self.bin / "kb", "check"],
            "site": [self.bin / "kb", "build"],
            "tests": [
                self.bin / "python", "-m", "pytest", "-m", "not slow and not browser", "-n", "auto",
                "--dist", "worksteal", "--timeout", "600", "-q",
            ],
        }.items():  # fmt: skip
            try:
                printed = self.run(what, *command, LC_ALL="C", OMP_NUM_THREADS="1")
                if counted := re.search(r"^(\d+) passed.* in [\d.]+s", printed, re.MULTILINE):
                    self.said[-1] = f"{counted[1]} {self.said[-1]}"
            except Failure as failure:
                failed.append(str(failure))
        if failed:
            raise Failure(", ".join(failed))


def name(version: Version) -> str:
    return ".".join(map(str, version))


def main(pythons: Mapping[Version, Path], specifier: str, folder: Path) -> int:
    """Prove each Python in turn, then say a line on each.  1 if one failed or there was none to prove."""
    lines, failures = [], 0
    for version, python in pythons.items():
        if not promised(version, specifier):
            lines.append(f"{name(version):8}  not asked for: pyproject.toml promises {specifier}")
            continue
        started = time.monotonic()
        pips = [*(other for key, other in pythons.items() if key != version), Path(sys.executable)]
        proof = Proof(version, python, folder / name(version), pips)
        try:
            proof.prove()
            verdict = "good"
        except Failure as failure:
            failures += 1
            verdict = "FAILED"
            proof.said += [str(failure), f"see {proof.log}"]
            print(proof.end_of_log(), flush=True)
        lines.append(f"{name(version):8}  {verdict:6} in {time.monotonic() - started:.0f} s: {', '.join(proof.said)}")
    print("\n" + "\n".join(lines or ["no Python from 3.11 on was found"]), flush=True)
    return int(failures > 0 or not any(promised(version, specifier) for version in pythons))


if __name__ == "__main__":
    if sys.argv[1:] == ["--fits"]:
        sys.exit(not promised(sys.version_info[:3], project()["requires-python"]))
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    here = found(Path("/usr/bin"), versions, os.environ.get("PATH", ""))
    sys.exit(main(here, project()["requires-python"], ROOT / "build" / "pythons"))
