"""Running a demo: what is the same for every one is done here, once."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

from implementations.lab.demo import Claim, Curve, Demo, Figure, Run, name_of
from implementations.lab.networks import Base
from implementations.lab.threads import suited_to


@dataclass(frozen=True)
class Result:
    """What a run found.

    weights: of all networks that a run leaves behind; empty when only some claims were asked for, as are figures,
    curves and losses.  bases: the networks it trained or loaded through the user's cache.  seconds: from start to end.
    """

    method: str
    run: Run
    claims: list[Claim]
    figures: list[Figure] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    weights: dict[str, Tensor] = field(default_factory=dict)
    network_evaluations: int = 0
    parameters: int = 0
    losses: list[float] = field(default_factory=list)
    bases: list[Base] = field(default_factory=list)
    seconds: float = 0.0


def perform(slug: str, demo: Demo, run: Run, only: Collection[str] = ()) -> Result:
    """Every claim and every figure of a demo; or only the claims that are named, and nothing that they do not need.

    ValueError: a name that no claim has.
    """
    known = {name_of(claim): claim for claim in demo.claims}
    unknown = [name for name in only if name not in known]
    if unknown:
        raise ValueError(f"{slug} has no claim {unknown[0]!r}: it has {', '.join(known)}")
    started = time.perf_counter()
    with suited_to(run.data):
        claims = [_claim(slug, name, known[name], run) for name in known if not only or name in only]
        if only:
            return Result(slug, run, claims, bases=run.bases, seconds=time.perf_counter() - started)
        figures = []
        for k, experiment in enumerate(demo.figures):
            name = slug if k == 0 else f"{slug}-{name_of(experiment)}"
            _say(run, f"{slug}: figure {name_of(experiment)}")
            figures.append(replace(experiment(run), name=name))
        curves = []
        for experiment in demo.curves:
            _say(run, f"{slug}: curve {name_of(experiment)}")
            curves.append(replace(experiment(run), name=name_of(experiment)))
        kept = demo.network(run)
    networks = kept if isinstance(kept, Mapping) else {"": kept}
    weights = {
        f"{part}.{name}" if part else name: value
        for part, trained in networks.items()
        for name, value in trained.model.state_dict().items()
    }
    evaluations = demo.network_evaluations
    return Result(
        slug,
        run,
        claims,
        figures,
        curves,
        weights,
        network_evaluations=evaluations if isinstance(evaluations, int) else evaluations(run),
        parameters=sum(p.numel() for trained in networks.values() for p in trained.model.parameters()),
        losses=next((trained.losses for trained in networks.values()), []),
        bases=run.bases,
        seconds=time.perf_counter() - started,
    )


def _claim(slug: str, name: str, experiment, run: Run) -> Claim:
    _say(run, f"{slug}: claim {name}")
    return replace(experiment(run), name=name)


def _say(run: Run, line: str) -> None:
    if run.progress:
        print(line, file=sys.stderr, flush=True)
