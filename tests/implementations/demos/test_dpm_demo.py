"""The kernels that the demo of DPM learns, its controls, and its samples beside the best that could be had."""

from __future__ import annotations

from copy import copy
from math import e, log, pi

import pytest
import torch
from torch import Tensor

from implementations.common.mlp import MLP
from implementations.common.noise import Noise
from implementations.demos import dpm as demo
from implementations.dpm import BinomialDiffusion, GaussianDiffusion, ends, erasing_schedule, sample
from implementations.lab import data
from implementations.lab.demo import Run
from implementations.verification.twosample import energy_test, false_alarms
from tests.implementations.toys import F64

ROWS = 500


@pytest.fixture(scope="module")
def run() -> Run:
    """One run for all the slow tests, so that each network is trained once."""
    return demo.DEMO.run()


def test_the_control_keeps_the_mean_and_takes_the_tables_variance():
    process, x = GaussianDiffusion(torch.tensor([0.02, 0.1, 0.25])), torch.tensor([[1.7], [-0.3]], dtype=F64)

    def model(x, t):
        return torch.cat([x.sin(), x.cos()], dim=1)

    mean, variance = process.reverse(model, x, 3)
    for table in (process.beta, process.posterior_variance):
        got_mean, got_variance = process.reverse(demo.fixed_variance(model, process, table), x, 3)
        torch.testing.assert_close(got_mean, mean)
        torch.testing.assert_close(got_variance, table[3].expand(2, 1))
        assert (variance - table[3]).abs().min() > 0.01


def test_the_kernel_learns_all_rates_but_the_first():
    kernel = demo.SwissRollKernel(T=5, beta_1=0.01)
    process = kernel.process()
    # a geometric grid from beta_1 to one half: each rate is 50^(1/4) times the one before
    assert process.beta[1:].tolist() == pytest.approx([0.01 * 50 ** (k / 4) for k in range(5)])
    process.abar[5].backward()
    slope = kernel.rates.grad
    assert slope is not None and slope.shape == (4,) and (slope != 0).all()
    x, t = torch.ones(3, 2), torch.tensor([2, 3, 5])
    assert kernel(x, t).tolist() == [[0.0] * 4] * 3

    class Told(MLP):
        def forward(self, x, t, y=None, s=None):
            return t[:, None] * torch.tensor([1.0, 2.0, 3.0, 4.0])

    kernel.network = Told(2, 4)
    z_mu, z_Sigma = kernel(x, t).chunk(2, dim=1)
    spread = (1 - process.abar[t]).sqrt()
    for k in (0, 1):
        torch.testing.assert_close(z_mu[:, k].double(), (k + 1) * t / spread, rtol=1e-6, atol=0)
        assert z_Sigma[:, k].tolist() == ((k + 3) * t).tolist()


def test_the_kernel_has_the_papers_40_steps_and_keeps_its_rates_in_float64():
    kernel = demo.SwissRollKernel()
    beta = kernel.process().beta
    assert len(beta) == 41 and beta[1].item() == pytest.approx(1e-3, rel=1e-12)
    assert beta[40].item() == pytest.approx(0.5, rel=1e-12)
    assert [(layer.in_features, layer.out_features) for layer in (kernel.network.inlet, kernel.network.outlet)] == [
        (2, 64),
        (64, 4),
    ]
    assert len(kernel.network.blocks) == 2


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


@pytest.mark.slow
def test_roll_is_bounded_by_its_own_entropy(run):
    """K is below the mean log-density of the data, and within a bit of it; an isotropic Gaussian is 2.7 bits below."""
    bits, truth = demo.roll_bits(run), roll_log_likelihood()
    assert bits.null == pytest.approx(-log(2 * pi * e) / log(2))
    assert truth - 1 < bits.learned < truth
    assert truth - bits.null == pytest.approx(2.7, abs=0.05)


def fresh(seed: int) -> Tensor:
    """Rows that nobody trained on, at the demo's scale."""
    return data.swiss_roll(ROWS, 100 + seed)[0] / data.load("swiss-roll").x.square().mean().sqrt()


@pytest.mark.slow
def test_roll_samples_pass_a_test_that_was_calibrated(run):
    draws = Noise(0)
    x_T = draws(torch.empty(4 * ROWS, 2))
    samples = sample(demo.roll_network(run).model, demo.roll_process(run), x_T, noise=draws)
    alarms = false_alarms(energy_test, lambda k: (fresh(2 * k), fresh(2 * k + 1)), runs=200)
    # by construction 5 % or less; 4 standard deviations of a binomial over 200 runs above that
    assert alarms.rate <= 0.05 + 4 * (0.05 * 0.95 / 200) ** 0.5
    for k in range(4):
        assert energy_test(samples[k * ROWS : (k + 1) * ROWS], fresh(1000 + k), k) > 0.01


@pytest.mark.slow
def test_the_same_test_rejects_broken_samplers(run):
    """Each bug is planted from outside, in what the sampler is given.

    It cannot see finer ones: a network fed t + 2 passes, here as for DDPM.  The fast tests do.
    """
    kernel, process = demo.roll_network(run).model, demo.roll_process(run)
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


@pytest.mark.slow
def test_heartbeat_bound_is_near_the_best_and_no_better(run):
    """-2.37 bits is the best of 2000 steps (the paper has -2.414); no training could lift 20 steps over the bound."""
    claim = demo.heartbeat_bits(run)
    best, best_of_20 = best_possible(2000, 5000, 20), best_possible(20, 20_000, 1)
    assert best == pytest.approx(-2.37, abs=0.03)
    assert best - 0.45 < claim.value < best + 0.1
    assert claim.control < best_of_20 + 0.1 < claim.bound - 1


@pytest.mark.slow
def test_the_five_heartbeats_are_equally_frequent(run):
    known, samples = demo.beats(run).x_test.unique(dim=0), demo.long_chain(run).samples
    assert len(known) == 5
    counts = (samples[:, None] == known).all(2).sum(0).double()
    valid = counts.sum()
    # chi-square with 4 degrees of freedom: 23.5 is exceeded once in 10,000
    assert ((counts - valid / 5).square() / (valid / 5)).sum().item() < 23.5
