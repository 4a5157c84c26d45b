"""Reads the network of the small world at its waist, learns at which time to, and teaches a student those features.

Labels are the mark's sign, a checkerboard in the border that noise drowns early, known of 256 images and no more: from
them come the policy's reward, the head on the teacher's features and that on the student's.  Whatever the label, less
noise is better in this world when features are averaged over their places, so the first of the times offered is best.
Given the clean image, as in the authors' code, the features tell the mark at every time, and the choice is idle.

What is not shown is that labels go further with the teacher than without.  What the student says tells the mark from
ten labels better where the times were chosen than where they were random, but the features of a student that was never
trained tell it from as few (0.99 to 1): in so small a world random features are enough, and a probe proves little.
With fine tuning, on one seed, a student that was distilled told the shape from 50 labels worse (0.78 to 0.83) than one
trained from nothing (0.94), and digits, with DDPM's network, about as well (0.73, and 0.75 from nothing).  The student
is distilled anew when the policy has learned: one that learned beside it, from random times at first, forgets the mark.
"""

from __future__ import annotations

from time import perf_counter

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from implementations.common.noise import Noise
from implementations.common.waist import Waist
from implementations.demos.shapes.network import PROCESS, pretrained
from implementations.demos.shapes.world import world
from implementations.lab import pictures
from implementations.lab.demo import Claim, Demo, Figure, Run, once
from implementations.lab.training import Trained
from implementations.repfusion import Policy, Teacher, choose, losses, match, policy_loss
from implementations.verification import factors

TIMES = torch.arange(50, 1000, 100)
"""That the policy chooses among: 50, 150, ..., 950."""
LABELLED = 256
FEW = 10
BATCH, DISTILLED = 48, 300
LABEL = "mark"


@once
def teacher(run: Run, noised: bool = True, base: int = 0) -> Teacher:
    """base: the seed of the network."""
    model = pretrained(run, base).model
    return Teacher(model, waist(run, base), PROCESS, noised)


@once
def waist(run: Run, base: int = 0) -> Waist:
    return Waist(pretrained(run, base).model.network.middle)  # pyright: ignore[reportArgumentType]


def labels(images: Tensor, name: str = LABEL) -> Tensor:
    return factors.classes(factors.read(images))[name]


@once
def labelled(run: Run) -> Tensor:
    """The images whose labels are known, others for each seed."""
    return world(run).x[LABELLED * run.seed :][:LABELLED]


@once
def held_out(run: Run) -> Tensor:
    return world(run).x_test[:1000]


class Student(nn.Module):
    """A small network of images: features (B, 64), and their projection to the teacher's (B, 32)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(3, 16, 3, padding=1)
        self.conv_2 = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.conv_3 = nn.Conv2d(32, 64, 3, padding=1)
        self.project = nn.Linear(64, 32)

    def features(self, x: Tensor) -> Tensor:
        for conv in (self.conv_1, self.conv_2, self.conv_3):
            x = F.silu(conv(x))
        return x.flatten(2).mean(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(self.features(x))


class Learners(nn.Module):
    """All that learns: the student, the head on the teacher's features, the policy."""

    def __init__(self) -> None:
        super().__init__()
        self.student, self.head, self.policy = Student(), nn.Linear(32, 2), Policy(3, len(TIMES))


@once
def learned(run: Run, uniform: bool = False, base: int = 0) -> Trained[Learners]:
    """Student, head and policy after run.steps steps on labelled images, in which all three learn.

    The reward of the step before is the baseline, and the policy's entropy counts less and less.  uniform: the control,
    whose policy never learns.
    """
    it, noise, started = teacher(run, base=base), Noise(run.seed), perf_counter()
    x, y = labelled(run), labels(labelled(run))
    torch.manual_seed(run.seed)
    every = Learners().to(run.device)
    optimiser = torch.optim.Adam(every.parameters(), lr=4e-3)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, run.steps)
    earned, found = 0.0, []
    for step in range(run.steps):
        row = noise.integers(0, LABELLED - 1, x[:BATCH])
        tau = 0.1 * (1 - step / run.steps)
        asked = (it, every.student, every.head, every.policy, x[row], y[row], TIMES)
        parts = losses(*asked, tau=tau, baseline=earned, noise=noise)
        optimiser.zero_grad()
        (parts.student + parts.head if uniform else parts.total).backward()
        optimiser.step()
        falling.step()
        earned = -parts.head.item()
        found.append(earned)
    return Trained(every.eval().requires_grad_(False), found, perf_counter() - started)


@once
def student(run: Run, uniform: bool = False, base: int = 0) -> Student:
    """A new student of all images, without labels, at the times of the policy as it was learned."""
    it, images, noise = teacher(run, base=base), world(run).x, Noise(run.seed + 1)
    policy = learned(run, uniform, base).model.policy
    torch.manual_seed(run.seed)
    new = Student().to(run.device)
    optimiser = torch.optim.Adam(new.parameters(), lr=4e-3)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, DISTILLED)
    for _ in range(DISTILLED):
        x = images[noise.integers(0, len(images) - 1, images[:64])]
        t, _ = choose(policy(x), TIMES, noise=noise)
        optimiser.zero_grad()
        match(new(x), it.features(x, t, noise=noise)).backward()
        optimiser.step()
        falling.step()
    return new.eval().requires_grad_(False)


def network(run: Run) -> Trained[Learners]:
    return learned(run)


# ---- the gradient, exactly -------------------------------------------------------------------------------------------


class _Given(Noise):
    """Uniform numbers that are given."""

    def __init__(self, numbers: Tensor) -> None:
        super().__init__()
        self.numbers = numbers

    def uniform(self, like: Tensor) -> Tensor:
        return self.numbers


def bias(seed: int, *, again: bool = False) -> float:
    """How far the mean gradient is from that of the expected reward, relative, every draw being weighed by its chance.

    again: the control, where the probability is that of another draw.
    """
    choices = len(TIMES)
    logits, reward = Noise(seed)(torch.empty(2, choices, dtype=torch.float64))
    logits.requires_grad_()
    pi = logits.softmax(0).detach()
    middles = pi.cumsum(0) - pi / 2
    found = torch.zeros_like(pi)
    for k in range(choices):
        for j, chance in enumerate(pi) if again else [(k, torch.tensor(1.0))]:
            _, log_prob = choose(logits[None], TIMES, noise=_Given(middles[[j]]))
            loss = policy_loss(log_prob, reward[[k]], baseline=0.3)
            found += pi[k] * chance * torch.autograd.grad(loss, logits)[0]
    exact = torch.autograd.grad(-(logits.softmax(0) * reward).sum(), logits)[0]
    return ((found - exact).norm() / exact.norm()).item()


def unbiased(run: Run) -> Claim:
    return Claim(
        statement=f"how far the mean gradient over all draws of {len(TIMES)} times is from that of the expected "
        "reward, relative, with a baseline of 0.3",
        value=bias(run.seed),
        bound=1e-10,
        relation="<=",
        control=bias(run.seed, again=True),
        control_is="the reward of one draw with the probability of another",
        of="the optimal time by reinforcement learning",
    )


# ---- what the features tell ------------------------------------------------------------------------------------------

COUNT = 500
"""Images that a probe learns from, and as many that it is asked about."""


def standard(features: Tensor, like: Tensor) -> Tensor:
    """Features over the spread of others, with a column of ones."""
    scaled = (features - like.mean(0)) / (like.std(0) + 1e-6)
    return torch.cat([scaled, torch.ones_like(scaled[:, :1])], dim=1)


def told(learnt: Tensor, y: Tensor, asked: Tensor, y_asked: Tensor) -> float:
    """Accuracy of ridge regression to the classes."""
    ridge = torch.eye(learnt.shape[1]).to(learnt)
    targets = F.one_hot(y, int(y_asked.max()) + 1).to(learnt)
    weights = torch.linalg.solve(learnt.T @ learnt + ridge, learnt.T @ targets)
    return ((asked @ weights).argmax(1) == y_asked).double().mean().item()


@once
def read(run: Run, noised: bool = True, base: int = 0) -> Tensor:
    """What the teacher says of 2 COUNT images at each of the times: (K, 2 COUNT, 32).  The latter half is held out."""
    images = torch.cat([world(run).x[-COUNT:], held_out(run)[:COUNT]])
    noise, it = Noise(run.seed), teacher(run, noised, base)
    return torch.stack([it.features(images, t.expand(len(images)), noise=noise) for t in TIMES])


def accuracies(run: Run, name: str, noised: bool = True, base: int = 0) -> list[float]:
    """Of a probe of the features at each time."""
    y, asked = labels(world(run).x[-COUNT:], name), labels(held_out(run)[:COUNT], name)
    found = []
    for h in read(run, noised, base):
        scaled = standard(h, h[:COUNT])
        found.append(told(scaled[:COUNT], y, scaled[COUNT:], asked))
    return found


def time_matters(run: Run) -> Claim:
    def difference(noised: bool) -> float:
        found = accuracies(run, LABEL, noised)
        return max(found) - min(found)

    return Claim(
        statement="accuracy of a probe of the mark at the best of ten times, less that at the worst, for noised images",
        value=difference(True),
        bound=0.3,
        relation=">=",
        control=difference(False),
        control_is="the clean image at every time, as the authors' code has it",
        of="the representation against the time",
    )


def regret(run: Run, uniform: bool = False, base: int = 0) -> float:
    """Expected cross-entropy of the policy's choice on held-out images, less that of the best time for all of them."""
    every, images = learned(run, uniform, base).model, held_out(run)[:COUNT]
    y = labels(images)
    costs = [F.cross_entropy(every.head(h[COUNT:]), y, reduction="none") for h in read(run, base=base)]
    cost, pi = torch.stack(costs, dim=1), every.policy(images).softmax(1)
    return ((pi * cost).sum(1).mean() - cost.mean(0).min()).item()


def finds_the_time(run: Run, base: int = 0) -> Claim:
    return Claim(
        statement="expected cross-entropy of the head on held-out images at the policy's times, less that at the best "
        "of the ten for all images, in nats",
        value=regret(run, base=base),
        bound=0.1,
        relation="<=",
        control=regret(run, True, base),
        control_is="a random time of the ten, with a head that learned at such times",
        of="the optimal time by reinforcement learning",
    )


def same_head(run: Run, uniform: bool = False, base: int = 0) -> float:
    """Accuracy of the teacher's head on what the student says of held-out images, without noise."""
    x = held_out(run)
    said = learned(run, uniform, base).model.head(student(run, uniform, base)(x))
    return (said.argmax(1) == labels(x)).double().mean().item()


def distilled(run: Run, base: int = 0) -> Claim:
    return Claim(
        statement="accuracy for the mark of held-out images, of the head that learned on the teacher's features at the "
        "chosen times, when it is given the student's",
        value=same_head(run, base=base),
        bound=0.9,
        relation=">=",
        control=same_head(run, True, base),
        control_is="head and student of features at random times",
        of="distillation from the chosen time",
    )


DRAWS = 40


def few(run: Run, uniform: bool = False, base: int = 0) -> float:
    """How well FEW labels tell the mark from the student's features: the mean over sets of labelled images."""
    return of_few(run, student(run, uniform, base))


def of_few(run: Run, says: Student) -> float:
    noise, like = Noise(run.seed + 1), says(held_out(run)).detach()
    a, b = standard(says(labelled(run)).detach(), like), standard(like, like)
    y, asked = labels(labelled(run)), labels(held_out(run))
    sets = [noise.integers(0, LABELLED - 1, a[:FEW]) for _ in range(DRAWS)]
    return sum(told(a[s], y[s], b, asked) for s in sets) / DRAWS


def few_labels(run: Run, base: int = 0) -> Claim:
    return Claim(
        statement=f"accuracy for the mark of held-out images, of a linear head learned from {FEW} labels on the "
        f"student's frozen features; the mean over {DRAWS} sets of labels",
        value=few(run, base=base),
        bound=0.85,
        relation=">=",
        control=few(run, True, base),
        control_is="a student of features at random times",
        of="the comparison of chosen and random times",
    )


# ---- pictures --------------------------------------------------------------------------------------------------------

SHOWN = (0, 50, 150, 250, 450, 650, 850)


def what_noise_leaves(run: Run) -> Figure:
    x, noise = held_out(run)[:6], Noise(run.seed)
    frames = [x if t == 0 else PROCESS.diffuse(x, torch.full((6,), t), noise(x)) for t in SHOWN]
    times = TIMES.tolist()

    def curves(noised: bool) -> Tensor:
        lines = {name: (times, accuracies(run, name, noised)) for name in ("hue", "mark", "ground", "shape")}
        return pictures.curves(lines, across="t", up="accuracy", size=(360, 300))

    policy = learned(run).model.policy(held_out(run)).softmax(1).mean(0).tolist()
    chance = {"learned": (times, policy), "random": (times, [1 / len(times)] * len(times))}
    return Figure(
        alt="Six images of the small world as the network sees them at t = 0, 50, 150, 250, 450, 650 and 850; the "
        "checkerboard in the border is gone first.  Beside them, how well a probe of the network's features tells each "
        "factor against t: with noise all fall to chance, the mark before the hue and the ground, the shape from the "
        "start; with clean images all but the shape are told at every t.  Last, the policy's probabilities: nearly all "
        "for the first two or three times.",
        image=pictures.beside(
            {
                "an image, and t = 50 to 850": pictures.strip(frames, width=330),
                "noised: accuracy": curves(True),
                "clean: accuracy": curves(False),
                "policy": pictures.curves(chance, across="t", up="probability", size=(360, 300)),
            }
        ),
    )


DEMO = Demo(
    claims=(unbiased, time_matters, finds_the_time, distilled, few_labels),
    figures=(what_noise_leaves,),
    network=network,
    steps=250,
    data=("shapes",),
)
