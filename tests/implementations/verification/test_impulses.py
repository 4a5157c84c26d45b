"""Impulse moments against recursions solved by hand."""

import pytest
import torch

from implementations.common.noise import Noise
from implementations.verification.impulses import Counter, Impulses, NotAffineError, moments

F64 = torch.float64


def recursion(a: float, b: float, c: float, T: int, last: bool = False):
    """x <- a x + b + c z, T times; without noise at the last step unless asked."""

    def sampler(x, noise):
        for k in range(T):
            x = a * x + b
            if k < T - 1 or last:
                x = x + c * noise(x)
        return x

    return sampler


def test_a_scalar_recursion_of_a_thousand_steps_has_its_geometric_sums():
    a, b, c, T = 0.995, 0.01, 0.1, 1000
    exact = moments(recursion(a, b, c, T))
    # mean = b (1 - a^T) / (1 - a); var = a^2T from x_T, and c^2 a^2k for k = 1 .. T - 1 steps after each draw.
    assert exact.draws == T
    assert exact.mean.item() == pytest.approx(b * (1 - a**T) / (1 - a), rel=1e-12)
    variance = a ** (2 * T) + c**2 * a**2 * (1 - a ** (2 * T - 2)) / (1 - a**2)
    assert exact.std.item() == pytest.approx(variance**0.5, rel=1e-12)
    assert exact.response[0].item() == pytest.approx(a**T, rel=1e-10)


def test_noise_at_the_last_step_and_one_percent_too_much_noise_are_seen():
    right = moments(recursion(0.9, 0.0, 0.2, 20)).cov.item()
    assert moments(recursion(0.9, 0.0, 0.2, 20, last=True)).cov.item() == pytest.approx(right + 0.04, rel=1e-12)
    assert moments(recursion(0.9, 0.0, 0.202, 20)).cov.item() > right * 1.01


def test_coordinates_mix_as_the_matrix_says():
    A = torch.tensor([[0.5, 0.3], [-0.2, 0.8]], dtype=F64)
    shift = torch.tensor([1.0, -1.0], dtype=F64)

    def sampler(x, noise):
        y = x.reshape(len(x), 2) @ A.mT + shift
        return y.reshape(x.shape) + 0.1 * noise(x)

    exact = moments(sampler, (1, 2), draws=2)
    torch.testing.assert_close(exact.mean, shift)
    torch.testing.assert_close(exact.cov, A @ A.mT + 0.01 * torch.eye(2, dtype=F64))
    assert exact.std.tolist() == pytest.approx([0.35**0.5, 0.69**0.5])
    torch.testing.assert_close(exact.response[0], A)


def test_the_moments_are_those_of_many_samples():
    sampler = recursion(0.8, 0.3, 0.5, 5)
    exact, noise = moments(sampler), Noise(0)
    out = sampler(noise(torch.empty(40_000, 1, dtype=F64)), noise)
    assert abs(out.mean() - exact.mean).item() < 4 * exact.std.item() / 200
    assert abs(out.std() / exact.std - 1).item() < 4 / 80_000**0.5


def test_a_row_beside_the_first_gets_a_one_in_one_coordinate_of_one_draw():
    probe = torch.tensor([[5.0, 6.0], [7.0, 8.0]], dtype=F64)
    source, like = Impulses(probe), torch.empty(6, 1, 2)
    first, second = source(like), source(like)
    assert (first.shape, first.dtype, source.draws) == (like.shape, like.dtype, 2)
    assert first[:, 0].tolist() == [[0, 0], [1, 0], [0, 1], [0, 0], [0, 0], [5, 6]]
    assert second[:, 0].tolist() == [[0, 0], [0, 0], [0, 0], [1, 0], [0, 1], [7, 8]]


def test_counting_draws_zeros_in_the_shape_and_type_of_their_template():
    count, like = Counter(), torch.full((2, 3), 7.0)
    assert torch.equal(count(like), torch.zeros(2, 3)) and count.draws == 1
    assert count(like.double()).dtype == F64 and count.draws == 2


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_draws_are_counted_on_one_row_and_then_all_run_at_once(dtype):
    seen = []

    def sampler(x, noise):
        seen.append((tuple(x.shape), x.dtype))
        return x + noise(x)

    exact = moments(sampler, (1, 2), dtype=dtype, tolerance=1e-5)
    assert seen == [((1, 1, 2), dtype), ((6, 1, 2), dtype)]
    assert (exact.draws, exact.mean.dtype, exact.cov.tolist()) == (2, dtype, [[2, 0], [0, 2]])
    seen.clear()
    moments(sampler, (1, 2), draws=2, dtype=dtype, tolerance=1e-5)
    assert seen == [((6, 1, 2), dtype)]


def test_moments_of_a_model_that_learns_carry_no_gradient():
    weight = torch.ones(1, dtype=F64, requires_grad=True)
    exact = moments(lambda x, noise: weight * x, draws=1)
    assert not exact.mean.requires_grad and not exact.cov.requires_grad


def bent(off: float, scale: float = 1.0, shift: float = 0.0, column: int = 0):
    """A tenth of x, but for a parabola through 0 and 1 in one of two coordinates; the second is shifted.

    off: how far ten times the output lies off the affine map at the probe, the last row.  Neither row 0 nor an impulse
    can see it.
    """

    def sampler(x, noise):
        y, parabola = x.clone(), x[:, column].square() - x[:, column]
        y[:, column] += off * parabola / parabola[-1]
        return scale * y / 10 + torch.tensor([0.0, shift], dtype=F64)

    return sampler


@pytest.mark.parametrize("column", [0, 1])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("scale", "shift", "allowed"),
    [
        (1.0, 0.0, 1e-8),  # outputs below 1: a gap of 1e-9, absolute, is off a tenth of 1e-8
        (1e-3, 0.0, 1e-5),
        (1.0, -1e3, 1e-5),  # outputs of a thousand: relative to them
        (1.0, 1e3, 1e-5),
    ],
)
def test_a_probe_may_be_off_by_a_billionth_of_the_largest_output(column, sign, scale, shift, allowed):
    moments(bent(sign * 0.9 * allowed, scale, shift, column), (2,), draws=1)
    with pytest.raises(NotAffineError, match="off the affine map"):
        moments(bent(sign * 1.1 * allowed, scale, shift, column), (2,), draws=1)


def test_no_tolerance_at_all_lets_an_exactly_affine_map_pass():
    assert moments(lambda x, noise: x, draws=1, tolerance=0.0).cov.item() == 1
    with pytest.raises(NotAffineError, match="limit 0e"):
        moments(bent(1e-6), (2,), draws=1, tolerance=0.0)


@pytest.mark.parametrize(
    ("sampler", "words"),
    [
        (lambda x, noise: torch.tanh(x), "off the affine map"),
        (lambda x, noise: x * noise(x), "off the affine map"),
        (lambda x, noise: x + noise.uniform(x), "uniform"),
        (lambda x, noise: x + noise.integers(1, 3, x)[:, None], "integers"),
        (lambda x, noise: x + noise(x[:1]), "draw 1 has shape"),
        (lambda x, noise: x + noise(torch.cat([x, x]))[: len(x)], "draw 1 has shape"),
        (lambda x, noise: x * float("nan"), "off the affine map"),
    ],
)
def test_a_sampler_that_is_not_affine_is_refused(sampler, words):
    with pytest.raises(NotAffineError, match=words):
        moments(sampler)


@pytest.mark.parametrize(
    ("draws", "words"), [(3, "asked for more than the 3"), (9, "made 4 draws, x_T included, not 9")]
)
def test_a_wrong_number_of_draws_is_refused(draws, words):
    with pytest.raises(NotAffineError, match=words):
        moments(recursion(0.9, 0.0, 0.2, 4), draws=draws)
