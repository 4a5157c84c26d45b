"""Weighs two far modes with exact scores; then learns the scores of images, and samples.

Each time plain Langevin dynamics at the last level, from the same start and with as many evaluations, is the control.
The two modes are the paper's figure 3, settings and all.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from implementations.common.noise import Noise
from implementations.demos.recipes import unit_images
from implementations.dsm import parzen_score
from implementations.lab import pictures
from implementations.lab.data import Dataset
from implementations.lab.demo import Claim, Demo, Figure, Run, once
from implementations.lab.training import Batch, Trained, train
from implementations.ncsn import ScoreModel, ScoreNetwork, anneal, geometric_levels, langevin, loss, sample
from implementations.unet import UNet
from implementations.verification.twosample import excess_energy

MODES = torch.tensor([[-5.0, -5.0]] + 4 * [[5.0, 5.0]])
"""One in five is the light mode, and the last level blurs them by 1."""
SIGMAS = geometric_levels()
T = 20
"""Steps at each of these levels, of images."""


# ---- two modes, with exact scores -----------------------------------------------------------------------------------


def exact_score(data: Tensor) -> ScoreModel:
    """A perfect network for a finite data set, for one level at a time."""
    return lambda x, sigma: parzen_score(x, data, sigma[0].item())


class Clouds(NamedTuple):
    """Samples of both kinds, and the run's noise where they left it."""

    annealed: Tensor
    plain: Tensor
    noise: Noise


@once
def clouds(run: Run) -> Clouds:
    exact, noise = exact_score(MODES), Noise(run.seed)
    square = 16 * noise.uniform(torch.empty(4000, 2)) - 8
    annealed = sample(exact, geometric_levels(20.0, 1.0, 10), square, eps=0.1, noise=noise)
    return Clouds(annealed, langevin(exact, square, 1.0, 0.1, 1000, noise=noise), noise)


def light(x: Tensor) -> float:
    """The share of points in the light mode, which should be 1/5."""
    return (x.sum(1) < 0).double().mean().item()


def mode_weights(run: Run) -> Claim:
    annealed, plain, _ = clouds(run)
    return Claim(
        statement="share of samples in the mode of weight 1/5, off by (exact scores, as in figure 3)",
        value=abs(light(annealed) - 0.2),
        bound=0.06,
        relation="<=",
        control=abs(light(plain) - 0.2),
        control_is="plain Langevin dynamics, as many evaluations",
        of="section 3.2.2 and figure 3",
    )


def weights(run: Run) -> Figure:
    annealed, plain, _ = clouds(run)
    shown = {
        "two modes, 1 : 4": MODES[torch.arange(4000) % 5] + Noise(run.seed)(annealed),
        f"annealed, {light(annealed):.0%} below": annealed,
        f"plain, {light(plain):.0%} below": plain,
    }
    return Figure(
        alt=f"Two clouds of points, weights 1 : 4. Annealed Langevin dynamics puts {light(annealed):.0%} of its "
        f"samples in the light one, plain Langevin dynamics {light(plain):.0%}: it splits them evenly, as its start "
        "did.",
        image=pictures.beside({title: pictures.scatter(x, limits=(-9, 9), size=200) for title, x in shown.items()}),
    )


# ---- images, with learned ones --------------------------------------------------------------------------------------


def small_unet(images: Dataset) -> UNet:
    """`network(x, i)`, here and in NCSNv2."""
    return UNet(images.shape[0], width=16, head=16)


def fit(run: Run, model: nn.Module, sigmas: Tensor, *, name: str, ema: float) -> Trained:
    """The scores of images at these levels, by the loss per pixel."""

    def per_pixel(model: ScoreModel, batch: Batch, noise: Noise) -> Tensor:
        return loss(model, sigmas, batch[0], noise=noise) / batch[0][0].numel()

    options = {"steps": run.steps, "lr": 2e-3, "anneal": True, "ema": ema}
    return train(model, per_pixel, unit_images(run), name=name, **options, **run.training)


@once
def network(run: Run) -> Trained:
    torch.manual_seed(run.seed)
    return fit(run, ScoreNetwork(small_unet(unit_images(run)), SIGMAS), SIGMAS, name="ncsn", ema=0.98)


class Samples(NamedTuple):
    """Images at the start and after each level; and what plain Langevin dynamics makes of the same start."""

    states: list[Tensor]
    plain: Tensor


@once
def samples(run: Run) -> Samples:
    model, noise = network(run).model, clouds(run).noise
    start = noise.uniform(unit_images(run).x[:64])
    states = [start, *anneal(model, SIGMAS, start, T=T, noise=noise)]
    return Samples(states, langevin(model, start, SIGMAS[-1].item(), 2e-5, len(SIGMAS) * T, noise=noise))


def law(run: Run) -> Claim:
    states, plain = samples(run)
    held_out = unit_images(run).x_test
    return Claim(
        statement="energy distance between samples and held-out images, over the distance between images",
        value=excess_energy(states[-1], held_out),
        bound=0.025,
        relation="<=",
        control=excess_energy(plain, held_out),
        control_is="plain Langevin dynamics with the same network, start and evaluations",
        of="section 4.3",
    )


def sheets(run: Run) -> Figure:
    states, plain = samples(run)
    emerging = pictures.strip([x[:8] for x in states], range=(0, 1), width=320)
    shown = {"samples": states[-1], "plain Langevin": plain}
    drawn = {title: pictures.contact_sheet(x, columns=8, range=(0, 1), width=240) for title, x in shown.items()}
    return Figure(
        alt=f"Rows of {run.data} that emerge from uniform noise over ten falling noise levels; sixty-four samples; and "
        "sixty-four of plain Langevin dynamics at the last level alone, which are still noise.",
        image=pictures.beside({"from noise to images, level by level": emerging, **drawn}),
    )


DEMO = Demo(
    claims=(mode_weights, law),
    figures=(sheets, weights),
    network=network,
    steps=300,
    network_evaluations=len(SIGMAS) * T,
)
