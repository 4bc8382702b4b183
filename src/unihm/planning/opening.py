"""The round opening of a vessel, found in its cloud."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares

_PERCENTILES = (1.0, 99.0)
_RIM, _LEAST_RIM = 0.12, 0.006  # of the height, m: what counts as the rim
_LOOSE = 0.004  # m; what is farther than that from the circle counts little: handles, spouts
_ROUND, _ON_CIRCLE = 0.25, 0.5  # the rim: within this share of the radius, and how much of it must be
_SECTORS, _AROUND = 12, 10  # of the circle, and in how many of them there must be rim
_INNER, _SOLID = 0.5, 0.005  # share of the radius that must be free, and of all points that may still be there
_DEPTH = 0.35  # of the height, how deep it must be free
_LEAST_POINTS = 30


def opening(points_world: Float[np.ndarray, "n 3"]) -> tuple[Float[np.ndarray, " 2"], float]:
    """Centre (x, y) and inner radius of the opening, m.

    A circle is fitted to the rim, the points in the upper eighth of the height, with little weight for what is not on
    it; so the handle of a mug or of a pan does not pull at it.

    Args:
        points_world: The vessel's points, z-up, m.

    Raises:
        ValueError: There is no round rim, or it is not hollow below.
    """
    low, high = np.percentile(points_world[:, 2], _PERCENTILES) if len(points_world) else (0.0, 0.0)
    rim = points_world[points_world[:, 2] > high - max(_RIM * (high - low), _LEAST_RIM), :2]
    if len(rim) < _LEAST_POINTS:
        raise ValueError(f"Nothing goes into it: its rim has {len(rim)} points, expected at least {_LEAST_POINTS}.")
    start = np.median(rim, axis=0)
    fit = least_squares(
        lambda x: np.linalg.norm(rim - x[:2], axis=1) - x[2],
        [*start, np.median(np.linalg.norm(rim - start, axis=1))],
        loss="soft_l1",
        f_scale=_LOOSE,
    )
    centre, radius = fit.x[:2], float(fit.x[2])
    away = np.linalg.norm(rim - centre, axis=1)
    on_circle = np.abs(away - radius) < _ROUND * radius
    if radius <= 0 or on_circle.mean() < _ON_CIRCLE:
        raise ValueError(f"Nothing goes into it: only {100 * on_circle.mean():.0f} % of its rim lie on a circle.")
    sectors = np.floor(np.arctan2(*(rim - centre)[on_circle].T) / (2 * np.pi) * _SECTORS).astype(int) % _SECTORS
    if len(np.unique(sectors)) < _AROUND:
        raise ValueError("Nothing goes into it: its rim does not go around an opening.")
    inside = np.linalg.norm(points_world[:, :2] - centre, axis=1) < _INNER * radius
    solid = (inside & (points_world[:, 2] > high - _DEPTH * (high - low))).mean()
    if solid > _SOLID:
        raise ValueError("Nothing goes into it: it is not hollow.")
    return centre, float(np.percentile(away[on_circle], 10))
