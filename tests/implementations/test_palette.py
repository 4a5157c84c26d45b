"""Palette against the exact conditional of Gaussians (Kalman), its chain's own recursion, and the law of its levels."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from implementations import palette
from implementations.common.embedding import sinusoidal
from implementations.common.noise import Noise
from implementations.common.rows import per_row
from implementations.ddpm import reverse
from implementations.demos import palette as demo
from implementations.verification.impulses import moments
from tests.implementations.toys import F64, Given, draw, refuse, rough

# x and y, two numbers each, jointly Gaussian
ROOT = torch.tensor([[0.9, 0, 0, 0], [-0.3, 0.7, 0, 0], [0.6, 0.2, 0.5, 0], [-0.4, 0.5, 0.3, 0.4]], dtype=F64)
JOINT, MEAN = ROOT @ ROOT.T, torch.tensor([0.3, -0.2, 0.5, -0.4], dtype=F64)
GAIN = JOINT[2:, :2] @ torch.linalg.inv(JOINT[:2, :2])
REST = JOINT[2:, 2:] - GAIN @ JOINT[:2, 2:]
"""The covariance of y given x."""


def expected(x: torch.Tensor) -> torch.Tensor:
    """E[y | x]."""
    return MEAN[2:] + (x - MEAN[:2]) @ GAIN.T


def exact(y_t: torch.Tensor, gamma: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """E[eps | y_t, x] by conditioning the Gaussian (y, y_t), whose covariance differs from row to row."""
    g = gamma[:, None]
    cov = g[..., None] * REST + (1 - g[..., None]) * torch.eye(2, dtype=y_t.dtype)
    return (1 - g).sqrt() * torch.linalg.solve(cov, y_t - g.sqrt() * expected(x))


def answered(process, given, y, noise, **options):
    return palette.sample(exact, process, given.expand(len(y), 2), y, noise=noise, **options)


def lively(y_t, gamma, x):
    """A network that depends on all three, affinely on none."""
    return torch.sin(1.3 * y_t + 2 * per_row(gamma, y_t) - 0.7 * x) + 0.3 * x * y_t


# T1: levels and losses


def test_the_schedules_are_the_paper_s():
    train, infer = palette.training_schedule(), palette.inference_schedule()
    assert (train.T, infer.T) == (2000, 1000)
    for process, first, last in ((train, 1e-6, 0.01), (infer, 1e-4, 0.09)):
        np.testing.assert_allclose(process.beta[1:].numpy(), np.linspace(first, last, process.T), rtol=1e-12)
    other = palette.training_schedule(10, 0.1, 0.2), palette.inference_schedule(5, 0.2, 0.3)
    assert [(p.T, round(p.beta[1].item(), 9), round(p.beta[-1].item(), 9)) for p in other] == [
        (10, 0.1, 0.2), (5, 0.2, 0.3),
    ]  # fmt: skip


def test_levels_are_uniform_between_neighbours_of_a_uniform_step():
    process = rough(4)
    found = palette.levels(process, torch.empty(6000, 1, dtype=torch.float32), noise=Noise(3))
    assert found.shape == (6000,) and found.dtype == F64
    edges = process.abar.flip(0).numpy()

    def law(gamma):
        """Piecewise uniform: a quarter of the mass between each two neighbours, the data's own level 1 included."""
        return np.interp(gamma, edges, np.linspace(0, 1, 5))

    assert stats.kstest(found.numpy(), law).pvalue > 1e-3
    assert found.max() > process.abar[1] and found.max() <= 1 and found.min() >= process.abar[-1]


@pytest.mark.parametrize("p", [1, 2])
def test_the_loss_is_that_of_the_definition_row_by_row(p):
    process, x, y_0 = rough(5), draw(4, 2, 3, seed=1), draw(4, 2, 3, seed=2)
    hole = (draw(4, 1, 3, seed=3) > 0).to(F64)
    for wanted in (None, hole):
        source = Noise([5, 6, 7, 8])
        gamma, eps = palette.levels(process, y_0, noise=source), source(y_0)
        total, count = 0.0, 0
        for k in range(4):
            y_t = gamma[k].sqrt() * y_0[k] + (1 - gamma[k]).sqrt() * eps[k]
            for c in range(2):
                for j in range(3):
                    known = wanted is not None and wanted[k, 0, j] == 0
                    y_t[c, j] = x[k, c, j] if known else y_t[c, j]
            guess = lively(y_t[None], gamma[k : k + 1], x[k : k + 1])[0]
            for c in range(2):
                for j in range(3):
                    count += 1
                    if wanted is None or wanted[k, 0, j] == 1:
                        total += abs((eps[k, c, j] - guess[c, j]).item()) ** p
        found = palette.loss(lively, process, x, y_0, hole=wanted, p=p, noise=Noise([5, 6, 7, 8]))
        assert found.item() == pytest.approx(total / count, rel=1e-12)


def test_a_weight_multiplies_the_error_of_each_row_and_none_is_the_paper_s():
    process, x, y_0 = rough(5), draw(3, 2, seed=1), draw(3, 2, seed=2)
    gamma, plain = palette.levels(process, y_0, noise=Noise([5, 6, 7])), []
    for k in range(3):
        rows = slice(k, k + 1)
        plain.append(palette.loss(lively, process, x[rows], y_0[rows], p=2, noise=Noise([5 + k])))
    for weight in (torch.reciprocal, torch.sqrt):
        found = palette.loss(lively, process, x, y_0, weight=weight, noise=Noise([5, 6, 7]))
        assert torch.allclose(found, (weight(gamma) * torch.stack(plain)).mean(), rtol=1e-12)
    assert torch.allclose(palette.loss(lively, process, x, y_0, noise=Noise([5, 6, 7])), torch.stack(plain).mean())


def test_levels_are_drawn_in_float64():
    """A float32 share has 24 bits, and so has its place between levels; that of float64 has more."""
    process = rough(1)
    found = palette.levels(process, torch.empty(50), noise=Noise(1))
    share = (found - process.abar[1]) / (1 - process.abar[1]) * 2**24
    assert (share - share.round()).abs().max() > 0.01


def test_the_exact_network_has_the_least_squared_error_and_its_known_risk():
    """Given x and a level, eps and y_t are Gaussian: the risk is the trace of a Schur complement."""
    process, n = rough(3), 4000
    z = draw(n, 4, seed=4) @ ROOT.T + MEAN
    x, y_0 = z[:, :2], z[:, 2:]
    shift = torch.zeros(2, dtype=F64, requires_grad=True)
    found = palette.loss(lambda y, g, x: exact(y, g, x) + shift, process, x, y_0, noise=Noise(5))
    (gradient,) = torch.autograd.grad(found, shift)
    gamma = palette.levels(process, y_0, noise=Noise(5))
    eye = torch.eye(2, dtype=F64)
    covs = gamma[:, None, None] * REST + (1 - gamma[:, None, None]) * eye
    risk = (2 - (1 - gamma) * torch.linalg.inv(covs).diagonal(dim1=1, dim2=2).sum(1)).mean() / 2
    assert abs(found.item() - risk) < 5 * 1.4 / n**0.5
    assert gradient.abs().max() < 5 * 2 / n**0.5


def test_the_optimum_of_l1_is_the_median_and_of_l2_the_mean():
    """Of skewed noise, -1 or 3: a constant network, the same draws, and only the exponent differs."""
    skewed = Given(lambda like: torch.tensor([-1.0, -1, -1, 3], dtype=F64).repeat(100)[:, None].expand_as(like))
    skewed.integers = lambda low, high, like: torch.full((len(like),), 2)
    skewed.uniform = lambda like: torch.full_like(like, 0.5)
    x = y_0 = torch.zeros(400, 1, dtype=F64)

    def at(value, p):
        return palette.loss(lambda y, g, x: torch.full_like(y, value), rough(3), x, y_0, p=p, noise=skewed).item()

    assert at(0.0, 2) < min(at(-0.1, 2), at(0.1, 2)) and at(-1.0, 1) < min(at(-1.1, 1), at(-0.9, 1), at(0.0, 1))


def test_gradients_reach_network_and_what_is_given():
    process, x, y_0 = rough(4), draw(3, 2, 4, seed=1).requires_grad_(), draw(3, 2, 4, seed=2).requires_grad_()
    hole = (draw(3, 1, 4, seed=3) > 0).to(F64)
    weight = torch.tensor(0.8, dtype=F64, requires_grad=True)

    def f(x, y_0, weight):
        model = lambda y, g, x: weight * lively(y, g, x)  # noqa: E731
        return palette.loss(model, process, x, y_0, hole=hole, noise=Noise(7))

    assert torch.autograd.gradcheck(f, (x, y_0, weight))


def test_what_is_known_counts_nowhere_and_the_target_behind_it_is_never_looked_at():
    process, x, y_0 = rough(4), draw(3, 1, 6, seed=1), draw(3, 1, 6, seed=2)
    hole = torch.zeros(1, 1, 6, dtype=F64)
    hole[..., 3:] = 1
    seen = []

    def network(y, g, x):
        seen.append(y)
        return lively(y, g, x)

    plain = palette.loss(network, process, x, y_0, hole=hole, noise=Noise(1))
    blind = y_0.clone()
    blind[..., :3] = torch.nan
    hidden = palette.loss(network, process, x, blind, hole=hole, noise=Noise(1))
    assert torch.equal(plain, hidden) and torch.equal(seen[0][..., :3], x[..., :3])
    assert not (seen[0][..., 3:] == x[..., 3:]).any()


def test_a_hole_is_filled_with_noise_and_nothing_else():
    image, hole = draw(4, 3, 5, seed=1), torch.tensor([1.0, 0, 0, 1, 0])
    found = palette.fill(image, hole, noise=Given(lambda like: torch.full_like(like, 7.0)))
    assert torch.equal(found[..., 1:3], image[..., 1:3]) and torch.equal(found[..., 4], image[..., 4])
    assert (found[..., [0, 3]] == 7).all()
    assert torch.equal(palette.fill(image, hole > 0, noise=Noise(1)), palette.fill(image, hole, noise=Noise(1)))


# T2, T3: sampling


@pytest.mark.parametrize("variance", ["large", "small"])
def test_moments_are_those_of_the_chain_s_own_recursion(variance):
    process, given = rough(6), torch.tensor([0.8, -1.1], dtype=F64)
    found = moments(partial(answered, process, given, variance=variance), shape=(2,))
    mean, cov = torch.zeros(2, dtype=F64), torch.eye(2, dtype=F64)
    beta, abar = process.beta.tolist(), process.abar.tolist()
    for t in range(6, 0, -1):
        # eps is affine in y: so is the step
        inverse = torch.linalg.inv(abar[t] * REST + (1 - abar[t]) * torch.eye(2, dtype=F64))
        A = (torch.eye(2, dtype=F64) - beta[t] * inverse) / math.sqrt(1 - beta[t])
        mean = A @ mean + beta[t] * inverse @ (math.sqrt(abar[t]) * expected(given)) / math.sqrt(1 - beta[t])
        var = beta[t] if variance == "large" else beta[t] * (1 - abar[t - 1]) / (1 - abar[t])
        cov = A @ cov @ A.T + (var if t > 1 else 0) * torch.eye(2, dtype=F64)
    assert torch.allclose(found.mean, mean, rtol=0, atol=1e-9) and torch.allclose(found.cov, cov, rtol=0, atol=1e-9)


def test_samples_approach_the_exact_conditional_at_first_order():
    given, counts, errors = torch.tensor([0.8, -1.1], dtype=F64), [25, 50, 100], []
    for T in counts:
        process = palette.inference_schedule(T, 4 / T / 100, 20 / T)
        found = moments(partial(answered, process, given, variance="large"), shape=(2,))
        errors.append((found.cov - REST).norm().item())
        assert (found.mean - expected(given)).norm() < 0.01
    slope = np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert -1.25 < slope < -0.85 and errors[-1] < 0.05 * REST.norm()


def test_every_step_is_that_of_ddpm_at_the_chain_s_own_level():
    process, x, y = rough(3), draw(2, 1, 4, seed=1), draw(2, 1, 4, seed=2)
    for variance in ("large", "small"):
        z, told = y, []

        def network(y, g, x, told=told):
            told.append(g)
            return lively(y, g, x)

        found = palette.sample(network, process, x, y, variance=variance, noise=Noise(5))
        source = Noise(5)
        for t in (3, 2, 1):
            mean, var = reverse(process, z, t, lively(z, process.abar[t].expand(2), x), variance)
            z = mean + var.sqrt() * source(z) if t > 1 else mean
        assert torch.allclose(found, z, atol=1e-12)
        assert [g.tolist() for g in told] == [[process.abar[t].item()] * 2 for t in (3, 2, 1)]
    assert torch.equal(palette.sample(lively, process, x, y, noise=Noise(5)),
                       palette.sample(lively, process, x, y, variance="small", noise=Noise(5)))  # fmt: skip


# T6: holes, and what is refused


def test_around_the_hole_the_network_sees_what_is_given_and_it_is_returned_as_it_was():
    process, x, y = rough(4), draw(2, 3, 4, 4, seed=1), draw(2, 3, 4, 4, seed=2)
    hole = torch.zeros(4, 4)
    hole[1:3, 2:] = 1
    known, seen = hole == 0, []

    def network(y, g, x):
        seen.append(y)
        return lively(y, g, x)

    found = palette.sample(network, process, x, y, hole=hole, noise=Noise(1))
    assert len(seen) == 4
    for state in [*seen, found]:
        assert torch.equal(state[..., known], x[..., known])
        assert not (state[..., ~known] == x[..., ~known]).any()
    assert torch.equal(seen[0][..., ~known], y[..., ~known])
    everything = palette.sample(lively, process, x, y, hole=torch.ones(1), noise=Noise(1))
    assert torch.equal(everything, palette.sample(lively, process, x, y, noise=Noise(1)))


def test_where_all_is_known_it_is_returned_without_a_question():
    x = draw(2, 3, seed=1)
    found = palette.sample(lambda *_: 1 / 0, rough(3), x, draw(2, 3), hole=torch.zeros(3), noise=Given(refuse))  # pyright: ignore[reportArgumentType]
    assert torch.equal(found, x) and found is not x


def test_colours_are_made_from_fewer_channels():
    """x of one channel, y of three: what needs no hole needs no likeness of shapes."""

    def network(y, g, x):
        return lively(y, g, x.expand_as(y))

    x, y = draw(2, 1, 4, 4, seed=1), draw(2, 3, 4, 4, seed=2)
    assert palette.sample(network, rough(3), x, y, noise=Noise(1)).shape == y.shape
    assert palette.loss(network, rough(3), x, y, noise=Noise(1)).isfinite()
    for call in (palette.loss, palette.sample):
        with pytest.raises(ValueError, match=r"x shows y around it: \(2, 1, 4, 4\) cannot show \(2, 3, 4, 4\)"):
            call(network, rough(3), x, y, hole=torch.ones(4, 4))


class Recorder(nn.Module):
    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x, t):
        self.seen.append((x, t))
        return x[:, 1:]


def test_what_is_given_stands_first_among_the_channels_and_close_levels_are_told_apart():
    network = Recorder()
    gamma = palette.training_schedule().abar[1:].flip(0)
    x, y = draw(2000, 1, 2, seed=1), draw(2000, 2, 2, seed=2)
    assert torch.equal(palette.Concatenated(network)(y, gamma, x), y)
    seen, time = network.seen[0]
    assert torch.equal(seen[:, :1], x) and torch.equal(seen[:, 1:], y)
    # the angle: cos(pi t / 2000) = sqrt(gamma)
    assert torch.allclose(torch.cos(math.pi * time / 2000).square(), gamma, atol=1e-12)
    assert (time[0] > 990) and (time[-1] < 1)
    wave = sinusoidal(time, 32)
    assert (wave[1:] - wave[:-1]).norm(dim=1).min() > 0.01
    ends = palette.Concatenated(network)(y[:2], torch.tensor([0.0, 1.0], dtype=F64), x[:2])
    assert ends.isfinite().all() and network.seen[1][1].tolist() == [1000, 0]


def test_bad_input_is_refused():
    process, x = rough(4), draw(2, 3, 4, seed=1)
    with pytest.raises(ValueError, match="p must be 1 or 2, not 3"):
        palette.loss(lively, process, x, x, p=3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="nothing between"):
        palette.sample(lively, process, x, x, hole=torch.full((4,), 0.5))
    with pytest.raises(ValueError, match=r"a hole of shape \(5,\) does not fit images \(2, 3, 4\)"):
        palette.fill(x, torch.ones(5))
    with pytest.raises(ValueError, match="the hole is empty"):
        palette.loss(lively, process, x, x, hole=torch.zeros(4))
    finer = palette.training_schedule(4, process.beta[1].item() / 2, 0.3)
    with pytest.raises(ValueError, match=r"asks for gamma = .*larger beta_1"):
        palette.sample(lively, finer, x, x, trained=process)
    assert palette.sample(lively, process, x, x, trained=finer, noise=Noise(1)).isfinite().all()
    assert palette.sample(lively, process, x, x, trained=process, noise=Noise(1)).isfinite().all()


def test_arguments_are_left_as_they_were_and_nothing_is_clipped():
    process, x, y, hole = rough(3), 3 * draw(2, 3, 4, seed=1), 3 * draw(2, 3, 4, seed=2), torch.tensor([1.0, 0, 1, 0])
    before = [v.clone() for v in (x, y, hole)]
    palette.loss(lively, process, x, y, hole=hole)
    palette.fill(x, hole)
    # a point mass at 3: the exact network brings every sample there, beyond [-1, 1]
    point = palette.sample(
        lambda y, g, x: (y - 3 * per_row(g.sqrt(), y)) / per_row((1 - g).sqrt(), y), process, x, y, hole=hole
    )
    assert torch.allclose(point[..., [0, 2]], torch.full((), 3.0, dtype=F64))
    assert all(torch.equal(a, b) for a, b in zip(before, (x, y, hole), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [11, 12])
def test_one_network_answers_clearly_variously_and_to_what_was_asked_whatever_its_seed(seed):
    run = demo.DEMO.run(seed=seed)
    for claim in (demo.one_network_four_tasks, demo.several_answers, demo.agreement):
        assert claim(run).holds
    for name in demo.TASKS:
        assert demo.share_valid(demo.answers(run, name)) > demo.share_valid(demo.means(run, name)), name
