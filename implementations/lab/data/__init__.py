"""Data sets: exact shapes and scikit-learn's digits without a download; MNIST, Fashion-MNIST, CIFAR-10 from files.

The files are read from the folder that the environment variable KB_DATA names, if it is set (`$KB_DATA/mnist/` and so
on, under their published names), else downloaded once into the user's cache.  Either way they are verified first.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
from dataclasses import dataclass, replace
from math import cos, pi, sin
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Dataset:
    """x: (N, ...) float32 within `range`; y: (N,) int64 labels, or None; x_test, y_test: the same, kept apart.

    levels: how many equally spaced values an entry of x can take, ends of `range` included; None if continuous.
    """

    name: str
    x: Tensor
    y: Tensor | None
    x_test: Tensor
    y_test: Tensor | None
    levels: int | None
    range: tuple[float, float]

    def __post_init__(self) -> None:
        low, high = self.range
        for part, x in {"x": self.x, "x_test": self.x_test}.items():
            if x.numel() and not x.is_meta and not (x.min() >= low and x.max() <= high):  # NaN is outside too
                raise DataError(
                    f"{part} of {self.name} must lie in its range {low:g}..{high:g}, not in "
                    f"{x.min().item():g}..{x.max().item():g}: rescale it, or say its true range"
                )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return tuple(self.x.shape[1:])

    @property
    def classes(self) -> int:
        """How many labels there are, 0 if none."""
        return 0 if self.y is None else int(self.y.max()) + 1

    def to(self, device: str | torch.device) -> Dataset:
        """The same data on another device."""
        moved = {name: getattr(self, name) for name in ("x", "y", "x_test", "y_test")}
        return replace(self, **{name: None if v is None else v.to(device) for name, v in moved.items()})


class DataError(ValueError):
    """Data that cannot be had or used; the message says what is missing or wrong, where, and how to mend it."""


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


# ---- shapes drawn from a formula ----------------------------------------------------------------------------------


def swiss_roll(n: int, seed: int = 0, *, noise: float = 0.05) -> tuple[Tensor, None]:
    """A spiral in the plane, 1.5 turns: radius and angle grow together, evenly; then Gaussian noise.

    The profile of scikit-learn's three-dimensional roll, angle from 1.5 pi to 4.5 pi, scaled so that the outer end has
    radius 2 (both coordinates then have a standard deviation near 1).  Returns (n, 2).
    """
    rng = np.random.default_rng(seed)
    angle = 1.5 * pi * (1 + 2 * rng.random(n))
    x = np.stack([angle * np.cos(angle), angle * np.sin(angle)], axis=1) * (2 / (4.5 * pi))
    return _float(x + noise * rng.standard_normal((n, 2))), None


def moons(n: int, seed: int = 0, *, noise: float = 0.08) -> tuple[Tensor, Tensor]:
    """Two interleaved half circles of radius 1, centred at the origin as a pair.  Returns (n, 2) and labels 0, 1."""
    rng = np.random.default_rng(seed)
    angle, y = pi * rng.random(n), rng.integers(0, 2, n)
    upper = np.stack([np.cos(angle) - 0.5, np.sin(angle) - 0.25], axis=1)
    x = np.where(y[:, None] == 0, upper, -upper)
    return _float(x + noise * rng.standard_normal((n, 2))), torch.from_numpy(y)


def mixture_parameters() -> tuple[Tensor, Tensor, float]:
    """Weights (8,), means (8, 2), float64, and the standard deviation 0.2 of each of `mixture`'s round components.

    The means lie on a circle, weighted 1 : 2 in turn; the radius makes the whole have covariance I, and its mean is 0.
    """
    std = 0.2
    radius = (2 * (1 - std**2)) ** 0.5
    weights = torch.tensor([1.0, 2.0] * 4, dtype=torch.float64) / 12
    means = torch.tensor([[cos(k * pi / 4), sin(k * pi / 4)] for k in range(8)], dtype=torch.float64)
    return weights, radius * means, std


def mixture(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Points of the Gaussian mixture of `mixture_parameters`.  Returns (n, 2) and the components, 0..7."""
    weights, means, std = mixture_parameters()
    rng = np.random.default_rng(seed)
    y = rng.choice(len(weights), n, p=weights.numpy())
    return _float(means.numpy()[y] + std * rng.standard_normal((n, 2))), torch.from_numpy(y)


def heartbeat(n: int, seed: int = 0, *, length: int = 20, period: int = 5) -> tuple[Tensor, Tensor]:
    """Binary sequences with a one in every fifth bin and zeros elsewhere, the first one uniform among the first five.

    So each of `period` sequences has probability 1 / period, and the entropy is log2(5) = 2.32 bits.
    Returns (n, length) in {0, 1} and the place of the first one.
    """
    y = np.random.default_rng(seed).integers(0, period, n)
    x = np.arange(length)[None] % period == y[:, None]
    return _float(x), torch.from_numpy(y)


def _float(x: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))


def _drawn(name: str, law, range_: tuple[float, float], levels: int | None = None) -> Dataset:
    (x, y), (x_test, y_test) = law(20_000, 0), law(4_000, 1)
    return Dataset(name, x, y, x_test, y_test, levels, range_)


# ---- images -------------------------------------------------------------------------------------------------------


def _digits() -> Dataset:
    from sklearn.datasets import load_digits

    images, target = load_digits(return_X_y=True)
    # RandomState's streams are frozen for good, so the split never changes
    order = np.random.RandomState(0).permutation(len(images))
    x = _float(images[order] / 8 - 1).view(-1, 1, 8, 8)
    y = torch.from_numpy(target[order]).long()
    return Dataset("digits", x[:1438], y[:1438], x[1438:], y[1438:], 17, (-1.0, 1.0))


def _images(name: str, train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> Dataset:
    def pair(x: np.ndarray, y: np.ndarray) -> tuple[Tensor, Tensor]:
        return _float(x).div_(127.5).sub_(1), torch.from_numpy(y.astype(np.int64))

    return Dataset(name, *pair(*train), *pair(*test), 256, (-1.0, 1.0))


_IDX = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
_IDX += ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
# sha256 of the published files (their md5 agree with the tables of the data sets' authors and of torchvision)
_SHA256 = {
    "mnist": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    "fashion-mnist": (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
}
_CIFAR_TAR = "cifar-10-binary.tar.gz"
_CIFAR_TAR_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
_CIFAR_TRAIN = tuple(f"data_batch_{k}.bin" for k in range(1, 6))
_CIFAR_TEST = "test_batch.bin"
# lossless heads of the first training batch and of the test batch, for those who keep only these
_CIFAR_SUBSET = {
    "cifar10_data_batch_1_first4000.bin": "0993cf8b8e43bc207603aef9787006995746513f5e3fa5a52e06d1b069926330",
    "cifar10_test_batch_first1000.bin": "8314c96d7cd65618193bab23acdd5d4c4af15bf6dd00a1781d55beedf3be1ef5",
}
MIRRORS = {
    "mnist": (
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
    "fashion-mnist": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    "cifar10": ("https://www.cs.toronto.edu/~kriz/",),
}


def _idx(path: Path) -> np.ndarray:
    """An array in the idx format: two zero bytes, type 8 (bytes), the number of axes, their sizes, the entries."""
    raw = gzip.decompress(path.read_bytes())
    axes = raw[3]
    shape = np.frombuffer(raw, ">i4", count=axes, offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _mnist_like(name: str) -> Dataset:
    folder = _kept(name)
    arrays = []
    for file, digest in zip(_IDX, _SHA256[name], strict=True):
        path = folder / file if folder else _download(name, file, f"sha256:{digest}")
        _verify(path, f"sha256:{digest}")
        arrays.append(_idx(path))
    x, y, x_test, y_test = arrays
    return _images(name, (x[:, None], y), (x_test[:, None], y_test))


def _cifar10() -> Dataset:
    folder = _kept("cifar10")
    train, test = list(_CIFAR_TRAIN), _CIFAR_TEST
    if folder is None:
        archive = _download("cifar10", _CIFAR_TAR, f"md5:{_CIFAR_TAR_MD5}")
        members = _untar(archive, [*train, test])
    elif (folder / _CIFAR_TAR).is_file():
        _verify(folder / _CIFAR_TAR, f"md5:{_CIFAR_TAR_MD5}")
        members = _untar(folder / _CIFAR_TAR, [*train, test])
    else:
        if not (folder / train[0]).is_file() and all((folder / file).is_file() for file in _CIFAR_SUBSET):
            train, test = [next(iter(_CIFAR_SUBSET))], list(_CIFAR_SUBSET)[1]
            for file, digest in _CIFAR_SUBSET.items():
                _verify(folder / file, f"sha256:{digest}")
        members = {file: _present(folder / file).read_bytes() for file in [*train, test]}

    def records(file: str) -> tuple[np.ndarray, np.ndarray]:
        """One byte of label, then 32 x 32 bytes each of red, green and blue, row by row."""
        raw = np.frombuffer(members[file], np.uint8)
        if len(raw) == 0 or len(raw) % 3073 or raw[::3073].max() > 9:
            raise DataError(f"{file} of cifar10 is not in the binary format of CIFAR-10: fetch it again")
        rows = raw.reshape(-1, 3073)
        return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0]

    x, y = zip(*(records(file) for file in train), strict=True)
    return _images("cifar10", (np.concatenate(x), np.concatenate(y)), records(test))


def _untar(archive: Path, files: list[str]) -> dict[str, bytes]:
    import tarfile

    with tarfile.open(archive) as tar:
        wanted = [m for m in tar if Path(m.name).name in files]
        return {Path(m.name).name: file.read() for m in wanted if (file := tar.extractfile(m))}


# ---- where files come from ----------------------------------------------------------------------------------------


def _kept(name: str) -> Path | None:
    """The folder of a data set under KB_DATA; None if KB_DATA is not set."""
    root = os.environ.get("KB_DATA")
    if not root:
        return None
    folder = Path(root) / name
    if not folder.is_dir():
        raise DataError(
            f"KB_DATA is {root}, but there is no folder {folder}: put the files of {name} there or unset it"
        )
    return folder


def _present(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"no file {path}: put it there, or unset KB_DATA to download it")
    return path


def _verify(path: Path, known: str) -> None:
    algorithm, _, digest = known.partition(":")
    with _present(path).open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if found != digest:
        raise DataError(f"{path} is damaged: its {algorithm} is {found}, not {digest}; delete it and fetch it again")


def _download(name: str, file: str, known: str) -> Path:
    """One file of a data set in the user's cache, fetched from the first mirror that has it unharmed."""
    import pooch

    pooch.get_logger().setLevel("WARNING")
    reasons = []
    for mirror in MIRRORS[name]:
        fetch: Any = pooch.HTTPDownloader(timeout=30, progressbar=sys.stderr.isatty())
        folder = pooch.os_cache("diffusion-kb") / name
        try:
            return Path(pooch.retrieve(mirror + file, known, fname=file, path=folder, downloader=fetch))
        except (OSError, ValueError) as error:  # no network, no such file; wrong checksum
            reasons.append(f"{mirror}: {error}")
    raise DataError(
        f"cannot download {file} of {name}; to use a copy, set KB_DATA to the folder that holds {name}/{file}.\n  "
        + "\n  ".join(reasons)
    )


_LOADERS = {
    "digits": _digits,
    "swiss-roll": lambda: _drawn("swiss-roll", swiss_roll, (-2.3, 2.3)),
    "moons": lambda: _drawn("moons", moons, (-2.0, 2.0)),
    "mixture": lambda: _drawn("mixture", mixture, (-2.6, 2.6)),
    "heartbeat": lambda: _drawn("heartbeat", heartbeat, (0.0, 1.0), levels=2),
    "mnist": lambda: _mnist_like("mnist"),
    "fashion-mnist": lambda: _mnist_like("fashion-mnist"),
    "cifar10": _cifar10,
}
NAMES = tuple(_LOADERS)
EMBEDDED = NAMES[: NAMES.index("mnist")]
