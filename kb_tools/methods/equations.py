"""Anchors in a method's file: comments that say which equation, algorithm or section of the paper stands there.

`# Eq. 12` on a line is the anchor of that equation; `# Alg. 2` on a `def`, on the line where the function begins or on
the one that ends its signature, is the anchor of that algorithm.  What a paper does not number is anchored by a comment
that begins with the section, `# section 4.2`.  Nothing else is an anchor.
"""

from __future__ import annotations

import io
import keyword
import re
import tokenize
from collections.abc import Iterator
from typing import NamedTuple

SECTION = "section "
_NUMBERS = r"((?:[A-Z]?\.?\d+[a-z]?)(?:\s*(?:,|and|&)\s*[A-Z]?\.?\d+[a-z]?)*)"
_EQUATIONS = re.compile(rf"\bEqs?\.\s*{_NUMBERS}")
_ALGORITHMS = re.compile(rf"\bAlgs?\.\s*{_NUMBERS}")
_SECTION = re.compile(rf"#\s*{SECTION}((?:[A-Z]|\d+)(?:\.\d+)*)\b")
_NUMBER = re.compile(r"[A-Z]?\.?\d+[a-z]?")
_IDENTIFIER = re.compile(r"[^\W\d]\w*")


class Anchors(NamedTuple):
    """Lines are counted from 1.

    equations: number -> lines of the comments that name it.  sections: the same, by "section 4.2".  algorithms: number,
    or section, -> lines of the `def` that it stands on.  strays: (number of an algorithm, line) that stand on no `def`.
    signatures: line of each `def` -> line where its signature ends.  names: every name of the code.
    """

    equations: dict[str, list[int]]
    sections: dict[str, list[int]]
    algorithms: dict[str, list[int]]
    strays: list[tuple[str, int]]
    signatures: dict[int, int]
    names: frozenset[str]


def anchors(code: str) -> Anchors:
    """The anchors of a file.

    The code must be Python that parses: of other code, what the tokenizer lets pass depends on the version of Python.
    """
    comments: list[tuple[int, str]] = []
    signatures: dict[int, int] = {}
    names: set[str] = set()
    start = depth = 0  # the line of the def whose signature is being read, and how many brackets are open in it
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.COMMENT:
            comments.append((token.start[0], token.string))
        elif token.type == tokenize.NAME:
            names.add(token.string)
            if token.string == "def":
                start, depth = token.start[0], 0
        elif start and token.type == tokenize.OP:
            depth += (token.string in ("(", "[", "{")) - (token.string in (")", "]", "}"))
            if token.string == ":" and not depth:
                signatures[start] = token.start[0]
                start = 0
    found = Anchors({}, {}, {}, [], signatures, frozenset(n for n in names if not keyword.iskeyword(n)))
    heads = {end: begin for begin, end in signatures.items()} | {begin: begin for begin in signatures}
    for line, comment in comments:
        for number in _numbers(_EQUATIONS, comment):
            found.equations.setdefault(number, []).append(line)
        section = _SECTION.match(comment)
        if section:
            found.sections.setdefault(SECTION + section[1], []).append(line)
            if line in heads:
                found.algorithms.setdefault(SECTION + section[1], []).append(heads[line])
        for number in _numbers(_ALGORITHMS, comment):
            if line in heads:
                found.algorithms.setdefault(number, []).append(heads[line])
            else:
                found.strays.append((number, line))
    return found


def _numbers(pattern: re.Pattern[str], comment: str) -> Iterator[str]:
    for cited in pattern.finditer(comment):
        yield from _NUMBER.findall(cited[1])


def anchor_name(kind: str, number: str) -> str:
    """What is anchored, as a reader calls it: "Eq. 12", or "Section 4.2" for what has no number."""
    return number.capitalize() if number.startswith(SECTION) else f"{kind} {number}"


def names_in(expression: str) -> list[str]:
    """The names that a short expression of code is made of."""
    return [name for name in _IDENTIFIER.findall(expression) if not keyword.iskeyword(name)]
