"""Elucidating the design space of diffusion-based generative models (EDM).

Karras, Aittala, Aila & Laine, NeurIPS 2022. arXiv:2206.00364 (equation numbers of v2).
A diffusion model is a denoiser D(x; sigma) for every noise level and a solver of one ODE; all else is a choice that can
be made on its own.  The choices here: time is the noise level itself, so that the ODE's paths are nearly straight;
steps crowd at low noise (rho = 7), each by Heun's method, or with fresh noise churned in; the network in D sees input
and target of unit variance; training spends its time at the levels in between, where there is something to learn.

x = y + n, data y of standard deviation sigma_data (0.5, about that of images in [-1, 1]), n ~ N(0, sigma^2 I).  A model
is a denoiser: `model(x, sigma)` with sigma: (B,) returns its guess of y.  N steps of Heun's method cost 2 N - 1 network
evaluations, N of Euler's N.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from math import inf, sqrt
from typing import Literal

import torch
from torch import Tensor, nn

from implementations.common.noise import Noise, gaussian
from implementations.common.rows import for_all, per_row

DenoisingModel = Callable[[Tensor, Tensor], Tensor]
Solver = Literal["heun", "euler"]


class Denoiser(nn.Module):
    """D(x; sigma) = c_skip x + c_out F(c_in x; c_noise) around a network F, `network(x, c_noise)` (Table 1).

    Where noise is small D hands x through and F corrects it by little; where it is large F predicts y.
    x: (B, ...); sigma: (B,), above 0.  condition: further arguments of the network, a class say.
    """

    def __init__(self, network: nn.Module, sigma_data: float = 0.5) -> None:
        super().__init__()
        if not sigma_data > 0:
            raise ValueError(f"sigma_data must be above 0, not {sigma_data}")
        self.network, self.sigma_data = network, sigma_data

    def scalings(self, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """c_skip, c_out, c_in and c_noise, each in the shape of sigma."""
        variance = sigma**2 + self.sigma_data**2
        c_skip = self.sigma_data**2 / variance
        c_out = sigma * self.sigma_data / variance.sqrt()
        return c_skip, c_out, 1 / variance.sqrt(), sigma.log() / 4

    def forward(self, x: Tensor, sigma: Tensor, *condition: Tensor) -> Tensor:
        c_skip, c_out, c_in, c_noise = self.scalings(sigma)
        F = self.network(per_row(c_in, x) * x, c_noise, *condition)  # Eq. 7
        return per_row(c_skip, x) * x + per_row(c_out, x) * F  # Eq. 7


def loss(
    model: DenoisingModel,
    y: Tensor,
    *,
    sigma_data: float = 0.5,
    P_mean: float = -1.2,
    P_std: float = 1.2,
    noise: Noise = gaussian,
) -> Tensor:
    """Squared error of D at log-normal noise levels, weighted by 1 / c_out^2, averaged over entries (Table 1).

    In terms of F this is its plain squared error.  An untrained F = 0 scores 1 at every level if the mean square of the
    data is sigma_data^2, hence if their mean is 0 and sigma_data their standard deviation; else its score goes, as
    noise grows, from 1 to their mean square over sigma_data^2.  y: (B, ...).
    """
    sigma = (P_mean + P_std * noise(y.new_empty(len(y)))).exp()
    weight = (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
    n = per_row(sigma, y) * noise(y)  # Eq. 2
    return (per_row(weight, y) * (model(y + n, sigma) - y).square()).mean()  # Eq. 2


def schedule(steps: int = 18, sigma_min: float = 0.002, sigma_max: float = 80.0, rho: float = 7.0) -> Tensor:
    """Noise levels from sigma_max down to sigma_min, evenly spaced in sigma^(1 / rho), and then 0.

    rho = 3 would make the steps' errors alike; 7 gives the low levels more.  Returns (steps + 1,), float64.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}")
    if not (0 < sigma_min < sigma_max < inf and rho > 0):
        raise ValueError(f"want 0 < sigma_min < sigma_max and rho > 0, not {sigma_min}, {sigma_max} and {rho}")
    fraction = torch.arange(steps, dtype=torch.float64) / max(steps - 1, 1)  # Eq. 5
    high, low = sigma_max ** (1 / rho), sigma_min ** (1 / rho)  # Eq. 5
    sigmas = ((high + fraction * (low - high)) ** rho).clamp(sigma_min, sigma_max)  # Eq. 5
    return torch.cat([sigmas, sigmas.new_zeros(1)])  # Eq. 5


def slope(D: DenoisingModel, x: Tensor, sigma: float | Tensor) -> Tensor:
    """dx/dsigma along the probability-flow ODE, with sigma itself as time.  x: (B, ...); sigma: a number or (B,)."""
    sigma = for_all(1.0 * sigma, x)
    score = (D(x, sigma) - x) / per_row(sigma, x) ** 2  # Eq. 3
    return -per_row(sigma, x) * score  # Eq. 1


def step(D: DenoisingModel, x: Tensor, t: float | Tensor, s: float | Tensor, *, solver: Solver = "heun") -> Tensor:
    """From noise level t to s: by Euler's method, or by Heun's, which averages the slopes at both ends (s > 0).

    x: (B, ...); t, s: a number or (B,).
    """
    _known(solver)
    d, h = slope(D, x, t), per_row(s - t, x)
    x_next = x + h * d
    if solver == "euler":
        return x_next
    return x + h * (d + slope(D, x_next, s)) / 2


@torch.no_grad()
def trajectory(
    model: DenoisingModel,
    x: Tensor,
    sigmas: Tensor,
    *,
    solver: Solver = "heun",
    S_churn: float = 0.0,
    S_min: float = 0.0,
    S_max: float = inf,
    S_noise: float = 1.0,
    noise: Noise = gaussian,
) -> Iterator[Tensor]:  # Algs. 1 and 2
    """The sampler, step by step: yields x at the end of each.  x: (B, ...), at noise level sigmas[0]; see `sample`.

    With churn it is Algorithm 2; without, Algorithm 1 for sigma(t) = t and s(t) = 1.  The state is float64; the model
    gets the dtype of x, and so does the caller.
    """
    _known(solver)
    if not (len(sigmas) > 1 and (sigmas.diff() < 0).all() and sigmas[-1] >= 0):
        raise ValueError(f"sigmas must be two or more noise levels that fall and end at 0 or above, not {sigmas}")
    if not (S_churn >= 0 and S_noise >= 0 and S_min <= S_max):
        raise ValueError(
            f"want S_churn >= 0, S_noise >= 0 and S_min <= S_max, not {S_churn}, {S_noise}, {S_min} and {S_max}"
        )

    def D(state: Tensor, sigma: Tensor) -> Tensor:
        return model(state.to(x.dtype), sigma.to(x.dtype)).to(state)

    state, N = x.double(), len(sigmas) - 1
    for t, s in pairwise(sigmas.tolist()):
        gamma = min(S_churn / N, sqrt(2) - 1) if S_min <= t <= S_max else 0.0
        t_hat = t + gamma * t
        if gamma > 0:
            state = state + sqrt(t_hat**2 - t**2) * S_noise * noise(state)
        state = step(D, state, t_hat, s, solver=solver if s > 0 else "euler")
        yield state.to(x.dtype)


def sample(
    model: DenoisingModel,
    z: Tensor,
    sigmas: Tensor,
    *,
    solver: Solver = "heun",
    S_churn: float = 0.0,
    S_min: float = 0.0,
    S_max: float = inf,
    S_noise: float = 1.0,
    noise: Noise = gaussian,
) -> Tensor:
    """From noise to data along `sigmas`, of `schedule`.

    z: (B, ...) ~ N(0, I), scaled here.  S_churn: how much noise all steps together add before they remove it, in each
    at most what raises its level by sqrt(2), and only at levels in S_min..S_max; S_noise: its standard deviation.
    Returns (B, ...).
    """
    x = sigmas[0].to(z) * z
    churn = {"S_churn": S_churn, "S_min": S_min, "S_max": S_max, "S_noise": S_noise}
    for state in trajectory(model, x, sigmas, solver=solver, **churn, noise=noise):
        x = state
    return x


def _known(solver: str) -> None:
    if solver not in ("heun", "euler"):
        raise ValueError(f"solver must be 'heun' or 'euler', not {solver!r}")
