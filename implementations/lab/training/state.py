"""What must survive an interruption of a training."""

from __future__ import annotations

from math import isfinite
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from implementations.lab import checkpoint


class State:
    """Weights, their average, Adam's moments, the losses and the step."""

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
