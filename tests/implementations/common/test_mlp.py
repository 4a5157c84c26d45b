"""The perceptron: what its output is, what it depends on, and where it starts."""

import numpy as np
import pytest
import torch
from torch.func import functional_call

from implementations.common.mlp import MLP
from implementations.common.noise import Noise

F64 = torch.float64


def awake(model: MLP) -> MLP:
    """All parameters random, so that layers that start at zero hide nothing."""
    generator = torch.Generator().manual_seed(0)
    for p in model.parameters():
        p.data = torch.randn(p.shape, generator=generator, dtype=p.dtype) * 0.3
    return model


def silu(a: np.ndarray) -> np.ndarray:
    return a / (1 + np.exp(-a))


def test_shapes_and_start_at_zero():
    x, t = Noise(0)(torch.empty(5, 2)), torch.arange(1, 6)
    assert torch.equal(MLP(2)(x, t), torch.zeros(5, 2))
    assert MLP(2, 7, classes=3)(x, t, torch.tensor([0, 1, 2, 0, 1])).shape == (5, 7)


@pytest.mark.parametrize(("depth", "classes", "second"), [(1, 0, False), (2, 3, False), (2, 3, True)])
def test_the_output_is_that_of_residual_blocks_conditioned_between_their_layers(depth, classes, second):
    model = awake(MLP(2, 3, width=6, depth=depth, classes=classes, second=second).double())
    x, t = Noise(0)(torch.empty(4, 2, dtype=F64)), torch.tensor([1, 7, 300, 999])
    y = torch.tensor([2, 0, 1, 2]) if classes else None
    s = torch.tensor([30, 2, 5, 8]) if second else None
    W = {name: p.detach().numpy() for name, p in model.named_parameters()}

    def layer(name: str, a: np.ndarray) -> np.ndarray:
        return a @ W[f"{name}.weight"].T + W[f"{name}.bias"]

    def norm(name: str, a: np.ndarray) -> np.ndarray:
        centred = a - a.mean(1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5) * W[f"{name}.weight"] + W[f"{name}.bias"]

    c = silu(model.condition(t, y, s).detach().numpy())
    h = layer("inlet", x.numpy())
    for k in range(depth):
        b = f"blocks.{k}"
        inner = layer(f"{b}.inner", silu(norm(f"{b}.norm", h))) + layer(f"{b}.condition", c)
        h = h + layer(f"{b}.outer", silu(inner))
    expected = layer("outlet", silu(norm("norm", h)))
    assert np.abs(model(x, t, y, s).detach().numpy() - expected).max() < 1e-12


@pytest.mark.parametrize(("width", "depth", "classes"), [(128, 3, 0), (16, 5, 4)])
def test_every_depth_has_parameters_of_its_own(width, depth, classes):
    """Three layers and a norm a block; condition, inlet, norm and outlet around them."""
    model = MLP(2, 3) if width == 128 else MLP(2, 3, width=width, depth=depth, classes=classes)
    square = width * width + width
    around = (64 * width + width) + square + classes * width + (2 * width + width) + 2 * width + (3 * width + 3)
    assert sum(p.numel() for p in model.parameters()) == around + depth * (3 * square + 2 * width)


def test_depends_on_x_t_and_y_row_by_row():
    model = awake(MLP(2, width=16, classes=3))
    x, t, y = Noise(0)(torch.empty(4, 2)), torch.arange(1, 5), torch.tensor([0, 1, 2, 0])
    base = model(x, t, y)
    for other in (model(x + 0.1, t, y), model(x, t + 1, y), model(x, t, (y + 1) % 3)):
        assert (other - base).abs().amax(1).min() > 1e-4
    torch.testing.assert_close(torch.cat([model(x[:2], t[:2], y[:2]), model(x[2:], t[2:], y[2:])]), base)
    x[1] += 1
    assert torch.equal(model(x, t, y)[[0, 2, 3]], base[[0, 2, 3]])


def test_a_block_is_the_identity_at_the_start():
    model = MLP(2, width=16, depth=2)
    h, c = Noise(0)(torch.empty(3, 16)), Noise(1)(torch.empty(3, 16))
    assert torch.equal(model.blocks[0](h, c), h)


def test_derivatives_reach_every_parameter_and_x_and_are_those_of_finite_differences():
    model = awake(MLP(2, width=4, depth=2, classes=2).double())
    names, values = zip(*model.named_parameters(), strict=True)
    x = Noise(0)(torch.empty(2, 2, dtype=F64)).requires_grad_()

    def outputs(x, *values):
        parameters = dict(zip(names, values, strict=True))
        return functional_call(model, parameters, (x, torch.tensor([1, 2]), torch.tensor([1, 0])))

    assert torch.autograd.gradcheck(outputs, (x, *values), fast_mode=True)
    outputs(x, *values).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in (x, *values))
