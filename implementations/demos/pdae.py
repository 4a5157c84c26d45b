"""Gives the network of the small world a code, by a gradient that fills the gap of its posterior mean."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from implementations import ddim
from implementations.common.noise import Noise
from implementations.common.rows import for_all, per_row
from implementations.ddpm import NoiseModel, predict_x_0
from implementations.demos.recipes import unet_sizes
from implementations.demos.shapes.network import PROCESS, pretrained
from implementations.demos.shapes.world import world
from implementations.diffae import SemanticEncoder
from implementations.lab import pictures
from implementations.lab.demo import Claim, Demo, Figure, Run, once
from implementations.lab.networks import train_or_load
from implementations.lab.training import Batch, Trained
from implementations.pdae import By, GradientEstimator, decode, encode, gap, loss, shifted
from implementations.unet import UNet
from implementations.verification import factors

CODE = 8
TAU = ddim.timesteps(PROCESS.T, 20)
COUNT = 200


class Coded(nn.Module):
    """An encoder, and the estimator of what its code adds to a frozen network."""

    def __init__(self, frozen: UNet, channels: int, sizes: dict) -> None:
        super().__init__()
        self.encoder = SemanticEncoder(channels, CODE, width=sizes["width"], multipliers=sizes["multipliers"], side=4)
        self.estimator = GradientEstimator(frozen, CODE, **sizes)

    def forward(self, x: Tensor, t: Tensor, z: Tensor) -> Tensor:
        return self.estimator(x, t, z)


@once
def network(run: Run, gamma: float | None = 0.1, base: int = 0) -> Trained[Coded]:
    """gamma: of the weight; None is the weight 1.  base: the seed of the frozen network."""
    images, frozen = world(run), pretrained(run, base).model
    torch.manual_seed(run.seed)
    assert isinstance(frozen.network, UNet)
    model = Coded(frozen.network, images.shape[0], unet_sizes(images))

    def of_batch(model: Coded, batch: Batch, noise: Noise) -> Tensor:
        return loss(model.encoder, model.estimator, frozen, PROCESS, batch[0], gamma=gamma, noise=noise)

    name = f"shapes-pdae-{base}-{'weight-1' if gamma is None else gamma}"
    return train_or_load(
        network, run, model, of_batch, images, name=name, batch_size=64, lr=8e-3, anneal=True, ema=0.99
    )


@once
def errors(run: Run, gamma: float | None = 0.1, base: int = 0) -> dict[int, tuple[float, float, float]]:
    """Gaps of held-out images at some levels: of the frozen network, with the image's code, and with another's."""
    it, frozen, x = network(run, gamma, base).model, pretrained(run, base).model, world(run).x_test[:1000]
    z = it.encoder(x).detach()
    own, others = (shifted(frozen, it.estimator, PROCESS, code) for code in (z, z.roll(1, 0)))

    def measured(t: int) -> tuple[float, float, float]:
        a, b, c = (gap(model, PROCESS, x, t, noise=Noise(t)).mean().item() for model in (frozen, own, others))
        return a, b, c

    return {t: measured(t) for t in (50, 100, 200, 300, 400, 500, 600, 700, 800, 900)}


LEVELS = (300, 400, 500)


def left(found: dict[int, tuple[float, float, float]], place: int) -> float:
    """The share of the gap that is left, on the mean over the levels."""
    return sum(found[t][place] / found[t][0] for t in LEVELS) / len(LEVELS)


def filled(run: Run, base: int = 0) -> Claim:
    found = errors(run, base=base)
    return Claim(
        statement="share of the posterior mean gap that is left with the image's code, mean over t = 300, 400, 500",
        value=left(found, 1),
        bound=0.8,
        relation="<=",
        control=left(found, 2),
        control_is="the code of another image",
        of="section 3.2: the shift fills the gap",
    )


# ---- exactly: one number x_0 ~ N(0, 1), of which the code is z = x_0 + N(0, 1/4) -------------------------------------


def off(run: Run, by: By) -> float:
    """How far decoding by the G that training ends with is from DDIM with the exact noise given the code, at most."""
    abar, before = PROCESS.abar, torch.cat([PROCESS.abar[:1], PROCESS.abar[:-1]])
    x_T = Noise(run.seed)(torch.empty(100, 1, dtype=torch.float64))
    z = Noise(run.seed + 1)(x_T) * 1.25**0.5

    def frozen(x: Tensor, t: Tensor) -> Tensor:
        return per_row((1 - abar[t]).sqrt(), x) * x

    def told(x: Tensor, t: Tensor) -> Tensor:
        a = per_row(abar[t], x)
        x_0 = (a.sqrt() * x / (1 - a) + 4 * z) / (1 + a / (1 - a) + 4)
        return (x - a.sqrt() * x_0) / (1 - a).sqrt()

    def G(x: Tensor, t: Tensor, z: Tensor) -> Tensor:
        gradient = (frozen(x, t) - told(x, t)) / per_row((1 - abar[t]).sqrt(), x)
        return gradient * per_row((1 - abar[t]) / (PROCESS.alpha[t].sqrt() * (1 - before[t])), x)

    tau = ddim.timesteps(PROCESS.T, 50, "quadratic")[1:]
    wanted = ddim.sample(told, PROCESS, x_T, tau)
    return (ddim.sample(shifted(frozen, G, PROCESS, z, by=by), PROCESS, x_T, tau) - wanted).abs().max().item()


def one_coefficient(run: Run) -> Claim:
    return Claim(
        statement="largest error of samples by the gradient that training ends with, given exact codes of N(0, 1)",
        value=off(run, "mean"),
        bound=1e-6,
        relation="<=",
        control=off(run, "score"),
        control_is="sampling by the score's coefficient, as the authors' code does",
        of="section 3.2: one shift in training and in sampling",
    )


# ---- images ----------------------------------------------------------------------------------------------------------


@once
def originals(run: Run) -> Tensor:
    """Images that no network was trained on."""
    return world(run).x_test[:COUNT]


@once
def variants(run: Run, swapped: bool = False) -> Tensor:
    """Images of the codes of the originals, or of others, and one random x_T each."""
    it, x = network(run).model, originals(run)
    z = it.encoder(x).detach()
    z = z.roll(1, 0) if swapped else z
    return decode(it.estimator, pretrained(run).model, PROCESS, z, Noise(run.seed)(x), TAU)


def kept(run: Run, images: Tensor) -> float:
    """The share of images whose ground and hue are those of the originals."""
    found, wanted = (factors.classes(factors.read(x)) for x in (images, originals(run)))
    both = [found[name] == wanted[name] for name in ("ground", "hue")]
    return torch.stack(both).all(0).double().mean().item()


def decoded(run: Run) -> Claim:
    return Claim(
        statement=f"share of {COUNT} images of a code and a random x_T with the original's ground and hue",
        value=kept(run, variants(run)),
        bound=0.8,
        relation=">=",
        control=kept(run, variants(run, swapped=True)),
        control_is="the code of another image",
        of="section 3.4: autoencoding by a frozen model",
    )


def gaps(run: Run) -> Figure:
    found, plain = errors(run), errors(run, gamma=None)
    levels = list(found)
    lines = {
        "with the code": [found[t][1] / found[t][0] for t in levels],
        "another's code": [found[t][2] / found[t][0] for t in levels],
        "weight 1": [plain[t][1] / plain[t][0] for t in levels],
    }
    return Figure(
        alt="Share of the posterior mean gap that is left at each t: with the image's own code, with another image's, "
        "and with the code of networks that learned by the weight 1.",
        image=pictures.curves({k: (levels, v) for k, v in lines.items()}, across="t", up="share of the gap left"),
    )


def sheets(run: Run) -> Figure:
    it, frozen, x = network(run).model, pretrained(run).model, originals(run)[:8]
    z, x_T = encode(it.encoder, it.estimator, frozen, PROCESS, x, TAU)
    told, noise = shifted(frozen, it.estimator, PROCESS, z), Noise(run.seed + 1)

    def one_step(model: NoiseModel, t: int) -> Tensor:
        x_t = PROCESS.diffuse(x, t, Noise(run.seed)(x))
        return predict_x_0(PROCESS, x_t, t, model(x_t, for_all(t, x)))

    times = (300, 500, 700)
    again = [decode(it.estimator, frozen, PROCESS, z, noise(x), TAU) for _ in range(3)]
    return Figure(
        alt="Eight held-out images; guesses of them in one step from t = 300, 500 and 700, by the frozen network and "
        "with the code; from both codes; and from the code with three random x_T.",
        image=pictures.beside(
            {
                "original": pictures.strip([x], width=37),
                "x_0 from t = 300, 500, 700": pictures.strip([one_step(frozen, t) for t in times], width=111),
                "the same with the code": pictures.strip([one_step(told, t) for t in times], width=111),
                "both codes": pictures.strip([decode(it.estimator, frozen, PROCESS, z, x_T, TAU)], width=37),
                "random x_T": pictures.strip(again, width=111),
            }
        ),
    )


DEMO = Demo(
    claims=(filled, one_coefficient, decoded),
    figures=(sheets, gaps),
    network=network,
    steps=450,
    data=("shapes",),
    network_evaluations=20,
)
