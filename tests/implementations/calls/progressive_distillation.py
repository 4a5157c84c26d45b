"""Progressive distillation: rounds of training, and targets that stand as numbers."""

import torch


def fit(world, which):
    def moved(round_):
        with torch.no_grad():
            for parameter in round_.student.parameters():
                parameter += 0.1 * (1 + which)
        return round_.student

    return moved


COUNTS = {"N": (12, 24, 48), "last": (3, 6, 12)}
ARGUMENTS = {"halvings": COUNTS, "distill": COUNTS | {"fit": fit}}
TARGET = (
    "the target is a number, found by two steps of the teacher from the same z: only the student's error is learned"
)
LEFT_OUT = {
    "finite": {"levels": "the data are the level of no noise, gamma = -inf"},
    "gradients": dict.fromkeys(("distillation_loss(x)", "distillation_loss(teacher)", "Round.forward(x)"), TARGET),
    "configurations": {"Round.train(mode)": "returns the round itself: what changes is whether layers drop out"},
}
