"""Self-discovering interpretable diffusion latent directions for responsible text-to-image generation.

Li, Shen, Torr, Tresp & Gu, CVPR 2024. arXiv:2311.17216.
A vector of h-space, the narrowest features of a U-Net, for any concept that a prompt can name.  Images that the model
makes from a prompt with the concept are denoised under a prompt without it, and one vector, added to the features of
every image at every time, is all that is learned: what the prompt no longer says, the vector has to.  It is then added
to whatever else is generated; vectors add up, and one with the opposite sign takes its concept away.

As in `cfg`, `model(x_t, t, y)` predicts the noise told y: (B,) int64, here the number of a prompt.  `waist` is that of
the model's network, `Waist(network.middle)`, and c: (C, H, W) has the shape of its features.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from implementations.cfg import ConditionalNoiseModel
from implementations.common.noise import Noise, gaussian
from implementations.common.waist import Waist
from implementations.ddpm import GaussianDiffusion
from implementations.h_space_asyrp import shift

Weighting = Literal["simple", "velocity"]


def steered(
    model: ConditionalNoiseModel, waist: Waist, c: Tensor, *, null: int = -1, t_from: int = 1
) -> ConditionalNoiseModel:
    """The model with c added to its features.

    c: (C, H, W), or (B, C, H, W), one for each row, again and again where a sampler asks of more rows, as `cfg.guided`
    does.  null: the prompt to which c is not added, that of `cfg.guided`, which then guides towards c too; -1, which
    is none, adds it to all.  t_from: the first time at which c is added; 1 is the paper's, all times.
    """
    if t_from < 1:
        raise ValueError(f"t_from is a time of the chain, at least 1, not {t_from}")

    def with_c(x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        here = (t >= t_from) & (y != null)
        if c.ndim == 4 and len(x) % len(c):
            raise ValueError(f"{len(c)} vectors do not fit {len(x)} rows")
        rows = c if c.ndim == 3 else c.repeat(len(x) // len(c), 1, 1, 1)

        def f(h: Tensor, t: Tensor) -> Tensor:
            if rows.shape[-3:] != h.shape[1:]:
                raise ValueError(f"c must have the features' shape {tuple(h.shape[1:])}, not {tuple(c.shape)}")
            return rows

        return waist.changed(model, shift(f, 1, 1, scale=here))(x, t, y)  # section 3

    return with_c


def loss(
    model: ConditionalNoiseModel,
    waist: Waist,
    process: GaussianDiffusion,
    x_0: Tensor,
    y: Tensor,
    c: Tensor,
    *,
    t_from: int = 1,
    weighting: Weighting = "simple",
    noise: Noise = gaussian,
) -> Tensor:
    """L_simple of the steered model, at t uniform on t_from..T: the paper's is of all t.

    x_0: (B, ...), images of a prompt with the concept.  y: (B,), a prompt without it.  weighting: "velocity" divides
    by abar_t, which is the error of v; it is not in the paper, but early steps, where a concept is decided, hardly
    count in the error of the noise.  Returns ().
    """
    if not 1 <= t_from <= process.T:
        raise ValueError(f"t_from must lie in 1..{process.T}, not {t_from}")
    if weighting not in ("simple", "velocity"):
        raise ValueError(f"weighting must be 'simple' or 'velocity', not {weighting!r}")
    t = noise.integers(t_from, process.T, x_0)
    eps = noise(x_0)
    error = (eps - steered(model, waist, c)(process.diffuse(x_0, t, eps), t, y)).square()
    if weighting == "velocity":
        error = error / process.at(process.abar, t, x_0)
    return error.mean()  # section 3


@torch.no_grad()
def discover(
    model: ConditionalNoiseModel,
    waist: Waist,
    process: GaussianDiffusion,
    x_0: Tensor,
    y: Tensor,
    *,
    steps: int = 2500,
    batch_size: int = 8,
    lr: float = 0.1,
    t_from: int = 1,
    weighting: Weighting = "simple",
    noise: Noise = gaussian,
) -> Tensor:  # section 3
    """The vector of the concept that the images x_0 show and the prompts y do not name.

    x_0: (N, ...), images, as the model makes them of prompts that name it.  y: (N,), the same prompts without it.  The
    vector starts from zero and is all that Adam moves.  t_from, weighting: of `loss`, and the same t_from for
    `steered`.  Returns c: (C, H, W).
    """
    if y.shape != x_0.shape[:1]:
        raise ValueError(f"y must hold a prompt for each of {len(x_0)} images, not {tuple(y.shape)}")
    features = waist.features(model, x_0, torch.full_like(y, process.T), y)
    c = torch.zeros_like(features[0]).requires_grad_()
    adam = torch.optim.Adam([c], lr)
    for _ in range(steps):
        rows = noise.integers(0, len(x_0) - 1, x_0.new_empty(batch_size))
        with torch.enable_grad():
            value = loss(model, waist, process, x_0[rows], y[rows], c, t_from=t_from, weighting=weighting, noise=noise)
            (c.grad,) = torch.autograd.grad(value, c)  # section 3
        adam.step()
    return c.detach()


def evenly(concepts: Tensor, x_T: Tensor, *, noise: Noise = gaussian) -> Tensor:
    """One of the concepts for each image, all equally likely: fair generation, by `steered`.

    concepts: (K, C, H, W).  x_T: (B, ...), of the images.  Returns (B, C, H, W).
    """
    return concepts[noise.integers(0, len(concepts) - 1, x_T)]  # section 3
