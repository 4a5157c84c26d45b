"""What people write when they mean a paper: arXiv ids in all their forms, DOIs, names, a record's file."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePath

# Patterns are compiled when first needed: a plain list never asks what a reference means.
_HOSTS = (
    r"arxiv\.org|alphaxiv\.org|ar5iv\.org|arxiv-vanity\.com|huggingface\.co|hf\.co|scirate\.com|semanticscholar\.org"
    r"|papers\.cool|catalyzex\.com|inspirehep\.net|adsabs\.harvard\.edu|lanl\.gov|emergentmind\.com"
)
_PAGES = r"abs|pdf|html|papers?|format|e-print|ps|src|tb|overview|api/arxiv|arxiv|ftp/arxiv/papers/\d{4}"
_ARXIV_PAGE = rf"(?:{_HOSTS})/(?:(?:{_PAGES})/(?:arxiv:)?|(?:[a-z0-9]+/){{0,3}}arxiv:)"
_ARXIV_DOI = r"10\.48550/arxiv\."
_ARXIV_PLACE = (
    r"(?:https?://web\.archive\.org/web/\w+/)?(?:https?://)?"
    rf"(?:(?:[a-z0-9-]+\.)*{_ARXIV_PAGE}|(?:[a-z0-9-]+\.)+[a-z]+/abs/)"
    rf"|(?:(?:https?://)?(?:dx\.|www\.)?doi\.org/|doi:\s*)?{_ARXIV_DOI}"
)
_ARXIV_WORD = r"(?:oai:|info:)?arxiv(?:\.org)?(?:\s+(?:pre|e-?)?prints?)?[\s:.,/]+(?:arxiv[:.]\s*)?|abs/"
_ARXIV_PREFIX = rf"(?i)^(?:{_ARXIV_PLACE}|{_ARXIV_WORD})\s*"
_ARXIV_MENTION = (
    rf"(?i)(?:{_ARXIV_PAGE}|{_ARXIV_DOI}"
    r"|\barxiv\b[\s:.,-]*(?:(?:pre|e-?)?prints?\b[\s:.,-]*|arxiv:\s*){0,3}(?:abs/|pdf/)?|\babs/)"
    r"(?:(?P<new>\d{4}\.\d{4,5})(?!\d)|(?P<archive>[a-z]+(?:-[a-z]+)*)(?:\.[a-z]{2})?/(?P<number>\d{7})(?!\d))"
    r"(?:v(?P<version>[1-9]\d*))?"
)
# In the names that DBLP and ADS give a paper.
_IN_NAMES = r"(?i)(?:corr/abs-|\b(?:19|20)\d\darxiv)(\d{4})[-.]?(\d{4,5})(?!\d)"
_ARXIV_ID = (
    r"(?i)(?:(?P<new>\d{4}\.\d{4,5})|(?P<archive>[a-z]+(?:-[a-z]+)*)(?:\.[a-z]{2})?/(?P<number>\d{7}))"
    r"(?:v(?P<version>[1-9]\d*))?(?:\.pdf)?/?(?:[?#].*)?"
)
# The class behind an id, and the day, as arXiv prints them on the first page.
_ONE_CLASS = r"[a-z-]+(?:\.[A-Za-z-]+)?"
_CLASS = rf"\s*[\[(]{_ONE_CLASS}(?:[,;]\s*{_ONE_CLASS})*[\])]?(?:\s+\d{{1,2}}\s+[A-Z][a-z]{{2}}\s+\d{{4}})?$"
_DOI = r"(?i)(?:(?:https?://)?(?:dx\.|www\.)?doi\.org/|doi[:\s]\s*)?(10\.\d{4,9}/\S+)"
_DOI_OF_PAGE = r"(?i)https?://[^/\s]+/(?:(?!10\.)[^\s/?#]+/)*(10\.\d{4,9}/[^\s?#]+)(?:[?#]\S*)?"
_VIEW = r"(?i)(?:\.(?:full|abstract|pdf|html?)|/(?:full|abstract|e?pdf|meta|html))+$"
# Archives that had ids of the old form.
_ARCHIVES = (
    "acc-phys adap-org alg-geom ao-sci astro-ph atom-ph bayes-an chao-dyn chem-ph cmp-lg comp-gas cond-mat cs dg-ga "
    "funct-an gr-qc hep-ex hep-lat hep-ph hep-th math math-ph mtrl-th nlin nucl-ex nucl-th patt-sol physics plasm-ph "
    "q-alg q-bio quant-ph solv-int supr-con"
)


def arxiv_id(text: str) -> tuple[str, int | None] | None:
    """Bare arXiv id and version of a reference (id, address, 10.48550 DOI, as it is cited); None if it is none."""
    text = _decoded(text.strip())
    if text.startswith("["):  # arXiv's own title of a page: the id in brackets, then what the paper is called
        text = re.sub(r"^\[([^\]\s]+)\]\s+\S.*", r"\1", text)
    text = text.strip("()[]<>{},;.\"'").strip()
    text = re.sub(_CLASS, "", text)
    match = re.fullmatch(_ARXIV_ID, re.sub(_ARXIV_PREFIX, "", text))
    return _bare(match) if match else _listed(text)


def _listed(text: str) -> tuple[str, None] | None:
    """The arXiv id in a key of DBLP or of ADS, or in the address of one."""
    return None if re.search(r"\s", text) else _in_names(text)


def _in_names(text: str) -> tuple[str, None] | None:
    found = re.search(_IN_NAMES, text)
    return (f"{found[1]}.{found[2]}", None) if found else None


def _decoded(text: str) -> str:
    if "%2" not in text:
        return text
    from urllib.parse import unquote

    return unquote(text)


def arxiv_mentioned(text: str) -> tuple[str, int | None] | None:
    """The first arXiv id that a text names as one; a number without the word arXiv is none."""
    if (match := re.search(_ARXIV_MENTION, text)) is not None:
        return _bare(match)
    return _in_names(text)


def _bare(match: re.Match[str]) -> tuple[str, int | None]:
    bare = match["new"] or f"{match['archive'].lower()}/{match['number']}"
    return bare, int(match["version"]) if match["version"] else None


def impossible(bare: str) -> str | None:
    """Why there can be no such arXiv id: its month, its archive, or the number in it."""
    archive, _, number = bare.rpartition("/")
    year, month = int(number[:2]), int(number[2:4])
    if not 1 <= month <= 12:
        return f"it names the month {number[2:4]}"
    if archive:
        if archive not in _ARCHIVES.split():
            return f"there was no archive {archive}"
        if 7 < year < 91 or (year, month) in ((7, later) for later in range(4, 13)):
            return f"ids of this form ended in 2007, with March, not in {month}/{2000 + year}"
        return None if int(number[4:]) else "numbers begin with 001"
    if (year, month) < (7, 4):
        return "ids of this form began with 0704"
    if (year, month) > _latest():
        return f"the month {month}/{2000 + year} is still to come"
    digits = len(number.partition(".")[2])
    expected = 5 if year >= 15 else 4
    if digits != expected:
        return f"ids of {2000 + year} have {expected} digits after the point, not {digits}"
    return None if int(number.partition(".")[2]) else f"numbers begin with {1:0{digits}}"


def _latest() -> tuple[int, int]:
    """Year and month of the newest ids that there can be: of tomorrow, for somewhere the month begins earlier.

    A clock that stands years behind makes no id impossible that existed when this was written.
    """
    from datetime import date, timedelta

    day = max(date.today() + timedelta(days=1), date(2026, 12, 1))
    return day.year - 2000, day.month


def year_of(arxiv: str) -> int:
    """The year in an arXiv id: that of the first version."""
    digits = int(re.sub(r"^.*/", "", arxiv)[:2])
    return 1900 + digits if "/" in arxiv and digits >= 91 else 2000 + digits


def doi(text: str) -> str | None:
    """Lower-case DOI of a reference (bare, doi: or URL); None if it is none."""
    match = re.fullmatch(_DOI, _decoded(text.strip()))
    return match[1].lower().rstrip(".,;") if match else None


def doi_of_page(text: str) -> str | None:
    """Lower-case DOI that stands in the address of a publisher's page; None if there is none."""
    match = re.fullmatch(_DOI_OF_PAGE, _decoded(text.strip()))
    if match is not None:
        found = re.sub(_VIEW, "", match[1]).lower().rstrip(".,;/")
        return re.sub(r"v\d+$", "", found) if found.startswith("10.1101/") else found  # a version of a preprint
    nature = re.fullmatch(
        r"(?i)https?://(?:www\.)?nature\.com/articles/([a-z0-9-]+)(?:\.pdf)?/?(?:[?#].*)?", text.strip()
    )
    return f"10.1038/{nature[1].lower()}" if nature else None


def fold(text: str) -> str:
    """Text as it is compared: without case, accents, or surplus spaces."""
    if text.isascii():
        return " ".join(text.casefold().split())
    decomposed = unicodedata.normalize("NFKD", text)
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return " ".join(plain.casefold().split())


def title_key(text: object) -> str:
    """A title as two of them are compared: its words, without case, accents and punctuation."""
    return " ".join(re.findall(r"\w+", fold(str(text or ""))))


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
