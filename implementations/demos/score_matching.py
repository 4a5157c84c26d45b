"""Fits a density that nobody can normalise, three experts in the plane, to exact draws from a known one.

Beside it, without sampling error: Theorem 1 on a mixture, and the Gaussian's estimator against the loss's minimum.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from math import log, pi
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.functional import hessian, jacobian

from implementations.common.noise import Noise
from implementations.lab.data import Dataset
from implementations.lab.demo import Claim, Demo, Figure, Run, once
from implementations.lab.pictures import COLOURS, PAPER, beside, scatter
from implementations.lab.training import Batch, Trained, train
from implementations.score_matching import Experts, Score, explicit_objective, fit_gaussian, loss, objective
from implementations.verification.oracles import two_modes

F64 = torch.float64
ANGLES = torch.tensor([0.2, 1.1, 2.4], dtype=F64)
TRUTH = torch.tensor([[1.0], [0.6], [0.8]]) * torch.stack([ANGLES.cos(), ANGLES.sin()], 1)
"""alpha_k w_k of the three experts that the data come from, (3, 2)."""


@torch.no_grad()
def draw_experts(vectors: Tensor, n: int, noise: Noise) -> Tensor:
    """Exact draws from `Experts` in the plane, by rejection.  vectors: (filters, 2).  Returns (n, 2), float64.

    log cosh u lies within log 2 of |u|, so q <= const exp(-s |x|), s the least of sum_k |alpha_k w_k . x| on the unit
    circle, which is at one of its kinks; of that density the angle is uniform and the radius a sum of exponentials.
    """
    vectors = vectors.double()
    model = Experts(vectors)
    kinks = torch.stack([-vectors[:, 1], vectors[:, 0]], 1) / vectors.norm(dim=1, keepdim=True)
    slowest = (kinks @ vectors.mT).abs().sum(1).min()
    kept: list[Tensor] = []
    while sum(map(len, kept)) < n:
        u = noise.uniform(vectors.new_empty(n, 4))
        radius, angle = -(1 - u[:, :2]).log().sum(1) / slowest, 2 * pi * u[:, 2]
        x = radius[:, None] * torch.stack([angle.cos(), angle.sin()], 1)
        ceiling = log(2) * vectors.norm(dim=1).sum() - slowest * radius
        kept.append(x[(1 - u[:, 3]).log() < model.log_density(x) - ceiling])
    return torch.cat(kept)[:n]


class Drawn(NamedTuple):
    """All that is random here.  Of a pair the second belongs to the control.

    data: of the experts.  start: filters to begin training with, (3, 2).  networks: weights and biases of six random
    scores each, (2, 6, 2, 8, 2).  samples: of a Gaussian, (500, 4) each.
    """

    data: Dataset
    start: Tensor
    networks: Tensor
    samples: tuple[Tensor, Tensor]


@once
def drawn(run: Run) -> Drawn:
    noise = Noise(run.seed)

    def gaussian_sample() -> Tensor:
        return noise(torch.empty(500, 4, dtype=F64)) @ noise(torch.empty(4, 4, dtype=F64)) + 1

    x = draw_experts(TRUTH, 64_000, noise).float()
    data = Dataset("experts in the plane", x[4000:], None, x[:4000], None, None, (-30.0, 30.0))
    start = nn.functional.normalize(noise(x[:3]))
    of_control = gaussian_sample()
    networks = noise(torch.empty(2, 6, 2, 8, 2, dtype=F64))
    return Drawn(data, start, networks, (gaussian_sample(), of_control))


# ---- without sampling error -----------------------------------------------------------------------------------------


def gap_of_theorem_1(networks: Tensor, trace_weight: float) -> float:
    """How far Theorem 1 is from true of networks on an exact mixture, over the spread of their objectives.

    Integrals are sums over a grid with steps of a quarter of the least standard deviation, which is exact to rounding.
    """
    data = two_modes()
    line = torch.linspace(-6, 6, 241, dtype=F64)
    x = torch.cartesian_prod(line, line)
    mass = data.log_prob(x).exp() * (line[1] - line[0]) ** 2
    constant = 0.5 * (mass @ data.score(x).square().sum(1))
    implicit, explicit = [], []
    for w, v in networks:

        def score(x: Tensor, w: Tensor = w, v: Tensor = v) -> Tensor:
            return torch.tanh(x @ w.mT + v[:, 0]) @ v

        half_square = 0.5 * score(x).square().sum(1)
        trace = objective(score, x).detach() - half_square
        implicit.append(mass @ (trace_weight * trace + half_square))
        explicit.append(mass @ explicit_objective(score, data.score, x))
    off = torch.stack(implicit) + constant - torch.stack(explicit)
    return (off.abs().max() / torch.stack(explicit).std()).item()


def theorem_1(run: Run) -> Claim:
    networks, of_control = drawn(run).networks
    return Claim(
        statement="objective + E|psi_x|^2 / 2 = explicit objective, for any score, on a mixture (relative gap)",
        value=gap_of_theorem_1(networks, 1.0),
        bound=1e-9,
        relation="<=",
        control=gap_of_theorem_1(of_control, 0.5),
        control_is="the trace counted half",
        of="Theorem 1",
    )


def distance_to_minimum(x: Tensor, objective: Callable[[Score, Tensor], Tensor]) -> float:
    """Relative distance of `fit_gaussian` from the minimum of an objective over psi(x) = h - M x, by Newton's method.

    The objective is quadratic in (h, M): one step from 0 ends in the minimum.  x: (N, D), a sample.
    """
    mean, precision = fit_gaussian(x)
    found = torch.cat([(precision @ mean)[None], precision])

    def average(theta: Tensor) -> Tensor:
        return objective(lambda x: theta[0] - x @ theta[1:].mT, x).mean()

    curvature, slope = (
        torch.as_tensor(derivative(average, torch.zeros_like(found))).reshape(found.numel(), -1)
        for derivative in (hessian, jacobian)
    )
    minimum = torch.linalg.solve(curvature, -slope)[:, 0]
    return ((found.flatten() - minimum).norm() / found.norm()).item()


def without_trace(score: Score, x: Tensor) -> Tensor:
    return 0.5 * score(x).square().sum(1)


def gaussian(run: Run) -> Claim:
    sample, of_control = drawn(run).samples
    return Claim(
        statement="the loss is least at the sample's mean and inverse covariance (relative distance)",
        value=distance_to_minimum(sample, objective),
        bound=1e-9,
        relation="<=",
        control=distance_to_minimum(of_control, without_trace),
        control_is="the loss without the trace",
        of="section 3.1",
    )


# ---- the experts ----------------------------------------------------------------------------------------------------


def likelihood_without_Z(model: Experts, x: Tensor) -> Tensor:
    """The control's loss."""
    return -model.log_density(x).mean()


@once
def network(run: Run, objective: Callable[[Experts, Tensor], Tensor] = loss) -> Trained[Experts]:
    def of_batch(model: Any, batch: Batch, _: Noise) -> Tensor:
        return objective(model, batch[0])

    name = "score-matching" if objective is loss else "likelihood"
    options = {"steps": run.steps, "batch_size": 1000, "lr": 0.05, "anneal": True}
    return train(Experts(drawn(run).start), of_batch, drawn(run).data, name=name, **options, **run.training)


def distance(vectors: Tensor, truth: Tensor) -> float:
    """Relative distance of two sets of experts, which have neither order nor sign.  (filters, 2) each."""
    pairs = torch.minimum(torch.cdist(vectors.to(truth), truth), torch.cdist(-vectors.to(truth), truth))
    best = min(sum(pairs[i, k].item() ** 2 for k, i in enumerate(order)) for order in permutations(range(len(truth))))
    return best**0.5 / truth.norm().item()


def experts(run: Run) -> Claim:
    return Claim(
        statement="weights and directions of three experts in the plane (relative distance to the true ones)",
        value=distance(network(run).model.vectors, TRUTH),
        bound=0.15,
        relation="<=",
        control=distance(network(run, likelihood_without_Z).model.vectors, TRUTH),
        control_is="maximum likelihood with the constant left out",
        of="section 3.3",
    )


def landscape(model: Experts, reach: float = 6.0, size: int = 300) -> Tensor:
    """Contours of a log density, known up to a constant, as bands one unit apart.  Returns (size, size, 3)."""
    line = torch.linspace(-reach, reach, size)
    across, up = torch.meshgrid(line, line.flip(0), indexing="xy")
    points = torch.stack([across, up], -1).reshape(-1, 2).to(model.filters)
    with torch.no_grad():
        height = model.log_density(points).reshape(size, size).cpu()
    ink = 0.9 * ((height - height.max()).ceil() / 7 + 1).clamp(0, 1)[..., None]
    return torch.tensor(PAPER) * (1 - ink) + torch.tensor(COLOURS[0]) * ink


def landscapes(run: Run) -> Figure:
    panels = {
        "data": scatter(drawn(run).data.x_test, limits=(-6, 6)),
        "true log density": landscape(Experts(TRUTH.float())),
        "score matching": landscape(network(run).model),
        "likelihood without Z": landscape(network(run, likelihood_without_Z).model),
    }
    return Figure(
        alt="A cloud of points; its true log density in six-sided bands; the same bands, found by score matching; "
        "and one flat tone, which is what likelihood without the normalising constant makes of it.",
        image=beside(panels),
    )


DEMO = Demo(
    claims=(theorem_1, gaussian, experts),
    figures=(landscapes,),
    network=network,
    steps=600,
    data=("experts in the plane",),
)
