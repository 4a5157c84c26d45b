"""The hash moves with the code, of the module or of anything it imports, and with nothing else."""

import subprocess
import sys

import pytest

from implementations.verification.code_hash import closure, code_hash, essence, locate

FILES = {
    "__init__.py": "",
    "common/__init__.py": "",
    "common/noise.py": "import math\nSCALE = 1\n",
    "dpm.py": "from implementations.common import noise\n\n\ndef f():\n    return noise.SCALE\n",
    "ddpm.py": '"""Doc."""\n\nfrom implementations.dpm import f  # Eq. 1\n\nX = f()\n',
    "other.py": "Y = 1\n",
}


@pytest.fixture
def root(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / "implementations" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_the_closure_is_what_an_import_runs(root):
    found = closure(locate("implementations.ddpm", root), root)
    assert set(found) == {f"implementations{m}" for m in ("", ".dpm", ".common", ".common.noise")}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("ddpm.py", '"""Doc."""\n\nfrom implementations.dpm import f\n\nX = f() + 1\n'),
        ("dpm.py", FILES["dpm.py"].replace("SCALE", "SCALE * 2")),
        ("common/noise.py", "import math\nSCALE = 2\n"),
        ("common/__init__.py", "LEVEL = 1\n"),
        ("dpm.py", FILES["dpm.py"].replace("return", "import implementations.other\n    return")),
    ],
)
def test_a_change_of_code_anywhere_below_changes_the_hash(root, file, text):
    before = code_hash("ddpm", root)
    (root / "implementations" / file).write_text(text)
    assert code_hash("ddpm", root) != before


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("ddpm.py", '"""Other\n\n# words."""\nfrom implementations.dpm import f\nX = f()  # Eq. 2\n\n'),
        ("other.py", "Y = 2\n"),
    ],
)
def test_words_and_strangers_do_not_change_the_hash(root, file, text):
    before = code_hash("ddpm", root)
    (root / "implementations" / file).write_text(text)
    assert code_hash("ddpm", root) == before


USED = """import implementations.other as stranger
from implementations.common import noise

DIRECT = INNER = noise.SCALE


def f():
    from implementations.other import Y

    return helper() + Y


def helper():
    return INNER


def unused():
    return stranger.Z


class Unused:
    pass
"""


@pytest.mark.parametrize(
    ("file", "old", "new", "counts"),
    [
        ("dpm.py", "return stranger.Z", "return 2", False),
        ("dpm.py", "    pass", "    x = 1", False),
        ("dpm.py", "return INNER", "return 2 * INNER", True),  # used by what is used
        ("dpm.py", "noise.SCALE", "noise.OTHER", True),  # a constant that is used
        ("dpm.py", "class Unused", "print('imported')\n\n\nclass Unused", True),  # importing runs it
        ("other.py", "Y = 1", "Y = 2", True),  # imported where it is used
        ("other.py", "Z = 3", "Z = 4", False),
        ("common/noise.py", "SCALE = 1", "SCALE = 2", True),
        ("common/noise.py", "OTHER = 5", "OTHER = 6", False),
    ],
)
def test_of_what_is_imported_only_what_is_used_counts(root, file, old, new, counts):
    package = root / "implementations"
    (package / "dpm.py").write_text(USED)
    (package / "other.py").write_text("Y = 1\nZ = 3\n")
    (package / "common" / "noise.py").write_text("SCALE = 1\nOTHER = 5\n")
    before = code_hash("ddpm", root)
    text = (package / file).read_text()
    assert text.count(old) == 1
    (package / file).write_text(text.replace(old, new))
    assert (code_hash("ddpm", root) != before) == counts


def test_of_the_module_itself_everything_counts(root):
    path = root / "implementations" / "ddpm.py"
    before = code_hash("ddpm", root)
    path.write_text(FILES["ddpm.py"] + "\n\ndef unused():\n    return 1\n")
    assert code_hash("ddpm", root) != before


def test_the_place_of_the_checkout_does_not_matter(root, tmp_path_factory):
    moved = tmp_path_factory.mktemp("moved")
    (root / "implementations").rename(moved / "implementations")
    before = code_hash("ddpm", moved)
    (moved / "implementations").rename(root / "implementations")
    assert code_hash("ddpm", root) == before


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ('x = "# no comment"  # comment\n', b'x = "# no comment"'),
        ('x = f"{1} # {2:#x}"  # é # two\n', b'x = f"{1} # {2:#x}"'),
        ('y = """a\n# inside\n"""\n', b'y = """a\n# inside\n"""'),
        ('def f():\n    """Doc # not a comment."""\n    return "#"\n', b'def f():\n    return "#"'),
        ('class A:\n    """Doc."""\n\n    x = 1\n    """Not a docstring of Python\'s."""\n', None),
    ],
)
def test_only_comments_and_docstrings_go(source, kept):
    left = essence(source)
    if kept is not None:
        assert left == kept
    else:
        assert b"Doc." not in left
        assert b"Not a docstring" in left


def test_a_missing_module_is_named(root):
    with pytest.raises(FileNotFoundError, match=r"no module implementations\.nothing .* implementations/nothing\.py"):
        code_hash("nothing", root)


def test_reading_evidence_imports_no_torch():
    code = (
        "import sys, implementations.verification.evidence.store; print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_what_only_the_command_imports_does_not_count(root):
    path = root / "implementations" / "ddpm.py"
    before = code_hash("ddpm", root)
    command = 'if __name__ == "__main__":\n    from implementations.other import Y\n'
    path.write_text(FILES["ddpm.py"] + command)
    assert "implementations.other" not in closure(path, root)
    (root / "implementations" / "other.py").write_text("Y = 2\n")
    with_command = code_hash("ddpm", root)
    assert with_command != before
    (root / "implementations" / "other.py").write_text("Y = 3\n")
    assert code_hash("ddpm", root) == with_command
