"""Self-discovery: a network with a waist, prompts by number, and a vector of the waist's shape."""

from torch import nn

from implementations.common.rows import per_row
from implementations.common.waist import Waist
from tests.implementations.general.vocabulary import Live

SHAPE = (2, 1, 2)


class Narrow(nn.Module):
    """`Live`, to whose image it adds what it makes of four features in its middle."""

    def __init__(self, world):
        super().__init__()
        self.network, self.middle = Live("model", world), nn.ModuleList()
        self.narrow = nn.Parameter(world.numbers("narrow", 4))
        self.waist = Waist(self.middle)

    def forward(self, x, t, y):
        h = self.narrow.to(x.dtype)[None] * x.flatten(1).sum(1, keepdim=True).sin()
        h = self.waist(h.view(-1, *SHAPE)).flatten(1)
        said = h.sin().sum(1) + 0.3 * (h**2).sum(1)
        return self.network(x, t, y) + per_row(said, x) * x.cos()


MADE: list[Narrow] = []
"""The network that was made last: model and waist of a call belong together."""


def model(world, which):
    MADE[:] = [Narrow(world).to(world.dtype)]
    return MADE[0]


def waist(world, which):
    return Waist(nn.ModuleList()) if which else MADE[0].waist


def vector(world, which):
    return world.numbers("c", *SHAPE)


def steps(world, which):
    return world.steps("t")


def prompts(world, which):
    return (world.labels("y") + which) % 3


def a_batch(world, which):
    """Noise in a test has a stream for each row."""
    return len(world.rows) + which


ARGUMENTS = {
    "*": {"model": model, "waist": waist, "c": vector, "t": steps, "t_from": (3, 4, 6), "y": prompts},
    "steered": {"null": (0, 1, 2)},
    "discover": {"steps": (3, 2, 4), "batch_size": a_batch, "lr": (0.2, 0.3, 0.4)},
    "evenly": {"concepts": lambda world, which: world.numbers("concepts", 4, *SHAPE)},
}
LEFT_OUT = {
    "draws": {"discover": "all images together give one vector"},
    "configurations": {
        "discover(waist)": "that of another network is refused",
        "discover(batch_size)": "noise with a stream for each row refuses another number of rows",
    },
}
