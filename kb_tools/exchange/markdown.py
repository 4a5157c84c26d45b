"""The collection as a reading list in Markdown, in the style of the seeds: topics, years, checkboxes, WR marks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kb_tools.exchange import whole
from kb_tools.exchange.work import Data, address
from kb_tools.records.fields import PAPER_KINDS, RESOURCE_KINDS

HEADINGS = {
    "blog": "Blogs",
    "video": "Videos",
    "course": "Courses",
    "textbook": "Textbooks",
    "code": "Code",
    "webpage": "Web pages",
}
_PREFACE = (
    "**WR** (worth reading) from 1 to 3: 1 skim, 2 read, 3 read and implement. A cross marks what has been read.",
    "",
)
_MARKUP = re.compile(r"[\\`*_\[\]<>&|~]")


def dumps(records: Mapping[str, Data], topics: Mapping[str, str], title: str) -> str:
    """Papers under their first topic, in the order of `topics` (id -> title), newest year first; then resources.

    What a list does not say stands in a comment under its entry, which nobody sees, and comes back.
    """
    from kb_tools.exchange import lists

    lines, begun = _lines(records, topics, title)
    found = {work.line: boxed(work.fields) for work in lists.loads("\n".join(lines)).works}
    # From the end, so that the numbers of the lines before stay right.
    for line, ident in sorted(begun.items(), reverse=True):
        carried = whole.text(whole.rest(records[ident], found.get(line, {})))
        lines.insert(lines.index("", line), f"  <!-- {whole.NAME} {carried} -->")
    return "\n".join(lines).rstrip("\n") + "\n"


def _lines(records: Mapping[str, Data], topics: Mapping[str, str], title: str) -> tuple[list[str], dict[int, str]]:
    """The list, and the records by the line, from 1, on which each begins."""
    begun: dict[int, str] = {}
    papers = [record for record in records.values() if record["kind"] in PAPER_KINDS]
    lines = [f"# {_text(title)}", "", *_PREFACE, "## Papers", ""] if papers else [f"# {_text(title)}", "", *_PREFACE]
    for topic in [*topics, None]:
        chosen = [paper for paper in papers if _first_topic(paper, topics) == topic]
        if chosen:
            lines += [f"### {_text(topics[topic] if topic else 'Other')}", ""]
            _by_year(lines, chosen, begun)
    resources = [record for record in records.values() if record["kind"] not in PAPER_KINDS]
    if resources:
        lines += ["## Resources", ""]
        for kind in RESOURCE_KINDS:
            chosen = [record for record in resources if record["kind"] == kind]
            if chosen:
                lines += [f"### {HEADINGS[kind]}", ""]
                _by_year(lines, chosen, begun)
    return lines, begun


def boxed(fields: dict[str, Any]) -> dict[str, Any]:
    """What a reader found in an entry of ours: an empty box says `unread`."""
    return {"status": "unread"} | fields


def _first_topic(record: Data, topics: Mapping[str, str]) -> str | None:
    return next((topic for topic in record.get("topics") or [] if topic in topics), None)


def _by_year(lines: list[str], records: Iterable[Data], begun: dict[int, str]) -> None:
    year = -1
    for record in sorted(
        records, key=lambda one: (-(one.get("year") or 0), -(one.get("worth_reading") or 0), one["title"])
    ):
        if (record.get("year") or 0) != year:
            year = record.get("year") or 0
            lines += [f"#### {year or 'No year'}", ""]
        begun[len(lines) + 1] = record["id"]
        lines += [*_entry(record), ""]


def _entry(record: Data) -> Iterator[str]:
    """One item: box, title, WR; then authors; then why, or the first sentence of the summary."""
    link = address(record)
    title = f"[{_text(record['title'])}]({_target(link)})" if link else f'"{_text(record["title"])}"'
    mark = f" **WR={record['worth_reading']}**" if record.get("worth_reading") else ""
    lines = [f"- [{'x' if record.get('status') == 'read' else ' '}] {title}{mark}"]
    if record.get("authors"):
        lines.append(f"  *{_text(', '.join(record['authors']))}*")
    said = record.get("why") or (record.get("summary") or "").partition("\n")[0]
    if said:
        lines.append(f"  {_text(said)}")
    # Two spaces at the end of a line keep the next one below it.
    yield from ("  \n".join(lines)).split("\n")


def _text(value: str) -> str:
    """Text that Markdown shows as it is."""
    return _MARKUP.sub(lambda match: f"\\{match.group()}", value)


def _target(url: str) -> str:
    return url.replace("(", "%28").replace(")", "%29")
