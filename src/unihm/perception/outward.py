"""Normals of a completed cloud that look outward, also in vessels and on thin things.

The direction is that of the plane through the nearest points; three sources together decide its sign:

1. *The camera.* What it has seen looks to it, the surer the more head on.
2. *Views from all around.* From each of many directions the visible points are found by the hull of the cloud mirrored
   in a sphere (Katz, Tal and Basri, "Direct visibility of point sets", 2007). A point looks to those who see it; so
   does the inside of a bowl, which a test against the middle of the cloud gets wrong.
3. *Neighbours.* A sign that is unclear follows those of near points with parallel normals.

Walls thinner than the distance between points stay a guess: both sides lie in one plane through neighbours.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import ConvexHull, KDTree, QhullError

from unihm.geometry.point_cloud import estimate_normals

_PLANE = 20  # points through which a plane is laid
_VIEWS = 20  # directions from which the cloud is looked at
_FLIP = 30.0  # radius of the sphere over the largest distance; larger ones see deeper into hollows
_CAMERA = 6.0  # weight of what the camera has seen head on; at grazing angles noise decides to which side a plane looks
_AWAY = 4.0  # distance of the views over the radius of the cloud
_ROUNDS, _NEAR = 4, 9  # of asking neighbours, and how many


def outward_normals(
    points: Float[np.ndarray, "n 3"], seen: Bool[np.ndarray, " n"], eye: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, "n 3"]:
    """Unit normals of the surface of a thing, all of whose sides have points.

    Args:
        points: m; at least three.
        seen: Which of them a camera saw.
        eye: Where it was, m.
    """
    normals = estimate_normals(points, _PLANE, eye)
    to_eye = eye - points
    facing = np.einsum("ni,ni->n", normals, to_eye) / np.maximum(np.linalg.norm(to_eye, axis=1), 1e-9)
    votes = np.clip(_seen_from_around(points, normals) + _CAMERA * seen * facing, -1, 1)
    near = np.asarray(KDTree(points).query(points, k=min(_NEAR, len(points)))[1])
    alike = np.einsum("nki,ni->nk", normals[near], normals)
    alike = np.sign(alike) * np.maximum(np.abs(alike) - 0.5, 0) * 2
    sign = votes
    for _ in range(_ROUNDS):
        sign = np.clip(votes + (alike * sign[near]).mean(axis=1), -1, 1)
    return np.where(sign[:, None] < 0, -normals, normals)


def _seen_from_around(points: np.ndarray, normals: np.ndarray) -> Float[np.ndarray, " n"]:
    """Mean over the views that see a point of the cosine between normal and view, scaled; 0 for what nobody sees."""
    low, high = points.min(axis=0), points.max(axis=0)
    centre, radius = (low + high) / 2, float(np.linalg.norm(high - low)) / 2
    total, count = np.zeros(len(points)), np.zeros(len(points))
    for direction in _sphere(_VIEWS):
        ray = points - (centre + _AWAY * radius * direction)
        distance = np.linalg.norm(ray, axis=1, keepdims=True)
        mirrored = ray + 2 * (_FLIP * distance.max() - distance) * ray / distance
        try:
            visible = ConvexHull(np.concatenate([mirrored, np.zeros((1, 3))])).vertices
        except QhullError:  # all in one plane with the view
            continue
        visible = visible[visible < len(points)]
        total[visible] -= np.einsum("ni,ni->n", ray[visible] / distance[visible], normals[visible])
        count[visible] += 1
    return 3 * total / np.maximum(count, 1)


def _sphere(count: int) -> Float[np.ndarray, "count 3"]:
    """Directions spread evenly: a spiral of golden angles."""
    z = 1 - (2 * np.arange(count) + 1) / count
    angle = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    r = np.sqrt(1 - z**2)
    return np.column_stack([r * np.cos(angle), r * np.sin(angle), z])
