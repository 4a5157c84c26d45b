"""What a run leaves on disk: weights, figures, and a summary that says where they come from."""

from __future__ import annotations

import json
import math
import platform
from pathlib import Path

from implementations.lab import checkpoint, pictures
from implementations.lab.demo import Claim
from implementations.lab.perform import Result
from implementations.verification.code_hash import code_hash, demo_of


def save(result: Result, out: Path) -> list[Path]:
    """Write the weights, each figure and a summary to `out`, each of them atomically.  Returns the paths.

    The summary comes last: where it lies, the rest is complete.
    """
    run, slug = result.run, result.method
    facts = {"method": slug, "code": code_hash(demo_of(slug)), "data": run.data, "seed": run.seed, "steps": run.steps}
    written = []
    if result.weights:
        written.append(out / f"{slug}.safetensors")
        checkpoint.save(written[-1], result.weights, {key: str(value) for key, value in facts.items()})
    figures = []
    for figure in result.figures:
        written.append(out / f"{figure.name}.webp")
        pictures.save(written[-1], figure.image)
        height, width = figure.image.shape[:2]
        figures.append({"file": written[-1].name, "alt": figure.alt, "width": width, "height": height})
    summary = facts | {
        "device": run.device,
        "seconds": round(result.seconds, 2),
        "parameters": result.parameters,
        "network_evaluations": result.network_evaluations,
        "bases": [
            {"network": base.name, "loaded": base.loaded, "training_seconds": round(base.seconds, 2)}
            for base in result.bases
        ],
        "versions": versions(),
        "claims": [_plain(claim) for claim in result.claims],
        "figures": figures,
    }
    written.append(out / f"{slug}.json")
    text = json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    checkpoint.write_atomically(written[-1], text.encode())
    return written


def versions() -> dict[str, str]:
    """Of what a measurement depends on.  torch says which build it is (2.13.0+cu130), its metadata need not."""
    import numpy
    import torch

    return {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": numpy.__version__}


def _plain(claim: Claim) -> dict[str, object]:
    """A claim for JSON, which has no NaN."""
    row = {**vars(claim), "holds": claim.holds}
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
