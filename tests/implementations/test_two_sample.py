"""T7: each method that samples, trained on points in the plane, against held-out points, and with one thing wrong.

The test's false alarms and power are measured by `make two-sample` and kept in evidence/two-sample.yaml.  Every network
is the same perceptron, trained alike by the method's own objective, so that what is wrong is the method's mistake: one
that the two-sample test sees, among those that public code has made.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import pytest
import torch
from torch import Tensor

from implementations import adm, cfg, ddpm, edm, iddpm, ncsn, ncsnv2, score_sde, vdm
from implementations.common.mlp import MLP
from implementations.common.noise import Noise
from implementations.common.rows import for_all, per_row
from implementations.lab.data import Dataset, load
from implementations.lab.training import train
from implementations.verification.twosample import energy_test
from tests.implementations.toys import Given

pytestmark = pytest.mark.slow
ROWS, LEVEL = 500, 0.05
Draw = Callable[[Tensor], Tensor]


@cache
def points() -> Dataset:
    return load("mixture")


def trained(network: torch.nn.Module, objective: Callable, dataset: Dataset | None = None) -> torch.nn.Module:
    options = {"steps": 1200, "batch_size": 256, "lr": 4e-3, "anneal": True, "ema": 0.99}
    return train(network, objective, dataset or points(), **options).model


def perceptron(outputs: int = 2, classes: int = 0) -> MLP:
    torch.manual_seed(0)
    return MLP(2, outputs, width=64, depth=2, classes=classes)


def x_T(scale: float = 1.0) -> Tensor:
    return scale * Noise(0)(torch.empty(ROWS, 2))


def shrunk(factor: float, noise: Noise, x: Tensor) -> Tensor:
    return factor * noise(x)


def other_classes() -> Tensor:
    y = points().y_test
    assert y is not None
    return y[-ROWS:]


def chain() -> ddpm.GaussianDiffusion:
    return ddpm.linear_schedule(200, 5e-4, 0.1)


class Levels(torch.nn.Module):
    """gamma, from -7 to 7, in steps of about 1 for the perceptron's embedding."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, z: Tensor, gamma: Tensor) -> Tensor:
        return self.network(z, 40 * gamma)


class UnitVariance(torch.nn.Module):
    """What an SDE makes of data of variance 1, divided by its deviation for the perceptron; i is 999 t."""

    def __init__(self, network: torch.nn.Module, sde: score_sde.SDE) -> None:
        super().__init__()
        self.network, self.sde = network, sde

    def forward(self, x: Tensor, i: Tensor) -> Tensor:
        alpha, sigma = self.sde.kernel(i / 999)
        return self.network(x / per_row((alpha.square() + sigma.square()).sqrt(), x), i)


def by_ncsn() -> tuple[Tensor, Tensor]:
    """Wrong: the step's size taken for the deviation of its noise."""
    sigmas = ncsn.geometric_levels(3.0, 0.05, 10)
    model = trained(
        ncsn.ScoreNetwork(perceptron(), sigmas),
        lambda model, batch, noise: ncsn.loss(model, sigmas, batch[0], noise=noise),
    )
    start = 6 * Noise(0).uniform(torch.empty(ROWS, 2)) - 3
    samples = ncsn.sample(model, sigmas, start, eps=0.2 * 0.05**2, T=40, noise=Noise(1))
    wrong = start
    for sigma in sigmas.tolist():
        alpha, draws = 0.2 * sigma**2, Noise(1)
        wrong = ncsn.langevin(model, wrong, sigma, alpha, 40, noise=Given(partial(shrunk, alpha**0.5, draws)))
    return samples, wrong


def by_ncsnv2() -> tuple[Tensor, Tensor]:
    """Wrong: steps of the size for one level at all of them, so that the upper levels stand still."""
    sigmas = ncsn.geometric_levels(3.0, 0.05, 30)
    eps = ncsnv2.step_size(sigmas, T=5)
    model = trained(
        ncsnv2.Unconditional(perceptron()), lambda model, batch, noise: ncsn.loss(model, sigmas, batch[0], noise=noise)
    )
    start = x_T(sigmas[0].item())
    samples = ncsnv2.sample(model, sigmas, start, eps=eps, noise=Noise(1))
    wrong = start
    for sigma in sigmas.tolist():
        wrong = ncsn.langevin(model, wrong, sigma, 2 * eps, 5, noise=Noise(1))
    return samples, wrong


def by_iddpm() -> tuple[Tensor, Tensor]:
    """In 25 of the chain's 200 steps.  Wrong: the network is told the number of the step, not its time."""
    process = chain()
    model = trained(
        perceptron(4), lambda model, batch, noise: iddpm.hybrid_loss(model, process, batch[0], None, noise=noise)
    )
    tau = iddpm.timesteps(200, 25)
    short = iddpm.strided(process, tau)
    samples = iddpm.sample(iddpm.retimed(model, tau), short, x_T(), noise=Noise(1))
    return samples, iddpm.sample(model, short, x_T(), noise=Noise(1))


def by_vdm() -> tuple[Tensor, Tensor]:
    """Wrong: no noise on the way."""
    schedule = vdm.linear(-7.0, 7.0)
    model = trained(
        Levels(perceptron()),
        lambda model, batch, noise: vdm.diffusion_loss(model, schedule, batch[0], noise=noise).mean(),
    )
    samples, wrong = (
        vdm.sample(model, schedule, x_T(), 200, noise=noise) for noise in (Noise(1), Given(torch.zeros_like))
    )
    return samples, wrong


def by_score_sde(sde: score_sde.SDE) -> tuple[Tensor, Tensor]:
    """With corrector for VE, without for VP and sub-VP, as the paper does.  Wrong: the ODE without the 1/2 in it."""
    model = trained(
        score_sde.ScoreNetwork(UnitVariance(perceptron(), sde), sde),
        lambda model, batch, noise: score_sde.loss(model, sde, batch[0], noise=noise),
    )
    start = x_T(sde.prior_std)
    samples = score_sde.sample(model, sde, start, 400, M=int(isinstance(sde, score_sde.VE)), noise=Noise(1))

    def doubled(x: Tensor, t: Tensor) -> Tensor:
        return 2 * model(x, t)

    with torch.no_grad():
        return samples, score_sde.flow(doubled, sde, start, 1.0, 1e-3)


def by_edm() -> tuple[Tensor, Tensor]:
    """Wrong: sampling stops before the noise is gone."""
    model = trained(
        edm.Denoiser(perceptron(), 1.0),
        lambda model, batch, noise: edm.loss(model, batch[0], sigma_data=1.0, noise=noise),
    )
    return edm.sample(model, x_T(), edm.schedule(18)), edm.sample(model, x_T(), edm.schedule(18, sigma_min=1.0)[:-1])


def by_adm() -> tuple[Tensor, Tensor]:
    """Guided by a classifier to the classes of other points, scale 1: Bayes' rule.  Wrong: the gradient's sign."""
    process, y = chain(), other_classes()
    model = trained(perceptron(), lambda model, batch, noise: ddpm.loss(model, process, batch[0], noise=noise))
    classifier = trained(
        perceptron(8), lambda model, batch, noise: adm.classifier_loss(model, process, *batch, noise=noise)
    )
    log_p = adm.log_probability(classifier, y)

    def law(x: Tensor, t: int) -> tuple[Tensor, Tensor]:
        return ddpm.reverse(process, x, t, model(x, for_all(t, x)))

    samples, wrong = (adm.sample(law, log_p, x_T(), 200, scale=s, noise=Noise(1)) for s in (1.0, -1.0))
    return samples, wrong


def by_cfg() -> tuple[Tensor, Tensor]:
    """The conditional model, scale 1, for the classes of other points.  Wrong: far too much of it, scale 5."""
    process, y, null = chain(), other_classes(), 8
    model = trained(
        perceptron(classes=9),
        lambda model, batch, noise: cfg.loss(model, process, batch[0], batch[1], null, noise=noise),
    )
    samples, wrong = (
        ddpm.sample(cfg.guided(model, y, scale, null), process, x_T(), noise=Noise(1)) for scale in (1.0, 5.0)
    )
    return samples, wrong


METHODS = {
    "ncsn": by_ncsn,
    "ncsnv2": by_ncsnv2,
    "iddpm": by_iddpm,
    "vdm": by_vdm,
    "score-sde, VE": lambda: by_score_sde(score_sde.VE(0.01, 8.0)),
    "score-sde, VP": lambda: by_score_sde(score_sde.VP()),
    "score-sde, sub-VP": lambda: by_score_sde(score_sde.SubVP()),
    "edm": by_edm,
    "adm": by_adm,
    "cfg": by_cfg,
}


@pytest.mark.parametrize("method", METHODS)
def test_samples_of_a_trained_network_pass_and_those_of_a_mistake_do_not(method):
    """DDPM and DDIM have theirs in their own files, DPM among the tests of its demo."""
    samples, wrong = METHODS[method]()
    held_out = points().x_test[:ROWS]
    assert energy_test(samples, held_out, seed=0) > LEVEL
    assert energy_test(wrong, held_out, seed=0) < LEVEL
