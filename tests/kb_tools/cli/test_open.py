"""kb open: the right address, in a browser or on stdout."""

from __future__ import annotations

import webbrowser

import pytest


@pytest.fixture
def shelf(make, record):
    return make(
        record("ddim", arxiv="2010.02502", doi="10.1000/ddim", links={"code": "https://example.org/code"}),
        record("dsm", doi="10.1162/neco.2011.00142", links={"pdf": "https://example.org/dsm.pdf"}),
        record("post", kind="blog", links={"post": "https://example.org/post"}),
        record("bare"),
    )


@pytest.mark.parametrize(
    ("words", "address"),
    [
        (["ddim"], "https://arxiv.org/abs/2010.02502"),
        (["2010.02502", "--pdf"], "https://arxiv.org/pdf/2010.02502"),
        (["ddim", "--code"], "https://example.org/code"),
        (["dsm"], "https://doi.org/10.1162/neco.2011.00142"),
        (["dsm", "--pdf", "--print"], "https://example.org/dsm.pdf"),
        (["post"], "https://example.org/post"),
    ],
)
def test_the_address_is_printed_off_a_terminal(kb, shelf, monkeypatch, words, address):
    monkeypatch.setattr(webbrowser, "open", lambda _: pytest.fail("nobody looks at a browser here"))
    outcome = kb(shelf, "open", *words)
    assert (outcome.code, outcome.out) == (0, address + "\n")


@pytest.mark.parametrize(("words", "code"), [(["bare"], 3), (["dsm", "--code"], 3), (["x-y"], 3)])
def test_no_address(kb, shelf, words, code):
    assert kb(shelf, "open", *words).code == code
    assert kb(shelf, "open", "ddim", "--pdf", "--code").code == 2


@pytest.mark.parametrize("works", [True, False])
def test_a_terminal_gets_a_browser_or_the_address(kb, shelf, monkeypatch, works):
    opened = []
    monkeypatch.setattr("kb_tools.cli.open_.terminal", lambda: True)
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or works)
    outcome = kb(shelf, "open", "ddim")
    assert outcome.code == 0 and opened == ["https://arxiv.org/abs/2010.02502"]
    assert outcome.out == ("" if works else "https://arxiv.org/abs/2010.02502\n")
