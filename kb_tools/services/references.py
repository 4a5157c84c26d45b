"""What is to be added: every form in which a work is named, understood and checked here, before anybody is asked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from kb_tools.errors import UsageError
from kb_tools.records.reference import arxiv_id, doi, doi_of_page, fold, impossible

FORMS = (
    "2006.11239, arXiv:2006.11239v2, hep-th/9901001, an arxiv.org address, 10.48550/arXiv.2006.11239, another DOI, "
    'an address of a paper at OpenReview, the ACL Anthology or Semantic Scholar, or a title, as in "Deep unsupervised '
    'learning using nonequilibrium thermodynamics"'
)
_LONGEST_TITLE = 500
# Pages of papers of whose addresses Semantic Scholar is asked.
_HOSTS = (
    r"openreview\.net|papers\.nips\.cc|proceedings\.neurips\.cc|proceedings\.mlr\.press|openaccess\.thecvf\.com"
    r"|jmlr\.org|ecva\.net|ieeexplore\.ieee\.org|dl\.acm\.org|biorxiv\.org|semanticscholar\.org|aclweb\.org"
)
_PAGE = rf"(?i)https?://(?:[a-z0-9-]+\.)*(?:{_HOSTS})/\S+"
_OPENREVIEW = r"(?i)(?:https?://)?(?:www\.)?openreview\.net/(?:forum|pdf|attachment|revisions)\?(?:\S*&)?id=([\w-]+)\S*"
_ACL = (
    r"(?i)(?:acl:|(?:https?://)?(?:www\.)?(?:aclanthology\.org|aclweb\.org/anthology)/(?:papers/\S+/)?)"
    r"([a-z]\d{2}-\d{4,5}|\d{4}\.[a-z0-9_]+-[a-z0-9_]+\.\d+)(?:v\d+)?(?:\.pdf|\.bib)?/?(?:[?#]\S*)?"
)
_SCHOLAR = r"(?i)(?:https?://)?(?:www\.)?semanticscholar\.org/(?:paper|reader)/(?:[^\s/]+/)?([0-9a-f]{40})(?:[/?#]\S*)?"
_CORPUS = r"(?i)(?:https?://(?:[a-z]+\.)*semanticscholar\.org/)?(?:p/|corpus\s?id:\s*)(\d{1,12})/?"


class Reference(NamedTuple):
    """A work as somebody named it: by arXiv id (and perhaps its version), DOI, a name at Semantic Scholar, or title.

    page: the address of its page, if it was named by one that says no arXiv id and no DOI.
    """

    text: str
    arxiv: str | None
    version: int | None
    doi: str | None
    scholar: str | None = None
    title: str | None = None
    page: str | None = None

    @property
    def name(self) -> str:
        return self.arxiv or self.doi or self.text

    @property
    def key(self) -> str:
        """Under which the index knows it."""
        if self.arxiv or self.doi:
            return f"arxiv:{self.arxiv}" if self.arxiv else f"doi:{self.doi}"
        return fold(self.title) if self.title else f"scholar:{self.scholar}"


def parse_all(texts: Iterable[str]) -> list[Reference]:
    """The works named, each once, in order.  Raises one UsageError that lists everything that cannot be meant."""
    found: dict[str, Reference] = {}
    wrong: list[str] = []
    for text in texts:
        try:
            reference = parse(text)
        except UsageError as error:
            wrong.append(error.message)
        else:
            found.setdefault(reference.key, reference)
    if wrong:
        raise UsageError("\n    ".join(wrong), hint=f"nothing was asked and nothing written; write {FORMS}")
    return list(found.values())


def parse(text: str) -> Reference:
    """One work.  Raises UsageError if it is no reference, or an arXiv id that cannot exist."""
    shown = repr(text if len(text) <= 80 else text[:77] + "...")
    arxiv = arxiv_id(text)
    if arxiv is not None:
        bare, version = arxiv
        reason = impossible(bare)
        if reason:
            raise UsageError(f"{shown} is no arXiv id: {reason}", hint=f"write {FORMS}")
        return Reference(text.strip(), bare, version, None)
    plain = doi(text) or doi_of_page(text)
    if plain is not None:
        if plain.startswith("10.48550/arxiv."):
            raise UsageError(f"{shown} is no arXiv DOI: what follows the prefix is no arXiv id", hint=f"write {FORMS}")
        return Reference(text.strip(), None, None, plain)
    found = _at_a_page(text.strip()) or _title(" ".join(text.split()))
    if found is None:
        says = f"{shown} is neither an arXiv id nor a DOI, and no page or title of a paper"
        raise UsageError(says, hint=f"write {FORMS}")
    return found


def _at_a_page(text: str) -> Reference | None:
    """A work named by its page, or by the name that the host of the page gives it."""
    page = text if text.startswith("http") else None
    if match := re.fullmatch(_OPENREVIEW, text):
        page = f"https://openreview.net/forum?id={match[1]}"
        return Reference(text, None, None, None, f"URL:{page}", None, page)
    if match := re.fullmatch(_ACL, text):
        ident = match[1].upper() if "." not in match[1] else match[1].lower()
        return Reference(text, None, None, None, f"ACL:{ident}", None, f"https://aclanthology.org/{ident}/")
    if match := re.fullmatch(_SCHOLAR, text):
        return Reference(text, None, None, None, match[1].lower(), None, page)
    if match := re.fullmatch(_CORPUS, text):
        return Reference(text, None, None, None, f"CorpusId:{match[1]}", None, page)
    return Reference(text, None, None, None, f"URL:{text}", None, text) if re.fullmatch(_PAGE, text) else None


def _title(text: str) -> Reference | None:
    """A title is two words or more, and no address."""
    words = re.findall(r"[^\W\d_]{2,}", text)
    named = re.match(r"(?i)(?:arxiv|doi)\b", text) or "://" in text
    if named or " " not in text or len(words) < 2 or len(text) > _LONGEST_TITLE:
        return None
    return Reference(text, None, None, None, None, text)
