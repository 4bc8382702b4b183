"""What player and stills share: colours, where the links are, and where to look from."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8

from unihm.hands.hand import HandModel
from unihm.schema.motion import HandMotion

TABLE = (236, 229, 218)
OBJECT = (226, 142, 62)
PATH = (64, 132, 196)

LIGHT = np.array([0.35, -0.45, 0.82])
"""Unit direction towards the light, world."""
FIELD_OF_VIEW = np.radians(42)
"""Vertical opening angle of the camera, rad."""

_ELEVATION = np.radians(25)
_FINGER = 0.1  # m; fingers reach about as far beyond the palm's origin as the wrist lies behind it


def link_poses(motion: HandMotion, hand: HandModel) -> Float[np.ndarray, "T nl 4 4"]:
    """World pose of every link in every frame, m."""
    T_palm_link = hand.forward_kinematics(torch.as_tensor(motion.qpos, dtype=torch.float64)).numpy()
    return motion.T_world_palm[:, None] @ T_palm_link


def object_path(motion: HandMotion) -> Float[np.ndarray, "T 3"]:
    """World path of the centre of the object's cloud, m."""
    assert motion.object_points is not None
    assert motion.T_world_object is not None
    centre = motion.object_points.mean(axis=0)
    return motion.T_world_object[:, :3, :3] @ centre + motion.T_world_object[:, :3, 3]


def shaded(motion: HandMotion) -> UInt8[np.ndarray, "n 3"]:
    """Colours of the object's points, lit as at frame 0; without normals, all alike."""
    assert motion.object_points is not None
    light = np.full(len(motion.object_points), 0.8)
    if motion.object_normals is not None and motion.T_world_object is not None:
        light = 0.62 + 0.38 * motion.object_normals @ motion.T_world_object[0, :3, :3].T @ LIGHT
    return np.clip(light[:, None] * OBJECT, 0, 255).astype(np.uint8)


def camera(motion: HandMotion) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """Where to look from, and at what, so that hand, object and path fill the picture.

    The view is across the direction in which the hand points and travels, from the thumb's side, so that fingers
    and thumb are seen to close, and 25 degrees from above.

    Returns:
        Position and target in the world, m.
    """
    palms, along = motion.T_world_palm[:, :3, 3], motion.T_world_palm[:, :3, 0]
    seen = [palms, palms + _FINGER * along, palms - _FINGER * along]
    if motion.object_points is not None and motion.T_world_object is not None:
        ends = motion.T_world_object[[0, -1]]
        clouds = motion.object_points @ ends[:, :3, :3].swapaxes(1, 2) + ends[:, None, :3, 3]
        seen.append(clouds.reshape(-1, 3))
    points = np.concatenate(seen)
    target = (points.min(axis=0) + points.max(axis=0)) / 2
    heading = (along.mean(axis=0) + palms[len(palms) // 2] - palms[0])[:2]
    across = np.array([-heading[1], heading[0]])
    length = np.linalg.norm(across)
    across = across / length if length > 1e-6 else np.array([0.0, -1.0])
    thumb_side = -motion.T_world_palm[:, :2, 1].mean(axis=0)
    if across @ thumb_side < 0:
        across = -across
    direction = np.array([*(np.cos(_ELEVATION) * across), np.sin(_ELEVATION)])
    radius = np.linalg.norm(points - target, axis=1).max()
    return target + direction * radius / np.sin(FIELD_OF_VIEW / 2), target
