"""Tables on a terminal and in a pipe."""

import os

import click
import pytest

from kb_tools.cli import output

ROWS = [("added", "ddpm", "Denoising Diffusion Probabilistic Models"), ("exists", "ddim", "DDIM")]
UNDER = ["", "taken for ddim: " + "a title of several words " * 4]


@pytest.fixture
def on_terminal(monkeypatch):
    monkeypatch.setattr(output, "terminal", lambda: True)
    monkeypatch.setattr(output, "get_terminal_size", lambda: os.terminal_size((40, 20)))


def test_what_stands_under_a_row_is_whole_and_leaves_the_last_column_its_width(on_terminal, capsys):
    output.table(("status", "id", "title"), ROWS, under=UNDER)
    lines = click.unstyle(capsys.readouterr().out).splitlines()
    assert lines[0] == "STATUS  ID    TITLE"
    assert lines[1].startswith("added   ddpm  Denoising Diffusion ") and len(lines[1]) == 40
    assert lines[2] == "exists  ddim  DDIM"
    assert " ".join(line.strip() for line in lines[3:]) == UNDER[1].strip()
    assert len(lines) > 4 and all(line.startswith("    ") and len(line) <= 40 for line in lines[3:])


def test_a_pipe_gets_the_rows_alone(capsys):
    output.table(("status", "id", "title"), ROWS, under=UNDER)
    assert capsys.readouterr().out == "\n".join("\t".join(row) for row in ROWS) + "\n"
