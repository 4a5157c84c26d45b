"""Text as a record may hold it: no invisible characters, no tabs, no markup of web pages; one form for every way in."""

from __future__ import annotations

import html
import re
import unicodedata

# What the strict reader refuses in a file: controls, bidirectional and zero-width formatting, private letters.
_INVISIBLE = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_TAG = re.compile(
    r"</?(?:jats:)?(?:i|b|u|em|strong|sub|sup|scp|sc|tt|span|small|italic|bold|p|title)(?:\s[^<>]{0,200})?/?>", re.I
)
LOST = "\ufffd"  # what a program writes for a letter that it could not read


def one_line(text: str) -> str:
    """Text on one line: titles arrive hard-wrapped, abstracts with the line ends of other systems."""
    return " ".join(_seen(text).split())


def lines(text: str) -> str:
    """Text that keeps its lines, without empty ones, which a record does not hold."""
    kept = (one_line(line) for line in re.split(r"\r\n|[\r\n\u2028\u2029]", text))
    return "\n".join(line for line in kept if line)


def without_markup(text: str) -> str:
    """Text whose entities are letters and whose tags of web pages are gone; a lone `<` or `&` stays."""
    if "<" in text:
        text = _TAG.sub("", text)
    return _ENTITY.sub(lambda found: html.unescape(found.group()), text) if "&" in text else text


def _seen(text: str) -> str:
    if not text.isprintable():
        text = "".join(
            letter if unicodedata.category(letter) not in _INVISIBLE else " " if letter.isspace() else ""
            for letter in text
        )
    return unicodedata.normalize("NFC", text)
