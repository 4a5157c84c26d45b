"""The one training loop: Adam, an average of the weights, and a run that can be interrupted at any step.

Step k draws its batch and its noise from (seed, k) alone.  So a resumed run meets the same numbers as an uninterrupted
one, and W processes under torchrun, each with its rows of the same batch, follow the loss curve of one process.
"""

from __future__ import annotations

import atexit
import copy
import gc
import importlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from math import cos, isfinite, pi
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.utils.memory_format import convert_conv2d_weight_memory_format
from torch.optim.swa_utils import get_ema_multi_avg_fn

from implementations.common.noise import Noise
from implementations.lab import checkpoint
from implementations.lab.data import Dataset

Batch = tuple[Tensor, Tensor | None]
Loss = Callable[[nn.Module, Batch, Noise], Tensor]


M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Trained(Generic[M]):
    """model: averaged weights, in eval mode, on the device; losses: one per step; seconds: of training, all runs."""

    model: M
    losses: list[float]
    seconds: float


def train(
    model: M,
    loss: Loss,
    dataset: Dataset,
    *,
    steps: int,
    batch_size: int = 64,
    lr: float = 1e-3,
    anneal: bool = False,
    ema: float = 0.999,
    device: str | torch.device = "cpu",
    seed: int = 0,
    out: str | Path | None = None,
    name: str = "training",
    resume: bool = False,
    progress: bool = False,
    compile: bool = False,
) -> Trained[M]:
    """Minimise `loss(model, (x, y), noise)` over the training examples of `dataset`.  `model` itself is trained too.

    anneal: lets the learning rate fall to zero along half a cosine.  ema: decay of the average of the weights, per
    step, lower during the first steps.  out: the folder where `<name>.state.safetensors` is kept, each minute, after
    Ctrl-C and at the end; resume: go on from there if it exists.  progress: a bar, if stderr is a terminal.
    compile: run the model through torch.compile.  Images lie channels-last; on CUDA the forward pass is autocast to
    bfloat16.  Under torchrun, batch_size is that of all processes together.

    ValueError: an argument out of range, or a state of another run.  FloatingPointError: the loss is not finite.
    """
    if steps < 1 or batch_size < 1:
        raise ValueError(f"steps and batch_size must be at least 1, not {steps} and {batch_size}")
    if not (lr > 0 and 0 <= ema < 1):
        raise ValueError(f"lr must be above 0 and ema in [0, 1), not {lr} and {ema}")
    started = time.perf_counter()
    with _processes(torch.device(device)) as (device, rank, world):
        if batch_size % world:
            raise ValueError(f"batch_size {batch_size} must be a multiple of the {world} processes")
        cuda = device.type == "cuda"
        layout = torch.channels_last if dataset.x.ndim == 4 else torch.preserve_format
        model = model.to(device).train()
        if layout is torch.channels_last:
            convert_conv2d_weight_memory_format(model, layout)
        average = copy.deepcopy(model).eval().requires_grad_(False)
        adam = torch.optim.Adam(model.parameters(), lr, fused=True)
        run = _Run(model, average, adam, path=Path(out) / f"{name}.state.safetensors" if out else None)
        terms = {"data": dataset.name, "seed": seed, "batch_size": batch_size, "lr": lr, "ema": ema}
        terms["anneal"] = f"over {steps} steps" if anneal else "no"
        run.terms = {key: str(value) for key, value in terms.items()}
        if resume and run.path and run.path.is_file():
            run.restore(run.path, steps)

        network: Any = torch.compile(model) if compile else model
        if world > 1:
            network = nn.parallel.DistributedDataParallel(network, [device.index] if cuda else None)
        x = dataset.x.to(device, memory_format=layout)
        y = None if dataset.y is None else dataset.y.to(device)
        order = _Order(len(x), batch_size, seed, device)
        mine = slice(rank * batch_size // world, (rank + 1) * batch_size // world)
        weights: list[Tensor] = list(model.parameters())
        averages: list[Tensor] = list(average.parameters())
        pending: list[Tensor] = []
        bar = _bar(steps, run.step, progress and rank == 0)
        before, saved = run.seconds, started

        with bar, _patient() as interrupted, torch.random.fork_rng([device] if cuda else []):
            while run.step < steps and not _any(interrupted.is_set(), device):
                rows = order(run.step)[mine]
                step_seed = _seed(seed, run.step)
                torch.manual_seed(step_seed)  # for dropout, which knows no Noise
                noise = _Rows(step_seed, device, mine, batch_size)
                for group in adam.param_groups:
                    group["lr"] = lr * (0.5 + 0.5 * cos(pi * run.step / steps)) if anneal else lr
                with torch.autocast(device.type, torch.bfloat16, enabled=cuda):
                    value = loss(network, (x[rows], None if y is None else y[rows]), noise)
                pending.append(value.detach())
                if not cuda or len(pending) == 50 or run.step + 1 == steps:
                    run.record(pending, lr)
                adam.zero_grad()
                value.backward()
                adam.step()
                run.step += 1
                # young weights are no use to the average: it forgets them faster at first
                decay = min(ema, run.step / (run.step + 10))
                get_ema_multi_avg_fn(decay)(averages, weights, run.step)
                bar.update()
                now = time.perf_counter()
                run.seconds = before + now - started
                if now - saved > 60 and not pending and rank == 0:
                    run.save()
                    saved = now
            run.record(pending, lr)
        if cuda:
            torch.cuda.synchronize()
        run.seconds = before + time.perf_counter() - started
        if rank == 0:
            run.save()
        if interrupted.is_set() or run.step < steps:
            raise KeyboardInterrupt
    for own, kept in zip(average.buffers(), model.buffers(), strict=True):
        own.copy_(kept)
    return Trained(average, run.losses, run.seconds)


class _Run:
    """What must survive an interruption: weights, their average, Adam's moments, the losses and the step."""

    def __init__(self, model: nn.Module, average: nn.Module, adam: torch.optim.Adam, path: Path | None) -> None:
        self.model, self.average, self.adam, self.path = model, average, adam, path
        self.terms: dict[str, str] = {}
        self.step, self.seconds = 0, 0.0
        self.losses: list[float] = []

    def record(self, pending: list[Tensor], lr: float) -> None:
        """Move losses from the device to `losses`, and empty `pending`; FloatingPointError if one is not finite."""
        if not pending:
            return
        values = torch.stack(pending)
        if dist.is_initialized():
            dist.all_reduce(values.div_(dist.get_world_size()))
        pending.clear()
        for value in values.tolist():
            if not isfinite(value):
                raise FloatingPointError(
                    f"the loss is {value} at step {len(self.losses) + 1} (lr {lr:g}): lower lr, or look at the data"
                )
            self.losses.append(value)

    def save(self) -> None:
        if self.path is None:
            return
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        for k, moments in self.adam.state_dict()["state"].items():
            tensors |= {f"adam.{k}.{what}": value for what, value in moments.items()}
        tensors["losses"] = torch.tensor(self.losses, dtype=torch.float64)
        checkpoint.save(self.path, tensors, self.terms | {"step": str(self.step), "seconds": repr(self.seconds)})

    def restore(self, path: Path, steps: int) -> None:
        """Take up the state at path; ValueError if it belongs to a run with other terms."""
        tensors, found = checkpoint.load(path)
        try:
            step, self.seconds = int(found.pop("step")), float(found.pop("seconds"))
            self.losses = tensors.pop("losses").tolist()
        except (KeyError, ValueError) as error:
            raise checkpoint.CheckpointError(f"{path} is not the state of a training run") from error
        other = [f"{k} {found.get(k)} (now {v})" for k, v in self.terms.items() if found.get(k) != v]
        if step > steps:
            other.append(f"{step} steps (now {steps})")
        if other:
            raise ValueError(f"cannot resume: {path} was trained with {', '.join(other)}; use another --out")
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "adam": {}}
        for key, value in tensors.items():
            part, _, rest = key.partition(".")
            parts[part][rest] = value
        checkpoint.load_weights(self.model, parts["model"], path)
        checkpoint.load_weights(self.average, parts["average"], path)
        state = self.adam.state_dict()
        state["state"] = {}
        for key, value in parts["adam"].items():
            index, _, what = key.partition(".")
            state["state"].setdefault(int(index), {})[what] = value
        self.adam.load_state_dict(state)
        self.step = step


class _Order:
    """Which examples step k sees: consecutive slices of one endless stream of shuffled epochs."""

    def __init__(self, size: int, batch_size: int, seed: int, device: torch.device) -> None:
        self.size, self.batch_size, self.seed, self.device = size, batch_size, seed, device
        self.epoch = lru_cache(maxsize=2)(self._epoch)

    def _epoch(self, k: int) -> Tensor:
        generator = torch.Generator().manual_seed(_seed(self.seed, -1 - k))
        return torch.randperm(self.size, generator=generator).to(self.device)

    def __call__(self, step: int) -> Tensor:
        first, start = divmod(step * self.batch_size, self.size)
        stream = self.epoch(first)[start : start + self.batch_size]
        while len(stream) < self.batch_size:
            first += 1
            stream = torch.cat([stream, self.epoch(first)[: self.batch_size - len(stream)]])
        return stream


class _Rows(Noise):
    """The rows of one process out of the draws for the whole batch."""

    def __init__(self, seed: int, device: torch.device, rows: slice, batch_size: int) -> None:
        super().__init__(seed, device)
        self.rows, self.batch_size = rows, batch_size

    def _draw(self, law, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        return super()._draw(law, torch.Size([self.batch_size, *shape[1:]]), dtype)[self.rows]


def _seed(seed: int, k: int) -> int:
    """One 63-bit seed per (seed, k), far apart for neighbours (the finaliser of splitmix64)."""
    z = (seed * 0x9E3779B97F4A7C15 + k * 0xD1B54A32D192ED03) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return (z ^ z >> 31) >> 1


@contextmanager
def _patient() -> Iterator[threading.Event]:
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


@contextmanager
def _processes(device: torch.device) -> Iterator[tuple[torch.device, int, int]]:
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


def _any(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set in any process: all must leave the loop at the same step."""
    if not dist.is_initialized():
        return flag
    flags = torch.tensor(float(flag), device=device)
    dist.all_reduce(flags)
    return flags.item() > 0


def _bar(steps: int, done: int, shown: bool):
    from tqdm import tqdm

    return tqdm(total=steps, initial=done, unit="step", leave=False, disable=not (shown and sys.stderr.isatty()))
