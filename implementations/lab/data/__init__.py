"""Data sets by name: exact laws and digits without a download; MNIST, Fashion-MNIST, CIFAR-10 from files."""

from __future__ import annotations

import numpy as np
import torch

from implementations.lab.data.dataset import DataError, Dataset, float32
from implementations.lab.data.files import cifar10, mnist_like
from implementations.lab.data.laws import heartbeat, mixture, mixture_parameters, moons, swiss_roll

__all__ = [
    "EMBEDDED", "IMAGES", "NAMES", "DataError", "Dataset", "heartbeat", "load", "mixture", "mixture_parameters",
    "moons", "swiss_roll",
]  # fmt: skip


def load(name: str) -> Dataset:
    """A data set by its name: one of `NAMES`.

    digits         (1, 8, 8)    in [-1, 1], 17 levels, 10 classes; 1438 + 359, a fixed split
    swiss-roll     (2,)         see `swiss_roll`; moons: see `moons`; mixture: see `mixture`; 20000 + 4000 each
    heartbeat      (20,)        in {0, 1}, see `heartbeat`; 20000 + 4000
    mnist, fashion-mnist  (1, 28, 28)  in [-1, 1], 256 levels, 10 classes; 60000 + 10000
    cifar10        (3, 32, 32)  in [-1, 1], 256 levels, 10 classes; 50000 + 10000

    DataError: unknown name; a file missing or damaged; no network.
    """
    if name not in _LOADERS:
        raise DataError(f"unknown data {name!r}: choose one of {', '.join(NAMES)}")
    return _LOADERS[name]()


def _digits() -> Dataset:
    from sklearn.datasets import load_digits

    images, target = load_digits(return_X_y=True)
    # RandomState's streams are frozen for good, so the split never changes
    order = np.random.RandomState(0).permutation(len(images))
    x = float32(images[order] / 8 - 1).view(-1, 1, 8, 8)
    y = torch.from_numpy(target[order]).long()
    return Dataset("digits", x[:1438], y[:1438], x[1438:], y[1438:], 17, (-1.0, 1.0))


def _drawn(name: str, law, range_: tuple[float, float], levels: int | None = None) -> Dataset:
    (x, y), (x_test, y_test) = law(20_000, 0), law(4_000, 1)
    return Dataset(name, x, y, x_test, y_test, levels, range_)


_LOADERS = {
    "digits": _digits,
    "swiss-roll": lambda: _drawn("swiss-roll", swiss_roll, (-2.3, 2.3)),
    "moons": lambda: _drawn("moons", moons, (-2.0, 2.0)),
    "mixture": lambda: _drawn("mixture", mixture, (-2.6, 2.6)),
    "heartbeat": lambda: _drawn("heartbeat", heartbeat, (0.0, 1.0), levels=2),
    "mnist": lambda: mnist_like("mnist"),
    "fashion-mnist": lambda: mnist_like("fashion-mnist"),
    "cifar10": cifar10,
}
NAMES = tuple(_LOADERS)
EMBEDDED = NAMES[: NAMES.index("mnist")]
"""What needs no file from elsewhere."""
IMAGES = ("digits", *NAMES[len(EMBEDDED) :])
"""Images with classes, in [-1, 1]."""
