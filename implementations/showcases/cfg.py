"""Clothes of each class, at growing scale."""

from __future__ import annotations

import torch
from torch import Tensor

from implementations import ddim
from implementations.adm import ADMUNet
from implementations.cfg import ConditionalNoiseModel, guided, loss
from implementations.common.noise import Noise
from implementations.ddpm import linear_schedule
from implementations.demos.recipes import dataset, labelled
from implementations.lab.demo import Run, once
from implementations.lab.showcase import Network, Picture, Showcase, Training
from implementations.lab.training import Batch, Trained
from implementations.showcases.recipes import SIDE, SIZES, Patched, gaussian_start

PROCESS = linear_schedule()
TRAINING = Training(steps=5000)
SCALES = (0.0, 1.0, 2.0, 4.0)
TAU = ddim.timesteps(PROCESS.T, 50)


@once
def network(run: Run) -> Trained:
    """For the classes, and for none."""
    images = dataset(run)
    torch.manual_seed(run.seed)

    def of_batch(model: ConditionalNoiseModel, batch: Batch, noise: Noise) -> Tensor:
        return loss(model, PROCESS, *labelled(batch), images.classes, noise=noise)

    model = Patched(ADMUNet(SIDE**2 * images.shape[0], classes=images.classes + 1, **SIZES))
    return TRAINING.fit(network, run, model, of_batch, images, name="showcase-cfg")


def scales(run: Run) -> Picture:
    images, x_T = dataset(run), gaussian_start(run, 10)
    y = torch.arange(10, device=run.device) % images.classes
    rows = [
        ddim.sample(guided(network(run).model, y, scale, images.classes), PROCESS, x_T, TAU, clip=images.range)
        for scale in SCALES
    ]
    return Picture(
        tiles=torch.cat(rows),
        columns=10,
        alt=f"Samples of {run.data}, a column for each class: in the first row of any class, in the others of that of "
        "their column, the plainer the further down.",
        caption="Each column starts from one noise and asks for one class. Rows, from above: scale "
        "0 (no class), 1 (the conditional model), 2 and 4.",
    )


SHOWCASE = Showcase(
    networks=(Network("showcase-cfg", network, TRAINING),),
    pictures=(scales,),
    network_evaluations=2 * len(TAU),
    data=("fashion-mnist", "mnist"),
)
