"""The floating wrist's six coordinates: three slides, then three hinges about the palm's origin.

    T_world_palm = T_world_reference  [ R_x(a) R_y(b) R_z(c)   (x, y, z) ]

All are zero where the palm stands at the reference. At ``b = ±90°`` the first and the last hinge turn about one axis:
a motion comes no nearer to it than `GIMBAL_MARGIN`, and `reference_pose` chooses a reference that keeps a path away
from it. Since ``sin b`` is the component of the palm's z axis along the reference's x axis, the best reference has its
x axis as nearly perpendicular as can be to the palm's z axes along the path.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from unihm.simulation.constants import GIMBAL_MARGIN

WRIST_JOINTS = ("x", "y", "z", "turn_x", "turn_y", "turn_z")
"""Names of the coordinates, the order of every six numbers."""
_DIRECTIONS = 1000  # over a half sphere: 4.5 degrees apart
_SEARCHES = 400  # usually 30 to 100 do; a palm that hardly turns leads along a crease in ever smaller steps


def wrist_coordinates(
    T_world_palm: Float[np.ndarray, "n 4 4"], T_world_reference: Float[np.ndarray, "4 4"]
) -> Float[np.ndarray, "n 6"]:
    """The six coordinates of palm poses, m and rad; hinges' angles run on from pose to pose without jumps of a turn.

    Args:
        T_world_palm: Poses along a path.
        T_world_reference: Where the coordinates are zero.

    Raises:
        ValueError: A pose comes too near to the hinges' singularity.
    """
    T = np.linalg.inv(T_world_reference) @ T_world_palm
    R = T[:, :3, :3]
    middle = np.arctan2(R[:, 0, 2], np.hypot(R[:, 0, 0], R[:, 0, 1]))
    if len(middle) and (worst := float(np.degrees(np.abs(middle).max()))) > 90 - GIMBAL_MARGIN:
        raise ValueError(
            f"The palm turns {worst:.1f} degrees about the wrist's middle hinge, expected at most "
            f"{90 - GIMBAL_MARGIN:g}: build the world about reference_pose() of this motion, or split the motion."
        )
    first = np.unwrap(np.arctan2(-R[:, 1, 2], R[:, 2, 2]))
    last = np.unwrap(np.arctan2(-R[:, 0, 1], R[:, 0, 0]))
    return np.column_stack([T[:, :3, 3], first, middle, last])


def wrist_poses(
    coordinates: Float[np.ndarray, "n 6"], T_world_reference: Float[np.ndarray, "4 4"]
) -> Float[np.ndarray, "n 4 4"]:
    """T_world_palm at given coordinates: the inverse of `wrist_coordinates`."""
    (ca, cb, cc), (sa, sb, sc) = np.cos(coordinates[:, 3:].T), np.sin(coordinates[:, 3:].T)
    T = np.zeros((len(coordinates), 4, 4))
    T[:, 0, :3] = np.column_stack([cb * cc, -cb * sc, sb])
    T[:, 1, :3] = np.column_stack([ca * sc + sa * sb * cc, ca * cc - sa * sb * sc, -sa * cb])
    T[:, 2, :3] = np.column_stack([sa * sc - ca * sb * cc, sa * cc + ca * sb * sc, ca * cb])
    T[:, :3, 3] = coordinates[:, :3]
    T[:, 3, 3] = 1.0
    return T_world_reference @ T


def reference_pose(T_world_palm: Float[np.ndarray, "n 4 4"]) -> Float[np.ndarray, "4 4"]:
    """A reference whose middle hinge turns as little as possible along a path.

    The x axis u solves ``min over |u| = 1 of max over poses of |u · z|``, z the palm's z axes: the best of directions
    spread evenly over a half sphere, then of ever nearer neighbours. The z axis is the mean of the palm's, made
    perpendicular.

    Args:
        T_world_palm: Poses along the path, at least one.
    """
    palmar = T_world_palm[:, :3, 2]
    height = (np.arange(_DIRECTIONS) + 0.5) / _DIRECTIONS
    turn = np.pi * (1 + 5**0.5) * np.arange(_DIRECTIONS)  # the golden angle
    ring = np.sqrt(1 - height**2)
    candidates = np.column_stack([ring * np.cos(turn), ring * np.sin(turn), height])
    step, x = 0.05, candidates[0]
    for _ in range(_SEARCHES):
        if step <= 1e-7:
            break
        worst = np.abs(candidates @ palmar.T).max(axis=1)
        if (candidates[worst.argmin()] == x).all():
            step /= 2
        x = candidates[worst.argmin()]
        across = np.linalg.svd(x[None])[2][1:]  # two axes perpendicular to it
        around = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        neighbours = x + step * (np.cos(around)[:, None] * across[0] + np.sin(around)[:, None] * across[1])
        candidates = np.concatenate([x[None], neighbours / np.linalg.norm(neighbours, axis=1, keepdims=True)])
    if x @ T_world_palm[:, :3, 0].sum(axis=0) < 0:  # of the two, the one along the fingers
        x = -x
    z = palmar.mean(axis=0)
    z = z - (z @ x) * x
    if np.linalg.norm(z) < 1e-6:  # the palm turns all round: any perpendicular axis will do
        z = np.cross(x, np.eye(3)[np.argmin(np.abs(x))])
    z /= np.linalg.norm(z)
    T = np.eye(4)
    T[:3, :3] = np.column_stack([x, np.cross(z, x), z])
    positions = T_world_palm[:, :3, 3]
    T[:3, 3] = (positions.min(axis=0) + positions.max(axis=0)) / 2
    return T
