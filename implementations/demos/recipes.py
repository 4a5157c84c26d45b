"""Networks and data in the sizes that several demos take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from implementations.lab.data import Dataset, load
from implementations.lab.demo import Run, once
from implementations.lab.training import Batch
from implementations.unet import UNet

TimedModel = Callable[[Tensor, Tensor], Tensor]
"""A network of x: (B, ...) and t: (B,)."""


@once
def dataset(run: Run) -> Dataset:
    """The data set of a run."""
    return load(run.data)


def held_out(run: Run, n: int) -> Tensor:
    """The first n of the images that no network is trained on, on the run's device."""
    return dataset(run).x_test[:n].to(run.device)


@once
def unit_images(run: Run) -> Dataset:
    """Its images, moved from their own range to [0, 1], on the run's device."""
    images = dataset(run)
    low, high = images.range
    x, x_test = ((v - low) / (high - low) for v in (images.x, images.x_test))
    return replace(images, x=x, x_test=x_test, range=(0.0, 1.0)).to(run.device)


def large(images: Dataset) -> bool:
    """Whether images are larger than 16 x 16, and want a larger network."""
    return min(images.shape[1:]) > 16


def unet_sizes(images: Dataset) -> dict[str, Any]:
    """Options of a U-Net that learns images of this size in seconds (8 x 8) or minutes (up to 32 x 32)."""
    if large(images):
        return {"width": 32, "multipliers": (1, 2, 2), "attention": (2,)}
    return {"width": 16, "multipliers": (1, 2), "attention": (1,)}


def unet(images: Dataset, outputs: int = 1) -> UNet:
    """A U-Net in these sizes.  outputs: images it returns for each that it is given, side by side as channels."""
    channels = images.shape[0]
    return UNet(channels, outputs * channels, **unet_sizes(images))


def timeless(model: TimedModel) -> Callable[[Tensor], Tensor]:
    """A function of x alone, for one noise level or none, from a network that wants a time too."""
    return lambda x: model(x, x.new_zeros(len(x)))


def labelled(batch: Batch) -> tuple[Tensor, Tensor]:
    """The batch of a data set that has classes."""
    x_0, y = batch
    if y is None:
        raise ValueError("a batch has no labels")
    return x_0, y


def relative_error(found: Tensor, true: Tensor) -> float:
    """Squared error of vectors, summed over all of them, over the square of the true ones.  (B, ...) each."""
    return ((found - true).square().sum() / true.square().sum()).item()
