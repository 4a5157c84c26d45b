"""What the claims of VDM's demo stand on: an integral of the Bayes risk, and the histogram of pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from implementations.demos import vdm as demo
from implementations.lab.data import Dataset
from implementations.verification.oracles import GaussianMixture
from tests.implementations.toys import F64


def test_exact_diffusion_loss_is_the_integral_of_the_bayes_risk():
    """In continuous time over the level, whatever the schedule; in steps a sum of it."""
    law = GaussianMixture([0.3, 0.7], [[-1.0], [0.5]], torch.zeros(2))

    def bent(t):
        return -4 + 6 * (0.3 * t + 0.7 * t**2)

    def half_risk(gamma):
        noise = 1 / (1 + math.exp(-gamma))
        return 0.5 * law.eps_risk((1 - noise) ** 0.5, noise**0.5) / math.log(2)

    integral, _ = quad(half_risk, -4, 2, epsabs=1e-10)
    assert demo.exact_diffusion_loss(law, bent) == pytest.approx(integral, rel=1e-9)
    levels = bent(np.arange(6) / 5)
    steps = np.expm1(np.diff(levels)) @ [half_risk(gamma) for gamma in levels[1:]]
    assert demo.exact_diffusion_loss(law, bent, T=5) == pytest.approx(steps, rel=1e-9)


def test_pixel_law_is_the_histogram():
    x = torch.tensor([-1.0, -1.0, 0.5, -1.0]).view(2, 1, 1, 2)
    law = demo.pixel_law(Dataset("by hand", x, None, x, None, 17, (-1.0, 1.0)))
    torch.testing.assert_close(law.weights, torch.tensor([0.75, 0.25], dtype=F64))
    torch.testing.assert_close(law.means, torch.tensor([[-1.0], [0.5]], dtype=F64))
    assert float(law.covs.abs().max()) == 0


def test_every_shape_runs_between_the_same_ends():
    t = torch.tensor([0.0, 0.5, 1.0], dtype=F64)
    gamma = demo.between(lambda t: t**3)(t)
    torch.testing.assert_close(gamma, torch.tensor([-13.3, -13.3 + 23.3 / 8, 10.0], dtype=F64))
    torch.testing.assert_close(demo.LINEAR(t)[[0, 2]], gamma[[0, 2]])
