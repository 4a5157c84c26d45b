"""Learns images and a schedule; moves the schedule, and sees what moves with it.

Where exactness is asked for, pixels are independent, with the histogram of the images' pixels: then the denoiser and
the entropy are known.
"""

from __future__ import annotations

from copy import deepcopy
from math import log, pi
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from implementations.common.noise import Noise
from implementations.ddpm import NoiseModel
from implementations.demos.recipes import dataset, held_out, unet
from implementations.lab import pictures
from implementations.lab.data import Dataset
from implementations.lab.demo import Claim, Demo, Figure, Run, once
from implementations.lab.training import Batch, Trained, train
from implementations.vdm import (
    F64,
    MonotoneSchedule,
    Schedule,
    alpha_sigma,
    bound,
    cosine,
    decode,
    linear,
    loss,
    prior_loss,
    sample,
    slope,
    squared_error,
)
from implementations.vdm import bits as per_dimension
from implementations.verification.oracles import GaussianMixture

# ---- independent pixels, exactly ------------------------------------------------------------------------------------

LOW, HIGH = -13.3, 10.0
"""gamma at the ends of their schedules."""
LINEAR = linear(LOW, HIGH)
DISCRETE = "a hundred steps of discrete time"


def pixel_law(images: Dataset) -> GaussianMixture:
    """The law of one pixel, by the histogram of the training images: points without width."""
    values, counts = images.x.flatten().cpu().unique(return_counts=True)
    return GaussianMixture(counts, values[:, None], torch.zeros(len(values)))


def exact_diffusion_loss(law: GaussianMixture, schedule: Schedule, T: int | None = None, *, nodes: int = 100) -> float:
    """L_T or L_infinity of one pixel with its exact denoiser, by quadrature over time, value and noise; in bits."""
    eps = torch.linspace(-8, 8, 129, dtype=F64)
    density = torch.exp(-(eps**2) / 2) / (2 * pi) ** 0.5 * (eps[1] - eps[0])
    x, mass = law.means.repeat_interleave(len(eps), 0), torch.outer(law.weights, density).flatten()
    rows = eps.repeat(len(law.means))[:, None]

    def model(z: Tensor, gamma: Tensor) -> Tensor:
        return law.eps(z, *alpha_sigma(gamma, gamma))

    with torch.no_grad():
        if T is None:
            node, share = np.polynomial.legendre.leggauss(nodes)
            gamma, weight = slope(schedule, torch.from_numpy(node + 1) / 2)
            weight = torch.from_numpy(share) / 2 * weight
        else:
            gammas = schedule(torch.linspace(0, 1, T + 1, dtype=F64))
            gamma, weight = gammas[1:], gammas.diff().expm1()
        errors = [mass @ squared_error(model, x, level.expand(len(x)), rows) for level in gamma]
    return (0.5 * weight @ torch.stack(errors)).item() / log(2)


@once
def exact_loss(run: Run, schedule: Schedule, T: int | None) -> float:
    """That of a pixel of the run's images."""
    return exact_diffusion_loss(pixel_law(dataset(run)), schedule, T)


def between(shape: Schedule) -> Schedule:
    """gamma from LOW to HIGH, whose `shape` is the part of the way that is done at t."""
    return lambda t: LOW + (HIGH - LOW) * shape(t)


def invariance(run: Run) -> Claim:
    learned = deepcopy(network(run).model.schedule).cpu().shape
    four = LINEAR, cosine(LOW, HIGH), between(lambda t: t**3), between(learned)

    def most_less_least(T: int | None) -> float:
        losses = [exact_loss(run, schedule, T) for schedule in four]
        return max(losses) - min(losses)

    return Claim(
        statement="the diffusion loss under four schedules between the same ends, most less least, in bits (exact "
        "denoiser of independent pixels)",
        value=most_less_least(None),
        bound=1e-4,
        relation="<=",
        control=most_less_least(100),
        control_is=DISCRETE,
        of="section 5.1, Eq. 18",
    )


def entropy(run: Run) -> Claim:
    law = pixel_law(dataset(run))
    last = (law.weights @ prior_loss(law.means, torch.tensor(HIGH, dtype=F64))).item() / log(2)
    least = torch.special.entr(law.weights).sum().item() / log(2)
    return Claim(
        statement="the bound less the entropy of the data, in bits per dimension (exact denoiser of independent "
        "pixels)",
        value=abs(exact_loss(run, LINEAR, None) + last - least),
        bound=1e-3,
        relation="<=",
        control=exact_loss(run, LINEAR, 100) + last - least,
        control_is=DISCRETE,
        of="sections 4.1 and 5",
    )


# ---- images, and a schedule that is learned with them ---------------------------------------------------------------


class Denoiser(nn.Module):
    """A U-Net that guesses the noise, and the schedule that is learned with it.

    Its guess starts as z itself, as in the authors' code: right at the noisy end.  It sees z without Fourier features:
    on digits (n = 3 and 4 for their 17 levels) these cost 0.4 bits after 200 steps, however much they gain after the
    paper's millions.
    """

    def __init__(self, images: Dataset) -> None:
        super().__init__()
        self.unet = unet(images)
        # the noise at t = 0, as a part of the levels' spacing, is that of the paper's 256 levels
        self.schedule = MonotoneSchedule(-13.3 + 2 * log(255 / (levels(images) - 1)), 5.0)

    def forward(self, z: Tensor, gamma: Tensor) -> Tensor:
        return z + self.unet(z, 10 * (gamma + 15))  # the embedding is made for steps of about 1


def levels(images: Dataset) -> int:
    """How many grey levels they have."""
    assert images.levels is not None, "images are never continuous"
    return images.levels


@once
def network(run: Run) -> Trained[Denoiser]:
    """Network and schedule together, in bits per dimension of the continuous-time bound."""
    images = dataset(run)
    torch.manual_seed(run.seed)
    whole = Denoiser(images)

    def of_batch(model: NoiseModel, batch: Batch, noise: Noise) -> Tensor:
        return per_dimension(loss(model, whole.schedule, batch[0], levels(images), noise=noise), batch[0])

    options = {"batch_size": 32, "lr": 4e-3, "anneal": True, "ema": 0.98}
    return train(whole, of_batch, images, steps=run.steps, name="vdm", **options, **run.training)


@once
def schedules(run: Run) -> dict[str, Schedule]:
    """The learned one, and two between the same ends."""
    learned = network(run).model.schedule
    gamma_0, gamma_1 = learned.ends.tolist()
    return {"learned": learned, "linear": linear(gamma_0, gamma_1), "cosine": cosine(gamma_0, gamma_1)}


class Estimates(NamedTuple):
    """Of the bound on held-out images, in bits per dimension, (3, 3, B): three draws, three terms, a row each.

    terms: in continuous time, by schedule; left: what comes next in the stream.
    """

    terms: dict[str, Tensor]
    left: Noise


@once
def estimates(run: Run) -> Estimates:
    model, x, noise = network(run).model, held_out(run, 1000), Noise(run.seed)

    def three(schedule: Schedule) -> Tensor:
        each = [bound(model, schedule, x, levels(dataset(run)), noise=noise) for _ in range(3)]
        return torch.stack([per_dimension(terms, x) for terms in each])

    return Estimates({name: three(schedule) for name, schedule in schedules(run).items()}, noise)


def variance(run: Run) -> Claim:
    of = {name: terms[:, 2].var().item() for name, terms in estimates(run).terms.items()}
    return Claim(
        statement="variance of the estimated bound of held-out images under the learned schedule, over that under "
        "linear gamma between the same ends",
        value=of["learned"] / of["linear"],
        bound=0.3,
        relation="<=",
        control=of["cosine"] / of["linear"],
        control_is="the cosine schedule between the same ends",
        of="section 5.3 and appendix I.2",
    )


def more_steps(run: Run) -> Claim:
    model, x = network(run).model, held_out(run, 1000)

    def bits(T: int | None) -> float:
        noise = Noise(run.seed + 1)
        each = [bound(model, model.schedule, x, levels(dataset(run)), T=T, noise=noise) for _ in range(3)]
        return torch.stack([per_dimension(terms, x).sum(0) for terms in each]).mean().item()

    endless = bits(None)
    return Claim(
        statement="what the bound on held-out images takes in 1000 steps above that in continuous time, in bits per "
        "dimension",
        value=bits(1000) - endless,
        bound=0.01,
        relation="<=",
        control=bits(100) - endless,
        control_is="100 steps",
        of="section 4.1: more steps lower the bound, and continuous time is their limit",
    )


def contributions(run: Run, noise: Noise) -> Tensor:
    """Curves of slope(t) E|error|^2 / 2 over t, in bits per dimension, from one measurement of the error by level."""
    model, x, t = network(run).model, held_out(run, 64), torch.linspace(0, 1, 101, dtype=F64)
    grid = schedules(run)["linear"](torch.linspace(0, 1, 41, dtype=F64))
    with torch.no_grad():
        errors = [squared_error(model, x, gamma.expand(len(x)).to(x.device), noise(x)).mean().item() for gamma in grid]
        lines = {}
        for name, schedule in schedules(run).items():
            gamma, rate = slope(schedule, t.to(x.device))
            error = torch.from_numpy(np.interp(gamma.cpu().numpy(), grid.numpy(), errors))
            lines[name] = per_dimension(0.5 * rate.cpu() * error, x)
    top = 2.5 * max(lines["learned"].max(), lines["linear"].max())
    shown = {name: (t.tolist(), line.where(line < top, torch.nan).tolist()) for name, line in lines.items()}
    return pictures.curves(shown, across="t", up="bits per dimension per unit of t", size=(420, 250))


def sheets(run: Run) -> Figure:
    model, images, noise = network(run).model, held_out(run, 32), deepcopy(estimates(run).left)
    z_0 = sample(model, model.schedule, noise(images), 100, noise=noise)
    samples = decode(z_0, model.schedule.ends[0], levels(dataset(run)))
    shown = {
        "samples, 100 steps": pictures.contact_sheet(samples, columns=8, width=300),
        "held-out data": pictures.contact_sheet(images, columns=8, width=300),
        "one area, three shapes": contributions(run, noise),
    }
    return Figure(
        alt=f"Thirty-two samples after training on {run.data}, beside held-out images; and what each time adds to the "
        "bound under three schedules: equal areas, spread evenly by the learned schedule, heaped up by linear gamma, "
        "and above the picture's edge near t = 0 by the cosine.",
        image=pictures.beside(shown),
    )


DEMO = Demo(
    claims=(invariance, entropy, variance, more_steps),
    figures=(sheets,),
    network=network,
    steps=200,
    network_evaluations=100,
)
