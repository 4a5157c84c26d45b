"""Improved techniques for training consistency models (iCT).

Song & Dhariwal, ICLR 2024. arXiv:2310.14189 (section numbers of v1).
What it takes for a consistency model that learns from data alone to overtake one that is distilled.  The target is the
model itself with its gradient stopped, not a running average: the gradient is the difference of two outputs over
t - r, and what an average lags behind does not shrink with t - r.  The metric grows like a norm, not like a square;
pairs of levels are drawn where there is something to learn, and weigh 1 / (t - r); N doubles from stage to stage; and
both passes drop the same units.  Pairs, levels and samplers are those of consistency models, and so are the names here.

x_t = x_0 + t z; levels rise from eps to T, and r < t are two neighbours, sigma_i and sigma_{i+1} in the paper.  A model
is called as a denoiser is, `model(x, t)` with t: (B,).  How much its embedding of t changes from one level to the next
(little, in the paper), its dropout, and the average of its weights that is sampled from, belong to who trains it.
"""

from __future__ import annotations

from math import floor, log2, prod, sqrt

import torch
from torch import Tensor

from implementations.common.noise import Noise, gaussian
from implementations.common.rows import for_all
from implementations.consistency_models import pair
from implementations.edm import DenoisingModel


def huber_width(d: int) -> float:
    """c of the metric for rows of d numbers: 0.03 for images of 3 x 32 x 32."""
    if d < 1:
        raise ValueError(f"d, the numbers in a row, must be at least 1, not {d}")
    return 0.00054 * sqrt(d)  # section 3.3


def pseudo_huber(x: Tensor, y: Tensor, c: float | None = None) -> Tensor:
    """sqrt(|x - y|^2 + c^2) - c for each row as a whole: half a square over c where the row is within c, else a norm.

    x, y: (B, ...), of one shape.  c: above 0, or its gradient at x = y would not exist; by default `huber_width`.
    Returns (B,).
    """
    if x.shape != y.shape:
        raise ValueError(f"want two tensors of one shape, not {tuple(x.shape)} and {tuple(y.shape)}")
    c = huber_width(prod(x.shape[1:])) if c is None else c
    if not c > 0:
        raise ValueError(f"c must be above 0, not {c}")
    squares = (x - y).square().flatten(1).sum(1)
    return (squares + c**2).sqrt() - c  # section 3.3


def discretisation(k: int, K: int, *, s_0: int = 10, s_1: int = 1280) -> int:
    """N(k), how many levels step k of K trains on: s_0 + 1 at first, doubled from stage to stage up to s_1 + 1.

    K must be enough for a step in each stage; what the stages leave over of it goes to the last one.
    """
    if not (0 <= k <= K and 1 <= s_0 <= s_1):
        raise ValueError(f"want 0 <= k <= K and 1 <= s_0 <= s_1, not k = {k}, K = {K}, {s_0} and {s_1}")
    stage = floor(K / (log2(s_1 // s_0) + 1))  # section 3.4
    if stage < 1:
        raise ValueError(f"K = {K} steps are too few to double {s_0} up to {s_1}")
    return min(s_0 * 2 ** (k // stage), s_1) + 1  # section 3.4


def probabilities(table: Tensor, *, P_mean: float = -1.1, P_std: float = 2.0) -> Tensor:
    """How likely each pair of neighbouring levels is: what a log-normal law holds between them, over what it holds
    between all.

    table: (N,), of `consistency_models.levels`: rising, N at least 2.  P_mean, P_std: of log t.  Returns (N - 1,).
    """
    if not (table.ndim == 1 and len(table) > 1 and (table.diff() > 0).all() and table[0] >= 0):
        raise ValueError(f"levels must be two or more that rise, from 0 or above, not {table}")
    if not P_std > 0:
        raise ValueError(f"P_std must be above 0, not {P_std}")
    mass = torch.erf((table.log() - P_mean) / (sqrt(2) * P_std)).diff()  # section 3.5
    if not mass.sum() > 0:
        raise ValueError(f"a log-normal law of {P_mean} and {P_std} holds nothing between these levels: {table}")
    return mass / mass.sum()


def neighbours(
    table: Tensor, x_0: Tensor, *, P_mean: float = -1.1, P_std: float = 2.0, noise: Noise = gaussian
) -> tuple[Tensor, Tensor]:
    """t and r < t, each (B,): for every row of x_0 two neighbouring levels, by their `probabilities`."""
    up_to = probabilities(table, P_mean=P_mean, P_std=P_std).cumsum(0)
    u = noise.uniform(x_0.new_empty(len(x_0), dtype=up_to.dtype)).to(up_to.device)
    i = torch.searchsorted(up_to / up_to[-1], u, right=True)
    return table[i + 1].to(x_0), table[i].to(x_0)


def training_loss(
    model: DenoisingModel,
    x_0: Tensor,
    t: float | Tensor,
    r: float | Tensor,
    *,
    c: float | None = None,
    noise: Noise = gaussian,
) -> Tensor:  # section 3
    """How far f at x_0 + t z is from f at x_0 + r z, by `pseudo_huber`, over t - r; averaged over rows.

    x_0: (B, ...); t, r: a number or (B,), 0 <= r < t; the model is asked at r = 0 too, where EDM's c_noise is infinite.
    The gradient is that of f at t alone, and what the model draws from torch's own generator (dropout) is the same at r
    as at t.  c: see `pseudo_huber`.
    """
    x_t, x_r = pair(x_0, t, r, noise=noise)
    t, r = for_all(1.0 * t, x_0), for_all(1.0 * r, x_0)
    with torch.random.fork_rng([x_0.device] if x_0.is_cuda else []), torch.no_grad():  # section 3.1
        target = model(x_r, r)  # section 3.2
    return (pseudo_huber(model(x_t, t), target, c) / (t - r)).mean()  # section 3.1
