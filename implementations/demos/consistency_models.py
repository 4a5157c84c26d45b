"""Distils the ODE of a mixture into one evaluation, and learns the same without a teacher; edits images with a student.

Each pair of levels weighs 1 / c_out^2 here, as in EDM's loss.  With the paper's 1 the low levels hardly count: what the
high ones do to the network undoes them, and all others build on them.  In 840 updates that left a distilled model 0.42
standard deviations off instead of 0.28, and a student of digits, at energy distance 0.26 in one evaluation instead of
0.11, fell apart in four (1.2).  The paper's schedule for training (151 levels, mu_0 = 0.9) is made for 800,000 updates;
here it ends at 31 levels, and mu_0 = 0.5 lets the target forget half of what it was in 16 updates at most.  The
distances were measured on one seed.

Editing is shown, not claimed: how far filled-in digits are from the originals hardly tells putting the known part back
after every evaluation from doing so once, at the end (0.94 against 1.02 where the upper half is given).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor, nn

from implementations import edm
from implementations.common.mlp import MLP
from implementations.common.noise import Noise
from implementations.consistency_models import (
    IDENTITY,
    ConsistencyModel,
    Transform,
    WithTarget,
    decay,
    discretisation,
    distillation_loss,
    edit,
    levels,
    neighbours,
    pair,
    patches,
    sample,
    training_loss,
)
from implementations.demos.edm import Network, sigma_data
from implementations.demos.edm import network as denoiser
from implementations.demos.few_steps import LAW, against_evaluations, distance, ends, film, starts
from implementations.demos.recipes import dataset, held_out, unet_sizes
from implementations.edm import DenoisingModel, schedule
from implementations.lab import pictures
from implementations.lab.data import Dataset
from implementations.lab.demo import Claim, Curve, Demo, Figure, Run, once
from implementations.lab.training import Batch, Trained, train
from implementations.verification.solver_order import measure
from implementations.verification.twosample import energy_distance, excess_energy

F64 = torch.float64
T = 80.0

# ---- Gaussian data, on which each pair of levels has one best slope --------------------------------------------------

V = 0.25
Loss = Callable[[DenoisingModel, DenoisingModel, Tensor, float, float, Noise], Tensor]
FOUR = tuple(torch.tensor(signs, dtype=F64)[:, None] for signs in ([1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0]))
"""Data and noise in standard deviations: mean, variance and correlation, hence each mean of squares, are exact."""


class Four(Noise):
    """The noise of the four rows, or, asked again, other noise that is independent of it and of the data."""

    def __call__(self, like: Tensor) -> Tensor:
        return FOUR[1].to(like)


def exact(x: Tensor, sigma: Tensor) -> Tensor:
    """The denoiser of N(0, V)."""
    return V / (V + sigma[:, None] ** 2) * x


def distilled_by(solver: edm.Solver) -> Loss:
    def loss(f: DenoisingModel, target: DenoisingModel, x_0: Tensor, t: float, r: float, noise: Noise) -> Tensor:
        return distillation_loss(f, target, exact, x_0, t, r, solver=solver, noise=noise)

    return loss


def learned(f: DenoisingModel, target: DenoisingModel, x_0: Tensor, t: float, r: float, noise: Noise) -> Tensor:
    return training_loss(f, target, x_0, t, r, noise=noise)


def best(loss: Loss, N: int) -> float:
    """The slope at T of the model that is best at each of N levels, given that it is at the one below."""

    def gradient(a: float, b: float, t: float, r: float) -> float:
        slope = torch.tensor(a, dtype=F64, requires_grad=True)
        x_0 = sqrt(V) * FOUR[0]
        value = loss(lambda x, _: slope * x, lambda x, _: b * x, x_0, t, r, Four())
        return torch.autograd.grad(value, slope)[0].item()

    b = 1.0
    for r, t in pairwise(levels(N).tolist()):
        low, high = (gradient(a, b, t, r) for a in (0.0, 1.0))
        b = low / (low - high)  # the gradient is a line
    return b


def order_of(loss: Loss) -> float:
    """How fast the error of the best model falls with the number of intervals."""
    truth = torch.tensor(sqrt((V + 0.002**2) / (V + T**2)), dtype=F64)
    return measure(lambda n: torch.tensor(best(loss, n + 1), dtype=F64), truth, (40, 80, 160)).slope


def order(run: Run) -> Claim:
    return Claim(
        statement="order of distillation by Heun's method: how fast the error at T of the model that is best on N "
        "levels falls with N - 1 (Gaussian data)",
        value=order_of(distilled_by("heun")),
        bound=1.9,
        relation=">=",
        control=order_of(distilled_by("euler")),
        control_is="distillation by Euler's method",
        of="Theorem 1 and section 6.1",
    )


def lopsided(f: DenoisingModel, target: DenoisingModel, x_0: Tensor, t: float, r: float, noise: Noise) -> Tensor:
    """What `learned` must not be: the lower point has noise of its own, uncorrelated with the data and the other."""
    x_t, _ = pair(x_0, t, r, noise=noise)
    x_r = x_0 + r * FOUR[0] * FOUR[1]
    level = x_0.new_ones(len(x_0))
    return (f(x_t, t * level) - target(x_r, r * level)).square().mean()


def same_noise(run: Run) -> Claim:
    by_euler = best(distilled_by("euler"), 18)
    return Claim(
        statement="slope at T of the model that is best by consistency training on 18 levels, against the best by "
        "distillation with the exact denoiser and Euler's method, relative gap (Gaussian data)",
        value=abs(best(learned, 18) / by_euler - 1),
        bound=1e-9,
        relation="<=",
        control=abs(best(lopsided, 18) / by_euler - 1),
        control_is="noise of its own at the lower level, in place of one noise for both",
        of="Theorem 2",
    )


# ---- eight Gaussians in the plane ------------------------------------------------------------------------------------

LEVELS = 18


def weight(t: Tensor, sigma_data: float = 0.5) -> Tensor:
    """1 / c_out^2 of EDM: the loss is that of F."""
    return (t**2 + sigma_data**2) / (t * sigma_data) ** 2


class Plane(nn.Module):
    """F(x, c_noise).  The perceptron's embedding is made for steps of about 1."""

    def __init__(self) -> None:
        super().__init__()
        self.mlp = MLP(2, width=64)

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        return self.mlp(x, 40 * c_noise)


def points(run: Run) -> Dataset:
    x = LAW.sample(20_000, noise=Noise(run.seed)).float()
    reach = x.abs().max().item()
    return Dataset("eight Gaussians", x, None, x[:0], None, None, (-reach, reach))


def updates(run: Run) -> int:
    """Of a network in the plane: more than of one of images, for they cost less."""
    return 7 * run.steps


OPTIONS = {"batch_size": 256, "lr": 3e-3, "anneal": True, "ema": 0.98}


@once
def distilled(run: Run) -> Trained[WithTarget]:
    """From the exact denoiser."""
    torch.manual_seed(run.seed)
    both, D, table = WithTarget(ConsistencyModel(Plane())), LAW.denoiser(), levels(LEVELS)

    def of_batch(model: DenoisingModel, batch: Batch, noise: Noise) -> Tensor:
        both.update(0.0)
        t, r = neighbours(table, batch[0], noise=noise)
        return distillation_loss(model, both.target, D, batch[0], t, r, weight=weight(t), noise=noise)

    options = {"steps": updates(run), "name": "consistency-distillation"}
    return train(both, of_batch, points(run), **options, **OPTIONS, **run.training)


@once
def trained(run: Run) -> Trained[WithTarget]:
    """From points alone: ever more levels, and a target that is ever slower."""
    torch.manual_seed(run.seed)
    both, K = WithTarget(ConsistencyModel(Plane())), updates(run)

    def of_batch(model: DenoisingModel, batch: Batch, noise: Noise) -> Tensor:
        k = int(both.k)
        before, now = (discretisation(i, K, s_1=30) for i in (max(k - 1, 0), k))
        both.update(decay(before, mu_0=0.5))
        t, r = neighbours(levels(now), batch[0], noise=noise)
        return training_loss(model, both.target, batch[0], t, r, weight=weight(t), noise=noise)

    return train(both, of_batch, points(run), steps=K, name="consistency-training", **OPTIONS, **run.training)


def in_steps(model: DenoisingModel, run: Run, *rest: float) -> Tensor:
    """From the starts at T, in one step and one for each further level."""
    return sample(model, starts(run).float(), torch.tensor([T, *rest], dtype=F64), noise=Noise(run.seed))


@once
def by_euler(run: Run, evaluations: int) -> Tensor:
    return edm.sample(LAW.denoiser(), starts(run), schedule(evaluations), solver="euler")


EULER = "Euler's method with the exact denoiser in four evaluations"


def near_the_end(run: Run, what: str, found: Tensor, bound: float, of: str) -> Claim:
    return Claim(
        statement=f"mean distance of {what} from where the ODE takes the same noise, in one evaluation, in standard "
        "deviations of the data (eight Gaussians)",
        value=distance(found, ends(run)),
        bound=bound,
        relation="<=",
        control=distance(by_euler(run, 4), ends(run)),
        control_is=EULER,
        of=of,
    )


def distillation(run: Run) -> Claim:
    return near_the_end(run, "a distilled model", in_steps(distilled(run).model, run), 0.5, "section 4 and Algorithm 2")


def training(run: Run) -> Claim:
    found = in_steps(trained(run).model, run)
    return near_the_end(run, "a model trained without a teacher", found, 0.5, "section 5 and Algorithm 3")


def law(run: Run) -> Claim:
    truth = LAW.sample(2000, noise=Noise(run.seed + 1))
    return Claim(
        statement="energy distance of a distilled model's samples, one evaluation each, from the law, over the law's "
        "own spread",
        value=excess_energy(in_steps(distilled(run).model, run), truth),
        bound=0.05,
        relation="<=",
        control=excess_energy(by_euler(run, 4), truth),
        control_is=EULER,
        of="section 6.2",
    )


def few_steps(run: Run) -> Curve:
    levels_of = ((), (1.0,), (2.0, 0.5, 0.2))

    def by_model(kind: Callable[[Run], Trained[WithTarget]]) -> list[float]:
        return [distance(in_steps(kind(run).model, run, *rest), ends(run)) for rest in levels_of]

    counts = [1, 2, 4, 8, 16]
    return against_evaluations(
        {
            "distilled, new noise in between": ([1, 2, 4], by_model(distilled)),
            "trained, new noise in between": ([1, 2, 4], by_model(trained)),
            "Euler": (counts, [distance(by_euler(run, n), ends(run)) for n in counts]),
        }
    )


# ---- images ----------------------------------------------------------------------------------------------------------


@once
def student(run: Run) -> Trained[WithTarget]:
    """Distilled from a denoiser of images, which it starts as."""
    images, teacher, table = dataset(run), denoiser(run).model, levels(LEVELS)
    torch.manual_seed(run.seed)
    F = Network(images.shape[0], **unet_sizes(images))
    F.load_state_dict(teacher.network.state_dict())
    both = WithTarget(ConsistencyModel(F, sigma_data(run)))

    def of_batch(model: DenoisingModel, batch: Batch, noise: Noise) -> Tensor:
        both.update(0.0)
        t, r = neighbours(table, batch[0], noise=noise)
        share = weight(t, sigma_data(run))
        return distillation_loss(model, both.target, teacher, batch[0], t, r, weight=share, noise=noise)

    options = {"batch_size": 32, "lr": 2e-3, "anneal": True, "ema": 0.98}
    return train(both, of_batch, images, steps=run.steps, name="consistency-models", **options, **run.training)


def ladder(evaluations: int) -> Tensor:
    """As many levels from T down, evenly spaced among those of training."""
    return levels(LEVELS).flip(0)[:: -(-LEVELS // evaluations)][:evaluations]


@once
def samples(run: Run, evaluations: int) -> Tensor:
    z = Noise(run.seed)(held_out(run, 200))
    return sample(student(run).model, z, ladder(evaluations), noise=Noise(run.seed + 1))


@once
def of_teacher(run: Run, evaluations: int) -> Tensor:
    z = Noise(run.seed)(held_out(run, 200))
    return edm.sample(denoiser(run).model, z, schedule(evaluations), solver="euler")


def images(run: Run) -> Claim:
    return Claim(
        statement="energy distance from samples, one evaluation each, to held-out images",
        value=energy_distance(samples(run, 1), held_out(run, 200)),
        bound=0.25,
        relation="<=",
        control=energy_distance(of_teacher(run, 4), held_out(run, 200)),
        control_is="the teacher by Euler's method in four evaluations",
        of="section 6.2 and Figure 4",
    )


def board(run: Run) -> Tensor:
    """Every other pixel, as on a chequered board: True."""
    height, width = dataset(run).shape[1:]
    return ((torch.arange(height)[:, None] + torch.arange(width)) % 2 == 0).to(run.device)


def corners(run: Run) -> Tensor:
    """The top left pixel of each 2 x 2: True."""
    height, width = dataset(run).shape[1:]
    return ((torch.arange(height) % 2 == 0)[:, None] & (torch.arange(width) % 2 == 0)).to(run.device)


PATCHES = patches(2)


@once
def completed(run: Run, what: Callable[[Run], Tensor], transform: Transform = IDENTITY) -> Tensor:
    """Eight held-out images of which a part is known."""
    # from where noise hides all of an image to where it hides nothing of it
    sigmas = levels(LEVELS).flip(0)[4:-2]
    y, noise = held_out(run, 8), Noise(run.seed + 2)
    return edit(student(run).model, y, what(run), sigmas, transform=transform, noise=noise)


# ---- figures ---------------------------------------------------------------------------------------------------------


def sheets(run: Run) -> Figure:
    data, y = dataset(run), held_out(run, 8)
    coarse = torch.nn.functional.avg_pool2d(y, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
    hidden = torch.where(board(run), y, sum(data.range) / 2)
    counts = (4, 2, 1)
    panels = {
        "teacher, Euler: 4, 2, 1 steps": [of_teacher(run, n)[:8] for n in counts],
        "student: 4, 2, 1 steps": [samples(run, n)[:8] for n in counts],
        "every other pixel; filled in; original": [hidden, completed(run, board), y],
        "means of 2 x 2; filled in; original": [coarse, completed(run, corners, PATCHES), y],
    }
    return Figure(
        alt="Eight starts in three rows of ever fewer steps: by the teacher they blur, by the student they stay images "
        "even in one.  Beside them eight held-out images of which the student saw every other pixel, or the means of 2 "
        "x 2 pixels: given, filled in, original.",
        image=film(data, panels, width=360),
    )


def plane(run: Run) -> Figure:
    def scatter(x: Tensor) -> Tensor:
        return pictures.scatter(x, limits=(-1.3, 1.3), size=240)

    panels = {
        "where the ODE ends": ends(run),
        "distilled, 1 evaluation": in_steps(distilled(run).model, run),
        "trained, 1 evaluation": in_steps(trained(run).model, run),
        "Euler, 4 evaluations": by_euler(run, 4),
        "Euler, 1 evaluation": by_euler(run, 1),
    }
    return Figure(
        alt="Points of the plane from the same noise: eight round spots where the ODE ends; by models in one "
        "evaluation points about as far out, with the spots run together; a small disc by Euler's method in four; one "
        "spot in the middle by it in one.",
        image=pictures.beside({title: scatter(x) for title, x in panels.items()}),
    )


def orders(run: Run) -> Figure:
    counts, truth = [5, 10, 20, 40, 80], sqrt((V + 0.002**2) / (V + T**2))
    lines = {
        name: (counts, [abs(best(loss, n + 1) / truth - 1) for n in counts])
        for name, loss in {
            "training": learned,
            "distillation, Heun": distilled_by("heun"),
        }.items()
    }
    return Figure(
        alt="Relative error of the slope at T of the best model against the number of intervals: training, which is "
        "distillation by Euler's method, falls as one over it; distillation by Heun's method starts above and falls "
        "as one over its square.",
        image=pictures.curves(lines, across="intervals between levels", up="relative error", log=True, size=(480, 300)),
    )


def networks(run: Run) -> dict[str, Trained]:
    return {"student": student(run), "distilled": distilled(run), "trained": trained(run)}


DEMO = Demo(
    claims=(order, same_noise, distillation, training, law, images),
    figures=(sheets, plane, orders),
    network=networks,
    steps=110,
    curves=(few_steps,),
)
