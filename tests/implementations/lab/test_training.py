"""The loop does what Adam, the average and the seed say; interruption and several processes change nothing."""

import copy
import dataclasses
import json
import os
import signal
import subprocess
import sys
import textwrap
from math import cos, pi

import pytest
import torch
from torch import nn

from implementations.common.noise import Noise
from implementations.lab import checkpoint
from implementations.lab.data import Dataset
from implementations.lab.training import train
from implementations.lab.training.batches import Order


def numbers(n: int = 10) -> Dataset:
    """Examples 0, 1, ..., n - 1, each its own label."""
    x, y = torch.arange(float(n))[:, None], torch.arange(n)
    return Dataset("numbers", x, y, x[:0], y[:0], None, (0.0, float(n)))


class Weight(nn.Module):
    """One number."""

    def __init__(self, w: float = 0.0) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(float(w)))

    def forward(self):
        return self.w * 1.0


class Wide(nn.Module):
    """Dropout, a buffer and two layers: all that a state must hold."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layers = nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.3), nn.BatchNorm1d(8), nn.Linear(8, 1))

    def forward(self, x):
        return self.layers(x)


def noisy_loss(model, batch, noise):
    x, y = batch
    return (model(x + noise(x)) - y[:, None] / 10).square().mean()


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_adam_moves_by_the_learning_rate_and_the_average_lags():
    """A constant gradient makes every step of Adam exactly -lr (its epsilon of 1e-8 aside)."""
    model = Weight(1.0)
    run = train(model, lambda m, b, n: 3 * m(), numbers(), steps=2, lr=0.1, ema=0.999)
    assert model.w.item() == pytest.approx(0.8, abs=1e-6)
    first = 1 / 11 * 1.0 + 10 / 11 * 0.9  # decay 1/11 after the first step, 2/12 after the second
    assert run.model.w.item() == pytest.approx(2 / 12 * first + 10 / 12 * 0.8, abs=1e-6)
    assert run.losses == pytest.approx([3.0, 2.7], abs=1e-6)
    assert not run.model.training and run.seconds > 0
    assert run.model.w.grad_fn is None and not run.model.w.requires_grad  # else it would hold every step's graph


def test_the_average_decays_by_ema_once_that_is_less_than_what_a_young_run_allows():
    run = train(Weight(1.0), lambda m, b, n: m(), numbers(), steps=1, lr=0.1, ema=0.05)
    assert run.model.w.item() == pytest.approx(0.05 * 1 + 0.95 * 0.9, abs=1e-6)


def test_anneal_lets_the_learning_rate_fall_along_half_a_cosine():
    model = Weight()
    train(model, lambda m, b, n: m(), numbers(), steps=5, lr=0.1, anneal=True)
    assert model.w.item() == pytest.approx(-sum(0.1 * (1 + cos(pi * k / 5)) / 2 for k in range(5)), abs=1e-6)


def test_finds_the_mean():
    run = train(Weight(), lambda m, b, n: (m() - b[0]).square().mean(), numbers(), steps=300, lr=0.2, anneal=True)
    assert run.model.w.item() == pytest.approx(4.5, abs=0.1)


@pytest.mark.parametrize("batch_size", [3, 4, 25])
def test_every_epoch_meets_each_example_once(batch_size):
    order = Order(10, batch_size, seed=0, device=torch.device("cpu"))
    stream = torch.cat([order(k) for k in range(20)])[:60].reshape(-1, 10)
    assert torch.equal(stream.sort(1).values, torch.arange(10).expand(len(stream), 10))
    assert len({tuple(epoch.tolist()) for epoch in stream}) == len(stream)


def test_labels_stay_with_their_examples():
    def loss(model, batch, noise):
        assert torch.equal(batch[0][:, 0], batch[1].float()) and len(batch[0]) == 4
        return model() ** 2

    train(Weight(), loss, numbers(), steps=5, batch_size=4)


def test_same_seed_same_run_other_seed_another():
    runs = [train(Wide(), noisy_loss, numbers(), steps=5, batch_size=4, seed=seed) for seed in (0, 0, 1)]
    assert runs[0].losses == runs[1].losses != runs[2].losses
    assert same(runs[0].model, runs[1].model)


def test_the_caller_s_random_numbers_are_left_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(Weight(), lambda m, b, n: (m() - n(b[0])).square().mean(), numbers(), steps=2)
    assert torch.equal(torch.get_rng_state(), before)


def test_noise_is_standard_normal_and_new_each_step():
    seen = []

    def loss(model, batch, noise):
        assert isinstance(noise, Noise)
        seen.append(noise(batch[0]))
        return model() ** 2

    train(Weight(), loss, numbers(1000), steps=20, batch_size=1000)
    draws = torch.stack(seen)
    assert len(draws.unique()) > 19_900
    assert abs(draws.mean()) < 4 / 20_000**0.5 and abs(draws.var() - 1) < 4 * (2 / 20_000) ** 0.5


def test_ctrl_c_keeps_the_state_and_resume_goes_on_to_the_same_weights(tmp_path):
    options = {"steps": 9, "batch_size": 4, "lr": 0.01, "anneal": True}
    whole = train(Wide(), noisy_loss, numbers(), **options)

    calls = []

    def interrupted(model, batch, noise):
        calls.append(1)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return noisy_loss(model, batch, noise)

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(Wide(), interrupted, numbers(), **options, out=tmp_path)
    assert signal.getsignal(signal.SIGINT) is handler
    assert checkpoint.load(tmp_path / "training.state.safetensors")[1]["step"] == "4"

    model = Wide()
    resumed = train(model, noisy_loss, numbers(), **options, out=tmp_path, resume=True)
    assert resumed.losses == whole.losses
    assert same(resumed.model, whole.model)
    again = train(Wide(), interrupted, numbers(), **options, out=tmp_path, resume=True)  # finished: trains no more
    assert len(calls) == 4 and again.losses == whole.losses and same(again.model, whole.model)


def test_resume_without_a_state_starts_anew(tmp_path):
    run = train(Weight(), lambda m, b, n: m() ** 2, numbers(), steps=2, out=tmp_path, resume=True)
    assert len(run.losses) == 2


def test_without_resume_a_state_is_ignored(tmp_path):
    for _ in range(2):
        run = train(Weight(1.0), lambda m, b, n: m() ** 2, numbers(), steps=2, out=tmp_path)
        assert run.losses[0] == 1.0


def test_a_state_of_another_run_is_refused(tmp_path):
    def total(model, batch, noise):
        return torch.stack([p.sum() for p in model.parameters()]).sum()

    def go(model=None, **changes):
        options = {"steps": 4, "lr": 0.1, "out": tmp_path, "resume": True} | changes
        return train(model or Weight(), total, numbers(), **options)

    go()
    with pytest.raises(
        ValueError, match=r"cannot resume: .*training\.state.* with seed 0 \(now 1\), lr 0\.1 \(now 0\.2\)"
    ):
        go(seed=1, lr=0.2)
    with pytest.raises(ValueError, match=r"with 4 steps \(now 3\); use another --out"):
        go(steps=3)
    with pytest.raises(checkpoint.CheckpointError, match="does not fit this model"):
        go(model=nn.Linear(1, 1))
    assert len(go(steps=6).losses) == 6
    checkpoint.save(tmp_path / "training.state.safetensors", {"a": torch.ones(1)}, {})
    with pytest.raises(checkpoint.CheckpointError, match="not the state of a training run"):
        go()


OPTIONS = {"steps": 2, "batch_size": 4, "lr": 0.1, "ema": 0.9, "anneal": False, "seed": 0}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"batch_size": 5}, r"batch_size 4 \(now 5\)"),
        ({"lr": 0.2}, r"lr 0\.1 \(now 0\.2\)"),
        ({"ema": 0.8}, r"ema 0\.9 \(now 0\.8\)"),
        ({"anneal": True}, r"anneal no \(now over 2 steps\)"),
        ({"seed": 1}, r"seed 0 \(now 1\)"),
        ({"data": "others"}, r"data numbers \(now others\)"),
    ],
)
def test_each_term_of_a_resumed_run_must_be_that_of_the_first(tmp_path, changes, named):
    def go(data="numbers", **options):
        dataset = dataclasses.replace(numbers(), name=data)
        return train(Weight(), lambda m, b, n: m() ** 2, dataset, out=tmp_path, resume=True, **(OPTIONS | options))

    go()
    with pytest.raises(ValueError, match=rf"cannot resume: .* was trained with {named}; use another --out"):
        go(**changes)
    go()


def test_what_falls_to_zero_over_so_many_steps_is_not_resumed_over_more(tmp_path):
    options = {"lr": 0.1, "anneal": True, "out": tmp_path, "resume": True}
    train(Weight(), lambda m, b, n: m() ** 2, numbers(), steps=2, **options)
    with pytest.raises(ValueError, match=r"anneal over 2 steps \(now over 3 steps\)"):
        train(Weight(), lambda m, b, n: m() ** 2, numbers(), steps=3, **options)


def test_the_average_has_the_buffers_that_training_left():
    model = Wide()
    started = [b.clone() for b in model.buffers()]
    run = train(model, noisy_loss, numbers(), steps=3, batch_size=4)
    kept, averaged = list(model.buffers()), list(run.model.buffers())
    assert not any(torch.equal(a, b) for a, b in zip(started, kept, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(kept, averaged, strict=True))


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_the_average_takes_part_in_every_step(steps):
    """Every step moves the weight by 0.1, and the average takes 95 % of the way to it."""
    run = train(Weight(1.0), lambda m, b, n: m(), numbers(), steps=steps, lr=0.1, ema=0.05)
    average = 1.0
    for k in range(1, steps + 1):
        average = 0.05 * average + 0.95 * (1 - 0.1 * k)
    assert run.model.w.item() == pytest.approx(average, abs=1e-6)


def test_seconds_are_those_of_all_runs(tmp_path):
    options = {"out": tmp_path, "resume": True}
    train(Weight(), lambda m, b, n: m() ** 2, numbers(), steps=1, **options)
    path = tmp_path / "training.state.safetensors"
    tensors, facts = checkpoint.load(path)
    checkpoint.save(path, tensors, facts | {"seconds": "1000.0"})
    for steps in (2, 2):  # one that goes on, and one that finds nothing left to do
        run = train(Weight(), lambda m, b, n: m() ** 2, numbers(), steps=steps, **options)
        assert 1000 < run.seconds < 1300
        assert float(checkpoint.load(path)[1]["seconds"]) == pytest.approx(run.seconds, abs=1e-6)


class Tied(nn.Module):
    """Two layers that share one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(1, 1), nn.Linear(1, 1)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(self.a(x))


def test_a_network_with_tied_weights_is_resumed_and_stays_tied(tmp_path):
    options = {"batch_size": 4, "lr": 0.01}
    torch.manual_seed(0)
    start = Tied()
    whole = train(copy.deepcopy(start), noisy_loss, numbers(), steps=4, **options)
    train(copy.deepcopy(start), noisy_loss, numbers(), steps=2, out=tmp_path, **options)
    resumed = train(copy.deepcopy(start), noisy_loss, numbers(), steps=4, out=tmp_path, resume=True, **options)
    assert resumed.losses == whole.losses and same(resumed.model, whole.model)
    assert resumed.model.b.weight is resumed.model.a.weight


def test_a_loss_that_is_not_finite_is_named_with_its_step():
    calls = []

    def loss(model, batch, noise):
        calls.append(1)
        return model() * (float("inf") if len(calls) == 3 else 1.0)

    with pytest.raises(FloatingPointError, match=r"the loss is -inf at step 3 \(lr 0\.1\)"):
        train(Weight(0.0), loss, numbers(), steps=9, lr=0.1)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"batch_size": 0}, {"lr": 0.0}, {"ema": 1.0}])
def test_arguments_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}"):
        train(Weight(), lambda m, b, n: m(), numbers(), **({"steps": 1} | wrong))


def test_no_bar_off_a_terminal(capsys):
    train(Weight(), lambda m, b, n: m() ** 2, numbers(), steps=3, progress=True)
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_two_processes_follow_the_curve_of_one(tmp_path):
    """torchrun with gloo: each process takes its rows of the same batches and of the same noise.

    A second training, which fails, shows that the group serves more than one.  Its threads must end before Python does,
    as one that lasts longer aborts the program once in a while (seen on Linux, where /proc names threads).
    """
    script = tmp_path / "job.py"
    script.write_text(
        textwrap.dedent(
            """
            import atexit, json, os, sys
            from pathlib import Path
            import torch
            from torch import distributed, nn

            def left():  # registered first, so called last
                threads = [Path(task, "comm").read_text() for task in Path("/proc/self/task").glob("*")]
                if distributed.is_initialized() or any("gloo" in name for name in threads):
                    os._exit(3)

            atexit.register(left)
            from implementations.lab.data import Dataset
            from implementations.lab.training import train

            x = torch.arange(10.0)[:, None]
            data = Dataset("numbers", x, x[:, 0].long(), x[:0], None, None, (0.0, 10.0))

            def loss(model, batch, noise):
                return (model(batch[0] + noise(batch[0])) - batch[1][:, None] / 10).square().mean()

            torch.manual_seed(0)
            run = train(nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)), loss, data, steps=6, batch_size=4)
            if os.environ.get("RANK", "0") == "0":
                with open(sys.argv[1], "w") as file:
                    json.dump([run.losses, [p.tolist() for p in run.model.parameters()]], file)

            def failing(model, batch, noise):
                model.itself = [model]  # freed by the collector of cycles alone
                return model(batch[0]).mean() * float("inf")

            try:
                train(nn.Linear(1, 1), failing, data, steps=2, batch_size=4)
            except FloatingPointError as error:
                sys.exit(0 if "step 1" in str(error) else str(error))
            sys.exit("the loss was not finite, and nobody minded")
            """
        )
    )
    outcomes = []
    for name, launcher in (("one", []), ("two", ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"])):
        target = tmp_path / name
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run([sys.executable, *launcher, script, target], check=True, env=environment, timeout=300)
        outcomes.append(json.loads(target.read_text()))
    assert outcomes[1][0] == pytest.approx(outcomes[0][0], rel=1e-5)
    for a, b in zip(outcomes[0][1], outcomes[1][1], strict=True):
        torch.testing.assert_close(torch.tensor(a), torch.tensor(b), rtol=1e-5, atol=1e-6)
