"""The runner on a small project whose tests see some mistakes and miss others, known beforehand."""

import json
import subprocess
import sys

import pytest
import yaml

from implementations.verification import mutants
from implementations.verification.mutants import MutantError, Outcome

TOY = """
FIRST = [1][0]


def half(x):
    return x / 2


def least(x, top):
    if x < top:
        return x
    return top


def count(n):
    m = n
    while m > n - n:
        m -= 1
    return m


def demo():
    return 1 + 1
"""
TESTS = """
import time

import pytest
from implementations import toy

def test_half_by_and_by():
    time.sleep(0.2)
    assert toy.half(4) == 2

def test_half():
    assert toy.half(4) == 2

def test_half_again():
    time.sleep(0.3)
    assert toy.half(4) == 2

def test_least():
    assert toy.least(0.5, 1) == 0.5

def test_count():
    assert toy.count(3) == 0

@pytest.mark.slow
def test_slow():
    assert False
"""
RUN = """
import json, sys
from pathlib import Path
from implementations.verification import mutants as M

root = Path(sys.argv[1])
job = M.plan("toy", root)
_, seconds = M.baseline(job, root)
endless = "count: m -= 1 -> m += 1"
names = [name for name in job.planted if name == endless or not name.startswith("count")]
order = M.Order(seconds, {"half: x / 2 -> x * 2 in: return x / 2": "test_toy.py::test_half_again"})
ran = M.run(job, names, M.Limits(1, 60), 2, root, order)
print(json.dumps({name: outcome.killed_by for name, outcome in ran}))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    (root / "implementations").mkdir()
    (root / "implementations" / "__init__.py").write_text("")
    (root / "implementations" / "toy.py").write_text(TOY)
    (root / "tests" / "implementations").mkdir(parents=True)
    (root / "tests" / "implementations" / "test_toy.py").write_text(TESTS)
    (root / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\naddopts = "--import-mode=importlib"\nmarkers = ["slow: slow"]\n'
    )
    return root


@pytest.fixture
def steering(project):
    """Write a steering file of the project for one test."""
    folder, written = project / "tests" / "implementations", []

    def write(name: str, text: str) -> None:
        written.append(folder / name)
        written[-1].write_text(text)

    yield write
    for path in written:
        path.unlink()


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


def test_the_demo_is_left_alone(found):
    assert not [name for name in found if name.startswith("demo")]


def test_a_run_cut_short_goes_on_where_it_was_and_starts_anew_when_a_test_changes(project):
    job = mutants.plan("toy", project)
    state = mutants._state(job, project)
    state.parent.mkdir(parents=True)
    rows = [
        {"key": job.key},
        {"mutant": "a", "killed_by": "t", "seconds": 1.0},
        {"mutant": "b", "killed_by": "", "seconds": 2.0},
    ]
    state.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"mutant": "c", "kil')
    assert mutants.resume(job, project) == {"a": Outcome("t", 1.0), "b": Outcome("", 2.0)}
    test = job.tests[0]
    test.write_text(TESTS + "\n\ndef test_more():\n    pass\n")
    assert mutants.resume(mutants.plan("toy", project), project) == {}
    mutants.outcomes(mutants.plan("toy", project), limit=0, root=project)
    head, left = mutants._kept(job, project)
    assert (head["killers"], left) == ({"a": "t"}, {}), "what killed a mutant is remembered, though it must run again"
    test.write_text(TESTS)


def test_tests_that_change_during_a_run_make_its_outcomes_void(project):
    job = mutants.plan("toy", project)
    mutants.outcomes(job, limit=0, root=project)
    mutants.unchanged(job, project)
    test = job.tests[0]
    test.write_text(TESTS + "\n\ndef test_broken_for_a_minute():\n    assert False\n")
    with pytest.raises(MutantError, match="changed during the run"):
        mutants.unchanged(job, project)
    test.write_text(TESTS)
    mutants.unchanged(job, project)
    assert mutants._kept(job, project)[0]["key"] != job.key, "nothing is taken from that run, though the text is back"


def test_outcomes_already_known_are_not_run_again_and_the_row_counts_them(project, steering):
    missed = "least: x < top -> x <= top in: if x < top"
    steering("equivalent_mutants.yaml", f"toy:\n- mutant: '{missed}'\n  reason: min is symmetric\n")
    job = mutants.plan("toy", project)
    survived = (missed, "least: if x < top -> if True")
    known = {name: Outcome("" if name in survived else "t", 0.5) for name in job.planted}
    state = mutants._state(job, project)
    state.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"key": job.key}, *({"mutant": name, **vars(outcome)} for name, outcome in known.items())]
    state.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ran = mutants.outcomes(job, root=project)
    assert ran == known
    row = mutants.summary(job, ran, project)
    n = len(job.planted)
    assert (row["mutants"], row["equivalent"], row["killed"], row["survived"]) == (n, 1, n - 2, 1)
    assert row["score"] == round((n - 2) / (n - 1), 4)
    assert row["survivors"] == ["least: if x < top -> if True"]
    assert row["equivalents"] == [{"mutant": missed, "reason": "min is symmetric"}]
    assert row["left_alone"] == [{"function": "demo", "reason": "judged by its claims"}]
    assert len(mutants.outcomes(job, limit=4, root=project)) == 4
    mutants.record(row, project)
    mutants.record({**row, "method": "another"}, project)
    path = mutants.record({**row, "score": 1.0}, project)
    table = yaml.safe_load(path.read_text())["methods"]
    assert [(one["method"], one["score"]) for one in table] == [("another", row["score"]), ("toy", 1.0)]


def test_an_equivalent_that_is_killed_is_a_contradiction(project, steering):
    name = "half: x / 2 -> x * 2 in: return x / 2"
    steering("equivalent_mutants.yaml", f"toy:\n- mutant: '{name}'\n  reason: wrong\n")
    job = mutants.plan("toy", project)
    with pytest.raises(MutantError, match=r"killed, so not equivalent: half: .*\(by test_half\)"):
        mutants.summary(job, {name: Outcome("test_half", 0.1)}, project)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("equivalent_mutants.yaml", "toy:\n- {mutant: gone, reason: r}\n", "no such mutant now, remove it: gone"),
        ("pitfalls.yaml", "toy:\n- {name: p, replace: 'x / 3', by: x}\n", "occurs 0 times in toy.py, not once"),
        ("pitfalls.yaml", "toy:\n- {name: p, replace: 'return x', by: x}\n", "occurs 2 times"),
    ],
)
def test_steering_that_no_longer_fits_is_refused(project, steering, name, text, words):
    steering(name, text)
    with pytest.raises(MutantError, match=words):
        mutants.plan("toy", project)


def test_pitfalls_and_unreached_functions_steer_the_plan(project, steering):
    steering("pitfalls.yaml", "toy:\n- {name: double, replace: 'return x / 2', by: 'return x * 2'}\n")
    steering("unreached.yaml", "toy: {count: loops}\n")
    job = mutants.plan("toy", project)
    assert not [name for name in job.planted if name.startswith("count")]
    line, plant = job.planted["pitfall: double"]
    assert line == 6
    space: dict = {}
    exec(compile(plant(), "toy.py", "exec"), space)
    assert space["half"](4) == 8


@pytest.mark.parametrize(("method", "words"), [("nothing", "no module"), ("__init__", "no tests")])
def test_a_method_without_file_or_tests_is_named(project, method, words):
    with pytest.raises(MutantError, match=words):
        mutants.plan(method, project)


def test_every_method_with_tests_is_found(project):
    package, tests = project / "implementations", project / "tests" / "implementations"
    (package / "untested.py").write_text("")
    (package / "common").mkdir()
    (package / "common" / "noise.py").write_text("")
    (package / "able.py").write_text("")
    (tests / "test_able.py").write_text("")
    assert mutants.every(project) == ["able", "toy", "common.noise"]


def test_the_table_has_a_line_for_each_method_and_one_for_all():
    counts = {"mutants": 8, "equivalent": 2, "killed": 5, "survived": 1, "score": 0.8333, "cpu_seconds": 7}
    pitfalls = [{"pitfall": "a", "killed_by": "test_a"}, {"pitfall": "b", "killed_by": "nothing"}]
    other = {"mutants": 4, "equivalent": 0, "killed": 4, "survived": 0, "score": 1.0, "cpu_seconds": 30}
    rows = [{"method": "toy", **counts, "pitfalls": pitfalls}, {"method": "able", **other, "pitfalls": []}]
    lines = [line.split() for line in mutants.table(rows).splitlines()]
    assert lines[1] == ["toy", "8", "2", "5", "1", "83.3%", "1", "of", "2", "7"]
    assert lines[2] == ["able", "4", "0", "4", "0", "100.0%", "0", "of", "0", "30"]
    assert lines[3] == ["all", "12", "2", "9", "1", "90.0%", "37"]


def test_a_method_that_cannot_be_judged_does_not_stop_the_others(capsys):
    assert mutants.main(["nothing", "neither", "--list"]) == 2
    said = capsys.readouterr().err
    assert "no module implementations.nothing" in said and "no module implementations.neither" in said
