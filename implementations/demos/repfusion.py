"""What the demo does, in a sentence."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from implementations import repfusion
from implementations.common.noise import Noise
from implementations.demos.recipes import dataset, unet
from implementations.lab import pictures
from implementations.lab.demo import Claim, Demo, Figure, Run, once
from implementations.lab.training import Batch, Trained, train
from implementations.verification.twosample import energy_distance

# Data: Demo(data=...) lists what the demo takes; by default images: digits, mnist, fashion-mnist, cifar10.
# Points: data=("mixture",), "swiss-roll" or "moons", common.mlp.MLP(2) as network, pictures.scatter as picture; the law
# of the mixture is lab.data.mixture_parameters().  Networks want t in steps of about 1: multiply one in [0, 1] by 1000.
# What several demos share stands in demos/recipes.py.

STEPS = 50
"""Of sampling."""


@once
def network(run: Run) -> Trained:
    """What is trained, and on what."""
    images = dataset(run)
    torch.manual_seed(run.seed)

    def of_batch(model: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        return repfusion.loss(model, batch[0], noise=noise)

    options = {"steps": run.steps, "batch_size": 32, "lr": 4e-3, "anneal": True, "ema": 0.99}
    return train(unet(images), of_batch, images, name="repfusion", **options, **run.training)


@once
def samples(run: Run) -> Tensor:
    x_T = Noise(run.seed)(dataset(run).x_test[:64].to(run.device))
    return repfusion.sample(network(run).model, x_T, STEPS, noise=Noise(run.seed + 1))


def law(run: Run) -> Claim:
    """A claim is a function; `kb verify repfusion --claim law` runs it alone.  Its control must fail the same bound."""
    images, held_out = dataset(run), dataset(run).x_test[:200]
    noise = Noise(run.seed + 2)(images.x_test[:64])
    return Claim(
        statement="energy distance from samples to held-out images",
        value=energy_distance(samples(run), held_out),
        bound=0.3,
        relation="<=",
        control=energy_distance(noise, held_out),
        control_is="noise: the paper's own idea taken away makes a better control",
        of="the section, table or figure of the paper that says so",
    )


def sheet(run: Run) -> Figure:
    return Figure(
        alt=f"64 samples after training on {run.data}: say what one sees.",
        image=pictures.contact_sheet(samples(run), columns=8, width=300),
    )


DEMO = Demo(
    claims=(law,),
    figures=(sheet,),
    network=network,
    steps=280,
    network_evaluations=STEPS,
)
