"""Palette: image-to-image diffusion models.

Saharia, Chan, Chang, Lee, Ho, Salimans, Fleet & Norouzi, SIGGRAPH 2022. arXiv:2111.05826.
Colourisation, inpainting, uncropping and restoration by one recipe: a diffusion model of the image that is wanted, y,
which sees the image that is given, x, as further channels beside y_t, and is told the level of noise itself.

gamma, in (0, 1], is the share of signal in the variance of y_t, DDPM's abar; `model(y_t, gamma, x)` with gamma: (B,)
returns its guess of the noise.  A hole is 1 where y is wanted and 0 where x shows it already: there y_t is x, without
noise, in training and in sampling alike.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi
from typing import Literal

import torch
from torch import Tensor, nn

from implementations.common.noise import Noise, gaussian
from implementations.common.rows import for_all, per_row
from implementations.ddpm import GaussianDiffusion, Variance, linear_schedule, reverse

ImageConditionalModel = Callable[[Tensor, Tensor, Tensor], Tensor]


def training_schedule(T: int = 2000, beta_1: float = 1e-6, beta_T: float = 0.01) -> GaussianDiffusion:
    """The chain between whose levels a network is trained: many small steps."""
    return linear_schedule(T, beta_1, beta_T)


def inference_schedule(T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.09) -> GaussianDiffusion:
    """The chain that is sampled: fewer and larger steps, which a network that is told gamma need not know."""
    return linear_schedule(T, beta_1, beta_T)


class Concatenated(nn.Module):
    """`model(y_t, gamma, x)` of a `network` of (B, C_x + C_y, ...) and a time in steps of about 1, which returns C_y.

    The time is the angle whose cosine is sqrt(gamma), 0 without noise and 1000 without signal: so close levels differ
    by a step or so at both ends, as they would not if gamma itself, in 0..1, were given to sinusoids.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, y_t: Tensor, gamma: Tensor, x: Tensor) -> Tensor:
        return self.network(torch.cat([x, y_t], dim=1), 2000 / pi * torch.atan2((1 - gamma).sqrt(), gamma.sqrt()))


def fill(image: Tensor, hole: Tensor, *, noise: Noise = gaussian) -> Tensor:
    """What is given for inpainting and uncropping: the image, and noise N(0, I) in its hole (section 4).

    image: (B, C, ...).  hole: 0 or 1, broadcast to it.  Returns (B, C, ...).
    """
    return torch.where(_bool(hole, image), noise(image), image)


def levels(process: GaussianDiffusion, x: Tensor, *, noise: Noise = gaussian) -> Tensor:
    """gamma for each row of x, uniform between two neighbouring levels of a uniform step.  Returns (B,), float64."""
    t = noise.integers(1, process.T, x)
    share = noise.uniform(torch.empty(len(x), dtype=torch.float64, device=x.device))
    abar = process.abar.to(x.device)
    return abar[t] + share * (abar[t - 1] - abar[t])


def loss(
    model: ImageConditionalModel,
    process: GaussianDiffusion,
    x: Tensor,
    y_0: Tensor,
    *,
    hole: Tensor | None = None,
    p: Literal[1, 2] = 2,
    weight: Callable[[Tensor], Tensor] | None = None,
    noise: Noise = gaussian,
) -> Tensor:
    """|error of the predicted noise|^p, averaged over entries, of which those that are known count as 0.

    x: (B, C_x, ...), given; y_0: (B, C_y, ...), wanted.  hole: 0 or 1, broadcast to y_0, which x then has the shape of;
    None: all of y is wanted.  p: 2 for samples as diverse as the data; 1 makes them conservative, for its optimum is
    the median of the noise and not the mean.  weight: of a row's error, a function of gamma: (B,); None, as in the
    paper, is 1; 1 / gamma makes it the error of v, which teaches a small network sooner what x says.
    """
    if p not in (1, 2):
        raise ValueError(f"p must be 1 or 2, not {p}")
    gamma = levels(process, y_0, noise=noise)
    eps = noise(y_0)
    y_t = per_row(gamma.sqrt(), y_0) * y_0 + per_row((1 - gamma).sqrt(), y_0) * eps
    wanted = None if hole is None else _wanted(hole, x, y_0)
    if wanted is not None:
        if not wanted.any():
            raise ValueError("the hole is empty: nothing is wanted, so nothing can be learned")
        y_t = torch.where(wanted, y_t, x)
    error = (eps - model(y_t, gamma.to(y_0.dtype), x)).abs() ** p  # section 3
    if weight is not None:
        error = per_row(weight(gamma), y_0) * error
    return error.mean() if wanted is None else (error * wanted).mean()


@torch.no_grad()
def sample(
    model: ImageConditionalModel,
    process: GaussianDiffusion,
    x: Tensor,
    y_T: Tensor,
    *,
    hole: Tensor | None = None,
    trained: GaussianDiffusion | None = None,
    variance: Variance = "small",
    noise: Noise = gaussian,
) -> Tensor:  # section 3
    """An answer to each x, by T network evaluations, or none where nothing is wanted.

    x: (B, C_x, ...), given.  y_T: (B, C_y, ...) ~ N(0, I).  hole: 0 or 1, broadcast to y_T: where it is 0, x comes
    back as it is.  trained: the chain of the training, if the process is to be refused where it asks for less noise
    than any network was shown.  variance: fixed; "small" is beta-tilde_t, "large" beta_t.  Returns y_0: (B, C_y, ...).
    """
    if trained is not None and process.abar[1] > trained.abar[1]:
        raise ValueError(
            f"the last step asks for gamma = {process.abar[1]:.7f}, and training ended at {trained.abar[1]:.7f}: take "
            "a larger beta_1, or train with a smaller one"
        )
    wanted = None if hole is None else _wanted(hole, x, y_T)
    if wanted is not None and not wanted.any():
        return x.clone()
    y = y_T if wanted is None else torch.where(wanted, y_T, x)
    for t in range(process.T, 0, -1):
        eps = model(y, for_all(process.abar[t], y), x)
        mean, var = reverse(process, y, t, eps, variance)
        y = mean + var.sqrt() * noise(y) if t > 1 else mean
        if wanted is not None:
            y = torch.where(wanted, y, x)
    return y


def _wanted(hole: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The hole in the shape of y, around which x shows y."""
    if x.shape != y.shape:
        raise ValueError(f"where there is a hole x shows y around it: {tuple(x.shape)} cannot show {tuple(y.shape)}")
    return _bool(hole, y)


def _bool(hole: Tensor, x: Tensor) -> Tensor:
    """The hole in the shape of x."""
    if not ((hole == 0) | (hole == 1)).all():
        raise ValueError("a hole is 1 where the image is wanted and 0 where it is known, with nothing between")
    try:
        return (hole == 1).broadcast_to(x.shape)
    except RuntimeError as error:
        raise ValueError(f"a hole of shape {tuple(hole.shape)} does not fit images {tuple(x.shape)}") from error
