"""kb init: a collection that every command works on."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

from kb_tools.check import check
from kb_tools.records.settings import read_settings
from kb_tools.records.store import Collection

ROOT = Path(__file__).resolve().parents[3]


def test_a_new_collection_is_whole(kb, make, tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    anywhere = make()
    outcome = kb(anywhere, "init", str(folder), "--name", 'What "I" read: 1')
    assert (outcome.code, outcome.out) == (0, f"{folder}\n")
    monkeypatch.chdir(folder / "papers" / "resources")
    mine = Collection.find()
    assert mine.root == folder
    seed = ROOT / "tests" / "papers" / "seeds" / "002.txt"
    assert kb(mine, "import", str(seed)).code == 0
    assert kb(mine, "list", "--json").code == 0
    assert kb(mine, "fmt", "--check").code == 0
    assert "awesome" in kb(mine, "search", "awesome").out
    assert kb(mine, "next").code == 0
    settings = read_settings(folder)
    assert settings and settings.title == 'What "I" read: 1'


def test_without_a_folder_it_is_the_one_here_and_what_is_written_has_no_fault(kb, make, tmp_path, monkeypatch):
    other = make()
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    outcome = kb(other, "init")
    assert outcome.code == 0
    assert outcome.err.splitlines()[0] == "kb: next, `kb add` a paper by its arXiv id, or `kb import` a list"
    assert {path.name for path in Path().iterdir()} == {".gitignore", "kb.yaml", "papers"}
    mine = Collection.find()
    assert kb(mine, "check").code == 0
    assert kb(mine, "fmt", "--check").code == 0


def test_what_its_files_propose_can_be_taken_by_taking_the_signs_of_comments_away(kb, make, tmp_path):
    """What stands behind `# name:` and is no sentence is YAML that has no fault."""
    assert kb(make(), "init", str(tmp_path / "mine")).code == 0
    mine = Collection(tmp_path / "mine")
    for path, start in ((mine.root / "kb.yaml", r"[a-z_]+: [\"{]"), (mine.papers / "topics.yaml", "(protein|  )")):
        text = path.read_text(encoding="utf-8")
        taken = re.sub(rf"^# (?={start})", "", text, flags=re.MULTILINE)
        assert taken != text
        path.write_text(taken, encoding="utf-8")
    assert [problem for problem in check(mine) if problem.code != "layout"] == []
    settings = read_settings(mine.root)
    assert settings and settings.site_url and settings.repository and settings.colours.dark == "#5cd0bf"
    assert list(mine.topics()) == ["protein-folding", "inbox"]


def test_its_site_builds(kb, make, tmp_path):
    folder = tmp_path / "mine"
    assert kb(make(), "init", str(folder)).code == 0
    mine = Collection(folder)
    assert kb(mine, "import", str(ROOT / "tests" / "papers" / "seeds" / "001.txt")).code == 0
    outcome = kb(mine, "build")
    assert outcome.code == 0, outcome.err
    page = (folder / "build" / "site" / "papers" / "ho-2020-denoising" / "index.html").read_text()
    assert "Denoising Diffusion Probabilistic Models" in page


def test_what_is_there_is_not_overwritten(kb, make, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / ".gitignore").write_text("mine\n")
    assert kb(make(), "init", str(folder)).code == 0
    assert (folder / ".gitignore").read_text() == "mine\n"
    again = kb(make(), "init", str(folder))
    assert again.code == 6
    assert "has a folder papers/ already" in again.err


def test_a_dry_run_shows_the_files_and_writes_none(kb, make, tmp_path):
    shelf = make()
    target = tmp_path / "new"
    outcome = kb(shelf, "init", str(target), "--name", "Mine", "--dry-run")
    assert outcome.code == 0
    for line in ("+++ b/papers/topics.yaml", "+++ b/kb.yaml", '+title: "Mine"'):
        assert line in outcome.out.splitlines()
    assert not target.exists()


@pytest.mark.parametrize("at", ["kb.yaml", "topics.yaml"])
def test_a_full_disk_leaves_nothing_half_made(at, tmp_path, monkeypatch, capfd):
    from kb_tools.cli import main

    def full(path, *_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    def write(path, text, **options):
        return full(path) if path.name == at else real(path, text, **options)

    real = Path.write_text
    monkeypatch.setattr(Path, "write_text", write)
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["init", str(tmp_path)]) == 6
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert "cannot be filled: No space left on device" in capfd.readouterr().err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_nothing_is_one_line_and_no_traceback(number, tmp_path, monkeypatch, capfd):
    from kb_tools.cli import main
    from kb_tools.records.store import Collection

    def refuse(*_, **__):
        raise OSError(number, "no", "papers/x.yaml")

    assert main(["init", str(tmp_path / "new")]) == 0
    file = tmp_path / "refs.bib"
    file.write_text("@misc{a, title={Fine}}")
    monkeypatch.setattr(Collection, "write", refuse)
    assert main(["-C", str(tmp_path / "new"), "import", str(file)]) == 6
    assert "papers/x.yaml: cannot be read or written: no" in capfd.readouterr().err
