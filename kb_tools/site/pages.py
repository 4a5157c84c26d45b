"""Knowledge to files: a pure function.  Names are relative to the docs folder; pages are Markdown for mkdocs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from kb_tools.exchange import bibtex, work
from kb_tools.exchange.markdown import HEADINGS
from kb_tools.records.model import RESOURCE_KINDS, AsWritten, Record
from kb_tools.site import graphs, machine_readable
from kb_tools.site.art import card_png, diffusion_svg
from kb_tools.site.knowledge import Knowledge, Method, Sample, name_of
from kb_tools.site.listing import Excerpt, MethodSource, line_html
from kb_tools.site.markup import page, prose, sentences, text
from kb_tools.site.maths import MathError, mathml
from kb_tools.site.proofs import figure
from kb_tools.site.writing import Memo, read_tree

WORTH = {1: "skim it", 2: "read it", 3: "read and implement it"}
PATHS_ON_HOME = 6
NEXT_ON_HOME = 3
SAMPLES_ON_HOME = 8
LONG_WAY = 14  # papers before a goal that the page of goals names
HALF_PAGE_GLYPHS = 38
HALF_PAGE_COLUMNS = 84
MANY_SD = 99
IN_GROUP = {"common": "What no paper owns", "verification": "What verifies"}


@dataclass(frozen=True)
class ShownEquation:
    """An equation ready to be shown; `mathml` is None when its LaTeX could not be set.

    `wide`: half of a page is too narrow for it or for its line of code, so that they stand under each other.
    """

    number: str
    tex: str
    says: str
    mathml: Markup | None
    excerpts: list[Excerpt]
    wide: bool


@dataclass(frozen=True)
class PlantedRow:
    """What was counted of the bugs planted in one module.  stale: on other code than there is now."""

    anchor: str
    name: str
    row: Mapping[str, Any]
    stale: bool

    @property
    def judged(self) -> int:
        return self.row["killed"] + self.row["survived"]

    @property
    def seen(self) -> int:
        """Of the well-known mistakes listed for it, those that a test sees."""
        return sum(pitfall["killed_by"] != "nothing" for pitfall in self.row["pitfalls"])


@dataclass(frozen=True)
class PlantedGroup:
    """Modules that are counted together."""

    title: str
    rows: list[PlantedRow]

    def total(self, count: str) -> int:
        return sum(one.row[count] for one in self.rows)

    @property
    def judged(self) -> int:
        return sum(one.judged for one in self.rows)

    @property
    def seen(self) -> int:
        return sum(one.seen for one in self.rows)

    @property
    def pitfalls(self) -> int:
        return sum(len(one.row["pitfalls"]) for one in self.rows)


@dataclass(frozen=True)
class ShownSample:
    """A sample under the name it has on the site."""

    name: str
    alt: str
    width: int
    height: int
    caption: str


def render(k: Knowledge, hand: Path, env: Environment, address: str, memo: Memo) -> dict[str, bytes]:
    """All files of the docs folder.  `hand` is the folder of hand-written pages and assets, `env` has its templates.

    What cannot be shown is added to `k.problems`.  memo: of an earlier call with the same `env`, or an empty one.
    """
    files = {f"assets/{name}": data for name, data in read_tree(hand / "assets").items()}
    files |= read_tree(hand / "pages")
    files["contribute.md"] = contributing(k.root)
    files["assets/img/diffusion.svg"] = diffusion_svg().encode()
    shown = _samples(k, files)
    env.globals.update(
        k=k,
        WR=WORTH,
        LONG_WAY=LONG_WAY,
        KINDS=HEADINGS,
        name_of=name_of,
        address=lambda record: work.address(record.model_dump()),
        byline=byline,
        mark=mark,
        link=link,
        figure=figure,
        slug=slug,
        summary=partial(summary, k),
        named=partial(named, k),
        years=years,
        written=written,
        shown=shown,
        distance=distance,
        methods=_in_order(k),
        by_topic=_by_topic(k, k.papers.values()),
        resources_by_topic=_by_topic(k, k.resources.values()),
        goals=sorted((r for i, r in k.papers.items() if k.path_to[i]), key=lambda r: name_of(r).lower()),
    )
    ordered = [k.records[i] for i in k.order]
    by_name = sorted(ordered, key=lambda r: name_of(r).lower())
    paper_years = sorted({r.year for r in ordered if r.year}, reverse=True)
    near, pictures = graphs.neighbourhoods(k, "../", memo)
    files |= pictures
    pages = [
        _home(k, shown),
        _Page("papers/index", "Papers", "papers.html", {"papers": ordered, "paper_years": paper_years}),
        _Page("topics/index", "Topics", "topics.html", {}),
        _Page("order/index", "Reading order", "order.html", {"papers": ordered}),
        _Page("order/goals", "Goals", "goals.html", {}),
        _Page("graph/index", "Graph", "graph.html", {"papers": ordered, "chart": graphs.whole(k), "by_name": by_name}),
        _Page("gallery", "Gallery", "gallery.html", {}),
        _Page("verification", "Verification", "verification.html", {"planted": _planted(k)}),
        _Page("speed", "Speed", "speed.html", {}),
        _Page("resources", "Resources", "resources.html", {"kinds": _kinds(k)}),
        *(_paper(k, record, near.get(record.id), address) for record in k.papers.values()),
        *(_topic(k, i) for i in k.topics),
        *(page for method in k.methods.values() for page in _code(k, method)),
    ]
    around = _around(k, hand, shown)
    for made in pages:
        write = partial(made.text, env)
        of_papers = made.template == "paper.html"
        said = memo.get(made.name, (made, around), write) if of_papers else write()
        files[f"{made.name}.md"] = said.encode()
    files["assets/img/card.png"] = card_png(len(k.papers), len(k.methods))
    files |= machine_readable.files(k, address, [_address(made.name) for made in pages], memo)
    return files


def contributing(root: Path) -> bytes:
    """The collection's own CONTRIBUTING.md as a page, so that there is one text on how to contribute, not two."""
    path = root / "CONTRIBUTING.md"
    said = path.read_bytes() if path.is_file() else b"# Contribute\n\nThis collection does not say how.\n"
    return b"---\ntitle: Contribute\n---\n\n" + said


def _around(k: Knowledge, hand: Path, shown: Mapping[Path, ShownSample]) -> list[object]:
    """All that the page of a paper depends on besides its own context: names, topics, methods, samples, templates."""
    named = {i: (r.kind, name_of(r)) for i, r in k.records.items()}
    templates = {path: path.stat().st_mtime_ns for path in (hand / "templates").iterdir()}
    return [named, k.names, k.topics, k.methods, shown, templates]


@dataclass(frozen=True)
class _Page:
    """A page to be made: its file's name without .md, its title, and what its template needs."""

    name: str
    title: str
    template: str
    context: Mapping[str, Any]
    description: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def text(self, env: Environment) -> str:
        depth = self.name.count("/") + (0 if self.name.split("/")[-1] == "index" else 1)
        body = env.get_template(self.template).render(base="../" * depth or "./", **self.context)
        return page(self.title, body, description=self.description, extra=self.extra)


def _home(k: Knowledge, shown: Mapping[Path, ShownSample]) -> _Page:
    longest = sorted((i for i in k.papers if k.path_to[i]), key=lambda i: (-len(k.path_to[i]), i))
    paths = [i for i in dict.fromkeys([*k.goals, *longest]) if k.path_to[i]][:PATHS_ON_HOME]
    context = {
        "read": sum(r.status == "read" for r in k.papers.values()),
        "next": k.next(NEXT_ON_HOME),
        "samples": [(m, shown[m.samples[0].file]) for m in _in_order(k) if m.samples][:SAMPLES_ON_HOME],
        "paths": [k.records[i] for i in paths],
        "claim_count": sum(len(m.claims) for m in k.methods.values()),
    }
    return _Page("index", "Home", "home.html", context)


def _in_order(k: Knowledge) -> list[Method]:
    """Methods in reading order."""
    return sorted(k.methods.values(), key=lambda m: k.position[m.record.id])


def _paper(k: Knowledge, record: Record, local: graphs.Neighbourhood | None, address: str) -> _Page:
    at = k.position[record.id]
    method = k.methods.get(record.id)
    context = {
        "r": record,
        "method": method,
        "position": at,
        "before": k.records[k.order[at - 2]] if at > 1 else None,
        "after": k.records[k.order[at]] if at < len(k.order) else None,
        "first": k.known(record.builds_on),
        "unlocks": [k.records[i] for i in k.unlocks[record.id]],
        "way": [k.records[i] for i in k.path_to[record.id]],
        "explained": k.known(k.explained_by[record.id]),
        "cites": k.known(record.cites),
        "cited_by": k.known(k.cited_by[record.id]),
        "equations": list(_equations(k, record, method)),
        "bibtex": bibtex.entry(record.model_dump(), k.citation_keys[record.id]),
        "local": local,
    }
    extra = {
        "cite": machine_readable.citation(record),
        "linked_data": machine_readable.linked_data(record, k.citation_keys[record.id], address),
    }
    return _Page(f"papers/{record.id}", record.title, "paper.html", context, record.why or "", extra)


def mark(record: Record) -> Markup:
    """The status of a paper: a circle that the reader can click when there are scripts."""
    return _mark(record.id, record.status)


def link(record: Record, base: str) -> Markup:
    """A paper by its name."""
    return _link(base, record.id, name_of(record))


@lru_cache(maxsize=1 << 14)
def _mark(ident: str, status: str) -> Markup:
    return Markup('<span class="mark" data-mark="{0}" data-state="{1}"><span class="vh">{1}</span></span>').format(
        ident, status
    )


@lru_cache(maxsize=1 << 14)
def _link(base: str, ident: str, name: str) -> Markup:
    return Markup('<a href="{}papers/{}/">{}</a>').format(base, ident, text(name))


def summary(k: Knowledge, record: Record, base: str) -> list[Markup]:
    """The summary as paragraphs: what it is, then what to read next.  Papers it names are links, the first time."""
    said = sentences(record.summary or "")
    advice = next((n for n, s in enumerate(said) if n and s.startswith("Read ")), len(said))
    paragraphs = []
    for part, ids in ((said[:advice], False), (said[advice:], True)):
        link = partial(_linked, k, base, {record.id}, ids=ids)
        if part:
            paragraphs.append(Markup(" ").join(prose(sentence, link) for sentence in part))
    return paragraphs


def _linked(k: Knowledge, base: str, seen: set[str], value: str, *, ids: bool) -> Markup:
    """Text with the names of other papers as links; a bare id is a name only where the reader is told what to read."""
    out, last = [], 0
    for match in k.name_pattern.finditer(value):
        target = k.names[match[0]]
        if target in seen or (match[0] == target and not (ids or "-" in target)):
            continue
        seen.add(target)
        label = name_of(k.records[target]) if match[0] == target else match[0]
        out += [text(value[last : match.start()])]
        out.append(Markup('<a href="{}papers/{}/">{}</a>').format(base, target, text(label)))
        last = match.end()
    return Markup("").join([*out, text(value[last:])])


def _equations(k: Knowledge, record: Record, method: Method | None) -> Iterable[ShownEquation]:
    for number, equation in sorted(record.equations.items(), key=lambda item: natural(item[0])):
        try:
            shown = mathml(equation.tex)
        except MathError as error:
            k.problems.append(f"{record.id}: equation {number} cannot be set: {error}")
            shown = None
        excerpts = method.source.excerpts(number) if method else []
        glyphs = len(re.sub(r"\s", "", shown.striptags())) if shown else 0
        longest = max((len(line) for x in excerpts for line in x.marked_code), default=0)
        wide = glyphs > HALF_PAGE_GLYPHS or longest > HALF_PAGE_COLUMNS
        yield ShownEquation(number, equation.tex, equation.says, shown, excerpts, wide)


def _topic(k: Knowledge, i: str) -> _Page:
    topic = k.topics[i]
    papers = [r for r in k.papers.values() if i in r.topics]
    context = {
        "topic": topic,
        "papers": by_year(papers),
        "filled": k.known(topic.filled_by),
        "resources": k.known([r.id for r in k.resources.values() if i in r.topics]),
    }
    return _Page(f"topics/{i}", topic.title, "topic.html", context, topic.summary.split("\n")[0])


def _code(k: Knowledge, method: Method) -> Iterator[_Page]:
    """The page of a method's file, and that of its demo."""
    address = f"code/{method.record.id}"
    yield _listing(k, method, method.source, address, demo=False)
    if method.demo:
        yield _listing(k, method, method.demo, f"{address}/demo", demo=True)


def _listing(k: Knowledge, method: Method, source: MethodSource, address: str, *, demo: bool) -> _Page:
    marked = {line for lines in source.equations.values() for line in lines}
    rows = (line_html(n, line, n in marked, anchor=True) for n, line in enumerate(source.lines, 1))
    by_module = {m.name: m.record for m in k.methods.values()}
    context = {
        "r": method.record,
        "method": method,
        "source": source,
        "demo": demo,
        "body": Markup("\n").join(rows),
        "lineage": [by_module[name] for name in dict.fromkeys(source.imports) if name in by_module],
    }
    return _Page(address, source.path, "code.html", context, method.headline)


def _planted(k: Knowledge) -> list[PlantedGroup]:
    """Groups of modules of which planted bugs were counted: methods in reading order, others by name."""
    planted = k.proofs.planted
    codes = k.proofs.codes
    methods = [(m, planted["methods"][m.slug]) for m in _in_order(k) if m.slug in planted["methods"]]
    rows = [PlantedRow(m.record.id, name_of(m.record), row, row["code"] != codes[m.slug]) for m, row in methods]
    groups = [PlantedGroup("Methods", rows)]
    for group in ("common", "verification"):
        rows = [
            PlantedRow(slug.replace(".", "-"), row["module"], row, row["code"] != codes[slug])
            for slug, row in planted[group].items()
        ]
        groups.append(PlantedGroup(IN_GROUP[group], rows))
    return [group for group in groups if group.rows]


def _address(name: str) -> str:
    """Address of a page within the site."""
    stem = name.removesuffix("index")
    return stem if stem != name or not name else f"{name}/"


def _kinds(k: Knowledge) -> list[tuple[str, list[Record]]]:
    groups = [(kind, [r for r in k.resources.values() if r.kind == kind]) for kind in RESOURCE_KINDS]
    return [(kind, sorted(group, key=lambda r: r.title.lower())) for kind, group in groups if group]


def named(k: Knowledge, sentence: str) -> Markup:
    """A sentence of `kb order`, which speaks in ids, with the names of papers instead."""
    return text(re.sub(r"[a-z0-9]+(?:-[a-z0-9]+)*", lambda m: _name(k, m[0]), sentence))


def _name(k: Knowledge, word: str) -> str:
    return name_of(k.papers[word]) if word in k.papers else word


def _samples(k: Knowledge, files: dict[str, bytes]) -> dict[Path, ShownSample]:
    """Copies every picture to samples/; a fresh run's picture gets a name of its own."""
    shown = {}
    for method in k.methods.values():
        for group, prefix in ((method.samples, ""), (method.fresh, "run-")):
            for sample in group:
                name = f"{prefix}{sample.file.name}"
                files[f"samples/{name}"] = sample.file.read_bytes()
                shown[sample.file] = _as_shown(sample, name)
    return shown


def _as_shown(sample: Sample, name: str) -> ShownSample:
    return ShownSample(name, sample.alt, sample.width, sample.height, sample.caption)


def _by_topic(k: Knowledge, records: Iterable[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {i: [] for i in k.topics}
    for record in records:
        for topic in record.topics:
            if topic in found:
                found[topic].append(record)
    return found


def by_year(records: Iterable[Record]) -> list[tuple[int | None, list[Record]]]:
    """Records in groups of one year, oldest first, undated last."""
    ordered = sorted(records, key=lambda r: (r.year or 9999, r.id))
    return [(year, list(group)) for year, group in groupby(ordered, key=lambda r: r.year)]


def years(records: Iterable[Record]) -> str:
    """First and last year: "2015 to 2023", "2020", or nothing."""
    found = sorted({r.year for r in records if r.year})
    return "" if not found else str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def byline(record: Record) -> str:
    """Family names of up to three authors, else the first and "et al."."""
    names = [author.split()[-1] for author in record.authors] if len(record.authors) > 1 else record.authors
    return listed(names) if len(names) <= 3 else f"{names[0]} et al."


def listed(names: list[str]) -> str:
    """ "A", "A and B", "A, B and C"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def written(as_written: AsWritten) -> list[tuple[str, str]]:
    """What a seed list wrote, field by field."""
    return [(name, str(value)) for name, value in as_written.model_dump(exclude_none=True).items()]


def distance(claim: Mapping[str, Any]) -> str:
    """How many standard deviations (over seeds) a claim's value lies from its bound."""
    if not claim.get("sd"):
        return "the same on every seed" if "sd" in claim else ""
    room = claim["bound"] - claim["value"] if claim["relation"] == "<=" else claim["value"] - claim["bound"]
    far = room / claim["sd"]
    return f"{far:.0f} sd from the bound" if far < MANY_SD else f"over {MANY_SD} sd from the bound"


def slug(value: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")


def natural(number: str) -> list[tuple[int, int, str]]:
    """Sorting key: 2 before 10, and appendices (A.2, B.1) after the numbers."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.findall(r"\d+|\D+", number)]
