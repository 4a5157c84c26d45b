"""DDPM's network in ever fewer steps from the same noise, and walks from one code to another."""

from __future__ import annotations

import torch
from torch import Tensor

from implementations.ddim import sample, slerp, timesteps
from implementations.demos.recipes import dataset
from implementations.lab.demo import Run, once
from implementations.lab.showcase import Network, Picture, Showcase
from implementations.showcases.ddpm import PROCESS, TRAINING, network
from implementations.showcases.recipes import gaussian_start

COUNTS = (5, 10, 20, 50, 100)


@once
def in_steps(run: Run, steps: int) -> Tensor:
    """Ten samples, each from its own code."""
    x_T = gaussian_start(run, 10)
    return sample(network(run).model, PROCESS, x_T, timesteps(PROCESS.T, steps), clip=dataset(run).range)


def counts(run: Run) -> Picture:
    return Picture(
        tiles=torch.cat([in_steps(run, steps) for steps in COUNTS]),
        columns=10,
        alt=f"Ten columns of samples of {run.data}, each from one code; five rows, in which they hardly change from "
        "the second on.",
        caption="Each column starts from one noise. Rows, from above: 5, 10, 20, 50 and 100 deterministic steps.",
    )


def walks(run: Run) -> Picture:
    x_T, tau = gaussian_start(run, 20)[10:], timesteps(PROCESS.T, 50)
    along = [slerp(x_T[:5], x_T[5:], weight) for weight in torch.linspace(0, 1, 10, device=run.device)]
    codes = torch.stack(along, dim=1).flatten(0, 1)
    return Picture(
        tiles=sample(network(run).model, PROCESS, codes, tau, clip=dataset(run).range),
        columns=10,
        alt=f"Five rows; in each a sample of {run.data} turns step by step into another.",
        caption="Each row walks from one noise to another along a great circle; 50 steps from each place on the way.",
    )


SHOWCASE = Showcase(
    networks=(Network("showcase-ddpm", network, TRAINING),),
    pictures=(counts, walks),
    network_evaluations=max(COUNTS),
)
