"""Sliced score matching: a scalable approach to density and score estimation.

Song, Garg, Shi & Ermon, UAI 2019. arXiv:1905.07088 (places are named by the paper's algorithms and terms).
Compare the two scores only along random directions v.  After the same integration by parts as in score matching the
trace of the Jacobian has become v^T (grad psi) v: one backward pass for each direction, whatever the dimension.

A score is a function from x: (B, ...) to (B, ...), row by row.  Objectives are sums over the D entries of a row, and
with E[v v^T] = I they agree in expectation with the exact ones.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor

from implementations import score_matching
from implementations.common.noise import Noise, gaussian
from implementations.lab.results import Claim, Figure, Result
from implementations.score_matching import Score

Law = Callable[[Tensor, Noise], Tensor]
"""Draws a direction for each row of x, in the shape of x, with E[v v^T] = I."""


def normal(x: Tensor, noise: Noise) -> Tensor:
    """v ~ N(0, I)."""
    return noise(x)


def rademacher(x: Tensor, noise: Noise) -> Tensor:
    """Independent signs, +1 or -1."""
    return torch.where(noise.uniform(x) < 0.5, -1.0, 1.0).to(x)


def sphere(x: Tensor, noise: Noise) -> Tensor:
    """Uniform on the sphere of radius sqrt(D), the one on which E[v v^T] = I."""
    v = noise(x).flatten(1)
    return (v.shape[1] ** 0.5 * v / v.norm(dim=1, keepdim=True)).view_as(x)


@torch.enable_grad()
def objective(
    score: Score,
    x: Tensor,
    *,
    projections: int = 1,
    law: Law = rademacher,
    variance_reduced: bool = False,
    noise: Noise = gaussian,
) -> Tensor:
    """Score matching along `projections` random directions for each row, averaged.  x: (B, ...).  Returns (B,).

    variance_reduced: take the mean over v of the second term, |psi|^2 / 2, which is known when E[v v^T] = I (SSM-VR).
    One evaluation of the score and one backward pass for each direction.
    """
    if projections < 1:
        raise ValueError(f"projections must be at least 1, not {projections}")
    x = x.detach().requires_grad_()
    psi = score(x)
    total = psi.new_zeros(len(psi))
    for _ in range(projections):
        v = law(x.detach(), noise)
        along = (v * psi).flatten(1).sum(1)
        (slope,) = torch.autograd.grad(along.sum(), x, create_graph=True, materialize_grads=True)
        square = psi.flatten(1).square().sum(1) if variance_reduced else along.square()
        total = total + (v * slope).flatten(1).sum(1) + 0.5 * square  # Algorithm 1
    return total / projections


def loss(
    score: Score,
    x: Tensor,
    *,
    projections: int = 1,
    law: Law = rademacher,
    variance_reduced: bool = False,
    noise: Noise = gaussian,
) -> Tensor:
    """The objective's average over a batch.  x: (B, ...)."""
    return objective(score, x, projections=projections, law=law, variance_reduced=variance_reduced, noise=noise).mean()


def _bias(noise: Noise, radius: float) -> float:
    """Largest distance of the sliced objective's mean over all 2^8 sign vectors from the exact one, over its spread.

    radius: of the directions, in units of sqrt(D).
    """
    x, w, v = noise(torch.empty(20, 8)), noise(torch.empty(16, 8)), noise(torch.empty(16, 8))

    def score(x: Tensor) -> Tensor:
        return torch.tanh(x.double() @ w.double().mT) @ v.double()

    x = x.double()
    exact = score_matching.objective(score, x)
    gaps = []
    for variance_reduced in (False, True):
        signs = (radius * torch.tensor(row).to(x) for row in product((-1.0, 1.0), repeat=8))
        sliced = objective(
            score, x, projections=2**8, law=lambda x, _, signs=signs: next(signs).expand_as(x),
            variance_reduced=variance_reduced,
        )  # fmt: skip
        gaps.append((sliced - exact).abs().max() / exact.std())
    return max(gaps).item()


def _cost(objective: Callable[[Score, Tensor], Tensor], dimension: int) -> int:
    """Floating-point operations of one gradient of an objective, for one row and a network with three layers of 128."""
    from torch.utils.flop_counter import FlopCounterMode

    sizes = [dimension, 128, 128, 128, dimension]
    weights = [torch.ones(wide, narrow).requires_grad_() for wide, narrow in pairwise(sizes)]

    def score(x: Tensor) -> Tensor:
        for weight in weights[:-1]:
            x = torch.tanh(x @ weight)
        return x @ weights[-1]

    with FlopCounterMode(display=False) as counter:
        objective(score, torch.zeros(1, dimension)).sum().backward()
    return counter.get_total_flops()


def demo(
    *,
    device: str = "cpu",
    seed: int = 0,
    steps: int = 500,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = False,
) -> Result:
    """Learn the score of a mixture of four Gaussians in 32 dimensions, by SSM-VR and, at equal cost, by its parent.

    The learning rate is the best of four for the parent, which gets a sixteenth of the steps.
    """
    from implementations.common.mlp import MLP
    from implementations.lab.data import Dataset
    from implementations.lab.pictures import beside, curves, scatter
    from implementations.lab.training import train
    from implementations.verification.oracles import GaussianMixture

    started, noise = perf_counter(), Noise(seed)
    dimension, mean = 32, torch.empty(4, 32, dtype=torch.float64)
    exact = GaussianMixture([0.4, 0.3, 0.2, 0.1], 1.5 * noise(mean), 0.3 + 0.7 * noise.uniform(mean))
    x = exact.sample(24_000, noise=noise).float()
    dataset = Dataset("mixture in 32 dimensions", x[4000:], None, x[:4000], None, None, (-12.0, 12.0))
    reference = exact.score(dataset.x_test)

    sizes = [4, 8, 16, 32, 64, 128, 256]
    plain = [_cost(lambda score, x: score(x), size) for size in sizes]
    costs = {
        name: [_cost(of, size) / unit for size, unit in zip(sizes, plain, strict=True)]
        for name, of in (("sliced", partial(objective, variance_reduced=True)), ("exact", score_matching.objective))
    }
    ratio = costs["exact"][sizes.index(dimension)] / costs["sliced"][sizes.index(dimension)]
    runs = {}
    for name, count, of in (
        ("sliced", steps, lambda score, x, noise: loss(score, x, variance_reduced=True, noise=noise)),
        ("exact", max(1, round(steps / ratio)), lambda score, x, noise: score_matching.loss(score, x)),
    ):
        torch.manual_seed(seed)
        runs[name] = train(
            MLP(dimension),
            lambda model, batch, noise, of=of: of(lambda x: model(x, x.new_zeros(len(x))), batch[0], noise),
            dataset, steps=count, batch_size=128, lr=1e-2, anneal=True, device=device, seed=seed,
            out=out, name=name, resume=resume, progress=progress,
        )  # fmt: skip
    learned = {name: run.model.cpu()(dataset.x_test, torch.zeros(4000)).detach() for name, run in runs.items()}
    errors = {name: ((s - reference).square().sum() / reference.square().sum()).item() for name, s in learned.items()}
    growth = {name: cost[-1] / cost[sizes.index(16)] for name, cost in costs.items()}
    claims = [
        Claim(
            "unbiased", "the mean over all sign vectors is the exact objective, SSM and SSM-VR (relative distance)",
            _bias(noise, 1.0), 1e-9, "<=", _bias(noise, 8**-0.5), "directions of length 1", "Algorithm 1",
        ),
        Claim(
            "cost", "FLOPs of a gradient over those of plain regression: at 256 dimensions over at 16",
            growth["sliced"], 1.25, "<=", growth["exact"], "score matching with the exact trace", "section 1",
        ),
        Claim(
            "equal-cost", f"relative squared error of the score learned in {dimension} dimensions, at equal cost",
            errors["sliced"], 0.12, "<=", errors["exact"], "score matching with the exact trace, for as many FLOPs",
            "section 1",
        ),
    ]  # fmt: skip
    panels = {
        "cost of a gradient": curves(
            {name: (sizes, cost) for name, cost in costs.items()},
            across="dimensions", up="times that of regression", log=True, size=(420, 300),
        ),
    } | {
        f"learned against true, {name}": scatter(
            torch.stack([reference.flatten(), learned[name].flatten()], 1)[::16], limits=(-5, 5), colour=k
        )
        for k, name in enumerate(learned)
    }  # fmt: skip
    alt = (
        "Left: the cost of a gradient grows in proportion to the dimension with the exact trace, and stays at two with "
    )
    alt += (
        "sliced score matching.  Right: learned against true entries of the score in 32 dimensions, after equal cost: "
    )
    alt += "a narrow cloud along the diagonal for the sliced objective, a flatter and wider one for the exact."
    model = runs["sliced"].model
    return Result(
        "ssm", dataset.name, seed, learned["sliced"], reference, claims,
        [Figure("ssm", alt, beside(panels))], dict(model.state_dict()), network_evaluations=1,
        parameters=sum(p.numel() for p in model.parameters()), losses=runs["sliced"].losses,
        seconds=perf_counter() - started,
    )  # fmt: skip


if __name__ == "__main__":
    from implementations.lab.command import main

    raise SystemExit(main(demo))
