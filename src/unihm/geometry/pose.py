"""Rigid poses as they lie on disk: ``xyz + quaternion wxyz``. In memory a pose is a 4x4 matrix."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def pose_to_vector(T: Float[np.ndarray, "*batch 4 4"]) -> Float[np.ndarray, "*batch 7"]:
    """4x4 poses to ``(x, y, z, qw, qx, qy, qz)``, with qw >= 0."""
    from scipy.spatial.transform import Rotation

    quaternion = Rotation.from_matrix(T[..., :3, :3].reshape(-1, 3, 3)).as_quat(canonical=True, scalar_first=True)
    return np.concatenate([T[..., :3, 3], quaternion.reshape(*T.shape[:-2], 4)], axis=-1)


def vector_to_pose(vector: Float[np.ndarray, "*batch 7"]) -> Float[np.ndarray, "*batch 4 4"]:
    """``(x, y, z, qw, qx, qy, qz)`` to 4x4 poses.

    Raises:
        ValueError: A quaternion has length zero.
    """
    from scipy.spatial.transform import Rotation

    T = np.zeros((*vector.shape[:-1], 4, 4))
    matrix = Rotation.from_quat(vector[..., 3:].reshape(-1, 4), scalar_first=True).as_matrix()
    T[..., :3, :3] = matrix.reshape(*vector.shape[:-1], 3, 3)
    T[..., :3, 3] = vector[..., :3]
    T[..., 3, 3] = 1
    return T
