"""`make pythons` finds every Python once, copies what git would, and says no when one of them does."""

from __future__ import annotations

import os
import shlex
import subprocess
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

# By its path: a package of the environment calls itself `tests` too.
SCRIPT = spec_from_file_location("pythons", Path(__file__).with_name("pythons.py"))
assert SCRIPT and SCRIPT.loader
pythons = module_from_spec(SCRIPT)
SCRIPT.loader.exec_module(pythons)
Failure, Proof = pythons.Failure, pythons.Proof


@pytest.mark.parametrize("version", ["3.10.13", "3.11.0", "3.11.20", "3.14.0", "3.14.1", "3.14.2", "3.15.0"])
def test_the_promise_is_read_as_pip_reads_it(version):
    promise = pythons.project()["requires-python"]
    assert pythons.promised(tuple(map(int, version.split("."))), promise) is SpecifierSet(promise).contains(version)


def test_a_promise_that_is_not_understood_is_refused():
    with pytest.raises(ValueError, match=r"'~=3\.11'"):
        pythons.promised((3, 11, 0), ">=3.11, ~=3.11")


def test_an_environment_is_made_anew_for_other_pins_or_needs_and_not_for_other_tools(tmp_path):
    (tmp_path / "constraints.txt").write_text("a==1\n")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n[tool.ruff]\nline-length = 1\n')
    first = pythons.made_from(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n[tool.ruff]\nline-length = 2\n')
    assert pythons.made_from(tmp_path) == first
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "y"\n[tool.ruff]\nline-length = 2\n')
    second = pythons.made_from(tmp_path)
    (tmp_path / "constraints.txt").write_text("a==2\n")
    assert len({first, second, pythons.made_from(tmp_path)}) == 3


def python(folder: Path, told: str, name: str = "python3") -> Path:
    """A command that answers every question like an interpreter that tells this of itself."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(f'#!/bin/sh\necho "{told} $0"\n')
    file.chmod(0o755)
    return file


def test_every_version_is_found_once_and_the_system_s_own_always(tmp_path):
    system, managed, shims, more = (tmp_path / name for name in ("system", "managed", "shims", "more"))
    own = python(system, "True 3 11 2", "python3.11")
    (system / "python3").symlink_to("python3.11")
    python(system, "True 3 11 3", "python3.11-config")
    python(managed / "3.11.6" / "bin", "True 3 11 6")
    patched = python(managed / "3.11.7" / "bin", "True 3 11 7")
    python(managed / "3.9.18" / "bin", "True 3 9 18")
    python(managed / "pypy3.11" / "bin", "False 3 11 13")
    python(managed / "3.14-dev" / "bin", "False 3 14 0")
    shims.mkdir()
    (shims / "python3.13").write_text("#!/bin/sh\necho 'no version is chosen' >&2\nexit 127\n")
    (shims / "python3.13").chmod(0o755)
    (shims / "python3.12").write_text("not to be executed")
    oldest, newest = python(more, "True 3 12 9", "python3.12"), python(more, "True 3 12 10", "python3.10")
    path = os.pathsep.join(map(str, (shims, "", tmp_path / "missing", system, more)))
    assert pythons.found(system, managed, path) == {(3, 11, 2): own, (3, 11, 7): patched, (3, 12, 10): newest}
    newest.unlink()
    assert pythons.found(system, tmp_path / "missing", path) == {(3, 11, 2): own, (3, 12, 9): oldest}


@pytest.fixture
def source(tmp_path):
    """A repository with a file that is committed, one that is new and one that is ignored."""
    folder = tmp_path / "source"
    (folder / "a folder").mkdir(parents=True)
    (folder / ".gitignore").write_text("/build/\n")
    (folder / "a folder" / "é.txt").write_text("old")
    (folder / "gone").write_text("")
    git = ["git", "-C", str(folder), "-c", "user.name=n", "-c", "user.email=e"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *arguments], check=True)
    (folder / "gone").unlink()
    (folder / "new").write_text("new")
    (folder / "build").mkdir()
    (folder / "build" / "made").write_text("made")
    return folder


def test_a_copy_is_what_git_would_take_and_only_what_differs_is_written(source):
    target = source / "build" / "copy"

    def files():
        return {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}

    pythons.copied(source, target)
    assert files() == {".gitignore", "a folder/é.txt", "new"}
    (target / ".venv").mkdir()
    (target / ".venv" / "kept").write_text("")
    (target / "a folder" / "left over").write_text("")
    os.utime(target / "new", (1, 1))
    (source / "a folder" / "é.txt").write_text("changed")
    pythons.copied(source, target)
    assert files() == {".gitignore", "a folder/é.txt", "new", ".venv/kept"}
    assert (target / "a folder" / "é.txt").read_text() == "changed"
    assert (target / "new").stat().st_mtime == 1


def interpreter(file: Path, *, ensurepip: bool, pip: bool = True) -> Path:
    """A stand-in for Python that makes environments, or not, and puts pip into that of another, or not."""
    log = shlex.quote(str(file.with_name("calls")))
    file.write_text(
        f'#!/bin/sh\necho "{file.name} $*" >> {log}\nfor last; do :; done\n'
        'case "$*" in\n'
        f'  "-m venv --without-pip "*) mkdir -p "$last/bin" ;;\n'
        f'  "-m venv "*) mkdir -p "$last/bin"; {"touch" if ensurepip else "false"} "$last/bin/pip" ;;\n'
        f'  "-m pip --python "*) {"touch" if pip else "false"} "$(dirname "$4")/pip" ;;\n'
        "esac\n"
    )
    file.chmod(0o755)
    return file


@pytest.mark.parametrize("ensurepip", [True, False])
def test_pip_comes_from_another_python_where_ensurepip_is_missing(tmp_path, ensurepip):
    own = interpreter(tmp_path / "own", ensurepip=ensurepip)
    others = [
        interpreter(tmp_path / "first", ensurepip=True, pip=False),
        interpreter(tmp_path / "second", ensurepip=True),
    ]
    proof = Proof((3, 11, 2), own, tmp_path / "proof", [tmp_path / "not there", *others])
    proof.tree.mkdir()
    proof.environment()
    assert (proof.bin / "pip").is_file()
    callers = [line.split()[0] for line in (tmp_path / "calls").read_text().splitlines()]
    assert callers == (["own"] if ensurepip else ["own", "own", "first", "second"])


def test_without_any_pip_it_says_what_to_install(tmp_path):
    own = interpreter(tmp_path / "own", ensurepip=False, pip=False)
    proof = Proof((3, 11, 2), own, tmp_path / "proof", [own])
    proof.tree.mkdir()
    with pytest.raises(Failure, match=r"ensurepip is missing .*python3-venv"):
        proof.environment()
    assert not (proof.tree / ".venv").exists(), "a half-made environment would be taken for a whole one"


def test_a_step_that_fails_is_named_with_its_log_and_one_that_hangs_is_ended(tmp_path):
    proof = Proof((3, 11, 2), Path("python"), tmp_path / "proof", [])
    proof.tree.mkdir()
    assert proof.run("word", "echo", "été") == "été\n"
    with pytest.raises(Failure, match=r"^sum: exit code 3$"):
        proof.run("sum", "sh", "-c", "echo wrong; exit 3")
    with pytest.raises(Failure, match=r"^nap: not done after 1 s$"):
        proof.run("nap", "sleep", "60", seconds=1)
    with pytest.raises(Failure, match=r"^ghost: "):
        proof.run("ghost", tmp_path / "nothing")
    assert proof.said == ["word 0 s"]
    assert proof.end_of_log().splitlines()[:5] == ["", "$ echo été", "été", "", "$ sh -c echo wrong; exit 3"]


def test_what_make_hands_down_does_not_reach_the_inner_make(tmp_path, monkeypatch):
    monkeypatch.setenv("MAKEFLAGS", "PYTHON=another")
    proof = Proof((3, 11, 2), Path("python"), tmp_path / "proof", [])
    proof.tree.mkdir()
    assert proof.run("surroundings", "sh", "-c", 'echo "$MAKEFLAGS,$LC_ALL"', LC_ALL="C") == ",C\n"


PYTHONS = {(3, 11, 0): Path("a"), (3, 12, 0): Path("b"), (3, 15, 0): Path("c")}


@pytest.mark.parametrize(("failing", "code"), [(None, 0), ((3, 11, 0), 1), ((3, 12, 0), 1), ((3, 15, 0), 0)])
def test_one_that_fails_makes_the_whole_fail_and_each_has_its_line(tmp_path, monkeypatch, capsys, failing, code):
    def prove(self):
        self.said.append("check 1 s")
        if self.version == failing:
            raise Failure("tests: exit code 1")

    monkeypatch.setattr(pythons.Proof, "prove", prove)
    assert pythons.main(PYTHONS, ">=3.11,<3.15", tmp_path) == code
    lines = capsys.readouterr().out.splitlines()[-3:]
    assert [line.split()[0] for line in lines] == ["3.11.0", "3.12.0", "3.15.0"]
    assert "not asked for" in lines[2]
    for line, version in zip(lines[:2], PYTHONS, strict=False):
        if version == failing:
            assert "FAILED in 0 s: check 1 s, tests: exit code 1, see " in line
            assert line.endswith("log.txt")
        else:
            assert line.endswith("good   in 0 s: check 1 s")


def test_nothing_to_prove_is_no_proof(tmp_path):
    assert pythons.main({}, ">=3.11,<3.15", tmp_path) == 1
    assert pythons.main({(3, 15, 0): Path("c")}, ">=3.11,<3.15", tmp_path) == 1
