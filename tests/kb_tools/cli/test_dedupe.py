"""kb dedupe: what could be one is listed, and two records become one without a word lost in silence."""

from __future__ import annotations

import json
import sys
from datetime import date

import pexpect
import pytest
import yaml


@pytest.fixture
def shelf(make, record):
    collection = make(
        record(
            "ddpm",
            title="Denoising Diffusion Probabilistic Models",
            authors=["Jonathan Ho"],
            aliases=["DDPM"],
            key="ho20",
            builds_on=["dpm"],
            added="2026-02-01",
            topics=["basics"],
        ),
        record(
            "ho-2020-denoising",
            title="Denoising diffusion probabilistic models (DDPM)",
            authors=["Jonathan Ho", "Ajay Jain"],
            year=2021,
            arxiv="2006.11239",
            arxiv_version=2,
            key="ho2020",
            aliases=["Ho's model", "DDPM paper"],
            former_ids=["ho-2020"],
            builds_on=["dpm", "ncsn"],
            topics=["speed", "basics"],
            status="read",
            read_on="2026-01-02",
            worth_reading=2,
            worth_reading_by="editors",
            unverified=["year", "arxiv"],
            links={"code": "https://example.org/code"},
            added="2026-01-01",
        ),
        record("dpm"),
        record("ncsn"),
        record("ddim", builds_on=["ddpm", "ho-2020-denoising"], cites=["ho-2020-denoising"], cites_source="the paper"),
        record("post", kind="blog", about=["ho-2020-denoising"], title="Denoising Diffusion Probabilistic Models"),
    )
    notes = collection.papers / "notes"
    notes.mkdir()
    (notes / "ho-2020-denoising.md").write_text("Second.\n")
    (notes / "ddpm.md").write_text("First.\n")
    return collection


def fields(collection, name: str) -> dict:
    return yaml.safe_load((collection.papers / f"{name}.yaml").read_text())


def test_pairs_are_listed_and_a_paper_and_a_post_are_none(kb, shelf):
    outcome = kb(shelf, "dedupe", "--json")
    assert [(one["keep"], one["other"], one["sure"]) for one in json.loads(outcome.out)["data"]] == [
        ("ho-2020-denoising", "ddpm", True)
    ]
    assert "1 pair;" in kb(shelf, "dedupe", "ddpm").err
    assert kb(shelf, "dedupe", "ncsn").out == ""


def test_two_become_one(kb, shelf):
    dry = kb(shelf, "dedupe", "ddpm", "ho-2020-denoising", "--dry-run")
    assert dry.code == 0 and (shelf.papers / "ho-2020-denoising.yaml").exists()
    outcome = kb(shelf, "dedupe", "ddpm", "2006.11239", "--yes")
    assert outcome.code == 0, outcome.err
    assert not (shelf.papers / "ho-2020-denoising.yaml").exists()
    assert fields(shelf, "ddpm") == {
        "id": "ddpm",
        "kind": "paper",
        "title": "Denoising Diffusion Probabilistic Models",
        "authors": ["Jonathan Ho"],
        "year": 2020,
        "key": "ho20",
        "arxiv": "2006.11239",
        "arxiv_version": 2,
        "links": {"code": "https://example.org/code"},
        "aliases": [
            "DDPM",
            "Ho's model",
            "DDPM paper",
            "Denoising diffusion probabilistic models (DDPM)",
            "ho2020",
        ],
        "former_ids": ["ho-2020", "ho-2020-denoising"],
        "topics": ["basics", "speed"],
        "worth_reading": 2,
        "worth_reading_by": "editors",
        "status": "read",
        "read_on": "2026-01-02",
        "summary": "What it is.\nWhat it shows.",
        "builds_on": ["dpm", "ncsn"],
        "unverified": ["arxiv"],
        "added": "2026-01-01",
        "changed": date.today().isoformat(),
    }
    lost = [line for line in outcome.err.splitlines() if "not kept" in line]
    assert lost == [
        "ho-2020-denoising: not kept: authors: ['Jonathan Ho', 'Ajay Jain']",
        "ho-2020-denoising: not kept: year: 2021",
    ]
    assert fields(shelf, "ddim")["builds_on"] == ["ddpm"] and fields(shelf, "ddim")["cites"] == ["ddpm"]
    assert fields(shelf, "resources/post")["about"] == ["ddpm"]
    assert (shelf.papers / "notes" / "ddpm.md").read_text() == "First.\n\nSecond.\n"
    assert not (shelf.papers / "notes" / "ho-2020-denoising.md").exists()
    for name in ("ho-2020-denoising", "ho-2020", "ho2020", "ho20", "2006.11239"):
        shown = kb(shelf, "show", name, "--json")
        assert shown.code == 0 and json.loads(shown.out)["data"]["id"] == "ddpm"
    found = [line for line in kb(shelf, "check").out.splitlines() if "implementations" not in line]
    assert found == []


def test_what_contradicts_is_two_works_unless_one_is_given_up(kb, make, record):
    collection = make(
        record("one", arxiv="2006.11239", doi="10.1000/one"),
        record("two", arxiv="2010.02502", arxiv_version=3, venue="ICLR 2021", doi="10.1000/two"),
    )
    refused = kb(collection, "dedupe", "one", "two", "--yes")
    assert refused.code == 6
    assert "different arXiv ids 2006.11239 and 2010.02502 and different DOIs 10.1000/one and 10.1000/two" in refused.err
    done = kb(collection, "dedupe", "one", "two", "--yes", "--drop-identifiers")
    assert done.code == 0 and "not kept: arxiv: 2010.02502" in done.err
    found = fields(collection, "one")
    assert (found["arxiv"], found["doi"], found["venue"]) == ("2006.11239", "10.1000/one", "ICLR 2021")
    assert "arxiv_version" not in found


def test_what_cannot_be_one_is_refused(kb, make, record):
    collection = make(
        record("a"), record("b", builds_on=["c"]), record("c", builds_on=["a"]), record("post", kind="blog")
    )
    cycle = kb(collection, "dedupe", "a", "b", "--yes")
    assert cycle.code == 6 and "a -> c -> a" in cycle.err
    assert kb(collection, "dedupe", "a", "post", "--yes").code == 6
    assert kb(collection, "dedupe", "a", "a", "--yes").code == 2
    assert kb(collection, "dedupe", "a", "b", "c").code == 2
    assert kb(collection, "dedupe", "--yes").code == 2
    assert kb(collection, "dedupe", "a", "nothing-such").code == 3
    (collection.root / "implementations" / "c.py").write_text("")
    code = kb(collection, "dedupe", "b", "c", "--yes")
    assert code.code == 6 and "c b" in code.err


def test_it_asks_at_a_terminal_and_refuses_elsewhere(kb, shelf):
    before = {path: path.read_bytes() for path in shelf.papers.rglob("*.yaml")}
    assert kb(shelf, "dedupe", "ddpm", "ho-2020-denoising").code == 2
    command = ["-m", "kb_tools", "-C", str(shelf.root), "dedupe", "ddpm", "ho-2020-denoising"]
    child = pexpect.spawn(sys.executable, command, encoding="utf-8", timeout=60)
    child.expect(r"Make ho-2020-denoising part of ddpm, with 3 edges\?")
    child.sendline("n")
    child.expect(pexpect.EOF)
    assert {path: path.read_bytes() for path in shelf.papers.rglob("*.yaml")} == before
