"""Runs, claims, and what a demo's frame does for it."""

import dataclasses
import math
from typing import Any, cast

import pytest
import torch

from implementations.lab import networks
from implementations.lab.demo import Claim, Run, name_of, once
from implementations.lab.perform import perform
from tests.implementations.lab import toy_demo
from tests.implementations.lab.toy_demo import DEMO


@pytest.fixture(autouse=True)
def _away(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(networks, "code_hash", lambda module, *, definition: f"code of {module}.{definition}")
    toy_demo.trainings.clear()


def test_once_knows_a_question_again_however_it_is_put():
    asked = []

    @once
    def samples(run: Run, steps: int = 10, *, eta: float = 0.0) -> list[float]:
        asked.append((run.seed, steps, eta))
        return [steps, eta]

    run = Run()
    first = samples(run)
    assert all(again is first for again in (samples(run, 10), samples(run, steps=10, eta=0.0), samples(run, eta=0.0)))
    assert asked == [(0, 10, 0.0)]
    assert samples(run, 10, eta=1.0) == [10, 1.0]
    assert samples(Run(seed=3)) is not first
    assert asked[1:] == [(0, 10, 1.0), (3, 10, 0.0)]
    assert samples.__name__ == "samples"


def test_once_remembers_nothing_of_what_failed():
    asked = []

    @once
    def broken(run):
        asked.append(run)
        raise ValueError("no")

    run = Run()
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            broken(run)
    assert len(asked) == 2


def test_a_run_is_frozen_and_compares_by_its_options():
    assert Run(seed=1) == Run(seed=1) != Run(seed=2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        cast(Any, Run()).seed = 3
    assert Run(seed=4, device="cpu").training == {
        "device": "cpu", "seed": 4, "out": None, "resume": False, "progress": False,
    }  # fmt: skip


def test_a_run_has_the_demos_data_and_steps_unless_others_are_said():
    assert (DEMO.run().data, DEMO.run().steps) == ("dots", 3)
    assert (DEMO.run(data="rings", steps=5, seed=2).data, DEMO.run(steps=5).steps) == ("rings", 5)
    with pytest.raises(ValueError, match="data must be 'dots' or 'rings' here, not 'mnist'"):
        DEMO.run(data="mnist")
    with pytest.raises(ValueError, match="steps must be at least 1, not 0"):
        DEMO.run(steps=0)


@pytest.mark.parametrize(
    ("value", "control", "relation", "holds"),
    [(0.1, 0.9, "<=", True), (0.6, 0.9, "<=", False), (0.1, 0.4, "<=", False), (0.9, 0.1, ">=", True),
     (0.5, 0.6, "<=", True), (0.5, 0.5, "<=", False), (math.nan, 0.9, "<=", False), (0.1, math.nan, "<=", True)],
)  # fmt: skip
def test_a_claim_holds_when_its_value_is_inside_the_bound_and_its_control_is_not(value, control, relation, holds):
    claim = Claim("", value, 0.5, relation, control, "", "")
    assert claim.holds is holds


def test_the_frame_names_counts_and_times_what_a_demo_made():
    result = perform("toy-demo", DEMO, DEMO.run(seed=2))
    assert [claim.name for claim in result.claims] == ["error", "weight-left"]
    assert [figure.name for figure in result.figures] == ["toy-demo", "toy-demo-more"]
    assert [(curve.name, curve.lines["ours"]) for curve in result.curves] == [("slope", ([1, 2], [3.0, 0.5]))]
    assert (result.parameters, result.network_evaluations, len(result.losses)) == (3, 6, 3)
    assert {name: tuple(w.shape) for name, w in result.weights.items()} == {"weight": (1, 2), "bias": (1,)}
    assert result.seconds > 0 and len(toy_demo.trainings) == 1


def test_networks_of_several_names_keep_them_in_their_weights():
    several = dataclasses.replace(DEMO, network=lambda run: {"a": toy_demo.network(run), "b": toy_demo.network(run)})
    result = perform("toy", several, several.run())
    assert sorted(result.weights) == ["a.bias", "a.weight", "b.bias", "b.weight"]
    assert result.parameters == 6


def test_one_claim_alone_does_nothing_that_it_does_not_need():
    result = perform("toy", DEMO, DEMO.run(), ["error"])
    assert [claim.name for claim in result.claims] == ["error"]
    assert result.figures == result.curves == [] and result.weights == {} and toy_demo.trainings == []
    with pytest.raises(ValueError, match="toy has no claim 'eror': it has error, weight-left"):
        perform("toy", DEMO, DEMO.run(), ["eror"])


def test_progress_says_what_is_being_done(capsys):
    perform("toy", DEMO, DEMO.run(progress=True))
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if line.startswith("toy:")] == [
        "toy: claim error", "toy: claim weight-left", "toy: figure dots", "toy: figure more",
        "toy: curve slope",
    ]  # fmt: skip


def test_small_data_run_on_one_thread_and_the_callers_number_comes_back():
    seen = []

    def threads(run):
        seen.append(torch.get_num_threads())
        return toy_demo.error(run)

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        perform("toy", dataclasses.replace(DEMO, claims=(threads,)), DEMO.run())
        assert (seen, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)


def test_names_are_those_of_functions_with_dashes():
    assert name_of(toy_demo.weight_left) == "weight-left"
