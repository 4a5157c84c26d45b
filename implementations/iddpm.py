"""Improved denoising diffusion probabilistic models.

Nichol & Dhariwal, ICML 2021. arXiv:2102.09672 (equation numbers of v1).
The reverse variance is learned too, between the two that DDPM could choose from; the bound trains it, and only it, next
to the simple loss.  With variances that fit, most steps can be skipped.  A schedule that destroys images more slowly.

Data lies in [-1, 1].  t counts from 1 to T, and `model(x_t, t)` with x_t: (B, C, ...) returns (B, 2 C, ...): its guess
of the noise, then what places the variance, -1 for beta-tilde_t and 1 for beta_t, as in the authors' code (the paper's
v is half of that plus one half), so that an untrained network begins in the middle.  Nothing keeps it between the two.
The bound is counted in bits per dimension.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import cos, log, pi, sin
from pathlib import Path

import torch
from torch import Tensor, nn

from implementations import ddpm
from implementations.common.noise import Noise, gaussian
from implementations.ddpm import GaussianDiffusion, Model, UNet, decoder_log_likelihood, gaussian_kl, predict_x_0
from implementations.lab import pictures
from implementations.lab.data import Dataset, load
from implementations.lab.results import Claim, Figure, Result
from implementations.lab.training import Batch, Trained, train
from implementations.verification.impulses import moments
from implementations.verification.oracles import Gaussian, GaussianMixture

Limits = tuple[float, float]


def cosine_schedule(T: int = 4000, s: float = 0.008, largest: float = 0.999) -> GaussianDiffusion:
    """abar_t falls like the square of a cosine: slowly at both ends, evenly in between (section 3.2).

    s keeps the first steps from being too small to notice.  largest, below 1, bounds beta_t, which would be 1 at T and
    leave nothing of x_0 to divide by.
    """
    if T < 1 or s < 0 or not 0 < largest < 1:
        raise ValueError(
            f"a cosine schedule needs T >= 1, s >= 0 and largest between 0 and 1, not {T}, {s} and {largest}"
        )
    f = torch.cos((torch.arange(T + 1, dtype=torch.float64) / T + s) / (1 + s) * pi / 2).square()  # Eq. 17
    return GaussianDiffusion((1 - f[1:] / f[:-1]).clamp_max(largest))


def timesteps(T: int, K: int) -> Tensor:
    """K of the T steps, evenly spaced from 1 to T and rounded (section 4); T alone if K is 1.  Returns (K,), int64."""
    if not 1 <= K <= T:
        raise ValueError(f"K must lie in 1..{T} (the trained process has T = {T} steps), not {K}")
    return torch.linspace(T, 1, K, dtype=torch.float64).round().long().flip(0)


def strided(process: GaussianDiffusion, tau: Tensor) -> GaussianDiffusion:
    """The chain that visits only the times tau: (K,), increasing in 1..T.  Its step k leads from tau[k - 1] down."""
    times = torch.cat([tau.new_zeros(1), tau])
    if len(tau) == 0 or (times.diff() < 1).any() or times[-1] > process.T:
        raise ValueError(f"timesteps must increase strictly within 1..{process.T}, got {tau.tolist()}")
    abar = process.abar[times]
    return GaussianDiffusion(1 - abar[1:] / abar[:-1])  # Eq. 19


def retimed(model: Model, tau: Tensor) -> Model:
    """The model for a strided chain: at step k it is asked about tau[k - 1], a time it was trained at."""

    def at_step(x: Tensor, k: Tensor) -> Tensor:
        return model(x, tau.to(k.device)[k - 1])

    return at_step


def least_variance(process: GaussianDiffusion) -> Tensor:
    """beta-tilde, (T + 1,), with beta-tilde_2 at t = 1 too, for its own value there is 0 and has no logarithm.

    If T is 1 there is no beta-tilde_2, and beta_1 is both bounds.
    """
    first = process.posterior_variance[2] if process.T > 1 else process.beta[1]
    return torch.cat([first.expand(2), process.posterior_variance[2:]])


def reverse(
    process: GaussianDiffusion, x_t: Tensor, t: int | Tensor, output: Tensor, *, clip: Limits | None = None
) -> tuple[Tensor, Tensor]:
    """Mean and variance of p(x_{t-1} | x_t), two (B, C, ...).  x_t: (B, C, ...); output: the model's, (B, 2 C, ...).

    clip: limits for the predicted x_0; not in the paper, but in the authors' code, for samples and for the bound, never
    for a loss: where abar_t is 1e-6, a network that is 1 % wrong about the noise is 10 wrong about x_0.
    """
    if output.shape[1] != 2 * x_t.shape[1]:
        raise ValueError(
            f"the model must return 2 x {x_t.shape[1]} channels, the noise and then the variance, not {output.shape[1]}"
        )
    if process.abar[-1] <= 0:
        raise ValueError("abar_T must be above 0: where nothing is left of x_0, the noise does not tell it")
    eps, place = output.chunk(2, dim=1)
    x_0 = predict_x_0(process, x_t, t, eps)
    mean, _ = process.posterior(x_0 if clip is None else x_0.clamp(*clip), x_t, t)
    v = (place + 1) / 2
    least, most = (process.at(table.log(), t, x_t) for table in (least_variance(process), process.beta))
    return mean, torch.exp(v * most + (1 - v) * least)  # Eq. 15


@torch.no_grad()
def sample(
    model: Model, process: GaussianDiffusion, x_T: Tensor, *, clip: Limits | None = None, noise: Noise = gaussian
) -> Tensor:
    """Ancestral sampling, T network evaluations; for fewer, give it a `strided` process and the model `retimed`.

    x_T: (B, C, ...) ~ N(0, I).  clip: see `reverse`.  Returns x_0: (B, C, ...).
    """
    x = x_T
    for t in range(process.T, 0, -1):
        mean, variance = reverse(process, x, t, model(x, torch.full((len(x),), t, device=x.device)), clip=clip)
        x = mean + variance.sqrt() * noise(x) if t > 1 else mean
    return x


def term(
    process: GaussianDiffusion,
    x_0: Tensor,
    x_t: Tensor,
    t: Tensor,
    output: Tensor,
    levels: int | None,
    *,
    clip: Limits | None = None,
) -> Tensor:
    """L_{t-1} of each row, in bits per dimension; the bound is the sum of these over t = 1..T, and L_T.

    x_0, x_t: (B, C, ...); t: (B,); output: (B, 2 C, ...).  levels: how many equally spaced values in [-1, 1] the data
    can take; None if it is continuous: then the decoder is a density, and the bound one on -log p(x_0).  Returns (B,).
    """
    mean, variance = reverse(process, x_t, t, output, clip=clip)
    posterior_mean, _ = process.posterior(x_0, x_t, t)
    nats = gaussian_kl(posterior_mean, process.at(least_variance(process), t, x_0), mean, variance)
    last = t == 1  # its own rows only: elsewhere the decoder could be 0, and its gradient not a number
    if levels is None:
        law = torch.distributions.Normal(mean[last], variance[last].sqrt())
        nats[last] = -law.log_prob(x_0[last])
    else:
        nats[last] = -decoder_log_likelihood(x_0[last], mean[last], variance[last], levels)
    return nats.flatten(1).mean(1) / log(2)


@torch.no_grad()
def bits_per_dimension(
    model: Model,
    process: GaussianDiffusion,
    x_0: Tensor,
    levels: int | None,
    *,
    clip: Limits | None = None,
    noise: Noise = gaussian,
) -> Tensor:
    """The variational bound, term by term, with one draw of x_t for each t; T network evaluations.  As DDPM's.

    x_0: (B, C, ...); levels: see `term`; clip: see `reverse`.  Returns (T + 1, B) in bits per dimension: row t - 1 is
    L_{t-1}, row T is L_T.
    """
    rows = []
    for t in torch.arange(1, process.T + 1, device=x_0.device)[:, None].expand(-1, len(x_0)):
        x_t = process.diffuse(x_0, t, noise(x_0))
        rows.append(term(process, x_0, x_t, t, model(x_t, t), levels, clip=clip))
    prior = gaussian_kl(*process.marginal(x_0, process.T), torch.zeros_like(x_0), torch.ones_like(x_0))
    return torch.stack([*rows, prior.flatten(1).mean(1) / log(2)])


def hybrid_loss(
    model: Model,
    process: GaussianDiffusion,
    x_0: Tensor,
    levels: int | None,
    *,
    weight: float = 0.001,
    noise: Noise = gaussian,
) -> Tensor:
    """L_simple, which trains the mean, and the bound, which trains the variance.  x_0: (B, C, ...); levels: see `term`.

    One uniform t per row serves both: T times its term estimates the bound (but L_T, which has nothing to learn).
    """
    t, eps = noise.integers(1, process.T, x_0), noise(x_0)
    x_t = process.diffuse(x_0, t, eps)
    guess, place = model(x_t, t).chunk(2, dim=1)
    L_simple = (eps - guess).square().mean()  # Eq. 14
    frozen = torch.cat([guess.detach(), place], dim=1)  # the bound must not move the mean
    L_vlb = process.T * term(process, x_0, x_t, t, frozen, levels).mean()
    return L_simple + weight * L_vlb  # Eq. 16


class Importance(nn.Module):
    """Draws t in proportion to the root mean square of the last losses seen there (section 3.3).

    Uniformly until each t has been drawn `size` times.  uniform: the share of draws that stays so, as in the authors'
    code: a t whose last losses were all 0 would never be drawn again, and what it loses later never be counted.
    A module, so that a network which has it as a part takes the history along into its checkpoints.
    """

    losses: Tensor
    count: Tensor

    def __init__(self, T: int, size: int = 10, uniform: float = 0.001) -> None:
        super().__init__()
        if T < 1 or size < 1 or not 0 <= uniform <= 1:
            raise ValueError(f"importance needs T >= 1, size >= 1, uniform in 0..1, not {T}, {size} and {uniform}")
        self.uniform = uniform
        self.register_buffer("losses", torch.zeros(T, size, dtype=torch.float64))
        self.register_buffer("count", torch.zeros(T, dtype=torch.int64))

    def probabilities(self) -> Tensor:
        """p_t for t = 1..T: (T,), float64."""
        T, size = self.losses.shape
        flat = self.losses.new_full((T,), 1 / T)
        root = self.losses.square().mean(1).sqrt()
        if (self.count < size).any() or not root.any():
            return flat
        return (1 - self.uniform) * root / root.sum() + self.uniform * flat

    def draw(self, like: Tensor, *, noise: Noise = gaussian) -> tuple[Tensor, Tensor]:
        """A t in 1..T for each row of `like`, and 1 / p_t, the weight of its loss.  Returns (B,) int64, (B,) float64.

        The weighted losses estimate the sum over t, not its mean, and without bias whatever the history.
        """
        p = self.probabilities()
        u = noise.uniform(like.flatten(1)[:, 0].to(p))
        k = torch.searchsorted(p.cumsum(0), u, right=True).clamp_max(len(p) - 1)
        return k + 1, 1 / p[k]

    @torch.no_grad()
    def record(self, t: Tensor, loss: Tensor) -> None:
        """Keep the losses seen at times t, both (B,); each pushes out the oldest of its time."""
        for k, value in zip((t - 1).tolist(), loss.to(self.losses), strict=True):
            self.losses[k] = torch.cat([self.losses[k, 1:], value[None]])
            self.count[k] += 1


def bound_loss(
    model: Model,
    process: GaussianDiffusion,
    x_0: Tensor,
    levels: int | None,
    importance: Importance,
    *,
    noise: Noise = gaussian,
) -> Tensor:
    """The bound alone, without L_T, from one t per row, drawn where the losses are large.  Arguments of `hybrid_loss`.

    Returns bits per dimension, and keeps what it saw in `importance`.
    """
    t, weight = importance.draw(x_0, noise=noise)
    x_t = process.diffuse(x_0, t, noise(x_0))
    L_t = term(process, x_0, x_t, t, model(x_t, t), levels)
    importance.record(t, L_t)
    return (weight.to(L_t) * L_t).mean()  # Eq. 18


# ---- the demo -------------------------------------------------------------------------------------------------------


def with_variance(model: Model, place: float) -> Model:
    """The model's noise, and a variance that is not learned: -1 for DDPM's small one, 1 for its large one."""

    def fixed(x: Tensor, t: Tensor) -> Tensor:
        guess, _ = model(x, t).chunk(2, dim=1)
        return torch.cat([guess, torch.full_like(guess, place)], dim=1)

    return fixed


def remembering(model: Model) -> Model:
    """The model, which answers from memory when it is asked at a time again: for other variances at the same x_t."""
    answers: dict[int, Tensor] = {}

    def answer(x: Tensor, t: Tensor) -> Tensor:
        key = int(t[0])
        if key not in answers:
            answers[key] = model(x, t)
        return answers[key]

    return answer


def fit(
    dataset: Dataset,
    objective: Callable[[Model, Tensor, Noise], Tensor],
    *,
    device: str,
    seed: int,
    steps: int,
    out: str | Path | None,
    name: str,
    resume: bool,
    progress: bool,
) -> Trained:
    """A U-Net with both outputs, trained on images as DDPM's is."""
    if dataset.x.ndim != 4 or dataset.levels is None:
        raise ValueError(f"data must be images of discrete values, not {dataset.name}")
    small = {} if min(dataset.shape[1:]) > 16 else {"width": 16, "multipliers": (1, 2), "attention": (1,)}
    torch.manual_seed(seed)
    network = UNet(dataset.shape[0], 2 * dataset.shape[0], **small)

    def of_batch(model: Model, batch: Batch, noise: Noise) -> Tensor:
        return objective(model, batch[0], noise)

    options = {"device": device, "seed": seed, "out": out, "name": name, "resume": resume, "progress": progress}
    return train(network, of_batch, dataset, steps=steps, batch_size=32, lr=4e-3, anneal=True, ema=0.99, **options)


def ideal(law: GaussianMixture, process: GaussianDiffusion) -> Model:
    """What training leads to on data of a known law: the exact noise, and the variance at which the bound is least.

    It is Var[x_{t-1} | x_t], entry by entry: the posterior's, and what it leaves open about x_0.  Kept between its
    bounds: outside, as it would be half-way between two modes, the longer steps of a strided chain magnify it.
    """
    exact = law.model(process.abar)
    least, most = least_variance(process).log(), process.beta.log()

    def model(x: Tensor, t: Tensor) -> Tensor:
        k = int(t[0])
        left = law.covariance(x, process.abar[k].sqrt(), (1 - process.abar[k]).sqrt()).diagonal(dim1=1, dim2=2)
        variance = process.posterior_variance[k] + process.posterior_weights[0][k] ** 2 * left
        v = (variance.log() - least[k]) / (most[k] - least[k])
        return torch.cat([exact(x, t), (2 * v - 1).clamp(-1, 1)], dim=1)

    return model


def spread(model: Model, process: GaussianDiffusion, K: int) -> float:
    """Standard deviation of samples of K steps, exactly, for a model of Gaussian data (see `impulses`)."""
    tau = timesteps(process.T, K)
    found = moments(lambda x_T, noise: sample(retimed(model, tau), strided(process, tau), x_T, noise=noise))
    return found.std.item()


def relative_noise(terms: Tensor, p: Tensor) -> float:
    """Standard deviation over mean of the bound's estimate from one t, drawn by p: (T,).  terms: (T, N), of each t."""
    total = terms.mean(1).sum()
    return ((terms.square().mean(1) / p.to(terms)).sum() / total.square() - 1).sqrt().item()


def demo(
    *,
    data: str = "digits",
    device: str = "cpu",
    seed: int = 0,
    steps: int = 240,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = False,
) -> Result:
    """Trains on images, by the hybrid loss and by DDPM's, and counts bits; samples Gaussians in 25 steps.

    Bits: a linear chain of 100 steps, and 25 of them.  Samples: the cosine chain of 1000 steps, and 25 of them.
    Tried once each, 280 steps of training: with 200 steps the learned variance saves 0.16 bits, with 1000 only 0.04, as
    the paper says of long chains; cosine chains take 0.2 to 0.3 bits more than linear ones on images this small, and
    trained on the bound alone, the digits need as many bits (200 steps) or more, and their samples are worse.
    """
    started = time.perf_counter()
    dataset, process, K = load(data), ddpm.linear_schedule(100, 1e-3, 0.2), 25
    options = {"device": device, "seed": seed, "steps": steps, "out": out, "resume": resume, "progress": progress}

    def hybrid(model: Model, x_0: Tensor, noise: Noise) -> Tensor:
        return hybrid_loss(model, process, x_0, dataset.levels, noise=noise)

    def simple(model: Model, x_0: Tensor, noise: Noise) -> Tensor:
        return ddpm.loss(lambda x, t: model(x, t).chunk(2, dim=1)[0], process, x_0, noise=noise)

    trained = fit(dataset, hybrid, name="iddpm-hybrid", **options)
    ancestor = fit(dataset, simple, name="iddpm-simple", **options)
    images = dataset.x_test[:36].to(device)

    def count(model: Model, chain: GaussianDiffusion) -> tuple[Tensor, float, float]:
        """The bound's terms; its sum; the lower of its sums with the two fixed variances.  At the same draws of x_t."""
        same = remembering(model)
        learned, *fixed = (
            bits_per_dimension(law, chain, images, dataset.levels, clip=dataset.range, noise=Noise(seed))
            for law in (same, with_variance(same, -1.0), with_variance(same, 1.0))
        )
        return learned[:-1], learned.sum(0).mean().item(), min(bits.sum(0).mean().item() for bits in fixed)

    tau = timesteps(process.T, K)
    short, few = strided(process, tau), retimed(trained.model, tau)
    terms, bits, bits_fixed = count(trained.model, process)
    _, bits_few, bits_few_fixed = count(few, short)
    _, _, bits_ddpm = count(ancestor.model, process)
    importance = Importance(process.T)
    for column in terms[:, :10].T:
        importance.record(torch.arange(1, process.T + 1), column)

    modes = torch.tensor([[cos(k * pi / 4), sin(k * pi / 4)] for k in range(8)], dtype=torch.float64) * 2**0.5
    cosine, sd, ring = cosine_schedule(1000), 0.5, GaussianMixture([1.0] * 8, modes, [0.1**2] * 8)
    counts, times = [5, 7, 10, 15, K, 50, 100], timesteps(1000, K)
    x_T = Noise(seed)(torch.empty(1500, 2, dtype=torch.float64))
    spreads, rings = {}, {}
    for name, place in {"best": None, "beta-tilde": -1.0, "beta": 1.0}.items():
        line, plane = (
            law if place is None else with_variance(law, place)
            for law in (ideal(Gaussian(0.0, sd**2), cosine), ideal(ring, cosine))
        )
        spreads[name] = [spread(line, cosine, k) / sd for k in counts]
        rings[name] = sample(retimed(plane, times), strided(cosine, times), x_T, noise=Noise(seed + 1))
    off = {name: abs(values[counts.index(K)] - 1) for name, values in spreads.items()}
    width = {
        name: torch.cdist(x, modes).amin(1).square().mean().div(2).sqrt().item() / 0.1 for name, x in rings.items()
    }

    claims = [
        Claim(
            name="bits",
            statement="bits per dimension of held-out images saved, of those a DDPM takes with its better variance",
            value=bits_ddpm - bits,
            bound=0.06,
            relation=">=",
            control=bits_ddpm - bits_fixed,
            control_is="the same network with the better of the two fixed variances in place of the learned one",
            of="section 3.1: a better log-likelihood from the learned variance",
        ),
        Claim(
            name=f"bits of {K} steps",
            statement=f"bits per dimension of held-out images with {K} of the {process.T} steps",
            value=bits_few,
            bound=3.2,
            relation="<=",
            control=bits_few_fixed,
            control_is="the same network with the better of the two fixed variances",
            of="section 4: learned variances go on to fit when steps are skipped",
        ),
        Claim(
            name=f"spread after {K} steps",
            statement=f"standard deviation of samples of {K} steps, over that of Gaussian data, off 1 by (exactly)",
            value=off["best"],
            bound=0.01,
            relation="<=",
            control=min(off["beta-tilde"], off["beta"]),
            control_is="the better of the two fixed variances",
            of="section 4: better samples in few steps than with either fixed variance, in a case known exactly",
        ),
        Claim(
            name=f"width after {K} steps",
            statement=f"standard deviation of samples of {K} steps around eight modes, over the data's, off 1 by",
            value=abs(width["best"] - 1),
            bound=0.16,
            relation="<=",
            control=min(abs(width[name] - 1) for name in ("beta-tilde", "beta")),
            control_is="the better of the two fixed variances, from the same x_T",
            of="section 4, with the exact noise and the variance at which the bound is least",
        ),
        Claim(
            name="importance",
            statement="standard deviation of an estimate of the bound from one t, over its mean",
            value=relative_noise(terms[:, 10:], importance.probabilities()),
            bound=0.5,
            relation="<=",
            control=relative_noise(terms[:, 10:], Importance(process.T).probabilities()),
            control_is="a uniform t",
            of="section 3.3: importance sampling takes noise from the bound's estimate",
        ),
    ]
    clouds = {"data": ring.sample(1500, noise=Noise(seed + 2))} | {
        f"{K} steps, {name}: {width[name]:.0%}": x for name, x in rings.items()
    }
    laws = {"learned": few, "beta-tilde": with_variance(few, -1.0), "beta": with_variance(few, 1.0)}
    start = Noise(seed)(images)
    drawn = {name: sample(law, short, start, clip=dataset.range, noise=Noise(seed + 1)) for name, law in laws.items()}
    sheets = {f"{K} steps, {name}": pictures.contact_sheet(x, columns=6, width=230) for name, x in drawn.items()}
    lines = {name: (counts, values) for name, values in spreads.items()}
    figures = [
        Figure(
            name="iddpm",
            alt=f"Eight round clouds of points on a circle, the data; and samples of {K} of 1000 steps: with the best "
            f"variance, to which the bound leads, clouds {width['best']:.0%} as wide as the data's, with beta-tilde "
            f"{width['beta-tilde']:.0%}, with beta {width['beta']:.0%} and blurred.",
            image=pictures.beside({t: pictures.scatter(x, limits=(-2, 2), size=230) for t, x in clouds.items()}),
        ),
        Figure(
            name="iddpm-steps",
            alt=f"36 samples after training on {data} by {K} of {process.T} steps, with the learned variance and with "
            "each of the fixed ones; and the spread of samples, over that of Gaussian data, against the number of "
            "steps: too small with beta-tilde, too large with beta, right from 25 steps on with the best one.",
            image=pictures.beside(
                sheets | {"spread of samples / of data": pictures.curves(lines, across="steps", up="", size=(440, 250))}
            ),
        ),
    ]
    return Result(
        method="iddpm",
        data=data,
        seed=seed,
        samples=drawn["learned"],
        reference=images,
        claims=claims,
        figures=figures,
        model=trained.model.state_dict(),
        network_evaluations=K,
        parameters=sum(p.numel() for p in trained.model.parameters()),
        losses=trained.losses,
        seconds=time.perf_counter() - started,
    )


if __name__ == "__main__":
    from implementations.lab.command import main

    raise SystemExit(main(demo))
