"""kb set, kb tag, kb topics: one changed field is one changed line, and what cannot be meant changes nothing."""

from __future__ import annotations

from datetime import date

import pytest
import yaml

from kb_tools.records.layout import dump


@pytest.fixture
def shelf(make, record):
    return make(
        record("ddpm", aliases=["DDPM"], arxiv="2006.11239", doi="10.1000/ddpm", key="ho20"),
        record("ncsn", builds_on=["ddpm"], worth_reading=3, worth_reading_by="seed 002"),
        record("ddim", builds_on=["ncsn"], topics=["basics"], status="reading", read_on="2026-01-02"),
        record("post", kind="blog", aliases=["The post"]),
        record("talk", kind="video", about=["ncsn"]),
    )


def fields(collection, name: str) -> dict:
    return yaml.safe_load((collection.papers / f"{name}.yaml").read_text())


def changed_lines(before: str, after: str) -> list[str]:
    """Lines of `after` that `before` does not have, in order."""
    return [line for line in after.splitlines() if line not in before.splitlines()]


def test_one_changed_field_is_one_changed_line_and_comments_stay(kb, shelf):
    path = shelf.papers / "ddim.yaml"
    text = (
        path.read_text().replace("topics: [basics]", "topics: [basics]  # where it stands").replace("year:", "year:  ")
    )
    path.write_text(text)
    dry = kb(shelf, "set", "ddim", "topic+=speed", "alias+=DDIM", "--dry-run")
    assert dry.code == 0 and path.read_text() == text
    assert "+topics: [basics, speed]  # where it stands" in dry.out
    assert kb(shelf, "set", "ddim", "wr=2", "topic+=speed", "builds_on+=DDPM", "alias+=DDIM", "status=read").code == 0
    assert changed_lines(text, path.read_text()) == [
        'aliases: ["DDIM"]',
        "topics: [basics, speed]  # where it stands",
        "worth_reading: 2",
        'worth_reading_by: "editors"',
        "status: read",
        f'read_on: "{date.today().isoformat()}"',
        "builds_on: [ncsn, ddpm]",
    ]
    again = kb(shelf, "set", "ddim", "wr=2", "topic+=speed")
    assert again.code == 0 and "is so already" in again.err


def test_texts_are_dated_and_marks_are_not(kb, shelf):
    assert kb(shelf, "set", "ddpm", "why=The recipe: a = b.").code == 0
    assert fields(shelf, "ddpm")["why"] == "The recipe: a = b."
    assert fields(shelf, "ddpm")["changed"] == date.today().isoformat()
    assert kb(shelf, "set", "ncsn", "status=skipped", "wr=1").code == 0
    assert "changed" not in fields(shelf, "ncsn")
    assert fields(shelf, "ncsn")["worth_reading_by"] == "editors", "the seed gave another score"


def test_an_empty_value_takes_away_and_what_hangs_on_it(kb, shelf):
    assert kb(shelf, "set", "ncsn", "wr=", "builds_on-=2006.11239").code == 0
    assert fields(shelf, "ncsn").keys().isdisjoint({"worth_reading", "worth_reading_by", "builds_on"})
    assert kb(shelf, "set", "ddim", "status=unread").code == 0
    assert "read_on" not in fields(shelf, "ddim")


def test_parts_lists_and_identifiers(kb, shelf):
    words = ["links.code=https://example.org/x", "publication.volume=3", "topics=speed,basics"]
    words += ["arxiv=https://arxiv.org/abs/2010.02502v4", "authors=Ann Lee", "author+=Bo Ek, Jr", "withdrawn=true"]
    assert kb(shelf, "set", "ddim", *words).code == 0
    found = fields(shelf, "ddim")
    assert found["links"] == {"code": "https://example.org/x"} and found["publication"] == {"volume": "3"}
    assert found["topics"] == ["speed", "basics"] and found["arxiv"] == "2010.02502" and found["withdrawn"] is True
    assert found["authors"] == ["Ann Lee", "Bo Ek, Jr"]
    assert kb(shelf, "set", "ddim", "links.code=", "author-=ann lee").code == 0
    assert "links" not in fields(shelf, "ddim") and fields(shelf, "ddim")["authors"] == ["Bo Ek, Jr"]


@pytest.mark.parametrize(
    ("word", "code", "says"),
    [
        ("titel=x", 2, "did you mean title?"),
        ("id=x", 2, "kb mv"),
        ("summary+=x", 2, "holds one value"),
        ("wr=7", 2, "out of range"),
        ("wr=high", 2, "no whole number"),
        ("year=20x", 2, "no whole number"),
        ("status=red", 2, "did you mean read?"),
        ("topic+=sped", 2, "did you mean speed?"),
        ("topic-=sped", 2, "did you mean speed?"),
        ("builds_on+=ddmp", 3, "did you mean ddpm"),
        ("builds_on+=ddim", 2, "a cycle, ddpm -> ddim -> ncsn -> ddpm"),
        ("builds_on+=ddpm", 2, "cannot name itself"),
        ("builds_on+=post", 2, "is a blog, not a paper"),
        ("cites+=ncsn", 2, "cites_source="),
        ("arxiv=2006.1", 2, "no arXiv id"),
        ("arxiv=2013.00001", 2, "no arXiv id"),
        ("doi=x", 2, "is not a DOI"),
        ("read_on=2026-02-31", 2, "no date"),
        ("links.pdf=javascript:x", 2, "is not a web address"),
        ("links=x", 2, "part by part"),
        ("publication.volme=3", 2, "did you mean volume?"),
        ("alias+=ncsn", 6, "ncsn is called so already"),
        ("title=", 2, "is missing"),
        ("kind=blog", 2, "is named as a paper by"),
    ],
)
def test_what_cannot_be_meant_changes_nothing(kb, shelf, word, code, says):
    before = (shelf.papers / "ddpm.yaml").read_text()
    outcome = kb(shelf, "set", "ddpm", "why=New.", word)
    assert outcome.code == code, outcome.err
    assert says in outcome.err
    assert (shelf.papers / "ddpm.yaml").read_text() == before


def test_identifiers_and_keys_are_of_one_record(kb, shelf):
    for word in ("arxiv=2006.11239", "doi=10.1000/DDPM", "key=ho20"):
        outcome = kb(shelf, "set", "ddim", word)
        assert outcome.code == 6 and "ddpm is called so already" in outcome.err
    assert kb(shelf, "set", "talk", "alias+=DDPM").code == 0, "a talk may be called as its paper is"
    assert kb(shelf, "set", "ddim", "ncsn", "alias+=New").code == 2
    assert kb(shelf, "set", "ddim", "nothing-such", "wr=1").code == 3
    assert kb(shelf, "set", "ddim").code == kb(shelf, "set", "wr=1").code == 2


def test_a_record_that_becomes_another_kind_moves(kb, shelf, record):
    assert kb(shelf, "set", "post", "kind=survey").code == 0
    assert not (shelf.papers / "resources" / "post.yaml").exists()
    assert (shelf.papers / "post.yaml").read_text() == dump(record("post", kind="survey", aliases=["The post"])) + (
        f'changed: "{date.today().isoformat()}"\n'
    )


def test_tag(kb, shelf):
    assert kb(shelf, "tag", "ddim", "2006.11239", "+speed", "-basics").code == 0
    assert fields(shelf, "ddim")["topics"] == fields(shelf, "ddpm")["topics"] == ["speed"]
    assert kb(shelf, "tag", "ddim", "-basics").code == 0, "what is not there need not be taken away"
    assert kb(shelf, "tag", "ddim", "-h").code == 0
    for words in (["ddim"], ["+speed"], ["ddim", "wr=2"], ["ddim", "+sped"]):
        assert kb(shelf, "tag", *words).code == 2
    assert fields(shelf, "ddim")["topics"] == ["speed"]


def test_topics_are_listed_and_added(kb, shelf):
    assert kb(shelf, "topics").out == "basics\t5\tBasics\nspeed\t0\tSpeed\n"
    before = (shelf.papers / "topics.yaml").read_text()
    assert kb(shelf, "topics", "add", "video", "Video: moving", "--dry-run").out.count("\n+video: ") == 1
    assert (shelf.papers / "topics.yaml").read_text() == before
    assert kb(shelf, "topics", "add", "video", "Video: moving", "--summary", "Moving pictures. Long ones.").code == 0
    assert (shelf.papers / "topics.yaml").read_text().startswith(before)
    assert fields(shelf, "topics")["video"] == {"title": "Video: moving", "summary": "Moving pictures.\nLong ones."}
    assert kb(shelf, "tag", "ddim", "+video").code == 0
    assert [line for line in kb(shelf, "check").out.splitlines() if "topic" in line] == []
    assert kb(shelf, "topics", "add", "video", "Again").code == 6
    assert kb(shelf, "topics", "add", "No Id", "x").code == kb(shelf, "topics", "add", "x", " ").code == 2
