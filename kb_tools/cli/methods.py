"""kb run, kb verify: the methods behind the records, loaded when asked for."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

import click

from kb_tools.cli.output import json_option, put, put_json, room_needed, say, shown_path, style, table, with_collection
from kb_tools.errors import STORAGE, KbError, NotFoundError, StorageError, UsageError
from kb_tools.graphs.order import reading_order
from kb_tools.records.store import Collection

_COLUMNS = ("method", "claim", "value", "worst", "bound", "control", "best control", "verdict")


@click.command("run", context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="METHOD [OPTION]...")
@with_collection
@click.pass_context
def run_command(context: click.Context, collection: Collection, arguments: tuple[str, ...]) -> int:
    """Train and sample a method, and show what its claims come to.

    METHOD is a record that has an implementation, or the name of its module.  The options are the same for all
    methods: --data, --device, --seed, --steps, --out, --resume, --fresh; `kb run ddpm --help` explains them and lists
    the claims.  Results go to build/runs/<method>/ unless --out says otherwise.  Networks that another method starts
    from are kept in the user's cache and loaded the next time; --fresh trains them again.

    A run that ended exits with 0, whatever its claims say at a smaller budget: judging is `kb verify`.

    With --showcase it trains longer, on pictures that a person recognises, claims nothing, and leaves the pictures in
    the same folder; --record keeps them for the site.  `kb run ddpm --showcase --help` lists its options.

    \b
    Examples:
      kb run ddpm
      kb run ddim --seed 1 --device cuda
      kb run ddpm --showcase --data mnist
    """
    if not arguments:
        raise click.UsageError("name the method to run, as in `kb run ddpm`", context)
    if arguments[0] in ("-h", "--help"):
        put(context.get_help())
        return 0
    record, *options = arguments
    if record.startswith("-"):
        raise click.UsageError(f"the record comes before the method's own options: kb run RECORD {record} ...", context)
    slug = module_of(collection, record).replace("_", "-")
    if "--showcase" in options:
        options.remove("--showcase")
        return _showcase(collection, slug, options)
    demo, about = demo_of(slug)
    command = _loaded("implementations.lab.command")
    return command.main(slug, demo, options, about=about, out=collection.root / "build" / "runs" / slug)


@click.command("verify")
@click.argument("records", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Judge every method of the collection, in reading order.")
@click.option(
    "--claim", "claims", multiple=True, metavar="NAME", help="Only this claim, and what it needs; repeatable."
)
@click.option(
    "--seeds", type=click.IntRange(1, 1000), default=1, show_default=True, help="Run the demo with seeds 0 to N-1."
)
@click.option("--device", default="cpu", show_default=True, help="Where to run: cpu, cuda, cuda:1, ...")
@click.option("--data", metavar="NAME", help="What to train on (default: the demo's own choice).")
@click.option(
    "--jobs", type=click.IntRange(1, 64), help="Seeds run side by side (default: one per core on a CPU, else one)."
)
@click.option("--fresh", is_flag=True, help="Train networks again that an earlier run left in the user's cache.")
@click.option("--record", "recorded", is_flag=True, help="Keep the result under implementations/evidence/.")
@json_option
@with_collection
def verify_command(
    collection: Collection,
    records: tuple[str, ...],
    everything: bool,
    claims: tuple[str, ...],
    seeds: int,
    device: str,
    data: str | None,
    jobs: int | None,
    fresh: bool,
    recorded: bool,
    as_json: bool,
) -> int:
    """Judge the claims of methods: each value against its bound, and a control that must fail the same bound.

    Exits with 1 if a claim fails on any seed, and says which seed and why.  Several seeds give means, and the value and
    the control that come nearest to changing the verdict; --record keeps them as evidence, with the hash of the code
    they were measured on.

    \b
    Examples:
      kb verify ddpm ddim
      kb verify ddim --claim few-steps
      kb verify ddim --seeds 10 --record
      kb verify --all
    """
    if everything == bool(records):
        raise click.UsageError("name the methods to judge, or give --all" + (", not both" if records else ""))
    if claims and (recorded or everything or len(records) > 1):
        raise click.UsageError("--claim is for a look at one method: without --record, --all and other methods")
    if everything:
        known = collection.entries()
        records = tuple(i for step in reading_order(known) for i in step.ids if known[i].implementation)
        if not records:
            raise NotFoundError("no record of this collection has an implementation")
    slugs = {module_of(collection, record).replace("_", "-"): None for record in records}
    record = _loaded("implementations.verification.evidence.record")
    store = _loaded("implementations.verification.evidence.store")
    _check_device(device)
    jobs = jobs or (min(seeds, os.cpu_count() or 1) if device == "cpu" else 1)
    entries: dict[str, dict[str, Any]] = {}
    for slug in slugs:
        demo, _ = demo_of(slug)
        say(f"kb: {slug} on {device}, {seeds} {'seed' if seeds == 1 else 'seeds'}")
        options = {"device": device, "data": data, "claims": claims, "jobs": jobs, "fresh": fresh}
        try:
            entry, picture = record.measure(slug, demo, range(seeds), progress=True, **options)
        except ValueError as error:  # data that there is none of, or that the method does not take
            raise UsageError(f"{slug} cannot be judged: {error}") from error
        except (OSError, FloatingPointError) as error:
            full = isinstance(error, OSError) and error.errno in STORAGE
            raise (StorageError if full else KbError)(f"{slug} cannot be judged: {error}") from error
        entries[slug] = entry
        if recorded:
            with room_needed(collection.root / "implementations" / "evidence"):
                path = store.write(slug, entry, picture, collection.root)
            say(f"kb: recorded in {shown_path(path, collection)}")
    if as_json:
        put_json(entries)
    else:
        table(_COLUMNS, [row for slug, entry in entries.items() for row in _rows(slug, entry)])
    failing = [
        f"{slug}: {claim['name']}: {why}"
        for slug, entry in entries.items()
        for claim in entry["claims"]
        for why in _failures(claim)
    ]
    for line in failing:
        say(style(f"kb: fails: {line}", fg="red"))
    return 1 if failing else 0


def module_of(collection: Collection, reference: str) -> str:
    """The module of implementations/ that a reference means: through its record, or by the module's own name.

    A method that no record names yet has a name too, so that it can be run while it is written.
    """
    index = collection.index()
    methods = {entry.id: entry.implementation for entry in index.entries() if entry.implementation}
    if reference in methods.values():
        return reference
    name = reference.replace("-", "_")
    if name.isidentifier() and (collection.root / "implementations" / "demos" / f"{name}.py").is_file():
        return name
    ident = collection.resolve(reference, index)
    if ident not in methods:
        raise NotFoundError(
            f"{ident} has no implementation", hint=f"these have one: {', '.join(sorted(methods)) or 'none yet'}"
        )
    return methods[ident]


def demo_of(slug: str) -> tuple[Any, str]:
    """The demo of a method and what its docstring says; NotFoundError if it has none."""
    demos = _loaded("implementations.demos")
    try:
        return demos.find(slug)
    except ValueError as error:
        raise NotFoundError(str(error), hint=f"`kb new-method {slug}` writes one") from None


def _showcase(collection: Collection, slug: str, options: list[str]) -> int:
    named = _loaded("implementations.showcases.named")
    try:
        showcase, about = named.find(slug)
    except ValueError as error:
        raise NotFoundError(str(error), hint=f"these methods have one: {', '.join(named.slugs())}") from None
    out, evidence = collection.root / "build" / "runs" / slug, collection.root / "implementations" / "evidence"
    command = _loaded("implementations.lab.showcase_command")
    return command.main(slug, showcase, options, about=about, out=out, evidence=evidence)


def _rows(slug: str, entry: dict[str, Any]) -> list[tuple]:
    several = len(entry["seeds"]) > 1
    return [
        (
            slug,
            claim["name"],
            f"{claim['value']:.4g}" + (f" ± {claim['sd']:.2g}" if several else ""),
            f"{claim['worst']:.4g}" + (f" (seed {claim['worst_seed']})" if several else ""),
            f"{claim['relation']} {claim['bound']:.4g}",
            f"{claim['control']:.4g}",
            f"{claim['control_best']:.4g}" + (f" (seed {claim['control_seed']})" if several else ""),
            "holds" if claim["holds"] else "FAILS",
        )
        for claim in entry["claims"]
    ]


def _failures(claim: dict[str, Any]) -> list[str]:
    """Why a claim does not hold: its value on some seed, its control on some seed, or both."""

    def inside(figure: float) -> bool:
        return figure <= claim["bound"] if claim["relation"] == "<=" else figure >= claim["bound"]

    bound = f"{claim['relation']} {claim['bound']:.4g}"
    found = []
    if not inside(claim["worst"]):
        found.append(f"the value of seed {claim['worst_seed']} is {claim['worst']:.4g}, not {bound}")
    if inside(claim["control_best"]):
        found.append(
            f"the control of seed {claim['control_seed']} is {claim['control_best']:.4g}, {bound} as well: choose "
            "another bound, more samples, or another claim"
        )
    return found


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
