"""Null-text inversion on linear networks, whose best embeddings are known, and in numpy; and beside DDIM."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from implementations import cfg, ddim
from implementations import null_text_inversion as nti
from implementations.common.rows import per_row
from implementations.demos import null_text_inversion as demo
from implementations.dpm import GaussianDiffusion
from tests.implementations.toys import F64, draw, lively, rough

PROCESS = rough(9)
ABAR = np.cumprod(1 - PROCESS.beta.numpy())
TAU = torch.tensor([2, 3, 5, 6, 9])
STEPS = list(pairwise([0, *TAU.tolist()]))
"""(s, t), from the image on."""
MIX = np.array([[1.0, 0.3, -0.2], [0.1, 0.8, 0.4], [-0.3, 0.2, 1.1]])
COV = np.array([[0.5, 0.1, 0.0], [0.1, 0.3, -0.1], [0.0, -0.1, 0.4]])


def noise_at(z, t, e):
    """E[eps | z], in numpy, where data that are told e are N(MIX e, COV); and its derivative by e."""
    alpha, sigma = np.sqrt(ABAR[t]), np.sqrt(1 - ABAR[t])
    precision = np.linalg.inv(alpha**2 * COV + sigma**2 * np.eye(3))
    return sigma * (z - alpha * e @ MIX.T) @ precision, -sigma * alpha * precision @ MIX


def exact(z, t, c):
    """The same as a network, which calls each row by its own time."""
    mix, cov, alpha, sigma = torch.from_numpy(MIX), torch.from_numpy(COV), *levels(t)
    spread = alpha[:, None, None] ** 2 * cov + sigma[:, None, None] ** 2 * torch.eye(3, dtype=F64)
    away = z - alpha[:, None] * (c @ mix.T)
    return sigma[:, None] * torch.linalg.solve(spread, away[..., None])[..., 0]


def levels(t):
    return torch.from_numpy(np.sqrt(ABAR))[t], torch.from_numpy(np.sqrt(1 - ABAR))[t]


def move(t, s):
    """DDIM's step from t to s is keep z + take eps."""
    keep = np.sqrt(ABAR[s] / ABAR[t])
    return keep, np.sqrt(1 - ABAR[s]) - keep * np.sqrt(1 - ABAR[t])


def walk_up(z, c):
    """The pivots, in numpy, of one image after another."""
    way = [z]
    for s, t in STEPS:
        keep, take = move(s, t)
        way.append(keep * way[-1] + take * noise_at(way[-1], max(s, 1), c)[0])
    return np.stack(way)


def best(way, c, w):
    """The null embeddings that lead each guided step from its pivot to the next one, exactly."""
    found = []
    for k, (s, t) in enumerate(STEPS):
        keep, take = move(t, s)
        wanted = (way[k] - keep * way[k + 1]) / take
        null_eps = (wanted - w * noise_at(way[k + 1], t, c)[0]) / (1 - w)
        at_zero, slope = noise_at(way[k + 1], t, np.zeros_like(c))
        found.append(np.linalg.solve(slope, (null_eps - at_zero).T).T)
    return np.stack(found)


def by_hand(way, c, null, w, N, lr, tolerance, times=STEPS, errors=None):
    """The whole optimisation of one image, in numpy: Adam written out, with the derivative of the linear network."""
    z, S, found, counts = way[-1], len(times), [], []
    for i, (s, t) in enumerate(reversed(times)):
        keep, take = move(t, s)
        eps_c, pivot, m, v = noise_at(z, t, c)[0], way[S - 1 - i], 0.0, 0.0
        counts.append(0)
        for n in range(1, N + 1):
            eps, slope = noise_at(z, t, null)
            off = keep * z + take * (w * eps_c + (1 - w) * eps) - pivot
            gradient = 2 / 3 * take * (1 - w) * off @ slope
            m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
            null = null - lr * (1 - i / 2 / S) * (m / (1 - 0.9**n)) / (np.sqrt(v / (1 - 0.999**n)) + 1e-8)
            counts[-1] += 1
            if errors is not None:
                errors.append((i, (off**2).mean()))
            if (off**2).mean() < tolerance + tolerance * 100 * i / S:
                break
        found.append(null)
        z = keep * z + take * (w * eps_c + (1 - w) * noise_at(z, t, null)[0])
    return np.stack(found[::-1]), counts


def told(z, t, c):
    """A network that depends on all that it is told, affinely on nothing."""
    return lively(z, t) + 0.5 * torch.sin(0.7 * z + per_row(c.square().sum(1) + c[:, 0], z))


Z_0, C, NULL = draw(4, 3, seed=0), draw(4, 3, seed=1), draw(3, seed=2)


def close(found, expected, atol=1e-11):
    torch.testing.assert_close(found, torch.as_tensor(expected), rtol=0, atol=atol)


# T1: the step, the pivots


@pytest.mark.parametrize(("t", "s"), [(9, 6), (4, 3), (2, 0), (3, 5), (0, 2), (6, 9)])
def test_a_step_goes_from_any_time_to_any_other_with_the_noise_that_it_is_told(t, s):
    x_0, eps = draw(2, 2, 3, seed=3), draw(2, 2, 3, seed=4)
    z_t, z_s = (float(np.sqrt(ABAR[k])) * x_0 + float(np.sqrt(1 - ABAR[k])) * eps for k in (t, s))
    close(nti.step(PROCESS, z_t, t, s, eps), z_s)


def test_pivots_are_the_unguided_way_of_the_image_told_its_own_prompt():
    way = nti.pivots(exact, PROCESS, Z_0, C, TAU)
    close(way, walk_up(Z_0.numpy(), C.numpy()))
    assert torch.equal(way[0], Z_0)


def test_pivots_are_those_of_ddims_encoder_up_to_each_time():
    way = nti.pivots(told, PROCESS, Z_0, C, TAU)
    assert way.shape == (6, 4, 3)
    for k in range(1, 6):
        close(way[k], ddim.encode(lambda z, t: told(z, t, C), PROCESS, Z_0, TAU[:k]))


def test_the_network_is_asked_once_a_step_on_the_way_up_at_the_time_it_leaves():
    asked = []

    def model(z, t, c):
        asked.append((t.tolist(), c.tolist()))
        return told(z, t, c)

    nti.pivots(model, PROCESS, Z_0, C, TAU)
    assert asked == [([t] * 4, C.tolist()) for t in (1, 2, 3, 5, 6)]


# T1: guided sampling


@pytest.mark.parametrize("w", [0.0, 1.0, 2.5, 7.5])
def test_sampling_is_ddim_with_classifier_free_guidance(w):
    table = torch.cat([C, NULL[None]])
    guided = cfg.guided(lambda z, t, y: told(z, t, table[y]), torch.arange(4), w, null=4)
    expected = ddim.sample(guided, PROCESS, draw(4, 3, seed=5), TAU)
    for nulls in (NULL.expand(5, 3), NULL.expand(5, 4, 3)):
        close(nti.sample(told, PROCESS, draw(4, 3, seed=5), C, nulls, TAU, w=w), expected, atol=1e-10)


def test_the_scale_is_0_for_the_null_embedding_and_1_for_the_prompt():
    z, t, nulls = draw(4, 3, seed=5), torch.tensor([1, 4, 6, 9]), draw(4, 3, seed=6)
    of_c, of_null = told(z, t, C), told(z, t, nulls)
    for w in (0.0, 1.0, 3.0, torch.tensor([0.0, 1.0, -1.0, 7.5], dtype=F64)):
        expected = per_row(w, z) * of_c + (1 - per_row(w, z)) * of_null
        close(nti.guided(told, C, nulls, w)(z, t), expected, atol=1e-12)


@pytest.mark.parametrize("w", [7.5, 3.0, 0.0])
def test_the_right_null_embeddings_lead_back_over_every_pivot(w):
    """On the linear network they are known; each step has its own, which another order or another time would miss."""
    way = nti.pivots(exact, PROCESS, Z_0, C, TAU)
    nulls = torch.from_numpy(best(way.numpy(), C.numpy(), w))
    states = list(nti.trajectory(exact, PROCESS, way[-1], C, nulls, TAU, w=w))
    assert len(states) == 5
    for state, pivot in zip(states, way.flip(0)[1:], strict=True):
        close(state, pivot, atol=1e-10)
    close(nti.sample(exact, PROCESS, way[-1], C, nulls, TAU, w=w), Z_0, atol=1e-10)


def test_the_default_scale_is_the_papers():
    way = nti.pivots(exact, PROCESS, Z_0, C, TAU)
    nulls = torch.from_numpy(best(way.numpy(), C.numpy(), 7.5))
    close(nti.sample(exact, PROCESS, way[-1], C, nulls, TAU), Z_0, atol=1e-10)
    close(list(nti.trajectory(exact, PROCESS, way[-1], C, nulls, TAU))[-1], Z_0, atol=1e-10)


def test_another_prompt_moves_the_mean_of_the_image_as_far_as_guidance_says():
    """One step from t to the image is affine in c: it moves by take w times what the noise does."""
    tau, other, nulls = torch.tensor([4]), draw(4, 3, seed=7), draw(1, 4, 3, seed=8)
    z = draw(4, 3, seed=5)
    moved = nti.sample(exact, PROCESS, z, other, nulls, tau, w=3.0) - nti.sample(
        exact, PROCESS, z, C, nulls, tau, w=3.0
    )
    _, take = move(4, 0)
    slope = noise_at(z.numpy(), 4, C.numpy())[1]
    close(moved, 3.0 * take * (other - C).numpy() @ slope.T)


# T1 and T5: the optimisation


@pytest.mark.parametrize("tolerance", [0.0, 0.03, 1e-3])
@pytest.mark.parametrize(("w", "N", "lr"), [(7.5, 4, 0.3), (2.0, 6, 0.1), (0.0, 3, 0.2)])
def test_tuned_embeddings_are_those_of_an_adam_written_out_for_each_image(w, N, lr, tolerance):
    """Warm starts, the fall of the rate, the stop after an update, and steps that go on from what was reached."""
    null, counts, expected = draw(4, 3, seed=2), [], []
    way = nti.pivots(exact, PROCESS, Z_0, C, TAU)
    for k in range(4):
        nulls, count = by_hand(
            way[:, k : k + 1].numpy(), C[k : k + 1].numpy(), null[k : k + 1].numpy(), w, N, lr, tolerance
        )
        expected.append(nulls)
        counts.append(count)
    found = nti.optimise(exact, PROCESS, way, C, null, TAU, w=w, N=N, lr=lr, tolerance=tolerance)
    close(found, np.concatenate(expected, axis=1), atol=1e-8)
    if tolerance == 0.03:
        assert len({tuple(count) for count in counts}) > 1  # rows stop at different places


def test_defaults_are_the_papers_and_one_null_embedding_serves_all_rows():
    way = nti.pivots(exact, PROCESS, Z_0, C, TAU)
    found = nti.optimise(exact, PROCESS, way, C, NULL, TAU)
    expected = [
        by_hand(way[:, k : k + 1].numpy(), C[k : k + 1].numpy(), NULL[None].numpy(), 7.5, 10, 0.01, 1e-5)[0]
        for k in range(4)
    ]
    close(found, np.concatenate(expected, axis=1), atol=1e-8)
    assert torch.equal(found, nti.optimise(exact, PROCESS, way, C, NULL.expand(4, 3), TAU))


def images(way, c, null, *options, **more):
    """By hand, image after image: embeddings, and how often each was tuned at each step."""
    one = [
        by_hand(way[:, k : k + 1].numpy(), c[k : k + 1].numpy(), null[k : k + 1].numpy(), *options, **more)
        for k in range(len(c))
    ]
    return np.concatenate([nulls for nulls, _ in one], axis=1), [counts for _, counts in one]


def near(off, w=2.0, t=4):
    """Pivots of a single step, from which it lands so far off, for each row, with the null embedding as it is."""
    z, null = draw(len(off), 3, seed=5), NULL.expand(len(off), 3)
    landed = nti.step(PROCESS, z, t, 0, nti.guided(exact, C[: len(off)], null, w)(z, torch.full((len(off),), t)))
    return torch.stack([landed + torch.tensor(off, dtype=F64)[:, None], z])


@pytest.mark.parametrize(("error", "updates"), [(0.9e-5, 1), (1.1e-5, 3), (1.9e-5, 3)])
def test_by_default_an_image_is_near_enough_when_its_mean_squared_error_is_below_1e_5(error, updates):
    asked = []

    def model(z, t, c):
        asked.append(c.requires_grad)
        return exact(z, t, c)

    nti.optimise(model, PROCESS, near([error**0.5]), C[:1], NULL, torch.tensor([4]), w=2.0, N=3, lr=1e-6)
    assert sum(asked) == updates


def test_with_tolerance_0_nothing_is_near_enough():
    asked = []

    def model(z, t, c):
        asked.append(c.requires_grad)
        return exact(z, t, c)

    way = near([0.0])
    way[0] = nti.sample(exact, PROCESS, way[1], C[:1], NULL.expand(1, 3), torch.tensor([4]), w=0.0)
    found = nti.optimise(model, PROCESS, way, C[:1], NULL, torch.tensor([4]), w=0.0, N=3, tolerance=0.0)
    assert sum(asked) == 3
    close(found, NULL.expand(1, 1, 3), atol=0.05)


def test_an_image_that_was_near_enough_stays_as_it_is_while_others_go_on():
    """The update after which it stops throws it far off, but it does not start again."""
    way, times = near([0.01, 0.5]), [(0, 4)]
    expected, counts = images(way, C[:2], NULL.expand(2, 3), 2.0, 4, 1.0, 1e-3, times=times)
    assert counts == [[1], [4]]
    found = nti.optimise(exact, PROCESS, way, C[:2], NULL, torch.tensor([4]), w=2.0, N=4, lr=1.0, tolerance=1e-3)
    close(found, expected, atol=1e-7)


@pytest.mark.parametrize(("share", "updates"), [(100.5, 2), (99.5, 1)])
def test_the_tolerance_grows_to_101_times_its_own_along_the_way(share, updates):
    way, errors = nti.pivots(exact, PROCESS, Z_0[:1], C[:1], TAU), []
    options = (4.0, 2, 0.05)
    by_hand(way.numpy(), C[:1].numpy(), NULL[None].numpy(), *options, 0.0, errors=errors)
    tolerance = next(error for i, error in errors if i == 1) / (1 + share / 5)
    assert min(error for i, error in errors if i == 0) > tolerance
    expected, counts = images(way, C[:1], NULL[None], *options, tolerance)
    assert counts[0][:2] == [2, updates]
    close(nti.optimise(exact, PROCESS, way, C[:1], NULL, TAU, w=4.0, N=2, lr=0.05, tolerance=tolerance), expected, 1e-8)


def test_many_steps_of_adam_find_the_best_embeddings_and_bring_the_image_back_where_ddim_does_not():
    tau = torch.tensor([3, 6, 9])
    way = nti.pivots(exact, PROCESS, Z_0, C, tau)
    nulls = nti.optimise(exact, PROCESS, way, C, NULL, tau, w=3.0, N=250, lr=0.2, tolerance=0.0)

    def error(nulls, w):
        return float((nti.sample(exact, PROCESS, way[-1], C, nulls, tau, w=w) - Z_0).square().mean())

    without, guided, tuned = error(NULL.expand(3, 3), 1.0), error(NULL.expand(3, 3), 3.0), error(nulls, 3.0)
    assert tuned < 1e-3 * without and without < guided


@pytest.mark.parametrize("change", [{"N": 0}, {"w": 1.0}])
def test_where_nothing_is_tuned_the_null_embedding_stays_and_sampling_is_plain(change):
    way = nti.pivots(told, PROCESS, Z_0, C, TAU)
    nulls = nti.optimise(told, PROCESS, way, C, NULL, TAU, **change)
    assert torch.equal(nulls, NULL.expand(5, 4, 3))


def counted(tolerance, N=3, w=2.0):
    asked = []

    def model(z, t, c):
        asked.append((int(t[0]), "with" if torch.is_grad_enabled() and c.requires_grad else "without", c is C))
        return told(z, t, c)

    way = nti.pivots(told, PROCESS, Z_0, C, TAU)
    nti.optimise(model, PROCESS, way, C, NULL, TAU, w=w, N=N, tolerance=tolerance)
    return asked


def test_each_step_asks_once_for_the_prompt_and_then_for_the_null_embedding_alone():
    expected = []
    for t in (9, 6, 5, 3, 2):
        expected += [(t, "without", True), *[(t, "with", False)] * 3, (t, "without", False)]
    assert counted(0.0) == expected


def test_a_step_that_is_near_enough_stops_after_one_update():
    assert [t for t, how, _ in counted(100.0) if how == "with"] == [9, 6, 5, 3, 2]


def test_an_image_is_tuned_as_it_is_alone():
    z_0 = draw(5, 2, 3, 3, seed=9)
    c, null = draw(5, 2, 4, seed=10), draw(2, 4, seed=11)

    def model(z, t, c):
        return told(z, t, c.flatten(1))

    def tuned(rows):
        way = nti.pivots(model, PROCESS, z_0[rows], c[rows], TAU)
        nulls = nti.optimise(model, PROCESS, way, c[rows], null, TAU, w=3.0, N=3, tolerance=2e-4, lr=0.05)
        return nulls, nti.sample(model, PROCESS, way[-1], c[rows], nulls, TAU, w=3.0)

    nulls, images = tuned(slice(0, 5))
    assert nulls.shape == (5, 5, 2, 4) and images.shape == z_0.shape
    for rows in (slice(0, 2), slice(2, 5)):
        some, again = tuned(rows)
        close(nulls[:, rows], some, atol=1e-9)
        close(images[rows], again, atol=1e-9)


def test_network_and_arguments_stay_as_they_are_and_nothing_is_tracked():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.tensor(0.5, dtype=F64))

        def forward(self, z, t, c):
            return self.weight * told(z, t, c)

    network, null = Network(), NULL.clone().requires_grad_()
    way = nti.pivots(network, PROCESS, Z_0, C, TAU)
    kept = way.clone(), C.clone(), NULL.clone()
    nulls = nti.optimise(network, PROCESS, way, C, null, TAU, N=3, lr=0.1)
    image = nti.sample(network, PROCESS, way[-1], C, nulls, TAU)
    assert not (way.requires_grad or nulls.requires_grad or image.requires_grad) and torch.is_grad_enabled()
    assert network.weight.grad is None and null.grad is None and network.weight.item() == 0.5
    assert all(torch.equal(a, b) for a, b in zip((way, C, null), kept, strict=True))
    with torch.no_grad():
        assert torch.equal(nulls, nti.optimise(network, PROCESS, way, C, null, TAU, N=3, lr=0.1))


# T6: what is refused


WAY = nti.pivots(told, PROCESS, Z_0, C, TAU)
NULLS = NULL.expand(5, 3)


@pytest.mark.parametrize("c", [torch.tensor([0, 1, 2, 0]), C[:3], C[:1]])
def test_labels_and_other_than_one_embedding_for_each_image_are_refused(c):
    match = "c must hold an embedding for each of 4 images"
    with pytest.raises(ValueError, match=match):
        nti.pivots(told, PROCESS, Z_0, c, TAU)
    with pytest.raises(ValueError, match=match):
        nti.optimise(told, PROCESS, WAY, c, NULL, TAU)
    with pytest.raises(ValueError, match=match):
        nti.sample(told, PROCESS, Z_0, c, NULLS, TAU)


@pytest.mark.parametrize("shape", [(2,), (1, 3), (3, 3), (4, 2), ()])
def test_a_null_embedding_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"null must have the shape \(4, 3\) of c, or of one of its rows, not"):
        nti.optimise(told, PROCESS, WAY, C, torch.zeros(shape, dtype=F64), TAU)
    with pytest.raises(ValueError, match=r"null must have the shape \(4, 3\) of c"):
        nti.sample(told, PROCESS, Z_0, C, torch.zeros(5, *shape, dtype=F64), TAU)


@pytest.mark.parametrize("count", [4, 6])
def test_other_than_a_pivot_and_a_null_embedding_for_each_step_are_refused(count):
    with pytest.raises(ValueError, match=f"a pivot for each of {count} times, not 6 states"):
        nti.optimise(told, PROCESS, WAY, C, NULL, torch.arange(1, count + 1))
    with pytest.raises(ValueError, match=f"nulls must hold the embeddings of each of {count} steps, not of 5"):
        nti.sample(told, PROCESS, Z_0, C, NULLS, torch.arange(1, count + 1))


@pytest.mark.parametrize(
    "change",
    [{"w": -0.5}, {"w": torch.inf}, {"w": torch.nan}, {"N": -1}, {"lr": 0.0}, {"lr": -1.0}, {"tolerance": -1e-9}],
)
def test_numbers_out_of_range_are_refused(change):
    with pytest.raises(
        ValueError, match="want w of at least 0, N of at least 0, lr above 0 and tolerance of at least 0"
    ):
        nti.optimise(told, PROCESS, WAY, C, NULL, TAU, **change)


@pytest.mark.parametrize("tau", [[], [0, 3], [3, 3], [5, 2], [10]])
def test_timesteps_that_do_not_increase_within_the_process_are_refused(tau):
    tau = torch.tensor(tau, dtype=torch.long)
    with pytest.raises(ValueError, match=r"timesteps must increase strictly within 1\.\.9"):
        nti.pivots(told, PROCESS, Z_0, C, tau)
    with pytest.raises(ValueError, match=r"timesteps must increase strictly within 1\.\.9"):
        nti.optimise(told, PROCESS, WAY[: len(tau) + 1], C, NULL, tau)
    with pytest.raises(ValueError, match=r"timesteps must increase strictly within 1\.\.9"):
        nti.sample(told, PROCESS, Z_0, C, NULLS[: len(tau)], tau)


def test_a_process_that_keeps_no_signal_is_refused_as_by_ddpm():
    with pytest.raises(ValueError, match="abar_T is 0"):
        nti.pivots(told, GaussianDiffusion(torch.tensor([0.1, 1.0])), Z_0, C, torch.tensor([1, 2]))


# T8 on other networks than the demo's


@pytest.mark.slow
@pytest.mark.parametrize("base", [1, 2])
def test_the_claims_are_not_about_one_network(base):
    run = demo.DEMO.run(seed=base)
    for claim in (demo.comes_back, demo.nearer_than_without, demo.edit, demo.rest_stays):
        assert claim(run, base).holds, claim(run, base)
