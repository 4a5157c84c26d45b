"""RePaint: inpainting using denoising diffusion probabilistic models.

Lugmayr, Danelljan, Romero, Yu, Timofte & Van Gool, CVPR 2022. arXiv:2201.09865 (equation numbers of v4).
A trained DDPM fills any hole without further training.  After each reverse step what is known of the image, noised to
the level that was reached, replaces what the model made of it.  That alone fills the hole with what fits the texture
but not the image, for the noise of the known part knows nothing of the rest.  So the chain goes back up some steps, by
the forward process, and down again, many times: each time the model makes one image of both parts.

t counts from 1 to T, and x_0 is the image, of which `known` says where it is given (1) and where it is to be painted
(0): the m of Eq. 8, while the paper's text has m the other way round.  The model is a law, (x_t, t) to mean and
variance of p(x_{t-1} | x_t): that of `ancestral`, or one whose variance is learned, as the paper has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

from implementations.common.noise import Noise, gaussian
from implementations.common.rows import for_all
from implementations.ddpm import GaussianDiffusion, NoiseModel, Variance, reverse

Law = Callable[[Tensor, int], tuple[Tensor, Tensor]]
"""Mean and variance of p(x_{t-1} | x_t), from x_t and t; the variance broadcasts to the mean."""


def ancestral(model: NoiseModel, process: GaussianDiffusion, variance: Variance = "small") -> Law:
    """The law of DDPM's reverse step.  variance: "small" is beta-tilde_t, "large" beta_t.

    Of data as wide as N(0, I) beta-tilde is too little, at the last steps by far, and many jumps gather what lacks.
    """

    def law(x_t: Tensor, t: int) -> tuple[Tensor, Tensor]:
        return reverse(process, x_t, t, model(x_t, for_all(t, x_t)), variance)  # Eq. 5

    return law


def schedule(T: int, j: int = 10, r: int = 10) -> Tensor:
    """The levels that are visited, from T to 0, each one step from the one before.

    j: length of a jump back up.  r: how often a stretch is walked down, hence one more than the jumps from its end; 1
    is the chain without jumps.  They start from levels 1, 1 + j, 1 + 2 j, ... up to T - j, which is the authors' list
    (section 5.1); Algorithm 1 is j = 1.  The list holds T + (r - 1) j ceil((T - j) / j) steps down, one network
    evaluation each: 2410 for T = 250 and j = r = 10.  Returns (steps + 1,), int64.
    """
    if T < 1 or j < 1 or r < 1:
        raise ValueError(f"T, j and r must be at least 1, not {T}, {j} and {r}")
    if r > 1 and j >= T:
        raise ValueError(f"no jump of {j} steps fits into a chain of {T}: take j below {T}, or r = 1 for no jumps")
    left = dict.fromkeys(range(1, T - j + 1, j), r - 1)
    levels = [T]
    while levels[-1] > 0:
        t = levels[-1] - 1
        levels.append(t)
        if left.get(t, 0) > 0:
            left[t] -= 1
            levels += range(t + 1, t + j + 1)
    return torch.tensor(levels)


def step(
    law: Law, process: GaussianDiffusion, x_t: Tensor, t: int, x_0: Tensor, known: Tensor, *, noise: Noise = gaussian
) -> Tensor:
    """From level t to t - 1: the model's step where x_0 is not known, and x_0 at the level reached where it is.

    x_t, x_0: (B, ...).  known: bool, broadcast to them.  Both parts take their noise from one draw, because an entry
    belongs to one of them only; the last step, t = 1, draws none.  Returns (B, ...).
    """
    mean, variance = law(x_t, t)
    z = noise(x_t) if t > 1 else torch.zeros_like(x_t)
    x_known = process.diffuse(x_0, t - 1, z)  # Eq. 8, whose first line has abar_t: the level that is left, not reached
    x_unknown = mean + variance.sqrt() * z  # Eq. 8
    return torch.where(known, x_known, x_unknown)  # Eq. 8


def undo(process: GaussianDiffusion, x: Tensor, t: int, *, noise: Noise = gaussian) -> Tensor:
    """One step back up, from level t - 1 to t, of the whole image (section 4.2).  x: (B, ...).  Returns (B, ...)."""
    return process.draw(process.kernel(x, t), noise)  # Eq. 1, with beta_t; Algorithm 1 as printed has beta_{t-1}


@torch.no_grad()
def trajectory(
    law: Law,
    process: GaussianDiffusion,
    x_T: Tensor,
    x_0: Tensor,
    known: Tensor,
    *,
    j: int = 10,
    r: int = 10,
    noise: Noise = gaussian,
) -> Iterator[Tensor]:  # Alg. 1
    """The sampler, level by level: yields x_t at each that the schedule visits after T.  Arguments of `sample`."""
    if x_0.shape != x_T.shape:
        raise ValueError(f"x_0 and x_T must have one shape, not {tuple(x_0.shape)} and {tuple(x_T.shape)}")
    mask, image, x = _mask(known, x_T), x_0.to(x_T), x_T
    for t, s in pairwise(schedule(process.T, j, r).tolist()):
        x = step(law, process, x, t, image, mask, noise=noise) if s < t else undo(process, x, s, noise=noise)
        yield x


def sample(
    law: Law,
    process: GaussianDiffusion,
    x_T: Tensor,
    x_0: Tensor,
    known: Tensor,
    *,
    j: int = 10,
    r: int = 10,
    noise: Noise = gaussian,
) -> Tensor:
    """The image with its hole filled.

    x_T: (B, ...) ~ N(0, I).  x_0: (B, ...), read where it is known only.  known: bool or 0 and 1, with as many axes as
    x_0, each as long or 1; not all of it may be known.  j, r: see `schedule`.  T of the process should be far below
    1000: the paper takes 250 of the steps that its network was trained at (`iddpm.strided` makes such a chain, and
    `iddpm.retimed` the model for it).  Returns x_0: (B, ...), where it is known bit by bit the one given.
    """
    x = x_T
    for state in trajectory(law, process, x_T, x_0, known, j=j, r=r, noise=noise):
        x = state
    return x


def _mask(known: Tensor, x: Tensor) -> Tensor:
    """The mask as bool, on the device of x; ValueError if it does not fit."""
    if known.ndim != x.ndim or any(n not in (1, m) for n, m in zip(known.shape, x.shape, strict=True)):
        raise ValueError(
            f"known must have the shape {tuple(x.shape)} of the images, or 1 on some axes, not {tuple(known.shape)}"
        )
    if not ((known == 0) | (known == 1)).all():
        raise ValueError("known must be 0 or 1 everywhere: a pixel is given or to be painted, with nothing between")
    if (known == 1).all():
        raise ValueError("known is 1 everywhere: nothing is left to paint (1 says that a pixel is given)")
    return (known == 1).to(x.device)
