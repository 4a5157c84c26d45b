"""Removes noise from images, with the skips and without them, beside the best linear denoiser."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from implementations.common.noise import Noise
from implementations.demos.recipes import dataset
from implementations.lab import pictures
from implementations.lab.demo import Claim, Demo, Figure, Run, once
from implementations.lab.training import Batch, Trained, train
from implementations.unet import UNet

SIGMA = 0.25
"""Of the noise, on data in [-1, 1]."""


class WithoutSkips(UNet):
    """The control: the same layers, with zeros in place of what is handed across."""

    def join(self, h: Tensor, skip: Tensor) -> Tensor:
        return super().join(h, torch.zeros_like(skip))


def loss(model: nn.Module, batch: Batch, noise: Noise) -> Tensor:
    """Squared error of the clean image guessed from a noisy one, averaged over pixels."""
    x, _ = batch
    return (model(x + SIGMA * noise(x), x.new_ones(len(x))) - x).square().mean()


@once
def network(run: Run, kind: type[UNet] = UNet) -> Trained:
    images = dataset(run)
    torch.manual_seed(run.seed)
    denoiser = kind(images.shape[0], width=16, head=16)
    name = "unet-with" if kind is UNet else "unet-without"
    options = {"steps": run.steps, "lr": 2e-3, "anneal": True, "ema": 0.98}
    return train(denoiser, loss, images, name=name, **options, **run.training)


def clean(run: Run) -> Tensor:
    return dataset(run).x_test[:1000].to(run.device)


@once
def noisy(run: Run) -> Tensor:
    return clean(run) + SIGMA * Noise(run.seed)(clean(run))


@once
@torch.no_grad()
def denoised(run: Run, kind: type[UNet] = UNet) -> Tensor:
    x = noisy(run)
    return network(run, kind).model(x, x.new_ones(len(x)))


def linear_denoiser(x: Tensor, noisy: Tensor) -> Tensor:
    """The best affine guess of clean images from noisy ones, by the mean and covariance of examples x: (N, ...)."""
    flat = x.flatten(1).double()
    mean, covariance = flat.mean(0), torch.cov(flat.T)
    of_noise = SIGMA**2 * torch.eye(len(mean), dtype=mean.dtype, device=x.device)
    gain = torch.linalg.solve(covariance + of_noise, covariance)
    return (mean + (noisy.flatten(1).double() - mean) @ gain).reshape(noisy.shape).to(x.dtype)


def skips(run: Run) -> Claim:
    def error(guess: Tensor) -> float:
        return (guess - clean(run)).square().mean().item()

    linear = error(linear_denoiser(dataset(run).x.to(run.device), noisy(run)))
    return Claim(
        statement="error of the denoised images, as a share of that of the best linear denoiser",
        value=error(denoised(run)) / linear,
        bound=0.85,
        relation="<=",
        control=error(denoised(run, WithoutSkips)) / linear,
        control_is="the same network, trained alike, with zeros in place of the skips",
        of="section 2: the expanding path is concatenated with the features of the contracting one",
    )


def sheets(run: Run) -> Figure:
    shown = {
        "clean": clean(run),
        "noisy": noisy(run),
        "U-Net": denoised(run),
        "without skips": denoised(run, WithoutSkips),
    }
    panels = {title: pictures.contact_sheet(x[:20], columns=4, width=230) for title, x in shown.items()}
    return Figure(
        alt=f"Twenty test images of {run.data}: clean; with noise of standard deviation {SIGMA}; denoised by the "
        "U-Net, close to the clean ones; denoised without skips, blurred.",
        image=pictures.beside(panels),
    )


DEMO = Demo(claims=(skips,), figures=(sheets,), network=network, steps=200)
