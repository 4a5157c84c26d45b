"""Judges told what they must know: real digits, exact copies, new draws, lost classes."""

import math

import numpy as np
import pytest
import torch

from implementations.common.noise import Noise
from implementations.verification import sample_measures
from implementations.verification.sample_measures import Classifier

F64 = torch.float64


def normal(seed: int, n: int = 300, D: int = 2) -> torch.Tensor:
    return Noise(seed)(torch.empty(n, D, dtype=torch.float64))


def test_the_classifier_reads_digits_it_never_saw():
    from sklearn.datasets import load_digits

    images, target = load_digits(return_X_y=True)
    x, y = torch.from_numpy(images / 8 - 1).float().view(-1, 1, 8, 8), torch.from_numpy(target)
    judge = sample_measures.classifier(x, y)
    assert judge.held_out == 540
    assert judge.accuracy > 0.97  # a support vector machine's on this set is 0.98 to 0.99
    assert judge.agreement(x[:200], y[:200]) > 0.97
    assert judge.agreement(x[:200], (y[:200] + 1) % 10) < 0.03
    assert judge.classes(x[:7]).shape == (7,)


class Sign:
    """A machine whose classes are known: 1 where a row's first number is positive."""

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return (rows[:, 0] > 0).astype(np.int32)


def test_agreement_is_the_share_of_rows_given_the_class_they_were_asked_to_be():
    judge = Classifier(Sign(), 1.0, 1)
    x = torch.tensor([[[3.0, -1.0]], [[-2.0, 5.0]], [[1.0, 1.0]], [[-1.0, 1.0]]]).requires_grad_()
    assert judge.classes(x).tolist() == [1, 0, 1, 0]
    assert judge.classes(x).dtype == torch.int64
    assert judge.agreement(x, torch.tensor([1, 0, 0, 0])) == 0.75


def test_the_split_is_the_same_for_the_same_seed_which_is_0_by_default():
    x, y = normal(1, 60), torch.arange(60) % 2
    held = [
        sample_measures.classifier(x, y, **seed).machine.support_vectors_ for seed in ({}, {"seed": 0}, {"seed": 1})
    ]
    assert np.array_equal(held[0], held[1])
    assert not (held[0].shape == held[2].shape and np.array_equal(held[0], held[2]))


@pytest.mark.parametrize("seed", range(3))
def test_each_class_has_its_share_of_the_rows_held_out_and_a_row_weighs_ten_at_most(seed):
    """All rows are alike, so that each side of the rule stands at its bound.

    70 of 100 rows are fitted, 7 of the 10 rare ones among them.  No rule parts alike rows, so each of the rare ones
    weighs all that a row may, and as many of the others as balance them.
    """
    y = (torch.arange(100) < 10).long()
    judge = sample_measures.classifier(torch.zeros(100, 2), y, seed=seed)
    assert judge.held_out == 30
    assert judge.accuracy == 0.9, "27 of 30 are of the frequent class"
    assert judge.machine.n_support_[1] == 7
    assert np.abs(judge.machine.dual_coef_).max() == 10.0


def test_classes_that_nothing_tells_are_learnt_by_heart_and_judged_on_other_rows():
    x, y = normal(6, 200, 20), torch.arange(200) % 2
    judge = sample_measures.classifier(x, y)
    assert judge.agreement(x, y) > 0.8, "140 of them are those it was fitted to"
    assert judge.accuracy < 0.5 + 4 * (0.25 / 60) ** 0.5, "a coin's share of 60, and four standard errors"


def test_copies_are_told_from_new_draws():
    train, held_out = normal(1, 500), normal(2, 500)
    copied = sample_measures.memorisation(train[:200].clone(), train, held_out)
    assert (copied.ratio, copied.copies) == (0.0, 1.0)
    new = sample_measures.memorisation(normal(3, 500), train, held_out)
    assert 0.8 < new.ratio < 1.25  # the medians of 500 distances have a standard error of about 5 %
    assert new.copies < 0.04
    half = sample_measures.memorisation(torch.cat([normal(4, 100), train[:100]]), train, held_out)
    assert 0.5 <= half.copies < 0.55


def test_memorisation_compares_medians_and_counts_what_is_nearer_than_the_nearest_hundredth():
    """Held-out rows lie 1 to 101 away, so one in a hundred is nearer than 2, and the middle one is at 51."""
    train, held_out = torch.zeros(1, 1), torch.arange(1.0, 102.0)[:, None]
    found = sample_measures.memorisation(torch.tensor([[0.5], [2.0], [-1.0], [51.0], [500.0]]), train, held_out)
    assert found.ratio == pytest.approx(2 / 51)
    assert found.copies == 0.4, "0.5 and 1 are nearer than 2, and 2 is not"


def test_it_is_the_samples_whose_nearest_training_row_counts():
    """One training row far out: nearest to it are samples that are near to others."""
    train = torch.tensor([[0.0], [1000.0]])
    found = sample_measures.memorisation(
        torch.tensor([[1.0], [2.0], [3.0]]), train, torch.tensor([[4.0], [5.0], [6.0]])
    )
    assert found.ratio == pytest.approx(2 / 5)


def test_nearest_is_the_least_distance():
    x, others = torch.tensor([[0.0, 0.0], [3.0, 4.0]]).requires_grad_(), torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    near = sample_measures.nearest(x, others)
    assert near.tolist() == [1.0, 0.0]
    assert near.dtype == F64 and not near.requires_grad


def test_a_copy_is_at_distance_0_however_far_from_the_origin():
    """By way of |a|^2 - 2ab + |b|^2 the distance of numbers near 1e6 is known to 1e-2 only."""
    x = normal(7, 60, 5) + 1e6
    assert torch.equal(sample_measures.nearest(x, x), torch.zeros(60, dtype=F64))


def test_mean_distance_of_a_triangle():
    assert sample_measures.mean_distance(torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])) == pytest.approx(4.0)


def test_effective_classes_count_even_shares_and_fall_with_uneven_ones():
    assert sample_measures.effective_classes(torch.arange(10).repeat(5)) == pytest.approx(10)
    assert sample_measures.effective_classes(torch.full((9,), 3)) == pytest.approx(1)
    uneven = sample_measures.effective_classes(torch.tensor([0, 0, 0, 1]))
    assert uneven == pytest.approx(math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25)))


def test_coverage_of_the_same_law_is_what_exchangeability_says_and_falls_when_a_mode_is_lost():
    n, k, runs = 150, 3, 30
    missed = math.prod((n - 1 - i) / (2 * n - 1 - i) for i in range(k))
    seen = [sample_measures.coverage(normal(2 * r, n), normal(2 * r + 1, n), k) for r in range(runs)]
    # A row is missed with probability 0.12; rows of a run are alike, so take the spread between runs.
    error = torch.tensor(seen).std().item() / runs**0.5
    assert abs(sum(seen) / runs - (1 - missed)) < 4 * error
    data = torch.cat([normal(1, n), normal(2, n) + 20])
    assert sample_measures.coverage(normal(3, 2 * n), data, k) < 0.52


def test_coverage_is_counted_beyond_the_fifth_neighbour_of_each_row():
    """Rows 0, 1, ..., 9 on a line: the fifth neighbour of row 0 is 5 away, that of row 1 is 4 away."""
    data = torch.arange(10.0)[:, None]
    for sample, rows in ((-4.5, 1), (-5.0, 0), (-3.5, 1), (-2.5, 2), (4.5, 10), (13.5, 1), (14.0, 0)):
        found = sample_measures.coverage(torch.tensor([[sample]]), data)
        assert found == pytest.approx(rows / 10), sample
    assert sample_measures.coverage(torch.tensor([[-1.5]]), data, k=1) == 0
    assert sample_measures.coverage(torch.tensor([[-1.5]]), data, k=2) == pytest.approx(0.1)
