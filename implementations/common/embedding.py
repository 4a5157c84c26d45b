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
    """Time, the class if there are classes, and a second number if there is one, as one vector.

    Time: sinusoids and two layers, to which a class adds a row of its own, and the second number what time gives, by
    layers of its own.  classes: how many values y has, 0 for none; a network that must also work without its label has
    one more.  second: whether there is a second number, the level that a jump ends at or a scale of guidance.
    """

    def __init__(self, width: int, *, classes: int = 0, frequencies: int = 64, second: bool = False) -> None:
        super().__init__()
        self.frequencies = frequencies
        self.inner = nn.Linear(frequencies, width)
        self.outer = nn.Linear(width, width)
        self.label = nn.Embedding(classes, width) if classes else None
        self.second = Condition(width, frequencies=frequencies) if second else None

    def forward(self, t: Tensor, y: Tensor | None = None, s: Tensor | None = None) -> Tensor:
        """t: (B,) as the network gets it; y: (B,) int64 exactly when there are classes, s: (B,) exactly when there is
        a second number, in steps of about 1 as t is.  Returns (B, width).
        """
        if (y is None) != (self.label is None):
            raise ValueError("a label was given to a network without classes" if self.label is None else "y is missing")
        if (s is None) != (self.second is None):
            raise ValueError("s was given to a network of one number" if self.second is None else "s is missing")
        wave = sinusoidal(t, self.frequencies).to(self.inner.weight.dtype)
        c = self.outer(F.silu(self.inner(wave)))
        if self.label is not None:
            c = c + self.label(y)
        return c if self.second is None else c + self.second(s)
