"""Elucidating the design space of diffusion-based generative models (EDM).

Karras, Aittala, Aila & Laine, NeurIPS 2022. arXiv:2206.00364 (equation numbers of v2).
A diffusion model is a denoiser D(x; sigma) for every noise level and a solver of one ODE; all else is a choice that can
be made on its own.  The choices here: time is the noise level itself, so that the ODE's paths are nearly straight;
steps crowd at low noise (rho = 7), each by Heun's method, or with fresh noise churned in; the network in D sees input
and target of unit variance; training spends its time at the levels in between, where there is something to learn.

x = y + n, data y of standard deviation sigma_data (0.5, about that of images in [-1, 1]), n ~ N(0, sigma^2 I).  A model
is a denoiser: `model(x, sigma)` with sigma: (B,) returns its guess of y.  N steps of Heun's method cost 2 N - 1 network
evaluations, N of Euler's N.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from math import inf, log, sqrt
from pathlib import Path
from time import perf_counter
from typing import Literal

import torch
from torch import Tensor, nn

from implementations.common.noise import Noise, gaussian
from implementations.lab.data import Dataset, load
from implementations.lab.results import Claim, Figure, Result
from implementations.lab.training import Batch, Trained, train
from implementations.unet import UNet
from implementations.verification.oracles import GaussianMixture, eight_gaussians, line, two_modes
from implementations.verification.solver_order import Order, measure
from implementations.verification.twosample import energy_distance

Model = Callable[[Tensor, Tensor], Tensor]
Solver = Literal["heun", "euler"]


def column(sigma: Tensor, x: Tensor) -> Tensor:
    """One number per row, (B,), shaped to multiply x: (B, ...)."""
    return sigma.view(-1, *[1] * (x.ndim - 1))


class Denoiser(nn.Module):
    """D(x; sigma) = c_skip x + c_out F(c_in x; c_noise) around a network F, `network(x, c_noise)` (Table 1).

    Where noise is small D hands x through and F corrects it by little; where it is large F predicts y.
    x: (B, ...); sigma: (B,), above 0.  condition: further arguments of the network, a class say.
    """

    def __init__(self, network: nn.Module, sigma_data: float = 0.5) -> None:
        super().__init__()
        if not sigma_data > 0:
            raise ValueError(f"sigma_data must be above 0, not {sigma_data}")
        self.network, self.sigma_data = network, sigma_data

    def scalings(self, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """c_skip, c_out, c_in and c_noise, each in the shape of sigma."""
        variance = sigma**2 + self.sigma_data**2
        c_skip = self.sigma_data**2 / variance
        c_out = sigma * self.sigma_data / variance.sqrt()
        return c_skip, c_out, 1 / variance.sqrt(), sigma.log() / 4

    def forward(self, x: Tensor, sigma: Tensor, *condition: Tensor) -> Tensor:
        c_skip, c_out, c_in, c_noise = self.scalings(sigma)
        F = self.network(column(c_in, x) * x, c_noise, *condition)
        return column(c_skip, x) * x + column(c_out, x) * F  # Eq. 7


def loss(
    model: Model,
    y: Tensor,
    *,
    sigma_data: float = 0.5,
    P_mean: float = -1.2,
    P_std: float = 1.2,
    noise: Noise = gaussian,
) -> Tensor:
    """Squared error of D at log-normal noise levels, weighted by 1 / c_out^2, averaged over entries (Table 1).

    In terms of F this is its plain squared error.  An untrained F = 0 scores 1 at every level, for any data of standard
    deviation sigma_data.  y: (B, ...).
    """
    sigma = (P_mean + P_std * noise(y.new_empty(len(y)))).exp()
    weight = (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
    n = column(sigma, y) * noise(y)
    return (column(weight, y) * (model(y + n, sigma) - y).square()).mean()  # Eq. 2


def schedule(steps: int = 18, sigma_min: float = 0.002, sigma_max: float = 80.0, rho: float = 7.0) -> Tensor:
    """Noise levels from sigma_max down to sigma_min, evenly spaced in sigma^(1 / rho), and then 0.

    rho = 3 would make the steps' errors alike; 7 gives the low levels more.  Returns (steps + 1,), float64.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}")
    if not (0 < sigma_min < sigma_max < inf and rho > 0):
        raise ValueError(f"want 0 < sigma_min < sigma_max and rho > 0, not {sigma_min}, {sigma_max} and {rho}")
    fraction = torch.arange(steps, dtype=torch.float64) / max(steps - 1, 1)
    high, low = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    sigmas = ((high + fraction * (low - high)) ** rho).clamp(sigma_min, sigma_max)  # Eq. 5
    return torch.cat([sigmas, sigmas.new_zeros(1)])


def slope(D: Model, x: Tensor, sigma: float | Tensor) -> Tensor:
    """dx/dsigma along the probability-flow ODE, with sigma itself as time.  x: (B, ...); sigma: a number or (B,)."""
    sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).expand(len(x))
    score = (D(x, sigma) - x) / column(sigma, x) ** 2  # Eq. 3
    return -column(sigma, x) * score  # Eq. 1


def step(D: Model, x: Tensor, t: float, s: float, *, solver: Solver = "heun") -> Tensor:
    """From noise level t to s: by Euler's method, or by Heun's, which averages the slopes at both ends (s > 0)."""
    d = slope(D, x, t)
    x_next = x + (s - t) * d
    if solver == "euler":
        return x_next
    return x + (s - t) * (d + slope(D, x_next, s)) / 2


@torch.no_grad()
def trajectory(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    solver: Solver = "heun",
    S_churn: float = 0.0,
    S_min: float = 0.0,
    S_max: float = inf,
    S_noise: float = 1.0,
    noise: Noise = gaussian,
) -> Iterator[Tensor]:
    """Algorithm 2, step by step: yields x at the end of each.  x: (B, ...), at noise level sigmas[0]; see `sample`.

    Without churn it is Algorithm 1.  The state is float64; the model gets the dtype of x, and so does the caller.
    """
    if solver not in ("heun", "euler"):
        raise ValueError(f"solver must be 'heun' or 'euler', not {solver!r}")
    if not (len(sigmas) > 1 and (sigmas.diff() < 0).all() and sigmas[-1] >= 0):
        raise ValueError(f"sigmas must be two or more noise levels that fall and end at 0 or above, not {sigmas}")
    if not (S_churn >= 0 and S_noise >= 0 and S_min <= S_max):
        raise ValueError(
            f"want S_churn >= 0, S_noise >= 0 and S_min <= S_max, not {S_churn}, {S_noise}, {S_min} and {S_max}"
        )

    def D(state: Tensor, sigma: Tensor) -> Tensor:
        return model(state.to(x.dtype), sigma.to(x.dtype)).to(state)

    state, N = x.double(), len(sigmas) - 1
    for t, s in pairwise(sigmas.tolist()):
        gamma = min(S_churn / N, sqrt(2) - 1) if S_min <= t <= S_max else 0.0
        t_hat = t + gamma * t
        if gamma > 0:
            state = state + sqrt(t_hat**2 - t**2) * S_noise * noise(state)
        state = step(D, state, t_hat, s, solver=solver if s > 0 else "euler")
        yield state.to(x.dtype)


def sample(
    model: Model,
    z: Tensor,
    sigmas: Tensor,
    *,
    solver: Solver = "heun",
    S_churn: float = 0.0,
    S_min: float = 0.0,
    S_max: float = inf,
    S_noise: float = 1.0,
    noise: Noise = gaussian,
) -> Tensor:
    """From noise to data along `sigmas`, of `schedule`.

    z: (B, ...) ~ N(0, I), scaled here.  S_churn: how much noise all steps together add before they remove it, in each
    at most what raises its level by sqrt(2), and only at levels in S_min..S_max; S_noise: its standard deviation.
    Returns (B, ...).
    """
    x = sigmas[0].to(z) * z
    churn = {"S_churn": S_churn, "S_min": S_min, "S_max": S_max, "S_noise": S_noise}
    for state in trajectory(model, x, sigmas, solver=solver, **churn, noise=noise):
        x = state
    return x


# ---- the demo: solvers on laws whose denoiser is known, and a small network ------------------------------------------


class Network(UNet):
    """F(x, c_noise).  The U-Net's embedding is made for T = 1000 steps of 1; c_noise spans less than 3."""

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        return super().forward(x, 1000 * t, y)


class Unscaled(Denoiser):
    """A control: D is the network itself."""

    def scalings(self, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        one = torch.ones_like(sigma)
        return 0 * one, one, one, sigma.log() / 4


class NoisePredicting(Denoiser):
    """A control: D as networks that predict the noise of a variance-preserving chain make it (Table 1, VP)."""

    def scalings(self, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return torch.ones_like(sigma), -sigma, 1 / (sigma**2 + 1).sqrt(), sigma.log() / 4


def ddim_levels(steps: int, power: int = 1) -> Tensor:
    """Noise levels that DDIM visits on DDPM's chain of 1000: Euler's method on them is DDIM, in x / sqrt(abar).

    power: 1 for even timesteps, 2 for quadratic ones, of which the first few may merge.  Returns float64, falling to 0.
    """
    abar = (1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)).cumprod(0)
    fraction = torch.arange(1, steps + 1, dtype=torch.float64) / steps
    t = (fraction**power * 1000).round().long().clamp_min(1).unique()
    sigmas = ((1 - abar) / abar).sqrt()[t - 1].flip(0)
    return torch.cat([sigmas, sigmas.new_zeros(1)])


def standardised(law: GaussianMixture, sigma_data: float = 0.5) -> GaussianMixture:
    """The mixture moved and scaled to mean 0 and to the variance, averaged over coordinates, that EDM is made for."""
    scale = sigma_data / law.cov.diagonal().mean().sqrt()
    return GaussianMixture(law.weights, scale * (law.means - law.mean), scale**2 * law.covs)


def end_of_flow(D: Model, z: Tensor, levels: Callable[[int], Tensor]) -> Tensor:
    """Where the ODE takes z, by Heun's method with fine steps and Richardson's extrapolation.  levels: of n steps."""
    fine, coarse = (sample(D, z, levels(n)) for n in (128, 64))
    return fine + (fine - coarse) / 3


def solver_errors(evaluations: list[int], seed: int, points: int = 128) -> dict[str, list[float]]:
    """Mean distance from where the ODE ends, in units of sigma_data, averaged over three mixtures; exact denoisers.

    evaluations: odd numbers.  Returns one list per way to spend them.
    """
    solvers: dict[str, Callable[[int], tuple[Tensor, Solver]]] = {
        "Heun": lambda evaluations: (schedule((evaluations + 1) // 2), "heun"),
        "Euler": lambda evaluations: (schedule(evaluations), "euler"),
        "DDIM": lambda evaluations: (ddim_levels(evaluations), "euler"),
        "DDIM, quadratic": lambda evaluations: (ddim_levels(evaluations, 2), "euler"),
    }
    errors = {name: [0.0] * len(evaluations) for name in solvers}
    laws = [standardised(law) for law in (line(), two_modes(), eight_gaussians())]
    for law in laws:
        D, z = law.denoiser(), Noise(seed)(torch.empty(points, len(law.mean), dtype=torch.float64))
        starts = (80.0, ddim_levels(1)[0].item())
        ends = {high: end_of_flow(D, z, lambda n, high=high: schedule(n, sigma_max=high)) for high in starts}
        for name, plan in solvers.items():
            for k, count in enumerate(evaluations):
                sigmas, solver = plan(count)
                x = sample(D, z, sigmas, solver=solver)
                gap = (x - ends[sigmas[0].item()]).norm(dim=1).mean().item()
                errors[name][k] += gap / 0.5 / len(laws)
    return errors


def orders() -> dict[Solver, Order]:
    """Of both solvers, measured on a mixture from sigma 4 to 0.05: the last step, to 0, would be Euler's for both."""
    D, z = line().denoiser(), torch.linspace(-1.5, 1.5, 32, dtype=torch.float64)[:, None]

    def levels(n: int) -> Tensor:
        return schedule(n + 1, 0.05, 4.0)[:-1]

    def order(solver: Solver) -> Order:
        return measure(lambda n: sample(D, z, levels(n), solver=solver), end, (16, 32, 64))

    end = end_of_flow(D, z, levels)
    return {"heun": order("heun"), "euler": order("euler")}


def departure_from_one(denoiser: Denoiser) -> float:
    """Of the variance of what F gets and of what it must return, over levels 0.002..80: the largest."""
    sigma = schedule(100)[:-1]
    c_skip, c_out, c_in, _ = denoiser.scalings(sigma)
    y, n = denoiser.sigma_data, sigma  # standard deviations of two independent terms
    given = (c_in * y) ** 2 + (c_in * n) ** 2
    wanted = ((1 - c_skip) * y / c_out) ** 2 + (c_skip * n / c_out) ** 2
    return (torch.cat([given, wanted]) - 1).abs().max().item()


def fit(kind: type[Denoiser], dataset: Dataset, sigma_data: float, **run) -> Trained:
    """Train a small U-Net within a denoiser.  run: steps, device, seed, out, name, resume, progress of the training."""

    def of_batch(model: Model, batch: Batch, noise: Noise) -> Tensor:
        return loss(model, batch[0], sigma_data=sigma_data, noise=noise)

    torch.manual_seed(run["seed"])
    network = Network(dataset.shape[0], width=16, multipliers=(1, 2), attention=(1,))
    return train(kind(network, sigma_data), of_batch, dataset, batch_size=64, lr=6e-3, anneal=True, ema=0.98, **run)


@torch.no_grad()
def loss_by_level(model: Model, y: Tensor, sigmas: Tensor, sigma_data: float, seed: int) -> list[float]:
    """The weighted loss of images y at each level."""
    levels = [{"P_mean": log(sigma), "P_std": 0.0} for sigma in sigmas.tolist()]
    return [loss(model, y, sigma_data=sigma_data, **level, noise=Noise(seed)).item() for level in levels]


def draw_paths() -> Tensor:
    """The ODE for data on two points, -1 and 1, in three choices of time and scale (Figure 3)."""
    from implementations.lab.pictures import beside, curves

    start, sigmas = torch.linspace(-3, 3, 16, dtype=torch.float64)[:, None], schedule(100, 0.002, 2.5, 3.0)
    states = trajectory(lambda x, sigma: torch.tanh(x / column(sigma, x) ** 2), start, sigmas)
    x, sigma = torch.cat([start, *states], dim=1).T, sigmas[:, None]
    choices = {
        "VP: scaled": ((1 + sigma**2).log() / 2, x / (1 + sigma**2).sqrt()),
        "VE: time is sigma^2": (sigma**2, x),
        "EDM: time is sigma": (sigma, x),
    }
    panels = {}
    for title, (t, state) in choices.items():
        gap = torch.full((1, x.shape[1]), torch.nan)  # lifts the pen between two paths
        across, up = torch.cat([t, t[-1:]]).expand(-1, x.shape[1]), torch.cat([state, gap])
        halves = {"to 1": x[-1] > 0, "to -1": x[-1] < 0}
        drawn = {
            name: (across.T[half].flatten().tolist(), up.T[half].flatten().tolist()) for name, half in halves.items()
        }
        panels[title] = curves(drawn, across="time", up="x", size=(330, 300))
    return beside(panels)


def demo(
    *,
    data: str = "digits",
    device: str = "cpu",
    seed: int = 0,
    steps: int = 140,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = False,
) -> Result:
    """Solve the ODE of mixtures, whose denoisers are known, in few steps; train a denoiser of images, and sample it.

    data: images.  At 35 evaluations Heun's method beats Euler's on the same schedule and DDIM's even timesteps on each
    of the three mixtures, but not DDIM's quadratic timesteps; at 79 it beats these too; at 15 all of them beat it: a
    method of second order pays once its steps are small.  The mixtures have the standard deviation for which schedule
    and chain are made.  Twice as wide, some are level at 35, and on one DDIM was ahead, 0.034 against 0.037.
    """
    from implementations.lab.pictures import beside, contact_sheet, curves

    started = perf_counter()
    dataset = load(data)
    if len(dataset.shape) != 3:
        raise ValueError(f"data must be a set of images, not {data!r}, whose examples have shape {dataset.shape}")
    counts = [15, 23, 35, 55, 79]
    errors, order = solver_errors(counts, seed), orders()
    at = {count: {name: found[counts.index(count)] for name, found in errors.items()} for count in (35, 79)}

    sigma_data = dataset.x.std().item()
    run = {"steps": steps, "device": device, "seed": seed, "out": out, "resume": resume, "progress": progress}
    trained = fit(Denoiser, dataset, sigma_data, name="edm", **run)
    control = fit(Unscaled, dataset, sigma_data, name="edm-unscaled", **run)
    reference = dataset.x_test[:200].to(device)
    z, sigmas = Noise(seed)(reference[:100]), schedule(18)
    samples, rough = (sample(model, z, sigmas) for model in (trained.model, control.model))
    claims = [
        Claim(
            "thirty-five",
            "distance from where the ODE ends, in units of sigma_data, after 35 evaluations (mean over three mixtures)",
            at[35]["Heun"], 0.042, "<=", min(at[35]["Euler"], at[35]["DDIM"]),
            "the better of Euler's method on the same schedule and DDIM with even timesteps, 35 evaluations each",
            "section 3 and Figure 2",
        ),
        Claim(
            "seventy-nine",
            "the same after 79 evaluations",
            at[79]["Heun"], 0.0075, "<=", min(found for name, found in at[79].items() if name != "Heun"),
            "the best of Euler's method and DDIM with even or quadratic timesteps, 79 evaluations each",
            "section 3 and Figure 2",
        ),
        Claim(
            "order",
            "order of Heun's method: how fast the error falls with the number of steps, on a mixture",
            order["heun"].slope, 1.9, ">=", order["euler"].slope, "Euler's method", "section 3",
        ),
        Claim(
            "unit variance",
            "largest departure from 1 of the variance of the network's input and of its target, sigma from 0.002 to 80",
            departure_from_one(Denoiser(nn.Identity())), 1e-12, "<=",
            departure_from_one(NoisePredicting(nn.Identity())),
            "the scalings of networks that predict the noise of a variance-preserving chain", "section 5 and Table 1",
        ),
        Claim(
            "samples",
            "energy distance from samples, 35 evaluations each, to held-out images",
            energy_distance(samples, reference), 0.4, "<=", energy_distance(rough, reference),
            "the same network as D itself, without the scalings, trained alike", "section 5",
        ),
    ]  # fmt: skip

    def sheet(images: Tensor) -> Tensor:
        return contact_sheet(images[:64], columns=8, range=dataset.range, width=300)

    by_count = {name: (counts, found) for name, found in errors.items()}
    levels = torch.logspace(-2.5, 1.5, 17, dtype=torch.float64)
    by_level = loss_by_level(trained.model, reference, levels, sigma_data, seed)
    scored = {"trained": (levels.log10().tolist(), by_level), "F = 0": (levels.log10().tolist(), [1.0] * len(levels))}
    panels = {
        "35 evaluations": sheet(samples),
        "without the scalings": sheet(rough),
        "exact denoisers: what the solvers miss by": curves(
            by_count, across="network evaluations", up="error / sigma_data", log=True, size=(440, 300)
        ),
    }
    figures = [
        Figure(
            "edm",
            f"64 samples of a small network trained on {data}; 64 of the same network trained without the scalings, "
            "mostly noise; and curves of error against evaluations, on which Heun's method starts above Euler's method "
            "and DDIM, falls twice as steeply, and is the lowest at 79.",
            beside(panels),
        ),
        Figure(
            "edm-paths",
            "Paths of the ODE from noise to two points.  With VP's scale, and with the square of sigma as time, they "
            "bend sharply just before the end; with sigma as time they run there nearly straight.",
            draw_paths(),
        ),
        Figure(
            "edm-loss",
            "The weighted loss against the noise level: 1 everywhere for F = 0; after training lowest near sigma 0.5, "
            "and highest at low levels, where there is little to learn and training seldom looks.",
            curves(scored, across="log10 of sigma", up="weighted loss", size=(480, 320)),
        ),
    ]
    return Result(
        "edm", data, seed, samples.cpu(), reference.cpu(), claims, figures, dict(trained.model.state_dict()),
        network_evaluations=2 * (len(sigmas) - 1) - 1,
        parameters=sum(p.numel() for p in trained.model.parameters()), losses=trained.losses,
        seconds=perf_counter() - started,
    )  # fmt: skip


if __name__ == "__main__":
    from implementations.lab.command import main

    raise SystemExit(main(demo))
