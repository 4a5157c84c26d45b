"""What is said of a work, made fit for a record: a field that cannot be kept costs itself and one remark."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from kb_tools.exchange.work import Work
from kb_tools.records.plain_text import LOST, lines, one_line, without_markup
from kb_tools.records.reference import impossible, year_of

_LONGEST_LINE, _LONGEST_TEXT, _LONGEST_URL = 500, 20_000, 2000
_TEXTS: dict[str, Callable[[str], str]] = {"title": one_line, "venue": one_line, "abstract": lines, "summary": lines}
_LISTS = ("authors", "aliases")
_URL = re.compile(r"https?://[^\s<>\"]+")
_KEY = re.compile(r"[^\s,{}\"#%~\\]{1,200}")
_DOI = re.compile(r"10\.\d{4,9}/\S+")


def clean(work: Work) -> Work:
    """The same work without what no record may hold.  What an export of a collection says stays as it is."""
    if work.ours:
        return work
    fields, remarks = dict(work.fields), list(work.remarks)
    for name, tidy in _TEXTS.items():
        if name in fields:
            fields[name] = _text(name, str(fields[name]), tidy, remarks)
    for name in _LISTS:
        texts = (_text(name, str(one), one_line, remarks) for one in fields.get(name) or [])
        # A colon between a collaboration and its members arrives as a name of its own; two people may have one name.
        fields[name] = [text for text in texts if re.search(r"\w", text)]
    said = fields.get("publication") or {}
    fields["publication"] = {name: _text(name, str(value), one_line, remarks) for name, value in said.items()}
    if fields.get("key") and not _KEY.fullmatch(fields["key"]):
        remarks.append(f"not kept, no citation key of TeX: {fields.pop('key')}")
    _identifiers(fields, remarks)
    fields["links"] = _links(fields.get("links") or {}, remarks)
    _lengths(fields, remarks)
    return work._replace(
        fields={name: value for name, value in fields.items() if value}, remarks=tuple(dict.fromkeys(remarks))
    )


def _text(name: str, value: str, tidy: Callable[[str], str], remarks: list[str]) -> str:
    if LOST in value:
        remarks.append(f"a letter of the {name} was lost before this file was written; `?` stands for it")
        value = value.replace(LOST, "?")
    return tidy(without_markup(value))


def _identifiers(fields: dict[str, Any], remarks: list[str]) -> None:
    """arXiv ids that a paper can have, and DOIs that are one; the year of the first where nothing gives another."""
    arxiv, doi = fields.get("arxiv"), fields.get("doi")
    if arxiv and (reason := impossible(arxiv)):
        remarks.append(f"{arxiv} can be no arXiv id: {reason}")
        del fields["arxiv"]
        fields.pop("arxiv_version", None)
    if doi and not _DOI.fullmatch(doi):
        remarks.append(f"{doi} is not a DOI")
        del fields["doi"]
    if fields.get("arxiv") and not fields.get("year"):
        fields["year"] = year_of(fields["arxiv"])


def _links(links: dict[str, str], remarks: list[str]) -> dict[str, str]:
    kept = {}
    for name, url in links.items():
        whole = re.sub(r"\s", "%20", one_line(url)).replace("<", "%3C").replace(">", "%3E").replace('"', "%22")
        if _URL.fullmatch(whole) and len(whole) <= _LONGEST_URL:
            kept[re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_0123456789") or "home"] = whole
        else:
            remarks.append(f"left out, no web address: {whole[:60]}")
    return kept


def _lengths(fields: dict[str, Any], remarks: list[str]) -> None:
    """What is longer than a record may be is left out; a title that long makes no record, and stays to say so."""
    longest = {"venue": _LONGEST_LINE, "abstract": _LONGEST_TEXT, "summary": _LONGEST_TEXT}
    for name, limit in longest.items():
        if len(fields.get(name) or "") > limit:
            remarks.append(f"left out, longer than {limit} letters: the {name}")
            del fields[name]
    said = fields["publication"]
    for name in [name for name, value in said.items() if len(value) > _LONGEST_LINE]:
        remarks.append(f"left out, longer than {_LONGEST_LINE} letters: the {name}")
        del said[name]
    fields["publication"] = {name: value for name, value in said.items() if value}
    for name in _LISTS:
        if any(len(text) > _LONGEST_LINE for text in fields.get(name) or []):
            remarks.append(f"left out, longer than {_LONGEST_LINE} letters: one of the {name}")
            fields[name] = [text for text in fields[name] if len(text) <= _LONGEST_LINE]
