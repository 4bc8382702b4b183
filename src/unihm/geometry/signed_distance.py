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
        self, x: Float[np.ndarray, "*batch 3"], k: int = 1
    ) -> tuple[Float[np.ndarray, "*batch"], Float[np.ndarray, "*batch 3"], Float[np.ndarray, "*batch 3"]]:
        """Distance ``d = n . (x - p)`` to the plane through the nearest point.

        With k > 1 it is the largest of the distances to the planes through the k nearest points: beside an edge
        a point may lie below the plane of the nearest face and yet outside the object, above the plane of the
        next one.

        Args:
            x: Query points in the cloud's frame, m.
            k: Planes looked at; 1 is Eq. 11 as it stands.

        Returns:
            Distance (m, negative inside), the point p (m) and its normal n.
        """
        k = min(k, len(self.points))
        index = np.asarray(self._tree.query(x, k=k)[1]).reshape(*x.shape[:-1], k)
        offset = x[..., None, :] - self.points[index]
        d = np.einsum("...i,...i->...", offset, self.normals[index])
        if k == 1:
            return d[..., 0], self.points[index[..., 0]], self.normals[index[..., 0]]
        best = np.argmax(d, axis=-1)[..., None]
        index = np.take_along_axis(index, best, axis=-1)[..., 0]
        return np.take_along_axis(d, best, axis=-1)[..., 0], self.points[index], self.normals[index]
