"""What EDM's demo measures with, against exact transport and DDIM; its network and its controls, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from implementations import ddim, ddpm, edm
from implementations.common.noise import Noise
from implementations.common.rows import per_row
from implementations.demos import edm as demo
from implementations.lab.data import load
from implementations.lab.training import Trained
from implementations.unet import UNet
from implementations.verification.sample_measures import memorisation
from tests.implementations.toys import F64, lively

LEVELS = torch.logspace(-3, 2, 60, dtype=F64)


def normal(*shape):
    return Noise(0)(torch.empty(*shape, dtype=F64))


class Lively(nn.Module):
    def forward(self, x, c):
        return lively(x, 14 * c)


# solvers


@pytest.mark.parametrize(("spacing", "power"), [("linear", 1), ("quadratic", 2)])
@pytest.mark.parametrize("steps", [1, 20, 35, 79])
def test_euler_on_the_levels_of_a_chain_is_ddim(spacing, power, steps):
    """Twenty quadratic timesteps hold 2.5, which only double precision rounds as DDIM's do."""
    process = ddpm.linear_schedule()
    tau = ddim.timesteps(1000, steps, spacing)
    sigmas = demo.ddim_levels(steps, power)
    assert torch.equal(sigmas, demo.ddim_levels(steps)) == (power == 1 or steps == 1)  # even timesteps are the default
    level = {float(sigma): t for sigma, t in zip(sigmas, tau.flip(0).tolist(), strict=False)}

    def eps(x, t):
        return torch.sin(1.3 * x + 0.01 * per_row(t, x)) + 0.2 * x

    def D(x, sigma):
        t = torch.tensor([level[float(v)] for v in sigma])
        return x - per_row(sigma, x) * eps(x / per_row((1 + sigma**2).sqrt(), x), t)

    x_T = normal(4, 2)
    theirs = ddim.sample(eps, process, x_T, tau)
    high = sigmas[0]
    ours = edm.sample(D, x_T * (1 + high**2).sqrt() / high, sigmas, solver="euler")
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("way", demo.WAYS)
def test_every_way_spends_what_it_is_given(way):
    asked = []
    sigmas, solver = demo.WAYS[way](35)
    edm.sample(lambda x, sigma: asked.append(1) or x, torch.zeros(1, 1), sigmas, solver=solver)
    assert len(asked) == 35 if way != "DDIM, quadratic" else 30 < len(asked) <= 35  # where steps merge


# the network, and what it is wrapped in


def small():
    return demo.Network(1, width=8, head=8, groups=4, multipliers=(1,), attention=())


def test_network_gets_c_noise_as_a_thousand_steps():
    torch.manual_seed(0)
    network = small()
    for p in network.parameters():  # a new network's last layers are zero, and it does not see its condition
        nn.init.normal_(p, std=0.3)
    x, c = torch.randn(2, 1, 4, 4), torch.tensor([-1.5, 0.3])
    expected = UNet.forward(network, x, torch.tensor([-1500.0, 300.0]))
    torch.testing.assert_close(network(x, c), expected, rtol=0, atol=1e-6)
    near = UNet.forward(network, x, torch.tensor([-1499.0, 300.0]))[0]
    assert (near - expected[0]).abs().max() > 1e-2  # what is compared depends on c_noise


@pytest.mark.parametrize(
    ("kind", "departs", "reaches"),
    [
        # by hand, for images of standard deviation s: (s^2 + sigma^2) c_in^2 = 1, c_out/s = sigma / (s^2 + sigma^2)^.5
        (edm.Denoiser, lambda s: 0.0, lambda s: 80 / (s**2 + 80**2) ** 0.5),
        # c_in^2 = 1 / (1 + sigma^2), at the least sigma, and c_out = -sigma
        (demo.NoisePredicting, lambda s: 1 - s**2, lambda s: 80 / s),
    ],
)
def test_what_is_measured_of_scalings(monkeypatch, kind, departs, reaches):
    run = demo.DEMO.run(seed=3)
    s = demo.sigma_data(run)
    monkeypatch.setattr(demo, "network", lambda run: Trained(edm.Denoiser(Lively(), s), [], 0.0))
    departure, reached = demo.measured(run, kind)
    # the held-out images' own variance is not quite that of the training images
    assert departure == pytest.approx(departs(s), abs=0.05)
    assert reached == pytest.approx(reaches(s), rel=1e-4)


def test_controls_see_the_noise_level_as_the_denoiser_does():
    c_noise = edm.Denoiser(Lively()).scalings(LEVELS)[3]
    for control in (demo.Unscaled, demo.NoisePredicting):
        assert torch.equal(control(Lively()).scalings(LEVELS)[3], c_noise)
    x = normal(60, 1)
    assert torch.equal(demo.Unscaled(Lively())(x, LEVELS), Lively()(x, c_noise))
    eps = Lively()(x / (1 + LEVELS[:, None] ** 2).sqrt(), c_noise)
    torch.testing.assert_close(demo.NoisePredicting(Lively())(x, LEVELS), x - LEVELS[:, None] * eps)


def test_loss_by_level_of_an_untrained_network_is_one():
    """Of 3200 normal numbers: a mean of squares has the standard error sqrt(2 / 3200)."""
    y = 0.6 * normal(200, 1, 4, 4).float()
    levels = torch.tensor([0.01, 0.5, 20.0], dtype=F64)
    denoiser = edm.Denoiser(small(), 0.6)
    found, again, other = (demo.loss_by_level(denoiser, y, levels, 0.6, seed=s) for s in (1, 1, 2))
    assert found == pytest.approx([1.0] * 3, abs=5 * math.sqrt(2 / 3200))
    assert found == again and not set(found) & set(other)
    told = []
    demo.loss_by_level(lambda x, sigma: told.append(sigma) or x, y, levels, 0.6, seed=1)
    torch.testing.assert_close(torch.stack(told), levels[:, None].expand(3, 200).float())


@pytest.mark.slow
def test_samples_copy_nothing():
    digits = load("digits")
    assert memorisation(demo.drawn(demo.DEMO.run()), digits.x, digits.x_test).copies < 0.05
