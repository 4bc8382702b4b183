"""Exact signed distance to a triangle mesh, whether or not it is closed.

Distance is to the nearest point of any triangle. Which triangles can be nearest is decided once for each small cell of
space that is asked about: in a cell of half diagonal r about c, ``|d_t(x) - d_t(c)| <= |x - c| <= r`` for each triangle
t, so only those with ``d_t(c) <= min d(c) + 2 r`` matter to its points. The sign is that of the generalised winding
number (`unihm.geometry.winding`).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree

from unihm.geometry.winding import InsideTest

_CELL = 3e-3  # m: smaller cells have shorter lists, and there are more of them
_PIECE = 8e-3  # m, edge of the pieces into which triangles are cut to be found by their centres
_CHUNK = 20_000  # points or cells at a time: what is computed for them stays in the processor's cache
_MOST = 4_000_000  # list entries of 12 bytes that are kept; beyond, all are forgotten
_ON_SURFACE = 1e-10  # m: nearer than this the direction away from the surface is the triangle's normal
_FARTHEST = 1e3  # m: points beyond are in another unit
_SLACK = 1e-9  # m, for rounding in the bounds


class MeshDistance:
    """Signed distance to a mesh, positive outside; corners at the same place are one."""

    def __init__(self, vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]):
        """Prepare a mesh.

        Args:
            vertices: m, in the object's frame.
            faces: Triangles, counter-clockwise seen from outside.

        Raises:
            ValueError: It has no triangle with an area, names corners that do not exist, holds NaN, or is turned
                inside out (or encloses nothing).
        """
        vertices, faces = np.asarray(vertices, dtype=np.float64), np.asarray(faces, dtype=np.int64)
        if not np.isfinite(vertices).all():
            raise ValueError("The mesh holds NaN or infinite coordinates.")
        if len(faces) and (faces.min() < 0 or faces.max() >= len(vertices)):
            raise ValueError(f"The mesh's faces name vertices that do not exist; there are {len(vertices)}.")
        self.vertices, merged = np.unique(vertices, axis=0, return_inverse=True)
        faces = merged.reshape(-1)[faces]
        a, b, c = self.vertices[faces].swapaxes(0, 1)
        self.faces = faces[np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-14]  # m^2: else all on one line
        if not len(self.faces):
            raise ValueError("The mesh has no triangle with an area.")
        self._inside = InsideTest(self.vertices, self.faces)
        if self.volume <= 1e-12:
            raise ValueError(f"The mesh encloses {self.volume:.1e} m^3: it is turned inside out, or flat.")
        self._lay_flat()
        self._cut()
        self._forget()
        self._occupancy: dict[float, tuple[np.ndarray, np.ndarray]] = {}

    @property
    def volume(self) -> float:
        """What the mesh encloses, its holes closed, m^3."""
        return self._inside.volume

    @property
    def closed(self) -> bool:
        """Whether the mesh has no rim."""
        return len(self._inside.caps) == 0

    @property
    def bounds(self) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
        """Lowest and highest corner of the mesh's box, m."""
        return self.vertices.min(axis=0), self.vertices.max(axis=0)

    def query(
        self, x: Float[np.ndarray, "*batch 3"], reach: float = np.inf
    ) -> tuple[Float[np.ndarray, "*batch"], Float[np.ndarray, "*batch 3"], Float[np.ndarray, "*batch 3"]]:
        """Signed distance, the nearest surface point and the direction away from the object.

        Args:
            x: Points in the object's frame, m.
            reach: Points farther from the surface than this, on either side, are answered by plus or minus `reach`
                and NaN, which is many times faster.

        Returns:
            Distance (m, negative inside), nearest point (m) and unit outward direction: the gradient of the distance.

        Raises:
            ValueError: A point is not finite, or farther off than a kilometre.
        """
        points = np.asarray(x, dtype=np.float64).reshape(-1, 3)
        if not (np.abs(points) < _FARTHEST).all():
            raise ValueError("Query points hold NaN, infinite values, or values in another unit than metres.")
        d, nearest, outward = np.empty(len(points)), np.empty_like(points), np.empty_like(points)
        for start in range(0, len(points), _CHUNK):
            part = slice(start, start + _CHUNK)
            d[part], nearest[part], outward[part] = self._query(points[part], reach)
        shape = x.shape[:-1]
        return d.reshape(shape), nearest.reshape(*shape, 3), outward.reshape(*shape, 3)

    def inside(self, x: Float[np.ndarray, "*batch 3"]) -> Bool[np.ndarray, "*batch"]:
        """Whether points (m) lie in the object."""
        return self._inside(np.asarray(x, dtype=np.float64).reshape(-1, 3)).reshape(x.shape[:-1])

    def occupancy(self, spacing: float) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, "nx ny nz"]]:
        """How much of each cell of a grid the object fills, 0 to 1; computed once per spacing.

        Where a face passes through a cell, the share is that of a face parallel to the grid at the centre's distance,
        which is interpolated between cells of twice the size.

        Args:
            spacing: Edge of the cells, m.

        Returns:
            Centre of the first cell, m, and the shares.
        """
        if spacing not in self._occupancy:
            low, high = (corner + side * 2 * spacing for corner, side in zip(self.bounds, (-1, 1), strict=True))
            axes = [np.arange(low[i], high[i] + 2 * spacing, 2 * spacing) for i in range(3)]
            d = self.query(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1), reach=4 * spacing)[0]
            for axis in range(3):
                between = (
                    np.take(d, np.arange(d.shape[axis] - 1), axis) + np.take(d, np.arange(1, d.shape[axis]), axis)
                ) / 2
                d = np.insert(d, np.arange(1, d.shape[axis]), between, axis)
            self._occupancy[spacing] = low, np.clip(0.5 - d / spacing, 0, 1).astype(np.float32)
        return self._occupancy[spacing]

    def _query(self, x: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        slot = self._slots(x, reach)
        d, nearest, outward = np.full(len(x), float(reach)), np.full_like(x, np.nan), np.full_like(x, np.nan)
        near = np.flatnonzero(slot >= 0)
        inside = np.zeros(len(x), dtype=bool)
        if len(near):
            s, p = slot[near], x[near]
            t, place, d_near = self._nearest(p, s)
            found = d_near <= reach
            near, s, p, t, place, d_near = (a[found] for a in (near, s, p, t, place, d_near))
            foot = (place[:, None, :] @ self._axes[t, :2])[:, 0] + self._origin[t]
            d[near], nearest[near] = d_near, foot
            touching = d_near < _ON_SURFACE
            outward[near] = np.where(
                touching[:, None], self._axes[t, 2], (p - foot) / np.maximum(d_near, _ON_SURFACE)[:, None]
            )
            known = self._state[s] >= 0
            inside[near[known]] = self._state[s[known]] == 1
            unknown = near[~known]
            inside[unknown] = self._inside(x[unknown])
            outward[near[~touching & inside[near]]] *= -1
        far = np.flatnonzero(d == reach) if len(near) < len(x) else near[:0]
        inside[far] = self._inside(x[far])
        return np.where(inside, -d, d), nearest, outward

    def _nearest(
        self, x: np.ndarray, slot: np.ndarray
    ) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, "n 2"], Float[np.ndarray, " n"]]:
        """Nearest triangle, place in its plane and distance of points whose cells are known."""
        first, number = self._first[slot], self._number[slot]
        best = self._triangle[first]
        squared, place = self._squared(x, best)
        # What may still be nearer than the triangle that is nearest to the centre of the cell.
        limit = np.sqrt(squared) + np.linalg.norm(x - self._centre[slot], axis=1) + _SLACK
        entry = _ranges(first, number)
        point = np.repeat(np.arange(len(x)), number)
        left = self._distance[entry] <= limit[point]
        point, t = point[left], self._triangle[entry[left]]
        squared, place = self._squared(x[point], t)
        start = np.flatnonzero(np.diff(point, prepend=-1))
        least = np.repeat(np.minimum.reduceat(squared, start), np.diff(np.append(start, len(point))))
        winner = np.flatnonzero(squared == least)
        winner = winner[np.flatnonzero(np.diff(point[winner], prepend=-1))]  # the first of those that are as near
        return t[winner], place[winner], np.sqrt(squared[winner])

    def _slots(self, x: np.ndarray, reach: float) -> Int[np.ndarray, " n"]:
        """Where each point's cell stands in the lists; -1 where all of the cell lies beyond reach."""
        cell = np.floor(x / _CELL).astype(np.int64)
        key, first, which = np.unique((cell + 2**20) @ [2**42, 2**21, 1], return_index=True, return_inverse=True)
        if len(self._triangle) > _MOST:
            self._forget()
        place = np.minimum(np.searchsorted(self._keys, key), max(len(self._keys) - 1, 0))
        missing = self._keys[place] != key if len(self._keys) else np.ones(len(key), dtype=bool)
        if missing.any():
            self._learn(key[missing], (cell[first[missing]] + 0.5) * _CELL, reach)
            place = np.minimum(np.searchsorted(self._keys, key), max(len(self._keys) - 1, 0))
            missing = self._keys[place] != key if len(self._keys) else np.ones(len(key), dtype=bool)
        slot = np.where(missing, -1, self._order[place] if len(self._keys) else -1)
        return slot[which.reshape(-1)]

    def _learn(self, key: np.ndarray, centre: np.ndarray, reach: float) -> None:
        """Write the lists of new cells, unless they lie beyond reach altogether."""
        r = _CELL * np.sqrt(3) / 2
        above, _ = self._pieces.query(centre, distance_upper_bound=reach + r + self._piece_radius + _SLACK)
        kept = np.isfinite(above)
        key, centre, above = key[kept], centre[kept], above[kept]
        if not len(key):
            return
        found = self._pieces.query_ball_point(centre, above + 2 * r + self._piece_radius + _SLACK)
        number = np.array([len(entry) for entry in found])
        piece = np.concatenate([np.asarray(entry, dtype=np.int64) for entry in found])
        pair = np.sort(np.repeat(np.arange(len(key)), number) * len(self.faces) + self._piece_of[piece])
        pair = pair[np.diff(pair, prepend=-1) > 0]
        cell, t = pair // len(self.faces), pair % len(self.faces)
        d = np.sqrt(self._squared(centre[cell], t)[0])
        least = np.minimum.reduceat(d, np.searchsorted(cell, np.arange(len(key))))
        wanted = d <= least[cell] + 2 * r + _SLACK
        cell, t, d = cell[wanted], t[wanted], d[wanted]
        order = np.lexsort((d, cell))
        cells, number = np.unique(cell, return_counts=True)
        # A closed surface that does not pass through a cell leaves all of it on one side.
        state = np.full(len(cells), -1)
        clear = (least[cells] > r) & self.closed
        state[clear] = self._inside(centre[cells[clear]])
        self._first = np.append(self._first, len(self._triangle) + np.cumsum(number) - number)
        self._number = np.append(self._number, number)
        self._centre = np.concatenate([self._centre, centre[cells]])
        self._state = np.append(self._state, state)
        self._triangle = np.append(self._triangle, t[order].astype(np.int32))
        self._distance = np.append(self._distance, d[order])
        keys = np.append(self._keys, key[cells])
        slots = np.append(self._order, len(self._order) + np.arange(len(cells)))
        rank = np.argsort(keys, kind="stable")
        self._keys, self._order = keys[rank], slots[rank]

    def _forget(self) -> None:
        """Empty lists."""
        whole = np.zeros(0, dtype=np.int64)
        self._keys, self._order, self._first, self._number, self._state = (whole,) * 5
        self._triangle = whole.astype(np.int32)
        self._centre, self._distance = np.zeros((0, 3)), np.zeros(0)

    def _lay_flat(self) -> None:
        """Every triangle in its own plane: corners (0, 0), (l, 0) and (cx, cy), cy > 0, and the axes of that plane."""
        a, b, c = self.vertices[self.faces].swapaxes(0, 1)
        length = np.linalg.norm(b - a, axis=1)
        x = (b - a) / length[:, None]
        z = np.cross(b - a, c - a)
        z /= np.linalg.norm(z, axis=1, keepdims=True)
        self._axes, self._origin = np.stack([x, np.cross(z, x), z], axis=1), a
        cx, cy = np.einsum("fij,fj->if", self._axes[:, :2], c - a)
        ac, bc = cx**2 + cy**2, (cx - length) ** 2 + cy**2
        self._flat = np.stack([length, cx, cy, 1 / length, 1 / ac, 1 / bc], axis=1)

    def _squared(self, x: np.ndarray, t: np.ndarray) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, "m 2"]]:
        """Squared distance of point i to triangle t[i], and the nearest place in the triangle's plane."""
        u, v, h = np.einsum("mij,mj->im", self._axes[t], x - self._origin[t])
        length, cx, cy, per_ab, per_ac, per_bc = self._flat[t].T
        s = np.clip(u * per_ab, 0, 1) * length
        found = (u - s) ** 2 + v**2, s, np.zeros_like(s)
        s = np.clip((u * cx + v * cy) * per_ac, 0, 1)
        found = _nearer(found, u, v, s * cx, s * cy)
        ex = cx - length
        s = np.clip(((u - length) * ex + v * cy) * per_bc, 0, 1)
        best, best_u, best_v = _nearer(found, u, v, length + s * ex, s * cy)
        over = (v >= 0) & (u * cy >= v * cx) & ((u - length) * cy <= v * ex)
        place = np.stack([np.where(over, u, best_u), np.where(over, v, best_v)], axis=1)
        return np.where(over, 0.0, best) + h**2, place

    def _cut(self) -> None:
        """A tree of the centres of small pieces of the triangles."""
        corners = self.vertices[self.faces]
        most = max(_PIECE, float(np.ptp(self.vertices, axis=0).max()) / 40)
        owner, done = np.arange(len(corners)), []
        while len(corners):
            edge = np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=-1)
            long = edge.max(axis=1) > most
            done.append((corners[~long], owner[~long]))
            # Halved at the longest edge, which goes from corner k to the next one.
            corners, owner = corners[long], owner[long]
            turn = (edge[long].argmax(axis=1)[:, None] + np.arange(3)) % 3
            a, b, c = np.take_along_axis(corners, turn[..., None], axis=1).swapaxes(0, 1)
            middle = (a + b) / 2
            corners = np.concatenate([np.stack([a, middle, c], axis=1), np.stack([middle, b, c], axis=1)])
            owner = np.tile(owner, 2)
        pieces, self._piece_of = (np.concatenate(part) for part in zip(*done, strict=True))
        centre = pieces.mean(axis=1)
        self._piece_radius = float(np.linalg.norm(pieces - centre[:, None], axis=-1).max())
        self._pieces = KDTree(centre)


def _nearer(found: tuple[np.ndarray, ...], u: np.ndarray, v: np.ndarray, s: np.ndarray, t: np.ndarray) -> tuple:
    """The nearer of two candidates (squared distance, place) to (u, v)."""
    squared = (u - s) ** 2 + (v - t) ** 2
    nearer = squared < found[0]
    return np.where(nearer, squared, found[0]), np.where(nearer, s, found[1]), np.where(nearer, t, found[2])


def _ranges(first: Int[np.ndarray, " n"], number: Int[np.ndarray, " n"]) -> Int[np.ndarray, " m"]:
    """``first[i], first[i] + 1, ...``, `number[i]` of them, for one i after the other."""
    end = np.cumsum(number)
    return np.arange(number.sum()) + np.repeat(first - end + number, number)
