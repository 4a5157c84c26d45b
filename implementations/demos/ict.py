"""Trains consistency models of points and of digits from data alone, the points also by the ways that came before.

Distillation with the exact denoiser on 18 levels is limited by these levels, as an exact claim says; trained from data
alone on up to 1281, one evaluation lands nearer.  Consistency training as it was has its N and mu shortened here to
those of its own demo, which suit so few updates: with the paper's, 150 levels and mu_0 = 0.9, it stayed near the mean
of the data (1.3 standard deviations off), its target being hundreds of updates behind.  In so few updates no way finds
the eight modes: samples in one evaluation lie on a ring at best.  Images in one evaluation are shown and not claimed:
over ten seeds, at a learning rate of 4e-3, their energy distance to held-out ones was 0.4 with a standard deviation as
large, no better than four of Euler's evaluations.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from implementations import consistency_models as cm
from implementations import edm, ict
from implementations.common.mlp import MLP
from implementations.common.noise import Noise
from implementations.common.rows import per_row
from implementations.demos.edm import network as edm_network
from implementations.demos.edm import sigma_data
from implementations.demos.few_steps import LAW, against_evaluations, distance, ends, film, starts
from implementations.demos.recipes import dataset, held_out, unet_sizes
from implementations.edm import DenoisingModel, Solver
from implementations.lab import pictures
from implementations.lab.data import Dataset
from implementations.lab.demo import Claim, Curve, Demo, Figure, Run, once
from implementations.lab.training import Batch, Trained, train
from implementations.unet import UNet
from implementations.verification.oracles import Gaussian

F64 = torch.float64

# ---- why the target must not be an average: data that are one point, XI ----------------------------------------------

XI, THETA, EPS, AT = 0.3, 0.8, 0.5, 1.4


class PointMass(nn.Module):
    """f(x, t) = (eps / t) x + (1 - eps / t) theta, the consistency function of a point at theta."""

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta, dtype=F64))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return per_row(EPS / t, x) * x + per_row(1 - EPS / t, x) * self.theta


def gradient(dt: float, lag: float = 0.0) -> float:
    """Of the loss in theta, over its limit as dt goes to 0; lag: what is missing of theta in the target."""
    model, x_0 = PointMass(THETA), torch.full((1, 1), XI, dtype=F64)
    if lag == 0:
        value = ict.training_loss(model, x_0, AT + dt, AT, noise=Noise(0))
    else:
        x_t, x_r = cm.pair(x_0, AT + dt, AT, noise=Noise(0))
        target = PointMass(THETA - lag)(x_r, torch.tensor([AT], dtype=F64)).detach()
        value = ict.pseudo_huber(model(x_t, torch.tensor([AT + dt], dtype=F64)), target).mean() / dt
    limit = EPS / AT**2 * (1 - EPS / AT) * (THETA - XI) / ict.huber_width(1)
    return torch.autograd.grad(value, model.theta)[0].item() / limit


def limit(run: Run) -> Claim:
    def off(lag: float) -> float:
        return abs(gradient(1e-5, lag) - 1)

    return Claim(
        statement="gradient of the loss at two levels 1e-5 apart, off its limit as they close up, relative (data that "
        "are one point)",
        value=off(0.0),
        bound=1e-3,
        relation="<=",
        control=off(0.01),
        control_is="a target that lags behind by 0.01, as an average does",
        of="section 3.2, Proposition 1",
    )


# ---- why N grows to 1281: Gaussian data ------------------------------------------------------------------------------


def spread(N: int, solver: Solver) -> float:
    """Standard deviation of samples in one evaluation over that of the data, for a model that is perfect on N levels.

    From one level to the next it does what one step of the solver does: Heun's in distillation, Euler's in training
    without a teacher, as the mean of x_0 + r z given x_0 + t z is where Euler's step of the exact denoiser arrives.
    """
    table = cm.levels(N)
    x = edm.step(Gaussian(0.0, 0.25).denoiser(), torch.ones(N - 1, 1, dtype=F64), table[1:], table[:-1], solver=solver)
    return (80 * x.prod() / 0.5).item()


def levels(run: Run) -> Claim:
    return Claim(
        statement="spread of samples in one evaluation, off that of the data, relative, for a model that is perfect on "
        "the 1281 levels of the last stage (Gaussian data)",
        value=abs(spread(1281, "euler") - 1),
        bound=0.005,
        relation="<=",
        control=min(abs(spread(151, "euler") - 1), abs(spread(18, "heun") - 1)),
        control_is="the better of training on 151 levels and distillation with Heun's method on 18, both perfect",
        of="section 3.4",
    )


# ---- eight Gaussians -------------------------------------------------------------------------------------------------

Way = Literal["iCT", "CT", "CD"]
LEVELS_OF_CD = 18


class Network(MLP):
    """F(x, c_noise) for points, whose embedding changes little from one level to the next: c_noise by 0.01."""

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None, s: Tensor | None = None) -> Tensor:
        return super().forward(x, 100 * t, y, s)


class Counted(nn.Module):
    """A model, and k, the updates so far, so that training resumes at its stage."""

    k: Tensor

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.online = model
        self.register_buffer("k", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.online(x, t)


def itself(model: nn.Module) -> Any:
    """The module, without what torchrun puts around it."""
    return getattr(model, "module", model)


def improved(model: nn.Module, x_0: Tensor, K: int, noise: Noise) -> Tensor:
    """The loss of an update of `Counted`."""
    own = itself(model)
    N = ict.discretisation(min(int(own.k), K), K)
    own.k += 1
    t, r = ict.neighbours(cm.levels(N), x_0, noise=noise)
    return ict.training_loss(model, x_0, t, r, noise=noise)


def averaged(model: nn.Module, x_0: Tensor, K: int, noise: Noise) -> Tensor:
    """The loss of an update of `WithTarget`, by consistency training as it was: 2 to 31 levels, mu from 0.5."""
    own = itself(model)
    N = cm.discretisation(min(int(own.k), K), K, s_1=30)
    own.update(cm.decay(N, mu_0=0.5))
    t, r = cm.neighbours(cm.levels(N), x_0, noise=noise)
    return cm.training_loss(model, own.target, x_0, t, r, noise=noise)


def distilled(model: nn.Module, x_0: Tensor, K: int, noise: Noise) -> Tensor:
    """The loss of an update by distillation, with the exact denoiser; the target is the model itself."""
    t, r = cm.neighbours(cm.levels(LEVELS_OF_CD), x_0, noise=noise)
    return cm.distillation_loss(model, model, LAW.denoiser(), x_0, t, r, noise=noise)


WAYS = {"iCT": improved, "CT": averaged, "CD": distilled}


@once
def plane(run: Run) -> Dataset:
    """Points of the law."""
    x = LAW.sample(20_000, noise=Noise(run.seed + 2000)).float()
    reach = x.abs().max().item()
    return Dataset("eight-gaussians", x, None, x[:0], None, None, (-reach, reach))


@once
def of_points(run: Run, way: Way) -> DenoisingModel:
    """A consistency model of the points."""
    K = max(8, 6 * run.steps)

    def of_batch(model: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        return WAYS[way](model, batch[0], K, noise)

    torch.manual_seed(run.seed)
    model = cm.ConsistencyModel(Network(2, width=64))
    model = cm.WithTarget(model) if way == "CT" else Counted(model)
    options = {"steps": K, "batch_size": 256, "lr": 1.5e-3, "anneal": True, "ema": 0.98}
    return train(model, of_batch, plane(run), name=f"ict-plane-{way.lower()}", **options, **run.training).model


SIGMAS = {1: (80.0,), 2: (80.0, 0.821), 4: (80.0, 4.0, 0.821, 0.2)}
"""Levels to evaluate the model at, by their number; two are the paper's."""


def drawn(run: Run, model: DenoisingModel, z: Tensor, evaluations: int) -> Tensor:
    return cm.sample(model, z, torch.tensor(SIGMAS[evaluations]), noise=Noise(run.seed + 2001))


@once
def points(run: Run, way: Way, evaluations: int = 1) -> Tensor:
    """From the starts of all methods of few steps."""
    return drawn(run, of_points(run, way), starts(run).float().to(run.device), evaluations).cpu()


def off_the_path(run: Run, way: Way) -> float:
    return distance(points(run, way), ends(run))


def nearer(run: Run, way: Way, control_is: str, of: str) -> Claim:
    return Claim(
        statement="distance of samples in one evaluation from where the ODE takes the same noise, in standard "
        "deviations of the data (eight Gaussians)",
        value=off_the_path(run, "iCT"),
        bound=0.38,
        relation="<=",
        control=off_the_path(run, way),
        control_is=control_is,
        of=of,
    )


def over_distillation(run: Run) -> Claim:
    by = f"distillation with the exact denoiser and Heun's method on {LEVELS_OF_CD} levels, trained as long"
    return nearer(run, "CD", by, "the abstract: better than distillation in one step")


def over_training(run: Run) -> Claim:
    by = "consistency training with an averaged target, squares and pairs all as likely, trained as long"
    return nearer(run, "CT", by, "the abstract: better than consistency training as it was")


def few_steps(run: Run) -> Curve:
    """From the second evaluation on a consistency model draws fresh noise, and forgets where it started."""
    D, counts = LAW.denoiser(), [1, 2, 4, 8, 16]
    found = [distance(points(run, "iCT", n), ends(run)) for n in SIGMAS]
    euler = [distance(edm.sample(D, starts(run), edm.schedule(n), solver="euler"), ends(run)) for n in counts]
    return against_evaluations({"iCT": (list(SIGMAS), found), "Euler, exact denoiser": (counts, euler)})


# ---- images ----------------------------------------------------------------------------------------------------------


class ImageNetwork(UNet):
    """The same for images."""

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None, s: Tensor | None = None) -> Tensor:
        return super().forward(x, 100 * t, y, s)


@once
def network(run: Run) -> Trained[Counted]:
    """A consistency model of the run's images, with dropout."""
    images, K = dataset(run), max(8, 3 * run.steps // 2)

    def of_batch(model: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        return improved(model, batch[0], K, noise)

    torch.manual_seed(run.seed)
    unet = ImageNetwork(images.shape[0], **unet_sizes(images), dropout=0.1)
    model = Counted(cm.ConsistencyModel(unet, sigma_data(run)))
    options = {"steps": K, "batch_size": 32, "lr": 1.5e-3, "anneal": True, "ema": 0.98}
    return train(model, of_batch, images, name="ict", **options, **run.training)


def images_drawn(run: Run, evaluations: int, n: int = 200) -> Tensor:
    return drawn(run, network(run).model, Noise(run.seed)(held_out(run, n)), evaluations)


def images_solved(run: Run, evaluations: int, n: int = 200) -> Tensor:
    """From the same starts, by Euler's method and the denoiser of EDM's demo."""
    z = Noise(run.seed)(held_out(run, n))
    return edm.sample(edm_network(run).model, z, edm.schedule(evaluations), solver="euler")


def one_mask(run: Run) -> Claim:
    """As much as is dropped in training, in the trained network, at levels of the last stage."""
    model, x_0 = network(run).model, held_out(run, 100)
    t, r = ict.neighbours(cm.levels(1281), x_0, noise=Noise(run.seed + 1))
    x_t, x_r = cm.pair(x_0, t, r, noise=Noise(run.seed + 2))

    @torch.no_grad()
    def apart(seeds: tuple[int, int] | None) -> float:
        model.train(seeds is not None)
        found = []
        for seed, x, level in zip(seeds or (0, 0), (x_t, x_r), (t, r), strict=True):
            with torch.random.fork_rng([x.device] if x.is_cuda else []):
                torch.manual_seed(seed)
                found.append(model(x, level))
        model.eval()
        return (found[0] - found[1]).square().mean().sqrt().item()

    return Claim(
        statement="how far apart outputs at neighbouring levels are while units are dropped, over the same while none "
        "is: root mean square on held-out images, 1281 levels",
        value=apart((run.seed, run.seed)) / apart(None),
        bound=2.0,
        relation="<=",
        control=apart((run.seed, run.seed + 1)) / apart(None),
        control_is="other units dropped at the lower level than at the upper one",
        of="section 3.1",
    )


# ---- pictures --------------------------------------------------------------------------------------------------------


def samples(run: Run) -> Figure:
    shown: dict[str, Way] = {"CT": "CT", "CD, 18 levels": "CD", "iCT": "iCT"}
    size = {"limits": (-1.2, 1.2), "size": 190}
    planes = {title: pictures.scatter(points(run, way), **size) for title, way in shown.items()}
    planes["the ODE's ends"] = pictures.scatter(ends(run), **size)
    rows = torch.cat([images_drawn(run, n, 8) for n in SIGMAS])
    sheet = pictures.contact_sheet(rows, columns=8, range=dataset(run).range, width=460)
    return Figure(
        alt="Points in one evaluation: CT's over a disc, thickest at its middle; CD's over a disc, too far out; iCT's "
        "mostly on a ring where the eight Gaussians lie; and where the ODE takes the same noise, on the eight.  "
        f"Beside, the same eight starts by one, two and four evaluations of a model of {run.data}: blurred in one, "
        "clearer in two and four.",
        image=pictures.beside({**planes, "iCT: 1, 2, 4 evaluations": sheet}),
    )


def sheets(run: Run) -> Figure:
    columns = {
        "EDM, Euler: 32, 4, 2, 1 evaluations": [images_solved(run, n, 8) for n in (32, 4, 2, 1)],
        "iCT: 4, 2, 1": [images_drawn(run, n, 8) for n in (4, 2, 1)],
    }
    return Figure(
        alt=f"The same eight starts, after training on {run.data}: EDM's network by Euler's method makes digits in 32 "
        "evaluations, paler ones in four, and nearly one blur for all in two and one; iCT's differ from each other in "
        "all, blurred in one and clearer in two and four.",
        image=film(dataset(run), columns),
    )


def gradients(run: Run) -> Figure:
    steps = torch.logspace(-5, -0.5, 19, dtype=F64)
    lags = {"itself": 0.0, "0.01 behind": 0.01, "0.001 behind": 0.001}
    across = steps.log10().tolist()
    lines = {name: (across, [abs(gradient(dt, lag)) for dt in steps.tolist()]) for name, lag in lags.items()}
    return Figure(
        alt="Gradient of the loss over its limit against the distance of the levels: with the model itself as target "
        "it settles at 1 as they close up; with a target that lags behind it grows without end.",
        image=pictures.curves(lines, across="log10 of t - r", up="gradient / limit", log=True, size=(480, 320)),
    )


def schedules(run: Run) -> Figure:
    K = 400
    k = list(range(K + 1))
    stairs = {
        "doubling": (k, [float(ict.discretisation(i, K)) for i in k]),
        "as it was": (k, [float(cm.discretisation(i, K)) for i in k]),
    }
    table = cm.levels(161)
    width = table.log10().diff()
    across = (table[1:].log10() - width / 2).tolist()
    laws = {
        "log-normal": (across, (ict.probabilities(table) / width).tolist()),
        "as it was": (across, (1 / len(width) / width).tolist()),
    }
    panels = {
        "how many levels": pictures.curves(stairs, across="update of 400", up="N", log=True, size=(380, 280)),
        "which of them": pictures.curves(laws, across="log10 of t", up="density", size=(380, 280)),
    }
    return Figure(
        alt="Beside each other: N against the update, doubling from 11 to 1281 in eight stages, and rising from 2 to "
        "151 in the older way; and where pairs of levels are drawn, around t = 0.3, or, were all as likely, more and "
        "more often the higher they are.",
        image=pictures.beside(panels),
    )


DEMO = Demo(
    claims=(limit, levels, over_distillation, over_training, one_mask),
    figures=(samples, sheets, gradients, schedules),
    network=network,
    steps=96,
    network_evaluations=1,
    curves=(few_steps,),
)
