"""A depth image seen from straight above: the top-down heightmap that CLIPort works on.

Columns lead to the right and rows toward the camera, as it sees them, so the map is an image like the camera's own and
`crops.crop` takes it as one (``view="top"``).

Letters: H and W of the camera's image, h and w of the map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt8

from unihm.cliport.crops import view_axes

CELL = 0.003125
"""Edge of a cell, m (CLIPort: 3.125 mm)."""
GRID = (160, 320)
"""Least rows and columns: half a metre away and one metre across, CLIPort's workspace."""
_MOST = 640  # rows or columns; two metres
_HEIGHTS = (-0.02, 0.5)  # m above the table; what lies lower is the floor, what stands higher the surroundings
_STANDS = 0.008  # m; what lies lower is the table
_ROOM = 0.08  # m about what stands on the table
_FILLED = 6  # of the 8 cells around an empty one: it is a gap between two rows of pixels, no outline or shadow


@dataclass(frozen=True, kw_only=True, eq=False)
class Heightmap:
    """The highest point over every cell of a grid on the table."""

    colour: UInt8[np.ndarray, "h w 3"]
    """RGB of that point; black where there is none."""
    points_world: Float[np.ndarray, "h w 3"]
    """The point, m; 0 where there is none."""
    valid: Bool[np.ndarray, "h w"]
    """Cells that a point was seen over."""
    source: Int[np.ndarray, "h w"]
    """The pixel that it came from, counted along the rows of the camera's image; -1 where there is none."""

    def seen_from_above(self, values: Shaped[np.ndarray, "H W"], outside: Any = 0) -> Shaped[np.ndarray, "h w"]:
        """A map over the camera's image, for example of labels, as a map over the grid."""
        return np.where(self.valid, values.ravel()[self.source.clip(min=0)], values.dtype.type(outside))


def heightmap(
    *,
    points_world: Float[np.ndarray, "H W 3"],
    colour: UInt8[np.ndarray, "H W 3"],
    valid: Bool[np.ndarray, "H W"],
    T_world_camera: Float[np.ndarray, "4 4"],
    grid: tuple[int, int] | None = None,
) -> Heightmap:
    """The heightmap around what stands on the table.

    Args:
        points_world: What every pixel shows, in the z-up world with the table at z = 0, m.
        colour: RGB.
        valid: Pixels with a depth.
        T_world_camera: Pose of the camera, which says where right and away are.
        grid: Rows and columns; None takes `GRID`, or more where things stand farther apart.

    Raises:
        ValueError: No point lies on the table or above it.
    """
    candidates = np.flatnonzero(valid & (points_world[..., 2] > _HEIGHTS[0]) & (points_world[..., 2] < _HEIGHTS[1]))
    if not len(candidates):
        raise ValueError("The heightmap is empty: no point lies on the table or up to half a metre above it.")
    points = points_world.reshape(-1, 3)[candidates]
    flat = points @ view_axes(T_world_camera)[:2].T
    standing = flat[points[:, 2] > _STANDS]
    low, high = np.percentile(standing if len(standing) else flat, (1, 99), axis=0)
    if grid is None:
        needed = np.ceil((high - low + 2 * _ROOM) / CELL).astype(int)
        grid = (int(np.clip(needed[1], GRID[0], _MOST)), int(np.clip(needed[0], GRID[1], _MOST)))
    rows, columns = grid
    offset = (flat - (low + high) / 2) / CELL
    row = np.floor(rows / 2 - offset[:, 1]).astype(np.int64)
    column = np.floor(columns / 2 + offset[:, 0]).astype(np.int64)
    inside = np.flatnonzero((row >= 0) & (row < rows) & (column >= 0) & (column < columns))
    upward = inside[np.argsort(points[inside, 2], kind="stable")]
    source = np.full(rows * columns, -1)
    # Of several values for one cell the last one stays, which is the highest.
    source[row[upward] * columns + column[upward]] = candidates[upward]
    source = _filled(source.reshape(rows, columns), points_world[..., 2].ravel())
    seen = source >= 0
    return Heightmap(
        colour=np.where(seen[..., None], colour.reshape(-1, 3)[source], np.uint8(0)),
        points_world=np.where(seen[..., None], points_world.reshape(-1, 3)[source], 0.0),
        valid=seen,
        source=source,
    )


def _filled(source: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Gaps between pixels get the highest of the points around them."""
    rows, columns = source.shape
    padded = np.pad(source, 1, constant_values=-1)
    around = np.stack([padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3) if (i, j) != (1, 1)])
    height = np.where(around >= 0, heights[around], -np.inf)
    highest = np.take_along_axis(around, height.argmax(axis=0)[None], axis=0)[0]
    return np.where((source < 0) & ((around >= 0).sum(axis=0) >= _FILLED), highest, source)
