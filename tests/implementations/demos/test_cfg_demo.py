"""What the demo of guidance without a classifier measures with: exact networks, and laws on the line."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from implementations import ddim, ddpm
from implementations.demos import cfg as demo
from implementations.verification.impulses import moments
from implementations.verification.oracles import Gaussian, GaussianMixture, line, two_modes
from tests.implementations.toys import F64, rough


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("shape", [(2,), (1, 2), (2, 1, 1)])
def test_an_exact_network_takes_any_shape_of_rows_and_each_rows_own_label(shape):
    mixture, abar = two_modes(), ddpm.linear_schedule(20, 0.01, 0.3).abar
    x, t, y = torch.randn(4, *shape, dtype=F64), torch.tensor([1, 6, 6, 20]), torch.tensor([0, 5, 1, 5])
    found = demo.exact_network(mixture, abar, null=5)(x, t, y)
    assert found.shape == x.shape
    for k in range(4):
        law = mixture if y[k] == 5 else mixture.given(int(y[k]))
        level = abar[t[k]].sqrt(), (1 - abar[t[k]]).sqrt()
        expected = law.eps(x[k].reshape(1, 2), *level)
        torch.testing.assert_close(found[k].reshape(1, 2), expected, rtol=0, atol=1e-12)


def test_an_exact_network_of_one_class_predicts_the_same_with_its_label_and_without():
    law = Gaussian([0.3, -1.0], [0.4, 0.7])
    alone = GaussianMixture(law.weights, law.means, law.covs, [2])
    network, x, t = demo.exact_network(alone, rough(5).abar, null=0), torch.randn(3, 2, dtype=F64), torch.arange(1, 4)
    expected = law.model(rough(5).abar)(x, t)
    for label in (0, 2):
        torch.testing.assert_close(network(x, t, torch.full((3,), label)), expected, rtol=0, atol=1e-12)


def test_an_exact_network_needs_classes():
    with pytest.raises(ValueError, match="this mixture has no classes"):
        demo.exact_network(GaussianMixture([1.0], [[0.0]], [1.0]), rough(3).abar, null=0)


# Laws on the line, which judge where guided sampling ends


def normal_cdf(z):
    return np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in np.asarray(z, float)])


def test_the_tilted_law_has_the_moments_of_its_formula():
    mixture, points = line(), torch.linspace(-4, 6, 1001, dtype=F64)[:, None]
    found = demo.tilt(mixture, 1, 2.5, points)
    x = np.linspace(-5, 7, 40001)
    grid = torch.from_numpy(x)[:, None]
    law = np.exp(mixture.log_prob(grid).numpy()) * mixture.class_posterior(grid)[:, 1].numpy() ** 2.5
    law /= law.sum()
    mean = (law * x).sum()
    assert float(found.mean) == pytest.approx(mean, abs=1e-6)
    assert float(found.cov) == pytest.approx((law * (x - mean) ** 2).sum() + 0.01**2, abs=1e-5)
    assert torch.equal(found.covs, torch.full_like(found.covs, (points[1] - points[0]).item() ** 2))
    at = points[:, 0].numpy()
    weights = np.exp(mixture.log_prob(points).numpy()) * mixture.class_posterior(points)[:, 1].numpy() ** 2.5
    np.testing.assert_array_equal(found.means[:, 0], at[weights > 1e-8 * weights.max()])  # nothing that counts is lost


def test_a_tilt_of_scale_1_is_the_class_itself():
    points = torch.linspace(-3, 3, 601, dtype=F64)[:, None]
    mixture = GaussianMixture([0.6, 0.4], [[-1.0], [0.5]], [0.2, 0.1], [0, 1])
    found = demo.cdf(demo.tilt(mixture, 1, 1.0, points), points)
    exact = normal_cdf((points[:, 0] - 0.5) / math.sqrt(0.1 + 0.01**2))
    np.testing.assert_allclose(found, exact, atol=1e-6)


def test_the_cumulative_distribution_of_a_mixture_adds_up():
    points = torch.tensor([[-2.0], [-0.3], [0.8], [3.0]], dtype=F64)
    expected = sum(
        w * normal_cdf((points[:, 0] - m) / math.sqrt(v))
        for w, m, v in ((0.5, -1.0, 0.04), (0.2, 0.4, 0.09), (0.3, 1.5, 0.25))
    )
    np.testing.assert_allclose(demo.cdf(line(), points), expected, atol=1e-12)


@pytest.mark.parametrize("T", [1, 2, 3, 12])
@pytest.mark.parametrize("law", [demo.deterministic_cdf, demo.ancestral_cdf])
def test_the_law_of_a_sampler_is_exact_for_gaussian_data(law, T):
    """Data N(m, s^2) keeps both samplers affine; `moments` runs them, and the law must be that normal.

    Few steps do not forget where they started.
    """
    m, s = 0.6, 0.5
    process = ddpm.linear_schedule(T, 0.2, 0.6) if T < 12 else ddpm.linear_schedule(T, 0.03, 0.6)
    exact = Gaussian(m, s**2).model(process.abar)
    samplers = {
        demo.deterministic_cdf: lambda x, noise: ddim.sample(exact, process, x, ddim.timesteps(T, T), noise=noise),
        demo.ancestral_cdf: lambda x, noise: ddpm.sample(exact, process, x, variance="large", noise=noise),
    }
    found = moments(samplers[law])
    points = torch.linspace(-4, 5, 601, dtype=F64)[:, None]
    expected = normal_cdf((points[:, 0] - float(found.mean)) / float(found.std))
    # The first table ends where 3e-7 of a normal law are left; of the second, a step, 0.015, is what its masses blur.
    atol = 5e-7 if law is demo.deterministic_cdf else 0.01
    np.testing.assert_allclose(law(exact, process, points), expected, atol=atol, rtol=0)


def test_the_deterministic_law_gives_each_point_the_quantile_it_came_from():
    """DDIM of a mixture, whose map is far from straight; at multiples of 1/40 its table is not interpolated."""
    T = 12
    process = ddpm.linear_schedule(T, 0.03, 0.6)
    model = line().model(process.abar)
    z = torch.tensor([-4.75, -2.5, -0.75, -0.025, 0.5, 1.25, 3.0, 4.75], dtype=F64)[:, None]
    x_0 = ddim.sample(model, process, z, ddim.timesteps(T, T))
    assert (x_0.diff(dim=0) > 0).all()
    found = demo.deterministic_cdf(model, process, x_0)
    np.testing.assert_allclose(found, normal_cdf(z[:, 0]), rtol=1e-8)


def test_no_mass_leaves_the_points_of_the_ancestral_law():
    """They end within the law of x_t: what would fall beyond them is shared among them, so the whole stays 1."""
    process = ddpm.linear_schedule(4, 0.05, 0.3)
    points = torch.linspace(-1.0, 1.5, 101, dtype=F64)[:, None]
    found = demo.ancestral_cdf(Gaussian(0.4, 0.04).model(process.abar), process, points)
    assert float(found[-1]) == pytest.approx(1, abs=1e-12)
    assert (found.diff() >= 0).all() and 0 < float(found[30]) < float(found[70]) < 1
