"""RePaint against the authors' list of levels, closed forms of what it paints, a recursion, and diffusers."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from math import atanh, sqrt

import numpy as np
import pytest
import torch
from diffusers.schedulers import scheduling_repaint

from implementations import ddpm
from implementations.common.noise import Noise
from implementations.common.rows import for_all
from implementations.demos import repaint as demo
from implementations.dpm import GaussianDiffusion
from implementations.repaint import ancestral, sample, schedule, step, trajectory, undo
from implementations.verification import impulses
from implementations.verification.impulses import moments
from tests.implementations.toys import F64, Given, draw, lively, refuse, rough

VARIANCES = ("small", "large")


# T1: the levels


def test_levels_are_the_authors_list():
    assert schedule(12, 3, 2).tolist() == [
        *(12, 11, 10, 9, 8, 7, 8, 9, 10, 9, 8, 7, 6, 5, 4, 5, 6, 7, 6, 5, 4, 3, 2, 1, 2, 3, 4, 3, 2, 1, 0)
    ]
    assert schedule(5, 3, 3).tolist() == [5, 4, 3, 2, 1, 2, 3, 4, 3, 2, 1, 2, 3, 4, 3, 2, 1, 0]
    assert schedule(3, 2, 2).tolist() == [3, 2, 1, 2, 3, 2, 1, 0]
    assert schedule(1, 1, 1).tolist() == [1, 0]
    assert schedule(12, 3, 2).dtype == torch.int64


def test_the_papers_choice_is_250_steps_with_ten_jumps_of_ten():
    """Section 5.1: r = j = 10 on T = 250; the counts are those of the authors' scheduler."""
    levels = schedule(250)
    assert torch.equal(levels, schedule(250, 10, 10)) and len(levels) == 4571
    assert (levels.diff() == -1).sum() == 2410 and (levels.diff() == 1).sum() == 2160
    ups = Counter(a for a, b in pairwise(levels.tolist()) if b > a)
    assert ups == dict.fromkeys(range(1, 241), 9)


@pytest.mark.parametrize(("T", "j", "r"), [(12, 3, 2), (12, 4, 3), (13, 1, 4), (9, 8, 3), (10, 5, 2), (7, 2, 5)])
def test_levels_are_those_of_diffusers_and_their_number_is_as_foretold(T, j, r):
    """Its list says at which index the model is asked or to which one goes up: levels less 1, without the last."""
    scheduler = scheduling_repaint.RePaintScheduler(T)
    scheduler.set_timesteps(T, j, r)
    levels = schedule(T, j, r)
    assert (levels[:-1] - 1).tolist() == scheduler.timesteps.tolist()
    jumps = (r - 1) * -(-(T - j) // j)
    assert (levels.diff() == -1).sum() == T + j * jumps and (levels.diff() == 1).sum() == j * jumps


@pytest.mark.parametrize(("T", "U"), [(1, 1), (4, 1), (2, 2), (5, 3)])
def test_jumps_of_one_step_are_algorithm_1(T, U):
    """For each t the step down U times, and up again after all but the last; at t = 1 there is no way up."""
    visited = [T]
    for t in range(T, 0, -1):
        for u in range(1, U + 1):
            if t > 1 or u == 1:
                visited.append(t - 1)
            if u < U and t > 1:
                visited.append(t)
    assert schedule(T, 1, U).tolist() == visited


@pytest.mark.parametrize("j", [1, 3, 6, 40])
def test_without_repeats_there_are_no_jumps_however_long(j):
    assert schedule(6, j, 1).tolist() == [6, 5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize(("T", "j", "r"), [(6, 6, 2), (6, 7, 2), (6, 10, 10), (1, 1, 2)])
def test_a_jump_that_fits_nowhere_is_refused(T, j, r):
    with pytest.raises(ValueError, match=rf"no jump of {j} steps fits into a chain of {T}: .* r = 1"):
        schedule(T, j, r)


@pytest.mark.parametrize(("T", "j", "r"), [(0, 1, 1), (6, 0, 2), (6, -2, 2), (6, 2, 0), (6, 2, -1)])
def test_counts_below_1_are_refused(T, j, r):
    with pytest.raises(ValueError, match=f"T, j and r must be at least 1, not {T}, {j} and {r}"):
        schedule(T, j, r)


# T1: one step


def law_of_rows(x, t):
    """A reverse law whose mean and variance differ from entry to entry, as where the variance is learned."""
    return torch.sin(1.3 * x + 0.2 * t), 0.1 + 0.3 * x.square() / t


@pytest.mark.parametrize("t", [2, 5])
@pytest.mark.parametrize("shape", [(7,), (2, 3, 4)])
def test_a_step_is_q_where_the_image_is_known_and_the_model_where_it_is_not(t, shape):
    """In numpy: both parts at level t - 1, the one reached."""
    process, x, x_0 = rough(6), draw(4, *shape, seed=1), 2 * draw(4, *shape, seed=2)
    known = draw(4, *shape, seed=3) > 0
    found = step(law_of_rows, process, x, t, x_0, known, noise=Noise(4))
    z, abar = Noise(4)(x).numpy(), np.cumprod(1 - np.linspace(0.01, 0.35, 6) ** 1.3)[t - 2]
    of_image = np.sqrt(abar) * x_0.numpy() + np.sqrt(1 - abar) * z
    of_model = np.sin(1.3 * x.numpy() + 0.2 * t) + np.sqrt(0.1 + 0.3 * x.numpy() ** 2 / t) * z
    np.testing.assert_allclose(found, np.where(known, of_image, of_model), rtol=0, atol=1e-12)


def test_the_last_step_draws_nothing_and_gives_the_image_back_bit_by_bit():
    process, x, x_0, known = rough(6), draw(3, 5, seed=1), draw(3, 5, seed=2), draw(3, 5, seed=3) > 0
    found = step(law_of_rows, process, x, 1, x_0, known, noise=Given(refuse))
    assert torch.equal(found, torch.where(known, x_0, law_of_rows(x, 1)[0]))


def test_what_is_not_known_is_never_read_and_what_is_known_is_never_painted():
    """Not a number in the hole of the image, nor in what the model makes of the rest."""
    process, known = rough(4), torch.tensor([[True, False, False, True]])
    x_0 = torch.where(known, draw(2, 4), torch.nan)

    def law(x, t):
        return torch.where(known, torch.nan, 0.9 * x), torch.tensor(0.1)

    for t in (1, 3):
        assert step(law, process, draw(2, 4), t, x_0, known, noise=Noise(0)).isfinite().all()
    painted = sample(law, process, draw(2, 4), x_0, known, j=2, r=2, noise=Noise(0))
    assert torch.equal(painted[:, [0, 3]], x_0[:, [0, 3]]) and painted.isfinite().all()


@pytest.mark.parametrize("t", [1, 4])
def test_the_way_up_is_the_forward_process_with_the_rate_of_the_level_it_goes_to(t):
    process, x = rough(6), draw(3, 2, 4, seed=1)
    found, beta = undo(process, x, t, noise=Noise(2)), (np.linspace(0.01, 0.35, 6) ** 1.3)[t - 1]
    expected = np.sqrt(1 - beta) * x.numpy() + np.sqrt(beta) * Noise(2)(x).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("variance", [None, *VARIANCES])
@pytest.mark.parametrize("t", [1, 5])
def test_the_ancestral_law_is_that_of_a_network_that_predicts_the_noise(t, variance):
    told = []

    def model(x, times):
        told.append(times)
        return lively(x, times)

    process, x = rough(6), draw(3, 2, 4, seed=1)
    chosen = {} if variance is None else {"variance": variance}
    mean, var = ancestral(model, process, **chosen)(x, t)
    betas = np.concatenate([[0.0], np.linspace(0.01, 0.35, 6) ** 1.3])
    abar = np.cumprod(1 - betas)
    eps = np.sin(1.3 * x.numpy() + 0.05 * t) + 0.2 * x.numpy()
    expected = (x.numpy() - betas[t] / np.sqrt(1 - abar[t]) * eps) / np.sqrt(1 - betas[t])
    tilde = betas[t] * (1 - abar[t - 1]) / (1 - abar[t])
    np.testing.assert_allclose(mean, expected, rtol=0, atol=1e-12)
    assert float(var) == pytest.approx(betas[t] if variance == "large" else tilde, abs=1e-15)
    assert [times.tolist() for times in told] == [[t] * 3] and told[0].dtype == torch.int64


# T1: the walk


@pytest.mark.parametrize(("T", "j", "r"), [(7, 2, 3), (4, 1, 2), (6, 4, 1)])
def test_the_walk_takes_its_levels_one_by_one(T, j, r):
    """By hand, from one stream of noise: the model is asked at the level that is left, of the state as it then is."""
    process, x_0, known, asked = rough(T), draw(3, 5, seed=2), draw(3, 5, seed=3) > 0, []

    def law(x, t):
        asked.append((x, t))
        return law_of_rows(x, t)

    found = list(trajectory(law, process, draw(3, 5, seed=1), x_0, known, j=j, r=r, noise=Noise(4)))
    shared, x, states, expected = Noise(4), draw(3, 5, seed=1), [], []
    for t, s in pairwise(schedule(T, j, r).tolist()):
        if s < t:
            expected.append((x, t))
            x = step(law_of_rows, process, x, t, x_0, known, noise=shared)
        else:
            x = process.alpha[s].sqrt() * x + process.beta[s].sqrt() * shared(x)
        states.append(x)
    assert len(found) == len(states) and [t for _, t in asked] == [t for _, t in expected]
    for a, b in zip(found + [x for x, _ in asked], states + [x for x, _ in expected], strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    last = sample(law_of_rows, process, draw(3, 5, seed=1), x_0, known, j=j, r=r, noise=Noise(4))
    assert torch.equal(last, found[-1]) and torch.equal(last[known], x_0[known])


@pytest.mark.parametrize("walk", [sample, lambda *a, **k: list(trajectory(*a, **k))[-1]])
def test_ten_jumps_of_ten_are_the_default(walk):
    process, asked = rough(12), []

    def law(x, t):
        asked.append(t)
        return law_of_rows(x, t)

    walk(law, process, draw(2, 3), draw(2, 3), torch.tensor([[1, 0, 1]]), noise=Noise(0))
    assert asked == [12, *range(11, 1, -1), *([11, *range(10, 1, -1)] * 9), 1]


@pytest.mark.parametrize("variance", VARIANCES)
def test_where_nothing_is_known_the_chain_without_jumps_is_ddpm_bit_by_bit(variance):
    process, x_T, nothing = rough(9), draw(4, 2, 3, 3), torch.zeros(1, 1, 1, 1)
    x_0 = torch.full_like(x_T, torch.nan)
    ours = sample(ancestral(lively, process, variance), process, x_T, x_0, nothing, r=1, noise=Noise(5))
    assert torch.equal(ours, ddpm.sample(lively, process, x_T, variance=variance, noise=Noise(5)))


# T2: exact moments

RHO = 0.8
COV = torch.tensor([[1.0, RHO], [RHO, 1.0]], dtype=F64)
"""Of two numbers of variance 1: of the one that is not known, given k, the mean is rho k, the variance 1 - rho^2."""


def pair(process):
    """Their exact network: E[eps | x] = sigma (abar S + sigma^2 I)^-1 x."""
    abar = process.abar[:, None, None]
    gain = (1 - abar).sqrt() * torch.linalg.inv(abar * COV + (1 - abar) * torch.eye(2))

    def model(x, t):
        return x @ gain[int(t[0])]

    return model


def chain(T):
    """DDPM's schedule for fewer steps."""
    return ddpm.linear_schedule(T, 0.1 / T, 20 / T)


def recursion(process, variance, levels, known, x_0):
    """Mean and covariance along the levels, in numpy."""
    S, eye, given = COV.numpy(), np.eye(2), np.diag(np.array(known, float))
    beta = process.beta.numpy()
    abar = np.cumprod(1 - beta)
    mean, cov = np.zeros(2), eye
    for t, s in pairwise(levels):
        if s > t:
            mean, cov = np.sqrt(1 - beta[s]) * mean, (1 - beta[s]) * cov + beta[s] * eye
            continue
        pull = (eye - beta[t] * np.linalg.inv(abar[t] * S + (1 - abar[t]) * eye)) / np.sqrt(1 - beta[t])
        fresh = beta[t] if variance == "large" else beta[t] * (1 - abar[s]) / (1 - abar[t])
        hole = eye - given
        mean = hole @ pull @ mean + given @ (np.sqrt(abar[s]) * x_0)
        cov = hole @ pull @ cov @ pull.T @ hole + (1 - abar[s]) * given + (fresh * hole if s > 0 else 0)
    return mean, cov


@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.parametrize(("T", "j", "r"), [(14, 3, 3), (6, 1, 4), (8, 5, 1)])
@pytest.mark.parametrize("known", [(1, 0), (0, 1)])
def test_moments_are_those_of_the_recursion(T, j, r, known, variance):
    process, x_0 = rough(T), torch.tensor([[1.3, -0.7]], dtype=F64)
    law = ancestral(pair(process), process, variance)

    def sampler(x_T, noise):
        return sample(law, process, x_T, x_0.expand_as(x_T), torch.tensor([known]), j=j, r=r, noise=noise)

    found = moments(sampler, (2,))
    levels = schedule(T, j, r).tolist()
    mean, cov = recursion(process, variance, levels, known, x_0[0].numpy())
    np.testing.assert_allclose(found.mean, mean, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found.cov, cov, rtol=0, atol=1e-10)
    assert found.draws == len(levels) - 1  # x_T, and one for each step but the last


def test_what_is_known_is_the_forward_process_at_every_level_up_and_down():
    """Mean sqrt(abar_t) x_0 and variance 1 - abar_t at each state of the walk, whatever the model paints beside it."""
    process, x_0 = rough(5), torch.tensor([[1.3, -0.7]], dtype=F64)
    law, levels = ancestral(pair(process), process), schedule(5, 2, 2).tolist()
    for k, t in enumerate(levels[1:]):

        def state(x_T, noise, k=k):
            walk = trajectory(law, process, x_T, x_0.expand_as(x_T), torch.tensor([[1, 0]]), j=2, r=2, noise=noise)
            return [x for x, _ in zip(walk, range(k + 1), strict=False)][-1]

        found = moments(state, (2,))
        assert float(found.mean[0]) == pytest.approx(1.3 * float(process.abar[t].sqrt()), abs=1e-12)
        assert float(found.cov[0, 0]) == pytest.approx(1 - float(process.abar[t]), abs=1e-12)


def painted(T, j, r, variance, k=1.0):
    """Exact mean and variance of what is painted beside k: each step's affine map once, then their product."""
    process, x_0 = chain(T), torch.tensor([[k, torch.nan]], dtype=F64).expand(5, 2)
    law, known = ancestral(pair(process), process, variance), torch.tensor([[True, False]])
    at, fresh = torch.zeros(2, 5, 2, dtype=F64)
    at[1:3], fresh[3:] = torch.eye(2), torch.eye(2)
    maps = {}
    for t in range(1, T + 1):
        down = step(law, process, at, t, x_0, known, noise=Given(lambda like: fresh)).numpy()
        up = undo(process, at, t, noise=Given(lambda like: fresh)).numpy()
        for move, y in (((t, t - 1), down), ((t - 1, t), up)):
            A, C = (y[1:3] - y[0]).T, (y[3:] - y[0]).T
            maps[move] = A, y[0], C @ C.T
    mean, cov = np.zeros(2), np.eye(2)
    for move in pairwise(schedule(T, j, r).tolist()):
        A, b, fresh_cov = maps[move]
        mean, cov = A @ mean + b, A @ cov @ A.T + fresh_cov
    return float(mean[1]), float(cov[1, 1])


@pytest.mark.parametrize("variance", VARIANCES)
def test_without_repeats_what_is_painted_tends_to_the_closed_form_and_not_to_the_truth(variance):
    """As T grows the known part is a diffusion that forgets at once, and the other one is drawn to a moving target:

    E[u] = k (1 - sqrt(1 - rho^2)) / rho and Var[u] = (1 - rho^2) artanh(rho) / rho, by integrating its equation.
    """
    k, limit = 1.7, np.array([1.7 * (1 - sqrt(1 - RHO**2)) / RHO, (1 - RHO**2) * atanh(RHO) / RHO])
    assert limit[0] == pytest.approx(0.5 * 1.7) and limit[1] == pytest.approx(0.49438, abs=1e-5)
    errors = [np.abs(np.array(painted(T, 1, 1, variance, k)) - limit) for T in (100, 200, 400)]
    slopes = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    np.testing.assert_allclose(slopes, 1, atol=0.15)
    assert (errors[-1] < [0.009, 0.012]).all()  # of 0.51 for the mean for the truth and 0.134 less of its variance


def test_repeats_bring_what_is_painted_to_the_conditional_law():
    """With beta_t for the variance: the mean to rho k, the variance to 1 - rho^2, up to O(beta) of the coarse chain."""
    found = np.array([painted(50, 1, r, "large") for r in (1, 3, 10, 100)])
    off = np.abs(found - [RHO, 1 - RHO**2])
    assert (np.diff(off, axis=0) < 0).all()
    assert (off[0] > [0.3, 0.13]).all() and (off[-1] < [0.011, 0.010]).all()


def test_with_beta_tilde_the_repeats_shrink_what_is_painted():
    """Each one loses a little of the variance, so that it falls below the truth, 0.36, while the mean is right."""
    mean, variance = painted(50, 1, 100, "small")
    assert mean == pytest.approx(RHO, abs=0.011) and variance == pytest.approx(0.212, abs=2e-3)


def test_long_jumps_on_a_coarse_chain_keep_a_bias_that_no_repeat_removes():
    """A round trip over j coarse levels passes each once, as the chain without repeats does, so r = 10 is the end."""
    few, many = (np.array(painted(50, 10, r, "large")) for r in (10, 40))
    assert np.abs(few - many).max() < 2e-4
    assert RHO - many[0] > 0.12
    assert RHO - painted(200, 10, 10, "large")[0] < 0.06


# T5: parity with independent code


@pytest.mark.parametrize(("T", "j", "r"), [(12, 3, 2), (6, 1, 3), (8, 5, 1)])
def test_parity_with_diffusers_along_the_same_levels(monkeypatch, T, j, r):
    """Its eta = 1 step is ancestral sampling with beta-tilde; it too lets known and unknown part share a draw."""
    process = rough(T)
    scheduler = scheduling_repaint.RePaintScheduler(T, eta=1.0, clip_sample=False)
    scheduler.betas = process.beta[1:]
    scheduler.alphas_cumprod = torch.cumprod(1 - process.beta[1:], 0)
    scheduler.set_timesteps(T, j, r)
    x_T, x_0, known = draw(4, 2, 3, seed=1), draw(4, 2, 3, seed=2), (draw(4, 2, 3, seed=3) > 0).double()
    ours = sample(ancestral(lively, process), process, x_T, x_0, known, j=j, r=r, noise=Noise(6))
    shared, x = Noise(6), x_T
    monkeypatch.setattr(scheduling_repaint, "randn_tensor", lambda *a, **k: shared(x_T))
    for t, s in pairwise(schedule(T, j, r).tolist()):
        if s < t:
            x = scheduler.step(lively(x, for_all(t, x)), t - 1, x, x_0, known, return_dict=False)[0]
        else:
            x = scheduler.undo_step(x, t)
    torch.testing.assert_close(ours, x, rtol=0, atol=1e-9)


# T6: invariants and errors


def test_same_seed_same_samples_and_arguments_unchanged():
    process, x_T, x_0, known = rough(7), torch.randn(8, 1, 3, 3), torch.randn(8, 1, 3, 3), torch.rand(8, 1, 3, 3) > 0.5
    kept = [v.clone() for v in (x_T, x_0, known)]

    def filled(rows):
        seeds = range(8)[rows]
        return sample(law_of_rows, process, x_T[rows], x_0[rows], known[rows], j=2, r=2, noise=Noise(seeds))

    whole = filled(slice(0, 8))
    torch.testing.assert_close(whole, torch.cat([filled(slice(0, 4)), filled(slice(4, 8))]))
    assert all(map(torch.equal, (x_T, x_0, known), kept)) and whole.dtype == x_T.dtype
    states = list(trajectory(law_of_rows, process, x_T, x_0, known, j=2, r=2, noise=Noise(range(8))))
    assert torch.equal(states[-1], whole) and len({id(state) for state in states}) == len(schedule(7, 2, 2)) - 1


@pytest.mark.parametrize("shape", [(4, 2, 3, 5), (1, 1, 3, 5), (4, 1, 1, 5), (1, 2, 1, 1)])
@pytest.mark.parametrize("kind", [torch.bool, torch.int64, torch.float32])
def test_a_mask_may_be_shared_by_rows_channels_or_pixels_and_be_of_any_type(shape, kind):
    process, x_T, x_0 = rough(4), draw(4, 2, 3, 5, seed=1), draw(4, 2, 3, 5, seed=2)
    known = draw(*shape, seed=3) > 0
    known.view(-1)[:2] = torch.tensor([True, False])
    found = sample(law_of_rows, process, x_T, x_0, known.to(kind), j=1, r=2, noise=Noise(0))
    whole = sample(law_of_rows, process, x_T, x_0, known.expand_as(x_T), j=1, r=2, noise=Noise(0))
    assert torch.equal(found, whole) and torch.equal(found[known.expand_as(x_0)], x_0[known.expand_as(x_0)])


def test_a_row_of_which_all_is_known_comes_back_beside_others():
    known = torch.tensor([[1, 1, 1], [0, 1, 0]])
    found = sample(law_of_rows, rough(4), draw(2, 3), draw(2, 3, seed=1), known, j=1, r=2, noise=Noise(0))
    assert torch.equal(found[0], draw(2, 3, seed=1)[0])


def test_the_image_takes_the_type_of_the_noise():
    known = torch.tensor([[True, False, True]])
    found = sample(law_of_rows, rough(4), draw(2, 3).float(), draw(2, 3, seed=1), known, r=1, noise=Noise(0))
    assert found.dtype == torch.float32


def refused(match, known, x_T=None, x_0=None, **jumps):
    x_T, x_0 = draw(2, 3, 4) if x_T is None else x_T, draw(2, 3, 4) if x_0 is None else x_0
    for walk in (sample, lambda *a, **k: list(trajectory(*a, **k))):
        with pytest.raises(ValueError, match=match):
            walk(law_of_rows, rough(6), x_T, x_0, known, **({"j": 2, "r": 2} | jumps), noise=Noise(0))


@pytest.mark.parametrize("shape", [(3, 4), (2, 3), (2, 4, 3), (3, 3, 4), (1, 2, 3, 4), (2,), ()])
def test_a_mask_of_another_shape_is_refused(shape):
    refused(r"known must have the shape \(2, 3, 4\) of the images, or 1 on some axes, not", torch.zeros(shape))


@pytest.mark.parametrize("value", [0.5, 2.0, -1.0, torch.nan])
def test_a_soft_mask_is_refused(value):
    refused("known must be 0 or 1 everywhere", torch.tensor([0, 1, value, 0]).expand(2, 3, 4))


@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 1, 1)])
def test_an_image_that_is_known_everywhere_is_refused(shape):
    refused("known is 1 everywhere: nothing is left to paint", torch.ones(shape, dtype=torch.bool))


def test_an_image_of_another_shape_than_the_noise_is_refused():
    refused(
        r"x_0 and x_T must have one shape, not \(1, 3, 4\) and \(2, 3, 4\)", torch.zeros(1, 1, 1), x_0=draw(1, 3, 4)
    )


@pytest.mark.parametrize("j", [6, 10])
def test_a_jump_longer_than_the_chain_is_refused(j):
    refused(f"no jump of {j} steps fits into a chain of 6", torch.zeros(1, 1, 1), j=j)


def test_a_process_that_keeps_no_signal_is_refused_as_by_ddpm():
    process = GaussianDiffusion(torch.tensor([0.1, 1.0]))
    with pytest.raises(ValueError, match="abar_T is 0"):
        sample(ancestral(lively, process), process, draw(2, 3), draw(2, 3), torch.tensor([[0, 1, 0]]), r=1)


def test_nothing_is_tracked_and_the_walk_is_lazy():
    process, asked = rough(6), []

    def law(x, t):
        asked.append(t)
        return law_of_rows(x, t)

    x_T = draw(2, 3).requires_grad_()
    walk = trajectory(law, process, x_T, draw(2, 3), torch.tensor([[0, 1, 0]]), j=2, r=2, noise=impulses.Counter())
    assert not next(walk).requires_grad and asked == [6]
    assert torch.is_grad_enabled()


# T8: the claim on images, for two networks that the demo does not use


@pytest.mark.slow
@pytest.mark.parametrize("base", [1, 2])
def test_repeats_paint_images_of_the_world_whatever_the_network(base):
    run = demo.DEMO.run()
    with_repeats, without = demo.halves(run, demo.FEW, demo.TIMES, base), demo.halves(run, demo.EVALUATIONS, 1, base)
    assert demo.of_the_world(with_repeats) > demo.of_the_world(without) + 0.1
    seam_with, seam_without = ((x[..., 4] - x[..., 3]).abs().mean() for x in (with_repeats, without))
    assert seam_with < seam_without
