"""Gives the network of the small world a code, by a gradient that fills the gap of its posterior mean."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from implementations import ddim
from implementations.common.noise import Noise
from implementations.demos.recipes import unet_sizes
from implementations.demos.shapes.network import PROCESS, pretrained
from implementations.demos.shapes.world import world
from implementations.diffae import SemanticEncoder
from implementations.lab.demo import Run, once
from implementations.lab.networks import train_or_load
from implementations.lab.training import Batch, Trained
from implementations.pdae import GradientEstimator, gap, loss, shifted
from implementations.unet import UNet

CODE = 8
TAU = ddim.timesteps(PROCESS.T, 20)
COUNT = 200


class Coded(nn.Module):
    """An encoder, and the estimator of what its code adds to a frozen network."""

    def __init__(self, frozen: UNet, channels: int, sizes: dict) -> None:
        super().__init__()
        self.encoder = SemanticEncoder(channels, CODE, width=sizes["width"], multipliers=sizes["multipliers"], side=4)
        self.estimator = GradientEstimator(frozen, CODE, **sizes)

    def forward(self, x: Tensor, t: Tensor, z: Tensor) -> Tensor:
        return self.estimator(x, t, z)


@once
def network(run: Run, gamma: float | None = 0.1, base: int = 0) -> Trained[Coded]:
    """gamma: of the weight; None is the weight 1.  base: the seed of the frozen network."""
    images, frozen = world(run), pretrained(run, base).model
    torch.manual_seed(run.seed)
    assert isinstance(frozen.network, UNet)
    model = Coded(frozen.network, images.shape[0], unet_sizes(images))

    def of_batch(model: Coded, batch: Batch, noise: Noise) -> Tensor:
        return loss(model.encoder, model.estimator, frozen, PROCESS, batch[0], gamma=gamma, noise=noise)

    name = f"shapes-pdae-{base}-{'weight-1' if gamma is None else gamma}"
    return train_or_load(
        network, run, model, of_batch, images, name=name, batch_size=64, lr=8e-3, anneal=True, ema=0.99
    )


@once
def errors(run: Run, gamma: float | None = 0.1, base: int = 0) -> dict[int, tuple[float, float, float]]:
    """Gaps of held-out images at some levels: of the frozen network, with the image's code, and with another's."""
    it, frozen, x = network(run, gamma, base).model, pretrained(run, base).model, world(run).x_test[:1000]
    z = it.encoder(x).detach()
    own, others = (shifted(frozen, it.estimator, PROCESS, code) for code in (z, z.roll(1, 0)))

    def measured(t: int) -> tuple[float, float, float]:
        a, b, c = (gap(model, PROCESS, x, t, noise=Noise(t)).mean().item() for model in (frozen, own, others))
        return a, b, c

    return {t: measured(t) for t in (50, 100, 200, 300, 400, 500, 600, 700, 800, 900)}
