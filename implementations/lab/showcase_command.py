"""A showcase as a command, `kb run <method> --showcase`: its options, what it prints, its exit codes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from implementations.lab.command import check_device, failed
from implementations.lab.showcase import Showcase, show
from implementations.verification.evidence import showcases


def main(slug: str, showcase: Showcase, argv: Sequence[str], *, about: str, out: Path, evidence: Path) -> int:
    """Train or load what a showcase needs, and write its pictures and what they are.

    about: what `--help` says of it.  out: the folder of the run, where --out does not say another; evidence: where
    --record writes.  Returns the exit code: 0, 2 it could not run, 6 a disk that is full or cannot be written to, 130
    interrupted (--resume goes on).
    """
    options = vars(_parser(slug, showcase, about, str(out)).parse_args(argv))
    folder, kept = Path(options.pop("out")), options.pop("record")
    try:
        check_device(options["device"])
        run = showcase.run(**{k: v for k, v in options.items() if v is not None}, out=folder, progress=True)
        if kept and options["steps"] is not None:
            raise ValueError("--record keeps what the whole recipe gave: leave out --steps")
        if run.resume and not any(folder.glob("*.state.safetensors")):
            print(f"nothing to resume in {folder}: starting from the beginning", file=sys.stderr)
        entry, pictures = show(slug, showcase, run)
        written = showcases.write(entry, pictures, evidence if kept else folder)
    except KeyboardInterrupt:
        print(f"interrupted; what was trained is in {folder}, and --resume goes on from there", file=sys.stderr)
        return 130
    except (ValueError, OSError, FloatingPointError, ImportError) as error:
        return failed(error, folder)
    for base in run.bases:
        print(base)
    for network in entry["networks"]:
        print(
            f"{network['network']}: {network['steps']:,} steps of {network['batch']}, {network['minutes']:g} min, "
            f"{network['parameters']:,} parameters"
        )
    print(f"{entry['network_evaluations']:,} network evaluations per sample; written:")
    for path in written:
        print(f"  {path}")
    return 0


def _parser(slug: str, showcase: Showcase, about: str, out: str) -> argparse.ArgumentParser:
    command = f"kb run {slug} --showcase"
    parser = argparse.ArgumentParser(
        command,
        description=f"{about}\n\nTrains longer than `kb run {slug}`, on pictures that a person recognises; claims "
        "nothing.\nNetworks stay in the user's cache, and are loaded the next time.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"examples:\n  {command}\n  {command} --data {showcase.data[-1]} --seed 1\n"
        f"  {command} --resume          after Ctrl-C\n  {command} --record          keep it as evidence",
    )
    add = parser.add_argument
    where = "files are read from $KB_DATA/<name>/ if KB_DATA is set, else downloaded once"
    add("--data", help=f"{', '.join(showcase.data)} (default: {showcase.data[0]}); {where}")
    add("--device", default="cpu", help="cpu, cuda, cuda:1, ... (default: cpu)")
    add("--seed", type=int, default=0, help="of the weights, the batches and every draw (default: 0)")
    add("--steps", type=int, help="at most so many training steps of each network (default: as the recipe says)")
    add("--out", default=out, help=f"folder for everything the run writes (default: {out})")
    add("--resume", action="store_true", help="go on from the state that an interrupted run left in --out")
    add("--fresh", action="store_true", help="train networks again that an earlier run left in the user's cache")
    add("--record", action="store_true", help="keep pictures and facts under implementations/evidence/")
    return parser
