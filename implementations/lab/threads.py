"""How many threads a demo runs on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from implementations.lab.data import EMBEDDED, NAMES


@contextmanager
def suited_to(data: str) -> Iterator[None]:
    """One thread for the small embedded data, and for what a demo draws itself; torch's own number for the rest.

    At 8x8 pixels or two coordinates an operation is done before a second thread has woken: with two, a training step
    of the digits' U-Net took 1.4 times as long (57 ms against 80 ms on a two-core machine).
    """
    import torch

    before = torch.get_num_threads()
    if data in EMBEDDED or data not in NAMES:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
