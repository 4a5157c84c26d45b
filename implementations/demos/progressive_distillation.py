"""Halves the steps of a sampler from 64 to one in the plane, and from 32 to one on images; and exactly, for a Gaussian.

A student can be no nearer to the law than its teacher.  In the plane this teacher's own ODE ends 0.19 standard
deviations from the law's, whether it learned from data or from the exact denoiser: so students are measured from where
their teacher's ODE ends, and the curve that is laid beside other methods, from where the law's does.
"""

from __future__ import annotations

from math import exp, pi

import torch
from torch import Tensor, nn

from implementations import progressive_distillation as method
from implementations.common.mlp import MLP
from implementations.common.noise import Noise, gaussian
from implementations.common.rows import for_all
from implementations.demos import few_steps as shared
from implementations.demos.recipes import dataset, held_out, unet
from implementations.edm import schedule
from implementations.lab import pictures
from implementations.lab.data import Dataset
from implementations.lab.demo import Claim, Curve, Demo, Figure, Run, once
from implementations.lab.networks import train_or_load
from implementations.lab.training import Batch, Trained, train
from implementations.progressive_distillation import (
    SCHEDULE,
    Round,
    VModel,
    Weighting,
    denoise,
    distill,
    halvings,
    levels,
    sample,
    step,
    target,
    weighted_error,
)
from implementations.vdm import Schedule, alpha_sigma, diffuse, predict_x
from implementations.verification.impulses import moments
from implementations.verification.oracles import Gaussian, eight_gaussians
from implementations.verification.twosample import energy_distance

F64 = torch.float64
SECOND = "students whose target is the teacher's second guess of x, not the x that one step needs; trained alike"

# ---- a Gaussian, exactly --------------------------------------------------------------------------------------------

GAUSSIAN = Gaussian(0.3, 0.49)
STEPS = 64
"""Of the first teacher in the plane."""


def exact(z: Tensor, gamma: Tensor) -> Tensor:
    """The v of a perfect network."""
    return GAUSSIAN.v(z, (-gamma).sigmoid().sqrt(), gamma.sigmoid().sqrt())


def perfect(teacher: VModel, N: int) -> VModel:
    """A student that has learned its target exactly: the target itself, at the student's N levels, as v."""
    table = levels(2 * N)

    def student(z: Tensor, gamma: Tensor) -> Tensor:
        i = int(torch.searchsorted(table, gamma[0] - 1e-9))
        alpha, sigma = alpha_sigma(table[i], z)
        return (alpha * z - target(teacher, z, table[i], table[i - 1], table[i - 2])) / sigma

    return student


def spread_of(model: VModel, N: int) -> float:
    """Standard deviation after N steps, over the data's, exactly."""
    found = moments(lambda z_1, noise: sample(model, z_1, N))
    return found.std.item() / GAUSSIAN.cov.sqrt().item()


def spread(run: Run) -> Claim:
    student = exact
    for N in halvings(STEPS):
        student = perfect(student, N)
    return Claim(
        statement=f"spread that one step keeps after halving {STEPS} steps to one with perfect students, over the "
        "data's (Gaussian, exact)",
        value=spread_of(student, 1),
        bound=0.97,
        relation=">=",
        control=spread_of(exact, 1),
        control_is="one step of the teacher",
        of="section 3: a student may be sharp where its teacher has to guess the mean",
    )


# ---- eight modes in the plane ---------------------------------------------------------------------------------------

UNIT = shared.standardised(eight_gaussians(), 1.0)


class Velocity(nn.Module):
    """A network that is told the angle whose tangent is sigma / alpha, 1000 for a right one."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, z: Tensor, gamma: Tensor) -> Tensor:
        return self.network(z, 2000 / pi * (gamma / 2).exp().atan())


def of_batch(model: VModel, batch: Batch, noise: Noise) -> Tensor:
    return method.loss(model, batch[0], noise=noise)


@once
def points(run: Run) -> Dataset:
    x, x_test = (UNIT.sample(n, noise=Noise(k)).float() for k, n in enumerate((20_000, 1_000)))
    return Dataset("eight-gaussians", x, None, x_test, None, None, (-2.5, 2.5))


@once
def teacher(run: Run) -> Trained[Velocity]:
    """In the plane."""
    torch.manual_seed(run.seed)
    model = Velocity(MLP(2, width=64))
    options = {"batch_size": 512, "lr": 5e-3, "anneal": True, "ema": 0.98, "steps": 5 * run.steps}
    return train_or_load(teacher, run, model, of_batch, points(run), name="progressive-distillation-plane", **options)


class SecondGuess(Round):
    """A control: the student learns the teacher's second guess of x."""

    def forward(
        self,
        x: Tensor,
        *,
        schedule: Schedule = SCHEDULE,
        weighting: Weighting = "truncated-snr",
        noise: Noise = gaussian,
    ) -> Tensor:
        table = levels(2 * self.N, schedule).to(x.device)
        i = 2 * noise.integers(1, self.N, x)
        z = diffuse(x, table[i], noise(x))
        with torch.no_grad():
            guess = denoise(self.teacher, step(self.teacher, z, table[i], table[i - 1]), table[i - 1])
        return weighted_error(self.student, z, table[i], guess, weighting=weighting)


def rounds(
    run: Run, first: nn.Module, N: int, data: Dataset, kind: type[Round], steps: int, lr: float
) -> dict[int, Trained[Round]]:
    """Students by their number of steps, with so many updates each, the last two with four times as many (the authors'
    have twice): they have the most to learn.  Adam begins afresh in each round, and nothing is averaged.
    """
    found: dict[int, Trained[Round]] = {}

    def fit(round_: Round) -> nn.Module:
        def loss(model: nn.Module, batch: Batch, noise: Noise) -> Tensor:
            return model(batch[0], noise=noise)

        found[round_.N] = train(
            kind(round_.teacher, round_.N),
            loss,
            data,
            steps=steps * (4 if round_.N <= 2 else 1),
            batch_size=256 if data.x.ndim == 2 else 64,
            lr=lr,
            anneal=True,
            ema=0.0,
            name=f"{kind.__name__.lower()}-{data.name}-{round_.N}",
            **run.training,
        )
        return found[round_.N].model.student

    for _ in distill(first, N, fit):
        pass
    return found


@once
def students(run: Run, kind: type[Round] = Round) -> dict[int, Trained[Round]]:
    return rounds(run, teacher(run).model, STEPS, points(run), kind, 2 * run.steps // 5, 3e-3)


def drawn(run: Run, model: VModel, N: int) -> Tensor:
    """Where N steps take the starts."""
    return sample(model, shared.starts(run).float().to(run.device), N).cpu()


@once
def teachers_end(run: Run) -> Tensor:
    """Where the teacher's ODE takes the starts: its denoiser, by Heun's method in z / alpha."""

    def D(x: Tensor, sigma: Tensor) -> Tensor:
        gamma = (2 * sigma.log()).to(run.device)
        alpha, _ = alpha_sigma(gamma, x)
        return denoise(teacher(run).model, (alpha * x).float(), gamma).to(x)

    return shared.end_of_flow(D, shared.starts(run), lambda n: schedule(n, sigma_max=exp(10)))


def one_step(run: Run) -> Claim:
    def miss(kind: type[Round]) -> float:
        return shared.distance(drawn(run, students(run, kind)[1].model.student, 1), teachers_end(run), 1.0)

    return Claim(
        statement="distance from where the teacher's ODE takes the same noise, after one step, in standard deviations "
        "of the data (mean; eight modes in the plane)",
        value=miss(Round),
        bound=0.05,
        relation="<=",
        control=miss(SecondGuess),
        control_is=SECOND,
        of="Algorithm 2",
    )


COUNTS = [32, 16, 8, 4, 2, 1]


@once
def misses(run: Run, end: Tensor) -> dict[str, tuple[list[float], list[float]]]:
    """Of teacher and students, by the number of steps."""
    own = {N: trained.model.student for N, trained in students(run).items()}

    def line(model_of) -> tuple[list[float], list[float]]:
        return list(COUNTS), [shared.distance(drawn(run, model_of(N), N), end, 1.0) for N in COUNTS]

    return {"students": line(own.__getitem__), "their first teacher, DDIM": line(lambda N: teacher(run).model)}


def few_steps(run: Run) -> Curve:
    laws_end = 2 * shared.ends(run, sigma_max=exp(10) / 2)  # of the law at half its size
    return shared.against_evaluations(misses(run, laws_end))


def distances(run: Run) -> Figure:
    shown = {
        name: (torch.tensor(counts).log2().tolist(), far)
        for name, (counts, far) in misses(run, teachers_end(run)).items()
    }
    return Figure(
        alt="Distance from where the teacher's ODE ends against the number of steps, from 32 to 1, both logarithmic: "
        "the teacher's grows from 0.01 to 1.4, its students' stays below 0.03.",
        image=pictures.curves(
            shown, across="log2 of the number of steps", up="distance / sd of the data", log=True, size=(480, 320)
        ),
    )


# ---- images ---------------------------------------------------------------------------------------------------------


@once
def image_teacher(run: Run) -> Trained[Velocity]:
    images = dataset(run)
    torch.manual_seed(run.seed)
    options = {"batch_size": 64, "lr": 6e-3, "anneal": True, "ema": 0.98}
    name = "progressive-distillation"
    return train_or_load(image_teacher, run, Velocity(unet(images)), of_batch, images, name=name, **options)


@once
def image_students(run: Run) -> dict[int, Trained[Round]]:
    return rounds(run, image_teacher(run).model, COUNTS[0], dataset(run), Round, run.steps // 16, 1e-3)


def network(run: Run) -> dict[str, Trained]:
    """The one-step student of images; its teacher's weights are in the same file."""
    return {"one-step": image_students(run)[1]}


@once
def image_starts(run: Run) -> Tensor:
    return Noise(run.seed)(held_out(run, 200))


def images_after(run: Run, who: str, N: int, many: int) -> Tensor:
    """Of the first so many starts, by the student of N steps, or by the teacher in as many."""
    halved = image_students(run)
    model = halved[N].model.student if who == "student" and N in halved else image_teacher(run).model
    return sample(model, image_starts(run)[:many], N, clip=dataset(run).range)


def two_steps(run: Run) -> Claim:
    def away(who: str) -> float:
        return energy_distance(images_after(run, who, 2, 200), held_out(run, 200))

    return Claim(
        statement="energy distance from samples of two steps to held-out images",
        value=away("student"),
        bound=0.35,
        relation="<=",
        control=away("teacher"),
        control_is="two steps of the first teacher",
        of="section 5.2 and Figure 4",
    )


def stable(run: Run) -> Claim:
    """Of a network that is off by 1, at all levels of a chain."""
    z, model = held_out(run, 10), image_teacher(run).model

    def reaches(x_of) -> float:
        return max((x_of(gamma, 1.0) - x_of(gamma, 0.0)).abs().max().item() for gamma in levels(16)[1:].to(z.device))

    def by_v(gamma: Tensor, off: float) -> Tensor:
        return denoise(lambda z, gamma: model(z, gamma) + off, z, gamma)

    def by_eps(gamma: Tensor, off: float) -> Tensor:
        return predict_x(z, gamma, model(z, for_all(gamma.to(z), z)) + off)

    return Claim(
        statement="how much of an error of 1 in the network reaches x, at the level where most does",
        value=reaches(by_v),
        bound=1.001,
        relation="<=",
        control=reaches(by_eps),
        control_is="the same network as one that predicts the noise, whose error is divided by alpha",
        of="section 4",
    )


def films(run: Run) -> Figure:
    rows = {
        title: [images_after(run, who, N, 8) for N in COUNTS]
        for title, who in (("the teacher in 32, 16, 8, 4, 2, 1 steps", "teacher"), ("its students", "student"))
    }
    return Figure(
        alt=f"The same eight draws of noise through 32, 16, 8, 4, 2 and 1 steps, a row each, after training on "
        f"{run.data}: the teacher's images blur and end as one mean image; its students' stay what they were.",
        image=shared.film(dataset(run), rows),
    )


DEMO = Demo(
    claims=(spread, one_step, two_steps, stable),
    figures=(films, distances),
    curves=(few_steps,),
    network=network,
    steps=160,
    network_evaluations=1,
)
