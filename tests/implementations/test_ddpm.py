"""DDPM against Bayes' rule, exact moments, closed-form bounds, and an independent implementation."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pytest
import torch
from diffusers.schedulers import scheduling_ddpm
from scipy.special import log_ndtr, ndtr

from implementations import ddpm
from implementations.common.noise import Noise
from implementations.dpm import GaussianDiffusion
from implementations.verification.impulses import moments
from implementations.verification.twosample import energy_test
from tests.implementations.toys import F64, Given, lively, rough, scalar_gaussian


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def bayes_posterior(process, x_0, x_t, t):
    """q(x_{t-1} | x_t, x_0) as the product of two Gaussians in x_{t-1}: the forward step, and the marginal."""
    beta, abar_prev = float(process.beta[t]), float(torch.prod(1 - process.beta[:t]))
    precision = (1 - beta) / beta + (1 / (1 - abar_prev) if t > 1 else math.inf)
    if t == 1:
        return x_0, 0.0
    mean = (math.sqrt(1 - beta) / beta * x_t + math.sqrt(abar_prev) / (1 - abar_prev) * x_0) / precision
    return mean, 1 / precision


# T1: identities


def test_linear_schedule_is_the_papers():
    process = ddpm.linear_schedule()
    assert process.T == 1000
    assert float(process.beta[1]) == pytest.approx(1e-4, rel=1e-12)
    assert float(process.beta[1000]) == pytest.approx(0.02, rel=1e-12)
    assert float(process.beta[500] - process.beta[499]) == pytest.approx((0.02 - 1e-4) / 999, rel=1e-9)
    assert float(process.abar[1000]) == pytest.approx(np.prod(1 - np.linspace(1e-4, 0.02, 1000)), rel=1e-10)


@pytest.mark.parametrize(("T", "ends"), [(10, ()), (300, (2e-4, 0.03)), (7, (0.1, 0.5))])
def test_a_linear_schedule_has_the_ends_it_is_told_for_any_number_of_steps(T, ends):
    process = ddpm.linear_schedule(T, *ends)
    first, last = ends or (1e-4, 0.02)
    assert process.T == T
    assert np.abs(process.beta[1:].numpy() - [first + (last - first) * k / (T - 1) for k in range(T)]).max() < 1e-15


@pytest.mark.parametrize("t", [1, 2, 7, 20])
def test_predict_x_0_inverts_the_marginal(t):
    process = rough(20)
    x_0, eps = torch.randn(5, 3, dtype=F64), torch.randn(5, 3, dtype=F64)
    x_t = process.diffuse(x_0, t, eps)
    torch.testing.assert_close(ddpm.predict_x_0(process, x_t, t, eps), x_0, rtol=0, atol=1e-12)


def test_a_t_for_each_row_equals_one_t_at_a_time():
    process = rough(20)
    x_t, eps = torch.randn(4, 3, 2, dtype=F64), torch.randn(4, 3, 2, dtype=F64)
    t = torch.tensor([1, 4, 20, 9])
    for variance in ("small", "large"):
        mean, var = ddpm.reverse(process, x_t, t, eps, variance)
        for row, each in enumerate(t.tolist()):
            mean_1, var_1 = ddpm.reverse(process, x_t[row : row + 1], each, eps[row : row + 1], variance)
            torch.testing.assert_close(mean[row : row + 1], mean_1)
            assert float(var[row].squeeze()) == pytest.approx(float(var_1))


@pytest.mark.parametrize("t", [1, 2, 7, 20])
def test_reverse_mean_and_small_variance_are_bayes_posterior_at_the_predicted_x_0(t):
    process = rough(20)
    x_0, eps = torch.randn(6, dtype=F64), torch.randn(6, dtype=F64)
    x_t = process.diffuse(x_0, t, eps)
    mean, var = ddpm.reverse(process, x_t, t, eps, "small")
    expected_mean, expected_var = bayes_posterior(process, x_0, x_t, t)
    torch.testing.assert_close(mean, expected_mean, rtol=0, atol=1e-12)
    assert float(var) == pytest.approx(expected_var, abs=1e-15)


def test_large_variance_is_that_of_the_forward_step():
    process = rough(20)
    x = torch.zeros(1, dtype=F64)
    for t in (1, 5, 20):
        assert float(ddpm.reverse(process, x, t, x, "large")[1]) == pytest.approx(float(process.beta[t]), rel=1e-14)


def test_loss_is_the_plain_squared_error_of_the_noise():
    process, x_0 = rough(20), torch.randn(7, 2, 3, dtype=F64)
    value = ddpm.loss(lively, process, x_0, noise=Noise(5))
    again = Noise(5)
    t = again.integers(1, 20, x_0)
    eps = again(x_0)
    abar = np.cumprod(1 - process.beta.numpy())[t.numpy()].reshape(7, 1, 1)
    x_t = torch.from_numpy(np.sqrt(abar) * x_0.numpy() + np.sqrt(1 - abar) * eps.numpy())
    expected = ((eps - lively(x_t, t)) ** 2).sum() / x_0.numel()
    assert float(value) == pytest.approx(float(expected), rel=1e-12)


def test_bound_loss_weights_the_error_as_the_kl_of_two_gaussians_does():
    """KL of N(mean, beta) from N(mean of the posterior, .) depends on eps by |difference of means|^2 / (2 beta)."""
    T = 20
    process, x_0 = rough(T), torch.randn(7, 2, 3, dtype=F64)
    value = ddpm.bound_loss(lively, process, x_0, noise=Noise(5))
    again = Noise(5)
    t = again.integers(1, T, x_0)
    eps = again(x_0)
    total = 0.0
    for row, each in enumerate(t.tolist()):
        alpha = 1 - float(process.beta[each])
        abar = float(torch.prod(1 - process.beta[: each + 1]))
        x_t = abar**0.5 * x_0[row] + (1 - abar) ** 0.5 * eps[row]
        guess = lively(x_t[None], t[row : row + 1])[0]
        true, guessed = ((x_t - (1 - alpha) / (1 - abar) ** 0.5 * e) / alpha**0.5 for e in (eps[row], guess))
        total += float(((true - guessed) ** 2).sum()) / (2 * (1 - alpha))
    assert float(value) == pytest.approx(T * total / x_0.numel(), rel=1e-10)


def test_loss_visits_every_t_from_1_to_T_equally_often():
    seen = []
    ddpm.loss(lambda x, t: seen.append(t) or x, rough(5), torch.zeros(20_000, 1), noise=Noise(0))
    counts = torch.bincount(seen[0], minlength=6)
    assert counts[0] == 0 and len(counts) == 6
    # Binomial(20000, 1/5): five standard deviations are 283.
    assert (counts[1:] - 4000).abs().max() < 283


def test_loss_at_the_exact_denoiser_is_the_bayes_risk_and_minimal():
    """For N(m, s^2), risk_t = abar s^2 / (abar s^2 + 1 - abar), and no scale or shift of the answer does better."""
    process, m, s = rough(10), 0.7, 1.6
    x_0 = m + s * Noise(1)(torch.empty(400_000, 1, dtype=F64))
    abar = process.abar[1:]
    risk = float((abar * s**2 / (abar * s**2 + 1 - abar)).mean())

    scale = torch.ones((), dtype=F64, requires_grad=True)
    shift = torch.zeros((), dtype=F64, requires_grad=True)
    exact = scalar_gaussian(m, s).model(process.abar)
    value = ddpm.loss(lambda x, t: scale * exact(x, t) + shift, process, x_0, noise=Noise(2))
    gradients = torch.autograd.grad(value, [scale, shift])
    # Var of a squared error is at most 2 risk_t^2 + Var_t(risk_t) < 3; five standard errors of 400 000 draws.
    assert float(value.detach()) == pytest.approx(risk, abs=5 * math.sqrt(3 / 400_000))
    # d/dscale = -2 E[(eps - e) e]: variance at most 4 E[(eps - e)^2 e^2] < 4.
    assert max(abs(float(g)) for g in gradients) < 5 * math.sqrt(4 / 400_000)


# T2: exact moments


@pytest.mark.parametrize("variance", ["small", "large"])
@pytest.mark.parametrize("T", [1, 2, 40])
def test_moments_of_ancestral_sampling_are_those_of_the_papers_recursion(variance, T):
    """Gaussian data makes the sampler affine in its noise: mean and variance follow two scalar recursions."""
    process, m, s = rough(T), 0.7, 0.4
    exact = scalar_gaussian(m, s).model(process.abar)
    found = moments(lambda x_T, noise: ddpm.sample(exact, process, x_T, variance=variance, noise=noise), (1,))

    abar = np.concatenate([[1.0], np.cumprod(1 - process.beta.numpy()[1:])])
    mu, var = 0.0, 1.0
    for t in range(T, 0, -1):
        beta = 1 - abar[t] / abar[t - 1]
        to_x_0 = abar[t - 1] ** 0.5 * beta / (1 - abar[t])
        to_x_t = (1 - beta) ** 0.5 * (1 - abar[t - 1]) / (1 - abar[t])
        gain = abar[t] ** 0.5 * s**2 / (abar[t] * s**2 + 1 - abar[t])
        mu = to_x_0 * (m + gain * (mu - abar[t] ** 0.5 * m)) + to_x_t * mu
        added = beta if variance == "large" else beta * (1 - abar[t - 1]) / (1 - abar[t])
        var = (to_x_0 * gain + to_x_t) ** 2 * var + (added if t > 1 else 0.0)
    assert float(found.mean) == pytest.approx(mu, abs=1e-9)
    assert float(found.std) == pytest.approx(math.sqrt(var), abs=1e-9)


def test_a_point_mass_is_returned_exactly():
    """With one data point the exact denoiser knows x_0, and the last step adds no noise."""
    process, c = rough(12), torch.tensor([[0.3, -2.0]], dtype=F64)

    def exact(x, t):
        abar = process.at(process.abar, t, x)
        return (x - abar.sqrt() * c) / (1 - abar).sqrt()

    out = ddpm.sample(exact, process, Noise(3)(torch.empty(9, 2, dtype=F64)), variance="large", noise=Noise(4))
    torch.testing.assert_close(out, c.expand(9, 2), rtol=0, atol=1e-12)


def test_network_sees_T_down_to_1():
    seen = []
    ddpm.sample(lambda x, t: seen.append(t.tolist()) or x, rough(4), torch.zeros(2, 1), noise=Noise(0))
    assert seen == [[4, 4], [3, 3], [2, 2], [1, 1]]


# T4: the bound


@pytest.mark.parametrize("sd", [1e-3, 0.05, 0.7])
def test_decoder_is_a_distribution_over_levels(sd):
    """The probabilities of all values sum to one for any mean, also far outside [-1, 1] and for tiny widths."""
    levels = 17
    values = torch.linspace(-1, 1, levels, dtype=F64).view(levels, 1)
    mean = torch.tensor([[-1.4, -1.0, -0.37, 0.0, 0.92, 3.0]], dtype=F64).expand(levels, 6)
    log_p = ddpm.decoder_log_likelihood(values.expand(levels, 6), mean, torch.full_like(mean, sd**2), levels)
    torch.testing.assert_close(log_p.exp().sum(0), torch.ones(6, dtype=F64), rtol=0, atol=1e-12)


def decoder(x_0, mean, sd, levels=9):
    x_0 = torch.tensor(x_0, dtype=F64)
    return ddpm.decoder_log_likelihood(x_0, torch.full_like(x_0, mean), torch.tensor(sd**2, dtype=F64), levels)


def test_decoder_equals_the_normal_mass_of_the_interval():
    def cdf(x):
        return 0.5 * math.erfc(-(x - 0.1) / 0.2 / math.sqrt(2))

    expected = [cdf(-0.875), cdf(0.375) - cdf(0.125), 1 - cdf(0.875)]
    np.testing.assert_allclose(decoder([-1.0, 0.25, 1.0], 0.1, 0.2).exp().numpy(), expected, rtol=1e-9)


def test_decoder_keeps_its_tail():
    """Eight widths away the mass is ~1e-14 of 1: a difference of cumulative values near 1 would give nothing."""
    near, far = ((1.65 + side) / 0.2 / math.sqrt(2) for side in (-0.125, 0.125))
    expected = math.log(0.5 * (math.erfc(near) - math.erfc(far)))
    assert float(decoder([0.75], -0.9, 0.2)) == pytest.approx(expected, rel=1e-9)
    assert float(decoder([-0.75], 0.9, 0.2)) == pytest.approx(expected, rel=1e-9)


def test_decoder_stays_finite_where_the_tail_underflows():
    """At 60 widths the mass is 1e-800, far below any float64; its logarithm by SciPy, on both sides of the mean."""
    near, far = -np.array([12.125, 12.375]) / 0.2
    expected = log_ndtr(near) + np.log1p(-np.exp(log_ndtr(far) - log_ndtr(near)))
    assert math.exp(expected) == 0
    assert float(decoder([0.25], -12, 0.2)) == pytest.approx(expected, rel=1e-12)
    assert float(decoder([-0.25], 12, 0.2)) == pytest.approx(expected, rel=1e-12)


def test_decoder_can_be_trained_through_also_at_the_outermost_values():
    """The slopes of log(Phi(u) - Phi(l)) by mean and variance; an infinite end of the interval adds nothing to them."""
    x_0, sd = np.array([-1.0, -0.5, 0.25, 1.0]), 0.3
    mean = torch.full((4,), 0.1, dtype=F64, requires_grad=True)
    variance = torch.full((4,), sd**2, dtype=F64, requires_grad=True)
    log_p = ddpm.decoder_log_likelihood(torch.from_numpy(x_0), mean, variance, 9)
    by_mean, by_variance = torch.autograd.grad(log_p.sum(), [mean, variance])
    slope, of_width, mass = np.zeros(4), np.zeros(4), np.zeros(4)
    for sign, inside in ((1, x_0 < 1), (-1, x_0 > -1)):
        z = (x_0 - 0.1 + sign / 8) / sd
        density = np.where(inside, np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi), 0)
        mass += sign * np.where(inside, ndtr(z), (1 + sign) / 2)
        slope -= sign * density / sd
        of_width -= sign * density * z / (2 * sd**2)
    np.testing.assert_allclose(by_mean.numpy(), slope / mass, rtol=1e-9)
    np.testing.assert_allclose(by_variance.numpy(), of_width / mass, rtol=1e-9)


@pytest.mark.parametrize("variance", ["small", "large"])
def test_each_term_of_the_bound_is_the_weighted_error_of_eq_12(variance):
    """KL of two Gaussians, written out: means differ by the noise error times a weight, variances by a known ratio."""
    T, levels = 6, 9
    process = rough(T)
    x_0 = torch.linspace(-1, 1, levels, dtype=F64)[torch.tensor([[0, 3], [8, 5], [4, 4]])]
    bits = ddpm.bits_per_dimension(lively, process, x_0, levels, variance=variance, noise=Noise(7))
    assert bits.shape == (T + 1, 3)

    again = Noise(7)
    abar = np.concatenate([[1.0], np.cumprod(1 - process.beta.numpy()[1:])])
    for t in range(1, T + 1):
        eps = again(x_0)
        x_t = abar[t] ** 0.5 * x_0 + (1 - abar[t]) ** 0.5 * eps
        error = ((eps - lively(x_t, torch.full((3,), t))) ** 2).mean(1)
        if t == 1:
            continue
        beta = 1 - abar[t] / abar[t - 1]
        tilde = beta * (1 - abar[t - 1]) / (1 - abar[t])
        chosen = tilde if variance == "small" else beta
        weight = beta**2 / (2 * chosen * (1 - beta) * (1 - abar[t]))
        nats = weight * error + 0.5 * (tilde / chosen - 1 - math.log(tilde / chosen))
        torch.testing.assert_close(bits[t - 1], nats / math.log(2), rtol=1e-9, atol=1e-12)
    prior = 0.5 * (abar[T] * x_0**2 + (1 - abar[T]) - 1 - math.log(1 - abar[T])).mean(1) / math.log(2)
    torch.testing.assert_close(bits[T], prior, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("variance", "width"), [("small", "tilde_2"), ("large", "beta_1")])
def test_first_term_is_the_decoder_at_the_reverse_mean(variance, width):
    levels, process = 9, rough(6)
    x_0 = torch.linspace(-1, 1, levels, dtype=F64)[torch.tensor([[1, 3], [8, 0]])]
    bits = ddpm.bits_per_dimension(lively, process, x_0, levels, variance=variance, noise=Noise(7))
    beta_1, beta_2 = float(process.beta[1]), float(process.beta[2])
    tilde_2 = beta_2 * beta_1 / (1 - (1 - beta_1) * (1 - beta_2))
    sd = math.sqrt({"tilde_2": tilde_2, "beta_1": beta_1}[width])
    x_1 = math.sqrt(1 - beta_1) * x_0 + math.sqrt(beta_1) * Noise(7)(x_0)
    mean = (x_1 - math.sqrt(beta_1) * lively(x_1, torch.ones(2))) / math.sqrt(1 - beta_1)
    normal, half = torch.distributions.Normal(mean, sd), 1 / (levels - 1)
    upper = torch.where(x_0 == 1, torch.ones_like(x_0), normal.cdf(x_0 + half))
    lower = torch.where(x_0 == -1, torch.zeros_like(x_0), normal.cdf(x_0 - half))
    torch.testing.assert_close(bits[0], -(upper - lower).log2().mean(1), rtol=1e-8, atol=1e-10)


def test_bound_is_above_the_entropy_it_bounds():
    """Two equally likely values carry one bit: no model can code them in less, the exact one comes close."""
    process, levels = ddpm.linear_schedule(400, 2.5e-4, 0.05), 3

    def exact(x, t):
        abar = process.abar[t[0]]
        return (x - abar.sqrt() * torch.tanh(abar.sqrt() * x / (1 - abar))) / (1 - abar).sqrt()

    x_0 = torch.tensor([[-1.0], [1.0]], dtype=F64).repeat(400, 1)
    bits = ddpm.bits_per_dimension(exact, process, x_0, levels, noise=Noise(11)).sum(0)
    spread = float(bits.std()) / math.sqrt(len(bits))
    assert float(bits.mean()) > 1 - 4 * spread
    assert float(bits.mean()) < 1.15


# T5: parity with an independent implementation


@pytest.mark.parametrize(("variance", "theirs"), [("small", "fixed_small"), ("large", "fixed_large")])
def test_step_by_step_parity_with_diffusers(variance, theirs, monkeypatch):
    T = 60
    process = rough(T)
    scheduler = scheduling_ddpm.DDPMScheduler(
        num_train_timesteps=T, variance_type=theirs, clip_sample=False, trained_betas=process.beta[1:].numpy()
    )
    scheduler.betas = process.beta[1:]
    scheduler.alphas = 1 - scheduler.betas
    scheduler.alphas_cumprod = torch.cumprod(scheduler.alphas, 0)
    x_T = Noise(1)(torch.empty(6, 3, dtype=F64))
    ours = ddpm.sample(lively, process, x_T, variance=variance, noise=Noise(2))

    shared = Noise(2)
    monkeypatch.setattr(scheduling_ddpm, "randn_tensor", lambda *a, **k: shared(x_T))
    x = x_T
    for t in range(T - 1, -1, -1):
        x = scheduler.step(lively(x, torch.full((6,), t + 1)), t, x, return_dict=False)[0]
    torch.testing.assert_close(ours, x, rtol=0, atol=1e-9)


# T6: invariants


def test_same_seed_same_samples_and_arguments_unchanged():
    process, x_T = rough(9), torch.randn(4, 1, 3, 3)
    kept = x_T.clone()
    first = ddpm.sample(lively, process, x_T, noise=Noise(3))
    assert torch.equal(first, ddpm.sample(lively, process, x_T, noise=Noise(3)))
    assert not torch.equal(first, ddpm.sample(lively, process, x_T, noise=Noise(4)))
    assert torch.equal(x_T, kept)
    assert first.dtype == x_T.dtype


def test_a_batch_of_8_equals_two_of_4():
    process, x_T = rough(9), torch.randn(8, 2)
    whole = ddpm.sample(lively, process, x_T, noise=Noise(range(8)))
    halves = [ddpm.sample(lively, process, x_T[i : i + 4], noise=Noise(range(i, i + 4))) for i in (0, 4)]
    torch.testing.assert_close(whole, torch.cat(halves))


def test_no_signal_left_at_the_end_is_refused():
    process, x = GaussianDiffusion(torch.tensor([0.1, 1.0])), torch.zeros(2, 3)

    def model(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return x

    with pytest.raises(ValueError, match="abar_T is 0: keep every beta below 1"):
        ddpm.predict_x_0(process, x, 1, x)
    with pytest.raises(ValueError, match="abar_T is 0"):
        ddpm.sample(model, process, x)
    with pytest.raises(ValueError, match="abar_T is 0"):
        ddpm.bits_per_dimension(model, process, x, 2)


def test_unknown_variance_is_named():
    with pytest.raises(ValueError, match=r"variance must be 'small' .* not 'medium'"):
        ddpm.sample(lively, rough(3), torch.zeros(1, 1), variance=cast(Any, "medium"))


# T7: samples of a trained network, by a test whose false alarms and power are in evidence/two-sample.yaml


@pytest.mark.slow
def test_trained_samples_pass_the_two_sample_test_and_forgotten_noise_does_not(trained_on_mixture):
    model, process, dataset = trained_on_mixture
    x_T = Noise(0)(torch.empty(500, 2))
    samples = ddpm.sample(model, process, x_T, noise=Noise(1))
    assert energy_test(samples, dataset.x_test[:500], seed=0) > 0.05
    without = ddpm.sample(model, process, x_T, noise=Given(torch.zeros_like))
    assert energy_test(without, dataset.x_test[:500], seed=0) < 0.01
