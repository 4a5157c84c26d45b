"""RepFusion: a teacher whose network is all waist, and a policy of three times."""

from math import prod

import torch

from implementations.common.waist import Waist
from tests.implementations.general.vocabulary import Live, World


class Open(Waist):
    """The waist of a network that ends there."""

    def __init__(self, which):
        super().__init__(torch.nn.ModuleList())
        self.gain = 1 + which

    def features(self, model, x, t):  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.gain * model(x, t)


def waist(world, which):
    return Open(which)


def logits(world, which):
    return world.per_row(f"logits{which}", 3)


def rows(name):
    return lambda world, which: world.per_row(f"{name}{which}")


def student(world, which):
    plain = World(others={"student": which})
    weight = plain.numbers("student", prod(world.shape), world.shape[0]).to(world.dtype)
    return lambda x: x.flatten(1).tanh() @ weight


def of_features(world, which):
    plain = World(others={"head": which})
    weight = plain.numbers("head", world.shape[0], 3).to(world.dtype)
    return lambda h: h @ weight


def policy(world, which):
    return Live("policy" + "'" * which, world, "logits")


TIMES = tuple(torch.tensor(t) for t in ([1, 4, 6], [2, 5, 7], [1, 3, 7]))

ARGUMENTS = {
    "Teacher*": {"waist": waist, "noised": (True, False, True), "t": lambda world, which: world.steps("t")},
    "Policy*": {"choices": (3, 4, 5)},
    "choose": {"logits": logits, "times": TIMES},
    "entropy": {"logits": logits},
    "policy_loss": {"log_prob": rows("log_prob"), "reward": rows("reward"), "baseline": (0.3, 0.0, -0.5)},
    "losses": {
        "student": student,
        "head": of_features,
        "policy": policy,
        "times": TIMES,
        "tau": (0.2, 0.1, 0.4),
        "kd_weight": (2.0, 1.0, 0.5),
        "baseline": (0.3, 0.0, -0.5),
    },
    "best": {"policy": policy, "times": TIMES},
}
NO_GRADIENT = "REINFORCE: what was earned is a number, and the teacher is frozen"
PLACES = "features are the mean over places, which rows of numbers do not have"

LEFT_OUT = {
    "gradients": {"policy_loss(reward)": NO_GRADIENT, "match(teacher)": NO_GRADIENT, "losses(x_0)": NO_GRADIENT},
    "shapes": {"Teacher.features": PLACES, "losses": PLACES},
}
