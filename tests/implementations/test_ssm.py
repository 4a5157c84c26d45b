"""Sliced score matching against hand-computed slices, the exact objective, and the moments of its projections."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from implementations import score_matching, ssm
from implementations.common.noise import Noise
from tests.implementations.toys import F64, draw


def given(*directions: torch.Tensor):
    """A law that hands out these directions in turn."""
    left = iter(directions)
    return lambda x, noise: next(left).expand_as(x)


def curved(x: torch.Tensor) -> torch.Tensor:
    """A score that is no gradient, with a Jacobian that is neither diagonal nor symmetric."""
    w = draw(x[0].numel(), x[0].numel(), seed=9)
    return (torch.tanh(x.flatten(1) @ w) + 0.3 * x.flatten(1).flip(1)).view_as(x)


# T1: the objective


@pytest.mark.parametrize("variance_reduced", [False, True])
def test_objective_of_an_affine_score_along_given_directions(variance_reduced):
    A, b, x = draw(3, 3), draw(3, seed=1), draw(5, 3, seed=2)
    v = [draw(5, 3, seed=seed) for seed in (3, 4)]
    found = ssm.objective(lambda x: x @ A.mT + b, x, projections=2, law=given(*v), variance_reduced=variance_reduced)
    psi = x.numpy() @ A.numpy().T + b.numpy()
    expected = 0
    for u in (direction.numpy() for direction in v):
        square = (psi**2).sum(1) if variance_reduced else (u * psi).sum(1) ** 2
        expected = expected + 0.5 * (np.einsum("bi,ij,bj->b", u, A.numpy(), u) + 0.5 * square)
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("variance_reduced", [False, True])
@pytest.mark.parametrize("shape", [(1,), (4,), (1, 2, 2)])
def test_mean_over_all_sign_vectors_is_the_exact_objective(variance_reduced, shape):
    x = draw(6, *shape)
    size = x[0].numel()
    signs = [torch.tensor(row, dtype=F64).view(shape) for row in product((-1, 1), repeat=size)]
    found = ssm.objective(curved, x, projections=len(signs), law=given(*signs), variance_reduced=variance_reduced)
    torch.testing.assert_close(found, score_matching.objective(curved, x), rtol=1e-12, atol=1e-12)


def test_the_plain_objective_is_one_random_sign_vector():
    x = draw(7, 3)
    v = ssm.rademacher(x, Noise(5))
    expected = ssm.objective(curved, x, projections=1, law=given(v), variance_reduced=False)
    torch.testing.assert_close(ssm.objective(curved, x, noise=Noise(5)), expected)
    torch.testing.assert_close(ssm.loss(curved, x, noise=Noise(5)), expected.mean())


def test_loss_passes_its_options_on():
    x = draw(7, 3)
    options = {"projections": 3, "law": ssm.sphere, "variance_reduced": True}
    expected = ssm.objective(curved, x, noise=Noise(2), **options).mean()
    torch.testing.assert_close(ssm.loss(curved, x, noise=Noise(2), **options), expected)


def test_averaging_the_second_term_removes_all_variance_where_the_score_is_constant():
    constant = torch.tensor([1.0, -2.0, 0.5], dtype=F64, requires_grad=True)
    x = torch.zeros(4, 3, dtype=F64)
    reduced = ssm.objective(lambda x: constant.expand_as(x), x, law=ssm.normal, variance_reduced=True, noise=Noise(0))
    torch.testing.assert_close(reduced.detach(), torch.full((4,), 0.5 * 5.25, dtype=F64))
    plain = ssm.objective(lambda x: constant.expand_as(x), x, law=ssm.normal, noise=Noise(0))
    assert float(plain.detach().std()) > 0.1


def test_gradient_of_the_loss_is_the_derivative_of_the_objective():
    """psi = -theta x along v: -theta |v|^2 + theta^2 (v.x)^2 / 2."""
    theta, x, v = torch.tensor(0.7, dtype=F64, requires_grad=True), draw(9, 3), draw(9, 3, seed=1)
    value = ssm.loss(lambda x: -theta * x, x, law=given(v))
    expected = -v.square().sum(1) + 0.7 * (v * x).sum(1).square()
    torch.testing.assert_close(torch.autograd.grad(value, theta)[0], expected.mean())


def test_a_direction_that_depends_on_the_point_is_not_differentiated():
    """psi = -theta x along v = x gives -theta |x|^2 + theta^2 |x|^4 / 2; differentiating v would double the first."""
    x = draw(6, 3)
    square = x.square().sum(1)
    found = ssm.objective(lambda x: -0.7 * x, x, law=lambda x, noise: x)
    torch.testing.assert_close(found.detach(), -0.7 * square + 0.5 * 0.49 * square.square())


@pytest.mark.parametrize("dimension", [2, 9])
@pytest.mark.parametrize("projections", [1, 3])
def test_cost_is_one_evaluation_and_one_backward_pass_a_direction_whatever_the_dimension(dimension, projections):
    calls, passes = [], []

    def score(x):
        calls.append(1)
        psi = torch.sin(x)
        psi.register_hook(lambda grad: passes.append(1))
        return psi

    ssm.objective(score, draw(2, dimension), projections=projections)
    assert (len(calls), len(passes)) == (1, projections)


# T1: projection laws


@pytest.mark.parametrize("law", [ssm.normal, ssm.rademacher, ssm.sphere])
def test_directions_have_mean_0_and_second_moment_the_identity(law):
    """Within 5 standard errors; entries of v v^T have variance at most 2."""
    n = 40_000
    v = law(torch.zeros(n, 3, dtype=F64), Noise(1))
    assert float(v.mean(0).abs().max()) < 5 / n**0.5
    assert float((v.mT @ v / n - torch.eye(3, dtype=F64)).abs().max()) < 5 * (2 / n) ** 0.5


def test_each_law_is_what_its_name_says():
    x = torch.zeros(200, 1, 2, 3)
    torch.testing.assert_close(ssm.normal(x, Noise(2)), Noise(2)(x))
    signs = ssm.rademacher(x, Noise(2))
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(signs == -1, Noise(2).uniform(x) < 0.5)
    on_sphere = ssm.sphere(x, Noise(2))
    torch.testing.assert_close(on_sphere.flatten(1).norm(dim=1), torch.full((200,), 6**0.5))
    torch.testing.assert_close(on_sphere * Noise(2)(x).flatten(1).norm(dim=1).view(-1, 1, 1, 1) / 6**0.5, Noise(2)(x))
    for v in (signs, on_sphere):
        assert v.shape == x.shape and v.dtype == x.dtype


def test_signs_are_fair_to_the_last_bit():
    """Uniform numbers are the multiples of some 2^-k from 0 up to, not including, 1: half of them lie below 1/2."""
    u = torch.arange(16, dtype=F64).view(2, 8) / 16
    noise = Noise()
    noise.uniform = lambda like: u
    assert ssm.rademacher(torch.empty(2, 8, dtype=F64), noise).tolist() == [[-1.0] * 8, [1.0] * 8]


# T6: invariants and errors


@pytest.mark.parametrize("law", [ssm.normal, ssm.rademacher, ssm.sphere])
def test_a_batch_of_eight_is_twice_four_and_the_argument_is_unchanged(law):
    x = draw(8, 3)
    kept = x.clone()
    whole = ssm.objective(curved, x, projections=2, law=law, noise=Noise(range(8)))
    halves = [ssm.objective(curved, x[i : i + 4], projections=2, law=law, noise=Noise(range(i, i + 4))) for i in (0, 4)]
    torch.testing.assert_close(whole, torch.cat(halves))
    assert torch.equal(x, kept) and not x.requires_grad
    with torch.no_grad():
        again = ssm.objective(curved, x, projections=2, law=law, noise=Noise(range(8)))
    torch.testing.assert_close(again.detach(), whole.detach())


@pytest.mark.parametrize("projections", [0, -1])
def test_projections_below_1_are_named(projections):
    with pytest.raises(ValueError, match=f"projections must be at least 1, not {projections}"):
        ssm.objective(curved, draw(2, 2), projections=projections)
