"""A connection between score matching and denoising autoencoders.

Vincent, Neural Computation 23(7):1661-1674, 2011; technical report 1358, 2010 (places are named by its sections).
Blur the data with Gaussian noise.  Matching the score of the blurred density is, but for a constant, regression on the
score of the noise alone, (x - x~) / sigma^2: the way back to the clean point.  No second derivative is left, and a
denoising autoencoder with tied weights turns out to have been doing this all along.

A score is a function from x~: (B, ...) to (B, ...); bind a noise level, if the network has one, in a closure.
sigma is a number or one number per row, (B,), above 0.  Objectives are sums over the entries of a row.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from implementations.common.noise import Noise, gaussian
from implementations.common.rows import per_row
from implementations.score_matching import Score, explicit_objective


def positive(sigma: float | Tensor, x: Tensor) -> Tensor:
    """sigma, (B,) or one number, made to broadcast over x: (B, ...).  ValueError if not above 0."""
    sigma = per_row(sigma, x)
    if not (sigma > 0).all():
        raise ValueError(f"sigma must be above 0 (the noise has a density), not {sigma.min().item():g}")
    return sigma


def corrupt(x: Tensor, sigma: float | Tensor, *, noise: Noise = gaussian) -> Tensor:
    """x~ = x + sigma eps, a draw of q_sigma(x~ | x).  x: (B, ...)."""
    return x + positive(sigma, x) * noise(x)


def target(x: Tensor, x_tilde: Tensor, sigma: float | Tensor) -> Tensor:
    """Gradient of log q_sigma(x~ | x) with respect to x~: it points from x~ back to x.  x, x_tilde: (B, ...)."""
    return (x - x_tilde) / positive(sigma, x).square()  # section 4.2


def objective(score: Score, x: Tensor, sigma: float | Tensor, *, noise: Noise = gaussian) -> Tensor:
    """Half the squared error of psi(x~) as a guess of the target.  x: (B, ...).  Returns (B,)."""
    x_tilde = corrupt(x, sigma, noise=noise)
    return explicit_objective(score, lambda x_tilde: target(x, x_tilde, sigma), x_tilde)  # section 4.2, J_DSM


def loss(score: Score, x: Tensor, sigma: float | Tensor, *, noise: Noise = gaussian) -> Tensor:
    """The objective's average over a batch, with one draw of the noise for each row."""
    return objective(score, x, sigma, noise=noise).mean()


def parzen_score(x_tilde: Tensor, data: Tensor, sigma: float | Tensor) -> Tensor:
    """The score that minimises the loss over a finite data set: that of its Parzen density (section 4.1).

    x_tilde: (B, ...); data: (N, ...).  The density is the mean of N(x~; x_i, sigma^2 I), and its score the target
    averaged over the posterior of i.  Returns (B, ...).
    """
    squared = torch.cdist(x_tilde.flatten(1), data.flatten(1)).square()
    posterior = (-squared / (2 * positive(sigma, squared).square())).softmax(1)
    return target((posterior @ data.flatten(1)).view_as(x_tilde), x_tilde, sigma)


def denoise(score: Score, x_tilde: Tensor, sigma: float | Tensor) -> Tensor:
    """The clean point that a score points to, x~ + sigma^2 psi(x~).  x_tilde: (B, ...)."""
    return x_tilde + positive(sigma, x_tilde).square() * score(x_tilde)


class DenoisingAutoencoder(nn.Module):
    """W^T sigmoid(W x + b) + c, whose encoder and decoder share W, as an energy model (section 4.3).

    Trained by `loss` at `sigma`, or to reconstruct x from x~ by squared error: the two are the same objective, for
    J_DSM = J_DAE / (2 sigma^4).
    """

    def __init__(self, features: int, hidden: int, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma
        self.weight = nn.Parameter(0.1 * torch.randn(hidden, features))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        self.visible_bias = nn.Parameter(torch.zeros(features))

    def reconstruct(self, x_tilde: Tensor) -> Tensor:
        """The autoencoder.  x_tilde: (B, features).  Returns (B, features)."""
        code = torch.sigmoid(F.linear(x_tilde, self.weight, self.hidden_bias))
        return F.linear(code, self.weight.mT, self.visible_bias)

    def log_density(self, x: Tensor) -> Tensor:
        """Minus the energy, whose gradient is the score.  x: (B, features).  Returns (B,)."""
        softplus = F.softplus(F.linear(x, self.weight, self.hidden_bias)).sum(1)
        return (x @ self.visible_bias - 0.5 * x.square().sum(1) + softplus) / self.sigma**2  # section 4.3

    def forward(self, x_tilde: Tensor) -> Tensor:
        """The score, (reconstruction - x~) / sigma^2: (B, features)."""
        return target(self.reconstruct(x_tilde), x_tilde, self.sigma)
