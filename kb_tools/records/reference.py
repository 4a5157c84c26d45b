"""What people write when they mean a paper: arXiv ids in all their forms, DOIs, names, a record's file."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePath

# Patterns are compiled when first needed: a plain list never asks what a reference means.
_ARXIV_PLACE = (
    r"(?:https?://)?(?:[a-z0-9-]+\.)*(?:arxiv\.org|lanl\.gov|alphaxiv\.org|ar5iv\.org|arxiv-vanity\.com|huggingface\.co"
    r"|hf\.co|scirate\.com|semanticscholar\.org|inspirehep\.net|papers\.cool|emergentmind\.com)"
    r"/(?:(?:abs|pdf|html|papers?|format|e-print|ps|src|arxiv|overview|api/arxiv)/|ftp/arxiv/papers/\d{4}/)(?:arxiv:)?"
    r"|(?:https?://(?:dx\.)?doi\.org/|doi:\s*)?10\.48550/arxiv\."
)
_ARXIV_PREFIX = rf"(?i)^(?:arxiv\s*[:\s]|{_ARXIV_PLACE})\s*"
_ARXIV_MENTION = (
    rf"(?i)(?:{_ARXIV_PLACE}|\barxiv\b[\s:.,-]*(?:(?:pre|e-?)?prints?\b[\s:.,-]*|arxiv:\s*)*(?:abs/|pdf/)?|\babs/)"
    r"(?:(?P<new>\d{4}\.\d{4,5})(?!\d)|(?P<archive>[a-z]+(?:-[a-z]+)*)(?:\.[a-z]{2})?/(?P<number>\d{7})(?!\d))"
    r"(?:v(?P<version>[1-9]\d*))?"
)
# As DBLP and ADS put it into their own names of a paper.
_IN_NAMES = r"(?i)(?:corr/abs-|\b\d{4}arxiv)(\d{4})[-.]?(\d{4,5})(?!\d)"
_ARXIV_ID = (
    r"(?i)(?:(?P<new>\d{4}\.\d{4,5})|(?P<archive>[a-z]+(?:-[a-z]+)*)(?:\.[a-z]{2})?/(?P<number>\d{7}))"
    r"(?:v(?P<version>[1-9]\d*))?(?:\.pdf)?/?(?:[?#].*)?"
)
_DOI = r"(?i)(?:https?://(?:dx\.)?doi\.org/|doi:\s*)?(10\.\d{4,9}/\S+)"


def arxiv_id(text: str) -> tuple[str, int | None] | None:
    """Bare arXiv id and version of a reference (id, address, 10.48550 DOI, as it is cited); None if it is none."""
    text = text.strip().strip("()[]<>{},;\"'").strip()
    # The classes behind it, as arXiv prints them.
    text = re.sub(r"\s*[\[(][a-z-]+(?:\.[A-Za-z-]+)?(?:[,;]\s*[a-z-]+(?:\.[A-Za-z-]+)?)*[\])]?$", "", text)
    match = re.fullmatch(_ARXIV_ID, re.sub(_ARXIV_PREFIX, "", text))
    return _bare(match) if match else None


def arxiv_mentioned(text: str) -> tuple[str, int | None] | None:
    """The first arXiv id that a text names as one; a number without the word arXiv is none."""
    if (match := re.search(_ARXIV_MENTION, text)) is not None:
        return _bare(match)
    named = re.search(_IN_NAMES, text)
    return (f"{named[1]}.{named[2]}", None) if named else None


def _bare(match: re.Match[str]) -> tuple[str, int | None]:
    bare = match["new"] or f"{match['archive'].lower()}/{match['number']}"
    return bare, int(match["version"]) if match["version"] else None


def impossible(bare: str) -> str | None:
    """Why there can be no such arXiv id: months, and the five digits since January 2015."""
    number = re.sub(r"^.*/", "", bare)
    year, month = int(number[:2]), int(number[2:4])
    if not 1 <= month <= 12:
        return f"it names the month {number[2:4]}"
    if "/" in bare:
        return None if year >= 91 or year <= 7 else f"ids of this form ended in 2007, not in {2000 + year}"
    if (year, month) < (7, 4):
        return "ids of this form began with 0704"
    digits = len(number.partition(".")[2])
    expected = 5 if year >= 15 else 4
    return None if digits == expected else f"ids of {2000 + year} have {expected} digits after the point, not {digits}"


def year_of(arxiv: str) -> int:
    """The year in an arXiv id: that of the first version."""
    digits = int(re.sub(r"^.*/", "", arxiv)[:2])
    return 1900 + digits if "/" in arxiv and digits >= 91 else 2000 + digits


def doi(text: str) -> str | None:
    """Lower-case DOI of a reference (bare, doi: or URL); None if it is none."""
    text = text.strip()
    if "%2" in text:
        from urllib.parse import unquote

        text = unquote(text)
    match = re.fullmatch(_DOI, text)
    return match[1].lower() if match else None


def fold(text: str) -> str:
    """Text as it is compared: without case, accents, or surplus spaces."""
    decomposed = unicodedata.normalize("NFKD", text)
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return " ".join(plain.casefold().split())


def lookup_keys(text: str) -> list[str]:
    """Every key under which the index may know what `text` means."""
    keys = [fold(text)]
    if text.endswith(".yaml"):
        keys.append(fold(PurePath(text).stem))
    if (found := arxiv_id(text)) is not None:
        keys.append(f"arxiv:{found[0]}")
    if (found_doi := doi(text)) is not None:
        keys.append(f"doi:{found_doi}")
    return keys
