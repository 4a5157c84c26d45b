"""NCSNv2's rules against simulation, closed forms and the paper's own tables; its sampler against Algorithm 1."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import optimize, stats
from torch import nn

from implementations import ncsn, ncsnv2
from implementations.common.noise import Noise
from implementations.common.rows import per_row
from implementations.verification.impulses import moments
from implementations.verification.oracles import Gaussian
from tests.implementations.toys import F64, LADDER, lively_score

# D, sigma_1, L, T and eps of the paper's models, all with sigma_L = 0.01 (appendix, and the authors' configurations):
# CIFAR-10, CelebA 64, bedroom 128, FFHQ 256
PUBLISHED = [
    (3 * 32**2, 50, 232, 5, 6.2e-6),
    (3 * 64**2, 90, 500, 5, 3.3e-6),
    (3 * 128**2, 190, 1086, 3, 1.8e-6),
    (3 * 256**2, 348, 2311, 3, 0.9e-6),
]


# Technique 1


def test_largest_distance_is_that_of_the_two_farthest_examples():
    x = Noise(0)(torch.empty(1100, 1, 2, 3, dtype=F64))
    x[7] += 3.0
    x[1090] -= 3.0
    rows = x.flatten(1).numpy()
    expected = max(np.linalg.norm(rows - row, axis=1).max() for row in rows)
    assert ncsnv2.largest_distance(x) == pytest.approx(expected, rel=1e-9)


# Technique 2


@pytest.mark.parametrize("D", [5, 64, 3072])
@pytest.mark.parametrize("gamma", [1.0, 1.02, 1.4])
def test_overlap_is_the_mass_of_three_sd_of_the_wider_shell_under_the_narrower(gamma, D):
    """Lengths: N(sqrt(D) s, s^2 / 2).  Here s = 1 below and gamma above."""
    length = stats.norm(math.sqrt(D), math.sqrt(0.5))
    middle, reach = math.sqrt(D) * gamma, 3 * gamma * math.sqrt(0.5)
    expected = length.cdf(middle + reach) - length.cdf(middle - reach)
    assert ncsnv2.overlap(gamma, D) == pytest.approx(expected, abs=1e-9)


def test_overlap_foretells_the_lengths_of_real_draws():
    """In 3072 dimensions: the share of chi-distributed lengths within three sd of the wider level's."""
    D, gamma = 3072, 1.04
    low, high = (stats.chi(D).mean() * gamma + k * 3 * gamma * stats.chi(D).std() for k in (-1, 1))
    assert ncsnv2.overlap(gamma, D) == pytest.approx(stats.chi(D).cdf(high) - stats.chi(D).cdf(low), abs=0.01)


@pytest.mark.parametrize("C", [0.0101, 0.5, 0.98])
@pytest.mark.parametrize("D", [5, 64, 196_608])
def test_common_ratio_solves_for_the_overlap(D, C):
    def excess(gamma):
        shift = math.sqrt(2 * D) * (gamma - 1)
        return stats.norm.cdf(shift + 3 * gamma) - stats.norm.cdf(shift - 3 * gamma) - C

    expected = optimize.brentq(excess, 1.0, 60.0 if D == 5 else 3.0, xtol=1e-14)
    assert ncsnv2.common_ratio(D, C) == pytest.approx(expected, rel=1e-10)


def test_default_overlap_is_one_half():
    assert ncsnv2.common_ratio(3072) == ncsnv2.common_ratio(3072, 0.5)
    assert ncsnv2.overlap(ncsnv2.common_ratio(3072), 3072) == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize(("D", "sigma_1", "L", "T", "eps"), PUBLISHED)
def test_published_ladders_all_have_the_same_overlap(D, sigma_1, L, T, eps):
    """sigma_1 and L of four data sets from 3072 to 196608 dimensions: one rule fits them."""
    gamma = (sigma_1 / 0.01) ** (1 / (L - 1))
    assert ncsnv2.overlap(gamma, D) == pytest.approx(0.567, abs=0.0015)
    assert 1 + math.log(sigma_1 / 0.01) / math.log(ncsnv2.common_ratio(D, 0.567)) == pytest.approx(L, rel=0.003)


def test_noise_levels_run_from_the_largest_distance_to_sigma_L():
    x = 2 * Noise(0)(torch.empty(30, 5, 4, dtype=F64))
    for options, sigma_L, C in [({}, 0.01, 0.5), ({"sigma_L": 0.3, "C": 0.8}, 0.3, 0.8)]:
        sigmas = ncsnv2.noise_levels(x, **options).numpy()
        assert sigmas[0] == pytest.approx(np.max([np.linalg.norm(a - b) for a in x for b in x]), rel=1e-9)
        gamma = ncsnv2.common_ratio(20, C)
        assert len(sigmas) == 1 + round(math.log(sigmas[0] / sigma_L) / math.log(gamma))
        np.testing.assert_allclose(sigmas, np.geomspace(sigmas[0], sigma_L, len(sigmas)), rtol=1e-12)


def test_a_narrow_range_still_has_two_levels():
    x = torch.tensor([[0.0] * 9, [0.004] * 9], dtype=F64)
    np.testing.assert_allclose(ncsnv2.noise_levels(x).numpy(), [0.012, 0.01], rtol=1e-12)


# Technique 3


class Level(nn.Module):
    """Returns x plus what it was told of the level."""

    def forward(self, x, t):
        assert t.shape == x.shape[:1]
        return x + per_row(t, x)


@pytest.mark.parametrize("shape", [(3, 2), (3, 1, 4, 4)])
def test_unconditional_network_is_told_nothing_and_divided_by_sigma(shape):
    x, sigma = Noise(0)(torch.empty(shape, dtype=F64)), torch.tensor([0.1, 2.0, 5.0], dtype=F64)
    out = ncsnv2.Unconditional(Level())(x, sigma)
    for row in range(3):
        torch.testing.assert_close(out[row], x[row] / sigma[row])


# Technique 4


@pytest.mark.parametrize("i", [1, 2, 3])
@pytest.mark.parametrize("T", [1, 5])
def test_predicted_variance_is_that_of_the_sampler_at_each_level(i, T):
    """Exact, by impulses: data at one point, the level starts from N(0, sigma_{i-1}^2), the sampler runs that level."""
    sigma_L, gamma, eps = 0.02, 1.5, 1.3e-4
    sigmas = sigma_L * gamma ** torch.arange(3, -1, -1, dtype=F64)
    point = Gaussian([0.0], 0.0)
    before, sigma = sigmas[i - 1].item(), sigmas[i].item()

    def level(x, noise):
        alpha = 2 * eps * sigma**2 / sigma_L**2
        return ncsn.langevin(lambda x, s: point.score(x, 1.0, s), before * x, sigma, alpha, T, noise=noise)

    found = moments(level, (1,))
    assert float(found.cov) / sigma**2 == pytest.approx(ncsnv2.variance_ratio(eps, T, gamma, sigma_L), rel=1e-12)


@pytest.mark.parametrize(("eps", "T"), [(1e-5, 1), (3e-5, 40), (1.9e-4, 3)])
def test_predicted_variance_solves_the_recursion(eps, T):
    sigma_L, gamma = 0.01, 1.7
    var = gamma**2
    for _ in range(T):
        var = (1 - eps / sigma_L**2) ** 2 * var + 2 * eps / sigma_L**2
    assert ncsnv2.variance_ratio(eps, T, gamma, sigma_L) == pytest.approx(var, rel=1e-12)


@pytest.mark.parametrize(("D", "sigma_1", "L", "T", "eps"), PUBLISHED)
def test_step_size_is_the_published_one(D, sigma_1, L, T, eps):
    """The paper gives two digits or one: half a unit of the last."""
    found = ncsnv2.step_size(ncsn.geometric_levels(sigma_1, 0.01, L), T)
    assert found == pytest.approx(eps, abs=0.5e-7)
    assert T != 5 or found == ncsnv2.step_size(ncsn.geometric_levels(sigma_1, 0.01, L))


@pytest.mark.parametrize("T", [1, 20, 1000])
@pytest.mark.parametrize("gamma", [1.01, 1.668])
def test_step_size_is_where_the_variance_is_nearest_right(gamma, T):
    """In closed form for one step, 1 - eps / sigma_L^2 = 1 / gamma^2; else against a general-purpose minimiser."""
    sigma_L = 0.05
    sigmas = sigma_L * gamma ** torch.arange(4, -1, -1, dtype=F64)
    u = ncsnv2.step_size(sigmas, T) / sigma_L**2

    def ratio(v):
        b = 2 * v / (1 - (1 - v) ** 2)
        return abs((1 - v) ** (2 * T) * (gamma**2 - b) + b - 1)

    start = np.geomspace(1e-5, 1, 200)
    best = start[np.argmin([ratio(v) for v in start])]
    bounds, options = (best / 1.1, min(best * 1.1, 1)), {"xatol": 1e-5 * best}
    found = optimize.minimize_scalar(ratio, bounds=bounds, method="bounded", options=options)
    assert isinstance(found, optimize.OptimizeResult)
    expected = found.x
    # the grid has steps of 1.2e-4, the minimiser stops at about 1e-5, both relative
    assert u == pytest.approx(1 - 1 / gamma**2 if T == 1 else expected, rel=1e-3)
    assert ratio(u) <= ratio(expected) * (1 + 1e-6)


@pytest.mark.parametrize("gamma", [1.01, 1.668])
def test_step_size_of_very_many_steps_is_that_of_the_limit_in_closed_form(gamma):
    """For small u = eps / sigma_L^2 the ratio is 1 + u / 2 + (gamma^2 - 1) exp(-2 T u), with derivative 0 at this u.

    The next terms move it by some T u^2, 1e-4 of it.  Rounding matters more: 1 - (1 - u)^2 leaves an error of about
    1e-11 in the ratio, which hides what lies within 2e-3 of its minimum.
    """
    T, sigma_L = 10**6, 0.05
    sigmas = sigma_L * gamma ** torch.arange(4, -1, -1, dtype=F64)
    expected = math.log(4 * T * (gamma**2 - 1)) / (2 * T)
    assert ncsnv2.step_size(sigmas, T) / sigma_L**2 == pytest.approx(expected, rel=0.01)


# The sampler


@pytest.mark.parametrize("denoised", [True, False])
def test_moments_of_sampling_are_those_of_the_hand_solved_recursion(denoised):
    m, s, eps, T = 0.7, 0.4, 0.02, 3
    law = Gaussian([m], s**2)

    def run(x, noise):
        model = lambda x, sigma: law.score(x, 1.0, sigma)  # noqa: E731
        return ncsnv2.sample(model, LADDER, x, eps=eps, T=T, denoised=denoised, noise=noise)

    found = moments(run, (1,))
    mean, var = 0.0, 1.0
    for sigma in (1.7, 0.6, 0.25):
        alpha = eps * sigma**2 / 0.25**2
        keep = 1 - alpha / (s**2 + sigma**2)
        for _ in range(T):
            mean, var = m + keep * (mean - m), keep**2 * var + 2 * alpha
    if denoised:
        gain = s**2 / (s**2 + 0.25**2)
        mean, var = m + gain * (mean - m), gain**2 * var
    assert float(found.mean) == pytest.approx(mean, abs=1e-9)
    assert float(found.std) == pytest.approx(math.sqrt(var), abs=1e-9)


def test_sampling_is_algorithm_1_line_by_line_and_denoises_by_default():
    x_0 = Noise(1)(torch.empty(5, 2, dtype=F64))
    ours = ncsnv2.sample(lively_score, LADDER, x_0, eps=0.015, noise=Noise(2))
    shared, x = Noise(2), x_0.numpy()
    for sigma in LADDER.numpy():
        alpha = 0.015 * sigma**2 / 0.25**2
        for _ in range(5):
            z = shared(x_0).numpy()
            x = x + alpha * (np.sin(1.3 * x + sigma) - 0.4 * x / sigma) + np.sqrt(2 * alpha) * z
    x = x + 0.25**2 * (np.sin(1.3 * x + 0.25) - 0.4 * x / 0.25)
    np.testing.assert_allclose(ours.numpy(), x, rtol=0, atol=1e-12)
    assert not ours.requires_grad


def test_a_point_mass_is_returned_exactly():
    """At the last level the score of one point leads straight back to it."""
    c = torch.tensor([[0.3, -2.0]], dtype=F64)

    def point(x, sigma):
        return (c - x) / sigma.view(-1, 1) ** 2

    out = ncsnv2.sample(point, LADDER, Noise(3)(torch.empty(9, 2, dtype=F64)), eps=0.01, noise=Noise(4))
    torch.testing.assert_close(out, c.expand(9, 2), rtol=0, atol=1e-12)


def test_the_network_sees_L_T_levels_and_the_last_once_more():
    seen = []
    ncsnv2.sample(lambda x, s: seen.append(s.tolist()) or x, LADDER, torch.zeros(2, 1, dtype=F64), eps=1e-3, T=2)
    assert seen == [[s, s] for s in (1.7, 1.7, 0.6, 0.6, 0.25, 0.25, 0.25)]


def test_batch_of_8_equals_two_of_4_in_the_networks_precision():
    x_0 = Noise(3)(torch.empty(8, 1, 3, 3))
    kept = x_0.clone()
    whole = ncsnv2.sample(lively_score, LADDER, x_0, eps=0.01, noise=Noise(range(8)))
    halves = [
        ncsnv2.sample(lively_score, LADDER, x_0[k : k + 4], eps=0.01, noise=Noise(range(k, k + 4))) for k in (0, 4)
    ]
    torch.testing.assert_close(whole, torch.cat(halves))
    assert torch.equal(x_0, kept) and whole.dtype == x_0.dtype


# Errors


@pytest.mark.parametrize(("D", "C"), [(4, 0.5), (5, 0.01), (5, 0.99), (5, math.nan)])
def test_a_ratio_that_does_not_exist_is_refused(D, C):
    with pytest.raises(ValueError, match="D of at least 5 and C in"):
        ncsnv2.common_ratio(D, C)


def test_a_data_set_smaller_than_its_last_level_is_refused():
    x = torch.zeros(2, 9, dtype=F64)
    x[1, 0] = 0.01
    with pytest.raises(ValueError, match=r"sigma_L = 0\.01 must be below the greatest distance of two examples, 0\.01"):
        ncsnv2.noise_levels(x)


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match="T must be at least 1 step per level, not 0"):
        ncsnv2.step_size(LADDER, 0)
