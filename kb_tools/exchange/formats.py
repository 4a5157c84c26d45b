"""The forms in which works come in and records go out: one table of their names, suffixes, readers and writers.

Each reader and writer is loaded when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from kb_tools.exchange.work import Data, Reading


class Export(NamedTuple):
    """What is to be written: the chosen records, and what a writer asks of the collection that they are of.

    every: all records, for a citation key does not depend on what is exported.  topics: id -> title.
    title: heading of a list.
    """

    records: Mapping[str, Data]
    every: Mapping[str, Data]
    topics: Mapping[str, str]
    title: str


class Format(NamedTuple):
    """short: other names that people type.  suffixes: of files that are in this form.

    loads: text and name of a file -> what it names; raises InvalidRecordError if it is nothing of this form.
    """

    name: str
    short: tuple[str, ...]
    suffixes: tuple[str, ...]
    loads: Callable[[str, str], Reading]
    dumps: Callable[[Export], str]


def _bibtex_in(text: str, name: str) -> Reading:
    from kb_tools.exchange import bibtex

    return bibtex.loads(text)


def _bibtex_out(export: Export) -> str:
    from kb_tools.exchange import bibtex

    return bibtex.dumps(export.records, bibtex.keys(export.every))


def _csl_in(text: str, name: str) -> Reading:
    from kb_tools.exchange import csl

    return csl.loads(text, name)


def _csl_out(export: Export) -> str:
    from kb_tools.exchange import bibtex, csl

    return csl.dumps(export.records, bibtex.keys(export.every))


def _ris_in(text: str, name: str) -> Reading:
    from kb_tools.exchange import ris

    return ris.loads(text, name)


def _ris_out(export: Export) -> str:
    from kb_tools.exchange import bibtex, ris

    return ris.dumps(export.records, bibtex.keys(export.every))


def _csv_in(text: str, name: str) -> Reading:
    from kb_tools.exchange import csv_table

    return csv_table.loads(text, name)


def _csv_out(export: Export) -> str:
    from kb_tools.exchange import csv_table

    return csv_table.dumps(export.records)


def _json_in(text: str, name: str) -> Reading:
    # A list is CSL's; an export of a collection says which version it is.
    if text.lstrip().startswith("["):
        return _csl_in(text, name)
    from kb_tools.exchange.tables import load_json

    return load_json(text, name)


def _json_out(export: Export) -> str:
    from kb_tools.exchange.tables import dump_json

    return dump_json(export.records)


def _markdown_in(text: str, name: str) -> Reading:
    from kb_tools.exchange import lists

    return lists.loads(text)


def _markdown_out(export: Export) -> str:
    from kb_tools.exchange import markdown

    return markdown.dumps(export.records, export.topics, export.title)


FORMATS = {
    one.name: one
    for one in (
        Format("bibtex", ("bib",), (".bib", ".bibtex"), _bibtex_in, _bibtex_out),
        Format("csl-json", ("csl",), (), _csl_in, _csl_out),
        Format("ris", (), (".ris",), _ris_in, _ris_out),
        Format("csv", (), (".csv", ".tsv"), _csv_in, _csv_out),
        Format("json", (), (".json",), _json_in, _json_out),
        Format("markdown", ("md",), (".md", ".markdown", ".txt"), _markdown_in, _markdown_out),
    )
}
NAMES = tuple(FORMATS)
LISTED = ", ".join(" or ".join([one.name, *one.short]) for one in FORMATS.values())
_FORM_OF = {suffix: one.name for one in FORMATS.values() for suffix in one.suffixes}
_SHORT = {short: one.name for one in FORMATS.values() for short in one.short}


def named(word: str) -> str:
    """The full name of a form, whatever its case; a word that is no short name as it is."""
    return _SHORT.get(word.lower(), word.lower())


def form_of(file: str) -> str | None:
    """What a file is, by its name; None if that does not say it."""
    return _FORM_OF.get(Path(file).suffix.lower())


def read(text: str, form: str, name: str) -> Reading:
    """The works that a text names, and what of it is none.  Raises InvalidRecordError if it is nothing of this form."""
    return FORMATS[form].loads(text, name)


def write(export: Export, form: str) -> str:
    """The records in a form."""
    return FORMATS[form].dumps(export)
