"""Digits by annealed Langevin dynamics, with the levels and steps that the rules give for them."""

from __future__ import annotations

import torch
from torch import Tensor

from implementations.common.noise import Noise
from implementations.demos.ncsnv2 import Ladder, ladder
from implementations.demos.recipes import unit_images
from implementations.lab.demo import Run, once
from implementations.lab.showcase import Network, Picture, Showcase, Training
from implementations.lab.training import Batch, Trained
from implementations.ncsn import ScoreModel, loss
from implementations.ncsnv2 import Unconditional, sample
from implementations.showcases.recipes import SIDE, SIZES, Patched
from implementations.unet import UNet

TRAINING = Training(steps=3300, lr=1e-3, ema=0.999)
T = 5
"""Steps at each level."""


@once
def levels(run: Run) -> Ladder:
    """By the rules, of the first 5000 images."""
    return ladder(unit_images(run).x[:5000], T)


@once
def network(run: Run) -> Trained:
    """A U-Net that is told no level, divided by it."""
    images, sigmas = unit_images(run), levels(run).sigmas
    torch.manual_seed(run.seed)

    def per_pixel(model: ScoreModel, batch: Batch, noise: Noise) -> Tensor:
        return loss(model, sigmas, batch[0], noise=noise) / batch[0][0].numel()

    model = Unconditional(Patched(UNet(SIDE**2 * images.shape[0], **SIZES)))
    return TRAINING.fit(network, run, model, per_pixel, images, name="showcase-ncsnv2")


def samples(run: Run) -> Picture:
    sigmas, eps, _ = levels(run)
    noise, like = Noise(run.seed), unit_images(run).x[:60]
    x = sample(network(run).model, sigmas, noise.uniform(like), eps=eps, T=T, noise=noise)
    return Picture(
        tiles=x,
        columns=10,
        range=(0.0, 1.0),
        alt=f"Sixty samples of a network trained on {run.data}.",
        caption=f"Sixty samples from uniform noise by {len(sigmas)} levels of {T} Langevin steps each, the first of "
        "the seed.",
    )


def evaluations(run: Run) -> int:
    return len(levels(run).sigmas) * T + 1


SHOWCASE = Showcase(
    networks=(Network("showcase-ncsnv2", network, TRAINING),),
    pictures=(samples,),
    network_evaluations=evaluations,
)
