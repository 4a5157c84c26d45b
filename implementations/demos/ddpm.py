"""Trains on images, with L_simple and with the bound's own weights, and samples by all T = 1000 steps."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from implementations.common.noise import Noise
from implementations.ddpm import NoiseModel, bound_loss, linear_schedule, loss, sample
from implementations.demos.recipes import dataset, unet
from implementations.lab import pictures
from implementations.lab.demo import Claim, Demo, Figure, Run, once
from implementations.lab.networks import train_or_load
from implementations.lab.training import Batch, Trained
from implementations.verification.sample_measures import memorisation


@once
def network(run: Run, objective: Callable[..., Tensor] = loss) -> Trained:
    """A U-Net trained on images with the schedule of the paper, by L_simple or by another objective of its form."""
    process, images = linear_schedule(), dataset(run)
    torch.manual_seed(run.seed)

    def of_batch(model: NoiseModel, batch: Batch, noise: Noise) -> Tensor:
        return objective(model, process, batch[0], noise=noise)

    options = {"batch_size": 32, "lr": 4e-3, "anneal": True, "ema": 0.99}
    return train_or_load(network, run, unet(images), of_batch, images, name=f"ddpm-{objective.__name__}", **options)


@once
def samples(run: Run) -> tuple[Tensor, Tensor]:
    """32 images by all T steps, of the network trained on the bound and of that trained on L_simple, from one x_T."""
    models = [network(run, objective=objective).model for objective in (bound_loss, loss)]
    x_T, process = Noise(run.seed)(dataset(run).x_test[:64].to(run.device))[:32], linear_schedule()

    def of(model: NoiseModel) -> Tensor:
        return sample(model, process, x_T, noise=Noise(run.seed + 1))

    with ThreadPoolExecutor() as side_by_side:
        weighted, simple = side_by_side.map(of, models)
    return weighted, simple


def simple_loss(run: Run) -> Claim:
    images = dataset(run)
    weighted, simple = (memorisation(x, images.x, images.x_test).ratio for x in samples(run))
    return Claim(
        statement="median distance from a sample to the nearest training image, over that of held-out images",
        value=simple,
        bound=1.75,
        relation="<=",
        control=weighted,
        control_is="the same network, trained as long, on the bound's weighting of the same error (Eq. 12)",
        of="section 3.4 and Table 2: the loss without weights gives the better samples",
    )


def no_copies(run: Run) -> Claim:
    images, (_, simple) = dataset(run), samples(run)
    return Claim(
        statement="share of samples that are nearer to a training image than all but 1 % of the held-out images are",
        value=memorisation(simple, images.x, images.x_test).copies,
        bound=0.1,
        relation="<=",
        control=memorisation(images.x[: len(simple)], images.x, images.x_test).copies,
        control_is="training images in place of samples, which would pass as good samples by their distance alone",
        of="the figures of nearest neighbours in the appendix",
    )


def sheets(run: Run) -> Figure:
    weighted, simple = samples(run)
    shown = {"samples": simple, "held-out data": dataset(run).x_test[:64], "trained on the bound": weighted}
    panels = {title: pictures.contact_sheet(x, columns=8, width=300) for title, x in shown.items()}
    return Figure(
        alt=f"32 samples after training on {run.data} with the simple loss, beside 64 held-out images, which they "
        "resemble, and 32 samples of the same network trained on the weighted bound, which are rougher.",
        image=pictures.beside(panels),
    )


DEMO = Demo(
    claims=(simple_loss, no_copies),
    figures=(sheets,),
    network=network,
    steps=280,
    network_evaluations=1000,
)
