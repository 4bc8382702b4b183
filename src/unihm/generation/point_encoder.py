"""The object cloud as tokens: a PointNet that keeps size and position in metres (Eq. C2).

Differs from the paper: no unit-ball scaling and no learned alignment (STN). How large the object is, how high it
stands and where the palm is relative to it decide how it can be grasped, and the canonical frame is aligned.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

METRE = 10.0
"""Length scale at the network's input: 0.1 m becomes 1, which makes household objects of order one."""
_GEOMETRY = 6  # extents and centre of the box around the cloud


class PointNet(nn.Module):
    """``f(X) = max_i h(x_i)``, cut into several tokens.

    h is a shared MLP; each token sees its own group of the pooled features and, so that metric size is never
    lost in the maximum over sparse points, the extents and centre of the cloud's box.
    """

    def __init__(self, width: int, tokens: int, channels: int = 64):
        """Build the encoder.

        Args:
            width: Dimensions of a token.
            tokens: Number of tokens.
            channels: Pooled features a token sees.
        """
        super().__init__()
        self.tokens = tokens
        self.h = nn.Sequential(
            nn.Linear(6, 64),
            nn.GELU(),
            nn.Linear(64, 128),
            nn.GELU(),
            nn.Linear(128, tokens * channels),
        )
        self.project = nn.Linear(channels + _GEOMETRY, width)

    def forward(self, points: Float[Tensor, "B n 3"], palm: Float[Tensor, "B 3"]) -> Float[Tensor, "B {self.tokens} d"]:
        """Tokens of a cloud.

        Args:
            points: In the canonical object frame, m; any order, any number.
            palm: Position of the palm at frame 0 in the same frame, m.
        """
        points = points * METRE
        features = torch.cat([points, points - METRE * palm[:, None]], dim=-1)
        pooled = self.h(features).amax(dim=1).unflatten(-1, (self.tokens, -1))
        low, high = points.amin(dim=1), points.amax(dim=1)
        box = torch.cat([high - low, (high + low) / 2], dim=-1)
        return self.project(torch.cat([pooled, box[:, None].expand(-1, self.tokens, -1)], dim=-1))
