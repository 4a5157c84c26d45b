"""Strict reading of one YAML file: plain data, the position of every field, and every problem found.

The dialect is small on purpose.  Text is text: an unquoted scalar is an integer, true, false, null, or a string, and
whatever another YAML reader might take for something else (2006.11230, 010, no, 2020-06-19) must be quoted.  Anchors,
aliases, tags, merge keys, duplicate keys, several documents, tabs, control and bidirectional characters are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from kb_tools.errors import InvalidRecordError, Problem

MAX_BYTES = 256 * 1024
MAX_DEPTH = 12
MAX_DIGITS = 18

Value = str | int | bool | None | list["Value"] | dict[str, "Value"]
Key = tuple[str | int, ...]
_Event = Any  # PyYAML's events share no base that has their anchor, tag and marks

# C0 and C1 controls but tab and line feed; Unicode line separators; bidirectional and zero-width formatting; BOM.
_FORBIDDEN_SET = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ufff9-\uffff"
_FORBIDDEN = re.compile(f"[{_FORBIDDEN_SET}]")
_FORBIDDEN_ESCAPED = re.compile(f"[\\t{_FORBIDDEN_SET}]")
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_NUMBER_12 = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_ARXIV = re.compile(r"\d{4}\.\d{4,5}")
_RESOLVERS = yaml.resolver.Resolver.yaml_implicit_resolvers


class Span(NamedTuple):
    """Where a value stands: 1-based line and column of its key (or of itself in a list), and its character range."""

    line: int
    column: int
    value_line: int
    value_column: int
    key_start: int
    start: int
    end: int


class Document:
    """What one file holds.  `data` is None when nothing usable could be read; `problems` says why."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text = path, text
        self.data: dict[str, Value] | None = None
        self.spans: dict[Key, Span] = {}
        self.scalars: list[tuple[int, int]] = []
        self.problems: list[Problem] = []

    def problem(
        self,
        line: int,
        column: int,
        code: str,
        message: str,
        fix: str | None = None,
        mend: tuple[int, int, str] | None = None,
    ) -> Problem:
        """Record a finding at a 1-based position and return it."""
        found = Problem(self.path, line, column, code, message, fix=fix, mend=mend)
        self.problems.append(found)
        return found

    def where(self, key: Key) -> tuple[int, int]:
        """Line and column of a field, or of the nearest field around it; (0, 0) if there is none."""
        for depth in range(len(key), 0, -1):
            span = self.spans.get(key[:depth])
            if span is not None:
                return span.line, span.column
        return 0, 0

    def string(self, field: str) -> str | None:
        """A top-level field that is text; None if it is absent or anything else."""
        value = (self.data or {}).get(field)
        return value if isinstance(value, str) else None

    def strings(self, field: str) -> list[str]:
        """The texts of a top-level list; empty if it is absent or no list."""
        value = (self.data or {}).get(field)
        return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []

    def require(self) -> dict[str, Value]:
        """The data, or an InvalidRecordError naming every problem."""
        if self.problems or self.data is None:
            raise InvalidRecordError(
                "\n".join(str(problem) for problem in self.problems), hint="mend the file, then run `kb check`"
            )
        return self.data


def read_file(path: Path) -> Document:
    """Read a file from disk; a file that cannot be opened is one more problem."""
    if path.is_symlink():
        document = Document(path, "")
        document.problem(0, 0, "link", "is a symbolic link", "replace it by a plain file inside the collection")
        return document
    if path.exists() and not path.is_file():  # reading a pipe would wait for ever
        document = Document(path, "")
        document.problem(0, 0, "unreadable", "is no plain file", "move it out of the collection")
        return document
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        document = Document(path, "")
        document.problem(0, 0, "unreadable", f"cannot be read: {error.strerror}", "check that it is a readable file")
        return document
    return read_bytes(path, raw)


def read_bytes(path: Path, raw: bytes) -> Document:
    """Decode and read the bytes of a file; `path` is only named in problems."""
    if len(raw) > MAX_BYTES:
        document = Document(path, "")
        document.problem(0, 0, "too-big", f"is larger than {MAX_BYTES // 1024} KiB", "a record is text; shorten it")
        return document
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        document = Document(path, "")
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        document.problem(line, column, "encoding", "is not UTF-8", "save the file as UTF-8")
        return document
    return read_text(path, text)


def read_text(path: Path, text: str) -> Document:
    """Read YAML text; `path` is only named in problems."""
    document = Document(path, text)
    if _refuse_characters(document):
        return document
    try:
        _Builder(document).build()
    except Problem:
        document.data = None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        message, fix = _explain(error)
        document.problem(line, column, "yaml", message, fix)
        document.data = None
    return document


def _refuse_characters(document: Document) -> bool:
    text = document.text
    if text.startswith("\ufeff"):
        fix = "save the file as UTF-8 without BOM"
        document.problem(1, 1, "bom", "starts with a byte order mark", fix, (0, 1, ""))
        return True
    for match in re.finditer(r"\t", text):
        document.problem(*_position(text, match.start()), "tab", "a tab", "use spaces")
    # CRLF is read as a line end (and written back as LF by `kb fmt`); a lone CR is a control character.
    for match in _FORBIDDEN.finditer(text.replace("\r\n", " \n") if "\r" in text else text):
        document.problem(
            *_position(text, match.start()),
            "control-character",
            f"the invisible character U+{ord(match.group()):04X}",
            "delete it",
        )
    return bool(document.problems)


def _position(text: str, index: int) -> tuple[int, int]:
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)


def _explain(error: yaml.MarkedYAMLError) -> tuple[str, str]:
    problem = (error.problem or "cannot be parsed").strip()
    if "mapping values are not allowed" in problem:
        return "a colon inside an unquoted value", "put the value in double quotes"
    if "undefined alias" in problem:
        return "an alias (*name)", "write the value out; aliases are not allowed"
    if "escape" in problem:
        return "a backslash that is not an escape", "use single quotes around TeX, or write the backslash twice"
    if "unexpected end of stream" in problem or "quoted scalar" in (error.context or ""):
        return f"{error.context or 'a value'}: {problem}", "close the quotes"
    if "expected key" in problem or "block mapping" in (error.context or ""):
        return f"not YAML here: {problem}", "check the indentation and the quotes of this line and the one above"
    if "cannot start any token" in problem:
        return "a value that starts with a reserved character", "put the value in double quotes"
    return f"not YAML here: {problem}", "check the quotes, brackets and indentation of this line and the one above"


class _Builder:
    """Turns the parser's events into data; collects what is wrong and goes on where that is possible."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.loader = yaml.CSafeLoader(document.text)
        self.next: Callable[[], _Event] = self.loader.get_event
        self.escapes = "\\" in document.text
        self.end = 0  # where the value read last ends: a block ends with its last value, not with the line break

    def build(self) -> None:
        document, take = self.document, self.next
        try:
            take()
            event = take()
            if isinstance(event, yaml.StreamEndEvent):
                raise document.problem(1, 1, "empty", "is empty", "write a record, or delete the file")
            start = take()
            if not isinstance(start, yaml.MappingStartEvent):
                raise self.at(start, "not-a-mapping", "must be `key: value` lines", "start with `id: ...`")
            document.data = self.mapping(start, ())
            take()
            event = take()
            if not isinstance(event, yaml.StreamEndEvent):
                raise self.at(event, "multi-document", "a second document (---)", "one record per file")
        finally:
            self.loader.dispose()

    def at(self, event: _Event, code: str, message: str, fix: str) -> Problem:
        mark = event.start_mark
        return self.document.problem(mark.line + 1, mark.column + 1, code, message, fix)

    def value(self, event: _Event, path: Key) -> Value:
        self.end = event.end_mark.index
        if isinstance(event, yaml.AliasEvent):
            self.at(event, "alias", f"an alias (*{event.anchor})", "write the value out; aliases are not allowed")
            return None
        if event.anchor is not None:
            self.at(event, "anchor", f"an anchor (&{event.anchor})", "delete it; anchors are not allowed")
        if event.tag is not None:
            self.at(event, "tag", f"a tag ({event.tag})", "delete it; tags are not allowed")
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event)
        if len(path) >= MAX_DEPTH:
            raise self.at(event, "too-deep", f"nested more than {MAX_DEPTH} deep", "a record is flat; remove brackets")
        return self.mapping(event, path) if isinstance(event, yaml.MappingStartEvent) else self.sequence(event, path)

    def mapping(self, event: _Event, path: Key) -> dict[str, Value]:
        result: dict[str, Value] = {}
        take, scalars = self.next, self.document.scalars
        while not isinstance(key_event := take(), yaml.MappingEndEvent):
            if not isinstance(key_event, yaml.ScalarEvent):
                raise self.at(key_event, "key", "a key that is not a plain word", "write `key: value`")
            key = key_event.value
            if key_event.anchor is not None or key_event.tag is not None:
                self.at(key_event, "anchor", "an anchor or a tag on a key", "delete it; they are not allowed")
            scalars.append((key_event.start_mark.index, key_event.end_mark.index))
            if key == "<<":
                self.at(key_event, "merge-key", "a merge key (<<)", "write the fields out")
            if self.escapes:
                self.check_escapes(key_event)
            if key in result:
                first = self.document.spans[(*path, key)].line
                self.at(key_event, "duplicate-key", f"{key}: stands twice (first on line {first})", "delete one")
                self.value(take(), (*path, key))
                continue
            child = (*path, key)
            result[key] = self.place(take(), child, key_event)
        if event.flow_style:
            self.end = key_event.end_mark.index
        return result

    def sequence(self, event: _Event, path: Key) -> list[Value]:
        result: list[Value] = []
        take = self.next
        while not isinstance(item := take(), yaml.SequenceEndEvent):
            result.append(self.place(item, (*path, len(result)), item))
        if event.flow_style:
            self.end = item.end_mark.index
        return result

    def place(self, event: _Event, path: Key, key_event: _Event) -> Value:
        """The value of an event, with its span recorded before those of its children."""
        key, mark = key_event.start_mark, event.start_mark
        if isinstance(event, yaml.ScalarEvent) and event.anchor is None and event.tag is None:  # nearly every one
            self.end = event.end_mark.index
            value = self.scalar(event)
            span = (key.line + 1, key.column + 1, mark.line + 1, mark.column + 1, key.index, mark.index, self.end)
            self.document.spans[path] = Span._make(span)
            return value
        span = Span(key.line + 1, key.column + 1, mark.line + 1, mark.column + 1, key.index, mark.index, mark.index)
        self.document.spans[path] = span
        value = self.value(event, path)
        self.document.spans[path] = span._replace(end=self.end)
        return value

    def scalar(self, event: _Event) -> Value:
        start = event.start_mark.index
        if event.style in ("|", ">"):
            # Ends with its last line of text; what follows the indicator on its own line may be a comment.
            self.end = start + len(self.document.text[start : self.end].rstrip())
            start = self.document.text.find("\n", start)
        self.document.scalars.append((start, max(start, self.end)))
        if self.escapes:
            self.check_escapes(event)
        text = event.value
        if event.style or not event.implicit[0]:
            return text
        if text in ("", "~", "null"):
            return None
        if text in ("true", "false"):
            return text == "true"
        if _INTEGER.fullmatch(text) and len(text) <= MAX_DIGITS:
            return int(text)
        self.refuse_implicit(event, text)
        return text

    def refuse_implicit(self, event: _Event, text: str) -> None:
        """An unquoted scalar must not mean something else to another YAML reader."""
        resolvers = _RESOLVERS.get(text[0], [])
        if not _NUMBER_12.fullmatch(text) and not any(regexp.match(text) for _, regexp in resolvers):
            return
        if _ARXIV.fullmatch(text):
            message = f"the arXiv id {text} is not quoted and would be read as the number {float(text)}"
        else:
            message = f"{text} is not quoted and would be read as a number, a date or a truth value"
        quoted = f'"{text}"'
        self.at(event, "unquoted", message, f"write {quoted}").mend = (
            event.start_mark.index,
            event.end_mark.index,
            quoted,
        )

    def check_escapes(self, event: _Event) -> None:
        match = _FORBIDDEN_ESCAPED.search(event.value)
        if match:
            self.at(event, "control-character", f"the escaped character U+{ord(match.group()):04X}", "delete it")
