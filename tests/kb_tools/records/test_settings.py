"""kb.yaml: what it may say, and each fault with its place and its remedy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kb_tools.appearance.colours import TEXT, contrast
from kb_tools.errors import InvalidRecordError
from kb_tools.records.settings import BEHIND, read_settings, settings_document

ROOT = Path(__file__).resolve().parents[3]


def test_a_collection_without_the_file_is_none_of_ones_own(tmp_path: Path) -> None:
    assert read_settings(tmp_path) is None
    assert settings_document(tmp_path).problems == []


def test_all_that_it_may_say(tmp_path: Path) -> None:
    (tmp_path / "kb.yaml").write_text(
        'title: "Mine"\ndescription: "What I read."\nsite_url: "https://example.org/a/"\n'
        'repository: "https://example.org/a.git"\ncolours: {light: "#7A1FA2", dark: "#E0B0FF"}\n'
    )
    settings = read_settings(tmp_path)
    assert settings is not None
    assert settings.model_dump() == {
        "title": "Mine",
        "description": "What I read.",
        "site_url": "https://example.org/a/",
        "repository": "https://example.org/a.git",
        "colours": {"light": "#7A1FA2", "dark": "#E0B0FF"},
    }


@pytest.mark.parametrize(
    ("text", "place", "says", "fix"),
    [
        ("titel: Mine\ntitle: Mine\n", "1:1", "titel: unknown key", "did you mean title?"),
        ("description: Mine\n", "0:0", "title: is missing", "add `title: ...`"),
        ("title: 2024\n", "1:1", "title: must be text", "double quotes"),
        ("title: Mine\nsite_url: example.org\n", "2:1", "is not a web address", "https://"),
        ("title: Mine\nrepository: git@example.org\n", "2:1", "is not a web address", "https://"),
        ('title: Mine\ncolours: {drak: "#000000"}\n', "2:11", "colours.drak: unknown key", "did you mean dark?"),
        ('title: Mine\ncolours:\n  light: "green"\n', "3:3", "'green' is not a colour", '"#0b6b63"'),
        ("title: Mine\ncolours:\n  light: #0b6b63\n", "3:3", "colours.light: is empty", "# begins a comment"),
        ('title: Mine\ncolours:\n  light: "#8a8a8a"\n', "3:3", "has a contrast of", "take a darker one"),
        ('title: Mine\ncolours:\n  dark: "#0b6b63"\n', "3:3", "has a contrast of", "take a lighter one"),
    ],
)
def test_each_fault_has_its_place_and_its_remedy(tmp_path: Path, text: str, place: str, says: str, fix: str) -> None:
    (tmp_path / "kb.yaml").write_text(text)
    with pytest.raises(InvalidRecordError) as caught:
        read_settings(tmp_path)
    (problem,) = settings_document(tmp_path).problems
    assert f"{problem.line}:{problem.column}" == place
    assert says in problem.message
    assert fix in (problem.fix or "")
    assert says in caught.value.message


def test_a_contrast_that_just_fails_is_not_called_enough_and_the_colour_proposed_can_be_read(tmp_path: Path) -> None:
    # Luminances by hand: #edf1f1 0.87266, #6d6d6d 0.15293, #6e6e6e 0.15592.
    # So 0.92266 / 0.20293 = 4.547, and 0.92266 / 0.20592 = 4.481.
    (tmp_path / "kb.yaml").write_text('title: Mine\ncolours: {light: "#6d6d6d"}\n')
    assert read_settings(tmp_path) is not None
    (tmp_path / "kb.yaml").write_text('title: Mine\ncolours: {light: "#6e6e6e"}\n')
    (problem,) = settings_document(tmp_path).problems
    assert "#6e6e6e has a contrast of 4.48 to #edf1f1 behind it; text needs 4.5" in problem.message
    proposed = re.findall(r"#[0-9a-f]{6}", problem.fix or "")
    assert len(proposed) == 1
    assert all(contrast(proposed[0], one) >= TEXT for one in BEHIND["light"])


@pytest.mark.parametrize(("scheme", "start"), [("light", ":root"), ("dark", '[data-md-color-scheme="slate"]')])
def test_the_backgrounds_are_those_of_the_style_sheet(scheme: str, start: str) -> None:
    css = (ROOT / "site" / "assets" / "css" / "kb.css").read_text(encoding="utf-8")
    rule = css[css.index(f"\n{start}") :]
    named = dict(re.findall(r"--(paper|card|sunk): (#[0-9a-f]{6});", rule[: rule.index("}")]))
    assert [named["paper"], named["card"], named["sunk"]] == BEHIND[scheme]
