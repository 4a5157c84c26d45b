"""The files of a new method, written from templates: the method, its demo, its tests, its planted bugs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from textwrap import fill
from typing import Any

from kb_tools.errors import ConflictError
from kb_tools.methods.layers import PACKAGE
from kb_tools.records.store import Change


def new_files(root: Path, ident: str, data: Mapping[str, Any]) -> list[Change]:
    """Those of the files of a method that are not there yet.  ident: of its record; data: what the record says.

    ConflictError if all of them are there.
    """
    module = data.get("implementation") or ident.replace("-", "_")
    slug = module.replace("_", "-")
    places = {
        "method.py.txt": root / PACKAGE / f"{module}.py",
        "demo.py.txt": root / PACKAGE / "demos" / f"{module}.py",
        "test.py.txt": root / "tests" / PACKAGE / f"test_{module}.py",
        "bugs.yaml.txt": root / "tests" / PACKAGE / "bugs" / f"{slug}.yaml",
    }
    words = {
        "module": module,
        "slug": slug,
        "title": fill(_plain(data["title"]), 116),
        "reference": _plain(_reference(data)),
    }
    missing = {name: path for name, path in places.items() if not path.exists()}
    if not missing:
        raise ConflictError(
            f"{ident} has all files of a method already", hint=f"`kb check {ident}` says what is missing"
        )
    return [Change(path, None, _filled(name, words)) for name, path in missing.items()]


def _filled(name: str, words: Mapping[str, str]) -> str:
    text = files("kb_tools").joinpath("templates", name).read_text(encoding="utf-8")
    return Template(text).substitute(words)


def _plain(words: object) -> str:
    """Text of a record as it can stand in a docstring: nothing in it ends one, or escapes."""
    return str(words).replace("\\", "").replace('"', "'")


def _reference(data: Mapping[str, Any]) -> str:
    """The line under the title: authors by surname, venue or year, arXiv id."""
    names = [name.split()[-1] for name in data.get("authors") or ["who wrote it?"]]
    authors = " & ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    where = data.get("venue") or data.get("year") or "where?"
    arxiv = f" arXiv:{data['arxiv']} (equation numbers of which version?)." if data.get("arxiv") else ""
    line = f"{authors}, {where}.{arxiv}"
    return line if len(line) <= 120 else f"{names[0]} et al., {where}.{arxiv}"
