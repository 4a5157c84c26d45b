"""Semantic Scholar and OpenAlex against a real server, with recorded answers and refusals."""

from __future__ import annotations

import pytest

from kb_tools.errors import NetworkError
from kb_tools.services import openalex, semanticscholar
from kb_tools.services.answers import Unlisted
from kb_tools.services.upstream import Cited

JSON = "application/json"


def s2_references(ident="ARXIV:2006.11239"):
    return semanticscholar.references(ident, semanticscholar.connect())


def work(title, **external):
    return {"citedPaper": {"paperId": "x", "title": title, "externalIds": external or None}}


def test_recorded_pages_are_followed_to_the_end(servers, web):
    server = servers["s2"]
    server.answers = [
        web.recorded("semanticscholar/references_page1_next"),
        web.recorded("semanticscholar/references_page2_last_null_ids"),
    ]
    found = s2_references("DOI:10.2139/ssrn.2250500")
    assert found[0].title.startswith("Group lending or individual lending?")
    assert Cited("United Nations. Gender Info") in found
    assert [query["offset"] for _, _, query, _ in server.asked] == ["0", "50"]
    assert server.asked[0][1] == "/paper/DOI:10.2139/ssrn.2250500/references"


def test_identifiers_are_read_and_the_doi_of_arxiv_is_its_id(servers, web):
    servers["s2"].answers = [
        web.as_json(
            {
                "offset": 0,
                "data": [
                    work("A", ArXiv="1503.03585", DOI="10.1000/A"),
                    work("B", DOI="10.48550/arXiv.1907.05600"),
                    work("C", DOI="10.1000/C"),
                    work("D"),
                    work(None),
                    {"citedPaper": None},
                ],
            }
        )
    ]
    assert s2_references() == [
        Cited("A", "1503.03585", "10.1000/a"),
        Cited("B", "1907.05600"),
        Cited("C", None, "10.1000/c"),
        Cited("D"),
    ]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"offset": 0, "data": []}, "lists no references"),
        ({"data": None, "citingPaperInfo": {}}, "its publisher withholds them"),
    ],
)
def test_an_empty_list_is_unlisted_and_not_a_paper_without_references(servers, web, answer, message):
    servers["s2"].answers = [web.as_json(answer)]
    with pytest.raises(Unlisted, match=message):
        s2_references()


def test_an_unknown_work_is_unlisted(servers, web):
    servers["s2"].answers = [web.recorded("semanticscholar/paper_not_found_404")]
    with pytest.raises(Unlisted, match="does not know this work"):
        s2_references()
    servers["openalex"].answers = [web.recorded("openalex/work_not_found_404_html")]
    with pytest.raises(Unlisted, match="does not know this work"):
        openalex.references("10.1046/x", openalex.connect())


REFUSALS = [
    (429, JSON, b'{"message": "Too Many Requests", "code": "429"}', "asked too often"),
    (400, JSON, b'{"error":"Unrecognized or unsupported fields: [unknown]"}', "HTTP 400: Unrecognized or unsupported"),
    (403, JSON, b'{"message": "Forbidden"}', "HTTP 403: Forbidden"),
    (200, "text/html", b"<html>Login</html>", "a web page instead of JSON"),
    (200, "text/plain", b"fine", "text/plain instead of JSON"),
    (200, JSON, b'{"data": [', "broken JSON"),
    (200, JSON, b"[" * 100_000, "broken JSON"),
    (200, JSON, b'"text"', "JSON of another shape"),
    (200, JSON, b'{"offset": 0, "data": {}, "referenced_works": {}}', "without (data|referenced_works)"),
]


@pytest.mark.parametrize(("status", "kind", "body", "message"), REFUSALS)
def test_no_answer_is_never_an_empty_list(servers, web, clock, status, kind, body, message):
    for server in servers.values():
        server.answers = [web.Answer(status, kind, body)]
    with pytest.raises(NetworkError, match=f"Semantic Scholar .*{message}"):
        s2_references()
    with pytest.raises(NetworkError, match=f"OpenAlex .*{message}"):
        openalex.references("10.48550/arxiv.2006.11239", openalex.connect())
    assert clock.slept == [], "one short attempt"


@pytest.mark.parametrize("following", [0, -50, "50"])
def test_pages_that_do_not_go_on_end_the_asking(servers, web, following):
    servers["s2"].answers = [web.as_json({"offset": 0, "next": following, "data": [work("A")]})]
    with pytest.raises(NetworkError, match="pages that do not go on"):
        s2_references()


def test_works_in_a_batch_are_told_apart_from_those_that_are_unknown(servers, web):
    server = servers["s2"]
    server.answers = [web.recorded("semanticscholar/batch_with_null")]
    asked = ["ARXIV:1", "ARXIV:2", "DOI:3", "ARXIV:4"]
    found = semanticscholar.papers(asked, semanticscholar.connect())
    assert "ARXIV:1" not in found
    assert found["ARXIV:2"].title == "How Much Should We Trust Differences-in-Differences Estimates?"
    assert (found["ARXIV:2"].doi, found["ARXIV:2"].service) == ("10.2139/ssrn.288970", "Semantic Scholar")
    assert server.asked[0][0] == "POST"
    assert server.asked[0][3] == {"ids": asked}
    server.answers = [web.as_json({"error": "No valid paper ids given"}, 400)]
    assert semanticscholar.papers(["ARXIV:9"], semanticscholar.connect()) == {}
    server.answers = [web.as_json([None])]
    with pytest.raises(NetworkError, match="asked for 2 works and answers with 1"):
        semanticscholar.papers(["ARXIV:8", "ARXIV:9"], semanticscholar.connect())


def test_openalex_resolves_its_ids_in_batches(servers, web):
    server = servers["openalex"]
    ids = [f"https://openalex.org/W{number}" for number in range(130)]
    results = [
        {"id": ids[0], "title": "NICE", "doi": "https://doi.org/10.48550/arxiv.1410.8516"},
        {"id": ids[1], "title": "Other", "doi": "https://doi.org/10.1000/Other"},
        {"id": ids[2], "title": None, "doi": None},
    ]
    server.answers = [
        web.as_json({"id": "https://openalex.org/W1", "referenced_works": ids}),
        web.as_json({"results": results}),
        web.as_json({"results": []}),
    ]
    found = openalex.references("10.48550/arxiv.2006.11239", openalex.connect())
    assert found == [Cited("NICE", "1410.8516"), Cited("Other", None, "10.1000/other")]
    assert server.asked[0][1] == "/works/https://doi.org/10.48550%2Farxiv.2006.11239"
    batches = [query["filter"] for _, path, query, _ in server.asked[1:] if path == "/works"]
    assert [len(batch.removeprefix("openalex:").split("|")) for batch in batches] == [100, 30]


def test_a_recorded_openalex_work_names_what_it_cites(servers, web):
    servers["openalex"].answers = [web.recorded("openalex/work_by_doi_full"), web.as_json({"results": []})]
    assert openalex.references("10.1016/j.xgen.2025.100814", openalex.connect()) == []
    assert servers["openalex"].asked[1][2]["filter"].count("|") == 58


def test_openalex_without_references_is_unlisted(servers, web):
    servers["openalex"].answers = [web.as_json({"id": "W1", "referenced_works": []})]
    with pytest.raises(Unlisted, match="lists no references"):
        openalex.references("10.48550/arxiv.1706.03762", openalex.connect())


def test_keys_of_the_services_are_used(servers, web, monkeypatch):
    monkeypatch.setenv("OPENALEX_API_KEY", "mine")
    servers["openalex"].answers = [web.as_json({"referenced_works": []})]
    with pytest.raises(Unlisted):
        openalex.references("10.1000/x", openalex.connect())
    assert servers["openalex"].asked[0][2]["api_key"] == "mine"
