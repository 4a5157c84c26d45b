"""What the demo of improved DDPM measures with: ideal variances by Bayes' rule, exact spreads, and its controls."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from implementations import iddpm
from implementations.common.noise import Noise
from implementations.demos import iddpm as demo
from implementations.verification.oracles import Gaussian, GaussianMixture, line
from tests.implementations.toys import F64, lively, rough


def test_the_ideal_variance_is_that_of_x_before_given_x_by_numerical_integration():
    process, law, x = rough(6), line(), torch.tensor([[-1.1], [0.2], [0.7], [2.0]], dtype=F64)
    abar, beta, least = process.abar, process.beta, iddpm.least_variance(process)
    model = demo.ideal(law, process)
    before = torch.linspace(-9, 9, 20_001, dtype=F64)[:, None]
    for t in (1, 2, 4, 6):
        output = model(x, torch.full((4,), t))
        torch.testing.assert_close(output[:, :1], law.eps(x, abar[t] ** 0.5, (1 - abar[t]) ** 0.5))
        prior = law.log_prob(before, abar[t - 1] ** 0.5, (1 - abar[t - 1]) ** 0.5)
        weight = (prior - (x - (1 - beta[t]) ** 0.5 * before.T) ** 2 / (2 * beta[t])).softmax(1)
        mean = weight @ before
        variance = (weight * (before.T - mean) ** 2).sum(1, keepdim=True).clamp(least[t], beta[t])
        torch.testing.assert_close(iddpm.reverse(process, x, t, output)[1], variance, rtol=1e-6, atol=0)


def test_the_ideal_variance_stays_within_its_bounds():
    """Half-way between two far modes it would be far above beta, in a point mass at beta-tilde."""
    process = rough(6)
    x, t = torch.tensor([[0.0]], dtype=F64), torch.tensor([4])
    apart = GaussianMixture([1.0, 1.0], [[-5.0], [5.0]], [0.01, 0.01])
    assert float(demo.ideal(apart, process)(x, t)[0, 1]) == 1
    point = demo.ideal(Gaussian(0.0, 0.0), process)
    assert float(point(x, t)[0, 1]) == pytest.approx(-1, abs=1e-9)
    assert float(point(x, torch.tensor([1]))[0, 1]) == -1


def test_spread_is_that_of_the_samples():
    """In one step from x_T ~ N(0, 1) they are the mean of x_0 given x_T, whose slope is known."""
    process, s = rough(7), 0.4
    abar = float(process.abar[7])
    found = demo.spread(demo.ideal(Gaussian(0.0, s**2), process), process, 1)
    assert found == pytest.approx(abar**0.5 * s**2 / (abar * s**2 + 1 - abar), rel=1e-9)
    every = demo.spread(demo.ideal(Gaussian(0.0, s**2), process), process, 7)
    assert every == pytest.approx(s, rel=0.05)


def test_a_fixed_variance_leaves_the_mean_alone_and_answers_are_remembered():
    process, x, asked = rough(5), Noise(0)(torch.empty(1, 3, dtype=F64)), []

    def network(x, t):
        return torch.cat([lively(x, t), torch.cos(x)], dim=1)

    same = demo.remembering(lambda x, t: asked.append(int(t[0])) or network(x, t))
    laws = demo.variances(same, "own")
    assert list(laws) == ["own", "beta-tilde", "beta"] and laws["own"] is same
    for name, table in (("beta-tilde", process.posterior_variance), ("beta", process.beta)):
        for t in (3, 5):
            mean, variance = iddpm.reverse(process, x, t, laws[name](x, torch.tensor([t])))
            expected, _ = iddpm.reverse(process, x, t, network(x, torch.tensor([t])))
            torch.testing.assert_close(mean, expected)
            torch.testing.assert_close(variance, table[t].expand(1, 3))
    assert asked == [3, 5]


def test_relative_noise_is_the_spread_of_the_weighted_draws():
    """Two times, three draws each: an estimate is L_t / p_t, with p_t / 3 for each draw."""
    terms = torch.tensor([[1.0, 3.0, 2.0], [2.0, 8.0, 5.0]], dtype=F64)
    p = torch.tensor([0.25, 0.75], dtype=F64)
    draws, weight = np.array([4.0, 12.0, 8.0, 8 / 3, 32 / 3, 20 / 3]), np.array([0.25] * 3 + [0.75] * 3) / 3
    mean = (weight * draws).sum()
    assert mean == pytest.approx(7)
    expected = ((weight * (draws - mean) ** 2).sum() ** 0.5) / mean
    assert demo.relative_noise(terms, p) == pytest.approx(expected, rel=1e-12)
