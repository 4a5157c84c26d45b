"""Score-based generative modeling through stochastic differential equations.

Song, Sohl-Dickstein, Kingma, Kumar, Ermon & Poole, ICLR 2021. arXiv:2011.13456 (equation numbers of v2).
Infinitely many noise levels make the ladders of NCSN and of DDPM into diffusions, and one score network of continuous
time runs them backwards: as an SDE, with Langevin steps that mend its errors, or as an ODE, which also gives
likelihoods and codes.

t runs from 0, the data, to 1, the prior; `model(x, t)` with t: (B,) returns the score of x(t).  The kernels are those
of data in [0, 1] (VE) and [-1, 1] (VP, sub-VP).  Nothing is evaluated below a small t = eps: there VE's noise is
sigma_min and would jump to 0, and the score of VP grows without bound.

Long because the paper is several: three SDEs, four predictors and a corrector, an ODE with its likelihood,
and scores under conditions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log, pi
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from implementations.common.noise import Noise, gaussian
from implementations.common.rows import for_all, per_row
from implementations.ddpm import GaussianDiffusion, NoiseModel, linear_schedule
from implementations.ncsn import ScoreModel, objective

Time = float | Tensor
NoisyFunction = Callable[[Tensor, Tensor], Tensor]
EPS = 1e-5  # the least t of training and of likelihoods (appendix C)


def clock(t: Time) -> Tensor:
    """t in float64, in which every coefficient is computed."""
    return torch.as_tensor(t, dtype=torch.float64)


class SDE(ABC):
    """dx = rate(t) x dt + diffusion(t) dw (Eq. 5), hence x(t) = alpha(t) x(0) + sigma(t) z with z ~ N(0, I).

    Methods take t as a number or (B,), in (0, 1], and return float64 of that shape.
    """

    eps: ClassVar[float]
    """The least t of sampling (appendix C)."""

    @property
    @abstractmethod
    def prior_std(self) -> float:
        """x(1) is taken to be N(0, prior_std^2 I)."""

    @abstractmethod
    def rate(self, t: Time) -> Tensor:
        """The drift is f(x, t) = rate(t) x."""

    @abstractmethod
    def diffusion(self, t: Time) -> Tensor:
        """g(t)."""

    @abstractmethod
    def kernel(self, t: Time) -> tuple[Tensor, Tensor]:
        """alpha(t) and sigma(t) of p_0t(x(t) | x(0)) = N(alpha x(0), sigma^2 I)."""

    @abstractmethod
    def step(self, s: Time, t: Time) -> tuple[Tensor, Tensor]:
        """A and G of the paper's discretisation from s up to t > s: x(t) = A x(s) + G z."""

    def drift(self, x: Tensor, t: Time) -> Tensor:
        """f(x, t).  x: (B, ...)."""
        return per_row(self.rate(t), x) * x

    def perturb(self, x_0: Tensor, t: Time, z: Tensor) -> Tensor:
        """x(t) for the noise z.  x_0, z: (B, ...)."""
        alpha, sigma = self.kernel(t)
        return per_row(alpha, x_0) * x_0 + per_row(sigma, x_0) * z  # Eq. 29

    def prior_log_prob(self, x: Tensor) -> Tensor:
        """log N(x; 0, prior_std^2 I), in nats.  x: (B, ...).  Returns (B,)."""
        return -((x / self.prior_std).square() / 2 + log(self.prior_std * (2 * pi) ** 0.5)).flatten(1).sum(1)


@dataclass(frozen=True)
class VE(SDE):
    """Variance exploding: NCSN's levels, geometric from sigma_min to sigma_max, in continuous time.

    sigma_max should be about the largest distance between two data (Technique 1 of NCSNv2).
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0
    eps: ClassVar[float] = 1e-5

    def __post_init__(self) -> None:
        if not 0 < self.sigma_min < self.sigma_max:
            raise ValueError(f"sigma_min must lie in 0..sigma_max, not {self.sigma_min} (sigma_max {self.sigma_max})")

    @property
    def prior_std(self) -> float:
        return self.sigma_max

    def rate(self, t: Time) -> Tensor:
        return torch.zeros_like(clock(t))

    def diffusion(self, t: Time) -> Tensor:
        return self.kernel(t)[1] * (2 * log(self.sigma_max / self.sigma_min)) ** 0.5  # Eq. 30

    def kernel(self, t: Time) -> tuple[Tensor, Tensor]:
        t = clock(t)
        return torch.ones_like(t), self.sigma_min * (self.sigma_max / self.sigma_min) ** t  # Eq. 31

    def step(self, s: Time, t: Time) -> tuple[Tensor, Tensor]:
        sigma_s, sigma_t = self.kernel(s)[1], self.kernel(t)[1]
        return torch.ones_like(sigma_t), (sigma_t.square() - sigma_s.square()).sqrt()  # Eq. 8


@dataclass(frozen=True)
class LinearBeta(SDE):
    """What VP and sub-VP share: beta(t) grows linearly, and the drift is -beta(t) x / 2."""

    beta_min: float = 0.1
    beta_max: float = 20.0
    eps: ClassVar[float] = 1e-3

    def __post_init__(self) -> None:
        if not 0 < self.beta_min <= self.beta_max:
            raise ValueError(f"beta_min must lie in 0..beta_max, not {self.beta_min} (beta_max {self.beta_max})")

    @property
    def prior_std(self) -> float:
        return 1.0

    def beta(self, t: Time) -> Tensor:
        return self.beta_min + (self.beta_max - self.beta_min) * clock(t)  # Eq. 32

    def integral(self, t: Time) -> Tensor:
        """Of beta from 0 to t."""
        t = clock(t)
        return self.beta_min * t + (self.beta_max - self.beta_min) * t.square() / 2  # Eqs. 33 and 34

    def rate(self, t: Time) -> Tensor:
        return -self.beta(t) / 2  # Eqs. 12 and 32


class VP(LinearBeta):
    """Variance preserving: DDPM's chain in continuous time, beta_i = beta(i / N) / N."""

    def diffusion(self, t: Time) -> Tensor:
        return self.beta(t).sqrt()  # Eq. 32

    def kernel(self, t: Time) -> tuple[Tensor, Tensor]:
        return (-self.integral(t) / 2).exp(), (-torch.expm1(-self.integral(t))).sqrt()  # Eq. 33

    def step(self, s: Time, t: Time) -> tuple[Tensor, Tensor]:
        beta = self.beta(t) * (clock(t) - clock(s))
        if not (beta < 1).all():
            raise ValueError(f"a step needs beta(t) (t - s) < 1, not {beta.max().item():g}: take more steps")
        return (1 - beta).sqrt(), beta.sqrt()  # Eq. 10


class SubVP(LinearBeta):
    """Sub-VP: VP's drift and mean, with a variance that is at most VP's; made for likelihoods."""

    def diffusion(self, t: Time) -> Tensor:
        return (self.beta(t) * -torch.expm1(-2 * self.integral(t))).sqrt()  # Eq. 12

    def kernel(self, t: Time) -> tuple[Tensor, Tensor]:
        return (-self.integral(t) / 2).exp(), -torch.expm1(-self.integral(t))  # Eq. 34

    def step(self, s: Time, t: Time) -> tuple[Tensor, Tensor]:
        h = clock(t) - clock(s)
        return 1 + self.rate(t) * h, self.diffusion(t) * h.sqrt()  # Euler-Maruyama: the paper has no chain for it


# ---- training -----------------------------------------------------------------------------------------------------


def random_times(x_0: Tensor, noise: Noise) -> Tensor:
    """Uniform on EPS..1, one for each row.  Returns (B,), float64."""
    return EPS + (1 - EPS) * noise.uniform(torch.empty(len(x_0), dtype=torch.float64, device=x_0.device))


def loss(
    model: ScoreModel,
    sde: SDE,
    x_0: Tensor,
    *,
    weight: Callable[[Tensor], Tensor] | None = None,
    noise: Noise = gaussian,
) -> Tensor:
    """Denoising score matching at a uniform t.  x_0: (B, ...).  A sum over the entries of a row, a mean over rows.

    weight: lambda(t), float64 (B,) to (B,); by default sigma(t)^2, which makes all times count alike.  (g(t)^2, by
    which the loss bounds the likelihood, came later: Song et al. 2021, arXiv:2101.09258.)
    """
    t = random_times(x_0, noise)
    alpha, sigma = sde.kernel(t)
    ell = objective(lambda x: model(x, t.to(x)), per_row(alpha, x_0) * x_0, sigma, noise=noise)  # Eq. 7
    return 2 * ((sigma.square() if weight is None else weight(t)).to(ell) * ell).mean()  # Eq. 7


def classifier_loss(classifier: NoisyFunction, sde: SDE, x_0: Tensor, y: Tensor, *, noise: Noise = gaussian) -> Tensor:
    """Cross entropy of the classes of noisy data at a uniform t (appendix I.1).

    classifier(x, t) returns logits: (B, classes).  x_0: (B, ...); y: (B,), int64.
    """
    t = random_times(x_0, noise)
    return F.cross_entropy(classifier(sde.perturb(x_0, t, noise(x_0)), t.to(x_0)), y)


class ScoreNetwork(nn.Module):
    """A score made of a network that guesses the noise: -network(x, 999 t) / sigma(t).

    network(x, i) is told time in steps of about 1, from 0 to 999, as DDPM counts.  For VE that is a scale of log sigma.
    """

    def __init__(self, network: nn.Module, sde: SDE) -> None:
        super().__init__()
        self.network, self.sde = network, sde

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        i = 999 * t.to(torch.promote_types(t.dtype, torch.float32))  # in half precision it would be another time
        return -self.network(x, i) / per_row(self.sde.kernel(t)[1], x)


# ---- sampling by the reverse-time SDE -------------------------------------------------------------------------------


def euler_maruyama(model: ScoreModel, sde: SDE, x: Tensor, t: Time, s: Time, *, noise: Noise = gaussian) -> Tensor:
    """Predictor: a step of the reverse-time SDE from t down to s.  x: (B, ...)."""
    g, h = per_row(sde.diffusion(t), x), per_row(clock(t) - clock(s), x)
    slope = sde.drift(x, t) - g.square() * model(x, for_all(clock(t), x))  # Eq. 6
    return x - h * slope + h.sqrt() * g * noise(x)  # Eq. 6


def reverse_diffusion(
    model: ScoreModel, sde: SDE, x: Tensor, t: Time, s: Time, *, noise: Noise = gaussian
) -> Tensor:  # Algs. 2 and 3
    """Predictor: the forward step's own discretisation, reversed, from t down to s.  x: (B, ...).

    `sample` with it is Algorithm 2 for VE and Algorithm 3 for VP, but for what `langevin` says.
    """
    A, G = (per_row(v, x) for v in sde.step(s, t))
    return (2 - A) * x + G.square() * model(x, for_all(clock(t), x)) + G * noise(x)  # Eq. 46


def ancestral(model: ScoreModel, sde: SDE, x: Tensor, t: Time, s: Time, *, noise: Noise = gaussian) -> Tensor:
    """Predictor for VE: p(x(s) | x(t), x(0)) at the x(0) that the score means.  For VP see `as_ddpm`.  x: (B, ...)."""
    if not isinstance(sde, VE):
        raise ValueError(f"ancestral steps are for VE; of VP they are ddpm.sample on as_ddpm(...), not {sde}")
    G, sigma_s, sigma_t = (per_row(v, x) for v in (sde.step(s, t)[1], sde.kernel(s)[1], sde.kernel(t)[1]))
    return x + G.square() * model(x, for_all(clock(t), x)) + sigma_s / sigma_t * G * noise(x)  # Eq. 47


def probability_flow_step(
    model: ScoreModel, sde: SDE, x: Tensor, t: Time, s: Time, *, noise: Noise = gaussian
) -> Tensor:
    """Predictor: the same for the probability flow ODE (Eq. 43 for VE, 44 for VP).  x: (B, ...); draws nothing."""
    A, G = (per_row(v, x) for v in sde.step(s, t))
    return (2 - A) * x + G.square() / 2 * model(x, for_all(clock(t), x))  # Eqs. 43 and 44


def langevin(model: ScoreModel, x: Tensor, t: Time, *, r: float = 0.16, noise: Noise = gaussian) -> Tensor:  # Alg. 4
    """Corrector: one Langevin step at time t, whose size keeps the ratio r of signal to noise.  x: (B, ...).

    The norms are averaged over the batch, as in the paper, so rows depend on each other through the step's size alone.
    This is Algorithm 4, for VE, taken for VP too.  There the paper's Algorithm 5 multiplies epsilon by alpha_i, which
    is the product of 1 - beta_j for j up to i and falls to almost 0, so that steps at high noise are much shorter.
    The authors' code multiplies by 1 - beta_i, nearly 1; here that is left to r.
    """
    g, z = model(x, for_all(clock(t), x)), noise(x)
    norm_g, norm_z = (v.flatten(1).norm(dim=1).mean() for v in (g, z))
    epsilon = 2 * (r * norm_z / norm_g).square()
    return x + epsilon * g + (2 * epsilon).sqrt() * z


def denoise(model: ScoreModel, sde: SDE, x: Tensor, t: Time) -> Tensor:
    """E[x(0) | x(t) = x], by Tweedie's formula.  x: (B, ...)."""
    alpha, sigma = (per_row(v, x) for v in sde.kernel(t))
    return (x + sigma.square() * model(x, for_all(clock(t), x))) / alpha


def times(sde: SDE, N: int) -> list[float]:
    """N times in equal steps from 1 down to sde.eps; just 1 if N is 1."""
    if N < 1:
        raise ValueError(f"N must be at least 1 (the number of noise levels), not {N}")
    return torch.linspace(1, sde.eps, N, dtype=torch.float64).tolist()


@torch.no_grad()
def sample(
    model: ScoreModel,
    sde: SDE,
    x_T: Tensor,
    N: int = 1000,
    *,
    M: int = 1,
    r: float = 0.16,
    predictor: Callable[..., Tensor] = reverse_diffusion,
    noise: Noise = gaussian,
) -> Tensor:  # Alg. 1
    """Predictor-corrector sampling, N + (N - 1) M network evaluations.

    x_T: (B, ...) ~ N(0, sde.prior_std^2 I).  N: noise levels; the step from the last to the data is one of denoising.
    M: corrector steps at each level, each with ratio r; the paper takes 1 for VE and 0 for VP.  Returns x_0: (B, ...).
    """
    if M < 0 or not r > 0:
        raise ValueError(f"M must be at least 0 and r above 0, not {M} and {r}")
    x, levels = x_T, times(sde, N)
    for t, s in pairwise(levels):
        x = predictor(model, sde, x, t, s, noise=noise)
        for _ in range(M):
            x = langevin(model, x, s, r=r, noise=noise)
    return denoise(model, sde, x, levels[-1])


def as_ddpm(model: ScoreModel, sde: VP, N: int) -> tuple[NoiseModel, GaussianDiffusion]:
    """The DDPM of N steps that a score of the VP SDE is: a model that predicts the noise, and its chain.

    `ddpm.sample(*as_ddpm(model, sde, N), x_T, variance="large")` is the ancestral sampling of Eq. 4.
    """
    process = linear_schedule(N, sde.beta_min / N, sde.beta_max / N)  # appendix C

    def eps(x: Tensor, t: Tensor) -> Tensor:
        return -process.at((1 - process.abar).sqrt(), t, x) * model(x, t.to(x) / N)

    return eps, process


# ---- conditions -----------------------------------------------------------------------------------------------------


def conditional(model: ScoreModel, log_likelihood: NoisyFunction) -> ScoreModel:
    """The score given y, from the score and log p(y | x(t)): (x, t) to (B,), differentiable in x."""

    def score(x: Tensor, t: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(log_likelihood(leaf, t).sum(), leaf)
        return model(x, t) + slope  # Eq. 49

    return score


def imputing(model: ScoreModel, sde: SDE, y: Tensor, known: Tensor, *, noise: Noise = gaussian) -> ScoreModel:
    """The score, approximately, given some entries of the data (appendix I.2).  y: (B, ...); known: bool, like y.

    At each call the model sees new draws of p_0t(. | y) for the known entries, so that its x has one noise level.  They
    themselves get the score of that kernel, which leads them to y.  Approximate, because x(t) then stands for y in what
    the known entries say of the others: predictors alone hear of it too late, and corrector steps make up for that.
    """

    def score(x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = (per_row(v, x) for v in sde.kernel(t))
        seen = torch.where(known, alpha * y + sigma * noise(x), x)
        return torch.where(known, (alpha * y - x) / sigma.square(), model(seen, t))

    return score


# ---- the probability flow ODE ---------------------------------------------------------------------------------------


def probability_flow(model: ScoreModel, sde: SDE) -> Callable[[Tensor, Time], Tensor]:
    """The velocity dx/dt, a function of x: (B, ...) and t, whose flow has the SDE's marginals."""

    def velocity(x: Tensor, t: Time) -> Tensor:
        score = model(x, for_all(clock(t), x))
        return sde.drift(x, t) - per_row(sde.diffusion(t), x).square() / 2 * score  # Eq. 13

    return velocity


@torch.no_grad()
def solve(
    velocity: Callable[[Tensor, Time], Tensor],
    x: Tensor,
    times: Sequence[float],
    *,
    tolerance: float = 1e-5,
) -> Tensor:
    """States of dx/dt = velocity(x, t) at all times, of which the first is x's own; up or down.  x: (B, ...).

    By scipy's adaptive Runge-Kutta 5(4), in float64.  tolerance: of a step's error, absolute and relative, over the
    whole batch.  Returns (len(times), B, ...).  RuntimeError if it fails.
    """
    from scipy.integrate import solve_ivp

    def flat(t: float, state):
        return velocity(torch.from_numpy(state).to(x).view_as(x), t).flatten().double().cpu().numpy()

    start = x.detach().flatten().double().cpu().numpy()
    answer = solve_ivp(flat, (times[0], times[-1]), start, t_eval=times, rtol=tolerance, atol=tolerance)
    if not answer.success:
        raise RuntimeError(f"the ODE could not be solved from {times[0]} to {times[-1]}: {answer.message}")
    return torch.from_numpy(answer.y.T.copy()).to(x).view(len(times), *x.shape)


@torch.no_grad()
def flow(model: ScoreModel, sde: SDE, x: Tensor, start: float, end: float, *, tolerance: float = 1e-5) -> Tensor:
    """x(end) on the path of the probability flow ODE through x(start) = x: (B, ...).  From 1 to sde.eps it samples."""
    return solve(probability_flow(model, sde), x, (start, end), tolerance=tolerance)[-1]


def divergence(velocity: Callable[[Tensor, Time], Tensor], x: Tensor, t: Time, probes: Tensor) -> tuple[Tensor, Tensor]:
    """The velocity at x: (B, ...), and the sum over probes v: (P, B or 1, ...) of v . J v, J its Jacobian: (B,)."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        value = velocity(leaf, t)
        total = value.new_zeros(len(x))
        for v in probes:
            (slope,) = torch.autograd.grad((v * value).sum(), leaf, retain_graph=True)  # Eq. 40
            total = total + (v * slope).flatten(1).sum(1)  # Eq. 40
    return value.detach(), total.detach()


def log_likelihood(
    model: ScoreModel,
    sde: SDE,
    x: Tensor,
    *,
    probes: int | None = None,
    log_prior: Callable[[Tensor], Tensor] | None = None,
    eps: float = EPS,
    tolerance: float = 1e-5,
    noise: Noise = gaussian,
) -> Tensor:
    """log p(x) of what the ODE makes of the prior, in nats.  x: (B, ...), taken for x(eps).  Returns (B,).

    probes: None takes the exact divergence, as many backward passes as a row has entries; else that many random signs
    a row, the same at all times, estimate it without bias.  log_prior: of x(1), by default N(0, prior_std^2 I).
    """
    velocity, entries = probability_flow(model, sde), x[0].numel()
    if probes is None:
        v = torch.eye(entries).to(x).view(entries, 1, *x.shape[1:])
    elif probes >= 1:
        v = torch.stack([torch.where(noise.uniform(x) < 0.5, -1.0, 1.0).to(x) for _ in range(probes)])
        v = v / probes**0.5
    else:
        raise ValueError(f"probes must be at least 1, or None for the exact divergence, not {probes}")

    def joint(state: Tensor, t: Time) -> Tensor:
        value, change = divergence(velocity, state[:, :-1].reshape(x.shape), t, v)
        return torch.cat([value.flatten(1), change[:, None]], dim=1)

    start = torch.cat([x.flatten(1), x.new_zeros(len(x), 1)], dim=1)
    end = solve(joint, start, (eps, 1.0), tolerance=tolerance)[-1]  # Eq. 39
    return (log_prior or sde.prior_log_prob)(end[:, :-1].reshape(x.shape)) + end[:, -1]  # Eq. 39
