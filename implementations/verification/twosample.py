"""A two-sample test whose false-alarm rate and power are measured, not hoped for.

Energy distance (Székely & Rizzo 2013) between samples x and y: 2 E|X - Y| - E|X - X'| - E|Y - Y'|, which is 0 exactly
when the laws are equal.  Euclidean distance is, up to a factor, the mean over directions of the distance of the
projections, so in any dimension this is also the sliced energy distance with every slice.

The p-value comes from permuting which rows are called x.  Under the null all labellings are equally likely, so
p = (1 + #{permuted >= observed}) / (1 + permutations) satisfies P(p <= a) <= a for every a, at any sample size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from implementations.verification.sample_measures import mean_distance

Test = Callable[[Tensor, Tensor, int], float]
Draw = Callable[[int], tuple[Tensor, Tensor]]


def energy_test(
    x: Tensor, y: Tensor, seed: int, *, permutations: int = 199, features: Callable[[Tensor], Tensor] | None = None
) -> float:
    """p-value that x: (N, ...) and y: (M, ...) have one law.  features maps rows to what is compared, say a network's
    activations; by default the rows themselves are.
    """
    both = torch.cat([x, y]).detach().cpu()
    both = (both if features is None else features(both)).flatten(1).double()
    # A thousand rows of distances once, then one matrix product for all labellings.
    distance = torch.cdist(both, both)
    generator = torch.Generator().manual_seed(seed)
    keys = torch.rand(permutations + 1, len(both), generator=generator, dtype=torch.float64)
    keys[0] = torch.arange(len(both))  # the labelling as it is
    chosen = torch.zeros_like(keys).scatter_(1, keys.argsort(1)[:, : len(x)], 1.0)
    statistic = _energy(distance, chosen, len(x), len(y))
    # Labellings that are equal in exact arithmetic may differ in the last bits: count them as equal.
    atleast = statistic[1:] >= statistic[0] - 1e-12 * distance.max()
    return (1 + atleast.sum().item()) / (1 + permutations)


def energy_distance(x: Tensor, y: Tensor) -> float:
    """Squared energy distance of the two empirical laws, (N, ...) and (M, ...); of order 1/N + 1/M for equal laws."""
    a, b = (v.detach().cpu().flatten(1).double() for v in (x, y))
    return (2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean()).item()


def excess_energy(x: Tensor, y: Tensor) -> float:
    """Unbiased energy distance over E|Y - Y'|: near 0, and as often below, if both have one law.  x, y: (N, ...)."""
    a, b = (v.detach().cpu().flatten(1).double() for v in (x, y))
    across = torch.cdist(a, b).mean().item()
    return (2 * across - mean_distance(x)) / mean_distance(y) - 1


def _energy(distance: Tensor, chosen: Tensor, n: int, m: int) -> Tensor:
    """Energy distance for each row of chosen: (P, N + M), ones where a row of data is called x."""
    within_x = torch.einsum("pi,pi->p", chosen @ distance, chosen)
    to_all = chosen @ distance.sum(1)
    across = to_all - within_x
    within_y = distance.sum() - 2 * to_all + within_x
    return 2 * across / (n * m) - within_x / n**2 - within_y / m**2


@dataclass(frozen=True)
class Rate:
    """How often a test rejected.  low, high: Wilson's 95 % interval for its probability."""

    rejected: int
    runs: int
    low: float
    high: float

    @property
    def rate(self) -> float:
        return self.rejected / self.runs


def rejections(test: Test, draw: Draw, runs: int, level: float = 0.05) -> Rate:
    """Run a test on draw(0), draw(1), ...: two samples each, fixed by the seed."""
    rejected = sum(test(*draw(run), run) <= level for run in range(runs))
    return Rate(rejected, runs, *wilson(rejected, runs))


def false_alarms(test: Test, draw: Draw, runs: int = 200, level: float = 0.05) -> Rate:
    """How often the test rejects when draw gives two samples of one law.  At most `level`, by its construction."""
    return rejections(test, draw, runs, level)


def power(
    test: Test,
    draw_null: Callable[[int], Tensor],
    draw_bug: Callable[[int], Tensor],
    runs: int = 50,
    level: float = 0.05,
) -> Rate:
    """How often the test tells a planted bug from the truth; each draw gives one sample, the bug's from other seeds."""
    return rejections(test, lambda run: (draw_null(run), draw_bug(run)), runs, level)


def wilson(successes: int, runs: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's interval for a probability (1927): right to use even for 0 of n."""
    if not 0 <= successes <= runs or runs == 0:
        raise ValueError(f"want 0 <= successes <= runs and a run, not {successes} of {runs}")
    share, z2 = successes / runs, z * z
    centre = (share + z2 / (2 * runs)) / (1 + z2 / runs)
    half = z * sqrt(share * (1 - share) / runs + z2 / (4 * runs * runs)) / (1 + z2 / runs)
    return max(0.0, centre - half), min(1.0, centre + half)
