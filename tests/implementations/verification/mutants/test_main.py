"""The command: which modules it takes, what it records, what it answers."""

import pytest

from implementations.verification.mutants import __main__ as command
from implementations.verification.mutants.modules import MutantError

GOOD = {
    "mutants": 101,
    "equivalent": 1,
    "killed": 95,
    "survived": 5,
    "score": 0.95,
    "cpu_seconds": 3,
    "pitfalls": [{"pitfall": "a sign", "killed_by": "test_a"}],
}


@pytest.fixture
def counted(monkeypatch):
    """Rows by module, in place of runs (an error is raised), and the names of those that were recorded."""
    rows, kept = {}, []

    def count(module, options):
        if isinstance(rows[module], Exception):
            raise rows[module]
        return {"module": module, **rows[module]}

    monkeypatch.setattr(command, "_counted", count)
    monkeypatch.setattr(command, "record", lambda row: kept.append(row["module"]))
    return rows, kept


def test_nothing_is_run_when_a_name_is_unknown(counted, capsys):
    rows, kept = counted
    rows["ddpm"] = GOOD
    assert command.main(["ddpm", "score-dse", "neither-nor"]) == 2
    said = capsys.readouterr()
    assert "mutants: no module score-dse: did you mean score-sde?\nmutants: no module neither-nor" in said.err
    assert (said.out, kept) == ("", [])


def test_a_module_that_cannot_be_judged_does_not_stop_the_others(counted, capsys):
    rows, kept = counted
    rows |= {"ddpm": MutantError("the tests of ddpm must pass"), "ddim": GOOD}
    assert command.main(["ddpm", "ddim"]) == 2
    assert capsys.readouterr().err == "mutants: the tests of ddpm must pass\n"
    assert kept == ["ddim"]


def test_a_good_row_is_recorded_and_several_make_tables(counted, capsys):
    rows, kept = counted
    rows |= {"score_sde": GOOD, "common.noise": {**GOOD, "pitfalls": []}}
    assert command.main(["score-sde", "common.noise"]) == 0
    said = capsys.readouterr()
    assert kept == ["score_sde", "common.noise"]
    assert "score_sde: killed 95 of 100 (95.0%), 1 equivalent, 3 CPU seconds\n" in said.out
    assert "all methods" in said.out and "all common" in said.out and "all verification" not in said.out
    assert said.err == ""


def test_a_score_below_the_bound_is_recorded_only_when_asked(counted, capsys):
    rows, kept = counted
    rows["score_sde"] = {**GOOD, "killed": 94, "survived": 6, "score": 0.94}
    assert command.main(["score-sde"]) == 1
    assert kept == []
    assert capsys.readouterr().err.splitlines() == [
        "mutants: score-sde: 94.00% of the planted bugs are seen, fewer than 95%",
        "mutants: score-sde: not recorded, because too few are seen; --record-anyway would",
    ]
    assert command.main(["score-sde", "--record-anyway"]) == 1
    assert kept == ["score_sde"]
    assert "not recorded" not in capsys.readouterr().err


def test_a_pitfall_that_no_test_sees_is_a_failure_though_it_is_recorded(counted, capsys):
    rows, kept = counted
    rows["ddpm"] = {**GOOD, "pitfalls": [{"pitfall": "a root", "killed_by": "nothing"}]}
    assert command.main(["ddpm"]) == 1
    assert kept == ["ddpm"]
    assert capsys.readouterr().err == "mutants: ddpm: no test sees the pitfall 'a root'\n"


def test_a_part_of_the_mutants_is_judged_by_its_score_alone_and_never_recorded(counted, capsys):
    rows, kept = counted
    rows["ddpm"] = {**GOOD, "pitfalls": []}
    assert command.main(["ddpm", "--limit", "100"]) == 0
    rows["ddpm"] = {**GOOD, "score": 0.9}
    assert command.main(["ddpm", "--limit", "100"]) == 1
    assert capsys.readouterr().err == "mutants: ddpm: 90.00% of the planted bugs are seen, fewer than 95%\n"
    assert kept == []


def test_mutants_are_listed_with_their_places(capsys):
    assert command.main(["common.noise", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines and all(line.startswith("implementations/common/noise.py:") for line in lines)
    assert any("pitfall: " in line for line in lines)
