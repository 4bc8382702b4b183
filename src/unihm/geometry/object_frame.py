"""The canonical object frame, in which the tokenizer and the generator see the palm."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

_DIRECTIONS = 180  # 2 degrees apart: the centre of a 10 cm box then turns with the box to 0.02 mm


def canonical_object_frame(
    T_world_object0: Float[np.ndarray, "4 4"],
    points_object: Float[np.ndarray, "n 3"],
    palm_position_world: Float[np.ndarray, " 3"],
) -> Float[np.ndarray, "4 4"]:
    """A frame fixed to the object that does not depend on the choice of the object's own axes or the world's yaw.

    At frame 0 its z is up, its x is the horizontal direction from its origin to the palm, and its origin is
    the centre of the cloud's bounding box. The box is gravity-aligned; since its horizontal centre depends on the
    yaw of the box, it is averaged over all yaws, which makes it turn with the object.

    Args:
        T_world_object0: Object pose at frame 0, m.
        points_object: Object cloud in the object's frame, m.
        palm_position_world: Position of the palm at frame 0, m. Exactly above the origin it has no horizontal
            direction; x is then the world's.

    Returns:
        Pose of the canonical frame in the object's frame, constant over the motion.

    Raises:
        ValueError: The cloud is empty.
    """
    if len(points_object) == 0:
        raise ValueError("The object cloud is empty; the object frame needs at least one point.")
    points = points_object @ T_world_object0[:3, :3].T + T_world_object0[:3, 3]
    yaws = np.arange(_DIRECTIONS) * (np.pi / _DIRECTIONS)
    directions = np.stack([np.cos(yaws), np.sin(yaws)])  # (2, k), half a turn: the other half has the same centres
    reach = points[:, :2] @ directions
    centres = (reach.max(axis=0) + reach.min(axis=0)) / 2
    origin = np.empty(3)
    origin[:2] = 2 / _DIRECTIONS * directions @ centres
    origin[2] = (points[:, 2].max() + points[:, 2].min()) / 2

    x, y = palm_position_world[:2] - origin[:2]
    yaw = np.arctan2(y, x)
    T_world_canonical = np.eye(4)
    T_world_canonical[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    T_world_canonical[:3, 3] = origin
    return np.linalg.inv(T_world_object0) @ T_world_canonical


def view_canonical(
    T_world_camera: Float[np.ndarray, "4 4"], T_world_canonical0: Float[np.ndarray, "4 4"]
) -> Float[np.ndarray, " 2"]:
    """Horizontal direction in which a camera looks, in the canonical frame: a unit vector.

    It is zero for a camera that looks straight down, for which "from the left" has no meaning.
    """
    view = T_world_canonical0[:2, :2].T @ T_world_camera[:2, 2]
    return view / max(float(np.linalg.norm(view)), 1e-6)
