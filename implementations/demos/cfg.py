"""Images of each class at growing scale; exactly, what guidance does to fidelity, diversity and density."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from implementations import ddim, ddpm
from implementations.adm import ADMUNet
from implementations.cfg import ConditionalNoiseModel, guided, loss
from implementations.common.noise import Noise
from implementations.common.rows import for_all, per_row
from implementations.ddpm import GaussianDiffusion, NoiseModel, linear_schedule
from implementations.demos import guidance
from implementations.demos.guidance import CHAIN, TAU, adm_unet, asked, class_sheets, share_right, start
from implementations.demos.recipes import dataset, labelled
from implementations.lab import pictures
from implementations.lab.demo import Claim, Demo, Figure, Run, once
from implementations.lab.networks import train_or_load
from implementations.lab.training import Batch, Trained
from implementations.verification.oracles import GaussianMixture

F64 = torch.float64


def exact_network(mixture: GaussianMixture, abar: Tensor, null: int) -> ConditionalNoiseModel:
    """The network that training would end with, were data a mixture: model(x, t, y) for its labels and for `null`."""
    if mixture.labels is None:
        raise ValueError("this mixture has no classes: give labels when making it")
    exact, some_class = mixture.model(abar), mixture.labels[0]

    def model(x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        told = exact(x, t, torch.where(y == null, some_class, y))
        return torch.where(per_row(y, x) == null, exact(x, t), told)

    return model


# ---- two classes on the line, N(-1, 1/2) and N(1, 1/2) ---------------------------------------------------------------

PAIR = GaussianMixture([1.0, 1.0], [[-1.0], [1.0]], [0.5, 0.5], [0, 1])
CLASS, NULL, SCALE = 1, 2, 3.0
LINE = linear_schedule(60, 2e-3, 0.31)
TILTED = f"p(x) p(y | x)^{SCALE:g}"


def towards_class(scale: float) -> NoiseModel:
    """The guided noise of the exact network."""
    network = exact_network(PAIR, LINE.abar, NULL)
    return lambda x, t: guided(network, torch.full((len(x),), CLASS), scale, NULL)(x, t)


def tilted_score(run: Run) -> Claim:
    points = torch.linspace(-4, 4, 41, dtype=F64)[:, None]
    labels = torch.full((len(points),), CLASS)

    def noise(t: int) -> Tensor:
        """-sigma times the gradient of the tilted log-density, by automatic differentiation."""
        alpha, sigma = LINE.abar[t].sqrt(), (1 - LINE.abar[t]).sqrt()
        x = points.clone().requires_grad_()
        free, conditional = PAIR.log_prob(x, alpha, sigma), PAIR.log_prob(x, alpha, sigma, y=labels)
        return -sigma * torch.autograd.grad((free + SCALE * (conditional - free)).sum(), x)[0]

    def error(scale: float) -> float:
        model = towards_class(scale)
        levels = range(1, LINE.T + 1)
        return max((model(points, for_all(t, points)) - noise(t)).abs().max().item() for t in levels)

    return Claim(
        statement=f"guided noise, scale {SCALE:g}, off -sigma grad log p_t(x) p_t(y | x)^{SCALE:g}, largest",
        value=error(SCALE),
        bound=1e-9,
        relation="<=",
        control=error(SCALE + 1),
        control_is="the same number taken for the paper's w, which is s - 1",
        of="Eq. 6 and the implicit classifier of section 3.2",
    )


GRID = torch.linspace(-4, 6, 401, dtype=F64)[:, None]
STEP = (GRID[1] - GRID[0]).item()
Law = Callable[[NoiseModel, GaussianDiffusion, Tensor], Tensor]


def tilt(mixture: GaussianMixture, y: int, scale: float, points: Tensor) -> GaussianMixture:
    """p(x) p(y | x)^scale, normalised, on the line: a narrow Gaussian at each of the evenly spaced points (N, 1)."""
    labels = torch.full((len(points),), y)
    log_p = (1 - scale) * mixture.log_prob(points) + scale * mixture.log_prob(points, y=labels)
    weights = (log_p - log_p.max()).exp()
    kept = weights > 1e-8
    width = (points[1] - points[0]).item()
    return GaussianMixture(weights[kept], points[kept], width**2 * torch.ones_like(weights[kept]))


def cdf(mixture: GaussianMixture, points: Tensor) -> Tensor:
    """P(x_0 <= point) of a mixture on the line.  points: (N, 1).  Returns (N,)."""
    return torch.special.ndtr((points - mixture.means[:, 0]) / mixture.covs[:, 0, 0].sqrt()) @ mixture.weights


def deterministic_cdf(model: NoiseModel, process: GaussianDiffusion, points: Tensor) -> Tensor:
    """P(x_0 <= point) for what DDIM, by all T steps, makes of N(0, 1).  points: (N, 1), increasing.  Returns (N,).

    On the line its map is monotone, so quantiles go to quantiles and nothing is left to chance.
    """
    x_T = torch.linspace(-5, 5, 401, dtype=F64)[:, None]
    x_0 = ddim.sample(model, process, x_T, ddim.timesteps(process.T, process.T))
    return torch.special.ndtr(torch.from_numpy(np.interp(points[:, 0], x_0[:, 0], x_T[:, 0])))


def ancestral_cdf(model: NoiseModel, process: GaussianDiffusion, points: Tensor) -> Tensor:
    """The same for ancestral sampling with the large variance: the law of x_t, a mass at each point, step by step."""
    mass = torch.exp(-points[:, 0].square() / 2)
    mass = mass / mass.sum()
    for t in range(process.T, 1, -1):
        mean, variance = ddpm.reverse(process, points, t, model(points, for_all(t, points)), "large")
        kernel = torch.exp(-(points[:, 0] - mean).square() / (2 * variance))
        mass = mass @ (kernel / kernel.sum(1, keepdim=True))
    last = ddpm.reverse(process, points, 1, model(points, for_all(1, points)))[0]
    return torch.from_numpy(np.interp(points[:, 0], last[:, 0], mass.cumsum(0)))


@once
def guided_law(run: Run, law: Law) -> Tensor:
    """Where guided sampling ends, on the grid."""
    return law(towards_class(SCALE), LINE, GRID)


def not_tilted(run: Run, law: Law) -> Claim:
    """Where guided sampling ends, and where the same sampler ends with the score of the tilted density, diffused."""
    target = tilt(PAIR, CLASS, SCALE, GRID)
    truth, sd = cdf(target, GRID), target.cov.sqrt().item()

    def distance(found: Tensor) -> float:
        return (found - truth).abs().sum().item() * STEP / sd

    return Claim(
        statement=f"Wasserstein distance of guided samples, scale {SCALE:g}, from {TILTED}, in its sd",
        value=distance(guided_law(run, law)),
        bound=0.3,
        relation=">=",
        control=distance(law(target.model(LINE.abar), LINE, GRID)),
        control_is="the same sampler with the score of the diffused tilted density, which is not the guided score",
        of="section 3.1, which calls the samples approximate",
    )


def not_tilted_ddim(run: Run) -> Claim:
    return not_tilted(run, deterministic_cdf)


def not_tilted_ancestral(run: Run) -> Claim:
    return not_tilted(run, ancestral_cdf)


def tilted(run: Run) -> Figure:
    every = 3
    across = (GRID[:-every:every, 0] + GRID[every::every, 0]) / 2
    window = (across > -1.5) & (across < 4.5)

    def density(law: Tensor) -> tuple[list[float], list[float]]:
        return across[window].tolist(), (law[::every].diff() / (every * STEP))[window].tolist()

    shown = {
        "p(x | y)": cdf(PAIR.given(CLASS), GRID),
        TILTED: cdf(tilt(PAIR, CLASS, SCALE, GRID), GRID),
        "guided, DDIM": guided_law(run, deterministic_cdf),
        "guided, ancestral sampling": guided_law(run, ancestral_cdf),
    }
    return Figure(
        alt=f"Densities on the line: the class's own, N(1, 1/2); {TILTED}, tilted, a little to its right; and where "
        "guided sampling ends, further right and narrower, by DDIM more so than by ancestral sampling.",
        image=pictures.curves({name: density(law) for name, law in shown.items()}, across="x", up="density"),
    )


# ---- three classes in the plane, with exact networks -----------------------------------------------------------------


@once
def exchange(run: Run) -> guidance.Exchange:
    """What guidance does to fidelity and diversity."""
    network = exact_network(guidance.three_classes(), CHAIN.abar, null=3)

    def sample(scale: float, y: Tensor, x_T: Tensor, noise: Noise) -> Tensor:
        return ddpm.sample(guided(network, y, scale, null=3), CHAIN, x_T, variance="large", noise=noise)

    return guidance.exchange(run, sample)


def fidelity(run: Run) -> Claim:
    return guidance.fidelity_gained(exchange(run), of="section 4.1 and Figure 2")


def diversity(run: Run) -> Claim:
    return guidance.diversity_lost(exchange(run), of="section 4.1 and Figure 2")


def tradeoff(run: Run) -> Figure:
    return guidance.fidelity_over_spread(exchange(run))


def classes(run: Run) -> Figure:
    found = exchange(run)
    planes = {
        f"scale {scale:g}": pictures.scatter(x, limits=(-4, 4), size=200, labels=found.y)
        for scale, x in zip(guidance.SCALES, found.samples, strict=True)
    }
    return Figure(
        alt="Points of three overlapping classes in the plane, sampled with exact networks at scales 0, 0.5, 1, 2, 4: "
        "mixed, then as they overlap in the data, then ever further apart and closer within.",
        image=pictures.beside(planes),
    )


# ---- images ----------------------------------------------------------------------------------------------------------

PROCESS = linear_schedule()
UNUSED = 8  # labels of the network that stay as they were initialised


@once
def network(run: Run) -> Trained[ADMUNet]:
    """For the classes, for none, and for labels that training never sees."""
    images = dataset(run)
    torch.manual_seed(run.seed)
    model = adm_unet(images, classes=images.classes + 1 + UNUSED)

    def objective(model: ConditionalNoiseModel, batch: Batch, noise: Noise) -> Tensor:
        return loss(model, PROCESS, *labelled(batch), images.classes, noise=noise)

    return train_or_load(network, run, model, objective, images, name="cfg", lr=4e-3, anneal=True, ema=0.98)


@once
def samples(run: Run, scale: float) -> Tensor:
    images = dataset(run)
    model = guided(network(run).model, asked(run), scale, images.classes)
    return ddim.sample(model, PROCESS, start(run), TAU, clip=images.range)


def guided_images(run: Run) -> Claim:
    return Claim(
        statement="share of guided images, scale 4, that a judge gives the class asked for",
        value=share_right(run, samples(run, 4.0)),
        bound=0.8,
        relation=">=",
        control=share_right(run, samples(run, 1.0)),
        control_is="the same network from the same x_T without guidance, scale 1",
        of="section 4.1 and Figure 1",
    )


def label_dropout(run: Run) -> Claim:
    images, model = dataset(run), network(run).model
    x_0, y = (v[:1000].to(run.device) for v in labelled((images.x_test, images.y_test)))

    @torch.no_grad()
    def error(labels: Tensor) -> float:
        return ddpm.loss(lambda x, t: model(x, t, labels), PROCESS, x_0, noise=Noise(run.seed + 1)).item()

    def all_of(label: int) -> Tensor:
        return torch.full_like(y, label)

    null, known = images.classes, error(y)
    return Claim(
        statement="error of the noise predicted without the label, over that with it, on held-out images",
        value=error(all_of(null)) / known,
        bound=1.2,
        relation="<=",
        control=fmean(error(all_of(null + 1 + k)) for k in range(UNUSED)) / known,
        control_is=f"labels that training never used, as null is where no label is dropped (mean over {UNUSED})",
        of="Algorithm 1: one network is trained to be both models",
    )


def sheets(run: Run) -> Figure:
    shown = {f"scale {scale:g}": samples(run, scale) for scale in (0.0, 1.0, 2.0, 4.0)}
    return Figure(
        alt=f"Samples after training on {run.data}, a column for each class: at scale 0 they are mixed, at 1 many are "
        "of their column's class, at 2 and 4 nearly all, clearer and more alike.",
        image=class_sheets(shown, dataset(run).classes),
    )


DEMO = Demo(
    claims=(
        tilted_score,
        not_tilted_ddim,
        not_tilted_ancestral,
        fidelity,
        diversity,
        guided_images,
        label_dropout,
    ),
    figures=(sheets, tilted, classes, tradeoff),
    network=network,
    steps=130,
    network_evaluations=2 * len(TAU),
)
