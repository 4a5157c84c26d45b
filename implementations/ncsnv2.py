"""Improved techniques for training score-based generative models: NCSNv2.

Song & Ermon, NeurIPS 2020. arXiv:2006.09011 (equation numbers of v2; the paper numbers its rules Technique 1 to 5).
NCSN's constants were found by hand for small images.  Two cases that can be solved, data as a cloud of points and data
as one point in D dimensions, give rules for the widest level, for the ratio of levels and for the step size.

`network(x, t)` gets t = 0 and never learns the level; `model(x, sigma)` is a score, as in NCSN.  The step size counts
whole, unlike NCSN's: alpha in front of the score, 2 alpha the variance of the noise.
Technique 5, the moving average of the weights with m = 0.999, is left to the training: `ema` of `lab.training.train`.
"""

from __future__ import annotations

from math import log, sqrt
from statistics import NormalDist

import torch
from torch import Tensor, nn

from implementations import ncsn
from implementations.common.noise import Noise, gaussian
from implementations.common.rows import for_all, per_row
from implementations.dsm import denoise
from implementations.ncsn import ScoreModel, geometric_levels


def largest_distance(x: Tensor) -> float:
    """sigma_1: the greatest distance between two examples, so that noise at this level hides which one it was.

    x: (N, ...).  The chance to take one for the other falls as exp(-distance^2 / 8 sigma^2) (Proposition 1).
    """
    flat = x.flatten(1)
    return max(torch.cdist(rows, flat).max().item() for rows in flat.split(1024))  # Technique 1


def overlap(gamma: float, D: int) -> float:
    """The chance that a draw of N(0, sigma^2 I) in D dimensions has a length usual for gamma sigma.

    Lengths at sigma are nearly N(sqrt(D) sigma, sigma^2 / 2); usual means within three standard deviations.
    """
    cdf, shift = NormalDist().cdf, sqrt(2 * D) * (gamma - 1)
    return cdf(shift + 3 * gamma) - cdf(shift - 3 * gamma)  # Technique 2


def common_ratio(D: int, C: float = 0.5) -> float:
    """gamma = sigma_{i-1} / sigma_i, at which neighbours overlap by C (section 3.2); near 1 + 3 / sqrt(2 D).

    C: in (0.01, 0.99); the paper says about 0.5, and its own ladders have 0.57.  D: at least 5, for in fewer dimensions
    lengths are so uncertain that no ratio brings the overlap down to a half.
    """
    if D < 5 or not 0.01 < C < 0.99:
        raise ValueError(f"a ratio needs D of at least 5 and C in (0.01, 0.99), not {D} and {C}")
    low, high = 1.0, 40.0  # holds the ratio also for the least D and C
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if overlap(middle, D) > C else (low, middle)
    return low


def noise_levels(x: Tensor, sigma_L: float = 0.01, C: float = 0.5) -> Tensor:
    """The ladder for a data set (N, ...): Techniques 1 and 2.  Returns (L,), falling, float64."""
    sigma_1 = largest_distance(x)
    if not sigma_1 > sigma_L:
        raise ValueError(f"sigma_L = {sigma_L} must be below the greatest distance of two examples, {sigma_1:g}")
    gamma = common_ratio(x[0].numel(), C)
    return geometric_levels(sigma_1, sigma_L, 1 + max(1, round(log(sigma_1 / sigma_L) / log(gamma))))


def variance_ratio(eps: float | Tensor, T: int, gamma: float, sigma_L: float) -> float | Tensor:
    """s_T^2 / sigma_i^2: the variance after T steps at a level, started at gamma sigma_i, over what it should be.

    For data at one point; the same at each level (Proposition 3).
    """
    keep = (1 - eps / sigma_L**2) ** 2
    settled = 2 * eps / (sigma_L**2 * (1 - keep))
    return keep**T * (gamma**2 - settled) + settled  # Eq. 4


def step_size(sigmas: Tensor, T: int = 5) -> float:
    """eps, the step size at the last level, for T steps per level: brings Eq. 4 nearest to 1.  sigmas: (L,), geometric.

    A search over 20000 values per decade below sigma_L^2, where the ratio is above 1 throughout.
    """
    if T < 1:
        raise ValueError(f"T must be at least 1 step per level, not {T}")
    sigma_L, gamma = sigmas[-1].item(), (sigmas[-2] / sigmas[-1]).item()
    eps = sigma_L**2 * torch.logspace(-6, 0, 120_001, dtype=torch.float64)
    ratio = torch.as_tensor(variance_ratio(eps, T, gamma, sigma_L))
    return eps[ratio.argmin()].item()  # Technique 4


class Unconditional(nn.Module):
    """s(x, sigma) = s(x) / sigma: one network for all levels, told none.  x: (B, ...); sigma: (B,)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.network(x, torch.zeros_like(sigma)) / per_row(sigma, x)  # Technique 3


@torch.no_grad()
def sample(
    model: ScoreModel,
    sigmas: Tensor,
    x: Tensor,
    *,
    eps: float,
    T: int = 5,
    denoised: bool = True,
    noise: Noise = gaussian,
) -> Tensor:
    """Annealed Langevin dynamics, and a last step that takes off the noise of the last level (Algorithm 1).

    sigmas: (L,), falling.  x: (B, ...).  eps: from `step_size`; stable below 2 sigma_L^2.  L T + 1 network evaluations,
    L T if not denoised.  Returns (B, ...).
    """
    x = ncsn.sample(model, sigmas, x, eps=2 * eps, T=T, noise=noise)
    if not denoised:
        return x
    sigma_L = sigmas[-1].to(x)
    return denoise(lambda x: model(x, for_all(sigma_L, x)), x, sigma_L)
