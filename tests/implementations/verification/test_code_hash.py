"""The hash moves with the code, of the module or of anything it imports, and with nothing else."""

import ast
import shutil
import subprocess
import sys

import pytest

from implementations.demos import SHARED
from implementations.verification.code_hash import ROOT, canonical, closure, code_hash, locate

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
    path = locate("implementations.ddpm", root)
    assert path is not None
    found = closure(path, root)
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


def test_what_a_module_only_hands_on_counts_where_it_is_defined(root):
    package = root / "implementations"
    (package / "other.py").write_text("def far():\n    return 1\n\n\ndef unused():\n    return 1\n")
    (package / "dpm.py").write_text("from implementations.other import far\n")
    (package / "ddpm.py").write_text("from implementations.dpm import far\n\nX = far()\n")
    before = code_hash("ddpm", root)
    path = package / "other.py"
    path.write_text(path.read_text().replace("def unused():\n    return 1", "def unused():\n    return 2"))
    assert code_hash("ddpm", root) == before
    path.write_text(path.read_text().replace("def far():\n    return 1", "def far():\n    return 2"))
    assert code_hash("ddpm", root) != before


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


def same(one: str, other: str) -> bool:
    return canonical(ast.parse(one)) == canonical(ast.parse(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('x = "# no comment"  # comment\n', 'x = "# no comment"'),
        ("y = f(a, b)\n", "y = f(\n    a,  # why\n    b,\n)\n"),
        ("y = a + b\n", "y = (\n    a\n    + b\n)\n"),
        ('z = "one two"\n', 'z = (\n    "one "\n    "two"\n)\n'),
        ('def f():\n    """Doc # not a comment."""\n    return "#"\n', 'def f():\n    return "#"\n'),
        ('class A:\n    """Doc."""\n\n    x = 1\n    """Of x."""\n', "class A:\n    x = 1\n"),
        ('K = 1\n"""What K is."""\n', "K = 1\n"),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(one, other):
    assert same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1\n", "x = 2\n"),
        ("x = 1\n", "x = 1.0\n"),
        ("x = 1\n", "x = True\n"),
        ('x = "a"\n', 'x = b"a"\n'),
        ("x = None\n", "x = 0\n"),
        ("x = a - b\n", "x = b - a\n"),
        ("x = (a,)\n", "x = (a)\n"),
        ('f(x, "# a")\n', 'f(x, "# b")\n'),
        ("if a:\n    b()\nc()\n", "if a:\n    b()\n    c()\n"),
        ("def f(x, *, y=1): return x\n", "def f(x, y=1): return x\n"),
        ('print(f"{x:.2f}")\n', 'print(f"{x:.3f}")\n'),
        ("@once\ndef f(): pass\n", "def f(): pass\n"),
        ("async def f(): pass\n", "def f(): pass\n"),
        ("x[1:2]\n", "x[1]\n"),
    ],
)
def test_everything_else_counts(one, other):
    assert not same(one, other)


def test_the_order_of_imports_and_their_lines_are_layout(root):
    path = root / "implementations" / "ddpm.py"
    texts = (
        "import math\nfrom implementations.common.noise import SCALE, OTHER\n\nX = SCALE + OTHER\n",
        "from implementations.common.noise import OTHER\nfrom implementations.common.noise import SCALE\nimport math\n"
        "\nX = (\n    SCALE\n    + OTHER\n)\n",
    )
    (root / "implementations" / "common" / "noise.py").write_text("SCALE = 1\nOTHER = 5\n")
    hashes = []
    for text in texts:
        path.write_text(text)
        hashes.append(code_hash("ddpm", root))
    assert hashes[0] == hashes[1]
    path.write_text(texts[0].replace("OTHER\n\nX", "OTHER as SCALE2\n\nX").replace("+ OTHER", "+ SCALE2"))
    assert code_hash("ddpm", root) != hashes[0]


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


DEMOS = sorted(path.stem for path in (ROOT / "implementations" / "demos").glob("[a-z]*.py") if path.stem not in SHARED)


@pytest.fixture
def real(tmp_path):
    """A copy of the project's own code."""
    shutil.copytree(ROOT / "implementations", tmp_path / "implementations", ignore=shutil.ignore_patterns("evidence"))
    return tmp_path


def stale_after(real, file, old, new) -> set[str]:
    """The demos whose evidence an edit of the code makes old."""
    path = real / "implementations" / file
    before = {demo: code_hash(f"demos.{demo}", real) for demo in DEMOS}
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    return {demo for demo in DEMOS if code_hash(f"demos.{demo}", real) != before[demo]}


@pytest.mark.parametrize(
    ("file", "old", "new", "stale"),
    [
        ("demos/ddpm.py", "bound=1.75", "bound=1.76", {"ddpm"}),
        ("demos/ddpm.py", '"lr": 4e-3', '"lr": 5e-3', {"ddpm", "ddim"}),  # trains the network that DDIM samples
        ("ddpm.py", "mean, process.at(process.beta, t, x_t)", "mean, 2 * process.at(process.beta, t, x_t)",
         {"ddpm", "adm", "cfg", "palette", "repaint"}),  # all that take DDPM's own reverse step, and no other
        # the chain of 2015, which DDPM only hands on to those that build on it
        ("dpm.py", "self.alpha = 1 - self.beta", "self.alpha = 1 - 1 * self.beta",
         {"dpm", "ddpm", "ddim", "iddpm", "adm", "cfg", "palette", "repaint", "null_text_inversion", "diffae",
          "repfusion", "h_space_asyrp", "h_space_riemannian", "h_space_self_discovery"}),
        ("ddim.py", '"""Spherical', '"""Round', set()),
    ],
)  # fmt: skip
def test_of_the_projects_own_code_an_edit_makes_stale_what_reaches_it(real, file, old, new, stale):
    assert stale_after(real, file, old, new) == stale
    if file.startswith("demos/"):
        assert code_hash("ddim", real) == code_hash("ddim"), "planted bugs hang on the method"
