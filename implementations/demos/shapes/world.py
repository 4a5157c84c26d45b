"""The small world of editing and representation, as a run's data."""

from __future__ import annotations

from implementations.lab.data.dataset import Dataset
from implementations.lab.data.shapes import shapes
from implementations.lab.demo import Run, once


@once
def world(run: Run) -> Dataset:
    """Its images, on the run's device."""
    return shapes().to(run.device)
