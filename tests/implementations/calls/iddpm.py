"""Improved DDPM: a history of losses."""

import torch


def with_history(importance):
    T, size = importance.losses.shape
    for k in range(size):
        importance.record(torch.arange(1, T + 1), 0.5 + (torch.arange(T, dtype=torch.float64) * (k + 2)).sin() ** 2)


ARGUMENTS = {"Importance.record": {"t": lambda world, which: world.steps("t") % 4 + 1}}
BUILT = {"Importance": with_history}
HISTORY = "keeps the losses it is told: that is what it is for"
STOPPED = "the bound must not move the mean: its gradient is stopped there (section 3.1)"
LEFT_OUT = {
    "gradients": {"hybrid_loss(model)": STOPPED, "hybrid_loss(x_0)": STOPPED},
    "draws": {"Importance.record": HISTORY},
    "arguments": {"Importance": HISTORY, "Importance.record": HISTORY, "bound_loss": HISTORY},
}
