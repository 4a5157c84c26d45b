"""kb check --fix: what can only be mended in one way is mended and shown; everything else stays."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def shelf(make, record):
    return make(record("ddpm", former_ids=["ho2020"]), record("ddim", builds_on=["ddpm"]))


MENDED = {
    "byte order mark": (lambda text: "\ufeff" + text, None),
    "windows line ends": (lambda text: text.replace("\n", "\r\n"), None),
    "layout": (lambda text: text.replace("year: 2020", "year:    2020"), None),
    "an unquoted arXiv id": (lambda text: text + "arxiv: 2006.11230\n", 'arxiv: "2006.11230"\n'),
    "unquoted dates": (
        lambda text: text.replace("status: unread\n", "status: read\nread_on: 2026-11-20\n"),
        'read_on: "2026-11-20"\n',
    ),
    "repetitions": (lambda text: text.replace("topics: [basics]", "topics: [basics, basics]"), "topics: [basics]\n"),
    "a former id": (lambda text: text.replace("builds_on: [ddpm]", "builds_on: [ho2020]"), "builds_on: [ddpm]\n"),
    "a former id beside the present one": (
        lambda text: text.replace("builds_on: [ddpm]", "builds_on: [ho2020, ddpm]"),
        "builds_on: [ddpm]\n",
    ),
    "several at once": (
        lambda text: (
            "\ufeff# mine\n" + text.replace("builds_on: [ddpm]", "builds_on: [ho2020]") + "arxiv: 2006.11230\n"
        ),
        "# mine\nid: ddim\n",
    ),
}


@pytest.mark.parametrize("case", MENDED)
def test_what_has_one_remedy_is_mended_with_a_diff(kb, shelf, case):
    spoil, expected = MENDED[case]
    path = shelf.papers / "ddim.yaml"
    sound = path.read_text()
    path.write_text(spoil(sound), encoding="utf-8", newline="")
    spoiled = path.read_bytes()
    assert kb(shelf, "check").code == 1
    dry = kb(shelf, "check", "--fix", "--dry-run")
    assert (dry.code, path.read_bytes()) == (1, spoiled)
    assert "papers/ddim.yaml: would be mended" in dry.err
    fixed = kb(shelf, "check", "--fix")
    assert (fixed.code, "papers/ddim.yaml: mended" in fixed.err) == (0, True)
    assert fixed.out.startswith("--- a/papers/ddim.yaml\n+++ b/papers/ddim.yaml\n")
    assert dry.out.startswith(fixed.out), "the dry run showed what would happen"
    text = path.read_bytes().decode()
    assert (text == sound) if expected is None else (expected in text)
    again = kb(shelf, "check", "--fix")
    assert (again.code, again.out) == (0, "")


LEFT = {
    "an edge to nothing": lambda text: text.replace("[ddpm]", "[dpdm]"),
    "an edge to itself": lambda text: text.replace("[ddpm]", "[ddim]"),
    "a typo in a key": lambda text: text.replace("year: 2020\n", "") + "yaer: 2020\n",
    "an open quote": lambda text: text.replace('title: "', 'title: "" "'),
    "an invisible character": lambda text: text.replace("called", "call\u200bed"),
    "two keys, and an unquoted id": lambda text: text + "year: 2021\narxiv: 2006.11230\n",
}


@pytest.mark.parametrize("case", LEFT)
def test_what_a_person_must_decide_stays(kb, shelf, case):
    path = shelf.papers / "ddim.yaml"
    path.write_text(LEFT[case](path.read_text()), encoding="utf-8")
    before = path.read_bytes()
    outcome = kb(shelf, "check", "--fix", "--json")
    assert outcome.code == 1
    assert json.loads(outcome.out)["data"]
    assert path.read_bytes() == before


def test_topics_and_schemas_are_renewed(kb, shelf):
    (shelf.papers / "schema.json").write_text("{}")
    topics = shelf.papers / "topics.yaml"
    sound = topics.read_text()
    topics.write_text(sound.replace("basics:", "basics:  "))
    assert kb(shelf, "check", "--fix").code == 0
    assert topics.read_text() == sound


def test_a_dry_run_without_a_fix_means_nothing(kb, shelf):
    assert kb(shelf, "check", "--dry-run").code == 2
