"""A demo as a command: options, files written whole, exit codes, clear errors."""

import dataclasses
import errno
import json

import pytest
import torch
from PIL import Image

from implementations.lab import checkpoint, command, folder, networks
from tests.implementations.lab import toy_demo
from tests.implementations.lab.toy_demo import DEMO

SEEN = []


def main(*argv: str, demo=DEMO, **options) -> int:
    return command.main("unet", demo, argv, about="What the demo does.\n\nAnd how.", **options)


def noting(run):
    SEEN.append(run)
    return toy_demo.error(run)


NOTING = dataclasses.replace(DEMO, claims=(noting,))


def failing(error):
    def broken(run):
        raise error

    return dataclasses.replace(DEMO, claims=(broken,))


@pytest.fixture(autouse=True)
def _away(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(networks, "code_hash", lambda module, *, definition: f"code of {module}.{definition}")
    monkeypatch.chdir(tmp_path)
    SEEN.clear()
    toy_demo.trainings.clear()


def test_options_are_those_of_a_run(tmp_path):
    assert main("--data=rings", "--seed=4", "--steps=7", "--resume", "--fresh", "--out=here", demo=NOTING) == 0
    [run] = SEEN
    assert (run.data, run.device, run.seed, run.steps, run.resume, run.fresh, run.progress) == (
        "rings", "cpu", 4, 7, True, True, True,
    )  # fmt: skip
    assert run.out.name == "here"


def test_defaults_are_those_of_the_demo_and_out_lies_under_build(tmp_path):
    assert main(demo=NOTING) == 0
    [run] = SEEN
    assert (run.data, run.steps, run.seed, run.resume, run.fresh) == ("dots", 3, 0, False, False)
    written = {p.name for p in (tmp_path / "build/runs/unet").iterdir()}
    assert written == {"unet.json", "unet.safetensors", "unet.webp", "unet-more.webp", "toy.state.safetensors"}
    assert main(demo=NOTING, out=tmp_path / "there") == 0
    assert (tmp_path / "there" / "unet.json").is_file()


def test_what_is_written(tmp_path, capsys):
    assert main("--out", "here", "--seed", "2") == 0
    summary = json.loads((tmp_path / "here/unet.json").read_text())
    assert summary["method"] == "unet" and summary["seed"] == 2 and summary["steps"] == 3
    assert summary["code"].startswith("sha256:") and summary["versions"]["torch"]
    assert summary["claims"][0]["name"] == "error" and summary["claims"][0]["holds"] is True
    assert summary["figures"] == [
        {"file": "unet.webp", "alt": "Dots on a line.", "width": 4, "height": 3},
        {"file": "unet-more.webp", "alt": "More dots.", "width": 8, "height": 6},
    ]
    assert [(base["network"], base["loaded"]) for base in summary["bases"]] == [("toy", False)]
    assert Image.open(tmp_path / "here/unet.webp").size == (4, 3)
    weights, metadata = checkpoint.load(tmp_path / "here/unet.safetensors")
    torch.manual_seed(2)
    assert torch.equal(weights["weight"], torch.nn.Linear(2, 1).weight)
    assert metadata == {k: str(summary[k]) for k in ("method", "code", "data", "seed", "steps")}
    printed = capsys.readouterr().out
    assert "error        0.12" in printed and "here/unet.safetensors" in printed
    assert "network toy trained in" in printed and "kept in" in printed
    assert main("--out", "here", "--seed", "2") == 0
    assert "network toy loaded; its training took" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("value", "control", "word"), [(0.6, 0.9, "FAILS"), (float("nan"), 0.9, "FAILS"), (0.1, 0.15, "CONTROL PASSES")]
)
def test_a_run_that_ended_is_exit_code_0_whatever_its_claims_say(value, control, word, capsys, tmp_path):
    def weak(run):
        return dataclasses.replace(toy_demo.error(run), value=value, control=control)

    assert main("--out", "here", demo=dataclasses.replace(DEMO, claims=(weak,))) == 0
    assert word in capsys.readouterr().out
    saved = json.loads((tmp_path / "here/unet.json").read_text())["claims"][0]
    assert saved["holds"] is False and saved["value"] == (None if value != value else value)


@pytest.mark.parametrize("error", [ValueError("eta is 2"), FloatingPointError("at step 3"), OSError("no space")])
def test_errors_that_explain_themselves_are_exit_code_2(error, capsys):
    assert main(demo=failing(error)) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"error: {error}"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "full"), "error: here: [Errno 28] full"),
        (OSError(errno.EROFS, "read-only", "a.json"), "error: [Errno 30] read-only: 'a.json'"),
        (OSError(errno.ENOSPC, "cannot write here/a: full"), "error: [Errno 28] cannot write here/a: full"),
    ],
)
def test_a_disk_that_takes_no_more_is_exit_code_6_and_named(error, said, capsys):
    assert main("--out", "here", demo=failing(error)) == 6
    assert capsys.readouterr().err.splitlines()[-1] == said


def test_bugs_keep_their_traceback():
    with pytest.raises(AttributeError):
        main(demo=failing(AttributeError("a bug")))


def test_ctrl_c_is_exit_code_130_and_says_how_to_go_on(capsys):
    assert main("--out", "here", demo=failing(KeyboardInterrupt())) == 130
    assert "here, and --resume" in capsys.readouterr().err


def test_resuming_without_a_state_says_that_it_starts_from_the_beginning(capsys):
    assert main("--out", "here", "--resume") == 0
    assert "nothing to resume in here" in capsys.readouterr().err
    assert main("--out", "here", "--resume") == 0
    assert "nothing to resume" not in capsys.readouterr().err


def test_help_shows_what_the_demo_does_its_claims_its_options_and_examples(capsys):
    with pytest.raises(SystemExit) as stop:
        main("--help")
    text = capsys.readouterr().out
    assert stop.value.code == 0
    for words in (
        "What the demo does.", "claims: error, weight-left", "--steps", "(default: 3)", "KB_DATA", "dots, rings",
        "kb run unet --seed 1", "kb verify unet --claim error",
    ):  # fmt: skip
        assert words in text
    with pytest.raises(SystemExit):
        main("--help", demo=dataclasses.replace(DEMO, data=("dots",)))
    assert "--data" not in capsys.readouterr().out, "there is nothing to choose"


@pytest.mark.parametrize("argv", [["--sede", "1"], ["--steps", "many"]])
def test_misspelt_options_are_refused(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        main(*argv)
    assert stop.value.code == 2 and argv[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "words"), [(["--data", "mnist"], "data must be 'dots' or 'rings'"), (["--steps", "0"], "at least 1")]
)
def test_what_the_demo_does_not_take_is_refused(argv, words, capsys):
    assert main(*argv, demo=NOTING) == 2
    assert words in capsys.readouterr().err and SEEN == []


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta"])
def test_devices_this_machine_lacks_are_refused_with_what_it_has(device, capsys):
    assert main("--device", device, demo=NOTING) == 2
    assert f"device '{device}' cannot be used; this machine has cpu" in capsys.readouterr().err
    assert SEEN == []


def test_only_the_first_process_writes(monkeypatch, tmp_path):
    monkeypatch.setenv("RANK", "1")
    assert main("--out", "here", demo=dataclasses.replace(NOTING, network=lambda run: {})) == 0
    assert not (tmp_path / "here").exists()


def test_the_summary_comes_last(tmp_path, monkeypatch):
    """Where it lies, the rest is complete."""
    monkeypatch.setattr(folder.pictures, "save", lambda *_: (_ for _ in ()).throw(OSError("full")))
    assert main("--out", "here") == 2
    assert not (tmp_path / "here/unet.json").exists()
