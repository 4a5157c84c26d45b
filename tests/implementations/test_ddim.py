"""DDIM against the exact flow of a Gaussian, its marginals, DDPM at eta = 1, and an independent implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler

from implementations import ddim, ddpm
from implementations.common.noise import Noise
from implementations.dpm import GaussianDiffusion
from implementations.verification.impulses import moments
from implementations.verification.twosample import energy_test
from tests.implementations.toys import F64, Given, lively, refuse, rough, scalar_gaussian


def slope(counts, errors):
    return float(np.polyfit(np.log(counts), np.log(errors), 1)[0])


# T1: steps, timesteps and interpolation


@pytest.mark.parametrize("alpha", [0.0, 4.5e-5, 0.6])
def test_a_step_keeps_the_noise_and_needs_no_signal_at_its_start(alpha):
    """z is alpha x + sigma eps; the step gives the same x and eps at another level, also where alpha = 0."""
    x, eps = (Noise(k)(torch.empty(5, 2, 3, dtype=F64)) for k in (0, 1))
    level = torch.tensor(alpha, dtype=F64), torch.tensor(math.sqrt(1 - alpha**2), dtype=F64)
    angles = torch.tensor([0.2, 0.9, 0.0, 1.1, 1.5], dtype=F64)[:, None, None]
    after = angles.cos(), 3 * angles.sin()
    z = level[0] * x + level[1] * eps
    torch.testing.assert_close(ddim.step(z, x, level, after), after[0] * x + after[1] * eps, rtol=0, atol=1e-12)


def test_linear_timesteps_are_evenly_spaced_and_end_at_T():
    assert ddim.timesteps(1000, 50).tolist() == list(range(20, 1001, 20))
    assert ddim.timesteps(10, 10).tolist() == list(range(1, 11))
    assert ddim.timesteps(1000, 1).tolist() == [1000]
    assert ddim.timesteps(10, 4).tolist() == [2, 5, 8, 10]
    assert ddim.timesteps(2**24 + 1, 1).tolist() == [2**24 + 1]  # float32 has no such number


def test_quadratic_timesteps_are_squares():
    assert ddim.timesteps(1000, 10, "quadratic").tolist() == [i * i * 10 for i in range(1, 11)]
    merged = ddim.timesteps(1000, 397, "quadratic").tolist()  # a prime: nothing lies half-way between two integers
    assert merged == sorted({max(1, round(i * i * 1000 / 397**2)) for i in range(1, 398)})
    assert merged[0] == 1 and merged[-1] == 1000


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.5, 1.0])
def test_slerp_walks_the_great_circle(weight):
    """In a plane: the unit vector at the interpolated angle is a sum of those at both ends; codes take its weights."""
    ends, lengths = [(0.3, 2.0), (-1.0, 0.4)], [(1.0, 1.0), (0.5, 3.0)]
    rows = []
    for (a, b), (long_a, long_b) in zip(ends, lengths, strict=True):
        corners = np.array([[math.cos(a), math.cos(b)], [math.sin(a), math.sin(b)]])
        between = (1 - weight) * a + weight * b
        shares = np.linalg.solve(corners, [math.cos(between), math.sin(between)])
        rows.append((corners[:, 0] * long_a, corners[:, 1] * long_b, corners @ (shares * [long_a, long_b])))
    x_a, x_b, expected = (torch.tensor(np.array(column), dtype=F64) for column in zip(*rows, strict=True))
    torch.testing.assert_close(ddim.slerp(x_a, x_b, weight), expected, rtol=0, atol=1e-12)


def test_slerp_of_codes_on_one_line_is_straight():
    """Rounding takes the cosine of many a code with itself beyond 1, and that with its opposite below -1.

    Opposite codes lie on no one great circle; rounding decides, and only exactly opposite ones are sure to go straight.
    """
    x = Noise(0)(torch.empty(500, 7))
    torch.testing.assert_close(ddim.slerp(x, x, 0.3), x)
    assert ddim.slerp(x, -x, 0.3).isfinite().all()
    unit = torch.tensor([[1.0, 0.0]], dtype=F64)
    torch.testing.assert_close(ddim.slerp(unit, -unit, 0.3), 0.4 * unit)


def test_slerp_keeps_the_variance_of_noise():
    x = torch.randn(3, 2, 50, 50, generator=torch.Generator().manual_seed(0), dtype=F64)
    y = torch.randn(3, 2, 50, 50, generator=torch.Generator().manual_seed(1), dtype=F64)
    middle = ddim.slerp(x, y, 0.5)
    # sd of a sample variance of 15000 normal draws: sqrt(2 / 15000) = 0.0115.
    assert abs(float(middle.var()) - 1) < 5 * 0.0115
    rows = ddim.slerp(x, y, torch.tensor([0.0, 0.5, 1.0], dtype=F64))
    torch.testing.assert_close(rows[0], x[0])
    torch.testing.assert_close(rows[1], middle[1])
    torch.testing.assert_close(rows[2], y[2])


# T2: exact moments


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("steps", [1, 5, 40])
def test_moments_are_those_of_the_non_markovian_posterior(eta, steps):
    """x_s given x_t and x_0 is the Gaussian that keeps all marginals (Eq. 7); data N(m, s^2) gives x_0 given x_t."""
    process, m, s = rough(40), 0.7, 0.4
    exact = scalar_gaussian(m, s).model(process.abar)
    tau = ddim.timesteps(40, steps)
    found = moments(lambda x_T, noise: ddim.sample(exact, process, x_T, tau, eta=eta, noise=noise), (1,))

    abar = np.concatenate([[1.0], np.cumprod(1 - process.beta.numpy()[1:])])
    times = [0, *tau.tolist()]
    mu, var = 0.0, 1.0
    for i in range(len(tau), 0, -1):
        b, a = abar[times[i]], abar[times[i - 1]]
        sigma2 = eta**2 * (1 - a) / (1 - b) * (1 - b / a)
        gain = b**0.5 * s**2 / (b * s**2 + 1 - b)
        to_x_t = ((1 - a - sigma2) / (1 - b)) ** 0.5
        to_x_0 = a**0.5 - to_x_t * b**0.5
        mu = to_x_0 * (m + gain * (mu - b**0.5 * m)) + to_x_t * mu
        var = (to_x_0 * gain + to_x_t) ** 2 * var + sigma2
    assert float(found.mean) == pytest.approx(mu, abs=1e-9)
    assert float(found.std) == pytest.approx(math.sqrt(var), abs=1e-9)
    assert found.draws == (steps if eta else 1)  # x_T, and one for each step but the last


@pytest.mark.parametrize("eta", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("steps", [1, 3, 12])
def test_a_point_mass_is_returned_exactly(eta, steps):
    process, c = rough(12), torch.tensor([[0.3, -2.0]], dtype=F64)

    def exact(x, t):
        abar = process.at(process.abar, t, x)
        return (x - abar.sqrt() * c) / (1 - abar).sqrt()

    x_T = Noise(3)(torch.empty(9, 2, dtype=F64))
    out = ddim.sample(exact, process, x_T, ddim.timesteps(12, steps), eta=eta, noise=Noise(4))
    torch.testing.assert_close(out, c.expand(9, 2), rtol=0, atol=1e-12)


def test_eta_1_over_all_steps_is_ancestral_sampling():
    process, x_T = rough(30), torch.randn(5, 3, dtype=F64)
    ours = ddim.sample(lively, process, x_T, ddim.timesteps(30, 30), eta=1.0, noise=Noise(8))
    theirs = ddpm.sample(lively, process, x_T, variance="small", noise=Noise(8))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


def test_network_sees_the_chosen_times_from_T_down():
    seen = []
    ddim.sample(lambda x, t: seen.append(t.tolist()) or x, rough(9), torch.zeros(2, 1), torch.tensor([2, 5, 9]))
    assert seen == [[9, 9], [5, 5], [2, 2]]


def test_a_step_ends_at_the_next_time_of_the_list_whatever_the_steps_divide():
    """Eq. 12 in numpy, from 9 to 5 to 2 to 0: three steps whose lengths are not 9 / 3."""
    x = np.array([[0.4, -1.2], [1.7, 0.1]])
    ours = ddim.sample(lively, rough(9), torch.from_numpy(x), torch.tensor([2, 5, 9]))
    abar = np.cumprod(1 - np.concatenate([[0.0], np.linspace(0.01, 0.35, 9) ** 1.3]))
    for t, s in ((9, 5), (5, 2), (2, 0)):
        eps = np.sin(1.3 * x + 0.05 * t) + 0.2 * x
        x_0 = (x - np.sqrt(1 - abar[t]) * eps) / np.sqrt(abar[t])
        x = np.sqrt(abar[s]) * x_0 + np.sqrt(1 - abar[s]) * eps
    assert np.abs(ours.numpy() - x).max() < 1e-12


def test_encoding_is_eulers_method_on_the_ode_of_eq_14():
    """d(x / sqrt(abar)) = eps d sqrt((1 - abar) / abar), in numpy, with the network asked at the lower end."""
    process, tau, seen = rough(9), torch.tensor([1, 2, 5, 9]), []

    def model(x, t):
        seen.append(t.tolist())
        return lively(x, t)

    x_0 = Noise(1)(torch.empty(2, 3, dtype=F64))
    code = ddim.encode(model, process, x_0, tau)
    abar = np.concatenate([[1.0], np.cumprod(1 - process.beta.numpy()[1:])])
    sigma, y = np.sqrt((1 - abar) / abar), x_0.numpy()
    for s, t, asked in [(0, 1, 1), (1, 2, 1), (2, 5, 2), (5, 9, 5)]:
        x = np.sqrt(abar[s]) * y
        y = y + (sigma[t] - sigma[s]) * (np.sin(1.3 * x + 0.05 * asked) + 0.2 * x)
    np.testing.assert_allclose(code.numpy(), np.sqrt(abar[9]) * y, rtol=0, atol=1e-12)
    assert seen == [[1, 1], [1, 1], [2, 2], [5, 5]]


# T3: order


def test_deterministic_sampling_and_encoding_converge_with_order_1_to_the_exact_flow():
    """For N(m, s^2) the flow keeps (x - sqrt(abar) m) / sqrt(abar s^2 + 1 - abar); T is so fine that S is the error."""
    m, s, T = 0.7, 0.5, 2**14
    process = GaussianDiffusion(torch.linspace(0.1 / T, 16.0 / T, T, dtype=F64))

    def exact(x, t):
        abar = process.abar[t[0]]
        return (1 - abar).sqrt() * (x - abar.sqrt() * m) / (abar * s**2 + 1 - abar)

    x_0 = torch.tensor([[-0.4], [0.7], [1.5]], dtype=F64)
    abar_T = process.abar[T]
    x_T = abar_T.sqrt() * m + (x_0 - m) * (abar_T * s**2 + 1 - abar_T).sqrt() / s

    counts, sampled, encoded, returned = [32, 64, 128], [], [], []
    for steps in counts:
        tau = ddim.timesteps(T, steps)
        sampled.append(float((ddim.sample(exact, process, x_T, tau) - x_0).abs().max()))
        code = ddim.encode(exact, process, x_0, tau)
        encoded.append(float((code - x_T).abs().max()))
        returned.append(float((ddim.sample(exact, process, code, tau) - x_0).abs().max()))
    assert slope(counts, sampled) == pytest.approx(-1, abs=0.1)
    assert slope(counts, encoded) == pytest.approx(-1, abs=0.1)
    assert slope(counts, returned) < -0.9


# T5: parity with an independent implementation


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 10, 60])
@pytest.mark.parametrize("clip", [None, (-1.0, 1.0)])
def test_step_by_step_parity_with_diffusers(eta, steps, clip):
    T = 60
    process = rough(T)
    scheduler = DDIMScheduler(
        num_train_timesteps=T, clip_sample=clip is not None, set_alpha_to_one=True, timestep_spacing="trailing",
        trained_betas=process.beta[1:].numpy(),
    )  # fmt: skip
    scheduler.alphas_cumprod = torch.cumprod(1 - process.beta[1:], 0)
    scheduler.final_alpha_cumprod = torch.ones((), dtype=F64)
    scheduler.set_timesteps(steps)
    x_T = Noise(1)(torch.empty(6, 3, dtype=F64))
    ours = ddim.sample(lively, process, x_T, ddim.timesteps(T, steps), eta=eta, clip=clip, noise=Noise(2))

    shared, x = Noise(2), x_T
    for t in scheduler.timesteps.tolist():
        z = shared(x_T) if eta > 0 else None
        eps = lively(x, torch.full((6,), t + 1))
        step = scheduler.step(eps, t, x, eta, use_clipped_model_output=True, variance_noise=z, return_dict=False)
        x = step[0]
    torch.testing.assert_close(ours, x, rtol=0, atol=1e-9)


# T6: invariants and errors


def test_same_seed_same_samples_and_arguments_unchanged():
    process, tau = rough(9), torch.tensor([3, 6, 9])
    x_T = torch.randn(8, 1, 3, 3)
    kept = x_T.clone()
    first = ddim.sample(lively, process, x_T, tau, eta=0.5, noise=Noise(range(8)))
    halves = [ddim.sample(lively, process, x_T[i : i + 4], tau, eta=0.5, noise=Noise(range(i, i + 4))) for i in (0, 4)]
    torch.testing.assert_close(first, torch.cat(halves))
    assert torch.equal(x_T, kept) and tau.tolist() == [3, 6, 9]
    assert first.dtype == x_T.dtype


def test_eta_0_draws_nothing():
    ddim.sample(lively, rough(9), torch.zeros(1, 2), torch.tensor([4, 9]), noise=Given(refuse))


def test_no_signal_left_at_the_end_is_refused():
    process, x = GaussianDiffusion(torch.tensor([0.1, 1.0])), torch.zeros(2, 3)
    for walk in (ddim.sample, ddim.encode):
        with pytest.raises(ValueError, match="abar_T is 0"):
            walk(lambda x, t: x, process, x, torch.tensor([1, 2]))


@pytest.mark.parametrize("eta", [-0.1, 1.1, math.nan])
def test_eta_outside_its_range_is_named(eta):
    with pytest.raises(ValueError, match=r"eta must lie in 0\.\.1"):
        ddim.sample(lively, rough(9), torch.zeros(1, 1), torch.tensor([9]), eta=eta)


@pytest.mark.parametrize("steps", [0, -1, 10])
def test_steps_outside_their_range_are_named(steps):
    with pytest.raises(ValueError, match=r"steps must lie in 1\.\.9 .* not"):
        ddim.timesteps(9, steps)


def test_unknown_spacing_is_named():
    with pytest.raises(ValueError, match="spacing must be 'linear' or 'quadratic', not 'log'"):
        ddim.timesteps(9, 3, "log")


@pytest.mark.parametrize("tau", [[], [0, 3], [3, 3], [5, 2], [10], [5, 10]])
def test_timesteps_that_do_not_increase_within_the_process_are_refused(tau):
    for run in (ddim.sample, ddim.encode):
        with pytest.raises(ValueError, match=r"timesteps must increase strictly within 1\.\.9"):
            run(lively, rough(9), torch.zeros(1, 1), torch.tensor(tau, dtype=torch.long))


# T7: samples of a trained network, by a test whose false alarms and power are in evidence/two-sample.yaml


@pytest.mark.slow
def test_fifty_deterministic_steps_pass_the_two_sample_test_and_three_do_not(trained_on_mixture):
    model, process, dataset = trained_on_mixture
    x_T, data = Noise(0)(torch.empty(500, 2)), dataset.x_test[:500]
    assert energy_test(ddim.sample(model, process, x_T, ddim.timesteps(200, 50)), data, seed=0) > 0.05
    assert energy_test(ddim.sample(model, process, x_T, ddim.timesteps(200, 3)), data, seed=0) < 0.01
