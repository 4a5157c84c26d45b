"""Progressive distillation against algebra that holds for any network, exact laws, and numpy line by line."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import nn

from implementations import progressive_distillation as pd
from implementations.common.mlp import MLP
from implementations.common.noise import Noise
from implementations.common.rows import per_row
from implementations.lab import checkpoint
from implementations.vdm import alpha_sigma
from implementations.verification.impulses import moments
from implementations.verification.oracles import GaussianMixture, line
from tests.implementations.toys import F64, Given, draw, lively

FIRST, LAST = math.atan(math.exp(-10)), math.atan(math.exp(10))
"""Angles of the schedule's ends: tan = sigma / alpha = exp(gamma / 2)."""


def bent(t):
    """A schedule from -4 to 2 in which no two steps are alike."""
    return -4 + 6 * (0.3 * t + 0.7 * t**2)


def angle(gamma):
    """That whose cosine is alpha and whose sine is sigma, in numpy."""
    return np.arctan(np.exp(np.asarray(gamma) / 2))


def guess(z, gamma):
    """`lively`, in numpy, and the x that it means: what v-prediction returns, written out."""
    gamma = np.asarray(gamma).reshape(-1, *[1] * (z.ndim - 1))
    v = np.sin(1.3 * z + 0.05 * gamma) + 0.2 * z
    return np.cos(angle(gamma)) * z - np.sin(angle(gamma)) * v


def exact(law: GaussianMixture) -> pd.VModel:
    return lambda z, gamma: law.v(z, (-gamma).sigmoid().sqrt(), gamma.sigmoid().sqrt())


def exact_gaussian(m: float, sd: float) -> pd.VModel:
    """E[alpha eps - sigma x | z] for x ~ N(m, sd^2): all of it is linear in z - alpha m."""

    def v(z, gamma):
        alpha, sigma = (per_row(level.sqrt(), z) for level in ((-gamma).sigmoid(), gamma.sigmoid()))
        off = (z - alpha * m) / (alpha**2 * sd**2 + sigma**2)
        return alpha * sigma * off - sigma * (m + alpha * sd**2 * off)

    return v


def perfect(teacher: pd.VModel, N: int, schedule=pd.SCHEDULE) -> pd.VModel:
    """The student that has learned its target exactly, at its own N levels: no network, the target itself as v."""
    table = pd.levels(2 * N, schedule)

    def student(z, gamma):
        i = 2 * int((table[2::2] - gamma[0]).abs().argmin()) + 2
        assert abs(float(table[i] - gamma[0])) < 1e-9
        x = pd.target(teacher, z, table[i], table[i - 1], table[i - 2])
        alpha, sigma = alpha_sigma(table[i], z)
        return (alpha * z - x) / sigma

    return student


class Recorder:
    """A network that keeps what it was told."""

    def __init__(self):
        self.levels, self.states = [], []

    def __call__(self, z, gamma):
        self.levels.append(gamma)
        self.states.append(z)
        return lively(z, gamma)


# T1: levels and parametrisation


@pytest.mark.parametrize("N", [1, 4, 7])
def test_levels_turn_the_angle_evenly_and_begin_with_the_data(N):
    gamma = pd.levels(N)
    assert gamma.shape == (N + 1,) and gamma.dtype == F64 and gamma[0] == -math.inf
    expected = FIRST + (LAST - FIRST) * np.arange(1, N + 1) / N
    np.testing.assert_allclose(angle(gamma[1:].numpy()), expected, rtol=1e-12)
    alpha, sigma = alpha_sigma(gamma[0], torch.empty(1, 1, dtype=F64))
    assert alpha == 1 and sigma == 0


def test_levels_of_another_schedule():
    np.testing.assert_allclose(pd.levels(3, bent)[1:], bent(np.array([1 / 3, 2 / 3, 1.0])), rtol=1e-12)
    assert pd.levels(3, bent)[0] == -math.inf


def test_v_is_the_speed_in_the_angle_and_denoising_undoes_it():
    x, eps, gamma = draw(5, 2, 3), draw(5, 2, 3, seed=1), torch.tensor([-20.0, -3.0, 0.0, 1.5, 20.0], dtype=F64)
    v, phi, h = pd.velocity(x, gamma, eps), angle(gamma.numpy()).reshape(5, 1, 1), 1e-5

    def z(phi):
        return np.cos(phi) * x.numpy() + np.sin(phi) * eps.numpy()

    np.testing.assert_allclose(v.numpy(), (z(phi + h) - z(phi - h)) / (2 * h), rtol=0, atol=1e-9)
    found = pd.denoise(lambda state, level: v, torch.from_numpy(z(phi)), gamma)
    torch.testing.assert_close(found, x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("level", [torch.tensor(1.5, dtype=F64), torch.tensor([1.5, -2.0], dtype=F64)])
def test_a_network_is_told_a_level_for_each_row_in_the_dtype_of_its_input(level):
    seen = Recorder()
    found = pd.denoise(seen, torch.ones(2, 3), level)
    assert seen.levels[0].dtype == torch.float32 and found.dtype == torch.float32
    assert seen.levels[0].tolist() == level.expand(2).tolist()


# T1: weights and losses


def test_weights_are_errors_of_eps_x_and_v():
    """For any guess of x the errors of eps = (z - alpha x) / sigma and of v = (alpha z - x) / sigma follow."""
    gamma = torch.tensor([-7.0, -1.0, 0.0, 2.0, 9.0], dtype=F64)
    alpha, sigma = alpha_sigma(gamma, draw(5, 1))
    z, x, found = (draw(5, 1, seed=k) for k in (1, 2, 3))
    of_x = (x - found).square()
    of_eps = ((z - alpha * x) / sigma - (z - alpha * found) / sigma).square()
    of_v = ((alpha * z - x) / sigma - (alpha * z - found) / sigma).square()
    torch.testing.assert_close(pd.weight(gamma)[:, None] * of_x, torch.maximum(of_x, of_eps), rtol=1e-10, atol=0)
    torch.testing.assert_close(pd.weight(gamma, "snr+1")[:, None] * of_x, of_v, rtol=1e-10, atol=0)
    torch.testing.assert_close(of_v, of_x + of_eps, rtol=1e-10, atol=0)


def test_no_level_weighs_nothing():
    ends = torch.tensor([-20.0, 20.0], dtype=F64)
    for weighting in ("truncated-snr", "snr+1"):
        np.testing.assert_allclose(pd.weight(ends, weighting), [math.exp(20), 1], rtol=1e-8)
    assert pd.weight(torch.zeros(2, 3, dtype=F64)).shape == (2, 3)


@pytest.mark.parametrize(
    ("weighting", "weigh"), [("truncated-snr", lambda snr: np.maximum(snr, 1)), ("snr+1", lambda snr: snr + 1)]
)
def test_the_weighted_error_written_out(weighting, weigh):
    z, x, gamma = draw(4, 2, 3), draw(4, 2, 3, seed=1), torch.tensor([-3.0, -0.5, 0.5, 6.0], dtype=F64)
    each = ((guess(z.numpy(), gamma) - x.numpy()) ** 2).mean((1, 2))
    value = pd.weighted_error(lively, z, gamma, x, weighting=weighting)
    assert float(value) == pytest.approx((weigh(np.exp(-gamma.numpy())) * each).mean(), rel=1e-12)


@pytest.mark.parametrize("schedule", [None, bent])
@pytest.mark.parametrize("weighting", [None, "snr+1"])
def test_the_teachers_loss_written_out(schedule, weighting):
    x, again = draw(6, 2, 3, seed=1), Noise(5)
    options = {k: v for k, v in {"schedule": schedule, "weighting": weighting}.items() if v is not None}
    value = pd.loss(lively, x, **options, noise=Noise(5))
    t = again.uniform(torch.empty(6, dtype=F64)).numpy()
    gamma = 2 * np.log(np.tan(FIRST + (LAST - FIRST) * t)) if schedule is None else bent(t)
    phi = angle(gamma).reshape(6, 1, 1)
    z = np.cos(phi) * x.numpy() + np.sin(phi) * again(x).numpy()
    snr = np.exp(-gamma)
    weight = np.maximum(snr, 1) if weighting is None else snr + 1
    expected = (weight * ((guess(z, gamma) - x.numpy()) ** 2).mean((1, 2))).mean()
    assert float(value) == pytest.approx(expected, rel=1e-9)


def test_snr_plus_one_is_the_plain_error_of_v():
    x, again = draw(6, 3, seed=1), Noise(2)
    value = pd.loss(lively, x, weighting="snr+1", noise=Noise(2))
    gamma = pd.SCHEDULE(again.uniform(torch.empty(6, dtype=F64)))
    alpha, sigma = alpha_sigma(gamma, x)
    eps = again(x)
    error = lively(alpha * x + sigma * eps, gamma) - pd.velocity(x, gamma, eps)
    torch.testing.assert_close(value, error.square().mean(), rtol=1e-8, atol=0)


def test_losses_of_float32_draw_their_times_in_float64():
    asked = []

    class Asked(Noise):
        def uniform(self, like):
            asked.append(like.dtype)
            return super().uniform(like)

    value = pd.loss(lively, draw(3, 2).float(), noise=Asked(0))
    assert asked == [F64] and value.dtype == torch.float32


# T1: one step, its inverse, and the target


def test_a_step_turns_by_the_angle_between_the_levels():
    """z at phi - d is cos d z - sin d v, for whatever v."""
    z, v = draw(4, 2, 3), draw(4, 2, 3, seed=1)
    gamma, after = (torch.tensor(values, dtype=F64) for values in ([20.0, 3.0, 0.1, -2.0], [3.0, -1.0, -20.0, -9.0]))
    d = torch.from_numpy(angle(gamma) - angle(after))[:, None, None]
    found = pd.step(lambda state, level: v, z, gamma, after)
    torch.testing.assert_close(found, d.cos() * z - d.sin() * v, rtol=0, atol=1e-12)
    to_data = pd.step(lambda state, level: v, z, gamma, torch.tensor(-math.inf, dtype=F64))
    torch.testing.assert_close(to_data, pd.denoise(lambda state, level: v, z, gamma), rtol=0, atol=1e-15)


@pytest.mark.parametrize("after", [-math.inf, -6.0, 0.5])
def test_what_a_step_implies_is_the_x_it_was_made_with(after):
    z, gamma, after = draw(4, 2, 3), torch.tensor([1.0, 2.0, 5.0, 20.0], dtype=F64), torch.tensor(after, dtype=F64)
    x = pd.denoise(lively, z, gamma)
    torch.testing.assert_close(pd.implied(z, pd.step(lively, z, gamma, after), gamma, after), x, rtol=0, atol=1e-10)


@pytest.mark.parametrize("schedule", [pd.SCHEDULE, bent])
@pytest.mark.parametrize("N", [1, 2, 4, 64])
def test_one_step_with_the_target_is_two_of_the_teachers(N, schedule):
    table = pd.levels(2 * N, schedule)
    i = torch.tensor([2, 2 * N, 2 * (N // 2) or 2])
    z, gamma, middle, after = draw(3, 2, 3), table[i], table[i - 1], table[i - 2]
    twice = pd.step(lively, pd.step(lively, z, gamma, middle), middle, after)
    x = pd.target(lively, z, gamma, middle, after)
    alpha, sigma = alpha_sigma(gamma, z)
    once = pd.step(lambda state, level: (alpha * z - x) / sigma, z, gamma, after)
    torch.testing.assert_close(once, twice, rtol=0, atol=1e-12)


def test_the_target_is_a_weighted_mean_of_the_teachers_two_guesses():
    """With rho = sigma / alpha: its weights are (rho_0 - rho_1) rho_2 / (rho_0 rho_1) and (rho_1 - rho_2) / rho_1."""
    gamma, middle, after = (
        torch.tensor(values, dtype=F64)
        for values in ([9.0, 1.0, 0.0, -2.0], [1.0, 0.0, -3.0, -4.0], [0.0, -5.0, -4.0, -math.inf])
    )
    z = draw(4, 2, 3)
    first = pd.denoise(lively, z, gamma)
    second = pd.denoise(lively, pd.step(lively, z, gamma, middle), middle)
    rho_0, rho_1, rho_2 = ((level / 2).exp()[:, None, None] for level in (gamma, middle, after))
    weight_1, weight_2 = (rho_0 - rho_1) * rho_2 / (rho_0 * rho_1), (rho_1 - rho_2) / rho_1
    expected = (weight_1 * first + weight_2 * second) / (weight_1 + weight_2)
    found = pd.target(lively, z, gamma, middle, after)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)
    torch.testing.assert_close(found[-1], second[-1], rtol=0, atol=1e-12)  # at the data end, and only there
    assert (found - second)[:-1].abs().flatten(1).max(1).values.min() > 0.01


def test_the_target_takes_one_level_for_all_rows():
    z, levels = draw(3, 2), torch.tensor([2.0, 0.0, -1.0], dtype=F64)
    each = [level.expand(3) for level in levels]
    torch.testing.assert_close(pd.target(lively, z, *levels), pd.target(lively, z, *each), rtol=0, atol=1e-14)


def test_the_target_is_not_clipped():
    """Data at 3, far from [-1, 1]: the exact teacher's guesses are there, and so is what they imply."""
    table = pd.levels(8)
    x = pd.target(exact_gaussian(3.0, 1e-3), draw(4, 1), table[[2, 4, 6, 8]], table[[1, 3, 5, 7]], table[[0, 2, 4, 6]])
    torch.testing.assert_close(x, torch.full_like(x, 3.0), rtol=0, atol=0.02)


def test_the_target_of_a_gaussian_teacher():
    """A step keeps K (z - alpha m), K = (a_s a_t v + s_s s_t) / (a_t^2 v + s_t^2), about alpha_s m."""
    m, v, z = 0.7, 0.49, draw(3, 1)
    table = pd.levels(6, bent)
    angles = np.append(0.0, angle(table[1:].numpy()))
    state, i = z.numpy(), 4

    def K(t, s):
        return (math.cos(s) * math.cos(t) * v + math.sin(s) * math.sin(t)) / (math.cos(t) ** 2 * v + math.sin(t) ** 2)

    for t, s in ((angles[i], angles[i - 1]), (angles[i - 1], angles[i - 2])):
        state = K(t, s) * (state - math.cos(t) * m) + math.cos(s) * m
    ratio = math.sin(angles[i - 2]) / math.sin(angles[i])
    expected = (state - ratio * z.numpy()) / (math.cos(angles[i - 2]) - ratio * math.cos(angles[i]))
    found = pd.target(exact_gaussian(m, v**0.5), z, *(table[k].expand(3) for k in (i, i - 1, i - 2)))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-11)


@pytest.mark.parametrize("weighting", [None, "snr+1"])
@pytest.mark.parametrize("schedule", [None, bent])
@pytest.mark.parametrize("N", [1, 3])
def test_the_distillation_loss_written_out(N, schedule, weighting):
    """Another network for a teacher than for a student, a level of its own for each row, in numpy."""
    x, again = draw(8, 2, 3, seed=1), Noise(7)
    options = {k: v for k, v in {"schedule": schedule, "weighting": weighting}.items() if v is not None}

    def teacher(z, gamma):
        return lively(z, gamma) * 0.8 + 0.1

    value = pd.distillation_loss(lively, teacher, x, N, **options, noise=Noise(7))
    i = again.integers(1, N, x).numpy()

    def phi(t):
        t = np.asarray(t).reshape(-1, 1, 1)
        within = FIRST + (LAST - FIRST) * t if schedule is None else angle(bent(t))
        return np.where(t < 1e-9, 0.0, within)

    def taught(z, at):
        gamma = 2 * np.log(np.tan(at))
        return np.cos(at) * z - np.sin(at) * (0.8 * (np.sin(1.3 * z + 0.05 * gamma) + 0.2 * z) + 0.1)

    t, middle, after = phi(i / N), phi(i / N - 0.5 / N), phi(i / N - 1 / N)
    z = np.cos(t) * x.numpy() + np.sin(t) * again(x).numpy()
    state = z
    for at, to in ((t, middle), (middle, after)):
        state = np.cos(to) * taught(state, at) + np.sin(to) / np.sin(at) * (state - np.cos(at) * taught(state, at))
    ratio = np.sin(after) / np.sin(t)
    target = (state - ratio * z) / (np.cos(after) - ratio * np.cos(t))
    snr = np.tan(t) ** -2.0
    weight = np.maximum(snr, 1) if weighting is None else snr + 1
    error = guess(z, 2 * np.log(np.tan(t)).flatten()) - target
    assert float(value) == pytest.approx((weight * error**2).mean(), rel=1e-9)
    assert len(set(i)) == min(N, 3)


def test_student_and_teacher_are_told_the_same_levels():
    """The teacher those of t and of the middle, the student that of t alone: as numbers, not as steps of one's own."""
    student, teacher = Recorder(), Recorder()
    x = torch.zeros(200, 1, dtype=F64)
    pd.distillation_loss(student, teacher, x, 4, noise=Noise(0))
    assert len(student.levels) == 1 and len(teacher.levels) == 2
    assert torch.equal(student.levels[0], teacher.levels[0]) and torch.equal(student.states[0], teacher.states[0])
    table = pd.levels(8)
    i = torch.searchsorted(table, student.levels[0])
    assert sorted(set(i.tolist())) == [2, 4, 6, 8]
    assert torch.equal(table[i], student.levels[0]) and torch.equal(table[i - 1], teacher.levels[1])


def test_levels_stay_in_float64_for_data_in_float32():
    """Here float32 cannot tell the teacher's two levels apart, 5 and 5 + 5e-8, and a table in it would not fall."""
    x = draw(3, 2).float()
    value = pd.distillation_loss(lively, lively, x, 1, schedule=lambda t: 5 + 1e-7 * t, noise=Noise(0))
    assert value.dtype == torch.float32 and value.isfinite()


def test_every_level_of_the_student_is_met_as_often():
    seen = Recorder()
    pd.distillation_loss(seen, lively, torch.zeros(4000, 1, dtype=F64), 4, noise=Noise(3))
    _, counts = seen.levels[0].unique(return_counts=True)
    assert len(counts) == 4 and (counts - 1000).abs().max() < 5 * math.sqrt(4000 * 3 / 16)


def test_only_the_student_learns():
    student, teacher = nn.Linear(2, 2).double(), nn.Linear(2, 2).double()
    x = draw(16, 2).requires_grad_()
    value = pd.distillation_loss(lambda z, g: student(z), lambda z, g: teacher(z), x, 2, noise=Noise(0))
    value.backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in student.parameters())
    assert not pd.target(lambda z, g: teacher(z), x, *torch.tensor([1.0, 0.0, -1.0], dtype=F64)).requires_grad
    assert pd.step(lambda z, g: teacher(z), x, *torch.tensor([1.0, 0.0], dtype=F64)).requires_grad


def test_the_students_gradient_is_that_of_its_error_alone():
    """No path leads through the target, though the student could be its own teacher."""
    z, gamma = draw(6, 1), torch.full((6,), 0.4, dtype=F64)
    a = torch.tensor(0.3, dtype=F64, requires_grad=True)
    x = pd.target(lambda z, g: a * z, z, gamma, gamma - 1, gamma - 2)
    pd.weighted_error(lambda z, g: a * z, z, gamma, x).backward()
    alpha, sigma = (float(v) for v in alpha_sigma(gamma[:1], z[:1]))
    error = (alpha - sigma * 0.3) * z - x
    assert a.grad is not None
    assert float(a.grad) == pytest.approx(float((2 * error * -sigma * z).mean()), rel=1e-10)


def test_four_rows_are_the_expected_loss_of_a_gaussian_and_the_perfect_student_has_none():
    """x = m +- sd and eps = +-1 have the moments of the law: what an affine student has to learn is exact there."""
    m, sd, N = 0.7, 0.6, 2
    teacher = exact_gaussian(m, sd)
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=F64)

    class Script(Given):
        def integers(self, low, high, like):
            assert (low, high) == (1, N)
            return torch.full((len(like),), i)

    table = pd.levels(2 * N)
    for i in (1, 2):
        student = perfect(teacher, N)
        offset = student(torch.zeros(1, 1, dtype=F64), table[2 * i][None])
        slope = student(torch.ones(1, 1, dtype=F64), table[2 * i][None]) - offset
        weights = [v.clone().requires_grad_() for v in (slope, offset)]
        value = pd.distillation_loss(
            lambda z, g, w=weights: w[0] * z + w[1],
            teacher,
            m + sd * signs[:, :1],
            N,
            noise=Script(lambda like: signs[:, 1:]),
        )
        value.backward()
        assert float(value.detach()) < 1e-20
        assert all(w.grad is not None and float(w.grad.abs()) < 1e-9 for w in weights)


def test_classes_come_in_by_closures():
    """Each row has its own label: the loss of all is the mean over the labels' rows."""
    x, y = draw(6, 2), torch.tensor([0, 1, 2, 0, 1, 2])

    def of_class(y):
        return lambda z, gamma: lively(z, gamma) + per_row(0.3 * y, z)

    together = pd.distillation_loss(of_class(y), of_class(y + 1), x, 4, noise=Noise(range(6)))
    alone = [
        pd.distillation_loss(of_class(y[k : k + 1]), of_class(y[k : k + 1] + 1), x[k : k + 1], 4, noise=Noise([k]))
        for k in range(6)
    ]
    torch.testing.assert_close(together, torch.stack(alone).mean(), rtol=1e-12, atol=0)


# T2: exact laws of whole chains


@pytest.mark.parametrize("schedule", [pd.SCHEDULE, bent])
def test_perfect_students_end_where_16_steps_of_the_teacher_do(schedule):
    """For whatever network: each round is exact, so nothing is lost on the way from 16 steps to one."""
    z_1, student = draw(3, 2), lively
    end = pd.sample(lively, z_1, 16, schedule=schedule)
    for N in pd.halvings(16):
        student = perfect(student, N, schedule)
        torch.testing.assert_close(pd.sample(student, z_1, N, schedule=schedule), end, rtol=0, atol=1e-9)


def test_a_halved_chain_keeps_the_spread_that_one_step_of_the_teacher_loses():
    m, sd = 0.3, 0.7
    teacher, student = exact_gaussian(m, sd), exact_gaussian(m, sd)

    def law(model, N):
        found = moments(lambda z_1, noise: pd.sample(model, z_1, N), (1,))
        assert found.draws == 1  # z_1: sampling draws nothing
        return float(found.mean), float(found.std) / sd

    kept = [law(teacher, N)[1] for N in (1, 2, 4, 8, 16, 32, 64)]
    np.testing.assert_allclose(kept, [3e-5, 0.470, 0.713, 0.848, 0.921, 0.960, 0.980], atol=6e-4)
    for N in pd.halvings(64):
        student = perfect(student, N)
    assert law(student, 1) == pytest.approx(law(teacher, 64), abs=1e-10)


@pytest.mark.parametrize("N", [1, 2, 5, 40])
def test_steps_shrink_a_unit_gaussian_by_the_cosine_of_their_angle(N):
    """v = 1: K is the cosine of the angle turned, so N steps keep 1 - pi^2 / 8 N: order one, with this constant."""
    found = moments(lambda z_1, noise: pd.sample(exact_gaussian(0.0, 1.0), z_1, N), (1,))
    turn = (LAST - FIRST) / N
    assert float(found.std) == pytest.approx(math.cos(turn) ** (N - 1) * math.cos(turn + FIRST), abs=1e-12)
    if N == 40:
        assert (1 - float(found.std)) * N == pytest.approx(math.pi**2 / 8, rel=0.02)


def test_a_point_is_found_in_one_step():
    x = pd.sample(exact_gaussian(-1.2, 1e-6), draw(4, 1), 1)
    torch.testing.assert_close(x, torch.full_like(x, -1.2), rtol=0, atol=1e-4)


# T5: an independent implementation


@pytest.mark.parametrize("clip", [None, (-0.4, 0.6)])
@pytest.mark.parametrize("N", [1, 4, 12])
def test_sampling_agrees_with_diffusers(N, clip):
    """Its grid of 12 steps is t = 1/12 .. 1; its samples are clipped about 0 alone, so here by hand."""
    scheduler = DDIMScheduler(
        num_train_timesteps=12, clip_sample=False, set_alpha_to_one=True, timestep_spacing="trailing",
        prediction_type="v_prediction",
    )  # fmt: skip
    scheduler.alphas_cumprod = (-pd.levels(12)[1:]).sigmoid()
    scheduler.final_alpha_cumprod = torch.ones((), dtype=F64)
    scheduler.set_timesteps(N)
    z_1 = draw(6, 3)
    z = z_1
    for t in scheduler.timesteps.tolist():
        gamma = pd.levels(12)[t + 1]
        v = lively(z, gamma.expand(6))
        if clip is not None:
            alpha, sigma = alpha_sigma(gamma, z)
            v = (alpha * z - (alpha * z - sigma * v).clamp(*clip)) / sigma
        z = scheduler.step(v, t, z, return_dict=False)[0]
    torch.testing.assert_close(pd.sample(lively, z_1, N, clip=clip), z, rtol=0, atol=1e-10)


# T6: invariants, rounds and errors


def test_sampling_visits_the_levels_from_noise_down_once_each():
    seen, z_1 = Recorder(), draw(2, 1)
    kept = z_1.clone()
    pd.sample(seen, z_1, 3, schedule=bent)
    expected = [[bent(t)] * 2 for t in (1.0, 2 / 3, 1 / 3)]
    np.testing.assert_allclose([level.tolist() for level in seen.levels], expected, rtol=1e-12)
    assert torch.equal(z_1, kept)


def test_sampling_ends_on_the_guess_and_keeps_no_graph():
    seen = Recorder()
    x = pd.sample(seen, draw(2, 2), 2)
    torch.testing.assert_close(x, pd.denoise(lively, seen.states[-1], seen.levels[-1]), rtol=0, atol=1e-15)
    layer = nn.Linear(2, 2)
    assert not pd.sample(lambda z, gamma: layer(z), torch.zeros(1, 2), 2).requires_grad


def test_single_precision_survives_where_there_is_no_signal():
    """alpha is 4.5e-5 at t = 1, where a predicted eps would be divided by it: v is not."""
    z_1 = draw(50, 2)
    for N in (1, 4):
        once = pd.sample(lively, z_1.float(), N)
        assert once.dtype == torch.float32
        torch.testing.assert_close(once.double(), pd.sample(lively, z_1, N), rtol=0, atol=1e-5)


def test_halvings_lead_from_the_teachers_count_to_the_last():
    assert pd.halvings(64) == [32, 16, 8, 4, 2, 1]
    assert pd.halvings(2) == [1]
    assert pd.halvings(8192, 4) == [4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4]
    assert pd.halvings(24, 3) == [12, 6, 3]


@pytest.mark.parametrize(("N", "last", "stuck"), [(25, 1, 25), (24, 1, 3), (12, 2, 3), (20, 4, 5), (8, 3, 4)])
def test_counts_that_do_not_halve_are_named(N, last, stuck):
    with pytest.raises(ValueError, match=f"N = {N} steps halved lead to {stuck}, which has no half"):
        pd.halvings(N, last)


@pytest.mark.parametrize(("N", "last"), [(1, 1), (4, 4), (4, 8), (4, 0), (0, 1), (-2, 1)])
def test_a_single_step_has_no_half(N, last):
    with pytest.raises(ValueError, match="a single step has no half"):
        pd.halvings(N, last)


@pytest.mark.parametrize("N", [0, -1])
def test_counts_below_one_are_named(N):
    calls = (
        lambda: pd.levels(N),
        lambda: pd.sample(lively, torch.zeros(1, 1), N),
        lambda: pd.distillation_loss(lively, lively, torch.zeros(1, 1), N),
        lambda: pd.Round(nn.Linear(1, 1), N),
    )
    for call in calls:
        with pytest.raises(ValueError, match="N must be at least 1 step"):
            call()


def test_unknown_weighting_is_named():
    with pytest.raises(ValueError, match=r"weighting must be 'truncated-snr' or 'snr\+1', not 'snr'"):
        pd.weight(torch.zeros(1), "snr")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "levels", [(0.0, 1.0, -1.0), (1.0, -1.0, 0.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0), (-1.0, 0.0, 1.0)]
)
def test_levels_that_do_not_fall_are_refused(levels):
    good = torch.tensor([3.0, 2.0, 1.0], dtype=F64)
    rows = torch.stack([good, torch.tensor(levels, dtype=F64)], dim=1)
    with pytest.raises(ValueError, match="levels must fall"):
        pd.target(lively, torch.zeros(2, 1, dtype=F64), *rows)


class Net(nn.Module):
    """A network with dropout."""

    def __init__(self):
        super().__init__()
        self.mlp, self.dropout = MLP(2, width=8, depth=1), nn.Dropout(0.5)

    def forward(self, z, gamma):
        return self.dropout(self.mlp(z, gamma))


def awake(seed=0):
    net = Net()
    for k, p in enumerate(net.parameters()):
        p.data += 0.3 * Noise(seed + k)(p.data)
    return net


def test_a_round_starts_with_a_copy_and_leaves_the_teacher_alone():
    net = awake().eval().requires_grad_(False)
    kept = copy.deepcopy(net.state_dict())
    round_ = pd.Round(net, 4).train()
    assert round_.N == 4
    for name, value in kept.items():
        assert torch.equal(round_.student.state_dict()[name], value)
        assert torch.equal(round_.teacher.state_dict()[name], value)
    assert all(p.requires_grad for p in round_.student.parameters())
    assert not any(p.requires_grad for p in round_.teacher.parameters())
    assert round_.student.training and not round_.teacher.training
    round_(draw(32, 2).float(), noise=Noise(0)).backward()
    torch.optim.SGD(round_.student.parameters(), 0.1).step()
    for name, value in kept.items():
        assert torch.equal(net.state_dict()[name], value)
        assert torch.equal(round_.teacher.state_dict()[name], value)
    moved = [not torch.equal(round_.student.state_dict()[name], value) for name, value in kept.items()]
    assert any(moved) and not any(p.requires_grad for p in net.parameters())


def test_a_teacher_that_still_learns_is_not_stopped_by_a_round():
    net = awake()
    round_ = pd.Round(net, 2)
    assert net.training and all(p.requires_grad for p in net.parameters())
    assert not any(p.requires_grad for p in round_.teacher.parameters())
    assert round_.student.training and not round_.teacher.training and not round_.eval().student.training
    assert round_.train() is round_ and round_.train(False) is round_ and not round_.student.training


def test_the_loss_of_a_round_is_that_of_its_student_by_its_teacher():
    round_, x = pd.Round(awake(), 4).eval().double(), draw(16, 2)
    round_.student.load_state_dict(awake(9).double().state_dict())
    for options in ({}, {"schedule": bent, "weighting": "snr+1"}):
        found = round_(x, **options, noise=Noise(3))
        other = pd.distillation_loss(round_.student, round_.teacher, x, 4, **options, noise=Noise(3))
        swapped = pd.distillation_loss(round_.teacher, round_.student, x, 4, **options, noise=Noise(3))
        torch.testing.assert_close(found, other, rtol=0, atol=0)
        assert abs(float(found.detach() - swapped)) > 1e-3


def test_a_checkpoint_without_its_teacher_is_named(tmp_path):
    round_, path = pd.Round(awake(), 4), tmp_path / "round.safetensors"
    whole = round_.state_dict()
    checkpoint.save(path, {k: v for k, v in whole.items() if k.startswith("student.")}, {})
    with pytest.raises(checkpoint.CheckpointError, match=r"does not fit this model: teacher\.\S+ is missing"):
        checkpoint.load_weights(pd.Round(awake(), 4), checkpoint.load(path)[0], path)
    checkpoint.save(path, whole, {})
    other = pd.Round(awake(5), 4)
    checkpoint.load_weights(other, checkpoint.load(path)[0], path)
    x = draw(8, 2).float()
    torch.testing.assert_close(other.eval()(x, noise=Noise(1)), round_.eval()(x, noise=Noise(1)))


def test_the_student_of_a_round_is_the_teacher_of_the_next():
    first, rounds = nn.Linear(1, 1), []
    students = [nn.Linear(1, 1) for _ in range(3)]

    def fit(round_):
        rounds.append(round_)
        return students[len(rounds) - 1]

    found = list(pd.distill(first, 16, fit, last=2))
    assert [N for N, _ in found] == [r.N for r in rounds] == [8, 4, 2]
    assert [student for _, student in found] == students
    for round_, teacher in zip(rounds, [first, *students], strict=False):
        assert torch.equal(round_.teacher.weight, teacher.weight) and torch.equal(round_.student.weight, teacher.weight)


def test_rounds_go_down_to_one_step_and_are_refused_before_any_is_trained():
    assert [N for N, _ in pd.distill(nn.Linear(1, 1), 4, lambda round_: round_.student)] == [2, 1]

    def fit(round_):
        raise AssertionError("no round may be trained")

    with pytest.raises(ValueError, match="has no half"):
        next(pd.distill(nn.Linear(1, 1), 12, fit))


def test_rounds_do_not_shrink_a_mixture_on_the_line():
    """Not affine: one step of the perfect student is 8 steps of the exact teacher, and one of the teacher is not."""
    teacher = student = exact(line())
    z_1 = torch.linspace(-2, 2, 9, dtype=F64)[:, None]
    for N in pd.halvings(8):
        student = perfect(student, N)
    end = pd.sample(teacher, z_1, 8)
    torch.testing.assert_close(pd.sample(student, z_1, 1), end, rtol=0, atol=1e-9)
    assert (pd.sample(teacher, z_1, 1) - end).abs().max() > 1


def test_the_implied_x_has_a_derivative_in_where_the_step_leads():
    """At gamma = 0 and -log 3, where alpha and sigma are sqrt(1/2) both, and sqrt(3)/2 and 1/2."""
    z, z_next = draw(2, 3), draw(2, 3, seed=1).requires_grad_()
    gamma = torch.tensor([0.0, -math.log(3)], dtype=F64)
    x = pd.implied(z, z_next, gamma[0], gamma[1])
    (slope,) = torch.autograd.grad(x.sum(), z_next)
    torch.testing.assert_close(slope, torch.full_like(slope, 2 / (math.sqrt(3) - 1)), rtol=1e-12, atol=0)
