"""A flat panel with a bar on it as its handle: the front of a drawer, a door or a lid, in a noisy cloud of one view."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from unihm.geometry.point_cloud import (
    Plane,
    estimate_normals,
    fit_plane,
    main_parts,
    touching_parts,
    voxel_indices,
)

_MIN_PANEL = 60  # points that a plane needs
MIN_HANDLE = 15
"""Points that a bar needs."""
WIDEST_BAR = 0.05
"""Of a bar or a knob, with what the noise adds, m."""
_SPACING = 0.003  # m; the panel's points are thinned to this, so that near and far parts count alike
_THRESHOLD = 0.008  # m of a plane's first inliers; a leaning panel scatters twice the 3 mm of one seen head on
_WIDEST = 1.5 * _THRESHOLD  # m of its last ones
_OFF_PANEL = (0.015, 0.09)  # m; bars stand off their panels by a finger, 30 to 50 mm
_LEAST_BEFORE = 0.25  # share of the handle's points that stand off; the others are the panel's, by mistake
_BAR = 0.015  # m about the front of a handle: the bar without most of its posts
_RADIUS = 0.006  # m of a bar; the middle of the half of it that is seen is pi / 4 of that nearer than its own
_PLANES = 4  # looked at: a drawer shows its floor and its back, too
_FLUSH = 0.005  # m; half a board
BOARD = 0.01
"""Thickness of doors and lids, m."""
_NARROW = 0.04  # m; a board's edge is narrower than any panel
_GRAZING = np.radians(8)  # between view and panel; of less the thickness of a board says more than its pixels
_SHOWN = 2e4  # points on a square metre; of a grazing view with fewer nobody can tell where the panel ends
_STRIP, _STRIP_POINTS = 0.008, 5  # m, points; of the strips in which an end is looked for
_SEEN_STRIPS = 80  # % of the strips, by how far they go; the others are cut short by what hides them
_PIXEL = 0.003  # m between the points of a panel seen head on: 320 pixels across at 0.9 m
_GAP = 0.008  # m, which no hole in a panel is wider than where its pixels are dense


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A panel and its handle."""

    plane: Plane
    """Of the panel's outside; its normal points away from what the panel covers."""
    face: Float[np.ndarray, "n 3"]
    """Points of the plane, m."""
    bar: Float[np.ndarray, "m 3"]
    """Points of the handle's bar, m."""
    middle: Float[np.ndarray, " 3"]
    """Of the bar, m."""
    inside: bool
    """Whether it is seen from the side that it covers, the handle beyond an edge."""
    edge_error: float
    """How well an edge of the face is seen, standard deviation, m: a grazing view has few pixels."""

    def handle_frame(self, up: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "4 4"]:
        """T_world_handle: x away from the panel, y along the bar, which lies along an edge of the panel.

        Args:
            up: The way up the panel; the y axis of a bar along it points there, of another bar the z axis does.
        """
        normal = self.plane.normal
        upright = up - (up @ normal) * normal
        upright /= np.linalg.norm(upright)
        level = np.cross(upright, normal)
        y = upright if (self.bar @ upright).std() > (self.bar @ level).std() else level
        T = np.eye(4)
        T[:3, :3] = np.column_stack([normal, y, np.cross(normal, y)])
        T[:3, 3] = self.middle
        return T


def find_panel(
    panel_world: Float[np.ndarray, "n 3"],
    handle_world: Float[np.ndarray, "m 3"],
    camera_position: Float[np.ndarray, " 3"],
    kind: str,
    upright: bool,
) -> Panel:
    """The plane that a handle stands off, and the handle.

    Args:
        panel_world: Points of what moves, z-up world, m.
        handle_world: Points of the handle, m; some may be the panel's.
        camera_position: Where they are seen from, m.
        kind: What messages call it.
        upright: Whether the panel is known to be vertical.

    Raises:
        ValueError: The handle or the panel is out of view, or no plane lies behind the handle.
    """
    hidden = f"The handle of the {kind} is out of view"
    if len(handle_world) < MIN_HANDLE:
        raise ValueError(f"{hidden}: {len(handle_world)} points show it, at least {MIN_HANDLE} are needed.")
    if len(panel_world) < _MIN_PANEL:
        raise ValueError(f"The {kind} is out of view: {len(panel_world)} points show it, {_MIN_PANEL} are needed.")
    points = _thinned(panel_world, camera_position, upright)
    plane, face = _settled(_behind(handle_world, points, kind), points, upright)
    view = camera_position - face.mean(axis=0)
    facing = float(view @ plane.normal) / float(np.linalg.norm(view))
    sharp = max(abs(facing), float(np.sin(_GRAZING)))
    _, _, low, high = _rectangle(face)
    shown = (np.abs(plane.distance(panel_world)) < _WIDEST).sum() / float(np.prod(high - low))
    if abs(facing) < sharp and shown < _SHOWN:
        raise ValueError(f"{hidden}: the {kind} is seen edge on.")
    # What lies in the same plane beyond a gap is another thing.
    face = face[main_parts(face, max(_GAP, 2 * _PIXEL / sharp))]
    if facing < 0:
        plane = Plane(plane.normal, plane.offset + BOARD)
    height = plane.distance(handle_world)
    before = _off_panel(height)
    if before.sum() < MIN_HANDLE:
        raise ValueError(f"{hidden}: {before.sum()} of its points stand off the {kind}, {MIN_HANDLE} are needed.")
    bar = handle_world[before & (np.abs(height - np.percentile(height[before], 80)) < _BAR)]
    bar = _one_of_several(bar, plane.normal, face)
    middle = _middle(bar, direction(bar, plane.normal), camera_position)
    return Panel(plane=plane, face=face, bar=bar, middle=middle, inside=facing < 0, edge_error=_PIXEL / sharp)


def grown(panel: Panel, points: Float[np.ndarray, "k 3"]) -> Panel:
    """A panel with points that were not taken for it, but are flush with it and hang together with it."""
    flush = points[np.abs(panel.plane.distance(points)) < _FLUSH]
    both = np.concatenate([panel.face, flush])
    label = touching_parts(both, max(_GAP, 2 * panel.edge_error))
    return replace(panel, face=both[label == np.bincount(label[: len(panel.face)]).argmax()])


def covers(panel: Panel, points: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
    """Which points lie in a panel or before it, where its handle is: they are its own, whatever they were taken for."""
    if not len(points):
        return np.zeros(0, dtype=bool)
    height = panel.plane.distance(points)
    return (height > -1.5 * BOARD) & (height < _OFF_PANEL[1]) & _within(points, panel.face, panel.edge_error)


def direction(points: Float[np.ndarray, "n 3"], normal: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
    """Unit vector along which points spread most, square to a normal."""
    away = points - points.mean(axis=0)
    away = away - np.outer(away @ normal, normal)
    return np.linalg.eigh(away.T @ away)[1][:, 2]


def spans(points: Float[np.ndarray, "n 3"], normal: Float[np.ndarray, " 3"]) -> tuple[float, float]:
    """Width and length of points square to a normal, m, without strays."""
    long = direction(points, normal)
    wide = np.cross(normal, long)
    low, high = np.percentile(points @ np.column_stack([wide, long]), (3, 97), axis=0)
    return float(high[0] - low[0]), float(high[1] - low[1])


def ends(
    points: Float[np.ndarray, "n 3"],
    along: Float[np.ndarray, " 3"],
    across: Float[np.ndarray, " 3"],
    spare: int = 0,
) -> tuple[float, float]:
    """Between which coordinates along `across` a surface lies, m, though parts of its edges may be hidden.

    Args:
        points: On it, m.
        along: Direction of its edges; it is cut into strips across them.
        across: Direction in which it ends.
        spare: Farthest points of each strip that may hang in the air.
    """
    t = points @ across
    strip = np.floor(points @ along / _STRIP).astype(np.int64)
    strips = [np.sort(t[strip == number]) for number in np.unique(strip)]
    found = np.array([s[[spare, -1 - spare]] for s in strips if len(s) >= _STRIP_POINTS])
    if len(found) == 0:
        return float(t.min()), float(t.max())
    return float(np.percentile(found[:, 0], 100 - _SEEN_STRIPS)), float(np.percentile(found[:, 1], _SEEN_STRIPS))


@dataclass(frozen=True, kw_only=True)
class Face:
    """What a panel shows, before it is known what its handle is."""

    plane: Plane
    """Through the points; its normal points to the handle, or to either side."""
    points: Float[np.ndarray, "n 3"]
    """On it, m."""
    has_handle: bool
    """Whether its handle is known, and on the side of the normal."""


def face_of(
    panel_world: Float[np.ndarray, "n 3"],
    handle_world: Float[np.ndarray, "m 3"],
    camera_position: Float[np.ndarray, " 3"],
    kind: str,
) -> Face | None:
    """The largest plane of a panel, behind as much of its handle as is known; None where there is none.

    Args:
        panel_world: Points of what moves, z-up world, m.
        handle_world: Points of its handle, perhaps too few, m.
        camera_position: Where they are seen from, m.
        kind: drawer, door or lid.
    """
    points = _thinned(panel_world, camera_position, kind != "lid") if len(panel_world) >= _MIN_PANEL else panel_world
    if len(points) < _MIN_PANEL:
        return None
    plane, near = fit_plane(points, _THRESHOLD)
    has_handle = False
    if len(handle_world) >= MIN_HANDLE:
        with suppress(ValueError):  # what was taken for the handle may be none
            plane, has_handle = _behind(handle_world, points, kind), True
        near = np.abs(plane.distance(points)) < _THRESHOLD
    _, _, low, high = _rectangle(points[near])
    return Face(plane=plane, points=points[near], has_handle=has_handle) if (high - low).min() > _NARROW else None


def stands_off(points: Float[np.ndarray, "n 3"], face: Face, side: float) -> Bool[np.ndarray, " n"]:
    """Which points are over a face and as far from it as handles are; on the side of its normal for 1, else for -1."""
    off = _off_panel(side * face.plane.distance(points))
    off[off] = _within(points[off], face.points, _THRESHOLD)
    return off


def _off_panel(height: np.ndarray) -> np.ndarray:
    """Which heights over a panel are those of handles."""
    return (height > _OFF_PANEL[0]) & (height < _OFF_PANEL[1])


def _thinned(panel: np.ndarray, eye: np.ndarray, upright: bool) -> np.ndarray:
    points = panel[voxel_indices(panel, _SPACING)]
    if upright:  # the floor of a drawer and the upper edge of a door are not
        points = points[np.abs(estimate_normals(points, 16, eye)[:, 2]) < 0.6]
    return points


def _behind(handle: np.ndarray, points: np.ndarray, kind: str) -> Plane:
    """The largest plane that the handle stands off, its normal to the handle's side."""
    for _ in range(_PLANES):
        if len(points) < _MIN_PANEL:
            break
        plane, inliers = fit_plane(points, _THRESHOLD)
        height = plane.distance(handle)
        on, under = (_off_panel(s * height).sum() for s in (1, -1))
        enough = max(on, under) >= max(MIN_HANDLE, _LEAST_BEFORE * len(handle))
        if inliers.sum() >= _MIN_PANEL and enough and _over(handle, points[inliers]):
            return plane if on >= under else Plane(-plane.normal, -plane.offset)
        points = points[~inliers]
    raise ValueError(f"No plane of the {kind} lies behind its handle; the {kind} is out of view or has another handle.")


def _over(handle: np.ndarray, face: np.ndarray) -> bool:
    """Whether a handle is over a face, not beside it, and the face no edge of a board."""
    _, _, low, high = _rectangle(face)
    return bool(_within(np.median(handle, axis=0)[None], face, _THRESHOLD)[0] and (high - low).min() > _NARROW)


def _within(points: np.ndarray, face: np.ndarray, margin: float) -> np.ndarray:
    """Which points lie over the rectangle about a face."""
    centre, axes, low, high = _rectangle(face)
    at = (points - centre) @ axes
    return np.all((at > low - margin) & (at < high + margin), axis=1)


def _rectangle(face: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of a face: centre, two directions in its plane in columns, and how far it reaches along them from the centre."""
    centre = face.mean(axis=0)
    axes = np.linalg.eigh((face - centre).T @ (face - centre))[1][:, 1:]
    low, high = np.percentile((face - centre) @ axes, [1, 99], axis=0)
    return centre, axes, low, high


def _settled(plane: Plane, points: np.ndarray, upright: bool) -> tuple[Plane, np.ndarray]:
    """The plane fitted again, upright where it has to be, to points as close as its noise allows; and these."""
    normal, offset, near = plane.normal, plane.offset, points
    for _ in range(4):
        height = np.abs(points @ normal - offset)
        spread = 1.4826 * float(np.median(height[height < _WIDEST]))  # a standard deviation, by the median
        near = points[height < np.clip(2.5 * spread, 0.003, _WIDEST)]
        centre = near.mean(axis=0)
        away = (near - centre) * ([1.0, 1.0, 0.0] if upright else 1.0)
        # Flattened points have no extent along z, so that of an upright plane the second direction is the normal.
        found = np.linalg.eigh(away.T @ away)[1][:, 1 if upright else 0]
        normal = found if found @ normal > 0 else -found
        offset = float(normal @ centre)
    return Plane(normal, offset), near


def _one_of_several(bar: np.ndarray, normal: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Of what is too wide to be one bar the one before the middle of the face: drawers are at times cut as one."""
    if spans(bar, normal)[0] < WIDEST_BAR:
        return bar
    label = touching_parts(bar, _GAP)
    bars = [bar[label == k] for k in np.flatnonzero(np.bincount(label) >= MIN_HANDLE)]
    centre, axes, low, high = _rectangle(face)
    centre = centre + axes @ (low + high) / 2
    return min(bars, key=lambda one: np.linalg.norm((np.median(one, axis=0) - centre) @ axes), default=bar)


def _middle(bar: np.ndarray, along: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """The middle of a bar of which the side toward the camera is seen."""
    t = bar @ along
    low, high = np.percentile(t, [3, 97])
    centre = np.median(bar - np.outer(t, along), axis=0) + (low + high) / 2 * along
    view = eye - centre
    view = view - (view @ along) * along
    return centre - np.pi / 4 * _RADIUS * view / np.linalg.norm(view)
