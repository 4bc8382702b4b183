"""Between frames: poses and rows at fractional frames, and the step that starts and ends at rest."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation, Slerp


def smoothstep(s: Float[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch"]:
    """The cubic from 0 to 1 with zero slope at both ends; s is within 0 and 1."""
    return s * s * (3 - 2 * s)


def poses_at(T: Float[np.ndarray, "T 4 4"], frames: Float[np.ndarray, " m"]) -> Float[np.ndarray, "m 4 4"]:
    """Poses at fractional frames: positions linearly, rotations along the shortest arc; beyond the ends the last."""
    found = np.tile(np.eye(4), (len(frames), 1, 1))
    found[:, :3, 3] = rows_at(T[:, :3, 3], frames)
    found[:, :3, :3] = T[:1, :3, :3]
    if len(T) > 1:
        turns = Slerp(np.arange(len(T)), Rotation.from_matrix(T[:, :3, :3]))
        found[:, :3, :3] = turns(np.clip(frames, 0, len(T) - 1)).as_matrix()
    return found


def rows_at(values: Float[np.ndarray, "T n"], frames: Float[np.ndarray, " m"]) -> Float[np.ndarray, "m n"]:
    """Rows at fractional frames, linearly; beyond the ends the last."""
    known = np.arange(len(values))
    return np.stack([np.interp(frames, known, column) for column in values.T], axis=1)
