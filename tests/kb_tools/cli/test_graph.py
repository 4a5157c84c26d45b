"""kb graph: what each view prints, and what is said of an outside.yaml that cannot be used."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from kb_tools.records.layout import dump_outside
from kb_tools.records.reader import Value


@pytest.fixture
def shelf(make, record):
    collection = make(
        record("a", aliases=["First"]),
        record("b", builds_on=["a"], cites=["a"], cites_source="x"),
        record("c", builds_on=["b"], cites=["a", "b"], cites_source="x"),
        record("d"),
    )
    works: list[Value] = [
        {"title": "Attention", "arxiv": "1706.03762", "cited_by": ["a", "b", "c"]},
        {"title": "Rare", "cited_by": ["a"]},
    ]
    (collection.papers / "outside.yaml").write_text(dump_outside({"works": works}))
    return collection


def data(outcome):
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)["data"]


def test_edges_by_kind_and_around_a_record(kb, shelf):
    assert kb(shelf, "graph", "edges").out == "b\tbuilds_on\ta\nc\tbuilds_on\tb\n"
    assert len(data(kb(shelf, "graph", "edges", "--all", "--json"))) == 5
    near = data(kb(shelf, "graph", "edges", "--around", "First", "--json"))
    assert near == [{"source": "b", "target": "a", "kind": "builds_on"}]
    assert len(data(kb(shelf, "graph", "edges", "--around", "First", "--depth", "2", "--json"))) == 2
    assert kb(shelf, "graph", "edges", "--around", "nothing").code == 3


@pytest.mark.parametrize(
    ("form", "begins"),
    [("json", "{"), ("dot", "digraph"), ("graphml", "<graphml"), ("mermaid", "flowchart"), ("svg", "<svg")],
)
def test_formats_go_to_stdout_whole(kb, shelf, form, begins):
    outcome = kb(shelf, "graph", "edges", "--format", form)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(begins)


def test_figures(kb, shelf):
    stats = data(kb(shelf, "graph", "stats", "--json"))
    assert (stats["records"], stats["chain"], stats["alone"]) == (4, ["a", "b", "c"], ["d"])
    assert "longest chain  a > b > c" in kb(shelf, "graph", "stats").out


def test_missing(kb, shelf):
    assert kb(shelf, "graph", "missing").out == "3\t1706.03762\tAttention\ta, b, c\n"
    assert len(data(kb(shelf, "graph", "missing", "--min", "1", "--json"))) == 2
    none = kb(shelf, "graph", "missing", "--min", "9")
    assert (none.code, none.out) == (0, "")
    assert "cited by 9 or more" in none.err
    (shelf.papers / "outside.yaml").unlink()
    assert data(kb(shelf, "graph", "missing", "--json")) == []
    (shelf.papers / "outside.yaml").write_text("works: [{title: x}]\n")
    broken = kb(shelf, "graph", "missing")
    assert (broken.code, "cited_by: is missing" in broken.err) == (5, True)


def test_similar_says_why(kb, shelf):
    rows = [line.split("\t") for line in kb(shelf, "graph", "similar", "c").out.splitlines()]
    # c cites a, b, Attention; b cites a, Attention: 2/sqrt(3*2).  a cites Attention, Rare: 1/sqrt(3*2).
    assert rows == [["b", "0.82", "both cite Attention, a"], ["a", "0.41", "both cite Attention"]]
    alone = kb(shelf, "graph", "similar", "d")
    assert (alone.code, alone.out) == (0, "")


def test_light_views_do_without_networkx(shelf):
    script = (
        "import sys\nfrom kb_tools.cli import main\ncode = main(sys.argv[1:])\n"
        "sys.exit(code or 'networkx' in sys.modules or 'requests' in sys.modules)"
    )
    for view in (["edges", "--format", "svg"], ["similar", "a"], ["missing"]):
        arguments = [sys.executable, "-c", script, "-C", str(shelf.root), "graph", *view]
        assert subprocess.run(arguments, capture_output=True, check=False).returncode == 0, view


def test_options_alone_are_those_of_edges(kb, make, record):
    collection = make(record("a"), record("b", builds_on=["a"]))
    for arguments in (["--format", "dot"], ["--around", "b", "--json"], ["--json"]):
        assert kb(collection, "graph", *arguments).out == kb(collection, "graph", "edges", *arguments).out != ""
    assert "kb graph missing --min 5" in kb(collection, "graph", "--help").out
    assert kb(collection, "graph", "egdes").code == 2
