"""Showcases stand first: on the page of a paper, in the gallery and at home, with their words in HTML."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from implementations.verification.evidence import showcases
from kb_tools.site.build import build
from tests.site.conftest import SPITE, TOPICS, showcase, write_collection
from tests.site.test_build import Page

FACTS = "mnist · 2.5 min of training on the network of ddpm, 25 min on 1 core · 1,234 parameters"


def put_showcase(root: Path, **changes: Any) -> None:
    """Of the method ring: two pictures of two rows of three images, 4 x 4 pixels each."""
    folder = showcases.folder_of(root)
    pictures = []
    for name in ("ring.showcase.webp", "ring.showcase-2.webp"):
        Image.new("RGBA", (16, 10), "teal").save(folder / name, lossless=True)
        pictures.append({
            "file": name, "alt": "Rings " + SPITE, "caption": "Six rings " + SPITE, "columns": 3, "rows": 2,
            "width": 16, "height": 10,
        })  # fmt: skip
    networks = [
        {"network": "showcase-ring", "of": "ring", "minutes": 2.5, "steps": 9, "batch": 8, "parameters": 1000},
        {"network": "showcase-ddpm", "of": "ddpm", "minutes": 25.0, "steps": 9, "batch": 8, "parameters": 234},
    ]
    entry = {
        "method": "ring", "recorded": "2026-11-27", "code": "sha256:0", "versions": {"torch": "2.13.0"},
        "device": "cpu", "threads": 1, "data": "mnist", "seed": 0, "minutes": 2.5, "base_minutes": 25.0,
        "parameters": 1234, "network_evaluations": 50, "networks": networks, "pictures": pictures,
    }  # fmt: skip
    (folder / f"ring{showcases.SUFFIX}").write_text(showcases.dump(entry | changes))


def put_run(root: Path, colour: str) -> None:
    """The last run of ring on this machine; teal is the recorded picture again."""
    folder = root / "build" / "runs" / "ring"
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 32), colour).save(folder / "ring.webp")
    figures = [{"file": "ring.webp", "alt": "A ring " + SPITE, "width": 64, "height": 32}]
    run = {"data": "digits", "seed": 0, "figures": figures}
    (folder / "ring.json").write_text(json.dumps(run))


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the built site."""
    root = tmp_path_factory.mktemp("showcases")
    collection = write_collection(root, showcase(), TOPICS)
    put_showcase(root)
    put_run(root, "olive")
    yield build(collection, root / "build", strict=False).site


def html(site: Path, page: str) -> str:
    return (site / page / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["papers/ring", "gallery"])
def test_the_showcase_stands_first_then_the_proofs_picture_then_the_last_run(shown: Path, page: str) -> None:
    text = html(shown, page)
    places = [text.index(f"samples/{name}") for name in ("ring.showcase.webp", "ring.showcase-2.webp", "ring.webp")]
    places.append(text.index("samples/run-ring.webp"))
    assert places == sorted(places)
    assert text.rindex("<details", 0, places[-1]) > places[2], "what this machine did last is folded"
    found = Page(text)
    assert FACTS in found.text and "50 network evaluations per sample" in found.text
    assert "made by earlier code" in found.text
    assert "Six rings " + SPITE in found.text
    for name in ("ring.showcase.webp", "ring.showcase-2.webp", "ring.webp", "run-ring.webp"):
        assert (shown / "samples" / name).is_file()


def test_home_shows_whole_images_of_a_showcase(shown: Path) -> None:
    text = html(shown, ".")
    assert '<span class="window" style="--w:16;--h:10;--of:100.0%">' in text
    assert "samples/ring.showcase.webp" in text and "samples/ring.webp" not in text


def test_a_last_run_that_was_the_recorded_one_is_not_shown_again(tmp_path: Path) -> None:
    collection = write_collection(tmp_path, showcase(), TOPICS)
    put_run(tmp_path, "teal")
    site = build(collection, tmp_path / "build", strict=False).site
    assert "run-ring.webp" not in html(site, "papers/ring") + html(site, "gallery")
    assert "samples/ring.webp" in html(site, "papers/ring")


def test_a_broken_showcase_is_a_problem_and_the_rest_is_shown(tmp_path: Path) -> None:
    collection = write_collection(tmp_path, showcase(), TOPICS)
    put_showcase(tmp_path, pictures=[])
    report = build(collection, tmp_path / "build", strict=False)
    assert any("ring: its showcase cannot be shown" in problem for problem in report.problems)
    assert "samples/ring.webp" in html(report.site, "papers/ring")
