"""People's names as bibliographies cut them up.  BibTeX's own rules decide which words are the family name."""

from __future__ import annotations

import re
from typing import NamedTuple

from kb_tools.exchange.latex import accented
from kb_tools.records.naming import is_collective
from kb_tools.records.plain_text import without_markup

_OTHERS = re.compile(r"(?:,?\s*\bet\s+al\b\.?|,?\s*(?:\band\b\s+|&\s*)?\{?\bothers\}?)\s*\.?\s*$", re.IGNORECASE)
_INITIALS = re.compile(r"(?:[A-Z]\.?[\s-]?){1,4}")
_SUFFIX = re.compile(r"(?i)jr\.?|sr\.?|i{1,3}|iv|ph\.?d\.?|m\.?d\.?")
# What stands beside a name and is no part of it: affiliations, notes, how it looks, an identifier of the person.
_LOOKS = re.compile(
    r"\\(?:text(?:bf|it|sc|rm|sf|normal)|emph|underline|uline|mbox)\s*\{([^{}]*)\}"
    r"|\{\\(?:bf|it|em|sc|bfseries|itshape|scshape)\s+([^{}]*)\}"
)
_BESIDE = re.compile(
    r"\\(?:text)?superscript\s*\{[^{}]*\}|\$\s*\^?\s*\{?[\\\w,*\s]*\}?\s*\$|\\(?:thanks|footnote|inst|orcid\w*|email)\s*\{[^{}]*\}"
    r"|\\(?:footnotemark|dag|ddag|dagger|ddagger|textdagger|textasteriskcentered|ast|star)(?![A-Za-z])(?:\{\})?|\\\*"
    r"|\((?:https?://)?(?:orcid(?:\.org/|:\s*))?\d{4}-\d{4}-\d{4}-\d{3}[\dX]\)|[*\u2020\u2021\u00a7\u00b6\u2709\u2070-\u2079\u00b9\u00b2\u00b3]+"
    r"|(?<=[^\W\d_])\d+(?:,\d+)*(?=\s|,|$)",
    re.IGNORECASE,
)
_NOTED = re.compile(r"\s*\([^()]*\)\s*$|\s*<[^<>]*@[^<>]*>\s*$")
_PART = re.compile(r"([A-Za-z-]+)\s*=\s*(\{[^{}]*\}|\"[^\"]*\"|[^,]*)")
_BY_PARTS = re.compile(r"\s*(?:family|given|prefix|suffix)(?:-i)?\s*=")
# A family name with its initials behind it, without a comma: as medicine cites.
_MEDICAL = re.compile(r"((?:[a-z]+ )*[^\W\d_][\w'\u2019-]+(?: [^\W\d_][\w'\u2019-]+)?) ([A-Z]{1,3})")


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

    if not field.strip():
        return [], []
    field = accented(without_markup(" ".join(field.split())))
    field = re.sub(r"\\and(?![A-Za-z])", " and ", re.sub(r"(?<!\\)~", " ", field))
    field, others = _without_others(_LOOKS.sub(lambda found: found[1] or found[2] or "", field))
    doubts = ["not all authors are named"] if others else []
    names: list[str] = []
    pieces = split_multiple_persons_names(_joined_by_and(_without_last_and(field)))
    given_first = any(_is_whole(piece) for piece in pieces)
    for name in pieces:
        name, doubt = _bare(name)
        doubts += doubt
        found, doubt = _listed(name, given_first=given_first)
        names += found
        doubts += doubt
    if len(names) > 1 and all(_MEDICAL.fullmatch(name) for name in names):
        doubts.append("read as family names with initials behind them")
        names = [_MEDICAL.sub(r"\1, \2", name) for name in names]
    whole = (split_bibtex(name).whole() for name in names)
    return [name for name in whole if name], list(dict.fromkeys(doubts))


def _is_whole(name: str) -> bool:
    """Whether a name of two words or more stands without a comma: given names first."""
    return not set(name) & set("{},") and len(name.split()) > 1


def _bare(name: str) -> tuple[str, list[str]]:
    """One name without what stands beside it; a note in brackets is named.  What braces hold together stays."""
    if _BY_PARTS.match(name):
        said = {found[1].lower(): found[2].strip().strip('{}"') for found in _PART.finditer(name)}
        given = said.get("given") or said.get("given-i", "")
        parts = (given, said.get("prefix", ""), said.get("family", ""), said.get("suffix", ""))
        return f"{{{' '.join(part for part in parts if part)}}}", []
    if name.startswith("{"):
        return name, []
    name = " ".join(_BESIDE.sub("", name).split())
    name = re.sub(r"(?<=[a-z]{2})\.$", "", name) if not re.search(r"\b(?:[JS]r|Inc|Ltd|al)\.$", name) else name
    noted = _NOTED.search(name)
    doubts = [f"not taken for a part of a name: {noted.group().strip()}"] if noted else []
    if " with " in name:
        doubts.append(f"not certain whether this is one person or two: {name}")
    return name[: noted.start()] if noted else name, doubts


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


def _listed(name: str, *, given_first: bool = False) -> tuple[list[str], list[str]]:
    """The names that one name is where commas join several: `Ann Roe, Bob Doe, Cy Poe` or `Roe, A., Doe, B.`.

    given_first: another name of the field stands without a comma, so that a comma is likely to part two people.
    """
    if "{" in name or name.count(",") == 0:
        return [name], []
    parts = [part.strip() for part in name.split(",") if part.strip()]
    initials = [bool(_INITIALS.fullmatch(part)) for part in parts]
    if len(parts) >= 4 and len(parts) % 2 == 0 and all(initials[1::2]) and not any(initials[::2]):
        return [f"{family}, {given}" for family, given in zip(parts[::2], parts[1::2], strict=True)], []
    several = [len(part.split()) > 1 and part.split()[0][0].isupper() for part in parts]
    if len(parts) >= 3 and all(several):
        return parts, []
    if len(parts) >= 2 and all(_MEDICAL.fullmatch(part) for part in parts):
        return [_MEDICAL.sub(r"\1, \2", part) for part in parts], []
    if len(parts) == 2 and all(several) and given_first:
        return parts, [f"read as two people, not as one: {name}"]
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
