"""References as styles print them: by whom, when, what it is called, and what else is said.

Names decide: what stands before the title must be people, each with a given name or initials, or nothing is read.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_LETTER = r"[^\W\d_]"
_WORD = rf"(?:{_LETTER}[\w'’‘`-]*)"
_PARTICLE = r"(?:van|von|der|den|de|del|della|di|da|dos|du|la|le|ten|ter|el|al|bin|ibn|af|zu|zur)"
_INITIALS = rf"(?:{_LETTER}\.(?:[\s-]?{_LETTER}\.)*)"
_FAMILY = rf"(?:(?:{_PARTICLE}\s+)*{_WORD}(?:\s+{_WORD})?)"
_TURNED = re.compile(rf"({_FAMILY}),\s*({_INITIALS})(?:,?\s*(?:and|&)\s+|\s*[,;]\s*(?:(?:and|&)\s+)?|$)", re.IGNORECASE)
_MEDICAL = re.compile(rf"((?:{_PARTICLE} )*{_WORD}) ([A-Z]{{1,3}})")
_WHOLE = re.compile(rf"(?:{_INITIALS}|{_WORD})(?:\s+(?:{_INITIALS}|{_WORD})){{1,4}}(?:,?\s(?:Jr|Sr)\.?)?")
_ET_AL = re.compile(r",?\s*\b(?:et\s+al\b\.?|and\s+others)\s*$", re.IGNORECASE)
_YEAR = re.compile(r"(?<![\d.:/])(1[6-9]\d\d|20\d\d)(?![\d/])")
_NUMBERED = re.compile(r"\s*(?:\[(?:\d{1,4}|[A-Za-z+-]{1,16}\d{2,4}[a-z]?)\]|\(?\d{1,4}[.)](?=\s))\s*")
_QUOTED = re.compile(r'["“](.+?)[,.]?["”]')
_DATED = re.compile(r"\s*\(((?:19|20)\d\d)[a-z]?(?:,[^()]*)?\)[.,:]?\s*|\.\s+((?:19|20)\d\d)[a-z]?\.\s+")
_END = re.compile(r"(?<=[\w)\]\"”*$])[.?!](?:\s+|$)")
_LONGEST = 2000  # letters of one reference


class Reference(NamedTuple):
    """authors: as they are written on a paper.  others: more are meant.  rest: what stands behind the title."""

    authors: list[str]
    others: bool
    title: str
    year: int | None
    rest: str


def numbered(text: str) -> int:
    """How long the number or label is with which a reference begins; 0 if it has none."""
    found = _NUMBERED.match(text)
    return found.end() if found else 0


def names(text: str) -> tuple[list[str], bool] | None:
    """The people that a text names and whether more are meant; None if it is not people all through."""
    text = " ".join(text.split()).strip(" ,;.:") + (
        "." if re.search(rf"(?:\b{_LETTER}|\b[JS]r|\bal)\.\s*$", text) else ""
    )
    others = _ET_AL.search(text)
    text = text[: others.start()] if others else text
    if not text or re.search(r"[\d\"“”*_\[\](){}/\\<>=@|?!]", text):
        return None
    found = _turned(text) or _medical(text) or _listed(text)
    if found is None and others and re.fullmatch(_FAMILY, text):
        found = [text]  # `Roe et al.`
    return (found, bool(others)) if found else None


def _turned(text: str) -> list[str] | None:
    found, end = [], 0
    for one in _TURNED.finditer(text):
        if one.start() != end:
            return None
        found.append(f"{' '.join(one[2].split())} {one[1]}")
        end = one.end()
    return found if end == len(text) else None


def _medical(text: str) -> list[str] | None:
    parts = [_MEDICAL.fullmatch(part.strip()) for part in re.split(r"[,;]", text.removesuffix("."))]
    return [f"{one[2]} {one[1]}" for one in parts if one] if all(parts) else None


def _listed(text: str) -> list[str] | None:
    """Given names first; the first of all may have its family name first, as some styles turn it."""
    parts = [part for part in re.split(r"\s*[,;]\s*(?:(?:and|&)\s+)?|\s+(?:and|&)\s+", text) if part]
    if len(parts) > 1 and not _is_whole(parts[0]) and re.fullmatch(_FAMILY, parts[0]) and _is_given(parts[1]):
        parts = [f"{parts[1]} {parts[0]}", *parts[2:]]
    return parts if all(_is_whole(part) for part in parts) else None


def _is_given(part: str) -> bool:
    return (
        re.fullmatch(rf"(?:{_INITIALS}|{_WORD})(?:\s+(?:{_INITIALS}|{_WORD}))?", part) is not None and part[0].isupper()
    )


def _is_whole(part: str) -> bool:
    if not _WHOLE.fullmatch(part) or re.fullmatch(rf"{_INITIALS}|.*\s{_INITIALS}", part):
        return False
    words = part.split()
    return all(word[0].isupper() or re.fullmatch(_PARTICLE, word) or not word.isascii() for word in words)


def reference(text: str) -> Reference | None:
    """What one reference says; None where it cannot be told where the people end and the title begins."""
    text = " ".join(text.split())
    if len(text) > _LONGEST:
        return None
    text = text[numbered(text) :]
    if (quoted := _QUOTED.search(text)) and (people := names(text[: quoted.start()])):
        return _reference(people, quoted[1], text[quoted.end() :], None)
    for dated in _DATED.finditer(text):
        people = names(text[: dated.start() + 1] if dated[2] else text[: dated.start()])
        if people is not None:
            title, rest = _title(text[dated.end() :])
            return _reference(people, title, rest, int(dated[1] or dated[2]))
    for end in re.finditer(r"\.\s+", text):
        people = names(text[: end.start() + 1])
        if people is not None:
            title, rest = _title(text[end.end() :])
            return _reference(people, title, rest, None) if rest else None
    return None


def _title(text: str) -> tuple[str, str]:
    """The title that a text begins with, and what stands behind it."""
    if italic := re.match(r"\*+([^*]+)\*+", text):
        return italic[1], text[italic.end() :]
    end = _END.search(text)
    return (text[: end.start()] + text[end.start()].strip("."), text[end.end() :]) if end else (text, "")


def _reference(people: tuple[list[str], bool], title: str, rest: str, year: int | None) -> Reference | None:
    title = title.strip(" .,*")
    if len(title.split()) < 2:
        return None
    if year is None and (found := _YEAR.findall(re.sub(r"\d{4}\.\d{4,5}", "", rest))):
        year = int(found[-1])
    return Reference(people[0], people[1], title, year, rest.strip(" .,"))
