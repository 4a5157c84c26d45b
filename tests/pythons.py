"""Which Pythons this project promises, read from pyproject.toml for the Makefile and the tests.

Standard library only: it runs before anything is installed.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def promise(root: Path = ROOT) -> str:
    """`requires-python` of the project at `root`."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]


def promised(version: tuple[int, int, int], specifier: str) -> bool:
    """Whether (3, 11, 0) and the like satisfies a specifier such as ">=3.11,!=3.14.1,<3.15"."""
    for clause in specifier.split(","):
        parts = re.fullmatch(r"\s*(>=|<|!=)\s*(\d+)\.(\d+)(?:\.(\d+))?\s*", clause)
        if not parts:
            raise ValueError(
                f"requires-python holds {clause.strip()!r}: >=, < and != with plain versions are understood"
            )
        bound = (int(parts[2]), int(parts[3]), int(parts[4] or 0))
        if not {">=": version >= bound, "<": version < bound, "!=": version != bound}[parts[1]]:
            return False
    return True


if __name__ == "__main__":
    if sys.argv[1:] == ["--fits"]:
        sys.exit(not promised(sys.version_info[:3], promise()))
