"""Null-text inversion: a network told an embedding for each row, and embeddings for each step."""

import torch

from tests.implementations.general.vocabulary import Live


class Told(Live):
    """`Live`, told an embedding: its numbers, summed, take the place of a second number."""

    def forward(self, x, t, c):  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().forward(x, t, s=(c * torch.arange(1, c.shape[1] + 1).to(c)).sinh().sum(1))


def model(world, which):
    return Told("model", world)


def embedding(name):
    return lambda world, which: 0.3 * world.per_row(name, 5)


def for_each_step(world, which):
    return torch.stack([0.3 * world.per_row(f"null {k}", 5) for k in range(3)]) + 0.2 * which


def way(world, which):
    return torch.stack([world.data(f"way {k}") for k in range(4)]) + 0.2 * which


ARGUMENTS = {
    "*": {
        "model": model,
        "c": embedding("c"),
        "null": embedding("null"),
        "nulls": for_each_step,
        "way": way,
        "w": (2.5, 0.5, 4.0),
    },
    "step": {"t": (3, 4, 6), "s": (2, 1, 5)},
    "optimise": {"N": (3, 2, 5), "lr": (0.05, 0.02, 0.1), "tolerance": (1e-6, 0.6, 1.0)},
}
