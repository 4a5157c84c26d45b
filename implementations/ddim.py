"""Denoising diffusion implicit models.

Song, Meng & Ermon, ICLR 2021. arXiv:2010.02502 (equation numbers of v4).
A trained DDPM also solves a family of non-Markovian processes with the same marginals; sigma = 0 makes sampling
deterministic, lets it skip steps, and makes x_T a code that leads back to x_0.

The paper's alpha_t is abar_t here, as in DDPM.  t counts from 1 to T, and t = 0 is the data; `model(x_t, t)` predicts
the noise.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from implementations.common.noise import Noise, gaussian
from implementations.ddpm import GaussianDiffusion, Model, check_signal, fit, linear_schedule, predict_x_0
from implementations.lab import pictures
from implementations.lab.data import load
from implementations.lab.results import Claim, Figure, Result
from implementations.verification.impulses import moments
from implementations.verification.oracles import Gaussian
from implementations.verification.twosample import energy_distance


def timesteps(T: int, steps: int, spacing: str = "linear") -> Tensor:
    """An increasing subset of 1..T that ends at T, where sampling starts (appendix D.2).

    spacing: "linear" is i T / S, "quadratic" is i^2 T / S^2, rounded; quadratic may merge small steps when S > sqrt(T).
    Returns (S,), int64.
    """
    if not 1 <= steps <= T:
        raise ValueError(f"steps must lie in 1..{T} (the trained process has T = {T} steps), not {steps}")
    if spacing not in ("linear", "quadratic"):
        raise ValueError(f"spacing must be 'linear' or 'quadratic', not {spacing!r}")
    fraction = torch.arange(1, steps + 1, dtype=torch.float64) / steps
    if spacing == "quadratic":
        fraction = fraction.square()
    return (fraction * T).round().clamp_min(1).long().unique()


def pairs(process: GaussianDiffusion, tau: Tensor) -> Iterator[tuple[int, int]]:
    """(s, t) for consecutive times 0 < tau_1 < ... < tau_S, from the data upwards; checks that tau is such a list."""
    times = [0, *tau.tolist()]
    if len(times) < 2 or times[-1] > process.T or any(s >= t for s, t in pairwise(times)):
        raise ValueError(f"timesteps must increase strictly within 1..{process.T}, got {tau.tolist()}")
    return pairwise(times)


def evaluate(model: Model, x: Tensor, t: int) -> Tensor:
    return model(x, torch.full((len(x),), t, device=x.device))


@torch.no_grad()
def sample(
    model: Model,
    process: GaussianDiffusion,
    x_T: Tensor,
    tau: Tensor,
    *,
    eta: float = 0.0,
    clip: tuple[float, float] | None = None,
    noise: Noise = gaussian,
) -> Tensor:
    """Reverse process over any increasing subset of timesteps, one network evaluation each.

    x_T: (B, ...) ~ N(0, I), the state at tau[-1].  tau: (S,) in 1..T.  eta: 0 deterministic, 1 ancestral (beta-tilde).
    clip: limits for the predicted x_0, from which the noise is then derived anew; not in the paper, but a network that
    is 1 % wrong about the noise at t = T = 1000 is 1.6 wrong about x_0.  Returns x_0: (B, ...).
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must lie in 0..1 (0 deterministic, 1 ancestral), not {eta}")
    x = x_T
    for s, t in reversed(list(pairs(process, tau))):
        abar_s, abar_t = process.abar[s], process.abar[t]
        eps = evaluate(model, x, t)
        sigma = eta * ((1 - abar_s) / (1 - abar_t)).sqrt() * (1 - abar_t / abar_s).sqrt()  # Eq. 16
        x_0 = predict_x_0(process, x, t, eps)  # Eq. 9
        if clip is not None:
            x_0 = x_0.clamp(*clip)
            eps = (x - abar_t.sqrt() * x_0) / (1 - abar_t).sqrt()
        x = abar_s.sqrt() * x_0 + (1 - abar_s - sigma**2).sqrt() * eps  # Eq. 12
        if eta > 0 and s > 0:
            x = x + sigma * noise(x)
    return x


@torch.no_grad()
def encode(model: Model, process: GaussianDiffusion, x_0: Tensor, tau: Tensor) -> Tensor:
    """The x_T that deterministic sampling over the same timesteps leads back to x_0, up to O(1/S) (section 4.3).

    Euler steps of the ODE from data to noise.  x_0: (B, ...).  tau: (S,) in 1..T.  Returns x at tau[-1]: (B, ...).
    """
    check_signal(process)
    x = x_0
    for s, t in pairs(process, tau):
        abar_s, abar_t = process.abar[s], process.abar[t]
        eps = evaluate(model, x, max(s, 1))  # no network is trained at t = 0; its nearest level is 1
        slope = ((1 - abar_t) / abar_t).sqrt() - ((1 - abar_s) / abar_s).sqrt()
        x = abar_t.sqrt() * (x / abar_s.sqrt() + slope * eps)  # Eq. 13
    return x


def slerp(x_a: Tensor, x_b: Tensor, weight: float | Tensor) -> Tensor:
    """Spherical interpolation between two codes, which keeps their length (appendix D.5).

    x_a, x_b: (B, ...); weight: in [0, 1], or (B,).  Returns (B, ...): x_a at 0, x_b at 1.
    """
    a, b = x_a.flatten(1), x_b.flatten(1)
    cosine = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))
    theta = cosine.clamp(-1, 1).acos()
    weight = torch.as_tensor(weight, dtype=x_a.dtype, device=x_a.device)
    straight = theta.sin() < 1e-6
    over = torch.where(straight, torch.ones_like(theta), theta.sin())
    from_a = torch.where(straight, 1 - weight, ((1 - weight) * theta).sin() / over)
    from_b = torch.where(straight, weight.expand_as(theta), (weight * theta).sin() / over)
    shape = (-1, *[1] * (x_a.ndim - 1))
    return from_a.view(shape) * x_a + from_b.view(shape) * x_b


def demo(
    *,
    data: str = "digits",
    device: str = "cpu",
    seed: int = 0,
    steps: int = 280,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = False,
) -> Result:
    """Trains a DDPM, then samples it in 10 steps, encodes and decodes images, and walks between two codes.

    In the folder of a DDPM run, --resume takes that network instead of training one.
    """
    started = time.perf_counter()
    dataset, process = load(data), linear_schedule()
    trained = fit(dataset, device=device, seed=seed, steps=steps, out=out, resume=resume, progress=progress)
    model, reference = trained.model, dataset.x_test[:200].to(device)
    x_T = Noise(seed)(reference)

    def samples_after(count: int, eta: float) -> Tensor:
        tau = timesteps(process.T, count)
        return sample(model, process, x_T, tau, eta=eta, clip=dataset.range, noise=Noise(seed + 1))

    def spread_after_ten_steps(eta: float, sd: float = 0.5) -> float:
        exact, tau = Gaussian(0.0, sd**2).model(process.abar), timesteps(process.T, 10, "quadratic")
        found = moments(lambda x, noise: sample(exact, process, x, tau, eta=eta, noise=noise))
        return found.std.item() / sd

    def reconstruction_error(count: int) -> float:
        tau = timesteps(process.T, count)
        images = reference[:64]
        returned = sample(model, process, encode(model, process, images, tau), tau)
        return ((returned - images) / 2).square().mean().item()  # of images in [0, 1], as the paper has it

    claims = [
        Claim(
            name="few-steps",
            statement="energy distance from samples of five steps to held-out images",
            value=energy_distance(samples_after(5, 0.0), reference),
            bound=0.3,
            relation="<=",
            control=energy_distance(samples_after(5, 1.0), reference),
            control_is="five ancestral steps (eta = 1) of the same network from the same x_T",
            of="Table 1: with few steps, smaller eta gives better samples",
        ),
        Claim(
            name="spread",
            statement="standard deviation after ten steps over that of Gaussian data, with its exact denoiser, exactly",
            value=spread_after_ten_steps(0.0),
            bound=0.8,
            relation=">=",
            control=spread_after_ten_steps(1.0),
            control_is="ten ancestral steps (eta = 1) over the same, quadratic, timesteps",
            of="Table 1, in the case where its figure is known exactly",
        ),
        Claim(
            name="reconstruction",
            statement="mean squared error per pixel after encoding and decoding in 100 steps each, images in [0, 1]",
            value=reconstruction_error(100),
            bound=0.002,
            relation="<=",
            control=reconstruction_error(10),
            control_is="encoding and decoding in 10 steps each",
            of="Table 2: the reconstruction error falls with the number of steps",
        ),
    ]
    path = torch.linspace(0, 1, 8, device=device)
    walk = [slerp(x_T[:8], x_T[8:16], weight) for weight in path]
    between = [sample(model, process, code, timesteps(process.T, 50), clip=dataset.range) for code in walk]
    samples = samples_after(10, 0.0)
    sheets = {
        "ten DDIM steps": pictures.contact_sheet(samples[:64], columns=8, width=300),
        "ten ancestral steps": pictures.contact_sheet(samples_after(10, 1.0)[:64], columns=8, width=300),
        "from one code to another": pictures.strip(between, width=300),
    }
    figure = Figure(
        name="ddim",
        alt=f"64 samples after training on {data} by ten deterministic steps; 64 by ten ancestral steps, blurred; "
        "and eight rows in which one sample turns smoothly into another as its code moves along the great circle.",
        image=pictures.beside(sheets),
    )
    return Result(
        method="ddim",
        data=data,
        seed=seed,
        samples=samples,
        reference=reference,
        claims=claims,
        figures=[figure],
        model=model.state_dict(),
        network_evaluations=10,
        parameters=sum(p.numel() for p in model.parameters()),
        losses=trained.losses,
        seconds=time.perf_counter() - started,
    )


if __name__ == "__main__":
    from implementations.lab.command import main

    raise SystemExit(main(demo))
