"""Diffusion probabilistic models.

Sohl-Dickstein, Weiss, Maheswaranathan & Ganguli, ICML 2015. arXiv:1503.03585 (equation numbers of v8).
Destroy the structure of data by a slow Markov chain; learn the chain that goes back, one small step at a time.

Two chains, as in the paper's Table App.1: Gaussian diffusion of real numbers into N(0, I), binomial diffusion of bits
into independent coins.  Each knows its forward kernel, marginal, posterior and reverse kernel; bound, loss and sampler
are written once for both.  t counts from 1 to T, and t = 0 is the data.
"""

from __future__ import annotations

from collections.abc import Callable
from math import e, log, pi
from typing import Any, Protocol

import torch
from torch import Tensor

from implementations.common.noise import Noise, gaussian
from implementations.common.rows import for_all, per_row

KernelModel = Callable[[Tensor, Tensor], Tensor]
"""What places the reverse kernel, from x_t and t: (B,); each chain says what."""


def gather(table: Tensor, t: int | Tensor, x: Tensor) -> Tensor:
    """Entries of a per-step table, made to broadcast over x: (B, ...).  t: int, or (B,), then in the dtype of x."""
    if isinstance(t, int):
        return table[t]  # one float64 number, which takes the dtype and device of what it multiplies
    return per_row(table[t.to(table.device)], x)


def checked(betas: Tensor) -> Tensor:
    """betas as float64 (T + 1,), with beta_0 = 0 in front."""
    betas = torch.as_tensor(betas, dtype=torch.float64)
    if betas.ndim != 1 or len(betas) == 0 or not ((betas > 0) & (betas <= 1)).all():
        raise ValueError("betas must be a non-empty vector of diffusion rates in (0, 1]")
    return torch.cat([betas.new_zeros(1), betas])


def erasing_schedule(T: int) -> Tensor:
    """Diffusion rates that erase an equal part of the signal at each step, so that none is left (section 2.4.1).

    Returns betas: (T,), float64, from 1 / T to 1.
    """
    return 1 / torch.arange(T, 0, -1, dtype=torch.float64)


class GaussianDiffusion:
    """The chain x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) noise, from data to N(0, I).

    betas: (T,) in (0, 1], the variances of steps 1..T; gradients flow through them, so a schedule can be learned.
    Tables, float64, (T + 1,), indexed by t = 0..T: beta (beta_0 = 0), alpha = 1 - beta, abar = product of alphas up to
    t, posterior_variance (that of x_{t-1} given x_t and x_0; 0 at t = 1).
    A normal law is a pair (mean, variance); the variance broadcasts to the mean.
    """

    def __init__(self, betas: Tensor) -> None:
        self.beta = checked(betas)
        self.T = len(self.beta) - 1
        self.alpha = 1 - self.beta
        self.abar = self.alpha.cumprod(0)
        before = torch.cat([self.abar[:1], self.abar[:-1]])
        noisy = torch.where(self.abar < 1, 1 - self.abar, 1)
        self.posterior_variance = self.beta * (1 - before) / noisy  # section B.3
        self.posterior_weights = (
            before.sqrt() * self.beta / noisy,  # section B.3
            self.alpha.sqrt() * (1 - before) / noisy,  # section B.3
        )

    at = staticmethod(gather)

    def diffuse(self, x_0: Tensor, t: int | Tensor, eps: Tensor) -> Tensor:
        """A draw of x_t given x_0.  x_0, eps: (B, ...), eps ~ N(0, I); t: int or (B,) in 0..T."""
        return self.at(self.abar.sqrt(), t, x_0) * x_0 + self.at((1 - self.abar).sqrt(), t, x_0) * eps

    def kernel(self, x: Tensor, t: int | Tensor) -> tuple[Tensor, Tensor]:
        """The law T_pi(. | x; beta_t) of one step from x."""
        return self.at(self.alpha, t, x).sqrt() * x, self.at(self.beta, t, x)  # Eq. 2

    def marginal(self, x_0: Tensor, t: int | Tensor) -> tuple[Tensor, Tensor]:
        """The law of x_t given x_0, all steps at once."""
        return self.at(self.abar.sqrt(), t, x_0) * x_0, self.at(1 - self.abar, t, x_0)

    def posterior(self, x_0: Tensor, x_t: Tensor, t: int | Tensor) -> tuple[Tensor, Tensor]:
        """The law of x_{t-1} given x_t and x_0, t in 1..T, by Bayes' rule; DDPM prints it as its equation 7."""
        of_x_0, of_x_t = (self.at(weight, t, x_0) for weight in self.posterior_weights)
        return of_x_0 * x_0 + of_x_t * x_t, self.at(self.posterior_variance, t, x_0)  # section B.3

    def reverse(self, model: KernelModel, x_t: Tensor, t: int | Tensor) -> tuple[Tensor, Tensor]:
        """The learned law of x_{t-1} given x_t, a perturbation of the forward kernel.

        model(x_t, t): (B, 2 C, ...) for x_t: (B, C, ...); z_mu, the point the step pulls towards, then z_Sigma.
        """
        z_mu, z_Sigma = model(x_t, for_all(t, x_t)).chunk(2, dim=1)
        Sigma = (z_Sigma + self.at(self.beta, t, x_t).logit()).sigmoid()  # Eq. 64
        return (x_t - z_mu) * (1 - Sigma) + z_mu, Sigma  # Eq. 65

    def entropy(self, x_0: Tensor, t: int) -> Tensor:
        """H_q(X_t | X_0 = x_0) in nats, (B,)."""
        return (0.5 * (2 * pi * e * (1 - self.at(self.abar, t, x_0))).log()).expand_as(x_0).flatten(1).sum(1)

    def prior_entropy(self, x: Tensor) -> Tensor:
        """Entropy of N(0, I) in the shape of one row of x, in nats, (B,)."""
        return torch.full_like(x, 0.5 * log(2 * pi * e)).flatten(1).sum(1)

    @staticmethod
    def kl(q: tuple[Tensor, Tensor], p: tuple[Tensor, Tensor]) -> Tensor:
        return gaussian_kl(*q, *p)

    @staticmethod
    def draw(law: tuple[Tensor, Tensor], noise: Noise) -> Tensor:
        mean, variance = law
        return mean + variance.sqrt() * noise(mean)


class BinomialDiffusion:
    """The chain in which each bit is, with probability beta_t, replaced by a coin of the given rate.

    betas: (T,) in (0, 1].  rate: how often a bit is one at the end; Table App.1 has 0.5, for heartbeats the paper takes
    the data's own 0.2 (appendix D.1.2).  Bits are 0.0 or 1.0.  Tables as in `GaussianDiffusion`: beta, abar.
    A law of independent bits is the tensor of their rates, float64: of 2000 steps each moves them by 1e-4 or less.
    """

    def __init__(self, betas: Tensor, rate: float = 0.5) -> None:
        if not 0 < rate < 1:
            raise ValueError(f"rate must lie between 0 and 1, not {rate}")
        self.beta = checked(betas)
        self.T = len(self.beta) - 1
        self.abar = (1 - self.beta).cumprod(0)
        self.rate = rate

    def kernel(self, x: Tensor, t: int | Tensor) -> Tensor:
        """The law T_pi(. | x; beta_t) of one step from x."""
        beta = gather(self.beta, t, x.double())  # Eq. 2
        return x.double() * (1 - beta) + self.rate * beta  # Eq. 2

    def marginal(self, x_0: Tensor, t: int | Tensor) -> Tensor:
        """The law of x_t given x_0, all steps at once."""
        abar = gather(self.abar, t, x_0.double())
        return x_0.double() * abar + self.rate * (1 - abar)

    def posterior(self, x_0: Tensor, x_t: Tensor, t: int | Tensor) -> Tensor:
        """The law of x_{t-1} given x_t and x_0, t in 1..T, by Bayes' rule bit by bit."""
        before = self.marginal(x_0, t - 1)
        from_1, from_0 = self.kernel(torch.ones_like(x_t), t), self.kernel(torch.zeros_like(x_t), t)
        one = before * torch.where(x_t > 0, from_1, 1 - from_1)
        zero = (1 - before) * torch.where(x_t > 0, from_0, 1 - from_0)
        return one / (one + zero)  # section B.3

    def reverse(self, model: KernelModel, x_t: Tensor, t: int | Tensor) -> Tensor:
        """The learned law of x_{t-1} given x_t, a perturbation of the forward kernel.  model(x_t, t): as x_t.

        The paper's f_b is the sigmoid of a network's output; here that output is added to the kernel's log-odds, as in
        Eq. 64 for the Gaussian, so that an untrained network is the stationary chain.
        """
        return (model(x_t, for_all(t, x_t)).double() + self.kernel(x_t, t).logit()).sigmoid()

    def entropy(self, x_0: Tensor, t: int) -> Tensor:
        """H_q(X_t | X_0 = x_0) in nats, (B,)."""
        return bernoulli_entropy(self.marginal(x_0, t)).flatten(1).sum(1)

    def prior_entropy(self, x: Tensor) -> Tensor:
        """Entropy of the coins in the shape of one row of x, in nats, (B,)."""
        return bernoulli_entropy(torch.full_like(x, self.rate, dtype=torch.float64)).flatten(1).sum(1)

    @staticmethod
    def kl(q: Tensor, p: Tensor) -> Tensor:
        """KL(q || p) of coins with these rates, per entry, in nats."""
        return -bernoulli_entropy(q) - torch.xlogy(q, p) - torch.xlogy(1 - q, 1 - p)

    @staticmethod
    def draw(law: Tensor, noise: Noise) -> Tensor:
        return (noise.uniform(law) < law).to(law)


class Diffusion(Protocol):
    """What bound, loss and sampler ask of a chain.  A law is whatever its own `kl` and `draw` take."""

    T: int
    kl: Callable[[Any, Any], Tensor]
    draw: Callable[[Any, Noise], Tensor]

    def kernel(self, x: Tensor, t: int | Tensor) -> Any: ...
    def marginal(self, x_0: Tensor, t: int | Tensor) -> Any: ...
    def posterior(self, x_0: Tensor, x_t: Tensor, t: int | Tensor) -> Any: ...
    def reverse(self, model: KernelModel, x_t: Tensor, t: int | Tensor) -> Any: ...
    def entropy(self, x_0: Tensor, t: int) -> Tensor: ...
    def prior_entropy(self, x: Tensor) -> Tensor: ...


def gaussian_kl(mean_q: Tensor, var_q: Tensor, mean_p: Tensor, var_p: Tensor) -> Tensor:
    """KL(q || p) of normal laws, per entry, in nats.  All broadcast together."""
    return 0.5 * (torch.log(var_p / var_q) + (var_q + (mean_q - mean_p).square()) / var_p - 1)


def bernoulli_entropy(rate: Tensor) -> Tensor:
    """Entropy of a coin, per entry, in nats."""
    return -torch.xlogy(rate, rate) - torch.xlogy(1 - rate, 1 - rate)


def divergence(
    model: KernelModel, process: Diffusion, x_0: Tensor, t: int | Tensor, *, noise: Noise = gaussian
) -> Tensor:
    """KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) at one draw of x_t, in nats, (B,).  t: int or (B,) in 2..T."""
    x_t = process.draw(process.marginal(x_0, t), noise).to(x_0)
    return process.kl(process.posterior(x_0, x_t, t), process.reverse(model, x_t, t)).flatten(1).sum(1)  # Eq. 14


def ends(process: Diffusion, x_0: Tensor) -> Tensor:
    """H_q(X_T | X_0) - H_q(X_1 | X_0) - H_p(X_T), in nats, (B,)."""
    return process.entropy(x_0, process.T) - process.entropy(x_0, 1) - process.prior_entropy(x_0)  # Eq. 14


def bound(model: KernelModel, process: Diffusion, x_0: Tensor, *, noise: Noise = gaussian) -> Tensor:
    """K, which the mean of log p(x_0) exceeds, row by row, with one draw of x_t for each t.  Returns nats, (B,).

    Holds for data whose mean square (Gaussian) is 1 or whose mean (binomial) is the process's rate, averaged over
    entries: only then is the cross-entropy to the prior the same for all t, as appendix B uses twice.
    x_0: (B, ...).  T - 1 network evaluations.
    """
    K = ends(process, x_0)  # Eq. 14
    for t in range(2, process.T + 1):
        K = K - divergence(model, process, x_0, t, noise=noise)  # Eq. 14
    return K


def loss(model: KernelModel, process: Diffusion, x_0: Tensor, *, noise: Noise = gaussian) -> Tensor:
    """-K averaged over rows, in nats, its sum estimated from one uniform t per row.  x_0: (B, ...); T > 1."""
    if process.T < 2:
        raise ValueError("a chain of T = 1 step has nothing to learn: its only reverse step is fixed")
    t = noise.integers(2, process.T, x_0)
    return ((process.T - 1) * divergence(model, process, x_0, t, noise=noise) - ends(process, x_0)).mean()  # Eq. 15


@torch.no_grad()
def sample(model: KernelModel, process: Diffusion, x_T: Tensor, *, noise: Noise = gaussian) -> Tensor:
    """The reverse trajectory, T - 1 network evaluations.  x_T: (B, ...), a draw of the prior.  Returns x_0: (B, ...).

    The last step is the forward kernel once more, as the bound assumes: it leaves a little noise on x_0.
    """
    x = x_T
    for t in range(process.T, 1, -1):
        x = process.draw(process.reverse(model, x, t), noise).to(x)  # Eq. 5
    return process.draw(process.kernel(x, 1), noise).to(x)  # Eq. 44
