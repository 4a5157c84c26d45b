"""The draws from three experts have the law of their density; the distance of two sets of experts is one."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import torch

from implementations.common.noise import Noise
from implementations.demos.score_matching import distance, draw_experts
from implementations.score_matching import Experts
from tests.implementations.toys import F64, grid

VECTORS = torch.tensor([[1.2, 0.5], [-0.3, 0.9], [0.0, -2.0], [0.6, -0.7]], dtype=F64)


class Patient(Noise):
    """Draws uniform numbers, keeps the shapes it was asked for, and refuses to go on for ever."""

    def __init__(self, seed: int, batches: int) -> None:
        super().__init__(seed)
        self.batches, self.shapes = batches, []

    def uniform(self, like):
        assert len(self.shapes) < self.batches
        self.shapes.append(tuple(like.shape))
        return super().uniform(like)


@pytest.mark.parametrize("scale", [1.0, 1.7])
def test_draws_of_experts_have_the_moments_of_their_density_and_waste_nothing(scale):
    """Moments by an integral over the plane; 5 standard errors of 20000 draws.

    A batch of proposals is kept in proportion to the areas under the density and under its bound exp(c - s |x|), which
    is 2 pi e^c / s^2, with c = log 2 sum_k |v_k| and s the least of sum_k |v_k . x| on the unit circle.
    """
    n, vectors = 20_000, scale * torch.tensor([[1.0, 0.2], [-0.3, 0.9], [0.6, -0.7]], dtype=F64)
    x, area = grid(25 / scale, 601)
    log_density = Experts(vectors).log_density(x).detach()
    mass = log_density.softmax(0)
    noise = Patient(0, batches=20)
    drawn = draw_experts(vectors, n, noise)
    assert drawn.shape == (n, 2)
    statistics = [
        lambda x: x[:, 0], lambda x: x[:, 1], lambda x: x[:, 0] ** 2, lambda x: x[:, 1] ** 2, lambda x: x.prod(1),
        lambda x: x.square().sum(1) ** 2, lambda x: x.norm(dim=1), lambda x: (x[:, 0] * x[:, 1] ** 3),
    ]  # fmt: skip
    for statistic in statistics:
        mean = mass @ statistic(x)
        error = (mass @ (statistic(x) - mean).square()).sqrt() / n**0.5
        assert abs(float((statistic(drawn).mean() - mean) / error)) < 5

    angle = torch.linspace(0, np.pi, 20_001, dtype=F64)
    s = (torch.stack([angle.cos(), angle.sin()], 1) @ vectors.mT).abs().sum(1).min()
    ceiling = np.log(2) * vectors.norm(dim=1).sum()
    kept = float(log_density.exp().sum() * area / (2 * np.pi * ceiling.exp() / s**2))
    assert noise.shapes == [(n, 4)] * np.ceil(1 / kept).astype(int)


def test_uniform_numbers_at_the_end_of_their_range_give_finite_draws():
    """Uniform numbers can be 0: the radius is 0 then, and the proposal, the origin, is kept by a high fourth number.

    It is all that was asked for, and nothing more is drawn.
    """
    batches = iter([torch.tensor([[0.0, 0.0, 0.3, 0.9999]], dtype=F64)])
    noise = Noise()
    noise.uniform = lambda like: next(batches)
    vectors = torch.tensor([[1.0, 0.2], [-0.3, 0.9]], dtype=F64)
    assert torch.equal(draw_experts(vectors, 1, noise), torch.zeros(1, 2, dtype=F64))


def test_draws_come_from_the_noise_alone():
    first, again, other = (draw_experts(VECTORS, 10, Patient(seed, 200)) for seed in (3, 3, 4))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert not torch.equal(first, other)


def test_distance_of_experts_knows_neither_order_nor_sign():
    truth = VECTORS[:3]
    for order, signs in product(permutations(range(3)), ([1, 1, 1], [-1, 1, -1])):
        moved = torch.tensor(signs, dtype=F64)[:, None] * truth[list(order)]
        assert distance(moved, truth) == pytest.approx(0, abs=1e-12)
    assert distance(0 * truth, truth) == pytest.approx(1)
    assert distance(1.1 * truth, truth) == pytest.approx(0.1)
