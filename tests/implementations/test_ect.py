"""ECT against the authors' numbers, four rows in place of all draws, and the spread that each of its stages leaves."""

from __future__ import annotations

import copy
import math
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import Any, cast

import pytest
import torch
from torch import nn

from implementations import ect, edm
from implementations.common.noise import Noise
from implementations.common.rows import per_row
from implementations.consistency_models import ConsistencyModel
from implementations.ict import pseudo_huber
from implementations.verification.impulses import moments
from tests.implementations.toys import F64, draw


class Script(Noise):
    """Normal draws from a list of tensors, in order."""

    def __init__(self, *draws):
        super().__init__()
        self.draws = list(draws)

    def __call__(self, like):
        drawn = self.draws.pop(0)
        assert drawn.shape == like.shape
        return drawn.to(like)

    def uniform(self, like):
        raise AssertionError("only normal numbers are given")


class Asked(nn.Module):
    """A model that depends on x and on t, neither affinely, and keeps what it was asked, and how."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor(1.3, dtype=F64)), nn.Parameter(torch.tensor(0.2, dtype=F64))
        self.asked = []

    def forward(self, x, t):
        assert (t > 0).all(), "at level 0 the network's logarithm is infinite"
        self.asked.append((x.detach(), t, torch.is_grad_enabled()))
        return torch.sin(self.a * x + 0.7 * per_row(t.log(), x)) + self.b * x


class Gains(nn.Module):
    """f(x, t) = high x above the level `between`, and low x below."""

    def __init__(self, between, high, low):
        super().__init__()
        self.between, self.high, self.low = between, *(nn.Parameter(torch.tensor(v, dtype=F64)) for v in (high, low))

    def forward(self, x, t):
        return per_row(torch.where(t > self.between, self.high, self.low), x) * x


def squares(x, y):
    return (x - y).square().flatten(1).sum(1)


def network():
    torch.manual_seed(0)
    return Small().double()


class Small(nn.Module):
    """F(x, c_noise) with a dropout."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.inner, self.outer, self.drop = nn.Linear(3, 7), nn.Linear(7, 2), nn.Dropout(dropout)

    def forward(self, x, c):
        return self.outer(self.drop(torch.tanh(self.inner(torch.cat([x, c[:, None]], 1)))))


def four_rows(v, t):
    """x_0 = +-sqrt(v) with z = +-1 and t for all: a mean over them of what is quadratic in both is the expectation."""
    s = math.sqrt(v)
    x_0, z = torch.tensor([[s], [s], [-s], [-s]], dtype=F64), torch.tensor([[1.0], [-1.0], [1.0], [-1.0]], dtype=F64)
    return x_0, {"P_mean": math.log(t), "P_std": 0.0, "noise": Script(torch.zeros(4, dtype=F64), z)}


def ratio(t, a, **options):
    t = torch.tensor([t], dtype=F64)
    return (ect.earlier(t, a, **options) / t).item()


# T1: r(t) and its stages


def test_r_is_0_up_to_the_level_where_n_of_t_is_q_to_the_a():
    """1 + 8 sigmoid(-t) = 2 at t = ln 7, = 4 at t = ln(5/3); it is below 5, so that from stage 3 on r is never 0."""
    for a, t in ((1, math.log(7)), (2, math.log(5 / 3))):
        assert ratio(t * (1 - 1e-6), a) == ratio(1e-3, a) == 0
        assert 0 < ratio(t * (1 + 1e-6), a) < 1e-5
    assert ratio(1e-6, 3) == pytest.approx(3 / 8, abs=1e-6)


@pytest.mark.parametrize(
    ("a", "at"),
    [
        (1, {2.0: 0.0232, 5.0: 0.4732, 1e4: 0.5}),
        (3, {0.002: 0.3755, 1.0: 0.60606, 1e4: 0.875}),
        (8, {0.002: 0.98048, 1.0: 0.98769, 1e4: 0.99609}),
    ],
)
def test_r_over_t_is_that_of_the_authors_code(a, at):
    """Its t_to_r_sigmoid at stage a - 1, executed."""
    for t, expected in at.items():
        assert ratio(t, a) == pytest.approx(expected, abs=5e-5 if a < 8 else 5e-6)


def test_r_by_hand():
    n = 1 + 3 / (1 + math.exp(2 * 0.7))
    assert ratio(0.7, 2, q=3.0, k=3.0, b=2.0) == pytest.approx(1 - n / 9, rel=1e-14)
    assert ratio(0.7, 1, q=10.0, k=0.0) == pytest.approx(0.9, rel=1e-14)
    assert ratio(0.7, 1, q=10.0, k=4.0, b=0.0) == pytest.approx(0.7, rel=1e-14)


def test_one_hour_of_q_256_is_stage_8_of_q_2_and_stage_4_of_q_4():
    t = torch.logspace(-3, 2, 20, dtype=F64)
    for a, q in ((4, 4.0), (1, 256.0)):
        torch.testing.assert_close(ect.earlier(t, a, q=q), ect.earlier(t, 8), rtol=1e-14, atol=0)


def test_stage_0_is_r_0_everywhere_and_each_later_one_is_nearer_to_t():
    t = torch.logspace(-3, 2, 20, dtype=F64)
    levels = [ect.earlier(t, a) for a in range(10)]
    assert (levels[0] == 0).all()
    for r, closer in pairwise(levels):
        assert ((closer > r) | (closer == 0)).all() and (closer < t).all()
        assert ((r / t).diff() >= -1e-15).all(), "the gap is wider, by ratio, where noise is low"


def test_stages_count_from_1_as_the_code_s_exponents_do():
    """There: q^(s + 1) with s = (iteration - 1) // every, iterations counted from 1.  Iteration 0 is none."""
    assert [ect.stage(i, 3) for i in range(8)] == [0, 1, 1, 1, 2, 2, 2, 3]
    assert all(ect.stage(i, d) == (i - 1) // d + 1 for d in (1, 7, 25_000) for i in (1, 6, 7, 8, 25_000, 25_001))
    assert isinstance(ect.stage(5, 2), int)


@pytest.mark.parametrize(("iteration", "every"), [(-1, 3), (4, 0), (4, -2)])
def test_iterations_and_lengths_of_stages_out_of_range_are_named(iteration, every):
    with pytest.raises(ValueError, match=f"want iteration >= 0 and every >= 1, not {iteration} and {every}"):
        ect.stage(iteration, every)


def test_a_stage_below_0_is_refused():
    with pytest.raises(ValueError, match="the stage a must be at least 0, where r is 0, not -1"):
        ect.earlier(torch.ones(2), -1)
    with pytest.raises(ValueError, match="the stage a must be at least 0"):
        ect.loss(Asked(), draw(2, 2), -1)


@pytest.mark.parametrize("wrong", [{"q": 1.0}, {"q": 0.5}, {"q": math.nan}, {"k": -0.1}, {"b": -1.0}, {"k": math.nan}])
def test_what_never_closes_the_gap_or_opens_it_is_named(wrong):
    with pytest.raises(ValueError, match="want q > 1, or the gap never closes, and k and b at least 0"):
        ect.earlier(torch.ones(2), 1, **wrong)


def test_a_stage_so_late_that_rounding_leaves_no_gap_is_refused():
    with pytest.raises(ValueError, match="want levels 0 <= r < t"):
        ect.loss(lambda x, t: x, torch.ones(2, 2), 40)


# T1: the loss


def test_stage_0_with_squares_is_training_a_denoiser():
    """edm.loss is a mean over entries, here it is a sum over those of a row."""
    x_0, draws = draw(5, 2, 3, seed=1), (draw(5, seed=2), draw(5, 2, 3, seed=3))
    model = Asked()
    options = {"P_mean": -0.6, "P_std": 0.9}
    weight = partial(ect.denoising_weight, sigma_data=0.7)
    ours = ect.loss(model, x_0, 0, metric=squares, weight=weight, **options, noise=Script(*draws))
    theirs = edm.loss(model, x_0, sigma_data=0.7, **options, noise=Script(*draws))
    assert ours.item() == pytest.approx(6 * theirs.item(), rel=1e-12)
    torch.testing.assert_close(torch.autograd.grad(ours, model.a)[0], 6 * torch.autograd.grad(theirs, model.a)[0])
    assert len(model.asked) == 2, "one evaluation each: the data are the target"


def test_stage_0_with_a_norm_ends_at_the_median():
    """Of -1, four times as likely as 1, and not at their mean."""
    x_0 = torch.tensor([[-1.0]] * 4 + [[1.0]], dtype=F64)
    weight = lambda t, r: torch.ones_like(t)  # noqa: E731

    def at(guess, **metric):
        return ect.loss(lambda x, t: torch.full_like(x, guess), x_0, 0, **metric, weight=weight, noise=Noise(0)).item()

    assert at(-1.0) == pytest.approx(0.2 * 2, rel=1e-2) and at(-1.0) < at(-0.9) < at(-0.6)
    assert at(-0.6, metric=squares) == pytest.approx(0.64) and at(-0.6, metric=squares) < at(-0.7, metric=squares)


PARITY_X = torch.tensor([[0.3, -0.8], [1.1, 0.2], [-0.5, 0.9], [0.0, -0.4]], dtype=F64).view(4, 2, 1, 1)
PARITY_Z = torch.tensor([-1.0, 0.4, 1.1, 1.9], dtype=F64)
PARITY_EPS = torch.tensor([[0.7, -1.2], [0.1, 0.5], [-1.6, 0.3], [0.9, 1.4]], dtype=F64).view(4, 2, 1, 1)
CIFAR = {"q": 2.0, "k": 8.0, "b": 1.0, "P_mean": -1.1, "P_std": 2.0}
OTHER = {"q": 4.0, "k": 3.0, "b": 2.0, "P_mean": -0.4, "P_std": 1.2}


@pytest.mark.parametrize(
    ("options", "c", "a", "losses"),
    [
        (CIFAR, 0.03, 0, [31.3269984434, 0.5457467992, 0.2074730751, 0.3553266837]),
        (CIFAR, 0.03, 1, [31.3269984434, 0.5457467992, 0.3929788261, 0.3436439209]),
        (CIFAR, 0.03, 2, [31.3269984434, 3.0512506778, 1.1548024483, 0.1188330789]),
        (CIFAR, 0.03, 4, [15.542606403, 1.5696858109, 1.9676808378, 1.619901005]),
        (OTHER, 0.06, 0, [3.3392772466, 0.6968482894, 0.1849599363, 0.4204661958]),
        (OTHER, 0.06, 1, [4.5870167249, 0.9703789997, 0.4961704439, 0.422745688]),
        (OTHER, 0.06, 2, [2.7509511097, 0.4153178248, 0.8037465401, 2.1071103902]),
        (OTHER, 0.06, 4, [0.2617002425, 0.0282761106, 0.1430369961, 1.0061105197]),
    ],
)
def test_loss_is_that_of_the_authors_code(options, c, a, losses):
    """ECMLoss of locuslab/ect 4311059, executed at stage a - 1 on the same draws: its four rows, here their mean."""
    metric = partial(pseudo_huber, c=c)
    found = ect.loss(Asked(), PARITY_X, a, **options, metric=metric, noise=Script(PARITY_Z, PARITY_EPS))
    assert found.item() == pytest.approx(sum(losses) / 4, rel=1e-9)
    for i, expected in enumerate(losses):
        own = [v[i : i + 1] for v in (PARITY_X, PARITY_Z, PARITY_EPS)]
        alone = ect.loss(Asked(), own[0], a, **options, metric=metric, noise=Script(*own[1:]))
        assert alone.item() == pytest.approx(expected, rel=1e-8)


def test_the_authors_values_are_the_defaults():
    """Those for CIFAR-10, but for c of the metric: 0 there, and iCT's for ImageNet."""
    script = [Script(PARITY_Z, PARITY_EPS) for _ in range(2)]
    spelled = {**CIFAR, "metric": partial(pseudo_huber, c=0.00054 * math.sqrt(2)), "weight": lambda t, r: 1 / (t - r)}
    default, other = (
        ect.loss(Asked(), PARITY_X, 2, noise=script[0]),
        ect.loss(Asked(), PARITY_X, 2, **spelled, noise=script[1]),
    )
    assert default.item() == pytest.approx(other.item(), rel=1e-14)
    assert ect.TWO_STEPS == (80.0, 0.821)


def test_f_is_compared_with_itself_at_the_earlier_level_of_the_same_noise():
    x_0, z, eps = draw(4, 2, 2, seed=1), torch.tensor([-1.5, -0.2, 0.6, 1.3], dtype=F64), draw(4, 2, 2, seed=2)
    model, frozen = Asked(), Asked()
    found = ect.loss(model, x_0, 3, q=1.7, k=2.0, P_mean=0.2, P_std=0.8, noise=Script(z, eps))
    t = (0.2 + 0.8 * z).exp()
    r = t * (1 - (1 + 2 / (1 + t.exp())) / 1.7**3)
    assert (r > 0).all()
    asked = {tuple(at.tolist()): (x, grad) for x, at, grad in model.asked}
    assert len(model.asked) == 2 and set(asked) == {tuple(t.tolist()), tuple(ect.earlier(t, 3, q=1.7, k=2.0).tolist())}
    for level, grad in ((t, True), (ect.earlier(t, 3, q=1.7, k=2.0), False)):
        x, with_grad = asked[tuple(level.tolist())]
        torch.testing.assert_close(x, x_0 + per_row(level, x_0) * eps, rtol=1e-13, atol=1e-13)
        assert with_grad == grad
    target = frozen(x_0 + per_row(r, x_0) * eps, r).detach()
    expected = (pseudo_huber(model(x_0 + per_row(t, x_0) * eps, t), target) / (t - r)).mean()
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    for parameter in (model.a, model.b):
        assert torch.autograd.grad(found, parameter, retain_graph=True)[0].item() == pytest.approx(
            torch.autograd.grad(expected, parameter, retain_graph=True)[0].item(), rel=1e-12
        )


@pytest.mark.parametrize("weight", ["gap_weight", "denoising_weight"])
@pytest.mark.parametrize("z", [-4.0, -2.6, 3.6])
def test_levels_below_and_above_those_of_edm_are_taken_as_they_are(z, weight):
    """t = 1.1e-4, 1.8e-3 and 446 at stage 3; edm samples from 80 down to 0.002."""
    t = math.exp(-1.1 + 2 * z)
    r = t * (1 - (1 + 8 / (1 + math.exp(t))) / 8)
    x_0, eps = draw(1, 2, seed=1), draw(1, 2, seed=2)

    def f(x, level):
        return torch.sin(1.3 * x + 0.7 * math.log(level)) + 0.2 * x

    difference = squares(f(x_0 + t * eps, t), f(x_0 + r * eps, r)).item()
    expected = difference * {"gap_weight": 1 / (t - r), "denoising_weight": 4 + 1 / t**2}[weight]
    noise = Script(torch.tensor([z], dtype=F64), eps)
    found = ect.loss(Asked(), x_0, 3, metric=squares, weight=getattr(ect, weight), noise=noise)
    assert found.item() == pytest.approx(expected, rel=1e-9)


def test_rows_whose_r_is_0_are_compared_with_the_data_bitwise():
    """At stage 1 r is 0 below ln 7: of these levels the first and the third.  There the network is asked about t."""
    seen, x_0, t = [], draw(4, 3, seed=1), torch.tensor([0.5, 3.0, 1.9, 4.0], dtype=F64)

    def metric(x, y):
        seen.append(y)
        return squares(x, y)

    model = Asked()
    z = draw(4, 3, seed=2)
    ect.loss(model, x_0, 1, P_mean=0.0, P_std=1.0, metric=metric, noise=Script(t.log(), z))
    kept = seen[0] == x_0
    assert kept.all(1).tolist() == [True, False, True, False] and kept.any(1).tolist() == [True, False, True, False]
    assert not seen[0].requires_grad
    x, level, _ = next(asked for asked in model.asked if not asked[2])
    torch.testing.assert_close(level[[0, 2]], t[[0, 2]])
    torch.testing.assert_close(x[[0, 2]], (x_0 + t[:, None] * z)[[0, 2]])
    assert all(torch.isfinite(level).all() and (level > 0).all() for _, level, _ in model.asked)


@pytest.mark.parametrize(("v", "t", "a", "b"), [(0.25, 1.7, 3, 0.8), (0.6, 0.3, 4, 0.9), (0.25, 5.0, 1, 0.3)])
def test_the_minimum_is_the_best_gain_and_its_value_the_floor(v, t, a, b):
    """Of the target b x_r: the gain b (v + r t) / (v + t^2), and b^2 v (t - r)^2 / (v + t^2), before weighting."""
    r = ratio(t, a) * t
    best = b * (v + r * t) / (v + t * t)
    x_0, draws = four_rows(v, t)
    model = Gains((t + r) / 2, best, b)
    total = ect.loss(model, x_0, a, metric=squares, **draws)
    assert total.item() == pytest.approx(b * b * v * (t - r) ** 2 / (v + t * t) / (t - r), rel=1e-10)
    high, low = torch.autograd.grad(total, [model.high, model.low], allow_unused=True, materialize_grads=True)
    assert abs(high.item()) < 1e-12 and low.item() == 0


def test_only_the_norm_over_the_gap_stays_as_the_gap_closes():
    """Root mean square of the difference, f exact at r: over t - r it tends to v / (v + t^2), 0.2 here."""
    for a, expected in ((1, 0.21719), (2, 0.20161), (3, 0.20016)):
        r, (x_0, draws) = 1 - 10.0**-a, four_rows(0.25, 1.0)
        b = math.sqrt(0.25 / (0.25 + r * r))
        model = Gains((1 + r) / 2, b * (0.25 + r) / 1.25, b)
        weight = lambda t, r: ect.gap_weight(t, r) ** 2  # noqa: E731
        total = ect.loss(model, x_0, a, q=10.0, k=0.0, metric=squares, weight=weight, **draws)
        assert math.sqrt(total.item()) == pytest.approx(expected, abs=2e-5)


def test_no_difference_has_a_gradient_of_0():
    theta = torch.tensor([[0.3, -0.2]], dtype=F64, requires_grad=True)
    total = ect.loss(lambda x, t: theta.expand_as(x), draw(3, 2), 4, noise=Noise(0))
    assert total.item() == 0 and torch.autograd.grad(total, theta)[0].tolist() == [[0.0, 0.0]]


def test_both_passes_drop_the_same_units_and_the_next_ones_others():
    seen = []

    class Dropping(nn.Module):
        def forward(self, x, t):
            seen.append(nn.functional.dropout(torch.ones_like(x), 0.5))
            return x * seen[-1]

    torch.manual_seed(5)
    for _ in range(2):
        ect.loss(Dropping(), draw(8, 4), 3, noise=Noise(0))
    assert torch.equal(seen[0], seen[1]) and torch.equal(seen[2], seen[3]) and not torch.equal(seen[1], seen[2])


def test_on_a_card_the_masks_are_those_of_its_own_generator(monkeypatch):
    class OnCard(torch.Tensor):
        is_cuda = True

    asked = []

    @contextmanager
    def forked(devices):
        asked.append(devices)
        yield

    monkeypatch.setattr(torch.random, "fork_rng", forked)
    x_0 = draw(3, 2)
    ect.loss(Asked(), x_0.as_subclass(OnCard), 3, noise=Noise(0))
    ect.loss(Asked(), x_0, 3, noise=Noise(0))
    assert asked == [[x_0.device], []]


def test_weights():
    t, r = torch.tensor([0.3, 2.0], dtype=F64), torch.tensor([0.0, 1.5], dtype=F64)
    assert ect.gap_weight(t, r).tolist() == pytest.approx([1 / 0.3, 2.0])
    _, c_out, _, _ = edm.Denoiser(network(), 0.8).scalings(t)
    torch.testing.assert_close(ect.denoising_weight(t, r, 0.8), c_out**-2, rtol=1e-13, atol=0)
    torch.testing.assert_close(ect.denoising_weight(t, r), 4 + t**-2, rtol=1e-13, atol=0)


# T1: where tuning starts


def test_tuning_starts_as_the_checkpoint_does_and_leaves_it_alone():
    base = edm.Denoiser(network(), 0.7).eval().requires_grad_(False)
    before, (x, t) = copy.deepcopy(base.state_dict()), (draw(4, 2), torch.tensor([0.01, 0.4, 2.0, 60.0], dtype=F64))
    model = ect.Tuning(base)
    assert torch.equal(model(x, t), base(x, t))
    assert all(p.requires_grad for p in model.parameters()) and not any(p.requires_grad for p in base.parameters())
    assert not model.f.training and ect.Tuning(edm.Denoiser(network())).f.training
    ect.loss(model, x, 2, noise=Noise(0)).backward()
    with torch.no_grad():
        for parameter in model.parameters():
            assert parameter.grad is not None and parameter.grad.abs().max() > 0
            parameter -= 0.1 * parameter.grad
    assert not torch.equal(model(x, t), base(x, t))
    assert all(torch.equal(before[name], value) for name, value in base.state_dict().items())


def test_training_and_evaluation_use_the_same_scalings():
    model, x = ect.Tuning(edm.Denoiser(network())), draw(4, 2)
    t = torch.tensor([0.002, 0.01, 0.5, 80.0], dtype=F64)
    assert torch.equal(model.train()(x, t), model.eval()(x, t))
    torch.testing.assert_close(model(x, torch.full((4,), 1e-12, dtype=F64)), x, rtol=0, atol=1e-10)


def test_iterations_are_counted_and_part_of_the_state():
    model = ect.Tuning(edm.Denoiser(network()))
    assert [model.begin() for _ in range(3)] == [1, 2, 3] and isinstance(model.begin(), int)
    again = ect.Tuning(edm.Denoiser(network()))
    again.load_state_dict(model.state_dict())
    assert again.begin() == 5
    assert model.iteration.dtype == torch.int64 and ect.Tuning(edm.Denoiser(network())).iteration.item() == 0


def test_conditions_reach_the_network():
    class Labelled(nn.Module):
        def forward(self, x, c, y, scale):
            return (y * scale)[:, None].expand_as(x)

    t, y, scale = (torch.tensor(v, dtype=F64) for v in ([0.5, 0.5], [1.0, 2.0], [1.0, 3.0]))
    found = ect.Tuning(edm.Denoiser(Labelled()))(torch.zeros(2, 3, dtype=F64), t, y, scale)
    assert (found[1] / found[0]).tolist() == pytest.approx([6.0] * 3)


def test_a_network_without_its_denoiser_is_refused():
    with pytest.raises(ValueError, match="base must be a denoiser of edm, scalings included, not a Small"):
        ect.Tuning(cast(Any, network()))


def test_scalings_that_are_no_identity_at_0_are_refused():
    class Plain(edm.Denoiser):
        def __init__(self, c_skip, c_out):
            super().__init__(network())
            self.c = c_skip, c_out

        def scalings(self, sigma):
            one = torch.ones_like(sigma)
            return self.c[0] * one, self.c[1] * one, one, one

    for base in (ConsistencyModel(network(), eps=0.002), Plain(0.0, 0.0), Plain(1.0, 1.0)):
        with pytest.raises(ValueError, match="base must return x itself at level 0"):
            ect.Tuning(base)
    ect.Tuning(ConsistencyModel(network(), eps=0.0))


# T2: what a stage leaves of the spread, and the sampler


def perfect(a, v):
    """f of a model without error at stage a for N(0, v): from t to r the gain is (v + r t) / (v + t^2)."""

    def f(x, t):
        level, gain = t[:1].double(), 1.0
        while level.item() > 1e-8:  # below, a factor is 1
            r = ect.earlier(level, a)
            assert r < 0.99 * level, "or it never ends"
            gain, level = gain * (v + r.item() * level.item()) / (v + level.item() ** 2), r
        return gain * x

    return f


@pytest.mark.parametrize(("a", "expected"), [(0, 0.0062), (1, 0.597), (2, 0.678), (3, 0.862), (4, 0.937), (6, 0.985)])
def test_each_stage_leaves_more_of_the_spread(a, expected):
    found = moments(lambda z, noise: ect.sample(perfect(a, 0.25), z, (80.0,), noise=noise))
    assert found.std.item() / 0.5 == pytest.approx(expected, abs=6e-4)
    assert found.draws == 1


def exact(m, v):
    return lambda x, t: m + per_row((v / (v + t**2)).sqrt(), x) * (x - m)


@pytest.mark.parametrize(("v", "sigmas"), [(0.25, (80.0, 0.821)), (1e-4, (3.0, 0.02, 0.004)), (0.6, (10.0,))])
def test_samples_of_the_exact_f_have_exact_moments(v, sigmas):
    """From N(0, T^2) on: x - m keeps sqrt(v / (v + t^2)) of itself at each level, and the next level adds its noise."""
    m = 0.3
    found = moments(lambda z, noise: ect.sample(exact(m, v), z, sigmas, noise=noise))
    mean, variance = -m, 0.0
    for t in sigmas:
        keeps = math.sqrt(v / (v + t * t))
        mean, variance = keeps * mean, keeps**2 * (variance + t * t)
    assert found.mean.item() == pytest.approx(m + mean, abs=1e-10)
    assert found.std.item() == pytest.approx(math.sqrt(variance), rel=1e-9)
    assert found.draws == len(sigmas)


def test_two_steps_are_the_default_and_one_evaluation_each():
    model, z, xi = Asked(), draw(3, 2, seed=1), draw(3, 2, seed=2)
    found = ect.sample(model, z, noise=Script(xi))
    assert [level.tolist() for _, level, _ in model.asked] == [[80.0] * 3, [0.821] * 3]
    first = Asked()(80 * z, torch.full((3,), 80.0, dtype=F64))
    torch.testing.assert_close(found, Asked()(first + 0.821 * xi, torch.full((3,), 0.821, dtype=F64)))
    assert not found.requires_grad


@pytest.mark.parametrize("sigmas", [(), (0.8, 80.0), (80.0, 80.0), (80.0, 0.0), (80.0, -1.0), (math.nan,)])
def test_levels_out_of_order_are_refused(sigmas):
    with pytest.raises(ValueError, match="sigmas must be levels that fall"):
        ect.sample(Asked(), draw(2, 2), sigmas)
