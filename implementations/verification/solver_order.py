"""The order of a solver: how fast its error falls with the number of steps.

A solver of order p has error C n^-p (1 + O(1/n)) after n steps, so -log(error) against log(n) is a line of slope p.
Its standard error is that of least squares: small where the leading term rules, large where the steps are too few, or
so many that rounding shows.  The band to ask for is the order plus or minus what the O(1/n) term can take; `local`
shows how the slope drifts from one pair of step counts to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, log

from torch import Tensor

ROUNDING = 1e-13


@dataclass(frozen=True)
class Order:
    """steps, errors: as measured.  slope: the order, by least squares; error_bar: its standard error (0 for two)."""

    steps: tuple[int, ...]
    errors: tuple[float, ...]
    slope: float
    error_bar: float

    @property
    def local(self) -> tuple[float, ...]:
        """The slope between each neighbouring pair of step counts: constant once the leading term rules."""
        rows = zip(pairwise(self.steps), pairwise(self.errors), strict=True)
        return tuple(log(e / f) / log(m / n) for (n, m), (e, f) in rows)

    def require(self, low: float, high: float) -> None:
        """Raise AssertionError, with the table of errors, unless the slope lies in low..high."""
        if not low <= self.slope <= high:
            table = ", ".join(f"{n}: {e:.3g}" for n, e in zip(self.steps, self.errors, strict=True))
            raise AssertionError(
                f"order {self.slope:.3f} (se {self.error_bar:.3f}) is not in {low}..{high}; error by steps: {table}"
            )


def measure(solve: Callable[[int], Tensor], exact: Tensor, steps: Sequence[int]) -> Order:
    """Run solve(n) for each n of steps and compare with the exact (or a far finer) solution.

    The error is the root mean square over all entries of solve(n) - exact.  For a weak order let both be moments.
    Raises ValueError if an error is not finite, or at the rounding of float64, where it says nothing about order.
    """
    if len(steps) < 2 or any(n >= m for n, m in pairwise(steps)):
        raise ValueError(f"steps must be two or more increasing counts, not {list(steps)}")
    errors = [(solve(n).double() - exact).square().mean().sqrt().item() for n in steps]
    floor = ROUNDING * max(1.0, exact.abs().max().item())
    for n, error in zip(steps, errors, strict=True):
        if not isfinite(error) or error <= floor:
            raise ValueError(f"the error at {n} steps is {error:.3g}: no order can be read from it (floor {floor:.0e})")
    x, y = [log(n) for n in steps], [-log(e) for e in errors]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    spread = sum((a - mean_x) ** 2 for a in x)
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread
    left = sum((b - mean_y - slope * (a - mean_x)) ** 2 for a, b in zip(x, y, strict=True))
    bar = (left / (len(x) - 2) / spread) ** 0.5 if len(x) > 2 else 0.0
    return Order(tuple(steps), tuple(errors), slope, bar)
