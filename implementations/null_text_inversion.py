"""Null-text inversion for editing real images using guided diffusion models.

Mokady, Hertz, Aberman, Pritch & Cohen-Or, CVPR 2023. arXiv:2211.09794.
DDIM leads an image to noise and back, but not back under guidance, which multiplies every error of the way.  So the
way there is made without guidance and kept, a pivot for each time; and on the way back, guided, the embedding of the
empty prompt is tuned at each step until the step lands on the pivot.  The network and the prompt stay as they are, so
that another prompt, beside the tuned embeddings, edits the image.

The paper's alpha_t is abar_t here.  t counts from 1 to T, and t = 0 is the image; `model(z_t, t, c)` predicts the noise
of images told c: (B, ...), an embedding for each, which is continuous.  The guidance scale w is 0 for the null
embedding alone and 1 for the prompt alone, as in `cfg`.  The paper's images are the codes of an autoencoder; here z is
whatever the network takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from implementations import cfg
from implementations.common.rows import for_all, per_row
from implementations.ddim import pairs
from implementations.ddpm import GaussianDiffusion, NoiseModel, predict_x_0

EmbeddedNoiseModel = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Of z_t: (B, ...), t: (B,) and an embedding for each row, (B, ...)."""


def step(process: GaussianDiffusion, z: Tensor, t: int, s: int, eps: Tensor) -> Tensor:
    """DDIM without fresh noise, from z at t to s, up or down.  z, eps: (B, ...); t, s: 0..T.  Returns (B, ...)."""
    abar_s = process.abar[s]
    return abar_s.sqrt() * predict_x_0(process, z, t, eps) + (1 - abar_s).sqrt() * eps  # section 3.1


@torch.no_grad()
def pivots(
    model: EmbeddedNoiseModel, process: GaussianDiffusion, z_0: Tensor, c: Tensor, tau: Tensor
) -> Tensor:  # section 3.2
    """The images' way to noise, told c and not guided: where each guided step is to land.

    z_0: (B, ...).  c: (B, ...), embeddings.  tau: (S,) in 1..T.  Returns (S + 1, B, ...): z_0, then z at each of tau.
    """
    _check_embeddings(z_0, c)
    way = [z_0]
    for s, t in pairs(process, tau):
        eps = model(way[-1], for_all(max(s, 1), z_0), c)  # no network is trained at t = 0; its nearest level is 1
        way.append(step(process, way[-1], s, t, eps))
    return torch.stack(way)


@torch.no_grad()
def optimise(
    model: EmbeddedNoiseModel,
    process: GaussianDiffusion,
    way: Tensor,
    c: Tensor,
    null: Tensor,
    tau: Tensor,
    *,
    w: float = 7.5,
    N: int = 10,
    lr: float = 0.01,
    tolerance: float = 1e-5,
) -> Tensor:  # section 3.3
    """The null embeddings, one for each step and image, that keep guided sampling on the way that the image came.

    way: (S + 1, B, ...), of `pivots`.  c: (B, ...), the embeddings it was made with.  null: (...) or (B, ...), where
    the first step starts from; each other starts from what the one before it found.  w: of guidance, at least 0; with
    1 the null embedding counts for nothing and stays.  N: steps of Adam at each time, at most; 0 tunes nothing.  lr and
    tolerance: of its first step from T; the i-th of S, from 0, takes lr (1 - i / 2 S), and stops an image when its mean
    squared error was below tolerance (1 + 100 i / S), as the authors' code does with S = 50.
    Per step at most N + 2 network evaluations, N of them with gradients.  Returns (S, B, ...), in the order of tau.
    """
    z, S = way[-1], len(tau)
    _check_embeddings(z, c)
    if len(way) != S + 1:
        raise ValueError(f"way must hold z_0 and a pivot for each of {S} times, not {len(way)} states")
    if not 0 <= w < torch.inf or N < 0 or lr <= 0 or tolerance < 0:
        raise ValueError(
            f"want w of at least 0, N of at least 0, lr above 0 and tolerance of at least 0, not {w}, {N}, {lr} and "
            f"{tolerance}"
        )
    null, found = _for_rows(null, c), []
    for i, (s, t) in enumerate(reversed(list(pairs(process, tau)))):
        land = _landing(model, process, z, c, t, s, w)
        null = _tuned(land, way[S - i - 1], null, N, lr * (1 - i / (2 * S)), tolerance * (1 + 100 * i / S))
        found.append(null)
        z = land(null)
    return torch.stack(found[::-1])


def _landing(
    model: EmbeddedNoiseModel, process: GaussianDiffusion, z: Tensor, c: Tensor, t: int, s: int, w: float
) -> Callable[[Tensor], Tensor]:
    """Where the guided step from z at t to s lands, by the null embeddings; what is told c is predicted once."""
    at_t = for_all(t, z)
    eps_c = model(z, at_t, c)
    return lambda null: step(process, z, t, s, w * eps_c + (1 - w) * model(z, at_t, null))  # section 3.1


def _tuned(
    land: Callable[[Tensor], Tensor], pivot: Tensor, null: Tensor, N: int, lr: float, tolerance: float
) -> Tensor:
    """Null embeddings of one step, each row by itself: what Adam makes of them until the row lands near its pivot."""
    tuned, kept = null.clone().requires_grad_(), null
    adam, going = torch.optim.Adam([tuned], lr), torch.ones(len(null), dtype=torch.bool, device=null.device)
    for _ in range(N):
        with torch.enable_grad():
            error = (land(tuned) - pivot).square().flatten(1).mean(1)  # section 3.3
            (tuned.grad,) = torch.autograd.grad(error.sum(), tuned)
        adam.step()
        kept = torch.where(per_row(going, null).bool(), tuned, kept)
        going = going & (error >= tolerance)
        if not going.any():
            break
    return kept


def guided(model: EmbeddedNoiseModel, c: Tensor, null: Tensor, w: float | Tensor) -> NoiseModel:
    """The noise told c, guided away from null.  c, null: (B, ...), embeddings; w: a number, or (B,)."""
    told = torch.stack([c, null])

    def either(z: Tensor, t: Tensor, y: Tensor) -> Tensor:  # y: 0 where the row is told c, 1 where null
        return model(z, t, told[y, torch.arange(len(z), device=y.device) % len(c)])

    return cfg.guided(either, torch.zeros(len(c), dtype=torch.long, device=c.device), w, null=1)  # section 3.1


@torch.no_grad()
def trajectory(
    model: EmbeddedNoiseModel,
    process: GaussianDiffusion,
    z_T: Tensor,
    c: Tensor,
    nulls: Tensor,
    tau: Tensor,
    *,
    w: float = 7.5,
) -> Iterator[Tensor]:
    """Guided sampling, step by step: yields z at tau[S - 2], ..., tau[0], and z_0.  Arguments of `sample`."""
    _check_embeddings(z_T, c)
    if len(nulls) != len(tau):
        raise ValueError(f"nulls must hold the embeddings of each of {len(tau)} steps, not of {len(nulls)}")
    z = z_T
    for null, (s, t) in reversed(list(zip(nulls, pairs(process, tau), strict=True))):
        z = step(process, z, t, s, guided(model, c, _for_rows(null, c), w)(z, for_all(t, z)))
        yield z


def sample(
    model: EmbeddedNoiseModel,
    process: GaussianDiffusion,
    z_T: Tensor,
    c: Tensor,
    nulls: Tensor,
    tau: Tensor,
    *,
    w: float = 7.5,
) -> Tensor:  # section 3.3
    """The image again, where c and w are those of `optimise`; edited, where c is another.

    z_T: (B, ...), the last of the pivots.  c: (B, ...).  nulls: (S, ...) or (S, B, ...), those of each of tau: (S,).
    Returns z_0: (B, ...).
    """
    z = z_T
    for state in trajectory(model, process, z_T, c, nulls, tau, w=w):
        z = state
    return z


def _check_embeddings(z: Tensor, c: Tensor) -> None:
    if len(c) != len(z) or not c.is_floating_point():
        raise ValueError(
            f"c must hold an embedding for each of {len(z)} images, real numbers, not {c.dtype} of {tuple(c.shape)}: a "
            "label cannot be tuned"
        )


def _for_rows(null: Tensor, c: Tensor) -> Tensor:
    """The null embedding of each row."""
    if null.shape not in (c.shape, c.shape[1:]):
        raise ValueError(
            f"null must have the shape {tuple(c.shape)} of c, or of one of its rows, not {tuple(null.shape)}"
        )
    return null.expand_as(c)
