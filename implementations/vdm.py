"""Variational diffusion models.

Kingma, Salimans, Poole & Ho, NeurIPS 2021. arXiv:2107.00630 (equation numbers of the NeurIPS version).
A diffusion model is a VAE of infinite depth whose encoder only adds noise.  In continuous time its bound knows the
noise schedule by the signal-to-noise ratios at the two ends alone.  What lies between them decides the variance of the
bound's estimate and nothing else, so it is learned to make that variance small, in the same backward pass.

Data lies in [-1, 1].  t runs from 0 (data) to 1 (noise).  A schedule maps t: (B,) to gamma(t) = -log SNR(t): (B,),
float64, and increases.  `model(z, gamma)` with gamma: (B,) returns its guess of the noise: a network is told the level,
so that it means the same under every schedule.  Losses are in nats, one number per row.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from itertools import pairwise
from math import atan, exp, log, pi
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from implementations.common.noise import Noise, gaussian
from implementations.ddpm import Model, UNet, gaussian_kl
from implementations.lab import pictures
from implementations.lab.data import Dataset, load
from implementations.lab.results import Claim, Figure, Result
from implementations.lab.training import Batch, Trained, train
from implementations.verification.oracles import GaussianMixture

Schedule = Callable[[Tensor], Tensor]
F64 = torch.float64


# ---- levels and schedules -------------------------------------------------------------------------------------------


def alpha_sigma(gamma: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Signal and noise at a level, in the dtype of x and shaped to broadcast over it.  gamma: (), (1,) or (B,)."""
    gamma = gamma.reshape(-1, *[1] * (x.ndim - 1))
    sigma = gamma.sigmoid().sqrt()  # Eq. 3
    alpha = (-gamma).sigmoid().sqrt()  # Eq. 4
    return alpha.to(x), sigma.to(x)


def diffuse(x: Tensor, gamma: Tensor, eps: Tensor) -> Tensor:
    """A draw of z at a level.  x, eps: (B, ...), eps ~ N(0, I)."""
    alpha, sigma = alpha_sigma(gamma, x)
    return alpha * x + sigma * eps  # Eq. 1


def predict_x(z: Tensor, gamma: Tensor, eps: Tensor) -> Tensor:
    """The x that z came from if eps was the noise.  z, eps: (B, ...)."""
    alpha, sigma = alpha_sigma(gamma, z)
    return (z - sigma * eps) / alpha  # Eq. 10


def linear(gamma_0: float = -13.3, gamma_1: float = 5.0) -> Schedule:
    """gamma in equal steps between its ends; the defaults are those of the authors' code for CIFAR-10."""
    _increasing(gamma_0, gamma_1)
    return lambda t: gamma_0 + (gamma_1 - gamma_0) * t


def cosine(gamma_0: float = -13.3, gamma_1: float = 5.0) -> Schedule:
    """The schedule of improved DDPM, alpha = cos and sigma = sin of an angle in equal steps, between the same ends."""
    _increasing(gamma_0, gamma_1)
    first, last = (atan(exp(gamma / 2)) for gamma in (gamma_0, gamma_1))
    return lambda t: 2 * (first + (last - first) * t).tan().log()


class MonotoneSchedule(nn.Module):
    """A schedule that is learned: a network that increases because its weights are positive, between learned ends.

    features: units of its hidden layer (1024, appendix H).  learn_ends: whether the ends move too.  Before training
    gamma is nearly linear: the hidden units rise one after the other.  Weights are kept as logarithms, and all
    parameters divided by `pace`: Adam moves each by about its learning rate, so the schedule learns that much faster.
    """

    def __init__(
        self,
        gamma_0: float = -13.3,
        gamma_1: float = 5.0,
        *,
        features: int = 1024,
        learn_ends: bool = True,
        pace: float = 10.0,
    ) -> None:
        super().__init__()
        _increasing(gamma_0, gamma_1)
        self.pace, steepness = pace, 12.0
        centre = torch.linspace(-0.25, 1.25, features, dtype=F64)

        def start(value: Tensor) -> nn.Parameter:
            return nn.Parameter(value / pace)

        self.log_weight_1 = start(torch.zeros((), dtype=F64))
        self.log_weight_2 = start(torch.full_like(centre, steepness).log())
        self.log_weight_3 = start(torch.full_like(centre, 10.0).log())
        self.bias_2 = start(-steepness * centre)
        self.scaled_ends = start(torch.tensor([gamma_0, gamma_1], dtype=F64)).requires_grad_(learn_ends)

    @property
    def ends(self) -> Tensor:
        """gamma(0) and gamma(1), (2,)."""
        return self.pace * self.scaled_ends

    def unscaled(self, t: Tensor) -> Tensor:
        """gamma-tilde: l_1(t) + l_3(sigmoid(l_2(l_1(t)))), positive weights (appendix H).

        Its biases in l_1 and l_3 are left out: that of l_2 does the first one's work, and `shape` undoes the other's.
        """
        weight_1, weight_2, weight_3 = (
            (self.pace * w).exp() for w in (self.log_weight_1, self.log_weight_2, self.log_weight_3)
        )
        h = weight_1 * t
        units = (weight_2 * h[..., None] + self.pace * self.bias_2).sigmoid()
        return h + (weight_3 * units).mean(-1)

    def shape(self, t: Tensor) -> Tensor:
        """The part of the way from gamma_0 to gamma_1 that is done at t: from 0 to 1 (appendix I.2)."""
        first, last = self.unscaled(t.new_tensor([0.0, 1.0]))
        return (self.unscaled(t) - first) / (last - first)

    def forward(self, t: Tensor) -> Tensor:
        gamma_0, gamma_1 = self.ends
        return gamma_0 + (gamma_1 - gamma_0) * self.shape(t)


def slope(schedule: Schedule, t: Tensor) -> tuple[Tensor, Tensor]:
    """The schedule and its derivative at t: (B,), both (B,); differentiable themselves where gradients are on."""
    learning = torch.is_grad_enabled()
    with torch.enable_grad():
        t = t.detach().requires_grad_()
        value = schedule(t)
        (rate,) = torch.autograd.grad(value.sum(), t, create_graph=learning)
    return (value, rate) if learning else (value.detach(), rate)


# ---- the bound ------------------------------------------------------------------------------------------------------


def times(x: Tensor, *, noise: Noise = gaussian) -> Tensor:
    """One t in [0, 1) per row of x, each uniform, all equally spaced from one draw (appendix I.1).  (B,), float64."""
    k = len(x)
    u_0 = noise.uniform(x.new_empty(k, dtype=F64))[0]
    return (u_0 + torch.arange(1, k + 1, dtype=F64, device=x.device) / k) % 1


def squared_error(model: Model, x: Tensor, gamma: Tensor, eps: Tensor) -> Tensor:
    """Of the predicted noise at levels gamma: (B,), summed over the entries of a row.  x, eps: (B, ...)."""
    return (eps - model(diffuse(x, gamma, eps), gamma.to(x))).square().flatten(1).sum(1)


def diffusion_loss(
    model: Model, schedule: Schedule, x: Tensor, *, T: int | None = None, noise: Noise = gaussian
) -> Tensor:
    """L_T(x), or L_infinity(x) if T is None, estimated from one time per row.  x: (B, ...).  Returns (B,)."""
    t = times(x, noise=noise)
    if T is None:
        gamma, weight = slope(schedule, t)
        return 0.5 * weight * squared_error(model, x, gamma, noise(x))  # Eq. 17
    if T < 1:
        raise ValueError(f"T must be at least 1 step, or None for continuous time, not {T}")
    t = ((t * T).floor() + 1) / T
    gamma = schedule(t)
    return 0.5 * T * (gamma - schedule(t - 1 / T)).expm1() * squared_error(model, x, gamma, noise(x))  # Eq. 14


def prior_loss(x: Tensor, gamma_1: Tensor) -> Tensor:
    """KL from N(0, I) of what the last level leaves of x: (B, ...).  Returns (B,)."""
    alpha, sigma = alpha_sigma(gamma_1, x)
    return gaussian_kl(alpha * x, sigma**2, torch.zeros_like(x), torch.ones_like(sigma)).flatten(1).sum(1)


def log_decoder(z_0: Tensor, gamma_0: Tensor, levels: int) -> Tensor:
    """log p(x_i | z_0) for each of `levels` equally spaced values of x_i in [-1, 1]: the likelier, the nearer.

    z_0: (B, ...).  Returns (B, ..., levels).
    """
    if levels < 2:
        raise ValueError(f"data must have at least 2 levels in [-1, 1], not {levels}")
    alpha, _ = alpha_sigma(gamma_0, z_0)
    values = torch.linspace(-1, 1, levels, dtype=z_0.dtype, device=z_0.device)
    distance = ((z_0 / alpha)[..., None] - values).square()
    return (-0.5 * distance * (-gamma_0).exp().to(z_0)).log_softmax(-1)  # Eq. 8


def reconstruction_loss(x: Tensor, gamma_0: Tensor, levels: int, *, noise: Noise = gaussian) -> Tensor:
    """-log p(x | z_0) at one draw of z_0.  x: (B, ...) on `levels` values in [-1, 1].  Returns (B,)."""
    if not (x.abs() <= 1).all():
        raise ValueError(f"x must lie in [-1, 1], not {x.min():.3g}..{x.max():.3g}")
    index = ((x + 1) * (levels - 1) / 2).round().long()
    log_p = log_decoder(diffuse(x, gamma_0, noise(x)), gamma_0, levels)
    return -log_p.gather(-1, index[..., None]).flatten(1).sum(1)


@torch.no_grad()
def bound(
    model: Model, schedule: Schedule, x: Tensor, levels: int, *, T: int | None = None, noise: Noise = gaussian
) -> Tensor:
    """The variational bound on -log p(x), its terms estimated from one draw each: prior, reconstruction, diffusion.

    x: (B, ...) on `levels` values in [-1, 1].  Returns (3, B), nats; `bits` makes bits per dimension of them.
    """
    gamma_0, gamma_1 = schedule(torch.tensor([0.0, 1.0], dtype=F64, device=x.device))
    prior, reconstruction = prior_loss(x, gamma_1), reconstruction_loss(x, gamma_0, levels, noise=noise)
    return torch.stack([prior, reconstruction, diffusion_loss(model, schedule, x, T=T, noise=noise)])  # Eq. 11


def bits(nats: Tensor, x: Tensor) -> Tensor:
    """Nats per row of x: (B, ...) in bits per dimension."""
    return nats / (x[0].numel() * log(2))


def loss(model: Model, schedule: MonotoneSchedule, x: Tensor, levels: int, *, noise: Noise = gaussian) -> Tensor:
    """The bound, averaged over rows, for training; one backward pass gives each part the gradient that it needs.

    The network and the ends descend the bound.  What lies between the ends does not move it, and descends the mean of
    the squared diffusion loss, which is the bound's square plus the variance of the estimate (appendix I.2).  No
    second pass: the gradient of an l_i^2 is 2 l_i times that of l_i, and on its way back to the schedule's network
    a row's gradient passes through two numbers that are its own, h(t_i) and h'(t_i); there it is multiplied.
    """
    h, rate = slope(schedule.shape, times(x, noise=noise))
    twice = torch.empty_like(rate)
    for value in (h, rate):
        value.register_hook(lambda gradient: twice * gradient)
    gamma_0, gamma_1 = schedule.ends
    gamma, weight = gamma_0 + (gamma_1 - gamma_0) * h, (gamma_1 - gamma_0) * rate
    diffusion = 0.5 * weight * squared_error(model, x, gamma, noise(x))
    twice.copy_(2 * diffusion.detach())
    return (diffusion + prior_loss(x, gamma_1) + reconstruction_loss(x, gamma_0, levels, noise=noise)).mean()


# ---- sampling, and what a network sees ------------------------------------------------------------------------------


@torch.no_grad()
def sample(model: Model, schedule: Schedule, z_1: Tensor, T: int, *, noise: Noise = gaussian) -> Tensor:
    """Ancestral sampling in T equal steps of time (appendix A.4), T network evaluations.

    z_1: (B, ...) ~ N(0, I).  Returns z_0: (B, ...), which `decode` makes data of.
    """
    if T < 1:
        raise ValueError(f"T must be at least 1 step, not {T}")
    z = z_1
    for gamma_t, gamma_s in pairwise(schedule(torch.linspace(1, 0, T + 1, dtype=F64, device=z_1.device))):
        (alpha_t, sigma_t), (alpha_s, sigma_s) = alpha_sigma(gamma_t, z), alpha_sigma(gamma_s, z)
        c = -(gamma_s - gamma_t).expm1().to(z)
        mean = alpha_s / alpha_t * (z - c * sigma_t * model(z, gamma_t.expand(len(z)).to(z)))
        z = mean + sigma_s * c.sqrt() * noise(z)
    return z


def decode(z_0: Tensor, gamma_0: Tensor, levels: int) -> Tensor:
    """The likeliest x, on `levels` values in [-1, 1].  z_0: (B, ...)."""
    return 2 * log_decoder(z_0, gamma_0, levels).argmax(-1).to(z_0) / (levels - 1) - 1


def fourier_features(z: Tensor, n: Sequence[int] = (7, 8)) -> Tensor:
    """z with sin(2^n pi z) and cos(2^n pi z) as further channels, so that fine detail is seen (appendix C).

    z: (B, C, ...).  n: 7 and 8 suit 256 levels in [-1, 1]: the features repeat every two levels and every level.
    Returns (B, C (1 + 2 len(n)), ...).
    """
    return torch.cat([z, *(wave(2.0**k * pi * z) for k in n for wave in (torch.sin, torch.cos))], dim=1)


def _increasing(gamma_0: float, gamma_1: float) -> None:
    if not gamma_0 < gamma_1:
        raise ValueError(f"gamma = -log SNR must increase: gamma_0 < gamma_1, not {gamma_0} and {gamma_1}")


# ---- the demo -------------------------------------------------------------------------------------------------------


class Denoiser(nn.Module):
    """A U-Net that guesses the noise, and the schedule that is learned with it.

    Its guess starts as z itself, as in the authors' code: right at the noisy end.  It sees z without Fourier features:
    on digits (n = 3 and 4 for their 17 levels) these cost 0.4 bits after 200 steps, however much they gain after the
    paper's millions.
    """

    def __init__(self, dataset: Dataset) -> None:
        super().__init__()
        large = min(dataset.shape[1:]) > 16
        self.unet = UNet(
            dataset.shape[0],
            width=32 if large else 16,
            multipliers=(1, 2, 2) if large else (1, 2),
            attention=(2,) if large else (1,),
        )
        # the noise at t = 0, as a part of the levels' spacing, is that of the paper's 256 levels
        self.schedule = MonotoneSchedule(-13.3 + 2 * log(255 / (levels_of(dataset) - 1)), 5.0)

    def forward(self, z: Tensor, gamma: Tensor) -> Tensor:
        return z + self.unet(z, 10 * (gamma + 15))  # the embedding is made for steps of about 1


def levels_of(dataset: Dataset) -> int:
    """How many grey levels its images have."""
    if dataset.levels is None or dataset.x.ndim != 4:
        raise ValueError(f"data must be images of equally spaced grey levels, which {dataset.name!r} are not")
    return dataset.levels


def fit(dataset: Dataset, *, steps: int, device: str, seed: int, out: str | Path | None, **options: bool) -> Trained:
    """Network and schedule together, in bits per dimension of the continuous-time bound.  options: resume, progress."""
    torch.manual_seed(seed)
    whole, levels = Denoiser(dataset), levels_of(dataset)

    def of_batch(model: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        return bits(loss(model, whole.schedule, batch[0], levels, noise=noise), batch[0])

    run = {"steps": steps, "device": device, "seed": seed, "out": out, "name": "vdm", **options}
    return train(whole, of_batch, dataset, batch_size=32, lr=4e-3, anneal=True, ema=0.98, **run)


def pixel_law(dataset: Dataset) -> GaussianMixture:
    """The law of one pixel, by the histogram of the training images: points without width."""
    values, counts = dataset.x.flatten().cpu().unique(return_counts=True)
    return GaussianMixture(counts, values[:, None], torch.zeros(len(values)))


def exact_diffusion_loss(law: GaussianMixture, schedule: Schedule, T: int | None = None, *, nodes: int = 100) -> float:
    """L_T or L_infinity of one pixel with its exact denoiser, by quadrature over time, value and noise; in bits."""
    eps = torch.linspace(-8, 8, 129, dtype=F64)
    density = torch.exp(-(eps**2) / 2) / (2 * pi) ** 0.5 * (eps[1] - eps[0])
    x, mass = law.means.repeat_interleave(len(eps), 0), torch.outer(law.weights, density).flatten()
    rows = eps.repeat(len(law.means))[:, None]

    def model(z: Tensor, gamma: Tensor) -> Tensor:
        return law.eps(z, *alpha_sigma(gamma, gamma))

    with torch.no_grad():
        if T is None:
            node, share = np.polynomial.legendre.leggauss(nodes)
            gamma, weight = slope(schedule, torch.from_numpy(node + 1) / 2)
            weight = torch.from_numpy(share) / 2 * weight
        else:
            gammas = schedule(torch.linspace(0, 1, T + 1, dtype=F64))
            gamma, weight = gammas[1:], gammas.diff().expm1()
        errors = [mass @ squared_error(model, x, level.expand(len(x)), rows) for level in gamma]
    return (0.5 * weight @ torch.stack(errors)).item() / log(2)


def demo(
    *,
    data: str = "digits",
    device: str = "cpu",
    seed: int = 0,
    steps: int = 200,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = False,
) -> Result:
    """Learns images and a schedule; moves the schedule, and sees what moves with it.  data: images with grey levels.

    Where exactness is asked for, pixels are independent, with the histogram of the images' pixels: then the denoiser
    and the entropy are known.
    """
    started, noise = time.perf_counter(), Noise(seed)
    dataset = load(data)
    levels = levels_of(dataset)
    trained = fit(dataset, steps=steps, device=device, seed=seed, out=out, resume=resume, progress=progress)
    model, learned = trained.model, trained.model.schedule
    held_out = dataset.x_test[:1000].to(device)
    gamma_0, gamma_1 = learned.ends.tolist()
    schedules = {"learned": learned, "linear": linear(gamma_0, gamma_1), "cosine": cosine(gamma_0, gamma_1)}

    def estimates(schedule: Schedule, T: int | None = None) -> Tensor:
        return torch.stack([bits(bound(model, schedule, held_out, levels, T=T, noise=noise), held_out)
                            for _ in range(3)])  # fmt: skip

    measured = {name: estimates(schedule) for name, schedule in schedules.items()}
    variance = {name: terms[:, 2].var().item() for name, terms in measured.items()}
    few = estimates(learned, T=10)

    law, low, high, shape = pixel_law(dataset), -13.3, 10.0, deepcopy(learned).cpu().shape
    exact = [linear(low, high), cosine(low, high), lambda t: low + (high - low) * t**3,
             lambda t: low + (high - low) * shape(t)]  # fmt: skip
    continuous = [exact_diffusion_loss(law, schedule) for schedule in exact]
    discrete = [exact_diffusion_loss(law, schedule, T=100) for schedule in exact]
    last = (law.weights @ prior_loss(law.means, torch.tensor(high, dtype=F64))).item() / log(2)
    entropy = torch.special.entr(law.weights).sum().item() / log(2)
    claims = [
        Claim(
            "invariance", "the diffusion loss under four schedules between the same ends, most less least, in bits "
            "(exact denoiser of independent pixels)",
            max(continuous) - min(continuous), 1e-4, "<=", max(discrete) - min(discrete),
            "a hundred steps of discrete time", "section 5.1, Eq. 18",
        ),
        Claim(
            "entropy", "the bound less the entropy of the data, in bits per dimension (exact denoiser of independent "
            "pixels)",
            abs(continuous[0] + last - entropy), 1e-3, "<=", discrete[0] + last - entropy,
            "a hundred steps of discrete time", "sections 4.1 and 5",
        ),
        Claim(
            "variance", "variance of the estimated bound of held-out images under the learned schedule, over that "
            "under linear gamma between the same ends",
            variance["learned"] / variance["linear"], 0.3, "<=", variance["cosine"] / variance["linear"],
            "the cosine schedule between the same ends", "section 5.3 and appendix I.2",
        ),
        Claim(
            "bits", "the bound on held-out images, in bits per dimension, in continuous time",
            measured["learned"].sum(1).mean().item(), 2.8, "<=", few.sum(1).mean().item(),
            "the same network and schedule in ten steps", "section 4.1",
        ),
    ]  # fmt: skip

    samples = decode(sample(model, learned, noise(held_out[:32]), 100, noise=noise), learned.ends[0], levels)
    shown = {
        "samples, 100 steps": pictures.contact_sheet(samples, columns=8, width=300),
        "held-out data": pictures.contact_sheet(held_out[:32], columns=8, width=300),
        "one area, three shapes": _contributions(model, schedules, held_out[:64], noise),
    }
    figure = Figure(
        "vdm",
        f"Thirty-two samples after training on {data}, beside held-out images; and what each time adds to the bound "
        "under three schedules: equal areas, spread evenly by the learned schedule, heaped up by linear gamma, and "
        "above the picture's edge near t = 0 by the cosine.",
        pictures.beside(shown),
    )
    return Result(
        "vdm", data, seed, samples, held_out[:32], claims, [figure], dict(model.state_dict()),
        network_evaluations=100, parameters=sum(p.numel() for p in model.parameters()), losses=trained.losses,
        seconds=time.perf_counter() - started,
    )  # fmt: skip


def _contributions(model: Model, schedules: dict[str, Schedule], x: Tensor, noise: Noise) -> Tensor:
    """Curves of slope(t) E|error|^2 / 2 over t, in bits per dimension, from one measurement of the error by level."""
    t = torch.linspace(0, 1, 101, dtype=F64)
    grid = schedules["linear"](torch.linspace(0, 1, 41, dtype=F64))
    with torch.no_grad():
        errors = [squared_error(model, x, gamma.expand(len(x)).to(x.device), noise(x)).mean().item() for gamma in grid]
        lines = {}
        for name, schedule in schedules.items():
            gamma, rate = slope(schedule, t.to(x.device))
            error = torch.from_numpy(np.interp(gamma.cpu().numpy(), grid.numpy(), errors))
            lines[name] = bits(0.5 * rate.cpu() * error, x)
    top = 2.5 * max(lines["learned"].max(), lines["linear"].max())
    shown = {name: (t.tolist(), line.where(line < top, torch.nan).tolist()) for name, line in lines.items()}
    return pictures.curves(shown, across="t", up="bits per dimension per unit of t", size=(420, 250))


if __name__ == "__main__":
    from implementations.lab.command import main

    raise SystemExit(main(demo))
