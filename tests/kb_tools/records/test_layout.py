"""The canonical layout: fixed examples, and by hypothesis: idempotent, nothing lost, comments kept."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb_tools.records.edit import set_fields
from kb_tools.records.fields import NESTED_FIELDS, PUBLICATION_FIELDS, RECORD_FIELDS, TOPIC_FIELDS
from kb_tools.records.layout import canonical, dump, dump_topics, is_absent, normalise, sentences
from kb_tools.records.model import (
    Algorithm,
    AsWritten,
    AuthorsCode,
    Equation,
    Outside,
    OutsideWork,
    PublicationField,
    Record,
    Source,
    Symbol,
    Topic,
)
from kb_tools.records.reader import read_text

PATH = Path("x.yaml")

CANONICAL = """\
# yaml-language-server: $schema=schema.json
id: ddim
kind: paper
title: "Denoising: 'implicit'"
authors: ["A. One", "B. Two"]
year: 2020
arxiv: "2010.02500"
topics: [sampling]
status: unread
summary: |-
  First.
  Second, see Eq. 12 of Ho et al. (2020).
cites:
- a-very-long-identifier-number-one
- a-very-long-identifier-number-two
- a-very-long-identifier-number-three
- "no"
implementation: ddim
equations:
  "12": {tex: '\\sigma = 0', says: "deterministic"}
algorithms:
  "2":
    says: "the update"
    steps:
    - 'for $t = T, \\dots, 1$, each time a step as long as this one, which no line of a record has room for'
    - '  $x \\leftarrow x + \\epsilon$'
  "section 4.2": {says: "short", steps: ["one", "two"]}
symbols:
- {paper: '\\alpha_t', code: "abar", says: "as in DDPM"}
sources:
- {seed: "002", section: "Papers", line: 3, as_written: {title: null, year: 2021}}
"""

SHUFFLED = {
    "status": "unread",
    "title": "Denoising: 'implicit'",
    "sources": [{"line": 3, "as_written": {"year": 2021, "title": None}, "section": "Papers", "seed": "002"}],
    "equations": {"12": {"says": "deterministic", "tex": "\\sigma = 0"}},
    "symbols": [{"says": "as in DDPM", "code": "abar", "paper": "\\alpha_t"}],
    "algorithms": {
        "2": {
            "steps": [
                "for $t = T, \\dots, 1$, each time a step as long as this one, which no line of a record has room for",
                "  $x \\leftarrow x + \\epsilon$",
            ],
            "says": "the update",
        },
        "section 4.2": {"steps": ["one", "two"], "says": "short"},
    },
    "id": "ddim",
    "venue": None,
    "aliases": [],
    "withdrawn": False,
    "summary": "First. Second, see Eq. 12 of Ho et al. (2020).",
    "implementation": "ddim",
    "cites": [
        "a-very-long-identifier-number-one",
        "a-very-long-identifier-number-two",
        "a-very-long-identifier-number-three",
        "no",
    ],
    "topics": ["sampling"],
    "arxiv": "2010.02500",
    "year": 2020,
    "authors": ["A. One", "B. Two"],
    "kind": "paper",
}

COMMENTED = """\
# yaml-language-server: $schema=schema.json
# about the file
kind: paper   # a kind
id: ddim
cites: [dpm, # the first
   ddpm]
title: "T"
# above the summary
summary: |-  # ours
  One. Two. # not a comment
sources:
- section: "A"
  # about the seed
  seed: "002" # s
  line: 3
# at the end
"""


def test_a_shuffled_record_is_laid_out_canonically():
    assert dump(SHUFFLED) == CANONICAL


def test_the_canonical_text_is_left_alone():
    assert canonical(read_text(PATH, CANONICAL)) == CANONICAL


def test_a_resource_points_one_folder_up_for_its_schema():
    assert dump({"id": "x", "kind": "blog", "title": "t"}).startswith(
        "# yaml-language-server: $schema=../schema.json\n"
    )


def test_comments_stay_with_their_field():
    assert (
        canonical(read_text(PATH, COMMENTED))
        == """\
# yaml-language-server: $schema=schema.json
id: ddim
# about the file
kind: paper  # a kind
title: "T"
# above the summary
summary: |-  # ours
  One.
  Two. # not a comment
cites:
- dpm  # the first
- ddpm
sources:
# about the seed
- seed: "002"  # s
  section: "A"
  line: 3
# at the end
"""
    )


def test_the_tables_of_fields_are_those_of_the_model():
    assert list(RECORD_FIELDS) == list(Record.model_fields)
    assert list(TOPIC_FIELDS) == list(Topic.model_fields)
    assert get_args(PublicationField) == PUBLICATION_FIELDS
    nested = {"equations": Equation, "sources": Source, "as_written": AsWritten, "missing": Outside}
    nested |= {"works": OutsideWork, "algorithms": Algorithm, "symbols": Symbol, "authors_code": AuthorsCode}
    assert {name: tuple(model.model_fields) for name, model in nested.items()} == NESTED_FIELDS
    shapes = {str: "string", int: "integer", list: "array", dict: "object", bool: "boolean"}
    properties = Record.model_json_schema()["properties"]
    for name, shape in RECORD_FIELDS.items():
        types = {
            part.get("type", "object" if "$ref" in part else "string")
            for part in properties[name].get("anyOf", [properties[name]])
        }
        assert shapes[shape] in types, name


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ('He said "so." Then (maybe.) "Quoted."', ['He said "so."', "Then (maybe.)", '"Quoted."']),
        (
            "See Ho et al. (2020), Eq. 12, i.e. Fig. 3, by J. Ho. Next.",
            ["See Ho et al. (2020), Eq. 12, i.e. Fig. 3, by J. Ho.", "Next."],
        ),
        ("  kept\n\nparagraph. ", ["kept", "", "paragraph."]),
    ],
)
def test_one_sentence_per_line(text, lines):
    # The initial in "J. Ho." does not end a sentence, the name does.
    assert sentences(text) == "\n".join(lines)
    assert sentences(sentences(text)) == sentences(text)


def test_removing_a_field_keeps_what_was_said_about_it():
    text = 'id: a\n# above\nread_on: "2026-01-01"  # behind\nyear: 2020\n'
    assert set_fields(read_text(PATH, text), {"read_on": None}).text == "id: a\n# above\n# behind\nyear: 2020\n"


letters = st.characters(
    exclude_categories=("Cs", "Cc", "Cn", "Co"),
    exclude_characters="\u061c\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff\ufff9\ufffa\ufffb\ufffc\ufffd\u00ad",
)
lines = st.text(letters, min_size=1, max_size=40)
texts = st.lists(st.text(letters, max_size=30), min_size=1, max_size=4).map("\n".join)
words = st.one_of(
    lines, st.sampled_from(["no", "2006.11230", "null", "a: b", "# x", "- x", "'", '"', "\\n", "[", "*a", "1e3", "~"])
)
slugs = st.from_regex(r"[a-z0-9]{1,6}(-[a-z0-9]{1,4}){0,2}", fullmatch=True)
field_values = {
    str: words,
    int: st.integers(-(10**6), 10**6),
    bool: st.booleans(),
    list: st.lists(words, max_size=4),
    dict: st.dictionaries(words, words, max_size=3),
}
records = st.fixed_dictionaries(
    {"id": slugs, "kind": st.sampled_from(["paper", "blog"])},
    optional={
        name: field_values[shape]
        for name, shape in RECORD_FIELDS.items()
        if name not in ("id", "kind", "equations", "algorithms", "symbols", "sources")
    }
    | {
        "summary": texts,
        "abstract": texts,
        "builds_on": st.lists(slugs, max_size=30),
        "equations": st.dictionaries(slugs, st.fixed_dictionaries({"tex": texts, "says": words}), max_size=3),
        "algorithms": st.dictionaries(
            st.one_of(slugs, slugs.map("section {}".format)),
            st.fixed_dictionaries({"says": words, "steps": st.lists(words.map("  {}".format), min_size=1, max_size=9)}),
            max_size=3,
        ),
        "symbols": st.lists(st.fixed_dictionaries({"says": words, "code": words, "paper": words}), max_size=3),
        "sources": st.lists(
            st.fixed_dictionaries(
                {"seed": words, "line": st.integers(0, 99)},
                optional={"as_written": st.dictionaries(slugs, st.one_of(st.none(), words), max_size=2)},
            ),
            max_size=3,
        ),
    },
)


def kept(record: dict) -> dict:
    """What the layout promises to keep: everything that says something, in normal form."""
    return {key: normalise(value, key) for key, value in record.items() if not is_absent(normalise(value, key))}


@given(records)
def test_dumping_and_reading_gives_the_record_back(record):
    record = kept(record)
    text = dump(record)
    document = read_text(PATH, text)
    assert document.problems == []
    assert document.data == record
    assert canonical(document) == text
    assert dump(document.require()) == text


@given(st.dictionaries(slugs, st.fixed_dictionaries({"title": words, "summary": texts}), min_size=1, max_size=4))
def test_topics_keep_their_order(topics):
    topics = {key: normalise(value, key) for key, value in topics.items()}
    document = read_text(Path("topics.yaml"), dump_topics(topics))
    assert document.require() == topics
    assert list(document.require()) == list(topics)
    assert canonical(document) == dump_topics(topics)


@st.composite
def commented(draw) -> tuple[str, list[str]]:
    """A canonical text with numbered comments put above and behind some of its lines, and its keys shuffled."""
    blocks: list[list[str]] = []
    in_text = False
    for line in dump(kept(draw(records))).splitlines()[1:]:
        top = not line.startswith((" ", "-")) and line != ""
        if top:
            blocks.append([])
            in_text = False
        blocks[-1].append(line)
    comments: list[str] = []
    for block in blocks:
        in_text = block[0].endswith("|-")
        out = []
        for number, line in enumerate(block):
            inner_text = (in_text and number > 0) or any(other.endswith("|-") for other in block[:number])
            if not inner_text and draw(st.integers(0, 3)) == 0:
                comments.append(f"# above {len(comments)}")
                out.append(" " * (len(line) - len(line.lstrip())) + comments[-1])
            if not inner_text and draw(st.integers(0, 3)) == 0:
                comments.append(f"# behind {len(comments)}")
                line = f"{line}  {comments[-1]}"
            out.append(line)
        block[:] = out
    blocks = draw(st.permutations(blocks))
    return "".join(f"{line}\n" for block in blocks for line in block), comments


@given(commented())
def test_no_comment_is_lost_and_laying_out_twice_changes_nothing(case):
    text, comments = case
    document = read_text(PATH, text)
    assert document.problems == []
    once = canonical(document)
    for comment in comments:
        assert once.count(f"{comment}\n") + once.count(f"{comment}  #") == 1
    again = read_text(PATH, once)
    assert again.data == document.data
    assert canonical(again) == once


@given(commented(), st.sampled_from(["status", "title", "read_on", "year", "topics", "summary", "cites"]), st.data())
def test_changing_one_field_changes_nothing_else(case, key, data):
    text, comments = case
    document = read_text(PATH, text)
    shape = RECORD_FIELDS[key]
    value = data.draw(st.one_of(st.none(), texts if key == "summary" else field_values[shape]))
    edited = set_fields(document, {key: value})
    expected = dict(document.require())
    expected.pop(key, None)
    if not is_absent(value) and not is_absent(normalise(value, key)):
        expected[key] = normalise(value, key)
    assert edited.data == expected
    for comment in comments:
        assert edited.text.count(comment) >= 1
    span = document.spans.get((key,))
    before, after = text.split("\n"), edited.text.split("\n")
    if span is not None:
        first = span.line - 1
        last = text.count("\n", 0, span.end)
        assert after[:first] == before[:first]
        tail = before[last + 1 :]
        assert after[len(after) - len(tail) :] == tail
    else:
        assert [line for line in after if line in before] == before
