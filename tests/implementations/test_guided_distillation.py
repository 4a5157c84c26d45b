"""Guided distillation against the guided pair in closed form, perfect students of Gaussians, and exact moments."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import nn

from implementations import guided_distillation as gd
from implementations import progressive_distillation as pd
from implementations.cfg import guided
from implementations.common.mlp import MLP
from implementations.common.noise import Noise
from implementations.common.rows import per_row
from implementations.vdm import cosine
from implementations.verification.impulses import moments
from implementations.verification.oracles import Gaussian, GaussianMixture
from tests.implementations.toys import F64, Given, draw, refuse

NULL = 3
NARROW = cosine(-9.0, 7.0)
"""Another schedule than the default, with levels at which no coefficient is nearly 0 or 1."""


class Script(Noise):
    """Uniform numbers, whole numbers and normal ones, each from its own list, in order."""

    def __init__(self, uniform=(), integers=(), normal=()):
        super().__init__()
        self.lists = {"uniform": list(uniform), "integers": list(integers), "normal": list(normal)}

    def take(self, kind, like, shape):
        drawn = torch.as_tensor(self.lists[kind].pop(0))
        assert drawn.shape == shape
        return drawn.to(like.device)

    def uniform(self, like):
        assert like.dtype == F64
        return self.take("uniform", like, like.shape).to(like)

    def integers(self, low, high, like):
        drawn = self.take("integers", like, like.shape[:1])
        assert low == 1 and drawn.min() >= low and drawn.max() <= high
        self.high = high
        return drawn

    def __call__(self, like):
        return self.take("normal", like, like.shape).to(like)

    def spent(self):
        return not any(self.lists.values())


def pair_network(z, gamma, y):
    """A teacher that depends on all it is given, on nothing affinely."""
    return torch.sin(1.3 * z + 0.3 * per_row(gamma, z) + 0.7 * per_row(y, z) ** 2) - 0.2 * per_row(y + 1, z) * z


def scaled_network(z, gamma, y, scale):
    """A student that does."""
    return pair_network(z, gamma, y) + torch.cos(z + per_row(scale, z)) * per_row(scale, z)


class Recorded:
    """A network, and what it was asked."""

    def __init__(self, network):
        self.network, self.asked = network, []

    def __call__(self, *told):
        self.asked.append(told)
        return self.network(*told)


def coefficients(gamma):
    """alpha and sigma, from e^-gamma = alpha^2 / sigma^2 and alpha^2 + sigma^2 = 1."""
    gamma = torch.as_tensor(gamma, dtype=F64)
    return 1 / (1 + gamma.exp()).sqrt(), 1 / (1 + (-gamma).exp()).sqrt()


def x_of(v, z, gamma):
    alpha, sigma = (per_row(c, z) for c in coefficients(gamma))
    return alpha * z - sigma * v


def stepped(x, z, gamma, gamma_next):
    """DDIM: the noise that z holds beside x stays."""
    (a, s), (b, r) = ([per_row(c, z) for c in coefficients(g)] for g in (gamma, gamma_next))
    return b * x + r * (z - a * x) / s


def weights(gamma, weighting):
    snr = (-gamma).exp()
    return torch.maximum(snr, torch.ones_like(snr)) if weighting == "truncated-snr" else snr + 1


# What a student is told, and the scales it is trained on


def test_scales_are_uniform_over_their_range_one_for_each_row():
    x = torch.zeros(3, 2, 2)
    found = gd.draw_scales(x, (2.0, 7.0), noise=Script(uniform=[[0.0, 0.5, 0.8]]))
    assert found.tolist() == pytest.approx([2.0, 4.5, 6.0]) and found.dtype == F64
    assert gd.draw_scales(x, noise=Script(uniform=[[0.0, 0.25, 1.0]])).tolist() == [1.0, 2.0, 5.0]  # w in 0..4
    assert gd.draw_scales(x, (3.0, 3.0), noise=Noise(0)).tolist() == [3.0] * 3


@pytest.mark.parametrize("scales", [(5.0, 1.0), (math.nan, 2.0)])
def test_a_range_upside_down_is_refused(scales):
    with pytest.raises(ValueError, match="scales must be a range, lowest first"):
        gd.draw_scales(torch.zeros(2, 1), scales)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_a_student_is_told_class_and_scale_row_by_row(dtype):
    z, gamma, y = draw(3, 2).to(dtype), torch.tensor([-1.0, 0.0, 2.0], dtype=dtype), torch.tensor([0, 2, 1])
    watched = Recorded(scaled_network)
    scale = torch.tensor([1.0, 2.5, 5.0], dtype=F64)
    out = gd.told(watched, y, scale)(z, gamma)
    asked = watched.asked[0]
    assert asked[0] is z and asked[1] is gamma and asked[2] is y
    assert asked[3].tolist() == [1.0, 2.5, 5.0] and asked[3].dtype == dtype
    torch.testing.assert_close(out, scaled_network(z, gamma, y, scale.to(dtype)))
    gd.told(watched, y, 4)(z, gamma)
    assert watched.asked[1][3].tolist() == [4.0] * 3 and watched.asked[1][3].dtype == dtype


@pytest.mark.parametrize("scale", [0.99, 5.01, math.nan, torch.tensor([1.5, 0.5, 2.0]), torch.tensor([1.5, 2.0, 6.0])])
@pytest.mark.parametrize(
    "ask",
    [
        gd.told,
        lambda model, y, scale: gd.sample(model, torch.zeros(3, 1), 2, y, scale),
        lambda model, y, scale: gd.sample_stochastic(model, torch.zeros(3, 1), 2, y, scale),
        lambda model, y, scale: gd.encode(model, torch.zeros(3, 1), 2, y, scale),
    ],
)
def test_a_scale_outside_the_range_that_was_learned_is_refused(ask, scale):
    with pytest.raises(ValueError, match=r"scale must lie in 1\.\.5, the range the student has learned, not"):
        ask(scaled_network, torch.tensor([0, 1, 2]), scale)


@pytest.mark.parametrize("scale", [2.0, 3.0])
def test_the_range_is_the_one_given_and_its_ends_belong_to_it(scale):
    y, z, inside = torch.tensor([0, 1]), draw(2, 3), (2.0, 3.0)
    for ask in (gd.sample, partial(gd.sample_stochastic, noise=Noise(0)), gd.encode):
        assert ask(scaled_network, z, 2, y, scale, scales=inside).shape == z.shape
        for outside in (1.5, 3.5):
            with pytest.raises(ValueError, match=r"scale must lie in 2\.\.3"):
                ask(scaled_network, z, 2, y, outside, scales=inside)


@pytest.mark.parametrize("y", [[1], [0, 1, 1], [[0, 1]], [[0], [1]]])
def test_labels_that_are_not_one_per_row_are_refused(y):
    with pytest.raises(ValueError, match=r"y must hold one label per row, \(2,\), not"):
        gd.sample(scaled_network, torch.zeros(2, 2), 2, torch.tensor(y), 2.0)


# Stage one


@pytest.mark.parametrize("shape", [(2,), (2, 3, 2)])
@pytest.mark.parametrize("weighting", ["truncated-snr", "snr+1"])
@pytest.mark.parametrize("null", [3, 5])
def test_stage_one_is_the_weighted_error_of_the_papers_combination(shape, weighting, null):
    """(1 + w) x_c - w x_u with w = s - 1, by hand."""
    x, eps, y = draw(4, *shape), draw(4, *shape, seed=1), torch.tensor([0, 2, 1, 1])
    u, t = torch.tensor([0.1, 0.9, 0.4, 0.7], dtype=F64), torch.tensor([0.05, 0.35, 0.6, 0.95], dtype=F64)
    student, teacher = Recorded(scaled_network), Recorded(pair_network)
    script = Script(uniform=[u, t], normal=[eps])
    value = gd.stage_one_loss(
        student, teacher, x, y, null, scales=(0.5, 3.5), schedule=NARROW, weighting=weighting, noise=script
    )
    assert script.spent()
    gamma, w = NARROW(t), 0.5 + 3.0 * u - 1
    a, s = (per_row(c, x) for c in coefficients(gamma))
    z = a * x + s * eps
    x_c, x_u = (x_of(pair_network(z, gamma, label), z, gamma) for label in (y, torch.full_like(y, null)))
    target = (1 + per_row(w, x)) * x_c - per_row(w, x) * x_u
    error = x_of(scaled_network(z, gamma, y, 1 + w), z, gamma) - target
    expected = (per_row(weights(gamma, weighting), x) * error**2).sum() / x.numel()
    assert float(value) == pytest.approx(float(expected), rel=1e-10)
    (told,) = student.asked
    torch.testing.assert_close(told[3], 1 + w)
    assert told[2].tolist() == y.tolist()
    (asked,) = teacher.asked  # one doubled batch
    assert sorted(asked[2].tolist()) == sorted([*y.tolist(), *[null] * 4])


def test_the_papers_values_are_the_defaults():
    x, y, half = draw(6, 2), torch.tensor([0, 1, 2, 0, 1, 2]), lambda *told: scaled_network(*told) / 2
    for loss in (
        partial(gd.stage_one_loss, scaled_network, pair_network, x, y, NULL),
        partial(gd.stage_two_loss, scaled_network, half, x, y, 3),
        partial(gd.stochastic_stage_two_loss, scaled_network, half, x, y, 3),
    ):
        spelled = loss(scales=(1.0, 5.0), schedule=cosine(-20.0, 20.0), weighting="truncated-snr", noise=Noise(4))
        assert float(loss(noise=Noise(4))) == float(spelled)


def test_times_and_scales_are_drawn_in_float64_whatever_the_data():
    x, y = draw(2, 2).float(), torch.tensor([0, 1])
    u = torch.tensor([0.25, 0.75], dtype=F64)
    student = Recorded(scaled_network)
    value = gd.stage_one_loss(student, pair_network, x, y, NULL, noise=Script([u, u], normal=[x]))
    assert value.dtype == torch.float32
    torch.testing.assert_close(student.asked[0][1], pd.SCHEDULE(u).float(), rtol=0, atol=0)


def perfect(teacher, null=NULL):
    """What stage one should end with: the guided pair as one network."""
    return lambda z, gamma, y, scale: guided(teacher, y, scale, null)(z, gamma)


def test_the_perfect_student_has_no_loss_and_no_gradient_and_is_affine_in_the_scale():
    x, y = draw(8, 2), torch.arange(8) % 3
    off = torch.zeros(2, dtype=F64, requires_grad=True)
    student = lambda *told: perfect(pair_network)(*told) + off  # noqa: E731
    value = gd.stage_one_loss(student, pair_network, x, y, NULL, noise=Noise(0))
    value.backward()
    assert value.item() < 1e-25 and off.grad is not None and off.grad.abs().max() < 1e-11
    z, gamma = draw(8, 2, seed=3), torch.linspace(-4, 4, 8, dtype=F64)
    one, two, four = (gd.told(perfect(pair_network), y, s)(z, gamma) for s in (1.0, 2.0, 4.0))
    torch.testing.assert_close(four, one + 3 * (two - one))
    torch.testing.assert_close(one, pair_network(z, gamma, y))
    nothing = gd.told(perfect(pair_network), y, 0.0, scales=(0.0, 1.0))(z, gamma)
    torch.testing.assert_close(nothing, pair_network(z, gamma, torch.full_like(y, NULL)))


def test_a_student_blind_to_the_scale_has_the_floor_that_is_known():
    """(s_max - s_min)^2 / 12 times the weighted square of x_c - x_u, at the mean scale.

    The two points of Gauss's rule are uniform numbers with the right mean and variance, so the loss is its expectation.
    """
    x, y, low, high = draw(6, 2), torch.tensor([0, 1, 2, 0, 1, 2]), 1.0, 5.0
    t, eps = torch.linspace(0.1, 0.95, 6, dtype=F64), draw(6, 2, seed=1)

    def loss(student):
        rows = [torch.full((6,), 0.5 + sign / math.sqrt(12), dtype=F64) for sign in (-1, 1)]
        values = [
            gd.stage_one_loss(student, pair_network, x, y, NULL, noise=Script([u, t], normal=[eps])) for u in rows
        ]
        return sum(value.item() for value in values) / 2

    def blind(scale):
        return lambda z, gamma, y, told: perfect(pair_network)(z, gamma, y, torch.full_like(told, scale))

    gamma = pd.SCHEDULE(t)
    a, s = (per_row(c, x) for c in coefficients(gamma))
    z = a * x + s * eps
    apart = s * (pair_network(z, gamma, y) - pair_network(z, gamma, torch.full_like(y, NULL)))
    floor = (high - low) ** 2 / 12 * (per_row(weights(gamma, "truncated-snr"), x) * apart**2).mean().item()
    assert loss(blind(3.0)) == pytest.approx(floor, rel=1e-9)
    assert loss(blind(2.9)) > floor and loss(blind(3.1)) > floor
    assert loss(perfect(pair_network)) < 1e-20 * floor


def test_two_classes_on_a_line_in_closed_form():
    """Means -1 and 1, variance v: x_c - x_u = (1 - p_c) 2 s^2 / d with p_c = sigmoid(2 a z / d), d = a^2 v + s^2."""
    v = 0.3
    law = GaussianMixture([1.0, 1.0], [[-1.0], [1.0]], [v, v], [0, 1])

    def teacher(z, gamma, y):
        level = coefficients(gamma)
        return torch.where(per_row(y, z) == 2, law.v(z, *level), law.v(z, *level, y.clamp_max(1)))

    def student(z, gamma, y, scale):
        a, s = (per_row(c, z) for c in coefficients(gamma))
        d, sign = a**2 * v + s**2, 2.0 * per_row(y, z) - 1
        x_c = sign + a * v / d * (z - a * sign)
        apart = (1 - torch.sigmoid(sign * 2 * a * z / d)) * sign * 2 * s**2 / d
        return (a * z - x_c - (per_row(scale, z) - 1) * apart) / s

    x, y = law.sample_with_class(64, noise=Noise(0))
    args = {"schedule": NARROW, "noise": Noise(1)}
    assert gd.stage_one_loss(student, teacher, x, y, 2, **args).item() < 1e-20
    swapped = lambda z, gamma, y, scale: student(z, gamma, 1 - y, scale)  # noqa: E731
    assert gd.stage_one_loss(swapped, teacher, x, y, 2, **args).item() > 0.1


def test_only_the_student_learns():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.tensor([0.7], dtype=F64))

        def forward(self, z, gamma, y, scale=None):
            return self.weight * (pair_network if scale is None else partial(scaled_network, scale=scale))(z, gamma, y)

    x, y = draw(4, 2), torch.tensor([0, 1, 2, 0])
    for loss, rest in (
        (gd.stage_one_loss, (NULL,)),
        (gd.stage_two_loss, (2,)),
        (gd.stochastic_stage_two_loss, (2,)),
    ):
        student, teacher = Pair(), Pair()
        teacher.weight.data += 0.2
        loss(student, teacher, x, y, *rest, noise=Noise(0)).backward()
        assert student.weight.grad is not None and student.weight.grad.abs().min() > 0
        assert teacher.weight.grad is None


# Stage two


@pytest.mark.parametrize("weighting", ["truncated-snr", "snr+1"])
def test_stage_two_is_progressive_distillation_at_a_scale_for_each_row(weighting):
    x, eps, y = draw(4, 2, 2), draw(4, 2, 2, seed=1), torch.tensor([0, 2, 1, 1])
    u, i = torch.tensor([0.1, 0.9, 0.4, 0.7], dtype=F64), torch.tensor([1, 2, 3, 3])
    student, teacher = (Recorded(lambda *told, k=k: k * scaled_network(*told)) for k in (1.0, 0.8))
    script = Script(uniform=[u], integers=[i], normal=[eps])
    given = {"scales": (0.5, 7.5), "schedule": NARROW, "weighting": weighting, "noise": script}
    value = gd.stage_two_loss(student, teacher, x, y, 3, **given)
    assert script.spent() and script.high == 3
    scale = 0.5 + 7 * u
    gamma, middle, end = (NARROW(i.double() / 3 - k / 6) for k in (0, 1, 2))
    end = torch.where(i == 1, -math.inf, end)
    a, s = (per_row(c, x) for c in coefficients(gamma))
    z = a * x + s * eps

    def guess(z, gamma):
        return x_of(0.8 * scaled_network(z, gamma, y, scale), z, gamma)

    z_middle = stepped(guess(z, gamma), z, gamma, middle)
    z_end = stepped(guess(z_middle, middle), z_middle, middle, end)
    (b, r) = (per_row(c, x) for c in coefficients(end))
    target = (z_end - r / s * z) / (b - r / s * a)
    error = x_of(scaled_network(z, gamma, y, scale), z, gamma) - target
    expected = (per_row(weights(gamma, weighting), x) * error**2).mean()
    assert float(value) == pytest.approx(float(expected), rel=1e-9)
    for asked in (*student.asked, *teacher.asked):
        torch.testing.assert_close(asked[3], scale)
        assert asked[2].tolist() == y.tolist()
    assert len(student.asked) == 1 and len(teacher.asked) == 2


@pytest.mark.parametrize("weighting", ["truncated-snr", "snr+1"])
@pytest.mark.parametrize("N", [1, 2, 5])
def test_the_stochastic_student_learns_jumps_of_two_steps_and_from_the_last_level_of_one(weighting, N):
    i = torch.arange(1, N + 1)
    x, eps, y = draw(N, 2, 2), draw(N, 2, 2, seed=1), torch.arange(N) % 3
    u = torch.linspace(0.1, 0.9, N, dtype=F64)
    student, teacher = (Recorded(lambda *told, k=k: k * scaled_network(*told)) for k in (1.0, 0.8))
    script = Script(uniform=[u], integers=[i], normal=[eps])
    given = {"scales": (0.5, 7.5), "schedule": NARROW, "weighting": weighting, "noise": script}
    value = gd.stochastic_stage_two_loss(student, teacher, x, y, N, **given)
    assert script.spent() and script.high == N
    total = 0.0
    for k in range(N):
        row = slice(k, k + 1)
        scale = 0.5 + 7 * u[row]

        def guess(z, gamma, row=row, scale=scale):
            return x_of(0.8 * scaled_network(z, gamma, y[row], scale), z, gamma)

        # t = (k + 1) / N, and two steps of 1 / N below it
        at, below, end = (NARROW(torch.tensor([(k + 1 - j) / N], dtype=F64)) for j in (0, 1, 2))
        a, s = coefficients(at)
        z = a * x[row] + s * eps[row]
        if k == 0:
            target = guess(z, at)
        else:
            end = torch.tensor([-math.inf], dtype=F64) if k == 1 else end
            z_below = stepped(guess(z, at), z, at, below)
            z_end = stepped(guess(z_below, below), z_below, below, end)
            b, r = coefficients(end)
            target = (z_end - r / s * z) / (b - r / s * a)
        error = x_of(scaled_network(z, at, y[row], scale), z, at) - target
        total += (weights(at, weighting) * error**2).sum().item()
    assert float(value) == pytest.approx(total / x.numel(), rel=1e-9)
    for asked in (*student.asked, *teacher.asked):
        torch.testing.assert_close(asked[3], 0.5 + 7 * u)
        assert asked[2].tolist() == y.tolist()


# Perfect students of a Gaussian pair: the guided guess is affine, and so is every student's


LAWS = {NULL: (-0.2, 1.3), 0: (0.4, 0.9), 1: (0.8, 0.49), 2: (-1.0, 0.6)}
"""Mean and variance by label."""


def gaussian_pair(z, gamma, y):
    """E[v | z] of N(m, v): that of eps is s (z - a m) / d with d = a^2 v + s^2, that of x is m + a v (z - a m) / d."""
    m, v = (per_row(torch.tensor([LAWS[k][j] for k in y.tolist()], dtype=F64), z) for j in (0, 1))
    a, s = (per_row(c, z) for c in coefficients(gamma))
    off = (z - a * m) / (a**2 * v + s**2)
    return a * s * off - s * (m + a * v * off)


def perfect_student(N, first, schedule=pd.SCHEDULE):
    """Of N steps, of rounds that began with the guided pair in `first` steps: what they do from one level to the next.

    An affine map for each level, scale and class, built from DDIM's own formula and never from the losses.
    """

    def student(z, gamma, y, scale):
        rows = []
        for k in range(len(z)):
            at = int(torch.argmin((schedule(torch.arange(1, N + 1) / N) - gamma[k]).abs())) + 1
            table = schedule(torch.arange(first + 1, dtype=F64) / first)
            table[0] = -math.inf
            way = table[(at - 1) * first // N : at * first // N + 1].flip(0)
            moved = z[k : k + 1]
            for a, b in pairwise(way):
                v = guided(gaussian_pair, y[k : k + 1], float(scale[k]), NULL)(moved, a.expand(1))
                moved = stepped(x_of(v, moved, a), moved, a, b)
            (a, s), (b, r) = coefficients(way[0]), coefficients(way[-1])
            x = (moved - r / s * z[k : k + 1]) / (b - r / s * a)
            rows.append((a * z[k : k + 1] - x) / s)
        return torch.cat(rows)

    return student


@pytest.mark.parametrize("N", [1, 2, 4])
def test_the_perfect_student_of_a_round_has_no_loss(N):
    x, y = draw(5, 1), torch.tensor([0, 1, 2, 1, 0])
    student, teacher = perfect_student(N, 2 * N), perfect(gaussian_pair)
    assert gd.stage_two_loss(student, teacher, x, y, N, noise=Noise(2)).item() < 1e-18
    if N > 1:
        assert gd.stage_two_loss(teacher, teacher, x, y, N, noise=Noise(2)).item() > 1e-4


@pytest.mark.parametrize("scale", [1.0, 2.0, 5.0])
def test_rounds_do_not_change_what_a_scale_gives(scale):
    """16 steps of the guided pair, by its student of 4 and of 1: scale 5 is scale 5 after every round."""
    z, y = draw(3, 1), torch.tensor([0, 1, 2])
    all_steps = pd.sample(guided(gaussian_pair, y, scale, NULL), z, 16)
    for N in (4, 1):
        torch.testing.assert_close(gd.sample(perfect_student(N, 16), z, N, y, scale), all_steps, rtol=1e-8, atol=1e-8)
    assert (gd.sample(perfect(gaussian_pair), z, 1, y, scale) - all_steps).abs().max() > 0.3


def test_a_step_count_that_has_no_half_is_refused():
    with pytest.raises(ValueError, match="which has no half of 1 or more steps"):
        list(pd.distill(MLP(1, width=8, depth=1, classes=3, second=True), 6, lambda round: round.student))


# Samplers


@pytest.mark.parametrize("N", [1, 3])
@pytest.mark.parametrize("clip", [None, (-0.5, 0.3)])
def test_the_deterministic_sampler_is_ddim_at_one_evaluation_a_step(N, clip):
    z_1, y, scale = draw(3, 2, 2), torch.tensor([0, 2, 1]), torch.tensor([1.0, 2.5, 4.0], dtype=F64)
    watched = Recorded(scaled_network)
    found = gd.sample(watched, z_1, N, y, scale, schedule=NARROW, clip=clip)
    table = NARROW(torch.arange(N + 1, dtype=F64) / N)
    table[0] = -math.inf
    z = z_1
    for k in range(N, 0, -1):
        x = x_of(scaled_network(z, table[k].expand(3), y, scale), z, table[k])
        x = x if clip is None else x.clamp(*clip)
        z = stepped(x, z, table[k], table[k - 1])
    torch.testing.assert_close(found, z, rtol=1e-10, atol=1e-10)
    assert [asked[1][0].item() for asked in watched.asked] == pytest.approx(table[1:].flip(0).tolist())
    if clip is None:
        preset = gd.sample(scaled_network, z_1, N, y, scale)
        torch.testing.assert_close(preset, gd.sample(scaled_network, z_1, N, y, scale, schedule=cosine(-20.0, 20.0)))


@pytest.mark.parametrize("N", [1, 2, 5])
def test_the_stochastic_sampler_goes_two_steps_down_and_one_up(N):
    z_1, y, scale = draw(3, 2, 2), torch.tensor([0, 2, 1]), torch.tensor([1.0, 2.5, 4.0], dtype=F64)
    noises = [draw(3, 2, 2, seed=k) for k in range(5, 4 + N)]
    watched, script = Recorded(scaled_network), Script(normal=noises)
    found = gd.sample_stochastic(watched, z_1, N, y, scale, schedule=NARROW, noise=script)
    assert script.spent()
    table = NARROW(torch.arange(N + 1, dtype=F64) / N)
    table[0] = -math.inf
    z, asked = z_1, []
    for k in range(N, 1, -1):
        asked.append(table[k].item())
        z = stepped(x_of(scaled_network(z, table[k].expand(3), y, scale), z, table[k]), z, table[k], table[k - 2])
        (a, s), (b, r) = coefficients(table[k - 2]), coefficients(table[k - 1])
        z = b / a * z + (r**2 - (b / a * s) ** 2).sqrt() * noises.pop(0)  # the variance that is missing
    asked.append(table[1].item())
    z = x_of(scaled_network(z, table[1].expand(3), y, scale), z, table[1])
    torch.testing.assert_close(found, z, rtol=1e-9, atol=1e-9)
    assert [told[1][0].item() for told in watched.asked] == pytest.approx(asked) and len(asked) == N


def test_samplers_of_one_step_agree_and_draw_nothing():
    z_1, y = draw(3, 2), torch.tensor([0, 2, 1])
    found = gd.sample_stochastic(scaled_network, z_1, 1, y, 2.0, noise=Given(refuse))
    torch.testing.assert_close(found, gd.sample(scaled_network, z_1, 1, y, 2.0))
    for sampler in (gd.sample, gd.sample_stochastic, gd.encode):
        with pytest.raises(ValueError, match="N must be at least"):
            sampler(scaled_network, z_1, 0, y, 2.0)


@pytest.mark.parametrize(("low", "high"), [(-math.inf, -2.0), (-math.inf, 3.0), (-3.0, -1.0), (-0.5, 4.0), (1.0, 1.0)])
def test_noise_is_added_until_the_marginal_is_that_of_the_level(low, high):
    """Of z = a x + s eps: what is left of x is b x, and the variance of the noise r^2."""
    (a, s), (b, r) = coefficients(low), coefficients(high)
    found = moments(lambda eps, noise: gd.renoise(0.7 * a + s * eps, *levels(low, high), noise=noise), (2,))
    torch.testing.assert_close(found.mean, (0.7 * b).expand(2))
    torch.testing.assert_close(found.cov, r**2 * torch.eye(2, dtype=F64))


def test_little_noise_is_added_right_in_single_precision():
    """Between neighbouring levels: a difference of two variances near 1 loses what is missing, 1e-4 of one."""
    low, high = levels(10.0, 10.0001)
    found = gd.renoise(torch.zeros(2, 1), low, high, noise=Given(torch.ones_like))
    missing = math.sqrt(-math.expm1(-0.0001) / (1 + math.exp(-10.0001)))
    torch.testing.assert_close(found, torch.full((2, 1), missing), rtol=1e-6, atol=0)


def levels(*gammas):
    return tuple(torch.tensor(gamma, dtype=F64) for gamma in gammas)


def test_noise_is_added_row_by_row_and_never_taken_away():
    z, low, high = draw(3, 2, 2), torch.tensor([-4.0, -2.0, 1.0]), torch.tensor([-1.0, -2.0, 3.0])
    whole = gd.renoise(z, low, high, noise=Noise(range(3)))
    for k in range(3):
        row = gd.renoise(z[k : k + 1], low[k], high[k], noise=Noise([k]))
        torch.testing.assert_close(whole[k : k + 1], row)
    torch.testing.assert_close(whole[1], z[1])
    with pytest.raises(ValueError, match="noise can only be added"):
        gd.renoise(z, torch.tensor([-4.0, -1.9, 1.0]), high)


def exact_jumps(m, v, N):
    """The student of N stochastic steps that the ODE itself would teach, for N(m, v) whatever the scale."""
    table = pd.SCHEDULE(torch.arange(N + 1, dtype=F64) / N)
    table[0] = -math.inf

    def student(z, gamma, y, scale):
        k = (table[1:] - gamma[:, None]).abs().argmin(1) + 1
        (a, s), (b, r) = ([per_row(c, z) for c in coefficients(table[j])] for j in (k, (k - 2).clamp_min(0)))
        moved = b * m + ((b**2 * v + r**2) / (a**2 * v + s**2)).sqrt() * (z - a * m)
        x = (moved - r / s * z) / (b - r / s * a)
        return (a * z - x) / s

    return student


@pytest.mark.parametrize("N", [1, 2, 4, 8])
def test_exact_jumps_keep_the_marginal_in_any_number_of_steps(N):
    m, v = 0.7, 0.49
    a, s = coefficients(20.0)

    def sampler(x_T, noise):
        z_1 = a * m + (a**2 * v + s**2).sqrt() * x_T
        y = torch.zeros(len(x_T), dtype=torch.int64)
        return gd.sample_stochastic(exact_jumps(m, v, N), z_1, N, y, 2.0, noise=noise)

    found = moments(sampler)
    assert found.mean.item() == pytest.approx(m, abs=1e-8)
    assert found.std.item() == pytest.approx(math.sqrt(v), rel=1e-8)
    assert found.draws == N


@pytest.mark.parametrize(
    ("N", "stochastic", "deterministic"), [(2, 0.470, 0.470), (4, 0.576, 0.713), (8, 0.718, 0.848)]
)
def test_with_ddims_jumps_the_stochastic_sampler_shrinks_more(N, stochastic, deterministic):
    """A step of DDIM multiplies by (b a v + r s) / (a^2 v + s^2); those of the stochastic sampler are twice as long."""
    v = 0.49
    law = Gaussian(0.0, v)

    def student(z, gamma, y, scale):
        return law.v(z, *coefficients(gamma))

    def spread(sampler):
        return moments(sampler).std.item() / math.sqrt(v)

    def labels(x):
        return torch.zeros(len(x), dtype=torch.int64)

    random = spread(lambda x, noise: gd.sample_stochastic(student, x, N, labels(x), 2.0, noise=noise))
    table = pd.SCHEDULE(torch.arange(N + 1, dtype=F64) / N)
    table[0] = -math.inf

    def factor(k, j):
        (a, s), (b, r) = coefficients(table[k]), coefficients(table[j])
        return float((b * a * v + r * s) / (a**2 * v + s**2))

    variance = 1.0
    for k in range(N, 1, -1):
        (a, s), (b, r) = coefficients(table[k - 2]), coefficients(table[k - 1])
        variance = float((b / a) ** 2 * factor(k, k - 2) ** 2 * variance + r**2 - (b / a * s) ** 2)
    assert random == pytest.approx(math.sqrt(variance / v) * factor(1, 0), rel=1e-9)
    assert random == pytest.approx(stochastic, abs=6e-4)
    assert spread(lambda x, noise: gd.sample(student, x, N, labels(x), 2.0)) == pytest.approx(deterministic, abs=6e-4)


# Encoding


@pytest.mark.parametrize("N", [2, 5])
def test_encoding_is_ddim_upwards_from_data_that_hold_no_noise(N):
    x, y, scale = draw(3, 2, 2), torch.tensor([0, 2, 1]), torch.tensor([1.0, 2.5, 4.0], dtype=F64)
    watched = Recorded(scaled_network)
    found = gd.encode(watched, x, N, y, scale, schedule=NARROW)
    table = NARROW(torch.arange(N + 1, dtype=F64) / N)
    z = coefficients(table[1])[0] * x
    for k in range(1, N):
        guess = x_of(scaled_network(z, table[k].expand(3), y, scale), z, table[k])
        z = stepped(guess, z, table[k], table[k + 1])
    torch.testing.assert_close(found, z, rtol=1e-10, atol=1e-10)
    assert [asked[1][0].item() for asked in watched.asked] == pytest.approx(table[1:-1].tolist())


def test_encoding_needs_two_steps():
    with pytest.raises(ValueError, match="N must be at least 2 steps, not 1"):
        gd.encode(scaled_network, torch.zeros(1, 2), 1, torch.tensor([0]), 2.0)


def test_encoded_for_one_class_and_decoded_for_another_data_go_where_the_ode_takes_them():
    """From N(m, v) to N(n, u): x -> n + sqrt(u / v) (x - m); the error of the way there and back falls as 1 / N."""
    x, y, z = draw(4, 1), torch.tensor([0, 1, 2, 1]), torch.tensor([1, 2, 0, 1])
    student = perfect(gaussian_pair)
    m, v, n, u = (torch.tensor([LAWS[k][j] for k in c.tolist()], dtype=F64)[:, None] for c in (y, z) for j in (0, 1))
    exact = n + (u / v).sqrt() * (x - m)

    def error(N):
        return (gd.sample(student, gd.encode(student, x, N, y, 1.0), N, z, 1.0) - exact).abs().max().item()

    assert error(64) < 0.06 and error(64) / error(128) == pytest.approx(2.0, abs=0.15)
    code = gd.encode(student, x, 256, y, 4.0)
    assert (gd.sample(student, code, 256, y, 4.0) - x).abs().max() < 0.05
    assert (gd.sample(student, code, 256, y, 1.0) - x).abs().max() > 0.3


# Networks


def test_a_network_of_the_collection_is_student_and_starts_a_round_as_its_own_teacher():
    student = MLP(2, width=8, depth=1, classes=3, second=True).double()
    with torch.no_grad():
        for p in student.parameters():
            p.copy_(0.3 * Noise(p.numel())(p))
    z, y = draw(4, 2), torch.tensor([0, 1, 2, 0])
    low, high = (gd.sample(student, z, 4, y, scale) for scale in (1.0, 5.0))
    assert not torch.allclose(low, high)
    one = pd.Round(student, 2)
    values = [gd.stage_two_loss(one.student, one.teacher, z, y, 2, noise=Noise(k)) for k in range(3)]
    sum(values, torch.zeros((), dtype=F64)).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in one.student.parameters())
    assert all(p.grad is None for p in one.teacher.parameters())


def test_a_batch_of_8_equals_two_of_4():
    z, y, scale = draw(8, 2), torch.arange(8) % 3, torch.linspace(1, 5, 8)

    def found(rows):
        noise = Noise(range(8)[rows])
        return gd.sample_stochastic(scaled_network, z[rows], 4, y[rows], scale[rows], noise=noise)

    torch.testing.assert_close(found(slice(0, 8)), torch.cat([found(slice(0, 4)), found(slice(4, 8))]))


@pytest.mark.parametrize("ask", [gd.sample, gd.sample_stochastic, gd.encode])
def test_sampling_and_encoding_keep_no_graph(ask):
    z, y = draw(2, 2).requires_grad_(), torch.tensor([0, 1])
    assert not ask(scaled_network, z, 2, y, 2.0).requires_grad
