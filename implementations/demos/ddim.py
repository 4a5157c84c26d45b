"""Takes a DDPM, samples it in few steps, encodes and decodes images, and walks between two codes."""

from __future__ import annotations

import torch
from torch import Tensor

from implementations.common.noise import Noise
from implementations.ddim import encode, sample, slerp, timesteps
from implementations.ddpm import linear_schedule
from implementations.demos.ddpm import network
from implementations.demos.recipes import dataset
from implementations.lab import pictures
from implementations.lab.demo import Claim, Demo, Figure, Run, once
from implementations.verification.impulses import moments
from implementations.verification.oracles import Gaussian
from implementations.verification.twosample import energy_distance

PROCESS = linear_schedule()


def held_out(run: Run) -> Tensor:
    return dataset(run).x_test[:200].to(run.device)


@once
def codes(run: Run) -> Tensor:
    """An x_T for each held-out image."""
    return Noise(run.seed)(held_out(run))


@once
def samples(run: Run, steps: int, eta: float = 0.0) -> Tensor:
    """What the network makes of the codes in so many steps."""
    tau = timesteps(PROCESS.T, steps)
    return sample(
        network(run).model, PROCESS, codes(run), tau, eta=eta, clip=dataset(run).range, noise=Noise(run.seed + 1)
    )


def few_steps(run: Run) -> Claim:
    return Claim(
        statement="energy distance from samples of five steps to held-out images",
        value=energy_distance(samples(run, 5), held_out(run)),
        bound=0.3,
        relation="<=",
        control=energy_distance(samples(run, 5, eta=1.0), held_out(run)),
        control_is="five ancestral steps (eta = 1) of the same network from the same x_T",
        of="Table 1: with few steps, smaller eta gives better samples",
    )


def spread(run: Run) -> Claim:
    sd = 0.5
    exact, tau = Gaussian(0.0, sd**2).model(PROCESS.abar), timesteps(PROCESS.T, 10, "quadratic")

    def share_left(eta: float) -> float:
        found = moments(lambda x, noise: sample(exact, PROCESS, x, tau, eta=eta, noise=noise))
        return found.std.item() / sd

    return Claim(
        statement="standard deviation after ten steps over that of Gaussian data, with its exact denoiser, exactly",
        value=share_left(0.0),
        bound=0.8,
        relation=">=",
        control=share_left(1.0),
        control_is="ten ancestral steps (eta = 1) over the same, quadratic, timesteps",
        of="Table 1, in the case where its figure is known exactly",
    )


def reconstruction(run: Run) -> Claim:
    model, images = network(run).model, held_out(run)[:64]

    def error(steps: int) -> float:
        tau = timesteps(PROCESS.T, steps)
        returned = sample(model, PROCESS, encode(model, PROCESS, images, tau), tau)
        return ((returned - images) / 2).square().mean().item()  # of images in [0, 1], as the paper has it

    return Claim(
        statement="mean squared error per pixel after encoding and decoding in 100 steps each, images in [0, 1]",
        value=error(100),
        bound=0.002,
        relation="<=",
        control=error(10),
        control_is="encoding and decoding in 10 steps each",
        of="Table 2: the reconstruction error falls with the number of steps",
    )


def sheets(run: Run) -> Figure:
    model, x_T = network(run).model, codes(run)
    walk = [slerp(x_T[:8], x_T[8:16], weight) for weight in torch.linspace(0, 1, 8, device=run.device)]
    tau = timesteps(PROCESS.T, 50)
    between = [sample(model, PROCESS, code, tau, clip=dataset(run).range) for code in walk]
    panels = {
        "ten DDIM steps": pictures.contact_sheet(samples(run, 10)[:64], columns=8, width=300),
        "ten ancestral steps": pictures.contact_sheet(samples(run, 10, eta=1.0)[:64], columns=8, width=300),
        "from one code to another": pictures.strip(between, width=300),
    }
    return Figure(
        alt=f"64 samples after training on {run.data} by ten deterministic steps; 64 by ten ancestral steps, blurred; "
        "and eight rows in which one sample turns smoothly into another as its code moves along the great circle.",
        image=pictures.beside(panels),
    )


DEMO = Demo(
    claims=(few_steps, spread, reconstruction),
    figures=(sheets,),
    network=network,
    steps=280,
    network_evaluations=10,
)
