"""What other sites show beside a link to a method: its name, and what its code draws."""

from __future__ import annotations

import hashlib
import io
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kb_tools.site.art import CARD
from kb_tools.site.writing import write_if_changed

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

EDGE = 60  # pixels around
WIDTH = CARD[0] - 2 * EDGE
PICTURE = (WIDTH, 330)  # the box at the foot that the picture is fitted into
NAME_SIZES = (84, 68, 56, 44, 36)  # of letters: the first that fits, else cut
SAID_SIZE, SITE_SIZE = 30, 26
GROUND, INK, SOFT_INK, ACCENT = "#f6f8f8", "#17212b", "#4a5663", "#0b6b63"
COLOURS = 96
LAYOUT = 1  # changes with how a card looks, so that kept ones are made again


def method_card(
    name: str, said: str, site: str, picture: bytes, shown: tuple[int, int] | None, fonts: Path, cache: Path | None
) -> bytes:
    """A card of 1200 x 630 as PNG: the site's name, the method's, a line under it, and the picture, enlarged.

    picture: an image file.  shown: width and height of what is shown of it, from its upper left corner; all without.
    fonts: folder of the site's fonts.  cache: folder that cards are kept in by what they were made from, if any.
    Errors: OSError when the picture cannot be read.
    """
    made_of = "\0".join((f"{LAYOUT} {shown}", name, said, site, hashlib.sha256(picture).hexdigest()))
    kept = cache / f"{hashlib.sha256(made_of.encode()).hexdigest()[:32]}.png" if cache else None
    if kept and kept.is_file():
        return kept.read_bytes()
    data = _draw(name, said, site, _fitted(picture, shown), fonts)
    if kept:
        write_if_changed(kept, data)
    return data


def _fitted(picture: bytes, shown: tuple[int, int] | None) -> Image:
    """The picture as large as its box allows; pixels that become larger keep their edges."""
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as source:
        image = source.convert("RGBA").crop((0, 0, *(shown or source.size)))
    scale = min(PICTURE[0] / image.width, PICTURE[1] / image.height)
    size = max(round(scale * image.width), 1), max(round(scale * image.height), 1)
    if scale > 1:
        times = int(scale) + 1
        image = image.resize((times * image.width, times * image.height), Image.Resampling.NEAREST)
    return image.resize(size, Image.Resampling.BOX if scale > 1 else Image.Resampling.LANCZOS)


def _draw(name: str, said: str, site: str, picture: Image, fonts: Path) -> bytes:
    from PIL import Image, ImageDraw

    card = Image.new("RGB", CARD, GROUND)
    card.paste(picture, (EDGE, CARD[1] - EDGE - (PICTURE[1] + picture.height) // 2), picture)
    draw = ImageDraw.Draw(card)
    serif, sans = fonts / "newsreader-latin-500.woff2", fonts / "inter-latin.woff2"
    sizes = (_font(serif, size) for size in NAME_SIZES)
    large = next((font for font in sizes if font.getlength(name) <= WIDTH), _font(serif, NAME_SIZES[-1]))
    for words, font, middle, ink in (
        (site, _font(sans, SITE_SIZE), 54, ACCENT),
        (name, large, 136, INK),
        (said, _font(sans, SAID_SIZE), 205, SOFT_INK),
    ):
        draw.text((EDGE, middle), cut(drawable(words, font), font, WIDTH), font=font, fill=ink, anchor="lm")
    data = io.BytesIO()
    card.quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(data, "PNG")
    return data.getvalue()


def _font(path: Path, size: int) -> FreeTypeFont:
    """A font of the site's; Pillow's own where it cannot read that."""
    from PIL import ImageFont

    try:
        return ImageFont.truetype(path, size)
    except OSError:
        font = ImageFont.load_default(size)
        assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
        return font


def drawable(words: str, font: FreeTypeFont) -> str:
    """The words in letters that the font has: others lose their accents, or go."""
    mask: Any = font.getmask  # typed without the buffer that it is
    absent = bytes(mask("\uffff"))

    def there(letter: str) -> bool:
        return letter.isspace() or bytes(mask(letter)) != absent

    kept = []
    for letter in unicodedata.normalize("NFC", words):
        kept += [letter] if there(letter) else [n for n in unicodedata.normalize("NFKD", letter) if there(n)]
    return " ".join("".join(kept).split())


def cut(words: str, font: FreeTypeFont, width: float) -> str:
    """As much of the words as is at most `width` pixels wide, with an ellipsis where some are missing."""
    if font.getlength(words) <= width:
        return words
    while words and font.getlength(f"{words}…") > width:
        words = words[:-1].rstrip()
    return f"{words}…"
