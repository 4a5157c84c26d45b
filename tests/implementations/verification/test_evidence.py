"""Evidence survives a round trip, says when it is old, and puts the seeds of a claim together honestly."""

import io
import math

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from implementations.lab.results import Claim, Figure
from implementations.verification import evidence
from implementations.verification.code_hash import code_hash
from implementations.verification.evidence import EvidenceError

DEMO = """
import torch
from implementations.lab.results import Claim, Figure, Result

def demo(*, data="dots", device="cpu", seed=0, progress=False):
    claim = Claim("error", "It is small.", value=0.1 + 0.01 * seed, bound=0.2, relation="<=", control=0.5 - 0.1 * seed,
                  control_is="no idea", of="section 1")
    figure = Figure("samples", "Dots on a line.", torch.linspace(0, 1, 12).reshape(3, 4))
    return Result("toy", data, seed, torch.zeros(1), torch.zeros(1), [claim], [figure],
                  network_evaluations=7, parameters=9)
"""


def claim(
    value: float = 0.1, control: float = 0.5, relation: str = "<=", bound: float = 0.2, name: str = "error"
) -> Claim:
    return Claim(name, "It is small.", value, bound, relation, control, "no idea", "section 1")


@pytest.fixture
def root(tmp_path):
    package = tmp_path / "implementations"
    package.mkdir()
    (package / "toy_method.py").write_text("X = 1\n")
    return tmp_path


def entry(root, device: str = "cpu", **changes) -> dict:
    figures = [
        {"file": f"toy-method{'' if device == 'cpu' else '-cuda'}.webp", "alt": "Dots.", "width": 4, "height": 3}
    ]
    return {
        "device": device,
        "recorded": "2026-11-21",
        "code": code_hash("toy_method", root),
        "versions": {"python": "3.11.7"},
        "data": "dots",
        "seeds": [0, 1],
        "claims": evidence.aggregate([[claim()], [claim(0.11)]]),
        "figures": figures,
        **changes,
    }


def test_what_is_written_is_read_and_devices_stand_side_by_side(root):
    path = evidence.write("toy-method", entry(root, "cuda: Card"), b"gpu", root)
    evidence.write("toy-method", entry(root), b"cpu", root)
    assert [e["device"] for e in evidence.read("toy-method", root)["entries"]] == ["cpu", "cuda: Card"]
    assert evidence.read("toy-method", root)["entries"][0] == entry(root)
    assert path.with_name("toy-method.webp").read_bytes() == b"cpu"
    assert path.with_name("toy-method-cuda.webp").read_bytes() == b"gpu"
    text = path.read_text()
    evidence.write("toy-method", entry(root), b"cpu", root)
    assert path.read_text() == text
    evidence.write("toy-method", entry(root, seeds=[5]), b"cpu", root)
    assert [e["seeds"] for e in evidence.read("toy-method", root)["entries"]] == [[5], [0, 1]]
    evidence.write("toy-method", entry(root, data="mnist"), b"cpu", root)
    assert [(e["device"], e["data"]) for e in evidence.read("toy-method", root)["entries"]] == [
        ("cpu", "dots"),
        ("cpu", "mnist"),
        ("cuda: Card", "dots"),
    ]


def test_the_file_is_plain_yaml_without_aliases(root):
    text = evidence.write("toy-method", entry(root), None, root).read_text()
    assert "&" not in text
    assert "seeds: [0, 1]" in text
    assert "recorded: '2026-11-21'" in text
    assert yaml.safe_load(text)["entries"][0]["versions"] == {"python": "3.11.7"}


def test_evidence_grows_old_with_its_code_alone(root):
    assert "no evidence recorded for toy-method" in evidence.stale("toy-method", root)
    path = evidence.write("toy-method", entry(root), b"cpu", root)
    assert evidence.stale("toy-method", root) is None
    module = root / "implementations" / "toy_method.py"
    module.write_text("# a word\nX = 1\n")
    assert evidence.stale("toy-method", root) is None
    path.with_name("toy-method.webp").unlink()
    assert "picture toy-method.webp" in evidence.stale("toy-method", root)
    module.write_text("X = 2\n")
    assert "recorded on cpu is older than the code" in evidence.stale("toy-method", root)
    evidence.write("toy-method", entry(root, "cuda: Card"), b"gpu", root)
    assert "recorded on cpu is older" in evidence.stale("toy-method", root)


@pytest.mark.parametrize(
    "text", ["method: [", "method: other\nentries: []\n", "- 1\n", "method: toy-method\nentries: [1]\n"]
)
def test_a_broken_file_is_named_with_its_remedy_and_left_alone(root, text):
    path = evidence.path_of("toy-method", root)
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(EvidenceError, match=r"toy-method\.yaml: .*kb verify toy-method --record"):
        evidence.read("toy-method", root)
    with pytest.raises(EvidenceError):
        evidence.write("toy-method", entry(root), None, root)
    assert path.read_text() == text


def test_values_that_yaml_would_change_are_refused_and_nothing_is_written(root):
    with pytest.raises((EvidenceError, yaml.YAMLError)):
        evidence.write("toy-method", entry(root, seconds=np.float64(1.0)), b"cpu", root)
    assert not evidence.path_of("toy-method", root).exists()
    assert not evidence.path_of("toy-method", root).with_name("toy-method.webp").exists()


def test_the_seeds_of_an_upper_bound():
    (one,) = evidence.aggregate([[claim(0.1, 0.5)], [claim(0.16, 0.3)], [claim(0.13, 0.4)]])
    # mean 0.13; sd of (-0.03, 0.03, 0) with n - 1 is 0.03; nearest to failing 0.16, control nearest to passing 0.3
    assert [one[k] for k in ("value", "sd", "worst", "control", "control_best")] == [0.13, 0.03, 0.16, 0.4, 0.3]
    assert one["holds"]


def test_the_seeds_of_a_lower_bound_and_a_control_that_passes_once():
    (one,) = evidence.aggregate([[claim(0.9, 0.1, ">=")], [claim(0.7, 0.25, ">=")]])
    assert [one[k] for k in ("worst", "control_best")] == [0.7, 0.25]
    assert not one["holds"]


def test_a_figure_that_is_no_number_does_not_hold_and_is_the_worst(root):
    (one,) = evidence.aggregate([[claim(0.1)], [claim(math.nan)], [claim(0.15)]])
    assert not one["holds"]
    assert math.isnan(one["worst"])
    evidence.write("toy-method", entry(root, claims=[one]), None, root)
    assert evidence.failing("toy-method", root) == ["cpu: error"]


def test_bounds_that_follow_the_seed_are_refused():
    with pytest.raises(EvidenceError, match="change with the seed"):
        evidence.aggregate([[claim(bound=0.2)], [claim(bound=0.3)]])
    with pytest.raises(EvidenceError, match="share a name"):
        evidence.aggregate([[claim(), claim()]])


def test_a_picture_is_exact_when_small_and_at_most_60_kb_when_not():
    levels = torch.arange(12).reshape(3, 4) / 255
    described, data = evidence.render(Figure("a", "Dots.", levels))
    assert described == {"alt": "Dots.", "width": 4, "height": 3}
    assert np.array(Image.open(io.BytesIO(data)))[..., 0].tolist() == torch.arange(12).reshape(3, 4).tolist()
    noise = torch.rand(400, 500, 3, generator=torch.Generator().manual_seed(0))
    described, data = evidence.render(Figure("b", "Noise.", noise))
    assert len(data) <= 60_000
    assert Image.open(io.BytesIO(data)).size == (described["width"], described["height"])


def test_a_demo_is_judged_over_its_seeds(tmp_path, monkeypatch):
    from implementations.verification import code_hash

    (tmp_path / "toy_demo.py").write_text(DEMO)
    import implementations

    monkeypatch.setattr(implementations, "__path__", [*implementations.__path__, str(tmp_path)])
    monkeypatch.setattr(evidence, "code_hash", lambda module: code_hash.hash_of({module: tmp_path / f"{module}.py"}))
    got, picture = evidence.judge("toy_demo", seeds=[0, 1], data="rings")
    assert got["device"] == "cpu"
    assert got["data"] == "rings"
    assert (got["parameters"], got["network_evaluations"], got["seeds"]) == (9, 7, [0, 1])
    assert got["claims"][0]["value"] == pytest.approx(0.105)
    assert got["claims"][0]["control_best"] == pytest.approx(0.4)
    assert got["figures"] == [{"file": "toy-rings.webp", "alt": "Dots on a line.", "width": 4, "height": 3}]
    assert Image.open(io.BytesIO(picture)).size == (4, 3)
    assert got["seconds"] >= 0
    assert set(got["versions"]) == {"python", "torch", "numpy"}


@pytest.mark.slow
def test_seeds_side_by_side_give_what_they_give_one_after_the_other():
    alone, _ = evidence.judge("score_matching", seeds=[0, 1])
    together, _ = evidence.judge("score_matching", seeds=[0, 1], jobs=2)
    assert together["claims"] == alone["claims"]
