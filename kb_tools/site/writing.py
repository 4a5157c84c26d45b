"""Write a tree of files, touching only what changed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class Memo:
    """What was made last time, and of what: made again only of something else."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[object, Any]] = {}

    def get(self, name: str, made_of: object, make: Callable[[], T]) -> T:
        """made_of: all that `make` depends on; compared, so it must not be changed afterwards."""
        old = self._kept.get(name)
        value = old[1] if old and old[0] == made_of else make()
        self._kept[name] = (made_of, value)
        return value


def write_if_changed(path: Path, data: bytes) -> bool:
    """Whether it was written.  The new bytes appear at once or not at all."""
    try:
        if path.stat().st_size == len(data) and path.read_bytes() == data:
            return False
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return True


def write_tree(root: Path, files: Mapping[str, bytes | None]) -> tuple[list[str], list[str]]:
    """Make `root` hold exactly `files` (relative names with /); None keeps what is there.

    Returns the names written and those removed.
    """
    root.mkdir(parents=True, exist_ok=True)
    written = [name for name, data in files.items() if data is not None and write_if_changed(root / name, data)]
    removed = []
    for folder, subfolders, names in os.walk(root, topdown=False):
        base = Path(folder)
        for name in names:
            relative = (base / name).relative_to(root).as_posix()
            if relative not in files:
                (base / name).unlink()
                removed.append(relative)
        for name in subfolders:
            if not any((base / name).iterdir()):
                (base / name).rmdir()
    return written, removed


def read_tree(root: Path) -> dict[str, bytes]:
    """All files under `root`, by relative name with /."""
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}
