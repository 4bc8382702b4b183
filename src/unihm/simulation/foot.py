"""What a guessed shape stands on: nobody has seen its underside, but it stood still while it was looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from unihm.geometry.support import supports

_FIRM, _MOST, _STEP = 5e-4, 0.012, 1e-3  # m above the lowest point: what bears already, and may have to
_MARGIN = 0.05  # of its centre's height, by which the centre of mass is inside what bears it


def foot(
    parts: Sequence[Float[np.ndarray, "_ 3"]], centre_of_mass: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, "k 3"] | None:
    """Corners of one more convex part, flat underneath, on which a shape stands as it is.

    It reaches up to where the corners of the parts surround the centre of mass, as seen from above.

    Args:
        parts: Corners of the convex parts, z up, m.
        centre_of_mass: m.

    Returns:
        None where the shape stands by itself, or would not even on its lowest 12 mm.
    """
    corners = np.concatenate(list(parts))
    low = corners[:, 2].min()
    margin = _MARGIN * float(centre_of_mass[2] - low)
    for height in (_FIRM, *np.arange(_STEP, _MOST + _STEP / 2, _STEP)):
        bearing = corners[corners[:, 2] <= low + height]
        if supports(bearing[:, :2], centre_of_mass[:2], margin):
            if height == _FIRM:
                return None
            flat = bearing.copy()
            flat[:, 2] = low
            return np.concatenate([bearing, flat])
    return None
