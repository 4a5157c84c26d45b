"""kb build, kb serve where the packages of the extra [site] are not all there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Runs `kb` where one module cannot be found, nor the version of a package of that name.
WITHOUT = """
import sys
from importlib import metadata

class Missing:
    def find_spec(self, name, path=None, target=None):
        if f"{{name}}.".startswith({module!r} + "."):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

there = metadata.version
def version(name):
    if name == {module!r}:
        raise metadata.PackageNotFoundError(name)
    return there(name)
metadata.version = version
sys.meta_path.insert(0, Missing())
from kb_tools.cli import main
sys.exit(main(sys.argv[1:]))
"""
ROOT = Path(__file__).resolve().parents[3]


def kb_without(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT.format(module=module), *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("module", ["jinja2", "markdown", "mkdocs", "mkdocs-material", "pygments"])
@pytest.mark.parametrize("command", [("build",), ("serve", "--port", "0")])
def test_a_missing_package_of_the_site_is_named_with_what_installs_it(make, record, module, command):
    collection = make(record("one"))
    (collection.root / "mkdocs.yml").unlink()
    (collection.root / "kb.yaml").write_text('title: "Mine"\n')
    done = kb_without(module, "-C", str(collection.root), *command)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"kb: the site needs {module}, which is not installed",
        "    pip install 'diffusion-kb[site]', or `make run`",
    ]


def test_pillow_is_asked_for_where_there_are_pictures(tmp_path):
    done = kb_without("PIL", "build", "--out", str(tmp_path / "site"))
    assert done.returncode == 1
    assert done.stderr.startswith("kb: the site needs PIL, which is not installed\n")


def test_a_module_of_our_own_that_is_missing_is_a_bug(make, record):
    collection = make(record("one"))
    (collection.root / "mkdocs.yml").unlink()
    (collection.root / "kb.yaml").write_text('title: "Mine"\n')
    done = kb_without("kb_tools.site.pages", "-C", str(collection.root), "build")
    assert "Traceback" in done.stderr and "is not installed" not in done.stderr
