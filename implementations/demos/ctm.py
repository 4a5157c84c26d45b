"""Distils the ODE of points, and a denoiser of digits, into jumps between any two levels; samples in one to sixteen.

The paper's figures improve with more jumps at gamma = 0.  In the plane that does not show: one jump or sixteen end as
near to where the ODE does, a fifth of a standard deviation.  What holds is that sixteen lose nothing, for which the
denoising loss is needed, and that jumps keep to their path, which gamma = 1 leaves.  In so few updates the eight modes
are not told apart: samples lie on a ring.  How much the target is averaged made no difference at this size.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from implementations import ctm, edm
from implementations.common.mlp import MLP
from implementations.common.noise import Noise
from implementations.common.rows import for_all, per_row
from implementations.consistency_models import WithTarget, levels
from implementations.demos.edm import Network as ImageNetwork
from implementations.demos.edm import network as edm_network
from implementations.demos.edm import sigma_data
from implementations.demos.few_steps import LAW, against_evaluations, distance, ends, film, starts
from implementations.demos.recipes import dataset, held_out, unet_sizes
from implementations.edm import DenoisingModel
from implementations.lab import pictures
from implementations.lab.data import Dataset
from implementations.lab.demo import Claim, Curve, Demo, Figure, Run, once
from implementations.lab.training import Batch, Trained, train
from implementations.verification.impulses import moments
from implementations.verification.twosample import energy_distance

F64 = torch.float64
EPS, T = 0.002, 80.0
JUMPS = (1, 2, 4, 8, 16)


def falling(jumps: int) -> Tensor:
    """Levels for so many jumps, from T to EPS."""
    return levels(jumps + 1, eps=EPS, T=T).flip(0)


# ---- exactly: data N(MEAN, VARIANCE), whose jumps are known ----------------------------------------------------------

MEAN, VARIANCE = 0.3, 0.25


def exact(x: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """The jump of a perfectly trained model."""
    return MEAN + per_row(((VARIANCE + s**2) / (VARIANCE + t**2)).sqrt(), x) * (x - MEAN)


class Perfect(nn.Module):
    """The network within `ctm.Jumps` that makes its jumps exact.  blind: it is told EPS for every level to end at."""

    def __init__(self, blind: bool = False) -> None:
        super().__init__()
        self.blind, self.around = blind, edm.Denoiser(nn.Identity())

    def forward(self, x: Tensor, t: Tensor, y: None, s: Tensor) -> Tensor:
        t, s = (4 * t).exp(), torch.full_like(s, EPS) if self.blind else (4 * s).exp()
        c_skip, c_out, c_in, _ = (per_row(c, x) for c in self.around.scalings(t))
        x, share = x / c_in, per_row(s / t, x)
        g = torch.where(share < 1 - 1e-9, (exact(x, t, s) - share * x) / (1 - share).clamp(min=1e-12), x)
        return (g - c_skip * x) / c_out


def any_to_any(run: Run) -> Claim:
    x = torch.linspace(-3, 3, 7, dtype=F64)[:, None] * T
    path = {T: x}
    for t, s in pairwise(falling(12).tolist()):
        fine = torch.linspace(t**0.1, s**0.1, 129, dtype=F64) ** 10
        for a, b in pairwise(fine.tolist()):
            x = edm.step(lambda x, sigma: MEAN + per_row(VARIANCE / (VARIANCE + sigma**2), x) * (x - MEAN), x, a, b)
        path[s] = x

    def off(model: ctm.Jumps) -> float:
        """Largest distance from the path, of jumps from any of its levels to any other, in units of their spread."""
        gaps = [
            (model(path[t], for_all(t, x), for_all(s, x)) - path[s]).abs().max().item() / (VARIANCE + s**2) ** 0.5
            for t in path
            for s in path
            if s < t
        ]
        return max(gaps)

    return Claim(
        statement="distance of jumps from the path of the ODE, found by Heun's method in fine steps, in standard "
        "deviations of what they arrive at: largest between any two of 13 levels, exact network, Gaussian data",
        value=off(ctm.Jumps(Perfect())),
        bound=1e-3,
        relation="<=",
        control=off(ctm.Jumps(Perfect(blind=True))),
        control_is="the same network told the lowest level for every level that it jumps to, all a consistency model "
        "knows",
        of="section 3.1",
    )


def remembered(gamma: float, jumps: int) -> float:
    """Share of a sample's standard deviation that x_T made, and not the noise in between; exact."""
    found = moments(lambda z, noise: ctm.sample(exact, z, falling(jumps), gamma=gamma, noise=noise))
    return (found.response[0, 0, 0] / found.std[0]).item()


def memory(run: Run) -> Claim:
    return Claim(
        statement="share of a sample's standard deviation that is x_T's after 16 jumps with gamma = 0, Gaussian data, "
        "exactly",
        value=remembered(0.0, 16),
        bound=0.999,
        relation=">=",
        control=remembered(0.2, 16),
        control_is="gamma = 0.2; with gamma = 1 nothing is left",
        of="section 4: gamma sets how much is renewed",
    )


def law_kept(run: Run) -> Claim:
    start = (VARIANCE + T**2) ** 0.5

    def wrong(z: Tensor, gamma: float, noise: Noise) -> Tensor:
        x = MEAN + start * z
        for t, s in pairwise(falling(4).tolist()):
            low = max((1 - gamma) * s, EPS)
            x = exact(x, for_all(t, x), for_all(low, x)) + (gamma * s * noise(x) if s > EPS else 0)
        return x

    def right(z: Tensor, gamma: float, noise: Noise) -> Tensor:
        return list(ctm.trajectory(exact, MEAN + start * z, falling(4), gamma=gamma, noise=noise))[-1]

    def off(sampler) -> float:
        """Largest departure of the samples' standard deviation from that of the data at EPS, relative."""
        found = [moments(lambda z, noise, g=g: sampler(z, g, noise)).std.item() for g in (0.2, 0.5, 0.8)]
        return max(abs(std / (VARIANCE + EPS**2) ** 0.5 - 1) for std in found)

    return Claim(
        statement="departure of the samples' standard deviation from the data's, relative, largest of gamma = 0.2, "
        "0.5 and 0.8 in 4 jumps, Gaussian data, exactly",
        value=off(right),
        bound=1e-9,
        relation="<=",
        control=off(wrong),
        control_is="jumps to (1 - gamma) t in place of sqrt(1 - gamma^2) t",
        of="section 4",
    )


def forgetting(run: Run) -> Figure:
    gammas = [k / 20 for k in range(21)]
    lines = {f"{n} jumps": (gammas, [remembered(gamma, n) for gamma in gammas]) for n in (2, 4, 8, 16)}
    return Figure(
        alt="Share of a sample's standard deviation that x_T made, against gamma: 1 at gamma = 0, falling to about 0 "
        "at 1, and the earlier the more jumps there are.",
        image=pictures.curves(lines, across="gamma", up="share that is x_T's", size=(480, 320)),
    )


# ---- points: the exact denoiser of eight Gaussians as the teacher ----------------------------------------------------

TABLE = levels(18, eps=EPS, T=T)
MOST = 3
"""Steps of the teacher between two levels of training, at most; all 17 cost several times as much."""
MU = 0.999
WEIGHT = 0.2
"""Of the denoising loss for points.  Balanced as in the paper it is about 0.03, and sixteen jumps are less good."""


class Pupil(WithTarget):
    """Jumps that are trained, and the running average that they are compared with."""

    online: ctm.Jumps
    target: ctm.Jumps


class PointNetwork(MLP):
    """F(x, c_noise, c_noise of the level that is jumped to).  Both span less than 3, and the embedding is made for
    steps of 1; a factor of 1000, as that of images has, was too rough for so short a training.
    """

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None, s: Tensor | None = None) -> Tensor:
        return super().forward(x, 30 * t, y, None if s is None else 30 * s)


def distilled(
    state: Pupil, teacher: DenoisingModel, x_0: Tensor, noise: Noise, *, weight: float | None = None
) -> Tensor:
    """The loss of a step of training, before which the target follows the step before.

    weight: of the denoising loss; None balances both as the paper does.
    """
    state.update(MU)
    t, u, s = ctm.draw_levels(TABLE.to(x_0.device), x_0, most=MOST, noise=noise)
    consistency = ctm.consistency_loss(state.online, state.target, teacher, x_0, TABLE, t, u, s, noise=noise)
    if weight == 0:
        return consistency
    *_, last, _ = state.online.parameters()  # the weight of the last layer, before its bias
    denoising = ctm.denoising_loss(state.online, x_0, noise=noise)
    return consistency + (ctm.balance(consistency, denoising, last) if weight is None else weight) * denoising


@once
def plane(run: Run) -> Dataset:
    """Points of the law."""
    x = LAW.sample(20_000, noise=Noise(run.seed + 2000)).float()
    reach = x.abs().max().item()
    return Dataset("eight-gaussians", x, None, x[:0], None, None, (-reach, reach))


@once
def of_points(run: Run, denoising: bool = True) -> ctm.Jumps:
    """Jumps of points, learned with the denoising loss or without."""
    torch.manual_seed(run.seed)
    network = PointNetwork(2, width=64, second=True)
    teacher = LAW.denoiser()

    def of_batch(model: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        return distilled(cast(Pupil, model), teacher, batch[0], noise, weight=WEIGHT if denoising else 0.0)

    options = {"steps": max(8, 5 * run.steps // 2), "batch_size": 128, "lr": 4e-3, "anneal": True, "ema": 0.98}
    name = f"ctm-plane{'' if denoising else '-without-denoising'}"
    return train(Pupil(ctm.Jumps(network)), of_batch, plane(run), name=name, **options, **run.training).model.online


@once
def points(run: Run, jumps: int, gamma: float = 0.0, denoising: bool = True) -> Tensor:
    """From the starts of all methods of few steps."""
    z = starts(run).float().to(run.device)
    return ctm.sample(of_points(run, denoising), z, falling(jumps), gamma=gamma, noise=Noise(run.seed + 2001)).cpu()


@once
def solved(run: Run, evaluations: int) -> Tensor:
    """From the same starts, by Euler's method with the exact denoiser."""
    return edm.sample(LAW.denoiser(), starts(run), edm.schedule(evaluations), solver="euler")


def off_the_path(run: Run, jumps: int, gamma: float = 0.0, denoising: bool = True) -> float:
    return distance(points(run, jumps, gamma, denoising), ends(run))


MEASURE = "distance from where the ODE takes the same noise, in standard deviations of the data (eight Gaussians)"


def one_jump(run: Run) -> Claim:
    return Claim(
        statement=f"{MEASURE}, after one jump",
        value=off_the_path(run, 1),
        bound=0.35,
        relation="<=",
        control=distance(solved(run, 4), ends(run)),
        control_is="four evaluations of the exact denoiser by Euler's method",
        of="section 5: one evaluation",
    )


def sixteen_jumps(run: Run) -> Claim:
    return Claim(
        statement=f"{MEASURE}, after sixteen jumps with gamma = 0",
        value=off_the_path(run, 16),
        bound=0.35,
        relation="<=",
        control=off_the_path(run, 16, denoising=False),
        control_is="trained alike without the denoising loss: short jumps are not learned well",
        of="section 3.3: why denoising score matching is added",
    )


def same_path(run: Run) -> Claim:
    return Claim(
        statement=f"{MEASURE}, after four jumps with gamma = 0",
        value=off_the_path(run, 4),
        bound=0.35,
        relation="<=",
        control=off_the_path(run, 4, gamma=1.0),
        control_is="gamma = 1, the sampler of consistency models: another sample of the same law",
        of="section 4: gamma = 0 is deterministic and keeps to the path",
    )


def few_steps(run: Run) -> Curve:
    return against_evaluations(
        {
            "CTM, gamma = 0": (JUMPS, [off_the_path(run, n) for n in JUMPS]),
            "Euler's method, exact denoiser": (JUMPS, [distance(solved(run, n), ends(run)) for n in JUMPS]),
        }
    )


def by_gamma(run: Run) -> Figure:
    lines = {f"gamma = {gamma:g}": [off_the_path(run, n, gamma) for n in JUMPS] for gamma in (0.0, 0.5, 1.0)}
    lines["no denoising loss"] = [off_the_path(run, n, denoising=False) for n in JUMPS]
    lines["Euler, exact denoiser"] = [distance(solved(run, n), ends(run)) for n in JUMPS]
    return Figure(
        alt="Distance from where the ODE ends against the number of jumps: with gamma = 0 low for one jump and for "
        "sixteen alike; without the denoising loss rising; with gamma 0.5 and 1 rising at once, as noise is renewed; "
        "Euler's method starts high, is level with gamma = 0 at eight and below at sixteen.",
        image=pictures.curves(
            {name: (JUMPS, line) for name, line in lines.items()},
            across="network evaluations",
            up="distance / standard deviation",
            size=(560, 360),
        ),
    )


def paths(run: Run) -> Figure:
    """The ODE, and sixteen jumps along it, divided by the spread at each level."""
    fine, coarse = falling(60), falling(16)
    model = of_points(run).to("cpu")

    def drawn(states: Iterable[Tensor], sigmas: Tensor) -> tuple[list[float], list[float]]:
        scaled = [x.double() / (0.25 + s**2) ** 0.5 for x, s in zip(states, sigmas.tolist(), strict=True)]
        gap = scaled[-1] * torch.tensor([1.0, torch.nan], dtype=F64)  # lifts the pen
        x, y = torch.stack([*scaled, gap], dim=1).reshape(-1, 2).T.tolist()
        return x, y

    def panel(gamma: float, z: Tensor) -> Tensor:
        noise = Noise(run.seed + 2001)
        lines = {
            "the ODE": drawn([T * z, *edm.trajectory(LAW.denoiser(), T * z, fine)], fine),
            "16 jumps": drawn([T * z, *ctm.trajectory(model, T * z.float(), coarse, gamma=gamma, noise=noise)], coarse),
        }
        return pictures.curves(lines, across="x / spread", up="y / spread", size=(380, 360))

    return Figure(
        alt="Twelve paths of the ODE in the plane, each divided by the spread at its level, and sixteen jumps from the "
        "same starts: with gamma = 0 they follow the paths; with gamma = 1, shown for three, they leave them at once.",
        image=pictures.beside({"gamma = 0": panel(0.0, starts(run)[:12]), "gamma = 1": panel(1.0, starts(run)[:3])}),
    )


def plane_samples(run: Run) -> Figure:
    shown = {
        "where the ODE ends": ends(run),
        "1 jump": points(run, 1),
        "16 jumps": points(run, 16),
        "16, gamma = 1": points(run, 16, 1.0),
        "16, no denoising loss": points(run, 16, denoising=False),
    }
    return Figure(
        alt="Points in the plane: where the ODE ends, eight modes; after one jump, and sixteen with gamma 0 and 1, a "
        "ring through them; and after sixteen of a network trained without the denoising loss, scattered widely.",
        image=pictures.beside({name: pictures.scatter(x, limits=(-1.2, 1.2), size=200) for name, x in shown.items()}),
    )


# ---- images: the network of EDM's demo as the teacher ----------------------------------------------------------------


@once
def network(run: Run) -> Trained[Pupil]:
    """Jumps of images; they start with the teacher's weights, to which the second level adds nothing yet."""
    images, teacher = dataset(run), edm_network(run).model
    torch.manual_seed(run.seed)
    unet = ImageNetwork(images.shape[0], **unet_sizes(images), second=True)
    unet.load_state_dict(teacher.network.state_dict(), strict=False)
    assert unet.condition.second is not None
    nn.init.zeros_(unet.condition.second.outer.weight)
    nn.init.zeros_(unet.condition.second.outer.bias)

    def of_batch(model: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        return distilled(cast(Pupil, model), teacher, batch[0], noise)

    options = {"steps": max(1, run.steps // 2), "batch_size": 32, "lr": 1e-3, "anneal": True, "ema": 0.98}
    state = Pupil(ctm.Jumps(unet, sigma_data(run)))
    return train(state, of_batch, images, name="ctm", **options, **run.training)


def images_drawn(run: Run, jumps: int, gamma: float = 0.0, n: int = 200) -> Tensor:
    z = Noise(run.seed)(held_out(run, n))
    return ctm.sample(network(run).model.online, z, falling(jumps), gamma=gamma, noise=Noise(run.seed + 1))


def images_solved(run: Run, evaluations: int, n: int = 200) -> Tensor:
    """From the same starts, by Euler's method and the teacher."""
    z = Noise(run.seed)(held_out(run, n))
    return edm.sample(edm_network(run).model, z, edm.schedule(evaluations), solver="euler")


def images(run: Run) -> Claim:
    def off(found: Tensor) -> float:
        return energy_distance(found, held_out(run, 400))

    return Claim(
        statement="energy distance from images in four jumps with gamma = 0 to held-out ones",
        value=off(images_drawn(run, 4)),
        bound=0.2,
        relation="<=",
        control=off(images_solved(run, 4)),
        control_is="four evaluations of the teacher, by Euler's method",
        of="section 5",
    )


def sheets(run: Run) -> Figure:
    counts = tuple(reversed(JUMPS))
    columns = {
        "teacher, Euler's method": [images_solved(run, n, 8) for n in counts],
        "jumps, gamma = 0": [images_drawn(run, n, 0.0, 8) for n in counts],
        "jumps, gamma = 1": [images_drawn(run, n, 1.0, 8) for n in counts],
    }
    return Figure(
        alt=f"The same noise in 16, 8, 4, 2 and 1 evaluations, from top to bottom, trained on {run.data}: by Euler's "
        "method digits dissolve to one blurred mean as evaluations grow few; by jumps with gamma = 0 they stay what "
        "they are, in one jump blurred; with gamma = 1 each row shows other digits.",
        image=film(dataset(run), columns, width=320),
    )


DEMO = Demo(
    claims=(any_to_any, memory, law_kept, one_jump, sixteen_jumps, same_path, images),
    figures=(sheets, by_gamma, paths, plane_samples, forgetting),
    network=network,
    steps=140,
    network_evaluations=max(JUMPS),
    curves=(few_steps,),
)
