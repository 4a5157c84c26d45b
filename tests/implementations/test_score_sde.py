"""The three SDEs against their moment equations, samplers against recursions in numpy, likelihood against density."""

from __future__ import annotations

import inspect
import math
from itertools import pairwise, product
from typing import Any, cast

import numpy as np
import pytest
import torch
from diffusers.schedulers.deprecated.scheduling_sde_vp import ScoreSdeVpScheduler
from diffusers.schedulers.scheduling_euler_ancestral_discrete import EulerAncestralDiscreteScheduler
from diffusers.schedulers.scheduling_sde_ve import ScoreSdeVeScheduler
from flow_matching.solver import ODESolver
from scipy.integrate import solve_ivp
from scipy.stats import norm
from torch import nn

from implementations import ddpm
from implementations import score_sde as sde_
from implementations.common.noise import Noise
from implementations.common.rows import for_all, per_row
from implementations.score_sde import VE, VP, SubVP
from implementations.verification import solver_order
from implementations.verification.impulses import moments
from implementations.verification.oracles import two_modes
from tests.implementations.toys import F64, Given, Told, refuse

SMALL = {"ve": VE(0.1, 5.0), "vp": VP(0.3, 8.0), "sub-vp": SubVP(0.3, 8.0)}
each = pytest.mark.parametrize("kind", SMALL)


def lively(x, t):
    """A score that depends on x and on t, neither affinely."""
    t = per_row(t, x)
    return torch.sin(1.3 * x + 2 * t) - 0.4 * x / (0.5 + t)


def lively_at(x, t):
    """The same in numpy, at one time."""
    return np.sin(1.3 * x + 2 * t) - 0.4 * x / (0.5 + t)


def exact(law, sde):
    return lambda x, t: law.score(x, *sde.kernel(t))


def normal(sde, m, v):
    """The score of N(m, v), noisy."""

    def model(x, t):
        alpha, sigma = (c[0].to(x) for c in sde.kernel(t))
        return -(x - alpha * m) / (alpha**2 * v + sigma**2)

    return model


def formulas(kind, t):
    """rate, g^2, alpha, sigma of the small SDEs, as the paper prints them (Eq. 30 to 34)."""
    if kind == "ve":
        sigma = 0.1 * 50.0**t
        return 0.0, sigma**2 * 2 * math.log(50.0), 1.0, sigma
    beta, area = 0.3 + 7.7 * t, 0.3 * t + 7.7 * t**2 / 2
    if kind == "vp":
        return -beta / 2, beta, math.exp(-area / 2), math.sqrt(1 - math.exp(-area))
    return -beta / 2, beta * (1 - math.exp(-2 * area)), math.exp(-area / 2), 1 - math.exp(-area)


def chain(kind, s, t):
    """A and G of one forward step: Eq. 8, Eq. 10 with beta_i = beta(t) (t - s), and Euler-Maruyama."""
    rate, g2, _, sigma = formulas(kind, t)
    if kind == "ve":
        return 1.0, math.sqrt(sigma**2 - formulas(kind, s)[3] ** 2)
    if kind == "vp":
        beta = (0.3 + 7.7 * t) * (t - s)
        return math.sqrt(1 - beta), math.sqrt(beta)
    return 1 + rate * (t - s), math.sqrt(g2 * (t - s))


class Recorded(Noise):
    """Gives prepared draws, one after the other."""

    def __init__(self, *draws):
        super().__init__()
        self.draws = list(draws)

    def __call__(self, like):
        return self.draws.pop(0).expand_as(like)

    def uniform(self, like):
        return self.draws.pop(0).expand_as(like)


# T1: the processes


@each
@pytest.mark.parametrize("t", [0.001, 0.37, 1.0])
def test_coefficients_are_the_papers(kind, t):
    sde, (rate, g2, alpha, sigma) = SMALL[kind], formulas(kind, t)
    assert float(sde.rate(t)) == pytest.approx(rate, rel=1e-12)
    assert float(sde.diffusion(t)) == pytest.approx(math.sqrt(g2), rel=1e-12)
    assert [float(v) for v in sde.kernel(t)] == pytest.approx([alpha, sigma], rel=1e-9)
    assert [float(v) for v in sde.step(0.9 * t, t)] == pytest.approx(chain(kind, 0.9 * t, t), rel=1e-9)
    assert all(v.dtype == F64 for v in (sde.rate(t), sde.diffusion(t), *sde.kernel(torch.tensor(t))))


@each
def test_kernels_solve_the_moment_equations_of_their_sde(kind):
    """d mean / dt = rate mean, d var / dt = 2 rate var + g^2.  VE starts with the variance sigma_min^2 (appendix C)."""
    sde = SMALL[kind]

    def slope(t, y):
        rate, g = float(sde.rate(t)), float(sde.diffusion(t))
        return [rate * y[0], 2 * rate * y[1] + g**2]

    start = [1.0, 0.01 if kind == "ve" else 0.0]
    answer = solve_ivp(slope, (0.0, 1.0), start, t_eval=[0.2, 0.6, 1.0], rtol=1e-10, atol=1e-12)
    for t, mean, var in zip(answer.t, *answer.y, strict=True):
        alpha, sigma = sde.kernel(t)
        assert float(alpha) == pytest.approx(mean, rel=1e-7)
        assert float(sigma) ** 2 == pytest.approx(var, rel=1e-7)


def test_defaults_are_the_papers():
    """Appendix C: 0.01, chosen by the data (50 for CIFAR-10 in the authors' code); 0.1 and 20; eps 1e-5 and 1e-3."""
    assert (VE().sigma_min, VE().sigma_max, VE.eps, VE().prior_std) == (0.01, 50.0, 1e-5, 50.0)
    for sde in (VP(), SubVP()):
        assert (sde.beta_min, sde.beta_max, sde.eps, sde.prior_std) == (0.1, 20.0, 1e-3, 1.0)
    assert sde_.EPS == 1e-5


def test_sub_vp_has_the_variance_of_equation_28_which_vp_bounds():
    """Sigma(t) = I + e^-2B + e^-B (Sigma(0) - 2), whatever Sigma(0)."""
    vp, sub, t = VP(), SubVP(), torch.linspace(0.01, 1, 9, dtype=F64)
    area = 0.1 * t + 19.9 * t.square() / 2
    alpha, sigma = sub.kernel(t)
    for start in (0.0, 0.3, 1.0):
        expected = 1 + (-2 * area).exp() + (-area).exp() * (start - 2)
        torch.testing.assert_close(alpha.square() * start + sigma.square(), expected, rtol=0, atol=1e-12)
    assert (sigma <= vp.kernel(t)[1]).all()


@each
def test_perturbing_takes_a_time_for_each_row(kind):
    x, z, t = (Noise(k)(torch.empty(2, 3, 1, 2)) for k in (0, 1, 2))
    t = torch.tensor([0.2, 0.9], dtype=F64)
    out = SMALL[kind].perturb(x, t, z)
    for row in range(2):
        _, _, alpha, sigma = formulas(kind, float(t[row]))
        np.testing.assert_allclose(out[row].numpy(), alpha * x[row].numpy() + sigma * z[row].numpy(), rtol=1e-5)
    assert out.dtype == x.dtype


@each
def test_prior_is_normal(kind):
    x = 2 * Noise(0)(torch.empty(4, 3, 2, dtype=F64))
    expected = norm.logpdf(x.numpy(), scale=5.0 if kind == "ve" else 1.0).sum((1, 2))
    np.testing.assert_allclose(SMALL[kind].prior_log_prob(x).numpy(), expected, rtol=1e-12)


def test_times_fall_evenly_from_1_to_eps():
    np.testing.assert_allclose(sde_.times(VP(), 5), np.linspace(1, 1e-3, 5), rtol=1e-14)
    assert sde_.times(VE(), 2) == [1.0, 1e-5]
    assert sde_.times(VE(), 1) == [1.0]


# T1: losses


@each
@pytest.mark.parametrize("weight", [None, lambda t: 3 + t])
def test_loss_is_the_weighted_squared_error_written_out(kind, weight):
    sde, x = SMALL[kind], Noise(0)(torch.empty(5, 2, 3, dtype=F64))
    value = sde_.loss(lively, sde, x, weight=weight, noise=Noise(3))
    again, total = Noise(3), 0.0
    u, z = again.uniform(torch.empty(5, dtype=F64)).numpy(), again(x).numpy()
    for row in range(5):
        t = 1e-5 + (1 - 1e-5) * u[row]
        _, _, alpha, sigma = formulas(kind, t)
        error = lively_at(alpha * x[row].numpy() + sigma * z[row], t) + z[row] / sigma
        total += (sigma**2 if weight is None else 3 + t) * (error**2).sum() / 5
    assert float(value) == pytest.approx(total, rel=1e-9)


@each
def test_loss_at_the_exact_score_is_the_bayes_risk_and_minimal(kind):
    """For N(m, v) it is alpha^2 v / (alpha^2 v + sigma^2) at t, the variance of z given x(t), whatever m."""
    sde, m, v, n = SMALL[kind], 0.7, 0.16, 40_000
    x = m + math.sqrt(v) * Noise(1)(torch.empty(n, 1, dtype=F64))
    scale = torch.ones((), dtype=F64, requires_grad=True)

    def model(x, t):
        alpha, sigma = (c[:, None] for c in sde.kernel(t))
        return -scale * (x - alpha * m) / (alpha**2 * v + sigma**2)

    value = sde_.loss(model, sde, x, noise=Noise(2))
    (gradient,) = torch.autograd.grad(value, scale)
    grid = np.linspace(1e-5, 1, 1001)
    levels = np.array([formulas(kind, t)[2:] for t in grid])
    risk = np.trapezoid(1 / (1 + (levels[:, 1] / levels[:, 0]) ** 2 / v), grid)
    # a row's error is at most z^2 in law, of variance 2; its slope in the scale has a variance below 4
    assert float(value.detach()) == pytest.approx(risk, abs=5 * math.sqrt(2 / n))
    assert abs(float(gradient)) < 5 * math.sqrt(4 / n)


def test_random_times_are_uniform_down_to_eps():
    t = sde_.random_times(torch.empty(3, 2), Recorded(torch.tensor([0.0, 0.25, 1.0], dtype=F64)))
    np.testing.assert_allclose(t.numpy(), [1e-5, 0.25 + 0.75e-5, 1.0], rtol=1e-14)


def test_classifier_loss_is_the_cross_entropy_at_noisy_data():
    sde, x, y = SMALL["vp"], Noise(0)(torch.empty(4, 3, dtype=F64)), torch.tensor([2, 0, 1, 1])
    value = sde_.classifier_loss(lively, sde, x, y, noise=Noise(3))
    again, total = Noise(3), 0.0
    u, z = again.uniform(torch.empty(4, dtype=F64)).numpy(), again(x).numpy()
    for row in range(4):
        t = 1e-5 + (1 - 1e-5) * u[row]
        _, _, alpha, sigma = formulas("vp", t)
        logits = lively_at(alpha * x[row].numpy() + sigma * z[row], t)
        total += (np.log(np.exp(logits).sum()) - logits[y[row]]) / 4
    assert float(value) == pytest.approx(total, rel=1e-9)


@each
def test_score_network_divides_the_noise_by_its_scale(kind):
    out = sde_.ScoreNetwork(Told(), SMALL[kind])(torch.zeros(2, 1, 2), torch.tensor([0.3, 1.0]))
    assert out.dtype == torch.float32
    for row, t in enumerate((0.3, 1.0)):
        np.testing.assert_allclose(out[row].numpy(), -999 * t / formulas(kind, t)[3], rtol=1e-5)


@each
def test_noise_score_and_data_are_one_guess(kind):
    """Of a mixture: the score made of E[z | x] is the density's own slope, and Tweedie makes E[x(0) | x] of it."""
    law, sde, t = two_modes(), SMALL[kind], 0.4
    alpha, sigma = formulas(kind, t)[2:]
    x = law.sample(5, alpha=alpha, sigma=sigma, noise=Noise(0)).requires_grad_()
    (slope,) = torch.autograd.grad(law.log_prob(x, alpha, sigma).sum(), x)
    x = x.detach()

    class Perfect(nn.Module):
        def forward(self, x, i):
            assert (i == 999 * t).all()
            return law.eps(x, alpha, sigma)

    score = sde_.ScoreNetwork(Perfect(), sde)
    torch.testing.assert_close(score(x, for_all(t, x)), slope, rtol=0, atol=1e-10)
    torch.testing.assert_close(sde_.denoise(score, sde, x, t), law.denoise(x, alpha, sigma), rtol=0, atol=1e-10)


# T2: exact moments of samplers

STEPS = {"em": sde_.euler_maruyama, "rd": sde_.reverse_diffusion, "flow": sde_.probability_flow_step}


def backwards(kind, how, t, s):
    """(of x, of the score, of the noise) in one step from t down to s, from the paper's formulas."""
    rate, g2, _, sigma = formulas(kind, t)
    A, G = chain(kind, s, t)
    if how == "em":
        return 1 - rate * (t - s), g2 * (t - s), math.sqrt(g2 * (t - s))
    if how == "rd":
        return 2 - A, G**2, G
    if how == "flow":
        return 2 - A, G**2 / 2, 0.0
    below = formulas(kind, s)[3]
    return 1.0, G**2, math.sqrt(below**2 * (sigma**2 - below**2) / sigma**2)


@pytest.mark.parametrize(("kind", "how"), [*product(SMALL, STEPS), ("ve", "ancestral")])
@pytest.mark.parametrize("N", [1, 12])
def test_moments_of_predictors_are_those_of_the_papers_recursions(kind, how, N):
    sde, m, var_0 = SMALL[kind], 0.7, 0.16
    predictor = STEPS.get(how, sde_.ancestral)

    def sampler(x_T, noise):
        return sde_.sample(normal(sde, m, var_0), sde, sde.prior_std * x_T, N, M=0, predictor=predictor, noise=noise)

    found = moments(sampler, (1,))
    eps = 1e-5 if kind == "ve" else 1e-3
    mean, var = 0.0, 25.0 if kind == "ve" else 1.0
    levels = np.linspace(1, eps, N)
    for t, s in pairwise(levels):
        _, _, alpha, sigma = formulas(kind, t)
        of_x, of_score, of_z = backwards(kind, how, t, s)
        pull = of_score / (alpha**2 * var_0 + sigma**2)
        mean, var = (of_x - pull) * mean + pull * alpha * m, (of_x - pull) ** 2 * var + of_z**2
    _, _, alpha, sigma = formulas(kind, levels[-1])
    gain = alpha * var_0 / (alpha**2 * var_0 + sigma**2)
    assert float(found.mean) == pytest.approx(m + gain * (mean - alpha * m), abs=1e-9)
    assert float(found.std) == pytest.approx(gain * math.sqrt(var), abs=1e-9)


def test_a_step_of_flow_draws_nothing():
    sde_.probability_flow_step(lively, VE(), torch.zeros(2, 1), 0.5, 0.4, noise=Given(refuse))


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_a_time_given_as_a_whole_number_is_a_real_one_to_the_network(dtype):
    sde, x, told = SMALL["ve"], torch.ones(3, 1, dtype=dtype), []

    def model(x, t):
        told.append(t)
        return -x * t[:, None]

    ones = Given(torch.ones_like)
    steps = [*STEPS.values(), sde_.ancestral]
    velocity = sde_.probability_flow(model, sde)
    whole = [step(model, sde, x, 1, 0, noise=ones) for step in steps]
    whole += [sde_.langevin(model, x, 1, noise=ones), sde_.denoise(model, sde, x, 1), velocity(x, 1)]
    assert len(told) == 7
    assert all((t.dtype, t.tolist()) == (dtype, [1.0, 1.0, 1.0]) for t in told)
    real = [step(model, sde, x, 1.0, 0.0, noise=ones) for step in steps]
    real += [sde_.langevin(model, x, 1.0, noise=ones), sde_.denoise(model, sde, x, 1.0), velocity(x, 1.0)]
    assert all(torch.equal(a, b) for a, b in zip(whole, real, strict=True))


@pytest.mark.parametrize("p", [-0.2, 0.2])
def test_a_wrong_score_harms_predictors_twice_as_much_as_the_corrector(p):
    """Data at one point, and a score (1 + p) times too large.  In units of its level's, the variance c of the SDE obeys
    dc / d log sigma^2 = (1 + 2 p) c - 1, so it tends to 1 / (1 + 2 p).  Langevin's step has the size 2 r^2 / (1 + p)^2
    c there, from which its stationary variance follows, (1 + r^2) / (1 + p).
    """
    sde, times, r = VE(0.01, 10.0), np.linspace(1, 0.5, 200), 0.3
    level = 0.1**0.5

    def wrong(x, t):
        return -(1 + p) * x / sde.kernel(t[0])[1].square()

    def run(x, noise):
        x = 10 * x
        for t, s in pairwise(times):
            x = sde_.euler_maruyama(wrong, sde, x, t, s, noise=noise)
        return x / level

    settled = 1 / (1 + 2 * p)
    expected = settled + (1 - settled) * (level / 10) ** (2 + 4 * p)
    assert float(moments(run, (1,), draws=200).cov) == pytest.approx(expected, rel=0.05)

    noise = Noise(2)
    x = level * noise(torch.empty(20_000, 1, dtype=F64))
    for _ in range(40):
        x = sde_.langevin(wrong, x, 0.5, r=r, noise=noise)
    # the standard error of a variance of 20000 draws is 1 %
    assert float(x.var()) / level**2 == pytest.approx((1 + r**2) / (1 + p), rel=0.05)


# T3: orders


@pytest.mark.parametrize(("kind", "how"), [("ve", "rd"), ("ve", "flow"), ("vp", "rd"), ("vp", "em"), ("sub-vp", "em")])
def test_predictors_converge_with_order_1_to_the_moments_of_the_continuous_process(kind, how):
    sde, m, var_0 = SMALL[kind], 0.7, 0.16
    eps = 1e-5 if kind == "ve" else 1e-3
    share = 0.5 if how == "flow" else 1.0

    def reverse(t, y):
        rate, g2, alpha, sigma = formulas(kind, t)
        pull = share * g2 / (alpha**2 * var_0 + sigma**2)
        return [
            rate * y[0] + pull * (y[0] - alpha * m),
            2 * (rate + pull) * y[1] - (0 if how == "flow" else g2),
        ]

    start = [0.0, 25.0 if kind == "ve" else 1.0]
    mean, var = solve_ivp(reverse, (1.0, eps), start, rtol=1e-10, atol=1e-12).y[:, -1]
    _, _, alpha, sigma = formulas(kind, eps)
    gain = alpha * var_0 / (alpha**2 * var_0 + sigma**2)
    truth = torch.tensor([m + gain * (mean - alpha * m), gain * math.sqrt(var)], dtype=F64)

    def solution(N):
        def sampler(x_T, noise):
            model = normal(sde, m, var_0)
            return sde_.sample(model, sde, sde.prior_std * x_T, N, M=0, predictor=STEPS[how], noise=noise)

        found = moments(sampler, (1,), draws=1 if how == "flow" else N)
        return torch.cat([found.mean, found.std])

    solver_order.measure(solution, truth, [25, 50, 100]).require(0.85, 1.2)


@each
def test_flow_follows_the_exact_path_of_a_gaussian_both_ways(kind):
    """x(t) = alpha m + (x(0) - m) sqrt(alpha^2 v + sigma^2) / sqrt(v): each quantile stays itself."""
    sde, m, v = SMALL[kind], 0.7, 0.16
    model = normal(sde, m, v)

    def place(t, quantile):
        _, _, alpha, sigma = formulas(kind, t)
        return alpha * m + quantile * math.sqrt(alpha**2 * v + sigma**2)

    quantile = torch.tensor([[-1.5], [0.2], [2.0]], dtype=F64)
    low, high = place(0.01, quantile), place(1.0, quantile)
    torch.testing.assert_close(sde_.flow(model, sde, high, 1.0, 0.01), low, rtol=0, atol=1e-3)
    torch.testing.assert_close(sde_.flow(model, sde, low, 0.01, 1.0, tolerance=1e-9), high, rtol=1e-6, atol=1e-6)
    path = sde_.solve(sde_.probability_flow(model, sde), high, (1.0, 0.6, 0.01), tolerance=1e-8)
    for t, state in zip((1.0, 0.6, 0.01), path, strict=True):
        torch.testing.assert_close(state, place(t, quantile), rtol=1e-3, atol=1e-4)


def test_tolerance_bounds_the_error_of_a_step():
    """Of dx/dt = -x from 0 to 2, at the default, which is the paper's (appendix D), and ten thousand times finer."""
    x = torch.ones(2, 1, dtype=F64)
    errors = [
        float((sde_.solve(lambda x, t: -x, x, (0.0, 2.0), **o)[-1] - math.exp(-2)).abs().max())
        for o in ({}, {"tolerance": 1e-9})
    ]
    assert 1e-7 < errors[0] < 1e-4
    assert errors[1] < 1e-8
    for solver in (sde_.solve, sde_.flow, sde_.log_likelihood):
        assert inspect.signature(solver).parameters["tolerance"].default == 1e-5


def test_a_state_that_wants_a_gradient_is_solved_from_its_numbers():
    start = torch.ones(2, dtype=F64, requires_grad=True)
    path = sde_.solve(lambda x, t: -x, start, (0.0, 1.0), tolerance=1e-9)
    assert not path.requires_grad
    torch.testing.assert_close(path[-1], start.detach() * math.exp(-1), rtol=1e-6, atol=0)


def test_going_up_to_the_prior_and_down_again_is_the_identity():
    sde, x = SMALL["vp"], Noise(1)(torch.empty(4, 1, 2, 3, dtype=F64))
    code = sde_.flow(lively, sde, x, 1e-3, 1.0, tolerance=1e-10)
    assert (code - x).abs().min() > 1e-3
    torch.testing.assert_close(sde_.flow(lively, sde, code, 1.0, 1e-3, tolerance=1e-10), x, rtol=0, atol=1e-7)


def test_points_that_require_gradients_are_solved_for_without():
    x = torch.ones(2, 1, dtype=F64, requires_grad=True)
    state = sde_.solve(lambda x, t: -x, x, (0.0, 1.0), tolerance=1e-8)[-1]
    np.testing.assert_allclose(state.numpy(), math.exp(-1), rtol=1e-6)
    assert torch.equal(sde_.log_likelihood(lively, VP(), x), sde_.log_likelihood(lively, VP(), x.detach()))


def test_an_ode_that_has_no_solution_is_named():
    with pytest.raises(RuntimeError, match=r"could not be solved from 0\.0 to 2\.0"):
        sde_.solve(lambda x, t: x.square(), torch.ones(1, 1, dtype=F64), (0.0, 2.0))


# T4: likelihood


@each
def test_likelihood_of_the_ode_is_the_density_of_a_mixture(kind):
    law, sde = two_modes(), SMALL[kind]
    x = law.sample(3, noise=Noise(0))
    found = sde_.log_likelihood(exact(law, sde), sde, x, log_prior=lambda x: law.log_prob(x, *sde.kernel(1.0)))
    torch.testing.assert_close(found, law.log_prob(x, *sde.kernel(1e-5)), rtol=0, atol=1e-3)


def test_likelihood_takes_the_prior_from_eps_to_1_and_any_shape():
    """The score of N(0, v(t)) in closed form; the code of x is x sqrt(v(1) / v(eps))."""
    sde, seen = SMALL["sub-vp"], []

    def model(x, t):
        seen.append(float(t[0]))
        return -2 * x

    x = Noise(0)(torch.empty(2, 1, 2, 1, dtype=F64))
    found = sde_.log_likelihood(model, sde, x)
    assert min(seen) == pytest.approx(1e-5, rel=1e-9)
    assert max(seen) == 1.0
    # dx/dt = k(t) x with k = rate + g^2: log p = log N(c x) + 2 log c, log c the integral of k
    grid = np.linspace(1e-5, 1, 20_001)
    k = [formulas("sub-vp", t)[0] + formulas("sub-vp", t)[1] for t in grid]
    stretch = np.trapezoid(k, grid)
    expected = norm.logpdf(math.exp(stretch) * x.numpy()).sum((1, 2, 3)) + 2 * stretch
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-3)
    np.testing.assert_allclose(sde_.log_likelihood(model, sde, x, tolerance=1e-9).numpy(), expected, rtol=1e-6)
    assert found.shape == (2,)


def test_random_signs_estimate_the_divergence_without_bias():
    """In two dimensions (1, 1) and (1, -1) are half of all signs, the others are their negatives."""
    law, sde = two_modes(), SMALL["vp"]
    x, high, low = law.sample(1, noise=Noise(0)), torch.tensor(0.5, dtype=F64), torch.tensor(0.4999, dtype=F64)
    signs = Recorded(high, torch.stack([high, low]))
    by_signs = sde_.log_likelihood(exact(law, sde), sde, x, probes=2, noise=signs)
    torch.testing.assert_close(by_signs, sde_.log_likelihood(exact(law, sde), sde, x), rtol=0, atol=1e-4)
    assert signs.draws == []
    one = sde_.log_likelihood(exact(law, sde), sde, x, probes=1, noise=Noise(1))
    assert (one - by_signs).abs().max() > 0.01


def test_divergence_of_a_linear_field_is_its_trace():
    J = Noise(0)(torch.empty(3, 3, dtype=F64))
    x = Noise(1)(torch.empty(4, 3, dtype=F64))
    value, trace = sde_.divergence(lambda x, t: t * x @ J.mT, x, 2.0, torch.eye(3, dtype=F64)[:, None])
    torch.testing.assert_close(value, 2 * x @ J.mT)
    torch.testing.assert_close(trace, (2 * J.trace()).expand(4))
    assert not (value.requires_grad or trace.requires_grad or x.requires_grad)
    assert torch.equal(sde_.divergence(lambda x, t: 0 * x + 1, x, 1.0, x[None])[1], torch.zeros(4, dtype=F64))


# T5: Algorithms 1 to 4, and independent implementations


@pytest.mark.parametrize("M", [0, 1, 2])
def test_sampling_is_algorithm_1_line_by_line(M):
    """For VE, as Algorithm 2 has it, the corrector's step as in Algorithm 4, and one step of denoising at the end."""
    N, r, x_T = 5, 0.3, Noise(1)(torch.empty(6, 2, dtype=F64))
    ours = sde_.sample(lively, SMALL["ve"], x_T, N, M=M, r=r, noise=Noise(2))
    shared, x, levels = Noise(2), x_T.numpy(), np.linspace(1, 1e-5, N)
    sigma = 0.1 * 50.0**levels
    for i in range(N - 1):
        z = shared(x_T).numpy()
        step = sigma[i] ** 2 - sigma[i + 1] ** 2
        x = x + step * lively_at(x, levels[i]) + np.sqrt(step) * z
        for _ in range(M):
            z, g = shared(x_T).numpy(), lively_at(x, levels[i + 1])
            epsilon = 2 * (r * np.linalg.norm(z, axis=1).mean() / np.linalg.norm(g, axis=1).mean()) ** 2
            x = x + epsilon * g + np.sqrt(2 * epsilon) * z
    x = x + sigma[-1] ** 2 * lively_at(x, levels[-1])
    np.testing.assert_allclose(ours.numpy(), x, rtol=0, atol=1e-9)


def test_default_is_one_corrector_step_of_ratio_0_16_after_each_of_1000_predictions_by_reverse_diffusion():
    """Appendix H.1, for VE; N + (N - 1) M evaluations."""
    seen, x_T = [], Noise(1)(torch.empty(3, 1))

    def model(x, t):
        seen.append(t[0].item())
        return lively(x, t)

    first = sde_.sample(model, SMALL["ve"], x_T, 3, noise=Noise(2))
    assert seen == [pytest.approx(t, rel=1e-6) for t in (1, 0.500005, 0.500005, 1e-5, 1e-5)]
    named = {"M": 1, "r": 0.16, "predictor": sde_.reverse_diffusion}
    assert torch.equal(first, sde_.sample(lively, SMALL["ve"], x_T, 3, **named, noise=Noise(2)))
    step = sde_.langevin(lively, x_T, 0.5, noise=Noise(3))
    assert torch.equal(step, sde_.langevin(lively, x_T, 0.5, r=0.16, noise=Noise(3)))
    assert inspect.signature(sde_.sample).parameters["N"].default == 1000


def test_ancestral_sampling_of_vp_is_ddpms():
    """Eq. 4, with the arithmetic sequence of appendix C.  The last step of DDPM's sampler draws no noise."""
    N, sde = 20, VP(0.3, 8.0)
    eps, process = sde_.as_ddpm(lively, sde, N)
    x_T = Noise(1)(torch.empty(4, 2, dtype=F64))
    ours = ddpm.sample(eps, process, x_T, variance="large", noise=Noise(2))
    beta = 0.3 / N + np.arange(N) / (N * (N - 1)) * 7.7
    shared, x = Noise(2), x_T.numpy()
    for i in range(N, 0, -1):
        z = shared(x_T).numpy() if i > 1 else 0.0
        x = (x + beta[i - 1] * lively_at(x, i / N)) / np.sqrt(1 - beta[i - 1]) + np.sqrt(beta[i - 1]) * z
    np.testing.assert_allclose(ours.numpy(), x, rtol=0, atol=1e-9)


def test_the_chain_of_1000_steps_is_ddpms_own_and_near_its_sde():
    """Figure 5: both kernels agree; the chain differs from the integral by O(1 / N)."""
    process = sde_.as_ddpm(lively, VP(), 1000)[1]
    torch.testing.assert_close(process.beta, ddpm.linear_schedule().beta, rtol=1e-12, atol=0)
    alpha, sigma = VP().kernel(torch.arange(1, 1001) / 1000)
    torch.testing.assert_close(process.abar[1:].sqrt(), alpha, rtol=0, atol=2e-3)
    torch.testing.assert_close((1 - process.abar[1:]).sqrt(), sigma, rtol=0, atol=2e-3)


def test_ve_steps_are_those_of_diffusers():
    """It tells the network the noise levels of times from 1 to sampling_eps, and steps between those of times from 1 to
    0: with its defaults they are 1e-4 apart.  Given the score at the levels it steps between, and tables in float64, it
    agrees.
    """
    N, sde = 12, VE(0.1, 5.0)
    theirs = ScoreSdeVeScheduler(num_train_timesteps=N, snr=0.2, sigma_min=0.1, sigma_max=5.0, sampling_eps=1e-9)
    theirs.discrete_sigmas = torch.from_numpy(np.geomspace(0.1, 5.0, N))
    x = Noise(1)(torch.empty(5, 3, dtype=F64))
    for i in range(N - 1, 0, -1):
        t, s = i / (N - 1), (i - 1) / (N - 1)
        score = lively(x, torch.full((5,), t, dtype=F64))
        when = cast(Any, torch.tensor(t + 1e-9, dtype=F64))  # annotated as an int; its own timesteps are reals
        step = theirs.step_pred(score, when, x, generator=torch.Generator().manual_seed(i), return_dict=False)
        ours = sde_.reverse_diffusion(lively, sde, x, t, s, noise=Noise(i))
        torch.testing.assert_close(ours, step[0], rtol=0, atol=1e-8)
        x = ours
        # its corrector draws in float32, whatever the sample is
        z = torch.randn(5, 3, generator=torch.Generator().manual_seed(i + 99)).double()
        score = lively(x, torch.full((5,), s, dtype=F64))
        step = theirs.step_correct(score, x, generator=torch.Generator().manual_seed(i + 99), return_dict=False)
        x = sde_.langevin(lively, x, s, r=0.2, noise=Recorded(z))
        torch.testing.assert_close(x, step[0], rtol=1e-6, atol=1e-6)


def test_vp_steps_are_those_of_diffusers_but_for_its_step_length():
    """Its dt is 1 / N on a grid whose spacing is (1 - eps) / (N - 1), so that its N steps end at eps - (1 - eps) / N:
    it is compared over steps of that length.  What it calls score is the noise.
    """
    N, sde = 40, VP(0.3, 8.0)
    theirs = ScoreSdeVpScheduler(num_train_timesteps=N, beta_min=0.3, beta_max=8)
    theirs.set_timesteps(N)
    x = Noise(1)(torch.empty(5, 3, dtype=F64))
    for i, t in enumerate([1.0, 0.6, 0.1]):
        eps = -sde.kernel(t)[1] * lively(x, torch.full((5,), t, dtype=F64))
        step, _ = theirs.step_pred(eps, x, torch.tensor(t, dtype=F64), generator=torch.Generator().manual_seed(i))
        ours = sde_.euler_maruyama(lively, sde, x, t, t - 1 / N, noise=Noise(i))
        torch.testing.assert_close(ours, step, rtol=0, atol=1e-9)
        x = ours


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in its tables
def test_ancestral_steps_of_ve_are_those_of_diffusers():
    """It has them from k-diffusion: Euler down to sigma_down = sigma_s^2 / sigma_t, which is (sigma_t^2 - sigma_s^2)
    times the score, and noise up to sigma_s again.  It rounds the sample to float32: here one that loses nothing by it.
    """
    sde, levels = VE(0.1, 5.0), torch.linspace(1, 0, 7, dtype=F64)
    theirs = EulerAncestralDiscreteScheduler()
    theirs.set_timesteps(6)
    theirs.sigmas, theirs.is_scale_input_called = sde.kernel(levels)[1], True
    x = (5 * Noise(1)(torch.empty(5, 3, dtype=F64))).float().double()
    for i, (t, s) in enumerate(pairwise(levels.tolist())):
        eps = -theirs.sigmas[i] * lively(x, torch.full((5,), t, dtype=F64))
        step = theirs.step(eps, theirs.timesteps[i], x, generator=torch.Generator().manual_seed(i), return_dict=False)
        ours = sde_.ancestral(lively, sde, x, t, s, noise=Noise(i))
        torch.testing.assert_close(ours, step[0], rtol=0, atol=1e-11)
        x = ours.float().double()


def test_flow_steps_of_sub_vp_are_eulers_of_flow_matching():
    """Sub-VP has no chain of its own: A = 1 + rate h and G^2 = g^2 h make the step one of Euler's, to the last bits."""
    sde, x, levels = SMALL["sub-vp"], Noise(1)(torch.empty(4, 3, dtype=F64)), torch.linspace(1, 0.1, 8, dtype=F64)
    velocity = sde_.probability_flow(lively, sde)
    options = {"step_size": None, "method": "euler", "time_grid": levels, "return_intermediates": True}
    path = ODESolver(lambda x, t: velocity(x, t)).sample(x, **options)
    assert len(path) == 8
    for (t, s), state in zip(pairwise(levels.tolist()), path[1:], strict=True):
        x = sde_.probability_flow_step(lively, sde, x, t, s)
        torch.testing.assert_close(x, state, rtol=0, atol=1e-12)


@each
def test_runge_kutta_of_flow_matching_converges_to_our_flow_in_its_order(kind):
    sde, x = SMALL[kind], Noise(1)(torch.empty(4, 3, dtype=F64))
    velocity = sde_.probability_flow(lively, sde)

    def theirs(n):
        grid = torch.linspace(0.7, 0.1, n + 1, dtype=F64)
        end = ODESolver(lambda x, t: velocity(x, t)).sample(x, None, method="rk4", time_grid=grid)
        assert isinstance(end, torch.Tensor)  # a list where return_intermediates is set
        return end

    solver_order.measure(theirs, sde_.flow(lively, sde, x, 0.7, 0.1, tolerance=1e-12), [20, 40, 80]).require(3.9, 4.1)


@pytest.fixture
def double_by_default():
    """flow_matching draws its signs in the default dtype, and multiplies the sample by them."""
    torch.set_default_dtype(F64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("signs", [False, True])
def test_likelihood_is_that_of_flow_matching(signs, double_by_default):
    """Its time runs from 1, the data, to 0.  Points in the plane by exact divergence, images by one draw of signs: its
    exact divergence is for rows of numbers only, and raises IndexError on images, whose channels it takes for entries.
    """
    law, sde = two_modes(), SMALL["vp"]
    model = lively if signs else exact(law, sde)
    x = Noise(0)(torch.empty(2, 1, 2, 2)) if signs else law.sample(3, noise=Noise(0))
    velocity = sde_.probability_flow(model, sde)

    def reversed_in_time(x, t):
        return -(1 - 1e-5) * velocity(x, 1 - (1 - 1e-5) * t)

    options = {"method": "rk4", "exact_divergence": not signs, "time_grid": torch.tensor([1.0, 0.0])}
    torch.manual_seed(3)
    x_T, theirs = ODESolver(reversed_in_time).compute_likelihood(x.clone(), sde.prior_log_prob, 1 / 80, **options)
    torch.manual_seed(3)
    drawn = Recorded(torch.where(torch.randn_like(x) < 0, 0.75, 0.25))
    ours = sde_.log_likelihood(model, sde, x, probes=1 if signs else None, tolerance=1e-8, noise=drawn)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    torch.testing.assert_close(sde_.flow(model, sde, x, 1e-5, 1.0, tolerance=1e-8), x_T, rtol=0, atol=1e-6)


# T6: conditions, invariants, errors


@each
def test_a_classifiers_gradient_makes_the_score_that_of_the_class(kind):
    law, sde, t = two_modes(), SMALL[kind], torch.tensor([0.2, 0.5, 0.9], dtype=F64)
    x, y = law.sample(3, noise=Noise(0)), torch.tensor([1, 0, 1])

    def log_likelihood(x, t):
        alpha, sigma = sde.kernel(t)
        return law.log_prob(x, alpha, sigma, y) - law.log_prob(x, alpha, sigma)

    with torch.no_grad():
        found = sde_.conditional(exact(law, sde), log_likelihood)(x, t)
    alpha, sigma = sde.kernel(t)
    torch.testing.assert_close(found, law.score(x, alpha, sigma, y), rtol=0, atol=1e-9)
    assert not found.requires_grad and not x.requires_grad


@each
def test_what_is_known_comes_in_at_the_level_of_what_is_not(kind):
    """The model sees draws of the kernel for what is known, and returns the kernel's own score there."""
    y, x = Noise(0)(torch.empty(2, 4, dtype=F64)), Noise(1)(torch.empty(2, 4, dtype=F64))
    known, t = torch.tensor([True, False, True, False]).expand(2, 4), torch.tensor([0.3, 0.8], dtype=F64)
    found = sde_.imputing(lambda x, t: 3 * x.cumsum(1), SMALL[kind], y, known, noise=Noise(5))(x, t)
    z = Noise(5)(y)
    for row in range(2):
        _, _, alpha, sigma = formulas(kind, float(t[row]))
        seen = np.where(known[row], alpha * y[row].numpy() + sigma * z[row].numpy(), x[row].numpy())
        expected = np.where(known[row], (alpha * y[row] - x[row]).numpy() / sigma**2, 3 * seen.cumsum())
        np.testing.assert_allclose(found[row].numpy(), expected, rtol=1e-7)


def test_imputing_a_gaussian_has_the_moments_of_its_recursion():
    """Two correlated numbers, the first known to be 1: the other obeys a linear recursion, with new noise at each call.

    Its mean falls short of 0.8, the conditional one: that is the approximation's doing, and what correctors are for.
    """
    sde, C = SMALL["ve"], np.array([[0.5, 0.4], [0.4, 0.5]])

    def precision(t):
        return np.linalg.inv(C + formulas("ve", t)[3] ** 2 * np.eye(2))

    def model(x, t):
        return -x @ torch.from_numpy(precision(float(t[0])))

    def sampler(x_T, noise):
        imputed = sde_.imputing(model, sde, torch.ones_like(x_T), torch.tensor([True, False]), noise=noise)
        return sde_.sample(imputed, sde, 5 * x_T, 20, M=0, noise=noise)

    found = moments(sampler, (2,), draws=40)
    mean, var, levels = 0.0, 25.0, np.linspace(1, 1e-5, 20)
    for t, s in [*pairwise(levels), (levels[-1], None)]:
        (to_known, to_self), sigma = precision(t)[1], formulas("ve", t)[3]
        G2 = sigma**2 - (0 if s is None else formulas("ve", s)[3] ** 2)
        mean -= G2 * (to_known + to_self * mean)
        var = (1 - G2 * to_self) ** 2 * var + (G2 * to_known * sigma) ** 2 + (0 if s is None else G2)
    np.testing.assert_allclose(found.mean.numpy(), [1.0, mean], atol=1e-9)
    np.testing.assert_allclose(found.std.numpy(), [0.0, math.sqrt(var)], atol=1e-7)
    assert mean < 0.6


@each
@pytest.mark.parametrize("predictor", STEPS.values())
def test_batch_of_8_equals_two_of_4_and_arguments_are_unchanged(kind, predictor):
    x_T = Noise(3)(torch.empty(8, 1, 3, 3))
    kept = x_T.clone()
    options = {"M": 0, "predictor": predictor}
    whole = sde_.sample(lively, SMALL[kind], x_T, 12, **options, noise=Noise(range(8)))
    halves = [
        sde_.sample(lively, SMALL[kind], x_T[k : k + 4], 12, **options, noise=Noise(range(k, k + 4))) for k in (0, 4)
    ]
    torch.testing.assert_close(whole, torch.cat(halves))
    assert torch.equal(x_T, kept) and whole.dtype == x_T.dtype and not whole.requires_grad


@pytest.mark.parametrize("ends", [(1.0, 1.0), (2.0, 1.0), (0.0, 1.0), (-1.0, 1.0), (math.nan, 1.0)])
def test_levels_that_do_not_grow_are_refused(ends):
    with pytest.raises(ValueError, match=r"sigma_min must lie in 0\.\.sigma_max"):
        VE(*ends)


@pytest.mark.parametrize("kind", [VP, SubVP])
@pytest.mark.parametrize("ends", [(2.0, 1.0), (0.0, 1.0), (-1.0, 1.0), (math.nan, 1.0)])
def test_betas_that_fall_are_refused(kind, ends):
    with pytest.raises(ValueError, match=r"beta_min must lie in 0\.\.beta_max"):
        kind(*ends)
    assert kind(1.0, 1.0).beta(0.4) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"N": 0}, "N must be at least 1"),
        ({"M": -1}, "M must be at least 0 and r above 0, not -1 and 0.16"),
        ({"r": 0.0}, "M must be at least 0 and r above 0, not 1 and 0.0"),
        ({"r": math.nan}, "r above 0"),
    ],
)
def test_options_outside_their_range_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        sde_.sample(lively, VE(), torch.zeros(2, 1), **{"N": 3, **options})


def test_steps_too_long_for_the_chain_of_vp_are_named():
    with pytest.raises(ValueError, match=r"beta\(t\) \(t - s\) < 1, not 2: take more steps"):
        sde_.reverse_diffusion(lively, VP(2.0, 2.0), torch.zeros(1, 1), 1.0, 0.0)
    with pytest.raises(ValueError, match="not 1: take more steps"):
        VP(1.0, 1.0).step(0.0, 1.0)


def test_ancestral_steps_of_other_sdes_and_no_probes_are_refused():
    with pytest.raises(ValueError, match=r"ancestral steps are for VE.*as_ddpm"):
        sde_.ancestral(lively, VP(), torch.zeros(1, 1), 1.0, 0.9)
    with pytest.raises(ValueError, match="probes must be at least 1, or None for the exact divergence, not 0"):
        sde_.log_likelihood(lively, VP(), torch.zeros(1, 1), probes=0)
