"""The asymmetric step against its algebra, exact flows of Gaussians, planted networks, and DDIM without an edit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from implementations import ddim, h_space_asyrp
from implementations.common.noise import Noise
from implementations.common.rows import per_row
from implementations.common.waist import Waist
from implementations.ddpm import linear_schedule
from implementations.demos import h_space_asyrp as demo
from implementations.h_space_asyrp import Direction, shift, step
from implementations.unet import UNet
from tests.implementations.toys import F64, Given, draw, lively, refuse, rough

TAU = torch.tensor([2, 3, 5, 6, 9])


def other(x, t):
    """A second network, which no multiple of the first is."""
    return torch.cos(0.7 * x - 0.03 * per_row(t, x)) - 0.1 * x


def products(process):
    """abar_0 .. abar_T, in numpy."""
    return np.cumprod(1 - process.beta.numpy())


def walk(x, tau, abar, model, shifted, t_edit, t_boost=0, draws=()):
    """The generative process of section 4.3 in numpy: [(t, x_t, P_t)], and x_0."""
    seen, draws = [], iter(draws)
    times = [0, *tau]
    for i in range(len(tau), 0, -1):
        t, s = times[i], times[i - 1]
        eps = model(x, t)
        P = (x - np.sqrt(1 - abar[t]) * (shifted(x, t) if t >= t_edit else eps)) / np.sqrt(abar[t])
        seen.append((t, x, P))
        variance = (1 - abar[s]) / (1 - abar[t]) * (1 - abar[t] / abar[s]) if t < t_boost else 0.0
        x = np.sqrt(abar[s]) * P + np.sqrt(1 - abar[s] - variance) * eps
        if variance > 0:
            x = x + np.sqrt(variance) * next(draws)
    assert next(draws, None) is None
    return seen, x


def in_numpy(network):
    return lambda x, t: network(torch.from_numpy(x), torch.full((len(x),), t)).numpy()


PLAIN, CHANGED = in_numpy(lively), in_numpy(other)


# T1: the step, and why shifting all of it does little


@pytest.mark.parametrize(("t", "s"), [(20, 19), (12, 5), (7, 1), (4, 0)])
def test_a_shift_of_both_terms_nearly_cancels_and_one_of_the_predicted_x_0_does_not(t, s):
    """Theorem 1, for any two times: beta = 1 - a_t / a_s, r = sqrt(a_t / a_s)."""
    process, (x, eps, change) = rough(20), (draw(4, 2, 3, seed=k) for k in range(3))
    a_t, a_s = products(process)[[t, s]]
    r, beta = math.sqrt(a_t / a_s), 1 - a_t / a_s
    plain = step(process, x, t, s, eps, eps)
    both = step(process, x, t, s, eps + change, eps + change) - plain
    factor = -beta / (r * (r * math.sqrt(1 - a_s) + math.sqrt(1 - a_t)))
    torch.testing.assert_close(both, factor * change, rtol=0, atol=1e-13)
    alone = step(process, x, t, s, eps, eps + change) - plain
    torch.testing.assert_close(alone, -math.sqrt(a_s * (1 - a_t) / a_t) * change, rtol=0, atol=1e-13)
    back = step(process, x, t, s, eps + change, eps) - plain
    torch.testing.assert_close(back, math.sqrt(1 - a_s) * change, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("t", "s", "ratio"), [(1000, 999, 0.010), (520, 500, 0.105), (40, 20, 0.458), (20, 0, 1.0)])
def test_how_much_of_a_shift_survives_in_both_terms_grows_from_nothing_at_T_to_all_at_the_last_step(t, s, ratio):
    process, x = linear_schedule(), draw(3, 2)
    plain = step(process, x, t, s, x, x)
    both, alone = step(process, x, t, s, x + 1, x + 1) - plain, step(process, x, t, s, x, x + 1) - plain
    torch.testing.assert_close(both / alone, torch.full_like(x, ratio), rtol=0, atol=5e-4)


def test_a_step_takes_times_and_noise_of_each_row_and_goes_either_way():
    process, (x, eps, shifted) = rough(9), (draw(3, 2, 2, seed=k) for k in range(3))
    t, s, sigma = torch.tensor([9, 4, 2]), torch.tensor([3, 6, 0]), torch.tensor([0.2, 0.1, 0.0], dtype=F64)
    found = step(process, x, t, s, eps, shifted, sigma=sigma)
    abar = products(process)
    for row, (i, j, sd) in enumerate(zip(t.tolist(), s.tolist(), sigma.tolist(), strict=True)):
        P = (x[row] - math.sqrt(1 - abar[i]) * shifted[row]) / math.sqrt(abar[i])
        expected = math.sqrt(abar[j]) * P + math.sqrt(1 - abar[j] - sd**2) * eps[row]
        torch.testing.assert_close(found[row], expected, rtol=0, atol=1e-12)
        alone = step(process, x[[row]], i, j, eps[[row]], shifted[[row]], sigma=sd)
        torch.testing.assert_close(found[[row]], alone, rtol=0, atol=1e-14)


def test_gradients_pass_through_all_that_a_step_is_made_of():
    given = [draw(2, 3, seed=k).requires_grad_() for k in range(3)]
    assert torch.autograd.gradcheck(lambda x, eps, shifted: step(rough(9), x, 6, 2, eps, shifted, sigma=0.1), given)


@pytest.mark.parametrize("s", [0, 2])
def test_more_added_noise_than_there_is_at_all_is_refused(s):
    x, most = draw(2, 3), math.sqrt(1 - products(rough(9))[s])
    step(rough(9), x, 6, s, x, x, sigma=most - 1e-9 if s else 0.0)
    with pytest.raises(ValueError, match=rf"x_s holds less noise at s = {s} than sigma"):
        step(rough(9), x, 6, s, x, x, sigma=most + 1e-3)


# T2 and T3: the flow of N(0, v), whose exact network is affine.  With u = sqrt(1 / abar - 1), the noise of x_t over its
# signal, what is added to y = x / sqrt(abar) at u is sqrt(v / (v + u^2)) of it at the end.

V, DE = 0.25, 0.01


def moved(process, steps, change, both=False):
    """By how much x_0 moves when the exact noise of N(0, V) is changed at every step, by change(eps, t)."""

    def exact(x, t):
        a = process.at(process.abar, t, x)
        return (1 - a).sqrt() * x / (a * V + 1 - a)

    def shifted(x, t):
        return change(exact(x, t), t)

    tau, x_T = ddim.timesteps(process.T, steps), torch.tensor([[0.3], [-1.0]], dtype=F64)
    edited = h_space_asyrp.sample(shifted if both else exact, shifted, process, x_T, tau, t_edit=0)
    difference = edited - h_space_asyrp.sample(exact, exact, process, x_T, tau, t_edit=0)
    assert float(difference.std()) < 1e-10
    return float(difference.mean())


def test_a_shift_of_both_terms_has_a_limit_and_one_of_a_single_term_grows_with_the_steps():
    process, counts = linear_schedule(), (10, 40, 200)
    both = [moved(process, n, lambda eps, t: eps + DE, both=True) for n in counts]
    U = math.sqrt(1 / float(process.abar[-1]) - 1)
    limit = -math.sqrt(V) * math.asinh(U / math.sqrt(V)) * DE
    assert both == pytest.approx([-0.0346, -0.0326, -0.0323], abs=6e-5)
    assert both[2] == pytest.approx(limit, abs=1e-4)
    alone = [moved(process, n, lambda eps, t: eps + DE) for n in counts]
    assert alone == pytest.approx([-0.0657, -0.1950, -0.9006], abs=6e-5)


def test_a_shift_divided_among_the_steps_has_a_limit_that_it_meets_with_order_1():
    process = linear_schedule()

    def edit(n, scale=1.0):
        change = shift(lambda h, t: torch.full_like(h, DE), 40, n, scale=scale)
        return moved(process, n, change)

    u = (1 / process.abar - 1).sqrt().numpy()
    density = u * np.sqrt(V / (V + u**2))
    limit = -40 * DE * np.trapezoid(density) / process.T
    found = [edit(n) for n in (10, 40, 200)]
    assert found == pytest.approx([-0.2627, -0.1950, -0.1801], abs=6e-5)
    off = [value - limit for value in found]
    assert off[0] / off[1] == pytest.approx(4, rel=0.25) and off[1] / off[2] == pytest.approx(5, rel=0.1)
    assert edit(10, -0.5) == pytest.approx(-0.5 * found[0], rel=1e-9)


# T1: the change of the features


def test_a_shift_adds_the_direction_at_its_scale_divided_among_the_steps():
    h, t = draw(3, 2, 4, 4), torch.tensor([3, 1, 7])
    seen = []

    def f(h, t):
        seen.append(t)
        return torch.sin(h) + per_row(t, h)

    added = torch.sin(h) + t.double()[:, None, None, None]
    kept = h.clone()
    torch.testing.assert_close(shift(f, 40, 40)(h, t), h + added)
    torch.testing.assert_close(shift(f, 40, 200, scale=-2.5)(h, t), h - 0.5 * added)
    torch.testing.assert_close(shift(f, 60, 40, scale=2.0)(h, t), h + 3 * added)
    rows = torch.tensor([0.0, 1.0, -2.0])
    torch.testing.assert_close(shift(f, 5, 10, scale=rows)(h, t), h + 0.5 * rows.double()[:, None, None, None] * added)
    assert torch.equal(h, kept) and all(torch.equal(told, t) for told in seen)


@pytest.mark.parametrize(("trained", "steps"), [(0, 10), (10, 0), (-3, 5)])
def test_counts_of_steps_below_1_are_named(trained, steps):
    with pytest.raises(ValueError, match=f"at least 1, not {trained} and {steps}"):
        shift(lambda h, t: h, trained, steps)
    shift(lambda h, t: h, 1, 1)


def awake(network, seed=0):
    with torch.no_grad():
        for k, parameter in enumerate(network.parameters()):
            parameter.copy_(0.4 * Noise(seed + k)(parameter))
    return network


def test_a_direction_is_two_convolutions_of_single_pixels_with_the_time_between_them():
    f = awake(Direction(8, groups=4).double())
    h, t = draw(2, 8, 3, 5), torch.tensor([4.0, 700.0], dtype=F64)
    rate = 1e4 ** (-torch.arange(4, dtype=F64) / 3)
    angle = t[:, None] * rate
    code = torch.cat([angle.sin(), angle.cos()], 1)

    def dense(layer, x):
        return x @ layer.weight.flatten(1).T + layer.bias

    def silu(x):
        return x / (1 + (-x).exp())

    c = dense(f.time, silu(dense(f.condition.outer, silu(dense(f.condition.inner, code)))))
    inner = dense(f.inlet, h.permute(0, 2, 3, 1)) + c[:, None, None]
    groups = inner.unflatten(3, (4, 2))
    mean = groups.mean((1, 2, 4), keepdim=True)
    variance = (groups - mean).square().mean((1, 2, 4), keepdim=True)
    normed = ((groups - mean) / (variance + 1e-5).sqrt()).flatten(3) * f.norm.weight + f.norm.bias
    expected = dense(f.outlet, silu(normed)).permute(0, 3, 1, 2)
    torch.testing.assert_close(f(h, t), expected, rtol=0, atol=1e-12)


def test_a_new_direction_is_awake_and_one_whose_last_layer_is_zero_edits_nothing():
    torch.manual_seed(0)
    network, f = awake(UNet(1, width=8, multipliers=(1, 2), attention=(), groups=4)), Direction(16)
    x, t, waist = draw(2, 1, 4, 4).float(), torch.tensor([3, 50]), Waist(network.middle)
    assert f.norm.num_groups == 8
    assert waist.features(network, x, t).shape == f(waist.features(network, x, t), t).shape
    shifted = waist.changed(network, shift(f, 5, 5))
    assert not torch.allclose(shifted(x, t), network(x, t), atol=1e-3)
    for parameter in f.outlet.parameters():
        nn.init.zeros_(parameter)
    found = h_space_asyrp.sample(network, shifted, rough(9), x, TAU, t_edit=0)
    assert torch.equal(found, h_space_asyrp.sample(network, network, rough(9), x, TAU, t_edit=0))


def test_the_direction_of_another_layer_is_refused():
    network = awake(UNet(1, width=8, multipliers=(1, 2), attention=(), groups=4)).double()
    shifted = Waist(network.middle).changed(network, lambda h, t: shift(lambda h, t: h, 4, 4)(h, t)[:, :8])
    with pytest.raises(ValueError, match="is the direction of another layer"):
        h_space_asyrp.sample(network, shifted, rough(9), draw(2, 1, 4, 4), TAU, t_edit=0)


class Planted(nn.Module):
    """A network whose noise is B h, of features h = A x, so that what a shift of h does to any step is known."""

    def __init__(self):
        super().__init__()
        self.A, self.B = nn.Parameter(0.4 * draw(3, 5, seed=1)), nn.Parameter(0.4 * draw(5, 3, seed=2))
        self.middle = nn.ModuleList()

    def forward(self, x, t):
        h = x @ self.A.T
        for stage in self.middle:
            h = stage(h)
        return h @ self.B.T


@pytest.mark.parametrize("tau", [[9], [2, 5, 9]])
def test_a_planted_shift_moves_a_linear_attribute_by_as_much_as_was_asked(tau):
    """An asymmetric step is x_s = M x_t - c B dh: the shift that moves <w, x_0> by 1 follows from all of them."""
    network, process, w = Planted(), rough(9), draw(5, seed=3)
    waist, abar = Waist(network.middle), products(process)
    A, B = network.A.detach().numpy(), network.B.detach().numpy()
    reach, times = np.zeros((5, 3)), [0, *tau]
    for i in range(len(tau), 0, -1):
        a_t, a_s = abar[times[i]], abar[times[i - 1]]
        held = math.sqrt(1 - a_s) - math.sqrt(a_s * (1 - a_t) / a_t)
        reach = (math.sqrt(a_s / a_t) * np.eye(5) + held * B @ A) @ reach - math.sqrt(a_s * (1 - a_t) / a_t) * B
    gain = torch.from_numpy(w.numpy() @ reach)
    delta, x_T = gain / gain.square().sum(), draw(4, 5, seed=4)

    def edited(scale, f=lambda h, t: delta.expand_as(h)):
        shifted = waist.changed(network, shift(f, len(tau), len(tau), scale=scale))
        return h_space_asyrp.sample(network, shifted, process, x_T, torch.tensor(tau), t_edit=0)

    plain = h_space_asyrp.sample(network, network, process, x_T, torch.tensor(tau), t_edit=0)
    for scale in (1.0, -2.0, torch.tensor([0.0, 1.0, 3.0, -0.5], dtype=F64)):
        expected = torch.as_tensor(scale, dtype=F64).expand(4)
        torch.testing.assert_close((edited(scale) - plain) @ w, expected, rtol=0, atol=1e-11)


# T1 and T5: the sampler, beside DDIM's and in numpy


@pytest.mark.parametrize(("t_edit", "t_boost"), [(10, 0), (6, 0), (6, 3), (7, 4), (3, 3), (0, 0), (10, 10), (9, 6)])
def test_the_process_edits_from_t_edit_on_and_adds_noise_below_t_boost(t_edit, t_boost):
    process, x_T = rough(9), draw(4, 2, 3)
    asked, edits, draws = [], [], []

    def model(x, t):
        asked.append(t.tolist())
        return lively(x, t)

    def shifted(x, t):
        edits.append(t.tolist())
        return other(x, t)

    def normal(like):
        draws.append(draw(*like.shape, seed=len(draws)))
        return draws[-1]

    kept = x_T.clone()
    found = h_space_asyrp.sample(model, shifted, process, x_T, TAU, t_edit=t_edit, t_boost=t_boost, noise=Given(normal))
    times = TAU.tolist()[::-1]
    assert asked == [[t] * 4 for t in times]
    assert edits == [[t] * 4 for t in times if t >= t_edit]
    assert len(draws) == sum(t < t_boost for t in times[:-1])  # the last step, to the image, adds none
    expected = walk(
        x_T.numpy(), TAU.tolist(), products(process), PLAIN, CHANGED, t_edit, t_boost, [z.numpy() for z in draws]
    )[1]
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-11)
    assert torch.equal(x_T, kept) and TAU.tolist() == [2, 3, 5, 6, 9]


def test_without_an_edit_it_is_ddim_and_with_noise_everywhere_ddpm():
    process, x_T = rough(12), draw(3, 2)
    for tau in (ddim.timesteps(12, 12), torch.tensor([1, 4, 5, 11])):
        still = h_space_asyrp.sample(lively, other, process, x_T, tau, t_edit=13, noise=Given(refuse))
        torch.testing.assert_close(still, ddim.sample(lively, process, x_T, tau), rtol=0, atol=1e-11)
        assert torch.equal(still, h_space_asyrp.sample(lively, lively, process, x_T, tau, t_edit=0))
        noisy = h_space_asyrp.sample(lively, other, process, x_T, tau, t_edit=13, t_boost=13, noise=Noise(3))
        torch.testing.assert_close(
            noisy, ddim.sample(lively, process, x_T, tau, eta=1.0, noise=Noise(3)), rtol=0, atol=1e-11
        )
        both = h_space_asyrp.sample(other, other, process, x_T, tau, t_edit=0)
        torch.testing.assert_close(both, ddim.sample(other, process, x_T, tau), rtol=0, atol=1e-11)


def test_a_batch_of_8_equals_two_of_4_in_images_and_points_alike():
    process, x_T = rough(9), torch.randn(8, 1, 3, 3, generator=torch.Generator().manual_seed(0))

    def edited(x, seeds):
        return h_space_asyrp.sample(lively, other, process, x, TAU, t_edit=6, t_boost=5, noise=Noise(seeds))

    whole = edited(x_T, range(8))
    halves = [edited(x_T[i : i + 4], range(i, i + 4)) for i in (0, 4)]
    torch.testing.assert_close(whole, torch.cat(halves))
    torch.testing.assert_close(whole.flatten(1), edited(x_T.flatten(1), range(8)))
    assert whole.dtype == x_T.dtype and not whole.requires_grad


@pytest.mark.parametrize(("t_edit", "t_boost"), [(11, 0), (-1, 0), (5, 6), (5, -1), (11, 11)])
def test_intervals_out_of_order_or_range_are_named(t_edit, t_boost):
    with pytest.raises(
        ValueError, match=rf"want 0 <= t_boost <= t_edit <= 10 .* t_boost {t_boost} and t_edit {t_edit}"
    ):
        h_space_asyrp.sample(lively, other, rough(9), draw(2, 2), TAU, t_edit=t_edit, t_boost=t_boost)
    if t_boost == 0:
        with pytest.raises(ValueError, match="want 0 <= t_boost <= t_edit <= 10"):
            next(h_space_asyrp.predictions(lively, other, rough(9), draw(2, 2), TAU, t_edit=t_edit))


@pytest.mark.parametrize("tau", [[], [0, 3], [3, 3], [5, 2], [10]])
def test_timesteps_that_do_not_increase_within_the_process_are_refused(tau):
    tau = torch.tensor(tau, dtype=torch.long)
    with pytest.raises(ValueError, match=r"timesteps must increase strictly within 1\.\.9"):
        h_space_asyrp.sample(lively, other, rough(9), draw(2, 2), tau, t_edit=3)
    with pytest.raises(ValueError, match=r"timesteps must increase strictly within 1\.\.9"):
        list(h_space_asyrp.predictions(lively, other, rough(9), draw(2, 2), tau, t_edit=3))


# T1: what f is trained on


@pytest.mark.parametrize("t_edit", [0, 5, 6, 10])
def test_predictions_are_those_of_an_edited_and_of_a_plain_walk_down_to_t_edit(t_edit):
    process, x_T = rough(9), draw(3, 2, 2)
    found = list(h_space_asyrp.predictions(lively, other, process, x_T, TAU, t_edit=t_edit))
    abar = products(process)
    edited, _ = walk(x_T.numpy(), TAU.tolist(), abar, PLAIN, CHANGED, 0)
    source, _ = walk(x_T.numpy(), TAU.tolist(), abar, PLAIN, PLAIN, 0)
    expected = [(t, P, Q) for (t, _, P), (_, _, Q) in zip(edited, source, strict=True) if t >= t_edit]
    assert [t for t, _, _ in found] == [t for t, _, _ in expected] and len(found) == sum(
        t >= t_edit for t in TAU.tolist()
    )
    for (_, P, Q), (_, right, plain) in zip(found, expected, strict=True):
        np.testing.assert_allclose(P.numpy(), right, rtol=0, atol=1e-11)
        np.testing.assert_allclose(Q.numpy(), plain, rtol=0, atol=1e-11)


def test_gradients_reach_the_shift_alone_and_no_step_before():
    """With shifted(x) = other(x) + theta, dP_t / dtheta is -sqrt(1 / abar_t - 1), whatever theta did to x_t before."""
    process, theta, weight = (
        rough(9),
        torch.zeros((), dtype=F64, requires_grad=True),
        torch.ones((), requires_grad=True),
    )
    x_T = draw(3, 2).requires_grad_()
    asked = []

    def model(x, t):
        asked.append(x.requires_grad)
        return weight * lively(x, t)

    walk = h_space_asyrp.predictions(model, lambda x, t: other(x, t) + theta, process, x_T, TAU, t_edit=3)
    abar = products(process)
    for t, edited, source in walk:
        assert not source.requires_grad
        (slope,) = torch.autograd.grad(edited.sum(), theta)
        assert float(slope) == pytest.approx(-edited.numel() * math.sqrt(1 / abar[t] - 1), rel=1e-12)
    assert not any(asked) and len(asked) == 8  # two for each step: 9, 6, 5, 3
    assert weight.grad is None and x_T.grad is None


def test_the_walk_goes_on_by_the_shift_that_was_yielded_and_meets_a_changed_one_at_the_next_step():
    process, x_T, abar = rough(9), draw(2, 3), products(rough(9))
    theta = torch.tensor(0.5, dtype=F64, requires_grad=True)
    found = []

    def shifted(x, t):
        return lively(x, t) + theta

    for _, edited, _ in h_space_asyrp.predictions(lively, shifted, process, x_T, torch.tensor([5, 9]), t_edit=0):
        found.append(edited.detach())
        with torch.no_grad():
            theta.add_(1)  # as an optimiser's step would
    eps = PLAIN(x_T.numpy(), 9)
    P_9 = (x_T.numpy() - math.sqrt(1 - abar[9]) * (eps + 0.5)) / math.sqrt(abar[9])
    x_5 = math.sqrt(abar[5]) * P_9 + math.sqrt(1 - abar[5]) * eps
    P_5 = (x_5 - math.sqrt(1 - abar[5]) * (PLAIN(x_5, 5) + 1.5)) / math.sqrt(abar[5])
    np.testing.assert_allclose(found[0].numpy(), P_9, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found[1].numpy(), P_5, rtol=0, atol=1e-12)


# T1: the loss


def code(x):
    """Two numbers of an image."""
    return torch.stack([x.flatten(1).square().sum(1), x.flatten(1)[:, 0]], 1)


@pytest.mark.parametrize(("by_clip", "by_pixels"), [(1.0, 0.0), (0.7, 2.0), (0.0, 1.5)])
def test_loss_is_the_angle_of_the_change_of_the_code_and_the_mean_change_of_a_pixel(by_clip, by_pixels):
    edited, source = draw(3, 2, 2, seed=0), draw(3, 2, 2, seed=1)
    one, each = draw(2, seed=2), draw(3, 2, seed=3)
    change = (code(edited) - code(source)).numpy()
    for direction in (one, each):
        wanted = np.broadcast_to(direction.numpy(), change.shape)
        cosines = (change * wanted).sum(1) / np.linalg.norm(change, axis=1) / np.linalg.norm(wanted, axis=1)
        expected = by_clip * (1 - cosines).mean() + by_pixels * np.abs((edited - source).numpy()).mean()
        found = h_space_asyrp.loss(code, edited, source, direction, lambda_clip=by_clip, lambda_recon=by_pixels)
        assert float(found) == pytest.approx(expected, rel=1e-12)
    default = h_space_asyrp.loss(code, edited, source, one)
    assert float(default) == pytest.approx(
        float(h_space_asyrp.loss(code, edited, source, one, lambda_clip=1.0, lambda_recon=1.0)), rel=1e-12
    )


@pytest.mark.parametrize(("angle", "expected"), [(0.0, 0.0), (math.pi / 2, 1.0), (math.pi, 2.0), (math.pi / 3, 0.5)])
def test_the_loss_of_a_code_knows_the_angle_and_not_the_length(angle, expected):
    source = draw(2, 2)
    for length in (0.3, 5.0):
        edited = source + length * torch.tensor([math.cos(angle), math.sin(angle)], dtype=F64)
        found = h_space_asyrp.loss(lambda x: x, edited, source, torch.tensor([2.0, 0.0], dtype=F64), lambda_recon=0.0)
        assert float(found) == pytest.approx(expected, abs=1e-7)


def test_gradients_of_the_loss():
    given = [draw(3, 2, 2, seed=0).requires_grad_(), draw(3, 2, 2, seed=1), draw(2, seed=2)]
    assert torch.autograd.gradcheck(lambda *given: h_space_asyrp.loss(code, *given, lambda_recon=0.3), given)


# T1: where to edit and where to boost


def test_distances_are_measured_on_the_way_to_noise():
    """At each time against ddim.encode over the times up to it, with a distance that is not symmetric."""
    process, x_0, asked = rough(9), draw(3, 2, 2), []

    def model(x, t):
        asked.append(t.tolist())
        return lively(x, t)

    def distance(a, b):
        return (a - 0.5 * b).square().flatten(1).sum(1) * torch.tensor([1.0, 2.0, 4.0])

    predicted, noised = h_space_asyrp.distances(model, process, x_0, TAU, distance)
    assert asked == [[t] * 3 for t in (1, 2, 3, 5, 6, 9)]
    assert predicted.dtype == noised.dtype == F64 and predicted.shape == noised.shape == (5,)
    abar = products(process)
    for k, t in enumerate(TAU.tolist()):
        x_t = ddim.encode(lively, process, x_0, TAU[: k + 1])
        P = (x_t - math.sqrt(1 - abar[t]) * lively(x_t, torch.full((3,), t))) / math.sqrt(abar[t])
        assert float(noised[k]) == pytest.approx(float(distance(x_0, x_t).mean()), rel=1e-10)
        assert float(predicted[k]) == pytest.approx(float(distance(x_0, P).mean()), rel=1e-10)


def test_distances_are_float64_whatever_the_images_are():
    def distance(a, b):
        return (a - b).abs().flatten(1).mean(1)

    for found in h_space_asyrp.distances(lively, rough(9), draw(2, 3).float(), TAU, distance):
        assert found.dtype == F64


def test_editing_strength_is_what_the_interval_brings_the_prediction_nearer():
    assert h_space_asyrp.editing_strength(torch.tensor([0.125, 0.25, 0.5])).tolist() == [0.375, 0.25, 0.0]


@pytest.mark.parametrize(("threshold", "expected"), [(0.05, 2), (0.1, 2), (0.2, 5), (0.5, 5), (0.6, 9), (0.7, 9)])
def test_the_first_time_above_a_threshold_is_the_one_nearest_to_the_image(threshold, expected):
    tau = torch.tensor([2, 5, 6, 9])
    found = h_space_asyrp.first_above(tau, torch.tensor([0.1, 0.5, 0.3, 0.7], dtype=F64), threshold)
    assert found == expected and isinstance(found, int)


def test_a_threshold_that_is_never_reached_is_named():
    with pytest.raises(ValueError, match=r"no distance reaches the threshold 0\.8; the largest is 0\.7"):
        h_space_asyrp.first_above(torch.tensor([2, 5]), torch.tensor([0.1, 0.7], dtype=F64), 0.8)


# T8 on other networks than the demo's


@pytest.mark.slow
@pytest.mark.parametrize("base", [1, 2])
def test_the_edit_is_not_about_one_network(base):
    """How far an edit goes is not asked for, and those of other networks go further, their controls with them."""
    run = demo.DEMO.run(seed=base)
    edit, little_else = demo.edit(run, base), demo.little_else(run, base)
    assert edit.value >= max(edit.bound, 1.5 * edit.control), edit
    assert little_else.holds, little_else
