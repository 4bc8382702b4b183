"""How far two parallel planes must be apart to have a thing between them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.spatial import ConvexHull, QhullError


def width(points: Float[np.ndarray, "n 3"], up: Float[np.ndarray, " 3"] | None = None) -> float:
    """The least distance between two parallel planes with all points between them, m.

    Args:
        points: Of a surface, m.
        up: Only planes along this direction count: what a gripper beside a thing on a table must span. None: any.

    Raises:
        ValueError: The points lie in one plane.
    """
    try:
        hull = points[ConvexHull(points).vertices]
    except QhullError:
        raise ValueError(f"The {len(points)} points lie in one plane; a width is that of a body.") from None
    if up is None:
        # the narrowest place of a polyhedron lies across a face or between two edges
        normals = np.concatenate([ConvexHull(hull).equations[:, :3], _directions(4000)])
        return float(np.ptp(hull @ normals.T, axis=0).min())
    # of the outline seen from above, it lies across an edge
    flat = hull @ np.linalg.svd(np.reshape(up, (1, 3)))[2][1:].T
    return float(np.ptp(flat @ ConvexHull(flat).equations[:, :2].T, axis=0).min())


def _directions(count: int) -> Float[np.ndarray, "count 3"]:
    """Evenly spread over half a sphere (a Fibonacci spiral)."""
    z = (np.arange(count) + 0.5) / count
    angle = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    r = np.sqrt(1 - z * z)
    return np.stack([r * np.cos(angle), r * np.sin(angle), z], axis=-1)
