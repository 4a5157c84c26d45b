"""Showcases survive a round trip, say when they are old, and are refused when they are broken."""

import pytest

from implementations.verification.code_hash import code_hash
from implementations.verification.evidence import showcases
from implementations.verification.evidence.store import EvidenceError


@pytest.fixture
def root(tmp_path):
    package = tmp_path / "implementations" / "showcases"
    package.mkdir(parents=True)
    (package / "toy_method.py").write_text("X = 1\n")
    return tmp_path


def entry(root, **changes) -> dict:
    picture = {
        "file": "toy-method.showcase.webp", "alt": "Dots.", "caption": "Dots.", "columns": 2, "rows": 3, "width": 9,
        "height": 14,
    }  # fmt: skip
    network = {"network": "toy", "of": "toy-method", "minutes": 1.5, "steps": 3, "batch": 4, "parameters": 5}
    return {
        "method": "toy-method", "recorded": "2026-11-27", "code": code_hash("showcases.toy_method", root),
        "versions": {"python": "3.11.7"}, "device": "cpu", "threads": 2, "data": "dots", "seed": 0, "minutes": 1.5,
        "base_minutes": 0.0, "parameters": 5, "network_evaluations": 10, "networks": [network], "pictures": [picture],
    } | changes  # fmt: skip


def put(root, one: dict) -> None:
    pictures = {picture["file"]: b"picture" for picture in one["pictures"]}
    showcases.write(one, pictures, showcases.folder_of(root))


def test_what_is_written_is_read(root):
    assert showcases.read("toy-method", root) is None and showcases.recorded(root) == []
    put(root, entry(root))
    assert showcases.read("toy-method", root) == entry(root)
    assert showcases.recorded(root) == ["toy-method"]
    assert (showcases.folder_of(root) / "toy-method.showcase.webp").read_bytes() == b"picture"


def test_a_showcase_of_other_code_is_earlier_and_can_be_read(root):
    put(root, entry(root))
    assert not showcases.earlier(entry(root), root)
    (root / "implementations" / "showcases" / "toy_method.py").write_text("X = 2\n")
    found = showcases.read("toy-method", root)
    assert found is not None and showcases.earlier(found, root)
    (root / "implementations" / "showcases" / "toy_method.py").unlink()
    assert showcases.earlier(found, root)


def changed(root, **changes) -> dict:
    one = entry(root)
    return one | {"pictures": [one["pictures"][0] | changes]}


@pytest.mark.parametrize(
    "break_it",
    [
        lambda root: {k: v for k, v in entry(root).items() if k != "minutes"},
        lambda root: entry(root, pictures=[]),
        lambda root: entry(root, pictures=entry(root)["pictures"] * 3),
        lambda root: entry(root, networks=[{"network": "toy"}]),
        lambda root: changed(root, file="../ddpm.webp"),
        lambda root: changed(root, file="ddpm.yaml"),
        lambda root: entry(root, pictures=[*entry(root)["pictures"], *changed(root, rows=4)["pictures"]]),
    ],
)
def test_what_lacks_something_is_neither_written_nor_read(root, break_it):
    broken = break_it(root)
    with pytest.raises(EvidenceError, match="lacks a field"):
        showcases.write(broken, {}, showcases.folder_of(root))
    put(root, entry(root))
    path = showcases.folder_of(root) / "toy-method.showcase.yaml"
    path.write_text(showcases.dump(broken))
    with pytest.raises(EvidenceError, match="not the showcase of toy-method: record it again with `kb run"):
        showcases.read("toy-method", root)


def test_a_missing_picture_and_a_torn_file_are_named(root):
    put(root, entry(root))
    path = showcases.folder_of(root) / "toy-method.showcase.yaml"
    path.with_name("toy-method.showcase.webp").unlink()
    with pytest.raises(EvidenceError, match=r"its picture toy-method\.showcase\.webp is missing"):
        showcases.read("toy-method", root)
    path.write_text("method: [")
    with pytest.raises(EvidenceError, match="not YAML"):
        showcases.read("toy-method", root)
