"""Guided distillation: a range of scales decides nothing but which scales are refused, and noise is only added."""

ENOUGH = "a range that holds the scale changes nothing"


def scales(world, which):
    return ((1.1, 4.9), (1.0, 4.85), (1.15, 5.5))[which]


def below(world, which):
    return world.between("gamma", -4.0, 0.0).double()


def above(world, which):
    return below(world, 0) + (1.0, 0.7, 1.6)[which]


ARGUMENTS = {
    "*": {"scales": scales},
    "renoise": {"gamma_next": above},
    "encode": {"N": (4, 3, 5)},
}
LEFT_OUT = {
    "configurations": dict.fromkeys(
        ("told(scales)", "sample(scales)", "sample_stochastic(scales)", "encode(scales)"), ENOUGH
    ),
}
