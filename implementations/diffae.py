"""Diffusion autoencoders: toward a meaningful and decodable representation.

Preechakul, Chatthee, Wizadwongsa & Suwajanakorn, CVPR 2022. arXiv:2111.15640.
An encoder and a diffusion model that is told its code learn together, by the diffusion model's own loss: what the code
z_sem says of an image need not be guessed from noise, so it comes to say what is seen from afar.  The rest is x_T,
found by running DDIM backwards with z_sem in hand; from both the image comes back.  Attributes are directions of z_sem,
and a second, small diffusion model makes new codes.

t counts from 1 to T, and t = 0 is the data.  `encoder(x_0)` returns z_sem: (B, features); `model(x_t, t, z_sem)`
predicts the noise, and `given(model, z_sem)` is the same as a model of x_t and t, which every sampler takes.  Nothing
is clipped: the noise that a clipped x_0 implies would not lead back.

Long because three networks belong to the paper: encoder, decoder, and the prior of codes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from implementations import ddim, ddpm
from implementations.adm import AdaptiveBlock
from implementations.common.embedding import Condition
from implementations.common.noise import Noise, gaussian
from implementations.common.rows import per_row
from implementations.ddpm import GaussianDiffusion, NoiseModel
from implementations.unet import Attention, Block, UNet

Encoder = Callable[[Tensor], Tensor]
SemanticModel = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Of x_t: (B, ...), t: (B,) and a code z_sem: (B, features)."""


class SemanticBlock(AdaptiveBlock):
    """The residual block of ADM, whose second normalisation z_sem scales once more.

    AdaGN(h, t, z_sem) = z_s (t_s GroupNorm(h) + t_b), with t_s - 1 and t_b linear in the embedding of time and z_s - 1
    in z_sem.  c: (B, time + 2 code), what the U-Net makes of `_TimeAndCode`.
    """

    def __init__(self, before: int, after: int, time: int, groups: int, dropout: float, *, code: int) -> None:
        super().__init__(before, after, time, groups, dropout)
        self.semantic = nn.Linear(code, after)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        code = self.semantic.in_features
        told, above, below = c.split([self.condition.in_features, code, code], dim=1)
        t_s, t_b = self.condition(told)[:, :, None, None].chunk(2, dim=1)
        z_s = self.semantic(above - below)[:, :, None, None]  # silu(z) - silu(-z) = z
        h = self.norm_2(self.conv_1(F.silu(self.norm_1(x))))
        h = (1 + z_s) * ((1 + t_s) * h + t_b)  # section 3.1
        return self.shortcut(x) + self.conv_2(self.dropout(F.silu(h)))


class _TimeAndCode(Condition):
    """The embedding of time, and beside it z and -z: (B, width + 2 code).

    A U-Net hands silu of it to its blocks, and from silu(z) and silu(-z) they have z itself.
    """

    def __init__(self, width: int, code: int, frequencies: int) -> None:
        super().__init__(width, frequencies=frequencies)
        self.code = code

    def forward(self, t: Tensor, y: Tensor | None = None, s: Tensor | None = None) -> Tensor:
        if y is None or y.shape != (len(t), self.code):
            told = "none" if y is None else tuple(y.shape)
            raise ValueError(f"want a code for each row, ({len(t)}, {self.code}), not {told}")
        return torch.cat([super().forward(t), y, -y], dim=1)


class ConditionalUNet(UNet):
    """The decoder: `model(x_t, t, z_sem)`, a U-Net of semantic blocks.  Returns (B, channels, H, W), zero at first.

    x: (B, channels, H, W); t: (B,), in steps of about 1; z_sem: (B, code).  Sizes are those of the U-Net.
    """

    def __init__(
        self,
        channels: int,
        code: int,
        *,
        width: int = 32,
        multipliers: tuple[int, ...] = (1, 2, 2),
        blocks: int = 1,
        attention: tuple[int, ...] = (2,),
        head: int = 32,
        groups: int = 8,
        dropout: float = 0.0,
    ) -> None:
        self.block = partial(SemanticBlock, code=code)  # pyright: ignore[reportAttributeAccessIssue]
        sizes = {"width": width, "multipliers": multipliers, "blocks": blocks, "head": head, "groups": groups}
        super().__init__(channels, attention=attention, dropout=dropout, **sizes)
        self.condition = _TimeAndCode(4 * width, code, frequencies=width)

    def forward(self, x: Tensor, t: Tensor, z_sem: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().forward(x, t, z_sem)


class PlainBlock(Block):
    """The U-Net's residual block without a condition."""

    def __init__(self, before: int, after: int, groups: int) -> None:
        super().__init__(before, after, 1, groups, 0.0)
        del self.condition

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv_1(F.silu(self.norm_1(x)))
        return self.shortcut(x) + self.conv_2(F.silu(self.norm_2(h)))


class SemanticEncoder(nn.Module):
    """Enc(x_0), a code: the U-Net's contracting path, means over positions, and a linear layer.

    x_0: (B, channels, H, W).  side: means are taken in side x side parts of the image; 1, the mean over all of it, does
    where much of an image repeats, and forgets where the only object is.  Returns z_sem: (B, code), 512 numbers in the
    paper, which assumes no architecture for it.
    """

    def __init__(
        self,
        channels: int,
        code: int,
        *,
        width: int = 32,
        multipliers: tuple[int, ...] = (1, 2, 2),
        head: int = 32,
        groups: int = 8,
        side: int = 1,
    ) -> None:
        super().__init__()
        self.side = side
        widths = [width * m for m in multipliers]
        layers: list[nn.Module] = [
            nn.Conv2d(channels, widths[0], 3, padding=1),
            PlainBlock(widths[0], widths[0], groups),
        ]
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), PlainBlock(after, after, groups)]
        self.path = nn.Sequential(
            *layers, Attention(widths[-1], head, groups), PlainBlock(widths[-1], widths[-1], groups)
        )
        self.norm = nn.GroupNorm(groups, widths[-1])
        self.outlet = nn.Linear(widths[-1] * side**2, code)

    def forward(self, x_0: Tensor) -> Tensor:
        h = F.silu(self.norm(self.path(x_0)))
        return self.outlet(F.adaptive_avg_pool2d(h, self.side).flatten(1))  # section 3.2


def given(model: SemanticModel, z_sem: Tensor) -> NoiseModel:
    """The model of x_t and t once the codes of the rows are known.  z_sem: (B, features)."""
    return lambda x, t: model(x, t, z_sem)


def loss(
    encoder: Encoder, model: SemanticModel, process: GaussianDiffusion, x_0: Tensor, *, noise: Noise = gaussian
) -> Tensor:
    """L_simple of a model that is told the code of the very image it was made from.  x_0: (B, ...); clean, for both."""
    return ddpm.loss(given(model, encoder(x_0)), process, x_0, noise=noise)  # section 3.1


@torch.no_grad()
def encode(
    encoder: Encoder, model: SemanticModel, process: GaussianDiffusion, x_0: Tensor, tau: Tensor
) -> tuple[Tensor, Tensor]:
    """Both codes of an image: z_sem: (B, features), and x_T: (B, ...), what z_sem leaves open.

    x_0: (B, ...).  tau: (S,) in 1..T; S evaluations of the model and one of the encoder.
    """
    z_sem = encoder(x_0)
    return z_sem, ddim.encode(given(model, z_sem), process, x_0, tau)  # section 3.3


@torch.no_grad()
def decode(model: SemanticModel, process: GaussianDiffusion, z_sem: Tensor, x_T: Tensor, tau: Tensor) -> Tensor:
    """The image of two codes, by DDIM.  z_sem: (B, features).  x_T: (B, ...), encoded, or N(0, I) for variants that
    z_sem leaves open.  tau: (S,) in 1..T.  Returns x_0: (B, ...).
    """
    return ddim.sample(given(model, z_sem), process, x_T, tau)  # section 3.1


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of the codes of a training set, (features,) each."""

    mean: Tensor
    sd: Tensor

    @classmethod
    def of(cls, z: Tensor) -> Scale:
        """z: (N, features).  ValueError if a number of the code is the same for all."""
        if len(z) < 2 or (z.std(0) == 0).any():
            raise ValueError("codes need at least two rows, and no number that is the same in all")
        return cls(z.mean(0), z.std(0))

    def normalize(self, z: Tensor) -> Tensor:
        """z: (B, features).  Returns (B, features), of mean 0 and variance 1 over the training set."""
        return (z - self.mean) / self.sd

    def denormalize(self, z: Tensor) -> Tensor:
        """The code that is normalised to z: (B, features)."""
        return z * self.sd + self.mean


def classifier(z: Tensor, y: Tensor, scale: Scale, *, decay: float = 1e-3) -> tuple[Tensor, Tensor]:
    """Logistic regression of an attribute on normalised codes: w: (features,) and bias: (), float64.

    z: (N, features); y: (N,), bool or 0 and 1.  decay: of the penalty decay |w|^2 / 2, without which codes that a plane
    separates have no best w.
    """
    if y.shape != (len(z),) or not ((y == 0) | (y == 1)).all() or y.double().std() == 0:
        raise ValueError(f"y says of each of the {len(z)} codes whether it has the attribute, and some must differ")
    told, target = scale.normalize(z).detach().double(), y.double()
    w = told.new_zeros(told.shape[1] + 1, requires_grad=True)
    optimiser = torch.optim.LBFGS([w], max_iter=500, tolerance_change=1e-15, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        optimiser.zero_grad()
        value = F.binary_cross_entropy_with_logits(told @ w[:-1] + w[-1], target)
        value = value + decay / 2 * w[:-1].square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        optimiser.step(objective)  # pyright: ignore[reportArgumentType]
    return w[:-1].detach(), w[-1].detach()


def edit(z: Tensor, w: Tensor, s: float | Tensor, scale: Scale) -> Tensor:
    """The codes with more of an attribute, or, for negative s, less of it.

    z: (B, features); w: (features,), its direction among normalised codes, of any length.  s: a number or (B,); 0.3 in
    the authors' notebook.  A step of s is s in the root mean square of the normalised code.  Returns (B, features).
    """
    if w.shape != scale.mean.shape or not w.any():
        raise ValueError(f"w must be a direction of {tuple(scale.mean.shape)} numbers, not all 0, not {tuple(w.shape)}")
    unit = (w / w.norm()).to(z)
    return scale.denormalize(scale.normalize(z) + per_row(s, z) * len(w) ** 0.5 * unit)  # section 5.3


class LatentNetwork(nn.Module):
    """The noise of normalised codes: a perceptron that sees its input again at each layer but the first.

    z: (B, features); t: (B,), in steps of about 1, which scales the features of each layer.  Returns (B, features).
    """

    def __init__(self, features: int, *, width: int = 2048, depth: int = 10) -> None:
        super().__init__()
        if depth < 2:
            raise ValueError(f"depth counts layers, the last one included, at least 2, not {depth}")
        self.condition = Condition(width)
        inputs = [features] + [width + features] * (depth - 2)
        self.layers = nn.ModuleList(nn.Linear(before, width) for before in inputs)
        self.times = nn.ModuleList(nn.Linear(width, width) for _ in inputs)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in inputs)
        self.outlet = nn.Linear(width + features, features)

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        c, h = F.silu(self.condition(t)), z
        for layer, time, norm in zip(self.layers, self.times, self.norms, strict=True):
            h = torch.cat([F.silu(norm((1 + time(c)) * layer(h))), z], dim=1)
        return self.outlet(h)


@torch.no_grad()
def sample_code(prior: NoiseModel, process: GaussianDiffusion, scale: Scale, z_T: Tensor, tau: Tensor) -> Tensor:
    """New codes, by DDIM on normalised ones; with a new x_T `decode` makes images of them.

    prior: trained by `ddpm.loss` on `scale.normalize(encoder(x_0))`.  z_T: (B, features) ~ N(0, I); tau: (S,) in 1..T.
    Returns z_sem: (B, features).
    """
    return scale.denormalize(ddim.sample(prior, process, z_T, tau))  # section 4
