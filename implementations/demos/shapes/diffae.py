"""The diffusion autoencoder of the small world, with which other codes are compared."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from implementations.common.noise import Noise
from implementations.demos.recipes import unet_sizes
from implementations.demos.shapes.network import PROCESS, NoiseOfVelocity, velocity_loss
from implementations.demos.shapes.world import world
from implementations.diffae import ConditionalUNet, SemanticEncoder, given
from implementations.lab.data import Dataset
from implementations.lab.demo import Run, once
from implementations.lab.networks import train_or_load
from implementations.lab.training import Batch, Trained

CODE = 8
"""Numbers of a code."""
STEPS = 500
"""Of the network's training, whatever those of the run."""


class Autoencoder(nn.Module):
    """Encoder and decoder.  channels: of the images; code: numbers of z_sem; sizes: of the decoder, a U-Net."""

    def __init__(self, channels: int, code: int, sizes: dict) -> None:
        super().__init__()
        decoder = ConditionalUNet(channels, code, **sizes)
        self.encoder = SemanticEncoder(channels, code, width=sizes["width"], multipliers=sizes["multipliers"], side=4)
        self.decoder = NoiseOfVelocity(decoder, PROCESS.abar)

    def forward(self, x: Tensor, t: Tensor, z_sem: Tensor) -> Tensor:
        return self.decoder(x, t, z_sem)


def fresh(images: Dataset, code: int = CODE) -> Autoencoder:
    """One that has learned nothing."""
    return Autoencoder(images.shape[0], code, unet_sizes(images))


@once
def autoencoder(run: Run, seed: int = 0, code: int = CODE) -> Trained[Autoencoder]:
    """Encoder and decoder, trained together on the error of v.  seed: its own, whatever that of the run."""
    images = world(run)
    torch.manual_seed(seed)

    def of_batch(model: Autoencoder, batch: Batch, noise: Noise) -> Tensor:
        x_0 = batch[0]
        return velocity_loss(given(model.decoder, model.encoder(x_0)), x_0, noise=noise)

    options = {"batch_size": 64, "lr": 8e-3, "anneal": True, "ema": 0.99, "steps": STEPS}
    model = fresh(images, code)
    own = replace(run, seed=seed)
    found = train_or_load(
        autoencoder,
        own,
        model,
        of_batch,  # pyright: ignore[reportArgumentType]
        images,
        name=f"shapes-diffae-{code}",
        **options,
    )
    run.bases.extend(own.bases)
    return found
