"""The mistakes that are planted, by hand for small sources."""

import ast

import pytest

from implementations.verification.mutants.edits import mutants


def changes(source: str) -> list[str]:
    return [m.id for m in mutants(ast.parse(source))]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a - b", {"a + b", "a", "b"}),
        ("a * b", {"a / b", "a", "b"}),
        ("a / b", {"a * b", "a"}),
        ("a ** b", {"a * b", "a"}),
        ("a @ b", {"b @ a"}),
        ("-a", {"a"}),
        ("not a", {"a"}),
        ("a < b", {"a <= b", "a > b"}),
        ("a == b", {"a != b"}),
        ("a and b", {"a or b"}),
        ("a if b else c", {"a", "c"}),
        ("a.sqrt()", {"a"}),
        ("torch.sqrt(a)", {"a"}),
        ("a.mean()", {"a", "a.sum()"}),
        ("f(a, b)", {"f(b, a)"}),
        ("max(a, b)", set()),
        ("f(t)", {"f(t + 1)", "f(t - 1)"}),
        ("a[t]", {"a[t + 1]", "a[t - 1]"}),
        ("a[b:]", {"a[:]"}),
        ("f(a, dtype=b)", {"f(a)"}),
        ("f(a, device=b)", set()),
        ("3", {"4", "2"}),
        ("0.5", {"1.0"}),
        ("0.0", {"1.0"}),
        ("True", {"False"}),
        ("'words'", set()),
        ("None", set()),
        ("f'{a + 1}'", set()),
        ("a.mT", {"a"}),
    ],
)
def test_the_mistakes_of_an_expression(expression, expected):
    prefix = f"module: {expression} -> "
    found = {m.split(" -> ")[1].split(" in: ")[0] for m in changes(f"x = {expression}") if m.startswith(prefix)}
    assert found == expected


def test_statements_lose_their_effect():
    assert changes("x -= y") == ["module: x -= y -> x += y", "module: x -= y -> nothing"]
    assert changes("f()") == ["module: f() -> nothing"]
    assert changes("if a:\n    b = c") == ["module: if a -> if True", "module: if a -> if False"]


def test_words_types_and_imports_are_left_alone():
    source = '''
"""Doc 1 + 1."""
from a import b
import c

@d(1)
def f(x: e[1]) -> g[2]:
    """Doc 2 - 1."""
    raise ValueError("x" + str(1 + 1))

if __name__ == "__main__":
    f(1 + 1)
'''
    assert changes(source) == []


def test_names_do_not_move_with_the_lines_and_equal_ones_are_numbered():
    source = "def f(a):\n    return a * 2 + 2\n"
    names = changes(source)
    assert len(set(names)) == len(names)
    assert "f: 2 -> 3 in: return a * 2 + 2" in names
    assert "f: 2 -> 3 in: return a * 2 + 2 (#2)" in names
    assert changes("# a comment\n\n" + source) == names


def test_a_default_is_part_of_its_function():
    assert changes("def f(a=0.5):\n    return a\n") == ["f: 0.5 -> 1.0 in: def f"]


def test_planting_changes_one_place_and_not_the_original():
    source = "def f(a, b):\n    return a * b - a\n"
    tree = ast.parse(source)
    before = ast.dump(tree)
    results = set()
    for mutant in mutants(tree):
        space: dict = {}
        exec(compile(mutant.plant(tree), "f.py", "exec"), space)
        results.add(space["f"](6, 3))
        assert mutant.line == 2
    assert ast.dump(tree) == before
    # a*b + a, a*b, a, a/b - a, a - a, b - a  (18 - 6 = 12 unharmed)
    assert results == {24, 18, 6, -4, 0, -3}
