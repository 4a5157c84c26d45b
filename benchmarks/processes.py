"""Running a command as a process of its own, and what it cost; a peer's command in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Spent(NamedTuple):
    """Seconds that one process took."""

    wall: float
    cpu: float


def spend(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    fine: Collection[int] = (0,),
) -> Spent:
    """Run one process to its end, its output into a file.  An exit code that is not `fine` ends the benchmark."""
    with tempfile.TemporaryFile() as talk:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=talk, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = code = os.waitstatus_to_exitcode(status)
        if code not in fine:
            talk.seek(0)
            raise SystemExit(f"{' '.join(command)} ended with {code}:\n{talk.read().decode()[-2000:]}")
    return Spent(wall, usage.ru_utime + usage.ru_stime)


def peer(package: str, folder: Path) -> Path:
    """The command of a package ("papis==0.16.1"), in an environment that is made if it is not there."""
    command = folder / "bin" / package.partition("==")[0]
    if not command.exists():
        print(f"installing {package} into {folder} ...", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, package], check=True)
    return command
