"""The arXiv id of a bibliography's entry, in whatever field its author or a program put it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kb_tools.records.reference import arxiv_id, arxiv_mentioned, impossible

# Fields that hold an id and nothing else; a bare number is one there.
_IDS = ("eprint", "arxiv", "arxivid", "arxiv_id", "arxiv-id", "archive_location")
# Fields that name where the work appeared or lies: an id in them is of the work.
_PLACES = [
    "doi",
    "url",
    "pdf",
    "html",
    "ee",
    "link",
    "links",
    "eprint",
    "journal",
    "journaltitle",
    "container-title",
    "call-number",
    "booktitle",
    "number",
    "volume",
    "eid",
    "pages",
    "page",
    "series",
    "publisher",
    "institution",
    "howpublished",
    "file",
    "local-url",
    "adsurl",
    "biburl",
    "identifier",
]
# Fields in which somebody may speak of other works: an id counts where little else is said.
_WORDS = ("note", "annote", "comment", "addendum", "pubstate", "venue", "keywords")
_FEW = 5
# Fields that may say that a bare number elsewhere in the entry is arXiv's.
_SAYS_ARXIV = (
    "journal",
    "journaltitle",
    "container-title",
    "container-title-short",
    "publisher",
    "institution",
    "archive",
    "source",
    "type",
    "howpublished",
    "series",
)
_NUMBERS = ("number", "volume", "note", "eid", "pages", "page", "issue")
_FILES = ("file", "local-url", "pdf")
_FILE = re.compile(r"(?i)(?:^|[/\\\\:;]|arxiv[-_:]?)(\d{4}\.\d{4,5}(?:v\d+)?)\.pdf\b")
# The archives of ids up to 2007 that stand in a field of their own.
_ARCHIVES = re.compile(
    "(?i)(?:acc-phys|adap-org|alg-geom|ao-sci|astro-ph|atom-ph|bayes-an|chao-dyn|chem-ph|cmp-lg|comp-gas|cond-mat|cs|"
    "dg-ga|funct-an|gr-qc|hep-(?:ex|lat|ph|th)|math|math-ph|mtrl-th|nlin|nucl-(?:ex|th)|patt-sol|physics|plasm-ph|"
    r"q-alg|q-bio|quant-ph|solv-int|stat|supr-con)(?:\.[a-z-]+)?"
)


def arxiv_in(fields: Mapping[str, str]) -> tuple[str | None, int | None]:
    """arXiv id and version of an entry; the version may stand in a field of its own."""
    version = fields.get("eprintversion", "")
    found = _in_ids(fields) or _in_places(fields) or _beside(fields) or _in_files(fields)
    if found is None:
        return None, None
    return found[0], int(version) if version.isdecimal() else found[1]


def _in_ids(fields: Mapping[str, str]) -> tuple[str, int | None] | None:
    archive = fields.get("archiveprefix") or fields.get("eprinttype") or fields.get("archive") or "arxiv"
    is_old = _ARCHIVES.fullmatch(archive.strip()) is not None
    for name in _IDS:
        value = fields.get(name, "").strip()
        if not value or (name in ("eprint", "archive_location") and not is_old and not _is_arxiv(archive)):
            continue
        category = (fields.get("primaryclass") or fields.get("eprintclass") or "").strip().lower()
        category = archive.strip().lower() if is_old else category
        if re.fullmatch(r"\d{7}(v\d+)?", value) and category:
            value = f"{category.partition('.')[0]}/{value}"
        if found := arxiv_id(value) or arxiv_mentioned(value):
            return found
    return None


def _is_arxiv(archive: str) -> bool:
    return re.match(r"(?i)\W*arxiv\b", archive) is not None


def _in_places(fields: Mapping[str, str]) -> tuple[str, int | None] | None:
    names = [*_PLACES, *(name for name in fields if name.startswith("bdsk-url"))]
    for name in names:
        if name in fields and (found := arxiv_mentioned(_without_braces(fields[name]))):
            return found
    for name in _WORDS:
        value = _without_braces(fields.get(name, ""))
        if found := arxiv_mentioned(value):
            words = re.sub(r"https?://\S+|\\[A-Za-z]+", " ", value)
            if len(re.findall(r"[A-Za-z]{2,}", words)) <= _FEW:
                return found
            # Programs keep fields that they have no name for in a note, one a line.
            for line in value.splitlines():
                if line.lstrip().lower().startswith("arxiv") and (alone := arxiv_id(line)):
                    return alone
    return None


def _beside(fields: Mapping[str, str]) -> tuple[str, int | None] | None:
    """A bare id in an entry that names arXiv, or the CoRR, as the place where it appeared."""
    if not any(re.search(r"(?i)\b(?:arxiv|corr)\b", fields.get(name, "")) for name in _SAYS_ARXIV):
        return None
    for name in _NUMBERS:
        if found := arxiv_id(_without_braces(fields.get(name, ""))):
            return found
    return None


def _in_files(fields: Mapping[str, str]) -> tuple[str, int | None] | None:
    """The id by which arXiv names the file that somebody keeps with an entry."""
    for name in _FILES:
        for found in _FILE.finditer(fields.get(name, "")):
            ident = arxiv_id(found[1])
            if ident is not None and impossible(ident[0]) is None:
                return ident
    return None


def _without_braces(value: str) -> str:
    """Text whose braces neither hold words together nor keep them apart: `{arXiv}:{2006.11239}`."""
    return re.sub(r"[{}]", "", re.sub(r"\\[A-Za-z]+\s*\{|\}\{", " ", value))
