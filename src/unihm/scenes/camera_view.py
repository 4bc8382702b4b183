"""Draws where a camera stands that looks at a table, and which camera it is."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from unihm.geometry.camera import Camera

DISTANCE = (0.45, 1.2)
"""From the target, m."""
ELEVATION = (float(np.radians(20)), float(np.radians(75)))
"""Of the camera above the target, rad."""
ROLL = float(np.radians(5))
"""Largest turn about the optical axis, rad; a tripod stands straighter, a head does not."""
AIM = 0.04
"""Largest miss of the target along each axis, m."""
FOCAL = (525.0, 640.0)
"""Pixels at a width of 640: Kinect and Xtion 525 to 580, the colour cameras of RealSense D415 and D435 610 to 620."""
_CENTRE = 8.0  # pixels; how far principal points lie from the middle of the image
_ASPECT = 0.004  # by how much fy departs from fx
_VERTICAL = 1e-6  # sine of the angle to the vertical below which a view has no horizon


def look_at(
    eye: Float[np.ndarray, "*batch 3"], target: Float[np.ndarray, "*batch 3"], roll: float = 0.0
) -> Float[np.ndarray, "*batch 4 4"]:
    """T_world_camera of a camera at `eye` whose optical axis, +z, goes through `target` (world, m).

    Its x axis is level, so the horizon is; straight down or up, the world's +y is up in the image.

    Args:
        eye: Where it is.
        target: What it looks at.
        roll: Turn about the optical axis, rad; positive turns the camera clockwise, as seen from behind it.

    Raises:
        ValueError: Eye and target are the same point.
    """
    forward = np.asarray(target, dtype=np.float64) - eye
    distance = np.linalg.norm(forward, axis=-1, keepdims=True)
    if not (distance > 0).all():
        raise ValueError(f"The camera cannot look at the point where it is: {np.asarray(eye).tolist()}.")
    forward = forward / distance
    vertical = np.hypot(forward[..., 0], forward[..., 1])[..., None] < _VERTICAL
    right = np.cross(forward, np.where(vertical, [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]))
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    T = np.zeros((*forward.shape[:-1], 4, 4))
    T[..., :3, :3] = np.stack([c * right + s * down, c * down - s * right, forward], axis=-1)
    T[..., :3, 3] = eye
    T[..., 3, 3] = 1
    return T


def drawn_view(
    rng: np.random.Generator,
    target: Float[np.ndarray, " 3"],
    *,
    distance: tuple[float, float] = DISTANCE,
    elevation: tuple[float, float] = ELEVATION,
    roll: float = ROLL,
    aim: float = AIM,
    width: int = 640,
    height: int = 480,
) -> Camera:
    """A common RGB-D camera, with its pose, that sees the target near the middle of its image.

    Every value is uniform in its range; the azimuth is any.

    Args:
        rng: Draws it.
        target: World, m; on the table or above it, so that the camera is above it, too.
        distance: Least and largest, from target to camera, m.
        elevation: Least and largest, of the camera seen from the target, rad.
        roll: Largest, either way, rad.
        aim: How far from the target it may look, along each axis, m.
        width: Of the image, pixels.
        height: Of the image, pixels.
    """
    rise, azimuth = rng.uniform(*elevation), rng.uniform(-np.pi, np.pi)
    towards = np.array([np.cos(rise) * np.cos(azimuth), np.cos(rise) * np.sin(azimuth), np.sin(rise)])
    eye = target + rng.uniform(*distance) * towards
    T = look_at(eye, target + rng.uniform(-aim, aim, 3), rng.uniform(-roll, roll))
    scale = width / 640
    fx = scale * rng.uniform(*FOCAL)
    off = scale * rng.uniform(-_CENTRE, _CENTRE, 2)
    return Camera(
        fx=fx,
        fy=fx * (1 + rng.uniform(-_ASPECT, _ASPECT)),
        cx=(width - 1) / 2 + off[0],
        cy=(height - 1) / 2 + off[1],
        width=width,
        height=height,
        depth_scale=1000.0,  # millimetres, as these cameras store them
        T_world_camera=T,
    )
