"""Evidence survives a round trip, and says when it is old."""

import math

import numpy as np
import pytest
import yaml

from implementations.verification.code_hash import code_hash
from implementations.verification.evidence import store
from implementations.verification.evidence.store import EvidenceError


@pytest.fixture
def root(tmp_path):
    package = tmp_path / "implementations" / "demos"
    package.mkdir(parents=True)
    (package / "toy_method.py").write_text("X = 1\n")
    return tmp_path


def entry(root, device: str = "cpu", **changes) -> dict:
    figures = [
        {"file": f"toy-method{'' if device == 'cpu' else '-cuda'}.webp", "alt": "Dots.", "width": 4, "height": 3}
    ]
    return {
        "device": device,
        "recorded": "2026-11-21",
        "code": code_hash("demos.toy_method", root),
        "versions": {"python": "3.11.7"},
        "data": "dots",
        "seeds": [0, 1],
        "claims": [{"name": "error", "value": 0.105, "holds": True}],
        "figures": figures,
        **changes,
    }


def entries(root):
    found = store.read("toy-method", root)
    assert found is not None
    return found["entries"]


def test_what_is_written_is_read_and_devices_stand_side_by_side(root):
    path = store.write("toy-method", entry(root, "cuda: Card"), b"gpu", root)
    store.write("toy-method", entry(root), b"cpu", root)
    assert [e["device"] for e in entries(root)] == ["cpu", "cuda: Card"]
    assert entries(root)[0] == entry(root)
    assert path.with_name("toy-method.webp").read_bytes() == b"cpu"
    assert path.with_name("toy-method-cuda.webp").read_bytes() == b"gpu"
    text = path.read_text()
    store.write("toy-method", entry(root), b"cpu", root)
    assert path.read_text() == text
    store.write("toy-method", entry(root, seeds=[5]), b"cpu", root)
    assert [e["seeds"] for e in entries(root)] == [[5], [0, 1]]
    store.write("toy-method", entry(root, data="mnist"), b"cpu", root)
    assert [(e["device"], e["data"]) for e in entries(root)] == [
        ("cpu", "dots"),
        ("cpu", "mnist"),
        ("cuda: Card", "dots"),
    ]


def test_the_file_is_plain_yaml_without_aliases(root):
    text = store.write("toy-method", entry(root), None, root).read_text()
    assert "&" not in text
    assert "seeds: [0, 1]" in text
    assert "recorded: '2026-11-21'" in text
    assert yaml.safe_load(text)["entries"][0]["versions"] == {"python": "3.11.7"}


def test_evidence_grows_old_with_its_code_alone(root):
    assert "no evidence recorded for toy-method" in (store.stale("toy-method", root) or "")
    path = store.write("toy-method", entry(root), b"cpu", root)
    assert store.stale("toy-method", root) is None
    module = root / "implementations" / "demos" / "toy_method.py"
    module.write_text("# a word\nX = 1\n")
    assert store.stale("toy-method", root) is None
    path.with_name("toy-method.webp").unlink()
    assert "picture toy-method.webp" in (store.stale("toy-method", root) or "")
    module.write_text("X = 2\n")
    assert "recorded on cpu is older than the code" in (store.stale("toy-method", root) or "")
    store.write("toy-method", entry(root, "cuda: Card"), b"gpu", root)
    assert "recorded on cpu is older" in (store.stale("toy-method", root) or "")


@pytest.mark.parametrize(
    "text", ["method: [", "method: other\nentries: []\n", "- 1\n", "method: toy-method\nentries: [1]\n"]
)
def test_a_broken_file_is_named_with_its_remedy_and_left_alone(root, text):
    path = store.path_of("toy-method", root)
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(EvidenceError, match=r"toy-method\.yaml: .*kb verify toy-method --record"):
        store.read("toy-method", root)
    with pytest.raises(EvidenceError):
        store.write("toy-method", entry(root), None, root)
    assert path.read_text() == text


def test_values_that_yaml_would_change_are_refused_and_nothing_is_written(root):
    with pytest.raises((EvidenceError, yaml.YAMLError)):
        store.write("toy-method", entry(root, seconds=np.float64(1.0)), b"cpu", root)
    assert not store.path_of("toy-method", root).exists()
    assert not store.path_of("toy-method", root).with_name("toy-method.webp").exists()


def test_a_figure_that_is_no_number_is_kept_and_named_as_failing(root):
    lost = {"name": "error", "value": math.nan, "worst": math.nan, "holds": False}
    store.write("toy-method", entry(root, claims=[lost]), None, root)
    assert store.failing("toy-method", root) == ["cpu: error"]
    assert math.isnan(entries(root)[0]["claims"][0]["worst"])
