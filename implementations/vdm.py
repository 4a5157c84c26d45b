"""Variational diffusion models.

Kingma, Salimans, Poole & Ho, NeurIPS 2021. arXiv:2107.00630 (equation numbers of the NeurIPS version).
A diffusion model is a VAE of infinite depth whose encoder only adds noise.  In continuous time its bound knows the
noise schedule by the signal-to-noise ratios at the two ends alone.  What lies between them decides the variance of the
bound's estimate and nothing else, so it is learned to make that variance small, in the same backward pass.

Data lies in [-1, 1].  t runs from 0 (data) to 1 (noise).  A schedule maps t: (B,) to gamma(t) = -log SNR(t): (B,),
float64, and increases.  `model(z, gamma)` with gamma: (B,) returns its guess of the noise: a network is told the level,
so that it means the same under every schedule.  Losses are in nats, one number per row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import atan, exp, log, pi

import torch
from torch import Tensor, nn

from implementations.common.noise import Noise, gaussian
from implementations.common.rows import per_row
from implementations.ddpm import NoiseModel, gaussian_kl

Schedule = Callable[[Tensor], Tensor]
F64 = torch.float64


def alpha_sigma(gamma: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Signal and noise at a level, in the dtype of x and shaped to broadcast over it.  gamma: (), (1,) or (B,)."""
    sigma = per_row(gamma.sigmoid().sqrt(), x)  # Eq. 3
    alpha = per_row((-gamma).sigmoid().sqrt(), x)  # Eq. 4
    return alpha, sigma


def diffuse(x: Tensor, gamma: Tensor, eps: Tensor) -> Tensor:
    """A draw of z at a level.  x, eps: (B, ...), eps ~ N(0, I)."""
    alpha, sigma = alpha_sigma(gamma, x)
    return alpha * x + sigma * eps  # Eq. 1


def predict_x(z: Tensor, gamma: Tensor, eps: Tensor) -> Tensor:
    """The x that z came from if eps was the noise.  z, eps: (B, ...)."""
    alpha, sigma = alpha_sigma(gamma, z)
    return (z - sigma * eps) / alpha  # Eq. 10


def linear(gamma_0: float = -13.3, gamma_1: float = 5.0) -> Schedule:
    """gamma in equal steps between its ends; the defaults are those of the authors' code for CIFAR-10."""
    _increasing(gamma_0, gamma_1)
    return lambda t: gamma_0 + (gamma_1 - gamma_0) * t


def cosine(gamma_0: float = -13.3, gamma_1: float = 5.0) -> Schedule:
    """The schedule of improved DDPM, alpha = cos and sigma = sin of an angle in equal steps, between the same ends."""
    _increasing(gamma_0, gamma_1)
    first, last = (atan(exp(gamma / 2)) for gamma in (gamma_0, gamma_1))
    return lambda t: 2 * (first + (last - first) * t).tan().log()


class MonotoneSchedule(nn.Module):
    """A schedule that is learned: a network that increases because its weights are positive, between learned ends.

    features: units of its hidden layer (1024, appendix H).  learn_ends: whether the ends move too.  Before training
    gamma is nearly linear: the hidden units rise one after the other.  Weights are kept as logarithms, and all
    parameters divided by `pace`: Adam moves each by about its learning rate, so the schedule learns that much faster.
    """

    def __init__(
        self,
        gamma_0: float = -13.3,
        gamma_1: float = 5.0,
        *,
        features: int = 1024,
        learn_ends: bool = True,
        pace: float = 10.0,
    ) -> None:
        super().__init__()
        _increasing(gamma_0, gamma_1)
        self.pace, steepness = pace, 12.0
        centre = torch.linspace(-0.25, 1.25, features, dtype=F64)

        def start(value: Tensor) -> nn.Parameter:
            return nn.Parameter(value / pace)

        self.log_weight_1 = start(torch.zeros((), dtype=F64))
        self.log_weight_2 = start(torch.full_like(centre, steepness).log())
        self.log_weight_3 = start(torch.full_like(centre, 10.0).log())
        self.bias_2 = start(-steepness * centre)
        self.scaled_ends = start(torch.tensor([gamma_0, gamma_1], dtype=F64)).requires_grad_(learn_ends)

    @property
    def ends(self) -> Tensor:
        """gamma(0) and gamma(1), (2,)."""
        return self.pace * self.scaled_ends

    def unscaled(self, t: Tensor) -> Tensor:
        """gamma-tilde: l_1(t) + l_3(sigmoid(l_2(l_1(t)))), positive weights (appendix H).

        Its biases in l_1 and l_3 are left out: that of l_2 does the first one's work, and `shape` undoes the other's.
        """
        weight_1, weight_2, weight_3 = (
            (self.pace * w).exp() for w in (self.log_weight_1, self.log_weight_2, self.log_weight_3)
        )
        h = weight_1 * t
        units = (weight_2 * h[..., None] + self.pace * self.bias_2).sigmoid()
        return h + (weight_3 * units).mean(-1)

    def shape(self, t: Tensor) -> Tensor:
        """The part of the way from gamma_0 to gamma_1 that is done at t: from 0 to 1 (appendix I.2)."""
        first, last = self.unscaled(t.new_tensor([0.0, 1.0]))
        return (self.unscaled(t) - first) / (last - first)

    def forward(self, t: Tensor) -> Tensor:
        gamma_0, gamma_1 = self.ends
        return gamma_0 + (gamma_1 - gamma_0) * self.shape(t)


def slope(schedule: Schedule, t: Tensor) -> tuple[Tensor, Tensor]:
    """The schedule and its derivative at t: (B,), both (B,); differentiable themselves where gradients are on."""
    learning = torch.is_grad_enabled()
    with torch.enable_grad():
        t = t.detach().requires_grad_()
        value = schedule(t)
        (rate,) = torch.autograd.grad(value.sum(), t, create_graph=learning)
    return (value, rate) if learning else (value.detach(), rate)


def times(x: Tensor, *, noise: Noise = gaussian) -> Tensor:
    """One t in [0, 1) per row of x, each uniform, all equally spaced from one draw (appendix I.1).  (B,), float64."""
    k = len(x)
    u_0 = noise.uniform(x.new_empty(k, dtype=F64))[0]
    return (u_0 + torch.arange(1, k + 1, dtype=F64, device=x.device) / k) % 1


def squared_error(model: NoiseModel, x: Tensor, gamma: Tensor, eps: Tensor) -> Tensor:
    """Of the predicted noise at levels gamma: (B,), summed over the entries of a row.  x, eps: (B, ...)."""
    return (eps - model(diffuse(x, gamma, eps), gamma.to(x))).square().flatten(1).sum(1)


def diffusion_loss(
    model: NoiseModel, schedule: Schedule, x: Tensor, *, T: int | None = None, noise: Noise = gaussian
) -> Tensor:
    """L_T(x), or L_infinity(x) if T is None, estimated from one time per row.  x: (B, ...).  Returns (B,)."""
    t = times(x, noise=noise)
    if T is None:
        gamma, weight = slope(schedule, t)
        return 0.5 * weight * squared_error(model, x, gamma, noise(x))  # Eq. 17
    if T < 1:
        raise ValueError(f"T must be at least 1 step, or None for continuous time, not {T}")
    t = ((t * T).floor() + 1) / T
    gamma = schedule(t)
    return 0.5 * T * (gamma - schedule(t - 1 / T)).expm1() * squared_error(model, x, gamma, noise(x))  # Eq. 14


def prior_loss(x: Tensor, gamma_1: Tensor) -> Tensor:
    """KL from N(0, I) of what the last level leaves of x: (B, ...).  Returns (B,)."""
    alpha, sigma = alpha_sigma(gamma_1, x)
    return gaussian_kl(alpha * x, sigma**2, torch.zeros_like(x), torch.ones_like(sigma)).flatten(1).sum(1)


def log_decoder(z_0: Tensor, gamma_0: Tensor, levels: int) -> Tensor:
    """log p(x_i | z_0) for each of `levels` equally spaced values of x_i in [-1, 1]: the likelier, the nearer.

    z_0: (B, ...).  Returns (B, ..., levels).
    """
    if levels < 2:
        raise ValueError(f"data must have at least 2 levels in [-1, 1], not {levels}")
    alpha, _ = alpha_sigma(gamma_0, z_0)
    values = torch.linspace(-1, 1, levels, dtype=z_0.dtype, device=z_0.device)
    distance = ((z_0 / alpha)[..., None] - values).square()
    return (-0.5 * distance * (-gamma_0).exp().to(z_0)).log_softmax(-1)  # Eq. 8


def reconstruction_loss(x: Tensor, gamma_0: Tensor, levels: int, *, noise: Noise = gaussian) -> Tensor:
    """-log p(x | z_0) at one draw of z_0.  x: (B, ...) on `levels` values in [-1, 1].  Returns (B,)."""
    if not (x.abs() <= 1).all():
        raise ValueError(f"x must lie in [-1, 1], not {x.min():.3g}..{x.max():.3g}")
    index = ((x + 1) * (levels - 1) / 2).round().long()
    log_p = log_decoder(diffuse(x, gamma_0, noise(x)), gamma_0, levels)
    return -log_p.gather(-1, index[..., None]).flatten(1).sum(1)


@torch.no_grad()
def bound(
    model: NoiseModel, schedule: Schedule, x: Tensor, levels: int, *, T: int | None = None, noise: Noise = gaussian
) -> Tensor:
    """The variational bound on -log p(x), its terms estimated from one draw each: prior, reconstruction, diffusion.

    x: (B, ...) on `levels` values in [-1, 1].  Returns (3, B), nats; `bits` makes bits per dimension of them.
    """
    gamma_0, gamma_1 = schedule(torch.tensor([0.0, 1.0], dtype=F64, device=x.device))
    prior, reconstruction = prior_loss(x, gamma_1), reconstruction_loss(x, gamma_0, levels, noise=noise)
    return torch.stack([prior, reconstruction, diffusion_loss(model, schedule, x, T=T, noise=noise)])  # Eq. 11


def bits(nats: Tensor, x: Tensor) -> Tensor:
    """Nats per row of x: (B, ...) in bits per dimension."""
    return nats / (x[0].numel() * log(2))


def loss(model: NoiseModel, schedule: MonotoneSchedule, x: Tensor, levels: int, *, noise: Noise = gaussian) -> Tensor:
    """The bound, averaged over rows, for training; one backward pass gives each part the gradient that it needs.

    The network and the ends descend the bound.  What lies between the ends does not move it, and descends the mean of
    the squared diffusion loss, which is the bound's square plus the variance of the estimate (appendix I.2).  No
    second pass: the gradient of an l_i^2 is 2 l_i times that of l_i, and on its way back to the schedule's network
    a row's gradient passes through two numbers that are its own, h(t_i) and h'(t_i); there it is multiplied.
    """
    h, rate = slope(schedule.shape, times(x, noise=noise))
    twice = torch.empty_like(rate)
    for value in (h, rate):
        value.register_hook(lambda gradient: twice * gradient)
    gamma_0, gamma_1 = schedule.ends
    gamma, weight = gamma_0 + (gamma_1 - gamma_0) * h, (gamma_1 - gamma_0) * rate
    diffusion = 0.5 * weight * squared_error(model, x, gamma, noise(x))
    twice.copy_(2 * diffusion.detach())
    return (diffusion + prior_loss(x, gamma_1) + reconstruction_loss(x, gamma_0, levels, noise=noise)).mean()


@torch.no_grad()
def sample(model: NoiseModel, schedule: Schedule, z_1: Tensor, T: int, *, noise: Noise = gaussian) -> Tensor:
    """Ancestral sampling in T equal steps of time (appendix A.4), T network evaluations.

    z_1: (B, ...) ~ N(0, I).  Returns z_0: (B, ...), which `decode` makes data of.
    """
    if T < 1:
        raise ValueError(f"T must be at least 1 step, not {T}")
    z = z_1
    for gamma_t, gamma_s in pairwise(schedule(torch.linspace(1, 0, T + 1, dtype=F64, device=z_1.device))):
        (alpha_t, sigma_t), (alpha_s, sigma_s) = alpha_sigma(gamma_t, z), alpha_sigma(gamma_s, z)
        c = -(gamma_s - gamma_t).expm1().to(z)
        mean = alpha_s / alpha_t * (z - c * sigma_t * model(z, gamma_t.expand(len(z)).to(z)))
        z = mean + sigma_s * c.sqrt() * noise(z)
    return z


def decode(z_0: Tensor, gamma_0: Tensor, levels: int) -> Tensor:
    """The likeliest x, on `levels` values in [-1, 1].  z_0: (B, ...)."""
    return 2 * log_decoder(z_0, gamma_0, levels).argmax(-1).to(z_0) / (levels - 1) - 1


def fourier_features(z: Tensor, n: Sequence[int] = (7, 8)) -> Tensor:
    """z with sin(2^n pi z) and cos(2^n pi z) as further channels, so that fine detail is seen (appendix C).

    z: (B, C, ...).  n: 7 and 8 suit 256 levels in [-1, 1]: the features repeat every two levels and every level.
    Returns (B, C (1 + 2 len(n)), ...).
    """
    return torch.cat([z, *(wave(2.0**k * pi * z) for k in n for wave in (torch.sin, torch.cos))], dim=1)


def _increasing(gamma_0: float, gamma_1: float) -> None:
    if not gamma_0 < gamma_1:
        raise ValueError(f"gamma = -log SNR must increase: gamma_0 < gamma_1, not {gamma_0} and {gamma_1}")
