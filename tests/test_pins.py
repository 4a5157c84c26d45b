"""Each pin of constraints.txt can be installed on every Python that pyproject.toml promises."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PROMISED = SpecifierSet(PROJECT["requires-python"])
# Twenty patches of each: more than any minor version has had.
PYTHONS = [v for minor in range(30) for patch in range(21) if PROMISED.contains(v := f"3.{minor}.{patch}")]


def pins() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def here(pin: Requirement) -> bool:
    return pin.marker is None or pin.marker.evaluate()


def meant_for(pin: Requirement, python: str) -> bool:
    """Whether the pin's marker admits this Python."""
    short = python.rpartition(".")[0]
    return pin.marker is None or pin.marker.evaluate({"python_full_version": python, "python_version": short})


@pytest.mark.parametrize("pin", [pin for pin in pins() if here(pin)], ids=lambda pin: pin.name)
def test_a_pin_holds_for_every_promised_python(pin):
    installed = metadata.distribution(pin.name)  # what nothing here installs needs no pin
    assert pin.specifier.contains(installed.version), f"installed is {installed.version}"
    admitted = SpecifierSet(str(installed.metadata.json.get("requires_python", "")))
    assert [python for python in PYTHONS if meant_for(pin, python) and python not in admitted] == []


def test_what_the_project_asks_for_is_pinned():
    """What it asks for, what that asks for, and so on; but torch's needs, which differ between its builds."""
    asked = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    waiting = [Requirement(text) for texts in asked for text in texts]
    seen: set[str] = set()
    names = set()
    while waiting:
        wanted = waiting.pop()
        names.add(canonicalize_name(wanted.name))
        if str(wanted) in seen or wanted.name == "torch":
            continue
        seen.add(str(wanted))
        for further in map(Requirement, metadata.requires(wanted.name) or ()):
            if further.marker is None or any(further.marker.evaluate({"extra": e}) for e in ("", *wanted.extras)):
                waiting.append(further)
    assert names - {canonicalize_name(pin.name) for pin in pins()} == set()


def test_everybody_is_told_the_same_pythons():
    minors = [int(python.split(".")[1]) for python in PYTHONS]
    said = f"Python 3.{min(minors)} to 3.{max(minors)}"
    assert [name for name in ("README.md", "Makefile") if said not in (ROOT / name).read_text(encoding="utf-8")] == []
    job = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))["jobs"]["test"]
    assert job["strategy"]["matrix"]["python"] == [f"3.{minor}" for minor in sorted(set(minors))]
