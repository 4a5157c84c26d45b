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

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from implementations.common.embedding import Condition


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
    second: whether it takes another number as well, `model(x, t, s=s)`, in steps as those of t.
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
        second: bool = False,
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

        self.condition = Condition(code, classes=classes, frequencies=width, second=second)
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

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None, s: Tensor | None = None) -> Tensor:
        c = F.silu(self.condition(t, y, s))
        h = self.inlet(x)
        skips: list[Tensor] = []
        for level, shrink in enumerate(self.shrink):
            for stage in self.down[level * self.blocks : (level + 1) * self.blocks]:
                h = stage(h, c)
                skips.append(h)  # section 2
            h = shrink(h)  # section 2
        for stage in self.middle:
            h = stage(h, c)
        for level, grow in enumerate(self.grow):
            h = grow(h)  # section 2
            for stage in self.up[level * self.blocks : (level + 1) * self.blocks]:
                h = stage(self.join(h, skips.pop()), c)  # section 2
        return self.outlet(F.silu(self.norm(h)))

    def join(self, h: Tensor, skip: Tensor) -> Tensor:
        """What a block of the expanding path sees: its own features, cropped to the skip's size, and the skip."""
        return torch.cat([h[..., : skip.shape[-2], : skip.shape[-1]], skip], dim=1)  # section 2
