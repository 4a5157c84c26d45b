"""Denoising diffusion implicit models.

Song, Meng & Ermon, ICLR 2021. arXiv:2010.02502 (equation numbers of v4).
A trained DDPM also solves a family of non-Markovian processes with the same marginals; sigma = 0 makes sampling
deterministic, lets it skip steps, and makes x_T a code that leads back to x_0.

The paper's alpha_t is abar_t here, as in DDPM.  t counts from 1 to T, and t = 0 is the data; `model(x_t, t)` predicts
the noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from implementations.common.noise import Noise, gaussian
from implementations.common.rows import for_all, per_row
from implementations.ddpm import GaussianDiffusion, NoiseModel, check_signal, predict_x_0

Level = tuple[Tensor, Tensor]
"""(alpha, sigma) of x = alpha x_0 + sigma eps, each () or shaped to broadcast over x."""


def timesteps(T: int, steps: int, spacing: str = "linear") -> Tensor:
    """An increasing subset of 1..T that ends at T, where sampling starts.

    spacing: "linear" is i T / S, "quadratic" is i^2 T / S^2, rounded; quadratic may merge small steps when S > sqrt(T).
    The paper (appendix D.2) rounds c i and c i^2 down, with a c that brings the last one near T but not always to it.
    Returns (S,), int64.
    """
    if not 1 <= steps <= T:
        raise ValueError(f"steps must lie in 1..{T} (the trained process has T = {T} steps), not {steps}")
    if spacing not in ("linear", "quadratic"):
        raise ValueError(f"spacing must be 'linear' or 'quadratic', not {spacing!r}")
    fraction = torch.arange(1, steps + 1, dtype=torch.float64) / steps
    if spacing == "quadratic":
        fraction = fraction.square()
    return (fraction * T).round().clamp_min(1).long().unique()


def pairs(process: GaussianDiffusion, tau: Tensor) -> Iterator[tuple[int, int]]:
    """(s, t) for consecutive times 0 < tau_1 < ... < tau_S, from the data upwards; checks that tau is such a list."""
    times = [0, *tau.tolist()]
    if len(times) < 2 or times[-1] > process.T or any(s >= t for s, t in pairwise(times)):
        raise ValueError(f"timesteps must increase strictly within 1..{process.T}, got {tau.tolist()}")
    return pairwise(times)


def step(z: Tensor, x: Tensor, level: Level, next_level: Level) -> Tensor:
    """From one noise level to any other, for z at the first that came from x: the noise between them stays the same.

    z, x: (B, ...).  level: with sigma above 0; alpha may be 0, where all of z is noise.  Returns (B, ...).
    """
    (alpha, sigma), (alpha_next, sigma_next) = level, next_level
    return alpha_next * x + sigma_next * ((z - alpha * x) / sigma)  # Eq. 12


@torch.no_grad()
def sample(
    model: NoiseModel,
    process: GaussianDiffusion,
    x_T: Tensor,
    tau: Tensor,
    *,
    eta: float = 0.0,
    clip: tuple[float, float] | None = None,
    noise: Noise = gaussian,
) -> Tensor:  # section 4.2
    """Reverse process over any increasing subset of timesteps, one network evaluation each.

    x_T: (B, ...) ~ N(0, I), the state at tau[-1].  tau: (S,) in 1..T.  eta: 0 deterministic, 1 ancestral (beta-tilde).
    clip: limits for the predicted x_0, from which the noise is then derived anew; not in the paper, but a network that
    is 1 % wrong about the noise at t = T = 1000 is 1.6 wrong about x_0.  Returns x_0: (B, ...).
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must lie in 0..1 (0 deterministic, 1 ancestral), not {eta}")
    x = x_T
    for s, t in reversed(list(pairs(process, tau))):
        abar_s, abar_t = process.abar[s], process.abar[t]
        eps = model(x, for_all(t, x))
        sigma = eta * ((1 - abar_s) / (1 - abar_t)).sqrt() * (1 - abar_t / abar_s).sqrt()  # Eq. 16
        x_0 = predict_x_0(process, x, t, eps)  # Eq. 9
        if clip is not None:
            x_0 = x_0.clamp(*clip)
        level, rest = (abar_t.sqrt(), (1 - abar_t).sqrt()), (abar_s.sqrt(), (1 - abar_s - sigma**2).sqrt())
        x = step(x, x_0, level, rest)  # Eq. 12
        if eta > 0 and s > 0:
            x = x + sigma * noise(x)  # Eq. 12
    return x


@torch.no_grad()
def encode(model: NoiseModel, process: GaussianDiffusion, x_0: Tensor, tau: Tensor) -> Tensor:
    """The x_T that deterministic sampling over the same timesteps leads back to x_0, up to O(1/S) (section 4.3).

    Euler steps of the ODE from data to noise.  x_0: (B, ...).  tau: (S,) in 1..T.  Returns x at tau[-1]: (B, ...).
    """
    check_signal(process)
    x = x_0
    for s, t in pairs(process, tau):
        abar_s, abar_t = process.abar[s], process.abar[t]
        eps = model(x, for_all(max(s, 1), x))  # no network is trained at t = 0; its nearest level is 1
        slope = ((1 - abar_t) / abar_t).sqrt() - ((1 - abar_s) / abar_s).sqrt()  # Eq. 13
        x = abar_t.sqrt() * (x / abar_s.sqrt() + slope * eps)  # Eq. 13
    return x


def slerp(x_a: Tensor, x_b: Tensor, weight: float | Tensor) -> Tensor:
    """Spherical interpolation between two codes, which keeps their length (appendix D.5).

    x_a, x_b: (B, ...); weight: in [0, 1], or (B,).  Returns (B, ...): x_a at 0, x_b at 1.
    """
    a, b = x_a.flatten(1), x_b.flatten(1)
    cosine = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))
    theta = cosine.clamp(-1, 1).acos()
    weight = torch.as_tensor(weight, dtype=x_a.dtype, device=x_a.device)
    straight = theta.sin() < 1e-6
    over = torch.where(straight, torch.ones_like(theta), theta.sin())
    from_a = torch.where(straight, 1 - weight, ((1 - weight) * theta).sin() / over)
    from_b = torch.where(straight, weight.expand_as(theta), (weight * theta).sin() / over)
    return per_row(from_a, x_a) * x_a + per_row(from_b, x_b) * x_b
