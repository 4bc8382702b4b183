"""The table: a plane in the depth image, which defines the z-up world where the camera does not know it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from unihm.geometry.point_cloud import Plane, fit_plane

_THRESHOLD = 0.01  # m; consumer depth cameras scatter 2 to 5 mm about a table at one metre
_PLANES = 5  # looked at one after the other: table, floor, walls, seats
_MIN_POINTS = 300
_SAMPLE = 20000  # points that take part in the search
_UPRIGHT = 0.1  # cosine; a table is seen from above, so its normal points up in the image
_MAX_OFFSET, _MAX_TILT = 0.02, np.radians(5.0)  # how far a stated camera pose may miss the table


def find_table(
    points_camera: Float[np.ndarray, "n 3"],
    T_world_camera: Float[np.ndarray, "4 4"] | None = None,
    seed: int = 0,
) -> Plane:
    """The table top in the camera's frame, its normal pointing up.

    Planes are taken out of the cloud one after the other. Among those seen from above, the table is the one with
    the largest sum of 1/depth^2 over its points: the floor behind a small table shows more points, but far ones.

    Args:
        points_camera: Points with a depth, m, in any order.
        T_world_camera: A known camera pose, which says where up is and must agree with what is found.
        seed: Of the search.

    Raises:
        ValueError: No such plane exists, or the known pose does not put it at z = 0.
    """
    rng = np.random.default_rng(seed)
    sample = points_camera[rng.permutation(len(points_camera))[:_SAMPLE]]
    up = np.array([0.0, -1.0, 0.0]) if T_world_camera is None else T_world_camera[2, :3]
    best, best_weight, rest = None, 0.0, sample
    for _ in range(_PLANES):
        if len(rest) < _MIN_POINTS:
            break
        plane, inliers = fit_plane(rest, _THRESHOLD, seed)
        weight = float((1 / rest[inliers, 2] ** 2).sum())
        # The normal points to the camera, so a ceiling or a shelf from below fails this too.
        if inliers.sum() >= _MIN_POINTS and plane.normal @ up > _UPRIGHT and weight > best_weight:
            best, best_weight = plane, weight
        rest = rest[np.abs(plane.distance(rest)) > 2 * _THRESHOLD]
    if best is None:
        raise ValueError("No table found: no plane in the depth image is seen from above.")
    table = _sharpen(best, sample)
    if T_world_camera is not None:
        _check_pose(table, sample, T_world_camera)
    return table


def world_from_table(table: Plane, points_camera: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "4 4"]:
    """T_world_camera of the world that a table defines.

    z is up and 0 on the table; y points away from the camera and x to the right as the camera sees it; the origin
    lies under the median of `points_camera`, the points above the table.
    """
    z = table.normal
    # Of a camera that looks ahead the axis, of one that looks straight down the image's upward direction leads away.
    away = np.array([0.0, -1.0, 1.0])
    y = away - (away @ z) * z
    y /= np.linalg.norm(y)
    R = np.stack([np.cross(y, z), y, z])
    middle = np.median(points_camera @ R.T, axis=0)
    T = np.eye(4)
    T[:3, :3] = R
    T[:3, 3] = [-middle[0], -middle[1], -table.offset]
    return T


def _sharpen(plane: Plane, points: np.ndarray) -> Plane:
    """Fit again with ever closer inliers, which rids the plane of the feet of things on it."""
    normal, offset = plane.normal, plane.offset
    for threshold in (0.006, 0.004, 0.004):
        near = points[np.abs(points @ normal - offset) < threshold]
        if len(near) < _MIN_POINTS // 2:
            break
        centre = near.mean(axis=0)
        direction = np.linalg.eigh((near - centre).T @ (near - centre))[1][:, 0]
        normal = direction if direction @ normal > 0 else -direction
        offset = float(normal @ centre)
    return Plane(normal, offset)


def _check_pose(table: Plane, points: np.ndarray, T_world_camera: np.ndarray) -> None:
    tilt = np.arccos(np.clip(T_world_camera[2, :3] @ table.normal, -1, 1))
    on_table = points[np.abs(table.distance(points)) < _THRESHOLD]
    height = float(np.median(on_table @ T_world_camera[2, :3] + T_world_camera[2, 3]))
    if tilt > _MAX_TILT or abs(height) > _MAX_OFFSET:
        raise ValueError(
            f"T_world_camera in camera.json puts the table {100 * height:.1f} cm above z = 0 and tilts it by "
            f"{np.degrees(tilt):.1f} deg; expected the table at z = 0. Correct the pose or leave it out."
        )
