"""What several demos take."""

from __future__ import annotations

import pytest
import torch

from implementations.demos import recipes


def test_a_batch_without_labels_is_refused():
    x, y = torch.zeros(2, 1), torch.tensor([0, 1])
    assert recipes.labelled((x, y)) == (x, y)
    with pytest.raises(ValueError, match="a batch has no labels"):
        recipes.labelled((x, None))
