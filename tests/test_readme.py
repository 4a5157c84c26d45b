"""The numbers that README says are those of the files; the message of a failure says which number it should be."""

import re
from pathlib import Path

import pytest
import yaml

from kb_tools.cli.app import TABLE
from kb_tools.records.fields import PAPER_KINDS
from kb_tools.records.store import Collection

ROOT = Path(__file__).resolve().parents[1]
README = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())


@pytest.fixture(scope="module")
def counts() -> dict[str, int]:
    entries = Collection(ROOT).entries().values()
    rows = [
        yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in (ROOT / "implementations" / "evidence").glob("*.bugs.yaml")
        if "." not in path.name.removesuffix(".bugs.yaml")
    ]
    return {
        "papers": sum(entry.kind in PAPER_KINDS for entry in entries),
        "resources": sum(entry.kind not in PAPER_KINDS for entry in entries),
        "methods": sum(bool(entry.implementation) for entry in entries),
        "judged": sum(row["killed"] + row["survived"] for row in rows),
        "pitfalls": sum(len(row["pitfalls"]) for row in rows),
        "killed": sum(row["killed"] for row in rows),
        "equivalent": sum(row["equivalent"] for row in rows),
    }


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("papers", r"(\S+) papers, surveys and tutorials"),
        ("resources", r"and (\S+) blogs, videos"),
        ("judged", r"Of the (\S+) bugs planted"),
        ("methods", r"planted in the (\S+) files of methods"),
        ("pitfalls", r"files of methods, (\S+) of the field's"),
        ("killed", r"the fast tests see (\S+);"),
        ("equivalent", r"another (\S+) change nothing"),
    ],
)
def test_a_number_is_that_of_the_files(counts, what, words):
    assert re.findall(words, README) == [f"{counts[what]:,}"], (
        f"README says another number of {what}: write the right one"
    )


def test_every_method_has_a_row_and_no_other():
    named = re.findall(r"\| \[(\w+)\]\(implementations/\w+\.py\) \|", README)
    known = sorted(entry.implementation for entry in Collection(ROOT).entries().values() if entry.implementation)
    lacking, gone = set(known) - set(named), set(named) - set(known)
    assert not lacking, f"give these a row in README's table of methods: {lacking}"
    assert not gone and len(named) == len(known), f"README's table names what is no method, or twice: {gone or named}"


def test_every_command_that_it_shows_is_one():
    shown = re.findall(
        r"^    (?:\.venv/bin/)?kb ([a-z-]+)|&& kb ([a-z-]+)", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert len(shown) > 20
    assert {first or second for first, second in shown} <= set(TABLE)
