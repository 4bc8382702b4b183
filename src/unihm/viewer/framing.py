"""What player and stills share: colours, where the links are, and where to look from."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from scipy.spatial import KDTree

from unihm.hands.hand import HandModel
from unihm.schema.motion import HandMotion
from unihm.schema.plan import Plan
from unihm.schema.scene import PerceivedScene

TABLE = (226, 216, 199)
OBJECT = (226, 142, 62)
PATH = (64, 132, 196)
GUESSED = (88, 40, 140)
"""The guessed part of a cloud, whose seen part has the colour of the object; darker, so that any eye tells them apart.
"""

LIGHT = np.array([0.35, -0.45, 0.82])
"""Unit direction towards the light, world."""
AMBIENT = 0.74
"""Share of the light that comes from everywhere."""
FIELD_OF_VIEW = np.radians(42)
"""Vertical opening angle of the camera, rad."""

_SEEN_WITHIN = 0.005  # m; as far apart as the points of a thinned cloud are
_ELEVATION = np.radians(25)
_ASPECT = 1.1  # width to height of the narrowest picture that must show everything
_MARGIN = 0.93  # of the picture is used
_HAND = (0.1, 0.05, 0.04)  # m; fingers reach about as far beyond the palm's origin as the wrist lies behind it


def link_poses(motion: HandMotion, hand: HandModel) -> Float[np.ndarray, "T nl 4 4"]:
    """World pose of every link in every frame, m."""
    T_palm_link = hand.forward_kinematics(torch.as_tensor(motion.qpos, dtype=torch.float64)).numpy()
    return motion.T_world_palm[:, None] @ T_palm_link


def object_path(motion: HandMotion | Plan) -> Float[np.ndarray, "T 3"]:
    """World path of the centre of the object's cloud, m."""
    assert motion.object_points is not None
    assert motion.T_world_object is not None
    centre = motion.object_points.mean(axis=0)
    return motion.T_world_object[:, :3, :3] @ centre + motion.T_world_object[:, :3, 3]


def moved_cloud(plan: Plan, frame: int) -> Float[np.ndarray, "n 3"]:
    """The completed cloud in the world at a frame of its path, m."""
    T = plan.T_world_object[frame]
    return plan.object_points @ T[:3, :3].T + T[:3, 3]


def seen_points(plan: Plan, perceived: PerceivedScene) -> Bool[np.ndarray, " n"]:
    """Which of the completed points lie on what the camera saw of the target; the others are guessed."""
    distance, _ = KDTree(perceived.target_object.points_world).query(moved_cloud(plan, 0))
    return np.asarray(distance) < _SEEN_WITHIN


def shaded(
    motion: HandMotion | Plan, colors: tuple[int, int, int] | UInt8[np.ndarray, "n 3"] = OBJECT
) -> UInt8[np.ndarray, "n 3"]:
    """Colours of the object's points, lit as at frame 0; without normals, all equally bright."""
    assert motion.object_points is not None
    light = np.full(len(motion.object_points), 0.8)
    if motion.object_normals is not None and motion.T_world_object is not None:
        light = AMBIENT + (1 - AMBIENT) * motion.object_normals @ motion.T_world_object[0, :3, :3].T @ LIGHT
    return np.clip(light[:, None] * np.asarray(colors), 0, 255).astype(np.uint8)


def camera(motion: HandMotion) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """Where to look from, and at what, so that hand, object and path fill the picture.

    The view is across the direction in which the hand points and travels, from the thumb's side, so that fingers
    and thumb are seen to close, and 25 degrees from above.

    Returns:
        Position and target in the world, m.
    """
    palms, along = motion.T_world_palm[:, :3, 3], motion.T_world_palm[:, :3, 0]
    corners = np.stack(np.meshgrid(*[(-half, half) for half in _HAND]), axis=-1).reshape(-1, 3)
    hands = corners @ motion.T_world_palm[:, :3, :3].swapaxes(1, 2) + palms[:, None]
    seen = [hands.reshape(-1, 3)]
    if motion.object_points is not None and motion.T_world_object is not None:
        some = motion.T_world_object[np.linspace(0, len(motion) - 1, 8).round().astype(int)]
        clouds = motion.object_points @ some[:, :3, :3].swapaxes(1, 2) + some[:, None, :3, 3]
        seen.append(clouds.reshape(-1, 3))
    points = np.concatenate(seen)
    heading = (along.mean(axis=0) + palms[len(palms) // 2] - palms[0])[:2]
    across = np.array([-heading[1], heading[0]])
    length = np.linalg.norm(across)
    across = across / length if length > 1e-6 else np.array([0.0, -1.0])
    thumb_side = -motion.T_world_palm[:, :2, 1].mean(axis=0)
    if across @ thumb_side < 0:
        across = -across
    direction = np.array([*(np.cos(_ELEVATION) * across), np.sin(_ELEVATION)])

    forward, right, up = -direction, *_right_up(direction)
    x, y, z = (points @ right, points @ up, points @ forward)
    centre = [(v.min() + v.max()) / 2 for v in (x, y, z)]
    target = centre[0] * right + centre[1] * up + centre[2] * forward
    # A point fits where |x| <= margin * aspect * tan * depth, with depth = distance + z.
    reach = _MARGIN * np.tan(FIELD_OF_VIEW / 2)
    wide = np.abs(x - centre[0]) / (reach * _ASPECT) - (z - centre[2])
    high = np.abs(y - centre[1]) / reach - (z - centre[2])
    return target + direction * max(wide.max(), high.max()), target


def point_size(points: Float[np.ndarray, "n 3"]) -> float:
    """Diameter of a dot with which a cloud looks like a surface, m: twice the usual distance between neighbours."""
    if len(points) < 2:
        return 4e-3
    distance, _ = KDTree(points).query(points, k=2)
    return float(np.clip(2 * np.median(distance[:, 1]), 2e-3, 8e-3))


def _right_up(direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The picture's axes for a camera that looks against `direction` with z up."""
    right = np.cross([0.0, 0.0, 1.0], direction)
    right /= np.linalg.norm(right)
    return right, np.cross(direction, right)
