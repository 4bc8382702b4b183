"""How often a hand that carries an object is at it: thumb and another fingertip near the mesh."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unihm.evaluation.motion_metrics import Track
from unihm.evaluation.physical_metrics import lifted
from unihm.evaluation.references import Given
from unihm.geometry.mesh_distance import MeshDistance
from unihm.kinematics.keypoints import TIPS

NEAR = 0.01
"""m; a fingertip that is so near to the mesh is at it."""


def grasp_share(track: Track, given: Given, slots: Sequence[int], mesh: MeshDistance) -> float:
    """Share of the frames in which the given path has the object more than 3 cm up, with thumb and another tip at it.

    Args:
        track: A motion's keypoints.
        given: The object's path.
        slots: Human keypoints that the track's are (`HandModel.keypoint_indices`); tips are found by them.
        mesh: The object's true surface, in its own frame.

    Returns:
        The share; NaN where the object is never up.
    """
    up = lifted(given.T_world_object)
    if not up.any():
        return float("nan")
    tips = [list(slots).index(tip) for tip in TIPS if tip in slots]
    T = given.T_world_object[up]
    points = track.keypoints_world[up][:, tips] - T[:, None, :3, 3]
    points = np.einsum("tij,tki->tkj", T[:, :3, :3], points)
    distance = np.abs(mesh.query(points.reshape(-1, 3))[0]).reshape(points.shape[:2])
    return float(((distance[:, 0] <= NEAR) & (distance[:, 1:] <= NEAR).any(axis=1)).mean())
