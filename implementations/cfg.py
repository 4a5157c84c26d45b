"""Classifier-free diffusion guidance.

Ho & Salimans, NeurIPS 2021 workshop. arXiv:2207.12598 (equation numbers of v1).
One network learns the conditional and the unconditional model: during training the label is sometimes replaced by one
that means none.  The difference of its two predictions is the gradient of a classifier nobody trained, and sampling
exaggerates it.

The convention, here and wherever this collection guides: eps = eps_u + s (eps_c - eps_u), so that scale s = 0 is the
unconditional model, s = 1 the conditional one, and more is guidance.  The paper counts w = s - 1, with which the same
is (1 + w) eps_c - w eps_u, and its w = 0 is the plain conditional model.

`model(x_t, t, y)` with y: (B,) int64 predicts the noise; y = `null`, an index that no class has (`classes`, for a
network made for classes + 1 labels), asks for the unconditional prediction.  Any sampler takes `guided(...)` for its
model: ddpm.sample, ddim.sample.  The paper's own chain in continuous time is not here.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from implementations import ddpm
from implementations.common.noise import Noise, gaussian
from implementations.common.rows import per_row
from implementations.ddpm import GaussianDiffusion, NoiseModel

ConditionalNoiseModel = Callable[[Tensor, Tensor, Tensor], Tensor]


def drop(y: Tensor, null: int, *, p_uncond: float = 0.1, noise: Noise = gaussian) -> Tensor:
    """The labels, each replaced by `null` with probability p_uncond.  y: (B,) int64.  Returns (B,)."""
    if not 0 <= p_uncond <= 1:
        raise ValueError(f"p_uncond, the share of labels that are dropped, must lie in 0..1, not {p_uncond}")
    if (y == null).any():
        raise ValueError(f"null must be a label that no class has, but y holds {null}: for classes 0..K - 1 take K")
    return torch.where(noise.uniform(y.double()) < p_uncond, null, y)


def loss(
    model: ConditionalNoiseModel,
    process: GaussianDiffusion,
    x_0: Tensor,
    y: Tensor,
    null: int,
    *,
    p_uncond: float = 0.1,
    noise: Noise = gaussian,
) -> Tensor:  # Alg. 1
    """L_simple of the network that is told the class, or nothing.  x_0: (B, ...); y: (B,) int64.

    p_uncond: in the paper 0.1 and 0.2 did equally well, 0.5 worse.
    """
    c = drop(y, null, p_uncond=p_uncond, noise=noise)
    return ddpm.loss(lambda x, t: model(x, t, c), process, x_0, noise=noise)


def guided(model: ConditionalNoiseModel, y: Tensor, scale: float | Tensor, null: int) -> NoiseModel:  # Alg. 2
    """The noise predicted for classes y: (B,), guided; both predictions in one evaluation of a doubled batch.

    scale: 0 unconditional, 1 conditional, the paper's 1 + w; a number, or (B,), one for each row.
    """

    def eps_tilde(x: Tensor, t: Tensor) -> Tensor:
        if y.shape != (len(x),):
            raise ValueError(f"y must hold one label per row of x, ({len(x)},), not {tuple(y.shape)}")
        c = torch.cat([y, torch.full_like(y, null)])
        eps_c, eps_u = model(torch.cat([x, x]), torch.cat([t, t]), c).chunk(2)  # Eq. 6
        return eps_u + per_row(scale, x) * (eps_c - eps_u)  # Eq. 6

    return eps_tilde
