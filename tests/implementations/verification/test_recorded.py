"""What was recorded is as strong as the project asks: ten seeds, four spreads, controls that fail, bugs that show."""

import pytest
import yaml

from implementations.verification import evidence
from implementations.verification.code_hash import ROOT, code_hash
from implementations.verification.mutants.report import REQUIRED

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
    recorded = evidence.read(slug)
    assert recorded is not None, f"run `kb verify {slug} --seeds 10 --record`"
    entries = [entry for entry in recorded["entries"] if entry["device"] == "cpu"]
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
    recorded = yaml.safe_load(evidence.path_of("two-sample").read_text())
    assert recorded["code"] == code_hash("verification.error_rates"), "run `make two-sample`"
    null = recorded["false_alarms"]
    assert null["runs"] >= 200
    assert null["low"] <= recorded["level"] <= null["high"]


@pytest.mark.parametrize("slug", METHODS)
def test_planted_bugs_were_counted_on_the_present_code_and_nearly_all_are_seen(slug):
    method = evidence.module_of(slug)
    rows = yaml.safe_load(evidence.path_of("mutants").read_text())["methods"]
    (row,) = [row for row in rows if row["method"] == method] or [{"code": "none"}]
    assert row["code"] == code_hash(method), f"run `make mutants METHODS={method}`"
    assert row["score"] >= REQUIRED
    assert row["mutants"] == row["killed"] + row["survived"] + row["equivalent"]
    assert row["pitfalls"], "of the field's well-known mistakes, at least one applies"
    assert not [pitfall for pitfall in row["pitfalls"] if pitfall["killed_by"] == "nothing"]
