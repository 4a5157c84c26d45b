"""Digits in few steps of a chain whose variance was learned too, beside the larger of DDPM's two."""

from __future__ import annotations

import torch
from torch import Tensor

from implementations.common.noise import Noise
from implementations.demos.iddpm import in_steps, with_variance
from implementations.demos.recipes import dataset
from implementations.iddpm import NoiseVarianceModel, cosine_schedule, hybrid_loss
from implementations.lab.demo import Run, once
from implementations.lab.showcase import Network, Picture, Showcase, Training
from implementations.lab.training import Batch, Trained
from implementations.showcases.recipes import SIDE, SIZES, Patched, gaussian_start
from implementations.unet import UNet

PROCESS = cosine_schedule(1000)
TRAINING = Training(steps=3300)
COUNTS = (10, 25, 50, 100)


@once
def network(run: Run) -> Trained:
    """A U-Net with both outputs, trained by the hybrid loss."""
    images = dataset(run)
    torch.manual_seed(run.seed)

    def of_batch(model: NoiseVarianceModel, batch: Batch, noise: Noise) -> Tensor:
        return hybrid_loss(model, PROCESS, batch[0], images.levels, noise=noise)

    channels = SIDE**2 * images.shape[0]
    model = Patched(UNet(channels, 2 * channels, **SIZES))
    return TRAINING.fit(network, run, model, of_batch, images, name="showcase-iddpm")


def rows(run: Run, model: NoiseVarianceModel) -> Tensor:
    """Ten samples by each number of steps, from the same x_T."""
    x_T, limits = gaussian_start(run, 10), dataset(run).range
    return torch.cat([in_steps(count, model, PROCESS, x_T, Noise(run.seed + 1), limits) for count in COUNTS])


def learned(run: Run) -> Picture:
    return Picture(
        tiles=rows(run, network(run).model),
        columns=10,
        alt=f"Samples of {run.data} in four rows, recognisable in each.",
        caption="With the learned variance. Rows, from above: 10, 25, 50 and 100 of the 1000 steps.",
    )


def fixed(run: Run) -> Picture:
    return Picture(
        tiles=rows(run, with_variance(network(run).model, 1.0)),
        columns=10,
        alt="The same with a fixed variance: noise in the upper rows, which clears further down.",
        caption="The same network and noise with the variance beta, which is too large for long steps.",
    )


SHOWCASE = Showcase(
    networks=(Network("showcase-iddpm", network, TRAINING),),
    pictures=(learned, fixed),
    network_evaluations=max(COUNTS),
)
