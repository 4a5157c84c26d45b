"""Markdown to HTML: mkdocs and its material theme, one page at a time, so that one change costs one page.

The docs folder is one that `mkdocs build` takes as it is.  Its own build renders everything again each time and copies
what no page here asks for; this one goes through the same public parts (configuration, navigation, pages, templates).
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import FileSystemBytecodeCache

from kb_tools.errors import KbError
from kb_tools.site.markup import ACTIVE

NOT_FOUND = "404.html"
THEME_FILES = "assets/stylesheets/"
_INERT = re.compile(f"&#({'|'.join(str(ord(c)) for c in ACTIVE)});")


class _Kept(logging.Handler):
    """Keeps the messages of mkdocs that are warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def for_browsers(html: str) -> str:
    """The same without what only readers of Markdown and of templates needed: entities that are plain text in HTML."""
    return _INERT.sub(lambda found: chr(int(found[1])), html)


def is_raw(markdown: str) -> bool:
    """Whether it is one block of HTML, out of which Markdown makes what it is: then nothing needs to parse it."""
    body = markdown.strip()
    return body.startswith("<div ") and body.endswith("</div>") and "\n\n" not in body and "\t" not in body


class Generator:
    """mkdocs with a configuration, set up once.  Errors: KbError when it refuses the configuration.

    modules: the scripts that pages tell the browser of before it finds them.
    """

    def __init__(self, config: Path, docs: Path, cache: Path, modules: Sequence[str] = ()) -> None:
        os.environ.setdefault("NO_MKDOCS_2_WARNING", "1")
        from mkdocs.config import load_config
        from mkdocs.exceptions import MkDocsException

        docs.mkdir(parents=True, exist_ok=True)
        try:
            self._settings = load_config(str(config), docs_dir=str(docs), site_dir=str(docs.with_name("site")))
        except MkDocsException as error:
            raise KbError(f"mkdocs cannot use {config.name}: {error}") from error
        cache.mkdir(parents=True, exist_ok=True)
        self._env = self._settings.theme.get_env()
        self._env.trim_blocks = self._env.lstrip_blocks = True
        self._env.globals["modules"] = list(modules)
        self._env.bytecode_cache = FileSystemBytecodeCache(str(cache))

    @property
    def address(self) -> str:
        """Where the site will stand, ending in a slash, or nothing if that was not said."""
        return self._settings.site_url or ""

    def theme_files(self) -> Iterator[tuple[str, bytes]]:
        """The theme's own files that pages load."""
        for folder in self._settings.theme.dirs:
            for path in sorted((Path(folder) / THEME_FILES).glob("*.css")):
                yield THEME_FILES + path.name, path.read_bytes()

    def pages(self, wanted: Container[str]) -> Iterator[tuple[str, bytes]]:
        """Name in the site and HTML of each Markdown file among `wanted`, and of the page for what is not there.

        Errors: KbError with all that mkdocs warns of, and when it cannot go on.
        """
        from mkdocs.commands.build import get_context
        from mkdocs.exceptions import MkDocsException
        from mkdocs.structure.files import get_files
        from mkdocs.structure.nav import get_navigation
        from mkdocs.structure.pages import Page

        kept, log = _Kept(), logging.getLogger("mkdocs")
        propagate, log.propagate = log.propagate, False
        log.addHandler(kept)
        try:
            files = get_files(self._settings)
            nav = get_navigation(files, self._settings)
            documents = files.documentation_pages()  # once: a list for each page grows with the square of their number
            for file in documents:
                if file.src_uri not in wanted:
                    continue
                page = file.page or Page(None, file, self._settings)
                page.read_source(self._settings)
                source = page.markdown or ""
                if is_raw(source):
                    page.content = source.strip()
                else:
                    page.render(self._settings, files)
                page.content = for_browsers(page.content or "")
                context = get_context(nav, documents, self._settings, page)
                yield file.dest_uri, self._env.get_template("main.html").render(context).encode()
            base = urlsplit(self._settings.site_url or "/").path
            lost = get_context(nav, documents, self._settings, base_url=base.rstrip("/") or "/")
            yield NOT_FOUND, self._env.get_template(NOT_FOUND).render(lost).encode()
        except MkDocsException as error:
            raise KbError(f"mkdocs could not build the site: {error}") from error
        finally:
            log.removeHandler(kept)
            log.propagate = propagate
        if kept.messages:
            raise KbError("mkdocs found fault with the pages:\n  " + "\n  ".join(kept.messages))
