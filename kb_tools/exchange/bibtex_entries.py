"""The entries of a BibTeX file as it was meant: values joined and named, fields inherited, missing commas put in.

bibtexparser tells the blocks apart.  What a value says is worked out here, for the library leaves `#` as it is, takes
the field behind a missing comma for a part of the value before it, and inherits nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kb_tools.exchange.work import Unread

_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_LONGEST = 100_000  # letters of one value: macros that name macros could grow without end
_DEEPEST = 8  # parents above an entry
_NAME = re.compile(r"\s*,?\s*([A-Za-z][\w.:+/-]*)\s*=\s*")
_WORD = re.compile(r"[^\s#,{}\"=]+")
_FIELDS_OUTSIDE = re.compile(r"""(?m)^\s*[,}]|[\w-]+\s*=\s*[{"]|@\w+\s*[{(]""")
_COMMENTED = re.compile(r"(?m)^[ \t]*%+[ \t]*(@(?!comment|string|preamble)[A-Za-z]+[ \t]*[{(].*)", re.IGNORECASE)
# What a parent does not pass on: it is of the parent alone.
_OWN = frozenset(
    [
        "title",
        "subtitle",
        "shorttitle",
        "sorttitle",
        "key",
        "ids",
        "crossref",
        "xref",
        "xdata",
        "entryset",
        "keywords",
        "abstract",
        "annotation",
        "annote",
        "note",
        "author",
        "doi",
        "url",
        "eprint",
        "file",
        "pages",
        "label",
    ]
)
_INSIDE = frozenset({"inproceedings", "incollection", "inbook", "conference", "suppbook", "suppcollection"})
_NO_WORKS = frozenset({"xdata", "set"})


@dataclass
class BibEntry:
    """line: from 1.  kind and names of fields in lower case.  remarks: what was mended or could not be."""

    line: int
    kind: str
    key: str
    fields: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def entries(text: str) -> tuple[list[BibEntry], list[Unread]]:
    """Every entry that is a work, in the order of the file, and what could not be read."""
    macros = {month[:3].lower(): month for month in _MONTHS}
    found: list[BibEntry] = []
    unread: list[Unread] = []
    text = _without_what_is_commented_out(text, unread)
    for kind, line, key, raw in _blocks(text, unread):
        entry = BibEntry(line, kind, key)
        try:
            for name, value in _fields(raw, macros, entry.remarks):
                if kind == "string":
                    macros[name] = value
                elif entry.fields.setdefault(name, value) != value:
                    entry.remarks.append(f"{name} stands twice; the first is taken")
        except _Refused as error:
            unread.append(Unread(line, f"@{kind}{{{key}: {error}", refused=True))
            continue
        if kind != "string":
            found.append(entry)
    _inherit(found)
    unread += [Unread(one.line, f"@set{{{one.key}: a set of other entries") for one in found if one.kind == "set"]
    return [one for one in found if one.kind not in _NO_WORKS], unread


def _without_what_is_commented_out(text: str, unread: list[Unread]) -> str:
    """The text with entries behind `%` as empty lines.  BibTeX itself reads them; biber and their author do not."""
    if not _COMMENTED.search(text):
        return text
    lines = text.split("\n")
    inside = False
    for number, line in enumerate(lines):
        if begun := _COMMENTED.match(line):
            unread.append(Unread(number + 1, f"commented out: {begun[1][:60]}"))
        inside = bool(begun) or (inside and line.lstrip().startswith("%"))
        lines[number] = "" if inside else line
    return "\n".join(lines)


class _Refused(ValueError):
    """Why an entry is left out."""


def _blocks(text: str, unread: list[Unread]) -> Iterator[tuple[str, int, str, list[tuple[str, str]]]]:
    """(kind, line, key, fields as they are written) of each entry and each @string."""
    import logging

    from bibtexparser.entrypoint import parse_string
    from bibtexparser.model import Entry, ImplicitComment, ParsingFailedBlock, String

    logging.getLogger("bibtexparser").setLevel(logging.CRITICAL)  # it logs what it also returns
    failed = False
    for block in parse_string(text, parse_stack=[]).blocks:
        while isinstance(block, ParsingFailedBlock) and block.ignore_error_block:  # a key or field that stands twice
            block = block.ignore_error_block
        line = (block.start_line or 0) + 1
        if isinstance(block, Entry):
            yield block.entry_type.lower(), line, block.key, [(one.key, str(one.value)) for one in block.fields]
        elif isinstance(block, String):
            yield "string", line, block.key, [(block.key, str(block.value))]
        elif isinstance(block, ParsingFailedBlock):
            begun = " ".join((block.raw or "").split())[:60]
            unread.append(Unread(line, f"not a whole entry: {begun}", refused=True))
        elif isinstance(block, ImplicitComment) and not failed and _FIELDS_OUTSIDE.search(block.comment):
            begun = " ".join(block.comment.split())[:60]
            unread.append(
                Unread(line, f"stands outside of any entry; a brace too many before it? {begun}", refused=True)
            )
        # What follows a broken entry is the rest of it, and was named with it.
        failed = isinstance(block, ParsingFailedBlock)


def _fields(raw: list[tuple[str, str]], macros: Mapping[str, str], remarks: list[str]) -> Iterator[tuple[str, str]]:
    """Names and values, those included that stand behind a missing comma."""
    for written, text in raw:
        name: str | None = written.strip().lower()
        rest = text
        while name is not None:
            value, rest = _value(rest, macros, remarks)
            yield name, value
            behind = _NAME.match(rest)
            if behind is not None:
                remarks.append(f"a comma was missing before {behind[1]}")
                name, rest = behind[1].lower(), rest[behind.end() :]
            else:
                if rest.strip():
                    remarks.append(f"not read behind {name}: {' '.join(rest.split())[:60]}")
                name = None


def _value(text: str, macros: Mapping[str, str], remarks: list[str]) -> tuple[str, str]:
    """The value that a text begins with, its pieces joined, and the text behind it."""
    pieces: list[str] = []
    while True:
        text = text.lstrip()
        if text[:1] in ("{", '"'):
            end = _closing(text)
            pieces.append(text[1:end])
            text = text[end + 1 :]
        elif word := _WORD.match(text):
            pieces.append(_named(word.group(), macros, remarks))
            text = text[word.end() :]
        if sum(map(len, pieces)) > _LONGEST:
            raise _Refused(f"a value grows longer than {_LONGEST} letters")
        rest = text.lstrip()
        if not rest.startswith("#"):
            return "".join(pieces).strip(), text
        text = rest[1:]


def _named(word: str, macros: Mapping[str, str], remarks: list[str]) -> str:
    if word.lower() in macros:
        return macros[word.lower()]
    if not word.isdecimal():
        remarks.append(f"no @string is called {word}")
    return word


def _closing(text: str) -> int:
    """Where the brace or quotation mark that a text begins with is closed; its end where nothing closes it."""
    quoted, depth = text[0] == '"', 0
    for found in re.finditer(r'(?<!\\)[{}"]', text):
        depth += {"{": 1, "}": -1}.get(found.group(), 0)
        if depth == 0 and found.start() > 0 and (found.group() == '"') == quoted:
            return found.start()
    return len(text)


def _inherit(found: list[BibEntry]) -> None:
    """Give every entry what its parents have and it lacks."""
    by_key: dict[str, BibEntry] = {}
    for one in found:
        by_key.setdefault(one.key.lower(), one)
    for one in found:
        above, seen = [(one, 0)], {id(one)}
        while above:
            child, depth = above.pop(0)
            for kind in ("xdata", "crossref"):
                for key in (child.fields.get(kind) or "").split(",") if child.fields.get(kind) else ():
                    parent = by_key.get(key.strip().lower())
                    if parent is None:
                        one.remarks.append(f"{kind} names {key.strip()}, which this file does not have")
                    elif id(parent) not in seen and depth < _DEEPEST:
                        seen.add(id(parent))
                        _take(one, parent, whole=kind == "xdata")
                        above.append((parent, depth + 1))


def _take(child: BibEntry, parent: BibEntry, *, whole: bool) -> None:
    for name, value in parent.fields.items():
        if (whole or name not in _OWN) and not child.fields.get(name):
            child.fields[name] = value
    if not whole and child.kind in _INSIDE and parent.fields.get("title") and not child.fields.get("booktitle"):
        child.fields["booktitle"] = parent.fields["title"]
