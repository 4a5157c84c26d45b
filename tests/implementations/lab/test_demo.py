"""What a demo is made of."""

from __future__ import annotations

import pytest

from implementations.lab.demo import Demo, Run, once


def test_once_knows_a_question_again_however_it_is_put():
    asked = []

    @once
    def samples(run: Run, steps: int = 10, *, eta: float = 0.0) -> list[float]:
        asked.append((run.seed, steps, eta))
        return [steps, eta]

    run = Run()
    first = samples(run)
    assert all(again is first for again in (samples(run, 10), samples(run, steps=10, eta=0.0), samples(run, eta=0.0)))
    assert asked == [(0, 10, 0.0)]
    assert samples(run, 10, eta=1.0) == [10, 1.0]
    assert samples(Run(seed=3)) is not first
    assert asked[1:] == [(0, 10, 1.0), (3, 10, 0.0)]


def test_once_keeps_two_functions_apart_and_asks_again_what_failed():
    attempts = []

    @once
    def fails(run: Run) -> int:
        attempts.append(run)
        raise RuntimeError("no luck")

    @once
    def one(run: Run) -> int:
        return 1

    @once
    def two(run: Run) -> int:
        return 2

    run = Run()
    assert (one(run), two(run), one(run)) == (1, 2, 1)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no luck"):
            fails(run)
    assert len(attempts) == 2


def test_a_demo_takes_its_own_data_and_refuses_other():
    demo = Demo(claims=(), figures=(), network=dict, steps=7, data=("digits", "mnist"))
    assert demo.run() == Run(data="digits", steps=7)
    assert demo.run(data="mnist", seed=3) == Run(data="mnist", steps=7, seed=3)
    with pytest.raises(ValueError, match="data must be 'digits' or 'mnist' here, not 'mixture'"):
        demo.run(data="mixture")
    with pytest.raises(ValueError, match="steps must be at least 1, not 0"):
        demo.run(steps=0)
