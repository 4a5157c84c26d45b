"""What is exported comes back as the same records, field by field, and other programs read it all the same."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pybtex.database
import pytest
import rispy

from kb_tools.errors import InvalidRecordError
from kb_tools.exchange import bibtex, csv_table, lists, markdown, ris, whole
from kb_tools.exchange.work import Reading, Work
from kb_tools.records.store import Collection

RECORDS: dict[str, dict[str, Any]] = {
    "a": {
        "id": "a",
        "kind": "survey",
        "title": "A -->  & <b> on $x_0$",
        "authors": ["Aaron van den Oord", "Smith, Inc.", "Roe"],
        "year": 2020,
        "venue": "ICML 2021",
        "arxiv": "2006.11230",
        "arxiv_version": 3,
        "links": {"code": "https://example.org/c?a=1&b=2", "pdf": "https://example.org/p.pdf"},
        "aliases": ["A; B", "-- C"],
        "topics": ["one", "two"],
        "worth_reading": 3,
        "why": "Since <!-- it --> is.",
        "status": "read",
        "read_on": "2021-02-03",
        "summary": "First.\nSecond.",
        "abstract": "One line.\nAnother.",
        "builds_on": ["b"],
        "notes": ["A caution.", "Another, in\ntwo lines."],
        "sources": [{"seed": "001", "section": "S", "line": 4, "as_written": {"title": "T", "year": None}}],
        "withdrawn": True,
    },
    "b": {"id": "b", "kind": "blog", "title": "=1+1 is", "status": "unread", "links": {"home": "https://x.org/a"}},
    "c": {"id": "c", "kind": "code", "title": "1.0", "status": "read", "links": {"home": "https://x.org/c"}},
}
TOPICS = {"one": "The first", "speed": "Speed"}
KEYS = {"a": "oord2020a", "b": "b1", "c": "c1"}


@functools.cache
def collected() -> dict[str, dict[str, Any]]:
    """The records of the collection, as its files have them."""
    collection = Collection(Path(__file__).parents[3])
    data: list[Any] = [document.data for document in collection.documents()]
    assert len(data) > 80
    return {record["id"]: dict(record) for record in data}


def keyed(records: dict[str, Any]) -> dict[str, str]:
    return {ident: f"key{number}" for number, ident in enumerate(records)}


def through_bibtex(records: dict[str, Any]) -> Reading:
    return bibtex.loads(bibtex.dumps(records, keyed(records)))


def through_ris(records: dict[str, Any]) -> Reading:
    return ris.loads(ris.dumps(records, keyed(records)), "refs.ris")


def through_csv(records: dict[str, Any]) -> Reading:
    return csv_table.loads(csv_table.dumps(records), "refs.csv")


def through_markdown(records: dict[str, Any]) -> Reading:
    return lists.loads(markdown.dumps(records, TOPICS, "Reading list"))


@pytest.mark.parametrize("records", [RECORDS, None], ids=["made", "collected"])
@pytest.mark.parametrize("through", [through_bibtex, through_csv, through_markdown, through_ris])
def test_every_record_comes_back_whole(through: Callable[..., Reading], records: dict[str, Any] | None):
    records = records or collected()
    back = through(records)
    assert back.unread == []
    # A list in Markdown has an order of its own.
    order = list(records) if through is not through_markdown else [work.fields["id"] for work in back.works]
    assert sorted(order) == sorted(records)
    assert [work.fields for work in back.works] == [records[ident] for ident in order]
    assert all(work.ours and not work.remarks for work in back.works)


def test_ris_that_carries_a_record_is_what_other_readers_expect():
    records = collected()
    read = rispy.loads(ris.dumps(records, keyed(records)))
    assert [one["title"] for one in read] == [record["title"] for record in records.values()]
    assert [len(one.get("authors", [])) for one in read] == [len(one.get("authors", [])) for one in records.values()]
    assert not any("unknown_tag" in one for one in read)
    # All that readers of other makes meet is one field of their own choice, on one line.
    assert all(one["custom8"].startswith(f"{whole.NAME} {{") and "\n" not in one["custom8"] for one in read)
    assert all(json.loads(one["custom8"].partition(" ")[2]) for one in read)


def test_what_somebody_changes_in_ris_stays_changed():
    text = ris.dumps(RECORDS, KEYS).replace("TI  - =1+1 is", "TI  - Two").replace("KW  - two", "KW  - speed")
    first, second, _ = ris.loads(text, "refs.ris").works
    assert second.fields == RECORDS["b"] | {"title": "Two"}
    assert first.fields == RECORDS["a"] | {"topics": ["one", "speed"]}


@pytest.mark.parametrize("carried", ["[", "7", '{"colour": "red"}', '{"year": ["x"]}'])
def test_a_reference_that_carries_no_record_costs_itself(carried: str):
    lines = ris.dumps(RECORDS, KEYS).split("\n")
    place = next(number for number, line in enumerate(lines) if line.startswith("C8  - "))
    lines[place] = f"C8  - {whole.NAME} {carried}"
    back = ris.loads("\n".join(lines), "refs.ris")
    assert [work.fields["id"] for work in back.works] == ["b", "c"]
    assert [(lost.line, lost.refused) for lost in back.unread] == [(1, True)]


def test_a_custom_field_of_somebody_else_is_named():
    (work,) = ris.loads("TY  - JOUR\nTI  - X\nC8  - mine\nER  - \n", "refs.ris").works
    assert not work.ours and "not kept: custom8" in work.remarks


@pytest.mark.parametrize("carried", ["{", "[]", '{"colour": "red"}', '{"id": null}', "[" * 100_000])
def test_what_is_no_record_is_refused(carried: str):
    with pytest.raises(InvalidRecordError):
        whole.restored(Work(1, {"kind": "paper", "title": "X"}), carried)


def test_bibtex_that_carries_a_record_is_what_pybtex_expects():
    records = collected()
    read = pybtex.database.parse_string(bibtex.dumps(records, keyed(records)), "bibtex").entries
    assert list(read) == list(keyed(records).values())
    for record, entry in zip(records.values(), read.values(), strict=True):
        assert len(entry.persons.get("author", [])) == len(record.get("authors", []))
        carried = entry.fields[whole.NAME]
        assert not set(carried) & set('{}\\%#&~^_$@"=') - {"%"}, "what some program would read as a command"


# A style of its own, for those of the distribution may be missing: the keys, one on a line.
STYLE = """ENTRY{author title year}{}{}
FUNCTION{default.type}{cite$ write$ newline$}
FUNCTION{misc}{default.type} FUNCTION{article}{default.type} FUNCTION{inproceedings}{default.type}
FUNCTION{book}{default.type}
READ ITERATE{call.type$}
"""


@pytest.mark.skipif(not shutil.which("bibtex"), reason="bibtex is not installed")
def test_bibtex_itself_reads_it_without_a_warning(tmp_path: Path):
    records = collected()
    (tmp_path / "refs.bib").write_text(bibtex.dumps(records, keyed(records)), encoding="utf-8")
    (tmp_path / "x.aux").write_text("\\citation{*}\n\\bibstyle{list}\n\\bibdata{refs}\n", encoding="utf-8")
    (tmp_path / "list.bst").write_text(STYLE, encoding="utf-8")
    ended = subprocess.run(["bibtex", "x"], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout
    assert "warning" not in ended.stdout.lower(), ended.stdout
    assert (tmp_path / "x.bbl").read_text("utf-8").split() == list(keyed(records).values())


def test_what_somebody_changes_in_bibtex_stays_changed():
    text = (
        bibtex.dumps(RECORDS, KEYS).replace("{=1+1 is}", "{Two}").replace("keywords = {one, two}", "keywords = {one}")
    )
    first, second, _ = bibtex.loads(text).works
    assert second.fields == RECORDS["b"] | {"title": "Two"}
    assert first.fields == RECORDS["a"] | {"topics": ["one"]}


def test_bibtex_comes_back_when_a_program_broke_its_lines_and_dropped_the_alias():
    lines = [line for line in bibtex.dumps(RECORDS, KEYS).split("\n") if not line.startswith("  ids =")]
    lines = [line.replace(" ", "\n    ") if line.startswith(f"  {whole.NAME} =") else line for line in lines]
    assert [work.fields for work in bibtex.loads("\n".join(lines)).works] == list(RECORDS.values())


def test_an_entry_that_carries_no_record_costs_itself():
    lines = bibtex.dumps(RECORDS, KEYS).split("\n")
    place = next(number for number, line in enumerate(lines) if line.startswith(f"  {whole.NAME} ="))
    lines[place] = f"  {whole.NAME} = {{%7B%22colour%22:1%7D}},"
    back = bibtex.loads("\n".join(lines))
    assert [work.fields["id"] for work in back.works] == ["b", "c"]
    assert [(lost.line, lost.refused) for lost in back.unread] == [(1, True)]
    assert "unknown fields colour" in back.unread[0].says


def test_nobody_sees_what_a_list_carries():
    from markdown_it import MarkdownIt

    records = collected()
    page = MarkdownIt("commonmark").render(markdown.dumps(records, TOPICS, "Reading list"))
    assert page.count(f"<!-- {whole.NAME} ") == len(records)
    seen = re.sub(r"<!--.*?-->", "", page, flags=re.DOTALL)
    assert whole.NAME not in seen and "builds_on" not in seen and "&quot;id&quot;" not in seen


def test_what_somebody_changes_in_a_list_stays_changed():
    text = markdown.dumps(RECORDS, TOPICS, "Mine")
    changed = text.replace("- [ ] [=1+1 is]", "- [x] [Two]").replace("**WR=3**", "**WR=2**")
    read = {work.fields["id"]: work.fields for work in lists.loads(changed).works}
    assert read["b"] == RECORDS["b"] | {"title": "Two", "status": "read"}
    assert read["a"] == RECORDS["a"] | {"worth_reading": 2}


def test_a_box_ticked_by_hand_counts_whatever_the_mark_was_before():
    skipped = {"b": RECORDS["b"] | {"status": "skipped"}}
    text = markdown.dumps(skipped, TOPICS, "Mine")
    assert [work.fields for work in lists.loads(text).works] == list(skipped.values())
    assert lists.loads(text.replace("- [ ]", "- [x]")).works[0].fields["status"] == "read"


def test_an_item_written_among_ours_is_a_work_of_its_own():
    text = markdown.dumps(RECORDS, TOPICS, "Mine") + "- [ ] [Another one](https://arxiv.org/abs/2006.11239)\n"
    works = lists.loads(text).works
    assert [(work.ours, work.fields["title"]) for work in works][-1] == (False, "Another one")
    assert [work.ours for work in works] == [True, True, True, False]


@pytest.mark.parametrize("carried", ["{", '{"colour":"red"}', '{"year":["x"]}'])
def test_an_item_that_carries_no_record_and_a_comment_without_one_cost_themselves(carried: str):
    lines = markdown.dumps(RECORDS, TOPICS, "Mine").split("\n")
    place = next(number for number, line in enumerate(lines) if line.startswith(f"  <!-- {whole.NAME}"))
    lines[place] = f"  <!-- {whole.NAME} {{{carried[1:-1]}}} -->"
    lines += ["", f'<!-- {whole.NAME} {{"id":"c"}} -->']
    back = lists.loads("\n".join(lines))
    assert [work.fields["id"] for work in back.works] == ["b", "c"]
    assert len(back.unread) == 2 and all(lost.refused for lost in back.unread)
    assert back.unread[-1].line == len(lines)
