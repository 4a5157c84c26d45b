"""Trains a denoising autoencoder on images, and a score network on an exact mixture in the plane, by one loss.

The objective's identity is shown without sampling error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from implementations.common.mlp import MLP
from implementations.common.noise import Noise
from implementations.demos.recipes import TimedModel, dataset, relative_error, timeless
from implementations.dsm import DenoisingAutoencoder, corrupt, denoise, loss, parzen_score, target
from implementations.lab import pictures
from implementations.lab.data import Dataset, load, mixture_parameters
from implementations.lab.demo import Claim, Demo, Figure, Run, once
from implementations.lab.training import Batch, Trained, train
from implementations.score_matching import Score, explicit_objective
from implementations.verification.oracles import GaussianMixture, line

F64 = torch.float64
HIDDEN = 256
BLUR = 0.75
"""sigma on images."""
SIGMA = 0.5
"""sigma on the mixture."""


def mixture() -> GaussianMixture:
    """The law of the data set of that name."""
    weights, means, std = mixture_parameters()
    return GaussianMixture(weights, means, [std**2] * len(weights))


@once
def images(run: Run) -> Dataset:
    """Each image as one row."""
    square = dataset(run)
    return replace(square, x=square.x.flatten(1), x_test=square.x_test.flatten(1))


class Drawn(NamedTuple):
    """All that is random here, but for what training takes.

    points: of the mixture under noise, (4000, 2).  decoder: one that is not its encoder's, (HIDDEN, pixels).  networks:
    weights of six random scores on the line, and of six for the control, (2, 6, 3, 16).  noisy: 64 images under noise.
    """

    points: Tensor
    decoder: Tensor
    networks: Tensor
    noisy: Tensor


@once
def drawn(run: Run) -> Drawn:
    noise, shown = Noise(run.seed), images(run).x_test[:64]
    pixels = shown.shape[1]
    points = mixture().sample(4000, sigma=SIGMA, noise=noise).float()
    decoder = noise(torch.empty(HIDDEN, pixels, dtype=F64)) / pixels**0.5
    networks = noise(torch.empty(2, 6, 3, 16, dtype=F64))
    return Drawn(points, decoder, networks, corrupt(shown, BLUR, noise=noise))


# ---- the identity, without sampling error ---------------------------------------------------------------------------


def dependence(networks: Tensor, direction: Callable[[Tensor, Tensor, float], Tensor]) -> float:
    """How much the denoising objective less the explicit one depends on the score, over the explicit one's spread.

    On a mixture in one dimension; x and eps run over grids, so fine that both integrals are exact to rounding.
    networks: (scores, 3, width).  direction: the target, or what takes its place.
    """
    data, sigma = line(), 0.3
    grid = torch.linspace(-8, 8, 801, dtype=F64)
    spacing = grid[1] - grid[0]
    eps = torch.linspace(-8, 8, 65, dtype=F64)
    weight = torch.exp(-0.5 * eps.square()) * (eps[1] - eps[0]) / (2 * torch.pi) ** 0.5
    x, eps = grid.repeat_interleave(len(eps))[:, None], eps.repeat(len(grid))[:, None]
    x_tilde = x + sigma * eps
    joint = data.log_prob(x).exp() * spacing * weight.repeat(len(grid))
    blurred = data.log_prob(grid[:, None], sigma=sigma).exp() * spacing
    denoising, explicit = [], []
    for w, b, v in networks:

        def score(x: Tensor, w: Tensor = w, b: Tensor = b, v: Tensor = v) -> Tensor:
            return (torch.tanh(x * w + b) @ v)[:, None]

        denoising.append(joint @ explicit_objective(score, lambda y: direction(x, y, sigma), x_tilde))
        explicit.append(blurred @ explicit_objective(score, lambda y: data.score(y, sigma=sigma), grid[:, None]))
    gap = torch.stack(denoising) - torch.stack(explicit)
    return (gap.std() / torch.stack(explicit).std()).item()


def constant(run: Run) -> Claim:
    networks, of_control = drawn(run).networks
    return Claim(
        statement="denoising less explicit objective is the same for any score (spread over six networks)",
        value=dependence(networks, target),
        bound=1e-9,
        relation="<=",
        control=dependence(of_control, lambda x, y, sigma: (x - y) / sigma),
        control_is="the target divided by sigma, not by its square",
        of="section 4.2",
    )


# ---- the mixture ----------------------------------------------------------------------------------------------------


def untrained(run: Run) -> tuple[DenoisingAutoencoder, MLP]:
    """Both networks, from one seed."""
    torch.manual_seed(run.seed)
    return DenoisingAutoencoder(images(run).x.shape[1], HIDDEN, BLUR), MLP(2)


@once
def plane(run: Run) -> Trained[MLP]:
    def of_batch(model: TimedModel, batch: Batch, noise: Noise) -> Tensor:
        return loss(timeless(model), batch[0], SIGMA, noise=noise)

    options = {"steps": run.steps, "batch_size": 256, "lr": 3e-3, "anneal": True}
    return train(untrained(run)[1], of_batch, load("mixture"), name="plane", **options, **run.training)


def blurred(run: Run) -> Claim:
    law, points = mixture(), drawn(run).points
    learned = timeless(plane(run).model.cpu())(points)
    return Claim(
        statement="what is learned is the score of the blurred density (relative squared error, mixture)",
        value=relative_error(learned, law.score(points, sigma=SIGMA)),
        bound=0.1,
        relation="<=",
        control=relative_error(learned, law.score(points)),
        control_is="the score of the data themselves",
        of="section 4.1",
    )


# ---- the autoencoder ------------------------------------------------------------------------------------------------


@once
def autoencoder(run: Run) -> Trained[DenoisingAutoencoder]:
    def of_batch(model: Score, batch: Batch, noise: Noise) -> Tensor:
        return loss(model, batch[0], BLUR, noise=noise)

    options = {"steps": run.steps, "batch_size": 128, "lr": 3e-3, "anneal": True}
    return train(untrained(run)[0], of_batch, images(run), name="autoencoder", **options, **run.training)


def asymmetry(score: Score, x: Tensor) -> float:
    """How far the score is from a gradient: the antisymmetric part of its Jacobian, relative to the whole."""
    jacobian = torch.func.vmap(torch.func.jacrev(lambda row: score(row[None])[0]))(x)
    return ((jacobian - jacobian.mT).norm() / (2 * jacobian.norm())).item()


def energy(run: Run) -> Claim:
    model, rows = autoencoder(run).model.cpu(), images(run).x_test[:64].double()
    weight, bias = model.weight.double(), model.hidden_bias.double()

    def decoded_by(decoder: Tensor) -> Score:
        return lambda x: F.linear(torch.sigmoid(F.linear(x, weight, bias)), decoder.mT) - x

    return Claim(
        statement="a trained autoencoder with tied weights is a gradient (antisymmetric part of its Jacobian)",
        value=asymmetry(decoded_by(weight), rows),
        bound=1e-9,
        relation="<=",
        control=asymmetry(decoded_by(drawn(run).decoder), rows),
        control_is="a decoder of its own",
        of="section 4.3",
    )


def sheets(run: Run) -> Figure:
    data, noisy = images(run), drawn(run).noisy
    rows = {
        "images": data.x_test[:64],
        f"blurred, sigma = {BLUR}": noisy,
        "denoised": denoise(autoencoder(run).model.cpu(), noisy, BLUR),
        "by the Parzen density": denoise(partial(parzen_score, data=data.x, sigma=BLUR), noisy, BLUR),
    }
    panels = {
        title: pictures.contact_sheet(x.view(-1, *dataset(run).shape), columns=8, range=data.range, width=300)
        for title, x in rows.items()
    }
    return Figure(
        alt="Four sheets of 64 tiles: images; the same under heavy noise; what the autoencoder makes of these, in "
        "which the images are recognised again; and what the score of the training images' Parzen density makes of "
        "them, sharper, for it blends images that it has seen.",
        image=pictures.beside(panels),
    )


DEMO = Demo(claims=(constant, blurred, energy), figures=(sheets,), network=autoencoder, steps=1000)
