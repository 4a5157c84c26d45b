"""Small things that the tests of many methods take: a network that depends on all it is given, exact data, types."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from implementations.common.noise import Noise
from implementations.common.rows import per_row
from implementations.dpm import GaussianDiffusion
from implementations.verification.oracles import Gaussian, GaussianMixture

F64 = torch.float64


def draw(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers, float64."""
    return Noise(seed)(torch.empty(shape, dtype=F64))


class Given(Noise):
    """Normal draws that a function gives; whoever asks for other numbers fails."""

    def __init__(self, normal: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.normal = normal

    def __call__(self, like: Tensor) -> Tensor:
        return self.normal(like)

    def uniform(self, like: Tensor) -> Tensor:
        raise AssertionError("only normal numbers are given")

    def integers(self, low: int, high: int, like: Tensor) -> Tensor:
        raise AssertionError("only normal numbers are given")


def refuse(like: Tensor) -> Tensor:
    """For `Given`: what is deterministic must not draw."""
    raise AssertionError("what is deterministic must not draw")


def grid(reach: float, points: int) -> tuple[Tensor, float]:
    """Points of the plane, so many in each row and column, and the area that each stands for."""
    line = torch.linspace(-reach, reach, points, dtype=F64)
    return torch.cartesian_prod(line, line), (2 * reach / (points - 1)) ** 2


def lively(x: Tensor, t: Tensor) -> Tensor:
    """A network that depends on x and on t, neither affinely."""
    return torch.sin(1.3 * x + 0.05 * per_row(t, x)) + 0.2 * x


def rough(T: int) -> GaussianDiffusion:
    """A process whose steps are coarse and uneven, so that no two coefficients agree by accident."""
    return GaussianDiffusion(torch.linspace(0.01, 0.35, T, dtype=F64) ** 1.3)


def scalar_gaussian(m: float, s: float) -> Gaussian:
    """N(m, s^2) on the line."""
    return Gaussian(torch.tensor([m], dtype=F64), torch.tensor([[s * s]], dtype=F64))


LADDER = torch.tensor([1.7, 0.6, 0.25], dtype=F64)
"""Noise levels that fall, but not geometrically, so that no two ratios agree by accident."""


def lively_score(x: Tensor, sigma: Tensor) -> Tensor:
    """A score that depends on x and on the level, neither affinely."""
    s = per_row(sigma, x)
    return torch.sin(1.3 * x + s) - 0.4 * x / s


class Told(nn.Module):
    """A network that returns what it was told of the level or the time."""

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return per_row(t, x).expand_as(x)


def transport(law: GaussianMixture, x: Tensor, sigma: float, to: float) -> Tensor:
    """Where the ODE takes points of a mixture on the line: it keeps their order, hence their quantiles."""

    def quantile(v: Tensor, level: float) -> Tensor:
        z = (v - law.means[:, 0]) / (law.covs[:, 0, 0] + level**2).sqrt()
        return (law.weights * torch.special.ndtr(z)).sum(1, keepdim=True)

    u, low = quantile(x, sigma), torch.full_like(x, -30.0)
    high = -low
    for _ in range(60):
        middle = (low + high) / 2
        below = quantile(middle, to) < u
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return low
