"""ECT: a model is its own target, without a gradient; a stage is a number, and counting is what counting changes."""

from implementations.ect import denoising_weight, gap_weight
from implementations.edm import Denoiser
from implementations.ict import pseudo_huber
from tests.implementations.general.vocabulary import Live


def squares(x, y):
    return (x - y).square().flatten(1).sum(1)


def denoiser(world, which):
    return Denoiser(Live(f"network {which}", world))


def later(world, which):
    return world.between("t", 1.2, 2.0) + 0.1 * which


def positive(world, which):
    return world.between("t", 0.3, 1.2) + 0.1 * which


STOPPED = "the target is the model itself, asked without a gradient, or the data (section 3.1)"
COUNTS = "it counts iterations, which is all that changes"
MAPPING = {"a": (3, 2, 4), "q": (1.8, 1.9, 2.5), "k": (2.0, 1.0, 3.0), "b": (0.7, 0.5, 2.0)}
METRICS = (pseudo_huber, squares, lambda x, y: squares(x, y).sqrt())
WEIGHTS = (gap_weight, denoising_weight, lambda t, r: 1 + r)
ARGUMENTS = {
    "Tuning*": {"base": denoiser},
    "stage": {"iteration": (8, 3, 12), "every": (4, 2, 8)},
    "earlier": MAPPING | {"t": positive},
    "*_weight": {"t": later, "r": lambda world, which: world.between("r", 0.2, 0.9) + 0.1 * which},
    "loss": MAPPING | {"metric": METRICS, "weight": WEIGHTS},
    "sample": {"sigmas": ((3.0, 0.5), (3.0, 0.4), (2.0,))},
}
LEFT_OUT = {
    "gradients": {"loss(model)": STOPPED, "loss(x_0)": STOPPED},
    "configurations": {
        "denoising_weight(r)": "weighs by t alone, in the form of a weight of pairs",
        "Tuning.forward(half)": "hands t on as it is, to scalings that compute in its precision",
    },
    "arguments": {"Tuning": COUNTS, "Tuning.begin": COUNTS},
}
