"""From one depth image to a closed shape: what was seen, and a guess of the rest.

- ``hull``: the convex hull of the seen points and their shadow, straight down, on the table.
- ``mirrored``: the seen points are also turned by half a turn about a vertical axis (`perception.completion`'s
  candidates; the one that the image contradicts least, or none). The shape is everything within the hull of all of it
  that the camera does not see to be empty, neither from where it is nor, by the symmetry, from the other side. So
  bowls and mugs are hollow as far as it can be known.

This module knows nothing of true objects (`perceived`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import binary_dilation, distance_transform_edt
from scipy.spatial import ConvexHull, KDTree, QhullError

from unihm.geometry.camera import Camera
from unihm.geometry.point_cloud import estimate_normals, voxel_indices
from unihm.perception.completion import symmetry_axes
from unihm.simulation.closed_shape import closed_shape
from unihm.simulation.mass_properties import convex_hull

SHAPES = ("hull", "mirrored")
_MIN_PIXELS = 60  # of the object; fewer say nothing about a shape
_NEIGHBOURS = 32  # through which a plane smooths a seen point: at a metre a disc of 8 mm
_LONELY = 3.0  # standard deviations of the mean distance to neighbours beyond which a point is an outlier
_SPACING = 0.004  # m, of the seen points when symmetry is looked for
_SLACK = 0.008  # m in front of the seen surface at which a guess contradicts the image; four times the noise
_CONTRADICTED = 0.35  # share of turned points in seen empty space above which the symmetry is given up
_AS_GOOD = 0.01  # of that share is what noise makes
_HIDES = 0.02  # m in front of the table from which on something stands there
_OUTLINE = 2  # pixels by which the outline of the turned object may be off
_TOP = 0.1  # share of the height that is the top
_BEHIND = 0.012  # m that what is seen but breaks the symmetry (a mug's handle) is taken to be thick
_CELL, _CELLS = 0.003, 36  # m, and along the longest side: width of the grid in which empty space is cut away


@dataclass(frozen=True, kw_only=True, eq=False)
class DepthView:
    """All that is known of an object: an image and where it was taken."""

    depth: Float[np.ndarray, "H W"]
    """Noisy planar depth, m, of the object and of what else is there; 0 where the sample was lost."""
    mask: Bool[np.ndarray, "H W"]
    """Pixels that show the object."""
    camera: Camera
    """Intrinsics and pose."""
    table_height: float
    """z of the table, m."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GuessedShape:
    """A closed shape in the world, m."""

    seen: Float[np.ndarray, "m 3"]
    """What the camera saw, smoothed."""
    vertices: Float[np.ndarray, "v 3"]
    """Of the surface."""
    faces: Int[np.ndarray, "f 3"]
    """Triangles, outward."""
    parts: tuple[Float[np.ndarray, "_ 3"], ...]
    """Corners of convex parts that fill it."""


def guess_shape(view: DepthView, shape: str) -> GuessedShape:
    """Close what is seen to a shape.

    Args:
        view: The image; its camera has a pose.
        shape: One of `SHAPES`.

    Raises:
        ValueError: Too little of the object is seen.
    """
    seen, exact, wide = _seen(view)
    if shape == "hull":
        vertices, faces = convex_hull(np.concatenate([seen, _shadow(seen, view.table_height)]))
        return GuessedShape(seen=seen, vertices=vertices, faces=faces, parts=(vertices,))
    vertices, faces, parts = _mirrored(seen, exact, wide, view)
    return GuessedShape(seen=seen, vertices=vertices, faces=faces, parts=parts)


def table_depth(camera: Camera, table_height: float) -> Float[np.ndarray, "H W"]:
    """Depth of the table's plane, m; infinite where it is not seen."""
    assert camera.T_world_camera is not None
    rays = camera.unproject(np.ones((camera.height, camera.width))) @ camera.T_world_camera[2, :3]
    below = table_height - camera.T_world_camera[2, 3]
    with np.errstate(divide="ignore"):
        depth = below / rays
    return np.where((rays != 0) & (depth > 0), depth, np.inf)


def _seen(view: DepthView) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "H W"], Float[np.ndarray, "H W"]]:
    """Smoothed points of the object in the world, and the depth of every pixel behind which nothing was seen.

    The depth is the smoothed one on the object, its lost samples filled with the nearest; elsewhere that of what else
    stands there, or the table's. The second one takes the object to be `_OUTLINE` pixels wider: for the turned object,
    whose outline is not so exact.
    """
    camera = view.camera
    assert camera.T_world_camera is not None
    valid = view.mask & (view.depth > 0)
    if valid.sum() < _MIN_PIXELS:
        raise ValueError(
            f"The camera sees {valid.sum()} pixels of the object, at least {_MIN_PIXELS} are needed: "
            "it is outside the image, hidden or too small."
        )
    pixels = np.argwhere(valid)
    points = camera.unproject(view.depth)[valid]
    distance, neighbours = (np.asarray(a) for a in KDTree(points).query(points, k=_NEIGHBOURS))
    apart = distance.mean(axis=1)
    near = apart < apart.mean() + _LONELY * apart.std() + 1e-9
    around = points[neighbours]
    middle = around.mean(axis=1)
    around = around - middle[:, None]
    normal = np.linalg.eigh(np.einsum("nki,nkj->nij", around, around))[1][..., 0]
    points = points - np.einsum("ni,ni->n", points - middle, normal)[:, None] * normal

    T = camera.T_world_camera
    world = points @ T[:3, :3].T + T[:3, 3]
    good = near & (world[:, 2] > view.table_height)
    smooth = np.zeros(valid.shape)
    smooth[tuple(pixels[good].T)] = points[good, 2]
    nearest = np.asarray(distance_transform_edt(smooth == 0, return_distances=False, return_indices=True))
    table = table_depth(camera, view.table_height)
    # What stands in front hides as much as the object itself; what is seen of the table is nearer only by noise.
    hides = ~view.mask & (view.depth > 0) & (view.depth < table - _HIDES)
    table[hides] = view.depth[hides]
    around = np.asarray(binary_dilation(view.mask, iterations=_OUTLINE), dtype=bool)
    exact, wide = (np.where(mask, smooth[tuple(nearest)], table) for mask in (view.mask, around))
    return world[good], exact, wide


def _mirrored(
    seen: np.ndarray, exact: np.ndarray, wide: np.ndarray, view: DepthView
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
    """Surface and convex parts of what may be solid."""
    camera = view.camera
    assert camera.T_world_camera is not None
    in_front, in_front_turned = partial(_in_front, exact, camera), partial(_in_front, wide, camera)
    thin = seen[voxel_indices(seen, _SPACING)]
    turn = _half_turn(thin, camera.T_world_camera[:3, 3], in_front_turned)
    known, odd = seen, np.zeros(len(thin), dtype=bool)
    if turn is not None:
        odd = in_front_turned(turn(thin)) > _SLACK
        known = np.concatenate([seen, turn(thin)[~odd]])
    known = np.concatenate([known, _shadow(known, view.table_height)])
    try:
        planes = ConvexHull(known).equations
    except QhullError as error:
        raise ValueError("What the camera sees of the object is flat: no shape can be guessed from it.") from error
    low, high = known.min(axis=0), known.max(axis=0)
    cell = max(_CELL, float((high - low).max()) / _CELLS)
    tree = KDTree(thin)

    def outside(x: np.ndarray) -> np.ndarray:
        front = in_front(x)
        away = np.maximum((x @ planes[:, :3].T + planes[:, 3]).max(axis=1), front)
        if turn is not None:
            back = in_front_turned(turn(x))
            undecided = np.flatnonzero((back > 0) & (front > -_BEHIND) & (away < 0))
            back[undecided[odd[np.asarray(tree.query(x[undecided])[1])]]] = -np.inf
            away = np.maximum(away, back)
        return np.clip(away, -2 * cell, 2 * cell)  # at the outline the image jumps by what lies behind

    return closed_shape(outside, low, high, cell)


def _in_front(depth: np.ndarray, camera: Camera, x: np.ndarray) -> np.ndarray:
    """How far each place lies in front of what is seen through it, m; outside the image nothing is known."""
    assert camera.T_world_camera is not None
    local = (x - camera.T_world_camera[:3, 3]) @ camera.T_world_camera[:3, :3]
    uv = np.round(camera.project(local))
    inside = (uv >= 0).all(axis=1) & (uv < [camera.width, camera.height]).all(axis=1)
    result = np.full(len(x), -np.inf)
    u, v = uv[inside].astype(np.int64).T
    result[inside] = depth[v, u] - local[inside, 2]
    return result


def _half_turn(
    seen: np.ndarray, eye: np.ndarray, in_front: Callable[[np.ndarray], np.ndarray]
) -> Callable[[np.ndarray], np.ndarray] | None:
    """Half a turn about the axis that the image contradicts least, or None where it contradicts all."""
    turns, shares = [], []
    for axis in (*symmetry_axes(seen, estimate_normals(seen, 16, eye)), _middle_of_top(seen)):
        shift = np.array([2 * axis[0], 2 * axis[1], 0.0])

        def turn(x: np.ndarray, shift: np.ndarray = shift) -> np.ndarray:
            return x * [-1.0, -1.0, 1.0] + shift

        shares.append(float((in_front(turn(seen)) > _SLACK).mean()))
        turns.append(turn)
    best = next(
        i for i, share in enumerate(shares) if share <= min(shares) + _AS_GOOD
    )  # the more exact ones come first
    return turns[best] if shares[best] < _CONTRADICTED else None


def _middle_of_top(points: np.ndarray) -> np.ndarray:
    """The axis through the middle of the top: of bottles a camera sees one side, but all of the cap."""
    z = points[:, 2]
    top = points[z >= z.max() - max(_TOP * np.ptp(z), 2 * _SPACING), :2]
    return (top.min(axis=0) + top.max(axis=0)) / 2


def _shadow(points: np.ndarray, table_height: float) -> np.ndarray:
    return np.column_stack([points[:, :2], np.full(len(points), table_height)])
