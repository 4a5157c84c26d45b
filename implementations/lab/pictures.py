"""Pictures of samples and of figures: contact sheets, strips, scatter plots, curves.

Everything here returns an image (H, W) or (H, W, 3), floats in [0, 1], on the CPU, on paper of its own colour, so that
it reads on a light page and on a dark one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from math import ceil, floor, log10, sqrt
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from implementations.lab.checkpoint import write_atomically

PAPER = (0.984, 0.980, 0.969)
INK = (0.16, 0.17, 0.22)
FAINT = (0.86, 0.85, 0.83)
# distinct for the colour-blind too, and in grey: dark blue, orange, teal, crimson, grey
COLOURS = ((0.13, 0.30, 0.64), (0.88, 0.49, 0.10), (0.05, 0.55, 0.50), (0.75, 0.15, 0.35), (0.45, 0.45, 0.48))


# ---- samples ------------------------------------------------------------------------------------------------------


def contact_sheet(
    x: Tensor, *, columns: int | None = None, range: tuple[float, float] = (-1.0, 1.0), width: int = 640
) -> Tensor:
    """Images (N, C, H, W) with C of 1 or 3, row by row in a grid, each pixel a square, about `width` pixels wide.

    range: the values drawn black and white; others are clipped.  columns: default near the square root of N.
    """
    if x.ndim != 4 or x.shape[1] not in (1, 3) or len(x) == 0:
        raise ValueError(f"a contact sheet shows images (N, 1 or 3, H, W), not {tuple(x.shape)}")
    count, _, height, wide = x.shape
    columns = min(count, columns or ceil(sqrt(count)))
    scale = max(1, round(width / columns / (wide + 1)))
    gap = max(1, scale // 2)
    low, high = range
    tiles = ((x.detach().cpu().float() - low) / (high - low)).clamp(0, 1)
    tiles = tiles.repeat_interleave(scale, 2).repeat_interleave(scale, 3).permute(0, 2, 3, 1)
    step_y, step_x = height * scale + gap, wide * scale + gap
    sheet = _paper(ceil(count / columns) * step_y + gap, columns * step_x + gap)
    for k, tile in enumerate(tiles):
        top, left = gap + k // columns * step_y, gap + k % columns * step_x
        sheet[top : top + height * scale, left : left + wide * scale] = tile
    return sheet


def strip(frames: Sequence[Tensor], *, range: tuple[float, float] = (-1.0, 1.0), width: int = 640) -> Tensor:
    """What becomes of a batch: frames (R, C, H, W) in order of time are the columns, the batch the rows."""
    rows = torch.stack([frame.detach().cpu() for frame in frames], dim=1)
    return contact_sheet(rows.flatten(0, 1), columns=len(frames), range=range, width=width)


def scatter(
    x: Tensor,
    *,
    limits: tuple[float, float] | None = None,
    size: int = 300,
    colour: int = 0,
    labels: Tensor | None = None,
) -> Tensor:
    """Points (N, 2) of the plane as a density, the lone ones still visible.  Returns (size, size, 3).

    limits: the least and greatest value of both axes; default: symmetric, holding all points.
    labels: (N,), one colour each, instead of `colour`.
    """
    if x.ndim != 2 or x.shape[1] != 2 or len(x) == 0:
        raise ValueError(f"scatter shows points (N, 2), not {tuple(x.shape)}")
    points = x.detach().cpu().double().numpy()
    reach = 1.05 * float(np.abs(points[np.isfinite(points)]).max(initial=1e-9))
    low, high = limits or (-reach, reach)
    image = np.ones((size, size, 3)) * PAPER
    groups = [(colour, points)]
    if labels is not None:
        y = labels.cpu().numpy()
        groups = [(int(k), points[y == k]) for k in np.unique(y)]
    edges = np.linspace(low, high, size + 1)
    for k, group in groups:
        counts, _, _ = np.histogram2d(-group[:, 1], group[:, 0], bins=(-edges[::-1], edges))
        dots = _blur(counts, 1.1 * size / 300)
        # one point alone is a clear dot; where many fall the ink saturates instead of growing without end
        alone = _blur(np.eye(1, 1), 1.1 * size / 300).max()
        crowd = max(1.0, float(np.quantile(dots[dots > alone / 50], 0.97)) / alone) if (dots > 0).any() else 1.0
        opacity = 1 - np.exp(-2.2 * (dots / alone / crowd) ** 0.7)
        image += opacity[..., None] * (np.array(COLOURS[k % len(COLOURS)]) - image)
    return torch.from_numpy(image).float().clamp(0, 1)


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur, separable, zero beyond the edges."""
    reach = ceil(3 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    image = np.pad(image, reach)
    image = np.apply_along_axis(np.convolve, 0, image, kernel, "valid")
    return np.apply_along_axis(np.convolve, 1, image, kernel, "valid")


# ---- figures ------------------------------------------------------------------------------------------------------


def beside(panels: Mapping[str, Tensor], *, gap: int = 16) -> Tensor:
    """Images side by side, each under its title."""
    head = 30
    colour = {
        title: panel[..., None].expand(-1, -1, 3) if panel.ndim == 2 else panel for title, panel in panels.items()
    }
    widths = [max(panel.shape[1], ceil(_font(15).getlength(title))) for title, panel in colour.items()]
    sheet = _paper(head + max(p.shape[0] for p in colour.values()) + gap, sum(widths) + gap * (len(widths) + 1))
    titles = []
    left = gap
    for (title, panel), width in zip(colour.items(), widths, strict=True):
        inset = left + (width - panel.shape[1]) // 2
        sheet[head : head + panel.shape[0], inset : inset + panel.shape[1]] = panel
        titles.append((left + width / 2, head / 2, title))
        left += width + gap
    canvas = _canvas(sheet)
    for across, down, title in titles:
        canvas.text((across, down), title, INK, size=15, anchor="mm")
    return canvas.image()


def curves(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    across: str,
    up: str,
    log: bool = False,
    size: tuple[int, int] = (640, 360),
) -> Tensor:
    """Lines through (x, y) pairs, named at their ends' side; `across` and `up` name the axes, with their units.

    log: a logarithmic upward axis.  Values that are not finite (or not positive with log) interrupt the line.
    """
    x_all = np.concatenate([np.asarray(x, float) for x, _ in series.values()])
    y_all = np.concatenate([np.asarray(y, float) for _, y in series.values()])
    keep = np.isfinite(y_all) & ((y_all > 0) | (not log))
    if not keep.any():
        raise ValueError("curves: no finite value to draw")
    height = (lambda v: np.log10(v)) if log else (lambda v: np.asarray(v, float))
    x_low, x_high = float(x_all.min()), float(x_all.max())
    y_low, y_high = float(height(y_all[keep]).min()), float(height(y_all[keep]).max())
    margin = 0.06 * (y_high - y_low) or 0.5
    y_low, y_high = y_low - margin, y_high + margin
    x_high = x_high if x_high > x_low else x_low + 1
    wide, high = size
    left, right, top, bottom = 74, wide - 22, 20 + 20 * ceil(len(series) / 3), high - 52
    canvas = _canvas(_paper(high, wide))

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            left + (x - x_low) / (x_high - x_low) * (right - left),
            bottom - (y - y_low) / (y_high - y_low) * (bottom - top),
        )

    for tick, label in _ticks(y_low, y_high, log):
        _, down = place(x_low, tick)
        canvas.line([(left, down), (right, down)], FAINT, 1)
        canvas.text((left - 8, down), label, INK, size=13, anchor="rm")
    for tick, label in _ticks(x_low, x_high, False):
        along, _ = place(tick, y_low)
        canvas.line([(along, bottom), (along, bottom + 5)], INK, 1)
        canvas.text((along, bottom + 9), label, INK, size=13, anchor="mt")
    canvas.line([(left, bottom), (right, bottom)], INK, 1)
    canvas.text(((left + right) / 2, high - 8), across, INK, size=14, anchor="mb")
    canvas.text((17, (top + bottom) / 2), up, INK, size=14, anchor="mm", upright=True)
    for k, (name, (x, y)) in enumerate(series.items()):
        colour = COLOURS[k % len(COLOURS)]
        for run in _runs(x, y, log):
            canvas.line([place(a, float(height(b))) for a, b in run], colour, 2.2)
        key, row = left + k % 3 * (right - left) / 3, 16 + 20 * (k // 3)
        canvas.line([(key, row), (key + 22, row)], colour, 3)
        canvas.text((key + 29, row), name, INK, size=14, anchor="lm")
    return canvas.image()


def _runs(x: Sequence[float], y: Sequence[float], log: bool) -> list[list[tuple[float, float]]]:
    """The unbroken stretches of a line."""
    runs: list[list[tuple[float, float]]] = [[]]
    for a, b in zip(x, y, strict=True):
        if np.isfinite(b) and (b > 0 or not log):
            runs[-1].append((float(a), float(b)))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _ticks(low: float, high: float, log: bool) -> list[tuple[float, str]]:
    """Four to eight round places between low and high, with their labels; with log, of 10 to their power."""
    if log and high - low >= 1.2:
        every = max(1, ceil((high - low) / 6))
        return [(k, f"{10.0**k:g}") for k in range(ceil(low), floor(high) + 1, every)]
    if log:
        inside = [10**k * m for k in range(floor(low), ceil(high) + 1) for m in (1, 1.5, 2, 3, 5, 7)]
        return [(log10(v), f"{v:.3g}") for v in inside if low <= log10(v) <= high]
    power = 10 ** floor(log10(high - low))
    step = next(power * m for m in (0.1, 0.2, 0.25, 0.5, 1, 2) if (high - low) / (power * m) <= 7.5)
    first = ceil(low / step - 1e-9)
    return [(k * step, f"{k * step:g}") for k in range(first, floor(high / step + 1e-9) + 1)]


# ---- drawing ------------------------------------------------------------------------------------------------------


def _paper(height: int, width: int) -> Tensor:
    return torch.tensor(PAPER).expand(height, width, 3).clone()


def _font(size: float):
    from PIL import ImageFont

    return ImageFont.load_default(size)


class _canvas:
    """A picture to draw on, at twice its resolution, so that lines and letters come out smooth."""

    def __init__(self, image: Tensor) -> None:
        from PIL import Image, ImageDraw

        self.picture = Image.fromarray(_bytes(image)).resize(
            (2 * image.shape[1], 2 * image.shape[0]), Image.Resampling.NEAREST
        )
        self.pen = ImageDraw.Draw(self.picture)

    def line(self, points: list[tuple[float, float]], colour: tuple[float, ...], width: float) -> None:
        if len(points) == 1:
            (a, b), r = points[0], width
            self.pen.ellipse([2 * (a - r), 2 * (b - r), 2 * (a + r), 2 * (b + r)], fill=_rgb(colour))
        self.pen.line([(2 * a, 2 * b) for a, b in points], _rgb(colour), round(2 * width), joint="curve")

    def text(
        self,
        at: tuple[float, float],
        words: str,
        colour: tuple[float, ...],
        *,
        size: int,
        anchor: str,
        upright: bool = False,
    ) -> None:
        from PIL import Image, ImageDraw

        if not upright:
            self.pen.text((2 * at[0], 2 * at[1]), words, _rgb(colour), _font(2 * size), anchor=anchor)
            return
        length = ceil(_font(2 * size).getlength(words)) + 8
        mask = Image.new("L", (length, 3 * size))
        ImageDraw.Draw(mask).text((length / 2, 1.5 * size), words, 255, _font(2 * size), anchor="mm")
        mask = mask.rotate(90, expand=True)
        corner = (round(2 * at[0] - mask.width / 2), round(2 * at[1] - mask.height / 2))
        self.picture.paste(_rgb(colour), corner, mask)

    def image(self) -> Tensor:
        from PIL import Image

        small = self.picture.resize((self.picture.width // 2, self.picture.height // 2), Image.Resampling.BOX)
        return torch.from_numpy(np.asarray(small, dtype=np.float32) / 255)


def _rgb(colour: tuple[float, ...]) -> tuple[int, ...]:
    return tuple(round(255 * c) for c in colour)


def _bytes(image: Tensor) -> np.ndarray:
    return (image.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def save(path: str | Path, image: Tensor) -> None:
    """Write an image as PNG or lossless WebP, by the ending of `path`, atomically."""
    from PIL import Image

    path = Path(path)
    kind = {".png": "PNG", ".webp": "WEBP"}.get(path.suffix)
    if kind is None:
        raise ValueError(f"{path.name}: a picture is saved as .png or .webp")
    if not torch.isfinite(image).all():
        raise ValueError(f"{path.name}: the picture has values that are not finite")
    buffer = BytesIO()
    options = {"lossless": True, "method": 6} if kind == "WEBP" else {"optimize": True}
    Image.fromarray(_bytes(image)).save(buffer, kind, **options)
    write_atomically(path, buffer.getvalue())
