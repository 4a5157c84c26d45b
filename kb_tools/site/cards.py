"""What other sites show beside a link to a method: its name, and what its code draws."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from kb_tools.site.art import CARD
from kb_tools.site.writing import write_if_changed

EDGE, PICTURE = 60, 510  # pixels around, and the side of the square that the picture is fitted into
TEXT = CARD[0] - PICTURE - 3 * EDGE
SIZES = (76, 60, 46, 34)  # of the name: the first in which it fits
LAYOUT = "1"  # changes with how a card looks, so that kept ones are made again


def method_card(name: str, said: str, site: str, picture: bytes, cache: Path | None = None) -> bytes:
    """A card of 1200 x 630 as PNG: name, what is said of it and the site's name beside the picture, enlarged.

    cache: folder that cards are kept in by what they were made from.
    """
    made_of = hashlib.sha256("\0".join((LAYOUT, name, said, site, "")).encode() + picture).hexdigest()[:32]
    kept = cache / f"{made_of}.png" if cache else None
    if kept and kept.is_file():
        return kept.read_bytes()
    data = _draw(name, said, site, picture)
    if kept:
        write_if_changed(kept, data)
    return data


def _draw(name: str, said: str, site: str, picture: bytes) -> bytes:
    from PIL import Image, ImageDraw, ImageFont

    card = Image.new("RGB", CARD, "#f6f8f8")
    draw = ImageDraw.Draw(card)
    with Image.open(io.BytesIO(picture)) as source:
        shown = source.convert("RGBA")
    scale = min(PICTURE / shown.width, PICTURE / shown.height)
    whole = max(int(scale), 1) if scale >= 1 else scale
    method = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS
    shown = shown.resize((max(round(shown.width * whole), 1), max(round(shown.height * whole), 1)), method)
    left, top = CARD[0] - EDGE - (PICTURE + shown.width) // 2, (CARD[1] - shown.height) // 2
    card.paste(Image.new("RGB", shown.size, "#ffffff"), (left, top))
    card.paste(shown, (left, top), shown)
    size, lines = next(
        ((n, lines) for n in SIZES if len(lines := _wrapped(name, n)) <= 3), (SIZES[-1], _wrapped(name, SIZES[-1])[:4])
    )
    y = 2 * EDGE
    for line in lines:
        draw.text((EDGE, y), line, font=ImageFont.load_default(size), fill="#17212b")
        y += size * 5 // 4
    y += 18
    for line in _wrapped(said, 28)[:5]:
        draw.text((EDGE, y), line, font=ImageFont.load_default(28), fill="#4a5663")
        y += 38
    draw.text((EDGE, CARD[1] - EDGE - 28), site, font=ImageFont.load_default(26), fill="#0b6b63")
    data = io.BytesIO()
    card.quantize(128, dither=Image.Dither.NONE).save(data, "PNG")
    return data.getvalue()


def _wrapped(words: str, size: int) -> list[str]:
    """Lines of at most TEXT pixels; a word that is longer is cut."""
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    lines: list[str] = []
    for word in words.split():
        while font.getlength(word) > TEXT:
            word = word[:-2] + "…"
        if lines and font.getlength(f"{lines[-1]} {word}") <= TEXT:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
