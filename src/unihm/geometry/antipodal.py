"""Places on a cloud where two fingers can press against each other."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

_SHORTLIST = 4000


def opposing_pairs(
    points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"], cosine: float = 0.8
) -> Int[np.ndarray, "m 2"]:
    """All ordered pairs of points with opposed normals along their connecting line.

    A pair (a, b) qualifies where the line between the points lies within the cones about both inward normals,
    which is what friction needs to hold an object between two fingers.

    Args:
        points: Surface points, m; n^2 pairs are looked at, so some hundred points are enough.
        normals: Outward unit normals.
        cosine: Of the half angle of the cones; 0.8 is 37 degrees, friction 0.75.
    """
    x = points - points.mean(axis=0)  # so that what cancels is small
    along = normals @ x.T - (normals * x).sum(axis=1)[:, None]  # n_a . (b - a)
    length = (x * x).sum(axis=1)
    squared = np.maximum(length[:, None] + length - 2 * x @ x.T, 0.0)
    inward = -along > cosine * np.sqrt(squared)
    return np.argwhere(inward & inward.T & (squared > 1e-6))


def nearest_pairs(
    points: Float[np.ndarray, "n 3"],
    pairs: Int[np.ndarray, "m 2"],
    tip_a: Float[np.ndarray, " 3"],
    tip_b: Float[np.ndarray, " 3"],
    count: int,
    separation: float = 0.012,
) -> Int[np.ndarray, "k 2"]:
    """Those pairs whose first point is nearest to one fingertip and whose second is nearest to another.

    Args:
        points: Surface points, m.
        pairs: Pairs of their indices.
        tip_a: Where the first finger's tip is, m.
        tip_b: Where the second one's is, m.
        count: Most pairs returned, by ascending sum of squared distances.
        separation: Two returned pairs differ by at least this much in one of their points, m.
    """
    cost = ((points - tip_a) ** 2).sum(-1)[pairs[:, 0]] + ((points - tip_b) ** 2).sum(-1)[pairs[:, 1]]
    if len(cost) > _SHORTLIST:
        best = np.argpartition(cost, _SHORTLIST)[:_SHORTLIST]
        pairs, cost = pairs[best], cost[best]
    pairs = pairs[np.argsort(cost, kind="stable")]
    chosen: list[np.ndarray] = []
    left = np.ones(len(pairs), dtype=bool)
    while left.any() and len(chosen) < count:
        pair = pairs[np.argmax(left)]
        chosen.append(pair)
        near = np.linalg.norm(points[pairs] - points[pair], axis=-1) < separation
        left &= ~near.all(axis=-1)
    return np.array(chosen, dtype=np.int64).reshape(-1, 2)
