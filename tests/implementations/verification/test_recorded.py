"""What was recorded is as strong as the project asks: ten seeds, four spreads, controls that fail, bugs that show."""

import pytest
import yaml

from implementations.verification import evidence
from implementations.verification.code_hash import ROOT, code_hash
from implementations.verification.mutants import recorded

METHODS = sorted(
    path.stem.replace("_", "-")
    for path in (ROOT / "implementations").glob("[a-z]*.py")
    if "def demo(" in path.read_text()
)
CLAIMS = [
    pytest.param(claim, id=f"{slug}-{claim['name']}")
    for slug in METHODS
    for entry in (evidence.read(slug) or {"entries": []})["entries"]
    if entry["device"] == "cpu"
    for claim in entry["claims"]
]


@pytest.mark.parametrize("slug", METHODS)
def test_a_method_was_run_on_ten_seeds_and_its_demo_takes_forty_seconds_at_most(slug):
    found = evidence.read(slug)
    assert found is not None, f"run `kb verify {slug} --seeds 10 --record`"
    entries = [entry for entry in found["entries"] if entry["device"] == "cpu"]
    assert entries
    for entry in entries:
        assert len(set(entry["seeds"])) >= 10
        assert entry["seconds"] <= 40


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_bound_lies_four_spreads_from_the_honest_value_and_every_control_beyond_it(claim):
    towards = 1 if claim["relation"] == "<=" else -1
    assert towards * (claim["bound"] - claim["value"]) >= 4 * claim["sd"]
    assert towards * (claim["bound"] - claim["worst"]) >= 0
    assert towards * (claim["control_best"] - claim["bound"]) > 0, "the control that came nearest"


def test_the_two_sample_test_was_measured_on_its_present_code_and_keeps_to_its_level():
    measured = yaml.safe_load(evidence.path_of("two-sample").read_text())
    assert measured["code"] == code_hash("verification.error_rates"), "run `make two-sample`"
    null = measured["false_alarms"]
    assert null["runs"] >= 200
    assert null["low"] <= measured["level"] <= null["high"]


@pytest.mark.parametrize("slug", METHODS)
def test_planted_bugs_were_counted_on_the_present_code_and_nearly_all_are_seen(slug):
    method = evidence.module_of(slug)
    assert recorded.stale(method) is None
    assert recorded.weak(method) == []
