"""The one training loop: Adam, an average of the weights, and a run that can be interrupted at any step.

Step k draws its batch and its noise from (seed, k) alone.  So a resumed run meets the same numbers as an uninterrupted
one, and W processes under torchrun, each with its rows of the same batch, follow the loss curve of one process.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.memory_format import convert_conv2d_weight_memory_format
from torch.optim.swa_utils import get_ema_multi_avg_fn

from implementations.common.noise import Noise
from implementations.lab.data import Dataset
from implementations.lab.training.batches import Order, Rows, seed_of
from implementations.lab.training.processes import any_of, joined, patient
from implementations.lab.training.progress import progress_bar
from implementations.lab.training.state import State

Batch = tuple[Tensor, Tensor | None]
Loss = Callable[[nn.Module, Batch, Noise], Tensor]


M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Trained(Generic[M]):
    """model: averaged weights, in eval mode, on the device; losses: one per step; seconds: of training, all runs."""

    model: M
    losses: list[float]
    seconds: float


def laid_out(model: M, dataset: Dataset) -> M:
    """The model itself, its convolutions channels-last where the data are images: what training makes of any model."""
    if dataset.x.ndim == 4:
        convert_conv2d_weight_memory_format(model, torch.channels_last)
    return model


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
    Ctrl-C and at the end; resume: go on from there if it exists.  progress: a bar on stderr, and where that
    is no terminal a line now and then.
    compile: run the model through torch.compile.  Images lie channels-last; on CUDA the forward pass is autocast to
    bfloat16.  Under torchrun, batch_size is that of all processes together.

    ValueError: an argument out of range, or a state of another run.  FloatingPointError: the loss is not finite.
    """
    if steps < 1 or batch_size < 1:
        raise ValueError(f"steps and batch_size must be at least 1, not {steps} and {batch_size}")
    if not (lr > 0 and 0 <= ema < 1):
        raise ValueError(f"lr must be above 0 and ema in [0, 1), not {lr} and {ema}")
    started = time.perf_counter()
    with joined(torch.device(device)) as (device, rank, world):
        if batch_size % world:
            raise ValueError(f"batch_size {batch_size} must be a multiple of the {world} processes")
        cuda = device.type == "cuda"
        layout = torch.channels_last if dataset.x.ndim == 4 else torch.preserve_format
        model = laid_out(model.to(device).train(), dataset)
        average = copy.deepcopy(model).eval().requires_grad_(False)
        adam = torch.optim.Adam(model.parameters(), lr, fused=True)
        run = State(model, average, adam, path=Path(out) / f"{name}.state.safetensors" if out else None)
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
        order = Order(len(x), batch_size, seed, device)
        mine = slice(rank * batch_size // world, (rank + 1) * batch_size // world)
        weights: list[Tensor] = list(model.parameters())
        averages: list[Tensor] = list(average.parameters())
        pending: list[Tensor] = []
        bar = progress_bar(name, steps, run.step, progress and rank == 0)
        before, saved = run.seconds, started

        one_stream = torch.random.fork_rng([device] if cuda else [])
        with (
            bar as shown,
            patient() as interrupted,
            one_stream,
            torch.enable_grad(),
        ):  # also where the caller has no gradients
            while run.step < steps and not any_of(interrupted.is_set(), device):
                rows = order(run.step)[mine]
                step_seed = seed_of(seed, run.step)
                torch.manual_seed(step_seed)  # for dropout, which knows no Noise
                noise = Rows(step_seed, device, mine, batch_size)
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
                shown.update()
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
