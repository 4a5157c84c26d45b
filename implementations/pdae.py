"""Unsupervised representation learning from pre-trained diffusion probabilistic models (PDAE).

Zhang, Zhao & Lin, NeurIPS 2022. arXiv:2212.12990.
A diffusion model that exists stays as it is.  What it cannot know of an image that it sees through noise is a gap
between its mean of the reverse step and the true one; a class would fill a part of it by the gradient of a classifier.
So a gradient estimator G(x_t, z, t) and an encoder, whose code z takes the class's place, learn to fill the gap.

t counts from 1 to T, and t = 0 is the data.  `model(x_t, t)` predicts the noise and is frozen, `encoder(x_0)` returns
z: (B, features), and `estimator(x_t, t, z)` is G: (B, ...).  The shifted mean is that of the noise
eps_theta - sqrt(alpha_t) (1 - abar_{t-1}) / sqrt(1 - abar_t) G.  DDIM in the authors' code takes sqrt(1 - abar_t) G,
the score of the derivation, and so goes further than what was trained by (1 - abar_t) / (sqrt(alpha_t)
(1 - abar_{t-1})): by 2.2 at t = 2, by a hundredth at t = 200.  Here both take what was trained, and `by` says if not.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from implementations import ddim
from implementations.common.noise import Noise, gaussian
from implementations.common.rows import for_all
from implementations.ddpm import GaussianDiffusion, NoiseModel
from implementations.diffae import ConditionalUNet, Encoder, SemanticModel
from implementations.unet import UNet

By = Literal["mean", "score"]


class GradientEstimator(ConditionalUNet):
    """G: the contracting path of a frozen U-Net, and a middle and an expanding path of its own that z informs.

    frozen: the network whose noise is shifted; the sizes must be its own.  It never learns and stays in `eval`.
    x: (B, channels, H, W); t: (B,), in steps of about 1; z_sem: (B, code).  Returns (B, channels, H, W), zero at first.
    """

    def __init__(
        self,
        frozen: UNet,
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
        sizes = {"width": width, "multipliers": multipliers, "blocks": blocks, "head": head, "groups": groups}
        super().__init__(frozen.inlet.in_channels, code, attention=attention, dropout=dropout, **sizes)
        if (_contracting(self), self.blocks) != (_contracting(frozen), frozen.blocks):
            raise ValueError("the sizes of G must be those of the frozen network, whose contracting path it reads")
        del self.inlet, self.down, self.shrink
        self.frozen = frozen.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> GradientEstimator:
        super().train(mode)
        self.frozen.eval()
        return self

    def forward(self, x: Tensor, t: Tensor, z_sem: Tensor) -> Tensor:
        read, skips = self.frozen, []
        c, h = F.silu(read.condition(t)), read.inlet(x)
        for level, shrink in enumerate(read.shrink):
            for stage in read.down[level * self.blocks : (level + 1) * self.blocks]:
                h = stage(h, c)
                skips.append(h)
            h = shrink(h)
        # torch 2.13 on CPU: the gradient of GroupNorm ends the process if channels-last features need none themselves
        h = h.contiguous()
        c = F.silu(self.condition(t, z_sem))
        for stage in self.middle:
            h = stage(h, c)
        for level, grow in enumerate(self.grow):
            h = grow(h)
            for stage in self.up[level * self.blocks : (level + 1) * self.blocks]:
                h = stage(self.join(h, skips.pop()), c)
        return self.outlet(F.silu(self.norm(h)))


def _contracting(network: UNet) -> list[torch.Size]:
    return [p.shape for part in (network.inlet, network.shrink) for p in part.parameters()]


def coefficient(process: GaussianDiffusion, t: int | Tensor, x: Tensor, by: By = "mean") -> Tensor:
    """What G is multiplied by where it changes the predicted noise.  t: int or (B,) in 1..T; x: (B, ...), to broadcast.

    by: "mean", of a mean shifted by Sigma_t G with Sigma_t = beta-tilde_t, which training takes, and which is 0 at
    t = 1; "score", sqrt(1 - abar_t), of a score shifted by G.
    """
    if by not in ("mean", "score"):
        raise ValueError(f"by must be 'mean' or 'score', not {by!r}")
    sigma = (1 - process.abar).sqrt()
    if by == "score":
        return process.at(sigma, t, x)
    before = torch.cat([process.abar[:1], process.abar[:-1]])
    return process.at(process.alpha.sqrt() * (1 - before) / sigma.clamp_min(1e-12), t, x)  # section 3.2


def shifted(
    model: NoiseModel, estimator: SemanticModel, process: GaussianDiffusion, z: Tensor, *, by: By = "mean"
) -> NoiseModel:
    """The noise of the frozen model, shifted by what G makes of the code: a model that every sampler takes.

    z: (B, features).
    """

    def eps_hat(x: Tensor, t: Tensor) -> Tensor:
        return model(x, t) - coefficient(process, t, x, by) * estimator(x, t, z)  # section 3.2

    return eps_hat


def weight(process: GaussianDiffusion, t: int | Tensor, x: Tensor, *, gamma: float = 0.1) -> Tensor:
    """lambda_t = SNR^gamma / (1 + SNR), SNR = abar_t / (1 - abar_t): small at both ends.  t in 1..T; x: to broadcast.

    Near t = 0 there is no gap to fill, and near T the noise hides nearly all that a code could be used for.
    """
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma must lie in 0..1, not {gamma}")
    return process.at(process.abar**gamma * (1 - process.abar) ** (1 - gamma), t, x)  # section 3.3


def loss(
    encoder: Encoder,
    estimator: SemanticModel,
    model: NoiseModel,
    process: GaussianDiffusion,
    x_0: Tensor,
    *,
    gamma: float | None = 0.1,
    noise: Noise = gaussian,
) -> Tensor:
    """Weighted squared error of the shifted noise at a uniform t, averaged over entries.  x_0: (B, ...).

    gamma: of the weight; None is the weight 1, that of L_simple.  Freezing the model is the caller's.
    """
    t = noise.integers(1, process.T, x_0)
    eps = noise(x_0)
    error = eps - shifted(model, estimator, process, encoder(x_0))(process.diffuse(x_0, t, eps), t)
    scale = 1.0 if gamma is None else weight(process, t, x_0, gamma=gamma)
    return (scale * error.square()).mean()  # section 3.3


@torch.no_grad()
def gap(model: NoiseModel, process: GaussianDiffusion, x_0: Tensor, t: int, *, noise: Noise = gaussian) -> Tensor:
    """The posterior mean gap: squared distance of the mean of p(x_{t-1} | x_t) from that of q(x_{t-1} | x_t, x_0).

    x_0: (B, ...), t in 1..T.  Returns (B,), sums over entries, at one draw of x_t each.
    """
    eps = noise(x_0)
    x_t = process.diffuse(x_0, t, eps)
    share = process.beta[t] / ((1 - process.abar[t]) * process.alpha[t]).sqrt()
    return (share * (eps - model(x_t, for_all(t, x_0)))).square().flatten(1).sum(1)  # section 3.1


@torch.no_grad()
def encode(
    encoder: Encoder,
    estimator: SemanticModel,
    model: NoiseModel,
    process: GaussianDiffusion,
    x_0: Tensor,
    tau: Tensor,
) -> tuple[Tensor, Tensor]:
    """Both codes of an image, z: (B, features) and x_T: (B, ...).  x_0: (B, ...); tau: (S,) in 1..T."""
    z = encoder(x_0)
    return z, ddim.encode(shifted(model, estimator, process, z), process, x_0, tau)  # section 3.4


@torch.no_grad()
def decode(
    estimator: SemanticModel, model: NoiseModel, process: GaussianDiffusion, z: Tensor, x_T: Tensor, tau: Tensor
) -> Tensor:
    """The image of two codes.  z: (B, features); x_T: (B, ...), encoded or N(0, I); tau: (S,) in 1..T."""
    return ddim.sample(shifted(model, estimator, process, z), process, x_T, tau)  # section 3.4
