"""Asyrp: a shift of features, two models of one network, and a walk that no gradient goes back along."""

from math import prod

import torch

from tests.implementations.general.vocabulary import Live


def before(world, which):
    return (world.steps("t") - 1).clamp_min(1)


def encoder(world, which):
    return lambda x: (1 + which) * x.flatten(1) + x.flatten(1).sin()


def towards(world, which):
    return world.per_row("direction", prod(world.shape))


def apart(world, which):
    return lambda a, b: (a - (0.5 + which) * b).square().flatten(1).mean(1)


def f(world, which):
    return Live("f", world)


ARGUMENTS = {
    "shift": {"f": f, "trained": (4, 3, 8), "steps": (6, 4, 9)},
    "step": {"s": before, "sigma": (0.02, 0.01, 0.03)},
    "sample": {"t_edit": (7, 8, 3), "t_boost": (4, 0, 3)},
    "predictions": {"t_edit": (3, 4, 7)},
    "loss": {"encoder": encoder, "direction": towards, "lambda_clip": (0.7, 1.0, 2.0), "lambda_recon": (0.4, 1.0, 2.0)},
    "distances": {"distance": apart},
    "editing_strength": {"distances": lambda world, which: torch.tensor([0.1, 0.4, 0.7 + which])},
    "first_above": {
        "distances": lambda world, which: torch.tensor([0.1, 0.4 - 0.3 * which, 0.7]),
        "threshold": (0.3, 0.05, 0.6),
    },
}
LEFT_OUT = {}
