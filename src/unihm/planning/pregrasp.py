"""Where the hand starts when nobody says so: a typical first palm pose, on the camera's side of the table."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from unihm.geometry.object_frame import canonical_object_frame
from unihm.planning.wording import direction_vector
from unihm.schema.plan import Plan

# Medians of the first seen palm pose over the 342 right-hand DexYCB recordings of the release training half, in the
# canonical object frame (z up, x from the object to the palm): position, m, and the chordal mean of the rotations.
_DISTANCE, _ABOVE_CENTRE = 0.453, 0.062
_MEAN_ROTATION = np.array([[-0.837, 0.444, 0.319], [0.002, 0.586, -0.811], [-0.547, -0.678, -0.491]])
_ABOVE_TABLE = 0.107  # m, median there; fingers of a lower palm would start in the table
_OTHER_SIDES = np.radians([45.0, -90.0, 90.0, -45.0])  # in the order in which they were found to help
_TOWARD_CAMERA = np.radians(36.4)  # median angle by which the palm comes from the right of the object to the camera


def pregrasp(plan: Plan) -> Float[np.ndarray, "4 4"]:
    """T_world_palm at frame 0: beside the object, to its right and toward the camera, fingers toward it, palm down.

    Half of the recordings start within 15 degrees of its direction and within 8 cm of its distance; orientations
    scatter by 37 degrees (median) about its own.

    Args:
        plan: Whose object is approached; the world is z-up with the table at z = 0.
    """
    right = direction_vector("right", plan.T_world_camera)
    toward = direction_vector("toward", plan.T_world_camera)
    side = np.cos(_TOWARD_CAMERA) * right + np.sin(_TOWARD_CAMERA) * toward
    T_world_object = plan.T_world_object[0]
    # The canonical frame looks at the palm; a point far out on its side gives the frame before the palm is placed.
    T_world_canonical = T_world_object @ canonical_object_frame(
        T_world_object, plan.object_points, T_world_object[:3, 3] + 100 * side
    )
    T_canonical_palm = np.eye(4)
    T_canonical_palm[:3, :3] = _orthonormal(_MEAN_ROTATION)
    height = max(_ABOVE_CENTRE, _ABOVE_TABLE - float(T_world_canonical[2, 3]))
    T_canonical_palm[:3, 3] = [_DISTANCE, 0.0, height]
    return T_world_canonical @ T_canonical_palm


def other_pregrasps(plan: Plan) -> Float[np.ndarray, "4 4 4"]:
    """The same from other sides, turned about the vertical through the object: for who can try more than one.

    Args:
        plan: See `pregrasp`.
    """
    T, pivot = pregrasp(plan), plan.T_world_object[0, :3, 3]
    turned = []
    for angle in _OTHER_SIDES:
        R = Rotation.from_rotvec([0.0, 0.0, angle]).as_matrix()
        T_turn = np.eye(4)
        T_turn[:3, :3], T_turn[:3, 3] = R, pivot - R @ pivot
        turned.append(T_turn @ T)
    return np.stack(turned)


def _orthonormal(R: np.ndarray) -> np.ndarray:
    """The rotation nearest to a matrix written with three digits."""
    U, _, Vt = np.linalg.svd(R)
    return U @ Vt
