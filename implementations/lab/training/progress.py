"""How far a training is: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager
from typing import Protocol

SECONDS = 20
"""Between two lines where stderr is no terminal."""


class Progress(Protocol):
    def update(self) -> object: ...


def progress_bar(name: str, steps: int, done: int, shown: bool) -> AbstractContextManager[Progress]:
    """A context whose `update` is called after each step."""
    if not shown or sys.stderr.isatty():
        from tqdm import tqdm

        return tqdm(total=steps, initial=done, desc=name, unit="step", leave=False, disable=not shown)
    return _Lines(name, steps, done)


class _Lines:
    def __init__(self, name: str, steps: int, done: int) -> None:
        self.name, self.steps, self.done = name, steps, done
        self.started = self.said = time.monotonic()

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self) -> None:
        self.done += 1
        now = time.monotonic()
        if now - self.said >= SECONDS and self.done < self.steps:
            self.said = now
            print(
                f"{self.name}: step {self.done} of {self.steps}, {now - self.started:.0f} s",
                file=sys.stderr,
                flush=True,
            )
