"""Guidance without a classifier against Bayes' rule, exact moments, and an independent implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from diffusers.schedulers import scheduling_ddim, scheduling_ddpm

from implementations import cfg, ddim, ddpm
from implementations.common.noise import Noise
from implementations.common.rows import per_row
from implementations.demos.cfg import exact_network
from implementations.unet import UNet
from implementations.verification.impulses import moments
from implementations.verification.oracles import Gaussian, line, two_modes
from tests.implementations.toys import F64, rough


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def lively(x, t, y):
    """A network that depends on x, on t and on the label, none of them affinely."""
    return torch.sin(1.3 * x + 0.05 * per_row(t, x) + 0.7 * per_row(y, x) ** 2) + 0.2 * per_row(y + 1, x) * x


def stub(values):
    """A noise whose uniform numbers are given."""

    class Given(Noise):
        def uniform(self, like):
            assert like.shape == (len(values),) and like.dtype == F64
            return torch.tensor(values, dtype=F64)

    return Given(0)


# T1: dropping the label, and the loss


def test_a_label_is_dropped_where_a_uniform_number_lies_below_p_uncond():
    y = torch.tensor([0, 1, 2, 2])
    assert cfg.drop(y, 3, p_uncond=0.25, noise=stub([0.0, 0.24, 0.26, 0.99])).tolist() == [3, 3, 2, 2]
    assert cfg.drop(y, 3, noise=stub([0.09, 0.11, 0.5, 0.2])).tolist() == [3, 1, 2, 2]  # the default is 0.1
    assert y.tolist() == [0, 1, 2, 2]
    assert cfg.drop(y, 3).dtype == torch.int64


@pytest.mark.parametrize(("p_uncond", "expected"), [(0.0, [0, 1, 2, 2]), (1.0, [9, 9, 9, 9])])
def test_at_the_ends_of_its_range_p_uncond_keeps_all_labels_or_none(p_uncond, expected):
    dropped = cfg.drop(torch.tensor([0, 1, 2, 2]), 9, p_uncond=p_uncond, noise=stub([0.0, 0.3, 0.6, 1 - 2**-53]))
    assert dropped.tolist() == expected


@pytest.mark.parametrize("p_uncond", [-0.1, 1.1, math.nan])
def test_p_uncond_outside_its_range_is_named(p_uncond):
    with pytest.raises(ValueError, match=r"p_uncond, .*, must lie in 0\.\.1, not"):
        cfg.drop(torch.tensor([0]), 1, p_uncond=p_uncond)


def test_a_null_label_that_a_class_has_is_refused():
    with pytest.raises(ValueError, match="null must be a label that no class has, but y holds 2"):
        cfg.loss(lively, rough(3), torch.zeros(3, 1), torch.tensor([0, 2, 1]), 2)


@pytest.mark.parametrize("p_uncond", [None, 0.5])
def test_loss_is_the_squared_error_of_the_noise_with_labels_dropped_row_by_row(p_uncond):
    process, x_0, y = rough(20), torch.randn(60, 2, 3, dtype=F64), torch.arange(60) % 3
    chosen = {} if p_uncond is None else {"p_uncond": p_uncond}
    value = cfg.loss(lively, process, x_0, y, 3, noise=Noise(5), **chosen)
    again = Noise(5)
    labels = torch.where(again.uniform(y.double()) < (p_uncond or 0.1), 3, y)
    assert 0 < (labels == 3).sum() < 60
    t = again.integers(1, 20, x_0)
    eps = again(x_0)
    abar = np.cumprod(1 - process.beta.numpy())[t.numpy()].reshape(60, 1, 1)
    x_t = torch.from_numpy(np.sqrt(abar) * x_0.numpy() + np.sqrt(1 - abar) * eps.numpy())
    expected = ((eps - lively(x_t, t, labels)) ** 2).sum() / x_0.numel()
    assert float(value) == pytest.approx(float(expected), rel=1e-12)


def test_at_the_exact_network_the_loss_is_the_bayes_risk_of_both_models_in_their_shares():
    """Its expectation: over uniform t, (1 - p) times the classes' own risks and p times the unconditional one."""
    mixture, process, p, n = line(), rough(6), 0.3, 60_000
    x_0, y = mixture.sample_with_class(n, noise=Noise(0))
    value = cfg.loss(exact_network(mixture, process.abar, 2), process, x_0, y, 2, p_uncond=p, noise=Noise(1))
    risk = 0.0
    for t in range(1, 7):
        level = process.abar[t].sqrt().item(), (1 - process.abar[t]).sqrt().item()
        told = sum(share * mixture.given(k).eps_risk(*level) for k, share in ((0, 0.7), (1, 0.3)))
        risk += ((1 - p) * told + p * mixture.eps_risk(*level)) / 6
    # A squared error has a standard deviation near sqrt(2) of its mean: 5 standard errors.
    assert float(value) == pytest.approx(risk, abs=5 * 1.5 * risk / math.sqrt(n))


# T1: the guided prediction


@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize("shape", [(1,), (2, 3, 3)])
def test_guided_noise_is_the_papers_combination_from_one_call(batch, shape):
    calls = []

    def watched(x, t, y):
        calls.append((x, t, y))
        return lively(x, t, y)

    x, t, y = torch.randn(batch, *shape, dtype=F64), torch.arange(1, batch + 1), torch.arange(batch) % 2
    for w in (-1.0, 0.0, 0.3, 4.0):
        found = cfg.guided(watched, y, 1 + w, null=5)(x, t)
        none = torch.full_like(y, 5)
        expected = (1 + w) * lively(x, t, y) - w * lively(x, t, none)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
        assert found.shape == x.shape
    assert len(calls) == 4 and calls[0][0].shape == (2 * batch, *shape)


def test_a_scale_for_each_row_guides_each_row_by_its_own():
    x, t, y = torch.randn(3, 2, 2, dtype=F64), torch.tensor([2, 7, 4]), torch.tensor([0, 1, 1])
    found = cfg.guided(lively, y, torch.tensor([0.0, 2.5, 4.0]), null=3)(x, t)
    for k, scale in enumerate((0.0, 2.5, 4.0)):
        alone = cfg.guided(lively, y[k : k + 1], scale, null=3)(x[k : k + 1], t[k : k + 1])
        torch.testing.assert_close(found[k : k + 1], alone, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("scale", "y"), [(0.0, [3, 3]), (1.0, [0, 1])])
def test_scale_0_is_the_unconditional_model_and_1_the_conditional_one(scale, y):
    x, t = torch.randn(2, 4, dtype=F64), torch.tensor([2, 7])
    found = cfg.guided(lively, torch.tensor([0, 1]), scale, null=3)(x, t)
    torch.testing.assert_close(found, lively(x, t, torch.tensor(y)), rtol=0, atol=1e-14)


def test_the_unconditional_half_never_sees_the_label():
    """A network that returns its label: guided, it must return null + s (y - null)."""
    labels = torch.tensor([0, 4, 1])
    found = cfg.guided(lambda x, t, y: per_row(y, x).expand_as(x), labels, 2.5, null=7)(
        torch.zeros(3, 1), torch.ones(3)
    )
    assert found[:, 0].tolist() == [7 + 2.5 * (k - 7) for k in (0, 4, 1)]


@pytest.mark.parametrize("y", [[1], [0, 1, 1, 0], [[0, 1, 1]]])
def test_labels_that_are_not_one_per_row_are_refused(y):
    with pytest.raises(ValueError, match=r"y must hold one label per row of x, \(3,\), not"):
        cfg.guided(lively, torch.tensor(y), 1.0, null=2)(torch.zeros(3, 2), torch.ones(3))


def test_one_network_does_both_with_a_row_for_no_label():
    network = UNet(1, width=8, multipliers=(1,), attention=(0,), head=8, groups=4, classes=3 + 1).double()
    with torch.no_grad():
        for p in network.parameters():  # a new network's last layers are zero, and it sees no label
            p.copy_(0.3 * Noise(p.numel())(p))
    x, t, y = torch.randn(3, 1, 4, 4, dtype=F64), torch.tensor([5, 9, 30]), torch.tensor([0, 1, 2])
    free = cfg.guided(network, y, 0.0, null=3)(x, t)
    torch.testing.assert_close(free, cfg.guided(network, y.flip(0), 0.0, null=3)(x, t))
    told = cfg.guided(network, y, 1.0, null=3)(x, t)
    torch.testing.assert_close(told, network(x, t, y))
    assert not torch.allclose(told, free)


@pytest.mark.parametrize("scale", [0.0, 1.0, 3.5])
def test_with_exact_networks_guided_noise_is_the_gradient_of_the_tilted_log_density(scale):
    """-sigma grad of log p_t(x) + s log p_t(y | x), the gradient by central differences."""
    mixture, process = two_modes(), ddpm.linear_schedule(20, 0.01, 0.3)
    y, x, h = torch.tensor([0, 1, 1, 0]), Noise(0)(torch.empty(4, 2, dtype=F64)), 1e-5
    network = exact_network(mixture, process.abar, null=2)
    for t in (1, 8, 20):
        level = process.abar[t].sqrt(), (1 - process.abar[t]).sqrt()

        def log_p(x, level=level):
            return mixture.log_prob(x, *level) + scale * mixture.class_posterior(x, *level)[range(4), y].log()

        slopes = [(log_p(x + h * e) - log_p(x - h * e)) / (2 * h) for e in torch.eye(2, dtype=F64)]
        found = cfg.guided(network, y, scale, null=2)(x, torch.full((4,), t))
        torch.testing.assert_close(found, -level[1] * torch.stack(slopes, 1), rtol=1e-6, atol=1e-6)


# T2: exact moments


@pytest.mark.parametrize("scale", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("T", [1, 2, 10])
def test_moments_of_the_guided_chain_are_those_of_its_recursion(T, scale):
    """Two Gaussians for the data, N(0.8, 0.4) with the label and N(-0.3, 1.7) without: both predictions are affine.

    E[eps | x] = sigma (x - alpha m) / (alpha^2 v + sigma^2) for data N(m, v), and a step subtracts its share of it.
    """
    process, y = rough(T), 1
    laws = {3: Gaussian(-0.3, 1.7), y: Gaussian(0.8, 0.4)}
    networks = {label: law.model(process.abar) for label, law in laws.items()}

    def network(x, t, labels):
        return torch.where(per_row(labels, x) == 3, networks[3](x, t), networks[y](x, t))

    def sampler(x, noise):
        model = cfg.guided(network, torch.full((len(x),), y), scale, null=3)
        return ddpm.sample(model, process, x, variance="large", noise=noise)

    found = moments(sampler)
    beta = np.linspace(0.01, 0.35, T) ** 1.3
    abar = np.cumprod(1 - beta)
    mean, var = 0.0, 1.0
    for t in range(T, 0, -1):
        a, b = abar[t - 1], beta[t - 1]
        slope, offset = 0.0, 0.0
        for share, m, v in ((scale, 0.8, 0.4), (1 - scale, -0.3, 1.7)):
            k = math.sqrt(1 - a) / (a * v + 1 - a)
            slope, offset = slope + share * k, offset - share * k * math.sqrt(a) * m
        pull = b / math.sqrt(1 - a)
        mean = (mean - pull * (slope * mean + offset)) / math.sqrt(1 - b)
        var = ((1 - pull * slope) / math.sqrt(1 - b)) ** 2 * var + (b if t > 1 else 0)
    assert float(found.mean) == pytest.approx(mean, abs=1e-10)
    assert float(found.std) == pytest.approx(math.sqrt(var), abs=1e-10)
    assert found.draws == T


# T5: parity with an independent implementation


def test_parity_with_diffusers_ancestral_and_deterministic_steps(monkeypatch):
    T, scale = 30, 2.2
    process, y = rough(T), torch.arange(6) % 3
    x_T, betas, numbers = Noise(1)(torch.empty(6, 3, dtype=F64)), process.beta[1:], process.beta[1:].numpy()
    model = cfg.guided(lively, y, scale, null=3)

    def their_noise(x, t):
        u, c = (lively(x, torch.full((6,), t), labels) for labels in (torch.full((6,), 3), y))
        return scale * c - (scale - 1) * u

    ancestral = scheduling_ddpm.DDPMScheduler(T, variance_type="fixed_small", clip_sample=False, trained_betas=numbers)
    direct = scheduling_ddim.DDIMScheduler(T, clip_sample=False, timestep_spacing="trailing", trained_betas=numbers)
    for scheduler in (ancestral, direct):
        scheduler.betas, scheduler.alphas = betas, 1 - betas
        scheduler.alphas_cumprod = torch.cumprod(1 - betas, 0)
    direct.final_alpha_cumprod = torch.ones((), dtype=F64)
    direct.set_timesteps(10)

    shared, x = Noise(2), x_T
    monkeypatch.setattr(scheduling_ddpm, "randn_tensor", lambda *a, **k: shared(x_T))
    for t in range(T, 0, -1):
        x = ancestral.step(their_noise(x, t), t - 1, x, return_dict=False)[0]
    torch.testing.assert_close(ddpm.sample(model, process, x_T, noise=Noise(2)), x, rtol=0, atol=1e-8)

    x = x_T
    for t in direct.timesteps.tolist():
        x = direct.step(their_noise(x, t + 1), t, x, return_dict=False)[0]
    torch.testing.assert_close(ddim.sample(model, process, x_T, ddim.timesteps(T, 10)), x, rtol=0, atol=1e-8)


# T6: invariants


def test_a_batch_of_8_equals_two_of_4_and_arguments_stay_unchanged():
    process, x_T, y = rough(5), torch.randn(8, 2), torch.arange(8) % 3
    kept = x_T.clone()

    def samples(rows):
        return ddpm.sample(cfg.guided(lively, y[rows], 3.0, null=3), process, x_T[rows], noise=Noise(range(8)[rows]))

    whole = samples(slice(0, 8))
    torch.testing.assert_close(whole, torch.cat([samples(slice(0, 4)), samples(slice(4, 8))]))
    assert torch.equal(x_T, kept) and whole.dtype == x_T.dtype and y.tolist() == [k % 3 for k in range(8)]
