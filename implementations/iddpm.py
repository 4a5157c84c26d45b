"""Improved denoising diffusion probabilistic models.

Nichol & Dhariwal, ICML 2021. arXiv:2102.09672 (equation numbers of v1).
The reverse variance is learned too, between the two that DDPM could choose from; the bound trains it, and only it, next
to the simple loss.  With variances that fit, most steps can be skipped.  A schedule that destroys images more slowly.

Data lies in [-1, 1].  t counts from 1 to T, and `model(x_t, t)` with x_t: (B, C, ...) returns (B, 2 C, ...): its guess
of the noise, then what places the variance, -1 for beta-tilde_t and 1 for beta_t, as in the authors' code (the paper's
v is half of that plus one half), so that an untrained network begins in the middle.  Nothing keeps it between the two.
The bound is counted in bits per dimension.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log, pi

import torch
from torch import Tensor, nn

from implementations.common.noise import Noise, gaussian
from implementations.common.rows import for_all
from implementations.ddpm import GaussianDiffusion, decoder_log_likelihood, gaussian_kl, predict_x_0

NoiseVarianceModel = Callable[[Tensor, Tensor], Tensor]
Clip = tuple[float, float] | None


def cosine_schedule(T: int = 4000, s: float = 0.008, largest: float = 0.999) -> GaussianDiffusion:
    """abar_t falls like the square of a cosine: slowly at both ends, evenly in between (section 3.2).

    s keeps the first steps from being too small to notice.  largest, below 1, bounds beta_t, which would be 1 at T and
    leave nothing of x_0 to divide by.
    """
    if T < 1 or s < 0 or not 0 < largest < 1:
        raise ValueError(
            f"a cosine schedule needs T >= 1, s >= 0 and largest between 0 and 1, not {T}, {s} and {largest}"
        )
    f = torch.cos((torch.arange(T + 1, dtype=torch.float64) / T + s) / (1 + s) * pi / 2).square()  # Eq. 17
    return GaussianDiffusion((1 - f[1:] / f[:-1]).clamp_max(largest))


def timesteps(T: int, K: int) -> Tensor:
    """K of the T steps, evenly spaced from 1 to T and rounded (section 4); T alone if K is 1.  Returns (K,), int64."""
    if not 1 <= K <= T:
        raise ValueError(f"K must lie in 1..{T} (the trained process has T = {T} steps), not {K}")
    return torch.linspace(T, 1, K, dtype=torch.float64).round().long().flip(0)


def strided(process: GaussianDiffusion, tau: Tensor) -> GaussianDiffusion:
    """The chain that visits only the times tau: (K,), increasing in 1..T.  Its step k leads from tau[k - 1] down."""
    times = torch.cat([tau.new_zeros(1), tau])
    if len(tau) == 0 or (times.diff() < 1).any() or times[-1] > process.T:
        raise ValueError(f"timesteps must increase strictly within 1..{process.T}, got {tau.tolist()}")
    abar = process.abar[times]
    return GaussianDiffusion(1 - abar[1:] / abar[:-1])  # Eq. 19


def retimed(model: NoiseVarianceModel, tau: Tensor) -> NoiseVarianceModel:
    """The model for a strided chain: at step k it is asked about tau[k - 1], a time it was trained at."""

    def at_step(x: Tensor, k: Tensor) -> Tensor:
        return model(x, tau.to(k.device)[k - 1])

    return at_step


def least_variance(process: GaussianDiffusion) -> Tensor:
    """beta-tilde, (T + 1,), with beta-tilde_2 at t = 1 too, for its own value there is 0 and has no logarithm.

    If T is 1 there is no beta-tilde_2, and beta_1 is both bounds.
    """
    first = process.posterior_variance[2] if process.T > 1 else process.beta[1]
    return torch.cat([first.expand(2), process.posterior_variance[2:]])


def reverse(
    process: GaussianDiffusion, x_t: Tensor, t: int | Tensor, output: Tensor, *, clip: Clip = None
) -> tuple[Tensor, Tensor]:
    """Mean and variance of p(x_{t-1} | x_t), two (B, C, ...).  x_t: (B, C, ...); output: the model's, (B, 2 C, ...).

    clip: limits for the predicted x_0; not in the paper, but in the authors' code, for samples and for the bound, never
    for a loss: where abar_t is 1e-6, a network that is 1 % wrong about the noise is 10 wrong about x_0.
    """
    if output.shape[1] != 2 * x_t.shape[1]:
        raise ValueError(
            f"the model must return 2 x {x_t.shape[1]} channels, the noise and then the variance, not {output.shape[1]}"
        )
    eps, place = output.chunk(2, dim=1)
    x_0 = predict_x_0(process, x_t, t, eps)
    mean, _ = process.posterior(x_0 if clip is None else x_0.clamp(*clip), x_t, t)
    v = (place + 1) / 2
    least, most = (process.at(table.log(), t, x_t) for table in (least_variance(process), process.beta))
    return mean, torch.exp(v * most + (1 - v) * least)  # Eq. 15


@torch.no_grad()
def sample(
    model: NoiseVarianceModel, process: GaussianDiffusion, x_T: Tensor, *, clip: Clip = None, noise: Noise = gaussian
) -> Tensor:
    """Ancestral sampling, T network evaluations; for fewer, give it a `strided` process and the model `retimed`.

    x_T: (B, C, ...) ~ N(0, I).  clip: see `reverse`.  Returns x_0: (B, C, ...).
    """
    x = x_T
    for t in range(process.T, 0, -1):
        mean, variance = reverse(process, x, t, model(x, for_all(t, x)), clip=clip)
        x = mean + variance.sqrt() * noise(x) if t > 1 else mean
    return x


def term(
    process: GaussianDiffusion,
    x_0: Tensor,
    x_t: Tensor,
    t: Tensor,
    output: Tensor,
    levels: int | None,
    *,
    clip: Clip = None,
) -> Tensor:
    """L_{t-1} of each row, in bits per dimension; the bound is the sum of these over t = 1..T, and L_T.

    x_0, x_t: (B, C, ...); t: (B,); output: (B, 2 C, ...).  levels: how many equally spaced values in [-1, 1] the data
    can take; None if it is continuous: then the decoder is a density, and the bound one on -log p(x_0).  Returns (B,).
    """
    mean, variance = reverse(process, x_t, t, output, clip=clip)
    posterior_mean, _ = process.posterior(x_0, x_t, t)
    nats = gaussian_kl(posterior_mean, process.at(least_variance(process), t, x_0), mean, variance)
    last = t == 1  # its own rows only: elsewhere the decoder could be 0, and its gradient not a number
    if levels is None:
        law = torch.distributions.Normal(mean[last], variance[last].sqrt())
        nats[last] = -law.log_prob(x_0[last])
    else:
        nats[last] = -decoder_log_likelihood(x_0[last], mean[last], variance[last], levels)
    return nats.flatten(1).mean(1) / log(2)


@torch.no_grad()
def bits_per_dimension(
    model: NoiseVarianceModel,
    process: GaussianDiffusion,
    x_0: Tensor,
    levels: int | None,
    *,
    clip: Clip = None,
    noise: Noise = gaussian,
) -> Tensor:
    """The variational bound, term by term, with one draw of x_t for each t; T network evaluations.  As DDPM's.

    x_0: (B, C, ...); levels: see `term`; clip: see `reverse`.  Returns (T + 1, B) in bits per dimension: row t - 1 is
    L_{t-1}, row T is L_T.
    """
    rows = []
    for t in torch.arange(1, process.T + 1, device=x_0.device)[:, None].expand(-1, len(x_0)):
        x_t = process.diffuse(x_0, t, noise(x_0))
        rows.append(term(process, x_0, x_t, t, model(x_t, t), levels, clip=clip))
    prior = gaussian_kl(*process.marginal(x_0, process.T), torch.zeros_like(x_0), torch.ones_like(x_0))
    return torch.stack([*rows, prior.flatten(1).mean(1) / log(2)])


def hybrid_loss(
    model: NoiseVarianceModel,
    process: GaussianDiffusion,
    x_0: Tensor,
    levels: int | None,
    *,
    weight: float = 0.001,
    noise: Noise = gaussian,
) -> Tensor:
    """L_simple, which trains the mean, and the bound, which trains the variance.  x_0: (B, C, ...); levels: see `term`.

    One uniform t per row serves both: T times its term estimates the bound (but L_T, which has nothing to learn).
    """
    t, eps = noise.integers(1, process.T, x_0), noise(x_0)
    x_t = process.diffuse(x_0, t, eps)
    guess, place = model(x_t, t).chunk(2, dim=1)
    L_simple = (eps - guess).square().mean()  # Eq. 14
    frozen = torch.cat([guess.detach(), place], dim=1)  # the bound must not move the mean
    L_vlb = process.T * term(process, x_0, x_t, t, frozen, levels).mean()
    return L_simple + weight * L_vlb  # Eq. 16


class Importance(nn.Module):
    """Draws t in proportion to the root mean square of the last losses seen there (section 3.3).

    Uniformly until each t has been drawn `size` times.  uniform: the share of draws that stays so, as in the authors'
    code: a t whose last losses were all 0 would never be drawn again, and what it loses later never be counted.
    A module, so that a network which has it as a part takes the history along into its checkpoints.
    """

    losses: Tensor
    count: Tensor

    def __init__(self, T: int, size: int = 10, uniform: float = 0.001) -> None:
        super().__init__()
        if T < 1 or size < 1 or not 0 <= uniform <= 1:
            raise ValueError(f"importance needs T >= 1, size >= 1, uniform in 0..1, not {T}, {size} and {uniform}")
        self.uniform = uniform
        self.register_buffer("losses", torch.zeros(T, size, dtype=torch.float64))
        self.register_buffer("count", torch.zeros(T, dtype=torch.int64))

    def probabilities(self) -> Tensor:
        """p_t for t = 1..T: (T,), float64."""
        T, size = self.losses.shape
        flat = self.losses.new_full((T,), 1 / T)
        root = self.losses.square().mean(1).sqrt()
        if (self.count < size).any() or not root.any():
            return flat
        return (1 - self.uniform) * root / root.sum() + self.uniform * flat

    def draw(self, like: Tensor, *, noise: Noise = gaussian) -> tuple[Tensor, Tensor]:
        """A t in 1..T for each row of `like`, and 1 / p_t, the weight of its loss.  Returns (B,) int64, (B,) float64.

        The weighted losses estimate the sum over t, not its mean, and without bias whatever the history.
        """
        p = self.probabilities()
        u = noise.uniform(like.flatten(1)[:, 0].to(p))
        k = torch.searchsorted(p.cumsum(0), u, right=True).clamp_max(len(p) - 1)
        return k + 1, 1 / p[k]

    @torch.no_grad()
    def record(self, t: Tensor, loss: Tensor) -> None:
        """Keep the losses seen at times t, both (B,); each pushes out the oldest of its time."""
        for k, value in zip((t - 1).tolist(), loss.to(self.losses), strict=True):
            self.losses[k] = torch.cat([self.losses[k, 1:], value[None]])
            self.count[k] += 1


def bound_loss(
    model: NoiseVarianceModel,
    process: GaussianDiffusion,
    x_0: Tensor,
    levels: int | None,
    importance: Importance,
    *,
    noise: Noise = gaussian,
) -> Tensor:
    """The bound alone, without L_T, from one t per row, drawn where the losses are large.  Arguments of `hybrid_loss`.

    Returns bits per dimension, and keeps what it saw in `importance`.
    """
    t, weight = importance.draw(x_0, noise=noise)
    x_t = process.diffuse(x_0, t, noise(x_0))
    L_t = term(process, x_0, x_t, t, model(x_t, t), levels)
    importance.record(t, L_t)
    return (weight.to(L_t) * L_t).mean()  # Eq. 18
