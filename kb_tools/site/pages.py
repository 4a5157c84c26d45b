"""Knowledge to files: a pure function.  Names are relative to the docs folder; pages are Markdown for mkdocs."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from kb_tools.appearance.notation import spoken
from kb_tools.exchange import bibtex, work
from kb_tools.exchange.markdown import HEADINGS
from kb_tools.methods.equations import SECTION, anchor_name
from kb_tools.records.model import RESOURCE_KINDS, AsWritten, Record, Topic
from kb_tools.site import graphs, machine_readable, notes
from kb_tools.site.art import card_png, diffusion_svg
from kb_tools.site.cards import PICTURE, method_card
from kb_tools.site.comparison import Comparison, compared_in, comparisons
from kb_tools.site.doors import doors
from kb_tools.site.hours import RULE as HOURS_RULE
from kb_tools.site.hours import in_words
from kb_tools.site.knowledge import Knowledge, Method, Sample, Showcase, name_of
from kb_tools.site.leads import by_source, first_goal, leads_to
from kb_tools.site.listing import Address, Excerpt, MethodSource
from kb_tools.site.markup import page, prose, safe_url, sentences, text
from kb_tools.site.maths import MathError, mathml
from kb_tools.site.own import coloured, pages_there
from kb_tools.site.proofs import figure, set_number
from kb_tools.site.writing import Memo, read_tree

WORTH = {1: "skim it", 2: "read it", 3: "read and implement it"}
PATHS_ON_HOME = 6
NEXT_ON_HOME = 3
SAMPLES_ON_HOME = 8
SHOWCASES_ENOUGH = 4
PHONE, BETWEEN = 322, 16  # pixels across in a card on a phone, and between two parts of a picture
IMAGES_ON_HOME = 5, 3  # columns and rows of a showcase
SHOWCASE_GAP = 2  # pixels between two of its images
BEHIND_DOOR = 5  # papers shown behind a door of the first page
LONG_WAY = 14  # papers before a goal that the page of goals names
HALF_PAGE_GLYPHS = 38
HALF_PAGE_COLUMNS = 84
MANY_SD = 99
GIST = 72  # characters of a heading
ROLES = (("loss", "objective"), ("sample",))  # in names of functions: what is minimised, and what samples
_OF_A_LIST = re.compile(r"(?<![\d.,:/])00\d\b|\bseeds?\b(?! \d)", re.IGNORECASE)  # a list's number, or "no seed"
IN_GROUP = {"common": "What no paper owns", "verification": "What verifies"}


@dataclass(frozen=True)
class ShownCode:
    """Lines of a file from `first` on, ready to be shown.  inside: the function that they are of."""

    first: int
    inside: str
    html: Markup


@dataclass(frozen=True)
class ShownEquation:
    """An equation ready to be shown; `mathml` is None when its LaTeX could not be set.

    gist: what it is, for its heading.  rest: all that is said of it, where that is more.

    `wide`: half of a page is too narrow for it or for its line of code, so that they stand under each other.
    """

    anchor: str
    name: str
    tex: str
    gist: str
    rest: str
    mathml: Markup | None
    code: list[ShownCode]
    wide: bool


@dataclass(frozen=True)
class ShownAlgorithm:
    """An algorithm of the paper.  steps: how deep inside loops, and what is done."""

    anchor: str
    name: str
    says: Markup
    steps: list[tuple[int, Markup]]


@dataclass(frozen=True)
class ShownFunctions:
    """Algorithms that the same functions implement, and these, whole."""

    algorithms: list[ShownAlgorithm]
    code: list[ShownCode]


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
class ShownPart:
    """A part of a sample under the name it has on the site.  sheet: of small images, to be enlarged."""

    name: str
    said: str
    width: int
    height: int
    sheet: bool


@dataclass(frozen=True)
class ShownSample:
    """A sample under the name it has on the site, and its parts, row by row, if it is shown in parts.

    words: what is seen on it, of which `alt` is what a screen reader says.
    """

    name: str
    words: str
    alt: str
    width: int
    height: int
    caption: str
    parts: Sequence[Sequence[ShownPart]] = ()


@dataclass(frozen=True)
class Window:
    """The first images of a showcase's picture, whole: its size in their pixels, and how wide the picture is in it."""

    width: int
    height: int
    percent: float


def render(k: Knowledge, hand: Path, env: Environment, address: str, memo: Memo) -> dict[str, bytes]:
    """All files of the docs folder.  `hand` is the folder of hand-written pages and assets, `env` has its templates.

    What cannot be shown is added to `k.problems`.  memo: of an earlier call with the same `env`, or an empty one.
    """
    files = {f"assets/{name}": data for name, data in read_tree(hand / "assets").items()}
    files |= read_tree(hand / "pages")
    there = pages_there(k)
    if "contribute" in there:
        files["contribute.md"] = contributing(k.root)
    if k.settings:
        coloured(files, k.settings.colours)
    for method in k.methods.values():
        files[f"code/{method.record.id}/{method.name}.py"] = method.source.code.encode()
        if method.flat:
            files[f"code/{method.record.id}/{method.name}_flat.py"] = method.flat.encode()
    if "project" in there:
        files["assets/img/diffusion.svg"] = diffusion_svg().encode()
        files["assets/img/card.png"] = card_png(len(k.papers), len(k.methods))
    shown = _samples(k, files)
    cards = _cards(k, hand / "assets" / "fonts")
    files |= {card.name: card.data for card in cards.values()}
    said_of: dict[tuple[str, str, bool], Markup] = {}

    def once(make: Callable[[Record, str, bool], Markup], record: Record, base: str, is_goal: bool) -> Markup:
        """What is said of a paper in the words of a way: the same on all pages that lie equally deep."""
        key = (record.id, base, is_goal)
        if key not in said_of:
            said_of[key] = make(record, base, is_goal)
        return said_of[key]

    env.globals.update(
        once=once,
        k=k,
        there=there,
        WR=WORTH,
        LONG_WAY=LONG_WAY,
        BEHIND_DOOR=BEHIND_DOOR,
        HOURS_RULE=HOURS_RULE,
        KINDS=HEADINGS,
        name_of=name_of,
        address=lambda record: work.address(record.model_dump()),
        byline=byline,
        mark=mark,
        link=link,
        steps=steps,
        cited=cited,
        code_of=partial(code_of, k),
        figure=figure,
        in_words=in_words,
        judge=judge,
        cautions=cautions,
        of_lists=of_lists,
        number=set_number,
        on_phone=on_phone,
        slug=slug,
        theirs=theirs,
        summary=partial(summary, k),
        named=partial(named, k),
        noted_on=partial(noted_on, k),
        way_of=partial(way_of, k),
        years=years,
        written=written,
        shown=shown,
        distance=distance,
        methods=_in_order(k),
        by_topic=_by_topic(k, k.papers.values()),
        resources_by_topic=_by_topic(k, k.resources.values()),
        leading={i for i in k.papers if k.path_to[i]},
        goals=sorted((r for i, r in k.papers.items() if k.path_to[i]), key=lambda r: name_of(r).lower()),
        goal_groups=_goals(k),
    )
    ordered = [k.records[i] for i in k.order]
    by_name = sorted(ordered, key=lambda r: name_of(r).lower())
    paper_years = sorted({r.year for r in ordered if r.year}, reverse=True)
    places, compared = Places(k), comparisons(k, _in_order(k))
    near, pictures = graphs.neighbourhoods(k, "../", memo)
    files |= pictures
    coded = "methods" in there or any(theirs(record) for record in ordered)
    pages = [
        _home(k, shown),
        _Page("papers/index", "Papers", "papers.html", {"papers": ordered, "paper_years": paper_years, "coded": coded}),
        _Page("topics/index", "Topics", "topics.html", {}),
        _Page("order/index", "Reading order", "order.html", {"papers": ordered}),
        _Page("order/goals", "Goals", "goals.html", {}),
        _graph(k, ordered, by_name),
        *_beyond(k, there),
        *(_Page(f"compare/{c.name}", c.title, "compare.html", {"c": c}, c.lead) for c in compared.values()),
        *(_paper(k, r, near.get(r.id), address, places, compared, cards.get(r.id)) for r in k.papers.values()),
        *_leads(k),
        *(_topic(k, i) for i in k.topics),
        *(page for i, method in k.methods.items() for page in _code(k, method, places, cards.get(i))),
        *(_common(source, places) for source in k.common.values()),
    ]
    around = [there, *_around(k, hand, shown)]
    for made in pages:
        write = partial(made.text, env)
        kept = made.template in ("paper.html", "leads.html")
        said = memo.get(made.name, (made, around), write) if kept else write()
        files[f"{made.name}.md"] = said.encode()
    files |= machine_readable.files(k, address, [_address(made.name) for made in pages], memo)
    return files


def _beyond(k: Knowledge, there: Container[str]) -> Iterator[_Page]:
    """The pages that a collection has only where it holds something for them."""
    if "methods" in there:
        yield _Page("gallery", "Gallery", "gallery.html", {})
        yield _Page("verification", "Verification", "verification.html", {"planted": _planted(k)})
    if "speed" in there:
        yield _Page("speed", "Speed", "speed.html", {})
    if "resources" in there:
        yield _Page("resources", "Resources", "resources.html", {"kinds": _kinds(k)})


def contributing(root: Path) -> bytes:
    """The collection's own CONTRIBUTING.md as a page, so that there is one text on how to contribute, not two."""
    path = root / "CONTRIBUTING.md"
    said = path.read_bytes() if path.is_file() else b"# Contribute\n\nThis collection does not say how.\n"
    return b"---\ntitle: Contribute\n---\n\n" + said


def _around(k: Knowledge, hand: Path, shown: Mapping[Path, ShownSample]) -> list[object]:
    """All that the page of a paper depends on besides its own context: names, topics, methods, samples, templates."""
    named = {i: (r.kind, name_of(r)) for i, r in k.records.items()}
    templates = {path: path.stat().st_mtime_ns for path in (hand / "templates").iterdir()}
    return [named, k.names, k.topics, k.methods, k.clone, shown, templates]


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
        base = _base(self.name)
        body = env.get_template(self.template).render(base=base, **self.context)
        folder, _, paper = self.name.partition("/")
        if folder == "papers" and paper not in ("", "index"):  # a paper has a hundred links to others: the shortest way
            body = body.replace(f'="{base}papers/', '="../')
        return page(self.title, body, description=self.description, extra=self.extra)


def _base(name: str) -> str:
    """The way from a page to the site's root."""
    depth = name.count("/") + (0 if name.split("/")[-1] == "index" else 1)
    return "../" * depth or "./"


class Places:
    """Where the site shows what is imported: the line that defines it, whichever file it was taken from."""

    def __init__(self, k: Knowledge) -> None:
        self._files: dict[str, tuple[str, MethodSource]] = {}
        for method in k.methods.values():
            for source, name in ((method.source, ""), (method.demo, "/demo")):
                if source:
                    self._files.setdefault(source.dotted, (f"code/{method.record.id}{name}/", source))
        self._files |= {source.dotted: (f"{_common_name(source)}/", source) for source in k.common.values()}

    def seen_from(self, base: str) -> Address:
        """base: the way to the site's root."""

        def address(module: str, name: str) -> str | None:
            place = self._find(module, name)
            return place and base + place

        return address

    def _find(self, module: str, name: str) -> str | None:
        inner = f"{module}.{name}".rstrip(".")
        if inner in self._files:
            return self._files[inner][0]
        page, source = self._files.get(module, ("", None))
        if source is None:
            return None
        if name in source.places:
            return f"{page}#L{source.places[name]}"
        return self._find(*source.imported[name]) if name in source.imported else None


def _common_name(source: MethodSource) -> str:
    return f"code/{source.module.replace('_', '-')}"


def _home(k: Knowledge, shown: Mapping[Path, ShownSample]) -> _Page:
    longest = sorted((i for i in k.papers if k.path_to[i]), key=lambda i: (-len(k.path_to[i]), i))
    paths = [i for i in dict.fromkeys([*k.goals, *longest]) if k.path_to[i]][:PATHS_ON_HOME]
    found = doors(k)
    others = sum(bool(theirs(r)) for r in k.papers.values())
    context = {
        "read": sum(r.status == "read" for r in k.papers.values()),
        "doors": found,
        "door_count": sum(map(bool, (found.start, found.hub, k.methods or others))),
        "others_code": others,
        "next": k.next(NEXT_ON_HOME),
        "samples": _on_home(k, shown),
        "paths": [k.records[i] for i in paths],
        "claim_count": sum(len(m.claims) for m in k.methods.values()),
    }
    return _Page("index", "Home", "home.html", context)


def _goals(k: Knowledge) -> list[tuple[str, list[Record]]]:
    """Papers that others are read before, by the topic that fits them most; first those with the shortest way."""
    groups: dict[str, list[Record]] = {i: [] for i in k.topics}
    rest: list[Record] = []
    for record in sorted(k.papers.values(), key=lambda r: (len(k.path_to[r.id]), natural(name_of(r).lower()), r.id)):
        if k.path_to[record.id]:
            topic = next((i for i in record.topics if i in k.topics), None)
            (groups[topic] if topic else rest).append(record)
    found = [(k.topics[i].title, group) for i, group in groups.items()] + [("Without a topic", rest)]
    return [(title, group) for title, group in found if group]


def _on_home(k: Knowledge, shown: Mapping[Path, ShownSample]) -> list[tuple[Method, ShownSample, Window | None]]:
    """What methods draw: of a showcase as many images for each; where few have one, the pictures beside claims too."""
    found: list[tuple[Method, ShownSample, Window | None]] = []
    for method in _in_order(k):
        if method.showcase:
            picture = method.showcase.pictures[0]
            found.append((method, shown[picture.file], _window(method.showcase, picture)))
    if len(found) < SHOWCASES_ENOUGH:
        found += [(m, shown[m.samples[0].file], None) for m in _in_order(k) if m.samples and not m.showcase]
    return found[:SAMPLES_ON_HOME]


@dataclass(frozen=True)
class _Card:
    """What other sites show beside a link: a file of the site, and what is to be seen on it."""

    name: str
    alt: str
    data: bytes = field(repr=False)


def _cards(k: Knowledge, fonts: Path) -> dict[str, _Card]:
    """The cards of the methods that have a picture: of a showcase as many whole rows as fit, else that of the proof."""
    found = {}
    for i, method in k.methods.items():
        pictures = method.showcase.pictures if method.showcase else method.samples
        if not pictures:
            continue
        picture, record = pictures[0], method.record
        part = _rows(method.showcase, picture) if method.showcase else None
        name = name_of(record)
        said = [record.title] if record.title != name else []
        said.append(", ".join(filter(None, (byline(record), str(record.year or "")))))
        cache = k.cache / "cards" if k.cache else None
        data = method_card(name, " · ".join(filter(None, said)), k.title, picture.file.read_bytes(), part, fonts, cache)
        found[i] = _Card(f"cards/{i}.png", spoken(picture.alt), data)
    return found


def _rows(showcase: Showcase, picture: Sample) -> tuple[int, int]:
    """Width and height of the first rows of a showcase's picture, as many as let it fill the width of a card."""
    high = (picture.height + SHOWCASE_GAP) // showcase.rows
    most = int((picture.width * PICTURE[1] / PICTURE[0] + SHOWCASE_GAP) / high)
    return picture.width, high * min(max(most, 1), showcase.rows) - SHOWCASE_GAP


def _shared(card: _Card | None) -> dict[str, str]:
    """Front matter that names the card."""
    return {"card": card.name, "card_alt": str(text(" ".join(card.alt.split())))} if card else {}


def _window(showcase: Showcase, picture: Sample) -> Window:
    columns, rows = (min(n, most) for n, most in zip((showcase.columns, showcase.rows), IMAGES_ON_HOME, strict=True))
    gap = SHOWCASE_GAP
    wide = (picture.width + gap) // showcase.columns * columns - gap
    high = (picture.height + gap) // showcase.rows * rows - gap
    return Window(wide, high, round(100 * picture.width / wide, 3))


def _in_order(k: Knowledge) -> list[Method]:
    """Methods in reading order."""
    return sorted(k.methods.values(), key=lambda m: k.position[m.record.id])


def _paper(
    k: Knowledge,
    record: Record,
    local: graphs.Neighbourhood | None,
    address: str,
    places: Places,
    compared: Mapping[str, Comparison],
    card: _Card | None,
) -> _Page:
    at = k.position[record.id]
    name = f"papers/{record.id}"
    method, seen = k.methods.get(record.id), places.seen_from(_base(name))
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
        "symbols": [(_mixed(k, record, f"${s.paper}$"), s.code, _mixed(k, record, s.says)) for s in record.symbols],
        "algorithms": _algorithms(k, record, method, seen),
        "equations": list(_equations(k, record, method, seen)),
        "noted": noted_on(k, record, _base(name)),
        "bibtex": bibtex.entry(record.model_dump(), k.citation_keys[record.id]),
        "local": local,
        "compared": [(c.name, c.title) for c in compared_in(compared, record)],
    }
    context["parts"] = _parts(method, context)
    extra = {
        "cite": machine_readable.citation(record),
        "linked_data": machine_readable.linked_data(record, k.citation_keys[record.id], address),
        **_shared(card),
    }
    return _Page(name, record.title, "paper.html", context, spoken(record.why or ""), extra)


def _graph(k: Knowledge, ordered: list[Record], by_name: list[Record]) -> _Page:
    goal = first_goal(k)
    way = leads_to(k, goal, "../") if goal else None
    context = {"papers": ordered, "chart": graphs.whole(k), "by_name": by_name, "way": way}
    return _Page("graph/index", "Graph", "graph.html", context)


def _leads(k: Knowledge) -> Iterator[_Page]:
    """A page for every paper that builds on another."""
    links = by_source(k)
    for i, record in k.papers.items():
        if k.path_to[i]:
            name = f"graph/{i}"
            way = leads_to(k, i, _base(name), links)
            yield _Page(name, f"What leads to {name_of(record)}", "leads.html", {"way": way})


def _parts(method: Method | None, context: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where one can jump to on the page of a paper: anchors and names, in the order in which they stand."""
    parts = [
        ("summary", "In short", True),
        ("notes", "Notes", context["noted"]),
        ("symbols", "Symbols", context["symbols"]),
        ("algorithms", "Algorithms", context["algorithms"]),
        ("equations", "Equations", context["equations"]),
        ("samples", "Samples", method),
        ("claims", "Measured", method and method.claims),
        ("neighbours", "Neighbours", context["local"]),
        ("path", "The way here", True),
        ("cite", "Cite", True),
    ]
    return [(anchor, name) for anchor, name, there in parts if there]


def noted_on(k: Knowledge, record: Record, base: str) -> Markup:
    """The notes on a record, or nothing.  base: the way to the site's root."""

    def address(ident: str) -> str | None:
        if ident in k.papers:
            return f"{base}papers/{ident}/"
        return f"{base}resources/#{ident}" if ident in k.resources else None

    said = k.written.get(record.id)
    return notes.rendered(said, record.title, address) if said else Markup()


def mark(record: Record) -> Markup:
    """The status of a paper: a circle that the reader can click when there are scripts."""
    return _mark(record.id, record.status)


def link(record: Record, base: str) -> Markup:
    """A paper by its name."""
    return _link(base, record.id, name_of(record))


def steps(records: Iterable[Record], base: str) -> Markup:
    """Papers as items of a list, each with its status and its year: a way of hundreds stands on many a page."""
    return Markup("".join([_step(base, r.id, r.status, name_of(r), r.year) for r in records]))  # noqa: S704 - of Markup


def cited(records: Iterable[Record], base: str) -> Markup:
    """Papers as items of a list, each with its year."""
    return Markup("".join([_cited(base, r.id, name_of(r), r.year) for r in records]))  # noqa: S704 - of Markup


@lru_cache(maxsize=1 << 14)
def _step(base: str, ident: str, status: str, name: str, year: int | None) -> Markup:
    said = _mark(ident, status), _link(base, ident, name), year or ""
    return Markup('<li>{}{}<span class="fine">{}</span></li>').format(*said)


@lru_cache(maxsize=1 << 14)
def _cited(base: str, ident: str, name: str, year: int | None) -> Markup:
    return Markup('<li>{} <span class="fine">{}</span></li>').format(_link(base, ident, name), year or "")


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
    for start, name in k.names_in(value):
        target = k.names[name]
        if target in seen or (name == target and not (ids or "-" in target)):
            continue
        seen.add(target)
        out += [text(value[last:start]), _link(base, target, name_of(k.records[target]) if name == target else name)]
        last = start + len(name)
    return Markup("").join([*out, text(value[last:])])


def _mixed(k: Knowledge, record: Record, value: str) -> Markup:
    """A sentence in which LaTeX stands between dollar signs."""
    parts = value.split("$")
    if len(parts) % 2 == 0:
        k.problems.append(f"{record.id}: a dollar sign without its pair: {value}")
        return text(value)
    out = []
    for place, part in enumerate(parts):
        try:
            out.append(mathml(part, display=False) if place % 2 else prose(part))
        except MathError as error:
            k.problems.append(f"{record.id}: {part} cannot be set: {error}")
            out.append(text(f"${part}$"))
    return Markup("").join(out)


def _algorithms(k: Knowledge, record: Record, method: Method | None, seen: Address) -> list[ShownFunctions]:
    """Algorithms with the functions that implement them: what is minimised first, then what samples, then the rest."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for number in sorted(record.algorithms, key=natural):
        lines = tuple(method.source.anchors.algorithms.get(number, ())) if method else ()
        groups.setdefault(lines, []).append(number)
    found = []
    for numbers in groups.values():
        shown = [_algorithm(k, record, number) for number in numbers]
        code = _shown(method.source, method.source.whole(numbers[0]), seen) if method else []
        found.append(ShownFunctions(shown, code))
    return sorted(found, key=lambda group: min((_role(code.inside) for code in group.code), default=len(ROLES)))


def _role(function: str) -> int:
    name = function.split(".")[-1]
    return next((n for n, words in enumerate(ROLES) if any(word in name for word in words)), len(ROLES))


def _algorithm(k: Knowledge, record: Record, number: str) -> ShownAlgorithm:
    said = record.algorithms[number]
    steps = [((len(step) - len(step.lstrip())) // 2, _mixed(k, record, step.lstrip())) for step in said.steps]
    name = anchor_name("Algorithm", number)
    return ShownAlgorithm(_anchor("alg", number), name, _mixed(k, record, said.says), steps)


def _anchor(kind: str, number: str) -> str:
    return f"{kind}-{number.lower().replace(' ', '-')}"


def _shown(source: MethodSource, excerpts: list[Excerpt], seen: Address) -> list[ShownCode]:
    return [ShownCode(excerpt.first, excerpt.inside, source.html(excerpt, seen)) for excerpt in excerpts]


def _equations(k: Knowledge, record: Record, method: Method | None, seen: Address) -> Iterable[ShownEquation]:
    for number, equation in sorted(record.equations.items(), key=lambda item: natural(item[0])):
        try:
            shown = mathml(equation.tex)
        except MathError as error:
            k.problems.append(f"{record.id}: equation {number} cannot be set: {error}")
            shown = None
        excerpts = method.source.excerpts(number) if method else []
        glyphs = len(re.sub(r"\s", "", shown.striptags())) if shown else 0
        longest = (
            max((len(line) for x in excerpts for line in method.source.marked_code(x)), default=0) if method else 0
        )
        wide = glyphs > HALF_PAGE_GLYPHS or longest > HALF_PAGE_COLUMNS
        code = _shown(method.source, excerpts, seen) if method else []
        name = anchor_name("Equation", number)
        gist = _gist(equation.says)
        rest = equation.says if len(gist) < len(equation.says.rstrip(".")) else ""
        yield ShownEquation(_anchor("eq", number), name, equation.tex, gist, rest, shown, code, wide)


def _gist(said: str) -> str:
    """All of it or, if that is long, the first clause, as it goes on after a name and a comma."""
    clause = said.rstrip(".") if len(said) <= GIST else re.split(r"[:;.](?:\s|$)|,\s", said, maxsplit=1)[0]
    return clause[:1].lower() + clause[1:] if clause[1:2].islower() or clause[1:2] == " " else clause


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


def _code(k: Knowledge, method: Method, places: Places, card: _Card | None) -> Iterator[_Page]:
    """The page of a method's file, and that of its demo."""
    address = f"code/{method.record.id}"
    yield _listing(k, method, method.source, address, places, card, demo=False)
    if method.demo:
        yield _listing(k, method, method.demo, f"{address}/demo", places, card, demo=True)


def _listing(
    k: Knowledge, method: Method, source: MethodSource, address: str, places: Places, card: _Card | None, *, demo: bool
) -> _Page:
    by_module = {m.name: m.record for m in k.methods.values()}
    sections = {n: lines for n, lines in source.anchors.sections.items() if n in method.record.equations}
    equations = source.equations if demo else source.equations | sections
    context = {
        "r": method.record,
        "method": method,
        "source": source,
        "equations": {number.removeprefix(SECTION): lines[0] for number, lines in equations.items()},
        "demo": demo,
        "body": _body(source, places.seen_from(_base(address)), {n for lines in equations.values() for n in lines}),
        "lineage": [by_module[name] for name in dict.fromkeys(source.imports) if name in by_module],
    }
    return _Page(address, source.path, "code.html", context, method.headline, _shared(card))


def _common(source: MethodSource, places: Places) -> _Page:
    """The page of a file that methods share."""
    name = _common_name(source)
    body = _body(source, places.seen_from(_base(name)), set())
    context = {"r": None, "method": None, "source": source, "equations": {}, "demo": False, "body": body, "lineage": []}
    return _Page(name, source.path, "code.html", context, source.docstring.split("\n")[0])


def _body(source: MethodSource, seen: Address, marked: set[int]) -> Markup:
    count = len(source.lines)
    return Markup("\n").join(source.line(n, seen, marked=n in marked, anchor=True) for n in range(1, count + 1))


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
        exhibits = method.showcase.pictures if method.showcase else []
        for group, prefix in ((method.samples, ""), (method.fresh, "run-"), (exhibits, "")):
            for sample in group:
                name = f"{prefix}{sample.file.name}"
                files[f"samples/{name}"] = sample.file.read_bytes()
                shown[sample.file] = _as_shown(sample, name, files)
    return shown


def _as_shown(sample: Sample, name: str, files: dict[str, bytes]) -> ShownSample:
    rows: list[list[ShownPart]] = []
    for parts in sample.parts:
        row = []
        for part in parts:
            number = sum(map(len, rows)) + len(row) + 1
            row.append(ShownPart(f"{Path(name).stem}-{number}.webp", part.said, part.width, part.height, part.sheet))
            files[f"samples/{row[-1].name}"] = part.data
        rows.append(row)
    words = re.sub(r"(?<=\d) x (?=\d)", " × ", sample.alt)
    return ShownSample(name, words, spoken(sample.alt), sample.width, sample.height, sample.caption, rows)


def on_phone(width: int) -> int:
    """How many pixels a pixel of a sheet takes on a phone: two sheets side by side, if these can still be seen."""
    beside = (PHONE - BETWEEN) // 2 // width
    return min(4, beside if beside > 1 else max(1, PHONE // width))


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


def way_of(k: Knowledge, record: Record) -> list[Record]:
    """All that is read to understand a paper, itself included."""
    return [*(k.records[i] for i in k.path_to[record.id]), record]


def judge(by: str) -> str:
    """Whose score it is, in a reader's words; lists are known by a number that says nothing to a reader."""
    if re.fullmatch(r"seed \d+", by):
        return "a reading list from which this collection grew"
    return "an editor of this collection" if by == "editors" else by


def cautions(record: Record) -> list[str]:
    """Notes for who reads the work; those on the lists that name it are told where it comes from."""
    return [note for note in record.notes if not _OF_A_LIST.search(note)]


def of_lists(held: Record | Topic) -> list[str]:
    """What the reading lists had wrong about a work or a topic, or left open."""
    notes = held.notes if isinstance(held, Record) else []
    return [*held.corrections, *(note for note in notes if _OF_A_LIST.search(note))]


def code_of(k: Knowledge, record: Record) -> str:
    """What code there is, in the words that the filter of the list asks for: ours, and verified, the authors', none."""
    method = k.methods.get(record.id)
    ours = ["code", "verified"] if method and method.proven else ["code"] if method else []
    return " ".join(ours + (["authors"] if theirs(record) else []) or ["none"])


def theirs(record: Record) -> str | None:
    """Address of the authors' repository, where there is one."""
    return safe_url(record.links.get("code", ""))


def slug(value: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")


def natural(number: str) -> list[tuple[int, int, str]]:
    """Sorting key: 2 before 10, and appendices (A.2, B.1) after the numbers."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.findall(r"\d+|\D+", number)]
