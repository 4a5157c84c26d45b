"""iCT against closed forms: its metric, its curriculum, its pairs of levels, and the gradient of its loss."""

from __future__ import annotations

import contextlib
import copy
import math

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
import torch
from torch import nn

from implementations import consistency_models, ict
from implementations.common.noise import Noise
from implementations.common.rows import per_row
from tests.implementations.toys import F64, Given, draw


class Scripted(Noise):
    """Uniform numbers from a tensor, once; whoever asks for others fails."""

    def __init__(self, u):
        super().__init__()
        self.u, self.asked = u, 0

    def __call__(self, like):
        raise AssertionError("only uniform numbers are given")

    def uniform(self, like):
        assert like.dtype == F64, "what picks one of a thousand levels must not be rounded to float32"
        assert like.shape == self.u.shape
        self.asked += 1
        assert self.asked == 1
        return self.u


class Lively(nn.Module):
    """A network that depends on x and on t, neither affinely, and keeps what it was asked, and how."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor(1.3, dtype=F64)), nn.Parameter(torch.tensor(0.2, dtype=F64))
        self.asked = []

    def forward(self, x, t):
        self.asked.append((x.detach(), t, torch.is_grad_enabled()))
        return torch.sin(self.a * x + 0.7 * per_row(t, x)) + self.b * x


# T1: the metric


def test_the_width_is_0_03_for_small_images_and_grows_with_the_root_of_their_size():
    assert ict.huber_width(3 * 32 * 32) == pytest.approx(0.03, abs=1e-4)
    for d, c in ((1, 0.00054), (2, 0.000763675), (64, 0.00432), (3 * 64 * 64, 0.0598597), (3 * 256 * 256, 0.2394387)):
        assert ict.huber_width(d) == pytest.approx(c, rel=1e-6)


def test_the_metric_by_hand_and_by_that_of_scipy():
    """sqrt(3^2 + 4^2 + 12^2) = 13.  scipy's is c times ours."""
    x, y = torch.tensor([[3.0, 4.0], [1.0, 1.0]], dtype=F64), torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=F64)
    assert ict.pseudo_huber(x, y, 12.0).tolist() == pytest.approx([1.0, 0.0], abs=1e-14)
    x, y = draw(5, 3, seed=1), draw(5, 3, seed=2)
    distance = np.linalg.norm(x.numpy() - y.numpy(), axis=1)
    for c in (0.01, 0.7, 5.0):
        theirs = scipy.special.pseudo_huber(c, distance) / c
        np.testing.assert_allclose(ict.pseudo_huber(x, y, c).numpy(), theirs, rtol=1e-9)


def test_the_metric_is_one_norm_of_a_row_not_a_mean_over_its_entries():
    """64 differences of 0.05 are a norm of 0.4; each for itself is 0.0459."""
    x = torch.zeros(2, 1, 8, 8, dtype=F64)
    found = ict.pseudo_huber(x, x + 0.05)
    assert found.shape == (2,)
    assert found.tolist() == pytest.approx([math.sqrt(0.16 + 0.00432**2) - 0.00432] * 2, rel=1e-12)
    assert found.tolist() == pytest.approx([0.3957] * 2, abs=5e-5)


def test_the_metric_takes_its_width_from_the_size_of_a_row():
    x, y = draw(3, 2, 3, 4), 1e-3 * draw(3, 2, 3, 4, seed=1)
    default = ict.pseudo_huber(x, x + y)
    torch.testing.assert_close(default, ict.pseudo_huber(x, x + y, 0.00054 * math.sqrt(24)), rtol=1e-12, atol=0)
    torch.testing.assert_close(default, ict.pseudo_huber(y.flatten(1), 0 * y.flatten(1)), rtol=1e-9, atol=0)


def test_the_metric_is_a_square_within_its_width_and_a_norm_beyond():
    x = torch.tensor([[0.6, 0.8]], dtype=F64)
    assert ict.pseudo_huber(1e-3 * x, 0 * x, 1.0).item() == pytest.approx(0.5e-6, rel=1e-6)
    assert ict.pseudo_huber(1e3 * x, 0 * x, 1.0).item() == pytest.approx(1e3 - 1, rel=1e-6)


@pytest.mark.parametrize(("c", "least"), [(3.0, -0.638), (1.0, -0.777), (0.3, -0.924), (0.03, -0.992)])
def test_its_minimiser_lies_between_the_mean_and_the_median(c, least):
    """Of 0.8 at -1 and 0.2 at 1: the mean is -0.6, the median -1.  Where the slopes cancel, by a root of scipy's."""

    def slope(a):
        return 0.8 * (a + 1) / math.hypot(a + 1, c) - 0.2 * (1 - a) / math.hypot(1 - a, c)

    root = scipy.optimize.brentq(slope, -1, 1, xtol=1e-14)
    assert root == pytest.approx(least, abs=5e-4)
    a = torch.tensor([[root], [root]], dtype=F64, requires_grad=True)
    risk = torch.tensor([0.8, 0.2], dtype=F64) @ ict.pseudo_huber(a, torch.tensor([[-1.0], [1.0]], dtype=F64), c)
    assert torch.autograd.grad(risk, a)[0].sum().item() == pytest.approx(0, abs=1e-10)


def test_the_metric_has_a_gradient_in_both_its_arguments_also_where_they_agree():
    x, y = draw(2, 3, seed=1).requires_grad_(), draw(2, 3, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: ict.pseudo_huber(x, y, 0.4), (x, y))
    same = x.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(ict.pseudo_huber(same, x.detach()).sum(), same)
    assert torch.equal(slope, torch.zeros_like(slope))


def test_a_metric_of_other_shapes_or_without_a_width_is_refused():
    x = draw(4, 3)
    with pytest.raises(ValueError, match="one shape"):
        ict.pseudo_huber(x, x[:1])
    with pytest.raises(ValueError, match="one shape"):
        ict.pseudo_huber(x, x[:, :1])
    for c in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="c must be above 0"):
            ict.pseudo_huber(x, x, c)
    with pytest.raises(ValueError, match="at least 1"):
        ict.huber_width(0)


# T1: the curriculum


def test_the_curriculum_doubles_every_fifty_thousand_of_the_papers_steps():
    """log2(128) + 1 = 8 stages."""
    expected = {0: 11, 49_999: 11, 50_000: 21, 100_000: 41, 150_000: 81, 199_999: 81, 200_000: 161, 399_999: 1281}
    for k, N in {**expected, 349_999: 641, 350_000: 1281, 400_000: 1281}.items():
        assert ict.discretisation(k, 400_000) == N


def test_the_last_stage_takes_what_the_others_leave_over():
    """100 / 8 = 12.5: stages of 12 steps, the eighth of 16."""
    found = [ict.discretisation(k, 100) for k in range(100)]
    assert [found.count(N) for N in (11, 21, 41, 81, 161, 321, 641, 1281)] == [12] * 7 + [16]
    assert found == sorted(found)


def test_the_curriculum_between_other_ends():
    """floor(20 / 3) = 6 and floor(50 / (log2(6) + 1)) = 13; floor(150 / 10) = 15 and floor(1000 / 4.907) = 203."""
    found = [ict.discretisation(k, 50, s_0=3, s_1=20) for k in (0, 12, 13, 25, 26, 38, 39, 50)]
    assert found == [4, 4, 7, 7, 13, 13, 21, 21]
    assert [ict.discretisation(k, 1000, s_1=150) for k in (202, 203, 406, 609, 811, 812)] == [11, 21, 41, 81, 81, 151]
    assert [ict.discretisation(k, 100, s_0=3, s_1=20) for k in (26, 27)] == [4, 7]  # not 20 / 3, whose log2 is more
    assert [ict.discretisation(k, 9, s_0=5, s_1=5) for k in (0, 8, 9)] == [6, 6, 6]
    assert [ict.discretisation(k, 2, s_0=1, s_1=2) for k in (0, 1, 2)] == [2, 3, 3]


def test_a_curriculum_that_cannot_be_is_refused():
    assert [ict.discretisation(k, 8) for k in range(8)] == [11, 21, 41, 81, 161, 321, 641, 1281]
    with pytest.raises(ValueError, match="too few"):
        ict.discretisation(0, 7)
    for k, K, s_0, s_1 in ((-1, 100, 10, 1280), (101, 100, 10, 1280), (0, 100, 0, 1280), (0, 100, 10, 9)):
        with pytest.raises(ValueError, match="want 0 <= k <= K"):
            ict.discretisation(k, K, s_0=s_0, s_1=s_1)


# T1: pairs of levels


def test_probabilities_of_eleven_levels():
    P = ict.probabilities(consistency_models.levels(11))
    expected = [0.0626, 0.1817, 0.2455, 0.2135, 0.1424, 0.0806, 0.0411, 0.0196, 0.0089, 0.0040]
    np.testing.assert_allclose(P.numpy(), expected, atol=5e-5)


@pytest.mark.parametrize(("P_mean", "P_std"), [(-1.1, 2.0), (0.4, 0.7), (-2.0, 1.3)])
def test_probabilities_are_the_share_of_a_log_normal_law_that_lies_between(P_mean, P_std):
    table = torch.tensor([0.01, 0.3, 0.5, 2.0, 7.0], dtype=F64)
    mass = np.diff(scipy.stats.norm.cdf(np.log(table.numpy()), P_mean, P_std))
    P = ict.probabilities(table, P_mean=P_mean, P_std=P_std)
    np.testing.assert_allclose(P.numpy(), mass / mass.sum(), rtol=1e-9)


def test_probabilities_where_the_law_has_little():
    """Of levels that hold 4 % of it, and 1e-9 of it."""
    for table in ([0.3, 0.31, 0.35], [50_000.0, 60_000.0, 80_000.0]):
        mass = np.diff(scipy.stats.norm.sf(-np.log(table), 1.1, 2.0))
        found = ict.probabilities(torch.tensor(table, dtype=F64))
        np.testing.assert_allclose(found.numpy(), mass / mass.sum(), rtol=1e-5)


def test_levels_from_0_on_leave_nothing_out_below():
    table = torch.tensor([0.0, 0.3, 5.0], dtype=F64)
    mass = np.diff(scipy.stats.norm.cdf([-np.inf, math.log(0.3), math.log(5.0)], -1.1, 2.0))
    np.testing.assert_allclose(ict.probabilities(table).numpy(), mass / mass.sum(), rtol=1e-12)


def test_many_levels_are_drawn_around_the_middle_of_the_law_not_of_the_table():
    """The mean of log t is -1.08, near -1.1; were all pairs as likely, 0.38."""
    table = consistency_models.levels(1281)
    P, log_t = ict.probabilities(table), table[1:].log()
    assert (P @ log_t).item() == pytest.approx(-1.083, abs=5e-4)
    assert log_t.mean().item() == pytest.approx(0.376, abs=5e-4)


def test_neighbours_are_drawn_by_their_probabilities_from_one_uniform_number_each():
    table = torch.tensor([0.1, 0.3, 0.7, 2.0], dtype=F64)
    P = np.diff(scipy.stats.norm.cdf(np.log(table.numpy()), -0.5, 0.8))
    first, second = (P / P.sum()).cumsum()[:2]
    u = [second + 1e-9, 0.0, first + 1e-9, 1 - 2**-53, first - 1e-9, second - 1e-9]  # in no order
    x_0 = torch.zeros(6, 2, dtype=torch.float32)
    law = {"P_mean": -0.5, "P_std": 0.8}
    t, r = ict.neighbours(table, x_0, **law, noise=Scripted(torch.tensor(u, dtype=F64)))
    assert t.tolist() == pytest.approx([2.0, 0.3, 0.7, 2.0, 0.3, 0.7]) and t.dtype == torch.float32
    assert r.tolist() == pytest.approx([0.7, 0.1, 0.3, 0.7, 0.1, 0.3]) and r.dtype == torch.float32


def test_a_pair_of_no_probability_is_never_drawn():
    """Also where the number drawn is exactly 0, or falls on an edge."""
    table = torch.tensor([1e-300, 1e-200, 0.1, 1.0, 1e200, 1e300], dtype=F64)
    P = ict.probabilities(table, P_mean=-1.0, P_std=0.5)
    assert P[0] == P[1] - P[1] == P[4] == 0
    t, r = ict.neighbours(table, torch.zeros(2, 1), P_std=0.01, P_mean=-1.0, noise=Scripted(torch.zeros(2, dtype=F64)))
    assert t.tolist() == [1.0, 1.0] and r.tolist() == pytest.approx([0.1, 0.1])


def test_the_highest_number_draws_the_highest_pair():
    """Also where probabilities add up to less than it, as those of 6 levels do by rounding."""
    for N in (2, 6, 11, 161):
        table, u = consistency_models.levels(N), torch.tensor([1 - 2**-53], dtype=F64)
        t, r = ict.neighbours(table, torch.zeros(1, 1, dtype=F64), noise=Scripted(u))
        assert t.item() == table[-1] and r.item() == table[-2]


def test_the_default_law_of_neighbours_is_that_of_probabilities():
    table, n = consistency_models.levels(11), 20_000
    u = (torch.arange(n, dtype=F64) + 0.5) / n
    t, r = ict.neighbours(table, torch.zeros(n, 1, dtype=F64), noise=Scripted(u))
    i = torch.searchsorted(table, r)
    torch.testing.assert_close(table[i + 1], t, rtol=0, atol=0)
    np.testing.assert_allclose(i.bincount(minlength=10).numpy() / n, ict.probabilities(table).numpy(), atol=1.01 / n)


def test_of_two_levels_there_is_one_pair_and_the_lowest_level_is_the_models_boundary():
    table = consistency_models.levels(2)
    t, r = ict.neighbours(table, torch.zeros(5, 1, dtype=F64), noise=Noise(0))
    assert t.tolist() == [80.0] * 5 and r.tolist() == pytest.approx([0.002] * 5)


def test_levels_that_are_none_are_refused():
    x_0 = torch.zeros(2, 1)
    for table in ([1.0], [1.0, 1.0], [2.0, 1.0], [-1.0, 1.0], [[0.1, 0.2]], [[0.1, 0.2], [0.3, 0.4]]):
        with pytest.raises(ValueError, match="levels must be two or more that rise"):
            ict.probabilities(torch.tensor(table))
        with pytest.raises(ValueError, match="levels must be two or more that rise"):
            ict.neighbours(torch.tensor(table), x_0)
    table = torch.tensor([0.1, 0.2], dtype=F64)
    for P_std in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="P_std must be above 0"):
            ict.probabilities(table, P_std=P_std)
    for P_mean in (300.0, math.nan):
        with pytest.raises(ValueError, match="holds nothing"):
            ict.probabilities(table, P_mean=P_mean)


# T1: the loss


LEVELS_T, LEVELS_R = torch.tensor([0.9, 2.0, 5.0], dtype=F64), torch.tensor([0.4, 1.9, 1.0], dtype=F64)


@pytest.mark.parametrize("c", [None, 0.3, 1e-4])
def test_the_loss_by_hand(c):
    x_0, z, model = draw(3, 2, 2), draw(3, 2, 2, seed=1), Lively()
    value = ict.training_loss(model, x_0, LEVELS_T, LEVELS_R, c=c, noise=Given(lambda like: z))
    t, r = (v.numpy()[:, None] for v in (LEVELS_T, LEVELS_R))
    x, noise = x_0.flatten(1).numpy(), z.flatten(1).numpy()

    def f(x, t):
        return np.sin(1.3 * x + 0.7 * t) + 0.2 * x

    squares = ((f(x + t * noise, t) - f(x + r * noise, r)) ** 2).sum(1)
    width = 0.00054 * 2 if c is None else c
    expected = ((np.sqrt(squares + width**2) - width) / (t - r)[:, 0]).mean()
    assert value.item() == pytest.approx(expected, rel=1e-12)


def test_the_model_is_asked_at_the_lower_level_without_a_gradient_and_at_the_upper_with_one():
    x_0, z, model = draw(3, 2), draw(3, 2, seed=1), Lively()
    ict.training_loss(model, x_0, LEVELS_T, LEVELS_R, noise=Given(lambda like: z))
    (x_r, r, without), (x_t, t, with_one) = sorted(model.asked, key=lambda asked: asked[1][0].item())
    assert torch.equal(r, LEVELS_R) and torch.equal(t, LEVELS_T)
    assert not without and with_one
    torch.testing.assert_close(x_r, x_0 + LEVELS_R[:, None] * z, rtol=1e-14, atol=0)
    torch.testing.assert_close(x_t, x_0 + LEVELS_T[:, None] * z, rtol=1e-14, atol=0)


@pytest.mark.parametrize(("t", "r"), [(0.003, 0.002), (0.002, 0.0005), (0.5, 0.0), (500.0, 90.0)])
def test_the_target_is_what_the_model_returns_at_any_level(t, r):
    """Not the point itself at eps, nor the data at 0, which only a model with such a boundary returns."""
    x_0, z = draw(1, 3), draw(1, 3, seed=1)
    value = ict.training_loss(Lively(), x_0, t, r, c=0.3, noise=Given(lambda like: z))
    high, low = (torch.sin(1.3 * (x_0 + v * z) + 0.7 * v) + 0.2 * (x_0 + v * z) for v in (t, r))
    expected = (math.hypot((high - low).norm().item(), 0.3) - 0.3) / (t - r)
    assert value.item() == pytest.approx(expected, rel=1e-8)


def test_one_level_for_all_rows_may_be_a_number():
    """And the model is told it in the precision of the data, whole or not."""
    x_0, model = draw(3, 2), Lively()
    by_row = [torch.full((3,), v, dtype=F64) for v in (2, 1)]
    values = [
        ict.training_loss(Lively(), x_0, *levels, noise=Noise(0)).item() for levels in ((2, 1), (2.0, 1.0), by_row)
    ]
    assert values[0] == values[1] == values[2]
    ict.training_loss(model, x_0, 2, 1, noise=Noise(0))
    assert [level.dtype for _, level, _ in model.asked] == [F64, F64]
    ict.training_loss(lambda x, t: x + per_row(t, x), x_0.float(), *by_row, noise=Noise(0))


def test_the_gradient_is_that_of_a_loss_whose_target_is_another_model():
    """In the weights, and in x_0; what the frozen copy would learn is left out."""
    x_0, model = draw(3, 2).requires_grad_(), Lively()
    value = ict.training_loss(model, x_0, LEVELS_T, LEVELS_R, c=0.3, noise=Noise(4))
    found = torch.autograd.grad(value, [model.a, model.b, x_0])

    def frozen(a, b, x_0):
        z, other = Noise(4)(x_0), copy.deepcopy(Lively()).requires_grad_(False)
        with torch.no_grad():
            target = other(x_0.detach() + LEVELS_R[:, None] * z, LEVELS_R)
        x_t = x_0 + LEVELS_T[:, None] * z
        difference = torch.sin(a * x_t + 0.7 * LEVELS_T[:, None]) + b * x_t - target
        return (((difference**2).sum(1) + 0.09).sqrt() / (LEVELS_T - LEVELS_R)).mean()

    expected = torch.autograd.grad(frozen(model.a, model.b, x_0), [model.a, model.b, x_0])
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


# Four rows, x_0 = +-sqrt(v) and z = +-1, have the moments of N(0, v) and N(0, 1): the mean over them is the expected
# loss of a linear model where the metric is a square, which it is for a large c, up to a factor of 2 c.
WIDE = 300.0


class Linear(nn.Module):
    """f(x, t) = a x at the upper level, b x at the lower one."""

    def __init__(self, a, b, t):
        super().__init__()
        self.a, self.b = (nn.Parameter(torch.tensor(float(v), dtype=F64)) for v in (a, b))
        self.t = t

    def forward(self, x, t):
        return torch.where(per_row(t, x) == self.t, self.a * x, self.b * x)


@pytest.mark.parametrize(("t", "r"), [(1.7, 1.1), (0.5, 0.45), (1.7, 1.69)])
def test_its_minimum_and_its_floor_on_gaussian_data(t, r):
    """a = b (v + r t) / (v + t^2), and there the loss is (t - r) b^2 v / (v + t^2): the weight leaves one t - r."""
    v, b = 0.49, 0.8
    x_0 = math.sqrt(v) * torch.tensor([[1.0], [1.0], [-1.0], [-1.0]], dtype=F64)
    z = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]], dtype=F64)
    model = Linear(b * (v + r * t) / (v + t * t), b, t)
    value = ict.training_loss(model, x_0, t, r, c=WIDE, noise=Given(lambda like: z))
    slope, none = torch.autograd.grad(value, [model.a, model.b])
    assert 2 * WIDE * value.item() == pytest.approx((t - r) * b * b * v / (v + t * t), rel=1e-4)
    assert 2 * WIDE * slope.item() == pytest.approx(0, abs=1e-6) and none.item() == 0


class PointMass(nn.Module):
    """f(x, t) = (e / t) x + (1 - e / t) theta, which for theta = xi is the consistency function of a point xi."""

    def __init__(self, theta):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta, dtype=F64))

    def forward(self, x, t):
        return per_row(0.5 / t, x) * x + per_row(1 - 0.5 / t, x) * self.theta


def slope_at_a_point(dt, c: float | None = WIDE):
    """Of the loss in theta, for xi = 0.3 and theta - xi = 0.5 at t = 1.4."""
    model, x_0 = PointMass(0.8), torch.full((4, 1), 0.3, dtype=F64)
    value = ict.training_loss(model, x_0, 1.4 + dt, 1.4, c=c, noise=Noise(0))
    return torch.autograd.grad(value, model.theta)[0].item()


def test_the_gradient_has_a_limit_as_levels_close_up():
    """Proposition 1, e = 0.5: 2 e / t^2 (1 - e / t) (theta - xi), times 1 / (2 c) here; over dt the next order."""
    t, e, off = 1.4, 0.5, 0.5
    for dt, known in ((0.1, 0.15873), (0.01, 0.16347), (0.001, 0.16394)):
        expected = 2 * e * (1 / t - 1 / (t + dt)) / dt * (1 - e / (t + dt)) * off
        assert expected == pytest.approx(known, abs=1e-5)
        assert 2 * WIDE * slope_at_a_point(dt) == pytest.approx(expected, rel=1e-6)
    assert 2 * WIDE * slope_at_a_point(1e-6) == pytest.approx(2 * e / t**2 * (1 - e / t) * off, rel=1e-5)


def test_with_the_papers_metric_the_limit_is_that_over_twice_its_width():
    """Differences that are small beside c: the metric is a square there."""
    c = ict.huber_width(1)
    assert slope_at_a_point(1e-7, None) == pytest.approx(2 * 0.5 / 1.4**2 * (1 - 0.5 / 1.4) * 0.5 / (2 * c), rel=1e-5)


def test_an_averaged_target_has_no_limit():
    """What the paper does away with: a target that lags by 0.1 makes the gradient grow like 1 / dt, on either side."""
    for lag, known in ((-0.1, (1.02, 8.46, 82.8)), (0.1, (-0.70, -8.1, -82.5))):
        for dt, slope in zip((0.1, 0.01, 0.001), known, strict=True):
            model, x_0 = PointMass(0.8), torch.full((4, 1), 0.3, dtype=F64)
            value = consistency_models.training_loss(model, PointMass(0.8 + lag), x_0, 1.4 + dt, 1.4, noise=Noise(0))
            assert torch.autograd.grad(value / dt, model.theta)[0].item() == pytest.approx(slope, rel=0.02)


# T6: one mask for both passes, and errors


class Dropping(nn.Module):
    """Ones, of which half are dropped: 0 or 2."""

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.5)
        self.scale = nn.Parameter(torch.ones((), dtype=F64))
        self.seen = []

    def forward(self, x, t):
        self.seen.append(self.dropout(torch.ones_like(x)))
        return self.scale * self.seen[-1]


def test_both_passes_drop_the_same_units():
    x_0, model = draw(4, 50), Dropping()
    value = ict.training_loss(model, x_0, 2.0, 1.0, noise=Noise(0))
    assert value.item() == 0
    assert len(model.seen) == 2 and torch.equal(*model.seen)
    assert set(model.seen[0].unique().tolist()) == {0.0, 2.0}


def test_the_masks_are_those_of_torchs_own_generator_and_others_the_next_time():
    """The generator ends where one pass alone would leave it."""
    x_0, model = draw(4, 50), Dropping()
    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        for _ in range(2):
            ict.training_loss(model, x_0, 2.0, 1.0, noise=Noise(0))
        after = torch.get_rng_state()
        torch.manual_seed(3)
        expected = [nn.functional.dropout(torch.ones_like(x_0)) for _ in range(2)]
        assert torch.equal(torch.get_rng_state(), after)
    for found, mask in zip(model.seen, (expected[0], expected[0], expected[1], expected[1]), strict=True):
        assert torch.equal(found, mask)
    assert not torch.equal(*expected)


class OnCuda(torch.Tensor):
    is_cuda = True


def test_the_generator_that_is_turned_back_is_also_that_of_the_datas_device(monkeypatch):
    asked = []

    def fork(devices):
        asked.append(devices)
        return contextlib.nullcontext()

    monkeypatch.setattr(torch.random, "fork_rng", fork)
    x_0 = draw(2, 2)
    for x, devices in ((x_0, []), (x_0.as_subclass(OnCuda), [x_0.device])):
        ict.training_loss(Lively(), x, 2.0, 1.0, noise=Noise(0))
        assert asked.pop() == devices


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the generator of another device")
def test_both_passes_drop_the_same_units_on_cuda():
    x_0, model = draw(4, 50).cuda(), Dropping().cuda()
    assert ict.training_loss(model, x_0, 2.0, 1.0, noise=Noise(0)).item() == 0
    assert torch.equal(*model.seen)


def test_levels_out_of_order_are_refused():
    for t, r in ((1.0, 1.0), (1.0, 2.0), (1.0, -0.1)):
        with pytest.raises(ValueError, match="0 <= r < t"):
            ict.training_loss(Lively(), draw(2, 2), t, r)
    with pytest.raises(ValueError, match="c must be above 0"):
        ict.training_loss(Lively(), draw(2, 2), 1.0, 0.5, c=0.0)
