"""Recorded showcases: files that can be read, with their pictures.  That one is old is for its page to say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kb_tools.errors import Problem


def check_showcases(root: Path) -> Iterator[Problem]:
    """What is wrong with the files of showcases."""
    # Loaded late, and neither torch nor numpy with it: this package knows what a showcase is.
    from implementations.verification.evidence import showcases
    from implementations.verification.evidence.store import EvidenceError

    for slug in showcases.recorded(root):
        path = showcases.folder_of(root) / f"{slug}{showcases.SUFFIX}"
        try:
            showcases.read(slug, root)
        except (EvidenceError, OSError) as error:
            message = str(error).partition(": ")[2].partition(": record it again")[0] or str(error)
            yield Problem(path, 0, 0, "showcase", message, fix=f"run `kb run {slug} --showcase --record`")
