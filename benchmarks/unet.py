"""Our U-Net beside two others of the same size: what a training step and a sampled image cost.

    python -m benchmarks.unet [--device cuda] [--rounds N]

The networks have equal parameters within 5 %, three resolutions, batches of 64 images 1x28x28.  All share the loss
and the optimiser of our DDPM and the sampler of our DDIM, so that only the networks differ; they take turns, and
medians are kept.  On a CPU one thread is used and CPU time is what counts: other work on the machine stretches the wall
clock.  Each network has the memory layout that suits it better, which is tried first.  On CUDA all run channels-last,
compiled, in bfloat16, and synchronised wall-clock time counts.

The peers' packages go to build/benchmarks/peers, beside the environment and not into it.  One that cannot be had is
left out, and the results say why.  Exit code 1 if ours needs more than the bar's share of the better peer's time.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.memory_format import convert_conv2d_weight_memory_format
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import report
from implementations import ddim, ddpm
from implementations.common.noise import Noise
from implementations.unet import UNet

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "build" / "benchmarks" / "peers"
PACKAGES = [
    "denoising-diffusion-pytorch==2.3.4",
    "accelerate==1.15.0",
    "einops==0.8.2",
    "ema-pytorch==0.8.3",
    "psutil==7.2.2",
    "pytorch-fid==0.3.0",
    "torchvision==0.29.1",
]
BATCH, SHAPE, EVALUATIONS = 64, (1, 28, 28), 10
BAR, TOLERANCE = 0.8, 0.05


@dataclass
class Entry:
    """A network under test.  call: model(x, t).  steps, images: seconds per training step and per sampled image."""

    name: str
    version: str
    configuration: str
    network: nn.Module
    call: Callable[[Tensor, Tensor], Tensor] = field(init=False)
    layout: torch.memory_format = torch.contiguous_format
    steps: list[float] = field(default_factory=list)
    images: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.call = self.network

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.network.parameters())


class OfDiffusers(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.inner(x, t, return_dict=False)[0]


# The networks


def ours() -> Entry:
    network = UNet(1, width=32, multipliers=(1, 2, 4))
    return Entry("ours", "this repository", "width 32, multipliers (1, 2, 4), 1 block per resolution", network)


def of_diffusers() -> Entry:
    from diffusers import __version__
    from diffusers.models.unets.unet_2d import UNet2DModel

    network = UNet2DModel(
        sample_size=SHAPE[1],
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=(32, 56, 72),
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        norm_num_groups=8,
        attention_head_dim=24,
    )
    configuration = "block_out_channels (32, 56, 72), 1 layer per block, attention at the coarsest resolution"
    return Entry("diffusers UNet2DModel", __version__, configuration, OfDiffusers(network))


def of_denoising_diffusion_pytorch() -> Entry:
    install()
    network = import_module("denoising_diffusion_pytorch").Unet(dim=30, dim_mults=(1, 2, 2), channels=1, attn_heads=2)
    version = PACKAGES[0].partition("==")[2]
    return Entry(
        "denoising-diffusion-pytorch Unet",
        version,
        "dim 30, dim_mults (1, 2, 2), 2 heads (it has 2 blocks per resolution)",
        network,
    )


def install() -> None:
    """Put the peer's packages where they can be imported.  CalledProcessError, ImportError: they cannot be had."""
    if not (PEERS / "denoising_diffusion_pytorch").is_dir():
        print(f"installing {PACKAGES[0]} and what it imports into {PEERS.relative_to(ROOT)}", flush=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(PEERS), *PACKAGES]
        subprocess.run(command, check=True)
    if str(PEERS) not in sys.path:
        sys.path.append(str(PEERS))
    try:
        import_module("torchvision")
    except RuntimeError as problem:  # its compiled part is for another build of torch; nothing here needs that part
        if "torchvision::nms" not in str(problem):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        for operator in ("nms", "qnms"):
            torch.library.define(f"torchvision::{operator}", "(Tensor a, Tensor b, float c) -> Tensor")


# What is measured


def seconds(action: Callable[[], object], device: torch.device) -> float:
    """CPU time of this process on a CPU, else wall-clock time from idle to idle."""
    if device.type == "cpu":
        started = time.process_time()
        action()
        return time.process_time() - started
    torch.cuda.synchronize(device)
    started = time.perf_counter()
    action()
    torch.cuda.synchronize(device)
    return time.perf_counter() - started


def trainer(entry: Entry, device: torch.device) -> Callable[[], None]:
    process, noise = ddpm.linear_schedule(), Noise(0, device)
    x = noise(torch.empty(BATCH, *SHAPE, device=device)).to(memory_format=entry.layout)
    adam = torch.optim.Adam(entry.network.parameters(), 1e-4, fused=True)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            value = ddpm.loss(entry.call, process, x, noise=noise)
        adam.zero_grad()
        value.backward()
        adam.step()

    return step


def sampler(entry: Entry, device: torch.device) -> Callable[[], None]:
    process = ddpm.linear_schedule()
    x_T = Noise(0, device)(torch.empty(BATCH, *SHAPE, device=device)).to(memory_format=entry.layout)
    tau = ddim.timesteps(process.T, EVALUATIONS)

    def sample() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            ddim.sample(entry.call, process, x_T, tau)

    return sample


def flops(entry: Entry) -> float:
    """Floating-point operations of the network's forward pass for one image, as torch counts them, in 10^9."""
    x, t = torch.zeros(1, *SHAPE), torch.ones(1, dtype=torch.long)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        entry.network(x, t)
    return counter.get_total_flops() / 1e9


def prepare(entry: Entry, device: torch.device) -> None:
    """On the device, in its layout, compiled on CUDA."""
    entry.network.to(device)
    if device.type == "cuda":
        entry.layout = torch.channels_last
        convert_conv2d_weight_memory_format(entry.network, entry.layout)
        entry.call = torch.compile(entry.network)
        return
    tried = {}
    for layout in (torch.contiguous_format, torch.channels_last):
        entry.layout = layout
        convert_conv2d_weight_memory_format(entry.network, layout)
        step = trainer(entry, device)
        step()
        tried[layout] = min(seconds(step, device) for _ in range(2))
    entry.layout = min(tried, key=lambda layout: tried[layout])
    convert_conv2d_weight_memory_format(entry.network, entry.layout)


def measure(entries: list[Entry], device: torch.device, rounds: int) -> None:
    """Fill steps and images of all entries, in turns."""
    for entry in entries:
        prepare(entry, device)
    actions = [(entry, trainer(entry, device), sampler(entry, device)) for entry in entries]
    for _, step, sample in actions:  # warm up, and compile
        step()
        sample()
    for _ in range(rounds):
        for entry, step, sample in actions:
            entry.network.train()
            entry.steps.append(seconds(step, device))
            entry.network.eval()
            entry.images.append(seconds(sample, device) / BATCH)


# The report


def row(entry: Entry, gflop: float) -> dict[str, Any]:
    figures = {"training_step": entry.steps, "sampled_image": entry.images}
    return {
        "network": entry.name,
        "version": entry.version,
        "configuration": entry.configuration,
        "layout": "channels last" if entry.layout == torch.channels_last else "contiguous",
        "parameters": entry.parameters,
        "gflop_forward_per_image": round(gflop, 4),
        **{
            name: {
                "median": round(statistics.median(values), 5),
                "least": round(min(values), 5),
                "most": round(max(values), 5),
            }
            for name, values in figures.items()
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.unet", description="Our U-Net beside others of the same size")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    device = torch.device(options.device)
    torch.set_num_threads(1)
    torch.manual_seed(0)

    entries, missing = [ours()], []
    for name, build in {
        "diffusers": of_diffusers,
        "denoising-diffusion-pytorch": of_denoising_diffusion_pytorch,
    }.items():
        try:
            entries.append(build())
        except (ImportError, OSError, RuntimeError, subprocess.CalledProcessError) as problem:
            missing.append({"network": name, "why": str(problem).splitlines()[0]})
            print(f"left out: {name}: {missing[-1]['why']}", file=sys.stderr)
    unequal = [e.name for e in entries if abs(e.parameters / entries[0].parameters - 1) > TOLERANCE]
    if unequal:
        raise SystemExit(f"not of our size within {TOLERANCE:.0%}: {', '.join(unequal)}")
    counted = [flops(entry) for entry in entries]
    measure(entries, device, options.rounds)

    rows = [row(entry, gflop) for entry, gflop in zip(entries, counted, strict=True)]
    ratios = {
        figure: round(rows[0][figure]["median"] / min(peer[figure]["median"] for peer in rows[1:]), 3)
        for figure in ("training_step", "sampled_image")
        if rows[1:]
    }
    cuda = device.type == "cuda"
    path = report.write(
        "unet-cuda" if cuda else "unet",
        {
            "what": f"seconds of a training step of {BATCH} images and of a sampled image ({EVALUATIONS} evaluations)",
            **report.provenance("torch", "diffusers"),
            "device": torch.cuda.get_device_name(device) if cuda else "cpu",
            "clock": "wall, bfloat16, compiled" if cuda else "CPU time of one thread",
            "batch": BATCH,
            "shape": list(SHAPE),
            "network_evaluations_per_image": EVALUATIONS,
            "rounds": options.rounds,
            "networks": rows,
            "missing": missing,
            "ours_over_better_peer": ratios,
            "bar": BAR,
        },
    )
    for each in rows:
        step, image = each["training_step"]["median"], each["sampled_image"]["median"]
        size, work = each["parameters"] / 1e6, each["gflop_forward_per_image"]
        print(f"{each['network']:<34} {size:.2f} M  {work:.3f} GFLOP  {step:.3f} s a step  {image:.4f} s an image")
    print(f"ours over the better peer: {ratios}, bar {BAR}; kept in {path.relative_to(ROOT)}")
    return 1 if any(ratio > BAR for ratio in ratios.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
