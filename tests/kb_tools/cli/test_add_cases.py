"""What services and people really send to `kb add`, and what must become of it; files are in test_import_cases."""

from __future__ import annotations

import io
import json

import pytest


@pytest.fixture
def shelf(make):
    return make()


def test_accents_of_a_feed_are_letters_that_search_finds(kb, shelf, servers, web):
    entry = web.entry(
        "2106.00001",
        title=r"A Schr\"odinger Bridge with $\alpha$ Steps",
        authors=("The Example Collaboration", ":", "A. Roe"),
        more=r"<arxiv:journal_ref>Eds. Andr\'ee Roe</arxiv:journal_ref>",
    ).replace("What it\n  does.", r"On L\'evy flights with $O(n^2)$ steps.")
    servers["arxiv"].answers = [web.feed(entry)]
    assert kb(shelf, "add", "2106.00001").code == 0
    (record,) = shelf.index().records()
    assert record["title"] == r"A Schrödinger Bridge with $\alpha$ Steps"
    assert record["abstract"] == "On Lévy flights with $O(n^2)$ steps."
    assert record["venue"] == "Eds. Andrée Roe"
    assert record["authors"] == ["The Example Collaboration", "A. Roe"]
    for word in ("Schrödinger", "schrodinger", "Lévy"):
        found = json.loads(kb(shelf, "search", word, "--json").out)["data"]
        assert [one["id"] for one in found] == [record["id"]], word
    written = kb(shelf, "export", "--format", "bibtex").out
    assert r"A Schrödinger Bridge with $\alpha$ Steps" in written
    assert "textbackslash" not in written


def test_a_comment_on_another_paper_or_a_venue_is_no_withdrawal(kb, shelf, servers, web):
    comments = {
        "2101.00003": "This article supersedes arXiv:1912.00001, which has been withdrawn",
        "2101.00004": "Withdrawn from a conference to be resubmitted; 12 pages",
    }
    entries = [
        web.entry(ident, title=f"A Sound Paper, {ident}", more=f"<arxiv:comment>{said}</arxiv:comment>")
        for ident, said in comments.items()
    ]
    servers["arxiv"].answers = [web.feed(*entries)]
    assert kb(shelf, "add", *comments).code == 0
    assert {one["arxiv"] for one in shelf.index().records()} == set(comments)
    assert not any(one.get("withdrawn") for one in shelf.index().records())


def test_a_formula_in_a_title_comes_back_from_every_form(kb, make, record, tmp_path):
    title = r"On $\alpha$-Divergence and $O(n^2)$ Bounds"
    shelf = make(record("roe-2020-alpha", title=title, authors=["Ann Roe"]))
    assert title in kb(shelf, "export", "--format", "bibtex").out
    (item,) = json.loads(kb(shelf, "export", "--format", "csl-json").out)
    assert "α" in item["title"]
    assert "O(n<sup>2</sup>)" in item["title"]
    for form, suffix in (("bibtex", "bib"), ("csl-json", "json"), ("json", "json")):
        file = tmp_path / f"{form}.{suffix}"
        file.write_text(kb(shelf, "export", "--format", form).out, encoding="utf-8")
        shelf.path_of("roe-2020-alpha", "paper").unlink()
        assert kb(shelf, "import", str(file)).code == 0
        assert [one["title"] for one in shelf.index().records()] == [title], form


@pytest.mark.parametrize(
    ("written", "ident"),
    [
        ("arXiv:2006.11239 [cs.LG]", "2006.11239"),
        ("2006.11239,", "2006.11239"),
        ("(2006.11239)", "2006.11239"),
        ("arXiv 2006.11239", "2006.11239"),
        ("https://ar5iv.labs.arxiv.org/html/2006.11239", "2006.11239"),
        ("https://arxiv.org/e-print/2006.11239", "2006.11239"),
    ],
)
def test_a_line_is_the_id_that_it_plainly_is(kb, shelf, monkeypatch, written, ident):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{written}\n".encode())))
    assert kb(shelf, "add", "-", "--offline").code == 0
    assert [one["arxiv"] for one in shelf.index().records()] == [ident]


def test_a_line_is_the_doi_that_it_plainly_is(kb, shelf, monkeypatch, servers, web):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"https://doi.org/10.1162%2Fneco_a_00142\n")))
    servers["s2"].answers = [web.as_json([None])]
    assert kb(shelf, "add", "-").code == 3
    assert any("10.1162/neco_a_00142" in json.dumps(asked) for asked in servers["s2"].asked)
