"""Generative modeling by estimating gradients of the data distribution: noise conditional score networks.

Song & Ermon, NeurIPS 2019. arXiv:1907.05600 (equation numbers of v3).
Langevin dynamics with a learned score fails where data are scarce, for there the score is wrong, and cannot weigh modes
that nothing connects.  So blur the data with a ladder of noise levels, learn the score of every level in one network,
and sample from the widest level down, each level starting where the one before it ended.

`model(x, sigma)` with sigma: (B,) returns the score of the data blurred by N(0, sigma^2 I).  Levels fall from sigma_1.
The paper's numbers are for data in [0, 1], and its step size counts half: alpha / 2 in front of the score, alpha the
variance of the noise.  (The authors' code, and NCSNv2, have alpha and 2 alpha there.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor, nn

from implementations.common.noise import Noise, gaussian
from implementations.dsm import objective, parzen_score
from implementations.lab.data import Dataset
from implementations.lab.results import Claim, Figure, Result
from implementations.lab.training import Trained, train
from implementations.unet import UNet
from implementations.verification.twosample import excess_energy

Model = Callable[[Tensor, Tensor], Tensor]


def geometric_levels(sigma_1: float = 1.0, sigma_L: float = 0.01, L: int = 10) -> Tensor:
    """Standard deviations from sigma_1 down to sigma_L, each the same part of the one before (section 4.1).

    Returns (L,), float64.
    """
    if not (sigma_1 > sigma_L > 0 and L >= 2):
        raise ValueError(f"levels need sigma_1 > sigma_L > 0 and L >= 2, not {sigma_1}, {sigma_L} and {L}")
    return sigma_1 * (sigma_L / sigma_1) ** (torch.arange(L, dtype=torch.float64) / (L - 1))


def loss(model: Model, sigmas: Tensor, x: Tensor, *, noise: Noise = gaussian) -> Tensor:
    """Denoising score matching at a uniform level, weighted by sigma^2 so that all levels count alike.

    sigmas: (L,); x: (B, ...).  A sum over the entries of a row, a mean over rows.
    """
    sigma = sigmas[noise.integers(0, len(sigmas) - 1, x).to(sigmas.device)].to(x)
    ell = objective(lambda x_tilde: model(x_tilde, sigma), x, sigma, noise=noise)  # Eq. 5
    return (sigma.square() * ell).mean()  # Eq. 6


@torch.no_grad()
def langevin(model: Model, x: Tensor, sigma: float, alpha: float, T: int = 100, *, noise: Noise = gaussian) -> Tensor:
    """T steps of Langevin dynamics at one level, one network evaluation each.  x: (B, ...).  Returns (B, ...)."""
    if not (alpha > 0 and T >= 1):
        raise ValueError(f"Langevin dynamics needs a step size alpha > 0 and T >= 1 steps, not {alpha} and {T}")
    level = torch.full((len(x),), sigma, dtype=x.dtype, device=x.device)
    for _ in range(T):
        x = x + alpha / 2 * model(x, level) + alpha**0.5 * noise(x)  # Eq. 4
    return x


def anneal(
    model: Model, sigmas: Tensor, x: Tensor, *, eps: float = 2e-5, T: int = 100, noise: Noise = gaussian
) -> Iterator[Tensor]:
    """Annealed Langevin dynamics (Algorithm 1), level by level: yields x at the end of each.  Arguments of `sample`."""
    if not (len(sigmas) and (sigmas > 0).all() and (sigmas.diff() < 0).all()):
        raise ValueError(f"noise levels must fall and stay above 0, not {sigmas.tolist()}")
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / sigmas[-1].item() ** 2  # keeps the size of score to noise, whatever the level
        x = langevin(model, x, sigma, alpha, T, noise=noise)
        yield x


def sample(
    model: Model, sigmas: Tensor, x: Tensor, *, eps: float = 2e-5, T: int = 100, noise: Noise = gaussian
) -> Tensor:
    """Annealed Langevin dynamics from any start, L T network evaluations.

    sigmas: (L,), falling.  x: (B, ...), in the paper uniform on the data's range.  eps: the step size at the last
    level; stable below 4 sigma_L^2.  T: steps per level.  Returns (B, ...), with the last level's noise still in it.
    """
    for state in anneal(model, sigmas, x, eps=eps, T=T, noise=noise):
        x = state
    return x


class ScoreNetwork(nn.Module):
    """s(x, sigma) for the levels it is made with.  x: (B, ...); sigma: (B,), the nearest level is meant.

    network(x, i) is told the level as a number i in 1..L.  In the paper conditional instance normalisation gives each
    layer scales and biases for each level (appendix A); here the network's embedding of i does that, and one scale for
    each level at its end, learned, from 1 / sigma, which is how large scores turn out to be (section 4.2).
    """

    log_sigmas: Tensor

    def __init__(self, network: nn.Module, sigmas: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("log_sigmas", sigmas.log().float())
        self.log_gain = nn.Parameter(-self.log_sigmas.clone())

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        i = (sigma.log()[:, None] - self.log_sigmas).abs().argmin(1)
        return self.log_gain[i].exp().view(-1, *[1] * (x.ndim - 1)) * self.network(x, i + 1)


def unit_images(name: str, device: str) -> Dataset:
    """A data set of images, moved from its own range to [0, 1], for which the paper's numbers are made."""
    from implementations.lab.data import load

    dataset = load(name)
    if len(dataset.shape) != 3:
        raise ValueError(f"data must be a set of images, not {name!r}, whose examples have shape {dataset.shape}")
    low, high = dataset.range
    x, x_test = ((v - low) / (high - low) for v in (dataset.x, dataset.x_test))
    return replace(dataset, x=x, x_test=x_test, range=(0.0, 1.0)).to(device)


def small_unet(dataset: Dataset) -> nn.Module:
    """The demos' network, `network(x, i)`."""
    return UNet(dataset.shape[0], width=16, head=16)


def fit(network: nn.Module, dataset: Dataset, sigmas: Tensor, *, anneal: bool, ema: float, **run) -> Trained:
    """Train a score network at these levels.  run: steps, device, seed, out, name, resume, progress of the training."""

    def per_entry(model: nn.Module, batch: tuple[Tensor, Tensor | None], noise: Noise) -> Tensor:
        return loss(model, sigmas, batch[0], noise=noise) / batch[0][0].numel()

    return train(network, per_entry, dataset, lr=2e-3, anneal=anneal, ema=ema, **run)


def demo(
    *,
    data: str = "digits",
    device: str = "cpu",
    seed: int = 0,
    steps: int = 300,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = False,
) -> Result:
    """Weigh two far modes with exact scores; then learn the scores of images, and sample.  data: images.

    Each time plain Langevin dynamics at the last level, from the same start and with as many evaluations, is the
    control.  The two modes are the paper's figure 3, settings and all.
    """
    from implementations.lab.pictures import beside, contact_sheet, scatter, strip

    started, noise = perf_counter(), Noise(seed)
    modes = torch.tensor([[-5.0, -5.0]] + 4 * [[5.0, 5.0]])  # one in five, and the last level blurs them by 1

    def exact(x: Tensor, sigma: Tensor) -> Tensor:
        return parzen_score(x, modes, sigma[0].item())

    square = 16 * noise.uniform(torch.empty(4000, 2)) - 8
    annealed = sample(exact, geometric_levels(20.0, 1.0, 10), square, eps=0.1, noise=noise)
    plain = langevin(exact, square, 1.0, 0.1, 1000, noise=noise)
    share = [(x.sum(1) < 0).double().mean().item() for x in (annealed, plain)]

    dataset, sigmas, T = unit_images(data, device), geometric_levels(), 20
    torch.manual_seed(seed)
    network = ScoreNetwork(small_unet(dataset), sigmas)
    fitted = fit(
        network, dataset, sigmas, anneal=True, ema=0.98, steps=steps, device=device, seed=seed,
        out=out, name="ncsn", resume=resume, progress=progress,
    )  # fmt: skip
    start = noise.uniform(dataset.x[:64])
    states = [start, *anneal(fitted.model, sigmas, start, T=T, noise=noise)]
    lost = langevin(fitted.model, start, sigmas[-1].item(), 2e-5, len(sigmas) * T, noise=noise)
    far = [excess_energy(x, dataset.x_test) for x in (states[-1], lost)]
    claims = [
        Claim(
            "weights", "share of samples in the mode of weight 1/5, off by (exact scores, as in figure 3)",
            abs(share[0] - 0.2), 0.06, "<=", abs(share[1] - 0.2), "plain Langevin dynamics, as many evaluations",
            "section 3.2.2 and figure 3",
        ),
        Claim(
            "law", "energy distance between samples and held-out images, over the distance between images",
            far[0], 0.06, "<=", far[1], "plain Langevin dynamics with the same network, start and evaluations",
            "section 4.3",
        ),
    ]  # fmt: skip
    clouds = {
        "two modes, 1 : 4": modes[torch.arange(4000) % 5] + noise(square),
        f"annealed, {share[0]:.0%} below": annealed,
        f"plain, {share[1]:.0%} below": plain,
    }
    planes = {title: scatter(x, limits=(-9, 9), size=200) for title, x in clouds.items()}
    shown = {
        "from noise to images, level by level": strip([x[:8] for x in states], range=(0, 1), width=320),
        "samples": contact_sheet(states[-1], columns=8, range=(0, 1), width=240),
        "plain Langevin": contact_sheet(lost, columns=8, range=(0, 1), width=240),
    }
    figures = [
        Figure(
            "ncsn",
            f"Rows of {data} that emerge from uniform noise over ten falling noise levels; sixty-four samples; and "
            "sixty-four of plain Langevin dynamics at the last level alone, which are still noise.",
            beside(shown),
        ),
        Figure(
            "ncsn-weights",
            f"Two clouds of points, weights 1 : 4. Annealed Langevin dynamics puts {share[0]:.0%} of its samples in "
            f"the light one, plain Langevin dynamics {share[1]:.0%}: it splits them evenly, as its start did.",
            beside(planes),
        ),
    ]
    return Result(
        "ncsn", data, seed, 2 * states[-1].cpu() - 1, 2 * dataset.x_test[:64].cpu() - 1, claims, figures,
        dict(fitted.model.state_dict()), network_evaluations=len(sigmas) * T,
        parameters=sum(p.numel() for p in fitted.model.parameters()), losses=fitted.losses,
        seconds=perf_counter() - started,
    )  # fmt: skip


if __name__ == "__main__":
    from implementations.lab.command import main

    raise SystemExit(main(demo))
