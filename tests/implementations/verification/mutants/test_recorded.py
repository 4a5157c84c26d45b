"""What was counted is read back, says when it is old, and says what is not enough."""

import subprocess
import sys

import pytest

from implementations.verification.code_hash import code_hash
from implementations.verification.mutants import recorded
from implementations.verification.mutants.recorded import RecordedError
from implementations.verification.mutants.report import record

REMEDY = "run `make mutants METHODS=toy-method`"
SEEN = {"pitfall": "a sign", "killed_by": "test_a"}


@pytest.fixture
def root(tmp_path):
    package = tmp_path / "implementations"
    package.mkdir()
    (package / "toy_method.py").write_text("X = 1\n")
    return tmp_path


def row(root, **changes) -> dict:
    return {
        "module": "toy_method",
        "recorded": "2026-11-25",
        "code": code_hash("toy_method", root),
        "mutants": 21,
        "equivalent": 1,
        "killed": 19,
        "survived": 1,
        "score": 0.95,
        "cpu_seconds": 3,
        "pitfalls": [SEEN],
        "survivors": ["f: a -> b"],
        "equivalents": [{"mutant": "f: 1 -> 2", "reason": "r"}],
        **changes,
    }


def test_what_is_recorded_is_read(root):
    assert recorded.read("toy_method", root) is None
    record(row(root), root)
    assert recorded.read("toy_method", root) == row(root)
    assert recorded.path_of("toy_method", root).name == "toy-method.bugs.yaml"


def test_a_row_grows_old_with_the_code_alone(root):
    assert recorded.stale("toy_method", root) == f"no planted bugs were counted for toy-method: {REMEDY}"
    record(row(root), root)
    assert recorded.stale("toy_method", root) is None
    module = root / "implementations" / "toy_method.py"
    module.write_text("# a word\nX = 1\n")
    assert recorded.stale("toy_method", root) is None
    module.write_text("X = 2\n")
    said = f"planted bugs were counted on other code than toy-method has now: {REMEDY}"
    assert recorded.stale("toy_method", root) == said


@pytest.mark.parametrize(
    "text",
    [
        "module: [",
        "- 1",
        "",
        "{line}module: other",
        "{line}killed: 18",
        "{line}killed: true",
        "{line}score: high",
        "{line}code: 1",
        "{line}pitfalls: {{}}",
        "{line}pitfalls: [a]",
        "{line}survivors: null",
    ],
)
def test_a_file_that_no_run_wrote_is_named_with_its_remedy_and_counts_as_nothing_known(root, text):
    path = record(row(root), root)
    path.write_text(text.format(line=path.read_text()) + "\n")
    with pytest.raises(RecordedError, match=r"toy-method\.bugs\.yaml is not "):
        recorded.read("toy_method", root)
    said = recorded.stale("toy_method", root)
    assert said is not None
    assert said.startswith("toy-method.bugs.yaml is not ") and said.endswith(f": {REMEDY}")
    assert recorded.weak("toy_method", root) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"score": 0.9499}, ["94.99% of the planted bugs are seen, fewer than 95%"]),
        ({"score": 0.8452}, ["84.52% of the planted bugs are seen, fewer than 95%"]),
        ({"pitfalls": []}, ["no pitfall is listed: of the field's well-known mistakes, at least one applies"]),
        ({"pitfalls": [SEEN, {"pitfall": "a root", "killed_by": "nothing"}]}, ["no test sees the pitfall 'a root'"]),
    ],
)
def test_what_is_not_enough_is_said(root, changes, said):
    assert recorded.weak("toy_method", root) == []
    record(row(root, **changes), root)
    assert recorded.weak("toy_method", root) == said


def test_what_no_paper_owns_may_do_without_pitfalls(root):
    assert recorded.shortcomings(row(root, module="common.noise", pitfalls=[])) == []


def test_asking_imports_neither_torch_nor_pytest():
    code = """
import sys
from implementations.verification.mutants import recorded
recorded.stale("ddpm"), recorded.weak("ddpm")
print([name in sys.modules for name in ("torch", "numpy", "pytest")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[False, False, False]"
