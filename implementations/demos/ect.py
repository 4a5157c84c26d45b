"""Tunes small pretrained denoisers, of points and of digits, stage by stage, until one or two steps make a sample.

How much spread a stage leaves to samples of one step is known for Gaussian data, and drawn beside what trained models
keep.  That is no claim: over ten seeds the mean departure of stages 1 to 4 was 0.07 with a standard deviation of 0.025,
0.14 on one seed, where a count of stages that is off by one departs by 0.15, and by 0.14 on its best.  What the paper
says of compute, that tuning costs less than training a consistency model from nothing, is no claim here.  Tried in the
plane, on one seed: as many updates from scratch, at a higher rate at first, give an excess of 0.017 in one step and of
0.007 in two, tuning 0.007 and 0.007; but the pretraining took as many updates again.
"""

from __future__ import annotations

import copy
from math import ceil
from typing import cast

import torch
from torch import Tensor, nn

from implementations import edm
from implementations.common.mlp import MLP
from implementations.common.noise import Noise
from implementations.common.rows import per_row
from implementations.demos.edm import network as edm_network
from implementations.demos.few_steps import LAW, against_evaluations, distance, ends, film, starts
from implementations.demos.recipes import dataset, held_out
from implementations.ect import TWO_STEPS, Tuning, earlier, loss, sample, stage
from implementations.edm import Denoiser, DenoisingModel
from implementations.lab import pictures
from implementations.lab.data import Dataset
from implementations.lab.demo import Claim, Curve, Demo, Figure, Run, once
from implementations.lab.networks import train_or_load
from implementations.lab.training import Batch, Trained, train
from implementations.verification.impulses import moments
from implementations.verification.twosample import excess_energy

F64 = torch.float64
STAGES = 8
"""Of tuning; the first is 1, and 0 is what it starts from."""
ONE_STEP = TWO_STEPS[:1]


def points(name: str, x: Tensor) -> Dataset:
    """Training examples alone."""
    reach = x.abs().max().item()
    return Dataset(name, x, None, x[:0], None, None, (-reach, reach))


class Gain(nn.Module):
    """F(x, c_noise) = h(c_noise) x, which is all that Gaussian data of mean 0 ask for; 0 before training."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        last = nn.Linear(width, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.h = nn.Sequential(nn.Linear(1, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), last)

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        return self.h(2 * c_noise[:, None]) * x


class Network(MLP):
    """F(x, c_noise) for points: of c_noise, 0.01 counts as a step of time."""

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None, s: Tensor | None = None) -> Tensor:
        return super().forward(x, 100 * t, y, s)


def tuned_at(
    run: Run, model: Denoiser, a: int, data: Dataset, *, steps: int, batch_size: int, lr: float, P_mean: float = -1.1
) -> Denoiser:
    """The model after so many more updates of stage a, averaged."""

    def of_batch(model: DenoisingModel, batch: Batch, noise: Noise) -> Tensor:
        return loss(model, batch[0], a, P_mean=P_mean, noise=noise)

    own = copy.deepcopy(model).requires_grad_()
    how = run.training | {"seed": 100 * run.seed + a, "name": f"ect-{data.name}-{a}"}
    options = {"steps": max(1, steps), "batch_size": batch_size, "lr": lr, "anneal": True, "ema": 0.9}
    return train(own, of_batch, data, **options, **how).model


# ---- Gaussian data: how much spread each stage leaves ---------------------------------------------------------------


def slope(t: Tensor, a: int, v: float = 0.25) -> Tensor:
    """Of f at t, for a model that is perfect at stage a and data N(0, v): from t to r it loses (v + r t) / (v + t^2).

    That is the slope of E[x_r | x_t]; the target at r is the same model's, and so on down to r = 0.  t: (B,).
    """
    product = torch.ones_like(t)
    while (t > 1e-8).any():  # below, a factor is 1
        r = earlier(t, a)
        product, t = product * (v + r * t) / (v + t**2), r
    return product


def spread(a: int) -> float:
    """Standard deviation of one-step samples over that of the data, for the perfect model of stage a."""
    perfect: DenoisingModel = lambda x, t: per_row(slope(t, a), x) * x  # noqa: E731
    return moments(lambda z, noise: sample(perfect, z, ONE_STEP, noise=noise)).std.item() / 0.5


def spread_exact(run: Run) -> Claim:
    return Claim(
        statement=f"spread of one-step samples over that of the data, after stage {STAGES} (perfect model, Gaussian "
        "data)",
        value=spread(STAGES),
        bound=0.99,
        relation=">=",
        control=spread(1),
        control_is="after stage 1",
        of="section 3.3: the gap t - r closes in stages, q = 2",
    )


@once
def spreads(run: Run) -> list[float]:
    """The same, measured: of a trained gain, after each stage from 0 on.  F = 0 is perfect at stage 0.

    Samples start at t = 80, so training looks there more often than on images: P_mean = 1.
    """
    x = Noise(run.seed + 2000)(torch.empty(8192, 1))
    data = points("gaussian", 0.5 * x / x.std())
    z = Noise(run.seed + 2001)(torch.empty(4096, 1, device=run.device))
    torch.manual_seed(run.seed)
    model = Denoiser(Gain()).to(run.device)
    found = []
    for a in range(STAGES + 1):
        if a > 0:  # the first is furthest from where it starts
            steps = 2 * run.steps if a == 1 else run.steps // 2
            model = tuned_at(run, model, a, data, steps=steps, batch_size=1024, lr=5e-3, P_mean=1.0)
        found.append((sample(model, z, ONE_STEP).std() / z.std() / 0.5).item())
    return found


# ---- eight Gaussians ------------------------------------------------------------------------------------------------

UPDATES = 4
"""Of pretraining in the plane, for each step of the run; and of tuning in the plane, all stages together."""


@once
def plane(run: Run) -> Dataset:
    return points("eight", LAW.sample(20_000, noise=Noise(run.seed + 2002)).float())


@once
def base(run: Run) -> Trained[Denoiser]:
    """A denoiser of the points, trained as EDM trains."""

    def of_batch(model: DenoisingModel, batch: Batch, noise: Noise) -> Tensor:
        return edm.loss(model, batch[0], noise=noise)

    torch.manual_seed(run.seed)
    denoiser = Denoiser(Network(2, width=64))
    options = {"steps": UPDATES * run.steps, "batch_size": 256, "lr": 4e-3, "anneal": True, "ema": 0.98}
    return train_or_load(base, run, denoiser, of_batch, plane(run), name="ect-plane", **options)


@once
def after(run: Run, a: int) -> Denoiser:
    """The denoiser after tuning up to stage a; at 0, before it."""
    if a == 0:
        return base(run).model
    return tuned_at(run, after(run, a - 1), a, plane(run), steps=UPDATES * run.steps // STAGES, batch_size=256, lr=5e-4)


@once
def untightened(run: Run) -> Denoiser:
    """A control: tuned as long with r = 0."""
    return tuned_at(run, base(run).model, 0, plane(run), steps=UPDATES * run.steps, batch_size=256, lr=5e-4)


def drawn(run: Run, model: DenoisingModel, sigmas: tuple[float, ...]) -> Tensor:
    z = Noise(run.seed + 2003)(torch.empty(2000, 2, device=run.device))
    return sample(model, z, sigmas, noise=Noise(run.seed + 2004))


def excess(run: Run, model: DenoisingModel, sigmas: tuple[float, ...]) -> float:
    return excess_energy(drawn(run, model, sigmas), LAW.sample(2000, noise=Noise(run.seed + 2005)))


def of_samples(run: Run, sigmas: tuple[float, ...], steps: str, bound: float) -> Claim:
    return Claim(
        statement=f"excess energy distance to the law after tuning, of samples in {steps} (eight Gaussians)",
        value=excess(run, after(run, STAGES), sigmas),
        bound=bound,
        relation="<=",
        control=min(excess(run, model, sigmas) for model in (base(run).model, untightened(run))),
        control_is="the better of the same network before tuning and tuned as long at stage 0, r = 0",
        of="section 3.3 and Table 1",
    )


def two_steps(run: Run) -> Claim:
    return of_samples(run, TWO_STEPS, "two steps", 0.02)


def one_step(run: Run) -> Claim:
    return of_samples(run, ONE_STEP, "one step", 0.03)


def few_steps(run: Run) -> Curve:
    """From the second evaluation on the tuned model draws fresh noise, and with it forgets where it started."""
    z = starts(run).float().to(run.device)
    levels = {1: ONE_STEP, 2: TWO_STEPS, 4: (80.0, 4.0, 0.821, 0.2)}
    counts = [1, 2, 4, 8, 16]

    def euler(n: int) -> Tensor:
        return edm.sample(base(run).model, z, edm.schedule(n), solver="euler")

    tuned = [
        distance(sample(after(run, STAGES), z, sigmas, noise=Noise(run.seed + 2006)).cpu(), ends(run))
        for sigmas in levels.values()
    ]
    return against_evaluations(
        {
            "tuned": (list(levels), tuned),
            "pretrained, Euler": (counts, [distance(euler(n).cpu(), ends(run)) for n in counts]),
        }
    )


def stages(run: Run) -> Figure:
    def plane_of(x: Tensor) -> Tensor:
        return pictures.scatter(x.cpu(), limits=(-1.1, 1.1), size=190)

    shown = {"before: one step": 0, "stage 2: one step": 2, f"stage {STAGES}: one step": STAGES}
    planes = {name: plane_of(drawn(run, after(run, a), ONE_STEP)) for name, a in shown.items()}
    planes[f"stage {STAGES}: two steps"] = plane_of(drawn(run, after(run, STAGES), TWO_STEPS))
    planes["data"] = plane_of(plane(run).x[:2000])
    axis = list(range(STAGES + 1))
    lines = {"perfect": (axis, [spread(a) for a in axis]), "trained": (axis, spreads(run))}
    curve = pictures.curves(lines, across="stage", up="spread / data's", size=(360, 220))
    return Figure(
        alt="Points sampled in one step: before tuning nearly all in the middle, after stage 2 a disc, after 8 one "
        "as wide as the data and thin in the middle, and in two steps a narrow ring; the data are eight spots on that "
        "ring, which this small network does not tell apart.  Beside, how much of the data's spread one-step samples "
        "have after each stage, for Gaussian data: from 0 to about 1, the trained model's near that of the perfect "
        "one, but short of it at stage 1.",
        image=pictures.beside({**planes, "Gaussian data": curve}),
    )


def pairs(run: Run) -> Figure:
    t = torch.logspace(-3, 2, 120, dtype=F64)
    lines = {f"a = {a}": (t.log10().tolist(), (earlier(t, a) / t).tolist()) for a in (1, 2, 3, 4, 6, STAGES)}
    return Figure(
        alt="r / t against t for stages 1 to 8: 0 up to some t in stages 1 and 2, then rising to 1 - 2^-a; nearer to 1 "
        "in each later stage.",
        image=pictures.curves(lines, across="log10 of t", up="r / t", size=(480, 320)),
    )


# ---- images ---------------------------------------------------------------------------------------------------------

SECOND = 0.821 * 1.5
"""Level of the second step: higher, as the standard deviation of the digits is 0.75, not 0.5."""


@once
def network(run: Run) -> Trained[Tuning]:
    """EDM's small U-Net, tuned in one run."""
    images, every = dataset(run), ceil(run.steps / STAGES)

    def of_batch(model: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        own = cast(Tuning, getattr(model, "module", model))  # under torchrun it is wrapped
        return loss(model, batch[0], stage(own.begin(), every), noise=noise)

    model = Tuning(edm_network(run).model)
    options = {"steps": run.steps, "batch_size": 32, "lr": 2e-3, "anneal": True, "ema": 0.95}
    return train(model, of_batch, images, name="ect", **options, **run.training)


def images(run: Run, model: DenoisingModel, sigmas: tuple[float, ...], n: int = 200) -> Tensor:
    return sample(model, Noise(run.seed + 1)(held_out(run, n)), sigmas, noise=Noise(run.seed + 2))


def digits(run: Run) -> Claim:
    def off(model: DenoisingModel) -> float:
        return excess_energy(images(run, model, (80.0, SECOND)), held_out(run, 400))

    return Claim(
        statement="excess energy distance from images in two steps to held-out ones",
        value=off(network(run).model),
        bound=0.04,
        relation="<=",
        control=off(edm_network(run).model),
        control_is="the network before tuning",
        of="section 4.1",
    )


def sheets(run: Run) -> Figure:
    def rows(model: DenoisingModel) -> list[Tensor]:
        return [images(run, model, sigmas, 8) for sigmas in (ONE_STEP, (80.0, SECOND))]

    z = Noise(run.seed + 1)(held_out(run, 8))
    columns = {
        "pretrained: 35 evaluations": [edm.sample(edm_network(run).model, z, edm.schedule())],
        "pretrained: 1, 2": rows(edm_network(run).model),
        "tuned: 1, 2": rows(network(run).model),
    }
    return Figure(
        alt=f"The same eight starts, after training on {run.data}: by 35 evaluations of the pretrained network, "
        "digits; by one and two of the same, blurs; by one and two of the tuned network, digits again.",
        image=film(dataset(run), columns, width=340),
    )


DEMO = Demo(
    claims=(spread_exact, one_step, two_steps, digits),
    figures=(stages, pairs, sheets),
    network=network,
    steps=140,
    network_evaluations=len(TWO_STEPS),
    curves=(few_steps,),
)
