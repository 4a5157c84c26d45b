"""Improved DDPM against closed forms on Gaussian data, exact sums over t, and an independent implementation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.schedulers import scheduling_ddpm

from implementations import ddpm, iddpm
from implementations.common.mlp import MLP
from implementations.common.noise import Noise
from implementations.common.rows import per_row
from implementations.dpm import GaussianDiffusion
from implementations.lab.data import Dataset
from implementations.lab.training import train
from implementations.verification.impulses import moments
from tests.implementations import toys
from tests.implementations.toys import F64, rough, scalar_gaussian


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def lively(x, t):
    """A network of 2 C channels that depends on x and on t, neither affinely; its variance leaves the bounds a bit."""
    return torch.cat([toys.lively(x, t), 1.2 * torch.cos(0.7 * x - 0.3 * per_row(t, x))], dim=1)


def tables(process):
    """abar, beta and beta-tilde by NumPy from the betas alone, indexed by t; beta-tilde_1 is the clipped one."""
    beta = process.beta.numpy()
    abar = np.cumprod(1 - beta)
    tilde = np.zeros_like(beta)
    tilde[1:] = beta[1:] * (1 - abar[:-1]) / (1 - abar[1:])
    tilde[1] = tilde[2] if len(beta) > 2 else beta[1]
    return abar, beta, tilde


class Fixed(Noise):
    """Given numbers, whatever is asked for: rows of eps, and rows of u."""

    def __init__(self, *, eps: torch.Tensor | None = None, u: torch.Tensor | None = None):
        super().__init__(0)
        nothing = torch.empty(0)
        self.eps, self.u = nothing if eps is None else eps, nothing if u is None else u

    def __call__(self, like):
        return self.eps.to(like)

    def uniform(self, like):
        assert like.shape == self.u.shape
        return self.u.to(like)


# T1: the schedule


@pytest.mark.parametrize("T", [1, 10, 1000])
def test_cosine_schedule_is_the_closed_form_until_it_is_clipped(T):
    process = iddpm.cosine_schedule(T)
    angle = (np.arange(T + 1) / T + 0.008) / 1.008 * math.pi / 2
    expected = np.cos(angle) ** 2 / np.cos(0.008 / 1.008 * math.pi / 2) ** 2
    assert process.T == T
    np.testing.assert_allclose(process.abar[:T].numpy(), expected[:T], rtol=1e-10)
    assert float(process.beta[T]) == 0.999
    assert float(process.abar[T]) == pytest.approx(expected[T - 1] * 0.001, rel=1e-9)


def test_cosine_schedule_has_the_papers_defaults():
    process = iddpm.cosine_schedule()
    assert process.T == 4000
    # Section 3.2: s makes the first noise slightly smaller than the 1 / 127.5 between two grey levels.
    assert 0.3 / 127.5 < float(process.beta[1].sqrt()) < 1 / 127.5
    assert float(process.abar[2000]) == pytest.approx(0.5, abs=0.02)


def test_offset_and_largest_beta_can_be_chosen():
    process = iddpm.cosine_schedule(8, s=0.1, largest=0.5)
    assert float(process.abar[1]) == pytest.approx(
        math.cos(0.225 / 1.1 * math.pi / 2) ** 2 / math.cos(0.1 / 1.1 * math.pi / 2) ** 2, rel=1e-12
    )
    assert float(process.beta.max()) == 0.5 and float(process.beta[8]) == 0.5
    assert float(iddpm.cosine_schedule(8, s=0.0).abar[4]) == pytest.approx(0.5, rel=1e-12)


@pytest.mark.parametrize("wrong", [{"T": 0}, {"s": -0.1}, {"largest": 0.0}, {"largest": 1.0}, {"largest": math.nan}])
def test_a_schedule_out_of_range_is_named(wrong):
    options: dict[str, Any] = {"T": 4} | wrong
    with pytest.raises(ValueError, match="needs T >= 1, s >= 0 and largest between 0 and 1, not"):
        iddpm.cosine_schedule(**options)


# T1: strided steps


@pytest.mark.parametrize(
    ("T", "K", "expected"),
    [
        (10, 4, [1, 4, 7, 10]),
        (8, 4, [1, 3, 6, 8]),
        (1000, 3, [1, 500, 1000]),
        (7, 7, list(range(1, 8))),
        (9, 1, [9]),
        (1, 1, [1]),
    ],
)
def test_timesteps_are_evenly_spaced_from_1_to_T(T, K, expected):
    assert iddpm.timesteps(T, K).tolist() == expected
    assert iddpm.timesteps(T, K).dtype == torch.int64


def test_timesteps_are_rounded_from_exact_positions():
    """In whole numbers: step j lies at 1 + j 3999 / 3487, never half-way, for the two share no factor."""
    T, K = 4000, 3488
    expected = [1 + (2 * j * (T - 1) + K - 1) // (2 * (K - 1)) for j in range(K)]
    assert iddpm.timesteps(T, K).tolist() == expected


@pytest.mark.parametrize("K", [0, -1, 10])
def test_a_number_of_timesteps_out_of_range_is_named(K):
    with pytest.raises(ValueError, match=r"K must lie in 1\.\.9 .* not"):
        iddpm.timesteps(9, K)


def test_a_strided_chain_has_the_marginals_of_the_full_one():
    """Its betas, multiplied up, give abar at the chosen times, and its steps are compositions of the full chain's."""
    process, tau = rough(20), torch.tensor([2, 3, 9, 20])
    short = iddpm.strided(process, tau)
    abar, beta, _ = tables(process)
    np.testing.assert_allclose(np.cumprod(1 - short.beta.numpy())[1:], abar[tau.numpy()], rtol=1e-12)
    # x_9 = sqrt(alpha_4 ... alpha_9) x_3 + noise, whose variance accumulates step by step
    variance = 0.0
    for t in range(4, 10):
        variance = (1 - beta[t]) * variance + beta[t]
    assert float(short.beta[3]) == pytest.approx(variance, rel=1e-12)
    expected = [(1 - abar[s]) / (1 - abar[t]) * (1 - abar[t] / abar[s]) for s, t in [(0, 2), (2, 3), (3, 9), (9, 20)]]
    np.testing.assert_allclose(short.posterior_variance[1:].numpy(), expected, rtol=1e-12, atol=1e-15)


def test_all_steps_are_the_chain_itself_and_strides_compose():
    process = rough(12)
    torch.testing.assert_close(iddpm.strided(process, torch.arange(1, 13)).beta, process.beta, rtol=1e-12, atol=0)
    twice = iddpm.strided(iddpm.strided(process, torch.tensor([2, 5, 8, 12])), torch.tensor([2, 4]))
    torch.testing.assert_close(twice.beta, iddpm.strided(process, torch.tensor([5, 12])).beta, rtol=1e-12, atol=0)


@pytest.mark.parametrize("tau", [[], [0, 3], [3, 3], [5, 2], [10], [3, 10]])
def test_timesteps_that_do_not_increase_within_the_process_are_refused(tau):
    with pytest.raises(ValueError, match=r"timesteps must increase strictly within 1\.\.9, got"):
        iddpm.strided(rough(9), torch.tensor(tau, dtype=torch.long))


def test_a_strided_chain_asks_the_model_at_the_chosen_times():
    seen, tau, x = [], torch.tensor([2, 5, 9]), torch.zeros(2, 1)
    model = iddpm.retimed(lambda x, t: seen.append(t.tolist()) or torch.cat([x, x], 1), tau)
    iddpm.sample(model, iddpm.strided(rough(9), tau), x, noise=Noise(0))
    assert seen == [[9, 9], [5, 5], [2, 2]]
    model(torch.zeros(3, 1), torch.tensor([3, 1, 2]))
    assert seen[-1] == [9, 2, 5]


# T1: the reverse law


@pytest.mark.parametrize("t", [2, 5, 20])
def test_variance_lies_between_its_bounds_in_the_log_domain(t):
    process = rough(20)
    _, beta, tilde = tables(process)
    x = torch.zeros(5, 1, dtype=F64)
    place = torch.tensor([[-1.0], [-0.5], [0.0], [0.5], [1.0]], dtype=F64)
    _, variance = iddpm.reverse(process, x, t, torch.cat([x, place], 1))
    ratio = beta[t] / tilde[t]
    np.testing.assert_allclose(
        variance[:, 0].numpy(), tilde[t] * ratio ** np.array([0, 0.25, 0.5, 0.75, 1]), rtol=1e-12
    )
    # the paper puts no constraint on it: it may also leave them
    _, outside = iddpm.reverse(process, x[:1], t, torch.tensor([[0.0, 3.0]], dtype=F64))
    assert float(outside) == pytest.approx(tilde[t] * ratio**2, rel=1e-12)


@pytest.mark.parametrize(("T", "lowest"), [(20, "tilde_2"), (1, "beta_1")])
def test_the_first_steps_lower_bound_is_the_seconds(T, lowest):
    process = rough(T)
    beta_1 = float(process.beta[1])
    if lowest == "tilde_2":
        beta_2 = float(process.beta[2])
        expected = beta_2 * beta_1 / (1 - (1 - beta_1) * (1 - beta_2))
    else:
        expected = beta_1
    output = torch.tensor([[0.3, -1.0], [0.3, 1.0]], dtype=F64)
    _, variance = iddpm.reverse(process, torch.zeros(2, 1, dtype=F64), 1, output)
    np.testing.assert_allclose(variance[:, 0].numpy(), [expected, beta_1], rtol=1e-12)


@pytest.mark.parametrize("t", [1, 2, 7, 20])
def test_mean_is_ddpms(t):
    process, x = rough(20), torch.randn(4, 2, 3, dtype=F64)
    output = lively(x, torch.full((4,), t))
    mean, variance = iddpm.reverse(process, x, t, output)
    torch.testing.assert_close(mean, ddpm.reverse(process, x, t, output[:, :2])[0], rtol=0, atol=1e-12)
    assert variance.shape == mean.shape == x.shape


@pytest.mark.parametrize("t", [2, 7, 20])
def test_clipping_limits_the_predicted_x_0_alone(t):
    """Bayes' rule at the clipped x_0: the product of the forward step and the marginal, as functions of x_{t-1}."""
    process, x = rough(20), torch.linspace(-2, 2, 101, dtype=F64)[:, None]
    output = lively(x, torch.full((101,), t))
    mean, _ = iddpm.reverse(process, x, t, output, clip=(-0.4, 0.7))
    abar, beta, _ = tables(process)
    x_0 = ((x - (1 - abar[t]) ** 0.5 * output[:, :1]) / abar[t] ** 0.5).clamp(-0.4, 0.7)
    assert -0.4 in x_0 and 0.7 in x_0 and len(x_0.unique()) > 3
    precision = (1 - beta[t]) / beta[t] + 1 / (1 - abar[t - 1])
    expected = ((1 - beta[t]) ** 0.5 / beta[t] * x + abar[t - 1] ** 0.5 / (1 - abar[t - 1]) * x_0) / precision
    torch.testing.assert_close(mean, expected, rtol=0, atol=1e-12)


def test_a_t_for_each_row_equals_one_t_at_a_time():
    process, x = rough(20), torch.randn(4, 3, 2, dtype=F64)
    t = torch.tensor([1, 4, 20, 9])
    output = lively(x, t)
    laws = iddpm.reverse(process, x, t, output)
    for row, each in enumerate(t.tolist()):
        alone = iddpm.reverse(process, x[row : row + 1], each, output[row : row + 1])
        for law, one in zip(laws, alone, strict=True):
            torch.testing.assert_close(law[row : row + 1], one)


def test_a_model_without_a_variance_and_an_empty_signal_are_named():
    x = torch.zeros(1, 2, dtype=F64)
    with pytest.raises(ValueError, match="must return 2 x 2 channels, the noise and then the variance, not 2"):
        iddpm.sample(lambda x, t: x, rough(3), x)
    with pytest.raises(ValueError, match="abar_T is 0"):
        iddpm.sample(lively, GaussianDiffusion(torch.tensor([0.5, 1.0])), x)


# T1: the losses


def hand_term(process, x_0, x_t, t, output, levels):
    """L_{t-1} of one row by torch.distributions, from the paper's definitions."""
    abar, beta, tilde = tables(process)
    eps, place = output.chunk(2)
    mean = (x_t - beta[t] / (1 - abar[t]) ** 0.5 * eps) / (1 - beta[t]) ** 0.5
    v = (place + 1) / 2
    sd = torch.exp(v * math.log(beta[t]) + (1 - v) * math.log(tilde[t])).sqrt()
    law = torch.distributions.Normal(mean, sd)
    if t > 1:
        to_x_0 = abar[t - 1] ** 0.5 * beta[t] / (1 - abar[t])
        to_x_t = (1 - beta[t]) ** 0.5 * (1 - abar[t - 1]) / (1 - abar[t])
        truth = torch.distributions.Normal(to_x_0 * x_0 + to_x_t * x_t, torch.tensor(tilde[t]).sqrt())
        nats = torch.distributions.kl_divergence(truth, law)
    elif levels is None:
        nats = -law.log_prob(x_0)
    else:
        half = 1 / (levels - 1)
        upper = torch.where(x_0 == 1, torch.ones_like(x_0), law.cdf(x_0 + half))
        nats = -(upper - torch.where(x_0 == -1, torch.zeros_like(x_0), law.cdf(x_0 - half))).log()
    return float(nats.mean()) / math.log(2)


@pytest.mark.parametrize("levels", [9, None])
def test_each_term_is_the_divergence_or_the_decoder(levels):
    process = rough(6)
    x_0 = torch.linspace(-1, 1, 9, dtype=F64)[torch.arange(7 * 2 * 3).view(7, 2, 3) % 9]
    t = torch.tensor([1, 2, 3, 1, 6, 5, 4])
    x_t = process.diffuse(x_0, t, Noise(0)(x_0))
    output = lively(x_t, t)
    bits = iddpm.term(process, x_0, x_t, t, output, levels)
    expected = [hand_term(process, x_0[r], x_t[r], int(t[r]), output[r], levels) for r in range(7)]
    np.testing.assert_allclose(bits.numpy(), expected, rtol=1e-8)


def test_terms_and_bound_can_clip_the_predicted_x_0():
    process, x_0 = rough(4), torch.tensor([[0.5], [-0.25]], dtype=F64)
    clip = (-0.3, 0.3)

    def clipped(x, t):
        """The model that already predicts the clipped x_0."""
        eps, place = lively(x, t).chunk(2, dim=1)
        alpha, sigma = process.at(process.abar, t, x).sqrt(), (1 - process.at(process.abar, t, x)).sqrt()
        return torch.cat([(x - alpha * ((x - sigma * eps) / alpha).clamp(*clip)) / sigma, place], dim=1)

    found = iddpm.bits_per_dimension(lively, process, x_0, None, clip=clip, noise=Noise(3))
    expected = iddpm.bits_per_dimension(clipped, process, x_0, None, noise=Noise(3))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=0)
    assert not torch.allclose(found, iddpm.bits_per_dimension(lively, process, x_0, None, noise=Noise(3)))


def test_with_a_fixed_variance_the_bound_is_ddpms():
    process, levels = rough(6), 9
    x_0 = torch.linspace(-1, 1, levels, dtype=F64)[torch.tensor([[0, 3], [8, 5], [4, 4]])]
    fixed: list[tuple[ddpm.Variance, float]] = [("small", -1.0), ("large", 1.0)]
    for variance, place in fixed:

        def model(x, t, place=place):
            return torch.cat([lively(x, t)[:, :2], torch.full_like(x, place)], 1)

        ours = iddpm.bits_per_dimension(model, process, x_0, levels, noise=Noise(7))
        theirs = ddpm.bits_per_dimension(
            lambda x, t: lively(x, t)[:, :2], process, x_0, levels, variance=variance, noise=Noise(7)
        )
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("weight", [None, 0.25])
def test_the_bound_trains_the_variance_and_only_the_simple_loss_the_mean(weight):
    """Value and gradients of the hybrid loss, each half of the output apart, from formulas written out."""
    T, lam = 6, 0.001 if weight is None else weight
    process, x_0 = rough(T), 0.3 * torch.randn(40, 3, dtype=F64)
    abar, beta, tilde = tables(process)
    again = Noise(5)
    t, eps = again.integers(1, T, x_0), again(x_0)
    x_t = process.diffuse(x_0, t, eps)
    assert t.min() == 1 and t.max() == T
    output = lively(x_t, t).requires_grad_()
    seen = []
    options = {} if weight is None else {"weight": weight}
    value = iddpm.hybrid_loss(lambda x, t: seen.append((x, t)) or output, process, x_0, None, noise=Noise(5), **options)
    (gradient,) = torch.autograd.grad(value, output)
    torch.testing.assert_close(seen[0][0], x_t)
    assert torch.equal(seen[0][1], t)

    guess, place = output.detach().chunk(2, dim=1)
    terms = [hand_term(process, x_0[r], x_t[r], int(t[r]), output.detach()[r], None) for r in range(40)]
    expected = ((eps - guess) ** 2).mean() + lam * T * sum(terms) / 40
    assert float(value.detach()) == pytest.approx(float(expected), rel=1e-10)
    torch.testing.assert_close(gradient[:, :3], -2 * (eps - guess) / 120, rtol=1e-12, atol=1e-15)
    # d/dplace of [log var_p + (var_q + d^2) / var_p] / 2, where log var_p moves by log(beta / tilde) / 2
    for row, each in enumerate(t.tolist()):
        mean = (x_t[row] - beta[each] / (1 - abar[each]) ** 0.5 * guess[row]) / (1 - beta[each]) ** 0.5
        v = (place[row] + 1) / 2
        var_p = beta[each] ** v * tilde[each] ** (1 - v)
        if each > 1:
            of_x_0 = abar[each - 1] ** 0.5 * beta[each] / (1 - abar[each]) * x_0[row]
            of_x_t = (1 - beta[each]) ** 0.5 * (1 - abar[each - 1]) / (1 - abar[each]) * x_t[row]
            square = tilde[each] + (of_x_0 + of_x_t - mean) ** 2
        else:
            square = (x_0[row] - mean) ** 2
        slope = 0.5 * (1 - square / var_p) * math.log(beta[each] / tilde[each]) / 2
        torch.testing.assert_close(gradient[row, 3:], lam * T * slope / 120 / math.log(2), rtol=1e-9, atol=1e-15)


def test_losses_take_the_predicted_x_0_as_it_is_however_far_out():
    """Clipping stops the gradient there, where a network is most in the wrong: it is for samples and for the bound."""
    T = 6
    process, x_0 = rough(T), 0.3 * torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=F64)
    again = Noise(5)
    t, eps = again.integers(1, T, x_0), again(x_0)
    x_t = process.diffuse(x_0, t, eps)
    output = 9 * lively(x_t, t)
    guess = output[:, :3]
    assert ddpm.predict_x_0(process, x_t, t, guess).abs().max() > 2
    terms = [hand_term(process, x_0[r], x_t[r], int(t[r]), output[r], None) for r in range(20)]
    hybrid = iddpm.hybrid_loss(lambda x, t: output, process, x_0, None, noise=Noise(5))
    assert float(hybrid) == pytest.approx(float(((eps - guess) ** 2).mean() + 0.001 * T * sum(terms) / 20), rel=1e-10)


def test_gradients_stay_finite_where_the_decoder_is_hopeless():
    """The decoder's probability of data far from the mean is 0 in float32; it must not spoil rows at other times."""
    process, x_0 = rough(4), torch.full((3, 1), -1.0)
    t = torch.tensor([2, 3, 4])
    output = torch.full((3, 2), 1e4).requires_grad_()
    iddpm.term(process, x_0, x_0, t, output * torch.tensor([1.0, 0.0]), 257).sum().backward()
    assert output.grad is not None and output.grad.isfinite().all()


# T1: importance sampling


def filled(history, uniform=0.0):
    """An Importance whose history of each t is given."""
    rows = torch.tensor(history, dtype=F64)
    importance = iddpm.Importance(len(rows), rows.shape[1], uniform)
    for column in rows.T:
        importance.record(torch.arange(1, len(rows) + 1), column)
    return importance


def test_probabilities_follow_the_root_mean_square_of_the_history():
    importance = filled([[3.0, 4.0], [0.0, 0.0], [1.0, -7.0]], uniform=0.1)
    root = np.sqrt([12.5, 0.0, 25.0])
    np.testing.assert_allclose(importance.probabilities().numpy(), 0.9 * root / root.sum() + 0.1 / 3, rtol=1e-12)


def test_history_holds_the_last_ten_losses_and_is_uniform_until_it_is_full():
    importance = iddpm.Importance(2)
    assert importance.uniform == 0.001
    for k in range(12):
        importance.record(torch.tensor([1]), torch.tensor([float(k)]))
    importance.record(torch.full((9,), 2), torch.full((9,), 5.0))
    assert importance.probabilities().tolist() == [0.5, 0.5]
    importance.record(torch.tensor([2]), torch.tensor([5.0]))
    root = np.sqrt(np.mean(np.arange(2.0, 12.0) ** 2))
    expected = 0.999 * root / (root + 5) + 0.0005
    assert float(importance.probabilities()[0]) == pytest.approx(expected, rel=1e-12)


def test_without_any_loss_every_time_is_as_likely():
    assert filled([[0.0], [0.0]]).probabilities().tolist() == [0.5, 0.5]
    assert filled([[0.0], [2.0]], uniform=0.2).probabilities().tolist() == pytest.approx([0.1, 0.9])


def test_losses_of_one_batch_are_recorded_in_order_and_without_a_graph():
    importance = iddpm.Importance(3, size=2)
    loss = torch.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    importance.record(torch.tensor([2, 2, 3, 2]), loss)
    assert importance.losses.tolist() == [[0.0, 0.0], [2.0, 4.0], [0.0, 3.0]]
    assert importance.count.tolist() == [0, 3, 1]
    assert not importance.losses.requires_grad


def test_draws_are_counted_beyond_what_bfloat16_can_count():
    """As part of a network that is cast to it, where 256 + 1 is 256."""
    importance = iddpm.Importance(1, size=300).bfloat16()
    importance.record(torch.ones(300, dtype=torch.int64), torch.full((300,), 2.0))
    assert importance.count.tolist() == [300]


def test_a_loss_without_its_time_is_refused():
    importance = iddpm.Importance(3)
    with pytest.raises(ValueError, match=r"shorter|longer"):
        importance.record(torch.tensor([1, 2]), torch.tensor([1.0]))
    with pytest.raises(ValueError, match=r"shorter|longer"):
        importance.record(torch.tensor([1]), torch.tensor([1.0, 2.0]))


def test_times_are_drawn_as_often_as_they_should_be():
    """u on a grid is the exact expectation when every p_t is a multiple of its spacing: here 1/8, 3/8 and 1/2."""
    importance = filled([[1.0], [3.0], [4.0]])
    grid = (torch.arange(8, dtype=F64) + 0.5) / 8
    t, weight = importance.draw(torch.zeros(8, 2, 3), noise=Fixed(u=grid))
    assert t.tolist() == [1, 2, 2, 2, 3, 3, 3, 3]
    np.testing.assert_allclose(weight.numpy(), [8, 8 / 3, 8 / 3, 8 / 3, 2, 2, 2, 2], rtol=1e-12)
    edges, _ = importance.draw(torch.zeros(3, 1), noise=Fixed(u=torch.tensor([0.0, 0.125, 1 - 2**-53], dtype=F64)))
    assert edges.tolist() == [1, 2, 3]
    # ten times 1/10 is a little less than 1, and u may lie between
    tenths = iddpm.Importance(10)
    last = tenths.probabilities().cumsum(0)[-1:]
    assert last < 1
    assert tenths.draw(torch.zeros(1, 1), noise=Fixed(u=last))[0].tolist() == [10]


def test_the_estimate_of_the_bound_is_its_exact_sum_over_t():
    """The same x_0 and eps in every row; the mean over the grid of u must be L_0 + ... + L_{T-1}, whatever p is."""
    process = rough(3)
    x_0 = torch.tensor([[0.25, -1.0]], dtype=F64).expand(8, 2)
    eps = torch.tensor([[0.7, -0.4]], dtype=F64).expand(8, 2)
    grid = (torch.arange(8, dtype=F64) + 0.5) / 8
    importance = filled([[1.0], [3.0], [4.0]])
    value = iddpm.bound_loss(lively, process, x_0, 9, importance, noise=Fixed(eps=eps, u=grid))
    each = []
    for t in (1, 2, 3):
        x_t = process.diffuse(x_0[:1], t, eps[:1])
        each.append(hand_term(process, x_0[0], x_t[0], t, lively(x_t, torch.tensor([t]))[0], 9))
    assert float(value) == pytest.approx(sum(each), rel=1e-9)
    np.testing.assert_allclose(importance.losses[:, 0].numpy(), each, rtol=1e-9)  # the terms, not weighted
    assert importance.count.tolist() == [2, 4, 5]


def test_in_proportion_to_the_terms_the_estimate_has_no_variance():
    """Zero variance is the best there is: at p_t proportional to L_t every draw gives the sum."""
    process = rough(3)
    x_0 = torch.tensor([[0.25]], dtype=F64).expand(3, 1)
    eps = torch.zeros_like(x_0)
    t = torch.tensor([1, 2, 3])
    x_t = process.diffuse(x_0, t, eps)
    terms = iddpm.term(process, x_0, x_t, t, lively(x_t, t), None).abs()
    for u in (0.01, 0.5, 0.99):
        importance = filled(terms[:, None].tolist())
        draw = Fixed(eps=eps[:1], u=torch.tensor([u], dtype=F64))
        value = iddpm.bound_loss(lively, process, x_0[:1], None, importance, noise=draw)
        assert abs(float(value)) == pytest.approx(float(terms.sum()), rel=1e-9)


def test_the_bound_loss_trains_mean_and_variance():
    process, x_0 = rough(3), torch.randn(16, 2)
    scale = torch.ones(2, requires_grad=True)

    def model(x, t):
        guess, place = lively(x, t).chunk(2, dim=1)
        return torch.cat([scale[0] * guess, scale[1] * place], dim=1)

    value = iddpm.bound_loss(model, process, x_0, None, iddpm.Importance(3), noise=Noise(1))
    assert value.dtype == torch.float32
    assert (torch.autograd.grad(value, scale)[0] != 0).all()


def test_an_importance_out_of_range_is_named():
    wrong: list[dict[str, Any]] = [{"T": 0}, {"T": 3, "size": 0}, {"T": 3, "uniform": -0.1}, {"T": 3, "uniform": 1.1}]
    for options in wrong:
        with pytest.raises(ValueError, match=r"importance needs T >= 1, size >= 1, uniform in 0\.\.1, not"):
            iddpm.Importance(**options)
    assert iddpm.Importance(1, 1, 0.0).probabilities().tolist() == [1.0]
    assert iddpm.Importance(2, 1, 1.0).uniform == 1.0


def test_a_resumed_run_remembers_the_history(tmp_path):
    """The history is part of the network, so a checkpoint takes it along and the times drawn afterwards agree."""
    process = rough(3)
    x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    dataset = Dataset("points", x, None, x, None, None, (-4.0, 4.0))

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.network, self.importance = MLP(2, 4, width=16, depth=1), iddpm.Importance(3, 2)

        def forward(self, x, t):
            return self.network(x, t)

    def run(steps, **options):
        network = Network()

        def objective(model, batch, noise):
            return iddpm.bound_loss(model, process, batch[0], None, network.importance, noise=noise)

        return train(network, objective, dataset, steps=steps, batch_size=16, **options)

    whole = run(8)
    assert (whole.model.importance.count >= 2).all()
    run(4, out=tmp_path)
    resumed = run(8, out=tmp_path, resume=True)
    assert resumed.losses == whole.losses
    assert torch.equal(resumed.model.importance.losses, whole.model.importance.losses)


# T2: exact moments


def best_place(process, s):
    """Where, between -1 and 1 and for each t, the variance of x_{t-1} given x_t lies for data N(m, s^2), by Bayes.

    x_{t-1} ~ N(., V), V = abar_{t-1} s^2 + 1 - abar_{t-1}, then x_t = sqrt(alpha_t) x_{t-1} + noise of variance beta_t.
    """
    abar, beta, tilde = tables(process)
    V = abar[:-1] * s**2 + 1 - abar[:-1]
    exact = 1 / (1 / V + (1 - beta[1:]) / beta[1:])
    v = np.log(exact / tilde[1:]) / np.log(beta[1:] / tilde[1:])
    return exact, torch.from_numpy(np.concatenate([[0.0], 2 * v - 1]))


def gaussian_model(law, process, place):
    """The exact noise, and a variance that depends on t alone."""
    exact = law.model(process.abar)
    return lambda x, t: torch.cat([exact(x, t), process.at(place, t, x).expand_as(x)], dim=1)


@pytest.mark.parametrize(("T", "K"), [(1, 1), (2, 2), (30, 30), (30, 6), (30, 1)])
def test_moments_of_sampling_are_those_of_the_papers_recursion(T, K):
    """Gaussian data makes the sampler affine in its noise: mean and variance follow two scalar recursions."""
    process, m, s = rough(T), 0.7, 0.4
    tau = iddpm.timesteps(T, K)
    short = iddpm.strided(process, tau)
    place = torch.linspace(-1.2, 0.9, T + 1, dtype=F64)
    model = iddpm.retimed(gaussian_model(scalar_gaussian(m, s), process, place), tau)
    found = moments(lambda x_T, noise: iddpm.sample(model, short, x_T, noise=noise), (1,))

    abar, beta, tilde = tables(short)
    mu, var = 0.0, 1.0
    for k in range(K, 0, -1):
        to_x_0 = abar[k - 1] ** 0.5 * beta[k] / (1 - abar[k])
        to_x_t = (1 - beta[k]) ** 0.5 * (1 - abar[k - 1]) / (1 - abar[k])
        gain = abar[k] ** 0.5 * s**2 / (abar[k] * s**2 + 1 - abar[k])
        v = (float(place[tau[k - 1]]) + 1) / 2
        mu = to_x_0 * (m + gain * (mu - abar[k] ** 0.5 * m)) + to_x_t * mu
        var = (to_x_0 * gain + to_x_t) ** 2 * var + (beta[k] ** v * tilde[k] ** (1 - v) if k > 1 else 0.0)
    assert float(found.mean) == pytest.approx(mu, abs=1e-9)
    assert float(found.std) == pytest.approx(math.sqrt(var), abs=1e-9)


@pytest.mark.parametrize("K", [2, 5, 30])
def test_with_the_best_variance_the_strided_chain_is_exact(K):
    """Every step is then Bayes' own: from the true x_T the samples have the data's law, but for the last step's noise.

    The sampler's last step returns the mean E[x_0 | x_1], so what is missing is Var[x_0 | x_1].
    """
    process, m, s = rough(30), 0.7, 0.4
    tau = iddpm.timesteps(30, K)
    short = iddpm.strided(process, tau)
    exact, place = best_place(short, s)
    assert ((exact[1:] > tables(short)[2][2:]) & (exact[1:] < tables(short)[1][2:])).all()
    law = scalar_gaussian(m, s)
    eps = iddpm.retimed(law.model(process.abar), tau)

    def model(x, k):
        return torch.cat([eps(x, k), short.at(place, k, x).expand_as(x)], dim=1)

    abar_T = float(short.abar[-1])

    def sampler(z, noise):
        x_T = abar_T**0.5 * m + (abar_T * s**2 + 1 - abar_T) ** 0.5 * z
        return iddpm.sample(model, short, x_T, noise=noise)

    found = moments(sampler, (1,))
    assert float(found.mean) == pytest.approx(m, abs=1e-9)
    assert float(found.std**2) == pytest.approx(s**2 - exact[0], abs=1e-9)


def test_a_point_mass_is_returned_exactly():
    """With one data point the exact denoiser knows x_0, and the last step adds no noise."""
    process, c = rough(12), torch.tensor([[0.3, -2.0]], dtype=F64)

    def exact(x, t):
        abar = process.at(process.abar, t, x)
        return torch.cat([(x - abar.sqrt() * c) / (1 - abar).sqrt(), torch.ones_like(x)], dim=1)

    x_T = Noise(3)(torch.empty(9, 2, dtype=F64))
    out = iddpm.sample(exact, process, x_T, noise=Noise(4))
    torch.testing.assert_close(out, c.expand(9, 2), rtol=0, atol=1e-12)
    clipped = iddpm.sample(exact, process, x_T, clip=(-1, 1), noise=Noise(4))
    torch.testing.assert_close(clipped, c.clamp(-1, 1).expand(9, 2), rtol=0, atol=1e-12)


# T4: the bound


def exact_mean_of_bits(model, process, m, s):
    """E over data and noise of every term: all are quadratic in two normal draws, so the four corners are exact."""
    signs = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]], dtype=F64)
    eps = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]], dtype=F64)
    return iddpm.bits_per_dimension(model, process, m + s * signs, None, noise=Fixed(eps=eps)).mean(1)


@pytest.mark.parametrize("K", [1, 2, 4, 12])
def test_with_the_best_variance_the_bound_is_the_entropy_and_the_mismatch_of_x_T(K):
    """Then p(x_{t-1} | x_t) is q(x_{t-1} | x_t), and the bound H(x_0) + KL(q(x_T) | p(x_T)): nothing else is lost."""
    process, m, s = rough(12), 0.7, 0.4
    tau = iddpm.timesteps(12, K)
    short = iddpm.strided(process, tau)
    exact, place = best_place(short, s) if K > 1 else (None, None)
    abar, beta, tilde = tables(short)
    V = abar[K] * s**2 + 1 - abar[K]
    best = 0.5 * math.log(2 * math.pi * math.e * s**2) + 0.5 * (V + abar[K] * m**2 - 1 - math.log(V))

    def model_with(table):
        eps = iddpm.retimed(scalar_gaussian(m, s).model(process.abar), tau)
        return lambda x, k: torch.cat([eps(x, k), short.at(table, k, x).expand_as(x)], dim=1)

    if K > 1:
        bits = exact_mean_of_bits(model_with(place), short, m, s)
        assert bits.shape == (K + 1,)
        assert float(bits.sum()) == pytest.approx(best / math.log(2), rel=1e-10)
    # A wrong variance costs KL(N(0, exact) | N(0, wrong)) at each step, so any other is worse by a known amount.
    exact = 1 / (1 / (abar[:-1] * s**2 + 1 - abar[:-1]) + (1 - beta[1:]) / beta[1:])
    for value, variance in ((-1.0, tilde[1:]), (1.0, beta[1:])):
        ratio = exact / variance
        worse = best + 0.5 * (ratio - 1 - np.log(ratio)).sum()
        found = exact_mean_of_bits(model_with(torch.full((K + 1,), value, dtype=F64)), short, m, s)
        assert float(found.sum()) == pytest.approx(worse / math.log(2), rel=1e-10)


def test_the_bound_is_least_at_the_best_variance():
    """The gradient of the exact bound is 0 there for every t: so training ends there."""
    process, m, s = rough(8), -0.2, 0.6
    _, place = best_place(process, s)
    table = place[1:].clone().requires_grad_()
    signs = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]], dtype=F64).repeat(8, 1)
    eps = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]], dtype=F64).repeat(8, 1)
    t = torch.arange(1, 9).repeat_interleave(4)
    x_t = process.diffuse(m + s * signs, t, eps)
    guess = scalar_gaussian(m, s).model(process.abar)(x_t, t)
    bits = iddpm.term(process, m + s * signs, x_t, t, torch.cat([guess, table[t - 1, None]], dim=1), None).sum()
    (slope,) = torch.autograd.grad(bits, table)
    assert float(slope.abs().max()) < 1e-12


# T5: parity with an independent implementation


def scheduler_of(process):
    """diffusers' scheduler with our tables in float64: its own are float32."""
    scheduler = scheduling_ddpm.DDPMScheduler(
        num_train_timesteps=process.T, variance_type="learned_range", beta_schedule="squaredcos_cap_v2",
        clip_sample=False,
    )  # fmt: skip
    # its schedule is the paper's, rounded: to float32, in which abar near T has few digits left
    torch.testing.assert_close(scheduler.betas.double(), process.beta[1:], rtol=1e-5, atol=1e-7)
    scheduler.alphas_cumprod = process.abar[1:]
    scheduler.one = torch.ones((), dtype=F64)
    return scheduler


@pytest.mark.parametrize("K", [40, 7])
@pytest.mark.parametrize("clip", [None, (-1.0, 1.0)])
def test_step_by_step_parity_with_diffusers(K, clip, monkeypatch):
    """Where it is right, which is where the last step is t = 1.

    It adds no noise there, so that its own lower bound, 1e-20, does no harm (in L_0 it would; the authors' and ours is
    beta-tilde_2).  But after any other last time, as for a single step from T, it adds noise to the data.  Its tables
    are float32, and its default spacing does not start at T; both are replaced here.
    """
    T = 40
    process, tau = iddpm.cosine_schedule(T), iddpm.timesteps(T, K)
    scheduler = scheduler_of(process)
    scheduler.register_to_config(clip_sample=clip is not None)
    scheduler.set_timesteps(timesteps=(tau.flip(0) - 1).tolist())
    x_T = Noise(1)(torch.empty(6, 3, dtype=F64))
    model, short = iddpm.retimed(lively, tau), iddpm.strided(process, tau)
    ours = iddpm.sample(model, short, x_T, clip=clip, noise=Noise(2))

    shared, x = Noise(2), x_T
    monkeypatch.setattr(scheduling_ddpm, "randn_tensor", lambda *a, **k: shared(x_T))
    for t in scheduler.timesteps.tolist():
        x = scheduler.step(lively(x, torch.full((6,), t + 1)), t, x, return_dict=False)[0]
    torch.testing.assert_close(ours, x, rtol=1e-9, atol=1e-9)


# T6: invariants


def test_same_seed_same_samples_and_arguments_unchanged():
    process, x_T = rough(9), torch.randn(4, 1, 3, 3)
    kept = x_T.clone()
    first = iddpm.sample(lively, process, x_T, noise=Noise(3))
    assert torch.equal(first, iddpm.sample(lively, process, x_T, noise=Noise(3)))
    assert not torch.equal(first, iddpm.sample(lively, process, x_T, noise=Noise(4)))
    assert torch.equal(x_T, kept)
    assert first.dtype == x_T.dtype and first.shape == x_T.shape


def test_a_batch_of_8_equals_two_of_4():
    process, x_T = rough(9), torch.randn(8, 2)
    whole = iddpm.sample(lively, process, x_T, noise=Noise(range(8)))
    halves = [iddpm.sample(lively, process, x_T[i : i + 4], noise=Noise(range(i, i + 4))) for i in (0, 4)]
    torch.testing.assert_close(whole, torch.cat(halves))
