"""CSL-JSON, RIS and JSON, read back by programs that are not ours."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import rispy

from kb_tools.errors import InvalidRecordError
from kb_tools.exchange import csl, formulas, ris, tables
from kb_tools.records.store import Collection

RECORDS = {
    "a": {
        "id": "a",
        "kind": "paper",
        "title": "A & B: on $x_0$ *and* [y](z)",
        "authors": ["Aaron van den Oord", "OpenAI", "Évariste Galois"],
        "year": 2020,
        "venue": "ICML 2020",
        "arxiv": "2006.11230",
        "topics": ["one", "two"],
        "abstract": "First line.\nSecond line.",
    },
    "b": {"id": "b", "kind": "textbook", "title": "=1+1", "authors": ["A B"], "links": {"home": "https://x.org/a"}},
}
KEYS = {"a": "oord2020a", "b": "b1"}


def through_pandoc(text: str) -> list[dict]:
    """The items as pandoc's citeproc understands them; where pandoc is not installed, as they are written."""
    if shutil.which("pandoc"):
        text = subprocess.run(
            ["pandoc", "-f", "csljson", "-t", "csljson"], input=text, capture_output=True, text=True, check=True
        ).stdout
    return json.loads(text)


def test_csl_json_as_citeproc_reads_it():
    first, second = through_pandoc(csl.dumps(RECORDS, KEYS))
    assert first["author"] == [
        {"family": "Oord", "given": "Aaron", "non-dropping-particle": "van den"},
        {"literal": "OpenAI"},
        {"family": "Galois", "given": "Évariste"},
    ]
    assert first["issued"] == {"date-parts": [[2020]]}
    assert (first["id"], first["type"]) == ("oord2020a", "paper-conference")
    formula = "x<sub>0</sub>" if shutil.which("pandoc") else '<span class="nocase">x<sub>0</sub></span>'
    assert first["title"] == RECORDS["a"]["title"].replace("$x_0$", formula)
    assert (first["URL"], first["container-title"]) == (
        "https://arxiv.org/abs/2006.11230",
        "International Conference on Machine Learning",
    )
    assert (second["id"], second["type"], second["URL"]) == ("b1", "book", "https://x.org/a")


@pytest.mark.skipif(not shutil.which("pandoc"), reason="pandoc is not installed")
def test_a_citation_comes_out_of_citeproc(tmp_path: Path):
    (tmp_path / "refs.json").write_text(csl.dumps(RECORDS, KEYS), encoding="utf-8")
    said = subprocess.run(
        ["pandoc", "--citeproc", "--bibliography", str(tmp_path / "refs.json"), "-t", "plain", "--wrap=none"],
        input="As @oord2020a show.",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "Oord, OpenAI, and Galois (2020)" in said
    assert "https://arxiv.org/abs/2006.11230" in said


@pytest.mark.skipif(not shutil.which("pandoc"), reason="pandoc is not installed")
def test_citeproc_prints_a_formula_as_letters_with_indices(tmp_path: Path):
    title = r"On $\alpha$-Divergence and $O(n^2)$ Bounds"
    record = {"id": "a", "kind": "paper", "title": title, "authors": ["Ann Roe"], "year": 2020}
    (tmp_path / "refs.json").write_text(csl.dumps({"a": record}, {"a": "roe2020"}), encoding="utf-8")
    said = subprocess.run(
        ["pandoc", "--citeproc", "--bibliography", str(tmp_path / "refs.json"), "-t", "html", "--wrap=none"],
        input="As @roe2020 shows.",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    printed = re.sub(r"</?span[^>]*>", "", said)
    assert "On α-Divergence and O(n<sup>2</sup>) Bounds" in printed


@pytest.mark.parametrize(
    ("title", "told"),
    [
        (r"$\beta_t$ and $x^{ab}$", "{}β<sub>t</sub>{} and {}x<sup>ab</sup>{}"),
        (r"$\frac{1}{2}$ stays", r"$\frac{1}{2}$ stays"),
        ("$5 and $6 are prices", "$5 and $6 are prices"),
    ],
)
def test_formulas_of_titles_for_programs_that_know_no_tex(title: str, told: str):
    assert formulas.tagged(title).replace('<span class="nocase">', "{}").replace("</span>", "{}") == told


def test_what_csl_has_no_field_for_comes_back():
    collection = Collection(Path(__file__).parents[3])
    data: list[Any] = [document.data for document in collection.documents()]
    records = {record["id"]: dict(record) for record in data}
    assert len(records) > 80
    keys = {ident: f"key{number}" for number, ident in enumerate(records)}
    back = csl.loads(csl.dumps(records, keys), "refs.json")
    assert back.unread == []
    assert [work.fields for work in back.works] == list(records.values())


def test_a_field_changed_in_the_entry_stays_changed():
    items = json.loads(csl.dumps(RECORDS, KEYS))
    items[0]["title"], items[0]["custom"] = "Another title", items[0]["custom"]
    items[0]["custom"]["diffusion-kb"].pop("title", None)
    assert csl.loads(json.dumps(items), "refs.json").works[0].fields["title"] == "Another title"


@pytest.mark.parametrize("carried", ["[", 7, {"colour": "red"}, {"year": ["x"]}])
def test_what_carries_no_record_is_refused_and_the_rest_is_read(carried: object):
    items = json.loads(csl.dumps(RECORDS, KEYS))
    items[0]["custom"] = {"diffusion-kb": carried}
    back = csl.loads(json.dumps(items), "refs.json")
    assert [work.fields["title"] for work in back.works] == ["=1+1"]
    assert len(back.unread) == 1 and back.unread[0].refused


def test_ris_as_another_reader_reads_it():
    first, second = rispy.loads(ris.dumps(RECORDS, KEYS))
    assert first["authors"] == ["van den Oord, Aaron", "OpenAI", "Galois, Évariste"]
    assert (first["type_of_reference"], first["id"], first["year"]) == ("CPAPER", "oord2020a", "2020")
    assert (first["title"], first["secondary_title"]) == (
        RECORDS["a"]["title"],
        "International Conference on Machine Learning",
    )
    assert (first["urls"], first["keywords"]) == (["https://arxiv.org/abs/2006.11230"], ["one", "two"])
    assert first["abstract"] == "First line. Second line."
    assert (second["type_of_reference"], second["authors"]) == ("BOOK", ["B, A"])


def test_json_comes_back_whole():
    assert [work.fields for work in tables.load_json(tables.dump_json(RECORDS), "x.json").works] == list(
        RECORDS.values()
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nothing", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("{}", "no export"),
        ('{"schema_version": 9, "data": []}', "schema_version 9"),
    ],
)
def test_json_that_is_no_export_is_refused(text, words):
    with pytest.raises(InvalidRecordError, match=r"x\.json") as caught:
        tables.load_json(text, "x.json")
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"schema_version": 1, "data": [1]}', "is no record"),
        ('{"schema_version": 1, "data": [{"id": "a", "kind": "paper", "title": 3}]}', "title: must be text"),
        ('{"schema_version": 1, "data": [{"id": "a", "kind": "paper", "title": "x", "titel": 3}]}', "titel"),
        ('{"schema_version": 1, "data": [{"id": "a", "kind": "paper", "title": "\\ud800"}]}', "surrogate"),
    ],
)
def test_an_entry_that_is_no_record_costs_itself(text, words):
    both = text.replace('"data": [', '"data": [{"id": "ok", "kind": "paper", "title": "Fine"}, ')
    found = tables.load_json(both, "x.json")
    assert [work.fields["title"] for work in found.works] == ["Fine"]
    (lost,) = found.unread
    assert (lost.line, lost.refused) == (2, True)
    assert lost.says.startswith("entry 2 of data ")
    assert words in lost.says
