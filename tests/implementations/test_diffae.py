"""Codes of exact laws: what a code should hold, what x_T is once it is known; networks against a line of numpy."""

from __future__ import annotations

import inspect
import math
import re

import numpy as np
import pytest
import torch
from torch import nn

from implementations import ddim, diffae
from implementations.adm import ADMUNet
from implementations.common.embedding import Condition
from implementations.common.noise import Noise
from implementations.common.rows import per_row
from implementations.ddpm import linear_schedule
from implementations.demos import diffae as demo
from implementations.diffae import Scale, given
from implementations.dpm import GaussianDiffusion
from implementations.unet import Block, UNet
from implementations.verification.impulses import moments
from implementations.verification.oracles import Gaussian
from tests.implementations.toys import F64, draw, lively, rough


def slope(counts, errors):
    """Of a line through the logarithms."""
    return np.polyfit(np.log(counts), np.log(errors), 1)[0]


TAU = torch.tensor([2, 3, 5, 6, 9])


def told(x, t, z):
    """A model that depends on x, on t and on the code, on none affinely."""
    return torch.sin(1.3 * x + 0.05 * per_row(t, x) + per_row(z.square().sum(1) + z[:, 0], x)) + 0.2 * x


def summed(x):
    """A code of two numbers, which knows the whole row."""
    flat = x.flatten(1)
    return torch.stack([flat.sum(1), flat.square().sum(1)], 1)


class At(Noise):
    """One time for all rows, and the normal draws that are given."""

    def __init__(self, t, eps):
        super().__init__()
        self.t, self.eps = t, eps

    def __call__(self, like):
        return self.eps

    def integers(self, low, high, like):
        assert (low, high) == (1, 5) and self.t <= high
        return torch.full((len(like),), self.t)


# T1: what the code comes to hold


SPECTRUM = torch.tensor([2.0, 1.1, 0.6, 0.3], dtype=F64)
FIVE = rough(5)


def risk(W):
    """|error of the noise|^2, summed over t, of the linear code z = W x_0 of N(0, diag(SPECTRUM)), exactly decoded.

    The error is linear in (x_0, eps), so unit impulses of both are enough: the loss is a mean over 2 D rows of D.
    """
    C, D = SPECTRUM.diag(), len(SPECTRUM)
    gain = C @ W.mT @ torch.linalg.inv(W @ C @ W.mT)
    left, eye = C - gain @ W @ C, torch.eye(D, dtype=F64)

    def model(x, t, z):
        abar = FIVE.abar[t[0]]
        M = abar * left + (1 - abar) * eye
        return (1 - abar).sqrt() * (x - abar.sqrt() * z @ gain.mT) @ torch.linalg.inv(M)

    x_0, eps = torch.cat([SPECTRUM.sqrt().diag(), 0 * eye]), torch.cat([0 * eye, eye])
    losses = [diffae.loss(lambda x: x @ W.mT, model, FIVE, x_0, noise=At(t, eps)) for t in range(1, 6)]
    return torch.stack(losses).sum() * 2 * D * D


def dropped(indices):
    """What the directions that a code leaves out cost: a l / (a l + 1 - a) at each level, for each eigenvalue l."""
    abar = FIVE.abar[1:, None]
    return float((abar * SPECTRUM[indices] / (abar * SPECTRUM[indices] + 1 - abar)).sum())


def test_the_loss_of_a_linear_code_is_what_its_dropped_directions_cost():
    eye = torch.eye(4, dtype=F64)
    for kept, left in [([0, 1], [2, 3]), ([0, 3], [1, 2]), ([2, 3], [0, 1])]:
        assert float(risk(eye[kept])) == pytest.approx(dropped(left), rel=1e-9)


def test_training_ends_with_the_leading_principal_directions():
    """From a random code down the gradient that reaches the encoder through the model it informs."""
    W = draw(2, 4, seed=3).requires_grad_()
    optimiser = torch.optim.LBFGS([W], max_iter=150, line_search_fn="strong_wolfe", tolerance_change=1e-14)

    def objective():
        optimiser.zero_grad()
        value = risk(W)
        value.backward()
        return value

    optimiser.step(objective)
    W = W.detach()
    assert float(risk(W)) == pytest.approx(dropped([2, 3]), rel=1e-8)
    rows = torch.linalg.qr(W.mT)[0]
    assert float(torch.linalg.svdvals(rows[:2]).min()) > 1 - 1e-6


def test_the_encoder_sees_the_clean_image_once_and_the_model_its_code():
    x_0, eps, process, seen = draw(3, 2, 2), draw(3, 2, 2, seed=1), rough(5), []

    def encoder(x):
        seen.append(x)
        return summed(x)

    loss = diffae.loss(encoder, told, process, x_0, noise=At(2, eps))
    assert len(seen) == 1 and torch.equal(seen[0], x_0)
    abar = float(torch.prod(1 - process.beta[1:3]))
    x_t = math.sqrt(abar) * x_0 + math.sqrt(1 - abar) * eps
    expected = (eps - told(x_t, torch.full((3,), 2), summed(x_0))).square().mean()
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)


def test_the_loss_teaches_the_encoder():
    encoder = nn.Linear(3, 2).double()
    diffae.loss(encoder, told, rough(5), draw(4, 3), noise=Noise(0)).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in encoder.parameters())


# T2, T3: what x_T is once the code is known


MEANS = torch.tensor([[-9.0, 0.0], [9.0, 4.0], [0.0, -12.0]], dtype=F64)
SDS = torch.tensor([0.4, 0.8, 1.5], dtype=F64)


def nearest(x):
    """Which of three far classes a point is of: the code, as three numbers."""
    return nn.functional.one_hot(torch.cdist(x, MEANS).argmin(1), 3).double()


def exact(process):
    """The noise of each class, N(m, s^2 I)."""

    def model(x, t, z):
        abar, m, s = per_row(process.abar[t], x), z @ MEANS, per_row(z @ SDS, x)
        return (1 - abar).sqrt() * (x - abar.sqrt() * m) / (abar * s**2 + 1 - abar)

    return model


def test_x_T_is_the_standardised_rest_and_a_swap_of_codes_moves_it_to_another_class():
    """(x_0 - m) / s of its own class, up to what signal is left at T; decoded with another class, m' + s' of that."""
    T = 2**13
    process, k, u = GaussianDiffusion(torch.linspace(0.1 / T, 16.0 / T, T, dtype=F64)), torch.arange(6) % 3, draw(6, 2)
    model, x_0, a = exact(process), MEANS[k] + SDS[k, None] * u, process.abar[T]
    m, s, other = MEANS[k], SDS[k, None], (k + 1) % 3
    x_T = a.sqrt() * m + (a * s**2 + 1 - a).sqrt() * u
    assert float((x_T - u).abs().max()) < 0.25
    counts, coded, back, swapped = [32, 64, 128], [], [], []
    for steps in counts:
        tau = ddim.timesteps(T, steps)
        z, found = diffae.encode(nearest, model, process, x_0, tau)
        assert torch.equal(z, nearest(x_0)) and z.argmax(1).tolist() == k.tolist()
        coded.append(float((found - x_T).abs().max()))
        back.append(float((diffae.decode(model, process, z, found, tau) - x_0).abs().max()))
        moved = diffae.decode(model, process, nearest(MEANS[other]), x_T, tau)
        start = (x_T - a.sqrt() * MEANS[other]) / (a * SDS[other, None] ** 2 + 1 - a).sqrt()
        swapped.append(float((moved - MEANS[other] - SDS[other, None] * start).abs().max()))
    assert slope(counts, coded) == pytest.approx(-1, abs=0.12)
    assert slope(counts, swapped) == pytest.approx(-1, abs=0.12)
    assert slope(counts, back) < -0.85


def test_images_far_outside_the_range_come_back():
    """Nothing is clipped on either way, in a law whose points lie at 12."""
    process, x_0 = linear_schedule(), MEANS.clone()
    tau = ddim.timesteps(1000, 500)
    z, x_T = diffae.encode(nearest, exact(process), process, x_0, tau)
    back = diffae.decode(exact(process), process, z, x_T, tau)
    torch.testing.assert_close(back, x_0, rtol=0, atol=0.02)


def test_coding_is_that_of_ddim_with_one_code_for_all_steps():
    process, x, z = rough(9), draw(3, 2, 2), draw(3, 2, seed=2)
    asked = []

    def encoder(x_0):
        asked.append(x_0.clone())
        return summed(x_0)

    code, x_T = diffae.encode(encoder, told, process, x, TAU)
    assert len(asked) == 1 and torch.equal(asked[0], x) and torch.equal(code, summed(x))
    assert torch.equal(x_T, ddim.encode(lambda x_t, t: told(x_t, t, code), process, x, TAU))
    x_0 = diffae.decode(told, process, z, x, TAU)
    assert torch.equal(x_0, ddim.sample(lambda x_t, t: told(x_t, t, z), process, x, TAU))


def test_coding_carries_no_gradient():
    x, encoder = draw(2, 3).requires_grad_(), nn.Linear(3, 2).double()
    z, x_T = diffae.encode(encoder, told, rough(9), x, TAU)
    assert not z.requires_grad and not x_T.requires_grad
    assert not diffae.decode(told, rough(9), encoder(x), x, TAU).requires_grad
    scale = Scale(torch.zeros(2), torch.ones(2))
    assert not diffae.sample_code(lambda z, t: encoder.weight.sum() * z, rough(9), scale, draw(2, 2), TAU).requires_grad


def test_a_model_that_is_given_its_code_is_one_of_x_and_t():
    x, t, z = draw(3, 4), torch.tensor([1, 5, 9]), draw(3, 2, seed=4)
    assert torch.equal(given(told, z)(x, t), told(x, t, z))


# T1: attributes as directions


def test_scale_is_mean_and_standard_deviation_and_goes_both_ways():
    z = 3 * draw(50, 4) + torch.tensor([1.0, -2.0, 0.5, 9.0])
    scale = Scale.of(z)
    np.testing.assert_allclose(scale.mean, z.numpy().mean(0), rtol=1e-12)
    np.testing.assert_allclose(scale.sd, z.numpy().std(0, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(
        scale.normalize(z), (z.numpy() - z.numpy().mean(0)) / z.numpy().std(0, ddof=1), rtol=1e-9
    )
    torch.testing.assert_close(scale.denormalize(scale.normalize(z)), z, rtol=1e-12, atol=1e-12)
    new = draw(3, 4, seed=5)
    np.testing.assert_allclose(scale.denormalize(new), new.numpy() * scale.sd.numpy() + scale.mean.numpy(), rtol=1e-12)
    two = Scale.of(torch.tensor([[1.0, 2.0], [3.0, 6.0]]))
    assert two.mean.tolist() == [2.0, 4.0]


@pytest.mark.parametrize("z", [torch.tensor([[1.0, 2.0], [1.0, 3.0]]), torch.tensor([[1.0, 2.0]])])
def test_codes_without_spread_have_no_scale(z):
    with pytest.raises(ValueError, match="no number that is the same in all"):
        Scale.of(z)


def labelled():
    z = torch.tensor([1.0, 0.1, 10.0]) * draw(200, 3) + torch.tensor([0.0, 3.0, -7.0])
    noise = draw(200, seed=8)
    y = (z[:, 0] + 10 * (z[:, 1] - 3) + 0.5 * noise + 0.4) > 0
    return z.double(), y


@pytest.mark.parametrize("decay", [1e-3, 0.1])
def test_the_classifier_is_at_the_minimum_of_the_penalised_likelihood(decay):
    """Its gradient in numpy, of codes normalised by hand, is 0."""
    z, y = labelled()
    w, bias = diffae.classifier(z, y, Scale.of(z), decay=decay)
    told_, w_, b_ = ((z - z.mean(0)) / z.std(0)).numpy(), w.numpy(), bias.numpy()
    error = 1 / (1 + np.exp(-(told_ @ w_ + b_))) - y.numpy()
    assert np.abs(told_.T @ error / 200 + decay * w_).max() < 1e-6 and abs(error.mean()) < 1e-6
    assert w.dtype == bias.dtype == F64 and w.shape == (3,) and bias.shape == ()
    assert not w.requires_grad and not bias.requires_grad
    assert w[0] > 5 * w[2].abs() and w[1] > 5 * w[2].abs() and bias > 0.2


def test_the_classifier_reaches_the_minimum_where_codes_are_nearly_the_same():
    z = draw(300, 6)
    z[:, 1], z[:, 3] = z[:, 0] + 0.03 * z[:, 1], z[:, 2] - 0.05 * z[:, 3]
    y = z[:, 0] - z[:, 1] + 0.1 * z[:, 4].square() - 0.05 * z[:, 2] + 0.02 * draw(300, seed=1) > 0
    w, bias = diffae.classifier(z, y, Scale.of(z), decay=1e-5)
    told_ = ((z - z.mean(0)) / z.std(0)).numpy()
    error = 1 / (1 + np.exp(-(told_ @ w.numpy() + bias.numpy()))) - y.numpy()
    assert np.abs(told_.T @ error / 300 + 1e-5 * w.numpy()).max() < 1e-6 and abs(error.mean()) < 1e-6


def test_the_default_penalty_is_small():
    z, y = labelled()
    assert torch.equal(diffae.classifier(z, y, Scale.of(z))[0], diffae.classifier(z, y, Scale.of(z), decay=1e-3)[0])


def test_the_classifier_takes_bools_and_numbers_and_works_where_gradients_are_off():
    z, y = labelled()
    scale = Scale.of(z)
    w = diffae.classifier(z, y, scale)[0]
    assert torch.equal(w, diffae.classifier(z, y.long(), scale)[0])
    with torch.no_grad():
        assert torch.equal(w, diffae.classifier(z.requires_grad_(), y, scale)[0])
    separable = diffae.classifier(z, z[:, 0] > 0, scale)[0]
    assert separable.isfinite().all() and separable[0] > 5


@pytest.mark.parametrize("y", [torch.ones(200), torch.zeros(200), torch.arange(200) % 3, (torch.arange(199) % 2)])
def test_labels_that_tell_nothing_apart_are_refused(y):
    z = labelled()[0]
    with pytest.raises(ValueError, match="y says of each of the 200 codes whether it has the attribute"):
        diffae.classifier(z, y, Scale.of(z))


def test_an_edit_is_a_step_among_normalised_codes():
    z, w = draw(5, 5), torch.tensor([3.0, 0.0, -4.0, 12.0, 0.0], dtype=F64)
    scale = Scale(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]).double(), torch.tensor([0.5, 2.0, 1.5, 3.0, 0.7]).double())
    sd, mean = scale.sd.numpy(), scale.mean.numpy()
    for s in (0.3, -1.0, torch.tensor([0.1, 0.2, 0.0, -0.4, 2.0])):
        step = np.asarray(s).reshape(-1, 1) * math.sqrt(5) * w.numpy() / 13
        expected = ((z.numpy() - mean) / sd + step) * sd + mean
        np.testing.assert_allclose(diffae.edit(z, w, s, scale), expected, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(diffae.edit(z, 7 * w, 0.3, scale), diffae.edit(z, w, 0.3, scale), rtol=1e-12, atol=1e-12)
    moved = scale.normalize(diffae.edit(z, w, 0.3, scale)) - scale.normalize(z)
    torch.testing.assert_close(moved.square().mean(1).sqrt(), torch.full((5,), 0.3, dtype=F64))
    assert diffae.edit(z.float(), w, 0.3, Scale(scale.mean.float(), scale.sd.float())).dtype == torch.float32


def test_an_affine_change_of_the_codes_leaves_edits_as_they_are():
    """Direction and step are both of normalised codes, so their units are nobody's business."""
    z, y = labelled()
    factor, shift = torch.tensor([2.0, 5.0, 0.1]).double(), torch.tensor([1.0, -3.0, 8.0]).double()

    def moved(z):
        scale = Scale.of(z)
        return diffae.edit(z, diffae.classifier(z, y, scale)[0], 0.5, scale)

    torch.testing.assert_close(moved(factor * z + shift), factor * moved(z) + shift, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("w", [torch.zeros(4), torch.ones(3), torch.ones(1, 4)])
def test_what_is_no_direction_is_refused(w):
    with pytest.raises(ValueError, match=r"w must be a direction of \(4,\) numbers, not all 0"):
        diffae.edit(draw(5, 4), w, 0.3, Scale(torch.zeros(4), torch.ones(4)))


# T2: new codes


def test_new_codes_have_the_moments_that_the_steps_give():
    """DDIM on N(0, R) multiplies each axis of R by a product of gains, in numpy; then mean and spread come back."""
    R = np.array([[1.0, 0.6], [0.6, 1.0]])
    process, scale = rough(9), Scale(torch.tensor([3.0, -1.0]).double(), torch.tensor([0.5, 4.0]).double())
    model = Gaussian([0.0, 0.0], torch.from_numpy(R)).model(process.abar)
    found = moments(lambda z, noise: diffae.sample_code(model, process, scale, z, TAU), (2,), draws=1)
    abar = np.cumprod(1 - process.beta.numpy())
    values, axes = np.linalg.eigh(R)
    gains = np.ones(2)
    times = [0, *TAU.tolist()]
    for t, s in zip(times[:0:-1], times[-2::-1], strict=True):
        d = abar[t] * values + 1 - abar[t]
        gains *= np.sqrt(abar[s]) * np.sqrt(abar[t]) * values / d + np.sqrt((1 - abar[s]) * (1 - abar[t])) / d
    sd = np.diag([0.5, 4.0])
    np.testing.assert_allclose(found.mean, [3.0, -1.0], rtol=1e-9)
    np.testing.assert_allclose(found.cov, sd @ axes @ np.diag(gains**2) @ axes.T @ sd, rtol=1e-9)


def test_nothing_here_draws():
    """x_T and z_T are the caller's, normal numbers; all else is DDIM without noise."""
    process, x = rough(9), draw(2, 3)
    state = torch.random.get_rng_state()
    scale = Scale(torch.zeros(3), torch.ones(3))
    z, x_T = diffae.encode(summed, told, process, x, TAU)
    assert not torch.equal(diffae.decode(told, process, z, x_T, TAU), x)
    diffae.sample_code(lively, process, scale, x, TAU)
    assert torch.equal(torch.random.get_rng_state(), state)


# the networks


def awake(network, seed=0):
    """No parameter is zero."""
    noise = Noise(seed)
    with torch.no_grad():
        for p in network.double().parameters():
            p += 0.3 * noise(p)
    return network


SIZES = {"width": 8, "multipliers": (1, 2, 3), "blocks": 2, "attention": (1, 2), "head": 4, "groups": 4}


def silu(x):
    return x / (1 + np.exp(-x))


def normalised(h, norm):
    """GroupNorm in numpy.  h: (B, C, ...)."""
    groups = h.reshape(len(h), norm.num_groups, -1)
    groups = (groups - groups.mean(2, keepdims=True)) / np.sqrt(groups.var(2, keepdims=True) + norm.eps)
    weight, bias = (p.detach().numpy()[:, None, None] for p in (norm.weight, norm.bias))
    return groups.reshape(h.shape) * weight + bias


def test_the_semantic_block_scales_once_more_what_time_has_scaled_and_shifted():
    """AdaGN in numpy, from what leaves the first convolution to what enters the second."""
    block, seen = awake(diffae.SemanticBlock(4, 8, 5, 2, 0.0, code=3)), []
    block.conv_1.register_forward_hook(lambda m, i, out: seen.append(out.detach().numpy()))
    block.conv_2.register_forward_pre_hook(lambda m, i: seen.append(i[0].detach().numpy()))
    x, time, z = draw(2, 4, 3, 3), draw(2, 5, seed=1), draw(2, 3, seed=2)
    out = block(x, torch.cat([time, nn.functional.silu(z), nn.functional.silu(-z)], 1))
    before, after = seen
    weight, bias = (p.detach().numpy() for p in block.condition.parameters())
    t_s, t_b = np.split((time.numpy() @ weight.T + bias)[:, :, None, None], 2, axis=1)
    weight, bias = (p.detach().numpy() for p in block.semantic.parameters())
    z_s = (z.numpy() @ weight.T + bias)[:, :, None, None]
    expected = (1 + z_s) * ((1 + t_s) * normalised(before, block.norm_2) + t_b)
    np.testing.assert_allclose(after, silu(expected), rtol=1e-9, atol=1e-12)
    inner = block.conv_1(torch.from_numpy(silu(normalised(x.numpy(), block.norm_1)))).detach()
    np.testing.assert_allclose(before, inner, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(out, block.shortcut(x) + block.conv_2(torch.from_numpy(after)))


def test_dropout_reaches_the_semantic_block():
    block = diffae.SemanticBlock(4, 8, 5, 2, 0.7, code=3)
    assert block.dropout.p == 0.7
    block.conv_2.register_forward_pre_hook(lambda m, i: seen.append(i[0]))
    seen = []
    block.train()(draw(2, 4, 6, 6).float(), draw(2, 11).float())
    assert 0.5 < float((seen[0] == 0).double().mean()) < 0.9
    network = diffae.ConditionalUNet(2, 3, **SIZES, dropout=0.2)
    assert all(m.p == 0.2 for m in network.modules() if isinstance(m, nn.Dropout))


def test_time_stands_beside_the_code_and_its_negative():
    """What the blocks see is silu of it; the time's part is the U-Net's own."""
    network = awake(diffae.ConditionalUNet(2, 3, **SIZES))
    plain = Condition(32, frequencies=8).double()
    plain.load_state_dict(network.condition.state_dict())
    t, z = torch.tensor([1, 9]), draw(2, 3)
    assert torch.equal(network.condition(t, z), torch.cat([plain(t), z, -z], 1))


def test_no_code_at_all_is_named():
    with pytest.raises(ValueError, match=r"want a code for each row, \(2, 3\), not none"):
        diffae.ConditionalUNet(2, 3, **SIZES).condition(torch.tensor([1, 9]))


@pytest.mark.parametrize("z", [draw(3, 2), draw(2, 3), draw(3), draw(3, 4)])
def test_a_code_of_another_size_is_named(z):
    network = diffae.ConditionalUNet(2, 3, **SIZES).double()
    with pytest.raises(ValueError, match=rf"want a code for each row, \(3, 3\), not {re.escape(str(tuple(z.shape)))}$"):
        network(draw(3, 2, 6, 6), torch.tensor([1, 2, 3]), z)


def test_a_decoder_whose_code_says_nothing_is_the_network_of_adm():
    """The same weights, those of the code zero: layer by layer the same network, of the same sizes."""
    plain = awake(ADMUNet(2, **SIZES))
    network = diffae.ConditionalUNet(2, 3, **SIZES).double()
    missing, unexpected = network.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected and missing and all(".semantic." in name for name in missing)
    x, t, z = draw(3, 2, 5, 7), torch.tensor([1, 40, 999]), draw(3, 3, seed=6)
    with torch.no_grad():
        for block in network.modules():
            if isinstance(block, diffae.SemanticBlock):
                block.semantic.weight.zero_()
                block.semantic.bias.zero_()
        torch.testing.assert_close(network(x, t, z), plain(x, t), rtol=1e-12, atol=1e-12)


def test_every_block_of_the_decoder_is_told_the_code():
    network = awake(diffae.ConditionalUNet(2, 3, **SIZES))
    z = draw(2, 3, seed=6).requires_grad_()
    network(draw(2, 2, 6, 6), torch.tensor([3, 7]), z).square().sum().backward()
    blocks = [m for m in network.modules() if isinstance(m, diffae.SemanticBlock)]
    assert len(blocks) == 4 + 3 + 4
    assert all((b.semantic.weight.grad != 0).all() and b.semantic.weight.shape[1] == 3 for b in blocks)
    assert (z.grad != 0).all()


def test_the_decoder_starts_at_zero():
    network = diffae.ConditionalUNet(2, 3, **SIZES).double()
    out = network(draw(2, 2, 6, 6), torch.tensor([3, 7]), draw(2, 3))
    assert out.shape == (2, 2, 6, 6) and not out.any()


def test_sizes_are_those_of_the_unet_unless_said_otherwise():
    wanted = inspect.signature(UNet).parameters
    for network in (diffae.ConditionalUNet, diffae.SemanticEncoder):
        for name, p in inspect.signature(network).parameters.items():
            if p.kind is p.KEYWORD_ONLY and name != "side":
                assert p.default == wanted[name].default, (network, name)


def test_the_plain_block_is_the_unets_without_a_condition():
    block, full = awake(diffae.PlainBlock(4, 8, 2)), Block(4, 8, 3, 2, 0.0).double()
    full.load_state_dict(block.state_dict(), strict=False)
    with torch.no_grad():
        full.condition.bias.zero_()
        x = draw(2, 4, 5, 5)
        torch.testing.assert_close(block(x), full(x, torch.zeros(2, 3, dtype=F64)), rtol=1e-12, atol=1e-12)
    assert {name.split(".")[0] for name in block.state_dict()} == {"norm_1", "norm_2", "conv_1", "conv_2", "shortcut"}
    same = diffae.PlainBlock(4, 4, 2).double()
    assert torch.equal(same(draw(2, 4, 5, 5)), draw(2, 4, 5, 5))


def test_the_encoder_is_a_contracting_path():
    encoder = awake(diffae.SemanticEncoder(2, 5, width=8, multipliers=(1, 2, 3), head=4, groups=2))
    inlet, first, shrink_1, second, shrink_2, third, attention, last = encoder.path
    assert [type(b) for b in (first, second, third, last)] == [diffae.PlainBlock] * 4
    assert [b.norm_2.num_channels for b in (first, second, third, last)] == [8, 16, 24, 24]
    assert [b.conv_1.in_channels for b in (first, second, third, last)] == [8, 16, 24, 24]
    assert all(n.num_groups == 2 for n in encoder.modules() if isinstance(n, nn.GroupNorm))
    assert attention.head == 4 and attention.qkv.in_features == 24
    for conv, sizes, stride in [(inlet, (2, 8), 1), (shrink_1, (8, 16), 2), (shrink_2, (16, 24), 2)]:
        assert (conv.in_channels, conv.out_channels) == sizes and conv.stride == (stride, stride)
        assert conv.kernel_size == (3, 3) and conv.padding == (1, 1)
    x = draw(3, 2, 8, 8)
    h = silu(normalised(encoder.path(x).detach().numpy(), encoder.norm))
    weight, bias = (p.detach().numpy() for p in encoder.outlet.parameters())
    np.testing.assert_allclose(encoder(x).detach(), h.mean((2, 3)) @ weight.T + bias, rtol=1e-9, atol=1e-12)
    assert encoder.path(x).shape == (3, 24, 2, 2) and encoder(x).shape == (3, 5)


def test_the_encoder_may_keep_where_things_are():
    encoder = awake(diffae.SemanticEncoder(2, 5, width=8, multipliers=(1, 2), head=4, groups=2, side=2))
    x = draw(3, 2, 8, 8)
    h = silu(normalised(encoder.path(x).detach().numpy(), encoder.norm))
    parts = h.reshape(3, 16, 2, 2, 2, 2).mean((3, 5)).reshape(3, -1)
    weight, bias = (p.detach().numpy() for p in encoder.outlet.parameters())
    np.testing.assert_allclose(encoder(x).detach(), parts @ weight.T + bias, rtol=1e-9, atol=1e-12)


def test_the_latent_network_in_numpy():
    network = awake(diffae.LatentNetwork(3, width=8, depth=4))
    z, t = draw(2, 3), torch.tensor([2, 700])
    weights = {k: v.numpy() for k, v in network.state_dict().items()}
    network.condition.frequencies, c = 64, silu(network.condition(t).detach().numpy())
    h = z.numpy()
    for k in range(3):
        h = h @ weights[f"layers.{k}.weight"].T + weights[f"layers.{k}.bias"]
        h = h * (1 + c @ weights[f"times.{k}.weight"].T + weights[f"times.{k}.bias"])
        h = (h - h.mean(1, keepdims=True)) / np.sqrt(h.var(1, keepdims=True) + 1e-5)
        h = np.concatenate([silu(h * weights[f"norms.{k}.weight"] + weights[f"norms.{k}.bias"]), z.numpy()], 1)
    expected = h @ weights["outlet.weight"].T + weights["outlet.bias"]
    np.testing.assert_allclose(network(z, t).detach(), expected, rtol=1e-9, atol=1e-12)
    assert "layers.3.weight" not in weights


def test_the_latent_network_has_ten_layers_of_2048_unless_said_otherwise():
    with torch.device("meta"):
        network = diffae.LatentNetwork(3)
    assert [tuple(layer.weight.shape) for layer in network.layers] == [(2048, 3)] + [(2048, 2051)] * 8
    assert network.outlet.weight.shape == (3, 2051)
    assert diffae.LatentNetwork(3, width=4, depth=2).outlet.in_features == 7


@pytest.mark.parametrize("depth", [1, 0])
def test_a_latent_network_of_one_layer_is_refused(depth):
    with pytest.raises(ValueError, match=f"depth counts layers, the last one included, at least 2, not {depth}"):
        diffae.LatentNetwork(3, width=4, depth=depth)


# T8 on other networks than the demo's first


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_what_the_codes_hold_is_not_about_one_network(seed):
    run = demo.DEMO.run(seed=seed)
    for claim in (demo.swapped, demo.moved, demo.rest, demo.reconstruction):
        assert claim(run).holds, claim(run)
