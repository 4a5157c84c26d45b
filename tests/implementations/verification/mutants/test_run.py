"""The runner on a small project: what is killed, by which test, and what is known of an earlier run."""

import json
import subprocess
import sys

import pytest

from implementations.verification.mutants import run
from implementations.verification.mutants.plan import MutantError, plan
from implementations.verification.mutants.run import Outcome

RUN = """
import json, sys
from pathlib import Path
from implementations.verification.mutants import run as R
from implementations.verification.mutants.plan import plan

root = Path(sys.argv[1])
job = plan("toy", root)
_, seconds = R.baseline(job, root)
endless = "count: m -= 1 -> m += 1"
names = [name for name in job.planted if name == endless or not name.startswith("count")]
order = R.Order(seconds, {"half: x / 2 -> x * 2 in: return x / 2": "test_toy.py::test_half_again"})
ran = R.run(job, names, R.Limits(1, 60), 2, root, order)
print(json.dumps({name: outcome.killed_by for name, outcome in ran}))
"""


@pytest.fixture(scope="module")
def found(project):
    before = {p: p.read_bytes() for p in project.rglob("*.py")}
    done = subprocess.run([sys.executable, "-c", RUN, str(project)], capture_output=True, text=True, check=True)
    assert {p: p.read_bytes() for p in project.rglob("*.py")} == before
    return json.loads(done.stdout.splitlines()[-1])


def test_the_mutants_that_the_tests_see_are_killed_by_the_test_that_sees_them(found):
    assert found["half: x / 2 -> x in: return x / 2"] == "test_toy.py::test_half"
    assert found["least: if x < top -> if False"] == "test_toy.py::test_least"
    assert found["least: x < top -> x > top in: if x < top"] == "test_toy.py::test_least"
    assert found["module: 0 -> 1 in: FIRST = [1][0]"] == "import"


def test_the_test_that_killed_a_mutant_before_goes_first_then_the_quick_ones(found):
    assert found["half: x / 2 -> x * 2 in: return x / 2"] == "test_toy.py::test_half_again"
    assert found["half: x / 2 -> x in: return x / 2"] == "test_toy.py::test_half", "written after a slow one"


def test_the_mutants_that_the_tests_miss_survive(found):
    survivors = {name for name, killed_by in found.items() if not killed_by}
    assert survivors == {
        "least: if x < top -> if True",
        "least: x < top -> x <= top in: if x < top",
        "module: 0 -> -1 in: FIRST = [1][0]",
        "module: 1 -> 2 in: FIRST = [1][0]",
        "module: 1 -> 0 in: FIRST = [1][0]",
    }


def test_a_mutant_that_never_ends_is_ended(found):
    assert found["count: m -= 1 -> m += 1"] == "time limit"


def test_a_run_cut_short_goes_on_where_it_was_and_starts_anew_when_a_test_changes(project):
    job = plan("toy", project)
    state = run._state(job, project)
    state.parent.mkdir(parents=True)
    rows = [
        {"key": job.key},
        {"mutant": "a", "killed_by": "t", "seconds": 1.0},
        {"mutant": "b", "killed_by": "", "seconds": 2.0},
    ]
    state.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"mutant": "c", "kil')
    assert run.resume(job, project) == {"a": Outcome("t", 1.0), "b": Outcome("", 2.0)}
    test = job.tests[0]
    before = test.read_text()
    test.write_text(before + "\n\ndef test_more():\n    pass\n")
    assert run.resume(plan("toy", project), project) == {}
    run.outcomes(plan("toy", project), limit=0, root=project)
    head, left = run._kept(job, project)
    assert (head["killers"], left) == ({"a": "t"}, {}), "what killed a mutant is remembered, though it must run again"
    test.write_text(before)


def test_tests_that_change_during_a_run_make_its_outcomes_void(project):
    job = plan("toy", project)
    run.outcomes(job, limit=0, root=project)
    run.unchanged(job, project)
    test = job.tests[0]
    before = test.read_text()
    test.write_text(before + "\n\ndef test_broken_for_a_minute():\n    assert False\n")
    with pytest.raises(MutantError, match="changed during the run"):
        run.unchanged(job, project)
    test.write_text(before)
    run.unchanged(job, project)
    assert run._kept(job, project)[0]["key"] != job.key, "nothing is taken from that run, though the text is back"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("tests/implementations/bugs/toy.yaml", "pitfalls:\n- {name: p, replace: 'x / 2', by: x}\n"),
        ("tests/implementations/helper.py", "X = 1\n"),
        ("tests/implementations/conftest.py", "X = 1\n"),
        ("tests/implementations/test_toy_more.py", "def test_more():\n    pass\n"),
    ],
)
def test_whatever_an_outcome_depends_on_is_part_of_the_key(project, file, text):
    before, path = plan("toy", project).key, project / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    after = plan("toy", project).key
    path.write_text(text.replace("x}", "x + 1}").replace("1\n", "2\n").replace("pass", "assert True"))
    third = plan("toy", project).key
    path.unlink()
    assert len({before, after, third}) == 3
    assert plan("toy", project).key == before


def test_what_no_outcome_depends_on_is_not_part_of_the_key(project, bugs):
    before = plan("toy", project).key
    bugs("equivalents:\n- {mutant: 'count: m -= 1 -> m += 1', reason: r}\n")
    assert plan("toy", project).key == before
