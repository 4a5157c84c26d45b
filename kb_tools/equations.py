"""Equation comments of a method's file: `# Eq. 12` on a line is the anchor of that equation; nothing else is."""

from __future__ import annotations

import re

# Strings are matched so that no # in them is taken for a comment.  The standard tokenizer says the same (a test holds
# them together) and takes nearly twenty times as long.
_STRING_OR_COMMENT = re.compile(
    r'''
    """ (?: [^\\] | \\. )*? """ | \'\'\' (?: [^\\] | \\. )*? \'\'\'
    | " (?: [^"\\\n] | \\. )* " | ' (?: [^'\\\n] | \\. )* '
    | (?P<comment> \# [^\n]* )
    ''',
    re.DOTALL | re.VERBOSE,
)
_CITED = re.compile(r"\bEqs?\.\s*((?:[A-Z]?\.?\d+[a-z]?)(?:\s*(?:,|and|&)\s*[A-Z]?\.?\d+[a-z]?)*)")
_NUMBER = re.compile(r"[A-Z]?\.?\d+[a-z]?")


def equation_lines(code: str) -> dict[str, list[int]]:
    """Number of each equation named in a comment of Python code -> lines of those comments, counted from 1."""
    found: dict[str, list[int]] = {}
    if "Eq" not in code:
        return found
    for match in _STRING_OR_COMMENT.finditer(code):
        comment = match["comment"]
        for cited in _CITED.finditer(comment) if comment else ():
            line = code.count("\n", 0, match.start()) + 1
            for number in _NUMBER.findall(cited[1]):
                found.setdefault(number, []).append(line)
    return found
