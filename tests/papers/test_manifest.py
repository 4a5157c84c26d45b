"""Nothing the seeds name is lost: the records against the manifest, the citations and the lists themselves."""

from __future__ import annotations

import re
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
import yaml

from kb_tools.records.reader import read_file

HERE = Path(__file__).parent
PAPERS = HERE.parents[1] / "papers"
PAPER_KINDS = ("paper", "survey", "tutorial")

# Words whose full stop does not end a sentence.
ABBREVIATIONS = re.compile(r"\b(?:et al|vs|cf|e\.g|i\.e|Eq|Eqs|Fig|Sec|No|[A-Z])\.(?=\s)")
SENTENCE_END = re.compile(r"[.?!][\"')]?(?=\s+[\"'(]?[A-Z])")


def fixture_file(name: str):
    return yaml.load((HERE / name).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)


MANIFEST = fixture_file("manifest.yaml")
CITATIONS = fixture_file("citations.yaml")
SEEDS = {path.stem: path.read_text(encoding="utf-8") for path in sorted((HERE / "seeds").glob("*.txt"))}
WORKS = [item for item in MANIFEST if item["kind"] != "placeholder"]
PLACEHOLDERS = [item for item in MANIFEST if item["kind"] == "placeholder"]
ITEM_BY_ID = {item["id"]: item for item in WORKS}
# A placeholder is a topic of its own id, but for one heading that the vocabulary of topics names otherwise.
TOPIC_OF_PLACEHOLDER = {"more-control": "control-and-editing"}


def read_records() -> dict[str, dict[str, Any]]:
    """Every record of the collection by id; the file's name is the id."""
    paths = [path for path in sorted(PAPERS.glob("*.yaml")) if path.name not in ("topics.yaml", "outside.yaml")]
    return {path.stem: read_file(path).require() for path in paths + sorted(PAPERS.glob("resources/*.yaml"))}


RECORDS = read_records()
TOPICS: dict[str, Any] = dict(read_file(PAPERS / "topics.yaml").require())
PAPER_IDS = [name for name, record in RECORDS.items() if record["kind"] in PAPER_KINDS]


def topic_of(item: dict) -> dict:
    name: str = item["id"]
    return TOPICS[TOPIC_OF_PLACEHOLDER.get(name, name)]


def holder(item: dict) -> dict:
    """The record or the topic that stands for an item of the manifest."""
    return topic_of(item) if item["kind"] == "placeholder" else RECORDS[item["id"]]


def held_links(entry: dict) -> set[str]:
    """Every address that a record or a topic holds, derives from its arXiv id, or reports as a seed wrote it."""
    links = set(entry.get("links", {}).values())
    if entry.get("arxiv"):
        links |= {f"{scheme}://arxiv.org/abs/{entry['arxiv']}" for scheme in ("http", "https")}
    written = [(source.get("as_written") or {}).get("link") for source in entry.get("sources", [])]
    return links | {link for link in written if link}


def seed_links(text: str) -> list[tuple[int, str]]:
    """(line, address) of every link in a seed list, written in Markdown or bare; embedded pictures are no links."""
    lines = re.sub(r"!\[[^\]]*\]\([^)]*\)", "picture", text).splitlines()
    return [(n, url) for n, line in enumerate(lines, start=1) for url in re.findall(r"https?://[^\s)\]>]+", line)]


def seed_entries(seed: str, text: str) -> list[int]:
    """Lines at which a seed list names a work or leaves a heading empty, by that list's own layout."""
    lines = list(enumerate(text.splitlines(), start=1))
    if seed == "000":
        leaf_headings = ("More Control", "Video", "Audio", "Iterative Refinement")
        return [n for n, line in lines if "http" in line or line.startswith(("Cross Attention", "- Introduced"))] + [
            n for n, line in lines if line.startswith("###") and line.lstrip("# ").startswith(leaf_headings)
        ]
    pattern = {
        "001": r"- \[ \] ",
        "002": r"- \[|.*\]\(http",
        "003": r"- ",
        "004": r"\*\*.*\*\*.*\\$|\[!\[Awesome|.*\[Must Read\]",
    }[seed]
    return [n for n, line in lines if re.match(pattern, line)]


def test_the_whole_collection_is_there():
    kinds = [item["kind"] in PAPER_KINDS for item in WORKS]
    assert (kinds.count(True), kinds.count(False), len(PLACEHOLDERS)) == (54, 36, 6)
    assert set(ITEM_BY_ID) <= set(RECORDS)


def test_a_record_stands_in_the_folder_of_its_kind():
    for name, record in RECORDS.items():
        folder = PAPERS if record["kind"] in PAPER_KINDS else PAPERS / "resources"
        assert record["id"] == name
        assert (folder / f"{name}.yaml").is_file()


def test_bibliography():
    wrong = {}
    for item in WORKS:
        record = RECORDS[item["id"]]
        for field in ("kind", "title", "year", "venue", "arxiv", "doi"):
            if record.get(field) != item[field]:
                wrong[item["id"], field] = (record.get(field), item[field])
        if record.get("authors", []) != item["authors"]:
            wrong[item["id"], "authors"] = (record.get("authors"), item["authors"])
    assert wrong == {}


def test_sources_with_what_each_seed_wrote():
    for item in MANIFEST:
        kept = [(s["seed"], s["section"], s["line"], s.get("as_written")) for s in holder(item)["sources"]]
        assert kept == [(s["seed"], s["section"], s["line"], s["as_written"]) for s in item["sources"]], item["id"]


def test_corrections_notes_and_doubts():
    lost = [
        (item["id"], text)
        for item in MANIFEST
        for field, kept in (("corrections", "corrections"), ("notes", "notes"), ("unverified_fields", "unverified"))
        for text in item[field]
        if text not in holder(item).get(kept, [])
    ]
    assert lost == []


def test_addresses():
    lost = {item["id"]: set(item["url"]) - held_links(RECORDS[item["id"]]) for item in WORKS}
    assert {name: urls for name, urls in lost.items() if urls} == {}


def test_status_is_what_the_seeds_say():
    """Everything is unread but what seed 004 marks as read; the owner may have read more since."""
    read = {item["id"] for item in WORKS if item["read"]}
    assert read
    assert {name for name in read if RECORDS[name]["status"] != "read"} == set()


def test_scores_are_the_seeds_or_the_editors():
    wrong = {}
    for item in WORKS:
        record = RECORDS[item["id"]]
        score = (record.get("worth_reading"), record.get("worth_reading_by"))
        if item["wr"] is not None:
            right = score == (item["wr"], "seed 002")
        else:
            right = score in ((1, "editors"), (2, "editors"), (3, "editors"))
            right |= item["kind"] not in PAPER_KINDS and score == (None, None)
        if not right:
            wrong[item["id"]] = score
    assert wrong == {}


@pytest.mark.parametrize("item", PLACEHOLDERS, ids=[item["id"] for item in PLACEHOLDERS])
def test_an_empty_heading_shows_what_fills_it_and_what_is_missing(item):
    topic = topic_of(item)
    filled = item["resolves_to"] if item["id"] != "must-read" else [i["id"] for i in WORKS if i["wr"] == 3]
    assert topic["filled_by"] == filled
    shown = [(work["title"], work.get("arxiv")) for work in topic.get("missing", [])]
    assert len(shown) == len(item["outside_candidates"])
    for (title, arxiv), candidate in zip(shown, item["outside_candidates"], strict=True):
        number = re.search(r"\(arXiv (\S+?)[;)]", candidate)
        assert (title, arxiv) == (candidate.split(" (arXiv")[0], number and number[1])


@pytest.mark.parametrize("seed", SEEDS)
def test_no_link_of_a_seed_is_lost(seed):
    """Each link is held by what the seed names there: the nearest entry at or above the link's line."""
    text = SEEDS[seed]
    links = seed_links(text)
    pictures = re.findall(r"!\[[^\]]*\]\(http", text)
    assert len(links) == len(re.findall("https?://", text)) - len(pictures)
    entries = [
        (source["line"], held_links(entry))
        for entry in [*RECORDS.values(), *TOPICS.values()]
        for source in entry.get("sources", [])
        if source["seed"] == seed
    ]
    lost = []
    for line, url in links:
        nearest = max(start for start, _ in entries if start <= line)
        if not any(url in held for start, held in entries if start == nearest):
            lost.append((line, url))
    assert lost == []


@pytest.mark.parametrize("seed", SEEDS)
def test_no_entry_of_a_seed_is_lost(seed):
    kept = {
        source["line"]
        for entry in [*RECORDS.values(), *TOPICS.values()]
        for source in entry.get("sources", [])
        if source["seed"] == seed
    }
    assert set(seed_entries(seed, SEEDS[seed])) == kept


def test_links_inside_a_seed_lead_somewhere_or_are_reported():
    """A table of contents that points at a missing section is itself a correction."""
    corrections = " ".join(text for topic in TOPICS.values() for text in topic.get("corrections", []))
    for text in SEEDS.values():
        headings = {re.sub(r"\s+", "-", h.strip().lower()) for h in re.findall(r"(?m)^#+ (.*)$", text)}
        for anchor in re.findall(r"\]\(#([^)]+)\)", text):
            assert anchor in headings or f"#{anchor}'" in corrections


def test_citations():
    assert set(CITATIONS) == {item["id"] for item in WORKS if item["kind"] in PAPER_KINDS}
    for name, listed in CITATIONS.items():
        record = RECORDS[name]
        assert [cited for cited in record.get("cites", []) if cited in ITEM_BY_ID] == listed["cites"], name
        assert record["cites_source"].startswith("from memory") == listed["evidence"].startswith("memory"), name


def test_no_edge_leads_to_nothing():
    dangling = [
        (name, field, target)
        for name, record in RECORDS.items()
        for field, targets in (("cites", PAPER_IDS), ("builds_on", PAPER_IDS), ("about", PAPER_IDS), ("topics", TOPICS))
        for target in record.get(field, [])
        if target not in targets or (target == name and field != "topics")
    ]
    dangling += [
        (name, "filled_by", target)
        for name, topic in TOPICS.items()
        for target in topic.get("filled_by", [])
        if target not in RECORDS
    ]
    assert dangling == []


def test_reading_first_is_acyclic_and_covers_what_the_methods_need():
    order = TopologicalSorter({name: RECORDS[name].get("builds_on", []) for name in PAPER_IDS})
    assert len(list(order.static_order())) == len(PAPER_IDS)
    for item in WORKS:
        needs = (item["method"] or {}).get("needs", [])
        assert set(needs) <= set(RECORDS[item["id"]].get("builds_on", [])), item["id"]


def test_a_summary_is_a_few_sentences_one_per_line():
    wrong = []
    for name in ITEM_BY_ID:
        record = RECORDS[name]
        lines = record.get("summary", "").splitlines()
        low, high = (3, 6) if record["kind"] in PAPER_KINDS else (2, 4)
        if not low <= len(lines) <= high:
            wrong.append((name, f"{len(lines)} lines"))
        for line in lines:
            if not re.search(r"[.?!][\"')]*$", line) or SENTENCE_END.search(ABBREVIATIONS.sub("", line)):
                wrong.append((name, line))
    assert wrong == []


def test_every_record_says_why_in_one_line_and_has_a_topic():
    assert [name for name in ITEM_BY_ID if not 0 < len(RECORDS[name].get("why", "")) <= 110] == []
    assert [name for name in ITEM_BY_ID if not 1 <= len(RECORDS[name].get("topics", [])) <= 3] == []


def test_every_topic_says_what_it_is_and_holds_something():
    used = {topic for record in RECORDS.values() for topic in record.get("topics", [])}
    for name, topic in TOPICS.items():
        assert 1 <= len(topic["summary"].splitlines()) <= 2, name
        assert name in used or topic.get("filled_by"), name


def test_a_name_means_one_work():
    """An alias is nobody else's id, alias, or title (two pairs of works truly share their title)."""
    owners: dict[str, set[str]] = {}
    for name, record in RECORDS.items():
        for alias in (*record.get("aliases", []), *record.get("former_ids", []), name):
            owners.setdefault(alias.casefold(), set()).add(name)
    for name, record in RECORDS.items():
        owners.get(record["title"].casefold(), set()).add(name)
    assert {alias: names for alias, names in owners.items() if len(names) > 1} == {}
