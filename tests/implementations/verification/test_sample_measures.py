"""Judges told what they must know: real digits, exact copies, new draws, lost classes."""

import math

import pytest
import torch

from implementations.common.noise import Noise
from implementations.verification import sample_measures


def normal(seed: int, n: int = 300, D: int = 2) -> torch.Tensor:
    return Noise(seed)(torch.empty(n, D, dtype=torch.float64))


def test_the_classifier_reads_digits_it_never_saw():
    from sklearn.datasets import load_digits

    data = load_digits()
    x, y = torch.from_numpy(data.images / 8 - 1).float()[:, None], torch.from_numpy(data.target)
    judge = sample_measures.classifier(x, y)
    assert judge.held_out == 540
    assert judge.accuracy > 0.97  # a support vector machine's on this set is 0.98 to 0.99
    assert judge.agreement(x[:200], y[:200]) > 0.97
    assert judge.agreement(x[:200], (y[:200] + 1) % 10) < 0.03
    assert judge.classes(x[:7]).shape == (7,)


def test_copies_are_told_from_new_draws():
    train, held_out = normal(1, 500), normal(2, 500)
    copied = sample_measures.memorisation(train[:200].clone(), train, held_out)
    assert (copied.ratio, copied.copies) == (0.0, 1.0)
    new = sample_measures.memorisation(normal(3, 500), train, held_out)
    assert 0.8 < new.ratio < 1.25  # the medians of 500 distances have a standard error of about 5 %
    assert new.copies < 0.04
    half = sample_measures.memorisation(torch.cat([normal(4, 100), train[:100]]), train, held_out)
    assert 0.5 <= half.copies < 0.55


def test_nearest_is_the_least_distance():
    x, others = torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    assert sample_measures.nearest(x, others).tolist() == [1.0, 0.0]


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
