"""The row of a module, what is kept of it, and the table."""

import json

import pytest
import yaml

from implementations.verification.mutants import report, run
from implementations.verification.mutants.plan import MutantError, plan
from implementations.verification.mutants.run import Outcome


def test_outcomes_already_known_are_not_run_again_and_the_row_counts_them(project, steering):
    missed = "least: x < top -> x <= top in: if x < top"
    steering("equivalent_mutants.yaml", f"toy:\n- mutant: '{missed}'\n  reason: min is symmetric\n")
    job = plan("toy", project)
    survived = (missed, "least: if x < top -> if True")
    known = {name: Outcome("" if name in survived else "t", 0.5) for name in job.planted}
    state = run._state(job, project)
    state.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"key": job.key}, *({"mutant": name, **vars(outcome)} for name, outcome in known.items())]
    state.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ran = run.outcomes(job, root=project)
    assert ran == known
    row = report.summary(job, ran, project)
    n = len(job.planted)
    assert (row["mutants"], row["equivalent"], row["killed"], row["survived"]) == (n, 1, n - 2, 1)
    assert row["score"] == round((n - 2) / (n - 1), 4)
    assert row["survivors"] == ["least: if x < top -> if True"]
    assert row["equivalents"] == [{"mutant": missed, "reason": "min is symmetric"}]
    assert row["left_alone"] == [{"function": "demo", "reason": "judged by its claims"}]
    assert len(run.outcomes(job, limit=4, root=project)) == 4
    report.record(row, project)
    report.record({**row, "method": "another"}, project)
    path = report.record({**row, "score": 1.0}, project)
    table = yaml.safe_load(path.read_text())["methods"]
    assert [(one["method"], one["score"]) for one in table] == [("another", row["score"]), ("toy", 1.0)]


def test_an_equivalent_that_is_killed_is_a_contradiction(project, steering):
    name = "half: x / 2 -> x * 2 in: return x / 2"
    steering("equivalent_mutants.yaml", f"toy:\n- mutant: '{name}'\n  reason: wrong\n")
    job = plan("toy", project)
    with pytest.raises(MutantError, match=r"killed, so not equivalent: half: .*\(by test_half\)"):
        report.summary(job, {name: Outcome("test_half", 0.1)}, project)


def test_the_table_has_a_line_for_each_method_and_one_for_all():
    counts = {"mutants": 8, "equivalent": 2, "killed": 5, "survived": 1, "score": 0.8333, "cpu_seconds": 7}
    pitfalls = [{"pitfall": "a", "killed_by": "test_a"}, {"pitfall": "b", "killed_by": "nothing"}]
    other = {"mutants": 4, "equivalent": 0, "killed": 4, "survived": 0, "score": 1.0, "cpu_seconds": 30}
    rows = [{"method": "toy", **counts, "pitfalls": pitfalls}, {"method": "able", **other, "pitfalls": []}]
    lines = [line.split() for line in report.table(rows).splitlines()]
    assert lines[1] == ["toy", "8", "2", "5", "1", "83.3%", "1", "of", "2", "7"]
    assert lines[2] == ["able", "4", "0", "4", "0", "100.0%", "0", "of", "0", "30"]
    assert lines[3] == ["all", "12", "2", "9", "1", "90.0%", "37"]
