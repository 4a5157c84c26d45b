"""The network of the small world that methods of editing and representation start from."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from implementations.common.noise import Noise
from implementations.common.rows import per_row
from implementations.ddpm import NoiseModel, linear_schedule
from implementations.demos.recipes import unet
from implementations.demos.shapes.world import world
from implementations.lab.demo import Run, once
from implementations.lab.networks import train_or_load
from implementations.lab.training import Batch, Trained

PROCESS = linear_schedule()
STEPS = 800
"""Of the network's training, whatever those of the run."""


class NoiseOfVelocity(nn.Module):
    """A network that predicts v = sqrt(abar) eps - sqrt(1 - abar) x_0, called as one that predicts the noise.

    A grey ground wants the mean of a whole image to be right, which a network that says the noise itself learns late.
    """

    def __init__(self, network: nn.Module, abar: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("abar", abar, persistent=False)

    def forward(self, x: Tensor, t: Tensor, *condition: Tensor) -> Tensor:
        abar = per_row(self.abar[t], x)  # pyright: ignore[reportIndexIssue]
        return (1 - abar).sqrt() * x + abar.sqrt() * self.network(x, t, *condition)


def velocity_loss(model: NoiseModel, x_0: Tensor, *, noise: Noise) -> Tensor:
    """Squared error of v, at a uniform t: that of the noise over abar_t."""
    t = noise.integers(1, PROCESS.T, x_0)
    eps = noise(x_0)
    error = eps - model(PROCESS.diffuse(x_0, t, eps), t)
    return (error.square() / PROCESS.at(PROCESS.abar, t, x_0)).mean()


@once
def pretrained(run: Run, seed: int = 0) -> Trained[NoiseOfVelocity]:
    """A network of the world without conditions.  seed: its own, so that ten runs of a demo start from one network."""
    images = world(run)
    torch.manual_seed(seed)

    def of_batch(model: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        return velocity_loss(model, batch[0], noise=noise)

    options = {"batch_size": 128, "lr": 4e-3, "anneal": True, "ema": 0.99, "steps": STEPS}
    model = NoiseOfVelocity(unet(images), PROCESS.abar)
    own = replace(run, seed=seed)
    found = train_or_load(pretrained, own, model, of_batch, images, name="shapes-ddpm", **options)
    run.bases.extend(own.bases)
    return found
