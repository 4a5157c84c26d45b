"""The network of the small world that is told what to show, in two words: a hue and a ground, each of them or neither.

What the words say is one vector, their sum, and the network takes any vector in its place.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from implementations.cfg import drop
from implementations.common.noise import Noise
from implementations.demos.recipes import unet
from implementations.demos.shapes.network import PROCESS, NoiseOfVelocity, velocity_loss
from implementations.demos.shapes.world import world
from implementations.lab.demo import Run, once
from implementations.lab.networks import train_or_load
from implementations.lab.training import Batch, Trained
from implementations.verification import factors

HUES, GROUNDS = 3, 2
"""Words of each kind; the number itself is the word that says nothing."""


class Told(nn.Module):
    """`model(x, t, c)` of vectors c: (B, width), such as `prompt` makes of words.

    The vector is added to that of the time, as a class's is in `common.embedding.Condition`.
    """

    def __init__(self, network: nn.Module, abar: Tensor, width: int) -> None:
        super().__init__()
        network.condition.label = nn.Identity()  # pyright: ignore[reportArgumentType, reportAttributeAccessIssue]
        self.noise = NoiseOfVelocity(network, abar)
        self.hue, self.ground = nn.Embedding(HUES + 1, width), nn.Embedding(GROUNDS + 1, width)

    def prompt(self, hue: Tensor, ground: Tensor) -> Tensor:
        """hue: (B,) int64, 0 red, 1 green, 2 blue, 3 any; ground: (B,), 0 dark, 1 bright, 2 any.  (B, width)."""
        return self.hue(hue) + self.ground(ground)

    def forward(self, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        return self.noise(x, t, c)


def words(images: Tensor) -> tuple[Tensor, Tensor]:
    """What would be said of images: hue and ground, (B,) int64 each."""
    seen = factors.classes(factors.read(images))
    return seen["hue"], seen["ground"]


@once
def conditional(run: Run, seed: int = 0) -> Trained[Told]:
    """A network of the world that is told.  seed: its own, so that ten runs of a demo start from one network."""
    images = world(run)
    torch.manual_seed(seed)

    def of_batch(model: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        hue, ground = words(batch[0])
        c = model.prompt(  # pyright: ignore[reportCallIssue]
            drop(hue, HUES, p_uncond=0.3, noise=noise), drop(ground, GROUNDS, p_uncond=0.3, noise=noise)
        )
        return velocity_loss(lambda x, t: model(x, t, c), batch[0], noise=noise)

    options = {"batch_size": 96, "lr": 7e-3, "anneal": True, "ema": 0.99, "steps": 800}
    model = Told(unet(images), PROCESS.abar, width=64)
    own = replace(run, seed=seed)
    found = train_or_load(conditional, own, model, of_batch, images, name="shapes-told", **options)
    run.bases.extend(own.bases)
    return found
