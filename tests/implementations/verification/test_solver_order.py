"""The order found is the one the numerical analysis says."""

import math

import pytest
import torch

from implementations.verification import solver_order

ONE = torch.ones(3, dtype=torch.float64)


def decay(step):
    """x' = -x from 1 over unit time, by a one-step method given as the factor of one step of size h."""

    def solve(n: int) -> torch.Tensor:
        return ONE * step(1 / n) ** n

    return solve


METHODS = {
    "euler": (decay(lambda h: 1 - h), 1),
    "heun": (decay(lambda h: 1 - h + h**2 / 2), 2),
    "classical fourth order": (decay(lambda h: 1 - h + h**2 / 2 - h**3 / 6 + h**4 / 24), 4),
}


@pytest.mark.parametrize("name", METHODS)
def test_slopes_are_the_orders_of_the_taylor_methods(name):
    solve, p = METHODS[name]
    found = solver_order.measure(solve, ONE * math.exp(-1), [16, 32, 64, 128])
    # The next term is of relative size c/n with c < 1 for these methods, so the slope is off by less than 1/16.
    found.require(p - 1 / 16, p + 1 / 16)
    assert found.error_bar < 0.02
    assert abs(found.local[-1] - p) < abs(found.local[0] - p)


def test_a_broken_second_slope_is_not_of_second_order():
    broken = solver_order.measure(decay(lambda h: 1 - h + 0.45 * h**2), ONE * math.exp(-1), [16, 32, 64, 128])
    broken.require(0.9, 1.1)
    with pytest.raises(AssertionError, match=r"order 0\.9.* is not in 1\.9\.\.2\.1; error by steps: 16: "):
        broken.require(1.9, 2.1)


def test_the_line_and_its_error_bar_are_those_of_least_squares():
    errors = dict(zip([2, 4, 8], [2.0, 1.0, 0.25], strict=True))
    found = solver_order.measure(lambda n: ONE * errors[n], torch.zeros(3, dtype=torch.float64), [2, 4, 8])
    # In units of log 2: y = (-1, 0, 2) over x = (1, 2, 3): slope 3/2, residuals (1/6, -1/3, 1/6), se sqrt((1/6)/1/2).
    assert found.slope == pytest.approx(1.5)
    assert found.error_bar == pytest.approx((1 / 6 / 2) ** 0.5)
    assert found.local == pytest.approx((1.0, 2.0))


@pytest.mark.parametrize(
    ("solve", "steps", "words"),
    [
        (lambda n: ONE, [4, 8], "no order can be read"),
        (lambda n: ONE * math.nan, [4, 8], "the error at 4 steps is nan"),
        (lambda n: ONE / n, [8], "increasing counts"),
        (lambda n: ONE / n, [8, 4], "increasing counts"),
    ],
)
def test_what_has_no_order_is_refused(solve, steps, words):
    with pytest.raises(ValueError, match=words):
        solver_order.measure(solve, ONE, steps)
