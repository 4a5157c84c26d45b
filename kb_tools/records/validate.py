"""From plain data to the model: what pydantic finds, as problems with a position and a fix."""

from __future__ import annotations

from difflib import get_close_matches

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kb_tools.records.fields import TOPIC_FIELDS
from kb_tools.records.model import (
    Algorithm,
    AsWritten,
    AuthorsCode,
    Colours,
    Equation,
    Outside,
    OutsideWork,
    OutsideWorks,
    Record,
    Settings,
    Source,
    Symbol,
    Topic,
)
from kb_tools.records.reader import Document, Key, Value

_TYPES = {
    "int_type": ("must be a whole number", "write it without quotes"),
    "string_type": ("must be text", "put it in double quotes"),
    "list_type": ("must be a list", "write [a, b]"),
    "dict_type": ("must be a mapping", "write {name: value}"),
    "model_type": ("must be a mapping", "write {name: value}"),
    "bool_type": ("must be true or false", None),
    "string_too_short": ("is empty", "write it; a field that nobody has written yet is left out"),
}
# Where the type alone does not say what to write: numbers with a meaning, and their range.
_NUMBERS = {
    "worth_reading": "write 1 (skim), 2 (read) or 3 (read and implement)",
    "year": "write the year of the first public version, 1600 to 2100, as in 2020",
    "arxiv_version": "write the number behind the v, as in 2",
    "line": "write the number of a line, from 1",
}
_PATTERNS = {
    "arxiv": (
        "is not an arXiv id without version",
        'write the bare id in quotes, as in "2006.11239" or "hep-th/9901001"',
    ),
    "doi": ("is not a DOI", 'write it as "10.1162/neco.2011.00142", without https://doi.org/'),
    "key": ("is no citation key", "write it without spaces, commas, braces and what TeX reads as a command"),
    "links": ("is not a web address", "write a full https:// address"),
    "read_on": ("is not a date", 'write it as "2026-11-21"'),
    "added": ("is not a date", 'write it as "2026-11-21"'),
    "changed": ("is not a date", 'write it as "2026-11-21"'),
    "looked": ("is not a date", 'write it as "2026-11-21"'),
    "licence": ("is not an SPDX identifier", "write it as in MIT or Apache-2.0, or leave it out"),
    "implementation": ("is not the name of a module", "write it as in implementations/, without .py"),
    "light": ("is not a colour", 'write it in quotes as "#0b6b63"'),
    "dark": ("is not a colour", 'write it in quotes as "#5cd0bf"'),
    "site_url": ("is not a web address", "write a full https:// address"),
    "repository": ("is not a web address", "write a full https:// address"),
    "steps": (
        "must be one line, indented by two spaces for each loop around it",
        "indent it so, and end it at its text",
    ),
}
_LINE_PATTERN = ("must be one line without spaces around it", "use summary or notes for longer text")
_SLUG_PATTERN = ("is not an id", "ids are lower-case words joined by hyphens, as in score-sde")
_NUMBER_PATTERN = (
    "is not the number of an equation or algorithm",
    "write it as the paper has it: 12, A.3, section 4.2",
)
_SLUGS = frozenset({"id", "former_ids", "topics", "builds_on", "about", "cites", "filled_by", "cited_by"})


def validate_record(document: Document) -> Record | None:
    """The record of a document; None, and more problems in the document, if it does not fit the model."""
    if document.data is None:
        return None
    try:
        return Record.model_validate(document.data, strict=True)
    except ValidationError as error:
        for details in error.errors(include_url=False, include_context=True):
            _report(document, tuple(details["loc"]), details, Record)
        return None


def validate_topics(document: Document) -> dict[str, Topic]:
    """The topics of topics.yaml that fit the model, in the order of the file; problems go to the document."""
    topics: dict[str, Topic] = {}
    for key, value in (document.data or {}).items():
        try:
            topics[key] = Topic.model_validate(value, strict=True)
        except ValidationError as error:
            for details in error.errors(include_url=False):
                _report(document, (key, *details["loc"]), details, Topic)
    return topics


def validate_outside(document: Document) -> OutsideWorks | None:
    """The works of outside.yaml; None, and more problems in the document, if it does not fit the model."""
    if document.data is None:
        return None
    try:
        return OutsideWorks.model_validate(document.data, strict=True)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            _report(document, tuple(details["loc"]), details, OutsideWorks)
        return None


def validate_settings(document: Document) -> Settings | None:
    """The settings of kb.yaml; None, and more problems in the document, if it does not fit the model."""
    if document.data is None:
        return None
    try:
        return Settings.model_validate(document.data, strict=True)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            _report(document, tuple(details["loc"]), details, Settings)
        return None


def _report(document: Document, path: Key, details: ErrorDetails, model: type[BaseModel]) -> None:
    key_itself = path[-1] == "[key]"
    path = path[:-1] if key_itself else path
    line, column = document.where(path)
    code, message, fix = _explain(path, details, model)
    if key_itself and path[0] in ("equations", "algorithms"):
        message, fix = f"{_quote(details['input'])} {_NUMBER_PATTERN[0]}", _NUMBER_PATTERN[1]
    name = ".".join(str(part + 1) if isinstance(part, int) else part for part in path)
    document.problem(line, column, code, f"{name}: {message}", fix)


def _explain(path: Key, details: ErrorDetails, model: type[BaseModel]) -> tuple[str, str, str | None]:
    kind, value = details["type"], details["input"]
    field = next((part for part in reversed(path) if isinstance(part, str)), "")
    if kind == "extra_forbidden":
        near = get_close_matches(field, _fields_at(path, model), n=1, cutoff=0.5)
        return "unknown-key", "unknown key", f"did you mean {near[0]}?" if near else "delete it"
    if kind == "missing":
        return "missing-key", "is missing", f"add `{field}: ...`"
    if kind in _TYPES:
        message, fix = _TYPES[kind]
        if kind == "model_type" and "equations" in path:
            fix = 'write {tex: "the equation in LaTeX", says: "what it says, in words"}'
        if kind == "int_type":
            fix = _written_as_text(value) or _NUMBERS.get(field, fix)
        return "type", message + ("" if value is None else f", not {_quote(value)}"), fix
    if field in _NUMBERS and kind in ("greater_than_equal", "less_than_equal"):
        return "value", f"{_quote(value)} is out of range", _NUMBERS[field]
    if kind == "string_pattern_mismatch":
        return _pattern(path, field, value)
    if kind == "impossible_arxiv":
        return "value", f"{_quote(value)} {details['msg']}", "look the id up, or leave it out"
    if kind == "literal_error":
        expected = details.get("ctx", {}).get("expected", "").replace("'", "")
        near = get_close_matches(str(value), expected.replace(" or ", ", ").split(", "), n=1)
        return "value", f"{_quote(value)} is none of {expected}", f"did you mean {near[0]}?" if near else None
    return "value", f"{details['msg'][0].lower()}{details['msg'][1:]}, not {_quote(value)}", None


def _written_as_text(value: Value) -> str | None:
    """The remedy where a number stands in quotes."""
    return "write it without quotes" if isinstance(value, str) and value.strip().isdecimal() else None


def _pattern(path: Key, field: str, value: Value) -> tuple[str, str, str | None]:
    top = next((part for part in path if part in _PATTERNS), field)
    if field in _SLUGS:
        message, fix = _SLUG_PATTERN
    else:
        message, fix = _PATTERNS.get(field) or _PATTERNS.get(str(top)) or _LINE_PATTERN
    return "value", f"{_quote(value)} {message}", fix


def _fields_at(path: Key, model: type[BaseModel]) -> list[str]:
    """Names that the mapping around the last part of a path may hold."""
    if "as_written" in path[:-1]:
        return list(AsWritten.model_fields)
    inner = {
        "authors_code": AuthorsCode,
        "sources": Source,
        "equations": Equation,
        "algorithms": Algorithm,
        "symbols": Symbol,
        "missing": Outside,
        "works": OutsideWork,
        "colours": Colours,
    }
    held = next((inner[part] for part in path[:-1] if part in inner), None)
    if held is not None:
        return list(held.model_fields)
    return list(TOPIC_FIELDS) if model is Topic else list(model.model_fields)


def _quote(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= 60 else text[:57] + "...") if isinstance(value, str) else text
