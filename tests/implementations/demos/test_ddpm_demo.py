"""What the demo of DDPM draws is new."""

from __future__ import annotations

import pytest

from implementations.demos import ddpm as demo
from implementations.demos.recipes import dataset
from implementations.verification.sample_measures import memorisation


@pytest.mark.slow
def test_samples_are_no_copies():
    run = demo.DEMO.run()
    images = dataset(run)
    _, simple = demo.samples(run)
    assert simple.shape == (32, 1, 8, 8)
    assert memorisation(simple, images.x, images.x_test).copies < 0.05
