"""What is planted: the mutants of a module and its pitfalls, and what is said of a file of bugs that does not fit."""

import pytest

from implementations.verification.mutants.modules import MutantError
from implementations.verification.mutants.plan import plan


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("equivalents:\n- {mutant: gone, reason: r}\n", "no such mutant now, remove it: gone"),
        ("pitfalls:\n- {name: p, replace: 'x / 3', by: x}\n", "pitfalls of toy, p: 'x / 3' occurs 0 times"),
        ("pitfalls:\n- {name: p, replace: 'return x', by: x}\n", "occurs 2 times in the source, not once"),
        ("pitfalls:\n- &p {name: p, replace: 'x / 2', by: x}\n- *p\n", "two are named 'p'"),
        ("pitfalls:\n- {name: p, replace: 'x / 2'}\n", r"pitfalls must be a list of \{by, name, replace\}"),
        ("pitfalls:\n- {name: p, replace: 2, by: x}\n", "each of them text"),
        ("equivalents: {mutant: m, reason: r}\n", r"equivalents must be a list of \{mutant, reason\}"),
        ("pitfall: []\n", "bugs/toy.yaml: want the lists pitfalls and equivalents, nothing else"),
        ("- 1\n", "nothing else"),
        ("pitfalls: [\n", "bugs/toy.yaml: not YAML: "),
    ],
)
def test_a_file_of_bugs_that_does_not_fit_is_refused_with_the_reason(project, bugs, text, words):
    bugs(text)
    with pytest.raises(MutantError, match=words):
        plan("toy", project)


def test_pitfalls_are_planted_beside_the_mutants_and_equivalents_have_their_reasons(project, bugs):
    without = plan("toy", project)
    missed = "least: x < top -> x <= top in: if x < top"
    bugs(f"""
pitfalls:
- {{name: double, replace: 'return x / 2', by: 'return x * 2'}}
equivalents:
- {{mutant: '{missed}', reason: 'min is symmetric'}}
""")
    job = plan("toy", project)
    assert job.planted.keys() - without.planted.keys() == {"pitfall: double"}
    assert job.equivalent == {missed: "min is symmetric"}
    line, plant = job.planted["pitfall: double"]
    assert line == 6
    space: dict = {}
    exec(compile(plant(), "toy.py", "exec"), space)
    assert space["half"](4) == 8


def test_an_empty_file_of_bugs_and_none_are_alike(project, bugs):
    without = plan("toy", project)
    bugs("# nothing yet\n")
    assert plan("toy", project).planted.keys() == without.planted.keys()


@pytest.mark.parametrize(
    ("module", "words"), [("nothing", "no module"), ("__init__", "no tests for __init__: looked for test___init__.py")]
)
def test_a_module_without_file_or_tests_is_named(project, module, words):
    with pytest.raises(MutantError, match=words):
        plan(module, project)
