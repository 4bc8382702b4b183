"""From a cloud with outward normals to a closed shape: what lies behind the planes of the nearest points.

Inside is what is within the hull of all points and, by the mean over the nearest points that face the same way,
behind them (Eq. 11). Where two sides of a wall are nearer to each other than a grid can tell, the wall is drawn as
thick as the grid can: so bowls and mugs stay hollow, with walls of some millimetres. Of a cloud that shows one side of
a thing, nothing is guessed here: what is missing is closed by the hull.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import ConvexHull, KDTree

from unihm.simulation.closed_shape import closed_shape

_CELL, _CELLS = 0.003, 36  # m, and along the longest side: width of the grid, as for perceived shapes
_PLANES = 6  # of the nearest points, whose mean takes the noise out
_SAME = 0.7  # cosine between normals of points on one side of an edge, or of a wall
_AROUND = 12  # neighbours among which the other side of a wall is looked for
_THIN = 0.005  # m; of a wall, at most
_OPPOSITE = -0.5  # cosine between the normals of its two sides
_HALF = 0.6  # of a cell is half of the thickness that such a wall gets
_SPREAD = 1.5  # of the points' distance from each other is how far around a point its wall goes


def closed_cloud(
    points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"]
) -> tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"], tuple[Float[np.ndarray, "_ 3"], ...]]:
    """The surface of a cloud's solid and convex parts that fill it.

    Args:
        points: On the surface, m; at least four, not in one plane.
        normals: Outward unit normals.

    Returns:
        Vertices (m), faces that look outward, and the corners of the parts (m).

    Raises:
        ValueError: The normals leave nothing inside.
    """
    planes = ConvexHull(points).equations
    low, high = points.min(axis=0), points.max(axis=0)
    cell = max(_CELL, float((high - low).max()) / _CELLS)
    tree = KDTree(points)
    spacing = float(np.median(np.asarray(tree.query(points, k=2)[0])[:, 1]))
    thin = _thin(points, normals, tree)
    k = min(_PLANES, len(points))

    def outside(x: np.ndarray) -> np.ndarray:
        away, near = (np.asarray(a).reshape(len(x), k) for a in tree.query(x, k=k))
        heights = np.einsum("nki,nki->nk", x[:, None] - points[near], normals[near])
        same = np.einsum("nki,ni->nk", normals[near], normals[near[:, 0]]) > _SAME
        height = (heights * same).sum(axis=1) / same.sum(axis=1)
        aside = np.sqrt(np.maximum(away[:, 0] ** 2 - heights[:, 0] ** 2, 0.0))
        wall = np.maximum(np.abs(height) - _HALF * cell, aside - _SPREAD * spacing)
        height = np.where(thin[near[:, 0]], np.minimum(height, wall), height)
        return np.clip(np.maximum((x @ planes[:, :3].T + planes[:, 3]).max(axis=1), height), -2 * cell, 2 * cell)

    try:
        return closed_shape(outside, low, high, cell)
    except ValueError as error:
        raise ValueError(
            "The object cloud's normals leave nothing inside: they must point outward. Its hull needs none."
        ) from error


def _thin(points: np.ndarray, normals: np.ndarray, tree: KDTree) -> Bool[np.ndarray, " n"]:
    """Whether right behind each point there is another side."""
    near = np.asarray(tree.query(points, k=min(_AROUND, len(points)))[1])
    behind = -np.einsum("nki,ni->nk", points[near] - points[:, None], normals)
    other = np.einsum("nki,ni->nk", normals[near], normals) < _OPPOSITE
    return (other & (behind >= -1e-3) & (behind < _THIN)).any(axis=1)
