"""NCSN against exact scores, moments of Langevin dynamics solved by hand, and Algorithm 1 written out in numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from implementations import ncsn
from implementations.common.noise import Noise
from implementations.verification.impulses import moments
from implementations.verification.oracles import Gaussian, two_modes
from tests.implementations.toys import F64, LADDER, Given, Told, lively_score


def exact(law):
    return lambda x, sigma: law.score(x, 1.0, sigma)


# T1: levels and loss


def test_default_levels_are_the_papers():
    """Section 5: ten levels from 1 to 0.01."""
    np.testing.assert_allclose(ncsn.geometric_levels().numpy(), np.geomspace(1, 0.01, 10), rtol=1e-14)
    assert ncsn.geometric_levels().dtype == F64


@pytest.mark.parametrize("L", [2, 3, 17])
def test_levels_keep_their_ratio_and_their_ends(L):
    sigmas = ncsn.geometric_levels(20.0, 0.5, L).numpy()
    np.testing.assert_allclose(sigmas, np.geomspace(20.0, 0.5, L), rtol=1e-14)


def test_loss_is_the_weighted_squared_error_written_out():
    x = Noise(0)(torch.empty(7, 2, 3, dtype=F64))
    value = ncsn.loss(lively_score, LADDER, x, noise=Noise(5))
    again = Noise(5)
    level = again.integers(0, 2, x).numpy()
    sigma = LADDER.numpy()[level].reshape(7, 1, 1)
    z = again(x).numpy()
    x_tilde = x.numpy() + sigma * z
    s = np.sin(1.3 * x_tilde + sigma) - 0.4 * x_tilde / sigma
    expected = (sigma**2 * 0.5 * (s + z / sigma) ** 2).sum() / 7
    assert float(value) == pytest.approx(expected, rel=1e-12)


def test_loss_visits_all_levels_equally_often():
    seen = []

    def model(x, sigma):
        assert (x.shape, sigma.shape) == ((20_000, 1), (20_000,))
        seen.append(sigma)
        return x

    ncsn.loss(model, LADDER, torch.zeros(20_000, 1, dtype=F64), noise=Noise(0))
    counts = torch.stack([(seen[0] == sigma).sum() for sigma in LADDER])
    # Binomial(20000, 1/3): five standard deviations are 333
    assert counts.sum() == 20_000
    assert (counts - 20_000 / 3).abs().max() < 333


def test_loss_at_the_exact_score_is_the_bayes_risk_and_minimal():
    """sigma^2 l = |eps - E[eps | x~]|^2 / 2, so its mean is D/2 times the risk of a perfect noise prediction."""
    law, n = two_modes(), 100_000
    x = law.sample(n, noise=Noise(1))
    scale = torch.ones((), dtype=F64, requires_grad=True)
    shift = torch.zeros((), dtype=F64, requires_grad=True)
    value = ncsn.loss(lambda x, sigma: scale * law.score(x, 1.0, sigma) + shift, LADDER, x, noise=Noise(2))
    gradients = torch.autograd.grad(value, [scale, shift])
    risk = np.mean([law.eps_risk(1.0, float(sigma)) for sigma in LADDER])
    # sigma^2 l is at most |eps - E eps|^2 / 2 per row, of variance below 2; d/dscale has variance below 4
    assert float(value.detach()) == pytest.approx(risk, abs=5 * math.sqrt(2 / n))
    assert max(abs(float(g)) for g in gradients) < 5 * math.sqrt(4 / n)


# T2: exact moments


@pytest.mark.parametrize("T", [1, 7])
def test_moments_of_annealing_are_those_of_the_hand_solved_recursion(T):
    """For N(m, s^2) the score at a level is -(x - m) / (s^2 + sigma^2): mean and variance follow scalar recursions."""
    m, s, eps = 0.7, 0.4, 0.05
    law = exact(Gaussian([m], s**2))
    found = moments(lambda x, noise: ncsn.sample(law, LADDER, x, eps=eps, T=T, noise=noise), (1,))
    mean, var = 0.0, 1.0
    for sigma in (1.7, 0.6, 0.25):
        alpha = eps * sigma**2 / 0.25**2
        keep = 1 - alpha / 2 / (s**2 + sigma**2)
        for _ in range(T):
            mean, var = m + keep * (mean - m), keep**2 * var + alpha
    assert float(found.mean) == pytest.approx(mean, abs=1e-9)
    assert float(found.std) == pytest.approx(math.sqrt(var), abs=1e-9)
    assert found.draws == 1 + 3 * T


def test_langevin_settles_at_the_density_of_its_score_as_the_step_falls():
    """The stationary variance of x - a x / 2 v + sqrt(a) z is v / (1 - a / 4v): v itself, but for O(a)."""
    sigma, s = 0.3, 0.4
    v = s**2 + sigma**2
    law = exact(Gaussian([0.0], s**2))
    for alpha, T in [(0.2, 30), (0.02, 250)]:
        found = moments(lambda x, noise, a=alpha, T=T: ncsn.langevin(law, x, sigma, a, T, noise=noise), (1,))
        assert float(found.cov) == pytest.approx(v / (1 - alpha / (4 * v)), rel=1e-6)


# T5: Algorithm 1 in numpy, step by step


def test_sampling_is_algorithm_1_line_by_line():
    x_0 = Noise(1)(torch.empty(5, 2, dtype=F64))
    ours = ncsn.sample(lively_score, LADDER, x_0, eps=0.03, T=4, noise=Noise(2))
    shared, x = Noise(2), x_0.numpy()
    for sigma in LADDER.numpy():
        alpha = 0.03 * sigma**2 / 0.25**2
        for _ in range(4):
            z = shared(x_0).numpy()
            x = x + alpha / 2 * (np.sin(1.3 * x + sigma) - 0.4 * x / sigma) + np.sqrt(alpha) * z
    np.testing.assert_allclose(ours.numpy(), x, rtol=0, atol=1e-12)


def test_default_step_and_length_are_the_papers():
    """Section 5: T = 100, eps = 2e-5.  With a score of zero the noise alone is left: variance T sum of alpha_i."""
    sigmas = ncsn.geometric_levels()
    found = moments(lambda x, noise: ncsn.sample(lambda x, s: 0 * x, sigmas, 0 * x, noise=noise), (1,))
    alphas = [2e-5 * sigma**2 / 0.01**2 for sigma in np.geomspace(1, 0.01, 10)]
    assert float(found.cov) == pytest.approx(100 * sum(alphas), rel=1e-9)
    states = list(ncsn.anneal(lambda x, s: 0 * x, sigmas, torch.zeros(3, 1, dtype=F64), noise=Noise(7)))
    last = ncsn.sample(lambda x, s: 0 * x, sigmas, torch.zeros(3, 1, dtype=F64), noise=Noise(7))
    assert torch.equal(states[-1], last)
    alone = moments(lambda x, noise: ncsn.langevin(lambda x, s: 0 * x, 0 * x, 1.0, 0.3, noise=noise), (1,))
    assert float(alone.cov) == pytest.approx(100 * 0.3, rel=1e-9)


def test_the_network_sees_each_level_T_times_from_the_widest_down():
    seen = []
    ncsn.sample(lambda x, s: seen.append(s.tolist()) or x, LADDER, torch.zeros(2, 1, dtype=F64), eps=1e-3, T=2)
    assert seen == [[s, s] for s in (1.7, 1.7, 0.6, 0.6, 0.25, 0.25)]


def test_a_level_given_as_a_whole_number_is_a_real_one_to_the_network():
    x = torch.zeros(2, 1)

    def model(x, sigma):
        assert (sigma.dtype, sigma.shape) == (x.dtype, (2,))
        return x - sigma[:, None]

    out = ncsn.langevin(model, x, 2, 0.1, 1, noise=Given(torch.zeros_like))
    torch.testing.assert_close(out, torch.full((2, 1), -0.1))


# T6: the network, invariants, errors


def test_score_network_tells_the_nearest_level_and_starts_at_one_over_sigma():
    sigmas = ncsn.geometric_levels(1.0, 0.01, 5)
    network = ncsn.ScoreNetwork(Told(), sigmas)
    out = network(torch.zeros(5, 1, 2, 2), sigmas.float())
    expected = torch.tensor([i / s for i, s in enumerate(sigmas.tolist(), 1)])
    torch.testing.assert_close(out, expected.view(5, 1, 1, 1).expand(5, 1, 2, 2), rtol=1e-5, atol=0)
    nudged = network(torch.zeros(5, 3), 1.4 * sigmas.float())
    torch.testing.assert_close(nudged[:, 0], expected, rtol=1e-5, atol=0)


def test_score_network_learns_one_scale_for_each_level():
    network = ncsn.ScoreNetwork(Told(), LADDER)
    network(torch.zeros(1, 1), torch.tensor([0.6])).sum().backward()
    assert network.log_gain.grad is not None
    assert network.log_gain.grad.tolist() == pytest.approx([0, 2 / 0.6, 0], rel=1e-6)


def test_annealing_ends_where_sampling_does():
    x_0 = Noise(3)(torch.empty(4, 2))
    states = list(ncsn.anneal(lively_score, LADDER, x_0, eps=0.01, T=3, noise=Noise(4)))
    assert len(states) == 3
    assert torch.equal(states[-1], ncsn.sample(lively_score, LADDER, x_0, eps=0.01, T=3, noise=Noise(4)))


def test_batch_of_8_equals_two_of_4_and_arguments_are_unchanged():
    x_0, sigmas = Noise(3)(torch.empty(8, 1, 3, 3)), LADDER.clone()
    kept = x_0.clone()
    whole = ncsn.sample(lively_score, sigmas, x_0, eps=0.01, T=3, noise=Noise(range(8)))
    halves = [
        ncsn.sample(lively_score, sigmas, x_0[k : k + 4], eps=0.01, T=3, noise=Noise(range(k, k + 4))) for k in (0, 4)
    ]
    torch.testing.assert_close(whole, torch.cat(halves))
    assert torch.equal(x_0, kept) and torch.equal(sigmas, LADDER) and whole.dtype == x_0.dtype
    assert not whole.requires_grad


@pytest.mark.parametrize("ends", [(0.01, 1.0, 10), (1.0, 1.0, 10), (1.0, 0.0, 10), (1.0, -1.0, 10), (1.0, 0.01, 1)])
def test_levels_that_do_not_fall_are_refused(ends):
    with pytest.raises(ValueError, match="sigma_1 > sigma_L > 0 and L >= 2"):
        ncsn.geometric_levels(*ends)


@pytest.mark.parametrize("sigmas", [[], [1.0, 2.0], [1.0, 1.0], [1.0, 0.0], [1.0, math.nan]])
def test_a_ladder_that_does_not_fall_is_refused(sigmas):
    with pytest.raises(ValueError, match="must fall and stay above 0"):
        ncsn.sample(lively_score, torch.tensor(sigmas), torch.zeros(1, 1))


@pytest.mark.parametrize(("eps", "T"), [(0.0, 1), (-1.0, 1), (math.nan, 1), (1e-3, 0)])
def test_steps_that_lead_nowhere_are_refused(eps, T):
    with pytest.raises(ValueError, match="alpha > 0 and T >= 1"):
        ncsn.sample(lively_score, LADDER, torch.zeros(1, 1, dtype=F64), eps=eps, T=T)
