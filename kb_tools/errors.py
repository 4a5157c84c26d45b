"""Every failure `kb` can explain, with its exit code; anything else is a bug and shows its traceback."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

# What a full disk, a quota, a read-only tree and a folder of somebody else answer: no bug of ours.
STORAGE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG})


def plain(text: object) -> str:
    """A file's name as text that can be stored and shown: what is no letter, or cannot be written, as an escape."""
    words = str(text)
    if words.isprintable():
        return words
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in words)


class KbError(Exception):
    """What went wrong, and how to mend it.

    `message` says what and where; `hint` says what to do.  `exit_code` is part of the command's contract.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(KbError):
    """The command was called with arguments that cannot be meant."""

    exit_code = 2


class NotFoundError(KbError):
    """No record answers to a reference; `nearest` are ids that look like it."""

    exit_code = 3

    def __init__(self, message: str, *, nearest: Sequence[str] = (), hint: str | None = None) -> None:
        if nearest and hint is None:
            hint = f"did you mean {', '.join(nearest)}?"
        super().__init__(message, hint=hint)
        self.nearest = list(nearest)


class AmbiguousError(NotFoundError):
    """More than one record answers to a reference; `nearest` are all of them."""


class NetworkError(KbError):
    """A server could not be asked, or its answer could not be used."""

    exit_code = 4


class InvalidRecordError(KbError):
    """A record file cannot be used as it is; `problems` are its findings, one per line of the message."""

    exit_code = 5


class ConflictError(KbError):
    """The collection changed under us, is locked, or already holds what was to be added."""

    exit_code = 6


class StorageError(ConflictError):
    """A file could not be written: a full disk, a read-only folder, a link that leads out of the collection."""


class Problem(Exception):
    """One finding in one file: where, what is wrong, and the fix.  Raised while reading, collected by check.

    `line` and `column` count from 1; 0 means the whole file.  `mend`, where there is only one way to mend it, is the
    range of the file's text to replace, and by what.
    """

    def __init__(
        self,
        path: Path,
        line: int,
        column: int,
        code: str,
        message: str,
        *,
        fix: str | None = None,
        mend: tuple[int, int, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.path, self.line, self.column = path, line, column
        self.code, self.message, self.fix, self.mend = code, message, fix, mend

    def __str__(self) -> str:
        where = f"{plain(self.path)}:{self.line}:{self.column}" if self.line else plain(self.path)
        return f"{where}: {self.message}" + (f"; fix: {self.fix}" if self.fix else "")
