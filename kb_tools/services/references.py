"""What is to be added: every form of arXiv id and DOI, understood and checked here, before anybody is asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from kb_tools.errors import UsageError
from kb_tools.records.reference import arxiv_id, doi, impossible

FORMS = (
    "2006.11239, arXiv:2006.11239v2, hep-th/9901001, an arxiv.org address, 10.48550/arXiv.2006.11239, or another DOI"
)


class Reference(NamedTuple):
    """A work as somebody named it: by arXiv id (and perhaps a version of it), or by DOI."""

    text: str
    arxiv: str | None
    version: int | None
    doi: str | None

    @property
    def name(self) -> str:
        return self.arxiv or self.doi or self.text

    @property
    def key(self) -> str:
        """Under which the index knows it."""
        return f"arxiv:{self.arxiv}" if self.arxiv else f"doi:{self.doi}"


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
    plain = doi(text)
    if plain is not None:
        if plain.startswith("10.48550/arxiv."):
            raise UsageError(f"{shown} is no arXiv DOI: what follows the prefix is no arXiv id", hint=f"write {FORMS}")
        return Reference(text.strip(), None, None, plain)
    raise UsageError(f"{shown} is neither an arXiv id nor a DOI", hint=f"write {FORMS}")
