"""Riemannian h-space: maps of rows to rows, and moves of them, n for each row."""

from math import prod

import torch

from implementations.h_space_riemannian import Basis
from tests.implementations.general.vocabulary import Live


def f(world, which):
    return Live("f", world)


def moves(world, which, name="v"):
    return world.per_row(f"{name}{which}", 2, *world.shape)


def orthonormal(world, which, name="here"):
    """Two moves of each row."""
    drawn = world.per_row(f"{name}{which}", 2, prod(world.shape))
    return torch.linalg.qr(drawn.double().mT).Q.mT.to(world.dtype).reshape(drawn.shape[0], 2, *world.shape)


def there(world, which):
    sizes = world.between(f"s{which}", 0.5, 2.0, 2)
    return Basis(orthonormal(world, which, "u"), sizes, orthonormal(world, which, "v"))


ARGUMENTS = {
    "push": {"f": f, "v": moves},
    "pull": {"f": f, "u": lambda world, which: moves(world, which, "u")},
    "length": {"f": f, "v": moves},
    "local_basis": {"f": f, "n": (2, 1, 3), "iterations": (3, 1, 2), "tolerance": (1e-3, 1.5, 1.9)},
    "transport": {"there": there},
    "distance": {"here": orthonormal, "there": lambda world, which: orthonormal(world, which, "there")},
    "guide": {"step": (0.7, 1.0, -0.4), "gamma": (0.2, 0.1, 0.5), "times": (2, 16, 3)},
    "edit": {"change": lambda world, which: lambda x: (1 + which) * x.sin(), "t_edit": (7, 3, 2), "t_boost": (4, 0, 8)},
    "Basis": {"u": orthonormal, "s": lambda world, which: world.between("s", 0.5, 2.0, 2), "v": orthonormal},
}
LEFT_OUT = {
    "configurations": {f"Basis({held})": "it holds what it is given, and computes nothing" for held in ("u", "s", "v")},
}
