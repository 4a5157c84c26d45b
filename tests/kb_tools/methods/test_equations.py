"""Anchors are found where Python sees comments, those of algorithms on a `def`, and nowhere else."""

from __future__ import annotations

import ast

import pytest

from kb_tools.methods.equations import anchor_name, anchors, names_in

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
    assert list(anchors(code).equations) == ["2"]


def test_numbers_and_lines():
    code = 'x = "# Eq. 1"  # Eq. 2, A.3 and 4b\n"""\n# Eq. 5\n"""\ny = r"\\\\"  # Eqs. 6 & 2\n# Equation 7\n'
    ast.parse(code)
    assert anchors(code).equations == {"2": [1, 5], "A.3": [1], "4b": [1], "6": [5]}


FUNCTIONS = """\
@once
def f(x):  # Algs. 1 and A.2
    return x  # Alg. 3


class A:
    async def g(  # Alg. 4
        self, x: dict[str, int] = {"a": 1}, law=lambda a: a, *, y=(1, 2)
    ) -> dict[str, int]:  # Alg. 5, as in section 3
        # Alg. 6
        def h(): return x  # section 4.2

        return h  # section 4.2.1, which is no 4.2


# Algorithm 7
"""


def test_algorithms_stand_on_a_def_where_it_begins_or_its_signature_ends():
    found = anchors(FUNCTIONS)
    assert found.algorithms == {"1": [2], "A.2": [2], "4": [7], "5": [7], "section 4.2": [11]}
    assert found.strays == [("3", 3), ("6", 10)]
    assert found.signatures == {2: 2, 7: 9, 11: 11}


def test_sections_are_anchors_where_a_comment_begins_with_them():
    assert anchors(FUNCTIONS).sections == {"section 4.2": [11], "section 4.2.1": [13]}
    assert anchors("x = 1  # see section 4\ny = 2  # section B.3: why\n").sections == {"section B.3": [2]}


def test_names_are_those_of_the_code_and_no_others():
    found = anchors('import a.b as c\n"""word"""\ndef f(x, *, key=1):  # said\n    return x.attribute\n').names
    assert found == {"a", "b", "c", "f", "x", "key", "attribute"}


@pytest.mark.parametrize(
    ("expression", "names"),
    [("abar", ["abar"]), ("process.abar[t]", ["process", "abar", "t"]), ("1 + w", ["w"]), ("not x", ["x"]), ("1", [])],
)
def test_the_names_of_an_expression(expression, names):
    assert names_in(expression) == names


def test_what_is_anchored_has_a_name_for_readers():
    assert [anchor_name("Eq.", number) for number in ("12", "section 4.2")] == ["Eq. 12", "Section 4.2"]
