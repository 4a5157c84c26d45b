"""Contrast against figures that WCAG and others publish, and the colours between two."""

from __future__ import annotations

import pytest

from kb_tools.appearance.colours import TEXT, contrast, mixed, readable


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#777777", "#ffffff", 4.48),  # the grey that fails by a hair, and the lightest that does not
        ("#767676", "#ffffff", 4.54),
        ("#ff0000", "#ffffff", 4.0),  # 1.05 / (0.2126 + 0.05)
        ("#0000ff", "#ffffff", 8.59),  # 1.05 / (0.0722 + 0.05)
        ("#123456", "#123456", 1.0),
    ],
)
def test_contrast_is_that_of_wcag_either_way(one: str, other: str, ratio: float) -> None:
    assert contrast(one, other) == pytest.approx(ratio, abs=0.005)
    assert contrast(other, one) == contrast(one, other)


def test_colours_between_two() -> None:
    assert mixed("#000000", "#ffffff", 0) == "#000000"
    assert mixed("#000000", "#ffffff", 1) == "#ffffff"
    assert mixed("#102030", "#304050", 0.5) == "#203040"


def test_the_nearest_that_can_be_read_is_one_step_from_one_that_cannot() -> None:
    found = readable("#ffdd00", ["#ffffff", "#edf1f1"], "#000000")
    assert contrast(found, "#edf1f1") >= TEXT
    assert contrast(mixed(found, "#ffdd00", 0.05), "#edf1f1") < TEXT
    assert readable("#000000", ["#ffffff"], "#000000") == "#000000"
