"""kb run, kb verify: the methods behind the records, loaded when asked for."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

import click

from kb_tools.cli.output import json_option, put, put_json, say, shown_path, style, table, terminal, with_collection
from kb_tools.errors import KbError, NotFoundError, UsageError
from kb_tools.order import reading_order
from kb_tools.records.store import Collection

_COLUMNS = ("method", "claim", "value", "bound", "control", "verdict")


@click.command("run", context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="RECORD [OPTION]...")
@with_collection
@click.pass_context
def run_command(context: click.Context, collection: Collection, arguments: tuple[str, ...]) -> int:
    """Train and sample a method: `kb run ddpm` does what `python -m implementations.ddpm` does.

    The options are the method's own: --data, --device, --seed, --steps, --out, --resume as far as it has them;
    `kb run ddpm --help` lists them.  Results go to build/runs/<method>/ unless --out says otherwise.  The exit code is
    1 if a claim fails.

    \b
    Examples:
      kb run ddpm
      kb run ddim --seed 1 --device cuda
    """
    if not arguments:
        raise click.UsageError("name the method to run, as in `kb run ddpm`", context)
    if arguments[0] in ("-h", "--help"):
        put(context.get_help())
        return 0
    record, *options = arguments
    if record.startswith("-"):
        raise click.UsageError(f"the record comes before the method's own options: kb run RECORD {record} ...", context)
    module = module_of(collection, record)
    if not any(option == "--out" or option.startswith("--out=") for option in options):
        options += ["--out", str(collection.root / "build" / "runs" / module.replace("_", "-"))]
    command = _loaded("implementations.lab.command")
    return command.run(module, options)


@click.command("verify")
@click.argument("records", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Judge every method of the collection, in reading order.")
@click.option(
    "--seeds", type=click.IntRange(1, 1000), default=1, show_default=True, help="Run the demo with seeds 0 to N-1."
)
@click.option("--device", default="cpu", show_default=True, help="Where to run: cpu, cuda, cuda:1, ...")
@click.option("--data", metavar="NAME", help="What to train on (default: the demo's own choice).")
@click.option(
    "--jobs", type=click.IntRange(1, 64), help="Seeds run side by side (default: one per core on a CPU, else one)."
)
@click.option("--record", "recorded", is_flag=True, help="Keep the result under implementations/evidence/.")
@json_option
@with_collection
def verify_command(
    collection: Collection,
    records: tuple[str, ...],
    everything: bool,
    seeds: int,
    device: str,
    data: str | None,
    jobs: int | None,
    recorded: bool,
    as_json: bool,
) -> int:
    """Judge the claims of methods: each value against its bound, and a control that must fail the same bound.

    Exits with 1 if a claim fails on any seed.  Several seeds give means; --record keeps them as evidence, with the
    hash of the code they were measured on.

    \b
    Examples:
      kb verify ddpm ddim
      kb verify ddim --seeds 10 --record
      kb verify --all
    """
    if everything == bool(records):
        raise click.UsageError("name the methods to judge, or give --all" + (", not both" if records else ""))
    if everything:
        known = collection.entries()
        records = tuple(i for step in reading_order(known) for i in step.ids if known[i].implementation)
        if not records:
            raise NotFoundError("no record of this collection has an implementation")
    modules = {module_of(collection, record): None for record in records}
    evidence = _loaded("implementations.verification.evidence")
    _check_device(device)
    jobs = jobs or (min(seeds, os.cpu_count() or 1) if device == "cpu" else 1)
    entries: dict[str, dict[str, Any]] = {}
    for module in modules:
        say(f"kb: {module} on {device}, {seeds} {'seed' if seeds == 1 else 'seeds'}")
        try:
            entry, picture = evidence.judge(
                module, seeds=range(seeds), device=device, progress=terminal(), data=data, jobs=jobs
            )
        except ValueError as error:  # data that there is none of, or that the method does not take
            raise UsageError(f"{module} cannot be judged: {error}") from error
        except (OSError, FloatingPointError) as error:
            raise KbError(f"{module} cannot be judged: {error}") from error
        entries[module] = entry
        if recorded:
            path = evidence.write(module.replace("_", "-"), entry, picture, collection.root)
            say(f"kb: recorded in {shown_path(path, collection)}")
    if as_json:
        put_json(entries)
    else:
        table(_COLUMNS, [row for module, entry in entries.items() for row in _rows(module, entry)])
    failing = [
        f"{m}: {claim['name']}" for m, entry in entries.items() for claim in entry["claims"] if not claim["holds"]
    ]
    for name in failing:
        say(style(f"kb: fails: {name}", fg="red"))
    return 1 if failing else 0


def module_of(collection: Collection, reference: str) -> str:
    """The module of implementations/ that a reference means: through its record, or by the module's own name."""
    index = collection.index()
    methods = {entry.id: entry.implementation for entry in index.entries() if entry.implementation}
    if reference in methods.values():
        return reference
    ident = collection.resolve(reference, index)
    if ident not in methods:
        raise NotFoundError(
            f"{ident} has no implementation", hint=f"these have one: {', '.join(sorted(methods)) or 'none yet'}"
        )
    return methods[ident]


def _rows(module: str, entry: dict[str, Any]) -> list[tuple]:
    return [
        (
            module,
            claim["name"],
            f"{claim['value']:.4g}" + (f" ± {claim['sd']:.2g}" if len(entry["seeds"]) > 1 else ""),
            f"{claim['relation']} {claim['bound']:.4g}",
            f"{claim['control']:.4g}",
            "holds" if claim["holds"] else "FAILS",
        )
        for claim in entry["claims"]
    ]


def _check_device(device: str) -> None:
    try:
        _loaded("implementations.lab.command").check_device(device)
    except ValueError as error:
        raise UsageError(f"--device: {error}") from None


def _loaded(name: str) -> ModuleType:
    """A module of implementations/, which needs torch; `kb` alone does not."""
    from importlib import import_module

    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == "implementations":
            raise
        raise KbError(
            f"methods need {error.name}, which is not installed", hint="pip install 'diffusion-kb[run]', or `make run`"
        ) from None
