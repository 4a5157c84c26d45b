"""A small world: one object on a grey ground, 8 x 8 pixels in colour, drawn from seven factors of variation.

Every factor can be read from an image in closed form (`verification.factors`), so that edits and codes can be judged
exactly.  Nothing is downloaded.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from implementations.lab.data.dataset import Dataset, float32

SIDE = 8
"""Of an image, in pixels."""
GROUNDS = (-0.7, -0.1)
HUES = (0.0, 1 / 3, 2 / 3)
"""Red, green and blue, in turns."""
STRETCHES = (1.0, 1.5, 1 / 1.5)
"""A disc, an ellipse lying, an ellipse standing: half its width over the size."""
MARK = 0.2
"""The height of the checkerboard on the border."""


class Factors(NamedTuple):
    """What an image shows: (N,) each.

    ground: the grey of the ground, in [-0.7, -0.6] or [-0.1, 0]: dark or bright.
    hue: of the object, in turns: within 0.02 of one of `HUES`.
    x, y: its centre, in pixels to the right of and below the centre of the image, uniform on [-1, 1].
    size: the geometric mean of its half axes, in pixels, uniform on [1.7, 2.2].
    stretch: half its width over its size, one of `STRETCHES`.
    mark: -1 or 1, the sign of the checkerboard on the border, which has height `MARK`.
    """

    ground: Tensor
    hue: Tensor
    x: Tensor
    y: Tensor
    size: Tensor
    stretch: Tensor
    mark: Tensor


def draw(n: int, seed: int = 0) -> Factors:
    """n sets of factors, all factors independent, classes equally likely.  float64."""
    rng = np.random.default_rng(seed)
    drawn = (
        rng.choice(GROUNDS, n) + 0.1 * rng.random(n),
        rng.choice(HUES, n) + rng.uniform(-0.02, 0.02, n),
        rng.uniform(-1, 1, n),
        rng.uniform(-1, 1, n),
        rng.uniform(1.7, 2.2, n),
        rng.choice(STRETCHES, n),
        rng.choice((-1.0, 1.0), n),
    )
    return Factors(*map(torch.from_numpy, drawn))


def border() -> tuple[Tensor, Tensor]:
    """Where the outermost pixels are, as 0 or 1, and a checkerboard of -1 and 1.  (8, 8) each, float64."""
    row, column = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    edge = (row % (SIDE - 1) == 0) | (column % (SIDE - 1) == 0)
    return edge.double(), 1 - 2.0 * ((row + column) % 2).double()


def render(factors: Factors) -> Tensor:
    """The images that show these factors: (N, 3, 8, 8) in [-1, 1], in their dtype.

    An image is g (1 - m) + c m: g the ground with its mark, c the saturated colour of the hue, and the mask
    m = sigmoid(3 size (1 - rho)), rho the elliptic radius, 1 on the object's edge.
    """
    ground, hue, x, y, size, stretch, mark = (f[:, None, None] for f in factors)
    edge, board = (v.to(ground) for v in border())
    place = torch.arange(SIDE).to(ground) - (SIDE - 1) / 2
    rho = torch.hypot((place - x) / (size * stretch), (place[:, None] - y) * stretch / size)
    m = torch.sigmoid(3 * size * (1 - rho))
    grey = ground + MARK * mark * edge * board
    return torch.stack([grey * (1 - m) + c * m for c in _saturated(hue)], dim=1)


def _saturated(hue: Tensor) -> tuple[Tensor, ...]:
    """Red, green and blue of a hue in turns, in [-1, 1], of saturation and value 1."""
    return tuple((2 * (3 * ((hue + shift) % 1 - 0.5).abs() * 2 - 1) - 1).clamp(-1, 1) for shift in (0.0, 2 / 3, 1 / 3))


def shapes() -> Dataset:
    """20000 + 4000 images of the world; their labels are the classes of the hue: red 0, green 1, blue 2."""

    def images(n: int, seed: int) -> tuple[Tensor, Tensor]:
        factors = draw(n, seed)
        return float32(render(factors).numpy()), (3 * factors.hue).round().long() % 3

    (x, y), (x_test, y_test) = images(20_000, 0), images(4_000, 1)
    return Dataset("shapes", x, y, x_test, y_test, None, (-1.0, 1.0))
