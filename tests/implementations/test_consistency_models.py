"""Consistency models against Gaussian transport, the fixed points of both losses, and an independent sampler."""

from __future__ import annotations

import copy
import math
from itertools import pairwise
from typing import Any, cast

import pytest
import torch
from diffusers.schedulers import scheduling_consistency_models
from torch import nn

from implementations import consistency_models as cm
from implementations import edm
from implementations.common.noise import Noise
from implementations.common.rows import per_row
from implementations.verification.impulses import moments
from tests.implementations.toys import F64, Given, draw, refuse


class Lively(nn.Module):
    """A network that depends on x and on c_noise, neither affinely."""

    def __init__(self, weight: float = 1.3) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight, dtype=F64))

    def forward(self, x, c):
        return torch.sin(self.weight.to(x) * x + 0.7 * per_row(c, x)) + 0.2 * x


class Script(Noise):
    """Draws from a list of tensors, in order."""

    def __init__(self, *draws):
        super().__init__()
        self.draws = list(draws)

    def __call__(self, like):
        drawn = self.draws.pop(0)
        assert drawn.shape == like.shape
        return drawn.to(like)


class Scaled(nn.Module):
    """A model that multiplies by one number at every level, and keeps the levels that it was asked about."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope, self.told = nn.Parameter(torch.tensor(slope, dtype=F64)), []

    def forward(self, x, t):
        self.told.append(t)
        return self.slope * x


def denoiser(m: float, v: float):
    """Of N(m, v) in each entry."""
    return lambda x, t: m + v / (v + per_row(t, x) ** 2) * (x - m)


def exact(m: float, v: float, eps: float = 0.002):
    """Where the ODE takes a point of N(m, v), noised, at the lowest level."""

    def f(x, t):
        return m + ((v + eps**2) / (v + per_row(t, x) ** 2)).sqrt() * (x - m)

    return f


# T1: the boundary, by scalings


@pytest.mark.parametrize(("sigma_data", "eps"), [(0.5, 0.002), (1.7, 0.3), (0.5, 1e-6)])
def test_at_the_lowest_level_f_is_the_identity_whatever_its_network(sigma_data, eps):
    x = draw(5, 2, 3, 3)
    f = cm.ConsistencyModel(Lively(), sigma_data, eps)
    assert torch.equal(f(x, torch.full((5,), eps, dtype=F64)), x)
    assert not torch.allclose(f(x, torch.full((5,), 1.5 * eps + 0.1, dtype=F64)), x)


def test_derivatives_reach_the_points_and_the_levels():
    f = cm.WithTarget(cm.ConsistencyModel(Lively(), 0.6, 0.05))
    x, t = draw(3, 2).requires_grad_(), torch.tensor([0.1, 0.7, 5.0], dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(f, (x, t))


def test_scalings_are_those_of_appendix_c():
    sigma = torch.tensor([0.05, 0.4, 30.0], dtype=F64)
    found = cm.ConsistencyModel(Lively(), 0.7, 0.05).scalings(sigma)
    for i, t in enumerate(sigma.tolist()):
        skip = 0.49 / ((t - 0.05) ** 2 + 0.49)
        out = 0.7 * (t - 0.05) / math.sqrt(0.49 + t**2)
        expected = [skip, out, 1 / math.sqrt(0.49 + t**2), math.log(t) / 4]
        assert [float(c[i]) for c in found] == pytest.approx(expected, rel=1e-13)


def test_network_gets_the_scaled_input_the_level_and_what_else_it_wants():
    seen = []

    class Recorder(nn.Module):
        def forward(self, x, c, y):
            seen.append((x, c, y))
            return torch.ones_like(x)

    x, t, y = draw(2, 3), torch.tensor([0.3, 4.0], dtype=F64), torch.tensor([1, 2])
    out = cm.WithTarget(cm.ConsistencyModel(Recorder(), 0.6, 0.1))(x, t, y)
    given, c, label = seen[0]
    torch.testing.assert_close(given, x / (0.36 + t**2).sqrt()[:, None], rtol=1e-13, atol=0)
    torch.testing.assert_close(c, t.log() / 4)
    assert label is y
    skip, c_out = 0.36 / ((t - 0.1) ** 2 + 0.36), 0.6 * (t - 0.1) / (0.36 + t**2).sqrt()
    torch.testing.assert_close(out, skip[:, None] * x + c_out[:, None], rtol=1e-13, atol=1e-13)


def test_without_a_lowest_level_it_is_edms_denoiser_and_the_defaults_are_the_papers():
    x, t = draw(6, 2), torch.tensor([0.01, 0.1, 0.5, 1.0, 7.0, 80.0], dtype=F64)
    network = Lively()
    torch.testing.assert_close(cm.ConsistencyModel(network, 0.8, 0.0)(x, t), edm.Denoiser(network, 0.8)(x, t))
    f = cm.ConsistencyModel(network)
    assert (f.sigma_data, f.eps, f.network) == (0.5, 0.002, network)


@pytest.mark.parametrize("eps", [-0.1, math.inf, math.nan])
def test_a_lowest_level_out_of_range_is_named(eps):
    with pytest.raises(ValueError, match="eps, the level where f is the identity"):
        cm.ConsistencyModel(Lively(), 0.5, eps)


# T1: levels, pairs


def test_levels_rise_from_eps_to_the_top_evenly_in_the_root():
    found = cm.levels(18)
    assert found.dtype == F64 and found.shape == (18,)
    assert found[[0, -1]].tolist() == pytest.approx([0.002, 80.0], rel=1e-12)
    spacing = (found ** (1 / 7)).diff()
    torch.testing.assert_close(spacing, torch.full((17,), (80 ** (1 / 7) - 0.002 ** (1 / 7)) / 17, dtype=F64))
    assert cm.levels(3, eps=1.0, T=9.0, rho=2.0).tolist() == pytest.approx([1.0, 4.0, 9.0], rel=1e-14)
    assert cm.levels(2, eps=0.1, T=5.0).tolist() == pytest.approx([0.1, 5.0], rel=1e-12)


@pytest.mark.parametrize("N", [1, 0, -3])
def test_fewer_than_two_levels_are_refused(N):
    with pytest.raises(ValueError, match=f"N must be at least 2.*{N}"):
        cm.levels(N)


def test_levels_out_of_order_are_refused():
    with pytest.raises(ValueError, match="want 0 < sigma_min < sigma_max"):
        cm.levels(5, eps=2.0, T=1.0)


def test_every_pair_of_neighbours_is_as_likely_for_each_row():
    n, table = 30_000, torch.tensor([0.1, 0.5, 3.0, 4.0, 20.0], dtype=F64)
    t, r = cm.neighbours(table, torch.empty(n, 1, 2, dtype=F64), noise=Noise(0))
    assert t.shape == r.shape == (n,)
    for low, high in pairwise(table.tolist()):
        share = ((t == high) & (r == low)).double().mean().item()
        assert share == pytest.approx(0.25, abs=5 * math.sqrt(0.25 * 0.75 / n))  # five standard errors


def test_neighbours_take_the_dtype_of_the_data_and_two_levels_leave_no_choice():
    t, r = cm.neighbours(cm.levels(2, eps=0.5, T=2.0), torch.empty(3, 2), noise=Noise(0))
    assert t.dtype == r.dtype == torch.float32
    assert t.tolist() == [2.0] * 3 and r.tolist() == [0.5] * 3


def test_neighbours_are_drawn_from_the_noise_that_is_given():
    table, x_0 = cm.levels(400), draw(8, 2)
    whole = cm.neighbours(table, x_0, noise=Noise(range(8)))
    halves = [cm.neighbours(table, x_0[i : i + 4], noise=Noise(range(i, i + 4))) for i in (0, 4)]
    for found, parts in zip(whole, zip(*halves, strict=True), strict=True):
        assert torch.equal(found, torch.cat(parts))


@pytest.mark.parametrize("table", [[1.0], [], [2.0, 1.0], [1.0, 1.0], [[1.0, 2.0], [1.0, 2.0]]])
def test_a_table_that_does_not_rise_is_refused(table):
    with pytest.raises(ValueError, match="levels must be two or more that rise"):
        cm.neighbours(torch.tensor(table, dtype=F64), draw(3, 2))


def test_a_pair_shares_its_noise():
    x_0, z = draw(3, 1, 2, 2, seed=1), draw(3, 1, 2, 2, seed=2)
    t, r = torch.tensor([1.0, 4.0, 0.3], dtype=F64), torch.tensor([0.5, 0.1, 0.2], dtype=F64)
    x_t, x_r = cm.pair(x_0, t, r, noise=Script(z))
    torch.testing.assert_close(x_t, x_0 + t.view(3, 1, 1, 1) * z, rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(x_r, x_0 + r.view(3, 1, 1, 1) * z, rtol=1e-14, atol=1e-14)
    x_t, x_r = cm.pair(x_0, 2, 0.0, noise=Script(z))
    torch.testing.assert_close(x_t, x_0 + 2 * z)
    assert torch.equal(x_r, x_0)


@pytest.mark.parametrize(("t", "r"), [(1.0, 1.0), (1.0, 2.0), (1.0, -0.1), (math.nan, 0.5)])
def test_a_pair_out_of_order_is_refused_in_any_row(t, r):
    x_0 = draw(3, 2)
    t_rows, r_rows = torch.tensor([3.0, t, 3.0], dtype=F64), torch.tensor([0.1, r, 0.1], dtype=F64)
    for high, low in ((t, r), (t_rows, r_rows)):
        with pytest.raises(ValueError, match="want levels 0 <= r < t"):
            cm.pair(x_0, high, low)


# T1: losses at models whose expectation four rows give exactly: data m +- sqrt(v), noise +-1, all pairs


def four_rows(v: float, *shape: int):
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=F64)
    fill = torch.ones(4, *shape, dtype=F64)
    return (math.sqrt(v) * per_row(signs[:, 0], fill) * fill), (per_row(signs[:, 1], fill) * fill)


def heun(v: float, t: float, r: float) -> float:
    """What Heun's step multiplies x by, for data N(0, v): there the slope is t x / (v + t^2)."""
    euler = 1 + (r - t) * t / (v + t**2)
    return 1 + (r - t) / 2 * (t / (v + t**2) + euler * r / (v + r**2))


def euler(v: float, t: float, r: float) -> float:
    return (v + r * t) / (v + t**2)


@pytest.mark.parametrize("shape", [(1,), (2, 1, 3)])
@pytest.mark.parametrize(("t", "r"), [(1.7, 1.1), (0.3, 0.02)])
def test_consistency_training_has_the_minimum_and_the_floor_of_its_pair(t, r, shape):
    """With slopes a above and b below, the loss is E (a x_t - b x_r)^2."""
    v, b = 0.25, 0.8
    x_0, z = four_rows(v, *shape)
    model = Scaled(b * euler(v, t, r))
    value = cm.training_loss(model, Scaled(b), x_0, t, r, noise=Script(z))
    assert float(value.detach()) == pytest.approx(b**2 * v * (t - r) ** 2 / (v + t**2), rel=1e-12)
    value.backward()
    assert model.slope.grad is not None and abs(float(model.slope.grad)) < 1e-14
    off = Scaled(b * euler(v, t, r) + 0.1)
    more = cm.training_loss(off, Scaled(b), x_0, t, r, noise=Script(z)) - value
    assert float(more.detach()) == pytest.approx(0.01 * (v + t**2), rel=1e-10)


@pytest.mark.parametrize(("solver", "factor"), [("heun", heun), ("euler", euler)])
@pytest.mark.parametrize(("t", "r"), [(1.7, 1.1), (0.3, 0.02)])
def test_distillation_compares_with_where_the_solver_arrives(solver, factor, t, r):
    v, b, a = 0.25, 0.8, 0.7
    x_0, z = four_rows(v, 2)
    teacher = denoiser(0.0, v)
    value = cm.distillation_loss(Scaled(a), Scaled(b), teacher, x_0, t, r, solver=solver, noise=Script(z))
    assert float(value.detach()) == pytest.approx((a - b * factor(v, t, r)) ** 2 * (v + t**2), rel=1e-11)


def test_without_a_word_the_solver_is_heuns_and_the_metric_squared():
    x_0, z = four_rows(0.25, 2)
    args = (Scaled(0.7), Scaled(0.8), denoiser(0.0, 0.25), x_0, 1.7, 1.1)
    said = cm.distillation_loss(*args, solver="heun", metric="l2", weight=1.0, noise=Script(z))
    assert torch.equal(cm.distillation_loss(*args, noise=Script(z)), said)
    short = cm.training_loss(*args[:2], *args[3:], noise=Script(z))
    assert torch.equal(short, cm.training_loss(*args[:2], *args[3:], metric="l2", weight=1.0, noise=Script(z)))


def fixed_point(N: int, v: float, loss) -> float:
    """The slope at T of a model that is affine at each level and minimises the loss of each pair, from eps upwards.

    A squared error is a parabola in the slope: two of its gradients give the bottom.
    """
    b = 1.0
    for r, t in pairwise(cm.levels(N).tolist()):
        gradients = []
        for a in (0.0, 1.0):
            model = Scaled(a)
            gradients.append(float(torch.autograd.grad(loss(model, Scaled(b), t, r), model.slope)[0]))
        b = gradients[0] / (gradients[0] - gradients[1])
    return b


@pytest.mark.parametrize(
    ("kind", "N", "error"),
    [("training", 2, -0.990), ("training", 11, -0.247), ("training", 18, -0.154), ("euler", 18, -0.154)]
    + [("heun", 18, 0.055), ("heun", 40, 0.0098)],
)
def test_what_a_perfect_model_learns_errs_by_its_discretisation(kind, N, error):
    """Relative error of the slope at T for data N(0, 1/4): training is Euler's method; the figures are products over
    the levels of (v + t r) / (v + t^2), and of Heun's factor.
    """
    v = 0.25
    x_0, z = four_rows(v, 1)
    teacher = denoiser(0.0, v)

    def loss(model, target, t, r):
        if kind == "training":
            return cm.training_loss(model, target, x_0, t, r, noise=Script(z))
        return cm.distillation_loss(model, target, teacher, x_0, t, r, solver=kind, noise=Script(z))

    truth = math.sqrt((v + 0.002**2) / (v + 80.0**2))
    found = fixed_point(N, v, loss)
    assert found / truth - 1 == pytest.approx(error, abs=6e-4)
    product = math.prod((heun if kind == "heun" else euler)(v, t, r) for r, t in pairwise(cm.levels(N).tolist()))
    assert found == pytest.approx(product, rel=1e-10)


def test_far_from_the_origin_nothing_is_clipped():
    """N(3, 1/4): at the exact denoiser and slope, the loss is 0 whatever the mean."""
    v, m, t, r = 0.25, 3.0, 1.7, 1.1
    x_0, z = four_rows(v, 2)
    above, below = (lambda k: lambda x, level: m + k * (x - m))(0.8 * heun(v, t, r)), lambda x, s: m + 0.8 * (x - m)
    value = cm.distillation_loss(above, below, denoiser(m, v), x_0 + m, t, r, noise=Script(z))
    assert float(value) < 1e-25


# T1: losses row by row, with three networks that differ, as the formulas of Algorithms 2 and 3


def three():
    return [cm.ConsistencyModel(Lively(w), 0.6, 0.02) for w in (1.3, 0.7, 2.1)]


T, R = torch.tensor([1.0, 4.0, 0.3], dtype=F64), torch.tensor([0.5, 0.1, 0.2], dtype=F64)


def norm(gap, metric):
    return (gap**2).mean() if metric == "l2" else gap.abs().mean()


@pytest.mark.parametrize("metric", ["l2", "l1"])
@pytest.mark.parametrize("shape", [(2,), (1, 2, 3)])
@pytest.mark.parametrize("solver", ["heun", "euler"])
def test_distillation_loss_is_the_papers_row_by_row(metric, shape, solver):
    model, target, teacher = three()
    x_0, z = draw(3, *shape, seed=1), draw(3, *shape, seed=2)
    rows = []
    for i in range(3):
        t, r = T[i : i + 1], R[i : i + 1]
        x_t = x_0[i : i + 1] + t * z[i : i + 1]
        d = (x_t - teacher(x_t, t)) / t
        x_r = x_t + (r - t) * d
        if solver == "heun":
            x_r = x_t + (r - t) * (d + (x_r - teacher(x_r, r)) / r) / 2
        rows.append(norm(model(x_t, t) - target(x_r, r), metric))
    value = cm.distillation_loss(model, target, teacher, x_0, T, R, solver=solver, metric=metric, noise=Script(z))
    assert value.item() == pytest.approx(torch.stack(rows).mean().item(), rel=1e-12)
    weight = torch.tensor([0.5, 2.0, 7.0], dtype=F64)
    options = {"solver": solver, "metric": metric, "weight": weight, "noise": Script(z)}
    value = cm.distillation_loss(model, target, teacher, x_0, T, R, **options)
    assert value.item() == pytest.approx((weight * torch.stack(rows)).mean().item(), rel=1e-12)


@pytest.mark.parametrize("metric", ["l2", "l1"])
@pytest.mark.parametrize("shape", [(2,), (1, 2, 3)])
def test_training_loss_is_the_papers_row_by_row(metric, shape):
    model, target, _ = three()
    x_0, z = draw(3, *shape, seed=1), draw(3, *shape, seed=2)
    rows = []
    for i in range(3):
        t, r, x, n = T[i : i + 1], R[i : i + 1], x_0[i : i + 1], z[i : i + 1]
        rows.append(norm(model(x + t * n, t) - target(x + r * n, r), metric))
    value = cm.training_loss(model, target, x_0, T, R, metric=metric, noise=Script(z))
    assert value.item() == pytest.approx(torch.stack(rows).mean().item(), rel=1e-12)
    weight = torch.tensor([0.5, 2.0, 7.0], dtype=F64)
    value = cm.training_loss(model, target, x_0, T, R, metric=metric, weight=weight, noise=Script(z))
    assert value.item() == pytest.approx((weight * torch.stack(rows)).mean().item(), rel=1e-12)


@pytest.mark.parametrize("distil", [True, False])
def test_gradients_reach_the_model_alone(distil):
    model, target, teacher = three()
    x_0 = draw(3, 2, seed=1)

    def loss(model, target):
        if distil:
            return cm.distillation_loss(model, target, teacher, x_0, T, R, noise=Noise(3))
        return cm.training_loss(model, target, x_0, T, R, noise=Noise(3))

    weight, others = next(model.parameters()), [*target.parameters(), *teacher.parameters()]
    slope, *nothing = torch.autograd.grad(loss(model, target), [weight, *others], allow_unused=True)
    assert abs(slope.item()) > 1e-3 and nothing == [None, None]
    step = 1e-6
    with torch.no_grad():
        weight += step
        ahead = loss(model, target).item()
        weight -= 2 * step
        behind = loss(model, target).item()
        weight += step
    assert slope.item() == pytest.approx((ahead - behind) / (2 * step), rel=1e-6)
    # a target of the same weights, mu = 0, is as if it were a copy of them
    shared, copied = (torch.autograd.grad(loss(model, t), weight)[0] for t in (model, copy.deepcopy(model)))
    assert torch.equal(shared, copied)


def test_only_the_model_is_asked_with_a_graph_behind_it():
    graphs = {}

    def named(name):
        def asked(x, t):
            graphs.setdefault(name, set()).add(torch.is_grad_enabled())
            return 0.5 * x

        return asked

    cm.distillation_loss(named("model"), named("target"), named("teacher"), draw(3, 2), T, R, noise=Noise(0))
    assert graphs == {"model": {True}, "target": {False}, "teacher": {False}}


@pytest.mark.parametrize("solver", ["heun", "euler"])
def test_each_network_is_asked_once_at_its_own_level_and_there_is_one_draw(solver):
    model, target, teacher = Scaled(0.5), Scaled(0.6), Scaled(0.7)
    x_0 = draw(3, 2)
    cm.distillation_loss(model, target, teacher, x_0, T, R, solver=solver, noise=Script(draw(3, 2, seed=1)))
    assert [t.tolist() for t in model.told] == [T.tolist()]
    assert [t.tolist() for t in target.told] == [R.tolist()]
    assert [t.tolist() for t in teacher.told] == [T.tolist(), R.tolist()][: 2 if solver == "heun" else 1]
    model, target = Scaled(0.5), Scaled(0.6)
    cm.training_loss(model, target, x_0, 2, 1, noise=Script(draw(3, 2, seed=1)))
    assert [t.tolist() for t in model.told] == [[2.0] * 3]
    assert [t.tolist() for t in target.told] == [[1.0] * 3]
    assert model.told[0].dtype == target.told[0].dtype == F64


@pytest.mark.parametrize("distil", [True, False])
def test_what_a_loss_cannot_take_is_named(distil):
    model, target, teacher = three()
    first = (model, target, teacher) if distil else (model, target)
    loss = cast(Any, cm.distillation_loss if distil else cm.training_loss)
    with pytest.raises(ValueError, match="metric must be 'l2' or 'l1', not 'lpips'"):
        loss(*first, draw(3, 2), T, R, metric="lpips")
    with pytest.raises(ValueError, match="want levels 0 <= r < t"):
        loss(*first, draw(3, 2), R, T)
    for r in (0.0, torch.tensor([0.1, 0.0, 0.1])):
        with pytest.raises(ValueError, match="must be above 0"):
            loss(*first, draw(3, 2), T, r)
    if distil:
        with pytest.raises(ValueError, match="solver must be"):
            loss(*first, draw(3, 2), T, R, solver="rk4")


# the target, and the schedules of training


class Normed(nn.Module):
    """With a buffer that follows what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(2, 2), nn.BatchNorm1d(2)

    def forward(self, x, t):
        return self.norm(self.linear(x)) + per_row(t, x)


def test_target_is_the_running_average_of_the_weights():
    torch.manual_seed(0)
    both = cm.WithTarget(Normed().double())
    before = copy.deepcopy(both.state_dict())
    for name, value in both.online.state_dict().items():
        assert torch.equal(value, both.target.state_dict()[name])
    assert [p.requires_grad for p in both.target.parameters()] == [False] * 4
    assert [p.requires_grad for p in both.online.parameters()] == [True] * 4
    x, t = draw(5, 2), torch.ones(5, dtype=F64)
    both(x, t).sum().backward()
    with torch.no_grad():
        for p in both.online.parameters():
            p += 1.0
    both.update(0.9)
    for name, p in both.online.named_parameters():
        torch.testing.assert_close(p.detach(), before[f"online.{name}"] + 1.0)
        torch.testing.assert_close(both.target.get_parameter(name), before[f"target.{name}"] + 0.1)
    for name, seen in both.online.named_buffers():
        assert torch.equal(both.target.get_buffer(name), seen)
    assert int(both.target.get_buffer("norm.num_batches_tracked")) == 1
    assert [p.requires_grad for p in both.target.parameters()] == [False] * 4  # no history of updates is kept
    assert not torch.equal(both.target.get_buffer("norm.running_mean"), before["target.norm.running_mean"])
    both.update(0.5)
    torch.testing.assert_close(both.target.get_parameter("linear.bias"), before["target.linear.bias"] + 0.55)
    both.update(1.0)
    torch.testing.assert_close(both.target.get_parameter("linear.bias"), before["target.linear.bias"] + 0.55)
    both.update(0.0)
    assert torch.equal(both.target.get_parameter("linear.bias"), both.online.get_parameter("linear.bias"))
    with torch.no_grad():
        both.online.get_parameter("linear.bias").add_(1.0)
    assert not torch.equal(both.target.get_parameter("linear.bias"), both.online.get_parameter("linear.bias"))
    assert int(both.k) == 4 and both.k.dtype == torch.int64


def test_what_is_called_is_the_trained_model_and_all_of_it_is_in_the_state():
    torch.manual_seed(0)
    both, other = cm.WithTarget(Normed().double().eval()), cm.WithTarget(Normed().double().eval())
    with torch.no_grad():
        for p in both.online.parameters():
            p.mul_(1.5)
    both.update(0.7)
    x, t = draw(5, 2), torch.ones(5, dtype=F64)
    assert torch.equal(both(x, t), both.online(x, t)) and not torch.equal(both(x, t), both.target(x, t))
    assert torch.equal(both.eval()(x, t), both.online(x, t))
    other.load_state_dict(both.state_dict())
    assert torch.equal(other.target(x, t), both.target(x, t)) and torch.equal(other(x, t), both(x, t))
    assert int(other.k) == 1


@pytest.mark.parametrize("training", [True, False])
def test_the_model_that_is_given_is_trained_itself_and_the_target_is_a_copy_in_its_mode(training):
    model = Normed().train(training)
    both = cm.WithTarget(model)
    assert both.online is model and all(p.requires_grad for p in model.parameters())
    assert [m.training for m in both.target.modules()] == [training] * 3


@pytest.mark.parametrize("mu", [-0.1, 1.1, math.nan])
def test_a_decay_out_of_range_is_named(mu):
    with pytest.raises(ValueError, match="mu, the decay of the target"):
        cm.WithTarget(Normed()).update(mu)


def test_number_of_levels_grows_as_in_appendix_c():
    found = [cm.discretisation(k, 1000) for k in (0, 1, 10, 100, 250, 500, 750, 1000)]
    assert found == [2, 6, 16, 48, 76, 107, 131, 151]
    # K = 11^2 - 2^2, so that N^2 grows by 1 a step: roots of 4, 9, 10, 16, 17 and 121 less one, up, and one more
    assert [cm.discretisation(k, 117, s_0=2, s_1=10) for k in (0, 5, 6, 12, 13, 117)] == [2, 3, 4, 4, 5, 11]
    assert [cm.discretisation(k, 10, s_0=4, s_1=6) for k in (0, 10)] == [4, 7]
    assert cm.discretisation(3, 5, s_0=2, s_1=2) == 3  # of 3/5 5 + 4 = 7
    assert [cm.discretisation(k, 1) for k in (0, 1)] == [2, 151]


def test_decay_of_the_target_follows_the_number_of_levels():
    assert [cm.decay(N) for N in (2, 10, 150)] == pytest.approx([0.9, 0.97915, 0.9986], abs=5e-6)
    assert cm.decay(6, s_0=3, mu_0=0.5) == pytest.approx(math.sqrt(0.5), rel=1e-14)
    assert cm.decay(1, s_0=1, mu_0=1.0) == 1.0
    assert cm.decay(1, s_0=1, mu_0=0.3) == pytest.approx(0.3)


@pytest.mark.parametrize("bad", [(-1, 10, 2, 5), (11, 10, 2, 5), (0, 0, 2, 5), (0, 10, 1, 5), (0, 10, 6, 5)])
def test_schedules_out_of_range_are_named(bad):
    k, K, s_0, s_1 = bad
    with pytest.raises(ValueError, match="want 0 <= k <= K"):
        cm.discretisation(k, K, s_0=s_0, s_1=s_1)


@pytest.mark.parametrize(("N", "s_0", "mu_0"), [(0, 2, 0.9), (2, 0, 0.9), (2, 2, 0.0), (2, 2, 1.1)])
def test_a_decay_that_is_none_is_named(N, s_0, mu_0):
    with pytest.raises(ValueError, match="want N and s_0 at least 1"):
        cm.decay(N, s_0=s_0, mu_0=mu_0)


# T2: samplers


def recursion(m: float, v: float, sigmas, eps: float, factor=None):
    """Mean and standard deviation of multistep sampling with the exact f: each step keeps the law of data noised by
    eps, but that the start has mean 0 and not m, and lacks the data's variance.
    """
    mean, var = -m, sigmas[0] ** 2
    for i, s in enumerate(sigmas):
        if i:
            var += s**2 - eps**2
        k = math.sqrt((v + eps**2) / (v + s**2))
        mean, var = k * mean, k**2 * var
    return mean + m, math.sqrt(var)


@pytest.mark.parametrize(
    ("m", "v", "sigmas", "eps"),
    [
        (0.3, 0.25, [80.0], 0.002),
        (0.3, 0.25, [80.0, 0.821], 0.002),
        (0.3, 1e-4, [80.0, 0.02, 0.004], 0.002),
        (-1.0, 0.04, [5.0, 2.0, 0.3, 0.1], 0.1),
        (0.5, 0.04, [5.0, 0.7], 0.0),
    ],
)
def test_multistep_sampling_keeps_the_law(m, v, sigmas, eps):
    levels = torch.tensor(sigmas, dtype=F64)
    found = moments(lambda z, noise: cm.sample(exact(m, v, eps), z, levels, eps=eps, noise=noise))
    mean, std = recursion(m, v, sigmas, eps)
    assert float(found.mean) == pytest.approx(mean, abs=1e-9)
    assert float(found.std) == pytest.approx(std, rel=1e-9)
    assert found.draws == len(sigmas)
    # after a second step hardly anything of the start is left: the law at eps
    if len(sigmas) > 1:
        assert float(found.std) == pytest.approx(math.sqrt(v + eps**2), rel=2e-3)


def test_the_papers_lowest_level_is_the_default_of_all_samplers():
    v, levels = 1e-5, torch.tensor([1.0, 0.003], dtype=F64)
    f, z, y = exact(0.0, v), draw(3, 2), draw(3, 2, seed=5)
    for sampler in (
        lambda **eps: cm.sample(f, z, levels, **eps, noise=Noise(1)),
        lambda **eps: cm.edit(f, y, y > 0, levels, **eps, noise=Noise(1)),
        lambda **eps: cm.from_strokes(f, y, levels, **eps, noise=Noise(1)),
    ):
        assert torch.equal(sampler(), sampler(eps=0.002)) and not torch.equal(sampler(), sampler(eps=0.001))


def test_one_step_is_one_evaluation_and_no_draw():
    f, z = Scaled(0.5), draw(3, 1, 2, 2)
    out = cm.sample(f, z, torch.tensor([80.0]), noise=Given(refuse))
    torch.testing.assert_close(out, 40 * z)
    assert [t.tolist() for t in f.told] == [[80.0] * 3] and f.told[0].dtype == F64


def test_a_last_level_of_eps_changes_nothing():
    f, z = cm.ConsistencyModel(Lively()), draw(4, 2)
    once = cm.sample(f, z, torch.tensor([80.0], dtype=F64))
    again = cm.sample(f, z, torch.tensor([80.0, 0.002], dtype=F64), noise=Noise(0))
    torch.testing.assert_close(again, once, rtol=1e-13, atol=1e-13)


def test_a_last_level_of_eps_may_have_been_rounded_down():
    out = cm.sample(Scaled(1.0), draw(2, 2), torch.tensor([5.0, 0.7], dtype=torch.float32), eps=0.7, noise=Noise(0))
    torch.testing.assert_close(out, 5 * draw(2, 2))


def test_sampling_is_seeded_by_row_and_leaves_its_arguments():
    f, z, sigmas = cm.ConsistencyModel(Lively()), draw(8, 1, 3, 3).float(), torch.tensor([5.0, 2.0, 0.5])
    kept, levels = z.clone(), sigmas.clone()
    whole = cm.sample(f, z, sigmas, noise=Noise(range(8)))
    halves = [cm.sample(f, z[i : i + 4], sigmas, noise=Noise(range(i, i + 4))) for i in (0, 4)]
    torch.testing.assert_close(whole, torch.cat(halves))
    assert torch.equal(z, kept) and torch.equal(sigmas, levels)
    assert whole.dtype == torch.float32 and whole.shape == z.shape and not whole.requires_grad


def test_what_a_model_returns_stays_as_it_was():
    answer, sigmas, y = draw(3, 2), torch.tensor([5.0, 2.0, 0.5], dtype=F64), draw(3, 2, seed=1)
    kept = answer.clone()
    cm.sample(lambda x, t: answer, y, sigmas, noise=Noise(0))
    cm.from_strokes(lambda x, t: answer, y, sigmas, noise=Noise(0))
    for known in (torch.zeros(3, 2, dtype=torch.bool), y > 0):
        cm.edit(lambda x, t: answer, y, known, sigmas, noise=Noise(0))
    assert torch.equal(answer, kept)


SAMPLERS = [
    lambda sigmas, **eps: cm.sample(Scaled(0.5), draw(2, 2), sigmas, **eps),
    lambda sigmas, **eps: cm.edit(Scaled(0.5), draw(2, 2), draw(2, 2) > 0, sigmas, **eps),
    lambda sigmas, **eps: cm.from_strokes(Scaled(0.5), draw(2, 2), sigmas, **eps),
]


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(
    ("sigmas", "eps"),
    [([], 0.002), ([1.0, 2.0], 0.002), ([2.0, 2.0], 0.002), ([2.0, 0.001], 0.002), ([2.0, 0.5], 0.6), ([2.0], -0.1)]
    + [([2.0, 0.0], 0.0), ([math.inf, 1.0], 0.002), ([math.nan], 0.002), ([[2.0, 1.0]], 0.002), (2.0, 0.002)],
)
def test_levels_that_do_not_fall_to_eps_are_refused(sampler, sigmas, eps):
    with pytest.raises(ValueError, match="sigmas must be levels that fall and end at eps"):
        sampler(torch.tensor(sigmas), eps=eps)


# T5: parity


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_parity_with_diffusers(steps, monkeypatch):
    """The peer adds noise of level eps, less eps, after the last step, and keeps its levels in float32."""
    scheduler = scheduling_consistency_models.CMStochasticIterativeScheduler(clip_denoised=False)
    scheduler.set_timesteps(steps)
    network, z, stream = Lively(), draw(5, 2), Noise(7)
    monkeypatch.setattr(
        scheduling_consistency_models, "randn_tensor", lambda shape, **_: stream(torch.empty(shape, dtype=F64))
    )
    x = 80.0 * z
    for t in scheduler.timesteps:
        F = network(scheduler.scale_model_input(x, t), (t / 1000).to(F64).expand(5))
        x = scheduler.step(F, t, x, return_dict=False)[0]
    table = cm.levels(40).flip(0)
    sigmas = table[:: 40 // steps][:steps]
    ours = cm.sample(cm.ConsistencyModel(network), z, sigmas, noise=Noise(7))
    torch.testing.assert_close(ours, x, rtol=0, atol=5e-6)


# editing


def rotation(n: int, seed: int = 0) -> torch.Tensor:
    return torch.linalg.qr(draw(n, n, seed=seed))[0]


def test_editing_is_algorithm_4_in_any_coefficients():
    f, y, Q = cm.ConsistencyModel(Lively(), 0.6, 0.05), draw(4, 6, seed=1), rotation(6)
    known, zs = draw(4, 6, seed=2) > 0, [draw(4, 6, seed=s) for s in (3, 4, 5)]
    transform = cm.Transform(lambda x: x @ Q, lambda a: a @ Q.T)
    sigmas = [4.0, 1.0, 0.3]
    found = cm.edit(f, y, known, torch.tensor(sigmas, dtype=F64), transform=transform, eps=0.05, noise=Script(*zs))
    keep = known.double()
    x = ((y @ Q) * keep) @ Q.T + 4.0 * zs[0]
    for i, s in enumerate(sigmas):
        if i:
            x = x + math.sqrt(s**2 - 0.05**2) * zs[i]
        x = f(x, torch.full((4,), s, dtype=F64))
        x = ((y @ Q) * keep + (x @ Q) * (1 - keep)) @ Q.T
    torch.testing.assert_close(found, x, rtol=1e-12, atol=1e-12)


def test_what_is_unknown_of_the_image_does_not_matter_and_what_is_known_stays():
    f, y, sigmas = cm.ConsistencyModel(Lively()), draw(3, 1, 4, 4), torch.tensor([80.0, 2.0], dtype=F64)
    known = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    known[..., :2, :] = True
    out = cm.edit(f, y, known, sigmas, noise=Noise(1))
    other = cm.edit(f, torch.where(known, y, 7.0), known, sigmas, noise=Noise(1))
    assert torch.equal(out, other) and not out.requires_grad
    assert torch.equal(out[..., :2, :], y[..., :2, :]) and not torch.allclose(out[..., 2:, :], y[..., 2:, :])
    assert torch.equal(cm.edit(f, y, torch.ones_like(known), sigmas), y)


def test_with_nothing_known_editing_is_sampling():
    f, zs = cm.ConsistencyModel(Lively()), [draw(3, 2, seed=s) for s in (1, 2, 3)]
    sigmas = torch.tensor([80.0, 2.0, 0.4], dtype=F64)
    edited = cm.edit(f, draw(3, 2, seed=9), torch.zeros(3, 2, dtype=torch.bool), sigmas, noise=Script(*zs))
    torch.testing.assert_close(edited, cm.sample(f, zs[0], sigmas, noise=Script(*zs[1:])), rtol=1e-13, atol=1e-13)


def test_what_is_known_of_an_independent_coordinate_says_nothing_of_the_other():
    v, sigmas = 0.25, [80.0, 3.0, 0.5]
    y, known = torch.tensor([[0.9, -5.0]], dtype=F64), torch.tensor([True, False])
    levels = torch.tensor(sigmas, dtype=F64)

    def sampler(z, noise):
        first = Script(z)

        class Then(Noise):  # x_T first, and then what the impulses give
            def __call__(self, like):
                return first(like) if first.draws else noise(like)

        return cm.edit(exact(0.0, v), y.expand(len(z), 2), known, levels, noise=Then())

    found = moments(sampler, (2,))
    assert found.mean.tolist() == pytest.approx([0.9, 0.0], abs=1e-9)
    assert found.std.tolist() == pytest.approx([0.0, recursion(0.0, v, sigmas, 0.002)[1]], abs=1e-9)
    assert found.draws == 3


def test_strokes_start_from_the_image_with_noise():
    f, y, zs = cm.ConsistencyModel(Lively(), 0.6, 0.1), draw(3, 1, 2, 2), [draw(3, 1, 2, 2, seed=s) for s in (1, 2)]
    out = cm.from_strokes(f, y, torch.tensor([5.38, 2.24], dtype=F64), eps=0.1, noise=Script(*zs))
    x = f(y + 5.38 * zs[0], torch.full((3,), 5.38, dtype=F64))
    x = f(x + math.sqrt(2.24**2 - 0.01) * zs[1], torch.full((3,), 2.24, dtype=F64))
    torch.testing.assert_close(out, x, rtol=1e-12, atol=1e-12)
    kept = y.clone()
    assert not cm.from_strokes(f, y, torch.tensor([1.0]), noise=Noise(0)).requires_grad and torch.equal(y, kept)


def there_and_back(transform, x):
    """The gradient of a sum of weighed entries, which is the weights."""
    x, weights = x.clone().requires_grad_(), draw(*x.shape, seed=7)
    (found,) = torch.autograd.grad((weights * transform.inverse(transform.forward(x))).sum(), x)
    torch.testing.assert_close(found, weights, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("weights", [(0.2989, 0.587, 0.114), (0.2, 0.3, 0.5)])
def test_first_coefficient_of_colours_is_the_grey_image(weights):
    transform = cm.colours() if weights[0] == 0.2989 else cm.colours(weights)
    x = draw(2, 3, 2, 4)
    a = transform.forward(x)
    grey = sum(w * x[:, c] for c, w in enumerate(weights)) / math.sqrt(sum(w**2 for w in weights))
    torch.testing.assert_close(a[:, 0], grey, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(a.square().sum(1), x.square().sum(1), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(transform.inverse(a), x, rtol=1e-12, atol=1e-12)
    assert a.shape == x.shape and transform.forward(x.float()).dtype == torch.float32
    there_and_back(transform, x)


@pytest.mark.parametrize("p", [2, 3])
def test_first_coefficient_of_patches_is_their_mean(p):
    x = draw(2, 2, 2 * p, 3 * p)
    transform = cm.patches(p)
    a = transform.forward(x)
    means = nn.functional.avg_pool2d(x, p)
    torch.testing.assert_close(a[:, :, ::p, ::p], p * means, rtol=1e-12, atol=1e-12)
    energy = nn.functional.avg_pool2d(x.square(), p)
    torch.testing.assert_close(nn.functional.avg_pool2d(a.square(), p), energy, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(transform.inverse(a), x, rtol=1e-12, atol=1e-12)
    assert a.shape == x.shape and transform.inverse(a.float()).dtype == torch.float32
    there_and_back(transform, x)


def test_colours_and_resolution_are_filled_in_around_what_is_known():
    f, sigmas = cm.ConsistencyModel(Lively()), torch.tensor([80.0, 2.0], dtype=F64)
    y = draw(2, 1, 4, 4).expand(2, 3, 4, 4)
    grey = torch.zeros(3, 1, 1, dtype=torch.bool)
    grey[0] = True
    out = cm.edit(f, y, grey, sigmas, transform=cm.colours(), noise=Noise(0))
    weights = torch.tensor([0.2989, 0.587, 0.114], dtype=F64).view(3, 1, 1)
    torch.testing.assert_close((weights * out).sum(1), (weights * y).sum(1), rtol=1e-11, atol=1e-11)
    assert not torch.allclose(out[:, 0], out[:, 1])
    coarse = torch.zeros(4, 4, dtype=torch.bool)
    coarse[::2, ::2] = True
    out = cm.edit(f, y, coarse, sigmas, transform=cm.patches(2), noise=Noise(0))
    pool = nn.functional.avg_pool2d
    torch.testing.assert_close(pool(out, 2), pool(y, 2), rtol=1e-11, atol=1e-11)
    assert not torch.allclose(out, y)


def test_transforms_that_do_not_exist_are_named():
    with pytest.raises(ValueError, match="at least 2 pixels wide, not 1"):
        cm.patches(1)
    with pytest.raises(ValueError, match="multiples of 3"):
        cm.patches(3).forward(draw(1, 1, 6, 4))
    with pytest.raises(ValueError, match="multiples of 2"):
        cm.patches(2).forward(draw(1, 1, 5, 4))
    with pytest.raises(ValueError, match="the first weight of grey"):
        cm.colours((0.0, 0.5, 0.5))
