"""Digits completed from their upper halves, by the score of DDPM's network, in continuous time."""

from __future__ import annotations

import torch
from torch import Tensor

from implementations.common.noise import Noise
from implementations.common.rows import per_row
from implementations.demos.recipes import held_out
from implementations.lab.demo import Run, once
from implementations.lab.showcase import Network, Picture, Showcase
from implementations.ncsn import ScoreModel
from implementations.score_sde import VP, imputing, sample
from implementations.showcases.ddpm import PROCESS, TRAINING, network
from implementations.showcases.recipes import gaussian_start

SDE = VP()
N, M = 200, 1
"""Noise levels, and corrector steps at each."""


@once
def score(run: Run) -> ScoreModel:
    """The score of the VP SDE that the network of a chain of 1000 steps is (Eq. 10 and appendix C)."""
    model = network(run).model

    def of(x: Tensor, t: Tensor) -> Tensor:
        return -model(x, PROCESS.T * t) / per_row(SDE.kernel(t)[1], x)

    return of


def completed(run: Run) -> Picture:
    """Six rows of ten: a held-out image, its upper half, and eight completions of that."""
    whole, noise = held_out(run, 6).repeat_interleave(8, 0), Noise(run.seed + 1)
    upper = (torch.arange(whole.shape[2], device=run.device) < whole.shape[2] // 2)[:, None].expand_as(whole)
    model = imputing(score(run), SDE, whole, upper, noise=noise)
    x = sample(model, SDE, gaussian_start(run, len(whole)), N, M=M, noise=noise)
    given = torch.stack([whole, torch.where(upper, whole, 0.0)], dim=1)[::8]
    return Picture(
        tiles=torch.cat([given, x.unflatten(0, (-1, 8))], dim=1).flatten(0, 1),
        columns=10,
        alt=f"Six rows: an image of {run.data}, its upper half, and eight images with that upper half and lower "
        "halves that fit it.",
        caption="Each row: a held-out image, what the sampler is told of it, and eight completions by predictor and "
        "corrector.",
    )


def drawn(run: Run) -> Picture:
    x = sample(score(run), SDE, gaussian_start(run, 60), N, M=M, noise=Noise(run.seed + 1))
    return Picture(
        tiles=x,
        columns=10,
        alt=f"Sixty samples of {run.data}.",
        caption="Sixty samples of the same network by predictor and corrector, the first of the seed.",
    )


SHOWCASE = Showcase(
    networks=(Network("showcase-ddpm", network, TRAINING),),
    pictures=(completed, drawn),
    network_evaluations=N + (N - 1) * M,
)
