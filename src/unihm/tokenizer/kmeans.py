"""Lloyd's k-means on the accelerator or CPU that holds the points, repeatable from a generator."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

_BLOCK = 4096  # points whose distances to all centroids are held in memory at once


def nearest(points: Float[Tensor, "n D"], centroids: Float[Tensor, "k D"]) -> Int[Tensor, " n"]:
    """Index of the nearest centroid by squared Euclidean distance, the lowest index on a tie (Eqs. 1, B4)."""
    # ||p - c||^2 = ||p||^2 - 2 p.c + ||c||^2; the first term is the same for all centroids.
    half = 0.5 * (centroids * centroids).sum(-1)
    blocks = [torch.addmm(half, block, centroids.T, alpha=-1).argmin(-1) for block in points.split(_BLOCK)]
    return torch.cat(blocks) if blocks else torch.zeros(0, dtype=torch.long, device=points.device)


def kmeans(
    points: Float[Tensor, "n D"], count: int, rng: torch.Generator, iterations: int = 12
) -> Float[Tensor, "k D"]:
    """Centroids of the points.

    A centroid that loses all its points moves to the point that is farthest from its own centroid.

    Args:
        points: What is clustered; at least one.
        count: Centroids wanted; with fewer points than that, each point is its own centroid.
        rng: CPU generator that chooses the starting points.
        iterations: Rounds of assignment and averaging.

    Returns:
        ``min(count, n)`` centroids.
    """
    if len(points) == 0:
        raise ValueError("k-means needs at least one point.")
    order = torch.randperm(len(points), generator=rng).to(points.device)
    centroids = points[order[:count]].clone()
    if len(points) <= count:
        return centroids
    for _ in range(iterations):
        label = nearest(points, centroids)
        size = torch.bincount(label, minlength=count)
        total = torch.zeros_like(centroids).index_add_(0, label, points)
        empty = size == 0
        far = ((points - centroids[label]) ** 2).sum(-1).topk(int(empty.sum())).indices
        centroids = total / size.clamp(min=1)[:, None]
        centroids[empty] = points[far]
    return centroids
