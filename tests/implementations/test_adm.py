"""Guidance against Bayes' rule, by quadrature and in closed form, exact moments, and an independent implementation."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers.models.resnet import ResnetBlock2D
from diffusers.schedulers import scheduling_ddim, scheduling_ddpm
from torch import Tensor

from implementations import adm, ddim, ddpm
from implementations.common.noise import Noise
from implementations.common.rows import per_row
from implementations.dpm import GaussianDiffusion
from implementations.unet import Block
from implementations.verification.impulses import moments
from implementations.verification.oracles import line, two_modes
from implementations.verification.solver_order import measure
from tests.implementations.toys import F64, lively, rough


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def lively_log_p(x, t):
    """A classifier's log p that depends on x and on t, with gradient -(0.4 + 0.01 t) sin x."""
    return ((0.4 + 0.01 * per_row(t, x)) * torch.cos(x)).flatten(1).sum(1)


def lively_gradient(x, t):
    return -(0.4 + 0.01 * t) * torch.sin(x)


def law_of(process, variance: ddpm.Variance = "large"):
    return lambda x, t: ddpm.reverse(process, x, t, lively(x, torch.full((len(x),), t)), variance)


# Adaptive group normalisation, and the networks


def randomised(module, seed=0):
    """The module with no weight at its special starting value."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(0.3 * torch.randn(p.shape, generator=generator))
    return module.double().eval()


def test_a_block_scales_and_shifts_its_second_normalisation():
    block = randomised(adm.AdaptiveBlock(8, 16, 12, 4, 0.0))
    x, c = torch.randn(3, 8, 5, 4, dtype=F64), torch.randn(3, 12, dtype=F64)

    def normalised(h, norm):
        groups = h.reshape(3, 4, -1)
        centred = (groups - groups.mean(2, keepdim=True)) / (groups.var(2, unbiased=False, keepdim=True) + 1e-5).sqrt()
        return centred.reshape(h.shape) * norm.weight[:, None, None] + norm.bias[:, None, None]

    def silu(h):
        return h / (1 + torch.exp(-h))

    h = block.conv_1(silu(normalised(x, block.norm_1)))
    y = torch.einsum("oi,bi->bo", block.condition.weight, c) + block.condition.bias
    y_s, y_b = 1 + y[:, :16, None, None], y[:, 16:, None, None]
    h = block.conv_2(silu(y_s * normalised(h, block.norm_2) + y_b))
    torch.testing.assert_close(block(x, c), block.shortcut(x) + h, rtol=0, atol=1e-10)


@pytest.mark.parametrize("after", [8, 16])
def test_parity_with_the_block_of_diffusers(after):
    """Its weights carried over.  The peer lets the activation of the condition be left to the caller, as here."""
    ours = randomised(adm.AdaptiveBlock(8, after, 12, 4, 0.0))
    theirs = ResnetBlock2D(
        in_channels=8, out_channels=after, temb_channels=12, groups=4, eps=1e-5, skip_time_act=True,
        time_embedding_norm="scale_shift",
    ).double().eval()  # fmt: skip
    names = {"norm1": "norm_1", "norm2": "norm_2", "conv1": "conv_1", "conv2": "conv_2"}
    names |= {"time_emb_proj": "condition", "conv_shortcut": "shortcut"}
    state = {
        name: ours.state_dict()[f"{names[name.split('.')[0]]}.{name.split('.')[1]}"] for name in theirs.state_dict()
    }
    theirs.load_state_dict(state)
    x, c = torch.randn(3, 8, 5, 4, dtype=F64), torch.randn(3, 12, dtype=F64)
    torch.testing.assert_close(ours(x, c), theirs(x, c), rtol=0, atol=1e-10)


def test_a_block_starts_as_the_identity_and_can_drop_out():
    block, x, c = adm.AdaptiveBlock(8, 8, 12, 4, 0.5), torch.randn(2, 8, 4, 4), torch.randn(2, 12)
    assert torch.equal(block(x, c), x)
    randomised(block).train()
    x, c = x.double(), c.double()
    assert not torch.equal(block(x, c), block(x, c))
    block.eval()
    assert torch.equal(block(x, c), block(x, c))


def test_the_network_is_the_u_net_with_adaptive_blocks():
    network = adm.ADMUNet(1, width=16, multipliers=(1, 2), attention=(1,), head=16, classes=3)
    blocks = [m for m in network.modules() if isinstance(m, Block)]
    assert blocks and all(type(block) is adm.AdaptiveBlock for block in blocks)
    randomised(network)
    x, t, y = torch.randn(2, 1, 6, 6, dtype=F64), torch.tensor([3, 700]), torch.tensor([0, 2])
    out = network(x, t, y)
    assert out.shape == x.shape
    assert not torch.allclose(out, network(x, t + 1, y))
    assert not torch.allclose(out[:1], network(x[:1], t[:1], y[:1] + 1))


def test_the_classifier_has_the_size_of_its_parts():
    """Counted by hand: per level a block, between levels a convolution, one attention, and the ends."""

    def conv(a, b, k=3):
        return k * k * a * b + b

    def linear(a, b):
        return a * b + b

    def block(w, code):
        return 2 * 2 * w + 2 * conv(w, w) + linear(code, 2 * w)

    def total(channels, classes, widths, code):
        levels = sum(block(w, code) for w in widths) + sum(conv(a, b) for a, b in pairwise(widths))
        top = widths[-1]
        attention = 2 * top + linear(top, 3 * top) + linear(top, top)
        time = linear(widths[0], code) + linear(code, code)
        return levels + attention + time + conv(channels, widths[0]) + 2 * top + linear(top, classes)

    def size(network):
        return sum(p.numel() for p in network.parameters())

    assert size(adm.Classifier(1, 10)) == total(1, 10, [16, 32, 64], 64)
    small = adm.Classifier(3, 7, width=8, multipliers=(1, 3), head=8, groups=2)
    assert size(small) == total(3, 7, [8, 24], 32)
    first = small.blocks[0]
    assert isinstance(first, adm.AdaptiveBlock)
    assert small.attend.head == 8 and small.norm.num_groups == 2 and first.norm_1.num_groups == 2
    standard = adm.Classifier(1, 10)
    assert standard.attend.head == 32 and standard.norm.num_groups == 8


@pytest.mark.parametrize("side", [8, 7])
@pytest.mark.parametrize("batch", [1, 2, 3])
def test_the_classifier_halves_the_image_at_each_level_and_averages_over_positions(side, batch):
    network = randomised(adm.Classifier(2, 5, width=8, multipliers=(1, 2), head=8, groups=4))
    x, t = torch.randn(batch, 2, side, side, dtype=F64), torch.arange(batch)
    c = F.silu(network.condition(t))
    h = network.blocks[0](network.inlet(x), c)
    h = network.blocks[1](network.shrink[0](h), c)
    assert h.shape == (batch, 16, 4, 4)
    pooled = F.silu(network.norm(network.attend(h))).flatten(2).sum(2) / 16
    logits = network(x, t)
    torch.testing.assert_close(logits, pooled @ network.outlet.weight.T + network.outlet.bias, rtol=0, atol=1e-10)
    assert logits.shape == (batch, 5)
    assert torch.equal(network.train()(x, t), logits)  # without dropout
    assert not torch.allclose(logits, network(x, t + 1))
    torch.testing.assert_close(network(x[:1], t[:1]), logits[:1])


# T1: the classifier's loss and its gradient


def test_classifier_loss_is_the_cross_entropy_of_data_at_every_level_the_clean_one_included():
    T = 5
    process, x_0, y = rough(T), torch.randn(40, 3, dtype=F64), torch.arange(40) % 3
    seen = []

    def classifier(x, t):
        seen.append((x, t))
        return torch.sin(2 * x) + per_row(t, x) / 3 * x

    value = adm.classifier_loss(classifier, process, x_0, y, noise=Noise(5))
    again = Noise(5)
    t = again.integers(0, T, x_0)
    eps = again(x_0).numpy()
    assert set(t.tolist()) == set(range(T + 1))
    abar = np.cumprod(1 - process.beta.numpy())[t.numpy()][:, None]
    x_t = np.sqrt(abar) * x_0.numpy() + np.sqrt(1 - abar) * eps
    logits = np.sin(2 * x_t) + t.numpy()[:, None] / 3 * x_t
    log_p = logits[np.arange(40), y] - np.log(np.exp(logits).sum(1))
    assert float(value) == pytest.approx(-log_p.mean(), rel=1e-10)
    assert torch.equal(seen[0][1], t)


def test_at_the_exact_classifier_the_loss_is_the_entropy_of_the_class_and_minimal():
    """Its expectation: the mean over t in 0..T of H(y | x_t), by the trapezoidal rule; and no other temperature or bias
    does better."""
    mixture, process, n = line(), rough(6), 60_000
    alphas, sigmas = process.abar.sqrt(), (1 - process.abar).sqrt()
    temperature, bias = torch.ones((), dtype=F64, requires_grad=True), torch.zeros((), dtype=F64, requires_grad=True)

    def classifier(x, t):
        logits = temperature * mixture.class_posterior(x, alphas[t], sigmas[t]).log()
        return logits + bias * torch.tensor([0.0, 1.0], dtype=F64)

    x_0, y = mixture.sample_with_class(n, noise=Noise(3))
    value = adm.classifier_loss(classifier, process, x_0, y, noise=Noise(4))
    grid, entropy = torch.linspace(-9, 9, 4001, dtype=F64)[:, None], 0.0
    for t in range(7):
        p = mixture.class_posterior(grid, alphas[t], sigmas[t])
        density = mixture.log_prob(grid, alphas[t], sigmas[t]).exp()
        entropy += float((density * torch.special.entr(p).sum(1)).sum() * (grid[1] - grid[0])) / 7
    # Of two classes, with p for one of them: E log^2 p(y) <= 0.57, p (1 - p) logit(p)^2 <= 0.44, p (1 - p) <= 0.25.
    assert float(value.detach()) == pytest.approx(entropy, abs=5 * math.sqrt(0.57 / n))
    slopes = torch.autograd.grad(value, [temperature, bias])
    assert abs(float(slopes[0])) < 5 * math.sqrt(0.44 / n)
    assert abs(float(slopes[1])) < 5 * math.sqrt(0.25 / n)


def test_log_probability_is_that_of_each_rows_own_class():
    logits = torch.tensor([[0.2, -1.0, 3.0], [1.0, 1.0, 1.0]], dtype=F64)
    log_p = adm.log_probability(lambda x, t: logits + x + per_row(t, x) * logits, torch.tensor([2, 0]))
    scaled = 3 * logits.numpy()
    expected = [scaled[0, 2] - np.log(np.exp(scaled[0]).sum()), -math.log(3)]
    found = log_p(torch.zeros(2, 1, dtype=F64), torch.tensor([2, 2]))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_gradient_is_the_derivative_also_where_gradients_are_off():
    x, t = torch.randn(4, 2, 3, dtype=F64), torch.tensor([1, 5, 9, 2])
    with torch.no_grad():
        g = adm.gradient(lively_log_p, x, t)
    torch.testing.assert_close(g, lively_gradient(x, per_row(t, x)), rtol=0, atol=1e-12)
    assert not g.requires_grad and not x.requires_grad


@pytest.mark.parametrize("wrong", [lambda x, t: x, lambda x, t: x.sum(), lambda x, t: x.sum(1, keepdim=True)])
def test_a_log_probability_that_is_not_one_number_per_row_is_refused(wrong):
    with pytest.raises(ValueError, match=r"log_p must return one number per row, \(3,\), not"):
        adm.gradient(wrong, torch.zeros(3, 2), torch.ones(3))


# T1: one guided step is Bayes' rule


def posterior_by_quadrature(mean, variance, log_p, scale):
    """Mean and variance of N(mean, variance) times p(y | x)^scale on a fine grid, by the trapezoidal rule."""
    grid = mean + math.sqrt(variance) * np.linspace(-14, 14, 20001)
    weight = np.exp(-((grid - mean) ** 2) / (2 * variance) + scale * log_p(grid))
    weight /= weight.sum()
    centre = (weight * grid).sum()
    return centre, (weight * (grid - centre) ** 2).sum()


@pytest.mark.parametrize("point", ["x_t", "mean"])
@pytest.mark.parametrize("scale", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("t", [1, 2, 9])
def test_a_step_with_a_log_linear_classifier_is_the_exact_posterior(point, scale, t):
    process, slope = rough(9), -0.7
    law = law_of(process)
    step = adm.guided_step(law, lambda x, t: 3.0 + slope * x.sum(1), scale=scale, point=point)
    for start in (-1.5, 0.3):
        x = torch.tensor([[start]], dtype=F64)
        (mean, variance), (plain, _) = step(x, t), law(x, t)
        expected = posterior_by_quadrature(float(plain), float(variance), lambda u: 3.0 + slope * u, scale)
        assert (float(mean), float(variance)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("t", [2, 5, 9])
def test_at_the_mean_a_quadratic_classifier_shifts_by_the_exact_shift_times_one_plus_its_curvature(t):
    """N(mu, S) exp(-k (x - c)^2 / 2) has mean mu + S k (c - mu) / (1 + S k): Eq. 10 leaves out the divisor."""
    process, c, k, scale = rough(9), 0.8, 1.7, 1.4
    law = law_of(process)
    x = torch.tensor([[-1.0], [0.4], [2.0]], dtype=F64)
    mean, S = law(x, t)

    def quadratic(x, t):
        return (-k / 2 * (x - c).square()).sum(1)

    exact = [
        posterior_by_quadrature(m, float(S), lambda u: -k / 2 * (u - c) ** 2, scale)[0] for m in mean[:, 0].tolist()
    ]
    exact_shift = torch.tensor(exact, dtype=F64)[:, None] - mean
    shift = adm.guided_step(law, quadratic, scale=scale, point="mean")(x, t)[0] - mean
    torch.testing.assert_close(shift, exact_shift * (1 + scale * S * k), rtol=1e-8, atol=1e-10)
    elsewhere = adm.guided_step(law, quadratic, scale=scale, point="x_t")(x, t)[0] - mean
    torch.testing.assert_close(elsewhere, scale * S * k * (c - x), rtol=0, atol=1e-12)
    assert not torch.allclose(elsewhere, shift, rtol=0.1)


def test_the_gradient_is_asked_for_at_x_t_and_t_or_at_the_mean_and_t_minus_1():
    process, x, asked = rough(9), torch.randn(3, 2, dtype=F64), []

    def watched(x, t):
        asked.append((x.detach().clone(), t))
        return lively_log_p(x, t)

    law = law_of(process)
    cases: list[tuple[adm.Point, Tensor, int]] = [("x_t", x, 4), ("mean", law(x, 4)[0], 3)]
    for point, where, level in cases:
        adm.guided_step(law, watched, point=point)(x, 4)
        assert torch.equal(asked[-1][0], where) and asked[-1][1].tolist() == [level] * 3
    default = adm.guided_step(law, watched)(x, 4)[0]
    assert torch.equal(asked[-1][0], x)  # Algorithm 1 as printed is the default
    assert torch.equal(default, adm.guided_step(law, lively_log_p, scale=1.0)(x, 4)[0])


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_guided_noise_is_that_of_the_conditional_model_at_scale_1_and_of_the_model_at_0(scale):
    mixture, process = two_modes(), ddpm.linear_schedule(20, 0.01, 0.3)
    alphas, sigmas = process.abar.sqrt(), (1 - process.abar).sqrt()
    model, y, t = mixture.model(process.abar), torch.tensor([0, 1, 1, 0]), torch.tensor([1, 4, 12, 20])
    x = torch.randn(4, 2, dtype=F64)

    def log_p(x, t):
        return mixture.class_posterior(x, alphas[t], sigmas[t]).gather(1, y[:, None])[:, 0].log()

    found = adm.guided_model(model, process, log_p, scale=scale)(x, t)
    torch.testing.assert_close(found, model(x, t, y if scale else None), rtol=0, atol=1e-9)
    if scale:
        default = adm.guided_model(model, process, log_p)(x, t)
        assert torch.equal(default, found)


# T2: exact moments


@pytest.mark.parametrize("T", [1, 2, 12])
@pytest.mark.parametrize("point", ["x_t", "mean"])
def test_moments_of_the_whole_chain_are_those_of_its_recursion(point, T):
    """Data N(0, 1): the step is sqrt(alpha) x and beta; a quadratic log p(y | x_t) keeps the chain affine."""
    scale, c, k = 1.3, 0.9, 0.6
    process = rough(T)

    def law(x, t):
        return process.alpha[t].sqrt() * x, process.beta[t]

    def log_p(x, t):
        return (-(k + 0.1 * per_row(t, x)) / 2 * (x - c).square()).sum(1)

    found = moments(lambda x, noise: adm.sample(law, log_p, x, T, scale=scale, point=point, noise=noise))
    beta = np.linspace(0.01, 0.35, T) ** 1.3
    mean, var = 0.0, 1.0
    for t in range(T, 0, -1):
        b = beta[t - 1]
        root = math.sqrt(1 - b)
        pull = scale * b * (k + 0.1 * (t if point == "x_t" else t - 1))
        gain = root - pull * (1 if point == "x_t" else root)
        mean, var = gain * mean + pull * c, gain**2 * var + (b if t > 1 else 0)
    assert float(found.mean) == pytest.approx(mean, abs=1e-10)
    assert float(found.std) == pytest.approx(math.sqrt(var), abs=1e-10)
    assert found.draws == T  # x_T, and one per step but the last


# T3: small steps


def test_in_small_steps_both_points_lead_to_the_exact_posterior():
    """Data N(0, 1) and p(y | x_0) ~ exp(-(x_0 - a)^2 / 2 v): p(y | x_t) and the law of x_t given y in closed form.

    abar falls as exp(-0.5 u - 4 u^2) in u = t / T, whatever T is; a step errs by the square of its length.
    """
    a, v = 1.0, 0.5
    mean, variance = a / (1 + v), v / (1 + v)

    def guided(T, point):
        u = torch.arange(T + 1, dtype=F64) / T
        process = GaussianDiffusion(-torch.expm1(-(0.5 * u + 4 * u**2).diff()))

        def log_p(x, t):
            abar = per_row(process.abar[t], x)
            return (-(abar.sqrt() * x - a).square() / (2 * (1 - abar + v))).sum(1)

        def law(x, t):
            return process.alpha[t].sqrt() * x, process.beta[t]

        abar = process.abar[-1]
        start = abar.sqrt() * mean, (abar * variance + 1 - abar).sqrt()
        found = moments(lambda z, noise: adm.sample(law, log_p, start[0] + start[1] * z, T, point=point, noise=noise))
        return torch.cat([found.mean, found.std])

    exact = torch.tensor([mean, math.sqrt(variance)], dtype=F64)
    for point in ("x_t", "mean"):
        measure(lambda T, point=point: guided(T, point), exact, (20, 40, 80)).require(0.9, 1.15)


# T5: parity with an independent implementation


def test_parity_with_diffusers_ddpm_whose_mean_is_shifted(monkeypatch):
    T, scale = 30, 1.7
    process = rough(T)
    scheduler = scheduling_ddpm.DDPMScheduler(
        num_train_timesteps=T, variance_type="fixed_large", clip_sample=False, trained_betas=process.beta[1:].numpy()
    )
    scheduler.betas = process.beta[1:]
    scheduler.alphas = 1 - scheduler.betas
    scheduler.alphas_cumprod = torch.cumprod(scheduler.alphas, 0)
    x_T = Noise(1)(torch.empty(6, 3, dtype=F64))
    ours = adm.sample(law_of(process), lively_log_p, x_T, T, scale=scale, noise=Noise(2))

    shared, x = Noise(2), x_T
    monkeypatch.setattr(scheduling_ddpm, "randn_tensor", lambda *a, **k: shared(x_T))
    for t in range(T, 0, -1):
        shift = scale * scheduler._get_variance(t - 1) * lively_gradient(x, t)
        x = scheduler.step(lively(x, torch.full((6,), t)), t - 1, x, return_dict=False)[0] + shift
    torch.testing.assert_close(ours, x, rtol=0, atol=1e-9)


def test_parity_with_diffusers_ddim_whose_noise_is_shifted():
    T, steps, scale = 60, 12, 2.0
    process = rough(T)
    scheduler = scheduling_ddim.DDIMScheduler(
        num_train_timesteps=T, clip_sample=False, set_alpha_to_one=True, timestep_spacing="trailing",
        trained_betas=process.beta[1:].numpy(),
    )  # fmt: skip
    scheduler.alphas_cumprod = torch.cumprod(1 - process.beta[1:], 0)
    scheduler.final_alpha_cumprod = torch.ones((), dtype=F64)
    scheduler.set_timesteps(steps)
    x_T = Noise(1)(torch.empty(5, 2, 2, dtype=F64))
    model = adm.guided_model(lively, process, lively_log_p, scale=scale)
    ours = ddim.sample(model, process, x_T, ddim.timesteps(T, steps))

    x = x_T
    for t in scheduler.timesteps.tolist():
        root = (1 - scheduler.alphas_cumprod[t]).sqrt()
        eps = lively(x, torch.full((5,), t + 1)) - scale * root * lively_gradient(x, t + 1)
        x = scheduler.step(eps, t, x, return_dict=False)[0]
    torch.testing.assert_close(ours, x, rtol=0, atol=1e-9)


# T6: invariants and errors


@pytest.mark.parametrize("variance", ["small", "large"])
@pytest.mark.parametrize("point", ["x_t", "mean"])
def test_scale_0_is_the_model_as_it_is(variance, point):
    process, x_T = rough(9), torch.randn(4, 1, 3, 3)
    guided = adm.sample(law_of(process, variance), lively_log_p, x_T, 9, scale=0.0, point=point, noise=Noise(3))
    plain = ddpm.sample(lively, process, x_T, variance=variance, noise=Noise(3))
    torch.testing.assert_close(guided, plain)
    assert guided.dtype == x_T.dtype and not guided.requires_grad


def test_the_default_scale_is_1():
    process, x_T = rough(3), torch.randn(2, 2)
    sample = partial(adm.sample, law_of(process), lively_log_p, x_T, 3)
    default, one, two = sample(noise=Noise(3)), sample(scale=1.0, noise=Noise(3)), sample(scale=2.0, noise=Noise(3))
    assert torch.equal(default, one) and not torch.equal(default, two)


@pytest.mark.parametrize("point", ["x_t", "mean"])
def test_the_default_point_of_the_sampler_is_algorithm_1s(point):
    process, x_T = rough(3), torch.randn(2, 2)
    default = adm.sample(law_of(process), lively_log_p, x_T, 3, noise=Noise(3))
    chosen = adm.sample(law_of(process), lively_log_p, x_T, 3, point=point, noise=Noise(3))
    assert torch.equal(default, chosen) == (point == "x_t")


def test_a_batch_of_8_equals_two_of_4_and_arguments_stay_unchanged():
    process, x_T, y = rough(5), torch.randn(8, 2), torch.arange(8) % 2
    kept = x_T.clone()

    def samples(rows):
        log_p = adm.log_probability(lambda x, t: torch.sin(x) * (1 + per_row(t, x)), y[rows])
        return adm.sample(law_of(process), log_p, x_T[rows], 5, scale=3.0, noise=Noise(range(8)[rows]))

    whole = samples(slice(0, 8))
    torch.testing.assert_close(whole, torch.cat([samples(slice(0, 4)), samples(slice(4, 8))]))
    assert torch.equal(x_T, kept)


def test_an_unknown_point_is_named():
    with pytest.raises(ValueError, match="point, where the gradient is taken, must be 'x_t' or 'mean', not 'x_0'"):
        adm.sample(law_of(rough(3)), lively_log_p, torch.zeros(1, 1), 3, point=cast(Any, "x_0"))
