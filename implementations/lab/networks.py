"""Networks that other demos start from: trained once, then loaded from the user's cache."""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from filelock import FileLock
from platformdirs import user_cache_path
from torch import nn

from implementations.lab import checkpoint
from implementations.lab.data import Dataset
from implementations.lab.training import Loss, Trained, laid_out, train
from implementations.verification.code_hash import PACKAGE, code_hash

if TYPE_CHECKING:
    from implementations.lab.demo import Run

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Base:
    """A network as one run came by it.  seconds: of its training, whenever that was.  path: None if it is not kept."""

    name: str
    loaded: bool
    seconds: float
    path: Path | None

    def __str__(self) -> str:
        how = "loaded; its training took" if self.loaded else "trained in"
        where = f": {self.path}" if self.loaded else f", kept in {self.path}" if self.path else ", not kept"
        return f"network {self.name} {how} {self.seconds:.1f} s{where}"


def train_or_load(
    trainer: Callable[..., object], run: Run, model: M, loss: Loss, dataset: Dataset, *, name: str, **options: Any
) -> Trained[M]:
    """`train(model, loss, dataset, ...)` with the run's options, or what that gave when it was done before.

    trainer: the function that asks, by whose code, and all that it reaches, a network is known again; beside that by
    `name`, data, seed, steps, kind of device and version of torch.  options: of `train`; a part of the trainer's code.
    run.fresh trains in any case.  A file that is damaged is trained again, with a word on stderr; one that cannot be
    written costs a word too, and no more.
    """
    steps = options.pop("steps", run.steps)
    key = {
        "network": name,
        "code": code_hash(trainer.__module__.removeprefix(f"{PACKAGE}."), definition=trainer.__name__),
        "data": run.data,
        "seed": str(run.seed),
        "steps": str(steps),
        "device": torch.device(run.device).type,
        "torch": str(torch.__version__),
    }
    path = _path(key)
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1  # of several processes none may wait for another here
    with _lock(path) if alone else nullcontext():
        if not run.fresh:
            known = _load(path, key, model, dataset, run.device)
            if known is not None:
                run.bases.append(Base(name, True, known.seconds, path))
                return known
        trained = train(model, loss, dataset, steps=steps, name=name, **run.training, **options)
        kept = _keep(path, key, trained) if os.environ.get("RANK", "0") == "0" else None
    run.bases.append(Base(name, False, trained.seconds, kept))
    return trained


def _path(key: dict[str, str]) -> Path:
    digest = sha256(repr(sorted(key.items())).encode()).hexdigest()[:16]
    return user_cache_path("diffusion-kb") / "networks" / f"{key['network']}-{key['data']}-{digest}.safetensors"


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Whoever needs the same network at the same time waits for the first, and then loads it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_suffix(".lock"))
        lock.acquire()
    except OSError:  # a cache that cannot be written: `_keep` says so
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _load(path: Path, key: dict[str, str], model: M, dataset: Dataset, device: str) -> Trained[M] | None:
    """The network at path in the layout that training leaves it in; None if there is none that can be used."""
    try:
        weights, facts = checkpoint.load(path)
        seconds = float(facts.pop("seconds", "nan"))
        losses = weights.pop("losses").tolist()
        if facts != key:
            raise ValueError("it belongs to another training")
        known = laid_out(copy.deepcopy(model).to(device).eval().requires_grad_(False), dataset)
        checkpoint.load_weights(known, weights, path)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, OSError) as error:
        print(f"{path} cannot be used, so the network is trained again: {error}", file=sys.stderr)
        return None
    return Trained(known, losses, seconds)


def _keep(path: Path, key: dict[str, str], trained: Trained) -> Path | None:
    tensors = {**trained.model.state_dict(), "losses": torch.tensor(trained.losses, dtype=torch.float64)}
    try:
        checkpoint.save(path, tensors, {**key, "seconds": repr(trained.seconds)})
    except OSError as error:
        print(f"the network {key['network']} is not kept for the next run: {error}", file=sys.stderr)
        return None
    return path
