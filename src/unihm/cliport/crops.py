"""Things in an image as the planner's network sees them: a square crop of colour and geometry, and metric facts.

Geometry is told in the view-aligned world frame: x to the right and y away as the camera sees it, z up from the table;
so the same thing looks the same from every side of the table, and "left" and "behind" are directions of the crop.

Letters: P proposals, H and W of the image, C = `CHANNELS`, M = `MEASURES`, s = `windows.SIZE`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, UInt8

from unihm.cliport.color_names import COLORS, color_shares
from unihm.cliport.windows import MARGIN, SIZE, area_in_window, in_window, windows_around

CHANNELS = (
    *("red", "green", "blue"),  # 0 to 1, the mean over a cell
    "mask",  # 1 where the proposal is
    "valid",  # 1 where there is a depth
    "height",  # above the table, m
    *("normal_right", "normal_away", "normal_up"),  # unit, to the camera; 0 where unknown
    *("right", "away"),  # from the proposal's median, in units of the crop's size
)
"""What a crop tells of every cell; those after ``mask`` need depth and are 0 where there is none."""
PICTURE_CHANNELS = CHANNELS.index("valid")
"""The first so many need no depth."""

_COLOUR_BINS = 3
MEASURES = {
    "share": (-2.0, 1.0),  # of the image's pixels, log10
    "image_right": (0.0, 0.5),  # centre of the window from the centre of the image, in image widths
    "image_down": (0.0, 0.5),  # in image heights
    "window": (0.25, 0.2),  # edge of the window, in image widths
    "border": (0.0, 0.1),  # share of its pixels on the border of the image
    "top": (0.0, 1.0),  # 1 for a top-down heightmap
    **{name: (0.45, 0.25) for name in ("red", "green", "blue")},  # means, 0 to 1
    **{f"{c}_{i}": (0.33, 0.33) for c in ("red", "green", "blue") for i in range(_COLOUR_BINS)},  # share in each third
    **{f"named_{name}": (0.1, 0.2) for name in COLORS},  # share of its pixels that people call so
    "right": (0.0, 0.2),  # median position from the point of the table under the camera, m
    "away": (0.7, 0.2),
    "low": (0.0, 0.05),  # 2nd percentile of the heights, m
    "high": (0.1, 0.1),  # 98th
    "tall": (0.1, 0.1),  # their difference, m
    "long": (0.1, 0.1),  # between the same percentiles along its principal horizontal axis, m
    "wide": (0.07, 0.07),  # and across it
}
"""Facts of a proposal, each with the centre and scale that bring household things to order one."""
PICTURE_MEASURES = list(MEASURES).index("right")
"""The first so many need no depth."""

_ENDS = (2.0, 98.0)  # percentiles; leaves out the flying pixels at a thing's outline
_FACTS_FROM = 2000  # pixels of a proposal, evenly; percentiles of more say no more
_LEAST_SIZE = 0.01  # m; of a crop
_EVERY = 97  # pixel tells where the points are; prime, so that no column is preferred
_FAR = 2.0  # crop sizes, or metres of height; what lies farther is the surroundings, however far
# Pixels that normals are smoothed over and taken across: a camera at 1 m shows 2 mm a pixel, a heightmap 3 mm.
_SMOOTH_AND_STEP = {"camera": (5, 2), "top": (3, 1)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Crops:
    """All proposals of one image."""

    images: Float[np.ndarray, "P C s s"]
    """`CHANNELS` of every cell, float16."""
    measures: Float[np.ndarray, "P M"]
    """`MEASURES`, in the units stated there, float32."""
    windows: Float[np.ndarray, "P 3"]
    """Left, top and side of the window, pixels; see `windows`."""

    def __len__(self) -> int:
        return len(self.images)


def crop(
    *,
    colour: UInt8[np.ndarray, "H W 3"],
    points_world: Float[np.ndarray, "H W 3"],
    valid: Bool[np.ndarray, "H W"],
    T_world_camera: Float[np.ndarray, "4 4"],
    masks: Bool[np.ndarray, "P H W"],
    view: Literal["camera", "top"] = "camera",
) -> Crops:
    """Crops of proposals, which may overlap.

    Args:
        colour: RGB.
        points_world: What every pixel shows, in the z-up world with the table at z = 0, m.
        valid: Pixels with a depth.
        T_world_camera: Pose of the camera; of a heightmap the pose of the camera that it was made from.
        masks: Pixels of each proposal.
        view: Whether this is a camera's image or a heightmap of `rasters`.

    Raises:
        ValueError: A proposal has no pixel, or none with a depth.
    """
    height, width = valid.shape
    windows = windows_around(masks)
    R = view_axes(T_world_camera)
    images = np.zeros((len(masks), len(CHANNELS), SIZE, SIZE), dtype=np.float16)
    measures = np.zeros((len(masks), len(MEASURES)), dtype=np.float32)
    if not len(masks):
        return Crops(images=images, measures=measures, windows=windows)
    rows, columns = _seen_by(windows, height, width)
    normals = surface_normals(points_world[rows, columns], valid[rows, columns], *_SMOOTH_AND_STEP[view])
    corner = np.array([columns.start, rows.start, 0.0])
    foot, R32 = R @ T_world_camera[:3, 3], R.astype(np.float32)
    for i, (mask, window) in enumerate(zip(masks, windows, strict=True)):
        seen = np.flatnonzero(mask)
        with_depth = seen[valid.ravel()[seen]]
        if not len(with_depth):
            raise ValueError(f"Proposal {i} of {len(masks)} has no pixel with a depth; leave it out.")
        points = points_world.reshape(-1, 3)[_thinned(with_depth)] @ R.T
        extents = _extents(points)
        size = max(MARGIN * max(extents["tall"], extents["long"], extents["wide"]), _LEAST_SIZE)
        middle = np.median(points, axis=0)
        facts = {
            **_picture_facts(seen, window, colour, view),
            **_colour_facts(colour.reshape(-1, 3)[_thinned(seen)]),
            **extents,
            "right": middle[0] - foot[0],
            "away": middle[1] - foot[1],
        }
        images[i, :3] = np.moveaxis(area_in_window(colour, window), -1, 0) / 255
        images[i, 3] = in_window(mask, window)
        facts |= named_colours(images[i])
        measures[i] = [facts[name] for name in MEASURES]
        here = in_window(valid, window)
        places = R @ in_window(points_world, window).reshape(-1, 3).T * here.ravel()
        beside = (places[:2] - middle[:2, None] * here.ravel()) / size
        images[i, 4] = here
        images[i, 5] = places[2].clip(-_FAR, _FAR).reshape(SIZE, SIZE)
        images[i, 6:9] = (R32 @ in_window(normals, window - corner).reshape(-1, 3).T).reshape(3, SIZE, SIZE)
        images[i, 9:] = beside.clip(-_FAR, _FAR).reshape(2, SIZE, SIZE)
    return Crops(images=images, measures=measures, windows=windows)


def named_colours(image: Float[np.ndarray, "C s s"]) -> dict[str, float]:
    """The measures that say which colours people would name: of a crop's cells, so that noise is averaged."""
    shown = image[3] > 0
    cells = image[:3, shown] if shown.any() else image[:3].reshape(3, -1)
    shares = color_shares(np.round(255 * cells.T.astype(np.float32)).clip(0, 255).astype(np.uint8))
    return {f"named_{name}": share for name, share in shares.items()}


def view_axes(T_world_camera: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "3 3"]:
    """R_view_world: unit vectors right, away and up, as the camera sees them, in rows."""
    # Of a camera that looks ahead its axis, of one that looks straight down the image's upward direction leads away.
    away = T_world_camera[:2, 2] - T_world_camera[:2, 1]
    away = away / np.linalg.norm(away)
    return np.array([[away[1], -away[0], 0.0], [away[0], away[1], 0.0], [0.0, 0.0, 1.0]])


def surface_normals(
    points: Float[np.ndarray, "H W 3"], valid: Bool[np.ndarray, "H W"], smooth: int = 5, step: int = 2
) -> Float[np.ndarray, "H W 3"]:
    """Unit normals of the surface in an image, to the camera; 0 where there is no depth or no neighbour with one.

    Points are averaged over the pixels around them. The tangent along rows and columns is the mean of the differences
    to both sides, weighted by the inverse of their squared length, so that one across an edge in depth hardly counts.

    Args:
        points: What the pixels show, in any frame, m.
        valid: Pixels with a depth.
        smooth: Edge of the square that is averaged over, pixels.
        step: Between the points of a difference, pixels.
    """
    plane = np.empty((4, *valid.shape), dtype=np.float32)
    # About a point nearby, because float32 sums far from the origin lose the millimetres.
    some = np.flatnonzero(valid)[::_EVERY]
    origin = points.reshape(-1, 3)[some].mean(axis=0) if len(some) else np.zeros(3)
    plane[:3] = np.moveaxis(points - origin, -1, 0)
    plane[3] = 1
    plane *= valid
    plane = _summed(_summed(plane, smooth, 1), smooth, 2)
    smoothed = plane[:3] / np.maximum(plane[3], 1e-6)
    across, down = (_tangent(smoothed, valid, step, axis) for axis in (1, 0))
    # Columns to the right and rows down: their cross product in this order points to where the image was taken from.
    normal = np.stack([down[i - 2] * across[i - 1] - down[i - 1] * across[i - 2] for i in range(3)])
    length = np.sqrt((normal**2).sum(axis=0))
    normal *= valid / np.maximum(length, 1e-12)
    return np.ascontiguousarray(np.moveaxis(normal, 0, -1))


def _summed(planes: np.ndarray, count: int, axis: int) -> np.ndarray:
    """The sum over `count` neighbours along an axis, fewer at the ends."""
    # Shifted slices are added, which is ten times as fast as SciPy's uniform_filter.
    total = planes.copy()
    for shift in range(1, count // 2 + 1):
        forth, back = [slice(None)] * 3, [slice(None)] * 3
        forth[axis], back[axis] = slice(shift, None), slice(None, -shift)
        ahead, behind = tuple(forth), tuple(back)
        total[ahead] += planes[behind]
        total[behind] += planes[ahead]
    return total


def _tangent(points: np.ndarray, valid: np.ndarray, step: int, axis: int) -> np.ndarray:
    """(3, H, W): where the surface goes along an axis of the image, of unit length; 0 where unknown."""
    shape = list(valid.shape)
    forth, back = [slice(None)] * 2, [slice(None)] * 2
    forth[axis], back[axis] = slice(step, None), slice(None, -step)
    ahead, behind = tuple(forth), tuple(back)
    tangent = np.zeros((3, *shape), dtype=np.float32)
    if shape[axis] <= step:
        return tangent
    difference = points[(slice(None), *ahead)] - points[(slice(None), *behind)]
    both = valid[ahead] & valid[behind]
    weighted = difference * (both / ((difference**2).sum(axis=0) + 1e-9))
    tangent[(slice(None), *behind)] = weighted
    tangent[(slice(None), *ahead)] += weighted
    tangent /= np.maximum(np.sqrt((tangent**2).sum(axis=0)), 1e-12)
    return tangent


def _seen_by(windows: np.ndarray, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of the image that any window covers, with room for smoothing."""
    room = 8
    low = np.floor(windows[:, :2].min(axis=0)).astype(int) - room
    high = np.ceil((windows[:, :2] + windows[:, 2:]).max(axis=0)).astype(int) + room
    return slice(max(low[1], 0), min(high[1], height)), slice(max(low[0], 0), min(high[0], width))


def _thinned(pixels: np.ndarray) -> np.ndarray:
    return pixels[:: -(-len(pixels) // _FACTS_FROM)]


def _extents(points: np.ndarray) -> dict[str, float]:
    low, high = np.percentile(points[:, 2], _ENDS)
    flat = points[:, :2] - points[:, :2].mean(axis=0)
    axes = np.linalg.eigh(flat.T @ flat)[1]  # eigenvalues ascend
    ends = np.percentile(flat @ axes, _ENDS, axis=0)
    wide, long = sorted(ends[1] - ends[0])
    return {"low": low, "high": high, "tall": high - low, "long": long, "wide": wide}


def _picture_facts(seen: np.ndarray, window: np.ndarray, colour: np.ndarray, view: str) -> dict[str, float]:
    height, width = colour.shape[:2]
    row, column = np.divmod(seen, width)
    border = (row == 0) | (row == height - 1) | (column == 0) | (column == width - 1)
    left, top, side = window
    return {
        "share": np.log10(len(seen) / (height * width)),
        "image_right": (left + side / 2 + 0.5) / width - 0.5,
        "image_down": (top + side / 2 + 0.5) / height - 0.5,
        "window": side / width,
        "border": border.mean(),
        "top": float(view == "top"),
    }


def _colour_facts(colours: np.ndarray) -> dict[str, float]:
    means = colours.mean(axis=0) / 255
    facts: dict[str, float] = dict(zip(CHANNELS[:3], means, strict=True))
    third = colours.astype(np.int64) * _COLOUR_BINS // 256
    for channel, name in enumerate(CHANNELS[:3]):
        shares = np.bincount(third[:, channel], minlength=_COLOUR_BINS) / len(colours)
        facts |= {f"{name}_{i}": share for i, share in enumerate(shares)}
    return facts
