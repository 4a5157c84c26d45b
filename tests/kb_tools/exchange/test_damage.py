"""Whatever is done to a bibliography or a list: never a traceback, and every entry is a work or named in the report."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kb_tools.exchange import bibtex, lists, ris
from kb_tools.exchange.latex import NotLatexError, plain
from kb_tools.exchange.names import people
from kb_tools.exchange.references import reference

ENTRIES = [
    f"@article{{key{number},\n  title = {{Work {word} of Rivers}},\n  author = {{Roe, Ann and Doe, Bob}},\n"
    f"  year = {{20{number}}},\n  note = {{arXiv:{number}01.000{number}}}\n}}\n"
    for number, word in enumerate(["Alpha", "Beta", "Gamma", "Delta", "Epsilon"], 10)
]
ITEMS = [
    f"- **Work {word} of Rivers** [[paper](https://arxiv.org/abs/{number}01.000{number})] *Ann Roe, Bob Doe*\n"
    for number, word in enumerate(["Alpha", "Beta", "Gamma", "Delta", "Epsilon"], 10)
]
DAMAGE = st.tuples(
    st.floats(0, 1),
    st.integers(0, 3),
    st.sampled_from(
        ["", "{", "}", '"', ",", "=", "@", "#", "\\", "$", "%", "&", "(", ")", "[", "]", "*", "\n", "\x00", "<"]
    ),
)


def damaged(text: str, wounds: list[tuple[float, int, str]]) -> str:
    """Letters cut out and others put in their place."""
    for share, cut, put in wounds:
        place = int(share * len(text))
        text = text[:place] + put + text[place + cut :]
    return text


@given(st.integers(0, 4), st.lists(DAMAGE, min_size=1, max_size=3))
@settings(max_examples=80)
def test_every_entry_of_a_damaged_bibliography_is_accounted_for(which, wounds):
    """The one that is damaged may take its neighbour along, but then that is named, or stands in its remark."""
    parts = [damaged(entry, wounds) if number == which else entry for number, entry in enumerate(ENTRIES)]
    found = bibtex.loads("".join(parts))
    told = " ".join(
        [*(str(work.fields) + str(work.remarks) for work in found.works), *(lost.says for lost in found.unread)]
    )
    lines = {work.line for work in found.works if work.fields.get("title")} | {lost.line for lost in found.unread}
    begun = 1
    for number, part in enumerate(parts):
        end = begun + part.count("\n")
        named = any(begun <= line <= end for line in lines)
        assert named or re.search(rf"key1{number}|Work \w+ of Rivers.*key1{number}", told), (number, part, found)
        begun = end


@given(st.integers(0, 4), DAMAGE)
@settings(max_examples=60)
def test_every_item_of_a_damaged_list_is_accounted_for(which, wound):
    """The wound is inside of a line: without its bullet a line goes on with the one above it, as Markdown has it."""
    wounds = [(0.05 + 0.85 * wound[0], *wound[1:])]
    parts = [damaged(item, wounds) if number == which else item for number, item in enumerate(ITEMS)]
    found = lists.loads("".join(parts))
    titles = {work.fields["title"] for work in found.works}
    told = " ".join(remark for work in found.works for remark in work.remarks)
    lines = {work.line for work in found.works} | {lost.line for lost in found.unread}
    begun = 1
    for number, part in enumerate(parts):
        end = begun + part.count("\n")
        whole = number not in (which, which + 1)
        left = re.findall(r"https?://arxiv\.org/abs/[\w.]+", part)
        kept = any(url in told for url in left) or any(
            word in title for title in titles for word in re.findall(r"Work \w+ of Rivers", part)
        )
        assert (
            kept
            or any(begun <= line < max(end, begun + 1) for line in lines)
            or not re.search(r"arxiv\.org/abs/\d", part)
        )
        assert kept or not whole, found
        begun = end


TEXTS = st.text(
    st.sampled_from(list("aeB. ,;&{}\\\"'$%#~^_[]()*<>|:/@=0129\n\t-\u00e9\u0301\ufffd"))
    | st.characters(codec="utf-8"),
    max_size=80,
)


@pytest.mark.parametrize("read", [bibtex.loads, lists.loads, people, reference])
@given(text=TEXTS)
@settings(max_examples=60)
def test_no_text_ends_in_a_traceback(read, text):
    read(text)
    read(f"@misc{{a, title = {{{text}}}, author = {{{text}}}}}\n- [{text}](https://example.org) {text}\n")


@given(TEXTS)
@settings(max_examples=100)
def test_latex_is_text_or_said_not_to_be(text):
    try:
        assert isinstance(plain(text), str)
    except NotLatexError as error:
        assert str(error)


@given(
    st.lists(
        st.sampled_from(["TY  - JOUR", "TI  - A Work", "AU  - Roe, Ann", "ER  - ", "", "PY  - 2020", "words"]),
        max_size=14,
    )
)
def test_every_reference_of_ris_that_begins_is_a_work(lines):
    found = ris.loads("\n".join(lines), "refs.ris")
    begun = [number for number, line in enumerate(lines, 1) if line == "TY  - JOUR"]
    assert set(begun) <= {work.line for work in found.works} | {lost.line for lost in found.unread}
