"""Equation comments are found where the standard tokenizer sees comments, and nowhere else."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kb_tools import equations
from kb_tools.equations import equation_lines

METHODS = sorted((Path(__file__).resolve().parents[2] / "implementations").rglob("*.py"))


def comments(code: str) -> list[tuple[int, str]]:
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    return [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]


def scanned(code: str) -> list[tuple[int, str]]:
    found = equations._STRING_OR_COMMENT.finditer(code)
    return [(code.count("\n", 0, one.start()) + 1, one["comment"]) for one in found if one["comment"]]


@pytest.mark.parametrize("path", METHODS, ids=lambda path: path.stem)
def test_the_comments_of_our_own_code(path):
    code = path.read_text(encoding="utf-8")
    assert scanned(code) == comments(code)


PIECES = ['"', "'", '"""', "'''", "\\", "#", "\n", " ", "r", "f", "b", "x", "=", "(", ")", "{", "}", "# Eq. 1", '\\"']


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_the_comments_of_any_code_that_parses(code):
    try:
        ast.parse(code)
    except (SyntaxError, ValueError):
        assume(False)
    assert scanned(code) == comments(code)


TRICKY = [
    'x = "\\"# Eq. 1"  # Eq. 2',
    "x = '\\'# Eq. 1'  # Eq. 2",
    'x = "\\\\"  # Eq. 2 "',
    "x = '\\\\'  # Eq. 2 '",
    'x = "\\\n# Eq. 1"  # Eq. 2',
    "x = '\\\n# Eq. 1'  # Eq. 2",
    'x = """\n" # Eq. 1 \\"""# Eq. 1 """  # Eq. 2',
    "x = '''\n' # Eq. 1 \\'''# Eq. 1 '''  # Eq. 2",
    'x = """"# Eq. 1"""  # Eq. 2',
    "x = ''  # Eq. 2 isn't \"open",
    'x = "\'"  # Eq. 2',
    'x = r"\\\\"  # Eq. 2',
    'x = f"{1}# Eq. 1"  # Eq. 2',
    "x = 1  # Eq. 2 # Eq. 2",
]


@pytest.mark.parametrize("code", TRICKY)
def test_the_comments_of_tricky_code(code):
    ast.parse(code)
    assert scanned(code) == comments(code)
    assert list(equation_lines(code)) == ["2"]


def test_numbers_and_lines():
    code = 'x = "# Eq. 1"  # Eq. 2, A.3 and 4b\n"""\n# Eq. 5\n"""\ny = r"\\"  # Eqs. 6 & 2\n# Equation 7\n'
    assert equation_lines(code) == {"2": [1, 5], "A.3": [1], "4b": [1], "6": [5]}
