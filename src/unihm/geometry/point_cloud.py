"""Point clouds: normals, planes, clusters and samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_matrix, csgraph
from scipy.spatial import KDTree

_RANSAC_TRIALS = 400  # finds a plane that holds a fifth of the points with probability 0.96, a third: 1 - 3e-7
_RANSAC_POINTS = 4000  # trials are scored on at most this many points; the final fit uses all
_NEAREST, _WIDE = 9, 64  # neighbours, the point itself included, that tell the noise, and that smooth it
_ALIKE = 0.7  # cosine between normals of neighbours on one face
_OPPOSITE = -0.5  # cosine below which they are two sides of a wall
_BESIDE, _EDGE = 6, 0.02  # neighbours across an edge that are asked, and how far away they may be, m
_ROUNDS = 2  # of smoothing: the second one knows its neighbours better
_TO_SIGMA = 1.4826  # of a normal distribution, by its median absolute deviation


@dataclass(frozen=True)
class Plane:
    """The points x with ``normal . x == offset``."""

    normal: Float[np.ndarray, " 3"]
    """Unit normal."""
    offset: float
    """Signed distance of the plane from the origin along the normal, m."""

    def distance(self, points: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch"]:
        """Signed distance, m, positive on the side to which the normal points."""
        return points @ self.normal - self.offset


def estimate_normals(
    points: Float[np.ndarray, "n 3"], k: int = 16, viewpoint: Float[np.ndarray, " 3"] | None = None
) -> Float[np.ndarray, "n 3"]:
    """Unit normals by the plane through the k nearest points.

    Args:
        points: Surface points, m; at least three.
        k: Neighbours, the point itself included.
        viewpoint: Where the cloud was seen from; normals then point to it. Without one, the cloud is taken
            for a closed surface and normals point outward: the sign is set at a point that is extreme along
            its normal and handed from neighbour to neighbour along a minimum spanning tree (Hoppe 1992).
    """
    if len(points) < 3:
        raise ValueError(f"Normals need at least three points, got {len(points)}.")
    k = min(k, len(points))
    neighbours = np.asarray(KDTree(points).query(points, k=k)[1])
    near = points[neighbours] - points[neighbours].mean(axis=1, keepdims=True)
    _, vectors = np.linalg.eigh(np.einsum("nki,nkj->nij", near, near))
    normals = vectors[..., 0]  # eigenvalues ascend
    if viewpoint is not None:
        away = np.einsum("ni,ni->n", normals, viewpoint - points) < 0
        return np.where(away[:, None], -normals, normals)
    return _orient_outward(points, normals, neighbours)


def _orient_outward(points: np.ndarray, normals: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    n, k = neighbours.shape
    rows, columns = np.repeat(np.arange(n), k - 1), neighbours[:, 1:].ravel()
    # Neighbours with parallel normals are the surest to hand a sign on; the offset keeps weights positive.
    weight = 1.0 + 1e-3 - np.abs(np.einsum("ni,ni->n", normals[rows], normals[columns]))
    graph = coo_matrix((weight, (rows, columns)), shape=(n, n)).tocsr()
    graph = graph.maximum(graph.T)
    tree = csgraph.minimum_spanning_tree(graph)
    count, labels = csgraph.connected_components(tree, directed=False)
    sign = np.ones(n)
    for label in range(count):
        members = np.flatnonzero(labels == label)
        outward = points[members] - points[members].mean(axis=0)
        seed = members[np.argmax((outward**2).sum(axis=1))]
        sign[seed] = 1.0 if normals[seed] @ (points[seed] - points[members].mean(axis=0)) >= 0 else -1.0
        order, parents = csgraph.breadth_first_order(tree, seed, directed=False)
        agree = np.sign(np.einsum("ni,ni->n", normals[order[1:]], normals[parents[order[1:]]]))
        for child, same in zip(order[1:], np.where(agree == 0, 1.0, agree), strict=True):
            sign[child] = sign[parents[child]] * same
    return normals * sign[:, None]


def fit_plane(
    points: Float[np.ndarray, "n 3"], threshold: float, seed: int = 0
) -> tuple[Plane, Bool[np.ndarray, " n"]]:
    """The plane that holds most points, by RANSAC and a least-squares fit to its inliers.

    Args:
        points: At least three points, m.
        threshold: Largest distance of an inlier, m.
        seed: Of the random trials.

    Returns:
        The plane, whose normal points to the side of the origin (the camera, for points in its frame), and
        the mask of its inliers.

    Raises:
        ValueError: There are fewer than three points, or all lie on a line.
    """
    if len(points) < 3:
        raise ValueError(f"A plane needs at least three points, got {len(points)}.")
    rng = np.random.default_rng(seed)
    sample = points[rng.choice(len(points), min(len(points), _RANSAC_POINTS), replace=False)]
    corners = sample[rng.integers(0, len(sample), (_RANSAC_TRIALS, 3))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(normals, axis=1)
    extent = np.ptp(sample, axis=0).max()
    usable = area > 1e-9 * extent**2
    if not usable.any():
        raise ValueError("The points lie on a line or coincide; no plane is defined.")
    normals, corners = normals[usable] / area[usable, None], corners[usable]
    offsets = np.einsum("ti,ti->t", normals, corners[:, 0])
    counts = (np.abs(sample @ normals.T - offsets) <= threshold).sum(axis=0)
    normal, offset = normals[np.argmax(counts)], offsets[np.argmax(counts)]
    for _ in range(3):  # inliers of the fitted plane are fitted again; the set settles in two or three rounds
        inliers = np.abs(points @ normal - offset) <= threshold
        if inliers.sum() < 3:
            break
        centre = points[inliers].mean(axis=0)
        centred = points[inliers] - centre
        normal = np.linalg.eigh(centred.T @ centred)[1][:, 0]
        offset = normal @ centre
    if offset > 0:
        normal, offset = -normal, -offset
    plane = Plane(normal, float(offset))
    return plane, np.abs(plane.distance(points)) <= threshold


def farthest_point_indices(points: Float[np.ndarray, "n 3"], count: int, seed: int = 0) -> Int[np.ndarray, " count"]:
    """Indices of `count` points, each the farthest from those before it; the first is drawn with `seed`."""
    if not 1 <= count <= len(points):
        raise ValueError(f"Cannot choose {count} of {len(points)} points.")
    chosen = np.empty(count, dtype=np.int64)
    chosen[0] = np.random.default_rng(seed).integers(len(points))
    columns = np.ascontiguousarray(points.T)
    distance, difference, squared = np.full(len(points), np.inf), np.empty_like(columns), np.empty(len(points))
    for i in range(1, count):
        np.subtract(columns, points[chosen[i - 1], :, None], out=difference)
        np.einsum("in,in->n", difference, difference, out=squared)
        np.minimum(distance, squared, out=distance)
        chosen[i] = np.argmax(distance)
    return chosen


def voxel_indices(points: Float[np.ndarray, "n 3"], size: float) -> Int[np.ndarray, " m"]:
    """Ascending indices of the first point in every occupied cube of edge `size` (m)."""
    if size <= 0:
        raise ValueError(f"The voxel size is {size}, expected a positive number of metres.")
    cells = np.floor(points / size).astype(np.int64)
    _, first = np.unique(cells, axis=0, return_index=True)
    return np.sort(first)


def chamfer(a: Float[np.ndarray, "n 3"], b: Float[np.ndarray, "m 3"]) -> float:
    """Mean of the mean nearest distances from a to b and from b to a, m."""
    return float(np.mean(KDTree(b).query(a)[0]) + np.mean(KDTree(a).query(b)[0])) / 2


def connected_components(points: Float[np.ndarray, "n 3"], radius: float) -> Int[np.ndarray, " n"]:
    """Cluster label of every point: points closer than `radius` (m) share one, and label 0 is the largest.

    All pairs within the radius are listed, so thin dense clouds with `voxel_indices` first.
    """
    pairs = KDTree(points).query_pairs(radius, output_type="ndarray")
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(points),) * 2)
    _, labels = csgraph.connected_components(graph, directed=False)
    by_size = np.argsort(-np.bincount(labels), kind="stable")
    rank = np.empty_like(by_size)
    rank[by_size] = np.arange(len(by_size))
    return rank[labels]


def touching_parts(points: Float[np.ndarray, "n 3"], cell: float) -> Int[np.ndarray, " n"]:
    """Number of the part that each point belongs to: filled cubes of edge `cell` (m) hang together where they touch."""
    cells, inverse = np.unique(np.floor(points / cell).astype(np.int64), axis=0, return_inverse=True)
    # Cubes that share a corner are at most sqrt(3) apart.
    return connected_components(cells.astype(np.float64), 1.75)[inverse.reshape(-1)]


def main_parts(points: Float[np.ndarray, "n 3"], cell: float = 0.008, share: float = 0.1) -> Bool[np.ndarray, " n"]:
    """Which points hang together with many others, in cubes of edge `cell` (m) that touch.

    Args:
        points: A cloud with strays, as a depth camera leaves them in the air behind a thing's outline.
        cell: What is farther apart than one to two of it does not hang together; a camera at 2 m sees a point every
            4 mm, strays are farther apart.
        share: A part counts that has so many of the points of the largest part.
    """
    if not len(points):
        return np.zeros(0, dtype=bool)
    label = touching_parts(points, cell)
    size = np.bincount(label)
    return size[label] >= share * size.max()


def resample(
    points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"], count: int, seed: int
) -> tuple[Float[np.ndarray, "count 3"], Float[np.ndarray, "count 3"]]:
    """Exactly `count` points: the farthest ones of many, or all of few and some of them again.

    Of more than 16 candidates per wanted point a random part is looked at, which bounds the time.
    """
    if len(points) == 0:
        raise ValueError("Cannot resample an empty cloud.")
    rng = np.random.default_rng(seed)
    if len(points) < count:
        index = np.concatenate([np.arange(len(points)), rng.integers(0, len(points), count - len(points))])
    else:
        part = rng.choice(len(points), min(len(points), 16 * count), replace=False)
        index = part[farthest_point_indices(points[part], count, seed)]
    return points[index], normals[index]


def noise_of(points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"]) -> float:
    """Standard deviation of the points along their normals, m, from how nearest neighbours differ.

    Neighbours on a surface, also a curved one, lie across the mean of their normals: what they differ by along it is
    noise (or an edge, where normals differ too much to be asked). Underestimates by a third where the noise is larger
    than the points' spacing, as nearest neighbours are then chosen for being alike.

    Args:
        points: On a surface, m.
        normals: Unit normals, whose side does not matter as long as neighbours agree.
    """
    height, same, _ = _heights(points, normals, _NEAREST)
    if not same[:, 1:].any():
        return 0.0
    return float(_TO_SIGMA * np.median(np.abs(height[:, 1:])[same[:, 1:]]) / math.sqrt(2))


def smoothed(
    points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"], width: float
) -> Float[np.ndarray, "n 3"]:
    """Points moved along their normals to where their neighbours have the surface, and back to edges they stick out of.

    Neighbours count by their distance along the surface, those that face another way not at all. Heights are measured
    along the mean of two normals, which on a sphere is exact: curved surfaces do not shrink.

    Args:
        points: On a surface, m.
        normals: Unit normals; they stay.
        width: Standard deviation of the neighbours' weights, m.
    """
    for _ in range(_ROUNDS):
        height, same, squared = _heights(points, normals, _WIDE)
        weight = same * np.exp(-0.5 * np.maximum(squared - height**2, 0.0) / width**2)
        points = points + normals * ((weight * height).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-9))[:, None]
    return _within_edges(points, normals)


def _within_edges(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Points beyond a convex edge moved back to the face behind it.

    At a convex edge the points of each face lie below the plane of the other. Where a point lies above that of its
    neighbours across the edge, and they below its own, it is noise along the surface that took it there.
    """
    away, near = _neighbours(points, _WIDE)
    across = points[:, None] - points[near]
    alike = np.einsum("nki,ni->nk", normals[near], normals)
    other = (alike < _ALIKE) & (alike > _OPPOSITE) & (away < _EDGE)
    other &= np.cumsum(other, axis=1) <= _BESIDE
    rows = other.sum(axis=1) >= _BESIDE // 2
    if not rows.any():
        return points
    above, below = np.einsum("nki,nki->nk", across, normals[near]), -np.einsum("nki,ni->nk", across, normals)
    above, below = (np.nanmedian(np.where(other, h, np.nan)[rows], axis=1) for h in (above, below))
    normal = np.einsum("nk,nki->ni", other, normals[near])[rows]
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    moved = points.copy()
    moved[rows] -= np.where((above > 0) & (below < 0), above, 0.0)[:, None] * normal
    return moved


def _heights(points: np.ndarray, normals: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each point's nearest neighbours, itself among them: height along the mean of the normals, whether they face
    the same way, and squared distance.
    """
    away, near = _neighbours(points, count)
    across = points[near] - points[:, None]
    height = 0.5 * np.einsum("nki,nki->nk", normals[near] + normals[:, None], across)
    same = np.einsum("nki,ni->nk", normals[near], normals) > _ALIKE
    return height, same, away**2


def _neighbours(points: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances and indices (n, k) of each point's nearest, itself first; k is the count, or less of small clouds."""
    away, near = KDTree(points).query(points, k=min(count, len(points)))
    return np.reshape(away, (len(points), -1)), np.reshape(near, (len(points), -1))
