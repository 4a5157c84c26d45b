"""A demo whose figures are arithmetic, for tests of what runs demos.  It counts how often it trains."""

from __future__ import annotations

import torch
from torch import nn

from implementations.lab.data import Dataset
from implementations.lab.demo import Claim, Curve, Demo, Figure, Run, once
from implementations.lab.networks import train_or_load
from implementations.lab.training import Trained

POINTS = Dataset("points", torch.zeros(8, 2), None, torch.zeros(4, 2), None, None, (-1.0, 1.0))
trainings: list[Run] = []


@once
def network(run: Run) -> Trained:
    """Learns nothing: its weights are what the seed made them."""
    torch.manual_seed(run.seed)

    def loss(model, batch, noise):
        if not trainings or trainings[-1] is not run:
            trainings.append(run)
        return 0 * model(batch[0]).sum()

    return train_or_load(network, run, nn.Linear(2, 1), loss, POINTS, name="toy", batch_size=4)


def error(run: Run) -> Claim:
    return Claim(
        statement="It is small.",
        value=0.1 + 0.01 * run.seed,
        bound=0.2,
        relation="<=",
        control=0.5 - 0.1 * run.seed,
        control_is="no idea",
        of="section 1",
    )


def weight_left(run: Run) -> Claim:
    weight = network(run).model.weight.abs().sum().item()
    return Claim(
        statement="The weights are there.",
        value=weight,
        bound=0.0,
        relation=">=",
        control=-1.0,
        control_is="nothing",
        of="section 2",
    )


def dots(run: Run) -> Figure:
    return Figure(alt="Dots on a line.", image=torch.linspace(0, 1, 12).reshape(3, 4))


def more(run: Run) -> Figure:
    return Figure(alt="More dots.", image=torch.rand(6, 8, 3))


def slope(run: Run) -> Curve:
    return Curve(across="steps", up="error", lines={"ours": ([1, 2], [1.0 + run.seed, 0.5])})


DEMO = Demo(
    claims=(error, weight_left),
    figures=(dots, more),
    curves=(slope,),
    network=network,
    steps=3,
    data=("dots", "rings"),
    network_evaluations=lambda run: 2 * run.steps,
)
