"""One demo per method: what trains it, what it claims, and the pictures of both.

Beside them stands what several demos share: `SHARED`.
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

from implementations.lab.demo import Demo

SHARED = ("few_steps", "guidance", "recipes")
_FOLDER = Path(__file__).parent


def slugs() -> list[str]:
    """Of all methods that have a demo, in alphabetical order."""
    files = (path.stem for path in _FOLDER.glob("[a-z]*.py"))
    return sorted(name.replace("_", "-") for name in files if name not in SHARED)


def find(slug: str) -> tuple[Demo, str]:
    """The demo of a method, and what its docstring says of it.  slug: "score-sde", or the module's name.

    ValueError if there is none.
    """
    name = slug.replace("-", "_")
    if not name.isidentifier() or name in SHARED or not (_FOLDER / f"{name}.py").is_file():
        raise ValueError(f"there is no demo of {slug!r}: no file implementations/demos/{name}.py")
    module = importlib.import_module(f"{__name__}.{name}")
    return module.DEMO, inspect.getdoc(module) or ""
