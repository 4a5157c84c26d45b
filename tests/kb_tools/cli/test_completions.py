"""kb completions: a script per shell, and words from the collection."""

from __future__ import annotations

import os
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
