"""Denoising score matching against kernels, integrals over exact mixtures, Bayes risks and Parzen densities."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from implementations import dsm
from implementations.common.noise import Noise
from implementations.verification.oracles import GaussianMixture, line, two_modes
from tests.implementations.toys import F64, Given, draw


def given(eps: torch.Tensor) -> Given:
    return Given(lambda like: eps)


def lively(x: torch.Tensor) -> torch.Tensor:
    return torch.sin(1.3 * x) - 0.4 * x + 0.1


# T1: corruption and target


def test_corruption_adds_noise_of_that_width_to_each_row():
    x, eps = draw(3, 1, 2, 2), draw(3, 1, 2, 2, seed=1)
    sigma = torch.tensor([0.1, 1.0, 5.0])
    torch.testing.assert_close(dsm.corrupt(x, 0.3, noise=given(eps)), x + 0.3 * eps)
    expected = x + sigma.double().view(3, 1, 1, 1) * eps
    torch.testing.assert_close(dsm.corrupt(x, sigma, noise=given(eps)), expected)


def test_target_is_the_gradient_of_the_kernels_log_density():
    x, x_tilde = draw(4, 3), draw(4, 3, seed=1).requires_grad_()
    for sigma in (0.5, torch.tensor([0.2, 1.0, 3.0, 0.7], dtype=F64)):
        width = torch.as_tensor(sigma, dtype=F64).view(-1, 1).expand(4, 3)
        log_q = torch.distributions.Normal(x, width).log_prob(x_tilde).sum()
        torch.testing.assert_close(dsm.target(x, x_tilde.detach(), sigma), torch.autograd.grad(log_q, x_tilde)[0])


def test_objective_is_half_the_squared_error_of_the_noise_over_sigma():
    """The noise is drawn once: the target belongs to the same draw as the input."""
    x, eps = draw(3, 1, 2, 2), draw(3, 1, 2, 2, seed=1)
    sigma = np.array([0.4, 1.0, 2.0])
    found = dsm.objective(lively, x, torch.tensor(sigma), noise=Noise(1))
    wide = sigma.reshape(3, 1, 1, 1)
    residual = lively(x + torch.tensor(wide) * eps).numpy() + eps.numpy() / wide
    np.testing.assert_allclose(found.numpy(), 0.5 * (residual**2).reshape(3, -1).sum(1), rtol=1e-12)
    loss = dsm.loss(lively, x, torch.tensor(sigma), noise=Noise(1))
    assert loss.item() == pytest.approx(found.mean().item(), rel=1e-12)


# T1: what it is equal to, as integrals over grids that are exact to rounding


def expected_objective(score, data: GaussianMixture, sigma: float) -> float:
    """E of the objective over x of a mixture on the line and over the noise."""
    x = torch.linspace(-7, 7, 1401, dtype=F64)
    eps = torch.linspace(-8, 8, 65, dtype=F64)
    mass = torch.exp(data.log_prob(x[:, None])) * (x[1] - x[0])
    weight = torch.exp(-0.5 * eps.square()) * (eps[1] - eps[0]) / math.sqrt(2 * math.pi)
    rows, draws = x.repeat_interleave(65)[:, None], eps.repeat(1401)[:, None]
    each = dsm.objective(score, rows, sigma, noise=given(draws)).view(1401, 65)
    return float(mass @ each @ weight)


@pytest.mark.parametrize("sigma", [0.2, 1.0])
def test_denoising_is_explicit_score_matching_of_the_blurred_density_up_to_a_known_constant(sigma):
    """The constant is (1 / sigma^2 - E |score of the blurred density|^2) / 2 in one dimension."""
    data = line()
    x = torch.linspace(-14, 14, 5601, dtype=F64)[:, None]
    mass = torch.exp(data.log_prob(x, sigma=sigma)) * 0.005
    exact = data.score(x, sigma=sigma)
    constant = 0.5 * (1 / sigma**2 - float(mass @ exact.square().sum(1)))
    for score in (lively, torch.cos, lambda y: data.score(y, sigma=sigma)):
        explicit = 0.5 * float(mass @ (score(x) - exact).square().sum(1))
        assert expected_objective(score, data, sigma) == pytest.approx(explicit + constant, abs=1e-9)


@pytest.mark.parametrize("sigma", [0.2, 1.0])
def test_least_objective_is_the_bayes_risk(sigma):
    data = line()
    least = expected_objective(lambda y: data.score(y, sigma=sigma), data, sigma)
    assert least == pytest.approx(data.eps_risk(1.0, sigma) / (2 * sigma**2), rel=1e-8)


# T1: Parzen densities and denoising


@pytest.mark.parametrize("sigma", [0.3, 2.0])
def test_parzen_score_is_that_of_a_mixture_of_kernels(sigma):
    data, x_tilde = draw(7, 4), draw(5, 4, seed=1)
    kernels = GaussianMixture(torch.ones(7), data, torch.full((7,), sigma**2))
    found = dsm.parzen_score(x_tilde.view(5, 1, 2, 2), data.view(7, 1, 2, 2), sigma)
    torch.testing.assert_close(found, kernels.score(x_tilde).view(5, 1, 2, 2))


def test_parzen_score_takes_a_sigma_for_each_row():
    data, x_tilde, sigma = draw(7, 2), draw(3, 2, seed=1), torch.tensor([0.3, 1.0, 2.0], dtype=F64)
    rows = [dsm.parzen_score(x_tilde[i : i + 1], data, sigma[i].item()) for i in range(3)]
    torch.testing.assert_close(dsm.parzen_score(x_tilde, data, sigma), torch.cat(rows))


def test_parzen_score_is_finite_far_from_all_data():
    data, x_tilde = torch.tensor([[0.0], [1.0]]), torch.tensor([[1000.0]])
    torch.testing.assert_close(dsm.parzen_score(x_tilde, data, 0.1), (1 - x_tilde) / 0.01)


def test_denoising_by_the_exact_score_is_the_posterior_mean():
    data, x_tilde = two_modes(), draw(6, 2)
    for sigma in (0.5, torch.tensor([0.2, 0.4, 0.6, 1.0, 2.0, 5.0], dtype=F64)):
        found = dsm.denoise(lambda y, sigma=sigma: data.score(y, sigma=sigma), x_tilde, sigma)
        torch.testing.assert_close(found, data.denoise(x_tilde, 1.0, sigma))


# T1: the autoencoder


def autoencoder(sigma: float = 0.6) -> dsm.DenoisingAutoencoder:
    model = dsm.DenoisingAutoencoder(4, 7, sigma).double()
    for seed, parameter in enumerate(model.parameters()):
        parameter.data = draw(*parameter.shape, seed=seed)
    return model


def test_reconstruction_is_the_formula_with_one_matrix():
    model, x = autoencoder(), draw(5, 4, seed=5)
    W, b, c = (v.detach().numpy() for v in (model.weight, model.hidden_bias, model.visible_bias))
    expected = (1 / (1 + np.exp(-(x.numpy() @ W.T + b)))) @ W + c
    np.testing.assert_allclose(model.reconstruct(x).detach().numpy(), expected, rtol=1e-12)
    torch.testing.assert_close(dsm.denoise(model, x, model.sigma), model.reconstruct(x))


def test_score_of_the_autoencoder_is_the_gradient_of_its_log_density():
    model, x = autoencoder(), draw(5, 4, seed=5).requires_grad_()
    torch.testing.assert_close(model(x), torch.autograd.grad(model.log_density(x).sum(), x)[0])


def test_log_density_of_the_autoencoder_is_the_formula():
    model, x = autoencoder(), draw(5, 4, seed=5)
    W, b, c = (v.detach().numpy() for v in (model.weight, model.hidden_bias, model.visible_bias))
    softplus = np.log1p(np.exp(x.numpy() @ W.T + b)).sum(1)
    expected = (x.numpy() @ c - 0.5 * (x.numpy() ** 2).sum(1) + softplus) / 0.36
    np.testing.assert_allclose(model.log_density(x).detach().numpy(), expected, rtol=1e-12)


def test_score_matching_the_autoencoder_is_reconstruction_over_twice_sigma_to_the_fourth():
    model, x, eps = autoencoder(), draw(5, 4, seed=5), draw(5, 4, seed=6)
    found = dsm.objective(model, x, 0.6, noise=given(eps))
    reconstruction = (model.reconstruct(x + 0.6 * eps) - x).square().sum(1)
    torch.testing.assert_close(found, reconstruction / (2 * 0.6**4))


def test_a_fresh_autoencoder_has_the_shapes_asked_for_and_reconstructs_half_its_filters_sum():
    model = dsm.DenoisingAutoencoder(4, 7, 0.5)
    assert model.sigma == 0.5
    assert {name: tuple(p.shape) for name, p in model.named_parameters()} == {
        "weight": (7, 4), "hidden_bias": (7,), "visible_bias": (4,),
    }  # fmt: skip
    torch.testing.assert_close(model.reconstruct(torch.zeros(1, 4)), 0.5 * model.weight.sum(0, keepdim=True))

    torch.manual_seed(0)
    weight = dsm.DenoisingAutoencoder(64, 256, 0.5).weight.detach()
    assert float(weight.std()) == pytest.approx(0.1, abs=5 * 0.1 / (2 * weight.numel()) ** 0.5)


# T6: invariants and errors


def test_same_seed_same_objective_row_by_row_and_arguments_unchanged():
    x = draw(8, 2)
    kept = x.clone()
    whole = dsm.objective(lively, x, 0.5, noise=Noise(range(8)))
    halves = [dsm.objective(lively, x[i : i + 4], 0.5, noise=Noise(range(i, i + 4))) for i in (0, 4)]
    torch.testing.assert_close(whole, torch.cat(halves))
    assert torch.equal(x, kept)
    assert dsm.objective(lively, x.float(), torch.tensor(0.5, dtype=F64)).dtype == torch.float32


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan, torch.tensor([1.0, 0.0])])
def test_sigma_that_is_not_above_0_is_named(sigma):
    x = torch.zeros(2, 3)
    for use in (
        lambda: dsm.corrupt(x, sigma),
        lambda: dsm.target(x, x, sigma),
        lambda: dsm.denoise(lively, x, sigma),
        lambda: dsm.parzen_score(x, x, sigma),
    ):
        with pytest.raises(ValueError, match="sigma must be above 0"):
            use()
