"""kb completions: a script per shell, and words from the collection."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

KB = [sys.executable, "-c", "import sys; sys.argv[0] = 'kb'; from kb_tools.cli import main; sys.exit(main())"]


def completed(root: str, line: str) -> list[str]:
    """The words that bash offers for the last word of a line."""
    words = line.split(" ")
    done = subprocess.run(
        KB,
        env=os.environ
        | {"_KB_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "KB_ROOT": root},
        capture_output=True,
        text=True,
        check=True,
    )
    return [item.partition(",")[2] for item in done.stdout.splitlines()]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(kb, make, shell):
    outcome = kb(make(), "completions", shell)
    assert outcome.code == 0
    assert f"_KB_COMPLETE={shell}_complete" in outcome.out
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=outcome.out, text=True, check=True)
    if shell == "fish":
        assert 'string split --max 1 ","' in outcome.out, "a title may hold a comma"
    assert kb(make(), "completions", "tcsh").code == 2


def test_commands_options_ids_and_topics_are_completed(make, record):
    root = str(make(record("ddpm"), record("ddim"), record("edm")).root)
    assert completed(root, "kb show dd") == ["ddim", "ddpm"]
    assert completed(root, "kb order --goal e") == ["edm"]
    assert completed(root, "kb list --topic sp") == ["speed"]
    assert completed(root, "kb expo") == ["export"]
    assert completed(root, "kb export --form") == ["--format"]
    assert completed(root, "kb export --format cs") == ["csl-json", "csv"]
    assert completed(root, "kb graph si") == ["similar"]
    assert completed(root, "kb graph similar e") == ["edm"]
    assert completed(root, "kb graph edges --around dd") == ["ddim", "ddpm"]
    assert completed(root, "kb status edm rea") == ["reading", "read"]


@pytest.fixture
def shell_surroundings(make, record, program, tmp_path):
    """A collection, and `kb` on the path, as a shell that completes would find them."""
    programs = tmp_path / "bin"
    programs.mkdir()
    program(programs / "kb", "import sys\nfrom kb_tools.cli import main\nsys.exit(main())\n")
    root = make(record("ddpm", title="Noise, probably"), record("ddim"), record("edm")).root
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "KB_ROOT": str(root), "XDG_CONFIG_HOME": str(tmp_path / "config")}


def test_bash_itself_completes(kb, make, shell_surroundings, tmp_path):
    script = tmp_path / "kb.bash"
    script.write_text(kb(make(), "completions", "bash").out)
    # What bash does at a press of the tab key: the function that `complete` names, with the words of the line.
    ask = """
    source "$1"
    for line in "show dd" "list --topic s" "export --format cs"; do
        COMP_WORDS=(kb $line); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
        asked=$(complete -p kb); asked=${asked#*-F }; ${asked%% *} kb "${COMP_WORDS[COMP_CWORD]}" ""
        echo "${COMPREPLY[*]}"
    done
    """
    said = subprocess.run(
        ["bash", "--norc", "-c", ask, "bash", str(script)],
        env=shell_surroundings,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert said.stdout.splitlines() == ["ddim ddpm", "speed", "csl-json csv"]


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish_itself_completes_and_shows_titles(kb, make, shell_surroundings, tmp_path):
    folder = tmp_path / "config" / "fish" / "completions"
    folder.mkdir(parents=True)
    (folder / "kb.fish").write_text(kb(make(), "completions", "fish").out)
    said = subprocess.run(
        ["fish", "-c", "complete -C 'kb show dd'"],
        env=shell_surroundings,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert said.stdout.splitlines() == ["ddim\tThe paper called ddim", "ddpm\tNoise, probably"]
