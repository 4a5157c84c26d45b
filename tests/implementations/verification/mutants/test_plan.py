"""What is planted: the mutants of a module and its pitfalls, steered by files beside its tests."""

import pytest

from implementations.verification.mutants.plan import MutantError, every, plan


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
        plan("toy", project)


def test_pitfalls_and_unreached_functions_steer_the_plan(project, steering):
    steering("pitfalls.yaml", "toy:\n- {name: double, replace: 'return x / 2', by: 'return x * 2'}\n")
    steering("unreached.yaml", "toy: {count: loops}\n")
    job = plan("toy", project)
    assert not [name for name in job.planted if name.startswith("count")]
    line, plant = job.planted["pitfall: double"]
    assert line == 6
    space: dict = {}
    exec(compile(plant(), "toy.py", "exec"), space)
    assert space["half"](4) == 8


@pytest.mark.parametrize(("method", "words"), [("nothing", "no module"), ("__init__", "no tests")])
def test_a_method_without_file_or_tests_is_named(project, method, words):
    with pytest.raises(MutantError, match=words):
        plan(method, project)


def test_every_method_with_tests_is_found(project):
    package, tests = project / "implementations", project / "tests" / "implementations"
    (package / "untested.py").write_text("")
    (package / "common").mkdir()
    (package / "common" / "noise.py").write_text("")
    (package / "able.py").write_text("")
    (tests / "test_able.py").write_text("")
    assert every(project) == ["able", "toy", "common.noise"]
