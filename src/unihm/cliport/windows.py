"""Square windows around things in an image, and maps brought from the image into a window and back.

A window is ``(left, top, side)`` in pixels. Integer pixels are pixel centres, so pixel u covers u - 0.5 to u + 0.5 and
a window that covers the whole image starts at -0.5. It may leave the image. It has `SIZE` x `SIZE` cells.

Letters: P proposals, H and W of the image, s = `SIZE`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped

SIZE = 64
"""Cells along each edge of a window."""
MARGIN = 1.35
"""Edge of a window over the longer edge of the box around the thing."""


def windows_around(masks: Bool[np.ndarray, "P H W"]) -> Float[np.ndarray, "P 3"]:
    """The window around each thing.

    Raises:
        ValueError: A mask has no pixel.
    """
    empty = np.flatnonzero(~masks.any(axis=(1, 2)))
    if len(empty):
        raise ValueError(f"Proposal {empty[0]} of {len(masks)} has no pixel; leave it out.")
    (top, bottom), (left, right) = (_ends(np.asarray(masks.any(axis=axis))) for axis in (2, 1))
    side = MARGIN * np.maximum(bottom - top + 1, right - left + 1)
    return np.stack([(left + right - side) / 2, (top + bottom - side) / 2, side], axis=1)


def in_window(
    values: Shaped[np.ndarray, "H W *channels"], window: Float[np.ndarray, " 3"], outside: Any = 0
) -> Shaped[np.ndarray, "s s *channels"]:
    """The value of the nearest pixel in every cell, for labels and geometry.

    Args:
        values: A map over the image.
        window: Left, top and side, pixels.
        outside: Value of cells beyond the image.
    """
    rows, columns = _nearest_pixels(window)
    height, width = values.shape[:2]
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    # One gather over flat indices takes half the time of two index arrays.
    flat = rows.clip(0, height - 1)[:, None] * width + columns.clip(0, width - 1)
    taken = values.reshape(height * width, *values.shape[2:]).take(flat, axis=0)
    taken[~inside] = outside
    return taken


def area_in_window(
    image: Shaped[np.ndarray, "H W channels"], window: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, "s s channels"]:
    """The mean over the area of every cell, for colours; the image counts as 0 beyond its edge."""
    left, top, side = window
    rows, down = _overlaps(top, side, image.shape[0])
    columns, across = _overlaps(left, side, image.shape[1])
    part = image[rows, columns].astype(np.float32)
    narrow = (down @ part.reshape(part.shape[0], -1)).reshape(SIZE, part.shape[1], -1)
    # One product of matrices; a product for each row takes ten times as long.
    turned = across @ narrow.swapaxes(0, 1).reshape(part.shape[1], -1)
    return turned.reshape(SIZE, SIZE, -1).swapaxes(0, 1)


def in_image(
    values: Shaped[np.ndarray, "s s"], window: Float[np.ndarray, " 3"], height: int, width: int, outside: Any = 0
) -> Shaped[np.ndarray, "{height} {width}"]:
    """A map over the window's cells as a map over the image: every pixel takes the cell that its centre lies in.

    Args:
        values: A map over the cells.
        window: Left, top and side, pixels.
        height: Of the image, pixels.
        width: Of the image, pixels.
        outside: Value of pixels outside the window.
    """
    left, top, side = window
    rows = np.floor((np.arange(height) - top) / side * SIZE).astype(np.int64)
    columns = np.floor((np.arange(width) - left) / side * SIZE).astype(np.int64)
    inside_rows, inside_columns = (rows >= 0) & (rows < SIZE), (columns >= 0) & (columns < SIZE)
    result = np.full((height, width), outside, dtype=values.dtype)
    result[np.ix_(inside_rows, inside_columns)] = values[np.ix_(rows[inside_rows], columns[inside_columns])]
    return result


def pixel_of_cell(window: Float[np.ndarray, " 3"], row: int, column: int) -> tuple[float, float]:
    """(u, v) of the centre of a cell, pixels; it may lie outside the image."""
    left, top, side = window
    return float(left + (column + 0.5) * side / SIZE), float(top + (row + 0.5) * side / SIZE)


def _ends(occupied: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last True in each row."""
    return occupied.argmax(axis=1), occupied.shape[1] - 1 - occupied[:, ::-1].argmax(axis=1)


def _nearest_pixels(window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    left, top, side = window
    centres = (np.arange(SIZE) + 0.5) * side / SIZE
    return np.floor(top + centres + 0.5).astype(np.int64), np.floor(left + centres + 0.5).astype(np.int64)


def _overlaps(start: float, side: float, pixels: int) -> tuple[slice, np.ndarray]:
    """Pixels that the window meets along one axis, and the share (s, n) of every cell that each of them covers."""
    edges = start + np.arange(SIZE + 1) * side / SIZE
    first, last = max(int(np.floor(start + 0.5)), 0), min(int(np.ceil(start + side + 0.5)), pixels)
    pixel = np.arange(first, last)
    share = np.minimum(edges[1:, None], pixel + 0.5) - np.maximum(edges[:-1, None], pixel - 0.5)
    return slice(first, last), (share.clip(min=0) * SIZE / side).astype(np.float32)
