"""Images from the files their authors publish: read, verified, and fetched where they are not.

The files are read from the folder that the environment variable KB_DATA names, if it is set (`$KB_DATA/mnist/` and so
on, under their published names), else downloaded once into the user's cache.  Either way they are verified first.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from implementations.lab.data.dataset import DataError, Dataset, float32

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


def mnist_like(name: str) -> Dataset:
    folder = _kept(name)
    arrays = []
    for file, digest in zip(_IDX, _SHA256[name], strict=True):
        path = folder / file if folder else _download(name, file, f"sha256:{digest}")
        _verify(path, f"sha256:{digest}")
        arrays.append(_idx(path))
    x, y, x_test, y_test = arrays
    return _images(name, (x[:, None], y), (x_test[:, None], y_test))


def cifar10() -> Dataset:
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


def _images(name: str, train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> Dataset:
    def pair(x: np.ndarray, y: np.ndarray) -> tuple[Tensor, Tensor]:
        return float32(x).div_(127.5).sub_(1), torch.from_numpy(y.astype(np.int64))

    return Dataset(name, *pair(*train), *pair(*test), 256, (-1.0, 1.0))
