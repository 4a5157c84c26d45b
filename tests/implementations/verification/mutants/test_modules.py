"""Which modules are counted, which tests are theirs, and what is said to a name that means none."""

import pytest

from implementations.verification.code_hash import ROOT, locate
from implementations.verification.mutants.modules import UNCOUNTED, MutantError, every, named, own_tests

METHODS = ["edm", "edm_churn", "flow_matching", "untested"]
OTHERS = ["common/noise", "verification/oracles", "verification/evidence", "lab/data", "demos/edm"]
TESTS = ["edm", "edm_slow", "edm_churn", "edm_churn_slow", "flow_matching", *OTHERS, "verification/oracles_slow"]


@pytest.fixture
def root(tmp_path):
    for name in [*METHODS, *OTHERS]:
        path = tmp_path / "implementations" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        path.with_name("__init__.py").write_text("")
    for name in TESTS:
        path = tmp_path / "tests" / "implementations" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(f"test_{path.name}.py").write_text("")
    return tmp_path


def test_methods_then_common_then_verification_are_counted_if_they_have_tests(root):
    assert every(root) == ["edm", "edm_churn", "flow_matching", "common.noise", "verification.oracles"]


@pytest.mark.parametrize(
    ("module", "tests"),
    [
        ("edm", ["test_edm.py", "test_edm_slow.py"]),
        ("edm_churn", ["test_edm_churn.py", "test_edm_churn_slow.py"]),
        ("common.noise", ["common/test_noise.py"]),
        ("verification.oracles", ["verification/test_oracles.py", "verification/test_oracles_slow.py"]),
        ("untested", []),
    ],
)
def test_tests_mirror_the_package_and_belong_to_the_longest_name_that_fits(root, module, tests):
    folder = root / "tests" / "implementations"
    assert [str(path.relative_to(folder)) for path in own_tests(module, root)] == tests


def test_a_module_may_be_called_by_its_slug_or_its_name_and_twice_is_once(root):
    words = ["flow-matching", "edm", "verification.oracles", "flow_matching", "edm-churn"]
    assert named(words, root) == ["flow_matching", "edm", "verification.oracles", "edm_churn"]
    assert named([], root) == []


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("flow-matchign", "no module flow-matchign: did you mean flow-matching?"),
        ("flowmatching", "no module flowmatching: did you mean flow-matching?"),
        ("noise", "no module noise: did you mean common.noise?"),
        ("verification.oracle", "no module verification.oracle: did you mean verification.oracles?"),
        ("xyz", "no module xyz"),
        ("untested", "no tests for untested: looked for test_untested.py in tests/implementations"),
        ("lab.data", "lab.data is not counted: bugs are planted in methods, common and verification alone"),
        ("demos.edm", "demos.edm is not counted: bugs are planted in methods, common and verification alone"),
        (
            "verification.evidence",
            f"verification.evidence is not counted: {UNCOUNTED['verification.evidence']}",
        ),
        (
            "verification.mutants.run",
            "verification.mutants.run is not counted: it would plant bugs in what plants them",
        ),
    ],
)
def test_a_name_that_means_no_counted_module_is_answered(root, word, said):
    with pytest.raises(MutantError) as caught:
        named(["edm", word], root)
    assert str(caught.value) == said


def test_all_names_that_mean_nothing_are_answered_at_once(root):
    with pytest.raises(MutantError) as caught:
        named(["edn", "edm", "xyz"], root)
    assert str(caught.value).splitlines() == ["no module edn: did you mean edm?", "no module xyz"]


def test_of_this_project_all_three_groups_are_counted_and_what_is_left_out_is_there():
    found = every()
    assert {"ddpm", "common.noise", "verification.oracles"} <= set(found)
    assert not set(found) & set(UNCOUNTED)
    for module in UNCOUNTED:
        assert locate(f"implementations.{module}", ROOT), "or its reason stands for nothing"
