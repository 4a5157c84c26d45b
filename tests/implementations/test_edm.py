"""EDM against unit variances, Bayes' rule, exact moments with churn, exact transport, and independent samplers."""

from __future__ import annotations

import math
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from diffusers.schedulers import scheduling_edm_euler
from diffusers.schedulers.scheduling_heun_discrete import HeunDiscreteScheduler
from torch import nn

from implementations import edm
from implementations.common.noise import Noise
from implementations.common.rows import per_row
from implementations.verification.impulses import moments
from implementations.verification.oracles import Gaussian, line, two_modes
from implementations.verification.solver_order import measure
from tests.implementations.toys import F64, Given, refuse, transport

CAP = math.sqrt(2) - 1


def draw(seed, *shape):
    return Noise(seed)(torch.empty(*shape, dtype=F64))


class Lively(nn.Module):
    """A network that depends on x and on c_noise, neither affinely."""

    def forward(self, x, c):
        return torch.sin(1.3 * x + 0.7 * per_row(c, x)) + 0.2 * x


class Zero(nn.Module):
    def forward(self, x, c):
        return torch.zeros_like(x)


class Script(Noise):
    """Draws from a list of tensors, in order."""

    def __init__(self, *draws):
        super().__init__()
        self.draws = list(draws)

    def __call__(self, like):
        drawn = self.draws.pop(0)
        assert drawn.shape == like.shape
        return drawn.to(like)


# T1: preconditioning


LEVELS = torch.logspace(-3, 2, 60, dtype=F64)


@pytest.mark.parametrize("sigma_data", [0.5, 1.7])
def test_network_gets_and_must_return_unit_variance(sigma_data):
    """y and n are independent, of variances sigma_data^2 and sigma^2."""
    c_skip, c_out, c_in, _ = edm.Denoiser(Zero(), sigma_data).scalings(LEVELS)
    one = torch.ones_like(LEVELS)
    torch.testing.assert_close(c_in**2 * (sigma_data**2 + LEVELS**2), one, rtol=0, atol=1e-13)
    target = ((1 - c_skip) * sigma_data) ** 2 + (c_skip * LEVELS) ** 2
    torch.testing.assert_close(target / c_out**2, one, rtol=0, atol=1e-13)
    assert (c_out > 0).all() and (c_in > 0).all()


def test_c_skip_amplifies_the_errors_of_the_network_least():
    """Of all skips, with the c_out that gives unit variance, the paper's has the smallest c_out (appendix B.6)."""
    c_skip, c_out, _, _ = edm.Denoiser(Zero(), 0.8).scalings(LEVELS)
    for other in (c_skip + 0.01, c_skip - 0.01):
        assert (((1 - other) * 0.8) ** 2 + (other * LEVELS) ** 2 > c_out**2).all()


def test_denoiser_without_its_network_is_the_best_linear_one():
    x = draw(0, 60, 1) * 3
    law = Gaussian(0.0, 0.8**2)
    out = edm.Denoiser(Zero(), 0.8)(x, LEVELS)
    torch.testing.assert_close(out, law.denoise(x, 1.0, LEVELS), rtol=1e-12, atol=0)


def test_network_sees_the_scaled_input_and_a_quarter_of_the_log():
    seen = []

    class Recorder(nn.Module):
        def forward(self, x, c, y):
            seen.append((x, c, y))
            return x + y.view(-1, 1, 1)

    x, sigma, y = draw(1, 3, 2, 2), torch.tensor([0.01, 0.5, 30.0], dtype=F64), torch.tensor([5.0, 6.0, 7.0])
    out = edm.Denoiser(Recorder(), 0.5)(x, sigma, y)
    given, c, label = seen[0]
    torch.testing.assert_close(
        given,
        x / torch.tensor([(0.25 + v * v) ** 0.5 for v in sigma.tolist()], dtype=F64).view(3, 1, 1),
        rtol=1e-13,
        atol=0,
    )
    torch.testing.assert_close(
        c, torch.tensor([math.log(v) / 4 for v in sigma.tolist()], dtype=F64), rtol=1e-14, atol=0
    )
    assert label is y
    # c_skip + c_out c_in = (0.25 + 0.5 sigma) / (0.25 + sigma^2); c_out = 0.5 sigma / sqrt(0.25 + sigma^2)
    share = (0.25 + 0.5 * sigma) / (0.25 + sigma**2)
    shift = 0.5 * sigma / (0.25 + sigma**2).sqrt() * y
    torch.testing.assert_close(out, share.view(3, 1, 1) * x + shift.view(3, 1, 1), rtol=1e-12, atol=0)


def test_paper_values_are_the_defaults():
    assert edm.Denoiser(Zero()).sigma_data == 0.5
    assert edm.schedule().tolist() == edm.schedule(18, 0.002, 80.0, 7.0).tolist()
    x = draw(0, 6, 2)
    default = edm.loss(lambda x, sigma: 0 * x, x, noise=Noise(1))
    spelled = edm.loss(lambda x, sigma: 0 * x, x, sigma_data=0.5, P_mean=-1.2, P_std=1.2, noise=Noise(1))
    assert float(default) == float(spelled)


# T1: the loss


def test_loss_draws_log_normal_levels_and_weights_by_the_inverse_square_of_c_out():
    y, z, eps = draw(0, 4, 2, 3), torch.tensor([-2.0, -0.5, 0.3, 1.0], dtype=F64), draw(1, 4, 2, 3)
    seen = []

    def model(x, sigma):
        seen.append((x, sigma))
        return torch.sin(x)

    value = edm.loss(model, y, sigma_data=0.7, P_mean=-0.4, P_std=1.1, noise=Script(z, eps))
    x, sigma = seen[0]
    expected_sigma = np.exp(-0.4 + 1.1 * z.numpy())
    np.testing.assert_allclose(sigma.numpy(), expected_sigma, rtol=1e-13)
    torch.testing.assert_close(x, y + torch.from_numpy(expected_sigma).view(4, 1, 1) * eps, rtol=1e-13, atol=0)
    c_out = expected_sigma * 0.7 / np.sqrt(0.49 + expected_sigma**2)
    squared = ((np.sin(x.numpy()) - y.numpy()) ** 2).reshape(4, -1).mean(1)
    assert float(value) == pytest.approx(float((squared / c_out**2).mean()), rel=1e-12)


def test_loss_is_the_plain_squared_error_of_the_network_on_its_target():
    """Eq. 8 with lambda c_out^2 = 1."""
    y, z, eps = draw(0, 5, 3), draw(1, 5), draw(2, 5, 3)
    denoiser = edm.Denoiser(Lively(), 0.6)
    value = edm.loss(denoiser, y, sigma_data=0.6, noise=Script(z, eps))
    sigma = (-1.2 + 1.2 * z).exp()[:, None]
    x, total = y + sigma * eps, sigma**2 + 0.36
    target = (y - 0.36 / total * x) * total.sqrt() / (0.6 * sigma)
    guess = Lively()(x / total.sqrt(), sigma[:, 0].log() / 4)
    assert float(value) == pytest.approx(float((guess - target).square().mean()), rel=1e-12)


@pytest.mark.parametrize("sigma", [0.002, 0.3, 80.0])
def test_untrained_network_scores_one_at_every_level(sigma):
    """The rows (sigma_data, no noise) and (0, noise of 1) add up to the variance of an error that is linear in both."""
    y = torch.tensor([[0.6], [0.0]], dtype=F64)
    script = Script(torch.zeros(2), torch.tensor([[0.0], [1.0]]))
    value = edm.loss(edm.Denoiser(Zero(), 0.6), y, sigma_data=0.6, P_mean=math.log(sigma), noise=script)
    assert 2 * float(value) == pytest.approx(1, rel=1e-12)


def test_loss_at_the_exact_denoiser_is_the_bayes_risk_and_minimal():
    """E |D - y|^2 = sigma^2 E |E[eps | x] - eps|^2, known by quadrature; no scale or shift of D does better."""
    law, sigma, n = line(), 0.4, 60_000
    scale, shift = torch.ones((), dtype=F64, requires_grad=True), torch.zeros((), dtype=F64, requires_grad=True)
    y = law.sample(n, noise=Noise(3))

    def value(z):
        def model(x, s):
            return scale * law.denoise(x, 1.0, s) + shift

        return edm.loss(model, y, P_mean=math.log(sigma), P_std=0.0, noise=Noise(z))

    total = value(4)
    weight = (sigma**2 + 0.25) / (0.5 * sigma) ** 2
    risk = weight * sigma**2 * law.eps_risk(1.0, sigma)
    # The posterior of y has a width of at most about 1, so a squared error has a standard deviation below 1 weight.
    assert float(total.detach()) == pytest.approx(risk, abs=5 * weight / math.sqrt(n))
    gradients = torch.autograd.grad(total, [scale, shift])
    # d/dscale = 2 weight (D - y) D, with |D| below 2.5 and the error's deviation below 0.4.
    assert max(abs(float(g)) for g in gradients) < 5 * 2 * weight * 0.4 * 2.5 / math.sqrt(n)


# T1: the schedule


def test_schedule_is_even_in_the_root_and_ends_at_zero():
    sigmas = edm.schedule(18)
    assert sigmas.dtype == F64 and sigmas.shape == (19,)
    assert float(sigmas[0]) == 80.0
    assert float(sigmas[-2]) == pytest.approx(0.002, rel=1e-11)
    assert float(sigmas[-1]) == 0.0
    spacing = (sigmas[:-1] ** (1 / 7)).diff()
    torch.testing.assert_close(spacing, torch.full((17,), (0.002 ** (1 / 7) - 80 ** (1 / 7)) / 17, dtype=F64))
    # by hand: rho = 1 is linear, rho = 2 quadratic
    np.testing.assert_allclose(edm.schedule(3, 1.0, 9.0, 1.0).numpy(), [9, 5, 1, 0], rtol=1e-14)
    np.testing.assert_allclose(edm.schedule(3, 1.0, 9.0, 2.0).numpy(), [9, 4, 1, 0], rtol=1e-14)
    np.testing.assert_allclose(edm.schedule(2, 1.0, 9.0, 2.0).numpy(), [9, 1, 0], rtol=1e-14)


def test_schedule_stays_within_its_ends():
    """Rounding must not put a level outside a window of churn that ends at sigma_min or sigma_max."""
    for k in range(1, 40):
        sigmas = edm.schedule(3, 0.01 * k, 3.0 * k)[:-1]
        assert 0.01 * k <= float(sigmas[-1]) and float(sigmas[0]) <= 3.0 * k
        assert sigmas[[0, -1]].tolist() == pytest.approx([3.0 * k, 0.01 * k], rel=1e-13)


def test_one_step_goes_from_sigma_max_to_zero():
    assert edm.schedule(1, 0.1, 3.0).tolist() == pytest.approx([3.0, 0.0])
    law, z = two_modes(), draw(0, 5, 2)
    sigmas = edm.schedule(1)
    out = edm.sample(law.denoiser(), z, sigmas)
    torch.testing.assert_close(out, law.denoise(sigmas[0] * z, 1.0, sigmas[0].expand(5)), rtol=0, atol=1e-12)


# T2: exact moments


def gaussian_recursion(sigmas, s, m, solver, S_churn, S_min, S_max, S_noise):
    """Mean and variance of the output for data N(m, s^2), by hand.

    There D = m + s^2 / (s^2 + sigma^2) (x - m), so the slope is sigma / (s^2 + sigma^2) times r = x - m.
    """
    N, draws = len(sigmas) - 1, 1
    mean, var = -m, sigmas[0] ** 2  # of r
    for t, s_next in pairwise(sigmas):
        gamma = min(S_churn / N, CAP) if S_min <= t <= S_max else 0.0
        t_hat = (1 + gamma) * t
        if gamma:
            draws += 1
            var += (t_hat**2 - t**2) * S_noise**2
        rate, h = t_hat / (s**2 + t_hat**2), s_next - t_hat
        factor = 1 + h * rate
        if solver == "heun" and s_next > 0:
            factor = 1 + h / 2 * (rate + factor * s_next / (s**2 + s_next**2))
        mean, var = factor * mean, factor**2 * var
    return mean + m, var, draws


CHURNS = [
    (0.0, 0.0, math.inf, 1.0),
    (1.5, 0.0, math.inf, 1.0),
    (100.0, 0.0, math.inf, 1.003),
    (2.0, 0.05, 3.0, 1.1),
]


@pytest.mark.parametrize("solver", ["heun", "euler"])
@pytest.mark.parametrize("churn", CHURNS)
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_moments_are_those_of_the_papers_recursion(solver, churn, steps):
    m, s = 0.7, 0.4
    D = Gaussian(m, s**2).denoiser()
    sigmas = edm.schedule(steps, 0.01, 5.0)
    S_churn, S_min, S_max, S_noise = churn
    found = moments(
        lambda z, noise: edm.sample(
            D, z, sigmas, solver=solver, S_churn=S_churn, S_min=S_min, S_max=S_max, S_noise=S_noise, noise=noise
        )
    )
    mean, var, draws = gaussian_recursion(sigmas.tolist(), s, m, solver, *churn)
    assert float(found.mean) == pytest.approx(mean, abs=1e-9)
    assert float(found.std) == pytest.approx(math.sqrt(var), abs=1e-9)
    assert found.draws == draws


def test_churn_is_by_default_everywhere_and_of_the_size_that_keeps_the_law():
    D, sigmas = Gaussian(0.7, 0.16).denoiser(), edm.schedule(6, 0.01, 5.0)
    mean, var, draws = gaussian_recursion(sigmas.tolist(), 0.4, 0.7, "heun", 1.5, 0.0, math.inf, 1.0)

    def by_steps(z, noise):
        return list(edm.trajectory(D, 5 * z, sigmas, S_churn=1.5, noise=noise))[-1]

    for sampler in (lambda z, noise: edm.sample(D, z, sigmas, S_churn=1.5, noise=noise), by_steps):
        found = moments(sampler)
        assert float(found.mean) == pytest.approx(mean, abs=1e-9)
        assert float(found.std) == pytest.approx(math.sqrt(var), abs=1e-9)
        assert found.draws == draws


def test_window_of_churn_includes_both_of_its_ends():
    sigmas = torch.tensor([4.0, 2.0, 1.0, 0.5, 0.0], dtype=F64)
    D = Gaussian(0.0, 0.25).denoiser()
    found = moments(lambda z, noise: edm.sample(D, z, sigmas, S_churn=1.0, S_min=1.0, S_max=2.0, noise=noise))
    _, var, draws = gaussian_recursion(sigmas.tolist(), 0.5, 0.0, "heun", 1.0, 1.0, 2.0, 1.0)
    assert draws == found.draws == 3
    assert float(found.std) == pytest.approx(math.sqrt(var), abs=1e-9)


@pytest.mark.parametrize(("S_churn", "S_noise"), [(0.4, 1.0), (0.4, 1.2), (50.0, 1.0)])
def test_churn_raises_the_variance_to_that_of_the_level_the_network_is_told(S_churn, S_noise):
    """The rows of unit noise at the first call: its variance is t_hat^2 - t^2, and t_hat at most sqrt(2) t."""
    seen = []

    def model(x, sigma):
        seen.append((x, sigma))
        return x

    x, sigmas = torch.zeros(3, 1, dtype=F64), torch.tensor([2.0, 1.0, 0.0], dtype=F64)
    list(edm.trajectory(model, x, sigmas, S_churn=S_churn, S_noise=S_noise, noise=Given(torch.ones_like)))
    noised, t_hat = seen[0]
    expected = 2 * (1 + min(S_churn / 2, CAP))
    torch.testing.assert_close(t_hat, torch.full((3,), expected, dtype=F64), rtol=1e-14, atol=0)
    amount = S_noise * math.sqrt(expected**2 - 4)
    torch.testing.assert_close(noised, torch.full((3, 1), amount, dtype=F64), rtol=1e-12, atol=0)


def test_a_step_of_an_unknown_solver_is_refused():
    with pytest.raises(ValueError, match="'heun' or 'euler', not 'midpoint'"):
        edm.step(lambda x, sigma: x, draw(1, 2, 2), 1.0, 0.5, solver=cast(Any, "midpoint"))


@pytest.mark.parametrize("solver", ["heun", "euler"])
@pytest.mark.parametrize("S_churn", [0.0, 30.0])
def test_a_point_mass_is_returned_exactly(solver, S_churn):
    c = torch.tensor([[0.3, -2.0]], dtype=F64)
    out = edm.sample(
        lambda x, sigma: c.expand_as(x), draw(3, 9, 2), edm.schedule(12), solver=solver, S_churn=S_churn, noise=Noise(4)
    )
    torch.testing.assert_close(out, c.expand(9, 2), rtol=0, atol=1e-12)


# T3: order


@pytest.mark.parametrize(("solver", "order"), [("heun", 2), ("euler", 1)])
def test_order_against_exact_transport(solver, order):
    """A second slope at the wrong level would leave Heun's method at 1."""
    law, z = line(), torch.linspace(-1.5, 1.5, 9, dtype=F64)[:, None]
    sigmas = {n: edm.schedule(n + 1, 0.05, 4.0)[:-1] for n in (24, 48, 96)}
    exact = transport(law, 4.0 * z, 4.0, 0.05)
    found = measure(lambda n: edm.sample(law.denoiser(), z, sigmas[n], solver=solver), exact, (24, 48, 96))
    found.require(order - 0.1, order + 0.1)


def test_encoding_and_sampling_again_is_the_identity_to_order_three():
    """One better than Heun's method: a step of h errs by C h^3, the step back by C (-h)^3, and the two cancel."""
    law, z = line(), torch.linspace(-1.5, 1.5, 9, dtype=F64)[:, None]

    def there_and_back(n):
        sigmas, x = edm.schedule(n + 1, 0.05, 4.0)[:-1], z
        for s, t in pairwise(sigmas.flip(0).tolist()):
            x = edm.step(law.denoiser(), x, s, t)
        return edm.sample(law.denoiser(), x / sigmas[0], sigmas)

    measure(there_and_back, z, (24, 48, 96)).require(2.9, 3.1)


# T5: parity with independent implementations


@pytest.fixture
def edm_euler(monkeypatch):
    """diffusers' scheduler in float64: it rounds its levels and its state to float32."""
    double = SimpleNamespace(**{**vars(torch), "float32": F64})
    monkeypatch.setattr(scheduling_edm_euler, "torch", double)
    scheduler = scheduling_edm_euler.EDMEulerScheduler(sigma_min=0.01, sigma_max=20.0, sigma_data=0.7, rho=5.0)
    scheduler.set_timesteps(11)
    return scheduler


def test_schedule_is_that_of_diffusers(edm_euler):
    torch.testing.assert_close(edm_euler.sigmas.double(), edm.schedule(11, 0.01, 20.0, 5.0), rtol=1e-12, atol=0)


@pytest.mark.parametrize("S_churn", [0.0, 2.0, 30.0])
def test_step_by_step_parity_with_diffusers_euler(edm_euler, monkeypatch, S_churn):
    """The peer noises its state after the network was called on it: here the network is called on what it will be."""
    sigmas, window = edm.schedule(11, 0.01, 20.0, 5.0), {"S_min": 0.03, "S_max": 8.0}
    edm_euler.sigmas = sigmas
    z = draw(1, 6, 3)
    ours = edm.trajectory(
        edm.Denoiser(Lively(), 0.7),
        20 * z,
        sigmas,
        solver="euler",
        S_churn=S_churn,
        S_noise=1.1,
        noise=Noise(2),
        **window,
    )

    x, shared = 20 * z, Noise(2)
    for t, state in zip(edm_euler.timesteps, ours, strict=True):
        sigma = float(edm_euler.scale_model_input(x, t)[0, 0] / x[0, 0]) ** -2 - 0.49
        sigma = math.sqrt(max(sigma, 0.0))
        gamma = min(S_churn / 11, CAP) if 0.03 <= sigma <= 8.0 else 0.0
        eps = shared(x) if gamma else torch.zeros_like(x)
        monkeypatch.setattr(scheduling_edm_euler, "randn_tensor", lambda *a, eps=eps, **k: eps)
        high = sigma * (1 + gamma)
        x_hat = x + 1.1 * math.sqrt(high**2 - sigma**2) * eps
        F = Lively()(edm_euler.precondition_inputs(x_hat, high), edm_euler.precondition_noise(high).expand(6))
        options = {"s_churn": S_churn, "s_tmin": 0.03, "s_tmax": 8.0, "s_noise": 1.1}
        x = edm_euler.step(F, t, x, **options).prev_sample
        torch.testing.assert_close(state, x, rtol=0, atol=1e-7)


def test_step_by_step_parity_with_diffusers_heun():
    """Both orders of the peer's step, with the denoised image as what the model predicts."""
    steps, sigmas = 9, edm.schedule(9, 0.01, 20.0, 5.0)
    scheduler = HeunDiscreteScheduler(prediction_type="sample")
    scheduler.set_timesteps(steps)
    scheduler.sigmas = torch.cat([sigmas[:1], sigmas[1:-1].repeat_interleave(2), sigmas[-1:]])
    scheduler.set_begin_index(0)
    denoiser, z = edm.Denoiser(Lively(), 0.7), draw(1, 6, 3)
    ours = edm.sample(denoiser, z, sigmas)

    x, levels = sigmas[0] * z, [sigmas[0], *sigmas[1:-1].repeat_interleave(2)]
    for t, sigma in zip(scheduler.timesteps, levels, strict=True):
        x = scheduler.step(denoiser(x, sigma.expand(6)), t, x, return_dict=False)[0]
    torch.testing.assert_close(ours, x, rtol=0, atol=1e-10)


# T6: invariants and errors


@pytest.mark.parametrize(("solver", "expected"), [("heun", [3.0, 2.0, 2.0, 1.0, 1.0]), ("euler", [3.0, 2.0, 1.0])])
def test_network_sees_each_level_once_and_heun_the_inner_ones_twice(solver, expected):
    seen = []

    def model(x, sigma):
        seen.append(sigma)
        return x

    edm.sample(model, torch.zeros(2, 1), torch.tensor([3.0, 2.0, 1.0, 0.0]), solver=solver)
    assert [sigma.tolist() for sigma in seen] == [[t, t] for t in expected]


def test_levels_may_end_above_zero_and_then_the_last_step_is_heuns_too():
    seen = []
    edm.sample(lambda x, sigma: seen.append(float(sigma[0])) or x, torch.zeros(1, 1), torch.tensor([2.0, 1.0]))
    assert seen == [2.0, 1.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_state_is_float64_whatever_the_network_works_in(dtype):
    """With D = 0 every Euler step multiplies by s / t: 400 of them round once, at the end."""
    seen = []

    def model(x, sigma):
        seen.append((x.dtype, sigma.dtype))
        return torch.zeros_like(x)

    x, sigmas = draw(0, 50, 1).to(dtype), edm.schedule(400)[:-1]
    *_, out = edm.trajectory(model, x, sigmas, solver="euler")
    assert set(seen) == {(dtype, dtype)} and out.dtype == dtype
    expected = x.double() * (sigmas[-1] / sigmas[0])
    torch.testing.assert_close(out.double(), expected, rtol=1e-7 if dtype == torch.float32 else 1e-12, atol=0)


def test_a_batch_of_8_equals_two_of_4_and_arguments_stay():
    denoiser, z, sigmas = edm.Denoiser(Lively()), draw(0, 8, 1, 3, 3).float(), edm.schedule(6)
    kept, levels = z.clone(), sigmas.clone()
    whole = edm.sample(denoiser, z, sigmas, S_churn=9.0, noise=Noise(range(8)))
    halves = [edm.sample(denoiser, z[i : i + 4], sigmas, S_churn=9.0, noise=Noise(range(i, i + 4))) for i in (0, 4)]
    torch.testing.assert_close(whole, torch.cat(halves))
    assert torch.equal(z, kept) and torch.equal(sigmas, levels)
    assert whole.shape == z.shape and whole.dtype == z.dtype and not whole.requires_grad
    assert torch.equal(whole, edm.sample(denoiser, z, sigmas, S_churn=9.0, noise=Noise(range(8))))


def test_sampling_keeps_no_graph():
    z = torch.zeros(2, 1)
    network = nn.Linear(1, 1)
    assert not edm.sample(lambda x, sigma: network(x), z, edm.schedule(3)).requires_grad
    assert edm.step(lambda x, sigma: network(x), z, 2.0, 1.0).requires_grad  # a distillation may need it


def test_a_step_takes_one_level_per_row():
    law, x = two_modes(), draw(0, 3, 2)
    sigma = torch.tensor([0.3, 1.0, 4.0], dtype=F64)
    together = edm.slope(law.denoiser(), x, sigma)
    alone = [edm.slope(law.denoiser(), x[i : i + 1], float(sigma[i])) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(together, -sigma[:, None] * law.score(x, 1.0, sigma), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("solver", ["heun", "euler"])
def test_a_step_goes_between_levels_of_each_row(solver):
    law, x = two_modes(), draw(0, 3, 2)
    t, s = torch.tensor([0.3, 1.0, 4.0], dtype=F64), torch.tensor([0.2, 1.5, 0.5], dtype=F64)
    together = edm.step(law.denoiser(), x, t, s, solver=solver)
    alone = [edm.step(law.denoiser(), x[i : i + 1], float(t[i]), float(s[i]), solver=solver) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-12, atol=1e-12)


def test_a_whole_number_is_a_level_like_any_other():
    seen = []
    edm.slope(lambda x, sigma: seen.append(sigma) or x, torch.zeros(3, 2), 2)
    assert seen[0].dtype == torch.float32 and seen[0].tolist() == [2.0] * 3


def test_no_churn_draws_nothing():
    edm.sample(lambda x, sigma: x, torch.zeros(1, 2), edm.schedule(4), noise=Given(refuse))
    edm.sample(lambda x, sigma: x, torch.zeros(1, 2), edm.schedule(4), S_churn=5.0, S_min=100.0, noise=Given(refuse))


@pytest.mark.parametrize("steps", [0, -1])
def test_steps_below_one_are_named(steps):
    with pytest.raises(ValueError, match=f"steps must be at least 1, not {steps}"):
        edm.schedule(steps)


@pytest.mark.parametrize(
    ("low", "high", "rho"),
    [(80.0, 0.002, 7.0), (1.0, 1.0, 7.0), (0.0, 80.0, 7.0), (0.1, math.inf, 7.0), (0.1, 1.0, 0.0), (0.1, 1.0, -7.0)],
)
def test_levels_out_of_order_are_named(low, high, rho):
    with pytest.raises(ValueError, match="want 0 < sigma_min < sigma_max and rho > 0"):
        edm.schedule(5, low, high, rho)


@pytest.mark.parametrize(
    "sigmas", [[], [1.0], [1.0, 2.0, 0.0], [1.0, 1.0, 0.0], [1.0, -0.1], [2.0, 1.0, -0.1], [1.0, math.nan]]
)
def test_sigmas_that_do_not_fall_to_zero_or_above_are_refused(sigmas):
    with pytest.raises(ValueError, match="sigmas must be two or more noise levels that fall"):
        list(edm.trajectory(lambda x, sigma: x, torch.zeros(1, 1), torch.tensor(sigmas)))


@pytest.mark.parametrize(
    "churn", [{"S_churn": -1.0}, {"S_noise": -0.1}, {"S_min": 2.0, "S_max": 1.0}, {"S_churn": math.nan}]
)
def test_churn_out_of_range_is_named(churn):
    with pytest.raises(ValueError, match="want S_churn >= 0, S_noise >= 0 and S_min <= S_max"):
        edm.sample(lambda x, sigma: x, torch.zeros(1, 1), edm.schedule(3), **churn)


def test_edges_of_the_ranges_are_allowed():
    out = edm.sample(
        lambda x, sigma: x, torch.ones(1, 1), edm.schedule(3), S_noise=0.0, S_churn=1.0, S_min=1.0, S_max=1.0
    )
    assert torch.isfinite(out).all()


@pytest.mark.parametrize("steps", [1, 3])  # of one, which ends at 0, Euler is all there is
def test_unknown_solver_is_named(steps):
    with pytest.raises(ValueError, match="solver must be 'heun' or 'euler', not 'rk4'"):
        edm.sample(lambda x, sigma: x, torch.zeros(1, 1), edm.schedule(steps), solver=cast(Any, "rk4"))


@pytest.mark.parametrize("sigma_data", [0.0, -0.5, math.nan])
def test_sigma_data_not_above_zero_is_named(sigma_data):
    with pytest.raises(ValueError, match="sigma_data must be above 0"):
        edm.Denoiser(Zero(), sigma_data)
