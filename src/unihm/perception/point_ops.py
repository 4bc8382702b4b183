"""Farthest points, nearest points and the Chamfer distance of batched clouds, in plain PyTorch.

What published point networks do in CUDA extensions; here it runs on the CPU and on any GPU, and Chamfer has a gradient.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from scipy.spatial import KDTree
from torch import Tensor

_PAIRS = 1 << 24  # distances held at once by `nearest`: 64 MiB in single precision


@torch.no_grad()
def farthest_points(points: Float[Tensor, "B n 3"], count: int, first: int = 0) -> Int[Tensor, "B {count}"]:
    """Farthest point sampling: each next point is the one farthest from all chosen so far.

    Ties, which only points at equal distance make, go to one of them; duplicates come last.

    Args:
        points: Clouds, any unit.
        count: Points to choose.
        first: Index of the point to start from.

    Returns:
        Indices in the order they were chosen.

    Raises:
        ValueError: More points are wanted than there are, or `first` is not one of them.
    """
    batch, n = points.shape[:2]
    if not 0 <= count <= n:
        raise ValueError(f"Cannot choose {count} farthest points from a cloud of {n}.")
    if count and not 0 <= first < n:
        raise ValueError(f"Start point {first} does not exist in a cloud of {n}.")
    chosen = torch.empty(batch, count, dtype=torch.int64, device=points.device)
    # Three flat coordinates: sums over a last axis of three are slow.
    x, y, z = points.movedim(-1, 0).contiguous()
    squared = torch.full((batch, n), torch.inf, dtype=points.dtype, device=points.device)
    last = torch.full((batch, 1), first, dtype=torch.int64, device=points.device)
    for i in range(count):
        chosen[:, i : i + 1] = last
        dx, dy, dz = (axis - axis.gather(1, last) for axis in (x, y, z))
        torch.minimum(squared, dx * dx + dy * dy + dz * dz, out=squared)
        # A chosen point is never chosen twice, even among duplicates.
        squared.scatter_(1, last, -1.0)
        last = squared.argmax(dim=1, keepdim=True)
    return chosen


@torch.no_grad()
def nearest(
    query: Float[Tensor, "B m 3"], points: Float[Tensor, "B n 3"], k: int
) -> tuple[Float[Tensor, "B m {k}"], Int[Tensor, "B m {k}"]]:
    """The k nearest points of each query point, by exact distances and with bounded memory.

    Without a gradient: gather the points and take differences where one is needed.

    Args:
        query: Points to look from.
        points: Points to look among, in the same unit.
        k: Neighbours wanted; a query point that is itself in `points` is its own first neighbour.

    Returns:
        Distances, ascending, and indices into `points`.

    Raises:
        ValueError: More neighbours are wanted than there are points.
    """
    batch, n = points.shape[:2]
    if not 0 <= k <= n:
        raise ValueError(f"Cannot find {k} nearest points in a cloud of {n}.")
    rows = max(1, _PAIRS // max(1, batch * n))
    distances, indices = [], []
    for part in query.split(rows, dim=1):
        # The difference form: |a|^2 - 2ab + |b|^2 loses all digits for near points of a small cloud far from 0.
        pairs = torch.cdist(part, points, compute_mode="donot_use_mm_for_euclid_dist")
        # The minimum alone is much faster than a selection of one.
        distance, index = pairs.min(dim=-1, keepdim=True) if k == 1 else pairs.topk(k, dim=-1, largest=False)
        distances.append(distance)
        indices.append(index)
    return torch.cat(distances, dim=1), torch.cat(indices, dim=1)


def gather(values: Shaped[Tensor, "B n *rest"], index: Int[Tensor, " B *which"]) -> Shaped[Tensor, " B *which *rest"]:
    """Values at the indices of each batch element, ``out[b, w] = values[b, index[b, w]]``."""
    batch = torch.arange(len(values), device=values.device).reshape(-1, *[1] * (index.ndim - 1))
    return values[batch, index]


def chamfer(a: Float[Tensor, "B n 3"], b: Float[Tensor, "B m 3"]) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
    """Mean nearest distance from a to b, and from b to a, in the unit of the points.

    The L1 form: plain distances, not squares.
    """
    return mean_nearest(a, b), mean_nearest(b, a)


def mean_nearest(a: Float[Tensor, "B n 3"], b: Float[Tensor, "B m 3"]) -> Float[Tensor, " B"]:
    """Mean over the points of a of the distance to the nearest point of b: one direction of `chamfer`.

    Who is nearest is constant in the gradient, which is exact wherever there is one; at distance 0 the gradient is 0.
    """
    index = _nearest_one(a.detach(), b.detach())
    return torch.linalg.vector_norm(a - gather(b, index), dim=-1).mean(dim=-1)


def _nearest_one(query: Float[Tensor, "B m 3"], points: Float[Tensor, "B n 3"]) -> Int[Tensor, "B m"]:
    """Index of the nearest point of each query point; on a CPU trees are ten times faster than all distances."""
    if query.device.type != "cpu" or not points.shape[1]:
        return nearest(query, points, 1)[1][..., 0]
    pairs = zip(query.double().numpy(), points.double().numpy(), strict=True)
    found = [np.asarray(KDTree(b).query(a)[1], dtype=np.int64) for a, b in pairs]
    return torch.from_numpy(np.stack(found)) if found else query.new_zeros(query.shape[:2], dtype=torch.int64)
