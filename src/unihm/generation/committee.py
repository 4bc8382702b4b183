"""A second opinion to the kernel regression: a few small networks that regress the same from the same inputs.

Alone they are worse than the kernel, but they err elsewhere, and they minimise distances where the kernel minimises
squares: together the two are better than either. Their share is chosen on what was left out (`training.committee`).

Letters: B batch, X inputs, K knots, v values of a knot (`motion_prior.told`).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unihm.generation.motion_prior import KNOTS, PALM

RANK = 60
"""Directions in which motions differ that a member knows."""
_WIDTH, _DEPTH = 192, 3


class Member(nn.Module):
    """One network."""

    offset: Tensor
    directions: Tensor

    def __init__(self, inputs: int, size: int, dropout: float = 0.3):
        """An untrained one, which says the mean motion.

        Args:
            inputs: X.
            size: K v.
            dropout: In training, on inputs and inside.
        """
        super().__init__()
        self.read = nn.Sequential(nn.Dropout(dropout), nn.Linear(inputs, _WIDTH))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(_WIDTH),
                nn.Linear(_WIDTH, _WIDTH),
                nn.GELU(),
                nn.Dropout(dropout),
                nn.Linear(_WIDTH, _WIDTH),
            )
            for _ in range(_DEPTH)
        )
        self.out = nn.Linear(_WIDTH, RANK)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.register_buffer("offset", torch.zeros(size))
        self.register_buffer("directions", torch.zeros(RANK, size))

    def forward(self, x: Float[Tensor, "B X"]) -> Float[Tensor, "B K v"]:
        """The motion as a prior tells it."""
        hidden = self.read(x)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return (self.out(hidden) @ self.directions + self.offset).unflatten(-1, (KNOTS, -1))


class Committee(nn.Module):
    """Several members and their share."""

    share: Tensor
    spread: Tensor

    def __init__(self, inputs: int, latent: int, members: int):
        """An untrained one, without any share."""
        super().__init__()
        size = KNOTS * (PALM + latent)
        self.members = nn.ModuleList(Member(inputs, size) for _ in range(members))
        self.register_buffer("share", torch.zeros(()))
        # Inputs come as blocks of total variance one; members want each number of variance one.
        self.register_buffer("spread", torch.ones(inputs))

    def forward(self, x: Float[Tensor, "B X"], told: Float[Tensor, "B K v"]) -> Float[Tensor, "B K v"]:
        """What the kernel tells, corrected.

        Args:
            x: Inputs as the kernel sees them.
            told: What it tells.
        """
        if not len(self.members):
            return told
        second = torch.stack([member(x / self.spread) for member in self.members]).mean(0)
        return told + self.share * (second - told)
