"""The contract of the command: output, exit codes, references, dry runs, and what may be imported."""

from __future__ import annotations

import errno
import inspect
import json
import os
import re
import subprocess
import sys
from typing import Any

import click
import pytest

from kb_tools.cli.app import COMMANDS, TABLE
from kb_tools.cli.app import kb as app

KB = [sys.executable, "-c", "import sys; from kb_tools.cli import main; sys.exit(main())"]


@pytest.fixture
def shelf(make, record):
    return make(
        record("dpm", year=2015, worth_reading=1, worth_reading_by="editors", arxiv="1503.03585"),
        record(
            "ddpm",
            builds_on=["dpm"],
            aliases=["DDPM"],
            arxiv="2006.11239",
            worth_reading=3,
            worth_reading_by="seed 002",
            why="The recipe.",
            cites=["dpm"],
            cites_source="the paper",
            links={"code": "https://x.org/ddpm"},
            authors_code={"licence": "MIT", "looked": "2026-11-20", "note": "training alone"},
        ),
        record("ddim", builds_on=["ddpm"], aliases=["DDIM"], topics=["speed"], status="reading"),
        record("other", title="The paper called ddim"),
        record("post", kind="blog", about=["ddpm"], title="Über diffusion"),
    )


def data(outcome) -> Any:
    envelope = json.loads(outcome.out)
    assert set(envelope) == {"schema_version", "data"}
    assert envelope["schema_version"] == 1
    return envelope["data"]


@pytest.mark.parametrize("name", TABLE)
def test_every_command_has_the_help_of_the_table_and_an_example(name):
    command = app.get_command(click.Context(app), name)
    assert command is not None and command.name == name
    text = command.get_help(
        click.Context(command, info_name=f"kb {name}", parent=click.Context(app, **app.context_settings))
    )
    assert re.search(rf"Examples?:\n +kb (?:\S+ && )?.*{name}", text), text
    assert TABLE[name][1].endswith(".")


def test_help_lists_every_command_without_loading_one():
    script = (
        "import sys\nfrom kb_tools.cli import main\nmain(['--help'])\n"
        "print(sorted(m for m in sys.modules if m.startswith('kb_tools.cli.')), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    for section, commands in COMMANDS.items():
        assert f"{section}:" in done.stdout
        for name in commands:
            assert re.search(rf"^  {name} ", done.stdout, re.MULTILINE)
    assert done.stderr.strip() == "['kb_tools.cli.app', 'kb_tools.cli.output']"


def test_help_fits_a_terminal_of_80_columns():
    environment = os.environ | {"COLUMNS": "80"}
    done = subprocess.run([*KB, "--help"], capture_output=True, text=True, check=True, env=environment)
    assert [line for line in done.stdout.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize(
    ("word", "meant"),
    [("delete", "rm"), ("rename", "mv"), ("update", "refresh"), ("tags", "topics"), ("duplicates", "dedupe"),
     ("watch", "updates"), ("DELETE", "rm"), ("renme", "mv"), ("serach", "search")],
)  # fmt: skip
def test_an_unknown_command_is_pointed_to_the_one_that_is_meant(kb, shelf, word, meant):
    outcome = kb(shelf, word, "ddpm")
    assert outcome.code == 2 and f"Did you mean `kb {meant}`?" in outcome.err


def test_what_a_command_is_called_elsewhere_is_no_command_here():
    from kb_tools.cli.app import CALLED_ELSEWHERE

    assert set(CALLED_ELSEWHERE.values()) <= set(TABLE)
    assert set(CALLED_ELSEWHERE).isdisjoint(TABLE)


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["list", "--json"],
        ["search", "recipe"],
        ["show", "ddpm"],
        ["status"],
        ["next"],
        ["order", "--json"],
        ["progress"],
        ["--version"],
        ["--help"],
    ],
)
def test_light_commands_load_nothing_heavy(shelf, arguments):
    """Not on the first call, when the cache is built, and not on the second, when it is used."""
    script = (
        "import sys\nfrom kb_tools.cli import main\ncode = main(sys.argv[1:])\n"
        "heavy = {'torch', 'numpy', 'networkx', 'pydantic', 'ruamel', 'filelock', 'jinja2'} & set(sys.modules)\n"
        "sys.exit(repr(heavy) if heavy or code else 0)"
    )
    prefix = [] if arguments[0].startswith("--") else ["-C", str(shelf.root)]
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", script, *prefix, *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_python_runs_the_package_as_kb(shelf):
    command = [sys.executable, "-m", "kb_tools", "-C", str(shelf.root)]
    done = subprocess.run([*command, "list", "--kind", "blog"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "post\t2020\tblog\t\tunread\tÜber diffusion\n")
    done = subprocess.run([*command, "show", "nothing-such"], capture_output=True, text=True, check=False)
    assert done.returncode == 3 and done.stderr.startswith("kb: ")


def test_data_is_utf_8_in_a_locale_that_is_not(make, record):
    """PYTHONIOENCODING stands for a Latin-1 locale, which few machines have."""
    title = "Itô, Łukasz and 扩散"
    root = str(make(record("ito", title=title)).root)
    surroundings = os.environ | {"PYTHONIOENCODING": "latin-1"}
    for arguments in (["show", "ito"], ["list"], ["list", "--json"], ["export", "--format", "bibtex"]):
        command = [*KB, "-C", root, *arguments]
        done = subprocess.run(command, env=surroundings, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        assert title in done.stdout.decode("utf-8")


def test_data_goes_to_stdout_in_columns_for_other_programs(kb, shelf):
    outcome = kb(shelf, "list", "--kind", "paper", "--fields", "id,year,topics")
    assert outcome.out.splitlines() == [
        "dpm\t2015\tbasics",
        "ddim\t2020\tspeed",
        "ddpm\t2020\tbasics",
        "other\t2020\tbasics",
    ]
    assert (outcome.code, outcome.err) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--topic", "speed"], ["ddim"]),
        (["--status", "reading"], ["ddim"]),
        (["--wr", "2"], ["ddpm"]),
        (["--wr", "1", "--sort", "wr"], ["ddpm", "dpm"]),
        (["--kind", "resource"], ["post"]),
        (["--kind", "blog", "--has", "summary"], ["post"]),
        (["--has", "code"], []),
        (
            ["--sort", "id", "--reverse", "--topic", "basics", "--topic", "speed"],
            ["post", "other", "dpm", "ddpm", "ddim"],
        ),
    ],
)
def test_filters(kb, shelf, arguments, expected):
    assert [entry["id"] for entry in data(kb(shelf, "list", "--json", *arguments))] == expected


def test_json_has_every_listed_field_or_those_asked_for(kb, shelf):
    whole = data(kb(shelf, "list", "--json"))
    assert len(whole) == 5
    assert {"id", "kind", "title", "authors", "arxiv", "builds_on", "path", "has_summary"} <= set(whole[0])
    some = data(kb(shelf, "list", "--json", "--wr", "3", "--fields", "id,wr,summary"))
    assert some == [{"id": "ddpm", "worth_reading": 3, "summary": "What it is.\nWhat it shows."}]


def test_nothing_found_is_no_error_unless_asked(kb, shelf):
    assert (kb(shelf, "search", "nothing-like-it").code, data(kb(shelf, "search", "zzz", "--json"))) == (0, [])
    assert kb(shelf, "search", "nothing-like-it", "--exit-code").code == 1


def test_search_ignores_case_and_accents_and_ranks_names_first(kb, shelf):
    assert [entry["id"] for entry in data(kb(shelf, "search", "UBER", "--json"))] == ["post"]
    assert data(kb(shelf, "search", "ddpm", "--json"))[0]["id"] == "ddpm"
    assert [e["id"] for e in data(kb(shelf, "search", "author", "ddim", "--json"))] == ["ddim", "other"]


def test_usage_errors_name_what_was_meant(kb, shelf):
    wrong_topic = kb(shelf, "list", "--topic", "sped")
    assert (wrong_topic.code, wrong_topic.out) == (2, "")
    assert "did you mean speed?" in wrong_topic.err
    assert "did you mean title?" in kb(shelf, "list", "--fields", "titel").err
    wrong_command = kb(shelf, "lst")
    assert wrong_command.code == 2
    assert "Did you mean `kb list`?" in wrong_command.err


def test_unknown_and_ambiguous_references(kb, shelf):
    unknown = kb(shelf, "show", "dpdm")
    assert (unknown.code, unknown.out) == (3, "")
    assert "did you mean" in unknown.err
    assert "ddpm" in unknown.err
    ambiguous = kb(shelf, "show", "the paper called DDIM")
    assert ambiguous.code == 3
    assert "ddim, other" in ambiguous.err


@pytest.mark.parametrize(
    "reference", ["ddpm", "DDPM", "2006.11239v2", "https://arxiv.org/pdf/2006.11239", "the paper called ddpm"]
)
def test_any_reference_will_do(kb, shelf, reference):
    assert data(kb(shelf, "show", reference, "--json"))["id"] == "ddpm"


def test_show_tells_what_a_reader_wants(kb, shelf):
    shown = data(kb(shelf, "show", "ddpm", "--json"))
    assert (shown["opens"], shown["explained_by"], shown["builds_on"]) == (["ddim"], ["post"], ["dpm"])
    assert shown["links"]["arxiv"] == "https://arxiv.org/abs/2006.11239"
    text = kb(shelf, "show", "ddpm").out
    for part in (
        "The paper called ddpm",
        "Author of ddpm",
        "The recipe.",
        "What it shows.",
        "★★★ (seed 002)",
        "https://x.org/ddpm",
        "the authors', MIT, looked at on 2026-11-20; training alone",
        "papers/ddpm.yaml",
    ):
        assert part in text
    assert text.index("Read first") < text.index("dpm  The paper called dpm (2015, unread)") < text.index("Opens")


def test_order_and_next(kb, shelf):
    steps = data(kb(shelf, "order", "--goal", "DDIM", "--json"))
    assert [step["ids"] for step in steps] == [["dpm"], ["ddpm"], ["ddim"]]
    assert all(step["why"] for step in steps)
    lines = kb(shelf, "order", "--goal", "ddim").out.splitlines()
    assert lines[0].split("\t")[:2] == ["1", "dpm"]
    first = data(kb(shelf, "next", "--goal", "ddim", "--json"))
    assert [one["ids"] for one in first] == [["dpm"]]
    assert kb(shelf, "order", "--goal", "post").code == 3


def test_reading_a_paper_changes_two_lines_of_one_file(kb, shelf):
    path = shelf.papers / "ddpm.yaml"
    before = path.read_text()
    dry = kb(shelf, "read", "DDPM", "--on", "2026-11-20", "--dry-run")
    assert path.read_text() == before
    assert '-status: unread\n+status: read\n+read_on: "2026-11-20"\n' in dry.out
    done = kb(shelf, "read", "DDPM", "--on", "2026-11-20")
    assert (done.code, done.out) == (0, "")
    assert path.read_text() == before.replace("status: unread\n", 'status: read\nread_on: "2026-11-20"\n')
    again = kb(shelf, "read", "ddpm")
    assert "is read already" in again.err
    assert kb(shelf, "status", "ddpm", "unread").code == 0
    assert path.read_text() == before
    assert kb(shelf, "read", "ddpm", "--on", "tomorrow").code == 2


def test_status_is_shown_and_set(kb, shelf):
    assert [entry["id"] for entry in data(kb(shelf, "status", "--json"))] == ["ddim"]
    assert kb(shelf, "status", "dpm", "ddpm").out.splitlines()[0].startswith("dpm\tunread\t")
    assert data(kb(shelf, "status", "dpm", "ddpm", "skipped", "--json")) == [
        {"id": "dpm", "status": "skipped", "changed": True, "written": True},
        {"id": "ddpm", "status": "skipped", "changed": True, "written": True},
    ]
    assert kb(shelf, "check").code == 0
    wrong = kb(shelf, "status", "dpm", "done")
    assert (wrong.code, "A status is unread, reading, read, skipped." in wrong.err) == (3, True)


def test_several_records_are_marked_or_none(kb, shelf):
    before = {path: path.read_bytes() for path in shelf.files()}
    assert kb(shelf, "read", "dpm", "no-such-paper").code == 3
    assert {path: path.read_bytes() for path in shelf.files()} == before


def test_progress_goes_out_and_comes_in(kb, shelf, tmp_path):
    rows = {(row["group"], row["id"]): row for row in data(kb(shelf, "progress", "--goal", "ddim", "--json"))}
    assert rows["all", "papers"]["total"] == 4
    assert rows["goal", "ddim"]["reading"] == 1
    file = tmp_path / "marks.json"
    marks = {
        "ddpm": {"s": "read", "t": "2026-11-21T09:30:00Z"},
        "gone": {"s": "read", "t": "2026-11-21T09:30:00Z"},
        "dpm": {"s": "unread", "t": "2026-11-21T09:30:00Z"},
    }
    file.write_text(json.dumps({"schema_version": 1, "marks": marks}))
    dry = kb(shelf, "progress", "import", str(file), "--dry-run")
    assert "+status: read" in dry.out
    assert "unread" in (shelf.papers / "ddpm.yaml").read_text()
    taken = data(kb(shelf, "progress", "import", str(file), "--json"))
    assert (list(taken["changed"]), taken["unchanged"], list(taken["unknown"])) == (["ddpm"], ["dpm"], ["gone"])
    assert 'status: read\nread_on: "2026-11-21"\n' in (shelf.papers / "ddpm.yaml").read_text()
    exported = json.loads(kb(shelf, "progress", "export").out)
    assert set(exported["marks"]) == {"ddim", "ddpm", "gone"}, "what no record has is kept"
    again = kb(shelf, "progress", "import", str(file))
    assert "0 changed" in again.err
    assert "no such record now: gone" in again.err
    file.write_text("not json")
    assert kb(shelf, "progress", "import", str(file)).code == 5
    assert kb(shelf, "progress", "import", str(tmp_path / "none.json")).code == 3


def test_fmt_mends_layout_and_says_what_it_left(kb, shelf):
    path = shelf.papers / "dpm.yaml"
    canonical = path.read_text()
    path.write_text("# mine\n" + canonical.replace('title: "The paper called dpm"', "title:  'The paper called dpm'"))
    assert kb(shelf, "fmt", "--check").code == 1
    assert kb(shelf, "fmt", "--check").out == "papers/dpm.yaml\n"
    assert "+# mine" not in kb(shelf, "fmt", "--dry-run").out
    assert kb(shelf, "fmt").code == 0
    assert path.read_text() == canonical.replace("id: dpm", "# mine\nid: dpm")
    assert kb(shelf, "fmt", "--check").code == 0
    broken = "id: x\nid: y\n"
    (shelf.papers / "x.yaml").write_text(broken)
    outcome = kb(shelf, "fmt")
    assert outcome.code == 5
    assert "x.yaml:2:1" in outcome.err
    assert (shelf.papers / "x.yaml").read_text() == broken


def test_check_reports_and_exits_with_one(kb, shelf):
    assert kb(shelf, "check").code == 0
    (shelf.papers / "bad.yaml").write_text("id: bad\nkind: paper\ntitle: t\narxiv: 2006.11230\n")
    outcome = kb(shelf, "check")
    assert outcome.code == 1
    [line] = [line for line in outcome.out.splitlines() if ": unquoted: " in line]
    assert line.startswith("papers/bad.yaml:4:8: unquoted: the arXiv id 2006.11230 is not quoted")
    [problem] = [p for p in data(kb(shelf, "check", "--json")) if p["code"] == "unquoted"]
    assert (problem["path"], problem["line"], problem["column"], problem["fix"]) == (
        "papers/bad.yaml",
        4,
        8,
        'write "2006.11230"',
    )


def test_a_bad_record_is_left_out_of_a_list_and_named(kb, shelf):
    (shelf.papers / "bad.yaml").write_text("id: bad\ntitle: x: y\n")
    outcome = kb(shelf, "list", "--kind", "paper")
    assert outcome.code == 5
    assert len(outcome.out.splitlines()) == 4
    assert "bad.yaml:2:9" in outcome.err
    assert kb(shelf, "show", "ddpm").code == 0
    assert kb(shelf, "show", "bad").code == 5


def test_a_locked_collection_says_who_holds_it(kb, shelf, monkeypatch):
    from kb_tools.records import writing

    monkeypatch.setattr(inspect.unwrap(writing.locked), "__defaults__", (0.05,))
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys\nfrom pathlib import Path\nfrom kb_tools.records.writing import locked\n"
            "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()",
            str(shelf.root),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    before = (shelf.papers / "dpm.yaml").read_bytes()
    outcome = kb(shelf, "read", "dpm")
    holder.communicate("")
    assert outcome.code == 6
    assert f"process {holder.pid}" in outcome.err
    assert (shelf.papers / "dpm.yaml").read_bytes() == before
    assert kb(shelf, "read", "dpm").code == 0


def test_methods_are_found_through_records_only(kb, shelf):
    outcome = kb(shelf, "run", "ddpm")
    assert outcome.code == 3
    assert "ddpm has no implementation" in outcome.err
    assert kb(shelf, "verify", "nothing-of-the-kind").code == 3
    assert kb(shelf, "verify").code == kb(shelf, "verify", "ddpm", "--all").code == 2
    assert "no record of this collection has an implementation" in kb(shelf, "verify", "--all").err
    assert kb(shelf, "run").code == 2


@pytest.mark.parametrize("fails", ["measure", "write"])
def test_a_disk_that_takes_no_evidence_is_exit_code_6(kb, make, record, monkeypatch, fails):
    from implementations.verification.evidence import record as evidence
    from implementations.verification.evidence import store

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    collection = make(record("ddpm", implementation="ddpm"))
    monkeypatch.setattr(evidence, "measure", full if fails == "measure" else lambda *_, **__: ({}, None))
    monkeypatch.setattr(store, "write", full)
    outcome = kb(collection, "verify", "ddpm", "--record")
    assert outcome.code == 6
    assert "No space left on device" in outcome.err and "Traceback" not in outcome.err


def test_a_showcase_is_asked_for_like_a_run(kb, make, record):
    """The recipes are those of this package, whatever the collection; `first` of the collection has none."""
    collection = make(record("first", implementation="first"))
    outcome = kb(collection, "run", "first", "--showcase")
    assert outcome.code == 3
    assert "first has no showcase" in outcome.err and "ddpm" in outcome.err
    assert "--showcase" in kb(collection, "run", "--help").out


def test_colour_is_for_terminals_or_by_request(shelf):
    def output(**environment) -> str:
        clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
        return subprocess.run(
            [*KB, "-C", str(shelf.root), "show", "ddpm"],
            env=clean | environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert "\x1b" not in output()
    assert "\x1b[1m" in output(FORCE_COLOR="1")
    assert "\x1b" not in output(FORCE_COLOR="1", NO_COLOR="1")


def test_a_reader_that_leaves_early_is_no_crash(shelf):
    done = subprocess.run(
        [
            "bash",
            "-c",
            '"$@" list --json | head -c 1 >/dev/null; echo ${PIPESTATUS[0]}',
            "x",
            *KB,
            "-C",
            str(shelf.root),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() in ("0", "141")
    assert "Traceback" not in done.stderr


def test_an_interrupt_is_130(kb, shelf, monkeypatch):
    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr("kb_tools.records.store.Collection.index", interrupted)
    assert kb(shelf, "list").code == 130
