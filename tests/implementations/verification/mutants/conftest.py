"""A small project whose tests see some mistakes and miss others, known beforehand."""

import pytest

TOY = """
FIRST = [1][0]


def half(x):
    return x / 2


def least(x, top):
    if x < top:
        return x
    return top


def count(n):
    m = n
    while m > n - n:
        m -= 1
    return m
"""
TESTS = """
import time

import pytest
from implementations import toy

def test_half_by_and_by():
    time.sleep(0.2)
    assert toy.half(4) == 2

def test_half():
    assert toy.half(4) == 2

def test_half_again():
    time.sleep(0.3)
    assert toy.half(4) == 2

def test_least():
    assert toy.least(0.5, 1) == 0.5

def test_count():
    assert toy.count(3) == 0

@pytest.mark.slow
def test_slow():
    assert False
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    (root / "implementations").mkdir()
    (root / "implementations" / "__init__.py").write_text("")
    (root / "implementations" / "toy.py").write_text(TOY)
    (root / "tests" / "implementations").mkdir(parents=True)
    (root / "tests" / "implementations" / "test_toy.py").write_text(TESTS)
    (root / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\naddopts = "--import-mode=importlib"\nmarkers = ["slow: slow"]\n'
    )
    return root


@pytest.fixture
def bugs(project):
    """Write the project's file of bugs for one test."""
    path = project / "tests" / "implementations" / "bugs" / "toy.yaml"
    path.parent.mkdir(exist_ok=True)

    yield path.write_text
    path.unlink(missing_ok=True)
