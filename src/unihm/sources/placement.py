"""Where in the camera's frame a hand is whose shape and pixels are known.

A detector gives the hand's shape P_k (21 points, m) in the axes of a camera that looks straight at the hand, and the
points' pixels. With the intrinsics, a pixel is a direction (a_k, 1); the rotation R that takes the optical axis to
the hand's direction brings the shape into the axes of the real camera, and what remains are a scale s and a
translation t with

    s R P_k + t  =  z_k (a_k, 1)

Without depth s = 1 and t follows by linear least squares from the 21 directions: the distance is then as good as the
assumed size of the hand, 10 % of a hand too large are 10 % of the distance. With measured depth at the palm, s is
found for the whole recording, and the distance is measured.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from unihm.geometry.camera import Camera
from unihm.kinematics.keypoints import INDEX_MCP, MIDDLE_MCP, PINKY_MCP, RING_MCP, WRIST

PALM = [WRIST, INDEX_MCP, MIDDLE_MCP, RING_MCP, PINKY_MCP]
"""Points at which depth is read: fingers hide each other, the palm's corners are seen most often."""

SKIN = 0.012
"""From the skin that a depth camera sees to the joint behind it, m: half of a hand's thickness at the knuckles, 25 mm
(anthropometric tables)."""

_SCALE = (0.5, 2.0)  # of an average grown hand; a child's is 0.6
_FEWEST = 3  # palm points with depth that place a hand


def place_by_size(
    shape: Float[np.ndarray, "T 21 3"], pixels: Float[np.ndarray, "T 21 2"], camera: Camera
) -> Float[np.ndarray, "T 21 3"]:
    """Keypoints in the camera's frame for hands of average size; NaN stays NaN.

    Args:
        shape: Hands about their own centres, m, in the axes of a camera that looks straight at them.
        pixels: Where the points are in the picture.
        camera: Its intrinsics.
    """
    directions = _directions(pixels, camera)
    turned = _turn(shape, directions)
    # s = 1: t_xy - a t_z = a P_z - P_xy =: c for all k; the mean over k eliminates t_xy.
    c = directions * turned[..., 2:] - turned[..., :2]
    a_mean, c_mean = directions.mean(axis=1, keepdims=True), c.mean(axis=1, keepdims=True)
    spread = directions - a_mean
    t_z = -(spread * (c - c_mean)).sum(axis=(1, 2)) / (spread**2).sum(axis=(1, 2))
    t_xy = c_mean[:, 0] + a_mean[:, 0] * t_z[:, None]
    return turned + np.concatenate([t_xy, t_z[:, None]], axis=1)[:, None]


def place_by_depth(
    shape: Float[np.ndarray, "T 21 3"],
    pixels: Float[np.ndarray, "T 21 2"],
    palm_depth: Float[np.ndarray, "T 5"],
    camera: Camera,
) -> tuple[Float[np.ndarray, "T 21 3"], float]:
    """Keypoints in the camera's frame at measured depth.

    Args:
        shape: Hands about their own centres, m, in the axes of a camera that looks straight at them.
        pixels: Where the points are in the picture.
        palm_depth: Depth of the skin at the points `PALM`, m; NaN where there is none.
        camera: Its intrinsics.

    Returns:
        Keypoints, NaN in frames with less than three palm points that have depth; and the size of the hand relative
        to the detector's average hand.

    Raises:
        ValueError: No frame has depth at the palm, or the depth says that this is no hand.
    """
    usable = np.isfinite(palm_depth).sum(axis=1) >= _FEWEST
    usable &= np.isfinite(shape).all(axis=(1, 2))
    if not usable.any():
        raise ValueError("No frame has depth at the palm of a hand; expected depth frames that belong to the video.")
    directions = _directions(pixels[usable], camera)
    turned, depth = _turn(shape[usable], directions), palm_depth[usable] + SKIN
    scale = 1.0
    for _ in range(3):  # the palm's distance depends a little on the scale; it settles at once
        z = _palm_distance(turned, depth, scale)
        # s (P_xy - a P_z) + t_xy = a z: the mean over k eliminates t_xy, one scale for all frames.
        A, b = turned[..., :2] - directions * turned[..., 2:], directions * z[:, None, None]
        A, b = A - A.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
        scale = float(np.median((A * b).sum(axis=(1, 2)) / (A**2).sum(axis=(1, 2))))
    if not _SCALE[0] <= scale <= _SCALE[1]:
        raise ValueError(
            f"By the depth the hand has {scale:.3g} times the size of an average hand, expected {_SCALE[0]} to "
            f"{_SCALE[1]}; do camera.json (depth_scale, focal length) and the depth belong to this video?"
        )
    points_z = scale * turned[..., 2] + _palm_distance(turned, depth, scale)[:, None]
    t_xy = (directions * points_z[..., None] - scale * turned[..., :2]).mean(axis=1, keepdims=True)
    placed = np.full(shape.shape, np.nan)
    placed[usable, :, :2] = scale * turned[..., :2] + t_xy
    placed[usable, :, 2] = points_z
    return placed, scale


def _directions(pixels: Float[np.ndarray, "T 21 2"], camera: Camera) -> Float[np.ndarray, "T 21 2"]:
    """The a of the viewing directions (a, 1)."""
    return (pixels - [camera.cx, camera.cy]) / [camera.fx, camera.fy]


def _turn(shape: Float[np.ndarray, "T 21 3"], directions: Float[np.ndarray, "T 21 2"]) -> Float[np.ndarray, "T 21 3"]:
    """The shapes in the axes of the real camera: turned with the optical axis towards the hand (Rodrigues)."""
    ray = np.concatenate([directions.mean(axis=1), np.ones((len(directions), 1))], axis=1)
    x, y, z = (ray / np.linalg.norm(ray, axis=1, keepdims=True)).T
    k = 1 / (1 + z)
    R = np.stack([1 - k * x * x, -k * x * y, x, -k * x * y, 1 - k * y * y, y, -x, -y, z], axis=-1).reshape(-1, 3, 3)
    return shape @ R.swapaxes(1, 2)


def _palm_distance(
    turned: Float[np.ndarray, "T 21 3"], depth: Float[np.ndarray, "T 5"], scale: float
) -> Float[np.ndarray, " T"]:
    """t_z by the depth of the palm; the median leaves out points that something else hides."""
    return np.nanmedian(depth - scale * turned[:, PALM, 2], axis=1)
