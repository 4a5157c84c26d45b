"""kb updates: what arXiv says of a work and its record does not, without a word written."""

from __future__ import annotations

import json

import pytest

from kb_tools.services.upstream import News, Upstream, news


@pytest.fixture
def shelf(make, record):
    return make(
        record("walks", arxiv="1605.08386", arxiv_version=1, added="2026-01-01"),
        record("ddpm", arxiv="2006.11239", arxiv_version=1, venue="NeurIPS 2020"),
        record("later", arxiv="2010.02502", added="2021-02-02"),  # web.entry is of 2021-02-03
        record("same", arxiv="2011.13456", added="2021-02-03"),
        record("bare", arxiv="1907.05600"),
        record("gone", arxiv="2001.00001", arxiv_version=1, withdrawn=True),
        record("print", doi="10.1162/neco_a_00142"),
        record("post", kind="blog", title="A blog"),
    )


def rows(outcome) -> list[tuple[str, str, str, str]]:
    return [tuple(line.split("\t")[:4]) for line in outcome.out.splitlines()]


@pytest.fixture
def answered(servers, web):
    """arXiv's answer of all papers: two new versions that can be seen, a journal, and a withdrawal that is known."""
    journal = (
        "<arxiv:journal_ref>J. Test 7 (2021) 1-9</arxiv:journal_ref><arxiv:doi>10.1000/xyz</arxiv:doi>"
        "<arxiv:comment>now in print</arxiv:comment>"
    )
    withdrawn = "<arxiv:comment>This paper has been withdrawn</arxiv:comment>"
    servers["arxiv"].answers = [
        web.feed(
            web.entry("1605.08386", more=withdrawn),
            web.entry("2006.11239", version=3, more=journal),
            web.entry("2010.02502", version=2),
            web.entry("2011.13456", version=2),
            web.entry("1907.05600", version=9),
            web.entry("2001.00001", version=1, more=withdrawn),
        )
    ]
    return servers["arxiv"]


def test_one_request_tells_versions_publications_and_withdrawals(kb, shelf, answered):
    before = {path: path.read_bytes() for path in shelf.papers.rglob("*.yaml")}
    outcome = kb(shelf, "updates")
    assert outcome.code == 0
    assert rows(outcome) == [
        ("ddpm", "published", "10.1000/xyz", ""),  # its venue is known
        ("ddpm", "version", "v3 of 2021-02-03", "v1"),
        ("later", "version", "v2 of 2021-02-03", "record of 2021-02-02"),
        ("walks", "withdrawn", "by its authors or by arXiv", ""),
    ]
    assert "kb: 3 of 6 papers with news" in outcome.err
    assert "kb: 1 without arxiv_version and day" in outcome.err
    assert len(answered.asked) == 1
    assert answered.asked[0][2]["id_list"].split(",") == [
        "1907.05600", "2006.11239", "2001.00001", "2010.02502", "2011.13456", "1605.08386",
    ]  # fmt: skip
    assert {path: path.read_bytes() for path in shelf.papers.rglob("*.yaml")} == before
    assert kb(shelf, "updates", "--exit-code").code == 1
    found = json.loads(kb(shelf, "updates", "--json").out)["data"]
    assert found[0] == {
        "id": "ddpm", "kind": "published", "now": "10.1000/xyz", "known": "", "title": "The paper called ddpm",
    }  # fmt: skip


def test_answers_as_arxiv_sent_them(kb, make, record, servers, web):
    """What they say was read in the files themselves."""
    shelf = make(
        record("deep", arxiv="2202.09076", arxiv_version=1),
        record("message", arxiv="2505.05162", arxiv_version=1),
        record("super", arxiv="1706.00679", added="2018-07-01"),
        record("soda", arxiv="2007.09895", arxiv_version=2),
        record("ogle", arxiv="astro-ph/0601001", arxiv_version=1),
        record("ogle-known", arxiv="astro-ph/0601001", arxiv_version=1, venue="Acta Astron."),
    )
    servers["arxiv"].answers = [web.recorded("arxiv/search_v2_v3_doi")]
    outcome = kb(shelf, "updates", "deep", "message", "super", "soda")
    assert outcome.code == 0
    assert rows(outcome) == [
        ("deep", "published", "10.1002/stvr.1804", ""),
        ("message", "version", "v2 of 2025-12-01", "v1"),
        ("super", "version", "v3 of 2018-07-02", "record of 2018-07-01"),
    ]
    servers["arxiv"].answers = [web.recorded("arxiv/old_style_id_with_journal_ref")]
    assert rows(kb(shelf, "updates", "ogle")) == [("ogle", "published", "ActaAstron.56:1-50,2006", "")]
    nothing = kb(shelf, "updates", "ogle-known", "--exit-code")
    assert (nothing.code, nothing.out) == (0, "")
    assert "kb: nothing new of 1 paper" in nothing.err


def test_who_was_not_answered_is_named(kb, shelf, servers, web):
    servers["arxiv"].answers = [web.feed(web.entry("2006.11239", version=2))]
    outcome = kb(shelf, "updates", "ddpm", "later")
    assert outcome.code == 3
    assert rows(outcome) == [("ddpm", "version", "v2 of 2021-02-03", "v1")]
    assert "later: arXiv does not know 2010.02502" in outcome.err
    servers["arxiv"].answers = [web.Answer(200, "text/html", b"<html>proxy</html>")]
    outcome = kb(shelf, "updates", "--no-cache")
    assert (outcome.code, outcome.out) == (4, "")
    assert kb(shelf, "updates", "print").code == 2
    assert kb(shelf, "updates", "nothing").code == 3


def test_a_collection_that_has_nothing_to_ask_for_asks_nobody(kb, make, record, servers):
    shelf = make(record("print", doi="10.1162/neco_a_00142"))
    assert json.loads(kb(shelf, "updates", "--json").out)["data"] == []
    assert servers["arxiv"].asked == []


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"arxiv_version": 2}, []),
        ({"arxiv_version": 3}, []),  # a record that is ahead of an old answer
        ({"arxiv_version": 1, "added": "2026-01-01"}, [News("version", "v2 of 2021-02-03", "v1")]),
        ({"added": "2021-02-02"}, [News("version", "v2 of 2021-02-03", "record of 2021-02-02")]),
        ({"added": "2021-02-03"}, []),
        ({}, []),
    ],
)
def test_a_version_is_new_by_its_number_else_by_its_day(record, expected):
    work = Upstream("arXiv", "T", (), 2020, version=2, updated="2021-02-03")
    assert news(record, work) == expected
