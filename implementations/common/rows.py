"""A number for each row of a batch, as networks and formulas want it."""

from __future__ import annotations

import torch
from torch import Tensor


def per_row(value: float | Tensor, x: Tensor) -> Tensor:
    """One number, or one for each row, in x's dtype and on its device, shaped to broadcast over x.

    value: a number, (), (1,) or (B,); x: (B, ...).  Returns (1 or B, 1, ..., 1).
    """
    value = torch.as_tensor(value, dtype=x.dtype, device=x.device)
    return value.view(-1, *[1] * (x.ndim - 1))


def for_all(value: float | Tensor, x: Tensor) -> Tensor:
    """What a network is told about the rows of x: (B, ...), where it is one number for all: (B,), on x's device.

    value: a number, or (), (1,) or (B,).  Integers stay integers, real numbers take x's dtype.
    """
    real = value.is_floating_point() if isinstance(value, Tensor) else isinstance(value, float)
    return torch.as_tensor(value, dtype=x.dtype if real else None, device=x.device).expand(len(x))
