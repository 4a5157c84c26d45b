"""Networks and pictures in the sizes that showcases take, for images of about 28 x 28 pixels."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from implementations.common.noise import Noise
from implementations.demos.recipes import dataset
from implementations.lab.demo import Run

SIZES: dict[str, Any] = {"width": 32, "multipliers": (1, 2, 4), "attention": (1, 2)}
"""Of a U-Net, whose full resolution is that of the patches."""
SIDE = 2
"""Of a patch, in pixels."""


class Patched(nn.Module):
    """A network that sees each patch of SIDE x SIDE pixels as one, with SIDE^2 times the channels.

    It takes a quarter of the time: single pixels of such images say little that their neighbours do not.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, t: Tensor, *condition: Tensor) -> Tensor:
        return F.pixel_shuffle(self.network(F.pixel_unshuffle(x, SIDE), t, *condition), SIDE)


def gaussian_start(run: Run, n: int) -> Tensor:
    """The first n images of noise of the run's seed."""
    return Noise(run.seed)(torch.empty(n, *dataset(run).shape, device=run.device))
