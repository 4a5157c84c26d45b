"""U-Net: a function of a layer."""

from torch import nn


def layer(world, which):
    return nn.Linear(2 + which, 3).to(world.dtype)


ARGUMENTS = {"zeroed": {"layer": layer}}
NUMBERS = "with or without a second number is another set of arguments, which a test of its own gives"
LEFT_OUT = {
    "configurations": {"UNet(second)": NUMBERS},
    "gradients": {"zeroed(layer)": "sets the layer to zero, whatever it was"},
    "arguments": {"zeroed": "sets the layer to zero in place, as its docstring says"},
}
