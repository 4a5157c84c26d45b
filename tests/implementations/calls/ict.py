"""iCT: a model is its own target, without a gradient; a curriculum wants a step for each of its stages."""

import torch


def rising(world, which):
    return torch.logspace(-2, 1, 40, dtype=torch.float64) * (1 + 0.5 * which)


STOPPED = "the target is the model itself, asked without a gradient (section 3.2)"
ARGUMENTS = {
    "discretisation": {"k": (25, 3, 33), "K": (40, 60, 80), "s_0": (3, 2, 4), "s_1": (21, 96, 6)},
    "huber_width": {"d": (24, 2, 3072)},
    "pseudo_huber": {"c": (0.7, 0.3, 1.5)},
    "probabilities": {"table": rising},
    "neighbours": {"table": rising},
    "training_loss": {
        "c": (0.7, 0.3, 1.5),
        "t": lambda world, which: world.between("t", 1.2, 2.0),
        "r": lambda world, which: world.between("r", 0.2, 0.9) + 0.1 * which,
    },
}
LEFT_OUT = {"gradients": {f"training_loss({name})": STOPPED for name in ("model", "x_0", "r")}}
