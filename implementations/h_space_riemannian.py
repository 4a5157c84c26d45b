"""Understanding the latent space of diffusion models through the lens of Riemannian geometry.

Park, Kwon, Choi, Jo & Uh, NeurIPS 2023. arXiv:2307.12868.
Which small moves of x_t change what the network makes of the image?  The map f from x_t to its narrowest features h
pulls the Euclidean metric of h back to x: the squared length of a move v is that of J v, J the Jacobian of f at x_t.
The longest moves of unit size are right singular vectors of J; power iteration finds the first few without forming J.
Moving x_t along one of them, at one time, edits the image, with no training and no labels.

f is any map of rows to rows; for h-space it is `lambda x: waist.features(model, x, for_all(t, x))`, with
`waist = Waist(network.middle)`.  It is called with more rows than x has, so nothing in it may belong to single rows.
t counts from 1 to T, and t = 0 is the data; `model(x_t, t)` predicts the noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import vjp
from torch.nn.attention import SDPBackend, sdpa_kernel

from implementations import h_space_asyrp
from implementations.common.noise import Noise, gaussian
from implementations.common.rows import for_all, per_row
from implementations.ddim import pairs
from implementations.ddpm import GaussianDiffusion, NoiseModel

Features = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Basis:
    """The first n singular triplets of J for each row: J v_i = s_i u_i, s descending.

    u: (B, n, ...), orthonormal in h: the tangent space.  s: (B, n).  v: (B, n, ...), orthonormal in x.
    """

    u: Tensor
    s: Tensor
    v: Tensor


def push(f: Features, x: Tensor, v: Tensor) -> Tensor:
    """J v, the move of h for each of n moves of x.  x: (B, ...); v: (B, n, ...).  Returns (B, n, ...).

    J' g is linear in g, so its own derivative, taken back along v, is J v: no layer need know a forward derivative.
    """
    if (len(v), *v.shape[2:]) != x.shape:
        raise ValueError(f"moves of x {tuple(x.shape)} are (B, n, ...), not {tuple(v.shape)}: of another layer?")
    with sdpa_kernel(SDPBackend.MATH):  # the fast kernels of attention can be derived once, not twice
        h, back = vjp(f, x.repeat_interleave(v.shape[1], 0))  # pyright: ignore[reportAssignmentType]
        _, forth = vjp(back, h)  # pyright: ignore[reportAssignmentType]
        (u,) = forth((v.flatten(0, 1),))  # section 3.1
    return u.unflatten(0, v.shape[:2])


def pull(f: Features, x: Tensor, u: Tensor) -> Tensor:
    """J' u, for n moves of h of each row.  x: (B, ...); u: (B, n, ...).  Returns (B, n, ...)."""
    h, back = vjp(f, x.repeat_interleave(u.shape[1], 0))  # pyright: ignore[reportAssignmentType]
    if (len(x), *h.shape[1:]) != (len(u), *u.shape[2:]):
        raise ValueError(f"moves of h are (B, n, *{tuple(h.shape[1:])}), not {tuple(u.shape)}: of another layer?")
    (w,) = back(u.flatten(0, 1))
    return w.unflatten(0, u.shape[:2])


def length(f: Features, x: Tensor, v: Tensor) -> Tensor:
    """The size of moves of x in the metric that is pulled back.  x: (B, ...); v: (B, n, ...).  Returns (B, n)."""
    return push(f, x, v).flatten(2).norm(dim=2)  # section 3.1


@torch.no_grad()
def local_basis(
    f: Features, x: Tensor, n: int, *, iterations: int = 50, tolerance: float = 1e-4, noise: Noise = gaussian
) -> Basis:  # section 3.2
    """The n moves of x that change h most, and their moves of h, by power iteration of all n at once.

    x: (B, ...).  A row is done when none of its v turned by more than `tolerance`, whatever their signs, or after
    `iterations`: values of one size never settle on their v.  Where J has fewer than n values, s and u end in zeros.
    """
    entries = x[0].numel()
    if not 1 <= n <= entries:
        raise ValueError(f"a basis has 1 to {entries} moves, as many as x has entries, not {n}")
    if iterations < 1:
        raise ValueError(f"iterations must be at least 1, not {iterations}")
    draws = noise(x.new_empty(len(x), n, *x.shape[1:]))
    v = torch.linalg.qr(draws.flatten(2).mT).Q.mT.reshape(draws.shape)
    turning = torch.arange(len(x), device=x.device)
    for _ in range(iterations):
        here, before = x[turning], v[turning]
        w = pull(f, here, push(f, here, before))
        after = torch.linalg.svd(w.flatten(2), full_matrices=False).Vh.reshape(before.shape)
        v[turning] = after
        sign = (after * before).flatten(2).sum(2).sign()
        turned = (after - _per_move(sign, after) * before).flatten(2).norm(dim=2).amax(1)
        turning = turning[turned > tolerance]
        if len(turning) == 0:
            break
    u = push(f, x, v)
    s = u.flatten(2).norm(dim=2)
    return Basis(u / _per_move(s.clamp_min(torch.finfo(s.dtype).tiny), u), s, v)


def transport(u: Tensor, there: Basis) -> Tensor:
    """The unit move of x at another place whose move of h is nearest to u, that of a basis here.

    u: (B, ...), a move of h; there: the basis of the other place, of which u is taken apart into the tangent vectors.
    The paper's parallel transport: coefficients stay what they are.  Returns (B, ...), 0 where u meets none of them.
    """
    if u.shape != there.u.shape[:1] + there.u.shape[2:]:
        raise ValueError(f"tangent vectors {tuple(there.u.shape)} hold no {tuple(u.shape)}: is u of another layer?")
    shares = (there.u * u[:, None]).flatten(2).sum(2)
    v = (_per_move(shares, there.v) * there.v).sum(1)  # section 3.3
    return v / per_row(v.flatten(1).norm(dim=1).clamp_min(torch.finfo(v.dtype).tiny), v)


def distance(here: Tensor, there: Tensor) -> Tensor:
    """The geodesic distance of two tangent spaces: the root of the sum of their squared principal angles.

    here, there: (B, n, ...), the u of two bases.  Returns (B,): 0 for one space, at most pi sqrt(n) / 2.
    """
    cosines = torch.linalg.svdvals(here.flatten(2) @ there.flatten(2).mT)
    return cosines.clamp(max=1).acos().norm(dim=1)  # section 4.2


@torch.no_grad()
def guide(
    model: NoiseModel,
    x_t: Tensor,
    t: int | Tensor,
    v: Tensor,
    *,
    step: float | Tensor = 1.0,
    gamma: float = 0.1,
    times: int = 16,
) -> Tensor:
    """x_t moved along v by x-space guidance, `times` over: by what the predicted noise makes of the move.

    x_t, v: (B, ...), v of unit length; t: int or (B,).  step: how far each move reaches, a number or (B,); gamma: how
    much of the noise's change is taken.  The plain move is x_t + step v.  Returns (B, ...).
    """
    if v.shape != x_t.shape:
        raise ValueError(f"v moves x_t {tuple(x_t.shape)}, so it has its shape, not {tuple(v.shape)}")
    x, told = x_t, for_all(t, x_t)
    for _ in range(times):
        x = x + gamma * (model(x + per_row(step, x) * v, told) - model(x, told))  # section 3.3
    return x


@torch.no_grad()
def edit(
    model: NoiseModel,
    process: GaussianDiffusion,
    x_T: Tensor,
    tau: Tensor,
    change: Callable[[Tensor], Tensor],
    *,
    t_edit: int,
    t_boost: int = 0,
    noise: Noise = gaussian,
) -> Tensor:  # section 3.3
    """The image whose x_t is changed at one time, t_edit: DDIM down to it, `change`, and DDIM to the end.

    x_T: (B, ...), the state at tau[-1], of an image by `ddim.encode`.  tau: (S,) in 1..T; t_edit: one of them.
    change: of x_t: (B, ...), the plain move or `guide`.  t_boost: below it steps are DDPM's, as in Asyrp.
    Returns x_0: (B, ...).
    """
    if t_edit not in tau.tolist():
        raise ValueError(f"t_edit must be one of the timesteps {tau.tolist()}, not {t_edit}")
    x = x_T
    for s, t in reversed(list(pairs(process, tau))):
        if t == t_edit:
            break
        eps = model(x, for_all(t, x))
        x = h_space_asyrp.step(process, x, t, s, eps, eps)
    rest, plain = tau[tau <= t_edit], process.T + 1
    return h_space_asyrp.sample(model, model, process, change(x), rest, t_edit=plain, t_boost=t_boost, noise=noise)


def _per_move(value: Tensor, moves: Tensor) -> Tensor:
    """A number for each move, (B, n), shaped to broadcast over moves: (B, n, ...)."""
    return value.view(*value.shape, *[1] * (moves.ndim - 2))
