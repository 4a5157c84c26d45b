"""Diffusion model as representation learner (RepFusion).

Yang & Wang, ICCV 2023. arXiv:2308.10916.
The features of a trained denoiser serve recognition, but how well depends on the time at which they are read, and no
single time suits every image and task.  RepFusion teaches a student network to say, from the clean image, what the
frozen U-Net's narrowest features are when it sees the image with noise; a policy picks the time for each image, and
learns by REINFORCE from how well a head on those features tells the label.  The student is then used alone.

t counts from 1 to T.  The policy chooses among `times`, some of 1..T, and returns one logit for each.  The authors'
code gives the U-Net the clean image beside the label t, whatever t is; `noised=False` does that.  Images go to the
U-Net and to the student in one range, that which the U-Net was trained in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from implementations.common.noise import Noise, gaussian
from implementations.common.waist import Waist
from implementations.ddpm import GaussianDiffusion, NoiseModel

Network = Callable[[Tensor], Tensor]
"""Of images (B, ...), or of features (B, C): a vector for each row."""


@dataclass(frozen=True)
class Teacher:
    """The frozen denoiser, read at its waist.

    noised: whether it sees x_t, as it was trained to; else the clean image, told t all the same.
    """

    model: NoiseModel
    waist: Waist
    process: GaussianDiffusion
    noised: bool = True

    @torch.no_grad()
    def features(self, x_0: Tensor, t: Tensor, *, noise: Noise = gaussian) -> Tensor:
        """Its features h, each the mean over their places.  x_0: (B, ...); t: (B,) in 1..T.  Returns (B, C)."""
        if t.shape != (len(x_0),) or (t < 1).any() or (t > self.process.T).any():
            raise ValueError(f"t must hold one time in 1..{self.process.T} for each of {len(x_0)} images, not {t}")
        seen = self.process.diffuse(x_0, t, noise(x_0)) if self.noised else x_0
        h = self.waist.features(self.model, seen, t)
        return h.reshape(*h.shape[:2], -1).mean(2)


class Policy(nn.Module):
    """A small convolutional network: images (B, channels, H, W) to logits (B, choices).  All equal before training."""

    def __init__(self, channels: int, choices: int, *, width: int = 16) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(channels, width, 3, stride=2, padding=1)
        self.conv_2 = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.outlet = nn.Linear(2 * width, choices)
        nn.init.zeros_(self.outlet.weight)
        nn.init.zeros_(self.outlet.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.conv_2(F.relu(self.conv_1(x))))
        return self.outlet(h.flatten(2).mean(2))


def choose(logits: Tensor, times: Tensor, *, noise: Noise = gaussian) -> tuple[Tensor, Tensor]:
    """A time for each image, drawn from the policy, and the logarithm of its probability.

    logits: (B, K); times: (K,) in 1..T.  Returns t: (B,), and log pi(t): (B,), by which gradients reach the policy.
    """
    if times.ndim != 1 or logits.shape[1:] != times.shape:
        raise ValueError(f"want logits (B, K) for times (K,), not {tuple(logits.shape)} for {tuple(times.shape)}")
    log_pi = logits.log_softmax(1)
    u = noise.uniform(logits[:, 0].detach().double())
    k = (log_pi.detach().double().exp().cumsum(1) <= u[:, None]).sum(1).clamp_max(len(times) - 1)
    return times.to(k.device)[k], log_pi.gather(1, k[:, None])[:, 0]


def entropy(logits: Tensor) -> Tensor:
    """Of the policy, in nats.  logits: (B, K).  Returns (B,)."""
    log_pi = logits.log_softmax(1)
    return -(log_pi.exp() * log_pi).sum(1)


def policy_loss(log_prob: Tensor, reward: Tensor, *, baseline: float | Tensor = 0.0) -> Tensor:
    """Its gradient is, on the mean over draws, that of minus the expected reward (REINFORCE).

    log_prob: (B,), of the times that were drawn; reward: (B,), what they earned.  No gradient reaches the reward.
    baseline: what the reward is compared with, a number or (B,), which must not depend on the draw.  Any keeps the mean
    and changes the spread; the authors' code has none.  Returns ().
    """
    return -(log_prob * (reward - baseline).detach()).mean()  # section 3


@dataclass(frozen=True)
class Losses:
    """What one step lowers: () each.  No network but its own learns from a part, the policy from the last two."""

    student: Tensor
    head: Tensor
    policy: Tensor
    entropy: Tensor

    @property
    def total(self) -> Tensor:
        """The sum of all, ()."""
        return self.student + self.head + self.policy + self.entropy


def losses(
    teacher: Teacher,
    student: Network,
    head: Network,
    policy: Network,
    x_0: Tensor,
    y: Tensor,
    times: Tensor,
    *,
    tau: float = 0.1,
    kd_weight: float = 1.0,
    baseline: float | Tensor = 0.0,
    noise: Noise = gaussian,
) -> Losses:  # section 3
    """One step of distillation, in which student, head and policy learn together.

    x_0: (B, ...); y: (B,) int64, its labels; times: (K,) in 1..T, that the policy's K logits stand for.
    student: images to the teacher's features, (B, C), a projection at its end included.  head: those features to logits
    of the labels.  tau: the weight of the policy's entropy, which falls to 0 in the authors' runs.  kd_weight: of the
    student's error.  baseline: as in `policy_loss`.
    """
    if tau < 0:
        raise ValueError(f"tau, the weight of the policy's entropy, must be at least 0, not {tau}")
    logits = policy(x_0)
    t, log_prob = choose(logits, times, noise=noise)
    h = teacher.features(x_0, t, noise=noise)
    cost = F.cross_entropy(head(h), y, reduction="none")
    return Losses(
        kd_weight * match(student(x_0), h),
        cost.mean(),
        policy_loss(log_prob, -cost, baseline=baseline),
        -tau * entropy(logits).mean(),
    )


def match(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared error of the student's features, the mean over entries.  (B, C) each, ValueError for other shapes."""
    if student.shape != teacher.shape:
        raise ValueError(
            f"the student says features {tuple(student.shape)} for the teacher's {tuple(teacher.shape)}: "
            "project them to the teacher's channels"
        )
    return F.mse_loss(student, teacher.detach())  # section 3


@torch.no_grad()
def best(policy: Network, x_0: Tensor, times: Tensor) -> Tensor:
    """The time that the policy holds likeliest for each image.  x_0: (B, ...); times: (K,).  Returns (B,)."""
    return times.to(x_0.device)[policy(x_0).argmax(1)]
