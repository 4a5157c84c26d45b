"""A demo as a command, `kb run <method>`: its options, what it prints, its exit codes."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from implementations.lab.demo import Claim, Demo, name_of
from implementations.lab.folder import save
from implementations.lab.perform import perform

# What a full disk, a quota, a read-only tree and a folder of somebody else answer.
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG})


def main(slug: str, demo: Demo, argv: Sequence[str], *, about: str = "", out: str | Path | None = None) -> int:
    """Run a demo with the options of argv, save what it made, and print its claims.

    about: what `--help` says of it.  out: the folder to write to where --out does not say another.
    Returns the exit code: 0 the run ended, whatever its claims say at this budget (`kb verify` judges them), 2 it could
    not run, 6 a disk that is full or cannot be written to, 130 interrupted (--resume goes on).
    """
    options = vars(_parser(slug, demo, about, str(out or Path("build", "runs", slug))).parse_args(argv))
    folder = options["out"] = Path(options["out"])
    try:
        check_device(options["device"])
        run = demo.run(**options, progress=True)
        if run.resume and not any(folder.glob("*.state.safetensors")):
            print(f"nothing to resume in {folder}: starting from the beginning", file=sys.stderr)
        result = perform(slug, demo, run)
        if os.environ.get("RANK", "0") != "0":
            return 0
        written = save(result, folder)
    except KeyboardInterrupt:
        print(f"interrupted; what was trained is in {folder}, and --resume goes on from there", file=sys.stderr)
        return 130
    except (ValueError, OSError, FloatingPointError, ImportError) as error:
        return failed(error, folder)
    print(claims_table(result.claims))
    for base in result.bases:
        print(base)
    print(f"{result.seconds:.1f} s, {result.parameters:,} parameters; written:")
    for path in written:
        print(f"  {path}")
    return 0


def failed(error: Exception, folder: Path) -> int:
    """Say why a run that writes to `folder` could not end; returns its exit code."""
    full = isinstance(error, OSError) and error.errno in _NO_ROOM
    where = f"{folder}: " if full and not getattr(error, "filename", None) and " write " not in str(error) else ""
    print(f"error: {where}{error}", file=sys.stderr)
    return 6 if full else 2


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


def _parser(slug: str, demo: Demo, about: str, out: str) -> argparse.ArgumentParser:
    command = f"kb run {slug}"
    claims = ", ".join(map(name_of, demo.claims))
    parser = argparse.ArgumentParser(
        command,
        description=f"{about}\n\nclaims: {claims}".strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"examples:\n  {command}\n  {command} --seed 1 --out build/runs/{slug}-1\n"
        f"  {command} --resume          after Ctrl-C\n"
        f"  kb verify {slug} --claim {name_of(demo.claims[0])}",
    )
    add = parser.add_argument
    if len(demo.data) > 1:
        where = "; files are read from $KB_DATA/<name>/ if KB_DATA is set, else downloaded once"
        add("--data", default=demo.data[0], help=f"{', '.join(demo.data)} (default: {demo.data[0]}){where}")
    add("--device", default="cpu", help="cpu, cuda, cuda:1, ... (default: cpu)")
    add("--seed", type=int, default=0, help="of the weights, the batches and every draw (default: 0)")
    add("--steps", type=int, default=demo.steps, help=f"training steps (default: {demo.steps})")
    add("--out", default=out, help=f"folder for everything the run writes (default: {out})")
    add("--resume", action="store_true", help="go on from the state that an interrupted run left in --out")
    add("--fresh", action="store_true", help="train networks again that an earlier run left in the user's cache")
    return parser
