"""The command line."""

from implementations.verification.mutants.__main__ import main


def test_a_method_that_cannot_be_judged_does_not_stop_the_others(capsys):
    assert main(["nothing", "neither", "--list"]) == 2
    said = capsys.readouterr().err
    assert "no module implementations.nothing" in said and "no module implementations.neither" in said
