"""Consistency models made easy (ECT).

Geng, Pokle, Luo, Lin & Kolter, ICLR 2025. arXiv:2406.14548 (section numbers of v2).
Training a diffusion model is training a consistency model with the widest gap: f at level t is compared with f at an
earlier level r, and at r = 0 that is the data.  So start from a pretrained denoiser and close the gap in stages, r(t)
going from 0 towards t, with the weights themselves as the target: no teacher, no averaged target, no solver.  What
grows as the gap closes, the variance of the gradient, is held down by weights.  Two evaluations make a sample.

x_t = x_0 + t z with z ~ N(0, I): time is the noise level, as in EDM, whose scalings stay as they are: f(x, 0) = x.
Stage 0 is diffusion training where the metric is the squared error; iterations count from 1, and tuning, which starts
from what stage 0 ends with, from stage 1.  (The authors' code counts its stages from 0 and adds 1 where it uses them.)
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from implementations.common.noise import Noise, gaussian
from implementations.common.rows import per_row
from implementations.consistency_models import pair
from implementations.consistency_models import sample as multistep
from implementations.edm import Denoiser, DenoisingModel
from implementations.ict import pseudo_huber

Metric = Callable[[Tensor, Tensor], Tensor]
"""The distance between two batches, row by row: (B, ...) twice to (B,)."""
Weight = Callable[[Tensor, Tensor], Tensor]
"""The weight of a pair of levels t and r: (B,) twice to (B,)."""
TWO_STEPS = (80.0, 0.821)
"""Where the two evaluations of a sample are, for CIFAR-10; the authors take 1.526 for the second on ImageNet 64."""


class Tuning(nn.Module):
    """A consistency model on its way: a copy of a pretrained denoiser, and how many iterations it has been tuned.

    base: an EDM denoiser with its (averaged) weights; it stays as it is.  Called, `model(x, t)`, it is f, with EDM's
    scalings in training and after.  (The authors' code for CIFAR-10 turns to those of consistency models after it.)
    Its state_dict is all that a tuning needs to go on, beside the optimiser's.
    """

    iteration: Tensor

    def __init__(self, base: Denoiser) -> None:
        super().__init__()
        if not isinstance(base, Denoiser):
            raise ValueError(f"base must be a denoiser of edm, scalings included, not a {type(base).__name__}")
        c_skip, c_out, _, _ = base.scalings(torch.zeros(1))
        if not (c_skip == 1 and c_out == 0):
            raise ValueError(f"base must return x itself at level 0, as EDM's scalings do, not {c_skip} x + {c_out} F")
        self.f = copy.deepcopy(base).requires_grad_()
        self.register_buffer("iteration", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor, t: Tensor, *condition: Tensor) -> Tensor:
        return self.f(x, t, *condition)

    def begin(self) -> int:
        """Count one iteration more, and return its number, from 1."""
        self.iteration += 1
        return int(self.iteration)


def stage(iteration: int, every: int) -> int:
    """a: 0 before the first iteration, 1 for the first `every` of them, and one more for each `every` after these."""
    if not (iteration >= 0 and every >= 1):
        raise ValueError(f"want iteration >= 0 and every >= 1, not {iteration} and {every}")
    return -(-iteration // every)  # section 3.3


def earlier(t: Tensor, a: int, *, q: float = 2.0, k: float = 8.0, b: float = 1.0) -> Tensor:
    """r(t) of stage a: 0 for all t at stage 0; once r is above 0, each stage makes the gap t - r q times smaller.

    n(t), from 1 + k / 2 at t = 0 down to 1 at large t, keeps the gap wider where noise is low; r stays 0 where n(t)
    exceeds q^a.  t: (B,), above 0.  Returns (B,), from 0 to below t.
    """
    if not a >= 0:
        raise ValueError(f"the stage a must be at least 0, where r is 0, not {a}")
    if not (q > 1 and k >= 0 and b >= 0):
        raise ValueError(f"want q > 1, or the gap never closes, and k and b at least 0, not {q}, {k} and {b}")
    n = 1 + k * torch.sigmoid(-b * t)  # section 3.3
    return (t * (1 - n / q**a)).clamp_min(0)  # section 3.3


def gap_weight(t: Tensor, r: Tensor) -> Tensor:
    """1 / (t - r), for a metric that falls with the gap as a norm does: the loss tends to |df/dt| along x_0 + t z.

    t, r: (B,).  Returns (B,).
    """
    return 1 / (t - r)  # section 3.1


def denoising_weight(t: Tensor, r: Tensor, sigma_data: float = 0.5) -> Tensor:
    """EDM's 1 / c_out^2 at t, whatever r is; the authors' code takes it on ImageNet.  t, r: (B,).  Returns (B,)."""
    return 1 / sigma_data**2 + 1 / t**2


def loss(
    model: DenoisingModel,
    x_0: Tensor,
    a: int,
    *,
    q: float = 2.0,
    k: float = 8.0,
    b: float = 1.0,
    P_mean: float = -1.1,
    P_std: float = 2.0,
    metric: Metric = pseudo_huber,
    weight: Weight = gap_weight,
    noise: Noise = gaussian,
) -> Tensor:  # section 3.1
    """How far f at x_0 + t z is from f at x_0 + r z, r = r(t), weighted and averaged over rows; t is log-normal.

    The target is f itself without gradient, by the same dropout mask, and x_0 where r is 0.  x_0: (B, ...).
    metric: that of iCT, as in the authors' code for ImageNet; for CIFAR-10 it has c = 0, a bare norm, whose gradient
    is not finite where nothing differs.
    """
    t = (P_mean + P_std * noise(x_0.new_empty(len(x_0)))).exp()
    r = earlier(t, a, q=q, k=k, b=b)
    x_t, x_r = pair(x_0, t, r, noise=noise)
    target = _target(model, x_0, x_t, x_r, t, r) if a > 0 else x_0
    return (weight(t, r) * metric(model(x_t, t), target)).mean()  # section 3.1


@torch.no_grad()
def _target(model: DenoisingModel, x_0: Tensor, x_t: Tensor, x_r: Tensor, t: Tensor, r: Tensor) -> Tensor:
    """f(x_r, r), or x_0 where r is 0.  These rows are asked about t, as the logarithm of 0 would be infinite."""
    above = per_row(r, x_0) > 0
    with torch.random.fork_rng([x_0.device] if x_0.is_cuda else []):  # the caller's pass draws the same masks
        f = model(torch.where(above, x_r, x_t), torch.where(r > 0, r, t))
    return torch.where(above, f, x_0)


def sample(
    model: DenoisingModel, z: Tensor, sigmas: tuple[float, ...] = TWO_STEPS, *, noise: Noise = gaussian
) -> Tensor:
    """From noise to data with one evaluation at each level, and noise of the next level added to what came out.

    z: (B, ...) ~ N(0, I), scaled here.  sigmas: falling, above 0; (80.0,) is one step.  Returns (B, ...).
    """
    return multistep(model, z, torch.tensor(sigmas, dtype=torch.float64), eps=0.0, noise=noise)
