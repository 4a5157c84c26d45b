"""kb new-method writes files that parse, are laid out, obey the rooms, and takes nothing away."""

import ast
import subprocess
import sys

import pytest
import yaml

from kb_tools.methods.layers import strangers


@pytest.fixture
def collection(make, record):
    made = make(
        record(
            "new-idea", title='A "new" \\ idea', authors=["Ada Roe", "Bo Doe"], venue="ICML 2031", arxiv="2001.00001"
        ),
        record("blog-post", kind="blog"),
    )
    for folder in ("implementations/demos", "tests/implementations/bugs"):
        (made.root / folder).mkdir(parents=True)
    return made


FILES = {
    "implementations/new_idea.py": "methods",
    "implementations/demos/new_idea.py": "demos",
    "tests/implementations/test_new_idea.py": None,
    "tests/implementations/bugs/new-idea.yaml": None,
}


def test_all_files_are_written_and_the_record_names_the_method(collection, kb):
    done = kb(collection, "new-method", "new-idea")
    assert done.code == 0
    for name, room in FILES.items():
        text = (collection.root / name).read_text()
        assert "$" not in text
        if name.endswith(".py"):
            tree = ast.parse(text)
            assert room is None or list(strangers(tree, room)) == []
        else:
            assert yaml.safe_load(text) == {"pitfalls": [], "equivalents": []}
    assert "implementation: new_idea\n" in (collection.papers / "new-idea.yaml").read_text()
    method = (collection.root / "implementations/new_idea.py").read_text()
    assert method.startswith('"""A \'new\'  idea.\n\nRoe & Doe, ICML 2031. arXiv:2001.00001')
    assert "kb check new-idea" in done.err


def test_what_is_written_is_laid_out_and_has_no_unused_name(collection, kb):
    kb(collection, "new-method", "new-idea")
    for command in (["check", "--select", "E,F,W,UP,B"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--line-length", "120", "--no-cache", str(collection.root)],
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout


def test_files_that_are_there_are_left_alone(collection, kb):
    path = collection.root / "implementations" / "new_idea.py"
    path.write_text("mine = 1\n")
    assert kb(collection, "new-method", "new-idea").code == 0
    assert path.read_text() == "mine = 1\n"
    assert all((collection.root / name).is_file() for name in FILES)
    again = kb(collection, "new-method", "new-idea")
    assert (again.code, "has all files" in again.err) == (6, True)


def test_a_dry_run_shows_it_and_writes_nothing(collection, kb):
    before = sorted(collection.root.rglob("*"))
    done = kb(collection, "new-method", "new-idea", "--dry-run")
    assert (
        done.code == 0 and "+++ b/implementations/new_idea.py" in done.out and "+implementation: new_idea" in done.out
    )
    assert [p for p in sorted(collection.root.rglob("*")) if ".kb" not in p.parts] == [
        p for p in before if ".kb" not in p.parts
    ]


def test_a_stub_is_filled_first(collection, kb, make, record):
    stub = make(record("stub", authors=None, title="arXiv:2001.00002"))
    told = kb(stub, "new-method", "stub")
    assert (told.code, "kb edit stub" in told.err) == (2, True)


def test_what_cannot_have_a_method_is_told_why(collection, kb):
    assert kb(collection, "new-method", "blog-post").code == 2
    missing = kb(collection, "new-method", "nothing-like-it-at-all")
    assert (missing.code, "--slug nothing-like-it-at-all" in missing.err) == (3, True)
    (collection.root / "implementations" / "demos").rmdir()
    assert kb(collection, "new-method", "new-idea").code == 2
