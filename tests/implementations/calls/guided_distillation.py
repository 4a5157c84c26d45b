"""Guided distillation: targets that stand as numbers, a range that only refuses, and noise that is only added."""

ENOUGH = "a range that holds the scale changes nothing"
TARGET = "the target is a number, which the teacher finds from the same z: only the student's error is learned"
LOSSES = ("stage_one_loss", "stage_two_loss", "stochastic_stage_two_loss")


def scales(world, which):
    return ((1.1, 4.9), (1.0, 4.85), (1.15, 5.5))[which]


def above(world, which):
    return world.between("gamma", -4.0, 3.0).double() + (1.0, 0.7, 1.6)[which]


ARGUMENTS = {"*": {"scales": scales}, "renoise": {"gamma_next": above}}
LEFT_OUT = {
    "gradients": {f"{loss}({argument})": TARGET for loss in LOSSES for argument in ("x", "teacher")},
    "configurations": dict.fromkeys(
        ("told(scales)", "sample(scales)", "sample_stochastic(scales)", "encode(scales)"), ENOUGH
    ),
}
