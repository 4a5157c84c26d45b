"""Diffusion models already have a semantic latent space (Asyrp, h-space).

Kwon, Jeong & Uh, ICLR 2023. arXiv:2210.10960 (section numbers of v2).
A frozen U-Net can be made to edit: its narrowest features, h-space, are shifted by what a small network f learns for
one attribute.  Shifting the noise of a whole DDIM step nearly cancels, as the predicted x_0 and the direction back to
x_t move against each other; so the shifted noise goes into the predicted x_0 alone, an asymmetric step.  Early steps
edit, those in between are DDIM's, and the last ones add noise, which repairs detail.

The paper's alpha_t is abar_t here.  t counts from 1 to T, and t = 0 is the data.  A sampler takes two models of the
noise: `model(x_t, t)` as it was trained, and `shifted(x_t, t)`, the same with its features changed, made by
`Waist(network.middle).changed(model, shift(f, trained, steps))`.  Nothing is clipped: the noise that a clipped x_0
implies would hold the shift too, and undo the edit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from implementations.common.embedding import Condition
from implementations.common.noise import Noise, gaussian
from implementations.common.rows import for_all, per_row
from implementations.common.waist import Change
from implementations.ddim import pairs
from implementations.ddpm import GaussianDiffusion, NoiseModel, predict_x_0


class Direction(nn.Module):
    """f(h, t), the shift of h-space that adds an attribute: two 1 x 1 convolutions, and time between them.

    h: (B, channels, H, W), the features; t: (B,), in steps of about 1.  Returns (B, channels, H, W).
    A new one is small but not zero: the loss has no gradient where nothing changes.
    """

    def __init__(self, channels: int, *, groups: int = 8) -> None:
        super().__init__()
        self.inlet, self.outlet = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, channels, 1)
        self.condition = Condition(4 * channels, frequencies=channels)
        self.time = nn.Linear(4 * channels, channels)
        self.norm = nn.GroupNorm(groups, channels)

    def forward(self, h: Tensor, t: Tensor) -> Tensor:
        c = self.time(F.silu(self.condition(t)))[:, :, None, None]
        return self.outlet(F.silu(self.norm(self.inlet(h) + c)))  # section 3.4


def shift(f: Change, trained: int, steps: int, *, scale: float | Tensor = 1.0) -> Change:
    """The change of h to h + scale f(h, t) trained / steps.

    An asymmetric edit adds up over the steps: what was learned on `trained` steps is divided among `steps` of sampling.
    scale: how strong the edit is, a number or (B,); negative takes the attribute away.
    """
    if trained < 1 or steps < 1:
        raise ValueError(f"trained and steps count steps of sampling, at least 1, not {trained} and {steps}")

    def change(h: Tensor, t: Tensor) -> Tensor:
        return h + per_row(scale, h) * (trained / steps) * f(h, t)  # section 3.4

    return change


def step(
    process: GaussianDiffusion,
    x_t: Tensor,
    t: int | Tensor,
    s: int | Tensor,
    eps: Tensor,
    shifted: Tensor,
    *,
    sigma: float | Tensor = 0.0,
) -> Tensor:
    """From x_t to x_s: P_t, the predicted x_0, of the shifted noise, and D_t, the way back to noise, of the plain one.

    x_t, eps, shifted: (B, ...); t, s: int or (B,) in 0..T, in any order.  sigma: of the noise that the caller adds, a
    number or (B,).  The same noise twice is DDIM's step.  Returns (B, ...).
    """
    P = predict_x_0(process, x_t, t, shifted)
    rest = process.at(1 - process.abar, s, x_t) - per_row(sigma, x_t) ** 2
    if (rest < 0).any():
        raise ValueError(f"x_s holds less noise at s = {s} than sigma = {sigma}, which is to be added")
    return process.at(process.abar.sqrt(), s, x_t) * P + rest.sqrt() * eps  # section 3.2


@torch.no_grad()
def sample(
    model: NoiseModel,
    shifted: NoiseModel,
    process: GaussianDiffusion,
    x_T: Tensor,
    tau: Tensor,
    *,
    t_edit: int,
    t_boost: int = 0,
    noise: Noise = gaussian,
) -> Tensor:  # section 4.3
    """The edited image: asymmetric steps while t >= t_edit, then DDIM's, and DDPM's where t < t_boost.

    x_T: (B, ...), the state at tau[-1], of an image by `ddim.encode`.  tau: (S,) in 1..T.  t_edit: 0..T + 1, which
    edits nothing.  t_boost: 0..t_edit, where 0 boosts nothing and draws nothing.  Two network evaluations a step while
    editing, then one.  Returns x_0: (B, ...).
    """
    _ordered(process, t_edit, t_boost)
    x = x_T
    for s, t in reversed(list(pairs(process, tau))):
        at_t = for_all(t, x)
        eps = model(x, at_t)
        changed = shifted(x, at_t) if t >= t_edit else eps
        abar_s, abar_t, boosted = process.abar[s], process.abar[t], t < t_boost
        sigma = ((1 - abar_s) / (1 - abar_t) * (1 - abar_t / abar_s)).sqrt() if boosted else 0.0  # section 4.2
        x = step(process, x, t, s, eps, changed, sigma=sigma)
        if boosted and s > 0:
            x = x + per_row(sigma, x) * noise(x)  # section 4.2
    return x


def predictions(
    model: NoiseModel,
    shifted: NoiseModel,
    process: GaussianDiffusion,
    x_T: Tensor,
    tau: Tensor,
    *,
    t_edit: int,
) -> Iterator[tuple[int, Tensor, Tensor]]:  # section 3.4
    """What f is trained on: from T down to t_edit, yields t, P_t of the edited image and P_t of the source.

    x_T: (B, ...), the state at tau[-1], where both start; tau: (S,) in 1..T; t_edit: 0..T + 1.  The edited image walks
    by asymmetric steps, the source by DDIM's.  P_t: (B, ...); gradients reach `shifted` through the edited one alone,
    and no step before it, so an optimiser may step for each.
    """
    _ordered(process, t_edit)
    x = source = x_T.detach()
    for s, t in reversed(list(pairs(process, tau))):
        if t < t_edit:
            return
        at_t = for_all(t, x)
        with torch.no_grad():
            eps, eps_source = model(x, at_t), model(source, at_t)
        changed = shifted(x, at_t)
        yield t, predict_x_0(process, x, t, changed), predict_x_0(process, source, t, eps_source)
        x = step(process, x, t, s, eps, changed.detach())
        source = step(process, source, t, s, eps_source, eps_source)


def loss(
    encoder: Callable[[Tensor], Tensor],
    edited: Tensor,
    source: Tensor,
    direction: Tensor,
    *,
    lambda_clip: float = 1.0,
    lambda_recon: float = 1.0,
) -> Tensor:
    """How far the change of the image's code is from the direction, and how much the image changes.

    encoder: of images (B, ...), a code (B, features): CLIP's in the paper.  edited, source: (B, ...), the two P_t.
    direction: (features,) or (B, features), the wanted change of the code: in the paper that of a text's.  Returns ().
    """
    change = encoder(edited) - encoder(source)
    angle = 1 - F.cosine_similarity(change, direction.expand_as(change), dim=1)  # section 2.3
    return lambda_clip * angle.mean() + lambda_recon * (edited - source).abs().mean()  # section 3.2


@torch.no_grad()
def distances(
    model: NoiseModel,
    process: GaussianDiffusion,
    x_0: Tensor,
    tau: Tensor,
    distance: Callable[[Tensor, Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """How far P_t, and how far x_t itself, is from the image at each time of its way to noise, that of `ddim.encode`.

    x_0: (B, ...); tau: (S,) in 1..T.  distance: of two batches of images, for each row, LPIPS in the paper.  Returns
    two of (S,), float64, means over the batch.  S + 1 network evaluations.
    """
    x, eps = x_0, model(x_0, for_all(1, x_0))
    rows = []
    for s, t in pairs(process, tau):
        x = step(process, x, s, t, eps, eps)
        eps = model(x, for_all(t, x))
        rows.append([distance(x_0, seen).mean() for seen in (predict_x_0(process, x, t, eps), x)])
    predicted, noised = torch.tensor(rows, dtype=torch.float64).unbind(1)
    return predicted, noised


def editing_strength(distances: Tensor) -> Tensor:
    """What editing from T to t can change: how much nearer P_t is to the image than P_T.  distances: (S,), of P_t."""
    return distances[-1] - distances  # section 4.1


def first_above(tau: Tensor, distances: Tensor, threshold: float) -> int:
    """The first time of tau, from the image on, whose distance reaches the threshold.  tau, distances: (S,).

    t_edit, of the distances of P_t: 0.33 times the cosine similarity of what the image is called and what it is to be,
    so that a larger change edits longer.  t_boost, of those of x_t: 1.2.  Both thresholds are of LPIPS.
    """
    reached = tau[distances >= threshold]  # section 4.1
    if len(reached) == 0:
        raise ValueError(f"no distance reaches the threshold {threshold}; the largest is {distances.max():.3g}")
    return int(reached.min())


def _ordered(process: GaussianDiffusion, t_edit: int, t_boost: int = 0) -> None:
    if not 0 <= t_boost <= t_edit <= process.T + 1:
        raise ValueError(
            f"want 0 <= t_boost <= t_edit <= {process.T + 1} (T + 1 edits nothing), not t_boost {t_boost} and t_edit "
            f"{t_edit}: editing ends before noise is added"
        )
