"""What every benchmark's results say about where they were measured, and how they are kept."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from implementations.lab.checkpoint import write_atomically
from implementations.verification.evidence.store import dump

RESULTS = Path(__file__).resolve().parent / "results"


def machine() -> str:
    """The processor, in words."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text(encoding="utf-8")) if info.is_file() else None
    model = found[1] if found else platform.processor() or platform.machine()
    return f"{os.cpu_count()} cores of {model}"


def provenance(*packages: str) -> dict[str, Any]:
    """When, where and with which versions."""
    return {
        "recorded": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}},
    }


def write(name: str, results: dict[str, Any]) -> Path:
    """Keep results as benchmarks/results/<name>.yaml, in place of earlier ones."""
    path = RESULTS / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, dump(results).encode())
    return path
