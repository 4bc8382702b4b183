"""The frame in which a cloud is completed: on the table, turned to the camera, of unit size.

x points horizontally away from the camera, z up. What the camera sees is then always the side of -x, which a network
need not learn for every direction. The box around the seen points is drawn down to the table z = 0; its centre is the
origin and its diagonal 1. The table is thus where the box ends below, and metric size comes back exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_STRAYS = 0.01  # share of the points along each axis, at each end, that the box need not hold: depth cameras fray
_SMALLEST = 0.005  # m; of the diagonal


@dataclass(frozen=True, kw_only=True, eq=False)
class CompletionFrame:
    """From the world (z up, table at 0) to the unit frame and back."""

    R_frame_world: Float[np.ndarray, "3 3"]
    """Turns about the vertical."""
    centre: Float[np.ndarray, " 3"]
    """Of the box, in the turned axes, m."""
    edges: Float[np.ndarray, " 3"]
    """Of the box, m."""

    @property
    def scale(self) -> float:
        """Diagonal of the box, m."""
        return float(np.linalg.norm(self.edges))

    def into(self, points_world: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Points in the unit frame."""
        return (points_world @ self.R_frame_world.T - self.centre) / self.scale

    def back(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Points of the unit frame in the world, m."""
        return (points * self.scale + self.centre) @ self.R_frame_world


def completion_frame(points_world: Float[np.ndarray, "n 3"], eye: Float[np.ndarray, " 3"]) -> CompletionFrame:
    """The frame of what is seen of a thing.

    Args:
        points_world: Seen points, m; z is up and the table at 0.
        eye: Where the camera is, m. From straight above, the world's axes are kept.

    Raises:
        ValueError: There are no points, or they have no extent.
    """
    if not len(points_world):
        raise ValueError("A cloud without points cannot be completed.")
    away = np.median(points_world, axis=0)[:2] - eye[:2]
    distance = float(np.linalg.norm(away))
    c, s = away / distance if distance > 1e-9 else (1.0, 0.0)
    R = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
    low, high = np.quantile(points_world @ R.T, [_STRAYS, 1 - _STRAYS], axis=0)
    low[2] = 0.0
    frame = CompletionFrame(R_frame_world=R, centre=(low + high) / 2, edges=high - low)
    if frame.scale < _SMALLEST:
        raise ValueError(
            f"The seen points extend over {1000 * frame.scale:.1f} mm; expected at least {1000 * _SMALLEST:g}."
        )
    return frame


def chosen(n: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of `count` of n points: a random part of many, all of few and some of them again."""
    if n >= count:
        return rng.permutation(n)[:count]
    return np.concatenate([np.arange(n), rng.integers(0, n, count - n)])
