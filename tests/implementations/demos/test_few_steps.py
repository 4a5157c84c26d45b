"""The measure of few steps: where the ODE ends, against exact transport; distances and films, by hand."""

from __future__ import annotations

import pytest
import torch

from implementations import edm
from implementations.common.noise import Noise
from implementations.demos import few_steps as demo
from implementations.lab.data import Dataset
from implementations.lab.demo import Run
from implementations.verification.oracles import eight_gaussians, line, two_modes
from tests.implementations.toys import F64, transport


def normal(*shape):
    return Noise(0)(torch.empty(*shape, dtype=F64))


def test_end_of_flow_extrapolates_a_method_of_order_two():
    """With slope sigma^2 Heun's method is the trapezoidal rule, whose error is h^2 / 6 exactly: nothing is left."""
    z = normal(3, 1)
    end = demo.end_of_flow(
        lambda x, sigma: x - sigma[:, None] ** 3, z, lambda n: torch.linspace(2, 1, n + 1, dtype=F64)
    )
    torch.testing.assert_close(end, 2 * z - 7 / 3, rtol=0, atol=1e-12)


def test_end_of_flow_is_exact_transport():
    """To a twentieth of the least error that is measured against it."""
    law, z = demo.standardised(line()), torch.linspace(-2, 2, 9, dtype=F64)[:, None]
    exact = transport(law, 80 * z, 80.0, 0.0)
    gap = (demo.end_of_flow(law.denoiser(), z, edm.schedule) - exact).abs().mean()
    measured = (edm.sample(law.denoiser(), z, edm.schedule(40)) - exact).abs().mean()
    assert float(gap) < float(measured) / 20


@pytest.mark.parametrize("law", [line(), two_modes(), eight_gaussians()])
def test_standardised_mixtures_keep_their_shape(law):
    found = demo.standardised(law)
    torch.testing.assert_close(found.mean, torch.zeros_like(law.mean), rtol=0, atol=1e-12)
    ratio = 0.25 / law.cov.diagonal().mean()
    torch.testing.assert_close(found.cov, ratio * law.cov, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(found.covs, ratio * law.covs, rtol=1e-10, atol=1e-12)
    assert torch.equal(found.weights, law.weights)
    torch.testing.assert_close(demo.standardised(law, 2.0).cov, 16 * found.cov, rtol=1e-10, atol=1e-12)


def test_the_ode_ends_on_the_modes_of_the_law_and_a_seed_draws_its_own_starts():
    run = Run(seed=3)
    end = demo.ends(run)
    nearest = torch.cdist(end, demo.LAW.means).min(1).values
    assert end.shape == demo.starts(run).shape == (demo.POINTS, 2)
    assert nearest.max() < 5 * demo.LAW.covs[0, 0, 0].sqrt()
    assert (demo.starts(run) - demo.starts(Run(seed=4))).abs().min() > 0
    assert abs(demo.LAW.cov.diagonal().mean() - 0.25) < 1e-12


def test_the_distance_is_that_of_pairs_in_standard_deviations():
    a, b = torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([[3.0, 4.0], [1.0, 2.0]], dtype=F64)
    assert demo.distance(a, b) == 6.0
    assert demo.distance(a, b, 1.0) == 3.0


def test_a_film_has_a_row_of_images_for_each_number_of_steps():
    x = normal(4, 1, 4, 4).float().clamp(-1, 1)
    images = Dataset("toy", x, None, x, None, levels=None, range=(-1.0, 1.0))
    rows = [normal(8, 1, 4, 4).float() for _ in range(3)]
    two, three = (demo.film(images, {"one": rows[:n], "other": rows[:n]}).shape for n in (2, 3))
    assert two[1] == three[1] and two[0] < three[0]
