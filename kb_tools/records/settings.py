"""kb.yaml: how a collection of one's own wants its site, and that it is one's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kb_tools.appearance.colours import TEXT, contrast, readable
from kb_tools.records.fields import SETTINGS_FILE
from kb_tools.records.model import Colours, Settings
from kb_tools.records.reader import Document, read_file
from kb_tools.records.validate import validate_settings

# What links and buttons stand on, in site/assets/css/kb.css; and where a colour is moved to be read there.
BEHIND = {"light": ["#f6f8f8", "#ffffff", "#edf1f1"], "dark": ["#0f1417", "#171e22", "#0b1012"]}
TOWARDS = {"light": "#000000", "dark": "#ffffff"}


def settings_document(root: Path) -> Document:
    """kb.yaml as read, with what is wrong in it; empty where there is none."""
    path = root / SETTINGS_FILE
    document = read_file(path) if path.exists() or path.is_symlink() else Document(path, "")
    validate(document)
    return document


def read_settings(root: Path) -> Settings | None:
    """The settings of a collection of one's own; None where there is no kb.yaml.  Raises InvalidRecordError."""
    path = root / SETTINGS_FILE
    if not path.exists() and not path.is_symlink():
        return None
    document = read_file(path)
    settings = validate(document)
    document.require()
    return settings


def validate(document: Document) -> Settings | None:
    """The settings that a document holds; None, and more problems in the document, if they do not fit."""
    settings = validate_settings(document)
    if settings is not None:
        for where, message, fix in _unreadable(settings.colours):
            line, column = document.where(("colours", where))
            document.problem(line, column, "contrast", f"colours.{where}: {message}", fix)
    colours = (document.data or {}).get("colours")
    for where, colour in colours.items() if isinstance(colours, dict) else ():
        if colour is None:  # what `light: #0b6b63` says
            line, column = document.where(("colours", where))
            fix = f'write `{where}: "#0b6b63"`: without quotes, # begins a comment'
            document.problem(line, column, "value", f"colours.{where}: is empty", fix)
    return settings


def _unreadable(colours: Colours) -> Iterator[tuple[str, str, str]]:
    """Which colours cannot be read as text on the pages: where, what is wrong, what would do."""
    for where, behind in BEHIND.items():
        colour = getattr(colours, where)
        if colour is None:
            continue
        worst = min(behind, key=lambda one: contrast(colour, one))
        if contrast(colour, worst) < TEXT:
            ratio = int(contrast(colour, worst) * 100) / 100  # not rounded up to what is asked for
            better = "darker" if where == "light" else "lighter"
            fix = f'take a {better} one, such as "{readable(colour, behind, TOWARDS[where])}"'
            yield where, f"{colour} has a contrast of {ratio:g} to {worst} behind it; text needs {TEXT:g}", fix
