"""What other sites show beside a link: the tags of a page, and the picture of a method."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image, ImageFont

from kb_tools.site.build import build
from kb_tools.site.cards import CARD, EDGE, PICTURE, cut, drawable, method_card
from kb_tools.site.pages import _rows

FONTS = Path(__file__).resolve().parents[2] / "site" / "assets" / "fonts"
GROUND = (246, 248, 248)


def png(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


def card(picture: Image.Image, shown: tuple[int, int] | None = None, **changes: Any) -> Image.Image:
    said = {"name": "DDPM", "said": "A paper", "site": "A site"} | changes
    data = method_card(**said, picture=png(picture), shown=shown, fonts=FONTS, cache=None)
    return Image.open(io.BytesIO(data))


def darkest(grey: Image.Image) -> int:
    return min(grey.tobytes())


def near(one: Any, other: tuple[int, int, int]) -> bool:
    return all(abs(a - b) <= 12 for a, b in zip(one, other, strict=True))


def test_a_picture_fills_its_box_without_blur() -> None:
    picture = Image.new("RGB", (2, 2), "red")
    picture.putpixel((1, 0), (0, 0, 255))
    made = card(picture)
    assert (made.format, made.size) == ("PNG", CARD)
    pixels = made.convert("RGB")
    top, half = CARD[1] - EDGE - PICTURE[1], PICTURE[1] // 2  # 2 x 2 becomes a square as high as the box
    assert near(pixels.getpixel((EDGE + 2, top + 2)), (255, 0, 0))
    assert near(pixels.getpixel((EDGE + half - 2, top + half - 2)), (255, 0, 0))
    assert near(pixels.getpixel((EDGE + half + 2, top + half - 2)), (0, 0, 255))
    assert near(pixels.getpixel((EDGE + PICTURE[1] + 3, top + half)), GROUND)
    assert near(pixels.getpixel((EDGE + 2, CARD[1] - EDGE + 2)), GROUND)


def test_a_part_of_a_picture_and_what_is_clear_in_it() -> None:
    picture = Image.new("RGBA", (20, 20), "red")
    picture.paste((0, 0, 0, 0), (10, 0, 20, 20))
    pixels = card(picture, shown=(20, 5)).convert("RGB")
    height = PICTURE[0] // 4  # 20 x 5 fills the width
    top = CARD[1] - EDGE - (PICTURE[1] + height) // 2
    assert near(pixels.getpixel((EDGE + 5, top + 5)), (255, 0, 0))
    assert near(pixels.getpixel((EDGE + PICTURE[0] // 2 - 5, top + height - 5)), (255, 0, 0))
    assert near(pixels.getpixel((EDGE + PICTURE[0] // 2 + 5, top + 5)), GROUND)
    assert near(pixels.getpixel((EDGE + 5, top + height + 5)), GROUND)


def test_the_name_is_written_and_stays_on_the_card() -> None:
    plain = Image.new("RGB", (2, 2), "white")
    for name in ("DDPM", "A name of very many words that no card of any size could ever hold in one single line " * 2):
        with_it, without = (card(plain, name=n).convert("L") for n in (name, ""))
        rows = [with_it.crop((0, 90, CARD[0], 180)), without.crop((0, 90, CARD[0], 180))]
        assert darkest(rows[0]) < 60
        assert darkest(rows[1]) > 200
        assert darkest(with_it.crop((CARD[0] - EDGE + 2, 0, *CARD))) > 200


def test_it_is_kept_by_what_it_is_made_of(tmp_path: Path) -> None:
    one, other = (png(Image.new("RGB", (2, 2), colour)) for colour in ("red", "blue"))

    def made(name: str, picture: bytes, shown: tuple[int, int] | None = None) -> bytes:
        return method_card(name, "A paper", "A site", picture, shown, FONTS, tmp_path)

    first = made("A", one)
    (kept,) = tmp_path.iterdir()
    assert kept.read_bytes() == first
    kept.write_bytes(b"kept")
    assert made("A", one) == b"kept"
    assert made("B", one) != b"kept"
    assert made("A", other) != b"kept"
    assert made("A", one, (1, 2)) != b"kept"
    assert len(list(tmp_path.iterdir())) == 4


def test_letters_that_the_font_has_not() -> None:
    font = ImageFont.truetype(FONTS / "inter-latin.woff2", 30)
    assert drawable("Évariste  Ǹ α–β x²", font) == "Évariste N – x²"
    assert cut("short", font, 1000) == "short"
    assert cut("wide words here", font, font.getlength("wide words…")) == "wide words…"
    assert cut("wide", font, 0) == "…"


@pytest.mark.parametrize(
    ("size", "grid", "expected"),
    [
        (
            (298, 178),
            (10, 6),
            (298, 88),
        ),  # 28 pixels and a gap of 2: three rows are 88, of at most 298 * 330 / 1080 = 91
        ((298, 58), (10, 2), (298, 58)),
        ((58, 178), (2, 6), (58, 28)),  # not even one row is as flat
    ],
)
def test_whole_rows_of_a_showcase(size: tuple[int, int], grid: tuple[int, int], expected: tuple[int, int]) -> None:
    showcase: Any = SimpleNamespace(columns=grid[0], rows=grid[1])
    picture: Any = SimpleNamespace(width=size[0], height=size[1])
    assert _rows(showcase, picture) == expected


def tags(html: str) -> dict[str, str]:
    return dict(re.findall(r'<meta (?:property|name)="?((?:og|twitter):[\w:]+)"? content="?([^">]*)"?', html))


def test_the_tags_of_pages(write: Callable, monkeypatch: pytest.MonkeyPatch, a_record: Callable) -> None:
    monkeypatch.setenv("KB_SITE_URL", "https://example.org/kb/")
    ring = a_record("ring", aliases=["RING"], implementation="ring", arxiv="2001.00001")
    collection = write([a_record("plain"), ring])
    site = build(collection, collection.root / "build").site
    home, plain, paper, code = (
        tags((site / name / "index.html").read_text(encoding="utf-8"))
        for name in ("", "papers/plain", "papers/ring", "code/ring")
    )
    assert (home["og:title"], home["og:type"], home["og:site_name"]) == (
        "Diffusion, read and run", "website", "Diffusion, read and run",
    )  # fmt: skip
    assert home["og:image"] == plain["og:image"] == "https://example.org/kb/assets/img/card.png"
    assert (plain["og:title"], plain["og:type"]) == ("The paper called plain", "article")
    assert paper["og:image"] == code["og:image"] == "https://example.org/kb/cards/ring.png"
    assert code["og:type"] == "website"
    assert paper["og:image:alt"].startswith("A ring")
    for found in (home, plain, paper, code):
        assert (found["og:image:width"], found["og:image:height"]) == ("1200", "630")
        assert found["twitter:card"] == "summary_large_image"
        with Image.open(site / found["og:image"].removeprefix("https://example.org/kb/")) as image:
            assert (image.size, image.format) == ((1200, 630), "PNG")
