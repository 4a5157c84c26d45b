"""A connection between score matching and denoising autoencoders.

Vincent, Neural Computation 23(7):1661-1674, 2011; technical report 1358, 2010 (places are named by its sections).
Blur the data with Gaussian noise.  Matching the score of the blurred density is, but for a constant, regression on the
score of the noise alone, (x - x~) / sigma^2: the way back to the clean point.  No second derivative is left, and a
denoising autoencoder with tied weights turns out to have been doing this all along.

A score is a function from x~: (B, ...) to (B, ...); bind a noise level, if the network has one, in a closure.
sigma is a number or one number per row, (B,), above 0.  Objectives are sums over the entries of a row.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from implementations.common.noise import Noise, gaussian
from implementations.lab.results import Claim, Figure, Result
from implementations.score_matching import Score, explicit_objective


def per_row(sigma: float | Tensor, x: Tensor) -> Tensor:
    """sigma, (B,) or one number, in x's dtype and made to broadcast over x: (B, ...).  ValueError if not above 0."""
    sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
    if not (sigma > 0).all():
        raise ValueError(f"sigma must be above 0 (the noise has a density), not {sigma.min().item():g}")
    return sigma.view(-1, *[1] * (x.ndim - 1))


def corrupt(x: Tensor, sigma: float | Tensor, *, noise: Noise = gaussian) -> Tensor:
    """x~ = x + sigma eps, a draw of q_sigma(x~ | x).  x: (B, ...)."""
    return x + per_row(sigma, x) * noise(x)


def target(x: Tensor, x_tilde: Tensor, sigma: float | Tensor) -> Tensor:
    """Gradient of log q_sigma(x~ | x) with respect to x~: it points from x~ back to x.  x, x_tilde: (B, ...)."""
    return (x - x_tilde) / per_row(sigma, x).square()  # section 4.2


def objective(score: Score, x: Tensor, sigma: float | Tensor, *, noise: Noise = gaussian) -> Tensor:
    """Half the squared error of psi(x~) as a guess of the target.  x: (B, ...).  Returns (B,)."""
    x_tilde = corrupt(x, sigma, noise=noise)
    return explicit_objective(score, lambda x_tilde: target(x, x_tilde, sigma), x_tilde)  # section 4.2, J_DSM


def loss(score: Score, x: Tensor, sigma: float | Tensor, *, noise: Noise = gaussian) -> Tensor:
    """The objective's average over a batch, with one draw of the noise for each row."""
    return objective(score, x, sigma, noise=noise).mean()


def parzen_score(x_tilde: Tensor, data: Tensor, sigma: float | Tensor) -> Tensor:
    """The score that minimises the loss over a finite data set: that of its Parzen density (section 4.1).

    x_tilde: (B, ...); data: (N, ...).  The density is the mean of N(x~; x_i, sigma^2 I), and its score the target
    averaged over the posterior of i.  Returns (B, ...).
    """
    squared = torch.cdist(x_tilde.flatten(1), data.flatten(1)).square()
    posterior = (-squared / (2 * per_row(sigma, squared).square())).softmax(1)
    return target((posterior @ data.flatten(1)).view_as(x_tilde), x_tilde, sigma)


def denoise(score: Score, x_tilde: Tensor, sigma: float | Tensor) -> Tensor:
    """The clean point that a score points to, x~ + sigma^2 psi(x~).  x_tilde: (B, ...)."""
    return x_tilde + per_row(sigma, x_tilde).square() * score(x_tilde)


class DenoisingAutoencoder(nn.Module):
    """W^T sigmoid(W x + b) + c, whose encoder and decoder share W, as an energy model (section 4.3).

    Trained by `loss` at `sigma`, or to reconstruct x from x~ by squared error: the two are the same objective, for
    J_DSM = J_DAE / (2 sigma^4).
    """

    def __init__(self, features: int, hidden: int, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma
        self.weight = nn.Parameter(0.1 * torch.randn(hidden, features))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        self.visible_bias = nn.Parameter(torch.zeros(features))

    def reconstruct(self, x_tilde: Tensor) -> Tensor:
        """The autoencoder.  x_tilde: (B, features).  Returns (B, features)."""
        code = torch.sigmoid(F.linear(x_tilde, self.weight, self.hidden_bias))
        return F.linear(code, self.weight.mT, self.visible_bias)

    def log_density(self, x: Tensor) -> Tensor:
        """Minus the energy, whose gradient is the score.  x: (B, features).  Returns (B,)."""
        softplus = F.softplus(F.linear(x, self.weight, self.hidden_bias)).sum(1)
        return (x @ self.visible_bias - 0.5 * x.square().sum(1) + softplus) / self.sigma**2  # section 4.3

    def forward(self, x_tilde: Tensor) -> Tensor:
        """The score, (reconstruction - x~) / sigma^2: (B, features)."""
        return target(self.reconstruct(x_tilde), x_tilde, self.sigma)


def _identity(noise: Noise, direction: Callable[[Tensor, Tensor, float], Tensor]) -> float:
    """How much the denoising objective less the explicit one depends on the score, over the explicit one's spread.

    On a mixture in one dimension, for random networks; x and eps run over grids, so fine that both integrals are exact
    to rounding.  direction: the target, or what takes its place.
    """
    from implementations.verification.oracles import line

    data, sigma = line(), 0.3
    grid = torch.linspace(-8, 8, 801, dtype=torch.float64)
    spacing = grid[1] - grid[0]
    eps = torch.linspace(-8, 8, 65, dtype=torch.float64)
    weight = torch.exp(-0.5 * eps.square()) * (eps[1] - eps[0]) / (2 * torch.pi) ** 0.5
    x, eps = grid.repeat_interleave(len(eps))[:, None], eps.repeat(len(grid))[:, None]
    x_tilde = x + sigma * eps
    joint = data.log_prob(x).exp() * spacing * weight.repeat(len(grid))
    blurred = data.log_prob(grid[:, None], sigma=sigma).exp() * spacing
    denoising, explicit = [], []
    for _ in range(6):
        w, b, v = noise(grid[:16]), noise(grid[:16]), noise(grid[:16])

        def score(x: Tensor, w: Tensor = w, b: Tensor = b, v: Tensor = v) -> Tensor:
            return (torch.tanh(x * w + b) @ v)[:, None]

        denoising.append(joint @ explicit_objective(score, lambda y: direction(x, y, sigma), x_tilde))
        explicit.append(blurred @ explicit_objective(score, lambda y: data.score(y, sigma=sigma), grid[:, None]))
    gap = torch.stack(denoising) - torch.stack(explicit)
    return (gap.std() / torch.stack(explicit).std()).item()


def _asymmetry(score: Score, x: Tensor) -> float:
    """How far the score is from a gradient: the antisymmetric part of its Jacobian, relative to the whole."""
    jacobian = torch.func.vmap(torch.func.jacrev(lambda row: score(row[None])[0]))(x)
    return ((jacobian - jacobian.mT).norm() / (2 * jacobian.norm())).item()


def demo(
    *,
    data: str = "digits",
    device: str = "cpu",
    seed: int = 0,
    steps: int = 1000,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = False,
) -> Result:
    """Train a denoising autoencoder on images, and a score network on an exact mixture in the plane, by one loss.

    data: images.  The objective's identity is shown without sampling error.
    """
    from dataclasses import replace

    from implementations.common.mlp import MLP
    from implementations.lab.data import load, mixture_parameters
    from implementations.lab.pictures import beside, contact_sheet
    from implementations.lab.training import train
    from implementations.verification.oracles import GaussianMixture

    started, noise = perf_counter(), Noise(seed)
    torch.manual_seed(seed)
    images = load(data)
    if len(images.shape) != 3:
        raise ValueError(f"data must be a set of images, not {data!r}, whose examples have shape {images.shape}")
    flat = replace(images, x=images.x.flatten(1), x_test=images.x_test.flatten(1))

    blur = 0.75
    autoencoder = train(
        DenoisingAutoencoder(flat.x.shape[1], 256, blur),
        lambda model, batch, noise: loss(model, batch[0], blur, noise=noise),
        flat, steps=steps, batch_size=128, lr=3e-3, anneal=True, device=device, seed=seed,
        out=out, name="autoencoder", resume=resume, progress=progress,
    )  # fmt: skip
    points, sigma = load("mixture"), 0.5
    plane = train(
        MLP(2),
        lambda model, batch, noise: loss(_timeless(model), batch[0], sigma, noise=noise),
        points, steps=steps, batch_size=256, lr=3e-3, anneal=True, device=device, seed=seed,
        out=out, name="plane", resume=resume, progress=progress,
    )  # fmt: skip

    weights, means, std = mixture_parameters()
    exact = GaussianMixture(weights, means, [std**2] * len(weights))
    x_tilde = exact.sample(4000, sigma=sigma, noise=noise).float()
    learned, blurred = _timeless(plane.model.cpu())(x_tilde), exact.score(x_tilde, sigma=sigma)
    clean = exact.score(x_tilde)
    model = autoencoder.model.cpu()
    weight, bias = (model.get_parameter(name).double() for name in ("weight", "hidden_bias"))
    other = noise(weight) / weight.shape[1] ** 0.5

    def autoencoder_of(decoder: Tensor) -> Score:
        return lambda x: F.linear(torch.sigmoid(F.linear(x, weight, bias)), decoder.mT) - x

    rows = flat.x_test[:64].double()
    claims = [
        Claim(
            "constant", "denoising less explicit objective is the same for any score (spread over six networks)",
            _identity(noise, target), 1e-9, "<=", _identity(noise, lambda x, y, sigma: (x - y) / sigma),
            "the target divided by sigma, not by its square", "section 4.2",
        ),
        Claim(
            "blurred", "what is learned is the score of the blurred density (relative squared error, mixture)",
            ((learned - blurred).square().sum() / blurred.square().sum()).item(), 0.1, "<=",
            ((learned - clean).square().sum() / clean.square().sum()).item(), "the score of the data themselves",
            "section 4.1",
        ),
        Claim(
            "energy", "a trained autoencoder with tied weights is a gradient (antisymmetric part of its Jacobian)",
            _asymmetry(autoencoder_of(weight), rows), 1e-9, "<=", _asymmetry(autoencoder_of(other), rows),
            "a decoder of its own", "section 4.3",
        ),
    ]  # fmt: skip
    shown = flat.x_test[:64]
    noisy = corrupt(shown, blur, noise=noise)
    samples = denoise(model, noisy, blur).detach()
    parzen = denoise(lambda x: parzen_score(x, flat.x, blur), noisy, blur)
    sheets = {"images": shown, f"blurred, sigma = {blur}": noisy, "denoised": samples, "by the Parzen density": parzen}
    panels = {
        title: contact_sheet(x.view(-1, *images.shape), columns=8, range=images.range, width=300)
        for title, x in sheets.items()
    }
    alt = "Four sheets of 64 tiles: images; the same under heavy noise; what the autoencoder makes of these, in which "
    alt += "the images are recognised again; and what the score of the training images' Parzen density makes of them, "
    alt += "sharper, for it blends images that it has seen."
    return Result(
        "dsm", images.name, seed, samples.view(-1, *images.shape), images.x_test[:64], claims,
        [Figure("dsm", alt, beside(panels))], dict(model.state_dict()), network_evaluations=1,
        parameters=sum(p.numel() for p in model.parameters()), losses=autoencoder.losses,
        seconds=perf_counter() - started,
    )  # fmt: skip


def _timeless(model: Callable[[Tensor, Tensor], Tensor]) -> Score:
    """A score of one noise level from a network that wants a time."""
    return lambda x: model(x, x.new_zeros(len(x)))


if __name__ == "__main__":
    from implementations.lab.command import main

    raise SystemExit(main(demo))
