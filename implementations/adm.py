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

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from implementations.common.embedding import Condition
from implementations.common.noise import Noise, gaussian
from implementations.common.rows import for_all
from implementations.ddpm import GaussianDiffusion, NoiseModel
from implementations.unet import Attention, Block, UNet

Law = Callable[[Tensor, int], tuple[Tensor, Tensor]]
LogProbability = Callable[[Tensor, Tensor], Tensor]
Point = Literal["x_t", "mean"]


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
        g = gradient(log_p, where, for_all(level, x))
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


def guided_model(
    model: NoiseModel, process: GaussianDiffusion, log_p: LogProbability, *, scale: float = 1.0
) -> NoiseModel:
    """The noise behind the score of p(x_t) p(y | x_t)^scale; ddim.sample with it is Algorithm 2.

    One evaluation of the model and one of the classifier's gradient at each call.
    """

    def eps_hat(x: Tensor, t: Tensor) -> Tensor:
        root = process.at((1 - process.abar).sqrt(), t, x)
        return model(x, t) - scale * root * gradient(log_p, x, t)  # Eq. 14

    return eps_hat
