"""All kinds of wild files, and a file of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.wild import bibtex, lists, programs
from benchmarks.wild.truth import Inventor, Wild

KINDS: dict[str, tuple[Callable[[Inventor, int], Wild], int]] = {
    **{f"BibTeX: {name}": kind for name, kind in bibtex.KINDS.items()},
    **programs.KINDS,
    **lists.KINDS,
}


def files(share: float = 1.0, seed: str = "1") -> Iterator[tuple[str, Wild]]:
    """(kind, file) of every kind; `share` of the works of each."""
    for name, (make, count) in KINDS.items():
        yield name, make(Inventor(f"{name} {seed}"), max(4, round(count * share)))
