"""Score matching against hand-computed objectives, integrals over exact densities, and maximum likelihood."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from implementations import score_matching
from implementations.common.noise import Noise
from implementations.verification.oracles import GaussianMixture, two_modes
from tests.implementations.toys import F64, draw, grid

# T1: the objective


def test_objective_of_an_affine_score_is_half_its_square_and_the_trace_of_its_matrix():
    A, b, x = draw(3, 3), draw(3, seed=1), draw(5, 3, seed=2)
    found = score_matching.objective(lambda x: x @ A.mT + b, x)
    expected = np.trace(A.numpy()) + 0.5 * ((x.numpy() @ A.numpy().T + b.numpy()) ** 2).sum(1)
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-12)


def test_objective_of_a_curved_score_takes_the_diagonal_of_its_jacobian_at_each_row():
    def score(x):
        return torch.stack([x[:, 0] ** 2 * x[:, 1], x[:, 1] ** 3 + x[:, 0]], 1)

    x = draw(6, 2)
    a, b = x.numpy().T
    expected = 2 * a * b + 3 * b**2 + 0.5 * ((a**2 * b) ** 2 + (b**3 + a) ** 2)
    np.testing.assert_allclose(score_matching.objective(score, x).detach().numpy(), expected, rtol=1e-12)


def test_images_are_rows_like_any_other():
    A, x = draw(4, 4), draw(3, 1, 2, 2, seed=1)
    found = score_matching.objective(lambda x: (x.flatten(1) @ A.mT).view_as(x), x)
    torch.testing.assert_close(found, score_matching.objective(lambda x: x @ A.mT, x.flatten(1)))
    assert found.shape == (3,)


def test_an_entry_that_does_not_depend_on_x_has_no_derivative():
    theta = torch.tensor([0.5, -2.0], dtype=F64, requires_grad=True)
    found = score_matching.objective(lambda x: theta.expand_as(x), draw(3, 2))
    torch.testing.assert_close(found.detach(), torch.full((3,), 0.5 * (0.25 + 4), dtype=F64))


def test_the_exact_trace_costs_one_backward_pass_for_each_dimension():
    passes = []

    def score(x):
        psi = torch.sin(x)
        psi.register_hook(lambda grad: passes.append(1))
        return psi

    for dimension in (1, 3, 7):
        passes.clear()
        score_matching.objective(score, draw(2, dimension))
        assert len(passes) == dimension


def test_gradient_of_the_loss_is_the_derivative_of_the_averaged_objective():
    """psi = -theta x: the objective is -theta D + theta^2 |x|^2 / 2."""
    theta, x = torch.tensor(0.7, dtype=F64, requires_grad=True), draw(9, 3)
    value = score_matching.loss(lambda x: -theta * x, x)
    square = float(x.square().sum(1).mean())
    assert value.item() == pytest.approx(-0.7 * 3 + 0.5 * 0.49 * square, rel=1e-12)
    assert torch.autograd.grad(value, theta)[0].item() == pytest.approx(-3 + 0.7 * square, rel=1e-12)


def test_explicit_objective_is_half_the_squared_distance():
    x = draw(4, 1, 2, 3)
    found = score_matching.explicit_objective(lambda x: 3 * x, lambda x: x + 1, x)
    expected = 0.5 * ((2 * x.numpy() - 1) ** 2).reshape(4, -1).sum(1)
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-12)


def test_theorem_1_implicit_and_explicit_differ_by_half_the_mean_square_of_the_data_score():
    """In expectation over a mixture, as an integral over a grid that is exact to rounding."""
    data, (x, area) = two_modes(), grid(6, 241)
    mass = data.log_prob(x).exp() * area
    assert float(mass.sum()) == pytest.approx(1, abs=1e-9)
    constant = 0.5 * float(mass @ data.score(x).square().sum(1))
    rotation = torch.tensor([[0.3, -1.0], [1.0, 0.3]], dtype=F64)  # no gradient of anything: the theorem holds too
    for score in (lambda x: torch.tanh(x @ rotation) @ rotation, lambda x: torch.sin(x) - 0.5 * x.flip(1)):
        implicit = float(mass @ score_matching.objective(score, x).detach())
        explicit = float(mass @ score_matching.explicit_objective(score, data.score, x))
        assert implicit + constant == pytest.approx(explicit, abs=1e-9)


# T1: scores of unnormalised densities


def test_score_of_is_the_gradient_and_forgets_the_constant():
    x = draw(5, 3)
    score = score_matching.score_of(lambda x: 7 - 0.25 * x.pow(4).sum(1))
    with torch.no_grad():
        torch.testing.assert_close(score(x), -x.pow(3))
    assert not x.requires_grad


def test_score_of_is_differentiable_in_x_and_in_the_weights():
    theta, x = torch.tensor(1.5, dtype=F64, requires_grad=True), draw(4, 2).requires_grad_()
    psi = score_matching.score_of(lambda x: -theta * x.pow(4).sum(1))(x)
    in_x, in_theta = torch.autograd.grad(psi.sum(), (x, theta))
    torch.testing.assert_close(in_x, (-18 * x.square()).detach())
    torch.testing.assert_close(in_theta, (-4 * x.pow(3)).sum().detach())


# T1: the Gaussian


def test_gaussian_estimator_is_maximum_likelihood():
    x = draw(50, 3) @ draw(3, 3, seed=1) + 2
    mean, precision = score_matching.fit_gaussian(x)
    np.testing.assert_allclose(mean.numpy(), x.numpy().mean(0), rtol=1e-12)
    np.testing.assert_allclose(precision.numpy(), np.linalg.inv(np.cov(x.numpy().T, bias=True)), rtol=1e-9)


def test_loss_is_stationary_at_the_gaussian_estimator_and_higher_beside_it():
    x = draw(60, 3) @ draw(3, 3, seed=1) + 2
    mean, precision = (v.requires_grad_() for v in score_matching.fit_gaussian(x))

    def at(mean, precision):
        return score_matching.loss(lambda x: -(x - mean) @ precision.mT, x)

    for slope in torch.autograd.grad(at(mean, precision), (mean, precision)):
        assert float(slope.abs().max()) < 1e-9
    least = at(mean, precision).item()
    for seed in range(5):
        assert at(mean + 0.1 * draw(3, seed=seed), precision).item() > least
        assert at(mean, precision + 0.1 * draw(3, 3, seed=seed)).item() > least


@pytest.mark.parametrize("x", [torch.ones(5, 2), torch.eye(3, dtype=F64)[:2], torch.arange(6.0)[:, None].expand(6, 2)])
def test_a_singular_sample_is_refused(x):
    with pytest.raises(ValueError, match=rf"covariance of {len(x)} rows of {x.shape[1]} numbers is singular"):
        score_matching.fit_gaussian(x)


# T1: experts


def experts() -> tuple[torch.Tensor, score_matching.Experts]:
    vectors = torch.tensor([[1.2, 0.5], [-0.3, 0.9], [0.0, -2.0], [0.6, -0.7]], dtype=F64)
    return vectors, score_matching.Experts(vectors)


def test_log_density_and_score_of_experts_are_the_formula():
    vectors, model = experts()
    alpha = np.linalg.norm(vectors.numpy(), axis=1)
    w, x = vectors.numpy() / alpha[:, None], draw(5, 2)
    u = x.numpy() @ w.T
    np.testing.assert_allclose(model.log_density(x).detach(), -(alpha * np.log(np.cosh(u))).sum(1), rtol=1e-12)
    np.testing.assert_allclose(model(x).detach(), -(alpha * np.tanh(u)) @ w, rtol=1e-12)
    torch.testing.assert_close(model.vectors.detach(), vectors)


def test_the_length_of_a_filter_does_not_matter_only_its_weight():
    vectors, model = experts()
    x = draw(5, 2)
    before = model.log_density(x).detach()
    with torch.no_grad():
        model.filters.mul_(3)
    torch.testing.assert_close(model.log_density(x).detach(), before)
    torch.testing.assert_close(model.vectors.detach(), vectors)


def test_experts_are_finite_far_out():
    _, model = experts()
    x = torch.tensor([[1e4, -2e4]], dtype=F64)
    u = x @ nn.functional.normalize(model.filters.detach(), dim=1).mT
    expected = -(model.log_weights.detach().exp() * (u.abs() - np.log(2))).sum(1)
    torch.testing.assert_close(model.log_density(x).detach(), expected, rtol=1e-12, atol=0)


# T6: invariants


def test_objective_is_row_by_row_and_leaves_its_argument_alone():
    data = GaussianMixture([0.5, 0.5], [[0.0, 1.0], [1.0, 0.0]], [0.3, 0.5])
    x = data.sample(8, noise=Noise(0))
    kept = x.clone()
    w = draw(2, 2)

    def score(x):
        return torch.tanh(x @ w)

    whole = score_matching.objective(score, x)
    halves = torch.cat([score_matching.objective(score, x[i : i + 4]) for i in (0, 4)])
    torch.testing.assert_close(whole, halves)
    assert torch.equal(x, kept) and not x.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(score_matching.objective(score, x).detach(), whole.detach())
