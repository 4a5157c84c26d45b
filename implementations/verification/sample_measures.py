"""Judges of samples that had no part in making them: a classifier, a test for copies, measures of diversity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Classifier:
    """An independent classifier.  accuracy: on the `held_out` rows it never saw, which bounds what it can tell."""

    machine: Any
    accuracy: float
    held_out: int

    def classes(self, x: Tensor) -> Tensor:
        """The class it gives each row of x: (B, ...).  Returns (B,), int64."""
        return torch.from_numpy(np.asarray(self.machine.predict(_rows(x)))).long()

    def agreement(self, x: Tensor, y: Tensor) -> float:
        """The share of rows it gives the class they were asked to be.  y: (B,)."""
        return (self.classes(x) == y.cpu()).double().mean().item()


def classifier(x: Tensor, y: Tensor, *, share_held_out: float = 0.3, seed: int = 0) -> Classifier:
    """A support vector machine with a Gaussian kernel, fitted to data.  x: (N, ...), y: (N,)."""
    from sklearn.model_selection import train_test_split
    from sklearn.svm import SVC

    split = train_test_split(_rows(x), y.cpu().numpy(), test_size=share_held_out, random_state=seed, stratify=y.cpu())
    x_train, x_test, y_train, y_test = split
    machine = SVC(C=10.0).fit(x_train, y_train)
    return Classifier(machine, float(machine.score(x_test, y_test)), len(y_test))


@dataclass(frozen=True)
class Memorisation:
    """How near samples lie to the training data, beside data that cannot have been copied.

    ratio: median distance of samples to their nearest training row, over that of held-out rows; 1 for samples as new as
    new data, 0 for copies.  copies: share of samples nearer than all but 1 % of the held-out rows; about 0.01 for new.
    """

    ratio: float
    copies: float


def memorisation(samples: Tensor, train: Tensor, held_out: Tensor) -> Memorisation:
    """Nearest-neighbour test.  All (N, ...), the same shape of rows; held_out is drawn from the law of train."""
    near, near_new = nearest(samples, train), nearest(held_out, train)
    threshold = torch.quantile(near_new, 0.01)
    return Memorisation((near.median() / near_new.median()).item(), (near < threshold).double().mean().item())


def nearest(x: Tensor, others: Tensor) -> Tensor:
    """Euclidean distance of each row to the nearest of the others, exactly 0 for a copy.  Returns (B,), float64."""
    a, b = (v.detach().cpu().flatten(1).double() for v in (x, others))
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").amin(1)


def mean_distance(x: Tensor) -> float:
    """Mean Euclidean distance between two different rows: falls when samples become alike."""
    return torch.pdist(x.detach().cpu().flatten(1).double()).mean().item()


def effective_classes(y: Tensor) -> float:
    """exp of the entropy of the classes seen: the number of classes, if all were as frequent.  y: (B,) ints."""
    share = torch.bincount(y.cpu()).double() / len(y)
    return torch.special.entr(share).sum().exp().item()


def coverage(samples: Tensor, data: Tensor, k: int = 5) -> float:
    """Share of data rows with a sample nearer than their own k-th neighbour in the data (Naeem et al. 2020).

    For N samples and N rows of data from one law, a row is missed when its k nearest, among N - 1 other rows and N
    samples, are all data: so the mean is 1 - prod_{i<k} (N - 1 - i) / (2 N - 1 - i), about 1 - 2^-k.
    """
    own = data.detach().cpu().flatten(1).double()
    radius = torch.cdist(own, own).kthvalue(k + 1, dim=1).values
    return (nearest(data, samples) < radius).double().mean().item()


def _rows(x: Tensor) -> np.ndarray:
    return x.detach().cpu().flatten(1).numpy()
