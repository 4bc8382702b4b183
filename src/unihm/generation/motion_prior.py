"""A first guess of the motion, solved in closed form before the network is trained.

With some hundred recordings, kernel ridge regression from object path and initial pose is hard to beat by a
network that has to find the same map by gradient descent first. Here it is found at once, with random features
that stand for a Gaussian kernel (Rahimi and Recht 2007):

    z(x) = z_0 + o + W phi(x),   phi(x) = sqrt(2/R) cos(Omega x + b),   W' = (Phi'Phi + s M I)^-1 Phi'Y

on M varied training motions, W cut to a low rank. The transformer learns what this cannot say, and the head points
from here; what leaves the generator are sampled codes. Far from all training motions phi carries nothing and the
guess falls back to the initial pose plus the mean motion, instead of running off along a line.

Differs from the paper, which has no such part; without a fit the guess is the initial pose, held.

Letters: B batch, N chunks, D latent size, X conditions, R random features, K knots, M motions.
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
RANDOM_FEATURES = 1024
RANK = 96
"""Directions in which motions differ that are kept, those of the largest variance; not tuned."""


class MotionPrior(nn.Module):
    """Latents of all chunks as a function of path, initial pose and box of the cloud."""

    mean: Tensor
    frequency: Tensor
    phase: Tensor
    weight: Tensor
    direction: Tensor
    offset: Tensor

    def __init__(self, latent: int):
        """A prior that is not fitted yet: every chunk is the initial pose."""
        super().__init__()
        size = KNOTS * _PER_KNOT + _REST + latent
        rank = min(RANK, KNOTS * latent)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("frequency", torch.zeros(size, RANDOM_FEATURES))
        self.register_buffer("phase", torch.zeros(RANDOM_FEATURES))
        self.register_buffer("weight", torch.zeros(RANDOM_FEATURES, rank))
        self.register_buffer("direction", torch.zeros(rank, KNOTS * latent))
        self.register_buffer("offset", torch.zeros(KNOTS * latent))

    def features(
        self,
        T_world_canonical: Float[Tensor, "B T 4 4"],
        lengths: Int[Tensor, " B"],
        T_canonical_palm0: Float[Tensor, "B 4 4"],
        start: Float[Tensor, "B D"],
        points: Float[Tensor, "B n 3"],
    ) -> Float[Tensor, "B X"]:
        """The conditions as numbers of order one; as in `qwen3.Conditions`, `start` in the codebook's scale."""
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
        values = self._phi(features) @ self.weight @ self.direction + self.offset
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
        *,
        strength: float,
        seed: int = 0,
    ) -> None:
        """Solve for the weights.

        Args:
            features: Of M motions, from `features`.
            start: Latents of their initial poses.
            latents: Latents of their chunks.
            exists: Which chunks hold real frames.
            strength: s, the ridge penalty for each of the M motions.
            seed: Of the random features.
        """
        rng = torch.Generator().manual_seed(seed)
        last = (exists.sum(dim=1, keepdim=True) - 1).clamp(min=1)
        Y = (_at(latents, torch.linspace(0, 1, KNOTS) * last) - start[:, None]).flatten(1).double()
        self.mean.copy_(features.mean(dim=0))
        # Conditions that never vary (a path's first pose) must not be blown up by a division.
        deviation = features.std(dim=0) + 1e-2
        x = (features - self.mean) / deviation
        # Kernel exp(-|x - y|^2 / median): its frequencies are normal with variance 2 / median.
        pairs = torch.randint(len(x), (2, 4096), generator=rng)
        median = (x[pairs[0]] - x[pairs[1]]).square().sum(dim=-1).median().clamp(min=1e-6)
        normal = torch.randn(self.frequency.shape, generator=rng)
        self.frequency.copy_(normal * (2 / median).sqrt() / deviation[:, None])
        self.phase.copy_(2 * torch.pi * torch.rand(self.phase.shape, generator=rng))
        phi = self._phi(features).double()
        self.offset.copy_(Y.mean(dim=0))
        Y = Y - Y.mean(dim=0)
        direction = torch.linalg.eigh(Y.T @ Y).eigenvectors[:, -len(self.direction) :]
        penalty = strength * len(phi) * torch.eye(phi.shape[1], dtype=torch.float64)
        self.weight.copy_(torch.linalg.solve(phi.T @ phi + penalty, phi.T @ (Y @ direction)))
        self.direction.copy_(direction.T)

    def _phi(self, features: Float[Tensor, "B X"]) -> Float[Tensor, "B R"]:
        angle = (features - self.mean) @ self.frequency + self.phase
        return (2 / RANDOM_FEATURES) ** 0.5 * torch.cos(angle)


def _at(x: Float[Tensor, "B S D"], place: Float[Tensor, "B K"]) -> Float[Tensor, "B K D"]:
    """Rows between rows, linearly."""
    low = place.floor().long().clamp(0, max(x.shape[1] - 2, 0))
    high = (low + 1).clamp(max=x.shape[1] - 1)
    weight = (place - low)[..., None]
    row = torch.arange(len(x), device=x.device)[:, None]
    return x[row, low] * (1 - weight) + x[row, high] * weight
