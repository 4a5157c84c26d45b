"""The wheel with its extra [site], and nothing else: a collection of one's own, from `kb init` to `kb serve`."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import venv
from collections.abc import Callable, Iterator
from importlib.metadata import distribution, distributions
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from packaging.requirements import Requirement

from kb_tools.site.own import NAV

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "kb_tools", "implementations", "site")
HEAVY = ("torch", "numpy", "scipy", "sklearn", "matplotlib", "pytest")  # what no part of [site] may lean on
FOLDERS = {"papers", "topics", "order", "graph", "data", "assets"}  # of the site of a collection of two papers
BIB = """@inproceedings{score,
  title = {Generative Modeling by Estimating Gradients of the Data Distribution},
  author = {Song, Yang and Ermon, Stefano},
  year = {2019},
  eprint = {1907.05600},
  archiveprefix = {arXiv},
}
"""


class Installed:
    """A Python that holds the wheel; `kb` runs its command in a folder."""

    def __init__(self, python: Path) -> None:
        self.python = python

    def popen(self, *command: str, cwd: Path, **options: Any) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "KB_ROOT")}
        return subprocess.Popen(
            [str(self.python.with_name(command[0])), *command[1:]],
            cwd=cwd, env=environment, text=True, encoding="utf-8", stderr=subprocess.PIPE, **options,
        )  # fmt: skip

    def kb(self, *arguments: str, cwd: Path) -> str:
        """What the command says on stdout.  Fails the test with its talk, if it ends with another code than 0."""
        process = self.popen("kb", *arguments, cwd=cwd, stdout=subprocess.PIPE)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, f"kb {' '.join(arguments)}: {err}"
        return out


def needed(packages: Path) -> set[str]:
    """Names of all that the wheel in a folder of packages asks for with its extra [site], directly or not."""
    wheel = next(iter(distributions(name="diffusion-kb", path=[str(packages)])))
    found: dict[str, Requirement] = {}
    waiting = [(line, {"site"}) for line in wheel.requires or ()]
    while waiting:
        line, extras = waiting.pop()
        one = Requirement(line)
        wanted = one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras | {""})
        if wanted and str(one) not in found:
            found[str(one)] = one
            waiting += [(more, one.extras) for more in distribution(one.name).requires or ()]
    return {one.name for one in found.values()}


def lend(name: str, packages: Path) -> None:
    """Put what a distribution installed here into a folder of packages, as links."""
    held = distribution(name)
    for top in {file.parts[0] for file in held.files or ()} - {"..", "__pycache__"}:
        target = packages / top
        if not target.exists():
            target.symlink_to(Path(str(held.locate_file(top))))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel of this tree in an environment of its own, with the packages of its extra [site] and no others."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in SHIPPED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    offline = ("--no-deps", "--no-index")
    run([*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", str(folder), str(source)])
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    run([*pip, "--python", str(python), "install", *offline, *map(str, folder.glob("*.whl"))])
    packages = Path(run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip())
    for name in needed(packages):
        lend(name, packages)
    return Installed(python)


def run(command: list[str]) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def served(installed: Installed) -> Iterator[Callable[[Path], str]]:
    """served(folder) serves the collection there on a free port until the test ends, and gives the address."""
    processes: list[subprocess.Popen[str]] = []

    def start(folder: Path) -> str:
        process = installed.popen("kb", "serve", "--port", "0", cwd=folder, stdout=subprocess.DEVNULL)
        processes.append(process)
        limit = threading.Timer(60, process.kill)
        limit.start()
        assert process.stderr is not None
        line = process.stderr.readline()
        limit.cancel()
        found = re.match(r"http://\S+", line)
        assert found, line + process.stderr.read()
        return found[0]

    yield start
    for process in processes:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def test_it_makes_a_collection_of_ones_own_from_nothing(
    installed: Installed, served: Callable, servers: dict[str, Any], web: Any, tmp_path: Path
) -> None:
    servers["arxiv"].answers = [web.feed(web.entry("2006.11239", title="Denoising Diffusion Probabilistic Models"))]
    mine = tmp_path / "a folder"
    mine.mkdir()
    (mine / "refs.bib").write_text(BIB, encoding="utf-8")
    installed.kb("init", "--name", "What Ada reads", cwd=mine)
    settings = mine / "kb.yaml"
    settings.write_text(settings.read_text(encoding="utf-8") + 'colours: {light: "#7a1fa2", dark: "#e0b0ff"}\n')
    added = installed.kb("add", "2006.11239", "--slug", "ddpm", cwd=mine)
    assert added == "papers/ddpm.yaml\n"
    installed.kb("import", "refs.bib", cwd=mine)
    installed.kb("check", cwd=mine)
    installed.kb("build", cwd=mine)

    site = mine / "build" / "site"
    assert {path.name for path in site.iterdir() if path.is_dir()} == FOLDERS
    home = (site / "index.html").read_text(encoding="utf-8")
    assert "<title>What Ada reads</title>" in home
    assert "Denoising Diffusion Probabilistic Models" in home
    named = re.findall(r'<ul class="kb-nav">.*?</ul>', home, re.DOTALL)[0]
    assert re.findall(r">([^<>]+)</a>", named) == [title for title, _, part in NAV if not part][1:-1]
    assert (site / "papers" / "ddpm" / "index.html").is_file()
    css = (site / "assets" / "css" / "kb.css").read_text(encoding="utf-8")
    assert css.rindex("--accent:#7a1fa2") > css.index("--accent:")  # the owner's rule comes last
    assert "#7a1fa2" in (site / "assets" / "img" / "favicon.svg").read_text(encoding="utf-8")

    address = served(mine)
    with urlopen(address + "papers/ddpm/", timeout=20) as answer:
        page = answer.read().decode()
    assert "<h1" in page and "Denoising Diffusion Probabilistic Models" in page
    with urlopen(address + "data/papers.json", timeout=20) as answer:
        assert b"Estimating Gradients" in answer.read()


def test_it_is_alone_with_what_it_says_it_needs(installed: Installed, tmp_path: Path) -> None:
    code = f"import importlib.util as u, kb_tools; print(kb_tools.__file__, *filter(u.find_spec, {HEAVY!r}))"
    process = installed.popen("python", "-c", code, cwd=tmp_path, stdout=subprocess.PIPE)
    out, err = process.communicate(timeout=30)
    assert Path(out.rstrip("\n")).is_relative_to(installed.python.parents[1]), out + err
