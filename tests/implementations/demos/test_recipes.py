"""What several demos take."""

from __future__ import annotations

import pytest
import torch

from implementations.demos import recipes
from implementations.lab.data import load
from implementations.lab.demo import Run


def test_a_batch_without_labels_is_refused():
    x, y = torch.zeros(2, 1), torch.tensor([0, 1])
    assert recipes.labelled((x, y)) == (x, y)
    with pytest.raises(ValueError, match="a batch has no labels"):
        recipes.labelled((x, None))


def test_images_move_to_the_unit_range():
    images, own = recipes.unit_images(Run(data="digits")), load("digits")
    assert images.range == (0.0, 1.0)
    assert (images.x.min(), images.x.max()) == (0, 1)
    torch.testing.assert_close(2 * images.x - 1, own.x)
    torch.testing.assert_close(2 * images.x_test - 1, own.x_test)
