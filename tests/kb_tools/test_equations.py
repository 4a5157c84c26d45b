"""Equation comments are found where Python sees comments, and nowhere else."""

from __future__ import annotations

import ast

import pytest

from kb_tools.equations import equation_lines

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
    assert list(equation_lines(code)) == ["2"]


def test_numbers_and_lines():
    code = 'x = "# Eq. 1"  # Eq. 2, A.3 and 4b\n"""\n# Eq. 5\n"""\ny = r"\\\\"  # Eqs. 6 & 2\n# Equation 7\n'
    ast.parse(code)
    assert equation_lines(code) == {"2": [1, 5], "A.3": [1], "4b": [1], "6": [5]}
