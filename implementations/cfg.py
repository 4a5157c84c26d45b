"""Classifier-free diffusion guidance.

Ho & Salimans, NeurIPS 2021 workshop. arXiv:2207.12598 (equation numbers of v1).
One network learns the conditional and the unconditional model: during training the label is sometimes replaced by one
that means none.  The difference of its two predictions is the gradient of a classifier nobody trained, and sampling
exaggerates it.

The convention, here and wherever this collection guides: eps = eps_u + s (eps_c - eps_u), so that scale s = 0 is the
unconditional model, s = 1 the conditional one, and more is guidance.  The paper counts w = s - 1, with which the same
is (1 + w) eps_c - w eps_u, and its w = 0 is the plain conditional model.

`model(x_t, t, y)` with y: (B,) int64 predicts the noise; y = `null`, an index that no class has (`classes`, for a
network made for classes + 1 labels), asks for the unconditional prediction.  Any sampler takes `guided(...)` for its
model: ddpm.sample, ddim.sample.  The paper's own chain in continuous time is not here.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from implementations import ddpm
from implementations.adm import (
    ADMUNet,
    Curve,
    class_sheets,
    ddim,
    fidelity_and_spread,
    labelled,
    labelled_images,
    three_classes,
    tradeoff_claims,
    tradeoff_figure,
)
from implementations.common.noise import Noise, gaussian
from implementations.ddpm import GaussianDiffusion, Model, linear_schedule
from implementations.lab import pictures
from implementations.lab.data import Dataset
from implementations.lab.results import Claim, Figure, Result
from implementations.lab.training import Batch, Trained, train
from implementations.verification import sample_measures
from implementations.verification.oracles import GaussianMixture

Conditional = Callable[[Tensor, Tensor, Tensor], Tensor]
UNUSED = 8  # labels of the demo's network that stay as they were initialised


def drop(y: Tensor, null: int, *, p_uncond: float = 0.1, noise: Noise = gaussian) -> Tensor:
    """The labels, each replaced by `null` with probability p_uncond.  y: (B,) int64.  Returns (B,)."""
    if not 0 <= p_uncond <= 1:
        raise ValueError(f"p_uncond, the share of labels that are dropped, must lie in 0..1, not {p_uncond}")
    if (y == null).any():
        raise ValueError(f"null must be a label that no class has, but y holds {null}: for classes 0..K - 1 take K")
    return torch.where(noise.uniform(y.double()) < p_uncond, null, y)


def loss(
    model: Conditional,
    process: GaussianDiffusion,
    x_0: Tensor,
    y: Tensor,
    null: int,
    *,
    p_uncond: float = 0.1,
    noise: Noise = gaussian,
) -> Tensor:
    """L_simple of the network that is told the class, or nothing (Algorithm 1).  x_0: (B, ...); y: (B,) int64.

    p_uncond: in the paper 0.1 and 0.2 did equally well, 0.5 worse.
    """
    c = drop(y, null, p_uncond=p_uncond, noise=noise)
    return ddpm.loss(lambda x, t: model(x, t, c), process, x_0, noise=noise)


def guided(model: Conditional, y: Tensor, scale: float, null: int) -> Model:
    """The noise predicted for classes y: (B,), guided; both predictions in one evaluation of a doubled batch.

    scale: 0 unconditional, 1 conditional, the paper's 1 + w.
    """

    def eps_tilde(x: Tensor, t: Tensor) -> Tensor:
        if y.shape != (len(x),):
            raise ValueError(f"y must hold one label per row of x, ({len(x)},), not {tuple(y.shape)}")
        c = torch.cat([y, torch.full_like(y, null)])
        eps_c, eps_u = model(torch.cat([x, x]), torch.cat([t, t]), c).chunk(2)
        return eps_u + scale * (eps_c - eps_u)  # Eq. 6

    return eps_tilde


def exact_network(mixture: GaussianMixture, abar: Tensor, null: int) -> Conditional:
    """The network that training would end with, were data a mixture: model(x, t, y) for its labels and for `null`."""
    if mixture.labels is None:
        raise ValueError("this mixture has no classes: give labels when making it")
    exact, some_class = mixture.model(abar), mixture.labels[0]

    def model(x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        none = (y == null).view(-1, *[1] * (x.ndim - 1))
        return torch.where(none, exact(x, t), exact(x, t, torch.where(y == null, some_class, y)))

    return model


def tilted(mixture: GaussianMixture, y: int, scale: float, points: Tensor) -> GaussianMixture:
    """p(x) p(y | x)^scale, normalised, on the line: a narrow Gaussian at each of the evenly spaced points (N, 1)."""
    labels = torch.full((len(points),), y)
    log_p = (1 - scale) * mixture.log_prob(points) + scale * mixture.log_prob(points, y=labels)
    weights = (log_p - log_p.max()).exp()
    kept = weights > 1e-8
    width = (points[1] - points[0]).item()
    return GaussianMixture(weights[kept], points[kept], width**2 * torch.ones_like(weights[kept]))


def deterministic_cdf(model: Model, process: GaussianDiffusion, points: Tensor) -> Tensor:
    """P(x_0 <= point) for what DDIM, by all T steps, makes of N(0, 1).  points: (N, 1), increasing.  Returns (N,).

    On the line its map is monotone, so quantiles go to quantiles and nothing is left to chance.
    """
    x_T = torch.linspace(-5, 5, 401, dtype=torch.float64)[:, None]
    x_0 = ddim.sample(model, process, x_T, ddim.timesteps(process.T, process.T))
    return torch.special.ndtr(torch.from_numpy(np.interp(points[:, 0], x_0[:, 0], x_T[:, 0])))


def ancestral_cdf(model: Model, process: GaussianDiffusion, points: Tensor) -> Tensor:
    """The same for ancestral sampling with the large variance: the law of x_t, a mass at each point, step by step."""
    mass = torch.exp(-points[:, 0].square() / 2)
    mass = mass / mass.sum()
    for t in range(process.T, 1, -1):
        mean, variance = ddpm.reverse(process, points, t, ddim.evaluate(model, points, t), "large")
        kernel = torch.exp(-(points[:, 0] - mean).square() / (2 * variance))
        mass = mass @ (kernel / kernel.sum(1, keepdim=True))
    last = ddpm.reverse(process, points, 1, ddim.evaluate(model, points, 1))[0]
    return torch.from_numpy(np.interp(points[:, 0], last[:, 0], mass.cumsum(0)))


def _score_claim(mixture: GaussianMixture, process: GaussianDiffusion, y: int, scale: float) -> Claim:
    """Guided noise against the gradient of the tilted log-density, by automatic differentiation, at every level."""
    points = torch.linspace(-4, 4, 41, dtype=torch.float64)[:, None]
    labels, network = torch.full((len(points),), y), exact_network(mixture, process.abar, null=2)

    def error(model: Model) -> float:
        worst = 0.0
        for t in range(1, process.T + 1):
            level = process.abar[t].sqrt(), (1 - process.abar[t]).sqrt()
            x = points.clone().requires_grad_()
            free, conditional = mixture.log_prob(x, *level), mixture.log_prob(x, *level, y=labels)
            (slope,) = torch.autograd.grad((free + scale * (conditional - free)).sum(), x)
            worst = max(worst, (ddim.evaluate(model, points, t) + level[1] * slope).abs().max().item())
        return worst

    return Claim(
        "tilted score", f"guided noise, scale {scale:g}, off -sigma grad log p_t(x) p_t(y | x)^{scale:g}, largest",
        error(guided(network, labels, scale, null=2)), 1e-9, "<=", error(guided(network, labels, scale + 1, null=2)),
        "the same number taken for the paper's w, which is s - 1", "Eq. 6 and the implicit classifier of section 3.2",
    )  # fmt: skip


def cdf(mixture: GaussianMixture, points: Tensor) -> Tensor:
    """P(x_0 <= point) of a mixture on the line.  points: (N, 1).  Returns (N,)."""
    return torch.special.ndtr((points - mixture.means[:, 0]) / mixture.covs[:, 0, 0].sqrt()) @ mixture.weights


def _density_claims(
    mixture: GaussianMixture, process: GaussianDiffusion, y: int, scale: float
) -> tuple[list[Claim], Figure]:
    """Where guided sampling ends, and where the same sampler ends with the score of the tilted density, diffused."""
    points = torch.linspace(-4, 6, 401, dtype=torch.float64)[:, None]
    width = (points[1] - points[0]).item()
    target = tilted(mixture, y, scale, points)
    truth, sd = cdf(target, points), target.cov.sqrt().item()
    network = exact_network(mixture, process.abar, null=2)

    def doubled(x: Tensor, t: Tensor) -> Tensor:
        return guided(network, torch.full((len(x),), y), scale, null=2)(x, t)

    def distance(law: Tensor) -> float:
        return (law - truth).abs().sum().item() * width / sd

    laws = {"DDIM": deterministic_cdf, "ancestral sampling": ancestral_cdf}
    ends = {name: law(doubled, process, points) for name, law in laws.items()}
    right = {name: law(target.model(process.abar), process, points) for name, law in laws.items()}
    claims = [
        Claim(
            f"not tilted, {name}",
            f"Wasserstein distance of guided samples, scale {scale:g}, from p(x) p(y | x)^{scale:g}, in its sd",
            distance(ends[name]), 0.3, ">=", distance(right[name]),
            "the same sampler with the score of the diffused tilted density, which is not the guided score",
            "section 3.1, which calls the samples approximate",
        )
        for name in laws
    ]  # fmt: skip
    shown = {
        "p(x | y)": cdf(mixture.given(y), points),
        f"p(x) p(y | x)^{scale:g}": truth,
        **{f"guided, {name}": law for name, law in ends.items()},
    }
    every = 3
    across = (points[:-every:every, 0] + points[every::every, 0]) / 2
    lines = {name: (across, law[::every].diff() / (every * width)) for name, law in shown.items()}
    window = (across > -1.5) & (across < 4.5)
    figure = Figure(
        "cfg-tilted",
        f"Densities on the line: the class's own, N(1, 1/2); p(x) p(y | x)^{scale:g}, tilted, a little to its right; "
        "and where guided sampling ends, further right and narrower, by DDIM more so than by ancestral sampling.",
        pictures.curves({name: (x[window].tolist(), p[window].tolist()) for name, (x, p) in lines.items()},
                        across="x", up="density"),
    )  # fmt: skip
    return claims, figure


def _tradeoff(seed: int, scales: Sequence[float]) -> tuple[Curve, Curve, dict[str, Tensor]]:
    """The curve over scales, that of shuffled labels, with exact networks; and pictures of the samples (Figure 2)."""
    mixture, process, draws = three_classes(), linear_schedule(50, 2e-3, 0.35), Noise(seed)
    network, y = exact_network(mixture, process.abar, null=3), torch.arange(450) % 3
    judge = sample_measures.classifier(*mixture.sample_with_class(1000, noise=draws))
    x_T = draws(torch.empty(len(y), 2))

    def at_scale(scale: float, labels: Tensor) -> Tensor:
        return ddpm.sample(
            guided(network, labels, scale, null=3), process, x_T, variance="large", noise=Noise(seed + 1)
        )

    samples = {scale: at_scale(scale, y) for scale in scales}
    shuffled = y[draws.uniform(y.double()).argsort()]
    planes = {f"scale {s:g}": pictures.scatter(x, limits=(-4, 4), size=200, labels=y) for s, x in samples.items()}
    curve = [fidelity_and_spread(judge, x, y) for x in samples.values()]
    return curve, [fidelity_and_spread(judge, at_scale(s, shuffled), y) for s in scales], planes


def fit(dataset: Dataset, process: GaussianDiffusion, *, steps: int, seed: int, **run) -> Trained:
    """The demo's network, for the classes, for none, and for UNUSED labels that training never sees.

    run: device, out, resume, progress of the training.
    """
    large = min(dataset.shape[1:]) > 16
    torch.manual_seed(seed)
    network = ADMUNet(
        dataset.shape[0],
        multipliers=(1, 2, 2) if large else (1, 2),
        attention=(1, 2) if large else (1,),
        classes=dataset.classes + 1 + UNUSED,
    )

    def objective(model: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        return loss(model, process, *labelled(batch), dataset.classes, noise=noise)

    options = {"lr": 4e-3, "anneal": True, "ema": 0.98, "seed": seed, "name": "cfg", **run}
    return train(network, objective, dataset, steps=steps, **options)


def demo(
    *,
    data: str = "digits",
    device: str = "cpu",
    seed: int = 0,
    steps: int = 130,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = False,
) -> Result:
    """Images of each class at growing scale; exactly, what guidance does to fidelity, diversity and density."""
    started = time.perf_counter()
    (dataset, labels, labels_test), process = labelled_images(data), linear_schedule()
    trained = fit(dataset, process, steps=steps, seed=seed, device=device, out=out, resume=resume, progress=progress)
    null, judge = dataset.classes, sample_measures.classifier(dataset.x[:2000], labels[:2000])
    y = torch.arange(8 * dataset.classes, device=device) % dataset.classes
    x_T, tau = Noise(seed)(torch.empty(len(y), *dataset.shape, device=device)), ddim.timesteps(process.T, 20)

    def right(x: Tensor) -> float:
        return fidelity_and_spread(judge, x, y)[0]

    def held_out_loss(labels: Tensor) -> float:
        x_0 = dataset.x_test[:1000].to(device)
        with torch.no_grad():
            return ddpm.loss(lambda x, t: trained.model(x, t, labels), process, x_0, noise=Noise(seed + 1)).item()

    samples = {
        f"scale {scale:g}": ddim.sample(guided(trained.model, y, scale, null), process, x_T, tau, clip=dataset.range)
        for scale in (0.0, 1.0, 2.0, 4.0)
    }
    told = labels_test[:1000].to(device)
    known = held_out_loss(told)
    strengths = (0.0, 0.5, 1.0, 2.0, 4.0)
    curve, shuffled, planes = _tradeoff(seed, strengths)
    pair = GaussianMixture([1.0, 1.0], [[-1.0], [1.0]], [0.5, 0.5], [0, 1])
    line = linear_schedule(60, 2e-3, 0.31)
    density_claims, densities = _density_claims(pair, line, y=1, scale=3.0)
    claims = [
        _score_claim(pair, line, y=1, scale=3.0),
        *density_claims,
        *tradeoff_claims(strengths, curve, shuffled, "section 4.1 and Figure 2"),
        Claim(
            "images", "share of guided images, scale 4, that a judge gives the class asked for",
            right(samples["scale 4"]), 0.8, ">=", right(samples["scale 1"]),
            "the same network from the same x_T without guidance, scale 1", "section 4.1 and Figure 1",
        ),
        Claim(
            "label dropout", "error of the noise predicted without the label, over that with it, on held-out images",
            held_out_loss(torch.full_like(told, null)) / known, 1.2, "<=",
            statistics.fmean(held_out_loss(torch.full_like(told, null + 1 + k)) for k in range(UNUSED)) / known,
            f"labels that training never used, as null is where no label is dropped (mean over {UNUSED})",
            "Algorithm 1: one network is trained to be both models",
        ),
    ]  # fmt: skip
    figures = [
        Figure(
            "cfg",
            f"Samples after training on {data}, a column for each class: at scale 0 they are mixed, at 1 many are of "
            "their column's class, at 2 and 4 nearly all, clearer and more alike.",
            class_sheets(samples, dataset.classes),
        ),
        densities,
        Figure(
            "cfg-classes",
            "Points of three overlapping classes in the plane, sampled with exact networks at scales 0, 0.5, 1, 2, 4: "
            "mixed, then as they overlap in the data, then ever further apart and closer within.",
            pictures.beside(planes),
        ),
        tradeoff_figure("cfg-tradeoff", strengths, curve, shuffled),
    ]
    return Result(
        "cfg", data, seed, samples["scale 4"], dataset.x_test[: len(y)], claims, figures, trained.model.state_dict(),
        network_evaluations=2 * len(tau), parameters=sum(p.numel() for p in trained.model.parameters()),
        losses=trained.losses, seconds=time.perf_counter() - started,
    )  # fmt: skip


if __name__ == "__main__":
    from implementations.lab.command import main

    raise SystemExit(main(demo))
