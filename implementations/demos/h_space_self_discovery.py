"""Finds the vectors of red, green, blue and bright in the small world's network, adds them up and takes one away.

The network is told two words, a hue and a ground, each of which may be left out.  The images of a concept are made by
the network with its word, and the vectors are learned without it.

Two things are not the paper's.  Its loss, the error of the noise at all times, hardly sees a concept here: at late
times the image itself shows its hue, and at early ones, where it is decided, the error of the noise is tiny.  So times
are drawn from 400 on, where the vectors are also added, and the error is that of v; the second figure shows both.  And
the prompt that leans to red, which is made fair, is not one of words: its vector lies between those of red and of
nothing, as no prompt of this world is biased by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor, nn

from implementations import ddim
from implementations.common.noise import Noise
from implementations.common.waist import Waist
from implementations.ddpm import GaussianDiffusion
from implementations.demos.shapes.conditional import GROUNDS, HUES, Told, conditional, words
from implementations.demos.shapes.network import PROCESS
from implementations.demos.shapes.world import world
from implementations.h_space_self_discovery import Weighting, discover, evenly, steered
from implementations.lab import pictures
from implementations.lab.demo import Claim, Demo, Figure, Run, once
from implementations.lab.training import Trained

F64 = torch.float64

# ---- a planted vector, with the exact network of a Gaussian ----------------------------------------------------------

PLANTED = torch.tensor([[0.7, -1.1], [-0.4, 0.9]], dtype=F64)
"""Two concepts."""
SPREAD = torch.tensor([[0.5, 0.2], [0.2, 0.3]], dtype=F64)
MIX = torch.tensor([[1.0, 0.4], [-0.3, 0.8]], dtype=F64)


class Exact(nn.Module):
    """E[eps | x] of data N(MIX h, SPREAD), whose features h are the mean that a prompt tells, (B, 2, 1, 1)."""

    def __init__(self, process: GaussianDiffusion, means: Tensor) -> None:
        super().__init__()
        self.abar, self.means, self.middle = process.abar, means, nn.ModuleList()
        self.waist = Waist(self.middle)

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        h = self.waist(self.means[y][:, :, None, None])[:, :, 0, 0]
        abar = self.abar[t][:, None]
        cov = abar[..., None] * SPREAD + (1 - abar[..., None]) * torch.eye(2, dtype=F64)
        away = x - abar.sqrt() * h @ MIX.T
        return (1 - abar).sqrt() * torch.linalg.solve(cov, away[..., None])[..., 0]


@once
def recovered(run: Run, k: int, told: int) -> Tensor:
    """What is found of concept k under prompt `told`: 0 and 1 name the concepts, 2 none."""
    model = Exact(PROCESS, torch.cat([PLANTED, torch.zeros(1, 2, dtype=F64)]))
    noise = Noise(run.seed)
    z = noise(torch.empty(1000, 2, dtype=F64))
    x_0 = PLANTED[k] @ MIX.T + z @ torch.linalg.cholesky(SPREAD).T
    y = torch.full((1000,), told)
    found = discover(model, model.waist, PROCESS, x_0, y, steps=300, batch_size=64, lr=0.02, noise=noise)
    return found[:, 0, 0]


def planted(run: Run) -> Claim:
    def off(found: Tensor, k: int = 0) -> float:
        return ((found - PLANTED[k]).norm() / PLANTED[k].norm()).item()

    return Claim(
        statement="distance of what is found from the vector that was planted in an exact network, over its length",
        value=off(recovered(run, 0, 2)),
        bound=0.3,
        relation="<=",
        control=off(recovered(run, 1, 2)),
        control_is="what is found of another concept's images",
        of="section 3",
    )


def named(run: Run) -> Claim:
    return Claim(
        statement="length of what is found of the planted vector where the prompt does not name the concept, over the "
        "vector's",
        value=(recovered(run, 0, 2).norm() / PLANTED[0].norm()).item(),
        bound=0.7,
        relation=">=",
        control=(recovered(run, 0, 0).norm() / PLANTED[0].norm()).item(),
        control_is="where the prompt names it, so that nothing is left to find",
        of="section 3: what the prompt omits, the vector has to say",
    )


# ---- the small world -------------------------------------------------------------------------------------------------

RED, GREEN, BLUE, BRIGHT, PLAIN, LEANING = range(6)
"""Prompts by number; the plain one says nothing."""
T_FROM, IMAGES = 400, 200
TAU = ddim.timesteps(PROCESS.T, 25)


@dataclass(frozen=True)
class Base:
    """The network that is steered, told prompts by number."""

    network: Told
    prompts: Tensor
    waist: Waist

    def model(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return self.network(x, t, self.prompts[y])


@once
def frozen(run: Run, base: int = 0) -> Base:
    """base: the seed of the network."""
    model = conditional(run, base).model
    device = world(run).x.device
    hues = torch.tensor([0, 1, 2, HUES, HUES, HUES], device=device)
    grounds = torch.tensor([GROUNDS, GROUNDS, GROUNDS, 1, GROUNDS, GROUNDS], device=device)
    prompts = model.prompt(hues, grounds)
    prompts[LEANING] = (prompts[RED] + prompts[PLAIN]) / 2
    middle: nn.ModuleList = model.noise.network.middle  # pyright: ignore[reportAssignmentType]
    return Base(model, prompts, Waist(middle))


def generate(run: Run, y: int, c: Tensor | None = None, *, n: int = IMAGES, draw: int = 0, base: int = 0) -> Tensor:
    """Images of prompt y, with the vectors c.  The same x_T for one draw."""
    it = frozen(run, base)
    x_T = Noise(1000 * run.seed + draw)(world(run).x.new_empty(n, *world(run).shape))
    labels = torch.full((n,), y, device=x_T.device)
    model = it.model if c is None else steered(it.model, it.waist, c, t_from=T_FROM)

    def told(x: Tensor, t: Tensor) -> Tensor:
        return model(x, t, labels)

    return ddim.sample(told, PROCESS, x_T, TAU)


@once
def examples(run: Run, y: int, base: int = 0) -> Tensor:
    """What a vector is learned from."""
    return generate(run, y, n=256, draw=1, base=base)


@once
def concept(
    run: Run, y: int, weighting: Weighting = "velocity", t_from: int = T_FROM, base: int = 0
) -> Trained[nn.Module]:
    """The vector of what prompt y says and the plain one does not."""
    it, x_0, started = frozen(run, base), examples(run, y, base), perf_counter()
    plain = torch.full((len(x_0),), PLAIN, device=x_0.device)
    c = discover(
        it.model,
        it.waist,
        PROCESS,
        x_0,
        plain,
        steps=run.steps,
        batch_size=24,
        t_from=t_from,
        weighting=weighting,
        noise=Noise(run.seed),
    )
    holder = nn.Module()
    holder.register_buffer("c", c)
    return Trained(holder, [], perf_counter() - started)


def vector(run: Run, y: int, base: int = 0) -> Tensor:
    return concept(run, y, base=base).model.c  # pyright: ignore[reportReturnType]


def network(run: Run) -> dict[str, Trained[nn.Module]]:
    return {name: concept(run, y) for name, y in (("red", RED), ("green", GREEN), ("blue", BLUE), ("bright", BRIGHT))}


def shares(images: Tensor) -> Tensor:
    """Of red, green and blue."""
    return torch.bincount(words(images)[0], minlength=HUES) / len(images)


def share_red(images: Tensor) -> float:
    return shares(images)[RED].item()


def share_bright(images: Tensor) -> float:
    return words(images)[1].eq(1).float().mean().item()


def share_both(images: Tensor) -> float:
    hue, ground = words(images)
    return (hue.eq(RED) & ground.eq(1)).float().mean().item()


def appears(run: Run, base: int = 0) -> Claim:
    return Claim(
        statement=f"share of red objects among {IMAGES} images of the plain prompt with the vector of red",
        value=share_red(generate(run, PLAIN, vector(run, RED, base), base=base)),
        bound=0.75,
        relation=">=",
        control=share_red(generate(run, PLAIN, vector(run, BRIGHT, base), base=base)),
        control_is="with the vector of bright",
        of="section 3",
    )


def appears_too(run: Run, base: int = 0) -> Claim:
    return Claim(
        statement=f"share of bright grounds among {IMAGES} images of the plain prompt with the vector of bright",
        value=share_bright(generate(run, PLAIN, vector(run, BRIGHT, base), base=base)),
        bound=0.68,
        relation=">=",
        control=share_bright(generate(run, PLAIN, vector(run, RED, base), base=base)),
        control_is="with the vector of red",
        of="section 3",
    )


def composed(run: Run, base: int = 0) -> Claim:
    red, bright = vector(run, RED, base), vector(run, BRIGHT, base)
    alone = [share_both(generate(run, PLAIN, c, base=base)) for c in (red, bright)]
    return Claim(
        statement="share of red objects on bright grounds with the sum of both vectors",
        value=share_both(generate(run, PLAIN, red + bright, base=base)),
        bound=0.6,
        relation=">=",
        control=max(alone),
        control_is="with one of them, the better one",
        of="the compositionality of the vectors",
    )


def fair(run: Run, base: int = 0) -> Claim:
    hues = torch.stack([vector(run, y, base) for y in (RED, GREEN, BLUE)])
    drawn = evenly(hues, world(run).x[:IMAGES], noise=Noise(run.seed))

    def bias(images: Tensor) -> float:
        return (shares(images) - 1 / HUES).abs().max().item()

    return Claim(
        statement="largest distance of a hue's share from a third, of a prompt that leans to red, where each image has "
        "the vector of a hue that is drawn evenly",
        value=bias(generate(run, LEANING, drawn, base=base)),
        bound=0.3,
        relation="<=",
        control=bias(generate(run, LEANING, base=base)),
        control_is="the same prompt without vectors",
        of="section 3, fair generation",
    )


def safe(run: Run, base: int = 0) -> Claim:
    return Claim(
        statement="share of red objects among images of the plain prompt from which the vector of red is taken away",
        value=share_red(generate(run, PLAIN, -vector(run, RED, base), base=base)),
        bound=0.25,
        relation="<=",
        control=share_red(generate(run, PLAIN, -vector(run, BRIGHT, base), base=base)),
        control_is="the vector of bright taken away",
        of="section 3, safe generation",
    )


def sheets(run: Run) -> Figure:
    def rows(c: Tensor | None = None, y: int = PLAIN) -> Tensor:
        return pictures.contact_sheet(generate(run, y, c, n=24), columns=3, width=150)

    red, bright = vector(run, RED), vector(run, BRIGHT)
    return Figure(
        alt="Twenty-four images of the plain prompt, of all hues and both grounds; from the same noise with the vector "
        "of red nearly all objects are red; with that of red taken away green and blue; with that of bright most "
        "grounds are bright; with both most are red on bright.",
        image=pictures.beside(
            {
                "the plain prompt": rows(),
                "+ red": rows(red),
                "- red": rows(-red),
                "+ bright": rows(bright),
                "+ red + bright": rows(red + bright),
            }
        ),
    )


def learned_or_not(run: Run) -> Figure:
    """The error at each time with a vector, over that without it."""
    it, x_0 = frozen(run), examples(run, RED)
    plain = torch.full((len(x_0),), PLAIN, device=x_0.device)
    times = range(100, 1000, 100)

    @torch.no_grad()
    def error(c: Tensor, t: int) -> float:
        eps = Noise(t)(x_0)
        at_t = torch.full_like(plain, t)
        model = steered(it.model, it.waist, c)
        return (eps - model(PROCESS.diffuse(x_0, t, eps), at_t, plain)).square().mean().item()

    def over(c: Tensor) -> tuple[list[int], list[float]]:
        return list(times), [error(c, t) / error(0 * c, t) for t in times]

    simple, early, everything = (
        concept(run, y, weighting, t_from).model.c  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
        for y, weighting, t_from in ((RED, "simple", 1), (RED, "simple", T_FROM), (PLAIN, "velocity", T_FROM))
    )
    lines = {
        "noise, all t": over(simple),  # pyright: ignore[reportArgumentType]
        "noise, t >= 400": over(early),  # pyright: ignore[reportArgumentType]
        "v, t >= 400": over(vector(run, RED)),
        "of all images": over(everything),  # pyright: ignore[reportArgumentType]
        "of bright": over(vector(run, BRIGHT)),
    }
    return Figure(
        alt="The error of the noise of red images with a vector, over that without one, against t.  With red's, "
        "learned by the error of v from t = 400 on, it falls to six tenths there, and is larger below, where that "
        "vector is not added; by the error of the noise it falls less, and hardly at all when that is of all t.  The "
        "vector of all images helps little, and that of bright does harm.",
        image=pictures.curves(lines, across="t", up="error / that of c = 0"),
    )


DEMO = Demo(
    claims=(planted, named, appears, appears_too, composed, fair, safe),
    figures=(sheets, learned_or_not),
    network=network,
    steps=200,
    data=("shapes",),
    network_evaluations=len(TAU),
)
