"""repfusion against exact answers: CONTRIBUTING.md says which kinds there are."""

from __future__ import annotations

import torch

from implementations import repfusion
from implementations.common.noise import Noise
from tests.implementations.toys import F64, lively

# T1 identities, T2 exact moments, T3 order, T4 likelihood, T5 parity with independent code, T6 invariants.
# Expected values come from a derivation, an exact solution or independent code, never from the code under test.


def test_the_loss_at_the_exact_network_is_the_bayes_risk():
    # Gaussian(mean, cov) and GaussianMixture(weights, means, covs) of verification/oracles.py know, for x = alpha x_0 +
    # sigma eps: law.denoise(x, alpha, sigma), law.eps, law.v, law.score, and law.eps_risk(alpha, sigma).
    raise AssertionError("derive the risk for N(m, s^2)")


def test_moments_are_those_of_the_recursion_derived_from_the_paper():
    # impulses.moments(lambda x_T, noise: sample(exact, x_T, noise=noise), (1,)) gives mean, std and cov exactly.
    raise AssertionError("derive the recursion")


def test_the_error_falls_with_the_order_of_the_solver():
    # solver_order.measure(lambda n: sample(exact, x_T, n), finest, (32, 64, 128)).require(1.85, 2.15); delete this test
    # if nothing is solved.
    raise AssertionError("against a very fine solution")


def test_same_seed_same_samples_and_arguments_unchanged():
    x_T = torch.randn(8, 1, 3, 3, dtype=F64, generator=torch.Generator().manual_seed(0))
    kept = x_T.clone()
    first = repfusion.sample(lively, x_T, noise=Noise(range(8)))
    halves = [repfusion.sample(lively, x_T[i : i + 4], noise=Noise(range(i, i + 4))) for i in (0, 4)]
    torch.testing.assert_close(first, torch.cat(halves))
    assert torch.equal(x_T, kept)
