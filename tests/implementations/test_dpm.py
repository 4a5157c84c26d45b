"""Fast tests of implementations/dpm.py: T1 (identities), T2 (impulses), T4 (bounds), T5 (parity), T6 (invariants)."""

from __future__ import annotations

from itertools import product
from math import e, log, pi
from typing import Any, cast

import pytest
import torch
from diffusers.schedulers import scheduling_ddpm
from torch import Tensor

from implementations.common.noise import Noise
from implementations.dpm import (
    BinomialDiffusion,
    GaussianDiffusion,
    bound,
    divergence,
    erasing_schedule,
    gaussian_kl,
    loss,
    sample,
)
from implementations.verification import impulses

BETAS = torch.tensor([0.02, 0.1, 0.25, 0.4, 0.7], dtype=torch.float64)
T = len(BETAS)


class Recorded(Noise):
    """Hands out prepared tensors in turn: normal draws, uniform draws and integers alike."""

    def __init__(self, *draws: Tensor) -> None:
        super().__init__()
        self.draws = list(draws)
        self.ranges = []  # of the integers asked for

    def __call__(self, like: Tensor) -> Tensor:
        return self.draws.pop(0).expand_as(like).to(like)

    def uniform(self, like: Tensor) -> Tensor:
        return self(like)

    def integers(self, low: int, high: int, like: Tensor) -> Tensor:
        self.ranges.append((low, high))
        return self.draws.pop(0)


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def bits(n: int) -> Tensor:
    """All sequences of n bits, (2^n, n)."""
    return torch.tensor(list(product([0.0, 1.0], repeat=n)), dtype=torch.float64)


# ---- the Gaussian chain -------------------------------------------------------------------------------------------


def test_tables_are_those_of_the_chain():
    process = GaussianDiffusion(BETAS)
    assert process.T == T
    assert process.beta.tolist() == [0.0, *BETAS.tolist()]
    kept = 1.0
    for t in range(T + 1):
        beta = 0.0 if t == 0 else BETAS[t - 1].item()
        kept *= 1 - beta
        assert process.alpha[t].item() == pytest.approx(1 - beta, abs=1e-15)
        assert process.abar[t].item() == pytest.approx(kept, abs=1e-15)
    for table in (process.beta, process.alpha, process.abar, process.posterior_variance, *process.posterior_weights):
        assert table.dtype == torch.float64 and table.shape == (T + 1,) and table.isfinite().all()
    assert process.posterior_variance[:2].tolist() == [0, 0]


def test_tables_stay_exact_for_float32_rates():
    rates = torch.full((1000,), 1e-4)
    assert GaussianDiffusion(rates).abar[-1].item() == pytest.approx((1 - rates[0].item()) ** 1000, rel=1e-12)


@pytest.mark.parametrize("betas", [[], [0.0, 0.1], [0.1, 1.1], [float("nan")], [[0.1]]])
@pytest.mark.parametrize("chain", [GaussianDiffusion, BinomialDiffusion])
def test_rates_out_of_range_are_refused(chain, betas):
    with pytest.raises(ValueError, match=r"diffusion rates in \(0, 1\]"):
        chain(torch.tensor(betas))


def test_gaussian_marginal_composes_the_kernels():
    """One step more: x -> sqrt(1 - beta) x + sqrt(beta) z takes N(m, v) to N(sqrt(1 - beta) m, (1 - beta) v + beta)."""
    process, x_0, eps = GaussianDiffusion(BETAS), column(1.7, -0.3), column(0.4, -1.1)
    mean, variance = x_0, torch.zeros(1, dtype=torch.float64)
    for t, beta in enumerate(BETAS, 1):
        step, width = process.kernel(mean, t)
        torch.testing.assert_close(step, (1 - beta).sqrt() * mean, rtol=1e-14, atol=0)
        assert width.item() == pytest.approx(beta.item(), rel=1e-15)
        mean, variance = (1 - beta).sqrt() * mean, (1 - beta) * variance + beta
        torch.testing.assert_close(process.marginal(x_0, t)[0], mean, rtol=1e-14, atol=0)
        torch.testing.assert_close(process.marginal(x_0, t)[1], variance[0], rtol=1e-13, atol=0)
        torch.testing.assert_close(process.diffuse(x_0, t, eps), mean + variance.sqrt() * eps, rtol=1e-13, atol=0)
        torch.testing.assert_close(
            process.draw(process.marginal(x_0, t), Recorded(eps)), mean + variance.sqrt() * eps, rtol=1e-13, atol=0
        )
    assert torch.equal(process.diffuse(x_0, 0, eps), x_0)


def test_gaussian_posterior_is_the_conditional_of_the_joint():
    """x_{t-1} and x_t are jointly normal given x_0; condition by the covariance formula."""
    process, x_0, x_t = GaussianDiffusion(BETAS), column(1.7, -0.3), column(0.2, 2.0)
    for t in range(1, T + 1):
        kept = torch.prod(1 - BETAS[: t - 1])
        a, v = (1 - BETAS[t - 1]).sqrt(), 1 - kept
        var_t = a**2 * v + BETAS[t - 1]
        mean = kept.sqrt() * x_0 + a * v / var_t * (x_t - a * kept.sqrt() * x_0)
        variance = v - (a * v) ** 2 / var_t
        got_mean, got_variance = process.posterior(x_0, x_t, t)
        torch.testing.assert_close(got_mean, mean, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(got_variance, variance, rtol=1e-12, atol=1e-16)


def test_gaussian_entropies_against_torch():
    process, x = GaussianDiffusion(BETAS), torch.zeros(2, 3, 4, dtype=torch.float64)
    normal = torch.distributions.Normal
    for t in range(1, T + 1):
        sd = (1 - torch.prod(1 - BETAS[:t])).sqrt()
        torch.testing.assert_close(process.entropy(x, t), 12 * normal(0, sd).entropy().expand(2))
    torch.testing.assert_close(process.prior_entropy(x), 12 * normal(0, torch.tensor(1.0).double()).entropy().expand(2))


def test_a_step_that_erases_everything_is_allowed():
    process = GaussianDiffusion(erasing_schedule(4))
    assert process.abar.tolist() == pytest.approx([1, 0.75, 0.5, 0.25, 0])
    x_0, x_t = column(1.7), column(0.2)
    mean, variance = process.posterior(x_0, x_t, 4)
    assert mean.item() == pytest.approx(0.5 * 1.7) and variance.item() == pytest.approx(0.75)


def test_steps_can_differ_between_rows():
    process, binomial = GaussianDiffusion(BETAS), BinomialDiffusion(BETAS, 0.2)
    x_0, x_t, t = column(1.7, -0.3, 0.9), column(0.2, 2.0, -1.0), torch.tensor([1, 4, 5])
    for k in range(3):
        row, one = slice(k, k + 1), int(t[k])
        assert torch.equal(process.posterior(x_0, x_t, t)[0][row], process.posterior(x_0[row], x_t[row], one)[0])
        assert torch.equal(process.diffuse(x_0, t, x_t)[row], process.diffuse(x_0[row], one, x_t[row]))
        b_0, b_t = (x_0 > 0).double(), (x_t > 0).double()
        assert torch.equal(binomial.posterior(b_0, b_t, t)[row], binomial.posterior(b_0[row], b_t[row], one))


@pytest.mark.parametrize("shape", [(3,), (3, 2), (3, 1, 4, 4)])
def test_shapes_dtypes_and_arguments(shape):
    process = GaussianDiffusion(BETAS)
    x_0, eps, t = torch.randn(shape), torch.randn(shape), torch.tensor([1, 3, 5])
    before = [v.clone() for v in (x_0, eps, t)]
    x_t = process.diffuse(x_0, t, eps)
    mean, variance = process.posterior(x_0, x_t, t)
    assert x_t.shape == mean.shape == shape and x_t.dtype == mean.dtype == variance.dtype == torch.float32
    assert (variance + mean).shape == shape
    assert all(torch.equal(a, b) for a, b in zip(before, (x_0, eps, t), strict=True))


def test_gaussian_kl_against_torch():
    q, p = (torch.tensor(0.3), torch.tensor(0.2)), (torch.tensor(-0.5), torch.tensor(1.3))
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(q[0], q[1].sqrt()), normal(p[0], p[1].sqrt()))
    torch.testing.assert_close(gaussian_kl(*q, *p), expected)


# ---- the binomial chain -------------------------------------------------------------------------------------------


def transition(beta: float, rate: float) -> Tensor:
    """P[j, i] = q(x_t = j | x_{t-1} = i) of one bit, written out."""
    one = torch.tensor([rate * beta, 1 - beta + rate * beta], dtype=torch.float64)
    return torch.stack([1 - one, one])


@pytest.mark.parametrize("rate", [0.5, 0.2])
def test_binomial_marginal_and_posterior_by_enumeration(rate):
    process = BinomialDiffusion(BETAS, rate)
    powers = [torch.eye(2, dtype=torch.float64)]
    for beta in BETAS.tolist():
        powers.append(transition(beta, rate) @ powers[-1])
    for t, i, j in product(range(1, T + 1), (0, 1), (0, 1)):
        x_0, x_t = column(i), column(j)
        assert process.kernel(x_0, t).item() == pytest.approx(transition(BETAS[t - 1].item(), rate)[1, i].item())
        assert process.marginal(x_0, t).item() == pytest.approx(powers[t][1, i].item(), abs=1e-15)
        joint = transition(BETAS[t - 1].item(), rate)[j] * powers[t - 1][:, i]
        assert process.posterior(x_0, x_t, t).item() == pytest.approx((joint[1] / joint.sum()).item(), abs=1e-14)
        rates = torch.stack([1 - process.marginal(x_0, t), process.marginal(x_0, t)])
        assert process.entropy(x_0, t).item() == pytest.approx(-(rates * rates.log()).sum().item())


def test_binomial_rate_is_stationary_and_erased_at_the_end():
    process = BinomialDiffusion(erasing_schedule(50), 0.2)
    torch.testing.assert_close(process.abar, 1 - torch.arange(51, dtype=torch.float64) / 50, rtol=0, atol=1e-14)
    assert process.marginal(bits(1), 50).flatten().tolist() == pytest.approx([0.2, 0.2])


def test_binomial_kl_against_torch():
    q, p = torch.tensor([0.1, 0.5, 0.0, 1.0]), torch.tensor([0.3, 0.2, 0.4, 0.9])
    coin = torch.distributions.Bernoulli
    expected = torch.distributions.kl_divergence(coin(q), coin(p))
    torch.testing.assert_close(BinomialDiffusion.kl(q, p), expected)


@pytest.mark.parametrize("rate", [0, 1, -0.2, 1.5])
def test_rate_out_of_range_is_refused(rate):
    with pytest.raises(ValueError, match=f"between 0 and 1, not {rate}"):
        BinomialDiffusion(BETAS, rate)


def test_a_coin_lands_one_as_often_as_its_rate_says():
    """u is uniform on [0, 1), so u < rate has probability rate: never for 0, always for 1."""
    rates, lowest, highest = column(0.0, 0.3, 1.0), column(0.0, 0.0, 0.0), column(*[1 - 2**-53] * 3)
    assert BinomialDiffusion.draw(rates, Recorded(lowest)).flatten().tolist() == [0, 1, 1]
    assert BinomialDiffusion.draw(rates, Recorded(highest)).flatten().tolist() == [0, 0, 1]


def test_laws_of_coins_are_float64_for_float32_bits():
    """A step of 1e-9 is less than float32 knows of a rate near 1, and its log-odds come from what is left to 1."""
    betas, bits = torch.tensor([1e-9, 0.5], dtype=torch.float64), torch.tensor([[1.0, 0.0]])
    process = BinomialDiffusion(betas, 0.3)
    expected = torch.tensor([[1 - 0.7e-9, 0.3e-9]], dtype=torch.float64)
    t = torch.tensor([1])
    for law in (process.kernel(bits, t), process.marginal(bits, t), process.reverse(lambda x, t: 0 * x, bits, t)):
        assert law.dtype == torch.float64
        torch.testing.assert_close(law, expected, rtol=0, atol=1e-15)
    assert process.posterior(bits, bits, t + 1).dtype == torch.float64


def test_entropies_of_coins_are_float64_for_float32_bits():
    process, x = BinomialDiffusion(BETAS, 0.2), torch.zeros(2, 20)
    expected = -20 * (0.2 * log(0.2) + 0.8 * log(0.8))
    assert process.prior_entropy(x).tolist() == pytest.approx([expected] * 2, rel=1e-14)


# ---- the reverse kernel -------------------------------------------------------------------------------------------


def test_an_untrained_network_leaves_the_forward_kernel():
    """Eq. 64 and 65 at z_Sigma = 0: variance beta, and the mean pulled towards z_mu by beta."""
    process, x = GaussianDiffusion(BETAS), column(1.7, -0.3)
    z_mu, z_Sigma = column(0.5, 0.5), column(0.0, 1.0)
    mean, variance = process.reverse(lambda x, t: torch.cat([z_mu, z_Sigma], 1), x, 3)
    Sigma = 1 / (1 + torch.exp(-column(0.0, 1.0)) * (1 - 0.25) / 0.25)
    torch.testing.assert_close(variance, Sigma, rtol=1e-14, atol=0)
    torch.testing.assert_close(mean, x + Sigma * (z_mu - x), rtol=1e-14, atol=0)
    coins = BinomialDiffusion(BETAS, 0.2)
    rate = coins.reverse(lambda x, t: column(0.0, log(3)), column(1, 1), 3)
    kept = coins.kernel(column(1, 1), 3)
    torch.testing.assert_close(rate / (1 - rate), column(1, 3) * kept / (1 - kept), rtol=1e-12, atol=0)


def test_the_network_gets_t_as_it_is():
    seen = []

    def model(x, t):
        seen.append((len(x), t.tolist()))
        return torch.zeros(len(x), 2, dtype=x.dtype)

    process, x = GaussianDiffusion(BETAS), column(1.0, 2.0)
    sample(model, process, x, noise=Noise(0))
    assert seen == [(2, [t, t]) for t in (5, 4, 3, 2)]
    seen.clear()
    bound(model, process, x, noise=Noise(0))
    assert seen == [(2, [t, t]) for t in (2, 3, 4, 5)]
    seen.clear()
    noise = Recorded(torch.tensor([2, 5]), x)
    loss(model, process, x, noise=noise)
    assert seen == [(2, [2, 5])] and noise.ranges == [(2, 5)]


# ---- T2: the sampler's exact moments ------------------------------------------------------------------------------


def test_sampler_has_exactly_the_moments_of_its_kernels():
    """A model with z_mu = a_t x + c_t and z_Sigma = s_t makes x_{t-1} = (1 - S + S a) x_t + S c + sqrt(S) z."""
    process = GaussianDiffusion(BETAS)
    a, c, s = torch.tensor([[0.3, -0.2, 0.5, 0.1], [0.2, 0.7, -0.4, 0.9], [-1.0, 0.6, 0.0, 1.2]], dtype=torch.float64)

    def model(x, t):
        k = t[:, None] - 2
        return torch.cat([a[k] * x + c[k], s[k].expand_as(x)], dim=1)

    mean, variance = 0.0, 1.0
    for t in range(T, 1, -1):
        odds = BETAS[t - 1] / (1 - BETAS[t - 1]) * s[t - 2].exp()
        S = (odds / (1 + odds)).item()
        gain = 1 - S + S * a[t - 2].item()
        mean, variance = gain * mean + S * c[t - 2].item(), gain**2 * variance + S
    keep = 1 - BETAS[0].item()
    mean, variance = keep**0.5 * mean, keep * variance + BETAS[0].item()

    got = impulses.moments(lambda x, noise: sample(model, process, x, noise=noise))
    assert got.draws == T + 1
    assert got.mean.item() == pytest.approx(mean, abs=1e-12)
    assert got.cov.item() == pytest.approx(variance, abs=1e-12)


def exact_reverse(process: GaussianDiffusion, variances: Tensor):
    """A network whose kernel is the exact reversal for data N(0, diag(variances)), solved for z_mu and z_Sigma.

    With v = variances after t - 1 steps: x_{t-1} | x_t has variance S = v beta / u and mean sqrt(alpha) v / u x_t,
    where u = alpha v + beta is the variance of x_t.
    """

    def model(x, t):
        z_mu, z_Sigma = torch.empty_like(x), torch.empty_like(x)
        for row, step in enumerate(t.tolist()):
            kept, beta = torch.prod(1 - BETAS[: step - 1]), BETAS[step - 1]
            v = kept * variances + 1 - kept
            u = (1 - beta) * v + beta
            S = v * beta / u
            gain = (1 - beta).sqrt() * v / u
            z_mu[row] = x[row] * (gain - (1 - S)) / S
            z_Sigma[row] = (S / (1 - S)).log() - (beta / (1 - beta)).log()
        return torch.cat([z_mu, z_Sigma], dim=1)

    return model


def test_exact_reverse_of_standard_normal_data_is_stationary():
    process = GaussianDiffusion(BETAS)
    got = impulses.moments(
        lambda x, noise: sample(exact_reverse(process, torch.ones(2).double()), process, x, noise=noise), (2,)
    )
    torch.testing.assert_close(got.cov, torch.eye(2, dtype=torch.float64), atol=1e-12, rtol=0)


# ---- T4: the bound equals what it bounds --------------------------------------------------------------------------


def corners(variances: Tensor, T: int) -> tuple[Tensor, Noise]:
    """A batch whose mean of any quadratic in (x_0, eps) is the expectation under N(0, diag(variances)) x N(0, I).

    Coordinates are independent and the quadratic has no term across them, so all may share one pair of signs.
    """
    signs = torch.tensor([[1, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)
    x_0 = signs[:, :1] * variances.sqrt()
    return x_0, Recorded(*[signs[:, 1:]] * (T - 1))


@pytest.mark.parametrize("variances", [[1.0, 1.0], [0.2, 1.8]])
def test_gaussian_bound_with_the_exact_reverse(variances):
    """K = -H(X_1) - KL(q(x_T) || prior) for any data of mean square 1, no sampling error.

    With p(x_{t-1} | x_t) = q(x_{t-1} | x_t) for t > 1, Eq. 12 telescopes to the mean of
    log q(x_1) + log prior(x_T) - log q(x_T) + log T(x_0 | x_1) - log q(x_1 | x_0); Eq. 44 turns the last two into
    log prior(x_0) - log prior(x_1), whose mean is 0.  For data N(0, I) it is log p itself, -H(X_0).
    """
    variances = torch.tensor(variances, dtype=torch.float64)
    process = GaussianDiffusion(BETAS)
    x_0, noise = corners(variances, T)
    mean_K = bound(exact_reverse(process, variances), process, x_0, noise=noise).mean().item()
    v_1 = (1 - BETAS[0]) * variances + BETAS[0]
    kept = torch.prod(1 - BETAS)
    v_T = kept * variances + 1 - kept
    expected = -0.5 * (2 * pi * e * v_1).log().sum() - 0.5 * (v_T - 1 - v_T.log()).sum()
    assert mean_K == pytest.approx(expected.item(), abs=1e-12)
    if variances.tolist() == [1.0, 1.0]:
        assert mean_K == pytest.approx(-log(2 * pi * e), abs=1e-12)
    else:
        # below log p(x_0), whose law is that of the sampler: N(0, alpha_1 w + beta_1), w by the reverse recursion
        w = torch.ones(2, dtype=torch.float64)
        for t in range(T, 1, -1):
            kept = torch.prod(1 - BETAS[: t - 1])
            v = kept * variances + 1 - kept
            u = (1 - BETAS[t - 1]) * v + BETAS[t - 1]
            w = (1 - BETAS[t - 1]) * (v / u) ** 2 * w + v * BETAS[t - 1] / u
        w = (1 - BETAS[0]) * w + BETAS[0]
        log_p = -0.5 * ((2 * pi * w).log() + variances / w).sum()
        assert mean_K < log_p.item() < -0.5 * (2 * pi * e * variances).log().sum().item()


def test_loss_is_least_and_flat_at_the_exact_reverse():
    """T1: at the exact kernel the loss is the entropy above, its gradient is zero, and any step away raises it."""
    variances = torch.tensor([0.2, 1.8], dtype=torch.float64)
    process = GaussianDiffusion(BETAS)
    exact = exact_reverse(process, variances)
    x_0, _ = corners(variances, T)
    rows = x_0.repeat(T - 1, 1)
    signs = torch.tensor([1, -1, 1, -1], dtype=torch.float64)[:, None].repeat(T - 1, 1)
    t = torch.arange(2, T + 1).repeat_interleave(4)

    def at(shift: Tensor) -> Tensor:
        # shifts of the slope of z_mu and of z_Sigma, per coordinate
        def model(x, t):
            return exact(x, t) + torch.cat([shift[:2] * x, shift[2:].expand_as(x)], dim=1)

        return loss(model, process, rows, noise=Recorded(t, signs))

    K = bound(exact, process, x_0, noise=corners(variances, T)[1]).mean()
    shift = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    best = at(shift)
    best.backward()
    assert best.item() == pytest.approx(-K.item(), abs=1e-12)
    assert shift.grad is not None and shift.grad.abs().max().item() < 1e-12
    for k, size in product(range(4), (0.1, -0.1)):
        assert at(shift.detach() + size * torch.eye(4, dtype=torch.float64)[k]).item() > best.item() + 1e-4


def test_gradient_reaches_the_schedule():
    """The gradient of K by a diffusion rate, against a central difference."""
    variances = torch.tensor([0.2, 1.8], dtype=torch.float64)
    exact = exact_reverse(GaussianDiffusion(BETAS), variances)

    def K(betas: Tensor) -> Tensor:
        x_0, noise = corners(variances, T)
        return bound(exact, GaussianDiffusion(betas), x_0, noise=noise).mean()

    betas = BETAS.clone().requires_grad_()
    K(betas).backward()
    assert betas.grad is not None
    for k in range(1, T):
        step = 1e-5 * torch.eye(T, dtype=torch.float64)[k]
        slope = (K(BETAS + step) - K(BETAS - step)) / 2e-5
        assert betas.grad[k].item() == pytest.approx(slope.item(), rel=1e-6)


N = 2  # bits of the enumerated chain
P_0 = torch.tensor(
    [0.1, 0.4, 0.4, 0.1], dtype=torch.float64
)  # of 00, 01, 10, 11: dependent bits, each a one half the time


def enumerated(x: Tensor) -> Tensor:
    """Index of each row of bits."""
    return (x[:, 0] * 2 + x[:, 1]).long()


def chain(process: BinomialDiffusion, x: Tensor, t: int) -> Tensor:
    """q(. | x) after step t alone, as (4, 4): row x, column next."""
    P = transition(process.beta[t].item(), process.rate)
    return torch.stack([torch.kron(P[:, int(a)], P[:, int(b)]) for a, b in x])


def reverse_model(process: BinomialDiffusion):
    """The best reverse kernel with independent bits: the rates of q(x_{t-1} | x_t), by enumeration."""
    x, law, tables = bits(N), P_0, {}
    for t in range(1, process.T + 1):
        joint = law[:, None] * chain(process, x, t)
        tables[t] = (joint / joint.sum(0)).T @ x
        law = joint.sum(0)

    def model(x, t):
        k = int(t[0])
        return tables[k][enumerated(x)].logit() - process.kernel(x, k).logit()

    return model, tables


def log_p(process: BinomialDiffusion, tables: dict[int, Tensor]) -> Tensor:
    """log p(x_0) for each of the four states, summed over all trajectories."""
    x = bits(N)
    law = torch.full((4,), 0.25, dtype=torch.float64)
    for t in range(process.T, 1, -1):
        rates = tables[t]
        law = law @ torch.stack([torch.where(y > 0, rates, 1 - rates).prod(1) for y in x], dim=1)
    return (law @ chain(process, x, 1)).log()


def expected_bound(process: BinomialDiffusion, tables: dict[int, Tensor]) -> float:
    """Eq. 12 with every trajectory x_0..x_T written out and weighted by its probability."""
    x = bits(N)
    forward = {t: chain(process, x, t) for t in range(1, process.T + 1)}
    backward = {t: torch.stack([torch.where(y > 0, r, 1 - r).prod(1) for y in x], dim=1) for t, r in tables.items()} | {
        1: forward[1]
    }
    weight, ratio = P_0, torch.full((4,), log(0.25), dtype=torch.float64)  # of each path so far: axis t is x_t
    for t in range(1, process.T + 1):
        weight = weight[..., None] * forward[t]
        ratio = ratio[..., None] + (backward[t].T / forward[t]).log()
    return (weight * ratio).sum().item()


def every_draw(process: BinomialDiffusion, model, x_0: Tensor) -> Tensor:
    """The mean of K over x_t, by weighting each x_t the chain can draw; (4,), one for each x_0."""
    x = bits(N)
    K = process.entropy(x_0, process.T) - process.entropy(x_0, 1) - process.prior_entropy(x_0)
    for t in range(2, process.T + 1):
        rates = process.marginal(x_0, t)
        for target in x:
            weight = torch.where(target > 0, rates, 1 - rates).prod(1)
            forced = Recorded(torch.where(target > 0, 0.0, 1.0 - 1e-12).double())
            K = K - weight * divergence(model, process, x_0, t, noise=forced)
    return K


def test_binomial_bound_is_equation_12_and_below_log_p():
    process = BinomialDiffusion(torch.tensor([0.1, 0.3, 0.6, 0.9]), 0.5)
    model, tables = reverse_model(process)
    mean_K = (P_0 * every_draw(process, model, bits(N))).sum().item()
    assert mean_K == pytest.approx(expected_bound(process, tables), abs=1e-10)
    mean_log_p = (P_0 * log_p(process, tables)).sum().item()
    assert mean_K < mean_log_p < (P_0 * P_0.log()).sum().item()


def test_bound_draws_what_enumeration_weights():
    """`bound` is `every_draw` with the rows drawn: their means agree within five standard errors."""
    process = BinomialDiffusion(torch.tensor([0.1, 0.3, 0.6, 0.9]), 0.5)
    model, _ = reverse_model(process)
    rows = torch.full((20_000, N), 1.0, dtype=torch.float64) * torch.tensor([0.0, 1.0])
    K = bound(model, process, rows, noise=Noise(0))
    exact = every_draw(process, model, bits(N))[1].item()
    assert abs(K.mean().item() - exact) < 5 * K.std().item() / len(rows) ** 0.5


def test_binomial_bound_of_one_bit_with_the_exact_reverse():
    """One bit's reversal is representable, so K = -H(X_1) + mean of log prior(x_0) / prior(x_1) when x_T is erased."""
    rate, ones = 0.2, 0.2
    process = BinomialDiffusion(erasing_schedule(6), rate)
    law = torch.tensor([1 - ones, ones], dtype=torch.float64)
    tables, marginals = {}, [law]
    for t in range(1, 7):
        joint = transition(process.beta[t].item(), rate) * marginals[-1]
        tables[t] = joint[:, 1] / joint.sum(1)
        marginals.append(joint.sum(1))

    def model(x, t):
        return tables[int(t[0])][x.long()].logit() - process.kernel(x, int(t[0])).logit()

    x_0, K = column(0, 1), 0.0
    K = process.entropy(x_0, 6) - process.entropy(x_0, 1) - process.prior_entropy(x_0)
    for t in range(2, 7):
        for draw, weight in ((0.0, process.marginal(x_0, t)), (1.0 - 1e-12, 1 - process.marginal(x_0, t))):
            noise = Recorded(torch.tensor(draw, dtype=torch.float64))
            K = K - weight[:, 0] * divergence(model, process, x_0, t, noise=noise)
    H_1 = -(marginals[1] * marginals[1].log()).sum()
    assert (law * K).sum().item() == pytest.approx(-H_1.item(), abs=1e-12)


# ---- T5: parity with an independent implementation ----------------------------------------------------------------


def test_marginal_and_posterior_are_those_of_diffusers(monkeypatch):
    """Its DDPM scheduler, given x_0 itself, steps by the posterior; its t counts from 0, its tables are float32.

    Of the binomial chain there is none: enumeration, above, stands for it.
    """
    process, x_0, eps = GaussianDiffusion(BETAS), column(1.7, -0.3, 0.9), column(0.4, -1.1, 2.0)
    scheduler = scheduling_ddpm.DDPMScheduler(
        num_train_timesteps=T, trained_betas=BETAS.numpy(), prediction_type="sample", clip_sample=False
    )
    scheduler.alphas_cumprod, scheduler.one = torch.cumprod(1 - BETAS, 0), torch.ones((), dtype=torch.float64)
    monkeypatch.setattr(scheduling_ddpm, "randn_tensor", lambda *a, **k: eps)
    for t in range(1, T + 1):
        x_t = process.diffuse(x_0, t, eps.flip(0))
        index = cast(Any, torch.full((3,), t - 1))  # annotated as an IntTensor; any integers will do
        theirs = scheduler.add_noise(x_0, eps.flip(0), index)
        torch.testing.assert_close(x_t, theirs, rtol=1e-13, atol=0)
        before = process.draw(process.posterior(x_0, x_t, t), Recorded(eps))
        step = scheduler.step(x_0, t - 1, x_t, return_dict=False)[0]
        torch.testing.assert_close(before, step, rtol=1e-12, atol=0)


# ---- T6: invariants -----------------------------------------------------------------------------------------------


def gaussian_model(x, t):
    return torch.cat([x.sin() / t[:, None], 0.1 * x], dim=1)


def binomial_model(x, t):
    return (x.roll(1, 1) - 0.5) / t[:, None]


CHAINS = [
    pytest.param(GaussianDiffusion(BETAS), gaussian_model, id="gaussian"),
    pytest.param(BinomialDiffusion(BETAS, 0.2), binomial_model, id="binomial"),
]


def start(process, rows: int) -> Tensor:
    x = Noise(5)(torch.empty(rows, 3))
    return x if isinstance(process, GaussianDiffusion) else (x > 0).float()


@pytest.mark.parametrize(("process", "model"), CHAINS)
def test_same_seed_same_samples_and_arguments_unchanged(process, model):
    x = start(process, 8)
    kept = x.clone()
    first, again, other = (sample(model, process, x, noise=Noise(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other) and torch.equal(x, kept)
    assert first.dtype == x.dtype and first.shape == x.shape
    state = torch.get_rng_state()
    sample(model, process, x, noise=Noise(1))
    bound(model, process, x, noise=Noise(1))
    assert torch.equal(state, torch.get_rng_state()) and torch.equal(x, kept)


@pytest.mark.parametrize(("process", "model"), CHAINS)
def test_batch_of_8_is_2_times_4(process, model):
    x = start(process, 8)
    for function in (sample, bound):
        whole = function(model, process, x, noise=Noise(range(8)))
        halves = [function(model, process, x[k : k + 4], noise=Noise(range(k, k + 4))) for k in (0, 4)]
        torch.testing.assert_close(torch.cat(halves), whole, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("process", "model"), CHAINS)
def test_loss_estimates_minus_the_bound(process, model):
    """Over all t the loss with one t per row is minus K: same draws for each t in both."""
    x_0 = start(process, 1)
    draws = [Noise(9).uniform(torch.empty(1, 3, dtype=torch.float64)) for _ in range(T - 1)]
    K = bound(model, process, x_0, noise=Recorded(*draws))
    one_each = Recorded(torch.arange(2, T + 1), torch.cat(draws))
    assert loss(model, process, x_0.repeat(T - 1, 1), noise=one_each).item() == pytest.approx(-K.item(), rel=1e-5)


def test_two_steps_leave_one_to_learn():
    process, x = GaussianDiffusion(BETAS[:2]), column(1.7, -0.3)
    K = bound(gaussian_model, process, x, noise=Recorded(x))
    value = loss(gaussian_model, process, x, noise=Recorded(torch.tensor([2, 2]), x))
    torch.testing.assert_close(value, -K.mean())


@pytest.mark.parametrize("chain_", [GaussianDiffusion, BinomialDiffusion])
def test_one_step_is_the_prior(chain_):
    """T = 1 learns nothing: K is L_null, the log-likelihood of the prior, and the only step is the forward kernel."""
    process = chain_(torch.tensor([0.3]))

    def never(x, t):
        raise AssertionError("no step is learned")

    x = start(process, 4).double()
    torch.testing.assert_close(bound(never, process, x), -process.prior_entropy(x), rtol=1e-14, atol=0)
    per_entry = 0.5 * log(2 * pi * e) if chain_ is GaussianDiffusion else log(2)
    assert process.prior_entropy(x).tolist() == pytest.approx([3 * per_entry] * 4)
    u = torch.full((4, 3), 0.4, dtype=torch.float64)
    expected = 0.7**0.5 * x + 0.3**0.5 * u if chain_ is GaussianDiffusion else (u < 0.7 * x + 0.15).double()
    torch.testing.assert_close(sample(never, process, x, noise=Recorded(u)), expected)
    with pytest.raises(ValueError, match="T = 1 step has nothing to learn"):
        loss(never, process, x)


def test_bound_and_samples_of_an_untrained_chain_are_the_prior():
    """With the forward kernel as reverse kernel the chain stays at its prior, and K is L_null less nothing gained."""
    process = BinomialDiffusion(erasing_schedule(20), 0.2)
    x_0 = (torch.arange(20) % 5 == torch.arange(2000)[:, None] % 5).float()  # one bit in five, as the rate has it

    def untrained(x: Tensor, t: Tensor) -> Tensor:
        return torch.zeros_like(x)

    bits = bound(untrained, process, x_0, noise=Noise(0)).mean().item() / log(2)
    null = -process.prior_entropy(x_0[:1]).item() / log(2)
    assert bits == pytest.approx(null, abs=0.1)
    x_T = process.draw(torch.full((4000, 20), 0.2, dtype=torch.float64), Noise(1)).float()
    ones = sample(untrained, process, x_T, noise=Noise(2)).mean().item()
    assert ones == pytest.approx(0.2, abs=5 * (0.16 / 80_000) ** 0.5)


def test_heartbeats_null_is_the_papers():
    """Table 1: K = -2.414 is 12.024 above the independent coins, so those have -14.438 bits: 20 coins of rate 0.2."""
    coins = BinomialDiffusion(BETAS, 0.2).prior_entropy(torch.zeros(1, 20)) / log(2)
    assert coins.item() == pytest.approx(12.024 + 2.414, abs=1e-3)  # two rounded figures
