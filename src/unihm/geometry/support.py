"""Whether what stands on something stands there."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.spatial import ConvexHull, QhullError


def supports(polygon: Float[np.ndarray, "k 2"], point: Float[np.ndarray, " 2"], margin: float = 0.0) -> bool:
    """Whether a point is inside the convex hull of others by a margin, m; not where these lie on a line."""
    if len(polygon) < 3:
        return False
    try:
        edges = ConvexHull(polygon).equations
    except QhullError:
        return False
    return bool((edges[:, :2] @ point + edges[:, 2] < -margin).all())
