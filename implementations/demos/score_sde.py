"""Checks the processes, the ODE's likelihood and the corrector on exact scores; then learns the VE score of images.

One network, trained without labels, draws them with and without corrector steps, by class, and from their upper halves.

At equal evaluations the corrector pays where something other than the length of steps errs: a score that is wrong,
whose relative error p gives narrow data the variance 1 / (1 + 2 p) by the SDE, 1 / (1 + p) by Langevin steps and an
ever growing one by the ODE; or what is known, in imputation.  With exact scores and 40 to 160 evaluations it was no
better than the predictor's shorter steps (tried on mixtures in one and two dimensions, by all four predictors).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from implementations.common.mlp import MLP
from implementations.common.noise import Noise
from implementations.demos.recipes import labelled, unit_images
from implementations.lab import pictures
from implementations.lab.demo import Claim, Demo, Figure, Run, once
from implementations.lab.training import Batch, Trained, train
from implementations.score_sde import (
    EPS,
    SDE,
    VE,
    VP,
    NoisyFunction,
    ScoreModel,
    ScoreNetwork,
    SubVP,
    ancestral,
    classifier_loss,
    conditional,
    euler_maruyama,
    imputing,
    log_likelihood,
    loss,
    probability_flow,
    probability_flow_step,
    sample,
    solve,
    times,
)
from implementations.unet import UNet
from implementations.verification.oracles import Gaussian, GaussianMixture, eight_gaussians, line, two_modes
from implementations.verification.sample_measures import classifier

R = 0.3
"""Of a corrector's step.  Larger than the paper's 0.16, for with 50 levels instead of 1000 each has farther to go."""


# ---- with exact scores ----------------------------------------------------------------------------------------------


def exact_score(law: GaussianMixture, sde: SDE) -> ScoreModel:
    """A perfect network, for one time at a time."""
    return lambda x, t: law.score(x, *sde.kernel(t[:1]))


def deviation(sde: SDE, other: SDE) -> float:
    """How far the moments of the first SDE, by integrating its coefficients, are from the second's kernel at most.

    From the kernel at EPS on, by the trapezoidal rule: d log alpha = rate dt, d (sigma / alpha)^2 = (g / alpha)^2 dt.
    """
    t = torch.linspace(EPS, 1, 20_001, dtype=torch.float64)
    start, kernel = sde.kernel(t[0]), other.kernel(t[1:])
    alpha = start[0] * F.pad(torch.cumulative_trapezoid(sde.rate(t), t), (1, 0)).exp()
    growth = torch.cumulative_trapezoid((sde.diffusion(t) / alpha).square(), t)
    sigma = alpha[1:] * ((start[1] / start[0]).square() + growth).sqrt()
    gaps = [(a - b).abs().max().item() for a, b in zip((alpha[1:], sigma), kernel, strict=True)]
    return max(gaps) / sde.prior_std


def marginals(run: Run) -> Claim:
    return Claim(
        statement="moments of the three SDEs against their kernels, over the prior's standard deviation",
        value=max(deviation(sde, sde) for sde in (VE(), VP(), SubVP())),
        bound=1e-6,
        relation="<=",
        control=deviation(SubVP(), VP()),
        control_is="sub-VP, held to have VP's kernel",
        of="appendix B, Eq. 29",
    )


def likelihood_error(sde: SDE, noise: Noise, share: float = 1.0) -> float:
    """Largest difference, in nats, between the ODE's log p and a mixture's, for a score scaled by `share`."""
    law, end = two_modes(), sde.kernel(1.0)
    exact, x = exact_score(law, sde), law.sample(8, noise=noise)
    found = log_likelihood(lambda x, t: share * exact(x, t), sde, x, log_prior=lambda x: law.log_prob(x, *end))
    return (found - law.log_prob(x, *sde.kernel(EPS))).abs().max().item()


def likelihood(run: Run) -> Claim:
    return Claim(
        statement="log p of a mixture by the ODE of each SDE against its density (nats, largest difference)",
        value=max(likelihood_error(sde, Noise(run.seed)) for sde in (VE(), VP(), SubVP())),
        bound=2e-3,
        relation="<=",
        control=likelihood_error(VP(), Noise(run.seed), share=1.01),
        control_is="a score that is 1 % too strong",
        of="section 4.3, Eq. 39",
    )


def width_error(N: int, M: int, noise: Noise) -> float:
    """How wrong the width of eight narrow modes comes out when the score is 10 % too weak, relative."""
    law, sde = eight_gaussians(), VE(0.01, 10.0)
    exact, x_T = exact_score(law, sde), sde.prior_std * noise(torch.empty(1000, 2, dtype=torch.float64))
    flow = {"predictor": probability_flow_step, "noise": noise}
    x = sample(lambda x, t: 0.9 * exact(x, t), sde, x_T, N, M=M, r=R, **flow)
    distance = torch.cdist(x, law.means).amin(1)
    return abs((distance.square().mean() / 2).sqrt().item() / 0.15 - 1)


def corrector(run: Run) -> Claim:
    return Claim(
        statement="width of a mixture's modes, off by, if the VE score is 10 % too weak; 99 evaluations (Table 1 has "
        "learned scores, whose errors nobody knows)",
        value=width_error(50, 1, Noise(run.seed)),
        bound=0.25,
        relation="<=",
        control=width_error(99, 0, Noise(run.seed)),
        control_is="the predictor alone (probability flow), by as many evaluations",
        of="section 4.2 and Table 1",
    )


def imputation_error(N: int, M: int, noise: Noise) -> float:
    """How wrong the mean of a number gets whose twin, correlated by 0.8, is known to be 1; with the exact score."""
    law, sde = Gaussian([0.0, 0.0], [[1.0, 0.8], [0.8, 1.0]]), VE(0.01, 10.0)
    x_T = sde.prior_std * noise(torch.empty(1000, 2, dtype=torch.float64))
    model = imputing(exact_score(law, sde), sde, torch.ones_like(x_T), torch.tensor([True, False]), noise=noise)
    return abs(sample(model, sde, x_T, N, M=M, r=R, noise=noise)[:, 1].mean().item() - 0.8)


def imputation(run: Run) -> Claim:
    return Claim(
        statement="mean of a number given its twin, off by (exact VE score, 397 evaluations)",
        value=imputation_error(100, 3, Noise(run.seed)),
        bound=0.15,
        relation="<=",
        control=imputation_error(397, 0, Noise(run.seed)),
        control_is="the predictor alone, by as many evaluations",
        of="appendix I.2, by the samplers of section 4.2",
    )


# ---- with the learned score of images -------------------------------------------------------------------------------


@once
def process(run: Run) -> VE:
    """Up to the largest distance between two images."""
    return VE(0.01, torch.pdist(unit_images(run).x[:1000].flatten(1)).max().item())


@once
def untrained(run: Run) -> tuple[ScoreNetwork, MLP]:
    """A score network, and a perceptron that will be a classifier of noisy images."""
    images = unit_images(run)
    torch.manual_seed(run.seed)
    unet = UNet(images.shape[0], width=16, multipliers=(1, 2), attention=(1,), head=16)
    return ScoreNetwork(unet, process(run)), MLP(images.x[0].numel(), images.classes, depth=1)


@once
def network(run: Run) -> Trained[ScoreNetwork]:
    def per_pixel(model: ScoreModel, batch: Batch, noise: Noise) -> Tensor:
        return loss(model, process(run), batch[0], noise=noise) / batch[0][0].numel()

    options = {"steps": run.steps, "batch_size": 64, "lr": 8e-3, "anneal": True, "ema": 0.98}
    return train(untrained(run)[0], per_pixel, unit_images(run), name="score-sde", **options, **run.training)


def logits(perceptron: nn.Module) -> NoisyFunction:
    """A perceptron as a classifier of noisy images, which it sees at about unit scale."""

    def of(x: Tensor, t: Tensor) -> Tensor:
        flat = x.flatten(1)
        return perceptron(flat / flat.square().mean(1, keepdim=True).sqrt().clamp_min(1), 999 * t)

    return of


@once
def noisy_classifier(run: Run) -> NoisyFunction:
    def objective(perceptron: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        return classifier_loss(logits(perceptron), process(run), *labelled(batch), noise=noise)

    options = {"steps": 2 * run.steps, "batch_size": 128, "lr": 3e-3, "anneal": True, "ema": 0.98}
    name = "score-sde-classifier"
    return logits(train(untrained(run)[1], objective, unit_images(run), name=name, **options, **run.training).model)


class Drawn(NamedTuple):
    """Images, and the run's noise where they left it."""

    x: Tensor
    noise: Noise


@once
def start(run: Run) -> Drawn:
    noise = Noise(run.seed)
    return Drawn(process(run).prior_std * noise(unit_images(run).x[:64]), noise)


@once
def mended(run: Run) -> Drawn:
    """By predictor and corrector, 99 evaluations."""
    model, (x_T, noise) = network(run).model, start(run)
    return Drawn(sample(model, process(run), x_T, 50, M=1, r=R, predictor=probability_flow_step, noise=noise), noise)


def alone(run: Run) -> Tensor:
    """By the predictor alone, 99 evaluations; draws nothing."""
    return sample(network(run).model, process(run), start(run).x, 99, M=0, predictor=probability_flow_step)


def wanted(run: Run) -> Tensor:
    """Six times all classes."""
    return torch.arange(unit_images(run).classes, device=run.device).repeat(6)


@once
def by_class(run: Run) -> Drawn:
    sde, noise, classify, y = process(run), mended(run).noise, noisy_classifier(run), wanted(run)

    def log_likelihood_of_y(x: Tensor, t: Tensor) -> Tensor:
        return F.log_softmax(classify(x, t), 1).gather(1, y[:, None])[:, 0]

    guided = conditional(network(run).model, log_likelihood_of_y)
    x_T = sde.prior_std * noise(unit_images(run).x[: len(y)])
    return Drawn(sample(guided, sde, x_T, 50, M=1, r=R, predictor=ancestral, noise=noise), noise)


@once
def completions(run: Run) -> Tensor:
    """Six rows of eight: a held-out image, its upper half, and six completions of that."""
    sde, noise = process(run), by_class(run).noise
    whole = unit_images(run).x_test[:6].repeat_interleave(6, 0)
    rows = torch.arange(whole.shape[2], device=run.device)
    upper = (rows < len(rows) // 2)[:, None].expand_as(whole)
    x_T = sde.prior_std * noise(whole)
    score = imputing(network(run).model, sde, whole, upper, noise=noise)
    completed = sample(score, sde, x_T, 50, M=2, r=R, noise=noise)
    given = torch.stack([whole, torch.where(upper, whole, 0.5)], dim=1)[::6]
    return torch.cat([given, completed.unflatten(0, (-1, 6))], dim=1).flatten(0, 1)


def classes(run: Run) -> Claim:
    images, y = unit_images(run), wanted(run)
    judge = classifier(*labelled((images.x, images.y)))
    return Claim(
        statement="share of class-conditional samples that an independent classifier gives their class",
        value=judge.agreement(by_class(run).x, y),
        bound=0.33,
        relation=">=",
        control=judge.agreement(mended(run).x[: len(y)], y),
        control_is="samples of the same network without a condition",
        of="section 5 and appendix I.1",
    )


def sheets(run: Run) -> Figure:
    shown = {
        "given their class": (by_class(run).x, unit_images(run).classes, 330),
        "image, upper half, completed": (completions(run), 8, 270),
        "predictor-corrector": (mended(run).x, 8, 240),
        "predictor alone": (alone(run), 8, 240),
    }
    return Figure(
        alt=f"What one score network of {run.data}, trained without labels, draws: six rows of its classes in order, "
        "guided by a classifier; six held-out images, their upper halves and six completions of each; "
        "sixty-four samples by predictor and corrector, and as many by the predictor alone, which are rougher.",
        image=pictures.beside(
            {
                title: pictures.contact_sheet(x, columns=columns, range=(0, 1), width=width)
                for title, (x, columns, width) in shown.items()
            }
        ),
    )


# ---- paths ----------------------------------------------------------------------------------------------------------

WIDE, HIGH = 400, 280
"""A panel's pixels: time from 1 at the left, x from 3 at the top to -3."""


def density(law: GaussianMixture, sde: SDE, levels: Sequence[float]) -> Tensor:
    """The law's density at these levels, each by its greatest: (2 HIGH, 2 WIDE), for a panel drawn at double size."""
    grid = torch.linspace(3, -3, HIGH // 2, dtype=torch.float64)[:, None]
    columns = torch.stack([law.log_prob(grid, *sde.kernel(t)).exp() for t in levels], dim=1).float()
    return F.interpolate((columns / columns.amax(0))[None, None], (2 * HIGH, 2 * WIDE), mode="bilinear")[0, 0]


def over(ground: Tensor, paths: Tensor) -> Tensor:
    """A panel: paths, (steps, paths, 1), as lines in three colours over a density."""
    paper, blue, *colours = (torch.tensor(c) for c in (pictures.PAPER, *pictures.COLOURS[:4]))
    image, row = paper + 0.55 * ground[..., None] * (blue - paper), torch.arange(2.0 * HIGH)[:, None]
    place = F.interpolate((3 - paths.float().movedim(0, 2)) * HIGH / 3, 2 * WIDE, mode="linear")[:, 0]
    for k, ends in enumerate(torch.cat([place[:, :1], place], dim=1).unfold(1, 2, 1)):
        off = F.relu(ends.amin(1) - row) + F.relu(row - ends.amax(1))
        image = image + (2.4 - off).clamp(0, 1)[..., None] * (colours[k % 3] - image)
    return F.avg_pool2d(image.movedim(2, 0), 2).movedim(0, 2)


def paths(run: Run) -> Figure:
    law, sde, noise = line(), VP(0.1, 8.0), Noise(run.seed)
    model, levels = exact_score(law, sde), times(sde, WIDE)
    walk = [torch.linspace(-1.6, 1.6, 6, dtype=torch.float64)[:, None]]
    for t, s in pairwise(levels):
        walk.append(euler_maruyama(model, sde, walk[-1], t, s, noise=noise))
    glide = solve(probability_flow(model, sde), walk[0], levels, tolerance=1e-6)
    ground = density(law, sde, levels[::4])
    return Figure(
        alt="Two panels of paths from noise at the left to a mixture of three modes at the right, over its density. "
        "Those of the reverse-time SDE jitter and cross, those of the probability flow ODE are smooth and never "
        "meet; both end where the density is.",
        image=pictures.beside(
            {"reverse-time SDE": over(ground, torch.stack(walk)), "probability flow ODE": over(ground, glide)}
        ),
    )


DEMO = Demo(
    claims=(marginals, likelihood, corrector, imputation, classes),
    figures=(sheets, paths),
    network=network,
    steps=160,
    network_evaluations=99,
)
