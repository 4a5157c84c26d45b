"""Checks the variance that the rules foretell, samples wide images by exact scores, learns the scores of small ones.

Wide images are three hundred of the data's, each pixel enlarged to 4 by 4: distances grow fourfold, and with exact
scores (as in figure 2) only the ladder and the steps can be at fault.
Technique 5, the average of the weights, gains little in a run as short as this one (held-out loss 0.152 per pixel
against 0.156), so nothing is claimed of it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from implementations import ncsn
from implementations.common.noise import Noise
from implementations.demos.ncsn import exact_score, fit, small_unet
from implementations.demos.recipes import unit_images
from implementations.lab import pictures
from implementations.lab.demo import Claim, Demo, Figure, Run, once
from implementations.lab.training import Trained
from implementations.ncsn import geometric_levels
from implementations.ncsnv2 import Unconditional, noise_levels, sample, step_size, variance_ratio
from implementations.verification.sample_measures import mean_distance
from implementations.verification.twosample import excess_energy


class Ladder(NamedTuple):
    """Levels, the step size at the last of them, and the steps at each."""

    sigmas: Tensor
    eps: float
    T: int


def ladder(x: Tensor, T: int) -> Ladder:
    """By the rules, for a data set."""
    sigmas = noise_levels(x)
    return Ladder(sigmas, step_size(sigmas, T), T)


# ---- wide images, with exact scores ---------------------------------------------------------------------------------


@once
def wide(run: Run) -> Tensor:
    return unit_images(run).x[:300].repeat_interleave(4, 2).repeat_interleave(4, 3)


@once
def wide_ladder(run: Run) -> Ladder:
    return ladder(wide(run), T=5)


def worst_variance(ladder: Ladder, draws: int, noise: Noise, *, falling: bool) -> float:
    """Greatest relative error of Eq. 4 over all levels but the first, in a simulation with the score of one point.

    falling: whether the step size falls with the levels, as in Algorithm 1, or is eps throughout.
    """
    sigmas, eps, T = ladder
    foretold = float(variance_ratio(eps, T, (sigmas[-2] / sigmas[-1]).item(), sigmas[-1].item()))
    worst = 0.0
    for before, sigma in zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True):
        alpha = 2 * eps * (sigma**2 / sigmas[-1].item() ** 2 if falling else 1)
        x = before * noise(torch.empty(1, draws))
        x = ncsn.langevin(lambda x, level: -x / level[:, None] ** 2, x, sigma, alpha, T, noise=noise)
        worst = max(worst, abs(x.square().mean().item() / sigma**2 / foretold - 1))
    return worst


class Simulated(NamedTuple):
    """What was wrong at most with a falling step size and with one for all levels; the noise where they left it."""

    falling: float
    constant: float
    noise: Noise


@once
def simulated(run: Run) -> Simulated:
    noise = Noise(run.seed)
    falling, constant = (worst_variance(wide_ladder(run), 2**17, noise, falling=falling) for falling in (True, False))
    return Simulated(falling, constant, noise)


def variance(run: Run) -> Claim:
    found = simulated(run)
    return Claim(
        statement="greatest relative error of the foretold variance over all levels, simulated",
        value=found.falling,
        bound=0.02,
        relation="<=",
        control=found.constant,
        control_is="the same step size at all levels",
        of="Proposition 3 and Eq. 4",
    )


class WideSamples(NamedTuple):
    """By the rules and by NCSN's constants, from the same start; the noise where they left it."""

    ours: Tensor
    theirs: Tensor
    noise: Noise


@once
def wide_samples(run: Run) -> WideSamples:
    exact, noise = exact_score(wide(run)), simulated(run).noise
    start = noise.uniform(wide(run)[:32])
    sigmas, eps, T = wide_ladder(run)
    ours = sample(exact, sigmas, start, eps=eps, T=T, noise=noise)
    return WideSamples(ours, ncsn.sample(exact, geometric_levels(), start, noise=noise), noise)


@once
def spreads(run: Run) -> tuple[float, float]:
    """Distances between samples, by the rules and by NCSN's constants, as a share of those between the images."""
    ours, theirs, _ = wide_samples(run)
    return mean_distance(ours) / mean_distance(wide(run)), mean_distance(theirs) / mean_distance(wide(run))


def spread(run: Run) -> Claim:
    ours, theirs = spreads(run)
    return Claim(
        statement="distance between samples of wide images, as a share of that between the images (exact scores)",
        value=ours,
        bound=0.88,
        relation=">=",
        control=theirs,
        control_is="NCSN's ten levels from 1 to 0.01, its T and its step size",
        of="section 3.1 and figure 2",
    )


# ---- small images, with learned ones --------------------------------------------------------------------------------


class Undivided(Unconditional):
    """Technique 3 taken away: s(x, sigma) = s(x)."""

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return super().forward(x, torch.ones_like(sigma))


@once
def small_ladder(run: Run) -> Ladder:
    return ladder(unit_images(run).x, T=10)


@once
def network(run: Run, kind: type[Unconditional] = Unconditional) -> Trained:
    torch.manual_seed(run.seed)
    name = f"ncsnv2-{kind.__name__.lower()}"
    return fit(run, kind(small_unet(unit_images(run))), small_ladder(run).sigmas, name=name, ema=0.999)


@once
def start(run: Run) -> Tensor:
    return wide_samples(run).noise.uniform(unit_images(run).x[:64])


@once
def samples(run: Run, kind: type[Unconditional] = Unconditional) -> Tensor:
    sigmas, eps, T = small_ladder(run)
    return sample(network(run, kind).model, sigmas, start(run), eps=eps, T=T, noise=Noise(run.seed + 1))


def law(run: Run) -> Claim:
    held_out = unit_images(run).x_test
    return Claim(
        statement="energy distance between samples and held-out images, over the distance between images",
        value=excess_energy(samples(run), held_out),
        bound=0.045,
        relation="<=",
        control=excess_energy(samples(run, Undivided), held_out),
        control_is="the same network, trained alike, not divided by sigma: its samples stay noise, so that a far worse "
        "sampler than ours would hold this bound too",
        of="section 3.3",
    )


def sheets(run: Run) -> Figure:
    (ours, theirs, _), (our_spread, their_spread) = wide_samples(run), spreads(run)
    shown = {
        f"wide images, NCSN: spread {their_spread:.2f}": (theirs[:25], 5),
        f"NCSNv2: spread {our_spread:.2f}": (ours[:25], 5),
        "learned, divided by sigma": (samples(run), 8),
        "learned, not divided": (samples(run, Undivided), 8),
    }
    return Figure(
        alt=f"Samples of {run.data}. With exact scores of enlarged images: by NCSN's ladder, alike one another; by "
        "NCSNv2's, as varied as the images. From a learned network: images; from one that is not divided by sigma: "
        "noise.",
        image=pictures.beside(
            {
                title: pictures.contact_sheet(x, columns=columns, range=(0, 1), width=330)
                for title, (x, columns) in shown.items()
            }
        ),
    )


def evaluations(run: Run) -> int:
    return len(small_ladder(run).sigmas) * small_ladder(run).T + 1


DEMO = Demo(
    claims=(variance, spread, law),
    figures=(sheets,),
    network=network,
    steps=160,
    network_evaluations=evaluations,
)
