"""What an image of the world `lab.data.shapes` shows, read from its pixels in closed form.

No network judges: each factor is a formula of the image, differentiable, and as exact on images of the world as the
tests say.  Any other image of the size can be read too, and `valid` says whether it shows one object of the world.
"""

from __future__ import annotations

from math import pi
from typing import NamedTuple

import torch
from torch import Tensor

from implementations.lab.data.shapes import GROUNDS, HUES, MARK, SIDE, STRETCHES, Factors, border

SPREADS = Factors(*map(torch.tensor, (0.3, 1 / 3, 3**-0.5, 3**-0.5, 0.5 / 12**0.5, 0.34, 1.0)))
"""By what a change of each factor is divided where changes of several are compared.

The standard deviation of each in the world; of the hue, the distance between two classes."""


def read(images: Tensor) -> Factors:
    """The factors of images (N, 3, 8, 8): (N,) each, in the units of `Factors`; hue in [-1/2, 1/2) turns.

    Of a pixel g (1 - m) + c m the largest and smallest channel give m, as c runs from -1 to 1 and the grey has no part
    in their difference; and g (1 - m), as it has none in c's middle.  The mark of an image without border, and the hue
    of a grey one, are 0.
    """
    m, grey = _mask(images)
    edge, board = (v.to(images) for v in border())
    ground, mark = _line(grey, 1 - m, board, edge)
    area, x, y, v_x, v_y = _moments(m)
    lying = ((v_x - v_y) / (v_x + v_y).clamp_min(1e-6)).clamp(-0.99, 0.99)
    red, green, blue = images.sum((2, 3)).unbind(1)
    hue = torch.atan2(3**0.5 * (green - blue), 2 * red - green - blue) / (2 * pi)
    size = (area / pi - pi**2 / 27).clamp_min(1e-6).sqrt()  # a disc of soft edge has area pi (size^2 + pi^2 / 27)
    return Factors(ground, hue, x, y, size, ((1 + lying) / (1 - lying)) ** 0.25, mark / MARK)


class _Moments(NamedTuple):
    """Of a mask: its area in pixels, its centre, and its variance across and down."""

    area: Tensor
    x: Tensor
    y: Tensor
    v_x: Tensor
    v_y: Tensor


def _mask(images: Tensor) -> tuple[Tensor, Tensor]:
    """m of each pixel, and its ground times 1 - m."""
    high, low = images.amax(1), images.amin(1)
    return (high - low) / 2, (high + low) / 2


def _moments(m: Tensor) -> _Moments:
    area = m.sum((1, 2))
    place = torch.arange(SIDE).to(m) - (SIDE - 1) / 2

    def mean(values: Tensor) -> Tensor:
        return (m * values).sum((1, 2)) / area.clamp_min(1e-6)

    x, y = mean(place), mean(place[:, None])
    v_x, v_y = mean((place - x[:, None, None]) ** 2), mean((place[:, None] - y[:, None, None]) ** 2)
    return _Moments(area, x, y, v_x, v_y)


def _line(grey: Tensor, share: Tensor, board: Tensor, edge: Tensor) -> tuple[Tensor, Tensor]:
    """Least squares of grey = (ground + height * board) * share over the edge: ground and height."""

    def over(values: Tensor) -> Tensor:
        return (edge * values).sum((1, 2))

    whole, mixed = over(share**2), over(share**2 * board)
    first, second = over(grey * share), over(grey * share * board)
    determinant = (whole**2 - mixed**2).clamp_min(1e-6)
    return (whole * first - mixed * second) / determinant, (whole * second - mixed * first) / determinant


def apart(hue: Tensor, other: Tensor | float) -> Tensor:
    """How far two hues lie apart, in turns, at most 1/2."""
    return ((hue - other + 0.5) % 1 - 0.5).abs()


def classes(factors: Factors) -> dict[str, Tensor]:
    """Which of its values each factor with classes has: (N,) int64 each.

    ground: 0 dark, 1 bright; hue: 0 red, 1 green, 2 blue; shape: 0 a disc, 1 lying, 2 standing; mark: 0 or 1.
    """
    away = torch.stack([apart(factors.hue, hue) for hue in HUES])
    lying = torch.stack([(factors.stretch.log() - torch.tensor(s).log()).abs() for s in STRETCHES])
    return {
        "ground": (factors.ground > sum(GROUNDS) / 2 + 0.05).long(),
        "hue": away.argmin(0),
        "shape": lying.argmin(0),
        "mark": (factors.mark > 0).long(),
    }


def valid(images: Tensor) -> Tensor:
    """Whether each image shows one object of the world: (N,) bool.

    Its area lies in 6..18 pixels and its hue within 0.05 of a class; it holds together (its variance over its area is
    below 0.5: 0.16 for a disc); and the border is marked by more than 0.6 of the mark's height.
    """
    found, factors = _moments(_mask(images)[0]), read(images)
    hue = torch.stack([apart(factors.hue, h) for h in HUES]).amin(0)
    whole = found.v_x + found.v_y < 0.5 * found.area
    return (found.area > 6) & (found.area < 18) & (hue < 0.05) & whole & (factors.mark.abs() > 0.6)


def change(before: Tensor, after: Tensor) -> Factors:
    """By how much each factor of images differs, in units of `SPREADS`, signed; hues go the shorter way: (N,) each."""
    a, b = read(before), read(after)
    differences = [(y - x).div(spread.to(x)) for x, y, spread in zip(a, b, SPREADS, strict=True)]
    found = Factors(*differences)
    return found._replace(hue=((b.hue - a.hue + 0.5) % 1 - 0.5) / SPREADS.hue.to(a.hue))
