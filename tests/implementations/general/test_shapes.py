"""Images are rows of numbers: a call on (B, 2, 3, 4) gives what the same call gives on (B, 24)."""

import inspect
from functools import partial

import torch

from tests.implementations.general.calls import asked, every, held, prepared
from tests.implementations.general.vocabulary import World

IMAGES, ROWS = World(shape=(2, 3, 4)), World(shape=(24,))


def takes_any_shape(target) -> bool:
    """Whether its arguments have the shape of a row, which that of a network with channels or features is not."""
    if inspect.isclass(target.function):
        return False
    shapes = [[t.shape for t in held(list(prepared(target, w).arguments.values()))] for w in (IMAGES, ROWS)]
    return shapes[0] != shapes[1]


@every(takes_any_shape)
def test_images_are_rows_of_numbers(target):
    asked(target, "shapes", partial(agrees, target))


def agrees(target):
    images, rows = (prepared(target, world).results() for world in (IMAGES, ROWS))
    for a, b in zip(images, rows, strict=True):
        assert a.numel() == b.numel(), f"{target}: {tuple(a.shape)} of images, {tuple(b.shape)} of rows"
        torch.testing.assert_close(a.reshape(b.shape), b, rtol=1e-10, atol=1e-11)
