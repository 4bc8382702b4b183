"""Where a point lies relative to an oriented cloud, compiled: cells that list their points, and a lattice.

`cloud_distance` is the same answer as `geometry.signed_distance.CloudDistance` (a test holds them equal within the
reach), a hundred times as fast for one point: it looks at some thirty points of a cloud of two thousand. Most points of
a hand are farther away than matters; `signed_distance` sees that from the distance at the nearest node of a lattice,
each of which is computed when it is first needed. Interpolating between nodes would be faster still, but grasps found
that way held less well: docs/lab_notes.md.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.ndimage import distance_transform_cdt
from scipy.spatial import KDTree

from unihm.compiled import compiled, inlined
from unihm.kinematics.compiled_chain import U
from unihm.refinement.config import FAR, PLANES

_CELLS = 64  # most cells along an axis
_POINTS_A_CELL = 3.0  # of the surface, about
_STEP = 3.5e-3  # m between nodes of the lattice
_MOST = 160  # nodes along an axis


class SurfaceGrid(NamedTuple):
    """An oriented cloud, sorted by cell."""

    points: np.ndarray  # (n, 3) m
    normals: np.ndarray  # (n, 3)
    start: np.ndarray  # (cells + 1,) of each cell's points
    low: np.ndarray  # (3,) corner, m
    size: float  # edge of a cell, m
    count: np.ndarray  # (3,) cells along each axis
    empty: np.ndarray  # (cells,) rings of cells around each, itself the first, that hold no point
    inside: np.ndarray  # (cells,) whether a cell without points nearby lies in the object
    reach: float  # m: points farther from the cloud than this are only known to be
    field: np.ndarray  # (a, b, c) `cloud_distance` at nodes, m; NaN where nobody has asked yet
    step: float  # m between nodes


def make_grid(points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"], reach: float) -> SurfaceGrid:
    """Sort a cloud into cells.

    Args:
        points: Surface points, m.
        normals: Outward unit normals.
        reach: How far from the cloud distances are wanted, m.

    Raises:
        ValueError: The cloud is empty or holds numbers that are not finite.
    """
    if len(points) == 0 or points.shape != normals.shape:
        raise ValueError(f"Expected n >= 1 points and n normals, got {len(points)} and {len(normals)}.")
    if not (np.isfinite(points).all() and np.isfinite(normals).all()):
        raise ValueError("The object cloud holds NaN or infinite values.")
    extent = np.ptp(points, axis=0)
    area = 2 * (extent[0] * extent[1] + extent[1] * extent[2] + extent[0] * extent[2])
    size = max(math.sqrt(_POINTS_A_CELL * area / len(points)), float(extent.max()) / _CELLS, 1e-4)
    margin = math.ceil(reach / size)  # cells around the cloud, so that no point within reach lies outside
    low = points.min(axis=0) - margin * size
    count = (extent // size).astype(np.int64) + 1 + 2 * margin
    cell = np.minimum(((points - low) // size).astype(np.int64), count - 1)
    flat = (cell[:, 0] * count[1] + cell[:, 1]) * count[2] + cell[:, 2]
    order = np.argsort(flat, kind="stable")
    start = np.searchsorted(flat[order], np.arange(int(count.prod()) + 1))
    step = max(_STEP, float((count * size).max()) / _MOST)
    empty = np.asarray(distance_transform_cdt((np.diff(start) == 0).reshape(count), metric="chessboard"))
    return SurfaceGrid(
        points=np.ascontiguousarray(points[order], dtype=np.float64),
        normals=np.ascontiguousarray(normals[order], dtype=np.float64),
        start=start.astype(np.int64),
        low=low.astype(np.float64),
        size=size,
        count=count,
        empty=empty.astype(np.int64).ravel(),
        inside=_inside(points, normals, low, size, empty),
        reach=reach,
        field=np.full(np.ceil(count * size / step).astype(np.int64) + 1, np.nan, dtype=np.float32),
        step=step,
    )


def _inside(points: np.ndarray, normals: np.ndarray, low: np.ndarray, size: float, empty: np.ndarray) -> np.ndarray:
    """See `SurfaceGrid.inside`: the side of the nearest point's tangent plane, for cells within the cloud's box."""
    inside = np.zeros(empty.shape, dtype=bool)
    cells = np.argwhere(empty > 1)
    centres = low + (cells + 0.5) * size
    near = np.all((centres > points.min(axis=0)) & (centres < points.max(axis=0)), axis=1)
    if near.any():
        nearest = KDTree(points).query(centres[near])[1]
        below = np.einsum("ij,ij->i", centres[near] - points[nearest], normals[nearest]) < 0
        inside[tuple(cells[near][below].T)] = True
    return inside.ravel()


@compiled
def cloud_distance(grid, x0, x1, x2, limit, near, out):
    """Signed distance of a point, m; the direction away from the surface into ``out[:3]``, the place into ``out[3:]``.

    The largest of the distances to the tangent planes through the nearest points: beside an edge a point may lie below
    the plane of the nearest face and yet outside the object. Farther outside than the cloud's spacing, distance and
    direction are those to the nearest point itself, which differs from Eq. 11: there, a point beside the object that
    lies on the tangent plane of the nearest point would count as touching.

    Args:
        limit: How far is looked, m; at most the grid's reach.
        near: (PLANES, 2) scratch memory.

    Returns:
        The distance; the limit, with direction zero, where no point of the cloud is that near.
    """
    points, normals, start, low, count, size = grid.points, grid.normals, grid.start, grid.low, grid.count, grid.size
    out[0] = out[1] = out[2] = 0.0
    c0, c1, c2 = (
        math.floor((x0 - low[0]) / size), math.floor((x1 - low[1]) / size), math.floor((x2 - low[2]) / size)
    )  # fmt: skip
    if not (0 <= c0 < count[0] and 0 <= c1 < count[1] and 0 <= c2 < count[2]):
        return limit
    first = grid.empty[(c0 * count[1] + c1) * count[2] + c2]
    if (first - 1) * size >= limit:
        if not grid.inside[(c0 * count[1] + c1) * count[2] + c2]:
            return limit
        limit = grid.reach  # what is so deep inside must get out
    limit2 = limit * limit
    for k in range(PLANES):
        near[k, 0], near[k, 1] = math.inf, -1.0
    for ring in range(first, first + int(limit / size) + 2):
        least = max(ring - 1, 0) * size  # every point of this ring is at least so far away
        if least * least > near[PLANES - 1, 0] or (near[0, 1] < 0.0 and least * least >= limit2):
            break
        lo0, hi0 = max(c0 - ring, 0), min(c0 + ring, count[0] - 1)
        lo1, hi1 = max(c1 - ring, 0), min(c1 + ring, count[1] - 1)
        lo2, hi2 = max(c2 - ring, 0), min(c2 + ring, count[2] - 1)
        for i in range(lo0, hi0 + 1):
            for j in range(lo1, hi1 + 1):
                inner = abs(i - c0) < ring and abs(j - c1) < ring
                row = (i * count[1] + j) * count[2]
                if inner:
                    for side in range(2):
                        k = c2 - ring if side == 0 else c2 + ring
                        if 0 <= k < count[2]:
                            _look(points, start[row + k], start[row + k + 1], x0, x1, x2, near)
                elif lo2 <= hi2:
                    _look(points, start[row + lo2], start[row + hi2 + 1], x0, x1, x2, near)
    if near[0, 1] < 0.0 or near[0, 0] >= limit2:
        return limit
    nearest = int(near[0, 1])
    length = math.sqrt(near[0, 0])
    best, found = -math.inf, nearest
    for k in range(PLANES):
        if near[k, 1] >= 0.0:
            p = int(near[k, 1])
            d = (x0 - points[p, 0]) * normals[p, 0] + (x1 - points[p, 1]) * normals[p, 1]
            d += (x2 - points[p, 2]) * normals[p, 2]
            if d > best:
                best, found = d, p
    if length > FAR and best > 0.0:
        out[0] = (x0 - points[nearest, 0]) / length
        out[1] = (x1 - points[nearest, 1]) / length
        out[2] = (x2 - points[nearest, 2]) / length
        best, found = length, nearest
    else:
        out[0], out[1], out[2] = normals[found, 0], normals[found, 1], normals[found, 2]
    out[3], out[4], out[5] = points[found, 0], points[found, 1], points[found, 2]
    return best


@inlined
def signed_distance(grid, x0, x1, x2, limit, worth, near, out):
    """`cloud_distance`, unless the nearest node of the lattice shows that it is above what is worth knowing.

    Args:
        limit: See `cloud_distance`.
        worth: Larger distances, m, make no difference to the caller.
        near: (PLANES, 2) scratch memory.

    Returns:
        The distance; the limit, with direction zero, where it is larger than the limit or not worth knowing.
    """
    field, low, step = grid.field, grid.low, grid.step
    if is_far(grid, x0, x1, x2, min(limit, grid.reach)):  # everything outside the lattice is that far
        out[0] = out[1] = out[2] = 0.0
        return limit
    i, j, k = U((x0 - low[0]) / step + 0.5), U((x1 - low[1]) / step + 0.5), U((x2 - low[2]) / step + 0.5)
    if math.isnan(field[i, j, k]):
        field[i, j, k] = cloud_distance(
            grid, low[0] + i * step, low[1] + j * step, low[2] + k * step, grid.reach, near, out
        )
    if field[i, j, k] - 0.87 * step > max(worth, FAR):  # half the diagonal of a cube
        out[0] = out[1] = out[2] = 0.0
        return limit
    return cloud_distance(grid, x0, x1, x2, limit, near, out)


@compiled
def is_far(grid, x0, x1, x2, limit):
    """Whether a point surely lies outside the object, and no point of the cloud within the limit (m)."""
    low, count, size = grid.low, grid.count, grid.size
    c0, c1, c2 = (
        math.floor((x0 - low[0]) / size), math.floor((x1 - low[1]) / size), math.floor((x2 - low[2]) / size)
    )  # fmt: skip
    if not (0 <= c0 < count[0] and 0 <= c1 < count[1] and 0 <= c2 < count[2]):
        return limit <= grid.reach
    cell = (c0 * count[1] + c1) * count[2] + c2
    return (grid.empty[cell] - 1) * size >= limit and not grid.inside[cell]


@inlined
def _look(points, first, last, x0, x1, x2, near):
    """Sort the points of a run of cells into the nearest."""
    for p in range(U(first), U(last)):
        e0, e1, e2 = x0 - points[p, 0], x1 - points[p, 1], x2 - points[p, 2]
        d = e0 * e0 + e1 * e1 + e2 * e2
        if d < near[PLANES - 1, 0]:
            k = PLANES - 1
            while k > 0 and near[k - 1, 0] > d:
                near[k, 0], near[k, 1] = near[k - 1, 0], near[k - 1, 1]
                k -= 1
            near[k, 0], near[k, 1] = d, float(p)
