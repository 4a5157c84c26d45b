"""Consistency models.

Song, Dhariwal, Chen & Sutskever, ICML 2023. arXiv:2303.01469 (equation and algorithm numbers of v2).
All points of one path of the probability-flow ODE lead to the same end, and f(x, t) is that end: the identity at the
lowest level eps by construction, and at other levels trained to agree with itself between two neighbouring ones.  The
lower point is where one step of a teacher's ODE solver arrives (distillation), or the same data with the same noise at
the lower level (training, without a teacher).  One evaluation then makes a sample of noise; more of them, with noise
in between, trade evaluations for quality, and put known parts of an image back on the way.

x_t = x_0 + t z with z ~ N(0, I): time is the noise level, as in EDM.  Levels rise from eps to T; r < t are two of them,
t_n and t_{n+1} in the paper, one pair for each row.  A consistency model is called like a denoiser, `model(x, t)` with
t: (B,), and returns its guess of x at eps.  The paper's best metric, LPIPS, needs a trained network and is not here.

Long because the paper has two losses, their schedules, a sampler, and editing with its transforms.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, exp, inf, log, sqrt
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from implementations.common.noise import Noise, gaussian
from implementations.common.rows import for_all, per_row
from implementations.edm import Denoiser, DenoisingModel, Solver, schedule, step

Metric = Literal["l2", "l1"]


class ConsistencyModel(Denoiser):
    """f(x, t) = c_skip x + c_out F(c_in x; c_noise), which is x itself at t = eps whatever F returns.

    x: (B, ...); t: (B,), at least eps and above 0.  With eps = 0 it is EDM's denoiser.
    """

    def __init__(self, network: nn.Module, sigma_data: float = 0.5, eps: float = 0.002) -> None:
        super().__init__(network, sigma_data)
        if not 0 <= eps < inf:
            raise ValueError(f"eps, the level where f is the identity, must be finite and at least 0, not {eps}")
        self.eps = eps

    def scalings(self, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """c_skip, c_out, c_in and c_noise (appendix C), each in the shape of sigma; the last two are EDM's."""
        _, _, c_in, c_noise = super().scalings(sigma)
        above = sigma - self.eps
        c_skip = self.sigma_data**2 / (above**2 + self.sigma_data**2)  # Eq. 5
        return c_skip, self.sigma_data * above * c_in, c_in, c_noise  # Eq. 5


class WithTarget(nn.Module):
    """The model that is trained, the running average `target` that it is compared with, and k, the updates so far.

    All of it is in the state_dict, so that training resumes where it stopped.  Called, it is the trained model.
    """

    k: Tensor

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.online, self.target = model, copy.deepcopy(model).requires_grad_(False)
        self.register_buffer("k", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor, t: Tensor, *condition: Tensor) -> Tensor:
        return self.online(x, t, *condition)

    @torch.no_grad()
    def update(self, mu: float) -> None:
        """What follows each step of the optimiser: target <- mu target + (1 - mu) online.  mu: in [0, 1]."""
        if not 0 <= mu <= 1:
            raise ValueError(f"mu, the decay of the target, must lie in 0..1, not {mu}")
        for average, learned in zip(self.target.parameters(), self.online.parameters(), strict=True):
            average.copy_(mu * average + (1 - mu) * learned)  # Eq. 8
        for average, learned in zip(self.target.buffers(), self.online.buffers(), strict=True):
            average.copy_(learned)
        self.k += 1


def levels(N: int, *, eps: float = 0.002, T: float = 80.0, rho: float = 7.0) -> Tensor:
    """t_1 = eps, ..., t_N = T, EDM's levels in rising order.  N: at least 2.  Returns (N,), float64."""
    if N < 2:
        raise ValueError(f"N must be at least 2, or no two levels are neighbours; it is {N}")
    return schedule(N, eps, T, rho)[:-1].flip(0)


def neighbours(table: Tensor, x_0: Tensor, *, noise: Noise = gaussian) -> tuple[Tensor, Tensor]:
    """t and r < t, each (B,): for every row of x_0 two neighbouring levels, any two as likely.

    table: (N,), of `levels`: rising, N at least 2.
    """
    if not (table.ndim == 1 and len(table) > 1 and (table.diff() > 0).all()):
        raise ValueError(f"levels must be two or more that rise, not {table}")
    n = noise.integers(1, len(table) - 1, x_0).to(table.device)
    return table[n].to(x_0), table[n - 1].to(x_0)


def pair(x_0: Tensor, t: float | Tensor, r: float | Tensor, *, noise: Noise = gaussian) -> tuple[Tensor, Tensor]:
    """x_0 + t z and x_0 + r z, (B, ...) each, with the same z.  t, r: a number or (B,), 0 <= r < t."""
    high, low = per_row(t, x_0), per_row(r, x_0)
    if not ((low >= 0) & (low < high)).all():
        raise ValueError(f"want levels 0 <= r < t, not r = {r} and t = {t}")
    z = noise(x_0)
    return x_0 + high * z, x_0 + low * z


def distillation_loss(
    model: DenoisingModel,
    target: DenoisingModel,
    teacher: DenoisingModel,
    x_0: Tensor,
    t: float | Tensor,
    r: float | Tensor,
    *,
    solver: Solver = "heun",
    metric: Metric = "l2",
    weight: float | Tensor = 1.0,
    noise: Noise = gaussian,
) -> Tensor:  # Alg. 2
    """How far f at x_t is from the target where one step of the teacher's ODE takes x_t, from level t to r.

    x_0: (B, ...); t, r: a number or (B,), r above 0.  teacher: a denoiser.  Gradients reach `model` only.
    metric: the squared ("l2") or absolute ("l1") difference, averaged over entries and rows.  weight: lambda, a number
    or (B,).  With the paper's 1, low levels hardly count and drift while the high ones are learned.
    """
    x_t, _ = pair(x_0, t, r, noise=noise)
    with torch.no_grad():
        x_r = step(teacher, x_t, t, r, solver=solver)  # Eq. 6
    return _disagreement(model, target, (x_t, t), (x_r, r), metric, weight)  # Eq. 7


def training_loss(
    model: DenoisingModel,
    target: DenoisingModel,
    x_0: Tensor,
    t: float | Tensor,
    r: float | Tensor,
    *,
    metric: Metric = "l2",
    weight: float | Tensor = 1.0,
    noise: Noise = gaussian,
) -> Tensor:  # Alg. 3
    """The same without a teacher: f at x_0 + t z against the target at x_0 + r z, the z being the same.

    x_0: (B, ...); t, r: a number or (B,), r above 0.  Gradients reach `model` only.
    metric, weight: see `distillation_loss`.
    """
    x_t, x_r = pair(x_0, t, r, noise=noise)
    return _disagreement(model, target, (x_t, t), (x_r, r), metric, weight)  # Eq. 10


def _disagreement(
    model: DenoisingModel,
    target: DenoisingModel,
    upper: tuple[Tensor, float | Tensor],
    lower: tuple[Tensor, float | Tensor],
    metric: str,
    weight: float | Tensor,
) -> Tensor:
    """Of the model at the upper point and level with the target at the lower."""
    if metric not in ("l2", "l1"):
        raise ValueError(f"metric must be 'l2' or 'l1', not {metric!r}")
    (x_t, t), (x_r, r) = upper, lower
    if not (torch.as_tensor(r) > 0).all():
        raise ValueError(f"r, the level at which the target is asked, must be above 0, not {r}")
    with torch.no_grad():
        goal = target(x_r, for_all(1.0 * r, x_r))
    gap = model(x_t, for_all(1.0 * t, x_t)) - goal
    return (per_row(weight, gap) * (gap.square() if metric == "l2" else gap.abs())).mean()


def discretisation(k: int, K: int, *, s_0: int = 2, s_1: int = 150) -> int:
    """N(k), the levels that step k of K trains on: s_0 to s_1 + 1 of them, their square growing evenly (appendix C)."""
    if not (0 <= k <= K and K > 0 and 2 <= s_0 <= s_1):
        raise ValueError(f"want 0 <= k <= K, K > 0 and 2 <= s_0 <= s_1, not k = {k}, K = {K}, {s_0} and {s_1}")
    return ceil(sqrt(k / K * ((s_1 + 1) ** 2 - s_0**2) + s_0**2) - 1) + 1


def decay(N: int, *, s_0: int = 2, mu_0: float = 0.9) -> float:
    """mu of the target where training is on N levels: mu_0 at N = s_0, and nearer to 1 for more (appendix C)."""
    if not (N >= 1 and s_0 >= 1 and 0 < mu_0 <= 1):
        raise ValueError(f"want N and s_0 at least 1 and 0 < mu_0 <= 1, not {N}, {s_0} and {mu_0}")
    return exp(s_0 * log(mu_0) / N)


@torch.no_grad()
def sample(
    model: DenoisingModel, z: Tensor, sigmas: Tensor, *, eps: float = 0.002, noise: Noise = gaussian
) -> Tensor:  # Alg. 1
    """From noise to data, one evaluation for each of the levels, with noise in between.

    z: (B, ...) ~ N(0, I), scaled here.  sigmas: (n,), falling from T to eps or above; T alone is one step.  eps: the
    model's; 0 for one whose f ends at the data themselves.  Returns (B, ...).
    """
    _check(sigmas, eps)
    return _chain(model, sigmas[0].to(z) * z, sigmas, eps, noise)


@dataclass(frozen=True)
class Transform:
    """An invertible linear map of images and its inverse: what is known of an image is known in its coefficients."""

    forward: Callable[[Tensor], Tensor]
    inverse: Callable[[Tensor], Tensor]


IDENTITY = Transform(lambda x: x, lambda x: x)
"""Of inpainting: what is known is pixels."""


def _rotation(first: Tensor) -> Tensor:
    """An orthogonal matrix whose first column is along `first`: (D,), float64."""
    rest = torch.eye(len(first), dtype=first.dtype)[:, 1:]
    Q, _ = torch.linalg.qr(torch.cat([first[:, None], rest], dim=1))
    return Q * torch.sign(Q[:, 0] @ first)


def colours(grey: tuple[float, float, float] = (0.2989, 0.587, 0.114)) -> Transform:
    """Of colourisation: channel 0 of the coefficients is the grey image, weighed like this and scaled to unit length.

    Images are (B, 3, H, W), and so are their coefficients.
    """
    if not grey[0] > 0:
        raise ValueError(f"the first weight of grey must be above 0, not {grey[0]}")
    Q = _rotation(torch.tensor(grey, dtype=torch.float64))
    return Transform(
        lambda x: torch.einsum("bchw,cd->bdhw", x, Q.to(x)),
        lambda a: torch.einsum("bdhw,cd->bchw", a, Q.to(a)),
    )


def patches(p: int) -> Transform:
    """Of super-resolution: the top left coefficient of each patch of p x p pixels is p times the patch's mean.

    Images are (B, C, H, W) with H and W multiples of p, and so are their coefficients.
    """
    if p < 2:
        raise ValueError(f"a patch must be at least 2 pixels wide, not {p}")
    Q = _rotation(torch.ones(p * p, dtype=torch.float64))

    def within(x: Tensor, matrix: Tensor) -> Tensor:
        B, C, H, W = x.shape
        if H % p or W % p:
            raise ValueError(f"height and width must be multiples of {p}, not {H} and {W}")
        pixels = F.pixel_unshuffle(x, p).view(B, C, p * p, H // p, W // p)
        rotated = torch.einsum("bcihw,ij->bcjhw", pixels, matrix.to(x))
        return F.pixel_shuffle(rotated.reshape(B, C * p * p, H // p, W // p), p)

    return Transform(lambda x: within(x, Q), lambda a: within(a, Q.T))


@torch.no_grad()
def edit(
    model: DenoisingModel,
    y: Tensor,
    known: Tensor,
    sigmas: Tensor,
    *,
    transform: Transform = IDENTITY,
    eps: float = 0.002,
    noise: Noise = gaussian,
) -> Tensor:  # Alg. 4
    """A sample with the known coefficients of an image y, put back after every evaluation; trained for none of it.

    y: (B, ...); what is unknown of it does not matter.  known: bool, True where a coefficient of `transform` is given,
    in a shape that broadcasts over y.  sigmas, eps: see `sample`.  Returns (B, ...).
    """
    _check(sigmas, eps)
    given = transform.forward(y)

    def put_back(x: Tensor) -> Tensor:
        return transform.inverse(torch.where(known, given, transform.forward(x)))

    x = put_back(torch.zeros_like(y)) + sigmas[0].to(y) * noise(y)
    return _chain(model, x, sigmas, eps, noise, put_back)


@torch.no_grad()
def from_strokes(
    model: DenoisingModel, y: Tensor, sigmas: Tensor, *, eps: float = 0.002, noise: Noise = gaussian
) -> Tensor:
    """An image like the coarse one y: (B, ...), from y with noise of level sigmas[0], far below T (appendix D).

    The paper takes 5.38 and 2.24.  It is `edit` with nothing known, but that y is not erased before it starts.
    """
    _check(sigmas, eps)
    return _chain(model, y + sigmas[0].to(y) * noise(y), sigmas, eps, noise)


def _check(sigmas: Tensor, eps: float) -> None:
    falls = sigmas.ndim == 1 and len(sigmas) > 0 and bool((sigmas.diff() < 0).all())
    if not (falls and 0 <= eps <= sigmas[-1] and sigmas[-1] > 0 and sigmas[0] < inf):
        raise ValueError(f"sigmas must be levels that fall and end at eps = {eps} or above, not {sigmas}")


def _chain(
    model: DenoisingModel,
    x: Tensor,
    sigmas: Tensor,
    eps: float,
    noise: Noise,
    put_back: Callable[[Tensor], Tensor] = lambda x: x,
) -> Tensor:
    """From x at the first level: what f makes of it, put back, and the same again from each further level."""
    for i, sigma in enumerate(sigmas.tolist()):
        if i > 0:
            x = x + sqrt(max(sigma**2 - eps**2, 0.0)) * noise(x)
        x = put_back(model(x, for_all(sigma, x)))
    return x
