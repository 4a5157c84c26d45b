"""What a data set is, whatever it is made from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Dataset:
    """x: (N, ...) float32 within `range`; y: (N,) int64 labels, or None; x_test, y_test: the same, kept apart.

    levels: how many equally spaced values an entry of x can take, ends of `range` included; None if continuous.
    """

    name: str
    x: Tensor
    y: Tensor | None
    x_test: Tensor
    y_test: Tensor | None
    levels: int | None
    range: tuple[float, float]

    def __post_init__(self) -> None:
        low, high = self.range
        for part, x in {"x": self.x, "x_test": self.x_test}.items():
            if x.numel() and not x.is_meta and not (x.min() >= low and x.max() <= high):  # NaN is outside too
                raise DataError(
                    f"{part} of {self.name} must lie in its range {low:g}..{high:g}, not in "
                    f"{x.min().item():g}..{x.max().item():g}: rescale it, or say its true range"
                )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return tuple(self.x.shape[1:])

    @property
    def classes(self) -> int:
        """How many labels there are, 0 if none."""
        return 0 if self.y is None else int(self.y.max()) + 1

    def to(self, device: str | torch.device) -> Dataset:
        """The same data on another device."""
        moved = {name: getattr(self, name) for name in ("x", "y", "x_test", "y_test")}
        return replace(self, **{name: None if v is None else v.to(device) for name, v in moved.items()})


class DataError(ValueError):
    """Data that cannot be had or used; the message says what is missing or wrong, where, and how to mend it."""


def float32(x: np.ndarray) -> Tensor:
    """An array as a tensor of its own."""
    return torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
