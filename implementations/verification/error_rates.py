"""What the two-sample test sees and what it does not: its power on an ancestral sampler with one thing wrong.

    python -m implementations.verification.error_rates    # or make two-sample: a minute, kept as evidence

The model is the exact one of a two-mode mixture, so the sampler is right up to its T = 100 steps, and every bug is
planted from outside, through what the sampler is given: `ddpm.sample` itself stays as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from copy import copy
from datetime import UTC, datetime

import torch
from torch import Tensor

from implementations import ddpm
from implementations.common.noise import Noise
from implementations.dpm import GaussianDiffusion
from implementations.lab.checkpoint import write_atomically
from implementations.verification.code_hash import code_hash
from implementations.verification.evidence import store
from implementations.verification.oracles import GaussianMixture, two_modes
from implementations.verification.twosample import Rate, energy_test, false_alarms, power

T, ROWS, RUNS, NULL_RUNS, LEVEL, PERMUTATIONS = 100, 500, 40, 400, 0.05, 199
Batch = Callable[[int, Noise], Tensor]


def chain() -> GaussianDiffusion:
    """The paper's schedule squeezed into 100 steps: ten times its betas, so that abar_T stays as small."""
    return ddpm.linear_schedule(T, 1e-3, 0.2)


def ancestral(
    *,
    process: GaussianDiffusion | None = None,
    shift: int = 0,
    start: float = 1.0,
    scale: float = 1.0,
    variance: ddpm.Variance = "small",
    clip: float | None = None,
    last: float = 0.0,
) -> Batch:
    """Ancestral sampling of the mixture.

    process: tables to use instead of the true ones; shift: added to the t the network sees; start, scale: factors on
    x_T and on all later noise; clip: bound on the predicted x_0; last: sd of noise added to the output.
    """
    true = chain()
    exact = two_modes().model(true.abar)

    def model(x: Tensor, t: Tensor) -> Tensor:
        eps = exact(x, (t + shift).clamp(1, T))
        if clip is None:
            return eps
        x_0 = ddpm.predict_x_0(true, x, t, eps).clamp(-clip, clip)
        return (x - true.at(true.abar, t, x).sqrt() * x_0) / (1 - true.at(true.abar, t, x)).sqrt()

    def batch(n: int, noise: Noise) -> Tensor:
        x_T = start * noise(torch.empty(n, 2, dtype=torch.float64))
        x = ddpm.sample(model, process or true, x_T, variance=variance, noise=Scaled(noise, scale))
        return x + last * noise(x)

    return batch


class Scaled(Noise):
    """Another source's normal draws, times a factor."""

    def __init__(self, source: Noise, scale: float) -> None:
        super().__init__()
        self.source, self.scale = source, scale

    def __call__(self, like: Tensor) -> Tensor:
        return self.scale * self.source(like)


def with_tables(**tables: Tensor) -> GaussianDiffusion:
    """The chain with some of its tables replaced."""
    tampered = copy(chain())
    for name, table in tables.items():
        setattr(tampered, name, table)
    return tampered


def exact_draws(mixture: GaussianMixture) -> Batch:
    return lambda n, noise: mixture.sample(n, noise=noise)


def bugs() -> dict[str, Batch]:
    """Name of the bug -> sampler.  The first has none."""
    right, data = chain(), two_modes()
    return {
        "none: the sampler as it is": ancestral(),
        "noise added at t = 0": ancestral(last=right.beta[1].sqrt().item()),
        "beta for beta-tilde": ancestral(variance="large"),
        "network given t - 1": ancestral(shift=-1),
        "network given t + 1": ancestral(shift=1),
        "x_T 10 % too small": ancestral(start=0.9),
        "later noise 10 % too small": ancestral(scale=0.9),
        "variance used as standard deviation": ancestral(
            process=with_tables(posterior_variance=right.posterior_variance.square())
        ),
        "sqrt(abar) for sqrt(alpha) in the mean": ancestral(process=with_tables(alpha=right.abar)),
        "predicted x_0 clipped to [-1, 1]": ancestral(clip=1.0),
        "modes as frequent as each other": exact_draws(GaussianMixture([1.0, 1.0], data.means, data.covs)),
        "rare mode lost": exact_draws(data.given(0)),
        "20 % of the rare mode lost": exact_draws(GaussianMixture([0.84, 0.16], data.means, data.covs)),
    }


def rows(batch: Batch, runs: int, seed: int) -> Callable[[int], Tensor]:
    """Draw the samples of all runs at once, and hand out ROWS of them to each."""
    each = batch(runs * ROWS, Noise(seed)).reshape(runs, ROWS, -1)
    return lambda run: each[run]


def measure(
    null_runs: int = NULL_RUNS, runs: int = RUNS, names: Collection[str] | None = None
) -> tuple[Rate, dict[str, Rate]]:
    """False alarms on data against data, and power on each bug (or on those named), all with fixed seeds."""
    data = exact_draws(two_modes())

    def test(x: Tensor, y: Tensor, seed: int) -> float:
        return energy_test(x, y, seed, permutations=PERMUTATIONS)

    left, right = rows(data, null_runs, 1), rows(data, null_runs, 2)
    null = false_alarms(test, lambda run: (left(run), right(run)), null_runs, LEVEL)
    truth = rows(data, runs, 3)
    caught = {}
    for seed, (name, batch) in enumerate(bugs().items(), start=4):
        if names is None or name in names:
            caught[name] = power(test, truth, rows(batch, runs, seed), runs, LEVEL)
    return null, caught


def record() -> None:
    """Measure, print, and write implementations/evidence/two-sample.yaml."""
    start = time.process_time()
    null, caught = measure()
    table = {
        "test": "energy distance, permutation p-value",
        "recorded": datetime.now(UTC).date().isoformat(),
        "code": code_hash("verification.error_rates"),
        "level": LEVEL,
        "permutations": PERMUTATIONS,
        "rows": [ROWS, ROWS],
        "data": "mixture of two Gaussians in the plane, weights 0.8 and 0.2",
        "sampler": f"ancestral, {T} steps, exact denoiser",
        "cpu_seconds": round(time.process_time() - start, 1),
        "false_alarms": _row(null),
        "power": [{"bug": name, **_row(rate)} for name, rate in caught.items()],
    }
    path = store.path_of("two-sample")
    write_atomically(path, store.dump(table).encode())
    print(f"{'false alarms, data against data':<42} {null.rejected:>3}/{null.runs}  [{null.low:.3f}, {null.high:.3f}]")
    for name, rate in caught.items():
        print(f"{name:<42} {rate.rejected:>3}/{rate.runs}  [{rate.low:.3f}, {rate.high:.3f}]")


def _row(rate: Rate) -> dict[str, float]:
    return {
        "rejected": rate.rejected,
        "runs": rate.runs,
        "rate": round(rate.rate, 4),
        "low": round(rate.low, 4),
        "high": round(rate.high, 4),
    }


if __name__ == "__main__":
    record()
