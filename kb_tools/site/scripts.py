"""Which modules a page loads: the chain of imports, told at once in its head instead of found one after another."""

from __future__ import annotations

import re
from pathlib import Path

FIRST = "main.js"
_IMPORT = re.compile(r"^(?:import|export)\b[^;]*?\bfrom\s*\"\./([\w.-]+)\"|^import\s*\"\./([\w.-]+)\"", re.MULTILINE)


def loaded(folder: Path, first: str = FIRST) -> list[str]:
    """The files that `first` imports, directly or not, by name; what it imports later is not among them."""
    found: list[str] = []
    queue = [first]
    for name in queue:
        path = folder / name
        code = path.read_text(encoding="utf-8") if path.is_file() else ""
        fresh = [one or other for one, other in _IMPORT.findall(code)]
        fresh = [one for one in dict.fromkeys(fresh) if one not in found and one != first]
        found += fresh
        queue += fresh
    return sorted(found)
