"""The plan: a few codes, written before the motion, that say in which of many ways the object is taken.

The same words, object and path leave open from where the hand comes, how it turns, when it arrives. What the prior's
guess misses of a recorded motion is told in its principal axes, and each axis is cut into ranges that hold equally many
recordings. A code names a range; the generator writes one for every axis and then the motion that goes with them.
Without conditions all codes are equally likely, so plans that are drawn blindly are already spread as recorded motions
are.

Where no plan is written the motion is the one in the middle.

Letters: B batch, A axes, Q ranges of an axis, K knots, v values of a knot (`motion_prior.told`).
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.cluster.vq import kmeans2
from torch import Tensor, nn

from unihm.generation.motion_prior import KNOTS, PALM

AXES = 24
"""A: they hold 93 % of what the guess misses (squared, in keypoint distance)."""
RANGES = 16
"""Q."""
_ROUNDS, _STARTS = 60, 6  # of k-means
_ARM = 70.0  # mm from the palm's origin to what its axes turn


class PlanCodes(nn.Module):
    """Axes and ranges, fitted to what a prior misses."""

    axes: Tensor
    edges: Tensor
    centres: Tensor
    recorded: Tensor

    def __init__(self, latent: int, memory: int = 0):
        """Nothing fitted: every code says that the guess is right.

        Args:
            latent: Latent fingers.
            memory: M, recorded plans that are remembered; of more, some evenly.
        """
        super().__init__()
        size = KNOTS * (PALM + latent)
        # What is told and its values in keypoint distance are two things: axes back and forth.
        self.register_buffer("axes", torch.zeros(2, AXES, size))
        self.register_buffer("edges", torch.zeros(AXES, RANGES - 1))
        self.register_buffer("centres", torch.zeros(AXES, RANGES))
        self.register_buffer("recorded", torch.zeros(memory, AXES, dtype=torch.uint8))
        self._spread: dict[int, Tensor] = {}

    @torch.no_grad()
    def fit(self, missed: Float[Tensor, "M K v"], metric: Float[Tensor, "m m"]) -> None:
        """Find axes and ranges.

        Args:
            missed: What the guesses for M motions miss, those guesses not knowing the motions.
            metric: Scales latent fingers to keypoints, mm.
        """
        weights = keypoint_weights(metric)
        seen = (missed.double() @ weights).flatten(1)
        axes = torch.linalg.svd(seen, full_matrices=False)[2][:AXES]
        here = len(axes)
        back = torch.linalg.inv(weights)
        self.axes[0, :here] = (axes.unflatten(1, (KNOTS, -1)) @ weights.T).flatten(1).to(self.axes)
        self.axes[1, :here] = (axes.unflatten(1, (KNOTS, -1)) @ back).flatten(1).to(self.axes)
        value = self.coordinates(missed)
        share = torch.arange(1, RANGES, device=value.device) / RANGES
        self.edges.copy_(torch.quantile(value, share, dim=0).T)
        codes = self.encode(missed)
        kept = torch.linspace(0, len(codes) - 1, len(self.recorded), device=codes.device).round().long()
        self.recorded.copy_(codes[kept])
        self._spread.clear()
        for k in range(RANGES):
            chosen = (codes == k).to(value)
            # With fewer motions than ranges some hold none; these stand for their lower edge.
            edge = self.edges[:, max(k - 1, 0)]
            mean = (value * chosen).sum(0) / chosen.sum(0).clamp(min=1)
            self.centres[:, k] = torch.where(chosen.sum(0) > 0, mean, edge)

    def coordinates(self, missed: Float[Tensor, "B K v"]) -> Float[Tensor, "B A"]:
        """Along the axes, mm of keypoints over the whole motion."""
        return missed.flatten(1) @ self.axes[0].T

    def encode(self, missed: Float[Tensor, "B K v"]) -> Int[Tensor, "B A"]:
        """Codes of what a guess misses."""
        return (self.coordinates(missed)[..., None] > self.edges).sum(-1)

    def spread(self, count: int) -> Int[Tensor, "count A"]:
        """Plans that together stand for all: the means of `count` groups of the recorded ones.

        The squared distance, in keypoints, from a recorded plan to the nearest of them is as small as k-means makes
        it; the largest group comes first. More plans than were recorded repeat some; without any all are the same.
        """
        if not len(self.recorded):
            return torch.zeros(count, AXES, dtype=torch.long, device=self.centres.device)
        if count not in self._spread:
            plans = self._values(self.recorded.long()).double().cpu().numpy()
            groups = min(count, len(plans))
            means, group = min(
                (kmeans2(plans, groups, iter=_ROUNDS, minit="++", rng=start) for start in range(_STARTS)),
                key=lambda found: float(np.square(plans - found[0][found[1]]).sum()),
            )
            order = np.argsort(-np.bincount(group, minlength=groups), kind="stable")
            means = torch.from_numpy(means[order[np.arange(count) % groups]]).to(self.centres)
            self._spread[count] = (means[..., None] - self.centres).abs().argmin(-1)
        return self._spread[count]

    def _values(self, codes: Int[Tensor, "B a"]) -> Float[Tensor, "B a"]:
        return self.centres[torch.arange(codes.shape[1], device=codes.device), codes]

    def decode(self, codes: Int[Tensor, "B A"]) -> Float[Tensor, "B K v"]:
        """What codes add to a guess."""
        return (self._values(codes) @ self.axes[1, : codes.shape[1]]).unflatten(1, (KNOTS, -1))


def keypoint_weights(metric: Float[Tensor, "m m"]) -> Float[Tensor, "v v"]:
    """Values of a knot to keypoint distances, mm, root mean square."""
    size = PALM + len(metric)
    weights = torch.zeros(size, size, dtype=torch.float64)
    weights[:3, :3] = 1e3 * torch.eye(3)
    weights[3:PALM, 3:PALM] = _ARM / 2**0.5 * torch.eye(9)
    weights[PALM:, PALM:] = metric.double()
    return weights
