"""The narrowest part of a network, where its features can be read and changed while its weights stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

Change = Callable[[Tensor, Tensor], Tensor]
"""Of features h: (B, C, H, W) and what the network was told of its rows, t: (B,), to features of the same shape."""


class Waist(nn.Module):
    """Hands on the features that it is given.  It has no weights, so a network keeps those it was trained with.

    stages: those of the network's narrowest part, one after another, as `UNet.middle`; a waist becomes their last.
    """

    def __init__(self, stages: nn.ModuleList) -> None:
        super().__init__()
        self._change: Callable[[Tensor], Tensor] | None = None
        stages.append(self)

    def forward(self, h: Tensor, *condition: Tensor) -> Tensor:
        return h if self._change is None else self._change(h)

    def changed(self, model: Callable[..., Tensor], change: Change) -> Callable[..., Tensor]:
        """`model(x, t, ...)`, whose network this is the waist of, with its features h changed to change(h, t)."""

        def edited(x: Tensor, t: Tensor, *condition: Any) -> Tensor:
            before = self._change

            def both(h: Tensor) -> Tensor:
                return self._held(h if before is None else before(h), t, change)

            self._change = both
            try:
                return model(x, t, *condition)
            finally:
                self._change = before

        return edited

    def features(self, model: Callable[..., Tensor], x: Tensor, t: Tensor, *condition: Any) -> Tensor:
        """h: (B, C, H, W) of `model(x, t, ...)`, gradients included; what `model` itself changes comes after."""
        seen: list[Tensor] = []

        def look(h: Tensor, t: Tensor) -> Tensor:
            seen.append(h)
            return h

        self.changed(model, look)(x, t, *condition)
        if len(seen) != 1:
            raise ValueError(f"the model ran its waist {len(seen)} times, not once: is it the waist of its network?")
        return seen[0]

    @staticmethod
    def _held(h: Tensor, t: Tensor, change: Change) -> Tensor:
        changed = change(h, t)
        if changed.shape != h.shape:
            raise ValueError(
                f"features {tuple(h.shape)} were changed to {tuple(changed.shape)}: is the direction of another layer?"
            )
        return changed
