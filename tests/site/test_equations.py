"""Every piece of mathematics of every record, drawn by two engines and compared: one page and one picture in each.

Both have the site's font.  Engines put their spaces otherwise, so no picture is laid over another: of each letter,
sign, root, fraction and script it is compared how much ink there is within its box.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kb_tools.site.maths import mathml
from tests.site.test_typeset import FONT, collected

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EM = 24  # pixels
SMALL = 6.0  # pixels of ink, added to all, below which a difference says little
MOST, MOST_NESTED = 0.4, 0.65  # of the greater ink; what stands small in fractions and in roots is set at two sizes
# Each node with its ink's box; not `math`, whose box is the line's in one engine and the ink's in the other.
BOXES = """[...document.querySelectorAll('p')].flatMap((piece) =>
  [...piece.querySelectorAll('math *:not(mspace, mtr, mtd)')].map((one) => {
    const box = one.getBoundingClientRect();
    const nested = !!one.closest('mfrac mfrac, msqrt mfrac, mfrac msub *, math:not([display]) mfrac');
    return [piece.title, `${one.localName} ${one.children.length ? '' : one.textContent}`, nested,
            box.left + scrollX, box.top + scrollY, box.right + scrollX, box.bottom + scrollY];
  }))"""
BROKEN: Mapping[
    str, tuple[str, str]
] = {  # what must be seen: in one engine the first is drawn, in the other the second
    "a bar is small": (
        '<mrow><mo minsize="2em">|</mo><mi>a</mi><mo minsize="2em">|</mo></mrow>',
        '<mrow><mo minsize="2em">|</mo><mi>a</mi><mo stretchy="false">|</mo></mrow>',
    ),
    "a root has no bar": ("<msqrt><mi>a</mi><mi>b</mi></msqrt>", "<mrow><mi>a</mi><mi>b</mi></mrow>"),
    "an index is a factor": ("<msub><mi>x</mi><mi>t</mi></msub>", "<mrow><mi>x</mi><mi>t</mi></mrow>"),
    "a letter of a fraction is small": (
        "<mfrac><mi>a</mi><mrow><mi>b</mi></mrow></mfrac>",
        '<mrow><mi mathsize="50%">a</mi><mrow><mi>b</mi></mrow></mrow>',
    ),
    "a hat is lost": ("<mover><mi>x</mi><mo>ˆ</mo></mover>", "<mover><mi>x</mi><mo>\u2002</mo></mover>"),
    "a sign is another": ("<mi>a</mi><mo>−</mo><mi>b</mi>", "<mi>a</mi><mo>+</mo><mi>b</mi>"),
}


def sheets(folder: Path) -> list[str]:
    """The addresses of two pages with every piece once: on the first the one of each broken pair, on the second the
    other.
    """
    font = base64.b64encode(FONT.read_bytes()).decode()
    style = (
        f"@font-face {{ font-family: S; src: url(data:font/woff2;base64,{font}); }} math {{ font: {EM}px S; }}"
        "body { width: 2600px; margin: 0; display: grid; grid-template-columns: 1fr 1fr; }"
        "p { margin: 0; padding: 6px; }"
    )
    pieces: dict[str, str] = {}
    for where, tex in collected():
        pieces.setdefault(str(mathml(tex, display="Eq." in where)), where)
    addresses = []
    for choice in range(2):
        made = [
            *pieces.items(),
            *((f'<math display="block">{pair[choice]}</math>', name) for name, pair in BROKEN.items()),
        ]
        lines = (f'<p title="{escape(f"{n} {where}")}">{piece}</p>' for n, (piece, where) in enumerate(made))
        path = folder / f"equations-{choice}.html"
        path.write_text(f"<!doctype html><meta charset=utf-8><style>{style}</style>{' '.join(lines)}", "utf-8")
        addresses.append(path.as_uri())
    return addresses


def drawn(shot: bytes, boxes: list[Any]) -> list[tuple[str, str, bool, float]]:
    """Of each node its piece, its name, whether it is nested, and the ink within its box, in black pixels."""
    ink = 1 - np.asarray(Image.open(io.BytesIO(shot)).convert("L")).astype(float) / 255
    total = np.pad(ink.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    found = []
    for piece, name, nested, left, top, right, bottom in boxes:
        x, y, far, low = int(left), int(top), int(right) + 1, int(bottom) + 1
        assert far <= ink.shape[1] and low <= ink.shape[0], f"{piece}: the picture ends before it"
        found.append((piece, name, nested, float(total[low, far] - total[y, far] - total[low, x] + total[y, x])))
    return found


def test_two_engines_draw_every_equation_alike(browser: Any, second: Callable[[], Any], tmp_path: Path) -> None:
    one, other = sheets(tmp_path)
    page = browser.new_page(viewport={"width": 2600, "height": 800})
    page.goto(one, timeout=60_000)
    page.evaluate("document.fonts.ready.then(() => 1)")
    ours = drawn(page.screenshot(full_page=True), page.evaluate(BOXES))
    page.close()
    window = second()
    window.size(2600, 800)
    window.goto(other)
    window.evaluate("document.fonts.ready.then(() => 1)")
    theirs = drawn(window.screenshot(full=True), window.evaluate(BOXES))
    unlike: dict[str, list[str]] = {}
    for (piece, name, nested, a), (same, _, _, b) in zip(ours, theirs, strict=True):
        assert piece == same
        if abs(a - b) > (MOST_NESTED if nested else MOST) * (max(a, b) + SMALL):
            unlike.setdefault(piece.partition(" ")[2], []).append(f"{name}: {a:.0f} and {b:.0f} pixels of ink")
    assert {name: what for name, what in unlike.items() if name not in BROKEN} == {}
    assert unlike.keys() == BROKEN.keys(), "the comparison sees what it should"
    assert len({piece for piece, *_ in ours}) > 300
    assert all(ink > 1 for _, name, _, ink in ours if name.startswith(("mi ", "mn ")) and name[3:].strip())
