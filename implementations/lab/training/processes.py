"""One process or several under torchrun; and Ctrl-C, which must find all of them between two steps."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import signal
import sys
import threading
import traceback
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
        # Loaded first: its functions keep, as their default, whatever group there is when it is loaded.
        importlib.import_module("torch.distributed.nn.functional")
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(_leave)  # once, as a group that was left cannot be joined again
    yield device, dist.get_rank(), world
    dist.barrier()


def _leave() -> None:
    """End the threads of the group while Python still runs: one that frees a tensor later aborts the program."""
    traceback.clear_frames(getattr(sys, "last_traceback", None))  # a failure holds the network, which holds the group
    gc.collect()
    if dist.is_initialized():
        dist.destroy_process_group()


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
