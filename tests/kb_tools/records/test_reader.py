"""The strict reader: what it refuses, where it says the problem is, and that text stays text."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kb_tools.errors import InvalidRecordError
from kb_tools.records.reader import MAX_BYTES, read_bytes, read_file, read_text

PATH = Path("x.yaml")

# text, code of the first problem, line, column
BAD = [
    pytest.param("arxiv: 2006.11230\n", "unquoted", 1, 8, id="unquoted-arxiv-id"),
    pytest.param("id: a\nvenue: 1e3\n", "unquoted", 2, 8, id="float"),
    pytest.param("a: no\n", "unquoted", 1, 4, id="no"),
    pytest.param("a: 2020-06-19\n", "unquoted", 1, 4, id="date"),
    pytest.param("a: 2020-13-45\n", "unquoted", 1, 4, id="impossible-date"),
    pytest.param("a: 010\n", "unquoted", 1, 4, id="octal"),
    pytest.param("a: 12:30:45\n", "unquoted", 1, 4, id="sexagesimal"),
    pytest.param("a: 1_000\n", "unquoted", 1, 4, id="underscore"),
    pytest.param("a: [.inf]\n", "unquoted", 1, 5, id="inf"),
    pytest.param("a: 99999999999999999999\n", "unquoted", 1, 4, id="huge-integer"),
    pytest.param("a: 1\nb: 2\na: 3\n", "duplicate-key", 3, 1, id="duplicate-key"),
    pytest.param("s:\n- b: 1\n  b: 2\n", "duplicate-key", 3, 3, id="nested-duplicate"),
    pytest.param('e: {"12": 1, 12: 2}\n', "duplicate-key", 1, 14, id="same-key-quoted-and-not"),
    pytest.param("a: &x 1\n", "anchor", 1, 4, id="anchor"),
    pytest.param("a: &x [1]\nb: *x\n", "anchor", 1, 4, id="alias"),
    pytest.param("a: !!str 1\n", "tag", 1, 4, id="tag"),
    pytest.param("a: !!python/object:os.system x\n", "tag", 1, 4, id="python-tag"),
    pytest.param("<<: {a: 1}\n", "merge-key", 1, 1, id="merge"),
    pytest.param("a: 1\n---\nb: 2\n", "multi-document", 2, 1, id="two-documents"),
    pytest.param("a:\t1\n", "tab", 1, 3, id="tab"),
    pytest.param("\ufeffa: 1\n", "bom", 1, 1, id="bom"),
    pytest.param("a: x\u202ey\n", "control-character", 1, 5, id="bidi"),
    pytest.param("a: x\x00\n", "control-character", 1, 5, id="nul"),
    pytest.param("a: x\rb: 1\n", "control-character", 1, 5, id="lone-cr"),
    pytest.param("b: 1\na: x\u2028y\n", "control-character", 2, 5, id="line-separator"),
    pytest.param('a: "x\\u202ey"\n', "control-character", 1, 4, id="escaped-bidi"),
    pytest.param('a: "x\\ty"\n', "control-character", 1, 4, id="escaped-tab"),
    pytest.param("a: " + "[" * 20, "too-deep", 1, 15, id="deep"),
    pytest.param("a: " + "[" * 200_000, "too-deep", 1, 15, id="very-deep"),
    pytest.param("- a\n", "not-a-mapping", 1, 1, id="list"),
    pytest.param("", "empty", 1, 1, id="empty"),
    pytest.param("# only a comment\n", "empty", 1, 1, id="comment-only"),
    pytest.param("title: Foo: bar\n", "yaml", 1, 11, id="colon"),
    pytest.param('a: "x\n', "yaml", 2, 1, id="open-quote"),
    pytest.param('tex: "\\sigma"\n', "yaml", 1, 7, id="backslash"),
    pytest.param("a: [1, 2\n", "yaml", 2, 1, id="open-bracket"),
    pytest.param("a: @x\n", "yaml", 1, 4, id="reserved"),
    pytest.param("? [a]\n: b\n", "key", 1, 3, id="list-as-key"),
]


@pytest.mark.parametrize(("text", "code", "line", "column"), BAD)
def test_bad_text_is_refused_at_its_place_with_a_fix(text, code, line, column):
    document = read_text(PATH, text)
    first = document.problems[0]
    assert (first.code, first.line, first.column) == (code, line, column)
    assert first.fix
    assert str(first).startswith(f"x.yaml:{line}:{column}: ")
    with pytest.raises(InvalidRecordError) as caught:
        document.require()
    assert caught.value.exit_code == 5


def test_the_message_for_an_unquoted_arxiv_id_shows_the_lost_digit_and_the_fix():
    problem = read_text(PATH, "id: a\narxiv: 2006.11230\n").problems[0]
    assert str(problem) == (
        "x.yaml:2:8: the arXiv id 2006.11230 is not quoted and would be read as the number 2006.1123; "
        'fix: write "2006.11230"'
    )


def test_every_problem_of_a_file_is_reported_at_once():
    document = read_text(PATH, "a: 1e3\nb: no\nb: &x 3\nc: !t y\n")
    assert [(p.line, p.code) for p in document.problems] == [
        (1, "unquoted"),
        (2, "unquoted"),
        (3, "duplicate-key"),
        (3, "anchor"),
        (4, "tag"),
    ]


def test_an_alias_bomb_is_refused_before_it_grows():
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    document = read_text(PATH, "\n".join(lines) + "\n")
    assert {"anchor", "alias"} == {problem.code for problem in document.problems}
    assert document.data is not None and document.data["i"] == [None] * 9


def test_size_and_encoding_are_checked_on_bytes():
    assert read_bytes(PATH, b"a: " + b"x" * MAX_BYTES).problems[0].code == "too-big"
    problem = read_bytes(PATH, b"a: 1\nb: caf\xe9\n").problems[0]
    assert (problem.code, problem.line, problem.column) == ("encoding", 2, 7)


def test_a_missing_file_and_a_link_are_problems_not_crashes(tmp_path):
    assert read_file(tmp_path / "none.yaml").problems[0].code == "unreadable"
    (tmp_path / "real.yaml").write_text("a: 1\n")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "real.yaml")
    assert read_file(tmp_path / "link.yaml").problems[0].code == "link"


def test_plain_values_are_text_integers_truth_or_null():
    text = 'a: 3\nb: -7\nc: true\nd: null\ne:\nf: ~\ng: plain words\nh: "2006.11230"\ni: v2\nj: "12"\n'
    assert read_text(PATH, text).require() == {
        "a": 3,
        "b": -7,
        "c": True,
        "d": None,
        "e": None,
        "f": None,
        "g": "plain words",
        "h": "2006.11230",
        "i": "v2",
        "j": "12",
    }


def test_windows_line_ends_are_read_as_line_ends():
    assert read_text(PATH, "a: 1\r\nb: |-\r\n  x\r\n  y\r\n").require() == {"a": 1, "b": "x\ny"}


def test_spans_cover_exactly_the_text_of_each_value():
    text = 'id: ddim  # c\nt: "é 𝔼" # d\nl: [a, "]"] # ]\ns: |-\n  one\n\n  two\n# after\nb:\n- x\n# mid\n- y: 1 # z\n'
    document = read_text(PATH, text)
    found = {path: text[span.start : span.end] for path, span in document.spans.items()}
    assert found["id",] == "ddim"
    assert found["t",] == '"é 𝔼"'
    assert found["l",] == '[a, "]"]'
    assert found["s",] == "|-\n  one\n\n  two"
    assert found["b",] == "- x\n# mid\n- y: 1"
    assert found["b", 1, "y"] == "1"
    assert document.where(("b", 1, "none")) == (12, 3)


@given(st.text(max_size=200))
def test_no_text_ever_crashes_the_reader(text):
    document = read_text(PATH, text)
    assert document.data is not None or document.problems


@given(st.binary(max_size=200))
def test_no_bytes_ever_crash_the_reader(raw):
    document = read_bytes(PATH, raw)
    assert document.data is not None or document.problems


@given(st.text(alphabet="ab:[]{}-|>\"'#&*!? \n,%@0.~", max_size=60))
def test_what_is_accepted_means_the_same_to_another_reader(text):
    """A file without problems has the same keys, and the same values as strings, for PyYAML's plain loader."""
    document = read_text(PATH, text)
    if document.problems:
        return
    other = yaml.load(text, Loader=yaml.BaseLoader)

    def as_strings(value):
        if isinstance(value, dict):
            return {key: as_strings(item) for key, item in value.items()}
        if isinstance(value, list):
            return [as_strings(item) for item in value]
        return (
            {None: "", True: "true", False: "false"}.get(value, str(value))
            if value in (None, True, False)
            else str(value)
        )

    def without_null(value):
        if isinstance(value, dict):
            return {key: without_null(item) for key, item in value.items()}
        if isinstance(value, list):
            return [without_null(item) for item in value]
        return "" if value == "~" else value

    assert as_strings(document.data) == without_null(other)
