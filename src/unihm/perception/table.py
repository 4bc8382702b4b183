"""The table: a plane in the depth image, which defines the z-up world where the camera does not know it."""

from __future__ import annotations

import logging

import numpy as np
from jaxtyping import Float

from unihm.geometry.point_cloud import Plane, fit_plane

_log = logging.getLogger(__name__)

_THRESHOLD = 0.01  # m; consumer depth cameras scatter 2 to 5 mm about a table at one metre
_PLANES = 5  # looked at one after the other: table, floor, walls, seats
_MIN_POINTS = 300
_SAMPLE = 20000  # points that take part in the search
_UPRIGHT = 0.1  # cosine; a table is seen from above, so its normal points up in the image
_ALIKE = 0.8  # share of the largest weight from which another plane is as likely
_THING, _MIN_THINGS = (0.02, 0.3), 100  # m above a plane, and points of the sample: half a percent of the image
_MAX_OFFSET, _MAX_TILT = 0.02, np.radians(5.0)  # how far a stated camera pose may miss the table


def find_table(
    points_camera: Float[np.ndarray, "n 3"],
    T_world_camera: Float[np.ndarray, "4 4"] | None = None,
    seed: int = 0,
    on_it: Float[np.ndarray, " 3"] | None = None,
) -> Plane:
    """The table top in the camera's frame, its normal pointing up.

    Planes are taken out of the cloud one after the other. Among those seen from above, the table is the one with
    the largest sum of 1/depth^2 over its points: the floor behind a small table shows more points, but far ones.

    Of planes that come out nearly alike (within 20 %), those count on which things stand. Where these still are
    several, a table and a shelf, a known pose decides, else a point that is known to be on the table or on a thing on
    it, else still the sum; which one was taken is logged as a warning.

    Args:
        points_camera: Points with a depth, m, in any order.
        T_world_camera: A known camera pose, which says where up is and must agree with what is found.
        seed: Of the search.
        on_it: A point at or above the table that is meant, m.

    Raises:
        ValueError: No such plane exists, or the known pose does not put it at z = 0.
    """
    rng = np.random.default_rng(seed)
    sample = points_camera[rng.permutation(len(points_camera))[:_SAMPLE]]
    up = np.array([0.0, -1.0, 0.0]) if T_world_camera is None else T_world_camera[2, :3]
    found, rest = [], sample
    for _ in range(_PLANES):
        if len(rest) < _MIN_POINTS:
            break
        plane, inliers = fit_plane(rest, _THRESHOLD, seed)
        weight = float((1 / rest[inliers, 2] ** 2).sum())
        # The normal points to the camera, so a ceiling or a shelf from below fails this too.
        if inliers.sum() >= _MIN_POINTS and plane.normal @ up > _UPRIGHT:
            found.append((weight, plane, rest[inliers]))
        rest = rest[np.abs(plane.distance(rest)) > 2 * _THRESHOLD]
    if not found:
        raise ValueError(
            "No table found: no plane in the depth image is seen from above. "
            "Look down at a table whose top is in view, at 15 degrees or more."
        )
    found.sort(key=lambda one: -one[0])
    if T_world_camera is not None:  # the top of a chest may be larger than what is seen of the table
        found = [one for one in found if _fits(one, T_world_camera)][:1] or found
    alike = [one for one in found if one[0] >= _ALIKE * found[0][0]]
    if len(alike) > 1:
        alike = [one for one in alike if _carries(one[1], one[2], sample)] or alike[:1]
    best = _meant(alike, T_world_camera, on_it)
    table = _sharpen(best[1], sample)
    if len(alike) > 1:
        _tell(table, [points for _, plane, points in alike if plane is not best[1]])
    return table if T_world_camera is None else _checked(table, sample, T_world_camera)


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


_Candidate = tuple[float, Plane, np.ndarray]  # weight, plane and its points


def _carries(plane: Plane, on_plane: np.ndarray, points: np.ndarray) -> bool:
    """Whether things stand on a plane: enough points a little above where it is seen."""
    height = plane.distance(points)
    above = points[(height > _THING[0]) & (height < _THING[1])]
    middle = np.median(on_plane, axis=0)
    reach = np.percentile(np.linalg.norm(on_plane - middle, axis=1), 90)
    return int((np.linalg.norm(above - middle, axis=1) < reach).sum()) >= _MIN_THINGS


def _fits(one: _Candidate, T_world_camera: np.ndarray) -> bool:
    """Whether a plane is where a pose has the table."""
    _, plane, points = one
    height = float(np.median(points @ T_world_camera[2, :3]) + T_world_camera[2, 3])
    return bool(T_world_camera[2, :3] @ plane.normal > np.cos(_MAX_TILT) and abs(height) <= _MAX_OFFSET)


def _meant(alike: list[_Candidate], T_world_camera: np.ndarray | None, on_it: np.ndarray | None) -> _Candidate:
    """Of planes that are alike: where the pose has the table, the one under a point, or the first."""
    if len(alike) == 1:
        return alike[0]
    if T_world_camera is not None:
        T = T_world_camera
        return min(alike, key=lambda one: abs(float(np.median(one[2] @ T[2, :3]) + T[2, 3])))
    if on_it is None:
        return alike[0]
    heights = [float(plane.distance(on_it[None])[0]) for _, plane, _ in alike]
    under = [i for i, height in enumerate(heights) if height > -2 * _THRESHOLD]
    return alike[min(under or range(len(alike)), key=lambda i: abs(heights[i]))]


def _tell(table: Plane, others: list[np.ndarray]) -> None:
    rises = [float(np.median(table.distance(points))) for points in others]
    where = " and ".join(f"{100 * abs(rise):.0f} cm {'above' if rise > 0 else 'below'} it" for rise in rises)
    _log.warning(
        "More than one plane could be the table: the one taken is %.2f m below the camera, another lies %s. "
        "A pixel on what is meant (--point U,V) takes the one that it stands on.",
        -table.offset,
        where,
    )


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


def _checked(table: Plane, points: np.ndarray, T_world_camera: np.ndarray) -> Plane:
    """The table, where it is as the pose says; and as the pose says, where the points agree with that as well."""
    up = T_world_camera[2, :3]
    stated = Plane(up, -float(T_world_camera[2, 3]))
    near, near_stated = (np.abs(plane.distance(points)) < _THRESHOLD for plane in (table, stated))
    tilt = np.arccos(np.clip(up @ table.normal, -1, 1))
    height = float(np.median(stated.distance(points[near])))
    if tilt <= _MAX_TILT and abs(height) <= _MAX_OFFSET:
        return table
    # What little is seen of a table between things says little about its slope.
    if near_stated.sum() >= max(_MIN_POINTS, _ALIKE * near.sum()):
        return stated
    raise ValueError(
        f"T_world_camera in camera.json puts the table {100 * height:.1f} cm above z = 0 and tilts it by "
        f"{np.degrees(tilt):.1f} deg; expected the table at z = 0. Correct the pose or leave it out."
    )
