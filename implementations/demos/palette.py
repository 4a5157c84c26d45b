"""Fills holes, uncrops, colours and restores images of a small world with one network, which is asked several times.

The paper's tasks, its one recipe for them all, and its multi-task network; not its figures of merit, which take
ImageNet, nor its claim that one network for all tasks does as well as one for each.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from implementations.common.noise import Noise
from implementations.common.rows import per_row
from implementations.demos.recipes import unet_sizes
from implementations.demos.shapes.world import world
from implementations.lab import pictures
from implementations.lab.demo import Claim, Demo, Figure, Run, once
from implementations.lab.training import Batch, Trained, train
from implementations.palette import Concatenated, fill, inference_schedule, loss, sample, training_schedule
from implementations.unet import UNet
from implementations.verification.factors import classes, read, valid
from implementations.verification.impulses import moments
from implementations.verification.sample_measures import effective_classes

TASKS = ("inpainting", "uncropping", "colourisation", "restoration")
TRAINED = training_schedule()
PROCESS = inference_schedule(50, 1e-3, 0.35)
"""What 50 steps want: levels from nearly none to nearly all noise, all within those of the training."""
PROCESS_200 = inference_schedule(200, 1e-3, 0.09)
STEPS = 800


class NoiseOfVelocity(nn.Module):
    """A network of v, called as one of the noise: v = sqrt(gamma) eps - sqrt(1 - gamma) y_0."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, y_t: Tensor, gamma: Tensor, x: Tensor) -> Tensor:
        gamma_ = per_row(gamma, y_t)
        return (1 - gamma_).sqrt() * y_t + gamma_.sqrt() * self.network(y_t, gamma, x)


def task(name: str, images: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
    """What is given of images, and the hole: all of the image, or a part that x shows around it."""
    hole = torch.ones_like(images)
    if name == "inpainting":
        hole[..., :4] = 0
    elif name == "uncropping":
        hole[..., 1:7, 1:7] = 0
    elif name == "colourisation":
        return images.mean(1, keepdim=True).expand_as(images), hole
    else:
        return blurred(images), hole
    return fill(images, hole, noise=noise), hole


def blurred(images: Tensor) -> Tensor:
    """Means of 2 x 2 pixels, each as large as four."""
    return F.avg_pool2d(images, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)


@once
def network(run: Run) -> Trained[NoiseOfVelocity]:
    """One network for all tasks, each image of a batch with one of them."""
    images = world(run)
    torch.manual_seed(run.seed)

    def of_batch(model: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        y_0 = batch[0]
        given = [task(name, y_0, noise) for name in TASKS]
        chosen = noise.integers(0, len(TASKS) - 1, y_0)
        x, hole = (torch.stack(parts)[chosen, torch.arange(len(y_0))] for parts in zip(*given, strict=True))
        return loss(model, TRAINED, x, y_0, hole=hole, weight=torch.reciprocal, noise=noise)

    channels = images.shape[0]
    model = NoiseOfVelocity(Concatenated(UNet(2 * channels, channels, **unet_sizes(images))))
    options = {"batch_size": 64, "lr": 8e-3, "anneal": True, "ema": 0.99}
    return train(model, of_batch, images, steps=run.steps, **run.training, **options)


@once
def asked(run: Run, name: str, n: int = 64) -> tuple[Tensor, Tensor, Tensor]:
    """The first n held-out images, what a task gives of them, and its hole."""
    y_0 = world(run).x_test[:n]
    return y_0, *task(name, y_0, Noise(run.seed + 1))


@once
def answers(run: Run, name: str, n: int = 64, times: int = 1) -> Tensor:
    """`times` samples for each of n images, those of one image side by side."""
    y_0, x, hole = (v.repeat_interleave(times, 0) for v in asked(run, name, n))
    return sample(
        network(run).model, PROCESS, x, Noise(run.seed + 2)(y_0), hole=hole, trained=TRAINED, noise=Noise(run.seed + 3)
    )


@once
def means(run: Run, name: str, n: int = 64) -> Tensor:
    """E[y | x] by the same network: what it takes y_0 for where there is no signal yet, in one evaluation."""
    y_0, x, hole = asked(run, name, n)
    gamma = TRAINED.abar[-1].to(y_0).expand(n)
    y_T = torch.where(hole == 1, Noise(run.seed + 2)(y_0), x)
    with torch.no_grad():
        v = network(run).model.network(y_T, gamma, x)
    root = per_row(gamma, y_0).sqrt()
    guess = root * y_T - (1 - root**2).sqrt() * v
    return torch.where(hole == 1, guess, x)


def share_valid(images: Tensor) -> float:
    return valid(images).double().mean().item()


def one_network_four_tasks(run: Run) -> Claim:
    return Claim(
        statement="share of answers that show one object of the world, over the four tasks alike",
        value=sum(share_valid(answers(run, name)) for name in TASKS) / len(TASKS),
        bound=0.5,
        relation=">=",
        control=sum(share_valid(means(run, name)) for name in TASKS) / len(TASKS),
        control_is="regression: the same network's mean of all answers, in one evaluation",
        of="section 5: better than regression on all tasks, without anything made for one of them",
    )


def several_answers(run: Run) -> Claim:
    def hues(images: Tensor) -> float:
        each = zip(classes(read(images))["hue"].view(16, -1), valid(images).view(16, -1), strict=True)
        return sum(effective_classes(hue[clear]) for hue, clear in each) / 16

    return Claim(
        statement="hues among those of sixteen colourings of one grey image that show an object, as equally frequent "
        "ones; three suit it alike",
        value=hues(answers(run, "colourisation", 16, 16)),
        bound=2.0,
        relation=">=",
        control=hues(means(run, "colourisation", 16).repeat_interleave(16, 0)),
        control_is="regression: the same network's mean of all answers, of which there is one",
        of="section 5.1: the samples of one input are diverse",
    )


def agreement(run: Run) -> Claim:
    given = asked(run, "colourisation")[1]

    def off(images: Tensor) -> float:
        return (images.mean(1) - given[:, 0]).square().mean().sqrt().item()

    return Claim(
        statement="root mean square difference between a colouring made grey again and the grey image that was given",
        value=off(answers(run, "colourisation")),
        bound=0.25,
        relation="<=",
        control=off(answers(run, "colourisation").roll(1, 0)),
        control_is="the colourings of the next image",
        of="section 3: x is seen at every step",
    )


def conditional(run: Run) -> Claim:
    # of y given one x, and of y
    mean, cov = torch.tensor([0.7, -0.5], dtype=torch.float64), torch.tensor([[0.5, 0.2], [0.2, 0.3]]).double()
    prior = torch.zeros(2).double(), torch.tensor([[1.2, 0.1], [0.1, 0.8]]).double()

    def divergence(known: tuple[Tensor, Tensor]) -> float:
        """KL from y given x to the law of the samples, if the network knows of y what `known` says."""

        def model(y_t: Tensor, gamma: Tensor, x: Tensor) -> Tensor:
            g = gamma[:, None]
            blurred = g[..., None] * known[1] + (1 - g[..., None]) * torch.eye(2).to(known[1])
            return (1 - g).sqrt() * torch.linalg.solve(blurred, y_t - g.sqrt() * known[0])

        found = moments(lambda y, noise: sample(model, PROCESS_200, y, y, noise=noise), shape=(2,))
        between = torch.linalg.solve(found.cov, torch.column_stack([cov, (mean - found.mean)[:, None]]))
        square = (mean - found.mean) @ between[:, 2]
        log_ratio = torch.logdet(found.cov) - torch.logdet(cov)
        return ((between[:, :2].trace() - 2 + square + log_ratio) / 2).item()

    return Claim(
        statement="divergence of samples of a Gaussian pair from their exact law given another pair, exactly, in nats",
        value=divergence((mean, cov)),
        bound=0.01,
        relation="<=",
        control=divergence(prior),
        control_is="the exact network that is not told what is given",
        of="section 3: the samples are those of p(y | x)",
    )


def four_tasks(run: Run) -> Figure:
    panels = {}
    for name in TASKS:
        truth, given, _ = asked(run, name)
        found = answers(run, name, 4, 4).unflatten(0, (4, 4))
        rows = [
            torch.cat([given[k : k + 1], found[k], means(run, name)[k : k + 1], truth[k : k + 1]]) for k in range(4)
        ]
        panels[name] = pictures.contact_sheet(torch.cat(rows), columns=7, width=300)
    return Figure(
        "Four panels, one for each task, of four images each.  A row shows what is given, four answers, the mean of "
        "answers, and the truth.  Most answers are clear, and the mean is a blur where much is left open.  Those to a "
        "grey image are red, green or blue; they have its ground, and only roughly its object's place and shape.",
        pictures.beside(panels),
    )


DEMO = Demo(
    claims=(one_network_four_tasks, several_answers, agreement, conditional),
    figures=(four_tasks,),
    network=network,
    steps=STEPS,
    data=("shapes",),
    network_evaluations=PROCESS.T,
)
