"""The seeds of a claim are put together honestly, and a demo is measured alike on one process and on several."""

import dataclasses
import io
import math
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image

from implementations import demos
from implementations.lab import networks
from implementations.lab.demo import Claim, Curve, Figure
from implementations.verification.evidence import record
from implementations.verification.evidence.store import EvidenceError
from tests.implementations.lab import toy_demo


def claim(
    value: float = 0.1,
    control: float = 0.5,
    relation: Literal["<=", ">="] = "<=",
    bound: float = 0.2,
    name: str = "error",
) -> Claim:
    return Claim("It is small.", value, bound, relation, control, "no idea", "section 1", name)


def test_the_seeds_of_an_upper_bound():
    (one,) = record.aggregate([[claim(0.1, 0.5)], [claim(0.16, 0.3)], [claim(0.13, 0.4)]], [0, 5, 7])
    # mean 0.13; sd of (-0.03, 0.03, 0) with n - 1 is 0.03; nearest to failing 0.16, control nearest to passing 0.3
    assert [one[k] for k in ("value", "sd", "worst", "control", "control_best")] == [0.13, 0.03, 0.16, 0.4, 0.3]
    assert (one["worst_seed"], one["control_seed"]) == (5, 5)
    assert one["holds"]


def test_the_seeds_of_a_lower_bound_and_a_control_that_passes_once():
    (one,) = record.aggregate([[claim(0.9, 0.1, ">=")], [claim(0.7, 0.25, ">=")]], [3, 4])
    assert [one[k] for k in ("worst", "control_best")] == [0.7, 0.25]
    assert not one["holds"]


def test_a_figure_that_is_no_number_does_not_hold_and_is_the_worst():
    (one,) = record.aggregate([[claim(0.1)], [claim(math.nan)], [claim(0.15)]], [0, 1, 2])
    assert not one["holds"]
    assert math.isnan(one["worst"]) and one["worst_seed"] == 1


def test_bounds_that_follow_the_seed_are_refused():
    with pytest.raises(EvidenceError, match="change with the seed"):
        record.aggregate([[claim(bound=0.2)], [claim(bound=0.3)]], [0, 1])
    with pytest.raises(EvidenceError, match="share a name"):
        record.aggregate([[claim(), claim()]], [0])


def curve(*up, across=(1, 2)):
    return [Curve("evaluations", "distance", {"student": (list(across), list(up))}, name="few-steps")]


def test_curves_of_seeds_are_laid_together_place_by_place():
    (found,) = record.laid_together([curve(1.0, 5.0), curve(3.0, 5.0)])
    line = {"name": "student", "across": [1, 2], "up": [2.0, 5.0], "sd": [1.41421, 0.0]}
    assert found == {"name": "few-steps", "across": "evaluations", "up": "distance", "lines": [line]}


def moved(**changes):
    return [dataclasses.replace(one, **changes) for one in curve(1.0, 5.0)]


@pytest.mark.parametrize(
    "other",
    [
        curve(1.0, 5.0, across=(1, 4)),
        moved(up="seconds"),
        moved(across="steps"),
        moved(name="other"),
        moved(lines={}),
        moved(lines={**curve(1.0, 5.0)[0].lines, "teacher": ([1], [2.0])}),
    ],
)
def test_curves_that_follow_the_seed_in_more_than_their_height_are_refused(other):
    with pytest.raises(EvidenceError, match="curve few-steps: its axes, lines or places across change"):
        record.laid_together([curve(1.0, 5.0), other])


def test_a_line_without_a_number_for_each_place_is_refused():
    with pytest.raises(EvidenceError, match="curve few-steps, line student: want a number for each of its 2 places"):
        record.laid_together([curve(1.0), curve(1.0)])


def test_a_picture_is_exact_when_small_and_at_most_60_kb_when_not():
    levels = torch.arange(12).reshape(3, 4) / 255
    described, data = record.render(Figure("Dots.", levels))
    assert described == {"alt": "Dots.", "width": 4, "height": 3}
    assert np.array(Image.open(io.BytesIO(data)))[..., 0].tolist() == torch.arange(12).reshape(3, 4).tolist()
    noise = torch.rand(400, 500, 3, generator=torch.Generator().manual_seed(0))
    described, data = record.render(Figure("Noise.", noise))
    assert len(data) <= 60_000
    assert Image.open(io.BytesIO(data)).size == (described["width"], described["height"])


@pytest.fixture
def cached(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(networks, "code_hash", lambda module, *, definition: f"code of {module}.{definition}")
    monkeypatch.setattr(record, "code_hash", lambda module: f"code of {module}")


def test_a_demo_is_measured_over_its_seeds(cached, capsys):
    got, picture = record.measure("toy", toy_demo.DEMO, [0, 3], data="rings", progress=True)
    assert (got["device"], got["data"], got["code"]) == ("cpu", "rings", "code of demos.toy")
    assert (got["parameters"], got["network_evaluations"], got["seeds"]) == (3, 6, [0, 3])
    error = got["claims"][0]
    assert [error[k] for k in ("worst", "worst_seed", "control_best", "control_seed")] == [0.13, 3, 0.2, 3]
    assert error["value"] == pytest.approx(0.115) and not error["holds"], "0.2 is inside the bound"
    assert got["figures"] == [{"file": "toy-rings.webp", "alt": "Dots on a line.", "width": 4, "height": 3}]
    assert picture is not None and Image.open(io.BytesIO(picture)).size == (4, 3)
    line = {"name": "ours", "across": [1, 2], "up": [2.5, 0.5], "sd": [pytest.approx(4.5**0.5, abs=1e-4), 0]}
    assert got["curves"] == [{"name": "slope", "across": "steps", "up": "error", "lines": [line]}]
    assert set(got["versions"]) == {"python", "torch", "numpy"}
    assert "toy: seed 0 done, 1 of 2\n" in capsys.readouterr().err


def test_seconds_are_those_of_the_demo_and_networks_have_their_own(cached):
    first, _ = record.measure("toy", toy_demo.DEMO, [0])
    again, _ = record.measure("toy", toy_demo.DEMO, [0, 1])
    [base], [bases] = first["bases"], again["bases"]
    assert (base["network"], base["loaded"]) == ("toy", 0)
    assert (bases["network"], bases["loaded"]) == ("toy", 1)
    assert base["training_seconds"] > 0 and first["seconds"] >= 0


def test_one_claim_alone(cached):
    got, picture = record.measure("toy", toy_demo.DEMO, [0], claims=["error"])
    assert ([c["name"] for c in got["claims"]], got["figures"], got["bases"], picture) == (["error"], [], [], None)
    assert "curves" not in got
    with pytest.raises(ValueError, match="has no claim"):
        record.measure("toy", toy_demo.DEMO, [0], claims=["nothing"])
    with pytest.raises(ValueError, match="at least one seed"):
        record.measure("toy", toy_demo.DEMO, [])


@pytest.mark.slow
def test_seeds_side_by_side_give_what_they_give_one_after_the_other():
    demo, _ = demos.find("score-matching")
    alone, _ = record.measure("score-matching", demo, [0, 1])
    together, _ = record.measure("score-matching", demo, [0, 1], jobs=2)
    assert together["claims"] == alone["claims"]
