"""A closed surface and convex parts of a solid that is known as a function: positive outside, negative inside.

The level 0 is drawn on a grid with one vertex in each cell that it crosses ("surface nets"), which closes whatever the
function is. The grid points inside are cut by planes into parts that their convex hulls fill: coarser than CoACD
(`decomposition`), but in a fraction of a second, for shapes that are seen once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import ConvexHull

_CUTS = 4  # places tried along each direction
_DIRECTIONS = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0], [1, 1, 0], [1, -1, 0]])
_VOID = 0.1  # share of the volume by which the hulls may be too large; the roughness of noisy surfaces makes half of it
_EVEN = 0.1  # of a piece's emptiness is what a cut that splits nothing off costs
_FEW = 16  # grid points; smaller pieces are not cut


def closed_shape(
    outside: Callable[[Float[np.ndarray, "n 3"]], Float[np.ndarray, " n"]],
    low: Float[np.ndarray, " 3"],
    high: Float[np.ndarray, " 3"],
    cell: float,
    max_parts: int = 16,
) -> tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"], tuple[Float[np.ndarray, "_ 3"], ...]]:
    """A closed triangle mesh of the places where a function is negative, and convex parts that fill it.

    Args:
        outside: Places (m) to a number whose sign says on which side they are; best a distance, m.
        low: A corner of the box that holds the solid, m.
        high: The other corner.
        cell: Width of the grid's cells, m.
        max_parts: At most so many parts.

    Returns:
        Vertices (m), faces that look outward, and the corners of the parts (m).

    Raises:
        ValueError: The function is negative nowhere on the grid.
    """
    corner = low - 1.5 * cell
    shape = tuple((np.ceil((high - corner) / cell) + 3).astype(int).tolist())
    values = outside((corner + cell * _indices(shape)).reshape(-1, 3)).reshape(shape)
    for axis in range(3):  # the border is outside, whatever the function says: the surface must close
        np.moveaxis(values, axis, 0)[[0, -1]] = np.maximum(np.moveaxis(values, axis, 0)[[0, -1]], cell)
    inside = values < 0
    if not inside.any():
        raise ValueError(f"The shape holds no point of a grid of {1000 * cell:.1f} mm.")
    dual = corner + cell * _dual_vertices(values)
    vertices, faces = _surface(inside, dual)
    return vertices, faces, _parts(inside, dual, cell, max_parts)


def _indices(shape: Sequence[int]) -> np.ndarray:
    return np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)


def _dual_vertices(values: np.ndarray) -> np.ndarray:
    """In each cell between eight grid points the mean of where the level crosses its edges, else its middle; cells."""
    shape = np.array(values.shape) - 1
    total, count = np.zeros((*shape, 3)), np.zeros(shape)
    for axis in range(3):
        others = [i for i in range(3) if i != axis]
        for shift in itertools.product((0, 1), repeat=2):
            start = np.zeros(3, dtype=int)
            start[others] = shift
            end = start + np.eye(3, dtype=int)[axis]
            a, b = (values[_block(offset, shape)] for offset in (start, end))
            crossing = (a < 0) != (b < 0)
            share = np.where(crossing, a / np.where(crossing, a - b, 1.0), 0.0)
            place = start + share[..., None] * np.eye(3)[axis]
            total += crossing[..., None] * place
            count += crossing
    local = np.where(count[..., None] > 0, total / np.maximum(count, 1)[..., None], 0.5)
    return local + _indices(shape.tolist())


def _block(start: np.ndarray, shape: np.ndarray) -> tuple[slice, ...]:
    return tuple(map(slice, start, start + shape))


def _surface(inside: Bool[np.ndarray, "a b c"], dual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two triangles for every grid edge from inside to outside, between the vertices of the four cells around it."""
    number = np.arange(np.prod(dual.shape[:3])).reshape(dual.shape[:3])
    quads = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        moved = np.moveaxis(inside, (axis, u, v), (0, 1, 2))
        cells = np.moveaxis(number, (axis, u, v), (0, 1, 2))
        a, b = moved[:-1, 1:-1, 1:-1], moved[1:, 1:-1, 1:-1]
        for leaving, order in ((a & ~b, (0, 1, 2, 3)), (~a & b, (3, 2, 1, 0))):
            i, j, k = np.nonzero(leaving)
            # Grid point (j + 1, k + 1) is the corner that cells (j, k), (j + 1, k), (j + 1, k + 1), (j, k + 1) share.
            around = np.stack([cells[i, j, k], cells[i, j + 1, k], cells[i, j + 1, k + 1], cells[i, j, k + 1]], axis=1)
            quads.append(around[:, order])
    quad = np.concatenate(quads)
    faces = np.concatenate([quad[:, [0, 1, 2]], quad[:, [0, 2, 3]]])
    used, index = np.unique(faces, return_inverse=True)
    return dual.reshape(-1, 3)[used], index.reshape(-1, 3)


def _parts(inside: np.ndarray, dual: np.ndarray, cell: float, max_parts: int) -> tuple[np.ndarray, ...]:
    """Best-first cuts: always the piece whose hull holds most emptiness, at the plane that leaves least of it."""
    pieces = [_Piece(np.argwhere(inside), dual, cell)]
    allowed = _VOID * cell**3 * np.count_nonzero(inside)
    finished: list[_Piece] = []
    while pieces and len(pieces) + len(finished) < max_parts:
        if sum(piece.void for piece in (*pieces, *finished)) < allowed:
            break
        worst = pieces.pop(max(range(len(pieces)), key=lambda i: pieces[i].void))
        halves = worst.cut()
        if halves is None:
            finished.append(worst)
        else:
            pieces.extend(halves)
    return tuple(piece.corners for piece in (*finished, *pieces))


class _Piece:
    """Some grid points, and the hull of the vertices in the cells around them."""

    def __init__(self, index: Int[np.ndarray, "n 3"], dual: np.ndarray, cell: float):
        self.index, self._dual, self._cell = index, dual, cell
        # For its volume it is enough to look at the ends of each column of grid points.
        hull = ConvexHull(self._around(_column_ends(index, axis=2)))
        # A cell at a cut belongs half to each side, as a grid point does with its surroundings.
        self.void = max(0.0, float(hull.volume) - cell**3 * len(index))

    @property
    def corners(self) -> Float[np.ndarray, "_ 3"]:
        """Of its hull, m."""
        around = self._around(np.concatenate([_column_ends(self.index, axis) for axis in range(3)]))
        return around[ConvexHull(around).vertices]

    def _around(self, index: np.ndarray) -> np.ndarray:
        """The vertices in the eight cells around each grid point, which never lie in one plane."""
        cells = np.concatenate([index + shift for shift in itertools.product((-1, 0), repeat=3)])
        return self._dual.reshape(-1, 3)[np.unique(np.ravel_multi_index(tuple(cells.T), self._dual.shape[:3]))]

    def cut(self) -> tuple[_Piece, _Piece] | None:
        """The best two halves; None for a piece too small to cut."""
        if len(self.index) < _FEW:
            return None
        best: tuple[_Piece, _Piece] | None = None
        least = np.inf
        for direction in _DIRECTIONS:
            along = self.index @ direction
            for place in np.unique(np.linspace(along.min(), along.max(), _CUTS + 2)[1:-1].astype(int)) + 0.5:
                left = along < place
                if left.all() or not left.any():
                    continue
                one, two = (_Piece(self.index[side], self._dual, self._cell) for side in (left, ~left))
                # The first cuts of a bowl gain nothing, so among equals the even one counts.
                score = one.void + two.void + _EVEN * self.void * abs(2 * left.mean() - 1)
                if score < least:
                    best, least = (one, two), score
        return best


def _column_ends(index: Int[np.ndarray, "n 3"], axis: int) -> Int[np.ndarray, "m 3"]:
    """The first and the last grid point of every column along an axis."""
    others = [i for i in range(3) if i != axis]
    order = np.lexsort((index[:, axis], index[:, others[1]], index[:, others[0]]))
    sorted_index = index[order]
    new = (np.diff(sorted_index[:, others], axis=0) != 0).any(axis=1)
    first = np.concatenate([[True], new])
    last = np.concatenate([new, [True]])
    return np.concatenate([sorted_index[first], sorted_index[last]])
