"""Learns the score of a mixture of four Gaussians in 32 dimensions, by SSM-VR and, at equal cost, by its parent.

The learning rate is the best of four for the parent, which gets a sixteenth of the steps.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from itertools import pairwise, product
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from implementations import score_matching
from implementations.common.mlp import MLP
from implementations.common.noise import Noise
from implementations.demos.recipes import TimedModel, relative_error, timeless
from implementations.lab.data import Dataset
from implementations.lab.demo import Claim, Demo, Figure, Run, once
from implementations.lab.pictures import beside, curves, scatter
from implementations.lab.training import Batch, Trained, train
from implementations.score_matching import Score
from implementations.ssm import loss, objective
from implementations.verification.oracles import GaussianMixture

F64 = torch.float64
DIMENSION = 32
DATA = f"mixture in {DIMENSION} dimensions"


class Problem(NamedTuple):
    """Points of dimension 8, and two layers of a random network that is a score: (20, 8), (16, 8), (16, 8)."""

    x: Tensor
    w: Tensor
    v: Tensor

    def score(self, x: Tensor) -> Tensor:
        return torch.tanh(x @ self.w.mT) @ self.v


class Drawn(NamedTuple):
    """All that is random here, but for what training takes: data and their law; a problem, and one for the control."""

    law: GaussianMixture
    data: Dataset
    problems: tuple[Problem, Problem]


@once
def drawn(run: Run) -> Drawn:
    noise, means = Noise(run.seed), torch.empty(4, DIMENSION, dtype=F64)

    def problem() -> Problem:
        return Problem(*(noise(torch.empty(rows, 8)).double() for rows in (20, 16, 16)))

    law = GaussianMixture([0.4, 0.3, 0.2, 0.1], 1.5 * noise(means), 0.3 + 0.7 * noise.uniform(means))
    x = law.sample(24_000, noise=noise).float()
    data = Dataset(DATA, x[4000:], None, x[:4000], None, None, (-12.0, 12.0))
    return Drawn(law, data, (problem(), problem()))


# ---- what the objective is, and what it costs -----------------------------------------------------------------------


def bias(problem: Problem, radius: float = 1.0) -> float:
    """Largest distance of the sliced objective's mean over all 2^8 sign vectors from the exact one, over its spread.

    radius: of the directions, in units of sqrt(D).
    """
    exact = score_matching.objective(problem.score, problem.x)
    gaps = []
    for variance_reduced in (False, True):
        signs = (radius * torch.tensor(row, dtype=F64) for row in product((-1.0, 1.0), repeat=8))

        def in_turn(x: Tensor, _: Noise, signs=signs) -> Tensor:
            return next(signs).expand_as(x)

        options = {"projections": 2**8, "law": in_turn, "variance_reduced": variance_reduced}
        sliced = objective(problem.score, problem.x, **options)
        gaps.append((sliced - exact).abs().max() / exact.std())
    return max(gaps).item()


def unbiased(run: Run) -> Claim:
    problem, of_control = drawn(run).problems
    return Claim(
        statement="the mean over all sign vectors is the exact objective, SSM and SSM-VR (relative distance)",
        value=bias(problem),
        bound=1e-9,
        relation="<=",
        control=bias(of_control, radius=8**-0.5),
        control_is="directions of length 1",
        of="Algorithm 1",
    )


def flops(objective: Callable[[Score, Tensor], Tensor], dimension: int) -> int:
    """Floating-point operations of one gradient of an objective, for one row and a network with three layers of 128."""
    sizes = [dimension, 128, 128, 128, dimension]
    weights = [torch.ones(wide, narrow).requires_grad_() for wide, narrow in pairwise(sizes)]

    def score(x: Tensor) -> Tensor:
        for weight in weights[:-1]:
            x = torch.tanh(x @ weight)
        return x @ weights[-1]

    with FlopCounterMode(display=False) as counter:
        objective(score, torch.zeros(1, dimension)).sum().backward()
    return counter.get_total_flops()


@cache
def costs() -> dict[str, dict[int, float]]:
    """Of a gradient of each objective over one of plain regression, by the number of dimensions."""
    objectives = {"sliced": partial(objective, variance_reduced=True), "exact": score_matching.objective}
    sizes = (4, 8, 16, 32, 64, 128, 256)
    regression = {size: flops(lambda score, x: score(x), size) for size in sizes}
    return {name: {size: flops(of, size) / regression[size] for size in sizes} for name, of in objectives.items()}


def cost(run: Run) -> Claim:
    growth = {name: of[256] / of[16] for name, of in costs().items()}
    return Claim(
        statement="FLOPs of a gradient over those of plain regression: at 256 dimensions over at 16",
        value=growth["sliced"],
        bound=1.25,
        relation="<=",
        control=growth["exact"],
        control_is="score matching with the exact trace",
        of="section 1",
    )


# ---- what it learns -------------------------------------------------------------------------------------------------


def fitted(run: Run, name: str, criterion: Callable[[Score, Tensor, Noise], Tensor], steps: int) -> Trained[MLP]:
    def of_batch(model: TimedModel, batch: Batch, noise: Noise) -> Tensor:
        return criterion(timeless(model), batch[0], noise)

    torch.manual_seed(run.seed)
    options = {"steps": steps, "batch_size": 128, "lr": 1e-2, "anneal": True}
    return train(MLP(DIMENSION), of_batch, drawn(run).data, name=name, **options, **run.training)


@once
def sliced(run: Run) -> Trained[MLP]:
    return fitted(run, "sliced", lambda score, x, noise: loss(score, x, variance_reduced=True, noise=noise), run.steps)


@once
def exact(run: Run) -> Trained[MLP]:
    """The parent, in as many steps as it can afford."""
    ratio = costs()["exact"][DIMENSION] / costs()["sliced"][DIMENSION]
    return fitted(run, "exact", lambda score, x, noise: score_matching.loss(score, x), max(1, round(run.steps / ratio)))


@once
def scores(run: Run) -> dict[str, Tensor]:
    """Of the points held out: the true ones, and those that were learned."""
    x = drawn(run).data.x_test
    return {
        "true": drawn(run).law.score(x),
        "sliced": timeless(sliced(run).model.cpu())(x),
        "exact": timeless(exact(run).model.cpu())(x),
    }


def equal_cost(run: Run) -> Claim:
    score = scores(run)
    return Claim(
        statement=f"relative squared error of the score learned in {DIMENSION} dimensions, at equal cost",
        value=relative_error(score["sliced"], score["true"]),
        bound=0.12,
        relation="<=",
        control=relative_error(score["exact"], score["true"]),
        control_is="score matching with the exact trace, for as many FLOPs",
        of="section 1",
    )


def clouds(run: Run) -> Figure:
    entries = {name: score.flatten()[::16] for name, score in scores(run).items()}
    panels = {
        "cost of a gradient": curves(
            {name: (list(of), list(of.values())) for name, of in costs().items()},
            across="dimensions",
            up="times that of regression",
            log=True,
            size=(420, 300),
        )
    }
    for colour, name in enumerate(("sliced", "exact")):
        pairs = torch.stack([entries["true"], entries[name]], 1)
        panels[f"learned against true, {name}"] = scatter(pairs, limits=(-5, 5), colour=colour)
    return Figure(
        alt="Left: the cost of a gradient grows in proportion to the dimension with the exact trace, and stays at two "
        "with sliced score matching.  Right: learned against true entries of the score in 32 dimensions, after equal "
        "cost: a narrow cloud along the diagonal for the sliced objective, a flatter and wider one for the exact.",
        image=beside(panels),
    )


DEMO = Demo(claims=(unbiased, cost, equal_cost), figures=(clouds,), network=sliced, steps=500, data=(DATA,))
