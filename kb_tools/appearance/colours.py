"""Colours as #rrggbb: how far two stand apart for the eye, and those between them."""

from __future__ import annotations

TEXT = 4.5  # the least contrast of text and what is behind it, WCAG 2.2 AA


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.2, from 1 (the same) to 21 (black on white)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def mixed(one: str, other: str, share: float) -> str:
    """A colour between two.  share: 0 is all of `one`, 1 all of `other`."""
    pairs = zip(_channels(one), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in pairs)


def readable(colour: str, behind: list[str], towards: str) -> str:
    """`colour`, or the nearest on the way to `towards` whose contrast to all that is `behind` it suffices for text."""
    steps = (mixed(colour, towards, share / 50) for share in range(51))
    return next((step for step in steps if all(contrast(step, one) >= TEXT for one in behind)), towards)


def _channels(colour: str) -> list[int]:
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]


def _luminance(colour: str) -> float:
    """Relative luminance, 0 to 1."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in _channels(colour))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
