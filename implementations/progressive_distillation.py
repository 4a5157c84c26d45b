"""Progressive distillation for fast sampling of diffusion models.

Salimans & Ho, ICLR 2022. arXiv:2202.00512 (v2).
A student learns to do in one step of DDIM what its teacher does in two; then it is the teacher, and N halves again.
Its target is the x with which one step lands where the teacher's two steps do.  Unlike the data, of which z_t leaves
open what it was, that x is a function of z_t, so the student need not blur.  Few steps begin where there is no signal,
and there a guess of the noise says nothing about x: so the network predicts v, and the loss weighs no level by 0.

Levels are gamma = -log SNR, in float64, as in VDM; t runs from 0 (data) to 1 (noise).  `model(z, gamma)` with gamma:
(B,) returns its guess of v = alpha eps - sigma x.  All functions take any such closure, over a class say.  N steps go
through t = 1, 1 - 1/N, ..., 1/N to the data, one evaluation each; none is spent on t = 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import pairwise
from math import inf
from typing import Literal

import torch
from torch import Tensor, nn

from implementations import ddim
from implementations.common.noise import Noise, gaussian
from implementations.common.rows import for_all, per_row
from implementations.vdm import Schedule, alpha_sigma, cosine, diffuse

VModel = Callable[[Tensor, Tensor], Tensor]
Weighting = Literal["truncated-snr", "snr+1"]
F64 = torch.float64
SCHEDULE = cosine(-20.0, 20.0)
"""alpha = cos and sigma = sin of an angle linear in t, cut where log SNR is 20 and -20."""


def velocity(x: Tensor, gamma: Tensor, eps: Tensor) -> Tensor:
    """What the network is to predict: v = alpha eps - sigma x, the speed of z as signal turns into noise.

    x, eps: (B, ...); gamma: () or (B,).  Returns (B, ...).
    """
    alpha, sigma = alpha_sigma(gamma, x)
    return alpha * eps - sigma * x  # section 4


def denoise(model: VModel, z: Tensor, gamma: Tensor) -> Tensor:
    """The x that the network's v means, alpha z - sigma v: no level amplifies its error.

    z: (B, ...); gamma: () or (B,), finite.
    """
    alpha, sigma = alpha_sigma(gamma, z)
    return alpha * z - sigma * model(z, for_all(gamma.to(z), z))  # section 4


def weight(gamma: Tensor, weighting: Weighting = "truncated-snr") -> Tensor:
    """Of a squared error of x, at levels gamma: max(SNR, 1) or SNR + 1.  Returns the shape of gamma.

    SNR alone, which is the squared error of eps, would leave unlearned what the first of a few steps needs.
    "snr+1" is the squared error of v; "truncated-snr" is that of x or of eps, whichever is larger.
    """
    snr = (-gamma).exp()
    if weighting == "truncated-snr":
        return snr.clamp_min(1)  # section 4
    if weighting == "snr+1":
        return snr + 1  # section 4
    raise ValueError(f"weighting must be 'truncated-snr' or 'snr+1', not {weighting!r}")


def weighted_error(
    model: VModel, z: Tensor, gamma: Tensor, x: Tensor, *, weighting: Weighting = "truncated-snr"
) -> Tensor:
    """Squared error of the x that the network means, weighed by level, averaged over entries and rows.

    z, x: (B, ...); gamma: (B,), finite.
    """
    return (per_row(weight(gamma, weighting), x) * (denoise(model, z, gamma) - x).square()).mean()


def loss(
    model: VModel,
    x: Tensor,
    *,
    schedule: Schedule = SCHEDULE,
    weighting: Weighting = "truncated-snr",
    noise: Noise = gaussian,
) -> Tensor:  # Alg. 1
    """Of the first teacher: x itself is the target, t uniform in [0, 1).  x: (B, ...)."""
    gamma = schedule(noise.uniform(x.new_empty(len(x), dtype=F64)))
    return weighted_error(model, diffuse(x, gamma, noise(x)), gamma, x, weighting=weighting)


def levels(N: int, schedule: Schedule = SCHEDULE) -> Tensor:
    """gamma at t = 0, 1/N, ..., 1: (N + 1,), float64.  The first is -inf, the data themselves, whatever the schedule:
    so the last step ends on the x that was guessed, and its target is the teacher's last guess.
    """
    if N < 1:
        raise ValueError(f"N must be at least 1 step, not {N}")
    gamma = schedule(torch.linspace(0, 1, N + 1, dtype=F64))
    return torch.cat([gamma.new_full((1,), -inf), gamma[1:]])


def step(model: VModel, z: Tensor, gamma: Tensor, gamma_next: Tensor) -> Tensor:
    """One step of DDIM.  z: (B, ...); gamma: () or (B,), finite; gamma_next: the same, -inf for the data."""
    return ddim.step(z, denoise(model, z, gamma), alpha_sigma(gamma, z), alpha_sigma(gamma_next, z))


def implied(z: Tensor, z_next: Tensor, gamma: Tensor, gamma_next: Tensor) -> Tensor:  # Alg. 2
    """The x with which one step of DDIM leads from z to z_next.  z, z_next: (B, ...); gamma, gamma_next: () or (B,)."""
    (alpha, sigma), (alpha_next, sigma_next) = alpha_sigma(gamma, z), alpha_sigma(gamma_next, z)
    ratio = sigma_next / sigma
    return (z_next - ratio * z) / (alpha_next - ratio * alpha)


@torch.no_grad()
def target(teacher: VModel, z: Tensor, gamma: Tensor, gamma_middle: Tensor, gamma_next: Tensor) -> Tensor:  # Alg. 2
    """The x that makes one step of the student do two of the teacher's, by way of the middle.  Not differentiated.

    z: (B, ...); gamma > gamma_middle > gamma_next, each () or (B,); gamma_next may be -inf.  Returns (B, ...), not
    clipped: a weighted mean of the teacher's two guesses.
    """
    if not ((gamma > gamma_middle) & (gamma_middle > gamma_next)).all():
        raise ValueError("levels must fall: gamma > gamma_middle > gamma_next in each row")
    z_middle = step(teacher, z, gamma, gamma_middle)
    return implied(z, step(teacher, z_middle, gamma_middle, gamma_next), gamma, gamma_next)


def distillation_loss(
    student: VModel,
    teacher: VModel,
    x: Tensor,
    N: int,
    *,
    schedule: Schedule = SCHEDULE,
    weighting: Weighting = "truncated-snr",
    noise: Noise = gaussian,
) -> Tensor:  # Alg. 2
    """Of a student of N steps whose teacher takes 2 N, at one of the student's N levels for each row.  x: (B, ...)."""
    table = levels(2 * N, schedule).to(x.device)
    i = 2 * noise.integers(1, N, x)
    gamma = table[i]
    z = diffuse(x, gamma, noise(x))
    return weighted_error(student, z, gamma, target(teacher, z, gamma, table[i - 1], table[i - 2]), weighting=weighting)


def halvings(N: int, last: int = 1) -> list[int]:
    """The numbers of steps after each round: N / 2, N / 4, ..., last.  ValueError if halving N does not lead there."""
    if not 1 <= last < N:
        raise ValueError(f"want 1 <= last < N, not last = {last} and N = {N}: a single step has no half")
    counts = [N]
    while counts[-1] > last:
        half, odd = divmod(counts[-1], 2)
        if odd or half < last:
            raise ValueError(f"N = {N} steps halved lead to {counts[-1]}, which has no half of {last} or more steps")
        counts.append(half)
    return counts[1:]


class Round(nn.Module):
    """A halving: the teacher, which stays as it is, and the student of N steps, which starts as its copy.

    One module, so that the state of a training holds the teacher that its student learns from.  Called, it is their
    loss, if each is a `VModel`; a network that wants more, a class say, is given to `distillation_loss` by closures.
    """

    def __init__(self, teacher: nn.Module, N: int) -> None:
        super().__init__()
        if N < 1:
            raise ValueError(f"N must be at least 1 step, not {N}")
        self.N = N
        self.teacher = deepcopy(teacher).requires_grad_(False).eval()
        self.student = deepcopy(teacher).requires_grad_(True)

    def train(self, mode: bool = True) -> Round:
        """Dropout, say, is for the student alone."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(
        self,
        x: Tensor,
        *,
        schedule: Schedule = SCHEDULE,
        weighting: Weighting = "truncated-snr",
        noise: Noise = gaussian,
    ) -> Tensor:
        """The distillation loss of a student that is told nothing but the level.  x: (B, ...)."""
        return distillation_loss(
            self.student, self.teacher, x, self.N, schedule=schedule, weighting=weighting, noise=noise
        )


def distill(
    teacher: nn.Module, N: int, fit: Callable[[Round], nn.Module], *, last: int = 1
) -> Iterator[tuple[int, nn.Module]]:  # Alg. 2
    """Rounds from a teacher of N steps: yields N / 2 and its student, N / 4 and its, ..., which are teachers in turn.

    fit: trains a round, with an optimiser of its own, and returns the student.
    """
    for steps in halvings(N, last):
        teacher = fit(Round(teacher, steps))
        yield steps, teacher


@torch.no_grad()
def sample(
    model: VModel,
    z_1: Tensor,
    N: int,
    *,
    schedule: Schedule = SCHEDULE,
    clip: tuple[float, float] | None = None,
) -> Tensor:
    """DDIM in N even steps of t, N network evaluations.  z_1: (B, ...) ~ N(0, I).  Returns x: (B, ...).

    clip: limits for each guess of x, which the authors set for images, when sampling only.
    """
    z = z_1
    for gamma, gamma_next in pairwise(levels(N, schedule).flip(0).to(z.device)):
        x = denoise(model, z, gamma)
        x = x if clip is None else x.clamp(*clip)
        z = ddim.step(z, x, alpha_sigma(gamma, z), alpha_sigma(gamma_next, z))
    return z
