"""The data sets: their stated shapes, ranges and laws; files from KB_DATA or a mirror, verified, or a clear error."""

import gzip
import hashlib
import http.server
import io
import tarfile
import threading
from functools import partial

import numpy as np
import pytest
import torch

from implementations.lab import data
from implementations.lab.data import DataError, files, load

EMBEDDED = {"digits": (1, 8, 8), "swiss-roll": (2,), "moons": (2,), "mixture": (2,), "heartbeat": (20,)}


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_data_keep_their_promises(name):
    d = load(name)
    assert d.name == name and d.shape == EMBEDDED[name] and d.x.dtype == d.x_test.dtype == torch.float32
    for x, y in ((d.x, d.y), (d.x_test, d.y_test)):
        assert x.min() >= d.range[0] and x.max() <= d.range[1]
        if y is not None:
            assert y.dtype == torch.int64 and y.unique().tolist() == list(range(d.classes))
    again = load(name)
    assert torch.equal(d.x, again.x) and torch.equal(d.x_test, again.x_test)


@pytest.mark.parametrize("wrong", [255.0, -1.01, float("nan")])
@pytest.mark.parametrize("part", ["x", "x_test"])
def test_data_outside_their_range_are_refused(part, wrong):
    parts = {"x": torch.zeros(3, 2), "x_test": torch.zeros(3, 2)}
    parts[part][1, 1] = wrong
    with pytest.raises(DataError, match=rf"^{part} of mine must lie in its range -1\.\.1, not in"):
        data.Dataset("mine", y=None, y_test=None, levels=None, range=(-1.0, 1.0), **parts)


def test_digits_are_scikit_learn_s_split_once_and_for_all():
    from sklearn.datasets import load_digits

    d = load("digits")
    assert d.y is not None and d.y_test is not None
    assert (len(d.x), len(d.x_test), d.levels, d.classes) == (1438, 359, 17, 10)
    pixels = ((torch.cat([d.x, d.x_test]) + 1) * 8).flatten(1)
    labelled = torch.cat([pixels, torch.cat([d.y, d.y_test])[:, None]], 1)
    images, target = load_digits(return_X_y=True)
    expected = np.concatenate([images, target[:, None]], 1)
    assert sorted(map(tuple, labelled.tolist())) == sorted(map(tuple, expected.tolist()))
    assert set(d.y_test.tolist()) == set(range(10))
    assert d.y[:8].tolist() == [2, 8, 2, 6, 6, 7, 1, 9]  # a change of the split would make every old figure wrong


def test_swiss_roll_is_a_spiral():
    """Without noise the radius is the angle times 2 / (4.5 pi), and angles lie evenly in 1.5 pi .. 4.5 pi."""
    x, _ = data.swiss_roll(20_000, noise=0.0)
    x = x.double()
    angle = x.norm(dim=1) * 4.5 * torch.pi / 2
    expected = angle[:, None] * torch.stack([angle.cos(), angle.sin()], 1) * 2 / (4.5 * torch.pi)
    torch.testing.assert_close(x, expected, rtol=0, atol=4e-6)  # float32: 1.2e-7 of an angle of 14, times radius 2
    share = (angle - 1.5 * torch.pi) / (3 * torch.pi)
    assert (share.sort().values - torch.linspace(0, 1, 20_000)).abs().max() < 1.95 / 20_000**0.5  # Kolmogorov, 0.1 %


def test_moons_are_two_half_circles():
    x, y = data.moons(1000, noise=0.0)
    sign = 1 - 2 * y[:, None]
    upper = sign * x + torch.tensor([0.5, 0.25])
    torch.testing.assert_close(upper.norm(dim=1), torch.ones(1000))
    assert upper[:, 1].min() >= -1e-6 and upper[:, 0].min() < -0.99 and upper[:, 0].max() > 0.99


def test_mixture_has_the_moments_of_its_parameters():
    weights, means, std = data.mixture_parameters()
    assert weights.sum().item() == pytest.approx(1)
    torch.testing.assert_close(weights @ means, torch.zeros(2, dtype=torch.float64))
    covariance = (weights[:, None, None] * means[:, :, None] * means[:, None]).sum(0) + std**2 * torch.eye(2)
    torch.testing.assert_close(covariance, torch.eye(2, dtype=torch.float64))
    x, y = data.mixture(20_000)
    within = x.double() - means[y]
    assert within.mean(0).abs().max() < 4 * std / 20_000**0.5
    assert within.var(0).sub(std**2).abs().max() < 4 * std**2 * (2 / 20_000) ** 0.5
    shares = torch.bincount(y) / 20_000
    assert (shares - weights).abs().max() < 4 * (0.25 / 20_000) ** 0.5


def test_heartbeat_beats_every_fifth_bin():
    x, y = data.heartbeat(5000)
    assert torch.equal(x.reshape(-1, 4, 5), torch.eye(5)[y][:, None].expand(-1, 4, -1))
    assert (torch.bincount(y) - 1000).abs().max() < 4 * (5000 * 0.16) ** 0.5


def test_train_and_test_of_drawn_data_are_apart():
    d = load("swiss-roll")
    assert not set(map(tuple, d.x_test.tolist())) & set(map(tuple, d.x.tolist()))


def test_unknown_names_are_answered_with_the_list():
    with pytest.raises(DataError, match=r"unknown data 'mnsit': choose one of digits, .*mnist.*cifar10"):
        load("mnsit")


# ---- files ----------------------------------------------------------------------------------------------------------


def idx(array: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return gzip.compress(head + array.tobytes(), mtime=0)


@pytest.fixture
def mnist(tmp_path, monkeypatch):
    """A folder with four small files in MNIST's format, whose checksums are taken for the published ones."""
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, s, dtype=np.uint8) for s in [(6, 28, 28), 6, (4, 28, 28), 4]]
    arrays[1] %= 10
    arrays[3] %= 10
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    for name, array in zip(files._IDX, arrays, strict=True):
        (folder / name).write_bytes(idx(array))
    digests = tuple(hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files._IDX)
    monkeypatch.setitem(files._SHA256, "mnist", digests)
    monkeypatch.delenv("KB_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder, arrays


def check(d: data.Dataset, arrays: list[np.ndarray]) -> None:
    assert d.x.shape == (6, 1, 28, 28) and d.levels == 256 and d.range == (-1.0, 1.0)
    for x, pixels in ((d.x, arrays[0]), (d.x_test, arrays[2])):
        np.testing.assert_allclose(x[:, 0].numpy(), pixels / 127.5 - 1, atol=1e-6)
    assert d.y is not None and d.y_test is not None
    assert d.y.tolist() == arrays[1].tolist() and d.y_test.tolist() == arrays[3].tolist()


def test_mnist_from_kb_data(mnist, monkeypatch):
    folder, arrays = mnist
    monkeypatch.setenv("KB_DATA", str(folder.parent))
    check(load("mnist"), arrays)


def test_missing_and_damaged_files_are_named(mnist, monkeypatch, tmp_path):
    folder, _ = mnist
    monkeypatch.setenv("KB_DATA", str(folder.parent))
    file = folder / files._IDX[2]
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz is damaged: its sha256 is"):
        load("mnist")
    file.unlink()
    with pytest.raises(DataError, match=r"no file .*t10k-images-idx3-ubyte\.gz: .*unset KB_DATA to download"):
        load("mnist")
    monkeypatch.setenv("KB_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(DataError, match=r"KB_DATA is .*elsewhere, but there is no folder .*elsewhere/mnist"):
        load("mnist")


@pytest.fixture
def server(tmp_path):
    """Serves tmp_path/data over HTTP, and counts what is asked."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format, *args):
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Handler, directory=str(tmp_path / "data"))
    ) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/", asked
        running.shutdown()
        thread.join()


def test_mnist_is_downloaded_once_from_the_first_mirror_that_has_it(mnist, server, monkeypatch):
    _, arrays = mnist
    url, asked = server
    monkeypatch.setitem(files.MIRRORS, "mnist", (url + "gone/", url + "mnist/"))
    check(load("mnist"), arrays)
    first = len(asked)
    check(load("mnist"), arrays)
    assert len(asked) == first > 0


def test_a_download_that_fails_names_kb_data_and_leaves_nothing(mnist, server, monkeypatch, tmp_path):
    folder, _ = mnist
    url, _ = server
    monkeypatch.setitem(files.MIRRORS, "mnist", ("http://127.0.0.1:9/", url + "mnist/"))  # nobody listens at port 9
    (folder / files._IDX[0]).write_bytes(b"something else")
    with pytest.raises(DataError) as caught:
        load("mnist")
    message = str(caught.value)
    assert "cannot download train-images-idx3-ubyte.gz of mnist" in message and "set KB_DATA" in message
    assert "127.0.0.1:9" in message and "hash" in message  # a reason for each mirror
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]


def cifar(n: int, seed: int) -> tuple[bytes, np.ndarray]:
    rows = np.random.default_rng(seed).integers(0, 256, (n, 3073), dtype=np.uint8)
    rows[:, 0] %= 10
    return rows.tobytes(), rows


@pytest.mark.parametrize("packed", [False, True])
def test_cifar10_in_the_binary_format(packed, tmp_path, monkeypatch):
    folder = tmp_path / "cifar10"
    folder.mkdir()
    members = {name: cifar(2, k) for k, name in enumerate([*files._CIFAR_TRAIN, files._CIFAR_TEST])}
    if packed:
        with tarfile.open(folder / files._CIFAR_TAR, "w:gz") as tar:
            for name, (raw, _) in members.items():
                member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                member.size = len(raw)
                tar.addfile(member, io.BytesIO(raw))
        digest = hashlib.md5((folder / files._CIFAR_TAR).read_bytes()).hexdigest()
        monkeypatch.setattr(files, "_CIFAR_TAR_MD5", digest)
    else:
        for name, (raw, _) in members.items():
            (folder / name).write_bytes(raw)
    monkeypatch.setenv("KB_DATA", str(tmp_path))
    d = load("cifar10")
    rows = np.concatenate([rows for _, rows in members.values()])
    assert d.x.shape == (10, 3, 32, 32) and d.x_test.shape == (2, 3, 32, 32)
    assert d.y is not None and d.y_test is not None
    assert torch.cat([d.y, d.y_test]).tolist() == rows[:, 0].tolist()
    # the byte of channel c, row i, column j is number 1 + 1024 c + 32 i + j
    assert ((d.x[3, 2, 5, 7] + 1) * 127.5).round() == rows[3, 1 + 2 * 1024 + 5 * 32 + 7]


def test_cifar10_of_another_format_is_refused(tmp_path, monkeypatch):
    folder = tmp_path / "cifar10"
    folder.mkdir()
    for name in [*files._CIFAR_TRAIN, files._CIFAR_TEST]:
        (folder / name).write_bytes(b"\xff" * 3073)
    monkeypatch.setenv("KB_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"data_batch_1\.bin of cifar10 is not in the binary format"):
        load("cifar10")


def test_data_move_as_a_whole():
    d = load("moons").to("meta")
    assert d.y is not None and d.y_test is not None
    assert {v.device.type for v in (d.x, d.y, d.x_test, d.y_test)} == {"meta"}
    assert load("swiss-roll").to("meta").y is None
