"""Recorded pictures as pages show them: in parts under words, where `evidence/pictures.yaml` has those."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import yaml
from PIL import __version__ as pillow

from kb_tools.site import panels
from kb_tools.site.panels import Part
from kb_tools.site.writing import write_if_changed

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
WORDS = Path("implementations", "evidence", "pictures.yaml")

Titles = list[list[str]]
"""What is written over the parts of a picture: of each row, from left to right."""


def read_words(root: Path, problems: list[str]) -> dict[str, Titles]:
    """Titles by the name of the picture without its ending.  What cannot be used is added to `problems`."""
    try:
        found = yaml.load((root / WORDS).read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 - it is a safe one
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problems.append(f"{WORDS.name}: cannot be read: {' '.join(str(error).split())}")
        return {}
    entries = found.items() if isinstance(found, dict) else [("it", found)]
    for name, titles in entries:
        if not _titles(titles):
            problems.append(f"{WORDS.name}: {name} is no list of rows of titles")
    return {str(name): titles for name, titles in entries if _titles(titles)}


def _titles(value: object) -> bool:
    rows = value if isinstance(value, list) else []
    lists = [row for row in rows if isinstance(row, list) and row and all(isinstance(one, str) for one in row)]
    return bool(rows) and len(lists) == len(rows)


def in_parts(file: Path, titles: Sequence[Sequence[str]], cache: Path, problems: list[str]) -> list[list[Part]]:
    """The parts of a picture, row by row; none where it is not laid out as its titles say, which is a problem.

    cache: a folder that keeps what was made of a picture before.
    """
    picture = file.read_bytes()
    code = Path(panels.__file__).read_bytes()
    digest = hashlib.sha256(b"\0".join([picture, code, pillow.encode(), json.dumps(titles).encode()])).hexdigest()
    kept = cache / f"{digest[:32]}.json"
    if kept.is_file():
        rows = json.loads(kept.read_text(encoding="utf-8"))
        return [[Part(**part | {"data": base64.b64decode(part["data"])}) for part in row] for row in rows]
    try:
        found = panels.parts(picture, titles)
    except ValueError as error:
        problems.append(f"{file.name}: is not laid out as {WORDS.name} says, and is shown whole: {error}")
        return []
    rows = [[asdict(part) | {"data": base64.b64encode(part.data).decode()} for part in row] for row in found]
    write_if_changed(kept, json.dumps(rows, ensure_ascii=False).encode())
    return found
