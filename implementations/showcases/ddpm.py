"""Digits from noise, by all T = 1000 steps."""

from __future__ import annotations

import torch
from torch import Tensor

from implementations.common.noise import Noise
from implementations.ddpm import NoiseModel, linear_schedule, loss, sample
from implementations.demos.recipes import dataset
from implementations.lab.demo import Run, once
from implementations.lab.showcase import Network, Picture, Showcase, Training
from implementations.lab.training import Batch, Trained
from implementations.showcases.recipes import SIDE, SIZES, Patched, gaussian_start
from implementations.unet import UNet

PROCESS = linear_schedule()
TRAINING = Training(steps=5000, rounds=3)


@once
def network(run: Run) -> Trained:
    """A U-Net trained by L_simple, with the paper's schedule."""
    images = dataset(run)
    torch.manual_seed(run.seed)

    def of_batch(model: NoiseModel, batch: Batch, noise: Noise) -> Tensor:
        return loss(model, PROCESS, batch[0], noise=noise)

    model = Patched(UNet(SIDE**2 * images.shape[0], **SIZES))
    return TRAINING.fit(network, run, model, of_batch, images, name="showcase-ddpm")


def samples(run: Run) -> Picture:
    x = sample(network(run).model, PROCESS, gaussian_start(run, 60), noise=Noise(run.seed + 1))
    return Picture(
        tiles=x,
        columns=10,
        alt=f"Sixty samples of a network trained on {run.data}.",
        caption="Sixty samples from noise by all 1000 steps, the first of the seed.",
    )


SHOWCASE = Showcase(
    networks=(Network("showcase-ddpm", network, TRAINING),),
    pictures=(samples,),
    network_evaluations=1000,
)
