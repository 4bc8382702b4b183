"""The linear part of the map from conditions to motion, solved in closed form before the network is trained.

With some hundred recordings, ridge regression from object path and initial pose is hard to beat by a network that
has to find the same line by gradient descent first. Here it is found exactly, ``W = (X'X + s I)^-1 X'Y`` on
varied training motions, and the transformer learns what a line cannot say. It only tells the head where to point
from; what leaves the generator are sampled codes.

Differs from the paper, which has no such part; without a fit the prior is the initial pose, held.

Letters: B batch, N chunks, D latent size, X features, K knots.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from unihm.generation.point_encoder import METRE
from unihm.geometry.lie import inverse, rotation_6d

KNOTS = 16
"""Moments, evenly over the motion, at which path and latents are taken."""
_PER_KNOT = 9
_REST = 9 + 6 + 2  # palm pose, box, height, duration


class LinearPrior(nn.Module):
    """Latents of all chunks as an affine function of path, initial pose and box of the cloud."""

    mean: Tensor
    deviation: Tensor
    weight: Tensor
    offset: Tensor

    def __init__(self, latent: int):
        """A prior that is not fitted yet: every chunk is the initial pose."""
        super().__init__()
        size = KNOTS * _PER_KNOT + _REST + latent
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))
        self.register_buffer("weight", torch.zeros(size, KNOTS * latent))
        self.register_buffer("offset", torch.zeros(KNOTS * latent))

    def features(
        self,
        T_world_canonical: Float[Tensor, "B T 4 4"],
        lengths: Int[Tensor, " B"],
        T_canonical_palm0: Float[Tensor, "B 4 4"],
        start: Float[Tensor, "B D"],
        points: Float[Tensor, "B n 3"],
    ) -> Float[Tensor, "B X"]:
        """The conditions as numbers of order one; see `qwen3.Conditions`, `start` in the scale of the codebook."""
        moments = (torch.linspace(0, 1, KNOTS)[None] * (lengths - 1)[:, None]).round().long()
        knots = T_world_canonical[torch.arange(len(lengths))[:, None], moments]
        path = inverse(T_world_canonical[:, :1]) @ knots
        palm = T_canonical_palm0
        return torch.cat(
            [
                METRE / 2 * path[..., :3, 3].flatten(1),
                rotation_6d(path[..., :3, :3]).flatten(1),
                METRE * palm[:, :3, 3],
                rotation_6d(palm[:, :3, :3]),
                METRE * points.amax(dim=1),
                METRE * points.amin(dim=1),
                METRE * T_world_canonical[:, 0, 2, 3:],
                lengths[:, None] / 60,  # of the order of a recorded motion
                start,
            ],
            dim=-1,
        )

    def forward(
        self, features: Float[Tensor, "B X"], start: Float[Tensor, "B D"], exists: Bool[Tensor, "B N"]
    ) -> Float[Tensor, "B N D"]:
        """Latents of the chunks.

        Args:
            features: From `features`.
            start: Latents of the initial poses.
            exists: Which chunks hold real frames; the others repeat the last one.
        """
        values = (features - self.mean) / self.deviation @ self.weight + self.offset
        knots = values.unflatten(-1, (KNOTS, -1))
        last = (exists.sum(dim=1, keepdim=True) - 1).clamp(min=1)
        share = (torch.arange(exists.shape[1], device=exists.device) / last).clamp(max=1)
        return start[:, None] + _at(knots, share * (KNOTS - 1))

    @torch.no_grad()
    def fit(
        self,
        features: Float[Tensor, "M X"],
        start: Float[Tensor, "M D"],
        latents: Float[Tensor, "M N D"],
        exists: Bool[Tensor, "M N"],
        strength: float,
    ) -> None:
        """Solve for the weights.

        Args:
            features: Of M motions, from `features`.
            start: Latents of their initial poses.
            latents: Latents of their chunks.
            exists: Which chunks hold real frames.
            strength: Ridge penalty on standardised features, for each of the M motions.
        """
        last = (exists.sum(dim=1, keepdim=True) - 1).clamp(min=1)
        target = _at(latents, torch.linspace(0, 1, KNOTS) * last) - start[:, None]
        self.mean.copy_(features.mean(dim=0))
        # Features that never vary (a path's first pose) must not be blown up by a division.
        self.deviation.copy_(features.std(dim=0) + 1e-2)
        X = ((features - self.mean) / self.deviation).double()
        Y = target.flatten(1).double()
        self.offset.copy_(Y.mean(dim=0))
        penalty = strength * len(X) * torch.eye(X.shape[1], dtype=torch.float64)
        self.weight.copy_(torch.linalg.solve(X.T @ X + penalty, X.T @ (Y - Y.mean(dim=0))))


def _at(x: Float[Tensor, "B S D"], place: Float[Tensor, "B K"]) -> Float[Tensor, "B K D"]:
    """Rows between rows, linearly."""
    low = place.floor().long().clamp(0, max(x.shape[1] - 2, 0))
    high = (low + 1).clamp(max=x.shape[1] - 1)
    weight = (place - low)[..., None]
    row = torch.arange(len(x), device=x.device)[:, None]
    return x[row, low] * (1 - weight) + x[row, high] * weight
