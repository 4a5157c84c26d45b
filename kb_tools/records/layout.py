"""The one way a record file is laid out, and how hand-written comments are carried into it.

Keys in the model's order; two spaces; identifiers bare, integers bare, all other strings quoted; running text as a
literal block, one sentence per line; lists and small mappings on one line where they fit; LF; UTF-8 as it is.
Laying out twice changes nothing, and no comment is ever dropped.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from kb_tools.records.fields import (
    BARE_FIELDS,
    NESTED_FIELDS,
    OUTSIDE_FILE,
    OUTSIDE_SCHEMA,
    PAPER_KINDS,
    PAPER_SCHEMA,
    RECORD_FIELDS,
    TEXT_FIELDS,
    TOPIC_FIELDS,
    TOPICS_FILE,
    TOPICS_SCHEMA,
)
from kb_tools.records.reader import Document, Key, Value, read_text

WIDTH = 110
MODELINE = "# yaml-language-server: $schema="

_BARE_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_BARE_VALUE = re.compile(r"[a-z][a-z0-9_-]*")
# Words that some YAML reader takes for a truth value or for null.
_RESERVED = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
# What a literal block gives back as it was: no space first, none at the end of a line, no line break last.
_LITERAL = re.compile(r"(?! )[^\n]*[^\n ](?:\n(?:[^\n]*[^\n ])?)*(?<!\n)")
_SENTENCE_END = re.compile(r"(?<=[.!?])([\"')\]]*) +(?=[\"'(\[]?[A-Z])")
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:[A-Z]|al|cf|Dr|e\.g|Eqs?|etc|Figs?|i\.e|No|pp?|Prof|Refs?|Secs?|St|vs)\.$")


class Comments:
    """Hand-written comments, each kept with the field it stands above or behind.

    `above` and `behind` are keyed by the path of that field; `last` stand at the end of the file.
    """

    def __init__(self) -> None:
        self.above: dict[Key, list[str]] = {}
        self.behind: dict[Key, str] = {}
        self.last: list[str] = []

    @classmethod
    def of(cls, document: Document) -> Comments:
        """Find the comments of a document that was read without a syntax error; the schema modeline is not one."""
        comments = cls()
        text = document.text.replace("\r\n", " \n")
        found = list(_comments_outside(text, document.scalars))
        if not found:
            return comments
        on_line: dict[int, list[tuple[Key, int]]] = {}
        for path, span in document.spans.items():
            on_line.setdefault(span.line, []).append((path, span.end))
        lines = sorted(on_line)
        for index, alone, words in found:
            if alone and words.startswith(MODELINE):
                continue
            line = text.count("\n", 0, index) + 1
            after = [start for start in lines if start > line]
            before = [start for start in lines if start <= line]
            if not alone and before:
                nodes = on_line[before[-1]]
                # Behind a whole value it is about that value; behind an opening it is about what is opened.
                complete = [path for path, end in nodes if end <= index]
                target = min(complete or [path for path, _ in nodes], key=len)
                if target not in comments.behind:
                    comments.behind[target] = words
                    continue
            if after:
                target = min((path for path, _ in on_line[after[0]]), key=len)
                comments.above.setdefault(target, []).append(words)
            else:
                comments.last.append(words)
        return comments

    def inside(self, path: Key) -> bool:
        """Whether a comment belongs to something inside the field at `path`."""
        depth = len(path)
        return any(len(key) > depth and key[:depth] == path for key in (*self.above, *self.behind))

    def take_above(self, path: Key) -> list[str]:
        """The lines that stand above a field, which are then written."""
        return self.above.pop(path, [])

    def take_behind(self, path: Key) -> str:
        """The comment behind a field with the space before it, or nothing."""
        words = self.behind.pop(path, "")
        return f"  {words}" if words else ""

    def rest(self) -> list[str]:
        """Comments whose field is gone, and those at the end of the file."""
        return [*(words for lines in self.above.values() for words in lines), *self.behind.values(), *self.last]

    def within(self, key: str) -> Comments:
        """The comments of one top-level field and of what is inside it."""
        part = Comments()
        part.above = {path: list(words) for path, words in self.above.items() if path[0] == key and len(path) > 1}
        part.behind = {path: words for path, words in self.behind.items() if path[0] == key}
        return part


def _comments_outside(text: str, scalars: Iterable[tuple[int, int]]) -> Iterator[tuple[int, bool, str]]:
    """(position, alone on its line, text) of each comment: what follows # outside every scalar."""
    position = 0
    for start, end in [*sorted(scalars), (len(text), len(text))]:
        gap = text[position:start]
        for match in re.finditer(r"(?<!\S)#[^\n]*", gap):
            index = position + match.start()
            alone = not text[text.rfind("\n", 0, index) + 1 : index].strip()
            yield index, alone, match.group().rstrip()
        position = max(position, end)


def sentences(text: str) -> str:
    """Put every sentence on a line of its own; lines that are already broken stay broken."""
    lines = []
    for line in text.split("\n"):
        position = 0
        for match in _SENTENCE_END.finditer(line):
            if _ABBREVIATION.search(line[: match.start()]):
                continue
            lines.append(line[position : match.start()] + match.group(1))
            position = match.end()
        lines.append(line[position:])
    return "\n".join(line.rstrip() for line in lines).strip()


def dump(record: Mapping[str, Value], comments: Comments | None = None) -> str:
    """Canonical text of one record, from plain data.  Absent, null and empty fields are left out."""
    folder = "" if record.get("kind") in (*PAPER_KINDS, None) else "../"
    return _Writer(comments).file(record, folder + PAPER_SCHEMA, tuple(RECORD_FIELDS))


def dump_topics(topics: Mapping[str, Value], comments: Comments | None = None) -> str:
    """Canonical text of topics.yaml; the order of topics is kept, for it is the order on the site."""
    return _Writer(comments).file(topics, TOPICS_SCHEMA, ())


def dump_outside(outside: Mapping[str, Value], comments: Comments | None = None) -> str:
    """Canonical text of outside.yaml."""
    return _Writer(comments).file(outside, OUTSIDE_SCHEMA, ())


def canonical(document: Document) -> str:
    """Canonical text of a file that was read without problems, its comments included.

    A comment that moves with its field may let a container close up, so this repeats until nothing moves.
    """
    layout = {TOPICS_FILE: dump_topics, OUTSIDE_FILE: dump_outside}.get(document.path.name, dump)
    text = document.text
    while (changed := layout(document.require(), Comments.of(document))) != text:
        text = changed
        document = read_text(document.path, text)
    return text


def field_lines(key: str, value: Value, comments: Comments | None = None) -> list[str]:
    """Canonical lines of one top-level field, as `dump` writes them."""
    writer = _Writer(comments)
    return writer.entry((key,), normalise(value, key), 0)


def normalise(value: Value, field: str) -> Value:
    """A value as the canonical layout keeps it: composed characters, one sentence per line of a summary."""
    if isinstance(value, str):
        value = value if value.isascii() else unicodedata.normalize("NFC", value)
        return sentences(value) if field == "summary" else value
    if isinstance(value, list):
        return [normalise(item, field) for item in value]
    if isinstance(value, dict):
        return {key: normalise(item, key) for key, item in value.items()}
    return value


def is_absent(value: Value) -> bool:
    """Whether a top-level value says no more than its absence does."""
    return value is None or value is False or value in ([], {}, "")


class _Writer:
    def __init__(self, comments: Comments | None) -> None:
        self.comments = comments or Comments()

    def file(self, data: Mapping[str, Value], schema: str, order: tuple[str, ...]) -> str:
        lines = [MODELINE + schema]
        for key in _ordered(data, order):
            if not is_absent(data[key]):
                lines += self.entry((key,), normalise(data[key], key), 0)
        lines += self.comments.rest()
        return "\n".join(lines) + "\n"

    def entry(self, path: Key, value: Value, indent: int) -> list[str]:
        """Lines of `key: value` with its comments."""
        pad = " " * indent
        above = [pad + words for words in self.comments.take_above(path)]
        head = f"{pad}{_key(str(path[-1]))}:"
        behind = self.comments.take_behind(path)
        if isinstance(value, str) and (path[-1] in TEXT_FIELDS or "\n" in value) and _LITERAL.fullmatch(value):
            body = [f"{pad}  {line}" if line else "" for line in value.split("\n")]
            return [*above, f"{head} |-{behind}", *body]
        if isinstance(value, list | dict) and value and not self.on_one_line(path, value, len(head)):
            body = self.items(path, value, indent) if isinstance(value, list) else self.pairs(path, value, indent + 2)
            return [*above, head + behind, *body]
        return [*above, f"{head} {_inline(value, path)}{behind}"]

    def pairs(self, path: Key, value: dict[str, Value], indent: int) -> list[str]:
        keys = _ordered(value, _order_of(path))
        return [line for key in keys for line in self.entry((*path, key), value[key], indent)]

    def items(self, path: Key, value: list[Value], indent: int) -> list[str]:
        pad = " " * indent
        lines: list[str] = []
        for index, item in enumerate(value):
            child = (*path, index)
            lines += [pad + words for words in self.comments.take_above(child)]
            behind = self.comments.take_behind(child)
            if isinstance(item, str) and "\n" in item and _LITERAL.fullmatch(item):
                lines += [f"{pad}- |-{behind}", *(f"{pad}  {line}" if line else "" for line in item.split("\n"))]
            elif isinstance(item, dict) and item and not self.on_one_line(child, item, indent + 2):
                body = self.pairs(child, item, indent + 2)
                first = next(number for number, line in enumerate(body) if not line.lstrip().startswith("#"))
                lines += [line[2:] for line in body[:first]]
                lines += [f"{pad}- {body[first][indent + 2 :]}{behind}", *body[first + 1 :]]
            else:
                lines.append(f"{pad}- {_inline(item, child)}{behind}")
        return lines

    def on_one_line(self, path: Key, value: list[Value] | dict[str, Value], used: int) -> bool:
        """Whether a container is short, plain and free of comments inside."""
        children = value if isinstance(value, list) else list(value.values())
        if len(path) == 1 and any(isinstance(child, list | dict) for child in children):
            return False
        if self.comments.inside(path):
            return False
        return not _has_lines(value) and used + 1 + len(_inline(value, path)) <= WIDTH


def _ordered(data: Mapping[str, Value], order: tuple[str, ...]) -> list[str]:
    known = [key for key in order if key in data]
    return known + [key for key in data if key not in order]


def _field(path: Key) -> str:
    """Name of the innermost field of a path: list positions do not count."""
    return next((part for part in reversed(path) if isinstance(part, str)), "")


def _order_of(path: Key) -> tuple[str, ...]:
    """Order of keys inside the mapping at `path`."""
    if len(path) == 1 and isinstance(path[0], str) and path[0] not in RECORD_FIELDS:
        return TOPIC_FIELDS
    if path == ("authors_code",):
        return NESTED_FIELDS["authors_code"]
    if len(path) == 2 and path[0] in ("equations", "algorithms"):
        return NESTED_FIELDS[path[0]]
    return NESTED_FIELDS.get(_field(path), ()) if isinstance(path[-1], int) or path[-1] == "as_written" else ()


def _has_lines(value: Value) -> bool:
    if isinstance(value, list | dict):
        return any(_has_lines(child) for child in (value if isinstance(value, list) else value.values()))
    return isinstance(value, str) and "\n" in value


@lru_cache(maxsize=1 << 10)
def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) and key.lower() not in _RESERVED else json.dumps(key, ensure_ascii=False)


def _inline(value: Value, path: Key) -> str:
    if isinstance(value, str):
        last = path[-1]
        return _string(value, last if isinstance(last, str) else _field(path))
    if isinstance(value, list):
        return "[" + ", ".join(_inline(item, (*path, 0)) for item in value) + "]"
    if isinstance(value, dict):
        keys = _ordered(value, _order_of(path))
        return "{" + ", ".join(f"{_key(key)}: {_inline(value[key], (*path, key))}" for key in keys) + "}"
    return "null" if value is None else str(value).lower()


def _string(value: str, field: str) -> str:
    if field in BARE_FIELDS and _BARE_VALUE.fullmatch(value) and value not in _RESERVED:
        return value
    plain = value.isprintable()
    if plain and "'" not in value and ("\\" in value or '"' in value):
        return f"'{value}'"
    return json.dumps(value, ensure_ascii=False)
