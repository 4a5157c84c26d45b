"""Denoising diffusion probabilistic models.

Ho, Jain & Abbeel, NeurIPS 2020. arXiv:2006.11239 (equation numbers of v2).
The 2015 chain, with a network that predicts the noise, a loss without weights, and a reverse variance that is fixed:
denoising score matching over many noise levels, sampled by something close to annealed Langevin dynamics.

Data lies in [-1, 1].  t counts from 1 to T, and `model(x_t, t)` with t: (B,) returns its guess of the noise.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Literal

import torch
from torch import Tensor

from implementations.common.noise import Noise, gaussian
from implementations.common.rows import for_all
from implementations.dpm import GaussianDiffusion, gaussian_kl

NoiseModel = Callable[[Tensor, Tensor], Tensor]
Variance = Literal["small", "large"]


def linear_schedule(T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02) -> GaussianDiffusion:
    """Variances from beta_1 to beta_T in equal steps (section 4).

    The end points are the paper's for T = 1000; with far fewer steps x_T keeps some of x_0.
    """
    return GaussianDiffusion(torch.linspace(beta_1, beta_T, T, dtype=torch.float64))


def check_signal(process: GaussianDiffusion) -> None:
    """ValueError if x_T holds nothing of x_0: knowing its noise then says nothing about x_0 (0 / 0)."""
    if process.abar[-1] <= 0:
        raise ValueError(
            "predicting the noise needs some signal left at t = T, but abar_T is 0: keep every beta below 1, or let "
            "the model predict x_0 or v"
        )


def predict_x_0(process: GaussianDiffusion, x_t: Tensor, t: int | Tensor, eps: Tensor) -> Tensor:
    """The x_0 that x_t came from if eps was the noise.  x_t, eps: (B, ...); t: int or (B,).  Returns (B, ...)."""
    check_signal(process)
    root, sigma = process.at(process.abar.sqrt(), t, x_t), process.at((1 - process.abar).sqrt(), t, x_t)
    return (x_t - sigma * eps) / root  # Eq. 15


def loss(model: NoiseModel, process: GaussianDiffusion, x_0: Tensor, *, noise: Noise = gaussian) -> Tensor:
    """L_simple: squared error of the predicted noise, at a uniform t, averaged over entries.  x_0: (B, ...)."""
    t = noise.integers(1, process.T, x_0)
    eps = noise(x_0)
    return (eps - model(process.diffuse(x_0, t, eps), t)).square().mean()  # Eq. 14


def bound_loss(model: NoiseModel, process: GaussianDiffusion, x_0: Tensor, *, noise: Noise = gaussian) -> Tensor:
    """The same error weighted as the variational bound has it, for the large variance, without the bound's constants.

    x_0: (B, ...).  Returns the estimate of L_1 + ... + L_T from one uniform t per row, in nats per entry.
    """
    t = noise.integers(1, process.T, x_0)
    eps = noise(x_0)
    weight = process.at(process.beta / (2 * process.alpha * (1 - process.abar)), t, x_0)
    return process.T * (weight * (eps - model(process.diffuse(x_0, t, eps), t)).square()).mean()  # Eq. 12


def reverse(
    process: GaussianDiffusion, x_t: Tensor, t: int | Tensor, eps: Tensor, variance: Variance = "small"
) -> tuple[Tensor, Tensor]:
    """Mean and variance of p(x_{t-1} | x_t).

    variance: "small" is beta-tilde_t, right for data at one point; "large" is beta_t, right for data ~ N(0, I)
    (section 3.2).  Returns (B, ...) and a tensor that broadcasts to it.
    """
    if variance not in ("small", "large"):
        raise ValueError(f"variance must be 'small' (beta-tilde) or 'large' (beta), not {variance!r}")
    check_signal(process)
    share = process.at(process.beta / (1 - process.abar).sqrt(), t, x_t)
    mean = (x_t - share * eps) / process.at(process.alpha.sqrt(), t, x_t)  # Eq. 11
    if variance == "large":
        return mean, process.at(process.beta, t, x_t)
    return mean, process.at(process.posterior_variance, t, x_t)  # Eq. 7


@torch.no_grad()
def sample(
    model: NoiseModel,
    process: GaussianDiffusion,
    x_T: Tensor,
    *,
    variance: Variance = "small",
    noise: Noise = gaussian,
) -> Tensor:
    """Ancestral sampling (Algorithm 2), T network evaluations.  x_T: (B, ...) ~ N(0, I).  Returns x_0: (B, ...)."""
    x = x_T
    for t in range(process.T, 0, -1):
        eps = model(x, for_all(t, x))
        mean, var = reverse(process, x, t, eps, variance)
        x = mean + var.sqrt() * noise(x) if t > 1 else mean
    return x


def decoder_log_likelihood(x_0: Tensor, mean: Tensor, variance: Tensor, levels: int) -> Tensor:
    """log p(x_0 | x_1) of data on `levels` equally spaced values in [-1, 1].

    Each value owns the interval half-way to its neighbours; the outermost two own the tails.  Returns nats, (B, ...).
    """
    centred, sd, half = x_0 - mean, variance.sqrt(), 1 / (levels - 1)
    upper = torch.where(x_0 > 1 - half, torch.inf, (centred + half) / sd)
    lower = torch.where(x_0 < -1 + half, -torch.inf, (centred - half) / sd)
    # Mirror intervals above the mean, so that the two masses are small numbers and not both nearly one.
    above = upper + lower > 0
    upper, lower = torch.where(above, -lower, upper), torch.where(above, -upper, lower)
    log_upper, log_lower = torch.special.log_ndtr(upper), torch.special.log_ndtr(lower)
    return log_upper + torch.log(-torch.expm1(log_lower - log_upper))  # Eq. 13


@torch.no_grad()
def bits_per_dimension(
    model: NoiseModel,
    process: GaussianDiffusion,
    x_0: Tensor,
    levels: int,
    *,
    variance: Variance = "small",
    noise: Noise = gaussian,
) -> Tensor:
    """The variational bound on -log p(x_0), term by term, with one draw of x_t for each t; T network evaluations.

    x_0: (B, ...) on `levels` values in [-1, 1].  Returns (T + 1, B) in bits per dimension: row 0 is L_0 (the decoder),
    row t - 1 is L_{t-1}, row T is L_T (the prior).  The bound is the sum over rows.
    """
    rows = []
    for t in range(1, process.T + 1):
        x_t = process.diffuse(x_0, t, noise(x_0))
        eps = model(x_t, for_all(t, x_0))
        mean, var = reverse(process, x_t, t, eps, variance)
        if t == 1:
            # beta-tilde_1 is 0; the decoder takes beta-tilde_2, the nearest level that has a width.
            first = process.at(process.posterior_variance, 2, x_0) if variance == "small" else var
            rows.append(-decoder_log_likelihood(x_0, mean, first, levels))
        else:
            rows.append(gaussian_kl(*process.posterior(x_0, x_t, t), mean, var))
    abar_T = process.at(process.abar, process.T, x_0)
    rows.append(gaussian_kl(abar_T.sqrt() * x_0, 1 - abar_T, torch.zeros_like(x_0), torch.ones_like(abar_T)))
    return torch.stack([row.flatten(1).mean(1) for row in rows]) / log(2)  # Eq. 5
