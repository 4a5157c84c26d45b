"""The statistic by its definition, the p-value by its guarantee, power where it must be there."""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, energy_distance

from implementations.common.noise import Noise
from implementations.verification import error_rates, twosample
from implementations.verification.twosample import energy_test, false_alarms, power


def normal(seed: int, n: int = 40, D: int = 3, shift: float = 0.0) -> torch.Tensor:
    return Noise(seed)(torch.empty(n, D, dtype=torch.float64)) + shift


def test_the_statistic_is_the_energy_distance():
    x, y = normal(1, 20, 1), normal(2, 30, 1, 0.5)
    both = torch.cat([x, y])
    chosen = torch.zeros(1, 50, dtype=torch.float64)
    chosen[0, :20] = 1
    ours = twosample._energy(torch.cdist(both, both), chosen, 20, 30).item()
    # scipy's is the square root, for scalars.
    theirs = energy_distance(x[:, 0].numpy(), y[:, 0].numpy()) ** 2
    assert ours == pytest.approx(theirs, rel=1e-12)
    assert twosample.energy_distance(x, y) == pytest.approx(theirs, rel=1e-12)


def test_the_p_value_is_the_share_of_labellings_as_extreme():
    # 3 + 3 rows on a line, x the three least: of the 20 labellings only it and its mirror reach the observed statistic,
    # so each random labelling does with probability 1/10.
    x, y = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[10.0], [11.0], [12.0]])
    values = torch.cat([x, y]).double()
    labels = torch.zeros(20, 6, dtype=torch.float64)
    for row, three in enumerate(itertools.combinations(range(6), 3)):
        labels[row, list(three)] = 1
    every = twosample._energy(torch.cdist(values, values), labels, 3, 3)
    assert (every >= every[0] - 1e-12).sum() == 2
    p = energy_test(x, y, 0, permutations=9999)
    assert abs(p - 0.1) < 4 * (0.1 * 0.9 / 9999) ** 0.5


def labellings(x: np.ndarray, y: np.ndarray) -> float:
    """Share of all labellings at least as far apart as x and y, by scipy's distance; equal ones but for rounding."""
    values, far = np.concatenate([x, y]), []
    for chosen in itertools.combinations(range(len(values)), len(x)):
        mask = np.isin(np.arange(len(values)), chosen)
        far.append(energy_distance(values[mask], values[~mask]) ** 2)
    return float(np.mean(np.array(far) >= energy_distance(x, y) ** 2 - 1e-9 * np.ptp(values)))


@pytest.mark.parametrize(("n", "m", "scale"), [(2, 5, 1.0), (3, 3, 1.0), (3, 3, 1e6), (3, 3, 1e-6), (5, 2, 1e3)])
@pytest.mark.parametrize("seed", range(4))
def test_the_p_value_is_the_share_whatever_the_sizes_and_the_unit(n, m, scale, seed):
    """With three and three every labelling has a mirror image, equally far apart but for the last bits."""
    x, y = scale * normal(seed, n, 1), scale * normal(50 + seed, m, 1)
    exact = labellings(x[:, 0].numpy(), y[:, 0].numpy())
    p = energy_test(x, y, seed, permutations=4999)
    assert abs(p - exact) < 4 * (exact * (1 - exact) / 4999) ** 0.5 + 1e-3


def test_a_permutation_as_far_apart_as_the_truth_counts_against_it_and_so_does_the_truth():
    """One row against one: each of the two labellings is as far apart as the other."""
    x, y = torch.zeros(1, 1), torch.ones(1, 1)
    assert energy_test(x, y, 0, permutations=9) == 1.0


def test_labellings_come_from_the_seed_and_from_nothing_else():
    x, y = normal(1, 20), normal(2, 20)
    before = torch.random.get_rng_state()
    p = [energy_test(x, y, seed) for seed in range(8)]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert [energy_test(x, y, seed) for seed in range(8)] == p
    assert len(set(p)) > 1


def test_equal_samples_have_p_1_and_far_ones_the_least_possible():
    x = normal(3)
    assert energy_test(x, x.clone(), 0) == 1.0
    assert energy_test(x, x + 10, 0) == 1 / 200


def test_null_p_values_are_uniform_so_alarms_keep_to_their_level():
    runs = 200
    p = torch.tensor([energy_test(normal(2 * r), normal(2 * r + 1), r, permutations=99) for r in range(runs)])
    assert abs(p.mean() - 0.5) < 4 * (1 / 12 / runs) ** 0.5
    for level in (0.05, 0.2, 0.5):
        assert abs((p <= level).double().mean() - level) < 4 * (level * (1 - level) / runs) ** 0.5


def test_false_alarms_and_power_are_counted_over_seeds():
    def test(x, y, seed):
        return energy_test(x, y, seed, permutations=99)

    alarms = false_alarms(test, lambda r: (normal(2 * r, 20), normal(2 * r + 1, 20)), runs=60)
    assert alarms.runs == 60
    assert alarms.low <= 0.05 <= alarms.high
    # A shift by half an sd in each of three coordinates: the likelihood ratio test of 40 + 40 rows has a shift of
    # sqrt(3) / 2 * sqrt(20) = 3.9 sd, power 0.97 at 5 %; energy must find most.
    caught = power(test, lambda r: normal(2 * r), lambda r: normal(2 * r + 1, shift=0.5), runs=30)
    assert caught.rate > 0.7
    assert caught.low < caught.rate < caught.high


def test_features_are_what_is_compared():
    x, y = normal(4), normal(5) + torch.tensor([0.0, 0.0, 9.0])
    assert energy_test(x, y, 0) == 1 / 200
    assert energy_test(x, y, 0, features=lambda rows: rows[:, :2]) > 0.05
    assert energy_test(x + 5, -x - 5, 0) == 1 / 200
    assert energy_test(x + 5, -x - 5, 0, features=torch.abs) == 1.0


def test_a_test_rejects_at_its_level_and_below_it():
    """Each run has the p-value 0.01 times its number, and gets the data drawn for it."""
    seen = []

    def test(x, y, seed):
        seen.append((x.item(), y.item(), seed))
        return round(0.01 * seed, 2)

    rate = twosample.rejections(test, lambda run: (torch.tensor(run), torch.tensor(-run)), 11)
    assert seen == [(run, -run, run) for run in range(11)]
    assert (rate.rejected, rate.runs, rate.rate) == (6, 11, 6 / 11), "0, 0.01, ..., 0.05"
    assert (rate.low, rate.high) == twosample.wilson(6, 11)
    assert twosample.rejections(test, lambda run: (torch.tensor(run), torch.tensor(run)), 11, 0.02).rejected == 3


def test_false_alarms_take_two_hundred_runs_and_power_fifty_at_five_percent():
    draw = torch.tensor

    def test(x, y, seed):
        """Just significant for the pair that is to be drawn for a run."""
        return 0.05 if (x.item(), y.item()) == (seed, -seed) else 1.0

    alarms = false_alarms(test, lambda run: (draw(run), -draw(run)))
    caught = power(test, draw, lambda run: -draw(run))
    assert [(rate.rejected, rate.runs) for rate in (alarms, caught)] == [(200, 200), (50, 50)]
    for rate in (
        false_alarms(lambda x, y, seed: 0.06, lambda run: (draw(run), draw(run)), 3),
        power(lambda x, y, seed: 0.06, draw, draw, 3),
    ):
        assert (rate.rejected, rate.runs) == (0, 3)


@pytest.mark.parametrize(("k", "n"), [(0, 20), (3, 40), (10, 200), (40, 40)])
def test_wilsons_interval_equals_scipys(k, n):
    low, high = binomtest(k, n).proportion_ci(method="wilson")
    assert twosample.wilson(k, n) == pytest.approx((low, high), abs=1e-6)


@pytest.mark.parametrize(("k", "n"), [(3, 2), (-1, 5), (0, 0)])
def test_no_runs_have_no_rate(k, n):
    with pytest.raises(ValueError, match=f"{k} of {n}"):
        twosample.wilson(k, n)


def test_an_interval_for_a_probability_ends_at_0_and_at_1_exactly():
    """The formula misses them by the last bits for some numbers of runs, 7 and 20 the first."""
    for n in range(1, 60):
        assert twosample.wilson(0, n)[0] >= 0
        assert twosample.wilson(n, n)[1] <= 1


def test_planted_samplers_differ_from_the_right_one_as_named():
    bugs, rows = error_rates.bugs(), 2000
    share = {
        name: (bugs[name](rows, Noise(0))[:, 0] > 0.5).double().mean().item()
        for name in ("none: the sampler as it is", "modes as frequent as each other", "20 % of the rare mode lost")
    }
    # 4 standard errors of a share of 2000 rows are at most 0.045; the ancestral sampler itself is exact to O(1/T).
    assert list(share.values()) == pytest.approx([0.2, 0.5, 0.16], abs=0.045)
    assert (bugs["rare mode lost"](rows, Noise(1))[:, 0] < 1.5).all()
    clipped = bugs["predicted x_0 clipped to [-1, 1]"](rows, Noise(2))
    assert clipped.abs().max() <= 1 + 1e-9


def test_the_table_counts_the_runs_it_was_asked_for():
    names = ["20 % of the rare mode lost", "rare mode lost"]
    null, caught = error_rates.measure(null_runs=4, runs=1, names=names)
    assert null.runs == 4
    assert sorted(caught) == names
    assert caught["rare mode lost"].rejected == 1


def test_excess_energy_is_the_sum_of_its_pairs_over_the_spread_of_the_second():
    x, y = Noise(0)(torch.empty(5, 2, 2, dtype=torch.float64)), 1 + Noise(1)(torch.empty(7, 2, 2, dtype=torch.float64))
    a, b = x.flatten(1).numpy(), y.flatten(1).numpy()
    across = np.mean([np.linalg.norm(u - v) for u in a for v in b])
    within_x = np.mean([np.linalg.norm(a[i] - a[j]) for i in range(5) for j in range(5) if i != j])
    within_y = np.mean([np.linalg.norm(b[i] - b[j]) for i in range(7) for j in range(7) if i != j])
    assert twosample.excess_energy(x, y) == pytest.approx((2 * across - within_x - within_y) / within_y, rel=1e-9)
