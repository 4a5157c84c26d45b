"""The order found is the one the numerical analysis says."""

import math

import pytest
import torch
from scipy.stats import linregress

from implementations.verification import solver_order
from implementations.verification.solver_order import Order

F64 = torch.float64
ONE = torch.ones(3, dtype=F64)


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
    found = solver_order.measure(lambda n: ONE * errors[n], torch.zeros(3, dtype=F64), [2, 4, 8])
    # In units of log 2: y = (-1, 0, 2) over x = (1, 2, 3): slope 3/2, residuals (1/6, -1/3, 1/6), se sqrt((1/6)/1/2).
    assert found.slope == pytest.approx(1.5)
    assert found.error_bar == pytest.approx((1 / 6 / 2) ** 0.5)
    assert found.local == pytest.approx((1.0, 2.0))


def test_slope_and_error_bar_of_many_points_equal_scipys():
    errors = dict(zip([2, 3, 7, 20, 90], [3.0, 2.5, 0.4, 0.11, 0.002], strict=True))
    found = solver_order.measure(lambda n: ONE * errors[n], torch.zeros(3, dtype=F64), list(errors))
    slope, _, _, _, error_bar = linregress([math.log(n) for n in errors], [-math.log(e) for e in errors.values()])
    assert found.slope == pytest.approx(slope, rel=1e-12)
    assert found.error_bar == pytest.approx(error_bar, rel=1e-9)


def test_two_points_have_a_slope_and_no_error_bar():
    found = solver_order.measure(lambda n: ONE / n**3, torch.zeros(3, dtype=F64), [2, 4])
    assert found.slope == pytest.approx(3)
    assert found.error_bar == 0


def test_the_error_is_the_root_mean_square_over_all_entries():
    exact = torch.tensor([[1.0, 2.0], [-3.0, 4.0]], dtype=F64)
    off = torch.tensor([[3.0, 0.0], [-3.0, 0.0]], dtype=F64)  # mean 0; root mean square sqrt(18 / 4)
    found = solver_order.measure(lambda n: exact + off / n, exact, [1, 2])
    assert found.steps == (1, 2)
    assert found.errors == pytest.approx((4.5**0.5, 4.5**0.5 / 2), rel=1e-14)


def test_a_solver_in_float32_is_measured_against_the_exact_answer_in_float64():
    exact = torch.tensor([1 / 3], dtype=F64)
    found = solver_order.measure(lambda n: exact.float() + (n == 1), exact, [1, 2])
    # 1/3 has the binary digits 0101...: 24 of them from the first one are off by a third of the last, 2^-25.
    assert found.errors[1] == pytest.approx(2**-25 / 3, rel=1e-6)


def test_an_order_on_the_edge_of_the_band_is_inside():
    found = Order((2, 4), (1.0, 0.25), 2.0, 0.0)
    found.require(2.0, 3.0)
    found.require(1.0, 2.0)
    for low, high in ((2.001, 3.0), (1.0, 1.999)):
        with pytest.raises(AssertionError, match=r"order 2\.000 \(se 0\.000\) .* error by steps: 2: 1, 4: 0\.25"):
            found.require(low, high)


def test_the_band_is_asked_of_the_slope_of_all_points():
    bent = Order((2, 4, 8), (1.0, 0.5, 0.0625), 2.0, 0.6)
    assert bent.local == pytest.approx((1, 3))
    bent.require(1.9, 2.1)
    for low, high in ((0.9, 1.1), (2.9, 3.1)):
        with pytest.raises(AssertionError):
            bent.require(low, high)


def test_steps_without_an_error_are_not_read_past():
    torn = Order((2, 4, 8), (1.0, 0.25), 2.0, 0.0)
    with pytest.raises(ValueError, match="shorter"):
        _ = torn.local
    with pytest.raises(ValueError, match="shorter"):
        torn.require(3.0, 4.0)


@pytest.mark.parametrize(
    ("exact", "floor"), [([1.0], 1e-13), ([0.001], 1e-13), ([0.0], 1e-13), ([-100.0, 0.0], 1e-11), ([3.0, 50.0], 5e-12)]
)
def test_an_error_at_the_rounding_of_the_largest_entry_says_nothing(exact, floor):
    exact = torch.tensor(exact, dtype=F64)
    errors = {2: 1.0, 4: 1.5 * floor}
    solver_order.measure(lambda n: exact + errors[n], exact, [2, 4])
    errors[4] = 0.9 * floor
    with pytest.raises(ValueError, match=f"the error at 4 steps is .*e-1[0-9]: no order .*floor {floor:.0e}"):
        solver_order.measure(lambda n: exact + errors[n], exact, [2, 4])


def test_an_error_just_at_the_floor_says_nothing():
    at_floor = torch.tensor([solver_order.ROUNDING], dtype=F64)
    with pytest.raises(ValueError, match="no order can be read"):
        solver_order.measure(lambda n: at_floor, torch.zeros(1, dtype=F64), [2, 4])


@pytest.mark.parametrize(
    ("solve", "steps", "words"),
    [
        (lambda n: ONE, [4, 8], "no order can be read"),
        (lambda n: ONE * math.nan, [4, 8], "the error at 4 steps is nan"),
        (lambda n: ONE / n, [8], "increasing counts"),
        (lambda n: ONE / n, [8, 4], "increasing counts"),
        (lambda n: ONE / n, [4, 8, 8], "increasing counts"),
        (lambda n: ONE * math.inf, [4, 8], "the error at 4 steps is inf"),
    ],
)
def test_what_has_no_order_is_refused(solve, steps, words):
    with pytest.raises(ValueError, match=words):
        solver_order.measure(solve, ONE, steps)
