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
    return _write_if_changed(str(path), data)


def _write_if_changed(path: str, data: bytes) -> bool:
    # A site has tens of thousands of files: what is asked of the system more than once costs seconds.
    folder, _, file = path.rpartition(os.sep)
    try:
        if os.stat(path).st_size == len(data) and Path(path).read_bytes() == data:  # noqa: PTH116 - as above
            return False
    except FileNotFoundError:
        pass
    try:
        handle, name = tempfile.mkstemp(dir=folder or ".", prefix=f".{file}.")
    except FileNotFoundError:
        Path(folder).mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=f".{file}.")
    try:
        with open(handle, "wb", buffering=0) as stream:  # noqa: PTH123 - of a handle
            rest = memoryview(data)
            while rest:
                rest = rest[stream.write(rest) :]
            os.fchmod(handle, 0o644)
        os.replace(name, path)  # noqa: PTH105 - as above
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return True


def write_tree(root: Path, files: Mapping[str, bytes | None]) -> tuple[list[str], list[str]]:
    """Make `root` hold exactly `files` (relative names with /); None keeps what is there.

    Returns the names written and those removed.
    """
    root.mkdir(parents=True, exist_ok=True)
    written = [
        name for name, data in files.items() if data is not None and _write_if_changed(f"{root}{os.sep}{name}", data)
    ]
    removed, start = [], len(str(root)) + 1
    for folder, subfolders, names in os.walk(root, topdown=False):
        base = f"{folder}{os.sep}"
        inside = base[start:].replace(os.sep, "/")
        for name in names:
            if inside + name not in files:
                Path(base + name).unlink()
                removed.append(inside + name)
        for name in subfolders:
            if not any(Path(base + name).iterdir()):
                Path(base + name).rmdir()
    return written, removed


def read_tree(root: Path) -> dict[str, bytes]:
    """All files under `root`, by relative name with /."""
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}
