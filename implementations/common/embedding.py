"""Time and class, as vectors that a network adds to its features."""

from __future__ import annotations

from math import log

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MAX_PERIOD = 10_000.0


def sinusoidal(t: Tensor, dim: int) -> Tensor:
    """Sinusoids of t at geometrically spaced frequencies.  t: (B,), any real dtype.  Returns (B, dim) in [-1, 1].

    First half sines, second half cosines, at frequencies from 1 to exactly 1 / MAX_PERIOD, dim / 2 of them (so the
    exponent is divided by dim / 2 - 1, as in the transformers DDPM took it from, not by dim / 2).  Made for t in steps
    of 1: the fastest pair moves by 2 sin(1/2) = 0.96 from t to t + 1, whatever t is.  Time in [0, 1] would leave all
    components almost constant: a caller with continuous time multiplies it (by 1000, say) first.
    """
    if dim < 4 or dim % 2:
        raise ValueError(f"dim must be even and at least 4, not {dim}")
    t = t.to(torch.promote_types(t.dtype, torch.float32))
    half = dim // 2
    frequency = torch.exp(torch.arange(half, device=t.device, dtype=t.dtype) * (-log(MAX_PERIOD) / (half - 1)))
    angle = t[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class Condition(nn.Module):
    """Time, and the class if there are classes, as one vector: sinusoids, two layers, plus a row per class.

    classes: how many values y has, 0 for none.  A network that must also work without its label has one more.
    """

    def __init__(self, width: int, *, classes: int = 0, frequencies: int = 64) -> None:
        super().__init__()
        self.frequencies = frequencies
        self.inner = nn.Linear(frequencies, width)
        self.outer = nn.Linear(width, width)
        self.label = nn.Embedding(classes, width) if classes else None

    def forward(self, t: Tensor, y: Tensor | None = None) -> Tensor:
        """t: (B,) as the network gets it; y: (B,) int64 exactly when there are classes.  Returns (B, width)."""
        if (y is None) != (self.label is None):
            raise ValueError("a label was given to a network without classes" if self.label is None else "y is missing")
        wave = sinusoidal(t, self.frequencies).to(self.inner.weight.dtype)
        c = self.outer(F.silu(self.inner(wave)))
        return c if self.label is None else c + self.label(y)
