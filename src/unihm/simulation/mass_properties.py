"""Volume, centre of mass and inertia of a body of uniform density.

A closed surface is cut into tetrahedra between its triangles and one point (Gauss' theorem): with d the signed volume
of the tetrahedron over the triangle (a, b, c) and s = a + b + c,

    V = sum d,    int x = sum d s / 4,    int x x^T = sum d (s s^T + a a^T + b b^T + c c^T) / 20.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import ConvexHull, QhullError

_CELLS = 64  # along each axis of the grid on which overlaps of parts are measured


@dataclass(frozen=True, kw_only=True, eq=False)
class MassProperties:
    """Of a body of density one."""

    volume: float
    """m^3."""
    centre_of_mass: Float[np.ndarray, " 3"]
    """m, in the body's frame."""
    inertia: Float[np.ndarray, "3 3"]
    """m^5 about the centre of mass, along the axes of the body's frame; times a density it is in kg m^2."""

    @property
    def possible(self) -> bool:
        """Whether a body can have them: a positive volume, and no principal moment above the sum of the others."""
        if not (np.isfinite(self.inertia).all() and self.volume > 0):
            return False
        low, middle, high = np.linalg.eigvalsh(self.inertia)
        return bool(low > 0 and high <= (low + middle) * (1 + 1e-9))


def convex_hull(
    points: Float[np.ndarray, "n 3"],
) -> tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
    """Corners of the convex hull and its triangles, counter-clockwise seen from outside.

    Raises:
        ValueError: Fewer than four points, or all in one plane.
    """
    try:
        hull = ConvexHull(points)
    except QhullError as error:
        raise ValueError(
            f"{len(points)} points that lie in one plane, or fewer than four, enclose no volume."
        ) from error
    faces = hull.simplices.astype(np.int64)
    a, b, c = (points[faces[:, k]] for k in range(3))
    inward = np.einsum("fi,fi->f", np.cross(b - a, c - a), hull.equations[:, :3]) < 0
    faces[inward] = faces[inward][:, ::-1]
    corners, faces = np.unique(faces, return_inverse=True)
    return points[corners], faces.reshape(-1, 3)


def of_surface(vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]) -> MassProperties:
    """Of what a closed surface with outward faces encloses; without meaning for a surface with holes."""
    return _from_moments(*_moments(vertices, faces))


def of_parts(parts: Sequence[Float[np.ndarray, "_ 3"]]) -> MassProperties:
    """Of the union of convex parts, each given by its corners.

    The parts are integrated exactly; what several of them share is counted once, measured on a grid of 64^3 points.
    """
    hulls = [ConvexHull(part) for part in parts]
    moments = np.zeros(13)
    for part in parts:
        volume, first, second = _moments(*convex_hull(part))
        moments += np.concatenate([[volume], first, second.ravel()])
    if len(parts) > 1:
        moments -= _shared(parts, hulls)
    return _from_moments(float(moments[0]), moments[1:4], moments[4:].reshape(3, 3))


def _moments(vertices: np.ndarray, faces: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Volume, and the integrals of x and x x^T."""
    centre = (vertices.min(axis=0) + vertices.max(axis=0)) / 2  # near the body, so that nothing cancels
    corners = (vertices - centre)[faces]
    d = np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    s = corners.sum(axis=1)
    volume = d.sum()
    first = d @ s / 4
    second = (np.einsum("f,fi,fj->ij", d, s, s) + np.einsum("f,fki,fkj->ij", d, corners, corners)) / 20
    # to the frame's origin
    second += np.outer(centre, first) + np.outer(first, centre) + volume * np.outer(centre, centre)
    return float(volume), first + volume * centre, second


def _shared(parts: Sequence[np.ndarray], hulls: list[ConvexHull]) -> np.ndarray:
    """What (volume, first and second moments) is counted more than once, as often as that."""
    points = np.concatenate(list(parts))
    low, size = points.min(axis=0), np.ptp(points, axis=0)
    steps = (np.arange(_CELLS) + 0.5) / _CELLS
    axes = [low[k] + size[k] * steps for k in range(3)]
    boxes = []
    for part in parts:
        ends = zip(axes, part.min(axis=0), part.max(axis=0), strict=True)
        boxes.append(tuple(slice(*np.searchsorted(axis, [below, above])) for axis, below, above in ends))
    candidates = np.zeros((_CELLS,) * 3, dtype=np.int64)  # of how many parts the box holds a point
    for box in boxes:
        candidates[box] += 1
    times = np.zeros_like(candidates)
    for box, hull in zip(boxes, hulls, strict=True):
        cells = np.argwhere(candidates[box] > 1) + [cut.start for cut in box]
        times[tuple(cells[_inside(hull, low + size * (cells + 0.5) / _CELLS)].T)] += 1
    cells = np.argwhere(times > 1)
    weight = (times[tuple(cells.T)] - 1) * size.prod() / _CELLS**3
    x = low + size * (cells + 0.5) / _CELLS
    return np.concatenate([[weight.sum()], weight @ x, np.einsum("n,ni,nj->ij", weight, x, x).ravel()])


def _inside(hull: ConvexHull, x: np.ndarray) -> Bool[np.ndarray, " n"]:
    result = np.zeros(len(x), dtype=bool)
    left = np.arange(len(x))
    planes = np.unique(np.round(hull.equations, 12), axis=0)  # one of a face that was cut into triangles
    for some in np.array_split(planes, max(1, len(planes) // 8)):
        left = left[(x[left] @ some[:, :3].T <= -some[:, 3]).all(axis=1)]
    result[left] = True
    return result


def _from_moments(volume: float, first: np.ndarray, second: np.ndarray) -> MassProperties:
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = first / volume
        about = second - volume * np.outer(centre, centre)
    return MassProperties(volume=volume, centre_of_mass=centre, inertia=np.trace(about) * np.eye(3) - about)
