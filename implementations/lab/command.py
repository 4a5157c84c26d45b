"""A method's demo as a command: `python -m implementations.<method>` and `kb run <method>`."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import inspect
import json
import math
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_type_hints

from implementations.lab import checkpoint, data, pictures
from implementations.lab.results import Claim, Result
from implementations.lab.threads import suited_to

HELP = {
    "data": f"what to train on: {', '.join(data.NAMES)}, as far as the method takes them; the last three are read "
    "from $KB_DATA/<name>/ if KB_DATA is set, else downloaded once",
    "device": "cpu, cuda, cuda:1, ...",
    "seed": "of the weights, the batches and every draw",
    "steps": "training steps",
    "resume": "go on from the state that an interrupted run left in --out",
}


def main(demo: Callable[..., Result], argv: Sequence[str] | None = None) -> int:
    """Run `demo` with options made from its keywords, save what it returns, and print its claims.

    Returns the exit code: 0 all claims hold, 1 one fails, 2 it could not run, 130 interrupted (--resume goes on).
    """
    slug = _slug(demo)
    options = vars(_parser(demo, slug).parse_args(argv))
    out = Path(options["out"])
    try:
        if "device" in options:
            check_device(options["device"])
        if options.get("resume") and not any(out.glob("*.state.safetensors")):
            print(f"nothing to resume in {out}: starting from the beginning", file=sys.stderr)
        if "progress" in inspect.signature(demo).parameters:
            options["progress"] = True
        with suited_to(options.get("data")):
            result = demo(**options)
        if os.environ.get("RANK", "0") != "0":
            return 0
        written = save(result, slug, out, device=str(options.get("device", "cpu")), steps=options.get("steps"))
    except KeyboardInterrupt:
        print(f"interrupted; what was trained is in {out}, and --resume goes on from there", file=sys.stderr)
        return 130
    except (ValueError, OSError, FloatingPointError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(claims_table(result.claims))
    print(f"{result.seconds:.1f} s, {result.parameters:,} parameters; written:")
    for path in written:
        print(f"  {path}")
    return 0 if all(claim.holds for claim in result.claims) else 1


def run(method: str, argv: Sequence[str]) -> int:
    """`main` for a method by its slug or module name; ValueError if there is no such method."""
    name = f"implementations.{method.replace('-', '_')}"
    if not name.rpartition(".")[2].isidentifier() or importlib.util.find_spec(name) is None:
        raise ValueError(f"there is no method {method!r}: no file implementations/{method.replace('-', '_')}.py")
    module = importlib.import_module(name)
    if not hasattr(module, "demo"):
        raise ValueError(f"{name} has no demo to run")
    return main(module.demo, argv)


def check_device(device: str) -> None:
    """ValueError, saying what this machine has, unless torch can use `device` here."""
    import torch

    cuda = [f"cuda:{k} ({torch.cuda.get_device_name(k)})" for k in range(torch.cuda.device_count())]
    here = ["cpu", *cuda] + (["mps"] if torch.backends.mps.is_available() else [])
    try:
        wanted = torch.device(device)
    except RuntimeError:
        wanted = None
    if wanted is not None and wanted.type == "cuda" and (wanted.index or 0) < len(cuda):
        return
    if wanted is None or wanted.type not in ("cpu", "mps") or wanted.type not in here:
        raise ValueError(f"device {device!r} cannot be used; this machine has {', '.join(here)}")


def save(result: Result, slug: str, out: Path, *, device: str, steps: int | None) -> list[Path]:
    """Write the weights, each figure and a summary to `out`, each of them atomically.  Returns the paths.

    The summary comes last: where it lies, the rest is complete.
    """
    from implementations.verification.code_hash import code_hash

    method = slug.replace("-", "_")
    facts = {"method": slug, "code": code_hash(method), "data": result.data, "seed": result.seed, "steps": steps}
    written = []
    if result.model:
        written.append(out / f"{slug}.safetensors")
        checkpoint.save(written[-1], result.model, {key: str(value) for key, value in facts.items()})
    figures = []
    for figure in result.figures:
        written.append(out / f"{figure.name}.webp")
        pictures.save(written[-1], figure.image)
        height, width = figure.image.shape[:2]
        figures.append({"file": written[-1].name, "alt": figure.alt, "width": width, "height": height})
    summary = facts | {
        "device": device,
        "seconds": round(result.seconds, 2),
        "parameters": result.parameters,
        "network_evaluations": result.network_evaluations,
        "versions": _versions(),
        "claims": [_plain(claim) for claim in result.claims],
        "figures": figures,
    }
    written.append(out / f"{slug}.json")
    text = json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    checkpoint.write_atomically(written[-1], text.encode())
    return written


def claims_table(claims: Sequence[Claim]) -> str:
    """The claims as aligned columns: what was measured, the bound, what the control gave, and the verdict."""
    rows = [("claim", "value", "bound", "control", "verdict")]
    for claim in claims:
        failure = "CONTROL PASSES" if claim.satisfied_by(claim.value) else "FAILS"
        verdict = "holds" if claim.holds else failure
        bound = f"{claim.relation} {claim.bound:.4g}"
        rows.append((claim.name, f"{claim.value:.4g}", bound, f"{claim.control:.4g}", verdict))
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, [*widths, 0], strict=True)) for row in rows)


def _slug(demo: Callable[..., Result]) -> str:
    """The method's slug from where its demo is defined, also when that module runs as `__main__`."""
    module = demo.__module__
    if module == "__main__":
        module = demo.__globals__["__spec__"].name
    return module.rpartition(".")[2].replace("_", "-")


def _parser(demo: Callable[..., Result], slug: str) -> argparse.ArgumentParser:
    """Options from the keywords of `demo`, with its defaults."""
    module = slug.replace("-", "_")
    text = inspect.getdoc(demo) or ""
    command = f"python -m implementations.{module}"
    parser = argparse.ArgumentParser(
        command,
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"examples:\n  {command}\n  {command} --seed 1 --out build/runs/{slug}-1\n"
        f"  {command} --resume          after Ctrl-C",
    )
    hints = get_type_hints(demo)
    for name, parameter in inspect.signature(demo).parameters.items():
        if name == "progress":
            continue
        flag = f"--{name.replace('_', '-')}"
        if name == "out":
            default = f"build/runs/{slug}"
            parser.add_argument(
                flag, default=default, help=f"folder for everything the run writes (default: {default})"
            )
        elif hints.get(name) is bool:
            parser.add_argument(flag, action="store_true", dest=name, help=HELP.get(name))
        else:
            kind = type(parameter.default)
            about = f"{HELP[name]} (default: {parameter.default})" if name in HELP else f"default: {parameter.default}"
            parser.add_argument(flag, type=kind, default=parameter.default, dest=name, help=about)
    return parser


def _plain(claim: Claim) -> dict[str, object]:
    """A claim for JSON, which has no NaN."""
    row = {**vars(claim), "holds": claim.holds}
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


def _versions() -> dict[str, str]:
    import numpy
    import torch

    # What torch says of itself names its build too (2.13.0+cu130); the metadata of a package need not.
    return {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": numpy.__version__}
