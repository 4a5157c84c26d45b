"""One process or several under torchrun; and Ctrl-C, which must find all of them between two steps."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist


@contextmanager
def joined(device: torch.device) -> Iterator[tuple[torch.device, int, int]]:
    """(device, rank, world): joins the other processes if torchrun started this one, else stands alone."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    if world == 1:
        yield device, 0, 1
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        # One group for all trainings of a run; the threads of a group that nobody left abort the process at its end.
        atexit.register(dist.destroy_process_group)
    yield device, dist.get_rank(), world
    dist.barrier()


def any_of(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set in any process: all must leave the loop at the same step."""
    if not dist.is_initialized():
        return flag
    flags = torch.tensor(float(flag), device=device)
    dist.all_reduce(flags)
    return flags.item() > 0


@contextmanager
def patient() -> Iterator[threading.Event]:
    """Lets the running step end: the first Ctrl-C sets the event, a second one interrupts at once."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    previous = signal.getsignal(signal.SIGINT)

    def note(*_: object) -> None:
        event.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, note)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, previous)
