"""A showcase from a toy: its entry, its pictures, its command."""

import dataclasses
import errno
import io

import pytest
import torch
import yaml
from PIL import Image
from torch import nn

from implementations.lab import networks, showcase, showcase_command
from implementations.lab.data import Dataset
from implementations.lab.demo import Run, once
from implementations.lab.networks import train_or_load
from implementations.lab.showcase import GAP, Network, Picture, Showcase, Training, render, show
from implementations.lab.training import Trained

POINTS = Dataset("points", torch.zeros(8, 2), None, torch.zeros(4, 2), None, None, (-1.0, 1.0))
TRAINING = Training(steps=3, batch_size=4)


@once
def network(run: Run):
    torch.manual_seed(run.seed)

    def loss(model, batch, noise):
        return 0 * model(batch[0]).sum()

    return train_or_load(network, run, nn.Linear(2, 1), loss, POINTS, name="toy", **TRAINING.options(run))


def ramp(run: Run) -> Picture:
    tiles = torch.linspace(-1, 1, 6 * 4).view(6, 1, 2, 2)
    return Picture(tiles, columns=3, alt="Six ramps.", caption=f"Six ramps of seed {run.seed}.")


network.__module__ = "implementations.showcases.toy"
TOY = Showcase((Network("toy", network, TRAINING),), (ramp,), 7, data=("dots", "rings"))


@pytest.fixture(autouse=True)
def _away(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(networks, "code_hash", lambda module, *, definition: f"code of {module}.{definition}")
    monkeypatch.setattr(showcase, "code_hash", lambda module: f"code of {module}")
    monkeypatch.chdir(tmp_path)


def main(*argv: str, toy=TOY, tmp_path) -> int:
    evidence = tmp_path / "evidence"
    return showcase_command.main("toy", toy, argv, about="What it draws.", out=tmp_path / "runs", evidence=evidence)


def test_an_entry_says_what_was_trained_and_what_is_shown():
    entry, pictures = show("toy", TOY, TOY.run(seed=2))
    assert (entry["method"], entry["data"], entry["seed"], entry["code"]) == ("toy", "dots", 2, "code of showcases.toy")
    [one] = entry["networks"]
    assert (one["network"], one["steps"], one["batch"], one["parameters"]) == ("toy", 3, 4, 3)
    assert entry["parameters"] == 3 and entry["network_evaluations"] == 7
    [picture] = entry["pictures"]
    assert picture["caption"] == "Six ramps of seed 2." and (picture["columns"], picture["rows"]) == (3, 2)
    assert set(pictures) == {picture["file"]} == {"toy.showcase.webp"}


def test_minutes_of_a_base_are_counted_apart():
    trained = dataclasses.replace(network(TOY.run()), seconds=90.0)
    based = dataclasses.replace(TOY, networks=(Network("base", _saying(trained), TRAINING),))
    entry, _ = show("toy", based, TOY.run())
    assert (entry["minutes"], entry["base_minutes"], entry["networks"][0]["of"]) == (0, 1.5, "score-sde")


def _saying(trained):
    def of(run):
        return trained

    of.__module__ = "implementations.showcases.score_sde"
    return of


def test_a_picture_holds_every_pixel_once_and_nothing_between_the_images():
    tiles = torch.tensor([-1.0, 1.0, 0.0, 3.0]).view(4, 1, 1, 1).expand(4, 1, 3, 2)
    facts, data = render(Picture(tiles, columns=2, alt="Four.", caption="Four."))
    picture = Image.open(io.BytesIO(data)).convert("RGBA")
    assert picture.size == (facts["width"], facts["height"]) == (2 * 2 + GAP, 2 * 3 + GAP)
    assert [picture.getpixel(at) for at in ((0, 0), (2 + GAP, 0), (0, 3 + GAP), (2 + GAP, 3 + GAP))] == [
        (0, 0, 0, 255), (255, 255, 255, 255), (128, 128, 128, 255), (255, 255, 255, 255),
    ]  # fmt: skip
    assert picture.getpixel((2, 0))[3] == picture.getpixel((0, 3))[3] == 0


def test_colours_stay():
    tiles = torch.tensor([1.0, -1.0, 0.0]).view(1, 3, 1, 1)
    _, data = render(Picture(tiles, columns=1, alt="One.", caption="One."))
    assert Image.open(io.BytesIO(data)).convert("RGBA").getpixel((0, 0)) == (255, 0, 128, 255)


@pytest.mark.parametrize("shape", [(5, 1, 2, 2), (0, 1, 2, 2), (6, 2, 2, 2), (6, 4)])
def test_what_is_no_full_grid_of_images_is_refused(shape):
    with pytest.raises(ValueError, match=r"fill a grid|shows images"):
        Picture(torch.zeros(shape), columns=3, alt="", caption="")


def test_pictures_of_one_showcase_show_as_many_images():
    def half(run):
        return dataclasses.replace(ramp(run), tiles=ramp(run).tiles[:3])

    with pytest.raises(ValueError, match="equal numbers"):
        show("toy", dataclasses.replace(TOY, pictures=(ramp, half)), TOY.run())
    entry, pictures = show("toy", dataclasses.replace(TOY, pictures=(ramp, ramp)), TOY.run())
    assert list(pictures) == [p["file"] for p in entry["pictures"]] == ["toy.showcase.webp", "toy.showcase-2.webp"]


def test_a_run_trains_no_longer_than_it_is_told(tmp_path):
    assert len(network(TOY.run(steps=2)).losses) == 2
    assert len(network(TOY.run()).losses) == 3
    with pytest.raises(ValueError, match="at least 1"):
        TOY.run(steps=0)


def test_the_command_writes_to_the_run_or_to_the_evidence(tmp_path, capsys):
    assert main("--seed", "4", tmp_path=tmp_path) == 0
    assert "toy: 3 steps of 4" in capsys.readouterr().out
    assert {p.name for p in (tmp_path / "runs").iterdir()} == {
        "toy.state.safetensors", "toy.showcase.yaml", "toy.showcase.webp",
    }  # fmt: skip
    assert not (tmp_path / "evidence").exists()
    assert main("--record", "--data", "rings", tmp_path=tmp_path) == 0
    kept = yaml.safe_load((tmp_path / "evidence" / "toy.showcase.yaml").read_text())
    assert kept["data"] == "rings" and (tmp_path / "evidence" / "toy.showcase.webp").is_file()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--data", "moons"], "data 'dots' or 'rings', not 'moons'"),
        (["--steps", "0"], "steps must be at least 1"),
        (["--steps", "2", "--record"], "leave out --steps"),
        (["--device", "abacus"], "cannot be used"),
    ],
)
def test_errors_explain_themselves(argv, words, tmp_path, capsys):
    assert main(*argv, tmp_path=tmp_path) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "evidence").exists()


def test_a_disk_that_takes_no_more_is_exit_code_6(tmp_path, capsys):
    def refuse(run):
        raise OSError(errno.ENOSPC, "No space left on device")

    assert main(toy=dataclasses.replace(TOY, pictures=(refuse,)), tmp_path=tmp_path) == 6
    assert f"error: {tmp_path}/runs: [Errno 28] No space left on device\n" in capsys.readouterr().err


def test_ctrl_c_is_exit_code_130_and_resume_says_when_there_is_nothing(tmp_path, capsys):
    def stop(run):
        raise KeyboardInterrupt

    assert main("--resume", toy=dataclasses.replace(TOY, pictures=(stop,)), tmp_path=tmp_path) == 130
    said = capsys.readouterr().err
    assert "nothing to resume" in said and "--resume goes on from there" in said


def test_help_has_examples(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main("--help", tmp_path=tmp_path)
    text = capsys.readouterr().out
    assert stop.value.code == 0
    for words in ("What it draws.", "kb run toy --showcase --resume", "--record", "KB_DATA", "dots, rings"):
        assert words in text


def test_each_round_of_training_goes_on_from_the_last_one_on_other_batches(monkeypatch):
    asked = []

    def known(trainer, run, model, loss, data, *, name, **options):
        asked.append((name, run.seed, float(model.weight.detach()), model.weight.requires_grad, options["steps"]))
        left = nn.Linear(1, 1, bias=False).requires_grad_(False)
        left.weight.fill_(len(asked))
        run.bases.append(name)
        return Trained(left, [0.5] * options["steps"], 3.0)

    monkeypatch.setattr(showcase, "train_or_load", known)
    run, model = Run(seed=7, steps=4), nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    trained = Training(steps=6, rounds=3).fit(known, run, model, None, None, name="net")
    assert [name for name, *_ in asked] == ["net", "net-2", "net-3"] == run.bases
    assert len({seed for _, seed, *_ in asked}) == 3 and asked[0][1] == 7
    assert [weight for _, _, weight, *_ in asked] == [0.0, 1.0, 2.0], "each starts from what the last one left"
    assert all(learns and steps == 4 for *_, learns, steps in asked)
    assert (float(trained.model.weight), len(trained.losses), trained.seconds) == (3.0, 12, 9.0)
