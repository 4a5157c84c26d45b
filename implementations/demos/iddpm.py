"""Trains on images, by the hybrid loss and by DDPM's, and counts bits; samples Gaussians in 25 steps.

Bits: a linear chain of 100 steps, and 25 of them.  Samples: the cosine chain of 1000 steps, and 25 of them.
Tried once each, 280 steps of training: with 200 steps the learned variance saves 0.16 bits, with 1000 only 0.04, as the
paper says of long chains; cosine chains take 0.2 to 0.3 bits more than linear ones on images this small, and trained on
the bound alone, the digits need as many bits (200 steps) or more, and their samples are worse.
"""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi, sin
from typing import NamedTuple

import torch
from torch import Tensor

from implementations import ddpm
from implementations.common.noise import Noise
from implementations.ddpm import GaussianDiffusion, linear_schedule
from implementations.demos.recipes import dataset, held_out, unet
from implementations.iddpm import (
    Clip,
    Importance,
    NoiseVarianceModel,
    bits_per_dimension,
    cosine_schedule,
    hybrid_loss,
    least_variance,
    retimed,
    sample,
    strided,
    timesteps,
)
from implementations.lab import pictures
from implementations.lab.demo import Claim, Demo, Figure, Run, once
from implementations.lab.training import Batch, Trained, train
from implementations.verification.impulses import moments
from implementations.verification.oracles import Gaussian, GaussianMixture

K = 25
"""Steps of the short chains."""


def with_variance(model: NoiseVarianceModel, place: float) -> NoiseVarianceModel:
    """The model's noise, and a variance that is not learned: -1 for DDPM's small one, 1 for its large one."""

    def fixed(x: Tensor, t: Tensor) -> Tensor:
        guess, _ = model(x, t).chunk(2, dim=1)
        return torch.cat([guess, torch.full_like(guess, place)], dim=1)

    return fixed


def variances(model: NoiseVarianceModel, own: str) -> dict[str, NoiseVarianceModel]:
    """The model with its own variance, under a name of its own, and with DDPM's two in place of that."""
    return {own: model, "beta-tilde": with_variance(model, -1.0), "beta": with_variance(model, 1.0)}


def in_steps(
    steps: int, model: NoiseVarianceModel, process: GaussianDiffusion, x_T: Tensor, noise: Noise, clip: Clip = None
) -> Tensor:
    """Samples by so many of a chain's steps."""
    tau = timesteps(process.T, steps)
    return sample(retimed(model, tau), strided(process, tau), x_T, clip=clip, noise=noise)


# ---- images: bits ---------------------------------------------------------------------------------------------------

PROCESS = linear_schedule(100, 1e-3, 0.2)
BETTER = "the same network with the better of the two fixed variances"


def simple_loss(
    model: NoiseVarianceModel, process: GaussianDiffusion, x_0: Tensor, levels: int | None, *, noise: Noise
) -> Tensor:
    """DDPM's own, which leaves the second output as it is."""
    return ddpm.loss(lambda x, t: model(x, t).chunk(2, dim=1)[0], process, x_0, noise=noise)


@once
def network(run: Run, objective: Callable[..., Tensor] = hybrid_loss) -> Trained:
    """A U-Net with both outputs, trained on images as DDPM's is."""
    images = dataset(run)
    torch.manual_seed(run.seed)

    def of_batch(model: NoiseVarianceModel, batch: Batch, noise: Noise) -> Tensor:
        return objective(model, PROCESS, batch[0], images.levels, noise=noise)

    options = {"batch_size": 32, "lr": 4e-3, "anneal": True, "ema": 0.99, "name": f"iddpm-{objective.__name__}"}
    return train(unet(images, 2), of_batch, images, steps=run.steps, **options, **run.training)


class Bits(NamedTuple):
    """Per dimension: with the network's own variance, the lower of those with the fixed ones, and its terms by t."""

    learned: float
    fixed: float
    terms: Tensor


def remembering(model: NoiseVarianceModel) -> NoiseVarianceModel:
    """The model, which answers from memory when it is asked at a time again: for other variances at the same x_t."""
    answers: dict[int, Tensor] = {}

    def answer(x: Tensor, t: Tensor) -> Tensor:
        key = int(t[0])
        if key not in answers:
            answers[key] = model(x, t)
        return answers[key]

    return answer


@once
def bound(run: Run, steps: int, objective: Callable[..., Tensor] = hybrid_loss) -> Bits:
    """Of 36 held-out images, by so many steps, with each variance at the same draws of x_t."""
    images, tau = dataset(run), timesteps(PROCESS.T, steps)
    same, chain = remembering(retimed(network(run, objective).model, tau)), strided(PROCESS, tau)
    learned, *fixed = (
        bits_per_dimension(model, chain, held_out(run, 36), images.levels, clip=images.range, noise=Noise(run.seed))
        for model in variances(same, "learned").values()
    )
    total, *others = (terms.sum(0).mean().item() for terms in (learned, *fixed))
    return Bits(total, min(others), learned)


def bits(run: Run) -> Claim:
    ours, of_ddpm = bound(run, PROCESS.T), bound(run, PROCESS.T, simple_loss).fixed
    return Claim(
        statement=f"bits per dimension of held-out images saved in a chain of {PROCESS.T} steps, of those a DDPM takes "
        "with its better variance (the longer the chain, the less is saved)",
        value=of_ddpm - ours.learned,
        bound=0.06,
        relation=">=",
        control=of_ddpm - ours.fixed,
        control_is=f"{BETTER} in place of the learned one",
        of="section 3.1: a better log-likelihood from the learned variance",
    )


def bits_of_few_steps(run: Run) -> Claim:
    found = bound(run, K)
    return Claim(
        statement=f"bits per dimension of held-out images with {K} of the {PROCESS.T} steps",
        value=found.learned,
        bound=3.2,
        relation="<=",
        control=found.fixed,
        control_is=BETTER,
        of="section 4: learned variances go on to fit when steps are skipped",
    )


def relative_noise(terms: Tensor, p: Tensor) -> float:
    """Standard deviation over mean of the bound's estimate from one t, drawn by p: (T,).  terms: (T, N), of each t."""
    total = terms.mean(1).sum()
    return ((terms.square().mean(1) / p.to(terms)).sum() / total.square() - 1).sqrt().item()


def importance(run: Run) -> Claim:
    terms, seen = bound(run, PROCESS.T).terms[:-1], Importance(PROCESS.T)
    for image in terms[:, :10].T:
        seen.record(torch.arange(1, PROCESS.T + 1), image)
    return Claim(
        statement="standard deviation of an estimate of the bound from one t, over its mean",
        value=relative_noise(terms[:, 10:], seen.probabilities()),
        bound=0.5,
        relation="<=",
        control=relative_noise(terms[:, 10:], Importance(PROCESS.T).probabilities()),
        control_is="a uniform t",
        of="section 3.3: importance sampling takes noise from the bound's estimate",
    )


# ---- known laws: the width of samples -------------------------------------------------------------------------------

COSINE = cosine_schedule(1000)
ANGLES = [k * pi / 4 for k in range(8)]
MODES = 2**0.5 * torch.tensor([[cos(a), sin(a)] for a in ANGLES], dtype=torch.float64)
RING = GaussianMixture([1.0] * 8, MODES, [0.1**2] * 8)


def ideal(law: GaussianMixture, process: GaussianDiffusion) -> NoiseVarianceModel:
    """What training leads to on data of a known law: the exact noise, and the variance at which the bound is least.

    It is Var[x_{t-1} | x_t], entry by entry: the posterior's, and what it leaves open about x_0.  Kept between its
    bounds: outside, as it would be half-way between two modes, the longer steps of a strided chain magnify it.
    """
    exact = law.model(process.abar)
    least, most = least_variance(process).log(), process.beta.log()

    def model(x: Tensor, t: Tensor) -> Tensor:
        k = int(t[0])
        left = law.covariance(x, process.abar[k].sqrt(), (1 - process.abar[k]).sqrt()).diagonal(dim1=1, dim2=2)
        variance = process.posterior_variance[k] + process.posterior_weights[0][k] ** 2 * left
        v = (variance.log() - least[k]) / (most[k] - least[k])
        return torch.cat([exact(x, t), (2 * v - 1).clamp(-1, 1)], dim=1)

    return model


def spread(model: NoiseVarianceModel, process: GaussianDiffusion, steps: int) -> float:
    """Standard deviation of samples of so many steps, exactly, for a model of Gaussian data (see `impulses`)."""
    return moments(lambda x_T, noise: in_steps(steps, model, process, x_T, noise)).std.item()


def spreads(*steps: int) -> dict[str, list[float]]:
    """Those of samples over that of Gaussian data, for each variance."""
    sd = 0.5
    models = variances(ideal(Gaussian(0.0, sd**2), COSINE), "best")
    return {name: [spread(model, COSINE, k) / sd for k in steps] for name, model in models.items()}


def spread_of_few_steps(run: Run) -> Claim:
    best, *fixed = (abs(share - 1) for (share,) in spreads(K).values())
    return Claim(
        statement=f"standard deviation of samples of {K} steps, over that of Gaussian data, off 1 by (exactly)",
        value=best,
        bound=0.01,
        relation="<=",
        control=min(fixed),
        control_is="the better of the two fixed variances",
        of="section 4: better samples in few steps than with either fixed variance, in a case known exactly",
    )


@once
def rings(run: Run) -> dict[str, Tensor]:
    """Samples of points around eight modes, for each variance, from the same x_T."""
    x_T = Noise(run.seed)(torch.empty(1500, 2, dtype=torch.float64))
    return {
        name: in_steps(K, model, COSINE, x_T, Noise(run.seed + 1))
        for name, model in variances(ideal(RING, COSINE), "best").items()
    }


@once
def widths(run: Run) -> dict[str, float]:
    """Standard deviation of these samples around the nearest mode, over the data's."""
    return {
        name: torch.cdist(x, MODES).amin(1).square().mean().div(2).sqrt().item() / 0.1 for name, x in rings(run).items()
    }


def width_of_few_steps(run: Run) -> Claim:
    best, *fixed = (abs(width - 1) for width in widths(run).values())
    return Claim(
        statement=f"standard deviation of samples of {K} steps around eight modes, over the data's, off 1 by",
        value=best,
        bound=0.16,
        relation="<=",
        control=min(fixed),
        control_is="the better of the two fixed variances, from the same x_T",
        of="section 4, with the exact noise and the variance at which the bound is least",
    )


# ---- pictures -------------------------------------------------------------------------------------------------------


def clouds(run: Run) -> Figure:
    width = widths(run)
    shown = {"data": RING.sample(1500, noise=Noise(run.seed + 2))}
    shown |= {f"{K} steps, {name}: {width[name]:.0%}": x for name, x in rings(run).items()}
    return Figure(
        alt=f"Eight round clouds of points on a circle, the data; and samples of {K} of 1000 steps: with the best "
        f"variance, to which the bound leads, clouds {width['best']:.0%} as wide as the data's, with beta-tilde "
        f"{width['beta-tilde']:.0%}, with beta {width['beta']:.0%} and blurred.",
        image=pictures.beside({title: pictures.scatter(x, limits=(-2, 2), size=230) for title, x in shown.items()}),
    )


def steps(run: Run) -> Figure:
    x_T, counts = Noise(run.seed)(held_out(run, 36)), [5, 7, 10, 15, K, 50, 100]
    panels = {}
    for name, model in variances(network(run).model, "learned").items():
        x = in_steps(K, model, PROCESS, x_T, Noise(run.seed + 1), clip=dataset(run).range)
        panels[f"{K} steps, {name}"] = pictures.contact_sheet(x, columns=6, width=230)
    lines = {name: (counts, shares) for name, shares in spreads(*counts).items()}
    panels["spread of samples / of data"] = pictures.curves(lines, across="steps", up="", size=(440, 250))
    return Figure(
        alt=f"36 samples after training on {run.data} by {K} of {PROCESS.T} steps, with the learned variance and with "
        "each of the fixed ones; and the spread of samples, over that of Gaussian data, against the number of "
        "steps: too small with beta-tilde, too large with beta, right from 25 steps on with the best one.",
        image=pictures.beside(panels),
    )


DEMO = Demo(
    claims=(bits, bits_of_few_steps, spread_of_few_steps, width_of_few_steps, importance),
    figures=(clouds, steps),
    network=network,
    steps=240,
    network_evaluations=K,
)
