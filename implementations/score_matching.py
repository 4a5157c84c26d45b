"""Estimation of non-normalized statistical models by score matching.

Hyvärinen, JMLR 6:695-709, 2005 (not on arXiv; the numbers of equations are the journal's).
The score, psi(x) = grad_x log p(x), does not contain the normalising constant.  Its squared distance to the score of
the data, which nobody knows, is after an integration by parts an expectation of things that the model alone gives.

A score is a function from x: (B, ...) to psi(x): (B, ...), row by row: no layer may mix rows of the batch.  Objectives
are sums over the D entries of a row, as in the paper, and means over rows.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from math import log, pi
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor, nn

from implementations.common.noise import Noise, gaussian
from implementations.lab.results import Claim, Figure, Result

Score = Callable[[Tensor], Tensor]
LogDensity = Callable[[Tensor], Tensor]


def score_of(log_q: LogDensity) -> Score:
    """psi = grad log q.  log_q: (B, ...) -> (B,), known up to a constant.  Differentiable in x and in q's weights."""

    @torch.enable_grad()
    def score(x: Tensor) -> Tensor:
        x = x if x.requires_grad else x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(log_q(x).sum(), x, create_graph=True)
        return slope

    return score


def explicit_objective(score: Score, data_score: Score, x: Tensor) -> Tensor:
    """What is to be minimised, half the squared distance of the two scores, row by row.  x: (B, ...).  Returns (B,)."""
    return 0.5 * (score(x) - data_score(x)).flatten(1).square().sum(1)  # Eq. 2


@torch.enable_grad()
def objective(score: Score, x: Tensor) -> Tensor:
    """The same less a constant of the data (Theorem 1), without the score of the data, in expectation over x.

    x: (B, ...), D numbers a row.  Returns (B,); one evaluation of the score and D backward passes, one for each entry
    of the Jacobian's diagonal.
    """
    x = x.detach().requires_grad_()
    psi = score(x).flatten(1)
    trace = psi.new_zeros(len(psi))
    for i in range(psi.shape[1]):
        (row,) = torch.autograd.grad(psi[:, i].sum(), x, create_graph=True, materialize_grads=True)
        trace = trace + row.flatten(1)[:, i]
    return trace + 0.5 * psi.square().sum(1)  # Eq. 3


def loss(score: Score, x: Tensor) -> Tensor:
    """The objective's average over a sample (section 2).  x: (B, ...)."""
    return objective(score, x).mean()  # Eq. 4


def fit_gaussian(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and precision that minimise the loss of psi(x) = -M (x - mu), in closed form.  x: (N, D).

    They are the sample's mean and inverse covariance, which maximum likelihood finds too (section 3.1).
    Returns (D,) and (D, D).  ValueError if the sample's covariance is singular: no minimum exists.
    """
    mean = x.mean(0)
    centred = x - mean
    covariance = centred.mT @ centred / len(x)
    if torch.linalg.matrix_rank(covariance) < x.shape[1]:
        raise ValueError(
            f"the covariance of {len(x)} rows of {x.shape[1]} numbers is singular: give more, or vary them"
        )
    return mean, torch.linalg.inv(covariance)


class Experts(nn.Module):
    """log q(x) = sum_k alpha_k G(w_k . x), G(u) = -log cosh u, |w_k| = 1, alpha_k > 0 (section 3.3).

    With more filters w_k than dimensions nobody knows the integral of q, and likelihood is out of reach.
    vectors: (filters, features), alpha_k w_k to begin with.
    """

    def __init__(self, vectors: Tensor) -> None:
        super().__init__()
        self.filters = nn.Parameter(vectors.clone())
        self.log_weights = nn.Parameter(vectors.norm(dim=1).log())

    @property
    def vectors(self) -> Tensor:
        """alpha_k w_k, (filters, features): direction and weight of each expert in one."""
        return self.log_weights.exp()[:, None] * nn.functional.normalize(self.filters)

    def log_density(self, x: Tensor) -> Tensor:
        """log q, without the constant.  x: (B, features).  Returns (B,)."""
        u = x @ nn.functional.normalize(self.filters).mT
        log_cosh = u.abs() + nn.functional.softplus(-2 * u.abs()) - log(2)
        return -(self.log_weights.exp() * log_cosh).sum(1)

    def forward(self, x: Tensor) -> Tensor:
        """The score, (B, features)."""
        return score_of(self.log_density)(x)


@torch.no_grad()
def draw_experts(vectors: Tensor, n: int, noise: Noise = gaussian) -> Tensor:
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


def _identity(noise: Noise, trace_weight: float) -> float:
    """How far Theorem 1 is from true of random networks on an exact mixture, over the spread of their objectives.

    Integrals are sums over a grid with steps of a quarter of the least standard deviation, which is exact to rounding.
    """
    from implementations.verification.oracles import two_modes

    data = two_modes()
    line = torch.linspace(-6, 6, 241, dtype=torch.float64)
    x = torch.cartesian_prod(line, line)
    mass = data.log_prob(x).exp() * (line[1] - line[0]) ** 2
    constant = 0.5 * (mass @ data.score(x).square().sum(1))
    implicit, explicit = [], []
    for _ in range(6):
        w, v = noise(x[:8]), noise(x[:8])

        def score(x: Tensor, w: Tensor = w, v: Tensor = v) -> Tensor:
            return torch.tanh(x @ w.mT + v[:, 0]) @ v

        half_square = 0.5 * score(x).square().sum(1)
        trace = objective(score, x).detach() - half_square
        implicit.append(mass @ (trace_weight * trace + half_square))
        explicit.append(mass @ explicit_objective(score, data.score, x))
    off = torch.stack(implicit) + constant - torch.stack(explicit)
    return (off.abs().max() / torch.stack(explicit).std()).item()


def _distance_to_minimum(noise: Noise, objective: Callable[[Score, Tensor], Tensor]) -> float:
    """Relative distance of `fit_gaussian` from the minimum of an objective over psi(x) = h - M x, by Newton's method.

    The objective is quadratic in (h, M): one step from 0 ends in the minimum.
    """
    x = noise(torch.empty(500, 4, dtype=torch.float64)) @ noise(torch.empty(4, 4, dtype=torch.float64)) + 1
    mean, precision = fit_gaussian(x)
    found = torch.cat([(precision @ mean)[None], precision])

    def average(theta: Tensor) -> Tensor:
        return objective(lambda x: theta[0] - x @ theta[1:].mT, x).mean()

    start = torch.zeros_like(found)
    hessian, slope = (
        torch.as_tensor(derivative(average, start)).reshape(found.numel(), -1)
        for derivative in (torch.autograd.functional.hessian, torch.autograd.functional.jacobian)
    )
    minimum = torch.linalg.solve(hessian, -slope)[:, 0]
    return ((found.flatten() - minimum).norm() / found.norm()).item()


def _distance(vectors: Tensor, truth: Tensor) -> float:
    """Relative distance of two sets of experts, which have neither order nor sign.  (filters, 2) each."""
    pairs = torch.minimum(torch.cdist(vectors.to(truth), truth), torch.cdist(-vectors.to(truth), truth))
    best = min(sum(pairs[i, k].item() ** 2 for k, i in enumerate(order)) for order in permutations(range(len(truth))))
    return best**0.5 / truth.norm().item()


def _landscape(log_density: Callable[[Tensor], Tensor], reach: float = 6.0, size: int = 300) -> Tensor:
    """Contours of a log density, known up to a constant, as bands one unit apart.  Returns (size, size, 3)."""
    from implementations.lab.pictures import COLOURS, PAPER

    line = torch.linspace(-reach, reach, size)
    across, up = torch.meshgrid(line, line.flip(0), indexing="xy")
    with torch.no_grad():
        height = log_density(torch.stack([across, up], -1).reshape(-1, 2)).reshape(size, size)
    ink = 0.9 * ((height - height.max()).ceil() / 7 + 1).clamp(0, 1)[..., None]
    return torch.tensor(PAPER) * (1 - ink) + torch.tensor(COLOURS[0]) * ink


def demo(
    *,
    device: str = "cpu",
    seed: int = 0,
    steps: int = 600,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = False,
) -> Result:
    """Fit a density that nobody can normalise, three experts in the plane, to exact draws from a known one.

    Beside it, without sampling error: Theorem 1 on a mixture, and the Gaussian's estimator against the loss's minimum.
    """
    from implementations.lab.data import Dataset
    from implementations.lab.pictures import beside, scatter
    from implementations.lab.training import train

    started, noise = perf_counter(), Noise(seed)
    angles = torch.tensor([0.2, 1.1, 2.4], dtype=torch.float64)
    truth = torch.tensor([[1.0], [0.6], [0.8]]) * torch.stack([angles.cos(), angles.sin()], 1)
    x = draw_experts(truth, 64_000, noise).float()
    dataset = Dataset("experts in the plane", x[4000:], None, x[:4000], None, None, (-30.0, 30.0))
    start = nn.functional.normalize(noise(x[:3]))
    runs = {}
    for name, objective_of in (
        ("score-matching", lambda model, batch, _: loss(model, batch[0])),
        ("likelihood", lambda model, batch, _: -model.log_density(batch[0]).mean()),
    ):
        runs[name] = train(
            Experts(start), objective_of, dataset, steps=steps, batch_size=1000, lr=0.05, anneal=True, device=device,
            seed=seed, out=out, name=name, resume=resume, progress=progress,
        )  # fmt: skip
    fitted, careless = (run.model.cpu() for run in runs.values())
    without_trace = _distance_to_minimum(noise, lambda score, x: 0.5 * score(x).square().sum(1))
    claims = [
        Claim(
            "theorem-1", "objective + E|psi_x|^2 / 2 = explicit objective, for any score, on a mixture (relative gap)",
            _identity(noise, 1.0), 1e-9, "<=", _identity(noise, 0.5), "the trace counted half", "Theorem 1",
        ),
        Claim(
            "gaussian", "the loss is least at the sample's mean and inverse covariance (relative distance)",
            _distance_to_minimum(noise, objective), 1e-9, "<=", without_trace, "the loss without the trace",
            "section 3.1",
        ),
        Claim(
            "experts", "weights and directions of three experts in the plane (relative distance to the true ones)",
            _distance(fitted.vectors.detach(), truth), 0.15, "<=", _distance(careless.vectors.detach(), truth),
            "maximum likelihood with the constant left out", "section 3.3",
        ),
    ]  # fmt: skip
    samples = draw_experts(fitted.vectors.detach(), 4000, noise).float()
    panels = {
        "data": scatter(dataset.x_test, limits=(-6, 6)),
        "true log density": _landscape(Experts(truth.float()).log_density),
        "score matching": _landscape(fitted.log_density),
        "likelihood without Z": _landscape(careless.log_density),
    }
    alt = "A cloud of points; its true log density in six-sided bands; the same bands, found by score matching; "
    alt += "and one flat tone, which is what likelihood without the normalising constant makes of it."
    return Result(
        "score-matching", dataset.name, seed, samples, dataset.x_test, claims,
        [Figure("score-matching", alt, beside(panels))], dict(fitted.state_dict()),
        parameters=sum(p.numel() for p in fitted.parameters()), losses=runs["score-matching"].losses,
        seconds=perf_counter() - started,
    )  # fmt: skip


if __name__ == "__main__":
    from implementations.lab.command import main

    raise SystemExit(main(demo))
