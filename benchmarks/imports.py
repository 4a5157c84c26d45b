"""What importing a method costs over importing torch.

    python -m benchmarks.imports

A fresh interpreter imports torch; a process forked from it imports one method and nothing else, and says how much CPU
time that took.  All methods in turns, several rounds, medians; a first round leaves Python's bytecode behind, as any
earlier use does.  Exit code 1 if a method costs more than the bar.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks import report

ROOT = Path(__file__).resolve().parents[1]
BAR = 0.1  # seconds
ROUNDS = 5
CHILD = """
import importlib, json, os, sys, time
import torch

for name in sys.argv[1:]:
    end, other = os.pipe()
    if not os.fork():
        started = time.process_time()
        importlib.import_module(f"implementations.{name}")
        os.write(other, str(time.process_time() - started).encode())
        os._exit(0)
    os.close(other)
    os.wait()
    print(json.dumps([name, float(os.read(end, 64))]))
    os.close(end)
"""


def main() -> int:
    methods = sorted(path.stem for path in (ROOT / "implementations").glob("[!_]*.py"))
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", CHILD, *methods]
    for number in range(ROUNDS + 1):
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        for name, value in map(json.loads, done.stdout.splitlines() if number else []):
            seconds[name].append(value)
    medians = {name: round(statistics.median(values), 4) for name, values in seconds.items()}
    path = report.write(
        "imports",
        {
            "what": "CPU seconds that importing a method takes in a process that has imported torch and nothing else",
            **report.provenance("torch", "numpy"),
            "rounds": ROUNDS,
            "bar": BAR,
            "methods": [{"method": name, "cpu_seconds": value} for name, value in medians.items()],
        },
    )
    for name, value in medians.items():
        print(f"{name:<16} {value:.3f} s")
    slow = [name for name, value in medians.items() if value > BAR]
    print(f"{len(medians)} methods, {len(slow)} above {BAR} s; kept in {path.relative_to(ROOT)}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
