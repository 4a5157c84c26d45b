"""What a reference list says about a collection: edges between its records, and works beyond it.

A list read by a machine only ever suggests: it is incomplete and sometimes wrong, so it adds edges and removes none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from kb_tools.errors import KbError, NetworkError
from kb_tools.incoming.adding import strings
from kb_tools.records.fields import OUTSIDE_FILE, PAPER_KINDS
from kb_tools.records.index import Entry
from kb_tools.records.layout import Comments, dump_outside
from kb_tools.records.reader import Value, read_file, read_text
from kb_tools.records.reference import fold
from kb_tools.records.store import Change, Collection
from kb_tools.records.validate import validate_outside
from kb_tools.services import openalex, semanticscholar
from kb_tools.services.answers import Unlisted
from kb_tools.services.upstream import Cited

SHARED = 2  # a work outside is noted when this many of the records asked about cite it


@dataclass(frozen=True)
class References:
    """The reference list of one record as `source` has it, split by what the collection knows.

    new: ids that its record does not list yet.  known: ids that it does.  outside: works that are no record.
    failures: services that gave no list, each with the reason.
    """

    ident: str
    source: str | None
    new: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    outside: tuple[Cited, ...] = ()
    failures: tuple[KbError, ...] = ()


class Asker:
    """Asks Semantic Scholar and then OpenAlex, one short attempt each; a service that fails is not asked again."""

    def __init__(self, entries: Mapping[str, Entry], *, fresh: bool = False) -> None:
        self.entries = entries
        self.down: dict[str, NetworkError] = {}
        scholar, alex = semanticscholar.connect(fresh=fresh), openalex.connect(fresh=fresh)

        def from_scholar(entry: Entry) -> list[Cited]:
            name = semanticscholar.reference_of(arxiv=entry.arxiv, doi=entry.doi)
            return semanticscholar.references(name or "", scholar)

        def from_alex(entry: Entry) -> list[Cited]:
            return openalex.references(openalex.doi_of(arxiv=entry.arxiv, doi=entry.doi) or "", alex)

        self.services: dict[str, Callable[[Entry], list[Cited]]] = {
            semanticscholar.NAME: from_scholar,
            openalex.NAME: from_alex,
        }
        self.names = _names(entries.values())

    def ask(self, ident: str) -> References:
        """The first reference list that a service has of a record with an arXiv id or a DOI."""
        failures: list[KbError] = []
        for name, service in self.services.items():
            if name in self.down:
                failures.append(self.down[name])
                continue
            try:
                return self._split(ident, name, service(self.entries[ident]), tuple(failures))
            except NetworkError as error:
                self.down[name] = error
                failures.append(error)
            except Unlisted as error:
                failures.append(error)
        return References(ident, None, failures=tuple(failures))

    def _split(self, ident: str, source: str, cited: list[Cited], failures: tuple[KbError, ...]) -> References:
        inside: dict[str, None] = {}
        outside: dict[str, Cited] = {}
        for work in cited:
            found = next((self.names[name] for name in names_of(work) if name in self.names), None)
            if found is None:
                outside.setdefault(fold(work.title), work)
            elif found != ident:
                inside.setdefault(found)
        ordered = sorted(inside, key=lambda other: (self.entries[other].year or 9999, other))
        listed = self.entries[ident].cites
        return References(
            ident,
            source,
            tuple(other for other in ordered if other not in listed),
            tuple(other for other in ordered if other in listed),
            tuple(outside.values()),
            failures,
        )


def names_of(work: Cited) -> list[str]:
    """Everything by which a cited work can be recognised, the surest first."""
    names = [f"arxiv {work.arxiv}"] if work.arxiv else []
    return [*names, *([f"doi {work.doi.lower()}"] if work.doi else []), f"title {fold(work.title)}"]


def cites_changes(record: Mapping[str, Value], found: References, day: str) -> dict[str, Value]:
    """The fields of a record that take in its new edges: at the end of the list, with source and date."""
    listed = strings(record, "cites")
    new = [ident for ident in found.new if ident not in listed]
    if not new:
        return {}
    said = [part for part in str(record.get("cites_source") or "").split("; ") if part]
    said = [part for part in said if not part.startswith(f"{found.source}, ")]
    return {"cites": [*listed, *new], "cites_source": "; ".join([*said, f"{found.source}, {day}"])}


def outside_change(collection: Collection, lists: Iterable[References]) -> Change | None:
    """outside.yaml with these lists taken in; None if nothing is new.

    A work that stands there gains citing records; a new one is noted when `SHARED` of these records cite it.  Nothing
    is removed.  Raises InvalidRecordError if the file has problems.
    """
    path = collection.papers / OUTSIDE_FILE
    document = read_file(path) if path.exists() else read_text(path, "works: []\n")
    known = validate_outside(document)
    document.require()
    works = [work.model_dump() for work in known.works] if known else []
    places: dict[str, int] = {}
    for place, work in enumerate(works):
        for name in names_of(Cited(work["title"], work.get("arxiv"), work.get("doi"))):
            places.setdefault(name, place)
    fresh: dict[str, tuple[Cited, list[str]]] = {}
    for found in lists:
        for cited in found.outside:
            place = next((places[name] for name in names_of(cited) if name in places), None)
            if place is None:
                fresh.setdefault(fold(cited.title), (cited, []))[1].append(found.ident)
            elif found.ident not in works[place]["cited_by"]:
                works[place]["cited_by"] = [*works[place]["cited_by"], found.ident]
    for cited, idents in fresh.values():
        if len(idents) >= SHARED:
            works.append({"title": cited.title, "arxiv": cited.arxiv, "doi": cited.doi, "cited_by": idents})
    if not works:
        return None
    kept: list[Value] = [{key: value for key, value in work.items() if value} for work in works]
    after = read_text(path, dump_outside({"works": kept}, Comments.of(document)))
    validate_outside(after)
    after.require()
    before = document.text if path.exists() else None
    return None if after.text == before else Change(path, before, after.text)


def _names(entries: Iterable[Entry]) -> dict[str, str]:
    """Name -> id; where a paper and a resource share one, the paper is what is cited."""
    names: dict[str, str] = {}
    for entry in sorted(entries, key=lambda entry: entry.kind not in PAPER_KINDS):
        for name in names_of(Cited(entry.title, entry.arxiv, entry.doi)):
            names.setdefault(name, entry.id)
    return names
