"""PDAE: a frozen network, and what its noise is shifted by once a code is known."""

import torch

from implementations.unet import UNet
from tests.implementations.calls import diffae
from tests.implementations.calls.diffae import FEATURES, code, encoder
from tests.implementations.general.vocabulary import SCALARS, World

SMALL = {name: SCALARS[name][0] for name in ("width", "multipliers", "blocks", "attention", "head", "groups")}


def frozen(world, which):
    with torch.random.fork_rng([]):
        torch.manual_seed(which)
        return UNet(SCALARS["channels"][0], **SMALL).to(world.dtype)


def image(world, which):
    return World(world.rows, (SCALARS["channels"][0], 3, 4), world.dtype, world.alike, {"x": which}).data("x")


GIVEN = {"estimator": diffae.model, "encoder": encoder, "z": code("z")}
ARGUMENTS = {
    "coefficient": {"by": ("mean", "score", "no such choice")},
    "shifted": {**GIVEN, "by": ("mean", "score", "no such choice")},
    "weight": {"gamma": (0.3, 0.1, 0.6)},
    "loss": {**GIVEN, "gamma": (0.3, 0.1, 0.6)},
    "encode": GIVEN,
    "decode": GIVEN,
    "GradientEstimator": {"frozen": frozen, "code": (FEATURES, 5, 7)},
    "GradientEstimator.forward": {"x": image, "z_sem": code("z_sem")},
}
LEFT_OUT = {
    "configurations": {
        "GradientEstimator.train(mode)": "it says what dropout does, and no weight; a test of its own looks"
    }
}
