"""Folds guidance into one network that is told the scale, then its steps into few: points of three classes, and images.

In the plane the guided teacher is exact, so stage one's least loss is known, and so is where the guided ODE takes each
point of noise.  Judged are both ends of the range of scales: in its middle a student that is not told the scale looks
perfect.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log, pi, sqrt
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from implementations import progressive_distillation as progressive
from implementations.cfg import drop, guided
from implementations.common.mlp import MLP
from implementations.common.noise import Noise
from implementations.demos import guidance
from implementations.demos.few_steps import against_evaluations, distance, end_of_flow, starts
from implementations.demos.recipes import dataset, labelled, unet_sizes
from implementations.edm import schedule
from implementations.guided_distillation import (
    ScaledVModel,
    encode,
    sample,
    sample_stochastic,
    stage_one_loss,
    stage_two_loss,
)
from implementations.lab import pictures
from implementations.lab.data import Dataset
from implementations.lab.demo import Claim, Curve, Demo, Figure, Run, once
from implementations.lab.networks import train_or_load
from implementations.lab.training import Batch, Trained, train
from implementations.progressive_distillation import Round, VModel, distill
from implementations.unet import UNet
from implementations.vdm import alpha_sigma
from implementations.verification.impulses import moments
from implementations.verification.oracles import GaussianMixture

F64 = torch.float64
SCALES = (1.0, 3.0, 5.0)
"""That are judged, of the range 1 to 5 that students learn."""
FULL, FULL_OF_IMAGES = 32, 16
"""Steps of the teacher, and of the student of stage one."""


Students = dict[int, Trained]
"""By their numbers of steps."""


class Told(nn.Module):
    """A network of z, the time, the class and, if it was made for one, the scale, in steps that its embeddings like."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, z: Tensor, gamma: Tensor, y: Tensor, scale: Tensor | None = None) -> Tensor:
        t = (gamma / 2).exp().atan() * (2 / pi)
        return self.net(z, 100 * t, y, None if scale is None else 10 * scale)


class Blind(Told):
    """A control: the scale is drawn, and stands in the target, but the network does not hear of it."""

    def forward(self, z: Tensor, gamma: Tensor, y: Tensor, scale: Tensor | None = None) -> Tensor:
        return super().forward(z, gamma, y, None if scale is None else torch.full_like(scale, 3.0))


def halved(run: Run, first: nn.Module, N: int, data: Dataset, name: str, steps: int, **options: Any) -> Students:
    """Stage two, of a student of stage one in N steps: students of N / 2, ..., 1 steps, of which the last two learn
    longer.
    """
    found: Students = {}

    def of_batch(halving: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        assert isinstance(halving, Round)
        return stage_two_loss(halving.student, halving.teacher, *labelled(batch), halving.N, noise=noise)

    def fit(halving: Round) -> nn.Module:
        long = 2 * steps if halving.N <= 2 else steps
        trained = train(halving, of_batch, data, steps=long, name=f"{name}-{halving.N}", **options, **run.training)
        found[halving.N] = Trained(trained.model.student, trained.losses, trained.seconds)
        return trained.model.student

    for _ in distill(first, N, fit):
        pass
    return found


# ---- points of three classes, whose guided teacher is exact ----------------------------------------------------------

LAW = guidance.three_classes()
NONE = 3
SD = LAW.cov.diagonal().mean().sqrt().item()
WITH_NONE = GaussianMixture([1.0] * 6, LAW.means.repeat(2, 1), LAW.covs.repeat(2, 1, 1), [0, 1, 2, NONE, NONE, NONE])
"""To be asked for a class, or for none."""


def exact(z: Tensor, gamma: Tensor, y: Tensor) -> Tensor:
    """The teacher that training would end with."""
    alpha, sigma = alpha_sigma(gamma.double(), z.double())
    x = WITH_NONE.denoise(z.double(), alpha, sigma, y)
    return ((alpha * z.double() - x) / sigma).to(z)


def exact_student(z: Tensor, gamma: Tensor, y: Tensor, scale: Tensor) -> Tensor:
    """The student that stage one would end with."""
    return guided(exact, y, scale, NONE)(z, gamma)


def best_blind(z: Tensor, gamma: Tensor, y: Tensor, scale: Tensor) -> Tensor:
    """The best that a student can do that is not told the scale: answer for the mean one."""
    return guided(exact, y, 3.0, NONE)(z, gamma)


@once
def points(run: Run) -> Dataset:
    x, y = LAW.sample_with_class(8192, noise=Noise(run.seed))
    return Dataset("three-classes", x.float(), y, x[:0].float(), y[:0], None, (-20.0, 20.0))


@once
def labels(run: Run) -> Tensor:
    """The class asked for, of each start."""
    return torch.arange(len(starts(run))) % 3


@once
def stage_one(run: Run, kind: type[Told] = Told) -> Trained[Told]:
    def of_batch(model: ScaledVModel, batch: Batch, noise: Noise) -> Tensor:
        return stage_one_loss(model, exact, *labelled(batch), NONE, noise=noise)

    torch.manual_seed(run.seed)
    model, options = kind(MLP(2, classes=3, second=True)), {"batch_size": 128, "lr": 4e-3, "anneal": True, "ema": 0.98}
    return train(
        model, of_batch, points(run), steps=run.steps, name=f"stage-one-{kind.__name__}", **options, **run.training
    )


@once
def students(run: Run) -> Students:
    options = {"batch_size": 128, "lr": 1e-3, "anneal": True, "ema": 0.95}
    return halved(run, stage_one(run).model, 16, points(run), "stage-two", 5 * run.steps // 16, **options)


@once
def ends(run: Run) -> dict[float, Tensor]:
    """Where the guided ODE takes the starts, by scale."""
    y = labels(run).repeat(len(SCALES))
    scale = torch.tensor(SCALES, dtype=F64).repeat_interleave(len(labels(run)))[:, None]

    def D(x: Tensor, sigma: Tensor) -> Tensor:
        free, told = LAW.denoise(x, 1.0, sigma), LAW.denoise(x, 1.0, sigma, y)
        return free + scale * (told - free)

    found = end_of_flow(D, starts(run).repeat(len(SCALES), 1), lambda n: schedule(n, sigma_max=exp(10)))
    return dict(zip(SCALES, found.chunk(len(SCALES)), strict=True))


@once
def by_teacher(run: Run, N: int, scale: float) -> Tensor:
    """What the guided teacher makes of the starts: 2 N evaluations."""
    return progressive.sample(guided(exact, labels(run), scale, NONE), starts(run), N)


def by(run: Run, student: nn.Module, N: int, scale: float) -> Tensor:
    z, y = starts(run).float().to(run.device), labels(run).to(run.device)
    return sample(student, z, N, y, scale).cpu()


@once
def of_teacher(run: Run, N: int) -> list[float]:
    """Its distance from the ends, at each scale."""
    return [distance(by_teacher(run, N, scale), ends(run)[scale], SD) for scale in SCALES]


@once
def of_student(run: Run, student: nn.Module, N: int) -> list[float]:
    return [distance(by(run, student, N, scale), ends(run)[scale], SD) for scale in SCALES]


def floor(run: Run) -> Claim:
    x, y = LAW.sample_with_class(8000, noise=Noise(run.seed + 1))

    @torch.no_grad()
    def loss(student: ScaledVModel) -> float:
        rows, asked = x.float().to(run.device), y.to(run.device)
        return stage_one_loss(student, exact, rows, asked, NONE, noise=Noise(run.seed + 2)).item()

    least = loss(best_blind)
    return Claim(
        statement="loss of stage one, over the least that a student can reach which is not told the scale: the "
        "variance of the scale times the weighted square of x_c - x_u",
        value=loss(stage_one(run).model) / least,
        bound=0.1,
        relation="<=",
        control=loss(stage_one(run, Blind).model) / least,
        control_is="a student that is not told the scale, trained alike",
        of="section 3.1 and Algorithm 1",
    )


def one_for_two(run: Run) -> Claim:
    return Claim(
        statement=f"distance from where the guided ODE takes the same noise, in sd, worst over scales "
        f"{SCALES[0]:g} to {SCALES[-1]:g}: the student of stage one, {FULL} evaluations",
        value=max(of_student(run, stage_one(run).model, FULL)),
        bound=0.2,
        relation="<=",
        control=max(of_student(run, stage_one(run, Blind).model, FULL)),
        control_is="a student that is not told the scale, trained alike, as many evaluations",
        of="section 3.1: one network for the guided pair, at every scale",
    )


def four_steps(run: Run) -> Claim:
    def over_teacher(student: nn.Module) -> float:
        pairs = zip(of_student(run, student, 4), of_teacher(run, 4), strict=True)
        return max(found / of_pair for found, of_pair in pairs)

    return Claim(
        statement="the same distance in four steps, over that of the guided teacher in four steps, which are eight "
        "evaluations; worst over scales",
        value=over_teacher(students(run)[4].model),
        bound=1.0,
        relation="<=",
        control=over_teacher(stage_one(run).model),
        control_is="the student of stage one in four steps, not distilled further",
        of="section 3.2 and Algorithm 2",
    )


def one_evaluation(run: Run) -> Claim:
    return Claim(
        statement="the same distance, worst over scales: one evaluation of the last student",
        value=max(of_student(run, students(run)[1].model, 1)),
        bound=0.45,
        relation="<=",
        control=max(of_teacher(run, 2)),
        control_is="the guided teacher in two steps, four evaluations; in one step it is 2 sd away",
        of="section 3.2 and Algorithm 2",
    )


HIGH = 5.0
"""The scale that data are decoded at, after they were encoded at 1."""


def style(run: Run) -> Claim:
    """Points of one class, encoded as such, decoded for the next class and guided towards it."""
    x, y = LAW.sample_with_class(256, noise=Noise(run.seed + 3))
    other = (y + 1) % 3

    def moved(encoder: ScaledVModel, decoder: ScaledVModel, steps: int, few: int, scale: float, x: Tensor) -> Tensor:
        code = encode(encoder, x, steps, y.to(x.device), 1.0)
        return sample(decoder, code, few, other.to(x.device), scale).cpu()

    true = moved(exact_student, exact_student, 256, 256, HIGH, x)

    def error(scale: float) -> float:
        first, last = stage_one(run).model, students(run)[4].model
        return distance(moved(first, last, 32, 4, scale, x.float().to(run.device)), true, SD)

    return Claim(
        statement=f"data encoded at scale 1 in 32 steps, decoded for another class at scale {HIGH:g} in four: distance "
        "from where the guided ODE takes the same data, in sd",
        value=error(HIGH),
        bound=0.3,
        relation="<=",
        control=error(1.0),
        control_is="decoded at the scale that it was encoded at",
        of="the experiments on encoding: another model's scale and class decode what one has encoded",
    )


def tradeoff(run: Run) -> Figure:
    y, scales = labels(run), (1.0, 1.25, 1.5, 2.0, 3.0, 5.0)

    def along(samples: Callable[[float], Tensor]) -> tuple[list[float], list[float]]:
        found = [samples(scale).double() for scale in scales]
        right = [(LAW.class_posterior(x).argmax(1) == y).double().mean().item() for x in found]
        spread = [fmean(torch.pdist(x[y == k]).mean().item() for k in range(3)) for x in found]
        return spread, right

    lines = {
        f"teacher, {2 * FULL}": along(lambda scale: by_teacher(run, FULL, scale)),
        "student, 4": along(lambda scale: by(run, students(run)[4].model, 4, scale)),
        "student, 1": along(lambda scale: by(run, students(run)[1].model, 1, scale)),
        "teacher, 4": along(lambda scale: by_teacher(run, 2, scale)),
    }
    return Figure(
        alt="Share of points of the class asked for against the mean distance between two of one class, at scales "
        f"from 1 to 5.  Beside the line of the guided teacher in {2 * FULL} evaluations run those of the students of "
        "four and of one, with a little less spread; far to the left of them that of the teacher in four.",
        image=pictures.curves(lines, across="mean distance within a class", up="share of the class asked for"),
    )


def blind_to_scale(run: Run) -> Figure:
    found = {
        "told the scale": of_student(run, stage_one(run).model, FULL),
        "not told": of_student(run, stage_one(run, Blind).model, FULL),
        "guided teacher, 4 steps": of_teacher(run, 4),
        "student, 4 steps": of_student(run, students(run)[4].model, 4),
        "student, 1 step": of_student(run, students(run)[1].model, 1),
    }
    return Figure(
        alt="Distance from where the guided ODE ends against the scale.  The student that is told the scale stays near "
        "0; the one that is not is right at scale 3 alone, in the middle of the range.",
        image=pictures.curves(
            {name: (list(SCALES), errors) for name, errors in found.items()}, across="scale", up="distance / sd"
        ),
    )


def few_steps(run: Run) -> Curve:
    counts = sorted(students(run))
    student = [fmean(of_student(run, students(run)[N].model, N)) for N in counts]
    full = fmean(of_student(run, stage_one(run).model, FULL))
    return against_evaluations(
        {
            "student": ([*counts, FULL], [*student, full]),
            "guided teacher": ([2 * N for N in (*counts, FULL)], [fmean(of_teacher(run, N)) for N in (*counts, FULL)]),
        }
    )


# ---- the stochastic sampler, where all is affine ---------------------------------------------------------------------

VARIANCE = 0.49
COUNTS = (2, 4, 8, 16, 32)


def jumping(N: int) -> ScaledVModel:
    """The student of N stochastic steps that the ODE of N(0, VARIANCE) would teach."""
    table = progressive.levels(N)

    def model(z: Tensor, gamma: Tensor, y: Tensor, scale: Tensor) -> Tensor:
        k = (table - gamma[:, None]).abs().argmin(1)
        end = table[(k - 2).clamp_min(0)]
        (alpha, sigma), (alpha_end, sigma_end) = alpha_sigma(gamma, z), alpha_sigma(end, z)
        spread = ((alpha_end**2 * VARIANCE + sigma_end**2) / (alpha**2 * VARIANCE + sigma**2)).sqrt()
        return (alpha * z - progressive.implied(z, spread * z, gamma, end)) / sigma

    return model


def plain(z: Tensor, gamma: Tensor, y: Tensor, scale: Tensor) -> Tensor:
    """The teacher's own guess: DDIM's steps."""
    alpha, sigma = alpha_sigma(gamma, z)
    return (alpha * z - alpha * VARIANCE * z / (alpha**2 * VARIANCE + sigma**2)) / sigma


def spread(model: ScaledVModel, N: int, *, stochastic: bool = True) -> float:
    """Standard deviation of what a sampler makes, over that of the data, exactly."""

    def sampler(z: Tensor, noise: Noise) -> Tensor:
        y = torch.zeros(len(z), dtype=torch.int64)
        if stochastic:
            return sample_stochastic(model, z, N, y, 1.0, noise=noise)
        return sample(model, z, N, y, 1.0)

    return moments(sampler).std.item() / sqrt(VARIANCE)


def stochastic_spread(run: Run) -> Claim:
    return Claim(
        statement="spread of what the stochastic sampler makes in four steps, over that of Gaussian data: the student "
        "whose jumps are the ODE's (exact moments)",
        value=spread(jumping(4), 4),
        bound=0.999,
        relation=">=",
        control=spread(plain, 4, stochastic=False),
        control_is="DDIM in four steps, deterministic; its stochastic sampler, whose jumps are twice as long, keeps "
        "less still, 0.58",
        of="section 3.3 and Algorithm 3",
    )


def shrinks(run: Run) -> Figure:
    across = [log(N, 2) for N in COUNTS]
    lines = {
        "the ODE's jumps": [spread(jumping(N), N) for N in COUNTS],
        "deterministic": [spread(plain, N, stochastic=False) for N in COUNTS],
        "DDIM's jumps": [spread(plain, N) for N in COUNTS],
    }
    return Figure(
        alt="Spread of samples over that of Gaussian data, against the logarithm of the number of steps.  With jumps "
        "that a student has learned the stochastic sampler keeps all of it; with those of DDIM it keeps less than "
        "deterministic DDIM does, for its jumps are twice as long.",
        image=pictures.curves(
            {name: (across, values) for name, values in lines.items()},
            across="log2 of the number of steps",
            up="spread / that of the data",
        ),
    )


# ---- images ----------------------------------------------------------------------------------------------------------


@once
def asked(run: Run) -> Tensor:
    """The classes asked for: each three times, in turn."""
    classes = dataset(run).classes
    return torch.arange(3 * classes, device=run.device) % classes


@once
def image_starts(run: Run) -> Tensor:
    """A start for each of them."""
    return Noise(run.seed)(torch.empty(len(asked(run)), *dataset(run).shape, device=run.device))


@once
def teacher(run: Run) -> Trained[Told]:
    """For the classes, and for none."""
    data = dataset(run)

    def of_batch(model: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        x, y = labelled(batch)
        c = drop(y, data.classes, noise=noise)
        return progressive.loss(lambda z, gamma: model(z, gamma, c), x, noise=noise)

    torch.manual_seed(run.seed)
    model = Told(UNet(data.shape[0], classes=data.classes + 1, **unet_sizes(data)))
    options = {"steps": run.steps, "batch_size": 32, "lr": 6e-3, "anneal": True, "ema": 0.98}
    return train_or_load(teacher, run, model, of_batch, data, name="guided-teacher", **options)


def copy_of(run: Run) -> Told:
    """A student that answers as the conditional teacher does, whatever the scale, until it is trained."""
    data = dataset(run)
    torch.manual_seed(run.seed + 1)
    net = UNet(data.shape[0], classes=data.classes + 1, second=True, **unet_sizes(data))
    net.load_state_dict(teacher(run).model.net.state_dict(), strict=False)
    assert net.condition.second is not None, "it is told a second number"
    for parameter in net.condition.second.outer.parameters():
        nn.init.zeros_(parameter)
    return Told(net)


@once
def image_student(run: Run) -> Trained[Told]:
    """Of stage one."""
    data, pair = dataset(run), teacher(run).model

    def of_batch(model: ScaledVModel, batch: Batch, noise: Noise) -> Tensor:
        return stage_one_loss(model, pair, *labelled(batch), data.classes, noise=noise)

    options = {"steps": run.steps // 5, "batch_size": 32, "lr": 6e-3, "anneal": True, "ema": 0.95}
    return train(copy_of(run), of_batch, data, name="images-stage-one", **options, **run.training)


@once
def image_students(run: Run) -> Students:
    options = {"batch_size": 32, "lr": 3e-3, "anneal": True, "ema": 0.95}
    return halved(run, image_student(run).model, 8, dataset(run), "images-stage-two", run.steps // 20, **options)


@once
def images_by(run: Run, who: str, N: int, scale: float) -> Tensor:
    """Of the classes asked for.  who: "teacher", "stage one", or "student", the one made for so many steps."""
    y, z, clip = asked(run), image_starts(run), dataset(run).range
    if who == "teacher":
        model: VModel = guided(teacher(run).model, y, scale, dataset(run).classes)
        return progressive.sample(model, z, N, clip=clip)
    model_of = image_student(run) if who == "stage one" else image_students(run)[N]
    return sample(model_of.model, z, N, y, scale, clip=clip)


def images(run: Run) -> Claim:
    def error(who: str) -> float:
        """Of a pixel, in sd of the data, worst over scales."""
        sd = dataset(run).x.std().item()

        def at(scale: float) -> float:
            full = images_by(run, "teacher", FULL_OF_IMAGES, scale)
            return (images_by(run, who, 1, scale) - full).square().mean().sqrt().item() / sd

        return max(at(scale) for scale in SCALES)

    return Claim(
        statement=f"images in one evaluation: root mean square of what pixels differ by from those of the guided "
        f"teacher in {FULL_OF_IMAGES} steps from the same noise, in sd of the data, worst over scales",
        value=error("student"),
        bound=0.53,
        relation="<=",
        control=error("teacher"),
        control_is="the guided teacher in one step, two evaluations; in two steps, which are four, it is a little "
        "nearer than the student in one",
        of="section 3.2 and the experiments on pixel-space models",
    )


def sheets(run: Run) -> Figure:
    data = dataset(run)

    def sheet(who: str, N: int) -> Tensor:
        rows = [images_by(run, who, N, scale)[: data.classes] for scale in SCALES]
        return pictures.contact_sheet(torch.cat(rows), columns=data.classes, range=data.range, width=560)

    pairs = [
        {f"guided teacher, {2 * N} evaluations": sheet("teacher", N), f"{which}, {few}": sheet(who, few)}
        for N, which, who, few in (
            (FULL_OF_IMAGES, "student of stage one", "stage one", FULL_OF_IMAGES),
            (2, "student of stage two", "student", 4),
            (1, "student of stage two", "student", 1),
        )
    ]
    return Figure(
        alt=f"Samples after training on {run.data}, a column for each class, a row for each of the scales 1, 3 and 5, "
        "from the same noise.  The student of stage one gives nearly the guided teacher's images for half its cost, "
        "those of four evaluations and of one much the same; the teacher itself is blurred in two evaluations.",
        image=torch.cat([pictures.beside(pair) for pair in pairs]),
    )


def network(run: Run) -> dict[str, Trained]:
    named = {"stage-one": stage_one(run), "images-stage-one": image_student(run)}
    for prefix, rounds in {"stage-two": students(run), "images-stage-two": image_students(run)}.items():
        named |= {f"{prefix}-{N}": trained for N, trained in rounds.items()}
    return named


DEMO = Demo(
    claims=(floor, one_for_two, four_steps, one_evaluation, style, stochastic_spread, images),
    figures=(sheets, tradeoff, blind_to_scale, shrinks),
    network=network,
    steps=320,
    network_evaluations=4,
    curves=(few_steps,),
)
