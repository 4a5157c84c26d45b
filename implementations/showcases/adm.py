"""Digits of DDPM's network, which knows no classes, led to them by a classifier of noisy images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from implementations import ddim
from implementations.adm import Classifier, classifier_loss, guided_model, log_probability
from implementations.common.noise import Noise
from implementations.demos.recipes import dataset, labelled
from implementations.lab.demo import Run, once
from implementations.lab.showcase import Network, Picture, Showcase, Training
from implementations.lab.training import Batch, Trained
from implementations.showcases import ddpm
from implementations.showcases.ddpm import PROCESS
from implementations.showcases.recipes import gaussian_start

TRAINING = Training(steps=1500)
SCALES = (0.0, 1.0, 2.0, 4.0)
TAU = ddim.timesteps(PROCESS.T, 50)


@once
def classifier(run: Run) -> Trained[Classifier]:
    images = dataset(run)
    torch.manual_seed(run.seed)

    def of_batch(model: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        return classifier_loss(model, PROCESS, *labelled(batch), noise=noise)

    model = Classifier(images.shape[0], images.classes)
    name = "showcase-adm-classifier"
    return TRAINING.fit(classifier, run, model, of_batch, images, name=name)


def scales(run: Run) -> Picture:
    images, x_T = dataset(run), gaussian_start(run, 10)
    log_p = log_probability(classifier(run).model, torch.arange(10, device=run.device) % images.classes)
    rows = []
    for scale in SCALES:
        model = guided_model(ddpm.network(run).model, PROCESS, log_p, scale=scale)
        rows.append(ddim.sample(model, PROCESS, x_T, TAU, clip=images.range))
    return Picture(
        tiles=torch.cat(rows),
        columns=10,
        alt=f"Samples of {run.data}, a column for each class: in the first row of any class, further down of that of "
        "their column.",
        caption="Each column starts from one noise; the classifier's gradient leads it to one class. Rows, from "
        "above: scale 0 (no classifier), 1 (Bayes' rule), 2 and 4.",
    )


SHOWCASE = Showcase(
    networks=(
        Network("showcase-adm-classifier", classifier, TRAINING),
        Network("showcase-ddpm", ddpm.network, ddpm.TRAINING),
    ),
    pictures=(scales,),
    network_evaluations=2 * len(TAU),
)
