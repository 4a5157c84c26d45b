"""A demo as a command: options from its signature, files written whole, exit codes, clear errors."""

import json

import pytest
import torch
from PIL import Image

from implementations.lab import checkpoint
from implementations.lab import command as cli
from implementations.lab.results import Claim, Figure, Result

CALLS = []


def claim(value=0.1, control=0.9) -> Claim:
    return Claim("error", "the error", value, 0.5, "<=", control, "without the idea", "section 1")


def result(**changes) -> Result:
    options = {
        "method": "unet", "data": "digits", "seed": 4, "samples": torch.zeros(2, 2), "reference": torch.zeros(2, 2),
        "claims": [claim()], "figures": [Figure("unet", "two squares", torch.rand(6, 8, 3))],
        "model": {"w": torch.ones(3)}, "parameters": 3, "network_evaluations": 1, "seconds": 1.5,
    }  # fmt: skip
    return Result(**(options | changes))


def demo(*, data="digits", device="cpu", seed=0, steps=200, lr=0.5, out=None, resume: bool = False, progress=False):
    """What the demo does.

    And how.
    """
    CALLS.append({"data": data, "device": device, "seed": seed, "steps": steps, "lr": lr, "out": out, "resume": resume})
    return result(seed=seed)


demo.__module__ = "implementations.unet"  # its hash and its slug are taken from here


@pytest.fixture(autouse=True)
def _away(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    CALLS.clear()


def failing(error):
    def broken(*, out=None):
        raise error

    broken.__module__ = "implementations.unet"
    return broken


def test_options_are_those_of_the_signature():
    assert cli.main(demo, ["--data=moons", "--seed=4", "--steps=7", "--lr=0.25", "--resume", "--out=here"]) == 0
    assert CALLS == [
        {"data": "moons", "device": "cpu", "seed": 4, "steps": 7, "lr": 0.25, "out": "here", "resume": True}
    ]


def test_defaults_are_those_of_the_signature_and_out_lies_under_build(tmp_path):
    assert cli.main(demo, []) == 0
    assert CALLS[0] | {"steps": 200, "lr": 0.5, "out": "build/runs/unet", "resume": False} == CALLS[0]
    written = sorted(p.name for p in (tmp_path / "build/runs/unet").iterdir())
    assert written == ["unet.json", "unet.safetensors", "unet.webp"]


def test_what_is_written(tmp_path, capsys):
    cli.main(demo, ["--out", "here", "--seed", "4"])
    summary = json.loads((tmp_path / "here/unet.json").read_text())
    assert summary["method"] == "unet" and summary["seed"] == 4 and summary["steps"] == 200
    assert summary["code"].startswith("sha256:") and summary["versions"]["torch"] == torch.__version__
    assert summary["claims"][0] == {**vars(claim()), "holds": True}
    assert summary["figures"] == [{"file": "unet.webp", "alt": "two squares", "width": 8, "height": 6}]
    assert Image.open(tmp_path / "here/unet.webp").size == (8, 6)
    weights, metadata = checkpoint.load(tmp_path / "here/unet.safetensors")
    assert weights["w"].tolist() == [1, 1, 1]
    assert metadata == {k: str(summary[k]) for k in ("method", "code", "data", "seed", "steps")}
    printed = capsys.readouterr().out
    assert "error  0.1    <= 0.5  0.9      holds" in printed and "here/unet.safetensors" in printed


@pytest.mark.parametrize(
    ("value", "control", "word"), [(0.6, 0.9, "FAILS"), (float("nan"), 0.9, "FAILS"), (0.1, 0.4, "CONTROL PASSES")]
)
def test_a_claim_that_fails_is_exit_code_1(value, control, word, capsys, tmp_path):
    def weak(*, out=None):
        return result(claims=[claim(value, control)])

    weak.__module__ = "implementations.unet"
    assert cli.main(weak, ["--out", "here"]) == 1
    assert word in capsys.readouterr().out
    saved = json.loads((tmp_path / "here/unet.json").read_text())["claims"][0]
    assert saved["holds"] is False and saved["value"] == (None if value != value else value)


@pytest.mark.parametrize("error", [ValueError("eta is 2"), FloatingPointError("at step 3"), OSError("no space")])
def test_errors_that_explain_themselves_are_exit_code_2(error, capsys):
    assert cli.main(failing(error), []) == 2
    assert capsys.readouterr().err == f"error: {error}\n"


def test_bugs_keep_their_traceback():
    with pytest.raises(AttributeError):
        cli.main(failing(AttributeError("a bug")), [])


def test_ctrl_c_is_exit_code_130_and_says_how_to_go_on(capsys):
    assert cli.main(failing(KeyboardInterrupt()), ["--out", "here"]) == 130
    assert "here, and --resume" in capsys.readouterr().err


def test_resuming_without_a_state_says_that_it_starts_from_the_beginning(capsys, tmp_path):
    assert cli.main(demo, ["--out", "here", "--resume"]) == 0
    assert "nothing to resume in here" in capsys.readouterr().err
    (tmp_path / "here/unet.state.safetensors").touch()
    assert cli.main(demo, ["--out", "here", "--resume"]) == 0
    assert cli.main(demo, ["--out", "there"]) == 0
    assert capsys.readouterr().err == ""


def test_help_shows_the_docstring_the_options_and_examples(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(demo, ["--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0
    for words in (
        "What the demo does.",
        "--steps",
        "(default: 200)",
        "KB_DATA",
        "python -m implementations.unet --seed 1",
    ):
        assert words in text
    assert "--progress" not in text


def test_misspelt_options_are_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(demo, ["--sede", "1"])
    assert stop.value.code == 2 and "--sede" in capsys.readouterr().err


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta"])
def test_devices_this_machine_lacks_are_refused_with_what_it_has(device, capsys):
    assert cli.main(demo, ["--device", device]) == 2
    assert f"device '{device}' cannot be used; this machine has cpu" in capsys.readouterr().err
    assert CALLS == []


def test_only_the_first_process_writes(monkeypatch, tmp_path):
    monkeypatch.setenv("RANK", "1")
    assert cli.main(demo, ["--out", "here"]) == 0
    assert not (tmp_path / "here").exists()


def test_run_finds_a_method_by_its_slug(monkeypatch):
    from implementations import unet

    monkeypatch.setattr(unet, "demo", demo)
    assert cli.run("unet", ["--steps", "3"]) == 0 and CALLS[0]["steps"] == 3


@pytest.mark.parametrize("name", ["no-such", "../x", "common"])
def test_run_refuses_what_is_no_method(name):
    with pytest.raises(ValueError, match=r"no method|no demo"):
        cli.run(name, [])
