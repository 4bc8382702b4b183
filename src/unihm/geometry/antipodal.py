"""Places on a cloud where two fingers can press against each other."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

_SHORTLIST = 4000


def opposing_pairs(
    points: Float[np.ndarray, "n 3"],
    normals: Float[np.ndarray, "n 3"],
    tip_a: Float[np.ndarray, " 3"],
    tip_b: Float[np.ndarray, " 3"],
    count: int,
    *,
    cosine: float = 0.8,
    separation: float = 0.012,
) -> Int[np.ndarray, "m 2"]:
    """Pairs of points with opposed normals along their connecting line, nearest to two fingertips first.

    A pair (a, b) qualifies where the line between the points lies within the cone of both inward normals,
    which is what friction needs to hold an object between two fingers.

    Args:
        points: Surface points, m.
        normals: Outward unit normals.
        tip_a: Where the first finger's tip is, m.
        tip_b: Where the second one's is.
        count: Most pairs returned.
        cosine: Of the half angle of the cones; 0.8 is 37 degrees, friction 0.75.
        separation: Two returned pairs differ by at least this much in one of their points, m.

    Returns:
        Indices (first finger's point, second finger's point), at most `count`, fewer where few qualify.
    """
    between = points[None, :] - points[:, None]
    length = np.linalg.norm(between, axis=-1)
    direction = between / np.maximum(length, 1e-9)[..., None]
    outward_a = -np.einsum("ni,nmi->nm", normals, direction)
    outward_b = np.einsum("mi,nmi->nm", normals, direction)
    opposed = (outward_a > cosine) & (outward_b > cosine) & (length > 1e-3)
    cost = ((points - tip_a) ** 2).sum(-1)[:, None] + ((points - tip_b) ** 2).sum(-1)[None, :]
    rows, columns = np.nonzero(opposed)
    cost = cost[rows, columns]
    if len(cost) > _SHORTLIST:
        best = np.argpartition(cost, _SHORTLIST)[:_SHORTLIST]
        rows, columns, cost = rows[best], columns[best], cost[best]
    order = np.argsort(cost, kind="stable")
    rows, columns = rows[order], columns[order]
    chosen: list[tuple[int, int]] = []
    left = np.ones(len(rows), dtype=bool)
    while left.any() and len(chosen) < count:
        a, b = rows[np.argmax(left)], columns[np.argmax(left)]
        chosen.append((int(a), int(b)))
        near_a = np.linalg.norm(points[rows] - points[a], axis=-1) < separation
        near_b = np.linalg.norm(points[columns] - points[b], axis=-1) < separation
        left &= ~(near_a & near_b)
    return np.array(chosen, dtype=np.int64).reshape(-1, 2)
