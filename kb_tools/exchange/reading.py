"""From the text of a file to what it names: one reader for each form that `kb import` and `kb add --from` know."""

from __future__ import annotations

from pathlib import Path

from kb_tools.errors import InvalidRecordError
from kb_tools.exchange.work import Reading

FORMS = ("bibtex", "csl-json", "json", "markdown", "ris")
_FORM_OF = {
    ".bib": "bibtex",
    ".bibtex": "bibtex",
    ".json": "json",
    ".ris": "ris",
    ".md": "markdown",
    ".markdown": "markdown",
    ".txt": "markdown",
}


def form_of(file: str) -> str | None:
    """What a file is, by its name; None if that does not say it."""
    return _FORM_OF.get(Path(file).suffix.lower())


def read(text: str, form: str, name: str) -> Reading:
    """The works that a text names, and what of it is none.  Raises InvalidRecordError if it is nothing of this form."""
    if form == "bibtex":
        from kb_tools.exchange import bibtex

        return bibtex.loads(text)
    if form == "ris":
        from kb_tools.exchange import ris

        return ris.loads(text, name)
    # A list is CSL's; an export of a collection says which version it is.
    if form == "csl-json" or (form == "json" and text.lstrip().startswith("[")):
        from kb_tools.exchange import csl

        return csl.loads(text, name)
    if form == "json":
        from kb_tools.exchange.tables import load_json

        return load_json(text, name)
    from kb_tools.exchange import lists

    return lists.loads(text)


def decode(raw: bytes, encoding: str | None, name: str) -> tuple[str, str | None]:
    """The text of a file, and the encoding that was guessed, if it had to be.

    Raises InvalidRecordError where `encoding` does not fit, or where nothing does.
    """
    try:
        if encoding is not None:
            return raw.decode(encoding), None
        if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
            return raw.decode("utf-16"), None
        return raw.decode("utf-8-sig"), None
    except LookupError:
        raise InvalidRecordError(
            f"there is no encoding {encoding!r}", hint="utf-8, cp1252, latin-1, gbk, ..."
        ) from None
    except UnicodeDecodeError:
        if encoding is not None or b"\0" in raw:
            raise InvalidRecordError(
                f"{name} is not {encoding or 'UTF-8'}", hint="name its encoding with --encoding, or save it as UTF-8"
            ) from None
    try:
        return raw.decode("cp1252"), "cp1252"
    except UnicodeDecodeError:
        return raw.decode("latin-1"), "latin-1"
