"""arXiv against a real server: recorded answers, and every way of saying no under its own name."""

from __future__ import annotations

import socket

import pytest

from kb_tools.errors import KbError, NetworkError, UsageError
from kb_tools.services import arxiv


@pytest.fixture
def server(servers):
    return servers["arxiv"]


def test_a_recorded_entry(server, web):
    server.answers = [web.recorded("arxiv/single_entry_plain")]
    [paper] = arxiv.fetch(["1605.08386"]).values()
    assert paper.title == "Heat-bath random walks with Markov bases"
    assert paper.authors == ("Caprice Stanley", "Tobias Windisch")
    assert (paper.arxiv, paper.version, paper.year, paper.doi, paper.venue) == ("1605.08386", 1, 2016, None, None)
    assert paper.abstract is not None and paper.abstract.startswith("Graphs on lattice points are studied")
    assert not paper.withdrawn
    [(method, path, query, _)] = server.asked
    order = {"sortBy": "relevance", "sortOrder": "descending"}
    assert (method, path) == ("GET", "/api/query")
    assert query == {"id_list": "1605.08386", "start": "0", "max_results": "1", **order}
    assert server.agents[0].startswith("diffusion-kb/")


@pytest.mark.parametrize(
    ("name", "ident", "title", "author", "venue"),
    [
        ("title_is_0_explicit_v1", "2104.12255", "0", "Quan Thoi Minh Nguyen", None),
        ("old_style_id_v1", "quant-ph/0201082", "Quantum Computers and Quantum", "Stephen Blaha", None),
        (
            "old_style_id_with_journal_ref",
            "astro-ph/0601001",
            "Frequency of Hot",
            "Andrew Gould",
            "ActaAstron.56:1-50,2006",
        ),
        ("single_entry_unicode_author", "1707.08567", "Proceedings of Workshop", "Dirk Wübben", None),
        ("search_latex_title_unicode_v2", "2306.03845", "$ω$Test: WebView-Oriented", "Shing-Chi Cheung", None),
    ],
)
def test_recorded_entries_of_every_kind(server, web, name, ident, title, author, venue):
    server.answers = [web.recorded(f"arxiv/{name}")]
    [paper] = arxiv.fetch([ident]).values()
    assert paper.title.startswith(title)
    assert author in paper.authors
    assert (paper.arxiv, paper.venue) == (ident, venue)


def test_version_doi_and_order_do_not_matter_only_ids_do(server, web):
    server.answers = [web.recorded("arxiv/search_latex_title_unicode_v2")]
    found = arxiv.fetch(["2409.05654", "2306.03845"])
    assert (found["2409.05654"].version, found["2306.03845"].doi) == (9, "10.1145/3597926.3598112")
    assert set(found) == {"2409.05654", "2306.03845"}


def test_an_unknown_id_is_absent_and_that_is_all(server, web):
    server.answers = [web.recorded("arxiv/empty_feed_unknown_id")]
    assert arxiv.fetch(["0000.0000"]) == {}
    server.answers = [web.recorded("arxiv/partial_two_ids_one_unknown")]
    assert set(arxiv.fetch(["0808.05394", "1707.08567"])) == {"1707.08567"}


def test_many_ids_go_in_batches(server, web):
    idents = [f"2001.{number:05}" for number in range(60)]
    server.answers = [web.feed(*map(web.entry, idents[:50])), web.feed(*map(web.entry, idents[50:]))]
    assert set(arxiv.fetch(idents)) == set(idents)
    assert [query["max_results"] for _, _, query, _ in server.asked] == ["50", "10"]


def test_text_is_cleaned(server, web):
    title = "A\n  wrapped&#x202e;\ttitle with $x_t$ &amp; \\'e"
    server.answers = [web.feed(web.entry("2001.00001", title=title, authors=("A\u200b B", "")))]
    [paper] = arxiv.fetch(["2001.00001"]).values()
    assert (paper.title, paper.authors) == ("A wrapped title with $x_t$ & é", ("A B",))
    assert paper.abstract == "What it does."


@pytest.mark.parametrize(
    ("comment", "withdrawn"),
    [
        ("This paper has been withdrawn by the author due to an error in Eq. 3", True),
        ("Withdrawn", True),
        ("withdrawn: see arXiv:2001.00002", True),
        ("Paper withdrawn", True),
        ("4 pages, withdrawn due to a gap in Lemma 2", True),
        ("arXiv admin note: submission has been\n  withdrawn because of disputed authorship", True),
        ("The author has withdrawn this paper", True),
        ("We withdraw this article: Theorem 1 is false", True),
        ("(Retracted)", True),
        ("This submission was removed by arXiv administrators", True),
        ("We are withdrawing this paper", True),
        ("The author withdraws this manuscript", True),
        ("temporarily withdrawn", True),
        ("This paper has been removed by the authors", True),
        ("4 pages, 3 figures, withdrawn by the author", True),
        ("Error in Theorem 3: withdrawn by the author", True),
        ("Due to an error in Section 2 this paper has been withdrawn", True),
        ("Section 4 has been withdrawn", False),
        ("12 pages, the claim of v1 about rates is withdrawn", False),
        ("Retracted papers and who cites them, 10 pages", False),
        ("One figure has been removed", False),
        ("on the withdrawn state of matter; 3 figures", False),
        ("This article supersedes arXiv:1912.00001, which has been withdrawn", False),
        ("arXiv:1912.00001 has been withdrawn", False),
        ("Withdrawn from a conference to be resubmitted; 12 pages", False),
        ("Withdrawn from arXiv", True),
        ("Talk about how funds are withdrawn", False),
        ("12 pages; replaces a withdrawn version", False),
        ("10 pages, NeurIPS 2020", False),
    ],
)
def test_withdrawal_is_read_from_the_comment(server, web, comment, withdrawn):
    more = f"<arxiv:comment>{comment}</arxiv:comment>"
    server.answers = [web.feed(web.entry("2001.00001", more=more))]
    assert arxiv.fetch(["2001.00001"])["2001.00001"].withdrawn is withdrawn


PLAIN = b'<?xml version="1.0"?>'
BOMB = (
    PLAIN + b'<!DOCTYPE feed [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    b'<feed xmlns="http://www.w3.org/2005/Atom"><title>&b;</title></feed>'
)
EXTERNAL = PLAIN + b'<!DOCTYPE feed SYSTEM "file:///etc/passwd"><feed xmlns="http://www.w3.org/2005/Atom"/>'
ATOM = "application/atom+xml"
NO_TOTAL = PLAIN + b'<feed xmlns="http://www.w3.org/2005/Atom"></feed>'
HTML = b"<!DOCTYPE html><html><head><title>Login</title></head><body>Please log in</body></html>"

# status, content type, body, what the message says, exit code, how often it is asked
REFUSALS = [
    pytest.param(200, "text/plain", b"Rate exceeded.", "it answers `Rate exceeded.`", 4, 5, id="rate-200"),
    pytest.param(200, ATOM, b"Rate exceeded.", "it answers `Rate exceeded.`", 4, 5, id="rate-200-as-atom"),
    pytest.param(429, "text/plain", b"Rate exceeded.", r"asked too often \(HTTP 429\)", 4, 5, id="429"),
    pytest.param(503, "text/html", HTML, r"overloaded or down \(HTTP 503\)", 4, 5, id="503"),
    pytest.param(500, "text/plain", b"", r"overloaded or down \(HTTP 500\)", 4, 5, id="500"),
    pytest.param(404, ATOM, NO_TOTAL, "answers HTTP 404", 4, 1, id="404"),
    pytest.param(403, "text/html", HTML, r"web page instead of data \(HTTP 403\)", 4, 1, id="403-html"),
    pytest.param(200, "text/html", HTML, r"web page instead of data \(HTTP 200\): .*Please log in", 4, 1, id="html"),
    pytest.param(200, ATOM, HTML, "web page instead of data", 4, 1, id="html-as-atom"),
    pytest.param(200, "application/json", b"{}", "answers with application/json instead of a feed", 4, 1, id="json"),
    pytest.param(200, "", NO_TOTAL, "answers with no content type instead", 4, 1, id="no-type"),
    pytest.param(200, ATOM, b"", "broken XML", 4, 5, id="empty-body"),
    pytest.param(200, ATOM, NO_TOTAL[:-9], "broken XML .*cut off", 4, 5, id="truncated"),
    pytest.param(200, ATOM, NO_TOTAL, "does not say how many results", 4, 1, id="no-total"),
    pytest.param(200, ATOM, PLAIN + b"<html/>", "web page", 4, 1, id="xhtml"),
    pytest.param(200, ATOM, PLAIN + b"<oai/>", "no Atom feed but <oai>", 4, 1, id="another-xml"),
    pytest.param(200, ATOM, BOMB, "document type", 4, 1, id="entity-bomb"),
    pytest.param(200, ATOM, EXTERNAL, "document type", 4, 1, id="external-entity"),
]


@pytest.mark.parametrize(("status", "kind", "body", "message", "code", "attempts"), REFUSALS)
def test_no_answer_is_never_no_such_paper(server, web, clock, status, kind, body, message, code, attempts):
    server.answers = [web.Answer(status, kind, body)]
    with pytest.raises(KbError, match=message) as caught:
        arxiv.fetch(["2006.11239"])
    assert isinstance(caught.value, NetworkError)
    assert (caught.value.exit_code, len(server.asked)) == (code, attempts)
    assert caught.value.hint
    assert sum(clock.slept) < 120


def test_refusals_have_messages_of_their_own(server, web):
    said = set()
    for case in REFUSALS:
        status, kind, body, *_ = case.values
        server.answers = [web.Answer(status, kind, body)]
        with pytest.raises(NetworkError) as caught:
            arxiv.fetch(["2006.11239"], patient=False)
        said.add(caught.value.message)
    # `Rate exceeded.`, the web page and the document type each come in two guises; all others differ.
    assert len(said) == len(REFUSALS) - 3


@pytest.mark.parametrize("status", [200, 400])
def test_an_error_entry_is_shown(server, web, status):
    server.answers = [web.recorded("arxiv/bad_id_format_400")._replace(status=status)]
    with pytest.raises(UsageError, match="arXiv refuses the request: incorrect id format for abc"):
        arxiv.fetch(["abc"])
    assert len(server.asked) == 1


def test_a_feed_with_fewer_entries_than_it_counts_is_no_answer(server, web, clock):
    server.answers = [web.feed(total=1)]
    with pytest.raises(NetworkError, match="counts 1 results but sends 0"):
        arxiv.fetch(["2006.11239"])
    server.answers = [web.feed(total=1), web.feed(web.entry("2006.11239"))]
    assert set(arxiv.fetch(["2006.11239"])) == {"2006.11239"}, "the second attempt brought it"


def test_a_title_is_not_taken_for_an_error(server, web):
    server.answers = [web.feed(web.entry("2001.00001", title="Error"))]
    assert arxiv.fetch(["2001.00001"])["2001.00001"].title == "Error"


def test_a_refused_connection_is_said_at_once(server, monkeypatch, clock):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("KB_ARXIV_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(NetworkError, match=r"cannot be reached: no connection to 127\.0\.0\.1"):
            arxiv.fetch(["2006.11239"])
    assert clock.slept == []
    monkeypatch.setenv("KB_ARXIV_URL", "not-an-address")
    with pytest.raises(NetworkError, match="cannot be asked") as caught:
        arxiv.fetch(["2006.11239"])
    assert "KB_ARXIV_URL" in str(caught.value.hint)


def test_a_slow_server_is_given_up(server, web, monkeypatch, clock):
    monkeypatch.setattr("kb_tools.services.transport.READ_SECONDS", 0.05)
    server.answers = [web.Answer(200, ATOM, NO_TOTAL, slow=True)]
    with pytest.raises(NetworkError, match="did not answer within"):
        arxiv.fetch(["2006.11239"])
    assert len(server.asked) == 5


def test_an_answer_that_is_cut_off_is_asked_for_again(server, web):
    whole = web.feed(web.entry("2001.00001"))
    short = whole._replace(headers={"Content-Length": str(len(whole.body) + 100), "Connection": "close"})
    server.answers = [short, whole]
    assert set(arxiv.fetch(["2001.00001"])) == {"2001.00001"}
    server.asked.clear()
    server.answers = [short]
    with pytest.raises(NetworkError, match="broke off in the middle"):
        arxiv.fetch(["2001.00002"])
    assert len(server.asked) == 5


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("<title>A Title</title>", "<title> </title>"),
        ("2020-06-19T17:00:00Z", "yesterday"),
        ("2020-06-19T17:00:00Z", "2020-13-45T17:00:00Z"),
        ("2020-06-19T17:00:00Z", "0001-01-01T00:00:00+10:00"),
        ("<updated>2021-02-03T04:05:06Z</updated>", ""),
        ("http://arxiv.org/abs/2001.00001v1", "urn:nothing"),
    ],
)
def test_an_entry_that_lacks_what_a_record_needs_is_no_missing_paper(server, web, written, instead):
    """The arxiv package would leave such an entry out."""
    whole = web.entry("2001.00001")
    assert whole.count(written) == 1
    server.answers = [web.feed(whole.replace(written, instead))]
    with pytest.raises(NetworkError, match="without id, title or dates"):
        arxiv.fetch(["2001.00001"])


def test_one_request_whatever_the_feed_counts(server, web):
    server.answers = [web.feed(web.entry("2001.00001"), web.entry("2001.00002"), total=5000)]
    assert set(arxiv.fetch(["2001.00001"])) == {"2001.00001"}
    assert len(server.asked) == 1


def test_accents_and_entities_become_letters_and_formulas_stay(server, web):
    journal = r"<arxiv:journal_ref>Eds. Andr\'ee Roe</arxiv:journal_ref>"
    title = r"A Schr\"odinger Bridge with $\alpha$ Steps of Erd\H{o}s &amp;amp; &lt;i&gt;Sons&lt;/i&gt;"
    authors = ("The Example Collaboration", ":", r"A. R{\o}e")
    server.answers = [web.feed(web.entry("2106.00001", title=title, authors=authors, more=journal))]
    [paper] = arxiv.fetch(["2106.00001"]).values()
    assert paper.title == r"A Schrödinger Bridge with $\alpha$ Steps of Erdős & Sons"
    assert paper.authors == ("The Example Collaboration", "A. Røe")
    assert paper.venue == "Eds. Andrée Roe"
