"""The network of the small world that is told what to show: a vector for each hue, and one for nothing."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from implementations.cfg import drop
from implementations.common.noise import Noise
from implementations.demos.recipes import labelled, unet
from implementations.demos.shapes.network import PROCESS, NoiseOfVelocity, velocity_loss
from implementations.demos.shapes.world import world
from implementations.lab.demo import Run, once
from implementations.lab.networks import train_or_load
from implementations.lab.training import Batch, Trained

HUES, NOTHING = 3, 3
"""How many labels are hues, and the one that says nothing."""


class Told(nn.Module):
    """`model(x, t, c)` of vectors c: (B, width), which `embed` makes of labels, and which may be any other.

    The vector is added to that of the time, as a class's is in `common.embedding.Condition`.
    """

    def __init__(self, network: nn.Module, abar: Tensor, *, labels: int, width: int) -> None:
        super().__init__()
        network.condition.label = nn.Identity()  # pyright: ignore[reportArgumentType, reportAttributeAccessIssue]
        self.velocity = NoiseOfVelocity(network, abar)
        self.table = nn.Embedding(labels, width)

    def embed(self, y: Tensor) -> Tensor:
        """y: (B,) int64.  Returns (B, width)."""
        return self.table(y)

    def forward(self, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        return self.velocity(x, t, c)


@once
def conditional(run: Run, seed: int = 0) -> Trained[Told]:
    """A network of the world told the hue, or nothing.  seed: its own, so that ten runs of a demo start from one."""
    images = world(run)
    torch.manual_seed(seed)

    def of_batch(model: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        x_0, y = labelled(batch)
        told = drop(y, NOTHING, p_uncond=0.2, noise=noise)
        return velocity_loss(lambda x, t: model(x, t, model.embed(told)), x_0, noise=noise)  # pyright: ignore[reportCallIssue]

    options = {"batch_size": 96, "lr": 7e-3, "anneal": True, "ema": 0.99, "steps": 800}
    model = Told(unet(images), PROCESS.abar, labels=HUES + 1, width=64)
    own = replace(run, seed=seed)
    found = train_or_load(conditional, own, model, of_batch, images, name="shapes-cfg", **options)
    run.bases.extend(own.bases)
    return found
