"""What the demo of the U-Net measures with: its control, its loss, and the linear denoiser."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from implementations.common.noise import Noise
from implementations.demos import unet as demo
from implementations.unet import UNet
from tests.implementations.toys import F64


def images(rows: int = 3) -> torch.Tensor:
    return Noise(1)(torch.empty(rows, 2, 6, 5, dtype=F64))


@pytest.mark.parametrize(("kind", "depends"), [(UNet, True), (demo.WithoutSkips, False)])
def test_without_skips_only_the_middle_passes(kind, depends):
    """Cut the way through the bottom, and the output no longer depends on the image."""
    model, draws = kind(2, width=8, multipliers=(1, 2, 3), head=8, groups=4).double().eval(), Noise(0)
    with torch.no_grad():
        for p in model.parameters():  # a new network's last layers are zero
            p.copy_(0.3 * draws(p))
        for grow in model.grow:
            grow.weight.zero_()
    x, t = images(), torch.tensor([7, 14, 21])
    assert ((model(x, t) - model(2 * x, t)).abs().max() > 1e-3) == depends


def test_without_skips_zeros_stand_where_the_skip_stood():
    h, skip = torch.randn(2, 3, 4, 6), torch.randn(2, 5, 3, 5)
    joined = demo.WithoutSkips(1).join(h, skip)
    assert torch.equal(joined, torch.cat([h[:, :, :3, :5], torch.zeros(2, 5, 3, 5)], 1))


def test_loss_is_the_mean_squared_error_from_one_noise_level():
    class Bent(nn.Module):
        def forward(self, x, t):
            assert t.shape == (5,) and (t == 1).all()
            return x.sin() + 0.3 * x.square()

    x = images(5)
    noisy = x + 0.25 * Noise(3)(x)
    error = noisy.sin() + 0.3 * noisy.square() - x
    value = demo.loss(Bent(), (x, None), Noise(3))
    torch.testing.assert_close(value, (error**2).sum() / x.numel(), rtol=1e-12, atol=0)


def test_linear_denoiser_is_the_least_squares_fit():
    """Its error over many noisy copies of the examples has no gradient in the gain: E[(guess - x) noisy^T] = 0."""
    mixing = torch.tensor([[1.0, 0.6], [0.0, 0.4]], dtype=F64)
    x = 0.5 + Noise(1)(torch.empty(50, 2, 1, 2, dtype=F64)) @ mixing
    basis = torch.eye(4, dtype=F64).reshape(4, 2, 1, 2)
    origin = demo.linear_denoiser(x, torch.zeros_like(basis[:1])).flatten()
    gain = torch.stack([g.flatten() - origin for g in demo.linear_denoiser(x, basis)])  # rows: response to a unit
    flat = x.flatten(1)
    centred = flat - flat.mean(0)
    covariance = centred.T @ centred / (len(x) - 1)
    noisy = covariance + demo.SIGMA**2 * torch.eye(4, dtype=F64)
    torch.testing.assert_close(noisy @ gain, covariance, rtol=0, atol=1e-12)
    torch.testing.assert_close(demo.linear_denoiser(x, x.mean(0, keepdim=True)).flatten(), flat.mean(0))
