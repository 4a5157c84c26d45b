"""Palette: a network that sees an image beside the noisy one, and is told a level in 0..1."""

from torch import nn

from tests.implementations.general.vocabulary import Live


class Seeing(nn.Module):
    """Of y_t, gamma and x, affine in none."""

    def __init__(self, world, which):
        super().__init__()
        self.noisy, self.given = Live(f"noisy {which}", world), Live(f"given {which}", world)

    def forward(self, y_t, gamma, x):
        return self.noisy(y_t, gamma) * (1 + self.given(x))


class Beside(nn.Module):
    """Of twice the channels and a time: half of them."""

    def __init__(self, world, which):
        super().__init__()
        self.seeing = Seeing(world, which)

    def forward(self, both, t):
        x, y_t = both.chunk(2, dim=1)
        return self.seeing(y_t, t, x)


def share(world, which):
    return world.between(f"gamma {which}", 0.1, 0.9)


ARGUMENTS = {
    "loss": {"model": Seeing},
    "sample": {"model": Seeing},
    "Concatenated": {"network": Beside},
    "Concatenated.*": {"gamma": share},
}
LEFT_OUT = {
    "configurations": {
        "sample(trained)": "looked at only to refuse a process that asks for less noise than it has",
    },
}
