"""A residual perceptron for points in the plane and for short vectors."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from implementations.common.embedding import Condition


class Block(nn.Module):
    """h + W2 silu(W1 silu(norm(h)) + C c): conditioned between its two layers, the identity at the start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, width)
        self.condition = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        return h + self.outer(F.silu(self.inner(F.silu(self.norm(h))) + self.condition(c)))


class MLP(nn.Module):
    """`model(x, t)` or, with classes, `model(x, t, y)` for x: (B, features).  Returns (B, out), zero before training.

    t: (B,), in steps of about 1 (see `embedding.sinusoidal`).  y: (B,) int64 in 0..classes - 1.  second: whether it
    takes another number as well, `model(x, t, s=s)`, in steps as those of t.
    """

    def __init__(
        self,
        features: int,
        out: int | None = None,
        *,
        width: int = 128,
        depth: int = 3,
        classes: int = 0,
        second: bool = False,
    ) -> None:
        super().__init__()
        self.condition = Condition(width, classes=classes, second=second)
        self.inlet = nn.Linear(features, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.outlet = nn.Linear(width, features if out is None else out)
        nn.init.zeros_(self.outlet.weight)
        nn.init.zeros_(self.outlet.bias)

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None, s: Tensor | None = None) -> Tensor:
        c = F.silu(self.condition(t, y, s))
        h = self.inlet(x)
        for block in self.blocks:
            h = block(h, c)
        return self.outlet(F.silu(self.norm(h)))
