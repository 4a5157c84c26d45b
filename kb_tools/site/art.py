"""A swiss roll under the forward process, drawn from its exact law: on the first page, and on the card for links."""

from __future__ import annotations

import io
import math
import random
from functools import cache

STEPS = (0.0, 0.04, 0.12, 0.3, 0.6, 1.0)
COLOURS = ("#0f766e", "#2a9d8f", "#7aa95c", "#d9a441", "#d9753b", "#c2446e")
POINTS = 168
WIDTH, HEIGHT, PANEL, RADIUS = 720, 250, 118, 2.1


CARD = (1200, 630)


def _points() -> list[tuple[int, float, float, str]]:
    """Panel, x, y and colour of every dot.

    x_t = sqrt(1 - s) x_0 + sqrt(s) eps for six values of s; colour follows the place on the roll at s = 0.
    """
    rng = random.Random(2015)
    roll = []
    for n in range(POINTS):
        u = (n + 0.5) / POINTS
        angle = 1.2 * math.pi + 3.1 * math.pi * math.sqrt(u)
        roll.append((angle / 13 * math.cos(angle), angle / 13 * math.sin(angle), rng.gauss(0, 1), rng.gauss(0, 1)))
    found = []
    for panel, s in enumerate(STEPS):
        keep, add = math.sqrt(1 - s), math.sqrt(s)
        for n, (x, y, ex, ey) in enumerate(roll):
            colour = COLOURS[n * len(COLOURS) // POINTS]
            found.append((panel, keep * x + 0.6 * add * ex, keep * y + 0.6 * add * ey, colour))
    return found


def diffusion_svg() -> str:
    paths: dict[str, list[str]] = {colour: [] for colour in COLOURS}
    for panel, x, y, colour in _points():
        paths[colour].append(f"M{PANEL * (panel + 0.52) + 47 * x:.0f} {HEIGHT / 2 + 84 * y:.0f}h0")
    lines = "".join(f'<path stroke="{c}" d="{"".join(d)}"/>' for c, d in paths.items())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f'<g fill="none" stroke-linecap="round" stroke-width="{2 * RADIUS}" opacity=".92">{lines}</g></svg>\n'
    )


@cache
def card_png(papers: int, methods: int) -> bytes:
    """The picture that other sites show beside a link: 1200 x 630, as PNG."""
    from PIL import Image, ImageDraw, ImageFont

    twice = Image.new("RGB", (2 * CARD[0], 2 * CARD[1]), "#f6f8f8")
    draw = ImageDraw.Draw(twice)
    for panel, x, y, colour in _points():
        cx, cy = 400 * (panel + 0.5) + 160 * x, 480 + 280 * y
        draw.ellipse((cx - 8, cy - 8, cx + 8, cy + 8), fill=colour)
    lines = [("Diffusion models, read and run", 118, 830, "#17212b")]
    said = f"{papers} papers in reading order" + (f", {methods} of them as code" if methods else "")
    lines.append((said, 62, 1010, "#4a5663"))
    for words, size, top, colour in lines:
        draw.text((120, top), words, font=ImageFont.load_default(size), fill=colour)
    data = io.BytesIO()
    card = twice.resize(CARD, Image.Resampling.LANCZOS).quantize(64, dither=Image.Dither.NONE)
    card.save(data, "PNG", optimize=True)
    return data.getvalue()
