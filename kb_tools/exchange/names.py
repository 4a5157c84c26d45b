"""People's names as bibliographies cut them up.  BibTeX's own rules decide which words are the family name."""

from __future__ import annotations

import re
from typing import NamedTuple

from kb_tools.records.naming import is_collective
from kb_tools.records.plain_text import without_markup

_OTHERS = re.compile(r"(?:,?\s*\bet\s+al\b\.?|,?\s*(?:\band\b\s+|&\s*)?\bothers)\s*\.?\s*$", re.IGNORECASE)
_INITIALS = re.compile(r"(?:[A-Z]\.?[\s-]?){1,4}")
_SUFFIX = re.compile(r"(?i)jr\.?|sr\.?|i{1,3}|iv|ph\.?d\.?|m\.?d\.?")


class Name(NamedTuple):
    """A person's name in parts; `literal` alone is set for what is no person's name."""

    given: str = ""
    particle: str = ""
    family: str = ""
    suffix: str = ""
    literal: str = ""

    def whole(self) -> str:
        """The name as it is written on a paper."""
        return self.literal or " ".join(part for part in (self.given, self.particle, self.family, self.suffix) if part)


def is_literal(name: str) -> bool:
    """Whether BibTeX would cut a name up wrongly: a single word, a comma, ` and `, a note, no capital, many people."""
    words = name.split()
    return (
        len(words) < 2
        or not name[0].isupper()
        or "and" in words
        or "others" in words
        or is_collective(name)
        or not set(name).isdisjoint("(),{}\\")
    )


def split(name: str) -> Name:
    """The parts of a name written given name first: Aaron van den Oord."""
    if is_literal(name):
        return Name(literal=name)
    return _parts(name)


def split_bibtex(name: str) -> Name:
    """The parts of one name of a BibTeX author field, its LaTeX kept.  A name all in braces is a literal."""
    if name.startswith("{") and name.endswith("}") and _closes_last(name):
        return Name(literal=name[1:-1])
    return _parts(name)


def people(field: str) -> tuple[list[str], list[str]]:
    """The names of an author field as they are written on a paper, and what is not certain about them.

    BibTeX joins names by ` and `.  Others write `&`, `;` and commas too: those are understood where they can be.
    """
    from bibtexparser.middlewares.names import split_multiple_persons_names

    field = without_markup(" ".join(field.split()))
    field, others = _without_others(field)
    doubts = ["not all authors are named"] if others else []
    names: list[str] = []
    for name in split_multiple_persons_names(_joined_by_and(_without_last_and(field))):
        found, doubt = _listed(name)
        names += found
        doubts += doubt
    whole = (split_bibtex(name).whole() for name in names)
    return [name for name in whole if name], list(dict.fromkeys(doubts))


def _without_others(field: str) -> tuple[str, bool]:
    """The field without the words for `and others`, and whether they stood there."""
    found = _OTHERS.search(field)
    field = field[: found.start()] if found else field
    return re.sub(r"(?:\s+and|\s*[,;&])\s*$|^\s*and\s+", "", field).strip(), bool(found)


def _without_last_and(field: str) -> str:
    """`Ann Roe, Bob Doe, and Cy Poe` as the list with commas that it is; any other field as it stands."""
    listed = re.sub(r",\s+and\s+", ", ", field)
    return listed if " and " not in listed and len(_listed(listed)[0]) > 1 else field


def _joined_by_and(field: str) -> str:
    """Ampersands and semicolons outside of braces written as ` and `."""
    parts, depth = [], 0
    for part in re.split(r"((?<!\\)[{}]|\s*;\s*|\s+\\?&\s+)", field):
        depth += {"{": 1, "}": -1}.get(part, 0)
        parts.append(" and " if depth == 0 and part.strip() in (";", "&", "\\&") else part)
    return "".join(parts).strip()


def _listed(name: str) -> tuple[list[str], list[str]]:
    """The names that one name is where commas join several: `Ann Roe, Bob Doe, Cy Poe` or `Roe, A., Doe, B.`."""
    if "{" in name or name.count(",") == 0:
        return [name], []
    parts = [part.strip() for part in name.split(",") if part.strip()]
    initials = [bool(_INITIALS.fullmatch(part)) for part in parts]
    if len(parts) >= 4 and len(parts) % 2 == 0 and all(initials[1::2]) and not any(initials[::2]):
        return [f"{family}, {given}" for family, given in zip(parts[::2], parts[1::2], strict=True)], []
    several = [len(part.split()) > 1 and part.split()[0][0].isupper() for part in parts]
    if len(parts) >= 3 and all(several):
        return parts, []
    if len(parts) == 2 and all(several) and not any(initials):
        return [name], [f"not certain whether this is one person or two: {name}"]
    if len(parts) >= 3 and not _SUFFIX.fullmatch(parts[1]):
        return [name], [f"not certain who this is: {name}"]
    return [name], []


def _parts(name: str) -> Name:
    from bibtexparser.middlewares.names import parse_single_name_into_parts

    parts = parse_single_name_into_parts(name, strict=False)
    return Name(" ".join(parts.first), " ".join(parts.von), " ".join(parts.last), " ".join(parts.jr))


def _closes_last(name: str) -> bool:
    """Whether the first brace is closed by the last one."""
    depth = 0
    for index, letter in enumerate(name):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if depth == 0:
            return index == len(name) - 1
    return False
