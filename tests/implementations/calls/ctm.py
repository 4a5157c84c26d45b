"""CTM: levels are indices into a table that rises, and gradients stop where the paper says."""

import torch

from tests.implementations.general.vocabulary import Live


def table(world, which):
    return torch.tensor([0.05, 0.2, 0.5, 0.9, 1.6, 2.5 + which], dtype=torch.float64) * (1 + 0.1 * which)


def index(values):
    """Of each row, moved by what is asked for."""

    def given(world, which):
        rows = [0] * len(world.rows) if world.alike else list(world.rows)
        return torch.tensor(values[which])[rows]

    return given


def model(world, which):
    return Live(f"model {which}", world)


LAST = torch.linspace(0.3, 1.1, 5, dtype=torch.float64).requires_grad_()
LEVELS = {
    "table": table,
    "t": index(([5, 3, 4], [4, 5, 3], [3, 4, 5])),
    "u": index(([2, 1, 2], [1, 2, 3], [3, 0, 2])),
    "s": index(([1, 0, 2], [0, 1, 1], [2, 1, 0])),
}
SAMPLER = {"model": model, "gamma": (0.6, 0.3, 1.0)}
ARGUMENTS = {
    "draw_levels": {"table": table, "most": (3, 2, 1)},
    "solve": LEVELS,
    "consistency_loss": LEVELS,
    "denoising_loss": {"uniform": (0.6, 0.3, 0.9), "reach": (0.6, 0.4, 0.9)},
    "balance": {
        "consistency": lambda world, which: (LAST**2).sum() * (1 + which),
        "denoising": lambda world, which: LAST.sin().sum() * (1 + which),
        "last": lambda world, which: LAST,
        "most": (10.0, 0.5, 0.4),
    },
    "trajectory": SAMPLER,
    "sample": SAMPLER,
}
STILL = (
    "the last jump and the jump of the target are still, by the paper's word; test_ctm has the gradient that is left"
)
LEFT_OUT = {
    "gradients": {
        "consistency_loss(model)": STILL,
        "consistency_loss(target)": STILL,
        "consistency_loss(teacher)": STILL,
        "consistency_loss(x_0)": STILL,
    },
}
