"""Everything the pages are made from, read once: records, topics, order, method sources, evidence."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from kb_tools.errors import InvalidRecordError, Problem
from kb_tools.exchange import bibtex
from kb_tools.graphs.graph import reached
from kb_tools.graphs.order import Step, main_goals, next_papers, reading_order
from kb_tools.methods.equations import anchor_name
from kb_tools.methods.layers import PACKAGE
from kb_tools.records.fields import PAPER_KINDS
from kb_tools.records.model import Record, Settings, Topic
from kb_tools.records.notes import notes_files, read_notes
from kb_tools.records.settings import read_settings
from kb_tools.site.flat import FlattenError, flatten
from kb_tools.site.listing import MethodSource
from kb_tools.site.markup import safe_url
from kb_tools.site.panels import Part
from kb_tools.site.pictures import Titles, in_parts, read_words
from kb_tools.site.proofs import Proofs, read_proofs


class CollectionLike(Protocol):
    """What the site asks of a collection."""

    @property
    def root(self) -> Path: ...

    def read(self) -> tuple[dict[str, Record], list[Problem]]: ...

    def topics(self) -> Mapping[str, Topic]: ...


MIN_NAME = 3
TITLE = "Diffusion, read and run"


@dataclass(frozen=True)
class Sample:
    """A picture that a demo made.  `file` is where it lies; in pixels.  parts: row by row, if they are known."""

    file: Path
    alt: str
    width: int
    height: int
    caption: str
    parts: list[list[Part]] = field(default_factory=list)


@dataclass(frozen=True)
class Showcase:
    """Pictures of what a longer training draws.  facts: what it took, in words.  earlier: made by other code than now.

    columns, rows: of images in each picture.
    """

    pictures: list[Sample]
    facts: str
    earlier: bool
    columns: int
    rows: int


@dataclass(frozen=True)
class Method:
    """A method's code and what was measured on it.  flat: the code with what it imports in one file, or nothing.

    fresh: samples of the last run on this machine, where it was not the recorded one again.
    """

    record: Record
    source: MethodSource
    demo: MethodSource | None
    entries: list[Mapping[str, Any]]
    code: str
    stale: bool
    samples: list[Sample]
    fresh: list[Sample]
    showcase: Showcase | None
    flat: str
    signature: str
    problems: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.source.module

    @property
    def slug(self) -> str:
        """What its files are called that are not code."""
        return self.name.replace("_", "-")

    @property
    def headline(self) -> str:
        """What the module's docstring says under its title and the line that names the paper."""
        paragraphs = self.source.docstring.split("\n\n")
        said = paragraphs[1].split("\n")[1:] if len(paragraphs) > 1 else []
        return " ".join(said).strip() or paragraphs[0].strip()

    @property
    def claims(self) -> list[Mapping[str, Any]]:
        return [claim for entry in self.entries for claim in entry.get("claims", [])]

    @property
    def proven(self) -> bool:
        return bool(self.claims) and not self.stale and all(claim.get("holds") for claim in self.claims)


@dataclass
class Knowledge:
    """The collection, with the relations that pages show derived from it.

    common: what methods share, by module.  clone: the address that the code can be had from, or nothing.
    settings: of a collection of one's own; the project's has none.  written: a person's notes on records, by id.
    cache: folder for what is costly to make, if any.
    """

    root: Path
    records: dict[str, Record]
    topics: dict[str, Topic]
    steps: list[Step]
    methods: dict[str, Method]
    proofs: Proofs = field(default_factory=Proofs)
    problems: list[str] = field(default_factory=list)
    common: dict[str, MethodSource] = field(default_factory=dict)
    clone: str = ""
    settings: Settings | None = None
    written: dict[str, str] = field(default_factory=dict)
    cache: Path | None = None

    @property
    def title(self) -> str:
        return self.settings.title if self.settings else TITLE

    @cached_property
    def papers(self) -> dict[str, Record]:
        return {i: r for i, r in self.records.items() if r.kind in PAPER_KINDS}

    @cached_property
    def resources(self) -> dict[str, Record]:
        return {i: r for i, r in self.records.items() if r.kind not in PAPER_KINDS}

    @cached_property
    def order(self) -> list[str]:
        """Ids of all papers in reading order."""
        return [i for step in self.steps for i in step.ids]

    @cached_property
    def why_here(self) -> dict[str, str]:
        """Why each paper stands where it stands, in one sentence."""
        return {i: step.why for step in self.steps for i in step.ids}

    @property
    def goals(self) -> list[str]:
        """Where the paths of the collection lead."""
        return main_goals(self.papers)

    def next(self, count: int) -> list[tuple[Record, str]]:
        """What a visitor who has read nothing reads first, and why; the status of the records is their owner's."""
        fresh = {ident: record.model_copy(update={"status": "unread"}) for ident, record in self.papers.items()}
        return [(self.records[step.ids[0]], step.why) for step in next_papers(fresh, count=count)]

    @cached_property
    def citation_keys(self) -> dict[str, str]:
        """BibTeX key of every record."""
        return bibtex.keys({i: r.model_dump() for i, r in self.records.items()})

    @cached_property
    def position(self) -> dict[str, int]:
        """Place in the reading order, from 1."""
        return {i: n for n, i in enumerate(self.order, 1)}

    def _reverse(self, edges: Callable[[Record], list[str]]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {i: [] for i in self.records}
        for i, record in self.records.items():
            for other in edges(record):
                if other in found:
                    found[other].append(i)
        return found

    @cached_property
    def unlocks(self) -> dict[str, list[str]]:
        """Papers that build on a paper, in reading order."""
        found = self._reverse(lambda r: r.builds_on)
        return {i: sorted(others, key=lambda o: self.position.get(o, 0)) for i, others in found.items()}

    @cached_property
    def cited_by(self) -> dict[str, list[str]]:
        return self._reverse(lambda r: r.cites)

    @cached_property
    def explained_by(self) -> dict[str, list[str]]:
        return self._reverse(lambda r: r.about)

    @cached_property
    def path_to(self) -> dict[str, list[str]]:
        """For each paper, all it builds on, directly or not, in reading order; the paper itself is left out."""
        before = reached({i: [need for need in r.builds_on if need in self.papers] for i, r in self.papers.items()})
        return {i: sorted(before[i] - {i}, key=lambda o: self.position[o]) for i in self.papers}

    @cached_property
    def names(self) -> dict[str, str]:
        """What people call a paper -> its id; names that two papers share, or that are too short, are left out."""
        found: dict[str, str] = {}
        for i, record in self.papers.items():
            for name in {i, *record.aliases}:
                if len(name) >= MIN_NAME:
                    found[name] = "" if name in found else i
        return {name: i for name, i in found.items() if i}

    @cached_property
    def _first_letters(self) -> tuple[re.Pattern[str], dict[str, list[int]]]:
        """Where one of `names` may begin; and for each letter that one begins with, how long those are, longest first.

        A pattern of all names would try them one by one, at every word.
        """
        lengths: dict[str, set[int]] = {}
        for name in self.names:
            lengths.setdefault(name[0], set()).add(len(name))
        letters = "".join(map(re.escape, sorted(lengths)))
        pattern = re.compile(rf"(?<![\w-])[{letters}]" if letters else "(?!)")
        return pattern, {letter: sorted(found, reverse=True) for letter, found in lengths.items()}

    def names_in(self, text: str) -> Iterator[tuple[int, str]]:
        """Where `names` stand in a text as whole words, and which: the longest of those that begin in one place."""
        pattern, lengths = self._first_letters
        found = pattern.search(text)
        while found:
            start, end = found.start(), found.end()
            for length in lengths[found[0]]:
                name, behind = text[start : start + length], text[start + length : start + length + 1]
                if name in self.names and not (behind.isalnum() or behind in {"_", "-"}):
                    yield start, name
                    end = start + length
                    break
            found = pattern.search(text, end)

    def known(self, ids: list[str]) -> list[Record]:
        """The records of `ids`, oldest first; ids that name nothing are for `kb check` to report."""
        return sorted((self.records[i] for i in ids if i in self.records), key=lambda r: (r.year or 0, r.id))


def name_of(record: Record) -> str:
    """The short name people use, or the title."""
    return record.aliases[0] if record.aliases else record.title


def gather(
    collection: CollectionLike,
    out: Path,
    methods: dict[str, Method] | None = None,
    last: dict[str, Record] | None = None,
) -> Knowledge:
    """Read all there is.  Problems are kept, not raised; but InvalidRecordError for topics.yaml and kb.yaml.

    out: the folder built in: `make run` leaves fresh samples there, and highlighted code is kept there.  methods: those
    of the last time, taken again where nothing under implementations/ has changed; holds those of this time afterwards.
    last: the same for records: those that say what they said are the same objects again, which is quick to compare.
    """
    settings = read_settings(collection.root)
    records, unreadable = collection.read()
    if last is not None:
        records = {i: last[i] if last.get(i) == record else record for i, record in records.items()}
        last.clear()
        last.update(records)
    problems = [str(problem) for problem in unreadable]
    papers = {i: r for i, r in records.items() if r.kind in PAPER_KINDS}
    steps = reading_order(papers)
    before = methods if methods is not None else {}
    now = _signature([collection.root / "implementations", out / "runs"])
    found, words = {}, read_words(collection.root, problems)
    for record in papers.values():
        if record.implementation:
            old = before.get(record.id)
            if old and old.signature == now and old.record == record:
                found[record.id] = old
            elif method := _method(collection.root, record, out, now, words, problems):
                found[record.id] = method
    before.clear()
    before.update({i: m for i, m in found.items() if not m.problems})
    proofs = read_proofs(collection.root, problems)
    common = _commons(collection.root, out, problems)
    clone = _repository(collection.root, problems)
    topics = dict(collection.topics())
    written = _written(collection.root, records, problems)
    return Knowledge(
        collection.root,
        records,
        topics,
        steps,
        found,
        proofs,
        problems,
        common,
        clone,
        settings,
        written,
        out / "cache",
    )


def _written(root: Path, records: Container[str], problems: list[str]) -> dict[str, str]:
    """Notes on records, by id; those on what is no record are for `kb check` to report."""
    found = {}
    for path in notes_files(root / "papers"):
        try:
            said = read_notes(path) if path.stem in records else None
        except InvalidRecordError as error:
            problems.append(error.message)
            continue
        if said and said.strip():
            found[path.stem] = said
    return found


def _commons(root: Path, out: Path, problems: list[str]) -> dict[str, MethodSource]:
    """The files of implementations/common/ that define something."""
    found = {}
    for path in sorted((root / PACKAGE / "common").glob("*.py")):
        module = f"common/{path.stem}"
        try:
            source = MethodSource.read(root, module, out / "cache" / "code")
        except (OSError, SyntaxError, UnicodeDecodeError) as error:
            problems.append(f"{PACKAGE}/{module}.py cannot be shown: {error}")
            continue
        if source.places:
            found[module] = source
    return found


def _repository(root: Path, problems: list[str]) -> str:
    """`Repository` among [project.urls] of the collection's pyproject.toml."""
    path = root / "pyproject.toml"
    try:
        project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {}) if path.is_file() else {}
        return safe_url(str(project.get("urls", {}).get("Repository", ""))) or ""
    except (OSError, ValueError, AttributeError) as error:
        problems.append(f"{path.name} cannot be read: {error}")
        return ""


def _signature(folders: list[Path]) -> str:
    """Changes with every file under the folders."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.suffix != ".pyc" and path.is_file():
                seen = path.stat()
                digest.update(f"{path}\0{seen.st_mtime_ns}\0{seen.st_size}\0".encode())
    return digest.hexdigest()


def _method(
    root: Path, record: Record, out: Path, signature: str, words: Mapping[str, Titles], problems: list[str]
) -> Method | None:
    module = record.implementation or ""
    mine: list[str] = []
    try:
        source = MethodSource.read(root, module, out / "cache" / "code")
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        problems.append(f"{record.id}: implementations/{module}.py cannot be shown: {error}")
        return None
    for number in record.equations:
        if number not in source.equations | source.anchors.sections:
            mine.append(f"{record.id}: no comment '# {anchor_name('Eq.', number)}' in {source.path}")
    for number in record.algorithms:
        if number not in source.anchors.algorithms:
            mine.append(f"{record.id}: no comment '# {anchor_name('Alg.', number)}' on a def of {source.path}")
    folder = root / "implementations" / "evidence"
    name = module.replace("_", "-")
    entries, code, stale = _evidence(root, name, module, mine)
    cache = out / "cache" / "pictures"
    samples = [_in_parts(s, words, cache, mine) for entry in entries for s in _samples(folder, entry, mine)]
    kept = {sample.file.read_bytes() for sample in samples}
    fresh = [s for s in _fresh(out / "runs" / name, name, mine) if s.file.read_bytes() not in kept]
    shown = _showcase(root, name, mine)
    demo, flat = _demo(root, module, out, mine), _flat(root, module, mine)
    problems += mine
    return Method(record, source, demo, entries, code, stale, samples, fresh, shown, flat, signature, tuple(mine))


def _flat(root: Path, module: str, problems: list[str]) -> str:
    try:
        return flatten(module, root)
    except (FlattenError, OSError, SyntaxError, UnicodeDecodeError) as error:
        problems.append(f"{module}: cannot be had in one file: {error}")
        return ""


def _demo(root: Path, module: str, out: Path, problems: list[str]) -> MethodSource | None:
    try:
        return MethodSource.read(root, f"demos/{module}", out / "cache" / "code")
    except FileNotFoundError:
        return None
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        problems.append(f"{module}: its demo cannot be shown: {error}")
        return None


def _evidence(root: Path, slug: str, module: str, problems: list[str]) -> tuple[list[Mapping[str, Any]], str, bool]:
    """Entries of the evidence, the digest of the code as it is, and whether it was recorded on other code."""
    from implementations.verification.code_hash import code_hash, demo_of
    from implementations.verification.evidence import store

    try:
        document, code = store.read(slug, root), code_hash(demo_of(slug), root)
        entries = document["entries"] if document else []
        return entries, code, any(entry["code"] != code for entry in entries)
    except (store.EvidenceError, OSError) as error:
        problems.append(f"{slug}: {error}")
        return [], "", False


def _samples(folder: Path, entry: Mapping[str, Any], problems: list[str]) -> list[Sample]:
    calls = entry.get("network_evaluations")
    made = [
        entry.get("data"),
        f"seed {entry['seeds'][0]}" if entry.get("seeds") else None,
        f"{calls} network evaluation{'s' if calls != 1 else ''} per sample" if calls else None,
        entry.get("device"),
    ]
    caption = " · ".join(str(part) for part in made if part)
    return _figures(folder, entry.get("figures", []), caption, problems)


def _figures(folder: Path, figures: list[Mapping[str, Any]], caption: str, problems: list[str]) -> list[Sample]:
    found = []
    for figure in figures:
        file = folder / Path(str(figure["file"])).name
        if file.is_file():
            found.append(Sample(file, figure["alt"], int(figure["width"]), int(figure["height"]), caption))
        else:
            problems.append(f"{file.name}: named by the evidence, and not there")
    return found


def _in_parts(sample: Sample, words: Mapping[str, Titles], cache: Path, problems: list[str]) -> Sample:
    titles = words.get(sample.file.stem)
    return replace(sample, parts=in_parts(sample.file, titles, cache, problems)) if titles else sample


def _fresh(folder: Path, name: str, problems: list[str]) -> list[Sample]:
    """Samples of the last run on this machine, if there was one."""
    path = folder / f"{name}.json"
    if not path.is_file():
        return []
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        caption = f"this machine · {run['data']} · seed {run['seed']}"
        return _figures(folder, run["figures"], caption, problems)
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
        problems.append(f"{path.name}: the last run cannot be shown: {error!r}")
        return []


def _showcase(root: Path, slug: str, problems: list[str]) -> Showcase | None:
    from implementations.verification.evidence import showcases
    from implementations.verification.evidence.store import EvidenceError

    try:
        entry = showcases.read(slug, root)
        if entry is None:
            return None
        pictures = [
            Sample(
                showcases.folder_of(root) / picture["file"],
                str(picture["alt"]),
                int(picture["width"]),
                int(picture["height"]),
                str(picture["caption"]),
            )
            for picture in entry["pictures"]
        ]
        first = entry["pictures"][0]
        old = showcases.earlier(entry, root)
        return Showcase(pictures, _took(entry), old, int(first["columns"]), int(first["rows"]))
    except (EvidenceError, OSError, TypeError, ValueError) as error:
        problems.append(f"{slug}: its showcase cannot be shown: {error}")
        return None


def _took(entry: Mapping[str, Any]) -> str:
    """Data, training, parameters, evaluations and seed of a showcase, in one line."""
    slug, threads = entry["method"], entry["threads"]
    bases = list(dict.fromkeys(network["of"] for network in entry["networks"] if network["of"] != slug))
    trained = [f"{entry['minutes']:g} min of training"] if entry["minutes"] else []
    if bases:
        trained.append(f"the network of {' and '.join(bases)}, {entry['base_minutes']:g} min")
    cores = f" on {threads} core{'s' if threads != 1 else ''}" if entry["device"] == "cpu" else f" on {entry['device']}"
    return " · ".join(
        [
            str(entry["data"]),
            " on ".join(trained) + cores,
            f"{entry['parameters']:,} parameters",
            f"{entry['network_evaluations']:,} network evaluations per sample",
            f"seed {entry['seed']}",
        ]
    )
