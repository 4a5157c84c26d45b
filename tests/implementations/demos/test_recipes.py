"""Networks and data that several demos share."""

from __future__ import annotations

import torch

from implementations.demos.recipes import unit_images
from implementations.lab.data import load
from implementations.lab.demo import Run


def test_images_move_to_the_unit_range():
    images, own = unit_images(Run(data="digits")), load("digits")
    assert images.range == (0.0, 1.0)
    assert (images.x.min(), images.x.max()) == (0, 1)
    torch.testing.assert_close(2 * images.x - 1, own.x)
    torch.testing.assert_close(2 * images.x_test - 1, own.x_test)
