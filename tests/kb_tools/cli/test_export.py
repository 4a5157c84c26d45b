"""kb export: the right records, in the right place, whatever else the collection holds."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def shelf(make, record):
    return make(
        record("ddpm", title="Same words", authors=["Jonathan Ho"], arxiv="2006.11239", status="read"),
        record("later", title="Same things", authors=["Jonathan Ho"], year=2020, topics=["speed"]),
        record("post", kind="blog", title="On it", links={"home": "https://example.org/x"}),
    )


@pytest.mark.parametrize("form", ["bibtex", "csl-json", "ris", "csv", "json", "markdown"])
def test_every_format_names_every_record(kb, shelf, form):
    outcome = kb(shelf, "export", "--format", form)
    assert (outcome.code, outcome.err) == (0, "")
    for title in ("Same words", "Same things", "On it"):
        assert title in outcome.out


def test_what_is_named_or_let_through_is_exported_under_the_key_it_always_has(kb, shelf):
    assert "@misc{ho2020samethings," in kb(shelf, "export", "later").out
    assert "@misc{ho2020same," not in kb(shelf, "export", "--topic", "speed").out
    assert [one["id"] for one in json.loads(kb(shelf, "export", "--kind", "blog", "--format", "json").out)["data"]] == [
        "post"
    ]
    assert kb(shelf, "export", "no-such-record").code == 3
    assert kb(shelf, "export", "--topic", "sped").code == 2


def test_a_file_is_written_whole_or_not_at_all(kb, shelf, tmp_path):
    file = tmp_path / "refs.bib"
    dry = kb(shelf, "export", "-o", str(file), "--dry-run")
    assert "+@misc{ho2020same," in dry.out
    assert not file.exists()
    assert "3 records" in kb(shelf, "export", "-o", str(file)).err
    assert file.read_text().count("@misc{") == 3
    assert kb(shelf, "export", "-o", str(tmp_path / "none" / "refs.bib")).code == 3
    assert [path.name for path in tmp_path.glob("*.bib*")] == ["refs.bib"]


def test_a_bad_record_is_left_out_and_named(kb, shelf):
    (shelf.papers / "bad.yaml").write_text("id: bad\ntitle: x: y\n")
    outcome = kb(shelf, "export", "--format", "json")
    assert outcome.code == 5
    assert len(json.loads(outcome.out)["data"]) == 3
    assert "bad.yaml:2:9" in outcome.err


def test_a_markdown_list_has_boxes_years_and_topics(kb, shelf):
    lines = kb(shelf, "export", "--format", "markdown", "--title", "Mine").out.splitlines()
    assert lines[0] == "# Mine"
    assert lines.index("### Basics") < lines.index("- [x] [Same words](https://arxiv.org/abs/2006.11239)  ")
    assert lines.index("### Speed") < lines.index('- [ ] "Same things"  ') < lines.index("### Blogs")
    assert lines.count("#### 2020") == 3


@pytest.mark.parametrize(
    ("short", "name"), [("bib", "bibtex"), ("csl", "csl-json"), ("md", "markdown"), ("MD", "markdown"), ("Ris", "ris")]
)
def test_a_format_may_be_called_as_people_call_it(kb, shelf, short, name):
    called = kb(shelf, "export", "--format", short)
    assert (called.code, called.out) == (0, kb(shelf, "export", "--format", name).out)


def test_a_format_that_nobody_knows_is_refused_and_help_names_those_that_there_are(kb, shelf):
    assert kb(shelf, "export", "--format", "docx").code == 2
    for command in ("export", "import"):
        said = " ".join(kb(shelf, command, "--help").out.split())
        assert "bibtex or bib, csl-json or csl, ris, csv, json, markdown or md" in said


@pytest.mark.parametrize(
    ("file", "begins"),
    [("x.bib", "@misc{"), ("x.csv", "id,kind,"), ("x.md", "# Reading list"), ("x.ris", "TY  - "), ("x", "@misc{")],
)
def test_the_name_of_a_file_says_what_to_write(kb, shelf, tmp_path, file, begins):
    assert kb(shelf, "export", "-o", str(tmp_path / file)).code == 0
    assert (tmp_path / file).read_text().startswith(begins)
    assert kb(shelf, "export", "-o", str(tmp_path / file), "--format", "json").code == 0
    assert json.loads((tmp_path / file).read_text())["schema_version"] == 1
