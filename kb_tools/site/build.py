"""`kb build`: records to pages (a pure function), pages to a site (mkdocs), nothing written that did not change."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment

from kb_tools.errors import KbError
from kb_tools.records.model import Record
from kb_tools.site.generator import NOT_FOUND, Generator, is_raw
from kb_tools.site.knowledge import CollectionLike, Knowledge, Method, gather
from kb_tools.site.markup import environment
from kb_tools.site.own import configuration, sources
from kb_tools.site.pages import render
from kb_tools.site.scripts import loaded
from kb_tools.site.styles import Words, pruned
from kb_tools.site.writing import Memo, read_tree, write_if_changed, write_tree

STAMPS = "site.json"


@dataclass
class Report:
    """What a build did.  Names are relative to the output folder."""

    pages: int = 0
    written: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    site: Path = Path()


def build(collection: CollectionLike, out: Path, *, strict: bool = True) -> Report:
    """Render the collection under `out`: Markdown in out/docs, the site in out/site.

    Errors: KbError when something cannot be shown and `strict`, when there are no templates, or when mkdocs refuses.
    With strict=False the problems are in the report and the rest is built.
    """
    return Builder(collection, out).build(strict=strict)


class Builder:
    """Builds a collection again and again; what does not change between two builds is set up once."""

    def __init__(self, collection: CollectionLike, out: Path) -> None:
        self._collection, self._out = collection, out
        self._generator: Generator | None = None
        self._frame = ""
        self._templates: Environment | None = None
        self._methods: dict[str, Method] = {}
        self._records: dict[str, Record] = {}
        self._memo = Memo()

    def build(self, *, strict: bool = True) -> Report:
        """As the function of this name."""
        start = time.perf_counter()
        collection, out = self._collection, self._out
        hand = sources(collection.root)
        knowledge = gather(collection, out, self._methods, self._records)
        generator = self._ready(self._config(knowledge, hand / "theme"), hand / "theme")
        self._templates = self._templates or environment(hand / "templates", out / "cache" / "templates")
        files = render(knowledge, hand, self._templates, generator.address, self._memo)
        if knowledge.problems and strict:
            raise KbError("the site cannot show all of the records:\n  " + "\n  ".join(knowledge.problems))
        report = Report(problems=knowledge.problems, site=out / "site")
        report.pages = sum(name.endswith(".md") for name in files)
        for folder, tree in (("docs", files), ("site", None)):
            written, removed = write_tree(out / folder, tree if tree is not None else self._site(generator, files))
            report.written += [f"{folder}/{name}" for name in written]
            report.removed += [f"{folder}/{name}" for name in removed]
        self._remember(files)
        report.seconds = time.perf_counter() - start
        return report

    def _config(self, knowledge: Knowledge, theme: Path) -> Path:
        """The settings of mkdocs: the collection's, or those that its kb.yaml comes to."""
        if knowledge.settings is None:
            return knowledge.root / "mkdocs.yml"
        path = self._out / "mkdocs.yml"
        write_if_changed(path, configuration(knowledge, knowledge.settings, theme).encode())
        return path

    def _ready(self, config: Path, theme: Path) -> Generator:
        """The generator, anew when what it was made from has changed."""
        modules = loaded(theme.with_name("assets") / "js")
        frame = _frame(config, theme, modules)
        if self._generator is None or frame != self._frame:
            self._generator = Generator(config, self._out / "docs", self._out / "cache" / "theme", modules)
            self._frame = frame
        return self._generator

    def _site(self, generator: Generator, files: Mapping[str, bytes]) -> Mapping[str, bytes | None]:
        """Every file of the site; None for a page that is as it was."""
        before = self._before()
        pages = {name: _digest(data) for name, data in files.items() if name.endswith(".md")}
        same = {
            n for n, digest in pages.items() if before.get(n) == digest and (self._out / "site" / _html(n)).is_file()
        }
        tree: dict[str, bytes | None] = {name: data for name, data in files.items() if name not in pages}
        tree |= {_html(name): None for name in same}
        if len(same) < len(pages) or not (self._out / "site" / NOT_FOUND).is_file():
            tree |= generator.pages(pages.keys() - same)
        else:
            tree[NOT_FOUND] = None
        return tree | self._theme(generator, files, tree)

    def _theme(
        self, generator: Generator, files: Mapping[str, bytes], tree: Mapping[str, bytes | None]
    ) -> dict[str, bytes]:
        """The theme's style sheets without what no page can match.  tree: the site, with the pages that are new."""
        words = Words()
        for name, data in files.items():
            if name.endswith(".js"):
                words.add_script(data.decode())
            elif name.endswith(".md") and is_raw(_body(data.decode())):
                words.add_page(data.decode())
            elif name.endswith(".md"):
                words.add_page(self._built(_html(name), tree))
        words.add_page(self._built(NOT_FOUND, tree), frame=True)
        sheets = {name: data.decode() for name, data in generator.theme_files()}
        own = [data.decode() for name, data in files.items() if name.endswith(".css")]
        return {name: css.encode() for name, css in pruned(sheets, words, own).items()}

    def _built(self, name: str, tree: Mapping[str, bytes | None]) -> str:
        """A page of the site, whether it was made now or before."""
        made = tree.get(name)
        return (made if made is not None else (self._out / "site" / name).read_bytes()).decode()

    def _before(self) -> dict[str, str]:
        """Page -> digest of the Markdown that its HTML was made from; nothing if the frame was another one."""
        try:
            stamps = json.loads((self._out / STAMPS).read_text(encoding="utf-8"))
            return stamps["pages"] if stamps["frame"] == self._frame else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _remember(self, files: Mapping[str, bytes]) -> None:
        pages = {name: _digest(data) for name, data in files.items() if name.endswith(".md")}
        write_if_changed(self._out / STAMPS, json.dumps({"frame": self._frame, "pages": pages}).encode())


def _body(markdown: str) -> str:
    """What stands under the front matter."""
    return markdown.split("\n---\n", 1)[-1]


def _html(name: str) -> str:
    """Name in the site of a Markdown file: a folder of its own, unless it is its folder's index."""
    stem = name.removesuffix(".md")
    return f"{stem}.html" if stem.split("/")[-1] == "index" else f"{stem}/index.html"


def _frame(config: Path, theme: Path, modules: list[str]) -> str:
    """Digest of all that goes into every page: configuration, theme, scripts, versions, how they are put together."""
    digest = hashlib.sha256(f"{version('mkdocs')} {version('mkdocs-material')} {modules}".encode())
    own = Path(__file__).with_name("generator.py")
    for name, data in [*read_tree(theme).items(), *((path.name, path.read_bytes()) for path in (config, own))]:
        digest.update(f"{name}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]
