"""Signed distance to an oriented point cloud."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree


class CloudDistance:
    """Point-to-plane distance to the nearest point of a cloud, positive outside (Eq. 11)."""

    def __init__(self, points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"]):
        """Index the cloud.

        Args:
            points: Surface points, m.
            normals: Outward unit normals.

        Raises:
            ValueError: The cloud is empty or holds non-finite numbers.
        """
        if len(points) == 0 or points.shape != normals.shape:
            raise ValueError(f"Expected n >= 1 points and n normals, got {len(points)} and {len(normals)}.")
        if not (np.isfinite(points).all() and np.isfinite(normals).all()):
            raise ValueError("The object cloud holds NaN or infinite values.")
        self.points = np.ascontiguousarray(points, dtype=np.float64)
        self.normals = np.ascontiguousarray(normals, dtype=np.float64)
        self._tree = KDTree(self.points)

    def query(
        self, x: Float[np.ndarray, "*batch 3"]
    ) -> tuple[Float[np.ndarray, "*batch"], Float[np.ndarray, "*batch 3"], Float[np.ndarray, "*batch 3"]]:
        """Distance ``d = n . (x - p)`` to the plane through the nearest point.

        Args:
            x: Query points in the cloud's frame, m.

        Returns:
            Distance (m, negative inside), nearest point p (m) and its normal n.
        """
        _, index = self._tree.query(x)
        nearest, normal = self.points[index], self.normals[index]
        return np.einsum("...i,...i->...", x - nearest, normal), nearest, normal
