"""Evidence: what a method's claims measured, over several seeds, kept beside the hash of the code they measured.

One file per method, `implementations/evidence/<slug>.yaml`, with one entry per device, and a picture beside it.
Reading needs the standard library and PyYAML; only `judge` imports torch, through the method it runs.
"""

from __future__ import annotations

import datetime
import importlib
import inspect
import io
import math
import multiprocessing
import platform
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from implementations.verification.code_hash import PACKAGE, ROOT, code_hash

if TYPE_CHECKING:
    from implementations.lab.results import Claim, Figure, Result

Entry = dict[str, Any]
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
PICTURE_BYTES = 60_000


class EvidenceError(ValueError):
    """A file of evidence that cannot be read, or results that do not belong together."""


def module_of(slug: str) -> str:
    """The module of a method: score-sde is implemented by score_sde."""
    return slug.replace("-", "_")


def path_of(slug: str, root: Path = ROOT) -> Path:
    return root / PACKAGE / "evidence" / f"{slug}.yaml"


def read(slug: str, root: Path = ROOT) -> dict[str, Any] | None:
    """The evidence of a method: {"method", "entries"}, or None if none was recorded.

    Raises EvidenceError when the file is not what `write` writes.
    """
    path = path_of(slug, root)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        evidence = yaml.load(text, _Loader)  # noqa: S506 - one of the two safe loaders
    except yaml.YAMLError as problem:
        what = " ".join(str(problem).split())
        raise EvidenceError(f"{path}: not YAML ({what}): record it again with `kb verify {slug} --record`") from None
    if not _sound(evidence, slug):
        raise EvidenceError(
            f"{path}: not the evidence of {slug} (want `method: {slug}` and a list of entries with device, data and "
            f"code): record it again with `kb verify {slug} --record`"
        )
    return evidence


def write(slug: str, entry: Entry, picture: bytes | None = None, root: Path = ROOT) -> Path:
    """Keep an entry, in place of an earlier one from the same device and data, and its picture.  Returns the file.

    Each file is whole or untouched, and the text is parsed again before it replaces anything.
    """
    from implementations.lab.checkpoint import write_atomically

    kept = read(slug, root) or {"method": slug, "entries": []}
    entries = [old for old in kept["entries"] if _identity(old) != _identity(entry)] + [entry]
    text = dump({"method": slug, "entries": sorted(entries, key=_identity)})
    if dump(yaml.safe_load(text)) != text:
        raise EvidenceError(f"the entry of {slug} changes in YAML: give plain strings, numbers, lists and mappings")
    if picture is not None:
        write_atomically(path_of(slug, root).with_name(entry["figures"][0]["file"]), picture)
    path = path_of(slug, root)
    write_atomically(path, text.encode())
    return path


def dump(value: Any) -> str:
    """Canonical YAML: keys as given, no aliases, one line per value."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


def stale(slug: str, root: Path = ROOT) -> str | None:
    """Why the evidence of a method says nothing about its present code, or None if it does."""
    evidence, remedy = read(slug, root), f"run `kb verify {slug} --record`"
    if evidence is None or not evidence["entries"]:
        return f"no evidence recorded for {slug}: {remedy}"
    now = code_hash(module_of(slug), root)
    old = [entry["device"] for entry in evidence["entries"] if entry["code"] != now]
    if old:
        return f"evidence recorded on {' and '.join(old)} is older than the code of {slug}: {remedy}"
    lost = [
        figure["file"]
        for entry in evidence["entries"]
        for figure in entry.get("figures", [])
        if not path_of(slug, root).with_name(figure["file"]).is_file()
    ]
    return f"picture {lost[0]} of the evidence of {slug} is missing: {remedy}" if lost else None


def failing(slug: str, root: Path = ROOT) -> list[str]:
    """The recorded claims that do not hold on every seed, as "device: name"; empty if there is no evidence."""
    entries = (read(slug, root) or {"entries": []})["entries"]
    return [f"{e['device']}: {claim['name']}" for e in entries for claim in e.get("claims", []) if not claim["holds"]]


def judge(
    module_name: str,
    seeds: Sequence[int] = range(10),
    device: str = "cpu",
    progress: bool = False,
    data: str | None = None,
    jobs: int = 1,
) -> tuple[Entry, bytes | None]:
    """Run a method's demo once per seed and put its claims together.

    module_name: within the package ("ddim").  data: None for the demo's own choice.  jobs: processes that share the
    seeds among them.  Returns the entry to `write`, and the first figure of the first seed as WebP (None if the demo
    draws none).
    """
    if not seeds:
        raise ValueError("judge needs at least one seed")
    chosen = {} if data is None else {"data": data}
    code = code_hash(module_name)  # before the runs: an edit while they run must show as stale
    if jobs == 1:
        results = [_run(module_name, seed, device, progress, chosen) for seed in seeds]
    else:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(jobs, len(seeds)), context) as pool:
            runs = [pool.submit(_run, module_name, seed, device, False, chosen) for seed in seeds]
            results = [run.result() for run in runs]
    first = results[0]
    figures, picture = [], None
    if first.figures:
        parts = [first.method, *([] if device == "cpu" else [device.split(":")[0]]), *chosen.values()]
        described, picture = render(first.figures[0])
        figures = [{"file": f"{'-'.join(parts)}.webp", **described}]
    entry = {
        "device": _name_of(device),
        "recorded": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "code": code,
        "versions": _versions(),
        "data": first.data,
        "seeds": list(seeds),
        "seconds": _rounded(_mean([result.seconds for result in results])),
        "parameters": first.parameters,
        "network_evaluations": first.network_evaluations,
        "claims": aggregate([result.claims for result in results]),
        "figures": figures,
    }
    return entry, picture


def _run(module_name: str, seed: int, device: str, progress: bool, chosen: dict[str, str]) -> Result:
    """One seed's demo, without the tensors that evidence does not keep."""
    from implementations.lab.threads import suited_to

    demo = importlib.import_module(f"{PACKAGE}.{module_name}").demo
    keywords = inspect.signature(demo).parameters
    data = chosen.get("data", keywords["data"].default if "data" in keywords else None)
    start = time.perf_counter()
    with suited_to(data):
        result = demo(device=device, seed=seed, progress=progress, **chosen)
    empty = result.samples[:0].cpu()
    seconds = time.perf_counter() - start
    return replace(result, samples=empty, reference=empty, model={}, losses=[], seconds=seconds)


def aggregate(runs: Sequence[Sequence[Claim]]) -> list[dict[str, Any]]:
    """One claim from each seed's: mean and spread of the value, and the seeds nearest to changing the verdict.

    worst is the value nearest to failing its bound, control_best the control nearest to passing it, holds whether every
    seed's claim holds.
    """
    names = [claim.name for claim in runs[0]]
    if len(set(names)) < len(names):
        raise EvidenceError(f"two claims of one demo share a name: {names}")
    for run in runs[1:]:
        if [(c.name, c.bound, c.relation) for c in run] != [(c.name, c.bound, c.relation) for c in runs[0]]:
            raise EvidenceError("the demo's claims, or their bounds, change with the seed: they must not")
    return [_together(claims) for claims in zip(*runs, strict=True)]


def render(figure: Figure) -> tuple[dict[str, Any], bytes]:
    """A figure as WebP of at most 60 kB: lossless if that fits, else as good as fits, at last smaller.

    Returns {"alt", "width", "height"} and the bytes.
    """
    from PIL import Image

    pixels = (figure.image.detach().cpu().clamp(0, 1) * 255).round().byte().numpy()
    picture = Image.fromarray(pixels).convert("RGB")
    while True:
        for options in ({"lossless": True}, *({"quality": q} for q in (90, 75, 60, 45))):
            out = io.BytesIO()
            picture.save(out, "WEBP", **options)
            if out.tell() <= PICTURE_BYTES:
                return {"alt": figure.alt, "width": picture.width, "height": picture.height}, out.getvalue()
        picture = picture.resize((max(1, picture.width * 3 // 4), max(1, picture.height * 3 // 4)))


def _together(claims: Sequence[Claim]) -> dict[str, Any]:
    first = claims[0]
    values, controls = [c.value for c in claims], [c.control for c in claims]
    upper = first.relation == "<="
    return {
        "name": first.name,
        "statement": first.statement,
        "of": first.of,
        "relation": first.relation,
        "bound": _rounded(first.bound),
        "value": _rounded(_mean(values)),
        "sd": _rounded(_sd(values)),
        "worst": _rounded(_extreme(values, largest=upper)),
        "control": _rounded(_mean(controls)),
        "control_best": _rounded(_extreme(controls, largest=not upper)),
        "control_is": first.control_is,
        "holds": all(c.holds for c in claims),
    }


def _mean(figures: Sequence[float]) -> float:
    return sum(figures) / len(figures)


def _sd(figures: Sequence[float]) -> float:
    """With n - 1; 0 for one figure.  (statistics.stdev refuses NaN, which a failed run may give.)"""
    centre = _mean(figures)
    return math.sqrt(sum((f - centre) ** 2 for f in figures) / max(len(figures) - 1, 1))


def _extreme(figures: Sequence[float], *, largest: bool) -> float:
    """max or min, and NaN if any is: a run that failed to give a number is the worst of all."""
    if any(math.isnan(f) for f in figures):
        return math.nan
    return max(figures) if largest else min(figures)


def _rounded(figure: float) -> float:
    return float(f"{figure:.6g}")


def _name_of(device: str) -> str:
    if device == "cpu":
        return "cpu"
    import torch

    return f"cuda: {torch.cuda.get_device_name(device)}" if device.startswith("cuda") else device


def _versions() -> dict[str, str]:
    import numpy
    import torch

    return {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": numpy.__version__}


def _identity(entry: Entry) -> tuple[bool, str, str]:
    """What an entry replaces, and where it stands: the CPU first."""
    return entry["device"] != "cpu", entry["device"], entry["data"]


def _sound(evidence: Any, slug: str) -> bool:
    entries = evidence.get("entries") if isinstance(evidence, dict) else None
    if not isinstance(entries, list) or evidence.get("method") != slug:
        return False
    return all(isinstance(e, dict) and {"device", "data", "code"} <= e.keys() for e in entries)


class _Dumper(yaml.SafeDumper):
    """A list of plain values stands on one line; nothing is written as an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _list(dumper: _Dumper, data: list[Any]) -> yaml.Node:
    flat = not any(isinstance(item, dict | list) for item in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=flat)


_Dumper.add_representer(list, _list)
