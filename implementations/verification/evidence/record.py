"""A method's demo run over several seeds, and what it found put together as one entry of evidence."""

from __future__ import annotations

import datetime
import io
import math
import multiprocessing
import sys
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from operator import itemgetter
from typing import Any

from implementations.lab.demo import Claim, Curve, Demo, Figure
from implementations.lab.folder import versions
from implementations.lab.perform import Result, perform
from implementations.verification.code_hash import code_hash, demo_of
from implementations.verification.evidence.store import Entry, EvidenceError

PICTURE_BYTES = 60_000


def measure(
    slug: str,
    demo: Demo,
    seeds: Sequence[int] = range(10),
    *,
    device: str = "cpu",
    data: str | None = None,
    claims: Collection[str] = (),
    jobs: int = 1,
    progress: bool = False,
    fresh: bool = False,
) -> tuple[Entry, bytes | None]:
    """Run a method's demo once per seed and put its claims together.

    data: None for the demo's own choice.  claims: only these, by name.  jobs: processes that share the seeds among
    them.  fresh: train also networks that the user's cache holds.  Returns the entry for `store.write`, and the first
    figure of the first seed as WebP (None if only some claims were asked for).
    """
    if not seeds:
        raise ValueError("evidence needs at least one seed")
    options = {"device": device, "fresh": fresh, **({} if data is None else {"data": data})}
    code = code_hash(demo_of(slug))  # before the runs: an edit while they run must show as stale
    results = [
        result for _, result in sorted(_results(slug, demo, seeds, options, claims, jobs, progress), key=itemgetter(0))
    ]
    first = results[0]
    figures, picture = [], None
    if first.figures:
        parts = [slug, *([] if device == "cpu" else [device.split(":")[0]]), *([] if data is None else [data])]
        described, picture = render(first.figures[0])
        figures = [{"file": f"{'-'.join(parts)}.webp", **described}]
    entry = {
        "device": _name_of(device),
        "recorded": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "code": code,
        "versions": versions(),
        "data": first.run.data,
        "seeds": list(seeds),
        "seconds": _rounded(_mean([_own_seconds(result) for result in results])),
        "bases": _bases(results),
        "parameters": first.parameters,
        "network_evaluations": first.network_evaluations,
        "claims": aggregate([result.claims for result in results], seeds),
        "figures": figures,
        **({"curves": laid_together([result.curves for result in results])} if first.curves else {}),
    }
    return entry, picture


def _results(
    slug: str,
    demo: Demo,
    seeds: Sequence[int],
    options: dict[str, Any],
    claims: Collection[str],
    jobs: int,
    progress: bool,
) -> Iterator[tuple[int, Result]]:
    """The place of a seed and what it gave, as they come; after each of several a line on stderr says how far it is."""

    def said(done: int, seed: int) -> None:
        if progress and len(seeds) > 1:
            print(f"{slug}: seed {seed} done, {done} of {len(seeds)}", file=sys.stderr, flush=True)

    if jobs == 1:
        for place, seed in enumerate(seeds):
            yield place, _one(slug, demo, seed, {**options, "progress": progress}, claims)
            said(place + 1, seed)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(seeds)), context) as pool:
        runs = {pool.submit(_one, slug, demo, seed, options, claims): place for place, seed in enumerate(seeds)}
        for done, run in enumerate(as_completed(runs), start=1):
            yield runs[run], run.result()
            said(done, seeds[runs[run]])


def _one(slug: str, demo: Demo, seed: int, options: dict[str, Any], claims: Collection[str]) -> Result:
    """One seed's demo, without what evidence does not keep: it would have to pass between processes."""
    result = perform(slug, demo, demo.run(seed=seed, **options), claims)
    kept = demo.run(seed=seed, **options)
    return replace(result, run=kept, weights={}, losses=[], figures=result.figures[:1])


def _own_seconds(result: Result) -> float:
    """Of a run, without the training of networks that another run would have found in the cache."""
    return result.seconds - sum(base.seconds for base in result.bases if not base.loaded)


def _bases(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Each network that comes through the cache: in how many runs it was loaded, and how long its training took."""
    rows = []
    for same in zip(*(result.bases for result in results), strict=True):
        loaded = sum(base.loaded for base in same)
        seconds = _rounded(_mean([base.seconds for base in same]))
        rows.append({"network": same[0].name, "loaded": loaded, "training_seconds": seconds})
    return rows


def aggregate(runs: Sequence[Sequence[Claim]], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """One claim from each seed's: mean and spread of the value, and the seeds nearest to changing the verdict.

    worst is the value nearest to failing its bound, control_best the control nearest to passing it, each with its seed;
    holds whether every seed's claim holds.
    """
    names = [claim.name for claim in runs[0]]
    if len(set(names)) < len(names):
        raise EvidenceError(f"two claims of one demo share a name: {names}")
    for run in runs[1:]:
        if [(c.name, c.bound, c.relation) for c in run] != [(c.name, c.bound, c.relation) for c in runs[0]]:
            raise EvidenceError("the demo's claims, or their bounds, change with the seed: they must not")
    return [_together(claims, seeds) for claims in zip(*runs, strict=True)]


def laid_together(runs: Sequence[Sequence[Curve]]) -> list[dict[str, Any]]:
    """One curve from each seed's: at each place the mean and the spread.

    EvidenceError where anything but the numbers upwards changes with the seed, or a line has not one for each place.
    """
    together = []
    for curves in zip(*runs, strict=True):
        first = curves[0]
        for curve in curves:
            if _frame(curve) != _frame(first):
                raise EvidenceError(f"curve {first.name}: its axes, lines or places across change with the seed")
        lines = [
            {"name": name, "across": [_rounded(place) for place in across], **_spread(name, curves, len(across))}
            for name, (across, _) in first.lines.items()
        ]
        together.append({"name": first.name, "across": first.across, "up": first.up, "lines": lines})
    return together


def _frame(curve: Curve) -> tuple[Any, ...]:
    """What a curve is before anything is measured."""
    return curve.name, curve.across, curve.up, {name: list(across) for name, (across, _) in curve.lines.items()}


def _spread(name: str, curves: Sequence[Curve], places: int) -> dict[str, list[float]]:
    values = [curve.lines[name][1] for curve in curves]
    if any(len(up) != places for up in values):
        raise EvidenceError(f"curve {curves[0].name}, line {name}: want a number for each of its {places} places")
    at_each = list(zip(*values, strict=True))
    return {"up": [_rounded(_mean(found)) for found in at_each], "sd": [_rounded(_sd(found)) for found in at_each]}


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


def _together(claims: Sequence[Claim], seeds: Sequence[int]) -> dict[str, Any]:
    first = claims[0]
    values, controls = [c.value for c in claims], [c.control for c in claims]
    upper = first.relation == "<="
    worst, best = _extreme(values, largest=upper), _extreme(controls, largest=not upper)
    return {
        "name": first.name,
        "statement": first.statement,
        "of": first.of,
        "relation": first.relation,
        "bound": _rounded(first.bound),
        "value": _rounded(_mean(values)),
        "sd": _rounded(_sd(values)),
        "worst": _rounded(values[worst]),
        "worst_seed": seeds[worst],
        "control": _rounded(_mean(controls)),
        "control_best": _rounded(controls[best]),
        "control_seed": seeds[best],
        "control_is": first.control_is,
        "holds": all(c.holds for c in claims),
    }


def _mean(figures: Sequence[float]) -> float:
    return sum(figures) / len(figures)


def _sd(figures: Sequence[float]) -> float:
    """With n - 1; 0 for one figure.  (statistics.stdev refuses NaN, which a failed run may give.)"""
    centre = _mean(figures)
    return math.sqrt(sum((f - centre) ** 2 for f in figures) / max(len(figures) - 1, 1))


def _extreme(figures: Sequence[float], *, largest: bool) -> int:
    """The place of the largest or the least, and of a NaN if any is: a run that gave no number is the worst of all."""
    sign = 1 if largest else -1
    return max(range(len(figures)), key=lambda k: (math.isnan(figures[k]), sign * figures[k]))


def _rounded(figure: float) -> float:
    return float(f"{figure:.6g}")


def _name_of(device: str) -> str:
    if device == "cpu":
        return "cpu"
    import torch

    return f"cuda: {torch.cuda.get_device_name(device)}" if device.startswith("cuda") else device
