"""Estimation of non-normalized statistical models by score matching.

Hyvärinen, JMLR 6:695-709, 2005 (not on arXiv; the numbers of equations are the journal's).
The score, psi(x) = grad_x log p(x), does not contain the normalising constant.  Its squared distance to the score of
the data, which nobody knows, is after an integration by parts an expectation of things that the model alone gives.

A score is a function from x: (B, ...) to psi(x): (B, ...), row by row: no layer may mix rows of the batch.  Objectives
are sums over the D entries of a row, as in the paper, and means over rows.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log

import torch
from torch import Tensor, nn

Score = Callable[[Tensor], Tensor]
LogDensity = Callable[[Tensor], Tensor]


def score_of(log_q: LogDensity) -> Score:
    """psi = grad log q.  log_q: (B, ...) -> (B,), known up to a constant.  Differentiable in x and in q's weights."""

    @torch.enable_grad()
    def score(x: Tensor) -> Tensor:
        x = x if x.requires_grad else x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(log_q(x).sum(), x, create_graph=True)
        return slope

    return score


def explicit_objective(score: Score, data_score: Score, x: Tensor) -> Tensor:
    """What is to be minimised, half the squared distance of the two scores, row by row.  x: (B, ...).  Returns (B,)."""
    return 0.5 * (score(x) - data_score(x)).flatten(1).square().sum(1)  # Eq. 2


@torch.enable_grad()
def objective(score: Score, x: Tensor) -> Tensor:
    """The same less a constant of the data (Theorem 1), without the score of the data, in expectation over x.

    x: (B, ...), D numbers a row.  Returns (B,); one evaluation of the score and D backward passes, one for each entry
    of the Jacobian's diagonal.
    """
    x = x.detach().requires_grad_()
    psi = score(x).flatten(1)
    trace = psi.new_zeros(len(psi))
    for i in range(psi.shape[1]):
        (row,) = torch.autograd.grad(psi[:, i].sum(), x, create_graph=True, materialize_grads=True)
        trace = trace + row.flatten(1)[:, i]
    return trace + 0.5 * psi.square().sum(1)  # Eq. 3


def loss(score: Score, x: Tensor) -> Tensor:
    """The objective's average over a sample (section 2).  x: (B, ...)."""
    return objective(score, x).mean()  # Eq. 4


def fit_gaussian(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and precision that minimise the loss of psi(x) = -M (x - mu), in closed form.  x: (N, D).

    They are the sample's mean and inverse covariance, which maximum likelihood finds too (section 3.1).
    Returns (D,) and (D, D).  ValueError if the sample's covariance is singular: no minimum exists.
    """
    mean = x.mean(0)
    centred = x - mean
    covariance = centred.mT @ centred / len(x)
    if torch.linalg.matrix_rank(covariance) < x.shape[1]:
        raise ValueError(
            f"the covariance of {len(x)} rows of {x.shape[1]} numbers is singular: give more, or vary them"
        )
    return mean, torch.linalg.inv(covariance)


class Experts(nn.Module):
    """log q(x) = sum_k alpha_k G(w_k . x), G(u) = -log cosh u, |w_k| = 1, alpha_k > 0 (section 3.3).

    With more filters w_k than dimensions nobody knows the integral of q, and likelihood is out of reach.
    vectors: (filters, features), alpha_k w_k to begin with.
    """

    def __init__(self, vectors: Tensor) -> None:
        super().__init__()
        self.filters = nn.Parameter(vectors.clone())
        self.log_weights = nn.Parameter(vectors.norm(dim=1).log())

    @property
    def vectors(self) -> Tensor:
        """alpha_k w_k, (filters, features): direction and weight of each expert in one."""
        return self.log_weights.exp()[:, None] * nn.functional.normalize(self.filters)

    def log_density(self, x: Tensor) -> Tensor:
        """log q, without the constant.  x: (B, features).  Returns (B,)."""
        u = x @ nn.functional.normalize(self.filters).mT
        log_cosh = u.abs() + nn.functional.softplus(-2 * u.abs()) - log(2)
        return -(self.log_weights.exp() * log_cosh).sum(1)

    def forward(self, x: Tensor) -> Tensor:
        """The score, (B, features)."""
        return score_of(self.log_density)(x)
