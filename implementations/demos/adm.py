"""Exact posteriors, an exact curve of fidelity against diversity, and images of each class at growing scale."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from implementations import ddim, ddpm
from implementations.adm import (
    ADMUNet,
    Classifier,
    LogProbability,
    Point,
    classifier_loss,
    guided_model,
    guided_step,
    log_probability,
    sample,
)
from implementations.common.noise import Noise
from implementations.common.rows import for_all
from implementations.demos import guidance
from implementations.demos.guidance import CHAIN, TAU, adm_unet, asked, class_sheets, share_right, start
from implementations.demos.recipes import dataset, labelled, large
from implementations.iddpm import cosine_schedule, hybrid_loss, retimed, reverse, strided
from implementations.lab.demo import Claim, Demo, Figure, Run, once
from implementations.lab.training import Batch, Trained, train
from implementations.verification.impulses import moments
from implementations.verification.oracles import Gaussian

# ---- data N(0, 1), whose reverse step has variance beta_t exactly, and classifiers with known posteriors -------------

A, V = 1.0, 0.5
NORMAL = Gaussian(0.0, 1.0).model(CHAIN.abar)
PRINTED = "the gradient at x_t, by the classifier of level t, as Algorithm 1 is printed"


def normal_step(x: Tensor, t: int) -> tuple[Tensor, Tensor]:
    return ddpm.reverse(CHAIN, x, t, NORMAL(x, for_all(t, x)), "large")


def log_linear(x: Tensor, t: Tensor) -> Tensor:
    """log p(y | x_t), but for a constant, where p(y | x_0) is proportional to exp(A x_0)."""
    return (A * CHAIN.at(CHAIN.abar.sqrt(), t, x) * x).sum(1)


def quadratic(x: Tensor, t: Tensor) -> Tensor:
    """The same where it is proportional to exp(-(x_0 - A)^2 / 2 V)."""
    abar = CHAIN.at(CHAIN.abar, t, x)
    return (-(abar.sqrt() * x - A).square() / (2 * (1 - abar + V))).sum(1)


def posterior(run: Run) -> Claim:
    x = torch.linspace(-2, 2, 9).double()[:, None]

    def off_posterior(point: Point) -> float:
        """The class turns N(0, 1) into N(A, 1), x_t into N(sqrt(abar_t) A, 1): Bayes' rule is that chain's step."""
        step, centre, worst = guided_step(normal_step, log_linear, point=point), CHAIN.abar.sqrt() * A, 0.0
        for t in range(1, CHAIN.T + 1):
            mean = centre[t - 1] + CHAIN.alpha[t].sqrt() * (x - centre[t])
            worst = max(worst, ((step(x, t)[0] - mean).abs().max() / CHAIN.beta[t].sqrt()).item())
        return worst

    return Claim(
        statement="mean of one guided step, log-linear classifier, off the exact posterior's, in sds, largest",
        value=off_posterior("mean"),
        bound=1e-9,
        relation="<=",
        control=off_posterior("x_t"),
        control_is=PRINTED,
        of="Eqs. 2 to 10",
    )


def point(run: Run) -> Claim:
    def spread_error(point: Point) -> float:
        found = moments(lambda x, noise: sample(normal_step, quadratic, x, CHAIN.T, point=point, noise=noise))
        return abs(found.std.item() / (V / (1 + V)) ** 0.5 - 1)

    return Claim(
        statement="sd of guided samples after 50 steps, quadratic classifier, off the exact posterior's, relative",
        value=spread_error("mean"),
        bound=0.01,
        relation="<=",
        control=spread_error("x_t"),
        control_is=PRINTED,
        of="Eq. 5, the point of the Taylor expansion",
    )


# ---- three classes, where model and classifier are exact -------------------------------------------------------------


@once
def exchange(run: Run) -> guidance.Exchange:
    """What Algorithm 1 does to fidelity and diversity."""
    mixture = guidance.three_classes()
    exact, alphas, sigmas = mixture.model(CHAIN.abar), CHAIN.abar.sqrt(), (1 - CHAIN.abar).sqrt()

    def step(x: Tensor, t: int) -> tuple[Tensor, Tensor]:
        return ddpm.reverse(CHAIN, x, t, exact(x, for_all(t, x)), "large")

    def guided(scale: float, y: Tensor, x_T: Tensor, noise: Noise) -> Tensor:
        def log_p(x: Tensor, t: Tensor) -> Tensor:
            return mixture.log_prob(x, alphas[t], sigmas[t], y) - mixture.log_prob(x, alphas[t], sigmas[t])

        return sample(step, log_p, x_T, CHAIN.T, scale=scale, noise=noise)

    return guidance.exchange(run, guided)


def fidelity(run: Run) -> Claim:
    return guidance.fidelity_gained(exchange(run), of="section 4.3 and Figure 4")


def diversity(run: Run) -> Claim:
    return guidance.diversity_lost(exchange(run), of="section 4.3 and Figure 4")


def tradeoff(run: Run) -> Figure:
    return guidance.fidelity_over_spread(exchange(run))


# ---- images ----------------------------------------------------------------------------------------------------------

PROCESS = cosine_schedule(1000)
STRONG = 8.0
OPTIONS = {"lr": 4e-3, "anneal": True, "ema": 0.98}


@once
def untrained(run: Run) -> tuple[ADMUNet, Classifier, Classifier]:
    """A diffusion model with a learned variance, and two classifiers."""
    images = dataset(run)
    torch.manual_seed(run.seed)
    network = adm_unet(images, outputs=2)
    one, other = (Classifier(images.shape[0], images.classes, width=32 if large(images) else 16) for _ in range(2))
    return network, one, other


@once
def network(run: Run) -> Trained[ADMUNet]:
    images, (network, _, _) = dataset(run), untrained(run)

    def hybrid(model: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        return hybrid_loss(model, PROCESS, batch[0], images.levels, noise=noise)

    return train(network, hybrid, images, name="adm", steps=run.steps, **OPTIONS, **run.training)


@once
def classifier(run: Run) -> Trained[Classifier]:
    _, classifier, _ = untrained(run)

    def noisy(model: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        return classifier_loss(model, PROCESS, *labelled(batch), noise=noise)

    return train(classifier, noisy, dataset(run), name="adm-classifier", steps=run.steps, **OPTIONS, **run.training)


@once
def clean_classifier(run: Run) -> Trained[Classifier]:
    """One that saw clean images only."""
    _, _, classifier = untrained(run)

    def clean(model: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        x_0, y = labelled(batch)
        return F.cross_entropy(model(x_0, x_0.new_zeros(len(x_0))), y)

    options = OPTIONS | {"name": "adm-clean", "steps": max(1, run.steps // 2), "ema": 0.95}
    return train(classifier, clean, dataset(run), **options, **run.training)


def aware(run: Run) -> LogProbability:
    return log_probability(classifier(run).model, asked(run))


def unaware(run: Run) -> LogProbability:
    """What the classifier of clean images says, which takes every image for one."""
    log_p = log_probability(clean_classifier(run).model, asked(run))
    return lambda x, t: log_p(x, torch.zeros_like(t))


@once
def by_algorithm_2(run: Run, scale: float, log_p: Callable[[Run], LogProbability] = aware) -> Tensor:
    model = network(run).model

    def eps(x: Tensor, t: Tensor) -> Tensor:
        return model(x, t).chunk(2, dim=1)[0]

    guided = guided_model(eps, PROCESS, log_p(run), scale=scale)
    return ddim.sample(guided, PROCESS, start(run), TAU, clip=dataset(run).range)


def by_algorithm_1(run: Run, scale: float) -> Tensor:
    """In as many steps, with the guess of x_0 kept in the data's range."""
    model, short, limits = retimed(network(run).model, TAU), strided(PROCESS, TAU), dataset(run).range
    log_p, times = aware(run), torch.cat([TAU.new_zeros(1), TAU]).to(run.device)

    def step(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        return reverse(short, x, k, model(x, for_all(k, x)), clip=limits)

    def log_p_at_step(x: Tensor, k: Tensor) -> Tensor:
        return log_p(x, times[k])

    return sample(step, log_p_at_step, start(run), short.T, scale=scale, noise=Noise(run.seed + 1))


def noisy_classifier(run: Run) -> Claim:
    return Claim(
        statement=f"share of guided images, scale {STRONG:g}, that a judge gives the class asked for",
        value=share_right(run, by_algorithm_2(run, STRONG)),
        bound=0.88,
        relation=">=",
        control=share_right(run, by_algorithm_2(run, STRONG, unaware)),
        control_is="a classifier that was trained on clean images only, half as long, which makes it the better judge "
        "of noisy ones: trained as long it is weaker still",
        of="section 4.3: the classifier is trained on the diffusion model's own noise",
    )


def sheets(run: Run) -> Figure:
    shown = {f"scale {scale:g}": by_algorithm_2(run, scale) for scale in (0.0, 2.0, STRONG)}
    shown[f"Algorithm 1, scale {STRONG:g}"] = by_algorithm_1(run, STRONG)
    return Figure(
        alt=f"Samples after training on {run.data}, a column for each class, guided by a classifier at scale 0, where "
        "classes are mixed, then 2 and 8, where nearly all are of their column's class and alike; and at 8 by "
        "ancestral sampling.",
        image=class_sheets(shown, dataset(run).classes),
    )


def networks(run: Run) -> dict[str, Trained]:
    return {"network": network(run), "classifier": classifier(run)}


DEMO = Demo(
    claims=(posterior, point, fidelity, diversity, noisy_classifier),
    figures=(sheets, tradeoff),
    network=networks,
    steps=100,
    network_evaluations=len(TAU),
)
