"""Formulas for programs that know no TeX: letters of Unicode, indices as the tags that citation programs print."""

from __future__ import annotations

import re

from kb_tools.exchange.latex import NotLatexError, formulas, symbols

_INDEX = re.compile(r"([_^])(?:\{([^{}]*)\}|(\\[A-Za-z]+|[A-Za-z0-9*+]))")
_TAGS = {"^": "sup", "_": "sub"}


def tagged(text: str) -> str:
    """Text whose formulas are printed by citeproc as they are meant: `$O(n^2)$` is O(n<sup>2</sup>).

    The case of their letters is kept.  A formula with more than letters and indices stays as its source.
    """
    parts, end = [], 0
    for start, stop in formulas(text):
        parts += [text[end:start], _tagged(text[start:stop])]
        end = stop
    return "".join([*parts, text[end:]])


def _tagged(formula: str) -> str:
    inner, end, parts = formula[1:-1], 0, []
    try:
        for found in _INDEX.finditer(inner):
            tag = _TAGS[found[1]]
            parts += [symbols(inner[end : found.start()]), f"<{tag}>{symbols(found[2] or found[3])}</{tag}>"]
            end = found.end()
        written = "".join([*parts, symbols(inner[end:])])
    except NotLatexError:
        return formula
    return f'<span class="nocase">{written}</span>'
