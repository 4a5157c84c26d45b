"""Sliced score matching: a scalable approach to density and score estimation.

Song, Garg, Shi & Ermon, UAI 2019. arXiv:1905.07088 (places are named by the paper's algorithms and terms).
Compare the two scores only along random directions v.  After the same integration by parts as in score matching the
trace of the Jacobian has become v^T (grad psi) v: one backward pass for each direction, whatever the dimension.

A score is a function from x: (B, ...) to (B, ...), row by row.  Objectives are sums over the D entries of a row, and
with E[v v^T] = I they agree in expectation with the exact ones.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from implementations.common.noise import Noise, gaussian
from implementations.score_matching import Score

Law = Callable[[Tensor, Noise], Tensor]
"""Draws a direction for each row of x, in the shape of x, with E[v v^T] = I."""


def normal(x: Tensor, noise: Noise) -> Tensor:
    """v ~ N(0, I)."""
    return noise(x)


def rademacher(x: Tensor, noise: Noise) -> Tensor:
    """Independent signs, +1 or -1."""
    return torch.where(noise.uniform(x) < 0.5, -1.0, 1.0).to(x)


def sphere(x: Tensor, noise: Noise) -> Tensor:
    """Uniform on the sphere of radius sqrt(D), the one on which E[v v^T] = I."""
    v = noise(x).flatten(1)
    return (v.shape[1] ** 0.5 * v / v.norm(dim=1, keepdim=True)).view_as(x)


@torch.enable_grad()
def objective(
    score: Score,
    x: Tensor,
    *,
    projections: int = 1,
    law: Law = rademacher,
    variance_reduced: bool = False,
    noise: Noise = gaussian,
) -> Tensor:
    """Score matching along `projections` random directions for each row, averaged.  x: (B, ...).  Returns (B,).

    variance_reduced: take the mean over v of the second term, |psi|^2 / 2, which is known when E[v v^T] = I (SSM-VR).
    One evaluation of the score and one backward pass for each direction.
    """
    if projections < 1:
        raise ValueError(f"projections must be at least 1, not {projections}")
    x = x.detach().requires_grad_()
    psi = score(x)
    total = psi.new_zeros(len(psi))
    for _ in range(projections):
        v = law(x.detach(), noise)
        along = (v * psi).flatten(1).sum(1)
        (slope,) = torch.autograd.grad(along.sum(), x, create_graph=True, materialize_grads=True)
        square = psi.flatten(1).square().sum(1) if variance_reduced else along.square()
        total = total + (v * slope).flatten(1).sum(1) + 0.5 * square  # Algorithm 1
    return total / projections


def loss(
    score: Score,
    x: Tensor,
    *,
    projections: int = 1,
    law: Law = rademacher,
    variance_reduced: bool = False,
    noise: Noise = gaussian,
) -> Tensor:
    """The objective's average over a batch.  x: (B, ...)."""
    return objective(score, x, projections=projections, law=law, variance_reduced=variance_reduced, noise=noise).mean()
