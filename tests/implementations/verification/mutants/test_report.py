"""The row of a module, the file it is kept in, and the tables."""

import json

import pytest
import yaml

from implementations.verification.mutants import report, run
from implementations.verification.mutants.modules import MutantError
from implementations.verification.mutants.plan import plan
from implementations.verification.mutants.recorded import path_of, read
from implementations.verification.mutants.run import Outcome

MISSED = "least: x < top -> x <= top in: if x < top"
FORCED = "least: if x < top -> if True"


@pytest.fixture
def row(project, bugs):
    """Of a run whose outcomes are all known: one pitfall seen, one equivalent, one survivor."""
    bugs(f"""
pitfalls: [{{name: "a factor: doubled", replace: 'return x / 2', by: 'return x * 2'}}]
equivalents: [{{mutant: '{MISSED}', reason: min is symmetric}}]
""")
    job = plan("toy", project)
    known = {name: Outcome("" if name in (MISSED, FORCED) else "t", 0.5) for name in job.planted}
    state = run._state(job, project)
    state.parent.mkdir(parents=True, exist_ok=True)
    lines = [{"key": job.key}, *({"mutant": name, **vars(outcome)} for name, outcome in known.items())]
    state.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ran = run.outcomes(job, root=project)
    assert ran == known, "nothing known is run again"
    assert len(run.outcomes(job, limit=4, root=project)) == 4
    return report.summary(job, ran, project)


def test_a_row_counts_the_outcomes_and_names_what_matters(project, row):
    n = len(plan("toy", project).planted)
    assert row["module"] == "toy"
    assert (row["mutants"], row["equivalent"], row["killed"], row["survived"]) == (n, 1, n - 2, 1)
    assert row["score"] == round((n - 2) / (n - 1), 4)
    assert row["cpu_seconds"] == round(n / 2)
    assert row["survivors"] == [FORCED]
    assert row["pitfalls"] == [{"pitfall": "a factor: doubled", "killed_by": "t"}]
    assert row["equivalents"] == [{"mutant": MISSED, "reason": "min is symmetric"}]


def test_each_module_has_a_file_in_which_each_pitfall_survivor_and_equivalent_has_a_line(project, row):
    long = "a mutant much longer than a line: its words " * 20
    row = {**row, "survivors": [FORCED, long], "survived": 2, "killed": row["killed"] - 1}
    report.record(row, project)
    other = report.record({**row, "module": "common.no_ise"}, project)
    assert other.name == "common.no-ise.bugs.yaml"
    path = path_of("toy", project)
    assert read("toy", project) == row == yaml.safe_load(path.read_text())
    assert path.read_text().splitlines()[9:] == [
        "pitfalls:",
        "- {pitfall: 'a factor: doubled', killed_by: t}",
        "survivors:",
        f"- '{FORCED}'",
        f"- '{long}'",
        "equivalents:",
        f"- {{mutant: '{MISSED}', reason: min is symmetric}}",
    ]
    report.record({**row, "survivors": []}, project)
    assert "\nsurvivors: []\n" in path.read_text()


def test_an_equivalent_that_is_killed_is_a_contradiction(project, bugs):
    name = "half: x / 2 -> x * 2 in: return x / 2"
    bugs(f"equivalents:\n- mutant: '{name}'\n  reason: wrong\n")
    job = plan("toy", project)
    with pytest.raises(MutantError, match=r"killed, so not equivalent: half: .*\(by test_half\)"):
        report.summary(job, {name: Outcome("test_half", 0.1)}, project)


def test_each_group_has_a_table_with_its_own_total_and_there_is_no_other():
    counts = {"mutants": 8, "equivalent": 2, "killed": 5, "survived": 1, "score": 0.8333, "cpu_seconds": 7}
    pitfalls = [{"pitfall": "a", "killed_by": "test_a"}, {"pitfall": "b", "killed_by": "nothing"}]
    other = {"mutants": 4, "equivalent": 0, "killed": 4, "survived": 0, "score": 1.0, "cpu_seconds": 30}
    rows = [
        {"module": "verification.oracles", **other, "pitfalls": []},
        {"module": "toy", **counts, "pitfalls": pitfalls},
        {"module": "able", **other, "pitfalls": pitfalls[:1]},
    ]
    text = report.tables(rows)
    assert len({len(line) for line in text.splitlines() if line}) == 1, "one set of columns"
    assert [line.split() for line in text.splitlines()] == [
        ["methods", "mutants", "equivalent", "killed", "survived", "score", "pitfalls", "CPU", "s"],
        ["toy", "8", "2", "5", "1", "83.3%", "1", "of", "2", "7"],
        ["able", "4", "0", "4", "0", "100.0%", "1", "of", "1", "30"],
        ["all", "methods", "12", "2", "9", "1", "90.0%", "2", "of", "3", "37"],
        [],
        ["verification", "mutants", "equivalent", "killed", "survived", "score", "pitfalls", "CPU", "s"],
        ["verification.oracles", "4", "0", "4", "0", "100.0%", "0", "of", "0", "30"],
        ["all", "verification", "4", "0", "4", "0", "100.0%", "0", "of", "0", "30"],
    ]
