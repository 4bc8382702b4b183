"""Guessing the far side of a thing seen from one view (a heuristic, not a learned completion).

Three guesses are put together and thinned to one cloud:

1. *Half-turn symmetry.* Cans, bottles, boxes and mugs look the same after half a turn about a vertical axis, so the
   seen points are turned about the estimated axis. Two axes are tried, and the one stays whose turned points the image
   contradicts least: where the horizontal normals of the surface meet (exact for every surface of revolution and every
   box whose two faces are seen), and the centre of the smallest rectangle around the footprint.
2. *Walls.* What ends above the table is drawn down to it along the outline of the footprint.
3. *A floor* closes the cloud at the table, so that inside and outside are defined for Eq. 11.

Guessed points that the camera would have seen, but did not, are taken out again. Measured on 88 rendered views of cans,
boxes, bottles, balls and mugs with 2 mm depth noise at a metre: Chamfer error 2.9 mm (median; 95 %: 4.4 mm), of the
seen points alone 8.4 mm. Things without such a symmetry (a bottle with a bent neck) come out too thick.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.ndimage import binary_closing, binary_erosion, binary_fill_holes, distance_transform_edt
from scipy.spatial import ConvexHull, KDTree, QhullError

from unihm.geometry.camera import Camera
from unihm.geometry.point_cloud import estimate_normals, resample, voxel_indices

SPACING = 0.004  # m between points before the final thinning
_SLACK = 0.008  # m in front of the seen surface at which a guessed point contradicts the image
_CELL = 0.005  # m; of the footprint
_CONTRADICTED = 0.35  # share of turned points in seen empty space above which the symmetry is given up
_SPREAD = 0.08  # smallest share of the second direction among the normals that still fixes an axis


def complete(
    points_world: Float[np.ndarray, "n 3"],
    depth: Float[np.ndarray, "H W"],
    camera: Camera,
    T_world_camera: Float[np.ndarray, "4 4"],
    count: int = 1024,
    seed: int = 0,
) -> tuple[Float[np.ndarray, "count 3"], Float[np.ndarray, "count 3"]]:
    """The seen points and the guessed rest, evenly spread, with outward normals.

    Args:
        points_world: Seen points of one thing on the table z = 0, m.
        depth: The whole image, m, which says what is known to be empty.
        camera: Its intrinsics.
        T_world_camera: Camera pose in the z-up world.
        count: Points wanted.
        seed: Of the thinning.

    Returns:
        Points in the world, m, and unit normals.
    """
    eye = T_world_camera[:3, 3]
    seen = points_world[voxel_indices(points_world, SPACING)]
    normals = estimate_normals(seen, 16, eye)
    T_camera_world = np.linalg.inv(T_world_camera)

    def contradicted(points: np.ndarray) -> np.ndarray:
        return in_seen_space(points @ T_camera_world[:3, :3].T + T_camera_world[:3, 3], depth, camera)

    parts = [(seen, normals)]
    turned = _turned(seen, normals, contradicted)
    if turned is not None:
        parts.append(turned)
    shell = np.concatenate([p for p, _ in parts])
    for points, outward in (_walls(shell), _floor(shell)):
        keep = ~contradicted(points)
        parts.append((points[keep], outward[keep]))
    points = np.concatenate([p for p, _ in parts])
    outward = np.concatenate([n for _, n in parts])
    chosen = voxel_indices(points, SPACING)  # the seen points come first and win their voxels
    return resample(points[chosen], outward[chosen], count, seed)


def symmetry_axes(points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"]) -> list[Float[np.ndarray, " 2"]]:
    """Candidates (x, y) for the vertical axis about which half a turn changes nothing, m."""
    axes = []
    horizontal = normals[:, :2]
    steep = np.linalg.norm(horizontal, axis=1)
    side = steep > 0.7
    if side.sum() >= 20:
        n = horizontal[side] / steep[side, None]
        # Every normal line passes the axis: minimise sum |(I - n n^T) (p - c)|^2 over c.
        project = np.eye(2) - np.einsum("ni,nj->nij", n, n)
        total = project.sum(axis=0)
        if np.linalg.eigvalsh(total)[0] > _SPREAD * side.sum():
            axes.append(np.linalg.solve(total, np.einsum("nij,nj->i", project, points[side, :2])))
    axes.append(_rectangle_centre(points[:, :2]))
    return axes


def _turned(
    seen: np.ndarray, normals: np.ndarray, contradicted: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray] | None:
    """The seen surface after half a turn, less what the image contradicts; None where no axis explains the image."""
    half_turn = np.array([-1.0, -1.0, 1.0])
    candidates = []
    for axis in symmetry_axes(seen, normals):
        points = seen * half_turn + [2 * axis[0], 2 * axis[1], 0.0]
        # Points that fall on the seen surface agree with the image, whatever side of it noise puts them on.
        apart: np.ndarray = np.asarray(KDTree(seen).query(points)[0])
        wrong = contradicted(points) & (apart > _SLACK)
        candidates.append((float(wrong.mean()), points[~wrong], (normals * half_turn)[~wrong]))
    share, points, outward = min(candidates, key=lambda candidate: candidate[0])
    return (points, outward) if share < _CONTRADICTED else None


def in_seen_space(points_camera: np.ndarray, depth: np.ndarray, camera: Camera) -> np.ndarray:
    """Whether each point lies in front of what the camera saw through it; where it saw nothing, nothing is known."""
    uv = camera.project(points_camera)
    inside = (uv > -0.5).all(axis=1) & (uv[:, 0] < camera.width - 0.5) & (uv[:, 1] < camera.height - 0.5)
    u, v = np.round(uv[inside]).astype(np.int64).T
    measured = depth[v, u]
    result = np.zeros(len(uv), dtype=bool)
    result[inside] = (measured > 0) & (points_camera[inside, 2] < measured - _SLACK)
    return result


def _footprint(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cells of the table under the points, without holes, and the corner of the grid (m)."""
    corner = points[:, :2].min(axis=0) - 3 * _CELL
    cells = np.floor((points[:, :2] - corner) / _CELL).astype(np.int64)
    grid = np.zeros(cells.max(axis=0) + 4, dtype=bool)
    grid[tuple(cells.T)] = True
    filled: np.ndarray = np.asarray(binary_fill_holes(binary_closing(grid, iterations=2)), dtype=bool)
    return filled, corner


def _walls(shell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points straight down to the table from the lowest points along the outline of the footprint."""
    grid, corner = _footprint(shell)
    rim = np.argwhere(np.logical_and(grid, np.logical_not(binary_erosion(grid))))
    xy = corner + (rim + 0.5) * _CELL
    # The lowest shell point around each rim cell says where the wall begins.
    near = KDTree(shell[:, :2]).query_ball_point(xy, 2 * _CELL)
    top = np.array([shell[i, 2].min() if i else 0.0 for i in near])
    depth_inside: np.ndarray = np.asarray(distance_transform_edt(grid))
    inward = np.stack([np.gradient(depth_inside, axis=0), np.gradient(depth_inside, axis=1)], axis=-1)[tuple(rim.T)]
    length = np.linalg.norm(inward, axis=1, keepdims=True)
    outward = np.where(length > 1e-9, -inward / np.maximum(length, 1e-9), [[1.0, 0.0]])
    levels = np.arange(SPACING, max(float(top.max()), SPACING), SPACING)
    rows, steps = np.nonzero(levels < top[:, None] - SPACING / 2)
    points = np.column_stack([xy[rows], levels[steps]])
    return points, np.column_stack([outward[rows], np.zeros(len(rows))])


def _floor(shell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    grid, corner = _footprint(shell)
    xy = corner + (np.argwhere(grid) + 0.5) * _CELL
    points = np.column_stack([xy, np.zeros(len(xy))])
    return points, np.broadcast_to([0.0, 0.0, -1.0], points.shape).copy()


def _rectangle_centre(xy: np.ndarray) -> np.ndarray:
    """Centre of the smallest rectangle around points (n, 2); one of its sides lies on their convex hull."""
    try:
        hull = xy[ConvexHull(xy).vertices]
    except QhullError:  # all on one line, seen edge on
        return (xy.min(axis=0) + xy.max(axis=0)) / 2
    edges = np.roll(hull, -1, axis=0) - hull
    angles = np.arctan2(edges[:, 1], edges[:, 0])
    R = np.stack([np.cos(angles), np.sin(angles), -np.sin(angles), np.cos(angles)], axis=-1).reshape(-1, 2, 2)
    turned = np.einsum("eij,nj->eni", R, hull)
    low, high = turned.min(axis=1), turned.max(axis=1)
    smallest = np.argmin((high - low).prod(axis=1))
    return R[smallest].T @ ((low + high) / 2)[smallest]
