"""Equation comments of a method's file: `# Eq. 12` on a line is the anchor of that equation; nothing else is."""

from __future__ import annotations

import io
import re
import tokenize

_CITED = re.compile(r"\bEqs?\.\s*((?:[A-Z]?\.?\d+[a-z]?)(?:\s*(?:,|and|&)\s*[A-Z]?\.?\d+[a-z]?)*)")
_NUMBER = re.compile(r"[A-Z]?\.?\d+[a-z]?")


def equation_lines(code: str) -> dict[str, list[int]]:
    """Number of each equation named in a comment -> lines of those comments, counted from 1.

    The code must be Python that parses: of other code, what the tokenizer lets pass depends on the version of Python.
    """
    found: dict[str, list[int]] = {}
    if "Eq" not in code:
        return found
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.COMMENT:
            for cited in _CITED.finditer(token.string):
                for number in _NUMBER.findall(cited[1]):
                    found.setdefault(number, []).append(token.start[0])
    return found
