"""The files of showcases: what was trained how long, and pictures of what it draws.  No claims.

One file per method, `implementations/evidence/<slug>.showcase.yaml`, with one or two pictures beside it.  A showcase
that was made by earlier code stays, and says so: nothing that is proven hangs on it.
Needs the standard library and PyYAML alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from implementations.verification.code_hash import PACKAGE, ROOT, code_hash
from implementations.verification.evidence.store import Entry, EvidenceError, dump

SUFFIX = ".showcase.yaml"
FIELDS = {
    "method", "recorded", "code", "versions", "device", "threads", "data", "seed", "minutes", "base_minutes",
    "parameters", "network_evaluations", "networks", "pictures",
}  # fmt: skip
OF_NETWORK = {"network", "of", "minutes", "steps", "batch", "parameters"}
OF_PICTURE = {"file", "alt", "caption", "columns", "rows", "width", "height"}
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def folder_of(root: Path = ROOT) -> Path:
    return root / PACKAGE / "evidence"


def recorded(root: Path = ROOT) -> list[str]:
    """The slugs of all methods with a file, in alphabetical order."""
    return sorted(path.name.removesuffix(SUFFIX) for path in folder_of(root).glob(f"*{SUFFIX}"))


def read(slug: str, root: Path = ROOT) -> Entry | None:
    """The showcase of a method, or None if none was recorded.

    Raises EvidenceError when the file is not what `write` writes, or a picture of it is missing.
    """
    path = folder_of(root) / f"{slug}{SUFFIX}"
    remedy = f"record it again with `kb run {slug} --showcase --record`"
    try:
        entry = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - one of the two safe loaders
    except FileNotFoundError:
        return None
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise EvidenceError(f"{path}: not YAML ({' '.join(str(problem).split())}): {remedy}") from None
    if not _sound(entry, slug):
        raise EvidenceError(f"{path}: not the showcase of {slug}: {remedy}")
    for picture in entry["pictures"]:
        if not path.with_name(picture["file"]).is_file():
            raise EvidenceError(f"{path}: its picture {picture['file']} is missing: {remedy}")
    return entry


def write(entry: Entry, pictures: dict[str, bytes], folder: Path) -> list[Path]:
    """Put a showcase and its pictures, by the names of their files, in a folder.  Returns the paths.

    Each file is whole or untouched, and the text is parsed again before it replaces anything; it comes last.
    """
    from implementations.lab.checkpoint import write_atomically

    text = dump(entry)
    if not _sound(entry, entry["method"]) or dump(yaml.safe_load(text)) != text:
        raise EvidenceError(f"the showcase of {entry['method']} lacks a field, or changes in YAML")
    paths = [folder / picture["file"] for picture in entry["pictures"]]
    for path in paths:
        write_atomically(path, pictures[path.name])
    paths.append(folder / f"{entry['method']}{SUFFIX}")
    write_atomically(paths[-1], text.encode())
    return paths


def earlier(entry: Entry, root: Path = ROOT) -> bool:
    """Whether a showcase was made by other code than there is now."""
    try:
        return entry["code"] != code_hash(f"showcases.{entry['method'].replace('-', '_')}", root)
    except (OSError, SyntaxError, ValueError):
        return True


def _sound(entry: Any, slug: str) -> bool:
    if not isinstance(entry, dict) or not entry.keys() >= FIELDS or entry["method"] != slug:
        return False
    networks, pictures = entry["networks"], entry["pictures"]
    return (
        _rows(networks, OF_NETWORK)
        and _rows(pictures, OF_PICTURE)
        and 1 <= len(pictures) <= 2
        and all(_plain_name(picture["file"]) for picture in pictures)
        and len({picture["rows"] * picture["columns"] for picture in pictures}) == 1
    )


def _rows(value: Any, keys: set[str]) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) and one.keys() >= keys for one in value)


def _plain_name(name: Any) -> bool:
    """A file beside the entry, and none elsewhere."""
    return isinstance(name, str) and name == Path(name).name and name.endswith(".webp")
