"""Slow tests of implementations/dpm.py: T7 (samples) and T8 (claims), on one run of the demo."""

from __future__ import annotations

from copy import copy
from math import e, log, pi

import pytest
import torch
from torch import Tensor

from implementations.common.noise import Noise
from implementations.dpm import BinomialDiffusion, SwissRollKernel, bound, demo, ends, erasing_schedule, sample
from implementations.lab import data
from implementations.lab.results import Result
from implementations.verification.twosample import energy_test, false_alarms

pytestmark = pytest.mark.slow

ROWS = 500


@pytest.fixture(scope="module")
def result() -> Result:
    return demo(data="swiss-roll")


@pytest.fixture(scope="module")
def beats() -> Result:
    return demo(data="heartbeat")


def test_claims_hold(result, beats):
    assert len(result.claims) == 2 and len(beats.claims) == 2
    for claim in result.claims + beats.claims:
        assert claim.holds, claim


# ---- the swiss roll -----------------------------------------------------------------------------------------------


def roll_log_likelihood() -> float:
    """Mean log2 density of the roll itself at the demo's scale: an integral over its angle, averaged over draws."""
    raw = data.load("swiss-roll")
    scale = raw.x.square().mean().sqrt().item()
    angle = 1.5 * pi * (1 + 2 * (torch.arange(3000, dtype=torch.float64) + 0.5) / 3000)
    spine = torch.stack([angle * angle.cos(), angle * angle.sin()], dim=1) * (2 / (4.5 * pi)) / scale
    sd = 0.05 / scale
    x = raw.x_test.double() / scale
    near = (-torch.cdist(x, spine).square() / (2 * sd**2)).logsumexp(1) - log(len(spine))
    return (near - log(2 * pi * sd**2)).mean().item() / log(2)


def test_roll_is_bounded_by_its_own_entropy(result):
    """K is below the mean log-density of the data, and within a bit of it; an isotropic Gaussian is 2.7 bits below."""
    null = -log(2 * pi * e) / log(2)
    bits = result.claims[0].value + null
    truth = roll_log_likelihood()
    assert truth - 1 < bits < truth
    assert truth - null == pytest.approx(2.7, abs=0.05)


def fresh(seed: int) -> Tensor:
    """Rows that nobody trained on, at the demo's scale."""
    return data.swiss_roll(ROWS, 100 + seed)[0] / data.load("swiss-roll").x.square().mean().sqrt()


def test_roll_samples_pass_a_test_that_was_calibrated(result):
    alarms = false_alarms(energy_test, lambda run: (fresh(2 * run), fresh(2 * run + 1)), runs=200)
    # by construction 5 % or less; 4 standard deviations of a binomial over 200 runs above that
    assert alarms.rate <= 0.05 + 4 * (0.05 * 0.95 / 200) ** 0.5
    for k in range(4):
        assert energy_test(result.samples[k * ROWS : (k + 1) * ROWS], fresh(1000 + k), k) > 0.01


def test_the_same_test_rejects_broken_samplers(result):
    """Each bug is planted from outside, in what the sampler is given.

    It cannot see finer ones: a network fed t + 2 passes, here as for DDPM.  The fast tests do.
    """
    kernel = SwissRollKernel().requires_grad_(False)
    kernel.load_state_dict(result.model)
    process = kernel.process()
    faint, late = copy(process), copy(process)
    faint.draw = lambda law, noise: law[0] + law[1] * noise(law[0])
    late.T = process.T // 2
    broken = {
        "variance used as standard deviation": (kernel, faint),
        "half of the steps": (kernel, late),
    }
    x_T = Noise(0)(torch.empty(ROWS, 2))
    assert energy_test(sample(kernel, process, x_T, noise=Noise(1)), fresh(0), 0) > 0.01
    for name, (model, chain) in broken.items():
        assert energy_test(sample(model, chain, x_T, noise=Noise(1)), fresh(0), 0) <= 0.01, name


# ---- heartbeats ---------------------------------------------------------------------------------------------------


def best_possible(T: int, rows: int, every: int) -> float:
    """K in bits with the best reverse kernels of independent bits, which are those of q(x_{t-1} | x_t) bit by bit.

    x_0 is one of five sequences, so q(x_0 | x_t) is five numbers and the rates are exact; x_t is drawn.
    """
    process = BinomialDiffusion(erasing_schedule(T), 0.2)
    known = data.load("heartbeat").x.unique(dim=0).double()
    noise = Noise(0)

    def model(x: Tensor, t: Tensor) -> Tensor:
        step = int(t[0])
        rates = process.marginal(known, step)
        likelihood = torch.xlogy(x[:, None], rates).sum(2) + torch.xlogy(1 - x[:, None], 1 - rates).sum(2)
        weight = likelihood.softmax(1)
        each = torch.stack([process.posterior(beat.expand_as(x), x, step) for beat in known], dim=1)
        best = (weight[..., None] * each).sum(1)
        return best.logit() - process.kernel(x, step).logit()

    x_0 = known[torch.arange(rows) % 5]
    total = 0.0
    steps = range(2, T + 1, every)
    for t in steps:
        x_t = process.draw(process.marginal(x_0, t), noise)
        total += process.kl(process.posterior(x_0, x_t, t), process.reverse(model, x_t, t)).sum(1).mean().item()
    return (ends(process, x_0).mean().item() - total * (T - 1) / len(steps)) / log(2)


def test_heartbeat_bound_is_near_the_best_and_no_better(beats):
    """-2.37 bits is the best of 2000 steps (the paper has -2.414); no training could lift 20 steps over the bound."""
    claim = beats.claims[0]
    best, best_of_20 = best_possible(2000, 5000, 20), best_possible(20, 20_000, 1)
    assert best == pytest.approx(-2.37, abs=0.03)
    assert best - 0.45 < claim.value < best + 0.1
    assert claim.control < best_of_20 + 0.1 < claim.bound - 1


def test_the_five_heartbeats_are_equally_frequent(beats):
    known = beats.reference.unique(dim=0)
    assert len(known) == 5
    counts = (beats.samples[:, None] == known).all(2).sum(0).double()
    valid = counts.sum()
    # chi-square with 4 degrees of freedom: 23.5 is exceeded once in 10,000
    assert ((counts - valid / 5).square() / (valid / 5)).sum().item() < 23.5


def test_bound_and_samples_of_an_untrained_chain_are_the_prior():
    """With the forward kernel as reverse kernel the chain stays at its prior, and K is L_null less nothing gained."""
    process = BinomialDiffusion(erasing_schedule(20), 0.2)
    x_0 = data.load("heartbeat").x_test[:2000]

    def untrained(x: Tensor, t: Tensor) -> Tensor:
        return torch.zeros_like(x)

    bits = bound(untrained, process, x_0, noise=Noise(0)).mean().item() / log(2)
    null = -process.prior_entropy(x_0[:1]).item() / log(2)
    assert bits == pytest.approx(null, abs=0.1)
    x_T = process.draw(torch.full((4000, 20), 0.2, dtype=torch.float64), Noise(1)).float()
    ones = sample(untrained, process, x_T, noise=Noise(2)).mean().item()
    assert ones == pytest.approx(0.2, abs=5 * (0.16 / 80_000) ** 0.5)
