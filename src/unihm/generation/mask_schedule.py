"""The masking curriculum: how much of the true hand motion the generator still sees in training (C.4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class MaskSchedule:
    """Nothing is masked until `start`, everything from `end` on, and in between the share grows linearly."""

    start: float = 0.2
    """Share of the epochs before masking begins (paper: 20 %)."""
    end: float = 0.8
    """Share of the epochs from which everything is masked (paper: 80 %)."""

    def __post_init__(self):
        if not 0 <= self.start <= self.end <= 1:
            raise ValueError(f"A mask schedule needs 0 <= start <= end <= 1, not {self.start} and {self.end}.")

    def ratio(self, progress: float) -> float:
        """Share of the chunks to mask when `progress` (0 to 1) of the training is done."""
        if progress < self.start:
            return 0.0
        if progress >= self.end:
            return 1.0
        return (progress - self.start) / (self.end - self.start)


def draw_given(exists: Bool[Tensor, "B N"], ratio: float, rng: torch.Generator) -> Bool[Tensor, "B N"]:
    """M of Eq. 10: True where a chunk is shown. In each motion `ratio` of its chunks, rounded, are hidden."""
    noise = torch.rand(exists.shape, generator=rng).masked_fill(~exists, 2.0)
    rank = noise.argsort(dim=1).argsort(dim=1)
    hidden = (ratio * exists.sum(dim=1, keepdim=True)).round()
    return exists & (rank >= hidden)
