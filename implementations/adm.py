"""Diffusion models beat GANs: classifier guidance, and adaptive group normalisation.

Dhariwal & Nichol, NeurIPS 2021. arXiv:2105.05233 (equation numbers of v4).
A classifier that has seen noisy images knows, at every step, which way its class lies.  Its gradient, times a scale s,
is added to the reverse mean, or to the score behind DDIM's noise; s above 1 buys fidelity with diversity.  The network
that is guided takes time and class as the scale and shift of its normalisation.

t counts from 1 to T, t = 0 is the data, and `log_p(x_t, t)` with t: (B,) returns log p(y | x_t), (B,), in nats, for the
class of each row.  scale 0 is the model as it is, scale 1 is Bayes' rule.

Where the gradient is taken: the derivation (Eqs. 5 to 10) has it at the mean of the reverse step, by the classifier of
level t - 1; Algorithm 1 as printed, and the figures of the paper, have it at x_t, by the classifier of level t.  Here
`point` says which: "x_t", the default, or "mean".  They agree in the limit of small steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import cos, pi, sin
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from implementations import ddim, ddpm, iddpm
from implementations.common.embedding import Condition
from implementations.common.noise import Noise, gaussian
from implementations.ddim import GaussianDiffusion, Model, evaluate, predict_x_0
from implementations.lab import pictures
from implementations.lab.data import Dataset, load
from implementations.lab.results import Claim, Figure, Result
from implementations.lab.training import Batch, Trained, train
from implementations.unet import Attention, Block, UNet
from implementations.verification import sample_measures
from implementations.verification.impulses import moments
from implementations.verification.oracles import Gaussian, GaussianMixture

Law = Callable[[Tensor, int], tuple[Tensor, Tensor]]
LogProbability = Callable[[Tensor, Tensor], Tensor]
Point = Literal["x_t", "mean"]
Curve = list[tuple[float, float]]


class AdaptiveBlock(Block):
    """The U-Net's residual block, with the condition as the scale and shift of its second normalisation.

    AdaGN(h, y) = y_s GroupNorm(h) + y_b (section 3.1), y_s - 1 and y_b linear in the embedding of time and class.
    """

    def __init__(self, before: int, after: int, condition: int, groups: int, dropout: float) -> None:
        super().__init__(before, after, condition, groups, dropout)
        self.condition = nn.Linear(condition, 2 * after)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        scale, shift = self.condition(c)[:, :, None, None].chunk(2, dim=1)
        h = self.norm_2(self.conv_1(F.silu(self.norm_1(x))))
        h = (1 + scale) * h + shift
        return self.shortcut(x) + self.conv_2(self.dropout(F.silu(h)))


class ADMUNet(UNet):
    """The U-Net with adaptive group normalisation.

    Attention at several resolutions and 64 channels per head, the paper's other choices, are options of the U-Net
    (`attention`, `head`); its residual blocks that resample are not here.
    """

    block = AdaptiveBlock


class Classifier(nn.Module):
    """p(y | x_t) from noisy images: `classifier(x, t)` returns logits, (B, classes).

    The contracting path of the network above, attention at its end, and the mean over positions (the paper pools by
    attention).  x: (B, channels, H, W); t: (B,) in 0..T.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        width: int = 16,
        multipliers: tuple[int, ...] = (1, 2, 4),
        head: int = 32,
        groups: int = 8,
    ) -> None:
        super().__init__()
        widths = [width * m for m in multipliers]
        code = 4 * width
        self.condition = Condition(code, frequencies=width)
        self.inlet = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(AdaptiveBlock(w, w, code, groups, 0.0) for w in widths)
        self.shrink = nn.ModuleList(
            nn.Conv2d(widths[level], widths[level + 1], 3, stride=2, padding=1) for level in range(len(widths) - 1)
        )
        self.attend = Attention(widths[-1], head, groups)
        self.norm = nn.GroupNorm(groups, widths[-1])
        self.outlet = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        c = F.silu(self.condition(t))
        h = self.blocks[0](self.inlet(x), c)
        for shrink, block in zip(self.shrink, self.blocks[1:], strict=True):
            h = block(shrink(h), c)
        return self.outlet(F.silu(self.norm(self.attend(h))).mean((2, 3)))


def classifier_loss(
    classifier: Callable[[Tensor, Tensor], Tensor],
    process: GaussianDiffusion,
    x_0: Tensor,
    y: Tensor,
    *,
    noise: Noise = gaussian,
) -> Tensor:
    """Cross-entropy at a uniform t in 0..T, in nats: data as noisy as the diffusion model meets them (section 4.3).

    x_0: (B, ...); y: (B,) int64.  t = 0, clean data, is what the last step asks for when `point` is "mean".
    """
    t = noise.integers(0, process.T, x_0)
    return F.cross_entropy(classifier(process.diffuse(x_0, t, noise(x_0)), t), y)


def log_probability(classifier: Callable[[Tensor, Tensor], Tensor], y: Tensor) -> LogProbability:
    """log p(y | x_t) of a classifier that returns logits (B, classes), for the class y: (B,) of each row."""

    def log_p(x: Tensor, t: Tensor) -> Tensor:
        return -F.cross_entropy(classifier(x, t), y, reduction="none")

    return log_p


def gradient(log_p: LogProbability, x: Tensor, t: Tensor) -> Tensor:
    """The gradient of log p(y | x_t) with respect to x_t.  x: (B, ...); t: (B,).  Returns (B, ...)."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        values = log_p(x, t)
        if values.shape != (len(x),):
            raise ValueError(
                f"log_p must return one number per row, ({len(x)},), not {tuple(values.shape)}: "
                "bind the class of each row, as log_probability(classifier, y) does"
            )
        return torch.autograd.grad(values.sum(), x)[0]


def guided_step(law: Law, log_p: LogProbability, *, scale: float = 1.0, point: Point = "x_t") -> Law:
    """The reverse step given the class: law(x_t, t) is mean and variance of p(x_{t-1} | x_t), and so is what returns.

    The law may be any Gaussian one: ddpm.reverse, or a variance that was learned.
    """
    if point not in ("x_t", "mean"):
        raise ValueError(f"point, where the gradient is taken, must be 'x_t' or 'mean', not {point!r}")

    def step(x: Tensor, t: int) -> tuple[Tensor, Tensor]:
        mean, variance = law(x, t)
        where, level = (x, t) if point == "x_t" else (mean, t - 1)
        g = gradient(log_p, where, torch.full((len(x),), level, device=x.device))
        return mean + scale * variance * g, variance  # Eq. 10

    return step


@torch.no_grad()
def sample(
    law: Law,
    log_p: LogProbability,
    x_T: Tensor,
    T: int,
    *,
    scale: float = 1.0,
    point: Point = "x_t",
    noise: Noise = gaussian,
) -> Tensor:
    """Guided ancestral sampling (Algorithm 1), T evaluations of the model and of the classifier's gradient.

    law: (x_t, t) to mean and variance of p(x_{t-1} | x_t), t from T to 1.  x_T: (B, ...) ~ N(0, I).
    Returns x_0: (B, ...).
    """
    step, x = guided_step(law, log_p, scale=scale, point=point), x_T
    for t in range(T, 0, -1):
        mean, variance = step(x, t)
        x = mean + variance.sqrt() * noise(x) if t > 1 else mean
    return x


def guided_model(model: Model, process: GaussianDiffusion, log_p: LogProbability, *, scale: float = 1.0) -> Model:
    """The noise behind the score of p(x_t) p(y | x_t)^scale; ddim.sample with it is Algorithm 2.

    One evaluation of the model and one of the classifier's gradient at each call.
    """

    def eps_hat(x: Tensor, t: Tensor) -> Tensor:
        root = process.at((1 - process.abar).sqrt(), t, x)
        return model(x, t) - scale * root * gradient(log_p, x, t)  # Eq. 14

    return eps_hat


def three_classes() -> GaussianMixture:
    """Three round Gaussians in the plane, one class each, that overlap: Bayes' rule errs on one point in four."""
    means = [[cos(angle), sin(angle)] for angle in (pi / 2, pi * 7 / 6, pi * 11 / 6)]
    return GaussianMixture([1.0] * 3, means, [0.8] * 3, [0, 1, 2])


def fidelity_and_spread(judge: sample_measures.Classifier, samples: Tensor, y: Tensor) -> tuple[float, float]:
    """The share of samples the judge gives the class asked for, and the mean distance between two asked to be alike."""
    spread = [sample_measures.mean_distance(samples[y == label]) for label in y.unique()]
    return judge.agreement(samples, y), sum(spread) / len(spread)


def tradeoff_claims(scales: Sequence[float], curve: Curve, control: Curve, of: str) -> list[Claim]:
    """Fidelity rises and spread falls from each scale to the next; curves are `fidelity_and_spread` at each scale."""

    def least_gain(points: Curve) -> float:
        return min(after[0] - before[0] for before, after in pairwise(points))

    def least_loss(points: Curve) -> float:
        return min(before[1] - after[1] for before, after in pairwise(points))

    along = f"from one scale to the next of {', '.join(f'{s:g}' for s in scales)}; exact networks, three classes"
    control_is = "guided alike towards labels that were shuffled among the samples"
    return [
        Claim(
            "fidelity", f"least gain in the share of samples that a judge gives the class asked for, {along}",
            least_gain(curve), 0.01, ">=", least_gain(control), control_is, of,
        ),
        Claim(
            "diversity", f"least loss of the mean distance between samples of one class, {along}",
            least_loss(curve), 0.05, ">=", least_loss(control), control_is, of,
        ),
    ]  # fmt: skip


def tradeoff_figure(name: str, scales: Sequence[float], curve: Curve, control: Curve) -> Figure:
    """Fidelity over spread, a point for each scale."""
    lines = {
        title: ([spread for _, spread in points], [right for right, _ in points])
        for title, points in {"labels as asked": curve, "shuffled labels": control}.items()
    }
    return Figure(
        name,
        f"Fidelity against diversity for scales {', '.join(f'{s:g}' for s in scales)}, exact networks, three classes: "
        f"the share of samples of the class asked for rises from {curve[0][0]:.0%} to {curve[-1][0]:.0%}, while the "
        f"mean distance between samples of one class falls from {curve[0][1]:.2f} to {curve[-1][1]:.2f}. With shuffled "
        "labels the share stays at a third, and the distance grows.",
        pictures.curves(lines, across="mean distance within a class", up="share of the class asked for"),
    )


def _tradeoff(seed: int, scales: Sequence[float]) -> tuple[Curve, Curve]:
    """The curve of Algorithm 1 over scales, and that of shuffled labels, where model and classifier are exact."""
    mixture, process, draws = three_classes(), ddpm.linear_schedule(50, 2e-3, 0.35), Noise(seed)
    alphas, sigmas = process.abar.sqrt(), (1 - process.abar).sqrt()
    exact, y = mixture.model(process.abar), torch.arange(450) % 3
    judge = sample_measures.classifier(*mixture.sample_with_class(1000, noise=draws))
    x_T = draws(torch.empty(len(y), 2))

    def law(x: Tensor, t: int) -> tuple[Tensor, Tensor]:
        return ddpm.reverse(process, x, t, evaluate(exact, x, t), "large")

    def at_scale(scale: float, labels: Tensor) -> tuple[float, float]:
        def log_p(x: Tensor, t: Tensor) -> Tensor:
            return mixture.log_prob(x, alphas[t], sigmas[t], labels) - mixture.log_prob(x, alphas[t], sigmas[t])

        samples = sample(law, log_p, x_T, process.T, scale=scale, noise=Noise(seed + 1))
        return fidelity_and_spread(judge, samples, y)

    shuffled = y[draws.uniform(y.double()).argsort()]
    return [at_scale(s, y) for s in scales], [at_scale(s, shuffled) for s in scales]


def _posterior_claims() -> list[Claim]:
    """Data N(0, 1), where the reverse step has variance beta_t exactly, and classifiers whose posteriors are known."""
    process = ddpm.linear_schedule(50, 2e-3, 0.35)
    exact = Gaussian(0.0, 1.0).model(process.abar)
    a, v = 1.0, 0.5  # p(y | x_0) is proportional to exp(a x_0), or to exp(-(x_0 - a)^2 / 2 v)

    def law(x: Tensor, t: int) -> tuple[Tensor, Tensor]:
        return ddpm.reverse(process, x, t, evaluate(exact, x, t), "large")

    def log_linear(x: Tensor, t: Tensor) -> Tensor:
        return (a * process.at(process.abar.sqrt(), t, x) * x).sum(1)

    def quadratic(x: Tensor, t: Tensor) -> Tensor:
        abar = process.at(process.abar, t, x)
        return (-(abar.sqrt() * x - a).square() / (2 * (1 - abar + v))).sum(1)

    def off_posterior(point: Point) -> float:
        """The class turns N(0, 1) into N(a, 1), x_t into N(sqrt(abar_t) a, 1): Bayes' rule is that chain's step."""
        step, x, worst = guided_step(law, log_linear, point=point), torch.linspace(-2, 2, 9).double()[:, None], 0.0
        for t in range(1, process.T + 1):
            before, after = process.abar[t - 1].sqrt() * a, process.abar[t].sqrt() * a
            mean = before + process.alpha[t].sqrt() * (x - after)
            worst = max(worst, ((step(x, t)[0] - mean).abs().max() / process.beta[t].sqrt()).item())
        return worst

    def spread_error(point: Point) -> float:
        found = moments(lambda x, noise: sample(law, quadratic, x, process.T, point=point, noise=noise))
        return abs(found.std.item() / (v / (1 + v)) ** 0.5 - 1)

    printed = "the gradient at x_t, by the classifier of level t, as Algorithm 1 is printed"
    return [
        Claim(
            "posterior", "mean of one guided step, log-linear classifier, off the exact posterior's, in sds, largest",
            off_posterior("mean"), 1e-9, "<=", off_posterior("x_t"), printed, "Eqs. 2 to 10",
        ),
        Claim(
            "point", "sd of guided samples after 50 steps, quadratic classifier, off the exact posterior's, relative",
            spread_error("mean"), 0.01, "<=", spread_error("x_t"), printed, "Eq. 5, the point of the Taylor expansion",
        ),
    ]  # fmt: skip


def class_sheets(samples: Mapping[str, Tensor], classes: int) -> Tensor:
    """Sets of images, an even number, in two rows; in each set a column for each class."""
    sheets = {
        title: pictures.contact_sheet(x[: 5 * classes], columns=classes, width=400) for title, x in samples.items()
    }
    titles = list(sheets)
    rows = titles[: len(titles) // 2], titles[len(titles) // 2 :]
    return torch.cat([pictures.beside({title: sheets[title] for title in row}) for row in rows])


def labelled_images(name: str) -> tuple[Dataset, Tensor, Tensor]:
    """A data set of images with classes, and its labels, of training and test; ValueError if it is none."""
    dataset = load(name)
    if dataset.x.ndim != 4 or dataset.y is None or dataset.y_test is None:
        raise ValueError(f"data must be images with classes, which {name!r} is not")
    return dataset, dataset.y, dataset.y_test


def labelled(batch: Batch) -> tuple[Tensor, Tensor]:
    """The batch of a data set that has classes."""
    x_0, y = batch
    if y is None:
        raise ValueError("a batch has no labels")
    return x_0, y


def fit(
    dataset: Dataset, process: GaussianDiffusion, *, steps: int, seed: int, **run
) -> tuple[Trained, Trained, Trained]:
    """The demo's networks: a diffusion model with learned variance, a classifier, and one that saw only clean images.

    run: device, out, resume, progress of the trainings.
    """
    large = min(dataset.shape[1:]) > 16
    torch.manual_seed(seed)
    network = ADMUNet(
        dataset.shape[0],
        2 * dataset.shape[0],
        multipliers=(1, 2, 2) if large else (1, 2),
        attention=(1, 2) if large else (1,),
    )
    classifiers = [Classifier(dataset.shape[0], dataset.classes, width=32 if large else 16) for _ in range(2)]

    def hybrid(model: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        return iddpm.hybrid_loss(model, process, batch[0], dataset.levels, noise=noise)

    def noisy(model: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        return classifier_loss(model, process, *labelled(batch), noise=noise)

    def clean(model: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        x_0, y = labelled(batch)
        return F.cross_entropy(model(x_0, x_0.new_zeros(len(x_0))), y)

    options = {"lr": 4e-3, "anneal": True, "seed": seed, **run}
    return (
        train(network, hybrid, dataset, steps=steps, ema=0.98, name="adm", **options),
        train(classifiers[0], noisy, dataset, steps=steps, ema=0.98, name="adm-classifier", **options),
        train(classifiers[1], clean, dataset, steps=max(1, steps // 2), ema=0.95, name="adm-clean", **options),
    )


def demo(
    *,
    data: str = "digits",
    device: str = "cpu",
    seed: int = 0,
    steps: int = 100,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = False,
) -> Result:
    """Exact posteriors, an exact curve of fidelity against diversity, and images of each class at growing scale."""
    started = time.perf_counter()
    (dataset, labels, _), process = labelled_images(data), iddpm.cosine_schedule(1000)
    trained, noisy, clean = fit(
        dataset, process, steps=steps, seed=seed, device=device, out=out, resume=resume, progress=progress
    )
    judge = sample_measures.classifier(dataset.x[:2000], labels[:2000])
    y = torch.arange(8 * dataset.classes, device=device) % dataset.classes
    x_T = Noise(seed)(torch.empty(len(y), *dataset.shape, device=device))
    tau, scales = ddim.timesteps(process.T, 20), (0.0, 2.0, 8.0)
    log_p = log_probability(noisy.model, y)

    def eps(x: Tensor, t: Tensor) -> Tensor:
        return trained.model(x, t).chunk(2, dim=1)[0]

    def by_algorithm_2(log_p: LogProbability, scale: float) -> Tensor:
        model = guided_model(eps, process, log_p, scale=scale)
        return ddim.sample(model, process, x_T, tau, clip=dataset.range)

    def unaware(x: Tensor, t: Tensor) -> Tensor:
        return log_probability(clean.model, y)(x, torch.zeros_like(t))

    short, times = iddpm.strided(process, tau), torch.cat([tau.new_zeros(1), tau]).to(device)

    def law(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """iddpm's step with the guess of x_0 kept in the data's range."""
        output = evaluate(iddpm.retimed(trained.model, tau), x, k)
        x_0 = predict_x_0(short, x, k, output.chunk(2, dim=1)[0]).clamp(*dataset.range)
        return short.posterior(x_0, x, k)[0], iddpm.reverse(short, x, k, output)[1]

    guided = {f"scale {scale:g}": by_algorithm_2(log_p, scale) for scale in scales}
    guided[f"Algorithm 1, scale {scales[-1]:g}"] = sample(
        law, lambda x, k: log_p(x, times[k]), x_T, short.T, scale=scales[-1], noise=Noise(seed + 1)
    )
    samples, lost = guided[f"scale {scales[-1]:g}"], by_algorithm_2(unaware, scales[-1])
    right, lost_right = (fidelity_and_spread(judge, x, y)[0] for x in (samples, lost))
    strengths = (0.0, 0.5, 1.0, 2.0, 4.0)
    curve, shuffled = _tradeoff(seed, strengths)
    claims = [
        *_posterior_claims(),
        *tradeoff_claims(strengths, curve, shuffled, "section 4.3 and Figure 4"),
        Claim(
            "noisy classifier", f"share of guided images, scale {scales[-1]:g}, that a judge gives the class asked for",
            right, 0.88, ">=", lost_right, "a classifier that was trained on clean images only",
            "section 4.3: the classifier is trained on the diffusion model's own noise",
        ),
    ]  # fmt: skip
    figures = [
        Figure(
            "adm",
            f"Samples after training on {data}, a column for each class, guided by a classifier at scale 0, where "
            "classes are mixed, then 2 and 8, where nearly all are of their column's class and alike; and at 8 by "
            "ancestral sampling.",
            class_sheets(guided, dataset.classes),
        ),
        tradeoff_figure("adm-tradeoff", strengths, curve, shuffled),
    ]
    models = {"network": trained.model, "classifier": noisy.model}
    return Result(
        "adm", data, seed, samples, dataset.x_test[: len(samples)], claims, figures,
        {f"{part}.{name}": value for part, model in models.items() for name, value in model.state_dict().items()},
        network_evaluations=len(tau),
        parameters=sum(p.numel() for model in models.values() for p in model.parameters()),
        losses=trained.losses, seconds=time.perf_counter() - started,
    )  # fmt: skip


if __name__ == "__main__":
    from implementations.lab.command import main

    raise SystemExit(main(demo))
