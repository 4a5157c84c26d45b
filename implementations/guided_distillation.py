"""On distillation of guided diffusion models.

Meng, Rombach, Gao, Kingma, Ermon, Ho & Salimans, CVPR 2023. arXiv:2210.03142 (numbers of v3).
Guidance asks two models at every step.  Stage one trains one network to answer as the guided pair does: it is told the
scale, as it is told the time, and learns a whole range of scales.  Stage two halves its steps as progressive
distillation does, with a scale drawn for each row.  A second sampler goes two steps down and one back up by fresh
noise, for which the student learns other steps.  From data, encoded at one scale, one may decode at another.

The scale s is that of `cfg`: v_u + s (v_c - v_u), 1 for the conditional model.  The paper counts w = s - 1, and its
pixel models learn w in 0..4, here s in 1..5.  Guiding v guides the guess of x alike, for x = alpha z - sigma v and the
two shares sum to 1.  A student is `model(z, gamma, y, scale)`, all but z: (B,), its teacher in stage one `model(z,
gamma, y)`; both guess v, at levels as in progressive distillation.  The student should start as a copy of the
conditional teacher but for what is new, and each round's as a copy of the last: `progressive_distillation.distill`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from implementations import progressive_distillation
from implementations.cfg import guided
from implementations.common.noise import Noise, gaussian
from implementations.common.rows import for_all, per_row
from implementations.progressive_distillation import (
    SCHEDULE,
    VModel,
    Weighting,
    denoise,
    distillation_loss,
    implied,
    levels,
    step,
    weighted_error,
)
from implementations.vdm import Schedule, alpha_sigma, diffuse

ConditionalVModel = Callable[[Tensor, Tensor, Tensor], Tensor]
ScaledVModel = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
Range = tuple[float, float]
SCALES: Range = (1.0, 5.0)
"""The scales that a student learns, both ends included."""


def draw_scales(x: Tensor, scales: Range = SCALES, *, noise: Noise = gaussian) -> Tensor:
    """A scale for each row of x: (B, ...), uniform over the range.  (B,), float64.  ValueError for a range upside down.

    scales: a single scale where both ends are the same, the paper's control.
    """
    low, high = scales
    if not low <= high:
        raise ValueError(f"scales must be a range, lowest first, not {scales}")
    return low + (high - low) * noise.uniform(x.new_empty(len(x), dtype=torch.float64))


def told(model: ScaledVModel, y: Tensor, scale: float | Tensor, *, scales: Range = SCALES) -> VModel:
    """The student of one class and one scale for each row, as the functions of progressive distillation take it.

    y: (B,) int64.  scale: a number or (B,); ValueError outside the range that the student has learned.
    """
    low, high = scales
    s = torch.as_tensor(scale)
    if not ((low <= s) & (s <= high)).all():
        raise ValueError(f"scale must lie in {low:g}..{high:g}, the range the student has learned, not {scale}")

    def v(z: Tensor, gamma: Tensor) -> Tensor:
        if y.shape != (len(z),):
            raise ValueError(f"y must hold one label per row, ({len(z)},), not {tuple(y.shape)}")
        return model(z, gamma, y, for_all(s.to(z), z))

    return v


def stage_one_loss(
    student: ScaledVModel,
    teacher: ConditionalVModel,
    x: Tensor,
    y: Tensor,
    null: int,
    *,
    scales: Range = SCALES,
    schedule: Schedule = SCHEDULE,
    weighting: Weighting = "truncated-snr",
    noise: Noise = gaussian,
) -> Tensor:  # Alg. 1
    """Weighted squared error between the x of the student and that of the guided teacher, t uniform in [0, 1).

    x: (B, ...); y: (B,) int64; null: the label that asks the teacher for its unconditional prediction.  The target is
    a function of what the student is told, so the least loss is 0; to a student that is not told the scale it is the
    variance of the scale times the weighted square of x_c - x_u.
    """
    scale = draw_scales(x, scales, noise=noise)
    gamma = schedule(noise.uniform(x.new_empty(len(x), dtype=torch.float64)))
    z = diffuse(x, gamma, noise(x))
    with torch.no_grad():
        target = denoise(guided(teacher, y, scale, null), z, gamma)  # section 3.1
    return weighted_error(told(student, y, scale, scales=scales), z, gamma, target, weighting=weighting)


def stage_two_loss(
    student: ScaledVModel,
    teacher: ScaledVModel,
    x: Tensor,
    y: Tensor,
    N: int,
    *,
    scales: Range = SCALES,
    schedule: Schedule = SCHEDULE,
    weighting: Weighting = "truncated-snr",
    noise: Noise = gaussian,
) -> Tensor:  # Alg. 2
    """Of a student of N steps for `sample`, whose teacher, itself a student, takes 2 N.  x: (B, ...); y: (B,) int64."""
    scale = draw_scales(x, scales, noise=noise)
    one, two = (told(model, y, scale, scales=scales) for model in (student, teacher))
    return distillation_loss(one, two, x, N, schedule=schedule, weighting=weighting, noise=noise)


def stochastic_stage_two_loss(
    student: ScaledVModel,
    teacher: ScaledVModel,
    x: Tensor,
    y: Tensor,
    N: int,
    *,
    scales: Range = SCALES,
    schedule: Schedule = SCHEDULE,
    weighting: Weighting = "truncated-snr",
    noise: Noise = gaussian,
) -> Tensor:  # Alg. 3
    """Of a student of N steps for `sample_stochastic`, whose jumps have the length 2/N, from all its N levels.

    The teacher goes there in two steps of 1/N, which is what it was taught if it is such a student of 2 N steps; from
    t = 1/N, where a single step is left, in one.  x: (B, ...); y: (B,) int64.
    """
    scale = draw_scales(x, scales, noise=noise)
    one, two = (told(model, y, scale, scales=scales) for model in (student, teacher))
    table = levels(N, schedule).to(x.device)
    i = noise.integers(1, N, x)
    gamma, middle, end = table[i], table[(i - 1).clamp_min(1)], table[(i - 2).clamp_min(0)]
    z = diffuse(x, gamma, noise(x))
    with torch.no_grad():
        z_middle = step(two, z, gamma, middle)  # Eq. 2; where i = 1 it stays where it is
        target = implied(z, step(two, z_middle, middle, end), gamma, end)  # Eq. 2
    return weighted_error(one, z, gamma, target, weighting=weighting)


@torch.no_grad()
def sample(
    model: ScaledVModel,
    z_1: Tensor,
    N: int,
    y: Tensor,
    scale: float | Tensor,
    *,
    scales: Range = SCALES,
    schedule: Schedule = SCHEDULE,
    clip: tuple[float, float] | None = None,
) -> Tensor:  # section 3.3
    """DDIM in N even steps of t, N evaluations where the guided teacher's N steps take 2 N.

    z_1: (B, ...) ~ N(0, I).  y: (B,) int64.  scale: a number or (B,), within scales.  clip: limits for each guess of x.
    Returns x: (B, ...).
    """
    v = told(model, y, scale, scales=scales)
    return progressive_distillation.sample(v, z_1, N, schedule=schedule, clip=clip)


def renoise(z: Tensor, gamma: Tensor, gamma_next: Tensor, *, noise: Noise = gaussian) -> Tensor:
    """From a level up to one with more noise, by as much fresh noise as is missing there: marginals are kept.

    z: (B, ...).  gamma, gamma_next: () or (B,), the latter larger and finite; gamma may be -inf, where z is data.
    """
    if not (gamma <= gamma_next).all():
        raise ValueError("noise can only be added: want gamma <= gamma_next in each row")
    (alpha, _), (alpha_next, sigma_next) = alpha_sigma(gamma, z), alpha_sigma(gamma_next, z)
    missing = per_row((-(gamma - gamma_next).expm1()).sqrt(), z) * sigma_next  # section 3.3
    return (alpha_next / alpha) * z + missing * noise(z)  # section 3.3


@torch.no_grad()
def sample_stochastic(
    model: ScaledVModel,
    z_1: Tensor,
    N: int,
    y: Tensor,
    scale: float | Tensor,
    *,
    scales: Range = SCALES,
    schedule: Schedule = SCHEDULE,
    noise: Noise = gaussian,
) -> Tensor:  # section 3.3
    """Down by two of the N even steps of t, up by one with fresh noise, and so on; the last step is a single one.

    N evaluations and N - 1 draws.  z_1: (B, ...) ~ N(0, I).  y: (B,) int64.  scale: a number or (B,), within scales.
    A model that has not learned these jumps, of twice the length of its steps, shrinks what it samples more than
    `sample` does in as many evaluations.  Returns x: (B, ...).
    """
    v, table, z = told(model, y, scale, scales=scales), levels(N, schedule).to(z_1.device), z_1
    for i in range(N, 1, -1):
        z = step(v, z, table[i], table[i - 2])  # Eq. 2
        z = renoise(z, table[i - 2], table[i - 1], noise=noise)
    return step(v, z, table[1], table[0])  # Eq. 2


@torch.no_grad()
def encode(
    model: ScaledVModel,
    x: Tensor,
    N: int,
    y: Tensor,
    scale: float | Tensor,
    *,
    scales: Range = SCALES,
    schedule: Schedule = SCHEDULE,
) -> Tensor:
    """The z_1 that `sample` leads back to x, up to O(1/N): DDIM from data to noise, N even steps, N - 1 evaluations.

    Decoded for another class or at another scale, it is the same picture in another style.  x: (B, ...), data.
    y: (B,) int64.  scale: a number or (B,), within scales.  Steps upwards are not what students of few steps have
    learned, so the model should be the student of stage one.  Returns (B, ...).
    """
    if N < 2:
        raise ValueError(f"N must be at least 2 steps, not {N}: the first one asks no model")
    v, table = told(model, y, scale, scales=scales), levels(N, schedule).to(x.device)
    z = alpha_sigma(table[1], x)[0] * x  # data hold no noise, which is what a step keeps
    for gamma, gamma_next in pairwise(table[1:]):
        z = step(v, z, gamma, gamma_next)  # Eq. 2
    return z
