"""The files of evidence: read, written, and held against the code of now.

One file per method, `implementations/evidence/<slug>.yaml`, with one entry per device and data set, and a picture
beside it.  Needs the standard library and PyYAML alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from implementations.verification.code_hash import PACKAGE, ROOT, code_hash, demo_of

Entry = dict[str, Any]
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class EvidenceError(ValueError):
    """A file of evidence that cannot be read, or results that do not belong together."""


def path_of(slug: str, root: Path = ROOT) -> Path:
    return root / PACKAGE / "evidence" / f"{slug}.yaml"


def read(slug: str, root: Path = ROOT) -> dict[str, Any] | None:
    """The evidence of a method: {"method", "entries"}, or None if none was recorded.

    Raises EvidenceError when the file is not what `write` writes.
    """
    path = path_of(slug, root)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        evidence = yaml.load(text, _Loader)  # noqa: S506 - one of the two safe loaders
    except yaml.YAMLError as problem:
        what = " ".join(str(problem).split())
        raise EvidenceError(f"{path}: not YAML ({what}): record it again with `kb verify {slug} --record`") from None
    if not _sound(evidence, slug):
        raise EvidenceError(
            f"{path}: not the evidence of {slug} (want `method: {slug}` and a list of entries with device, data and "
            f"code): record it again with `kb verify {slug} --record`"
        )
    return evidence


def write(slug: str, entry: Entry, picture: bytes | None = None, root: Path = ROOT) -> Path:
    """Keep an entry, in place of an earlier one from the same device and data, and its picture.  Returns the file.

    Each file is whole or untouched, and the text is parsed again before it replaces anything.
    """
    from implementations.lab.checkpoint import write_atomically

    kept = read(slug, root) or {"method": slug, "entries": []}
    entries = [old for old in kept["entries"] if _identity(old) != _identity(entry)] + [entry]
    text = dump({"method": slug, "entries": sorted(entries, key=_identity)})
    if dump(yaml.safe_load(text)) != text:
        raise EvidenceError(f"the entry of {slug} changes in YAML: give plain strings, numbers, lists and mappings")
    if picture is not None:
        write_atomically(path_of(slug, root).with_name(entry["figures"][0]["file"]), picture)
    path = path_of(slug, root)
    write_atomically(path, text.encode())
    return path


def own_entry(entries: Sequence[Mapping[str, Any]], slug: str) -> Mapping[str, Any]:
    """What was measured on a CPU and on the demo's own data, whose picture bears the method's name alone; else the
    first.  entries: at least one.
    """
    return next(
        (one for one in entries if any(f["file"] == f"{slug}.webp" for f in one.get("figures", []))), entries[0]
    )


def dump(value: Any) -> str:
    """Canonical YAML: keys as given, no aliases, one line per value."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


def stale(slug: str, root: Path = ROOT) -> str | None:
    """Why the evidence of a method says nothing about its present code, or None if it does."""
    evidence, remedy = read(slug, root), f"run `kb verify {slug} --record`"
    if evidence is None or not evidence["entries"]:
        return f"no evidence recorded for {slug}: {remedy}"
    now = code_hash(demo_of(slug), root)
    old = [entry["device"] for entry in evidence["entries"] if entry["code"] != now]
    if old:
        return f"evidence recorded on {' and '.join(old)} is older than the code of its demo: {remedy}"
    lost = [
        figure["file"]
        for entry in evidence["entries"]
        for figure in entry.get("figures", [])
        if not path_of(slug, root).with_name(figure["file"]).is_file()
    ]
    return f"picture {lost[0]} of the evidence of {slug} is missing: {remedy}" if lost else None


def failing(slug: str, root: Path = ROOT) -> list[str]:
    """The recorded claims that do not hold on every seed, as "device: name"; empty if there is no evidence."""
    entries = (read(slug, root) or {"entries": []})["entries"]
    return [f"{e['device']}: {claim['name']}" for e in entries for claim in e.get("claims", []) if not claim["holds"]]


def _identity(entry: Entry) -> tuple[bool, str, str]:
    """What an entry replaces, and where it stands: the CPU first."""
    return entry["device"] != "cpu", entry["device"], entry["data"]


def _sound(evidence: Any, slug: str) -> bool:
    entries = evidence.get("entries") if isinstance(evidence, dict) else None
    if not isinstance(entries, list) or evidence.get("method") != slug:
        return False
    return all(isinstance(e, dict) and {"device", "data", "code"} <= e.keys() for e in entries)


class _Dumper(yaml.SafeDumper):
    """A list of plain values stands on one line; nothing is written as an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _list(dumper: _Dumper, data: list[Any]) -> yaml.Node:
    flat = not any(isinstance(item, dict | list) for item in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=flat)


_Dumper.add_representer(list, _list)
