"""Solves the ODE of mixtures, whose denoisers are known, in few steps; trains a denoiser of images, and samples it.

At 35 evaluations Heun's method beats Euler's on the same schedule and DDIM's even timesteps on each of the three
mixtures, but not DDIM's quadratic timesteps; at 79 it beats these too; at 15 all of them beat it: a method of second
order pays once its steps are small.  The mixtures have the standard deviation for which schedule and chain are made.
Twice as wide, some are level at 35, and on one DDIM was ahead, 0.034 against 0.037.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log

import torch
from torch import Tensor, nn

from implementations.common.noise import Noise
from implementations.common.rows import for_all, per_row
from implementations.demos.few_steps import end_of_flow, standardised
from implementations.demos.recipes import dataset, held_out, unet_sizes
from implementations.edm import Denoiser, DenoisingModel, Solver, loss, sample, schedule, trajectory
from implementations.lab import pictures
from implementations.lab.demo import Claim, Demo, Figure, Run, once
from implementations.lab.networks import train_or_load
from implementations.lab.training import Batch, Trained
from implementations.unet import UNet
from implementations.verification.oracles import GaussianMixture, eight_gaussians, line, two_modes
from implementations.verification.solver_order import measure
from implementations.verification.twosample import energy_distance

F64 = torch.float64

# ---- solvers, on laws whose denoiser is known -----------------------------------------------------------------------


def ddim_levels(steps: int, power: int = 1) -> Tensor:
    """Noise levels that DDIM visits on DDPM's chain of 1000: Euler's method on them is DDIM, in x / sqrt(abar).

    power: 1 for even timesteps, 2 for quadratic ones, of which the first few may merge.  Returns float64, falling to 0.
    """
    abar = (1 - torch.linspace(1e-4, 0.02, 1000, dtype=F64)).cumprod(0)
    fraction = torch.arange(1, steps + 1, dtype=F64) / steps
    t = (fraction**power * 1000).round().long().clamp_min(1).unique()
    sigmas = ((1 - abar) / abar).sqrt()[t - 1].flip(0)
    return torch.cat([sigmas, sigmas.new_zeros(1)])


LAWS = [standardised(law) for law in (line(), two_modes(), eight_gaussians())]
WAYS: dict[str, Callable[[int], tuple[Tensor, Solver]]] = {
    "Heun": lambda evaluations: (schedule((evaluations + 1) // 2), "heun"),
    "Euler": lambda evaluations: (schedule(evaluations), "euler"),
    "DDIM": lambda evaluations: (ddim_levels(evaluations), "euler"),
    "DDIM, quadratic": lambda evaluations: (ddim_levels(evaluations, 2), "euler"),
}
"""To spend an odd number of evaluations."""


def starts(run: Run, law: GaussianMixture) -> Tensor:
    """128 points of noise, of standard deviation 1."""
    return Noise(run.seed)(torch.empty(128, len(law.mean), dtype=F64))


@once
def ends(run: Run, law: GaussianMixture, high: float) -> Tensor:
    """Where the ODE takes the starts from noise of this level."""
    return end_of_flow(law.denoiser(), starts(run, law), lambda n: schedule(n, sigma_max=high))


@once
def error(run: Run, way: str, evaluations: int) -> float:
    """Mean distance from where the ODE ends, in units of sigma_data, averaged over the laws; exact denoisers."""
    sigmas, solver = WAYS[way](evaluations)
    total = 0.0
    for law in LAWS:
        x = sample(law.denoiser(), starts(run, law), sigmas, solver=solver)
        total += (x - ends(run, law, sigmas[0].item())).norm(dim=1).mean().item() / 0.5
    return total / len(LAWS)


def thirty_five(run: Run) -> Claim:
    return Claim(
        statement="distance from where the ODE ends, in units of sigma_data, after 35 evaluations (mean over three "
        "mixtures)",
        value=error(run, "Heun", 35),
        bound=0.042,
        relation="<=",
        control=min(error(run, way, 35) for way in ("Euler", "DDIM")),
        control_is="the better of Euler's method on the same schedule and DDIM with even timesteps, 35 evaluations "
        "each; not DDIM with quadratic timesteps, which is ahead of Heun's method here (0.030 on seed 0)",
        of="section 3 and Figure 2",
    )


def seventy_nine(run: Run) -> Claim:
    return Claim(
        statement="the same after 79 evaluations",
        value=error(run, "Heun", 79),
        bound=0.0075,
        relation="<=",
        control=min(error(run, way, 79) for way in ("Euler", "DDIM", "DDIM, quadratic")),
        control_is="the best of Euler's method and DDIM with even or quadratic timesteps, 79 evaluations each",
        of="section 3 and Figure 2",
    )


def order_of(solver: Solver) -> float:
    """Of a solver, measured on a mixture from sigma 4 to 0.05: the last step, to 0, would be Euler's for both."""
    D, z = line().denoiser(), torch.linspace(-1.5, 1.5, 32, dtype=F64)[:, None]

    def levels(n: int) -> Tensor:
        return schedule(n + 1, 0.05, 4.0)[:-1]

    return measure(lambda n: sample(D, z, levels(n), solver=solver), end_of_flow(D, z, levels), (16, 32, 64)).slope


def order(run: Run) -> Claim:
    return Claim(
        statement="order of Heun's method: how fast the error falls with the number of steps, on a mixture",
        value=order_of("heun"),
        bound=1.9,
        relation=">=",
        control=order_of("euler"),
        control_is="Euler's method",
        of="section 3",
    )


def paths(run: Run) -> Figure:
    """The ODE for data on two points, -1 and 1, in three choices of time and scale (Figure 3)."""
    start, sigmas = torch.linspace(-3, 3, 16, dtype=F64)[:, None], schedule(100, 0.002, 2.5, 3.0)
    states = trajectory(lambda x, sigma: torch.tanh(x / per_row(sigma, x) ** 2), start, sigmas)
    x, sigma = torch.cat([start, *states], dim=1).T, sigmas[:, None]
    choices = {
        "VP: scaled": ((1 + sigma**2).log() / 2, x / (1 + sigma**2).sqrt()),
        "VE: time is sigma^2": (sigma**2, x),
        "EDM: time is sigma": (sigma, x),
    }
    halves = {"to 1": x[-1] > 0, "to -1": x[-1] < 0}

    def panel(t: Tensor, state: Tensor) -> Tensor:
        gap = torch.full_like(state[:1], torch.nan)  # lifts the pen between two paths
        across, up = torch.cat([t, t[-1:]]).expand(-1, len(start)), torch.cat([state, gap])
        lines = {
            name: (across.T[half].flatten().tolist(), up.T[half].flatten().tolist()) for name, half in halves.items()
        }
        return pictures.curves(lines, across="time", up="x", size=(330, 300))

    return Figure(
        alt="Paths of the ODE from noise to two points.  With VP's scale, and with the square of sigma as time, they "
        "bend sharply just before the end; with sigma as time they run there nearly straight.",
        image=pictures.beside({title: panel(*choice) for title, choice in choices.items()}),
    )


# ---- a small network, and what it is wrapped in ---------------------------------------------------------------------


class Network(UNet):
    """F(x, c_noise).  The U-Net's embedding is made for T = 1000 steps of 1; c_noise spans less than 3."""

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None, s: Tensor | None = None) -> Tensor:
        return super().forward(x, 1000 * t, y, None if s is None else 1000 * s)


class Unscaled(Denoiser):
    """A control: D is the network itself."""

    def scalings(self, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        one = torch.ones_like(sigma)
        return 0 * one, one, one, sigma.log() / 4


class NoisePredicting(Denoiser):
    """A control: D as networks that predict the noise of a variance-preserving chain make it (Table 1, VP)."""

    def scalings(self, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return torch.ones_like(sigma), -sigma, 1 / (sigma**2 + 1).sqrt(), sigma.log() / 4


def sigma_data(run: Run) -> float:
    """Of the run's images."""
    return dataset(run).x.std().item()


@once
def network(run: Run, kind: type[Denoiser] = Denoiser) -> Trained[Denoiser]:
    """A small U-Net trained within a denoiser."""
    images = dataset(run)

    def of_batch(model: DenoisingModel, batch: Batch, noise: Noise) -> Tensor:
        return loss(model, batch[0], sigma_data=sigma_data(run), noise=noise)

    torch.manual_seed(run.seed)
    denoiser = kind(Network(images.shape[0], **unet_sizes(images)), sigma_data(run))
    options = {"batch_size": 64, "lr": 6e-3, "anneal": True, "ema": 0.98}
    return train_or_load(network, run, denoiser, of_batch, images, name=f"edm-{kind.__name__.lower()}", **options)


# ---- what the scalings are for: measured on noisy images, sigma from 0.002 to 80 ------------------------------------


class Recorded(nn.Module):
    """A network, moved by a constant, that keeps what it was given last."""

    given: Tensor

    def __init__(self, network: nn.Module, off: float = 0.0) -> None:
        super().__init__()
        self.network, self.off = network, off

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        self.given = x
        return self.network(x, c_noise) + self.off


@once
@torch.no_grad()
def measured(run: Run, kind: type[Denoiser]) -> tuple[float, float]:
    """Of F within scalings of this kind: how far the variance of its input is from 1, and how much of an error of 1 in
    it reaches D, in units of sigma_data; at the level where each is largest.
    """
    y, F = held_out(run, 200), network(run).model.network
    as_it_is = Recorded(F)
    right, wrong = (kind(network, sigma_data(run)) for network in (as_it_is, Recorded(F, off=1.0)))
    departure = reaches = 0.0
    for sigma in schedule(25)[:-1].tolist():
        x, level = y + sigma * Noise(run.seed)(y), for_all(sigma, y)
        error = (wrong(x, level) - right(x, level)).square().mean().sqrt().item()
        departure = max(departure, abs(as_it_is.given.var().item() - 1))
        reaches = max(reaches, error / sigma_data(run))
    return departure, reaches


def unit_variance(run: Run) -> Claim:
    return Claim(
        statement="largest departure from 1 of the variance of the network's input, measured on noisy held-out images, "
        "sigma from 0.002 to 80",
        value=measured(run, Denoiser)[0],
        bound=0.1,
        relation="<=",
        control=measured(run, NoisePredicting)[0],
        control_is="the scaling of a variance-preserving chain, which takes the images' own variance for 1",
        of="section 5 and Table 1",
    )


def errors_amplified(run: Run) -> Claim:
    return Claim(
        statement="how much of an error of the network reaches the denoised image, in units of sigma_data, where most "
        "does: measured on noisy held-out images, sigma from 0.002 to 80",
        value=measured(run, Denoiser)[1],
        bound=1.01,
        relation="<=",
        control=measured(run, NoisePredicting)[1],
        control_is="the same network as one that predicts the noise, whose error is multiplied by sigma",
        of="section 5: at high noise levels predicting the noise amplifies errors",
    )


STEPS = 18
"""Of Heun's method, 35 evaluations."""


@once
def drawn(run: Run, kind: type[Denoiser] = Denoiser) -> Tensor:
    """100 samples."""
    return sample(network(run, kind).model, Noise(run.seed)(held_out(run, 100)), schedule(STEPS))


def samples(run: Run) -> Claim:
    return Claim(
        statement="energy distance from samples, 35 evaluations each, to held-out images",
        value=energy_distance(drawn(run), held_out(run, 200)),
        bound=0.4,
        relation="<=",
        control=energy_distance(drawn(run, Unscaled), held_out(run, 200)),
        control_is="the same network as D itself, without the scalings, trained alike",
        of="section 5",
    )


def sheets(run: Run) -> Figure:
    def sheet(images: Tensor) -> Tensor:
        return pictures.contact_sheet(images[:64], columns=8, range=dataset(run).range, width=300)

    counts = [15, 23, 35, 55, 79]
    errors = {way: (counts, [error(run, way, count) for count in counts]) for way in WAYS}
    panels = {
        "35 evaluations": sheet(drawn(run)),
        "without the scalings": sheet(drawn(run, Unscaled)),
        "exact denoisers: what the solvers miss by": pictures.curves(
            errors, across="network evaluations", up="error / sigma_data", log=True, size=(440, 300)
        ),
    }
    return Figure(
        alt=f"64 samples of a small network trained on {run.data}; 64 of the same network trained without the "
        "scalings, mostly noise; and curves of error against evaluations, on which Heun's method starts above Euler's "
        "method and DDIM, falls twice as steeply, and is the lowest at 79.",
        image=pictures.beside(panels),
    )


class Nothing(nn.Module):
    """F = 0."""

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        return torch.zeros_like(x)


@torch.no_grad()
def loss_by_level(model: DenoisingModel, y: Tensor, sigmas: Tensor, sigma_data: float, seed: int) -> list[float]:
    """The weighted loss of images y at each level."""
    levels = [{"P_mean": log(sigma), "P_std": 0.0} for sigma in sigmas.tolist()]
    return [loss(model, y, sigma_data=sigma_data, **level, noise=Noise(seed)).item() for level in levels]


def loss_(run: Run) -> Figure:
    levels = torch.logspace(-2.5, 1.5, 17, dtype=F64)
    untrained = Denoiser(Nothing(), sigma_data(run))
    by_level, of_nothing = (
        loss_by_level(model, held_out(run, 200), levels, sigma_data(run), run.seed)
        for model in (network(run).model, untrained)
    )
    across = levels.log10().tolist()
    return Figure(
        alt="The weighted loss against the noise level: for F = 0 near 1 at low levels, above 1 at high ones, as the "
        "images' mean is not 0; after training lowest near sigma 0.5, and highest at low levels, where there is little "
        "to learn and training seldom looks.",
        image=pictures.curves(
            {"trained": (across, by_level), "F = 0": (across, of_nothing)},
            across="log10 of sigma",
            up="weighted loss",
            size=(480, 320),
        ),
    )


DEMO = Demo(
    claims=(thirty_five, seventy_nine, order, unit_variance, errors_amplified, samples),
    figures=(sheets, paths, loss_),
    network=network,
    steps=140,
    network_evaluations=2 * STEPS - 1,
)
