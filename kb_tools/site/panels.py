"""A recorded picture, cut into its parts, so that pages set the words and let the parts flow.

Demos lay panels side by side on paper of one colour, each under its title, in one row or in several of equal height
(`implementations.lab.pictures.beside`).  A panel is a sheet of small images, between which the paper is seen, or
something drawn: points, curves.  Sheets are given back with one pixel for each of the images' and nothing in between,
drawn parts as ink on nothing, so that both can lie on a page of any colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise

from PIL import Image, ImageChops, ImageMath

HEAD = 30  # pixels above a panel, for its title
GAP = 16  # pixels before, between and behind panels
APART = 12  # blank columns between two titles, never between two words
AIR = 2  # pixels around what is drawn
NOISE = 12  # by how much paper differs from its colour where a picture was compressed with loss

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Part:
    """A panel as a file.  sheet: of `columns` times `rows` small images, to be enlarged by whole numbers, with
    a transparent pixel between two; `of` rows were recorded.
    """

    title: str
    data: bytes
    width: int
    height: int
    sheet: bool = False
    columns: int = 0
    rows: int = 0
    of: int = 0

    @property
    def said(self) -> str:
        """The title, and how much of the panel there is where it is not all."""
        if self.rows == self.of:
            return self.title
        return f"{self.title}, the first {self.columns * self.rows} of {self.columns * self.of}"


@dataclass(frozen=True)
class _Sheet:
    """Small images: where they begin, how large they are in the picture, what lies between, and the side of a pixel."""

    across: list[int]
    down: list[int]
    size: tuple[int, int]
    side: int


def parts(picture: bytes, titles: Sequence[Sequence[str]]) -> list[list[Part]]:
    """The panels of a picture, row by row.  titles: of each row, from left to right.

    Sheets of one row whose images are of one size and as many across show equally many: the first rows of the longer.
    Raises ValueError where the picture is not laid out as the titles say, so that nothing is ever cut through.
    """
    try:
        with Image.open(BytesIO(picture)) as opened:
            image = opened.convert("RGB")
    except OSError as error:
        raise ValueError(f"it cannot be read: {error}") from None
    if not titles or image.height % len(titles):
        raise ValueError(f"{image.height} pixels are not {len(titles)} rows of one height")
    high = image.height // len(titles)
    bands = [(n * high, (n + 1) * high) for n in range(len(titles))]
    try:
        return [_row(image, 0, band, names) for band, names in zip(bands, titles, strict=True)]
    except ValueError:
        return [_row(image, NOISE, band, names) for band, names in zip(bands, titles, strict=True)]


def _inked(image: Image.Image, noise: int) -> Image.Image:
    """Where a picture is not paper, as 255 in one channel."""
    red, green, blue = ImageChops.difference(image, Image.new("RGB", image.size, _paper(image))).split()
    return ImageChops.lighter(ImageChops.lighter(red, green), blue).point([255 * (v > noise) for v in range(256)])


def _paper(image: Image.Image) -> tuple[int, ...]:
    """The colour of a picture's first pixel: nothing is drawn in its corner."""
    found = image.getpixel((0, 0))
    assert isinstance(found, tuple)
    return found


def _row(image: Image.Image, noise: int, band: tuple[int, int], names: Sequence[str]) -> list[Part]:
    top, bottom = band
    inked = _inked(image, noise)
    if inked.crop((0, bottom - GAP // 2, image.width, bottom)).getbbox():
        raise ValueError("a row would be cut through")
    edges = _edges(inked.crop((0, top, image.width, top + HEAD)), len(names))
    cells: list[Box] = []
    for left, right in pairwise(edges):
        box = inked.crop((left, top + HEAD, right, bottom)).getbbox()
        if box is None:
            raise ValueError("a title has nothing below it")
        if box[0] == 0 or box[2] == right - left:
            raise ValueError("a panel would be cut through")
        cells.append((left + box[0], top + HEAD + box[1], left + box[2], top + HEAD + box[3]))
    sheets = [_sheet(image, inked, cell) for cell in cells]
    drawn = [cell for cell, sheet in zip(cells, sheets, strict=True) if sheet is None]
    found = []
    for name, cell, sheet, (left, right) in zip(names, cells, sheets, pairwise(edges), strict=True):
        if sheet:
            alike = [s for s in sheets if s and (s.size, len(s.across)) == (sheet.size, len(sheet.across))]
            found.append(_as_sheet(name, image, sheet, min(len(s.down) for s in alike)))
        else:  # all that is drawn in a row keeps its scale and its place: panels share their limits
            inside = (min(cell[0], left + GAP // 2), max(cell[2], right - GAP // 2))
            heights = (max(top + HEAD, min(c[1] for c in drawn) - AIR), min(bottom, max(c[3] for c in drawn) + AIR))
            found.append(
                _as_drawn(name, image.crop((inside[0], heights[0], inside[1], heights[1])), _paper(image), noise)
            )
    return found


def _edges(head: Image.Image, count: int) -> list[int]:
    """Where to cut a row between its panels, from what stands above them: each title is centred over its panel.

    Errors of half a pixel add up from panel to panel, so it is counted from both ends.
    """
    columns = head.getprojection()[0]
    runs: list[list[int]] = []
    for x in (x for x, ink in enumerate(columns) if ink):
        if runs and x - runs[-1][1] <= APART:
            runs[-1][1] = x
        else:
            runs.append([x, x])
    if len(runs) != count:
        raise ValueError(f"{len(runs)} titles are drawn and {count} are named")
    centres = [(first + last + 1) / 2 for first, last in runs]
    from_left, from_right = [0.0], [float(head.width)]  # each the middle of a gap, but for the picture's own edges
    for centre in centres[:-1]:
        start = from_left[-1] + (GAP / 2 if len(from_left) > 1 else GAP)
        from_left.append(2 * centre - start + GAP / 2)
    for centre in centres[:0:-1]:
        end = from_right[-1] - (GAP / 2 if len(from_right) > 1 else GAP)
        from_right.append(2 * centre - end - GAP / 2)
    from_right.reverse()
    half = count // 2 + 1
    inner = [round(x) for x in [*from_left[1:half], *from_right[half - 1 : -1]]]
    edges = [GAP // 2, *inner, head.width - GAP // 2]
    if edges != sorted(set(edges)):
        raise ValueError("titles do not stand over panels side by side")
    return edges


def _sheet(image: Image.Image, inked: Image.Image, cell: Box) -> _Sheet | None:
    """The sheet that fills a cell, if one does: equal tiles, equally far apart, of whole square pixels."""
    across, down = (_tiles(line) for line in inked.crop(cell).getprojection())
    if across is None or down is None:
        return None
    lefts, tops = (
        [corner + start for start in starts] for corner, (starts, _) in zip(cell, (across, down), strict=False)
    )
    size = across[1], down[1]
    for side in range(min(size), 1, -1):
        gap = max(1, side // 2)
        apart = {b - a - length for starts, length in ((lefts, size[0]), (tops, size[1])) for a, b in pairwise(starts)}
        if apart == {gap} and not any(length % side for length in size):
            sheet = _Sheet(lefts, tops, size, side)
            if all(_squares(image.crop(box), side) for box in _boxes(sheet)):
                return sheet
    return None


def _tiles(projection: Sequence[int]) -> tuple[list[int], int] | None:
    """Where runs of ink start, and how long each is, if all are of one length."""
    starts = [x for x, ink in enumerate(projection) if ink and not (x and projection[x - 1])]
    ends = [x + 1 for x, ink in enumerate(projection) if ink and not (x + 1 < len(projection) and projection[x + 1])]
    lengths = {end - start for start, end in zip(starts, ends, strict=True)}
    return (starts, lengths.pop()) if len(lengths) == 1 else None


def _boxes(sheet: _Sheet) -> list[Box]:
    wide, high = sheet.size
    return [(x, y, x + wide, y + high) for y in sheet.down for x in sheet.across]


def _squares(tile: Image.Image, side: int) -> bool:
    """Whether a tile is made of squares of one colour each."""
    again = _small(tile, side).resize(tile.size, Image.Resampling.NEAREST)
    return ImageChops.difference(tile, again).getbbox() is None


def _small(tile: Image.Image, side: int) -> Image.Image:
    return tile.resize((tile.width // side, tile.height // side), Image.Resampling.NEAREST)


def _as_sheet(title: str, image: Image.Image, sheet: _Sheet, rows: int) -> Part:
    columns, (wide, high) = len(sheet.across), (length // sheet.side for length in sheet.size)
    small = Image.new("RGBA", (columns * (wide + 1) - 1, rows * (high + 1) - 1))
    for n, box in enumerate(_boxes(sheet)[: rows * columns]):
        down, across = divmod(n, columns)
        small.paste(_small(image.crop(box), sheet.side).convert("RGBA"), (across * (wide + 1), down * (high + 1)))
    return Part(title, _webp(small), small.width, small.height, True, columns, rows, len(sheet.down))


def _as_drawn(title: str, image: Image.Image, paper: tuple[int, ...], noise: int) -> Part:
    """The least opaque ink that looks on the paper as the picture does."""
    white = [round(min(255.0, v * 255 / level)) for level in paper for v in range(256)]
    channels = image.point(white).split()
    opaque = ImageChops.invert(ImageChops.darker(ImageChops.darker(channels[0], channels[1]), channels[2]))
    opaque = opaque.point([v * (v > noise) for v in range(256)])
    ink = [
        ImageMath.lambda_eval(lambda a: 255 - (255 - a["v"]) * 255 / a["max"](a["opaque"], 1), v=v, opaque=opaque)
        for v in channels
    ]
    drawn = Image.merge("RGBA", [*(channel.convert("L") for channel in ink), opaque])
    return Part(title, _webp(drawn, noise == 0), drawn.width, drawn.height)


def _webp(image: Image.Image, lossless: bool = True) -> bytes:
    data = BytesIO()
    options = {"lossless": True} if lossless else {"quality": 60, "alpha_quality": 60}
    image.save(data, "WEBP", method=4, **options)
    return data.getvalue()
