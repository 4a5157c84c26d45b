"""The shift against Bayes' rule of Gaussians and against a guided model; the frozen network; gaps in closed form."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
import torch
from torch import nn

from implementations import adm, ddim, ddpm, pdae
from implementations.adm import ADMUNet
from implementations.common.noise import Noise
from implementations.common.rows import for_all, per_row
from implementations.ddpm import linear_schedule
from implementations.demos import pdae as demo
from implementations.diffae import ConditionalUNet, SemanticBlock
from implementations.unet import UNet
from implementations.verification.oracles import Gaussian
from tests.implementations.toys import F64, draw, lively, rough

TAU = torch.tensor([2, 3, 5, 6, 9])
LINEAR = linear_schedule()


class At(Noise):
    """Given times and normal draws."""

    def __init__(self, t, eps, T):
        super().__init__()
        self.t, self.eps, self.T = t, eps, T

    def __call__(self, like):
        return self.eps

    def integers(self, low, high, like):
        assert (low, high) == (1, self.T)
        return self.t


# a Gaussian x_0, of which z = W x_0 + noise is known


M = torch.tensor([0.5, -1.0, 0.2], dtype=F64)
C = torch.tensor([[1.0, 0.4, -0.2], [0.4, 0.7, 0.1], [-0.2, 0.1, 0.5]], dtype=F64)
W = torch.tensor([[1.0, 0.5, 0.0], [-0.3, 0.2, 1.0]], dtype=F64)
R = torch.diag(torch.tensor([0.3, 0.1], dtype=F64))
LAW = Gaussian(M, C)


def log_p(process, z):
    """log p(z | x_t), of the law of z given what x_t says of x_0."""

    def of(x, t):
        values = []
        for row, level, code in zip(x, t.tolist(), z, strict=True):
            alpha, sigma = process.abar[level].sqrt(), (1 - process.abar[level]).sqrt()
            middle = C @ torch.linalg.inv(alpha**2 * C + sigma**2 * torch.eye(3, dtype=F64))
            mean = M + alpha * middle @ (row - alpha * M)
            cov = C - alpha**2 * middle @ C
            law = torch.distributions.MultivariateNormal(W @ mean, W @ cov @ W.mT + R)
            values.append(law.log_prob(code))
        return torch.stack(values)

    return of


def told(process, x, t, z):
    """E[eps | x_t, z], from the joint law of (x_0, x_t, z), by conditioning on both at once."""
    rows = []
    for row, level, code in zip(x, t.tolist(), z, strict=True):
        abar = process.abar[level]
        A = torch.cat([abar.sqrt() * torch.eye(3, dtype=F64), W])
        noise = torch.block_diag((1 - abar) * torch.eye(3, dtype=F64), R)
        seen = torch.cat([row, code]) - A @ M
        x_0 = M + C @ A.mT @ torch.linalg.solve(A @ C @ A.mT + noise, seen)
        rows.append((row - abar.sqrt() * x_0) / (1 - abar).sqrt())
    return torch.stack(rows)


def ratio(process, t, x):
    """By how much the score's shift is longer than the mean's."""
    before = torch.cat([torch.ones(1, dtype=F64), process.abar[:-1]])
    return process.at((1 - process.abar) / (process.alpha.sqrt() * (1 - before)).clamp_min(1e-300), t, x)


def exact_estimator(process, *, by):
    def G(x, t, z):
        g = adm.gradient(log_p(process, z), x, t)
        return g if by == "score" else ratio(process, t, x) * g

    return G


@pytest.mark.parametrize("by", ["mean", "score"])
def test_the_exact_gradient_makes_the_frozen_model_one_that_knows_the_code(by):
    process, x, z = rough(9), draw(5, 3), draw(5, 2, seed=1)
    t = torch.tensor([2, 3, 5, 8, 9])
    model = pdae.shifted(LAW.model(process.abar), exact_estimator(process, by=by), process, z, by=by)
    torch.testing.assert_close(model(x, t), told(process, x, t, z), rtol=0, atol=1e-10)


def test_samples_are_those_of_the_model_guided_by_the_exact_classifier():
    process, x_T, z = rough(9), draw(4, 3), draw(4, 2, seed=1)
    model = LAW.model(process.abar)
    ours = pdae.decode(exact_estimator(process, by="mean"), model, process, z, x_T, TAU)
    guided = adm.guided_model(model, process, log_p(process, z))
    torch.testing.assert_close(ours, ddim.sample(guided, process, x_T, TAU), rtol=0, atol=1e-9)


def test_the_mean_of_the_reverse_step_moves_by_its_variance_times_G():
    process, x, z = rough(9), draw(3, 2, 2), draw(3, 2)
    G = draw(3, 2, 2, seed=5)
    for t in range(1, 10):
        at_t = for_all(t, x)
        plain = ddpm.reverse(process, x, t, lively(x, at_t))
        moved = ddpm.reverse(process, x, t, pdae.shifted(lively, lambda x, t, z: G, process, z)(x, at_t))
        torch.testing.assert_close(moved[0] - plain[0], plain[1] * G, rtol=0, atol=1e-12)


def test_coefficients_in_numpy():
    """The ratio of the two is that of the docstring: 2.2 at t = 2, a hundredth at 200; and no shift at 1."""
    beta = np.concatenate([[0.0], np.linspace(1e-4, 0.02, 1000)])
    abar, x = np.cumprod(1 - beta), draw(4, 2, 2)
    t = torch.tensor([1, 2, 200, 1000])
    mean, score = (pdae.coefficient(LINEAR, t, x, by) for by in ("mean", "score"))
    n = t.numpy()
    expected = np.sqrt(1 - beta[n]) * (1 - abar[n - 1]) / np.sqrt(1 - abar[n])
    np.testing.assert_allclose(mean[:, 0, 0], expected, rtol=1e-9)
    np.testing.assert_allclose(score[:, 0, 0], np.sqrt(1 - abar[n]), rtol=1e-9)
    assert mean.shape == score.shape == (4, 1, 1) and mean[0] == 0
    assert (score / mean)[1].item() == pytest.approx(2.199, abs=2e-3)
    assert (score / mean)[2].item() == pytest.approx(1.010, abs=1e-3)
    assert pdae.coefficient(LINEAR, 200, x).item() == pytest.approx(expected[2], rel=1e-9)
    assert torch.equal(pdae.coefficient(LINEAR, t, x), mean)


def test_the_rows_keep_their_times_and_codes():
    def G(x, t, z):
        return x * per_row(t, x) + per_row(z.sum(1), x)

    x, t, z = draw(3, 2, 2), torch.tensor([2, 5, 9]), draw(3, 2)
    process = rough(9)
    found = pdae.shifted(lively, G, process, z)(x, t)
    for k in range(3):
        alone = lively(x[k : k + 1], t[k : k + 1]) - pdae.coefficient(process, int(t[k]), x) * G(
            x[k : k + 1], t[k : k + 1], z[k : k + 1]
        )
        torch.testing.assert_close(found[k : k + 1], alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("by", ["sum", ""])
def test_an_unknown_coefficient_is_named(by):
    with pytest.raises(ValueError, match=f"by must be 'mean' or 'score', not {by!r}"):
        pdae.coefficient(LINEAR, 3, draw(1, 2), by)


# the loss


def test_the_weight_is_small_at_both_ends():
    x, t = draw(4, 2), torch.tensor([1, 476, 500, 1000])
    found = pdae.weight(LINEAR, t, x)
    assert found.shape == (4, 1)
    np.testing.assert_allclose(found[:, 0], [0.000251, 0.7225, 0.7204, 0.3636], atol=3e-3)
    every = pdae.weight(LINEAR, torch.arange(1, 1001), draw(1000, 1))[:, 0]
    assert int(every.argmax()) + 1 == 476
    abar = LINEAR.abar[300].item()
    snr = abar / (1 - abar)
    assert pdae.weight(LINEAR, 300, x, gamma=0.4).item() == pytest.approx(snr**0.4 / (1 + snr), rel=1e-9)
    assert pdae.weight(LINEAR, 300, x, gamma=0.0).item() == pytest.approx(1 - abar, rel=1e-9)
    assert pdae.weight(LINEAR, 300, x, gamma=1.0).item() == pytest.approx(abar, rel=1e-9)


@pytest.mark.parametrize("gamma", [-0.1, 1.1, math.nan])
def test_gamma_outside_its_range_is_named(gamma):
    with pytest.raises(ValueError, match=r"gamma must lie in 0\.\.1, not"):
        pdae.weight(LINEAR, 3, draw(1, 2), gamma=gamma)


def summed(x):
    return torch.stack([x.flatten(1).sum(1), x.flatten(1).square().sum(1)], 1)


def gradient(x, t, z):
    return torch.cos(x + 0.1 * per_row(t, x)) * per_row(z[:, 0] - 0.2 * z[:, 1], x)


@pytest.mark.parametrize(("gamma", "options"), [(0.1, {}), (0.6, {"gamma": 0.6}), (None, {"gamma": None})])
def test_the_loss_in_numpy(gamma, options):
    process, x_0, eps, t = rough(9), draw(3, 2, 2), draw(3, 2, 2, seed=1), torch.tensor([1, 4, 9])
    seen = []

    def encoder(x):
        seen.append(x)
        return summed(x)

    found = pdae.loss(encoder, gradient, lively, process, x_0, noise=At(t, eps, 9), **options)
    assert len(seen) == 1 and torch.equal(seen[0], x_0)
    beta = process.beta.numpy()
    abar, total = np.cumprod(1 - beta), 0.0
    for k, n in enumerate(t.tolist()):
        x = torch.from_numpy(np.sqrt(abar[n]) * x_0[k : k + 1].numpy() + np.sqrt(1 - abar[n]) * eps[k : k + 1].numpy())
        scale = np.sqrt(1 - beta[n]) * (1 - abar[n - 1]) / np.sqrt(1 - abar[n])
        G = gradient(x, t[k : k + 1], summed(x_0)[k : k + 1]).numpy()
        error = eps[k : k + 1].numpy() - lively(x, t[k : k + 1]).numpy() + scale * G
        snr = abar[n] / (1 - abar[n])
        total += (1.0 if gamma is None else snr**gamma / (1 + snr)) * (error**2).sum()
    assert found.item() == pytest.approx(total / 12, rel=1e-10)


def test_the_loss_is_stationary_at_the_exact_gradient():
    """Over unit impulses of (x_0, noise of the code, eps) the mean is exact: a change of G by d costs d^2."""
    process, t, root, kick = rough(9), 5, torch.linalg.cholesky(C), draw(5, 3, seed=7)
    eye, D = torch.eye(3 + 2 + 3, dtype=F64), 8
    rows = torch.cat([eye, -eye])
    x_0, eps = M + rows[:, :3] @ root.mT, rows[:, 5:]
    z = x_0 @ W.mT + rows[:, 3:5] @ R.sqrt()
    zero = (M @ W.mT).expand(2 * D, -1)
    exact = exact_estimator(process, by="mean")

    def value(d):
        def G(x, t, code):
            centred = torch.cat([x - process.abar[5].sqrt() * M, code - zero], 1)
            return exact(x, t, code) + d * centred @ kick

        noise = At(for_all(t, x_0), eps, 9)
        return pdae.loss(lambda x: z, G, LAW.model(process.abar), process, x_0, noise=noise).item()

    up, middle, down = value(0.1), value(0.0), value(-0.1)
    assert up - middle == pytest.approx(down - middle, rel=1e-6) and up > middle


def test_both_networks_learn_and_the_frozen_one_does_not():
    process, frozen = rough(9), awake(UNet(2, **SIZES), 3)
    estimator, encoder = awake(pdae.GradientEstimator(frozen, 3, **SIZES), 4), nn.Linear(2 * 36, 3).double()
    before = {k: v.clone() for k, v in frozen.state_dict().items()}
    learning = [p for p in [*estimator.parameters(), *encoder.parameters()] if p.requires_grad]
    optimiser = torch.optim.SGD(learning, lr=0.01)
    x_0 = draw(2, 2, 6, 6)
    pdae.loss(lambda x: encoder(x.flatten(1)), estimator, frozen, process, x_0, noise=Noise(0)).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in learning)
    assert all(p.grad is None for p in frozen.parameters())
    optimiser.step()
    assert all(torch.equal(v, frozen.state_dict()[k]) for k, v in before.items())


# gaps


def impulses():
    eye = torch.eye(3, dtype=F64)
    return torch.cat([C_ROOT.mT, 0 * eye]), torch.cat([0 * eye, eye])


C_ROOT = torch.linalg.cholesky(C)


def test_the_gap_of_an_exact_model_is_what_x_t_leaves_open():
    """Sum over unit impulses: the square of x_0's share in the mean, times tr Cov[x_0 | x_t], in numpy."""
    process, law = rough(9), Gaussian([0.0] * 3, C)
    x_0, eps = impulses()
    beta = process.beta.numpy()
    abar = np.cumprod(1 - beta)
    for t in (1, 2, 5, 9):
        found = pdae.gap(law.model(process.abar), process, x_0, t, noise=At(None, eps, 9))
        left = (
            C.numpy() - abar[t] * C.numpy() @ np.linalg.inv(abar[t] * C.numpy() + (1 - abar[t]) * np.eye(3)) @ C.numpy()
        )
        share = np.sqrt(abar[t - 1]) * beta[t] / (1 - abar[t])
        assert found.shape == (6,) and found.sum().item() == pytest.approx(share**2 * np.trace(left), rel=1e-9)


def test_the_gap_is_a_sum_over_the_entries_of_each_row():
    process, x_0, eps = rough(9), draw(2, 3, 2), draw(2, 3, 2, seed=1)
    found = pdae.gap(lively, process, x_0, 4, noise=At(None, eps, 9))
    x_t = process.diffuse(x_0, 4, eps)
    true = process.posterior(x_0, x_t, 4)[0]
    ours = ddpm.reverse(process, x_t, 4, lively(x_t, for_all(4, x_t)))[0]
    torch.testing.assert_close(found, (true - ours).square().sum((1, 2)), rtol=1e-9, atol=0)


# codes


def test_coding_is_that_of_ddim_with_the_shifted_model():
    process, x = rough(9), draw(3, 2, 2)
    z, x_T = pdae.encode(summed, gradient, lively, process, x, TAU)
    model = pdae.shifted(lively, gradient, process, summed(x))
    assert torch.equal(z, summed(x)) and torch.equal(x_T, ddim.encode(model, process, x, TAU))
    assert torch.equal(pdae.decode(gradient, lively, process, z, x, TAU), ddim.sample(model, process, x, TAU))
    x.requires_grad_()
    assert not any(v.requires_grad for v in pdae.encode(summed, gradient, lively, process, x, TAU))
    assert not pdae.decode(gradient, lively, process, summed(x), x, TAU).requires_grad
    assert not pdae.gap(lively, process, x, 4, noise=Noise(0)).requires_grad


# the network


SIZES = {"width": 8, "multipliers": (1, 2, 3), "blocks": 2, "attention": (1, 2), "head": 4, "groups": 4}


def awake(network, seed=0):
    """No parameter is zero."""
    noise = Noise(seed)
    with torch.no_grad():
        for p in network.double().parameters():
            p += 0.3 * noise(p)
    return network


def test_the_estimator_is_a_decoder_whose_contracting_path_is_frozen_and_not_told_the_code():
    """As a whole decoder whose first half has the frozen weights, and those of the code zero: the same numbers."""
    frozen = awake(ADMUNet(2, **SIZES), 3)
    estimator = awake(pdae.GradientEstimator(frozen, 3, **SIZES), 4)
    whole = ConditionalUNet(2, 3, **SIZES).double()
    own = {k: v for k, v in estimator.state_dict().items() if not k.startswith("frozen.")}
    first = {k: v for k, v in frozen.state_dict().items() if k.split(".")[0] in ("inlet", "down", "shrink")}
    whole.load_state_dict(own | first, strict=False)
    with torch.no_grad():
        for block in whole.down.modules():
            if isinstance(block, SemanticBlock):
                block.semantic.weight.zero_()
                block.semantic.bias.zero_()
        for name, p in estimator.condition.named_parameters():
            p.copy_(frozen.condition.get_parameter(name))
        whole.condition.load_state_dict(estimator.condition.state_dict())
        x, t, z = draw(3, 2, 5, 7), torch.tensor([1, 40, 999]), draw(3, 3, seed=6)
        torch.testing.assert_close(estimator(x, t, z), whole(x, t, z), rtol=1e-10, atol=1e-10)


def test_the_frozen_path_has_its_own_time():
    frozen = awake(UNet(2, **SIZES), 3)
    estimator = awake(pdae.GradientEstimator(frozen, 3, **SIZES), 4)
    x, t, z = draw(2, 2, 6, 6), torch.tensor([3, 700]), draw(2, 3)
    before = estimator(x, t, z).detach()
    for part, changes in [("condition", True), ("inlet", True), ("down", True), ("shrink", True), ("middle", False),
                          ("up", False), ("grow", False), ("outlet", False)]:  # fmt: skip
        with torch.no_grad():
            for p in getattr(frozen, part).parameters():
                p += 0.1
            assert (not torch.equal(estimator(x, t, z), before)) == changes, part
            for p in getattr(frozen, part).parameters():
                p -= 0.1
        before = estimator(x, t, z).detach()


def test_the_estimator_starts_at_zero():
    estimator = pdae.GradientEstimator(UNet(2, **SIZES), 3, **SIZES).double()
    out = estimator(draw(2, 2, 6, 6), torch.tensor([3, 7]), draw(2, 3))
    assert out.shape == (2, 2, 6, 6) and not out.any()


def test_the_frozen_network_never_learns_and_never_drops():
    frozen = UNet(2, **SIZES, dropout=0.5)
    estimator = pdae.GradientEstimator(frozen, 3, **SIZES, dropout=0.2)
    assert estimator.frozen is frozen and not frozen.training
    assert not any(p.requires_grad for p in frozen.parameters())
    assert estimator.train() is estimator and estimator.training and not frozen.training
    assert all(m.p == 0.2 for m in estimator.up.modules() if isinstance(m, nn.Dropout))
    assert estimator.middle[0].block.training and not estimator.train(False).middle[0].block.training
    assert estimator.eval() is estimator and not estimator.training
    assert not {name.split(".")[0] for name, _ in estimator.named_parameters()} & {"inlet", "down", "shrink"}


OTHERS = [{"width": 16}, {"multipliers": (1, 2), "attention": (1,)}, {"multipliers": (1, 2, 2)}, {"blocks": 1}]


@pytest.mark.parametrize("other", OTHERS)
def test_a_frozen_network_of_other_sizes_is_refused(other):
    with pytest.raises(ValueError, match="the sizes of G must be those of the frozen network"):
        pdae.GradientEstimator(UNet(2, **SIZES), 3, **(SIZES | other))


def test_sizes_are_those_of_the_unet_unless_said_otherwise():
    wanted = inspect.signature(UNet).parameters
    for name, p in inspect.signature(pdae.GradientEstimator).parameters.items():
        if p.kind is p.KEYWORD_ONLY:
            assert p.default == wanted[name].default, name


# T8 on other frozen networks than the demo's


@pytest.mark.slow
@pytest.mark.parametrize("base", [1, 2])
def test_the_code_fills_the_gap_of_other_networks(base):
    run = demo.DEMO.run(seed=base)
    assert demo.filled(run, base).holds, demo.filled(run, base)
