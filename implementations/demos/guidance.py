"""What the demos of guidance share: diversity exchanged for fidelity, and images of each class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from math import cos, pi, sin
from typing import NamedTuple

import torch
from torch import Tensor

from implementations.adm import ADMUNet
from implementations.common.noise import Noise
from implementations.ddim import timesteps
from implementations.ddpm import linear_schedule
from implementations.demos.recipes import dataset, labelled, large
from implementations.lab import pictures
from implementations.lab.data import Dataset
from implementations.lab.demo import Claim, Figure, Run, once
from implementations.verification.oracles import GaussianMixture
from implementations.verification.sample_measures import Classifier, classifier, mean_distance

# ---- points of three classes, where networks are exact ---------------------------------------------------------------

SCALES = (0.0, 0.5, 1.0, 2.0, 4.0)
CHAIN = linear_schedule(50, 2e-3, 0.35)

Guided = Callable[[float, Tensor, Tensor, Noise], Tensor]
"""Samples guided by a scale towards a class for each row, from x_T: of (scale, y, x_T, noise)."""

Curve = list[tuple[float, float]]
"""Fidelity and spread at each scale."""


class Exchange(NamedTuple):
    """The curve of guided samples, and that of samples guided towards shuffled labels; then the former themselves."""

    curve: Curve
    shuffled: Curve
    samples: list[Tensor]
    y: Tensor


def three_classes() -> GaussianMixture:
    """Three round Gaussians in the plane, one class each, that overlap: Bayes' rule errs on one point in four."""
    means = [[cos(angle), sin(angle)] for angle in (pi / 2, pi * 7 / 6, pi * 11 / 6)]
    return GaussianMixture([1.0] * 3, means, [0.8] * 3, [0, 1, 2])


def fidelity_and_spread(judge: Classifier, samples: Tensor, y: Tensor) -> tuple[float, float]:
    """The share of samples the judge gives the class asked for, and the mean distance between two asked to be alike."""
    spread = [mean_distance(samples[y == label]) for label in y.unique()]
    return judge.agreement(samples, y), sum(spread) / len(spread)


def exchange(run: Run, guided: Guided) -> Exchange:
    """What guidance does to 450 points of three classes, at each scale from the same noise."""
    y, draws = torch.arange(450) % 3, Noise(run.seed)
    judge = classifier(*three_classes().sample_with_class(1000, noise=draws))
    x_T = draws(torch.empty(len(y), 2))
    shuffled = y[draws.uniform(y.double()).argsort()]

    def towards(labels: Tensor) -> tuple[Curve, list[Tensor]]:
        samples = [guided(scale, labels, x_T, Noise(run.seed + 1)) for scale in SCALES]
        return [fidelity_and_spread(judge, x, y) for x in samples], samples

    curve, samples = towards(y)
    return Exchange(curve, towards(shuffled)[0], samples, y)


LISTED = ", ".join(f"{scale:g}" for scale in SCALES)
ALONG = f"from one scale to the next of {LISTED}; exact networks, three classes"
SHUFFLED = "guided alike towards labels that were shuffled among the samples"


def fidelity_gained(found: Exchange, of: str) -> Claim:
    def least_gain(curve: Curve) -> float:
        return min(after - before for (before, _), (after, _) in pairwise(curve))

    return Claim(
        statement=f"least gain in the share of samples that a judge gives the class asked for, {ALONG}",
        value=least_gain(found.curve),
        bound=0.01,
        relation=">=",
        control=least_gain(found.shuffled),
        control_is=SHUFFLED,
        of=of,
    )


def diversity_lost(found: Exchange, of: str) -> Claim:
    def least_loss(curve: Curve) -> float:
        return min(before - after for (_, before), (_, after) in pairwise(curve))

    return Claim(
        statement=f"least loss of the mean distance between samples of one class, {ALONG}",
        value=least_loss(found.curve),
        bound=0.05,
        relation=">=",
        control=least_loss(found.shuffled),
        control_is=SHUFFLED,
        of=of,
    )


def fidelity_over_spread(found: Exchange) -> Figure:
    lines = {
        title: ([spread for _, spread in curve], [right for right, _ in curve])
        for title, curve in {"labels as asked": found.curve, "shuffled labels": found.shuffled}.items()
    }
    (right, spread), (right_last, spread_last) = found.curve[0], found.curve[-1]
    return Figure(
        alt=f"Fidelity against diversity for scales {LISTED}, exact networks, three classes: the share of "
        f"samples of the class asked for rises from {right:.0%} to {right_last:.0%}, while the mean distance between "
        f"samples of one class falls from {spread:.2f} to {spread_last:.2f}. With shuffled labels the share stays at a "
        "third, and the distance grows.",
        image=pictures.curves(lines, across="mean distance within a class", up="share of the class asked for"),
    )


# ---- images ----------------------------------------------------------------------------------------------------------

TAU = timesteps(1000, 20)
"""The times at which images are sampled."""


def adm_unet(images: Dataset, outputs: int = 1, classes: int = 0) -> ADMUNet:
    """ADM's network in a size that learns images like these.  outputs: images returned for each that is given."""
    channels = images.shape[0]
    multipliers, attention = ((1, 2, 2), (1, 2)) if large(images) else ((1, 2), (1,))
    return ADMUNet(channels, outputs * channels, multipliers=multipliers, attention=attention, classes=classes)


@once
def asked(run: Run) -> Tensor:
    """The classes asked for: each eight times, in turn."""
    classes = dataset(run).classes
    return torch.arange(8 * classes, device=run.device) % classes


@once
def start(run: Run) -> Tensor:
    """An x_T for each of them."""
    return Noise(run.seed)(torch.empty(len(asked(run)), *dataset(run).shape, device=run.device))


@once
def judge(run: Run) -> Classifier:
    images = dataset(run)
    x, y = labelled((images.x, images.y))
    return classifier(x[:2000], y[:2000])


def share_right(run: Run, samples: Tensor) -> float:
    """The share of samples that the judge gives the class asked for."""
    return judge(run).agreement(samples, asked(run))


def class_sheets(samples: Mapping[str, Tensor], classes: int) -> Tensor:
    """Sets of images, an even number, in two rows; in each set a column for each class."""
    sheets = {
        title: pictures.contact_sheet(x[: 5 * classes], columns=classes, width=400) for title, x in samples.items()
    }
    titles = list(sheets)
    rows = titles[: len(titles) // 2], titles[len(titles) // 2 :]
    return torch.cat([pictures.beside({title: sheets[title] for title in row}) for row in rows])
