"""VDM against closed forms for Gaussian data, Bayes' rule, DDPM's chain for the same levels, and numpy line by line."""

from __future__ import annotations

import gc
import math
import weakref
from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from scipy.stats import norm
from torch import nn

from implementations import ddpm, vdm
from implementations.common.noise import Noise
from implementations.common.rows import per_row
from implementations.dpm import GaussianDiffusion, gaussian_kl
from implementations.verification.impulses import moments
from implementations.verification.oracles import Gaussian, GaussianMixture
from implementations.verification.solver_order import measure
from tests.implementations.toys import F64


def bent(t):
    """A schedule from -4 to 2 in which no two steps are alike."""
    return -4 + 6 * (0.3 * t + 0.7 * t**2)


def bent_rate(t):
    return 6 * (0.3 + 1.4 * t)


def lively(z, gamma):
    """A network that depends on z and on the level, neither affinely."""
    return torch.sin(1.3 * z + 0.2 * per_row(gamma, z)) + 0.2 * z


def exact(law):
    return lambda z, gamma: law.eps(z, (-gamma).sigmoid().sqrt(), gamma.sigmoid().sqrt())


def draws(*shape, seed=0):
    return Noise(seed)(torch.empty(*shape, dtype=F64))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def low_discrepancy(k, noise):
    u = noise.uniform(torch.empty(k, dtype=F64)).numpy()[0]
    return np.mod(u + np.arange(1, k + 1) / k, 1)


def scrambled(features=7, **options):
    """A schedule whose parameters are far from where they start."""
    schedule = vdm.MonotoneSchedule(-4.0, 2.0, features=features, **options)
    noise = Noise(3)
    with torch.no_grad():
        for p in schedule.parameters():
            if p is not schedule.scaled_ends:
                p += 0.1 * noise(p)
    return schedule


# T1: levels


def test_a_level_splits_signal_and_noise():
    gamma = torch.tensor([-13.3, -1.0, 0.0, 5.0], dtype=F64)
    alpha, sigma = vdm.alpha_sigma(gamma, torch.empty(4, 2, 3, dtype=F64))
    assert alpha.shape == sigma.shape == (4, 1, 1)
    snr = np.exp(-gamma.numpy())
    np.testing.assert_allclose((alpha**2).flatten().numpy(), snr / (1 + snr), rtol=1e-13)
    np.testing.assert_allclose((sigma**2).flatten().numpy(), 1 / (1 + snr), rtol=1e-13)
    assert vdm.alpha_sigma(gamma, torch.empty(4, 1))[0].dtype == torch.float32


def test_predict_x_inverts_diffuse():
    x, eps, gamma = draws(4, 3, seed=1), draws(4, 3, seed=2), torch.tensor([-6.0, -1.0, 0.5, 4.0], dtype=F64)
    z = vdm.diffuse(x, gamma, eps)
    np.testing.assert_allclose(
        z.numpy(),
        np.sqrt(sigmoid(-gamma.numpy()))[:, None] * x.numpy() + np.sqrt(sigmoid(gamma.numpy()))[:, None] * eps.numpy(),
        rtol=1e-12,
    )
    torch.testing.assert_close(vdm.predict_x(z, gamma, eps), x, rtol=0, atol=1e-12)


# T1: schedules


@pytest.mark.parametrize("make", [vdm.linear, vdm.cosine, vdm.MonotoneSchedule])
def test_schedules_run_between_their_ends(make):
    """By default the ends of the authors' code: -13.3 and 5."""
    t = torch.linspace(0, 1, 101, dtype=F64)
    for schedule, ends in [(make(), (-13.3, 5.0)), (make(-3.0, 1.0), (-3.0, 1.0))]:
        gamma = schedule(t)
        assert gamma.dtype == F64
        assert (float(gamma[0].detach()), float(gamma[-1].detach())) == pytest.approx(ends, abs=1e-9)
        assert (gamma.diff() > 0).all()


@pytest.mark.parametrize("make", [vdm.linear, vdm.cosine, vdm.MonotoneSchedule])
def test_schedules_take_times_of_any_shape(make):
    schedule, t = make(), torch.linspace(0.1, 0.9, 6, dtype=F64)
    with torch.no_grad():
        torch.testing.assert_close(schedule(t.view(2, 3)), schedule(t).view(2, 3), rtol=0, atol=1e-12)
        torch.testing.assert_close(schedule(t[2]), schedule(t)[2], rtol=0, atol=1e-12)


def test_linear_is_linear():
    t = torch.tensor([0.0, 0.25, 1.0], dtype=F64)
    np.testing.assert_allclose(vdm.linear(-3, 5)(t).numpy(), [-3, -1, 5])


def test_cosine_turns_its_angle_in_equal_steps():
    gamma = vdm.cosine(-7.0, 3.0)(torch.linspace(0, 1, 9, dtype=F64)).numpy()
    angle = np.arccos(np.sqrt(sigmoid(-gamma)))
    np.testing.assert_allclose(np.diff(angle, 2), 0, atol=1e-12)


def test_learned_schedule_is_the_appendixs_network_stretched_between_its_ends():
    schedule = scrambled(pace=3.0)
    t = np.linspace(0, 1, 6)
    w_1, w_2, w_3 = (
        np.exp(3 * p.detach().numpy()) for p in (schedule.log_weight_1, schedule.log_weight_2, schedule.log_weight_3)
    )
    h = w_1 * t
    raw = h + (w_3 * sigmoid(w_2 * h[:, None] + 3 * schedule.bias_2.detach().numpy())).sum(1) / 7
    expected = -4 + 6 * (raw - raw[0]) / (raw[-1] - raw[0])
    np.testing.assert_allclose(schedule(torch.from_numpy(t)).detach().numpy(), expected, rtol=1e-10, atol=1e-12)


def test_learned_schedule_increases_whatever_its_parameters():
    t = torch.linspace(0, 1, 500, dtype=F64)
    for seed in range(20):
        schedule, noise = vdm.MonotoneSchedule(-4.0, 2.0, features=5), Noise(seed)
        with torch.no_grad():
            for p in schedule.parameters():
                if p is not schedule.scaled_ends:
                    p += noise(p)
        gamma = schedule(t).detach()
        assert (gamma.diff() > 0).all()
        assert (float(gamma[0]), float(gamma[-1])) == pytest.approx((-4, 2), abs=1e-9)


def test_learned_schedule_starts_out_nearly_linear_with_the_papers_1024_units():
    schedule = vdm.MonotoneSchedule()
    t = torch.linspace(0, 1, 50, dtype=F64)
    assert schedule.log_weight_2.shape == (1024,)
    assert float((schedule.shape(t) - t).abs().max().detach()) < 0.02
    # one step of Adam moves a parameter by lr: 0.01 for a logarithm kept at a tenth
    assert float((schedule.log_weight_3 * 10).exp()[0].detach()) == pytest.approx(10)
    assert float((schedule.log_weight_2 * 10).exp()[0].detach()) == pytest.approx(12)
    assert float((schedule.log_weight_1 * 10).exp().detach()) == 1
    centre = -(schedule.bias_2 * 10 / 12).detach()
    assert (float(centre[0]), float(centre[-1])) == pytest.approx((-0.25, 1.25))
    assert all(p.dtype == F64 for p in schedule.parameters())


def test_ends_move_only_if_asked():
    moving, fixed = vdm.MonotoneSchedule(-4.0, 2.0), vdm.MonotoneSchedule(-4.0, 2.0, learn_ends=False)
    assert moving.scaled_ends.requires_grad and not fixed.scaled_ends.requires_grad
    torch.testing.assert_close(fixed.ends, torch.tensor([-4.0, 2.0], dtype=F64))


def test_slope_is_the_derivative():
    t = torch.tensor([0.1, 0.5, 0.9], dtype=F64)
    gamma, rate = vdm.slope(bent, t)
    torch.testing.assert_close(gamma, bent(t))
    torch.testing.assert_close(rate, bent_rate(t))
    schedule, h = scrambled(), 1e-5
    difference = (schedule(t + h) - schedule(t - h)) / (2 * h)
    torch.testing.assert_close(vdm.slope(schedule, t)[1], difference, rtol=1e-7, atol=1e-8)


def test_slope_carries_gradients_only_where_they_are_on():
    schedule, t = scrambled(), torch.tensor([0.3], dtype=F64)
    assert all(v.requires_grad for v in vdm.slope(schedule, t))
    with torch.no_grad():
        assert not any(v.requires_grad for v in vdm.slope(schedule, t))
    assert not t.requires_grad


# T1: times and losses


def test_times_are_one_draw_spread_evenly():
    x = torch.empty(5, 2)
    t = vdm.times(x, noise=Noise(4))
    np.testing.assert_allclose(t.numpy(), low_discrepancy(5, Noise(4)), rtol=1e-14)
    np.testing.assert_allclose(np.diff(np.sort(t.numpy())), 0.2, rtol=1e-12)
    assert t.dtype == F64


def test_each_time_is_uniform():
    seen = torch.stack([vdm.times(torch.empty(3, 1), noise=Noise(seed)) for seed in range(600)])
    assert (seen >= 0).all() and (seen < 1).all()
    # the mean of 600 uniforms has standard deviation 0.29 / sqrt(600); the three rows share their draws
    assert (seen.mean(0) - 0.5).abs().max() < 5 * 0.29 / math.sqrt(600)
    assert (seen.var(0) - 1 / 12).abs().max() < 0.016  # five standard deviations: 5 sqrt(1/180 / 600)


@pytest.mark.parametrize("T", [None, 1, 7])
def test_diffusion_loss_is_the_weighted_error_written_out(T):
    k, x = 6, draws(6, 2, 3, seed=1)
    value = vdm.diffusion_loss(lively, bent, x, T=T, noise=Noise(5)).detach()
    again = Noise(5)
    t = low_discrepancy(k, again)
    if T is not None:
        t = np.ceil(t * T) / T
    eps = again(x).numpy()
    gamma = bent(t)
    z = np.sqrt(sigmoid(-gamma)).reshape(k, 1, 1) * x.numpy() + np.sqrt(sigmoid(gamma)).reshape(k, 1, 1) * eps
    guess = np.sin(1.3 * z + 0.2 * gamma.reshape(k, 1, 1)) + 0.2 * z
    weight = bent_rate(t) if T is None else T * (np.exp(gamma - bent(t - 1 / T)) - 1)
    np.testing.assert_allclose(value.numpy(), weight / 2 * ((eps - guess) ** 2).sum((1, 2)), rtol=1e-10)


def test_discrete_steps_are_numbered_1_to_T_each_as_often():
    seen = []
    for seed in range(40):
        vdm.diffusion_loss(
            lambda z, gamma: seen.append(gamma) or z,
            lambda t: 4 * t,
            torch.zeros(100, 1, dtype=F64),
            T=4,
            noise=Noise(seed),
        )
    steps, counts = torch.cat(seen).unique(return_counts=True)
    np.testing.assert_allclose(steps.numpy(), [1, 2, 3, 4])
    assert (counts == 1000).all()


def test_a_network_is_told_the_level_in_the_dtype_of_its_input():
    seen = []
    vdm.diffusion_loss(lambda z, gamma: seen.append((z, gamma)) or z, bent, torch.zeros(3, 2), noise=Noise(0))
    ((z, gamma),) = seen
    assert z.dtype == gamma.dtype == torch.float32 and gamma.shape == (3,)


def test_loss_at_the_exact_denoiser_is_minimal():
    """The derivative along any change of the answer is a mean of zero: here of its scale and of its shift."""
    law, n = Gaussian([0.7, -0.2], 0.4), 100_000
    scale, shift = (torch.tensor(v, dtype=F64, requires_grad=True) for v in (1.0, 0.0))
    model = exact(law)
    value = vdm.diffusion_loss(
        lambda z, gamma: scale * model(z, gamma) + shift, bent, law.sample(n, noise=Noise(1)), noise=Noise(2)
    ).mean()
    gradients = torch.autograd.grad(value, [scale, shift])
    # per row at most 10.2 (the largest slope) times |error| |answer|, of root mean square below 2
    assert max(abs(float(g)) for g in gradients) < 5 * 10.2 * 2 / math.sqrt(n)


# T4: the bound in closed form


def gaussian_diffusion_loss(s2, first, last):
    """1/2 the integral of the Bayes risk s2 e^-g / (1 + s2 e^-g) over g, for N(., s2)."""
    return 0.5 * math.log((1 + s2 * math.exp(-first)) / (1 + s2 * math.exp(-last)))


def by_quadrature(schedule, integrand, n=250):
    """The integral over t in [0, 1] of slope(t) integrand(gamma(t)), Gauss-Legendre; integrand: (n,) to (n,)."""
    node, weight = np.polynomial.legendre.leggauss(n)
    with torch.no_grad():
        gamma, rate = vdm.slope(schedule, torch.from_numpy((node + 1) / 2))
        return float(torch.from_numpy(weight / 2) @ (rate * integrand(gamma)))


SCHEDULES = {"linear": vdm.linear(-4, 2), "cosine": vdm.cosine(-4, 2), "bent": bent, "learned": scrambled()}


@pytest.mark.parametrize("name", SCHEDULES)
def test_continuous_loss_is_the_closed_form_under_every_schedule(name):
    s2 = 0.4
    found = by_quadrature(SCHEDULES[name], lambda gamma: 0.5 * s2 / (s2 + gamma.exp()))
    assert found == pytest.approx(gaussian_diffusion_loss(s2, -4, 2), rel=1e-9)


@pytest.mark.parametrize("name", ["linear", "cosine", "learned"])
def test_even_one_rows_loss_is_the_same_under_every_schedule_with_any_network(name):
    """A row (x, eps) has the same error at a level, whatever t the level comes at."""
    x, eps = draws(1, 2, seed=1).expand(250, 2), draws(1, 2, seed=2).expand(250, 2)

    def half(gamma):
        return 0.5 * vdm.squared_error(lively, x, gamma, eps)

    assert by_quadrature(SCHEDULES[name], half) == pytest.approx(by_quadrature(bent, half), rel=1e-7)
    assert by_quadrature(vdm.linear(-4, 1.8), half) != pytest.approx(by_quadrature(bent, half), rel=1e-3)


def test_estimate_is_unbiased_for_the_closed_form():
    law, n = Gaussian([0.0], 0.4), 200_000
    with torch.no_grad():
        value = vdm.diffusion_loss(exact(law), bent, law.sample(n, noise=Noise(1)), noise=Noise(2))
    assert float(value.mean()) == pytest.approx(
        gaussian_diffusion_loss(0.4, -4, 2), abs=5 * float(value.std()) / n**0.5
    )


def test_discrete_loss_is_its_closed_form_and_falls_to_the_continuous_one_in_order_1():
    """Rows are chosen so that eps - E[eps | z] is known: x = 0 and s2 = 1 make it alpha^2 eps, and eps^2 = 1 here."""

    def loss_of(T):
        x = torch.zeros(T, 1, dtype=F64)

        def model(z, gamma):
            return gamma.sigmoid().sqrt()[:, None] * z

        class Ones(Noise):
            def __call__(self, like):
                return torch.ones_like(like)

        return vdm.diffusion_loss(model, bent, x, T=T, noise=Ones(0)).mean()

    # the error is alpha^2 = 1 / (1 + e^g); its square integrates to log(1 + e^-g) - 1 / (1 + e^g)
    def primitive(gamma):
        return -(math.log1p(math.exp(-gamma)) - 1 / (1 + math.exp(gamma)))

    limit = torch.tensor(0.5 * (primitive(2.0) - primitive(-4.0)), dtype=F64)
    t = np.arange(1, 6) / 5
    hand = 0.5 * ((np.exp(bent(t) - bent(t - 0.2)) - 1) * sigmoid(-bent(t)) ** 2).sum()
    assert float(loss_of(5)) == pytest.approx(hand, rel=1e-12)
    measure(loss_of, limit, [50, 100, 200, 400]).require(0.97, 1.03)
    values = [float(loss_of(T)) for T in (5, 10, 20, 40)]
    assert all(a > b > float(limit) for a, b in pairwise(values))


def chain(schedule, T):
    """DDPM's chain for the levels of T steps: its step k + 1 is time k / T, its step 0 the data themselves."""
    abar = torch.cat([torch.ones(1, dtype=F64), (-schedule(torch.linspace(0, 1, T + 1, dtype=F64))).sigmoid()])
    return GaussianDiffusion(1 - abar[1:] / abar[:-1])


def test_discrete_loss_is_the_sum_of_kls_of_ddpms_posteriors():
    """Eq. 12: all T terms of one batch of T rows, row by row against KL(q(z_s | z_t, x) || p(z_s | z_t))."""
    T = 6
    process, x = chain(bent, T), draws(1, 3, seed=1).expand(T, 3)
    found = vdm.diffusion_loss(lively, bent, x, T=T, noise=Noise(5)) / T
    again = Noise(5)
    step = np.ceil(low_discrepancy(T, again) * T).astype(int)
    eps = again(x)
    assert sorted(step) == list(range(1, T + 1))
    for row, i in enumerate(step):
        k = int(i) + 1
        z = process.diffuse(x[row : row + 1], k, eps[row : row + 1])
        guess = lively(z, bent(torch.tensor([i / T], dtype=F64)))
        x_hat = ddpm.predict_x_0(process, z, k, guess)
        kl = gaussian_kl(*process.posterior(x[row : row + 1], z, k), *process.posterior(x_hat, z, k))
        assert float(found[row]) == pytest.approx(float(kl.sum()), rel=1e-9)


def test_prior_loss_is_the_kl_from_the_standard_normal():
    x, gamma_1 = draws(4, 2, 3, seed=1), torch.tensor(0.7, dtype=F64)
    var = float(sigmoid(0.7))
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(math.sqrt(1 - var) * x, math.sqrt(var)),
        torch.distributions.Normal(torch.zeros_like(x), 1.0),
    ).sum((1, 2))
    torch.testing.assert_close(vdm.prior_loss(x, gamma_1), expected)


@pytest.mark.parametrize("levels", [2, 4, 5])
def test_decoder_is_bayes_rule_over_the_levels(levels):
    z_0, alpha, sigma = np.array([[0.31, -1.2]]), math.sqrt(sigmoid(3.5)), math.sqrt(sigmoid(-3.5))
    values = [2 * k / (levels - 1) - 1 for k in range(levels)]
    density = norm.pdf(z_0[..., None], [alpha * v for v in values], sigma)
    found = vdm.log_decoder(torch.from_numpy(z_0), torch.tensor(-3.5, dtype=F64), levels).exp()
    np.testing.assert_allclose(found.numpy(), density / density.sum(-1, keepdims=True), rtol=1e-11)


def test_reconstruction_loss_is_that_of_the_true_levels():
    x = torch.tensor([[-1.0, 0.5], [0.0, 1.0]], dtype=F64)
    gamma_0 = torch.tensor(-1.5, dtype=F64)
    found = vdm.reconstruction_loss(x, gamma_0, 5, noise=Noise(3))
    log_p = vdm.log_decoder(vdm.diffuse(x, gamma_0, Noise(3)(x)), gamma_0, 5)
    torch.testing.assert_close(found, -torch.stack([log_p[0, 0, 0] + log_p[0, 1, 3], log_p[1, 0, 2] + log_p[1, 1, 4]]))


@pytest.mark.parametrize("levels", [256, 17, 4])
def test_every_grey_level_in_single_precision_is_found(levels):
    """With next to no noise the decoder is sure of the nearest level, and any other would cost thousands of nats."""
    x = torch.tensor([[2 * k / (levels - 1) - 1 for k in range(levels)]])
    assert float(vdm.reconstruction_loss(x, torch.tensor(-24.0, dtype=F64), levels, noise=Noise(0))) < 1e-6
    torch.testing.assert_close(vdm.decode(x, torch.tensor(-24.0, dtype=F64), levels), x, rtol=0, atol=1e-6)


def test_bound_has_three_terms_in_the_order_of_its_equation():
    x = torch.linspace(-1, 1, 9, dtype=F64)[torch.tensor([[0, 3], [8, 5], [4, 4]])]
    gamma_0, gamma_1 = bent(torch.tensor([0.0, 1.0], dtype=F64))

    def doubly(t):
        assert t.dtype == F64
        return bent(t)

    for T in (None, 3):
        found = vdm.bound(lively, doubly, x, 9, T=T, noise=Noise(6))
        again = Noise(6)
        reconstruction = vdm.reconstruction_loss(x, gamma_0, 9, noise=again)
        diffusion = vdm.diffusion_loss(lively, bent, x, T=T, noise=again)
        torch.testing.assert_close(found, torch.stack([vdm.prior_loss(x, gamma_1), reconstruction, diffusion]))


def test_bits_per_dimension():
    nats = torch.tensor([6 * math.log(2)], dtype=F64)
    assert float(vdm.bits(nats, torch.empty(1, 1, 2, 3))) == pytest.approx(1.0, rel=1e-12)
    torch.testing.assert_close(vdm.bits(nats.expand(5), torch.empty(5, 1, 2, 3)), torch.ones(5, dtype=F64))


def test_bound_with_the_exact_denoiser_is_the_entropy():
    """Three values, ends far apart: I-MMSE makes the diffusion loss the entropy, prior and reconstruction are ~0."""
    p = torch.tensor([0.4, 0.2, 0.4], dtype=F64)
    values = torch.tensor([[-1.0], [0.0], [1.0]], dtype=F64)
    law, entropy = GaussianMixture(p, values, torch.zeros(3)), -float((p * p.log()).sum())
    schedule = vdm.linear(-8.0, 8.0)
    found = by_quadrature(schedule, lambda gamma: 0.5 * risks(law, gamma), n=60)
    gamma_0, gamma_1 = schedule(torch.tensor([0.0, 1.0], dtype=F64))
    prior = float(p @ vdm.prior_loss(values, gamma_1))
    reconstruction = float(vdm.reconstruction_loss(values.expand(3, 50), gamma_0, 3, noise=Noise(0)).max())
    assert reconstruction < 1e-12
    # above the entropy by the KL between the law of z_1 and N(0, I): a quarter of
    # (1 - variance)^2 SNR(1)^2, 1e-9
    assert found + prior == pytest.approx(entropy, abs=1e-8)


def risks(law, gamma):
    """The least squared error of the noise at each level: (n,)."""
    levels = zip((-gamma).sigmoid().sqrt().tolist(), gamma.sigmoid().sqrt().tolist(), strict=True)
    return torch.tensor([law.eps_risk(alpha, sigma) for alpha, sigma in levels], dtype=F64)


# T1: the training loss, and its one backward pass


class Affine(nn.Module):
    """A small network with parameters."""

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.tensor([0.6, -0.1, 0.3], dtype=F64))

    def forward(self, z, gamma):
        return self.a[0] * z + self.a[1] * gamma.view(-1, 1) + self.a[2] * z.sin()


def terms(model, schedule, x, noise):
    """What `loss` averages, without its hooks: diffusion, and the other two."""
    t = torch.from_numpy(low_discrepancy(len(x), noise))
    gamma, rate = vdm.slope(schedule, t)
    diffusion = 0.5 * rate * vdm.squared_error(model, x, gamma, noise(x))
    gamma_0, gamma_1 = schedule.ends
    return diffusion, vdm.prior_loss(x, gamma_1) + vdm.reconstruction_loss(x, gamma_0, 9, noise=noise)


def test_one_backward_pass_gives_the_network_the_bound_and_the_schedule_the_variance():
    x = torch.linspace(-1, 1, 9, dtype=F64)[torch.tensor([[0, 3], [8, 5], [4, 4], [1, 7]])]
    model, schedule = Affine(), scrambled()
    value = vdm.loss(model, schedule, x, 9, noise=Noise(7))
    value.backward()
    diffusion, rest = terms(model, schedule, x, Noise(7))
    assert float(value.detach()) == pytest.approx(float((diffusion + rest).mean().detach()), rel=1e-12)
    bound = [*model.parameters(), schedule.scaled_ends]
    expected = torch.autograd.grad((diffusion + rest).mean(), bound, retain_graph=True)
    for p, gradient in zip(bound, expected, strict=True):
        assert gradient.abs().max() > 0
        torch.testing.assert_close(p.grad, gradient, rtol=1e-9, atol=1e-12)
    shape = [schedule.log_weight_1, schedule.log_weight_2, schedule.log_weight_3, schedule.bias_2]
    expected = torch.autograd.grad(diffusion.square().mean(), shape)
    for p, gradient in zip(shape, expected, strict=True):
        assert gradient.abs().max() > 0
        torch.testing.assert_close(p.grad, gradient, rtol=1e-9, atol=1e-12)


def test_a_loss_that_is_let_go_lets_go_of_what_it_was_made_of():
    """The hooks must not hold the graph that they hang on: what holds itself is never freed, and a validation loss, of
    which nobody asks a gradient, would keep all that its network computed.
    """
    seen = []

    def model(z, gamma):
        weight = torch.full((), 0.5, dtype=F64)
        seen.append(weakref.ref(weight))
        return weight * z

    value = vdm.loss(model, scrambled(), torch.zeros(4, 2, dtype=F64), 9, noise=Noise(7))
    assert seen[0]() is not None
    del value
    gc.collect()
    assert seen[0]() is None


def test_fixed_ends_get_no_gradient():
    schedule = vdm.MonotoneSchedule(-4.0, 2.0, features=5, learn_ends=False)
    vdm.loss(lively, schedule, torch.zeros(4, 2, dtype=F64), 9, noise=Noise(7)).backward()
    assert schedule.scaled_ends.grad is None
    assert schedule.bias_2.grad is not None and schedule.bias_2.grad.abs().max() > 0


# T2: exact moments; T5: DDPM's sampler


@pytest.mark.parametrize("T", [1, 2, 30])
def test_moments_of_sampling_are_those_of_the_hand_solved_recursion(T):
    """Gaussian data: by Bayes' rule with precisions the posterior's mean is affine in z_t; so is the exact guess.

    The mean lies beyond 1, where a sampler that clips would show.
    """
    m, s2 = 2.7, 0.3
    found = moments(lambda z, noise: vdm.sample(exact(Gaussian([m], s2)), bent, z, T, noise=noise), (1,))
    mean, var = 0.0, 1.0
    for i in range(T, 0, -1):
        a_t, a_s = sigmoid(-bent(i / T)), sigmoid(-bent((i - 1) / T))
        forward = 1 - a_t / a_s  # the variance that the step from s to t adds
        precision = (a_t / a_s) / forward + 1 / (1 - a_s)
        of_z, of_x = math.sqrt(a_t / a_s) / forward / precision, math.sqrt(a_s) / (1 - a_s) / precision
        gain = math.sqrt(a_t) * s2 / (a_t * s2 + 1 - a_t)
        mean = of_z * mean + of_x * (m + gain * (mean - math.sqrt(a_t) * m))
        var = (of_z + of_x * gain) ** 2 * var + 1 / precision
    assert float(found.mean) == pytest.approx(mean, abs=1e-10)
    assert float(found.std) == pytest.approx(math.sqrt(var), abs=1e-10)
    assert found.draws == 1 + T


def test_sampling_is_ddpms_for_the_chain_of_the_same_levels():
    """DDPM goes one step further, from z_0 to the x it guesses there, and adds no noise in that step."""
    T, z_1 = 9, draws(5, 2, seed=1)
    process = chain(bent, T)

    def told_the_step(z, k):
        return lively(z, bent((k.to(F64) - 1) / T))

    z_0 = vdm.sample(lively, bent, z_1, T, noise=Noise(2))
    gamma_0 = bent(torch.zeros(5, dtype=F64))
    ours = vdm.predict_x(z_0, gamma_0, lively(z_0, gamma_0))
    theirs = ddpm.sample(told_the_step, process, z_1, variance="small", noise=Noise(2))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in its tables
def test_sampling_is_that_of_diffusers_for_the_chain_of_the_same_levels():
    """All it does follows from its table of alpha^2, put in here.  Its last step, from z_0 to data, is left out."""
    T, z = 7, draws(5, 2, seed=1)
    theirs = DDPMScheduler(T + 1, clip_sample=False, variance_type="fixed_small")
    theirs.alphas_cumprod = torch.from_numpy(sigmoid(-bent(np.arange(T + 1) / T)))
    ours = vdm.sample(lively, bent, z, T, noise=Noise(2))
    generator = torch.Generator().manual_seed(2)
    for k in range(T, 0, -1):
        eps = lively(z, bent(torch.full((5,), k / T, dtype=F64)))
        z = theirs.step(eps, k, z, generator=generator, return_dict=False)[0]
    torch.testing.assert_close(ours, z, rtol=0, atol=1e-10)


def test_a_fine_step_keeps_its_noise_in_single_precision():
    """From gamma to gamma - 1e-6 the variance is sigma^2 1e-6: a difference of exponentials would lose half of it."""

    class Ones(Noise):
        def __call__(self, like):
            return torch.ones_like(like)

    def schedule(t):
        return 1e-6 * t

    z_0 = vdm.sample(lambda z, gamma: torch.zeros_like(z), schedule, torch.zeros(1, 1), 1, noise=Ones())
    assert float(z_0) == pytest.approx(math.sqrt(0.5e-6), rel=1e-5)


# T6: invariants


def test_same_seed_same_samples_and_arguments_unchanged():
    z_1 = draws(4, 1, 3, 3, seed=1).float()
    kept = z_1.clone()
    first = vdm.sample(lively, bent, z_1, 5, noise=Noise(3))
    assert torch.equal(first, vdm.sample(lively, bent, z_1, 5, noise=Noise(3)))
    assert not torch.equal(first, vdm.sample(lively, bent, z_1, 5, noise=Noise(4)))
    assert torch.equal(z_1, kept) and first.dtype == z_1.dtype and not first.requires_grad


def test_a_batch_of_8_equals_two_of_4():
    z_1 = draws(8, 2, seed=1).float()
    whole = vdm.sample(lively, bent, z_1, 5, noise=Noise(range(8)))
    halves = [vdm.sample(lively, bent, z_1[i : i + 4], 5, noise=Noise(range(i, i + 4))) for i in (0, 4)]
    torch.testing.assert_close(whole, torch.cat(halves))


def test_decode_finds_the_nearest_level():
    gamma_0 = torch.tensor(-3.0, dtype=F64)
    alpha = math.sqrt(sigmoid(3.0))
    z_0 = alpha * torch.tensor([[-1.4, -0.74, 0.26, 0.74, 0.76]], dtype=F64)
    torch.testing.assert_close(
        vdm.decode(z_0, gamma_0, 5), torch.tensor([[-1.0, -0.5, 0.5, 0.5, 1.0]], dtype=F64), rtol=0, atol=1e-15
    )


def test_fourier_features_are_the_papers():
    """sin and cos of 2^n pi z, n = 7 and 8; after z itself, along the channels."""
    z = torch.tensor([[[0.1, 1 / 256]], [[-0.3, 1 / 512]]], dtype=F64)
    found = vdm.fourier_features(z)
    assert found.shape == (2, 5, 2)
    expected = [z[:, 0], *(f(2**n * math.pi * z[:, 0]) for n in (7, 8) for f in (torch.sin, torch.cos))]
    torch.testing.assert_close(found, torch.stack(expected, dim=1))
    np.testing.assert_allclose(found[0, 1:, 1].numpy(), [1, 0, 0, -1], atol=1e-12)
    images = vdm.fourier_features(draws(2, 3, 4, 4, seed=1), n=(0, 2, 3))
    assert images.shape == (2, 21, 4, 4)
    torch.testing.assert_close(images[:, 3:6], (math.pi * images[:, :3]).sin())


# Errors


@pytest.mark.parametrize("make", [vdm.linear, vdm.cosine, vdm.MonotoneSchedule])
@pytest.mark.parametrize("ends", [(2.0, 2.0), (3.0, -1.0)])
def test_a_schedule_that_does_not_increase_is_refused(make, ends):
    with pytest.raises(ValueError, match=rf"gamma_0 < gamma_1, not {ends[0]} and {ends[1]}"):
        make(*ends)


@pytest.mark.parametrize("T", [0, -3])
def test_less_than_one_step_is_refused(T):
    with pytest.raises(ValueError, match=f"T must be at least 1 step.*not {T}"):
        vdm.sample(lively, bent, torch.zeros(2, 1), T)
    with pytest.raises(ValueError, match=f"T must be at least 1 step, or None.*not {T}"):
        vdm.diffusion_loss(lively, bent, torch.zeros(2, 1), T=T)


def test_data_outside_their_range_are_refused():
    gamma_0 = torch.tensor(-3.0, dtype=F64)
    with pytest.raises(ValueError, match=r"x must lie in \[-1, 1\], not 0\.\.255"):
        vdm.reconstruction_loss(torch.tensor([[0.0, 255.0]]), gamma_0, 256)
    for beyond in (-1.01, 1.01):
        with pytest.raises(ValueError, match=r"x must lie in \[-1, 1\]"):
            vdm.reconstruction_loss(torch.tensor([[0.0, beyond]]), gamma_0, 256)
    with pytest.raises(ValueError, match="at least 2 levels"):
        vdm.log_decoder(torch.zeros(1, 1), gamma_0, 1)
    assert vdm.log_decoder(torch.zeros(1, 1), gamma_0, 2).shape == (1, 1, 2)
