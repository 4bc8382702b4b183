"""A flat panel with a bar on it as its handle: the front of a drawer, a door or a lid, in a noisy cloud of one view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from unihm.geometry.point_cloud import Plane, estimate_normals, fit_plane, voxel_indices

_MIN_PANEL, _MIN_HANDLE = 60, 15  # points that a plane and a bar need
_SPACING = 0.003  # m; the panel's points are thinned to this, so that near and far parts count alike
_THRESHOLD = 0.008  # m of a plane's first inliers; a leaning panel scatters twice the 3 mm of one seen head on
_WIDEST = 1.5 * _THRESHOLD  # m of its last ones
_OFF_PANEL = (0.015, 0.09)  # m; bars stand off their panels by a finger, 30 to 50 mm
_LEAST_BEFORE = 0.25  # share of the handle's points that stand off; the others are the panel's, by mistake
_BAR = 0.015  # m about the front of a handle: the bar without most of its posts
_RADIUS = 0.006  # m of a bar; the middle of the half of it that is seen is pi / 4 of that nearer than its own
_PLANES = 4  # looked at: a drawer shows its floor and its back, too
BOARD = 0.01
"""Thickness of doors and lids, m."""
_NARROW = 0.04  # m; a board's edge is narrower than any panel
_GRAZING = np.radians(8)  # between view and panel; less shows an edge of it
_STRIP, _STRIP_POINTS = 0.008, 5  # m, points; of the strips in which an end is looked for
_SEEN_STRIPS = 80  # % of the strips, by how far they go; the others are cut short by what hides them
_PIXEL = 0.003  # m between the points of a panel seen head on: 320 pixels across at 0.9 m


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
    if len(handle_world) < _MIN_HANDLE:
        raise ValueError(f"{hidden}: {len(handle_world)} points show it, at least {_MIN_HANDLE} are needed.")
    if len(panel_world) < _MIN_PANEL:
        raise ValueError(f"The {kind} is out of view: {len(panel_world)} points show it, {_MIN_PANEL} are needed.")
    points = panel_world[voxel_indices(panel_world, _SPACING)]
    if upright:  # the floor of a drawer and the upper edge of a door are not
        points = points[np.abs(estimate_normals(points, 16, camera_position)[:, 2]) < 0.6]
    plane, face = _settled(_behind(handle_world, points, kind), points, upright)
    view = camera_position - face.mean(axis=0)
    facing = float(view @ plane.normal) / float(np.linalg.norm(view))
    if abs(facing) < np.sin(_GRAZING):
        raise ValueError(f"{hidden}: the {kind} is seen edge on.")
    if facing < 0:  # its inside is seen, and the handle beyond an edge
        plane = Plane(plane.normal, plane.offset + BOARD)
    height = plane.distance(handle_world)
    before = (height > _OFF_PANEL[0]) & (height < _OFF_PANEL[1])
    if before.sum() < _MIN_HANDLE:
        raise ValueError(f"{hidden}: {before.sum()} of its points stand off the {kind}, {_MIN_HANDLE} are needed.")
    bar = handle_world[before & (np.abs(height - np.percentile(height[before], 80)) < _BAR)]
    middle = _middle(bar, direction(bar, plane.normal), camera_position)
    return Panel(plane=plane, face=face, bar=bar, middle=middle, edge_error=_PIXEL / abs(facing))


def direction(points: Float[np.ndarray, "n 3"], normal: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
    """Unit vector along which points spread most, square to a normal."""
    away = points - points.mean(axis=0)
    away = away - np.outer(away @ normal, normal)
    return np.linalg.eigh(away.T @ away)[1][:, 2]


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


def _behind(handle: np.ndarray, points: np.ndarray, kind: str) -> Plane:
    """The largest plane that the handle stands off, its normal to the handle's side."""
    for _ in range(_PLANES):
        if len(points) < _MIN_PANEL:
            break
        plane, inliers = fit_plane(points, _THRESHOLD)
        height = plane.distance(handle)
        on, under = (((s * height > _OFF_PANEL[0]) & (s * height < _OFF_PANEL[1])).sum() for s in (1, -1))
        stands_off = max(on, under) >= max(_MIN_HANDLE, _LEAST_BEFORE * len(handle))
        if inliers.sum() >= _MIN_PANEL and stands_off and _over(handle, points[inliers]):
            return plane if on >= under else Plane(-plane.normal, -plane.offset)
        points = points[~inliers]
    raise ValueError(f"No plane of the {kind} lies behind its handle; the {kind} is out of view or has another handle.")


def _over(handle: np.ndarray, face: np.ndarray) -> bool:
    """Whether a handle is over a face, not beside it, and the face no edge of a board."""
    centre = face.mean(axis=0)
    axes = np.linalg.eigh((face - centre).T @ (face - centre))[1][:, 1:]
    low, high = np.percentile((face - centre) @ axes, [1, 99], axis=0)
    middle = (np.median(handle, axis=0) - centre) @ axes
    within = (middle > low - _THRESHOLD) & (middle < high + _THRESHOLD)
    return bool(within.all() and (high - low).min() > _NARROW)


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


def _middle(bar: np.ndarray, along: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """The middle of a bar of which the side toward the camera is seen."""
    t = bar @ along
    low, high = np.percentile(t, [3, 97])
    centre = np.median(bar - np.outer(t, along), axis=0) + (low + high) / 2 * along
    view = eye - centre
    view = view - (view @ along) * along
    return centre - np.pi / 4 * _RADIUS * view / np.linalg.norm(view)
