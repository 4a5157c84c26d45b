"""Writing without loss: one writer at a time, whole files only, and never over somebody's unseen edit."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from kb_tools.errors import ConflictError, StorageError
from kb_tools.records.fields import NOTES
from kb_tools.records.reader import read_bytes

LOCK_SECONDS = 10.0


@contextmanager
def locked(root: Path, timeout: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the collection's lock.  Raises ConflictError naming the holder and its age if it is not free in time.

    The lock is the kernel's and dies with its process; .kb/lock-owner only says whose it is, as far as the disk has
    room for that.
    """
    from filelock import FileLock, Timeout

    folder = root / ".kb"
    owner = folder / "lock-owner"
    try:
        folder.mkdir(exist_ok=True)
        lock = FileLock(folder / "lock", timeout=timeout)
        lock.acquire()
    except Timeout:
        raise ConflictError(
            f"the collection {root} is locked by {_describe(owner)}",
            hint="wait for it to finish, or end it: the lock is freed when the process ends",
        ) from None
    except OSError as error:
        raise StorageError(f"{folder}: cannot lock: {error.strerror}", hint="check the folder's permissions") from None
    try:
        words = {"pid": os.getpid(), "command": " ".join(["kb", *sys.argv[1:2]]), "since": time.time()}
        with suppress(OSError):  # `kb rm` is what makes room on a full disk
            owner.write_text(json.dumps(words), encoding="utf-8")
        _sweep(root)
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _describe(owner: Path) -> str:
    try:
        words = json.loads(owner.read_text(encoding="utf-8"))
        return f"process {words['pid']} (`{words['command']}`) for {time.time() - words['since']:.0f} s"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _sweep(root: Path) -> None:
    """Remove what a killed writer left behind; under the lock nobody else is writing."""
    for folder in (root / "papers", root / "papers" / "resources", root / "papers" / NOTES):
        for leftover in folder.glob(".*.kb-tmp"):
            leftover.unlink(missing_ok=True)


class Put(NamedTuple):
    """What one file is to hold.

    expected: the bytes that the change was made from (None: the file must not exist).  text: None removes the file.
    sound: the text was read as YAML without problems, so that it need not be read anew where the disk has it as it is.
    """

    path: Path
    expected: bytes | None
    text: str | None
    sound: bool = False


def replace_file(root: Path, path: Path, text: str, *, expected: bytes | None) -> None:
    """Put `text` in place of a file at once: the file is always whole, the old one or the new one.

    expected: the bytes that the change was made from (None: the file must not exist).  Raises ConflictError if the
    file holds something else by now, StorageError if it cannot be written or lies outside the collection.  YAML is
    read again from disk before it takes its place.
    """
    replace_files(root, [Put(path, expected, text)])


def replace_files(root: Path, puts: Sequence[Put]) -> None:
    """Put several files in place, or remove them: all of them or none.  Raises what `replace_file` raises.

    Every new text is on the disk before the first file changes, so that a full disk stops nothing half-way; what can
    still fail then is undone.
    """
    undo: list[Callable[[], object]] = []
    temporaries: set[Path] = set()
    inside = root.resolve()
    folders: dict[Path, bool] = {}  # whether each lies in the collection
    try:
        for put in puts:
            folder = put.path.parent
            if folder not in folders:
                with _storage(put.path):
                    folder.mkdir(exist_ok=True)
                    folders[folder] = folder.resolve().is_relative_to(inside)
            _prepare(put, temporaries, inside=folders[folder])
        for put in puts:
            _settle(put, undo, temporaries)
        for folder in dict.fromkeys(put.path.parent for put in puts):
            _sync_folder(folder)
    except BaseException:
        for step in reversed(undo):
            with suppress(OSError):
                step()
        raise
    finally:
        for temporary in temporaries:
            with suppress(OSError):  # a read-only disk refuses to remove even what is not there
                temporary.unlink(missing_ok=True)


def _prepare(put: Put, temporaries: set[Path], *, inside: bool) -> None:
    """Write the new text beside its place, and see that the place holds what it should."""
    path = put.path
    with _storage(path):
        if path.is_symlink() or not inside:
            raise StorageError(f"{path}: leads out of the collection", hint="replace the link by a plain file")
        if put.text is not None:
            temporary = _beside(path)
            temporaries.add(temporary)
            _write_whole(temporary, put.text, like=path)
            if path.suffix == ".yaml":
                on_disk = temporary.read_bytes()
                if not (put.sound and on_disk == put.text.encode("utf-8")):
                    read_bytes(path, on_disk).require()
        _expect(put)


def _settle(put: Put, undo: list[Callable[[], object]], temporaries: set[Path]) -> None:
    """Let the new text take its place, and note how the old one comes back."""
    path = put.path
    with _storage(path):
        _expect(put)
        if put.expected is None:
            undo.append(lambda: path.unlink(missing_ok=True))
        else:
            kept = path.with_name(f".{path.name}.{os.getpid()}.old.kb-tmp")
            kept.unlink(missing_ok=True)
            temporaries.add(kept)
            _keep(path, kept)
            undo.append(lambda: kept.replace(path))
        if put.text is None:
            path.unlink()
        else:
            temporary = _beside(path)
            temporary.replace(path)
            temporaries.discard(temporary)


def _keep(path: Path, kept: Path) -> None:
    """A second name for what a file holds now; a copy where the file system knows no second names."""
    try:
        kept.hardlink_to(path)
    except OSError:
        shutil.copy2(path, kept)


def _expect(put: Put) -> None:
    current = put.path.read_bytes() if put.path.exists() else None
    if current != put.expected:
        raise ConflictError(
            f"{put.path}: was changed by somebody else meanwhile; nothing was written",
            hint="look at the file, then run the command again",
        )


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.kb-tmp")


@contextmanager
def _storage(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be written: {error.strerror}; the file is as it was",
            hint="check the free space and the permissions",
        ) from error


def _write_whole(temporary: Path, text: str, *, like: Path) -> None:
    mode = like.stat().st_mode & 0o777 if like.exists() else 0o644
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
