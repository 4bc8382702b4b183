"""A whole view as the view network sees it: colour and geometry of every cell, 320 cells wide.

Geometry is told as in `crops`: in the view-aligned world frame, x to the right and y away as the camera sees it, z up
from the table.

Letters: H and W of the image, h and w of the cells, C = `VIEW_CHANNELS`.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from unihm.cliport.crops import surface_normals, view_axes

CELLS = 320
"""Cells along the width of a view, unless said otherwise."""
VIEW_CHANNELS = (
    *("red", "green", "blue"),  # 0 to 1, the mean over a cell
    "valid",  # 1 where there is a depth
    "height",  # above the table, m
    *("normal_right", "normal_away", "normal_up"),  # unit, to the camera; 0 where unknown
    "nearness",  # inverse depth along the optical axis, 1/m; it says how large things appear
)
"""What a view tells of every cell; those after the colours need depth and are 0 where there is none."""
COLOUR_CHANNELS = VIEW_CHANNELS.index("valid")
"""The first so many need no depth."""

_HEIGHTS = (-0.1, 0.6)  # m; what lies beyond is the surroundings, however far
_NEAREST = 0.25  # m; no depth camera sees nearer
_SMOOTH, _STEP = 3, 1  # cells; see `crops.surface_normals`: half of what an image of twice the width takes


def cells_of(height: int, width: int, cells: int = CELLS) -> tuple[int, int]:
    """Rows and columns of the cells of an image that has so many along its width."""
    return max(round(height * cells / width), 1), cells


def view_input(
    *,
    colour: UInt8[np.ndarray, "H W 3"],
    points_world: Float[np.ndarray, "H W 3"],
    valid: Bool[np.ndarray, "H W"],
    T_world_camera: Float[np.ndarray, "4 4"],
    cells: int = CELLS,
) -> Float[np.ndarray, "C h w"]:
    """`VIEW_CHANNELS` of every cell, float32.

    Args:
        colour: RGB.
        points_world: What every pixel shows, in the z-up world with the table at z = 0, m.
        valid: Pixels with a depth.
        T_world_camera: Pose of the camera.
        cells: Along the width.
    """
    height, width = valid.shape
    rows, columns = cells_of(height, width, cells)
    row, column = nearest_pixels(height, rows), nearest_pixels(width, columns)
    points = points_world[row[:, None], column]
    seen = valid[row[:, None], column]
    view = np.zeros((len(VIEW_CHANNELS), rows, columns), dtype=np.float32)
    means = Image.fromarray(colour).resize((columns, rows), Image.Resampling.BOX)
    view[:COLOUR_CHANNELS] = np.moveaxis(np.asarray(means), -1, 0) / np.float32(255)
    depth = (points - T_world_camera[:3, 3]) @ T_world_camera[:3, 2]
    view[3] = seen
    view[4] = points[..., 2].clip(*_HEIGHTS) * seen
    normals = surface_normals(points, seen, _SMOOTH, _STEP)
    view[5:8] = np.moveaxis(normals @ view_axes(T_world_camera).T.astype(np.float32), -1, 0)
    view[8] = seen / depth.clip(_NEAREST)
    return view


def nearest_pixels(pixels: int, cells: int) -> np.ndarray:
    """Along one axis, the pixel that the centre of each cell lies in; or the cell of each pixel, if exchanged."""
    return ((np.arange(cells) + 0.5) * pixels / cells).astype(np.int64)
