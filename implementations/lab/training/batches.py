"""Which examples and which draws a step of training sees: both follow from (seed, step) alone."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from implementations.common.noise import Noise


class Order:
    """Which examples step k sees: consecutive slices of one endless stream of shuffled epochs."""

    def __init__(self, size: int, batch_size: int, seed: int, device: torch.device) -> None:
        self.size, self.batch_size, self.seed, self.device = size, batch_size, seed, device
        self.epoch = lru_cache(maxsize=2)(self._epoch)

    def _epoch(self, k: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed_of(self.seed, -1 - k))
        return torch.randperm(self.size, generator=generator).to(self.device)

    def __call__(self, step: int) -> Tensor:
        first, start = divmod(step * self.batch_size, self.size)
        stream = self.epoch(first)[start : start + self.batch_size]
        while len(stream) < self.batch_size:
            first += 1
            stream = torch.cat([stream, self.epoch(first)[: self.batch_size - len(stream)]])
        return stream


class Rows(Noise):
    """The rows of one process out of the draws for the whole batch."""

    def __init__(self, seed: int, device: torch.device, rows: slice, batch_size: int) -> None:
        super().__init__(seed, device)
        self.rows, self.batch_size = rows, batch_size

    def _draw(self, law, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        return super()._draw(law, torch.Size([self.batch_size, *shape[1:]]), dtype)[self.rows]


def seed_of(seed: int, k: int) -> int:
    """One 63-bit seed per (seed, k), far apart for neighbours (the finaliser of splitmix64)."""
    z = (seed * 0x9E3779B97F4A7C15 + k * 0xD1B54A32D192ED03) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return (z ^ z >> 31) >> 1
