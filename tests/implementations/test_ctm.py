"""CTM against exact jumps of a Gaussian, exact moments along gamma, its special cases, and the authors' sampler."""

from __future__ import annotations

import copy
import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from implementations import consistency_models, ctm, edm
from implementations.common.noise import Noise
from implementations.common.rows import per_row
from implementations.verification.impulses import moments
from implementations.verification.oracles import two_modes
from tests.implementations.toys import F64, Given, draw, refuse

M, V = 0.3, 0.25  # data N(M, V)
TABLE = torch.tensor([0.05, 0.2, 0.6, 1.5, 4.0, 9.0], dtype=F64)
"""Levels that rise, no two ratios alike."""


def slope(t, s):
    """How much of a distance from the mean the ODE of N(M, V) leaves from level t to s."""
    return ((V + s**2) / (V + t**2)) ** 0.5


def D(x, sigma):
    return M + per_row(V / (V + sigma**2), x) * (x - M)


def exact(x, t, s):
    return M + per_row(slope(t, s), x) * (x - M)


class Exact(nn.Module):
    """The network within `ctm.Jumps` whose jumps are those of the ODE for N(M, V)."""

    def __init__(self, sigma_data=0.5):
        super().__init__()
        self.sigma_data, self.scale = sigma_data, nn.Parameter(torch.ones((), dtype=F64))

    def forward(self, x, c, y, c_s):
        t, s = (4 * c).exp(), (4 * c_s).exp()
        total = t**2 + self.sigma_data**2
        x = per_row(total.sqrt(), x) * x
        near = 1 - s / t < 1e-12
        share = torch.where(near, V / (V + t**2), (slope(t, s) - s / t) / (1 - s / t).where(~near, torch.ones_like(t)))
        g = M + per_row(share, x) * (x - M)
        return (
            self.scale
            * (g - per_row(self.sigma_data**2 / total, x) * x)
            / per_row(t * self.sigma_data / total.sqrt(), x)
        )


class Lively(nn.Module):
    """A network that depends on x, on both levels and on its weights, on none of them affinely."""

    def __init__(self, seed=0):
        super().__init__()
        self.weight = nn.Parameter(draw(3, seed=seed))
        self.register_buffer("shift", draw(1, seed=seed + 50))

    def forward(self, x, c, y, c_s):
        assert y is None
        a, b, w = self.weight
        return torch.sin(a * x + b * per_row(c, x) + self.shift) + w * torch.cos(2 * per_row(c_s, x) + x)


def gradient(model):
    """Of the one parameter that it has."""
    (weight,) = model.parameters()
    assert weight.grad is not None
    return weight.grad


class Script(Noise):
    """Normal and uniform draws from two lists of tensors, in order."""

    def __init__(self, normal=(), uniform=()):
        super().__init__()
        self.normal, self.uniforms = list(normal), list(uniform)

    def __call__(self, like):
        return self._next(self.normal, like)

    def uniform(self, like):
        return self._next(self.uniforms, like)

    def _next(self, draws, like):
        drawn = torch.as_tensor(draws.pop(0), dtype=like.dtype)
        assert drawn.shape == like.shape
        return drawn


def levels(*indices):
    return tuple(torch.tensor(i) for i in indices)


# T1: the jump


@pytest.mark.parametrize("sigma_data", [0.5, 1.7])
def test_a_jump_is_an_euler_step_with_edms_scalings_around_a_network_told_both_levels(sigma_data):
    seen = []

    class Recorder(nn.Module):
        def forward(self, x, t, y=None, s=None):
            seen.append((x, t, y, s))
            return torch.cos(x)

    x, t, s = draw(3, 2, 2), torch.tensor([0.3, 2.0, 40.0], dtype=F64), torch.tensor([0.3, 0.1, 7.0], dtype=F64)
    model = ctm.Jumps(Recorder(), sigma_data)
    out, g = model(x, t, s), model.g(x, t, s)
    given, c, y, c_s = seen[0]
    T, S = t.view(3, 1, 1), s.view(3, 1, 1)
    total = T**2 + sigma_data**2
    torch.testing.assert_close(given, x / total.sqrt(), rtol=1e-13, atol=0)
    torch.testing.assert_close(c, t.log() / 4, rtol=1e-13, atol=0)
    torch.testing.assert_close(c_s, s.log() / 4, rtol=1e-13, atol=0)
    assert y is None
    expected = sigma_data**2 / total * x + T * sigma_data / total.sqrt() * torch.cos(x / total.sqrt())
    torch.testing.assert_close(g, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(out, S / T * x + (1 - S / T) * expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(out, x + (S - T) * (x - expected) / T, rtol=1e-12, atol=1e-12)  # Euler, g for D
    model.denoise(x, t)
    torch.testing.assert_close(seen[-1][3], seen[-1][1], rtol=0, atol=0)
    model(x.float(), t, s)
    assert {told.dtype for told in seen[-1] if told is not None} == {torch.float32}


def test_sigma_data_is_by_default_edms():
    assert ctm.Jumps(Lively()).inner.sigma_data == 0.5


def test_at_equal_levels_a_jump_is_the_identity_and_g_is_not():
    model, x, t = ctm.Jumps(Lively()), draw(5, 2, 3), torch.logspace(-2, 1.9, 5, dtype=F64)
    assert torch.equal(model(x, t, t), x)
    assert (model.denoise(x, t) - x).abs().max() > 0.1
    assert torch.equal(model.denoise(x, t), model.g(x, t, t))


def test_the_level_that_a_jump_ends_at_reaches_the_network():
    model, x, t = ctm.Jumps(Lively()), draw(4, 2), torch.full((4,), 3.0, dtype=F64)
    a, b = (model.g(x, t, torch.full_like(t, s)) for s in (0.1, 1.0))
    assert (a - b).abs().max() > 1e-2


def test_derivatives_reach_the_points_and_both_levels():
    x, t, s = draw(3, 2), torch.tensor([0.3, 2.0, 40.0], dtype=F64), torch.tensor([0.2, 0.1, 7.0], dtype=F64)
    inputs = tuple(given.requires_grad_() for given in (x, t, s))
    assert torch.autograd.gradcheck(ctm.Jumps(Lively()), inputs)


def test_jumps_of_a_gaussian_compose_and_are_those_of_the_ode():
    model, x = ctm.Jumps(Exact(0.8), 0.8), 3 * draw(6, 2)
    t, u, s = (torch.logspace(*ends, 6, dtype=F64) for ends in ((0, 1.9), (-1, 1), (-2.5, 0)))
    whole = model(x, t, s)
    torch.testing.assert_close(whole, exact(x, t, s), rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(model(model(x, t, u), u, s), whole, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(model.denoise(x, t), D(x, t), rtol=1e-11, atol=1e-11)


def test_g_goes_to_the_denoiser_linearly_in_the_length_of_the_jump():
    model, x, t = ctm.Jumps(Exact()), torch.tensor([[1.4]], dtype=F64), torch.tensor([1.0], dtype=F64)
    gaps = [float((model.g(x, t, (1 - h) * t) - D(x, t)).detach()) for h in (0.1, 0.01, 0.001)]
    # Expanding the slope sqrt((V + s^2) / (V + t^2)) to second order in h: h t^2 V / (2 (V + t^2)^2) of x - M.
    assert gaps[2] == pytest.approx(0.001 * V / (2 * (V + 1) ** 2) * (1.4 - M), rel=2e-3)
    assert [a / b for a, b in pairwise(gaps)] == pytest.approx([10, 10], rel=0.1)


@pytest.mark.parametrize("levels", [(1.0, 1.1), (1.0, 0.0), (1.0, -0.1), (math.nan, 0.1)])
def test_jumps_that_do_not_go_down_are_refused(levels):
    t, s = (torch.tensor([3.0, level], dtype=F64) for level in levels)
    s[0] = 1.0
    for ask in (ctm.Jumps(Lively()), ctm.Jumps(Lively()).g):
        with pytest.raises(ValueError, match="want levels 0 < s <= t"):
            ask(draw(2, 2), t, s)


# T1: the levels of training


def test_levels_from_scripted_draws():
    """Of three steps at most, 1, 2 and 3 have the shares 1/6, 2/6 and 3/6."""
    x_0 = torch.zeros(7, 1)
    below = 1 - 2**-53
    script = Script(
        uniform=[
            [0.0, 0.16, 0.17, 0.49, 0.5, below, 0.17],  # n = 1, 1, 2, 2, 3, 3, 2
            [0.0, below, 0.26, 0.74, 0.0, below, 0.0],  # t among n..5
            [0.5, below, 0.34, 0.0, 0.5, below, 0.0],  # s among 0..u
        ]
    )
    t, u, s = ctm.draw_levels(TABLE, x_0, most=3, noise=script)
    assert t.tolist() == [1, 5, 3, 4, 3, 5, 2]
    assert u.tolist() == [0, 4, 1, 2, 0, 2, 0]
    assert s.tolist() == [0, 4, 0, 0, 0, 2, 0]
    assert t.dtype == u.dtype == s.dtype == torch.int64


@pytest.mark.parametrize("most", [None, 1, 3])
def test_levels_have_the_papers_order_and_the_authors_frequencies(most):
    n = 12_000
    t, u, s = ctm.draw_levels(TABLE, torch.empty(n, 1), most=most, noise=Noise(0))
    assert ((s >= 0) & (s <= u) & (u < t) & (t <= 5)).all()
    steps, top = t - u, most or 5
    total = top * (top + 1) / 2
    for k in range(1, top + 1):
        share = k / total
        rows = steps == k
        assert float(rows.double().mean()) == pytest.approx(share, abs=5 * math.sqrt(share / n))
        for value in range(k, 6):  # t is uniform on k..5
            found = float((t[rows] == value).double().mean())
            assert found == pytest.approx(1 / (6 - k), abs=5 / math.sqrt(n * share))
    assert int(steps.max()) == top
    for value in range(6 - 1):  # s is uniform on 0..u
        rows = u == value
        if rows.any():
            counts = torch.bincount(s[rows], minlength=value + 1) / rows.sum()
            assert counts.tolist() == pytest.approx(
                [1 / (value + 1)] * (value + 1), abs=2.5 / math.sqrt(int(rows.sum()))
            )


def test_a_table_out_of_order_and_too_many_steps_are_named():
    for table in ([0.1], [0.1, 0.1], [1.0, 0.1], [0.0, 1.0], [[0.1, 1.0]]):
        with pytest.raises(ValueError, match="levels must be two or more above 0 that rise"):
            ctm.draw_levels(torch.tensor(table), torch.zeros(2, 1))
    for most in (0, 6):
        with pytest.raises(ValueError, match=rf"most must lie in 1\.\.5 .*, not {most}"):
            ctm.draw_levels(TABLE, torch.zeros(2, 1), most=most)
    ctm.draw_levels(TABLE, torch.zeros(2, 1), most=5)
    assert [k.tolist() for k in ctm.draw_levels(TABLE[:2], torch.zeros(2, 1))] == [[1, 1], [0, 0], [0, 0]]


# T1 and T3: the teacher's way


@pytest.mark.parametrize("solver", ["heun", "euler"])
def test_each_row_is_solved_over_its_own_stretch_one_step_for_each_level(solver):
    law, x = two_modes(), draw(4, 2)
    t, u = levels([5, 3, 2, 4], [2, 2, 2, 0])
    kept, told = x.clone(), []

    def teacher(x, sigma):
        told.extend(sigma.tolist())
        return law.denoise(x, 1.0, sigma)

    found = ctm.solve(teacher, x, TABLE, t, u, solver=solver)
    for row, (a, b) in enumerate(zip(t.tolist(), u.tolist(), strict=True)):
        alone = x[row : row + 1]
        for k in range(a, b, -1):
            alone = edm.step(law.denoiser(), alone, float(TABLE[k]), float(TABLE[k - 1]), solver=solver)
        torch.testing.assert_close(found[row : row + 1], alone, rtol=1e-12, atol=1e-12)
    assert torch.equal(x, kept) and torch.equal(found[2], x[2])
    assert len(told) == (2 if solver == "heun" else 1) * 8  # 3 + 1 + 0 + 4 steps
    assert torch.equal(
        ctm.solve(law.denoiser(), x, TABLE, t, u), ctm.solve(law.denoiser(), x, TABLE, t, u, solver="heun")
    )


@pytest.mark.parametrize(("t", "u"), [([3, 1], [2, 2]), ([3, 1], [2, -1])])
def test_a_way_that_does_not_go_down_the_table_is_named(t, u):
    with pytest.raises(ValueError, match="want indices 0 <= u <= t"):
        ctm.solve(D, draw(2, 1), TABLE, *levels(t, u))
    with pytest.raises(ValueError, match="want indices 0 <= u <= t"):
        ctm.consistency_loss(
            ctm.Jumps(Exact()), ctm.Jumps(Exact()), D, draw(2, 1), TABLE, *levels(t, u, [0, 0]), noise=Noise(0)
        )


def test_solving_keeps_no_graph():
    network = nn.Linear(2, 2).double()
    assert not ctm.solve(lambda x, sigma: network(x), draw(2, 2), TABLE, *levels([2, 3], [0, 1])).requires_grad


# T1: soft consistency

FOUR = (
    torch.tensor([[M + 0.5], [M + 0.5], [M - 0.5], [M - 0.5]], dtype=F64),
    torch.tensor([[1.0], [-1.0]] * 2, dtype=F64),
)
"""x_0 and z of four rows whose means, variances and correlation are those of N(M, V) and N(0, 1)."""


def way_of(solver, t, u):
    """Of the distance from M, what is left after the solver's steps from index t to u."""
    left = 1.0
    for k in range(t, u, -1):
        high, low = TABLE[k].item(), TABLE[k - 1].item()
        rate = high / (V + high**2)
        euler = 1 + (low - high) * rate
        left *= euler if solver == "euler" else 1 + (low - high) / 2 * (rate + euler * low / (V + low**2))
    return left


@pytest.mark.parametrize("solver", ["heun", "euler"])
@pytest.mark.parametrize("at", [(5, 3, 1), (2, 1, 1), (4, 0, 0), (3, 2, 0)])
def test_loss_of_exact_jumps_is_the_teachers_error_of_discretisation(solver, at):
    """Four rows make the expectation exact: (exact - solved)^2, carried on to eps, of the variance V + t^2 at t."""
    x_0, z = FOUR
    model, (t, u, s) = ctm.Jumps(Exact()), (torch.full((4,), k) for k in at)
    value = ctm.consistency_loss(model, model, D, x_0, TABLE, t, u, s, solver=solver, noise=Script([z]))
    start, middle, eps = TABLE[at[0]].item(), TABLE[at[1]].item(), TABLE[0].item()
    gap = slope(start, eps) - way_of(solver, *at[:2]) * slope(middle, eps)
    assert float(value.detach()) == pytest.approx(gap**2 * (V + start**2), rel=1e-9)


def test_the_error_of_exact_jumps_falls_with_the_order_of_the_teachers_solver():
    x_0, z = FOUR
    model, errors = ctm.Jumps(Exact()), []
    for n in (16, 32, 64):
        table = torch.cat([torch.tensor([0.02, 0.1], dtype=F64), edm.schedule(n + 1, 0.5, 5.0)[:-1].flip(0)])
        t, u, s = (torch.full((4,), k) for k in (n + 2, 2, 1))
        value = ctm.consistency_loss(model, model, D, x_0, table, t, u, s, noise=Script([z]))
        errors.append(math.sqrt(float(value.detach())))
    assert [math.log2(a / b) for a, b in pairwise(errors)] == pytest.approx([2, 2], abs=0.1)


T, U, S = levels([5, 3, 2, 4], [4, 1, 1, 2], [2, 1, 0, 0])
LAW = two_modes()


def by_hand(model, target, x_0, z, *, solver: edm.Solver = "heun"):
    """Estimate and goal, with every level written out; rows one by one."""
    estimates, goals = [], []
    for row in range(4):
        t, u, s = (TABLE[index[row]].view(1) for index in (T, U, S))
        x_t = x_0[row : row + 1] + t * z[row : row + 1]
        estimates.append(target(model(x_t, t, s), s, TABLE[:1]))
        x_u = x_t
        for k in range(int(T[row]), int(U[row]), -1):
            x_u = edm.step(LAW.denoiser(), x_u, float(TABLE[k]), float(TABLE[k - 1]), solver=solver)
        goals.append(target(model(x_u, u, s), s, TABLE[:1]))
    return torch.cat(estimates), torch.cat(goals)


@pytest.mark.parametrize("solver", ["heun", "euler"])
def test_loss_compares_both_ways_at_eps_by_the_squared_difference(solver):
    model, target, x_0, z = ctm.Jumps(Lively(0)), ctm.Jumps(Lively(1)), draw(4, 2), draw(4, 2, seed=1)
    value = ctm.consistency_loss(model, target, LAW.denoiser(), x_0, TABLE, T, U, S, solver=solver, noise=Script([z]))
    estimate, goal = by_hand(model, target, x_0, z, solver=solver)
    expected = sum((a - b) ** 2 for a, b in zip(estimate.flatten().tolist(), goal.flatten().tolist(), strict=True)) / 8
    assert float(value.detach()) == pytest.approx(expected, rel=1e-11)
    if solver == "heun":
        by_default = ctm.consistency_loss(model, target, LAW.denoiser(), x_0, TABLE, T, U, S, noise=Script([z]))
        assert float(by_default.detach()) == float(value.detach())


def test_entries_of_images_are_those_of_rows():
    model, target, x_0, z = ctm.Jumps(Lively(0)), ctm.Jumps(Lively(1)), draw(4, 6), draw(4, 6, seed=1)
    rows, images = (
        ctm.consistency_loss(model, target, D, x_0.view(4, *shape), TABLE, T, U, S, noise=Script([z.view(4, *shape)]))
        for shape in ((6,), (1, 2, 3))
    )
    assert float(images.detach()) == pytest.approx(float(rows.detach()), rel=1e-12)


@pytest.mark.parametrize("own", [False, True])
def test_gradients_reach_the_first_jump_alone_through_the_last_one(own):
    """own: the target is the model itself, whose weights still learn nothing from the last jump."""
    model, x_0, z = ctm.Jumps(Lively(0)), draw(4, 2), draw(4, 2, seed=1)
    target = model if own else ctm.Jumps(Lively(1))
    teacher = nn.Linear(2, 2).double()
    noise = Script([z])
    value = ctm.consistency_loss(model, target, LAW.denoiser(), x_0, TABLE, T, U, S, noise=noise)
    value.backward()
    learned = gradient(model)
    assert own or all(p.grad is None for p in target.parameters())
    fixed = copy.deepcopy(target)
    with torch.no_grad():
        _, goal = by_hand(model, fixed, x_0, z)
    for k in range(3):

        def moved(step, k=k):
            other = ctm.Jumps(Lively(0))
            with torch.no_grad():
                next(other.parameters())[k] += step
                return float((by_hand(other, fixed, x_0, z)[0] - goal).square().mean())

        by_differences = (moved(1e-5) - moved(-1e-5)) / 2e-5
        assert abs(by_differences) > 1e-5
        assert float(learned[k]) == pytest.approx(by_differences, rel=1e-4)
    noise = Script([z])
    ctm.consistency_loss(model, target, lambda x, sigma: teacher(x), x_0, TABLE, T, U, S, noise=noise).backward()
    assert all(p.grad is None for p in teacher.parameters())


@pytest.mark.parametrize("solver", ["heun", "euler"])
def test_one_step_and_jumps_to_eps_are_consistency_distillation(solver):
    model, x_0, z = ctm.Jumps(Lively(0)), draw(3, 2), draw(3, 2, seed=1)
    t = torch.tensor([5, 1, 3])

    def f(x, sigma):
        return model(x, sigma, TABLE[:1].expand(len(x)))

    value = ctm.consistency_loss(
        model, ctm.Jumps(Lively(1)), LAW.denoiser(), x_0, TABLE, t, t - 1, 0 * t, solver=solver, noise=Script([z])
    )
    known = consistency_models.distillation_loss(
        f, f, LAW.denoiser(), x_0, TABLE[t], TABLE[t - 1], solver=solver, noise=Script([z])
    )
    assert float(value.detach()) == pytest.approx(float(known.detach()), rel=1e-11)


def test_a_jump_to_where_the_solver_ends_is_full_distillation():
    model, x_0, z = ctm.Jumps(Lively(0)), draw(3, 2), draw(3, 2, seed=1)
    t, u = levels([5, 2, 3], [0, 0, 0])
    value = ctm.consistency_loss(model, ctm.Jumps(Lively(1)), LAW.denoiser(), x_0, TABLE, t, u, u, noise=Script([z]))
    x_t = x_0 + TABLE[t][:, None] * z
    end = ctm.solve(LAW.denoiser(), x_t, TABLE, t, u)
    gap = model(x_t, TABLE[t], TABLE[u]) - end
    assert float(value.detach()) == pytest.approx(float(gap.square().mean().detach()), rel=1e-11)


# T1: denoising


def test_at_the_exact_denoiser_the_loss_is_the_bayes_risk_and_minimal():
    """E (D - x_0)^2 = V t^2 / (V + t^2); rows of four make it exact."""
    x_0, z = FOUR
    model, t = ctm.Jumps(Exact(0.8), 0.8), 0.7
    script = Script([torch.zeros(4), z], [torch.zeros(4), torch.full((4,), 0.5)])
    value = ctm.denoising_loss(model, x_0, uniform=0.0, P_mean=math.log(t), P_std=3.0, noise=script)
    weight = (t**2 + 0.64) / (0.8 * t) ** 2
    assert float(value.detach()) == pytest.approx(weight * V * t**2 / (V + t**2), rel=1e-11)
    value.backward()
    assert abs(float(gradient(model))) < 1e-12


def test_soft_consistency_does_not_see_the_denoiser_and_denoising_sees_nothing_else():
    told = []

    class Recorder(Lively):
        def forward(self, x, c, y, c_s):
            told.extend(zip(c.tolist(), c_s.tolist(), strict=True))
            return super().forward(x, c, y, c_s)

    model, x_0 = ctm.Jumps(Recorder()), draw(4, 2)
    ctm.denoising_loss(model, x_0, noise=Noise(0)).backward()
    assert all(c == c_s for c, c_s in told) and len({c for c, _ in told}) == 4
    assert gradient(model).abs().min() > 1e-3
    told.clear()
    ctm.consistency_loss(model, ctm.Jumps(Lively()), D, x_0, TABLE, T, U, 0 * S, noise=Noise(0))
    assert all(c_s < c for c, c_s in told) and len(told) == 8


def test_levels_of_denoising_are_of_two_kinds_and_errors_are_weighted_as_edms():
    x_0, eps, normal = draw(4, 2, 3), draw(4, 2, 3, seed=1), torch.tensor([-2.0, -0.5, 0.3, 1.0], dtype=F64)
    where, chosen = torch.tensor([0.0, 0.9, 0.1, 0.6], dtype=F64), torch.tensor([0.0, 0.24, 0.25, 0.9], dtype=F64)
    model = ctm.Jumps(Lively(), 0.7)
    options = {"uniform": 0.25, "P_mean": -0.4, "P_std": 1.1, "sigma_min": 0.1, "sigma_max": 20.0, "rho": 3.0}
    script = Script([normal, eps], [where, chosen])
    value = ctm.denoising_loss(model, x_0, **options, reach=0.6, noise=script)
    assert not script.normal and not script.uniforms  # where and whether are drawn apart
    high, low = 20 ** (1 / 3), 0.1 ** (1 / 3)
    t = [high**3, (high + 0.6 * 0.9 * (low - high)) ** 3, math.exp(-0.4 + 1.1 * 0.3), math.exp(-0.4 + 1.1 * 1.0)]
    total = 0.0
    for row in range(4):
        sigma = torch.tensor([t[row]], dtype=F64)
        x_t = x_0[row : row + 1] + t[row] * eps[row : row + 1]
        error = (model.g(x_t, sigma, sigma) - x_0[row : row + 1]).square().mean()
        total += (t[row] ** 2 + 0.49) / (0.7 * t[row]) ** 2 * float(error.detach()) / 4
    assert float(value.detach()) == pytest.approx(total, rel=1e-11)


def test_derivatives_of_denoising_reach_the_data():
    model, x_0 = ctm.Jumps(Lively()), draw(4, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x_0: ctm.denoising_loss(model, x_0, noise=Noise(0)), x_0)


def test_paper_values_are_the_defaults():
    model, x_0 = ctm.Jumps(Lively()), draw(64, 2)
    default = ctm.denoising_loss(model, x_0, noise=Noise(1))
    options = {"uniform": 0.5, "P_mean": -1.2, "P_std": 1.2, "sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0}
    assert torch.equal(default, ctm.denoising_loss(model, x_0, **options, reach=0.7, noise=Noise(1)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"uniform": -0.1},
        {"uniform": 1.1},
        {"reach": -0.1},
        {"reach": 1.1},
        {"sigma_min": 0.0},
        {"sigma_min": 80.0},
        {"sigma_max": 0.001},
    ],
)
def test_levels_of_denoising_out_of_range_are_named(wrong):
    with pytest.raises(ValueError, match=r"want uniform and reach in 0\.\.1 and 0 < sigma_min < sigma_max"):
        ctm.denoising_loss(ctm.Jumps(Lively()), draw(2, 2), **wrong)


@pytest.mark.parametrize("ends", [{"uniform": 0.0, "reach": 0.0}, {"uniform": 1.0, "reach": 1.0}])
def test_the_ends_of_these_ranges_are_allowed(ends):
    assert torch.isfinite(ctm.denoising_loss(ctm.Jumps(Lively()), draw(8, 2), **ends, noise=Noise(0)))


# T1: the balance of the two


def test_balance_is_the_ratio_of_the_gradients_lengths_in_the_last_layer_and_has_none_itself():
    last, other = torch.tensor([[1.0, 2.0]], dtype=F64, requires_grad=True), torch.tensor(3.0, requires_grad=True)
    first, second = (last * torch.tensor([[6.0, 8.0]])).sum() * other, (last**2).sum() / 2 + other
    found = ctm.balance(first, second, last)
    assert not found.requires_grad and found.shape == ()
    assert float(found) == pytest.approx(30 / (math.sqrt(5) + 1e-4), rel=1e-12)
    (first + found * second).backward()  # both graphs are still there
    torch.testing.assert_close(last.grad, torch.tensor([[18.0, 24.0]], dtype=F64) + found * last.detach())
    assert last.grad is not None and other.grad is not None


@pytest.mark.parametrize("shape", [(2, 3), (3, 2, 1, 2)])
def test_all_entries_of_the_last_layer_count_alike_in_the_balance(shape):
    last, rates = draw(*shape).requires_grad_(), [draw(*shape, seed=seed) for seed in (1, 2)]
    first, second = (math.sqrt(sum(entry**2 for entry in rate.flatten().tolist())) for rate in rates)
    one, two = ((rate * last).sum() for rate in rates)
    found = ctm.balance(one, two, last)
    assert float(found) == pytest.approx(first / (second + 1e-4), rel=1e-12)


@pytest.mark.parametrize(("most", "expected"), [({}, 1e4), ({"most": 7.0}, 7.0)])
def test_balance_is_bounded(most, expected):
    last = torch.ones(2, dtype=F64, requires_grad=True)
    assert float(ctm.balance(1e3 * last.sum(), 0 * last.sum(), last, **most)) == expected


# T2: gamma-sampling

SIGMAS = torch.tensor([20.0, 3.0, 1.0, 0.3, 0.05], dtype=F64)
GAMMAS = [0.0, 0.2, 0.5, 0.9, 1.0]


def lower(s, gamma, form, eps):
    """Where a jump towards s ends before noise brings it back."""
    kept = math.sqrt(1 - gamma**2)
    return max(kept * s, eps) if form == "paper" else kept * (s - eps) + eps


@pytest.mark.parametrize("form", ["paper", "code"])
@pytest.mark.parametrize("gamma", GAMMAS)
def test_every_gamma_keeps_the_law_and_forgets_as_much_of_x_T_as_the_levels_say(gamma, form):
    found = moments(lambda z, noise: ctm.sample(exact, z, SIGMAS, gamma=gamma, form=form, noise=noise))
    left, variance, draws = 1.0, 20.0**2, 1
    for t, s in pairwise(SIGMAS.tolist()):
        low = lower(s, gamma, form, 0.05)
        left, variance = left * slope(t, low), slope(t, low) ** 2 * variance + s**2 - low**2
        draws += low < s
    assert float(found.mean) == pytest.approx(M - M * left, abs=1e-12)  # it starts at mean 0, not M
    assert float(found.std) == pytest.approx(math.sqrt(variance), abs=1e-12)
    assert float(found.response[0]) == pytest.approx(20 * left, abs=1e-12)
    assert found.draws == draws == (1 if gamma == 0 else 4)

    def from_the_law(z, noise):
        start = M + math.sqrt(V + 400) * z
        return list(ctm.trajectory(exact, start, SIGMAS, gamma=gamma, form=form, noise=noise))[-1]

    kept = moments(from_the_law)
    assert float(kept.mean) == pytest.approx(M, abs=1e-12)
    assert float(kept.std) == pytest.approx(math.sqrt(V + 0.05**2), abs=1e-12)


def test_memory_of_x_T_falls_with_gamma():
    """Four jumps that each lose what the noise renews; of the deterministic one nothing is lost."""
    found = [
        moments(lambda z, noise, g=g: ctm.sample(exact, z, SIGMAS, gamma=g, noise=noise)).response[0] for g in GAMMAS
    ]
    assert float(found[0]) == pytest.approx(20 * slope(20.0, 0.05), rel=1e-12)
    assert all(a > b for a, b in pairwise(map(float, found)))


@pytest.mark.parametrize("form", ["paper", "code"])
@pytest.mark.parametrize("gamma", [0.0, 0.5])
def test_levels_that_the_model_is_asked_about(gamma, form):
    seen = []

    def model(x, t, s):
        seen.append((x.dtype, t.tolist(), s.tolist()))
        return x

    ctm.sample(model, torch.zeros(2, 1, 2), SIGMAS, gamma=gamma, form=form, noise=Noise(0))
    assert {dtype for dtype, _, _ in seen} == {torch.float32} and len(seen) == 4
    for (_, t, s), (high, to) in zip(seen, pairwise(SIGMAS.tolist()), strict=True):
        assert t == pytest.approx([high] * 2, rel=1e-6)
        assert s == pytest.approx([lower(to, gamma, form, 0.05)] * 2, rel=1e-6)


def test_gamma_zero_draws_nothing_and_one_jump_never_does():
    model = ctm.Jumps(Lively())
    ctm.sample(model, draw(2, 2), SIGMAS, noise=Given(refuse))
    z = draw(3, 2)
    for gamma in GAMMAS:
        out = ctm.sample(model, z, SIGMAS[[0, -1]], gamma=gamma, noise=Given(refuse))
        torch.testing.assert_close(out, model(20 * z, *(SIGMAS[i].expand(3) for i in (0, -1))), rtol=1e-12, atol=0)


@pytest.mark.parametrize("form", ["paper", "code"])
def test_gamma_one_is_the_sampler_of_consistency_models(form):
    model, z = ctm.Jumps(Lively()), draw(5, 2, 2)
    found = ctm.sample(model, z, SIGMAS, gamma=1.0, form=form, noise=Noise(range(5)))
    known = consistency_models.sample(
        lambda x, t: model(x, t, SIGMAS[-1:].expand(len(x))), z, SIGMAS[:-1], eps=0.05, noise=Noise(range(5))
    )
    torch.testing.assert_close(found, known, rtol=1e-11, atol=1e-11)


def test_without_a_floor_the_noise_is_gamma_times_the_level():
    """A model that knows level 0: t~ = sqrt(1 - gamma^2) t, and what comes back is gamma t, as the paper has it."""
    sigmas = torch.tensor([5.0, 2.0, 0.5, 0.0], dtype=F64)
    seen = []

    def model(x, t, s):
        seen.append((float(t[0]), float(s[0])))
        return torch.zeros_like(x)

    states = list(ctm.trajectory(model, draw(1, 1), sigmas, gamma=0.6, noise=Given(torch.ones_like)))
    assert [s for _, s in seen] == pytest.approx([1.6, 0.4, 0.0])
    assert [float(x) for x in states] == pytest.approx([1.2, 0.3, 0.0])
    assert float(ctm.sample(model, draw(1, 1), sigmas, gamma=0.6, noise=Given(torch.ones_like))) == 0


def test_gamma_zero_takes_the_jumps_of_one_path():
    model, x = ctm.Jumps(Lively()), 20 * draw(3, 2)
    states = list(ctm.trajectory(model, x, SIGMAS))
    assert len(states) == 4
    for before, after, (t, s) in zip([x, *states], states, pairwise(SIGMAS), strict=False):
        torch.testing.assert_close(after, model(before, t.expand(3), s.expand(3)), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ctm.sample(model, x / 20, SIGMAS), states[-1], rtol=1e-12, atol=1e-12)
    assert torch.equal(ctm.sample(model, x, SIGMAS), ctm.sample(model, x, SIGMAS, gamma=0.0, form="paper"))


# T5: parity with the authors' sampler


@pytest.mark.parametrize(
    ("gamma", "expected"),
    [(0.3, [0.910687645020927, 0.001046035849264]), (0.8, [1.077749467952564, -0.006719532260697])],
)
def test_the_form_of_the_code_gives_the_numbers_of_the_authors_sampler(gamma, expected):
    """What sample_gamma_multistep_ of sony/ctm, commit 87cca3b, returned for this model, these levels and draws."""
    draws = iter((0.7, -1.1, 0.4))

    def model(x, t, s):
        t, s = t[:, None], s[:, None]
        return torch.sin(0.9 * x) + 0.3 * t.log() + 0.5 * s.cos() + s * x / t

    sigmas = torch.tensor([80.0, 12.0, 2.5, 0.4, 0.002], dtype=F64)
    z = torch.tensor([[5.0, -40.0]], dtype=F64) / 80
    noise = Given(lambda like: torch.full_like(like, next(draws)))
    found = ctm.sample(model, z, sigmas, gamma=gamma, form="code", noise=noise)
    assert found[0].tolist() == pytest.approx(expected, abs=1e-13)
    assert next(draws, None) is None


# T6: invariants


def test_a_batch_of_8_equals_two_of_4_and_arguments_stay():
    model, z = ctm.Jumps(Lively()), draw(8, 1, 3, 3).float()
    kept, sigmas = z.clone(), SIGMAS.clone()
    whole = ctm.sample(model, z, SIGMAS, gamma=0.7, noise=Noise(range(8)))
    halves = [ctm.sample(model, z[i : i + 4], SIGMAS, gamma=0.7, noise=Noise(range(i, i + 4))) for i in (0, 4)]
    torch.testing.assert_close(whole, torch.cat(halves))
    assert torch.equal(z, kept) and torch.equal(SIGMAS, sigmas)
    assert whole.shape == z.shape and not whole.requires_grad
    assert not next(ctm.trajectory(model, z, SIGMAS)).requires_grad


def test_states_stay_as_they_were_though_a_model_returns_what_it_was_given():
    x = draw(3, 2)
    kept, states = x.clone(), ctm.trajectory(lambda x, t, s: x, x, SIGMAS, gamma=0.5, noise=Noise(0))
    yielded = [(state, state.clone()) for state in states]
    assert torch.equal(x, kept) and all(torch.equal(state, then) for state, then in yielded)


@pytest.mark.parametrize("gamma", [-0.1, 1.1, math.nan])
def test_gamma_out_of_range_is_named(gamma):
    with pytest.raises(ValueError, match=rf"gamma must lie in 0\.\.1 .*, not {gamma}"):
        ctm.sample(exact, draw(1, 1), SIGMAS, gamma=gamma)


@pytest.mark.parametrize(
    "sigmas", [[1.0], [1.0, 1.0], [1.0, 0.5, -0.1], [1.0, 2.0], [1.0, -0.1], [1.0, math.nan], [[2.0, 1.0]]]
)
def test_sigmas_that_do_not_fall_are_refused(sigmas):
    with pytest.raises(ValueError, match="sigmas must be two or more levels that fall"):
        list(ctm.trajectory(exact, draw(1, 1), torch.tensor(sigmas)))


def test_an_unknown_form_is_named():
    with pytest.raises(ValueError, match="form must be 'paper' or 'code', not 'other'"):
        ctm.sample(exact, draw(1, 1), SIGMAS, form="other")  # pyright: ignore[reportArgumentType]
