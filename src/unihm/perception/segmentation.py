"""One label per thing on the table, also where things touch: convex pieces of the seen surface, joined again.

The points above the table are thinned to voxels and over-segmented into surface patches. Neighbouring patches belong
to one thing where the surface between them is flat or convex; where two things touch, it is concave (the idea of
locally convex connected patches, Stein et al. 2014). Pairs of regions are joined best first by the mean over their
whole common border, so that a few leaky patches do not join two things.
"""

from __future__ import annotations

import heapq

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import binary_opening, distance_transform_edt, label
from scipy.sparse import coo_matrix, csgraph
from scipy.spatial import ConvexHull, Delaunay, KDTree, QhullError

from unihm.geometry.point_cloud import estimate_normals

_MIN_HEIGHT = 0.008  # m above the table; three standard deviations of a consumer depth camera at one metre
_MAX_HEIGHT = 0.5  # m; taller things are no things on a table
_BEYOND = 0.3  # m about the seen part of the table; things that lean or stand at its edge reach over it
_EDGE = 0.01  # m; the outline of the table is seen no better
_CELL = 0.01  # m; of the map of the table
_HIDDEN = 0.08  # m; widest gap in what is seen of one table
_VOXEL = 0.004  # m; two to five pixels at 0.5 to 1 m
_PATCH = 0.014  # m; smaller than what a hand can grasp, larger than the noise
_REACH = 2.5 * _VOXEL  # m between voxels that touch; bridges the dark outline a depth camera draws around edges
_SMOOTH, _CONCAVE = np.radians(
    [10.0, 20.0]
)  # between patches: a bowl bends by up to 10 degrees, a dent by more than 20
_MIN_VOXELS = 40  # about 6 cm^2; smaller pieces belong to what they touch
_FLOATING, _FOOT = 0.015, 8  # m; a piece with fewer voxels below that hangs on another
_NEIGHBOUR = 0.02  # m; the edge of a thing hides as much of what hangs on it


def table_region(points_world: Float[np.ndarray, "H W 3"], valid: Bool[np.ndarray, "H W"]) -> Delaunay:
    """The convex outline of the table top in world xy, as a triangulation that can be asked what is inside.

    Raises:
        ValueError: Too little of the table is seen.
    """
    on_table = points_world[valid & (np.abs(points_world[..., 2]) < _MIN_HEIGHT)][:, :2]
    if len(on_table) == 0:
        raise ValueError("Too little of the table is seen to say where it ends.")
    cells = np.floor(on_table / _CELL).astype(np.int64)
    corner = cells.min(axis=0)
    seen = np.zeros(np.ptp(cells, axis=0) + 1, dtype=bool)
    seen[tuple((cells - corner).T)] = True
    # What stands behind the table crosses its height in a line of cells, which the opening removes; other furniture
    # of the same height is a component of its own. What things hide between them is no gap.
    seen = np.asarray(binary_opening(seen, np.ones((3, 3))), dtype=bool)
    pieces = np.zeros(seen.shape, dtype=np.int64)
    label(np.asarray(distance_transform_edt(~seen)) <= _HIDDEN / 2 / _CELL, output=pieces)
    pieces[~seen] = 0
    size = np.bincount(pieces.ravel())
    size[0] = 0
    main = (np.argwhere(pieces == np.argmax(size)) + corner + 0.5) * _CELL
    try:
        return Delaunay(main[ConvexHull(main).vertices])
    except (QhullError, ValueError) as error:
        raise ValueError("Too little of the table is seen to say where it ends.") from error


def segment(
    points_world: Float[np.ndarray, "H W 3"],
    valid: Bool[np.ndarray, "H W"],
    camera_position: Float[np.ndarray, " 3"],
) -> Int[np.ndarray, "H W"]:
    """Label every pixel with the thing it shows.

    Args:
        points_world: Points in the z-up world with the table at z = 0, m.
        valid: Pixels with a depth.
        camera_position: Where the camera is, m.

    Returns:
        0, 1, 2, ... by falling number of pixels; -1 for the table, the surroundings and pixels without depth.
    """
    labels = np.full(valid.shape, -1)
    region = table_region(points_world, valid)
    z = points_world[..., 2]
    candidate = valid & (z > _MIN_HEIGHT) & (z < _MAX_HEIGHT)
    candidate[candidate] = lies_on(region, points_world[candidate][:, :2], margin=_BEYOND)
    points = points_world[candidate]
    if len(points) < 3 * _MIN_VOXELS:
        return labels
    voxel = _cells(points, _VOXEL)
    centres = _means(points, voxel, np.bincount(voxel))
    segments = _drop_surroundings(_join_patches(centres, camera_position), centres, region)
    labels[candidate] = segments[voxel]
    return _by_size(labels)


def deepest_pixel(mask: Bool[np.ndarray, "H W"]) -> tuple[int, int]:
    """The pixel (u, v) of a mask that is farthest from everything else; the first of several."""
    # A border of zeros: what the picture cuts off is no inside.
    depth = np.asarray(distance_transform_edt(np.pad(mask, 1)))[1:-1, 1:-1]
    v, u = np.unravel_index(int(np.argmax(depth)), mask.shape)
    return int(u), int(v)


def _join_patches(centres: np.ndarray, camera_position: np.ndarray) -> np.ndarray:
    """A segment number per voxel, -1 for loose points."""
    normals = estimate_normals(centres, 24, camera_position)
    a, b = KDTree(centres).query_pairs(_REACH, output_type="ndarray").T
    patch, seeds = _patches(centres, normals, a, b)
    inside = patch >= 0
    size = np.bincount(patch[inside], minlength=seeds)
    position = _means(centres, patch, size)
    normal = _means(normals, patch, size)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)

    border = (patch[a] != patch[b]) & inside[a] & inside[b]
    pairs = np.sort(np.stack([patch[a][border], patch[b][border]], axis=1), axis=1)
    pairs, length = np.unique(pairs, axis=0, return_counts=True)
    p, q = pairs.T
    across = position[q] - position[p]
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-12)
    convex = np.einsum("ij,ij->i", normal[q] - normal[p], across) > 0
    angle = np.arccos(np.clip(np.einsum("ij,ij->i", normal[p], normal[q]), -1, 1))
    # 1 where the surface goes on smooth or convex, 0 at a dent of the limit's sharpness, negative beyond.
    dent = np.clip((_CONCAVE - angle) / (_CONCAVE - _SMOOTH), -2.0, 1.0)
    agreement = np.where(convex, 1.0, dent)

    group = _agglomerate(seeds, pairs, length, agreement, size)
    return _attach_floating(np.where(inside, group[np.maximum(patch, 0)], -1), centres)


def _patches(centres: np.ndarray, normals: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, int]:
    """Every voxel to its nearest seed along the surface; crossing an edge of the surface counts as a detour."""
    turn = 1 - np.clip(np.einsum("ij,ij->i", normals[a], normals[b]), -1, 1)
    weight = np.linalg.norm(centres[a] - centres[b], axis=1) / _VOXEL + 4 * turn
    graph = coo_matrix((weight, (a, b)), shape=(len(centres),) * 2).tocsr()
    cell = _cells(centres, _PATCH)
    count = np.bincount(cell)
    middle = _means(centres, cell, count)
    order = np.lexsort((((centres - middle[cell]) ** 2).sum(axis=1), cell))
    seeds = order[np.unique(cell[order], return_index=True)[1]][count >= 3]
    if len(seeds) == 0:
        return np.full(len(centres), -1), 0
    _, _, source = csgraph.dijkstra(graph, directed=False, indices=seeds, min_only=True, return_predecessors=True)
    number = np.full(len(centres), -1)
    number[seeds] = np.arange(len(seeds))
    return np.where(source >= 0, number[np.maximum(source, 0)], -1), len(seeds)


def _cells(points: np.ndarray, size: float) -> np.ndarray:
    """The number of the cube of edge `size` in which each point lies, counted over the occupied ones."""
    cell = np.floor(points / size).astype(np.int64)
    cell -= cell.min(axis=0)
    extent = cell.max(axis=0) + 1
    key = (cell[:, 0] * extent[1] + cell[:, 1]) * extent[2] + cell[:, 2]
    return np.unique(key, return_inverse=True)[1].ravel()


def _means(values: np.ndarray, patch: np.ndarray, size: np.ndarray) -> np.ndarray:
    inside = patch >= 0
    sums = [np.bincount(patch[inside], values[inside, i], len(size)) for i in range(3)]
    return np.stack(sums, axis=1) / np.maximum(size, 1)[:, None]


def _agglomerate(
    count: int, pairs: np.ndarray, length: np.ndarray, agreement: np.ndarray, size: np.ndarray
) -> np.ndarray:
    """Join regions best first while their common border agrees on the whole; then the small ones to what they touch."""
    group = np.arange(count)
    size = size.copy()
    # borders[i][j] = (length, sum of length * agreement) of the border between regions i and j
    borders: list[dict[int, tuple[float, float]]] = [{} for _ in range(count)]
    for (p, q), n, s in zip(pairs.tolist(), length.tolist(), agreement.tolist(), strict=True):
        borders[p][q] = borders[q][p] = (n, n * s)
    queue = [(-s / n, p, q) for p in range(count) for q, (n, s) in borders[p].items() if p < q and s > 0]
    heapq.heapify(queue)

    def join(keep: int, gone: int) -> None:
        group[group == gone] = keep
        size[keep] += size[gone]
        for other, (n, s) in borders[gone].items():
            del borders[other][gone]
            if other == keep:
                continue
            n0, s0 = borders[keep].get(other, (0.0, 0.0))
            borders[keep][other] = borders[other][keep] = (n + n0, s + s0)
            heapq.heappush(queue, (-(s + s0) / (n + n0), min(keep, other), max(keep, other)))
        borders[gone] = {}

    def mean(p: int, q: int) -> float | None:
        n, s = borders[p].get(q, (0.0, 0.0))
        return s / n if n else None

    while queue:
        score, p, q = heapq.heappop(queue)
        if score >= 0:
            break
        if mean(p, q) == -score:  # otherwise the entry is older than the last change of this border
            join(p, q)
    for piece in sorted(np.unique(group).tolist(), key=lambda i: size[i]):
        if size[piece] < _MIN_VOXELS and borders[piece]:
            join(max(borders[piece], key=lambda j: borders[piece][j][0]), piece)
    return group


def _attach_floating(segments: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Give every piece that does not reach down to the table to the piece nearest to it: the handle of a mug."""
    segments = segments.copy()
    numbers, size = np.unique(segments[segments >= 0], return_counts=True)
    for number in numbers[np.argsort(size, kind="stable")]:
        mine, others = segments == number, (segments >= 0) & (segments != number)
        if (centres[mine, 2] < _FLOATING).sum() < _FOOT and others.any():
            distance, nearest = map(np.asarray, KDTree(centres[others]).query(centres[mine]))
            if distance.min() < _NEIGHBOUR:
                segments[mine] = segments[others][nearest[np.argmin(distance)]]
    return segments


def _drop_surroundings(segments: np.ndarray, centres: np.ndarray, region: Delaunay) -> np.ndarray:
    """Keep what is large enough and stands on the table, not behind it."""
    inside = lies_on(region, centres[:, :2], margin=_EDGE)
    kept = segments.copy()
    for number in np.unique(segments[segments >= 0]):
        mine = segments == number
        foot = mine & (centres[:, 2] < centres[mine, 2].min() + _FLOATING)
        # A tall thing hides the table behind it, so its upper part may lie outside the outline; its foot may not.
        if mine.sum() < _MIN_VOXELS or inside[foot].mean() < 0.5 or inside[mine].mean() < 0.35:
            kept[mine] = -1
    return kept


def lies_on(region: Delaunay, points: Float[np.ndarray, "n 2"], margin: float) -> Bool[np.ndarray, " n"]:
    """Which points, in world xy, lie in a `table_region` that is grown about its centre by `margin`, m."""
    centre = region.points.mean(axis=0)
    radius = np.linalg.norm(region.points - centre, axis=1).mean()
    return region.find_simplex(centre + (points - centre) / (1 + margin / radius)) >= 0


def _by_size(labels: np.ndarray) -> np.ndarray:
    numbers, counts = np.unique(labels[labels >= 0], return_counts=True)
    rank = np.full(int(labels.max()) + 2, -1)
    rank[numbers[np.argsort(-counts, kind="stable")]] = np.arange(len(numbers))
    return np.where(labels >= 0, rank[labels], -1)
