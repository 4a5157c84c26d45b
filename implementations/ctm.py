"""Consistency trajectory models (CTM).

Kim, Lai, Liao, Murata, Takida, Uesaka, He, Mitsufuji & Ermon, ICLR 2024. arXiv:2310.02279 (v3; by section, its
equations are not numbered here).
One network jumps from any point of a path of the probability-flow ODE to any later one, G(x, t, s) from noise level t
down to s: a consistency model is its case s = eps, and g, of which G is made, a denoiser at s = t.  It is trained to
agree with itself: a long jump with a shorter one that starts where a teacher's solver got to, both carried on to eps
and compared there (soft consistency), and, since no jump sees s = t, with denoising score matching at s = t.  Samples
are made by jumps with as much fresh noise in between as gamma says, from none, which keeps to one path, to all of it.

x_t = x_0 + t z with z ~ N(0, I): time is the noise level, as in EDM, and falls along a path; s is below t or equal.  A
model is called `model(x, t, s=s)` with t, s: (B,).  The paper's best figures need two further losses that are not here,
an adversarial one and LPIPS as the distance, for which trained networks would have to be fetched; here the distance is
the squared one.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import sqrt
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call

from implementations.common.noise import Noise, gaussian
from implementations.common.rows import for_all, per_row
from implementations.edm import Denoiser, DenoisingModel, Solver, step

Form = Literal["paper", "code"]


class JumpModel(Protocol):
    """Where the ODE takes x: (B, ...) from level t to s, (B,) each."""

    def __call__(self, x: Tensor, t: Tensor, s: Tensor) -> Tensor: ...


class Jumps(nn.Module):
    """G(x, t, s) = (s / t) x + (1 - s / t) g(x, t, s), which is x at s = t whatever the network in g returns.

    It has the form of one Euler step with g for the denoiser, and g is one, by EDM's scalings, around a network that is
    told both levels: network(c_in x, c_noise(t), None, c_noise(s)), the third argument being that of a class.
    x: (B, ...); t, s: (B,), 0 < s <= t.
    """

    def __init__(self, network: nn.Module, sigma_data: float = 0.5) -> None:
        super().__init__()
        self.inner = Denoiser(network, sigma_data)

    def g(self, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """The denoiser with which one Euler step from t reaches s; at s = t the denoiser itself, at s -> 0 the end."""
        if not ((s > 0) & (s <= t)).all():
            raise ValueError(f"jumps go down: want levels 0 < s <= t, not s = {s} and t = {t}")
        return self.inner(x, t.to(x), None, self.inner.scalings(s.to(x))[3])

    def denoise(self, x: Tensor, t: Tensor) -> Tensor:
        """g at s = t: a denoiser like any other, hence a score."""
        return self.g(x, t, t)

    def forward(self, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        share = per_row(s, x) / per_row(t, x)
        return share * x + (1 - share) * self.g(x, t, s)  # section 3.1


# ---- training --------------------------------------------------------------------------------------------------------


def draw_levels(
    table: Tensor, x_0: Tensor, *, most: int | None = None, noise: Noise = gaussian
) -> tuple[Tensor, Tensor, Tensor]:
    """t > u >= s for every row of x_0, (B,) int64 each: indices into `table`, the levels from eps up to T.

    From t to u the teacher takes t - u steps, n of at most `most` with a probability that grows as n; t is then uniform
    among the levels from which n steps can be taken, and s among u and those below.  most: all of the table if None.
    """
    top = len(table) - 1
    if not (table.ndim == 1 and top > 0 and table[0] > 0 and (table.diff() > 0).all()):
        raise ValueError(f"levels must be two or more above 0 that rise, not {table}")
    most = top if most is None else most
    if not 1 <= most <= top:
        raise ValueError(f"most must lie in 1..{top} (the table has {top} steps), not {most}")
    ends = torch.arange(1, most + 1, device=x_0.device).cumsum(0)  # of the stretch that n steps have of the last one
    share = noise.uniform(x_0.new_empty(len(x_0), dtype=torch.float64)) * ends[-1]
    steps = 1 + (share[:, None] >= ends).sum(1)
    t = steps + _below(top + 1 - steps, noise)
    u = t - steps
    return t, u, _below(u + 1, noise)


def _below(count: Tensor, noise: Noise) -> Tensor:
    """An integer for each row, uniform on 0..count - 1."""
    return (noise.uniform(count.double()) * count).long()


@torch.no_grad()
def solve(
    teacher: DenoisingModel, x: Tensor, table: Tensor, t: Tensor, u: Tensor, *, solver: Solver = "heun"
) -> Tensor:
    """Along the teacher's ODE, from level table[t] down to table[u], one step for each level between.

    x: (B, ...); t, u: (B,) int64, each row at its own.  Returns (B, ...).
    """
    if not ((u >= 0) & (u <= t)).all():
        raise ValueError(f"the teacher goes down: want indices 0 <= u <= t, not u = {u} and t = {t}")
    x, levels = x.clone(), table.to(x)
    for k in range(int((t - u).max())):
        rows = (t - u > k).nonzero().flatten()
        here = t[rows] - k
        x[rows] = step(teacher, x[rows], levels[here], levels[here - 1], solver=solver)
    return x


def consistency_loss(
    model: Jumps,
    target: Jumps,
    teacher: DenoisingModel,
    x_0: Tensor,
    table: Tensor,
    t: Tensor,
    u: Tensor,
    s: Tensor,
    *,
    solver: Solver = "heun",
    noise: Noise = gaussian,
) -> Tensor:
    """Soft consistency: the jump from t to s against the teacher's way from t to u and the jump from there to s.

    Both are carried on from s to eps by `target`, a running average of `model` or the model itself, and compared there
    by the squared difference, averaged over entries and rows.  Gradients reach the first jump only: through the input
    of the last one, not through its weights.
    x_0: (B, ...); table, t, u, s: see `draw_levels`.  The jump from u to s is that of `model`, as in the authors' code.
    """
    levels = table.to(x_0)
    at_t, at_u, at_s, eps = levels[t], levels[u], levels[s], levels[:1].expand(len(x_0))
    still = {name: tensor.detach() for name, tensor in [*target.named_parameters(), *target.named_buffers()]}
    x_t = x_0 + per_row(at_t, x_0) * noise(x_0)
    estimate = functional_call(target, still, (model(x_t, at_t, at_s), at_s, eps))  # section 3.2
    with torch.no_grad():
        x_u = solve(teacher, x_t, table, t, u, solver=solver)
        goal = functional_call(target, still, (model(x_u, at_u, at_s), at_s, eps))  # section 3.2
    return (estimate - goal).square().mean()  # section 3.2


def denoising_loss(
    model: Jumps,
    x_0: Tensor,
    *,
    uniform: float = 0.5,
    P_mean: float = -1.2,
    P_std: float = 1.2,
    sigma_min: float = 0.002,
    sigma_max: float = 80.0,
    rho: float = 7.0,
    reach: float = 0.7,
    noise: Noise = gaussian,
) -> Tensor:
    """Denoising score matching of g at s = t, weighted as EDM's loss is.  x_0: (B, ...).

    Levels are EDM's log-normal ones, but for a share `uniform` of the rows: those are even in t^(1/rho), over the part
    `reach` of the way from sigma_max down to sigma_min, since jumps start from high levels.
    """
    if not (0 <= uniform <= 1 and 0 <= reach <= 1 and 0 < sigma_min < sigma_max):
        raise ValueError(
            f"want uniform and reach in 0..1 and 0 < sigma_min < sigma_max, "
            f"not {uniform}, {reach}, {sigma_min} and {sigma_max}"
        )
    row = x_0.new_empty(len(x_0))
    high, low = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    spread = (high + reach * noise.uniform(row) * (low - high)) ** rho
    t = torch.where(noise.uniform(row) < uniform, spread, (P_mean + P_std * noise(row)).exp())
    weight = 1 / model.inner.scalings(t)[1] ** 2
    x_t = x_0 + per_row(t, x_0) * noise(x_0)
    return (per_row(weight, x_0) * (model.denoise(x_t, t) - x_0).square()).mean()  # section 3.3


def balance(consistency: Tensor, denoising: Tensor, last: Tensor, *, most: float = 1e4) -> Tensor:
    """lambda of the denoising loss: how much longer the other loss's gradient in the last layer is; at most `most`.

    last: the weight of the network's last layer.  Returns (), a number without a gradient.
    """

    def length(loss: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(loss, last, retain_graph=True)
        return gradient.norm()

    return (length(consistency) / (length(denoising) + 1e-4)).clamp(max=most)  # section 3.3


# ---- sampling --------------------------------------------------------------------------------------------------------


@torch.no_grad()
def trajectory(
    model: JumpModel, x: Tensor, sigmas: Tensor, *, gamma: float = 0.0, form: Form = "paper", noise: Noise = gaussian
) -> Iterator[Tensor]:  # Alg. 3
    """gamma-sampling, jump by jump: yields x at each further level.  x: (B, ...), at sigmas[0]; see `sample`."""
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma must lie in 0..1 (0 keeps to one path, 1 renews all noise), not {gamma}")
    if form not in ("paper", "code"):
        raise ValueError(f"form must be 'paper' or 'code', not {form!r}")
    if not (sigmas.ndim == 1 and len(sigmas) > 1 and (sigmas.diff() < 0).all() and sigmas[-1] >= 0):
        raise ValueError(f"sigmas must be two or more levels that fall and end at 0 or above, not {sigmas}")
    eps = sigmas[-1].item()
    for t, s in pairwise(sigmas.tolist()):
        kept = sqrt(1 - gamma**2)
        low = max(kept * s, eps) if form == "paper" else eps + kept * (s - eps)
        x = model(x, for_all(t, x), s=for_all(low, x))
        if low < s:
            x = x + sqrt(s**2 - low**2) * noise(x)
        yield x


def sample(
    model: JumpModel, z: Tensor, sigmas: Tensor, *, gamma: float = 0.0, form: Form = "paper", noise: Noise = gaussian
) -> Tensor:
    """From noise to data by gamma-sampling: one evaluation for each jump.

    z: (B, ...) ~ N(0, I), scaled here.  sigmas: (n + 1,), falling from T to eps, the lowest level that the model knows.
    gamma: each jump goes below the next level s, to sqrt(1 - gamma^2) s, and noise of gamma s brings it back; no jump
    goes below eps, so that none is added at the end.  0 draws nothing, and 1 is the sampler of consistency models.
    form: "code" is how the authors' code has it, eps + sqrt(1 - gamma^2) (s - eps).  Returns (B, ...).
    """
    x = sigmas[0].to(z) * z
    for state in trajectory(model, x, sigmas, gamma=gamma, form=form, noise=noise):
        x = state
    return x
