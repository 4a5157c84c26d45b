"""The store: finding, listing, references, the index cache, and writing without loss."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kb_tools.errors import AmbiguousError, ConflictError, InvalidRecordError, NotFoundError, StorageError
from kb_tools.records.reference import arxiv_id, doi, lookup_keys
from kb_tools.records.store import Change, Collection
from kb_tools.records.writing import locked, replace_file


def test_a_collection_is_found_from_below_by_name_and_by_environment(make, record, monkeypatch, tmp_path):
    root = make(record("a")).root
    below = root / "papers" / "resources"
    monkeypatch.delenv("KB_ROOT", raising=False)
    monkeypatch.chdir(below)
    assert Collection.find().root == root
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError, match=r"no collection at .*papers/ and kb.yaml or mkdocs.yml"):
        Collection.find()
    assert Collection.find(root).root == root
    monkeypatch.setenv("KB_ROOT", str(root))
    assert Collection.find().root == root
    with pytest.raises(NotFoundError, match="is not a collection"):
        Collection.find(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2006.11239", ("2006.11239", None)),
        ("2006.11239v2", ("2006.11239", 2)),
        ("arXiv:2006.11239", ("2006.11239", None)),
        ("https://arxiv.org/abs/2006.11239v1", ("2006.11239", 1)),
        ("https://arxiv.org/pdf/2006.11239.pdf", ("2006.11239", None)),
        ("arxiv.org/html/2006.11239v2#S2", ("2006.11239", 2)),
        ("https://huggingface.co/papers/2006.11239", ("2006.11239", None)),
        ("https://doi.org/10.48550/arXiv.2006.11239", ("2006.11239", None)),
        ("hep-th/9901001", ("hep-th/9901001", None)),
        ("math.GT/0309136v1", ("math/0309136", 1)),
        ("math/0309136", ("math/0309136", None)),
        ("hep-th/1601.07616", None),
        ("2006.112", None),
        ("ddpm", None),
    ],
)
def test_arxiv_references(text, expected):
    assert arxiv_id(text) == expected


def test_doi_references_ignore_case_and_prefix():
    assert doi("https://doi.org/10.1162/NECO.2011") == doi("doi:10.1162/neco.2011") == "10.1162/neco.2011"
    assert doi("10.1162") is None
    assert lookup_keys("DDPM") == ["ddpm"]
    assert "ddpm" in lookup_keys("papers/ddpm.yaml")


def test_every_way_to_name_a_record(make, record):
    collection = make(
        record(
            "ddpm", title="Denoising  Models", arxiv="2006.11239", aliases=["DDPM", "Höhe"], former_ids=["old-ddpm"]
        ),
        record("twin-a", aliases=["Twin"]),
        record("twin-b", aliases=["twin"]),
        record("oldie", arxiv="math/0309136", doi="10.1162/NECO.2011"),
    )
    for reference in (
        "ddpm",
        "old-ddpm",
        "2006.11239v3",
        "https://arxiv.org/abs/2006.11239",
        "hohe",
        "denoising models",
    ):
        assert collection.resolve(reference) == "ddpm"
    assert collection.resolve("math.GT/0309136v1") == "oldie"
    assert collection.resolve("doi:10.1162/neco.2011") == "oldie"
    with pytest.raises(AmbiguousError, match="twin-a, twin-b") as ambiguous:
        collection.resolve("TWIN")
    assert (ambiguous.value.exit_code, ambiguous.value.nearest) == (3, ["twin-a", "twin-b"])
    with pytest.raises(NotFoundError) as unknown:
        collection.resolve("dpdm")
    assert unknown.value.exit_code == 3
    assert unknown.value.nearest[0] == "ddpm"
    assert len(unknown.value.nearest) <= 3


def test_an_id_wins_over_another_records_alias(make, record):
    collection = make(record("edm"), record("other", aliases=["EDM"]))
    assert collection.resolve("edm") == "edm"


def test_one_bad_file_breaks_only_itself(make, record):
    collection = make(
        record("a"), record("b"), broken="id: broken\ntitle: x: y\n", floaty="id: floaty\narxiv: 2006.11230\n"
    )
    assert set(collection.records()) == {"a", "b"}
    assert set(collection.entries()) == {"a", "b"}
    assert [invalid.id for invalid in collection.index().invalid()] == ["broken", "floaty"]
    with pytest.raises(InvalidRecordError, match=r"broken.yaml:2:9: a colon inside an unquoted value"):
        collection.resolve("broken")
    assert {problem.path.stem for problem in collection.read()[1]} == {"broken", "floaty"}


def test_the_model_is_strict_where_the_index_is_not(make, record):
    collection = make(record("a"), record("b", worth_reading=7))
    assert set(collection.records()) == {"a"}
    assert set(collection.entries()) == {"a", "b"}


def test_a_record_under_another_name_is_invalid(make, record):
    collection = make(record("a"))
    (collection.papers / "a.yaml").rename(collection.papers / "z.yaml")
    assert collection.records() == {}
    assert "id: a is not the name of the file" in collection.index().invalid()[0].problems


def test_the_index_sees_every_change_behind_its_back(make, record):
    collection = make(record("a", year=2020), record("b"))
    path = collection.papers / "a.yaml"
    assert collection.entries()["a"].year == 2020
    stat = path.stat()
    path.write_text(path.read_text().replace("2020", "2021"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    assert collection.entries()["a"].year == 2021, "same size, same modification time"
    for year in range(1990, 2010):
        path.write_text(path.read_text().replace(str(collection.entries()["a"].year), str(year)))
        assert collection.entries()["a"].year == year, "several edits within one tick of the clock"
    path.unlink()
    assert set(collection.entries()) == {"b"}


def test_a_file_that_had_just_changed_when_it_was_read_is_read_again(make, record):
    """A second edit within one tick of the clock leaves size and times as they are."""
    collection = make(record("a", year=2020))
    collection.index()
    card = "replace(card, '2020', '1999')"
    with sqlite3.connect(collection.root / ".kb" / "index.sqlite") as base:
        base.execute(f"update file set card = {card}, checked = ctime + 1000000000000")
    assert collection.entries()["a"].year == 1999, "a settled row is used as it is"
    with sqlite3.connect(collection.root / ".kb" / "index.sqlite") as base:
        base.execute("update file set checked = ctime + 1000")
    assert collection.entries()["a"].year == 2020


@pytest.mark.parametrize(
    "content", [b"", b"not a database at all, but long enough to be looked at" * 50, b"SQLite format 3\0"]
)
def test_a_broken_cache_is_rebuilt(make, record, content):
    collection = make(record("a"))
    cache = collection.root / ".kb" / "index.sqlite"
    collection.index()
    cache.write_bytes(content)
    assert set(collection.entries()) == {"a"}


def test_a_cache_of_another_version_is_rebuilt(make, record):
    collection = make(record("a"))
    cache = collection.root / ".kb" / "index.sqlite"
    collection.index()
    with sqlite3.connect(cache) as base:
        base.execute("update file set card = '[]'")
        base.execute("pragma user_version = 1")
    assert set(collection.entries()) == {"a"}


def test_listing_works_where_nothing_can_be_written(make, record):
    collection = make(record("a"))
    (collection.root / ".kb").write_text("a file where the cache's folder should be")
    assert set(collection.entries()) == {"a"}


def test_a_change_is_one_line_and_keeps_comments(make, record):
    collection = make(record("a"))
    path = collection.papers / "a.yaml"
    before = path.read_text().replace("status: unread", "status:   unread   # mine")
    path.write_text(before)
    [change] = collection.change(["a"], lambda data: {"status": "reading"}, dry_run=False)
    assert path.read_text() == before.replace("status:   unread", "status:   reading")
    assert change.diff(collection.root).count("\n+") == 2  # the heading and one line


def test_a_dry_run_writes_nothing(make, record):
    collection = make(record("a"))
    path = collection.papers / "a.yaml"
    before = path.read_bytes()
    [change] = collection.change(["a"], lambda data: {"status": "read"}, dry_run=True)
    assert path.read_bytes() == before
    assert "-status: unread\n+status: read\n" in change.diff(collection.root)


def test_a_change_that_the_model_refuses_writes_nothing(make, record):
    collection = make(record("a"), record("b"))
    before = [path.read_bytes() for path in collection.files()]
    with pytest.raises(InvalidRecordError, match="status"):
        collection.change(
            ["a", "b"], lambda data: {"status": "read" if data["id"] == "a" else "nonsense"}, dry_run=False
        )
    assert [path.read_bytes() for path in collection.files()] == before, "not even the first of the two"


def test_an_edit_made_meanwhile_is_a_conflict_and_survives(make, record):
    collection = make(record("a"))
    path = collection.papers / "a.yaml"
    stale = path.read_text()
    path.write_text(stale.replace("2020", "1999"))
    with pytest.raises(ConflictError, match="changed by somebody else") as conflict:
        collection.write([Change(path, stale, stale.replace("2020", "2024"))])
    assert conflict.value.exit_code == 6
    assert "1999" in path.read_text()
    assert leftovers(collection) == []


def test_a_result_that_cannot_be_read_again_is_never_put_in_place(make, record):
    collection = make(record("a"))
    path = collection.papers / "a.yaml"
    before = path.read_bytes()
    with pytest.raises(InvalidRecordError):
        replace_file(collection.root, path, "id: a\nid: a\n", expected=before)
    assert path.read_bytes() == before
    assert leftovers(collection) == []


def test_a_write_out_of_the_collection_is_refused(make, record, tmp_path):
    collection = make(record("a"))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.yaml").write_text("id: x\n")
    link = collection.papers / "link"
    link.symlink_to(outside)
    with pytest.raises(StorageError, match="leads out"):
        replace_file(collection.root, link / "x.yaml", "id: y\n", expected=b"id: x\n")
    (collection.papers / "b.yaml").symlink_to(outside / "x.yaml")
    with pytest.raises(StorageError, match="leads out"):
        replace_file(collection.root, collection.papers / "b.yaml", "id: y\n", expected=b"id: x\n")
    assert (outside / "x.yaml").read_text() == "id: x\n"


def test_a_full_disk_leaves_the_file_as_it_was(make, record, monkeypatch):
    collection = make(record("a"))
    path = collection.papers / "a.yaml"
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left") as error:
        collection.change(["a"], lambda data: {"status": "read"}, dry_run=False)
    assert error.value.exit_code == 6
    assert path.read_bytes() == before
    assert leftovers(collection) == []


def test_who_holds_the_lock_and_for_how_long_is_said(make, record):
    collection = make(record("a"))
    with locked(collection.root), pytest.raises(ConflictError, match=rf"process {os.getpid()} \(`kb.*`\) for \d+ s"):
        in_thread(lambda: locked(collection.root, timeout=0.05).__enter__())
    with locked(collection.root, timeout=0.05):
        pass


def test_the_lock_of_a_killed_process_is_free_and_its_leftovers_are_swept(make, record):
    collection = make(record("a"))
    leftover = collection.papers / ".a.yaml.1.kb-tmp"
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom kb_tools.records.writing import locked\n"
        "root = Path(sys.argv[1])\n"
        "with locked(root):\n"
        "    (root / 'papers' / '.a.yaml.1.kb-tmp').write_text('half')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(collection.root)], check=False)
    assert leftover.exists()
    assert set(collection.entries()) == {"a"}
    with locked(collection.root, timeout=1):
        assert not leftover.exists()


def leftovers(collection: Collection) -> list[Path]:
    return [path for path in collection.papers.rglob("*") if path.name.endswith(".kb-tmp")]


def in_thread(function) -> None:
    """Run in another thread, and raise here what it raised: a lock may be entered again by its own thread."""
    raised: list[BaseException] = []

    def body() -> None:
        try:
            function()
        except ConflictError as error:
            raised.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


def test_a_collection_named_by_a_relative_path_is_the_same(make, record, monkeypatch):
    collection = make(record("ddpm"))
    monkeypatch.chdir(collection.root)
    assert set(Collection(Path()).entries()) == set(Collection(Path("papers/..")).entries()) == {"ddpm"}
    monkeypatch.chdir(collection.papers)
    assert set(Collection(Path("..")).entries()) == {"ddpm"}


def test_a_record_that_is_gone_is_gone_from_every_listing(make, record):
    collection = make(record("a"), record("b", title="Rare words"))
    assert [entry.id for entry, _ in collection.index().search(["rare"])] == ["b"]
    (collection.papers / "b.yaml").unlink()
    index = collection.index()
    assert [found["id"] for found in index.records()] == ["a"]
    assert index.search(["rare"]) == []
    assert index.named(["b"]) == []
    with pytest.raises(KeyError):
        index.record("b")


def test_a_changed_record_is_kept_in_the_cache_on_disk(make, record):
    collection = make(record("a", title="Before"))
    collection.index()
    path = collection.papers / "a.yaml"
    path.write_text(path.read_text().replace("Before", "Afterwards"))
    collection.index()
    with sqlite3.connect(collection.root / ".kb" / "index.sqlite") as base:
        assert "Afterwards" in base.execute("select record from content where id = 'a'").fetchone()[0]
