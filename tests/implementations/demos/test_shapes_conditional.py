"""The network of the small world that is told words: as one with classes, but for vectors that are no class."""

import torch

from implementations.common.noise import Noise
from implementations.demos.shapes.conditional import GROUNDS, HUES, Told, words
from implementations.demos.shapes.network import PROCESS, NoiseOfVelocity
from implementations.lab.data.shapes import draw, render
from implementations.unet import UNet

SIZES = {"width": 8, "multipliers": (1, 2), "attention": (), "groups": 4}


def awake(network):
    """With all that starts at zero set to something."""
    for k, parameter in enumerate(network.parameters()):
        with torch.no_grad():
            parameter += 0.1 * Noise(k)(parameter)
    return network


def test_a_vector_is_added_to_that_of_the_time_as_a_class_is():
    torch.manual_seed(0)
    with_classes = awake(UNet(3, classes=4, **SIZES))
    told = Told(UNet(3, **SIZES), PROCESS.abar, width=32)
    weights = {name: w for name, w in with_classes.state_dict().items() if name != "condition.label.weight"}
    told.noise.network.load_state_dict(weights)
    x, t, y = Noise(0)(torch.empty(4, 3, 8, 8)), torch.tensor([1, 300, 700, 1000]), torch.tensor([0, 3, 1, 1])
    expected = NoiseOfVelocity(with_classes, PROCESS.abar)(x, t, y)
    torch.testing.assert_close(told(x, t, with_classes.condition.label.weight[y]), expected)  # pyright: ignore[reportOptionalMemberAccess]
    c = torch.zeros(4, 32, requires_grad=True)
    (slope,) = torch.autograd.grad(told(x, t, c).square().sum(), c)
    assert slope.abs().sum(1).gt(0).all()


def test_a_prompt_is_the_sum_of_its_words_either_of_which_may_say_nothing():
    told = Told(UNet(3, **SIZES), PROCESS.abar, width=32)
    assert told.hue.weight.shape == (HUES + 1, 32) and told.ground.weight.shape == (GROUNDS + 1, 32)
    found = told.prompt(torch.tensor([2, HUES, 0]), torch.tensor([1, 0, GROUNDS]))
    rows = [told.hue.weight[h] + told.ground.weight[g] for h, g in ((2, 1), (3, 0), (0, 2))]
    torch.testing.assert_close(found, torch.stack(rows), rtol=0, atol=0)


def test_words_are_what_images_show():
    factors = draw(300, seed=5)
    hue, ground = words(render(factors))
    assert torch.equal(hue, (3 * factors.hue).round().long() % 3)
    assert torch.equal(ground, (factors.ground > -0.4).long())
