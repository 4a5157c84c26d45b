"""Bits of discrete data, by hand."""

import math

import pytest
import torch

from implementations.verification import likelihood

F64 = torch.float64


def test_even_data_has_log2_of_its_levels_in_bits():
    levels, D = 17, 3
    width = 2 / 16
    nats = torch.full((4,), -D * math.log(levels * width))  # flat over the levels' intervals
    assert (likelihood.bits(nats, D) + likelihood.offset(levels)).tolist() == pytest.approx([math.log2(17)] * 4)


def test_a_flat_density_on_one_interval_costs_no_bits():
    levels, low, high = 256, 0.0, 1.0
    nats = torch.tensor([-math.log(1 / 255)])
    assert likelihood.bits(nats, 1).item() + likelihood.offset(levels, low, high) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("levels", "bounds", "width"), [(2, (), 2.0), (5, (), 0.5), (2, (0.0, 1.0), 1.0), (9, (-4.0, 0.0), 0.5)]
)
def test_the_offset_is_that_of_intervals_as_wide_as_the_gap_between_levels(levels, bounds, width):
    assert likelihood.offset(levels, *bounds) == pytest.approx(-math.log2(width), abs=1e-15)


@pytest.mark.parametrize(
    ("levels", "bounds", "moved"),
    [
        (3, (), [-1.5, -0.25, 1.5]),  # intervals of width 1 around -1, 0, 1
        (5, (), [-1.25, -0.125, 1.25]),
        (3, (-1.0, 3.0), [-2.0, -0.5, 2.0]),
    ],
)
def test_data_move_by_u_less_a_half_of_their_interval(levels, bounds, moved):
    x = torch.tensor([-1.0, 0.0, 1.0], dtype=F64)
    u = torch.tensor([0.0, 0.25, 1.0], dtype=F64)
    assert likelihood.dequantised(x, levels, u, *bounds).tolist() == moved


def test_moved_data_stay_within_half_a_width():
    x = torch.linspace(-1, 1, 17).expand(50, 17)
    moved = likelihood.dequantised(x, 17, torch.rand(50, 17, generator=torch.Generator().manual_seed(0)))
    assert (moved - x).abs().max() <= 1 / 16 + 1e-6
    assert torch.equal(((moved + 1) * 8).round(), (x + 1) * 8)
    assert (moved - x).mean().abs() < 4 * (1 / 8 / 12**0.5) / (50 * 17) ** 0.5


@pytest.mark.parametrize("arguments", [(1,), (0,), (5, 1.0, 1.0), (5, 1.0, -1.0)])
def test_levels_without_a_width_are_refused(arguments):
    with pytest.raises(ValueError, match=r"want at least 2 levels between low < high, not \d between "):
        likelihood.offset(*arguments)
