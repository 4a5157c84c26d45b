"""Each closed form against an integral, a derivative or another library's density."""

from collections.abc import Callable
from functools import partial
from math import cos, pi, sin

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from implementations.common.noise import Noise
from implementations.verification.oracles import (
    Gaussian,
    GaussianMixture,
    Prediction,
    eight_gaussians,
    line,
    two_modes,
)

F64 = torch.float64
LEVELS = [(1.0, 0.5), (0.8, 0.6), (0.1, 0.995), (1.0, 20.0)]


class Given(Noise):
    """Draws what it was given: uniform numbers, and normal ones."""

    def __init__(self, u: list[float], z: torch.Tensor) -> None:
        super().__init__()
        self.u, self.z, self.asked = torch.tensor(u, dtype=F64), z, []

    def __call__(self, like: torch.Tensor) -> torch.Tensor:
        self.asked.append((tuple(like.shape), like.dtype))
        return self.z

    def uniform(self, like: torch.Tensor) -> torch.Tensor:
        self.asked.append((tuple(like.shape), like.dtype))
        return self.u


def density(mixture: GaussianMixture) -> MixtureSameFamily:
    """The data's law, from torch.distributions instead of our formulas."""
    return MixtureSameFamily(Categorical(mixture.weights), MultivariateNormal(mixture.means, mixture.covs))


def grid(mixture: GaussianMixture, points: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A trapezoidal rule over x_0 that reaches 9 sd beyond every mean, weighted by p(x_0)."""
    reach = 9 * mixture.covs.diagonal(dim1=1, dim2=2).max(0).values.sqrt()
    low, high = mixture.means.min(0).values - reach, mixture.means.max(0).values + reach
    axes = [torch.linspace(a, b, points, dtype=F64) for a, b in zip(low, high, strict=True)]
    x_0 = torch.cartesian_prod(*axes).reshape(-1, len(axes))
    cell = torch.stack([axis[1] - axis[0] for axis in axes]).prod()
    return x_0, density(mixture).log_prob(x_0).exp() * cell


@pytest.mark.parametrize("mixture", [line(), two_modes(), eight_gaussians()], ids=["line", "two", "eight"])
@pytest.mark.parametrize("level", LEVELS)
def test_every_expectation_equals_its_integral_over_x_0(mixture, level):
    alpha, sigma = level
    D = mixture.means.shape[1]
    x = mixture.sample(5, alpha=alpha, sigma=sigma, noise=Noise(1))
    x_0, mass = grid(mixture, 2001 if D == 1 else 201)
    eps = (x[:, None] - alpha * x_0) / sigma
    joint = mass * torch.exp(-eps.square().sum(2) / 2) / (2 * pi * sigma**2) ** (D / 2)
    total = joint.sum(1)
    weight = joint / total[:, None]
    # Below 0.3 sd of the narrowest component a step, the rule's relative error is below exp(-2 (pi / 0.3)^2).
    close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-9)
    mean = weight @ x_0
    close(mixture.log_prob(x, alpha, sigma), total.log())
    close(mixture.denoise(x, alpha, sigma), mean)
    close(mixture.eps(x, alpha, sigma), torch.einsum("bn,bnd->bd", weight, eps))
    centred = x_0 - mean[:, None]
    spread = torch.einsum("bn,bni,bnj->bij", weight, centred, centred)
    close(mixture.covariance(x, alpha, sigma), spread)
    score = torch.einsum("bn,bnd->bd", weight, -eps / sigma)
    close(mixture.score(x, alpha, sigma), score)


def test_score_is_the_gradient_of_log_prob_with_a_level_per_row_and_with_classes():
    mixture = two_modes()
    alpha = torch.tensor([1.0, 0.9, 0.3, 0.0], dtype=F64)
    sigma = torch.tensor([0.1, 0.4, 0.9, 1.0], dtype=F64)
    x = mixture.sample(4, sigma=1.0, noise=Noise(2)).requires_grad_()
    for y in (None, torch.tensor([0, 1, 1, 0])):
        (slope,) = torch.autograd.grad(mixture.log_prob(x, alpha, sigma, y).sum(), x)
        torch.testing.assert_close(mixture.score(x, alpha, sigma, y), slope, rtol=1e-10, atol=1e-10)


def test_a_class_is_the_mixture_of_its_components():
    mixture = line()
    x = mixture.sample(6, sigma=0.3, noise=Noise(3))
    for y in (0, 1):
        part = mixture.given(y)
        rows = torch.full((6,), y)
        torch.testing.assert_close(mixture.log_prob(x, 1.0, 0.3, rows), part.log_prob(x, 1.0, 0.3))
        torch.testing.assert_close(mixture.denoise(x, 1.0, 0.3, rows), part.denoise(x, 1.0, 0.3))
        # Bayes: p(y | x) p(x) = p(y) p(x | y)
        prior = mixture.weights[mixture.labels == y].sum()
        bayes = prior * (part.log_prob(x, 1.0, 0.3) - mixture.log_prob(x, 1.0, 0.3)).exp()
        torch.testing.assert_close(mixture.class_posterior(x, 1.0, 0.3)[:, y], bayes)


def test_parts_add_up_to_x_at_every_level_and_v_is_its_rotation():
    mixture = two_modes()
    for alpha, sigma in [*LEVELS, (1.0, 0.0), (0.0, 1.0)]:
        x = mixture.sample(8, alpha=alpha, sigma=sigma, noise=Noise(4))
        x_0, eps, v = (f(x, alpha, sigma) for f in (mixture.denoise, mixture.eps, mixture.v))
        torch.testing.assert_close(alpha * x_0 + sigma * eps, x)
        # x and v are (x_0, eps) turned by an angle and scaled, so both come back from (x, v).
        torch.testing.assert_close(alpha * x - sigma * v, (alpha**2 + sigma**2) * x_0)
        torch.testing.assert_close(sigma * x + alpha * v, (alpha**2 + sigma**2) * eps)


def test_at_the_data_end_the_denoiser_is_the_identity_and_at_the_noise_end_the_mean():
    mixture = two_modes()
    x = mixture.sample(8, noise=Noise(5))
    torch.testing.assert_close(mixture.denoise(x, 1.0, 0.0), x)
    torch.testing.assert_close(mixture.denoise(x, 0.0, 1.0), mixture.mean.expand(8, 2))


@pytest.mark.parametrize("mixture", [line(), two_modes()], ids=["line", "two"])
def test_a_noised_mixture_is_a_mixture(mixture):
    x = mixture.sample(8, sigma=1.0, noise=Noise(6))
    noised = mixture.at(0.6, 0.8)
    torch.testing.assert_close(noised.log_prob(x), mixture.log_prob(x, 0.6, 0.8), rtol=1e-12, atol=1e-12)
    assert noised.labels.tolist() == mixture.labels.tolist()


def test_without_a_level_the_data_are_meant():
    mixture = line()
    x = mixture.sample(6, noise=Noise(11)).requires_grad_()
    log_p = density(mixture).log_prob(x)
    torch.testing.assert_close(mixture.log_prob(x), log_p)
    torch.testing.assert_close(mixture.score(x), torch.autograd.grad(log_p.sum(), x)[0])
    each = MultivariateNormal(mixture.means, mixture.covs).log_prob(x[:, None]).exp() * mixture.weights
    bayes = (each / each.sum(1, keepdim=True)).detach()
    torch.testing.assert_close(mixture.posterior(x), bayes)
    torch.testing.assert_close(mixture.class_posterior(x), torch.stack([bayes[:, :2].sum(1), bayes[:, 2]], 1))


def test_a_level_of_its_own_for_each_row_serves_images_as_it_serves_points():
    mixture = two_modes()
    x = mixture.sample(3, sigma=1.0, noise=Noise(12))
    alpha, sigma = torch.tensor([0.9, 0.5, 0.0]), torch.tensor([0.1, 0.7, 1.0])
    image = x.float().reshape(3, 1, 2, 1)
    for name in ("score", "eps", "denoise", "v"):
        flat = getattr(mixture, name)(x, alpha, sigma)
        assert flat.shape == x.shape and flat.dtype == F64
        shown = getattr(mixture, name)(image, alpha, sigma)
        assert shown.shape == image.shape and shown.dtype == torch.float32
        torch.testing.assert_close(shown.reshape(3, 2), flat.float(), rtol=1e-5, atol=1e-5)


def test_numbers_are_not_rounded_to_float32_on_their_way_in():
    assert Gaussian(0.1, 0.3).mean.tolist() == [0.1]
    assert Gaussian([0.1, 0.2], [0.3, 0.7]).cov.tolist() == [[0.3, 0.0], [0.0, 0.7]]


@pytest.mark.parametrize("mixture", [line(), two_modes()], ids=["line", "two"])
@pytest.mark.parametrize("level", LEVELS)
def test_least_risk_by_quadrature_equals_the_posterior_covariance_averaged(mixture, level):
    alpha, sigma = level
    # eps = (x - alpha x_0) / sigma, so E |eps - E[eps|x]|^2 = alpha^2 / sigma^2 E tr Cov[x_0 | x].
    x = mixture.sample(5_000, alpha=alpha, sigma=sigma, noise=Noise(7))
    each = mixture.covariance(x, alpha, sigma).diagonal(dim1=1, dim2=2).mean(1) * alpha**2 / sigma**2
    error = each.std().item() / len(x) ** 0.5
    assert abs(mixture.eps_risk(alpha, sigma) - each.mean().item()) < 4 * error + 1e-12
    estimate, error = mixture.eps_risk_by_sampling(alpha, sigma, 5_000, Noise(8))
    assert abs(mixture.eps_risk(alpha, sigma) - estimate) < 4 * error + 1e-12


@pytest.mark.parametrize("turn", [0.3, -0.3, 1.2])
@pytest.mark.parametrize("level", LEVELS[:2])
def test_least_risk_equals_what_the_score_of_the_noised_law_says(turn, level):
    """E[eps | x] = -sigma grad log p(x): by autograd of another library's density, on a grid in the plane of x."""
    R = torch.tensor([[cos(turn), -sin(turn)], [sin(turn), cos(turn)]], dtype=F64)
    cov = R @ torch.diag(torch.tensor([0.5, 0.1], dtype=F64)) @ R.mT
    cov = (cov + cov.mT) / 2  # symmetric to the last bit
    mixture = GaussianMixture([0.7, 0.3], [[-1.0, 0.5], [1.0, 0.0]], torch.stack([cov, 2 * cov]))
    alpha, sigma = level
    axis = torch.linspace(-9, 9, 401, dtype=F64)
    x = torch.cartesian_prod(axis, axis).requires_grad_()
    eye = torch.eye(2, dtype=F64)
    law = GaussianMixture(mixture.weights, alpha * mixture.means, alpha**2 * mixture.covs + sigma**2 * eye)
    log_p = density(law).log_prob(x)
    (score,) = torch.autograd.grad(log_p.sum(), x)
    mass = log_p.detach().exp() * (axis[1] - axis[0]) ** 2
    square = (mass * sigma**2 * score.square().sum(1)).sum().item()
    assert mixture.eps_risk(alpha, sigma) == pytest.approx(1 - square / 2, abs=1e-8)


@pytest.mark.parametrize("level", LEVELS)
def test_least_risk_of_a_gaussian_in_closed_form_equals_the_quadrature(level):
    mean, cov = torch.tensor([1.0, -2.0]), torch.tensor([[2.0, 0.6], [0.6, 0.5]])
    by_quadrature = GaussianMixture([1.0], mean[None], cov[None]).eps_risk(*level)
    assert Gaussian(mean, cov).eps_risk(*level) == pytest.approx(by_quadrature, abs=1e-9)


def test_risk_of_unit_data_in_a_preserving_chain_is_abar():
    # x_0 ~ N(0, 1), so M = 1, E[eps | x] = sigma x, and the risk is 1 - sigma^2 = alpha^2.
    assert Gaussian(0.0, 1.0).eps_risk(0.6, 0.8) == pytest.approx(0.36, abs=1e-15)


@pytest.mark.parametrize("n", [None, 4_000])
def test_risk_by_sampling_is_a_mean_over_rows_with_its_standard_error(n):
    mixture, noise = two_modes(), Noise(13)
    size = {} if n is None else {"n": n}
    estimate, error = mixture.eps_risk_by_sampling(0.8, 0.6, **size, noise=noise)
    rows = n or 100_000
    x = mixture.sample(rows, alpha=0.8, sigma=0.6, noise=Noise(13))
    each = (mixture.eps(x, 0.8, 0.6).numpy() ** 2).mean(1)
    assert estimate == pytest.approx(1 - each.mean(), abs=1e-12)
    assert error == pytest.approx(each.std(ddof=1) / np.sqrt(rows), rel=1e-9)


def test_a_draw_is_the_mean_of_its_component_plus_its_spread_times_the_normal_number():
    """Components in turn of 0.5, 0.2 and 0.3: a uniform number on an edge belongs to the next one."""
    mixture = GaussianMixture([0.5, 0.25, 0.25], [[-1.0], [0.5], [2.0]], [0.04, 0.09, 0.25], [3, 3, 7])
    u, z = [0.0, 0.4999, 0.5, 0.75, 0.7499, 1 - 2**-53], torch.tensor([[1.0], [0.0], [-2.0], [1.0], [1.0], [0.0]])
    noise = Given(u, z.double())
    x, y = mixture.sample_with_class(6, noise=noise)
    assert noise.asked == [((6,), F64), ((6, 1), F64)]
    assert y.tolist() == [3, 3, 3, 7, 3, 7]
    means = torch.tensor([-1.0, -1.0, 0.5, 2.0, 0.5, 2.0], dtype=F64)
    spread = torch.tensor([0.2, 0.2, 0.3, 0.5, 0.3, 0.5], dtype=F64)
    # Which way an axis points is eigh's choice, and for the law all one.
    torch.testing.assert_close((x[:, 0] - means).abs(), spread * z[:, 0].abs().double())
    noised = mixture.sample(6, alpha=0.5, sigma=0.3, noise=noise)
    spread = (0.25 * spread**2 + 0.09).sqrt()
    torch.testing.assert_close((noised[:, 0] - 0.5 * means).abs(), spread * z[:, 0].abs().double())


def test_the_uniform_number_nearest_1_belongs_to_the_last_component_though_weights_add_up_to_less():
    mixture = GaussianMixture([0.1] * 10, [[float(k)] for k in range(10)], [1e-6] * 10)
    assert mixture.weights.cumsum(0)[-1] < 1
    u = [1 - 2**-53, mixture.weights.cumsum(0)[-1].item(), 0.05]
    x, k = mixture.sample_with_class(3, noise=Given(u, torch.zeros(3, 1, dtype=F64)))
    assert (k.tolist(), x[:, 0].tolist()) == ([9, 9, 0], [9, 9, 0]), "without labels, the component itself"


def test_a_draw_without_a_level_is_one_of_the_data():
    mixture = two_modes()
    x = mixture.sample(5, noise=Noise(14))
    assert torch.equal(x, mixture.sample(5, alpha=1.0, sigma=0.0, noise=Noise(14)))
    assert torch.equal(x, mixture.sample_with_class(5, noise=Noise(14))[0])


def test_draws_have_the_mixtures_moments_and_classes():
    mixture, n = two_modes(), 40_000
    x, y = mixture.sample_with_class(n, noise=Noise(9))
    share = (y == 1).double().mean()
    assert abs(share - 0.2) < 4 * (0.2 * 0.8 / n) ** 0.5
    law = density(mixture)
    torch.testing.assert_close(mixture.mean, law.mean)
    torch.testing.assert_close(mixture.cov.diagonal(), law.variance)
    error = (mixture.cov.diagonal() / n).sqrt()
    assert ((x.mean(0) - mixture.mean).abs() < 4 * error).all()
    for k in (0, 1):
        rows = x[y == k]
        # Var of a sample covariance entry of normal data: (C_ii C_jj + C_ij^2) / n.
        C = mixture.covs[k]
        error = ((C.diagonal()[:, None] * C.diagonal() + C.square()) / len(rows)).sqrt()
        assert ((rows.mT.cov() - C).abs() < 4 * error).all()


def test_models_of_a_chain_read_the_table_at_t_and_keep_shape_and_dtype():
    mixture = two_modes()
    abar = torch.tensor([1.0, 0.9, 0.5, 0.0], dtype=F64)
    x, t = mixture.sample(3, sigma=1.0, noise=Noise(10)), torch.tensor([1, 3, 2])
    alpha, sigma = abar[t].sqrt(), (1 - abar[t]).sqrt()
    exact: dict[Prediction, Callable[..., torch.Tensor]] = {
        "eps": mixture.eps, "x_0": mixture.denoise, "v": mixture.v, "score": mixture.score,
    }  # fmt: skip
    for predict, oracle in exact.items():
        torch.testing.assert_close(mixture.model(abar, predict)(x, t), oracle(x, alpha, sigma))
    image = x.float().reshape(3, 1, 2, 1)
    out = mixture.model(abar)(image, t)
    assert out.shape == image.shape
    assert out.dtype == torch.float32
    y = torch.tensor([0, 1, 0])
    torch.testing.assert_close(mixture.model(abar)(x, t, y), mixture.eps(x, alpha, sigma, y))
    torch.testing.assert_close(mixture.denoiser()(x, 0.7), mixture.denoise(x, 1.0, 0.7))


def test_a_covariance_may_miss_semi_definiteness_by_the_rounding_of_its_largest_eigenvalue():
    for scale in (1.0, 1e6, 1e-6):
        mixture = Gaussian([0.0, 0.0], [scale, -scale * 1e-12])
        assert mixture.eigenvalues.tolist() == [[0.0, scale]], "what is below 0 by rounding is 0"
        with pytest.raises(ValueError, match="semi-definite"):
            Gaussian([0.0, 0.0], [scale, -scale * 1.5e-12])
    assert Gaussian(0.0, 0.0).eigenvalues.item() == 0


def test_the_laws_that_methods_are_judged_on():
    three, two, eight = line(), two_modes(), eight_gaussians()
    assert three.weights.tolist() == pytest.approx([0.5, 0.2, 0.3])
    assert three.means[:, 0].tolist() == [-1.0, 0.4, 1.5]
    assert three.covs[:, 0, 0].sqrt().tolist() == pytest.approx([0.2, 0.3, 0.5])
    assert three.labels is not None and three.labels.tolist() == [0, 0, 1]
    assert two.weights.tolist() == pytest.approx([0.8, 0.2])
    assert two.means.tolist() == [[-1.0, 0.5], [2.0, -1.5]]
    assert two.covs.tolist() == [[[0.2, 0.08], [0.08, 0.1]], [[0.05, -0.02], [-0.02, 0.15]]]
    assert two.labels is not None and two.labels.tolist() == [0, 1]
    assert (two.means[0] - two.means[1]).norm().item() == pytest.approx(3.6, abs=0.01)
    circle = torch.complex(eight.means[:, 0], eight.means[:, 1])
    around = torch.polar(torch.full((8,), 2.0, dtype=F64), torch.arange(8, dtype=F64) * pi / 4)
    torch.testing.assert_close(circle, around)
    assert eight.weights.tolist() == pytest.approx([1 / 8] * 8)
    torch.testing.assert_close(eight.covs, 0.0225 * torch.eye(2, dtype=F64).expand(8, 2, 2))
    assert eight.labels is not None and eight.labels.tolist() == list(range(8))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: GaussianMixture([1.0, -0.5], [[0.0], [1.0]], [1.0, 1.0]), "all positive"),
        (lambda: GaussianMixture([1.0, 0.0], [[0.0], [1.0]], [1.0, 1.0]), "all positive"),
        (lambda: GaussianMixture([1.0, 1.0], [[0.0]], [1.0]), "weights"),
        (lambda: GaussianMixture([1.0], [0.0], [1.0]), "means"),
        (lambda: GaussianMixture([1.0, -1.0], [[0.0], [1.0]], [1.0, 1.0]), "all positive"),
        (lambda: GaussianMixture([1.0], [[0.0, 0.0]], [[[1.0, 2.0], [2.0, 1.0]]]), "semi-definite"),
        (lambda: GaussianMixture([1.0], [[0.0, 0.0]], [[[1.0, 0.1], [0.2, 1.0]]]), "symmetric"),
        (lambda: GaussianMixture([1.0], [[0.0]], [1.0], [0, 1]), "one class per component"),
        (lambda: two_modes().log_prob(torch.zeros(2, 3)), "3 numbers a row"),
        (lambda: Gaussian(0.0, 0.0).log_prob(torch.zeros(2, 1)), "singular"),
        (lambda: Gaussian(0.0, 1.0).class_posterior(torch.zeros(2, 1)), "no classes"),
        (lambda: two_modes().given(7), "no component has label 7"),
        (lambda: GaussianMixture([1.0], [[0.0] * 3], [1.0]).eps_risk(1.0, 1.0), "eps_risk_by_sampling"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(make, words):
    with pytest.raises(ValueError, match=words):
        make()
