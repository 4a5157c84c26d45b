"""kb show: everything a reader wants to know about one record."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from shutil import get_terminal_size
from typing import Any

import click

from kb_tools.cli.output import cut, json_option, put, put_json, say, shown_path, style, terminal, with_collection
from kb_tools.methods.equations import anchor_name
from kb_tools.records.index import Entry
from kb_tools.records.notes import notes_path
from kb_tools.records.store import Collection

_LABEL = 13


@click.command("show")
@click.argument("record")
@click.option("--abstract", is_flag=True, help="Show the abstract too.")
@json_option
@with_collection
def show_command(collection: Collection, record: str, abstract: bool, as_json: bool) -> None:
    """Show everything about one record: summary, why, what to read first, what it opens, links, equations, evidence.

    \b
    Examples:
      kb show ddim
      kb show 2010.02502v3
      kb show "Denoising Diffusion Implicit Models" --json
    """
    index = collection.index()
    ident = collection.resolve(record, index)
    data = index.record(ident)
    entries = {entry.id: entry for entry in index.entries()}
    relations = _relations(ident, entries)
    evidence = _evidence(collection, data)
    notes = notes_path(collection.papers, ident)
    written = shown_path(notes, collection) if notes.is_file() else None
    if as_json:
        more = {"path": entries[ident].path, "notes_file": written, "links": links(data), "evidence": evidence}
        put_json({**data, **relations, **more})
        return
    for line in _lines(data, relations, evidence, entries, index.topics(), abstract):
        put(line)
    if written:
        put(_field("your notes", written))
    put(_field("record", shown_path(collection.root / entries[ident].path, collection)))
    if data.get("withdrawn"):
        say(f"kb: {ident} was withdrawn")


def links(data: dict[str, Any]) -> dict[str, str]:
    """Every address of a record by name, those of arXiv and the DOI first."""
    found = {}
    if data.get("arxiv"):
        found["arxiv"] = f"https://arxiv.org/abs/{data['arxiv']}"
        found["pdf"] = f"https://arxiv.org/pdf/{data['arxiv']}"
    if data.get("doi"):
        found["doi"] = f"https://doi.org/{data['doi']}"
    return {**found, **(data.get("links") or {})}


def seen_of(code: dict[str, Any]) -> str:
    """What was seen of the authors' repository, and when, in words."""
    facts = ["the authors'", code.get("licence") or "licence not seen", f"looked at on {code['looked']}"]
    return ", ".join(facts) + (f"; {code['note']}" if code.get("note") else "")


def _relations(ident: str, entries: dict[str, Entry]) -> dict[str, list[str]]:
    """What builds on a record, cites it, and explains it, oldest first."""
    reverse = {"opens": "builds_on", "cited_by": "cites", "explained_by": "about"}
    listed = sorted(entries.values(), key=lambda entry: (entry.year or 9999, entry.id))
    return {name: [other.id for other in listed if ident in getattr(other, field)] for name, field in reverse.items()}


def _evidence(collection: Collection, data: dict[str, Any]) -> dict[str, Any] | None:
    """What was measured on the method, with the reason why it says nothing about the code of today, if there is one."""
    if not data.get("implementation"):
        return None
    from kb_tools.methods.code_facts import facts_of

    facts = facts_of(collection.root, data["implementation"])
    broken = "; ".join(f"{file}:{line} is not Python: {why}" for file, line, why in facts.broken)
    return {"entries": facts.entries, "stale": facts.unreadable or facts.stale or broken or None}


def _lines(
    data: dict[str, Any],
    relations: dict[str, list[str]],
    evidence: dict[str, Any] | None,
    entries: dict[str, Entry],
    topics: dict[str, str],
    abstract: bool,
) -> Iterator[str]:
    yield style(data["title"], bold=True)
    if data.get("authors"):
        yield from _wrapped(", ".join(data["authors"]))
    facts = [data["kind"], data.get("venue"), data.get("year"), ", ".join(data.get("aliases") or [])]
    yield style(" · ".join(str(fact) for fact in facts if fact), dim=True)
    yield ""
    if data.get("worth_reading"):
        by = f" ({data['worth_reading_by']})" if data.get("worth_reading_by") else ""
        yield _field("worth", f"{'★' * data['worth_reading']}{'☆' * (3 - data['worth_reading'])}{by}")
    if data.get("why"):
        yield _field("why", data["why"])
    status = data.get("status") or "unread"
    yield _field("status", f"{status} on {data['read_on']}" if data.get("read_on") else status)
    if data.get("topics"):
        yield _field("topics", ", ".join(topics.get(topic) or topic for topic in data["topics"]))
    for name in ("summary", "abstract"):
        if data.get(name) and (name == "summary" or abstract):
            yield ""
            yield style(name.capitalize(), bold=True)
            for sentence in data[name].split("\n"):
                yield from _wrapped(sentence)
    sections = (
        ("Read first", data.get("builds_on")),
        ("Opens", relations["opens"]),
        ("About", data.get("about")),
        ("Explained by", relations["explained_by"]),
    )
    for heading, idents in sections:
        if idents:
            yield ""
            yield style(heading, bold=True)
            yield from _listed(idents, entries)
    if data.get("cites") or relations["cited_by"]:
        yield ""
        for label, idents in (("cites", data.get("cites")), ("cited by", relations["cited_by"])):
            if idents:
                yield _field(label, ", ".join(idents))
    yield from _code(data, evidence)
    yield ""
    for name, address in links(data).items():
        yield _field(name, address)
        if name == "code" and data.get("authors_code"):
            yield f"{'':{_LABEL}}{seen_of(data['authors_code'])}"
    for label in ("corrections", "notes", "unverified"):
        for text in data.get(label) or []:
            yield _field(label.removesuffix("s"), text)


def _code(data: dict[str, Any], evidence: dict[str, Any] | None) -> Iterator[str]:
    if not data.get("implementation"):
        return
    yield ""
    yield _field("code", f"implementations/{data['implementation']}.py")
    for number, equation in (data.get("equations") or {}).items():
        yield _field(anchor_name("Eq.", number), equation["says"])
        yield from (f"{'':{_LABEL}}{line}" for line in equation["tex"].split("\n"))
    for number, algorithm in (data.get("algorithms") or {}).items():
        yield _field(anchor_name("Alg.", number), algorithm["says"])
        yield from (f"{'':{_LABEL}}{step}" for step in algorithm["steps"])
    for symbol in data.get("symbols") or []:
        yield _field("symbol", f"{symbol['paper']} is {symbol['code']}: {symbol['says']}")
    for entry in evidence["entries"] if evidence else []:
        yield _field("measured", f"{entry['device']}, {entry['data']}, {entry.get('recorded', 'no date')}")
        for claim in entry.get("claims", []):
            verdict = style("holds", fg="green") if claim["holds"] else style("FAILS", fg="red")
            figures = f"{claim['value']:g} {claim['relation']} {claim['bound']:g}, control {claim['control']:g}"
            yield f"{'':{_LABEL}}{verdict}  {claim['name']}: {figures}"
    if evidence and evidence["stale"]:
        yield _field("stale", evidence["stale"])


def _listed(idents: list[str], entries: dict[str, Entry]) -> Iterator[str]:
    widest = max(len(ident) for ident in idents)
    for ident in idents:
        entry = entries.get(ident)
        words = f"{entry.title} ({entry.year or 'no year'}, {entry.status})" if entry else "(no such record)"
        if terminal():
            words = cut(words, max(get_terminal_size().columns - widest - 4, 20))
        yield f"  {style(f'{ident:{widest}}', fg='cyan')}  {words}"


def _field(label: str, text: str) -> str:
    """A labelled value; on a terminal a long one goes on under itself."""
    lines = _fold(text, _LABEL)
    rest = "".join(f"\n{'':{_LABEL}}{line}" for line in lines[1:])
    return style(f"{label:{_LABEL}}", dim=True) + lines[0] + rest


def _wrapped(text: str) -> list[str]:
    return _fold(text, 0)


def _fold(text: str, indent: int) -> list[str]:
    """Lines that fit the terminal; one line where there is none."""
    if not terminal():
        return [text]
    columns = min(get_terminal_size().columns, 100) - indent
    return textwrap.wrap(text, max(columns, 30), break_on_hyphens=False, break_long_words=False) or [""]
