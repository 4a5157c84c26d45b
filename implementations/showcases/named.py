"""Showcases by the names of their methods."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

from implementations.lab.showcase import Showcase

SHARED = ("named", "recipes")
"""Files beside the recipes that are none."""
_FOLDER = Path(__file__).parent


def slugs() -> list[str]:
    """Of all methods that have a showcase, in alphabetical order."""
    files = (path.stem for path in _FOLDER.glob("[a-z]*.py"))
    return sorted(name.replace("_", "-") for name in files if name not in SHARED)


def find(slug: str) -> tuple[Showcase, str]:
    """The showcase of a method, and what its docstring says of it.  slug: "score-sde", or the module's name.

    ValueError if there is none.
    """
    if slug.replace("_", "-") not in slugs():
        raise ValueError(f"{slug} has no showcase")
    module = importlib.import_module(f"{__package__}.{slug.replace('-', '_')}")
    return module.SHOWCASE, inspect.getdoc(module) or ""
