"""What a showcase is made of: networks that are trained longer than a demo's, and pictures of what they draw.

A showcase, `implementations/showcases/<slug>.py`, is a recipe: it claims nothing, and nothing that is proven hangs on
it.  Its pictures hold the first samples of its seed.
"""

from __future__ import annotations

import datetime
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from implementations.lab.data import Dataset
from implementations.lab.demo import Run
from implementations.lab.folder import versions
from implementations.lab.networks import train_or_load
from implementations.lab.threads import suited_to
from implementations.lab.training import Loss, Trained
from implementations.verification.code_hash import code_hash

GAP = 2
"""Between two tiles, in pixels of theirs; nothing is drawn there."""
PICTURE_BYTES = 90_000
NO_LIMIT = 10**9
BETWEEN_SEEDS = 1_000_000
"""From one round of training to the next, far beyond the seeds that anybody types."""

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Training:
    """How one network is trained: in rounds of so many steps, in each of which the rate falls along half a cosine."""

    steps: int
    rounds: int = 1
    batch_size: int = 64
    lr: float = 2e-3
    ema: float = 0.998

    def options(self, run: Run) -> dict[str, Any]:
        """For `train_or_load`; a run may ask for fewer steps."""
        return {
            "steps": min(self.steps, run.steps),
            "batch_size": self.batch_size,
            "lr": self.lr,
            "anneal": True,
            "ema": self.ema,
        }

    def fit(
        self, trainer: Callable[..., object], run: Run, model: M, loss: Loss, dataset: Dataset, *, name: str
    ) -> Trained[M]:
        """`train_or_load`, round by round: each starts from the average that the last one left, on other batches."""
        options, losses, seconds = self.options(run), [], 0.0
        for k in range(self.rounds):
            of_round = replace(run, seed=run.seed + k * BETWEEN_SEEDS)
            called = f"{name}-{k + 1}" if k else name
            trained = train_or_load(
                trainer, of_round, model.requires_grad_(True), loss, dataset, name=called, **options
            )
            run.bases.extend(of_round.bases)
            model, seconds = trained.model, seconds + trained.seconds
            losses += trained.losses
        return Trained(model, losses, seconds)


@dataclass(frozen=True)
class Network:
    """A network of a showcase.  name: as `train_or_load` knows it; of: the function that trains or loads it."""

    name: str
    of: Callable[[Run], Trained]
    training: Training

    @property
    def method(self) -> str:
        """The slug of the method whose showcase trains it."""
        return self.of.__module__.rpartition(".")[2].replace("_", "-")


@dataclass(frozen=True)
class Picture:
    """Images (N, C, H, W) with C of 1 or 3, row by row in a full grid; the words stand beside it, never in it.

    range: the values drawn black and white; others are clipped.  name: filled in by the caller.
    """

    tiles: Tensor
    columns: int
    alt: str
    caption: str
    range: tuple[float, float] = (-1.0, 1.0)
    name: str = ""

    def __post_init__(self) -> None:
        if self.tiles.ndim != 4 or self.tiles.shape[1] not in (1, 3) or len(self.tiles) == 0:
            raise ValueError(f"a picture shows images (N, 1 or 3, H, W), not {tuple(self.tiles.shape)}")
        if self.columns < 1 or len(self.tiles) % self.columns:
            raise ValueError(f"{len(self.tiles)} images do not fill a grid of {self.columns} columns")


@dataclass(frozen=True)
class Showcase:
    """The showcase of one method.

    networks: all that its pictures need; those of other methods' showcases are its base.  pictures: one or two
    functions of a run, with equal numbers of images.  network_evaluations: what one sample costs, a number or a
    function of the run.  data: the data sets it takes, its own choice first.
    """

    networks: tuple[Network, ...]
    pictures: tuple[Callable[[Run], Picture], ...]
    network_evaluations: int | Callable[[Run], int]
    data: tuple[str, ...] = ("mnist", "fashion-mnist")

    def run(self, **options: Any) -> Run:
        """A run with its own data where `options` do not say others; ValueError for other data.

        steps: the most that any network is trained for.
        """
        run = Run(**{"data": self.data[0], "steps": NO_LIMIT} | options)
        if run.data not in self.data:
            raise ValueError(f"the showcase takes data {' or '.join(map(repr, self.data))}, not {run.data!r}")
        if run.steps < 1:
            raise ValueError(f"steps must be at least 1, not {run.steps}")
        return run


def show(slug: str, showcase: Showcase, run: Run) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The entry of a showcase for `evidence.showcases.write`, and its pictures: WebP, by the names of their files."""
    module = f"showcases.{slug.replace('-', '_')}"
    code = code_hash(module)  # before the training: an edit meanwhile must show as earlier code
    with suited_to(run.data):
        networks = [_facts(network, network.of(run), run) for network in showcase.networks]
        shown = []
        for k, draw in enumerate(showcase.pictures):
            if run.progress:
                print(f"{slug}: picture {k + 1} of {len(showcase.pictures)}", file=sys.stderr, flush=True)
            shown.append(replace(draw(run), name=f"{slug}.showcase{f'-{k + 1}' if k else ''}.webp"))
        evaluations = showcase.network_evaluations
        cost = evaluations if isinstance(evaluations, int) else evaluations(run)
        threads = torch.get_num_threads()
    if len({len(picture.tiles) for picture in shown}) != 1:
        raise ValueError(f"the pictures of {slug} show {[len(p.tiles) for p in shown]} images: show equal numbers")
    described, files = [], {}
    for picture in shown:
        facts, files[picture.name] = render(picture)
        described.append({"file": picture.name, **facts})
    own = [network for network in networks if network["of"] == slug]
    entry = {
        "method": slug,
        "recorded": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "code": code,
        "versions": versions(),
        "device": run.device,
        "threads": threads,
        "data": run.data,
        "seed": run.seed,
        "minutes": _total(own, "minutes"),
        "base_minutes": _total([network for network in networks if network["of"] != slug], "minutes"),
        "parameters": sum(network["parameters"] for network in networks),
        "network_evaluations": cost,
        "networks": networks,
        "pictures": described,
    }
    return entry, files


def render(picture: Picture) -> tuple[dict[str, Any], bytes]:
    """A picture as WebP without loss, each value of a tile one pixel, nothing between the tiles; and what it is."""
    from PIL import Image

    (count, _, height, wide), (low, high) = picture.tiles.shape, picture.range
    tiles = ((picture.tiles.detach().cpu().float() - low) / (high - low)).clamp(0, 1).mul(255).round().byte()
    rows = count // picture.columns
    sheet = torch.zeros(rows * (height + GAP) - GAP, picture.columns * (wide + GAP) - GAP, 4, dtype=torch.uint8)
    for k, tile in enumerate(tiles.expand(-1, 3, -1, -1)):
        top, left = k // picture.columns * (height + GAP), k % picture.columns * (wide + GAP)
        sheet[top : top + height, left : left + wide, :3] = tile.permute(1, 2, 0)
        sheet[top : top + height, left : left + wide, 3] = 255
    out = io.BytesIO()
    Image.fromarray(sheet.numpy()).save(out, "WEBP", lossless=True, quality=100, method=6)
    if out.tell() > PICTURE_BYTES:
        raise ValueError(f"{picture.name} takes {out.tell():,} bytes, more than {PICTURE_BYTES:,}: show fewer images")
    facts = {"alt": picture.alt, "caption": picture.caption, "columns": picture.columns, "rows": rows}
    return {**facts, "width": sheet.shape[1], "height": sheet.shape[0]}, out.getvalue()


def _facts(network: Network, trained: Trained, run: Run) -> dict[str, Any]:
    return {
        "network": network.name,
        "of": network.method,
        "minutes": round(trained.seconds / 60, 1),
        "steps": network.training.rounds * min(network.training.steps, run.steps),
        "batch": network.training.batch_size,
        "parameters": sum(p.numel() for p in trained.model.parameters()),
    }


def _total(networks: list[dict[str, Any]], what: str) -> float:
    return round(sum(network[what] for network in networks), 1)
