"""Diffusion autoencoders: codes, encoders that make them, and models that are told them."""

from dataclasses import replace

import torch

from implementations.diffae import Scale
from tests.implementations.general.vocabulary import Live, World

FEATURES = 6


def code(name):
    return lambda world, which: replace(world, others={name: which}).per_row(name, FEATURES)


def model(world, which):
    """Live, and told a code."""
    network = Live("model", replace(world, others={"model": which}))
    weights = torch.arange(1.0, FEATURES + 1)

    def told(x, t, z):
        said = (z * weights.to(z)).sum(1).sin() + z.square().sum(1)
        return network(x + said.to(x).reshape(-1, *[1] * (x.ndim - 1)), t)

    return told


def encoder(world, which):
    plain = World(others={"encoder": which})

    def told(x):
        return (x.flatten(1) @ plain.numbers("encoder", FEATURES, x[0].numel()).to(x).T / 4).tanh()

    return told


def scale(world, which):
    return Scale(
        World(others={"mean": which}).numbers("mean", FEATURES).to(world.dtype),
        0.5 + World(others={"sd": which}).numbers("sd", FEATURES).abs().to(world.dtype),
    )


def attribute(world, which):
    return torch.tensor(([0, 1, 1, 0], [1, 0, 1, 0], [0, 0, 0, 1])[which])


def rows(name):
    return lambda world, which: World(others={name: which}).numbers(name, 4, FEATURES).to(world.dtype)


def told(world, which):
    return world.per_row("c", 5 + 2 * FEATURES) + which


def prior(world, which):
    return Live("prior", replace(world, shape=(FEATURES,), others={"prior": which}))


NUMBERS = {"code": (FEATURES, 5, 7)}
ARGUMENTS = {
    "SemanticBlock": {**NUMBERS, "time": (5, 6, 7)},
    "SemanticBlock.forward": {"c": told},
    "SemanticEncoder": {**NUMBERS, "side": (1, 2, 3)},
    "ConditionalUNet": NUMBERS,
    "ConditionalUNet.forward": {"z_sem": code("z_sem")},
    "LatentNetwork": {"depth": (3, 2, 4)},
    "given": {"model": model, "z_sem": code("z_sem")},
    "loss": {"model": model, "encoder": encoder},
    "encode": {"model": model, "encoder": encoder},
    "decode": {"model": model, "z_sem": code("z_sem")},
    "Scale.*": {"z": code("z")},
    "Scale": {
        "mean": lambda world, which: scale(world, which).mean,
        "sd": lambda world, which: scale(world, which).sd,
    },
    "classifier": {"z": rows("z"), "y": attribute, "scale": scale, "decay": (0.3, 0.1, 0.9)},
    "edit": {
        "z": code("z"),
        "w": lambda world, which: World(others={"w": which}).numbers("w", FEATURES).to(world.dtype),
        "s": (0.3, -0.2, 0.7),
        "scale": scale,
    },
    "sample_code": {"prior": prior, "scale": scale, "z_T": code("z_T")},
}
SIZED = "a network for codes of another size takes other codes, which a test of its own gives"
LEFT_OUT = {
    "configurations": {
        "SemanticBlock(time)": SIZED,
        "SemanticBlock(code)": SIZED,
        "ConditionalUNet(code)": SIZED,
    }
}
