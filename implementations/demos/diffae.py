"""Swaps the two codes of images of the small world, edits one of them, and draws new ones.

A code of eight numbers and 500 steps of training: z_sem comes to hold the ground, the hue and the place of the object;
the checkerboard of the border, the finest of the factors, is left to x_T, and shape and size are not said well by
either.  A probe reads much of the colours from an encoder that never learned, too, so the claims are mostly about what
images turn into.  The paper's smooth walks from image to image are shown, and not claimed: colours pale on the way.
"""

from __future__ import annotations

import torch
from torch import Tensor

from implementations import ddim, ddpm
from implementations.common.noise import Noise
from implementations.demos.shapes.diffae import Autoencoder, autoencoder, fresh
from implementations.demos.shapes.network import PROCESS, pretrained
from implementations.demos.shapes.world import world
from implementations.diffae import LatentNetwork, Scale, classifier, decode, edit, encode, sample_code
from implementations.lab import pictures
from implementations.lab.data.dataset import Dataset
from implementations.lab.demo import Claim, Demo, Figure, Run, once
from implementations.lab.training import Batch, Trained, train
from implementations.verification import factors
from implementations.verification.twosample import energy_distance

TAU = ddim.timesteps(PROCESS.T, 20)
COUNT = 200
FACTORS = ("ground", "hue", "x", "y", "size", "stretch", "mark")


def network(run: Run) -> Trained[Autoencoder]:
    return autoencoder(run, run.seed)


@once
def originals(run: Run) -> Tensor:
    """Images that no network was trained on."""
    return world(run).x_test[:COUNT]


def others(run: Run) -> Tensor:
    """For each of them another one."""
    return originals(run).roll(1, 0)


@once
def codes(run: Run) -> tuple[Tensor, Tensor]:
    """Their z_sem and x_T."""
    it = network(run).model
    return encode(it.encoder, it.decoder, PROCESS, originals(run), TAU)


@once
def decoded(run: Run, kept: str) -> Tensor:
    """kept: "both" codes of the original, or one of them, "z_sem" or "x_T", with the other code of another image; or
    "variant": z_sem, and a random x_T.
    """
    z_sem, x_T = codes(run)
    if kept == "variant":
        x_T = Noise(run.seed)(x_T)
    elif kept != "both":
        z_sem, x_T = (z_sem, x_T.roll(1, 0)) if kept == "z_sem" else (z_sem.roll(1, 0), x_T)
    return decode(network(run).model.decoder, PROCESS, z_sem, x_T, TAU)


def alike(images: Tensor, like: Tensor, names: tuple[str, ...]) -> float:
    """The share of images whose classes of these names are those of the others."""
    found, wanted = (factors.classes(factors.read(x)) for x in (images, like))
    return torch.stack([found[name] == wanted[name] for name in names]).all(0).double().mean().item()


def swapped(run: Run) -> Claim:
    names = ("ground", "hue")
    return Claim(
        statement=f"share of {COUNT} images that take the ground and the hue of the image whose z_sem they are given",
        value=alike(decoded(run, "x_T"), others(run), names),
        bound=0.9,
        relation=">=",
        control=alike(decoded(run, "z_sem"), others(run), names),
        control_is="the same images given the x_T of the other image instead",
        of="section 5.1: z_sem holds what is seen from afar",
    )


def misplaced(images: Tensor, like: Tensor) -> float:
    """How far objects lie from those of the others, in pixels, root mean square over both axes."""
    a, b = factors.read(images), factors.read(like)
    return torch.cat([a.x - b.x, a.y - b.y]).square().mean().sqrt().item()


def moved(run: Run) -> Claim:
    return Claim(
        statement="how far objects lie from where the image has them whose z_sem is given, in pixels, along each axis",
        value=misplaced(decoded(run, "x_T"), others(run)),
        bound=0.45,
        relation="<=",
        control=misplaced(decoded(run, "z_sem"), others(run)),
        control_is="the x_T of the other image given instead, and its places asked for",
        of="section 5.1",
    )


def rest(run: Run) -> Claim:
    return Claim(
        statement="share of images that keep the sign of the border's checkerboard when given another z_sem",
        value=alike(decoded(run, "x_T"), originals(run), ("mark",)),
        bound=0.7,
        relation=">=",
        control=alike(decoded(run, "z_sem"), originals(run), ("mark",)),
        control_is="z_sem kept, and x_T of another image",
        of="section 5.1: x_T holds the details",
    )


def error(images: Tensor, like: Tensor) -> float:
    return ((images - like) / 2).square().mean().item()  # of images in [0, 1], as the paper has it


def reconstruction(run: Run) -> Claim:
    return Claim(
        statement="mean squared error per pixel of images encoded and decoded in 20 steps each, images in [0, 1]",
        value=error(decoded(run, "both"), originals(run)),
        bound=0.004,
        relation="<=",
        control=error(decoded(run, "variant"), originals(run)),
        control_is="z_sem with a random x_T",
        of="section 5.4: both codes together bring the image back",
    )


@once
def known(run: Run, count: int = 4000) -> tuple[Tensor, Scale]:
    """Codes of images of the training set, and their mean and spread."""
    z = network(run).model.encoder(world(run).x[:count]).detach()
    return z, Scale.of(z)


@once
def brighter(run: Run) -> Tensor:
    """The direction from dark grounds to bright ones."""
    z, scale = known(run)
    y = factors.classes(factors.read(world(run).x[: len(z)]))["ground"]
    return classifier(z, y, scale)[0]


@once
def edited(run: Run, s: float, random: bool = False) -> Tensor:
    """The images with their z_sem moved towards bright grounds, or in a random direction perpendicular to that."""
    z_sem, x_T = codes(run)
    w = brighter(run)
    if random:
        w, aside = Noise(run.seed)(w), w / w.norm()
        w = w - (w @ aside) * aside
    return decode(network(run).model.decoder, PROCESS, edit(z_sem, w, s, known(run)[1]), x_T, TAU)


def turned(run: Run, images: Tensor) -> float:
    """The share of images with dark grounds that have a bright one now."""
    before, after = (factors.classes(factors.read(x))["ground"] for x in (originals(run), images))
    return after[before == 0].double().mean().item()


STRENGTH = 1.0


def edits(run: Run) -> Claim:
    return Claim(
        statement=f"share of images with dark grounds made bright by a step of {STRENGTH} along one direction of z_sem",
        value=turned(run, edited(run, STRENGTH)),
        bound=0.8,
        relation=">=",
        control=turned(run, edited(run, STRENGTH, random=True)),
        control_is="a random direction perpendicular to it, of the same length",
        of="section 5.3: attributes are directions of z_sem",
    )


@once
def read_off(run: Run, trained: bool = True) -> dict[str, float]:
    """R^2 of each factor, read linearly from z_sem by least squares, on images that the fit has not seen."""
    images = world(run)
    encoder = network(run).model.encoder if trained else untrained(run).encoder
    seen, new = (torch.cat([z, torch.ones_like(z[:, :1])], 1) for z in map(encoder, (images.x[:3000], images.x_test)))
    shown, asked = factors.read(images.x[:3000]), factors.read(images.x_test)

    def columns(of: factors.Factors, name: str) -> Tensor:
        if name == "hue":  # a place on a circle
            return torch.stack([(2 * torch.pi * of.hue).cos(), (2 * torch.pi * of.hue).sin()], 1)
        return getattr(of, name)[:, None]

    found = {}
    for name in FACTORS:
        y, truth = columns(shown, name), columns(asked, name)
        missed = truth - new @ torch.linalg.lstsq(seen.detach(), y).solution
        found[name] = 1 - (missed.square().sum() / (truth - truth.mean(0)).square().sum()).item()
    return found


def untrained(run: Run) -> Autoencoder:
    """The same network as it was drawn."""
    torch.manual_seed(run.seed)
    return fresh(world(run)).to(run.device).eval()


def probed(run: Run) -> Claim:
    def worst(read: dict[str, float]) -> float:
        return min(read["ground"], read["hue"])

    return Claim(
        statement="R^2 of ground and hue read linearly from z_sem, the lesser of the two",
        value=worst(read_off(run)),
        bound=0.93,
        relation=">=",
        control=worst(read_off(run, trained=False)),
        control_is="an encoder as it was before training",
        of="section 5.3: attributes are linear in z_sem",
    )


LATENT_STEPS = 1000


@once
def prior(run: Run) -> Trained[LatentNetwork]:
    """A diffusion model of normalised codes."""
    z, scale = known(run)
    told = scale.normalize(z)
    torch.manual_seed(run.seed)

    def of_batch(model: LatentNetwork, batch: Batch, noise: Noise) -> Tensor:
        return ddpm.loss(model, PROCESS, batch[0], noise=noise)

    data = Dataset("codes", told, None, told[:1], None, None, (-4.0, 4.0))
    model = LatentNetwork(told.shape[1], width=96, depth=4)
    return train(
        model, of_batch, data, steps=LATENT_STEPS, name="prior", device=run.device, seed=run.seed, batch_size=128,
        lr=4e-3, anneal=True, ema=0.99, progress=run.progress,
    )  # fmt: skip


@once
def new_codes(run: Run, learned: bool = True) -> Tensor:
    """Of the prior, or normal ones with the same means and spreads."""
    z, scale = known(run)
    start = Noise(run.seed)(z[: 2 * COUNT])
    return sample_code(prior(run).model, PROCESS, scale, start, TAU) if learned else scale.denormalize(start)


def drawn(run: Run) -> Claim:
    scale, held_out = known(run)[1], network(run).model.encoder(world(run).x_test[-1000:]).detach()

    def distance(z: Tensor) -> float:
        return energy_distance(scale.normalize(z), scale.normalize(held_out))

    return Claim(
        statement="energy distance of new codes from those of held-out images, both normalised",
        value=distance(new_codes(run)),
        bound=0.06,
        relation="<=",
        control=distance(new_codes(run, learned=False)),
        control_is="normal codes with the same means and spreads",
        of="section 4: the latent DDIM",
    )


def sheets(run: Run) -> Figure:
    shown, x = 8, originals(run)
    it = network(run).model
    z_sem, x_T = codes(run)

    def strip(*frames: Tensor) -> Tensor:
        return pictures.strip([frame[:shown] for frame in frames], width=37 * len(frames))

    noise = Noise(run.seed + 1)
    variants = [decode(it.decoder, PROCESS, z_sem[:shown], noise(x_T[:shown]), TAU) for _ in range(3)]
    walk = [brightened(run, s) for s in (-STRENGTH, -STRENGTH / 2, STRENGTH / 2, STRENGTH)]
    new = decode(it.decoder, PROCESS, new_codes(run)[: 4 * shown], noise(x_T[: 4 * shown]), TAU)
    return Figure(
        alt="Eight held-out images; the same from both codes, almost alike; three variants of each from z_sem and a "
        "random x_T, of the same ground, hue and place, while shape and the checkerboard of the border change; each "
        "with the z_sem of another image, whose ground, hue and place it takes; each with its z_sem moved along one "
        "direction, from dark ground to bright; and 32 images of new codes from the latent prior.",
        image=pictures.beside(
            {
                "original": strip(x),
                "both codes": strip(decoded(run, "both")),
                "random x_T": strip(*variants),
                "z_sem of the next": strip(others(run), decoded(run, "x_T")),
                "darker, brighter": strip(*walk),
                "new z_sem, new x_T": pictures.contact_sheet(new, columns=4, width=148),
            }
        ),
    )


def brightened(run: Run, s: float) -> Tensor:
    """The first eight images with z_sem moved."""
    z_sem, x_T = codes(run)
    z = edit(z_sem[:8], brighter(run), s, known(run)[1])
    return decode(network(run).model.decoder, PROCESS, z, x_T[:8], TAU)


def between(run: Run) -> Figure:
    """Both codes between those of two images, and x_T alone between those of a model without z_sem."""
    z_sem, x_T = codes(run)
    plain, weights = pretrained(run).model, torch.linspace(0, 1, 7, device=run.device)
    left, right = (ddim.encode(plain, PROCESS, originals(run)[rows], TAU) for rows in (slice(0, 6), slice(6, 12)))
    by_codes, by_noise = [], []
    for weight in weights:
        z = torch.lerp(z_sem[:6], z_sem[6:12], weight)
        by_codes.append(decode(network(run).model.decoder, PROCESS, z, ddim.slerp(x_T[:6], x_T[6:12], weight), TAU))
        by_noise.append(ddim.sample(plain, PROCESS, ddim.slerp(left, right, weight), TAU))
    return Figure(
        alt="Six rows that lead from one held-out image to another in seven steps.  By both codes objects glide from "
        "place to place, and between two colours some pale on the way; by x_T alone, of a model without z_sem, they "
        "mostly jump from one to the other.",
        image=pictures.beside(
            {
                "z_sem and x_T": pictures.strip(by_codes, width=259),
                "DDIM's x_T alone": pictures.strip(by_noise, width=259),
            }
        ),
    )


def dose(run: Run) -> Figure:
    """What a step along the direction of the ground changes, factor by factor."""
    steps = [0.0, 0.4, 0.7, STRENGTH, 1.3]
    changes = [factors.change(originals(run), edited(run, s)) for s in steps]
    shown = {
        "ground": ["ground"],
        "hue and mark": ["hue", "mark"],
        "x and y": ["x", "y"],
        "size, stretch": ["size", "stretch"],
    }

    def mean(change: factors.Factors, names: list[str]) -> float:
        return torch.stack([getattr(change, name) for name in names]).abs().mean().item()

    return Figure(
        alt="How much the factors of images change, in their spreads, with the length of a step of z_sem towards "
        "bright grounds: the ground most, by more than one on the mean of dark images and bright ones; size and "
        "stretch by up to one; hue, mark and place less.",
        image=pictures.curves(
            {name: (steps, [mean(change, names) for change in changes]) for name, names in shown.items()},
            across="s, the step of z_sem",
            up="mean change, in spreads",
        ),
    )


DEMO = Demo(
    claims=(swapped, moved, rest, reconstruction, probed, edits, drawn),
    figures=(sheets, between, dose),
    network=network,
    steps=500,
    data=("shapes",),
    network_evaluations=20,
)
