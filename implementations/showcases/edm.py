"""Clothes, in 18 steps of Heun's method."""

from __future__ import annotations

import torch
from torch import Tensor

from implementations.common.noise import Noise
from implementations.demos.edm import Network as Scaled
from implementations.demos.edm import sigma_data
from implementations.demos.recipes import dataset
from implementations.edm import Denoiser, DenoisingModel, loss, sample, schedule
from implementations.lab.demo import Run, once
from implementations.lab.showcase import Network, Picture, Showcase, Training
from implementations.lab.training import Batch, Trained
from implementations.showcases.recipes import SIDE, SIZES, Patched, gaussian_start

TRAINING = Training(steps=5000)
STEPS = 18
"""Of Heun's method."""


@once
def network(run: Run) -> Trained[Denoiser]:
    """A U-Net trained within a denoiser."""
    images, spread = dataset(run), sigma_data(run)
    torch.manual_seed(run.seed)

    def of_batch(model: DenoisingModel, batch: Batch, noise: Noise) -> Tensor:
        return loss(model, batch[0], sigma_data=spread, noise=noise)

    denoiser = Denoiser(Patched(Scaled(SIDE**2 * images.shape[0], **SIZES)), spread)
    return TRAINING.fit(network, run, denoiser, of_batch, images, name="showcase-edm")


def samples(run: Run) -> Picture:
    return Picture(
        tiles=sample(network(run).model, gaussian_start(run, 60), schedule(STEPS)),
        columns=10,
        alt=f"Sixty samples of a network trained on {run.data}.",
        caption=f"Sixty samples from noise in {STEPS} steps of Heun's method, the first of the seed.",
    )


SHOWCASE = Showcase(
    networks=(Network("showcase-edm", network, TRAINING),),
    pictures=(samples,),
    network_evaluations=2 * STEPS - 1,
    data=("fashion-mnist", "mnist"),
)
