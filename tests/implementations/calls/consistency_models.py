"""Consistency models: a target and a teacher that no gradient reaches; transforms that are pairs of functions."""

import torch

from implementations.consistency_models import Transform


def rising(world, which):
    return torch.tensor((0.05, 0.2, 0.5, 1.1, 2.0), dtype=torch.float64) * (1 + 0.5 * which)


def upper(world, which):
    return world.between("t", 1.2, 2.0) + 0.1 * which


def lower(world, which):
    return world.between("r", 0.2, 0.9) + 0.1 * which


def rotated(world, which):
    """The entries of a row turned into each other."""
    entries = torch.Size(world.shape).numel()
    Q, _ = torch.linalg.qr(type(world)().numbers(f"Q{which}", entries, entries))

    def turned(x, matrix):
        return (x.flatten(1) @ matrix.to(x)).view(x.shape)

    return Transform(lambda x: turned(x, Q), lambda a: turned(a, Q.mT))


def images(world, which):
    return world.numbers("image", len(world.rows), 3, 6, 12)


STOPPED = "target and teacher are asked without a gradient (Eq. 8 and Algorithm 2)"
PAIR = {"t": upper, "r": lower}
ARGUMENTS = {
    "discretisation": {"k": (1, 3, 33), "K": (40, 10, 400), "s_0": (3, 5, 7), "s_1": (21, 40, 60)},
    "decay": {"s_0": (3, 2, 4), "mu_0": (0.8, 0.7, 0.6)},
    "levels": {"T": (4.0, 3.0, 5.0)},
    "WithTarget.update": {"mu": (0.8, 0.6, 0.3)},
    "neighbours": {"table": rising},
    "pair": PAIR,
    "*_loss": PAIR,
    "edit": {"transform": rotated},
    "colours": {"grey": ((0.2, 0.3, 0.5), (0.4, 0.3, 0.5), (0.2, 0.6, 0.5)), "x": images, "a": images},
    "patches": {"p": (2, 3, 6), "x": images, "a": images},
}
LEFT_OUT = {
    "gradients": {
        **{f"*_loss({name})": STOPPED for name in ("target", "x_0", "r")},
        **{f"distillation_loss({name})": STOPPED for name in ("teacher", "t")},
    },
    "arguments": dict.fromkeys(("WithTarget", "WithTarget.update"), "an update is what changes the target"),
    "configurations": {f"Transform({way})": "what it holds are functions" for way in ("forward", "inverse")},
}
