"""Rigid poses as they lie on disk: ``xyz + quaternion wxyz``. In memory a pose is a 4x4 matrix.

The conversion is ours because importing SciPy's costs a fifth of the time in which `unihm retarget` answers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

_ROTATION = 1e-3  # farther from orthonormal than this is no rotation that was merely rounded


def pose_to_vector(T: Float[np.ndarray, "*batch 4 4"]) -> Float[np.ndarray, "*batch 7"]:
    """4x4 poses to ``(x, y, z, qw, qx, qy, qz)``, with qw >= 0.

    Raises:
        ValueError: A matrix holds no rotation.
    """
    R = np.asarray(T[..., :3, :3], dtype=np.float64)
    error = np.abs(R @ R.swapaxes(-1, -2) - np.eye(3)).max(initial=0.0)
    if not error <= _ROTATION or (np.linalg.det(R) < 0).any():
        raise ValueError(f"a pose holds no rotation: R R^T is {error:.2g} from the identity, or det R is negative.")
    # 4 q q^T; its row with the largest diagonal entry is q but for its length
    K = np.empty((*R.shape[:-2], 4, 4))
    diagonal = np.diagonal(R, axis1=-2, axis2=-1)
    trace = diagonal.sum(-1)
    K[..., 0, 0] = 1 + trace
    K[..., 1:, 1:] = R + R.swapaxes(-1, -2)
    for i, (row, column) in enumerate(((2, 1), (0, 2), (1, 0)), start=1):
        K[..., i, i] = 1 + 2 * diagonal[..., i - 1] - trace
        K[..., 0, i] = K[..., i, 0] = R[..., row, column] - R[..., column, row]
    largest = np.diagonal(K, axis1=-2, axis2=-1).argmax(-1)
    quaternion = np.take_along_axis(K, largest[..., None, None], axis=-2)[..., 0, :]
    quaternion /= np.linalg.norm(quaternion, axis=-1, keepdims=True)
    quaternion *= np.where(quaternion[..., :1] < 0, -1, 1)
    return np.concatenate([T[..., :3, 3], quaternion], axis=-1)


def vector_to_pose(vector: Float[np.ndarray, "*batch 7"]) -> Float[np.ndarray, "*batch 4 4"]:
    """``(x, y, z, qw, qx, qy, qz)`` to 4x4 poses.

    Raises:
        ValueError: A quaternion has length zero.
    """
    quaternion = np.asarray(vector[..., 3:], dtype=np.float64)
    length = np.linalg.norm(quaternion, axis=-1, keepdims=True)
    if (length == 0).any():
        raise ValueError("a pose's quaternion has length zero.")
    w, x, y, z = np.moveaxis(quaternion / length, -1, 0)
    T = np.zeros((*vector.shape[:-1], 4, 4))
    T[..., 0, 0], T[..., 0, 1], T[..., 0, 2] = 1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)
    T[..., 1, 0], T[..., 1, 1], T[..., 1, 2] = 2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)
    T[..., 2, 0], T[..., 2, 1], T[..., 2, 2] = 2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)
    T[..., :3, 3] = vector[..., :3]
    T[..., 3, 3] = 1
    return T


def yaw_pose(yaw: float, position: Sequence[float] = ()) -> Float[np.ndarray, "4 4"]:
    """A pose that is turned about the vertical alone.

    Args:
        yaw: rad.
        position: Its first coordinates, m; the others are 0.
    """
    c, s = np.cos(yaw), np.sin(yaw)
    T = np.eye(4)
    T[:2, :2] = [[c, -s], [s, c]]
    T[: len(position), 3] = position
    return T
