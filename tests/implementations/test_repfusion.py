"""RepFusion: gradients over all draws at once, optima in closed form, a teacher whose every look is recorded."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from implementations import repfusion
from implementations.common.noise import Noise
from implementations.common.waist import Waist
from implementations.demos import repfusion as demo
from implementations.lab.demo import Run
from tests.implementations.toys import F64, draw, rough

TIMES = torch.tensor([1, 2, 5, 6, 9])
LOGITS = torch.tensor([0.3, -1.1, 0.8, 0.0, -0.4], dtype=F64)
REWARD = torch.tensor([-0.9, -0.2, -1.7, -0.4, -0.6], dtype=F64)


class Drawn(Noise):
    """Uniform and normal numbers that are given, one of each."""

    def __init__(self, uniform=None, normal=None):
        super().__init__()
        self.numbers, self.normal = uniform, normal

    def __call__(self, like):
        assert self.normal is not None, "nothing normal is to be drawn"
        return self.normal

    def uniform(self, like):
        assert self.numbers is not None and like.shape == self.numbers.shape, "one number for each row"
        return self.numbers

    def integers(self, low, high, like):
        raise AssertionError("the policy draws, not the noise")


def middles(logits):
    """The uniform numbers in the middle of what leads to each choice."""
    pi = logits.softmax(0)
    return pi.cumsum(0) - pi / 2


class Narrow(nn.Module):
    """A network with a waist, that keeps what it was asked."""

    def __init__(self):
        super().__init__()
        self.middle = nn.ModuleList()
        self.weight = nn.Parameter(draw(4, 2, seed=5))
        self.waist, self.seen = Waist(self.middle), []

    def features(self, x, t):
        h = torch.einsum("kc,bchw->bkhw", self.weight, x)
        return torch.sin(h + 0.3 * t.to(x)[:, None, None, None])

    def forward(self, x, t):
        self.seen.append((x, t))
        return self.waist(self.features(x, t)) @ torch.ones(3, 3, dtype=F64)


def abar_of(process):
    return np.cumprod(1 - process.beta.numpy())  # beta_0 is 0, so that t counts from 1


# T1: what is drawn


def test_a_choice_is_where_the_number_falls_among_the_summed_probabilities():
    pi = [0.5, 0.0, 0.25, 0.25]
    logits = torch.tensor(pi, dtype=F64).log().expand(8, 4)
    u = torch.tensor([0.0, 0.49, 0.5, 0.74, 0.75, 0.99, 1.0, 0.25], dtype=F64)
    t, log_prob = repfusion.choose(logits, torch.tensor([3, 4, 7, 8]), noise=Drawn(u))
    assert t.tolist() == [3, 3, 7, 7, 8, 8, 8, 3] and t.dtype == torch.int64
    expected = [math.log(p) for p in (0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.25, 0.5)]
    torch.testing.assert_close(log_prob, torch.tensor(expected, dtype=F64))


def test_the_number_that_decides_is_float64_whatever_the_policy_is():
    class Asked(Drawn):
        def uniform(self, like):
            assert like.dtype == F64 and not like.requires_grad
            return super().uniform(like)

    logits = torch.zeros(2, 4, requires_grad=True)
    t, log_prob = repfusion.choose(logits, TIMES[:4], noise=Asked(torch.tensor([0.3, 0.9], dtype=F64)))
    assert t.tolist() == [2, 6] and log_prob.dtype == torch.float32


def test_rows_have_policies_and_draws_of_their_own():
    logits = torch.stack([LOGITS, LOGITS.flip(0), 3 * LOGITS])
    u = torch.tensor([0.1, 0.5, 0.97], dtype=F64)
    t, log_prob = repfusion.choose(logits, TIMES, noise=Drawn(u))
    for row in range(3):
        pi = np.exp(logits[row].numpy()) / np.exp(logits[row].numpy()).sum()
        k = int(np.searchsorted(np.cumsum(pi), float(u[row]), side="right"))
        assert t[row] == TIMES[k] and float(log_prob[row]) == pytest.approx(math.log(pi[k]), abs=1e-12)
    many, _ = repfusion.choose(torch.zeros(400, 5), TIMES, noise=Noise(3))
    counts = [(many == t).sum().item() for t in TIMES]
    assert all(abs(n - 80) < 5 * 8 for n in counts)  # sd sqrt(400 * 0.2 * 0.8) = 8


def test_the_log_probability_is_that_of_the_choice_with_its_gradient():
    """d log pi_k / d logits = one_k - pi."""
    logits = LOGITS.expand(5, 5).clone().requires_grad_()
    t, log_prob = repfusion.choose(logits, TIMES, noise=Drawn(middles(LOGITS)))
    assert t.tolist() == TIMES.tolist()
    log_prob.sum().backward()
    torch.testing.assert_close(logits.grad, torch.eye(5, dtype=F64) - LOGITS.softmax(0))


# T1: REINFORCE


def enumerated(at=LOGITS, baseline=0.0, tau=0.0):
    """The mean gradient of the policy's loss in its logits, over all draws by their chance."""
    logits = at.clone().requires_grad_()
    t, log_prob = repfusion.choose(logits.expand(5, 5), TIMES, noise=Drawn(middles(at)))
    assert t.tolist() == TIMES.tolist()
    losses = [repfusion.policy_loss(log_prob[[k]], REWARD[[k]], baseline=baseline) for k in range(5)]
    total = (torch.stack(losses) * at.softmax(0)).sum() - tau * repfusion.entropy(logits[None]).mean()
    return torch.autograd.grad(total, logits)[0]


@pytest.mark.parametrize("baseline", [0.0, 0.7, -3.0])
def test_the_mean_gradient_over_all_draws_is_that_of_the_expected_reward(baseline):
    pi = np.exp(LOGITS.numpy()) / np.exp(LOGITS.numpy()).sum()
    R = REWARD.numpy()
    np.testing.assert_allclose(enumerated(baseline=baseline).numpy(), -pi * (R - pi @ R), rtol=0, atol=1e-15)


def test_a_baseline_of_each_row_is_taken_from_its_own_reward():
    log_prob, reward, base = draw(3), draw(3, seed=1), draw(3, seed=2)
    expected = -(log_prob.numpy() * (reward - base).numpy()).mean()
    found = repfusion.policy_loss(log_prob, reward, baseline=base)
    assert found.shape == () and float(found) == pytest.approx(expected, abs=1e-14)
    assert float(repfusion.policy_loss(log_prob, reward)) == pytest.approx(
        -(log_prob.numpy() * reward.numpy()).mean(), abs=1e-14
    )


def test_the_expected_reward_as_baseline_narrows_the_gradient():
    """Summed variance of (R - b) (one_k - pi) over draws, in numpy; smaller with b = E R than with none."""
    pi, R = LOGITS.softmax(0).numpy(), REWARD.numpy()

    def spread(b):
        draws = np.stack([(R[k] - b) * (np.eye(5)[k] - pi) for k in range(5)])
        return float(pi @ (draws**2).sum(1) - ((pi @ draws) ** 2).sum())

    def measured(b):
        rows = []
        for k in range(5):
            logits = LOGITS.clone().requires_grad_()
            _, log_prob = repfusion.choose(logits[None], TIMES, noise=Drawn(middles(LOGITS)[[k]]))
            rows.append(
                torch.autograd.grad(repfusion.policy_loss(log_prob, REWARD[[k]], baseline=b), logits)[0].numpy()
            )
        return float(pi @ (np.stack(rows) ** 2).sum(1) - ((pi @ np.stack(rows)) ** 2).sum())

    mean = float(pi @ R)
    assert measured(mean) == pytest.approx(spread(mean), rel=1e-12)
    assert measured(0.0) == pytest.approx(spread(0.0), rel=1e-12)
    assert measured(mean) < 0.6 * measured(0.0)


def test_no_gradient_reaches_the_reward_or_the_baseline():
    log_prob, reward, base = (draw(3, seed=s).requires_grad_() for s in range(3))
    repfusion.policy_loss(log_prob, reward, baseline=base).backward()
    assert reward.grad is None and base.grad is None
    torch.testing.assert_close(log_prob.grad, -(reward - base).detach() / 3)


def test_entropy_is_that_of_numpy_and_highest_where_all_are_equal():
    logits = torch.stack([LOGITS, torch.zeros(5, dtype=F64), 50 * LOGITS])
    pi = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(1, keepdims=True)
    np.testing.assert_allclose(repfusion.entropy(logits).numpy(), -(pi * np.log(pi)).sum(1), atol=1e-12)
    assert float(repfusion.entropy(logits)[1]) == pytest.approx(math.log(5))


@pytest.mark.parametrize("tau", [0.2, 1.0])
def test_with_entropy_the_best_policy_is_proportional_to_exp_of_reward_over_tau(tau):
    """There the mean gradient is 0; elsewhere it is -pi (A - E A) with A = R - tau log pi."""
    assert float(enumerated(REWARD / tau + 0.3, tau=tau).abs().max()) < 1e-14
    pi = np.exp(LOGITS.numpy()) / np.exp(LOGITS.numpy()).sum()
    A = REWARD.numpy() - tau * np.log(pi)
    np.testing.assert_allclose(enumerated(tau=tau).numpy(), -pi * (A - pi @ A), rtol=0, atol=1e-14)


# T1: the teacher


@pytest.mark.parametrize("noised", [True, False])
def test_the_teacher_is_read_at_its_waist_where_it_sees_noise(noised):
    process, net, x, eps = rough(9), Narrow(), draw(3, 2, 4, 3), draw(3, 2, 4, 3, seed=1)
    t = torch.tensor([9, 1, 4])
    it = repfusion.Teacher(net, net.waist, process, noised)
    h = it.features(x, t, noise=Drawn(normal=eps))
    abar = abar_of(process)[t.numpy()][:, None, None, None]
    seen = np.sqrt(abar) * x.numpy() + np.sqrt(1 - abar) * eps.numpy() if noised else x.numpy()
    (asked, at), *rest = net.seen
    assert not rest and at.tolist() == [9, 1, 4]
    np.testing.assert_allclose(asked.numpy(), seen, atol=1e-14)
    inner = np.einsum("kc,bchw->bkhw", net.weight.detach().numpy(), seen)
    expected = np.sin(inner + 0.3 * t.numpy()[:, None, None, None]).mean((2, 3))
    assert h.shape == (3, 4) and not h.requires_grad
    np.testing.assert_allclose(h.numpy(), expected, atol=1e-14)


def test_it_sees_noise_unless_told_otherwise():
    net = Narrow()
    assert repfusion.Teacher(net, net.waist, rough(9)).noised


def test_a_clean_teacher_draws_nothing():
    net = Narrow()
    it = repfusion.Teacher(net, net.waist, rough(9), noised=False)
    it.features(draw(1, 2, 3, 3), torch.tensor([1]), noise=Drawn())


@pytest.mark.parametrize("t", [[0, 1], [1, 10], [1], [1, 2, 3], [[1, 2]]])
def test_times_that_the_teacher_was_not_trained_at_are_named(t):
    net = Narrow()
    with pytest.raises(ValueError, match=r"t must hold one time in 1\.\.9 for each of 2 images"):
        repfusion.Teacher(net, net.waist, rough(9)).features(draw(2, 2, 3, 3), torch.tensor(t))


# T1: the student, the policy


def test_the_students_error_is_the_mean_over_entries_and_trains_the_student_alone():
    a, b = draw(3, 4).requires_grad_(), draw(3, 4, seed=1).requires_grad_()
    found = repfusion.match(a, b)
    assert found.item() == pytest.approx(float(((a - b).detach().numpy() ** 2).mean()), abs=1e-14)
    found.backward()
    torch.testing.assert_close(a.grad, (2 * (a - b) / 12).detach())
    assert b.grad is None


@pytest.mark.parametrize("shape", [(3, 5), (3, 1), (1, 4), (3, 4, 1)])
def test_features_of_other_shapes_are_named(shape):
    with pytest.raises(ValueError, match=r"the student says features .* for the teacher's \(3, 4\)"):
        repfusion.match(draw(*shape), draw(3, 4))


def test_a_linear_student_learns_the_least_squares_of_the_teacher():
    """At numpy's solution the gradient of its error is 0."""
    x, h = draw(20, 6), draw(20, 3, seed=1)
    weight = torch.from_numpy(np.linalg.lstsq(x.numpy(), h.numpy(), rcond=None)[0]).requires_grad_()
    repfusion.match(x @ weight, h).backward()
    assert float(weight.grad.abs().max()) < 1e-13  # pyright: ignore[reportOptionalMemberAccess]


def test_a_new_policy_prefers_no_time_and_a_woken_one_is_two_strided_convolutions():
    torch.manual_seed(0)
    policy = repfusion.Policy(2, 5, width=6).double()
    x = draw(3, 2, 7, 6)
    assert policy(x).shape == (3, 5) and not policy(x).any()
    with torch.no_grad():
        for seed, parameter in enumerate(policy.parameters()):
            parameter.copy_(draw(*parameter.shape, seed=seed))
    assert policy.conv_1.weight.shape == (6, 2, 3, 3) and policy.conv_2.weight.shape == (12, 6, 3, 3)
    h = F.pad(x, (1, 1, 1, 1))
    for weight, bias in ((policy.conv_1.weight, policy.conv_1.bias), (policy.conv_2.weight, policy.conv_2.bias)):
        patches = h.unfold(2, 3, 2).unfold(3, 3, 2)  # every other 3 x 3
        h = (torch.einsum("bchwij,kcij->bkhw", patches, weight) + bias[:, None, None]).clamp_min(0)  # pyright: ignore[reportOptionalSubscript]
        kept, h = h, F.pad(h, (1, 1, 1, 1))
    torch.testing.assert_close(policy(x), kept.mean((2, 3)) @ policy.outlet.weight.T + policy.outlet.bias)
    assert repfusion.Policy(3, 4).conv_1.weight.shape == (16, 3, 3, 3)


def test_the_likeliest_time_of_each_image():
    logits = torch.stack([LOGITS, LOGITS.flip(0), -LOGITS])
    found = repfusion.best(lambda x: logits.requires_grad_(), draw(3, 2), TIMES)
    assert found.tolist() == [5, 5, 2] and found.dtype == torch.int64


# T1: one step of distillation


class Step:
    """What `losses` takes, its networks linear, and what it should say, in numpy."""

    def __init__(self, **options):
        self.process, self.net = rough(9), Narrow()
        self.x, self.y, self.eps = draw(4, 2, 3, 3), torch.tensor([2, 0, 1, 1]), draw(4, 2, 3, 3, seed=7)
        self.u = torch.tensor([0.05, 0.6, 0.93, 0.35], dtype=F64)
        self.student, self.policy = nn.Linear(18, 4).double(), nn.Linear(18, 5).double()
        self.head = nn.Linear(4, 3).double()
        for seed, network in enumerate((self.student, self.policy, self.head)):
            with torch.no_grad():
                network.weight.copy_(0.4 * draw(*network.weight.shape, seed=20 + seed))
                network.bias.copy_(0.4 * draw(*network.bias.shape, seed=30 + seed))
        self.told = []

        def student(x):
            self.told.append(x)
            return self.student(x.flatten(1))

        self.teacher = repfusion.Teacher(self.net, self.net.waist, self.process)
        self.found = repfusion.losses(
            self.teacher, student, self.head, lambda x: self.policy(x.flatten(1)), self.x, self.y, TIMES,
            noise=Drawn(self.u, self.eps), **options,
        )  # fmt: skip

        self.parts = [self.found.student, self.found.head, self.found.policy, self.found.entropy]

    def expected(self, tau, kd_weight, baseline):
        def linear(layer, x):
            return x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()

        def log_softmax(z):
            return z - np.log(np.exp(z).sum(1, keepdims=True))

        flat = self.x.flatten(1).numpy()
        log_pi = log_softmax(linear(self.policy, flat))
        k = [
            int(np.searchsorted(np.cumsum(np.exp(r)), u, side="right"))
            for r, u in zip(log_pi, self.u.tolist(), strict=True)
        ]
        t = TIMES.numpy()[k]
        abar = abar_of(self.process)[t][:, None, None, None]
        seen = np.sqrt(abar) * self.x.numpy() + np.sqrt(1 - abar) * self.eps.numpy()
        h = np.einsum("kc,bchw->bkhw", self.net.weight.detach().numpy(), seen)
        h = np.sin(h + 0.3 * t[:, None, None, None]).mean((2, 3))
        cost = -log_softmax(linear(self.head, h))[range(4), self.y.numpy()]
        chosen = log_pi[range(4), k]
        return (
            kd_weight * ((linear(self.student, flat) - h) ** 2).mean(),
            cost.mean(),
            -(chosen * (-cost - baseline)).mean(),
            tau * (np.exp(log_pi) * log_pi).sum(1).mean(),
        ), t


@pytest.mark.parametrize(
    "options", [{}, {"tau": 0.3, "kd_weight": 2.5, "baseline": -0.8}, {"tau": 0.0, "kd_weight": 0.5}]
)
def test_one_step_is_that_of_numpy(options):
    step = Step(**options)
    expected, t = step.expected(**{"tau": 0.1, "kd_weight": 1.0, "baseline": 0.0} | options)
    assert all(part.shape == () for part in step.parts)
    np.testing.assert_allclose([part.item() for part in step.parts], expected, rtol=1e-12, atol=1e-14)
    assert step.found.total.item() == pytest.approx(sum(expected), rel=1e-12)
    ((_, asked),) = step.net.seen
    assert asked.tolist() == t.tolist() and len(set(asked.tolist())) > 1
    assert len(step.told) == 1 and torch.equal(step.told[0], step.x)  # the student sees the clean image


def test_every_part_trains_its_own_network_alone():
    step = Step()
    networks = {"student": step.student, "head": step.head, "policy": step.policy, "teacher": step.net}
    for part, own in zip(step.parts, ("student", "head", "policy", "policy"), strict=True):
        for name, network in networks.items():
            wanted = list(network.parameters())
            grads = torch.autograd.grad(part, wanted, retain_graph=True, allow_unused=True)
            reached = [g is not None and bool(g.abs().sum() > 0) for g in grads]
            assert reached == [name == own] * len(wanted), (own, name)


def test_the_teacher_stays_as_it_was():
    step = Step()
    assert torch.equal(step.net.weight, Narrow().weight)
    assert step.net.weight.grad is None
    step.found.total.backward()
    assert step.net.weight.grad is None and step.student.weight.grad is not None


@pytest.mark.parametrize("tau", [-0.1, -1.0])
def test_an_entropy_that_would_be_lowered_is_refused(tau):
    with pytest.raises(ValueError, match=r"tau, the weight of the policy's entropy, must be at least 0"):
        Step(tau=tau)


@pytest.mark.parametrize("times", [[1, 2, 3], [[1, 2, 3, 4, 5]], [1, 2, 3, 4, 5, 6]])
def test_times_that_are_not_those_of_the_policy_are_named(times):
    with pytest.raises(ValueError, match=r"want logits \(B, K\) for times \(K,\), not \(2, 5\) for"):
        repfusion.choose(LOGITS.expand(2, 5), torch.tensor(times))


# T8 on other networks than the demo's


@pytest.mark.slow
@pytest.mark.parametrize("base", [1, 2])
def test_the_claims_are_not_about_one_network(base):
    run: Run = demo.DEMO.run(seed=base)
    for claim in (demo.finds_the_time, demo.few_labels):
        assert claim(run, base).holds, claim(run, base)
