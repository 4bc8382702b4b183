"""Inside or outside of a triangle mesh, holes or not, by its generalised winding number.

A point x is inside where the solid angle under which the mesh is seen from it, over 4 pi, exceeds 1/2 (Jacobson et al.,
"Robust inside-outside segmentation using generalized winding numbers", 2013). It is 1 inside a closed mesh and 0
outside, and does not mind holes. No sum over all triangles is needed: cones F over the loops of the mesh's rim close
it; for the closed surface M + F the number is an integer, counted along one ray, and ``w_M = w_(M+F) - w_F`` with few
triangles in F, which are felt near holes only.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_CHUNK = 20_000  # points at a time: what is computed for them stays in the processor's cache
_COLUMNS = 64  # along the longer side of what rays see


class InsideTest:
    """Tells which points lie in a mesh."""

    def __init__(self, vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]):
        """Close the mesh and sort its triangles by the rays that can meet them.

        Args:
            vertices: m, no two at one place.
            faces: Triangles, counter-clockwise seen from outside.
        """
        self.caps, loop = _caps(vertices, faces)
        """Triangles that close the mesh; none for a closed one."""
        self._triangles = vertices[faces]
        triangles = np.concatenate([self._triangles, self.caps])
        self.volume = float(np.einsum("fi,fi->", triangles[:, 0], np.cross(triangles[:, 1], triangles[:, 2])) / 6)
        """What the closed surface encloses, m^3; negative where it is turned inside out."""
        self._loops = [
            (points.mean(axis=(0, 1)), np.linalg.norm(points - points.mean(axis=(0, 1)), axis=-1).max(), _area(points))
            for points in (self.caps[loop == i] for i in np.unique(loop))
        ]
        # Rays run along a direction that no face of a modelled object is parallel to, turned to be z.
        self._turn = np.linalg.qr(np.array([[0.57, 0.31, 0.76], [-0.71, 0.66, 0.25], [-0.42, -0.68, 0.6]]))[0]
        corners, index = np.unique(triangles.reshape(-1, 3), axis=0, return_inverse=True)
        corners, index = corners @ self._turn.T, index.reshape(-1, 3)
        turned = corners[index]
        self._origin = turned[:, 0]
        self._normal = np.cross(turned[:, 1] - turned[:, 0], turned[:, 2] - turned[:, 0])
        # Both triangles of an edge ask the same question about it, so that no ray slips through between them.
        after = np.roll(index, -1, axis=1)
        self._flip = index > after
        self._start = corners[np.minimum(index, after), :2]
        self._edge = corners[np.maximum(index, after), :2] - self._start
        # Rays that meet an edge or a corner as exactly as numbers go; their points are answered by the definition.
        self._rounding = 1e-12 * np.abs(corners).max() * np.linalg.norm(self._edge, axis=-1)
        self._sort(turned)

    def __call__(self, x: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
        """Whether points (m) lie in the mesh."""
        found = np.zeros(len(x), dtype=bool)
        for start in range(0, len(x), _CHUNK):
            found[start : start + _CHUNK] = self._inside(x[start : start + _CHUNK])
        return found

    def _inside(self, x: np.ndarray) -> np.ndarray:
        p = x @ self._turn.T
        column = np.floor((p[:, :2] - self._low[:2]) / self._width).astype(np.int64)
        seen = ((column >= 0) & (column < self._shape)).all(axis=1) & (p[:, 2] <= self._high)
        row = np.flatnonzero(seen)
        column = column[row, 0] * self._shape[1] + column[row, 1]
        number = self._first[column + 1] - self._first[column]
        end = np.cumsum(number)
        t = self._members[np.arange(number.sum()) + np.repeat(self._first[column] - end + number, number)]
        point = np.repeat(row, number)
        offset = p[point, None, :2] - self._start[t]
        edge = self._edge[t]
        area = edge[..., 0] * offset[..., 1] - edge[..., 1] * offset[..., 0]
        unclear = np.unique(point[(np.abs(area) < self._rounding[t]).any(axis=1)])
        left = (area > 0) ^ self._flip[t]
        over = left.all(axis=1) | ~left.any(axis=1)
        point, t, left = point[over], t[over], left[over, 0]
        below = np.einsum("mi,mi->m", p[point] - self._origin[t], self._normal[t])
        # A ray that goes up leaves the body through triangles that look up (+1) and enters it through others (-1).
        crossing = np.where(left, below < 0, -1.0 * (below > 0))
        total = np.bincount(point, crossing, minlength=len(p))
        if self._loops:
            felt = np.zeros(len(x))
            for centre, radius, area in self._loops:
                gap = np.maximum(np.linalg.norm(x - centre, axis=1) - radius, 1e-9)
                felt += area / (4 * np.pi * gap**2)
            near = felt > 0.4  # elsewhere the caps cannot change an integer by 1/2
            total[near] -= winding_number(x[near], self.caps)
        total[unclear] = winding_number(x[unclear], self._triangles)
        return total > 0.5

    def _sort(self, turned: Float[np.ndarray, "g 3 3"]) -> None:
        """Lists of the triangles over each column of a grid across the rays."""
        low, high = turned.min(axis=1), turned.max(axis=1)
        self._low, self._high = low.min(axis=0), high[:, 2].max()
        self._width = float((high - self._low)[:, :2].max()) / _COLUMNS * (1 + 1e-9)
        first = np.floor((low[:, :2] - self._low[:2]) / self._width).astype(np.int64)
        last = np.floor((high[:, :2] - self._low[:2]) / self._width).astype(np.int64)
        self._shape = last.max(axis=0) + 1
        size = last - first + 1
        number = size.prod(axis=1)
        t = np.repeat(np.arange(len(turned)), number)
        place = np.arange(len(t)) - np.repeat(np.cumsum(number) - number, number)
        column = first[t, 0] + place // size[t, 1], first[t, 1] + place % size[t, 1]
        key = column[0] * self._shape[1] + column[1]
        self._members = t[np.argsort(key, kind="stable")]
        self._first = np.searchsorted(np.sort(key), np.arange(self._shape.prod() + 1))


def winding_number(x: Float[np.ndarray, "n 3"], triangles: Float[np.ndarray, "f 3 3"]) -> Float[np.ndarray, " n"]:
    """Generalised winding number of triangles about points, by its definition: n f solid angles."""
    total = np.zeros(len(x))
    step = max(1, 200_000 // max(len(triangles), 1))
    for start in range(0, len(x), step):
        a, b, c = np.moveaxis(triangles - x[start : start + step, None, None], -2, 0)
        la, lb, lc = (np.linalg.norm(v, axis=-1) for v in (a, b, c))
        volume = np.einsum("nfi,nfi->nf", a, np.cross(b, c))
        ab, bc, ca = ((p * q).sum(axis=-1) for p, q in ((a, b), (b, c), (c, a)))
        angle = 2 * np.arctan2(volume, la * lb * lc + ab * lc + bc * la + ca * lb)
        total[start : start + step] = angle.sum(axis=1) / (4 * np.pi)
    return total


def _caps(vertices: np.ndarray, faces: np.ndarray) -> tuple[Float[np.ndarray, "k 3 3"], Int[np.ndarray, " k"]]:
    """Cones over the loops of the rim that close a mesh, and the loop that each of their triangles belongs to."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    low, high = edges.min(axis=1), edges.max(axis=1)
    key, which = np.unique(low * len(vertices) + high, return_inverse=True)
    # How often an edge is walked upwards more than downwards: 0 where triangles meet, however many.
    excess = np.bincount(which.reshape(-1), np.where(edges[:, 0] == low, 1, -1)).round().astype(np.int64)
    rim = np.repeat(np.arange(len(excess)), np.abs(excess))
    if not len(rim):
        return np.zeros((0, 3, 3)), np.zeros(0, dtype=np.int64)
    a, b = key[rim] // len(vertices), key[rim] % len(vertices)
    a, b = np.where(excess[rim] > 0, b, a), np.where(excess[rim] > 0, a, b)  # against the mesh's own direction
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(len(vertices), len(vertices)))
    loop = np.unique(connected_components(graph, directed=False)[1][a], return_inverse=True)[1].reshape(-1)
    number = np.bincount(loop)
    centre = np.stack([np.bincount(loop, vertices[a, i]) / number for i in range(3)], axis=1)
    return np.stack([centre[loop], vertices[a], vertices[b]], axis=1), loop


def _area(triangles: np.ndarray) -> float:
    cross = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    return float(np.linalg.norm(cross, axis=1).sum() / 2)
