"""kb rm, kb mv: every file that names a record changes with it, or none does."""

from __future__ import annotations

import errno
import json
import os
import sys

import pexpect
import pytest
import yaml

TOPICS = {"basics": {"title": "Basics", "summary": "Where to begin.", "filled_by": ["ddpm", "ncsn"]}}
OUTSIDE = """# yaml-language-server: $schema=outside-schema.json
works:
- {title: "Only one cites this", arxiv: "1901.00001", cited_by: [ddpm]}
- {title: "Two cite this", arxiv: "1901.00002", cited_by: [ddpm, ddim]}
"""


@pytest.fixture
def shelf(make, record):
    collection = make(
        record("ddpm", arxiv="2006.11239", former_ids=["ho-2020"], status="read", read_on="2026-01-02", key="ho20"),
        record("ncsn"),
        record("ddim", builds_on=["ddpm"], cites=["ncsn", "ddpm"], cites_source="the paper"),
        record("post", kind="blog", about=["ddpm", "ncsn"]),
        topics=TOPICS,
        outside=OUTSIDE,
    )
    notes = collection.papers / "notes"
    notes.mkdir()
    (notes / "ddpm.md").write_text("My *notes*.\n")
    return collection


def fields(collection, name: str) -> dict:
    return yaml.safe_load((collection.papers / f"{name}.yaml").read_text())


def test_rm_takes_the_record_its_notes_and_every_edge(kb, shelf):
    outcome = kb(shelf, "rm", "2006.11239", "--yes")
    assert outcome.code == 0
    assert "ddpm: 6 places point at it: ddim (builds_on), ddim (cites), post (about)" in outcome.err
    assert not (shelf.papers / "ddpm.yaml").exists()
    assert not (shelf.papers / "notes" / "ddpm.md").exists()
    ddim = fields(shelf, "ddim")
    assert "builds_on" not in ddim and ddim["cites"] == ["ncsn"]
    assert fields(shelf, "resources/post")["about"] == ["ncsn"]
    assert fields(shelf, "topics")["basics"]["filled_by"] == ["ncsn"]
    works = fields(shelf, "outside")["works"]
    assert [(work["title"], work["cited_by"]) for work in works] == [("Two cite this", ["ddim"])]
    assert [line for line in kb(shelf, "check").out.splitlines() if "unknown" in line or "layout" in line] == []


def test_rm_changes_the_lines_of_the_edges_only(kb, shelf):
    outcome = kb(shelf, "rm", "ncsn", "--dry-run")
    assert outcome.code == 0
    lines = [line for line in outcome.out.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    of_ncsn = (shelf.papers / "ncsn.yaml").read_text().splitlines()
    rest = [line for line in lines if line[1:] not in of_ncsn]
    assert rest == [
        "-cites: [ncsn, ddpm]",
        "+cites: [ddpm]",
        "-about: [ddpm, ncsn]",
        "+about: [ddpm]",
        "-  filled_by: [ddpm, ncsn]",
        "+  filled_by: [ddpm]",
    ]
    assert (shelf.papers / "ncsn.yaml").exists()


def test_rm_asks_at_a_terminal_and_refuses_elsewhere(kb, shelf):
    outcome = kb(shelf, "rm", "ncsn")
    assert outcome.code == 2 and "--yes" in outcome.err
    assert (shelf.papers / "ncsn.yaml").exists()
    for answer, there in (("n", True), ("y", False)):
        child = pexpect.spawn(
            sys.executable, ["-m", "kb_tools", "-C", str(shelf.root), "rm", "ncsn"], encoding="utf-8", timeout=60
        )
        child.expect(r"Remove ncsn, and 3 edges with it\?")
        child.sendline(answer)
        child.expect(pexpect.EOF)
        assert (shelf.papers / "ncsn.yaml").exists() == there


def test_rm_of_several_counts_no_edge_among_them(kb, shelf):
    outcome = kb(shelf, "rm", "ddpm", "ddim", "--yes", "--json")
    assert outcome.code == 0
    [ddpm, ddim] = json.loads(outcome.out)["data"]
    assert [(one["id"], one["field"]) for one in ddpm["pointers"]] == [
        ("post", "about"),
        ("topics.yaml", "filled_by"),
        ("outside.yaml", "cited_by"),
        ("outside.yaml", "cited_by"),
    ]
    assert ddim["pointers"] == [{"id": "outside.yaml", "field": "cited_by", "target": "ddim"}]
    assert not (shelf.papers / "outside.yaml").exists(), "nothing is left that anybody cites"


def test_rm_keeps_the_record_of_code(kb, shelf):
    (shelf.root / "implementations" / "ncsn.py").write_text("")
    refused = kb(shelf, "rm", "ncsn", "--yes")
    assert refused.code == 6 and "implementations/ncsn.py" in refused.err and "--leave-code" in refused.err
    assert (shelf.papers / "ncsn.yaml").exists()
    assert kb(shelf, "rm", "ncsn", "--yes", "--leave-code").code == 0
    assert (shelf.root / "implementations" / "ncsn.py").exists()


def test_rm_of_a_file_that_is_not_valid_and_of_nothing(kb, make, record):
    collection = make(record("ddpm"), bad="id: bad\nkind: paper\n", near="id: near\nbuilds_on: [ddpm\n")
    outcome = kb(collection, "rm", "ddpm", "--yes")
    assert outcome.code == 0 and "papers/near.yaml is not valid, and may name one of them" in outcome.err
    assert kb(collection, "rm", "bad", "--yes").code == 0
    assert not (collection.papers / "bad.yaml").exists()
    assert kb(collection, "rm", "nothing-such", "--yes").code == 3


def test_mv_renames_file_notes_and_edges(kb, shelf):
    before = fields(shelf, "ddpm")
    outcome = kb(shelf, "mv", "ddpm", "ho-2020-denoising")
    assert outcome.code == 0, outcome.err
    assert not (shelf.papers / "ddpm.yaml").exists()
    after = fields(shelf, "ho-2020-denoising")
    assert after == before | {"id": "ho-2020-denoising", "former_ids": ["ho-2020", "ddpm"]}
    assert (shelf.papers / "notes" / "ho-2020-denoising.md").read_text() == "My *notes*.\n"
    assert not (shelf.papers / "notes" / "ddpm.md").exists()
    assert fields(shelf, "ddim")["builds_on"] == ["ho-2020-denoising"]
    assert fields(shelf, "ddim")["cites"] == ["ncsn", "ho-2020-denoising"]
    assert fields(shelf, "resources/post")["about"] == ["ho-2020-denoising", "ncsn"]
    assert fields(shelf, "topics")["basics"]["filled_by"] == ["ho-2020-denoising", "ncsn"]
    assert fields(shelf, "outside")["works"][0]["cited_by"] == ["ho-2020-denoising"]
    assert kb(shelf, "show", "ddpm", "--json").code == 0
    back = kb(shelf, "mv", "ddpm", "ddpm")
    assert back.code == 0, back.err
    assert fields(shelf, "ddpm")["former_ids"] == ["ho-2020", "ho-2020-denoising"]
    assert [line for line in kb(shelf, "check").out.splitlines() if "unknown" in line or "layout" in line] == []


@pytest.mark.parametrize(
    ("new", "code"),
    [("ncsn", 6), ("DDPM", 2), ("a--b", 2), ("../x", 2), ("topics", 2), ("x" * 65, 2), ("ho-2020", 0), ("ddpm", 2)],
)
def test_mv_refuses_what_is_taken_or_no_id(kb, shelf, contents_of, new, code):
    before = contents_of(shelf)
    assert kb(shelf, "mv", "ddpm", new).code == code
    assert (contents_of(shelf) == before) == (code != 0)


def test_mv_refuses_former_ids_of_others_and_methods(kb, shelf):
    assert kb(shelf, "mv", "ncsn", "ho-2020").code == 6
    (shelf.root / "implementations" / "ncsn.py").write_text("")
    refused = kb(shelf, "mv", "ncsn", "song-2019")
    assert refused.code == 6 and "implementations/ncsn.py" in refused.err
    assert kb(shelf, "mv", "nothing-such", "x").code == 3


@pytest.fixture
def contents_of():
    def read(collection) -> dict[str, bytes]:
        files = (path for path in collection.root.rglob("*") if path.is_file() and ".kb" not in path.parts)
        return {str(path): path.read_bytes() for path in files}

    return read


@pytest.mark.parametrize("call", ["fsync", "rename", "link"])
@pytest.mark.parametrize("failing", [1, 2, 4])
@pytest.mark.parametrize("verb", [("rm", "ddpm", "--yes"), ("mv", "ddpm", "other")])
def test_a_disk_that_refuses_in_the_middle_changes_nothing(kb, shelf, contents_of, monkeypatch, call, failing, verb):
    """The call fails at its n-th use, and once only: undoing must be able to rename."""
    before = contents_of(shelf)
    name = {"fsync": "fsync", "rename": "replace", "link": "unlink"}[call]
    real, count = getattr(os, name), [0]

    def refuse(*arguments, **options):
        where = str(arguments[0])
        if call == "fsync" or (call == "rename" and where.endswith(".kb-tmp")) or where.endswith((".yaml", ".md")):
            count[0] += 1
            if count[0] == failing:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, name, refuse)
        outcome = kb(shelf, *verb)
    if count[0] >= failing:
        assert outcome.code == 6, outcome.err
        assert contents_of(shelf) == before
    else:
        assert outcome.code == 0
