"""Small networks and inputs that look like those of images."""

from __future__ import annotations

import torch

from unihm.cliport.crops import CHANNELS, MEASURES
from unihm.cliport.network import PlannerConfig, PlannerNetwork

SMALL = PlannerConfig(relations=("inside", "left of", "onto"), widths=(8, 16, 24), embedding=32, width=32, layers=2)


def build_network(config: PlannerConfig = SMALL, seed: int = 0) -> PlannerNetwork:
    """An untrained network that gives the same for the same."""
    torch.manual_seed(seed)
    return PlannerNetwork(config).eval()


def draw_crops(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (count, C, 64, 64) and measures (count, M) of order one; each thing in the middle of its crop."""
    rng = torch.Generator().manual_seed(seed)
    images = torch.randn(count, len(CHANNELS), 64, 64, generator=rng)
    images[:, CHANNELS.index("mask")] = 0
    images[:, CHANNELS.index("mask"), 16:48, 20:44] = 1
    return images.half(), torch.randn(count, len(MEASURES), generator=rng)


def draw_words(batch: int, count: int = 6, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Token states (batch, count, 384), the last of them padding, and their mask."""
    words = torch.randn(batch, count, 384, generator=torch.Generator().manual_seed(seed))
    mask = torch.ones(batch, count, dtype=torch.bool)
    mask[:, -1] = False
    return words, mask
