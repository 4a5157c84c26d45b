"""What the demos of few steps share: a law in the plane, where its ODE ends, how far from there a sampler is, a film.

The measure is the mean distance between what a sampler makes of a point of noise and where the ODE takes the same
point, in standard deviations of the data.  It needs no test of two samples, hardly moves with the seed, and sees what
distances between laws forgive: a sampler that draws from the law, but forgets where it started, is far away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from implementations.common.noise import Noise
from implementations.edm import DenoisingModel, sample, schedule
from implementations.lab import pictures
from implementations.lab.data import Dataset
from implementations.lab.demo import Curve, Run, once
from implementations.verification.oracles import GaussianMixture, eight_gaussians

F64 = torch.float64
POINTS = 512
"""Starts of a measurement."""


def standardised(law: GaussianMixture, sigma_data: float = 0.5) -> GaussianMixture:
    """The mixture moved and scaled to mean 0 and to the variance, averaged over coordinates, that EDM is made for."""
    scale = sigma_data / law.cov.diagonal().mean().sqrt()
    return GaussianMixture(law.weights, scale * (law.means - law.mean), scale**2 * law.covs)


def end_of_flow(D: DenoisingModel, z: Tensor, levels: Callable[[int], Tensor]) -> Tensor:
    """Where the ODE takes z, by Heun's method with fine steps and Richardson's extrapolation.  levels: of n steps."""
    fine, coarse = (sample(D, z, levels(n)) for n in (128, 64))
    return fine + (fine - coarse) / 3


LAW = standardised(eight_gaussians())
"""Eight round modes on a circle, of standard deviation 0.5 as EDM wants its data."""


@once
def starts(run: Run) -> Tensor:
    """Points of noise, of standard deviation 1: (POINTS, 2), float64."""
    return Noise(run.seed + 1000)(torch.empty(POINTS, 2, dtype=F64))


@once
def ends(run: Run, sigma_max: float = 80.0) -> Tensor:
    """Where the ODE of LAW takes the starts, times sigma_max, which is the level they are at."""
    return end_of_flow(LAW.denoiser(), starts(run), lambda n: schedule(n, sigma_max=sigma_max))


def distance(found: Tensor, end: Tensor, sd: float = 0.5) -> float:
    """Mean distance from the ends, (N, 2) each, in standard deviations of the data."""
    return (found.double() - end).norm(dim=1).mean().item() / sd


def against_evaluations(lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Curve:
    """Distances by what they cost, in the words and units that the curves of all methods share."""
    return Curve(
        across="network evaluations for one sample",
        up="mean distance from where the ODE takes the same noise, in standard deviations of the data",
        lines=lines,
    )


def film(images: Dataset, columns: Mapping[str, Sequence[Tensor]], *, width: int = 400) -> Tensor:
    """The same noise through ever fewer steps: by the title of each panel its rows from top to bottom, (B, C, H, W)
    each, one row of images for each number of steps.
    """
    panels = {
        title: pictures.contact_sheet(torch.cat(list(rows)), columns=len(rows[0]), range=images.range, width=width)
        for title, rows in columns.items()
    }
    return pictures.beside(panels)
