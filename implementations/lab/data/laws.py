"""Points and sequences drawn from a formula, so that their law is known exactly."""

from __future__ import annotations

from math import cos, pi, sin

import numpy as np
import torch
from torch import Tensor

from implementations.lab.data.dataset import float32


def swiss_roll(n: int, seed: int = 0, *, noise: float = 0.05) -> tuple[Tensor, None]:
    """A spiral in the plane, 1.5 turns: radius and angle grow together, evenly; then Gaussian noise.

    The profile of scikit-learn's three-dimensional roll, angle from 1.5 pi to 4.5 pi, scaled so that the outer end has
    radius 2 (both coordinates then have a standard deviation near 1).  Returns (n, 2).
    """
    rng = np.random.default_rng(seed)
    angle = 1.5 * pi * (1 + 2 * rng.random(n))
    x = np.stack([angle * np.cos(angle), angle * np.sin(angle)], axis=1) * (2 / (4.5 * pi))
    return float32(x + noise * rng.standard_normal((n, 2))), None


def moons(n: int, seed: int = 0, *, noise: float = 0.08) -> tuple[Tensor, Tensor]:
    """Two interleaved half circles of radius 1, centred at the origin as a pair.  Returns (n, 2) and labels 0, 1."""
    rng = np.random.default_rng(seed)
    angle, y = pi * rng.random(n), rng.integers(0, 2, n)
    upper = np.stack([np.cos(angle) - 0.5, np.sin(angle) - 0.25], axis=1)
    x = np.where(y[:, None] == 0, upper, -upper)
    return float32(x + noise * rng.standard_normal((n, 2))), torch.from_numpy(y)


def mixture_parameters() -> tuple[Tensor, Tensor, float]:
    """Weights (8,), means (8, 2), float64, and the standard deviation 0.2 of each of `mixture`'s round components.

    The means lie on a circle, weighted 1 : 2 in turn; the radius makes the whole have covariance I, and its mean is 0.
    """
    std = 0.2
    radius = (2 * (1 - std**2)) ** 0.5
    weights = torch.tensor([1.0, 2.0] * 4, dtype=torch.float64) / 12
    means = torch.tensor([[cos(k * pi / 4), sin(k * pi / 4)] for k in range(8)], dtype=torch.float64)
    return weights, radius * means, std


def mixture(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Points of the Gaussian mixture of `mixture_parameters`.  Returns (n, 2) and the components, 0..7."""
    weights, means, std = mixture_parameters()
    rng = np.random.default_rng(seed)
    y = rng.choice(len(weights), n, p=weights.numpy())
    return float32(means.numpy()[y] + std * rng.standard_normal((n, 2))), torch.from_numpy(y)


def heartbeat(n: int, seed: int = 0, *, length: int = 20, period: int = 5) -> tuple[Tensor, Tensor]:
    """Binary sequences with a one in every fifth bin and zeros elsewhere, the first one uniform among the first five.

    So each of `period` sequences has probability 1 / period, and the entropy is log2(5) = 2.32 bits.
    Returns (n, length) in {0, 1} and the place of the first one.
    """
    y = np.random.default_rng(seed).integers(0, period, n)
    x = np.arange(length)[None] % period == y[:, None]
    return float32(x), torch.from_numpy(y)
