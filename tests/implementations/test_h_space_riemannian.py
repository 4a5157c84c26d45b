"""The basis against whole Jacobians and numpy's decomposition, moves by algebra, the edit against DDIM and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from implementations import ddim
from implementations.common.noise import Noise
from implementations.common.rows import for_all, per_row
from implementations.common.waist import Waist
from implementations.demos import h_space_riemannian as demo
from implementations.h_space_riemannian import Basis, distance, edit, guide, length, local_basis, pull, push, transport
from implementations.unet import UNet
from tests.implementations.toys import F64, Given, draw, lively, refuse, rough

TAU = torch.tensor([2, 3, 5, 6, 9])


def linear(A):
    return lambda x: x @ A.T


def wavy(A):
    """h = sin(A x), whose Jacobian is diag(cos A x) A."""
    return lambda x: torch.sin(x @ A.T)


def planted(values, rows, columns, seed=0):
    """A matrix of these singular values, and its vectors."""
    U = np.linalg.qr(draw(rows, len(values), seed=seed).numpy())[0]
    V = np.linalg.qr(draw(columns, len(values), seed=seed + 1).numpy())[0]
    return torch.from_numpy(U * np.array(values) @ V.T), U, V


# T1: moves and their lengths


@pytest.mark.parametrize(("rows", "columns"), [(5, 3), (3, 5)])
def test_moves_are_those_of_the_jacobian(rows, columns):
    A, x = draw(rows, columns, seed=3), draw(2, columns)
    v, u = draw(2, 4, columns, seed=4), draw(2, 4, rows, seed=5)
    J = np.cos(x.numpy() @ A.numpy().T)[:, :, None] * A.numpy()
    np.testing.assert_allclose(push(wavy(A), x, v).numpy(), np.einsum("bij,bnj->bni", J, v), atol=1e-13)
    np.testing.assert_allclose(pull(wavy(A), x, u).numpy(), np.einsum("bij,bni->bnj", J, u), atol=1e-13)
    expected = np.linalg.norm(np.einsum("bij,bnj->bni", J, v), axis=2)
    np.testing.assert_allclose(length(wavy(A), x, v).numpy(), expected, atol=1e-13)


def test_moves_have_the_shapes_of_what_is_moved():
    def halved(x):
        return x[:, :, ::2].square()

    x, v = draw(2, 1, 4, 4), draw(2, 3, 1, 4, 4, seed=1)
    torch.testing.assert_close(push(halved, x, v), 2 * x[:, None, :, ::2] * v[:, :, :, ::2])
    back = pull(halved, x, v[:, :, :, ::2])
    torch.testing.assert_close(back[:, :, :, ::2], 2 * x[:, None, :, ::2] * v[:, :, :, ::2])
    assert not back[:, :, :, 1::2].any()
    assert length(halved, x, v).shape == (2, 3)


@pytest.mark.parametrize("shape", [(2, 3), (2, 4), (2, 4, 2), (3, 4, 3), (2, 4, 3, 1), (1, 4, 3)])
def test_moves_of_another_layer_are_refused(shape):
    x, v = draw(2, 3), draw(*shape)
    for moved in (push, length):
        with pytest.raises(ValueError, match=r"moves of x .* of another layer"):
            moved(linear(draw(5, 3)), x, v)


@pytest.mark.parametrize("shape", [(2, 4, 3), (3, 4, 5), (2, 4, 5, 1), (2, 5)])
def test_moves_of_other_features_are_refused(shape):
    with pytest.raises(ValueError, match=r"moves of h .* of another layer"):
        pull(linear(draw(5, 3)), draw(2, 3), draw(*shape))


# T1: the basis


@pytest.mark.parametrize(("rows", "columns"), [(20, 8), (8, 20)])
def test_the_basis_of_a_linear_map_is_its_singular_value_decomposition(rows, columns):
    values = [3.0, 2.0, 1.2, 0.7, 0.2]
    A, U, V = planted(values, rows, columns)
    found = local_basis(linear(A), draw(2, columns, seed=9), 3, iterations=200, tolerance=1e-14, noise=Noise(1))
    np.testing.assert_allclose(found.s.numpy(), [values[:3]] * 2, rtol=1e-12)
    for row in range(2):
        for k in range(3):
            assert abs(found.v[row, k].numpy() @ V[:, k]) == pytest.approx(1, abs=1e-12)
            assert abs(found.u[row, k].numpy() @ U[:, k]) == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close(found.v @ A.T, found.s[:, :, None] * found.u, rtol=0, atol=1e-12)


def test_the_basis_of_a_curved_map_is_that_of_its_jacobian_at_each_row():
    A, x = draw(9, 6, seed=3), draw(3, 6)
    found = local_basis(wavy(A), x, 3, iterations=400, tolerance=1e-13, noise=Noise(1))
    for row in range(3):
        J = np.diag(np.cos(A.numpy() @ x[row].numpy())) @ A.numpy()
        U, s, Vh = np.linalg.svd(J)
        np.testing.assert_allclose(found.s[row].numpy(), s[:3], rtol=1e-11)
        np.testing.assert_allclose(np.abs(found.v[row].numpy() @ Vh[:3].T), np.eye(3), atol=1e-10)
        np.testing.assert_allclose(np.abs(found.u[row].numpy() @ U[:, :3]), np.eye(3), atol=1e-10)


def test_orthonormal_from_the_first_iteration_on_and_nearer_with_each_at_the_rate_of_the_gap():
    A, _, V = planted([2.0, 1.5, 0.6], 6, 5)
    off = []
    for iterations in (1, 2, 3, 4):
        found = local_basis(linear(A), draw(1, 5), 2, iterations=iterations, tolerance=0.0, noise=Noise(2))
        torch.testing.assert_close(found.v[0] @ found.v[0].T, torch.eye(2, dtype=F64), rtol=0, atol=1e-12)
        off.append(1 - np.linalg.svd(found.v[0].numpy() @ V[:, :2], compute_uv=False).min() ** 2)
    # the tangent of the largest angle shrinks by (0.6 / 1.5)^2 each time at the most
    tangents = np.sqrt(np.array(off) / (1 - np.array(off)))
    assert (tangents[1:] <= 0.161 * tangents[:-1]).all() and tangents[0] > 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_it_stops_when_no_move_turns_whatever_its_sign_and_each_row_by_itself(dtype):
    """Of a linear map with wide gaps a few iterations are enough; a row without gaps goes on to the end."""
    wide, _, _ = planted([4.0, 1.0, 0.2], 6, 5)
    none, _, _ = planted([1.0, 0.97, 0.94], 6, 5)
    A = torch.stack([wide, none]).to(dtype)
    asked = []

    def f(x):
        which = (x[:, 0].detach() > 0).long()
        asked.append(which.tolist())
        return torch.einsum("bij,bj->bi", A[which], x)

    x = torch.tensor([[-1.0, 0, 0, 0, 0], [1.0, 0, 0, 0, 0]], dtype=dtype)
    found = local_basis(f, x, 2, iterations=40, tolerance=1e-3, noise=Noise([0, 1]))
    iterations = [call for call in asked[::2] if set(call) != {0, 1}]
    assert len(asked) == 2 * 40 + 1 and 32 <= len(iterations) <= 38 and all(set(c) == {1} for c in iterations)
    torch.testing.assert_close(found.s[0], torch.tensor([4.0, 1.0], dtype=dtype), rtol=1e-4, atol=0)
    assert found.v.dtype == dtype
    asked.clear()
    one = local_basis(f, x[:1], 2, iterations=40, tolerance=1e-3, noise=Noise([0]))
    assert len(asked) < 17
    for whole, alone in ((found.u, one.u), (found.s, one.s), (found.v, one.v)):
        torch.testing.assert_close(whole[:1], alone)


def test_it_starts_from_the_noise_that_is_given_made_orthonormal():
    A, x, asked = draw(6, 4), draw(2, 4, seed=1), []

    def given(like):
        assert like.shape == (2, 3, 4)
        asked.append(like)
        return draw(2, 3, 4, seed=5)

    found = local_basis(linear(A), x, 3, iterations=1, tolerance=0.0, noise=Given(given))
    assert len(asked) == 1
    for row in range(2):
        start = np.linalg.qr(draw(2, 3, 4, seed=5)[row].numpy().T)[0].T
        Vh = np.linalg.svd(start @ A.numpy().T @ A.numpy())[2][:3]
        np.testing.assert_allclose(np.abs(found.v[row].numpy() @ Vh.T), np.eye(3), atol=1e-10)
    assert not found.v.requires_grad


def test_where_the_jacobian_has_fewer_values_the_last_are_zero():
    A, _, _ = planted([2.0, 1.0], 3, 5)
    found = local_basis(linear(A), draw(1, 5), 4, iterations=30, noise=Noise(0))
    np.testing.assert_allclose(found.s.numpy(), [[2, 1, 0, 0]], atol=1e-7)
    torch.testing.assert_close(found.v[0] @ found.v[0].T, torch.eye(4, dtype=F64), rtol=0, atol=1e-7)
    still = local_basis(lambda x: 0 * x, draw(1, 3), 2, iterations=2, noise=Noise(0))
    assert not still.s.any() and not still.u.any()


def test_the_default_is_close_enough_to_be_used():
    A, _, _ = planted([3.0, 2.0, 1.0, 0.5], 7, 6)
    found = local_basis(linear(A), draw(1, 6), 3, noise=Noise(0))
    np.testing.assert_allclose(found.s.numpy(), [[3, 2, 1]], rtol=1e-6)


def test_fifty_iterations_or_until_no_move_turns_by_a_ten_thousandth():
    A, asked = planted([1.0, 0.999, 0.998], 6, 5)[0], []

    def f(x):
        asked.append(len(x))
        return x @ A.T

    local_basis(f, draw(1, 5), 2, tolerance=0.0, noise=Noise(0))
    assert asked == [2] * (2 * 50 + 1)
    A = planted([2.0, 1.4, 1.0], 6, 5)[0]
    found, given = (local_basis(f, draw(1, 5), 2, noise=Noise(0), **how) for how in ({}, {"tolerance": 1e-4}))  # pyright: ignore[reportArgumentType]
    assert torch.equal(found.v, given.v)
    assert not torch.equal(found.v, local_basis(f, draw(1, 5), 2, tolerance=3e-4, noise=Noise(0)).v)


def turns(A, start, iterations):
    """How far the move that turns most does, at each iteration, in numpy."""
    v, seen = np.linalg.qr(start.T)[0].T, []
    for _ in range(iterations):
        after = np.linalg.svd(v @ A.T @ A, full_matrices=False)[2]
        sign = np.sign((after * v).sum(1))[:, None]
        seen.append(np.linalg.norm(after - sign * v, axis=1).max())
        v = after
    return np.array(seen)


@pytest.mark.parametrize("ignored", [0, 1])
def test_it_stops_after_the_first_iteration_in_which_no_move_turned_by_more_than_was_said(ignored):
    A, start = planted([2.0, 1.7, 1.3, 0.9], 6, 5)[0], draw(1, 3, 5, seed=4)
    A[:, :ignored] = 0  # entries that f does not mind
    expected = turns(A.numpy(), start[0].numpy(), 30)
    for k in range(1, 20):
        asked = []

        def f(x, asked=asked):
            asked.append(len(x))
            return x @ A.T

        tolerance = math.sqrt(expected[k - 1] * expected[k])
        local_basis(f, draw(1, 5), 3, tolerance=tolerance, noise=Given(lambda like: start))
        assert len(asked) == 2 * (k + 1) + 1, k


def test_a_move_that_cannot_turn_is_done_at_once_and_signs_are_no_turns(monkeypatch):
    asked = []

    def f(x):
        asked.append(len(x))
        return 3 * x

    found = local_basis(f, draw(2, 1), 1, tolerance=0.0, noise=Noise(0))
    assert asked == [2] * 3 and found.s.tolist() == [[3.0], [3.0]]
    asked.clear()
    svd, sign = torch.linalg.svd, [1.0]

    def flipping(matrix, full_matrices=True):
        U, s, Vh = svd(matrix, full_matrices=full_matrices)
        sign[0] = -sign[0]
        return torch.return_types.linalg_svd((sign[0] * U, s, sign[0] * Vh))  # pyright: ignore[reportAttributeAccessIssue]

    monkeypatch.setattr(torch.linalg, "svd", flipping)
    local_basis(f, draw(2, 1), 1, tolerance=1e-3, noise=Noise(0))
    assert asked == [2] * 3
    asked.clear()
    A = planted([4.0, 1.0, 0.2], 6, 5)[0]
    local_basis(lambda x: f(x) @ A.T, draw(1, 5), 2, tolerance=1e-3, noise=Noise(0))
    assert len(asked) < 20


@pytest.mark.parametrize("n", [0, -1, 7])
def test_a_count_of_moves_that_there_are_not_is_named(n):
    with pytest.raises(ValueError, match=f"a basis has 1 to 6 moves, as many as x has entries, not {n}"):
        local_basis(lambda x: x, draw(2, 2, 3), n)
    assert local_basis(lambda x: x, draw(2, 2, 3), 6, noise=Noise(0)).v.shape == (2, 6, 2, 3)
    assert local_basis(lambda x: x, draw(2, 2, 3), 1, noise=Noise(0)).s.shape == (2, 1)


@pytest.mark.parametrize("iterations", [0, -2])
def test_no_iterations_are_refused(iterations):
    with pytest.raises(ValueError, match=f"iterations must be at least 1, not {iterations}"):
        local_basis(lambda x: x, draw(2, 3), 1, iterations=iterations)


def test_h_space_of_a_unet_with_attention_against_the_whole_jacobian():
    """Whose attention has no forward derivative on the CPU."""
    torch.manual_seed(0)
    network = UNet(1, width=8, multipliers=(1, 2), attention=(1,), head=8, groups=4)
    with torch.no_grad():
        for k, parameter in enumerate(network.parameters()):
            parameter.copy_(0.3 * Noise(k)(parameter))
    network, waist = network.double(), Waist(network.middle)
    x, t = draw(2, 1, 4, 4), 7

    def f(z):
        return waist.features(network, z, for_all(t, z))

    found = local_basis(f, x, 2, iterations=60, tolerance=1e-6, noise=Noise(1))
    for row in range(2):
        J = torch.autograd.functional.jacobian(lambda z: f(z).flatten(), x[[row]]).flatten(1)
        U, s, Vh = np.linalg.svd(J.numpy())
        np.testing.assert_allclose(found.s[row].numpy(), s[:2], rtol=1e-4)
        np.testing.assert_allclose(np.abs(found.v[row].flatten(1).numpy() @ Vh[:2].T), np.eye(2), atol=2e-2)
        np.testing.assert_allclose(np.abs(found.u[row].flatten(1).numpy() @ U[:, :2]), np.eye(2), atol=2e-2)
    assert found.u.shape == (2, 2, 16, 2, 2) and not found.s.requires_grad
    assert all(p.grad is None for p in network.parameters())


# T1: from one place to another


def frame(n, size, seed):
    return torch.from_numpy(np.linalg.qr(draw(size, n, seed=seed).numpy())[0].T.copy())


def test_transport_keeps_the_coefficients_of_the_tangent_vectors():
    U, V = frame(3, 8, 0), frame(3, 6, 1)
    there = Basis(torch.stack([U, -U]).view(2, 3, 2, 4), torch.ones(2, 3, dtype=F64), torch.stack([V, V]).view(2, 3, 6))
    u = torch.stack([0.6 * U[0] - 0.8 * U[2], 5 * U[1]]).view(2, 2, 4)
    found = transport(u, there)
    torch.testing.assert_close(found, torch.stack([0.6 * V[0] - 0.8 * V[2], -V[1]]), rtol=0, atol=1e-12)
    outside = frame(8, 8, 2)
    outside = outside - outside @ U.T @ U
    found = transport((outside[:2] + 0.1 * U[:2]).view(2, 2, 4), there)
    torch.testing.assert_close(found, torch.stack([V[0], -V[1]]), rtol=0, atol=1e-12)


def test_transport_does_not_divide_by_the_singular_values():
    there = Basis(frame(2, 4, 0)[None], torch.tensor([[9.0, 0.1]], dtype=F64), frame(2, 3, 1)[None])
    u = (there.u[:, 0] + there.u[:, 1]) / 2**0.5
    torch.testing.assert_close(transport(u, there), (there.v[:, 0] + there.v[:, 1]) / 2**0.5)


def test_transport_home_is_where_it_came_from_and_nowhere_is_0():
    A = draw(7, 5)
    here = local_basis(linear(A), draw(2, 5), 3, iterations=300, tolerance=1e-13, noise=Noise(0))
    torch.testing.assert_close(transport(here.u[:, 1], here), here.v[:, 1], rtol=0, atol=1e-10)
    assert not transport(torch.zeros_like(here.u[:, 0]), here).any()


@pytest.mark.parametrize("shape", [(2, 5), (1, 4), (2, 3, 4)])
def test_a_tangent_vector_of_another_layer_is_refused(shape):
    there = Basis(draw(2, 3, 4), torch.ones(2, 3, dtype=F64), draw(2, 3, 6))
    with pytest.raises(ValueError, match="is u of another layer"):
        transport(draw(*shape), there)


def test_the_distance_of_two_tangent_spaces_is_the_norm_of_their_principal_angles():
    eye = torch.eye(6, dtype=F64)
    turned = torch.stack(
        [math.cos(0.3) * eye[0] + math.sin(0.3) * eye[3], math.cos(1.1) * eye[1] - math.sin(1.1) * eye[4]]
    )
    mixing = frame(2, 2, 5)
    here, there = torch.stack([eye[:2], eye[:2]]), torch.stack([mixing @ turned, eye[2:4]])
    found = distance(here.view(2, 2, 2, 3), there.view(2, 2, 2, 3))
    np.testing.assert_allclose(found.numpy(), [math.hypot(0.3, 1.1), math.pi / 2 * 2**0.5], atol=1e-12)
    np.testing.assert_allclose(distance(there, here).numpy(), found.numpy(), atol=1e-12)
    assert distance(here, -(mixing @ here)).max() < 1e-7
    single = torch.stack([frame(3, 8, seed) for seed in range(20)]).float()
    assert (torch.linalg.svdvals(single @ single.mT) > 1).any()
    assert distance(single, single).max() < 2e-3


# T1: guidance, and the edit


@pytest.mark.parametrize("times", [0, 1, 3])
def test_guidance_adds_what_the_noise_makes_of_the_move_again_and_again(times):
    x, t, v, told = draw(3, 2, 2), torch.tensor([3, 7, 1]), draw(3, 2, 2, seed=1), []

    def model(x, t):
        told.append(t.tolist())
        return lively(x, t)

    step = torch.tensor([0.5, -1.0, 2.0], dtype=F64)
    found = guide(model, x, t, v, step=step, gamma=0.3, times=times)
    expected = x.numpy()
    for _ in range(times):
        reached = torch.from_numpy(expected) + step[:, None, None] * v
        expected = expected + 0.3 * (lively(reached, t) - lively(torch.from_numpy(expected), t)).numpy()
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
    assert told == [[3, 7, 1]] * (2 * times)


def test_guidance_with_noise_that_is_linear_is_a_move_through_its_matrix_and_its_defaults_are_the_authors():
    x, v, B = draw(2, 3), draw(2, 3, seed=1), 0.2 * draw(3, 3, seed=2)

    def model(x, t):
        return x @ B.T

    torch.testing.assert_close(guide(model, x, 5, v), x + 16 * 0.1 * v @ B.T)
    assert torch.equal(guide(model, x, 5, v, times=1, step=0.0), x)


@pytest.mark.parametrize("shape", [(3,), (1, 3), (2, 4), (2, 1, 3)])
def test_a_move_of_another_shape_does_not_guide(shape):
    with pytest.raises(ValueError, match=r"v moves x_t \(2, 3\)"):
        guide(lively, draw(2, 3), 5, draw(*shape))


@pytest.mark.parametrize("t_edit", [9, 6, 5, 2])
def test_the_change_is_made_once_where_it_was_asked_for(t_edit):
    process, x_T, asked, seen = rough(9), draw(3, 2, 2), [], []

    def model(x, t):
        asked.append(t.tolist())
        return lively(x, t)

    def change(x):
        seen.append((x, len(asked)))
        return x.sin() + 0.5

    kept = x_T.clone()
    found = edit(model, process, x_T, TAU, change, t_edit=t_edit)
    assert asked == [[t] * 3 for t in (9, 6, 5, 3, 2)] and torch.equal(kept, x_T)
    abar = np.cumprod(1 - process.beta.numpy())
    times, x = [0, *TAU.tolist()], x_T.numpy()
    for t, s in zip(times[:0:-1], times[-2::-1], strict=True):
        if t == t_edit:
            np.testing.assert_allclose(seen[0][0].numpy(), x, atol=1e-11)
            assert seen[0][1] == sum(tau > t for tau in TAU.tolist())
            x = np.sin(x) + 0.5
        eps = lively(torch.from_numpy(x), torch.full((3,), t)).numpy()
        x_0 = (x - np.sqrt(1 - abar[t]) * eps) / np.sqrt(abar[t])
        x = np.sqrt(abar[s]) * x_0 + np.sqrt(1 - abar[s]) * eps
    np.testing.assert_allclose(found.numpy(), x, atol=1e-10)
    assert len(seen) == 1


def test_without_a_change_it_is_ddim_and_noise_comes_where_it_is_asked_for():
    process, x_T = rough(9), draw(3, 2)
    still = edit(lively, process, x_T, TAU, lambda x: x, t_edit=5, noise=Given(refuse))
    torch.testing.assert_close(still, ddim.sample(lively, process, x_T, TAU), rtol=0, atol=1e-11)
    seen = []
    edit(lively, process, x_T, TAU, lambda x: seen.append(x) or x, t_edit=5)
    for boost, eta in ((6, 1.0), (0, 0.0)):
        found = edit(lively, process, x_T, TAU, lambda x: x, t_edit=5, t_boost=boost, noise=Noise(3))
        expected = ddim.sample(lively, process, seen[0], TAU[:3], eta=eta, noise=Noise(3))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)
    draws = []
    edit(lively, process, x_T, TAU, lambda x: x, t_edit=9, t_boost=3, noise=Given(lambda like: draws.append(1) or like))
    assert not draws  # t = 2 is the last step, which adds none
    edit(lively, process, x_T, TAU, lambda x: x, t_edit=9, t_boost=4, noise=Given(lambda like: draws.append(1) or like))
    assert len(draws) == 1


@pytest.mark.parametrize("t_edit", [0, 4, 10])
def test_a_time_that_is_not_passed_is_named(t_edit):
    with pytest.raises(ValueError, match=rf"t_edit must be one of the timesteps \[2, 3, 5, 6, 9\], not {t_edit}"):
        edit(lively, rough(9), draw(2, 2), TAU, lambda x: x, t_edit=t_edit)


def test_an_edit_along_the_first_vector_moves_the_features_most_and_others_less():
    """To first order the features move by s_k, which is what the basis is for."""
    A, x, size = draw(9, 6, seed=3), draw(2, 6), 1e-6
    found = local_basis(wavy(A), x, 3, iterations=200, tolerance=1e-12, noise=Noise(0))
    for k in range(3):
        moved = (wavy(A)(x + size * found.v[:, k]) - wavy(A)(x)).norm(dim=1) / size
        torch.testing.assert_close(moved, found.s[:, k], rtol=1e-5, atol=0)
    random = draw(2, 6, seed=8)
    random = random / per_row(random.norm(dim=1), random)
    assert (length(wavy(A), x, random[:, None])[:, 0] < found.s[:, 0]).all()


# T8 on other networks than the demo's


@pytest.mark.slow
@pytest.mark.parametrize("base", [1, 2])
def test_the_edits_are_not_about_one_network(base):
    """How unlike the spaces have become late is the network's own: only that it is more than early is asked of each."""
    run = demo.DEMO.run(seed=base)
    for claim in (demo.far, demo.one_factor, demo.transported):
        assert claim(run, base).holds, claim(run, base)
    alike = demo.alike_early(run, base)
    assert alike.satisfied_by(alike.value), alike
    assert alike.value < alike.control, alike
