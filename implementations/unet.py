"""U-Net, in the form diffusion models use.

Ronneberger, Fischer & Brox, MICCAI 2015. arXiv:1505.04597.
A contracting path gathers context, an expanding path restores resolution by 2x2 up-convolutions, and the features of
each resolution are handed across and concatenated, so that fine detail need not pass through the narrow middle.

What diffusion added: residual blocks, group normalisation, the time embedding added inside each block, and
self-attention at the coarse resolutions (Ho et al. 2020, arXiv:2006.11239, who took the blocks from PixelCNN++ and the
embedding from transformers); padded convolutions, so that the output has the size of the input; strided convolutions
instead of pooling; last layers that start at zero, so that every block begins as the identity.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from implementations.common.embedding import Condition
from implementations.common.noise import Noise
from implementations.lab import pictures
from implementations.lab.data import load
from implementations.lab.results import Claim, Figure, Result
from implementations.lab.training import Batch, train


def zeroed(layer: nn.Conv2d | nn.Linear) -> nn.Conv2d | nn.Linear:
    """The layer, with its weights and biases set to zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class Block(nn.Module):
    """Two 3x3 convolutions with the condition added between them, around a shortcut."""

    def __init__(self, before: int, after: int, condition: int, groups: int, dropout: float) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.GroupNorm(groups, before), nn.GroupNorm(groups, after)
        self.conv_1 = nn.Conv2d(before, after, 3, padding=1)
        self.conv_2 = zeroed(nn.Conv2d(after, after, 3, padding=1))
        self.condition = nn.Linear(condition, after)
        self.dropout = nn.Dropout(dropout)
        self.shortcut = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        h = self.conv_1(F.silu(self.norm_1(x))) + self.condition(c)[:, :, None, None]
        return self.shortcut(x) + self.conv_2(self.dropout(F.silu(self.norm_2(h))))


class Attention(nn.Module):
    """Self-attention among all positions, around a shortcut.  head: channels per attention head."""

    def __init__(self, channels: int, head: int, groups: int) -> None:
        super().__init__()
        self.head = head
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = zeroed(nn.Linear(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(tokens).unflatten(2, (3, -1, self.head)).permute(2, 0, 3, 1, 4)
        h = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return x + self.proj(h).transpose(1, 2).reshape(x.shape)


class Stage(nn.Module):
    """A block, and attention where there is any."""

    def __init__(self, block: nn.Module, attend: nn.Module) -> None:
        super().__init__()
        self.block, self.attend = block, attend

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        return self.attend(self.block(x, c))


class UNet(nn.Module):
    """`model(x, t)` or, with classes, `model(x, t, y)`.  Returns (B, out, H, W), zero before training.

    x: (B, channels, H, W), any size.  t: (B,), in steps of about 1.  y: (B,) int64 in 0..classes - 1.
    width: channels at full resolution; multipliers: of width, one per resolution, each half the one before (odd sizes
    round up).  blocks: per resolution, down and up.  attention: the resolutions with self-attention, 0 the full one.
    A subclass may bring another kind of `block`.
    """

    block: type[nn.Module] = Block

    def __init__(
        self,
        channels: int,
        out: int | None = None,
        *,
        width: int = 32,
        multipliers: tuple[int, ...] = (1, 2, 2),
        blocks: int = 1,
        attention: tuple[int, ...] = (2,),
        head: int = 32,
        groups: int = 8,
        classes: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        widths = [width * m for m in multipliers]
        if width % groups or not set(attention) <= set(range(len(widths))) or any(widths[i] % head for i in attention):
            raise ValueError(
                f"width {width} must be a multiple of groups {groups}, attention {attention} name resolutions in "
                f"0..{len(widths) - 1}, and head {head} divide their channels {widths}"
            )
        code, self.blocks = 4 * width, blocks

        def stage(before: int, level: int) -> Stage:
            after = widths[level]
            attend = Attention(after, head, groups) if level in attention else nn.Identity()
            return Stage(self.block(before, after, code, groups, dropout), attend)

        self.condition = Condition(code, classes=classes, frequencies=width)
        self.inlet = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.down, self.shrink, self.grow, self.up = (nn.ModuleList() for _ in range(4))
        *outer, bottom = range(len(widths))
        for level in outer:
            self.down.extend(stage(widths[level], level) for _ in range(blocks))
            self.shrink.append(nn.Conv2d(widths[level], widths[level + 1], 3, stride=2, padding=1))
        self.middle = nn.ModuleList(stage(widths[bottom], bottom) for _ in range(blocks + 1))
        for level in reversed(outer):
            self.grow.append(nn.ConvTranspose2d(widths[level + 1], widths[level], 2, stride=2))
            self.up.extend(stage(2 * widths[level], level) for _ in range(blocks))
        self.norm = nn.GroupNorm(groups, widths[0])
        self.outlet = zeroed(nn.Conv2d(widths[0], channels if out is None else out, 3, padding=1))

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        c = F.silu(self.condition(t, y))
        h = self.inlet(x)
        skips: list[Tensor] = []
        for level, shrink in enumerate(self.shrink):
            for stage in self.down[level * self.blocks : (level + 1) * self.blocks]:
                h = stage(h, c)
                skips.append(h)
            h = shrink(h)
        for stage in self.middle:
            h = stage(h, c)
        for level, grow in enumerate(self.grow):
            h = grow(h)
            for stage in self.up[level * self.blocks : (level + 1) * self.blocks]:
                h = stage(self.join(h, skips.pop()), c)
        return self.outlet(F.silu(self.norm(h)))

    def join(self, h: Tensor, skip: Tensor) -> Tensor:
        """What a block of the expanding path sees: its own features, cropped to the skip's size, and the skip."""
        return torch.cat([h[..., : skip.shape[-2], : skip.shape[-1]], skip], dim=1)


class WithoutSkips(UNet):
    """The control: the same layers, with zeros in place of what is handed across."""

    def join(self, h: Tensor, skip: Tensor) -> Tensor:
        return super().join(h, torch.zeros_like(skip))


SIGMA = 0.25  # of the demo's noise, on data in [-1, 1]


def loss(model: nn.Module, batch: Batch, noise: Noise) -> Tensor:
    """Squared error of the clean image guessed from a noisy one, averaged over pixels."""
    x, _ = batch
    return (model(x + SIGMA * noise(x), x.new_ones(len(x))) - x).square().mean()


def linear_denoiser(x: Tensor, noisy: Tensor) -> Tensor:
    """The best affine guess of clean images from noisy ones, by the mean and covariance of examples x: (N, ...)."""
    flat = x.flatten(1).double()
    mean, covariance = flat.mean(0), torch.cov(flat.T)
    gain = torch.linalg.solve(
        covariance + SIGMA**2 * torch.eye(len(mean), dtype=mean.dtype, device=x.device), covariance
    )
    return (mean + (noisy.flatten(1).double() - mean) @ gain).reshape(noisy.shape).to(x.dtype)


def demo(
    *,
    data: str = "digits",
    device: str = "cpu",
    seed: int = 0,
    steps: int = 200,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = False,
) -> Result:
    """Removes noise from images, with the skips and without them, beside the best linear denoiser."""
    started = time.perf_counter()
    dataset = load(data)
    if dataset.x.ndim != 4:
        raise ValueError(f"the U-Net works on images (C, H, W); {data} has examples of shape {dataset.shape}")
    clean = dataset.x_test[:1000].to(device)
    noisy = clean + SIGMA * Noise(seed)(clean)

    def error(guess: Tensor) -> float:
        return (guess - clean).square().mean().item()

    runs, guesses = {}, {}
    for name, kind in {"without": WithoutSkips, "with": UNet}.items():
        torch.manual_seed(seed)
        network = kind(clean.shape[1], width=16, head=16)
        options = {"lr": 2e-3, "anneal": True, "ema": 0.98, "device": device, "seed": seed}
        runs[name] = train(
            network,
            loss,
            dataset,
            steps=steps,
            **options,
            out=out,
            name=f"unet-{name}",
            resume=resume,
            progress=progress,
        )
        with torch.no_grad():
            guesses[name] = runs[name].model(noisy, noisy.new_ones(len(noisy)))
    run = runs["with"]
    linear = error(linear_denoiser(dataset.x.to(device), noisy))
    claim = Claim(
        name="skips",
        statement="error of the denoised images, as a share of that of the best linear denoiser",
        value=error(guesses["with"]) / linear,
        bound=0.85,
        relation="<=",
        control=error(guesses["without"]) / linear,
        control_is="the same network, trained alike, with zeros in place of the skips",
        of="section 2: the expanding path is concatenated with the features of the contracting one",
    )
    shown = {"clean": clean, "noisy": noisy, "U-Net": guesses["with"], "without skips": guesses["without"]}
    sheets = {title: pictures.contact_sheet(x[:20], columns=4, width=230) for title, x in shown.items()}
    figure = Figure(
        name="unet",
        alt=f"Twenty test images of {data}: clean; with noise of standard deviation {SIGMA}; denoised by the U-Net, "
        "close to the clean ones; denoised without skips, blurred.",
        image=pictures.beside(sheets),
    )
    return Result(
        method="unet",
        data=data,
        seed=seed,
        samples=guesses["with"],
        reference=clean,
        claims=[claim],
        figures=[figure],
        model=run.model.state_dict(),
        network_evaluations=1,
        parameters=sum(p.numel() for p in run.model.parameters()),
        losses=run.losses,
        seconds=time.perf_counter() - started,
    )


if __name__ == "__main__":
    from implementations.lab.command import main

    raise SystemExit(main(demo))
