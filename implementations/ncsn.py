"""Generative modeling by estimating gradients of the data distribution: noise conditional score networks.

Song & Ermon, NeurIPS 2019. arXiv:1907.05600 (equation numbers of v3).
Langevin dynamics with a learned score fails where data are scarce, for there the score is wrong, and cannot weigh modes
that nothing connects.  So blur the data with a ladder of noise levels, learn the score of every level in one network,
and sample from the widest level down, each level starting where the one before it ended.

`model(x, sigma)` with sigma: (B,) returns the score of the data blurred by N(0, sigma^2 I).  Levels fall from sigma_1.
The paper's numbers are for data in [0, 1], and its step size counts half: alpha / 2 in front of the score, alpha the
variance of the noise.  (The authors' code, and NCSNv2, have alpha and 2 alpha there.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from implementations.common.noise import Noise, gaussian
from implementations.common.rows import for_all, per_row
from implementations.dsm import objective

ScoreModel = Callable[[Tensor, Tensor], Tensor]


def geometric_levels(sigma_1: float = 1.0, sigma_L: float = 0.01, L: int = 10) -> Tensor:
    """Standard deviations from sigma_1 down to sigma_L, each the same part of the one before (section 4.1).

    Returns (L,), float64.
    """
    if not (sigma_1 > sigma_L > 0 and L >= 2):
        raise ValueError(f"levels need sigma_1 > sigma_L > 0 and L >= 2, not {sigma_1}, {sigma_L} and {L}")
    return sigma_1 * (sigma_L / sigma_1) ** (torch.arange(L, dtype=torch.float64) / (L - 1))


def loss(model: ScoreModel, sigmas: Tensor, x: Tensor, *, noise: Noise = gaussian) -> Tensor:
    """Denoising score matching at a uniform level, weighted by sigma^2 so that all levels count alike.

    sigmas: (L,); x: (B, ...).  A sum over the entries of a row, a mean over rows.
    """
    sigma = sigmas[noise.integers(0, len(sigmas) - 1, x).to(sigmas.device)].to(x)
    ell = objective(lambda x_tilde: model(x_tilde, sigma), x, sigma, noise=noise)  # Eq. 5
    return (sigma.square() * ell).mean()  # Eq. 6


@torch.no_grad()
def langevin(
    model: ScoreModel, x: Tensor, sigma: float, alpha: float, T: int = 100, *, noise: Noise = gaussian
) -> Tensor:
    """T steps of Langevin dynamics at one level, one network evaluation each.  x: (B, ...).  Returns (B, ...)."""
    if not (alpha > 0 and T >= 1):
        raise ValueError(f"Langevin dynamics needs a step size alpha > 0 and T >= 1 steps, not {alpha} and {T}")
    level = for_all(float(sigma), x)
    for _ in range(T):
        x = x + alpha / 2 * model(x, level) + alpha**0.5 * noise(x)  # Eq. 4
    return x


def anneal(
    model: ScoreModel, sigmas: Tensor, x: Tensor, *, eps: float = 2e-5, T: int = 100, noise: Noise = gaussian
) -> Iterator[Tensor]:
    """Annealed Langevin dynamics (Algorithm 1), level by level: yields x at the end of each.  Arguments of `sample`."""
    if not (len(sigmas) and (sigmas > 0).all() and (sigmas.diff() < 0).all()):
        raise ValueError(f"noise levels must fall and stay above 0, not {sigmas.tolist()}")
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / sigmas[-1].item() ** 2  # keeps the size of score to noise, whatever the level
        x = langevin(model, x, sigma, alpha, T, noise=noise)
        yield x


def sample(
    model: ScoreModel, sigmas: Tensor, x: Tensor, *, eps: float = 2e-5, T: int = 100, noise: Noise = gaussian
) -> Tensor:
    """Annealed Langevin dynamics from any start, L T network evaluations.

    sigmas: (L,), falling.  x: (B, ...), in the paper uniform on the data's range.  eps: the step size at the last
    level; stable below 4 sigma_L^2.  T: steps per level.  Returns (B, ...), with the last level's noise still in it.
    """
    for state in anneal(model, sigmas, x, eps=eps, T=T, noise=noise):
        x = state
    return x


class ScoreNetwork(nn.Module):
    """s(x, sigma) for the levels it is made with.  x: (B, ...); sigma: (B,), the nearest level is meant.

    network(x, i) is told the level as a number i in 1..L.  In the paper conditional instance normalisation gives each
    layer scales and biases for each level (appendix A); here the network's embedding of i does that, and one scale for
    each level at its end, learned, from 1 / sigma, which is how large scores turn out to be (section 4.2).
    """

    log_sigmas: Tensor

    def __init__(self, network: nn.Module, sigmas: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("log_sigmas", sigmas.log().float())
        self.log_gain = nn.Parameter(-self.log_sigmas.clone())

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        i = (sigma.log()[:, None] - self.log_sigmas).abs().argmin(1)
        return per_row(self.log_gain[i].exp(), x) * self.network(x, i + 1)
